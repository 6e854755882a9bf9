//! Rollouts: how far each is, and an operator's hand on it (RO-6).

use clap::{Args, Subcommand};
use client::RolloutVerb;
use governance::Version;
use wire::RolloutView;

use crate::connect::ConnectArgs;
use crate::table::Column;
use crate::{Failure, Output};

/// Rollouts: how far each release is, and the hand on it (RO-6).
#[derive(Args, Clone, Debug)]
pub struct RolloutArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: RolloutCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum RolloutCommand {
    /// Lists every rollout.
    List,
    /// Shows the rollout of a release, phase by phase.
    Show {
        /// The release.
        release: Version,
    },
    /// Stops the offers of a release for a while.
    Pause {
        /// The release.
        release: Version,
    },
    /// Lets a paused release go on.
    Resume {
        /// The release.
        release: Version,
    },
    /// Ends a rollout where it stands.
    Abort {
        /// The release.
        release: Version,
    },
    /// Approves the phase that waits for it.
    Approve {
        /// The release.
        release: Version,
    },
}

/// `fedplane rollout`.
///
/// # Errors
/// When the plane refuses or cannot be reached.
pub async fn run(args: RolloutArgs, out: &Output) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let view = match args.command {
        RolloutCommand::List => {
            let rollouts = client.rollouts().await?.items;
            return out.show(&rollouts, || listing(&rollouts, out));
        }
        RolloutCommand::Show { release } => client.rollout(release).await?,
        RolloutCommand::Pause { release } => client.rollout_steer(release, RolloutVerb::Pause).await?,
        RolloutCommand::Resume { release } => client.rollout_steer(release, RolloutVerb::Resume).await?,
        RolloutCommand::Abort { release } => client.rollout_steer(release, RolloutVerb::Abort).await?,
        RolloutCommand::Approve { release } => client.rollout_steer(release, RolloutVerb::Approve).await?,
    };
    out.show(&view, || shown(&view, out))
}

fn listing(rollouts: &[RolloutView], out: &Output) -> String {
    let row = |view: &RolloutView| {
        vec![
            view.release.to_string(),
            view.class.clone(),
            view.phase.clone(),
            view.offered.to_string(),
            view.installed.to_string(),
            view.failed.to_string(),
            view.rolled_back.to_string(),
            out.time(view.opened),
            view.holding.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let header = [
        Column::new("release"),
        Column::new("class").spare(2),
        Column::new("phase"),
        Column::number("offered"),
        Column::number("installed"),
        Column::number("failed"),
        Column::number("rolled back"),
        Column::new("opened").spare(1),
        Column::text("holding for"),
    ];
    if rollouts.is_empty() { "No rollout.".to_owned() } else { out.table(&header, rollouts.iter().map(row)) }
}

fn shown(view: &RolloutView, out: &Output) -> String {
    let pairs = Output::pairs(&[
        ("release", format!("{} ({})", view.release, view.class)),
        ("rollout", view.id.to_string()),
        ("phase", view.phase.clone()),
        ("holding for", view.holding.clone().unwrap_or_else(|| "-".to_owned())),
        ("opened", view.opened.to_string()),
        ("offered", view.offered.to_string()),
        ("installed", view.installed.to_string()),
        ("failed", view.failed.to_string()),
        ("rolled back", view.rolled_back.to_string()),
    ]);
    let row = |phase: &wire::PhaseView| {
        vec![
            phase.phase.to_string(),
            out.time(phase.opened),
            phase.eligible.to_string(),
            phase.cohort.to_string(),
            phase.finished.to_string(),
            phase.failed.to_string(),
        ]
    };
    let header = [
        Column::new("phase"),
        Column::new("opened"),
        Column::number("eligible"),
        Column::number("cohort"),
        Column::number("finished"),
        Column::number("failed"),
    ];
    Output::parts(&[pairs, out.table(&header, view.phases.iter().map(row))])
}
