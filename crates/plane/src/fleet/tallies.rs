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
    /// The epoch before, whose numbers stand for the same, if they do.
    kept_from: Option<u32>,
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
        self.turn_to(seen);
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

    /// Begins to count in a later epoch. The numbers go on to stand for the same where rows of the epoch before may be
    /// [carried](Self::carry) over.
    pub(super) fn turn_to(&mut self, seen: &Seen) {
        if seen.epoch <= self.epoch {
            return;
        }
        let watched: Vec<RolloutId> = seen.world.watched().map(|rollout| rollout.id).collect();
        let follows = seen.entrants.is_some() && seen.epoch == self.epoch + 1 && watched == self.watched;
        self.kept_from = follows.then_some(self.epoch);
        if follows {
            self.kinds.iter_mut().for_each(|(_, instances)| *instances = 0);
        } else {
            self.numbers.clear();
            self.kinds.clear();
        }
        (self.epoch, self.watched, self.counted) = (seen.epoch, watched, 0);
    }

    /// Counts an instance in this epoch for what it counted for in that one; `false` where that is not known any more.
    pub(super) fn carry(&mut self, from: u32, to: u32, tally: Tally) -> bool {
        let kept = self.kept_from == Some(from) && self.epoch == to;
        let kind = usize::try_from(tally).ok().and_then(|at| self.kinds.get_mut(at));
        let Some((_, instances)) = kind.filter(|_| kept) else { return false };
        *instances += 1;
        self.counted += 1;
        true
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
