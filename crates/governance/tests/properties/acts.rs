//! The random steps of a timeline, and what they are made of.

use governance::module::Module;
use governance::release::{RollbackInstructions, Weight};
use governance::{
    Catalogue, Class, Deprecation, Digest, DomainCode, LayerContent, LayerStructure, Matrix, Package,
    Release, Version, VersionRange,
};
use proptest::prelude::*;

/// Instances in a timeline.
pub const FLEET: usize = 6;
/// What may be published.
pub const VERSIONS: [(u32, u32, u32); 6] = [(0, 1, 1), (0, 1, 2), (0, 1, 3), (0, 2, 0), (0, 2, 1), (1, 0, 0)];
/// The domains of the catalogue: the free tier has room for three.
pub const DOMAINS: [&str; 5] = ["COM", "FIN", "EDU", "MED", "ANA"];

/// One random step. Indices are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
pub enum Act {
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
    Activate(usize, usize),
    Deactivate(usize, usize),
    Override(usize, usize, i64),
    Amend(i64, usize),
    AllowRemoval(usize),
    Bypass(usize),
}

/// Timelines.
pub fn acts() -> impl Strategy<Value = Vec<Act>> {
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
        3 => n.clone().prop_map(Act::RollBack),
        6 => (n.clone(), 0..DOMAINS.len()).prop_map(|(n, domain)| Act::Activate(n, domain)),
        2 => (n.clone(), 0..DOMAINS.len()).prop_map(|(n, domain)| Act::Deactivate(n, domain)),
        3 => (n.clone(), 0..8usize, 1..2_000i64).prop_map(|(n, finding, hours)| Act::Override(n, finding, hours)),
        2 => (-48..200i64, 0..4usize).prop_map(|(hours, change)| Act::Amend(hours, change)),
        1 => v.clone().prop_map(Act::AllowRemoval),
        1 => n.prop_map(Act::Bypass),
        1 => (1..80i64).prop_map(Act::Outage),
    ];
    prop::collection::vec(act, 1..80)
}

/// The version with this index.
pub fn version(index: usize) -> Version {
    let (major, minor, patch) = VERSIONS[index % VERSIONS.len()];
    Version::new(major, minor, patch)
}

/// What the Organism signed for it.
pub fn content(platform: Version) -> Vec<LayerContent> {
    vec![LayerContent {
        id: format!("ORGANISM-v{platform}").parse().unwrap(),
        digest: Digest::of(platform.to_string().as_bytes()),
    }]
}

/// A release.
pub fn release(version: Version, class: Class, ships: bool) -> Release {
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
        // A later one may remove it when its notice is over, or by the Founder's leave (RL-8).
        deprecations: if version.patch == 1 {
            vec![Deprecation { capability: "old".into(), weight: Weight::Minor }]
        } else {
            Vec::new()
        },
        removes: if version.patch == 3 { vec!["old".into()] } else { Vec::new() },
        notes: String::new(),
    }
}

/// Bytes for an id.
pub fn sixteen(seed: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Digest::of(&[seed]).as_bytes()[..16]);
    bytes
}

/// The domain with this index.
pub fn domain(index: usize) -> DomainCode {
    DOMAINS[index % DOMAINS.len()].parse().unwrap()
}

/// The catalogue: the last domain needs the first.
pub fn catalogue() -> Catalogue {
    let founding = Catalogue::default();
    let module = |code: &&str| {
        let founded = founding.find(&code.parse().unwrap()).unwrap().clone();
        let depends = if *code == "ANA" { vec![domain(0)] } else { vec![] };
        Module { depends, ..founded }
    };
    Catalogue { modules: DOMAINS.iter().map(module).collect() }
}
