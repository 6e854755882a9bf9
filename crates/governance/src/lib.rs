//! The law of the Federation Plane, decided.
//!
//! Pure functions over values: [`decide`](decide::decide) judges a command, [`reconcile`](reconcile::reconcile) finds
//! what is due for an instance, [`advance`](rollout::advance) moves a rollout, and `apply` folds what was decided.
//! Never reads a clock, a file, a socket or a random number: all of that arrives as an argument.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod challenge;
pub mod clock;
pub mod committed;
pub mod constitution;
pub mod decide;
pub mod entitlement;
pub mod event;
pub mod explain;
pub mod finding;
#[cfg(test)]
mod fixture;
pub mod horizon;
pub mod id;
pub mod instance;
pub mod layer;
pub mod lifecycle;
pub mod module;
pub mod obligation;
pub mod outage;
pub mod person;
pub mod reconcile;
pub mod refusal;
pub mod release;
pub mod rollout;
pub mod silence;
pub mod standing;
mod text;
pub mod tier;
pub mod time;
pub mod version;
pub mod warning;
pub mod window;
pub mod world;

pub use clock::Clock;
pub use committed::{Committed, Opening, Salt};
pub use constitution::{Constitution, ConstitutionDocument, Share, StandingOrder};
pub use event::{Event, InstanceEvent, Registration, WorldEvent};
pub use explain::Explanation;
pub use finding::{Escalation, Finding, FindingCode, Override};
pub use id::{
    Digest, DomainCode, Endpoint, InstanceId, InstanceKey, Label, OperatorName, ProviderId, RolloutId,
    TrustDomain,
};
pub use instance::{Action, Countdown, Instance, Offer, OfferEnd, Outcome, Running, StatementHead};
pub use layer::{LayerContent, LayerId, LayerStructure};
pub use lifecycle::{Authority, Cause, State, TRANSITIONS, Transition};
pub use module::{Activation, Catalogue, Module};
pub use person::{Person, PersonRole};
pub use refusal::{Reason, Refusal};
pub use release::{Advisory, Class, Deprecation, Matrix, Package, Release, Restriction};
pub use rollout::{Census, Counts, Phase, Rollout, RolloutStatus};
pub use text::nearest;
pub use tier::{Kind, Subscription, SubscriptionStatus, Tier};
pub use time::{Span, Timestamp};
pub use version::{Line, Version, VersionRange};
pub use window::Window;
pub use world::World;
