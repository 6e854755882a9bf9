//! Which phase takes an instance in, and when it opens at the earliest (RO-1, RO-2, RO-4, RO-6).

use alloc::vec::Vec;

use super::obstacles::beyond;
use super::{Answer, Facts, Why};
use crate::constitution::Share;
use crate::rollout::{Census, Cutoff, HOLDING_EVIDENCE, OpenPhase, Phase, Rollout, phase_law};
use crate::time::{Span, Timestamp};

const MILLION: u64 = 1_000_000;

impl Facts<'_> {
    /// Why the phases opened so far do not hold the instance, and what the next ones wait for.
    pub(super) fn of_the_phase(&self, rollout: &Rollout, found: &mut Vec<Answer>) {
        let Some(next) = rollout.next_phase() else { return };
        let census = self.counts.get(&rollout.id);
        let place = share_before(rollout, self);
        let (taken_in, counted) = match census {
            Some(census) => (self.taken_in(rollout, census), true),
            None => (self.estimated(next, place), false),
        };
        // Of an estimate only the next phase is a bound: it takes in one at least, which may be this one.
        let until = if counted { taken_in } else { next };
        let way = Phase::ALL.iter().copied().filter(|phase| next <= *phase && *phase <= until);
        for phase in way.filter(|phase| rollout.awaits_approval(*phase)) {
            found.push(self.answer(Why::AwaitingApproval { phase }, None));
        }
        if let Some(open) = rollout.phase().filter(|open| self.time_left(rollout, open) == Span::ZERO) {
            self.of_the_evidence(rollout, open, census, found);
        }
        let opens = self.opens(rollout, until);
        let why = Why::OutsidePhase {
            open: rollout.phase().map(|open| open.phase),
            place: u32::try_from(place).unwrap_or(u32::MAX),
            taken_in,
            counted,
            opens,
        };
        // A clock that stands still has its own answer, who stopped it.
        found.push(self.answer(why, Some(opens.unwrap_or(self.now))));
    }

    /// A phase whose time is up and that too few have finished (RO-4).
    fn of_the_evidence(
        &self,
        rollout: &Rollout,
        open: &OpenPhase,
        census: Option<&Census>,
        found: &mut Vec<Answer>,
    ) {
        let count = census.map(|census| census.phase(open.phase));
        let held = match count {
            Some(count) => !open.evidence.is_reached_by(count.reached, count.cohort),
            None => rollout.holding.as_deref() == Some(HOLDING_EVIDENCE),
        };
        if held {
            let why = Why::HeldForEvidence {
                phase: open.phase,
                finished: count.map(|count| count.reached),
                needed: count.map(|count| open.evidence.of_rounded_up(count.cohort)),
            };
            found.push(self.answer(why, None));
        }
    }

    /// The phase that would take the instance in, were they all opened over the fleet as it was counted.
    fn taken_in(&self, rollout: &Rollout, census: &Census) -> Phase {
        let place = rollout.place_of(self.instance.id);
        let stratum = self.instance.stratum();
        let mut cutoffs: Vec<Cutoff> = rollout.phase().map(|open| open.cutoffs.clone()).unwrap_or_default();
        let next = rollout.next_phase();
        for phase in [Phase::Canary, Phase::Beta].into_iter().filter(|phase| Some(*phase) >= next) {
            let share = phase_law(phase, &self.world.constitution).share;
            cutoffs = census.clone().cut(share, &cutoffs).0;
            let mine = cutoffs.iter().find(|cutoff| (cutoff.kind, cutoff.tier) == stratum);
            if mine.is_some_and(|cutoff| place <= cutoff.last) {
                return phase;
            }
        }
        Phase::Ga
    }

    /// The phase whose share holds a place this far from the first.
    fn estimated(&self, next: Phase, place: u64) -> Phase {
        let holds = |phase: &Phase| place < millionths(phase_law(*phase, &self.world.constitution).share);
        Phase::ALL.iter().copied().filter(|phase| *phase >= next).find(holds).unwrap_or(Phase::Ga)
    }

    /// How much time the open phase has left.
    fn time_left(&self, rollout: &Rollout, open: &OpenPhase) -> Span {
        let Some(duration) = open.duration else { return Span::ZERO };
        // Time is up when strictly more has passed (§7).
        let needed = duration + Span::from_millis(1);
        needed - self.world.phase_time(rollout, self.now)
    }

    /// The first instant at which this phase may open, if the clock of the one that is open runs.
    fn opens(&self, rollout: &Rollout, phase: Phase) -> Option<Timestamp> {
        if rollout.is_stopped() {
            return None;
        }
        let mut at = match rollout.phase() {
            None => self.now,
            Some(open) => self.after(self.now, self.time_left(rollout, open)),
        };
        let next = rollout.next_phase();
        let between = Phase::ALL.iter().copied().filter(|it| Some(*it) >= next && *it < phase);
        for earlier in between {
            let law = phase_law(earlier, &self.world.constitution);
            at = self.after(self.thaws(at), beyond_length(law.duration));
        }
        Some(self.thaws(at))
    }

    /// When so much of a phase's time will have passed, which stands still in freezes (RO-6).
    fn after(&self, from: Timestamp, length: Span) -> Timestamp {
        let mut freezes: Vec<_> = self.world.freezes.iter().collect();
        freezes.sort_by_key(|freeze| freeze.from);
        let (mut at, mut left) = (from, length);
        for freeze in freezes.into_iter().filter(|freeze| freeze.until > from) {
            let before = freeze.from.since(at);
            if before >= left {
                break;
            }
            left = left - before;
            at = at.max(freeze.until);
        }
        at + left
    }
}

fn beyond_length(length: Option<Span>) -> Span {
    beyond(Timestamp::from_millis(length.unwrap_or(Span::ZERO).as_millis())).since(Timestamp::from_millis(0))
}

/// How many millionths of all places lie before the instance's: SHA-256 spreads them evenly.
fn share_before(rollout: &Rollout, facts: &Facts<'_>) -> u64 {
    let place = rollout.place_of(facts.instance.id);
    let first = place.as_bytes().iter().take(4).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    (first * MILLION) >> 32
}

fn millionths(share: Share) -> u64 {
    share.of_rounded_up(MILLION)
}
