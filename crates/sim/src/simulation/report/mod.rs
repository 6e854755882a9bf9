//! The report of a simulation as one page: charts drawn here, tables behind each of them, light and dark.
//!
//! Asks nobody for anything: no script, no font, no picture from elsewhere.

mod chart;
mod timeline;

use std::fmt::Write as _;

use governance::{FindingCode, State};

use super::Summary;
use super::summary::Day;
pub use chart::count;
use chart::{Frame, Time};

const STYLE: &str = include_str!("style.css");
/// Rows of the table behind a chart, at most.
const TABLE_ROWS_MAX: usize = 26;
/// States from the bottom of the chart to its top, each with its colour: who works in the accent, who does not in ink.
const STATES: [(State, &str); 7] = [
    (State::Revoked, "i95"),
    (State::Suspended, "i70"),
    (State::OutOfCompliance, "i30"),
    (State::Registered, "i10"),
    (State::UpgradeInProgress, "a100"),
    (State::UpdatePending, "a40"),
    (State::Active, "a10"),
];
/// Colours of the versions of a line, by turns; lines from the oldest to the newest.
const LINES: [[&str; 2]; 4] = [["i10", "i20"], ["a10", "a25"], ["a40", "a60"], ["a80", "a100"]];

/// A series with its name and colour.
struct Band {
    name: String,
    class: &'static str,
    values: Vec<u64>,
}

/// The page; `command` is the command line that plays the same simulation again.
#[must_use]
pub fn page(summary: &Summary, command: &str) -> String {
    let time = Time { start: summary.start, days: days_played(summary) };
    let title = format!(
        "{} instances over {} {}",
        count(u64::from(summary.instances)),
        summary.days,
        if summary.days == 1 { "day" } else { "days" }
    );
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}: simulation of a federation</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    out.push_str(&head(summary, &title, time));
    out.push_str(&states(summary, time));
    out.push_str(&versions(summary, time));
    out.push_str(&timeline::section(summary, time));
    out.push_str(&findings(summary, time));
    out.push_str(&rules(summary));
    out.push_str(&again(summary, command));
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// Days that were played, which are fewer where an invariant broke.
fn days_played(summary: &Summary) -> u32 {
    summary.breach.as_ref().map_or(summary.days, |breach| breach.day).max(1)
}

fn head(summary: &Summary, title: &str, time: Time) -> String {
    let verdict = match &summary.breach {
        None => "<p class=\"verdict\"><strong>IN-1 to IN-7 held at every step.</strong> Every decision came from the \
                 functions that the server runs, and was checked before it went on record.</p>"
            .to_owned(),
        Some(breach) => format!(
            "<p class=\"verdict breach\"><strong>{} broke on day {}.</strong> {}</p>",
            breach.invariant,
            breach.day,
            escaped(&breach.what)
        ),
    };
    let opened: u64 = summary.findings.iter().map(|row| row.opened).sum();
    let installed: u64 = summary.rollouts.iter().map(|row| row.installed).sum();
    let escalated: u64 = summary.escalations.iter().map(|row| row.escalations).sum();
    let mut facts = String::new();
    for (name, value) in [
        ("audits", summary.audits),
        ("events checked", summary.events),
        ("releases", summary.rollouts.len() as u64),
        ("upgrades installed", installed),
        ("findings opened", opened),
        ("escalations", escalated),
    ] {
        let _ = write!(facts, "<div><dt>{name}</dt><dd>{}</dd></div>", count(value));
    }
    format!(
        "<header>\n<p class=\"eyebrow\">Simulation of a federation, {} to {}, faults {}, seed {}</p>\n\
         <h1>{title}</h1>\n{verdict}\n<dl class=\"facts\">{facts}</dl>\n</header>\n",
        time.date(0),
        time.date(time.days),
        summary.faults,
        summary.seed
    )
}

fn series(days: &[Day], of: impl Fn(&Day) -> u64) -> Vec<u64> {
    days.iter().map(of).collect()
}

fn states(summary: &Summary, time: Time) -> String {
    let of = |state: State| {
        series(&summary.series, |day| day.standing.states.get(state as usize).copied().unwrap_or_default())
    };
    let all: Vec<Band> = STATES
        .iter()
        .map(|(state, class)| Band { name: state.to_string(), class, values: of(*state) })
        .collect();
    let busy: Vec<&Band> = all.iter().filter(|band| band.name != State::Active.as_str()).collect();
    let whole = stacked(
        &all.iter().collect::<Vec<_>>(),
        Frame::new(300.0, time, highest(&all.iter().collect::<Vec<_>>())),
        "states",
        "Instances by state over time",
    );
    let close = stacked(
        &busy,
        Frame::new(240.0, time, highest(&busy)),
        "busy",
        "Instances in every state but active, over time",
    );
    format!(
        "<section>\n<h2>States over time</h2>\n<p>How many instances stood in each state at the end of each day.</p>\n\
         <figure><figcaption>All instances</figcaption><div class=\"scroll\">{whole}</div>{}</figure>\n\
         <figure><figcaption>All but the active, on a scale of their own</figcaption><div class=\"scroll\">{close}</div>{}</figure>\n\
         </section>\n",
        key(&all),
        behind(&all, time)
    )
}

fn versions(summary: &Summary, time: Time) -> String {
    let mut lines: Vec<governance::Line> = Vec::new();
    let mut bands = Vec::new();
    let mut turn = 0;
    for (number, version) in summary.editions.iter().enumerate() {
        if !lines.contains(&version.line()) {
            lines.push(version.line());
            turn = 0;
        }
        let classes = LINES.get((lines.len() - 1).min(LINES.len() - 1)).copied().unwrap_or(["a10", "a25"]);
        let class = classes.get(turn % 2).copied().unwrap_or("a10");
        turn += 1;
        let values =
            series(&summary.series, |day| day.standing.versions.get(number).copied().unwrap_or_default());
        if values.iter().any(|value| *value > 0) {
            bands.push(Band { name: version.to_string(), class, values });
        }
    }
    let all: Vec<&Band> = bands.iter().collect();
    let frame = Frame::new(340.0, time, highest(&all));
    let drawing = stacked(&all, frame, "versions", "Instances by platform version over time");
    format!(
        "<section>\n<h2>Version adoption</h2>\n<p>Which version the instances ran, the revoked left out. Grey is the \
         oldest line; the deeper the blue, the newer the line.</p>\n<figure><div class=\"scroll\">{drawing}</div>{}</figure>\n</section>\n",
        behind(&bands, time)
    )
}

/// The most that all bands come to on any day.
fn highest(bands: &[&Band]) -> u64 {
    let days = bands.iter().map(|band| band.values.len()).max().unwrap_or(0);
    (0..days).map(|day| bands.iter().filter_map(|band| band.values.get(day)).sum()).max().unwrap_or(0)
}

/// Bands on top of each other, the first at the bottom; those that are thick enough carry their names.
fn stacked(bands: &[&Band], frame: Frame, id: &str, title: &str) -> String {
    let days = bands.iter().map(|band| band.values.len()).max().unwrap_or(0);
    let last = |band: &Band| band.values.last().copied().unwrap_or_default();
    let described: Vec<String> = bands
        .iter()
        .filter(|band| last(band) > 0)
        .map(|band| format!("{} {}", band.name, count(last(band))))
        .collect();
    let described = format!("A stacked area chart, day by day. At the end: {}.", described.join(", "));
    let mut out = frame.open(id, title, &described);
    out.push_str(&frame.values(4, ""));
    if id == "versions" {
        out.push_str("<g class=\"parted\">");
    } else {
        out.push_str("<g>");
    }
    let mut lower = vec![0_u64; days];
    let mut names = String::new();
    for band in bands {
        let upper: Vec<u64> = lower.iter().zip(&band.values).map(|(under, value)| under + value).collect();
        if band.values.iter().any(|value| *value > 0) {
            out.push_str(&frame.band(band.class, &lower, &upper));
            names.push_str(&name_of(band, &lower, &upper, &frame));
        }
        lower = upper;
    }
    out.push_str("</g>");
    out.push_str(&names);
    out.push_str(&frame.dates(1));
    out.push_str("</svg>\n");
    out
}

/// A band's name where it is thickest, if there is room.
fn name_of(band: &Band, lower: &[u64], upper: &[u64], frame: &Frame) -> String {
    let Some((day, thickest)) = band.values.iter().enumerate().max_by_key(|(_, value)| **value) else {
        return String::new();
    };
    // In the middle of the days on which it is nearly as thick.
    let thick = |value: &u64| *value * 10 >= thickest * 8;
    let run = band.values.iter().skip(day).take_while(|value| thick(value)).count();
    let before = band.values.iter().take(day).rev().take_while(|value| thick(value)).count();
    let day = day + run / 2 - before / 2 - usize::from(run / 2 < before / 2 && day + run / 2 < before / 2);
    let middle = |list: &[u64]| chart::float(list.get(day).copied().unwrap_or_default());
    let (low, high) = (frame.y(middle(lower)), frame.y(middle(upper)));
    let run = run + before;
    let wide = frame.x(chart::float(run as u64)) - frame.x(0.0);
    let needed = 8.0 + 7.0 * chart::float(band.name.len() as u64);
    if low - high < 18.0 || wide < needed {
        return String::new();
    }
    let x = frame
        .x(chart::float(day as u64) + 0.5)
        .clamp(frame.left + needed / 2.0, frame.width - frame.right - needed / 2.0);
    let class = if matches!(band.class, "a80" | "a100" | "i70" | "i95" | "a60") { "inverse" } else { "on" };
    format!(
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        f64::midpoint(low, high) + 4.0,
        band.name
    )
}

fn key(bands: &[Band]) -> String {
    let mut out = String::from("<ul class=\"key\">");
    for band in bands.iter().rev() {
        let _ = write!(out, "<li><i class=\"{}\"></i>{}</li>", band.class, band.name);
    }
    out.push_str("</ul>");
    out
}

/// The table behind a chart: every so many-th day, and the last.
fn behind(bands: &[Band], time: Time) -> String {
    let days = bands.iter().map(|band| band.values.len()).max().unwrap_or(0);
    let every = days.div_ceil(TABLE_ROWS_MAX).max(1);
    let mut out = String::from(
        "<details><summary>The figures</summary><div class=\"scroll\"><table><thead><tr><th>end of</th>",
    );
    for band in bands {
        let _ = write!(out, "<th>{}</th>", band.name);
    }
    out.push_str("</tr></thead><tbody>");
    for day in (0..days).filter(|day| (day + 1) % every == 0 || day + 1 == days) {
        let _ = write!(out, "<tr><td>{}</td>", time.date(u32::try_from(day).unwrap_or(0)));
        for band in bands {
            let _ = write!(out, "<td>{}</td>", count(band.values.get(day).copied().unwrap_or_default()));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div></details>");
    out
}

fn findings(summary: &Summary, time: Time) -> String {
    let mut out = String::from(
        "<section>\n<h2>Findings open over time</h2>\n<p>What audits had against instances at the end of each day, each \
         on a scale of its own.</p>\n<div class=\"small\">\n",
    );
    let mut bands = Vec::new();
    for row in &summary.findings {
        let code: FindingCode = row.finding;
        let values = series(&summary.series, |day| {
            day.standing.findings.get(code as usize).copied().unwrap_or_default()
        });
        if row.opened > 0 {
            let most = values.iter().copied().max().unwrap_or(0);
            let frame = Frame { width: 400.0, left: 56.0, right: 8.0, ..Frame::new(150.0, time, most) };
            let title = format!("Open findings {code} over time");
            let described = format!(
                "{} opened, at most {} open at the end of a day, {} at the end.",
                count(row.opened),
                count(most),
                count(row.open)
            );
            let _ = writeln!(
                out,
                "<figure><figcaption><b>{code}</b><span>{}, {} opened</span></figcaption>{}{}{}{}</svg></figure>",
                row.rule,
                count(row.opened),
                frame.open(&format!("f-{code}"), &title, &described),
                frame.values(2, ""),
                frame.curve(&values),
                frame.dates(if time.days > 75 { 3 } else { 2 })
            );
            bands.push(Band { name: code.to_string(), class: "a40", values });
        }
    }
    out.push_str("</div>\n");
    let never: Vec<String> = summary
        .findings
        .iter()
        .filter(|row| row.opened == 0)
        .map(|row| format!("{} ({})", row.finding, row.rule))
        .collect();
    if !bands.is_empty() {
        out.push_str(&behind(&bands, time));
    }
    if !never.is_empty() {
        let _ = write!(out, "<p class=\"note\">Never opened: {}.</p>", never.join(", "));
    }
    out.push_str("</section>\n");
    out
}

fn rules(summary: &Summary) -> String {
    let table = |name: &str, of: &str, rows: Vec<(String, u64)>| {
        if rows.is_empty() {
            return String::new();
        }
        let mut out = format!("<div><table><thead><tr><th>{name}</th><th>{of}</th></tr></thead><tbody>");
        for (rule, times) in rows {
            let _ = write!(out, "<tr><td>{rule}</td><td>{}</td></tr>", count(times));
        }
        out.push_str("</tbody></table></div>");
        out
    };
    let transitions = summary.transitions.iter().map(|row| (row.rule.to_owned(), row.transitions)).collect();
    let escalations = summary.escalations.iter().map(|row| (row.rule.clone(), row.escalations)).collect();
    let founder = match summary.escalations.is_empty() {
        true => "Transitions between states. Nothing was put before the Founder.",
        false => "Transitions between states, and what was put before the Founder.",
    };
    format!(
        "<section>\n<h2>By rule of the law</h2>\n<p>{founder}</p>\n\
         <div class=\"two\">{}{}</div>\n</section>\n",
        table("transition", "times", transitions),
        table("escalated under", "times", escalations)
    )
}

fn again(summary: &Summary, command: &str) -> String {
    let refusals = summary.refusals.iter().map(|row| format!("{} {}", count(row.refusals), row.code));
    let refusals = refusals.collect::<Vec<_>>().join(", ");
    format!(
        "<section>\n<h2>Play it again</h2>\n<p>The same options give the same simulation, bit for bit.</p>\n\
         <pre><code>{}</code></pre>\n</section>\n<footer>Of the audits, {} were quiet: nothing could be due, and \
         no record was opened. Refused commands: {}.</footer>\n",
        escaped(command),
        count(summary.quiet),
        if refusals.is_empty() { "none" } else { &refusals }
    )
}

/// Text that may hold anything, for a page.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
