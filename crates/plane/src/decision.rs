//! The shape of every use case: load, decide, reconcile, commit; a conflict loads and decides again.
//!
//! The only place that writes. State, ledger entries, nonce and enrolment go in one commit or not at all.

use std::sync::Arc;

use governance::decide::{WorldCommand, decide_world};
use governance::reconcile::{federation_events, reconcile};
use governance::{
    Authority, Digest, Event, Instance, InstanceEvent, InstanceId, Person, Refusal, Timestamp, World,
    WorldEvent,
};
use ledger::entry::{Entry, Evidence};
use proof::{Jws, SignedRequest};
use trust::Signer;

use crate::news::Touch;
use crate::ports::{Commit, Committed, Document, EnrolmentWrite, Nonce, Revision, Store, StoreError};
use crate::{Plane, PlaneError, Seen};

/// How often a decision is taken again because somebody else wrote meanwhile.
pub(crate) const CONFLICTS_MAX: usize = 16;

/// Who asks, and what proves it (AU-1).
#[derive(Clone, Debug)]
pub enum By {
    /// An instance, by its signed request.
    Instance(Box<SignedRequest>),
    /// A person, by his certificate.
    Person(Person),
    /// The Founder, by a signed order.
    Founder(Box<Jws>),
    /// The Organism, by a signed release, handed in by a person.
    Organism(Box<Jws>, Person),
    /// Nobody: the Federation itself, by rule.
    Federation,
}

impl By {
    fn actor(&self) -> Option<String> {
        match self {
            Self::Person(person) | Self::Organism(_, person) => Some(person.to_string()),
            _ => None,
        }
    }

    fn evidence(&self) -> Option<Evidence> {
        match self {
            Self::Instance(request) => Some(Evidence::Request((**request).clone())),
            Self::Founder(document) | Self::Organism(document, _) => {
                Some(Evidence::Document((**document).clone()))
            }
            Self::Person(_) | Self::Federation => None,
        }
    }
}

/// Ledger entries of one decision in the making.
pub(crate) struct Record<'a> {
    at: Timestamp,
    constitution: Option<Digest>,
    by: &'a By,
    signer: &'a Signer,
    /// Where the evidence that the others point back to stands.
    primary: Option<usize>,
    entries: Vec<Vec<u8>>,
    /// Which of them are about an instance.
    about_instance: Vec<usize>,
    /// What opens their commitments.
    openings: Vec<Document>,
    /// What of it is news to the instance.
    pub(crate) touch: Touch,
}

impl<'a> Record<'a> {
    pub(crate) const fn new(
        at: Timestamp,
        constitution: Option<Digest>,
        by: &'a By,
        signer: &'a Signer,
    ) -> Self {
        Self {
            at,
            constitution,
            by,
            signer,
            primary: None,
            entries: Vec::new(),
            about_instance: Vec::new(),
            openings: Vec::new(),
            touch: Touch::NOTHING,
        }
    }

    /// Adds one event, with what proves it.
    pub(crate) fn push(&mut self, event: Event, by_command: bool) -> Result<(), PlaneError> {
        if let Event::Instance(_, event) = &event {
            self.touch.see(event);
            self.about_instance.push(self.entries.len());
            for opening in event.openings() {
                self.openings.push(crate::disclosures::kept(&opening)?);
            }
        }
        // What reconcile finds due right behind a command is the Federation's own finding.
        let actor = if by_command { self.by.actor() } else { None };
        let entry = if event.authority() == Authority::Federation {
            Entry::federation(self.at, actor, self.constitution, event, self.signer)?
        } else {
            let evidence = match self.primary {
                Some(primary) => {
                    let back = self.entries.len().saturating_sub(primary);
                    Evidence::Preceding { back: u16::try_from(back).unwrap_or(u16::MAX) }
                }
                None => self.by.evidence().ok_or_else(|| {
                    PlaneError::Unavailable(format!(
                        "nothing proves that the {} decided this",
                        event.authority()
                    ))
                })?,
            };
            self.primary.get_or_insert(self.entries.len());
            Entry::new(self.at, actor, self.constitution, event, evidence)
        };
        self.entries.push(entry.encode()?);
        Ok(())
    }

    pub(crate) fn into_entries(self) -> Vec<Vec<u8>> {
        self.entries
    }

    /// The entries, which of them are about the instance of the commit, and what opens their commitments.
    pub(crate) fn into_parts(self) -> (Vec<Vec<u8>>, Vec<usize>, Vec<Document>) {
        (self.entries, self.about_instance, self.openings)
    }
}

/// An instance as it is on record.
pub(crate) struct Recorded {
    pub(crate) instance: Instance,
    pub(crate) revision: Revision,
}

impl std::ops::Deref for Recorded {
    type Target = Instance;
    fn deref(&self) -> &Instance {
        &self.instance
    }
}

/// What else a commit about an instance carries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    pub(crate) nonce: Option<Nonce>,
    pub(crate) enrolment: Option<EnrolmentWrite>,
    /// Whether the instance itself asks, and is told in the answer.
    pub(crate) told: bool,
}

impl<S: Store> Plane<S> {
    /// Judges something about one instance, reconciles it, and commits both; a refusal may leave something on record.
    /// Where nothing changes, nothing is written.
    pub(crate) async fn decide_instance(
        &self,
        id: InstanceId,
        by: &By,
        extra: &Extra,
        judge: impl Fn(&Instance, &World, Timestamp) -> Result<Vec<InstanceEvent>, Refusal> + Send + Sync,
    ) -> Result<Recorded, PlaneError> {
        let _gate = self.gate.read().await;
        for _ in 0..CONFLICTS_MAX {
            let (instance, revision) = self
                .store
                .instance_load(id)
                .await?
                .ok_or_else(|| PlaneError::NotFound(format!("instance {id}")))?;
            // The instant is taken behind the record: nothing that stands there was decided later (LG-1).
            self.heed(instance.decided);
            let (seen, now) = self.law_of_the_day().await?;
            let (events, refusal) = match judge(&instance, &seen.world, now) {
                Ok(events) => (events, None),
                Err(refusal) => (refusal.record.clone(), Some(refusal)),
            };
            match self.settle(&seen, instance, Some(revision), events, by, extra, now).await {
                Ok(recorded) => match refusal {
                    None => return Ok(recorded),
                    Some(refusal) if refusal.record.is_empty() && !self.is_still(&seen).await? => {}
                    Some(refusal) => return Err(refusal.into()),
                },
                Err(SettleError::Again) => self.look_again().await?,
                Err(SettleError::Failed(error)) => return Err(error),
            }
        }
        Err(PlaneError::Unavailable(format!("instance {id} is being changed by others all the time")))
    }

    /// Applies the events, reconciles, and commits what came of it.
    #[expect(clippy::too_many_arguments, reason = "the facts of one decision, each needed once")]
    pub(crate) async fn settle(
        &self,
        seen: &Seen,
        mut instance: Instance,
        revision: Option<Revision>,
        events: Vec<InstanceEvent>,
        by: &By,
        extra: &Extra,
        now: Timestamp,
    ) -> Result<Recorded, SettleError> {
        let mut record = Record::new(now, seen.constitution(), by, &self.federation.directives);
        let id = instance.id;
        for event in events {
            instance.apply(&event, now);
            record.push(Event::Instance(id, event), true)?;
        }
        let world = self.reconcile(&mut instance, &seen.world, &mut record, now)?;
        let touch = record.touch;
        let (entries, about_instance, documents) = record.into_parts();
        if entries.is_empty() {
            if let Some(revision) = revision {
                self.fleet.put(seen, &instance, revision, None, now);
            }
            return Ok(Recorded { instance, revision: revision.unwrap_or_default() });
        }
        let commit = Commit {
            instance: Some((Box::new(instance.clone()), revision)),
            world: world.clone().map(Box::new),
            world_revision: seen.revision,
            entries,
            about_instance,
            nonce: extra.nonce.clone(),
            enrolment: extra.enrolment.clone(),
            documents,
            fence: None,
        };
        let committed = self.commit(commit).await?;
        self.took(world, &instance, committed, now);
        let told = extra.told || matches!(by, By::Instance(_));
        self.news.tell_of_decision(id, touch, told, !matches!(by, By::Federation));
        Ok(Recorded { instance, revision: committed.instance_revision })
    }

    /// Takes in what was committed about an instance, and of the world where that changed too.
    fn took(&self, world: Option<World>, instance: &Instance, committed: Committed, now: Timestamp) {
        if let Some(world) = world {
            self.see(world, committed.world_revision);
            self.fleet.world_seen(committed.ledger_size);
        }
        let size = Some(committed.ledger_size);
        self.fleet.put(&self.seen(), instance, committed.instance_revision, size, now);
    }

    /// Adds what is due for the instance; gives the world where that changes it too (CO-14).
    fn reconcile(
        &self,
        instance: &mut Instance,
        world: &World,
        record: &mut Record<'_>,
        now: Timestamp,
    ) -> Result<Option<World>, PlaneError> {
        let id = instance.id;
        let due = reconcile(instance, world, now);
        for event in &due {
            instance.apply(event, now);
            record.push(Event::Instance(id, event.clone()), false)?;
        }
        let mut changed = None;
        for event in federation_events(instance, &due, world, now) {
            changed.get_or_insert_with(|| world.clone()).apply(&event, now);
            record.push(Event::World(event), false)?;
        }
        Ok(changed)
    }

    /// The world as it is now, with every constitution in force whose date has come (FO-5).
    pub(crate) async fn law_of_the_day(&self) -> Result<(Arc<Seen>, Timestamp), PlaneError> {
        for _ in 0..CONFLICTS_MAX {
            let seen = self.seen();
            self.heed(seen.world.decided);
            let now = self.now();
            let due = seen.world.due(now);
            if due.is_empty() {
                return Ok((seen, now));
            }
            self.settle_world(&seen, due, &By::Federation, Vec::new(), now).await?;
        }
        Err(PlaneError::Unavailable("the federation is being changed by others all the time".into()))
    }

    /// Whether the world still is as it was seen. Asked before an answer for which nothing is written: no revision guards that, and
    /// another server may have changed the world meanwhile.
    pub(crate) async fn is_still(&self, seen: &Seen) -> Result<bool, PlaneError> {
        self.look_again().await?;
        Ok(self.seen().revision == seen.revision)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, SettleError> {
        self.store.commit(commit).await.map_err(|error| match error {
            StoreError::Conflict(_) => SettleError::Again,
            other => SettleError::Failed(other.into()),
        })
    }

    /// Judges commands about the federation as a whole, each on what the one before made of it, and commits them as one.
    pub(crate) async fn decide_world(
        &self,
        commands: &[WorldCommand],
        by: &By,
        documents: Vec<Document>,
    ) -> Result<(), PlaneError> {
        let _gate = self.gate.read().await;
        for _ in 0..CONFLICTS_MAX {
            let (seen, now) = self.law_of_the_day().await?;
            match decide_all(&seen.world, commands, now) {
                Ok(events) if events.is_empty() => {
                    if self.is_still(&seen).await? {
                        return Ok(());
                    }
                }
                Ok(events) => {
                    if self.settle_world(&seen, events, by, documents.clone(), now).await? {
                        return Ok(());
                    }
                }
                Err(refusal) => {
                    if self.is_still(&seen).await? {
                        return Err(refusal.into());
                    }
                }
            }
        }
        Err(PlaneError::Unavailable("the federation is being changed by others all the time".into()))
    }

    /// Applies the events to the world and commits it; `false`: somebody else was first, decide again.
    pub(crate) async fn settle_world(
        &self,
        seen: &Seen,
        events: Vec<WorldEvent>,
        by: &By,
        documents: Vec<Document>,
        now: Timestamp,
    ) -> Result<bool, PlaneError> {
        if events.is_empty() {
            return Ok(true);
        }
        let mut world = seen.world.clone();
        let mut record = Record::new(now, seen.constitution(), by, &self.federation.directives);
        for event in events {
            world.apply(&event, now);
            record.push(Event::World(event), true)?;
            // Of several constitutions whose date has come, each names the one before it.
            record.constitution = world.constitution_digest;
        }
        let commit = Commit {
            world: Some(Box::new(world.clone())),
            world_revision: seen.revision,
            entries: record.into_entries(),
            documents,
            ..Commit::default()
        };
        match self.commit(commit).await {
            Ok(committed) => {
                self.see(world, committed.world_revision);
                self.fleet.world_seen(committed.ledger_size);
                Ok(true)
            }
            Err(SettleError::Again) => {
                self.look_again().await?;
                Ok(false)
            }
            Err(SettleError::Failed(error)) => Err(error),
        }
    }

    /// An order about one instance: its acceptance and what follows from it, in one commit (FO-1).
    pub(crate) async fn decide_order(
        &self,
        accept: &WorldCommand,
        id: InstanceId,
        by: &By,
        document: Document,
        judge: impl Fn(&Instance, &World, Timestamp) -> Result<Vec<InstanceEvent>, Refusal> + Send + Sync,
    ) -> Result<Instance, PlaneError> {
        let _gate = self.gate.read().await;
        for _ in 0..CONFLICTS_MAX {
            let found = self.store.instance_load(id).await?;
            let (mut instance, revision) =
                found.ok_or_else(|| PlaneError::NotFound(format!("instance {id}")))?;
            self.heed(instance.decided);
            let (seen, now) = self.law_of_the_day().await?;
            let judged = decide_world(&seen.world, accept, now)
                .and_then(|accepted| Ok((accepted, judge(&instance, &seen.world, now)?)));
            let (accepted, events) = match judged {
                Ok(judged) => judged,
                Err(refusal) if self.is_still(&seen).await? => return Err(refusal.into()),
                Err(_) => continue,
            };
            let mut world = seen.world.clone();
            let mut record = Record::new(now, seen.constitution(), by, &self.federation.directives);
            for event in accepted {
                world.apply(&event, now);
                record.push(Event::World(event), true)?;
            }
            for event in events {
                instance.apply(&event, now);
                record.push(Event::Instance(id, event), true)?;
            }
            if let Some(changed) = self.reconcile(&mut instance, &world, &mut record, now)? {
                world = changed;
            }
            let touch = record.touch;
            let (entries, about_instance, mut documents) = record.into_parts();
            documents.push(document.clone());
            let commit = Commit {
                instance: Some((Box::new(instance.clone()), Some(revision))),
                world: Some(Box::new(world.clone())),
                world_revision: seen.revision,
                entries,
                about_instance,
                documents,
                ..Commit::default()
            };
            match self.commit(commit).await {
                Ok(committed) => {
                    self.took(Some(world), &instance, committed, now);
                    self.news.tell_of_decision(id, touch, false, true);
                    return Ok(instance);
                }
                Err(SettleError::Again) => self.look_again().await?,
                Err(SettleError::Failed(error)) => return Err(error),
            }
        }
        Err(PlaneError::Unavailable(format!("instance {id} is being changed by others all the time")))
    }
}

/// Judges commands about the federation as a whole, each on what the one before made of it.
fn decide_all(world: &World, commands: &[WorldCommand], now: Timestamp) -> Result<Vec<WorldEvent>, Refusal> {
    let mut world = world.clone();
    let mut events = Vec::new();
    for command in commands {
        let decided = decide_world(&world, command, now)?;
        decided.iter().for_each(|event| world.apply(event, now));
        events.extend(decided);
    }
    Ok(events)
}

/// Why a decision was not committed.
pub(crate) enum SettleError {
    /// Somebody else wrote first.
    Again,
    /// It cannot be.
    Failed(PlaneError),
}

impl From<PlaneError> for SettleError {
    fn from(error: PlaneError) -> Self {
        Self::Failed(error)
    }
}
