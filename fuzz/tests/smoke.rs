//! Drives every target on stable for a bounded time: its seeds, what once broke, then changed inputs.
//!
//! `FUZZ_RUNS` (20,000) and `FUZZ_SECONDS` (4) bound each target, `FUZZ_SEED` (0) chooses the run. An input that
//! breaks a promise is written to `artifacts/TARGET/`. No coverage guides it: inputs that a parser takes are kept
//! and changed further.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use targets::mutate::{Random, input};
use targets::{TARGETS, Target};

/// Inputs kept beside the seeds, and the bytes of one: long inputs are slow, and breed longer ones.
const KEPT_MAX: usize = 256;
const KEPT_BYTES_MAX: usize = 16 * 1024;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn folder(name: &str, target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name).join(target.name)
}

/// Runs one input; keeps it when it breaks a promise.
fn judge(target: &Target, input: &[u8], origin: &str) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).unwrap_or_else(|_| {
        let path = folder("artifacts", target).join(governance::Digest::of(input).to_string());
        fs::create_dir_all(folder("artifacts", target)).unwrap();
        fs::write(&path, input).unwrap();
        panic!("{} broke a promise on {origin}: the input is in {}", target.name, path.display())
    })
}

#[expect(clippy::disallowed_methods, reason = "the time a test may take is not the law's")]
fn drive(target: &Target) {
    let mut pool = (target.seeds)();
    assert!(!pool.is_empty(), "{} has no seeds", target.name);
    for seed in &pool {
        assert!(judge(target, seed, "a seed"), "a seed is not taken: {}", String::from_utf8_lossy(seed));
    }
    for file in fs::read_dir(folder("regressions", target)).into_iter().flatten() {
        let path = file.unwrap().path();
        judge(target, &fs::read(&path).unwrap(), &path.display().to_string());
    }
    let (seeds, runs, seed) = (pool.len(), number("FUZZ_RUNS", 20_000), number("FUZZ_SEED", 0));
    let (begun, limit) = (Instant::now(), Duration::from_secs(number("FUZZ_SECONDS", 4)));
    let mut random = Random(seed);
    let (mut run, mut taken) = (0, 0);
    while run < runs && begun.elapsed() < limit {
        let input = input(&mut random, &pool);
        if judge(target, &input, &format!("run {run} of seed {seed}")) {
            taken += 1;
            if input.len() > KEPT_BYTES_MAX {
                // Judged, not bred.
            } else if pool.len() < seeds + KEPT_MAX {
                pool.push(input);
            } else {
                let place = seeds + random.below(KEPT_MAX);
                pool[place] = input;
            }
        }
        run += 1;
    }
    println!("{:<16} {run:>6} runs, {taken:>6} taken, {:?}", target.name, begun.elapsed());
}

/// With `FUZZ_CORPUS=1`, writes the seeds as files for libFuzzer instead of driving.
fn write_corpus(target: &Target) {
    let folder = folder("corpus", target);
    fs::create_dir_all(&folder).unwrap();
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:02}")), seed).unwrap();
    }
}

macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            let target = TARGETS.iter().find(|target| target.name == stringify!($name)).unwrap();
            if number("FUZZ_CORPUS", 0) == 1 { write_corpus(target) } else { drive(target) }
        })+

        #[test]
        fn every_target_is_driven() {
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), [$(stringify!($name)),+]);
            for target in TARGETS {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets").join(format!("{}.rs", target.name));
                assert!(path.is_file(), "{} has no binary for libFuzzer", target.name);
            }
        }
    };
}
tests!(
    governance_texts,
    constitution,
    release,
    jws,
    keys_document,
    statement,
    answer,
    directive,
    order,
    request,
    token,
    tuf_document,
    tuf_foreign,
    tuf_updater,
    entry,
    tile,
    note,
    merkle_proof,
    log_proof,
    witness,
    pem,
    x509,
    csr,
    request_head,
    wire,
    events,
    proxy,
    key_source,
    encrypted_key,
);
