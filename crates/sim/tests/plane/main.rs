//! The plane's own code in simulation: its use cases over a store, clocks, a network and processes that fail, all of it drawn
//! from a seed.
//!
//! `FEDPLANE_SIM_SEEDS=N` plays so many seeds, `FEDPLANE_SIM_FROM=K` begins at another than the first, and `FEDPLANE_SIM_SEED=K`
//! plays one again and shows every step.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test"
)]

mod book;
mod fate;
mod federation;
mod instances;
mod net;
mod people;
mod plan;
mod run;
mod servers;
mod store;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use plan::Plan;
use run::{Outcome, Watch, run};
use store::Mutant;

/// Seeds that are played when nobody says how many.
const SEEDS: u64 = 1_000;
/// Seeds within which each missing guard must be found out.
const MUTANT_SEEDS: u64 = 400;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: a whole number is wanted")))
}

/// The guard that is taken away from a run that is shown, by its name in [`Mutant`].
fn mutant() -> Mutant {
    let Ok(name) = std::env::var("FEDPLANE_SIM_MUTANT") else { return Mutant::None };
    let named = Mutant::ALL.iter().find(|mutant| format!("{mutant:?}") == name);
    *named.unwrap_or_else(|| panic!("FEDPLANE_SIM_MUTANT={name}: one of {:?} is wanted", Mutant::ALL))
}

/// Plays seeds on every core until one gives what is looked for; gives the lowest such seed.
fn search(
    from: u64,
    count: u64,
    mutant: Mutant,
    each: impl Fn(u64, &Outcome) + Sync,
) -> Option<(u64, String)> {
    let next = AtomicU64::new(from);
    let found: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // Whatever is below what was found is still played, so that the lowest is told.
                    let known = found.lock().unwrap().as_ref().map(|(seed, _)| *seed);
                    if seed >= from + count || known.is_some_and(|known| known < seed) {
                        return;
                    }
                    if mutant == Mutant::Gate && Plan::of(seed).servers == 1 {
                        // A gate is between servers.
                        continue;
                    }
                    let outcome = run(seed, mutant, Watch::Nothing);
                    each(seed, &outcome);
                    if let Some(breach) = outcome.breach {
                        let mut found = found.lock().unwrap();
                        if found.as_ref().is_none_or(|(known, _)| seed < *known) {
                            *found = Some((seed, breach));
                        }
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

/// Plays a seed again, watching, and says how it came to its breach.
fn told(seed: u64) -> String {
    let again = run(seed, Mutant::None, Watch::Last);
    format!(
        "seed {seed}: {}\n{}\nplay it again: FEDPLANE_SIM_SEED={seed} cargo test -p sim --test plane -- --nocapture every_seed",
        again.breach.as_deref().unwrap_or("not found again: the run is not deterministic"),
        again.lines.join("\n")
    )
}

#[test]
fn every_seed_keeps_what_must_hold() {
    if let Some(seed) = number("FEDPLANE_SIM_SEED") {
        let outcome = run(seed, mutant(), Watch::Everything);
        assert_eq!(outcome.breach, None, "seed {seed}");
        return;
    }
    let (from, count) =
        (number("FEDPLANE_SIM_FROM").unwrap_or(1), number("FEDPLANE_SIM_SEEDS").unwrap_or(SEEDS));
    let rules: Mutex<BTreeMap<String, u64>> = Mutex::default();
    let (entries, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    let breach = search(from, count, Mutant::None, |_, outcome| {
        entries.fetch_add(outcome.size, Ordering::Relaxed);
        steps.fetch_add(outcome.steps, Ordering::Relaxed);
        let mut rules = rules.lock().unwrap();
        outcome.rules.iter().for_each(|(rule, count)| *rules.entry(rule.clone()).or_default() += count);
    });
    if let Some((seed, _)) = breach {
        panic!("{}", told(seed));
    }
    eprintln!("{count} seeds: {entries:?} entries, {steps:?} steps: {:?}", rules.lock().unwrap());
}

#[test]
fn every_missing_guard_is_found_out() {
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        match search(1, MUTANT_SEEDS, *mutant, |_, _| {}) {
            Some((seed, breach)) => eprintln!("{mutant:?}: seed {seed}: {breach:.200}"),
            None => missed.push(format!("{mutant:?}")),
        }
    }
    assert_eq!(missed, Vec::<String>::new(), "guards that nobody misses");
}

#[test]
fn a_seed_is_a_run() {
    for seed in [1, 2, 3, 4, 5, 6] {
        let (one, other) = (run(seed, Mutant::None, Watch::Nothing), run(seed, Mutant::None, Watch::Last));
        assert_eq!((one.print, one.size, one.steps), (other.print, other.size, other.steps), "seed {seed}");
    }
}
