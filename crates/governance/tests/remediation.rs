//! LC-9, LC-19, FO-3, RO-7: what a suspended instance is offered, and when it may go on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use governance::decide::{Command, WorldCommand, decide, decide_world};
use governance::reconcile::reconcile;
use governance::release::RollbackInstructions;
use governance::rollout::{Census, advance};
use governance::{
    Authority, Class, Committed, Digest, FindingCode, Instance, InstanceEvent, InstanceId, InstanceKey, Kind,
    LayerStructure, Matrix, Package, Reason, Registration, Release, Restriction, Running, Salt, Span, State,
    Tier, Timestamp, Version, VersionRange, World,
};

const FIRST: Version = Version::new(0, 1, 0);

/// One instance, active on 0.1.0, and the world around it.
struct One {
    world: World,
    instance: Instance,
    now: Timestamp,
}

impl One {
    fn new() -> Self {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let registration = Registration {
            enrolment: Digest::of(b"secret"),
            kind: Kind::SaasShared,
            tier: Tier::Pro,
            provider: None,
            labels: Committed::new(Salt::from_random([0; 16]), vec![]),
            endpoint: Committed::new(Salt::from_random([0; 16]), "https://a.example/".parse().unwrap()),
            key: InstanceKey::from_bytes([0; 32]),
            running: Running { platform: FIRST, runtime: FIRST, layers: vec![] },
            domains: vec![],
        };
        let mut instance = Instance::registered(InstanceId::from_random([7; 16]), &registration, now);
        instance.state = State::Active;
        Self { world: World::default(), instance, now }
    }

    /// Publishes, and lets the rollout go as far as it goes.
    fn publish(&mut self, version: Version, class: Class) {
        let runtime = Matrix::default().runtimes(version.line()).unwrap();
        let release = Box::new(Release {
            version,
            class,
            advisory: None,
            package: Package { name: "package".into(), digest: Digest::of(b"package"), length: 7 },
            layers: Vec::<LayerStructure>::new(),
            ships_runtime: None,
            runtime: VersionRange { min: runtime.min, max: runtime.max },
            from: None,
            rollback: Some(RollbackInstructions { instructions: "bind the version before".into() }),
            migration: None,
            deprecations: Vec::new(),
            removes: Vec::new(),
            floor: None,
            notes: String::new(),
        });
        let digest = Digest::of(version.to_string().as_bytes());
        let (restriction, approval) = (Restriction::default(), vec![]);
        let command = WorldCommand::Publish { release, digest, restriction, approval };
        for event in decide_world(&self.world, &command, self.now).unwrap() {
            self.world.apply(&event, self.now);
        }
        let rollout = self.world.rollout_of(version).unwrap();
        let mut census = Census::default();
        census.add(rollout, &self.world, &self.instance);
        for event in advance(rollout, census, &self.world, self.now) {
            self.world.apply(&event, self.now);
        }
        self.settle();
    }

    fn wait(&mut self, span: Span) {
        self.now = self.now + span;
        // It reports, so that silence is no matter.
        self.instance.reported = self.now;
        self.settle();
    }

    fn settle(&mut self) -> Vec<InstanceEvent> {
        let events = reconcile(&self.instance, &self.world, self.now);
        events.iter().for_each(|event| self.instance.apply(event, self.now));
        events
    }

    /// Judges a command and what is due behind it; gives the events of both.
    fn command(&mut self, command: &Command) -> Vec<InstanceEvent> {
        let mut events = decide(&self.instance, command, &self.world, self.now).unwrap();
        events.iter().for_each(|event| self.instance.apply(event, self.now));
        events.extend(self.settle());
        events
    }
}

/// Whether each clock of the offer among the events runs.
fn offered(events: &[InstanceEvent]) -> Vec<bool> {
    let found = events.iter().find_map(|event| match event {
        InstanceEvent::Offered { drift, security, .. } => {
            let clocks = [drift, security].into_iter().flatten();
            Some(clocks.map(|it| it.clock.is_running()).collect())
        }
        _ => None,
    });
    found.unwrap()
}

#[test]
fn lc_9_waits_for_the_end_of_a_remediation() {
    let mut one = One::new();
    let security = Version::new(0, 1, 1);
    one.publish(security, Class::Security);
    one.wait(Span::hours(73));
    assert_eq!(one.instance.state, State::Suspended);
    one.command(&Command::BeginUpgrade { release: security });
    one.command(&Command::OrderOverride {
        finding: FindingCode::SecurityPatchOverdue,
        until: one.now + Span::hours(24),
    });
    // Its finding is silenced: nothing but the attempt stands in the way.
    let refused = decide(&one.instance, &Command::Reactivate, &one.world, one.now).unwrap_err();
    assert_eq!(refused.reasons, [Reason::Installing { release: security }]);
    one.command(&Command::FailUpgrade { release: security, reason: None });
    one.command(&Command::Reactivate);
    assert!(one.instance.state.is_eligible() && one.instance.attempt.is_none());
}

#[test]
fn lc_19_an_offer_to_the_suspended_has_no_running_clock() {
    let mut one = One::new();
    one.publish(Version::new(0, 1, 1), Class::Minor);
    one.wait(Span::hours(24 * 31));
    assert_eq!(one.instance.state, State::OutOfCompliance);
    one.publish(Version::new(0, 1, 2), Class::Security);
    one.command(&Command::OrderSuspend);
    let release = Version::new(0, 1, 2);
    let mut events = Vec::new();
    for command in
        [WorldCommand::Pause { release }, WorldCommand::Resume { release, by: Authority::Federation }]
    {
        let decided = decide_world(&one.world, &command, one.now).unwrap();
        decided.iter().for_each(|event| one.world.apply(event, one.now));
        events.extend(one.settle());
    }
    // The minor's clock, long over, and the security release's, at zero.
    assert_eq!(offered(&events), [false, false], "{events:?}");
    let turned = events.iter().any(|event| matches!(event, InstanceEvent::ClocksTurned { .. }));
    assert!(!turned, "nothing is turned on either side of it: {events:?}");
}

#[test]
fn fo_3_an_offer_behind_an_override_has_no_deadline() {
    let mut one = One::new();
    let until = one.now + Span::hours(24 * 20);
    one.command(&Command::OrderOverride { finding: FindingCode::SecurityPatchOverdue, until });
    let release = Version::new(0, 1, 1);
    one.publish(release, Class::Security);
    assert_eq!(one.instance.offer.unwrap().deadline, None);
    assert!(!one.instance.due.unwrap().is_running());
}

#[test]
fn ro_7_a_pause_stops_the_clock_where_it_began_however_late_it_is_looked_at() {
    let mut one = One::new();
    let release = Version::new(0, 1, 1);
    one.publish(release, Class::Minor);
    one.wait(Span::hours(24 * 5));
    let pause = decide_world(&one.world, &WorldCommand::Pause { release }, one.now).unwrap();
    pause.iter().for_each(|event| one.world.apply(event, one.now));
    // Nobody looks for a month: the plane is away.
    one.wait(Span::hours(24 * 30));
    let drift = one.instance.due.unwrap().drift.unwrap();
    assert_eq!(drift.clock.shows(one.now), Span::hours(24 * 5));
    let resume = WorldCommand::Resume { release, by: Authority::Federation };
    let resumed = decide_world(&one.world, &resume, one.now).unwrap();
    resumed.iter().for_each(|event| one.world.apply(event, one.now));
    one.settle();
    one.wait(Span::hours(24 * 25));
    assert_eq!(one.instance.state, State::UpdatePending, "at exactly its length the window is kept");
    one.wait(Span::hours(1));
    assert_eq!(one.instance.state, State::OutOfCompliance);
}
