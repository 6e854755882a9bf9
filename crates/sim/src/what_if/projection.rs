//! One future of a fleet: step by step, whoever has something to say reports, and then the plane sweeps.
//!
//! Decides nothing: `decide` judges, `reconcile` and `advance` find what is due, `apply` folds.

use std::collections::BTreeMap;

use governance::decide::{Command, Statement, decide};
use governance::reconcile::{federation_events, is_due, reconcile};
use governance::rollout::{Census, advance};
use governance::{
    Cause, Digest, Instance, InstanceEvent, LayerContent, RolloutId, Running, Span, State, StatementHead,
    Timestamp, Version, World, WorldEvent, lifecycle,
};

use super::{Conduct, Event, Fleet};

/// Rounds after which a sweep must have come to rest.
const SWEEP_ROUNDS_MAX: usize = 64;
/// How long an instance keeps silent that has nothing new to say: CO-7 leaves it a day, and an hour of that is for the way.
const SILENCE_MAX: Span = Span::hours(23);

/// What becomes of one instance.
#[derive(Clone, Debug)]
pub(super) struct Future {
    /// Its record at the end.
    pub(super) instance: Instance,
    /// The states that it got into and out of.
    pub(super) events: Vec<Event>,
}

struct Projection {
    world: World,
    fleet: Vec<Future>,
    now: Timestamp,
    conduct: Conduct,
    /// What was counted since anything last changed: most hours of most futures change nothing.
    counted: BTreeMap<RolloutId, Census>,
}

/// When a projection of so many days ends.
pub(super) fn end(from: Timestamp, days: u32) -> Timestamp {
    from + Span::hours(24).times(i64::from(days))
}

/// The future of the fleet in this world, looked at once a step, one record an instance, in the order of their ids.
pub(super) fn project(fleet: &Fleet, world: World, conduct: Conduct, step: Span, days: u32) -> Vec<Future> {
    let future = |instance: &Instance| Future { instance: instance.clone(), events: Vec::new() };
    let mut instances: Vec<Future> = fleet.instances.iter().map(future).collect();
    instances.sort_by_key(|future| future.instance.id);
    let mut projection =
        Projection { world, fleet: instances, now: fleet.now, conduct, counted: BTreeMap::new() };
    for index in 0..projection.fleet.len() {
        projection.end_attempt(index);
    }
    projection.sweep();
    let end = end(fleet.now, days);
    while projection.now < end {
        projection.now = (projection.now + step).min(end);
        for index in 0..projection.fleet.len() {
            projection.report(index);
        }
        projection.sweep();
    }
    projection.fleet
}

impl Projection {
    /// Ends an attempt that was begun before the projection, and ends it well, whatever the conduct: nobody knows better, and
    /// one that never ended would stall in both futures and halt a rollout that nothing is wrong with (LC-5, RO-3).
    fn end_attempt(&mut self, index: usize) {
        let attempt = self.fleet.get(index).and_then(|future| future.instance.attempt);
        if let Some(running) = attempt.and_then(|attempt| self.bound(index, attempt.release)) {
            self.state(index, running);
        }
    }

    /// Does what is asked of it, if it is obedient; says what runs at every change, and before its silence is a day (CO-7).
    fn report(&mut self, index: usize) {
        let Some(instance) = self.fleet.get(index).map(|future| &future.instance) else { return };
        if instance.state == State::Revoked {
            return;
        }
        let mut changes = false;
        let mut running = instance.running.clone();
        if self.conduct == Conduct::Obedient {
            let asked: Vec<_> = instance.notices.iter().map(|notice| notice.domain.clone()).collect();
            changes |= !asked.is_empty();
            for domain in asked {
                self.command(index, &Command::Deactivate { domain });
            }
            if let Some(installed) = self.installed(index) {
                (running, changes) = (installed, true);
            }
        }
        let silent_since = self.fleet.get(index).map(|future| future.instance.reported);
        if changes || silent_since.is_some_and(|since| self.now.since(since) >= self.silence()) {
            self.state(index, running);
        }
    }

    /// How long nobody says anything who has nothing new to say: as long as CO-7 leaves everyone, or, where the obedient
    /// follow the law in force as the agent does, half of what that asks for.
    fn silence(&self) -> Span {
        let within = self.world.constitution.compliance_report_within.as_millis();
        match self.conduct {
            Conduct::Ignores => SILENCE_MAX,
            Conduct::Obedient => SILENCE_MAX.min(Span::from_millis(within / 2)),
        }
    }

    /// Makes a statement of what runs.
    fn state(&mut self, index: usize, running: Running) {
        let Some(instance) = self.fleet.get(index).map(|future| &future.instance) else { return };
        let sequence = instance.head.map_or(1, |head| head.sequence + 1);
        let statement = Statement {
            head: StatementHead { sequence, digest: self.stamp() },
            previous: instance.head.map(|head| head.digest),
            domains: instance.domains.clone(),
            running,
        };
        self.command(index, &Command::Report(statement));
    }

    /// What stands for the digest of a statement made now.
    fn stamp(&self) -> Digest {
        let mut bytes = [0; 32];
        let millis = self.now.as_millis().to_be_bytes();
        bytes.iter_mut().zip(millis).for_each(|(to, from)| *to = from);
        Digest::from_bytes(bytes)
    }

    /// Begins what is on offer; what runs then.
    fn installed(&mut self, index: usize) -> Option<Running> {
        let instance = &self.fleet.get(index)?.instance;
        if instance.attempt.is_none() {
            let release = instance.offer?.release;
            self.command(index, &Command::BeginUpgrade { release });
        }
        let begun = self.fleet.get(index)?.instance.attempt?.release;
        self.bound(index, begun)
    }

    /// What the instance runs once it has bound a release.
    fn bound(&self, index: usize, release: Version) -> Option<Running> {
        let runtime = self.fleet.get(index)?.instance.running.runtime;
        let release = &self.world.releases.get(&release)?.release;
        let layers = release.layers.iter();
        let content =
            |layer: &governance::LayerStructure| LayerContent { id: layer.id.clone(), digest: layer.digest };
        Some(Running {
            platform: release.version,
            runtime: release.ships_runtime.unwrap_or(runtime),
            layers: layers.map(content).collect(),
        })
    }

    /// Judges a command and puts on record what follows; a refusal's record too.
    fn command(&mut self, index: usize, command: &Command) {
        let Some(instance) = self.fleet.get(index).map(|future| &future.instance) else { return };
        let events = match decide(instance, command, &self.world, self.now) {
            Ok(events) => events,
            Err(refusal) => refusal.record,
        };
        // What is due behind it is found by the sweep of the same instant.
        self.apply(index, &events);
    }

    fn reconcile(&mut self, index: usize) -> bool {
        let Some(instance) = self.fleet.get(index).map(|future| &future.instance) else { return false };
        if !is_due(instance, &self.world, self.now) {
            return false;
        }
        let events = reconcile(instance, &self.world, self.now);
        self.apply(index, &events);
        true
    }

    fn apply(&mut self, index: usize, events: &[InstanceEvent]) {
        let (now, Some(future)) = (self.now, self.fleet.get_mut(index)) else { return };
        for event in events {
            match event {
                InstanceEvent::Reported { running, .. } if *running == future.instance.running => {}
                _ => self.counted.clear(),
            }
            if let InstanceEvent::Moved { from, to, cause } = event {
                future.events.extend(told(&future.instance, *from, *to, *cause, now));
            }
            future.instance.apply(event, now);
        }
        let of_the_federation = federation_events(&future.instance, events, &self.world, now);
        self.apply_world(&of_the_federation);
    }

    fn apply_world(&mut self, events: &[WorldEvent]) {
        for event in events {
            self.counted.clear();
            self.world.apply(event, self.now);
        }
    }

    /// The law of the day, the count of the fleet, then every instance and every rollout, until nothing changes.
    fn sweep(&mut self) {
        let due = self.world.due(self.now);
        self.apply_world(&due);
        if self.world.is_count_due(self.now) {
            let there = self.fleet.iter().filter(|future| future.instance.state != State::Revoked);
            let instances = there.count() as u64;
            self.apply_world(&[WorldEvent::FleetCounted { instances }]);
        }
        for _ in 0..SWEEP_ROUNDS_MAX {
            let mut changed = false;
            for index in 0..self.fleet.len() {
                changed |= self.reconcile(index);
            }
            let watched: Vec<RolloutId> = self.world.watched().map(|rollout| rollout.id).collect();
            for id in watched {
                changed |= self.advance(id);
            }
            if !changed {
                break;
            }
        }
    }

    fn advance(&mut self, id: RolloutId) -> bool {
        let Some(rollout) = self.world.rollout(id) else { return false };
        let census = self.counted.entry(id).or_insert_with(|| {
            let mut census = Census::default();
            self.fleet.iter().for_each(|future| census.add(rollout, &self.world, &future.instance));
            census
        });
        let events = advance(rollout, census.clone(), &self.world, self.now);
        self.apply_world(&events);
        !events.is_empty()
    }
}

/// The move as people read it, where it leads into or out of a state that is no good.
fn told(instance: &Instance, from: State, to: State, cause: Cause, at: Timestamp) -> Option<Event> {
    let grave = |state| matches!(state, State::OutOfCompliance | State::Suspended | State::Revoked);
    if !grave(from) && !grave(to) {
        return None;
    }
    let row = lifecycle::transition(from, to, cause)?;
    let because = match cause {
        Cause::FindingOpen => {
            let found = instance.standing_findings(at);
            let found: Vec<_> = found.map(|found| format!("{} {}", found.code.rule(), found.code)).collect();
            found.join(", ")
        }
        Cause::FindingTooOld => format!("CO-11 {cause}"),
        Cause::SecurityOverdue => format!("CO-3 {cause}"),
        Cause::SubscriptionEnded => format!("CO-10 {cause}"),
        Cause::DriftFrozen => format!("CO-2 {cause}"),
        Cause::Forked => format!("CO-8 {cause}"),
        other => other.to_string(),
    };
    Some(Event { at, state: to, rule: row.rule, because })
}
