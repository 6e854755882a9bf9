//! What can go wrong outside of the agent's own judgement, and what whoever reads it can do.

use std::path::PathBuf;

use client::ClientError;
use wire::ProblemReason;

use crate::core::offer::Rejection;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The system refused to read or write.
    #[error("{}: cannot {what}: {cause}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A file of the agent's folder is not what the agent wrote.
    #[error("{} cannot be understood: {why}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another agent works in this folder.
    #[error("{} is in use by another agent", .0.display())]
    InUse(PathBuf),
    /// There is no enrolment secret and no identity yet.
    #[error("the instance is not enrolled, and `enrolment` is not set")]
    NoSecret,
    /// There is no identity in the folder.
    #[error("no instance is enrolled in {}", .0.display())]
    NotEnrolled(PathBuf),
    /// The journal knows no version that a wish could mean.
    #[error("{why}")]
    NoVersion {
        /// What the journal lacks.
        why: &'static str,
        /// The rule the wish rests on.
        rule: &'static str,
    },
    /// The file of the enrolment secret holds none.
    #[error("{}: the enrolment secret cannot be read: {why}", path.display())]
    Secret {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Two checkpoints under the ledger's key that are not of one log.
    #[error("two ledgers are shown: {kept}, and {shown} (found at {at})")]
    SplitView {
        /// When that was found.
        at: governance::Timestamp,
        /// The one that was kept.
        kept: String,
        /// The one that is not of the same log.
        shown: String,
        /// Where both are.
        folder: PathBuf,
    },
    /// There is nothing to acknowledge.
    #[error("no split view of the ledger waits to be acknowledged")]
    NoSplitView,
    /// Nothing tells yet whether a checkpoint is of the log that is shown here.
    #[error("nothing shown here tells yet whether {size} entries are of the same ledger: it has {here} here")]
    NotTold {
        /// The size of the checkpoint.
        size: u64,
        /// The size of the log that is shown here.
        here: u64,
    },
    /// The root keys given are not those of this federation.
    #[error("the root keys given do not vouch for this federation: {0}")]
    WrongRoot(String),
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
        move |cause| Self::File { path, what, cause }
    }

    /// Says which document is not believed.
    pub(crate) fn untrusted(what: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> Self {
        move |why| Self::Untrusted { what, why: why.to_string() }
    }

    /// Whether no waiting can mend it: somebody must change settings, files or the plane's mind.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Corrupt { .. }
            | Self::InUse(_)
            | Self::NoSecret
            | Self::NotEnrolled(_)
            | Self::NoVersion { .. }
            | Self::Secret { .. }
            | Self::NoSplitView
            | Self::WrongRoot(_) => true,
            Self::Call(error) => error.is_final(),
            Self::File { .. }
            | Self::Untrusted { .. }
            | Self::Rejected(_)
            | Self::SplitView { .. }
            | Self::NotTold { .. }
            | Self::Package(_)
            | Self::System(_) => false,
        }
    }

    /// Every reason, each with its code, rule and hint.
    #[must_use]
    pub fn reasons(&self) -> Vec<ProblemReason> {
        if let Self::Call(ClientError::Refused { problem, .. }) = self
            && !problem.reasons.is_empty()
        {
            return problem.reasons.clone();
        }
        let (code, rule, hint) = self.told();
        if let Self::SplitView { folder, .. } = self {
            let hint = format!("keep {} as evidence; {hint}", folder.display());
            return vec![reason(code, rule, self.to_string(), &hint)];
        }
        vec![reason(code, rule, self.to_string(), hint)]
    }

    fn told(&self) -> (&str, &'static str, &'static str) {
        match self {
            Self::File { .. } => ("file", "CLI", "check the name, and who may read and write there"),
            Self::Corrupt { .. } => ("malformed", "CLI", "bring back the file as it was made"),
            Self::InUse(_) => ("in-use", "ID-4", "end the other agent, or name another `folder`"),
            Self::NoSecret => (
                "not-enrolled",
                "HS-1",
                "set `enrolment` to the secret that an operator gave, or to file:PATH",
            ),
            Self::NotEnrolled(_) => {
                ("not-enrolled", "HS-1", "start the agent first, with the same settings: fedplane-agent run")
            }
            Self::NoVersion { rule, .. } => ("no-version", rule, "name the version"),
            Self::Secret { .. } => (
                "secret",
                "HS-1",
                "put the secret that an operator gave into the file that `enrolment` names",
            ),
            Self::SplitView { .. } => (
                "split-view",
                "LG-2",
                "show it to the Founder and to other owners, not to the plane's operator alone; then: fedplane-agent checkpoints --acknowledge",
            ),
            Self::NoSplitView => ("no-split-view", "LG-2", "fedplane-agent checkpoints lists what was seen"),
            Self::NotTold { .. } => (
                "not-told",
                "LG-2",
                "hold it against the ledger again once that has grown to its size; where it has already, keep the file as evidence",
            ),
            Self::WrongRoot(_) => (
                "wrong-root",
                "AU-4",
                "compare `root` with the operator's founder.json, and `public` with the address of that federation",
            ),
            Self::Call(ClientError::Refused { problem, .. }) => (problem.code.as_str(), "", ""),
            Self::Call(ClientError::Unreachable { .. }) => {
                ("unreachable", "CLI", "check `plane` and `public`, and whether the plane runs")
            }
            Self::Call(_) => {
                ("call", "CLI", "check `plane` and `public`: are they the plane's two addresses?")
            }
            Self::Untrusted { .. } => ("untrusted", "AU-2", "ask the operator; nothing was changed here"),
            Self::Rejected(rejection) => (rejection.code(), rejection.rule(), ""),
            Self::Package(_) => ("other-bytes", "RL-3", "ask the operator; nothing was changed here"),
            Self::System(_) => ("system", "CLI", "check `folder`, `listen` and the system's log"),
        }
    }
}

/// A reason in the words of the law.
pub(super) fn reason(code: &str, rule: &str, detail: String, hint: &str) -> ProblemReason {
    ProblemReason { code: code.to_owned(), rule: rule.to_owned(), detail, hint: hint.to_owned() }
}
