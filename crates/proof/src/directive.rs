//! Directives (AU-3, RL-3): what the Federation tells one instance about itself; the Runtime weighs and carries out.
//!
//! Never names bytes the Organism did not sign: a directive only points at a target that TUF must confirm.

use governance::{Action, InstanceId, Package, Phase, RolloutId, State, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::jws::{Jws, JwsError, Typ};
use crate::key::{KeyId, KeySet};
use crate::keys::{KeysDocument, Purpose};

/// What the instance is asked to do with the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfferAction {
    /// Install it.
    Update,
    /// Go back to it (RO-3).
    Rollback,
    /// Install it while suspended (LC-19).
    Remediation,
}

impl From<Action> for OfferAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Update => Self::Update,
            Action::Rollback => Self::Rollback,
        }
    }
}

/// The bytes meant, as TUF lists them.
pub type PackageRef = Package;

/// A release on offer to the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Which release.
    pub release: Version,
    /// To what end.
    pub action: OfferAction,
    /// The rollout it belongs to.
    pub rollout: Option<RolloutId>,
    /// The phase that reached the instance.
    pub phase: Option<Phase>,
    /// The bytes.
    pub package: PackageRef,
    /// Until when; absent where nothing is forced.
    pub deadline: Option<Timestamp>,
}

/// The payload of a directive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directive {
    /// To whom.
    pub instance: InstanceId,
    /// Rises with every directive to this instance; the agent keeps the highest (RL-3).
    pub serial: u64,
    /// When it was signed.
    pub at: Timestamp,
    /// The last instant it may be followed.
    pub expires: Timestamp,
    /// Where the instance stands.
    pub state: State,
    /// What is on offer, if anything.
    pub offer: Option<Offer>,
}

/// Why a directive is not to be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectiveError {
    /// Not signed by a directives key, or no directive.
    #[error("the directive: {0}")]
    Document(JwsError),
    /// Nobody may sign directives now.
    #[error("the keys document names no key that may sign directives now (AU-4)")]
    NoKeys,
    /// To another instance.
    #[error("the directive is for instance {found}, not for {expected}")]
    OtherInstance {
        /// Whom it names.
        found: InstanceId,
        /// Who reads it.
        expected: InstanceId,
    },
    /// Out of date.
    #[error("the directive expired at {0}")]
    Expired(Timestamp),
    /// Older than one already seen.
    #[error("the directive has serial {found}, and {seen} has been seen")]
    Replayed {
        /// Its serial.
        found: u64,
        /// The highest seen.
        seen: u64,
    },
}

impl From<JwsError> for DirectiveError {
    fn from(error: JwsError) -> Self {
        Self::Document(error)
    }
}

/// The highest serial that an instance has seen, and the key that signed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The serial; 0 when none was seen.
    pub serial: u64,
    /// Who signed it; unknown counts as a key that is still named.
    pub key: Option<KeyId>,
}

impl Seen {
    /// Whether it still counts. Once the Founder's keys document no longer names the key for directives, whatever that
    /// key said is void and serials start anew: a stolen key mutes nobody beyond its withdrawal (AU-4, RL-3). A key
    /// whose time ran out is still named.
    #[must_use]
    pub fn counts(&self, keys: &KeysDocument) -> bool {
        let named = |id| {
            keys.online.iter().any(|online| online.purpose == Purpose::Directives && online.key.id() == id)
        };
        self.key.is_none_or(named)
    }
}

impl Directive {
    /// Opens a directive by the keys document in force, after what was seen before; with it comes what is seen now.
    ///
    /// # Errors
    /// As [`Directive::open`]; also when no key may sign directives at this instant.
    pub fn open_after(
        document: &Jws,
        keys: &KeysDocument,
        instance: InstanceId,
        seen: Seen,
        now: Timestamp,
    ) -> Result<(Self, Seen), DirectiveError> {
        let signers = keys.online_set(Purpose::Directives, now).ok_or(DirectiveError::NoKeys)?;
        let serial = if seen.counts(keys) { seen.serial } else { 0 };
        let directive = Self::open(document, &signers, instance, serial, now)?;
        let key = document.verify(Typ::Directive, &signers)?.signers().first().copied();
        let seen = Seen { serial: directive.serial, key };
        Ok((directive, seen))
    }

    /// Opens a directive as its instance does: signed by a key for directives, for this instance, in time, and no
    /// older than the highest serial seen (0 when none). The same serial again is the same directive again.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn open(
        document: &Jws,
        keys: &KeySet,
        instance: InstanceId,
        seen: u64,
        now: Timestamp,
    ) -> Result<Self, DirectiveError> {
        let directive: Self = document.open(Typ::Directive, keys)?;
        if directive.instance != instance {
            return Err(DirectiveError::OtherInstance { found: directive.instance, expected: instance });
        }
        if now > directive.expires {
            return Err(DirectiveError::Expired(directive.expires));
        }
        if directive.serial < seen {
            return Err(DirectiveError::Replayed { found: directive.serial, seen });
        }
        Ok(directive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;
    use crate::key::{SeedKey, Sign as _};
    use crate::keys::OnlineKey;
    use alloc::string::{String, ToString};

    fn directive() -> Directive {
        Directive {
            instance: InstanceId::from_random([1; 16]),
            serial: 5,
            at: Timestamp::from_millis(0),
            expires: Timestamp::from_millis(100),
            state: State::UpdatePending,
            offer: Some(Offer {
                release: Version::new(0, 1, 1),
                action: OfferAction::Update,
                rollout: Some(RolloutId::from_random([2; 16])),
                phase: Some(Phase::Canary),
                package: PackageRef {
                    name: "package-0.1.1".to_string(),
                    digest: Digest::of(b"x"),
                    length: 1,
                },
                deadline: None,
            }),
        }
    }

    #[test]
    fn rl_3_a_directive_is_for_one_instance_in_its_time_and_order() {
        let key = SeedKey::new([1; 32]);
        let keys = KeySet::single(*key.public_key());
        let jws = Jws::sign_json(Typ::Directive, &directive(), &key).unwrap();
        let open = |instance: u8, seen: u64, now: i64| {
            let instance = InstanceId::from_random([instance; 16]);
            Directive::open(&jws, &keys, instance, seen, Timestamp::from_millis(now))
        };
        assert_eq!(open(1, 0, 100), Ok(directive()));
        assert_eq!(open(1, 5, 100), Ok(directive()));
        assert!(matches!(open(1, 6, 100), Err(DirectiveError::Replayed { found: 5, seen: 6 })));
        assert!(matches!(open(1, 0, 101), Err(DirectiveError::Expired(_))));
        assert!(matches!(open(2, 0, 100), Err(DirectiveError::OtherInstance { .. })));
        let other = KeySet::single(*SeedKey::new([9; 32]).public_key());
        let me = directive().instance;
        assert!(Directive::open(&jws, &other, me, 0, Timestamp::from_millis(0)).is_err());
    }

    #[test]
    fn rl_3_a_withdrawn_key_mutes_nobody() {
        let [founder, organism, stolen, fresh] = [1, 2, 3, 4].map(|seed| SeedKey::new([seed; 32]));
        let keys = |named: &[&SeedKey], not_after: i64| KeysDocument {
            serial: 1,
            trust_domain: "fed.example".parse().unwrap(),
            issued: Timestamp::from_millis(0),
            founder: KeySet::single(*founder.public_key()),
            organism: KeySet::single(*organism.public_key()),
            online: named
                .iter()
                .map(|key| OnlineKey {
                    purpose: Purpose::Directives,
                    key: *key.public_key(),
                    not_before: Timestamp::from_millis(0),
                    not_after: Timestamp::from_millis(not_after),
                })
                .collect(),
            root_ca: String::new(),
            ledger_origin: String::new(),
        };
        let open = |serial: u64, key: &SeedKey, keys: &KeysDocument, seen: Seen, now: i64| {
            let directive = Directive { serial, ..directive() };
            let jws = Jws::sign_json(Typ::Directive, &directive, key).unwrap();
            let now = Timestamp::from_millis(now);
            Directive::open_after(&jws, keys, directive.instance, seen, now).map(|(_, seen)| seen)
        };
        let both = keys(&[&stolen, &fresh], 100);
        let muted = open(u64::MAX, &stolen, &both, Seen::default(), 1).unwrap();
        assert_eq!(muted, Seen { serial: u64::MAX, key: Some(stolen.key_id()) });
        assert!(matches!(open(6, &fresh, &both, muted, 1), Err(DirectiveError::Replayed { .. })));
        let withdrawn = keys(&[&fresh], 100);
        let again = open(6, &fresh, &withdrawn, muted, 1).unwrap();
        assert_eq!(again, Seen { serial: 6, key: Some(fresh.key_id()) });
        assert!(matches!(open(5, &fresh, &withdrawn, again, 1), Err(DirectiveError::Replayed { .. })));
        assert!(open(7, &stolen, &withdrawn, again, 1).is_err());
        // Not known who signed: nothing starts anew. Nobody may sign: nothing is opened.
        let unknown = Seen { key: None, ..muted };
        assert!(matches!(open(6, &fresh, &withdrawn, unknown, 1), Err(DirectiveError::Replayed { .. })));
        assert_eq!(open(6, &fresh, &keys(&[&fresh], 0), muted, 1), Err(DirectiveError::NoKeys));
        assert!(muted.counts(&keys(&[&stolen], 0)), "its time ran out, and it is still named");
    }

    #[test]
    fn the_json_is_that_of_the_format() {
        let json = serde_json::to_value(directive()).unwrap();
        assert_eq!(json["offer"]["action"], "update");
        assert_eq!(json["state"], "update-pending");
        assert_eq!(json["expires"], "1970-01-01T00:00:00.100Z");
    }
}
