//! Subscriptions: what an instance pays for, as whoever bills says it (§VII, CO-10, EN-3).

use clap::{Args, Subcommand};
use governance::{InstanceId, SubscriptionStatus, Tier, Timestamp};
use wire::{InstanceView, SubscriptionChange};

use crate::connect::ConnectArgs;
use crate::{Failure, Output, values};

/// Subscriptions of instances.
#[derive(Args, Clone, Debug)]
pub struct SubscriptionArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: SubscriptionCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum SubscriptionCommand {
    /// Changes what is given, and leaves the rest as it is. More domains are there at once; fewer are noticed (EN-3).
    Set(SetArgs),
    /// Shows an instance's subscription.
    Show {
        /// The instance's id.
        #[arg(value_parser = values::instance)]
        id: InstanceId,
    },
}

#[derive(Args, Clone, Debug)]
struct SetArgs {
    /// The instance's id.
    #[arg(value_parser = values::instance)]
    id: InstanceId,
    /// Its tier from now on: free, pro, enterprise, custom.
    #[arg(long, required_unless_present_any = ["status", "until"])]
    tier: Option<Tier>,
    /// Its status from now on: active, lapsed, revoked.
    #[arg(long)]
    status: Option<SubscriptionStatus>,
    /// Up to when it is paid for, as 2027-01-31T00:00:00Z: activation tokens end then (EN-5).
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

/// `fedplane subscription`.
///
/// # Errors
/// When the plane refuses or cannot be reached.
pub async fn run(args: SubscriptionArgs, out: &Output) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let view = match args.command {
        SubscriptionCommand::Set(SetArgs { id, tier, status, until }) => {
            client.instance_subscription(id, &SubscriptionChange { tier, status, until }).await?
        }
        SubscriptionCommand::Show { id } => client.instance(id).await?,
    };
    out.show(&view, || shown(&view))
}

fn shown(view: &InstanceView) -> String {
    let domains = view.domains.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let notices = view.notices.iter().map(|notice| format!("{} until {}", notice.domain, notice.until));
    let notices = notices.collect::<Vec<_>>().join(", ");
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    Output::pairs(&[
        ("instance", view.id.to_string()),
        ("tier", view.tier.to_string()),
        ("status", format!("{} since {}", view.subscription, view.subscription_since)),
        ("paid until", view.subscription_until.map_or_else(|| "-".to_owned(), |until| until.to_string())),
        ("state", format!("{} since {}", view.state, view.since)),
        ("domains", or_none(domains)),
        ("to be switched off", or_none(notices)),
    ])
}
