//! The demo's constitution: the law of every federation, with windows of seconds. The Founder signs it like any other.

use governance::{Constitution, Share, Span};

/// The fewest instances the story can be told with: canary must hold several strata.
pub(super) const INSTANCES_MIN: usize = 8;
/// The most: each is a process of its own.
pub(super) const INSTANCES_MAX: usize = 100;
/// Places in canary, at least: one for each tier.
const CANARY_PLACES_MIN: u32 = 4;

const fn seconds(seconds: i64) -> Span {
    Span::from_millis(seconds * 1000)
}

/// The parameters for a fleet of so many.
pub(super) fn constitution(instances: usize) -> Constitution {
    let instances = u32::try_from(instances.max(1)).unwrap_or(u32::MAX);
    let canary = (CANARY_PLACES_MIN * 1_000_000).div_ceil(instances).max(200_000);
    // More processes share the same processors.
    let patience = i64::from(instances.div_ceil(20));
    Constitution {
        rollout_canary_share: Share::from_millionths(canary),
        rollout_canary_duration: seconds(4 * patience),
        rollout_beta_share: Share::from_millionths(canary.max(500_000)),
        rollout_beta_duration: seconds(4 * patience),
        security_deadline: seconds(12 * patience),
        security_suspend_after: seconds(5 * patience),
        security_retry_after: seconds(2),
        upgrade_stall_after: seconds(20 * patience),
        health_stable_for: seconds(1),
        rate_instance: 6_000,
        rate_address: 600_000,
        ..Constitution::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ro_1_the_law_of_the_demo_stands_for_every_size() {
        for instances in INSTANCES_MIN..=INSTANCES_MAX {
            let law = constitution(instances);
            assert_eq!(law.check(), Ok(()), "{instances}");
            let places = law.rollout_canary_share.of_rounded_up(instances as u64);
            assert!((4..=20).contains(&places), "{instances}: {places}");
        }
    }
}
