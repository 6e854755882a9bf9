//! `ledger export`: entries as JSON lines or CSV, for whoever keeps or counts them elsewhere.
//!
//! Never judges: what is exported is what the plane answered; `ledger verify` says whether it is lawful.

use clap::{Args, ValueEnum};
use client::Client;
use governance::{Event, InstanceId, Timestamp};
use ledger::verify::CROSSING_MAX;
use serde::Serialize;

use super::{PAGE, Placed, page};
use crate::connect::ConnectArgs;
use crate::{Failure, Output, values};

/// What to export, and how.
#[derive(Args, Clone, Debug)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Entries decided from then on: an instant, as 2026-01-31T00:00:00.000Z, or how long ago, as 7d [default: all].
    #[arg(long, value_name = "WHEN", value_parser = values::since)]
    since: Option<Timestamp>,
    /// Decisions about this instance alone.
    #[arg(long, value_name = "ID", value_parser = values::instance)]
    instance: Option<InstanceId>,
    /// One entry a line: whole, as JSON; or as a row of position, time, rule, authority, who asked, subject, event.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON lines: entry, position and what opens its commitments.
    Jsonl,
    /// CSV (RFC 4180) with a header; the event is in its last column, as JSON.
    Csv,
}

/// A row of CSV.
#[derive(Serialize)]
struct Row<'a> {
    position: u64,
    at: String,
    rule: &'a str,
    authority: String,
    actor: &'a str,
    instance: String,
    rollout: String,
    kind: String,
    event: String,
}

impl ExportArgs {
    /// Writes the lines to the standard output.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the output not be written.
    pub(super) async fn run(&self, out: &Output) -> Result<(), Failure> {
        let client = self.connect.client()?;
        let mut exported = 0;
        if self.format == Format::Csv {
            out.text(&header()?)?;
        }
        match self.instance {
            Some(id) => self.about(&client, id, out, &mut exported).await?,
            None => self.all(&client, out, &mut exported).await?,
        }
        out.note(&format!("{exported} entries"));
        Ok(())
    }

    /// The decisions about an instance, one by one.
    async fn about(
        &self,
        client: &Client,
        id: InstanceId,
        out: &Output,
        exported: &mut u64,
    ) -> Result<(), Failure> {
        let mut from = 1;
        loop {
            let decisions = client.decisions(id, from).await?;
            for decision in &decisions.items {
                if self.is_wanted(decision.at) {
                    for placed in page(client, decision.position, 1).await? {
                        self.write(&placed, out, exported)?;
                    }
                }
            }
            match decisions.next.and_then(|next| next.parse().ok()) {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// Every entry, page by page, up to the end as it is when it is reached.
    async fn all(&self, client: &Client, out: &Output, exported: &mut u64) -> Result<(), Failure> {
        let mut from = match self.since {
            Some(since) => first_since(client, since - CROSSING_MAX).await?,
            None => 0,
        };
        loop {
            let entries = page(client, from, PAGE).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            from = last.position.saturating_add(1);
            for placed in entries.iter().filter(|placed| self.is_wanted(placed.entry.at)) {
                self.write(placed, out, exported)?;
            }
        }
    }

    fn is_wanted(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since)
    }

    fn write(&self, placed: &Placed, out: &Output, exported: &mut u64) -> Result<(), Failure> {
        *exported += 1;
        match self.format {
            Format::Jsonl => out.text(&serde_json::to_string(placed).map_err(|error| unwritable(&error))?),
            Format::Csv => out.text(&csv_line(&row(placed))?),
        }
    }
}

/// The first entry that may have been decided then or later: found by halving, since time hardly goes back.
async fn first_since(client: &Client, since: Timestamp) -> Result<u64, Failure> {
    let (mut low, mut high) = (0, client.federation().await?.ledger);
    while low < high {
        let middle = low.midpoint(high);
        let entry = page(client, middle, 1).await?.pop();
        match entry.filter(|placed| placed.entry.at < since) {
            Some(_) => low = middle.saturating_add(1),
            None => high = middle,
        }
    }
    Ok(low)
}

fn row(placed: &Placed) -> Row<'_> {
    let Placed { position, entry, .. } = placed;
    // Twice, since a value of JSON does not keep the order of its members.
    let (instance, rollout, event, value) = match &entry.event {
        Event::Instance(id, event) => {
            (id.to_string(), String::new(), serde_json::to_string(event), serde_json::to_value(event))
        }
        Event::World(event) => {
            let rollout = event.rollout().map(|id| id.to_string()).unwrap_or_default();
            (String::new(), rollout, serde_json::to_string(event), serde_json::to_value(event))
        }
    };
    let value = value.unwrap_or_default();
    Row {
        position: *position,
        at: entry.at.to_string(),
        rule: &entry.rule,
        authority: entry.authority.to_string(),
        actor: entry.actor.as_deref().unwrap_or_default(),
        instance,
        rollout,
        kind: value.get("type").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned(),
        event: event.unwrap_or_default(),
    }
}

fn header() -> Result<String, Failure> {
    let columns = ["position", "at", "rule", "authority", "actor", "instance", "rollout", "kind", "event"];
    csv_line(&columns)
}

/// One line of CSV without its end.
fn csv_line<T: Serialize>(row: &T) -> Result<String, Failure> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.serialize(row).map_err(|error| unwritable(&error))?;
    let bytes = writer.into_inner().map_err(|error| unwritable(&error))?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

fn unwritable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        "export",
        "LG-1",
        error.to_string(),
        "tell the makers of fedplane: an entry has no such form",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::{Authority, WorldEvent};
    use ledger::{Entry, Evidence};

    #[test]
    fn a_row_is_rfc_4180_and_has_the_columns_of_the_header() {
        let event = Event::World(WorldEvent::FederationEscalated {
            rule: "RO-6".to_owned(),
            facts: "an operator said \"stop\", and meant it".to_owned(),
        });
        let entry = Entry {
            version: 1,
            at: Timestamp::from_millis(0),
            rule: "RO-6".to_owned(),
            authority: Authority::Federation,
            actor: Some("operator/admin".to_owned()),
            constitution: None,
            event,
            evidence: Evidence::Preceding { back: 1 },
        };
        let placed = Placed { position: 7, entry, openings: Vec::new() };
        let line = csv_line(&row(&placed)).unwrap();
        let text = format!("{}\n{line}\n", header().unwrap());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let read: std::collections::BTreeMap<String, String> = reader.deserialize().next().unwrap().unwrap();
        assert_eq!((read["position"].as_str(), read["kind"].as_str()), ("7", "federation-escalated"));
        let event: serde_json::Value = serde_json::from_str(&read["event"]).unwrap();
        assert_eq!(event["facts"], "an operator said \"stop\", and meant it");
        assert_eq!(read.len(), 9);
    }
}
