//! What lies before the Founder, freezes, and the red switch (RO-6).

use clap::{Args, Subcommand, ValueEnum};
use governance::{InstanceId, Timestamp, Version};
use wire::{Acknowledge, EscalationView, Freeze, RedSwitch};

use crate::connect::ConnectArgs;
use crate::table::Column;
use crate::{Failure, Output, clock};

/// What lies before the Founder (FO-2, CO-13).
#[derive(Args, Clone, Debug)]
pub struct EscalationArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: EscalationCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum EscalationCommand {
    /// Lists what lies before the Founder.
    List,
    /// Says that somebody has it in hand; only an order of the Founder resolves it.
    Acknowledge {
        /// The rule that asked for it, as CO-9.
        #[arg(long)]
        rule: String,
        /// About this instance [default: the federation as a whole].
        #[arg(long, value_name = "ID", conflicts_with = "release")]
        instance: Option<InstanceId>,
        /// About the rollout of this release.
        #[arg(long, value_name = "VERSION")]
        release: Option<Version>,
    },
}

/// Sets a time without new offers, except of security releases (RO-6).
#[derive(Args, Clone, Debug)]
pub struct FreezeArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// From when, as 2026-12-20T00:00:00Z [default: now].
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Until when; this instant is still inside.
    #[arg(long, value_name = "TIME")]
    until: Timestamp,
}

/// Stops every offer at once, or lets them go on (RO-6).
#[derive(Args, Clone, Debug)]
pub struct RedSwitchArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// `on` stops every offer, `off` lets them go on.
    #[arg(value_enum)]
    turn: Turn,
    /// Why; it stands in the ledger for good, and on every page of the dashboard while it is on.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Turn {
    /// Every offer stops.
    On,
    /// Offers go on.
    Off,
}

/// `fedplane escalation`.
///
/// # Errors
/// When the plane refuses or cannot be reached.
pub async fn escalation(args: EscalationArgs, out: &Output) -> Result<(), Failure> {
    let client = args.connect.client()?;
    if let EscalationCommand::Acknowledge { rule, instance, release } = args.command {
        let what = Acknowledge { rule, instance, release };
        client.escalation_acknowledge(&what).await?;
        return out
            .show(&what, || format!("{} is acknowledged; an order of the Founder resolves it.", what.rule));
    }
    let items = client.escalations().await?.items;
    out.show(&items, || {
        if items.is_empty() {
            return "Nothing lies before the Founder.".to_owned();
        }
        escalation_table(&items, out)
    })
}

/// Escalations as a table.
pub(crate) fn escalation_table(items: &[EscalationView], out: &Output) -> String {
    let row = |view: &EscalationView| {
        let EscalationView { rule, subject, since, facts, acknowledged } = view.clone();
        let in_hand = acknowledged.map_or_else(|| "-".to_owned(), |since| out.time(since));
        vec![subject, rule, out.time(since), in_hand, facts]
    };
    let header = [
        Column::new("before the Founder"),
        Column::new("rule"),
        Column::new("since"),
        Column::new("in hand since"),
        Column::text("facts"),
    ];
    out.table(&header, items.iter().map(row))
}

/// `fedplane freeze`.
///
/// # Errors
/// When the plane refuses or cannot be reached.
pub async fn freeze(args: FreezeArgs, out: &Output) -> Result<(), Failure> {
    let freeze = Freeze { from: args.from.unwrap_or_else(clock::now), until: args.until };
    args.connect.client()?.freeze(&freeze).await?;
    out.show(&freeze, || {
        format!("No new offers from {} until {}, except of security releases.", freeze.from, freeze.until)
    })
}

/// `fedplane red-switch`.
///
/// # Errors
/// When the plane refuses or cannot be reached.
pub async fn red_switch(args: RedSwitchArgs, out: &Output) -> Result<(), Failure> {
    let turn = RedSwitch { on: args.turn == Turn::On, reason: args.reason };
    let client = args.connect.client()?;
    let _: serde_json::Value = client.post("/v1/red-switch", &turn).await?;
    out.show(&turn, || {
        let now = if turn.on { "on: no offer leaves the plane" } else { "off: offers go on" };
        format!("The red switch is {now}.")
    })
}
