//! The right edge of a growing log: takes entries, gives the tiles to store and the head to sign (LG-1, LG-2).
//!
//! Never stores anything: when writing what [`Edge::take`] gave fails, the edge is thrown away and resumed from what
//! is stored.

use alloc::vec::Vec;

use crate::hash::Hash;
use crate::tile::{
    LEVEL_MAX, TILE_HEIGHT, TILE_WIDTH, Tile, TileError, TileId, TileKind, frame_entry, growth,
    parse_entries, parse_hashes, width_in,
};
use crate::tree::{EMPTY_ROOT, SIZE_MAX, TreeError, TreeHead, fold, leaf_hash, perfect_root};

/// The partial tiles at the right edge of a tree, and the full ones since tiles were last taken. About 64 KiB of
/// hashes and one bundle at rest; the tiles that wait are as many as the entries since [`Edge::take`].
#[derive(Debug, Clone)]
pub struct Edge {
    size: u64,
    taken: u64,
    /// The partial hash tile of each level, possibly empty.
    levels: [Vec<Hash>; LEVEL_MAX as usize + 1],
    /// The partial bundle.
    bundle: Vec<u8>,
    full: Vec<Tile>,
}

/// Why an edge cannot be resumed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// A tile of the edge was not given.
    #[error("{0} is missing")]
    Missing(TileId),
    /// A tile of the edge cannot be read.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// The tree is too large, or the tiles do not have its root.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An entry of the partial bundle does not have the hash in the tile beside it.
    #[error("entry {position} does not have the hash that stands for it in the tree")]
    Entry {
        /// Position of the entry in the log.
        position: u64,
    },
}

impl Default for Edge {
    fn default() -> Self {
        Self::new()
    }
}

impl Edge {
    /// The edge of the log without entries.
    pub const fn new() -> Self {
        const NONE: Vec<Hash> = Vec::new();
        Self {
            size: 0,
            taken: 0,
            levels: [NONE; LEVEL_MAX as usize + 1],
            bundle: Vec::new(),
            full: Vec::new(),
        }
    }

    /// The partial tiles that [`Edge::resume`] needs for a log of this size, at most nine.
    pub fn tiles_to_resume(size: u64) -> Vec<TileId> {
        core::iter::once(TileKind::Entries)
            .chain((0..=LEVEL_MAX).map(|level| TileKind::Hashes { level }))
            .filter_map(|kind| {
                let level = if let TileKind::Hashes { level } = kind { level } else { 0 };
                let index = (size >> (level * TILE_HEIGHT)) / u64::from(TILE_WIDTH);
                TileId::new(kind, index, width_in(kind, index, size)).ok()
            })
            .collect()
    }

    /// The edge of the log with this head, from the tiles that [`Edge::tiles_to_resume`] names. They are checked
    /// against the root, and the entries of the partial bundle against their hashes.
    pub fn resume(head: &TreeHead, tiles: impl IntoIterator<Item = Tile>) -> Result<Self, EdgeError> {
        let TreeHead { size, root } = *head;
        if size > SIZE_MAX {
            return Err(TreeError::Size { size }.into());
        }
        let tiles: Vec<Tile> = tiles.into_iter().collect();
        let mut edge = Self { size, taken: size, ..Self::new() };
        for id in Self::tiles_to_resume(size) {
            let tile = tiles.iter().find(|tile| tile.id == id).ok_or(EdgeError::Missing(id))?;
            match id.kind() {
                TileKind::Entries => edge.bundle.clone_from(&tile.bytes),
                TileKind::Hashes { level } => {
                    if let Some(hashes) = edge.levels.get_mut(usize::from(level)) {
                        *hashes = parse_hashes(id, &tile.bytes)?;
                    }
                }
            }
        }
        let found = edge.root();
        if found != root {
            return Err(TreeError::Root { size, expected: root, found }.into());
        }
        edge.check_bundle()?;
        Ok(edge)
    }

    /// Appends an entry; gives its position and its leaf hash.
    pub fn append(&mut self, entry: &[u8]) -> Result<(u64, Hash), TileError> {
        frame_entry(&mut self.bundle, entry)?;
        let (position, leaf) = (self.size, leaf_hash(entry));
        self.size = self.size.saturating_add(1);
        self.push(leaf, position);
        Ok((position, leaf))
    }

    /// The tiles that are new or wider since tiles were last taken: bundles first, then hash tiles by level.
    /// All of them are to be stored before a checkpoint of [`Edge::head`] is shown to anyone.
    pub fn take(&mut self) -> Vec<Tile> {
        let mut full = core::mem::take(&mut self.full);
        full.sort_by_key(|tile| tile.id);
        let mut full = full.into_iter();
        let grown = growth(self.taken, self.size);
        let tiles = grown
            .filter_map(
                |id| if id.is_full() { full.next() } else { Some(Tile { id, bytes: self.partial(id) }) },
            )
            .collect();
        self.taken = self.size;
        tiles
    }

    /// How many entries the log has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over all entries.
    pub fn root(&self) -> Hash {
        let pieces: Vec<Hash> = self.levels.iter().rev().flat_map(|hashes| perfect_roots(hashes)).collect();
        fold(pieces.into_iter()).unwrap_or(EMPTY_ROOT)
    }

    /// Size and root: what a checkpoint signs.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
    }

    /// Puts a leaf into level 0 and carries what became full upwards.
    fn push(&mut self, leaf: Hash, position: u64) {
        let (mut hash, mut place) = (leaf, position);
        for (level, hashes) in (0..).zip(self.levels.iter_mut()) {
            hashes.push(hash);
            let index = place / u64::from(TILE_WIDTH);
            if hashes.len() < usize::from(TILE_WIDTH) {
                return;
            }
            let Some(root) = perfect_root(hashes) else { return };
            if level == 0
                && let Ok(id) = TileId::entries(index, TILE_WIDTH)
            {
                self.full.push(Tile { id, bytes: core::mem::take(&mut self.bundle) });
            }
            if let Ok(id) = TileId::hashes(level, index, TILE_WIDTH) {
                self.full.push(Tile { id, bytes: concatenate(hashes) });
            }
            hashes.clear();
            (hash, place) = (root, index);
        }
    }

    /// The bytes of a partial tile of the edge.
    fn partial(&self, id: TileId) -> Vec<u8> {
        match id.kind() {
            TileKind::Entries => self.bundle.clone(),
            TileKind::Hashes { level } => {
                self.levels.get(usize::from(level)).map(|hashes| concatenate(hashes)).unwrap_or_default()
            }
        }
    }

    fn check_bundle(&self) -> Result<(), EdgeError> {
        let [hashes, ..] = &self.levels;
        let first = self.size - hashes.len() as u64;
        let Ok(id) = TileId::entries(first / u64::from(TILE_WIDTH), hashes.len() as u16) else {
            return Ok(());
        };
        let entries = parse_entries(id, &self.bundle)?;
        for (position, (entry, hash)) in (first..).zip(entries.into_iter().zip(hashes)) {
            if leaf_hash(entry) != *hash {
                return Err(EdgeError::Entry { position });
            }
        }
        Ok(())
    }
}

/// The roots of the complete subtrees over these hashes, the largest first.
fn perfect_roots(hashes: &[Hash]) -> Vec<Hash> {
    let (mut rest, mut roots) = (hashes, Vec::new());
    while let Some(level) = rest.len().checked_ilog2() {
        let (subtree, behind) = rest.split_at(1 << level);
        roots.extend(perfect_root(subtree));
        rest = behind;
    }
    roots
}

fn concatenate(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}
