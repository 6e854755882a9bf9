//! What a simulation found, in the words of the law.
//!
//! Never says how long it took: that is no fact of the fleet.

use governance::{Class, FindingCode, InstanceId, RolloutId, State, Timestamp, Version, World};
use serde::Serialize;

use super::Options;
use super::book::{Book, Hour};
use super::tally::{Standing, Tally};

/// An invariant that broke: where, and what stood there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// Its id, as `IN-4`.
    pub invariant: &'static str,
    /// What is wrong.
    pub what: String,
    /// Of which instance; none where the federation as a whole decided.
    pub instance: Option<InstanceId>,
    /// The instance's number in the fleet.
    pub number: Option<u32>,
    /// At the instance's so many-th step.
    pub step: Option<u32>,
    /// On which day, the first being 1.
    pub day: u32,
    /// At which instant.
    pub at: Timestamp,
}

/// Instances in a state at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateRow {
    /// Which.
    pub state: State,
    /// How many.
    pub instances: u64,
}

/// Instances on a version at the end, the revoked left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionRow {
    /// Which.
    pub version: Version,
    /// How many.
    pub instances: u64,
}

/// What became of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RolloutRow {
    /// Its id.
    pub rollout: RolloutId,
    /// Of which release.
    pub release: Version,
    /// Of which class.
    pub class: Class,
    /// When it was made.
    pub opened: Timestamp,
    /// Where it stands: a phase, or how it ended.
    pub phase: &'static str,
    /// Why its phase holds, if it does.
    pub holding: Option<String>,
    /// Offers made.
    pub offered: u64,
    /// Attempts begun.
    pub begun: u64,
    /// Attempts that succeeded.
    pub installed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that stalled.
    pub stalled: u64,
    /// Instances that went back as directed.
    pub went_back: u64,
}

/// Findings of a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingRow {
    /// Which.
    pub finding: FindingCode,
    /// Its rule.
    pub rule: &'static str,
    /// Opened over all the time.
    pub opened: u64,
    /// Open at the end.
    pub open: u64,
}

/// Matters put before the Founder under a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EscalationRow {
    /// Which rule.
    pub rule: String,
    /// How many.
    pub escalations: u64,
}

/// Commands refused with a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalRow {
    /// Which: that of the first reason.
    pub code: &'static str,
    /// How many.
    pub refusals: u64,
}

/// Transitions by a row of the law.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransitionRow {
    /// Which, as `LC-2`.
    pub rule: &'static str,
    /// How many.
    pub transitions: u64,
}

/// A change of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) rollout: usize,
    pub(super) hour: Hour,
    pub(super) what: &'static str,
}

/// How the fleet stood at the end of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) hour: Hour,
    pub(super) standing: Standing,
}

/// What a simulation found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Instances of the fleet.
    pub instances: u32,
    /// Of them, those that joined.
    pub joined: u64,
    /// Days simulated.
    pub days: u32,
    /// The seed.
    pub seed: u64,
    /// The profile of faults.
    pub faults: &'static str,
    /// The first instant.
    pub start: Timestamp,
    /// The last instant.
    pub end: Timestamp,
    /// Times that an instance was audited, its standing checked against the invariants.
    pub audits: u64,
    /// Of the audits, those in which nothing can be due, so that no record is opened: of daily statements that repeat the
    /// last, and in sweeps of whoever is like one that was opened.
    pub quiet: u64,
    /// Events decided, each checked against the invariants.
    pub events: u64,
    /// Commands that the law refused, by code.
    pub refusals: Vec<RefusalRow>,
    /// Records that did not pack at the end.
    pub unpacked: u64,
    /// By state at the end.
    pub states: Vec<StateRow>,
    /// By version at the end.
    pub versions: Vec<VersionRow>,
    /// Every rollout.
    pub rollouts: Vec<RolloutRow>,
    /// Every code.
    pub findings: Vec<FindingRow>,
    /// By rule.
    pub escalations: Vec<EscalationRow>,
    /// By row of the law.
    pub transitions: Vec<TransitionRow>,
    /// The invariant that broke, if one did.
    pub breach: Option<Breach>,
    #[serde(skip)]
    pub(super) editions: Vec<Version>,
    #[serde(skip)]
    pub(super) marks: Vec<Mark>,
    #[serde(skip)]
    pub(super) series: Vec<Day>,
}

impl Summary {
    #[expect(clippy::too_many_arguments, reason = "everything that a simulation leaves, once")]
    pub(super) fn new(
        options: &Options,
        book: &Book,
        world: &World,
        tally: Tally,
        marks: Vec<Mark>,
        series: Vec<Day>,
        unpacked: u64,
        breach: Option<Breach>,
    ) -> Self {
        let standing = &tally.standing;
        let count = |list: &[u64], index: usize| list.get(index).copied().unwrap_or_default();
        let states = State::ALL
            .iter()
            .map(|state| StateRow { state: *state, instances: count(&standing.states, *state as usize) });
        let versions = book.editions.iter().enumerate().map(|(number, edition)| VersionRow {
            version: edition.version,
            instances: count(&standing.versions, number),
        });
        let findings = FindingCode::ALL.iter().map(|code| FindingRow {
            finding: *code,
            rule: code.rule(),
            opened: count(&tally.findings, *code as usize),
            open: count(&standing.findings, *code as usize),
        });
        let mut transitions: Vec<TransitionRow> = tally
            .transitions
            .iter()
            .map(|(rule, transitions)| TransitionRow { rule, transitions: *transitions })
            .collect();
        transitions.sort_by_key(|row| (row.rule.len(), row.rule));
        let escalations = tally.escalations.iter();
        Self {
            instances: options.instances,
            joined: standing.states.iter().sum(),
            days: options.days,
            seed: options.seed,
            faults: options.profile.name,
            start: book.start,
            end: book.at(options.hours()),
            audits: tally.audits,
            quiet: tally.quiet,
            events: tally.events,
            refusals: tally
                .refusals
                .iter()
                .map(|(code, refusals)| RefusalRow { code, refusals: *refusals })
                .collect(),
            unpacked,
            states: states.collect(),
            versions: versions.filter(|row| row.instances > 0).collect(),
            rollouts: rollouts(world, &tally),
            findings: findings.collect(),
            escalations: escalations
                .map(|(rule, escalations)| EscalationRow { rule: rule.clone(), escalations: *escalations })
                .collect(),
            transitions,
            breach,
            editions: book.editions.iter().map(|edition| edition.version).collect(),
            marks,
            series,
        }
    }
}

fn rollouts(world: &World, tally: &Tally) -> Vec<RolloutRow> {
    let row = |(number, rollout): (usize, &governance::Rollout)| {
        let uptake = tally.rollouts.get(number).copied().unwrap_or_default();
        RolloutRow {
            rollout: rollout.id,
            release: rollout.release,
            class: rollout.class,
            opened: rollout.opened,
            phase: rollout.shown(),
            holding: rollout.holding.clone(),
            offered: uptake.offered,
            begun: uptake.begun,
            installed: uptake.installed,
            failed: uptake.failed,
            stalled: uptake.stalled,
            went_back: uptake.went_back,
        }
    };
    world.rollouts.iter().enumerate().map(row).collect()
}
