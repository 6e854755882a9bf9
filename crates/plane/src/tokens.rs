//! Tokens that instances ask for, and the status lists that say which of them count (HS-4, HS-5, EN-4…EN-6).
//!
//! Never says who is entitled to what: it signs what `governance` put on record.

use governance::decide::Command;
use governance::entitlement::{IssuedToken, activation, entitlement};
use governance::{Digest, DomainCode, InstanceId, Span};
use proof::token::{Issuer, TokenKeys};

use crate::instances::SignedCall;
use crate::ports::Store;
use crate::{Plane, PlaneError};

impl<S: Store> Plane<S> {
    /// The entitlement token (HS-4, EN-4): the last one while it says the same and is young.
    ///
    /// # Errors
    /// When the instance is suspended, revoked or not active yet.
    pub async fn entitle(&self, call: &SignedCall) -> Result<wire::Token, PlaneError> {
        let instance = self.called(call, Command::Entitle).await?;
        let seen = self.seen();
        let token = instance.token(None).ok_or_else(none)?;
        let right = entitlement(&instance, &seen.world, token.issued)?;
        check(token, right.content())?;
        answer(token, self.issuer().entitlement(&right, token, &self.federation.tokens))
    }

    /// The right to run a domain and its token (HS-5, EN-2, EN-5). May be repeated: then it is the token that is asked for.
    ///
    /// # Errors
    /// Every rule that forbids it.
    pub async fn activate(&self, call: &SignedCall, domain: DomainCode) -> Result<wire::Token, PlaneError> {
        let instance = self.called(call, Command::Activate { domain: domain.clone() }).await?;
        let seen = self.seen();
        let token = instance.token(Some(&domain)).ok_or_else(none)?;
        let right = activation(&instance, &domain, &seen.world, token.issued)?;
        check(token, right.content())?;
        answer(token, self.issuer().activation(&right, token, &self.federation.tokens))
    }

    /// An instance's status list, signed afresh (EN-6).
    ///
    /// # Errors
    /// When there is no such instance.
    pub async fn status_list(&self, id: InstanceId) -> Result<String, PlaneError> {
        let instance = self.instance(id).await?;
        let instance = instance.ok_or_else(|| PlaneError::NotFound(format!("instance {id}")))?;
        let lifetime = self.constitution(|law| law.entitlement_token_lifetime);
        let times = (self.now(), self.settings.status_refresh, lifetime);
        Ok(self.issuer().status_list(id, instance.statuses(), times, &self.federation.tokens)?)
    }

    /// How long a status list may be relied on.
    pub const fn status_refresh(&self) -> Span {
        self.settings.status_refresh
    }

    /// The keys that tokens verify with (RFC 7517).
    ///
    /// # Errors
    /// When the keys document names none.
    pub fn token_keys(&self) -> Result<TokenKeys, PlaneError> {
        let keys = TokenKeys::of(&self.keys().document, self.now());
        keys.map_err(|error| PlaneError::Unavailable(error.to_string()))
    }

    fn issuer(&self) -> Issuer {
        let trust_domain = self.keys().document.trust_domain.clone();
        Issuer { trust_domain, public: self.settings.public.clone() }
    }
}

fn answer(token: &IssuedToken, signed: Result<String, proof::JwsError>) -> Result<wire::Token, PlaneError> {
    Ok(wire::Token { token: signed?, expires: token.expires, renew_at: token.aging_at() })
}

/// The law changed between the decision and the signature: what is on record is not what would be signed.
fn check(token: &IssuedToken, content: Digest) -> Result<(), PlaneError> {
    if token.content == content {
        return Ok(());
    }
    Err(PlaneError::Unavailable("what the instance is entitled to changed just now: ask again".to_owned()))
}

fn none() -> PlaneError {
    PlaneError::Unavailable("no such token is on record".to_owned())
}
