//! IN-4: no path from the Federation changes runtime state.

use governance::{Authority, InstanceEvent};

use super::{Step, Verdict};

/// What runs changes only by what the Runtime itself reports, or registers with.
pub(in super::super) fn check(step: &Step<'_>) -> Verdict {
    let (before, after) = (&step.before.running, &step.after.running);
    let stands = match step.event {
        InstanceEvent::Reported { .. } => step.by == Authority::Runtime,
        InstanceEvent::Registered(_) => true,
        _ => before == after,
    };
    if stands {
        return Ok(());
    }
    Err(format!(
        "the {} changed what runs from {} to {}, by an event of {}",
        step.by,
        before.platform,
        after.platform,
        step.event.rule()
    ))
}
