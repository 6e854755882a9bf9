//! A release's manifest as the Organism writes it (TOML): everything but the package, which is measured.
//!
//! Never fills in what the Organism has to say itself.

use governance::layer::LayerStructure;
use governance::release::{Advisory, Class, RollbackInstructions};
use governance::{Deprecation, Digest, Matrix, Package, Release, Version, VersionRange};
use serde::{Deserialize, Serialize};
use wire::ProblemReason;

use crate::Failure;

/// The manifest before signing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The release's version.
    pub version: Version,
    /// How strongly it is asked for: security, minor, major, module (RL-2).
    pub class: Class,
    /// What a minor is for (RL-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisory: Option<Advisory>,
    /// The runtime version it brings, if it brings one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ships_runtime: Option<Version>,
    /// The versions it can be applied from; absent: as RL-6 says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Vec<Version>>,
    /// The version of its line below which no agent goes from now on, whatever a directive says (RL-9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Version>,
    /// How to move to a major.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
    /// Capabilities that a later release may remove (RL-8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deprecations: Vec<Deprecation>,
    /// Capabilities that this release removes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removes: Vec<String>,
    /// For people.
    #[serde(default)]
    pub notes: String,
    /// The runtimes it runs on, bounds included (RL-5).
    pub runtime: VersionRange,
    /// How to go back; a release without is refused (IN-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackInstructions>,
    /// The structures it contains (RL-4).
    #[serde(default)]
    pub layers: Vec<LayerStructure>,
}

impl Manifest {
    /// The release with this package.
    ///
    /// # Errors
    /// Every rule that it breaks: no rollback instructions, a stack that does not close, no row of the matrix.
    pub fn into_release(self, package: &[u8]) -> Result<Release, Failure> {
        let Self {
            version,
            class,
            advisory,
            ships_runtime,
            from,
            // Signed in floor.json too, where agents read it.
            floor,
            migration,
            deprecations,
            removes,
            notes,
            runtime,
            rollback,
            layers,
        } = self;
        if let Some(floor) = floor.filter(|floor| *floor > version || floor.line() != version.line()) {
            let detail = format!("{floor} cannot be a floor that {version} sets");
            let hint = "name a version of the release's own line, up to its own; or leave `floor` out";
            return Err(Failure::new("floor", "RL-9", detail, hint));
        }
        let package = Package {
            name: format!("package-{version}"),
            digest: Digest::of(package),
            length: package.len() as u64,
        };
        let release = Release {
            version,
            class,
            advisory,
            package,
            layers,
            ships_runtime,
            runtime,
            from,
            floor,
            rollback,
            migration,
            deprecations,
            removes,
            notes,
        };
        if runtime.max < runtime.min {
            let detail = format!("the release runs on no runtime: {runtime}");
            return Err(Failure::new(
                "runtime-incompatible",
                "RL-5",
                detail,
                "write runtime.min and .max in order",
            ));
        }
        release
            .check(&Matrix::default())
            .map_err(|reasons| Failure::of(reasons.iter().map(ProblemReason::from).collect()))?;
        Ok(release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
version = "0.1.1"
class = "minor"
advisory = "stability"
notes = "mends the ledger page"
runtime = { min = "0.1.0", max = "0.2.0" }
[rollback]
instructions = "bind the slot of before"
[[layers]]
id = "TIS-LEDGER-v0.1.1"
digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"#;

    #[test]
    fn rl_1_a_manifest_becomes_a_release_with_its_package_measured() {
        let release = toml::from_str::<Manifest>(GOOD).unwrap().into_release(b"bytes").unwrap();
        let package = Package { name: "package-0.1.1".into(), digest: Digest::of(b"bytes"), length: 5 };
        assert_eq!((release.package, release.layers.len()), (package, 1));
    }

    #[test]
    fn what_a_release_may_not_be_is_refused_with_every_reason() {
        let codes = |text: &str| {
            let failure = toml::from_str::<Manifest>(text).unwrap().into_release(b"").unwrap_err();
            failure.reasons.into_iter().map(|reason| (reason.code, reason.rule)).collect::<Vec<_>>()
        };
        let is = |code: &str, rule: &str| (code.to_owned(), rule.to_owned());
        let no_rollback = GOOD.replace("bind the slot of before", " ");
        assert_eq!(codes(&no_rollback), [is("no-rollback-instructions", "IN-2")]);
        let broken = format!("{no_rollback}needs = [\"ORG-HR-PAY-v1.0.0\"]\n");
        assert_eq!(codes(&broken), [is("no-rollback-instructions", "IN-2"), is("stack-broken", "RL-4")]);
        assert_eq!(
            codes(&GOOD.replace("version = \"0.1.1\"", "version = \"7.0.0\"")),
            [is("no-matrix-row", "RL-5")]
        );
        assert_eq!(
            codes(&GOOD.replace("max = \"0.2.0\"", "max = \"0.0.2\"")),
            [is("runtime-incompatible", "RL-5")]
        );
        assert!(toml::from_str::<Manifest>(&GOOD.replace("notes", "note")).is_err());
        for floor in ["0.1.2", "0.0.9", "1.0.0"] {
            let text = GOOD.replace("notes", &format!("floor = \"{floor}\"\nnotes"));
            assert_eq!(codes(&text), [is("floor", "RL-9")], "{floor}");
        }
    }
}
