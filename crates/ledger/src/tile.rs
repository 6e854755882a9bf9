//! The tiles of C2SP tlog-tiles: which exist, what they are called, what is in them (LG-2).
//!
//! Never reads or writes a file: a path is a name, bytes come in and go out. Tiles that were read are not
//! authenticated here; what is computed from them is checked against a signed root.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::hash::{HASH_BYTES, Hash};
use crate::tree::{HashReader, Node, perfect_root};

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// Levels of the tree that one level of tiles spans.
pub const TILE_HEIGHT: u8 = 8;
/// The highest level of tiles; one above would need more than 2^64 entries.
pub const LEVEL_MAX: u8 = 7;
/// Bytes of an entry at most: its length is written in 16 bits.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;
/// Bytes of a hash tile at most.
pub const HASH_TILE_BYTES_MAX: usize = TILE_WIDTH as usize * HASH_BYTES;
/// Bytes of an entry bundle at most.
pub const BUNDLE_BYTES_MAX: usize = TILE_WIDTH as usize * (2 + ENTRY_BYTES_MAX);
/// Bytes of a tile's path at most: seven groups of digits for an index of 64 bits, with room.
pub const PATH_BYTES_MAX: usize = 64;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// The entries themselves.
    Entries,
    /// Hashes of the complete subtrees of 256^`level` entries.
    Hashes {
        /// Level among the tiles, from 0 to [`LEVEL_MAX`].
        level: u8,
    },
}

/// The name of a tile: `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// A tile with its bytes, ready to be stored under its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// The name of the tile.
    pub id: TileId,
    /// What is stored under it.
    pub bytes: Vec<u8>,
}

/// Why something is not a tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// A text that is not a tile's path.
    #[error("not the path of a tile: {why}")]
    Path {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A level that no tree reaches.
    #[error("there is no tile level {level}, the highest is {LEVEL_MAX}")]
    Level {
        /// The level that was given.
        level: u8,
    },
    /// A tile that lies behind 2^64 entries.
    #[error("tile {index} of level {level} lies behind 2^64 entries")]
    Index {
        /// The level that was given.
        level: u8,
        /// The index that was given.
        index: u64,
    },
    /// A width that a tile cannot have.
    #[error("a tile is 1 to {TILE_WIDTH} wide, not {width}")]
    Width {
        /// The width that was given.
        width: u16,
    },
    /// Content of another length than the name says.
    #[error("{id} has {expected} bytes, not {found}")]
    Length {
        /// The tile.
        id: TileId,
        /// Bytes that its width asks for.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// A bundle was given where hashes belong, or the other way round.
    #[error("{id} does not hold {wanted}")]
    Kind {
        /// The tile.
        id: TileId,
        /// What was wanted: `hashes` or `entries`.
        wanted: &'static str,
    },
    /// An entry longer than 65,535 bytes.
    #[error("an entry has at most {ENTRY_BYTES_MAX} bytes, this one has {bytes}")]
    EntryLength {
        /// Bytes of the entry.
        bytes: usize,
    },
    /// A bundle that ends within an entry.
    #[error("{id} ends within entry {number} of its {}", id.width())]
    EntryCut {
        /// The bundle.
        id: TileId,
        /// Number of the entry within the bundle, from 0.
        number: u16,
    },
    /// Bytes behind the last entry of a bundle.
    #[error("{id} has {bytes} bytes behind its last entry")]
    Trailing {
        /// The bundle.
        id: TileId,
        /// How many.
        bytes: usize,
    },
}

impl TileId {
    /// The bundle of the entries from `index` × 256 on, `width` of them.
    pub fn entries(index: u64, width: u16) -> Result<Self, TileError> {
        Self::new(TileKind::Entries, index, width)
    }

    /// The hash tile at this level and index.
    pub fn hashes(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        Self::new(TileKind::Hashes { level }, index, width)
    }

    /// The tile of this kind at this index, full when `width` is [`TILE_WIDTH`].
    pub fn new(kind: TileKind, index: u64, width: u16) -> Result<Self, TileError> {
        let id = Self { kind, index, width };
        let level = id.level();
        if level > LEVEL_MAX {
            return Err(TileError::Level { level });
        }
        if index > u64::MAX.checked_shr(shift(level + 1)).unwrap_or(0) {
            return Err(TileError::Index { level, index });
        }
        if width == 0 || width > TILE_WIDTH {
            return Err(TileError::Width { width });
        }
        Ok(id)
    }

    /// Reads a path. Total: any text gives a tile or an error, and a tile's path gives that tile alone.
    pub fn parse(path: &str) -> Result<Self, TileError> {
        let wrong = |why| TileError::Path { why };
        if path.len() > PATH_BYTES_MAX {
            return Err(wrong("too long"));
        }
        let rest = path.strip_prefix("tile/").ok_or(wrong("it does not begin with `tile/`"))?;
        let (kind, rest) = rest.split_once('/').ok_or(wrong("it has no index"))?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes { level: level.parse().map_err(|_| wrong("the level is no number"))? },
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => match width.parse() {
                Ok(TILE_WIDTH) => return Err(wrong("a full tile has no width")),
                Ok(width) => (index, width),
                Err(_) => return Err(wrong("the width is no number")),
            },
            None => (rest, TILE_WIDTH),
        };
        let index = parse_index(index).ok_or(wrong("the index is not of the form x001/x234/067"))?;
        let id = Self::new(kind, index, width)?;
        if id.to_string() == path { Ok(id) } else { Err(wrong("a number has superfluous characters")) }
    }

    /// What the tile holds.
    pub const fn kind(&self) -> TileKind {
        self.kind
    }

    /// Number from the left within the level, from 0.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, from 1 to [`TILE_WIDTH`].
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it is full, and so final.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The full tile in the place of this one.
    pub const fn to_full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    /// Level among the hash tiles; a bundle lies beside those of level 0.
    const fn level(&self) -> u8 {
        match self.kind {
            TileKind::Entries => 0,
            TileKind::Hashes { level } => level,
        }
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => write!(f, "tile/entries")?,
            TileKind::Hashes { level } => write!(f, "tile/{level}")?,
        }
        let mut above = self.index / 1000;
        let mut groups = Vec::new();
        while above > 0 {
            groups.push(above % 1000);
            above /= 1000;
        }
        groups.iter().rev().try_for_each(|group| write!(f, "/x{group:03}"))?;
        write!(f, "/{:03}", self.index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for TileId {
    type Err = TileError;
    fn from_str(path: &str) -> Result<Self, TileError> {
        Self::parse(path)
    }
}

fn parse_index(text: &str) -> Option<u64> {
    let mut groups = text.split('/').peekable();
    let mut index: u64 = 0;
    while let Some(group) = groups.next() {
        let digits = if groups.peek().is_some() { group.strip_prefix('x')? } else { group };
        if digits.len() != 3 {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some(index)
}

/// The bits by which a leaf's index is shifted to give the index of its hash at a level of tiles.
fn shift(level: u8) -> u32 {
    u32::from(level) * u32::from(TILE_HEIGHT)
}

/// The width of the tile at this place in a tree of `size`: 0 when the tree does not reach it.
pub fn width_in(kind: TileKind, index: u64, size: u64) -> u16 {
    let level = if let TileKind::Hashes { level } = kind { level } else { 0 };
    let hashes = size.checked_shr(shift(level)).unwrap_or(0);
    let before = index.saturating_mul(u64::from(TILE_WIDTH));
    hashes.saturating_sub(before).min(u64::from(TILE_WIDTH)) as u16
}

/// The tiles that are new or wider once a tree has grown from `old` to `new`: bundles, then hash tiles from level 0
/// upwards. Written in this order, no tile is ever there before what it covers. Nothing when the tree did not grow.
pub fn growth(old: u64, new: u64) -> impl Iterator<Item = TileId> {
    let kinds =
        core::iter::once(TileKind::Entries).chain((0..=LEVEL_MAX).map(|level| TileKind::Hashes { level }));
    kinds.flat_map(move |kind| {
        let level = if let TileKind::Hashes { level } = kind { level } else { 0 };
        let (had, has) = (old >> shift(level), new >> shift(level));
        let end = if has > had { has.div_ceil(u64::from(TILE_WIDTH)) } else { 0 };
        (had / u64::from(TILE_WIDTH)..end).map(move |index| TileId {
            kind,
            index,
            width: width_in(kind, index, new),
        })
    })
}

/// The hash tile that holds what the node is made of, as wide as it is in a tree of `size`; `None` when the node is
/// not a complete subtree of that tree.
pub fn tile_of(node: Node, size: u64) -> Option<TileId> {
    let level = node.level / TILE_HEIGHT;
    let (first, count) = place(node)?;
    let (kind, index) = (TileKind::Hashes { level }, first / u64::from(TILE_WIDTH));
    let width = width_in(kind, index, size);
    let within = first % u64::from(TILE_WIDTH);
    (within + count <= u64::from(width)).then_some(TileId { kind, index, width })
}

/// The hash tiles to read for these nodes of a tree of `size`.
pub fn tiles_of(nodes: impl IntoIterator<Item = Node>, size: u64) -> BTreeSet<TileId> {
    nodes.into_iter().filter_map(|node| tile_of(node, size)).collect()
}

/// The first hash at the level of tiles that lies in the node, and how many do.
fn place(node: Node) -> Option<(u64, u64)> {
    let below = u32::from(node.level % TILE_HEIGHT);
    if node.level / TILE_HEIGHT > LEVEL_MAX || node.index.leading_zeros() < below {
        return None;
    }
    Some((node.index << below, 1 << below))
}

/// Makes a hash tile from stored hashes; `None` when one of them is missing or it is a bundle.
pub fn hash_tile(id: TileId, reader: &impl HashReader) -> Option<Tile> {
    let TileKind::Hashes { level } = id.kind else { return None };
    let mut bytes = Vec::with_capacity(usize::from(id.width) * HASH_BYTES);
    for i in 0..u64::from(id.width) {
        let node = Node { level: level * TILE_HEIGHT, index: id.index * u64::from(TILE_WIDTH) + i };
        bytes.extend_from_slice(reader.hash(node)?.as_bytes());
    }
    Some(Tile { id, bytes })
}

/// Reads a hash tile. Total: exactly as many hashes as the name says, or an error.
pub fn parse_hashes(id: TileId, bytes: &[u8]) -> Result<Vec<Hash>, TileError> {
    if id.kind == TileKind::Entries {
        return Err(TileError::Kind { id, wanted: "hashes" });
    }
    let expected = usize::from(id.width) * HASH_BYTES;
    if bytes.len() != expected {
        return Err(TileError::Length { id, expected, found: bytes.len() });
    }
    let (hashes, _) = bytes.as_chunks::<HASH_BYTES>();
    Ok(hashes.iter().map(|hash| Hash::new(*hash)).collect())
}

/// Appends an entry to a bundle behind its length.
pub fn frame_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), TileError> {
    let length = u16::try_from(entry.len()).map_err(|_| TileError::EntryLength { bytes: entry.len() })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Reads an entry bundle. Total: exactly as many entries as the name says and nothing behind them, or an error.
pub fn parse_entries(id: TileId, bytes: &[u8]) -> Result<Vec<&[u8]>, TileError> {
    if id.kind != TileKind::Entries {
        return Err(TileError::Kind { id, wanted: "entries" });
    }
    let mut rest = bytes;
    let mut entries = Vec::with_capacity(usize::from(id.width));
    for number in 0..id.width {
        let cut = TileError::EntryCut { id, number };
        let Some((length, behind)) = rest.split_first_chunk::<2>() else { return Err(cut) };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((entry, behind)) = behind.split_at_checked(length) else { return Err(cut) };
        entries.push(entry);
        rest = behind;
    }
    if rest.is_empty() { Ok(entries) } else { Err(TileError::Trailing { id, bytes: rest.len() }) }
}

/// Hash tiles that were fetched: the widest known at each place.
#[derive(Debug, Clone, Default)]
pub struct TileSet {
    tiles: BTreeMap<(u8, u64), Vec<Hash>>,
}

impl TileSet {
    /// No tiles.
    pub const fn new() -> Self {
        Self { tiles: BTreeMap::new() }
    }

    /// Reads a hash tile and keeps it unless a wider one is known.
    pub fn insert(&mut self, id: TileId, bytes: &[u8]) -> Result<(), TileError> {
        let hashes = parse_hashes(id, bytes)?;
        let known = self.tiles.entry((id.level(), id.index)).or_default();
        if known.len() < hashes.len() {
            *known = hashes;
        }
        Ok(())
    }
}

impl HashReader for TileSet {
    fn hash(&self, node: Node) -> Option<Hash> {
        let (first, count) = place(node)?;
        let width = u64::from(TILE_WIDTH);
        let tile = self.tiles.get(&(node.level / TILE_HEIGHT, first / width))?;
        let start = usize::try_from(first % width).ok()?;
        let end = start.checked_add(usize::try_from(count).ok()?)?;
        perfect_root(tile.get(start..end)?)
    }
}
