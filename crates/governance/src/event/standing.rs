//! What an event stands on: its rule, who may decide it, who may ask for it by hand; and what it commits to.

use alloc::vec::Vec;

use super::{Event, InstanceEvent, Sealed, WorldEvent};
use crate::committed::{Opening, OpeningError};
use crate::id::{Digest, RolloutId};
use crate::instance::{Action, OfferEnd, Outcome};
use crate::lifecycle::{Authority, Cause, transition};
use crate::person::{MANAGERS, OPERATORS, PAYERS, PersonRole, SIGNERS};
use crate::rollout::PauseCause;

impl InstanceEvent {
    /// The rule it rests on.
    #[must_use]
    pub fn rule(&self) -> &str {
        match self {
            Self::Registered(_) | Self::HandshakeRenewed { .. } | Self::CertificateIssued { .. } => "HS-1",
            Self::KeyRenewed { .. } => "HS-2",
            Self::Handshaken => "LC-17",
            Self::Reported { .. } => "HS-3",
            Self::Moved { from, to, cause } => transition(*from, *to, *cause).map_or("LC", |row| row.rule),
            Self::Offered { action: Action::Update, .. } => "LC-2",
            Self::Offered { action: Action::Rollback, .. } => "RO-3",
            Self::OfferEnded { why, .. } | Self::DueEnded { why, .. } => match why {
                OfferEnd::FailedHere => "RO-9",
                OfferEnd::Superseded => "RO-8",
                OfferEnd::Paused => "RO-6",
                _ => "RO-7",
            },
            Self::ClocksTurned { .. } => "RO-7",
            Self::OverrideSet { .. } => "FO-3",
            Self::ModuleActivated { .. } => "EN-2",
            Self::TokenIssued { domain: None, .. } => "EN-4",
            Self::TokenIssued { domain: Some(_), .. } => "EN-5",
            Self::ModuleDeactivated { .. } => "EN-7",
            Self::DeactivationNoticed { .. } | Self::NoticeWithdrawn { .. } => "CO-5",
            Self::Warned { .. } => "CO-12",
            Self::AttemptBegun { .. } | Self::AttemptFinished { .. } => "RO-3",
            Self::RetryAsked { .. } | Self::RollbackAsked { .. } => "RO-9",
            Self::FindingOpened { code } | Self::FindingClosed { code } => code.rule(),
            Self::SubscriptionChanged { .. } => "CO-10",
            Self::KindChanged { .. } => "ID-3",
            Self::HoldPlaced => "LC-16",
            Self::HoldLifted => "LC-19",
            Self::Escalated { rule, .. } => rule,
            Self::EscalationAcknowledged { .. } | Self::EscalationsResolved => "FO-2",
        }
    }

    /// Who may decide it (§1).
    #[must_use]
    pub fn authority(&self) -> Authority {
        match self {
            Self::Moved { from, to, cause } => {
                transition(*from, *to, *cause).map_or(Authority::Federation, |row| row.by)
            }
            Self::KeyRenewed { .. }
            | Self::Handshaken
            | Self::Reported { .. }
            | Self::AttemptBegun { .. }
            | Self::RetryAsked { .. }
            | Self::RollbackAsked { .. }
            | Self::ModuleDeactivated { .. } => Authority::Runtime,
            Self::AttemptFinished { outcome, .. } => match outcome {
                Outcome::Stalled => Authority::Federation,
                Outcome::Succeeded | Outcome::Failed => Authority::Runtime,
            },
            Self::HoldPlaced | Self::HoldLifted | Self::OverrideSet { .. } | Self::EscalationsResolved => {
                Authority::Founder
            }
            _ => Authority::Federation,
        }
    }

    /// What opens its commitments, where that is known.
    #[must_use]
    pub fn openings(&self) -> Vec<Opening> {
        let opened = match self {
            Self::Registered(registration) => {
                [registration.labels.opening(), registration.endpoint.opening()]
            }
            Self::HandshakeRenewed { endpoint, .. } => [None, endpoint.opening()],
            _ => [None, None],
        };
        opened.into_iter().flatten().collect()
    }

    /// The commitments in it.
    #[must_use]
    pub fn commitments(&self) -> Vec<Digest> {
        match self {
            Self::Registered(registration) => {
                [registration.labels.digest(), registration.endpoint.digest()].into()
            }
            Self::HandshakeRenewed { endpoint, .. } => [endpoint.digest()].into(),
            _ => Vec::new(),
        }
    }

    /// Opens each commitment of it that `find` finds an opening for.
    ///
    /// # Errors
    /// When an opening is of another value.
    pub fn open(&mut self, find: impl Fn(Digest) -> Option<Opening>) -> Result<Sealed, OpeningError> {
        let mut sealed = Sealed::default();
        match self {
            Self::Registered(registration) => {
                sealed.labels = !sealed.open(&mut registration.labels, &find)?;
                sealed.open(&mut registration.endpoint, &find)?;
            }
            Self::HandshakeRenewed { endpoint, .. } => {
                sealed.open(endpoint, &find)?;
            }
            _ => {}
        }
        Ok(sealed)
    }

    /// Who may ask by hand for the decision that this event begins (AU-1); none: nobody asks for it but the instance, the
    /// Founder, or the law itself.
    #[must_use]
    pub const fn asked_by(&self) -> Option<&'static [PersonRole]> {
        match self {
            Self::Moved { cause: Cause::OperatorSuspended | Cause::OperatorReactivated, .. } => {
                Some(MANAGERS)
            }
            Self::EscalationAcknowledged { .. } => Some(SIGNERS),
            Self::KindChanged { .. } => Some(OPERATORS),
            Self::SubscriptionChanged { .. } => Some(PAYERS),
            _ => None,
        }
    }
}

impl WorldEvent {
    /// Whether it changes nothing that other decisions rest on, and so may cross with them (LG-1).
    #[must_use]
    pub const fn stands_apart(&self) -> bool {
        matches!(self, Self::EnrolmentCreated { .. } | Self::EnrolmentApproved { .. })
    }

    /// The rule it rests on.
    #[must_use]
    pub fn rule(&self) -> &str {
        match self {
            Self::Founded { .. } | Self::KeysPublished { .. } => "AU-4",
            Self::RootPublished { .. } => "RL-3",
            Self::ConstitutionRatified { .. } | Self::ConstitutionEffective { .. } => "FO-5",
            Self::FleetCounted { .. } => "CO-14",
            Self::StandingOrderTaken { .. } => "LC-18",
            Self::RemovalAllowed { .. } => "RL-8",
            Self::CataloguePublished { .. } => "EN-1",
            Self::MatrixPublished { .. } => "RL-5",
            Self::ReleasePublished { .. } | Self::ReleaseWithdrawn { .. } => "RL-1",
            Self::OrderAccepted { .. } => "FO-1",
            Self::EnrolmentCreated { .. } | Self::EnrolmentApproved { .. } => "HS-1",
            Self::PersonRevoked { .. } => "AU-2",
            Self::OutageRecorded { .. } => "CO-7",
            Self::FreezeSet { .. } | Self::RedSwitchTurned { .. } => "RO-6",
            Self::RolloutOpened { .. } | Self::PhaseOpened { .. } => "RO-1",
            Self::RolloutHeld { .. } | Self::RolloutDone { .. } => "RO-4",
            Self::RolloutHalted { .. } => "RO-3",
            Self::RolloutPaused { cause, .. } | Self::RolloutResumed { cause, .. } => match cause {
                PauseCause::Operator => "RO-6",
                PauseCause::FailureBound => "RO-5",
            },
            Self::PhaseApproved { .. } | Self::RolloutAborted { .. } => "RO-6",
            Self::RolloutSuperseded { .. } => "RO-8",
            Self::RolloutWithdrawn { .. } => "RO-7",
            Self::RolloutEscalated { rule, .. } | Self::FederationEscalated { rule, .. } => rule,
            Self::FederationEscalationAcknowledged { .. }
            | Self::RolloutEscalationAcknowledged { .. }
            | Self::RolloutEscalationsResolved { .. } => "FO-2",
        }
    }

    /// Who may decide it (§1).
    #[must_use]
    pub const fn authority(&self) -> Authority {
        match self {
            Self::Founded { .. }
            | Self::KeysPublished { .. }
            | Self::RootPublished { .. }
            | Self::ConstitutionRatified { .. }
            | Self::OrderAccepted { .. }
            | Self::RemovalAllowed { .. }
            | Self::RolloutEscalationsResolved { .. }
            | Self::RolloutResumed { cause: PauseCause::FailureBound, .. } => Authority::Founder,
            Self::MatrixPublished { .. }
            | Self::CataloguePublished { .. }
            | Self::ReleasePublished { .. } => Authority::Organism,
            _ => Authority::Federation,
        }
    }

    /// Who may ask by hand for the decision that this event begins (AU-1), or hands in what the Organism signed; none: nobody
    /// asks for it but the Founder, or the law itself.
    #[must_use]
    pub const fn asked_by(&self) -> Option<&'static [PersonRole]> {
        match self {
            Self::EnrolmentCreated { .. } => Some(MANAGERS),
            Self::EnrolmentApproved { .. }
            | Self::MatrixPublished { .. }
            | Self::CataloguePublished { .. }
            | Self::ReleasePublished { .. }
            | Self::ReleaseWithdrawn { .. }
            | Self::FreezeSet { .. }
            | Self::RedSwitchTurned { .. }
            | Self::PhaseApproved { .. }
            | Self::RolloutPaused { cause: PauseCause::Operator, .. }
            | Self::RolloutResumed { .. }
            | Self::RolloutAborted { .. } => Some(OPERATORS),
            Self::PersonRevoked { .. }
            | Self::FederationEscalationAcknowledged { .. }
            | Self::RolloutEscalationAcknowledged { .. } => Some(SIGNERS),
            _ => None,
        }
    }

    /// The rollout it is about, if it is about one.
    #[must_use]
    pub const fn rollout(&self) -> Option<RolloutId> {
        match self {
            Self::RolloutOpened { rollout, .. }
            | Self::PhaseOpened { rollout, .. }
            | Self::RolloutHeld { rollout, .. }
            | Self::PhaseApproved { rollout, .. }
            | Self::RolloutDone { rollout }
            | Self::RolloutHalted { rollout, .. }
            | Self::RolloutPaused { rollout, .. }
            | Self::RolloutResumed { rollout, .. }
            | Self::RolloutAborted { rollout }
            | Self::RolloutSuperseded { rollout, .. }
            | Self::RolloutWithdrawn { rollout }
            | Self::RolloutEscalationsResolved { rollout }
            | Self::RolloutEscalationAcknowledged { rollout, .. }
            | Self::RolloutEscalated { rollout, .. } => Some(*rollout),
            _ => None,
        }
    }
}

impl Event {
    /// The rule it rests on.
    #[must_use]
    pub fn rule(&self) -> &str {
        match self {
            Self::World(event) => event.rule(),
            Self::Instance(_, event) => event.rule(),
        }
    }

    /// Who may decide it.
    #[must_use]
    pub fn authority(&self) -> Authority {
        match self {
            Self::World(event) => event.authority(),
            Self::Instance(_, event) => event.authority(),
        }
    }

    /// Who may ask by hand for the decision that it begins (AU-1); none: nobody does.
    #[must_use]
    pub const fn asked_by(&self) -> Option<&'static [PersonRole]> {
        match self {
            Self::World(event) => event.asked_by(),
            Self::Instance(_, event) => event.asked_by(),
        }
    }
}
