//! What can go wrong outside of the agent's own judgement.

use std::path::PathBuf;

use client::ClientError;

use crate::core::offer::Rejection;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The system refused to read or write.
    #[error("{path}: {what}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the agent's folder is not what the agent wrote.
    #[error("{path} cannot be understood: {why}")]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another agent works in this folder.
    #[error("{0} is in use by another agent")]
    InUse(PathBuf),
    /// There is no enrolment secret and no identity yet.
    #[error("the instance is not enrolled: set `enrolment` to the secret an operator gave, or file:PATH")]
    NoSecret,
    /// A call failed.
    #[error(transparent)]
    Call(#[from] ClientError),
    /// What was published is not signed as it must be.
    #[error("{what}: {why}")]
    Untrusted {
        /// Which document.
        what: &'static str,
        /// Why it is not believed.
        why: String,
    },
    /// A directive or its offer is not followed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A package is not the one that was signed.
    #[error("the package is not the one signed: {0}")]
    Package(String),
    /// The system lacks something.
    #[error("{0}")]
    System(String),
}

impl ShellError {
    /// Says which file and what was being done to it.
    pub(crate) fn file(path: impl Into<PathBuf>, what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, what, source }
    }

    /// Says which document is not believed.
    pub(crate) fn untrusted(what: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> Self {
        move |why| Self::Untrusted { what, why: why.to_string() }
    }
}
