//! Where one instance lies open: commands go through the law here, and nothing is put on record unchecked.
//!
//! Decides nothing: `decide` judges, `due`, the parts of `reconcile`, finds what is due, `apply` folds, the invariants look on.

use governance::constitution::StandingOrder;
use governance::decide::{Command, Statement, decide};
use governance::reconcile::{ROUNDS_MAX, due, federation_events};
use governance::{
    Action, Authority, Counts, Digest, Instance, InstanceEvent, Outcome, Running, StatementHead, Timestamp,
    Version, World, WorldEvent, standing,
};

use super::book::{Book, Hour};
use super::invariants::{self, Before, Broken, Step};
use super::packed::{Laid, Owner, Packed, table};
use super::profile::{Hazards, Profile};
use super::tally::{Tally, Watch, slot};

/// How often an instance is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Daily, and in every hour in which something may become due. Where nothing can become due, a daily statement that
    /// repeats the last is put on record without the record being opened.
    #[default]
    Calendar,
    /// Daily, and hourly while any window is open, and every record opened each time: slower, and finds the same.
    Hourly,
}

/// Corrupts what was decided about an instance before it is put on record: for tests of the checks.
pub type Tamper = fn(&Instance, &mut Vec<InstanceEvent>);

/// What all instances see in one hour.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) book: &'a Book,
    pub(super) world: &'a World,
    pub(super) profile: &'a Profile,
    pub(super) hazards: &'a Hazards,
    /// Numbers of the rollouts whose sums are kept up to date,
    pub(super) watched: &'a [usize],
    /// and of those whose sums are counted anew.
    pub(super) recounted: &'a [usize],
    pub(super) hour: Hour,
    pub(super) hours: Hour,
    pub(super) now: Timestamp,
    pub(super) pace: Pace,
    /// Whether more may have changed than releases and rollouts, so that a sweep opens every record.
    pub(super) is_general: bool,
    /// Whether one instance alone is decided about, the rest of the fleet standing still.
    pub(super) alone: bool,
    pub(super) tamper: Option<Tamper>,
}

/// The record of an instance at rest.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::large_enum_variant,
    reason = "almost every record is of the large variant: a box would only add to it"
)]
pub(super) enum Record {
    /// It has not joined.
    #[default]
    Absent,
    /// As almost every record is.
    Packed(Packed),
    /// One that does not pack.
    Whole(Box<Instance>),
}

/// How much of a record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Changed {
    Nothing,
    /// A statement that says what the last one said.
    Statement,
    /// Anything but the finished attempts.
    Some,
    /// As that, and attempts were finished: they stand behind the others.
    Attempts,
    Everything,
}

impl Changed {
    /// What an event changes; `before` is how it stood. What the law gains later may change everything.
    fn by(before: &Instance, event: &InstanceEvent) -> Self {
        match event {
            InstanceEvent::Reported { running, domains, .. } => {
                let repeats =
                    *running == before.running && *domains == before.domains && before.previous_key.is_none();
                if repeats { Self::Statement } else { Self::Some }
            }
            InstanceEvent::Moved { .. }
            | InstanceEvent::Offered { .. }
            | InstanceEvent::OfferEnded { .. }
            | InstanceEvent::ClocksTurned { .. }
            | InstanceEvent::Warned { .. }
            | InstanceEvent::DueEnded { .. }
            | InstanceEvent::AttemptBegun { .. }
            | InstanceEvent::FindingOpened { .. }
            | InstanceEvent::FindingClosed { .. } => Self::Some,
            InstanceEvent::AttemptFinished { .. } => Self::Attempts,
            _ => Self::Everything,
        }
    }
}

impl Record {
    /// Puts on record statements that say what the last one said.
    pub(super) const fn restate(&mut self, sequence: u32, hour: Hour) {
        if let Self::Packed(packed) = self {
            packed.restate(sequence, hour);
        }
    }
}

/// The desk of a shard.
pub(super) struct Desk {
    /// The instance as its record stands.
    pub(super) instance: Instance,
    laid: Laid,
    /// The instance as it was before the event that is checked.
    before: Before,
    before_laid: Laid,
    /// Whether `before` is the instance that lies open.
    is_paired: bool,
    /// Whether everything that was due at this hour is on record.
    is_settled: bool,
    /// Whether what is due must be decided alone, the rest of the fleet standing still.
    pub(super) is_put_off: bool,
    /// Whether the sums of the watched rollouts are without this instance for now.
    is_taken_out: bool,
    /// What of the record changed.
    pub(super) changed: Changed,
    statement: Statement,
    statement_laid: Laid,
}

impl Desk {
    pub(super) fn new(book: &Book) -> Self {
        let instance = table(book);
        Self {
            before: Before {
                state: instance.state,
                running: instance.running.clone(),
                attempt: instance.attempt,
            },
            instance,
            laid: None,
            before_laid: None,
            is_paired: false,
            is_settled: false,
            is_put_off: false,
            is_taken_out: false,
            changed: Changed::Nothing,
            statement: blank(),
            statement_laid: None,
        }
    }

    /// Lays an instance open; `false`: it has not joined.
    pub(super) fn open(&mut self, record: &Record, owner: Owner, book: &Book) -> bool {
        (self.is_paired, self.is_settled, self.is_taken_out) = (false, false, false);
        (self.changed, self.is_put_off) = (Changed::Nothing, false);
        match record {
            Record::Absent => return false,
            Record::Packed(packed) => packed.unpack(owner, book, &mut self.instance, &mut self.laid),
            Record::Whole(whole) => {
                self.instance.clone_from(whole);
                self.laid = None;
            }
        }
        true
    }

    /// Lays as much of an instance open as its place in an order depends on; nothing may be done with it.
    pub(super) fn open_for_order(&mut self, record: &Record, owner: Owner, book: &Book) -> bool {
        if let Record::Packed(packed) = record {
            packed.unpack_without_attempts(owner, book, &mut self.instance, &mut self.laid);
            true
        } else {
            self.open(record, owner, book)
        }
    }

    /// Lays a new instance open, by the event of its registration.
    pub(super) fn open_new(&mut self, instance: Instance) {
        // No sum has it yet.
        (self.is_paired, self.is_settled, self.is_taken_out) = (false, false, true);
        (self.changed, self.is_put_off) = (Changed::Everything, false);
        self.instance = instance;
        self.laid = None;
    }

    /// Puts the record away again.
    pub(super) fn close(&mut self, record: &mut Record, owner: Owner, scene: &Scene<'_>, watch: &mut Watch) {
        if self.is_taken_out {
            self.sum(scene.watched, scene, watch, Counts::with);
        }
        if self.changed == Changed::Nothing {
            return;
        }
        if !matches!(record, Record::Packed(_)) {
            *record = Record::Packed(Packed::space());
            self.changed = Changed::Everything;
        }
        // As it is laid out again.
        self.instance.decided = None;
        let Record::Packed(packed) = record else { return };
        let fits = if self.changed == Changed::Statement {
            packed.restate(sequence_of(&self.instance), scene.hour);
            true
        } else {
            packed.pack(&self.instance, owner, scene.book, self.changed)
        };
        if fits {
            debug_assert_eq!(self.unpacked(packed, owner, scene.book), self.instance);
        } else {
            *record = Record::Whole(Box::new(self.instance.clone()));
        }
    }

    fn unpacked(&self, packed: &Packed, owner: Owner, book: &Book) -> Instance {
        let (mut into, mut laid) = (table(book), None);
        packed.unpack(owner, book, &mut into, &mut laid);
        into
    }

    /// Adds the instance's share to the sums, or takes it out.
    fn sum(
        &self,
        numbers: &[usize],
        scene: &Scene<'_>,
        watch: &mut Watch,
        fold: impl Fn(Counts, Counts) -> Counts,
    ) {
        for &number in numbers {
            let Some(rollout) = scene.world.rollouts.get(number) else { continue };
            let counts = Counts::of(rollout, scene.world, &self.instance);
            if let Some(sum) = slot(watch, number) {
                *sum = fold(*sum, counts);
            }
        }
    }

    /// Counts the instance for every rollout whose sums are counted anew.
    pub(super) fn count(&self, scene: &Scene<'_>, watch: &mut Watch) {
        self.sum(scene.recounted, scene, watch, Counts::with);
    }

    /// Judges a command and puts on record what follows, with what is due behind it; whether it was accepted.
    pub(super) fn command(
        &mut self,
        command: &Command,
        scene: &Scene<'_>,
        counting: &mut Counting<'_>,
    ) -> Result<bool, Broken> {
        let (events, accepted) = match decide(&self.instance, command, scene.world, scene.now) {
            Ok(events) => (events, true),
            Err(refusal) => {
                counting.tally.refuse(&refusal);
                (refusal.record, false)
            }
        };
        self.put(events, command.authority(), scene, counting)?;
        self.settle(scene, counting)?;
        Ok(accepted)
    }

    /// An audit, unless what was due at this hour is on record already.
    pub(super) fn audit(&mut self, scene: &Scene<'_>, counting: &mut Counting<'_>) -> Result<(), Broken> {
        if self.is_settled { Ok(()) } else { self.settle(scene, counting) }
    }

    /// Puts on record what is due, and looks whether what stands then may stand.
    ///
    /// Standing orders take from one store of room for the whole fleet (CO-14): an instance that one would take, or that
    /// waits for room, is put off until the federation's own part of the hour, and decided there one after the other.
    fn settle(&mut self, scene: &Scene<'_>, counting: &mut Counting<'_>) -> Result<(), Broken> {
        counting.tally.audits += 1;
        let mut taken = Vec::new();
        for round in 0..ROUNDS_MAX {
            let events = due(&self.instance, scene.world, scene.now);
            let is_last = events.is_empty();
            if is_last && round > 0 {
                break;
            }
            let takes = events.iter().any(|event| {
                matches!(event, InstanceEvent::Moved { cause, .. } if StandingOrder::of(*cause).is_some())
            });
            if takes && !scene.alone {
                self.is_put_off = true;
                return Ok(());
            }
            if takes {
                taken.clone_from(&events);
            }
            self.put(events, Authority::Federation, scene, counting)?;
            if is_last {
                break;
            }
        }
        self.is_settled = true;
        self.is_put_off = !scene.alone && standing::is_braked(&self.instance, scene.world, scene.now);
        if scene.alone {
            counting.federation.extend(federation_events(&self.instance, &taken, scene.world, scene.now));
        }
        invariants::of_instance(&self.instance, &scene.book.signed)
    }

    /// Puts events on record, each of them checked.
    fn put(
        &mut self,
        mut events: Vec<InstanceEvent>,
        by: Authority,
        scene: &Scene<'_>,
        counting: &mut Counting<'_>,
    ) -> Result<(), Broken> {
        if let Some(tamper) = scene.tamper {
            tamper(&self.instance, &mut events);
        }
        if events.is_empty() {
            return Ok(());
        }
        if !self.is_paired {
            self.pair();
        }
        for event in &events {
            if !self.is_taken_out && may_change_sums(&self.instance, event) {
                self.sum(scene.watched, scene, counting.watch, Counts::without);
                self.is_taken_out = true;
            }
            let changes = Changed::by(&self.instance, event);
            if changes != Changed::Statement && lays_other_content(&self.instance, event) {
                self.laid = None;
            }
            self.instance.apply(event, scene.now);
            let (before, after, world) = (&self.before, &self.instance, scene.world);
            invariants::of_event(&Step { by, before, event, after, world, signed: &scene.book.signed })?;
            counting.event(&self.before, event, scene.book);
            if changes != Changed::Statement {
                self.pair();
            }
            self.changed = self.changed.max(changes);
        }
        Ok(())
    }

    /// Makes `before` the same as the instance.
    fn pair(&mut self) {
        let Running { platform, runtime, layers } = &self.instance.running;
        (self.before.running.platform, self.before.running.runtime) = (*platform, *runtime);
        if self.laid.is_none() || self.laid != self.before_laid {
            self.before.running.layers.clone_from(layers);
            self.before_laid = self.laid;
        }
        (self.before.state, self.before.attempt) = (self.instance.state, self.instance.attempt);
        self.is_paired = true;
    }

    /// The statement that says what runs, following the head.
    pub(super) fn statement(
        &mut self,
        book: &Book,
        platform: u8,
        runtime: u8,
        forked: bool,
        heads: (Option<StatementHead>, Option<StatementHead>),
    ) -> Option<Command> {
        let mut statement = std::mem::replace(&mut self.statement, blank());
        let edition = book.edition(platform)?;
        if self.statement_laid != Some((platform, forked)) {
            let content = if forked { &edition.forked } else { &edition.content };
            statement.running.layers.clone_from(content);
            self.statement_laid = Some((platform, forked));
        }
        statement.running.platform = edition.version;
        statement.running.runtime = book.edition(runtime)?.runtime;
        statement.previous = heads.0.map(|head| head.digest);
        statement.head = heads.1?;
        Some(Command::Report(statement))
    }

    /// Takes a statement back, to write the next one on the same paper.
    pub(super) fn reuse(&mut self, command: Command) {
        if let Command::Report(statement) = command {
            self.statement = statement;
        }
    }
}

/// Statements of the instance's chain so far.
fn sequence_of(instance: &Instance) -> u32 {
    instance.head.map_or(0, |head| u32::try_from(head.sequence).unwrap_or(u32::MAX))
}

/// Whether the event changes the layers, so that it must be looked up anew what they hold.
fn lays_other_content(instance: &Instance, event: &InstanceEvent) -> bool {
    matches!(event, InstanceEvent::Reported { running, .. } if running.layers != instance.running.layers)
}

/// Paper for a statement.
const fn blank() -> Statement {
    let none = Version::new(0, 0, 0);
    Statement {
        head: StatementHead { sequence: 0, digest: Digest::from_bytes([0; 32]) },
        previous: None,
        running: Running { platform: none, runtime: none, layers: Vec::new() },
        domains: Vec::new(),
    }
}

/// Whether the event may change what an instance counts for in a census. What the law gains later may.
fn may_change_sums(instance: &Instance, event: &InstanceEvent) -> bool {
    match event {
        InstanceEvent::Reported { running, .. } => {
            running.platform != instance.running.platform || running.runtime != instance.running.runtime
        }
        InstanceEvent::Moved { from, to, .. } => from.is_eligible() != to.is_eligible(),
        InstanceEvent::Offered { .. }
        | InstanceEvent::OfferEnded { .. }
        | InstanceEvent::ClocksTurned { .. }
        | InstanceEvent::Warned { .. }
        | InstanceEvent::DueEnded { .. }
        | InstanceEvent::AttemptBegun { .. }
        | InstanceEvent::FindingOpened { .. }
        | InstanceEvent::FindingClosed { .. }
        | InstanceEvent::CertificateIssued { .. } => false,
        _ => true,
    }
}

/// Where the steps of one instance are counted.
pub(super) struct Counting<'a> {
    pub(super) tally: &'a mut Tally,
    pub(super) watch: &'a mut Watch,
    /// What decisions about instances make of the federation as a whole.
    pub(super) federation: &'a mut Vec<WorldEvent>,
}

impl Counting<'_> {
    fn event(&mut self, before: &Before, event: &InstanceEvent, book: &Book) {
        self.tally.events += 1;
        match event {
            InstanceEvent::Moved { from, to, cause } => {
                let rule = governance::lifecycle::transition(*from, *to, *cause).map_or("LC", |row| row.rule);
                *self.tally.transitions.entry(rule).or_default() += 1;
            }
            InstanceEvent::FindingOpened { code } => {
                if let Some(count) = self.tally.findings.get_mut(*code as usize) {
                    *count += 1;
                }
            }
            InstanceEvent::Escalated { rule, .. } => {
                *self.tally.escalations.entry(rule.clone()).or_default() += 1;
            }
            InstanceEvent::Offered { rollout, action: Action::Update, .. } => {
                if let Some(uptake) = self.uptake(book.rollout(*rollout)) {
                    uptake.offered += 1;
                }
            }
            InstanceEvent::AttemptBegun { rollout, action, .. } => {
                if let Some(uptake) = self.uptake(book.rollout(*rollout)) {
                    uptake.begun += u64::from(*action == Action::Update);
                }
            }
            InstanceEvent::AttemptFinished { outcome, .. } => {
                if let Some(attempt) = before.attempt {
                    self.finished(book.rollout(attempt.rollout), attempt.action, *outcome);
                }
            }
            _ => {}
        }
    }

    fn finished(&mut self, number: Option<u8>, action: Action, outcome: Outcome) {
        let Some(uptake) = self.uptake(number) else { return };
        match (action, outcome) {
            (Action::Update, Outcome::Succeeded) => uptake.installed += 1,
            (Action::Update, Outcome::Failed) => uptake.failed += 1,
            (Action::Update, Outcome::Stalled) => uptake.stalled += 1,
            (Action::Rollback, Outcome::Succeeded) => uptake.went_back += 1,
            (Action::Rollback, _) => {}
        }
    }

    fn uptake(&mut self, number: Option<u8>) -> Option<&mut super::tally::Uptake> {
        slot(&mut self.tally.rollouts, usize::from(number?))
    }
}
