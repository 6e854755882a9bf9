//! The store in memory: the same contract without the disk, for tests and simulation.
//!
//! Never durable, never asynchronous: each call is done when it returns, in the order of the calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use governance::{Digest, Instance, InstanceId, State, Timestamp, World};
use plane::ports::{
    Commit, Committed, Enrolment, EnrolmentWrite, Gate, InstanceFilter, Lease, PAGE_MAX, Revision, Store,
    StoreError,
};

use crate::limits;

/// The store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    world: World,
    world_revision: Revision,
    instances: BTreeMap<InstanceId, (Instance, Revision)>,
    entries: Vec<Vec<u8>>,
    /// Of each instance, the positions of the entries about it.
    decisions: BTreeMap<InstanceId, Vec<u64>>,
    nonces: BTreeMap<(String, String), Timestamp>,
    enrolments: BTreeMap<Digest, Enrolment>,
    documents: BTreeMap<(String, String), Vec<u8>>,
    /// Of each entry, the instance that it is about.
    changes: Vec<Option<InstanceId>>,
    seen: BTreeMap<InstanceId, Timestamp>,
    leases: BTreeMap<String, Lease>,
    gate: Option<String>,
    pulse: Option<Timestamp>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    /// The guards of a commit, in the order every adapter asks them; changes nothing.
    fn check(&self, commit: &Commit) -> Result<(), StoreError> {
        limits::check(commit)?;
        if let Some(nonce) = &commit.nonce
            && self.nonces.contains_key(&(nonce.key.clone(), nonce.nonce.clone()))
        {
            return Err(StoreError::NonceSpent);
        }
        match &commit.enrolment {
            None => {}
            Some(EnrolmentWrite::Create(enrolment)) if !self.enrolments.contains_key(&enrolment.digest) => {}
            Some(EnrolmentWrite::Create(_)) => return Err(StoreError::Conflict("enrolment")),
            Some(EnrolmentWrite::Approve { digest, .. }) => match self.enrolments.get(digest) {
                Some(enrolment) if enrolment.approved.is_none() && enrolment.used.is_none() => {}
                _ => return Err(StoreError::Conflict("enrolment")),
            },
            Some(EnrolmentWrite::Use { digest, .. }) => match self.enrolments.get(digest) {
                None => return Err(StoreError::Conflict("enrolment")),
                Some(enrolment) if enrolment.used.is_some() => return Err(StoreError::EnrolmentUsed),
                Some(_) => {}
            },
        }
        if let Some(fence) = &commit.fence
            && self.leases.get(&fence.lease).is_none_or(|lease| lease.fence != fence.fence)
        {
            return Err(StoreError::Conflict("lease"));
        }
        if commit.world_revision != self.world_revision {
            return Err(StoreError::Conflict("world"));
        }
        let found = |instance: &Instance| self.instances.get(&instance.id).map(|(_, revision)| *revision);
        match &commit.instance {
            Some((instance, decided_on)) if found(instance) != *decided_on => {
                Err(StoreError::Conflict("instance"))
            }
            _ => Ok(()),
        }
    }

    fn gate_turn(&mut self, gate: Option<String>, decided_on: Revision) -> Result<Revision, StoreError> {
        if decided_on == 0 || decided_on != self.world_revision {
            return Err(StoreError::Conflict("world"));
        }
        self.world_revision += 1;
        self.gate = gate;
        Ok(self.world_revision)
    }

    /// What was checked, written; cannot fail.
    fn write(&mut self, commit: Commit) -> Committed {
        if let Some(nonce) = commit.nonce {
            self.nonces.insert((nonce.key, nonce.nonce), nonce.expires);
        }
        match commit.enrolment {
            None => {}
            Some(EnrolmentWrite::Create(enrolment)) => {
                self.enrolments.insert(enrolment.digest, enrolment);
            }
            Some(EnrolmentWrite::Approve { digest, by }) => {
                if let Some(enrolment) = self.enrolments.get_mut(&digest) {
                    enrolment.approved = Some(by);
                }
            }
            Some(EnrolmentWrite::Use { digest, used }) => {
                if let Some(enrolment) = self.enrolments.get_mut(&digest) {
                    enrolment.used = Some(used);
                }
            }
        }
        if let Some(world) = commit.world {
            self.world = *world;
            self.world_revision += 1;
            self.gate = None;
        }
        let mut instance_revision = 0;
        let about = commit.instance.as_ref().map(|(instance, _)| instance.id);
        if let Some((instance, decided_on)) = commit.instance {
            instance_revision = decided_on.unwrap_or(0) + 1;
            self.instances.insert(instance.id, (*instance, instance_revision));
        }
        for document in commit.documents {
            self.documents.insert((document.kind, document.name), document.bytes);
        }
        let first = self.entries.len();
        let of = |index| about.filter(|_| commit.about_instance.contains(&index));
        self.changes.extend((0..commit.entries.len()).map(of));
        if let Some(id) = about {
            let positions = commit.about_instance.iter().map(|index| (first + index) as u64);
            self.decisions.entry(id).or_default().extend(positions);
        }
        self.entries.extend(commit.entries);
        Committed {
            instance_revision,
            world_revision: self.world_revision,
            ledger_size: self.entries.len() as u64,
        }
    }
}

/// Whether the listing shows the instance.
fn shows(filter: &InstanceFilter, instance: &Instance) -> bool {
    filter.state.is_none_or(|state| instance.state == state)
        && filter.platform.is_none_or(|platform| instance.running.platform == platform)
        && filter.kind.is_none_or(|kind| instance.kind == kind)
        && filter.tier.is_none_or(|tier| instance.subscription.tier == tier)
        && filter.provider.as_ref().is_none_or(|provider| instance.provider.as_ref() == Some(provider))
        && filter.unbelieved.is_none_or(|at| instance.unbelieved(at).next().is_some())
}

impl Store for MemoryStore {
    async fn world_load(&self) -> Result<(World, Revision), StoreError> {
        let tables = self.tables();
        Ok((tables.world.clone(), tables.world_revision))
    }

    async fn instance_load(&self, id: InstanceId) -> Result<Option<(Instance, Revision)>, StoreError> {
        Ok(self.tables().instances.get(&id).cloned())
    }

    async fn instance_page(
        &self,
        filter: &InstanceFilter,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<Vec<(Instance, Revision)>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let tables = self.tables();
        let behind = tables.instances.range((after.map_or(Unbounded, Excluded), Unbounded));
        let shown = behind.map(|(_, row)| row).filter(|(instance, _)| shows(filter, instance));
        Ok(shown.take(limit.min(PAGE_MAX)).cloned().collect())
    }

    async fn instance_load_all(&self, ids: &[InstanceId]) -> Result<Vec<(Instance, Revision)>, StoreError> {
        let tables = self.tables();
        let asked: BTreeSet<&InstanceId> = ids.iter().take(PAGE_MAX).collect();
        Ok(asked.into_iter().filter_map(|id| tables.instances.get(id)).cloned().collect())
    }

    async fn instance_count(&self) -> Result<Vec<(State, u64)>, StoreError> {
        let mut counts: BTreeMap<State, u64> = BTreeMap::new();
        for (instance, _) in self.tables().instances.values() {
            *counts.entry(instance.state).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let mut tables = self.tables();
        tables.check(&commit)?;
        Ok(tables.write(commit))
    }

    async fn enrolment_load(&self, digest: Digest) -> Result<Option<Enrolment>, StoreError> {
        Ok(self.tables().enrolments.get(&digest).cloned())
    }

    async fn enrolment_waiting(&self, now: Timestamp, limit: usize) -> Result<Vec<Enrolment>, StoreError> {
        let tables = self.tables();
        let waits = |enrolment: &&Enrolment| {
            enrolment.instance.is_some() && enrolment.used.is_none() && enrolment.expires >= now
        };
        let mut waiting: Vec<Enrolment> = tables.enrolments.values().filter(waits).cloned().collect();
        waiting.sort_by_key(|enrolment| (enrolment.expires, enrolment.digest));
        waiting.truncate(limit.min(PAGE_MAX));
        Ok(waiting)
    }

    async fn document_load(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.tables().documents.get(&(kind.to_owned(), name.to_owned())).cloned())
    }

    async fn entry_page(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(self.tables().entries.iter().skip(from).take(limit.min(PAGE_MAX)).cloned().collect())
    }

    async fn decision_page(
        &self,
        instance: InstanceId,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let tables = self.tables();
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let positions =
            tables.decisions.get(&instance).into_iter().flatten().skip(skip).take(limit.min(PAGE_MAX));
        let entry = |position: &u64| {
            let entry = usize::try_from(*position).ok().and_then(|at| tables.entries.get(at))?;
            Some((*position, entry.clone()))
        };
        Ok(positions.filter_map(entry).collect())
    }

    async fn change_page(&self, from: u64, limit: usize) -> Result<Vec<Option<InstanceId>>, StoreError> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(self.tables().changes.iter().skip(from).take(limit.min(PAGE_MAX)).copied().collect())
    }

    async fn entry_count(&self) -> Result<u64, StoreError> {
        Ok(self.tables().entries.len() as u64)
    }

    async fn pulse_load(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.tables().pulse)
    }

    async fn pulse_save(&self, now: Timestamp) -> Result<(), StoreError> {
        self.tables().pulse = Some(now);
        Ok(())
    }

    async fn seen_save(&self, seen: &[(InstanceId, Timestamp)]) -> Result<(), StoreError> {
        let mut tables = self.tables();
        for (id, at) in seen.iter().take(PAGE_MAX) {
            let kept = tables.seen.entry(*id).or_insert(*at);
            *kept = (*kept).max(*at);
        }
        Ok(())
    }

    async fn seen_page(
        &self,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<Vec<(InstanceId, Timestamp)>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let tables = self.tables();
        let behind = tables.seen.range((after.map_or(Unbounded, Excluded), Unbounded));
        Ok(behind.take(limit.min(PAGE_MAX)).map(|(id, at)| (*id, *at)).collect())
    }

    async fn lease_load(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        Ok(self.tables().leases.get(name).cloned())
    }

    async fn lease_save(&self, before: Option<&Lease>, lease: &Lease) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        if tables.leases.get(&lease.name) != before {
            return Ok(false);
        }
        tables.leases.insert(lease.name.clone(), lease.clone());
        Ok(true)
    }

    async fn gate_close(&self, holder: &str, world_revision: Revision) -> Result<Revision, StoreError> {
        self.tables().gate_turn(Some(holder.to_owned()), world_revision)
    }

    async fn gate_open(&self, world_revision: Revision) -> Result<Revision, StoreError> {
        self.tables().gate_turn(None, world_revision)
    }

    async fn gate_load(&self) -> Result<Option<Gate>, StoreError> {
        let tables = self.tables();
        let world_revision = tables.world_revision;
        Ok(tables.gate.clone().map(|holder| Gate { holder, world_revision }))
    }

    async fn outbox_forget(&self, _position: u64) -> Result<u64, StoreError> {
        // Nobody is left word of what does not outlive the process.
        Ok(0)
    }

    async fn nonce_forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let before = tables.nonces.len();
        tables.nonces.retain(|_, expires| *expires >= now);
        Ok((before - tables.nonces.len()) as u64)
    }
}
