//! The ledger: verified from the root keys alone, followed, and shown entry by entry.

mod read;
mod verify;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use client::Client;
use governance::Event;
use ledger::Entry;
use serde::Serialize;

use crate::connect::ConnectArgs;
use crate::{Failure, Output};

pub use verify::{Verified, VerifyArgs, verify};

/// Entries asked for at a time.
const PAGE: u32 = 500;
/// What a line shows of an event, where the event has it.
const FACTS: &[&str] = &[
    "from", "to", "cause", "release", "action", "phase", "outcome", "failed", "finished", "code", "tier",
    "status", "on", "serial", "why", "reason",
];
/// Pause between two looks for new entries.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// The ledger: verify it from the root keys alone, follow it, show an entry.
#[derive(Args, Clone, Debug)]
pub struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum LedgerCommand {
    /// Replays the whole log from the root keys and proves every decision lawful, or names the first that is not.
    Verify(VerifyArgs),
    /// Shows the last entries, one a line.
    Tail(TailArgs),
    /// Shows one entry whole, with its evidence.
    Show(ShowArgs),
}

#[derive(Args, Clone, Debug)]
struct TailArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// How many.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    lines: u64,
    /// Goes on with new entries as they are decided.
    #[arg(short, long)]
    follow: bool,
}

#[derive(Args, Clone, Debug)]
struct ShowArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The entry's position, counted from 0.
    position: u64,
}

/// An entry and where it stands.
#[derive(Serialize)]
struct Placed {
    position: u64,
    entry: Entry,
}

/// `fedplane ledger`.
///
/// # Errors
/// When the log is unlawful, or cannot be read.
pub async fn run(args: LedgerArgs, out: &Output) -> Result<(), Failure> {
    match args.command {
        LedgerCommand::Verify(args) => {
            let verified = verify(&args).await?;
            out.show(&verified, || verify::report(&verified, out))
        }
        LedgerCommand::Tail(args) => tail(&args, out).await,
        LedgerCommand::Show(ShowArgs { connect, position }) => {
            let placed = page(&connect.client()?, position, 1).await?.pop().ok_or_else(|| {
                let detail = format!("the ledger has no entry {position} yet");
                Failure::new("not-found", "LG-1", detail, "`fedplane status` says how many there are")
            })?;
            out.show(&placed, || serde_json::to_string_pretty(&placed.entry).unwrap_or_default())
        }
    }
}

async fn tail(args: &TailArgs, out: &Output) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let mut from = client.federation().await?.ledger.saturating_sub(args.lines);
    loop {
        let entries = page(&client, from, PAGE).await?;
        for placed in &entries {
            out.line(placed, || line(placed))?;
            from = placed.position + 1;
        }
        if !entries.is_empty() {
            continue;
        }
        if !args.follow {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
    }
}

async fn page(client: &Client, from: u64, limit: u32) -> Result<Vec<Placed>, Failure> {
    let page = client.ledger_entries(from, limit).await?;
    let place = |(index, bytes): (usize, Vec<u8>)| {
        let entry = Entry::decode(&bytes).map_err(|error| {
            Failure::new(
                "ledger-entry",
                "LG-1",
                error.to_string(),
                "verify the ledger: `fedplane ledger verify`",
            )
        })?;
        Ok(Placed { position: from.saturating_add(index as u64), entry })
    };
    decoded(&page.entries)?.into_iter().enumerate().map(place).collect()
}

/// The bytes of entries as they travel.
fn decoded(entries: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
    let decode = |text: &String| {
        let hint = "is this a plane of this version?";
        STANDARD.decode(text).map_err(|error| Failure::new("answer", "LG-1", error.to_string(), hint))
    };
    entries.iter().map(decode).collect()
}

/// One entry on one line: position, time, rule, authority, subject, what happened.
fn line(placed: &Placed) -> String {
    let Placed { position, entry } = placed;
    let (subject, event) = match &entry.event {
        Event::Instance(instance, event) => (instance.to_string(), serde_json::to_value(event)),
        Event::World(event) => ("-".to_owned(), serde_json::to_value(event)),
    };
    let event = event.unwrap_or_default();
    let kind = event.get("type").and_then(|kind| kind.as_str()).unwrap_or("event").to_owned();
    let fact = |name: &&str| {
        let value = event.get(*name).filter(|value| !value.is_null())?;
        Some(format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    let facts: Vec<String> = FACTS.iter().filter_map(fact).collect();
    let actor = entry.actor.as_deref().map_or_else(String::new, |actor| format!(" by {actor}"));
    format!(
        "{position:>7}  {}  {:<6} {:<10} {subject:<36}  {kind} {}{actor}",
        entry.at,
        entry.rule,
        entry.authority,
        facts.join(" ")
    )
    .trim_end()
    .to_owned()
}
