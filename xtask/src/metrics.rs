//! Holds `docs/monitoring.md`, the alert rules and the board to the metrics that the server shows, in both directions.
//!
//! Reads words of the source, not types. Never judges whether a rule is a good one: promtool plays them.

use std::collections::{BTreeMap, BTreeSet};

use crate::Report;
use crate::tree::{SourceFile, files, shipped_part};

/// Where metrics are registered: `registry.register("requests", "Requests answered", requests.clone());`.
const SOURCE: &str = "crates/server/src/metrics.rs";
/// What each of them starts with.
const PREFIX: &str = "fedplane_";
/// The page with a row for each: `` | `fedplane_streams` | gauge | … ``.
const PAGE: &str = "docs/monitoring.md";
/// The rules.
const RULES: &str = "monitoring/alerts.yml";
/// What each rule says beside its expression.
const SAID: &[&str] = &["severity:", "summary:", "action:", "runbook:"];
/// Labels whose values are words of the source.
const LABELS: &[&str] = &["code", "listener", "outcome", "route", "said", "state", "task", "what", "why"];

/// Compares what is shown with what is named.
pub(crate) fn check() -> anyhow::Result<Report> {
    let sources = files("crates", &[".rs"])?;
    let pages = files("docs", &[".md"])?;
    let named = files("monitoring", &[".yml", ".json"])?;
    let shown = sources.iter().find(|file| file.path == SOURCE).map(shown_by).unwrap_or_default();
    let mut problems = Vec::new();
    for file in pages.iter().filter(|page| page.path == PAGE).chain(&named) {
        problems.extend(unknown_in(file, &shown));
    }
    let page = pages.iter().find(|page| page.path == PAGE).map_or("", |page| page.text.as_str());
    problems.extend(undocumented(page, &shown));
    let words: BTreeSet<&str> = sources.iter().flat_map(|file| shipped_part(file).split('"')).collect();
    problems.extend(named.iter().flat_map(|file| unknown_labels(file, &words)));
    let mut rules = 0;
    for file in named.iter().filter(|file| file.path == RULES) {
        rules = file.text.matches("- alert:").count();
        problems.extend(incomplete_rules(&file.text, &pages));
    }
    Ok(Report { notes: vec![format!("{} metrics, {rules} rules", shown.len())], problems })
}

/// Each metric with its kind, under the name that a scrape gives it.
fn shown_by(source: &SourceFile) -> BTreeMap<String, &'static str> {
    let text = shipped_part(source);
    let mut shown = BTreeMap::new();
    for call in text.split(".register(").skip(1) {
        let Some(call) = call.split(';').next() else { continue };
        let Some(name) = call.split('"').nth(1) else { continue };
        let field = call.rsplit(',').find_map(|argument| argument.split_once(".clone()"));
        let is_counter = field.is_some_and(|(field, _)| {
            let declared = format!(" {}: ", field.trim());
            text.split(declared.as_str()).skip(1).any(|kind| {
                kind.lines()
                    .next()
                    .is_some_and(|kind| kind.starts_with("Family<") && kind.contains("Counter>"))
            })
        });
        let (suffix, kind) = if is_counter { ("_total", "counter") } else { ("", "gauge") };
        shown.insert(format!("{PREFIX}{name}{suffix}"), kind);
    }
    shown
}

/// Words of a text that are names of metrics.
fn names_in(text: &str) -> BTreeSet<&str> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c: char| !inside(c)).filter(|word| word.starts_with(PREFIX)).collect()
}

fn unknown_in(file: &SourceFile, shown: &BTreeMap<String, &str>) -> Vec<String> {
    let unknown = names_in(&file.text).into_iter().filter(|name| !shown.contains_key(*name));
    unknown.map(|name| format!("{} names {name}, which no server shows", file.path)).collect()
}

fn undocumented(page: &str, shown: &BTreeMap<String, &str>) -> Vec<String> {
    let has_row = |name: &str, kind: &str| {
        let row = format!("| `{name}` | {kind} |");
        page.lines().any(|line| line.starts_with(row.as_str()))
    };
    let missing = shown.iter().filter(|(name, kind)| !has_row(name, kind));
    missing.map(|(name, kind)| format!("{PAGE} has no row for the {kind} {name}")).collect()
}

/// Values of labels that no source has: a rule about them would never fire.
fn unknown_labels(file: &SourceFile, words: &BTreeSet<&str>) -> Vec<String> {
    let text = file.text.replace("\\\"", "\"");
    let mut problems = Vec::new();
    for label in LABELS {
        for operator in ["=\"", "=~\"", "!=\"", "!~\""] {
            for (before, after) in text.match_indices(&format!("{label}{operator}")).map(|(at, found)| {
                (text.get(..at).unwrap_or_default(), text.get(at + found.len()..).unwrap_or_default())
            }) {
                let is_label = before.ends_with([' ', '{', ',', '(']);
                let values = after.split('"').next().unwrap_or_default();
                // A pattern that is more than words is not looked into.
                if is_label && !values.contains('(') {
                    let unknown = values.split('|').filter(|value| !words.contains(value));
                    problems.extend(unknown.map(|value| format!("{}: no {label} is {value:?}", file.path)));
                }
            }
        }
    }
    problems
}

/// Rules that do not say what they must, or say it of a heading that is not there.
fn incomplete_rules(rules: &str, pages: &[SourceFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for rule in rules.split("- alert:").skip(1) {
        let name = rule.lines().next().unwrap_or_default().trim();
        problems.extend(
            SAID.iter().filter(|said| !rule.contains(*said)).map(|said| format!("{name} has no {said}")),
        );
        let runbook = rule.split("runbook:").nth(1).and_then(|rest| rest.lines().next());
        let (path, heading) = runbook.map_or(("", None), |told| {
            told.trim().split_once('#').map_or((told.trim(), None), |(path, heading)| (path, Some(heading)))
        });
        let page = pages.iter().find(|page| page.path == path);
        let leads = page.is_some_and(|page| {
            heading.is_none_or(|heading| headings_of(&page.text).any(|known| known == heading))
        });
        if !leads {
            problems
                .push(format!("{name} leads to {}, which is not there", runbook.unwrap_or_default().trim()));
        }
    }
    problems
}

/// Headings of a page, as links name them.
fn headings_of(page: &str) -> impl Iterator<Item = String> {
    let headings =
        page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings.map(|heading| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn the_page_the_rules_and_the_board_name_what_is_shown() {
        let report = check().unwrap();
        assert!(report.problems.is_empty(), "{}", report.problems.join("\n"));
    }

    #[test]
    fn metrics_and_what_is_wrong_about_them_are_found() {
        let source = "struct Counts {\n    a: Family<L, Counter>,\n    b: Gauge<i64, AtomicI64>,\n}\n\
             registry.register(\"a\", \"A, a\", a.clone());\n registry.register(\n \"b_c\",\n \"B\",\n b.clone(),\n );";
        let shown = shown_by(&file(SOURCE, source));
        let expected = [("fedplane_a_total".to_owned(), "counter"), ("fedplane_b_c".to_owned(), "gauge")];
        assert_eq!(shown, BTreeMap::from(expected));
        let rule = file(RULES, "rate(fedplane_a[5m]) + fedplane_b_c");
        assert_eq!(
            unknown_in(&rule, &shown),
            ["monitoring/alerts.yml names fedplane_a, which no server shows"]
        );
        let page = "| `fedplane_a_total` | counter | x |\n| `fedplane_b_c` | counter | x |";
        assert_eq!(undocumented(page, &shown), ["docs/monitoring.md has no row for the gauge fedplane_b_c"]);
    }

    #[test]
    fn rules_that_lead_nowhere_are_found() {
        let words = BTreeSet::from(["busy", "away"]);
        let check = |text: &str, count: usize| {
            assert_eq!(unknown_labels(&file(RULES, text), &words).len(), count, "{text}");
        };
        check("x{code=\"busy\", said=~\"away|gone\"}", 1);
        check("\"x{code=\\\"bsy\\\"}\"", 1);
        check("x{what!~\"the (a|b)\", barcode=\"7\"}", 0);
        let pages = [file("docs/a.md", "# A\n## The Founder's orders\n")];
        let rule = |runbook: &str| {
            format!("- alert: A\n severity: x\n summary: s\n action: a\n runbook: {runbook}\n")
        };
        assert!(incomplete_rules(&rule("docs/a.md#the-founders-orders"), &pages).is_empty());
        assert!(incomplete_rules(&rule("docs/a.md"), &pages).is_empty());
        assert_eq!(incomplete_rules(&rule("docs/a.md#orders"), &pages).len(), 1);
        assert_eq!(incomplete_rules("- alert: A\n runbook: docs/a.md\n", &pages).len(), 3);
    }
}
