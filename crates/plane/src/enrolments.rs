//! Enrolments (HS-1): the right to register one instance, once; or to enrol one afresh under its id, which takes a second
//! person's approval.

use governance::decide::{Usable, check_approval, check_enrolment, check_re_enrolment, check_use};
use governance::{Digest, Event, Instance, InstanceId, Person, Timestamp, WorldEvent};
use proof::PublicKey;

use crate::decision::{By, CONFLICTS_MAX, Record};
use crate::instances::instance_key;
use crate::ports::{Commit, Enrolment, EnrolmentUse, EnrolmentWrite, Revision, Store};
use crate::{Plane, PlaneError, Rejection, Seen, StoreError};

/// Enrolments that wait for an approval, shown at most.
const WAITING_MAX: usize = 1_000;

/// Whom an enrolment is for.
enum For {
    /// An instance that is to be.
    New(wire::EnrolmentRequest),
    /// One that is there already.
    Known(InstanceId),
}

/// What is found under a secret.
pub(crate) enum Found {
    /// An enrolment to use.
    Open(Box<Enrolment>),
    /// What was answered before to the same key.
    Answered(EnrolmentUse),
}

impl<S: Store> Plane<S> {
    /// A person makes an enrolment: the right to register one instance, once (HS-1). The secret is shown once.
    ///
    /// # Errors
    /// When kind, tier and provider do not go together (ID-3, CO-4).
    pub async fn enrolment_create(
        &self,
        person: &Person,
        request: wire::EnrolmentRequest,
    ) -> Result<wire::EnrolmentCreated, PlaneError> {
        self.enrolment_make(person, &For::New(request)).await
    }

    /// A person asks that an instance which lost its key or its chain, or let its certificate run out, may enrol afresh
    /// under its id (HS-1). The secret is good once another person has approved it.
    ///
    /// # Errors
    /// When there is no such instance, or it is revoked.
    pub async fn re_enrol(
        &self,
        person: &Person,
        id: InstanceId,
    ) -> Result<wire::EnrolmentCreated, PlaneError> {
        self.enrolment_make(person, &For::Known(id)).await
    }

    /// Another person approves it (HS-1). May be repeated.
    ///
    /// # Errors
    /// When there is none to be approved, it expired, or it is the same person.
    pub async fn enrolment_approve(&self, person: &Person, digest: Digest) -> Result<(), PlaneError> {
        let _gate = self.gate.read().await;
        for _ in 0..CONFLICTS_MAX {
            let (seen, now) = self.law_of_the_day().await?;
            let found = self.store.enrolment_load(digest).await?;
            let found = found.filter(|enrolment| enrolment.instance.is_some());
            let enrolment =
                found.ok_or_else(|| PlaneError::NotFound(format!("enrolment {digest} to approve")))?;
            check_approval(&enrolment.asked, enrolment.expires, person, now)?;
            if enrolment.approved.is_some() {
                return Ok(());
            }
            let write = EnrolmentWrite::Approve { digest, by: person.to_string() };
            if self
                .enrolment_commit(&seen, person, WorldEvent::EnrolmentApproved { digest }, write, None, now)
                .await?
            {
                return Ok(());
            }
        }
        Err(PlaneError::Unavailable("the enrolment is being changed by others all the time".into()))
    }

    /// The enrolments afresh that were not used yet, those that wait for an approval among them; the next to expire first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn enrolments_waiting(&self) -> Result<Vec<wire::EnrolmentView>, PlaneError> {
        let waiting = self.store.enrolment_waiting(self.now(), WAITING_MAX).await?;
        let view = |enrolment: Enrolment| {
            let Enrolment { digest, asked, approved, expires, .. } = enrolment;
            enrolment.instance.map(|instance| wire::EnrolmentView {
                digest,
                instance,
                asked,
                approved,
                expires,
            })
        };
        Ok(waiting.into_iter().filter_map(view).collect())
    }

    async fn enrolment_make(
        &self,
        person: &Person,
        whom: &For,
    ) -> Result<wire::EnrolmentCreated, PlaneError> {
        let secret = secret_text(&self.entropy.bytes());
        let digest = Digest::of(secret.as_bytes());
        let _gate = self.gate.read().await;
        for _ in 0..CONFLICTS_MAX {
            let (seen, now) = self.law_of_the_day().await?;
            let (wire::EnrolmentRequest { kind, tier, provider, labels }, known) = match whom {
                For::New(request) => {
                    let has_provider = request.provider.is_some();
                    check_enrolment(request.kind, request.tier, has_provider, &seen.world)?;
                    (request.clone(), None)
                }
                For::Known(id) => {
                    let (request, instance, revision) = self.known(*id).await?;
                    (request, Some((instance, revision)))
                }
            };
            let instance = known.as_ref().map(|(instance, _)| instance.id);
            let expires = now + seen.world.constitution.enrolment_lifetime;
            let (asked, approved, used) = (person.to_string(), None, None);
            let event = WorldEvent::EnrolmentCreated {
                digest,
                kind,
                tier,
                provider: provider.clone(),
                expires,
                instance,
            };
            let enrolment =
                Enrolment { digest, kind, tier, provider, labels, instance, asked, approved, expires, used };
            let write = EnrolmentWrite::Create(enrolment);
            if self.enrolment_commit(&seen, person, event, write, known, now).await? {
                return Ok(wire::EnrolmentCreated { secret, digest, expires });
            }
        }
        Err(PlaneError::Unavailable("the federation is being changed by others all the time".into()))
    }

    /// What an instance that may enrol afresh is, as if it were asked for anew; and the instance as it was found.
    async fn known(
        &self,
        id: InstanceId,
    ) -> Result<(wire::EnrolmentRequest, Instance, Revision), PlaneError> {
        let found = self.store.instance_load(id).await?;
        let (instance, revision) = found.ok_or_else(|| PlaneError::NotFound(format!("instance {id}")))?;
        check_re_enrolment(&instance)?;
        let Instance { kind, subscription, provider, labels, .. } = instance.clone();
        let request = wire::EnrolmentRequest { kind, tier: subscription.tier, provider, labels };
        Ok((request, instance, revision))
    }

    /// Commits what becomes of an enrolment; `false`: somebody else was first, decide again.
    async fn enrolment_commit(
        &self,
        seen: &Seen,
        person: &Person,
        event: WorldEvent,
        write: EnrolmentWrite,
        known: Option<(Instance, Revision)>,
        now: Timestamp,
    ) -> Result<bool, PlaneError> {
        let by = By::Person(person.clone());
        let mut record = Record::new(now, seen.constitution(), &by, &self.federation.directives);
        record.push(Event::World(event), true)?;
        let commit = Commit {
            // Written as it is, so that nothing else becomes of it before what was read of it is on record.
            instance: known.map(|(instance, revision)| (Box::new(instance), Some(revision))),
            world_revision: seen.revision,
            entries: record.into_entries(),
            enrolment: Some(write),
            ..Commit::default()
        };
        match self.store.commit(commit).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict(_)) => {
                self.look_again().await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The enrolment under a secret, where there is one; and the instance that it lets enrol afresh.
    pub(crate) async fn enrolment_load(
        &self,
        digest: Digest,
    ) -> Result<(Option<Enrolment>, Option<(Instance, Revision)>), PlaneError> {
        let enrolment = self.store.enrolment_load(digest).await?;
        let known = match enrolment.as_ref().and_then(|enrolment| enrolment.instance) {
            Some(id) => self.store.instance_load(id).await?,
            None => None,
        };
        Ok((enrolment, known))
    }
}

/// What is found under a secret, if this key may use it now.
pub(crate) fn found(
    enrolment: Option<Enrolment>,
    now: Timestamp,
    key: &PublicKey,
) -> Result<Found, PlaneError> {
    let Some(enrolment) = enrolment else {
        let hint = "ask an operator for an enrolment";
        return Err(Rejection::new("enrolment-unknown", "HS-1", "no enrolment has this secret", hint).into());
    };
    match &enrolment.used {
        Some(used) if used.key == instance_key(key) => Ok(Found::Answered(used.clone())),
        used => {
            let (afresh, approved) = (enrolment.instance.is_some(), enrolment.approved.is_some());
            let expires = enrolment.expires;
            check_use(Usable { afresh, approved, used: used.is_some(), expires }, now)?;
            Ok(Found::Open(Box::new(enrolment)))
        }
    }
}

/// An enrolment secret: 256 random bits in hexadecimal behind a word that says what it is.
fn secret_text(bytes: &[u8; 32]) -> String {
    format!("enrol-{}", Digest::from_bytes(*bytes))
}
