//! What is due for one instance: stalls, clocks, findings, offers and transitions, all from the facts as they are now.
//!
//! Level-triggered and idempotent: it never remembers what it did, only looks at what is. Runs at every call of the
//! instance and in every sweep; deadlines, audits and rollout waves are not separate machines.

use alloc::string::String;
use alloc::vec::Vec;

use crate::clock::Clock;
use crate::constitution::{Constitution, StandingOrder};
use crate::event::{InstanceEvent, WorldEvent};
use crate::finding::{Finding, FindingCode};
use crate::id::{DomainCode, RolloutId};
use crate::instance::{Action, Countdown, Failure, Instance, OfferEnd, Outcome};
use crate::lifecycle::{Cause, State, transition_by};
use crate::module;
use crate::release::Class;
use crate::rollout::{Phase, Rollout, RolloutStatus};
use crate::standing;
use crate::tier::SubscriptionStatus;
use crate::time::{Span, Timestamp};
use crate::version::Version;
use crate::warning::{self, Warning};
use crate::world::World;

/// Rounds after which nothing can be due any more; each round settles one stage.
const ROUNDS_MAX: usize = 32;
/// A failing security release is tried again after doubling waits, up to this power of two.
const RETRY_DOUBLINGS_MAX: u32 = 10;

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

/// The events of the first stage that has any.
fn due(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
    if instance.state == State::Revoked {
        return Vec::new();
    }
    let stages = [stall, obligations, notices, findings, violations, offers, standing, warnings];
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
        return alloc::vec![InstanceEvent::ClocksTurned { drift, security }];
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
                events.extend(escalation(instance, "CO-8", facts));
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
    escalation(instance, "CO-13", &facts).into_iter().collect()
}

/// An escalation under `rule`, unless one is open (CO-13).
fn escalation(instance: &Instance, rule: &str, facts: &str) -> Option<InstanceEvent> {
    let open = instance.escalations.iter().any(|escalation| escalation.rule == rule);
    (!open).then(|| InstanceEvent::Escalated { rule: String::from(rule), facts: String::from(facts) })
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
        FindingCode::NotReporting => {
            let since = instance.reported;
            let silenced = instance.silenced_since(code, since, now);
            let silent = now.since(since) - world.unreachable_since(since, now) - silenced;
            silent > law.compliance_report_within
        }
        FindingCode::UnauthorisedFork => is_fork(instance, world),
        FindingCode::EntitlementViolation => {
            let limit = law.entitlement_deactivate_within;
            let ran = |since| now.since(since) - instance.silenced_since(code, since, now);
            instance.notices.iter().any(|notice| ran(notice.since) > limit)
        }
        FindingCode::VersionChainBroken => false,
    }
}

/// Whether a structure that the Organism signed for this version runs with other content (ID-5).
fn is_fork(instance: &Instance, world: &World) -> bool {
    let Some(published) = world.releases.get(&instance.running.platform) else { return false };
    published.release.layers.iter().any(|signed| {
        instance.running.layers.iter().any(|found| found.id == signed.id && found.digest != signed.digest)
    })
}

/// A release that should be on offer.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    release: Version,
    rollout: &'a Rollout,
    action: Action,
    phase: Phase,
}

/// The offer ended, begun or exchanged, so that the right one stands (LC-2, RO-3, RO-8, RO-9, LC-19).
fn offers(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
    if instance.attempt.is_some() {
        // Its end or its stall is waited for.
        return Vec::new();
    }
    let wanted = wanted(instance, world, now);
    let key = |wanted: &Wanted<'_>| (wanted.release, wanted.rollout.id, wanted.action);
    let standing = instance.offer.map(|offer| (offer.release, offer.rollout, offer.action));
    if wanted.as_ref().map(key) == standing {
        return Vec::new();
    }
    let mut events = Vec::new();
    if let Some((release, rollout, _)) = standing {
        let why = if wanted.is_some() {
            OfferEnd::Superseded
        } else {
            why_ended(instance, world, release, rollout, now)
        };
        events.push(InstanceEvent::OfferEnded { release, why });
    }
    if let Some(wanted) = wanted {
        events.push(offered(instance, world, &wanted, now));
    }
    events
}

fn why_ended(
    instance: &Instance,
    world: &World,
    release: Version,
    rollout: RolloutId,
    now: Timestamp,
) -> OfferEnd {
    let Some(rollout) = world.rollout(rollout) else { return OfferEnd::Ended };
    if instance.running.platform == release {
        OfferEnd::Installed
    } else if has_ended(rollout) {
        OfferEnd::Ended
    } else if rollout.paused.is_some() || world.red_switch {
        OfferEnd::Paused
    } else if is_blocked(instance, world, release, rollout, rollout.class, now) {
        OfferEnd::FailedHere
    } else {
        OfferEnd::NotEligible
    }
}

fn wanted<'a>(instance: &Instance, world: &'a World, now: Timestamp) -> Option<Wanted<'a>> {
    if instance.handshake_required {
        return None;
    }
    if instance.state == State::Suspended {
        // Whoever installed what was halted goes back, suspended or not (RO-3).
        return remediation(instance, world, now).or_else(|| directed_rollback(instance, world, now));
    }
    if !instance.state.is_eligible() {
        return None;
    }
    if let Some(rollback) = directed_rollback(instance, world, now) {
        return Some(rollback);
    }
    let update = update(instance, world, now);
    // A security release overtakes the owner's wish (RO-8).
    if update.as_ref().is_some_and(|wanted| wanted.rollout.class == Class::Security) {
        return update;
    }
    wished_rollback(instance, world, now).or(update)
}

/// The release whose lack is an open finding (LC-19).
fn remediation<'a>(instance: &Instance, world: &'a World, now: Timestamp) -> Option<Wanted<'a>> {
    let lacking = [FindingCode::VersionDrift, FindingCode::SecurityPatchOverdue];
    lacking.iter().find_map(|code| instance.finding(*code))?;
    let due = instance.due?;
    let rollout = world.rollout(due.rollout).filter(|rollout| rollout.stands() && !world.red_switch)?;
    let blocked = is_blocked(instance, world, due.release, rollout, rollout.class, now);
    (world.is_next_step(due.release, instance) && !blocked).then(|| Wanted {
        release: due.release,
        rollout,
        action: Action::Update,
        phase: rollout.phase_of(instance).unwrap_or(Phase::Ga),
    })
}

/// The way back from a release whose rollout was halted (RO-3).
fn directed_rollback<'a>(instance: &Instance, world: &'a World, now: Timestamp) -> Option<Wanted<'a>> {
    let rollout = world.rollout_of(instance.running.platform)?;
    if rollout.status != RolloutStatus::Halted {
        return None;
    }
    let previous = instance.previous().filter(|previous| *previous < instance.running.platform)?;
    // A directive names bytes; those of a version that was never released, or is withdrawn, it cannot.
    world.release(previous)?;
    if world.is_below_floor(previous) {
        return None;
    }
    let blocked = is_blocked(instance, world, previous, rollout, Class::Security, now);
    (!blocked).then(|| Wanted {
        release: previous,
        rollout,
        action: Action::Rollback,
        phase: rollout.phase_of(instance).unwrap_or(Phase::Ga),
    })
}

/// The way back that the owner asked for (RL-2, RO-9).
fn wished_rollback<'a>(instance: &Instance, world: &'a World, now: Timestamp) -> Option<Wanted<'a>> {
    let wish = instance.wish.filter(|wish| wish.from == instance.running.platform)?;
    let installation = instance.installation()?;
    world.release(wish.to).filter(|_| !world.is_below_floor(wish.to))?;
    let rollout = world.rollout(installation.rollout)?;
    let blocked = is_blocked(instance, world, wish.to, rollout, rollout.class, now);
    (!blocked).then_some(Wanted {
        release: wish.to,
        rollout,
        action: Action::Rollback,
        phase: installation.phase,
    })
}

/// The next step on offer: a security release before all else, otherwise the latest that can be reached (RL-6, RO-8).
fn update<'a>(instance: &Instance, world: &'a World, now: Timestamp) -> Option<Wanted<'a>> {
    if world.red_switch {
        return None;
    }
    let frozen = world.is_frozen(now);
    let candidate = |rollout: &'a Rollout| {
        // The cheap question first: most rollouts bring what runs already.
        if rollout.release <= instance.running.platform {
            return None;
        }
        let standing =
            instance.offer.is_some_and(|offer| offer.rollout == rollout.id && offer.action == Action::Update);
        let open = if standing {
            rollout.stands()
        } else {
            rollout.adds() && (rollout.class == Class::Security || !frozen)
        };
        let possible = open
            && world.is_inside(rollout, instance)
            && world.is_next_step(rollout.release, instance)
            && !is_blocked(instance, world, rollout.release, rollout, rollout.class, now);
        if !possible {
            return None;
        }
        // The dear one last: a place in the order is a hash.
        let phase = match rollout.phase_of(instance) {
            Some(phase) => phase,
            None => instance.offer.filter(|_| standing)?.phase,
        };
        Some(Wanted { release: rollout.release, rollout, action: Action::Update, phase })
    };
    let line = instance.running.platform.line();
    let (mut latest, mut latest_here, mut secures) =
        (None::<Wanted<'a>>, None::<Wanted<'a>>, None::<Wanted<'a>>);
    for wanted in world.rollouts.iter().filter_map(candidate) {
        let here = wanted.release.line() == line;
        // One of another line, which may name what runs, is a step like any other.
        if here && wanted.rollout.class == Class::Security && later(&secures, &wanted) {
            secures = Some(wanted);
        }
        if here && later(&latest_here, &wanted) {
            latest_here = Some(wanted);
        }
        if later(&latest, &wanted) {
            latest = Some(wanted);
        }
    }
    // A security release overtakes everything (RO-8), but for what was published on top of it.
    let published = |wanted: &Wanted<'_>| world.releases.get(&wanted.release).map(|published| published.at);
    match secures {
        Some(secures) => latest_here
            .filter(|here| here.release >= secures.release && published(here) >= published(&secures))
            .or(Some(secures)),
        None => latest,
    }
}

/// Whether a wanted release is later than the one found so far.
fn later(than: &Option<Wanted<'_>>, wanted: &Wanted<'_>) -> bool {
    than.as_ref().is_none_or(|than| wanted.release > than.release)
}

/// Whether the release failed here, or was left by the owner's wish, and nothing changed since (RO-9): no time, no wish, no
/// order. The Founder's `resume` begins the count of a rollout anew.
fn is_blocked(
    instance: &Instance,
    world: &World,
    release: Version,
    rollout: &Rollout,
    class: Class,
    now: Timestamp,
) -> bool {
    if instance.left.is_some_and(|left| left.release == release && now < left.again) {
        return true;
    }
    instance.failures.iter().any(|failure| {
        failure.release == release
            && !failure.retry
            && rollout.counts(failure.at)
            && now.since(failure.at) <= retry_wait(failure, class, &world.constitution)
    })
}

/// How long a failed release is not offered again (RO-9).
pub(crate) fn retry_wait(failure: &Failure, class: Class, law: &Constitution) -> Span {
    match class {
        Class::Security => {
            let doublings = failure.times.saturating_sub(1).min(RETRY_DOUBLINGS_MAX);
            law.security_retry_after.times(1 << doublings)
        }
        _ => law.rollout_retry_after,
    }
}

/// The offer, with the clocks it inherits and the deadline they give it (RO-7, RO-8).
fn offered(instance: &Instance, world: &World, wanted: &Wanted<'_>, now: Timestamp) -> InstanceEvent {
    let law = &world.constitution;
    let inherited = instance.due.filter(|_| wanted.action == Action::Update);
    let updates = wanted.action == Action::Update;
    // The clock of what it left by its own wish ran on (RO-9), and so did that of a newer release which it lacked beside the
    // one that it has just installed (RO-8).
    let left = instance.left.filter(|_| updates).and_then(|left| left.drift);
    let paid = instance.paid.filter(|paid| updates && paid.at == now).and_then(|paid| paid.due.drift);
    let lacking = paid.filter(|drift| drift.of > instance.running.platform);
    let mut drift = [inherited.and_then(|due| due.drift), left, lacking]
        .into_iter()
        .flatten()
        .reduce(|terms, other| further(terms, other, now));
    let left = instance.left.filter(|_| updates).and_then(|left| left.security);
    let mut security = [inherited.and_then(|due| due.security), left]
        .into_iter()
        .flatten()
        .reduce(|terms, other| further(terms, other, now));
    if updates {
        let own = match wanted.rollout.class {
            Class::Security => &mut security,
            _ => &mut drift,
        };
        let fresh = countdown(wanted.rollout, law, now);
        *own = Some(own.map_or(fresh, |inherited| further(fresh, inherited, now)));
    }
    // A clock that is to stand still gives no deadline; `obligations` turns them on and off later.
    let (drift_runs, security_runs) = clocks_run(instance, true, now);
    let turned = |it: Countdown, runs| {
        let clock = if runs { it.clock.resumed(now) } else { it.clock.stopped(now) };
        Countdown { clock, ..it }
    };
    drift = drift.map(|it| turned(it, drift_runs));
    security = security.map(|it| turned(it, security_runs));
    let by_drift = drift.and_then(|drift| drift.deadline(now));
    let by_security = security.and_then(|security| security.deadline(now));
    InstanceEvent::Offered {
        release: wanted.release,
        rollout: wanted.rollout.id,
        action: wanted.action,
        phase: wanted.phase,
        deadline: [by_drift, by_security].into_iter().flatten().min(),
        drift,
        security,
    }
}

/// The clock that a release of this class starts at its offer, with what it may show (RL-2, CO-1, CO-3).
fn countdown(rollout: &Rollout, law: &Constitution, now: Timestamp) -> Countdown {
    let freeze = law.drift_freeze - law.drift_threshold;
    let (limit, window, grace) = match rollout.class {
        Class::Security => (law.security_deadline, law.security_deadline, law.security_suspend_after),
        Class::Major => (law.drift_threshold, law.major_window, freeze),
        Class::Minor | Class::Module => (law.drift_threshold, law.minor_window, freeze),
    };
    Countdown { of: rollout.release, clock: Clock::started_ahead(now, window - limit), limit, window, grace }
}

/// The terms of the first with the clock of the one that has run further: publishing postpones nothing (RO-8).
fn further(terms: Countdown, other: Countdown, now: Timestamp) -> Countdown {
    Countdown { of: terms.of.max(other.of), clock: terms.clock.further(other.clock, now), ..terms }
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
        events.extend(escalation(instance, order.rule(), &facts));
        return events;
    }
    if let Some(cause) = suspension(instance, world, now)
        && let Some(event) = moved(from, cause)
    {
        events.push(event);
        if cause == Cause::SecurityOverdue {
            let facts = "a security release was not installed by its second deadline";
            events.extend(escalation(instance, "CO-3", facts));
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
