//! The parameters of the law, each by its name, default and rule, as the Founder signs them (FO-5).
//!
//! Never decides: it only says how long, how many, and what share.

mod contradictions;

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::Digest;
use crate::release::Weight;
use crate::text::words;
use crate::tier::{Kind, Tier};
use crate::time::{Span, Timestamp};

pub use contradictions::Contradiction;

/// A fraction between 0 and 1, exact to a millionth. Text and number: `0.05`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

const MILLION: u64 = 1_000_000;

impl Share {
    /// A share from millionths, at most one.
    #[must_use]
    pub const fn from_millionths(millionths: u32) -> Self {
        Self(if millionths > 1_000_000 { 1_000_000 } else { millionths })
    }
    /// Of so many, how many, rounded up once (RO-1).
    #[must_use]
    pub const fn of_rounded_up(self, count: u64) -> u64 {
        count.saturating_mul(self.0 as u64).div_ceil(MILLION)
    }
    /// Of so many, how many, rounded down (CO-14).
    #[must_use]
    pub const fn of_rounded_down(self, count: u64) -> u64 {
        count.saturating_mul(self.0 as u64) / MILLION
    }
    /// Whether `part` of `whole` is more than this share; nothing of nothing is not.
    #[must_use]
    pub const fn is_exceeded_by(self, part: u64, whole: u64) -> bool {
        part.saturating_mul(MILLION) > whole.saturating_mul(self.0 as u64)
    }
    /// Whether `part` of `whole` is at least this share; nothing of nothing is.
    #[must_use]
    pub const fn is_reached_by(self, part: u64, whole: u64) -> bool {
        part.saturating_mul(MILLION) >= whole.saturating_mul(self.0 as u64)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1e6)
    }
}

impl Serialize for Share {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 1e6)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fraction = f64::deserialize(deserializer)?;
        if !(0.0..=1.0).contains(&fraction) {
            return Err(serde::de::Error::custom("a share lies between 0 and 1"));
        }
        // In range, so the rounded product fits.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a million"
        )]
        Ok(Self((fraction * 1e6 + 0.5) as u32))
    }
}

words! {
    /// What the Federation may do in the Founder's name because the constitution says so (LC-18).
    pub enum StandingOrder ("standing order") {
        /// Revoke at CO-2.
        DriftFreeze = "drift-freeze",
        /// Revoke at CO-8.
        UnauthorisedFork = "unauthorised-fork",
    }
}

words! {
    /// Who answers an instance owner's call for help (§VII).
    pub enum Support ("support") {
        /// The community.
        Community = "community",
        /// By mail.
        Email = "email",
        /// Before others.
        Priority = "priority",
        /// A person of their own.
        Dedicated = "dedicated",
    }
}

/// A parameter as the documentation and the amendment tools show it.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name in the constitution.
    pub name: &'static str,
    /// The rule it belongs to.
    pub rule: &'static str,
    /// What it is.
    pub about: &'static str,
}

macro_rules! parameters {
    ($($field:ident: $type:ty = $default:expr, $name:literal, $rule:literal, $about:literal;)+) => {
        /// Every parameter of the law. Its serial form is a flat table of the names (`security.deadline` …).
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Constitution {
            $(#[doc = $about] #[doc = concat!("(", $rule, ").")] #[serde(rename = $name)] pub $field: $type,)+
        }
        impl Default for Constitution {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }
        /// The table of parameters, in the order of the law.
        pub const PARAMETERS: &[Parameter] =
            &[$(Parameter { name: $name, rule: $rule, about: $about }),+];
    };
}

const fn h(hours: i64) -> Span {
    Span::hours(hours)
}
const fn d(days: i64) -> Span {
    Span::hours(days * 24)
}
const fn m(minutes: i64) -> Span {
    Span::from_millis(minutes * 60_000)
}
const fn pct(percent: u32) -> Share {
    Share::from_millionths(percent * 10_000)
}

#[rustfmt::skip]
parameters! {
    identity_certificate_lifetime: Span = h(24), "identity.certificate_lifetime", "HS-1", "How long an instance's certificate lives";
    identity_renewal_grace: Span = d(7), "identity.renewal_grace", "HS-2", "How long after expiry a certificate may still renew";
    enrolment_lifetime: Span = h(1), "enrolment.lifetime", "HS-1", "How long an enrolment secret is good";
    request_clock_skew: Span = m(5), "request.clock_skew", "HS-6", "How far a request's clock may be off";
    security_deadline: Span = h(24), "security.deadline", "CO-3", "From notice to out of compliance for a security release";
    security_suspend_after: Span = h(48), "security.suspend_after", "CO-3", "From that deadline to suspension";
    minor_window: Span = d(30), "minor.window", "RL-2", "A minor release is due within";
    major_window: Span = d(90), "major.window", "RL-2", "A major release is due within";
    minor_rollback_window: Span = d(7), "minor.rollback_window", "RL-2", "A minor may be rolled back by wish within";
    major_rollback_window: Span = d(30), "major.rollback_window", "RL-2", "A major may be rolled back by wish within";
    module_rollback_window: Span = d(7), "module.rollback_window", "EN-7", "A module's activation may be reversed within";
    advisory_stability: Span = d(7), "advisory.stability", "RL-2", "A stability release is recommended within";
    advisory_compatibility: Span = d(14), "advisory.compatibility", "RL-2", "A compatibility release is recommended within";
    drift_threshold: Span = d(30), "drift.threshold", "CO-1", "Drift beyond it is a finding";
    drift_freeze: Span = d(90), "drift.freeze", "CO-2", "Drift beyond it is revocation, under the standing order";
    compliance_suspend_after: Span = d(60), "compliance.suspend_after", "CO-11", "A finding open longer suspends";
    compliance_report_within: Span = h(48), "compliance.report_within", "CO-7", "An instance reports at least within";
    compliance_audit_every: Span = h(24), "compliance.audit_every", "CO", "Every instance is audited within";
    subscription_lapse_grace: Span = d(14), "subscription.lapse_grace", "CO-10", "A lapsed subscription is tolerated for";
    entitlement_deactivate_within: Span = h(48), "entitlement.deactivate_within", "CO-5", "A module without entitlement is off within";
    entitlement_token_lifetime: Span = h(24), "entitlement.token_lifetime", "EN-4", "How long an entitlement token lives";
    escalation_violations: u32 = 3, "escalation.violations", "CO-13", "So many violations escalate";
    escalation_within: Span = d(30), "escalation.within", "CO-13", "Violations escalate together when they fall within";
    upgrade_stall_after: Span = h(6), "upgrade.stall_after", "LC-5", "An attempt not finished by then counts as failed";
    rollout_canary_share: Share = pct(5), "rollout.canary.share", "RO-1", "Share of the eligible in canary";
    rollout_canary_duration: Span = h(24), "rollout.canary.duration", "RO-1", "Length of canary";
    rollout_canary_failure_bound: Share = pct(5), "rollout.canary.failure_bound", "RO-3", "Failure rate that canary may not exceed";
    rollout_beta_share: Share = pct(25), "rollout.beta.share", "RO-1", "Share of the eligible in beta, canary included";
    rollout_beta_duration: Span = h(48), "rollout.beta.duration", "RO-1", "Length of beta";
    rollout_beta_failure_bound: Share = pct(2), "rollout.beta.failure_bound", "RO-3", "Failure rate that beta may not exceed";
    rollout_ga_failure_bound: Share = pct(2), "rollout.ga.failure_bound", "RO-3", "Failure rate that general availability may not exceed";
    rollout_evidence: Share = pct(50), "rollout.evidence", "RO-4", "Share of a phase's cohort that must have finished";
    rollout_halt_failures: u32 = 1, "rollout.halt_failures", "RO-3", "So many failures, at the least, halt";
    rollout_retry_after: Span = d(7), "rollout.retry_after", "RO-9", "A failed release is offered again after";
    security_retry_after: Span = h(1), "security.retry_after", "RO-9", "A failed security release is offered again after, doubling";
    standing_orders_share: Share = pct(1), "standing_orders.share", "CO-14", "Share of the fleet that standing orders may take in a day";
    health_stable_for: Span = m(1), "health.stable_for", "RL-2", "A new version is healthy when it was so for";
    rate_instance: u32 = 60, "rate.instance", "HS-7", "Requests a minute that an instance may make";
    rate_address: u32 = 600, "rate.address", "HS-7", "Requests a minute that an address may make";
    deprecation_minor: Span = d(30), "deprecation.minor", "RL-8", "Notice before a minor feature is removed";
    deprecation_major: Span = d(90), "deprecation.major", "RL-8", "Notice before a major feature is removed";
    deprecation_core: Span = d(180), "deprecation.core", "RL-8", "Notice before a core capability is removed";
    tier_free_domains: u32 = 3, "tier.free.domains", "EN", "Domains of the free tier";
    tier_pro_domains: u32 = 10, "tier.pro.domains", "EN", "Domains of the pro tier";
    tier_free_kind: Kind = Kind::SaasShared, "tier.free.kind", "EN", "What the free tier runs on";
    tier_pro_kind: Kind = Kind::SaasShared, "tier.pro.kind", "EN", "What the pro tier runs on";
    tier_enterprise_kind: Kind = Kind::Dedicated, "tier.enterprise.kind", "EN", "What the enterprise tier runs on";
    tier_custom_kind: Kind = Kind::WhiteLabel, "tier.custom.kind", "EN", "What the custom tier runs on";
    tier_free_custom_domains: bool = false, "tier.free.custom_domains", "EN", "Whether the free tier may have custom domains";
    tier_pro_custom_domains: bool = false, "tier.pro.custom_domains", "EN", "Whether the pro tier may have custom domains";
    tier_enterprise_custom_domains: bool = true, "tier.enterprise.custom_domains", "EN", "Whether the enterprise tier may have custom domains";
    tier_custom_custom_domains: bool = true, "tier.custom.custom_domains", "EN", "Whether the custom tier may have custom domains";
    tier_free_support: Support = Support::Community, "tier.free.support", "EN", "Support of the free tier";
    tier_pro_support: Support = Support::Email, "tier.pro.support", "EN", "Support of the pro tier";
    tier_enterprise_support: Support = Support::Priority, "tier.enterprise.support", "EN", "Support of the enterprise tier";
    tier_custom_support: Support = Support::Dedicated, "tier.custom.support", "EN", "Support of the custom tier";
    standing_orders: Vec<StandingOrder> = StandingOrder::ALL.to_vec(), "standing_orders", "LC-18", "What the Federation may do in the Founder's name";
}

impl Constitution {
    /// How many domains a tier allows; `None` is without limit (§VII).
    #[must_use]
    pub const fn domains_max(&self, tier: Tier) -> Option<u32> {
        match tier {
            Tier::Free => Some(self.tier_free_domains),
            Tier::Pro => Some(self.tier_pro_domains),
            Tier::Enterprise | Tier::Custom => None,
        }
    }

    /// Whether a tier may have custom domains (§VII).
    #[must_use]
    pub const fn custom_domains(&self, tier: Tier) -> bool {
        match tier {
            Tier::Free => self.tier_free_custom_domains,
            Tier::Pro => self.tier_pro_custom_domains,
            Tier::Enterprise => self.tier_enterprise_custom_domains,
            Tier::Custom => self.tier_custom_custom_domains,
        }
    }

    /// How long before its removal a capability of this weight must have been deprecated (RL-8).
    #[must_use]
    pub const fn deprecation(&self, weight: Weight) -> Span {
        match weight {
            Weight::Minor => self.deprecation_minor,
            Weight::Major => self.deprecation_major,
            Weight::Core => self.deprecation_core,
        }
    }

    /// The kind of instance a tier runs on (CO-4).
    #[must_use]
    pub const fn kind_of(&self, tier: Tier) -> Kind {
        match tier {
            Tier::Free => self.tier_free_kind,
            Tier::Pro => self.tier_pro_kind,
            Tier::Enterprise => self.tier_enterprise_kind,
            Tier::Custom => self.tier_custom_kind,
        }
    }
}

/// What the Founder signs: a whole constitution, the one it replaces, and from when it holds (FO-5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstitutionDocument {
    /// Digest of the document it replaces; none for the first.
    pub previous: Option<Digest>,
    /// From when it holds.
    pub effective: Timestamp,
    /// Every parameter.
    pub parameters: Constitution,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fo_5_the_default_constitution_stands() {
        assert_eq!(Constitution::default().check(), Ok(()));
        let text = serde_json::to_string(&Constitution::default()).unwrap();
        assert!(text.contains(r#""rollout.canary.share":0.05"#), "{text}");
        assert_eq!(serde_json::from_str::<Constitution>(&text).unwrap(), Constitution::default());
        assert!(serde_json::from_str::<Constitution>(r#"{"security.dedline":"1h"}"#).is_err());
        assert!(serde_json::from_str::<Constitution>(r#"{"rollout.canary.share":1.5}"#).is_err());
    }

    #[test]
    fn ro_1_shares_round_up_exactly() {
        assert_eq!(pct(5).of_rounded_up(20), 1);
        assert_eq!(pct(7).of_rounded_up(100), 7);
        assert_eq!(pct(5).of_rounded_up(21), 2);
        assert_eq!(pct(5).of_rounded_up(0), 0);
        assert!(!pct(5).is_exceeded_by(1, 20));
        assert!(pct(5).is_exceeded_by(2, 39));
        assert!(!pct(5).is_exceeded_by(0, 0));
    }
}
