//! LG-2: signed notes and checkpoints, published examples among them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use ed25519_dalek::{Signer, SigningKey};
use ledger::checkpoint::{CheckpointError, EXTENSIONS_MAX, SignError};
use ledger::note::*;
use ledger::tree::{EMPTY_ROOT, TreeHead};
use ledger::{Checkpoint, Hash, SignedCheckpoint};
use proptest::prelude::*;

const ORIGIN: &str = "federation.example/ledger";

/// The example of Go's note package.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETERS_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

/// The example of C2SP tlog-checkpoint.
const SOFA: &str = "example.com/behind-the-sofa\n\
    20852163\n\
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
    \n\
    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

fn name(text: &str) -> KeyName {
    KeyName::parse(text).unwrap()
}

fn pair(seed: u8, text: &str) -> (SigningKey, NoteKey) {
    let secret = SigningKey::from_bytes(&[seed; 32]);
    let key = NoteKey::new(name(text), secret.verifying_key().as_bytes()).unwrap();
    (secret, key)
}

fn checkpoint(size: u64) -> Checkpoint {
    let root = if size == 0 { EMPTY_ROOT } else { Hash::new([size as u8; 32]) };
    Checkpoint::new(name(ORIGIN), TreeHead { size, root }).unwrap()
}

fn signed(size: u64) -> (SignedCheckpoint, NoteKey) {
    let (secret, key) = pair(1, ORIGIN);
    let signed = checkpoint(size).sign(&key, |bytes| Ok::<_, ()>(secret.sign(bytes).to_bytes())).unwrap();
    (signed, key)
}

#[test]
fn published_note() {
    let key = NoteKey::parse(PETER).unwrap();
    assert_eq!(
        (key.name().as_str(), key.id().to_string(), key.to_string()),
        ("PeterNeumann", "c74f20a3".into(), PETER.into())
    );
    let note = Note::parse(PETERS_NOTE.as_bytes()).unwrap();
    note.verify(&key).unwrap();
    assert_eq!(note.to_string(), PETERS_NOTE);
    let changed = Note::parse(PETERS_NOTE.replace("answer", "Answer").as_bytes()).unwrap();
    assert_eq!(changed.verify(&key), Err(NoteError::Signature { name: name("PeterNeumann"), id: key.id() }));
}

#[test]
fn published_checkpoint() {
    let signed = SignedCheckpoint::parse(SOFA.as_bytes()).unwrap();
    assert_eq!(signed.to_string(), SOFA);
    let checkpoint = signed.unverified();
    assert_eq!(
        (checkpoint.origin().as_str(), checkpoint.head().size),
        ("example.com/behind-the-sofa", 20_852_163)
    );
    assert_eq!(signed.signatures()[0].id().to_string(), "033de0ae");
}

#[test]
fn a_signed_checkpoint_is_verified_by_its_key_alone() {
    for size in [0, 1, 7, 1 << 40] {
        let (signed, key) = signed(size);
        let read: SignedCheckpoint = signed.to_string().parse().unwrap();
        assert_eq!(read, signed);
        assert_eq!(read.verify(&key).unwrap(), &checkpoint(size));
    }
    let (signed, key) = signed(7);
    let (_, other) = pair(2, ORIGIN);
    assert_eq!(
        signed.verify(&other).unwrap_err(),
        NoteError::Unsigned { name: name(ORIGIN), id: other.id() }.into()
    );
    let (_, elsewhere) = pair(1, "elsewhere.example/ledger");
    let origins = CheckpointError::Origin { expected: elsewhere.name().clone(), found: name(ORIGIN) };
    assert_eq!(signed.verify(&elsewhere).unwrap_err(), origins);
    let forged: SignedCheckpoint = signed.to_string().replacen("\n7\n", "\n8\n", 1).parse().unwrap();
    assert_eq!(
        forged.verify(&key).unwrap_err(),
        NoteError::Signature { name: name(ORIGIN), id: key.id() }.into()
    );
}

#[test]
fn a_signer_with_another_key_is_found_out() {
    let (_, key) = pair(1, ORIGIN);
    let (secret, _) = pair(2, ORIGIN);
    let wrong = checkpoint(3).sign(&key, |bytes| Ok::<_, &str>(secret.sign(bytes).to_bytes()));
    let error = NoteError::Signature { name: name(ORIGIN), id: key.id() };
    assert_eq!(wrong, Err(SignError::Checkpoint(error.into())));
    assert_eq!(checkpoint(3).sign(&key, |_| Err("locked")), Err(SignError::Signer("locked")));
}

#[test]
fn cosignatures_are_kept_and_ignored() {
    let (mut signed, key) = signed(7);
    let witness = NoteSignature::parse("— witness.example AAAAAgEC").unwrap();
    assert_eq!(
        (witness.name().as_str(), witness.id().0, witness.bytes()),
        ("witness.example", [0, 0, 0, 2], &[1, 2][..])
    );
    // A stranger under the log's own name, and one with the id of its key: neither speaks for it, neither spoils it.
    let namesake = NoteSignature::parse(&format!("— {ORIGIN} AAAAAgEC")).unwrap();
    for signature in [&witness, &namesake] {
        signed.attach(signature.clone()).unwrap();
    }
    let read: SignedCheckpoint = signed.to_string().parse().unwrap();
    read.verify(&key).unwrap();
    assert_eq!(read.signatures()[1..], [witness.clone(), namesake]);
    while signed.signatures().len() < SIGNATURES_MAX {
        signed.attach(witness.clone()).unwrap();
    }
    let limit = NoteError::Limit { limit: SIGNATURES_MAX, unit: "signatures" };
    assert_eq!(signed.attach(witness.clone()), Err(limit.clone().into()));
    assert_eq!(Note::parse(format!("{signed}{witness}\n").as_bytes()), Err(limit));
    signed.to_string().parse::<SignedCheckpoint>().unwrap().verify(&key).unwrap();
}

#[test]
fn a_false_signature_of_a_known_key_spoils_the_note() {
    let (signed, key) = signed(7);
    let text = signed.to_string();
    let (body, line) = text.rsplit_once("\n\n").unwrap();
    let other: NoteSignature = {
        let (secret, _) = pair(1, ORIGIN);
        let sofa = secret.sign(b"something else").to_bytes();
        let mut note = Note::new("something else\n".into()).unwrap();
        assert!(note.sign(&key, &sofa).is_err());
        let right = secret.sign(b"something else\n").to_bytes();
        note.sign(&key, &right).unwrap();
        note.signatures()[0].clone()
    };
    for lines in [format!("{line}{other}\n"), format!("{other}\n{line}")] {
        let note = Note::parse(format!("{body}\n\n{lines}").as_bytes()).unwrap();
        assert_eq!(note.verify(&key), Err(NoteError::Signature { name: name(ORIGIN), id: key.id() }));
    }
}

#[test]
fn refuses_names_and_keys() {
    for text in ["", " ", "a b", "a+b", "a\n", "a\u{a0}b", "a\u{2003}", "a\u{7f}", "a\u{0}", &"a".repeat(256)]
    {
        assert!(matches!(KeyName::parse(text), Err(NoteError::Name { .. })), "{text:?}");
    }
    let (_, key) = pair(1, ORIGIN);
    let good = key.to_string();
    assert_eq!(NoteKey::parse(&good), Ok(key));
    let first = if good.ends_with('A') { 'B' } else { 'A' };
    #[rustfmt::skip]
    let rows = [
        String::new(), "a+b".into(), good.replace(ORIGIN, "other"), good.replace(ORIGIN, ""),
        good.to_uppercase(), format!("{good}A"), good[..good.len() - 1].into(), format!("{}{first}", &good[..good.len() - 1]),
        PETER.replace("+A", "+B"), PETER.replace("c74f20a3", "C74F20A3"),
    ];
    for text in rows {
        assert!(NoteKey::parse(&text).is_err(), "{text}");
    }
    let mut small_order = [0; 32];
    small_order[0] = 1;
    assert_eq!(NoteKey::new(name(ORIGIN), &small_order), Err(NoteError::Key { why: "it is of small order" }));
}

#[test]
fn refuses_notes() {
    let check = |bytes: &[u8]| assert!(Note::parse(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
    let good = PETERS_NOTE;
    let rows = [
        String::new(),
        "\n\n".into(),
        good.trim_end().into(),
        format!("{good}\n"),
        format!("{good}\n\n"),
        good.replace("\n\n", "\n"),
        good.replace("\n\n", "\r\n\r\n"),
        good.replace("think", "thi\tnk"),
        good.replace("— ", "- "),
        good.replace("— ", "—  "),
        good.replace("PeterNeumann", "Peter+Neumann"),
        good.replace("PeterNeumann", "Peter\u{2003}Neumann"),
        good.replace("nAM=", "nAM"),
        good.replace("nAM=", "nAN="),
        good.replace("nAM=", "nA_="),
        good.replace("nAM=\n", "nAM= \n"),
        "text\n\n— name AAAAAA==\n".into(),
        "text\n\n— name AAAA\n".into(),
        "text\n\n— name \n".into(),
        "text\n\n— name\n".into(),
        "text\n\n".into(),
        format!("{}{good}", "x".repeat(NOTE_BYTES_MAX)),
        format!("text\n\n— name {}\n", "AAAA".repeat(SIGNATURE_BYTES_MAX)),
    ];
    rows.iter().for_each(|row| check(row.as_bytes()));
    check(b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAE=\n");
    Note::parse("text\n\n— name AAAAAAE=\n".as_bytes()).unwrap();
    Note::parse("with\n\nempty\n\n\nlines\n\n— name AAAAAAE=\n".as_bytes()).unwrap();
    assert!(Note::new("no newline".into()).is_err());
}

#[test]
fn refuses_checkpoints() {
    let good = checkpoint(7).to_string();
    assert_eq!(Checkpoint::parse(&good).unwrap(), checkpoint(7));
    let root = good.lines().nth(2).unwrap();
    let rows = [
        String::new(),
        "\n\n\n".into(),
        good.trim_end().into(),
        good.replace(ORIGIN, ""),
        good.replace(ORIGIN, "with space"),
        good.replace("\n7\n", "\n07\n"),
        good.replace("\n7\n", "\n+7\n"),
        good.replace("\n7\n", "\n-7\n"),
        good.replace("\n7\n", "\n\n"),
        good.replace("\n7\n", "\n7 \n"),
        good.replace("\n7\n", "\n0\n"),
        good.replace("\n7\n", "\n18446744073709551616\n"),
        good.replace(root, ""),
        good.replace(root, &root[4..]),
        good.replace(root, &format!("{root}AAAA")),
        good.replace(root, &root.replace('=', "A")),
        good.replace('\n', "\r\n"),
        format!("{good}\n"),
        format!("{good}more\n\nmore\n"),
        format!("{good}{}", "more\n".repeat(EXTENSIONS_MAX + 1)),
    ];
    for text in rows {
        assert!(Checkpoint::parse(&text).is_err(), "{text:?}");
    }
    let extended = format!("{good}more 1\nmore 2\n");
    let read = Checkpoint::parse(&extended).unwrap();
    assert_eq!((read.extensions().len(), read.to_string()), (2, extended));
    Checkpoint::parse(&format!("{good}{}", "more\n".repeat(EXTENSIONS_MAX))).unwrap();
}

proptest! {
    #[test]
    fn what_is_read_is_written_again(
        text in "(\\PC{0,9}\n){0,4}", junk in "(\n|— |[a-z]{1,3}| |[A-Za-z0-9+/=]{0,12}|\\PC){0,40}",
    ) {
        for bytes in [format!("{text}\n— name AAAAAAE=\n{junk}"), junk.clone(), format!("{text}\n{junk}")] {
            if let Ok(note) = Note::parse(bytes.as_bytes()) {
                prop_assert_eq!(note.to_string(), bytes.clone());
            }
            if let Ok(checkpoint) = Checkpoint::parse(&bytes) {
                prop_assert_eq!(checkpoint.to_string(), bytes.clone());
            }
        }
        let _ = NoteKey::parse(&junk);
    }

    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>, flip in any::<(usize, u8)>()) {
        let _ = SignedCheckpoint::parse(&bytes);
        let (signed, key) = signed(7);
        let mut text = signed.to_string().into_bytes();
        let at = flip.0 % text.len();
        text[at] ^= flip.1;
        if let Ok(read) = SignedCheckpoint::parse(&text) {
            prop_assert!(flip.1 == 0 || read.verify(&key).is_err());
        }
    }
}
