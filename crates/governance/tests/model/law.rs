//! What must hold of every event, written down a second time: from the law, not from the code.
//!
//! Never decides. What it finds broken it names in the state, where the checker sees it.

use std::sync::atomic::{AtomicU64, Ordering};

use governance::decide::Command;
use governance::{
    Action, Authority, Cause as Trigger, Class, FindingCode, Instance, InstanceEvent, Phase, RolloutStatus,
    State, TRANSITIONS, WorldEvent,
};

use super::federation::{NOW, TICK};
use super::state::{Fleet, Unit};

/// Which law a step broke.
pub type Breach = &'static str;

/// Why an event came.
#[derive(Clone, Copy)]
pub enum Cause<'a> {
    /// Somebody asked.
    Command(&'a Command),
    /// It was due.
    Due,
}

/// Which rows of the law's table were walked, by all threads together.
#[derive(Debug, Default)]
pub struct Seen(AtomicU64);

impl Seen {
    fn walk(&self, row: usize) {
        if self.0.load(Ordering::Relaxed) & (1 << row) == 0 {
            self.0.fetch_or(1 << row, Ordering::Relaxed);
        }
    }

    /// The rows that were never walked.
    pub fn missing(&self) -> Vec<String> {
        let walked = self.0.load(Ordering::Relaxed);
        let rows = TRANSITIONS.iter().enumerate().filter(|(row, _)| walked & (1 << row) == 0);
        rows.map(|(_, row)| format!("{} {} → {} {}", row.rule, row.from, row.to, row.cause)).collect()
    }
}

/// Notes a breach; the first is kept.
pub fn must(fleet: &mut Fleet, holds: bool, law: Breach) {
    if !holds && fleet.broken.is_none() {
        fleet.broken = Some(law);
    }
}

/// A refusal records a broken chain, and nothing else.
pub fn check_refusal(fleet: &mut Fleet, refused: bool, record: &[InstanceEvent]) {
    let harmless = record.iter().all(|event| {
        matches!(
            event,
            InstanceEvent::FindingOpened { code: FindingCode::VersionChainBroken }
                | InstanceEvent::Escalated { .. }
        )
    });
    must(fleet, !refused || harmless, "a refusal changes nothing");
}

/// Looks at an event before it is applied.
pub fn check(fleet: &mut Fleet, unit: &Unit, event: &InstanceEvent, cause: Cause<'_>, seen: &Seen) {
    let record = &unit.record;
    let asked_by = match cause {
        Cause::Command(command) => Some(command.authority()),
        Cause::Due => None,
    };
    let authority = event.authority();
    let entitled = authority == Authority::Federation || asked_by == Some(authority);
    must(fleet, entitled, "AU-1: an event of an authority that did not act");
    match event {
        InstanceEvent::Moved { from, to, cause: trigger } => {
            must(fleet, *from == record.state, "LC: a move from where it does not stand");
            let row =
                TRANSITIONS.iter().position(|row| (row.from, row.to, row.cause) == (*from, *to, *trigger));
            must(fleet, row.is_some(), "LC: a move that the table lacks");
            row.into_iter().for_each(|row| seen.walk(row));
            let restored = matches!(cause, Cause::Command(Command::OrderRestore));
            must(
                fleet,
                *from != State::Revoked || restored,
                "IN-6: it left revoked without the Founder's order",
            );
            if let (State::Revoked, Trigger::DriftFrozen | Trigger::Forked) = (*to, *trigger) {
                check_standing_order(fleet, record, *trigger);
            }
        }
        InstanceEvent::Offered { release, action, .. } => {
            must(fleet, fleet.world.release(*release).is_some(), "IN-5: an offer of what is not published");
            let allowed = match action {
                Action::Update => may_update(fleet, unit, event),
                Action::Rollback => may_roll_back(fleet, record, event),
            };
            must(fleet, allowed, "RO: an offer that no rule makes");
        }
        InstanceEvent::FindingOpened { code } => {
            must(fleet, record.finding(*code).is_none(), "CO: a finding opened twice");
            if matches!(code, FindingCode::VersionDrift | FindingCode::SecurityPatchOverdue) {
                let offered = record.due.is_some_and(|due| unit.offered.contains(&due.release));
                must(fleet, offered, "IN-7: a finding for what was never offered");
            }
        }
        InstanceEvent::Reported { running, .. } => {
            let said = matches!(cause, Cause::Command(Command::Report(_)));
            must(fleet, said && running.platform == unit.runs, "IN-4: what runs is what the Runtime says");
        }
        InstanceEvent::AttemptBegun { release, .. } => {
            let offered = record.offer.is_some_and(|offer| offer.release == *release);
            must(fleet, offered, "LC-3: it began what is not on offer");
        }
        _ => {}
    }
}

/// LC-18, FO-3, CO-14: the order stands in the constitution, no override silences it, and the day has room.
fn check_standing_order(fleet: &mut Fleet, record: &Instance, trigger: Trigger) {
    let (order, code) = match trigger {
        Trigger::Forked => (governance::StandingOrder::UnauthorisedFork, FindingCode::UnauthorisedFork),
        _ => (governance::StandingOrder::DriftFreeze, FindingCode::VersionDrift),
    };
    must(
        fleet,
        fleet.world.constitution.standing_orders.contains(&order),
        "LC-18: an order that does not stand",
    );
    must(fleet, !record.is_silenced(code, NOW), "FO-3: an overridden finding moved an instance");
    let today = fleet.taken.iter().filter(|at| NOW.since(**at) <= TICK.times(2)).count();
    must(fleet, today == 0, "CO-14: more than one in a day");
}

/// Looks at a record before and behind an event.
pub fn check_change(fleet: &mut Fleet, before: &Instance, after: &Instance, event: &InstanceEvent) {
    let moves = matches!(event, InstanceEvent::Moved { .. });
    must(fleet, moves || before.state == after.state, "LC: a state left without a transition");
    let reports = matches!(event, InstanceEvent::Reported { .. });
    must(fleet, reports || before.running == after.running, "IN-4: what runs changed without a report");
    must(fleet, before.serial <= after.serial, "RL-3: the serial fell");
    must(fleet, before.id == after.id && before.joined == after.joined, "ID-1: another instance");
}

/// LC-2, LC-19, RO-1, RO-5…RO-8: who may be offered an update.
fn may_update(fleet: &Fleet, unit: &Unit, event: &InstanceEvent) -> bool {
    let InstanceEvent::Offered { release, rollout, deadline, drift, security, .. } = event else {
        return false;
    };
    let (world, record) = (&fleet.world, &unit.record);
    let Some(rollout) = world.rollout(*rollout).filter(|rollout| rollout.release == *release) else {
        return false;
    };
    let from = record.running.platform;
    let next_line = from.line() < release.line() && rollout.class == Class::Major;
    let step = from < *release && (from.line() == release.line() || next_line);
    let live = rollout.paused.is_none() && !world.red_switch;
    let free = !record.handshake_required && record.attempt.is_none();
    let reached = rollout.phase_of(record).is_some()
        && matches!(rollout.status, RolloutStatus::Running | RolloutStatus::Done);
    let staged =
        rollout.class != Class::Security || rollout.phases.iter().all(|open| open.phase == Phase::Ga);
    let thawed = rollout.class == Class::Security || !world.is_frozen(NOW);
    let runs = |code| record.state != State::Suspended && !record.is_silenced(code, NOW);
    let clocks = [(drift, FindingCode::VersionDrift), (security, FindingCode::SecurityPatchOverdue)];
    let clocks = clocks.into_iter().filter_map(|(it, code)| Some(((*it)?.clock.is_running(), runs(code))));
    // A deadline stands where a clock runs towards it, or has passed it.
    let whole = clocks.clone().count() > 0 && clocks.clone().all(|(running, runs)| running == runs);
    let timed = deadline.is_some() || clocks.clone().all(|(running, _)| !running);
    let who = match record.state {
        State::Suspended => {
            let lacks = [FindingCode::VersionDrift, FindingCode::SecurityPatchOverdue];
            let lacks = lacks.iter().any(|code| record.finding(*code).is_some());
            lacks && record.due.is_some_and(|due| due.release == *release)
        }
        State::Registered | State::Revoked | State::UpgradeInProgress => false,
        _ => reached && staged && thawed,
    };
    step && live && free && who && whole && timed
}

/// RO-3, RL-2: who may be offered the way back.
fn may_roll_back(fleet: &Fleet, record: &Instance, event: &InstanceEvent) -> bool {
    let InstanceEvent::Offered { release, rollout, drift, security, .. } = event else { return false };
    let halted = fleet.world.rollout(*rollout).is_some_and(|rollout| {
        rollout.status == RolloutStatus::Halted && rollout.release == record.running.platform
    });
    let wished = record.wish.is_some_and(|wish| wish.to == *release && wish.from == record.running.platform);
    *release < record.running.platform
        && record.previous() == Some(*release)
        && (halted || wished)
        && (drift.is_none() && security.is_none())
        && (record.state.is_eligible() || (record.state == State::Suspended && halted))
        && !record.handshake_required
}

/// Looks at an event of the federation as a whole before it is applied.
pub fn check_world(fleet: &mut Fleet, event: &WorldEvent) {
    match event {
        WorldEvent::StandingOrderTaken { .. } => {
            let today = fleet.taken.iter().filter(|at| NOW.since(**at) <= TICK.times(2)).count();
            must(fleet, today == 0, "CO-14: more than one in a day");
            fleet.taken.push(NOW);
        }
        WorldEvent::PhaseOpened { rollout, phase, .. } => {
            let known = fleet.world.rollout(*rollout);
            let next = known.is_some_and(|rollout| {
                rollout.paused.is_none()
                    && match rollout.class {
                        Class::Security => *phase == Phase::Ga && rollout.phases.is_empty(),
                        _ => rollout.next_phase() == Some(*phase),
                    }
            });
            must(fleet, next && !fleet.world.red_switch, "RO-1: a phase out of turn");
        }
        _ => {}
    }
}

/// What must hold of a fleet for which everything due was done, before time passes over it.
pub fn check_rest(fleet: &mut Fleet) {
    for unit in fleet.units.clone() {
        let record = &unit.record;
        let stands = record.standing_findings(NOW).next().is_some();
        let (offer, attempt) = (record.offer.is_some(), record.attempt.is_some());
        let holds = match record.state {
            State::Registered => !offer && !attempt,
            State::Revoked => !offer && !attempt && record.due.is_none() && record.findings.is_empty(),
            State::Active => !offer && !attempt && !stands,
            State::UpdatePending => offer && !attempt && !stands,
            State::OutOfCompliance => stands && !attempt,
            State::UpgradeInProgress => attempt,
            State::Suspended => !record.due.is_some_and(|due| due.is_running()),
        };
        must(fleet, holds, "LC: a state beside what it stands for");
        check_freeze(fleet, record);
    }
    check_clocks(fleet);
}

/// CO-2, CO-13: whoever drifted beyond the freeze is before the Founder, where no order takes him.
fn check_freeze(fleet: &mut Fleet, record: &Instance) {
    let (code, order) = (FindingCode::VersionDrift, governance::StandingOrder::DriftFreeze);
    let grave = record.due.and_then(|due| due.drift).is_some_and(|drift| drift.is_grave(NOW));
    let found = grave && record.finding(code).is_some() && !record.is_silenced(code, NOW);
    let idle = !matches!(record.state, State::Revoked | State::UpgradeInProgress);
    // What is open from a drift before stands for this one too.
    let open = record.escalations.iter().any(|open| open.rule == order.rule());
    let told = open || record.freeze_told || fleet.world.constitution.standing_orders.contains(&order);
    must(fleet, told || !(found && idle), "CO-13: drift beyond the freeze and nobody is told");
}

/// RO-7, LC-19, FO-3: what must hold when time passes.
pub fn check_clocks(fleet: &mut Fleet) {
    for unit in fleet.units.clone() {
        let record = &unit.record;
        let Some(due) = record.due.filter(|due| due.is_running()) else { continue };
        let stopped = fleet.world.rollout(due.rollout).is_none_or(|rollout| {
            let ended = matches!(
                rollout.status,
                RolloutStatus::Halted | RolloutStatus::Aborted | RolloutStatus::Withdrawn
            );
            rollout.paused.is_some() || ended
        });
        let live = !stopped && !fleet.world.red_switch && record.state.is_eligible();
        must(fleet, live, "RO-7: a clock runs while nothing is on offer");
    }
}
