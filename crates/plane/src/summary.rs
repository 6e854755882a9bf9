//! What people see where they see everybody at once, reckoned from the rows in memory: no page reads the whole fleet. Reads only.

use governance::{Counts, Event, Instance, InstanceId, ProviderId, Timestamp, Version, World, WorldEvent};
use ledger::Entry;
use wire::FleetSummary;

use crate::fleet::summary_of;
use crate::ports::{InstanceFilter, PAGE_MAX, Store};
use crate::{Plane, PlaneError};

/// Of those whose windows run out first, so many are named.
const RISKS_SHOWN: usize = 8;
/// Of a provider's own instances, so many are counted.
pub const OWN_COUNTED_MAX: usize = 10_000;
/// So many entries are looked through for who turned the red switch.
const TURNED_WITHIN: u64 = 200_000;

/// Who turned the red switch, when, and where that stands in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why, as he said.
    pub reason: Option<String>,
    /// The entry's position.
    pub position: u64,
}

impl<S: Store> Plane<S> {
    /// The whole fleet in a few numbers, or of a provider's own instances the first [`OWN_COUNTED_MAX`]; none while this server takes up the fleet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn fleet_summary(&self, own: Option<&ProviderId>) -> Result<Option<FleetSummary>, PlaneError> {
        let Some(provider) = own else { return Ok(self.fleet.summary(RISKS_SHOWN, self.now())) };
        let filter = InstanceFilter { provider: Some(provider.clone()), ..InstanceFilter::default() };
        let (mut all, mut after): (Vec<Instance>, _) = (Vec::new(), None);
        while all.len() < OWN_COUNTED_MAX {
            let page = self.store.instance_page(&filter, after, PAGE_MAX).await?;
            let is_last = page.len() < PAGE_MAX;
            all.extend(page.into_iter().map(|(instance, _)| instance));
            after = all.last().map(|instance| instance.id);
            if is_last {
                break;
            }
        }
        Ok(Some(summary_of(all.iter(), &self.seen().world, RISKS_SHOWN, self.now())))
    }

    /// Instances that this server knows of.
    #[must_use]
    pub fn fleet_size(&self) -> u64 {
        self.fleet.len()
    }

    /// Up to which entry of the ledger this server knows of everything that was decided: it rises with every decision,
    /// whichever server took it.
    #[must_use]
    pub fn followed(&self) -> u64 {
        self.fleet.followed()
    }

    /// Reads what holds for every instance.
    pub fn world<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.seen().world)
    }

    /// The sums of a rollout over the whole fleet, while it is watched and no row is stale.
    #[must_use]
    pub fn rollout_counts(&self, release: Version) -> Option<Counts> {
        let seen = self.seen();
        self.fleet.counts(seen.world.rollout_of(release)?.id, seen.epoch)
    }

    /// The same by the record of everybody, for rollouts that are watched no more; none where the fleet is too large to look through for a page.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn rollout_recount(&self, release: Version) -> Result<Option<Counts>, PlaneError> {
        let seen = self.seen();
        let Some(rollout) = seen.world.rollout_of(release) else { return Ok(None) };
        if self.fleet.len() > OWN_COUNTED_MAX as u64 {
            return Ok(None);
        }
        let (mut counts, mut after) = (Counts::default(), None);
        loop {
            let page = self.store.instance_page(&InstanceFilter::default(), after, PAGE_MAX).await?;
            for (instance, _) in &page {
                counts = counts.with(Counts::of(rollout, &seen.world, instance));
                after = Some(instance.id);
            }
            if page.len() < PAGE_MAX {
                return Ok(Some(counts));
            }
        }
    }

    /// How many matters lie before the Founder; none while this server takes up the fleet.
    #[must_use]
    pub fn escalation_count(&self) -> Option<u64> {
        let seen = self.seen();
        let of_rollouts = seen.world.rollouts.iter().map(|rollout| rollout.escalations.len());
        let of_all = seen.world.escalations.len() + of_rollouts.sum::<usize>();
        self.fleet.escalated(0).map(|(_, count)| count + of_all as u64)
    }

    /// How many decisions there are about an instance.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn decision_count(&self, id: InstanceId) -> Result<u64, PlaneError> {
        // There are few: the end is looked for by steps that double, and then halve.
        let (mut least, mut step) = (0, 64);
        let is_there =
            async |skip: u64| Ok::<_, PlaneError>(!self.store.decision_page(id, skip, 1).await?.is_empty());
        while is_there(least + step - 1).await? {
            least += step;
            step *= 2;
        }
        while step > 1 {
            step /= 2;
            if is_there(least + step - 1).await? {
                least += step;
            }
        }
        Ok(least)
    }

    /// Who turned the red switch last, as far as the last entries tell.
    ///
    /// # Errors
    /// When the store does not answer, or an entry cannot be read.
    pub async fn red_switch_turned(&self) -> Result<Option<Turned>, PlaneError> {
        let end = self.store.entry_count().await?;
        let mut to = end;
        while to > 0 && end - to < TURNED_WITHIN {
            let from = to.saturating_sub(PAGE_MAX as u64);
            let page = self.store.change_page(from, PAGE_MAX).await?;
            let of_the_world = (from..to).zip(&page).filter(|(_, about)| about.is_none());
            let positions: Vec<u64> = of_the_world.map(|(position, _)| position).collect();
            for position in positions.into_iter().rev() {
                let entry = self.entry(position).await?;
                if let Event::World(WorldEvent::RedSwitchTurned { reason, .. }) = entry.event {
                    let by = entry.actor.unwrap_or_else(|| entry.authority.to_string());
                    return Ok(Some(Turned { at: entry.at, by, reason, position }));
                }
            }
            to = from;
        }
        Ok(None)
    }

    /// One entry of the ledger.
    ///
    /// # Errors
    /// When there is none at this position.
    pub async fn entry(&self, position: u64) -> Result<Entry, PlaneError> {
        let bytes = self.store.entry_page(position, 1).await?.pop();
        let bytes = bytes.ok_or_else(|| PlaneError::NotFound(format!("entry {position}")))?;
        Entry::decode(&bytes).map_err(|error| PlaneError::Unavailable(error.to_string()))
    }
}
