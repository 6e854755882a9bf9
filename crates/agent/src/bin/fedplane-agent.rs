//! The agent's program: `run` until told to stop, `check` the settings, `retry` and `rollback` as the owner wishes,
//! `entitlement` and `activate` for tokens, `checkpoints` for what was seen of the ledger, and `tuf`, the client of any repository of The Update Framework.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agent::shell::{self, Checkpoints, Report, ShellError, Wish, tuf};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use governance::{DomainCode, Version};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Verifies, binds and reports: the Runtime Plane's side of a federation.
#[derive(Parser)]
#[command(name = "fedplane-agent", version = env!("FEDPLANE_VERSION"))]
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
    /// List every mistake in the settings and in what they name, and change nothing.
    Check {
        /// The settings.
        #[arg(long, value_name = "FILE", env = "FEDPLANE_AGENT_CONFIG")]
        config: PathBuf,
    },
    /// Ask that a release that failed here be offered again, before its time (RO-9).
    Retry(Wanted),
    /// Ask to go back to what ran before; refused outside the release's window (RL-2).
    Rollback(Wanted),
    /// Ask for the entitlement token, and write it to the standard output (HS-4).
    Entitlement {
        /// The settings.
        #[arg(long, value_name = "FILE", env = "FEDPLANE_AGENT_CONFIG")]
        config: PathBuf,
    },
    /// Ask for the right to run a domain, and write its token to the standard output; again: the token anew (HS-5).
    Activate {
        /// The settings.
        #[arg(long, value_name = "FILE", env = "FEDPLANE_AGENT_CONFIG")]
        config: PathBuf,
        /// The domain's code, as COM.
        #[arg(value_name = "DOMAIN")]
        domain: DomainCode,
    },
    /// List the decisions about the instance, one a line; or write the proof that one of them stands in the ledger (LG-1, LG-2).
    Decisions {
        /// The settings.
        #[arg(long, value_name = "FILE", env = "FEDPLANE_AGENT_CONFIG")]
        config: PathBuf,
        /// The number of the decision to prove, as the list has it: `fedplane ledger check-proof` takes what is written.
        #[arg(long, value_name = "N")]
        proof: Option<u64>,
    },
    /// List the ledger's checkpoints that the agent saw: size, root, when (LG-2). Fails while a split view waits for its owner.
    Checkpoints {
        /// The settings.
        #[arg(long, value_name = "FILE", env = "FEDPLANE_AGENT_CONFIG")]
        config: PathBuf,
        /// Hold a checkpoint that was got elsewhere, of another instance or an auditor, against them.
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        /// Acknowledge a split view: its evidence is put aside, and the agent goes on watching.
        #[arg(long, conflicts_with = "against")]
        acknowledge: bool,
    },
    /// Read any repository of The Update Framework, as its conformance suite asks of a client; needs no settings.
    Tuf(Tuf),
    /// Print the script by which a shell completes commands and options.
    Completions {
        /// For which shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual: a page of `man` for each command.
    Man {
        /// The folder that the pages go to; it is made where there is none.
        dir: PathBuf,
    },
}

#[derive(Args)]
struct Tuf {
    /// Where the trusted metadata is kept.
    #[arg(long, value_name = "DIR")]
    metadata_dir: PathBuf,
    /// Where the repository's metadata is: http or https.
    #[arg(long, value_name = "URL")]
    metadata_url: Option<String>,
    /// The target's path in the metadata.
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    target_name: Option<String>,
    /// Where the target is put, under its URL-encoded path.
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
    /// Where the repository's targets are: http or https.
    #[arg(long, value_name = "URL")]
    target_base_url: Option<String>,
    #[command(subcommand)]
    action: TufAction,
}

#[derive(Subcommand)]
enum TufAction {
    /// Trust a root that was had out of band.
    Init {
        /// Its file.
        root: PathBuf,
    },
    /// Bring the metadata up to date.
    Refresh,
    /// Bring the metadata up to date, then fetch a target.
    Download,
}

#[derive(Args)]
struct Wanted {
    /// The settings.
    #[arg(long, value_name = "FILE", env = "FEDPLANE_AGENT_CONFIG")]
    config: PathBuf,
    /// Retry: the release that failed, else the last one. Rollback: what is to run again, else what ran before.
    #[arg(value_name = "VERSION")]
    version: Option<Version>,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("FEDPLANE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    let result = match Arguments::parse().command {
        Command::Tuf(arguments) => return tuf(&arguments),
        Command::Completions { shell } => return completions(shell),
        Command::Man { dir } => manual(&dir).map(|()| Report::default()),
        Command::Run { config } => run(&config),
        Command::Check { config } => Ok(check(&config)),
        Command::Retry(wanted) => ask(&wanted.config, Wish::Retry(wanted.version)),
        Command::Rollback(wanted) => ask(&wanted.config, Wish::RollBack(wanted.version)),
        Command::Decisions { config, proof } => ask(&config, proof.map_or(Wish::Decisions, Wish::Proof)),
        Command::Checkpoints { config, against, acknowledge } => {
            let wanted = if acknowledge { Checkpoints::Acknowledge } else { Checkpoints::List };
            checkpoints(&config, &against.map_or(wanted, Checkpoints::Against))
        }
        Command::Entitlement { config } => ask(&config, Wish::Entitlement),
        Command::Activate { config, domain } => ask(&config, Wish::Activate(domain)),
    };
    match result {
        Ok(report) => tell(&report),
        Err(error) => tell(&Report::from(ShellError::System(format!("{error:#}")))),
    }
}

/// What was found, on the standard error, each once.
fn tell(report: &Report) -> ExitCode {
    let text = report.to_string();
    if !text.is_empty() {
        // Whoever closed the standard error wants to hear nothing.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(path: &Path) -> Report {
    let report = shell::check(path);
    if report.is_sound() {
        let _ = writeln!(std::io::stdout(), "the settings are sound");
    }
    report
}

fn run(path: &Path) -> anyhow::Result<Report> {
    let config = match shell::load(path) {
        Ok(config) => config,
        Err(report) => return Ok(report),
    };
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
        Ok(shell::run(config, shutdown).await.map_or_else(Report::from, |()| Report::default()))
    })
}

fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "fedplane-agent", &mut script);
    match std::io::stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Writes a page for each command.
fn manual(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Arguments::command(), dir)?;
    Ok(())
}

/// 0 when all of it was done, else 1.
fn tuf(arguments: &Tuf) -> ExitCode {
    let needs = |name: &str| format!("this needs {name}");
    let url = || arguments.metadata_url.as_deref().ok_or_else(|| needs("--metadata-url"));
    let act = || match &arguments.action {
        TufAction::Init { root } => {
            tuf::init(&arguments.metadata_dir, root).map_err(|error| error.to_string())
        }
        TufAction::Refresh => finish(tuf::refresh(&arguments.metadata_dir, url()?)),
        TufAction::Download => finish(tuf::download(
            &arguments.metadata_dir,
            url()?,
            &tuf::Wanted {
                name: arguments.target_name.as_deref().ok_or_else(|| needs("--target-name"))?,
                url: arguments.target_base_url.as_deref().ok_or_else(|| needs("--target-base-url"))?,
                folder: arguments.target_dir.as_deref().ok_or_else(|| needs("--target-dir"))?,
            },
        )),
    };
    match act() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn finish(work: impl Future<Output = Result<(), ShellError>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(work).map_err(|error| error.to_string())
}

fn ask(path: &Path, wish: Wish) -> anyhow::Result<Report> {
    let config = match shell::load(path) {
        Ok(config) => config,
        Err(report) => return Ok(report),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(match runtime.block_on(shell::ask(&config, wish)) {
        Ok(answer) => {
            let _ = writeln!(std::io::stdout(), "{answer}");
            Report::default()
        }
        Err(error) => Report::from(error),
    })
}

fn checkpoints(path: &Path, wanted: &Checkpoints) -> anyhow::Result<Report> {
    let config = match shell::load(path) {
        Ok(config) => config,
        Err(report) => return Ok(report),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(match runtime.block_on(shell::checkpoints(&config, wanted)) {
        Ok((told, report)) => {
            if !told.is_empty() {
                let _ = writeln!(std::io::stdout(), "{told}");
            }
            report
        }
        Err(error) => Report::from(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_command_has_a_page_and_every_shell_completes_it() {
        let names: Vec<String> =
            Arguments::command().get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        assert!(names.len() > 9, "{names:?}");
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("man1");
        manual(&dir).unwrap();
        for name in &names {
            assert!(dir.join(format!("fedplane-agent-{name}.1")).is_file(), "{name}");
        }
        for shell in clap_complete::Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "fedplane-agent", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(names.iter().all(|name| script.contains(name.as_str())), "{shell}");
        }
    }
}
