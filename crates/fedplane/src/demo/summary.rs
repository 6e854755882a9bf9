//! What the demo ends with: a table of what was claimed and what was found, and the same in figures for programs.

use std::collections::BTreeMap;

use governance::{State, Version};
use serde::Serialize;

/// The figures, as `--json` prints them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Instances that enrolled.
    pub instances: usize,
    /// How many are in which state.
    pub states: BTreeMap<State, u64>,
    /// Every rollout, oldest first.
    pub rollouts: Vec<RolloutSummary>,
    /// The ledger.
    pub ledger: LedgerSummary,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// A rollout in figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RolloutSummary {
    /// What it brought.
    pub release: Version,
    /// Where it stands: `done`, `halted` …
    pub phase: String,
    /// Instances that were ever offered it.
    pub offered: u64,
    /// Instances that installed it.
    pub installed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Instances that went back from it, by themselves or by direction.
    pub rolled_back: u64,
}

/// The ledger in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LedgerSummary {
    /// Entries verified, or seen where the verification was not reached.
    pub entries: u64,
    /// Whether they were verified from the root keys alone.
    pub verified: bool,
}

impl From<&wire::RolloutView> for RolloutSummary {
    fn from(view: &wire::RolloutView) -> Self {
        Self {
            release: view.release,
            phase: view.phase.clone(),
            offered: view.offered,
            installed: view.installed,
            failed: view.failed,
            rolled_back: view.rolled_back,
        }
    }
}

/// A step of the story: what is claimed of it, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// What should happen.
    pub(super) claimed: &'static str,
    /// What did.
    pub(super) found: Found,
}

/// What came of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It happened, as these facts show.
    Happened(String),
    /// It did not.
    Failed(String),
    /// An earlier one failed.
    NotReached,
}

impl Claim {
    /// The row of the table.
    pub(super) fn row(&self, number: usize) -> Vec<String> {
        let (mark, found) = match &self.found {
            Found::Happened(found) => ("✓", found.as_str()),
            Found::Failed(_) => ("✗", "did not happen: see the error below"),
            Found::NotReached => ("·", "not reached"),
        };
        vec![mark.to_owned(), number.to_string(), self.claimed.to_owned(), found.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_the_form_that_programs_read() {
        let summary = Summary {
            instances: 2,
            states: BTreeMap::from([(State::Active, 1), (State::OutOfCompliance, 1)]),
            rollouts: vec![RolloutSummary {
                release: Version::new(0, 1, 2),
                phase: "halted".to_owned(),
                offered: 4,
                installed: 3,
                failed: 1,
                rolled_back: 4,
            }],
            ledger: LedgerSummary { entries: 9, verified: true },
            seconds: 1.5,
        };
        let text = serde_json::to_string(&summary).unwrap();
        let expected = concat!(
            r#"{"instances":2,"states":{"active":1,"out-of-compliance":1},"#,
            r#""rollouts":[{"release":"0.1.2","phase":"halted","offered":4,"installed":3,"failed":1,"rolled_back":4}],"#,
            r#""ledger":{"entries":9,"verified":true},"seconds":1.5}"#
        );
        assert_eq!(text, expected);
    }
}
