//! One instance of the fleet: its record, and its own side of things: what it really runs, what it is about to do.
//!
//! Never says what a deed leads to: it only does it, or does not.

use governance::{FindingCode, Instance, InstanceId, State};

use super::book::{Book, Hour};
use super::desk::Record;
use super::packed::Owner;
use super::tally::{Standing, slot};

/// A time that never comes.
pub(super) const NEVER: Hour = Hour::MAX;

/// What an instance is about to do about an offer, by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Plan {
    #[default]
    Idle,
    /// Begins the release then.
    Begin { release: u8, at: Hour },
    /// Ends an attempt then, well or not.
    Finish { release: u8, at: Hour, well: bool },
}

/// What an instance really runs, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Truth {
    pub(super) platform: u8,
    /// A version whose line goes with the runtime.
    pub(super) runtime: u8,
    pub(super) forked: bool,
}

/// What the Founder is about to order for an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appeal {
    Suspend,
    Revoke,
    Restore,
}

/// How an instance stood when it was last counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    state: State,
    platform: u8,
    /// A bit for each open finding.
    findings: u8,
}

/// What of an instance is read and written every day; kept apart from the rest, so that a quiet day touches little.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    /// When it is looked at next.
    pub(super) next: Hour,
    /// When it reports next, and is audited.
    pub(super) daily: Hour,
    /// Up to when nothing can become due for it, so long as nothing but its daily statement happens.
    pub(super) quiet: Hour,
    /// Statements of this enrolment so far.
    pub(super) sequence: u32,
    /// When it made the last of them.
    pub(super) stated: Hour,
    /// Its steps so far.
    pub(super) steps: u32,
}

impl Pulse {
    pub(super) const fn new(joins: Hour) -> Self {
        Self { next: joins, daily: joins, quiet: 0, sequence: 0, stated: 0, steps: 0 }
    }
}

/// An instance of the fleet.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) id: InstanceId,
    pub(super) record: Record,
    pub(super) stand: Option<Stand>,
    /// Until when it is out, if it is.
    pub(super) out: Option<Hour>,
    pub(super) plan: Plan,
    /// When its subscription is renewed.
    pub(super) renews: Hour,
    /// When operators, or its owner, mend what is wrong.
    pub(super) mends: Hour,
    /// When the Founder decides about it, and what.
    pub(super) appeal: Option<(Hour, Appeal)>,
    pub(super) truth: Truth,
    pub(super) enrolment: u8,
}

impl Unit {
    pub(super) fn new(id: InstanceId) -> Self {
        Self {
            id,
            record: Record::Absent,
            stand: None,
            out: None,
            plan: Plan::Idle,
            renews: NEVER,
            mends: NEVER,
            appeal: None,
            truth: Truth::default(),
            enrolment: 0,
        }
    }
}

impl Unit {
    /// What its record is packed by.
    pub(super) const fn owner(&self, index: u32) -> Owner {
        Owner { index, id: self.id, enrolment: self.enrolment }
    }
}

impl Stand {
    pub(super) fn of(instance: &Instance, book: &Book) -> Self {
        let platform = book.number(instance.running.platform).unwrap_or(u8::MAX);
        let findings = instance.findings.iter().fold(0, |bits, finding| bits | 1 << (finding.code as u8));
        Self { state: instance.state, platform, findings }
    }

    /// Counts it, or with the other sign takes it out of the count.
    pub(super) fn count(self, standing: &mut Standing, fold: impl Fn(u64) -> u64) {
        let add = |slot: &mut u64| *slot = fold(*slot);
        standing.states.get_mut(self.state as usize).into_iter().for_each(add);
        if self.state != State::Revoked {
            slot(&mut standing.versions, usize::from(self.platform)).into_iter().for_each(add);
        }
        for &code in FindingCode::ALL {
            if self.findings & 1 << (code as u8) != 0 {
                standing.findings.get_mut(code as usize).into_iter().for_each(add);
            }
        }
    }
}
