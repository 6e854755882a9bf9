//! Publishes the ledger: tiles over the committed entries, then a signed checkpoint (LG-2).
//!
//! Takes up where the files end: entries are the truth, tiles follow. Never shows a checkpoint before its tiles are stored.

use std::fmt::Display;

use ledger::checkpoint::{Checkpoint, SignError, SignedCheckpoint};
use ledger::edge::Edge;
use ledger::note::{KeyName, NoteKey};
use ledger::tile::Tile;
use ledger::tree::TreeHead;
use proof::{Purpose, Sign};

use crate::ports::{PAGE_MAX, Store};
use crate::{Plane, PlaneError};

/// Where the ledger's static files go: a folder, or anything that serves bytes by path.
pub trait Files: Send + Sync + 'static {
    /// The file's bytes, none where there is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>>;
    /// Writes the file, durably and whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&self, path: &str, bytes: &[u8]) -> std::io::Result<()>;
}

/// The path of the newest checkpoint.
pub const CHECKPOINT: &str = "checkpoint";

/// The writer of tiles and checkpoints; one at a time.
pub struct Publisher<F> {
    files: F,
    key: NoteKey,
    /// The right edge of the published tree; none after a failure, until the files are read again.
    edge: Option<Edge>,
}

impl<F: Files> Publisher<F> {
    /// Takes up where the files end.
    ///
    /// # Errors
    /// When the files are damaged or belong to another log.
    pub fn open<S: Store>(plane: &Plane<S>, files: F) -> Result<Self, PlaneError> {
        let federation = plane.federation();
        let origin = KeyName::parse(&federation.keys.ledger_origin).map_err(unavailable)?;
        let key = NoteKey::new(origin, federation.ledger.public_key().as_bytes()).map_err(unavailable)?;
        let edge = Some(resume(&files, &known(plane, &key)?)?);
        Ok(Self { files, key, edge })
    }

    /// Publishes every entry committed by now; gives the size of the log.
    ///
    /// # Errors
    /// When the store or the files do not answer: the next call goes on from what was stored.
    pub async fn publish<S: Store>(&mut self, plane: &Plane<S>) -> Result<u64, PlaneError> {
        let mut edge = match self.edge.take() {
            Some(edge) => edge,
            None => resume(&self.files, &known(plane, &self.key)?)?,
        };
        let published = edge.size();
        loop {
            let entries = plane.store().entry_page(edge.size(), PAGE_MAX).await?;
            for entry in &entries {
                edge.append(entry).map_err(unavailable)?;
            }
            if entries.len() < PAGE_MAX {
                break;
            }
        }
        if edge.size() > published {
            self.write(&mut edge, &plane.federation().ledger)?;
        }
        let size = edge.size();
        self.edge = Some(edge);
        if size > published {
            plane.store().outbox_forget(size.saturating_sub(1)).await?;
        }
        Ok(size)
    }

    fn write(&self, edge: &mut Edge, signer: &dyn Sign) -> Result<(), PlaneError> {
        for Tile { id, bytes } in edge.take() {
            self.files.write(&id.to_string(), &bytes).map_err(unavailable)?;
        }
        let checkpoint = Checkpoint::new(self.key.name().clone(), edge.head()).map_err(unavailable)?;
        let signed =
            checkpoint.sign(&self.key, |message| signer.sign(message)).map_err(|error| match error {
                SignError::Signer(error) => PlaneError::from(error),
                SignError::Checkpoint(error) => unavailable(error),
            })?;
        self.files.write(CHECKPOINT, signed.to_string().as_bytes()).map_err(unavailable)
    }
}

/// The keys that a checkpoint of this log may be signed with: this plane's own, and those that the keys document names beside
/// it while one gives way to the other (AU-4).
pub(crate) fn known<S: Store>(plane: &Plane<S>, own: &NoteKey) -> Result<Vec<NoteKey>, PlaneError> {
    let keys = plane.keys();
    let named = keys.document.online.iter().filter(|named| named.purpose == Purpose::Ledger);
    let named =
        named.map(|named| NoteKey::new(own.name().clone(), named.key.as_bytes()).map_err(unavailable));
    std::iter::once(Ok(own.clone())).chain(named).collect()
}

fn resume(files: &impl Files, keys: &[NoteKey]) -> Result<Edge, PlaneError> {
    let Some(bytes) = files.read(CHECKPOINT).map_err(unavailable)? else { return Ok(Edge::new()) };
    let signed = SignedCheckpoint::parse(&bytes).map_err(unavailable)?;
    let own = keys.first().ok_or_else(|| unavailable("no key verifies checkpoints"))?;
    // Of several that do not verify it, the plane's own says why.
    let verified = keys.iter().find_map(|key| signed.verify(key).ok());
    let checkpoint = verified.map_or_else(|| signed.verify(own), Ok).map_err(unavailable)?;
    let head: TreeHead = *checkpoint.head();
    let mut tiles = Vec::new();
    for id in Edge::tiles_to_resume(head.size) {
        let path = id.to_string();
        let bytes = files.read(&path).map_err(unavailable)?;
        let bytes =
            bytes.ok_or_else(|| PlaneError::Unavailable(format!("the ledger's tile {path} is missing")))?;
        tiles.push(Tile { id, bytes });
    }
    Edge::resume(&head, tiles).map_err(unavailable)
}

fn unavailable(error: impl Display) -> PlaneError {
    PlaneError::Unavailable(error.to_string())
}
