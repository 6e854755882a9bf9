//! IN-5: no release exists that the Organism did not sign.

use std::collections::BTreeMap;

use governance::{InstanceEvent, Version, WorldEvent};

use super::super::book::Signed;
use super::{Step, Verdict};

/// What is offered was published, and is by digest what the Organism signed.
pub(in super::super) fn check(step: &Step<'_>) -> Verdict {
    let InstanceEvent::Offered { release, rollout, .. } = step.event else { return Ok(()) };
    let published = step.world.releases.get(release).map(|published| published.digest);
    let signed = step.signed.get(release).map(|signed| signed.digest);
    if signed.is_none() || published != signed {
        return Err(format!("{release} is offered, and the Organism did not sign it as published"));
    }
    match step.world.rollout(*rollout) {
        Some(_) => Ok(()),
        None => Err(format!("{release} is offered by rollout {rollout}, which was never made")),
    }
}

/// What is published is what the Organism signed.
pub(in super::super) fn check_world(event: &WorldEvent, signed: &BTreeMap<Version, Signed>) -> Verdict {
    let WorldEvent::ReleasePublished { digest, release } = event else { return Ok(()) };
    let known = signed.get(&release.version).is_some_and(|signed| signed.digest == *digest);
    if known {
        Ok(())
    } else {
        Err(format!("{} is published, and the Organism did not sign it", release.version))
    }
}
