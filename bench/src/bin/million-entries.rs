//! Writes a lawful log of a million entries and verifies it, the one on one core, the other on another; prints how long the
//! verifier was at it: `cargo run --release --manifest-path bench/Cargo.toml --bin million-entries [ENTRIES]`.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::env;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use fedplane_bench::reports;
use governance::Span;
use ledger::tree::leaf_hash;
use ledger::{Frontier, Verifier};

fn main() {
    let wanted: usize =
        env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of entries"));
    let (chunks, written) = sync_channel::<Vec<Vec<u8>>>(4);
    let (mut f, _) = reports(0);
    let verifier = Verifier::new(f.root(), None);
    let verifying = thread::spawn(move || {
        let (mut verifier, mut frontier) = (verifier, Frontier::new());
        let (mut took, mut bytes) = (Duration::ZERO, 0);
        for chunk in written {
            let began = Instant::now();
            for entry in &chunk {
                verifier.push(entry).expect("lawful");
            }
            took += began.elapsed();
            for entry in &chunk {
                bytes += entry.len();
                frontier.push(leaf_hash(entry));
            }
        }
        (verifier, frontier, took, bytes)
    });
    let mut count = 0;
    while count < wanted {
        count += f.entries.len();
        chunks.send(std::mem::take(&mut f.entries)).expect("the verifier goes on");
        f.wait(Span::hours(1));
        (1..=200).for_each(|n| f.report(n));
    }
    drop(chunks);
    let (verifier, frontier, took, bytes) = verifying.join().expect("verified");
    let checkpoint = f.checkpoint_by(&f.ledger, frontier.head());
    let report = verifier.finish(&checkpoint).expect("lawful");
    let seconds = took.as_secs_f64();
    println!(
        "{} entries, {} MB: verified in {seconds:.1} s, {:.0} a second",
        report.entries,
        bytes / 1_000_000,
        report.entries as f64 / seconds
    );
}
