//! What the fleet counts for in the rollouts that are watched: few instances count for something that no other does, so each
//! row holds the number of what it counts for, and the sums are so many times that.

use std::collections::{HashMap, HashSet};

use governance::{Counts, RolloutId};

use crate::Seen;

/// The number of what an instance counts for.
pub(super) type Tally = u32;

/// That of a row which was looked at in other worlds than those counted now.
pub(super) const NO_TALLY: Tally = Tally::MAX;

/// The sums of one epoch.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    epoch: u32,
    /// The rollouts that are watched, in the order of each count.
    watched: Vec<RolloutId>,
    numbers: HashMap<Box<[Counts]>, Tally>,
    /// What each number stands for, and for how many instances.
    kinds: Vec<(Box<[Counts]>, u64)>,
    /// Instances counted in all.
    counted: u64,
}

impl Tallies {
    /// Counts an instance for something else than it did, or for the first time; gives the number of that.
    pub(super) fn exchange(&mut self, seen: &Seen, before: Option<(u32, Tally)>, counts: &[Counts]) -> Tally {
        if seen.epoch > self.epoch {
            *self = Self {
                epoch: seen.epoch,
                watched: seen.world.watched().map(|rollout| rollout.id).collect(),
                ..Self::default()
            };
        }
        if let Some((epoch, tally)) = before
            && epoch == self.epoch
            && let Some((_, instances)) = usize::try_from(tally).ok().and_then(|at| self.kinds.get_mut(at))
        {
            *instances = instances.saturating_sub(1);
            self.counted = self.counted.saturating_sub(1);
        }
        if seen.epoch < self.epoch {
            return NO_TALLY;
        }
        let tally = match self.numbers.get(counts) {
            Some(tally) => *tally,
            None => {
                let tally = Tally::try_from(self.kinds.len()).unwrap_or(NO_TALLY);
                self.numbers.insert(counts.into(), tally);
                self.kinds.push((counts.into(), 0));
                tally
            }
        };
        if let Some((_, instances)) = usize::try_from(tally).ok().and_then(|at| self.kinds.get_mut(at)) {
            *instances += 1;
            self.counted += 1;
        }
        tally
    }

    fn column(&self, rollout: RolloutId, epoch: u32) -> Option<usize> {
        (epoch == self.epoch).then(|| self.watched.iter().position(|watched| *watched == rollout))?
    }

    /// The sums of a rollout, if all of so many instances are counted.
    pub(super) fn sums(&self, rollout: RolloutId, epoch: u32, instances: u64) -> Option<Counts> {
        let column = self.column(rollout, epoch).filter(|_| self.counted == instances)?;
        let counted = self.kinds.iter().filter_map(|(counts, many)| Some(counts.get(column)?.times(*many)));
        Some(counted.fold(Counts::default(), Counts::with))
    }

    /// What those count for who are eligible for a rollout.
    pub(super) fn eligible(&self, rollout: RolloutId, epoch: u32) -> Option<HashSet<Tally>> {
        let column = self.column(rollout, epoch)?;
        let eligible = |counts: &[Counts]| counts.get(column).is_some_and(|counts| counts.eligible() > 0);
        let numbered = self.kinds.iter().zip(0..).filter(|((counts, _), _)| eligible(counts));
        Some(numbered.map(|(_, tally)| tally).collect())
    }
}
