//! Releases: signed offline by the Organism, published by an operator, listed and withdrawn.

mod floor;
mod manifest;
mod publish;
mod renew;
mod sign;

use clap::{Args, Subcommand};
use governance::Version;
use wire::ReleaseView;

use crate::connect::ConnectArgs;
use crate::table::Column;
use crate::{Failure, Output, clock};

pub use manifest::Manifest;
pub use publish::{Audience, PublishArgs, publish};
pub use renew::{RenewArgs, RenewedTargets};
pub(super) use sign::highest;
pub use sign::{InForceArgs, ReleaseSignArgs, SignedRelease, sign};

/// Releases: sign offline, publish, list, withdraw.
#[derive(Args, Clone, Debug)]
pub struct ReleaseArgs {
    #[command(subcommand)]
    command: ReleaseCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ReleaseCommand {
    /// Signs a release with Organism keys, offline; run again with another key until it is complete.
    Sign(ReleaseSignArgs),
    /// Signs the list of published files anew before it runs out, offline; run again with another key until it is complete.
    Renew(RenewArgs),
    /// Uploads a signed release and publishes it, which opens its rollout.
    Publish(PublishArgs),
    /// Lists every release.
    List(ConnectArgs),
    /// Takes a release back: it is offered to nobody any more.
    Withdraw(WithdrawArgs),
}

#[derive(Args, Clone, Debug)]
struct WithdrawArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The release.
    release: Version,
}

/// `fedplane release`.
///
/// # Errors
/// When the release cannot be signed, or the plane refuses.
pub async fn run(args: ReleaseArgs, out: &Output) -> Result<(), Failure> {
    match args.command {
        ReleaseCommand::Sign(args) => {
            if let Some(rounds) = sign::rounds(&args)?.filter(|_| !out.is_json()) {
                out.note(&format!("{rounds}\n"));
            }
            let signed = sign(&args, clock::now())?;
            out.show(&signed, || sign::report(&signed))
        }
        ReleaseCommand::Renew(args) => {
            let renewed = renew::renew(&args, clock::now())?;
            out.show(&renewed, || renew::report(&renewed))
        }
        ReleaseCommand::Publish(args) => {
            let client = args.connect.client()?;
            if args.folder.is_file() {
                let view = publish::hand_in(&client, &args.folder).await?;
                let wire::TargetsView { version, expires } = view;
                return out.show(&view, || format!("Targets {version} are published, good until {expires}."));
            }
            let view = publish(&client, &args.folder, &args.audience).await?;
            out.show(&view, || {
                format!(
                    "Release {} is published.\n\n{}",
                    view.version,
                    listing(std::slice::from_ref(&view), out)
                )
            })
        }
        ReleaseCommand::List(connect) => {
            let releases = connect.client()?.releases().await?.items;
            out.show(&releases, || listing(&releases, out))
        }
        ReleaseCommand::Withdraw(args) => {
            let view = args.connect.client()?.release_withdraw(args.release).await?;
            out.show(&view, || format!("Release {} is withdrawn.", view.version))
        }
    }
}

fn listing(releases: &[ReleaseView], out: &Output) -> String {
    let row = |view: &ReleaseView| {
        vec![
            view.version.to_string(),
            view.class.clone(),
            out.time(view.at),
            if view.withdrawn {
                "withdrawn".to_owned()
            } else {
                view.phase.clone().unwrap_or_else(|| "-".to_owned())
            },
            view.package.length.to_string(),
            view.notes.clone(),
        ]
    };
    let header = [
        Column::new("release"),
        Column::new("class"),
        Column::new("published").spare(1),
        Column::new("phase"),
        Column::number("package bytes").spare(2),
        Column::text("notes"),
    ];
    if releases.is_empty() { "No release.".to_owned() } else { out.table(&header, releases.iter().map(row)) }
}
