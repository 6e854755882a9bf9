//! IN-1: no update asks for changes in capability layers; what the release does not list stays as it was.

use governance::{InstanceEvent, LayerContent};

use super::{Step, Verdict};

/// Layers outside the release's own list are the same after an update as before, none more and none fewer.
pub(in super::super) fn check(step: &Step<'_>) -> Verdict {
    let InstanceEvent::Reported { .. } = step.event else { return Ok(()) };
    let (before, after) = (&step.before.running, &step.after.running);
    if before.platform == after.platform {
        return Ok(());
    }
    let Some(release) = step.signed.get(&after.platform) else { return Ok(()) };
    let outside =
        |layer: &&LayerContent| !release.layers.iter().any(|listed| listed.id.stem() == layer.id.stem());
    let changed = |from: &[LayerContent], to: &[LayerContent]| {
        from.iter().filter(outside).find(|layer| !to.contains(layer)).map(|layer| layer.id.to_string())
    };
    let changed = changed(&before.layers, &after.layers).or_else(|| changed(&after.layers, &before.layers));
    match changed {
        None => Ok(()),
        Some(id) => Err(format!(
            "from {} to {}: {id} changed, which release {} does not list",
            before.platform, after.platform, after.platform
        )),
    }
}
