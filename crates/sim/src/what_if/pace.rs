//! How often a projection looks at the fleet: hourly, or as often as the shortest window that can run out on anybody.
//!
//! Never lets two windows that follow one another end between two looks: what is found first, and the transition that follows
//! from it, would then not be what the law says.

use governance::{Constitution, Countdown, Span, World};

use super::{Fleet, WhatIfError};

/// How often the plane looks where no window is shorter.
const HOUR: Span = Span::hours(1);
/// The most looks of one projection: somewhat more than ten years by the hour.
pub const STEPS_MAX: i64 = 100_000;
const DAY: Span = Span::hours(24);

/// A window and what it is called by.
type Named = (&'static str, Span);

/// The time between two looks that does justice to everything in both worlds.
pub(super) fn step(fleet: &Fleet, changed: &World, days: u32) -> Result<Span, WhatIfError> {
    let windows = [&fleet.world, changed].into_iter().flat_map(of_world).chain(of_offers(fleet));
    let shortest = windows.filter(|(_, window)| *window > Span::ZERO).min_by_key(|(_, window)| *window);
    let Some((parameter, window)) = shortest.filter(|(_, window)| *window < HOUR) else { return Ok(HOUR) };
    let steps = (DAY.times(i64::from(days)).as_millis() - 1) / window.as_millis() + 1;
    if steps <= STEPS_MAX {
        return Ok(window);
    }
    let days_max = u32::try_from(window.times(STEPS_MAX).as_millis() / DAY.as_millis()).unwrap_or(0);
    Err(WhatIfError::TooFine { parameter, window, days, steps, days_max })
}

/// Windows of the law in force and of those to come, and the lengths of phases that are open.
fn of_world(world: &World) -> Vec<Named> {
    let coming = world.amendments.iter().map(|amendment| &amendment.document.parameters);
    let mut windows: Vec<Named> = coming.chain([&world.constitution]).flat_map(of_law).collect();
    let open =
        world.rollouts.iter().filter(|rollout| rollout.is_open()).filter_map(|rollout| rollout.phase());
    windows.extend(open.filter_map(|phase| Some(("the length of an open phase", phase.duration?))));
    windows
}

/// Every window whose end moves an instance or a rollout, and the distances between two that begin together.
fn of_law(law: &Constitution) -> [Named; 16] {
    [
        ("security.deadline", law.security_deadline),
        ("security.suspend_after", law.security_suspend_after),
        ("security.retry_after", law.security_retry_after),
        ("minor.window", law.minor_window),
        ("major.window", law.major_window),
        ("drift.threshold", law.drift_threshold),
        ("drift.freeze", law.drift_freeze - law.drift_threshold),
        ("compliance.suspend_after", law.compliance_suspend_after),
        ("compliance.report_within", law.compliance_report_within),
        ("subscription.lapse_grace", law.subscription_lapse_grace),
        ("entitlement.deactivate_within", law.entitlement_deactivate_within),
        ("upgrade.stall_after", law.upgrade_stall_after),
        ("rollout.canary.duration", law.rollout_canary_duration),
        ("rollout.beta.duration", law.rollout_beta_duration),
        ("rollout.retry_after", law.rollout_retry_after),
        ("compliance.audit_every", law.compliance_audit_every),
    ]
}

/// Windows that open offers keep, whatever the law says by now (FO-5), and that can still run out.
fn of_offers(fleet: &Fleet) -> impl Iterator<Item = Named> {
    let due = fleet.instances.iter().filter_map(|instance| instance.due);
    let clocks = due.flat_map(|due| [due.drift, due.security]).flatten();
    let runs =
        |due: &Countdown| due.clock.is_running() && due.clock.shows(fleet.now) <= due.limit + due.grace;
    clocks.filter(runs).flat_map(|clock| {
        [("the window of an open offer", clock.window), ("the window of an open offer", clock.grace)]
    })
}
