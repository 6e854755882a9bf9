//! What is explained to people, in the words that they read; that it agrees with `reconcile` is held by `properties`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use governance::decide::{Command, WorldCommand, decide, decide_world};
use governance::explain::{Standing, Why, explain, explain_release, obstacles};
use governance::reconcile::reconcile;
use governance::release::RollbackInstructions;
use governance::rollout::{Census, advance};
use governance::{
    Class, Committed, Digest, FindingCode, Instance, InstanceId, InstanceKey, Kind, Package, Registration,
    Release, Restriction, Running, Salt, Span, State, Tier, Timestamp, Version, VersionRange, World,
};

fn at(hours: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000) + Span::hours(hours)
}

fn release(version: Version, class: Class, from: Option<Vec<Version>>) -> Box<Release> {
    let runtime = VersionRange { min: Version::new(0, 1, 0), max: Version::new(2, 0, 0) };
    Box::new(Release {
        version,
        class,
        advisory: None,
        package: Package { name: "package".into(), digest: Digest::of(b"package"), length: 7 },
        layers: vec![],
        ships_runtime: Some(Version::new(0, version.minor, 0)),
        runtime,
        from,
        floor: None,
        rollback: Some(RollbackInstructions { instructions: "bind the version before".into() }),
        migration: (class == Class::Major).then(|| "follow the notes".into()),
        deprecations: vec![],
        removes: vec![],
        notes: String::new(),
    })
}

fn decided(world: &mut World, command: &WorldCommand, now: Timestamp) {
    for event in decide_world(world, command, now).unwrap() {
        world.apply(&event, now);
    }
}

fn publish(world: &mut World, release: Box<Release>, now: Timestamp) {
    let digest = Digest::of(format!("{release:?}").as_bytes());
    let (restriction, approval) = (Restriction::default(), vec![]);
    decided(world, &WorldCommand::Publish { release, digest, restriction, approval }, now);
}

/// Opens what waits to be opened, over a fleet of this one, and settles it.
fn sweep(world: &mut World, instance: &mut Instance, now: Timestamp) {
    for id in world.rollouts.iter().map(|rollout| rollout.id).collect::<Vec<_>>() {
        let mut census = Census::default();
        let rollout = world.rollout(id).unwrap();
        census.add(rollout, world, instance);
        for event in advance(rollout, census, world, now) {
            world.apply(&event, now);
        }
    }
    for event in reconcile(instance, world, now) {
        instance.apply(&event, now);
    }
}

/// One active instance on 0.1.0, in a world that published it.
fn one() -> (World, Instance) {
    let mut world = World::default();
    let platform = Version::new(0, 1, 0);
    publish(&mut world, release(platform, Class::Minor, None), at(0));
    let registration = Registration {
        enrolment: Digest::of(b"secret"),
        kind: Kind::SaasShared,
        tier: Tier::Pro,
        provider: None,
        labels: Committed::new(Salt::from_random([0; 16]), vec![]),
        endpoint: Committed::new(Salt::from_random([0; 16]), "https://a.example/".parse().unwrap()),
        key: InstanceKey::from_bytes([0; 32]),
        running: Running { platform, runtime: platform, layers: vec![] },
        domains: vec![],
    };
    let mut instance = Instance::registered(InstanceId::from_random([7; 16]), &registration, at(0));
    for event in decide(&instance, &Command::Ready, &world, at(0)).unwrap() {
        instance.apply(&event, at(0));
    }
    sweep(&mut world, &mut instance, at(0));
    (world, instance)
}

#[test]
fn rl_6_a_security_release_of_another_line_is_offered_where_it_names_what_runs() {
    let (mut world, mut instance) = one();
    let (here, there) = (Version::new(0, 1, 0), Version::new(0, 2, 1));
    publish(&mut world, release(there, Class::Security, Some(vec![here])), at(1));
    sweep(&mut world, &mut instance, at(1));
    assert_eq!(instance.offer.map(|offer| offer.release), Some(there));
    assert_eq!(obstacles(&instance, &world, there, at(1)), []);
}

#[test]
fn ro_9_a_failure_is_explained_with_when_it_is_offered_again() {
    let (mut world, mut instance) = one();
    world.constitution.rollout_halt_failures = 2;
    let newer = Version::new(0, 1, 1);
    publish(&mut world, release(newer, Class::Minor, None), at(1));
    sweep(&mut world, &mut instance, at(1));
    for command in
        [Command::BeginUpgrade { release: newer }, Command::FailUpgrade { release: newer, reason: None }]
    {
        for event in decide(&instance, &command, &world, at(2)).unwrap() {
            instance.apply(&event, at(2));
        }
    }
    sweep(&mut world, &mut instance, at(2));
    assert_eq!((instance.state, instance.offer), (State::Active, None));
    let told = explain(&instance, &world, at(3));
    let [release] = &told.releases[..] else { panic!("{told}") };
    // A week after the failure, by default; and then it comes by itself.
    let again = at(2 + 7 * 24) + Span::from_millis(1);
    assert_eq!(
        (release.standing, release.earliest, release.by_time_alone),
        (Standing::Blocked, Some(again), true)
    );
    assert_eq!(
        release.to_string(),
        "0.1.1 (minor) is offered after 2026-01-08T02:00:00.000Z by time alone.\n  \
         RO-9   it failed here at 2026-01-01T02:00:00.000Z, and is not offered again until 2026-01-08T02:00:00.000Z is past\n         \
         would change: the owner asks for another try, a newer release comes, or time"
    );
    // What programs read says the same, and can be read again.
    let text = serde_json::to_string(&told).unwrap();
    assert_eq!(serde_json::from_str::<governance::Explanation>(&text).unwrap(), told);
}

#[test]
fn co_7_the_clocks_are_explained_the_soonest_first() {
    let (mut world, mut instance) = one();
    publish(&mut world, release(Version::new(0, 1, 1), Class::Minor, None), at(1));
    sweep(&mut world, &mut instance, at(1));
    let told = explain(&instance, &world, at(3));
    let due: Vec<_> = told.deadlines.iter().map(|it| (it.rule.as_str(), it.ends.unwrap())).collect();
    assert_eq!(due, [("CO-7", at(48)), ("CO-1", at(1 + 30 * 24))]);
    sweep(&mut world, &mut instance, at(49));
    let told = explain(&instance, &world, at(49));
    assert_eq!(told.findings[0].rule, "CO-7");
    assert!(told.to_string().contains("to clear it, send a signed version statement"), "{told}");
}

#[test]
fn co_5_co_7_fo_3_what_is_overridden_stands_still_in_what_is_explained() {
    let (mut world, mut instance) = one();
    instance.domains.push("EDU".parse().unwrap());
    sweep(&mut world, &mut instance, at(0));
    decided(&mut world, &WorldCommand::RecordOutage { from: at(1), until: at(5) }, at(5));
    let line = |instance: &Instance, rule: &str, hour| {
        let told = explain(instance, &world, at(hour));
        let found = told.deadlines.into_iter().find(|it| it.rule == rule).unwrap();
        (found.left, found.ends)
    };
    assert_eq!(line(&instance, "CO-7", 8), (Span::hours(44), Some(at(52))));
    assert_eq!(line(&instance, "CO-5", 8), (Span::hours(40), Some(at(48))));
    for finding in [FindingCode::NotReporting, FindingCode::EntitlementViolation] {
        let until = at(30);
        for event in decide(&instance, &Command::OrderOverride { finding, until }, &world, at(10)).unwrap() {
            instance.apply(&event, at(10));
        }
    }
    assert_eq!(line(&instance, "CO-7", 20), (Span::hours(42), None));
    assert_eq!(line(&instance, "CO-5", 20), (Span::hours(38), None));
    assert_eq!(line(&instance, "CO-7", 40), (Span::hours(32), Some(at(72))));
    assert_eq!(line(&instance, "CO-5", 40), (Span::hours(28), Some(at(68))));
}

#[test]
fn rl_1_what_nobody_published_is_explained_too() {
    let (world, instance) = one();
    for (version, expected) in
        [(Version::new(0, 9, 0), Why::NotPublished), (Version::new(0, 1, 0), Why::Runs)]
    {
        let told = explain_release(&instance, &world, version, at(3));
        assert_eq!(told.releases[0].answers[0].why, expected);
    }
}

#[test]
fn co_3_a_window_that_is_over_is_no_deadline_any_more() {
    let (mut world, mut instance) = one();
    publish(&mut world, release(Version::new(0, 1, 1), Class::Security, None), at(1));
    let rules = |instance: &Instance, world: &World, now| -> Vec<_> {
        explain(instance, world, now).deadlines.into_iter().map(|it| (it.rule, it.what)).collect()
    };
    let deadline = (String::from("CO-3"), String::from("the security deadline of 0.1.1"));
    let second = (String::from("CO-3"), String::from("the second security deadline of 0.1.1"));
    sweep(&mut world, &mut instance, at(1));
    // Windows are closed: at its last instant it is still a deadline.
    assert!(rules(&instance, &world, at(25)).contains(&deadline));
    sweep(&mut world, &mut instance, at(26));
    let found = rules(&instance, &world, at(26));
    assert!(!found.contains(&deadline) && found.contains(&second), "{found:?}");
    sweep(&mut world, &mut instance, at(74));
    assert_eq!(instance.state, State::Suspended);
    let found = rules(&instance, &world, at(74));
    assert!(found.iter().all(|(rule, _)| rule != "CO-3"), "{found:?}");
}
