//! Random timelines over a small fleet: what must hold after every step, whatever happened before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::collections::{BTreeMap, BTreeSet};

use governance::decide::{Command, Renewal, Statement, WorldCommand, decide, decide_world};
use governance::explain::{Counts, Standing, explain, explain_counted, obstacles};
use governance::reconcile::reconcile;
use governance::release::RollbackInstructions;
use governance::rollout::{Census, advance};
use governance::{
    Action, Authority, Cause, Class, Constitution, ConstitutionDocument, Digest, Event, FindingCode,
    Instance, InstanceEvent, InstanceId, InstanceKey, Kind, LayerContent, LayerStructure, Matrix, Package,
    Phase, Registration, Release, Restriction, RolloutId, Running, Span, State, StatementHead,
    SubscriptionStatus, Tier, Timestamp, Version, VersionRange, World, WorldEvent, lifecycle,
};
use proptest::prelude::*;

const FLEET: usize = 6;
const ROUNDS_MAX: usize = 64;
const VERSIONS: [(u32, u32, u32); 6] = [(0, 1, 1), (0, 1, 2), (0, 1, 3), (0, 2, 0), (0, 2, 1), (1, 0, 0)];

/// One random step. Indices are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
enum Act {
    Wait(i64),
    Publish(usize, Class, bool, bool),
    Withdraw(usize),
    Pause(usize),
    Resume(usize, bool),
    Abort(usize),
    Approve(usize),
    Freeze(i64, i64),
    RedSwitch(bool),
    Begin(usize),
    Succeed(usize),
    Fail(usize),
    Report(usize, bool),
    BreakChain(usize),
    Suspend(usize),
    Reactivate(usize),
    Order(usize, usize),
    Handshake(usize),
    Renew(usize, u8, u8, bool),
    Subscribe(usize, usize),
    Become(usize, usize),
    Retry(usize),
    RollBack(usize),
    Outage(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let class = prop_oneof![3 => Just(Class::Minor), 2 => Just(Class::Security), 2 => Just(Class::Major)];
    let minutes = prop::sample::select(vec![
        0i64, 10, 60, 360, 361, 1440, 1441, 1500, 2880, 2881, 4321, 10_081, 20_161, 43_200, 43_201, 86_461,
    ]);
    let n = 0..FLEET;
    let v = 0..VERSIONS.len();
    let act = prop_oneof![
        8 => minutes.prop_map(Act::Wait),
        5 => (v.clone(), class, any::<bool>(), any::<bool>()).prop_map(|(v, c, s, a)| Act::Publish(v, c, s, a)),
        1 => v.clone().prop_map(Act::Withdraw),
        1 => v.clone().prop_map(Act::Pause),
        2 => (v.clone(), any::<bool>()).prop_map(|(v, founder)| Act::Resume(v, founder)),
        1 => v.clone().prop_map(Act::Abort),
        1 => v.clone().prop_map(Act::Approve),
        1 => (0..48i64, 1..200i64).prop_map(|(from, length)| Act::Freeze(from, length)),
        1 => any::<bool>().prop_map(Act::RedSwitch),
        10 => n.clone().prop_map(Act::Begin),
        8 => n.clone().prop_map(Act::Succeed),
        3 => n.clone().prop_map(Act::Fail),
        6 => (n.clone(), prop::bool::weighted(0.1)).prop_map(|(n, fork)| Act::Report(n, fork)),
        1 => n.clone().prop_map(Act::BreakChain),
        1 => n.clone().prop_map(Act::Suspend),
        3 => n.clone().prop_map(Act::Reactivate),
        2 => (n.clone(), 0..3usize).prop_map(|(n, order)| Act::Order(n, order)),
        1 => n.clone().prop_map(Act::Handshake),
        4 => (n.clone(), 0..3u8, 0..3u8, prop::bool::weighted(0.9))
            .prop_map(|(n, by, key, continues)| Act::Renew(n, by, key, continues)),
        3 => (n.clone(), 0..7usize).prop_map(|(n, change)| Act::Subscribe(n, change)),
        1 => (n.clone(), 0..3usize).prop_map(|(n, kind)| Act::Become(n, kind)),
        2 => n.clone().prop_map(Act::Retry),
        3 => n.prop_map(Act::RollBack),
        1 => (1..80i64).prop_map(Act::Outage),
    ];
    prop::collection::vec(act, 1..80)
}

fn version(index: usize) -> Version {
    let (major, minor, patch) = VERSIONS[index % VERSIONS.len()];
    Version::new(major, minor, patch)
}

fn content(platform: Version) -> Vec<LayerContent> {
    vec![LayerContent {
        id: format!("ORGANISM-v{platform}").parse().unwrap(),
        digest: Digest::of(platform.to_string().as_bytes()),
    }]
}

fn release(version: Version, class: Class, ships: bool) -> Release {
    let runtime = Matrix::default().runtimes(version.line()).unwrap();
    Release {
        version,
        class,
        advisory: None,
        package: Package { name: "package".into(), digest: Digest::of(b"package"), length: 7 },
        layers: content(version)
            .into_iter()
            .map(|layer| LayerStructure { id: layer.id, digest: layer.digest, needs: vec![] })
            .collect(),
        ships_runtime: ships.then_some(runtime.min),
        runtime: VersionRange { min: Version::new(0, 0, 0), max: Version::new(9, 0, 0) },
        from: None,
        rollback: Some(RollbackInstructions { instructions: "bind the version before".into() }),
        migration: (class == Class::Major).then(|| "follow the notes".into()),
        floor: None,
        deprecations: Vec::new(),
        removes: Vec::new(),
        notes: String::new(),
    }
}

fn sixteen(seed: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Digest::of(&[seed]).as_bytes()[..16]);
    bytes
}

/// The timeline under test, with what it remembers beside the record.
struct Timeline {
    world: World,
    fleet: Vec<Instance>,
    offered: Vec<BTreeSet<Version>>,
    log: Vec<Event>,
    now: Timestamp,
    /// The key that a renewal under judgement was signed with.
    renewing: Option<InstanceKey>,
}

impl Timeline {
    fn new() -> Self {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let mut timeline = Self {
            world: World::default(),
            fleet: vec![],
            offered: vec![],
            log: vec![],
            now,
            renewing: None,
        };
        let parameters = Constitution { rollout_halt_failures: 1, ..Constitution::default() };
        let document = Box::new(ConstitutionDocument { previous: None, effective: now, parameters });
        timeline.apply_world(WorldEvent::ConstitutionRatified { digest: Digest::of(b"law"), document });
        timeline.publish(Version::new(0, 1, 0), Class::Minor, false, false);
        let strata = [
            (Kind::SaasShared, Tier::Pro),
            (Kind::SaasShared, Tier::Free),
            (Kind::Dedicated, Tier::Enterprise),
        ];
        for index in 0..FLEET {
            let (kind, tier) = strata[index % strata.len()];
            let platform = Version::new(0, 1, 0);
            let registration = Registration {
                enrolment: Digest::of(b"secret"),
                kind,
                tier,
                provider: None,
                labels: vec![],
                endpoint: "https://a.example/".parse().unwrap(),
                key: InstanceKey::from_bytes([0; 32]),
                running: Running { platform, runtime: platform, layers: content(platform) },
                domains: vec![],
            };
            let id = InstanceId::from_random(sixteen(100 + u8::try_from(index).unwrap()));
            timeline.fleet.push(Instance::registered(id, &registration, now));
            timeline.offered.push(BTreeSet::new());
            timeline.command(index, &Command::Ready);
        }
        timeline
    }

    fn apply_world(&mut self, event: WorldEvent) {
        if let WorldEvent::PhaseOpened { rollout, cutoffs, .. } = &event {
            let phases =
                self.world.rollout(*rollout).map(|rollout| rollout.phases.clone()).unwrap_or_default();
            for earlier in phases.iter().flat_map(|open| open.cutoffs.iter()) {
                let later = cutoffs.iter().find(|new| (new.kind, new.tier) == (earlier.kind, earlier.tier));
                // General availability holds everyone: it has no cut-offs.
                assert!(
                    cutoffs.is_empty() || later.is_some_and(|later| later.last >= earlier.last),
                    "RO-2: a cut-off fell"
                );
            }
        }
        self.world.apply(&event, self.now);
        self.log.push(Event::World(event));
    }

    fn apply(&mut self, index: usize, events: Vec<InstanceEvent>) {
        for event in events {
            let instance = &mut self.fleet[index];
            let (key, state) = (instance.key, instance.state);
            match &event {
                InstanceEvent::KeyRenewed { .. } | InstanceEvent::Handshaken => {
                    assert_ne!(state, State::Revoked, "LC-19: {event:?}");
                    // A handshake may stand right behind the change of the key that asked for both.
                    let asked = [Some(key), instance.previous_key];
                    assert!(asked.contains(&self.renewing), "AU-1: {event:?} not asked for by the instance");
                }
                InstanceEvent::CertificateIssued { key: certified, .. } => {
                    assert_eq!(*certified, key, "AU-2")
                }
                InstanceEvent::Moved { from, to, cause } => {
                    assert_eq!(*from, instance.state, "a move from where it does not stand: {event:?}");
                    assert!(lifecycle::transition(*from, *to, *cause).is_some(), "illegal: {event:?}");
                    if *from == State::Revoked {
                        assert_eq!(*cause, Cause::FounderRestored, "IN-6");
                    }
                }
                InstanceEvent::Offered { release, action: Action::Update, .. } => {
                    self.offered[index].insert(*release);
                }
                InstanceEvent::RollbackAsked { from, .. } => {
                    // One that was withdrawn is nobody's duty any more.
                    let left = &self.world.releases[from];
                    let forced = left.release.class == Class::Security && !left.withdrawn;
                    assert!(!forced, "RL-2: a security release left by wish");
                }
                InstanceEvent::FindingOpened { code } => {
                    assert!(instance.finding(*code).is_none(), "opened twice: {code}");
                    if *code == FindingCode::NotReporting {
                        let away = self.world.unreachable_since(instance.reported, self.now);
                        let silent = self.now.since(instance.reported) - away;
                        assert!(silent > self.world.constitution.compliance_report_within, "CO-7");
                    }
                    if matches!(code, FindingCode::VersionDrift | FindingCode::SecurityPatchOverdue) {
                        let due = instance.due.expect("IN-7: it owes nothing");
                        assert!(
                            self.offered[index].contains(&due.release),
                            "IN-7: {} never offered",
                            due.release
                        );
                    }
                }
                _ => {}
            }
            instance.apply(&event, self.now);
            let takes =
                matches!(event, InstanceEvent::KeyRenewed { .. } | InstanceEvent::HandshakeRenewed { .. });
            assert!(takes || instance.key == key, "AU-2: {event:?} changed the key");
            assert!(
                !instance.handshake_required || instance.state == State::Suspended,
                "LC-17: {event:?} led a restored instance on before it shook hands"
            );
            self.log.push(Event::Instance(instance.id, event));
        }
    }

    fn command(&mut self, index: usize, command: &Command) {
        let events = match decide(&self.fleet[index], command, &self.world, self.now) {
            Ok(events) => events,
            Err(refusal) => {
                assert!(!refusal.reasons.is_empty());
                refusal.record
            }
        };
        self.apply(index, events);
        self.reconcile(index);
    }

    fn reconcile(&mut self, index: usize) -> bool {
        let events = reconcile(&self.fleet[index], &self.world, self.now);
        let changed = !events.is_empty();
        self.apply(index, events);
        let again = reconcile(&self.fleet[index], &self.world, self.now);
        assert_eq!(again, vec![], "reconcile is idempotent");
        changed
    }

    fn census(&self, id: RolloutId) -> Census {
        let rollout = self.world.rollout(id).unwrap();
        let mut census = Census::default();
        for instance in &self.fleet {
            census.add(rollout, &self.world, instance);
        }
        census
    }

    fn sweep(&mut self) {
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "the sweep comes to rest");
            let mut changed = false;
            for index in 0..FLEET {
                changed |= self.reconcile(index);
            }
            for id in self.world.rollouts.iter().map(|rollout| rollout.id).collect::<Vec<_>>() {
                let events = advance(self.world.rollout(id).unwrap(), self.census(id), &self.world, self.now);
                changed |= !events.is_empty();
                for event in events {
                    self.apply_world(event);
                }
                let again = advance(self.world.rollout(id).unwrap(), self.census(id), &self.world, self.now);
                assert_eq!(again, vec![], "advance is idempotent");
            }
            if !changed {
                return;
            }
        }
    }

    fn world_command(&mut self, command: &WorldCommand) {
        for event in decide_world(&self.world, command, self.now).unwrap_or_default() {
            self.apply_world(event);
        }
    }

    fn publish(&mut self, version: Version, class: Class, ships: bool, approval: bool) {
        let release = Box::new(release(version, class, ships));
        self.world_command(&WorldCommand::Publish {
            digest: Digest::of(format!("{release:?}").as_bytes()),
            release,
            restriction: Restriction::default(),
            approval: if approval { vec![Phase::Beta] } else { vec![] },
        });
    }

    fn report(&mut self, index: usize, running: Running, skip: u64) {
        let head = self.fleet[index].head;
        let sequence = head.map_or(1, |head| head.sequence + 1) + skip;
        let digest = Digest::of(format!("{sequence} {running:?} {}", self.log.len()).as_bytes());
        let head = StatementHead { sequence, digest };
        let previous = self.fleet[index].head.map(|head| head.digest);
        self.command(index, &Command::Report(Statement { head, previous, running, domains: vec![] }));
    }

    fn act(&mut self, act: Act) {
        let attempt = |index: usize| self.fleet[index].attempt;
        match act {
            Act::Wait(minutes) => self.now = self.now + Span::from_millis(minutes * 60_000),
            Act::Publish(v, class, ships, approval) => self.publish(version(v), class, ships, approval),
            Act::Withdraw(v) => {
                self.world_command(&WorldCommand::Withdraw { release: version(v), by: Authority::Federation })
            }
            Act::Pause(v) => self.world_command(&WorldCommand::Pause { release: version(v) }),
            Act::Resume(v, founder) => {
                let by = if founder { Authority::Founder } else { Authority::Federation };
                self.world_command(&WorldCommand::Resume { release: version(v), by });
            }
            Act::Abort(v) => self.world_command(&WorldCommand::Abort { release: version(v) }),
            Act::Approve(v) => self.world_command(&WorldCommand::Approve { release: version(v) }),
            Act::Freeze(from, length) => {
                let from = self.now + Span::hours(from);
                self.world_command(&WorldCommand::Freeze { from, until: from + Span::hours(length) });
            }
            Act::RedSwitch(on) => self.world_command(&WorldCommand::RedSwitch { on }),
            Act::Begin(n) => {
                if let Some(offer) = self.fleet[n].offer {
                    self.command(n, &Command::BeginUpgrade { release: offer.release });
                }
            }
            Act::Succeed(n) => {
                if let Some(attempt) = attempt(n) {
                    let ships = self
                        .world
                        .releases
                        .get(&attempt.release)
                        .and_then(|known| known.release.ships_runtime);
                    let runtime = ships.unwrap_or(self.fleet[n].running.runtime);
                    let platform = attempt.release;
                    self.report(n, Running { platform, runtime, layers: content(platform) }, 0);
                }
            }
            Act::Fail(n) => {
                if let Some(attempt) = attempt(n) {
                    self.command(n, &Command::FailUpgrade { release: attempt.release, reason: None });
                }
            }
            Act::Report(n, fork) => {
                let mut running = self.fleet[n].running.clone();
                running.layers = content(running.platform);
                if fork {
                    running.layers[0].digest = Digest::of(b"other");
                }
                self.report(n, running, 0);
            }
            Act::BreakChain(n) => self.report(n, self.fleet[n].running.clone(), 3),
            Act::Suspend(n) => self.command(n, &Command::Suspend),
            Act::Reactivate(n) => self.command(n, &Command::Reactivate),
            Act::Order(n, order) => {
                let orders = [Command::OrderSuspend, Command::OrderRevoke, Command::OrderRestore];
                self.command(n, &orders[order % orders.len()]);
            }
            Act::Handshake(n) => {
                self.command(n, &Command::Handshake { key: InstanceKey::from_bytes([1; 32]) })
            }
            Act::Renew(n, by, key, continues) => {
                let head = self.fleet[n].head.map(|head| head.digest).filter(|_| continues);
                let [by, key] = [by, key].map(|key| InstanceKey::from_bytes([key; 32]));
                let not_after = self.now + Span::hours(24);
                self.renewing = Some(by);
                self.command(
                    n,
                    &Command::Renew(Renewal { by, key, head, pending: None, serial: "01".into(), not_after }),
                );
                self.renewing = None;
            }
            Act::Subscribe(n, change) => {
                let status = SubscriptionStatus::ALL.get(change).copied();
                let tier = change.checked_sub(3).and_then(|tier| Tier::ALL.get(tier).copied());
                self.command(n, &Command::ChangeSubscription { tier, status });
            }
            Act::Become(n, kind) => {
                self.command(n, &Command::ChangeKind { kind: Kind::ALL[kind % Kind::ALL.len()] })
            }
            Act::RollBack(n) => {
                if let Some(previous) = self.fleet[n].previous() {
                    self.command(n, &Command::RollBack { release: previous });
                }
            }
            Act::Outage(hours) => {
                let from = self.now;
                self.now = from + Span::hours(hours);
                self.world_command(&WorldCommand::RecordOutage { from, until: self.now });
            }
            Act::Retry(n) => {
                if let Some(failure) = self.fleet[n].failures.first().copied() {
                    self.command(n, &Command::Retry { release: failure.release });
                }
            }
        }
    }

    /// What the states, offers, attempts and findings of a settled instance have to do with each other.
    fn check_rest(&self) {
        for instance in &self.fleet {
            let state = instance.state;
            match state {
                State::Registered | State::Revoked => {
                    assert!(instance.offer.is_none() && instance.attempt.is_none(), "{state}: asked of");
                }
                State::Active => {
                    assert!(instance.offer.is_none(), "active beside an offer");
                    assert!(instance.findings.is_empty(), "active beside a finding");
                }
                State::UpdatePending => {
                    assert!(instance.offer.is_some() && instance.findings.is_empty());
                }
                State::OutOfCompliance => assert!(!instance.findings.is_empty()),
                State::UpgradeInProgress => assert!(instance.attempt.is_some(), "nothing in progress"),
                State::Suspended => {
                    assert!(instance.due.is_none_or(|due| !due.is_running()), "LC-19: clocks stand still");
                    if let Some(offer) = instance.offer.filter(|_| instance.attempt.is_none()) {
                        let codes = [FindingCode::VersionDrift, FindingCode::SecurityPatchOverdue];
                        let lacks = codes.iter().any(|code| instance.finding(*code).is_some());
                        // Or it goes back from what was halted (RO-3).
                        assert!(lacks || offer.action == Action::Rollback, "LC-19: {offer:?}");
                    }
                }
            }
            if !matches!(state, State::UpgradeInProgress | State::Suspended) {
                assert!(instance.attempt.is_none(), "{state}: an attempt goes on");
            }
        }
    }
}

/// What is explained of a settled fleet, against what `reconcile` and `advance` do (RO-7, RO-8).
impl Timeline {
    fn check_explained(&self) {
        let ids = self.world.rollouts.iter().map(|rollout| rollout.id);
        let counts: Counts = ids.map(|id| (id, self.census(id))).collect();
        for instance in &self.fleet {
            let whole = explain(instance, &self.world, self.now);
            assert_eq!((whole.offer, whole.state), (instance.offer, instance.state));
            for (index, release) in self.world.releases.keys().copied().enumerate() {
                let told = explain_counted(instance, &self.world, &counts, Some(release), self.now);
                let told = &told.releases[0];
                let expected = if instance.attempt.is_some_and(|attempt| attempt.release == release) {
                    Standing::Installing
                } else if instance.offer.is_some_and(|offer| offer.release == release) {
                    Standing::OnOffer
                } else if instance.running.platform == release {
                    Standing::Runs
                } else {
                    Standing::Blocked
                };
                assert_eq!(told.standing, expected, "{index} {told}");
                let found = obstacles(instance, &self.world, release, self.now);
                assert_eq!(found.is_empty(), expected != Standing::Blocked, "{told}\n{instance:?}");
                assert!(!told.answers.is_empty(), "{told}");
                for answer in &told.answers {
                    assert!(!answer.says.is_empty() && !answer.would_change.is_empty(), "{answer:?}");
                }
                if let Some(at) = told.earliest.filter(|_| told.by_time_alone) {
                    let before = at - Span::from_millis(1);
                    assert!(before < self.now || !self.is_offered(instance, release, before), "{told}");
                    assert!(self.is_offered(instance, release, at), "{told}");
                }
            }
        }
    }

    /// Whether a sweep at this instant offers it, with everything else as it is.
    fn is_offered(&self, instance: &Instance, release: Version, at: Timestamp) -> bool {
        let (mut world, mut instance) = (self.world.clone(), instance.clone());
        if let Some(rollout) = self.world.rollout_of(release) {
            for event in advance(rollout, self.census(rollout.id), &self.world, at) {
                world.apply(&event, at);
            }
        }
        for event in reconcile(&instance, &world, at) {
            instance.apply(&event, at);
        }
        instance.offer.is_some_and(|offer| offer.release == release)
    }
}

fn played(acts: &[Act]) -> Timeline {
    let mut timeline = Timeline::new();
    timeline.sweep();
    for act in acts {
        timeline.act(*act);
        timeline.sweep();
        timeline.check_rest();
    }
    timeline
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// LC, IN-6, IN-7, RO-2: checked at every event of every timeline; see `Timeline::apply`.
    #[test]
    fn in_6_in_7_the_law_holds_on_every_timeline(acts in acts()) {
        let first = played(&acts);
        let second = played(&acts);
        prop_assert_eq!(&first.log, &second.log, "the same timeline decides the same");
        prop_assert_eq!(&first.fleet, &second.fleet);
        prop_assert_eq!(&first.world, &second.world);
        // What is written can be read again.
        for event in &first.log {
            let text = serde_json::to_string(event).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Event>(&text).unwrap(), event, "{}", text);
        }
    }

    /// RO-2, RO-4, RO-9, LC-19: what keeps a release away is named exactly while it is not on offer.
    #[test]
    fn ro_8_what_is_explained_is_what_is_done(acts in acts()) {
        let mut timeline = Timeline::new();
        timeline.sweep();
        for act in acts {
            timeline.act(act);
            timeline.sweep();
            timeline.check_explained();
        }
    }

    /// `apply` is total: a log in any order folds into something, and never panics.
    #[test]
    fn lg_3_apply_is_total(acts in acts(), seed in any::<u64>()) {
        let timeline = played(&acts);
        let mut order: BTreeMap<[u8; 32], &Event> = BTreeMap::new();
        for (index, event) in timeline.log.iter().enumerate() {
            order.insert(*Digest::of_parts(&[&seed.to_le_bytes(), &index.to_le_bytes()]).as_bytes(), event);
        }
        let mut world = World::default();
        let mut instance = Timeline::new().fleet.remove(0);
        for event in order.values() {
            match event {
                Event::World(event) => world.apply(event, timeline.now),
                Event::Instance(_, event) => instance.apply(event, timeline.now),
            }
        }
    }
}
