//! What holds for every instance: the law in force, the releases, the rollouts, the freezes.
//!
//! Never holds an instance: no fact here grows with the fleet.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::constitution::{Constitution, ConstitutionDocument};
use crate::event::WorldEvent;
use crate::finding::Escalation;
use crate::id::{Digest, RolloutId};
use crate::instance::Instance;
use crate::module::Catalogue;
use crate::outage;
use crate::release::{Class, Matrix, Release, Restriction, Weight, check_step};
use crate::rollout::{OpenPhase, Phase, Rollout, RolloutStatus, phase_law};
use crate::standing::Brake;
use crate::time::{Span, Timestamp};
use crate::version::{Line, Version};

pub use crate::outage::Outage;

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

/// A constitution that was ratified and whose date is yet to come (FO-5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amendment {
    /// Digest of the document.
    pub digest: Digest,
    /// The document.
    pub document: ConstitutionDocument,
}

/// A capability that was deprecated (RL-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deprecated {
    /// How much weight it has.
    pub weight: Weight,
    /// Since when its notice runs.
    pub since: Timestamp,
    /// By which release.
    pub by: Version,
}

/// The Founder's leave to remove a capability before its notice is over (RL-8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// Which release may.
    pub release: Version,
    /// What it removes.
    pub capability: String,
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

/// Everything that a decision rests on besides the instance itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// The law in force.
    pub constitution: Constitution,
    /// Digest of the document it stands in.
    pub constitution_digest: Option<Digest>,
    /// Constitutions whose date is yet to come, in the order of their dates.
    #[serde(default)]
    pub amendments: Vec<Amendment>,
    /// Serial of the keys document in force.
    pub keys_serial: u64,
    /// Version of the TUF root that the last order brought; 0: the first is in force (RL-3).
    #[serde(default)]
    pub root_version: u64,
    /// Serial of the last order accepted.
    pub order_serial: u64,
    /// The runtime matrix.
    pub matrix: Matrix,
    /// The module catalogue.
    #[serde(default)]
    pub catalogue: Catalogue,
    /// Capabilities that were deprecated.
    #[serde(default)]
    pub deprecations: BTreeMap<String, Deprecated>,
    /// What the Founder lets releases remove early.
    #[serde(default)]
    pub removals: Vec<Removal>,
    /// What the brake on standing orders counts (CO-14).
    #[serde(default)]
    pub brake: Brake,
    /// Every release ever published.
    pub releases: BTreeMap<Version, Published>,
    /// Every rollout, in the order of their making.
    pub rollouts: Vec<Rollout>,
    /// Freezes set so far.
    pub freezes: Vec<Freeze>,
    /// When the plane could not be reached, in order, those of the last year, up to [`OUTAGES_MAX`](outage::OUTAGES_MAX).
    #[serde(default)]
    pub outages: Vec<Outage>,
    /// Serial numbers of people's certificates that count no more (AU-2).
    #[serde(default)]
    pub revoked_people: alloc::collections::BTreeSet<String>,
    /// Whether the red switch is on.
    pub red_switch: bool,
    /// What lies before the Founder about the federation as a whole.
    #[serde(default)]
    pub escalations: Vec<Escalation>,
    /// When the last decision about the federation was taken: none is taken at an earlier instant behind it (LG-1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Timestamp>,
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
                && other.class == Class::Security
                && other.is_open()
                && other.release.line() == rollout.release.line()
        })
    }

    /// The rollouts that a sweep must judge: the open ones, and those that are done and may be offered still (RO-3, RO-5).
    ///
    /// Of those that are done an older one is left alone once a newer one of its line reaches everybody whom it could.
    pub fn watched(&self) -> impl Iterator<Item = &Rollout> {
        self.rollouts.iter().filter(|rollout| {
            rollout.is_open() || (rollout.status == RolloutStatus::Done && !self.is_replaced(rollout))
        })
    }

    /// Whether a newer rollout of the line is done that leaves the older one nobody to be offered to: it is for everyone, on
    /// every runtime that the older is for, by every step within the line, and not paused.
    fn is_replaced(&self, older: &Rollout) -> bool {
        self.rollouts.iter().any(|newer| {
            newer.status == RolloutStatus::Done
                && newer.adds()
                && newer.release > older.release
                && newer.release.line() == older.release.line()
                && newer.restriction == Restriction::default()
                && self.goes_wherever(newer.release, older.release)
        })
    }

    /// Whether the newer of two releases of a line may be applied wherever the older may.
    fn goes_wherever(&self, newer: Version, older: Version) -> bool {
        let (Some(newer), Some(older)) = (self.release(newer), self.release(older)) else { return false };
        let runs_on_all = match (newer.ships_runtime, older.ships_runtime) {
            (Some(_), _) => true,
            (None, Some(_)) => false,
            (None, None) => newer.runtime.min <= older.runtime.min && older.runtime.max <= newer.runtime.max,
        };
        // What leads into the line from another is not replaced by what merely follows it there (RL-6).
        let leads_in = match &older.from {
            Some(from) => from.iter().any(|version| version.line() != older.version.line()),
            None => older.class == Class::Major && newer.class != Class::Major,
        };
        newer.from.is_none() && runs_on_all && !leads_in
    }

    /// The version of the line below which nobody goes, if one is set (RL-9).
    #[must_use]
    pub fn floor(&self, line: Line) -> Option<Version> {
        let floors = self.releases.values().filter_map(|published| published.release.floor);
        floors.filter(|floor| floor.line() == line).max()
    }

    /// Whether the version lies below its line's floor (RL-9).
    #[must_use]
    pub fn is_below_floor(&self, version: Version) -> bool {
        self.floor(version.line()).is_some_and(|floor| version < floor)
    }

    /// Until when the line keeps being supported: for the window of the major that leads out of it; without end while none
    /// does (RL-7).
    #[must_use]
    pub fn supported_until(&self, line: Line) -> Option<Timestamp> {
        let next = self.releases.values().find(|published| {
            !published.withdrawn
                && published.release.class == Class::Major
                && published.release.version.line() > line
        });
        next.map(|published| published.at + self.constitution.major_window)
    }

    /// Digest of the constitution that an amendment must name as the one it replaces (FO-5).
    #[must_use]
    pub fn latest_constitution(&self) -> Option<Digest> {
        self.amendments.last().map(|amendment| amendment.digest).or(self.constitution_digest)
    }

    /// What is due for the federation as a whole: constitutions whose date has come (FO-5).
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<WorldEvent> {
        let come = self.amendments.iter().filter(|amendment| amendment.document.effective <= now);
        come.map(|amendment| WorldEvent::ConstitutionEffective { digest: amendment.digest }).collect()
    }

    /// Whether the fleet is to be counted again (CO-14).
    #[must_use]
    pub fn is_count_due(&self, now: Timestamp) -> bool {
        self.brake
            .counted
            .is_none_or(|counted| now.since(counted) >= self.constitution.compliance_audit_every)
    }

    /// Whether a freeze holds (RO-6). Its window is closed, as all are (§7): the last instant is still inside.
    #[must_use]
    pub fn is_frozen(&self, now: Timestamp) -> bool {
        self.freezes.iter().any(|freeze| freeze.from <= now && now <= freeze.until)
    }

    /// Whether the release may be the instance's next step: later, by a legal edge, on a runtime that fits (RL-5, RL-6).
    #[must_use]
    pub fn is_next_step(&self, release: Version, instance: &Instance) -> bool {
        // The cheap question first.
        if release <= instance.running.platform || self.is_below_floor(release) {
            return false;
        }
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
        let freezes = self.freezes.iter().map(|freeze| (freeze.from, freeze.until));
        let stops = rollout.stops.iter().map(|stop| (stop.from, stop.until.unwrap_or(now)));
        let mut still: Vec<(Timestamp, Timestamp)> = freezes.chain(stops).collect();
        still.sort_unstable();
        let mut counted = opened;
        let mut time = now.since(opened);
        for (from, until) in still {
            // Freezes, pauses and the red switch may overlap: no time stands still twice.
            time = time - until.min(now).since(from.max(counted));
            counted = counted.max(until);
        }
        time
    }

    /// Folds one event into the world; `at` is when it was decided.
    pub fn apply(&mut self, event: &WorldEvent, at: Timestamp) {
        if !event.stands_apart() {
            self.decided = self.decided.max(Some(at));
        }
        match event {
            WorldEvent::Founded { .. }
            | WorldEvent::EnrolmentCreated { .. }
            | WorldEvent::EnrolmentApproved { .. } => {}
            WorldEvent::KeysPublished { serial, .. } => {
                self.keys_serial = *serial;
                // By whose keys the ledger goes on is the Founder's answer to witnesses that refuse (FO-2, LG-2).
                self.escalations.retain(|escalation| escalation.rule != crate::decide::WITNESSED);
            }
            WorldEvent::RootPublished { version, .. } => self.root_version = *version,
            WorldEvent::ConstitutionRatified { digest, document } => {
                // Whatever lies before the Founder about the federation, he has answered.
                self.escalations.clear();
                self.amendments.push(Amendment { digest: *digest, document: (**document).clone() });
                if document.effective <= at {
                    self.take_effect(*digest);
                }
            }
            WorldEvent::ConstitutionEffective { digest } => self.take_effect(*digest),
            WorldEvent::FleetCounted { instances } => {
                self.brake.fleet = *instances;
                self.brake.counted = Some(at);
            }
            WorldEvent::StandingOrderTaken { .. } => self.brake.take(at),
            WorldEvent::RemovalAllowed { release, capability } => {
                self.removals.push(Removal { release: *release, capability: capability.clone() });
            }
            WorldEvent::CataloguePublished { catalogue } => self.catalogue = catalogue.clone(),
            WorldEvent::MatrixPublished { matrix } => self.matrix = matrix.clone(),
            WorldEvent::ReleasePublished { digest, release } => {
                let published =
                    Published { release: (**release).clone(), digest: *digest, at, withdrawn: false };
                for deprecation in &release.deprecations {
                    let (weight, by) = (deprecation.weight, release.version);
                    let deprecated = Deprecated { weight, since: at, by };
                    // The first notice counts.
                    self.deprecations.entry(deprecation.capability.clone()).or_insert(deprecated);
                }
                self.releases.insert(release.version, published);
            }
            WorldEvent::ReleaseWithdrawn { release } => {
                if let Some(published) = self.releases.get_mut(release) {
                    published.withdrawn = true;
                }
            }
            WorldEvent::OrderAccepted { serial, .. } => self.order_serial = *serial,
            WorldEvent::PersonRevoked { serial, .. } => {
                self.revoked_people.insert(serial.clone());
            }
            WorldEvent::FreezeSet { from, until } => {
                self.freezes.push(Freeze { from: *from, until: *until });
            }
            WorldEvent::OutageRecorded { from, until } => {
                outage::remember(&mut self.outages, Outage { from: *from, until: *until });
            }
            WorldEvent::RedSwitchTurned { on, .. } => self.turn_red_switch(*on, at),
            WorldEvent::FederationEscalated { rule, facts } => {
                self.escalations.push(Escalation::new(rule, facts, at));
            }
            WorldEvent::FederationEscalationAcknowledged { rule } => {
                Escalation::acknowledge(&mut self.escalations, rule, at);
            }
            WorldEvent::RolloutOpened { rollout, release, restriction, approval } => {
                let class = self.releases.get(release).map(|published| published.release.class);
                self.rollouts.push(Rollout {
                    id: *rollout,
                    release: *release,
                    class: class.unwrap_or(Class::Minor),
                    restriction: restriction.clone(),
                    approval: approval.clone(),
                    approved: Vec::new(),
                    opened: at,
                    status: RolloutStatus::Queued,
                    phases: Vec::new(),
                    stops: Vec::new(),
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
                    apply_rollout(rollout, other, &self.constitution, self.red_switch, at);
                }
            }
        }
    }

    /// The amendment with this digest is the law from now on, and those before it were.
    fn take_effect(&mut self, digest: Digest) {
        let Some(index) = self.amendments.iter().position(|amendment| amendment.digest == digest) else {
            return;
        };
        for amendment in self.amendments.drain(..=index) {
            self.constitution = amendment.document.parameters;
            self.constitution_digest = Some(amendment.digest);
        }
    }

    /// The red switch stops every phase's time, and lets it go on (RO-6).
    fn turn_red_switch(&mut self, on: bool, at: Timestamp) {
        self.red_switch = on;
        if !on {
            self.escalations.retain(|escalation| escalation.rule != "RO-6");
        }
        for rollout in &mut self.rollouts {
            rollout.stand_still(on || rollout.paused.is_some(), at);
        }
    }
}

fn apply_rollout(
    rollout: &mut Rollout,
    event: &WorldEvent,
    law: &Constitution,
    red_switch: bool,
    at: Timestamp,
) {
    match event {
        WorldEvent::PhaseOpened { phase, eligible, cohort, cutoffs, .. } => {
            // An open phase keeps its terms, whatever is amended (FO-5).
            let terms = phase_law(*phase, law);
            rollout.phases.push(OpenPhase {
                phase: *phase,
                opened: at,
                eligible: *eligible,
                cohort: *cohort,
                cutoffs: cutoffs.clone(),
                duration: terms.duration,
                failure_bound: terms.failure_bound,
                evidence: law.rollout_evidence,
            });
            rollout.status = RolloutStatus::Running;
            rollout.stops.clear();
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
            rollout.stand_still(true, at);
        }
        WorldEvent::RolloutResumed { cause, .. } => {
            rollout.paused = None;
            rollout.stand_still(red_switch, at);
            if *cause == crate::rollout::PauseCause::FailureBound {
                rollout.counting_since = at;
            }
        }
        WorldEvent::RolloutEscalationsResolved { .. } => rollout.escalations.clear(),
        WorldEvent::RolloutEscalationAcknowledged { rule, .. } => {
            Escalation::acknowledge(&mut rollout.escalations, rule, at);
        }
        WorldEvent::RolloutEscalated { rule, facts, .. } => {
            rollout.escalations.push(Escalation::new(rule, facts, at));
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
