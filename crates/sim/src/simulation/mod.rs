//! A virtual fleet over a year: jitter, outages, failures, lapses, clones, forks and refusals, and seven invariants
//! that are checked at every step.
//!
//! Restates no rule: what is decided comes from the law's own functions. The same options give the same summary, bit
//! for bit, whatever the number of threads.
//!
//! | module | what lives there |
//! |---|---|
//! | `profile` | how badly a fleet behaves |
//! | `organism` | what is published, and when |
//! | `identity`, `unit`, `conduct` | an instance: who it is, what it is about to do, what it does |
//! | `desk` | where commands go through the law |
//! | `packed`, `book` | records in little space |
//! | `alike` | sweeps that open one record of many that are alike |
//! | `shard`, `fleet` | the calendar, the threads, the federation's part |
//! | `invariants` | IN-1 to IN-7, a file each |
//! | `tally`, `summary`, `report` | what is counted, and how it is shown |

mod alike;
mod book;
mod conduct;
mod desk;
mod fleet;
mod identity;
mod invariants;
mod organism;
mod packed;
mod profile;
mod random;
pub mod report;
mod shard;
mod summary;
mod tally;
mod unit;

use governance::{Constitution, WorldEvent};

pub use desk::{Pace, Tamper};
pub use profile::{PROFILES, Profile, UnknownProfile};
pub use summary::{
    Breach, EscalationRow, FindingRow, RefusalRow, RolloutRow, StateRow, Summary, TransitionRow, VersionRow,
};

/// The first instant of every simulation: 2026-01-01T00:00:00Z, in milliseconds.
pub const START: i64 = 1_767_225_600_000;
/// The most instances of a fleet.
pub const INSTANCES_MAX: u32 = 10_000_000;
/// The most days: ten years.
pub const DAYS_MAX: u32 = 3_650;

/// Corrupts what was decided about the federation as a whole before it is put on record: for tests of the checks.
pub type TamperWorld = fn(&mut Vec<WorldEvent>);

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many instances, at most [`INSTANCES_MAX`].
    pub instances: u32,
    /// How many days, at most [`DAYS_MAX`].
    pub days: u32,
    /// What all chance follows from.
    pub seed: u64,
    /// The law in force.
    pub constitution: Constitution,
    /// How badly the fleet behaves.
    pub profile: Profile,
    /// Over how many threads the work is shared out. Changes nothing but the time it takes.
    pub threads: usize,
    /// How often instances are looked at.
    pub pace: Pace,
    /// Corrupts decisions about instances: for tests of the checks alone.
    #[doc(hidden)]
    pub tamper: Option<Tamper>,
    /// Corrupts decisions about the federation: for tests of the checks alone.
    #[doc(hidden)]
    pub tamper_world: Option<TamperWorld>,
}

impl Options {
    /// A fleet under the default constitution, of the default profile, on one thread.
    #[must_use]
    pub fn new(instances: u32, days: u32, seed: u64) -> Self {
        Self {
            instances,
            days,
            seed,
            constitution: Constitution::default(),
            profile: Profile::default(),
            threads: 1,
            pace: Pace::Calendar,
            tamper: None,
            tamper_world: None,
        }
    }

    const fn hours(&self) -> u32 {
        self.days.saturating_mul(book::DAY)
    }
}

/// Simulates the fleet; `progress` hears of every day that is over.
///
/// None only if the names that all instances share were none, which a test excludes.
#[must_use]
pub fn simulate(options: &Options, progress: &mut dyn FnMut(u32)) -> Option<Summary> {
    Some(fleet::Fleet::new(options)?.run(progress))
}
