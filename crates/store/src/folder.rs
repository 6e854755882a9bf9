//! Static files in a folder: what the ledger publishes (LG-2).
//!
//! A file is whole or absent: written beside, synced, renamed, its folder synced. Never leaves the folder it was given,
//! whatever the path says.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use plane::publication::Files;

/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 255;

/// Distinguishes the temporary files of one process.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// A folder that serves as [`Files`].
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at `root`, made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        Ok(Self { root })
    }

    /// Where a path lies on disk.
    ///
    /// # Errors
    /// `InvalidInput` for a path that is not a plain one below the folder.
    pub fn locate(&self, path: &str) -> io::Result<PathBuf> {
        if is_plain(path) {
            Ok(self.root.join(path))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain path below the folder"))
        }
    }
}

/// Segments of letters, digits, `.`, `_`, `-` with single slashes between, none of which begins with a dot.
fn is_plain(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    path.len() <= PATH_BYTES_MAX
        && path
            .split('/')
            .all(|segment| !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(plain))
}

impl Files for Folder {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.locate(path)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.locate(path)?;
        let folder = path.parent().unwrap_or(&self.root);
        make_folder(&self.root, folder)?;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!(".{}.{serial}.tmp", std::process::id()));
        let written = write_whole(&temporary, bytes)
            .and_then(|()| fs::rename(&temporary, &path))
            .and_then(|()| sync(folder));
        if written.is_err() {
            // Best effort: a leftover is never served, since its name begins with a dot.
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a folder below the root, each new name on disk before this returns.
fn make_folder(root: &Path, folder: &Path) -> io::Result<()> {
    if folder == root || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(root);
    make_folder(root, parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync(parent),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::open(base.path().join("ledger")).unwrap();
        assert_eq!(folder.read("tile/0/x001/x234/067.p/3").unwrap(), None);
        folder.write("tile/0/x001/x234/067.p/3", b"one").unwrap();
        folder.write("tile/0/x001/x234/067.p/3", b"two").unwrap();
        assert_eq!(folder.read("tile/0/x001/x234/067.p/3").unwrap().as_deref(), Some(&b"two"[..]));
        let names = fs::read_dir(base.path().join("ledger/tile/0/x001/x234/067.p")).unwrap();
        assert_eq!(names.count(), 1, "no temporary file stays");
    }

    #[test]
    fn no_path_leaves_the_folder() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("secret"), b"s").unwrap();
        let folder = Folder::open(base.path().join("ledger")).unwrap();
        for path in
            ["", "/", "../secret", "a/../../secret", "/etc/passwd", "a//b", ".x", "a/.b", "a\\b", "a\0b"]
        {
            for error in [folder.read(path).unwrap_err(), folder.write(path, b"x").unwrap_err()] {
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
            }
        }
        assert_eq!(fs::read(base.path().join("secret")).unwrap(), b"s");
    }
}
