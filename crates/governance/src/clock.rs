//! A clock that can be stopped: how long something ran, less the time it stood still (RO-7, LC-19).
//!
//! Never ticks: it says what it shows at an instant that is given.

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// Time run so far. It may begin below zero: a major's drift starts only after part of its window (CO-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Milliseconds that had run when it was last started or stopped.
    elapsed_ms: i64,
    /// Since when it runs; none while it stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
}

impl Clock {
    /// A clock at zero that runs from `at`.
    #[must_use]
    pub const fn started(at: Timestamp) -> Self {
        Self { elapsed_ms: 0, since: Some(at) }
    }

    /// A clock that runs from `at` and reaches zero after `lead`.
    #[must_use]
    pub const fn started_ahead(at: Timestamp, lead: Span) -> Self {
        Self { elapsed_ms: -lead.as_millis(), since: Some(at) }
    }

    /// What it shows, in milliseconds; below zero before its start.
    #[must_use]
    pub fn millis(&self, now: Timestamp) -> i64 {
        self.elapsed_ms.saturating_add(self.since.map_or(0, |since| now.since(since).as_millis()))
    }

    /// What it shows; zero before its start.
    #[must_use]
    pub fn shows(&self, now: Timestamp) -> Span {
        Span::from_millis(self.millis(now))
    }

    /// Whether it runs.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// The clock, standing still from `at` on.
    #[must_use]
    pub fn stopped(self, at: Timestamp) -> Self {
        Self { elapsed_ms: self.millis(at), since: None }
    }

    /// The clock, running from `at` on.
    #[must_use]
    pub fn resumed(self, at: Timestamp) -> Self {
        Self { elapsed_ms: self.millis(at), since: Some(at) }
    }

    /// When it will show `length` if it runs on; never for a clock that stands still below it.
    #[must_use]
    pub fn reaches(&self, length: Span, now: Timestamp) -> Option<Timestamp> {
        let left = length.as_millis() - self.millis(now);
        (self.is_running() || left <= 0).then(|| Timestamp::from_millis(now.as_millis() + left))
    }

    /// The one of two that shows more (RO-8: the newer offer inherits the older's running clock).
    #[must_use]
    pub fn further(self, other: Self, now: Timestamp) -> Self {
        if other.millis(now) > self.millis(now) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ro_7_a_stopped_clock_stands_still() {
        let at = |hours: i64| Timestamp::from_millis(0) + Span::hours(hours);
        let clock = Clock::started(at(0)).stopped(at(10));
        assert_eq!(clock.shows(at(40)), Span::hours(10));
        assert_eq!(clock.reaches(Span::hours(30), at(40)), None);
        let clock = clock.resumed(at(40));
        assert_eq!(clock.shows(at(60)), Span::hours(30));
        assert_eq!(clock.reaches(Span::hours(31), at(60)), Some(at(61)));
        let ahead = Clock::started_ahead(at(0), Span::hours(60));
        assert_eq!(ahead.shows(at(59)), Span::ZERO);
        assert_eq!(ahead.shows(at(61)), Span::hours(1));
    }
}
