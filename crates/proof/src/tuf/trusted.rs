//! What a whole refresh established, and the targets that it vouches for.
//!
//! Never made but by the updater: holding it is the proof that every check passed.

use alloc::format;
use alloc::string::String;

use governance::Timestamp as Instant;
use serde_json::{Map, Value};

use super::canonical::hex_encode;
use super::error::{Fault, TufError};
use super::profile::Profile;
use super::schema::{Role, Root, Snapshot, TargetFile, Targets, Timestamp};
use super::search::Search;
use super::updater::Checked;

/// What a whole refresh established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    pub(super) now: Instant,
    pub(super) profile: Profile,
    pub(super) root: Root,
    pub(super) timestamp: Timestamp,
    pub(super) snapshot: Snapshot,
    pub(super) targets: Targets,
}

/// A target as the Organism signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetInfo {
    /// Its name.
    pub name: String,
    /// Its path below the targets folder.
    pub path: String,
    /// Its length in bytes: read no more.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// What the application added.
    pub custom: Option<Map<String, Value>>,
}

impl Trusted {
    /// The root in force.
    #[must_use]
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// The current timestamp.
    #[must_use]
    pub const fn timestamp(&self) -> &Timestamp {
        &self.timestamp
    }

    /// The current snapshot.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The current targets, delegations included.
    #[must_use]
    pub const fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Begins to search for a target, delegations included (§5.6.7).
    #[must_use]
    pub fn search(&self, path: &str) -> Search<'_> {
        Search::new(self, path)
    }

    /// Looks a target of our own repository up among those of the top-level role (§5.7). Delegations are not followed.
    ///
    /// # Errors
    /// [`Fault::Unlisted`] (§5.7.2), or [`Fault::Mismatch`] (§5.7.3) when it lists no well-formed SHA-256.
    pub fn target(&self, name: &str) -> Checked<TargetInfo> {
        let refuse = |rule, fault| TufError::new(Role::Targets, self.targets.version, rule, fault);
        let file: &TargetFile =
            self.targets.targets.get(name).ok_or_else(|| refuse("5.7.2", Fault::Unlisted(name.into())))?;
        let sha256 = file.sha256().ok_or_else(|| refuse("5.7.3", Fault::Mismatch("hash: none is sha256")))?;
        let path = match (self.root.consistent_snapshot, name.rsplit_once('/')) {
            (false, _) => name.into(),
            (true, None) => format!("{}.{name}", hex_encode(&sha256)),
            (true, Some((folder, last))) => format!("{folder}/{}.{last}", hex_encode(&sha256)),
        };
        Ok(TargetInfo { name: name.into(), path, length: file.length, sha256, custom: file.custom.clone() })
    }
}

impl TargetInfo {
    /// Checks fetched bytes (§5.7.3). Whoever streams compares `length` and `sha256` alike.
    ///
    /// # Errors
    /// [`Fault::TooLong`] or [`Fault::Mismatch`].
    pub fn check(&self, bytes: &[u8]) -> Checked {
        let refuse = |fault| Err(TufError::new(Role::Targets, None, "5.7.3", fault));
        if bytes.len() as u64 > self.length {
            return refuse(Fault::TooLong { max_bytes: self.length });
        }
        let file = TargetFile::of(bytes);
        if file.length != self.length {
            return refuse(Fault::Mismatch("length"));
        }
        if file.sha256() == Some(self.sha256) { Ok(()) } else { refuse(Fault::Mismatch("hash")) }
    }
}
