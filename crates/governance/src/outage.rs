//! When the plane could not be reached, and what of it is remembered (CO-7).
//!
//! Never finds out that it was away: whoever records an outage does.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// A time in which the plane could not be reached (CO-7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Outages remembered one by one: beyond, those that lie the closest together become one. The ledger holds them all.
pub const OUTAGES_MAX: usize = 256;
/// How long an outage is remembered: whoever has been silent for longer was found so long ago, whatever the plane missed.
const REMEMBERED: Span = Span::hours(366 * 24);

/// Puts an outage on record, behind the others. What no silence can be counted over any more is forgotten; where there
/// are too many none is, but two become one, with the short time between: a silence gains by that, and never loses.
pub(crate) fn remember(outages: &mut Vec<Outage>, outage: Outage) {
    outages.retain(|earlier| outage.until.since(earlier.until) <= REMEMBERED);
    outages.push(outage);
    if outages.len() > OUTAGES_MAX {
        let pairs = outages.iter().zip(outages.iter().skip(1)).enumerate();
        let closest = pairs.min_by_key(|(_, (earlier, later))| later.from.since(earlier.until));
        let Some((index, (_, later))) = closest else { return };
        let until = later.until;
        outages.remove(index + 1);
        outages.iter_mut().skip(index).take(1).for_each(|earlier| earlier.until = until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    fn outage(from: i64, until: i64) -> Outage {
        Outage { from: at(from), until: at(until) }
    }

    #[test]
    fn co_7_an_outage_that_still_counts_outlives_any_number_of_short_ones() {
        let mut outages = Vec::new();
        let long = outage(0, 2_400);
        remember(&mut outages, long);
        for short in 0..1_000 {
            let from = 3_000 + 10 * short;
            remember(&mut outages, outage(from, from + 1));
        }
        assert_eq!(outages.len(), OUTAGES_MAX);
        assert_eq!(outages.first(), Some(&long));
        // In order, and nothing of what was recorded is missing.
        assert!(outages.is_sorted_by_key(|outage| outage.from));
        let covered = |from: i64| outages.iter().any(|it| it.from <= at(from) && at(from + 1) <= it.until);
        assert!((0..1_000).all(|short| covered(3_000 + 10 * short)));
        assert_eq!(outages.last().map(|last| last.until), Some(at(3_000 + 9_990 + 1)));
    }

    #[test]
    fn co_7_what_is_older_than_any_silence_is_forgotten() {
        let mut outages = Vec::new();
        let year = 366 * 24 * 60;
        remember(&mut outages, outage(0, 10));
        remember(&mut outages, outage(20, year + 10));
        assert_eq!(outages.len(), 2, "at exactly a year it is remembered");
        remember(&mut outages, outage(year + 11, year + 12));
        assert_eq!(outages, [outage(20, year + 10), outage(year + 11, year + 12)]);
    }
}
