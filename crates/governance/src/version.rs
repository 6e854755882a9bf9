//! Versions and lines. A line is what a security release may not leave: a major from 1.0 on, a minor before (RL-6).
//!
//! Never compares by anything but number: no pre-releases, no build metadata.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use crate::text::{excerpt, text_serde};

/// A version `X.Y.Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Incompatible change, from 1.0 on.
    pub major: u32,
    /// Compatible change; before 1.0 it counts as major (RL-6).
    pub minor: u32,
    /// Repair.
    pub patch: u32,
}

/// A text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version: write three numbers without leading zeros, as 1.4.0")]
pub struct VersionError(String);

impl Version {
    /// The version `major.minor.patch`.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// The line it belongs to (RL-6).
    #[must_use]
    pub const fn line(self) -> Line {
        Line { major: self.major, minor: if self.major == 0 { self.minor } else { 0 } }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&alloc::format!("{}.{}.{}", self.major, self.minor, self.patch))
    }
}

impl FromStr for Version {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let parse = || {
            let mut parts = text.split('.').map(number);
            let version = Self::new(parts.next()??, parts.next()??, parts.next()??);
            parts.next().is_none().then_some(version)
        };
        parse().ok_or_else(|| VersionError(excerpt(text)))
    }
}

/// A number without sign or leading zero.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// A line of versions (RL-6): `1.x`, or `0.2.x` before 1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    major: u32,
    minor: u32,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.major == 0 { write!(f, "0.{}.x", self.minor) } else { write!(f, "{}.x", self.major) }
    }
}

/// An inclusive range of versions (RL-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRange {
    /// The first version inside.
    pub min: Version,
    /// The last version inside.
    pub max: Version,
}

impl VersionRange {
    /// Whether the version lies inside, both ends included.
    #[must_use]
    pub fn contains(&self, version: Version) -> bool {
        self.min <= version && version <= self.max
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…{}", self.min, self.max)
    }
}

text_serde!(Version);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_three_plain_numbers() {
        for (text, good) in [
            ("0.1.0", true),
            ("10.20.30", true),
            ("1.0", false),
            ("1.0.0.0", false),
            ("01.0.0", false),
            ("1.0.0-rc1", false),
            ("+1.0.0", false),
            ("4294967296.0.0", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<Version>().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn rl_6_before_one_zero_a_minor_is_a_line() {
        assert_ne!(Version::new(0, 1, 0).line(), Version::new(0, 2, 0).line());
        assert_eq!(Version::new(1, 1, 0).line(), Version::new(1, 9, 3).line());
        assert!(Version::new(0, 9, 9).line() < Version::new(1, 0, 0).line());
    }
}
