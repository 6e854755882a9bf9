//! What must be decided about one instance, seen from the first entry of the decision.

use alloc::vec::Vec;

use governance::decide::{self, Command};
use governance::reconcile::reconcile;
use governance::{
    Authority, Cause, Event, FindingCode, Instance, InstanceEvent, InstanceId, Person, PersonRole, State,
    Timestamp,
};

use proof::PublicKey;

use super::Fault;
use super::decision::{Basis, Decision, Step, json, of_instance};
use super::replay::Replay;
use super::request;
use crate::entry::{Entry, Evidence};

impl Replay {
    pub(super) fn start_instance(
        &mut self,
        position: u64,
        entry: &Entry,
        id: InstanceId,
        event: &InstanceEvent,
    ) -> Result<Decision, Fault> {
        let federation = |steps| Ok(Decision::new(entry.at, position, Basis::Federation, steps));
        if self.world.constitution_digest.is_none() {
            return Err(Fault::new("FO-5", "no constitution is in force yet"));
        }
        match event {
            InstanceEvent::Registered(registration) => {
                federation(self.registration(id, registration, entry.at)?)
            }
            _ if event.authority() == Authority::Runtime => {
                let steps = self.requested(position, entry, id)?;
                Ok(Decision::new(entry.at, position, Basis::Request, steps))
            }
            InstanceEvent::Moved { cause: Cause::OperatorSuspended, .. } => {
                federation(self.decided(id, &Command::Suspend, entry.at)?)
            }
            InstanceEvent::Moved { cause: Cause::OperatorReactivated, .. } => {
                federation(self.decided(id, &Command::Reactivate, entry.at)?)
            }
            InstanceEvent::Escalated { rule, facts } if rule == "CO-13" => match self.due(entry, id) {
                Ok(steps) => federation(steps),
                Err(_) => {
                    federation(self.decided(id, &Command::Bypass { facts: facts.clone() }, entry.at)?)
                }
            },
            // The checkpoint that it was shown is signed by the ledger's key, not by an instance: the Federation's word.
            InstanceEvent::Escalated { rule, facts } if rule == "LG-2" => {
                federation(self.decided(id, &Command::OtherLedger { facts: facts.clone() }, entry.at)?)
            }
            InstanceEvent::EscalationAcknowledged { rule } => {
                federation(self.decided(id, &Command::Acknowledge { rule: rule.clone() }, entry.at)?)
            }
            InstanceEvent::ModuleActivated { domain, .. } => {
                federation(self.decided(id, &Command::Activate { domain: domain.clone() }, entry.at)?)
            }
            InstanceEvent::KindChanged { kind } => {
                federation(self.decided(id, &Command::ChangeKind { kind: *kind }, entry.at)?)
            }
            InstanceEvent::TokenIssued { domain, .. } => {
                let command = match domain {
                    None => Command::Entitle,
                    Some(domain) => Command::Activate { domain: domain.clone() },
                };
                federation(self.decided(id, &command, entry.at)?)
            }
            InstanceEvent::SubscriptionChanged { tier, status, until } => {
                let command =
                    Command::ChangeSubscription { tier: Some(*tier), status: Some(*status), until: *until };
                federation(self.decided(id, &command, entry.at)?)
            }
            InstanceEvent::HandshakeRenewed { key, enrolment, endpoint } => {
                federation(self.enrolled_afresh(id, *key, *enrolment, endpoint, entry.at)?)
            }
            InstanceEvent::CertificateIssued { key, serial, not_after } => {
                let command = Command::Certify { key: *key, serial: serial.clone(), not_after: *not_after };
                federation(self.decided(id, &command, entry.at)?)
            }
            InstanceEvent::FindingOpened { code: FindingCode::VersionChainBroken } => {
                federation(self.broken_chain(id, entry.at)?)
            }
            _ => federation(self.due(entry, id)?),
        }
    }

    /// What the law makes of a command, and what is due right behind it.
    pub(super) fn decided(
        &self,
        id: InstanceId,
        command: &Command,
        at: Timestamp,
    ) -> Result<Vec<Step>, Fault> {
        let instance =
            self.instances.get(&id).ok_or_else(|| Fault::new("ID-1", "no instance has this id").found(id))?;
        Ok(of_instance(id, decide::decide(instance, command, &self.world, at)?))
    }

    /// The key of an instance, ready for use: getting it ready takes a tenth of what a signature does.
    fn key_of(&mut self, id: InstanceId) -> Result<PublicKey, Fault> {
        let unknown = || Fault::new("ID-1", "no instance has this id").found(id);
        let key = self.instances.get(&id).ok_or_else(unknown)?.key;
        if let Some(ready) = self.keys_ready.get(&id).filter(|ready| ready.as_bytes() == key.as_bytes()) {
            return Ok(*ready);
        }
        let ready = PublicKey::from_bytes(key.as_bytes())
            .map_err(|error| Fault::new("HS-6", alloc::format!("the instance's key on record: {error}")))?;
        self.keys_ready.insert(id, ready);
        Ok(ready)
    }

    /// What the instance's signed request asked for.
    fn requested(&mut self, position: u64, entry: &Entry, id: InstanceId) -> Result<Vec<Step>, Fault> {
        let Evidence::Request(signed) = &entry.evidence else {
            return Err(Fault::new(
                "AU-1",
                "only the instance's signed request proves that the runtime decided this",
            )
            .found(entry.evidence.kind()));
        };
        let key = self.key_of(id)?;
        let instance =
            self.instances.get(&id).ok_or_else(|| Fault::new("ID-1", "no instance has this id").found(id))?;
        let asked = request::read(signed, instance, &self.world, entry.at, &key, self.checking(position))?;
        let steps = self.decided(id, &asked.command, entry.at)?;
        // What is too old to be accepted again need not be remembered; twice the span covers a clock ahead.
        let good_for = request::good_for(&self.world);
        while self.nonces.first().is_some_and(|(created, ..)| *created < entry.at - good_for - good_for) {
            self.nonces.pop_first();
        }
        if !self.nonces.insert((asked.created, id, asked.nonce)) {
            return Err(Fault::new("HS-6", "the request was used before: its nonce is spent"));
        }
        Ok(steps)
    }

    /// A statement that breaks the chain was refused, and that is on record (ID-4). The refused statement is not:
    /// what the Federation says about it stands on its signature alone.
    fn broken_chain(&self, id: InstanceId, at: Timestamp) -> Result<Vec<Step>, Fault> {
        let code = FindingCode::VersionChainBroken;
        let instance = self
            .instances
            .get(&id)
            .filter(|instance| instance.state != State::Revoked && instance.finding(code).is_none())
            .filter(|instance| !instance.is_silenced(code, at));
        if instance.is_none() {
            return Err(Fault::new(
                "CO-9",
                "the finding is open or silenced already, or the instance revoked",
            ));
        }
        let opened = Event::Instance(id, InstanceEvent::FindingOpened { code });
        let open = |instance: &Instance| instance.escalations.iter().any(|open| open.rule == "CO-9");
        let escalates = (!instance.is_some_and(open)).then_some(Step::Escalation(id, "CO-9"));
        Ok([Step::Exact(opened)].into_iter().chain(escalates).chain([Step::Reconcile(id)]).collect())
    }

    /// What the law itself finds due.
    fn due(&self, entry: &Entry, id: InstanceId) -> Result<Vec<Step>, Fault> {
        let instance =
            self.instances.get(&id).ok_or_else(|| Fault::new("ID-1", "no instance has this id").found(id))?;
        let due = reconcile(instance, &self.world, entry.at);
        let steps = self.due_steps(instance, due, entry.at);
        let begins = steps.first().is_some_and(|step| step.check(&entry.event).is_ok());
        if begins {
            return Ok(steps);
        }
        let (rule, message) = match (&entry.event, entry.authority) {
            (Event::Instance(_, InstanceEvent::Moved { from: State::Revoked, .. }), _) => {
                ("IN-6", "no Founder's order stands behind it")
            }
            (_, Authority::Founder) => (entry.event.rule(), "no Founder's order stands behind it"),
            _ => (entry.event.rule(), "on the facts of the record it was not due"),
        };
        let expected = steps.first().map_or_else(|| "nothing".into(), Step::shown);
        Err(Fault::new(rule, message).expected(expected).found(json(&entry.event)))
    }
}

/// What a person alone may ask for names somebody of a role that may (AU-1); of a provider's, about one of his own instances
/// (ID-3).
pub(super) fn asked_by(entry: &Entry, roles: &[PersonRole], of: Option<&Instance>) -> Result<Person, Fault> {
    let person = entry.actor.as_deref().and_then(Person::from_path);
    let person = person.filter(|person| roles.contains(&person.role())).ok_or_else(|| {
        let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        Fault::new("AU-1", "the entry does not name somebody who may ask for it")
            .expected(words.join(" or "))
            .found(entry.actor.as_deref().unwrap_or("nobody"))
    })?;
    if of.is_none_or(|instance| person.has(instance.provider.as_ref())) {
        return Ok(person);
    }
    Err(Fault::new("ID-3", "the instance is not of the provider whose operator asked for it").found(person))
}
