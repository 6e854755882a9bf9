//! Several servers on one store: who does what only one may do, who waits while another counts, and how each learns what the
//! others decided.
//!
//! Never trusts a clock to agree with another: a lease is over when its beat stood still for long enough by the clock of
//! whoever watches it. Should its holder still write then, the sequencer's checkpoint is refused by the fence, and every decision
//! by the revisions that it rests on: two who sweep the same part do work twice, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use governance::{Instance, InstanceId, Span, Timestamp};

use crate::ports::{Fence, Gate, Lease, PAGE_MAX, Revision, Store, StoreError};
use crate::{Plane, PlaneError, Seen};

/// How often whoever holds a lease shows that it lives.
pub const BEAT_EVERY: Span = Span::from_millis(2_000);
/// For how long a lease's beat must stand still before another server takes it.
pub const LEASE_FOR: Span = Span::from_millis(10_000);
/// For how long the gate stays closed at most: then another server opens it, and the verdict of whoever closed it is refused.
pub const GATE_FOR: Span = Span::from_millis(10_000);
/// Between two looks at a closed gate.
const GATE_LOOK: Span = Span::from_millis(20);

/// The leases that this server holds, and those that it watches others hold.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    held: BTreeMap<String, Lease>,
    /// A lease of another's as it was first seen so, and when.
    watched: BTreeMap<String, (Lease, Timestamp)>,
}

impl Leases {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, name: &str) -> Option<Lease> {
        self.inner().held.get(name).cloned()
    }

    fn hold(&self, lease: Lease) -> Fence {
        let fence = Fence { lease: lease.name.clone(), fence: lease.fence };
        let mut inner = self.inner();
        inner.watched.remove(&lease.name);
        inner.held.insert(lease.name.clone(), lease);
        fence
    }

    fn lose(&self, name: &str) {
        self.inner().held.remove(name);
    }

    /// Whether a lease of another's stood still for long enough, the looks at it until now included.
    fn is_over(&self, lease: &Lease, now: Timestamp) -> bool {
        let mut inner = self.inner();
        match inner.watched.get(&lease.name) {
            Some((before, since)) if before == lease => now.since(*since) > LEASE_FOR,
            _ => {
                inner.watched.insert(lease.name.clone(), (lease.clone(), now));
                false
            }
        }
    }
}

impl<S: Store> Plane<S> {
    /// Takes a lease, or goes on holding it; none while another server does.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn lease(&self, name: &str) -> Result<Option<Fence>, PlaneError> {
        if let Some(held) = self.leases.held(name) {
            return Ok(Some(Fence { lease: held.name, fence: held.fence }));
        }
        let before = self.store.lease_load(name).await?;
        let own = &self.settings.server;
        let free = before.as_ref().is_none_or(|lease| {
            // What an earlier life of this server held, it holds again.
            lease.holder.is_empty() || lease.holder == *own || self.leases.is_over(lease, self.now())
        });
        if !free {
            return Ok(None);
        }
        let fence = before.as_ref().map_or(0, |lease| lease.fence) + 1;
        let lease = Lease { name: name.to_owned(), holder: own.clone(), fence, beat: 0 };
        let taken = self.store.lease_save(before.as_ref(), &lease).await?;
        Ok(taken.then(|| self.leases.hold(lease)))
    }

    /// Shows of every lease held that this server lives; what another took meanwhile is held no more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn beat(&self) -> Result<(), PlaneError> {
        let held: Vec<Lease> = self.leases.inner().held.values().cloned().collect();
        let mut beaten = Ok(());
        for before in held {
            let lease = Lease { beat: before.beat + 1, ..before.clone() };
            match self.store.lease_save(Some(&before), &lease).await {
                Ok(true) => _ = self.leases.hold(lease),
                Ok(false) => {
                    tracing::warn!(lease = before.name, "another server has taken over");
                    self.leases.lose(&before.name);
                }
                // The others may get through.
                Err(error) => beaten = Err(error.into()),
            }
        }
        beaten
    }

    /// Gives every lease back, so that others need not wait: for a server that ends in order.
    ///
    /// # Errors
    /// When the store does not answer: others take them a little later then.
    pub async fn give_back(&self) -> Result<(), PlaneError> {
        let held = std::mem::take(&mut self.leases.inner().held);
        let mut given = Ok(());
        for before in held.into_values() {
            let lease = Lease { holder: String::new(), ..before.clone() };
            if let Err(error) = self.store.lease_save(Some(&before), &lease).await {
                given = Err(error.into());
            }
        }
        given
    }

    /// Takes in what other servers decided since the last time.
    ///
    /// # Errors
    /// When the store does not answer: the next call goes on from there.
    pub async fn follow(&self) -> Result<(), PlaneError> {
        let began = self.now();
        while self.fleet.is_loaded() {
            let from = self.fleet.followed();
            let page = self.store.change_page(from, PAGE_MAX).await?;
            let end = from + page.len() as u64;
            let mut others: BTreeSet<InstanceId> = BTreeSet::new();
            let mut is_other_world = false;
            for (position, about) in (from..).zip(&page) {
                match about {
                    Some(id) if !self.fleet.has(*id, position) => _ = others.insert(*id),
                    None if !self.fleet.has_world(position) => is_other_world = true,
                    _ => {}
                }
            }
            if is_other_world {
                self.look_again().await?;
                self.fleet.world_seen(end);
            }
            if !others.is_empty() {
                let ids: Vec<InstanceId> = others.into_iter().collect();
                let (seen, now) = (self.seen(), self.now());
                for (instance, revision) in self.load_all(&ids).await? {
                    let known = self.fleet.known(instance.id);
                    self.fleet.put(&seen, &instance, revision, Some(end), now);
                    self.news.tell_of_elsewhere(&instance, known.map(|known| known.key));
                }
            }
            self.fleet.follow(end);
            if page.len() < PAGE_MAX {
                self.fleet.is_current(began);
                break;
            }
        }
        Ok(())
    }

    /// These instances; one whose record cannot be read is left out and told of, so that it stands in nobody's way.
    pub(crate) async fn load_all(&self, ids: &[InstanceId]) -> Result<Vec<(Instance, Revision)>, PlaneError> {
        let together = self.store.instance_load_all(ids).await;
        let Err(failed) = together else { return Ok(together?) };
        let mut found = Vec::new();
        for id in ids {
            match self.store.instance_load(*id).await {
                Ok(one) => found.extend(one),
                Err(error) => tracing::error!(instance = %id, %error, "a record cannot be read"),
            }
        }
        // None at all: it is not the records.
        if found.is_empty() { Err(failed.into()) } else { Ok(found) }
    }

    /// Reads the world again, after somebody else changed it, and the keys document in force, should it be another by now; waits
    /// while another server counts the fleet.
    pub(crate) async fn look_again(&self) -> Result<(), PlaneError> {
        let before = self.seen().revision;
        let mut closed: Option<(Gate, Timestamp)> = None;
        loop {
            // Behind a closed gate there is no need to know the world yet.
            let mut gate = self.gate_of_another().await?;
            if gate.is_none() {
                let (world, revision) = self.store.world_load().await?;
                if revision < before {
                    let why = "the database was set back behind what this server knows: restart the server";
                    return Err(PlaneError::Unavailable(why.to_owned()));
                }
                // Asked behind the world: what is open now was open then, or the world is another by now.
                gate = self.gate_of_another().await?;
                if gate.is_none() {
                    self.take_up_keys(&world).await?;
                    self.see(world, revision);
                    return Ok(());
                }
            }
            let Some(gate) = gate else { continue };
            let since = match closed.take() {
                Some((before, since)) if before == gate => since,
                _ => self.clock.now(),
            };
            if self.clock.now().since(since) > GATE_FOR {
                tracing::warn!(holder = gate.holder, "a server left the gate closed: it is opened");
                match self.store.gate_open(gate.world_revision).await {
                    // Whoever was quicker opened it.
                    Ok(_) | Err(StoreError::Conflict(_)) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            self.clock.pause(GATE_LOOK).await;
            closed = Some((gate, since));
        }
    }

    async fn gate_of_another(&self) -> Result<Option<Gate>, PlaneError> {
        Ok(self.store.gate_load().await?.filter(|gate| gate.holder != self.settings.server))
    }

    /// Closes the gate: until [`Self::gate_open`] or a commit of the world no server decides anything, and the fleet as it
    /// is known here is what the ledger says. None: somebody else changed the world first. The caller keeps this server's own decisions away.
    pub(crate) async fn gate_close(&self) -> Result<Option<Revision>, PlaneError> {
        let before = self.seen();
        let closed = self.store.gate_close(&self.settings.server, before.revision).await;
        let revision = match closed {
            Ok(revision) => revision,
            Err(StoreError::Conflict(_)) => {
                self.look_again().await?;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        self.see(before.world.clone(), revision);
        if let Err(error) = self.follow().await {
            // Nobody is to wait for what comes to nothing.
            self.gate_open(revision).await?;
            return Err(error);
        }
        Ok(Some(revision))
    }

    /// Opens the gate, if the commit that it was closed for did not.
    pub(crate) async fn gate_open(&self, closed: Revision) -> Result<(), PlaneError> {
        let seen = self.seen();
        if seen.revision != closed {
            return Ok(());
        }
        match self.store.gate_open(closed).await {
            Ok(revision) => {
                self.see(seen.world.clone(), revision);
                Ok(())
            }
            Err(StoreError::Conflict(_)) => self.look_again().await,
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the gate that an earlier life of this server left closed.
    pub(crate) async fn gate_recover(&self) -> Result<(), PlaneError> {
        let gate = self.store.gate_load().await?;
        if let Some(gate) = gate.filter(|gate| gate.holder == self.settings.server) {
            match self.store.gate_open(gate.world_revision).await {
                Ok(_) | Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // Another's is waited for.
        self.look_again().await
    }

    /// Looks at every instance anew from now on, whatever its row says: once an audit (§7).
    pub(crate) fn outdate(&self) {
        self.world.rcu(|current| {
            let Seen { world, revision, epoch, entrants: _ } = &**current;
            Seen { world: world.clone(), revision: *revision, epoch: epoch + 1, entrants: None }
        });
    }
}
