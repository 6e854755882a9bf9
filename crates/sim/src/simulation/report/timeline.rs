//! The rollouts as a timeline: a row a release, a bar a phase, a sign for how it ended.
//!
//! Never guesses a length: a bar ends where the record says that the phase did.

use std::fmt::Write as _;

use super::super::summary::Mark;
use super::super::{RolloutRow, Summary};
use super::chart::{Frame, Time, count, float};

const ROW: f64 = 26.0;
const BAR: f64 = 12.0;
/// What every row has left of the calendar.
const LEFT: f64 = 148.0;
/// What every row has right of the calendar at the least: room for how most rollouts end.
const RIGHT_MIN: f64 = 214.0;
/// Between the calendar and how a rollout ended.
const GAP: f64 = 14.0;
/// Room for a letter: DejaVu Sans, about the widest of the fonts that a page may be shown in, needs 5.8.
const LETTER: f64 = 6.2;
/// The least width of a bar that can be seen.
const WIDTH_MIN: f64 = 2.5;

const fn class_of(phase: &str) -> Option<&'static str> {
    match phase.as_bytes() {
        b"published" => Some("i20"),
        b"canary" => Some("a25"),
        b"beta" => Some("a60"),
        b"ga" => Some("a100"),
        b"paused" => Some("i50"),
        _ => None,
    }
}

pub(super) fn section(summary: &Summary, time: Time) -> String {
    let longest = summary.rollouts.iter().map(|row| told(row).chars().count()).max().unwrap_or(0);
    let frame = Frame {
        left: LEFT,
        right: RIGHT_MIN.max(GAP + LETTER * float(longest as u64)),
        top: 6.0,
        ..Frame::new(34.0 + 6.0 + ROW * float(summary.rollouts.len() as u64), time, 1)
    };
    let ended = |phase: &str| summary.rollouts.iter().filter(|row| row.phase == phase).count();
    let described = format!(
        "A row for each of {} releases with the phases of its rollout. {} are done, {} were halted, {} withdrawn.",
        summary.rollouts.len(),
        ended("done"),
        ended("halted"),
        ended("withdrawn")
    );
    let mut drawing = frame.open("rollouts", "Phases of the rollouts over time", &described);
    drawing.push_str(&frame.dates(1));
    for (number, row) in summary.rollouts.iter().enumerate() {
        let marks: Vec<&Mark> = summary.marks.iter().filter(|mark| mark.rollout == number).collect();
        drawing.push_str(&line(row, &marks, number, &frame));
    }
    drawing.push_str("</svg>\n");
    let key = [
        ("i20", "not yet open"),
        ("a25", "canary"),
        ("a60", "beta"),
        ("a100", "general availability"),
        ("i50", "paused"),
    ];
    let key: String =
        key.iter().map(|(class, name)| format!("<li><i class=\"{class}\"></i>{name}</li>")).collect();
    format!(
        "<section>\n<h2>Rollouts</h2>\n<p>Each release, from its publication until everyone was offered it, or until it \
         was stopped (×).</p>\n<figure><div class=\"scroll\">{drawing}</div><ul class=\"key\">{key}</ul>{}</figure>\n</section>\n",
        table(summary)
    )
}

fn line(row: &RolloutRow, marks: &[&Mark], number: usize, frame: &Frame) -> String {
    let middle = frame.top + ROW * (float(number as u64) + 0.5);
    let day = |hour: u32| f64::from(hour) / 24.0;
    let mut out = format!(
        "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>\
         <text class=\"strong\" x=\"0\" y=\"{:.1}\">{}</text><text x=\"62\" y=\"{:.1}\">{}</text>",
        frame.width - frame.right,
        middle + 4.0,
        row.release,
        middle + 4.0,
        row.class
    );
    let mut phase = "published";
    for (mark, next) in marks.iter().zip(marks.iter().skip(1).map(Some).chain([None])) {
        let shown = match mark.what {
            "resumed" => phase,
            what => what,
        };
        if !matches!(shown, "paused") {
            phase = shown;
        }
        let from = frame.x(day(mark.hour));
        if let Some(class) = class_of(shown) {
            let until = next.map_or(f64::from(frame.time.days), |next| day(next.hour));
            let width = (frame.x(until) - from).max(WIDTH_MIN);
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>",
                middle - BAR / 2.0
            );
        } else if matches!(shown, "halted" | "withdrawn" | "aborted") {
            let x = from + 8.0;
            let _ = write!(
                out,
                "<path class=\"glyph\" d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\"/>",
                x - 4.0,
                middle - 4.0
            );
        }
    }
    let x = frame.width - frame.right + GAP;
    let _ = write!(out, "<text x=\"{x:.1}\" y=\"{:.1}\">{}</text>", middle + 4.0, told(row));
    out
}

/// How a rollout ended, or where it stands.
fn told(row: &RolloutRow) -> String {
    let ended = row.failed + row.stalled;
    match row.offered {
        0 => row.phase.to_owned(),
        _ => format!("{}: {} installed, {} failed", row.phase, count(row.installed), count(ended)),
    }
}

fn table(summary: &Summary) -> String {
    let mut out = String::from(
        "<details><summary>The figures</summary><div class=\"scroll\"><table><thead><tr><th>release</th>\
         <th class=\"left\">class</th><th class=\"left\">published</th><th class=\"left\">phase</th><th>offered</th>\
         <th>begun</th><th>installed</th><th>failed</th><th>stalled</th><th>went back</th></tr></thead><tbody>",
    );
    for row in &summary.rollouts {
        let published: String = row.opened.to_string().chars().take(10).collect();
        let _ = write!(
            out,
            "<tr><td>{}</td><td class=\"left\">{}</td><td class=\"left\">{published}</td><td class=\"left\">{}</td>",
            row.release, row.class, row.phase
        );
        for value in [row.offered, row.begun, row.installed, row.failed, row.stalled, row.went_back] {
            let _ = write!(out, "<td>{}</td>", count(value));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div></details>");
    out
}
