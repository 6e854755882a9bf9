//! The virtual fleet: a year of a federation in seconds, with the invariants of the law checked at every step (§11).

use std::path::{Path, PathBuf};

use clap::Args;
use governance::{Constitution, Timestamp};
use serde::Serialize;
use sim::simulation::report::count;
use sim::simulation::{Breach, DAYS_MAX, INSTANCES_MAX, Options, Profile, Summary, report, simulate};

use crate::table::Column;
use crate::{Failure, Output, clock, law};

/// Simulates a fleet over days, and checks the invariants of the law at every step.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// Instances of the fleet.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=i64::from(INSTANCES_MAX)))]
    instances: u32,
    /// Days to simulate.
    #[arg(long, value_name = "D", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
    days: u32,
    /// What all chance follows from: the same seed gives the same fleet, and the same end.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The constitution to simulate under (TOML); the default one without.
    #[arg(long, value_name = "FILE")]
    constitution: Option<PathBuf>,
    /// How badly the fleet behaves: none, realistic or harsh.
    #[arg(long, value_name = "PROFILE", default_value_t)]
    faults: Profile,
    /// Writes a page with charts there (HTML).
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Threads to share the work out over; as many as there are processors without.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..=16))]
    threads: Option<u16>,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    summary: Summary,
    milliseconds: i64,
    command: String,
}

/// `fedplane simulate`.
///
/// # Errors
/// When an invariant broke, the constitution does not stand, or the report cannot be written.
pub fn run(args: &SimulateArgs, out: &Output) -> Result<(), Failure> {
    let constitution = match &args.constitution {
        Some(file) => law::read(file)?,
        None => Constitution::default(),
    };
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let options = Options {
        constitution,
        profile: args.faults,
        threads: args
            .threads
            .map_or(if args.instances < INSTANCES_FOR_THREADS { 1 } else { processors }, usize::from),
        ..Options::new(args.instances, args.days, args.seed)
    };
    let began = clock::now();
    let mut told = began;
    let mut progress = |day: u32| {
        let now = clock::now();
        if out.is_terminal() && now.since(told) > PROGRESS_EVERY {
            told = now;
            out.note(&format!("day {day} of {}", args.days));
        }
    };
    let Some(summary) = simulate(&options, &mut progress) else {
        return Err(Failure::new("internal", "CLI", "the fleet cannot be made", ""));
    };
    let milliseconds = clock::now().since(began).as_millis();
    let command = command_line(args);
    let page = args.report.as_deref().map(|file| write_report(file, &summary, &command)).transpose()?;
    let breach = summary.breach.clone();
    let answer = Answer { summary, milliseconds, command };
    out.show(&answer, || shown(&answer, page, out))?;
    breach.map_or(Ok(()), |breach| Err(broken(&breach, &answer.command)))
}

/// A smaller fleet is done sooner by one thread alone.
const INSTANCES_FOR_THREADS: u32 = 20_000;
/// How often a person who waits hears how far it is.
const PROGRESS_EVERY: governance::Span = governance::Span::from_millis(5_000);

fn write_report(file: &Path, summary: &Summary, command: &str) -> Result<String, Failure> {
    std::fs::write(file, report::page(summary, command))
        .map_err(|error| Failure::file(file, "write it", &error))?;
    Ok(file.display().to_string())
}

/// The command line that plays the same again.
fn command_line(args: &SimulateArgs) -> String {
    let SimulateArgs { instances, days, seed, faults, constitution, .. } = args;
    let mut line =
        format!("fedplane simulate --instances {instances} --days {days} --seed {seed} --faults {faults}");
    if let Some(file) = constitution {
        let file = file.display().to_string();
        line.push_str(&format!(" --constitution '{}'", file.replace('\'', "'\\''")));
    }
    line
}

/// The failure that a broken invariant is.
fn broken(breach: &Breach, command: &str) -> Failure {
    let whose = match (breach.instance, breach.number, breach.step) {
        (Some(id), Some(number), Some(step)) => format!("instance {id} (number {number}), step {step}"),
        _ => "the federation's own decision".to_owned(),
    };
    Failure::new(
        "invariant-broken",
        breach.invariant,
        format!("{}: {whose}, day {}, {}: {}", breach.invariant, breach.day, breach.at, breach.what),
        format!("play it again: {command}"),
    )
}

fn shown(answer: &Answer, page: Option<String>, out: &Output) -> String {
    let Answer { summary, milliseconds, command } = answer;
    let date = |at: Timestamp| at.to_string().chars().take(10).collect::<String>();
    let mut pairs = vec![
        (
            "fleet",
            format!(
                "{} instances over {} days from {}, faults {}, seed {}",
                count(u64::from(summary.instances)),
                summary.days,
                date(summary.start),
                summary.faults,
                summary.seed
            ),
        ),
        (
            "checked",
            format!(
                "{} audits, {} of them quiet, and {} events",
                count(summary.audits),
                count(summary.quiet),
                count(summary.events)
            ),
        ),
        ("refused", refused(summary)),
        ("took", format!("{}.{:03} s", milliseconds / 1_000, milliseconds % 1_000)),
        ("again", command.clone()),
    ];
    pairs.extend(page.map(|page| ("report", page)));
    let verdict = match &summary.breach {
        Some(breach) => format!("✗ {} broke on day {}.", breach.invariant, breach.day),
        None => "✓ IN-1 to IN-7 held at every step.".to_owned(),
    };
    Output::parts(&[
        Output::pairs(&pairs),
        rollouts(summary, out),
        standing(summary, out),
        findings(summary, out),
        rules(summary, out),
        verdict,
    ])
}

fn refused(summary: &Summary) -> String {
    let commands = summary.refusals.iter().map(|row| format!("{} {}", count(row.refusals), row.code));
    let commands = commands.collect::<Vec<_>>().join(", ");
    if commands.is_empty() { "nothing".to_owned() } else { commands }
}

fn rollouts(summary: &Summary, out: &Output) -> String {
    let header = [
        Column::new("release"),
        Column::new("class"),
        Column::new("opened"),
        Column::new("phase"),
        Column::number("offered"),
        Column::number("installed"),
        Column::number("failed"),
        Column::number("stalled").spare(1),
        Column::number("went back").spare(2),
    ];
    let row = |row: &sim::simulation::RolloutRow| {
        vec![
            row.release.to_string(),
            row.class.to_string(),
            row.opened.to_string().chars().take(10).collect(),
            row.phase.to_owned(),
            count(row.offered),
            count(row.installed),
            count(row.failed),
            count(row.stalled),
            count(row.went_back),
        ]
    };
    out.table(&header, summary.rollouts.iter().map(row))
}

fn standing(summary: &Summary, out: &Output) -> String {
    let states = summary.states.iter().map(|row| vec![row.state.to_string(), count(row.instances)]);
    let versions = summary.versions.iter().map(|row| vec![row.version.to_string(), count(row.instances)]);
    let number = Column::number("instances at the end");
    let states = out.table(&[Column::new("state"), number], states);
    let versions = out.table(&[Column::new("version"), number], versions);
    Output::parts(&[states, versions])
}

fn findings(summary: &Summary, out: &Output) -> String {
    let header = [
        Column::new("finding"),
        Column::new("rule"),
        Column::number("opened"),
        Column::number("open at the end"),
    ];
    let row = |row: &sim::simulation::FindingRow| {
        vec![row.finding.to_string(), row.rule.to_owned(), count(row.opened), count(row.open)]
    };
    out.table(&header, summary.findings.iter().map(row))
}

fn rules(summary: &Summary, out: &Output) -> String {
    let transitions = summary.transitions.iter().map(|row| vec![row.rule.to_owned(), count(row.transitions)]);
    let escalations = summary.escalations.iter().map(|row| vec![row.rule.clone(), count(row.escalations)]);
    let transitions = out.table(&[Column::new("transition"), Column::number("times")], transitions);
    let escalations = out.table(&[Column::new("escalated"), Column::number("times")], escalations);
    Output::parts(&[transitions, escalations])
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::InstanceId;

    fn args(line: &str) -> SimulateArgs {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: SimulateArgs,
        }
        <Line as clap::Parser>::parse_from(std::iter::once("x").chain(line.split(' '))).args
    }

    #[test]
    fn a_small_fleet_is_simulated_and_summed_up() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.html");
        let line = format!("--instances 20 --days 20 --seed 3 --report {}", page.display());
        let (out, captured) = Output::captured(true);
        run(&args(&line), &out).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&captured.text()).unwrap();
        assert_eq!(
            answer["command"],
            "fedplane simulate --instances 20 --days 20 --seed 3 --faults realistic"
        );
        assert_eq!(answer["breach"], serde_json::Value::Null);
        assert!(answer["audits"].as_u64().unwrap() > 300, "{answer}");
        assert!(std::fs::read_to_string(&page).unwrap().contains("20 instances over 20 days"));
        let (out, captured) = Output::captured(false);
        run(&args("--instances 20 --days 20 --seed 3"), &out).unwrap();
        assert!(captured.text().contains("IN-1 to IN-7 held"), "{}", captured.text());
    }

    #[test]
    fn the_command_line_that_plays_again_names_the_constitution() {
        let line = command_line(&args("--faults harsh --constitution it's.toml"));
        assert!(line.ends_with("--faults harsh --constitution 'it'\\''s.toml'"), "{line}");
    }

    #[test]
    fn in_4_a_breach_says_where_it_is_and_how_to_get_there() {
        let breach = Breach {
            invariant: "IN-4",
            what: "it changed".to_owned(),
            instance: Some(InstanceId::from_random([7; 16])),
            number: Some(17),
            step: Some(212),
            day: 61,
            at: Timestamp::from_millis(0),
        };
        let failure = broken(&breach, "fedplane simulate --seed 1");
        assert_eq!((failure.code(), failure.exit_code()), ("invariant-broken", 1));
        let text = failure.to_string();
        for part in ["IN-4", "07070707", "number 17", "step 212", "day 61", "simulate --seed 1"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let own = broken(&Breach { instance: None, ..breach }, "x").to_string();
        assert!(own.contains("the federation's own decision"), "{own}");
    }
}
