//! What is due for an instance and when, and what is found against it (CO-1…CO-12, LC-5, FO-3).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Deadline, Facts, FindingExplained};
use crate::constitution::StandingOrder;
use crate::finding::FindingCode;
use crate::lifecycle::State;
use crate::silence;
use crate::time::Span;
use crate::warning::{self, Open, Window};

/// Everything that runs out, the soonest first; what stands still comes last.
pub(super) fn deadlines(facts: &Facts<'_>) -> Vec<Deadline> {
    let (here, law, now) = (facts.instance, &facts.world.constitution, facts.now);
    if here.state == State::Revoked {
        return Vec::new();
    }
    let windows = warning::open(here, facts.world, now);
    // What a window that is over leads to was found already, and is told by the findings and the state.
    let lasting = windows.iter().filter(|open| open.elapsed <= open.length);
    let mut found: Vec<Deadline> = lasting.map(|open| of_window(facts, open)).collect();
    if let Some(attempt) = here.attempt {
        let left = law.upgrade_stall_after - now.since(attempt.begun);
        let what = alloc::format!("the attempt at {}", attempt.release);
        found.push(deadline(facts, "LC-5", &what, left, true, "it counts as failed"));
    }
    if here.state != State::Registered && !here.handshake_required {
        let left = law.compliance_report_within - silence::silent(here, facts.world, now);
        let runs = !here.is_silenced(FindingCode::NotReporting, now);
        let what = "the next version statement";
        found.push(deadline(facts, "CO-7", what, left, runs, "not-reporting is found"));
    }
    found.sort_by_key(|deadline| (deadline.ends.is_none(), deadline.ends));
    found
}

fn deadline(facts: &Facts<'_>, rule: &str, what: &str, left: Span, runs: bool, then: &str) -> Deadline {
    Deadline {
        rule: String::from(rule),
        what: String::from(what),
        ends: runs.then(|| facts.now + left),
        left,
        then: String::from(then),
    }
}

fn of_window(facts: &Facts<'_>, open: &Open) -> Deadline {
    let due = facts.instance.due;
    let drifts = due.and_then(|due| due.drift).is_some_and(|drift| drift.clock.is_running());
    let secures = due.and_then(|due| due.security).is_some_and(|security| security.clock.is_running());
    let owed = due.map_or_else(String::new, |due| alloc::format!(" of {}", due.release));
    let freezes = facts.world.constitution.standing_orders.contains(&StandingOrder::DriftFreeze);
    let (rule, what, runs, then) = match open.window {
        Window::Update => ("CO-1", alloc::format!("the window{owed}"), drifts, "version-drift is found"),
        Window::Security => (
            "CO-3",
            alloc::format!("the security deadline{owed}"),
            secures,
            "security-patch-overdue is found",
        ),
        Window::SecuritySuspension => (
            "CO-3",
            alloc::format!("the second security deadline{owed}"),
            secures,
            "it is suspended, and the Founder is told",
        ),
        Window::DriftFreeze if freezes => {
            ("CO-2", String::from("drift"), drifts, "it is revoked under the standing order drift-freeze")
        }
        Window::DriftFreeze => (
            "CO-2",
            String::from("drift"),
            drifts,
            "the Founder is told: the constitution has no standing order drift-freeze",
        ),
        Window::Subscription => {
            ("CO-10", String::from("the grace of the lapsed subscription"), true, "it is suspended")
        }
        Window::Deactivation => {
            let runs = !facts.instance.is_silenced(FindingCode::EntitlementViolation, facts.now);
            ("CO-5", String::from("the deactivation notice"), runs, "entitlement-violation is found")
        }
        Window::Finding => ("CO-11", String::from("the oldest finding"), true, "it is suspended"),
    };
    deadline(facts, rule, &what, open.left(), runs, then)
}

/// What is found against the instance, and what silences it.
pub(super) fn findings(facts: &Facts<'_>) -> Vec<FindingExplained> {
    let (here, now) = (facts.instance, facts.now);
    let found = here.findings.iter().map(|finding| {
        let inside = here
            .overrides
            .iter()
            .filter(|given| given.code == finding.code && given.from <= now && now <= given.until);
        FindingExplained {
            code: finding.code,
            rule: finding.code.rule().to_string(),
            since: finding.since,
            cleared_by: finding.code.cleared_by().to_string(),
            silenced_until: inside.map(|given| given.until).max(),
        }
    });
    found.collect()
}
