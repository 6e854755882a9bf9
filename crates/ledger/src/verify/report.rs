//! What a verified log says, in numbers.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use governance::{
    Action, Digest, InstanceEvent, InstanceId, Outcome, RolloutId, State, Timestamp, TrustDomain, Version,
};
use serde::Serialize;

use crate::hash::Hash;

/// A log that was found lawful from its first entry to its last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The federation's name.
    pub trust_domain: Option<TrustDomain>,
    /// Number of entries.
    pub entries: u64,
    /// Root over them, which the checkpoint signs.
    pub root: Hash,
    /// When the last entry was decided.
    pub latest: Timestamp,
    /// Serial of the keys document in force.
    pub keys_serial: u64,
    /// Digest of the constitution in force.
    pub constitution: Option<Digest>,
    /// Number of instances.
    pub instances: u64,
    /// Number of instances per state.
    pub states: BTreeMap<State, u64>,
    /// Values that the log commits to without showing them.
    pub committed: u64,
    /// Those of them that were disclosed, and are what was committed to.
    pub opened: u64,
    /// Every rollout, in the order of their making.
    pub rollouts: Vec<RolloutReport>,
}

/// What became of one rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RolloutReport {
    /// What it brought.
    pub release: Version,
    /// Where it stands, in the word people read.
    pub status: &'static str,
    /// Instances it was ever offered to.
    pub offered: u64,
    /// Instances that installed it.
    pub installed: u64,
    /// Attempts that failed or stalled.
    pub failed: u64,
    /// Instances that went back: by themselves after a failure, or as directed.
    pub rolled_back: u64,
}

/// Counts per rollout.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    offered: BTreeSet<InstanceId>,
    installed: BTreeSet<InstanceId>,
    failed: u64,
    rolled_back: BTreeSet<InstanceId>,
}

impl Tally {
    pub(super) fn report(&self, release: Version, status: &'static str) -> RolloutReport {
        RolloutReport {
            release,
            status,
            offered: self.offered.len() as u64,
            installed: self.installed.len() as u64,
            failed: self.failed,
            rolled_back: self.rolled_back.len() as u64,
        }
    }
}

/// The counts of every rollout.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallies(BTreeMap<RolloutId, Tally>);

impl Tallies {
    pub(super) fn of(&self, rollout: RolloutId) -> Option<&Tally> {
        self.0.get(&rollout)
    }

    /// Counts an event; `attempt` is the instance's attempt under way before it.
    pub(super) fn count(
        &mut self,
        id: InstanceId,
        event: &InstanceEvent,
        attempt: Option<(RolloutId, Action)>,
    ) {
        match (event, attempt) {
            (InstanceEvent::Offered { rollout, action: Action::Update, .. }, _) => {
                self.0.entry(*rollout).or_default().offered.insert(id);
            }
            (InstanceEvent::AttemptFinished { outcome, .. }, Some((rollout, action))) => {
                let tally = self.0.entry(rollout).or_default();
                match (action, outcome) {
                    (Action::Update, Outcome::Succeeded) => {
                        tally.installed.insert(id);
                    }
                    (Action::Update, Outcome::Failed) => {
                        tally.failed += 1;
                        tally.rolled_back.insert(id);
                    }
                    (Action::Update, Outcome::Stalled) => tally.failed += 1,
                    (Action::Rollback, Outcome::Succeeded) => {
                        tally.rolled_back.insert(id);
                    }
                    (Action::Rollback, _) => {}
                }
            }
            _ => {}
        }
    }
}
