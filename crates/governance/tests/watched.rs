//! RO-3, RO-5: which rollouts are still judged. One that is done is left alone only where a newer one reaches everybody.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use governance::release::RollbackInstructions;
use governance::rollout::PauseCause;
use governance::{
    Class, Digest, Kind, Matrix, Package, Release, Restriction, RolloutId, Timestamp, Version, VersionRange,
    World, WorldEvent,
};

const AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const OLDER: Version = Version::new(0, 1, 1);
const NEWER: Version = Version::new(0, 1, 2);

fn release(version: Version, class: Class) -> Release {
    let runtime = Matrix::default().runtimes(version.line()).unwrap();
    Release {
        version,
        class,
        advisory: None,
        package: Package { name: "package".into(), digest: Digest::of(b"package"), length: 7 },
        layers: Vec::new(),
        ships_runtime: None,
        runtime: VersionRange { min: runtime.min, max: runtime.max },
        from: None,
        rollback: Some(RollbackInstructions { instructions: "bind the version before".into() }),
        migration: None,
        deprecations: Vec::new(),
        removes: Vec::new(),
        floor: None,
        notes: String::new(),
    }
}

fn id(version: Version) -> RolloutId {
    RolloutId::of_release(Digest::of(version.to_string().as_bytes()))
}

/// A world in which both releases are done, changed before the newer is.
fn check(
    older: Release,
    newer: Release,
    only: Restriction,
    then: Option<fn(RolloutId) -> WorldEvent>,
    expected: &[Version],
) {
    let mut world = World::default();
    let rows = [(older, Restriction::default()), (newer, only)];
    let last = id(rows[1].0.version);
    for (release, restriction) in rows {
        let (version, rollout) = (release.version, id(release.version));
        let digest = Digest::of(version.to_string().as_bytes());
        for event in [
            WorldEvent::ReleasePublished { digest, release: Box::new(release) },
            WorldEvent::RolloutOpened { rollout, release: version, restriction, approval: Vec::new() },
            WorldEvent::RolloutDone { rollout },
        ] {
            world.apply(&event, AT);
        }
    }
    then.into_iter().for_each(|event| world.apply(&event(last), AT));
    let watched: Vec<Version> = world.watched().map(|rollout| rollout.release).collect();
    assert_eq!(watched, expected);
}

#[test]
fn ro_3_ro_5_a_rollout_that_is_done_is_judged_until_a_newer_one_reaches_everybody() {
    let minor = |version| release(version, Class::Minor);
    let all = Restriction::default;
    let (both, newer) = ([OLDER, NEWER], [NEWER]);
    check(minor(OLDER), minor(NEWER), all(), None, &newer);
    let some = Restriction { kind: vec![Kind::Dedicated], ..all() };
    check(minor(OLDER), minor(NEWER), some, None, &both);
    // A step that the newer does not make.
    let named = Release { from: Some(vec![OLDER]), ..minor(NEWER) };
    check(minor(OLDER), named, all(), None, &both);
    // A runtime that the newer is not for.
    let runtime = minor(NEWER).runtime;
    let narrow = Release { runtime: VersionRange { min: runtime.max, ..runtime }, ..minor(NEWER) };
    check(minor(OLDER), narrow, all(), None, &both);
    let ships = Release { ships_runtime: Some(runtime.min), ..minor(OLDER) };
    check(ships, minor(NEWER), all(), None, &both);
    // A way into the line that the newer is not.
    let (major, behind) = (Version::new(0, 2, 0), Version::new(0, 2, 1));
    check(release(major, Class::Major), minor(behind), all(), None, &[major, behind]);
    check(release(major, Class::Major), release(behind, Class::Major), all(), None, &[behind]);
    let leads = Release { from: Some(vec![Version::new(0, 0, 9)]), ..minor(OLDER) };
    check(leads, minor(NEWER), all(), None, &both);
    // Another line.
    check(minor(OLDER), minor(behind), all(), None, &[OLDER, behind]);
    // While the newer is not offered the older is; and what is over is over.
    let paused = |rollout| WorldEvent::RolloutPaused {
        rollout,
        cause: PauseCause::Operator,
        failed: None,
        finished: None,
    };
    check(minor(OLDER), minor(NEWER), all(), Some(paused), &both);
    check(
        minor(OLDER),
        minor(NEWER),
        all(),
        Some(|rollout| WorldEvent::RolloutHalted {
            rollout,
            phase: governance::Phase::Ga,
            failed: 1,
            finished: 1,
        }),
        &[OLDER],
    );
}
