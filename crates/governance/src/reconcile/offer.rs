//! What is on offer to an instance: the one release that should be, its terms, and what stands in its way (LC-2, RO-3, RO-8, RO-9).
//!
//! Never opens a finding nor moves a state: the other stages of `reconcile` do.

use alloc::vec::Vec;

use super::{clocks_run, has_ended};
use crate::clock::Clock;
use crate::constitution::Constitution;
use crate::event::InstanceEvent;
use crate::finding::FindingCode;
use crate::id::RolloutId;
use crate::instance::{Action, Countdown, Failure, Instance, OfferEnd};
use crate::lifecycle::State;
use crate::release::Class;
use crate::rollout::{Phase, Rollout, RolloutStatus};
use crate::time::{Span, Timestamp};
use crate::version::Version;
use crate::world::World;

/// A failing security release is tried again after doubling waits, up to this power of two.
const RETRY_DOUBLINGS_MAX: u32 = 10;

/// A release that should be on offer.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    release: Version,
    rollout: &'a Rollout,
    action: Action,
    phase: Phase,
}

/// The offer ended, begun or exchanged, so that the right one stands (LC-2, RO-3, RO-8, RO-9, LC-19).
pub(super) fn offers(instance: &Instance, world: &World, now: Timestamp) -> Vec<InstanceEvent> {
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
