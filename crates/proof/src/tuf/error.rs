//! What can be wrong with TUF metadata: the role, the version it claims, the section of the specification, the fault.

use alloc::boxed::Box;
use alloc::string::String;

use super::canonical::CanonicalError;
use super::schema::Role;
use crate::key::SignError;

/// A refusal of the update workflow or of a publication. Sections are those of TUF 1.0.33.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("TUF {rule}: {role}{}: {fault}", Versioned(*.version))]
pub struct TufError {
    /// The role whose metadata was refused.
    pub role: Role,
    /// The version it claims, where it could be read or was asked for.
    pub version: Option<u64>,
    /// The section of the specification, as `5.4.3`.
    pub rule: &'static str,
    /// What is wrong.
    pub fault: Fault,
}

struct Versioned(Option<u64>);

impl core::fmt::Display for Versioned {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.map_or(Ok(()), |version| write!(f, " version {version}"))
    }
}

impl TufError {
    pub(super) fn new(role: Role, version: impl Into<Option<u64>>, rule: &'static str, fault: Fault) -> Self {
        Self { role, version: version.into(), rule, fault }
    }

    /// A stable code for problem documents, logs and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.fault.code()
    }
}

/// What is wrong with one piece of metadata or one target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not JSON of the role's shape.
    #[error("malformed: {0}")]
    Malformed(String),
    /// No canonical form, so nothing a signature could cover.
    #[error("no canonical form: {0}")]
    Canonical(#[from] CanonicalError),
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Too few distinct keys of the role signed it.
    #[error("{valid} valid signatures by distinct keys of {by}, {threshold} needed")]
    Signatures {
        /// Distinct keys whose signature holds.
        valid: u64,
        /// How many are needed.
        threshold: u64,
        /// Whose keys: `root 3`, `its own root` …
        by: String,
    },
    /// The version is not the one that must come now.
    #[error("expected version {expected}")]
    Version {
        /// The version asked for or announced.
        expected: u64,
    },
    /// A version below one already trusted.
    #[error("rollback: {file} version {offered} is below the trusted {trusted}")]
    Rollback {
        /// The file whose version falls.
        file: String,
        /// The version offered now; zero when the file is listed no more.
        offered: u64,
        /// The version trusted before.
        trusted: u64,
    },
    /// Expired at the time the refresh began: perhaps a freeze attack.
    #[error("expired {expires}; a freeze attack holds back what is newer")]
    Expired {
        /// The moment it expired.
        expires: String,
    },
    /// The bytes are not those announced: a mix and match attack, or damage.
    #[error("the bytes do not have the announced {0}")]
    Mismatch(&'static str),
    /// More bytes than allowed: endless data.
    #[error("more than {max_bytes} bytes")]
    TooLong {
        /// The limit that held.
        max_bytes: u64,
    },
    /// The repository does not have the file.
    #[error("the repository has no {0}")]
    NotFound(String),
    /// Another file is not listed where it must be.
    #[error("does not list {0}")]
    Unlisted(String),
    /// A delegated role was refused, which ends the search (§5.6.7).
    #[error("delegated role `{name}`: {fault}")]
    Delegated {
        /// Its name.
        name: String,
        /// What is wrong with it.
        fault: Box<Self>,
    },
    /// A name that would lead out of the folder of targets.
    #[error("the path `{0}` is empty or has a part `.` or `..`")]
    Path(String),
    /// An earlier step refused, or a step is still missing.
    #[error("the refresh did not reach its end")]
    Unfinished,
}

impl Fault {
    /// The stable code of this fault.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "tuf-malformed",
            Self::Canonical(_) => "tuf-not-canonical",
            Self::Sign(_) => "tuf-unsigned",
            Self::Signatures { .. } => "tuf-signatures",
            Self::Version { .. } => "tuf-version",
            Self::Rollback { .. } => "tuf-rollback",
            Self::Expired { .. } => "tuf-expired",
            Self::Mismatch(_) => "tuf-mismatch",
            Self::TooLong { .. } => "tuf-too-long",
            Self::NotFound(_) => "tuf-not-found",
            Self::Unlisted(_) => "tuf-unlisted",
            Self::Delegated { .. } => "tuf-delegated",
            Self::Path(_) => "tuf-path",
            Self::Unfinished => "tuf-unfinished",
        }
    }
}
