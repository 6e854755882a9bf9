//! LG-2: cosignatures, and the protocol by which a witness gives them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use ed25519_dalek::{Signer, SigningKey};
use ledger::checkpoint::{CheckpointError, SignError};
use ledger::cosignature::message;
use ledger::memory::MemoryLog;
use ledger::note::{NoteError, NoteSignature};
use ledger::tree::{EMPTY_ROOT, TreeError, TreeHead};
use ledger::witness::{
    ANSWER_BYTES_MAX, AddCheckpoint, Answer, PROOF_HASHES_MAX, REQUEST_BYTES_MAX, Refusal, RequestError,
    Suspicion,
};
use ledger::{Checkpoint, Hash, KeyName, NoteKey, SignedCheckpoint, WitnessKey};
use proptest::prelude::*;

const ORIGIN: &str = "federation.example/ledger";

fn name(text: &str) -> KeyName {
    KeyName::parse(text).unwrap()
}

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn log_key(seed: u8) -> NoteKey {
    NoteKey::new(name(ORIGIN), secret(seed).verifying_key().as_bytes()).unwrap()
}

fn witness_key(seed: u8) -> WitnessKey {
    let name = name(&format!("witness.example/{seed}"));
    WitnessKey::new(name, secret(seed).verifying_key().as_bytes()).unwrap()
}

fn signed_by(seed: u8, head: TreeHead) -> SignedCheckpoint {
    let key = log_key(seed);
    let sign = |bytes: &[u8]| Ok::<_, ()>(secret(seed).sign(bytes).to_bytes());
    Checkpoint::new(name(ORIGIN), head).unwrap().sign(&key, sign).unwrap()
}

fn cosignature(seed: u8, checkpoint: &SignedCheckpoint, time: u64) -> NoteSignature {
    let sign = |bytes: &[u8]| Ok::<_, ()>(secret(seed).sign(bytes).to_bytes());
    witness_key(seed).cosign(checkpoint.unverified(), time, sign).unwrap()
}

/// A log of so many entries; `story` tells histories apart from the entry at `fork` on.
fn history(size: u64, fork: u64, story: u8) -> MemoryLog {
    let mut log = MemoryLog::new();
    for number in 0..size {
        let story = if number < fork { 0 } else { story };
        log.append(&[&number.to_be_bytes()[..], &[story]].concat()).unwrap();
    }
    log.publish().unwrap();
    log
}

fn head(log: &MemoryLog, size: u64) -> TreeHead {
    ledger::tree::head(size, log.hashes()).unwrap()
}

/// What the log asks to go on from `old` to `new`.
fn asked(log: &MemoryLog, old: u64, new: u64) -> AddCheckpoint {
    let proof = log.prove_consistency(old, new).unwrap().path;
    AddCheckpoint::new(old, proof, signed_by(1, head(log, new))).unwrap()
}

#[test]
fn a_cosignature_is_over_the_time_and_the_text() {
    let checkpoint = signed_by(1, head(&history(3, 3, 0), 3));
    let key = witness_key(7);
    let line = cosignature(7, &checkpoint, 1_679_315_147);
    // By hand, as the specification has it.
    let text = format!("cosignature/v1\ntime 1679315147\n{}", checkpoint.unverified());
    assert_eq!(message(1_679_315_147, &checkpoint.unverified().to_string()), text);
    let by_hand = [&1_679_315_147u64.to_be_bytes()[..], &secret(7).sign(text.as_bytes()).to_bytes()].concat();
    assert_eq!(line.bytes(), by_hand);
    let mut carried = checkpoint.clone();
    assert_eq!(
        carried.cosigned(&key),
        Err(NoteError::Unsigned { name: key.name().clone(), id: key.id() }),
        "not yet"
    );
    carried.attach(line.clone()).unwrap();
    let read: SignedCheckpoint = carried.to_string().parse().unwrap();
    assert_eq!(read.cosigned(&key), Ok(1_679_315_147));
    read.verify(&log_key(1)).unwrap();
    // Over another text, at another time, by another key under the same name: it does not hold.
    let mut moved = line.bytes().to_vec();
    moved[7] ^= 1;
    let encoded = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        [&key.id().0[..], &moved].concat(),
    );
    let moved = NoteSignature::parse(&format!("— {} {encoded}", key.name())).unwrap();
    let other = signed_by(1, head(&history(4, 4, 0), 4));
    for (checkpoint, line) in [(&checkpoint, &moved), (&other, &line)] {
        let mut carried = checkpoint.clone();
        carried.attach(line.clone()).unwrap();
        let broken = NoteError::Signature { name: key.name().clone(), id: key.id() };
        assert_eq!(carried.cosigned(&key), Err(broken));
        assert!(carried.witnesses([&key]).is_empty());
        carried.verify(&log_key(1)).unwrap();
    }
    let wrong = key.cosign(checkpoint.unverified(), 5, |m| Ok::<_, ()>(secret(8).sign(m).to_bytes()));
    assert!(matches!(wrong, Err(SignError::Checkpoint(CheckpointError::Note(NoteError::Signature { .. })))));
    let beyond = key.cosign(checkpoint.unverified(), 1 << 63, |m| Ok::<_, ()>(secret(7).sign(m).to_bytes()));
    assert!(beyond.is_err(), "a time that does not fit");
}

#[test]
fn keys_of_logs_and_of_witnesses_are_apart() {
    let (log, witness) = (log_key(7).to_string(), witness_key(7).to_string());
    assert_eq!(WitnessKey::parse(&witness).unwrap(), witness_key(7));
    assert!(NoteKey::parse(&witness).unwrap_err().to_string().contains("0x01"));
    assert!(WitnessKey::parse(&log).unwrap_err().to_string().contains("0x04"));
    let same = WitnessKey::new(name(ORIGIN), secret(7).verifying_key().as_bytes()).unwrap();
    assert_ne!(same.id(), log_key(7).id());
}

#[test]
fn witnesses_count_once() {
    let mut checkpoint = signed_by(1, head(&history(3, 3, 0), 3));
    for (seed, time) in [(7, 10), (7, 30), (7, 20), (8, 5)] {
        let line = cosignature(seed, &checkpoint, time);
        checkpoint.attach(line).unwrap();
    }
    let twin = WitnessKey::new(name("other.example"), secret(8).verifying_key().as_bytes()).unwrap();
    let sign = |bytes: &[u8]| Ok::<_, ()>(secret(8).sign(bytes).to_bytes());
    let line = twin.cosign(checkpoint.unverified(), 6, sign).unwrap();
    checkpoint.attach(line).unwrap();
    let keys = [witness_key(7), witness_key(8), witness_key(8), twin, witness_key(9)];
    let found: Vec<(String, u64)> =
        checkpoint.witnesses(&keys).into_iter().map(|(key, time)| (key.name().to_string(), time)).collect();
    assert_eq!(found, [("witness.example/7".to_owned(), 30), ("witness.example/8".to_owned(), 5)]);
}

#[test]
fn a_request_is_written_as_it_is_read() {
    let log = history(700, 700, 0);
    for (old, new) in [(0, 0), (0, 700), (700, 700), (1, 2), (256, 700), (333, 699)] {
        let request = asked(&log, old, new);
        let read = AddCheckpoint::parse(request.to_string().as_bytes()).unwrap();
        assert_eq!((read.old(), &read), (old, &request));
        assert!(request.to_string().starts_with(&format!("old {old}\n")));
    }
    let good = asked(&log, 4, 8).to_string();
    let proof = good.lines().nth(1).unwrap();
    for (text, why) in [
        (String::new(), "no empty line"),
        (good.replace("old 4", "old 04"), "leading zeroes"),
        (good.replace("old 4", "old +4"), "leading zeroes"),
        (good.replace("old 4", "old  4"), "leading zeroes"),
        (good.replace("old 4", "new 4"), "no old size"),
        (good.replace(proof, &proof[1..]), "32 bytes in base64"),
        (good.replace("old 4\n", "old 4\r\n"), "leading zeroes"),
        (good.replace(proof, &vec![proof; PROOF_HASHES_MAX + 1].join("\n")), "more than 63"),
        (good.replacen("\n\n", "\n\n\n", 1), "name of a key"),
        (format!("{good}{}", "x".repeat(REQUEST_BYTES_MAX)), "too long"),
    ] {
        let error = AddCheckpoint::parse(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}, not: {why}");
        assert_eq!(Refusal::from(error).status(), 400);
    }
    AddCheckpoint::parse(good.replace(proof, &vec![proof; PROOF_HASHES_MAX].join("\n")).as_bytes()).unwrap();
    let long = AddCheckpoint::new(0, vec![EMPTY_ROOT; PROOF_HASHES_MAX + 1], signed_by(1, TreeHead::EMPTY));
    assert!(matches!(long, Err(RequestError::Form(_))));
}

#[test]
fn lg_2_a_witness_cosigns_what_goes_on_from_what_it_knows_and_nothing_else() {
    let (log, forged) = (history(40, 40, 0), history(40, 10, 1));
    let known = head(&log, 20);
    let keys = [log_key(2), log_key(1)];
    let judged = |request: &AddCheckpoint| request.judge(&known, &keys).map(|found| *found.head());
    for new in [20, 21, 32, 40] {
        assert_eq!(judged(&asked(&log, 20, new)), Ok(head(&log, new)));
    }
    let refused = |request: AddCheckpoint, status: u16, suspicion: Option<Suspicion>| {
        let refusal = judged(&request).unwrap_err();
        assert_eq!((refusal.status(), refusal.suspicion()), (status, suspicion), "{refusal}");
        refusal
    };
    let elsewhere = refused(asked(&log, 0, 40), 409, None);
    assert_eq!(elsewhere.body(), "20\n");
    assert_eq!(refused(asked(&log, 25, 40), 409, None).body(), "20\n");
    assert_eq!(refused(asked(&log, 3, 8), 409, None).body(), "20\n", "a log that was set back");
    // A history rewritten behind the tenth entry, all of it signed by the log's own key.
    refused(asked(&forged, 20, 40), 422, Some(Suspicion::Unproved));
    let fork = refused(asked(&forged, 20, 20), 409, Some(Suspicion::Forked));
    assert!(fork.body().contains("two roots of 20 entries"), "{fork}");
    assert_eq!(refused(asked(&forged, 0, 20), 409, Some(Suspicion::Forked)).body(), "20\n");
    refused(asked(&forged, 10, 40), 409, None);
    // A proof that is none, too long, or for nothing.
    let good = asked(&log, 20, 40);
    let with = |proof| AddCheckpoint::new(20, proof, good.checkpoint().clone()).unwrap();
    refused(with(vec![]), 422, Some(Suspicion::Unproved));
    refused(with(vec![EMPTY_ROOT; PROOF_HASHES_MAX]), 422, Some(Suspicion::Unproved));
    let same = AddCheckpoint::new(20, vec![EMPTY_ROOT], signed_by(1, known)).unwrap();
    refused(same, 422, None);
    // Sizes that cannot be, signatures that do not count, logs that nobody knows.
    let shrinks = AddCheckpoint::new(41, vec![], signed_by(1, head(&log, 40))).unwrap();
    refused(shrinks, 400, None);
    let stranger = AddCheckpoint::new(20, vec![], signed_by(3, head(&log, 40))).unwrap();
    refused(stranger, 403, None);
    let altered = good.to_string().replacen("\n40\n", "\n39\n", 1);
    refused(AddCheckpoint::parse(altered.as_bytes()).unwrap(), 403, None);
    let unknown = good.judge(&known, &[]).unwrap_err();
    assert_eq!((unknown.status(), unknown.suspicion()), (404, None));
    // The first checkpoint of a log needs no proof, and has none.
    assert!(asked(&log, 0, 40).judge(&TreeHead::EMPTY, &keys).is_ok());
    let proved = AddCheckpoint::new(0, vec![EMPTY_ROOT], signed_by(1, known)).unwrap();
    let refusal = proved.judge(&TreeHead::EMPTY, &keys).unwrap_err();
    assert_eq!(refusal.suspicion(), None);
    assert!(
        matches!(refusal, Refusal::Inconsistent { why: TreeError::Length { .. }, needless: true }),
        "{refusal}"
    );
}

#[test]
fn lg_2_an_answer_counts_by_its_signature_alone() {
    let checkpoint = signed_by(1, head(&history(3, 3, 0), 3));
    let other = signed_by(1, head(&history(4, 4, 0), 4));
    let (own, key) = (cosignature(7, &checkpoint, 9), witness_key(7));
    let read = |status: u16, body: String| Answer::read(&key, &checkpoint, status, body.as_bytes());
    let cosigned = Ok(Answer::Cosigned(own.clone()));
    assert_eq!(read(200, format!("{own}\n")), cosigned);
    assert_eq!(read(200, format!("{}\n{own}\n", cosignature(8, &checkpoint, 9))), cosigned);
    assert_eq!(read(200, format!("nonsense\n{own}\n")), cosigned);
    for body in [
        String::new(),
        own.to_string(),
        format!("{}\n", cosignature(8, &checkpoint, 9)),
        format!("{}\n", cosignature(7, &other, 9)),
        format!("{}{own}\n", "x\n".repeat(64)),
        format!("{}{own}\n", " ".repeat(ANSWER_BYTES_MAX)),
    ] {
        assert_eq!(read(200, body.clone()).unwrap_err().status, 200, "{body}");
    }
    assert_eq!(read(409, "17\n".to_owned()), Ok(Answer::Knows(17)));
    for (status, body, words) in [
        (409, "17", "17"),
        (409, "017\n", "017"),
        (422, "no\u{1b}[2J proof\nmore", "no[2J proof"),
        (403, "", ""),
        (404, "who?", "who?"),
    ] {
        assert_eq!(read(status, body.to_owned()), Ok(Answer::Refused(status, words.to_owned())));
    }
    for status in [400, 429, 500, 503, 302] {
        assert_eq!(read(status, "busy\n".to_owned()).unwrap_err().why, "busy");
    }
}

proptest! {
    #[test]
    fn what_one_witness_cosigns_never_forks(
        steps in prop::collection::vec((0u64..30, 0u64..30, 0u64..30, any::<bool>(), any::<bool>()), 1..40),
    ) {
        // Two histories that part at the twelfth entry; the log shows either, from any size to any.
        let logs = [history(30, 12, 0), history(30, 12, 1)];
        let (mut known, mut cosigned) = (TreeHead::EMPTY, Vec::new());
        for (old, new, _, story, follow) in steps {
            let log = &logs[usize::from(story)];
            let old = if follow { known.size.min(new) } else { old.min(new) };
            if let Ok(found) = asked(log, old, new).judge(&known, &[log_key(1)]) {
                prop_assert!(found.head().size >= known.size);
                known = *found.head();
                cosigned.push(known);
            }
        }
        let one_log_has_them_all =
            logs.iter().any(|log| cosigned.iter().all(|found| *found == head(log, found.size)));
        prop_assert!(one_log_has_them_all);
    }

    #[test]
    fn any_bytes_are_read_or_refused(junk in prop::collection::vec(any::<u8>(), 0..300), status: u16) {
        if let Ok(request) = AddCheckpoint::parse(&junk) {
            prop_assert_eq!(request.to_string().into_bytes(), junk.clone());
        }
        let checkpoint = signed_by(1, TreeHead { size: 1, root: Hash::new([1; 32]) });
        prop_assert!(!matches!(Answer::read(&witness_key(7), &checkpoint, status, &junk), Ok(Answer::Cosigned(_))));
    }

    #[test]
    fn requests_round_trip(old in 0u64..1_000, more in 0u64..1_000, proof in prop::collection::vec(any::<[u8; 32]>(), 0..63)) {
        let head = TreeHead { size: old + more + 1, root: Hash::new([3; 32]) };
        let request = AddCheckpoint::new(old, proof.into_iter().map(Hash::new).collect(), signed_by(1, head)).unwrap();
        let text = request.to_string();
        let read = AddCheckpoint::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(read.to_string(), text);
        prop_assert_eq!(read, request);
    }
}
