//! What parameters cannot say together: a law that nobody could keep, or that would undo its own rules, is never in force.
//!
//! Never prefers one policy to another: what is merely severe, or lax, is the Founder's to choose.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use super::{Constitution, Share};
use crate::time::Span;

/// Why a constitution contradicts itself, naming the parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter} is {found}: {rule}")]
pub struct Contradiction {
    /// The parameter at fault.
    pub parameter: &'static str,
    /// Its value.
    pub found: String,
    /// What must hold.
    pub rule: &'static str,
}

/// The contradictions found so far.
#[derive(Default)]
struct Found(Vec<Contradiction>);

impl Found {
    fn must(&mut self, holds: bool, parameter: &'static str, value: &dyn Display, rule: &'static str) {
        if !holds {
            self.0.push(Contradiction { parameter, found: value.to_string(), rule });
        }
    }
}

impl Constitution {
    /// Whether the parameters can stand together.
    ///
    /// # Errors
    /// Every contradiction, each with its parameter and what must hold.
    pub fn check(&self) -> Result<(), Vec<Contradiction>> {
        let mut found = Found::default();
        self.lengths(&mut found);
        self.rollouts(&mut found);
        self.windows(&mut found);
        self.compliance(&mut found);
        self.calls(&mut found);
        self.tiers(&mut found);
        if found.0.is_empty() { Ok(()) } else { Err(found.0) }
    }

    /// Times that cannot be nothing.
    fn lengths(&self, found: &mut Found) {
        for (parameter, span) in [
            ("identity.certificate_lifetime", self.identity_certificate_lifetime),
            ("enrolment.lifetime", self.enrolment_lifetime),
            ("request.clock_skew", self.request_clock_skew),
            ("security.deadline", self.security_deadline),
            ("minor.window", self.minor_window),
            ("major.window", self.major_window),
            ("drift.threshold", self.drift_threshold),
            ("compliance.suspend_after", self.compliance_suspend_after),
            ("compliance.report_within", self.compliance_report_within),
            ("compliance.audit_every", self.compliance_audit_every),
            ("entitlement.token_lifetime", self.entitlement_token_lifetime),
            ("escalation.within", self.escalation_within),
            ("upgrade.stall_after", self.upgrade_stall_after),
        ] {
            found.must(span > Span::ZERO, parameter, &span, "it must be longer than nothing");
        }
        for (parameter, span) in [
            ("minor.rollback_window", self.minor_rollback_window),
            ("major.rollback_window", self.major_rollback_window),
            ("module.rollback_window", self.module_rollback_window),
        ] {
            let rule = "it must be longer than nothing: every update is reversible within its window (IN-2)";
            found.must(span > Span::ZERO, parameter, &span, rule);
        }
        for (parameter, span) in [
            ("rollout.retry_after", self.rollout_retry_after),
            ("security.retry_after", self.security_retry_after),
        ] {
            let rule =
                "it must be longer than nothing, or what failed is offered again at once, for ever (RO-9)";
            found.must(span > Span::ZERO, parameter, &span, rule);
        }
    }

    fn rollouts(&self, found: &mut Found) {
        let nobody = Share::from_millionths(0);
        let everyone = Share::from_millionths(1_000_000);
        let canary = self.rollout_canary_share;
        found.must(
            canary > nobody,
            "rollout.canary.share",
            &canary,
            "a canary of nobody tries nothing (RO-1)",
        );
        found.must(
            canary <= self.rollout_beta_share,
            "rollout.beta.share",
            &self.rollout_beta_share,
            "beta holds canary: it cannot be smaller than rollout.canary.share",
        );
        for (parameter, bound) in [
            ("rollout.canary.failure_bound", self.rollout_canary_failure_bound),
            ("rollout.beta.failure_bound", self.rollout_beta_failure_bound),
            ("rollout.ga.failure_bound", self.rollout_ga_failure_bound),
        ] {
            let rule = "it must be below 1: no failure rate exceeds 1, so nothing would ever halt (RO-3)";
            found.must(bound < everyone, parameter, &bound, rule);
        }
        let failures = self.rollout_halt_failures;
        let rule = "it must be at least 1: without a failure nothing halts (RO-3)";
        found.must(failures > 0, "rollout.halt_failures", &failures, rule);
        found.must(
            self.upgrade_stall_after > self.health_stable_for,
            "upgrade.stall_after",
            &self.upgrade_stall_after,
            "it must be longer than health.stable_for, or every attempt counts as failed before it can succeed",
        );
    }

    fn windows(&self, found: &mut Found) {
        found.must(
            self.drift_freeze >= self.drift_threshold,
            "drift.freeze",
            &self.drift_freeze,
            "it cannot be shorter than drift.threshold",
        );
        for (parameter, window) in [("minor.window", self.minor_window), ("major.window", self.major_window)]
        {
            let rule = "it cannot be shorter than drift.threshold, from which drift is counted back";
            found.must(window >= self.drift_threshold, parameter, &window, rule);
        }
        let (minor, major) = (self.minor_window, self.major_window);
        let within_minor = "it cannot be longer than minor.window";
        let rows: [(&str, Span, Span, &str); 8] = [
            ("minor.window", minor, major, "it cannot be longer than major.window"),
            ("security.deadline", self.security_deadline, minor, within_minor),
            ("minor.rollback_window", self.minor_rollback_window, minor, within_minor),
            (
                "major.rollback_window",
                self.major_rollback_window,
                major,
                "it cannot be longer than major.window",
            ),
            ("advisory.stability", self.advisory_stability, minor, within_minor),
            ("advisory.compatibility", self.advisory_compatibility, minor, within_minor),
            (
                "deprecation.minor",
                self.deprecation_minor,
                self.deprecation_major,
                "it cannot be longer than deprecation.major",
            ),
            (
                "deprecation.major",
                self.deprecation_major,
                self.deprecation_core,
                "it cannot be longer than deprecation.core",
            ),
        ];
        for (parameter, span, longest, rule) in rows {
            found.must(span <= longest, parameter, &span, rule);
        }
        let rule = "it cannot be longer than security.deadline, or what failed once is overdue before it is offered again";
        let retry = self.security_retry_after;
        found.must(retry <= self.security_deadline, "security.retry_after", &retry, rule);
    }

    fn compliance(&self, found: &mut Found) {
        found.must(
            self.compliance_audit_every <= self.compliance_report_within,
            "compliance.audit_every",
            &self.compliance_audit_every,
            "it cannot be longer than compliance.report_within, or silence is found too late (CO-7)",
        );
        found.must(
            self.compliance_suspend_after >= self.security_suspend_after,
            "compliance.suspend_after",
            &self.compliance_suspend_after,
            "it cannot be shorter than security.suspend_after, which it would overtake (CO-3, CO-11)",
        );
        let violations = self.escalation_violations;
        let rule = "it must be at least 1: no violations are no reason to escalate (CO-13)";
        found.must(violations > 0, "escalation.violations", &violations, rule);
        let orders = &self.standing_orders;
        let twice =
            orders.iter().enumerate().find(|(index, order)| orders.iter().take(*index).any(|o| o == *order));
        if let Some((_, order)) = twice {
            let rule = "an order stands once, or not";
            found.must(false, "standing_orders", &format_args!("a list with {order} twice"), rule);
        }
    }

    fn calls(&self, found: &mut Found) {
        let lifetime = self.identity_certificate_lifetime;
        found.must(
            lifetime > self.request_clock_skew,
            "identity.certificate_lifetime",
            &lifetime,
            "it must be longer than request.clock_skew, by which a clock may be off",
        );
        let (instance, address) = (self.rate_instance, self.rate_address);
        found.must(instance > 0, "rate.instance", &instance, "an instance must be able to call at all");
        let rule = "it cannot be less than rate.instance, or an instance never reaches its own";
        found.must(address >= instance, "rate.address", &address, rule);
    }

    fn tiers(&self, found: &mut Found) {
        found.must(
            self.tier_free_domains <= self.tier_pro_domains,
            "tier.pro.domains",
            &self.tier_pro_domains,
            "it cannot be less than tier.free.domains, or an upgrade takes domains away (EN-3)",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constitution::{PARAMETERS, StandingOrder};

    fn check(change: impl FnOnce(&mut Constitution), expected: &[&str]) {
        let mut law = Constitution::default();
        change(&mut law);
        let found = law.check().err().unwrap_or_default();
        let names: Vec<_> = found.iter().map(|contradiction| contradiction.parameter).collect();
        assert_eq!(names, expected, "{found:?}");
        for name in names {
            assert!(PARAMETERS.iter().any(|parameter| parameter.name == name), "{name}");
        }
    }

    const ZERO: Span = Span::ZERO;
    const fn days(days: i64) -> Span {
        Span::hours(days * 24)
    }
    const fn pct(percent: u32) -> Share {
        Share::from_millionths(percent * 10_000)
    }

    #[test]
    #[rustfmt::skip]
    fn fo_5_contradictions_are_named() {
        check(|_| {}, &[]);
        check(|law| { law.drift_freeze = days(1); law.rollout_beta_share = pct(1); }, &["rollout.beta.share", "drift.freeze"]);
        check(|law| law.rollout_canary_share = pct(0), &["rollout.canary.share"]);
        check(|law| law.rollout_canary_failure_bound = pct(100), &["rollout.canary.failure_bound"]);
        check(|law| law.rollout_beta_failure_bound = pct(100), &["rollout.beta.failure_bound"]);
        check(|law| law.rollout_ga_failure_bound = pct(100), &["rollout.ga.failure_bound"]);
        check(|law| law.rollout_halt_failures = 0, &["rollout.halt_failures"]);
        check(|law| law.rollout_retry_after = ZERO, &["rollout.retry_after"]);
        check(|law| law.security_retry_after = ZERO, &["security.retry_after"]);
        check(|law| law.security_retry_after = days(2), &["security.retry_after"]);
        check(|law| law.security_deadline = days(31), &["security.deadline"]);
        check(|law| law.upgrade_stall_after = law.health_stable_for, &["upgrade.stall_after"]);
        check(|law| law.minor_window = days(91), &["minor.window"]);
        check(|law| law.minor_window = days(29), &["minor.window"]);
        check(|law| law.drift_threshold = ZERO, &["drift.threshold"]);
        check(|law| law.minor_rollback_window = days(31), &["minor.rollback_window"]);
        check(|law| law.major_rollback_window = days(91), &["major.rollback_window"]);
        check(|law| law.minor_rollback_window = ZERO, &["minor.rollback_window"]);
        check(|law| law.module_rollback_window = ZERO, &["module.rollback_window"]);
        check(|law| law.advisory_stability = days(31), &["advisory.stability"]);
        check(|law| law.advisory_compatibility = days(31), &["advisory.compatibility"]);
        check(|law| law.deprecation_minor = days(91), &["deprecation.minor"]);
        check(|law| law.deprecation_core = days(1), &["deprecation.major"]);
        check(|law| law.compliance_audit_every = days(3), &["compliance.audit_every"]);
        check(|law| law.compliance_suspend_after = days(1), &["compliance.suspend_after"]);
        check(|law| law.escalation_violations = 0, &["escalation.violations"]);
        check(|law| law.escalation_within = ZERO, &["escalation.within"]);
        check(|law| law.standing_orders = [StandingOrder::DriftFreeze; 2].to_vec(), &["standing_orders"]);
        check(|law| law.standing_orders = Vec::new(), &[]);
        check(|law| law.identity_certificate_lifetime = law.request_clock_skew, &["identity.certificate_lifetime"]);
        check(|law| law.rate_instance = 0, &["rate.instance"]);
        check(|law| law.rate_address = 59, &["rate.address"]);
        check(|law| law.tier_pro_domains = 2, &["tier.pro.domains"]);
    }

    #[test]
    fn fo_5_a_severe_law_is_no_contradiction() {
        check(|law| law.security_suspend_after = ZERO, &[]);
        check(|law| law.rollout_evidence = pct(0), &[]);
        check(|law| law.rollout_canary_share = pct(25), &[]);
        check(|law| law.rollout_canary_failure_bound = pct(0), &[]);
        check(|law| law.subscription_lapse_grace = ZERO, &[]);
        check(|law| law.standing_orders_share = pct(0), &[]);
    }
}
