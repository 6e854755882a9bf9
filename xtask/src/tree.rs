//! Reads the source tree: where it is and which files it holds.
//!
//! Never follows a link out of the tree and never looks into `target` or `.git`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file of the tree: its path from the root, with `/`, and its text.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Every text file under `folder` (from the root; may be absent) whose name ends with one of `endings`,
/// in order of path.
pub(crate) fn files(folder: &str, endings: &[&str]) -> anyhow::Result<Vec<SourceFile>> {
    let root = root();
    let mut open = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        if !folder.is_dir() {
            continue;
        }
        let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            if kind.is_dir() && !matches!(name.as_str(), "target" | ".git" | ".venv" | "node_modules") {
                open.push(entry.path());
            } else if kind.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
                let path = entry.path();
                let text =
                    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
                let path = path.strip_prefix(&root)?.to_string_lossy().replace('\\', "/");
                found.push(SourceFile { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The part of a Rust source file that is test code: all of it under `tests/` or in a file of tests,
/// otherwise what follows the first `#[cfg(test)]`.
pub(crate) fn test_part(file: &SourceFile) -> &str {
    if is_test_file(&file.path) {
        return &file.text;
    }
    file.text.find("#[cfg(test)]").and_then(|at| file.text.get(at..)).unwrap_or("")
}

/// The part of a Rust source file that ships: what [`test_part`] leaves.
pub(crate) fn shipped_part(file: &SourceFile) -> &str {
    let tests = test_part(file).len();
    file.text.get(..file.text.len() - tests).unwrap_or("")
}

fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| part == "tests") || path.ends_with("tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_file_splits_into_what_ships_and_what_tests() {
        let mixed = file("crates/a/src/lib.rs", "fn a() {}\n#[cfg(test)]\nmod tests {}");
        assert_eq!(shipped_part(&mixed), "fn a() {}\n");
        assert_eq!(test_part(&mixed), "#[cfg(test)]\nmod tests {}");
        for path in ["crates/a/tests/b.rs", "crates/a/src/b/tests.rs", "crates/a/src/b_tests.rs"] {
            assert_eq!(shipped_part(&file(path, "x")), "");
        }
    }

    #[test]
    fn the_tree_is_found() {
        let crates = files("crates", &[".rs"]).unwrap();
        assert!(crates.iter().any(|file| file.path == "crates/governance/src/lib.rs"));
        assert!(files("no-such-folder", &[".rs"]).unwrap().is_empty());
    }
}
