//! What a record remembers of what happened, and what of it makes room first: never what a decision still needs.
//!
//! Never judges: the ledger holds everything.

use alloc::vec::Vec;

use super::{ATTEMPTS_MAX, FinishedAttempt, Instance, OVERRIDES_MAX};
use crate::finding::{FindingCode, Override};
use crate::instance::Action;
use crate::time::Timestamp;
use crate::version::Version;

impl Instance {
    /// The attempt that brought the version that runs now, if the record knows it.
    #[must_use]
    pub fn installation(&self) -> Option<&FinishedAttempt> {
        installation_of(&self.attempts, self.running.platform)
    }

    /// Whether one more override can be remembered beside those that still count (FO-3).
    #[must_use]
    pub(crate) fn has_room_for_override(&self, code: FindingCode, now: Timestamp) -> bool {
        let counts = self.overrides.iter().filter(|given| self.still_counts(given, now));
        // One that is in force is prolonged or cut short.
        self.is_silenced(code, now) || counts.count() < OVERRIDES_MAX
    }

    /// Puts an override on record. One at a time for a finding: no time stands still twice.
    pub(super) fn remember_override(&mut self, code: FindingCode, from: Timestamp, until: Timestamp) {
        let inside = |given: &&mut Override| given.code == code && given.from <= from && from <= given.until;
        if let Some(given) = self.overrides.iter_mut().find(inside) {
            given.until = until;
            return;
        }
        if self.overrides.len() >= OVERRIDES_MAX {
            let counts = |given: &Override| self.still_counts(given, from);
            // None can be spared only where the law refuses the order.
            let spared = self.overrides.iter().position(|given| !counts(given)).unwrap_or_default();
            self.overrides.remove(spared);
        }
        self.overrides.push(Override { code, from, until });
    }

    /// Whether the override is in force, or a clock that it stopped is still read.
    fn still_counts(&self, given: &Override, now: Timestamp) -> bool {
        let read = |since: Timestamp| since <= given.until;
        now <= given.until
            || self.finding(given.code).is_some_and(|finding| read(finding.since))
            || match given.code {
                FindingCode::NotReporting => read(self.reported),
                FindingCode::EntitlementViolation => self.notices.iter().any(|notice| read(notice.since)),
                _ => false,
            }
    }

    /// Puts a finished attempt on record.
    pub(super) fn remember_attempt(&mut self, attempt: FinishedAttempt) {
        self.attempts.push(attempt);
        if self.attempts.len() > ATTEMPTS_MAX {
            let spared = spared(&self.attempts, self.running.platform);
            self.attempts.remove(spared);
        }
    }
}

/// The attempt that brought this version: one that stalled, and ended well after all, counts too.
fn installation_of(attempts: &[FinishedAttempt], platform: Version) -> Option<&FinishedAttempt> {
    attempts.iter().rev().find(|attempt| {
        attempt.action == Action::Update && attempt.release == platform && attempt.from != platform
    })
}

/// Which attempt makes room: the oldest that was made again since, or else the oldest, but none of those by which what
/// runs came step by step: they are the way back (RO-3, RL-2).
fn spared(attempts: &[FinishedAttempt], platform: Version) -> usize {
    let mut way = Vec::new();
    let mut version = platform;
    // Each step of the way leads from a lower version.
    while let Some(step) = installation_of(attempts, version).filter(|step| step.from < version) {
        way.push(step);
        version = step.from;
    }
    let is_spare = |attempt: &FinishedAttempt| !way.iter().any(|step| core::ptr::eq(*step, attempt));
    let is_repeated = |index: usize, attempt: &FinishedAttempt| {
        attempts.iter().skip(index + 1).any(|later| {
            (later.release, later.rollout, later.action, later.from)
                == (attempt.release, attempt.rollout, attempt.action, attempt.from)
        })
    };
    let spare = || attempts.iter().enumerate().filter(|(_, attempt)| is_spare(attempt));
    let repeated = spare().find(|(index, attempt)| is_repeated(*index, attempt));
    repeated.or_else(|| spare().next()).map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::InstanceEvent;
    use crate::finding::Finding;
    use crate::fixture::{at, instance};
    use crate::id::RolloutId;
    use crate::instance::Outcome;
    use crate::rollout::Phase;

    use crate::time::Span;

    fn attempt(release: Version, from: Version, outcome: Outcome) -> FinishedAttempt {
        let rollout = RolloutId::from_random([u8::try_from(release.patch).unwrap(); 16]);
        let (action, phase) = (Action::Update, Phase::Ga);
        FinishedAttempt { release, rollout, action, phase, from, finished: at(1), outcome }
    }

    #[test]
    fn ro_3_what_brought_what_runs_outlives_any_number_of_failures() {
        let patch = |patch| Version::new(0, 1, patch);
        let mut instance = instance();
        for step in 1..=3 {
            instance.running.platform = patch(step);
            instance.remember_attempt(attempt(patch(step), patch(step - 1), Outcome::Succeeded));
        }
        instance.remember_attempt(attempt(patch(4), patch(3), Outcome::Failed));
        for _ in 0..100 {
            instance.remember_attempt(attempt(patch(5), patch(3), Outcome::Failed));
        }
        assert_eq!(instance.attempts.len(), ATTEMPTS_MAX);
        assert_eq!(instance.previous(), Some(patch(2)));
        // And so does the whole way, and what was tried but once.
        let tried: Vec<_> = instance.attempts.iter().take(4).map(|attempt| attempt.release).collect();
        assert_eq!(tried, [patch(1), patch(2), patch(3), patch(4)]);
        instance.running.platform = patch(2);
        assert_eq!(instance.previous(), Some(patch(1)));
    }

    #[test]
    fn rl_2_of_a_way_that_is_too_long_the_beginning_is_forgotten() {
        let mut instance = instance();
        let steps = u32::try_from(ATTEMPTS_MAX).unwrap() + 5;
        for step in 1..=steps {
            instance.running.platform = Version::new(0, 1, step);
            let from = Version::new(0, 1, step - 1);
            instance.remember_attempt(attempt(instance.running.platform, from, Outcome::Succeeded));
            assert_eq!(instance.previous(), Some(from));
        }
        assert_eq!(instance.attempts.len(), ATTEMPTS_MAX);
    }

    #[test]
    fn fo_3_an_override_that_counts_is_never_forgotten() {
        let mut instance = instance();
        let code = FindingCode::TierMismatch;
        instance.findings.push(Finding { code, since: at(0) });
        let set = |code, from: i64, until: i64, instance: &mut Instance| {
            instance.apply(&InstanceEvent::OverrideSet { code, until: at(until) }, at(from));
        };
        set(code, 1, 1_000, &mut instance);
        // Those that are over and stopped no clock make room, however many.
        for hour in 2..100 {
            set(FindingCode::RuntimeIncompatible, hour * 4, hour * 4 + 1, &mut instance);
        }
        assert!(instance.is_silenced(code, at(999)));
        // One that is in force is prolonged, and needs no room.
        for hour in 500..600 {
            set(code, hour, 2_000, &mut instance);
        }
        assert_eq!(instance.silenced_since(code, at(0), at(2_500)), Span::hours(1_999));
        // Those that stopped a clock which is still read are kept, until there is no room.
        instance.overrides.clear();
        for hour in 0..16 {
            assert!(instance.has_room_for_override(code, at(hour * 4)), "{hour}");
            set(code, hour * 4, hour * 4 + 1, &mut instance);
        }
        assert!(!instance.has_room_for_override(code, at(70)));
        assert!(instance.has_room_for_override(code, at(61)));
        assert_eq!(instance.silenced_since(code, at(0), at(100)), Span::hours(16));
        instance.findings.clear();
        assert!(instance.has_room_for_override(code, at(70)));
    }
}
