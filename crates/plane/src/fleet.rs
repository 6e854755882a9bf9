//! The fleet as this server last saw it: a narrow row for each instance, in memory. It says who an instance is, up to when
//! nothing is due for it, and what it counts for in the rollouts that are watched.
//!
//! Never the truth: whatever is decided is decided on the store's record. What it says of time holds for one world; a world
//! that asks something else makes its rows stale, and a stale row is looked at anew.

mod brief;
mod tallies;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use governance::reconcile::is_due;
use governance::rollout::Stratum;
use governance::{
    Census, Counts, Instance, InstanceId, InstanceKey, Kind, Rollout, RolloutId, Span, State, Tier,
    Timestamp, World, horizon,
};

use crate::Seen;
use crate::ports::Revision;
pub(crate) use brief::summary_of;

use brief::{Brief, Versions};
use tallies::{NO_TALLY, Tallies, Tally};

/// Before any instant at which an instance is heard.
const NEVER: Timestamp = Timestamp::from_millis(i64::MIN);
/// Parts of the fleet, each a range of ids with a lock of its own.
pub(crate) const SHARDS: usize = 64;
/// For how long the rows answer behind the last look at what others decided.
const CURRENT_FOR: Span = Span::from_millis(2_000);

/// What holds of an instance until it is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its key.
    pub(crate) key: InstanceKey,
    /// Whether it renewed its key and has not stated anything under the new one yet (HS-2).
    pub(crate) is_renewing: bool,
    /// Where it stands.
    pub(crate) state: State,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Its record's revision.
    pub(crate) revision: Revision,
}

/// A row: at most 120 bytes with its id.
#[derive(Clone, Copy, Debug)]
struct Row {
    known: Known,
    /// Every ledger entry about the instance below this position is in it.
    position: u64,
    /// The last instant up to which nothing is due, in the worlds of its epoch.
    quiet_until: Timestamp,
    /// When it was last heard here, or anywhere as far as the store said; [`NEVER`] as far as is known.
    heard: Timestamp,
    /// Whether that is yet to be saved.
    is_unsaved: bool,
    /// In which worlds it holds.
    epoch: u32,
    /// What it counts for, in that epoch.
    tally: Tally,
    kind: Kind,
    tier: Tier,
    /// What people see of it where they see everybody.
    brief: Brief,
}

impl Row {
    const fn stratum(&self) -> Stratum {
        (self.kind, self.tier)
    }
}

/// What one look at an instance found.
struct Look {
    is_due: bool,
    quiet_until: Timestamp,
    counts: Vec<Counts>,
}

#[derive(Debug, Default)]
struct Shard {
    rows: HashMap<InstanceId, Row>,
    /// Whose last sign of life is yet to be saved.
    unsaved: Vec<InstanceId>,
}

/// The rows of all instances, and the sums over them.
#[derive(Debug)]
pub(crate) struct Fleet {
    shards: Box<[Mutex<Shard>]>,
    tallies: Mutex<Tallies>,
    versions: Versions,
    rows: AtomicU64,
    is_loaded: AtomicBool,
    /// Ledger entries that the rows have taken in, all below this position.
    followed: AtomicU64,
    /// Ledger entries about the world that were taken in, the last of them below this position.
    world_followed: AtomicU64,
    /// When everything was last taken in, in milliseconds.
    followed_at: AtomicI64,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            tallies: Mutex::default(),
            versions: Versions::default(),
            rows: AtomicU64::new(0),
            is_loaded: AtomicBool::new(false),
            followed: AtomicU64::new(0),
            world_followed: AtomicU64::new(0),
            followed_at: AtomicI64::new(0),
        }
    }
}

/// Which part of the fleet an id is in; the parts follow each other in the order of the ids.
fn shard_of(id: InstanceId) -> usize {
    let [first, ..] = id.as_bytes();
    usize::from(*first) * SHARDS / 256
}

impl Fleet {
    fn shard(&self, number: usize) -> Option<MutexGuard<'_, Shard>> {
        self.shards.get(number).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn shard_for(&self, id: InstanceId) -> Option<MutexGuard<'_, Shard>> {
        self.shard(shard_of(id))
    }

    fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every instance has its row.
    pub(crate) fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    pub(crate) fn loaded(&self) {
        self.is_loaded.store(true, Ordering::Release);
    }

    /// Up to which ledger position the rows have taken everything in.
    pub(crate) fn followed(&self) -> u64 {
        self.followed.load(Ordering::Acquire)
    }

    pub(crate) fn follow(&self, position: u64) {
        self.followed.fetch_max(position, Ordering::AcqRel);
    }

    /// Notes that everything that was decided until then is taken in.
    pub(crate) fn is_current(&self, at: Timestamp) {
        self.followed_at.fetch_max(at.as_millis(), Ordering::AcqRel);
    }

    /// Whether the rows may answer: every instance has one, and what others decided was followed a moment ago.
    pub(crate) fn may_answer(&self, now: Timestamp) -> bool {
        let at = Timestamp::from_millis(self.followed_at.load(Ordering::Acquire));
        self.is_loaded() && now.since(at) <= CURRENT_FOR
    }

    /// Whether the world as this server knows it has the entry at this position in it.
    pub(crate) fn has_world(&self, position: u64) -> bool {
        position < self.world_followed.load(Ordering::Acquire)
    }

    pub(crate) fn world_seen(&self, ledger_size: u64) {
        self.world_followed.fetch_max(ledger_size, Ordering::AcqRel);
    }

    /// Whether the instance's row has the entry at this position in it.
    pub(crate) fn has(&self, id: InstanceId, position: u64) -> bool {
        let shard = self.shard_for(id);
        shard.is_some_and(|shard| shard.rows.get(&id).is_some_and(|row| position < row.position))
    }

    /// Takes in an instance as it is on record: `position` is that of the ledger's end when it was, where that is known. Gives
    /// whether anything is due for it.
    pub(crate) fn put(
        &self,
        seen: &Seen,
        instance: &Instance,
        revision: Revision,
        position: Option<u64>,
        now: Timestamp,
    ) -> bool {
        let look = look(instance, seen, now);
        let known = Known {
            key: instance.key,
            is_renewing: instance.previous_key.is_some(),
            state: instance.state,
            since: instance.since,
            revision,
        };
        let Some(mut shard) = self.shard_for(instance.id) else { return look.is_due };
        let mut row = Row {
            known,
            position: position.unwrap_or_default(),
            quiet_until: look.quiet_until,
            heard: NEVER,
            is_unsaved: false,
            epoch: seen.epoch,
            tally: NO_TALLY,
            kind: instance.kind,
            tier: instance.subscription.tier,
            brief: Brief::of(instance, &seen.world, &self.versions, now),
        };
        match shard.rows.entry(instance.id) {
            Entry::Occupied(mut entry) => {
                let before = *entry.get();
                if (before.known.revision, before.epoch) > (revision, seen.epoch) {
                    // Somebody was quicker with what is newer. Both may be so in part: then the row is stale, and looked at again.
                    return look.is_due;
                }
                row = Row {
                    position: row.position.max(before.position),
                    heard: before.heard,
                    is_unsaved: before.is_unsaved,
                    ..row
                };
                row.tally = self.tallies().exchange(seen, Some((before.epoch, before.tally)), &look.counts);
                entry.insert(row);
            }
            Entry::Vacant(entry) => {
                row.tally = self.tallies().exchange(seen, None, &look.counts);
                entry.insert(row);
                self.rows.fetch_add(1, Ordering::AcqRel);
            }
        }
        look.is_due
    }

    /// Who an instance is, as far as is known here.
    pub(crate) fn known(&self, id: InstanceId) -> Option<Known> {
        self.shard_for(id)?.rows.get(&id).map(|row| row.known)
    }

    /// Notes that an instance was heard, and gives what is known of it while nothing is due for it in the worlds of this epoch.
    pub(crate) fn hear(&self, id: InstanceId, epoch: u32, now: Timestamp) -> Option<Known> {
        let mut shard = self.shard_for(id)?;
        let Shard { rows, unsaved } = &mut *shard;
        let row = rows.get_mut(&id)?;
        row.heard = row.heard.max(now);
        if !std::mem::replace(&mut row.is_unsaved, true) {
            unsaved.push(id);
        }
        (row.epoch == epoch && now <= row.quiet_until).then_some(row.known)
    }

    /// When an instance was last heard, as far as is known here.
    pub(crate) fn heard(&self, id: InstanceId) -> Option<Timestamp> {
        let heard = self.shard_for(id)?.rows.get(&id)?.heard;
        (heard != NEVER).then_some(heard)
    }

    /// Takes in when an instance was last heard, as the store has it.
    pub(crate) fn heard_before(&self, id: InstanceId, at: Timestamp) {
        if let Some(mut shard) = self.shard_for(id)
            && let Some(row) = shard.rows.get_mut(&id)
        {
            row.heard = row.heard.max(at);
        }
    }

    /// Takes out of a part of the fleet, up to `most` of them, those whose last sign of life is yet to be saved.
    pub(crate) fn take_unsaved(&self, number: usize, most: usize) -> Vec<(InstanceId, Timestamp)> {
        let Some(mut shard) = self.shard(number) else { return Vec::new() };
        let Shard { rows, unsaved } = &mut *shard;
        let kept = unsaved.len().saturating_sub(most);
        let taken = unsaved.split_off(kept).into_iter();
        let saved = taken.filter_map(|id| {
            let row = rows.get_mut(&id)?;
            row.is_unsaved = false;
            Some((id, row.heard))
        });
        saved.collect()
    }

    /// Takes back signs of life that could not be saved: they are the next to be.
    pub(crate) fn take_back(&self, heard: &[(InstanceId, Timestamp)]) {
        for (id, _) in heard {
            let Some(mut shard) = self.shard_for(*id) else { continue };
            let Shard { rows, unsaved } = &mut *shard;
            if let Some(row) = rows.get_mut(id)
                && !std::mem::replace(&mut row.is_unsaved, true)
            {
                unsaved.push(*id);
            }
        }
    }

    /// Carries the rows of a part over from the epoch before, but for those of whom this one asks something else; `false` where
    /// there is nothing to carry.
    pub(crate) fn carry(&self, number: usize, seen: &Seen) -> bool {
        let (from, to) = (seen.epoch.saturating_sub(1), seen.epoch);
        let Some(entrants) = seen.entrants.as_ref().filter(|_| self.tallies().turn_to(seen)) else {
            return false;
        };
        let opened = entrants.iter().filter_map(|(id, behind)| Some((seen.world.rollout(*id)?, *behind)));
        let opened: Vec<(&Rollout, usize)> = opened.collect();
        let Some(shard) = self.shard(number) else { return false };
        let there = shard.rows.iter().filter(|(_, row)| row.epoch == from);
        let mut quiet: Vec<(InstanceId, Stratum)> = there.map(|(id, row)| (*id, row.stratum())).collect();
        drop(shard);
        // A hash each: nobody waits for them.
        quiet.retain(|(id, stratum)| {
            !opened.iter().any(|(rollout, behind)| rollout.lets_in(*id, *stratum, *behind))
        });
        let Some(mut shard) = self.shard(number) else { return false };
        let mut tallies = self.tallies();
        for (id, stratum) in &quiet {
            if let Some(row) = shard.rows.get_mut(id)
                && row.epoch == from
                && row.stratum() == *stratum
                && tallies.carry(from, to, row.tally)
            {
                row.epoch = to;
            }
        }
        true
    }

    /// The instances of a part that must be looked at: their rows are stale, or something may be due by now.
    pub(crate) fn to_look_at(&self, number: usize, epoch: u32, now: Timestamp) -> Vec<InstanceId> {
        let waits = |row: &Row| row.epoch != epoch || row.quiet_until < now;
        let Some(shard) = self.shard(number) else { return Vec::new() };
        let mut waiting: Vec<InstanceId> =
            shard.rows.iter().filter(|(_, row)| waits(row)).map(|(id, _)| *id).collect();
        drop(shard);
        // In the order in which they lie in the store.
        waiting.sort_unstable();
        waiting
    }

    /// Every instance of a part, with its state.
    pub(crate) fn each(&self, number: usize) -> Vec<(InstanceId, State)> {
        let Some(shard) = self.shard(number) else { return Vec::new() };
        shard.rows.iter().map(|(id, row)| (*id, row.known.state)).collect()
    }

    /// Number of instances per state; none while a row may be missing.
    pub(crate) fn states(&self) -> Option<BTreeMap<State, u64>> {
        let mut states = BTreeMap::new();
        for number in (0..SHARDS).filter(|_| self.is_loaded()) {
            for row in self.shard(number)?.rows.values() {
                *states.entry(row.known.state).or_default() += 1;
            }
        }
        self.is_loaded().then_some(states)
    }

    /// Instances that have a row.
    pub(crate) fn len(&self) -> u64 {
        self.rows.load(Ordering::Acquire)
    }

    /// The sums of a rollout over the whole fleet; none while a row is missing or stale.
    pub(crate) fn counts(&self, rollout: RolloutId, epoch: u32) -> Option<Counts> {
        if !self.is_loaded() {
            return None;
        }
        let all = self.len();
        self.tallies().sums(rollout, epoch, all)
    }

    /// The whole census of a rollout: its sums, and the order of all who are eligible.
    pub(crate) fn census(&self, rollout: &Rollout, epoch: u32) -> Option<Census> {
        let mut census = Census::of_sums(self.counts(rollout.id, epoch)?);
        let eligible = self.tallies().eligible(rollout.id, epoch)?;
        for number in 0..SHARDS {
            let shard = self.shard(number)?;
            for (id, row) in &shard.rows {
                if row.epoch == epoch && eligible.contains(&row.tally) {
                    census.enter_as(rollout, row.stratum(), *id);
                }
            }
        }
        census.is_whole().then_some(census)
    }
}

/// Looks at an instance as it stands: up to when nothing is due for it, and what it counts for.
fn look(instance: &Instance, seen: &Seen, now: Timestamp) -> Look {
    let world: &World = &seen.world;
    let is_due = is_due(instance, world, now);
    let quiet_until = if is_due {
        now - Span::from_millis(1)
    } else {
        horizon::next_look(instance, world, now).unwrap_or(Timestamp::from_millis(i64::MAX))
    };
    let counts = world.watched().map(|rollout| Counts::of(rollout, world, instance)).collect();
    Look { is_due, quiet_until, counts }
}

#[cfg(test)]
mod tests;
