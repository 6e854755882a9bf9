//! Compares what a timeline expects with what is.
//!
//! Never changes anything.

use std::collections::BTreeSet;
use std::fmt::Display;

use governance::entitlement::{entitlement, entitlement_status};
use governance::explain::{Counts, counts_wanted, explain_counted};
use governance::{Escalation, Instance, Span, Timestamp, Version, World};

use super::Failure;
use super::fleet::Unit;
use super::model::{Expect, Explains, Filter, InstanceHolds, RolloutHolds, Subject};
use super::play::Play;

/// The first difference found: what was looked at, what was expected, what was found.
struct Difference {
    aspect: &'static str,
    expected: String,
    found: String,
}

/// Nothing when both read the same.
fn same(
    aspect: &'static str,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Result<(), Difference> {
    let (expected, found) = (expected.into(), found.into());
    if expected == found { Ok(()) } else { Err(Difference { aspect, expected, found }) }
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(", "))
}

fn or_nothing(value: Option<impl Display>) -> String {
    value.map_or_else(|| String::from("nothing"), |value| value.to_string())
}

impl Play<'_> {
    /// Compares one expectation.
    pub(super) fn check(&self, expect: &Expect) -> Result<(), Failure> {
        let (subject, outcome) = match &expect.subject {
            Subject::Instance(index, holds) => {
                let unit = self.fleet.get(*index);
                let name = unit.map_or("", |unit| unit.joiner.name.as_str());
                let compared = |unit| {
                    instance(unit, holds, &self.world, self.now)?;
                    holds.explains.as_ref().map_or(Ok(()), |explains| self.explains(unit, explains))
                };
                (format!("instance {name}"), unit.map_or(Ok(()), compared))
            }
            Subject::Rollout(release, holds) => (format!("rollout {release}"), self.rollout(*release, holds)),
            Subject::Fleet(filter, count) => {
                let found = self.records().filter(|record| passes(record, filter)).count();
                (String::from("fleet"), same("count", count.to_string(), found.to_string()))
            }
            Subject::Escalations(count) => {
                let found = self.escalations().count();
                (String::from("inbox"), same("escalations", count.to_string(), found.to_string()))
            }
            Subject::Acknowledged(count) => {
                let found = self.escalations().filter(|open| open.acknowledged.is_some()).count();
                (String::from("inbox"), same("acknowledged", count.to_string(), found.to_string()))
            }
        };
        outcome.map_err(|difference| Failure {
            at: self.elapsed(),
            line: expect.line,
            subject: format!("{subject}, {}", difference.aspect),
            expected: difference.expected,
            found: difference.found,
        })
    }

    fn escalations(&self) -> impl Iterator<Item = &Escalation> {
        let of_instances = self.records().flat_map(|record| &record.escalations);
        let of_rollouts = self.world.rollouts.iter().flat_map(|rollout| &rollout.escalations);
        of_instances.chain(of_rollouts).chain(&self.world.escalations)
    }

    fn records(&self) -> impl Iterator<Item = &Instance> {
        self.fleet.iter().filter_map(|unit| unit.record.as_ref())
    }

    /// Compares why an instance has not got a release.
    fn explains(&self, unit: &Unit<'_>, holds: &Explains) -> Result<(), Difference> {
        let Some(record) = unit.record.as_ref() else {
            return same("registration", "one", "none: it has not joined");
        };
        let ids = counts_wanted(record, &self.world, Some(holds.release)).into_iter();
        let counts: Counts = ids.filter_map(|id| Some((id, self.census(self.world.rollout(id)?)))).collect();
        let told = explain_counted(record, &self.world, &counts, Some(holds.release), self.now);
        let Some(told) = told.releases.first() else { return Ok(()) };
        let rules: BTreeSet<_> = told.answers.iter().map(|answer| &answer.rule).collect();
        same("rules that explain", list(&holds.rules), list(rules))?;
        let Some(earliest) = &holds.earliest else { return Ok(()) };
        // Windows are closed: what ends at an instant lets go of it right after, by the millisecond.
        let second = 1_000;
        let whole = |at: Timestamp| at.since(self.scenario.start).as_millis() / second * second;
        let found = told.earliest.map(|at| Span::from_millis(whole(at)));
        same("earliest", or_nothing(*earliest), or_nothing(found))
    }

    fn rollout(&self, release: Version, holds: &RolloutHolds) -> Result<(), Difference> {
        let Some(rollout) = self.world.rollout_of(release) else {
            return same("rollout", "one", "none");
        };
        if let Some(phase) = holds.phase {
            same("phase", phase, rollout.shown())?;
        }
        if let Some(cohort) = holds.cohort {
            let found = self.inside.get(&rollout.id).map_or(0, BTreeSet::len);
            same("cohort", cohort.to_string(), found.to_string())?;
        }
        match &holds.holding {
            Some(holding) => {
                same("holding", or_nothing(holding.as_ref()), or_nothing(rollout.holding.as_ref()))
            }
            None => Ok(()),
        }
    }
}

fn instance(unit: &Unit<'_>, holds: &InstanceHolds, world: &World, now: Timestamp) -> Result<(), Difference> {
    let Some(record) = unit.record.as_ref() else {
        return same("registration", "one", "none: it has not joined");
    };
    if let Some(state) = holds.state {
        same("state", state.as_str(), record.state.as_str())?;
    }
    if let Some(findings) = &holds.findings {
        let found: BTreeSet<_> = record.findings.iter().map(|finding| finding.code).collect();
        same("findings", list(findings), list(found))?;
    }
    if let Some(platform) = holds.platform {
        same("platform", platform.to_string(), record.running.platform.to_string())?;
    }
    if let Some(domains) = &holds.domains {
        let found: BTreeSet<_> = record.domains.iter().collect();
        same("domains", list(domains), list(found))?;
    }
    match holds.token {
        None => {}
        Some(None) => {
            let found = entitlement(record, world, now).map_or("none", |_| "one");
            same("token", "none", found)?;
        }
        Some(Some(status)) => same("token", status.as_str(), entitlement_status(record).as_str())?,
    }
    if let Some(warnings) = &holds.warnings {
        let found: BTreeSet<_> =
            record.warnings.iter().map(|warning| format!("{}-{}", warning.window, warning.point)).collect();
        same("warnings", list(warnings), list(found))?;
    }
    if let Some(offered) = holds.offered {
        same("offered", or_nothing(offered), or_nothing(record.offer.map(|offer| offer.release)))?;
    }
    if let Some(path) = &holds.path {
        same("path", list(path), list(&unit.path))?;
    }
    match &holds.versions {
        Some(versions) => same("versions", list(versions), list(&unit.versions)),
        None => Ok(()),
    }
}

fn passes(record: &Instance, filter: &Filter) -> bool {
    filter.state.is_none_or(|state| record.state == state)
        && filter.platform.is_none_or(|platform| record.running.platform == platform)
        && filter.kind.is_none_or(|kind| record.kind == kind)
        && filter.tier.is_none_or(|tier| record.subscription.tier == tier)
        && filter.finding.is_none_or(|code| record.finding(code).is_some())
}
