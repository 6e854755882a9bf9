//! Runs `fedplane` commands as a person would type them, and shows them.
//!
//! Never reaches into what a command does: it is a process of its own, and its answer is JSON.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;
use tokio::process::Command;
use tokio::time::timeout;

use super::show::{Ink, Show};

/// Columns that a typed command takes at most, on any terminal.
const COLUMNS_MAX: usize = 98;
/// What stands before it.
const INDENT: &str = "           ";
/// How long a command may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Where commands are typed.
#[derive(Clone, Debug)]
pub(super) struct Shell {
    program: PathBuf,
    place: PathBuf,
    show: Show,
}

impl Shell {
    /// In this folder; the federation's folder is `federation` in it.
    pub(super) fn new(program: PathBuf, place: &Path, show: Show) -> Self {
        Self { program, place: place.to_path_buf(), show }
    }

    /// Shows a line that is typed.
    pub(super) fn typed(&self, line: &str) {
        for line in folded(line, self.show.columns().min(COLUMNS_MAX)) {
            self.show.line(&self.show.paint(Ink::Dim, &line));
        }
    }

    /// Runs `fedplane` with these words, parted by blanks, and reads its JSON.
    pub(super) async fn run<T: DeserializeOwned>(&self, words: &str) -> anyhow::Result<T> {
        self.typed(&format!("fedplane {words}"));
        let running = Command::new(&self.program)
            .args(words.split_whitespace())
            .arg("--json")
            .current_dir(&self.place)
            .env("FEDPLANE_DIR", self.place.join("federation"))
            .env_remove("FEDPLANE_URL")
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .output();
        let output =
            timeout(WITHIN, running).await.with_context(|| format!("`fedplane {words}` took too long"))?;
        let output = output.with_context(|| format!("cannot start {}", self.program.display()))?;
        if !output.status.success() {
            bail!(
                "`fedplane {words}` ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "`fedplane {words}` answered no such JSON: {}",
                String::from_utf8_lossy(&output.stdout).trim()
            )
        })
    }
}

/// A command in lines of so many columns: broken before its options, and within one only where it is longer than a line.
fn folded(command: &str, columns: usize) -> Vec<String> {
    // Room for the backslash and the blank before it.
    let columns = columns.saturating_sub(2);
    let mut lines = vec![format!("{INDENT}$ ")];
    for part in command.split_inclusive(' ').collect::<Vec<_>>().chunk_by(|_, next| !next.starts_with("--")) {
        let part = part.concat();
        let fits = |line: &str, part: &str| line.len() + part.trim_end().len() <= columns;
        let onto = |lines: &mut Vec<String>, part: &str| {
            let full = lines.last().is_some_and(|line| !line.trim_end().ends_with('$') && !fits(line, part));
            if full && let Some(line) = lines.last_mut() {
                line.push('\\');
                lines.push(format!("{INDENT}    "));
            }
            if let Some(line) = lines.last_mut() {
                line.push_str(part);
            }
        };
        if fits(&format!("{INDENT}    "), &part) {
            onto(&mut lines, &part);
        } else {
            part.split_inclusive(' ').for_each(|word| onto(&mut lines, word));
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_folded_before_an_option() {
        let typed =
            |command| folded(command, 98).iter().map(|line| line.trim_start().to_owned()).collect::<Vec<_>>();
        assert_eq!(typed("fedplane status"), ["$ fedplane status"]);
        let long = format!("fedplane a --one {0} --two {0} --three", "x".repeat(40));
        let x = "x".repeat(40);
        assert_eq!(typed(&long), [format!("$ fedplane a --one {x} \\"), format!("--two {x} --three")]);
        let long = format!("fedplane a --key {0} {0} --out b", "x".repeat(30));
        for columns in [60, 80] {
            let lines = folded(&long, columns);
            assert!(lines.iter().all(|line| line.len() <= columns), "{lines:#?}");
            let (last, others) = lines.split_last().unwrap();
            assert!(!last.ends_with('\\') && others.iter().all(|line| line.ends_with(" \\")), "{lines:#?}");
        }
    }
}
