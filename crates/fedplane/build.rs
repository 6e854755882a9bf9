//! Gives the program's version with the commit that it is built from, as `FEDPLANE_VERSION`: `0.1.0 (1a2b3c4d5e6f)`.
//!
//! `FEDPLANE_COMMIT` says which, where there is no repository: it is asked first. Without either, as in a tarball, the version
//! stands alone. Never a time or a name of this machine: the same sources give the same bytes.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Digits of the commit.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-env-changed=FEDPLANE_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let told = env::var("FEDPLANE_COMMIT").ok().filter(|told| !told.is_empty());
    let version = match told.or_else(of_repository).as_deref().and_then(shortened) {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo::rustc-env=FEDPLANE_VERSION={version}");
}

/// The commit of the repository that this tree is; of no other one that the tree was unpacked into.
fn of_repository() -> Option<String> {
    let tree = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).join("../..").canonicalize().ok()?;
    if Path::new(&git(&tree, &["rev-parse", "--show-toplevel"])?).canonicalize().ok()? != tree {
        return None;
    }
    // What a commit or a checkout writes; a file that is not there would have this run each time.
    for name in ["HEAD", "logs/HEAD"] {
        let path: PathBuf = tree.join(git(&tree, &["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(&tree, &["rev-parse", "HEAD"])
}

fn git(tree: &Path, arguments: &[&str]) -> Option<String> {
    let done = Command::new("git").current_dir(tree).args(arguments).output().ok()?;
    let told = done.status.success().then_some(done.stdout)?;
    String::from_utf8(told).ok().map(|told| told.trim().to_owned())
}

/// A commit and nothing else: it stands in what people read.
fn shortened(commit: &str) -> Option<&str> {
    commit.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| commit.get(..DIGITS))?
}
