//! Requests that were forged or played again, counted per instance (HS-6, CO-13).
//!
//! In memory and bounded: who comes again after a restart is counted again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use governance::decide::{BYPASS_REQUESTS, BYPASS_WITHIN};
use governance::{InstanceId, Timestamp};

/// Instances counted at once; when there are more, all are forgotten.
const INSTANCES_MAX: usize = 65_536;

/// What was refused of late.
#[derive(Debug, Default)]
pub(crate) struct Bypasses {
    counted: Mutex<HashMap<InstanceId, (u32, Timestamp)>>,
}

impl Bypasses {
    /// Counts one; whether there are enough now, and the count begins anew.
    pub(crate) fn is_enough(&self, id: InstanceId, now: Timestamp) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= INSTANCES_MAX && !counted.contains_key(&id) {
            counted.clear();
        }
        let (count, began) = counted.entry(id).or_insert((0, now));
        if now.since(*began) > BYPASS_WITHIN {
            (*count, *began) = (0, now);
        }
        *count += 1;
        let enough = *count >= BYPASS_REQUESTS;
        if enough {
            counted.remove(&id);
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn co_13_three_within_an_hour_are_enough() {
        let (bypasses, id) = (Bypasses::default(), InstanceId::from_random([1; 16]));
        let at = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        assert!(!bypasses.is_enough(id, at(0)));
        assert!(!bypasses.is_enough(id, at(60)));
        assert!(!bypasses.is_enough(id, at(61)), "the first is forgotten");
        assert!(!bypasses.is_enough(InstanceId::from_random([2; 16]), at(61)), "another is another");
        assert!(!bypasses.is_enough(id, at(62)));
        assert!(bypasses.is_enough(id, at(63)));
        assert!(!bypasses.is_enough(id, at(64)), "the count began anew");
    }
}
