//! The store as a server reaches it: over a line that is slow, fails, loses answers, and on which a write may still be on
//! its way when the server that sent it is gone.
//!
//! The tables are those of the store in memory, and so are their guards, unless a mutant takes one away.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use governance::{Digest, Instance, InstanceId, State, Timestamp, World};
use plane::ports::{
    Commit, Committed, Enrolment, EnrolmentWrite, Gate, InstanceFilter, Lease, Revision, Store, StoreError,
};
use store::MemoryStore;

use crate::book::Book;
use crate::fate::{Fate, Owner, Slot};

/// The tables that all servers share, and what looks over each of their writes.
pub(crate) struct Tables {
    pub(crate) memory: MemoryStore,
    pub(crate) book: Book,
    pub(crate) fate: Arc<Fate>,
    pub(crate) mutant: Mutant,
}

/// A guard that is missing on purpose: the run must find it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// None is.
    None,
    /// A row is written over whatever stands there by now.
    Revision,
    /// The world is written over whatever it is by now.
    WorldRevision,
    /// Decisions are committed on a world that changed meanwhile, where they do not write it.
    WorldUnguarded,
    /// Nonces are not kept.
    Nonce,
    /// Nonces are forgotten long before their time.
    NonceForgotten,
    /// An enrolment is good for ever.
    Enrolment,
    /// A commit is answered before it is done.
    EarlyAnswer,
    /// A commit that was done is told to be refused for a conflict, so that it is decided again.
    DoneAndRefused,
    /// The last of several entries is not written.
    LostEntry,
    /// What opens commitments is not kept.
    LostOpenings,
    /// A row is read as it was before its last change.
    StaleRow,
    /// The row is not written, its entries are.
    LostRow,
    /// The gate stays open for everybody.
    Gate,
}

impl Mutant {
    pub(crate) const ALL: &[Self] = &[
        Self::Revision,
        Self::WorldRevision,
        Self::WorldUnguarded,
        Self::Nonce,
        Self::NonceForgotten,
        Self::Enrolment,
        Self::EarlyAnswer,
        Self::DoneAndRefused,
        Self::LostEntry,
        Self::LostOpenings,
        Self::StaleRow,
        Self::LostRow,
        Self::Gate,
    ];
}

/// What a future that never waits gives.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store in memory waited"),
    }
}

impl Tables {
    /// The commit arrives at the tables.
    fn land(&self, commit: Commit) -> Result<Committed, StoreError> {
        let sent = commit.clone();
        let landed = at_once(self.memory.commit(self.changed(commit)));
        match &landed {
            Ok(committed) => self.book.landed(self, &sent, committed),
            Err(error) => self.fate.note(|| format!("a commit is refused: {error}")),
        }
        match landed {
            Ok(_) if self.mutant == Mutant::DoneAndRefused && self.fate.dice(|dice| dice.happens(1_000)) => {
                Err(StoreError::Conflict("instance"))
            }
            landed => landed,
        }
    }

    /// What a mutant makes of it.
    fn changed(&self, mut commit: Commit) -> Commit {
        let found = |id| at_once(self.memory.instance_load(id)).unwrap().map(|(_, revision)| revision);
        match self.mutant {
            Mutant::Revision => {
                if let Some((instance, revision)) = &mut commit.instance {
                    *revision = found(instance.id);
                }
            }
            Mutant::WorldRevision if commit.world.is_some() => {
                commit.world_revision = at_once(self.memory.world_load()).unwrap().1;
            }
            Mutant::WorldUnguarded if commit.world.is_none() => {
                commit.world_revision = at_once(self.memory.world_load()).unwrap().1;
            }
            Mutant::Nonce => commit.nonce = None,
            Mutant::Enrolment if matches!(commit.enrolment, Some(EnrolmentWrite::Use { .. })) => {
                commit.enrolment = None;
            }
            Mutant::LostEntry if commit.entries.len() > 1 => {
                commit.entries.pop();
                let left = commit.entries.len();
                commit.about_instance.retain(|index| *index < left);
            }
            Mutant::LostOpenings => commit.documents.retain(|kept| kept.kind != plane::disclosures::OPENING),
            Mutant::LostRow => {
                if let Some((instance, Some(_))) = &mut commit.instance
                    && let Some((before, _)) = at_once(self.memory.instance_load(instance.id)).unwrap()
                {
                    **instance = before;
                }
            }
            _ => {}
        }
        commit
    }

    /// What a commit would become if it landed now.
    fn foretold(&self, commit: &Commit) -> Committed {
        let decided_on = commit.instance.as_ref().map_or(0, |(_, revision)| revision.unwrap_or(0) + 1);
        Committed {
            instance_revision: decided_on,
            world_revision: commit.world_revision + u64::from(commit.world.is_some()),
            ledger_size: at_once(self.memory.entry_count()).unwrap() + commit.entries.len() as u64,
        }
    }
}

/// The store of one server.
#[derive(Clone)]
pub(crate) struct SimStore {
    pub(crate) tables: Arc<Tables>,
    pub(crate) server: usize,
}

impl SimStore {
    fn fate(&self) -> &Arc<Fate> {
        &self.tables.fate
    }

    /// The way there.
    async fn turn(&self, call: &'static str) -> Result<(), StoreError> {
        let fate = self.fate();
        fate.mark(100 + call.len() as u64 * 8 + self.server as u64);
        self.wait().await;
        if fate.happens(|weather| weather.refused) {
            fate.note(|| format!("server {}: {call} is not done", self.server));
            return Err(StoreError::Unavailable(format!("{call} was not done")));
        }
        fate.note(|| format!("server {}: {call}", self.server));
        Ok(())
    }

    /// The way back of what was written.
    async fn back(&self, call: &'static str) -> Result<(), StoreError> {
        self.wait().await;
        if self.fate().happens(|weather| weather.unanswered) {
            self.fate().note(|| format!("server {}: the answer of {call} is lost", self.server));
            return Err(StoreError::Unavailable(format!("{call} may have been done")));
        }
        Ok(())
    }

    async fn wait(&self) {
        let fate = self.fate();
        if fate.happens(|weather| weather.crash) {
            fate.kill(self.server);
            return pending().await;
        }
        let stalls = fate.happens(|weather| weather.stall);
        let millis = fate.dice(|dice| match stalls {
            true => dice.between(1_000, 15_000),
            false if dice.happens(3_000) => 0,
            false => dice.between(0, 20),
        });
        fate.sleep(millis).await;
    }

    /// A write goes its own way: it lands whether or not anybody still waits for it.
    async fn write<T: Send + 'static>(
        &self,
        call: &'static str,
        land: impl FnOnce(&Tables) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.turn(call).await?;
        let slot = Slot::new();
        let (landing, tables, fate) = (slot.clone(), Arc::clone(&self.tables), Arc::clone(self.fate()));
        let stalls = fate.happens(|weather| weather.stall);
        let millis = fate.dice(|dice| if stalls { dice.between(500, 10_000) } else { dice.between(0, 10) });
        self.fate().spawn(Owner::OnItsWay(self.server), async move {
            fate.sleep(millis).await;
            landing.put(land(&tables));
        });
        let landed = slot.take().await;
        self.back(call).await?;
        landed
    }
}

macro_rules! reads {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        $(async fn $name(&self, $($arg: $type),*) -> Result<$out, StoreError> {
            self.turn(stringify!($name)).await?;
            self.tables.memory.$name($($arg),*).await
        })*
    };
}

impl Store for SimStore {
    reads! {
        world_load() -> (World, Revision);
        instance_page(filter: &InstanceFilter, after: Option<InstanceId>, limit: usize) -> Vec<(Instance, Revision)>;
        instance_load_all(ids: &[InstanceId]) -> Vec<(Instance, Revision)>;
        instance_count() -> Vec<(State, u64)>;
        enrolment_load(digest: Digest) -> Option<Enrolment>;
        enrolment_waiting(now: Timestamp, limit: usize) -> Vec<Enrolment>;
        document_load(kind: &str, name: &str) -> Option<Vec<u8>>;
        entry_page(from: u64, limit: usize) -> Vec<Vec<u8>>;
        decision_page(instance: InstanceId, skip: u64, limit: usize) -> Vec<(u64, Vec<u8>)>;
        change_page(from: u64, limit: usize) -> Vec<Option<InstanceId>>;
        entry_count() -> u64;
        pulse_load() -> Option<Timestamp>;
        seen_page(after: Option<InstanceId>, limit: usize) -> Vec<(InstanceId, Timestamp)>;
        lease_load(name: &str) -> Option<Lease>;
        gate_load() -> Option<Gate>;
    }

    async fn instance_load(&self, id: InstanceId) -> Result<Option<(Instance, Revision)>, StoreError> {
        self.turn("instance_load").await?;
        let found = self.tables.memory.instance_load(id).await?;
        if self.tables.mutant == Mutant::StaleRow
            && let Some((_, revision)) = &found
            && let Some(before) = self.tables.book.version_before(id)
        {
            return Ok(Some((before, *revision)));
        }
        Ok(found)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        if self.tables.mutant == Mutant::EarlyAnswer {
            let foretold = self.tables.foretold(&commit);
            let (store, fate) = (self.clone(), Arc::clone(self.fate()));
            self.fate().spawn(Owner::OnItsWay(self.server), async move {
                let millis = fate.dice(|dice| dice.between(0, 2_000));
                fate.sleep(millis).await;
                let _ = store.tables.land(commit);
            });
            return Ok(foretold);
        }
        self.write("commit", move |tables| tables.land(commit)).await
    }

    async fn pulse_save(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write("pulse_save", move |tables| at_once(tables.memory.pulse_save(now))).await
    }

    async fn seen_save(&self, seen: &[(InstanceId, Timestamp)]) -> Result<(), StoreError> {
        let seen = seen.to_vec();
        self.write("seen_save", move |tables| at_once(tables.memory.seen_save(&seen))).await
    }

    async fn lease_save(&self, before: Option<&Lease>, lease: &Lease) -> Result<bool, StoreError> {
        let (before, lease) = (before.cloned(), lease.clone());
        self.write("lease_save", move |tables| at_once(tables.memory.lease_save(before.as_ref(), &lease)))
            .await
    }

    async fn gate_close(&self, holder: &str, world_revision: Revision) -> Result<Revision, StoreError> {
        let holder = holder.to_owned();
        if self.tables.mutant == Mutant::Gate {
            return Ok(world_revision);
        }
        self.write("gate_close", move |tables| {
            let closed = at_once(tables.memory.gate_close(&holder, world_revision))?;
            tables.book.gate_turned(closed);
            Ok(closed)
        })
        .await
    }

    async fn gate_open(&self, world_revision: Revision) -> Result<Revision, StoreError> {
        self.write("gate_open", move |tables| {
            let opened = at_once(tables.memory.gate_open(world_revision))?;
            tables.book.gate_turned(opened);
            Ok(opened)
        })
        .await
    }

    async fn outbox_forget(&self, position: u64) -> Result<u64, StoreError> {
        self.write("outbox_forget", move |tables| at_once(tables.memory.outbox_forget(position))).await
    }

    async fn nonce_forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.write("nonce_forget", move |tables| {
            let early = tables.mutant == Mutant::NonceForgotten;
            let now = if early { now + governance::Span::hours(1) } else { now };
            at_once(tables.memory.nonce_forget(now))
        })
        .await
    }
}
