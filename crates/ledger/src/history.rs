//! Whether two heads that a log signed are of one history (LG-2): the later tree begins with the earlier one, or its signer
//! shows two logs.
//!
//! Never blames the signer for what whoever serves the tiles may be the cause of: two logs are found only where the hashes
//! lead to the root of the later tree, and from there to another root than the earlier one. Heads of one size need no hash.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::tile::{TileId, tiles_of};
use crate::tree::{
    EMPTY_ROOT, HashReader, Node, TreeError, TreeHead, consistency_nodes, head, prove_consistency, root_nodes,
};

/// What two heads under one signature show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// One log: the later tree begins with the earlier one.
    Consistent,
    /// Two logs: a split view, or a log that was rewritten. Both heads together prove it.
    Split,
}

/// The hash tiles that tell how the heads stand to each other, as wide as they are in the larger tree; none where the
/// heads alone tell. At most some two for each level of tiles.
pub fn tiles(one: &TreeHead, other: &TreeHead) -> BTreeSet<TileId> {
    let (older, newer) = ordered(one, other);
    if told(older, newer).is_some() {
        return BTreeSet::new();
    }
    let path = consistency_nodes(older.size, newer.size).unwrap_or_default();
    let nodes: Vec<Node> = root_nodes(older.size).chain(path).collect();
    tiles_of(nodes, newer.size)
}

/// How the heads stand to each other, by the hashes in the [`tiles`].
///
/// # Errors
/// When the hashes do not tell: one is missing, or they are not those of the larger tree. That blames nobody's signature.
pub fn relate(one: &TreeHead, other: &TreeHead, hashes: &impl HashReader) -> Result<Relation, TreeError> {
    let (older, newer) = ordered(one, other);
    if let Some(relation) = told(older, newer) {
        return Ok(relation);
    }
    let found = head(older.size, hashes)?;
    // Leads to the later root: the hashes are those of the later tree, and `found` is what it began with.
    prove_consistency(older.size, newer.size, hashes)?.verify(&found, newer)?;
    Ok(if found.root == older.root { Relation::Consistent } else { Relation::Split })
}

const fn ordered<'a>(one: &'a TreeHead, other: &'a TreeHead) -> (&'a TreeHead, &'a TreeHead) {
    if one.size <= other.size { (one, other) } else { (other, one) }
}

/// What the heads show without any hash.
fn told(older: &TreeHead, newer: &TreeHead) -> Option<Relation> {
    let expected = match older.size {
        0 => EMPTY_ROOT,
        size if size == newer.size => newer.root,
        _ => return None,
    };
    Some(if older.root == expected { Relation::Consistent } else { Relation::Split })
}
