//! The federation as the entries so far made it, and what each next entry must be.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Bound;

use governance::event::Sealed;
use governance::lifecycle::transition;
use governance::reconcile::{federation_events, reconcile};
use governance::{
    Authority, Digest, Event, Instance, InstanceEvent, InstanceId, InstanceKey, Kind, ProviderId, Rollout,
    Span, State, Tier, Timestamp, TrustDomain, World, WorldEvent,
};
use proof::{Checking, KeyId, KeysDocument, PublicKey, Purpose, RootKeys};

use super::Fault;
use super::decision::{Basis, Decision, Step, json};
use super::instance::asked_by;
use super::report::{Report, Tallies};
use crate::entry::{Entry, Evidence};
use crate::tree::TreeHead;

/// Decisions about different instances are taken side by side: the later one may be written first, by so much.
pub const CROSSING_MAX: Span = Span::from_millis(60_000);

/// Decisions are signs of life: of the last ones, so many are remembered (CO-7).
const SIGNS_MAX: usize = 65_536;

/// An enrolment on record (HS-1).
#[derive(Clone, Debug)]
pub(super) struct Enrolment {
    pub(super) kind: Kind,
    pub(super) tier: Tier,
    pub(super) provider: Option<ProviderId>,
    pub(super) expires: Timestamp,
    pub(super) used: bool,
    /// The instance that is to enrol afresh; none: a new one.
    pub(super) instance: Option<InstanceId>,
    /// Who asked for it.
    pub(super) asked: String,
    /// Whether a second person approved it.
    pub(super) approved: bool,
}

/// The state of the replay.
#[derive(Clone)]
pub(super) struct Replay {
    pub(super) root: RootKeys,
    /// Of so many who replay the log side by side, which one checks the signatures here: of each so-many-th entry.
    pub(super) share: (u64, u64),
    pub(super) expected: Option<TrustDomain>,
    pub(super) keys: Option<KeysDocument>,
    pub(super) world: World,
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    /// Keys of instances that signed requests, ready for use.
    pub(super) keys_ready: BTreeMap<InstanceId, PublicKey>,
    pub(super) enrolments: BTreeMap<Digest, Enrolment>,
    /// Matrices and catalogues of the Organism that were published, by their digests.
    pub(super) documents: BTreeSet<Digest>,
    /// Requests that may not come again: when they were made, whose they are, their nonce.
    pub(super) nonces: BTreeSet<(Timestamp, InstanceId, [u8; 16])>,
    /// Commitments so far, those of them that were opened, and instances whose labels were not.
    committed: u64,
    opened: u64,
    unlabelled: u64,
    tallies: Tallies,
    decision: Decision,
    latest: Timestamp,
    /// When the last decisions were taken, each once, up to [`SIGNS_MAX`] of them.
    signs: BTreeSet<Timestamp>,
    /// The latest instant that was forgotten of them.
    forgotten: Option<Timestamp>,
    world_at: Timestamp,
    instance_at: BTreeMap<InstanceId, Timestamp>,
}

impl Replay {
    pub(super) fn new(root: RootKeys, expected: Option<TrustDomain>) -> Self {
        let zero = Timestamp::from_millis(0);
        Self {
            root,
            share: (0, 1),
            expected,
            keys: None,
            world: World::default(),
            instances: BTreeMap::new(),
            keys_ready: BTreeMap::new(),
            enrolments: BTreeMap::new(),
            documents: BTreeSet::new(),
            nonces: BTreeSet::new(),
            committed: 0,
            opened: 0,
            unlabelled: 0,
            tallies: Tallies::default(),
            decision: Decision::none(),
            latest: zero,
            signs: BTreeSet::new(),
            forgotten: None,
            world_at: zero,
            instance_at: BTreeMap::new(),
        }
    }

    pub(super) const fn keys(&self) -> Option<&KeysDocument> {
        self.keys.as_ref()
    }

    pub(super) const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// A decision taken strictly between these instants, or one that may have been and is forgotten.
    pub(super) fn decided_within(&self, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let inside = (Bound::Excluded(from), Bound::Excluded(until));
        let found = (from < until).then(|| self.signs.range(inside).next().copied()).flatten();
        found.or_else(|| self.forgotten.filter(|forgotten| from < *forgotten))
    }

    /// Who checks the signatures of the entry at a position.
    pub(super) fn checking(&self, position: u64) -> Checking {
        let (part, of) = self.share;
        if position % of == part { Checking::Now } else { Checking::Elsewhere }
    }

    /// Judges the next entry, then applies it.
    pub(super) fn push(&mut self, position: u64, entry: &Entry, sealed: Sealed) -> Result<(), Fault> {
        self.check_labels(entry, sealed)?;
        self.check_derived(entry)?;
        self.check_time(entry)?;
        self.check_constitution(entry)?;
        self.check_legal(&entry.event, entry.at)?;
        let step = match self.decision.steps.pop_front() {
            Some(step) if entry.at != self.decision.at => {
                return Err(Fault::new(entry.event.rule(), "the decision before it is not complete")
                    .expected(step.shown())
                    .found(json(&entry.event)));
            }
            Some(step) => step,
            None => {
                self.check_law_of_the_day(entry)?;
                self.decision = self.start(position, entry)?;
                let nothing =
                    || Fault::new(&entry.rule, "nothing was to be decided").found(json(&entry.event));
                self.decision
                    .steps
                    .pop_front()
                    .filter(|step| !matches!(step, Step::Reconcile(_)))
                    .ok_or_else(nothing)?
            }
        };
        step.check(&entry.event)?;
        self.check_actor(entry, &step)?;
        self.check_evidence(position, entry, &step)?;
        self.apply(entry);
        self.committed += sealed.committed;
        self.opened += sealed.opened;
        self.unlabelled += u64::from(sealed.labels);
        self.settle();
        Ok(())
    }

    /// Whether instances are among those that a rollout is for cannot be told while their labels are closed (RO-6): then nothing
    /// behind it can be judged, and it is said so.
    fn check_labels(&self, entry: &Entry, sealed: Sealed) -> Result<(), Fault> {
        let for_labelled = |rollout: &Rollout| !rollout.restriction.label.is_empty();
        let opens = match &entry.event {
            Event::World(WorldEvent::RolloutOpened { restriction, .. }) => !restriction.label.is_empty(),
            Event::World(_) => false,
            Event::Instance(..) => sealed.labels && self.world.rollouts.iter().any(for_labelled),
        };
        let closed = self.unlabelled + u64::from(sealed.labels);
        if !opens || closed == 0 {
            return Ok(());
        }
        let message =
            "a rollout is for labelled instances, and whose labels are not disclosed cannot be judged";
        Err(Fault::new("LG-3", message).expected("the openings").found(alloc::format!("{closed} closed")))
    }

    /// Whether the last decision is whole.
    pub(super) fn check_complete(&self) -> Result<(), Fault> {
        match self.decision.steps.front() {
            None => Ok(()),
            Some(step) => Err(Fault::new("LG-1", "the last decision is not complete").expected(step.shown())),
        }
    }

    /// What must be decided, beginning with this entry.
    fn start(&mut self, position: u64, entry: &Entry) -> Result<Decision, Fault> {
        let actor = match entry.event.asked_by() {
            Some(roles) => Some(asked_by(entry, roles, self.subject(&entry.event))?.to_string()),
            None => None,
        };
        let decision = match &entry.event {
            Event::World(event) => self.start_world(position, entry, event)?,
            Event::Instance(id, event) => self.start_instance(position, entry, *id, event)?,
        };
        Ok(Decision { actor, ..decision })
    }

    /// The instance that a decision is about, where it is about one that exists.
    fn subject(&self, event: &Event) -> Option<&Instance> {
        match event {
            Event::Instance(id, _)
            | Event::World(WorldEvent::EnrolmentCreated { instance: Some(id), .. }) => self.instances.get(id),
            Event::World(_) => None,
        }
    }

    /// What was asked for by hand names who asked; nothing else names anybody (AU-1).
    fn check_actor(&self, entry: &Entry, step: &Step) -> Result<(), Fault> {
        let asked = if matches!(step, Step::Due(_)) { None } else { self.decision.actor.as_deref() };
        let found = entry.actor.as_deref();
        if asked == found {
            return Ok(());
        }
        let message = match asked {
            Some(_) => "the entry names another person than the one who asked for the decision",
            None => "the entry names somebody, and nobody asked for it",
        };
        Err(Fault::new("AU-1", message).expected(asked.unwrap_or("nobody")).found(found.unwrap_or("nobody")))
    }

    /// Rule and authority are the event's, not the writer's (AU-1).
    fn check_derived(&self, entry: &Entry) -> Result<(), Fault> {
        let (rule, authority) = (entry.event.rule(), entry.event.authority());
        if entry.authority != authority {
            return Err(Fault::new(
                "AU-1",
                "the entry names another authority than the one that may decide this",
            )
            .expected(authority)
            .found(entry.authority));
        }
        if entry.rule != rule {
            return Err(Fault::new("AU-1", "the entry names another rule than the one it rests on")
                .expected(rule)
                .found(&entry.rule));
        }
        Ok(())
    }

    /// Time never goes back for one subject, nor behind the federation as a whole (LG-1).
    fn check_time(&self, entry: &Entry) -> Result<(), Fault> {
        let floor = match &entry.event {
            Event::World(_) => self.world_at,
            Event::Instance(id, _) => {
                self.instance_at.get(id).copied().unwrap_or(self.world_at).max(self.world_at)
            }
        };
        if entry.at < floor || self.latest.since(entry.at) > CROSSING_MAX {
            return Err(Fault::new("LG-1", "the entry was decided before one that stands before it")
                .expected(alloc::format!("{} or later", floor.max(self.latest - CROSSING_MAX)))
                .found(entry.at));
        }
        Ok(())
    }

    /// The constitution named is the one in force (FO-5); of the first of all, none.
    fn check_constitution(&self, entry: &Entry) -> Result<(), Fault> {
        let in_force = self.world.constitution_digest;
        if entry.constitution == in_force {
            return Ok(());
        }
        let shown = |digest: Option<Digest>| digest.map_or("none".to_string(), |digest| digest.to_string());
        Err(Fault::new("FO-5", "the entry rests on another constitution than the one in force")
            .expected(shown(in_force))
            .found(shown(entry.constitution)))
    }

    /// A constitution whose date has come is in force before anything else is decided (FO-5), but that the plane was away
    /// until now is told first: it is no judgement.
    fn check_law_of_the_day(&self, entry: &Entry) -> Result<(), Fault> {
        match (self.world.due(entry.at).into_iter().next(), &entry.event) {
            (
                Some(_),
                Event::World(WorldEvent::ConstitutionEffective { .. } | WorldEvent::OutageRecorded { .. }),
            )
            | (None, _) => Ok(()),
            (Some(due), _) => {
                Err(Fault::new("FO-5", "the date of another constitution had come before this was decided")
                    .expected(json(&Event::World(due)))
                    .found(json(&entry.event)))
            }
        }
    }

    /// What no decision whatever may do: said apart, so that the breach has its own name.
    fn check_legal(&self, event: &Event, at: Timestamp) -> Result<(), Fault> {
        let Event::Instance(id, event) = event else { return Ok(()) };
        let known = self.instances.get(id);
        match (event, known) {
            (InstanceEvent::Registered(_), None) => Ok(()),
            (InstanceEvent::Registered(_), Some(_)) => {
                Err(Fault::new("ID-1", "the instance is registered already: an id is never used again")
                    .found(id))
            }
            (_, None) => Err(Fault::new("ID-1", "no instance has this id").found(id)),
            (InstanceEvent::Moved { from, to, cause }, Some(instance)) => {
                if instance.state != *from {
                    return Err(Fault::new(
                        "LC",
                        "the instance stands elsewhere than where it is said to leave from",
                    )
                    .expected(instance.state)
                    .found(from));
                }
                let row = transition(*from, *to, *cause);
                if *from == State::Revoked && row.is_none_or(|row| row.by != Authority::Founder) {
                    return Err(
                        Fault::new("IN-6", "nothing but a Founder's order leads out of revoked").found(to)
                    );
                }
                row.map(|_| ()).ok_or_else(|| {
                    Fault::new("LC", "illegal transition: the law has no such row")
                        .found(alloc::format!("{from} to {to} because of {cause}"))
                })
            }
            (InstanceEvent::CertificateIssued { key, not_after, .. }, Some(instance)) => {
                self.check_certificate(*key, *not_after, instance, at)
            }
            (InstanceEvent::Offered { release, .. }, Some(_)) => match self.world.releases.get(release) {
                None => Err(Fault::new("IN-5", "the release on offer was never signed by the Organism")
                    .found(release)),
                Some(published) if published.withdrawn => {
                    Err(Fault::new("RL-1", "the release on offer is withdrawn").found(release))
                }
                Some(_) => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// A certificate is over the key that the instance itself put on record (AU-2), and ends in time (HS-1).
    fn check_certificate(
        &self,
        key: InstanceKey,
        not_after: Timestamp,
        instance: &Instance,
        at: Timestamp,
    ) -> Result<(), Fault> {
        if key != instance.key {
            let message =
                "the certificate is over a key that the instance never took by a request of its own";
            return Err(Fault::new("AU-2", message).expected(instance.key).found(key));
        }
        let limit = at + self.world.constitution.identity_certificate_lifetime;
        if not_after <= at {
            return Err(Fault::new("HS-1", "the certificate ended before it was issued").found(not_after));
        }
        if not_after > limit {
            return Err(Fault::new("HS-1", "the certificate lives longer than the law allows")
                .expected(limit)
                .found(not_after));
        }
        Ok(())
    }

    /// The evidence is of the kind the authority gives, and proves this decision (AU-1).
    fn check_evidence(&self, position: u64, entry: &Entry, step: &Step) -> Result<(), Fault> {
        let first = position == self.decision.start;
        let standing = matches!(step, Step::Due(..));
        let basis = self.decision.basis;
        let fits = match &entry.evidence {
            Evidence::Federation { .. } => entry.authority == Authority::Federation || standing,
            Evidence::Request(_) => first && basis == Basis::Request && entry.authority == Authority::Runtime,
            Evidence::Document(_) => first && basis == Basis::Document(entry.authority),
            Evidence::Preceding { back } => {
                let resolves = !first && position.checked_sub(u64::from(*back)) == Some(self.decision.start);
                let owner = match basis {
                    Basis::Federation => None,
                    Basis::Request => Some(Authority::Runtime),
                    Basis::Document(authority) => Some(authority),
                };
                resolves && owner == Some(entry.authority)
            }
        };
        if !fits {
            let message =
                alloc::format!("the evidence does not prove that the {} decided this", entry.authority);
            return Err(Fault::new("AU-1", message).found(entry.evidence.kind()));
        }
        match &entry.evidence {
            Evidence::Federation { key, .. } => self.check_signature(position, entry, *key),
            _ => Ok(()),
        }
    }

    /// The Federation's signature is by a key that the keys document names for directives at that time (AU-4).
    fn check_signature(&self, position: u64, entry: &Entry, key: KeyId) -> Result<(), Fault> {
        let known = self.keys.as_ref().and_then(|keys| keys.find(Purpose::Directives, key, entry.at));
        let known = known.ok_or_else(|| {
            Fault::new("AU-4", "the entry is signed with a key that the keys document does not name for this")
                .found(key)
        })?;
        if self.checking(position) == Checking::Elsewhere {
            return Ok(());
        }
        entry.verify_federation(known).map_err(|error| Fault::new("AU-1", error.to_string()))
    }

    fn apply(&mut self, entry: &Entry) {
        let at = entry.at;
        self.latest = self.latest.max(at);
        self.signs.insert(at);
        if self.signs.len() > SIGNS_MAX {
            self.forgotten = self.forgotten.max(self.signs.pop_first());
        }
        match &entry.event {
            Event::World(event) => {
                if !event.stands_apart() {
                    self.world_at = at;
                }
                self.world.apply(event, at);
                self.note_world(event, entry);
            }
            Event::Instance(id, event) => {
                self.instance_at.insert(*id, at);
                self.note_instance(*id, event);
                if let InstanceEvent::Registered(registration) = event {
                    self.instances.insert(*id, Instance::registered(*id, registration, at));
                } else if let Some(instance) = self.instances.get_mut(id) {
                    instance.apply(event, at);
                }
            }
        }
    }

    fn note_world(&mut self, event: &WorldEvent, entry: &Entry) {
        match event {
            WorldEvent::MatrixPublished { .. } | WorldEvent::CataloguePublished { .. } => {
                if let Evidence::Document(document) = &entry.evidence {
                    self.documents.insert(document.digest());
                }
            }
            WorldEvent::KeysPublished { .. } => {
                if let Some(keys) = self.decision.keys.take() {
                    self.keys = Some(keys);
                }
            }
            WorldEvent::EnrolmentCreated { digest, kind, tier, provider, expires, instance } => {
                let enrolment = Enrolment {
                    kind: *kind,
                    tier: *tier,
                    provider: provider.clone(),
                    expires: *expires,
                    used: false,
                    instance: *instance,
                    asked: entry.actor.clone().unwrap_or_default(),
                    approved: false,
                };
                self.enrolments.insert(*digest, enrolment);
            }
            WorldEvent::EnrolmentApproved { digest } => {
                if let Some(enrolment) = self.enrolments.get_mut(digest) {
                    enrolment.approved = true;
                }
            }
            _ => {}
        }
    }

    fn note_instance(&mut self, id: InstanceId, event: &InstanceEvent) {
        let used = match event {
            InstanceEvent::Registered(registration) => Some(registration.enrolment),
            InstanceEvent::HandshakeRenewed { enrolment, .. } => Some(*enrolment),
            _ => None,
        };
        if let Some(enrolment) = used.and_then(|digest| self.enrolments.get_mut(&digest)) {
            enrolment.used = true;
        }
        let attempt = self.instances.get(&id).and_then(|instance| instance.attempt);
        self.tallies.count(id, event, attempt.map(|attempt| (attempt.rollout, attempt.action)));
    }

    /// Where the decision leaves the rest to `reconcile`, finds out what that is.
    fn settle(&mut self) {
        while let Some(Step::Reconcile(id)) = self.decision.steps.front() {
            let id = *id;
            self.decision.steps.pop_front();
            let Some(instance) = self.instances.get(&id) else { continue };
            let due = reconcile(instance, &self.world, self.decision.at);
            for step in self.due_steps(instance, due, self.decision.at).into_iter().rev() {
                self.decision.steps.push_front(step);
            }
        }
    }

    /// What is due for an instance, and what that makes of the federation (CO-14).
    pub(super) fn due_steps(&self, instance: &Instance, due: Vec<InstanceEvent>, at: Timestamp) -> Vec<Step> {
        let mut after = instance.clone();
        due.iter().for_each(|event| after.apply(event, at));
        let beyond = federation_events(&after, &due, &self.world, at);
        let due = due.into_iter().map(|event| Event::Instance(instance.id, event));
        due.chain(beyond.into_iter().map(Event::World)).map(Step::Due).collect()
    }

    pub(super) fn into_report(self, head: TreeHead) -> Report {
        let mut states: BTreeMap<State, u64> = BTreeMap::new();
        for instance in self.instances.values() {
            *states.entry(instance.state).or_default() += 1;
        }
        let none = super::report::Tally::default();
        let rollouts = self.world.rollouts.iter().map(|rollout| {
            self.tallies.of(rollout.id).unwrap_or(&none).report(rollout.release, rollout.shown())
        });
        Report {
            entries: head.size,
            root: head.root,
            latest: self.latest,
            keys_serial: self.world.keys_serial,
            constitution: self.world.constitution_digest,
            instances: self.instances.len() as u64,
            states,
            committed: self.committed,
            opened: self.opened,
            rollouts: rollouts.collect(),
            trust_domain: self.keys.map(|keys| keys.trust_domain),
        }
    }
}
