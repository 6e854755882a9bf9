//! The Merkle tree of RFC 6962 / RFC 9162 §2.1: hashing, a growing frontier, proofs and their verification (LG-1, LG-2).
//!
//! Never stores a tree and never reads a file: hashes come through [`HashReader`], which holds what was fetched
//! beforehand. The `*_nodes` functions say what to fetch.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hash::Hash;

/// The largest tree this crate grows: 2^62 entries.
pub const SIZE_MAX: u64 = 1 << 62;

/// The root of the tree without entries: SHA-256 of nothing.
pub const EMPTY_ROOT: Hash = Hash::new([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// The hash of a leaf: SHA-256(0x00 ‖ entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let digest: [u8; 32] = Sha256::new().chain_update([0x00]).chain_update(entry).finalize().into();
    Hash::new(digest)
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let digest: [u8; 32] =
        Sha256::new().chain_update([0x01]).chain_update(left).chain_update(right).finalize().into();
    Hash::new(digest)
}

/// The size and the root of a tree: all a verifier needs to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeHead {
    /// How many entries the tree has.
    pub size: u64,
    /// The Merkle tree hash over them.
    pub root: Hash,
}

impl TreeHead {
    /// The head of the tree without entries.
    pub const EMPTY: Self = Self { size: 0, root: EMPTY_ROOT };
}

/// A complete subtree: the `index`-th from the left of those with 2^`level` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Height above the leaves; a leaf has level 0.
    pub level: u8,
    /// Number from the left within the level, from 0.
    pub index: u64,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} of level {}", self.index, self.level)
    }
}

/// Hashes that were fetched beforehand.
pub trait HashReader {
    /// The hash of a complete subtree, or `None` when it was not fetched.
    fn hash(&self, node: Node) -> Option<Hash>;
}

/// That the entry at `index` is in the tree of `size`, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionProof {
    /// Position of the entry, from 0.
    pub index: u64,
    /// Size of the tree the proof was made for.
    pub size: u64,
    /// Sibling hashes from the leaf to the root.
    pub path: Vec<Hash>,
}

/// That the tree of `new` begins with the tree of `old`, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyProof {
    /// Size of the earlier tree.
    pub old: u64,
    /// Size of the later tree.
    pub new: u64,
    /// Hashes in the order of RFC 9162 §2.1.4.
    pub path: Vec<Hash>,
}

/// Why a tree cannot be grown or read, or a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The index lies behind the end of the tree.
    #[error("there is no entry {index} in a tree of {size}")]
    Outside {
        /// The index asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The later tree is smaller than the earlier one.
    #[error("a log only grows: {new} entries cannot follow {old}")]
    Shrinks {
        /// The earlier size.
        old: u64,
        /// The later size.
        new: u64,
    },
    /// The tree is larger than [`SIZE_MAX`].
    #[error("a tree of {size} entries is beyond the limit of 2^62")]
    Size {
        /// The size that was given.
        size: u64,
    },
    /// A frontier with the wrong number of hashes for its size.
    #[error("the frontier of a tree of {size} has {expected} hashes, not {found}")]
    Frontier {
        /// The size that was given.
        size: u64,
        /// How many hashes belong to it.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A hash that was not fetched.
    #[error("the hash of {0} is missing")]
    Missing(Node),
    /// The proof was made for a tree of another size than the head it is checked against.
    #[error("the proof is for a tree of {found}, the head is for one of {expected}")]
    OtherTree {
        /// The size of the head.
        expected: u64,
        /// The size in the proof.
        found: u64,
    },
    /// A proof with the wrong number of hashes.
    #[error("the proof has {found} hashes, it should have {expected}")]
    Length {
        /// How many hashes a proof of this kind and size has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// The proof does not lead to the root.
    #[error("the proof leads to root {found}, the tree of {size} has root {expected}")]
    Root {
        /// The size of the tree whose root was missed.
        size: u64,
        /// The root of the tree.
        expected: Hash,
        /// Where the proof leads.
        found: Hash,
    },
}

impl InclusionProof {
    /// Checks that the entry with this leaf hash is at `index` in the tree of `head`.
    pub fn verify(&self, leaf: Hash, head: &TreeHead) -> Result<(), TreeError> {
        if self.size != head.size {
            return Err(TreeError::OtherTree { expected: head.size, found: self.size });
        }
        verify_inclusion(self.index, leaf, head, &self.path)
    }
}

impl ConsistencyProof {
    /// Checks that the tree of `new` begins with the tree of `old`.
    pub fn verify(&self, old: &TreeHead, new: &TreeHead) -> Result<(), TreeError> {
        for (expected, found) in [(old.size, self.old), (new.size, self.new)] {
            if expected != found {
                return Err(TreeError::OtherTree { expected, found });
            }
        }
        verify_consistency(old, new, &self.path)
    }
}

/// Checks an inclusion proof (RFC 9162 §2.1.3.2): the leaf is at `index` in the tree of `head`.
pub fn verify_inclusion(index: u64, leaf: Hash, head: &TreeHead, path: &[Hash]) -> Result<(), TreeError> {
    let TreeHead { size, root } = *head;
    if index >= size {
        return Err(TreeError::Outside { index, size });
    }
    let (inner, border) = path_shape(index, size);
    check_length(inner + border, path.len())?;
    let (inner, border) = path.split_at_checked(inner).unwrap_or((path, &[]));
    let found = chain_border(chain_inner(leaf, inner, index), border);
    check_root(size, root, found)
}

/// Checks a consistency proof (RFC 9162 §2.1.4.2): the tree of `new` begins with the tree of `old`.
///
/// Between equal sizes the proof is empty and the roots are equal; from the empty tree it is empty too.
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, path: &[Hash]) -> Result<(), TreeError> {
    if old.size > new.size {
        return Err(TreeError::Shrinks { old: old.size, new: new.size });
    }
    if old.size == 0 || old.size == new.size {
        check_length(0, path.len())?;
        let expected = if old.size == 0 { EMPTY_ROOT } else { new.root };
        return check_root(old.size, old.root, expected);
    }
    let (inner, border) = path_shape(old.size - 1, new.size);
    let shift = old.size.trailing_zeros();
    let inner = inner - shift as usize;
    let whole = old.size.is_power_of_two();
    check_length(inner + border + usize::from(!whole), path.len())?;
    let (seed, rest) = match path.split_first() {
        Some((first, rest)) if !whole => (*first, rest),
        _ => (old.root, path),
    };
    let (inner, border) = rest.split_at_checked(inner).unwrap_or((rest, &[]));
    let mask = (old.size - 1) >> shift;
    check_root(old.size, old.root, chain_border(chain_inner_right(seed, inner, mask), border))?;
    check_root(new.size, new.root, chain_border(chain_inner(seed, inner, mask), border))
}

/// The subtrees whose hashes make the root of a tree of this size, the largest first.
pub fn root_nodes(size: u64) -> impl Iterator<Item = Node> {
    span_nodes((0, size))
}

/// The subtrees an inclusion proof needs.
pub fn inclusion_nodes(index: u64, size: u64) -> Result<Vec<Node>, TreeError> {
    Ok(inclusion_spans(index, size)?.into_iter().flat_map(span_nodes).collect())
}

/// The subtrees a consistency proof needs.
pub fn consistency_nodes(old: u64, new: u64) -> Result<Vec<Node>, TreeError> {
    Ok(consistency_spans(old, new)?.into_iter().flat_map(span_nodes).collect())
}

/// The head of the tree of this size.
pub fn head(size: u64, reader: &impl HashReader) -> Result<TreeHead, TreeError> {
    let root = if size == 0 { EMPTY_ROOT } else { span_hash((0, size), reader)? };
    Ok(TreeHead { size, root })
}

/// Makes the proof that the entry at `index` is in the tree of `size` (RFC 9162 §2.1.3.1).
pub fn prove_inclusion(index: u64, size: u64, reader: &impl HashReader) -> Result<InclusionProof, TreeError> {
    let spans = inclusion_spans(index, size)?;
    let path = spans.into_iter().map(|span| span_hash(span, reader)).collect::<Result<_, _>>()?;
    Ok(InclusionProof { index, size, path })
}

/// Makes the proof that the tree of `new` begins with that of `old` (RFC 9162 §2.1.4.1).
pub fn prove_consistency(
    old: u64,
    new: u64,
    reader: &impl HashReader,
) -> Result<ConsistencyProof, TreeError> {
    let spans = consistency_spans(old, new)?;
    let path = spans.into_iter().map(|span| span_hash(span, reader)).collect::<Result<_, _>>()?;
    Ok(ConsistencyProof { old, new, path })
}

/// A tree without its inside: the roots of its complete subtrees, at most 63 of them. Enough to append and to
/// know the root; a verifier that streams the log needs no more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// One for each set bit of `size`, the largest subtree first.
    hashes: Vec<Hash>,
}

impl Frontier {
    /// The tree without entries.
    pub const fn new() -> Self {
        Self { size: 0, hashes: Vec::new() }
    }

    /// The frontier with these subtree roots, the largest first; one for each set bit of `size`.
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Result<Self, TreeError> {
        if size > SIZE_MAX {
            return Err(TreeError::Size { size });
        }
        let expected = size.count_ones() as usize;
        if hashes.len() != expected {
            return Err(TreeError::Frontier { size, expected, found: hashes.len() });
        }
        Ok(Self { size, hashes })
    }

    /// The frontier of the tree of this size, from stored hashes.
    pub fn read(size: u64, reader: &impl HashReader) -> Result<Self, TreeError> {
        if size > SIZE_MAX {
            return Err(TreeError::Size { size });
        }
        let read = |node| reader.hash(node).ok_or(TreeError::Missing(node));
        Ok(Self { size, hashes: root_nodes(size).map(read).collect::<Result<_, _>>()? })
    }

    /// Appends a leaf and gives its position.
    pub fn push(&mut self, leaf: Hash) -> u64 {
        let position = self.size;
        let mut hash = leaf;
        for _ in 0..position.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        // A frontier starts at SIZE_MAX at most, and 2^62 more pushes outlast any machine.
        self.size = self.size.saturating_add(1);
        position
    }

    /// How many entries the tree has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        fold(self.hashes.iter().copied()).unwrap_or(EMPTY_ROOT)
    }

    /// Size and root.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
    }

    /// The roots of the complete subtrees, the largest first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }
}

/// The root over subtree roots given from the largest to the smallest; `None` when there are none.
pub(crate) fn fold(hashes: impl DoubleEndedIterator<Item = Hash>) -> Option<Hash> {
    hashes.rev().reduce(|right, left| node_hash(&left, &right))
}

/// The root of a complete subtree over these hashes; `None` unless their number is a power of two.
pub(crate) fn perfect_root(hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut frontier = Frontier::new();
    for hash in hashes {
        frontier.push(*hash);
    }
    Some(frontier.root())
}

/// Leaves from the first up to, not including, the second.
type Span = (u64, u64);

/// The largest power of two below `length`, which is at least 2.
fn split(length: u64) -> u64 {
    1 << (length.max(2) - 1).ilog2()
}

/// The complete subtrees of a span that a proof names, the largest first.
fn span_nodes((mut low, high): Span) -> impl Iterator<Item = Node> {
    core::iter::from_fn(move || {
        let level = high.checked_sub(low)?.checked_ilog2()?;
        let node = Node { level: level as u8, index: low >> level };
        low += 1 << level;
        Some(node)
    })
}

/// The Merkle tree hash over a span.
fn span_hash(span: Span, reader: &impl HashReader) -> Result<Hash, TreeError> {
    let read = |node| reader.hash(node).ok_or(TreeError::Missing(node));
    let hashes = span_nodes(span).map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(fold(hashes.into_iter()).unwrap_or(EMPTY_ROOT))
}

/// The spans of PATH(index, D[size]), from the leaf to the root.
fn inclusion_spans(index: u64, size: u64) -> Result<Vec<Span>, TreeError> {
    if index >= size {
        return Err(TreeError::Outside { index, size });
    }
    let (mut low, mut high, mut spans) = (0, size, Vec::new());
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            spans.push((middle, high));
            high = middle;
        } else {
            spans.push((low, middle));
            low = middle;
        }
    }
    spans.reverse();
    Ok(spans)
}

/// The spans of PROOF(old, D[new]), in the order of the proof.
fn consistency_spans(old: u64, new: u64) -> Result<Vec<Span>, TreeError> {
    if old > new {
        return Err(TreeError::Shrinks { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut low, mut high, mut spans) = (0, new, Vec::new());
    while high != old {
        let middle = low + split(high - low);
        if old <= middle {
            spans.push((middle, high));
            high = middle;
        } else {
            spans.push((low, middle));
            low = middle;
        }
    }
    if low > 0 {
        // The verifier knows the old root only when the old tree is itself one complete subtree.
        spans.push((low, high));
    }
    spans.reverse();
    Ok(spans)
}

/// How many hashes of an inclusion path lie below the point where the way to `index` leaves the right edge of the
/// tree, and how many above. `index` is less than `size`.
fn path_shape(index: u64, size: u64) -> (usize, usize) {
    let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    (inner as usize, border as usize)
}

fn chain_inner(seed: Hash, path: &[Hash], index: u64) -> Hash {
    path.iter().enumerate().fold(seed, |hash, (i, sibling)| {
        if index >> i & 1 == 0 { node_hash(&hash, sibling) } else { node_hash(sibling, &hash) }
    })
}

/// As [`chain_inner`], of the siblings on the left alone: what the tree was before it grew to the right.
fn chain_inner_right(seed: Hash, path: &[Hash], index: u64) -> Hash {
    path.iter().enumerate().fold(
        seed,
        |hash, (i, sibling)| {
            if index >> i & 1 == 0 { hash } else { node_hash(sibling, &hash) }
        },
    )
}

fn chain_border(seed: Hash, path: &[Hash]) -> Hash {
    path.iter().fold(seed, |hash, sibling| node_hash(sibling, &hash))
}

fn check_length(expected: usize, found: usize) -> Result<(), TreeError> {
    if expected == found { Ok(()) } else { Err(TreeError::Length { expected, found }) }
}

fn check_root(size: u64, expected: Hash, found: Hash) -> Result<(), TreeError> {
    if expected == found { Ok(()) } else { Err(TreeError::Root { size, expected, found }) }
}
