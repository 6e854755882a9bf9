//! The steps between states: what each authority may do, what may go wrong, and time.
//!
//! Never judges by itself: `decide`, `decide_world`, `reconcile`, `federation_events`, `advance` and `apply` do, as the
//! plane calls them; [`law`](super::law) looks at every event they give.

use std::sync::Arc;

use governance::decide::{Command, Statement, WorldCommand, decide, decide_world};
use governance::reconcile::{federation_events, is_due, reconcile};
use governance::rollout::{Census, advance};
use governance::{
    Authority, Class, Committed, Digest, FindingCode, InstanceEvent, InstanceKey, Restriction, RolloutStatus,
    Running, Salt, State, SubscriptionStatus, Version, WorldEvent,
};

use super::Scope;
use super::federation::{NOW, TICK, UNITS, amended, content, release};
use super::law::{self, Cause, Seen};
use super::state::{Ask, Fleet, Pending, Unit, head};

/// Rounds after which a sweep must have come to rest.
const ROUNDS_MAX: usize = 16;

/// What may happen. Those from [`Step::Overrun`] on are adversities: so many in one timeline as the model allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Time passes, and who is not silent reports.
    Tick,
    /// A sweep that was cut off came as far as this instance.
    Sweep(usize),
    /// As far as the rollouts.
    SweepRollouts,
    /// The plane sweeps again, to the end.
    Recover,
    /// The Organism publishes the minor release, or the other.
    Publish(Version, Class),
    /// A Runtime asks, and gets its answer.
    Ask(usize, Ask),
    /// It asks again what it has no answer to.
    Repeat(usize),
    /// The new version runs, and it says so.
    Succeed(usize),
    /// The owner asks for another try (RO-9).
    Retry(usize),
    /// The owner restores the signed content.
    Mend(usize),
    /// It reports again.
    Wake(usize),
    /// It enrols afresh (HS-1).
    Enrol(usize),
    /// It shakes hands by a renewal (LC-17).
    Renew(usize),
    /// Its subscription is paid again.
    Subscribe(usize),
    /// An operator reactivates (LC-9).
    Reactivate(usize),
    /// The Founder restores (LC-17, LC-19).
    Restore(usize),
    /// The Founder, or an operator, lets a rollout go on.
    Resume(Version, Authority),
    /// The red switch is turned back.
    RedOff,

    /// An attempt takes longer than it may: a tick passes over it.
    Overrun,
    /// The plane crashes: from now on nothing is swept behind a decision, until it recovers.
    Crash,
    /// An attempt fails.
    Fail(usize),
    /// The decision on what it asks is lost.
    LoseDecision(usize, Ask),
    /// The answer is lost.
    LoseAnswer(usize, Ask),
    /// Its content is changed.
    Fork(usize),
    /// A clone makes a statement in its name.
    BreakChain(usize),
    /// It stops reporting.
    Silence(usize),
    /// Its subscription lapses, or is revoked.
    Unsubscribe(usize, SubscriptionStatus),
    /// The owner wants to go back.
    RollBack(usize),
    /// An operator suspends.
    Suspend(usize),
    /// The Founder suspends.
    Hold(usize),
    /// The Founder revokes.
    Revoke(usize),
    /// The Founder silences a finding for two ticks.
    Override(usize, FindingCode),
    /// An operator pauses a rollout.
    Pause(Version),
    /// Turns the red switch.
    RedOn,
    /// Sets a freeze of a tick.
    Freeze,
    /// The Founder takes a release back.
    Withdraw(Version),
    /// Ends a rollout.
    Abort(Version),
    /// The Founder amends the constitution from the next tick on.
    Amend,
}

impl Step {
    /// How many of the adversities that a timeline may have it takes.
    fn cost(self) -> u8 {
        use Step::*;
        match self {
            Tick | Sweep(_) | SweepRollouts | Recover | Publish(..) | Ask(..) | Repeat(_) | Succeed(_)
            | Retry(_) | Mend(_) | Wake(_) | Enrol(_) | Renew(_) | Subscribe(_) | Reactivate(_)
            | Restore(_) | Resume(..) | RedOff => 0,
            _ => 1,
        }
    }
}

impl Fleet {
    /// Every step that the state allows.
    pub fn steps(&self, scope: &Scope, steps: &mut Vec<Step>) {
        let trying = self.units.iter().any(|unit| unit.record.attempt.is_some());
        steps.push(if trying { Step::Overrun } else { Step::Tick });
        if self.down {
            (0..UNITS)
                .filter(|index| self.is_unit_due(*index))
                .for_each(|index| steps.push(Step::Sweep(index)));
            steps.extend([Step::SweepRollouts, Step::Recover]);
        } else {
            steps.push(Step::Crash);
        }
        self.world_steps(scope.releases, steps);
        for index in 0..if scope.partner_follows { 1 } else { UNITS } {
            self.runtime_steps(index, steps);
            self.authority_steps(index, steps);
        }
        steps.retain(|step| step.cost() <= self.left && (step.cost() == 0 || (scope.only)(*step)));
    }

    fn world_steps(&self, releases: &[(Version, Class)], steps: &mut Vec<Step>) {
        let world = &self.world;
        for &(version, class) in releases {
            if !world.releases.contains_key(&version) {
                steps.push(Step::Publish(version, class));
                continue;
            }
            let Some(rollout) = world.rollout_of(version) else { continue };
            match rollout.paused {
                Some(_) => steps
                    .extend([Authority::Founder, Authority::Federation].map(|by| Step::Resume(version, by))),
                None if rollout.is_open() || rollout.status == RolloutStatus::Done => {
                    steps.push(Step::Pause(version))
                }
                None => {}
            }
            if world.release(version).is_some() {
                steps.push(Step::Withdraw(version));
            }
            if rollout.is_open() {
                steps.push(Step::Abort(version));
            }
        }
        steps.push(if world.red_switch { Step::RedOff } else { Step::RedOn });
        if world.freezes.is_empty() {
            steps.push(Step::Freeze);
        }
        if world.latest_constitution() == Some(Digest::of(b"law")) {
            steps.push(Step::Amend);
        }
    }

    /// What the Runtime and its owner may do.
    fn runtime_steps(&self, index: usize, steps: &mut Vec<Step>) {
        let unit = &self.units[index];
        let record = &unit.record;
        if unit.silent {
            steps.push(Step::Wake(index));
            return;
        }
        steps.push(Step::Silence(index));
        if unit.pending.is_some() {
            // It does not go on before it has its answer.
            steps.push(Step::Repeat(index));
            return;
        }
        let mut asks = Vec::new();
        if record.state == State::Registered {
            asks.push(Ask::Ready);
        }
        if let (Some(offer), None) = (record.offer, unit.installing) {
            asks.push(Ask::Begin(offer.release));
        }
        for ask in asks {
            steps.extend([
                Step::Ask(index, ask),
                Step::LoseDecision(index, ask),
                Step::LoseAnswer(index, ask),
            ]);
        }
        if let Some(version) = unit.installing {
            steps.push(Step::Succeed(index));
            let ask = Ask::Fail(version);
            steps.extend([Step::Fail(index), Step::LoseDecision(index, ask), Step::LoseAnswer(index, ask)]);
            steps.extend([Step::LoseDecision(index, Ask::Report), Step::LoseAnswer(index, Ask::Report)]);
        }
        if record.failures.iter().any(|failure| !failure.retry) {
            steps.push(Step::Retry(index));
        }
        steps.push(if unit.forked { Step::Mend(index) } else { Step::Fork(index) });
        if record.finding(FindingCode::VersionChainBroken).is_none() {
            steps.push(Step::BreakChain(index));
        }
        if record.previous().is_some() && record.wish.is_none() {
            steps.push(Step::RollBack(index));
        }
    }

    /// What operators and the Founder may do to an instance.
    fn authority_steps(&self, index: usize, steps: &mut Vec<Step>) {
        let record = &self.units[index].record;
        if record.handshake_required || record.finding(FindingCode::VersionChainBroken).is_some() {
            steps.push(Step::Enrol(index));
        }
        if record.handshake_required {
            steps.push(Step::Renew(index));
        }
        if record.subscription.is_valid() {
            let invalid = [SubscriptionStatus::Lapsed, SubscriptionStatus::Revoked];
            steps.extend(invalid.map(|status| Step::Unsubscribe(index, status)));
        } else {
            steps.push(Step::Subscribe(index));
        }
        if record.state == State::Suspended {
            steps.push(Step::Reactivate(index));
        }
        if record.state == State::Revoked || record.held {
            steps.push(Step::Restore(index));
        }
        if record.state != State::Revoked {
            let silenced = |finding: &FindingCode| record.is_silenced(*finding, NOW);
            let findings = record.findings.iter().map(|finding| finding.code);
            steps.extend(findings.filter(|code| !silenced(code)).map(|code| Step::Override(index, code)));
            steps.extend([Step::Suspend(index), Step::Hold(index), Step::Revoke(index)]);
        }
    }

    /// The state behind the step.
    pub fn after(&self, step: Step, scope: &Scope, seen: &Seen) -> Self {
        let mut next = self.clone();
        next.left -= step.cost().min(next.left);
        let mut moving = Moving { fleet: &mut next, seen };
        moving.law_of_the_day();
        moving.take(step);
        if !moving.fleet.down {
            moving.sweep();
            if scope.partner_follows {
                moving.follow(1);
            }
            law::check_rest(&mut next);
        }
        next.settle(self);
        next
    }

    fn is_unit_due(&self, index: usize) -> bool {
        is_due(&self.units[index].record, &self.world, NOW)
    }

    fn census(&self, rollout: &governance::Rollout) -> Census {
        let mut census = Census::default();
        self.units.iter().for_each(|unit| census.add(rollout, &self.world, &unit.record));
        census
    }
}

/// A step being taken.
struct Moving<'a> {
    fleet: &'a mut Fleet,
    seen: &'a Seen,
}

impl Moving<'_> {
    fn take(&mut self, step: Step) {
        match step {
            Step::Tick | Step::Overrun => self.tick(),
            Step::Crash => self.fleet.down = true,
            Step::Recover => self.fleet.down = false,
            Step::Sweep(index) => {
                self.reconcile(index);
            }
            Step::SweepRollouts => {
                self.sweep_rollouts();
            }
            Step::Publish(..)
            | Step::Resume(..)
            | Step::RedOff
            | Step::Pause(_)
            | Step::RedOn
            | Step::Freeze
            | Step::Withdraw(_)
            | Step::Abort(_)
            | Step::Amend => self.world(&world_command(step)),
            Step::Ask(index, ask) => self.ask(index, ask),
            Step::Fail(index) => {
                if let Some(version) = self.unit(index).installing {
                    self.ask(index, Ask::Fail(version));
                }
            }
            Step::Succeed(index) => {
                self.install(index);
                self.ask(index, Ask::Report);
            }
            Step::LoseDecision(index, ask) => {
                self.prepare(index, ask);
                self.change(index, |unit| unit.pending = Some(Pending { ask, decided: false }));
            }
            Step::LoseAnswer(index, ask) => {
                self.ask(index, ask);
                self.change(index, |unit| unit.pending = Some(Pending { ask, decided: true }));
            }
            Step::Repeat(index) => self.repeat(index),
            Step::Mend(index) => {
                self.change(index, |unit| unit.forked = false);
                self.ask(index, Ask::Report);
            }
            Step::Fork(index) => {
                self.change(index, |unit| unit.forked = true);
                self.ask(index, Ask::Report);
            }
            Step::Wake(index) => {
                self.change(index, |unit| unit.silent = false);
                self.ask(index, Ask::Report);
            }
            Step::Silence(index) => self.change(index, |unit| unit.silent = true),
            Step::Enrol(index) => {
                // Its chain begins anew: what it asked in the old one it does not repeat.
                self.change(index, |unit| unit.pending = None);
                let [one, other] = [0, 1].map(|key| InstanceKey::from_bytes([key; 32]));
                let key = if self.unit(index).record.key == one { other } else { one };
                self.command(index, &afresh(key));
            }
            _ => self.about(step),
        }
    }

    /// Steps that are one command about an instance.
    fn about(&mut self, step: Step) {
        let subscribe =
            |status| Command::ChangeSubscription { tier: None, status: Some(status), until: None };
        let (index, command) = match step {
            Step::Retry(index) => {
                let failures = &self.unit(index).record.failures;
                let Some(failure) = failures.iter().find(|failure| !failure.retry) else { return };
                (index, Command::Retry { release: failure.release })
            }
            Step::RollBack(index) => {
                let Some(previous) = self.unit(index).record.previous() else { return };
                (index, Command::RollBack { release: previous })
            }
            Step::BreakChain(index) => (index, Command::Report(self.statement(index, 3))),
            Step::Renew(index) => (index, self.renewal(index)),
            Step::Subscribe(index) => (index, subscribe(SubscriptionStatus::Active)),
            Step::Unsubscribe(index, status) => (index, subscribe(status)),
            Step::Reactivate(index) => (index, Command::Reactivate),
            Step::Suspend(index) => (index, Command::Suspend),
            Step::Hold(index) => (index, Command::OrderSuspend),
            Step::Revoke(index) => (index, Command::OrderRevoke),
            Step::Restore(index) => (index, Command::OrderRestore),
            Step::Override(index, finding) => {
                (index, Command::OrderOverride { finding, until: NOW + TICK.times(2) })
            }
            other => unreachable!("{other:?} is no command about an instance"),
        };
        self.command(index, &command);
    }

    fn unit(&self, index: usize) -> &Unit {
        &self.fleet.units[index]
    }

    fn change(&mut self, index: usize, change: impl FnOnce(&mut Unit)) {
        let mut unit = (*self.fleet.units[index]).clone();
        change(&mut unit);
        self.fleet.set_unit(index, unit);
    }

    fn tick(&mut self) {
        self.fleet.tick();
        if self.fleet.down {
            self.world(&WorldCommand::RecordOutage { from: NOW - TICK, until: NOW });
        }
        self.law_of_the_day();
        for index in 0..UNITS {
            // Who is not silent has reported at the end of the tick: nothing was due, and nothing changes but when.
            let reports = !self.unit(index).silent && self.unit(index).record.state != State::Revoked;
            if reports {
                self.change(index, |unit| unit.record.reported = NOW);
            }
        }
    }

    /// Constitutions whose date has come, before everything else (FO-5).
    fn law_of_the_day(&mut self) {
        let due = self.fleet.world.due(NOW);
        self.apply_world(&due);
    }

    fn apply_world(&mut self, events: &[WorldEvent]) {
        if events.is_empty() {
            return;
        }
        let mut world = (*self.fleet.world).clone();
        for event in events {
            law::check_world(self.fleet, event);
            world.apply(event, NOW);
        }
        self.fleet.set_world(world);
    }

    fn world(&mut self, command: &WorldCommand) {
        let events = decide_world(&self.fleet.world, command, NOW).unwrap_or_default();
        self.apply_world(&events);
    }

    /// What an instance does that does all it is asked for, at once.
    fn follow(&mut self, index: usize) {
        for _ in 0..ROUNDS_MAX {
            let record = &self.unit(index).record;
            match (record.state, record.offer) {
                (State::Registered, _) => self.ask(index, Ask::Ready),
                (State::Suspended, None) if !record.held => self.command(index, &Command::Reactivate),
                (_, Some(offer)) => {
                    self.ask(index, Ask::Begin(offer.release));
                    self.install(index);
                    self.ask(index, Ask::Report);
                }
                _ => return,
            }
            self.sweep();
        }
    }

    /// Every instance, then every rollout, until nothing is due.
    fn sweep(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut changed = false;
            for index in 0..UNITS {
                changed |= self.reconcile(index);
            }
            changed |= self.sweep_rollouts();
            if !changed {
                return;
            }
        }
        law::must(self.fleet, false, "a sweep comes to rest");
    }

    fn sweep_rollouts(&mut self) -> bool {
        let mut changed = false;
        if self.fleet.world.is_count_due(NOW) {
            let there = self.fleet.units.iter().filter(|unit| unit.record.state != State::Revoked);
            let instances = there.count() as u64;
            self.world(&WorldCommand::CountFleet { instances });
        }
        let watched: Vec<_> = self.fleet.world.watched().map(|rollout| rollout.id).collect();
        for id in watched {
            let world = Arc::clone(&self.fleet.world);
            let Some(rollout) = world.rollout(id) else { continue };
            let events = advance(rollout, self.fleet.census(rollout), &world, NOW);
            if events.is_empty() {
                continue;
            }
            changed = true;
            self.apply_world(&events);
            let Some(rollout) = self.fleet.world.rollout(id) else { continue };
            let again = advance(rollout, self.fleet.census(rollout), &self.fleet.world, NOW);
            law::must(self.fleet, again.is_empty(), "advance is idempotent");
        }
        changed
    }

    /// Judges, records and reconciles, as one decision of the plane.
    fn command(&mut self, index: usize, command: &Command) {
        let (events, refused) = match decide(&self.unit(index).record, command, &self.fleet.world, NOW) {
            Ok(events) => (events, false),
            Err(refusal) => (refusal.record, true),
        };
        law::check_refusal(self.fleet, refused, &events);
        self.commit(index, &events, Cause::Command(command));
        self.reconcile(index);
    }

    /// Whether anything was due.
    fn reconcile(&mut self, index: usize) -> bool {
        if !self.fleet.is_unit_due(index) {
            return false;
        }
        let events = reconcile(&self.unit(index).record, &self.fleet.world, NOW);
        self.commit(index, &events, Cause::Due);
        let again = is_due(&self.unit(index).record, &self.fleet.world, NOW);
        law::must(self.fleet, !again, "reconcile is idempotent");
        true
    }

    fn commit(&mut self, index: usize, events: &[InstanceEvent], cause: Cause<'_>) {
        let mut unit = (*self.fleet.units[index]).clone();
        for event in events {
            law::check(self.fleet, &unit, event, cause, self.seen);
            let before = unit.record.clone();
            unit.record.apply(event, NOW);
            law::check_change(self.fleet, &before, &unit.record, event);
            if let InstanceEvent::Offered { release, action: governance::Action::Update, .. } = event {
                unit.offered.insert(*release);
            }
        }
        let of_the_federation = federation_events(&unit.record, events, &self.fleet.world, NOW);
        self.fleet.set_unit(index, unit);
        self.apply_world(&of_the_federation);
    }

    /// What is true before the Runtime asks.
    fn prepare(&mut self, index: usize, ask: Ask) {
        match ask {
            Ask::Ready => {}
            Ask::Report => self.install(index),
            Ask::Begin(version) => self.change(index, |unit| unit.installing = Some(version)),
            Ask::Fail(_) => self.change(index, |unit| unit.installing = None),
        }
    }

    fn install(&mut self, index: usize) {
        self.change(index, |unit| {
            if let Some(version) = unit.installing.take() {
                unit.runs = version;
            }
        });
    }

    fn ask(&mut self, index: usize, ask: Ask) {
        self.prepare(index, ask);
        let command = self.asked(index, ask, false);
        self.command(index, &command);
        let record = &self.unit(index).record;
        if matches!(ask, Ask::Begin(version) if record.attempt.is_none_or(|attempt| attempt.release != version))
        {
            // Refused: it installs nothing.
            self.change(index, |unit| unit.installing = None);
        }
    }

    fn asked(&self, index: usize, ask: Ask, decided: bool) -> Command {
        match ask {
            Ask::Ready => Command::Ready,
            Ask::Begin(release) => Command::BeginUpgrade { release },
            Ask::Fail(release) => Command::FailUpgrade { release, reason: None },
            Ask::Report if decided => {
                let mut statement = self.statement(index, 0);
                statement.head = self.unit(index).record.head.unwrap_or(statement.head);
                Command::Report(statement)
            }
            Ask::Report => Command::Report(self.statement(index, 0)),
        }
    }

    /// The next statement of the chain, or one that does not follow by so many.
    fn statement(&self, index: usize, skip: u64) -> Statement {
        let unit = self.unit(index);
        let last = unit.record.head;
        let runtime = self.fleet.world.releases.get(&unit.runs).and_then(|known| known.release.ships_runtime);
        let runtime = runtime.unwrap_or(unit.record.running.runtime);
        Statement {
            head: head(last.map_or(1, |last| last.sequence + 1) + skip),
            previous: last.map(|last| last.digest),
            running: Running { platform: unit.runs, runtime, layers: content(unit.runs, unit.forked) },
            domains: Vec::new(),
        }
    }

    fn renewal(&self, index: usize) -> Command {
        let record = &self.unit(index).record;
        Command::Renew(governance::decide::Renewal {
            by: record.key,
            key: record.key,
            head: record.head.map(|head| head.digest),
            pending: None,
            serial: "01".into(),
            not_after: NOW + TICK,
        })
    }

    /// Asks again what has no answer. Where the decision is on record and nothing came between, it changes nothing.
    fn repeat(&mut self, index: usize) {
        let Some(Pending { ask, decided }) = self.unit(index).pending else { return };
        let command = self.asked(index, ask, decided);
        self.change(index, |unit| unit.pending = None);
        self.command(index, &command);
        let record = &self.unit(index).record;
        if matches!(ask, Ask::Begin(version) if record.attempt.is_none_or(|attempt| attempt.release != version))
        {
            self.change(index, |unit| unit.installing = None);
        }
    }
}

fn world_command(step: Step) -> WorldCommand {
    match step {
        Step::Publish(version, class) => {
            let release = Box::new(release(version, class));
            let digest = Digest::of(version.to_string().as_bytes());
            WorldCommand::Publish {
                release,
                digest,
                restriction: Restriction::default(),
                approval: Vec::new(),
            }
        }
        Step::Resume(release, by) => WorldCommand::Resume { release, by },
        Step::Pause(release) => WorldCommand::Pause { release },
        Step::RedOn => WorldCommand::RedSwitch { on: true, reason: None },
        Step::RedOff => WorldCommand::RedSwitch { on: false, reason: None },
        Step::Freeze => WorldCommand::Freeze { from: NOW, until: NOW + TICK },
        Step::Withdraw(release) => WorldCommand::Withdraw { release, by: Authority::Founder },
        Step::Abort(release) => WorldCommand::Abort { release },
        Step::Amend => WorldCommand::Amend { digest: Digest::of(b"amended"), document: Box::new(amended()) },
        other => unreachable!("{other:?} is no command about the federation"),
    }
}

/// By an enrolment afresh that two people let it have (HS-1).
fn afresh(key: InstanceKey) -> Command {
    let endpoint = Committed::new(Salt::from_random([0; 16]), "https://127.0.0.1:10".parse().unwrap());
    Command::Handshake { key, enrolment: Digest::of(b"afresh"), endpoint }
}
