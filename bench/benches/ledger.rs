//! The ledger written, proved and verified, each beside the bare work below it: `cargo xtask bench` shows the ratios.
#![allow(missing_docs, reason = "criterion's macros")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::{Signer as _, SigningKey};
use fedplane_bench::{reports, synced};
use ledger::memory::MemoryLog;
use ledger::tree::leaf_hash;
use ledger::{Checkpoint, KeyName, LogProof, NoteKey, Verifier};
use plane::ports::{Commit, Store as _};
use proof::{SeedKey, Sign as _};
use sha2::{Digest as _, Sha256};
use store::{Options, SqliteStore};

/// Bytes of an entry such as most are: a report with its request.
const ENTRY_BYTES: usize = 2_000;
/// Entries of the log that is proved about.
const MILLION: u64 = 1_000_000;

/// Durable appends: so many decisions at once, each a commit of its own, beside one append with `fdatasync`.
fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let mut file = File::create(folder.path().join("bare")).expect("a file");
    let entry = vec![7; ENTRY_BYTES];
    group.sample_size(20);
    group.bench_function("bare", |b| b.iter(|| synced(&mut file, black_box(&entry))));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let store = SqliteStore::open(folder.path().join("fedplane.db"), Options::default()).expect("a store");
    let store = Arc::new(store);
    for batch in [1_u64, 64, 256] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(format!("batch-{batch}"), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    let mut commits = tokio::task::JoinSet::new();
                    for _ in 0..batch {
                        let (store, entry) = (Arc::clone(&store), entry.clone());
                        commits.spawn(async move {
                            let commit = Commit { entries: vec![entry], ..Commit::default() };
                            store.commit(commit).await.expect("committed");
                        });
                    }
                    commits.join_all().await;
                });
            });
        });
    }
    group.finish();
    drop(file.flush());
}

/// The verifier over a log of reports, beside one hash and two signatures an entry: what no verifier can do without.
fn verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("verify");
    let (f, from) = reports(2_000);
    let mut before = Verifier::new(f.root(), None);
    f.entries[..from].iter().for_each(|entry| before.push(entry).expect("lawful"));
    let rest = &f.entries[from..];
    group.sample_size(10).throughput(Throughput::Elements(rest.len() as u64));
    let key = SigningKey::from_bytes(&[7; 32]);
    let (verifying, message) = (key.verifying_key(), [7; 300]);
    let signature = key.sign(&message);
    group.bench_function("bare", |b| {
        b.iter(|| {
            for entry in rest {
                black_box(Sha256::digest(black_box(entry)));
                for _ in 0..2 {
                    verifying.verify_strict(black_box(&message), &signature).expect("valid");
                }
            }
        });
    });
    group.bench_function("sha-256", |b| {
        b.iter(|| {
            rest.iter().for_each(|entry| {
                let _ = black_box(Sha256::digest(black_box(entry)));
            })
        });
    });
    group.bench_function("reports", |b| {
        b.iter_batched(
            || before.clone(),
            |mut verifier| rest.iter().for_each(|entry| verifier.push(entry).expect("lawful")),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A proof out of a log of a million entries: made from tiles, and checked; beside the hashes of its path.
fn prove(c: &mut Criterion) {
    let mut group = c.benchmark_group("prove");
    let mut log = MemoryLog::new();
    for position in 0..MILLION {
        log.append(&position.to_le_bytes()).expect("an entry");
    }
    let head = log.publish().expect("published");
    let key = SeedKey::new([7; 32]);
    let origin = KeyName::parse("bench/ledger").expect("a name");
    let note = NoteKey::new(origin.clone(), key.public_key().as_bytes()).expect("a key");
    let checkpoint = Checkpoint::new(origin, head).expect("a checkpoint");
    let signed = checkpoint.sign(&note, |text| key.sign(text)).expect("signed");
    let position = MILLION / 3;
    let entry = position.to_le_bytes().to_vec();
    let proof = log.prove_inclusion(position, MILLION).expect("a proof");
    group.bench_function("bare", |b| {
        b.iter(|| {
            (0..20).fold(leaf_hash(black_box(&entry)), |hash, _| ledger::tree::node_hash(&hash, &hash))
        });
    });
    group.bench_function("made", |b| {
        b.iter(|| log.prove_inclusion(black_box(position), MILLION).expect("a proof"));
    });
    let text = LogProof::new(proof, entry, signed).to_string();
    group.bench_function(format!("checked-{}-bytes", text.len()), |b| {
        b.iter(|| {
            LogProof::parse(black_box(text.as_bytes()))
                .expect("a proof")
                .verify(&note)
                .expect("holds")
                .position
        });
    });
    group.finish();
}

criterion_group!(benches, append, verify, prove);
criterion_main!(benches);
