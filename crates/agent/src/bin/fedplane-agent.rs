//! The agent's program: `run` until told to stop, `check` the settings.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agent::core::config::Config;
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Verifies, binds and reports: the Runtime Plane's side of a federation.
#[derive(Parser)]
#[command(name = "fedplane-agent", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Enrol if need be, then work until SIGTERM or SIGINT.
    Run {
        /// The settings.
        #[arg(long, value_name = "FILE", env = "FEDPLANE_AGENT_CONFIG")]
        config: PathBuf,
    },
    /// Say whether the settings are sound, and change nothing.
    Check {
        /// The settings.
        #[arg(long, value_name = "FILE", env = "FEDPLANE_AGENT_CONFIG")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("FEDPLANE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    let result = match Arguments::parse().command {
        Command::Run { config } => run(&config),
        Command::Check { config } => check(&config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn load(path: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let path = std::path::absolute(path)?;
    let base = path.parent().unwrap_or(Path::new("/"));
    Config::parse(&text, base).with_context(|| path.display().to_string())
}

fn check(path: &Path) -> anyhow::Result<()> {
    agent::shell::check(&load(path)?)?;
    tracing::info!("the settings are sound");
    Ok(())
}

fn run(path: &Path) -> anyhow::Result<()> {
    let config = load(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
        });
        agent::shell::run(config, shutdown).await?;
        Ok(())
    })
}
