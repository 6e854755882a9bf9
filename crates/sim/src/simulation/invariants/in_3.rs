//! IN-3: the same version has the same digests everywhere, unless it is on record as a fork.

use std::collections::BTreeMap;

use governance::{FindingCode, Instance, State, Version};

use super::super::book::Signed;
use super::Verdict;

/// Whoever runs other content than the Organism signed for the version has that as a finding. Whoever is not audited
/// (registered only, revoked, restored and not heard from since) has no such finding.
pub(in super::super) fn check(instance: &Instance, signed: &BTreeMap<Version, Signed>) -> Verdict {
    let Some(release) = signed.get(&instance.running.platform) else { return Ok(()) };
    let differs = release.layers.iter().find(|listed| {
        instance.running.layers.iter().any(|found| found.id == listed.id && found.digest != listed.digest)
    });
    let Some(listed) = differs else { return Ok(()) };
    let audited = !matches!(instance.state, State::Registered | State::Revoked) && !instance.unstated;
    if !audited || instance.finding(FindingCode::UnauthorisedFork).is_some() {
        return Ok(());
    }
    Err(format!("{} runs with content that the Organism did not sign, and no finding says so", listed.id))
}
