//! LG-2: two heads of one log are told from two logs, whatever the tiles say.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use ledger::hash::Hash;
use ledger::history::{Relation, relate, tiles};
use ledger::memory::MemoryLog;
use ledger::tile::{TILE_WIDTH, TileId, TileSet};
use ledger::tree::{Frontier, HashReader, Node, TreeError, TreeHead};
use proptest::prelude::*;

/// A log of so many entries, which are others from the `forked`-th on; its tiles, and the head after each entry.
fn log(count: u64, forked: u64) -> (MemoryLog, Vec<TreeHead>) {
    let (mut log, mut frontier) = (MemoryLog::new(), Frontier::new());
    let mut heads = vec![frontier.head()];
    for number in 0..count {
        let entry = if number < forked { number } else { u64::MAX - number };
        frontier.push(log.append(&entry.to_be_bytes()).unwrap().1);
        heads.push(frontier.head());
    }
    assert_eq!(log.publish().unwrap(), frontier.head());
    (log, heads)
}

/// The tiles that are asked for, and no others, each under its own name or full.
fn fetched(log: &MemoryLog, one: &TreeHead, other: &TreeHead) -> TileSet {
    let mut set = TileSet::new();
    for id in tiles(one, other) {
        let full = TileId::new(id.kind(), id.index(), TILE_WIDTH).unwrap();
        let id = if log.files().contains_key(&id) { id } else { full };
        set.insert(id, &log.files()[&id]).unwrap();
    }
    set
}

fn related(log: &MemoryLog, one: &TreeHead, other: &TreeHead) -> Result<Relation, TreeError> {
    let set = fetched(log, one, other);
    let relation = relate(one, other, &set);
    assert_eq!(relation, relate(other, one, &set), "in either order");
    relation
}

#[test]
fn lg_2_heads_of_one_size_and_of_nothing_tell_by_themselves() {
    let ((_, ours), (_, theirs)) = (log(5, 5), log(5, 3));
    let none = TileSet::new();
    for (one, other, relation) in [
        (ours[5], ours[5], Relation::Consistent),
        (ours[5], theirs[5], Relation::Split),
        (ours[0], ours[5], Relation::Consistent),
        (ours[0], theirs[0], Relation::Consistent),
        (TreeHead { size: 0, root: Hash::new([1; 32]) }, ours[5], Relation::Split),
    ] {
        assert!(tiles(&one, &other).is_empty());
        assert_eq!(relate(&one, &other, &none), Ok(relation));
    }
    assert!(matches!(relate(&ours[4], &ours[5], &none), Err(TreeError::Missing(_))), "nothing was fetched");
}

#[test]
fn lg_2_what_is_asked_for_stays_small_in_the_largest_trees() {
    let root = Hash::new([7; 32]);
    let sizes = [1, 2, 255, 256, 257, 65_536, (1 << 40) - 1, 1 << 61, (1 << 62) - 1, u64::MAX - 1, u64::MAX];
    for one in sizes {
        for other in sizes {
            let (one, other) = (TreeHead { size: one, root }, TreeHead { size: other, root });
            assert!(tiles(&one, &other).len() <= 24, "{one:?} {other:?}");
            assert_eq!(relate(&one, &other, &TileSet::new()).is_ok(), one.size == other.size);
        }
    }
}

/// Hashes of which one is another.
struct Bent<'a>(&'a TileSet, Node);

impl HashReader for Bent<'_> {
    fn hash(&self, node: Node) -> Option<Hash> {
        if node == self.1 { Some(Hash::new([9; 32])) } else { self.0.hash(node) }
    }
}

#[test]
fn lg_2_bent_tiles_never_make_a_split_view_of_one_log() {
    let (log, heads) = log(300, 300);
    for older in [1, 2, 3, 128, 200, 255, 256, 257, 299] {
        let (older, newer) = (heads[older], heads[300]);
        let set = fetched(&log, &older, &newer);
        for level in 0..9 {
            for index in 0..300 {
                let told = relate(&older, &newer, &Bent(&set, Node { level, index }));
                assert_ne!(told, Ok(Relation::Split), "{} at {level}/{index}", older.size);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn lg_2_a_log_that_grows_is_one_log(sizes in (0_u64..700, 0_u64..700)) {
        let (one, other) = sizes;
        let (log, heads) = log(one.max(other), u64::MAX);
        let told = related(&log, &heads[one as usize], &heads[other as usize]);
        prop_assert_eq!(told, Ok(Relation::Consistent));
    }

    #[test]
    fn lg_2_a_log_that_forked_anywhere_below_is_two(
        (newer, older, fork) in (1_u64..700).prop_flat_map(|newer| (Just(newer), 1..=newer))
            .prop_flat_map(|(newer, older)| (Just(newer), Just(older), 0..older)),
    ) {
        let ((_, ours), (log, theirs)) = (log(older, u64::MAX), log(newer, fork));
        let (ours, theirs) = (ours[older as usize], theirs[newer as usize]);
        prop_assert_eq!(related(&log, &ours, &theirs), Ok(Relation::Split));
    }

    #[test]
    fn lg_2_the_tiles_of_the_other_log_tell_nothing(
        (newer, older, fork) in (2_u64..600).prop_flat_map(|newer| (Just(newer), 1..newer))
            .prop_flat_map(|(newer, older)| (Just(newer), Just(older), 0..older)),
    ) {
        let ((log, ours), (_, theirs)) = (log(newer, u64::MAX), log(newer, fork));
        let (ours, theirs) = (ours[older as usize], theirs[newer as usize]);
        prop_assert!(related(&log, &ours, &theirs).is_err());
    }
}
