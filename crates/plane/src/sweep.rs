//! The sweep: every instance reconciled, every rollout advanced, until nothing is due.
//!
//! Deadlines, audits and rollout waves are this one loop; it can stop anywhere and begin again.

use governance::decide::{WorldCommand, decide_world};
use governance::reconcile::is_due;
use governance::rollout::advance;
use governance::{Census, InstanceId, RolloutId, State, Timestamp, World};

use crate::decision::{By, Extra};
use crate::ports::{InstanceFilter, PAGE_MAX, Store};
use crate::{Plane, PlaneError};

/// Rounds of one sweep: an event of a rollout asks for another look at the instances, and theirs at the rollouts.
const ROUNDS_MAX: usize = 8;

impl<S: Store> Plane<S> {
    /// Does everything that is due now.
    ///
    /// # Errors
    /// When the store does not answer; what was done until then stays done.
    pub async fn sweep(&self) -> Result<(), PlaneError> {
        self.pulse().await?;
        self.law_of_the_day().await?;
        self.count_fleet().await?;
        let mut turns = Some(self.challenges.turns(self.now()));
        for _ in 0..ROUNDS_MAX {
            let instances = self.sweep_instances(turns.take()).await?;
            let rollouts = self.sweep_rollouts().await?;
            if instances == 0 && rollouts == 0 {
                break;
            }
        }
        self.store.nonce_forget(self.now()).await?;
        Ok(())
    }

    /// Counts the fleet once an audit, for the brake on standing orders (CO-14).
    async fn count_fleet(&self) -> Result<(), PlaneError> {
        if !self.seen().world.is_count_due(self.now()) {
            return Ok(());
        }
        // Nobody joins or leaves between the count and its record.
        let _gate = self.gate.write().await;
        let (seen, now) = self.law_of_the_day().await?;
        let counts = self.store.instance_count().await?;
        let there = counts.iter().filter(|(state, _)| *state != State::Revoked);
        let count = WorldCommand::CountFleet { instances: there.map(|(_, count)| count).sum() };
        let events = decide_world(&seen.world, &count, now)?;
        // Whoever was first has counted: then nothing is left to decide.
        self.settle_world(&seen, events, &By::Federation, Vec::new(), now).await.map(|_| ())
    }

    /// Reconciles every instance; gives how many had something due. Those whose turn to be challenged lies in `turns` are
    /// put in the queue (HS-8).
    async fn sweep_instances(&self, turns: Option<(Timestamp, Timestamp)>) -> Result<usize, PlaneError> {
        let mut due = Vec::new();
        let mut after: Option<InstanceId> = None;
        loop {
            let page = self.store.instance_page(&InstanceFilter::default(), after, PAGE_MAX).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.id);
            let (seen, now) = (self.seen(), self.now());
            let waiting = page.iter().filter(|(instance, _)| is_due(instance, &seen.world, now));
            due.extend(waiting.map(|(instance, _)| instance.id));
            if let Some(turns) = turns {
                let every = self.settings.challenge_every;
                page.iter().for_each(|(instance, _)| self.challenges.deal(instance, every, turns));
            }
            if page.len() < PAGE_MAX {
                break;
            }
        }
        for id in &due {
            self.decide_instance(*id, &By::Federation, &Extra::default(), |_, _, _| Ok(Vec::new())).await?;
        }
        Ok(due.len())
    }

    /// Advances every rollout that can still move; gives how many did.
    async fn sweep_rollouts(&self) -> Result<usize, PlaneError> {
        let mut moved = 0;
        let watched: Vec<RolloutId> = self.seen().world.watched().map(|rollout| rollout.id).collect();
        for id in watched {
            // Nothing is decided about an instance between the census and the verdict on it.
            let _gate = self.gate.write().await;
            let (seen, now) = self.law_of_the_day().await?;
            let Some(rollout) = seen.world.rollout(id) else { continue };
            let census = self.census(&seen.world, id).await?;
            let events = advance(rollout, census, &seen.world, now);
            if !events.is_empty()
                && self.settle_world(&seen, events, &By::Federation, Vec::new(), now).await?
            {
                moved += 1;
            }
        }
        Ok(moved)
    }

    /// Counts every instance for one rollout.
    pub(crate) async fn census(&self, world: &World, id: RolloutId) -> Result<Census, PlaneError> {
        let mut census = Census::default();
        let Some(rollout) = world.rollout(id) else { return Ok(census) };
        let mut after = None;
        loop {
            let page = self.store.instance_page(&InstanceFilter::default(), after, PAGE_MAX).await?;
            for (instance, _) in &page {
                census.add(rollout, world, instance);
                after = Some(instance.id);
            }
            if page.len() < PAGE_MAX {
                return Ok(census);
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
