//! What an instance owes: the release, the clocks of its lack, and what became of them when it was paid or left (RO-7, RO-8, RO-9).
//!
//! Never says whether a clock should run: `reconcile` does.

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::id::RolloutId;
use crate::time::{Span, Timestamp};
use crate::version::Version;

/// A clock and what it may show: as the law was when the offer was made (FO-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countdown {
    /// The newest release that it counts the lack of.
    pub of: Version,
    /// What it shows; below zero while it is too early to count.
    pub clock: Clock,
    /// The most it may show.
    pub limit: Span,
    /// The whole window, from the offer to that limit.
    pub window: Span,
    /// How far beyond the limit the graver consequence lies: suspension (CO-3), the drift freeze (CO-2).
    pub grace: Span,
}

impl Countdown {
    /// Whether the window is over. It is closed: at exactly its length it is still kept (§7).
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.clock.shows(now) > self.limit
    }

    /// When it will be reached if the clock runs on.
    #[must_use]
    pub fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        self.clock.reaches(self.limit, now)
    }

    /// Whether the graver consequence is due.
    #[must_use]
    pub fn is_grave(&self, now: Timestamp) -> bool {
        self.clock.shows(now) > self.limit + self.grace
    }

    pub(crate) fn turned(self, on: bool, at: Timestamp) -> Self {
        let clock = match on {
            true if !self.clock.is_running() => self.clock.resumed(at),
            false if self.clock.is_running() => self.clock.stopped(at),
            _ => self.clock,
        };
        Self { clock, ..self }
    }
}

/// The one release the instance owes, and how long it has been owing it (RO-7, RO-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Due {
    /// Which release.
    pub release: Version,
    /// By which rollout.
    pub rollout: RolloutId,
    /// Drift so far (CO-1); none while only security releases were offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Countdown>,
    /// Time since a security release's notice (CO-3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Countdown>,
}

/// What was owed and is paid: its clock would run on, should the release be left again (RO-9), and does run on where
/// a newer one is still lacking (RO-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paid {
    /// What was owed.
    pub due: Due,
    /// When it was paid.
    pub at: Timestamp,
}

/// The owner's wish to go back to what ran before (RL-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// What is to run again.
    pub to: Version,
    /// What is to be left.
    pub from: Version,
    /// When the release left behind is offered again (RO-9).
    pub again: Timestamp,
}

/// A release that the instance left by its own wish (RO-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// Which.
    pub release: Version,
    /// When it is offered again.
    pub again: Timestamp,
    /// The drift clock of the offer by which it had come: it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Countdown>,
    /// Its security clock, where it was left without being asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Countdown>,
}

impl Due {
    /// Whether its clocks run.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.drift.is_some_and(|drift| drift.clock.is_running())
            || self.security.is_some_and(|security| security.clock.is_running())
    }
}
