//! What the whole fleet shares, by number: versions with their content, rollouts, the hours of the calendar.
//!
//! Holds what the Organism itself signed, apart from what the plane has on record of it.

use std::collections::BTreeMap;

use governance::{
    Committed, Digest, Endpoint, Label, LayerContent, LayerStructure, ProviderId, RolloutId, Span, Timestamp,
    Version,
};

use crate::SALT;

/// An hour of the simulation, counted from its start.
pub(super) type Hour = u32;

/// Hours of a day.
pub(super) const DAY: Hour = 24;
const HOUR_MS: i64 = 3_600_000;
/// A capability of the owner's own, which no release names (IN-1).
const CAPABILITY: &str = "TIS-LEDGER-v1.0.0";
const PROVIDERS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];

/// A release as the Organism signed it.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    /// Digest of the manifest.
    pub(super) digest: Digest,
    /// Its structures.
    pub(super) layers: Vec<LayerStructure>,
}

/// A version by its number, with what an instance runs of it.
#[derive(Clone, Debug)]
pub(super) struct Edition {
    pub(super) version: Version,
    /// Everything that an instance runs, as signed,
    pub(super) content: Vec<LayerContent>,
    /// and with content that nobody signed.
    pub(super) forked: Vec<LayerContent>,
    /// The runtime that goes with its line.
    pub(super) runtime: Version,
    /// Attempts that fail, of ten thousand.
    pub(super) failing: u32,
}

/// The fleet's shared knowledge.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) seed: u64,
    pub(super) start: Timestamp,
    pub(super) editions: Vec<Edition>,
    pub(super) rollouts: Vec<RolloutId>,
    pub(super) signed: BTreeMap<Version, Signed>,
    pub(super) endpoint: Committed<Endpoint>,
    /// What it is called by: nothing.
    pub(super) labels: Committed<Vec<Label>>,
    pub(super) providers: Vec<ProviderId>,
    /// What an instance installs that joins now, by number.
    pub(super) current: u8,
}

impl Book {
    /// An empty book; none if the texts above were no names, which a test excludes.
    pub(super) fn new(seed: u64, start: Timestamp) -> Option<Self> {
        Some(Self {
            seed,
            start,
            editions: Vec::new(),
            rollouts: Vec::new(),
            signed: BTreeMap::new(),
            endpoint: Committed::new(SALT, "https://instance.example/".parse().ok()?),
            labels: Committed::new(SALT, Vec::new()),
            providers: PROVIDERS.iter().filter_map(|name| name.parse().ok()).collect(),
            current: 0,
        })
    }

    /// The instant at which the hour begins.
    pub(super) fn at(&self, hour: Hour) -> Timestamp {
        self.start + Span::hours(i64::from(hour))
    }

    /// The hour that begins at this instant; none if none does.
    pub(super) fn hour(&self, at: Timestamp) -> Option<Hour> {
        let since = at.as_millis() - self.start.as_millis();
        if since % HOUR_MS == 0 { u32::try_from(since / HOUR_MS).ok() } else { None }
    }

    /// The first full hour that lies beyond this instant.
    pub(super) fn beyond(&self, at: Timestamp) -> Hour {
        let since = (at.as_millis() - self.start.as_millis()) / HOUR_MS;
        u32::try_from(since.saturating_add(1)).unwrap_or(Hour::MAX)
    }

    pub(super) fn edition(&self, number: u8) -> Option<&Edition> {
        self.editions.get(usize::from(number))
    }

    /// The version with this number; 0.0.0 if there is none.
    pub(super) fn version(&self, number: u8) -> Version {
        self.edition(number).map_or(Version::new(0, 0, 0), |edition| edition.version)
    }

    /// The rollout with this number; one of zeros if there is none.
    pub(super) fn rollout_id(&self, number: u8) -> RolloutId {
        self.rollouts.get(usize::from(number)).copied().unwrap_or(RolloutId::from_random([0; 16]))
    }

    /// The number of a version.
    pub(super) fn number(&self, version: Version) -> Option<u8> {
        let found = self.editions.iter().rposition(|edition| edition.version == version)?;
        u8::try_from(found).ok()
    }

    /// The number of a rollout.
    pub(super) fn rollout(&self, id: RolloutId) -> Option<u8> {
        let found = self.rollouts.iter().rposition(|rollout| *rollout == id)?;
        u8::try_from(found).ok()
    }

    /// Enters a release that the Organism signed.
    pub(super) fn enter(&mut self, release: &governance::Release, digest: Digest, failing: u32) {
        let signed: Vec<LayerContent> = release
            .layers
            .iter()
            .map(|layer| LayerContent { id: layer.id.clone(), digest: layer.digest })
            .collect();
        let own = CAPABILITY.parse().ok();
        let own = own.map(|id| LayerContent { id, digest: Digest::of(CAPABILITY.as_bytes()) });
        let forked = signed
            .iter()
            .map(|layer| LayerContent { digest: Digest::of(b"content that nobody signed"), ..layer.clone() })
            .chain(own.clone())
            .collect();
        let version = release.version;
        self.editions.push(Edition {
            version,
            content: signed.into_iter().chain(own).collect(),
            forked,
            runtime: runtime_of(version),
            failing,
        });
        self.signed.insert(version, Signed { digest, layers: release.layers.clone() });
    }
}

/// The runtime that the releases of a version's line are made for, and that the first of the line ships (RL-5).
pub(super) const fn runtime_of(version: Version) -> Version {
    if version.major == 0 { Version::new(0, version.minor, 0) } else { Version::new(version.major, 0, 0) }
}
