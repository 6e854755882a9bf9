//! What the parts of a scenario must be to one another: a catalogue that can be activated, outages one after the other,
//! outcomes of releases that there are, and no more than can be played.
//!
//! Never plays anything: it is asked once everything is read.

use std::collections::BTreeSet;

use governance::Span;

use super::ScenarioError;
use super::model::{Scenario, Step, Verb};
use super::source::{Node, Read};
use super::steps;

/// The most that is played, in instances times hours, steps and expectations: ten thousand instances for more than a year, or a thousand
/// for eleven years. A release build plays about a million a second.
pub(super) const INSTANCE_HOURS_MAX: u64 = 100_000_000;

/// Checks the whole; `modules` are the tables of its catalogue, in file order.
pub(super) fn check(scenario: &Scenario, modules: &[Node<'_>], file: &str) -> Read<()> {
    let error = |line, detail| ScenarioError { file: file.to_owned(), line, detail };
    catalogue(scenario, modules)?;
    outages(&scenario.steps).map_err(|(line, detail)| error(line, detail))?;
    outcomes(&scenario.steps).map_err(|(line, detail)| error(line, detail))?;
    size(scenario).map_err(|(line, detail)| error(line, detail))
}

/// A line and what is wrong there.
type Wrong = (usize, String);

/// Every code once, every dependency listed, no circles (EN-1).
fn catalogue(scenario: &Scenario, nodes: &[Node<'_>]) -> Read<()> {
    let Some(modules) = &scenario.modules else { return Ok(()) };
    let Err((code, why)) = steps::catalogue(modules).check() else { return Ok(()) };
    // The last of that name, for of two it is the second that is too many; or whoever depends on what is not listed.
    let named = modules.iter().rposition(|module| module.code == code);
    let place = named.or_else(|| modules.iter().position(|module| module.depends.contains(&code)));
    match place.and_then(|index| nodes.get(index)) {
        Some(node) => node.error(format!("module {code}: {why}")),
        None => Ok(()),
    }
}

/// The plane is away once at a time, and does not know before what it will find when it is back.
fn outages(steps: &[Step]) -> Result<(), Wrong> {
    let mut outages: Vec<(Span, Span, usize)> = Vec::new();
    for step in steps {
        let Verb::Outage { from, until } = step.verb else { continue };
        if from < step.at {
            let detail =
                format!("the outage begins at {from}, before the step that tells of it, at {}", step.at);
            return Err((step.line, detail));
        }
        if until == from {
            return Err((step.line, String::from("the outage ends as it begins")));
        }
        if let Some((.., line)) = outages.iter().find(|other| from < other.1 && other.0 < until) {
            return Err((
                step.line,
                format!("the outage overlaps the one of line {line}: write them as one"),
            ));
        }
        outages.push((from, until, step.line));
    }
    Ok(())
}

/// Attempts fail of releases only that are published at some time.
fn outcomes(steps: &[Step]) -> Result<(), Wrong> {
    let published = steps.iter().filter_map(|step| match &step.verb {
        Verb::Publish(published) => Some(published.version.to_string()),
        _ => None,
    });
    let published: BTreeSet<String> = published.collect();
    for step in steps {
        let Verb::Outcome { release, .. } = &step.verb else { continue };
        let release = release.to_string();
        if !published.contains(&release) {
            let nearest = governance::nearest(&release, published.iter().map(String::as_str));
            let nearest = nearest.map_or(String::new(), |nearest| format!(": did you mean `{nearest}`?"));
            return Err((step.line, format!("no step publishes release {release}{nearest}")));
        }
    }
    Ok(())
}

/// No more instances for no longer than can be played in a few minutes.
fn size(scenario: &Scenario) -> Result<(), Wrong> {
    let steps = scenario.steps.iter().map(|step| (step.at, step.line));
    let expects = scenario.expects.iter().map(|expect| (expect.at, expect.line));
    let Some((end, line)) = steps.chain(expects).max() else { return Ok(()) };
    let hour = Span::hours(1).as_millis();
    let hours = |join: Span| (end - join).as_millis() / hour;
    let played = scenario.joiners.iter().map(|joiner| hours(joiner.join).unsigned_abs());
    let events = scenario.steps.len() + scenario.expects.len();
    let size = played.sum::<u64>() + scenario.joiners.len() as u64 * events as u64;
    if size <= INSTANCE_HOURS_MAX {
        return Ok(());
    }
    let detail = format!(
        "{} instances up to {end}, and {events} steps and expectations, are {size} instance-hours: \
         {INSTANCE_HOURS_MAX} are the most that is played",
        scenario.joiners.len()
    );
    Err((line, detail))
}
