//! Kinds of instances, tiers of subscriptions, and what a subscription says (§VII).

use serde::{Deserialize, Serialize};

use crate::text::words;
use crate::time::Timestamp;

words! {
    /// What an instance is (ID-3).
    pub enum Kind ("kind") {
        /// Shared by many tenants.
        SaasShared = "saas-shared",
        /// One enterprise's own.
        Dedicated = "dedicated",
        /// Run by a provider under its own name.
        WhiteLabel = "white-label",
    }
}

words! {
    /// What a subscription buys (§VII).
    pub enum Tier ("tier") {
        /// Free.
        Free = "free",
        /// Pro.
        Pro = "pro",
        /// Enterprise.
        Enterprise = "enterprise",
        /// Custom.
        Custom = "custom",
    }
}

words! {
    /// Where a subscription stands (CO-10).
    pub enum SubscriptionStatus ("subscription status") {
        /// Paid.
        Active = "active",
        /// Run out; its grace runs.
        Lapsed = "lapsed",
        /// Taken away.
        Revoked = "revoked",
    }
}

/// An instance's subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// What it buys.
    pub tier: Tier,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// Since when it stands there.
    pub since: Timestamp,
    /// Up to when it is paid for, where whoever bills has said so (EN-5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Subscription {
    /// Whether it entitles to anything now.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.status == SubscriptionStatus::Active
    }
}
