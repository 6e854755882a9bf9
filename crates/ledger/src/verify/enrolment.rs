//! Enrolments on record, and the identities that rest on them (HS-1).

use alloc::vec::Vec;

use governance::decide::{
    self, Command, Usable, check_approval, check_enrolment, check_re_enrolment, check_use,
};
use governance::person::OPERATORS;
use governance::{
    Committed, Digest, Endpoint, InstanceId, InstanceKey, Kind, Person, ProviderId, Registration, Tier,
    Timestamp, WorldEvent,
};

use super::Fault;
use super::decision::{Step, of_instance};
use super::instance::asked_by;
use super::replay::{Enrolment, Replay};
use crate::entry::Entry;

impl Replay {
    /// An enrolment made or approved.
    pub(super) fn enrolled(&self, entry: &Entry, event: &WorldEvent) -> Result<Vec<Step>, Fault> {
        match event {
            WorldEvent::EnrolmentApproved { digest } => {
                let approver = asked_by(entry, OPERATORS, None)?;
                let enrolment = self.enrolment(*digest)?;
                if enrolment.instance.is_none() || enrolment.approved || enrolment.used {
                    return Err(Fault::new("HS-1", "the enrolment waits for no approval").found(digest));
                }
                check_approval(&enrolment.asked, enrolment.expires, &approver, entry.at)?;
            }
            WorldEvent::EnrolmentCreated { digest, kind, tier, provider, expires, instance } => {
                let asked = (*kind, *tier, provider.as_ref());
                match instance {
                    None => {
                        check_enrolment(*kind, *tier, provider.is_some(), &self.world)?;
                        Self::check_own(entry, provider.as_ref())?;
                    }
                    Some(id) => {
                        let instance = self.instances.get(id);
                        let unknown = || Fault::new("ID-1", "no instance has this id").found(id);
                        let instance = instance.ok_or_else(unknown)?;
                        check_re_enrolment(instance)?;
                        let own = (instance.kind, instance.subscription.tier, instance.provider.as_ref());
                        check_same("HS-1", "the instance is of another kind, tier or provider", own, asked)?;
                    }
                }
                if self.enrolments.contains_key(digest) {
                    return Err(Fault::new("HS-1", "the enrolment was made before").found(digest));
                }
                let lawful = entry.at + self.world.constitution.enrolment_lifetime;
                if *expires != lawful {
                    let message = "the enrolment lives longer or shorter than `enrolment.lifetime`";
                    return Err(Fault::new("HS-1", message).expected(lawful).found(expires));
                }
            }
            _ => {}
        }
        Ok([Step::Exact(entry.event.clone())].into())
    }

    /// A registration rests on an enrolment made before, unused and in time.
    pub(super) fn registration(
        &self,
        id: InstanceId,
        registration: &Registration,
        at: Timestamp,
    ) -> Result<Vec<Step>, Fault> {
        let enrolment = self.usable(registration.enrolment, at)?;
        if let Some(other) = enrolment.instance {
            return Err(
                Fault::new("HS-1", "the enrolment was for an instance that exists already").found(other)
            );
        }
        let made = (enrolment.kind, enrolment.tier, enrolment.provider.as_ref());
        let used = (registration.kind, registration.tier, registration.provider.as_ref());
        check_same("HS-1", "the enrolment was for another kind, tier or provider", made, used)?;
        Ok(certified(id, registration.key, of_instance(id, decide::register(registration, &self.world)?)))
    }

    /// Another key comes in the place of an instance's by an enrolment for this very instance, which two people stand behind.
    pub(super) fn enrolled_afresh(
        &self,
        id: InstanceId,
        key: InstanceKey,
        digest: Digest,
        endpoint: &Committed<Endpoint>,
        at: Timestamp,
    ) -> Result<Vec<Step>, Fault> {
        let enrolment = self.usable(digest, at)?;
        if enrolment.instance != Some(id) {
            return Err(Fault::new("HS-1", "the enrolment was not for this instance")
                .expected(id)
                .found(digest));
        }
        let afresh = Command::Handshake { key, enrolment: digest, endpoint: endpoint.clone() };
        Ok(certified(id, key, self.decided(id, &afresh, at)?))
    }

    /// Whoever operates for a provider enrols that provider's instances alone (ID-3).
    fn check_own(entry: &Entry, provider: Option<&ProviderId>) -> Result<(), Fault> {
        let asked = entry.actor.as_deref().and_then(Person::from_path);
        if asked.is_none_or(|person| person.has(provider)) {
            return Ok(());
        }
        let message = "the enrolment is not for an instance of the provider whose operator asked for it";
        Err(Fault::new("ID-3", message).found(provider.map_or("nobody", ProviderId::as_str)))
    }

    fn enrolment(&self, digest: Digest) -> Result<&Enrolment, Fault> {
        self.enrolments
            .get(&digest)
            .ok_or_else(|| Fault::new("HS-1", "no enrolment was made for this").found(digest))
    }

    fn usable(&self, digest: Digest, at: Timestamp) -> Result<&Enrolment, Fault> {
        let enrolment = self.enrolment(digest)?;
        let Enrolment { instance, approved, used, expires, .. } = *enrolment;
        check_use(Usable { afresh: instance.is_some(), approved, used, expires }, at)?;
        Ok(enrolment)
    }
}

/// Kind, tier and provider.
type Whom<'a> = (Kind, Tier, Option<&'a ProviderId>);

fn check_same(rule: &str, message: &str, expected: Whom<'_>, found: Whom<'_>) -> Result<(), Fault> {
    let shown = |(kind, tier, provider): Whom<'_>| {
        alloc::format!("{kind}, {tier}, of {}", provider.map_or("nobody", ProviderId::as_str))
    };
    if expected == found {
        return Ok(());
    }
    Err(Fault::new(rule, message).expected(shown(expected)).found(shown(found)))
}

/// The same with a certificate over the key, before whatever is due.
fn certified(id: InstanceId, key: InstanceKey, mut steps: Vec<Step>) -> Vec<Step> {
    let rest = steps.pop();
    steps.push(Step::Certificate(id, key));
    steps.extend(rest);
    steps
}
