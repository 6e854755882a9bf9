//! `cargo xtask load …`: builds the product and the load generator as they are shipped, and runs the load generator.
//!
//! Never judges: what it prints is for comparing on one machine, and no test asserts a figure.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};

use crate::tree::root;

/// Runs it with these arguments; gives how it ended.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let root = root();
    let target = root.join("target");
    let bench = root.join("bench/Cargo.toml");
    let cargo = || {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // The bench's workspace shares what both need compiled.
        cargo.env("CARGO_TARGET_DIR", &target).current_dir(&root).args(["build", "--release", "--locked"]);
        cargo
    };
    for (what, build) in [
        ("fedplane", cargo().args(["-p", "fedplane", "--bin", "fedplane"])),
        ("the load generator", cargo().arg("--manifest-path").arg(&bench).args(["--bin", "load"])),
    ] {
        ensure!(build.status().context("cargo build")?.success(), "{what} was not built");
    }
    let program = target.join("release/load");
    let status = Command::new(&program).args(arguments).status();
    let status = status.with_context(|| program.display().to_string())?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
