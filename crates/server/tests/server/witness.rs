//! A witness over real TLS (LG-2): what it cosigns, what it keeps, what it never forgets.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ledger::memory::MemoryLog;
use ledger::note::NoteSignature;
use ledger::tree::head;
use ledger::witness::{AddCheckpoint, REQUEST_BYTES_MAX, SIZE_TYPE};
use ledger::{Checkpoint, KeyName, NoteKey, SignedCheckpoint};
use plane::ports::{Cosigner, Cosigning, Unanswered, WitnessAnswer};
use proof::{SeedKey, Sign as _};
use server::SystemClock;
use server::witness::{Serving, Witness, serve};
use trust::SigningKey;

use crate::common::{Answered, World};

const ORIGIN: &str = "log.example/ledger";

fn log_secret() -> SeedKey {
    SeedKey::new([42; 32])
}

fn log_key() -> NoteKey {
    NoteKey::new(ORIGIN.parse().unwrap(), log_secret().public_key().as_bytes()).unwrap()
}

fn open(folder: &Path, key: &SigningKey) -> Witness {
    let name = KeyName::parse("witness.example/w").unwrap();
    Witness::open(folder, name, key.into(), Arc::new(SystemClock)).unwrap()
}

/// A witness of the log above.
fn witnessing(folder: &Path, key: &SigningKey) -> Arc<Witness> {
    let witness = open(folder, key);
    witness.witness(&ORIGIN.parse().unwrap(), vec![log_key()]).unwrap();
    Arc::new(witness)
}

fn history(size: u64, fork: u64, story: u8) -> MemoryLog {
    let mut log = MemoryLog::new();
    for number in 0..size {
        log.append(&[number as u8, if number < fork { 0 } else { story }]).unwrap();
    }
    log.publish().unwrap();
    log
}

fn asked(log: &MemoryLog, old: u64, new: u64) -> String {
    let checkpoint = Checkpoint::new(ORIGIN.parse().unwrap(), head(new, log.hashes()).unwrap()).unwrap();
    let signed = checkpoint.sign(&log_key(), |message| log_secret().sign(message)).unwrap();
    AddCheckpoint::new(old, log.prove_consistency(old, new).unwrap().path, signed).unwrap().to_string()
}

async fn at_any_port(witness: Arc<Witness>) -> Serving {
    serve(witness, ([127, 0, 0, 1], 0).into()).await.unwrap()
}

fn http() -> reqwest::Client {
    let tls = trust::tls::unverified_client_config().unwrap();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

async fn post(serving: &Serving, path: &str, body: impl Into<reqwest::Body>) -> Answered {
    let url = format!("https://{}{path}", serving.address());
    Answered::read(http().post(url).body(body).send().await.unwrap()).await
}

#[tokio::test]
async fn lg_2_a_witness_cosigns_keeps_evidence_and_forgets_nothing() {
    let (place, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
    let folder = place.path().join("witness");
    let serving = at_any_port(witnessing(&folder, &key)).await;
    let (log, forged) = (history(40, 40, 0), history(40, 10, 1));
    let add = async |serving: &Serving, request: String| post(serving, "/add-checkpoint", request).await;
    let cosigned = |answer: Answered, request: &str| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let request = AddCheckpoint::parse(request.as_bytes()).unwrap();
        let mut signed = request.checkpoint().clone();
        signed.attach(NoteSignature::parse(answer.text().trim_end()).unwrap()).unwrap();
        let witness = open_key(&key);
        let time = signed.cosigned(&witness).unwrap();
        assert!(time.abs_diff(u64::try_from(crate::common::now().as_seconds()).unwrap()) < 60);
    };
    for (old, new) in [(0, 20), (20, 20), (20, 25)] {
        let request = asked(&log, old, new);
        cosigned(add(&serving, request.clone()).await, &request);
    }
    let stale = add(&serving, asked(&log, 20, 40)).await;
    assert_eq!((stale.status, stale.text().as_str()), (409, "25\n"));
    assert_eq!(stale.headers["content-type"], SIZE_TYPE);
    // A rewritten history, signed by the log's own key.
    assert_eq!(add(&serving, asked(&forged, 25, 40)).await.status, 422);
    let fork = add(&serving, asked(&forged, 25, 25)).await;
    assert_eq!(fork.status, 409, "{}", fork.text());
    assert_ne!(fork.headers["content-type"], SIZE_TYPE);
    assert_eq!(add(&serving, asked(&forged, 25, 40)).await.status, 422, "again");
    // What is no request, too much of one, or somewhere else.
    for (path, body, status) in [
        ("/add-checkpoint", "old 1\n".to_owned(), 400),
        ("/add-checkpoint", "x".repeat(REQUEST_BYTES_MAX + 1), 413),
        ("/add-checkpoint", asked(&log, 25, 30).replace("\n30\n", "\n31\n"), 403),
        ("/add-checkpoint", asked(&log, 25, 30).replace(ORIGIN, "other.example"), 404),
        ("/", String::new(), 404),
    ] {
        assert_eq!(post(&serving, path, body).await.status, status, "{path} {status}");
    }
    // One witness a folder.
    let name = KeyName::parse("other").unwrap();
    assert!(Witness::open(&folder, name, (&key).into(), Arc::new(SystemClock)).is_err());
    serving.stop().await;
    // Both checkpoints are there for anyone to see, and each kind once.
    let evidence = |kind: &str| -> Vec<String> {
        let files = fs::read_dir(folder.join("evidence").join(kind)).unwrap();
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    };
    let (forks, unproved) = (evidence("forked"), evidence("unproved"));
    assert_eq!((forks.len(), unproved.len()), (1, 1));
    let bare = asked(&forged, 25, 25).split_once("\n\n").unwrap().1.to_owned();
    for part in [bare, head(25, log.hashes()).unwrap().root.to_string()] {
        assert!(forks[0].contains(&part), "{part} in\n{}", forks[0]);
    }
    let note = forks[0].split("=== cosigned ===\n").nth(1).unwrap().split("\n=== asked").next().unwrap();
    let kept = SignedCheckpoint::parse(note.as_bytes()).unwrap();
    kept.verify(&log_key()).unwrap();
    kept.cosigned(&open_key(&key)).unwrap();
    // After its end it stands where it stood.
    let serving = at_any_port(witnessing(&folder, &key)).await;
    assert_eq!(add(&serving, asked(&forged, 0, 30)).await.text(), "25\n");
    let request = asked(&log, 25, 40);
    cosigned(add(&serving, request.clone()).await, &request);
    serving.stop().await;
}

/// What is public already, with a spoilt proof, is no evidence; what is evidence is kept without what a stranger added to it.
#[test]
fn lg_2_no_stranger_fills_a_witness_with_evidence() {
    let (place, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
    let folder = place.path().join("witness");
    let witness = witnessing(&folder, &key);
    let log = history(40, 40, 0);
    let junk = |size: u64, new: u64, n: u8| {
        let good = AddCheckpoint::parse(asked(&log, new, new).as_bytes()).unwrap();
        AddCheckpoint::new(size, vec![ledger::Hash::new([n; 32])], good.checkpoint().clone()).unwrap()
    };
    let kept = || fs::read_dir(folder.join("evidence/unproved")).map_or(0, Iterator::count);
    let refused = |request: String| witness.add(request.as_bytes()).unwrap_err();
    refused(junk(0, 20, 1).to_string());
    assert_eq!(kept(), 0, "nothing was cosigned: nothing is contradicted");
    witness.add(asked(&log, 0, 20).as_bytes()).unwrap();
    for n in 0..5 {
        let refusal = refused(junk(20, 20, n).to_string());
        assert!(refusal.to_string().contains("not proved"), "{refusal}");
        refused(junk(20, 10, n).to_string());
    }
    assert_eq!(kept(), 0, "it is what was cosigned");
    // One piece for a checkpoint, whatever comes with it.
    for n in 0..5 {
        let stranger = SeedKey::new([n + 50; 32]);
        let by =
            ledger::WitnessKey::new("stranger.example".parse().unwrap(), stranger.public_key().as_bytes());
        let mut signed = junk(20, 30, n).checkpoint().clone();
        let line = by.unwrap().cosign(signed.unverified(), 7, |message| stranger.sign(message)).unwrap();
        signed.attach(line).unwrap();
        refused(AddCheckpoint::new(20, vec![ledger::Hash::new([n; 32])], signed).unwrap().to_string());
    }
    assert_eq!(kept(), 1);
    let file = fs::read_dir(folder.join("evidence/unproved")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(file).unwrap();
    assert!(!text.contains("stranger.example"), "{text}");
    let note = text.split("=== asked ===\n").nth(1).unwrap();
    SignedCheckpoint::parse(note.as_bytes()).unwrap().verify(&log_key()).unwrap();
}

fn open_key(key: &SigningKey) -> ledger::WitnessKey {
    let name = KeyName::parse("witness.example/w").unwrap();
    ledger::WitnessKey::new(name, key.public_key().as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lg_2_of_two_histories_at_once_one_is_cosigned() {
    let (place, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
    let witness = witnessing(&place.path().join("witness"), &key);
    let logs = Arc::new([history(60, 0, 1), history(60, 0, 2)]);
    let mut racing = tokio::task::JoinSet::new();
    for n in 0..40_u64 {
        let (witness, logs) = (Arc::clone(&witness), Arc::clone(&logs));
        racing.spawn_blocking(move || {
            let story = usize::try_from(n % 2).unwrap();
            let request = asked(&logs[story], 0, 1 + n);
            witness.add(request.as_bytes()).is_ok().then_some(story)
        });
    }
    let won: Vec<usize> = racing.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "from nothing, one goes on: {won:?}");
    let (_, known) = witness.heads().pop().unwrap();
    assert_eq!(known, head(known.size, logs[won[0]].hashes()).unwrap());
}

#[test]
fn lg_2_from_a_memory_that_cannot_be_read_no_witness_goes_on() {
    let (place, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
    let folder = place.path().join("witness");
    let log = history(40, 40, 0);
    witnessing(&folder, &key).add(asked(&log, 0, 20).as_bytes()).unwrap();
    let heads = folder.join("heads");
    let file = fs::read_dir(&heads).unwrap().next().unwrap().unwrap().path();
    let good = fs::read_to_string(&file).unwrap();
    let again = |text: &str| {
        fs::write(&file, text).unwrap();
        open(&folder, &key).witness(&ORIGIN.parse().unwrap(), vec![log_key()])
    };
    for text in ["", &good[..good.len() / 2], &good.replacen(ORIGIN, "other.example", 1)] {
        let error = again(text).unwrap_err().to_string();
        assert!(error.contains("heads"), "{error}");
    }
    again(&good).unwrap();
    // What cannot be stored is not cosigned.
    let witness = witnessing(&folder, &key);
    fs::remove_dir_all(&heads).unwrap();
    fs::write(&heads, "in the way").unwrap();
    assert!(witness.add(asked(&log, 20, 30).as_bytes()).is_err());
    assert_eq!(witness.heads()[0].1.size, 20);
    // A key that was taken from the log signs for it no more.
    let other =
        NoteKey::new(ORIGIN.parse().unwrap(), SeedKey::new([43; 32]).public_key().as_bytes()).unwrap();
    witness.witness(&ORIGIN.parse().unwrap(), vec![other]).unwrap();
    let refused = witness.add(asked(&log, 20, 30).as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("no key that is known"), "{refused}");
}

/// A log that took another key is not accused of it, before the witness has looked (AU-4).
#[tokio::test]
async fn lg_2_au_4_whoever_is_not_known_yet_is_told_to_come_again() {
    let (place, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
    let witness = open(&place.path().join("witness"), &key);
    let (origin, log) = (ORIGIN.parse().unwrap(), history(40, 40, 0));
    let other =
        NoteKey::new(ORIGIN.parse().unwrap(), SeedKey::new([43; 32]).public_key().as_bytes()).unwrap();
    let asked = asked(&log, 0, 20);
    let unavailable = |witness: &Witness| {
        matches!(witness.add(asked.as_bytes()), Err(server::witness::WitnessError::Unavailable(_)))
    };
    let (domain, foreign) = ("log.example".parse().unwrap(), "other.example".parse().unwrap());
    let mut wanted = witness.wanted();
    witness.follow("one", None);
    assert!(unavailable(&witness), "no log is known yet");
    tokio::time::timeout(Duration::from_secs(5), wanted.changed()).await.unwrap().unwrap();
    witness.follow("one", Some(&domain));
    witness.witness(&origin, vec![other]).unwrap();
    assert!(unavailable(&witness), "nor its key");
    // Of others nothing is had: their keys are not this log's.
    witness.follow("unreachable", Some(&foreign));
    witness.follow("never seen", None);
    witness.looked("one", &domain);
    assert!(!unavailable(&witness), "it has looked, and this is none: a refusal");
    assert!(witness.add(asked.as_bytes()).is_err());
    witness.witness(&origin, vec![log_key()]).unwrap();
    witness.add(asked.as_bytes()).unwrap();
}

/// The client as the plane's port, as `fedplane serve` hands it in.
struct Calling(client::Witnesses);

impl Cosigner for Calling {
    fn ask<'a>(&'a self, url: &'a str, request: String) -> Cosigning<'a> {
        Box::pin(async move {
            let answer = self.0.add_checkpoint(url, request).await;
            answer
                .map(|(status, body)| WitnessAnswer { status, body })
                .map_err(|error| Unanswered(error.to_string()))
        })
    }
}

/// With every key of the plane in his hands, whoever rewrites the log shows it to nobody.
#[tokio::test]
async fn lg_2_a_history_forged_with_all_keys_is_shown_to_nobody() {
    let (place, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
    let mut world = World::make(|_, _| {});
    let witness = open(&place.path().join("witness"), &key);
    witness.witness(world.ledger_key().name(), vec![world.ledger_key()]).unwrap();
    let witness = Arc::new(witness);
    let serving = at_any_port(Arc::clone(&witness)).await;
    world.settings.ledger = server::settings::Ledger {
        quorum: 1,
        witness: vec![server::settings::Witness {
            key: witness.key().clone(),
            url: format!("https://{}", serving.address()),
        }],
    };
    world.cosigner = Some(Arc::new(Calling(client::Witnesses::new().unwrap())));
    world.run().await;
    for _ in 0..5 {
        world.enrol().await;
    }
    let size = world.ledger_size().await;
    let covered = async {
        loop {
            if let Some(bytes) = world.public().file("/checkpoint", 1 << 16).await.unwrap() {
                let signed = SignedCheckpoint::parse(&bytes).unwrap();
                if signed.verify(&world.ledger_key()).unwrap().head().size >= size {
                    return signed;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let signed = tokio::time::timeout(Duration::from_secs(20), covered).await.unwrap();
    assert_eq!(signed.witnesses([witness.key()]).len(), 1, "{signed}");
    world.stop().await;
    let known = witness.heads()[0].1;
    // The log is begun anew, under the same keys: shorter than what was cosigned first, and longer then.
    fs::remove_dir_all(world.path("data")).unwrap();
    world.run().await;
    let escalated = async |world: &World| {
        let told = async {
            loop {
                let open = world.client(&world.operator()).escalations().await.unwrap().items;
                if open.iter().any(|open| open.rule == "LG-2") {
                    return open;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), told).await.unwrap()
    };
    let open = escalated(&world).await;
    assert!(open[0].facts.contains("entries of this log"), "{open:?}");
    while world.ledger_size().await <= known.size {
        world.enrol().await;
    }
    // A start anew asks anew.
    world.stop().await;
    world.run().await;
    let kept = || fs::read_dir(place.path().join("witness/evidence/unproved")).map_or(0, Iterator::count);
    let refused = async {
        while kept() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();
    assert_eq!(escalated(&world).await.len(), 1, "once");
    assert!(world.public().file("/checkpoint", 1 << 16).await.unwrap().is_none(), "nothing is shown");
    assert_eq!(witness.heads()[0].1, known);
    world.stop().await;
    serving.stop().await;
}
