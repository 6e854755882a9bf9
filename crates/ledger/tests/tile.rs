//! LG-2: the names and contents of tiles, and the edge that makes them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use ledger::edge::EdgeError;
use ledger::memory::MemoryLog;
use ledger::tile::*;
use ledger::tree::{
    self, EMPTY_ROOT, TreeError, TreeHead, consistency_nodes, inclusion_nodes, leaf_hash, root_nodes,
};
use ledger::{Edge, Hash};
use proptest::prelude::*;

fn entry(index: u64) -> Vec<u8> {
    vec![index as u8; (index % 7) as usize]
}

fn log(size: u64) -> (MemoryLog, TreeHead) {
    let mut log = MemoryLog::new();
    for index in 0..size {
        log.append(&entry(index)).unwrap();
    }
    let head = log.publish().unwrap();
    (log, head)
}

#[test]
fn paths() {
    let check = |id: Result<TileId, TileError>, path: &str| {
        let id = id.unwrap();
        assert_eq!(id.to_string(), path);
        assert_eq!(TileId::parse(path), Ok(id));
    };
    //    level index       width
    check(TileId::hashes(0, 0, 256), "tile/0/000");
    check(TileId::hashes(0, 273, 112), "tile/0/273.p/112");
    check(TileId::hashes(1, 1_234_067, 256), "tile/1/x001/x234/067");
    check(TileId::hashes(2, 1000, 1), "tile/2/x001/000.p/1");
    check(TileId::hashes(7, 0, 255), "tile/7/000.p/255");
    check(TileId::entries(999, 256), "tile/entries/999");
    check(TileId::entries(1_234_067, 8), "tile/entries/x001/x234/067.p/8");
    check(TileId::entries(u64::MAX >> 8, 8), "tile/entries/x072/x057/x594/x037/x927/935.p/8");
}

#[test]
fn refuses_paths() {
    #[rustfmt::skip]
    let rows = [
        "", "/", "tile", "tile/", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "checkpoint",
        "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x00", "tile/0/x001", "tile/0/x000/000", "tile/0/001/000",
        "tile/0/+01", "tile/0/-01", "tile/0/x001/x23/067", "tile/0/X001/000", "tile/0/0٠",
        "tile/00/000", "tile/+0/000", "tile/-1/000", "tile/8/000", "tile/63/000", "tile/256/000", "tile/data/000",
        "tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/257", "tile/0/000.p/01",
        "tile/0/000.p/+1", "tile/0/000.p/1/", "tile/0/000.p/1.p/1", "tile/0/000.p/65792", "tile/0/x000.p/1/000",
        "tile/0/x072/x057/x594/x037/x927/936", "tile/7/001", "tile/6/256",
        "tile/0/x018/x446/x744/x073/x709/x551/616", "tile/0/../000", "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ];
    for path in rows {
        assert!(TileId::parse(path).is_err(), "{path}");
    }
    assert_eq!(TileId::hashes(8, 0, 1), Err(TileError::Level { level: 8 }));
    assert_eq!(TileId::hashes(7, 1, 1), Err(TileError::Index { level: 7, index: 1 }));
    assert_eq!(TileId::entries(0, 0), Err(TileError::Width { width: 0 }));
    assert_eq!(TileId::entries(0, 257), Err(TileError::Width { width: 257 }));
}

#[test]
fn growth_names_what_changed() {
    let check = |old, new, paths: &[&str]| {
        assert_eq!(growth(old, new).map(|id| id.to_string()).collect::<Vec<_>>(), paths, "{old} to {new}");
    };
    check(0, 0, &[]);
    check(5, 5, &[]);
    check(6, 5, &[]);
    check(0, 1, &["tile/entries/000.p/1", "tile/0/000.p/1"]);
    check(255, 256, &["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
    check(256, 257, &["tile/entries/001.p/1", "tile/0/001.p/1"]);
    let paths =
        ["tile/entries/000", "tile/entries/001.p/4", "tile/0/000", "tile/0/001.p/4", "tile/1/000.p/1"];
    check(200, 260, &paths);
}

/// The example of C2SP tlog-tiles: a tree of 70,000.
#[test]
fn the_tiles_of_seventy_thousand() {
    let tiles: Vec<_> = growth(0, 70_000).collect();
    let count = |kind, full| tiles.iter().filter(|id| id.kind() == kind && id.is_full() == full).count();
    assert_eq!(count(TileKind::Hashes { level: 0 }, true), 273);
    assert_eq!(count(TileKind::Hashes { level: 1 }, true), 1);
    assert_eq!(count(TileKind::Entries, true), 273);
    let partial: Vec<_> = tiles.iter().filter(|id| !id.is_full()).map(ToString::to_string).collect();
    assert_eq!(partial, ["tile/entries/273.p/112", "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
}

#[test]
fn a_grown_log_is_its_tiles() {
    const SIZE: u64 = 66_000;
    let (log, head) = log(SIZE);
    for (id, bytes) in log.files() {
        if id.kind() == TileKind::Entries {
            let first = id.index() * 256;
            for (entry_read, index) in parse_entries(*id, bytes).unwrap().into_iter().zip(first..) {
                assert_eq!(entry_read, entry(index));
            }
        } else {
            assert_eq!(hash_tile(*id, log.hashes()).unwrap().bytes, *bytes);
        }
    }
    assert_eq!(log.entry(65_999).unwrap(), entry(65_999));
    assert_eq!(log.entry(66_000), None);
    assert_eq!(log.files().keys().copied().collect::<Vec<_>>(), {
        let mut all: Vec<_> = growth(0, SIZE).collect();
        all.sort();
        all
    });
    assert_eq!(tree::head(SIZE, log.hashes()).unwrap(), head);
    for index in [0, 1, 255, 256, 65_535, 65_536, SIZE - 1] {
        log.prove_inclusion(index, SIZE).unwrap().verify(leaf_hash(&entry(index)), &head).unwrap();
    }
}

#[test]
fn bundles() {
    let id = |width| TileId::entries(0, width).unwrap();
    let check = |width, bytes: &[u8], want: Result<Vec<&[u8]>, TileError>| {
        assert_eq!(parse_entries(id(width), bytes), want);
    };
    //    width bytes                      entries
    check(1, &[0, 0], Ok(vec![&[]]));
    check(2, &[0, 1, 9, 0, 0], Ok(vec![&[9], &[]]));
    check(1, &[], Err(TileError::EntryCut { id: id(1), number: 0 }));
    check(1, &[0], Err(TileError::EntryCut { id: id(1), number: 0 }));
    check(2, &[0, 1, 9, 0, 2, 1], Err(TileError::EntryCut { id: id(2), number: 1 }));
    check(1, &[0, 1, 9, 0, 0], Err(TileError::Trailing { id: id(1), bytes: 2 }));
    let mut bundle = vec![];
    assert_eq!(frame_entry(&mut bundle, &[0; 65_536]), Err(TileError::EntryLength { bytes: 65_536 }));
    assert!(bundle.is_empty());
    frame_entry(&mut bundle, &[5; 65_535]).unwrap();
    check(1, &bundle, Ok(vec![&[5; 65_535]]));
    let hashes = TileId::hashes(0, 0, 2).unwrap();
    assert_eq!(parse_entries(hashes, &[]), Err(TileError::Kind { id: hashes, wanted: "entries" }));
    assert_eq!(parse_hashes(id(1), &[]), Err(TileError::Kind { id: id(1), wanted: "hashes" }));
    assert_eq!(
        parse_hashes(hashes, &[0; 65]),
        Err(TileError::Length { id: hashes, expected: 64, found: 65 })
    );
}

#[test]
fn an_edge_is_not_resumed_from_false_tiles() {
    let (log, head) = log(300);
    let stored = || {
        Edge::tiles_to_resume(300)
            .into_iter()
            .map(|id| Tile { id, bytes: log.files()[&id].clone() })
            .collect()
    };
    let names: Vec<_> = Edge::tiles_to_resume(300).into_iter().map(|id| id.to_string()).collect();
    assert_eq!(names, ["tile/entries/001.p/44", "tile/0/001.p/44", "tile/1/000.p/1"]);
    let tiles: Vec<Tile> = stored();
    assert_eq!(Edge::resume(&head, tiles).unwrap().head(), head);

    let mut tiles: Vec<Tile> = stored();
    let missing = tiles.remove(1).id;
    assert_eq!(Edge::resume(&head, tiles).unwrap_err(), EdgeError::Missing(missing));
    let mut tiles: Vec<Tile> = stored();
    tiles[1].bytes[0] ^= 1;
    assert!(matches!(Edge::resume(&head, tiles), Err(EdgeError::Tree(TreeError::Root { size: 300, .. }))));
    let mut tiles: Vec<Tile> = stored();
    *tiles[0].bytes.last_mut().unwrap() ^= 1;
    assert_eq!(Edge::resume(&head, tiles).unwrap_err(), EdgeError::Entry { position: 299 });
    let mut tiles: Vec<Tile> = stored();
    tiles[0].bytes.push(0);
    assert!(matches!(Edge::resume(&head, tiles), Err(EdgeError::Tile(TileError::Trailing { bytes: 1, .. }))));
    assert_eq!(Edge::resume(&TreeHead::EMPTY, []).unwrap().root(), EMPTY_ROOT);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However a log is published, resumed and published again, its tiles are those of one that grew at once.
    #[test]
    fn an_edge_resumes(steps in proptest::collection::vec(0u64..600, 1..5)) {
        let mut files = BTreeMap::new();
        let (mut size, mut head) = (0, TreeHead::EMPTY);
        for step in steps {
            let tiles: Vec<_> = Edge::tiles_to_resume(size)
                .into_iter()
                .map(|id| { let bytes: &Vec<u8> = &files[&id]; Tile { id, bytes: bytes.clone() } })
                .collect();
            let mut edge = Edge::resume(&head, tiles).unwrap();
            prop_assert!(edge.take().is_empty());
            for index in size..size + step {
                prop_assert_eq!(edge.append(&entry(index)).unwrap(), (index, leaf_hash(&entry(index))));
            }
            let tiles = edge.take();
            prop_assert_eq!(tiles.iter().map(|tile| tile.id).collect::<Vec<_>>(), growth(size, size + step).collect::<Vec<_>>());
            files.extend(tiles.into_iter().map(|tile| (tile.id, tile.bytes)));
            (size, head) = (size + step, edge.head());
        }
        let (whole, whole_head) = log(size);
        prop_assert_eq!(head, whole_head);
        for (id, bytes) in whole.files() {
            prop_assert_eq!(&files[id], bytes);
        }
    }

    /// The tiles that are named for a proof are enough to make it, full ones in place of partial ones too.
    #[test]
    fn named_tiles_suffice(size in 1u64..1500, a: u64, b: u64, later in 0u64..600) {
        let (index, old) = (a % size, b % size + 1);
        let (mut log, head) = log(size);
        for more in size..size + later {
            log.append(&entry(more)).unwrap();
        }
        log.publish().unwrap();
        let nodes = root_nodes(size).chain(inclusion_nodes(index, size).unwrap()).chain(consistency_nodes(old, size).unwrap());
        let mut set = TileSet::new();
        for id in tiles_of(nodes, size) {
            let full = id.to_full();
            let id = if log.files().contains_key(&full) { full } else { id };
            set.insert(id, &log.files()[&id]).unwrap();
        }
        prop_assert_eq!(tree::head(size, &set).unwrap(), head);
        prop_assert_eq!(tree::prove_inclusion(index, size, &set).unwrap(), log.prove_inclusion(index, size).unwrap());
        prop_assert_eq!(tree::prove_consistency(old, size, &set).unwrap(), log.prove_consistency(old, size).unwrap());
    }

    /// Every name is read back as itself, and nothing else is read as it.
    #[test]
    fn names_are_canonical(level in 0u8..=8, index: u64, shift in 0u32..64, width in 0u16..300) {
        for id in [TileId::hashes(level, index >> shift, width), TileId::entries(index >> shift, width)].into_iter().flatten() {
            prop_assert!(id.to_string().len() <= PATH_BYTES_MAX);
            prop_assert_eq!(TileId::parse(&id.to_string()), Ok(id));
        }
    }

    #[test]
    fn reading_is_total(
        path in "(tile/)?(entries|[0-9]{1,3}|\\PC{0,3})(/x?[0-9]{1,4}){0,8}(\\.p/[0-9]{0,6})?\\PC{0,2}",
        index in 0u64..9, width in 1u16..=256, bytes in proptest::collection::vec(0u8..6, 0..700),
        level: u8, node: u64, size: u64,
    ) {
        if let Ok(id) = TileId::parse(&path) {
            prop_assert_eq!(id.to_string(), path);
        }
        let id = TileId::entries(index, width).unwrap();
        if let Ok(entries) = parse_entries(id, &bytes) {
            let mut again = Vec::new();
            entries.iter().for_each(|entry| frame_entry(&mut again, entry).unwrap());
            prop_assert_eq!(again, bytes.clone());
        }
        let _ = parse_hashes(TileId::hashes(0, index, width).unwrap(), &bytes);
        let found = tile_of(ledger::tree::Node { level, index: node }, size);
        prop_assert!(found.is_none_or(|id| id.width() > 0));
        let named: BTreeSet<_> = Edge::tiles_to_resume(size).into_iter().collect();
        prop_assert!(named.len() <= 9 && named.iter().all(|id| !id.is_full()));
    }

    #[test]
    fn tiles_hold_their_hashes(hashes in proptest::collection::vec(any::<[u8; 32]>(), 1..=256)) {
        let id = TileId::hashes(3, 5, hashes.len() as u16).unwrap();
        let read = parse_hashes(id, &hashes.concat()).unwrap();
        prop_assert_eq!(read, hashes.into_iter().map(Hash::new).collect::<Vec<_>>());
    }
}
