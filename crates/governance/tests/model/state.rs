//! A state of the model: the record as the plane holds it, what truly runs, and the little that is remembered beside.
//!
//! Time is relative. `now` is the same instant in every state; a tick moves everything else back. What is older than
//! every window is moved back no further ([`AGE_MAX`]), so that time may pass without end in finitely many states. What no
//! decision reads (the serial, names of instants for people) is one value. Never decides.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::Arc;

use governance::{
    Clock, Countdown, Digest, FindingCode, Instance, RolloutStatus, Span, StandingOrder, State,
    StatementHead, Timestamp, Version, World,
};
use serde::Serialize;

use super::federation::{NOW, TICK, UNITS};
use super::law::Breach;

/// Ages beyond it are one: longer than the longest window (three ticks, drift freeze) with an override (two) inside.
pub const AGE_MAX: Span = TICK.times(6);
/// The same for attempts: the window in which one may go back is one tick.
const ATTEMPT_AGE_MAX: Span = TICK.times(2);
/// The same for the instant from which a rollout counts: what was counted stays later.
const COUNT_AGE_MAX: Span = Span::from_millis(TICK.times(2).as_millis() + 1);
/// A clock that shows more has passed every limit: three ticks are the longest.
const CLOCK_MAX: Span = TICK.times(4);

/// What the Runtime asked for and has no answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Ask {
    /// LC-1.
    Ready,
    /// A version statement of what runs now.
    Report,
    /// LC-3.
    Begin(Version),
    /// LC-5.
    Fail(Version),
}

/// A question without an answer, and whether the plane decided it: the answer was lost, or the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Pending {
    /// What was asked.
    pub ask: Ask,
    /// Whether it is on record.
    pub decided: bool,
}

/// One instance: on record, and as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unit {
    /// The record.
    pub record: Instance,
    /// What truly runs.
    pub runs: Version,
    /// With other content than the Organism signed.
    pub forked: bool,
    /// What it is installing.
    pub installing: Option<Version>,
    /// It makes no statement.
    pub silent: bool,
    /// What it asked and has no answer to.
    pub pending: Option<Pending>,
    /// Every release that was ever offered to it (IN-7).
    pub offered: BTreeSet<Version>,
}

/// Everything, with the fingerprint of each part.
#[derive(Clone)]
pub struct Fleet {
    /// The federation on record.
    pub world: Arc<World>,
    /// The instances.
    pub units: [Arc<Unit>; UNITS],
    /// The plane crashed: nothing is swept behind a decision.
    pub down: bool,
    /// How many adversities may yet come.
    pub left: u8,
    /// When standing orders took an instance, counted beside the plane's own brake (CO-14).
    pub taken: Vec<Timestamp>,
    /// The law that the step into this state broke.
    pub broken: Option<Breach>,
    pub prints: [u64; UNITS + 1],
}

impl Fleet {
    /// A state with nothing remembered beside.
    pub fn new(world: World, units: [Unit; UNITS], left: u8) -> Self {
        let (world, units) = (Arc::new(world), units.map(Arc::new));
        let prints = [0; UNITS + 1];
        Self { world, units, down: false, left, taken: Vec::new(), broken: None, prints }
    }

    /// Puts an instance in.
    pub fn set_unit(&mut self, index: usize, unit: Unit) {
        self.units[index] = Arc::new(unit);
    }

    /// Puts the federation in.
    pub fn set_world(&mut self, world: World) {
        self.world = Arc::new(world);
    }

    /// Takes out what no decision reads, and the fingerprints of the parts that are others than in the state before.
    pub fn settle(&mut self, before: &Self) {
        if !Arc::ptr_eq(&self.world, &before.world) {
            let world = Arc::make_mut(&mut self.world);
            abstract_world(world);
            self.prints[0] = print_of(world);
        }
        let spent = self.left == 0 && before.left > 0;
        for index in 0..UNITS {
            if spent || !Arc::ptr_eq(&self.units[index], &before.units[index]) {
                let unit = Arc::make_mut(&mut self.units[index]);
                abstract_unit(unit, &self.world);
                self.prints[index + 1] = print_of(&seen_by_decisions(unit, self.left));
            }
        }
    }

    /// One tick passes.
    pub fn tick(&mut self) {
        let mut world = (*self.world).clone();
        age_world(&mut world);
        for index in 0..UNITS {
            let mut unit = (*self.units[index]).clone();
            age_instance(&mut unit.record, &self.world);
            self.set_unit(index, unit);
        }
        self.set_world(world);
        self.taken =
            self.taken.iter().map(|at| *at - TICK).filter(|at| NOW.since(*at) <= TICK.times(2)).collect();
    }
}

impl PartialEq for Fleet {
    fn eq(&self, other: &Self) -> bool {
        (self.prints, self.down, self.left, &self.taken, self.broken)
            == (other.prints, other.down, other.left, &other.taken, other.broken)
    }
}

impl Hash for Fleet {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.prints, self.down, self.left, &self.taken, self.broken).hash(hasher);
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for unit in &self.units {
            write!(f, "\n    {}", unit.record.summary())?;
            let findings: Vec<FindingCode> =
                unit.record.findings.iter().map(|finding| finding.code).collect();
            write!(f, " {findings:?} due {:?} pending {:?}", unit.record.due, unit.pending)?;
        }
        let rollouts =
            self.world.rollouts.iter().map(|rollout| (rollout.release.to_string(), rollout.shown()));
        write!(f, "\n    {:?} broken {:?}", rollouts.collect::<Vec<_>>(), self.broken)
    }
}

/// The fingerprint of everything that a part says: its serial form, whatever fields it may come to have.
fn print_of<T: Serialize>(part: &T) -> u64 {
    struct Into(DefaultHasher);
    impl io::Write for Into {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut into = Into(DefaultHasher::new());
    serde_json::to_writer(&mut into, part).unwrap();
    into.0.finish()
}

/// An instant one tick further back, but not beyond the greatest age.
fn aged(at: Timestamp) -> Timestamp {
    (at - TICK).max(NOW - AGE_MAX)
}

/// The clock as it shows one tick later, saturated.
fn aged_clock(clock: Clock) -> Clock {
    let later = NOW + TICK;
    let shown = clock.millis(later).min(CLOCK_MAX.as_millis());
    let moved = if shown < 0 {
        Clock::started_ahead(NOW, Span::from_millis(-shown)).stopped(NOW)
    } else {
        Clock::started(NOW - Span::from_millis(shown)).stopped(NOW)
    };
    if clock.is_running() { moved.resumed(NOW) } else { moved }
}

fn aged_countdown(countdown: Option<Countdown>) -> Option<Countdown> {
    countdown.map(|it| Countdown { clock: aged_clock(it.clock), ..it })
}

/// Moves everything that a record says of time one tick back. `world` has not been moved yet.
fn age_instance(record: &mut Instance, world: &World) {
    let ages = |at: &mut Timestamp| *at = aged(*at);
    for at in [&mut record.joined, &mut record.since, &mut record.reported, &mut record.subscription.since] {
        ages(at);
    }
    if let Some(offer) = &mut record.offer {
        ages(&mut offer.since);
        offer.deadline.iter_mut().for_each(ages);
    }
    record.attempt.iter_mut().for_each(|attempt| ages(&mut attempt.begun));
    record.paid.iter_mut().for_each(|paid| paid.at = (paid.at - TICK).max(NOW - TICK));
    let paid = record.paid.as_mut().map(|paid| &mut paid.due);
    for due in record.due.as_mut().into_iter().chain(paid) {
        due.drift = aged_countdown(due.drift);
        due.security = aged_countdown(due.security);
    }
    record.wish.iter_mut().for_each(|wish| ages(&mut wish.again));
    if let Some(left) = &mut record.left {
        ages(&mut left.again);
        left.drift = aged_countdown(left.drift);
        left.security = aged_countdown(left.security);
    }
    for attempt in &mut record.attempts {
        let counts = world.rollout(attempt.rollout).is_none_or(|rollout| rollout.counts(attempt.finished));
        // What is not counted any more stays older than what is (RO-5).
        let floor = if counts { ATTEMPT_AGE_MAX } else { COUNT_AGE_MAX };
        attempt.finished = (attempt.finished - TICK).max(NOW - floor);
    }
    record.failures.iter_mut().for_each(|failure| failure.at = aged(failure.at).max(NOW - TICK.times(3)));
    record.findings.iter_mut().for_each(|finding| ages(&mut finding.since));
    record.violations.iter_mut().for_each(ages);
    for given in &mut record.overrides {
        ages(&mut given.from);
        given.until = (given.until - TICK).max(NOW - AGE_MAX - Span::from_millis(1));
    }
    record.activations.iter_mut().for_each(|activation| ages(&mut activation.since));
    record.notices.iter_mut().for_each(|notice| ages(&mut notice.since));
}

fn age_world(world: &mut World) {
    let ages = |at: &mut Timestamp| *at = aged(*at);
    world.amendments.iter_mut().for_each(|amendment| ages(&mut amendment.document.effective));
    world.brake.counted.iter_mut().for_each(ages);
    world.brake.taken.iter_mut().for_each(|taken| ages(&mut taken.minute));
    for rollout in &mut world.rollouts {
        // While no order began the count anew it began with the rollout (RO-5).
        if rollout.counting_since != rollout.opened {
            rollout.counting_since = (rollout.counting_since - TICK).max(NOW - COUNT_AGE_MAX);
        }
        for stop in &mut rollout.stops {
            ages(&mut stop.from);
            stop.until.iter_mut().for_each(ages);
        }
        rollout.phases.iter_mut().for_each(|open| ages(&mut open.opened));
    }
    for freeze in &mut world.freezes {
        ages(&mut freeze.from);
        ages(&mut freeze.until);
    }
    for outage in &mut world.outages {
        ages(&mut outage.from);
        ages(&mut outage.until);
    }
}

/// Takes out of a record what no decision reads, and what is over for good.
fn abstract_unit(unit: &mut Unit, world: &World) {
    let record = &mut unit.record;
    record.serial = 0;
    record.joined = NOW;
    // They are for the list of those who ask (LC-19).
    record.certificates.clear();
    record.since = match record.state {
        // So long, by whatever findings in turn (LC-7).
        State::OutOfCompliance => record.since.max(NOW - TICK.times(3)),
        _ => NOW,
    };
    if record.subscription.is_valid() {
        record.subscription.since = NOW;
    }
    record.offer.iter_mut().for_each(|offer| offer.since = NOW);
    // After its window nobody goes back by wish, and what was paid is paid for good.
    let window = world.constitution.minor_rollback_window;
    if record.wish.is_none() && record.installation().is_none_or(|it| NOW.since(it.finished) > window) {
        record.paid = record.paid.filter(|paid| paid.at == NOW);
    }
    if record.overrides.is_empty() {
        let old = NOW - TICK.times(3);
        record.findings.iter_mut().for_each(|finding| finding.since = finding.since.max(old));
    }
    record.escalations.iter_mut().for_each(|escalation| escalation.since = NOW);
    record.head = record.head.map(|_| head(1));
    record.violations.retain(|at| NOW.since(*at) <= world.constitution.escalation_within);
    let findings = &record.findings;
    record.overrides.retain(|given| {
        given.until >= NOW
            || findings.iter().any(|finding| finding.code == given.code && finding.since <= given.until)
    });
    // The Founder's order stops what is being installed; the record knows of it no more.
    if record.attempt.is_none() && !record.state.is_eligible() {
        unit.installing = None;
    }
}

/// What decisions read of an instance, and so what tells two states apart. Warnings, escalations and what is counted for
/// them are written and read by nothing else, but for the one of the drift freeze; an offer's deadline follows from the clocks.
fn seen_by_decisions(unit: &Unit, left: u8) -> Unit {
    let mut unit = unit.clone();
    let record = &mut unit.record;
    record.warnings.clear();
    record.escalations.retain(|open| open.rule == StandingOrder::DriftFreeze.rule());
    record.violations.clear();
    record.offered.clear();
    record.offer.iter_mut().for_each(|offer| offer.deadline = None);
    if record.state == State::Revoked || record.handshake_required {
        record.reported = NOW;
    }
    if left == 0 && record.wish.is_none() {
        // No wish to go back comes any more, and no override.
        record.paid = record.paid.filter(|paid| paid.at == NOW);
        if record.overrides.is_empty() && record.state == State::Suspended {
            record.findings.iter_mut().for_each(|finding| finding.since = NOW);
        }
    }
    unit
}

fn abstract_world(world: &mut World) {
    world.escalations.iter_mut().for_each(|escalation| escalation.since = NOW);
    world.brake.taken.retain(|taken| NOW.since(taken.minute) <= TICK.times(2));
    world.freezes.retain(|freeze| freeze.until > NOW - AGE_MAX);
    world.outages.retain(|outage| outage.until > NOW - AGE_MAX);
    world.releases.values_mut().for_each(|published| published.at = NOW);
    let frozen = &world.freezes;
    for rollout in &mut world.rollouts {
        let counts_anew = rollout.counting_since != rollout.opened;
        rollout.opened = NOW - AGE_MAX;
        if !counts_anew {
            rollout.counting_since = rollout.opened;
        }
        // Only canary and beta have a length, and only the phase that runs is timed.
        let timed = rollout.phase().is_some_and(|open| open.duration.is_some());
        if !timed || rollout.status != RolloutStatus::Running {
            rollout.stops.retain(|stop| stop.until.is_none());
            rollout.stops.iter_mut().for_each(|stop| stop.from = NOW);
        }
        let last = rollout.phases.len().saturating_sub(1);
        for (index, open) in rollout.phases.iter_mut().enumerate() {
            (open.eligible, open.cohort) = (0, 0);
            if index < last || (frozen.is_empty() && rollout.stops.is_empty()) {
                open.opened = open.opened.max(NOW - TICK);
            }
        }
        rollout.escalations.iter_mut().for_each(|escalation| escalation.since = NOW);
    }
}

/// A head of the statement chain: the chain is as long as it needs to be, and no longer.
pub fn head(sequence: u64) -> StatementHead {
    StatementHead { sequence, digest: Digest::of(&sequence.to_le_bytes()) }
}
