//! The states of an instance and the only ways between them (§III, LC-1…LC-18), as one table.
//!
//! Never says when a transition is due: `reconcile` and `decide` do.

use crate::text::words;

words! {
    /// Where an instance stands; exactly one at a time (§III).
    pub enum State ("state") {
        /// It has its identity, and is being deployed.
        Registered = "registered",
        /// It runs, and nothing is owed.
        Active = "active",
        /// Held: no offers, no new tokens, clocks stand still (LC-19).
        Suspended = "suspended",
        /// A release is on offer.
        UpdatePending = "update-pending",
        /// It is installing.
        UpgradeInProgress = "upgrade-in-progress",
        /// A finding is open.
        OutOfCompliance = "out-of-compliance",
        /// Locked out.
        Revoked = "revoked",
    }
}

words! {
    /// Who may take a decision (§1).
    pub enum Authority ("authority") {
        /// Holds the root.
        Founder = "founder",
        /// Defines versions.
        Organism = "organism",
        /// Governs.
        Federation = "federation",
        /// Carries out on its own instance.
        Runtime = "runtime",
    }
}

words! {
    /// What sets a transition off: the trigger column of the law's table.
    pub enum Cause ("cause") {
        /// Deployment complete and subscription valid.
        DeploymentComplete = "deployment-complete",
        /// A release is offered and the instance is eligible.
        ReleaseOffered = "release-offered",
        /// Deployment of an offered release started.
        UpgradeStarted = "upgrade-started",
        /// The new version is running.
        UpgradeSucceeded = "upgrade-succeeded",
        /// The attempt failed and was rolled back.
        UpgradeFailed = "upgrade-failed",
        /// Not finished within `upgrade.stall_after`.
        UpgradeStalled = "upgrade-stalled",
        /// The offer is withdrawn, superseded or rolled back.
        OfferEnded = "offer-ended",
        /// A finding is open.
        FindingOpen = "finding-open",
        /// Every finding is cleared.
        FindingsCleared = "findings-cleared",
        /// A finding stayed open beyond `compliance.suspend_after` (CO-11).
        FindingTooOld = "finding-too-old",
        /// The security ladder's second step (CO-3).
        SecurityOverdue = "security-overdue",
        /// The subscription lapsed beyond its grace, or was revoked (CO-10).
        SubscriptionEnded = "subscription-ended",
        /// An operator suspends.
        OperatorSuspended = "operator-suspended",
        /// An operator reactivates; subscription valid and audit clean.
        OperatorReactivated = "operator-reactivated",
        /// The Founder suspends.
        FounderSuspended = "founder-suspended",
        /// The Founder revokes by an order.
        FounderRevoked = "founder-revoked",
        /// Drift beyond `drift.freeze`, under the Founder's standing order (CO-2, LC-18).
        DriftFrozen = "drift-frozen",
        /// An unauthorised fork, under the Founder's standing order (CO-8, LC-18).
        Forked = "forked",
        /// The Founder restores.
        FounderRestored = "founder-restored",
    }
}

/// One row of the law's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The rule's id.
    pub rule: &'static str,
    /// From here,
    pub from: State,
    /// to there,
    pub to: State,
    /// because of this,
    pub cause: Cause,
    /// decided by this authority.
    pub by: Authority,
}

const fn t(rule: &'static str, from: State, to: State, cause: Cause, by: Authority) -> Transition {
    Transition { rule, from, to, cause, by }
}

use Authority::{Federation, Founder, Runtime};
use Cause::*;
use State::*;

/// Every transition that exists (§III). Everything else is `illegal-transition`.
#[rustfmt::skip]
pub const TRANSITIONS: &[Transition] = &[
    // id        from               to                 cause                 by
    t("LC-1",  Registered,        Active,            DeploymentComplete,   Runtime),
    t("LC-2",  Active,            UpdatePending,     ReleaseOffered,       Federation),
    t("LC-3",  UpdatePending,     UpgradeInProgress, UpgradeStarted,       Runtime),
    t("LC-4",  UpgradeInProgress, Active,            UpgradeSucceeded,     Runtime),
    t("LC-5",  UpgradeInProgress, UpdatePending,     UpgradeFailed,        Runtime),
    t("LC-5",  UpgradeInProgress, UpdatePending,     UpgradeStalled,       Federation),
    t("LC-6",  Active,            OutOfCompliance,   FindingOpen,          Federation),
    t("LC-7",  OutOfCompliance,   Suspended,         FindingTooOld,        Federation),
    t("LC-7",  OutOfCompliance,   Suspended,         SecurityOverdue,      Federation),
    t("LC-8",  Active,            Suspended,         SubscriptionEnded,    Federation),
    t("LC-8",  Active,            Suspended,         OperatorSuspended,    Federation),
    t("LC-8",  Active,            Suspended,         SecurityOverdue,      Federation),
    t("LC-8",  Active,            Suspended,         FindingTooOld,        Federation),
    t("LC-9",  Suspended,         Active,            OperatorReactivated,  Federation),
    t("LC-10", Registered,        Revoked,           FounderRevoked,       Founder),
    t("LC-10", Active,            Revoked,           FounderRevoked,       Founder),
    t("LC-10", Suspended,         Revoked,           FounderRevoked,       Founder),
    t("LC-10", UpdatePending,     Revoked,           FounderRevoked,       Founder),
    t("LC-10", UpgradeInProgress, Revoked,           FounderRevoked,       Founder),
    t("LC-10", OutOfCompliance,   Revoked,           FounderRevoked,       Founder),
    t("LC-11", OutOfCompliance,   Active,            FindingsCleared,      Federation),
    t("LC-12", UpdatePending,     OutOfCompliance,   FindingOpen,          Federation),
    t("LC-13", OutOfCompliance,   UpgradeInProgress, UpgradeStarted,       Runtime),
    t("LC-14", UpdatePending,     Active,            OfferEnded,           Federation),
    t("LC-15", UpdatePending,     Suspended,         SubscriptionEnded,    Federation),
    t("LC-15", UpdatePending,     Suspended,         OperatorSuspended,    Federation),
    t("LC-15", UpdatePending,     Suspended,         SecurityOverdue,      Federation),
    t("LC-15", UpdatePending,     Suspended,         FindingTooOld,        Federation),
    t("LC-15", OutOfCompliance,   Suspended,         SubscriptionEnded,    Federation),
    t("LC-15", OutOfCompliance,   Suspended,         OperatorSuspended,    Federation),
    t("LC-15", Registered,        Suspended,         SubscriptionEnded,    Federation),
    t("LC-15", Registered,        Suspended,         OperatorSuspended,    Federation),
    t("LC-15", Registered,        Suspended,         FindingTooOld,        Federation),
    t("LC-16", Registered,        Suspended,         FounderSuspended,     Founder),
    t("LC-16", Active,            Suspended,         FounderSuspended,     Founder),
    t("LC-16", UpdatePending,     Suspended,         FounderSuspended,     Founder),
    t("LC-16", UpgradeInProgress, Suspended,         FounderSuspended,     Founder),
    t("LC-16", OutOfCompliance,   Suspended,         FounderSuspended,     Founder),
    // Under a standing order the Federation acts in the Founder's name, and waits for the end of an upgrade as it always does.
    t("LC-18", Active,            Revoked,           DriftFrozen,          Federation),
    t("LC-18", UpdatePending,     Revoked,           DriftFrozen,          Federation),
    t("LC-18", OutOfCompliance,   Revoked,           DriftFrozen,          Federation),
    t("LC-18", Active,            Revoked,           Forked,               Federation),
    t("LC-18", UpdatePending,     Revoked,           Forked,               Federation),
    t("LC-18", OutOfCompliance,   Revoked,           Forked,               Federation),
    t("LC-18", Suspended,         Revoked,           DriftFrozen,          Federation),
    t("LC-18", Suspended,         Revoked,           Forked,               Federation),
    t("LC-18", Registered,        Revoked,           Forked,               Federation),
    t("LC-17", Revoked,           Suspended,         FounderRestored,      Founder),
];

/// The row of the table for this step, if the law has one.
#[must_use]
pub fn transition(from: State, to: State, cause: Cause) -> Option<&'static Transition> {
    TRANSITIONS.iter().find(|row| row.from == from && row.to == to && row.cause == cause)
}

/// The row by which this cause moves an instance out of `from`, if the law has one.
#[must_use]
pub fn transition_by(from: State, cause: Cause) -> Option<&'static Transition> {
    TRANSITIONS.iter().find(|row| row.from == from && row.cause == cause)
}

impl State {
    /// Whether a rollout may count the instance among the eligible (§6).
    #[must_use]
    pub const fn is_eligible(self) -> bool {
        matches!(self, Active | UpdatePending | UpgradeInProgress | OutOfCompliance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Authority::Organism;

    #[test]
    fn lc_10_and_lc_16_reach_every_state_they_name() {
        for &from in State::ALL {
            assert_eq!(transition_by(from, FounderRevoked).is_some(), from != Revoked, "LC-10 {from}");
            let holdable = !matches!(from, Revoked | Suspended);
            assert_eq!(transition_by(from, FounderSuspended).is_some(), holdable, "LC-16 {from}");
        }
    }

    #[test]
    fn in_6_only_the_founder_leads_out_of_revoked() {
        assert!(TRANSITIONS.iter().filter(|row| row.from == Revoked).all(|row| row.by == Founder));
        assert_eq!(transition_by(Revoked, FounderRestored).map(|row| row.to), Some(Suspended), "FO-4");
    }

    /// Every state that is reached from here by rows that `may` be walked.
    fn reached(from: State, may: impl Fn(&Transition) -> bool) -> std::vec::Vec<State> {
        let mut found = std::vec![from];
        let mut next = 0;
        while let Some(&at) = found.get(next) {
            for row in TRANSITIONS.iter().filter(|row| row.from == at && may(row)) {
                if !found.contains(&row.to) {
                    found.push(row.to);
                }
            }
            next += 1;
        }
        found
    }

    #[test]
    fn lc_every_state_is_reached_and_leads_to_active() {
        for &state in State::ALL {
            assert!(reached(state, |_| true).contains(&Active), "from {state}");
            assert!(reached(Registered, |_| true).contains(&state), "to {state}");
        }
    }

    #[test]
    fn in_6_fo_4_no_way_leads_out_of_revoked_without_the_founder_nor_past_suspended() {
        assert_eq!(reached(Revoked, |row| row.by != Founder), [Revoked]);
        let past = reached(Revoked, |row| row.from == Revoked || row.from != Suspended);
        assert_eq!(past, [Revoked, Suspended]);
        // Of the suspended only an operator's act makes an active one (LC-9).
        assert_eq!(reached(Suspended, |row| row.cause != OperatorReactivated), [Suspended, Revoked]);
    }

    #[test]
    fn lc_a_transition_leads_elsewhere_and_stands_once() {
        for (index, row) in TRANSITIONS.iter().enumerate() {
            assert_ne!(row.from, row.to, "{row:?}");
            assert!(!TRANSITIONS.iter().skip(index + 1).any(|other| other == row), "{row:?}");
            assert!(row.by != Organism, "the Organism governs no instance: {row:?}");
        }
        for &cause in Cause::ALL {
            let mut rows = TRANSITIONS.iter().filter(|row| row.cause == cause);
            let first = rows.next();
            assert!(first.is_some(), "{cause} sets nothing off");
            assert!(
                rows.all(|row| Some(row.by) == first.map(|first| first.by)),
                "{cause} is of two authorities"
            );
        }
    }

    #[test]
    fn a_cause_has_one_way_out_of_a_state() {
        for row in TRANSITIONS {
            let twins = TRANSITIONS.iter().filter(|other| other.from == row.from && other.cause == row.cause);
            assert_eq!(twins.count(), 1, "{row:?}");
        }
    }

    #[test]
    fn an_upgrade_in_progress_is_interrupted_by_the_founder_alone() {
        for row in TRANSITIONS.iter().filter(|row| row.from == UpgradeInProgress) {
            assert!(row.by != Federation || row.cause == UpgradeStalled, "{row:?}");
        }
    }
}
