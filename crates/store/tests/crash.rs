//! Killed at a random moment, again and again: what was acknowledged is there, and nothing is there in halves.
//!
//! A kill takes the process, not the machine: it shows that acknowledgement follows the transaction and that recovery is
//! whole, not that the disk keeps its word.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use plane::ports::{Commit, Document, Nonce, PAGE_MAX, Store, StoreError};
use store::conformance::fixture::{at, instance, instance_id, writes};
use store::{OUTBOX_TOPIC, Options, SqliteStore};
use tempfile::TempDir;

/// Where the child finds the file; set, it makes this test the child.
const FILE: &str = "STORE_CRASH_FILE";
/// Kills in a row, each on what the one before left.
const ROUNDS: u32 = 8;
/// Acknowledgements after which the child is killed at most.
const ACKNOWLEDGED_MAX: u64 = 600;
/// Instances that commit at once in the child.
const INSTANCES: u64 = 24;
/// Commits of one instance before the child gives up being killed.
const COMMITS_MAX: u64 = 1_000_000;

#[test]
fn every_acknowledged_commit_survives_a_kill() {
    match std::env::var_os(FILE) {
        Some(file) => child(Path::new(&file)),
        None => parent(),
    }
}

fn parent() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store.db");
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        let after = RandomState::new().build_hasher().finish() % ACKNOWLEDGED_MAX;
        kill_after(after, &file, &mut acknowledged);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(inspect(&file, &acknowledged, &format!("round {round}, killed after {after}")));
    }
    assert!(!acknowledged.is_empty(), "nothing was ever acknowledged: the test shows nothing");
}

/// Starts the child, kills it after so many acknowledgements, and takes down every one it still gave.
fn kill_after(after: u64, file: &Path, acknowledged: &mut BTreeMap<u64, (u64, u64)>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "every_acknowledged_commit_survives_a_kill", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = 0;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines {
        let line = line.unwrap();
        let Some(told) = line.split_once("acknowledged ").map(|(_, told)| told) else { continue };
        let numbers: Vec<u64> = told.split(' ').map_while(|number| number.parse().ok()).collect();
        // A line cut by the kill was not said; a whole one ends with `.`.
        if let ([number, revision, size], true) = (numbers.as_slice(), told.ends_with(" .")) {
            acknowledged.insert(*number, (*revision, *size));
            seen += 1;
        }
        if seen == after + 1 {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "it was to be killed");
}

/// Instances that commit for ever, each telling what was acknowledged.
fn child(file: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(SqliteStore::open(file, Options::default()).unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..INSTANCES {
            let store = Arc::clone(&store);
            tasks.spawn(async move { commit_for_ever(&store, number).await });
        }
        tasks.join_all().await;
    });
}

async fn commit_for_ever(store: &SqliteStore, number: u64) {
    let found = store.instance_load(instance_id(number)).await.unwrap();
    let mut revision = found.map_or(0, |(_, revision)| revision);
    for _ in 0..COMMITS_MAX {
        let committed = store.commit(step(number, revision)).await.unwrap();
        revision = committed.instance_revision;
        let line = format!("acknowledged {number} {revision} {} .\n", committed.ledger_size);
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    }
}

/// The commit that takes an instance from this revision to the next: two entries, a nonce, a document, the instance.
fn step(number: u64, revision: u64) -> Commit {
    let mut stepped = instance(number);
    stepped.serial = revision + 1;
    let bytes = (revision + 1).to_string().into_bytes();
    Commit {
        entries: entries(number, revision + 1),
        nonce: Some(Nonce { key: number.to_string(), nonce: revision.to_string(), expires: at(1) }),
        documents: vec![Document { kind: "order".to_owned(), name: number.to_string(), bytes }],
        ..writes(stepped, (revision > 0).then_some(revision))
    }
}

fn entries(number: u64, revision: u64) -> Vec<Vec<u8>> {
    (0..2).map(|half| format!("{number} {revision} {half}").into_bytes()).collect()
}

/// Opens what is left: whole, all that was acknowledged in it, state and entries telling the same.
async fn inspect(file: &Path, acknowledged: &BTreeMap<u64, (u64, u64)>, when: &str) {
    let store = SqliteStore::open(file, Options::default()).unwrap();
    assert_eq!(store.check().await, Ok(vec![]), "{when}");
    let ledger = ledger(&store).await;
    assert_eq!(store.entry_count().await, Ok(ledger.len() as u64), "{when}");
    let mut expected = 0;
    for number in 0..INSTANCES {
        let found = store.instance_load(instance_id(number)).await.unwrap();
        let (serial, revision) = found.map_or((0, 0), |(instance, revision)| (instance.serial, revision));
        assert_eq!(serial, revision, "{when}: the body is of its revision");
        let told = acknowledged.get(&number).copied().unwrap_or_default();
        assert!(revision >= told.0, "{when}: {number} was told {}, and is at {revision}", told.0);
        assert!(told.1 <= ledger.len() as u64, "{when}: {number} was told of {} entries", told.1);
        let of_it: Vec<_> =
            ledger.iter().filter(|entry| entry.starts_with(format!("{number} ").as_bytes())).collect();
        let written: Vec<_> = (1..=revision).flat_map(|revision| entries(number, revision)).collect();
        assert!(of_it.into_iter().eq(&written), "{when}: {number}'s entries are those of its revisions");
        let document = store.document_load("order", &number.to_string()).await.unwrap();
        assert_eq!(document, (revision > 0).then(|| revision.to_string().into_bytes()), "{when}: {number}");
        if revision > 0 {
            let spent = Commit { nonce: step(number, revision - 1).nonce, ..Commit::default() };
            assert_eq!(store.commit(spent).await, Err(StoreError::NonceSpent), "{when}: {number}");
        }
        expected += 2 * revision;
    }
    assert_eq!(ledger.len() as u64, expected, "{when}: every entry is somebody's");
    let outbox = store.outbox_page(OUTBOX_TOPIC, PAGE_MAX).await.unwrap();
    let contiguous = outbox.iter().zip((0..).step_by(2)).all(|(item, position)| item.position == position);
    assert!(contiguous && outbox.len() == PAGE_MAX.min(ledger.len() / 2), "{when}: the outbox");
}

async fn ledger(store: &SqliteStore) -> Vec<Vec<u8>> {
    let mut ledger: Vec<Vec<u8>> = Vec::new();
    loop {
        let page = store.entry_page(ledger.len() as u64, PAGE_MAX).await.unwrap();
        if page.is_empty() {
            return ledger;
        }
        ledger.extend(page);
    }
}
