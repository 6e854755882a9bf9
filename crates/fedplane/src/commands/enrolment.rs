//! Enrolments: the right to register one instance, once (HS-1); or to enrol one afresh under its id.

use clap::{Args, Subcommand};
use client::Client;
use governance::{Digest, InstanceId, Kind, Label, ProviderId, Tier};
use wire::{EnrolmentCreated, EnrolmentRequest, EnrolmentView};

use crate::connect::ConnectArgs;
use crate::table::Column;
use crate::{Failure, Output, values};

/// Enrolments: the right to register one instance, once (HS-1).
#[derive(Args, Clone, Debug)]
pub struct EnrolmentArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: EnrolmentCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum EnrolmentCommand {
    /// Makes an enrolment and shows its secret, this once: hand it to the instance's owner.
    Create(CreateArgs),
    /// Lists the instances that may enrol afresh, and whose approval is still to come.
    List,
    /// Approves that an instance enrols afresh, as a second person: whoever asked for it cannot.
    Approve {
        /// The enrolment, as `enrolment list` shows it.
        enrolment: Digest,
    },
}

#[derive(Args, Clone, Debug)]
struct CreateArgs {
    /// Kind of the instance to be: saas-shared, dedicated, white-label.
    #[arg(long, required_unless_present = "instance")]
    kind: Option<Kind>,
    /// Its tier: free, pro, enterprise, custom.
    #[arg(long, required_unless_present = "instance")]
    tier: Option<Tier>,
    /// Whose it is; white-label and dedicated instances need one (ID-3).
    #[arg(long)]
    provider: Option<ProviderId>,
    /// What to call it by; may be repeated.
    #[arg(long = "label")]
    labels: Vec<Label>,
    /// For an instance that exists, and lost its key or its chain or let its certificate run out: same id, new certificate, new
    /// chain. A second person approves it.
    #[arg(long, value_name = "ID", value_parser = values::instance, conflicts_with_all = ["kind", "tier", "provider", "labels"])]
    instance: Option<InstanceId>,
}

/// `fedplane enrolment`.
///
/// # Errors
/// When the plane refuses or cannot be reached.
pub async fn run(args: EnrolmentArgs, out: &Output) -> Result<(), Failure> {
    let client = args.connect.client()?;
    match args.command {
        EnrolmentCommand::Create(args) => {
            let afresh = args.instance.is_some();
            let created = create(&client, args).await?;
            out.show(&created, || shown(&created, afresh))
        }
        EnrolmentCommand::List => {
            let items = client.enrolments().await?.items;
            out.show(&items, || listing(&items, out))
        }
        EnrolmentCommand::Approve { enrolment } => {
            client.enrolment_approve(enrolment).await?;
            let done = serde_json::json!({ "approved": enrolment });
            out.show(&done, || {
                format!("Enrolment {enrolment} is approved: the instance may enrol afresh with its secret.")
            })
        }
    }
}

async fn create(client: &Client, args: CreateArgs) -> Result<EnrolmentCreated, Failure> {
    let CreateArgs { kind, tier, provider, labels, instance } = args;
    let created = match (instance, kind, tier) {
        (Some(id), ..) => client.re_enrol(id).await?,
        (None, Some(kind), Some(tier)) => {
            client.enrolment_create(&EnrolmentRequest { kind, tier, provider, labels }).await?
        }
        _ => return Err(Failure::usage("an enrolment needs a kind and a tier", "add --kind and --tier")),
    };
    Ok(created)
}

fn shown(created: &EnrolmentCreated, afresh: bool) -> String {
    let pairs = [
        ("secret", created.secret.clone()),
        ("enrolment", created.digest.to_string()),
        ("good until", created.expires.to_string()),
    ];
    let pairs = Output::pairs(&pairs);
    let next = if afresh {
        format!(
            "\nBefore it can be used, another operator runs: fedplane enrolment approve {}",
            created.digest
        )
    } else {
        String::new()
    };
    format!("{pairs}\n\nThe secret is shown this once and kept nowhere.{next}")
}

fn listing(items: &[EnrolmentView], out: &Output) -> String {
    if items.is_empty() {
        return "No instance is to enrol afresh.".to_owned();
    }
    let row = |view: &EnrolmentView| {
        vec![
            view.digest.to_string(),
            view.instance.to_string(),
            view.asked.clone(),
            view.approved.clone().unwrap_or_else(|| "to be approved".to_owned()),
            out.time(view.expires),
        ]
    };
    let header = [
        Column::new("enrolment"),
        Column::new("instance"),
        Column::text("asked by"),
        Column::text("approved by"),
        Column::new("good until"),
    ];
    out.table(&header, items.iter().map(row))
}
