//! Releases side by side: `slots/VERSION/package`, and `current`, a link that is switched by an atomic rename.
//!
//! Never touches a slot that is linked: a release is placed before it becomes current, and removed after.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use governance::Version;

use super::ShellError;
use super::folder::{make_folder, sync};

const SLOTS: &str = "slots";
const CURRENT: &str = "current";
const PACKAGE: &str = "package";

/// The slots of one agent.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    root: PathBuf,
}

impl Slots {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// The slot of a version, whether it is there or not.
    pub(super) fn slot(&self, version: Version) -> PathBuf {
        self.root.join(SLOTS).join(version.to_string())
    }

    /// The package in a slot, whether it is there or not.
    pub(super) fn package(&self, version: Version) -> PathBuf {
        self.slot(version).join(PACKAGE)
    }

    /// Moves a verified file into the slot of its version, durably.
    pub(super) fn place(&self, version: Version, verified: &Path) -> Result<(), ShellError> {
        let slot = self.slot(version);
        make_folder(&slot)?;
        let package = self.package(version);
        let place = || {
            fs::rename(verified, &package)?;
            sync(&slot)?;
            sync(&self.root.join(SLOTS))?;
            sync(&self.root)
        };
        place().map_err(ShellError::file(&package, "place the package"))
    }

    /// The version that `current` links to.
    pub(super) fn current(&self) -> Option<Version> {
        let link = fs::read_link(self.root.join(CURRENT)).ok()?;
        link.file_name()?.to_str()?.parse().ok()
    }

    /// Makes a version's slot the current one. A version that came without a slot has none to link to: then there is
    /// no link, as before the first release.
    pub(super) fn switch(&self, version: Version) -> Result<(), ShellError> {
        let current = self.root.join(CURRENT);
        let fresh = self.root.join("current.new");
        let switch = || {
            match fs::remove_file(if self.slot(version).is_dir() { &fresh } else { &current }) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            if self.slot(version).is_dir() {
                symlink(Path::new(SLOTS).join(version.to_string()), &fresh)?;
                fs::rename(&fresh, &current)?;
            }
            sync(&self.root)
        };
        switch().map_err(ShellError::file(&current, "switch the link"))
    }

    /// Removes every slot but those of `keep` and the one that is current.
    pub(super) fn prune(&self, keep: &[Version]) {
        let current = self.current();
        let Ok(entries) = fs::read_dir(self.root.join(SLOTS)) else { return };
        for entry in entries.flatten() {
            let version = entry.file_name().to_str().and_then(|name| name.parse::<Version>().ok());
            let Some(version) = version else { continue };
            if keep.contains(&version) || current == Some(version) {
                continue;
            }
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(slot = %entry.path().display(), %error, "could not remove an old slot");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_switched_and_old_slots_go() {
        let place = tempfile::tempdir().unwrap();
        let slots = Slots::new(place.path());
        let [zero, one, two] = [0, 1, 2].map(|patch| Version::new(0, 1, patch));
        assert_eq!(slots.current(), None);
        for version in [one, two] {
            let file = place.path().join("part");
            fs::write(&file, version.to_string()).unwrap();
            slots.place(version, &file).unwrap();
            slots.switch(version).unwrap();
            assert_eq!(slots.current(), Some(version));
            let package = place.path().join("current/package");
            assert_eq!(fs::read_to_string(package).unwrap(), version.to_string());
        }
        slots.switch(one).unwrap();
        slots.prune(&[]);
        assert_eq!((slots.current(), slots.slot(two).exists()), (Some(one), false));
        slots.switch(zero).unwrap();
        assert_eq!(slots.current(), None, "the first version has no slot");
        slots.switch(zero).unwrap();
        slots.prune(&[one]);
        assert!(slots.package(one).exists());
    }
}
