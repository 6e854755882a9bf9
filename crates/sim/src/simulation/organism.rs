//! What the Organism publishes over the year: minors with advisories, security releases, majors that cross a line, and
//! now and then one that turns out bad.
//!
//! Never looks into an instance: it sees which rollouts are open and which were halted.

use governance::release::RollbackInstructions;
use governance::{
    Advisory, Class, Digest, LayerStructure, Package, Release, RolloutStatus, Version, VersionRange, World,
};

use super::book::{DAY, Hour, runtime_of};
use super::profile::Profile;
use super::random::{Dice, Purpose};

/// Day of the year on which a major release crosses into the next line.
const MAJORS: [(u32, Version); 2] = [(110, Version::new(0, 2, 0)), (250, Version::new(1, 0, 0))];
/// Days between two releases.
const BETWEEN_DAYS: (u32, u32) = (14, 26);
/// Days until a release that was halted or withdrawn is replaced.
const MEND_DAYS: u32 = 4;
/// The first release that turns out bad, where any does.
const FIRST_BAD: u32 = 3;
/// One of so many releases is a security release.
const SECURITY_OF: u32 = 5;

/// The Organism, at work.
#[derive(Clone, Debug)]
pub(super) struct Organism {
    seed: u64,
    /// When it publishes next.
    next: Hour,
    published: u32,
    last: Version,
}

/// A release to be published, and how many of ten thousand attempts will fail.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    pub(super) release: Release,
    pub(super) digest: Digest,
    pub(super) failing: u32,
}

impl Organism {
    pub(super) fn new(seed: u64) -> Self {
        let next = DAY * Dice::of(seed, Purpose::Organism, 0, 0).between(3, 8) + 9;
        Self { seed, next, published: 0, last: Version::new(0, 1, 0) }
    }

    /// What every instance of the first day runs: released before the start.
    pub(super) fn founding(&self, world: &World) -> Publication {
        Self::publication(self.last, Class::Minor, None, 0, world)
    }

    /// The release of this hour, if there is one.
    pub(super) fn publish(&mut self, world: &World, profile: &Profile, hour: Hour) -> Option<Publication> {
        if hour < self.next {
            return None;
        }
        let mut dice = Dice::of(self.seed, Purpose::Organism, 1, u64::from(hour));
        let major = MAJORS.iter().find(|(day, version)| hour >= day * DAY && *version > self.last);
        let ended = world
            .rollout_of(self.last)
            .filter(|rollout| matches!(rollout.status, RolloutStatus::Halted | RolloutStatus::Withdrawn));
        let mends = ended.is_some();
        // Into a line leads a major alone: what replaces the one that was halted is one too (RL-6).
        let crosses = major.is_some() || ended.is_some_and(|rollout| rollout.class == Class::Major);
        let secures = !mends && !crosses && dice.below(SECURITY_OF) == 0;
        let open = |class: Option<Class>| {
            world
                .rollouts
                .iter()
                .any(|rollout| rollout.is_open() && class.is_none_or(|class| rollout.class == class))
        };
        // A release would take the place of an open rollout of its line (RO-8): only what secures is worth that, and
        // nothing is while a line is being crossed.
        if if secures { open(Some(Class::Major)) } else { open(None) } {
            self.next = hour + DAY;
            return None;
        }
        let version = major.map_or_else(|| self.following(), |(_, version)| *version);
        let class = match (crosses, secures) {
            (true, _) => Class::Major,
            (false, true) => Class::Security,
            (false, false) => Class::Minor,
        };
        self.published += 1;
        let goes_bad = profile.failing_bad > 0
            && !mends
            && class != Class::Major
            && (self.published == FIRST_BAD || dice.happens(profile.bad_releases));
        let failing = if goes_bad { profile.failing_bad } else { profile.failing };
        let advisory = (class == Class::Minor).then(|| match dice.below(4) {
            _ if mends => Advisory::Stability,
            0 => Advisory::Stability,
            1 => Advisory::Compatibility,
            2 => Advisory::Infrastructure,
            _ => Advisory::Feature,
        });
        self.last = version;
        self.next = hour + DAY * dice.between(BETWEEN_DAYS.0, BETWEEN_DAYS.1);
        Some(Self::publication(version, class, advisory, failing, world))
    }

    /// A release was halted or withdrawn: what replaces it comes soon.
    pub(super) fn hear_of_halt(&mut self, release: Version, hour: Hour) {
        if release == self.last {
            self.next = self.next.min(hour + DAY * MEND_DAYS);
        }
    }

    const fn following(&self) -> Version {
        let Version { major, minor, patch } = self.last;
        if major == 0 { Version::new(major, minor, patch + 1) } else { Version::new(major, minor + 1, 0) }
    }

    fn publication(
        version: Version,
        class: Class,
        advisory: Option<Advisory>,
        failing: u32,
        world: &World,
    ) -> Publication {
        let any = VersionRange { min: Version::new(0, 0, 0), max: Version::new(u32::MAX, 0, 0) };
        let package = format!("platform-{version}.package");
        let text = format!("ORGANISM-v{version}");
        let layers = text.parse().ok().into_iter().map(|id| LayerStructure {
            id,
            digest: Digest::of(text.as_bytes()),
            needs: Vec::new(),
        });
        let release = Release {
            version,
            class,
            advisory,
            package: Package { digest: Digest::of(package.as_bytes()), name: package, length: 1 },
            layers: layers.collect(),
            ships_runtime: (class == Class::Major).then_some(runtime_of(version)),
            runtime: world.matrix.runtimes(version.line()).unwrap_or(any),
            from: None,
            rollback: Some(RollbackInstructions { instructions: String::from("bind the slot of before") }),
            migration: (class == Class::Major).then(|| String::from("follow the notes")),
            deprecations: Vec::new(),
            removes: Vec::new(),
            floor: None,
            notes: String::new(),
        };
        // Stands for the digest of the signed manifest.
        let digest = Digest::of(format!("{release:?}").as_bytes());
        Publication { release, digest, failing }
    }
}
