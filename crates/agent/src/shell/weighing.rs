//! Takes the plane's answers in and weighs what they offer, by what the Organism signed (RL-3, RL-9).
//!
//! Never makes an offer the plan's that was not weighed.

use client::Source as _;
use governance::Span;
use proof::directive::DirectiveError;
use proof::{Directive, Offer, OfferAction};
use wire::Standing;

use super::ShellError;
use super::agent::Agent;
use super::endpoint::Refused;
use crate::core::journal::Event;
use crate::core::offer::{self, Rejection};
use crate::core::plan::Weighed;

/// How long an offer that was refused is left alone before it is weighed again.
const WEIGH_EVERY: Span = Span::from_millis(60_000);

impl Agent {
    /// Takes the plane's last answer in: state, interval, directive.
    pub(super) async fn take_in(&mut self) -> Result<(), ShellError> {
        let Some(standing) = self.standing.take() else { return Ok(()) };
        if self.state != Some(standing.state) {
            tracing::info!(state = %standing.state, "the plane says");
            self.state = Some(standing.state);
        }
        self.wait_for(standing.interval_ms);
        let taken = match self.open(&standing) {
            // Perhaps signed with a key that is newer than our keys document.
            Err(Rejection::Directive(DirectiveError::Document(error))) => {
                tracing::debug!(%error, "looks for newer keys");
                self.refresh_trust(self.source.now()).await?;
                self.open(&standing)?
            }
            taken => taken?,
        };
        let (directive, event) = taken;
        if let Some(event) = event {
            self.record(&event)?;
        }
        let quiet = directive.offer.is_none() && standing.challenge.is_none() && !standing.handshake_required;
        let life = directive.expires.since(directive.at);
        // At half of its life a directive is asked for anew.
        let until = directive.at + Span::from_millis(life.as_millis() / 2);
        self.rests = quiet.then_some((standing.mark, until));
        self.directive = Some(directive);
        if standing.handshake_required {
            // Restored: nothing else is asked of us until we have shaken hands afresh (LC-17).
            tracing::info!("the plane asks for a fresh handshake");
            self.renew().await?;
            self.standing = None;
        }
        Ok(())
    }

    /// Takes in how long the plane wants it to wait.
    pub(super) fn wait_for(&mut self, interval_ms: u64) {
        self.interval = Span::from_millis(i64::try_from(interval_ms).unwrap_or(i64::MAX));
    }

    fn open(&self, standing: &Standing) -> Result<(Directive, Option<Event>), Rejection> {
        let (keys, now) = (&self.trust.keys, self.source.now());
        offer::take(&self.journal, &standing.directive, keys, self.identity.instance, now)
    }

    /// Weighs what the last directive offers; what is accepted becomes the plan's.
    pub(super) async fn weigh(&mut self) -> Result<(), ShellError> {
        let Some(directive) = self.directive.take() else { return Ok(()) };
        let serial = directive.serial;
        let Some(offered) = directive.offer.as_ref() else {
            (self.offer, self.shown_refusal) = (Weighed::Nothing, None);
            return Ok(());
        };
        if !self.is_worth(serial, offered) {
            self.offer = Weighed::Nothing;
            return Ok(());
        }
        let known = self.offer.accepted();
        if known.is_some_and(|known| known.serial == serial && known.deadline == offered.deadline) {
            return Ok(());
        }
        self.offer = Weighed::NotYet;
        if self.declines(offered) {
            self.refuse(serial, offered, &Rejection::Declined);
            return Ok(());
        }
        let now = self.source.now();
        let signed = self.trust.release(&self.folder, offered.release, now).await?;
        if self.journal.floors_with(&signed.floors) != self.journal.floors {
            self.record(&Event::FloorsSeen(signed.floors.clone()))?;
        }
        match offer::weigh(&self.journal, serial, offered, &signed, self.config.policy) {
            Ok(attempt) => {
                tracing::info!(release = %offered.release, action = offer::word(offered.action), "accepted");
                (self.offer, self.shown_refusal) = (Weighed::Accepted(attempt), None);
            }
            Err(rejection) => self.refuse(serial, offered, &rejection),
        }
        Ok(())
    }

    /// An offer is not followed: said once, and shown at the endpoint for as long as it stands.
    fn refuse(&mut self, serial: u64, offered: &Offer, rejection: &Rejection) {
        let (release, action) = (offered.release, offer::word(offered.action));
        let known = self.refused.is_some_and(|(known, _)| known == serial);
        match rejection {
            _ if known => {}
            Rejection::Declined => tracing::info!(%release, action, "{rejection}: the offer is declined"),
            _ => tracing::warn!(%rejection, %release, action, "not followed"),
        }
        self.offer = Weighed::Nothing;
        self.refused = Some((serial, self.source.now()));
        self.shown_refusal = Some(Refused {
            release,
            action: offered.action,
            code: rejection.code(),
            rule: rejection.rule(),
            detail: rejection.to_string(),
        });
    }

    fn declines(&self, offered: &Offer) -> bool {
        !self.config.policy.install && offered.action != OfferAction::Rollback
    }

    /// Whether an offer needs weighing at all.
    fn is_worth(&self, serial: u64, offered: &Offer) -> bool {
        let failed = self.journal.failed_before(offered.release, serial).is_some();
        let now = self.source.now();
        let refused = self
            .refused
            .is_some_and(|(known, at)| known == serial && now >= at && now.since(at) < WEIGH_EVERY);
        let runs = offered.release == self.journal.installed.platform;
        !failed && !refused && !runs
    }
}
