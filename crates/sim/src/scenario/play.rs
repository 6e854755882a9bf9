//! Plays a scenario: a virtual clock, the fleet and the world, and the law's functions in between.
//!
//! Decides nothing: `decide` judges, `reconcile` and `advance` find what is due, `apply` folds.

use std::collections::{BTreeMap, BTreeSet};

use governance::decide::{Command, WorldCommand, decide, explained};
use governance::instance::Action;
use governance::reconcile::{federation_events, is_due, reconcile};
use governance::rollout::{Census, advance};
use governance::window::may_install;
use governance::{
    ConstitutionDocument, Digest, Instance, InstanceEvent, Phase, Refusal, Rollout, RolloutId, RolloutStatus,
    Span, State, Timestamp, Version, World, WorldEvent,
};

use super::fleet::{INSTALL_MS, Pending, Unit};
use super::model::{Conduct, Scenario, Verb};
use super::{Failure, Outcome, steps};

/// Rounds after which a sweep must have come to rest.
const SWEEP_ROUNDS_MAX: usize = 64;

/// Attempts of one phase of one release.
pub(super) type Attempts = (Version, Phase);

/// A timeline being played.
#[derive(Clone)]
pub(super) struct Play<'s> {
    pub(super) scenario: &'s Scenario,
    pub(super) world: World,
    pub(super) fleet: Vec<Unit<'s>>,
    /// The units' indices in the order of their names.
    by_name: Vec<usize>,
    pub(super) now: Timestamp,
    /// When the plane cannot be reached; each is put on record when it ends.
    pub(super) outages: Vec<(Timestamp, Timestamp)>,
    /// How many of the first attempts fail.
    pub(super) failing: BTreeMap<Attempts, u32>,
    /// How many were begun.
    begun: BTreeMap<Attempts, u32>,
    /// Who was ever inside a rollout.
    pub(super) inside: BTreeMap<RolloutId, BTreeSet<usize>>,
}

/// Plays the scenario to its last step or expectation, or to the first that does not hold.
#[must_use]
pub fn play(scenario: &Scenario) -> Outcome {
    let failed = Play::new(scenario).run().err();
    Outcome { name: scenario.name.clone(), failed }
}

impl<'s> Play<'s> {
    fn new(scenario: &'s Scenario) -> Self {
        let fleet: Vec<Unit<'s>> = scenario.joiners.iter().map(Unit::new).collect();
        let mut by_name: Vec<usize> = (0..fleet.len()).collect();
        by_name.sort_by_key(|index| scenario.joiners.get(*index).map(|joiner| &joiner.name));
        let mut world = World::default();
        let document = ConstitutionDocument {
            previous: None,
            effective: scenario.start,
            parameters: scenario.constitution.clone(),
        };
        let digest = Digest::of(b"constitution");
        let ratified = WorldEvent::ConstitutionRatified { digest, document: Box::new(document) };
        world.apply(&ratified, scenario.start);
        if let Some(modules) = &scenario.modules {
            world.catalogue = steps::catalogue(modules);
        }
        // What instances start with was released before the start: it has no rollout any more.
        for version in scenario.joiners.iter().map(|joiner| joiner.platform).collect::<BTreeSet<_>>() {
            let release = steps::release_before(version, &world);
            let digest = steps::release_digest(&release);
            world.apply(&WorldEvent::ReleasePublished { digest, release: Box::new(release) }, scenario.start);
        }
        Self {
            scenario,
            world,
            fleet,
            by_name,
            now: scenario.start,
            outages: Vec::new(),
            failing: BTreeMap::new(),
            begun: BTreeMap::new(),
            inside: BTreeMap::new(),
        }
    }

    /// How long the timeline has run.
    pub(super) fn elapsed(&self) -> Span {
        self.now.since(self.scenario.start)
    }

    fn run(&mut self) -> Result<(), Failure> {
        let steps = self.scenario.steps.iter().map(|step| step.at);
        let expects = self.scenario.expects.iter().map(|expect| expect.at);
        let mut fixed: BTreeSet<Span> = steps.chain(expects).collect();
        let end = fixed.last().copied().unwrap_or(Span::ZERO);
        fixed.extend(self.scenario.joiners.iter().map(|joiner| joiner.join));
        fixed.extend(self.scenario.steps.iter().filter_map(|step| match step.verb {
            Verb::Outage { until, .. } => Some(until),
            _ => None,
        }));
        let mut next = Some(Span::ZERO);
        while let Some(at) = next.filter(|at| *at <= end) {
            self.now = self.scenario.start + at;
            self.instant(at)?;
            let hour = Span::hours(at.as_millis() / Span::hours(1).as_millis() + 1);
            let later =
                fixed.range((std::ops::Bound::Excluded(at), std::ops::Bound::Unbounded)).next().copied();
            let finish = self.fleet.iter().filter_map(|unit| unit.pending);
            let finish =
                finish.map(|pending| pending.finish.since(self.scenario.start)).filter(|span| *span > at);
            next = finish.chain(later).chain([hour]).min();
        }
        Ok(())
    }

    /// Joins, then steps in file order, then reports, then the sweep, then expectations; but an expectation that
    /// stands in the file before a step of the same instant is looked at before that step, on a copy: looking changes nothing.
    fn instant(&mut self, at: Span) -> Result<(), Failure> {
        let scenario = self.scenario;
        let full_hour = at.as_millis() % Span::hours(1).as_millis() == 0;
        self.end_outage();
        for index in 0..self.fleet.len() {
            self.join(index, at);
        }
        let mut expects = scenario.expects.iter().filter(|expect| expect.at == at).peekable();
        for step in scenario.steps.iter().filter(|step| step.at == at) {
            if expects.peek().is_some_and(|expect| expect.line < step.line) {
                let mut looked_at = self.clone();
                if full_hour {
                    looked_at.sweep();
                }
                while let Some(expect) = expects.next_if(|expect| expect.line < step.line) {
                    looked_at.check(expect)?;
                }
            }
            let done = self.step(step);
            self.sweep();
            done?;
        }
        for index in self.by_name.clone() {
            self.finish(index);
        }
        if full_hour {
            for index in self.by_name.clone() {
                self.report_hourly(index, at);
            }
            self.sweep();
        }
        expects.try_for_each(|expect| self.check(expect))
    }

    /// The plane finds, once it is back, that it was away (CO-7).
    fn end_outage(&mut self) {
        if let Some((from, until)) = self.outages.iter().find(|(_, until)| *until == self.now).copied() {
            // Refused only for an outage that a step wrote down wrongly, and then nothing is recorded.
            let _ = self.world_command(&WorldCommand::RecordOutage { from, until });
        }
    }

    /// Whether the plane cannot be reached now.
    fn is_away(&self) -> bool {
        self.outages.iter().any(|(from, until)| *from <= self.now && self.now < *until)
    }

    fn join(&mut self, index: usize, at: Span) {
        let Some(unit) = self.fleet.get_mut(index).filter(|unit| unit.joiner.join == at) else { return };
        if unit.record.is_some() {
            return;
        }
        let Some(registration) = unit.registration() else { return };
        unit.record = Some(Instance::registered(unit.id(), &registration, self.now));
        unit.path.push(State::Registered);
        unit.versions.push(registration.running.platform);
        let (stays, silent) = (unit.joiner.stays_registered, unit.conduct == Conduct::Silent);
        if !silent {
            self.report(index);
        }
        if !stays {
            // Refused for a subscription that is not active: it stays registered then.
            let _ = self.command(index, &Command::Ready);
        }
    }

    /// Judges a command and puts on record what follows, with what is due behind it.
    pub(super) fn command(&mut self, index: usize, command: &Command) -> Result<(), Refusal> {
        let answer = self.judge(index, command);
        self.reconcile(index);
        answer
    }

    /// Judges a command and puts on record what follows, but not yet what is due behind it.
    pub(super) fn judge(&mut self, index: usize, command: &Command) -> Result<(), Refusal> {
        let Some(record) = self.fleet.get(index).and_then(|unit| unit.record.as_ref()) else {
            // Not joined yet: the plane does not know it.
            return Err(steps::unknown_instance());
        };
        let (events, answer) = match decide(record, command, &self.world, self.now) {
            Ok(events) => (events, Ok(())),
            Err(refusal) => (refusal.record.clone(), Err(explained(refusal, record, command, &self.world))),
        };
        self.apply(index, &events);
        answer
    }

    /// Puts on record what was decided about an instance, and what that makes of the federation (CO-14).
    fn apply(&mut self, index: usize, events: &[InstanceEvent]) {
        let Some(unit) = self.fleet.get_mut(index) else { return };
        let Some(record) = unit.record.as_mut() else { return };
        for event in events {
            record.apply(event, self.now);
            match event {
                InstanceEvent::Moved { to, .. } => unit.path.push(*to),
                InstanceEvent::Reported { running, .. }
                    if unit.versions.last() != Some(&running.platform) =>
                {
                    unit.versions.push(running.platform);
                }
                _ => {}
            }
        }
        let of_the_federation = federation_events(record, events, &self.world, self.now);
        self.apply_world(&of_the_federation);
    }

    /// Whether anything was due.
    pub(super) fn reconcile(&mut self, index: usize) -> bool {
        let Some(record) = self.fleet.get(index).and_then(|unit| unit.record.as_ref()) else { return false };
        if !is_due(record, &self.world, self.now) {
            return false;
        }
        let events = reconcile(record, &self.world, self.now);
        self.apply(index, &events);
        true
    }

    /// Every instance, then every rollout, until nothing changes.
    pub(super) fn sweep(&mut self) {
        if self.is_away() {
            return;
        }
        self.begin_sweep();
        for _ in 0..SWEEP_ROUNDS_MAX {
            let mut changed = false;
            for index in 0..self.fleet.len() {
                changed |= self.reconcile(index);
            }
            changed |= self.advance();
            if !changed {
                break;
            }
        }
        self.count_inside();
    }

    /// What is due for the federation before anything else: the law of the day, and the count of the fleet (FO-5, CO-14).
    fn begin_sweep(&mut self) {
        let due = self.world.due(self.now);
        self.apply_world(&due);
        if self.world.is_count_due(self.now) {
            let records = self.fleet.iter().filter_map(|unit| unit.record.as_ref());
            let instances = records.filter(|record| record.state != State::Revoked).count() as u64;
            self.apply_world(&[WorldEvent::FleetCounted { instances }]);
        }
    }

    /// Counts the fleet for a rollout.
    pub(super) fn census(&self, rollout: &Rollout) -> Census {
        let mut census = Census::default();
        for record in self.fleet.iter().filter_map(|unit| unit.record.as_ref()) {
            census.add(rollout, &self.world, record);
        }
        census
    }

    fn advance(&mut self) -> bool {
        let mut changed = false;
        let watched: Vec<RolloutId> = self.world.watched().map(|rollout| rollout.id).collect();
        for id in watched {
            let Some(rollout) = self.world.rollout(id) else { continue };
            let events = advance(rollout, self.census(rollout), &self.world, self.now);
            changed |= !events.is_empty();
            self.apply_world(&events);
        }
        changed
    }

    pub(super) fn apply_world(&mut self, events: &[WorldEvent]) {
        for event in events {
            self.world.apply(event, self.now);
        }
    }

    fn count_inside(&mut self) {
        for rollout in self.world.rollouts.iter().filter(|rollout| adds_somebody(rollout.status)) {
            let inside = self.inside.entry(rollout.id).or_default();
            for (index, unit) in self.fleet.iter().enumerate() {
                let is_inside = |record: &Instance| {
                    self.world.is_eligible(rollout, record) && rollout.phase_of(record).is_some()
                };
                if !inside.contains(&index) && unit.record.as_ref().is_some_and(is_inside) {
                    inside.insert(index);
                }
            }
        }
    }

    /// Says what runs; a refusal leaves the chain where it was.
    pub(super) fn report(&mut self, index: usize) {
        if self.is_away() {
            return;
        }
        let Some(unit) = self.fleet.get(index) else { return };
        let statement = unit.statement();
        if self.command(index, &Command::Report(statement.clone())).is_ok()
            && let Some(unit) = self.fleet.get_mut(index)
        {
            unit.stated(&statement);
        }
    }

    fn report_hourly(&mut self, index: usize, at: Span) {
        let Some(unit) = self.fleet.get(index) else { return };
        // Who joins at this instant has reported already.
        let silent = unit.conduct == Conduct::Silent || self.is_away();
        if unit.record.is_none() || unit.joiner.join == at || silent {
            return;
        }
        let told = self.fleet.get(index).and_then(|unit| unit.record.as_ref());
        let told: Vec<_> = told.map_or(Vec::new(), |record| record.notices.clone());
        let follows = unit.conduct == Conduct::Obedient;
        for notice in told.iter().filter(|_| follows) {
            // A notice that is void by now asks for nothing.
            let _ = self.deactivate(index, &notice.domain);
        }
        let Some(unit) = self.fleet.get(index) else { return };
        let offer = |unit: &Unit<'_>| unit.record.as_ref().and_then(|record| record.offer);
        let before = offer(unit);
        self.report(index);
        // It begins what it was offered before it called.
        let now = self.fleet.get(index).and_then(offer);
        let Some(offer) = now.filter(|now| before.is_some_and(|before| before.since == now.since)) else {
            return;
        };
        self.begin_by_itself(index, offer.release, offer.action, offer.phase);
    }

    fn begin_by_itself(&mut self, index: usize, release: Version, action: Action, phase: Phase) {
        let Some(unit) = self.fleet.get(index).filter(|unit| unit.pending.is_none()) else { return };
        let succeeds = match (unit.conduct, action) {
            // A directed rollback is carried out by all who report.
            (_, Action::Rollback) | (Conduct::Obedient, _) => true,
            (Conduct::Fails, _) => false,
            (Conduct::Ignores | Conduct::Manual | Conduct::Silent, _) => return,
        };
        let (window, deadline) = (unit.window(self.scenario.start, self.now), unit.deadline());
        if may_install(action, window, deadline, self.now).is_err() {
            // It is on offer still at the next report.
            return;
        }
        let has_attempt = unit.record.as_ref().is_some_and(|record| record.attempt.is_some());
        if has_attempt || self.command(index, &Command::BeginUpgrade { release }).is_err() {
            return;
        }
        let fated = action == Action::Update && self.is_fated(release, phase);
        let finish = Timestamp::from_millis(self.now.as_millis() + INSTALL_MS);
        if let Some(unit) = self.fleet.get_mut(index) {
            unit.pending = Some(Pending { release, finish, succeeds: succeeds && !fated });
        }
    }

    /// Counts an attempt of the phase; whether it is one of the first, which a step said will fail.
    fn is_fated(&mut self, release: Version, phase: Phase) -> bool {
        let begun = self.begun.entry((release, phase)).or_default();
        *begun += 1;
        self.failing.get(&(release, phase)).is_some_and(|failing| *begun <= *failing)
    }

    /// Ends the attempt whose time has come.
    fn finish(&mut self, index: usize) {
        let Some(unit) = self.fleet.get_mut(index) else { return };
        let Some(pending) = unit.pending.take_if(|pending| pending.finish <= self.now) else { return };
        let Some(record) = unit.record.as_ref() else { return };
        let known = record.attempt.is_some_and(|attempt| attempt.release == pending.release);
        if !known && matches!(record.state, State::Suspended | State::Revoked) {
            // The Founder interrupted it: the directive said to stop.
            return;
        }
        let silent = unit.conduct == Conduct::Silent || self.is_away();
        let Some(unit) = self.fleet.get_mut(index) else { return };
        if pending.succeeds {
            let ships =
                self.world.releases.get(&pending.release).and_then(|known| known.release.ships_runtime);
            unit.install(pending.release, ships);
            if !silent {
                self.report(index);
            }
        } else if known && !silent {
            // A refusal would mean that the record knows of no attempt, and it does.
            let _ = self.command(index, &Command::FailUpgrade { release: pending.release, reason: None });
        }
    }
}

/// Whether somebody may come to be inside a rollout that stands here.
const fn adds_somebody(status: RolloutStatus) -> bool {
    matches!(status, RolloutStatus::Queued | RolloutStatus::Running | RolloutStatus::Done)
}
