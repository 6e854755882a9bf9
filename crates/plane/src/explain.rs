//! Why an instance has not got a release yet, and the records as they are kept. Reads only.

use std::collections::BTreeMap;

use governance::explain::{Counts, Explanation, counts_wanted, explain_counted};
use governance::{Census, Instance, InstanceId, RolloutId, Version, World};

use crate::ports::{InstanceFilter, PAGE_MAX, Store};
use crate::{Plane, PlaneError};

impl<S: Store> Plane<S> {
    /// Explains one release to an instance, or all that are newer than what it runs (RO). Counts the fleet where a phase that
    /// is yet to take the instance in asks for it.
    ///
    /// # Errors
    /// When there is no such instance, or the store does not answer.
    pub async fn explain(&self, id: InstanceId, release: Option<Version>) -> Result<Explanation, PlaneError> {
        let (seen, now) = (self.seen(), self.now());
        let found = self.store.instance_load(id).await?;
        let (instance, _) = found.ok_or_else(|| PlaneError::NotFound(format!("instance {id}")))?;
        let wanted = counts_wanted(&instance, &seen.world, release);
        let counts = self.counts(&seen.world, &wanted).await?;
        Ok(explain_counted(&instance, &seen.world, &counts, release, now))
    }

    /// Counts the fleet for several rollouts in one pass.
    async fn counts(&self, world: &World, wanted: &[RolloutId]) -> Result<Counts, PlaneError> {
        let mut counts: Counts = wanted.iter().map(|id| (*id, Census::default())).collect();
        let rollouts: BTreeMap<_, _> =
            wanted.iter().filter_map(|id| Some((*id, world.rollout(*id)?))).collect();
        let mut after = None;
        while !rollouts.is_empty() {
            let page = self.store.instance_page(&InstanceFilter::default(), after, PAGE_MAX).await?;
            for (instance, _) in &page {
                for (id, census) in &mut counts {
                    if let Some(rollout) = rollouts.get(id) {
                        census.add(rollout, world, instance);
                    }
                }
                after = Some(instance.id);
            }
            if page.len() < PAGE_MAX {
                break;
            }
        }
        Ok(counts)
    }

    /// What holds for every instance, as it is kept on record.
    #[must_use]
    pub fn record_of_the_world(&self) -> World {
        self.seen().world.clone()
    }

    /// A page of instances as they are kept on record, at most [`PAGE_MAX`], in the order of their ids.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn records(
        &self,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<wire::Page<Instance>, PlaneError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let page = self.store.instance_page(&InstanceFilter::default(), after, limit).await?;
        let next = page.last().filter(|_| page.len() == limit).map(|(instance, _)| instance.id.to_string());
        Ok(wire::Page { items: page.into_iter().map(|(instance, _)| instance).collect(), next })
    }
}
