//! When time alone may next make something due for an instance: until then `reconcile` need not be asked again.
//!
//! Never decides that anything is due: an instant named here is one at which it pays to look. It may name one too
//! many, never one too few: every window that `reconcile` reads a clock for stands here.

use alloc::vec::Vec;

use crate::id::RolloutId;
use crate::instance::Instance;
use crate::lifecycle::State;
use crate::reconcile::retry_wait;
use crate::release::Class;
use crate::rollout::{Rollout, RolloutStatus};
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

/// What a world asks of instances that the one before it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Nothing of those for whom nothing is due in either: what was learnt by looking at one in the one world holds in the other.
    Nothing,
    /// The same, but of those whom phases let in that opened meanwhile: of each such rollout, the id, and how many phases were
    /// open before ([`Rollout::lets_in`]).
    OfEntrants(Vec<(RolloutId, usize)>),
    /// Whatever it may be, of everybody.
    OfAll,
}

/// What a world asks that the one before it did not. What only those look at that wait for room (the brake), and what is no
/// instance's business may differ.
#[must_use]
pub fn asks(before: &World, world: &World) -> Asks {
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
    } = before;
    let same = *constitution == world.constitution
        && *constitution_digest == world.constitution_digest
        && *matrix == world.matrix
        && *catalogue == world.catalogue
        && *deprecations == world.deprecations
        && *removals == world.removals
        && *releases == world.releases
        && *freezes == world.freezes
        && *outages == world.outages
        && *red_switch == world.red_switch;
    if !same || rollouts.len() != world.rollouts.len() {
        return Asks::OfAll;
    }
    let mut entrants = Vec::new();
    for (before, now) in rollouts.iter().zip(&world.rollouts) {
        if before == now {
            continue;
        }
        if !only_opens(before, now) {
            return Asks::OfAll;
        }
        if before.phases.len() < now.phases.len() {
            entrants.push((now.id, before.phases.len()));
        }
    }
    if entrants.is_empty() { Asks::Nothing } else { Asks::OfEntrants(entrants) }
}

/// Whether nothing about a rollout changed but that it let more in: whoever was inside stays where he was, and for whoever
/// stays outside it is as if it were not there, queued or running.
fn only_opens(before: &Rollout, now: &Rollout) -> bool {
    let Rollout {
        id,
        release,
        class,
        restriction,
        // No instance's business: when a phase may open.
        approval: _,
        approved: _,
        opened,
        status,
        phases,
        // Only while its time stands still.
        stops: _,
        paused,
        holding: _,
        counting_since,
        escalations: _,
    } = before;
    let runs = |rollout: &Rollout| match rollout.status {
        // What made no offer yet is owed by nobody.
        RolloutStatus::Queued => rollout.phases.is_empty(),
        RolloutStatus::Running => true,
        _ => false,
    };
    *id == now.id
        && *release == now.release
        && *class == now.class
        && *restriction == now.restriction
        && *opened == now.opened
        && *counting_since == now.counting_since
        && *paused == now.paused
        && now.phases.starts_with(phases)
        && (*status == now.status || *status == RolloutStatus::Queued)
        && [before, now].into_iter().all(|rollout| runs(rollout) && !rollout.is_stopped())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Finding, FindingCode, Override};
    use crate::fixture::{at, instance};
    use crate::reconcile::reconcile;
    use crate::tier::SubscriptionStatus;

    use crate::constitution::Share;
    use crate::id::{Digest, InstanceId};
    use crate::release::{Class, Restriction};
    use crate::rollout::{Counts, Cutoff, OpenPhase, Phase, Stop};
    use crate::version::Version;
    use crate::world::{Outage, Published};

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

    /// A world with a rollout of 0.1.1 that has not begun.
    fn queued() -> World {
        let (release, opened) = (Version::new(0, 1, 1), at(0));
        let json = serde_json::json!({
            "version": "0.1.1", "class": "minor", "layers": [], "runtime": {"min": "0.1.0", "max": "0.1.0"},
            "package": {"name": "a", "digest": Digest::of(b"a"), "length": 1},
        });
        let mut world = World::default();
        let digest = Digest::of(b"r");
        let published = Published {
            release: serde_json::from_value(json).unwrap(),
            digest,
            at: opened,
            withdrawn: false,
        };
        world.releases.insert(release, published);
        world.rollouts.push(Rollout {
            id: RolloutId::from_random([9; 16]),
            release,
            class: Class::Minor,
            restriction: Restriction::default(),
            approval: Vec::new(),
            approved: Vec::new(),
            opened,
            status: RolloutStatus::Queued,
            phases: Vec::new(),
            stops: Vec::new(),
            paused: None,
            holding: None,
            counting_since: opened,
            escalations: Vec::new(),
        });
        world
    }

    /// The same with a further phase open, for those whose place begins with at most this byte.
    fn opened(world: &World, phase: Phase, last: u8) -> World {
        let mut world = world.clone();
        let (kind, tier) = instance().stratum();
        let mut place = [0xff; 32];
        place[0] = last;
        let cutoffs = match phase {
            Phase::Ga => Vec::new(),
            _ => [Cutoff { kind, tier, last: Digest::from_bytes(place) }].to_vec(),
        };
        let share = Share::from_millionths(20_000);
        let rollout = &mut world.rollouts[0];
        rollout.status = RolloutStatus::Running;
        rollout.phases.push(OpenPhase {
            phase,
            opened: at(1),
            eligible: 60,
            cohort: 30,
            cutoffs,
            duration: None,
            failure_bound: share,
            evidence: share,
        });
        world
    }

    #[test]
    fn ro_2_a_phase_asks_something_of_those_alone_whom_it_lets_in() {
        let settle = |instance: &mut Instance, world: &World| {
            let events = reconcile(instance, world, at(1));
            events.iter().for_each(|event| instance.apply(event, at(1)));
            events.len()
        };
        let mut fleet: Vec<Instance> = (0..60)
            .map(|number| {
                let mut instance = instance();
                instance.id = InstanceId::from_random([number; 16]);
                if number % 5 == 0 {
                    instance.state = State::Suspended;
                }
                instance
            })
            .collect();
        let mut before = queued();
        fleet.iter_mut().for_each(|instance| _ = settle(instance, &before));
        for (phase, last) in [(Phase::Canary, 0x30), (Phase::Beta, 0x90), (Phase::Ga, 0xff)] {
            let world = opened(&before, phase, last);
            let Asks::OfEntrants(entrants) = asks(&before, &world) else {
                panic!("{phase}: not of entrants")
            };
            assert_eq!(entrants, [(world.rollouts[0].id, before.rollouts[0].phases.len())]);
            let (mut inside, mut moved) = (0, 0);
            for instance in &mut fleet {
                let rollout = &world.rollouts[0];
                if rollout.lets_in(instance.id, instance.stratum(), entrants[0].1) {
                    inside += 1;
                    moved += usize::from(settle(instance, &world) > 0);
                    continue;
                }
                assert_eq!(reconcile(instance, &world, at(1)), [], "{phase}: {}", instance.id);
                let look = |world: &World| next_look(instance, world, at(1));
                assert_eq!(look(&world), look(&before), "{phase}: {}", instance.id);
                let counts = |world: &World| Counts::of(&world.rollouts[0], world, instance);
                assert_eq!(counts(&world), counts(&before), "{phase}: {}", instance.id);
            }
            assert!(inside > moved && moved > 0, "{phase}: {moved} of {inside}");
            before = world;
        }
    }

    #[test]
    fn ro_5_ro_6_ro_8_what_stops_or_ends_a_rollout_asks_something_of_everybody() {
        let before = opened(&queued(), Phase::Canary, 0x30);
        let asked = |change: &dyn Fn(&mut World)| {
            let mut world = before.clone();
            change(&mut world);
            asks(&before, &world)
        };
        assert_eq!(asked(&|_| {}), Asks::Nothing);
        assert_eq!(asked(&|world| world.rollouts[0].holding = Some("evidence".into())), Asks::Nothing);
        assert_eq!(asked(&|world| world.rollouts[0].approved.push(Phase::Beta)), Asks::Nothing);
        let everybody: [&dyn Fn(&mut World); 8] = [
            &|world| world.rollouts[0].status = RolloutStatus::Halted,
            &|world| world.rollouts[0].status = RolloutStatus::Superseded,
            &|world| world.rollouts[0].paused = Some(crate::rollout::PauseCause::Operator),
            &|world| world.rollouts[0].stops.push(Stop { from: at(1), until: None }),
            &|world| world.rollouts[0].counting_since = at(2),
            &|world| world.rollouts[0].phases[0].cutoffs.clear(),
            &|world| world.rollouts.clear(),
            &|world| world.red_switch = true,
        ];
        for (number, change) in everybody.into_iter().enumerate() {
            assert_eq!(asked(change), Asks::OfAll, "change {number}");
        }
    }

    #[test]
    fn nothing_is_looked_at_of_the_revoked() {
        let mut instance = instance();
        instance.state = State::Revoked;
        assert_eq!(next_look_beside_silence(&instance, &World::default(), at(1)), None);
    }
}
