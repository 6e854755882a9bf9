//! The law, checked in every state that a small federation can reach.
//!
//! **What moves.** Two instances of different strata, one active and one yet to join, and one or two releases (a minor, a
//! security or a major one). All authorities act: the Runtimes ask and answer, the Organism publishes, the plane judges
//! and sweeps, operators and the Founder order. The functions are the real ones: `decide`, `decide_world`, `reconcile`,
//! `federation_events`, `advance`, `apply`. The law is [`federation::law`]: every window passes within four ticks of
//! twelve hours. Time goes on without end: ages are counted from now, and saturate beyond every window.
//!
//! **What goes wrong.** An [adversity](Step): an attempt fails or stalls, a decision or an answer is lost and the command
//! repeated, the plane crashes in the middle of a sweep and time passes over it, content is changed, a chain forks, an
//! instance falls silent, a subscription ends, an operator or the Founder suspends, revokes, overrides, pauses, freezes,
//! withdraws, aborts, amends, turns the red switch.
//!
//! **What is bounded.** See [`SCOPES`]: the releases, the number of adversities in one timeline, in some scopes which they
//! may be, and in some its length. All else is free in order and number: whatever the scope allows, in any order, is
//! visited.
//!
//! - To the end, both instances free: a minor and a major release undisturbed, a security release with one adversity.
//! - To the end, the second instance doing at once all that it is asked for: a minor and a major release with one adversity
//!   each; minor and major together undisturbed; minor and security, and minor and major, with one order of the Founder.
//! - To a depth: minor and security with a crash, and with any one adversity; a security and a minor release with two.
//!
//! Not visited: two releases together with two adversities, or with both instances free, or to the end with an adversity
//! that is no order of the Founder; three releases or instances. Left
//! out: modules, keys, wishes of a suspended instance, restrictions and approvals; the random timelines of `properties`
//! have them. An instance that is not silent reports at every tick. Clocks that ought to stand still are looked at once
//! the plane has swept: one that is away cannot turn them.
//!
//! **What is checked.** At every event, what [`law`] says of it: IN-4, IN-5, IN-6, IN-7, LC, AU-1, CO-14, FO-3, LC-18, who may
//! be offered what, and that functions are idempotent and refusals harmless. Of every state at rest: that state, offer, attempt,
//! findings and clocks agree, and that a drift beyond the freeze is before the Founder or taken. Of every state that is
//! visited: that a [way](way) leads each instance to `active`.
//! All rows of the law's table must have been walked.
//!
//! `cargo test -p governance --test model -- --nocapture` prints the number of states.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a test that cannot go on fails, and says what it visited"
)]

mod federation;
mod law;
mod state;
mod step;
mod way;

use std::sync::Arc;

use governance::{Class, Version};
use stateright::{Checker, Model, Property};

use federation::UNITS;
use law::Seen;
use state::Fleet;
use step::Step;

/// What may happen in the timelines of one check.
#[derive(Clone, Copy, Debug)]
struct Scope {
    /// What it is about.
    name: &'static str,
    /// What is published, each at any time.
    releases: &'static [(Version, Class)],
    /// How many adversities a timeline has at the most.
    adversities: u8,
    /// Which adversities there are.
    only: fn(Step) -> bool,
    /// Whether the second instance does all it is asked for, at once.
    partner_follows: bool,
    /// How many steps a timeline has at the most; none: every reachable state is visited.
    depth: Option<usize>,
    /// So many states are visited at the least: a model that no longer moves proves nothing.
    states: usize,
}

const MINOR: (Version, Class) = (federation::MINOR, Class::Minor);
const SECURITY: (Version, Class) = (Version::new(0, 1, 2), Class::Security);
const MAJOR: (Version, Class) = (Version::new(0, 2, 0), Class::Major);

/// Any adversity.
const ANY: fn(Step) -> bool = |_| true;
/// The plane crashes, and nothing else goes wrong.
const CRASH: fn(Step) -> bool = |step| matches!(step, Step::Crash);
/// The Founder orders, and nothing goes wrong.
const FOUNDER: fn(Step) -> bool = |step| {
    use Step::{Amend, Hold, Override, Revoke, Withdraw};
    matches!(step, Hold(_) | Revoke(_) | Override(..) | Withdraw(_) | Amend)
};

#[rustfmt::skip]
const SCOPES: &[Scope] = &[
    Scope { name: "minor, both free, undisturbed",        releases: &[MINOR],           adversities: 0, only: ANY,     partner_follows: false, depth: None,     states: 15_000 },
    Scope { name: "major, both free, undisturbed",        releases: &[MAJOR],           adversities: 0, only: ANY,     partner_follows: false, depth: None,     states: 15_000 },
    Scope { name: "security, both free, one",             releases: &[SECURITY],        adversities: 1, only: ANY,     partner_follows: false, depth: None,     states: 100_000 },
    Scope { name: "minor, one",                           releases: &[MINOR],           adversities: 1, only: ANY,     partner_follows: true,  depth: None,     states: 50_000 },
    Scope { name: "major, one",                           releases: &[MAJOR],           adversities: 1, only: ANY,     partner_follows: true,  depth: None,     states: 50_000 },
    Scope { name: "minor and major, undisturbed",         releases: &[MINOR, MAJOR],    adversities: 0, only: ANY,     partner_follows: true,  depth: None,     states: 2_000 },
    Scope { name: "minor and security, a Founder's order",releases: &[MINOR, SECURITY], adversities: 1, only: FOUNDER, partner_follows: true,  depth: None,     states: 20_000 },
    Scope { name: "minor and major, a Founder's order",   releases: &[MINOR, MAJOR],    adversities: 1, only: FOUNDER, partner_follows: true,  depth: None,     states: 20_000 },
    Scope { name: "minor and security, a crash",          releases: &[MINOR, SECURITY], adversities: 1, only: CRASH,   partner_follows: true,  depth: Some(12), states: 10_000 },
    Scope { name: "minor and security, one",              releases: &[MINOR, SECURITY], adversities: 1, only: ANY,     partner_follows: true,  depth: Some(9),  states: 10_000 },
    Scope { name: "security, two",                        releases: &[SECURITY],        adversities: 2, only: ANY,     partner_follows: true,  depth: Some(10), states: 10_000 },
    Scope { name: "minor, two",                           releases: &[MINOR],           adversities: 2, only: ANY,     partner_follows: true,  depth: Some(8),  states: 10_000 },
];

/// A scope being checked.
struct Federation {
    scope: Scope,
    seen: Arc<Seen>,
}

impl Model for Federation {
    type State = Fleet;
    type Action = Step;

    fn init_states(&self) -> Vec<Fleet> {
        vec![federation::founded(self.scope.adversities)]
    }

    fn actions(&self, fleet: &Fleet, steps: &mut Vec<Step>) {
        if fleet.broken.is_none() {
            fleet.steps(&self.scope, steps);
        }
    }

    fn next_state(&self, fleet: &Fleet, step: Step) -> Option<Fleet> {
        let next = fleet.after(step, &self.scope, &self.seen);
        (next != *fleet).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no step breaks the law", |_, fleet: &Fleet| fleet.broken.is_none()),
            Property::always("nobody is stuck", |model: &Self, fleet: &Fleet| {
                fleet.broken.is_some()
                    || (0..UNITS).all(|index| way::leads_to_active(fleet, index, &model.scope, &model.seen))
            }),
        ]
    }
}

#[test]
fn in_4_in_5_in_6_in_7_the_law_holds_in_every_state_and_nobody_is_stuck() {
    assert_eq!(federation::law().check(), Ok(()));
    let seen = Arc::new(Seen::default());
    let mut states = 0;
    for scope in SCOPES {
        let mut builder = Federation { scope: *scope, seen: Arc::clone(&seen) }.checker().threads(2);
        if let Some(depth) = scope.depth {
            builder = builder.target_max_depth(depth);
        }
        let checker = builder.spawn_bfs().join();
        let (unique, steps, depth) =
            (checker.unique_state_count(), checker.state_count(), checker.max_depth());
        println!("{}: {unique} states, {steps} steps, {depth} deep", scope.name);
        checker.assert_properties();
        assert!(unique >= scope.states, "{} visited {unique} states", scope.name);
        states += unique;
    }
    println!("{states} states");
    assert_eq!(seen.missing(), Vec::<String>::new(), "rows of the table that no timeline walked");
}
