//! Files that are whole or absent: written beside, synced, renamed, the folder synced.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};

use super::PublishError;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// A length in bytes and a SHA-256.
pub(super) type Measure = (u64, [u8; 32]);

pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> PublishError {
    let path = path.to_path_buf();
    move |source| PublishError::Io { path, source }
}

/// Reads a file; nothing when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, PublishError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// Puts a whole file in place.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    let (temporary, mut file) = temporary(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    place(&temporary, path, written)
}

/// A file that arrived whole, and has no name yet. Dropping it leaves it for [`clean`].
pub(super) struct Received {
    path: PathBuf,
    pub(super) measure: Measure,
}

/// Copies a stream into a folder, synced, without a name yet.
///
/// # Errors
/// When the stream fails, or has more than `max_bytes` (`FileTooLarge`); nothing stays.
pub(super) fn receive(
    folder: &Path,
    source: &mut dyn Read,
    max_bytes: u64,
) -> Result<Received, PublishError> {
    let (path, mut file) = temporary(&folder.join("put"))?;
    let copied = copy(source, max_bytes, |chunk| file.write_all(chunk)).and_then(|measure| {
        file.sync_all()?;
        Ok(measure)
    });
    match copied {
        Ok(measure) => Ok(Received { path, measure }),
        Err(error) => {
            let _ = fs::remove_file(&path);
            Err(failed(&path)(error))
        }
    }
}

impl Received {
    /// Gives it its name.
    pub(super) fn place(self, path: &Path) -> Result<(), PublishError> {
        place(&self.path, path, Ok(()))
    }

    /// Takes it away: it is there already.
    pub(super) fn discard(self) -> Result<(), PublishError> {
        fs::remove_file(&self.path).map_err(failed(&self.path))
    }
}

/// Moves a whole file to another folder of the same file system.
pub(super) fn adopt(from: &Path, to: &Path) -> Result<(), PublishError> {
    fs::rename(from, to)
        .and_then(|()| to.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()))
        .map_err(failed(to))
}

/// How many files a folder holds and how many bytes, named or on their way.
pub(super) fn usage(folder: &Path) -> Result<(usize, u64), PublishError> {
    let mut usage = (0, 0_u64);
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let length = entry.and_then(|entry| entry.metadata()).map_err(failed(folder))?.len();
        usage = (usage.0 + 1, usage.1.saturating_add(length));
    }
    Ok(usage)
}

/// Removes the files of a folder that were last written before a moment, and says how many.
pub(super) fn clean(folder: &Path, before: SystemTime) -> Result<usize, PublishError> {
    let mut removed = 0;
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if fs::metadata(&path).and_then(|metadata| metadata.modified()).map_err(failed(&path))? < before {
            fs::remove_file(&path).map_err(failed(&path))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// The length and SHA-256 of a file; nothing when there is none.
pub(super) fn measure(path: &Path) -> Result<Option<Measure>, PublishError> {
    match File::open(path).and_then(|mut file| copy(&mut file, u64::MAX, |_| Ok(()))) {
        Ok(measure) => Ok(Some(measure)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// The highest `N` of the files `N.FILE_NAME` in a folder; zero without any.
pub(super) fn highest(folder: &Path, file_name: &str) -> Result<u64, PublishError> {
    let mut highest = 0;
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let name = entry.map_err(failed(folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(file_name)?.strip_suffix('.'));
        highest = highest.max(number.and_then(|number| number.parse().ok()).unwrap_or(0));
    }
    Ok(highest)
}

fn copy(
    source: &mut dyn Read,
    max_bytes: u64,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Measure> {
    let mut context = Context::new(&SHA256);
    let mut length = 0_u64;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let chunk = buffer.get(..count).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        length += chunk.len() as u64;
        if length > max_bytes {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {max_bytes} bytes")));
        }
        context.update(chunk);
        sink(chunk)?;
    }
    let digest = context.finish();
    let sha256 = digest.as_ref().try_into().map_err(|_| io::Error::other("SHA-256 of another length"))?;
    Ok((length, sha256))
}

/// A file beside `path` that no other writer has.
fn temporary(path: &Path) -> Result<(PathBuf, File), PublishError> {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
    let path = path.with_file_name(format!(".{name}.{}.{serial}.tmp", std::process::id()));
    let file = File::create(&path).map_err(failed(&path))?;
    Ok((path, file))
}

fn place(temporary: &Path, path: &Path, written: io::Result<()>) -> Result<(), PublishError> {
    let placed = written.and_then(|()| fs::rename(temporary, path)).and_then(|()| match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    });
    placed.map_err(|error| {
        let _ = fs::remove_file(temporary);
        failed(path)(error)
    })
}
