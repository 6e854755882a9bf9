//! Weighs what the plane directs against what the Organism signed and what the owner allows (RL-3, RL-9, AU-2).
//!
//! Never asks the plane for its opinion:
//! every online key of the Federation together cannot make this accept bytes the Organism did not sign, or a
//! version below the security floor.

use governance::{Class, Digest, InstanceId, LayerContent, Package, Release, Timestamp, Version};
use proof::directive::DirectiveError;
use proof::{Directive, Jws, KeysDocument, Offer, OfferAction};

use super::journal::{Attempt, Event, Installed, Journal, Taken};

/// What the Organism signed about the release on offer, found through TUF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The manifest.
    pub release: Release,
    /// The package as the targets role lists it.
    pub target: Package,
    /// Security floors: below such a version no agent goes within its line (RL-9).
    pub floors: Vec<Version>,
}

/// What the owner allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether updates are installed at all. Going back is not asked about.
    pub install: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { install: true }
    }
}

/// Why a directive or its offer is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Not signed, not for this instance, over, or older than one taken before (RL-3).
    #[error(transparent)]
    Directive(#[from] DirectiveError),
    /// The same serial asked for something else before.
    #[error("directive {0} asks for something else than it did before (RL-3)")]
    Ambiguous(u64),
    /// The manifest is another release's.
    #[error("the manifest found for release {offered} is that of {signed}")]
    OtherRelease {
        /// On offer.
        offered: Version,
        /// In the manifest.
        signed: Version,
    },
    /// Directive, manifest and targets role do not agree on the bytes.
    #[error("the {which} of release {release} is not what the Organism signed (AU-2)")]
    OtherBytes {
        /// Which two differ.
        which: &'static str,
        /// The release.
        release: Version,
    },
    /// Below the Organism's floor.
    #[error("{release} lies below the security floor {floor} (RL-9)")]
    BelowFloor {
        /// On offer.
        release: Version,
        /// The floor of its line.
        floor: Version,
    },
    /// An update to something earlier, or a rollback to something later.
    #[error("{release} is no {intent} from {installed}", intent = word(*intent))]
    WrongWay {
        /// On offer.
        release: Version,
        /// What it claims to be.
        intent: OfferAction,
        /// What runs.
        installed: Version,
    },
    /// No way back is described.
    #[error("release {0} has no rollback instructions (RL-1)")]
    NoWayBack(Version),
    /// It cannot be applied to what runs.
    #[error("release {release} cannot be applied from {installed} (RL-6)")]
    NotFrom {
        /// On offer.
        release: Version,
        /// What runs.
        installed: Version,
    },
    /// It does not run on this runtime.
    #[error("release {release} does not run on runtime {runtime} (RL-5)")]
    Runtime {
        /// On offer.
        release: Version,
        /// What runs.
        runtime: Version,
    },
    /// It failed here, and nothing has changed since.
    #[error("release {release} failed here before: {reason}")]
    FailedBefore {
        /// The release.
        release: Version,
        /// Why it failed.
        reason: String,
    },
    /// The owner does not want updates.
    #[error("the owner's policy installs no updates")]
    Declined,
}

impl Rejection {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Directive(DirectiveError::Document(_)) => "directive-untrusted",
            Self::Directive(DirectiveError::NoKeys) => "no-directive-keys",
            Self::Directive(DirectiveError::OtherInstance { .. }) => "directive-for-another",
            Self::Directive(DirectiveError::Expired(_)) => "directive-expired",
            Self::Directive(DirectiveError::Replayed { .. }) => "directive-replayed",
            Self::Ambiguous(_) => "directive-ambiguous",
            Self::OtherRelease { .. } | Self::OtherBytes { .. } => "other-bytes",
            Self::BelowFloor { .. } => "below-floor",
            Self::WrongWay { .. } => "wrong-way",
            Self::NoWayBack(_) => "no-way-back",
            Self::NotFrom { .. } => "not-from",
            Self::Runtime { .. } => "runtime",
            Self::FailedBefore { .. } => "failed-before",
            Self::Declined => "declined",
        }
    }

    /// The rule it rests on.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Directive(DirectiveError::NoKeys) => "AU-4",
            Self::Directive(_) | Self::Ambiguous(_) | Self::WrongWay { .. } => "RL-3",
            Self::OtherRelease { .. } | Self::OtherBytes { .. } => "AU-2",
            Self::BelowFloor { .. } => "RL-9",
            Self::NoWayBack(_) => "RL-1",
            Self::NotFrom { .. } => "RL-6",
            Self::Runtime { .. } => "RL-5",
            Self::FailedBefore { .. } => "RO-9",
            Self::Declined => "AU-3",
        }
    }
}

/// Opens a directive; with it comes the event to journal when it is a new one.
///
/// # Errors
/// When no key for directives signed it, it is not for this instance, over, older than one taken before, or
/// contradicts one taken before.
pub fn take(
    journal: &Journal,
    document: &Jws,
    keys: &KeysDocument,
    own: InstanceId,
    now: Timestamp,
) -> Result<(Directive, Option<Event>), Rejection> {
    let known = journal.taken.filter(|taken| taken.seen().counts(keys));
    let before = known.map(|taken| taken.seen()).unwrap_or_default();
    let (directive, seen) = Directive::open_after(document, keys, own, before, now)?;
    let new = Taken { serial: seen.serial, content: content(directive.offer.as_ref()), key: seen.key };
    match known {
        Some(taken) if new == taken => Ok((directive, None)),
        Some(taken) if new.serial == taken.serial && new.content != taken.content => {
            Err(Rejection::Ambiguous(new.serial))
        }
        _ => Ok((directive, Some(Event::DirectiveTaken(new)))),
    }
}

/// The digest of what an offer asks for; dates and circumstances left out, since a directive is signed afresh before
/// it runs out.
fn content(offer: Option<&Offer>) -> Digest {
    offer.map_or_else(
        || Digest::of(b""),
        |offer| {
            let text = format!(
                "{} {} {} {} {}",
                offer.release,
                word(offer.action),
                offer.package.digest,
                offer.package.length,
                offer.package.name
            );
            Digest::of(text.as_bytes())
        },
    )
}

/// The action's word.
#[must_use]
pub const fn word(action: OfferAction) -> &'static str {
    match action {
        OfferAction::Update => "update",
        OfferAction::Rollback => "rollback",
        OfferAction::Remediation => "remediation",
    }
}

/// Weighs an offer: the attempt it leads to.
///
/// # Errors
/// The first reason against it.
pub fn weigh(
    journal: &Journal,
    serial: u64,
    offer: &Offer,
    signed: &Signed,
    policy: Policy,
) -> Result<Attempt, Rejection> {
    let release = offer.release;
    check_bytes(offer, signed)?;
    let floors = journal.floors_with(&signed.floors);
    if let Some(floor) = floors.into_iter().find(|floor| floor.line() == release.line() && release < *floor) {
        return Err(Rejection::BelowFloor { release, floor });
    }
    if let Some(failure) = journal.failed_before(release, serial) {
        return Err(Rejection::FailedBefore { release, reason: failure.reason.clone() });
    }
    check_step(&journal.installed, offer, &signed.release)?;
    if !policy.install && offer.action != OfferAction::Rollback {
        return Err(Rejection::Declined);
    }
    let layers = signed.release.layers.iter();
    let layers = layers.map(|layer| LayerContent { id: layer.id.clone(), digest: layer.digest }).collect();
    let runtime = signed.release.ships_runtime.unwrap_or(journal.installed.runtime);
    Ok(Attempt {
        target: Installed { platform: release, runtime, layers },
        previous: journal.installed.platform,
        action: offer.action,
        serial,
        package: signed.target.clone(),
        deadline: offer.deadline,
    })
}

/// Directive, manifest and targets role must name the same bytes.
fn check_bytes(offer: &Offer, signed: &Signed) -> Result<(), Rejection> {
    let release = offer.release;
    if signed.release.version != release {
        return Err(Rejection::OtherRelease { offered: release, signed: signed.release.version });
    }
    let pairs = [
        ("package that the directive points at", &offer.package, &signed.release.package),
        ("package in the targets role", &signed.target, &signed.release.package),
    ];
    match pairs.iter().find(|(_, left, right)| left != right) {
        Some((which, _, _)) => Err(Rejection::OtherBytes { which, release }),
        None => Ok(()),
    }
}

/// Whether the release leads the way it claims, from what runs here.
fn check_step(installed: &Installed, offer: &Offer, manifest: &Release) -> Result<(), Rejection> {
    let (release, runs) = (offer.release, installed.platform);
    let right_way = match offer.action {
        OfferAction::Update | OfferAction::Remediation => release > runs,
        OfferAction::Rollback => release < runs,
    };
    if !right_way {
        return Err(Rejection::WrongWay { release, intent: offer.action, installed: runs });
    }
    if manifest.rollback.as_ref().is_none_or(|rollback| rollback.instructions.trim().is_empty()) {
        return Err(Rejection::NoWayBack(release));
    }
    let runtime = installed.runtime;
    if manifest.ships_runtime.is_none() && !manifest.runtime.contains(runtime) {
        return Err(Rejection::Runtime { release, runtime });
    }
    let bound = offer.action != OfferAction::Rollback && manifest.class != Class::Security;
    match &manifest.from {
        Some(from) if bound && !from.contains(&runs) => Err(Rejection::NotFrom { release, installed: runs }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::journal::Failure;
    use governance::release::RollbackInstructions;
    use governance::{LayerStructure, State, VersionRange};
    use proof::{KeySet, OnlineKey, Purpose, SeedKey, Sign as _, Typ};

    fn v(minor: u32, patch: u32) -> Version {
        Version::new(0, minor, patch)
    }

    fn package(text: &str) -> Package {
        Package { name: "package".to_owned(), digest: Digest::of(text.as_bytes()), length: text.len() as u64 }
    }

    fn release(version: Version) -> Release {
        let layer = LayerStructure {
            id: "TIS-A-v0.1.0".parse().unwrap(),
            digest: Digest::of(b"a"),
            needs: Vec::new(),
        };
        Release {
            version,
            class: Class::Minor,
            advisory: None,
            package: package("good"),
            layers: vec![layer],
            ships_runtime: None,
            runtime: VersionRange { min: v(1, 0), max: v(2, 0) },
            from: None,
            rollback: Some(RollbackInstructions { instructions: "switch back".to_owned() }),
            migration: None,
            floor: None,
            deprecations: Vec::new(),
            removes: Vec::new(),
            notes: String::new(),
        }
    }

    struct Case {
        journal: Journal,
        offer: Offer,
        signed: Signed,
        policy: Policy,
    }

    /// An instance on 0.1.2 that is offered 0.1.3, all in order.
    fn case() -> Case {
        let installed = Installed { platform: v(1, 2), runtime: v(1, 0), layers: Vec::new() };
        let offer = Offer {
            release: v(1, 3),
            action: OfferAction::Update,
            rollout: None,
            phase: None,
            package: package("good"),
            deadline: None,
        };
        let signed = Signed { release: release(v(1, 3)), target: package("good"), floors: Vec::new() };
        Case { journal: Journal::new(installed), offer, signed, policy: Policy::default() }
    }

    #[test]
    fn rl_9_au_2_only_what_the_organism_signed_and_only_forward_unless_directed() {
        type Change = fn(&mut Case);
        let back: Change = |c| {
            c.offer = Offer { release: v(1, 1), action: OfferAction::Rollback, ..c.offer.clone() };
            c.signed.release = release(v(1, 1));
        };
        let check = |what: &str, changes: &[Change], expected: Option<&str>| {
            let mut case = case();
            changes.iter().for_each(|change| change(&mut case));
            let found = weigh(&case.journal, 7, &case.offer, &case.signed, case.policy);
            let told = found.as_ref().err().map(ToString::to_string);
            assert_eq!(found.is_err(), expected.is_some(), "{what}: {found:?}");
            assert!(told.unwrap_or_default().contains(expected.unwrap_or_default()), "{what}: {found:?}");
        };
        check("all in order", &[], None);
        check("directed back", &[back], None);
        check("another digest", &[|c| c.offer.package = package("evil")], Some("directive points at"));
        check("another length", &[|c| c.offer.package.length += 1], Some("directive points at"));
        check("another name", &[|c| c.offer.package.name.push('x')], Some("directive points at"));
        check("another target", &[|c| c.signed.target = package("evil")], Some("targets role"));
        check("manifest of another", &[|c| c.signed.release.version = v(1, 9)], Some("that of 0.1.9"));
        check("below the floor", &[back, |c| c.signed.floors = vec![v(2, 5), v(1, 2)]], Some("RL-9"));
        check("below a floor seen once", &[back, |c| c.journal.floors = vec![v(1, 2)]], Some("RL-9"));
        check(
            "below one that sank",
            &[back, |c| (c.journal.floors, c.signed.floors) = (vec![v(1, 2)], vec![v(1, 0)])],
            Some("floor 0.1.2"),
        );
        check("on the floor", &[back, |c| c.signed.floors = vec![v(1, 1)]], None);
        check("an update backwards", &[back, |c| c.offer.action = OfferAction::Update], Some("is no update"));
        check("what runs already", &[|c| c.journal.installed.platform = v(1, 3)], Some("is no update"));
        check("a rollback forwards", &[|c| c.offer.action = OfferAction::Rollback], Some("is no rollback"));
        check("no way back", &[|c| c.signed.release.rollback = None], Some("RL-1"));
        check("runtime too new", &[|c| c.journal.installed.runtime = v(2, 1)], Some("RL-5"));
        check(
            "brings its runtime",
            &[|c| {
                c.journal.installed.runtime = v(2, 1);
                c.signed.release.ships_runtime = Some(v(2, 0));
            }],
            None,
        );
        check("from elsewhere", &[|c| c.signed.release.from = Some(vec![v(1, 0)])], Some("RL-6"));
        check(
            "security from anywhere",
            &[|c| {
                c.signed.release.from = Some(vec![v(1, 0)]);
                c.signed.release.class = Class::Security;
            }],
            None,
        );
        let failed: Change =
            |c| c.journal.failures = vec![Failure { release: v(1, 3), serial: 7, reason: "bad".to_owned() }];
        check("failed under this directive", &[failed], Some("failed here before"));
        check("failed under an earlier one", &[failed, |c| c.journal.failures[0].serial = 6], None);
        check("the owner declines", &[|c| c.policy.install = false], Some("owner"));
        check("but goes back", &[back, |c| c.policy.install = false], None);
    }

    /// A keys document that names these for directives.
    fn named(keys: &[&SeedKey]) -> KeysDocument {
        let online = |key: &&SeedKey| OnlineKey {
            purpose: Purpose::Directives,
            key: *key.public_key(),
            not_before: Timestamp::from_millis(0),
            not_after: Timestamp::from_millis(1_000),
        };
        KeysDocument {
            serial: 1,
            trust_domain: "fed.example".parse().unwrap(),
            issued: Timestamp::from_millis(0),
            founder: KeySet::single(*SeedKey::new([90; 32]).public_key()),
            organism: KeySet::single(*SeedKey::new([91; 32]).public_key()),
            online: keys.iter().map(online).collect(),
            root_ca: String::new(),
            ledger_origin: String::new(),
        }
    }

    fn take_by(
        key: &SeedKey,
        keys: &KeysDocument,
        journal: &Journal,
        serial: u64,
        offer: Option<Offer>,
        expires: i64,
    ) -> Result<Option<Event>, Rejection> {
        let (own, at) = (InstanceId::from_random([1; 16]), Timestamp::from_millis(0));
        let expires = Timestamp::from_millis(expires);
        let directive = Directive { instance: own, serial, at, expires, state: State::Active, offer };
        let jws = Jws::sign_json(Typ::Directive, &directive, key).unwrap();
        super::take(journal, &jws, keys, own, Timestamp::from_millis(10)).map(|(_, event)| event)
    }

    #[test]
    fn rl_3_serials_start_anew_once_a_stolen_key_is_withdrawn() {
        let (stolen, fresh) = (SeedKey::new([1; 32]), SeedKey::new([2; 32]));
        let both = named(&[&stolen, &fresh]);
        let mut journal = case().journal;
        journal.failures =
            vec![Failure { release: v(1, 3), serial: u64::MAX, reason: "the thief's offer".to_owned() }];
        let event = take_by(&stolen, &both, &journal, u64::MAX, None, 100).unwrap().unwrap();
        let muted = journal.apply(&event).unwrap();
        let offer = Some(case().offer);
        assert!(matches!(
            take_by(&fresh, &both, &muted, 6, offer.clone(), 100),
            Err(Rejection::Directive(DirectiveError::Replayed { .. }))
        ));
        let withdrawn = named(&[&fresh]);
        let event = take_by(&fresh, &withdrawn, &muted, 6, offer.clone(), 100).unwrap().unwrap();
        let journal = muted.apply(&event).unwrap();
        assert_eq!(journal.taken.map(|taken| (taken.serial, taken.key)), Some((6, Some(fresh.key_id()))));
        assert!(journal.failed_before(v(1, 3), 6).is_some() && journal.failed_before(v(1, 3), 7).is_none());
        assert_eq!(take_by(&fresh, &withdrawn, &journal, 6, offer, 100), Ok(None));
    }

    #[test]
    fn rl_9_the_highest_floor_ever_seen_counts() {
        let mut journal = case().journal;
        let [a, b, c] = [v(1, 3), v(1, 2), v(2, 5)];
        for (signed, expected) in [
            (vec![a], vec![a]),
            (vec![], vec![a]),
            (vec![b, c], vec![a, c]),
            (vec![v(1, 4), v(1, 1)], vec![v(1, 4), c]),
        ] {
            journal = journal.apply(&Event::FloorsSeen(signed)).unwrap();
            assert_eq!(journal.floors, expected);
            let kept = serde_json::to_string(&journal).unwrap();
            assert_eq!(serde_json::from_str::<Journal>(&kept).unwrap(), journal);
        }
    }

    #[test]
    fn rl_3_directives_rise_and_never_contradict_themselves() {
        let key = SeedKey::new([1; 32]);
        let keys = named(&[&key]);
        let case = case();
        let take = |journal: &Journal, serial: u64, offer: Option<Offer>, expires: i64| {
            take_by(&key, &keys, journal, serial, offer, expires)
        };
        let event = take(&case.journal, 5, Some(case.offer.clone()), 100).unwrap().unwrap();
        let journal = case.journal.apply(&event).unwrap();
        assert_eq!(take(&journal, 5, Some(case.offer.clone()), 900), Ok(None), "signed afresh");
        assert_eq!(take(&journal, 5, None, 100), Err(Rejection::Ambiguous(5)));
        assert!(matches!(
            take(&journal, 4, None, 100),
            Err(Rejection::Directive(DirectiveError::Replayed { .. }))
        ));
        assert!(matches!(take(&journal, 6, None, 9), Err(Rejection::Directive(DirectiveError::Expired(_)))));
        assert!(matches!(take(&journal, 6, None, 100), Ok(Some(Event::DirectiveTaken(_)))));
    }
}
