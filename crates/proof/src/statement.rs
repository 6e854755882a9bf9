//! Version statements (ID-4, ID-5): what an instance says it runs, chained by digest.
//!
//! Never judges what is said: it says whether a statement is whole and follows the one before.

use alloc::vec::Vec;

use governance::{DomainCode, InstanceId, LayerContent, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::jws::{Jws, JwsError, Typ};
use crate::key::{Checking, PublicKey};

/// The most structures one statement lists.
pub const LAYERS_MAX: usize = 256;
/// The most domains one statement lists.
pub const DOMAINS_MAX: usize = 256;

/// The payload of a version statement (ID-4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionStatement {
    /// Who says it.
    pub instance: InstanceId,
    /// 1 for the first, then one more each.
    pub sequence: u64,
    /// SHA-256 of the payload before; absent in the first.
    pub previous: Option<Digest>,
    /// When it was made, by the instance's clock.
    pub at: Timestamp,
    /// The platform version now running.
    pub platform: Version,
    /// The runtime's version.
    pub runtime: Version,
    /// Per layer structure its id and content (ID-5).
    pub layers: Vec<LayerContent>,
    /// The active domains.
    pub domains: Vec<DomainCode>,
}

/// Why a statement is not whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not signed by the instance, or no statement.
    #[error("the version statement: {0}")]
    Document(#[from] JwsError),
    /// It speaks for another instance.
    #[error("the version statement speaks for instance {found}, not for {expected}")]
    OtherInstance {
        /// Whom it names.
        found: InstanceId,
        /// Whose it had to be.
        expected: InstanceId,
    },
    /// The first has no predecessor and every other has one.
    #[error("statement {0} must name its predecessor exactly when it is not the first")]
    Predecessor(u64),
    /// One thing twice.
    #[error("the version statement lists {0} twice")]
    Twice(&'static str),
    /// Beyond the limits.
    #[error("the version statement lists {found} {what}: at most {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// The most.
        max: usize,
    },
}

impl VersionStatement {
    /// Proves that this key signed a whole statement of this instance, and reads it with its digest.
    ///
    /// # Errors
    /// When the signature, the instance or the statement itself is not right.
    pub fn open(
        document: &Jws,
        instance: InstanceId,
        key: &PublicKey,
    ) -> Result<(Self, Digest), StatementError> {
        Self::read(document, instance, key, Checking::Now)
    }

    /// The same; the signature may be checked elsewhere.
    ///
    /// # Errors
    /// As [`VersionStatement::open`].
    pub fn read(
        document: &Jws,
        instance: InstanceId,
        key: &PublicKey,
        checking: Checking,
    ) -> Result<(Self, Digest), StatementError> {
        let statement: Self = match checking {
            Checking::Now => document.verify_one(Typ::Statement, key)?.parse_payload()?,
            Checking::Elsewhere => document.parse_unverified()?,
        };
        if statement.instance != instance {
            return Err(StatementError::OtherInstance { found: statement.instance, expected: instance });
        }
        statement.validate()?;
        Ok((statement, document.digest()))
    }

    /// Whether the statement agrees with itself.
    ///
    /// # Errors
    /// The first thing wrong.
    pub fn validate(&self) -> Result<(), StatementError> {
        if self.sequence == 0 || (self.sequence == 1) != self.previous.is_none() {
            return Err(StatementError::Predecessor(self.sequence));
        }
        at_most("layer structures", self.layers.len(), LAYERS_MAX)?;
        at_most("domains", self.domains.len(), DOMAINS_MAX)?;
        if repeats(self.layers.iter().map(|layer| layer.id.stem()).collect()) {
            return Err(StatementError::Twice("a layer structure"));
        }
        if repeats(self.domains.iter().collect()) {
            return Err(StatementError::Twice("a domain"));
        }
        Ok(())
    }

    /// Whether it is the next one after `head`: the sequence and digest of the last, or none (ID-4).
    #[must_use]
    pub fn follows(&self, head: Option<(u64, Digest)>) -> bool {
        match head {
            None => self.sequence == 1 && self.previous.is_none(),
            Some((sequence, digest)) => {
                sequence.checked_add(1) == Some(self.sequence) && self.previous == Some(digest)
            }
        }
    }
}

const fn at_most(what: &'static str, found: usize, max: usize) -> Result<(), StatementError> {
    if found > max { Err(StatementError::TooMany { what, found, max }) } else { Ok(()) }
}

fn repeats<T: Ord>(mut items: Vec<T>) -> bool {
    items.sort_unstable();
    items.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{SeedKey, Sign as _};
    use alloc::vec;

    fn statement() -> VersionStatement {
        VersionStatement {
            instance: InstanceId::from_random([1; 16]),
            sequence: 1,
            previous: None,
            at: Timestamp::from_millis(0),
            platform: Version::new(0, 1, 0),
            runtime: Version::new(0, 1, 0),
            layers: vec![LayerContent { id: "TIS-A-v0.1.0".parse().unwrap(), digest: Digest::of(b"a") }],
            domains: vec!["COM".parse().unwrap()],
        }
    }

    #[test]
    fn id_4_a_statement_is_signed_by_its_instance() {
        let key = SeedKey::new([1; 32]);
        let other = SeedKey::new([2; 32]);
        let jws = Jws::sign_json(Typ::Statement, &statement(), &key).unwrap();
        let me = statement().instance;
        assert_eq!(VersionStatement::open(&jws, me, key.public_key()), Ok((statement(), jws.digest())));
        assert!(matches!(
            VersionStatement::open(&jws, me, other.public_key()),
            Err(StatementError::Document(_))
        ));
        let you = InstanceId::from_random([2; 16]);
        assert!(matches!(
            VersionStatement::open(&jws, you, key.public_key()),
            Err(StatementError::OtherInstance { .. })
        ));
    }

    #[test]
    fn id_4_statements_are_chained() {
        let first = statement();
        let head = Digest::of(b"first");
        let second = VersionStatement { sequence: 2, previous: Some(head), ..statement() };
        assert!(first.follows(None) && second.follows(Some((1, head))));
        for (what, head) in [
            ("gap", Some((0, head))),
            ("repeat", Some((2, head))),
            ("fork", Some((1, Digest::of(b"other")))),
            ("no head", None),
        ] {
            assert!(!second.follows(head), "{what}");
        }
    }

    #[test]
    fn id_5_a_statement_lists_each_thing_once() {
        let check = |change: &dyn Fn(&mut VersionStatement), good: bool| {
            let mut s = statement();
            change(&mut s);
            assert_eq!(s.validate().is_ok(), good, "{s:?}");
        };
        check(&|_| {}, true);
        check(&|s| s.sequence = 0, false);
        check(&|s| s.sequence = 2, false);
        check(&|s| s.previous = Some(Digest::of(b"")), false);
        check(&|s| s.layers.push(s.layers[0].clone()), false);
        check(&|s| s.domains.push(s.domains[0].clone()), false);
        check(&|s| s.layers = vec![s.layers[0].clone(); LAYERS_MAX + 1], false);
    }
}
