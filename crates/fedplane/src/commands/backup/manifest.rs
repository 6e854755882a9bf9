//! What a backup holds: each file with its length and digest, and the ledger's checkpoint.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use governance::Timestamp;
use proof::tuf::hex_encode;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Failure;
use crate::folder::read_bytes;

/// The manifest's name in a backup.
pub(crate) const MANIFEST: &str = "backup.json";
/// The form that this program writes and reads.
pub(crate) const FORMAT: u32 = 1;
/// The longest manifest, in bytes: of a ledger of a billion entries, and thousands of packages.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;
/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Access rights of folders in a backup, and in what is made of one.
const FOLDER_MODE: u32 = 0o700;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The form of this manifest.
    pub(crate) format: u32,
    /// When the backup was made.
    pub(crate) made: Timestamp,
    /// Of which federation.
    pub(crate) trust_domain: String,
    /// Whether the online keys are in it.
    pub(crate) with_keys: bool,
    /// The ledger's checkpoint; none where none was published.
    pub(crate) checkpoint: Option<String>,
    /// The files, by their paths.
    pub(crate) files: Vec<Kept>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    /// Its path from the backup's folder on.
    pub(crate) path: String,
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// SHA-256 of it, in hex.
    pub(crate) sha256: String,
}

impl Manifest {
    /// Reads the manifest of a backup; every path in it stays below the folder, and stands there once.
    pub(crate) fn read(backup: &Path) -> Result<Self, Failure> {
        let path = backup.join(MANIFEST);
        let bytes = read_bytes(&path, MANIFEST_BYTES_MAX)?;
        let hint = "name the folder that `fedplane backup` made";
        let malformed = |error: &dyn std::fmt::Display| Failure::malformed(&path, error, hint);
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| malformed(&error))?;
        if manifest.format != FORMAT {
            let hint = "restore it with the version of `fedplane` that made it";
            let found = format!("form {}, and this program reads {FORMAT}", manifest.format);
            return Err(Failure::malformed(&path, &found, hint));
        }
        let mut seen = BTreeSet::new();
        for kept in &manifest.files {
            if !is_plain(&kept.path) || !seen.insert(&kept.path) {
                return Err(malformed(&format!("{:?} is no path of a backup", kept.path)));
            }
        }
        Ok(manifest)
    }
}

/// Whether a path stays below the folder that it begins in.
fn is_plain(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Copies a file to a new one of these access rights; says what was copied.
pub(crate) fn copy(from: &Path, to: &Path, mode: u32) -> io::Result<(u64, String)> {
    let mut source = File::open(from)?;
    let mut target = create(to, mode)?;
    let (mut hash, mut length) = (Sha256::new(), 0_u64);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = source.read(&mut piece)?;
        let bytes = piece.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        hash.update(bytes);
        target.write_all(bytes)?;
        length += bytes.len() as u64;
    }
    target.sync_all()?;
    Ok((length, hex_encode(&hash.finalize())))
}

/// Writes a new file of these access rights; says what was written.
pub(crate) fn write(to: &Path, bytes: &[u8], mode: u32) -> io::Result<(u64, String)> {
    let mut target = create(to, mode)?;
    target.write_all(bytes)?;
    target.sync_all()?;
    Ok((bytes.len() as u64, hex_encode(&Sha256::digest(bytes))))
}

/// What of a file is copied, without writing it anywhere.
pub(crate) fn measure(path: &Path) -> io::Result<(u64, String)> {
    let mut source = File::open(path)?;
    let mut hash = Sha256::new();
    let length = io::copy(&mut source, &mut Hashing(&mut hash))?;
    Ok((length, hex_encode(&hash.finalize())))
}

/// A hash as something to write to.
struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// The files below a folder, by their paths from there on, in order; no links, and nothing whose name begins with a dot,
/// which is on its way. None where there is no such folder.
pub(crate) fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    // Links are not followed, so that there is an end.
    while let Some(inside) = open.pop() {
        let entries = match fs::read_dir(folder.join(&inside)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if kind.is_dir() {
                open.push(inside.join(name));
            } else if kind.is_file() {
                found.push(inside.join(name));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_backup_stays_in_it() {
        for (path, plain) in [
            ("a", true),
            ("tuf/metadata/1.root.json", true),
            ("", false),
            ("/etc/passwd", false),
            ("../a", false),
            ("a/../../b", false),
            ("./a", false),
        ] {
            assert_eq!(is_plain(path), plain, "{path}");
        }
    }

    #[test]
    fn what_is_copied_is_what_is_measured() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let bytes = vec![7; PIECE_BYTES + 3];
        let written = write(&path("a/b"), &bytes, 0o600).unwrap();
        assert_eq!(copy(&path("a/b"), &path("c/d"), 0o600).unwrap(), written);
        assert_eq!(measure(&path("c/d")).unwrap(), written);
        assert_eq!(written.0, bytes.len() as u64);
        assert!(copy(&path("a/b"), &path("c/d"), 0o600).is_err(), "nothing is overwritten");
        fs::write(path(".hidden"), "").unwrap();
        assert_eq!(below(place.path()).unwrap(), [PathBuf::from("a/b"), PathBuf::from("c/d")]);
        assert_eq!(below(&path("none")).unwrap(), Vec::<PathBuf>::new());
    }
}
