//! Reads scenarios out of files and folders and plays one after the other.
//!
//! Never lets one file stand in for another: whatever was named has a line in the report, read or not.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{FileResult, Report, ScenarioError, run_text};

/// The longest scenario, in bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The most scenarios of one folder.
pub const FILES_MAX: usize = 10_000;

/// Reads and plays files, one after the other; of a folder every `*.toml` in it, by name. What cannot be read, or holds no
/// scenario, fails; the others still run.
#[must_use]
pub fn run_files<P: AsRef<Path>>(paths: &[P]) -> Report {
    let mut files = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        match listed(path) {
            Ok(list) => files.extend(list.iter().map(|path| run_file(path))),
            Err(error) => files.push(unreadable(path, &error)),
        }
    }
    let passed = files.iter().filter(|file| file.passed).count();
    Report { passed, failed: files.len() - passed, files }
}

/// The file itself, or the scenarios of a folder.
fn listed(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            found.push(file);
        }
        if found.len() > FILES_MAX {
            return Err(io::Error::other(format!("a folder of more than {FILES_MAX} scenarios")));
        }
    }
    if found.is_empty() {
        return Err(io::Error::other("a folder without scenarios: none of its files ends in .toml"));
    }
    found.sort();
    Ok(found)
}

fn run_file(path: &Path) -> FileResult {
    match read(path) {
        Ok(text) => run_text(&path.display().to_string(), &text),
        Err(error) => unreadable(path, &error),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> FileResult {
    let file = path.display().to_string();
    let error = ScenarioError { file: file.clone(), line: 0, detail: error.to_string() };
    FileResult { file, passed: false, name: None, failed: None, error: Some(error) }
}
