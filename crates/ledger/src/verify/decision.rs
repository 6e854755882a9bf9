//! One decision as it must stand in the log: what it rests on, and the events still to come, in order.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use governance::{
    Authority, Event, InstanceEvent, InstanceId, InstanceKey, RolloutId, Timestamp, Version, WorldEvent,
};
use proof::KeysDocument;

use super::Fault;

/// What the Runtime's, the Founder's or the Organism's part of a decision rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// Nothing but the Federation's own signatures.
    Federation,
    /// The instance's signed request.
    Request,
    /// A document of this authority.
    Document(Authority),
}

/// What must come next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Exactly this event.
    Exact(Event),
    /// Exactly this event, found due by the law itself: the Federation's signature is enough, and nobody asked for it.
    Due(Event),
    /// A certificate over this key, whatever its serial number.
    Certificate(InstanceId, InstanceKey),
    /// An escalation under this rule, whatever its words.
    Escalation(InstanceId, &'static str),
    /// The rollout of this release, under an id of its own; where it is the first release, done at once.
    Opened { release: Version, rollout: RolloutId },
    /// Whatever `reconcile` finds due for this instance by then.
    Reconcile(InstanceId),
}

/// A decision under way.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    /// When it was taken.
    pub(super) at: Timestamp,
    /// Where its first entry stands.
    pub(super) start: u64,
    /// What it rests on.
    pub(super) basis: Basis,
    /// Who asked for it by hand.
    pub(super) actor: Option<String>,
    /// What is still to come.
    pub(super) steps: VecDeque<Step>,
    /// The keys document that it brings into force.
    pub(super) keys: Option<KeysDocument>,
}

impl Decision {
    pub(super) fn new(at: Timestamp, start: u64, basis: Basis, steps: Vec<Step>) -> Self {
        Self { at, start, basis, actor: None, steps: steps.into(), keys: None }
    }

    /// No decision.
    pub(super) fn none() -> Self {
        Self::new(Timestamp::from_millis(0), 0, Basis::Federation, Vec::new())
    }
}

/// Steps that are exactly these events of the world.
pub(super) fn of_world(events: Vec<WorldEvent>) -> Vec<Step> {
    events.into_iter().map(|event| Step::Exact(Event::World(event))).collect()
}

/// Steps that are these events of an instance, then whatever is due. A certificate is the Federation's to number.
pub(super) fn of_instance(id: InstanceId, events: Vec<InstanceEvent>) -> Vec<Step> {
    let steps = events.into_iter().map(|event| match event {
        InstanceEvent::CertificateIssued { key, .. } => Step::Certificate(id, key),
        event => Step::Exact(Event::Instance(id, event)),
    });
    steps.chain([Step::Reconcile(id)]).collect()
}

impl Step {
    /// Whether this event is the one that must come.
    pub(super) fn check(&self, event: &Event) -> Result<(), Fault> {
        let fits = match (self, event) {
            (Self::Exact(expected) | Self::Due(expected), found) => expected == found,
            (
                Self::Certificate(id, key),
                Event::Instance(other, InstanceEvent::CertificateIssued { key: found, .. }),
            ) => id == other && key == found,
            (
                Self::Escalation(id, rule),
                Event::Instance(other, InstanceEvent::Escalated { rule: found, .. }),
            ) => id == other && rule == found,
            (
                Self::Opened { release, rollout },
                Event::World(WorldEvent::RolloutOpened { release: other, rollout: found, .. }),
            ) => release == other && rollout == found,
            _ => false,
        };
        if fits {
            return Ok(());
        }
        let message = "the record says otherwise than the law decides on these facts";
        Err(Fault::new(event.rule(), message).expected(self.shown()).found(json(event)))
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Exact(event) | Self::Due(event) => json(event),
            Self::Certificate(id, _) => alloc::format!("the certificate of instance {id}"),
            Self::Escalation(id, rule) => alloc::format!("an escalation of instance {id} under {rule}"),
            Self::Opened { release, .. } => alloc::format!("the rollout of release {release}"),
            Self::Reconcile(id) => alloc::format!("what is due for instance {id}"),
        }
    }
}

/// An event as JSON.
pub(super) fn json(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_else(|error| error.to_string())
}
