//! What a shard counts: sums alone, so that shards may be added up in any order.
//!
//! Never holds an instance.

use std::collections::BTreeMap;

use governance::{Counts, FindingCode, Reason, Refusal, State};

use super::book::Hour;

/// What became of a rollout's offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uptake {
    pub(super) offered: u64,
    pub(super) begun: u64,
    pub(super) installed: u64,
    pub(super) failed: u64,
    pub(super) stalled: u64,
    pub(super) went_back: u64,
}

/// What stands now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Instances by state, in the order of the law.
    pub(super) states: [u64; State::ALL.len()],
    /// Instances by version, by number; the revoked left out.
    pub(super) versions: Vec<u64>,
    /// Open findings by code, in the order of the law.
    pub(super) findings: [u64; FindingCode::ALL.len()],
}

/// Everything that is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Times that an instance was looked at.
    pub(super) audits: u64,
    /// Of them, those in which nothing can be due: the record is not opened.
    pub(super) quiet: u64,
    /// Events decided about instances.
    pub(super) events: u64,
    /// Refused commands by the code of their first reason.
    pub(super) refusals: BTreeMap<&'static str, u64>,
    pub(super) transitions: BTreeMap<&'static str, u64>,
    pub(super) findings: [u64; FindingCode::ALL.len()],
    pub(super) escalations: BTreeMap<String, u64>,
    pub(super) rollouts: Vec<Uptake>,
    pub(super) standing: Standing,
}

/// Adds to the slot of a list, which grows as far as needed.
pub(super) fn slot<T: Default>(list: &mut Vec<T>, index: usize) -> Option<&mut T> {
    while list.len() <= index {
        list.push(T::default());
    }
    list.get_mut(index)
}

fn add_each(to: &mut [u64], from: &[u64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

impl Standing {
    pub(super) fn add(&mut self, other: &Self) {
        add_each(&mut self.states, &other.states);
        add_each(&mut self.findings, &other.findings);
        for (index, count) in other.versions.iter().enumerate() {
            slot(&mut self.versions, index).into_iter().for_each(|slot| *slot += count);
        }
    }
}

impl Tally {
    /// Counts a command that the law refused.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        let code = refusal.reasons.first().map_or("internal", Reason::code);
        *self.refusals.entry(code).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.audits += other.audits;
        self.quiet += other.quiet;
        self.events += other.events;
        for (code, count) in &other.refusals {
            *self.refusals.entry(code).or_default() += count;
        }
        add_each(&mut self.findings, &other.findings);
        for (rule, count) in &other.transitions {
            *self.transitions.entry(rule).or_default() += count;
        }
        for (rule, count) in &other.escalations {
            *self.escalations.entry(rule.clone()).or_default() += count;
        }
        for (index, from) in other.rollouts.iter().enumerate() {
            let Some(to) = slot(&mut self.rollouts, index) else { continue };
            to.offered += from.offered;
            to.begun += from.begun;
            to.installed += from.installed;
            to.failed += from.failed;
            to.stalled += from.stalled;
            to.went_back += from.went_back;
        }
        self.standing.add(&other.standing);
    }
}

/// The sums of a census for each rollout that is watched, by number.
pub(super) type Watch = Vec<Counts>;

/// An invariant that broke, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Breakage {
    pub(super) broken: super::invariants::Broken,
    /// The instance's number, and its so many-th step; none where it is no instance's.
    pub(super) instance: Option<(u32, u32)>,
    pub(super) hour: Hour,
}
