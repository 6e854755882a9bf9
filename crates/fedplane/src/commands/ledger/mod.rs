//! The ledger: verified from the root keys alone, followed, and shown entry by entry.

mod consistency;
mod export;
mod prove;
mod read;
mod verify;
mod witnessed;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use client::Client;
use governance::{Event, Opening, RolloutId, Version, WorldEvent};
use ledger::Entry;
use serde::Serialize;

use crate::connect::ConnectArgs;
use crate::table::folded;
use crate::{Failure, Output, values};

pub(crate) use read::{no_store, places};
pub(crate) use verify::verify_store;
pub use verify::{Verified, VerifyArgs, verify};
pub use witnessed::{WitnessArgs, Witnessed};

/// Entries asked for at a time.
const PAGE: u32 = 500;
/// What a line shows of an event, where the event has it.
const FACTS: &[&str] = &[
    "from", "to", "cause", "release", "action", "phase", "outcome", "failed", "finished", "code", "tier",
    "status", "on", "serial", "window", "point", "why", "reason",
];
/// Columns for the subject of a line: an id, or a rollout with its release.
const SUBJECT: usize = 36;
/// The same on a terminal where a whole id leaves no room; `ledger show` has it.
const SUBJECT_NARROW: usize = 15;
/// Columns of a terminal that shows ids whole.
const COLUMNS_WIDE: usize = 130;
/// How far what does not fit on a line stands in: below its time.
const INDENT: usize = 9;
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
    /// Writes entries as JSON lines or CSV.
    Export(export::ExportArgs),
    /// Gets the proof that one entry stands in the log, and keeps it in a file.
    Prove(prove::ProveArgs),
    /// Checks such a proof by the root keys alone, offline.
    CheckProof(prove::CheckProofArgs),
    /// Holds two checkpoints against each other: they are of one log, or prove that two are shown.
    CheckConsistency(consistency::CheckConsistencyArgs),
}

#[derive(Args, Clone, Debug)]
struct TailArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// How many.
    #[arg(short = 'n', long, value_name = "N", value_parser = values::number::<u64>, default_value_t = 20)]
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
    #[arg(value_parser = values::number::<u64>)]
    position: u64,
}

/// Which release each rollout brings.
type Rollouts = BTreeMap<RolloutId, Version>;

/// An entry and where it stands.
#[derive(Serialize)]
struct Placed {
    position: u64,
    entry: Entry,
    /// What opens its commitments (LG-1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    openings: Vec<Opening>,
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
        LedgerCommand::Export(args) => args.run(out).await,
        LedgerCommand::Prove(args) => {
            let proven = args.prove().await?;
            out.show(&proven, || args.report(&proven))
        }
        LedgerCommand::CheckProof(args) => {
            let proven = args.check()?;
            out.show(&proven, || prove::shown(&proven))
        }
        LedgerCommand::CheckConsistency(args) => {
            let found = args.check().await?;
            out.show(&found, || consistency::shown(&found))
        }
        LedgerCommand::Show(ShowArgs { connect, position }) => {
            let placed = page(&connect.client()?, position, 1).await?.pop().ok_or_else(|| {
                let detail = format!("the ledger has no entry {position} yet");
                Failure::new("not-found", "LG-1", detail, "`fedplane status` says how many there are")
            })?;
            out.show(&placed, || shown(&placed))
        }
    }
}

/// An entry whole; below it what opens its commitments.
fn shown(placed: &Placed) -> String {
    let entry = serde_json::to_string_pretty(&placed.entry).unwrap_or_default();
    let disclosed = placed.openings.iter().map(|opening| {
        let Opening { committed, salt, value } = opening;
        format!("disclosed: {committed} is {value}, with salt {salt}")
    });
    std::iter::once(entry).chain(disclosed).collect::<Vec<_>>().join("\n")
}

async fn tail(args: &TailArgs, out: &Output) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let mut from = client.federation().await?.ledger.saturating_sub(args.lines);
    // Which release a rollout brings was said when it was opened, which may lie before the lines shown.
    let opened = client.rollouts().await?.items;
    let mut rollouts: Rollouts = opened.into_iter().map(|view| (view.id, view.release)).collect();
    loop {
        let entries = page(&client, from, PAGE).await?;
        for placed in &entries {
            if let Event::World(WorldEvent::RolloutOpened { rollout, release, .. }) = &placed.entry.event {
                rollouts.insert(*rollout, *release);
            }
            out.line(placed, || line(placed, &rollouts, out))?;
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
        let openings = entry.commitments().into_iter().filter_map(|committed| page.opening(committed));
        Ok(Placed { position: from.saturating_add(index as u64), openings: openings.collect(), entry })
    };
    decoded(&page.entries)?.into_iter().enumerate().map(place).collect()
}

/// The bytes of entries as they travel.
pub(super) fn decoded(entries: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
    let decode = |text: &String| {
        let hint = "is this a plane of this version?";
        STANDARD.decode(text).map_err(|error| Failure::new("answer", "LG-1", error.to_string(), hint))
    };
    entries.iter().map(decode).collect()
}

/// One entry on one line: position, time, rule, authority, subject, what happened.
fn line(placed: &Placed, rollouts: &Rollouts, out: &Output) -> String {
    let Placed { position, entry, .. } = placed;
    let (subject, event) = match &entry.event {
        Event::Instance(instance, event) => (instance.to_string(), serde_json::to_value(event)),
        Event::World(event) => {
            let release = event.rollout().and_then(|id| rollouts.get(&id));
            let subject = release.map_or_else(|| "-".to_owned(), |release| format!("rollout {release}"));
            (subject, serde_json::to_value(event))
        }
    };
    let event = event.unwrap_or_default();
    let kind = event.get("type").and_then(|kind| kind.as_str()).unwrap_or("event").to_owned();
    let fact = |name: &&str| {
        let value = event.get(*name).filter(|value| !value.is_null())?;
        // A release published carries its whole manifest: its version says which.
        let value = value.get("version").unwrap_or(value);
        Some(format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    let facts = FACTS.iter().filter_map(fact);
    let actor = entry.actor.as_deref().map(|actor| format!("by {actor}"));
    let told = std::iter::once(kind).chain(facts).chain(actor).collect::<Vec<_>>().join(" ");
    let narrow = out.columns().is_some_and(|columns| columns < COLUMNS_WIDE);
    let (subject, width) = match subject.char_indices().nth(SUBJECT_NARROW) {
        Some((end, _)) if narrow => {
            (format!("{}…", subject.get(..end).unwrap_or_default()), SUBJECT_NARROW + 1)
        }
        _ if narrow => (subject, SUBJECT_NARROW + 1),
        _ => (subject, SUBJECT),
    };
    let time = out.time(entry.at);
    let line =
        format!("{position:>7}  {time}  {:<6} {:<10} {subject:<width$}  {told}", entry.rule, entry.authority);
    out.columns().map_or_else(|| line.clone(), |columns| folded(&line, columns, INDENT).join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::{Authority, Timestamp};

    #[test]
    fn a_rollout_s_entry_names_its_release_and_nothing_is_parted_twice() {
        let (out, _) = Output::captured(false);
        let rollout = RolloutId::from_random([7; 16]);
        let rollouts = Rollouts::from([(rollout, Version::new(0, 1, 2))]);
        let event = Event::World(WorldEvent::RolloutDone { rollout });
        let entry = Entry {
            version: 1,
            at: Timestamp::from_millis(0),
            rule: "RO-4".to_owned(),
            authority: Authority::Federation,
            actor: Some("admin".to_owned()),
            constitution: None,
            event,
            evidence: ledger::Evidence::Preceding { back: 1 },
        };
        let line = line(&Placed { position: 3, entry, openings: Vec::new() }, &rollouts, &out);
        assert!(line.contains(" rollout 0.1.2 ") && line.ends_with("rollout-done by admin"), "{line}");
    }
}
