//! A whole log in memory, for tests and simulations: the same edge and tiles as a stored one.
//!
//! Never signs and never forgets.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::edge::Edge;
use crate::hash::Hash;
use crate::tile::{TILE_WIDTH, TileError, TileId, TileKind, TileSet, parse_entries, width_in};
use crate::tree::{self, ConsistencyProof, InclusionProof, TreeError, TreeHead};

/// A log with its tiles in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    edge: Edge,
    files: BTreeMap<TileId, Vec<u8>>,
    tiles: TileSet,
}

impl MemoryLog {
    /// The log without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry; gives its position and its leaf hash. It shows with the next [`MemoryLog::publish`].
    pub fn append(&mut self, entry: &[u8]) -> Result<(u64, Hash), TileError> {
        self.edge.append(entry)
    }

    /// Stores the tiles of what was appended and gives the head to sign.
    pub fn publish(&mut self) -> Result<TreeHead, TileError> {
        for tile in self.edge.take() {
            if tile.id.kind() != TileKind::Entries {
                self.tiles.insert(tile.id, &tile.bytes)?;
            }
            self.files.insert(tile.id, tile.bytes);
        }
        Ok(self.edge.head())
    }

    /// The stored tiles by name.
    pub const fn files(&self) -> &BTreeMap<TileId, Vec<u8>> {
        &self.files
    }

    /// The hashes of the stored tiles.
    pub const fn hashes(&self) -> &TileSet {
        &self.tiles
    }

    /// The published entry at a position.
    pub fn entry(&self, position: u64) -> Option<&[u8]> {
        let width = u64::from(TILE_WIDTH);
        let index = position / width;
        let id = TileId::entries(index, width_in(TileKind::Entries, index, self.edge.size())).ok()?;
        let entries = parse_entries(id, self.files.get(&id)?).ok()?;
        entries.get(usize::try_from(position % width).ok()?).copied()
    }

    /// The proof that the entry at `index` is in the tree of `size`.
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<InclusionProof, TreeError> {
        tree::prove_inclusion(index, size, &self.tiles)
    }

    /// The proof that the tree of `new` begins with that of `old`.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<ConsistencyProof, TreeError> {
        tree::prove_consistency(old, new, &self.tiles)
    }
}
