//! The server as a command: runs until it is told to stop.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use server::Outside;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::connect::{SETTINGS_HINT, read_settings};
use crate::{Failure, Output, challenger, cosigner};

/// Runs the Federation Plane until SIGTERM or SIGINT.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// The settings file that `init` made.
    #[arg(
        long,
        env = "FEDPLANE_CONFIG",
        hide_env_values = true,
        value_name = "FILE",
        default_value = "fedplane.toml"
    )]
    pub config: PathBuf,
    /// Writes the log as JSON lines.
    #[arg(long)]
    pub log_json: bool,
    /// What to log, as `info` or `server=debug,info`.
    #[arg(long, env = "FEDPLANE_LOG", hide_env_values = true, value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// `fedplane serve`.
///
/// # Errors
/// When the settings, the folder or an address cannot be used, or a part of the server ended by itself.
pub async fn run(args: ServeArgs, _out: &Output) -> Result<(), Failure> {
    log_to_stderr(&args.log, args.log_json)?;
    let hint = if args.config.exists() {
        SETTINGS_HINT
    } else {
        "name the settings file that `fedplane init DIR` made: --config DIR/fedplane.toml"
    };
    let settings = read_settings(&args.config, hint)?;
    // Before anything is opened: a signal that comes early is not lost.
    let told = told_to_end()?;
    let outside = Outside { challenger: Some(challenger::make), cosigner: Some(cosigner::make()?) };
    let running = server::start_calling(settings, outside).await.map_err(|error| {
        let hint = "mend what is named, and start again; `fedplane init` makes a whole folder";
        Failure::new("start", "CLI", error.to_string(), hint)
    })?;
    let shutdown = running.shutdown_handle();
    let asked = tokio::spawn(async move {
        let signal = told.await;
        tracing::info!(signal, "the server ends");
        shutdown.cancel();
    });
    let stopped = running.join().await;
    asked.abort();
    if stopped.cut > 0 {
        tracing::warn!(connections = stopped.cut, "connections were cut: they did not end in time");
    }
    match stopped.failed {
        None => Ok(()),
        Some(part) => {
            let hint = "the log says why; what was acknowledged is on the disk, so start it again";
            Err(Failure::new("server-failed", "CLI", format!("{part} ended by itself"), hint))
        }
    }
}

/// Waits for the signal to end; gives its name. One that comes early is not lost.
pub(super) fn told_to_end() -> Result<impl Future<Output = &'static str> + Send + 'static, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new("signal", "CLI", error.to_string(), ""));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Writes the log to the standard error.
pub(super) fn log_to_stderr(filter: &str, json: bool) -> Result<(), Failure> {
    let wrong = |error| {
        let detail = format!("{filter:?} is no filter of the log: {error}");
        Failure::usage(detail, "write as `info` or `server=debug,info`")
    };
    let filter = EnvFilter::try_new(filter).map_err(wrong)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A subscriber that is set already, by whoever calls this as a library, stays.
    let _ =
        if json { log.json().try_init() } else { log.with_ansi(std::io::stderr().is_terminal()).try_init() };
    Ok(())
}
