//! Why an instance has not got a release yet, when it will at the earliest, and what would have to change (RO, RL, LC).
//!
//! Never decides: [`reconcile`](crate::reconcile::reconcile) says what is on offer, and this names every rule that keeps
//! the rest away. Its answers are what `reconcile` and `advance` would do if time alone went on.

mod clocks;
mod forecast;
mod obstacles;
mod phases;
mod text;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::finding::FindingCode;
use crate::id::{InstanceId, RolloutId};
use crate::instance::{Action, Instance, Offer};
use crate::lifecycle::State;
use crate::reconcile::reconcile;
use crate::release::Class;
use crate::rollout::{Census, PauseCause, Phase};
use crate::text::words;
use crate::time::{Span, Timestamp};
use crate::version::{Version, VersionRange};
use crate::world::World;

/// What a sweep counted, by rollout. With the counts of a rollout its evidence and the phase that takes an instance in are
/// known; without, the phase is estimated by the instance's place.
pub type Counts = BTreeMap<RolloutId, Census>;

/// An instance explained: what it is offered, and why not the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Which instance.
    pub instance: InstanceId,
    /// As of when.
    pub at: Timestamp,
    /// Its state.
    pub state: State,
    /// The platform version that it runs.
    pub platform: Version,
    /// What it is offered.
    pub offer: Option<Offer>,
    /// Each release that was asked for; otherwise each that is newer than what runs, newest first, and what is on offer.
    pub releases: Vec<ReleaseExplained>,
    /// What is due, and when (CO, LC-5).
    pub deadlines: Vec<Deadline>,
    /// What is found against it.
    pub findings: Vec<FindingExplained>,
}

words! {
    /// How a release and an instance stand to each other.
    pub enum Standing ("standing") {
        /// The instance runs it.
        Runs = "runs",
        /// An attempt at it is under way.
        Installing = "installing",
        /// It is on offer.
        OnOffer = "on-offer",
        /// Something keeps it away.
        Blocked = "blocked",
    }
}

/// A release explained to one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseExplained {
    /// Which release.
    pub release: Version,
    /// Of which class, if it was published.
    pub class: Option<Class>,
    /// How they stand to each other.
    pub standing: Standing,
    /// Every rule that keeps it away; of a release that is not blocked, what holds.
    pub answers: Vec<Answer>,
    /// Before this instant it is not offered; none while something other than time must change.
    pub earliest: Option<Timestamp>,
    /// Whether it is offered at the first sweep from that instant on, if nothing else changes.
    pub by_time_alone: bool,
}

/// One answer: a rule, what it rests on, and what would have to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The rule's id.
    pub rule: String,
    /// The facts.
    pub why: Why,
    /// The same in a sentence.
    pub says: String,
    /// What would have to change, in words.
    pub would_change: String,
    /// The first instant at which it may no longer hold, by time; none: something else must change.
    pub lifts: Option<Timestamp>,
}

words! {
    /// What a rollout may be restricted by (RO-6).
    pub enum Dimension ("dimension") {
        /// The instance's kind.
        Kind = "kind",
        /// Its tier.
        Tier = "tier",
        /// Its provider.
        Provider = "provider",
        /// Its labels.
        Label = "label",
    }
}

/// What an answer rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Why {
    /// The instance runs it.
    Runs,
    /// It is on offer. When it is installed within the deadline is the Runtime's to say, by its deployment window.
    OnOffer {
        /// To do what.
        action: Action,
        /// Since when.
        since: Timestamp,
        /// When lacking it becomes a finding.
        deadline: Option<Timestamp>,
    },
    /// An attempt at it is under way.
    Installing {
        /// Since when.
        begun: Timestamp,
        /// The last instant at which it has not stalled.
        stalls: Timestamp,
    },
    /// No release of this version was published.
    NotPublished,
    /// The release was withdrawn.
    Withdrawn,
    /// It is older than what runs.
    Older {
        /// What runs.
        running: Version,
    },
    /// It lies below the security floor of its line.
    BelowFloor,
    /// It was released without a rollout.
    NoRollout,
    /// The instance is revoked.
    Revoked,
    /// The instance is registered and not deployed yet.
    NotDeployed,
    /// The Founder suspended the instance.
    Held,
    /// The instance was restored and has not shaken hands afresh.
    HandshakeRequired,
    /// The instance is suspended, and this release is not its remediation.
    Suspended,
    /// An attempt at another release is under way.
    AttemptUnderWay {
        /// Which release.
        release: Version,
        /// The last instant at which it has not stalled.
        stalls: Timestamp,
    },
    /// The red switch is on.
    RedSwitch,
    /// The rollout is paused.
    Paused {
        /// By whom or by what.
        by: PauseCause,
    },
    /// A freeze holds.
    Frozen {
        /// Its last instant.
        until: Timestamp,
    },
    /// The rollout was halted.
    Halted,
    /// The rollout was aborted.
    Aborted,
    /// A newer release of the line took its place.
    Superseded {
        /// Which, the newest if there are several.
        by: Option<Version>,
    },
    /// A security rollout of the line goes first.
    QueuedBehind {
        /// Of which release.
        release: Version,
    },
    /// The first phase opens at the next sweep.
    NotOpened,
    /// A phase waits for an operator's approval.
    AwaitingApproval {
        /// Which.
        phase: Phase,
    },
    /// The phase's time is up, and too few have finished.
    HeldForEvidence {
        /// Which phase.
        phase: Phase,
        /// Instances with an attempt finished, where they were counted.
        finished: Option<u64>,
        /// Instances that must have, where they were counted.
        needed: Option<u64>,
    },
    /// The instance is outside of the phases opened so far.
    OutsidePhase {
        /// The phase now open.
        open: Option<Phase>,
        /// Where its place lies in the order of the rollout, in millionths from the first.
        place: u32,
        /// The phase that takes it in.
        taken_in: Phase,
        /// Whether that was counted; otherwise it is estimated from the place.
        counted: bool,
        /// Before this instant that phase does not open; of an estimate, the next phase.
        opens: Option<Timestamp>,
    },
    /// The rollout is restricted to others.
    Restricted {
        /// In which respect.
        dimension: Dimension,
        /// To whom.
        only: Vec<String>,
    },
    /// Another release must come first.
    SkipsMajor {
        /// The first release of the line that lies between.
        skipped: Version,
    },
    /// It may not be applied over what runs.
    NotFrom {
        /// What runs.
        running: Version,
        /// What it may be applied over; none: it is of another line and no major.
        from: Option<Vec<Version>>,
    },
    /// It does not run on this runtime.
    RuntimeDoesNotFit {
        /// The instance's runtime, or the one that the release brings.
        runtime: Version,
        /// What it runs on; none: the matrix does not know its line.
        range: Option<VersionRange>,
    },
    /// It failed here.
    FailedHere {
        /// How often.
        times: u32,
        /// When last.
        at: Timestamp,
        /// The last instant at which it is not offered again.
        until: Timestamp,
    },
    /// It was left by the owner's wish.
    Left {
        /// When it is offered again.
        again: Timestamp,
    },
    /// Another offer comes before it.
    Overtaken {
        /// Which release.
        by: Version,
        /// To do what.
        action: Action,
        /// Of which class that release is.
        class: Option<Class>,
        /// Whether the owner wished it.
        wished: bool,
    },
}

/// Something that is due, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// By which rule.
    pub rule: String,
    /// What runs out.
    pub what: String,
    /// The last instant at which it is kept, if its clock runs.
    pub ends: Option<Timestamp>,
    /// How much of it is left.
    pub left: Span,
    /// What follows.
    pub then: String,
}

/// A finding, what clears it, and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingExplained {
    /// Which.
    pub code: FindingCode,
    /// Its rule.
    pub rule: String,
    /// Since when.
    pub since: Timestamp,
    /// What clears it.
    pub cleared_by: String,
    /// The last instant of the Founder's override, if one silences it (FO-3).
    pub silenced_until: Option<Timestamp>,
}

/// What the analysis rests on: the instance as `reconcile` leaves it, and the world.
struct Facts<'a> {
    instance: &'a Instance,
    world: &'a World,
    counts: &'a Counts,
    now: Timestamp,
}

/// Explains every release that is newer than what the instance runs, and what it is offered.
#[must_use]
pub fn explain(instance: &Instance, world: &World, now: Timestamp) -> Explanation {
    explain_counted(instance, world, &Counts::new(), None, now)
}

/// Explains one release.
#[must_use]
pub fn explain_release(instance: &Instance, world: &World, release: Version, now: Timestamp) -> Explanation {
    explain_counted(instance, world, &Counts::new(), Some(release), now)
}

/// The same with what a sweep counted: one release, or all that are newer.
#[must_use]
pub fn explain_counted(
    instance: &Instance,
    world: &World,
    counts: &Counts,
    release: Option<Version>,
    now: Timestamp,
) -> Explanation {
    let mut settled = instance.clone();
    for event in reconcile(instance, world, now) {
        settled.apply(&event, now);
    }
    let facts = Facts { instance: &settled, world, counts, now };
    let asked = release.map_or_else(|| concerned(&settled, world), |release| alloc::vec![release]);
    Explanation {
        instance: settled.id,
        at: now,
        state: settled.state,
        platform: settled.running.platform,
        offer: settled.offer,
        releases: asked.into_iter().map(|release| facts.release(release)).collect(),
        deadlines: clocks::deadlines(&facts),
        findings: clocks::findings(&facts),
    }
}

/// The rollouts whose counts make an explanation exact: those open to which the instance does not belong yet.
#[must_use]
pub fn counts_wanted(instance: &Instance, world: &World, release: Option<Version>) -> Vec<RolloutId> {
    let outside = world.rollouts.iter().filter(|rollout| {
        rollout.is_open()
            && rollout.release > instance.running.platform
            && release.is_none_or(|asked| asked == rollout.release)
            && rollout.phase_of(instance).is_none()
    });
    outside.map(|rollout| rollout.id).collect()
}

/// Every rule that keeps the release from being on offer to the instance now; none exactly when it is on offer, being
/// installed, or runs already.
#[must_use]
pub fn obstacles(instance: &Instance, world: &World, release: Version, now: Timestamp) -> Vec<Answer> {
    let mut settled = instance.clone();
    for event in reconcile(instance, world, now) {
        settled.apply(&event, now);
    }
    let counts = Counts::new();
    Facts { instance: &settled, world, counts: &counts, now }.obstacles(release)
}

/// Newer releases, the newest first, and what is on offer or being installed.
fn concerned(instance: &Instance, world: &World) -> Vec<Version> {
    let mut found: Vec<Version> = world
        .releases
        .range(instance.running.platform..)
        .filter(|(version, published)| **version > instance.running.platform && !published.withdrawn)
        .map(|(version, _)| *version)
        .collect();
    let offered = instance.offer.map(|offer| offer.release);
    let attempted = instance.attempt.map(|attempt| attempt.release);
    for release in [offered, attempted].into_iter().flatten() {
        if !found.contains(&release) {
            found.push(release);
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
}

impl Facts<'_> {
    fn release(&self, release: Version) -> ReleaseExplained {
        let class = self.world.releases.get(&release).map(|published| published.release.class);
        let explained = |standing, answers| ReleaseExplained {
            release,
            class,
            standing,
            answers,
            earliest: None,
            by_time_alone: false,
        };
        if let Some(attempt) = self.instance.attempt.filter(|attempt| attempt.release == release) {
            let stalls = attempt.begun + self.world.constitution.upgrade_stall_after;
            let why = Why::Installing { begun: attempt.begun, stalls };
            return explained(Standing::Installing, alloc::vec![self.answer(why, None)]);
        }
        if let Some(Offer { action, since, deadline, .. }) =
            self.instance.offer.filter(|offer| offer.release == release)
        {
            let why = Why::OnOffer { action, since, deadline };
            return explained(Standing::OnOffer, alloc::vec![self.answer(why, None)]);
        }
        if self.instance.running.platform == release {
            return explained(Standing::Runs, alloc::vec![self.answer(Why::Runs, None)]);
        }
        let answers = self.obstacles(release);
        let earliest = self.earliest(release, &answers);
        let by_time_alone = earliest.is_some_and(|at| self.is_offered_at(release, at));
        ReleaseExplained { earliest, by_time_alone, ..explained(Standing::Blocked, answers) }
    }

    fn answer(&self, why: Why, lifts: Option<Timestamp>) -> Answer {
        let rule = String::from(why.rule());
        let (says, would_change) = (why.says(), why.would_change());
        Answer { rule, why, says, would_change, lifts }
    }
}
