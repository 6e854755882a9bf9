//! What must be decided about the federation as a whole, seen from the first entry of the decision.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use governance::decide::{WITNESSED, WorldCommand, decide_world};
use governance::reconcile::federation_events;
use governance::rollout::{PauseCause, advance};
use governance::{
    Authority, Catalogue, Census, ConstitutionDocument, Event, Instance, Matrix, Person, Release,
    Restriction, RolloutId, State, Timestamp, Version, WorldEvent,
};
use proof::{Asks, Jws, KeySet, KeysDocument, Order, Typ};

use super::Fault;
use super::decision::{Basis, Decision, Step, json, of_world};
use super::replay::Replay;
use crate::entry::{Entry, Evidence};

impl Replay {
    pub(super) fn start_world(
        &self,
        position: u64,
        entry: &Entry,
        event: &WorldEvent,
    ) -> Result<Decision, Fault> {
        let at = entry.at;
        let Some(keys) = &self.keys else { return self.founding(position, entry, event) };
        if self.world.constitution_digest.is_none()
            && !matches!(event, WorldEvent::ConstitutionRatified { .. })
        {
            return Err(Fault::new("FO-5", "the first constitution must be ratified before anything else"));
        }
        let document = |authority, steps| Ok(Decision::new(at, position, Basis::Document(authority), steps));
        match event {
            WorldEvent::Founded { .. } => Err(Fault::new("AU-4", "a federation is founded once")),
            WorldEvent::KeysPublished { .. } => {
                let next =
                    keys.open_successor(evidence(entry)?).map_err(|e| Fault::new("AU-4", e.to_string()))?;
                let steps = of_world([published(&next, evidence(entry)?)].into());
                let decision = Decision::new(at, position, Basis::Document(Authority::Founder), steps);
                Ok(Decision { keys: Some(next), ..decision })
            }
            WorldEvent::ConstitutionRatified { .. } => {
                if self.world.constitution_digest.is_some() {
                    return Err(Fault::new("FO-5", "a constitution is amended by an order"));
                }
                let ratified = self.ratified(&keys.founder, evidence(entry)?, at)?;
                document(Authority::Founder, of_world([ratified].into()))
            }
            WorldEvent::OrderAccepted { .. } => self.ordered(position, entry, keys),
            WorldEvent::MatrixPublished { .. } => {
                self.check_new(entry, "RL-5")?;
                let matrix: Matrix =
                    evidence(entry)?.open(Typ::Release, &keys.organism).map_err(unsigned("RL-5"))?;
                document(Authority::Organism, of_world([WorldEvent::MatrixPublished { matrix }].into()))
            }
            WorldEvent::CataloguePublished { .. } => {
                self.check_new(entry, "EN-1")?;
                let catalogue: Catalogue =
                    evidence(entry)?.open(Typ::Release, &keys.organism).map_err(unsigned("EN-1"))?;
                let command = WorldCommand::PublishCatalogue { catalogue };
                document(Authority::Organism, of_world(decide_world(&self.world, &command, at)?))
            }
            WorldEvent::ReleasePublished { .. } => {
                document(Authority::Organism, self.release(&keys.organism, evidence(entry)?, at)?)
            }
            _ => Ok(Decision::new(at, position, Basis::Federation, self.governed(entry, event)?)),
        }
    }

    /// A document of the Organism takes the place of another once: it has no number by which it could be told that it was itself
    /// replaced since, so that whoever hands it in again decides in the Organism's place (AU-1).
    fn check_new(&self, entry: &Entry, rule: &str) -> Result<(), Fault> {
        let digest = evidence(entry)?.digest();
        if self.documents.contains(&digest) {
            let message = "what the Organism signed was published before, and replaced since or in force";
            return Err(Fault::new(rule, message).found(digest));
        }
        Ok(())
    }

    /// The first entries: the federation founded under the root keys (AU-4).
    fn founding(&self, position: u64, entry: &Entry, event: &WorldEvent) -> Result<Decision, Fault> {
        if !matches!(event, WorldEvent::Founded { .. }) {
            return Err(Fault::new("AU-4", "a log begins with the founding of its federation"));
        }
        let keys = KeysDocument::open(evidence(entry)?, &self.root)
            .map_err(|e| Fault::new("AU-4", e.to_string()))?;
        if let Some(expected) = self.expected.as_ref().filter(|expected| **expected != keys.trust_domain) {
            return Err(Fault::new("AU-4", "the log is of another federation")
                .expected(expected)
                .found(&keys.trust_domain));
        }
        let founded = WorldEvent::Founded { trust_domain: keys.trust_domain.clone() };
        let steps = of_world([founded, published(&keys, evidence(entry)?)].into());
        let decision = Decision::new(entry.at, position, Basis::Document(Authority::Founder), steps);
        Ok(Decision { keys: Some(keys), ..decision })
    }

    /// The first constitution: the Founder threshold signed it, and its time has come (FO-5).
    fn ratified(&self, founder: &KeySet, document: &Jws, at: Timestamp) -> Result<WorldEvent, Fault> {
        let constitution: ConstitutionDocument =
            document.open(Typ::Constitution, founder).map_err(unsigned("FO-5"))?;
        if constitution.previous.is_some() {
            return Err(Fault::new("FO-5", "the first constitution replaces none"));
        }
        if constitution.effective > at {
            return Err(Fault::new("FO-5", "the constitution is not to be in force yet")
                .expected(constitution.effective)
                .found(at));
        }
        if let Err(contradictions) = constitution.parameters.check() {
            let first = contradictions.first().map(ToString::to_string).unwrap_or_default();
            return Err(Fault::new("FO-5", alloc::format!("the constitution contradicts itself: {first}")));
        }
        Ok(WorldEvent::ConstitutionRatified { digest: document.digest(), document: Box::new(constitution) })
    }

    /// A release the Organism threshold signed, and what its publication brings with it (RL-1, RO-8).
    fn release(&self, organism: &KeySet, document: &Jws, at: Timestamp) -> Result<Vec<Step>, Fault> {
        let release: Release = document.open(Typ::Release, organism).map_err(unsigned("IN-5"))?;
        let command = WorldCommand::Publish {
            release: Box::new(release),
            digest: document.digest(),
            // Whom it is for and what awaits approval are the operator's to say.
            restriction: Restriction::default(),
            approval: Vec::new(),
        };
        let events = decide_world(&self.world, &command, at)?;
        let steps = events.into_iter().map(|event| match event {
            WorldEvent::RolloutOpened { release, rollout, .. } => Step::Opened { release, rollout },
            other => Step::Exact(Event::World(other)),
        });
        Ok(steps.collect())
    }

    /// An order the Founder threshold signed, and what follows from it (FO-1).
    fn ordered(&self, position: u64, entry: &Entry, keys: &KeysDocument) -> Result<Decision, Fault> {
        let (document, at) = (evidence(entry)?, entry.at);
        let order = Order::open(document, &keys.founder, self.world.order_serial, at)
            .map_err(|error| Fault::new("FO-1", error.to_string()))?;
        let accept = WorldCommand::AcceptOrder {
            serial: order.serial,
            expires: order.expires,
            digest: document.digest(),
        };
        let mut steps = of_world(decide_world(&self.world, &accept, at)?);
        let mut next = None;
        match order.asks(&keys.founder).map_err(|error| Fault::new("FO-1", error.to_string()))? {
            Asks::Instance(id, command) => steps.extend(self.decided(id, &command, at)?),
            Asks::World(command) => steps.extend(of_world(decide_world(&self.world, &command, at)?)),
            Asks::Keys(document, root) => {
                let opened = keys.open_successor(&document).map_err(|e| Fault::new("AU-4", e.to_string()))?;
                steps.extend(of_world([published(&opened, &document)].into()));
                if let Some(root) = root {
                    let version = root.open().map_err(|e| Fault::new("RL-3", e.to_string()))?.version;
                    let publish = WorldCommand::PublishRoot { version, digest: root.digest() };
                    steps.extend(of_world(decide_world(&self.world, &publish, at)?));
                }
                next = Some(opened);
            }
        }
        let decision = Decision::new(at, position, Basis::Document(Authority::Founder), steps);
        Ok(Decision { keys: next, ..decision })
    }

    /// What the Federation decides by itself, asked by an operator or by rule.
    fn governed(&self, entry: &Entry, event: &WorldEvent) -> Result<Vec<Step>, Fault> {
        let command = match event {
            WorldEvent::EnrolmentCreated { .. } | WorldEvent::EnrolmentApproved { .. } => {
                return self.enrolled(entry, event);
            }
            WorldEvent::ReleaseWithdrawn { release } => {
                WorldCommand::Withdraw { release: *release, by: Authority::Federation }
            }
            WorldEvent::OutageRecorded { from, until } => {
                // Whoever decides can be reached.
                if let Some(decided) = self.decided_within(*from, *until) {
                    let fault = Fault::new("CO-7", "a decision was taken during the outage");
                    return Err(fault.expected("none").found(decided));
                }
                let record = WorldCommand::RecordOutage { from: *from, until: *until };
                return Ok(of_world(decide_world(&self.world, &record, entry.at)?));
            }
            WorldEvent::ConstitutionEffective { .. } => return Ok(of_world(self.world.due(entry.at))),
            WorldEvent::FleetCounted { .. } => {
                let there = self.instances.values().filter(|instance| instance.state != State::Revoked);
                let count = WorldCommand::CountFleet { instances: there.count() as u64 };
                return Ok(of_world(decide_world(&self.world, &count, entry.at)?));
            }
            WorldEvent::FederationEscalated { rule, .. } if rule == "CO-14" => {
                return self.braked(entry);
            }
            WorldEvent::FederationEscalated { rule, facts } if rule == WITNESSED => {
                // That they refused is the Federation's word; that it is not said again meanwhile, the law's.
                let escalate = WorldCommand::EscalateRefusal { facts: facts.clone() };
                return Ok(of_world(decide_world(&self.world, &escalate, entry.at)?));
            }
            WorldEvent::FederationEscalationAcknowledged { rule } => {
                WorldCommand::Acknowledge { release: None, rule: rule.clone() }
            }
            WorldEvent::RolloutEscalationAcknowledged { rollout, rule } => {
                WorldCommand::Acknowledge { release: Some(self.release_of(*rollout)?), rule: rule.clone() }
            }
            WorldEvent::FreezeSet { from, until } => WorldCommand::Freeze { from: *from, until: *until },
            WorldEvent::PersonRevoked { person, .. } if Person::from_path(person).is_none() => {
                return Err(Fault::new("AU-2", "no person is called so").found(person));
            }
            WorldEvent::PersonRevoked { person, serial } => {
                WorldCommand::RevokePerson { person: person.clone(), serial: serial.clone() }
            }
            WorldEvent::RedSwitchTurned { on, reason } => {
                WorldCommand::RedSwitch { on: *on, reason: reason.clone() }
            }
            WorldEvent::PhaseApproved { rollout, .. } => {
                WorldCommand::Approve { release: self.release_of(*rollout)? }
            }
            WorldEvent::RolloutAborted { rollout } => {
                WorldCommand::Abort { release: self.release_of(*rollout)? }
            }
            WorldEvent::RolloutPaused { rollout, cause: PauseCause::Operator, .. } => {
                WorldCommand::Pause { release: self.release_of(*rollout)? }
            }
            WorldEvent::RolloutResumed { rollout, .. } => {
                WorldCommand::Resume { release: self.release_of(*rollout)?, by: Authority::Federation }
            }
            _ => return self.advanced(entry, event),
        };
        Ok(of_world(decide_world(&self.world, &command, entry.at)?))
    }

    /// The brake was met by an instance of which nothing else is due (CO-14).
    fn braked(&self, entry: &Entry) -> Result<Vec<Step>, Fault> {
        let said = |instance: &&Instance| {
            let found = federation_events(instance, &[], &self.world, entry.at);
            found.into_iter().map(Event::World).eq([entry.event.clone()])
        };
        match self.instances.values().find(said) {
            Some(_) => Ok([Step::Exact(entry.event.clone())].into()),
            None => Err(Fault::new("CO-14", "no standing order was held up").found(json(&entry.event))),
        }
    }

    fn release_of(&self, rollout: RolloutId) -> Result<Version, Fault> {
        let found = self.world.rollout(rollout).map(|rollout| rollout.release);
        found.ok_or_else(|| Fault::new("RO-1", "no rollout has this id").found(rollout))
    }

    /// What the law finds due for a rollout, counted anew over every instance as the record has it (RO-1…RO-5).
    fn advanced(&self, entry: &Entry, event: &WorldEvent) -> Result<Vec<Step>, Fault> {
        let fault = |message| Fault::new(event.rule(), message).found(json(&entry.event));
        let id = event.rollout().ok_or_else(|| fault("nothing asked for it"))?;
        let rollout =
            self.world.rollout(id).ok_or_else(|| Fault::new("RO-1", "no rollout has this id").found(id))?;
        let mut census = Census::default();
        for instance in self.instances.values() {
            census.add(rollout, &self.world, instance);
        }
        let steps = of_world(advance(rollout, census, &self.world, entry.at));
        match steps.first() {
            Some(step) if step.check(&entry.event).is_ok() => Ok(steps),
            Some(step) => Err(fault("counted anew over the record, the rollout comes to something else")
                .expected(step.shown())),
            None => Err(fault("on the facts of the record it was not due").expected("nothing")),
        }
    }
}

/// The document an entry carries.
fn evidence(entry: &Entry) -> Result<&Jws, Fault> {
    match &entry.evidence {
        Evidence::Document(document) => Ok(document),
        other => Err(Fault::new(
            "AU-1",
            alloc::format!(
                "only the document that the {} signed proves that it decided this",
                entry.authority
            ),
        )
        .found(other.kind())),
    }
}

fn published(keys: &KeysDocument, document: &Jws) -> WorldEvent {
    WorldEvent::KeysPublished { serial: keys.serial, digest: document.digest() }
}

fn unsigned(rule: &'static str) -> impl Fn(proof::JwsError) -> Fault {
    move |error| Fault::new(rule, error.to_string())
}
