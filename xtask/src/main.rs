//! The project's own checks: `cargo xtask [layers|rules|house|links|api|attacks|neutral|metrics]`, all of them without an argument;
//! `cargo xtask bench [NAME]`; and `cargo xtask load COMMAND …` (`cargo xtask load --help` says what there is).
//!
//! Each check is a function from text to a [`Report`]; the same functions run as tests, so
//! `cargo test` holds what the commands print. Never changes a file and never opens a connection.

mod api;
mod attacks;
mod bench;
mod house;
mod layers;
mod links;
mod load;
mod metrics;
mod neutral;
mod rules;
mod tree;

use std::io::Write;
use std::process::ExitCode;

/// What a check found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What a reader may want to know; nothing fails for it.
    pub(crate) notes: Vec<String>,
    /// What must be mended; the command fails when there is one.
    pub(crate) problems: Vec<String>,
}

/// A check by its name on the command line.
type Check = (&'static str, fn() -> anyhow::Result<Report>);

const CHECKS: &[Check] = &[
    ("layers", layers::check),
    ("rules", rules::check),
    ("house", house::check),
    ("links", links::check),
    ("api", api::check),
    ("attacks", attacks::check),
    ("neutral", neutral::check),
    ("metrics", metrics::check),
];

fn main() -> anyhow::Result<ExitCode> {
    let wanted = std::env::args().nth(1);
    if wanted.as_deref() == Some("bench") {
        bench::run(std::env::args().nth(2).as_deref())?;
        return Ok(ExitCode::SUCCESS);
    }
    if wanted.as_deref() == Some("load") {
        return load::run(std::env::args_os().skip(2));
    }
    let mut out = std::io::stdout().lock();
    let mut found = false;
    let mut failed = false;
    for (name, check) in CHECKS {
        if wanted.as_deref().is_some_and(|wanted| wanted != *name) {
            continue;
        }
        found = true;
        let report = check()?;
        let verdict = if report.problems.is_empty() { "ok" } else { "failed" };
        writeln!(out, "{name}: {verdict}")?;
        for line in &report.notes {
            writeln!(out, "  {line}")?;
        }
        for line in &report.problems {
            writeln!(out, "  PROBLEM {line}")?;
        }
        failed |= !report.problems.is_empty();
    }
    if !found {
        let names: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
        writeln!(out, "no such check; there are: {}; and bench, load", names.join(", "))?;
        return Ok(ExitCode::from(2));
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
