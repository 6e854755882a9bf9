//! What the agent must remember across any crash: what is installed, which directives it has seen, which releases
//! failed here, and how far an upgrade has come.
//!
//! A [`Journal`] changes only by [`Journal::apply`]; each event is on disk before what follows from it is done.
//! It never names a version as installed that a health check has not named.

use governance::{Digest, Package, Timestamp, Version};
use proof::directive::Seen;
use proof::{KeyId, OfferAction};
use serde::{Deserialize, Serialize};

/// What runs here: platform, runtime, and each structure with its content's digest (ID-5).
pub use governance::instance::Running as Installed;

/// The journal's format, the only one this agent reads.
pub const FORMAT: u32 = 1;
/// Failures remembered; beyond it the oldest is forgotten.
pub const FAILURES_MAX: usize = 32;
/// Characters of a reason that are kept.
pub const REASON_MAX: usize = 500;

/// One try at one release: everything needed to finish it, or to go back, without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// What will run when it succeeds.
    pub target: Installed,
    /// What ran when it was planned.
    pub previous: Version,
    /// What was asked for.
    pub action: OfferAction,
    /// The serial of the directive that offered it.
    pub serial: u64,
    /// The bytes, as the Organism signed them.
    pub package: Package,
    /// When lacking it becomes a finding, if it does: no deployment window is waited for beyond it (RO-7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

impl Attempt {
    /// The release it is about.
    #[must_use]
    pub const fn release(&self) -> Version {
        self.target.platform
    }

    /// Whether another attempt would install the same bytes over the same version to the same end.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let other = Self { serial: self.serial, deadline: self.deadline, ..other.clone() };
        *self == other
    }
}

/// How far an attempt has come. Each is written before the act it names is begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// The package is here and verified; the plane does not know yet.
    Downloaded,
    /// The plane was told (LC-3).
    Began,
    /// Binding has begun and may be half done.
    Binding,
    /// The agent was stopped while binding: health decides what becomes of it.
    Interrupted,
    /// Bound; the new version has yet to show itself.
    Bound {
        /// Since when the new version is awaited.
        since: Timestamp,
    },
    /// A health check named the new version, and none has failed since.
    Healthy {
        /// Since when.
        since: Timestamp,
    },
    /// Healthy for long enough; the plane does not know yet.
    Proven,
    /// Going back has begun and may be half done.
    RollingBack {
        /// Why.
        reason: String,
        /// How often going back has failed.
        tries: u32,
    },
    /// Back; the plane does not know yet.
    RolledBack {
        /// Why.
        reason: String,
        /// Whether the earlier version was seen running again.
        clean: bool,
    },
}

impl Step {
    /// Its name, for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Downloaded => "downloaded",
            Self::Began => "began",
            Self::Binding => "binding",
            Self::Interrupted => "interrupted",
            Self::Bound { .. } => "bound",
            Self::Healthy { .. } => "healthy",
            Self::Proven => "proven",
            Self::RollingBack { .. } => "rolling-back",
            Self::RolledBack { .. } => "rolled-back",
        }
    }
}

/// An attempt and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// The attempt.
    pub attempt: Attempt,
    /// How far it has come.
    pub at: Step,
}

/// A release that failed here, and the directive that had offered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The release.
    pub release: Version,
    /// The directive's serial: a later directive may offer it again (RO-9).
    pub serial: u64,
    /// Why it failed.
    pub reason: String,
}

/// The last directive taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// Its serial; no lower one is taken any more (RL-3), while the key that signed it is named.
    pub serial: u64,
    /// The digest of what it asked for; another with the same serial must ask for the same.
    pub content: Digest,
    /// The directives key that signed it.
    #[serde(default)]
    pub key: Option<KeyId>,
}

impl Taken {
    /// What it says about serials.
    #[must_use]
    pub const fn seen(&self) -> Seen {
        Seen { serial: self.serial, key: self.key }
    }
}

/// Everything remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// [`FORMAT`].
    pub format: u32,
    /// What runs, as the last proof said.
    pub installed: Installed,
    /// What ran before the update that brought what runs; none before the first, and after going back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Version>,
    /// Whether going back failed, so that only a health check can say what runs.
    #[serde(default)]
    pub doubt: bool,
    /// The last directive taken.
    #[serde(default)]
    pub taken: Option<Taken>,
    /// The highest security floor ever seen of each line, lines in order (RL-9).
    #[serde(default)]
    pub floors: Vec<Version>,
    /// Releases that failed here, oldest first.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// The attempt in progress.
    #[serde(default)]
    pub upgrade: Option<Upgrade>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A directive was verified and is obeyed from now on.
    DirectiveTaken(Taken),
    /// The Organism signed these floors; none sinks by it (RL-9).
    FloorsSeen(Vec<Version>),
    /// A package is here and verified.
    Downloaded(Attempt),
    /// The offer ended before the attempt began.
    Withdrawn,
    /// The plane acknowledged the attempt.
    Began,
    /// Binding begins now.
    BindingBegun,
    /// Binding is done; the new version is awaited from this instant.
    Bound(Timestamp),
    /// A health check named the new version.
    HealthSeen(Timestamp),
    /// Health held for long enough.
    Proven,
    /// The plane acknowledged the success, or can no longer be told.
    SuccessReported,
    /// Going back begins now.
    RollbackBegun(String),
    /// Going back failed once more.
    RollbackFailed,
    /// Going back is over: cleanly, or given up.
    RolledBack {
        /// Whether the earlier version was seen running again.
        clean: bool,
    },
    /// The plane acknowledged the failure, or can no longer be told.
    FailureReported,
}

/// An event that does not follow from the state it met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot follow {at}")]
pub struct OutOfOrder {
    event: Box<Event>,
    at: &'static str,
}

impl Journal {
    /// The journal of an agent that has done nothing yet.
    #[must_use]
    pub const fn new(installed: Installed) -> Self {
        Self {
            format: FORMAT,
            installed,
            previous: None,
            doubt: false,
            taken: None,
            floors: Vec::new(),
            failures: Vec::new(),
            upgrade: None,
        }
    }

    /// The journal after `event`.
    ///
    /// # Errors
    /// When the event does not follow from the state.
    pub fn apply(&self, event: &Event) -> Result<Self, OutOfOrder> {
        let mut next = self.clone();
        match event {
            Event::DirectiveTaken(taken) => return Ok(next.taking(*taken)),
            Event::FloorsSeen(signed) => {
                next.floors = self.floors_with(signed);
                return Ok(next);
            }
            _ => {}
        }
        let Some(Upgrade { attempt, at }) = next.upgrade.take() else {
            return match event {
                Event::Downloaded(attempt) => Ok(next.standing(attempt.clone(), Step::Downloaded)),
                _ => Err(OutOfOrder { event: Box::new(event.clone()), at: "rest" }),
            };
        };
        let name = at.name();
        match (at, event) {
            (Step::Downloaded, Event::Withdrawn) => Ok(next),
            (Step::Downloaded, Event::Downloaded(again)) => {
                Ok(next.standing(again.clone(), Step::Downloaded))
            }
            (Step::Downloaded, Event::Began) => Ok(next.standing(attempt, Step::Began)),
            (Step::Began, Event::BindingBegun) => Ok(next.standing(attempt, Step::Binding)),
            (Step::Binding | Step::Interrupted, Event::Bound(since)) => {
                Ok(next.standing(attempt, Step::Bound { since: *since }))
            }
            (Step::Bound { .. }, Event::HealthSeen(since)) => {
                Ok(next.standing(attempt, Step::Healthy { since: *since }))
            }
            (Step::Healthy { .. }, Event::Proven) => Ok(next.standing(attempt, Step::Proven)),
            (Step::Proven, Event::SuccessReported) => {
                next.previous = Some(attempt.previous).filter(|previous| *previous < attempt.release());
                next.installed = attempt.target;
                next.doubt = false;
                Ok(next)
            }
            (
                Step::Began | Step::Binding | Step::Interrupted | Step::Bound { .. } | Step::Healthy { .. },
                Event::RollbackBegun(reason),
            ) => Ok(next.rolling_back(attempt, reason)),
            (Step::RollingBack { reason, tries }, Event::RollbackFailed) => {
                let tries = tries.saturating_add(1);
                Ok(next.standing(attempt, Step::RollingBack { reason, tries }))
            }
            (Step::RollingBack { reason, .. }, Event::RolledBack { clean }) => {
                next.doubt = !clean;
                Ok(next.standing(attempt, Step::RolledBack { reason, clean: *clean }))
            }
            (Step::RolledBack { .. }, Event::FailureReported) => Ok(next),
            _ => Err(OutOfOrder { event: Box::new(event.clone()), at: name }),
        }
    }

    /// Serials that start anew leave no failure in the future: what failed here is refused under this directive, and
    /// later ones may ask for it again (RO-9).
    fn taking(mut self, taken: Taken) -> Self {
        if self.taken.is_some_and(|before| taken.serial < before.serial) {
            for failure in &mut self.failures {
                failure.serial = failure.serial.min(taken.serial);
            }
        }
        self.taken = Some(taken);
        self
    }

    /// The floor of each line, when the Organism has signed these now: the highest ever seen (RL-9).
    #[must_use]
    pub fn floors_with(&self, signed: &[Version]) -> Vec<Version> {
        let mut floors: Vec<Version> = Vec::new();
        for floor in self.floors.iter().chain(signed) {
            match floors.iter_mut().find(|held| held.line() == floor.line()) {
                Some(held) => *held = (*held).max(*floor),
                None => floors.push(*floor),
            }
        }
        floors.sort_unstable();
        floors
    }

    fn standing(mut self, attempt: Attempt, at: Step) -> Self {
        self.upgrade = Some(Upgrade { attempt, at });
        self
    }

    /// The failure is remembered before anything is undone, so that no crash can lose it.
    fn rolling_back(mut self, attempt: Attempt, reason: &str) -> Self {
        let reason: String = reason.chars().take(REASON_MAX).collect();
        let failure = Failure { release: attempt.release(), serial: attempt.serial, reason: reason.clone() };
        self.failures.push(failure);
        let excess = self.failures.len().saturating_sub(FAILURES_MAX);
        self.failures.drain(..excess);
        self.standing(attempt, Step::RollingBack { reason, tries: 0 })
    }

    /// The journal as an agent finds it when it starts: what may have been cut short is marked so, and waiting
    /// times begin anew, since nobody watched meanwhile.
    #[must_use]
    pub fn recovered(mut self, now: Timestamp) -> Self {
        if let Some(upgrade) = &mut self.upgrade {
            upgrade.at = match core::mem::replace(&mut upgrade.at, Step::Interrupted) {
                Step::Binding => Step::Interrupted,
                Step::Bound { .. } | Step::Healthy { .. } => Step::Bound { since: now },
                other => other,
            };
        }
        self
    }

    /// Whether this very offer failed here before.
    #[must_use]
    pub fn failed_before(&self, release: Version, serial: u64) -> Option<&Failure> {
        self.failures.iter().find(|failure| failure.release == release && serial <= failure.serial)
    }
}
