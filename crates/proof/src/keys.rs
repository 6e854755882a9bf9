//! The keys document (AU-4): which keys speak for the Founder, the Organism and the Federation, for what, and when.
//!
//! Never trusts itself: it counts only once the Founder keys that the reader already holds have signed it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use governance::{Timestamp, TrustDomain};
use serde::{Deserialize, Serialize};

use crate::jws::{Jws, JwsError, Typ};
use crate::key::{KeyId, KeySet, PublicKey};

/// The most online keys a document may name.
pub const ONLINE_KEYS_MAX: usize = 64;
/// The longest root certificate, in bytes of PEM.
pub const ROOT_CA_BYTES_MAX: usize = 8 * 1024;
/// The longest name of a ledger, in bytes.
pub const ORIGIN_BYTES_MAX: usize = 512;

/// What an online key is for; it is good for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Directives to instances (RL-3).
    Directives,
    /// Entitlement and activation tokens (EN-4, EN-5).
    Tokens,
    /// TUF snapshot metadata (RL-3).
    Snapshot,
    /// TUF timestamp metadata (RL-3).
    Timestamp,
    /// Ledger checkpoints (LG-2).
    Ledger,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: &'static [Self] =
        &[Self::Directives, Self::Tokens, Self::Snapshot, Self::Timestamp, Self::Ledger];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Directives => "directives",
            Self::Tokens => "tokens",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
            Self::Ledger => "ledger",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An online key of the Federation, its purpose and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnlineKey {
    /// What it is for.
    pub purpose: Purpose,
    /// The key.
    pub key: PublicKey,
    /// The first instant it counts.
    pub not_before: Timestamp,
    /// The last instant it counts.
    pub not_after: Timestamp,
}

impl OnlineKey {
    /// Whether it counts at this instant; both ends do.
    #[must_use]
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        self.not_before <= at && at <= self.not_after
    }
}

/// The payload of the keys document (AU-4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysDocument {
    /// Rises with every document.
    pub serial: u64,
    /// The federation's name in SPIFFE ids.
    pub trust_domain: TrustDomain,
    /// When it was made.
    pub issued: Timestamp,
    /// Who signs orders, constitutions and the next keys document.
    pub founder: KeySet,
    /// Who signs releases.
    pub organism: KeySet,
    /// The Federation's keys.
    pub online: Vec<OnlineKey>,
    /// The root CA's certificate, PEM.
    pub root_ca: String,
    /// The ledger's name in checkpoints.
    pub ledger_origin: String,
}

/// Why a keys document is not to be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not signed as it must be, or not a keys document.
    #[error("the keys document: {0}")]
    Document(#[from] JwsError),
    /// It names other Founder keys, who have not signed it themselves.
    #[error("the keys document names new Founder keys that did not sign it: {0}")]
    NewFounder(JwsError),
    /// A serial starts at 1.
    #[error("the keys document has serial 0: the first is 1")]
    Serial,
    /// Another document is already followed that is at least as new.
    #[error("the keys document has serial {found}, and one with serial {known} is already followed")]
    Replayed {
        /// Its serial.
        found: u64,
        /// The serial followed.
        known: u64,
    },
    /// It belongs to another federation.
    #[error("the keys document is of the trust domain `{found}`, not of `{expected}`")]
    OtherFederation {
        /// Its trust domain.
        found: TrustDomain,
        /// The one followed.
        expected: TrustDomain,
    },
    /// One key in two places: who holds it would hold two powers (AU-2).
    #[error("the key {0} stands in the keys document twice: every power has a key of its own")]
    SharedKey(KeyId),
    /// A key that ends before it begins.
    #[error("the {0} key {1} ends before it begins")]
    Period(Purpose, KeyId),
    /// Too many online keys.
    #[error("the keys document names {0} online keys: at most {ONLINE_KEYS_MAX}")]
    TooMany(usize),
    /// Not a certificate.
    #[error("the keys document's root_ca is no certificate in PEM of at most {ROOT_CA_BYTES_MAX} bytes")]
    RootCa,
    /// No name a checkpoint could carry.
    #[error("the keys document's ledger_origin must be `<trust domain>/…`, without white space or plus sign")]
    Origin,
}

impl KeysDocument {
    /// Opens a keys document with the Founder keys the reader already holds.
    ///
    /// A document that names other Founder keys must carry a threshold of their signatures too: nobody hands the
    /// federation to keys that nobody holds.
    ///
    /// # Errors
    /// When the signatures fall short or the document contradicts itself.
    pub fn open(document: &Jws, founder: &KeySet) -> Result<Self, KeysError> {
        let keys: Self = document.open(Typ::Keys, founder)?;
        if keys.founder != *founder {
            document.verify(Typ::Keys, &keys.founder).map_err(KeysError::NewFounder)?;
        }
        keys.validate()?;
        Ok(keys)
    }

    /// Opens the successor of this document, signed by the Founder keys this one names.
    ///
    /// # Errors
    /// As [`KeysDocument::open`]; also when it is no newer, or of another federation.
    pub fn open_successor(&self, document: &Jws) -> Result<Self, KeysError> {
        let next = Self::open(document, &self.founder)?;
        if next.serial <= self.serial {
            return Err(KeysError::Replayed { found: next.serial, known: self.serial });
        }
        if next.trust_domain != self.trust_domain {
            return Err(KeysError::OtherFederation {
                found: next.trust_domain,
                expected: self.trust_domain.clone(),
            });
        }
        Ok(next)
    }

    /// Whether the document agrees with itself: one key one power, periods that begin before they end, limits.
    ///
    /// # Errors
    /// The first thing wrong.
    pub fn validate(&self) -> Result<(), KeysError> {
        if self.serial == 0 {
            return Err(KeysError::Serial);
        }
        if self.online.len() > ONLINE_KEYS_MAX {
            return Err(KeysError::TooMany(self.online.len()));
        }
        if let Some(key) = self.online.iter().find(|key| key.not_after < key.not_before) {
            return Err(KeysError::Period(key.purpose, key.key.id()));
        }
        let mut ids: Vec<KeyId> = Vec::new();
        let offline = self.founder.keys().iter().chain(self.organism.keys());
        for key in offline.chain(self.online.iter().map(|online| &online.key)) {
            if ids.contains(&key.id()) {
                return Err(KeysError::SharedKey(key.id()));
            }
            ids.push(key.id());
        }
        let pem = self.root_ca.trim();
        let framed =
            pem.starts_with("-----BEGIN CERTIFICATE-----") && pem.ends_with("-----END CERTIFICATE-----");
        if !framed || self.root_ca.len() > ROOT_CA_BYTES_MAX {
            return Err(KeysError::RootCa);
        }
        let name = self
            .ledger_origin
            .strip_prefix(self.trust_domain.as_str())
            .and_then(|rest| rest.strip_prefix('/'));
        let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b'+');
        if !name.is_some_and(plain) || self.ledger_origin.len() > ORIGIN_BYTES_MAX {
            return Err(KeysError::Origin);
        }
        Ok(())
    }

    /// The online keys of a purpose that count at an instant, in the document's order.
    pub fn online(&self, purpose: Purpose, at: Timestamp) -> impl Iterator<Item = &OnlineKey> {
        self.online.iter().filter(move |key| key.purpose == purpose && key.is_valid_at(at))
    }

    /// The online key of this name, if it is for this purpose and counts at this instant.
    #[must_use]
    pub fn find(&self, purpose: Purpose, id: KeyId, at: Timestamp) -> Option<&PublicKey> {
        self.online(purpose, at).map(|online| &online.key).find(|key| key.id() == id)
    }

    /// The online keys of a purpose at an instant, any one of which may sign; none when there is none.
    #[must_use]
    pub fn online_set(&self, purpose: Purpose, at: Timestamp) -> Option<KeySet> {
        KeySet::new(1, self.online(purpose, at).map(|online| online.key).collect()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{SeedKey, Sign as _};
    use alloc::string::ToString;
    use alloc::vec;

    fn key(n: u8) -> SeedKey {
        SeedKey::new([n; 32])
    }

    fn set(threshold: u32, keys: &[u8]) -> KeySet {
        KeySet::new(threshold, keys.iter().map(|n| *key(*n).public_key()).collect()).unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn online(purpose: Purpose, n: u8, from: i64, to: i64) -> OnlineKey {
        OnlineKey { purpose, key: *key(n).public_key(), not_before: at(from), not_after: at(to) }
    }

    fn document() -> KeysDocument {
        KeysDocument {
            serial: 1,
            trust_domain: "fed.example".parse().unwrap(),
            issued: at(0),
            founder: set(2, &[1, 2, 3]),
            organism: set(1, &[4]),
            online: vec![online(Purpose::Directives, 5, 100, 200), online(Purpose::Ledger, 6, 0, 1000)],
            root_ca: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".to_string(),
            ledger_origin: "fed.example/ledger".to_string(),
        }
    }

    fn signed(document: &KeysDocument, by: &[u8]) -> Jws {
        let mut jws = Jws::sign_json(Typ::Keys, document, &key(by[0])).unwrap();
        by[1..].iter().for_each(|n| jws.add_signature(Typ::Keys, &key(*n)).unwrap());
        jws
    }

    #[test]
    fn au_4_the_founder_threshold_signs_it() {
        let root = set(2, &[1, 2, 3]);
        assert_eq!(KeysDocument::open(&signed(&document(), &[1, 3]), &root), Ok(document()));
        assert!(KeysDocument::open(&signed(&document(), &[1]), &root).is_err());
        assert!(KeysDocument::open(&signed(&document(), &[1, 4]), &root).is_err());
    }

    #[test]
    fn au_4_a_new_founder_signs_beside_the_old() {
        let root = set(2, &[1, 2, 3]);
        let next = KeysDocument { serial: 2, founder: set(2, &[7, 8]), ..document() };
        let first = KeysDocument::open(&signed(&document(), &[1, 2]), &root).unwrap();
        assert!(matches!(first.open_successor(&signed(&next, &[1, 2])), Err(KeysError::NewFounder(_))));
        assert!(matches!(first.open_successor(&signed(&next, &[7, 8])), Err(KeysError::Document(_))));
        let second = first.open_successor(&signed(&next, &[1, 2, 7, 8])).unwrap();
        assert_eq!(
            second.open_successor(&signed(&next, &[7, 8])),
            Err(KeysError::Replayed { found: 2, known: 2 })
        );
    }

    #[test]
    fn au_2_one_key_one_power() {
        let check = |change: &dyn Fn(&mut KeysDocument), good: bool| {
            let mut keys = document();
            change(&mut keys);
            assert_eq!(keys.validate().is_ok(), good, "{keys:?}");
        };
        check(&|_| {}, true);
        check(&|k| k.organism = set(1, &[1]), false);
        check(&|k| k.online.push(online(Purpose::Tokens, 5, 0, 1)), false);
        check(&|k| k.online.push(online(Purpose::Tokens, 1, 0, 1)), false);
        check(&|k| k.online.push(online(Purpose::Tokens, 9, 2, 1)), false);
        check(&|k| k.serial = 0, false);
        check(&|k| k.root_ca = "no".to_string(), false);
        check(&|k| k.ledger_origin = "other.example/ledger".to_string(), false);
        check(&|k| k.ledger_origin = "fed.example/a b".to_string(), false);
        check(&|k| k.ledger_origin = "fed.example/".to_string(), false);
    }

    #[test]
    fn an_online_key_counts_for_its_purpose_in_its_time() {
        let keys = document();
        let id = key(5).key_id();
        for (purpose, at_millis, found) in [
            (Purpose::Directives, 99, false),
            (Purpose::Directives, 100, true),
            (Purpose::Directives, 200, true),
            (Purpose::Directives, 201, false),
            (Purpose::Ledger, 150, false),
        ] {
            assert_eq!(keys.find(purpose, id, at(at_millis)).is_some(), found, "{purpose} {at_millis}");
        }
        assert!(keys.online_set(Purpose::Tokens, at(150)).is_none());
    }

    #[test]
    fn the_json_is_that_of_the_format() {
        let json = serde_json::to_value(document()).unwrap();
        assert_eq!(json["online"][0]["purpose"], "directives");
        assert_eq!(json["founder"]["threshold"], 2);
        assert_eq!(json["organism"]["keys"][0]["kty"], "OKP");
        let mut more = json;
        more["note"] = "x".into();
        assert!(serde_json::from_value::<KeysDocument>(more).is_err());
    }
}
