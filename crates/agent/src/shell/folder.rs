//! The agent's folder: private, held by one agent at a time, every write durable before it counts.
//!
//! Never leaves half a file under a name that is read: what is written is renamed into place.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ShellError;

/// Bytes of a file that is read whole.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A folder that this process holds.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be, and holds it.
    ///
    /// # Errors
    /// When another agent holds it, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, ShellError> {
        make_folder(path)?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
        let lock = lock.map_err(ShellError::file(&lock_path, "open"))?;
        Self::hold(path, lock)
    }

    /// Makes the folder if need be, and holds it without a file of its own inside: whoever looks finds what was kept and
    /// nothing else.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn open_bare(path: &Path) -> Result<Self, ShellError> {
        make_folder(path)?;
        let lock = File::open(path).map_err(ShellError::file(path, "open"))?;
        Self::hold(path, lock)
    }

    fn hold(path: &Path, lock: File) -> Result<Self, ShellError> {
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_path_buf(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ShellError::InUse(path.to_path_buf())),
            Err(TryLockError::Error(error)) => Err(ShellError::file(path, "lock")(error)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name inside it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads a file; nothing when there is none.
    ///
    /// # Errors
    /// When the system refuses, or the file is too long to be ours.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ShellError> {
        read(self.join(name))
    }

    /// Reads a JSON file; nothing when there is none.
    ///
    /// # Errors
    /// When it cannot be read or is not what it should be.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ShellError> {
        read_json(&self.path, name)
    }

    /// Writes a file, mode 0600: afterwards the disk holds the new bytes whole, or on failure the old ones.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ShellError> {
        let path = self.join(name);
        let parent = path.parent().unwrap_or(&self.path);
        let fresh = path.with_extension("new");
        let write = || {
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            sync(parent)
        };
        write().map_err(ShellError::file(&path, "write"))
    }

    /// Writes a value as JSON, as [`Folder::write`].
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), ShellError> {
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| ShellError::Corrupt { path: self.join(name), why: error.to_string() })?;
        self.write(name, &bytes)
    }

    /// Puts a file in the place of another.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), ShellError> {
        let path = self.join(to);
        fs::rename(self.join(from), &path)
            .and_then(|()| sync(&self.path))
            .map_err(ShellError::file(path, "write"))
    }

    /// Removes a file if it is there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove(&self, name: &str) -> Result<(), ShellError> {
        let path = self.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ShellError::file(path, "remove")(error))
            }
            _ => Ok(()),
        }
    }
}

/// Reads a file; nothing when there is none.
fn read(path: PathBuf) -> Result<Option<Vec<u8>>, ShellError> {
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            Err(ShellError::Corrupt { path, why: format!("it has more than {FILE_BYTES_MAX} bytes") })
        }
        Ok(_) => fs::read(&path).map(Some).map_err(ShellError::file(path, "read")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ShellError::file(path, "read")(error)),
    }
}

/// Reads a JSON file of a folder that perhaps another process holds: it is whole, since it was renamed into place.
pub(super) fn read_json<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, ShellError> {
    let path = folder.join(name);
    let Some(bytes) = read(path.clone())? else { return Ok(None) };
    let why = |error: serde_json::Error| ShellError::Corrupt { path, why: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(why)
}

/// Makes a private folder and those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), ShellError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(ShellError::file(path, "make the folder"))
}

/// Brings a folder's names to the disk.
pub(super) fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_folder_has_one_holder_and_private_files() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        let folder = Folder::open(&path).unwrap();
        assert!(matches!(Folder::open(&path), Err(ShellError::InUse(_))));
        folder.write("x", b"1").unwrap();
        folder.write("x", b"22").unwrap();
        assert_eq!(folder.read("x").unwrap().as_deref(), Some(b"22".as_slice()));
        assert_eq!(fs::metadata(path.join("x")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(folder.read("y").unwrap(), None);
        assert!(folder.read_json::<Vec<u8>>("x").is_err());
        drop(folder);
        assert!(Folder::open(&path).is_ok());
    }

    #[test]
    fn a_bare_folder_is_held_without_a_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        let folder = Folder::open_bare(&path).unwrap();
        assert!(matches!(Folder::open_bare(&path), Err(ShellError::InUse(_))));
        folder.write("x.json", b"1").unwrap();
        let names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["x.json"]);
        drop(folder);
        assert!(Folder::open_bare(&path).is_ok());
    }
}
