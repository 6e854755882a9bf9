//! The chain of version statements (ID-4): each is on disk before it is sent, and sent again unchanged until the
//! plane has acknowledged it, so that no crash can fork the chain.

use governance::{Digest, DomainCode, InstanceId, Timestamp};
use proof::{Jws, Sign, Typ, VersionStatement};
use serde::{Deserialize, Serialize};

use super::{Folder, ShellError};
use crate::core::journal::Installed;

const FILE: &str = "statements.json";

/// A statement as it was signed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    sequence: u64,
    digest: Digest,
    at: Timestamp,
    running: Installed,
    domains: Vec<DomainCode>,
    document: Jws,
}

/// The chain as far as it must be remembered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Statements {
    /// The last one the plane acknowledged.
    acknowledged: Option<Signed>,
    /// The one it may or may not have.
    pending: Option<Signed>,
}

impl Statements {
    pub(super) fn load(folder: &Folder) -> Result<Self, ShellError> {
        Ok(folder.read_json(FILE)?.unwrap_or_default())
    }

    /// Forgets the chain: the next statement is the first of another one. On disk when this returns.
    pub(super) fn forget(folder: &Folder) -> Result<(), ShellError> {
        folder.write_json(FILE, &Self::default())
    }

    /// The statement to send: the pending one, or a new one, which is on disk when this returns.
    pub(super) fn next(
        &mut self,
        folder: &Folder,
        instance: InstanceId,
        running: &Installed,
        domains: &[DomainCode],
        key: &dyn Sign,
        now: Timestamp,
    ) -> Result<Jws, ShellError> {
        if let Some(pending) = &self.pending {
            return Ok(pending.document.clone());
        }
        let head = self.acknowledged.as_ref().map(|signed| (signed.sequence, signed.digest));
        let statement = VersionStatement {
            instance,
            sequence: head.map_or(1, |(sequence, _)| sequence.saturating_add(1)),
            previous: head.map(|(_, digest)| digest),
            at: now,
            platform: running.platform,
            runtime: running.runtime,
            layers: running.layers.clone(),
            domains: domains.to_vec(),
        };
        let untrusted = |why: &dyn std::fmt::Display| ShellError::untrusted("the version statement")(why);
        statement.validate().map_err(|error| untrusted(&error))?;
        let document = Jws::sign_json(Typ::Statement, &statement, key).map_err(|error| untrusted(&error))?;
        let signed = Signed {
            sequence: statement.sequence,
            digest: document.digest(),
            at: now,
            running: running.clone(),
            domains: domains.to_vec(),
            document: document.clone(),
        };
        let next = Self { pending: Some(signed), acknowledged: self.acknowledged.clone() };
        folder.write_json(FILE, &next)?;
        *self = next;
        Ok(document)
    }

    /// The plane has the pending statement.
    pub(super) fn acknowledge(&mut self, folder: &Folder) -> Result<(), ShellError> {
        if let Some(pending) = self.pending.clone() {
            let next = Self { acknowledged: Some(pending), pending: None };
            folder.write_json(FILE, &next)?;
            *self = next;
        }
        Ok(())
    }

    /// Whether there is one that the plane may or may not have.
    pub(super) const fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether the pending statement, if there is one, says that this runs.
    pub(super) fn pending_says(&self, running: &Installed) -> bool {
        self.pending.as_ref().is_none_or(|pending| pending.running == *running)
    }

    /// Whether there is something to say: a statement not yet acknowledged, none at all, another version or domain, or
    /// too long a silence (CO-7).
    pub(super) fn is_due(
        &self,
        running: &Installed,
        domains: &[DomainCode],
        every: governance::Span,
        now: Timestamp,
    ) -> bool {
        self.pending.is_some()
            || self.acknowledged.as_ref().is_none_or(|last| {
                last.running != *running
                    || last.domains != domains
                    || now.since(last.at) >= every
                    || last.at > now + every
            })
    }

    /// The digest of the last one acknowledged, and of the one behind it that the plane may or may not have (HS-2).
    pub(super) fn heads(&self) -> (Option<Digest>, Option<Digest>) {
        let digest = |signed: &Option<Signed>| signed.as_ref().map(|signed| signed.digest);
        (digest(&self.acknowledged), digest(&self.pending))
    }

    /// The last statement signed, acknowledged or not.
    pub(super) fn last(&self) -> Option<&Jws> {
        self.pending.as_ref().or(self.acknowledged.as_ref()).map(|signed| &signed.document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::{Span, Version};
    use proof::SeedKey;

    #[test]
    fn id_4_no_crash_forks_the_chain() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let key = SeedKey::new([1; 32]);
        let id = InstanceId::from_random([1; 16]);
        let running = |patch| Installed {
            platform: Version::new(0, 1, patch),
            runtime: Version::new(0, 1, 0),
            layers: Vec::new(),
        };
        let at = Timestamp::from_millis;
        let every = Span::from_millis(100);
        let mut chain = Statements::load(&folder).unwrap();
        assert!(chain.is_due(&running(0), &[], every, at(0)));
        let first = chain.next(&folder, id, &running(0), &[], &key, at(0)).unwrap();
        // Killed before or after sending: the same statement, even when something else runs by now.
        let mut chain = Statements::load(&folder).unwrap();
        assert_eq!(chain.next(&folder, id, &running(1), &[], &key, at(5)).unwrap(), first);
        assert!(!chain.pending_says(&running(1)));
        chain.acknowledge(&folder).unwrap();
        let mut chain = Statements::load(&folder).unwrap();
        assert_eq!(chain.heads(), (Some(first.digest()), None));
        assert!(!chain.is_due(&running(0), &[], every, at(99)));
        assert!(
            chain.is_due(&running(0), &[], every, at(100)) && chain.is_due(&running(1), &[], every, at(1))
        );
        let second = chain.next(&folder, id, &running(1), &[], &key, at(6)).unwrap();
        let (read, _) = VersionStatement::open(&second, id, key.public_key()).unwrap();
        assert!(read.follows(Some((1, first.digest()))));
    }
}
