//! Keeps what the agent stands on current: keys, constitution, certificate.
//!
//! Never lets go of what it holds before what replaces it was verified.

use client::{ClientError, Source as _};
use governance::{ConstitutionDocument, Span, Timestamp};

use super::agent::{Agent, REPORT_EVERY_MAX};
use super::effects::told;
use super::{ShellError, identity};

/// How often the keys document and the constitution are looked for.
const KEYS_EVERY: Span = Span::hours(1);
/// How the plane refuses a certificate that ran out.
const EXPIRED: &str = "certificate-expired";

impl Agent {
    /// Looks for a newer keys document and the constitution now and then; failing that, those held go on.
    pub(super) async fn keep_keys(&mut self) {
        let now = self.source.now();
        if self.keys_at.is_some_and(|at| now.since(at) < KEYS_EVERY && now >= at) {
            return;
        }
        match self.refresh_trust(now).await {
            Ok(()) => self.keys_at = Some(now),
            Err(error) => tracing::warn!(%error, "keys and constitution were not refreshed"),
        }
    }

    pub(super) async fn refresh_trust(&mut self, now: Timestamp) -> Result<(), ShellError> {
        if self.trust.refresh(&self.folder).await? {
            tracing::info!(serial = self.trust.keys.serial, "follows a new keys document");
            self.certify()?;
        }
        match self.trust.constitution(&self.folder, now).await {
            Ok(Some(constitution)) => self.follow(&constitution),
            Ok(None) => {}
            // As by a Founder before, for an instance that came later: what its owner set goes on until an amendment.
            Err(error @ ShellError::Untrusted { .. }) => {
                tracing::warn!(%error, "the constitution is not followed")
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes from the constitution what the owner left to it.
    pub(super) fn follow(&mut self, constitution: &ConstitutionDocument) {
        let law = &constitution.parameters;
        self.timing.stable_for = self.config.stable_for.unwrap_or(law.health_stable_for);
        let half = Span::from_millis(law.compliance_report_within.as_millis() / 2);
        self.report_every = self.config.report_every.unwrap_or(half).min(REPORT_EVERY_MAX);
    }

    /// Renews the certificate when half its life is over, or when the plane says that all of it is (HS-2).
    pub(super) async fn keep_certificate(&mut self) -> Result<(), ShellError> {
        if self.source.now() < self.identity.renew_at && !self.expired {
            return Ok(());
        }
        self.renew().await
    }

    /// Remembers that the certificate ran out, whatever our own clock says.
    pub(super) fn notice(&mut self, error: &ClientError) {
        self.expired |= error.code() == Some(EXPIRED);
    }

    /// Renews the certificate over the same key. What the plane may or may not have of the chain is settled first: a
    /// renewal that names another head than the one on record breaks the chain (CO-9). With a certificate that ran out
    /// nothing but a renewal is heard: then it names both heads that may be on record.
    pub(super) async fn renew(&mut self) -> Result<(), ShellError> {
        if self.statements.is_pending() && !self.expired {
            match self.report_pending().await {
                Ok(()) => {}
                Err(ShellError::Call(error)) if error.code() == Some(EXPIRED) => self.notice(&error),
                // Refused, it is not on record.
                Err(ShellError::Call(error)) if error.is_final() => {
                    tracing::warn!(error = told(&error), "the version statement was refused");
                }
                Err(error) => return Err(error),
            }
        }
        let renewed =
            self.identity.renew(&self.folder, &self.client, &self.key, self.statements.heads()).await;
        match renewed {
            Ok(identity) => {
                (self.identity, self.expired) = (identity, false);
                self.certify()?;
                tracing::info!(renew_at = %self.identity.renew_at, "certificate renewed");
                Ok(())
            }
            // A refusal must not keep the instance from reporting.
            Err(ShellError::Call(error)) if error.is_final() => {
                tracing::warn!(error = told(&error), "the certificate was not renewed");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Shows the current certificate on both sides, and believes the current root CA.
    pub(super) fn certify(&mut self) -> Result<(), ShellError> {
        let chain = self.identity.chain()?;
        self.client = identity::client(&self.config.plane, &self.trust.root_ca, chain.clone(), &self.key)?;
        self.face.certify(chain, &self.key)?;
        self.ear.iter().for_each(|ear| ear.speak_as(self.client.clone(), self.identity.instance));
        let (instance, root_ca) = (self.identity.instance, self.trust.root_ca.clone());
        self.face.update(|facts| {
            facts.instance = Some(instance);
            facts.root_ca = root_ca;
        });
        Ok(())
    }
}
