//! The federation that is checked: two instances of different strata, two releases, and a law whose windows pass within
//! a handful of ticks.
//!
//! Never moves: it is where every timeline begins.

use std::collections::BTreeSet;

use governance::module::Catalogue;
use governance::release::RollbackInstructions;
use governance::{
    Cause, Class, Committed, Constitution, ConstitutionDocument, Digest, Instance, InstanceEvent, InstanceId,
    InstanceKey, Kind, LayerContent, LayerStructure, Matrix, Package, Registration, Release, Running, Salt,
    Share, Span, State, Tier, Timestamp, Version, VersionRange, World, WorldEvent,
};

use super::state::{Fleet, Unit};

/// How many instances there are.
pub const UNITS: usize = 2;
/// One tick of the model's clock: two of them are the day of CO-14.
pub const TICK: Span = Span::hours(12);
/// Now, in every state: what is older is moved back instead.
pub const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// What runs at the beginning.
pub const FIRST: Version = Version::new(0, 1, 0);
/// The minor release.
pub const MINOR: Version = Version::new(0, 1, 1);

/// So many half ticks: a window of an odd number is over at a tick, one of an even number is just kept.
const fn halves(count: i64) -> Span {
    Span::from_millis(TICK.as_millis() / 2 * count)
}

/// The law, scaled down: each window's name with its length in halves of a tick.
pub fn law() -> Constitution {
    Constitution {
        security_deadline: halves(2),
        security_suspend_after: halves(2),
        security_retry_after: halves(1),
        minor_window: halves(4),
        major_window: halves(6),
        drift_threshold: halves(4),
        drift_freeze: halves(6),
        minor_rollback_window: halves(2),
        major_rollback_window: halves(2),
        module_rollback_window: halves(2),
        advisory_stability: halves(2),
        advisory_compatibility: halves(2),
        compliance_suspend_after: halves(4),
        compliance_report_within: halves(4),
        compliance_audit_every: halves(2),
        subscription_lapse_grace: halves(2),
        escalation_within: halves(8),
        upgrade_stall_after: halves(1),
        rollout_canary_duration: halves(1),
        rollout_beta_duration: halves(1),
        rollout_beta_share: Share::from_millionths(500_000),
        rollout_retry_after: halves(3),
        ..Constitution::default()
    }
}

/// What the Founder may amend it to: no standing orders, no grace for a lapsed subscription.
pub fn amended() -> ConstitutionDocument {
    let parameters =
        Constitution { standing_orders: Vec::new(), subscription_lapse_grace: Span::ZERO, ..law() };
    ConstitutionDocument { previous: Some(Digest::of(b"law")), effective: NOW + TICK, parameters }
}

/// The content of a version, as the Organism signs it or as a fork has it.
pub fn content(platform: Version, forked: bool) -> Vec<LayerContent> {
    let text = if forked { "fork".to_owned() } else { platform.to_string() };
    vec![LayerContent {
        id: format!("ORGANISM-v{platform}").parse().unwrap(),
        digest: Digest::of(text.as_bytes()),
    }]
}

/// A release of this version and class.
pub fn release(version: Version, class: Class) -> Release {
    let runtime = Matrix::default().runtimes(version.line()).unwrap();
    Release {
        version,
        class,
        advisory: None,
        package: Package { name: "package".into(), digest: Digest::of(b"package"), length: 7 },
        layers: content(version, false)
            .into_iter()
            .map(|layer| LayerStructure { id: layer.id, digest: layer.digest, needs: vec![] })
            .collect(),
        ships_runtime: (class == Class::Major).then_some(runtime.min),
        runtime: VersionRange { min: Version::new(0, 0, 0), max: Version::new(9, 0, 0) },
        from: None,
        rollback: Some(RollbackInstructions { instructions: "bind the version before".into() }),
        migration: (class == Class::Major).then(|| "follow the notes".into()),
        deprecations: Vec::new(),
        removes: Vec::new(),
        floor: None,
        notes: String::new(),
    }
}

/// Founded, the first version released before, one instance active and one registered.
pub fn founded(adversities: u8) -> Fleet {
    let mut world = World { catalogue: Catalogue { modules: Vec::new() }, ..World::default() };
    let document = ConstitutionDocument { previous: None, effective: NOW, parameters: law() };
    world.apply(
        &WorldEvent::ConstitutionRatified { digest: Digest::of(b"law"), document: Box::new(document) },
        NOW,
    );
    let first = Box::new(release(FIRST, Class::Minor));
    world.apply(&WorldEvent::ReleasePublished { digest: Digest::of(b"first"), release: first }, NOW);
    world.apply(&WorldEvent::FleetCounted { instances: 2 }, NOW);
    let strata = [(Kind::SaasShared, Tier::Pro), (Kind::Dedicated, Tier::Enterprise)];
    let units = [0, 1].map(|index| {
        let (kind, tier) = strata[index];
        let registration = Registration {
            enrolment: Digest::of(b"secret"),
            kind,
            tier,
            provider: None,
            labels: Committed::new(Salt::from_random([0; 16]), vec![]),
            endpoint: Committed::new(Salt::from_random([0; 16]), "https://a.example/".parse().unwrap()),
            key: InstanceKey::from_bytes([0; 32]),
            running: Running { platform: FIRST, runtime: FIRST, layers: content(FIRST, false) },
            domains: vec![],
        };
        let id = InstanceId::from_random([100 + u8::try_from(index).unwrap(); 16]);
        let mut record = Instance::registered(id, &registration, NOW);
        if index == 0 {
            record.apply(
                &InstanceEvent::Moved {
                    from: State::Registered,
                    to: State::Active,
                    cause: Cause::DeploymentComplete,
                },
                NOW,
            );
        }
        Unit {
            record,
            runs: FIRST,
            forked: false,
            installing: None,
            silent: false,
            pending: None,
            offered: BTreeSet::new(),
        }
    });
    Fleet::new(world, units, adversities)
}
