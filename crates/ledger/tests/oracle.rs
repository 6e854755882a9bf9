//! LG-2: another implementation of the same specifications reads what this one writes, and the other way round.
//! The published crate names tiles as Go does: `tile/8/<L>/…` and `tile/8/data/…`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use ed25519_dalek::{Signer, SigningKey};
use ledger::memory::MemoryLog;
use ledger::tile::growth;
use ledger::tree::{self, Node, leaf_hash};
use ledger::{Checkpoint, Hash, KeyName, NoteKey, SignedCheckpoint, TileId, TileKind, TreeHead};
use proptest::prelude::*;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::HashReader as _;

const ORIGIN: &str = "federation.example/ledger";

/// The other implementation's storage of hashes, filled by itself.
#[derive(Default)]
struct Theirs(Vec<tlog_tiles::Hash>);

impl tlog_tiles::HashReader for Theirs {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[*index as usize]).collect())
    }
}

impl Theirs {
    fn append(&mut self, position: u64, entry: &[u8]) {
        let hashes = tlog_tiles::stored_hashes(position, entry, self).unwrap();
        self.0.extend(hashes);
    }
}

/// The other implementation's storage, read by this one.
impl tree::HashReader for Theirs {
    fn hash(&self, node: Node) -> Option<Hash> {
        let index = tlog_tiles::stored_hash_index(node.level, node.index);
        self.read_hashes(&[index]).ok().map(|hashes| Hash::new(hashes[0].0))
    }
}

fn logs(size: u64) -> (MemoryLog, Theirs, TreeHead) {
    let (mut ours, mut theirs) = (MemoryLog::new(), Theirs::default());
    for position in 0..size {
        ours.append(&position.to_le_bytes()).unwrap();
        theirs.append(position, &position.to_le_bytes());
    }
    let head = ours.publish().unwrap();
    (ours, theirs, head)
}

fn translate(path: &[Hash]) -> Vec<tlog_tiles::Hash> {
    path.iter().map(|hash| tlog_tiles::Hash(*hash.as_bytes())).collect()
}

fn their_path(id: TileId) -> String {
    match id.kind() {
        TileKind::Entries => id.to_string().replace("tile/entries/", "tile/8/data/"),
        TileKind::Hashes { .. } => id.to_string().replacen("tile/", "tile/8/", 1),
    }
}

#[test]
fn tiles_are_theirs() {
    let (ours, theirs, _) = logs(66_000);
    for (id, bytes) in ours.files() {
        let tile = tlog_tiles::Tile::from_path(&their_path(*id)).unwrap();
        if id.kind() != TileKind::Entries {
            assert_eq!(&tile.read_data(&theirs).unwrap(), bytes, "{id}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_are_theirs(size in 1u64..900, a: u64, b: u64) {
        let (index, old) = (a % size, b % size + 1);
        let (ours, theirs, head) = logs(size);
        let root = tlog_tiles::tree_hash(size, &theirs).unwrap();
        prop_assert_eq!(&root.0, head.root.as_bytes());

        let inclusion = ours.prove_inclusion(index, size).unwrap();
        prop_assert_eq!(&translate(&inclusion.path), &tlog_tiles::prove_record(size, index, &theirs).unwrap());
        let leaf = tlog_tiles::record_hash(&index.to_le_bytes());
        prop_assert_eq!(Hash::new(leaf.0), leaf_hash(&index.to_le_bytes()));
        tlog_tiles::check_record(&translate(&inclusion.path), size, root, index, leaf).unwrap();

        let consistency = ours.prove_consistency(old, size).unwrap();
        prop_assert_eq!(&translate(&consistency.path), &tlog_tiles::prove_tree(size, old, &theirs).unwrap());
        prop_assert_eq!(tree::prove_consistency(old, size, &theirs).unwrap(), consistency);
    }

    #[test]
    fn growth_is_theirs(old in 0u64..200_000, more in 0u64..70_000) {
        let ours: Vec<_> = growth(old, old + more)
            .filter(|id| id.kind() != TileKind::Entries)
            .map(their_path)
            .collect();
        let theirs: Vec<_> = if more == 0 { vec![] } else {
            tlog_tiles::Tile::new_tiles(8, old, old + more).iter().map(tlog_tiles::Tile::path).collect()
        };
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn checkpoints_are_theirs(seed: [u8; 32], size in 1u64.., root: [u8; 32]) {
        let secret = SigningKey::from_bytes(&seed);
        let key = NoteKey::new(KeyName::parse(ORIGIN).unwrap(), secret.verifying_key().as_bytes()).unwrap();
        let checkpoint = Checkpoint::new(key.name().clone(), TreeHead { size, root: Hash::new(root) }).unwrap();
        let ours = checkpoint.clone().sign(&key, |bytes| Ok::<_, ()>(secret.sign(bytes).to_bytes())).unwrap();

        let note = Note::from_bytes(ours.to_string().as_bytes()).unwrap();
        let verifier = StandardVerifier::new(&key.to_string()).unwrap();
        let (verified, unverified) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
        prop_assert_eq!((verified.len(), unverified.len()), (1, 0));
        let read = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
        prop_assert_eq!((read.origin(), read.size(), read.hash().0), (ORIGIN, size, root));

        let private = [&[1][..], &seed].concat();
        let private = format!("PRIVATE+KEY+{ORIGIN}+{}+{}", key.id(), base64::Engine::encode(&base64::engine::general_purpose::STANDARD, private));
        let signer = StandardSigner::new(&private).unwrap();
        let mut theirs = Note::new(&read.to_bytes(), &[]).unwrap();
        theirs.add_sigs(&[&signer]).unwrap();
        let signed = SignedCheckpoint::parse(&theirs.to_bytes()).unwrap();
        prop_assert_eq!(signed.verify(&key).unwrap(), &checkpoint);
        prop_assert_eq!(signed, ours);
    }
}
