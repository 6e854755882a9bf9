//! What parameters cannot say together: a law that nobody could keep, or that would undo its own rules, is never in force.
//!
//! Never prefers one policy to another: what is merely severe, or lax, is the Founder's to choose.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use super::Constitution;
use crate::instance::VIOLATIONS_MAX;
use crate::time::Span;

/// Certificates, tokens and signatures tell time in whole seconds: what is shorter is over when it begins.
const SECOND: Span = Span::from_millis(1_000);
/// An instance makes a statement at least so often (CO-7), and is audited at least so often (§7).
const DAY: Span = Span::hours(24);

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
        if found.0.is_empty() { Ok(()) } else { Err(found.0) }
    }

    /// Times that cannot be nothing.
    fn lengths(&self, found: &mut Found) {
        for (parameter, span) in [
            ("security.deadline", self.security_deadline),
            ("minor.window", self.minor_window),
            ("major.window", self.major_window),
            ("drift.threshold", self.drift_threshold),
            ("compliance.suspend_after", self.compliance_suspend_after),
            ("compliance.audit_every", self.compliance_audit_every),
            ("escalation.within", self.escalation_within),
            ("upgrade.stall_after", self.upgrade_stall_after),
        ] {
            found.must(span > Span::ZERO, parameter, &span, "it must be longer than nothing");
        }
        for (parameter, span) in [
            ("identity.certificate_lifetime", self.identity_certificate_lifetime),
            ("enrolment.lifetime", self.enrolment_lifetime),
            ("request.clock_skew", self.request_clock_skew),
            ("entitlement.token_lifetime", self.entitlement_token_lifetime),
        ] {
            let rule =
                "it must be a second or longer: certificates, tokens and requests tell time in whole seconds";
            found.must(span >= SECOND, parameter, &span, rule);
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
        let canary = self.rollout_canary_share;
        found.must(
            canary <= self.rollout_beta_share,
            "rollout.beta.share",
            &self.rollout_beta_share,
            "beta holds canary: it cannot be smaller than rollout.canary.share",
        );
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
    }

    fn compliance(&self, found: &mut Found) {
        let violations = self.escalation_violations;
        let rule = "it must be from 1 to 64: no violations are no reason to escalate, and no more are remembered (CO-13)";
        let remembered = u32::try_from(VIOLATIONS_MAX).unwrap_or(u32::MAX);
        found.must((1..=remembered).contains(&violations), "escalation.violations", &violations, rule);
        let within = self.compliance_report_within;
        let rule = "it must be 24h or longer: an instance may leave so much between two statements (CO-7)";
        found.must(within >= DAY, "compliance.report_within", &within, rule);
        let every = self.compliance_audit_every;
        let rule = "it must be 24h or shorter: every instance is audited at least daily (§7)";
        found.must(every <= DAY, "compliance.audit_every", &every, rule);
        let orders = &self.standing_orders;
        let twice =
            orders.iter().enumerate().find(|(index, order)| orders.iter().take(*index).any(|o| o == *order));
        if let Some((_, order)) = twice {
            let rule = "an order stands once, or not";
            found.must(false, "standing_orders", &format_args!("a list with {order} twice"), rule);
        }
    }

    fn calls(&self, found: &mut Found) {
        let instance = self.rate_instance;
        found.must(instance > 0, "rate.instance", &instance, "an instance must be able to call at all");
        let address = self.rate_address;
        let rule = "it cannot be smaller than rate.instance: an instance calls from an address (HS-7)";
        found.must(address >= instance, "rate.address", &address, rule);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constitution::{PARAMETERS, Share, StandingOrder};

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
    const MOMENT: Span = Span::from_millis(1);
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
        check(|law| law.rollout_halt_failures = 0, &["rollout.halt_failures"]);
        check(|law| law.rollout_retry_after = ZERO, &["rollout.retry_after"]);
        check(|law| law.security_retry_after = ZERO, &["security.retry_after"]);
        check(|law| law.upgrade_stall_after = law.health_stable_for, &["upgrade.stall_after"]);
        check(|law| law.minor_window = days(29), &["minor.window"]);
        check(|law| law.drift_threshold = ZERO, &["drift.threshold"]);
        check(|law| law.minor_rollback_window = ZERO, &["minor.rollback_window"]);
        check(|law| law.module_rollback_window = ZERO, &["module.rollback_window"]);
        check(|law| law.escalation_violations = 0, &["escalation.violations"]);
        check(|law| law.escalation_violations = 65, &["escalation.violations"]);
        check(|law| law.escalation_within = ZERO, &["escalation.within"]);
        check(|law| law.standing_orders = [StandingOrder::DriftFreeze; 2].to_vec(), &["standing_orders"]);
        check(|law| law.standing_orders = Vec::new(), &[]);
        check(|law| law.rate_instance = 0, &["rate.instance"]);
        check(|law| law.rate_address = law.rate_instance - 1, &["rate.address"]);
        check(|law| law.rate_address = 0, &["rate.address"]);
        check(|law| law.compliance_report_within = days(1) - MOMENT, &["compliance.report_within"]);
        check(|law| law.compliance_report_within = ZERO, &["compliance.report_within"]);
        check(|law| law.compliance_audit_every = days(1) + MOMENT, &["compliance.audit_every"]);
        check(|law| law.compliance_audit_every = ZERO, &["compliance.audit_every"]);
        check(|law| law.identity_certificate_lifetime = SECOND - MOMENT, &["identity.certificate_lifetime"]);
        check(|law| law.enrolment_lifetime = SECOND - MOMENT, &["enrolment.lifetime"]);
        check(|law| law.request_clock_skew = ZERO, &["request.clock_skew"]);
        check(|law| law.entitlement_token_lifetime = MOMENT, &["entitlement.token_lifetime"]);
    }

    #[test]
    fn fo_5_a_severe_law_is_no_contradiction() {
        check(|law| law.security_suspend_after = ZERO, &[]);
        // At least one is in canary whatever the share (RO-1), and a bound of 1 is a way to say that nothing halts.
        check(|law| law.rollout_canary_share = pct(0), &[]);
        check(|law| law.rollout_canary_failure_bound = pct(100), &[]);
        check(|law| law.compliance_report_within = days(1), &[]);
        check(|law| law.compliance_audit_every = Span::hours(1), &[]);
        check(|law| law.enrolment_lifetime = SECOND, &[]);
        check(|law| law.rate_address = law.rate_instance, &[]);
        check(|law| law.rollout_evidence = pct(0), &[]);
        check(|law| law.rollout_canary_share = pct(25), &[]);
        check(|law| law.rollout_canary_failure_bound = pct(0), &[]);
        check(|law| law.subscription_lapse_grace = ZERO, &[]);
        check(|law| law.standing_orders_share = pct(0), &[]);
    }
}
