//! The rows against a count of everybody: what they answer, when they are stale, what they sum up to.

use std::collections::BTreeSet;

use governance::event::Registration;
use governance::horizon::{Asks, asks};
use governance::reconcile::reconcile;
use governance::rollout::{Cutoff, OpenPhase};
use governance::{
    Class, Committed, Digest, Finding, FindingCode, LayerContent, Phase, Release, Restriction, RolloutStatus,
    Running, Salt, Share, Span, SubscriptionStatus, Version,
};

use super::*;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000) + Span::hours(hours)
}

/// The instance with this number; ids are spread over all parts.
fn instance(number: u8) -> Instance {
    let version = Version::new(0, 1, 0);
    let salt = || Salt::from_random([1; 16]);
    let registration = Registration {
        enrolment: Digest::of(&[number]),
        kind: if number.is_multiple_of(3) { Kind::Dedicated } else { Kind::SaasShared },
        tier: if number.is_multiple_of(3) { Tier::Enterprise } else { Tier::Free },
        provider: None,
        labels: Committed::new(salt(), Vec::new()),
        endpoint: Committed::new(salt(), "https://a.example".parse().unwrap()),
        key: InstanceKey::from_bytes([number; 32]),
        running: Running { platform: version, runtime: version, layers: Vec::<LayerContent>::new() },
        domains: Vec::new(),
    };
    let id = InstanceId::from_random([number; 16]);
    let mut instance = Instance::registered(id, &registration, at(0));
    instance.state = State::Active;
    instance
}

fn seen(world: World, epoch: u32) -> Seen {
    Seen { world, revision: u64::from(epoch), epoch, entrants: None }
}

#[test]
fn what_is_quiet_is_answered_from_the_row_until_something_may_be_due() {
    let (fleet, seen, instance) = (Fleet::default(), seen(World::default(), 1), instance(7));
    assert_eq!(fleet.hear(instance.id, 1, at(0)), None, "nobody knows it");
    fleet.put(&seen, &instance, 3, Some(10), at(0));
    let known = fleet.hear(instance.id, 1, at(1)).unwrap();
    assert_eq!((known.key, known.state, known.revision), (instance.key, State::Active, 3));
    // It may be silent for 48 hours (CO-7): beyond, it is looked at.
    assert!(fleet.hear(instance.id, 1, at(48)).is_some());
    assert_eq!(fleet.hear(instance.id, 1, at(49)), None);
    assert_eq!(fleet.hear(instance.id, 2, at(1)), None, "another world may ask something else");
    let part = shard_of(instance.id);
    assert_eq!(fleet.to_look_at(part, 1, at(48)), []);
    assert_eq!(fleet.to_look_at(part, 1, at(49)), [instance.id]);
    assert_eq!(fleet.to_look_at(part, 2, at(1)), [instance.id]);
    assert_eq!(fleet.heard(instance.id), Some(at(49)));
}

#[test]
fn of_one_for_which_something_is_due_nothing_is_answered() {
    let (fleet, seen, mut instance) = (Fleet::default(), seen(World::default(), 1), instance(7));
    instance.subscription.tier = Tier::Enterprise;
    fleet.put(&seen, &instance, 1, None, at(0));
    assert_eq!(fleet.hear(instance.id, 1, at(0)), None, "its tier is not that of its kind (CO-4)");
    assert_eq!(fleet.to_look_at(shard_of(instance.id), 1, at(0)), [instance.id]);
}

#[test]
fn what_is_older_never_takes_the_place_of_what_is_newer() {
    let (fleet, seen, mut instance) = (Fleet::default(), seen(World::default(), 1), instance(7));
    fleet.put(&seen, &instance, 5, Some(40), at(0));
    instance.state = State::Suspended;
    fleet.put(&seen, &instance, 4, Some(50), at(0));
    assert_eq!(fleet.known(instance.id).map(|known| (known.revision, known.state)), Some((5, State::Active)));
    assert!(fleet.has(instance.id, 39) && !fleet.has(instance.id, 40));
    fleet.put(&seen, &instance, 6, None, at(0));
    assert_eq!(fleet.known(instance.id).map(|known| known.state), Some(State::Suspended));
    assert!(fleet.has(instance.id, 39), "where it was put is not known: where it was holds");
}

#[test]
fn the_last_sign_of_life_is_saved_once() {
    let (fleet, seen) = (Fleet::default(), seen(World::default(), 1));
    let instances = [instance(4), instance(5)];
    instances.iter().for_each(|instance| _ = fleet.put(&seen, instance, 1, None, at(0)));
    fleet.heard_before(instances[1].id, at(9));
    for hour in 1..4 {
        fleet.hear(instances[0].id, 1, at(hour));
        fleet.hear(instances[1].id, 1, at(hour));
    }
    let take = || (0..SHARDS).flat_map(|part| fleet.take_unsaved(part, 1)).collect::<Vec<_>>();
    let mut taken = [take(), take()].concat();
    taken.sort_unstable();
    assert_eq!(taken, [(instances[0].id, at(3)), (instances[1].id, at(9))]);
    assert_eq!(take(), []);
    fleet.hear(instances[0].id, 1, at(5));
    let taken = take();
    assert_eq!(taken, [(instances[0].id, at(5))]);
    // What could not be saved is not forgotten, and not saved twice.
    fleet.take_back(&taken);
    fleet.take_back(&taken);
    assert_eq!([take(), take()], [taken, Vec::new()]);
}

/// A rollout of 0.1.1 with its canary open.
fn world(id: RolloutId) -> World {
    let mut world = World::default();
    let mut cutoff = [0xff; 32];
    cutoff[0] = 0x80;
    let cutoffs = [(Kind::Dedicated, Tier::Enterprise), (Kind::SaasShared, Tier::Free)]
        .map(|(kind, tier)| Cutoff { kind, tier, last: Digest::from_bytes(cutoff) });
    world.rollouts.push(Rollout {
        id,
        release: Version::new(0, 1, 1),
        class: Class::Minor,
        restriction: Restriction::default(),
        approval: Vec::new(),
        approved: Vec::new(),
        opened: at(0),
        status: RolloutStatus::Running,
        phases: vec![OpenPhase {
            phase: Phase::Canary,
            opened: at(0),
            eligible: 40,
            cohort: 20,
            cutoffs: cutoffs.to_vec(),
            duration: Some(Span::hours(24)),
            evidence: Share::from_millionths(500_000),
            failure_bound: Share::from_millionths(20_000),
        }],
        stops: Vec::new(),
        paused: None,
        holding: None,
        counting_since: at(0),
        escalations: Vec::new(),
    });
    world
}

#[test]
fn ro_3_the_sums_are_those_of_a_count_of_everybody_whatever_came_in_between() {
    let id = RolloutId::from_random([9; 16]);
    let mut world = world(id);
    let release: Release = governance_release();
    world.releases.insert(
        release.version,
        governance::world::Published { release, digest: Digest::of(b"r"), at: at(0), withdrawn: false },
    );
    let fleet = Fleet::default();
    let mut instances: Vec<(Instance, u64)> = (0..40).map(|number| (instance(number * 6), 1)).collect();
    let counted = |instances: &[(Instance, u64)], world: &World| {
        let mut census = Census::default();
        let rollout = world.rollout(id).unwrap();
        instances.iter().for_each(|(instance, _)| census.add(rollout, world, instance));
        census
    };
    let first = seen(world.clone(), 1);
    instances.iter().for_each(|(it, revision)| _ = fleet.put(&first, it, *revision, None, at(1)));
    assert_eq!(fleet.counts(id, 1), None, "not everybody may have a row yet");
    fleet.loaded();
    assert_eq!(fleet.counts(id, 1).as_ref(), Some(counted(&instances, &world).counts()));
    assert!(fleet.counts(id, 1).unwrap().eligible() > 0);
    let sorted = |census: Option<Census>| census.map(|census| census.counts().eligible());
    assert_eq!(sorted(fleet.census(world.rollout(id).unwrap(), 1)), Some(40));

    // Some change: one runs the release, one is suspended, one is put anew as it was.
    instances[3].0.running.platform = Version::new(0, 1, 1);
    instances[4].0.state = State::Suspended;
    for changed in [3, 4, 5] {
        let (instance, revision) = &mut instances[changed];
        *revision += 1;
        fleet.put(&first, instance, *revision, None, at(2));
    }
    assert_eq!(fleet.counts(id, 1).as_ref(), Some(counted(&instances, &world).counts()));

    // In another world every row is stale until it was looked at, and the sums begin anew.
    world.rollouts[0].phases[0].cutoffs.clear();
    let second = seen(world.clone(), 2);
    for (index, (instance, revision)) in instances.iter().enumerate() {
        assert_eq!(fleet.counts(id, 2), None, "{index} looked at");
        fleet.put(&second, instance, *revision, None, at(3));
    }
    assert_eq!(fleet.counts(id, 2).as_ref(), Some(counted(&instances, &world).counts()));
    assert_eq!(fleet.counts(id, 1), None, "the world before is over");

    // Whoever was slow and decided in the world before makes a row stale, and never the sums wrong.
    instances[6].1 += 1;
    fleet.put(&first, &instances[6].0, instances[6].1, None, at(3));
    assert_eq!(fleet.counts(id, 2), None);
    fleet.put(&second, &instances[6].0, instances[6].1, None, at(3));
    assert_eq!(fleet.counts(id, 2).as_ref(), Some(counted(&instances, &world).counts()));
    assert_eq!(fleet.len(), 40);
}

#[test]
fn ro_2_when_a_phase_opens_those_alone_are_stale_whom_it_lets_in() {
    let id = RolloutId::from_random([9; 16]);
    let mut world = world(id);
    let release: Release = governance_release();
    world.releases.insert(
        release.version,
        governance::world::Published { release, digest: Digest::of(b"r"), at: at(0), withdrawn: false },
    );
    let fleet = Fleet::default();
    let mut instances: Vec<Instance> = (0..40).map(|number| instance(number * 6)).collect();
    let first = seen(world.clone(), 1);
    for it in &mut instances {
        reconcile(it, &world, at(1)).iter().for_each(|event| it.apply(event, at(1)));
        fleet.put(&first, it, 1, None, at(1));
    }
    fleet.loaded();
    let mut beta = world.rollouts[0].phases[0].clone();
    beta.phase = Phase::Beta;
    beta.cutoffs.iter_mut().for_each(|cutoff| {
        let mut last = *cutoff.last.as_bytes();
        last[0] = 0xc0;
        cutoff.last = Digest::from_bytes(last);
    });
    world.rollouts[0].phases.push(beta);
    let Asks::OfEntrants(entrants) = asks(&first.world, &world) else { panic!("not of entrants") };
    let second = Seen { entrants: Some(entrants), ..seen(world.clone(), 2) };
    // One is decided about before the rows are carried over, one before and one after in the world before.
    fleet.put(&second, &instances[7], 2, None, at(1));
    fleet.put(&first, &instances[8], 2, None, at(1));
    let stale = || (0..SHARDS).flat_map(|shard| fleet.to_look_at(shard, 2, at(1))).collect::<BTreeSet<_>>();
    assert_eq!(stale().len(), 39);
    assert!((0..SHARDS).all(|shard| fleet.carry(shard, &second)));
    fleet.put(&first, &instances[9], 2, None, at(1));
    let rollout = world.rollout(id).unwrap();
    let expected = |index: usize, it: &Instance| {
        let inside = rollout.lets_in(it.id, it.stratum(), 1) && index != 7;
        inside || index == 8 || index == 9
    };
    let expected: BTreeSet<InstanceId> = instances
        .iter()
        .enumerate()
        .filter(|(index, it)| expected(*index, it))
        .map(|(_, it)| it.id)
        .collect();
    assert!((3..39).contains(&expected.len()));
    assert_eq!(stale(), expected);
    assert_eq!(fleet.counts(id, 2), None, "some are yet to be looked at");
    for it in instances.iter().filter(|it| expected.contains(&it.id)) {
        fleet.put(&second, it, 2, None, at(1));
    }
    let mut census = Census::default();
    instances.iter().for_each(|it| census.add(rollout, &world, it));
    assert_eq!(fleet.counts(id, 2).as_ref(), Some(census.counts()));
    // Two worlds further, nothing that was learnt two worlds before is carried.
    let fourth = Seen { entrants: second.entrants.clone(), ..seen(world.clone(), 4) };
    assert!(!(0..SHARDS).any(|shard| fleet.carry(shard, &fourth)));
    assert_eq!((0..SHARDS).flat_map(|shard| fleet.to_look_at(shard, 4, at(1))).count(), 40);
}

fn governance_release() -> Release {
    serde_json::from_value(serde_json::json!({
        "version": "0.1.1", "class": "minor", "layers": [], "runtime": {"min": "0.1.0", "max": "0.1.0"},
        "package": {"name": "a", "digest": Digest::of(b"a"), "length": 1},
    }))
    .unwrap()
}

#[test]
fn the_fleet_in_numbers_is_that_of_a_count_of_everybody() {
    let (fleet, seen, now) = (Fleet::default(), seen(World::default(), 1), at(13 * 24));
    let mut all: Vec<Instance> = (1..=20).map(instance).collect();
    for (index, instance) in all.iter_mut().enumerate() {
        match index {
            0..4 => instance.running.platform = Version::new(0, 2, 0),
            4..7 => instance.findings.push(Finding { code: FindingCode::NotReporting, since: at(0) }),
            7 | 8 => instance.state = State::Revoked,
            9 => {
                instance.subscription.status = SubscriptionStatus::Lapsed;
                instance.subscription.since = at(0);
            }
            _ => {}
        }
        fleet.put(&seen, instance, 1, None, now);
    }
    assert_eq!(fleet.summary(3, now), None, "a row may be missing");
    fleet.loaded();
    let sums = fleet.summary(3, now).unwrap();
    assert_eq!((sums.instances, sums.states[&State::Active], sums.states[&State::Revoked]), (20, 18, 2));
    assert_eq!(
        sums.platforms.into_iter().collect::<Vec<_>>(),
        [(Version::new(0, 1, 0), 14), (Version::new(0, 2, 0), 4)]
    );
    assert_eq!(sums.findings.into_iter().collect::<Vec<_>>(), [(FindingCode::NotReporting, 3)]);
    // A lapsed subscription is tolerated for 14 days (CO-10), a finding for 60 (CO-11).
    assert_eq!((sums.soon.day, sums.soon.week, sums.soon.later), (1, 0, 3));
    assert_eq!(sums.risks.len(), 3);
    assert_eq!((sums.risks[0].instance, sums.risks[0].at), (all[9].id, at(14 * 24)));
    let counted = summary_of(all.iter(), &seen.world, 3, now);
    assert_eq!(counted, fleet.summary(3, now).unwrap());
}

#[test]
fn a_row_is_narrow() {
    let bytes = size_of::<InstanceId>() + size_of::<Row>();
    // A map is at most seven eighths full, and just grown less than half of that: a byte of its own for each place.
    assert!(bytes <= 120, "{bytes}");
}
