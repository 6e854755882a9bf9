//! Fleets of instances as the record knows them, and lawful logs, for the benches: what is measured is in `benches/`.

use governance::decide::{Command, Statement, WorldCommand, decide, decide_world};
use governance::reconcile::reconcile;
use governance::release::RollbackInstructions;
use governance::rollout::{Census, advance};
use governance::{
    Class, Committed, Constitution, ConstitutionDocument, Digest, Instance, InstanceId, InstanceKey, Kind,
    LayerContent, LayerStructure, Package, Registration, Release, Restriction, Running, Salt, Span,
    StatementHead, Tier, Timestamp, Version, VersionRange, World, WorldEvent,
};

#[path = "../../crates/ledger/tests/federation/mod.rs"]
pub mod federation;

/// A fleet that nobody has keeps nothing secret.
const SALT: Salt = Salt::from_random([0; 16]);
/// When every fleet begins.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn release(version: Version, class: Class) -> Release {
    Release {
        version,
        class,
        advisory: None,
        package: Package { name: format!("package-{version}"), digest: Digest::of(b"package"), length: 7 },
        layers: content(version)
            .into_iter()
            .map(|layer| LayerStructure { id: layer.id, digest: layer.digest, needs: Vec::new() })
            .collect(),
        ships_runtime: None,
        runtime: VersionRange { min: Version::new(0, 1, 0), max: Version::new(0, 2, 0) },
        from: None,
        floor: None,
        rollback: Some(RollbackInstructions { instructions: "bind the version before".into() }),
        migration: None,
        deprecations: Vec::new(),
        removes: Vec::new(),
        notes: String::new(),
    }
}

fn content(platform: Version) -> Vec<LayerContent> {
    let id = format!("ORGANISM-v{platform}").parse().expect("a layer id");
    vec![LayerContent { id, digest: Digest::of(platform.to_string().as_bytes()) }]
}

/// Publishes a release at this instant.
pub fn publish(world: &mut World, version: Version, class: Class, at: Timestamp) {
    let release = release(version, class);
    let digest = Digest::of(format!("{release:?}").as_bytes());
    let command = WorldCommand::Publish {
        release: Box::new(release),
        digest,
        restriction: Restriction::default(),
        approval: Vec::new(),
    };
    for event in decide_world(world, &command, at).expect("a lawful release") {
        world.apply(&event, at);
    }
}

/// A federation under the default law that has published `0.1.0`.
pub fn world() -> World {
    let mut world = World::default();
    let document =
        ConstitutionDocument { previous: None, effective: START, parameters: Constitution::default() };
    let ratified =
        WorldEvent::ConstitutionRatified { digest: Digest::of(b"law"), document: Box::new(document) };
    world.apply(&ratified, START);
    publish(&mut world, Version::new(0, 1, 0), Class::Minor, START);
    let id = world.rollouts[0].id;
    world.apply(&WorldEvent::RolloutDone { rollout: id }, START);
    world
}

/// An active instance that has reported, with two domains.
pub fn instance(number: u64, world: &World) -> Instance {
    let platform = Version::new(0, 1, 0);
    let (kind, tier) = match number % 4 {
        0 => (Kind::SaasShared, Tier::Free),
        1 | 2 => (Kind::SaasShared, Tier::Pro),
        _ => (Kind::Dedicated, Tier::Enterprise),
    };
    let running = Running { platform, runtime: platform, layers: content(platform) };
    let domains = ["COM", "FIN"].map(|code| code.parse().expect("a domain code")).to_vec();
    let registration = Registration {
        enrolment: Digest::of(&number.to_le_bytes()),
        kind,
        tier,
        provider: None,
        labels: Committed::new(SALT, Vec::new()),
        endpoint: Committed::new(SALT, "https://instance.example/".parse().expect("an endpoint")),
        key: InstanceKey::from_bytes([7; 32]),
        running: running.clone(),
        domains: domains.clone(),
    };
    let mut id = [0; 16];
    id.copy_from_slice(&Digest::of(&number.to_le_bytes()).as_bytes()[..16]);
    let mut instance = Instance::registered(InstanceId::from_random(id), &registration, START);
    let head = StatementHead { sequence: 1, digest: Digest::of(b"first") };
    let said = Statement { head, previous: None, running, domains };
    for command in [Command::Ready, Command::Report(said)] {
        for event in decide(&instance, &command, world, START).expect("a lawful command") {
            instance.apply(&event, START);
        }
    }
    settle(&mut instance, world, START);
    instance
}

/// Everything due for the instance, applied.
pub fn settle(instance: &mut Instance, world: &World, now: Timestamp) {
    for event in reconcile(instance, world, now) {
        instance.apply(&event, now);
    }
}

/// `count` instances.
pub fn fleet(count: u64, world: &World) -> Vec<Instance> {
    (0..count).map(|number| instance(number, world)).collect()
}

/// An instance with three open findings (drift, wrong kind, silence), settled at the instant given back.
pub fn with_three_findings() -> (World, Instance, Timestamp) {
    let mut world = world();
    let mut instance = instance(1, &world);
    publish(&mut world, Version::new(0, 1, 1), Class::Minor, START);
    open(&mut world, &[instance.clone()], START);
    settle(&mut instance, &world, START);
    for event in
        decide(&instance, &Command::ChangeKind { kind: Kind::Dedicated }, &world, START).expect("lawful")
    {
        instance.apply(&event, START);
    }
    let now = START + Span::hours(31 * 24);
    settle(&mut instance, &world, now);
    assert_eq!(instance.findings.len(), 3, "{:?}", instance.findings);
    (world, instance, now)
}

/// Opens every rollout's first phase over the fleet.
pub fn open(world: &mut World, fleet: &[Instance], now: Timestamp) {
    for index in 0..world.rollouts.len() {
        let events = advance(&world.rollouts[index], census(world, index, fleet), world, now);
        for event in events {
            world.apply(&event, now);
        }
    }
}

/// The fleet as a sweep counts it for a rollout.
pub fn census(world: &World, rollout: usize, fleet: &[Instance]) -> Census {
    let mut census = Census::default();
    for instance in fleet {
        census.add(&world.rollouts[rollout], world, instance);
    }
    census
}

/// A federation of 200 instances whose last `count` entries are reports, and where those begin.
pub fn reports(count: usize) -> (federation::Federation, usize) {
    let mut f = federation::Federation::founded();
    f.publish("0.1.0", Class::Minor);
    let instances = 1..=200;
    for n in instances.clone() {
        f.register(n, Tier::Free);
        f.ready(n);
        f.report(n);
    }
    f.sweep();
    let from = f.entries.len();
    while f.entries.len() < from + count {
        f.wait(Span::hours(1));
        for n in instances.clone() {
            f.report(n);
        }
    }
    (f, from)
}

/// One append that is on the disk when this returns.
pub fn synced(file: &mut std::fs::File, bytes: &[u8]) {
    use std::io::Write as _;
    file.write_all(bytes).expect("written");
    file.sync_data().expect("synced");
}
