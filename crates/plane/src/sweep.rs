//! The sweep: every instance of which something may be due reconciled, every rollout advanced, until nothing is due.
//!
//! Deadlines, audits and rollout waves are this one loop; it can stop anywhere and begin again. Whom to look at the fleet's rows
//! say; what is found is found in the store's record.

use std::sync::atomic::Ordering;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use governance::decide::{WorldCommand, decide_world};
use governance::rollout::{advance, advance_by_sums};
use governance::{Instance, InstanceId, RolloutId, State, Timestamp, standing};

use crate::decision::{By, Extra};
use crate::fleet::SHARDS;
use crate::ports::{InstanceFilter, PAGE_MAX, Revision, Store};
use crate::{Plane, PlaneError};

/// Rounds of one sweep: an event of a rollout asks for another look at the instances, and theirs at the rollouts.
const ROUNDS_MAX: usize = 8;
/// Parts of the fleet, each swept by the one server that holds its lease.
const PARTITIONS: usize = 8;
/// Records looked at in one go: few, so that whoever checks in meanwhile does not wait for them.
const LOOK_AT_ONCE: usize = 256;
/// Decisions of a sweep that are on their way at once: they share transactions, and leave the others room.
const AT_ONCE: usize = 64;
/// Instances up to which whoever decides about all of them waits until they are swept.
const WAITED_FOR_MAX: u64 = 10_000;
/// The lease under which rollouts are judged and the fleet is counted.
const ADVANCE: &str = "advance";

impl<S: Store> Plane<S> {
    /// Does everything that is due now, and that no other server has in hand.
    ///
    /// # Errors
    /// When the store does not answer; what was done until then stays done.
    pub async fn sweep(&self) -> Result<(), PlaneError> {
        self.pulse().await?;
        self.law_of_the_day().await?;
        self.take_up_fleet().await?;
        self.follow().await?;
        self.audit();
        self.count_fleet().await?;
        let mut turns = Some(self.challenges.turns(self.now()));
        for _ in 0..ROUNDS_MAX {
            let mut moved = 0;
            for partition in 0..PARTITIONS {
                let is_ours = self.lease(&format!("sweep-{partition}")).await?.is_some();
                moved += self.sweep_partition(partition, is_ours, turns).await?;
            }
            if let Some(turns) = turns.take() {
                self.challenges.dealt(turns);
            }
            moved += self.sweep_rollouts().await?;
            if moved == 0 {
                break;
            }
        }
        self.store.nonce_forget(self.now()).await?;
        Ok(())
    }

    /// Has swept what was just decided about all: before the answer where the fleet is small, else as soon as may be.
    pub(crate) async fn sweep_soon(&self) -> Result<(), PlaneError> {
        self.nudge.notify_one();
        if self.fleet.len() > WAITED_FOR_MAX { Ok(()) } else { self.sweep().await }
    }

    /// Waits until a sweep is wanted at once.
    pub async fn nudged(&self) {
        self.nudge.notified().await;
    }

    /// Gives every instance its row, once.
    ///
    /// # Errors
    /// When the store does not answer: the next call begins again.
    pub async fn take_up_fleet(&self) -> Result<(), PlaneError> {
        if self.fleet.is_loaded() {
            return Ok(());
        }
        // What is decided from here on is followed.
        let position = self.store.entry_count().await?;
        self.look_again().await?;
        let mut after: Option<InstanceId> = None;
        loop {
            let page = self.store.instance_page(&InstanceFilter::default(), after, PAGE_MAX).await?;
            let (seen, now) = (self.seen(), self.now());
            for (instance, revision) in &page {
                self.fleet.put(&seen, instance, *revision, Some(position), now);
            }
            after = page.last().map(|(instance, _)| instance.id);
            if page.len() < PAGE_MAX {
                break;
            }
        }
        self.heard_load().await?;
        self.fleet.follow(position);
        self.fleet.world_seen(position);
        self.fleet.loaded();
        Ok(())
    }

    /// Once an audit every instance is looked at, whatever its row says (§7).
    fn audit(&self) {
        let now = self.now();
        let every = self.seen().world.constitution.compliance_audit_every;
        let before = self.audited.load(Ordering::Acquire);
        if before == i64::MIN {
            // Its rows are as fresh as the server.
            self.audited.store(now.as_millis(), Ordering::Release);
        } else if now.since(Timestamp::from_millis(before)) >= every {
            self.audited.store(now.as_millis(), Ordering::Release);
            self.outdate();
        }
    }

    /// Counts the fleet once an audit, for the brake on standing orders (CO-14).
    async fn count_fleet(&self) -> Result<(), PlaneError> {
        if !self.seen().world.is_count_due(self.now()) || self.lease(ADVANCE).await?.is_none() {
            return Ok(());
        }
        // Nobody joins or leaves between the count and its record.
        let _gate = self.gate.write().await;
        let Some(closed) = self.gate_close().await? else { return Ok(()) };
        let counted = self.count_fleet_alone().await;
        self.gate_open(closed).await?;
        counted
    }

    async fn count_fleet_alone(&self) -> Result<(), PlaneError> {
        let (seen, now) = self.law_of_the_day().await?;
        // While the gate is closed the rows are what the ledger says.
        let Some(states) = self.fleet.states() else { return Ok(()) };
        let there = states.iter().filter(|(state, _)| **state != State::Revoked);
        let count = WorldCommand::CountFleet { instances: there.map(|(_, count)| count).sum() };
        let events = decide_world(&seen.world, &count, now)?;
        // Whoever was first has counted: then nothing is left to decide.
        self.settle_world(&seen, events, &By::Federation, Vec::new(), now).await.map(|_| ())
    }

    /// Looks at the instances of a part whose rows say that it is time, and does what is due if it is for this server to
    /// do; gives how many had something due. Those whose turn to be challenged lies in `turns` are put in the queue (HS-8).
    async fn sweep_partition(
        &self,
        partition: usize,
        is_ours: bool,
        turns: Option<(Timestamp, Timestamp)>,
    ) -> Result<usize, PlaneError> {
        let shards = SHARDS / PARTITIONS;
        let mut swept = 0;
        for shard in partition * shards..(partition + 1) * shards {
            let seen = self.seen();
            self.fleet.carry(shard, &seen);
            let waiting = self.fleet.to_look_at(shard, seen.epoch, self.now());
            for ids in waiting.chunks(LOOK_AT_ONCE) {
                let due = self.look_at(ids).await?;
                if is_ours {
                    swept += due.len();
                    self.settle_due(due).await?;
                }
            }
            if let Some(turns) = turns.filter(|_| is_ours) {
                let every = self.settings.challenge_every;
                for (id, state) in self.fleet.each(shard) {
                    self.challenges.deal(id, state, every, turns);
                }
            }
        }
        Ok(swept)
    }

    /// Looks at these instances in the store's record; gives those for which something is due.
    async fn look_at(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, PlaneError> {
        let found = self.load_all(ids).await?;
        let (seen, now) = (self.seen(), self.now());
        let mut due = Vec::new();
        for (instance, revision) in found {
            if self.fleet.put(&seen, &instance, revision, None, now) {
                due.push(instance);
            }
        }
        Ok(due)
    }

    async fn settle_due(&self, due: Vec<Instance>) -> Result<(), PlaneError> {
        let settle = async |id: InstanceId| {
            let nothing = |_: &Instance, _: &governance::World, _| Ok(Vec::new());
            self.decide_instance(id, &By::Federation, &Extra::default(), nothing).await.map(|_| ())
        };
        let (seen, now) = (self.seen(), self.now());
        // What a standing order takes changes the world each time: side by side they would only stand in each other's way.
        let (one_by_one, at_once): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|instance| standing::due(instance, &seen.world, now).is_some());
        for instance in one_by_one {
            settle(instance.id).await?;
        }
        stream::iter(at_once)
            .map(|instance| settle(instance.id))
            .buffer_unordered(AT_ONCE)
            .try_for_each(async |()| Ok(()))
            .await
    }

    /// Advances every rollout that can still move; gives how many did.
    async fn sweep_rollouts(&self) -> Result<usize, PlaneError> {
        let watched: Vec<RolloutId> = self.seen().world.watched().map(|rollout| rollout.id).collect();
        if watched.is_empty() || self.lease(ADVANCE).await?.is_none() {
            return Ok(0);
        }
        let mut moved = 0;
        for id in watched {
            if self.may_advance(id).await? && self.advance_alone(id).await? {
                moved += 1;
            }
        }
        Ok(moved)
    }

    /// Whether a rollout moves by the sums as they are now. Nobody waits for that.
    async fn may_advance(&self, id: RolloutId) -> Result<bool, PlaneError> {
        let (seen, now) = self.law_of_the_day().await?;
        let Some(rollout) = seen.world.rollout(id) else { return Ok(false) };
        // Where a row is stale it was decided about meanwhile: the next round looks again.
        let Some(counts) = self.fleet.counts(id, seen.epoch) else { return Ok(false) };
        Ok(advance_by_sums(rollout, counts, &seen.world, now).is_none_or(|events| !events.is_empty()))
    }

    /// Judges a rollout while nothing is decided about any instance, from the count to the verdict on it: so it is judged on
    /// exactly what the ledger says at that point.
    async fn advance_alone(&self, id: RolloutId) -> Result<bool, PlaneError> {
        let _gate = self.gate.write().await;
        let Some(closed) = self.gate_close().await? else { return Ok(false) };
        let judged = self.judge(id, closed).await;
        self.gate_open(closed).await?;
        judged
    }

    async fn judge(&self, id: RolloutId, closed: Revision) -> Result<bool, PlaneError> {
        let (seen, now) = self.law_of_the_day().await?;
        if seen.revision != closed {
            // A law came into force, and opened the gate.
            return Ok(false);
        }
        let Some(rollout) = seen.world.rollout(id) else { return Ok(false) };
        let Some(census) = self.fleet.census(rollout, seen.epoch) else { return Ok(false) };
        let events = advance(rollout, census, &seen.world, now);
        Ok(!events.is_empty() && self.settle_world(&seen, events, &By::Federation, Vec::new(), now).await?)
    }

    /// Saves when instances were last heard; gives how many.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn heard_save(&self) -> Result<u64, PlaneError> {
        let mut saved = 0;
        for shard in 0..SHARDS {
            loop {
                let heard = self.fleet.take_unsaved(shard, PAGE_MAX);
                if heard.is_empty() {
                    break;
                }
                if let Err(error) = self.store.seen_save(&heard).await {
                    self.fleet.is_unsaved(&heard);
                    return Err(error.into());
                }
                saved += heard.len() as u64;
            }
        }
        Ok(saved)
    }

    /// Reads when instances were last heard.
    async fn heard_load(&self) -> Result<(), PlaneError> {
        let mut after: Option<InstanceId> = None;
        loop {
            let page = self.store.seen_page(after, PAGE_MAX).await?;
            page.iter().for_each(|(id, at)| self.fleet.heard_before(*id, *at));
            after = page.last().map(|(id, _)| *id);
            if page.len() < PAGE_MAX {
                return Ok(());
            }
        }
    }

    /// Signs the repository's snapshot and timestamp anew when half of their life is over, and removes files that
    /// waited in vain to be listed.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn repository_resign(&self) -> Result<(), PlaneError> {
        let now = self.now();
        let (resigned, cleaned) = (self.repository.resign_if_due(now), self.repository.incoming_clean(now));
        Ok(resigned.and(cleaned).map(|_| ())?)
    }
}
