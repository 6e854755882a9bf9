//! Every rule that keeps a release from an instance: the conditions of `reconcile`'s offers, each with its facts.
//!
//! Never stops at the first: whoever mends one thing wants to know of the next.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Answer, Dimension, Facts, Why};
use crate::finding::FindingCode;
use crate::instance::{Action, Due, Failure};
use crate::lifecycle::State;
use crate::reconcile::retry_wait;
use crate::release::{Class, Release, StepError, check_step};
use crate::rollout::{Phase, Rollout, RolloutStatus};
use crate::time::{Span, Timestamp};
use crate::version::Version;

/// The instant behind one that is still inside a window: windows are closed (§7).
pub(super) fn beyond(last: Timestamp) -> Timestamp {
    last + Span::from_millis(1)
}

impl Facts<'_> {
    /// Every obstacle to an offer of the release now.
    pub(super) fn obstacles(&self, release: Version) -> Vec<Answer> {
        let here = self.instance;
        let none = here.running.platform == release
            || here.offer.is_some_and(|offer| offer.release == release)
            || here.attempt.is_some_and(|attempt| attempt.release == release);
        if none {
            return Vec::new();
        }
        let remediation = self.remediates(release);
        let mut found = self.of_the_instance(remediation.is_some() || self.is_directed_back(release));
        if here.state == State::Revoked {
            return found;
        }
        match self.world.releases.get(&release) {
            None => found.push(self.answer(Why::NotPublished, None)),
            Some(published) if published.withdrawn => found.push(self.answer(Why::Withdrawn, None)),
            Some(_) if release < here.running.platform => self.of_the_way_back(release, &mut found),
            Some(published) => {
                match remediation.map(|due| self.world.rollout(due.rollout)) {
                    None => self.of_the_rollout(release, &mut found),
                    Some(rollout) => self.of_the_remediation(rollout, &mut found),
                }
                self.of_the_step(&published.release, &mut found);
                let rollout = self.world.rollout_of(release);
                let class = rollout.map_or(published.release.class, |rollout| rollout.class);
                self.of_the_past(release, rollout, class, &mut found);
            }
        }
        self.of_other_offers(release, &mut found);
        found
    }

    /// What the suspended instance owes, if it is this release (LC-19).
    fn remediates(&self, release: Version) -> Option<Due> {
        let lacking = [FindingCode::VersionDrift, FindingCode::SecurityPatchOverdue];
        let lacks = lacking.iter().any(|code| self.instance.finding(*code).is_some());
        let due = self.instance.due.filter(|due| due.release == release)?;
        (lacks && self.instance.state == State::Suspended).then_some(due)
    }

    /// What lies in the instance's own standing.
    fn of_the_instance(&self, though_suspended: bool) -> Vec<Answer> {
        let here = self.instance;
        let mut found = Vec::new();
        let mut add = |why, lifts| found.push(self.answer(why, lifts));
        match here.state {
            State::Revoked => add(Why::Revoked, None),
            _ if here.handshake_required => add(Why::HandshakeRequired, None),
            State::Suspended if here.held && !though_suspended => add(Why::Held, None),
            State::Registered => add(Why::NotDeployed, None),
            State::Suspended if !though_suspended => add(Why::Suspended, None),
            _ => {}
        }
        if let Some(attempt) = here.attempt {
            let stalls = attempt.begun + self.world.constitution.upgrade_stall_after;
            add(Why::AttemptUnderWay { release: attempt.release, stalls }, Some(beyond(stalls)));
        }
        found
    }

    /// What lies in the rollout: its status, who stopped it, whom it is for.
    fn of_the_rollout(&self, release: Version, found: &mut Vec<Answer>) {
        let Some(rollout) = self.world.rollout_of(release) else {
            found.push(self.answer(Why::NoRollout, None));
            return;
        };
        self.of_the_status(rollout, found);
        self.of_the_brakes(rollout, found);
        let staged = rollout.is_open() && rollout.class != Class::Security;
        if staged && rollout.phase_of(self.instance).is_none() {
            self.of_the_phase(rollout, found);
        }
        self.of_the_restriction(rollout, found);
    }

    fn of_the_status(&self, rollout: &Rollout, found: &mut Vec<Answer>) {
        let why = match rollout.status {
            RolloutStatus::Queued => match self.goes_first(rollout) {
                Some(release) => Why::QueuedBehind { release },
                None if rollout.class != Class::Security && rollout.awaits_approval(Phase::Canary) => return,
                None => Why::NotOpened,
            },
            RolloutStatus::Running | RolloutStatus::Done => return,
            RolloutStatus::Halted => Why::Halted,
            RolloutStatus::Aborted => Why::Aborted,
            RolloutStatus::Withdrawn => Why::Withdrawn,
            RolloutStatus::Superseded => Why::Superseded { by: self.newest_of_the_line(rollout) },
        };
        let lifts = (why == Why::NotOpened).then_some(self.now);
        found.push(self.answer(why, lifts));
    }

    /// The security release whose rollout this one waits for (RO-8).
    fn goes_first(&self, rollout: &Rollout) -> Option<Version> {
        if rollout.class == Class::Security || !self.world.secures(rollout) {
            return None;
        }
        let other = self.world.rollouts.iter().find(|other| {
            other.class == Class::Security
                && other.is_open()
                && other.release.line() == rollout.release.line()
        });
        other.map(|other| other.release)
    }

    fn newest_of_the_line(&self, rollout: &Rollout) -> Option<Version> {
        let line = rollout.release.line();
        let newer = self.world.rollouts.iter().map(|other| other.release);
        newer.filter(|other| other.line() == line && *other > rollout.release).max()
    }

    /// What stops every offer of the rollout for a time.
    fn of_the_brakes(&self, rollout: &Rollout, found: &mut Vec<Answer>) {
        if let Some(by) = rollout.paused {
            found.push(self.answer(Why::Paused { by }, None));
        }
        if self.world.red_switch {
            found.push(self.answer(Why::RedSwitch, None));
        }
        if rollout.class != Class::Security && self.world.is_frozen(self.now) {
            let thaws = self.thaws(self.now);
            let until = thaws - Span::from_millis(1);
            found.push(self.answer(Why::Frozen { until }, Some(thaws)));
        }
    }

    /// The first instant from this one on that no freeze holds.
    pub(super) fn thaws(&self, from: Timestamp) -> Timestamp {
        let mut at = from;
        for _ in 0..=self.world.freezes.len() {
            let holds = |freeze: &&crate::world::Freeze| freeze.from <= at && at <= freeze.until;
            match self.world.freezes.iter().find(holds) {
                Some(freeze) => at = beyond(freeze.until),
                None => break,
            }
        }
        at
    }

    fn of_the_restriction(&self, rollout: &Rollout, found: &mut Vec<Answer>) {
        fn words<T: ToString>(items: &[T]) -> Vec<String> {
            items.iter().map(ToString::to_string).collect()
        }
        let (here, only) = (self.instance, &rollout.restriction);
        let provided = here.provider.as_ref().is_some_and(|provider| only.provider.contains(provider));
        let labelled = here.labels.iter().any(|label| only.label.contains(label));
        let respects = [
            (Dimension::Kind, words(&only.kind), only.kind.contains(&here.kind)),
            (Dimension::Tier, words(&only.tier), only.tier.contains(&here.subscription.tier)),
            (Dimension::Provider, words(&only.provider), provided),
            (Dimension::Label, words(&only.label), labelled),
        ];
        for (dimension, only, inside) in respects {
            if !only.is_empty() && !inside {
                found.push(self.answer(Why::Restricted { dimension, only }, None));
            }
        }
    }

    /// What a suspended instance's remediation waits for (LC-19).
    fn of_the_remediation(&self, rollout: Option<&Rollout>, found: &mut Vec<Answer>) {
        let Some(rollout) = rollout else {
            found.push(self.answer(Why::NoRollout, None));
            return;
        };
        if !rollout.stands() && rollout.paused.is_none() {
            self.of_the_status(rollout, found);
        }
        if let Some(by) = rollout.paused {
            found.push(self.answer(Why::Paused { by }, None));
        }
        if self.world.red_switch {
            found.push(self.answer(Why::RedSwitch, None));
        }
    }

    /// What lies in the upgrade graph and the runtime matrix (RL-5, RL-6).
    fn of_the_step(&self, release: &Release, found: &mut Vec<Answer>) {
        let running = &self.instance.running;
        let known = self.world.releases.values().filter(|published| !published.withdrawn);
        let known = known.map(|published| published.release.version);
        match check_step(running.platform, release, known) {
            Ok(()) => {}
            Err(StepError::NotLater) => {
                found.push(self.answer(Why::Older { running: running.platform }, None));
            }
            Err(StepError::SkipsMajor(skipped)) => {
                found.push(self.answer(Why::SkipsMajor { skipped }, None));
            }
            Err(StepError::NotFrom) => {
                let from = release.from.clone();
                found.push(self.answer(Why::NotFrom { running: running.platform, from }, None));
            }
        }
        if self.world.is_below_floor(release.version) {
            found.push(self.answer(Why::BelowFloor, None));
        }
        if !release.fits_runtime(running.runtime, &self.world.matrix) {
            let runtime = release.ships_runtime.unwrap_or(running.runtime);
            let matrix = self.world.matrix.runtimes(release.version.line());
            let range = match matrix {
                Some(range) if range.contains(runtime) => Some(release.runtime),
                other => other,
            };
            found.push(self.answer(Why::RuntimeDoesNotFit { runtime, range }, None));
        }
    }

    /// What happened here before: it failed, or was left by the owner's wish (RO-9).
    fn of_the_past(
        &self,
        release: Version,
        rollout: Option<&Rollout>,
        class: Class,
        found: &mut Vec<Answer>,
    ) {
        let left = self.instance.left.filter(|left| left.release == release && self.now < left.again);
        if let Some(left) = left {
            found.push(self.answer(Why::Left { again: left.again }, Some(left.again)));
        }
        let failures = self.instance.failures.iter();
        let counts = |at| rollout.is_none_or(|rollout| rollout.counts(at));
        let counted = |failure: &&Failure| !failure.retry && counts(failure.at);
        for failure in failures.filter(|failure| failure.release == release).filter(counted) {
            let until = failure.at + retry_wait(failure, class, &self.world.constitution);
            if self.now <= until {
                let why = Why::FailedHere { times: failure.times, at: failure.at, until };
                found.push(self.answer(why, Some(beyond(until))));
            }
        }
    }

    /// Whether the release is the way back from one whose rollout was halted (RO-3).
    fn is_directed_back(&self, release: Version) -> bool {
        let here = self.instance;
        let rollout = self.world.rollout_of(here.running.platform);
        rollout.is_some_and(|rollout| rollout.status == RolloutStatus::Halted)
            && release < here.running.platform
            && here.previous() == Some(release)
    }

    /// What keeps an earlier release from being offered as the way back (RO-3, RL-2).
    fn of_the_way_back(&self, release: Version, found: &mut Vec<Answer>) {
        let here = self.instance;
        let running = here.running.platform;
        let directed = self.is_directed_back(release);
        let wished = here.wish.is_some_and(|wish| wish.from == running && wish.to == release);
        if (directed || wished) && self.world.is_below_floor(release) {
            found.push(self.answer(Why::BelowFloor, None));
        }
        if directed {
            self.of_the_past(release, self.world.rollout_of(running), Class::Security, found);
        } else if wished {
            let left = here.installation().and_then(|made| self.world.rollout(made.rollout));
            self.of_the_past(release, left, left.map_or(Class::Minor, |left| left.class), found);
        } else {
            found.push(self.answer(Why::Older { running }, None));
        }
    }

    /// What comes before the release (RO-3, RO-8, RL-2).
    fn of_other_offers(&self, release: Version, found: &mut Vec<Answer>) {
        let Some(offer) = self.instance.offer.filter(|_| self.instance.attempt.is_none()) else { return };
        let newer = offer.action == Action::Update && offer.release > release;
        if !found.is_empty() && !newer {
            return;
        }
        let rollout = self.world.rollout(offer.rollout);
        let why = Why::Overtaken {
            by: offer.release,
            action: offer.action,
            class: rollout.filter(|_| offer.action == Action::Update).map(|rollout| rollout.class),
            wished: self.instance.wish.is_some_and(|wish| wish.to == offer.release),
        };
        found.push(self.answer(why, None));
    }
}
