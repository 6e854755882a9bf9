//! Security floors (RL-9): the version of each line below which no agent goes, as the TUF target `floor.json`.
//!
//! Never lowers a floor.

use std::path::Path;

use governance::{Digest, Line, Version};
use proof::tuf::{Document, Targets};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::folder::{TEXT_BYTES_MAX, read_bytes};

/// The target's name.
pub(super) const FLOOR: &str = "floor.json";

/// The floor of each line that has one, lines in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Floors {
    floors: Vec<Version>,
}

impl Floors {
    /// Reads a floor.json.
    ///
    /// # Errors
    /// When the file is missing or holds something else.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(&read_bytes(path, TEXT_BYTES_MAX)?, path)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, Failure> {
        serde_json::from_slice(bytes)
            .map_err(|error| Failure::malformed(path, &error, "name a floor.json that `fedplane` made"))
    }

    /// The floors now in force: those that the published targets list. They are read from `held`, or else from the
    /// repository's folder of target files.
    ///
    /// # Errors
    /// When the file is missing, or is not the one that is listed.
    pub(super) fn published(targets: &[u8], held: Option<&Path>, folder: &Path) -> Result<Self, Failure> {
        let document = Document::<Targets>::parse(targets).map_err(|fault| {
            let hint = "name the published targets.json with --targets FILE";
            Failure::new("tuf-malformed", "RL-3", format!("the published targets: {fault}"), hint)
        })?;
        let Some(listed) = document.signed.targets.get(FLOOR) else { return Ok(Self::default()) };
        let sha256 = listed.sha256().map(Digest::from_bytes);
        let name = sha256.map(|digest| format!("{digest}.{FLOOR}")).unwrap_or_default();
        let path = held.map_or_else(|| folder.join(name), Path::to_path_buf);
        let hint =
            "name the floor.json now published with --floors FILE: it is beside the targets, in tuf/targets";
        let bytes = read_bytes(&path, TEXT_BYTES_MAX)
            .map_err(|error| Failure::new("floor", "RL-9", error.reasons_in_short(), hint))?;
        if sha256 != Some(Digest::of(&bytes)) {
            let detail = format!("{}: not the floors that the published targets list", path.display());
            return Err(Failure::new("floor", "RL-9", detail, hint));
        }
        Self::parse(&bytes, &path)
    }

    /// The floor of a line.
    pub(super) fn of(&self, line: Line) -> Option<Version> {
        self.floors.iter().copied().find(|floor| floor.line() == line)
    }

    /// Raises the floor of a version's line to it.
    ///
    /// # Errors
    /// When the line's floor is above it already.
    pub(super) fn raise(&mut self, floor: Version) -> Result<(), Failure> {
        if let Some(held) = self.of(floor.line()).filter(|held| *held > floor) {
            let detail = format!("the floor of {} is {held} already, and a floor never sinks", floor.line());
            let hint = format!("leave `floor` out of the manifest, or name {held} or a later version");
            return Err(Failure::new("floor", "RL-9", detail, hint));
        }
        self.floors.retain(|held| held.line() != floor.line());
        self.floors.push(floor);
        self.floors.sort_unstable();
        Ok(())
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// Never in practice.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(|error| Failure::new("floor", "RL-9", error.to_string(), ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rl_9_a_floor_rises_and_never_sinks() {
        let mut floors = Floors::default();
        for (floor, good, expected) in [
            ("0.1.3", true, r#"{"floors":["0.1.3"]}"#),
            ("0.1.2", false, r#"{"floors":["0.1.3"]}"#),
            ("1.2.0", true, r#"{"floors":["0.1.3","1.2.0"]}"#),
            ("0.1.3", true, r#"{"floors":["0.1.3","1.2.0"]}"#),
            ("0.2.1", true, r#"{"floors":["0.1.3","0.2.1","1.2.0"]}"#),
            ("1.3.0", true, r#"{"floors":["0.1.3","0.2.1","1.3.0"]}"#),
        ] {
            assert_eq!(floors.raise(floor.parse().unwrap()).is_ok(), good, "{floor}");
            assert_eq!(String::from_utf8(floors.to_bytes().unwrap()).unwrap(), expected);
        }
    }
}
