//! Tokens (EN-4, EN-5, EN-6): JWT (RFC 7519) that say what an instance may run, the keys they verify with (RFC 7517), and
//! the IETF Token Status List that says which of them still count.
//!
//! Never decides who is entitled to what: `governance` does. A token proves nothing before its type, key, audience and
//! time are checked, and no longer counts once its status list says so.

mod keys;
mod list;
#[cfg(test)]
mod tests;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use governance::entitlement::{ActivationRight, Entitlement, IssuedToken, TokenStatus};
use governance::{DomainCode, InstanceId, Span, SubscriptionStatus, Tier, Timestamp, TrustDomain, Version};
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::jws::{Jws, JwsError, Typ};
use crate::key::Sign;

pub use keys::{JWKS_BYTES_MAX, TokenKeys};
pub use list::{LIST_BYTES_MAX, StatusList};

/// How far ahead the issuer's clock may be.
const LEEWAY: Span = Span::from_millis(60_000);

/// Why a token does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not signed by a key for tokens, of another type, or no token.
    #[error("the token: {0}")]
    Document(JwsError),
    /// Nobody may sign tokens.
    #[error("there is no key that may sign tokens")]
    NoKeys,
    /// No set of keys.
    #[error("not a set of keys (JWKS): {0}")]
    Keys(String),
    /// Of another federation.
    #[error("the token was issued by `{found}`, not by `{expected}`")]
    OtherIssuer {
        /// Who issued it.
        found: String,
        /// Who had to.
        expected: String,
    },
    /// For somebody else.
    #[error("the token is for `{found}`, not for `{expected}`")]
    OtherAudience {
        /// Whom it is for.
        found: String,
        /// Who reads it.
        expected: String,
    },
    /// Its time is over.
    #[error("the token ended at {0}")]
    Expired(Timestamp),
    /// Its time has not come.
    #[error("the token was issued at {0}, which is yet to come")]
    NotYet(Timestamp),
    /// The status list is not as it should be.
    #[error("the status list: {0}")]
    List(&'static str),
    /// The list is another one than the token names.
    #[error("the status list is `{found}`, the token names `{expected}`")]
    OtherList {
        /// Its name.
        found: String,
        /// The one that the token names.
        expected: String,
    },
    /// The status list has to be fetched anew.
    #[error("the status list was to be fetched anew by {0}")]
    Stale(Timestamp),
    /// The status list says that it does not count.
    #[error("the status list says that the token is {0}")]
    Status(TokenStatus),
}

impl From<JwsError> for TokenError {
    fn from(error: JwsError) -> Self {
        Self::Document(error)
    }
}

/// What every token says, and beside it the right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims<R> {
    /// The federation, as `spiffe://TRUST-DOMAIN`.
    pub iss: String,
    /// The instance whose right it is, as `spiffe://TRUST-DOMAIN/instance/ID`.
    pub sub: String,
    /// The same: a token is for its instance alone.
    pub aud: String,
    /// When it was issued, in seconds of Unix time.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
    /// Its name.
    pub jti: String,
    /// Where its status stands.
    pub status: Status,
    /// The right.
    #[serde(flatten)]
    pub right: R,
}

/// Where a token's status stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// In a Token Status List.
    pub status_list: Place,
}

/// A place in a status list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its number.
    pub idx: u32,
    /// The list.
    pub uri: String,
}

/// The right of an entitlement token (EN-4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitlementClaims {
    /// The tier.
    pub tier: Tier,
    /// Domains that the tier allows; `null` is without limit.
    pub domains_max: Option<u32>,
    /// Whether it allows custom domains.
    pub custom_domains: bool,
    /// The domains that may run.
    pub domains: Vec<DomainCode>,
    /// Where the subscription stands.
    pub subscription: SubscriptionStatus,
}

/// The right of an activation token (EN-5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationClaims {
    /// The domain.
    pub domain: DomainCode,
    /// The module's version.
    pub version: Version,
    /// SHA-256 of its content, where the Organism has published one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// Who issues the tokens of a federation, and where their status lists are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The federation.
    pub trust_domain: TrustDomain,
    /// Address of the public listener, as `https://HOST:PORT`.
    pub public: String,
}

impl Issuer {
    /// The name that stands in `iss`.
    #[must_use]
    pub fn name(&self) -> String {
        alloc::format!("spiffe://{}", self.trust_domain)
    }

    /// The name of an instance, as it stands in `sub` and `aud` (ID-1).
    #[must_use]
    pub fn audience(&self, instance: InstanceId) -> String {
        audience(&self.trust_domain, instance)
    }

    /// The address of an instance's status list.
    #[must_use]
    pub fn list(&self, instance: InstanceId) -> String {
        alloc::format!("{}/status/{instance}", self.public)
    }

    fn claims<R>(&self, instance: InstanceId, token: &IssuedToken, right: R) -> Claims<R> {
        let audience = self.audience(instance);
        Claims {
            iss: self.name(),
            sub: audience.clone(),
            aud: audience,
            iat: token.issued.as_seconds(),
            exp: token.expires.as_seconds(),
            jti: token.id(instance).to_string(),
            status: Status { status_list: Place { idx: token.index, uri: self.list(instance) } },
            right,
        }
    }

    /// The entitlement token that is on record as this one (EN-4).
    ///
    /// # Errors
    /// When it is too large.
    pub fn entitlement(
        &self,
        right: &Entitlement,
        token: &IssuedToken,
        key: &dyn Sign,
    ) -> Result<String, JwsError> {
        let claims = EntitlementClaims {
            tier: right.tier,
            domains_max: right.domains_max,
            custom_domains: right.custom_domains,
            domains: right.domains.clone(),
            subscription: right.subscription,
        };
        let claims = self.claims(right.audience, token, claims);
        Jws::sign_json(Typ::Entitlement, &claims, key)?.to_compact()
    }

    /// The activation token that is on record as this one (EN-5).
    ///
    /// # Errors
    /// When it is too large.
    pub fn activation(
        &self,
        right: &ActivationRight,
        token: &IssuedToken,
        key: &dyn Sign,
    ) -> Result<String, JwsError> {
        let claims =
            ActivationClaims { domain: right.domain.clone(), version: right.version, digest: right.digest };
        let claims = self.claims(right.audience, token, claims);
        Jws::sign_json(Typ::Activation, &claims, key)?.to_compact()
    }
}

/// The name of an instance (ID-1).
#[must_use]
pub fn audience(trust_domain: &TrustDomain, instance: InstanceId) -> String {
    alloc::format!("spiffe://{trust_domain}/instance/{instance}")
}

fn seconds(at: i64) -> Timestamp {
    Timestamp::from_millis(at.saturating_mul(1_000))
}

fn check_times(iat: i64, exp: Option<i64>, now: Timestamp) -> Result<(), TokenError> {
    if let Some(end) = exp.map(seconds).filter(|end| now >= *end) {
        return Err(TokenError::Expired(end));
    }
    let issued = seconds(iat);
    if issued.since(now) > LEEWAY { Err(TokenError::NotYet(issued)) } else { Ok(()) }
}
