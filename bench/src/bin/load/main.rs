//! The load generator, `cargo xtask load`: a federation of its own, a real server as a child process, and many instances with real
//! keys that call it over mutual TLS. Prints what each call took from when it was due, and what it cost the server alone.
//!
//! Never measures the server's limits for one address and one instance: its law and settings lift them.

mod bare;
mod calls;
mod clients;
mod compare;
mod drive;
mod exchange;
mod federation;
mod figures;
mod fleet;
mod link;
mod notice;
mod options;
mod process;
mod runs;
mod schedule;
mod sweep;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match runs::run(options::Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
