//! What the Organism signs: releases, the runtime matrix, and which step of the upgrade graph is legal (§V, RL-1…RL-8).
//!
//! Never creates a release: it only judges those it is given.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{Digest, Label, ProviderId};
use crate::layer::{LayerStructure, check_stack};
use crate::refusal::Reason;
use crate::text::words;
use crate::tier::{Kind, Tier};
use crate::version::{Line, Version, VersionRange};

words! {
    /// How strongly a release is asked for (RL-2).
    pub enum Class ("class") {
        /// Forced.
        Security = "security",
        /// Optional within its window.
        Minor = "minor",
        /// Required within its window.
        Major = "major",
        /// On activation.
        Module = "module",
    }
}

words! {
    /// What a minor release is for (RL-2).
    pub enum Advisory ("advisory") {
        /// Repairs.
        Stability = "stability",
        /// Keeps up with others.
        Compatibility = "compatibility",
        /// Something new.
        Feature = "feature",
        /// The Runtime decides.
        Infrastructure = "infrastructure",
    }
}

/// A file as TUF lists it: its flat target name, digest and length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Target name.
    pub name: String,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Number of bytes.
    pub length: u64,
}

/// How to go back (RL-1, IN-2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackInstructions {
    /// For the Runtime and its people.
    pub instructions: String,
}

words! {
    /// How long before its removal a capability must have been deprecated (RL-8).
    pub enum Weight ("weight") {
        /// `deprecation.minor`.
        Minor = "minor",
        /// `deprecation.major`.
        Major = "major",
        /// `deprecation.core`.
        Core = "core",
    }
}

/// The notice that a capability will go (RL-8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deprecation {
    /// What will go.
    pub capability: String,
    /// How much weight it has.
    pub weight: Weight,
}

/// A release as the Organism signs it (RL-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its version.
    pub version: Version,
    /// How strongly it is asked for.
    pub class: Class,
    /// What a minor is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisory: Option<Advisory>,
    /// The bytes to bind.
    pub package: Package,
    /// The structures it contains.
    pub layers: Vec<LayerStructure>,
    /// The runtime version it brings, if it brings one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ships_runtime: Option<Version>,
    /// The runtimes it runs on.
    pub runtime: VersionRange,
    /// The versions it can be applied from; absent: as RL-6 says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Vec<Version>>,
    /// The version of its line below which nobody goes from now on (RL-9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Version>,
    /// How to go back; a release without is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackInstructions>,
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
}

/// One row of the runtime matrix: versions of a line run on these runtimes (RL-5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixRow {
    /// Any version of the line.
    pub platform: Version,
    /// The runtimes it runs on, bounds included.
    pub runtime: VersionRange,
}

/// The Organism's runtime matrix (RL-5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// A row a line.
    pub rows: Vec<MatrixRow>,
}

impl Default for Matrix {
    /// The founding document's three rows (RL-5).
    fn default() -> Self {
        let row = |platform, min, max| MatrixRow { platform, runtime: VersionRange { min, max } };
        let v = Version::new;
        Self {
            rows: alloc::vec![
                row(v(0, 1, 0), v(0, 1, 0), v(0, 2, 0)),
                row(v(0, 2, 0), v(0, 2, 0), v(0, 3, 0)),
                row(v(1, 0, 0), v(1, 0, 0), v(2, 0, 0)),
            ],
        }
    }
}

impl Matrix {
    /// The runtimes that versions of this line run on, if the matrix knows the line.
    #[must_use]
    pub fn runtimes(&self, line: Line) -> Option<VersionRange> {
        self.rows.iter().find(|row| row.platform.line() == line).map(|row| row.runtime)
    }
}

/// Whom a rollout is for; an empty list restricts nothing (RO-6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Restriction {
    /// Kinds of instances.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kind: Vec<Kind>,
    /// Tiers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tier: Vec<Tier>,
    /// Providers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub provider: Vec<ProviderId>,
    /// Labels, of which an instance needs one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub label: Vec<Label>,
}

impl Release {
    /// Whether the release may be published at all: rollback instructions, a stack that closes, a row of the matrix.
    ///
    /// # Errors
    /// Every rule that it breaks.
    pub fn check(&self, matrix: &Matrix) -> Result<(), Vec<Reason>> {
        let mut reasons = Vec::new();
        if self.rollback.as_ref().is_none_or(|rollback| rollback.instructions.trim().is_empty()) {
            reasons.push(Reason::NoRollbackInstructions { release: self.version });
        }
        if self.class == Class::Major && self.migration.as_ref().is_none_or(|guide| guide.trim().is_empty()) {
            reasons.push(Reason::NoMigrationGuide { release: self.version });
        }
        if self.class == Class::Module {
            reasons.push(Reason::ModuleRelease { release: self.version });
        }
        if let Err(breach) = check_stack(&self.layers) {
            reasons.push(Reason::StackBroken { release: self.version, breach });
        }
        match matrix.runtimes(self.version.line()) {
            None => reasons.push(Reason::NoMatrixRow { line: self.version.line() }),
            Some(range) => {
                if let Some(runtime) = self.ships_runtime.filter(|runtime| !range.contains(*runtime)) {
                    reasons.push(Reason::RuntimeIncompatible { runtime, range });
                }
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// Whether it can run where this runtime is, or brings one with it (RL-5).
    #[must_use]
    pub fn fits_runtime(&self, installed: Version, matrix: &Matrix) -> bool {
        let runtime = self.ships_runtime.unwrap_or(installed);
        let in_matrix = matrix.runtimes(self.version.line()).is_some_and(|range| range.contains(runtime));
        in_matrix && (self.ships_runtime.is_some() || self.runtime.contains(runtime))
    }
}

/// Why a release is not the next step of an instance (RL-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepError {
    /// It is not later than what runs.
    NotLater,
    /// A whole line lies between, and this release of it must come first.
    SkipsMajor(Version),
    /// Its manifest does not name the version that runs.
    NotFrom,
}

/// Whether `release` may be applied over `installed` (RL-6). `known` are all versions ever released and not withdrawn.
///
/// Within a line any later release may be applied, unless its manifest's `from` says otherwise; a security
/// release may even then. Into the next line leads a major release, or one whose `from` names the version.
///
/// # Errors
/// Why not.
pub fn check_step(
    installed: Version,
    release: &Release,
    known: impl Iterator<Item = Version>,
) -> Result<(), StepError> {
    if release.version <= installed {
        return Err(StepError::NotLater);
    }
    let (here, there) = (installed.line(), release.version.line());
    let named = release.from.as_ref().map(|from| from.contains(&installed));
    if here == there {
        return if named.unwrap_or(true) || release.class == Class::Security {
            Ok(())
        } else {
            Err(StepError::NotFrom)
        };
    }
    let between = known.filter(|version| here < version.line() && version.line() < there).min();
    if let Some(skipped) = between {
        return Err(StepError::SkipsMajor(skipped));
    }
    if named.unwrap_or(release.class == Class::Major) { Ok(()) } else { Err(StepError::NotFrom) }
}
