//! LG-2: that one entry stands in the log, for whoever has the log's key alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use ed25519_dalek::{Signer, SigningKey};
use ledger::memory::MemoryLog;
use ledger::{Checkpoint, KeyName, LogProof, NoteKey, SignedCheckpoint};
use proptest::prelude::*;

const ORIGIN: &str = "federation.example/ledger";

fn pair(seed: u8) -> (SigningKey, NoteKey) {
    let secret = SigningKey::from_bytes(&[seed; 32]);
    let key = NoteKey::new(KeyName::parse(ORIGIN).unwrap(), secret.verifying_key().as_bytes()).unwrap();
    (secret, key)
}

fn entry(position: u64) -> Vec<u8> {
    format!("entry {position}").into_bytes()
}

/// A log of so many entries, and its checkpoint.
fn log(size: u64) -> (MemoryLog, SignedCheckpoint) {
    let mut log = MemoryLog::new();
    for position in 0..size {
        log.append(&entry(position)).unwrap();
    }
    let head = log.publish().unwrap();
    let (secret, key) = pair(1);
    let checkpoint = Checkpoint::new(KeyName::parse(ORIGIN).unwrap(), head).unwrap();
    (log, checkpoint.sign(&key, |bytes| Ok::<_, ()>(secret.sign(bytes).to_bytes())).unwrap())
}

fn proof(log: &(MemoryLog, SignedCheckpoint), position: u64) -> LogProof {
    let size = log.1.unverified().head().size;
    LogProof::new(log.0.prove_inclusion(position, size).unwrap(), entry(position), log.1.clone())
}

#[test]
fn lg_2_every_entry_is_proved_and_no_other_is() {
    let (_, key) = pair(1);
    for size in [1, 2, 3, 7, 8, 255, 256, 257, 700] {
        let log = log(size);
        for position in [0, 1, size / 2, size - 1] {
            if position >= size {
                continue;
            }
            let text = proof(&log, position).to_string();
            let read = LogProof::parse(text.as_bytes()).unwrap();
            assert_eq!(read.to_string(), text);
            let proven = read.verify(&key).unwrap();
            assert_eq!(
                (proven.position, proven.entry, proven.head.size),
                (position, &entry(position)[..], size)
            );
            assert!(read.verify(&pair(2).1).is_err(), "of another log");
            let other = LogProof::new(
                log.0.prove_inclusion(position, size).unwrap(),
                b"another".to_vec(),
                log.1.clone(),
            );
            assert!(other.verify(&key).is_err(), "another entry");
        }
    }
}

#[test]
fn lg_2_the_form_is_that_of_c2sp() {
    let log = log(3);
    let text = proof(&log, 1).to_string();
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(lines[..3], ["c2sp.org/tlog-proof@v1", "extra ZW50cnkgMQ==", "index 1"]);
    assert_eq!((lines[5], lines[6], lines[7]), ("", ORIGIN, "3"));
    for (from, to) in [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("extra ZW50cnkgMQ==", "extra ZW50cnkgMQ"),
        ("extra ZW50cnkgMQ==\n", ""),
        ("index 1", "index 01"),
        ("index 1", "index +1"),
        ("index 1", "index 18446744073709551616"),
        ("index 1\n", "index 1\nAAAA\n"),
        ("\n\nfederation", "\nfederation"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert!(LogProof::parse(changed.as_bytes()).is_err(), "{changed}");
    }
    assert!(LogProof::parse(&vec![b'x'; ledger::log_proof::PROOF_BYTES_MAX + 1]).is_err());
}

proptest! {
    /// Whatever is changed of a proof, it proves what it proved before or nothing.
    #[test]
    fn lg_2_a_changed_proof_proves_nothing_else(position in 0..9_u64, at in any::<prop::sample::Index>(), byte: u8) {
        let (_, key) = pair(1);
        let whole = proof(&log(9), position);
        let mut bytes = whole.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = LogProof::parse(&bytes)
            && let Ok(proven) = read.verify(&key)
        {
            prop_assert_eq!((proven.position, proven.entry), (position, &entry(position)[..]));
        }
    }
}
