//! Publishes the ledger: tiles over the committed entries, then a signed checkpoint, cosigned by its witnesses (LG-2).
//!
//! Takes up where the files end: entries are the truth, tiles follow. Never shows a checkpoint before its tiles are stored,
//! nor one that fewer witnesses cosigned than must; decisions go on meanwhile.
//!
//! Of several servers one signs, under a lease; the others write the same tiles from the same entries, and show what it
//! left them in the store.

use std::fmt::Display;

use governance::{Span, Timestamp};
use ledger::Hash;
use ledger::checkpoint::{Checkpoint, SignError, SignedCheckpoint, ledger_keys};
use ledger::edge::Edge;
use ledger::note::{KeyName, NoteKey};
use ledger::tile::Tile;
use ledger::tree::{TreeHead, consistency_nodes, prove_consistency};
use proof::Sign;

use crate::ports::{Commit, Document, Fence, PAGE_MAX, Store, StoreError};
use crate::proofs::hashes;
use crate::witnesses::{Gathered, Stand, Witnesses};
use crate::{Plane, PlaneError};

/// Where the ledger's static files go: a folder, or anything that serves bytes by path.
pub trait Files: Send + Sync + 'static {
    /// The file's bytes, none where there is no such file. It blocks: whoever reads on a task reads aside.
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

/// The path of the newest checkpoint; the kind of the document too, as which the store keeps it.
pub const CHECKPOINT: &str = "checkpoint";
/// The name of that document.
const LATEST: &str = "latest";
/// The lease of whoever signs checkpoints.
const SEQUENCER: &str = "sequencer";

/// How long witnesses that refused are not asked again.
pub const REFUSED_PAUSE: Span = Span::from_millis(60_000);

/// The writer of tiles and checkpoints; one at a time.
pub struct Publisher<F> {
    files: F,
    key: NoteKey,
    witnesses: Option<Witnesses>,
    /// The right edge of the tree whose tiles are stored; none after a failure, until the files are read again.
    edge: Option<Edge>,
    /// The size that the checkpoint shows.
    shown: u64,
    /// The size of the one that this server left the others in the store.
    left: u64,
    /// Whether as many witnesses cosigned that one as must.
    witnessed: bool,
    /// Until when they are not asked, because they refused.
    refused: Option<Timestamp>,
}

impl<F: Files> Publisher<F> {
    /// Takes up where the files end. With witnesses, shows no checkpoint that too few of them cosigned.
    ///
    /// # Errors
    /// When the files are damaged or belong to another log.
    pub fn open<S: Store>(
        plane: &Plane<S>,
        files: F,
        witnesses: Option<Witnesses>,
    ) -> Result<Self, PlaneError> {
        let federation = plane.federation();
        let origin = KeyName::parse(&federation.keys.ledger_origin).map_err(unavailable)?;
        let key = NoteKey::new(origin, federation.ledger.public_key().as_bytes()).map_err(unavailable)?;
        let mut publisher =
            Self { files, key, witnesses, edge: None, shown: 0, left: 0, witnessed: true, refused: None };
        publisher.edge = Some(publisher.resume(plane)?);
        Ok(publisher)
    }

    /// Publishes every entry committed by now; gives the size that is shown then. Where witnesses do not cosign, that is
    /// what it was: the next call asks them for what the log is then.
    ///
    /// # Errors
    /// When the store or the files do not answer: the next call goes on from what was stored.
    pub async fn publish<S: Store>(&mut self, plane: &Plane<S>) -> Result<u64, PlaneError> {
        match plane.lease(SEQUENCER).await? {
            Some(fence) => {
                let edge = self.extend(plane, u64::MAX).await?;
                let head = edge.head();
                self.edge = Some(edge);
                if head.size > self.shown || !self.witnessed {
                    self.show(plane, head).await?;
                }
                if self.shown > self.left {
                    self.leave(plane, fence).await?;
                }
            }
            None => self.take_over(plane).await?,
        }
        Ok(self.shown)
    }

    /// The edge with every entry up to this size, their tiles stored.
    async fn extend<S: Store>(&mut self, plane: &Plane<S>, size: u64) -> Result<Edge, PlaneError> {
        let mut edge = match self.edge.take() {
            Some(edge) => edge,
            None => self.resume(plane)?,
        };
        loop {
            let left = usize::try_from(size.saturating_sub(edge.size())).unwrap_or(PAGE_MAX).min(PAGE_MAX);
            let entries = plane.store().entry_page(edge.size(), left).await?;
            for entry in &entries {
                edge.append(entry).map_err(unavailable)?;
            }
            if entries.len() < PAGE_MAX {
                break;
            }
        }
        for Tile { id, bytes } in edge.take() {
            self.files.write(&id.to_string(), &bytes).map_err(unavailable)?;
        }
        Ok(edge)
    }

    /// Leaves the checkpoint that is shown to the other servers.
    async fn leave<S: Store>(&mut self, plane: &Plane<S>, fence: Fence) -> Result<(), PlaneError> {
        let Some(bytes) = self.files.read(CHECKPOINT).map_err(unavailable)? else { return Ok(()) };
        let document = Document { kind: CHECKPOINT.to_owned(), name: LATEST.to_owned(), bytes };
        let world_revision = plane.seen().revision;
        let documents = vec![document];
        let commit = Commit { world_revision, documents, fence: Some(fence), ..Commit::default() };
        match plane.store().commit(commit).await {
            Ok(_) => self.left = self.shown,
            // Another signs by now, or the world moved on: the next call looks again.
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Shows the checkpoint that another server signed, once its tiles are stored here too.
    async fn take_over<S: Store>(&mut self, plane: &Plane<S>) -> Result<(), PlaneError> {
        let Some(bytes) = plane.store().document_load(CHECKPOINT, LATEST).await? else { return Ok(()) };
        let signed = SignedCheckpoint::parse(&bytes).map_err(unavailable)?;
        let keys = known(plane, &self.key)?;
        let verified = keys.iter().find_map(|key| signed.verify(key).ok());
        let head =
            *verified.ok_or_else(|| unavailable("no key verifies the checkpoint in the store"))?.head();
        let ahead = self.edge.as_ref().is_some_and(|edge| edge.size() > head.size);
        if head.size <= self.shown || ahead {
            return Ok(());
        }
        let edge = self.extend(plane, head.size).await?;
        if edge.head() != head {
            return Err(unavailable(format!(
                "the checkpoint in the store is of another log at {}",
                head.size
            )));
        }
        self.edge = Some(edge);
        self.files.write(CHECKPOINT, &bytes).map_err(unavailable)?;
        (self.shown, self.left) = (head.size, head.size);
        self.witnessed = self.witnesses.as_mut().is_none_or(|witnesses| witnesses.have_cosigned(&signed));
        Ok(())
    }

    /// Entries whose tiles are stored and that no checkpoint shows yet.
    pub fn waiting(&self) -> u64 {
        self.edge.as_ref().map_or(0, |edge| edge.size().saturating_sub(self.shown))
    }

    /// What each witness said last, by its name.
    pub fn witnesses(&self) -> impl Iterator<Item = (&str, &Stand)> {
        self.witnesses.iter().flat_map(Witnesses::stands)
    }

    /// Signs the head, has it cosigned, and shows it.
    async fn show<S: Store>(&mut self, plane: &Plane<S>, head: TreeHead) -> Result<(), PlaneError> {
        if self.refused.is_some_and(|until| plane.now() < until) {
            return Ok(());
        }
        let mut signed = self.sign(head, &plane.federation().ledger)?;
        if let Some(witnesses) = &mut self.witnesses {
            let files = &self.files;
            match witnesses.gather(signed, |old| consistency(files, old, head.size)).await? {
                Gathered::Quorum(cosigned) => signed = cosigned,
                Gathered::TooFew => return Ok(()),
                Gathered::Refused(facts) => {
                    self.refused = Some(plane.now() + REFUSED_PAUSE);
                    return plane.escalate_refusal(facts).await;
                }
            }
        }
        self.files.write(CHECKPOINT, signed.to_string().as_bytes()).map_err(unavailable)?;
        (self.shown, self.witnessed, self.refused) = (head.size, true, None);
        plane.store().outbox_forget(head.size.saturating_sub(1)).await?;
        Ok(())
    }

    fn sign(&self, head: TreeHead, signer: &dyn Sign) -> Result<SignedCheckpoint, PlaneError> {
        let checkpoint = Checkpoint::new(self.key.name().clone(), head).map_err(unavailable)?;
        checkpoint.sign(&self.key, |message| signer.sign(message)).map_err(|error| match error {
            SignError::Signer(error) => PlaneError::from(error),
            SignError::Checkpoint(error) => unavailable(error),
        })
    }

    /// Reads the checkpoint that is shown, and the edge of its tree.
    fn resume<S: Store>(&mut self, plane: &Plane<S>) -> Result<Edge, PlaneError> {
        let Some(bytes) = self.files.read(CHECKPOINT).map_err(unavailable)? else {
            (self.shown, self.witnessed) = (0, true);
            return Ok(Edge::new());
        };
        let signed = SignedCheckpoint::parse(&bytes).map_err(unavailable)?;
        let edge = resume(&self.files, &signed, &known(plane, &self.key)?)?;
        self.shown = edge.size();
        self.witnessed = self.witnesses.as_mut().is_none_or(|witnesses| witnesses.have_cosigned(&signed));
        Ok(edge)
    }
}

/// The proof that the log of `new` begins with that of `old`, from the stored tiles.
fn consistency(files: &impl Files, old: u64, new: u64) -> Result<Vec<Hash>, PlaneError> {
    let tiles = hashes(files, consistency_nodes(old, new).map_err(unavailable)?, new)?;
    Ok(prove_consistency(old, new, &tiles).map_err(unavailable)?.path)
}

/// The keys that a checkpoint of this log may be signed with: this plane's own, and those that the keys document names beside
/// it while one gives way to the other (AU-4).
pub(crate) fn known<S: Store>(plane: &Plane<S>, own: &NoteKey) -> Result<Vec<NoteKey>, PlaneError> {
    let mut keys = vec![own.clone()];
    keys.extend(ledger_keys(&plane.keys().document, |_| true).map_err(unavailable)?);
    Ok(keys)
}

/// The edge of the tree that a stored checkpoint shows, from the stored tiles; one of these keys signed it.
pub(crate) fn resume(
    files: &impl Files,
    signed: &SignedCheckpoint,
    keys: &[NoteKey],
) -> Result<Edge, PlaneError> {
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
