//! Nobody is stuck: from wherever an instance stands a lawful way leads to `active`.
//!
//! Looks for one way and not for all: what a patient owner, an operator and the Founder would do next. Where it arrives,
//! a way exists.

use governance::{Authority, FindingCode, State};

use super::Scope;
use super::federation::{NOW, content};
use super::law::Seen;
use super::state::{Ask, Fleet};
use super::step::Step;

/// Steps within which the way must have led there: the longest waits are three ticks, behind each of three revocations.
const STEPS_MAX: usize = 48;

/// Whether the way leads this instance to `active`, with nothing left to do behind it.
pub fn leads_to_active(fleet: &Fleet, index: usize, scope: &Scope, seen: &Seen) -> bool {
    let mut fleet = fleet.clone();
    // No further adversity comes; the steps that are none cost nothing.
    fleet.left = 0;
    for _ in 0..STEPS_MAX {
        if !fleet.down && fleet.units[index].record.state == State::Active {
            return true;
        }
        let step = next(&fleet, index);
        fleet = fleet.after(step, scope, seen);
        if fleet.broken.is_some() {
            return false;
        }
    }
    false
}

fn next(fleet: &Fleet, index: usize) -> Step {
    let (unit, world) = (&fleet.units[index], &fleet.world);
    let record = &unit.record;
    let paused = world.rollouts.iter().find(|rollout| rollout.paused.is_some());
    let fork_on_record = record.running.layers != content(record.running.platform, false);
    let silenced = record.is_silenced(FindingCode::UnauthorisedFork, NOW);
    let revoked = record.state == State::Revoked;
    match (record.offer, unit.installing) {
        _ if fleet.down => Step::Recover,
        _ if world.red_switch => Step::RedOff,
        _ if paused.is_some_and(|rollout| rollout.counting_since < NOW) => Step::Resume(
            paused.map_or(record.running.platform, |rollout| rollout.release),
            Authority::Founder,
        ),
        _ if unit.silent => Step::Wake(index),
        _ if unit.pending.is_some() => Step::Repeat(index),
        _ if unit.forked => Step::Mend(index),
        _ if revoked || record.held => Step::Restore(index),
        // Its last statement is from before the revocation: the standing order would take it again at the handshake.
        _ if record.handshake_required && fork_on_record && !silenced => {
            Step::Override(index, FindingCode::UnauthorisedFork)
        }
        _ if record.handshake_required => Step::Renew(index),
        _ if record.finding(FindingCode::VersionChainBroken).is_some() => Step::Enrol(index),
        _ if fork_on_record => Step::Mend(index),
        _ if !record.subscription.is_valid() => Step::Subscribe(index),
        _ if record.state == State::Registered => Step::Ask(index, Ask::Ready),
        (_, Some(_)) => Step::Succeed(index),
        (Some(offer), None) => Step::Ask(index, Ask::Begin(offer.release)),
        _ if record.failures.iter().any(|failure| !failure.retry) => Step::Retry(index),
        _ if record.state == State::Suspended && record.standing_findings(NOW).next().is_none() => {
            Step::Reactivate(index)
        }
        _ => Step::Tick,
    }
}
