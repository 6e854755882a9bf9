//! IN-7: no instance is ever out of compliance for lacking what it was never offered.

use governance::{FindingCode, Instance};

use super::Verdict;

/// A finding for lacking a release rests on one that a rollout did offer to this instance.
pub(in super::super) fn check(instance: &Instance) -> Verdict {
    for code in [FindingCode::VersionDrift, FindingCode::SecurityPatchOverdue] {
        if instance.finding(code).is_none() {
            continue;
        }
        let Some(due) = instance.due else {
            return Err(format!("the finding {code} is open, and nothing is on offer"));
        };
        if !instance.offered.contains(&due.rollout) {
            return Err(format!("the finding {code} is open for lacking {}, never offered", due.release));
        }
    }
    Ok(())
}
