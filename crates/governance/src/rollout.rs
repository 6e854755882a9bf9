//! Rollouts: their phases, who is inside, and when they move on, hold or halt (§X, RO-1…RO-6).
//!
//! `advance` never reads an instance: the census it is given is all it knows.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::constitution::{Constitution, Share};
use crate::event::WorldEvent;
use crate::finding::Escalation;
use crate::id::{Digest, InstanceId, RolloutId};
use crate::instance::{Action, Instance, Outcome};
use crate::release::{Class, Restriction};
use crate::text::words;
use crate::tier::{Kind, Tier};
use crate::time::{Span, Timestamp};
use crate::version::Version;
use crate::world::World;

words! {
    /// The phases of a rollout, in order (RO-1).
    pub enum Phase ("phase") {
        /// The first few.
        Canary = "canary",
        /// A quarter.
        Beta = "beta",
        /// General availability: everyone eligible.
        Ga = "ga",
    }
}

words! {
    /// Where a rollout stands.
    pub enum RolloutStatus ("rollout status") {
        /// Its first phase opens at the next sweep.
        Queued = "queued",
        /// A phase is open.
        Running = "running",
        /// Everyone had it; whoever becomes eligible is offered it at once.
        Done = "done",
        /// Too many failed: offers withdrawn, whoever installed it goes back (RO-3).
        Halted = "halted",
        /// Ended where it stood, by an operator (RO-6).
        Aborted = "aborted",
        /// The release was withdrawn.
        Withdrawn = "withdrawn",
        /// A newer release of the line took its place (RO-8).
        Superseded = "superseded",
    }
}

words! {
    /// Who stopped the offers, and so who may let them go on (RO-5, RO-6).
    pub enum PauseCause ("cause of pause") {
        /// An operator.
        Operator = "operator",
        /// Too many failures of a security release: only the Founder resumes (RO-5).
        FailureBound = "failure-bound",
    }
}

/// The last hash of a stratum that is inside a phase (RO-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cutoff {
    /// Kind of the stratum.
    pub kind: Kind,
    /// Tier of the stratum.
    pub tier: Tier,
    /// The last hash inside.
    pub last: Digest,
}

/// A phase that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenPhase {
    /// Which.
    pub phase: Phase,
    /// When it opened.
    pub opened: Timestamp,
    /// Instances eligible then.
    pub eligible: u64,
    /// Instances inside then, those of earlier phases included.
    pub cohort: u64,
    /// Per stratum, the last hash inside; empty in general availability, which holds everyone.
    pub cutoffs: Vec<Cutoff>,
    /// How long it runs; general availability has no length.
    pub duration: Option<Span>,
    /// The failure rate that it may not exceed.
    pub failure_bound: Share,
    /// The share of its cohort that must have finished.
    pub evidence: Share,
}

/// A time in which a rollout stood still (RO-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// From when.
    pub from: Timestamp,
    /// Until when; none while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Why a phase whose time is up is not promoted (RO-4).
pub const HOLDING_EVIDENCE: &str = "evidence";
/// A phase waits for an operator's approval (RO-6).
pub const HOLDING_APPROVAL: &str = "approval";

/// A rollout of one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Its id.
    pub id: RolloutId,
    /// What it brings.
    pub release: Version,
    /// Of which class.
    pub class: Class,
    /// Whom it is for.
    pub restriction: Restriction,
    /// Phases that wait for an approval.
    pub approval: Vec<Phase>,
    /// Approvals given.
    pub approved: Vec<Phase>,
    /// When it was made.
    pub opened: Timestamp,
    /// Where it stands.
    pub status: RolloutStatus,
    /// The phases opened so far, in order.
    pub phases: Vec<OpenPhase>,
    /// When its time stood still since the current phase opened: pauses and the red switch, in order.
    pub stops: Vec<Stop>,
    /// Who paused it, if it is paused.
    pub paused: Option<PauseCause>,
    /// Why it is not promoted though its time is up.
    pub holding: Option<String>,
    /// Attempts finished before are not counted any more (RO-5).
    pub counting_since: Timestamp,
    /// What lies before the Founder about it.
    pub escalations: Vec<Escalation>,
}

/// The stratum of an instance (RO-2).
pub type Stratum = (Kind, Tier);

impl Rollout {
    /// The phase now open, while one is.
    #[must_use]
    pub fn phase(&self) -> Option<&OpenPhase> {
        self.phases.last()
    }

    /// Where an instance stands in the order of the rollout (RO-2).
    #[must_use]
    pub fn place_of(&self, instance: InstanceId) -> Digest {
        Digest::of_parts(&[self.id.as_bytes(), instance.as_bytes()])
    }

    /// The first phase that has this instance inside, if one has.
    #[must_use]
    pub fn phase_of(&self, instance: &Instance) -> Option<Phase> {
        match self.phase_number(instance.id, instance.stratum()).and_then(|number| self.phases.get(number)) {
            Some(open) => Some(open.phase),
            None => (self.status == RolloutStatus::Done).then_some(Phase::Ga),
        }
    }

    /// Whether an instance is let in by a phase behind the first so many, and by none of those.
    #[must_use]
    pub fn lets_in(&self, id: InstanceId, stratum: Stratum, behind: usize) -> bool {
        self.phase_number(id, stratum).is_some_and(|number| number >= behind)
    }

    fn phase_number(&self, id: InstanceId, stratum: Stratum) -> Option<usize> {
        let place = self.place_of(id);
        let inside = |cutoff: &Cutoff| (cutoff.kind, cutoff.tier) == stratum && place <= cutoff.last;
        self.phases.iter().position(|open| open.phase == Phase::Ga || open.cutoffs.iter().any(inside))
    }

    /// Whether its time stands still now, freezes apart.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stops.last().is_some_and(|stop| stop.until.is_none())
    }

    /// Its time stands still from now on, or runs again: for whatever reasons there are, once (RO-6).
    pub(crate) fn stand_still(&mut self, still: bool, at: Timestamp) {
        match self.stops.last_mut().filter(|stop| stop.until.is_none()) {
            Some(stop) if !still => stop.until = Some(at),
            None if still => self.stops.push(Stop { from: at, until: None }),
            _ => {}
        }
    }

    /// Whether what ended at this instant still counts: the Founder's `resume` begins the count anew (RO-5).
    #[must_use]
    pub fn counts(&self, ended: Timestamp) -> bool {
        self.counting_since == self.opened || ended > self.counting_since
    }

    /// Whether it makes new offers now.
    #[must_use]
    pub fn adds(&self) -> bool {
        matches!(self.status, RolloutStatus::Running | RolloutStatus::Done) && self.paused.is_none()
    }

    /// Whether offers that stand may go on standing (RO-8: a superseded rollout only adds nobody).
    #[must_use]
    pub fn stands(&self) -> bool {
        self.adds() || (self.status == RolloutStatus::Superseded && self.paused.is_none())
    }

    /// Whether this phase waits for an approval that was not given (RO-6).
    #[must_use]
    pub fn awaits_approval(&self, phase: Phase) -> bool {
        self.approval.contains(&phase) && !self.approved.contains(&phase)
    }

    /// The word that people read for where it stands.
    #[must_use]
    pub fn shown(&self) -> &'static str {
        match self.status {
            // Whatever ends a rollout ends its pause.
            _ if self.paused.is_some() => "paused",
            RolloutStatus::Queued | RolloutStatus::Running
                if self.holding.as_deref() == Some(HOLDING_APPROVAL) =>
            {
                "awaiting-approval"
            }
            RolloutStatus::Running => self.phase().map_or("queued", |open| open.phase.as_str()),
            other => other.as_str(),
        }
    }
}

/// What a sweep counted for one rollout: the counts, and the order of all that are eligible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Per stratum, the places in the order of all eligible instances.
    places: BTreeMap<Stratum, Vec<Digest>>,
    counts: Counts,
}

/// The counts of a census: sums over instances, so that whoever knows which instance changed can keep them up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// The counts of RO-3 and RO-4, in the order of the phases.
    phases: [PhaseCount; Phase::ALL.len()],
    /// Instances, eligible or not, that run something else than the release.
    lacking: u64,
    /// Eligible instances.
    eligible: u64,
}

/// The counts of one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseCount {
    /// Instances the phase added that are still eligible and had, or have, something to install.
    pub cohort: u64,
    /// Of those, the ones with an attempt finished.
    pub reached: u64,
    /// Attempts finished in the phase.
    pub finished: u64,
    /// Of those, failed.
    pub failed: u64,
    /// Instances of which one failed (RO-3).
    pub failing: u64,
}

impl PhaseCount {
    fn each(self, other: Self, fold: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            cohort: fold(self.cohort, other.cohort),
            reached: fold(self.reached, other.reached),
            finished: fold(self.finished, other.finished),
            failed: fold(self.failed, other.failed),
            failing: fold(self.failing, other.failing),
        }
    }
}

impl Counts {
    /// What one instance counts for.
    #[must_use]
    pub fn of(rollout: &Rollout, world: &World, instance: &Instance) -> Self {
        let mut counts = Self::default();
        let mut finished = 0;
        for attempt in instance.attempts.iter().filter(|attempt| {
            attempt.rollout == rollout.id
                && attempt.action == Action::Update
                && rollout.counts(attempt.finished)
        }) {
            if let Some(count) = counts.phase_mut(attempt.phase) {
                count.finished += 1;
                count.failed += u64::from(attempt.outcome != Outcome::Succeeded);
                count.failing = u64::from(count.failed > 0);
            }
            finished += 1;
        }
        let runs = instance.running.platform == rollout.release;
        counts.lacking = u64::from(!runs);
        if world.is_eligible(rollout, instance) {
            counts.eligible = 1;
            // Whoever runs the release without an attempt had nothing to install and proves nothing.
            if (finished > 0 || !runs)
                && let Some(count) = rollout.phase_of(instance).and_then(|phase| counts.phase_mut(phase))
            {
                count.cohort = 1;
                count.reached = u64::from(finished > 0);
            }
        }
        counts
    }

    /// With what another counted.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    /// Without what another counted.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }

    /// What so many count for that count for the same.
    #[must_use]
    pub fn times(self, many: u64) -> Self {
        self.each(Self::default(), |count, _| count.saturating_mul(many))
    }

    /// All eligible instances.
    #[must_use]
    pub const fn eligible(&self) -> u64 {
        self.eligible
    }

    /// The counts of a phase.
    #[must_use]
    pub fn phase(&self, phase: Phase) -> PhaseCount {
        self.phases.get(phase as usize).copied().unwrap_or_default()
    }

    fn phase_mut(&mut self, phase: Phase) -> Option<&mut PhaseCount> {
        self.phases.get_mut(phase as usize)
    }

    fn each(mut self, other: Self, fold: impl Fn(u64, u64) -> u64) -> Self {
        for (count, other) in self.phases.iter_mut().zip(other.phases) {
            *count = count.each(other, &fold);
        }
        self.lacking = fold(self.lacking, other.lacking);
        self.eligible = fold(self.eligible, other.eligible);
        self
    }
}

impl Census {
    /// Counts one instance.
    pub fn add(&mut self, rollout: &Rollout, world: &World, instance: &Instance) {
        let counts = Counts::of(rollout, world, instance);
        if counts.eligible > 0 {
            self.enter_as(rollout, instance.stratum(), instance.id);
        }
        self.counts = self.counts.with(counts);
    }

    /// A census whose sums are known and whose order is not yet.
    #[must_use]
    pub fn of_sums(counts: Counts) -> Self {
        Self { counts, ..Self::default() }
    }

    /// Enters the place of an instance that the sums have already, if it is eligible. Its attempts do not matter.
    pub fn enter(&mut self, rollout: &Rollout, world: &World, instance: &Instance) {
        if world.is_eligible(rollout, instance) {
            self.enter_as(rollout, instance.stratum(), instance.id);
        }
    }

    /// As [`enter`](Self::enter), of an instance that is known to be eligible.
    pub fn enter_as(&mut self, rollout: &Rollout, stratum: Stratum, id: InstanceId) {
        self.places.entry(stratum).or_default().push(rollout.place_of(id));
    }

    /// Whether everybody who is eligible by the sums has a place.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.places.values().map(|places| places.len() as u64).sum::<u64>() == self.counts.eligible
    }

    /// Takes in what was counted elsewhere, of other instances.
    pub fn merge(&mut self, other: Self) {
        for (stratum, mut places) in other.places {
            self.places.entry(stratum).or_default().append(&mut places);
        }
        self.counts = self.counts.with(other.counts);
    }

    /// Its sums.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// All eligible instances.
    #[must_use]
    pub const fn eligible(&self) -> u64 {
        self.counts.eligible
    }

    /// The counts of a phase.
    #[must_use]
    pub fn phase(&self, phase: Phase) -> PhaseCount {
        self.counts.phase(phase)
    }

    /// The cut-offs of a phase with this share, and how many they put inside (RO-1, RO-2).
    pub(crate) fn cut(mut self, share: Share, before: &[Cutoff]) -> (Vec<Cutoff>, u64) {
        let eligible = self.eligible();
        let places = share.of_rounded_up(eligible).max(1).min(eligible);
        let mut quotas: Vec<(Stratum, u64, u64)> = self
            .places
            .iter()
            .map(|(stratum, all)| {
                let exact = places * all.len() as u64;
                (*stratum, exact / eligible.max(1), exact % eligible.max(1))
            })
            .collect();
        let given: u64 = quotas.iter().map(|quota| quota.1).sum();
        // Largest remainder first; ties by kind, then tier name.
        quotas.sort_by(|a, b| {
            let names = |s: &Stratum| (s.0.as_str(), s.1.as_str());
            b.2.cmp(&a.2).then_with(|| names(&a.0).cmp(&names(&b.0)))
        });
        for quota in quotas.iter_mut().take(usize::try_from(places - given).unwrap_or(usize::MAX)) {
            quota.1 += 1;
        }
        let mut cutoffs = Vec::new();
        let mut inside = 0;
        quotas.sort_by_key(|quota| quota.0);
        for ((kind, tier), quota, _) in quotas {
            let Some(order) = self.places.get_mut(&(kind, tier)) else { continue };
            order.sort_unstable();
            let reached =
                usize::try_from(quota).ok().and_then(|quota| order.get(quota.checked_sub(1)?)).copied();
            let earlier = before.iter().find(|cutoff| (cutoff.kind, cutoff.tier) == (kind, tier));
            // A cut-off never falls.
            if let Some(last) = reached.max(earlier.map(|cutoff| cutoff.last)) {
                inside += order.iter().filter(|place| **place <= last).count() as u64;
                cutoffs.push(Cutoff { kind, tier, last });
            }
        }
        for cutoff in before {
            if !cutoffs.iter().any(|new| (new.kind, new.tier) == (cutoff.kind, cutoff.tier)) {
                cutoffs.push(*cutoff);
            }
        }
        (cutoffs, inside)
    }
}

/// What the law in force says of a phase that opens now (RO-1, RO-3); it keeps that (FO-5).
pub(crate) struct PhaseLaw {
    pub(crate) share: Share,
    pub(crate) duration: Option<Span>,
    pub(crate) failure_bound: Share,
}

pub(crate) fn phase_law(phase: Phase, law: &Constitution) -> PhaseLaw {
    match phase {
        Phase::Canary => PhaseLaw {
            share: law.rollout_canary_share,
            duration: Some(law.rollout_canary_duration),
            failure_bound: law.rollout_canary_failure_bound,
        },
        Phase::Beta => PhaseLaw {
            share: law.rollout_beta_share,
            duration: Some(law.rollout_beta_duration),
            failure_bound: law.rollout_beta_failure_bound,
        },
        Phase::Ga => PhaseLaw {
            share: Share::from_millionths(1_000_000),
            duration: None,
            failure_bound: law.rollout_ga_failure_bound,
        },
    }
}

/// What is due for a rollout at a sweep: a phase opened, held, halted, paused or done (RO-1…RO-5).
///
/// Idempotent: with the events applied, the same census and instant give none.
#[must_use]
pub fn advance(rollout: &Rollout, census: Census, world: &World, now: Timestamp) -> Vec<WorldEvent> {
    if rollout.paused.is_some() || world.red_switch {
        // Its time stands still, and what is known of its failures does not wait (RO-3). A security release is paused already.
        let judged = matches!(rollout.status, RolloutStatus::Running | RolloutStatus::Done);
        let halts = judged && rollout.class != Class::Security;
        return if halts { bound_broken(rollout, &census, world) } else { Vec::new() };
    }
    match (rollout.status, rollout.phase()) {
        // A security rollout of the line goes first (RO-8).
        (RolloutStatus::Queued, _) if rollout.class != Class::Security && world.secures(rollout) => {
            Vec::new()
        }
        // The first release ever, and nobody who lacks it: there is no change to stage.
        (RolloutStatus::Queued, _)
            if world.releases.len() == 1 && census.counts.lacking == 0 && rollout.approval.is_empty() =>
        {
            alloc::vec![WorldEvent::RolloutDone { rollout: rollout.id }]
        }
        (RolloutStatus::Queued, _) if rollout.class == Class::Security => {
            open(rollout, Phase::Ga, census, world, now)
        }
        (RolloutStatus::Queued, _) if rollout.awaits_approval(Phase::Canary) => {
            hold(rollout, HOLDING_APPROVAL)
        }
        (RolloutStatus::Queued, _) => open(rollout, Phase::Canary, census, world, now),
        (RolloutStatus::Running, Some(current)) => judge(rollout, current, census, world, now),
        // Offers go on after `done`, and so does the watch over them (RO-3).
        (RolloutStatus::Done, _) => bound_broken(rollout, &census, world),
        _ => Vec::new(),
    }
}

/// As [`advance`], by the sums of a census alone. None: a phase is to open whose cut-offs want the order of the fleet,
/// and so the whole census.
#[must_use]
pub fn advance_by_sums(
    rollout: &Rollout,
    counts: Counts,
    world: &World,
    now: Timestamp,
) -> Option<Vec<WorldEvent>> {
    let events = advance(rollout, Census { counts, ..Census::default() }, world, now);
    let wants_order =
        |event: &WorldEvent| matches!(event, WorldEvent::PhaseOpened { phase, .. } if *phase != Phase::Ga);
    (!events.iter().any(wants_order)).then_some(events)
}

fn judge(
    rollout: &Rollout,
    current: &OpenPhase,
    census: Census,
    world: &World,
    now: Timestamp,
) -> Vec<WorldEvent> {
    let broken = bound_broken(rollout, &census, world);
    if !broken.is_empty() {
        return broken;
    }
    let up = match current.duration {
        Some(duration) => world.phase_time(rollout, now) > duration,
        None => now > current.opened,
    };
    if !up {
        return Vec::new();
    }
    let count = census.phase(current.phase);
    if !current.evidence.is_reached_by(count.reached, count.cohort) {
        return hold(rollout, HOLDING_EVIDENCE);
    }
    match rollout.next_phase() {
        None => alloc::vec![WorldEvent::RolloutDone { rollout: rollout.id }],
        Some(next) if rollout.awaits_approval(next) => hold(rollout, HOLDING_APPROVAL),
        Some(next) => open(rollout, next, census, world, now),
    }
}

/// The halt (RO-3) or, for a security release, the pause (RO-5) that the failures of any phase so far ask for: an
/// attempt counts for the phase that added the instance, however late it ends.
fn bound_broken(rollout: &Rollout, census: &Census, world: &World) -> Vec<WorldEvent> {
    let law = &world.constitution;
    let breaks = |open: &&OpenPhase| {
        let count = census.phase(open.phase);
        count.failed > 0
            && count.failing >= u64::from(law.rollout_halt_failures)
            && open.failure_bound.is_exceeded_by(count.failed, count.finished)
    };
    let Some(phase) = rollout.phases.iter().find(breaks).map(|open| open.phase) else { return Vec::new() };
    let count = census.phase(phase);
    let (id, failed, finished) = (rollout.id, count.failed, count.finished);
    if rollout.class != Class::Security {
        return alloc::vec![WorldEvent::RolloutHalted { rollout: id, phase, failed, finished }];
    }
    let cause = PauseCause::FailureBound;
    let mut events = alloc::vec![WorldEvent::RolloutPaused {
        rollout: id,
        cause,
        failed: Some(failed),
        finished: Some(finished)
    }];
    if !rollout.escalations.iter().any(|escalation| escalation.rule == "RO-5") {
        let facts =
            alloc::format!("{failed} of {finished} attempts of security release {} failed", rollout.release);
        events.push(WorldEvent::RolloutEscalated { rollout: id, rule: "RO-5".to_string(), facts });
    }
    events
}

fn hold(rollout: &Rollout, why: &str) -> Vec<WorldEvent> {
    if rollout.holding.as_deref() == Some(why) {
        return Vec::new();
    }
    alloc::vec![WorldEvent::RolloutHeld { rollout: rollout.id, why: why.to_string() }]
}

fn open(rollout: &Rollout, phase: Phase, census: Census, world: &World, now: Timestamp) -> Vec<WorldEvent> {
    // A freeze makes no new offers except of security releases (RO-6).
    if world.is_frozen(now) && rollout.class != Class::Security {
        return Vec::new();
    }
    let eligible = census.eligible();
    let before = rollout.phase().map_or(&[][..], |open| &open.cutoffs);
    let share = phase_law(phase, &world.constitution).share;
    let (cutoffs, cohort) = match phase {
        Phase::Ga => (Vec::new(), eligible),
        _ => census.cut(share, before),
    };
    alloc::vec![WorldEvent::PhaseOpened { rollout: rollout.id, phase, eligible, cohort, cutoffs }]
}
