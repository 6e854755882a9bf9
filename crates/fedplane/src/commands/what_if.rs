//! What a constitution or a release would do to the fleet as it is on record, before anybody signs or publishes it.
//!
//! Never changes anything: the records are read, from the store's file or from a running plane, and played on copies.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use governance::{ConstitutionDocument, Restriction};
use sim::what_if::{
    Change, Conduct, Count, DAYS_DEFAULT, DAYS_MAX, Difference, Event, Fleet, WhatIf, WhatIfError, what_if,
};
use wire::ProblemReason;

use super::constitution::{founder, of_file};
use super::ledger::{no_store, places};
use super::release::{Audience, Manifest};
use crate::connect::ConnectArgs;
use crate::folder::read_text;
use crate::table::Column;
use crate::{Failure, Output, clock, values};

/// Events of one instance that are shown to people: who is found and cleared daily would fill pages.
const EVENTS_SHOWN: usize = 8;

/// What a constitution or a release would do to the fleet: its future with it, beside its future without.
#[derive(Args, Clone, Debug)]
pub struct WhatIfArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// A folder whose store is read instead of asking a running plane: the federation's, or the one that holds fedplane.db.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// The constitution to try: a draft (TOML), a signed one, or an order that amends it.
    #[arg(long, value_name = "FILE", required_unless_present = "release")]
    constitution: Option<PathBuf>,
    /// The release to try: its manifest (TOML), published at once; the package is not needed.
    #[arg(long, value_name = "FILE", conflicts_with = "constitution")]
    release: Option<PathBuf>,
    #[command(flatten)]
    audience: Audience,
    /// How many days to look ahead.
    #[arg(long, value_name = "N", value_parser = values::number::<u32>, default_value_t = DAYS_DEFAULT)]
    days: u32,
    /// How everybody behaves; all report at least daily, whatever they do otherwise, and what is being installed ends well.
    #[arg(long, value_enum, default_value = "ignores")]
    conduct: ConductWord,
}

/// How everybody behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ConductWord {
    /// Nobody begins anything: the worst case.
    Ignores,
    /// Everybody installs what is on offer within the hour, and follows deactivation notices.
    Obedient,
}

/// `fedplane what-if`.
///
/// # Errors
/// When a file or the records cannot be read, or the law refuses the change.
pub async fn run(args: WhatIfArgs, out: &Output) -> Result<(), Failure> {
    if args.days == 0 || args.days > DAYS_MAX {
        let detail = format!("{} days cannot be looked ahead", args.days);
        return Err(Failure::usage(detail, format!("say --days 1 to {DAYS_MAX}")));
    }
    let change = change(&args)?;
    let fleet = match &args.data {
        Some(data) => of_store(data).await?,
        None => of_plane(&args.connect).await?,
    };
    let conduct = match args.conduct {
        ConductWord::Ignores => Conduct::Ignores,
        ConductWord::Obedient => Conduct::Obedient,
    };
    let told = what_if(&fleet, &change, conduct, args.days).map_err(|error| no_projection(&error))?;
    out.show(&told, || shown(&told, out))
}

/// What is tried, read from its file.
fn change(args: &WhatIfArgs) -> Result<Change, Failure> {
    if let Some(path) = &args.release {
        let manifest: Manifest = toml::from_str(&read_text(path)?).map_err(|error| {
            Failure::malformed(path, &error, "write the manifest as docs/operators.md has it")
        })?;
        let release = Box::new(manifest.into_release(b"")?);
        let Audience { kind, tier, provider, label, approval } = args.audience.clone();
        return Ok(Change::Release(release, Restriction { kind, tier, provider, label }, approval));
    }
    let path = args.constitution.as_deref().unwrap_or(Path::new(""));
    let law = of_file(path, founder(&args.connect.folder())?.as_ref())?;
    Ok(match (law.digest, law.effective) {
        (Some(digest), Some(effective)) => {
            let (previous, parameters) = (law.previous, law.parameters);
            Change::Signed(digest, Box::new(ConstitutionDocument { previous, effective, parameters }))
        }
        _ => {
            law.parameters.check().map_err(|found| {
                let found = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                Failure::malformed(
                    path,
                    &found,
                    "`fedplane constitution check` says where a draft contradicts itself",
                )
            })?;
            Change::Draft(Box::new(law.parameters))
        }
    })
}

/// The fleet out of a store, as of the last sign of life of its server.
async fn of_store(data: &Path) -> Result<Fleet, Failure> {
    let (place, _) = places(data)?;
    let recorded = place.recorded().await.map_err(|error| no_store(&error))?;
    let now = recorded.pulse.unwrap_or_else(clock::now);
    Ok(Fleet { world: recorded.world, instances: recorded.instances, now })
}

/// The fleet as a running plane has it, now.
async fn of_plane(connect: &ConnectArgs) -> Result<Fleet, Failure> {
    let client = connect.client()?;
    let world = client.record_of_the_world().await?;
    let (mut instances, mut after) = (Vec::new(), None);
    loop {
        let page = client.records(after).await?;
        instances.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(Fleet { world, instances, now: clock::now() });
        }
    }
}

fn no_projection(error: &WhatIfError) -> Failure {
    match error {
        WhatIfError::Refused(refusal) => {
            Failure::of(refusal.reasons.iter().map(ProblemReason::from).collect())
        }
        WhatIfError::TooFine { days_max: 0, .. } => {
            let hint = "a window so short cannot be projected even for a day: rehearse it in a scenario";
            Failure::new("too-fine", "CLI", error.to_string(), hint)
        }
        WhatIfError::TooFine { days_max, .. } => {
            Failure::usage(error.to_string(), format!("say --days {days_max} at the most"))
        }
    }
}

fn shown(told: &WhatIf, out: &Output) -> String {
    let conduct = match told.conduct {
        Conduct::Ignores => "ignores: all report at least daily, and nobody begins anything (the worst case)",
        Conduct::Obedient => {
            "obedient: all report as the law asks, and install what is on offer at the next look"
        }
    };
    let pairs = Output::pairs(&[
        ("what if", told.change.clone()),
        ("conduct", conduct.to_owned()),
        ("from", told.from.to_string()),
        ("until", told.until.to_string()),
        ("step", told.step.to_string()),
    ]);
    let header = [
        Column::new("instance"),
        Column::text("labels").spare(1),
        Column::text("as things stand"),
        Column::text("with the change"),
    ];
    let row = |difference: &Difference| {
        let labels = difference.labels.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        vec![
            difference.instance.to_string(),
            if labels.is_empty() { "-".to_owned() } else { labels },
            events(&difference.without, out),
            events(&difference.with, out),
        ]
    };
    let table = out.table(&header, told.differences.iter().map(row));
    let sum = match told.differences.len() {
        0 => format!("No state of any of the {} instances differs.", told.instances),
        count => format!("{count} of {} instances have another future.", told.instances),
    };
    let states = counts("at the end", &told.states, out);
    let ways = counts("ever", &told.events, out);
    Output::parts(&[pairs, table, sum, states, ways])
}

/// What happens, one line each, to people no more than [`EVENTS_SHOWN`]; `--json` has all of it.
fn events(events: &[Event], out: &Output) -> String {
    let mut text = String::new();
    for Event { at, state, rule, because } in events.iter().take(EVENTS_SHOWN) {
        let line = if text.is_empty() { "" } else { "\n" };
        // Writing to a string never fails.
        let _ = write!(text, "{line}{} {state}, {rule} ({because})", out.time(*at));
    }
    if events.len() > EVENTS_SHOWN {
        let _ = write!(text, "\nand so on: {} in all", events.len());
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

fn counts(of: &'static str, counts: &[Count], out: &Output) -> String {
    let header = [Column::new(of), Column::number("as things stand"), Column::number("with the change")];
    let row = |count: &Count| vec![count.of.clone(), count.without.to_string(), count.with.to_string()];
    out.table(&header, counts.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::World;
    use plane::ports::{Commit, Store as _};
    use store::conformance::fixture::{instance, writes};
    use store::{Options, SqliteStore};

    const MANIFEST: &str = r#"
version = "0.1.9"
class = "security"
runtime = { min = "0.1.0", max = "0.2.0" }
[rollback]
instructions = "bind the slot of before"
"#;

    fn args(line: &[&str]) -> WhatIfArgs {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: WhatIfArgs,
        }
        let parsed = <Line as clap::Parser>::try_parse_from(["what-if"].iter().chain(line));
        parsed.unwrap().args
    }

    fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let mut files: Vec<_> = entries
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    }

    #[tokio::test]
    async fn au_3_a_rehearsal_on_a_store_leaves_every_file_as_it_was() {
        let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = SqliteStore::open(data.path().join("fedplane.db"), Options::default()).unwrap();
        let world = Some(Box::new(World::default()));
        store.commit(Commit { world, ..writes(instance(1), None) }).await.unwrap();
        drop(store);
        let manifest = other.path().join("m.toml");
        std::fs::write(&manifest, MANIFEST).unwrap();
        let before = files(data.path());
        let line = ["--data", data.path().to_str().unwrap(), "--release", manifest.to_str().unwrap()];
        for (json, expected) in [(true, "\"instances\": 1"), (false, "security release 0.1.9 published")] {
            let (out, captured) = Output::captured(json);
            run(args(&line), &out).await.unwrap();
            assert!(captured.text().contains(expected), "{}", captured.text());
        }
        assert_eq!(files(data.path()), before);

        let (out, _) = Output::captured(false);
        let nowhere = ["--data", other.path().to_str().unwrap(), "--release", manifest.to_str().unwrap()];
        let failure = run(args(&nowhere), &out).await.unwrap_err();
        assert_eq!(failure.code(), "store", "{failure:?}");
        let endless: Vec<&str> = line.iter().copied().chain(["--days", "0"]).collect();
        assert_eq!(run(args(&endless), &out).await.unwrap_err().code(), "usage");
    }
}
