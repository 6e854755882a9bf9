//! `fedplane`: reads the command line, does it, and says how it went: 0 done, 1 refused or failed, 2 misused.

use std::process::ExitCode;

use anyhow::Context as _;
use fedplane::Output;
use fedplane::cli::{Cli, misuse};

fn main() -> anyhow::Result<ExitCode> {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; and who reads no JSON gets clap's own words.
            let Some(failure) = misuse(&error, std::env::args_os()) else { error.exit() };
            Output::stdio(true).failure(&failure);
            return Ok(ExitCode::from(failure.exit_code()));
        }
    };
    let out = Output::stdio(cli.json);
    let runtime = tokio::runtime::Runtime::new().context("the async runtime cannot start")?;
    Ok(match runtime.block_on(cli.command.run(&out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    })
}
