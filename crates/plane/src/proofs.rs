//! The decisions about one instance, and the proof that an entry stands in the log (LG-1, LG-2).
//!
//! Never proves what was not published: a proof stands under a checkpoint that anyone is shown.

use governance::InstanceId;
use ledger::tile::tiles_of;
use ledger::tree::{Node, inclusion_nodes, prove_inclusion};
use ledger::{Entry, LogProof, SignedCheckpoint, TileSet};

use crate::ports::{PAGE_MAX, Store};
use crate::publication::{CHECKPOINT, Files};
use crate::{Plane, PlaneError, Rejection};

impl<S: Store> Plane<S> {
    /// The decisions about an instance, counted from 1, from the `from`-th on.
    ///
    /// # Errors
    /// When there is no such instance, or the store does not answer.
    pub async fn decisions(
        &self,
        id: InstanceId,
        from: u64,
        limit: usize,
    ) -> Result<wire::Page<wire::DecisionView>, PlaneError> {
        if self.instance(id).await?.is_none() {
            return Err(PlaneError::NotFound(format!("instance {id}")));
        }
        let (first, limit) = (from.max(1), limit.clamp(1, PAGE_MAX));
        let entries = self.store.decision_page(id, first - 1, limit).await?;
        let next = (entries.len() == limit).then(|| first.saturating_add(limit as u64).to_string());
        let mut items = Vec::with_capacity(entries.len());
        for (number, (position, bytes)) in (first..).zip(entries) {
            let entry = Entry::decode(&bytes).map_err(|error| PlaneError::Unavailable(error.to_string()))?;
            items.push(wire::DecisionView {
                number,
                position,
                openings: self.openings(&entry).await?,
                at: entry.at,
                rule: entry.rule,
                authority: entry.authority,
                actor: entry.actor,
                event: entry.event,
            });
        }
        Ok(wire::Page { items, next })
    }

    /// The proof that an entry stands in the log, under the checkpoint that was published last.
    ///
    /// # Errors
    /// When there is no such entry, it is not published yet, or the files do not answer.
    pub async fn proof(&self, files: &impl Files, position: u64) -> Result<LogProof, PlaneError> {
        let entry = self.store.entry_page(position, 1).await?.pop();
        let entry = entry.ok_or_else(|| PlaneError::NotFound(format!("entry {position}")))?;
        let read = |path: &str| files.read(path).map_err(|error| PlaneError::Unavailable(error.to_string()));
        let unpublished = || {
            let hint = "ask again in a second: checkpoints follow decisions within that";
            Rejection::new(
                "not-published-yet",
                "LG-2",
                format!("no checkpoint covers entry {position} yet"),
                hint,
            )
        };
        let checkpoint = read(CHECKPOINT)?.ok_or_else(unpublished)?;
        let checkpoint = SignedCheckpoint::parse(&checkpoint).map_err(broken)?;
        let size = checkpoint.unverified().head().size;
        if position >= size {
            return Err(unpublished().into());
        }
        let tiles = hashes(files, inclusion_nodes(position, size).map_err(broken)?, size)?;
        let proof = prove_inclusion(position, size, &tiles).map_err(broken)?;
        Ok(LogProof::new(proof, entry, checkpoint))
    }

    /// The proof of the so-many-th decision about an instance, counted from 1.
    ///
    /// # Errors
    /// As [`proof`](Self::proof).
    pub async fn decision_proof(
        &self,
        files: &impl Files,
        id: InstanceId,
        number: u64,
    ) -> Result<LogProof, PlaneError> {
        let missing = || PlaneError::NotFound(format!("decision {number} about instance {id}"));
        let skip = number.checked_sub(1).ok_or_else(missing)?;
        let found = self.store.decision_page(id, skip, 1).await?;
        let (position, _) = found.first().ok_or_else(missing)?;
        self.proof(files, *position).await
    }
}

/// The stored hashes of these nodes of the log of `size`.
pub(crate) fn hashes(files: &impl Files, nodes: Vec<Node>, size: u64) -> Result<TileSet, PlaneError> {
    let mut tiles = TileSet::new();
    for id in tiles_of(nodes, size) {
        let path = id.to_string();
        let bytes = files.read(&path).map_err(|error| PlaneError::Unavailable(error.to_string()))?;
        let bytes =
            bytes.ok_or_else(|| PlaneError::Unavailable(format!("the ledger's tile {path} is missing")))?;
        tiles.insert(id, &bytes).map_err(broken)?;
    }
    Ok(tiles)
}

fn broken(error: impl std::fmt::Display) -> PlaneError {
    PlaneError::Unavailable(format!("the ledger's files: {error}"))
}
