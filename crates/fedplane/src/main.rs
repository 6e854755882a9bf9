//! `fedplane`: reads the command line, does it, and says how it went: 0 done, 1 refused or failed, 2 misused.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use fedplane::Output;
use fedplane::cli::Cli;

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
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
