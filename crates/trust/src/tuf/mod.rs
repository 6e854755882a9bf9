//! Publishing under The Update Framework (RL-3, AU-2): drafts for the offline keys, the repository on the plane.
//!
//! The Founder's and the Organism's keys sign drafts offline ([`draft`]); the plane holds only the snapshot and
//! timestamp keys ([`Repository`]). The reading side is `proof::tuf`.
//!
//! Never serves what the thresholds of the root did not sign, and never takes a version back.

pub mod draft;
mod files;
mod foreign;
mod repository;

use std::path::PathBuf;

pub use draft::{RootPlan, TargetsChange};
pub use foreign::ForeignKeys;
use proof::SignError;
pub use proof::tuf::{Document, Envelope, Expires, Fault, Role, Root, TargetFile, Targets, TufError};
pub use repository::{Incoming, Lifetimes, Published, Repository};

/// Why a draft could not be made or a publication was refused.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The metadata breaks a rule of TUF.
    #[error(transparent)]
    Tuf(#[from] TufError),
    /// The name is not flat, or has letters that clients treat differently.
    #[error(
        "`{0}` is no target name: letters, digits and `.`, `_`, `-`, `+`, at most 128, no folder, no dot in front"
    )]
    Name(String),
    /// A listed file is not in the repository as it is listed.
    #[error("target {name}: {why}; put the file into the repository before its metadata")]
    Target {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Files that no metadata lists take up all the room there is for them.
    #[error(
        "files that no published metadata lists yet may be {files_max}, of {bytes_max} bytes all together"
    )]
    Full {
        /// Files at most.
        files_max: usize,
        /// Bytes at most, all together.
        bytes_max: u64,
    },
    /// No root was published yet.
    #[error("{} holds no root: publish 1.root.json first", .0.display())]
    NoRoot(PathBuf),
    /// A plan that could not work.
    #[error("{0}")]
    Plan(&'static str),
    /// The file system failed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl PublishError {
    /// A stable code for problem documents and logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Tuf(error) => error.code(),
            Self::Name(_) => "tuf-target-name",
            Self::Target { .. } => "tuf-target-file",
            Self::Full { .. } => "tuf-incoming-full",
            Self::NoRoot(_) => "tuf-no-root",
            Self::Plan(_) => "tuf-plan",
            Self::Io { .. } => "tuf-io",
        }
    }

    /// Where it is no fault of the metadata, but an online key that did not sign.
    #[must_use]
    pub const fn unsigned(&self) -> Option<&SignError> {
        match self {
            Self::Tuf(TufError { fault: Fault::Sign(error), .. }) => Some(error),
            _ => None,
        }
    }
}

/// A refusal in the words of TUF.
fn refuse(role: Role, version: impl Into<Option<u64>>, rule: &'static str, fault: Fault) -> PublishError {
    PublishError::Tuf(TufError { role, version: version.into(), rule, fault })
}
