//! Why a use case did not go through: the law refused, the request itself is not acceptable, or the store does not answer.

use governance::Refusal;
use ledger::entry::EntryError;
use proof::{JwsError, SignError};
use trust::CaError;
use trust::tuf::PublishError;

use crate::ports::StoreError;

/// A request that is refused before the law is asked: whom it claims to be, what it carries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Rejection {
    /// Stable code.
    pub code: &'static str,
    /// The rule it rests on.
    pub rule: &'static str,
    /// What happened.
    pub detail: String,
    /// What to do next.
    pub hint: &'static str,
}

impl Rejection {
    /// A rejection in full.
    pub fn new(
        code: &'static str,
        rule: &'static str,
        detail: impl Into<String>,
        hint: &'static str,
    ) -> Self {
        Self { code, rule, detail: detail.into(), hint }
    }
}

/// Why a use case did not go through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaneError {
    /// The law says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request is not acceptable.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(String),
    /// A key does not sign, since the device that holds it fails: try again later.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The store or a disk does not answer: try again later.
    #[error("{0}")]
    Unavailable(String),
}

impl From<JwsError> for PlaneError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::Sign(error) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<EntryError> for PlaneError {
    fn from(error: EntryError) -> Self {
        match error {
            EntryError::Sign(error) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<CaError> for PlaneError {
    fn from(error: CaError) -> Self {
        match error {
            CaError::Sign(error) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<PublishError> for PlaneError {
    fn from(error: PublishError) -> Self {
        match error.unsigned() {
            Some(error) => error.clone().into(),
            None => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<StoreError> for PlaneError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NonceSpent => Rejection::new(
                "nonce-replayed",
                "HS-6",
                "the request's nonce was used before",
                "sign each request afresh, with a nonce of its own",
            )
            .into(),
            StoreError::EnrolmentUsed => Rejection::new(
                "enrolment-used",
                "HS-1",
                "the enrolment was used already",
                "ask an operator for a new enrolment",
            )
            .into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
