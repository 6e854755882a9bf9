//! Rate limits (HS-7): so many requests a minute for each key, with one minute's worth at once at most.
//!
//! The generic cell rate algorithm: one instant per key says when its budget is full again. The map is bounded: keys
//! with a full budget are forgotten, and when all places are taken the newcomers share one. Time is an argument.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use governance::Timestamp;

/// Microseconds in a minute.
const MINUTE: i64 = 60_000_000;
/// Microseconds in a millisecond.
const MILLI: i64 = 1_000;

/// The budgets of many keys.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    keys_max: usize,
    budgets: Mutex<Budgets<K>>,
}

#[derive(Debug)]
struct Budgets<K> {
    /// When each budget is full again, in microseconds.
    full_at: HashMap<K, i64>,
    /// The budget of those who found no place.
    others: i64,
    /// When the map was last cleaned, in microseconds.
    cleaned: i64,
}

impl<K: Hash + Eq> Rates<K> {
    pub(crate) fn new(keys_max: usize) -> Self {
        let budgets = Mutex::new(Budgets { full_at: HashMap::new(), others: 0, cleaned: 0 });
        Self { keys_max, budgets }
    }

    /// Takes one request from the key's budget.
    ///
    /// # Errors
    /// The seconds until there is one again; nothing was taken.
    pub(crate) fn take(&self, key: K, per_minute: u32, now: Timestamp) -> Result<(), u64> {
        let now = now.as_millis().saturating_mul(MILLI);
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let budgets = &mut *budgets;
        // A map that is full is cleaned once a second at most.
        let full = budgets.full_at.len() >= self.keys_max;
        if full && now - budgets.cleaned >= MINUTE / 60 {
            budgets.full_at.retain(|_, full_at| *full_at > now);
            budgets.cleaned = now;
        }
        let has_place = budgets.full_at.len() < self.keys_max;
        let slot = match budgets.full_at.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) if has_place => entry.insert(now),
            Entry::Vacant(_) => &mut budgets.others,
        };
        spend(slot, per_minute, now)
    }
}

fn spend(full_at: &mut i64, per_minute: u32, now: i64) -> Result<(), u64> {
    let each = MINUTE / i64::from(per_minute.max(1));
    let next = (*full_at).max(now).saturating_add(each);
    let late = next.saturating_sub(now).saturating_sub(MINUTE);
    if late > 0 {
        return Err(late.unsigned_abs().div_ceil(1_000_000));
    }
    *full_at = next;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    #[test]
    fn hs_7_a_minutes_worth_and_no_more() {
        let rates = Rates::new(10);
        for _ in 0..60 {
            assert_eq!(rates.take("a", 60, at(0)), Ok(()));
        }
        assert_eq!(rates.take("a", 60, at(0)), Err(1));
        assert_eq!(rates.take("a", 60, at(999)), Err(1));
        assert_eq!(rates.take("a", 60, at(1_000)), Ok(()));
        assert_eq!(rates.take("a", 60, at(1_000)), Err(1));
        // Another key is not touched by it.
        assert_eq!(rates.take("b", 60, at(1_000)), Ok(()));
        assert_eq!(rates.take("c", 1, at(0)), Ok(()));
        assert_eq!(rates.take("c", 1, at(0)), Err(60));
    }

    #[test]
    fn hs_7_the_map_is_bounded() {
        let rates = Rates::new(4);
        for key in 0..100 {
            let _ = rates.take(key, 2, at(0));
        }
        assert_eq!(rates.budgets.lock().unwrap().full_at.len(), 4);
        // Those who were there keep their budget; newcomers share one.
        assert_eq!(rates.take(0, 2, at(0)), Ok(()));
        assert!(rates.take(200, 2, at(0)).is_err());
        // Places come free when budgets are full again.
        assert_eq!(rates.take(300, 2, at(120_000)), Ok(()));
        assert_eq!(rates.budgets.lock().unwrap().full_at.len(), 1);
    }
}
