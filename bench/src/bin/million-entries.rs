//! Writes a lawful log of a million entries, then verifies it on one core and on two, and prints how long that took:
//! `cargo run --release --manifest-path bench/Cargo.toml --bin million-entries [ENTRIES]`. It wants 3 KB of memory an entry.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use fedplane_bench::reports;
use ledger::verify::join;
use ledger::{SignedCheckpoint, Verifier};

fn main() {
    let wanted: usize =
        env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of entries"));
    let (f, _) = reports(wanted);
    let checkpoint = f.checkpoint();
    let bytes: usize = f.entries.iter().map(Vec::len).sum();
    println!("{} entries, {} MB", f.entries.len(), bytes / 1_000_000);
    for cores in [1, 2] {
        let verifier = Verifier::new(f.root(), None);
        let took = verify(verifier, cores, &f.entries, &checkpoint);
        let rate = f.entries.len() as f64 / took.as_secs_f64();
        println!("verified on {cores} cores in {:.1} s, {rate:.0} a second", took.as_secs_f64());
    }
}

/// As `fedplane ledger verify` does it, but for the reading.
fn verify(verifier: Verifier, cores: u64, entries: &[Vec<u8>], checkpoint: &SignedCheckpoint) -> Duration {
    let began = Instant::now();
    let found = thread::scope(|scope| {
        let replay = |mut share: ledger::verify::Share| {
            scope.spawn(move || {
                entries.iter().for_each(|entry| share.push_opened(entry, |_| None).expect("lawful"));
                share.finish(checkpoint)
            })
        };
        let workers: Vec<_> = verifier.shared(cores).into_iter().map(replay).collect();
        workers.into_iter().map(|worker| worker.join().expect("verified")).collect()
    });
    join(found).expect("lawful");
    began.elapsed()
}
