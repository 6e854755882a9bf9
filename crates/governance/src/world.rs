//! What holds for every instance: the law in force, the releases, the rollouts, the freezes.
//!
//! Never holds an instance: no fact here grows with the fleet.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::constitution::Constitution;
use crate::event::WorldEvent;
use crate::finding::Escalation;
use crate::id::{Digest, RolloutId};
use crate::instance::Instance;
use crate::release::{Matrix, Release, Restriction, check_step};
use crate::rollout::{OpenPhase, Phase, Rollout, RolloutStatus};
use crate::time::{Span, Timestamp};
use crate::version::Version;

/// A release as published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// What the Organism signed.
    pub release: Release,
    /// Digest of what it signed.
    pub digest: Digest,
    /// When it was published.
    pub at: Timestamp,
    /// Whether it was withdrawn since.
    pub withdrawn: bool,
}

/// A time without new offers, except of security releases (RO-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// A time in which the plane could not be reached (CO-7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Outages remembered; the ledger holds them all.
pub const OUTAGES_MAX: usize = 64;

/// Everything that a decision rests on besides the instance itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// The law in force.
    pub constitution: Constitution,
    /// Digest of the document it stands in.
    pub constitution_digest: Option<Digest>,
    /// Serial of the keys document in force.
    pub keys_serial: u64,
    /// Serial of the last order accepted.
    pub order_serial: u64,
    /// The runtime matrix.
    pub matrix: Matrix,
    /// Every release ever published.
    pub releases: BTreeMap<Version, Published>,
    /// Every rollout, in the order of their making.
    pub rollouts: Vec<Rollout>,
    /// Freezes set so far.
    pub freezes: Vec<Freeze>,
    /// When the plane could not be reached, in order, the last [`OUTAGES_MAX`].
    #[serde(default)]
    pub outages: Vec<Outage>,
    /// Whether the red switch is on.
    pub red_switch: bool,
    /// What lies before the Founder about the federation as a whole.
    #[serde(default)]
    pub escalations: Vec<Escalation>,
}

impl World {
    /// The release with this version, unless withdrawn.
    #[must_use]
    pub fn release(&self, version: Version) -> Option<&Release> {
        self.releases
            .get(&version)
            .filter(|published| !published.withdrawn)
            .map(|published| &published.release)
    }

    /// The rollout with this id.
    #[must_use]
    pub fn rollout(&self, id: RolloutId) -> Option<&Rollout> {
        self.rollouts.iter().find(|rollout| rollout.id == id)
    }

    /// Whether the release is rolled out to just these, with just these approvals.
    #[must_use]
    pub fn rolls_out(&self, release: Version, restriction: &Restriction, approval: &[Phase]) -> bool {
        let rollout = self.rollout_of(release);
        rollout.is_some_and(|rollout| rollout.restriction == *restriction && rollout.approval == approval)
    }

    /// The rollout of this release, the latest if there are several.
    #[must_use]
    pub fn rollout_of(&self, release: Version) -> Option<&Rollout> {
        self.rollouts.iter().rev().find(|rollout| rollout.release == release)
    }

    /// Whether another rollout brings a security release to the same line and is not through yet (RO-8).
    #[must_use]
    pub fn secures(&self, rollout: &Rollout) -> bool {
        self.rollouts.iter().any(|other| {
            other.id != rollout.id
                && other.class == crate::release::Class::Security
                && other.is_open()
                && other.release.line() == rollout.release.line()
        })
    }

    /// Whether a freeze holds (RO-6). Its window is closed, as all are (§7): the last instant is still inside.
    #[must_use]
    pub fn is_frozen(&self, now: Timestamp) -> bool {
        self.freezes.iter().any(|freeze| freeze.from <= now && now <= freeze.until)
    }

    /// How much of the time since then the plane could not be reached (CO-7).
    #[must_use]
    pub fn unreachable_since(&self, since: Timestamp, now: Timestamp) -> Span {
        let overlap = |outage: &Outage| outage.until.min(now).since(outage.from.max(since));
        self.outages.iter().map(overlap).fold(Span::ZERO, |sum, length| sum + length)
    }

    /// Whether the release may be the instance's next step: later, by a legal edge, on a runtime that fits (RL-5, RL-6).
    #[must_use]
    pub fn is_next_step(&self, release: Version, instance: &Instance) -> bool {
        let known = self.releases.values().filter(|published| !published.withdrawn);
        self.release(release).is_some_and(|release| {
            check_step(instance.running.platform, release, known.map(|published| published.release.version))
                .is_ok()
                && release.fits_runtime(instance.running.runtime, &self.matrix)
        })
    }

    /// Whether the rollout counts the instance among its eligible (§6).
    #[must_use]
    pub fn is_eligible(&self, rollout: &Rollout, instance: &Instance) -> bool {
        instance.state.is_eligible()
            && self.is_inside(rollout, instance)
            && (instance.running.platform == rollout.release || self.is_next_step(rollout.release, instance))
    }

    /// Whether the rollout's restriction lets the instance in (RO-6).
    #[must_use]
    pub fn is_inside(&self, rollout: &Rollout, instance: &Instance) -> bool {
        let only = &rollout.restriction;
        (only.kind.is_empty() || only.kind.contains(&instance.kind))
            && (only.tier.is_empty() || only.tier.contains(&instance.subscription.tier))
            && (only.provider.is_empty()
                || instance.provider.as_ref().is_some_and(|provider| only.provider.contains(provider)))
            && (only.label.is_empty() || instance.labels.iter().any(|label| only.label.contains(label)))
    }

    /// How long the current phase has run, less pauses and freezes (RO-6).
    #[must_use]
    pub fn phase_time(&self, rollout: &Rollout, now: Timestamp) -> Span {
        let opened = rollout.phase().map_or(now, |open| open.opened);
        let mut freezes: Vec<&Freeze> = self.freezes.iter().collect();
        freezes.sort_by_key(|freeze| freeze.from);
        let mut counted = opened;
        let mut time = rollout.clock.shows(now);
        for freeze in freezes {
            // Freezes may overlap: no time stands still twice.
            time = time - freeze.until.min(now).since(freeze.from.max(counted));
            counted = counted.max(freeze.until);
        }
        time
    }

    /// Folds one event into the world; `at` is when it was decided.
    pub fn apply(&mut self, event: &WorldEvent, at: Timestamp) {
        match event {
            WorldEvent::Founded { .. } | WorldEvent::EnrolmentCreated { .. } => {}
            WorldEvent::KeysPublished { serial, .. } => self.keys_serial = *serial,
            WorldEvent::ConstitutionRatified { digest, document } => {
                self.constitution = document.parameters.clone();
                self.constitution_digest = Some(*digest);
            }
            WorldEvent::MatrixPublished { matrix } => self.matrix = matrix.clone(),
            WorldEvent::ReleasePublished { digest, release } => {
                let published =
                    Published { release: (**release).clone(), digest: *digest, at, withdrawn: false };
                self.releases.insert(release.version, published);
            }
            WorldEvent::ReleaseWithdrawn { release } => {
                if let Some(published) = self.releases.get_mut(release) {
                    published.withdrawn = true;
                }
            }
            WorldEvent::OrderAccepted { serial, .. } => self.order_serial = *serial,
            WorldEvent::FreezeSet { from, until } => {
                self.freezes.push(Freeze { from: *from, until: *until });
            }
            WorldEvent::OutageRecorded { from, until } => {
                self.outages.push(Outage { from: *from, until: *until });
                self.outages.drain(..self.outages.len().saturating_sub(OUTAGES_MAX));
            }
            WorldEvent::RedSwitchTurned { on } => self.turn_red_switch(*on, at),
            WorldEvent::FederationEscalated { rule, facts } => {
                self.escalations.push(Escalation { rule: rule.clone(), since: at, facts: facts.clone() });
            }
            WorldEvent::RolloutOpened { rollout, release, restriction, approval } => {
                let class = self.releases.get(release).map(|published| published.release.class);
                self.rollouts.push(Rollout {
                    id: *rollout,
                    release: *release,
                    class: class.unwrap_or(crate::release::Class::Minor),
                    restriction: restriction.clone(),
                    approval: approval.clone(),
                    approved: Vec::new(),
                    opened: at,
                    status: RolloutStatus::Queued,
                    phases: Vec::new(),
                    clock: Clock::started(at),
                    paused: None,
                    holding: None,
                    counting_since: at,
                    escalations: Vec::new(),
                });
            }
            other => {
                if let Some(rollout) =
                    self.rollouts.iter_mut().find(|rollout| Some(rollout.id) == other.rollout())
                {
                    apply_rollout(rollout, other, at);
                }
            }
        }
    }

    /// The red switch stops every phase's time, and lets it go on (RO-6).
    fn turn_red_switch(&mut self, on: bool, at: Timestamp) {
        self.red_switch = on;
        if !on {
            self.escalations.retain(|escalation| escalation.rule != "RO-6");
        }
        for rollout in &mut self.rollouts {
            if on {
                rollout.clock = rollout.clock.stopped(at);
            } else if rollout.paused.is_none() {
                rollout.clock = rollout.clock.resumed(at);
            }
        }
    }
}

fn apply_rollout(rollout: &mut Rollout, event: &WorldEvent, at: Timestamp) {
    match event {
        WorldEvent::PhaseOpened { phase, eligible, cohort, cutoffs, .. } => {
            rollout.phases.push(OpenPhase {
                phase: *phase,
                opened: at,
                eligible: *eligible,
                cohort: *cohort,
                cutoffs: cutoffs.clone(),
            });
            rollout.status = RolloutStatus::Running;
            rollout.clock = Clock::started(at);
            rollout.holding = None;
        }
        WorldEvent::RolloutHeld { why, .. } => rollout.holding = Some(why.clone()),
        WorldEvent::PhaseApproved { phase, .. } => rollout.approved.push(*phase),
        WorldEvent::RolloutDone { .. } => end(rollout, RolloutStatus::Done),
        WorldEvent::RolloutHalted { .. } => end(rollout, RolloutStatus::Halted),
        WorldEvent::RolloutAborted { .. } => end(rollout, RolloutStatus::Aborted),
        WorldEvent::RolloutSuperseded { .. } => end(rollout, RolloutStatus::Superseded),
        WorldEvent::RolloutWithdrawn { .. } => {
            // Nothing is left for the Founder to decide about it (RO-5).
            rollout.escalations.clear();
            end(rollout, RolloutStatus::Withdrawn);
        }
        WorldEvent::RolloutPaused { cause, .. } => {
            rollout.paused = Some(*cause);
            rollout.clock = rollout.clock.stopped(at);
        }
        WorldEvent::RolloutResumed { cause, .. } => {
            rollout.paused = None;
            rollout.clock = rollout.clock.resumed(at);
            if *cause == crate::rollout::PauseCause::FailureBound {
                rollout.counting_since = at;
                rollout.escalations.clear();
            }
        }
        WorldEvent::RolloutEscalated { rule, facts, .. } => {
            rollout.escalations.push(Escalation { rule: rule.clone(), since: at, facts: facts.clone() });
        }
        _ => {}
    }
}

fn end(rollout: &mut Rollout, status: RolloutStatus) {
    rollout.status = status;
    rollout.paused = None;
    rollout.holding = None;
}

impl Rollout {
    /// Whether it has not come to an end of any kind.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.status, RolloutStatus::Queued | RolloutStatus::Running)
    }

    /// The phase that comes after the one now open.
    #[must_use]
    pub fn next_phase(&self) -> Option<Phase> {
        let current = self.phase().map(|open| open.phase);
        Phase::ALL.iter().copied().find(|phase| Some(*phase) > current)
    }
}
