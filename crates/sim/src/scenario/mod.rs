//! Scenarios: the law, executable. A file tells who joins, what happens when, and what must hold (`docs/scenarios.md`).
//!
//! Decides nothing itself: [`play`] asks the functions of `governance` that the server asks, and compares.

mod check;
mod files;
mod fleet;
mod model;
mod parse;
mod play;
mod source;
mod steps;
mod verbs;
mod whole;

use std::fmt;

use governance::Span;
use serde::Serialize;

pub use files::{FILE_BYTES_MAX, FILES_MAX, run_files};
pub use model::{
    Conduct, Expect, Explains, Filter, InstanceHolds, Joiner, Module, OrderVerb, Published, REFUSALS,
    Refused, ReportStep, RolloutHolds, RolloutVerb, SHOWN, Scenario, Step, Subject, UpgradeVerb, Verb,
};
pub use parse::parse;
pub use play::play;

/// A scenario that cannot be read: where, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{file}:{}{detail}", line_shown(*line))]
pub struct ScenarioError {
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1; 0 where the file itself cannot be read.
    pub line: usize,
    /// What is wrong, with the nearest known name where a name is unknown.
    pub detail: String,
}

/// What stands between a file's name and what is wrong with it.
fn line_shown(line: usize) -> String {
    if line == 0 { String::from(" ") } else { format!("{line}: ") }
}

/// The first expectation that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// When, from the start.
    pub at: Span,
    /// The line of the step or the expectation, counted from 1.
    pub line: usize,
    /// What was looked at.
    pub subject: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, line, subject, expected, found } = self;
        write!(f, "at {at} (line {line}), {subject}: expected {expected}, found {found}")
    }
}

/// How a scenario went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What the scenario shows.
    pub name: String,
    /// The first expectation that did not hold; none when all did.
    pub failed: Option<Failure>,
}

impl Outcome {
    /// Whether everything held.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.failed.is_none()
    }
}

/// How one file went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileResult {
    /// The file, as it was named.
    pub file: String,
    /// Whether everything in it held.
    pub passed: bool,
    /// What the scenario shows, when it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The first expectation that did not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failure>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ScenarioError>,
}

impl fmt::Display for FileResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.error, &self.failed) {
            (Some(error), _) => write!(f, "{error}"),
            (None, Some(failure)) => write!(f, "{}: {failure}", self.file),
            (None, None) => write!(f, "{}: ok", self.file),
        }
    }
}

/// How several files went. Shown as the command shows it: a line a file, then the sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// One result a file, in the order given.
    pub files: Vec<FileResult>,
    /// Files in which everything held.
    pub passed: usize,
    /// The others.
    pub failed: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            writeln!(f, "{file}")?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Reads and plays one text.
#[must_use]
pub fn run_text(file: &str, text: &str) -> FileResult {
    let file_name = file.to_string();
    match parse(file, text) {
        Err(error) => {
            FileResult { file: file_name, passed: false, name: None, failed: None, error: Some(error) }
        }
        Ok(scenario) => {
            let Outcome { name, failed } = play(&scenario);
            FileResult { file: file_name, passed: failed.is_none(), name: Some(name), failed, error: None }
        }
    }
}
