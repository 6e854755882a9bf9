//! When time alone may next make something due for an instance: until then `reconcile` need not be asked again.
//!
//! Never decides that anything is due: an instant named here is one at which it pays to look. It may name one too
//! many, never one too few: every window that `reconcile` reads a clock for stands here.

use crate::instance::Instance;
use crate::lifecycle::State;
use crate::reconcile::retry_wait;
use crate::release::Class;
use crate::silence;
use crate::standing;
use crate::time::{Span, Timestamp};
use crate::warning;
use crate::world::World;

/// The last instant, not before `now`, up to which every window that is open now is kept; the first instant beyond it
/// may make something due. None: no window is open, and only an event can.
///
/// Holds for the instance and the world as they stand: an event of either asks for another look. Outages and overrides
/// only put an end off (CO-7, FO-3): whoever looks at the one that is named finds the next.
#[must_use]
pub fn next_look(instance: &Instance, world: &World, now: Timestamp) -> Option<Timestamp> {
    let silence = silence::until(instance, world, now);
    let beside = next_look_beside_silence(instance, world, now);
    Some(silence)
        .filter(|silence| *silence >= now && beside.is_none_or(|beside| *silence < beside))
        .or(beside)
}

/// As [`next_look`], of an instance that does not stay silent.
#[must_use]
pub fn next_look_beside_silence(instance: &Instance, world: &World, now: Timestamp) -> Option<Timestamp> {
    if instance.state == State::Revoked {
        return None;
    }
    let law = &world.constitution;
    let mut next: Option<Timestamp> = None;
    let mut look = |at: Timestamp| {
        if at >= now && next.is_none_or(|next| at < next) {
            next = Some(at);
        }
    };
    // What is due at an instant, and not only beyond it.
    let just_before = |at: Timestamp| at - Span::from_millis(1);
    if standing::due(instance, world, now).is_some() {
        // It waits for room, and that comes back by time alone (CO-14).
        look(now);
    }
    if let Some(attempt) = instance.attempt {
        look(attempt.begun + law.upgrade_stall_after);
    }
    for open in warning::open(instance, world, now) {
        let half = Span::from_millis((open.length.as_millis() + 1) / 2);
        if half > open.elapsed {
            look(just_before(now + (half - open.elapsed)));
        }
        if open.length >= open.elapsed {
            let end = now + open.left();
            look(just_before(end));
            look(end);
        }
    }
    if instance.state == State::OutOfCompliance {
        look(instance.since + law.compliance_suspend_after);
    }
    for finding in &instance.findings {
        look(finding.since + law.compliance_suspend_after);
    }
    for silenced in &instance.overrides {
        look(just_before(silenced.from));
        look(silenced.until);
    }
    for failure in &instance.failures {
        look(failure.at + retry_wait(failure, Class::Security, law));
        look(failure.at + retry_wait(failure, Class::Minor, law));
    }
    if let Some(left) = instance.left {
        look(just_before(left.again));
    }
    for freeze in &world.freezes {
        look(freeze.until);
    }
    next
}

/// Whether two worlds ask the same of every instance for which nothing is due in either: then what was learnt by looking at one
/// in the one world holds in the other. What only those look at that wait for room (the
/// brake), and what is no instance's business may differ.
#[must_use]
pub fn is_alike(one: &World, other: &World) -> bool {
    let World {
        constitution,
        constitution_digest,
        amendments: _,
        keys_serial: _,
        root_version: _,
        order_serial: _,
        matrix,
        catalogue,
        deprecations,
        removals,
        brake: _,
        releases,
        rollouts,
        freezes,
        outages,
        revoked_people: _,
        red_switch,
        escalations: _,
        decided: _,
    } = one;
    *constitution == other.constitution
        && *constitution_digest == other.constitution_digest
        && *matrix == other.matrix
        && *catalogue == other.catalogue
        && *deprecations == other.deprecations
        && *removals == other.removals
        && *releases == other.releases
        && *rollouts == other.rollouts
        && *freezes == other.freezes
        && *outages == other.outages
        && *red_switch == other.red_switch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Finding, FindingCode, Override};
    use crate::fixture::{at, instance};
    use crate::reconcile::reconcile;
    use crate::tier::SubscriptionStatus;

    use crate::world::Outage;

    /// Up to the instant that is named nothing is due, and in the first hour beyond it something is.
    fn check(change: impl Fn(&mut Instance), hours: i64, what: &str) {
        let (mut instance, world) = (instance(), World::default());
        change(&mut instance);
        let settled = reconcile(&instance, &world, at(1));
        settled.iter().for_each(|event| instance.apply(event, at(1)));
        let look = next_look(&instance, &world, at(1)).unwrap();
        assert!((at(hours) - Span::from_millis(1)..=at(hours)).contains(&look), "{what}: {look}");
        for hour in 1..hours {
            assert_eq!(reconcile(&instance, &world, at(hour)), [], "{what}, hour {hour}");
        }
        assert_ne!(reconcile(&instance, &world, look + Span::from_millis(1)), [], "{what}");
    }

    #[test]
    fn co_7_co_10_co_11_co_12_time_is_looked_at_when_it_matters_and_not_before() {
        check(|_| {}, 48, "CO-7");
        let forever = at(24 * 365);
        check(
            |instance| {
                instance.reported = forever;
                instance.subscription.status = SubscriptionStatus::Lapsed;
            },
            7 * 24,
            "CO-12, half of the grace of CO-10",
        );
        check(
            |instance| {
                instance.reported = forever;
                instance.state = State::OutOfCompliance;
                let code = FindingCode::VersionChainBroken;
                instance.findings.push(Finding { code, since: at(0) });
            },
            30 * 24,
            "CO-12, half of the way to CO-11",
        );
    }

    /// From look to look a finding is reached in the first instant beyond its window, whatever stood still meanwhile.
    fn check_reached(change: impl Fn(&mut Instance, &mut World), code: FindingCode, hours: i64) {
        let (mut instance, mut world) = (instance(), World::default());
        change(&mut instance, &mut world);
        let mut now = at(0);
        for _ in 0..1_000 {
            for event in reconcile(&instance, &world, now) {
                instance.apply(&event, now);
            }
            if instance.finding(code).is_some() {
                break;
            }
            now = next_look(&instance, &world, now).unwrap() + Span::from_millis(1);
        }
        assert_eq!(now, at(hours) + Span::from_millis(1), "{code}");
    }

    #[test]
    fn co_5_co_7_fo_3_what_stood_still_puts_an_end_off_and_never_hides_it() {
        let (silent, entitled) = (FindingCode::NotReporting, FindingCode::EntitlementViolation);
        let silenced = |code, from, until| Override { code, from: at(from), until: at(until) };
        let outage = |from, until| Outage { from: at(from), until: at(until) };
        check_reached(|_, _| {}, silent, 48);
        check_reached(|_, world| world.outages = [outage(10, 20), outage(30, 41)].to_vec(), silent, 69);
        check_reached(|instance, _| instance.overrides.push(silenced(silent, 40, 90)), silent, 98);
        let notice = |instance: &mut Instance| {
            instance.reported = at(24 * 365);
            instance.domains.push("EDU".parse().unwrap());
        };
        check_reached(|instance, _| notice(instance), entitled, 48);
        let change = |instance: &mut Instance, _: &mut World| {
            notice(instance);
            instance.overrides.push(silenced(entitled, 12, 100));
        };
        check_reached(change, entitled, 136);
    }

    #[test]
    fn nothing_is_looked_at_of_the_revoked() {
        let mut instance = instance();
        instance.state = State::Revoked;
        assert_eq!(next_look_beside_silence(&instance, &World::default(), at(1)), None);
    }
}
