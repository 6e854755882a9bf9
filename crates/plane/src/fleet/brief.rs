//! What people see of an instance where they see everybody: what it runs, what is found, and which window runs out first.
//!
//! Never decides anything: a page shows it, with whoever is shown looked up on record.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use governance::warning::{self, Window};
use governance::{FindingCode, Instance, InstanceId, Span, State, Timestamp, Version, World};
use wire::{FleetSummary, Risk, SoonCounts};

use super::{Fleet, SHARDS};

/// That no window runs out.
const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);
/// What counts as soon, and what as not so soon.
const DAY: Span = Span::hours(24);
const WEEK: Span = Span::hours(7 * 24);

/// The part of a row that is for people's eyes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brief {
    /// What it runs.
    platform: Version,
    /// When the first of its windows runs out.
    ends: Timestamp,
    /// What is found against it: a bit for each code, in their order.
    findings: u8,
    /// Matters about it before the Founder.
    escalations: u8,
}

impl Brief {
    pub(super) fn of(instance: &Instance, world: &World, now: Timestamp) -> Self {
        let is_found = |code: &FindingCode| instance.findings.iter().any(|finding| finding.code == *code);
        let bits = FindingCode::ALL.iter().zip(0..u8::BITS);
        let findings = bits.filter(|(code, _)| is_found(code)).fold(0, |all, (_, bit)| all | 1 << bit);
        Self {
            platform: instance.running.platform,
            ends: ends(instance, world, now),
            findings,
            escalations: u8::try_from(instance.escalations.len()).unwrap_or(u8::MAX),
        }
    }

    fn is_found(&self) -> impl Iterator<Item = FindingCode> {
        let findings = self.findings;
        FindingCode::ALL
            .iter()
            .zip(0..u8::BITS)
            .filter(move |(_, bit)| findings & 1 << bit != 0)
            .map(|(code, _)| *code)
    }
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
        for number in (0..SHARDS).filter(|_| self.is_loaded()) {
            for (id, row) in &self.shard(number)?.rows {
                let (state, brief) = (row.known.state, &row.brief);
                add(&mut sums, state, brief);
                if brief.ends < NEVER && brief.ends >= now {
                    count_soon(&mut sums.soon, brief.ends.since(now));
                    first.push(Risk { at: brief.ends, instance: *id });
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

fn add(sums: &mut FleetSummary, state: State, brief: &Brief) {
    sums.instances += 1;
    *sums.states.entry(state).or_default() += 1;
    if state != State::Revoked {
        *sums.platforms.entry(brief.platform).or_default() += 1;
    }
    for code in brief.is_found() {
        *sums.findings.entry(code).or_default() += 1;
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
        let brief = Brief::of(instance, world, now);
        add(&mut sums, instance.state, &brief);
        if brief.ends < NEVER {
            count_soon(&mut sums.soon, brief.ends.since(now));
            risks.insert(Reverse(Risk { at: brief.ends, instance: instance.id }), ());
            if risks.len() > most {
                risks.pop_first();
            }
        }
    }
    sums.risks = risks.into_keys().rev().map(|Reverse(risk)| risk).collect();
    sums
}
