//! LG-2, LG-3: a log that was damaged or put together otherwise, at every place of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod federation;

use std::sync::LazyLock;

use federation::Federation;
use federation::scenario::everything;
use ledger::{Breach, Report, Verifier};
use proptest::prelude::*;

static LAWFUL: LazyLock<Federation> = LazyLock::new(everything);

fn verifier(f: &Federation) -> Verifier {
    Verifier::new(f.root(), None)
}

fn run(mut verifier: Verifier, entries: &[Vec<u8>], f: &Federation) -> Result<Report, Breach> {
    entries.iter().try_for_each(|entry| verifier.push(entry))?;
    verifier.finish(&f.checkpoint())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn a_flipped_bit_in_any_entry_is_found(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let f = &*LAWFUL;
        let mut good = verifier(f);
        for (position, entry) in f.entries.iter().enumerate() {
            let mut flipped = entry.clone();
            flipped[at.index(entry.len())] ^= 1 << bit;
            let mut bad = good.clone();
            match bad.push(&flipped) {
                Err(breach) => prop_assert_eq!(breach.position, position as u64),
                // What no signature covers and no rule reads (the operator's name, a millisecond): the root still differs.
                Ok(()) => {
                    let breach = run(bad, &f.entries[position + 1..], f).expect_err("a flipped bit was not found");
                    prop_assert!(breach.position > position as u64, "{}", breach);
                }
            }
            good.push(entry).unwrap();
        }
        prop_assert!(good.finish(&f.checkpoint()).is_ok());
    }
}

/// At how many places a change of the log is found no later than at the next decision about anything.
fn each_found(change: impl Fn(&mut Vec<Vec<u8>>, usize) -> bool) {
    let f = &*LAWFUL;
    let mut good = verifier(f);
    for position in 0..f.entries.len() - 1 {
        let mut entries = f.entries.clone();
        if change(&mut entries, position) {
            let breach = run(good.clone(), &entries[position..], f).expect_err("the change was not found");
            assert!(breach.position >= position as u64 && !breach.rule.is_empty(), "{breach}");
        }
        good.push(&f.entries[position]).unwrap();
    }
}

#[test]
fn a_dropped_entry_is_found() {
    each_found(|entries, position| {
        entries.remove(position);
        true
    });
}

#[test]
fn a_reordered_pair_is_found() {
    each_found(|entries, position| {
        entries.swap(position, position + 1);
        entries[position] != entries[position + 1]
    });
}

#[test]
fn a_repeated_entry_is_found() {
    each_found(|entries, position| {
        entries.insert(position, entries[position].clone());
        true
    });
}
