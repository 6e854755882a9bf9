//! Runs the demo and reads what it printed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A demo that was played.
pub(crate) struct Played {
    /// What it printed to the standard output.
    pub(crate) printed: String,
    /// What it told on the way.
    pub(crate) told: String,
    place: tempfile::TempDir,
}

/// Plays the demo with these arguments besides `--json`; it must succeed.
pub(crate) fn demo(arguments: &[&str]) -> Played {
    let program = Path::new(env!("CARGO_BIN_EXE_fedplane"));
    let agent = program.with_file_name("fedplane-agent");
    assert!(
        agent.is_file(),
        "{} is missing: run `cargo build --bins` first, as scripts/test does",
        agent.display()
    );
    // A temporary folder of its own shows whether anything is left in it.
    let place = tempfile::tempdir().unwrap();
    let output = Command::new(program)
        .args(["demo", "--json"])
        .args(arguments)
        .env("TMPDIR", place.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{}\n{told}\n{printed}", output.status);
    Played { printed, told, place }
}

impl Played {
    /// The summary: all that stands on the standard output.
    pub(crate) fn summary(&self) -> Value {
        serde_json::from_str(&self.printed).unwrap_or_else(|error| panic!("{error}: {}", self.printed))
    }

    /// No folder and no process is left.
    pub(crate) fn nothing_is_left(&self) {
        assert_eq!(
            std::fs::read_dir(self.place.path()).unwrap().count(),
            0,
            "files are left in {:?}",
            self.place
        );
        let Ok(processes) = std::fs::read_dir("/proc") else { return };
        let ours = self.place.path().to_str().unwrap();
        for process in processes.flatten() {
            let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            assert!(!command.contains(ours), "still running: {command}");
        }
    }
}

/// The rollout of a release in a summary.
pub(crate) fn rollout(summary: &Value, release: &str) -> Value {
    let rollouts = summary["rollouts"].as_array().unwrap();
    let found = rollouts.iter().find(|rollout| rollout["release"] == release);
    found.unwrap_or_else(|| panic!("no rollout of {release}: {summary}")).clone()
}
