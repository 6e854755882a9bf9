//! docs/ledger.md lists every kind of entry as the code has it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod federation;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use federation::stories;
use governance::Event;
use ledger::Entry;
use serde_json::Value;

/// What is known of a kind.
#[derive(Default)]
struct Kind {
    about: &'static str,
    fields: BTreeSet<String>,
    /// In how many entries each field was.
    seen: BTreeMap<String, u64>,
    entries: u64,
    rules: BTreeSet<String>,
    authorities: BTreeSet<String>,
    asked_by: BTreeSet<&'static str>,
}

fn kinds() -> BTreeMap<String, Kind> {
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    for (_, f) in stories::all() {
        for bytes in &f.entries {
            let entry = Entry::decode(bytes).unwrap();
            let (about, event) = match &entry.event {
                Event::World(event) => ("world", serde_json::to_value(event).unwrap()),
                Event::Instance(_, event) => ("instance", serde_json::to_value(event).unwrap()),
            };
            let Value::Object(fields) = event else { panic!("an event is an object") };
            let kind = kinds.entry(fields["type"].as_str().unwrap().to_owned()).or_default();
            kind.about = about;
            kind.entries += 1;
            for field in fields.keys().filter(|field| *field != "type") {
                kind.fields.insert(field.clone());
                *kind.seen.entry(field.clone()).or_default() += 1;
            }
            kind.rules.insert(entry.rule);
            kind.authorities.insert(entry.authority.to_string());
            kind.asked_by.extend(entry.event.asked_by().into_iter().flatten().map(|role| role.as_str()));
        }
    }
    kinds
}

#[test]
fn the_page_lists_every_kind_of_entry() {
    let join = |words: Vec<String>| words.join(", ");
    let mut table =
        "| type | about | members | rule | authority | asked for by |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for (name, kind) in kinds() {
        let member = |field: &String| {
            let optional = if kind.seen[field] < kind.entries { "?" } else { "" };
            format!("{field}{optional}")
        };
        let fields = join(kind.fields.iter().map(member).collect());
        let rules = join(kind.rules.into_iter().collect());
        let authorities = join(kind.authorities.into_iter().collect());
        let asked_by = join(kind.asked_by.into_iter().map(str::to_owned).collect());
        writeln!(table, "| `{name}` | {} | {fields} | {rules} | {authorities} | {asked_by} |", kind.about)
            .unwrap();
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ledger.md");
    let text = fs::read_to_string(&page).unwrap();
    let start = text.find("| type | about |").unwrap();
    let end = text[start..].find("\n\n").map_or(text.len(), |length| start + length + 1);
    if text[start..end] != table {
        fs::write(&page, format!("{}{table}{}", &text[..start], &text[end..])).unwrap();
        panic!("docs/ledger.md was behind the code; it is written anew: look at it, and run again");
    }
}
