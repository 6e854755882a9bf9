//! How long an instance has been silent, and until when it may stay so (CO-7, FO-3).
//!
//! Never opens a finding: `reconcile` does.

use alloc::vec::Vec;

use crate::finding::FindingCode;
use crate::instance::Instance;
use crate::time::{Span, Timestamp};
use crate::world::World;

/// How long the instance has been silent, less the time in which the plane could not be reached and that in which the
/// Founder silenced the finding.
#[must_use]
pub fn silent(instance: &Instance, world: &World, now: Timestamp) -> Span {
    now.since(instance.reported) - stood_still(instance, world, now)
}

/// Whether it has been silent for longer than it may.
#[must_use]
pub(crate) fn is_too_long(instance: &Instance, world: &World, now: Timestamp) -> bool {
    let within = world.constitution.compliance_report_within;
    // The cheap question first: most have just reported.
    now.since(instance.reported) > within && silent(instance, world, now) > within
}

/// Until when it may stay silent, as far as is known now: what stands still later only puts it off.
#[must_use]
pub fn until(instance: &Instance, world: &World, now: Timestamp) -> Timestamp {
    until_after(instance.reported, world) + stood_still(instance, world, now)
}

/// As [`until`], of an instance that made a statement then, where nothing stood still since.
#[must_use]
pub fn until_after(reported: Timestamp, world: &World) -> Timestamp {
    reported + world.constitution.compliance_report_within
}

/// For how much of the time since its last statement the clock stood still. No time stands still twice.
fn stood_still(instance: &Instance, world: &World, now: Timestamp) -> Span {
    let since = instance.reported;
    let silenced = instance.overrides.iter().filter(|given| given.code == FindingCode::NotReporting);
    let silenced = silenced.map(|given| (given.from, given.until));
    let unreachable = world.outages.iter().map(|outage| (outage.from, outage.until));
    let mut still: Vec<(Timestamp, Timestamp)> =
        silenced.chain(unreachable).filter(|(_, until)| *until > since).collect();
    still.sort_unstable();
    let (mut counted, mut time) = (since, Span::ZERO);
    for (from, until) in still {
        time = time + until.min(now).since(from.max(counted));
        counted = counted.max(until);
    }
    time
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Override;
    use crate::fixture::{at, instance};

    use crate::world::Outage;

    #[test]
    fn co_7_fo_3_no_time_stands_still_twice() {
        //           outages                 overrides    now  silent  until
        check(&[], &[], 40, 40, 48);
        check(&[(10, 20)], &[], 40, 30, 58);
        check(&[(-9, 5), (10, 20)], &[], 40, 25, 63);
        check(&[], &[(10, 30)], 40, 20, 68);
        check(&[(10, 20)], &[(15, 30)], 40, 20, 68);
        check(&[(15, 20), (25, 35)], &[(10, 30)], 40, 15, 73);
        // It stands still at present: what is yet to come of it is not known for sure.
        check(&[], &[(30, 90)], 40, 30, 58);
        check(&[], &[(30, 90)], 100, 40, 108);
    }

    fn check(outages: &[(i64, i64)], overrides: &[(i64, i64)], now: i64, silent: i64, until: i64) {
        let mut instance = instance();
        let code = FindingCode::NotReporting;
        let given = |(from, until): &(i64, i64)| Override { code, from: at(*from), until: at(*until) };
        instance.overrides = overrides.iter().map(given).collect();
        let outage = |(from, until): &(i64, i64)| Outage { from: at(*from), until: at(*until) };
        let world = World { outages: outages.iter().map(outage).collect(), ..World::default() };
        assert_eq!(super::silent(&instance, &world, at(now)), Span::hours(silent));
        assert_eq!(super::until(&instance, &world, at(now)), at(until));
    }
}
