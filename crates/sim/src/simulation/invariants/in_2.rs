//! IN-2: every update is reversible; no release without rollback instructions.

use governance::{Action, InstanceEvent, Release, Version, WorldEvent};

use super::{Step, Verdict};

fn has_instructions(release: &Release) -> Verdict {
    let given = release.rollback.as_ref().is_some_and(|rollback| !rollback.instructions.trim().is_empty());
    if given { Ok(()) } else { Err(format!("release {} has no rollback instructions", release.version)) }
}

/// What is offered has rollback instructions, and the record of an update knows the way back.
pub(in super::super) fn check(step: &Step<'_>) -> Verdict {
    match step.event {
        InstanceEvent::Offered { release, .. } => {
            step.world.releases.get(release).map_or(Ok(()), |published| has_instructions(&published.release))
        }
        InstanceEvent::AttemptFinished { release, outcome: governance::Outcome::Succeeded, .. } => {
            knows_the_way_back(step, *release)
        }
        _ => Ok(()),
    }
}

fn knows_the_way_back(step: &Step<'_>, release: Version) -> Verdict {
    let attempt = step.before.attempt;
    // Of a way back itself nothing is asked: it leads to what ran before.
    let back = attempt.is_some_and(|attempt| attempt.action == Action::Rollback || attempt.from == release);
    if back || step.after.previous().is_some() {
        return Ok(());
    }
    Err(format!("{release} runs, and the record does not know what ran before"))
}

/// No release is published without rollback instructions.
pub(in super::super) fn check_world(event: &WorldEvent) -> Verdict {
    match event {
        WorldEvent::ReleasePublished { release, .. } => has_instructions(release),
        _ => Ok(()),
    }
}
