//! What a call can end in, other than its answer.

use wire::Problem;

/// Why a call brought no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The client could not be made.
    #[error("the client cannot be set up: {0}")]
    Setup(String),
    /// The request could not be signed.
    #[error("the request cannot be signed: {0}")]
    Unsigned(String),
    /// A file to send cannot be read.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// What happened.
        why: String,
    },
    /// Nobody answered, or the answer broke off. Whether the call was carried out is unknown.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// What was called.
        url: String,
        /// What happened.
        why: String,
    },
    /// The plane refused, and says why.
    #[error("{problem}")]
    Refused {
        /// Code, rules, reasons and hints.
        problem: Box<Problem>,
        /// Seconds to wait before the next call, when it said so.
        retry_after_seconds: Option<u64>,
    },
    /// The answer is not what this API says.
    #[error("{url} answered {status}, and {why}")]
    Answer {
        /// What was called.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What is wrong with it.
        why: String,
    },
    /// The answer is longer than its limit.
    #[error("{url} answered more than {bytes_max} bytes")]
    TooLong {
        /// What was called.
        url: String,
        /// The limit.
        bytes_max: u64,
    },
}

/// An enrolment that waits for a second person (HS-1).
const UNAPPROVED: &str = "enrolment-unapproved";

impl ClientError {
    pub(crate) fn unreachable(url: &str, error: &reqwest::Error) -> Self {
        // The address is in `url` already; reqwest would say it again.
        Self::Unreachable {
            url: url.to_owned(),
            why: crate::told(error).replace(&format!(" for url ({url})"), ""),
        }
    }

    /// The refusal, when the plane refused.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// The refusal's stable code, when the plane refused.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| problem.code.as_str())
    }

    /// What to do next, when the plane refused and says so.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        let reasons = self.problem().into_iter().flat_map(|problem| &problem.reasons);
        reasons.map(|reason| reason.hint.as_str()).find(|hint| !hint.is_empty())
    }

    /// Whether the same call would be refused again: the plane understood it and decided against it. False for
    /// everything that time may mend: silence, overload, a clock that is off, an approval that is to come.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.problem().is_some_and(|problem| {
            (400..500).contains(&problem.status)
                && !matches!(problem.status, 401 | 408 | 425 | 429)
                && problem.code != UNAPPROVED
        })
    }
}
