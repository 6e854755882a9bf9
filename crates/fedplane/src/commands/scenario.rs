//! Scenarios: timelines of a federation, played through the law's own decisions before anything is signed.
//!
//! Never touches a federation: the fleet, the clock and the store are made up for the one file.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sim::scenario::{Report, run_files};

use crate::{Failure, Output};

/// Rehearses timelines of a federation, in no time and on no server.
#[derive(Args, Clone, Debug)]
pub struct ScenarioArgs {
    #[command(subcommand)]
    command: ScenarioCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ScenarioCommand {
    /// Plays scenarios and says of each whether all it expects came true, else what did not first, and when.
    Run {
        /// Scenario files (TOML); of a folder, every *.toml in it.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

/// `fedplane scenario`.
///
/// # Errors
/// When a scenario cannot be read, or something in it did not hold; the report is shown before.
pub fn run(args: &ScenarioArgs, out: &Output) -> Result<(), Failure> {
    let ScenarioCommand::Run { files } = &args.command;
    let report = run_files(files);
    out.show(&report, || report.to_string())?;
    verdict(&report)
}

fn verdict(report: &Report) -> Result<(), Failure> {
    let (failed, all) = (report.failed, report.files.len());
    if failed == 0 {
        return Ok(());
    }
    let unread = report.files.iter().filter(|file| file.error.is_some()).count();
    let (detail, hint) = if unread == failed {
        (format!("{unread} of {all} scenarios cannot be read"), "docs/scenarios.md says how they are written")
    } else {
        let hint =
            "mend the scenario where it expects what the law does not say, or the plan where the law says no";
        (format!("{failed} of {all} scenarios failed"), hint)
    };
    Err(Failure::new("scenario-failed", "CLI", detail, hint))
}

#[cfg(test)]
mod tests;
