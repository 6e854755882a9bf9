//! What is due for one instance: stalls, clocks, findings, offers and transitions, all from the facts as they are now.
//!
//! Level-triggered and idempotent: it never remembers what it did, only looks at what is. Runs at every call of the
//! instance and in every sweep; deadlines, audits and rollout waves are not separate machines.

mod offer;

use alloc::string::String;
use alloc::vec::Vec;

use crate::constitution::StandingOrder;
use crate::event::{InstanceEvent, WorldEvent};
use crate::finding::{Finding, FindingCode};
use crate::id::DomainCode;
use crate::instance::{Countdown, Instance, OfferEnd, Outcome};
use crate::lifecycle::{Cause, State, transition_by};
use crate::module;
use crate::rollout::{Rollout, RolloutStatus};
use crate::silence;
use crate::standing;
use crate::tier::SubscriptionStatus;
use crate::time::Timestamp;
use crate::warning::{self, Warning};
use crate::world::World;

pub(crate) use offer::retry_wait;

use offer::offers;

/// Rounds after which nothing can be due any more; each round settles one stage.
pub const ROUNDS_MAX: usize = 32;

/// Everything due for the instance now, in order; nothing when all is as it should be.
#[must_use]
pub fn reconcile(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
    let first = due(instance, world, now);
    if first.is_empty() {
        // The common case of a check-in: nothing is copied.
        return first;
    }
    let mut settled = Vec::new();
    let mut current = instance.clone();
    let mut events = first;
    for _ in 0..ROUNDS_MAX {
        for event in &events {
            current.apply(event, now);
        }
        settled.append(&mut events);
        events = due(&current, world, now);
        if events.is_empty() {
            break;
        }
    }
    settled
}

/// The first part of what [`reconcile`] finds: the events of the first stage that has any. For whoever owns the record and puts
/// each part on it before asking for the next, so that nothing is copied; nothing is left after [`ROUNDS_MAX`] of them.
#[must_use]
pub fn due(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
    if instance.state == State::Revoked {
        return Vec::new();
    }
    let stages = [stall, obligations, notices, findings, violations, frozen, offers, standing, warnings];
    stages
        .iter()
        .map(|stage| stage(instance, world, now))
        .find(|events| !events.is_empty())
        .unwrap_or_default()
}

/// An attempt that did not finish in time (LC-5, RO-3).
fn stall(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
    let mut events = Vec::new();
    if let Some(attempt) = instance.attempt
        && now.since(attempt.begun) > world.constitution.upgrade_stall_after
    {
        events.push(InstanceEvent::AttemptFinished {
            release: attempt.release,
            outcome: Outcome::Stalled,
            reason: None,
        });
        events.extend(moved(instance.state, Cause::UpgradeStalled));
    }
    events
}

/// What the instance owes: ended when it is paid or void, its clocks running or not (RO-7, LC-19).
fn obligations(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
    let Some(due) = instance.due else { return Vec::new() };
    let rollout = world.rollout(due.rollout);
    let end = |why| alloc::vec![InstanceEvent::DueEnded { release: due.release, why }];
    if instance.running.platform >= due.release {
        return end(OfferEnd::Installed);
    }
    let Some(rollout) = rollout.filter(|rollout| !has_ended(rollout)) else { return end(OfferEnd::Ended) };
    if !world.is_inside(rollout, instance) {
        return end(OfferEnd::NotEligible);
    }
    let (drift, security) = clocks_run(instance, is_within_reach(instance, rollout, world), now);
    let turns = |countdown: Option<Countdown>, on| countdown.is_some_and(|it| it.clock.is_running() != on);
    if turns(due.drift, drift) || turns(due.security, security) {
        // A pause stops the clocks when it begins, however late it is looked at (RO-7).
        let stopped = rollout.stops.last().filter(|stop| stop.until.is_none());
        let since = stopped.map_or(now, |stop| stop.from.min(now));
        return alloc::vec![InstanceEvent::ClocksTurned { drift, security, since }];
    }
    Vec::new()
}

/// Whether the drift clock and the security clock of what is owed run: not for what cannot be had, nor for the suspended
/// (RO-7, LC-19), nor that of an overridden finding (FO-3).
fn clocks_run(instance: &Instance, within_reach: bool, now: Timestamp) -> (bool, bool) {
    let runs = within_reach && instance.state.is_eligible();
    let silenced = |code| instance.is_silenced(code, now);
    (runs && !silenced(FindingCode::VersionDrift), runs && !silenced(FindingCode::SecurityPatchOverdue))
}

/// Whether what the instance owes can come to it now: it is on offer, or comes again by itself (RO-7, RO-9). What cannot
/// be had is nobody's fault, and its clocks stand still.
fn is_within_reach(instance: &Instance, rollout: &Rollout, world: &World) -> bool {
    if rollout.paused.is_some() || world.red_switch {
        return false;
    }
    let offered = instance.offer.is_some_and(|offer| offer.rollout == rollout.id);
    let tried = instance.attempt.is_some_and(|attempt| attempt.rollout == rollout.id);
    if offered || tried {
        return true;
    }
    let comes = match instance.state {
        State::Suspended => rollout.stands(),
        _ => rollout.adds() && rollout.phase_of(instance).is_some(),
    };
    comes && world.is_next_step(rollout.release, instance)
}

/// Deactivation notices given and withdrawn, so that exactly the domains without a right have one (EN-3, CO-5).
fn notices(instance: &Instance, world: &World, _now: Timestamp) -> Vec<InstanceEvent> {
    if instance.handshake_required {
        // Restored, it is left alone until it has shaken hands afresh (LC-17).
        return Vec::new();
    }
    if instance.notices.is_empty() && module::is_entitled_throughout(instance, world) {
        return Vec::new();
    }
    let unentitled = module::unentitled(instance, world);
    let noticed = |domain: &DomainCode| instance.notices.iter().any(|notice| notice.domain == *domain);
    let void = instance.notices.iter().filter(|notice| !unentitled.contains(&notice.domain));
    let mut events: Vec<InstanceEvent> =
        void.map(|notice| InstanceEvent::NoticeWithdrawn { domain: notice.domain.clone() }).collect();
    let fresh = unentitled.iter().filter(|domain| !noticed(domain));
    events.extend(fresh.map(|domain| InstanceEvent::DeactivationNoticed { domain: domain.clone() }));
    events
}

fn has_ended(rollout: &Rollout) -> bool {
    matches!(rollout.status, RolloutStatus::Halted | RolloutStatus::Aborted | RolloutStatus::Withdrawn)
}

/// Findings opened and closed so that exactly those stand whose condition holds (CO-1…CO-9).
fn findings(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
    if instance.handshake_required {
        return Vec::new();
    }
    let mut events = Vec::new();
    for &code in FindingCode::ALL {
        let open = instance.finding(code).is_some();
        let holds = if code.is_sticky() { open } else { condition(code, instance, world, now) };
        // The suspended are audited too (§7), so that LC-9 has an audit to be clean.
        if holds && !open {
            events.push(InstanceEvent::FindingOpened { code });
            if code == FindingCode::UnauthorisedFork && !instance.is_silenced(code, now) {
                let facts = "content differs from what the Organism signed";
                events.extend(instance.escalation("CO-8", facts));
            }
        } else if !holds && open {
            events.push(InstanceEvent::FindingClosed { code });
        }
    }
    events
}

/// Findings that opened too often in too short a time (CO-13).
fn violations(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
    let law = &world.constitution;
    let recent =
        instance.violations.iter().filter(|opened| now.since(**opened) <= law.escalation_within).count();
    if recent < usize::try_from(law.escalation_violations).unwrap_or(usize::MAX) {
        return Vec::new();
    }
    let facts = alloc::format!("{recent} findings opened within {}", law.escalation_within);
    instance.escalation("CO-13", &facts).into_iter().collect()
}

/// Drift beyond the freeze where no standing order takes the instance: the Founder is told, once (CO-2, CO-13).
fn frozen(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
    let order = StandingOrder::DriftFreeze;
    let stands = world.constitution.standing_orders.contains(&order);
    if instance.freeze_told || stands || !order.holds(instance, now) {
        return Vec::new();
    }
    let facts =
        alloc::format!("drift is beyond the freeze, and no standing order {order} takes the instance");
    instance.escalation(order.rule(), &facts).into_iter().collect()
}

/// Whether a finding's condition holds.
fn condition(code: FindingCode, instance: &Instance, world: &World, now: Timestamp) -> bool {
    let law = &world.constitution;
    // A finding for a release that is no longer on offer is closed (RO-7).
    let rollout = || instance.due.and_then(|due| world.rollout(due.rollout));
    let is_over = |countdown: Option<Countdown>| {
        countdown.is_some_and(|countdown| countdown.is_over(now))
            && rollout().is_some_and(|rollout| is_within_reach(instance, rollout, world))
    };
    match code {
        FindingCode::VersionDrift => is_over(instance.due.and_then(|due| due.drift)),
        FindingCode::SecurityPatchOverdue => is_over(instance.due.and_then(|due| due.security)),
        FindingCode::TierMismatch => law.kind_of(instance.subscription.tier) != instance.kind,
        FindingCode::RuntimeIncompatible => world
            .matrix
            .runtimes(instance.running.platform.line())
            .is_some_and(|range| !range.contains(instance.running.runtime)),
        FindingCode::NotReporting => silence::is_too_long(instance, world, now),
        FindingCode::UnauthorisedFork => is_fork(instance, world),
        FindingCode::EntitlementViolation => {
            let limit = law.entitlement_deactivate_within;
            instance.notice_ran(now).is_some_and(|ran| ran > limit)
        }
        FindingCode::VersionChainBroken => false,
    }
}

/// Whether a structure that the Organism signed for this version runs with other content (ID-5).
fn is_fork(instance: &Instance, world: &World) -> bool {
    if instance.unstated {
        // What a restored instance runs now is for its first statement to say (LC-17).
        return false;
    }
    let Some(published) = world.releases.get(&instance.running.platform) else { return false };
    published.release.layers.iter().any(|signed| {
        instance.running.layers.iter().any(|found| found.id == signed.id && found.digest != signed.digest)
    })
}

/// Warnings of windows that run out (CO-12).
fn warnings(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
    let due = warning::due(instance, world, now).into_iter();
    due.map(|Warning { window, point }| InstanceEvent::Warned { window, point }).collect()
}

/// What a decision about one instance, with these events applied to it, makes of the federation as a whole: a standing
/// order was used, or there was no room for it (CO-14).
#[must_use]
pub fn federation_events(
    instance: &Instance,
    events: &[InstanceEvent],
    world: &World,
    now: Timestamp,
) -> Vec<WorldEvent> {
    let taken = events.iter().filter_map(|event| match event {
        InstanceEvent::Moved { cause, .. } => StandingOrder::of(*cause),
        _ => None,
    });
    let mut found: Vec<WorldEvent> =
        taken.map(|order| WorldEvent::StandingOrderTaken { order, instance: instance.id }).collect();
    let escalated = world.escalations.iter().any(|escalation| escalation.rule == "CO-14");
    if !escalated && standing::is_braked(instance, world, now) {
        found.push(WorldEvent::FederationEscalated {
            rule: String::from("CO-14"),
            facts: alloc::format!(
                "a standing order applies to {}, and the day has no room for it",
                instance.id
            ),
        });
    }
    found
}

/// Whether anything is due for the instance, or because of it.
#[must_use]
pub fn is_due(instance: &Instance, world: &World, now: Timestamp) -> bool {
    !due(instance, world, now).is_empty() || !federation_events(instance, &[], world, now).is_empty()
}

/// The transition that the facts ask for; the gravest wins (§III).
fn standing(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
    let from = instance.state;
    let mut events = Vec::new();
    if let Some(order) = standing::due(instance, world, now)
        && world.brake.room(world, now) > 0
    {
        events.extend(moved(from, order.cause()));
        let facts = alloc::format!("revoked under the standing order {order}");
        events.extend(instance.escalation(order.rule(), &facts));
        return events;
    }
    if let Some(cause) = suspension(instance, world, now)
        && let Some(event) = moved(from, cause)
    {
        events.push(event);
        if cause == Cause::SecurityOverdue {
            let facts = "a security release was not installed by its second deadline";
            events.extend(instance.escalation("CO-3", facts));
        }
        return events;
    }
    let found = instance.standing_findings(now).next().is_some();
    let cause = match from {
        State::Active | State::UpdatePending if found => Cause::FindingOpen,
        State::OutOfCompliance if !found => Cause::FindingsCleared,
        State::Active if instance.offer.is_some() => Cause::ReleaseOffered,
        State::UpdatePending if instance.offer.is_none() => Cause::OfferEnded,
        _ => return events,
    };
    events.extend(moved(from, cause));
    events
}

/// What asks for suspension now, if anything does (CO-3, CO-10, CO-11).
fn suspension(instance: &Instance, world: &World, now: Timestamp) -> Option<Cause> {
    let law = &world.constitution;
    let security = instance.due.and_then(|due| due.security);
    let overdue = security.is_some_and(|it| it.is_grave(now))
        && instance.finding(FindingCode::SecurityPatchOverdue).is_some();
    let too_old = |finding: &Finding| instance.age(finding, now) > law.compliance_suspend_after;
    let subscription = match instance.subscription.status {
        SubscriptionStatus::Active => false,
        SubscriptionStatus::Lapsed => now.since(instance.subscription.since) > law.subscription_lapse_grace,
        SubscriptionStatus::Revoked => true,
    };
    if overdue && !instance.is_silenced(FindingCode::SecurityPatchOverdue, now) {
        Some(Cause::SecurityOverdue)
    } else if subscription {
        Some(Cause::SubscriptionEnded)
    } else {
        // LC-7: out of compliance for so long, by whatever findings in turn.
        let too_long = instance.state == State::OutOfCompliance
            && now.since(instance.since) > law.compliance_suspend_after;
        (too_long || instance.standing_findings(now).any(too_old)).then_some(Cause::FindingTooOld)
    }
}

/// The move that this cause asks for from here, if the law has one.
pub(crate) fn moved(from: State, cause: Cause) -> Option<InstanceEvent> {
    transition_by(from, cause).map(|row| InstanceEvent::Moved { from, to: row.to, cause })
}
