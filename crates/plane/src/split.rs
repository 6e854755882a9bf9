//! Holds the checkpoints that instances saw against this plane's own ledger (LG-2, HS-8).
//!
//! Never believes an instance about the ledger: what counts is signed by the ledger's key.

use ledger::checkpoint::ledger_keys;
use ledger::edge::Edge;
use ledger::history::{Relation, relate, tiles};
use ledger::note::{KeyName, NoteKey};
use ledger::tile::tiles_of;
use ledger::tree::{head, root_nodes};
use ledger::{SignedCheckpoint, TileSet, TreeHead};
use proof::challenge::LedgerSeen;
use proof::{Jws, KeysDocument, Sign as _};

use crate::federation::KEYS;
use crate::ports::{PAGE_MAX, Store};
use crate::proofs::hashes;
use crate::publication::{CHECKPOINT, Files, known, resume};
use crate::{Plane, PlaneError};

/// Entries beyond the published ones that are hashed at most to hold one checkpoint against them.
const AHEAD_MAX: u64 = 100_000;
/// Keys documents before the one in force that are looked at for a key.
const DOCUMENTS_MAX: u64 = 32;

impl<S: Store> Plane<S> {
    /// What an instance saw that this ledger's key signed and that is not of this ledger, in words; none where all of it is.
    /// What no key of the ledger signed counts for nothing.
    ///
    /// # Errors
    /// When the files or the store do not answer.
    pub(crate) async fn other_ledger(
        &self,
        files: &impl Files,
        seen: &LedgerSeen,
    ) -> Result<Option<String>, PlaneError> {
        let origin = KeyName::parse(&self.federation().keys.ledger_origin).map_err(broken)?;
        let key = NoteKey::new(origin, self.federation().ledger.public_key().as_bytes()).map_err(broken)?;
        let mut keys = known(self, &key)?;
        let seen: Vec<_> =
            seen.all().filter_map(|text| SignedCheckpoint::parse(text.as_bytes()).ok()).collect();
        if !seen.iter().all(|signed| keys.iter().any(|key| signed.verify(key).is_ok())) {
            keys.extend(self.replaced().await?);
        }
        for signed in seen {
            let Some(bare) = keys.iter().find_map(|key| signed.bare(key).ok()) else { continue };
            if let Some(here) = self.differs(files, &keys, bare.unverified().head()).await? {
                let TreeHead { size, root } = bare.unverified().head();
                let signature = bare.signatures().first().map(ToString::to_string).unwrap_or_default();
                return Ok(Some(format!(
                    "it was shown a ledger of {size} entries with root {root}, signed {signature}; {here}"
                )));
            }
        }
        Ok(None)
    }

    /// The keys of this ledger that earlier keys documents named (AU-4): one that was stolen is replaced, and what it signed
    /// is what tells of the thief.
    async fn replaced(&self) -> Result<Vec<NoteKey>, PlaneError> {
        let now = self.keys().document.serial;
        let mut keys = Vec::new();
        for serial in now.saturating_sub(DOCUMENTS_MAX)..now {
            let Some(kept) = self.store.document_load(KEYS, &serial.to_string()).await? else { continue };
            // Verified before it was kept.
            let document: KeysDocument =
                Jws::parse(&kept).and_then(|kept| kept.parse_unverified()).map_err(broken)?;
            keys.extend(ledger_keys(&document, |_| true).map_err(broken)?);
        }
        Ok(keys)
    }

    /// What stands in this ledger where the shown one ends; none where they are one.
    async fn differs(
        &self,
        files: &impl Files,
        keys: &[NoteKey],
        shown: &TreeHead,
    ) -> Result<Option<String>, PlaneError> {
        let edge = match files.read(CHECKPOINT).map_err(broken)? {
            None => Edge::new(),
            Some(bytes) => {
                let own = SignedCheckpoint::parse(&bytes).map_err(broken)?;
                let head = own.unverified().head();
                if shown.size <= head.size {
                    return published(files, head, shown);
                }
                resume(files, &own, keys)?
            }
        };
        let count = self.store.entry_count().await?;
        if shown.size > count {
            return Ok(Some(format!("this one has {count} entries")));
        }
        // A checkpoint is signed, and seen by witnesses, before it is published: its tiles are stored by then.
        let tiles = hashes(files, root_nodes(shown.size).collect(), shown.size);
        if tiles.is_ok_and(|tiles| head(shown.size, &tiles).is_ok_and(|own| own == *shown)) {
            return Ok(None);
        }
        self.committed(edge, shown).await
    }

    /// The same beyond what is published, by the entries themselves: whoever has the key signs sizes that were never stored.
    async fn committed(&self, mut edge: Edge, shown: &TreeHead) -> Result<Option<String>, PlaneError> {
        if shown.size - edge.size() > AHEAD_MAX {
            return Err(broken(format!("more than {AHEAD_MAX} entries are not published yet")));
        }
        while edge.size() < shown.size {
            let left = usize::try_from(shown.size - edge.size()).unwrap_or(PAGE_MAX);
            let entries = self.store.entry_page(edge.size(), left.min(PAGE_MAX)).await?;
            if entries.is_empty() {
                return Err(broken(format!("entry {} is missing", edge.size())));
            }
            for entry in &entries {
                edge.append(entry).map_err(broken)?;
            }
            edge.take();
        }
        let TreeHead { root, .. } = edge.head();
        Ok((root != shown.root).then(|| format!("this one has root {root} there")))
    }
}

/// The same within what is published, by its tiles.
fn published(files: &impl Files, own: &TreeHead, shown: &TreeHead) -> Result<Option<String>, PlaneError> {
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
