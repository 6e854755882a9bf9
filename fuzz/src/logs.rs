//! The ledger as it is read back: entries, tiles, notes, checkpoints, proofs.

use ledger::hash::HASH_BYTES;
use ledger::note::{Note, NoteKey};
use ledger::tile::{TileSet, frame_entry, growth, parse_entries, parse_hashes, tile_of, width_in};
use ledger::tree::{
    Node, consistency_nodes, inclusion_nodes, leaf_hash, root_nodes, verify_consistency, verify_inclusion,
};
use ledger::witness::{AddCheckpoint, Answer};
use ledger::{Checkpoint, Entry, Frontier, Hash, LogProof, SignedCheckpoint, TileId, TreeHead, WitnessKey};
use proof::Sign as _;

use crate::seeds::key;
use crate::text;

/// An entry: its bytes and its meaning are the same thing.
pub fn entry(data: &[u8]) -> bool {
    let Ok(entry) = Entry::decode(data) else { return false };
    assert_eq!(entry.encode().as_deref(), Ok(data), "a second spelling of an entry is read");
    assert!(entry.decision().is_ok(), "an entry that was read cannot be signed");
    let _ = entry.verify_federation(key(1).public_key());
    true
}

/// A tile's path, and what is in the tile: the path, a newline, the bytes.
pub fn tile(data: &[u8]) -> bool {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (path, rest) = data.split_at(at);
    let Ok(path) = core::str::from_utf8(path) else { return false };
    let Ok(id) = TileId::parse(path) else { return false };
    assert_eq!(id.to_string(), path, "a second path of a tile is read");
    assert_eq!(TileId::parse(&id.to_full().to_string()), Ok(id.to_full()));
    let Some(content) = rest.get(1..) else { return true };
    if let Ok(hashes) = parse_hashes(id, content) {
        assert_eq!(hashes.iter().flat_map(Hash::as_bytes).copied().collect::<Vec<u8>>(), content);
        assert_eq!(hashes.len(), usize::from(id.width()));
        assert_eq!(TileSet::new().insert(id, content), Ok(()));
    }
    if let Ok(entries) = parse_entries(id, content) {
        let mut again = Vec::new();
        assert!(entries.iter().all(|entry| frame_entry(&mut again, entry).is_ok()));
        assert_eq!(again, content, "the bundle is framed otherwise");
        assert_eq!(entries.len(), usize::from(id.width()));
    }
    true
}

/// The log whose keys everyone knows.
pub(crate) fn log() -> NoteKey {
    let name = "webwaka.example/ledger".parse().expect("a name");
    NoteKey::new(name, key(5).public_key().as_bytes()).expect("a key")
}

/// Notes, checkpoints signed and bare, verifier keys: each is written exactly as it was read.
pub fn note(data: &[u8]) -> bool {
    let log = log();
    let note = Note::parse(data).is_ok_and(|note| {
        assert_eq!(note.to_string().as_bytes(), data, "the note is written otherwise");
        let _ = note.verify(&log);
        true
    });
    let signed = SignedCheckpoint::parse(data).is_ok_and(|signed| {
        assert_eq!(signed.to_string().as_bytes(), data, "the checkpoint is written otherwise");
        assert!(
            signed.verify(&log).is_ok_and(|found| found == signed.unverified())
                || signed.verify(&log).is_err()
        );
        true
    });
    assert!(note || !signed, "a checkpoint in no note");
    let Ok(spelled) = core::str::from_utf8(data) else { return note };
    let bare = Checkpoint::parse(spelled).is_ok_and(|checkpoint| {
        assert_eq!(checkpoint.to_string(), spelled, "the checkpoint's text is written otherwise");
        true
    });
    let name = text::<NoteKey>(spelled).is_some_and(|key| {
        assert_eq!(key.to_string(), spelled, "a second spelling of a verifier key is read");
        true
    });
    note || bare || name
}

/// A proof of one entry in one file: it is written exactly as it was read, and what it proves stands in the tree.
pub fn log_proof(data: &[u8]) -> bool {
    let Ok(proof) = LogProof::parse(data) else { return false };
    assert_eq!(proof.to_string().as_bytes(), data, "the proof is written otherwise");
    if let Ok(proven) = proof.verify(&log()) {
        assert!(proven.position < proven.head.size, "an entry behind the end is proved");
        assert_eq!(proof.checkpoint().unverified().head(), &proven.head, "of another tree");
    }
    true
}

/// The witness whose keys everyone knows.
pub(crate) fn witness_key() -> WitnessKey {
    let name = "witness.example/w".parse().expect("a name");
    WitnessKey::new(name, key(6).public_key().as_bytes()).expect("a key")
}

/// What witnesses read and answer: a request is written exactly as it was read; whoever is convinced by it knew the tree
/// that it goes on from; an answer counts by a signature that holds when the checkpoint carries it.
pub fn witness(data: &[u8]) -> bool {
    let spelled = core::str::from_utf8(data).ok();
    let vkey = spelled.and_then(text::<WitnessKey>).is_some_and(|key| {
        assert_eq!(Some(key.to_string().as_str()), spelled, "a second spelling of a verifier key is read");
        true
    });
    let (checkpoint, witness) = (crate::seeds::witnessed_checkpoint(), witness_key());
    let mut answered = false;
    for status in [200, 403, 409, 500] {
        match Answer::read(&witness, &checkpoint, status, data) {
            Ok(Answer::Cosigned(line)) => {
                let mut carried = checkpoint.clone();
                carried.attach(line).expect("there is room");
                assert!(carried.cosigned(&witness).is_ok(), "a signature counts that does not hold");
                answered = true;
            }
            Ok(Answer::Knows(size)) => assert_eq!(format!("{size}\n").as_bytes(), data),
            Ok(Answer::Refused(_, words)) => assert!(!words.contains(char::is_control)),
            Err(_) => {}
        }
    }
    let Ok(request) = AddCheckpoint::parse(data) else { return vkey || answered };
    assert_eq!(request.to_string().as_bytes(), data, "the request is written otherwise");
    let head = *request.checkpoint().unverified().head();
    for known in [TreeHead::EMPTY, TreeHead { size: 1, root: leaf_hash(b"a") }, head] {
        match request.judge(&known, &[log()]) {
            Ok(found) => {
                assert!(request.old() == known.size && known.size <= head.size, "a log that was set back");
                assert!(known.size < head.size || known == head, "another root of the same size");
                assert_eq!(found.head(), &head);
            }
            Err(refusal) => assert!([400, 403, 404, 409, 422].contains(&refusal.status())),
        }
    }
    true
}

/// Proofs as an auditor receives them: three numbers (index, old size, new size), then hashes: the leaf, the old
/// root, the new root, the path.
pub fn merkle_proof(data: &[u8]) -> bool {
    let (numbers, rest) = data.as_chunks::<8>();
    let [index, old, new, ..] = numbers else { return false };
    let [index, old, new] = [index, old, new].map(|bytes| u64::from_be_bytes(*bytes));
    let hashes = numbers.get(3..).unwrap_or_default().concat().into_iter().chain(rest.iter().copied());
    let hashes: Vec<u8> = hashes.collect();
    let (hashes, _) = hashes.as_chunks::<HASH_BYTES>();
    let hashes: Vec<Hash> = hashes.iter().map(|hash| Hash::new(*hash)).collect();
    let [leaf, old_root, new_root, path @ ..] = hashes.as_slice() else { return false };
    let (before, after) = (TreeHead { size: old, root: *old_root }, TreeHead { size: new, root: *new_root });
    let included = verify_inclusion(index, *leaf, &after, path).is_ok();
    assert!(!included || index < new, "an entry behind the end is included");
    let consistent = verify_consistency(&before, &after, path).is_ok();
    assert!(!consistent || old <= new, "a log that shrank is consistent");
    // Arithmetic on sizes that came from outside.
    for id in growth(old, new).take(64) {
        assert_eq!(width_in(id.kind(), id.index(), new), id.width());
    }
    for node in root_nodes(new).chain(inclusion_nodes(index, new).into_iter().flatten()).take(256) {
        let _ = tile_of(node, new);
    }
    let _ = consistency_nodes(old, new);
    let level = leaf.as_bytes().first().copied().unwrap_or_default();
    let _ = tile_of(Node { level, index }, new);
    if let Ok(mut frontier) = Frontier::from_parts(old, path.to_vec()) {
        frontier.push(leaf_hash(b""));
        assert_eq!(frontier.size(), old + 1);
        assert_eq!(frontier.hashes().len(), frontier.size().count_ones() as usize);
    }
    included || consistent
}
