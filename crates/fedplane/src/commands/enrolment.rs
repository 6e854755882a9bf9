//! Enrolments: the right to register one instance, once (HS-1).

use clap::{Args, Subcommand};
use governance::{Kind, Label, ProviderId, Tier};
use wire::EnrolmentRequest;

use crate::connect::ConnectArgs;
use crate::{Failure, Output};

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
}

#[derive(Args, Clone, Debug)]
struct CreateArgs {
    /// Kind of the instance to be: saas-shared, dedicated, white-label.
    #[arg(long)]
    kind: Kind,
    /// Its tier: free, pro, enterprise, custom.
    #[arg(long)]
    tier: Tier,
    /// Whose it is; white-label and dedicated instances need one (ID-3).
    #[arg(long)]
    provider: Option<ProviderId>,
    /// What to call it by; may be repeated.
    #[arg(long = "label")]
    labels: Vec<Label>,
}

/// `fedplane enrolment`.
///
/// # Errors
/// When the plane refuses or cannot be reached.
pub async fn run(args: EnrolmentArgs, out: &Output) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let EnrolmentCommand::Create(CreateArgs { kind, tier, provider, labels }) = args.command;
    let created = client.enrolment_create(&EnrolmentRequest { kind, tier, provider, labels }).await?;
    out.show(&created, || {
        let pairs = [("secret", created.secret.clone()), ("good until", created.expires.to_string())];
        format!("{}\n\nThe secret is shown this once and kept nowhere.", Output::pairs(&pairs))
    })
}
