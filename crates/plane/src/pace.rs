//! How long an instance is told to wait before it checks in again: as often as is wished, less often where the fleet is larger
//! than the plane may hear a second, or the server has its hands full; each a little earlier or later than the others.
//!
//! Never lets a wait grow with anything but these: what is urgent reaches an instance by another way.

use governance::{InstanceId, Span, Timestamp};

/// Parts of a thousand.
const PERMILLE: i64 = 1_000;
/// How busy a server is when waits begin to grow.
const BUSY_FROM: i64 = 500;
/// How many times as long they are when it is entirely so.
const BUSY_TIMES: i64 = 4;
/// How far a wait differs from another's, earlier or later.
const JITTER: i64 = 100;

/// What waits depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// How often an instance is wished to check in.
    pub(crate) every: Span,
    /// Check-ins a second that all servers together may be asked to hear.
    pub(crate) per_second: u32,
    /// Instances there are.
    pub(crate) instances: u64,
    /// How much of what the server can do at once it does, in parts of a thousand.
    pub(crate) busy_permille: u32,
}

impl Pace {
    /// How long this instance is to wait.
    pub(crate) fn wait(self, id: InstanceId, now: Timestamp) -> Span {
        let instances = i64::try_from(self.instances).unwrap_or(i64::MAX);
        let heard = instances.saturating_mul(1_000) / i64::from(self.per_second.max(1));
        let every = self.every.as_millis().max(heard);
        let beyond = (i64::from(self.busy_permille).min(PERMILLE) - BUSY_FROM).max(0);
        let stretch = PERMILLE + beyond * (BUSY_TIMES - 1) * PERMILLE / (PERMILLE - BUSY_FROM);
        let scaled = every.saturating_mul(stretch) / PERMILLE;
        let jitter = PERMILLE - JITTER + noise(id, now) % (2 * JITTER + 1);
        Span::from_millis((scaled.saturating_mul(jitter) / PERMILLE).max(1))
    }
}

/// A number that nobody else has at the same time, nor the same instance at another; no secret.
fn noise(id: InstanceId, now: Timestamp) -> i64 {
    let mut mixed = now.as_millis().unsigned_abs();
    for byte in id.as_bytes() {
        // FNV-1a: any spread will do.
        mixed = (mixed ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    i64::try_from(mixed >> 33).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Pace =
        Pace { every: Span::from_millis(60_000), per_second: 1_000, instances: 1_000, busy_permille: 0 };

    fn waits(pace: Pace) -> Vec<i64> {
        let id = |number: u8| InstanceId::from_random([number; 16]);
        (0..=255).map(|number| pace.wait(id(number), Timestamp::from_millis(7)).as_millis()).collect()
    }

    fn check(pace: Pace, times: i64) {
        let waits = waits(pace);
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(*least >= 54_000 * times && *most <= 66_000 * times, "{least} to {most}");
        assert!(most - least > 9_000 * times, "they are spread: {least} to {most}");
    }

    #[test]
    fn waits_are_spread_and_grow_with_the_fleet_and_the_load_alone() {
        check(USUAL, 1);
        check(Pace { instances: 60_000, ..USUAL }, 1);
        check(Pace { instances: 120_000, ..USUAL }, 2);
        check(Pace { busy_permille: 500, ..USUAL }, 1);
        check(Pace { busy_permille: 1_000, ..USUAL }, 4);
        check(Pace { busy_permille: u32::MAX, instances: 120_000, ..USUAL }, 8);
        let nobody = Pace { every: Span::ZERO, per_second: 0, instances: 0, busy_permille: 0 };
        assert!(waits(nobody).iter().all(|wait| *wait == 1), "never no wait at all");
        let most = Pace { instances: u64::MAX, ..USUAL };
        assert!(waits(most).iter().all(|wait| *wait > 60_000));
    }
}
