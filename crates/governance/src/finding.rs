//! Findings: what an audit found against an instance, since when, by which rule, and what clears it (§VI).
//!
//! Never says whether one is due: `reconcile` does.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::text::words;
use crate::time::Timestamp;

words! {
    /// A finding's code (CO-1…CO-9).
    pub enum FindingCode ("finding") {
        /// CO-1.
        VersionDrift = "version-drift",
        /// CO-3.
        SecurityPatchOverdue = "security-patch-overdue",
        /// CO-4.
        TierMismatch = "tier-mismatch",
        /// CO-5.
        EntitlementViolation = "entitlement-violation",
        /// CO-6.
        RuntimeIncompatible = "runtime-incompatible",
        /// CO-7.
        NotReporting = "not-reporting",
        /// CO-8.
        UnauthorisedFork = "unauthorised-fork",
        /// CO-9.
        VersionChainBroken = "version-chain-broken",
    }
}

impl FindingCode {
    /// The rule it rests on.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::VersionDrift => "CO-1",
            Self::SecurityPatchOverdue => "CO-3",
            Self::TierMismatch => "CO-4",
            Self::EntitlementViolation => "CO-5",
            Self::RuntimeIncompatible => "CO-6",
            Self::NotReporting => "CO-7",
            Self::UnauthorisedFork => "CO-8",
            Self::VersionChainBroken => "CO-9",
        }
    }

    /// What clears it, in words for the instance's owner.
    #[must_use]
    pub const fn cleared_by(self) -> &'static str {
        match self {
            Self::VersionDrift => "install the release on offer",
            Self::SecurityPatchOverdue => "install the security release on offer",
            Self::TierMismatch => "subscribe to a tier that runs on this kind of instance",
            Self::EntitlementViolation => "deactivate the module, or subscribe to a tier that allows it",
            Self::RuntimeIncompatible => "move to a runtime that the matrix allows for this version",
            Self::NotReporting => "send a signed version statement",
            Self::UnauthorisedFork => "restore the content the Organism signed for this version",
            Self::VersionChainBroken => "enrol the instance afresh under its id",
        }
    }

    /// Whether it stays until an act of its own clears it, rather than until its condition passes.
    #[must_use]
    pub const fn is_sticky(self) -> bool {
        matches!(self, Self::VersionChainBroken)
    }
}

/// An open finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What was found.
    pub code: FindingCode,
    /// Since when.
    pub since: Timestamp,
}

/// The Founder's override of one finding until a date (FO-3): it is on record, and nothing follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Which finding.
    pub code: FindingCode,
    /// From when.
    pub from: Timestamp,
    /// Until when; this instant is still inside.
    pub until: Timestamp,
}

/// A matter put before the Founder (CO-13): one per rule and subject while it is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// The rule that asks for it.
    pub rule: String,
    /// Since when it is open.
    pub since: Timestamp,
    /// What happened, in words.
    pub facts: String,
    /// Since when somebody has it in hand (FO-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Timestamp>,
}

impl Escalation {
    /// An open one.
    pub(crate) fn new(rule: &str, facts: &str, since: Timestamp) -> Self {
        Self { rule: String::from(rule), since, facts: String::from(facts), acknowledged: None }
    }

    /// Notes that somebody has the one under this rule in hand.
    pub(crate) fn acknowledge(all: &mut [Self], rule: &str, at: Timestamp) {
        for open in all.iter_mut().filter(|open| open.rule == rule) {
            open.acknowledged.get_or_insert(at);
        }
    }
}
