//! What a change would do to a fleet, beside what happens without it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use governance::decide::{Command, WorldCommand, decide, decide_world};
use governance::reconcile::reconcile;
use governance::release::RollbackInstructions;
use governance::rollout::{Census, advance};
use governance::{
    Class, Committed, Constitution, ConstitutionDocument, Digest, Instance, InstanceId, InstanceKey, Kind,
    Package, Registration, Release, Restriction, Running, Salt, Span, State, Tier, Timestamp, Version,
    VersionRange, World, WorldEvent,
};
use sim::what_if::{Change, Conduct, Fleet, STEPS_MAX, WhatIf, WhatIfError, what_if};

const FLEET: u8 = 10;

fn now() -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000)
}

fn release(patch: u32, class: Class) -> Box<Release> {
    Box::new(Release {
        version: Version::new(0, 1, patch),
        class,
        advisory: None,
        package: Package { name: "package".into(), digest: Digest::of(b"package"), length: 7 },
        layers: vec![],
        ships_runtime: None,
        runtime: VersionRange { min: Version::new(0, 1, 0), max: Version::new(0, 2, 0) },
        from: None,
        floor: None,
        rollback: Some(RollbackInstructions { instructions: "bind the slot of before".into() }),
        migration: None,
        deprecations: vec![],
        removes: vec![],
        notes: String::new(),
    })
}

fn publish(world: &mut World, release: Box<Release>) {
    let digest = Digest::of(format!("{release:?}").as_bytes());
    let command =
        WorldCommand::Publish { release, digest, restriction: Restriction::default(), approval: vec![] };
    for event in decide_world(world, &command, now()).unwrap() {
        world.apply(&event, now());
    }
}

/// Ten active instances on 0.1.0, under the law as it is by default.
fn fleet() -> Fleet {
    let mut world = World::default();
    let parameters = Constitution::default();
    let document = Box::new(ConstitutionDocument { previous: None, effective: now(), parameters });
    world.apply(&WorldEvent::ConstitutionRatified { digest: Digest::of(b"law"), document }, now());
    publish(&mut world, release(0, Class::Minor));
    let platform = Version::new(0, 1, 0);
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
    let instances = (0..FLEET).map(|seed| {
        let mut instance = Instance::registered(InstanceId::from_random([seed; 16]), &registration, now());
        for event in decide(&instance, &Command::Ready, &world, now()).unwrap() {
            instance.apply(&event, now());
        }
        instance
    });
    Fleet { instances: instances.collect(), world, now: now() }
}

fn published(patch: u32, class: Class) -> Change {
    Change::Release(release(patch, class), Restriction::default(), vec![])
}

/// The counts as text: what, without, with.
fn counts(told: &WhatIf) -> Vec<String> {
    told.events.iter().map(|count| format!("{} {} {}", count.of, count.without, count.with)).collect()
}

#[test]
fn co_3_a_security_release_that_everyone_ignores_suspends_everyone() {
    let told = what_if(&fleet(), &published(1, Class::Security), Conduct::Ignores, 5).unwrap();
    assert_eq!(told.differences.len(), usize::from(FLEET));
    let expected =
        ["out-of-compliance: CO-3 security-patch-overdue 0 10", "suspended: CO-3 security-overdue 0 10"];
    assert_eq!(counts(&told), expected);
    let difference = &told.differences[0];
    assert!(difference.without.is_empty());
    let events: Vec<_> = difference.with.iter().map(|event| (event.at.since(now()), event.rule)).collect();
    assert_eq!(events, [(Span::hours(25), "LC-12"), (Span::hours(73), "LC-7")]);
    let states: Vec<_> =
        told.states.iter().map(|count| (count.of.as_str(), count.without, count.with)).collect();
    assert_eq!(states, [("active", 10, 0), ("suspended", 0, 10)]);
}

#[test]
fn co_3_whoever_installs_at_the_next_report_has_nothing_to_fear() {
    let told = what_if(&fleet(), &published(1, Class::Security), Conduct::Obedient, 5).unwrap();
    assert_eq!((told.differences.len(), counts(&told).len()), (0, 0), "{told:?}");
}

#[test]
fn fo_5_a_draft_meets_new_offers_and_not_those_that_stand() {
    let hours = |hours| Constitution { security_deadline: Span::hours(hours), ..Constitution::default() };
    let draft = |law: Constitution| Change::Draft(Box::new(law));
    // Nothing is on offer: no law makes a difference.
    assert!(what_if(&fleet(), &draft(hours(1)), Conduct::Ignores, 5).unwrap().differences.is_empty());
    // A release that is published, and offered at the first sweep under whatever law there is then.
    let mut waiting = fleet();
    publish(&mut waiting.world, release(1, Class::Security));
    let law = Constitution { security_retry_after: Span::hours(1), ..hours(12) };
    let told = what_if(&waiting, &draft(law), Conduct::Ignores, 5).unwrap();
    let [difference, ..] = &told.differences[..] else { panic!("no difference") };
    let first = |events: &[sim::what_if::Event]| events[0].at.since(now());
    assert_eq!((first(&difference.without), first(&difference.with)), (Span::hours(25), Span::hours(13)));
    assert_eq!(difference.with.last().unwrap().state, State::Suspended);
}

#[test]
fn rl_1_what_the_law_refuses_is_refused_here_too() {
    let other = Box::new(Release { notes: "another".into(), ..*release(0, Class::Minor) });
    let change = Change::Release(other, Restriction::default(), vec![]);
    let WhatIfError::Refused(refusal) = what_if(&fleet(), &change, Conduct::Ignores, 5).unwrap_err() else {
        panic!("not refused");
    };
    let codes: Vec<_> = refusal.reasons.iter().map(governance::Reason::code).collect();
    assert_eq!(codes, ["release-exists"]);
}

#[test]
fn rl_2_the_same_records_give_the_same_answer() {
    let play = || what_if(&fleet(), &published(1, Class::Minor), Conduct::Ignores, 120).unwrap();
    let told = play();
    assert_eq!(told, play());
    // Only canary is ever offered it: silence is not success (RO-4). It drifts (CO-1), and is too long out of compliance (CO-11).
    assert_eq!(
        counts(&told),
        ["out-of-compliance: CO-1 version-drift 0 1", "revoked: CO-2 drift-frozen 0 1"]
    );
}

#[test]
fn lc_5_an_attempt_that_is_under_way_stalls_in_no_future() {
    let mut fleet = fleet();
    publish(&mut fleet.world, release(1, Class::Security));
    let begun = fleet.now;
    // Everyone is offered it, and one begins; the projection starts an hour later.
    for index in 0..fleet.instances.len() {
        for _ in 0..2 {
            let events = reconcile(&fleet.instances[index], &fleet.world, begun);
            events.iter().for_each(|event| fleet.instances[index].apply(event, begun));
            let rollout = fleet.world.rollouts.last().unwrap().clone();
            let mut census = Census::default();
            fleet.instances.iter().for_each(|instance| census.add(&rollout, &fleet.world, instance));
            let events = advance(&rollout, census, &fleet.world, begun);
            events.iter().for_each(|event| fleet.world.apply(event, begun));
        }
    }
    let release = Version::new(0, 1, 1);
    for event in decide(&fleet.instances[0], &Command::BeginUpgrade { release }, &fleet.world, begun).unwrap()
    {
        fleet.instances[0].apply(&event, begun);
    }
    assert_eq!(fleet.instances[0].state, State::UpgradeInProgress);
    fleet.now = begun + Span::hours(1);
    let change = Change::Draft(Box::default());
    for conduct in [Conduct::Ignores, Conduct::Obedient] {
        let told = what_if(&fleet, &change, conduct, 5).unwrap();
        let states: Vec<_> =
            told.states.iter().map(|count| (count.of.as_str(), count.without, count.with)).collect();
        let expected: &[_] = match conduct {
            // Nothing failed, so nothing is withdrawn: the nine who begin nothing are suspended.
            Conduct::Ignores => &[("active", 1, 1), ("suspended", 9, 9)],
            Conduct::Obedient => &[("active", 10, 10)],
        };
        assert_eq!(states, expected, "{conduct:?}");
    }
}

#[test]
fn co_7_a_law_that_wants_more_than_a_statement_a_day_finds_those_who_keep_to_that() {
    let mut fleet = fleet();
    fleet.world.constitution.compliance_report_within = Span::hours(2);
    let change = Change::Draft(Box::default());
    let told = what_if(&fleet, &change, Conduct::Ignores, 2).unwrap();
    assert_eq!(counts(&told), ["out-of-compliance: CO-7 not-reporting 10 0"]);
    let [difference, ..] = &told.differences[..] else { panic!("no difference") };
    let events: Vec<_> = difference.without.iter().map(|event| (event.at.since(now()), event.rule)).collect();
    let expected = [(3, "LC-6"), (23, "LC-11"), (26, "LC-6"), (46, "LC-11")];
    assert_eq!(events, expected.map(|(hours, rule)| (Span::hours(hours), rule)));
    // An agent that follows the law makes its statements twice as often as the law asks for.
    assert_eq!(counts(&what_if(&fleet, &change, Conduct::Obedient, 2).unwrap()), [""; 0]);
}

#[test]
fn co_3_windows_of_seconds_are_looked_at_as_often_as_they_ask_for() {
    let seconds = |seconds: i64| Span::from_millis(seconds * 1_000);
    let mut fleet = fleet();
    fleet.world.constitution = Constitution {
        security_deadline: seconds(600),
        security_suspend_after: seconds(300),
        ..Constitution::default()
    };
    let told = what_if(&fleet, &published(1, Class::Security), Conduct::Ignores, 1).unwrap();
    assert_eq!(told.step, seconds(300));
    let events: Vec<_> =
        told.differences[0].with.iter().map(|event| (event.at.since(now()), event.rule)).collect();
    assert_eq!(events, [(seconds(900), "LC-12"), (seconds(1_200), "LC-7")]);
    // And no further than can be looked at so often.
    let WhatIfError::TooFine { parameter, steps, days_max, .. } =
        what_if(&fleet, &published(1, Class::Security), Conduct::Ignores, 3_660).unwrap_err()
    else {
        panic!("looked at");
    };
    assert_eq!((parameter, steps > STEPS_MAX, days_max), ("security.suspend_after", true, 347));
}
