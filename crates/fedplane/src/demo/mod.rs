//! `fedplane demo`: a whole federation on this machine, for as long as the story takes.
//!
//! Plays nothing: the server and every agent are processes of their own; the keys, signatures, TLS, releases and files are
//! real. Only the law's windows are short. Never leaves a process behind unless told to.

mod fleet;
mod law;
mod packages;
mod plane;
mod process;
mod shell;
mod show;
mod steps;
mod story;
mod summary;
mod watch;

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::{Failure, Output, values};
use law::{INSTANCES_MAX, INSTANCES_MIN};
use story::Story;
pub use summary::{LedgerSummary, RolloutSummary, Summary};

/// The code of a story that was told to stop.
const INTERRUPTED: &str = "interrupted";

/// Plays a whole federation on this machine in about a minute: keys, plane, instances, releases, rollback, revocation, ledger.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Leave everything running at the end, and say how to look at it and how to stop it.
    #[arg(long)]
    pub keep: bool,
    /// Kill the plane in the middle of a rollout and start it again: nothing it acknowledged may be lost.
    #[arg(long)]
    pub crash: bool,
    /// How many instances; each is a process of its own.
    #[arg(long, value_name = "N", value_parser = values::number::<usize>, default_value_t = 20)]
    pub instances: usize,
}

/// `fedplane demo`.
///
/// # Errors
/// When a step of the story did not happen.
pub async fn run(args: DemoArgs, out: &Output) -> Result<(), Failure> {
    if !(INSTANCES_MIN..=INSTANCES_MAX).contains(&args.instances) {
        let detail =
            format!("--instances {}: the story needs {INSTANCES_MIN} to {INSTANCES_MAX}", args.instances);
        return Err(Failure::usage(detail, "leave it out for 20"));
    }
    let programs = Programs::find()?;
    let place = tempfile::Builder::new()
        .prefix("fedplane-demo-")
        .tempdir()
        .map_err(|error| Failure::file(&std::env::temp_dir(), "make a folder there", &error))?;
    let mut story = Story::new(programs, place.path(), args.instances, args.crash);
    let told = tokio::select! {
        told = story.play() => told,
        interrupted = interruption() => Err(interrupted),
    };
    story.clock_off();
    let kept = if args.keep { story.leave() } else { None };
    if kept.is_none() {
        story.end().await;
    }
    // Whoever interrupts the story does not wait for its figures.
    let shown = match &told {
        Err(failure) if failure.code() == INTERRUPTED => Ok(()),
        _ => out.show(&story.summary, || story.table(out)),
    };
    match kept {
        Some(told) => {
            let _ = place.keep();
            out.note(&told);
        }
        None => {
            drop(place);
            out.note(
                "\nEverything was stopped and removed again.\n`fedplane demo --keep` leaves it running, to look at.",
            );
        }
    }
    told.and(shown)
}

/// The programs that the demo starts.
#[derive(Clone, Debug)]
struct Programs {
    /// This one.
    fedplane: PathBuf,
    /// The agent's.
    agent: PathBuf,
}

impl Programs {
    fn find() -> Result<Self, Failure> {
        let fedplane = std::env::current_exe()
            .map_err(|error| Failure::file(Path::new("fedplane"), "find this program's own file", &error))?;
        let agent = fedplane.with_file_name("fedplane-agent");
        if agent.is_file() {
            return Ok(Self { fedplane, agent });
        }
        let detail = format!("{}: no such program, and every instance of the demo runs one", agent.display());
        Err(Failure::new("agent-missing", "CLI", detail, "build both: cargo build --bins"))
    }
}

/// Comes back when the process is told to stop.
async fn interruption() -> Failure {
    let failure =
        |what: &str| Failure::new(INTERRUPTED, "CLI", what, "run it again; nothing was left running");
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return failure("the system does not tell about signals");
    };
    tokio::select! {
        _ = interrupt.recv() => failure("interrupted"),
        _ = terminate.recv() => failure("told to stop"),
        _ = hangup.recv() => failure("the terminal went away"),
    }
}
