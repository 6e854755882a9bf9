//! Holds the checkpoints that instances saw against this plane's own ledger (LG-2, HS-8).
//!
//! Never believes an instance about the ledger: what counts is signed by the ledger's key.

use ledger::history::{Relation, relate, tiles};
use ledger::note::{KeyName, NoteKey};
use ledger::tile::tiles_of;
use ledger::tree::{head, root_nodes};
use ledger::{SignedCheckpoint, TileSet, TreeHead};
use proof::Sign as _;
use proof::challenge::LedgerSeen;

use crate::ports::Store;
use crate::publication::{CHECKPOINT, Files, known};
use crate::{Plane, PlaneError};

impl<S: Store> Plane<S> {
    /// What an instance saw that this ledger's key signed and that is not of this ledger, in words; none where all of it is.
    /// What no key of the ledger signed counts for nothing.
    ///
    /// # Errors
    /// When the files do not answer.
    pub(crate) fn other_ledger(
        &self,
        files: &impl Files,
        seen: &LedgerSeen,
    ) -> Result<Option<String>, PlaneError> {
        let Some(own) = files.read(CHECKPOINT).map_err(broken)? else { return Ok(None) };
        let own = *SignedCheckpoint::parse(&own).map_err(broken)?.unverified().head();
        let origin = KeyName::parse(&self.federation().keys.ledger_origin).map_err(broken)?;
        let key = NoteKey::new(origin, self.federation().ledger.public_key().as_bytes()).map_err(broken)?;
        let keys = known(self, &key)?;
        for text in seen.all() {
            let Ok(signed) = SignedCheckpoint::parse(text.as_bytes()) else { continue };
            let Some(bare) = keys.iter().find_map(|key| signed.bare(key).ok()) else { continue };
            if let Some(here) = differs(files, &own, bare.unverified().head())? {
                let TreeHead { size, root } = bare.unverified().head();
                let signature = bare.signatures().first().map(ToString::to_string).unwrap_or_default();
                return Ok(Some(format!(
                    "it was shown a ledger of {size} entries with root {root}, signed {signature}; {here}"
                )));
            }
        }
        Ok(None)
    }
}

/// What stands in this ledger where the shown one ends; none where they are one.
fn differs(files: &impl Files, own: &TreeHead, shown: &TreeHead) -> Result<Option<String>, PlaneError> {
    if shown.size > own.size {
        // A checkpoint is stored here before anyone is shown it.
        return Ok(Some(format!("this one has {} entries", own.size)));
    }
    let mut set = TileSet::new();
    for id in tiles(shown, own).into_iter().chain(tiles_of(root_nodes(shown.size), own.size)) {
        let path = id.to_string();
        let bytes = files.read(&path).map_err(broken)?;
        set.insert(id, &bytes.ok_or_else(|| broken(format!("{path} is missing")))?).map_err(broken)?;
    }
    match relate(shown, own, &set).map_err(broken)? {
        Relation::Consistent => Ok(None),
        Relation::Split => {
            let TreeHead { root, .. } = head(shown.size, &set).map_err(broken)?;
            Ok(Some(format!("this one has root {root} there")))
        }
    }
}

fn broken(error: impl std::fmt::Display) -> PlaneError {
    PlaneError::Unavailable(format!("the ledger's files: {error}"))
}
