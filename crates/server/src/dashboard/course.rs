//! How the fleet stood over the last day, as this server saw it: a sample now and then, in memory, and nothing that grows.
//!
//! Never the record: the ledger is. A server that has just begun has little to show, and its page says since when.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use dashboard::chart::Sample;
use governance::{Span, State, Timestamp};

/// Between two samples once there are many.
const APART: Span = Span::from_millis(5 * 60_000);
/// Until there are so many, one is taken whenever something changed.
const FEW: usize = 64;
/// Samples that are kept: a day's, and the first ones.
const KEPT: usize = 24 * 12 + FEW;

/// The samples.
#[derive(Default)]
pub(crate) struct Course(Mutex<VecDeque<Sample>>);

impl Course {
    /// Takes a sample if it is time for one.
    pub(crate) fn note(&self, states: &BTreeMap<State, u64>, now: Timestamp) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = match kept.back() {
            None => true,
            Some(last) if kept.len() < FEW => last.states != *states || now.since(last.at) >= APART,
            Some(last) => now.since(last.at) >= APART,
        };
        if is_time {
            kept.push_back(Sample { at: now, states: states.clone() });
            if kept.len() > KEPT {
                kept.pop_front();
            }
        }
    }

    /// The samples, the oldest first.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_samples_are_taken_at_once_and_many_far_apart() {
        let course = Course::default();
        let at = |seconds: i64| Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000);
        let states = |count: u64| BTreeMap::from([(State::Active, count)]);
        course.note(&states(1), at(0));
        course.note(&states(1), at(1));
        assert_eq!(course.samples().len(), 1);
        for second in 0..1_000 {
            course.note(&states(second), at(2 + i64::try_from(second).unwrap()));
        }
        assert_eq!(course.samples().len(), FEW + 3);
        for hour in 1..100 {
            course.note(&states(hour), at(2_000 + i64::try_from(hour).unwrap() * 3_600));
            course.note(&states(hour), at(2_000 + i64::try_from(hour).unwrap() * 3_600 + 400));
        }
        assert!(course.samples().len() <= KEPT);
    }
}
