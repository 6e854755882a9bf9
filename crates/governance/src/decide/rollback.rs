//! Judges a rollback by the instance's own wish (RL-2, RO-9).
//!
//! Never offers it: `reconcile` does, as any other offer.

use alloc::vec::Vec;

use crate::event::InstanceEvent;
use crate::instance::Instance;
use crate::lifecycle::State;
use crate::refusal::{Reason, Refusal};
use crate::release::Class;
use crate::time::{Span, Timestamp};
use crate::version::Version;
use crate::world::World;

/// A rollback by the instance's own wish: to what ran before, inside the window, never over a security release (RL-2).
pub(super) fn roll_back(
    instance: &Instance,
    to: Version,
    world: &World,
    now: Timestamp,
) -> Result<Vec<InstanceEvent>, Refusal> {
    let from = instance.running.platform;
    if instance.wish.is_some_and(|wish| (wish.from, wish.to) == (from, to)) {
        return Ok(Vec::new());
    }
    let mut reasons = Vec::new();
    if !matches!(instance.state, State::Active | State::UpdatePending | State::OutOfCompliance) {
        reasons.push(Reason::StateForbids { state: instance.state });
    }
    let leaving = world.releases.get(&from).map(|published| &published.release);
    let installed = instance.installation().filter(|attempt| attempt.from == to && to < from);
    let (Some(leaving), Some(installed), Some(_)) = (leaving, installed, world.release(to)) else {
        reasons.push(Reason::NotOffered { release: to });
        return Err(reasons.into());
    };
    let law = &world.constitution;
    let (rollback_window, window) = match leaving.class {
        Class::Major => (law.major_rollback_window, law.major_window),
        _ => (law.minor_rollback_window, law.minor_window),
    };
    let behind = world.releases.range(to..=from).map(|(_, published)| published);
    let mut security = behind.filter(|published| {
        let release = &published.release;
        release.class == Class::Security && release.version > to && !published.withdrawn
    });
    if let Some(published) = security.next_back() {
        reasons.push(Reason::OptOutForbidden { release: from, security: published.release.version });
    }
    if let Some(floor) = world.floor(to.line()).filter(|floor| to < *floor) {
        reasons.push(Reason::BelowFloor { release: to, floor });
    }
    let closed = installed.finished + rollback_window;
    if now > closed && !reasons.iter().any(|reason| matches!(reason, Reason::OptOutForbidden { .. })) {
        reasons.push(Reason::RollbackWindowClosed { release: from, closed });
    }
    if !reasons.is_empty() {
        return Err(reasons.into());
    }
    // Half-way through its window, counted from the offer: the clock runs on as if it had never been installed (RO-9).
    let half = Span::from_millis(window.as_millis() / 2);
    let countdown = instance.paid.filter(|paid| paid.due.release == from).and_then(|paid| paid.due.drift);
    let again = countdown
        .and_then(|countdown| countdown.deadline(now))
        .map_or(now + half, |deadline| (deadline - half).max(now));
    Ok(alloc::vec![InstanceEvent::RollbackAsked { to, from, again }])
}
