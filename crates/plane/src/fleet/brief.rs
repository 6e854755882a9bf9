//! What people see of an instance where they see everybody: what it runs, what is found, and which window runs out first.
//!
//! Never decides anything: a page shows it, with whoever is shown looked up on record.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Mutex, PoisonError};

use governance::warning::{self, Window};
use governance::{FindingCode, Instance, InstanceId, Span, State, Timestamp, Version, World};
use wire::{FleetSummary, Risk, SoonCounts};

use super::{Fleet, SHARDS};

/// That no window runs out.
const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);
/// What counts as soon, and what as not so soon.
const DAY: Span = Span::hours(24);
const WEEK: Span = Span::hours(7 * 24);

/// Versions that are told apart: what an instance says it runs may be anything.
const VERSIONS_MAX: usize = 1_024;
/// The number of every other.
const NO_VERSION: u16 = u16::MAX;

/// The versions that are run, each once: there are few, and a row holds the number of its own.
#[derive(Debug, Default)]
pub(super) struct Versions(Mutex<Vec<Version>>);

impl Versions {
    /// The number of a version; [`NO_VERSION`] once there are too many to be told apart: who runs them is counted, and what is not.
    fn number(&self, version: Version) -> u16 {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = known.iter().position(|one| *one == version);
        if place.is_none() && known.len() < VERSIONS_MAX {
            known.push(version);
            return u16::try_from(known.len() - 1).unwrap_or(NO_VERSION);
        }
        place.and_then(|place| u16::try_from(place).ok()).unwrap_or(NO_VERSION)
    }

    fn all(&self) -> Vec<Version> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The part of a row that is for people's eyes: eight bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brief {
    /// When the first of its windows runs out, in seconds; all bits: never.
    ends: u32,
    /// The number of the version it runs.
    platform: u16,
    /// What is found against it: a bit for each code, in their order.
    findings: u8,
    /// Matters about it before the Founder.
    escalations: u8,
}

impl Brief {
    pub(super) fn of(instance: &Instance, world: &World, versions: &Versions, now: Timestamp) -> Self {
        Self {
            ends: match ends(instance, world, now) {
                NEVER => u32::MAX,
                at => u32::try_from(at.as_seconds()).unwrap_or(u32::MAX),
            },
            platform: versions.number(instance.running.platform),
            findings: findings(instance),
            escalations: u8::try_from(instance.escalations.len()).unwrap_or(u8::MAX),
        }
    }

    /// When the first of its windows runs out, to the second.
    fn ends(&self) -> Option<Timestamp> {
        (self.ends < u32::MAX).then(|| Timestamp::from_millis(i64::from(self.ends) * 1_000))
    }
}

/// A bit for each code that is found, in their order.
fn findings(instance: &Instance) -> u8 {
    let is_found = |code: &FindingCode| instance.findings.iter().any(|finding| finding.code == *code);
    let bits = FindingCode::ALL.iter().zip(0..u8::BITS);
    bits.filter(|(code, _)| is_found(code)).fold(0, |all, (_, bit)| all | 1 << bit)
}

/// When the first of an instance's windows runs out, of those whose time runs.
fn ends(instance: &Instance, world: &World, now: Timestamp) -> Timestamp {
    if instance.state == State::Revoked {
        return NEVER;
    }
    let owed = instance.due.into_iter().flat_map(|due| [due.security, due.drift]).flatten();
    let owed = owed.filter_map(|countdown| countdown.deadline(now));
    let open = warning::open(instance, world, now).into_iter();
    // The others are those that were reckoned above, or stand still with them.
    let steady = [Window::Subscription, Window::Finding, Window::Deactivation];
    let open = open.filter(|open| steady.contains(&open.window) && open.elapsed <= open.length);
    owed.chain(open.map(|open| now + open.left())).filter(|at| *at >= now).min().unwrap_or(NEVER)
}

impl Fleet {
    /// The whole fleet in a few numbers, with the `most` whose windows run out first; none while a row may be missing.
    pub(crate) fn summary(&self, most: usize, now: Timestamp) -> Option<FleetSummary> {
        let mut sums = FleetSummary::default();
        let mut first: BinaryHeap<Risk> = BinaryHeap::with_capacity(most + 1);
        let versions = self.versions.all();
        for number in (0..SHARDS).filter(|_| self.is_loaded()) {
            for (id, row) in &self.shard(number)?.rows {
                let (state, brief) = (row.known.state, &row.brief);
                add(&mut sums, state, versions.get(usize::from(brief.platform)).copied(), brief.findings);
                if let Some(at) = brief.ends().filter(|at| *at >= now) {
                    count_soon(&mut sums.soon, at.since(now));
                    first.push(Risk { at, instance: *id });
                    if first.len() > most {
                        first.pop();
                    }
                }
            }
        }
        sums.risks = first.into_sorted_vec();
        self.is_loaded().then_some(sums)
    }

    /// The first of those about whom something lies before the Founder, `most` of them in the order of their ids, and how many matters there
    /// are in all; none while a row may be missing.
    pub(crate) fn escalated(&self, most: usize) -> Option<(Vec<InstanceId>, u64)> {
        let (mut found, mut all) = (BinaryHeap::with_capacity(most + 1), 0);
        for number in (0..SHARDS).filter(|_| self.is_loaded()) {
            for (id, row) in self.shard(number)?.rows.iter().filter(|(_, row)| row.brief.escalations > 0) {
                all += u64::from(row.brief.escalations);
                found.push(*id);
                if found.len() > most {
                    found.pop();
                }
            }
        }
        self.is_loaded().then(|| (found.into_sorted_vec(), all))
    }
}

fn add(sums: &mut FleetSummary, state: State, platform: Option<Version>, findings: u8) {
    sums.instances += 1;
    *sums.states.entry(state).or_default() += 1;
    if let Some(platform) = platform.filter(|_| state != State::Revoked) {
        *sums.platforms.entry(platform).or_default() += 1;
    }
    for (code, _) in FindingCode::ALL.iter().zip(0..u8::BITS).filter(|(_, bit)| findings & 1 << bit != 0) {
        *sums.findings.entry(*code).or_default() += 1;
    }
}

fn count_soon(soon: &mut SoonCounts, left: Span) {
    match left {
        left if left <= DAY => soon.day += 1,
        left if left <= WEEK => soon.week += 1,
        _ => soon.later += 1,
    }
}

/// The same over instances that are at hand.
pub(crate) fn summary_of<'a>(
    instances: impl Iterator<Item = &'a Instance>,
    world: &World,
    most: usize,
    now: Timestamp,
) -> FleetSummary {
    let mut sums = FleetSummary::default();
    let mut risks: BTreeMap<Reverse<Risk>, ()> = BTreeMap::new();
    for instance in instances {
        add(&mut sums, instance.state, Some(instance.running.platform), findings(instance));
        let at = ends(instance, world, now);
        if at < NEVER {
            count_soon(&mut sums.soon, at.since(now));
            risks.insert(Reverse(Risk { at, instance: instance.id }), ());
            if risks.len() > most {
                risks.pop_first();
            }
        }
    }
    sums.risks = risks.into_keys().rev().map(|Reverse(risk)| risk).collect();
    sums
}
