//! Charts as SVG that the server writes: lengths are proportional, axes begin at nothing, colours come from the sheet.

use std::collections::BTreeMap;

use governance::{State, Timestamp};
use maud::{Markup, html};

use crate::Tone;
use crate::words::tone_of;

/// The width that lengths are reckoned in; what is shown is scaled to the space there is.
const WIDTH: u64 = 1_000;

/// The class of the sheet for a tone.
#[must_use]
pub const fn fill(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "f-quiet",
        Tone::Good => "f-good",
        Tone::Accent => "f-accent",
        Tone::Warn => "f-warn",
        Tone::Bad => "f-bad",
    }
}

/// So many of a whole, in parts of [`WIDTH`]; what is there is seen, be it ever so little.
fn part_of(part: u64, whole: u64) -> u64 {
    let exact = part.saturating_mul(WIDTH).checked_div(whole).unwrap_or(0).min(WIDTH);
    if part > 0 { exact.max(4) } else { 0 }
}

/// One bar on its ground.
#[must_use]
pub fn bar(part: u64, whole: u64, tone: Tone) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {WIDTH} 10")) preserveAspectRatio="none" aria-hidden="true" {
            rect.f-sunk width=(WIDTH) height="10" {}
            rect.(fill(tone)) width=(part_of(part, whole)) height="10" {}
        }
    }
}

/// Parts of a whole, one behind the other; what is left is the ground. `mark` is a line across it.
#[must_use]
pub fn stacked(parts: &[(u64, Tone)], whole: u64, mark: Option<u64>) -> Markup {
    let mut at = 0;
    let mut placed = Vec::with_capacity(parts.len());
    for (count, tone) in parts.iter().filter(|(count, _)| *count > 0) {
        let width = part_of(*count, whole).min(WIDTH.saturating_sub(at));
        placed.push((at, width, *tone));
        at += width;
    }
    html! {
        svg viewBox=(format!("0 0 {WIDTH} 16")) preserveAspectRatio="none" aria-hidden="true" {
            rect.f-sunk width=(WIDTH) height="16" {}
            @for (x, width, tone) in &placed { rect.(fill(*tone)) x=(x) width=(width.saturating_sub(2).max(2)) height="16" {} }
            @if let Some(mark) = mark { rect.f-ink x=(part_of(mark, whole).min(WIDTH - 3)) width="3" height="16" {} }
        }
    }
}

/// How many instances stood where at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// How many in each state.
    pub states: BTreeMap<State, u64>,
}

/// The height of [`course`].
const HEIGHT: u64 = 120;

/// States over time, one above the other, from nothing up to the most there were; each sample holds until the next.
#[must_use]
pub fn course(samples: &[Sample], now: Timestamp, label: &str) -> Markup {
    let total = |sample: &Sample| sample.states.values().sum::<u64>();
    let most = samples.iter().map(total).max().unwrap_or(0).max(1);
    let began = samples.first().map_or(now, |sample| sample.at);
    let span = u64::try_from(now.since(began).as_millis()).unwrap_or(0).max(1);
    let x =
        |at: Timestamp| u64::try_from(at.since(began).as_millis()).unwrap_or(0).saturating_mul(WIDTH) / span;
    let height = |count: u64| count.saturating_mul(HEIGHT) / most;
    let mut areas: Vec<(Tone, String)> = Vec::new();
    let mut below: Vec<u64> = vec![0; samples.len()];
    for state in State::ALL {
        let above: Vec<u64> = samples
            .iter()
            .zip(&below)
            .map(|(sample, below)| below + sample.states.get(state).copied().unwrap_or(0))
            .collect();
        if above != below {
            areas.push((tone_of(*state), area(samples, &above, &below, now, (&x, &height))));
        }
        below = above;
    }
    html! {
        svg.area viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" shape-rendering="crispEdges" role="img" aria-label=(label) {
            rect.f-sunk width=(WIDTH) height=(HEIGHT) {}
            @for (tone, path) in &areas { path.(fill(*tone)) d=(path) {} }
        }
    }
}

/// The outline of one state: its upper edge there, its lower edge back, both in steps.
fn area(
    samples: &[Sample],
    above: &[u64],
    below: &[u64],
    now: Timestamp,
    (x, height): (&dyn Fn(Timestamp) -> u64, &dyn Fn(u64) -> u64),
) -> String {
    let ends = samples.iter().skip(1).map(|sample| sample.at).chain([now]);
    let steps: Vec<(u64, u64)> =
        samples.iter().zip(ends).map(|(sample, end)| (x(sample.at), x(end))).collect();
    let y = |count: &u64| HEIGHT.saturating_sub(height(*count));
    let mut path = String::new();
    for ((from, to), count) in steps.iter().zip(above) {
        let word = if path.is_empty() { 'M' } else { 'L' };
        path.push_str(&format!("{word}{from} {0}H{to}", y(count)));
    }
    for ((from, to), count) in steps.iter().zip(below).rev() {
        path.push_str(&format!("L{to} {0}H{from}", y(count)));
    }
    path + "Z"
}

/// A node of the upgrade graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is called.
    pub name: String,
    /// Which row.
    pub lane: usize,
    /// Which column.
    pub column: usize,
    /// How it looks.
    pub tone: Tone,
    /// Said of it.
    pub title: String,
}

/// Columns and rows of the graph, in pixels.
const COLUMN: usize = 120;
const LANE: usize = 78;
const LEFT: usize = 90;
const TOP: usize = 22;

/// Nodes in lanes with steps between them.
#[must_use]
pub fn graph(lanes: &[String], nodes: &[Node], steps: &[(usize, usize)], label: &str) -> Markup {
    let columns = nodes.iter().map(|node| node.column + 1).max().unwrap_or(1);
    let (width, height) = (LEFT + columns * COLUMN, TOP + lanes.len() * LANE);
    let place = |node: &Node| (LEFT + node.column * COLUMN + COLUMN / 3, TOP + node.lane * LANE + 20);
    let path = |from: &Node, to: &Node| {
        let ((x1, y1), (x2, y2)) = (place(from), place(to));
        let (start, end) = (x1 + 11, x2.saturating_sub(12));
        if y1 == y2 && to.column == from.column + 1 {
            return format!("M{start} {y1}H{end}");
        }
        if y1 == y2 {
            let above = y1.saturating_sub(34);
            return format!("M{x1} {}C{x1} {above} {x2} {above} {x2} {}", y1 - 11, y2 - 12);
        }
        let middle = usize::midpoint(start, end);
        format!("M{start} {y1}C{middle} {y1} {middle} {y2} {end} {y2}")
    };
    html! {
        div.graph tabindex="0" role="region" aria-label=(label) {
            svg width=(width) height=(height) viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(label) {
                defs {
                    marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto" {
                        path.f-line d="M0 0 8 4 0 8z" {}
                    }
                }
                @for (index, lane) in lanes.iter().enumerate() {
                    text.t-mute x="4" y=(TOP + index * LANE + 24) { (lane) }
                }
                @for (from, to) in steps {
                    @if let (Some(from), Some(to)) = (nodes.get(*from), nodes.get(*to)) {
                        path.k-line d=(path(from, to)) marker-end="url(#tip)" {}
                    }
                }
                @for node in nodes {
                    @let (x, y) = place(node);
                    g {
                        title { (node.title) }
                        circle.(fill(node.tone)) cx=(x) cy=(y) r="9" {}
                        text.t-ink x=(x) y=(y + 28) text-anchor="middle" { (node.name) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_proportional_and_what_is_there_is_seen() {
        assert_eq!([part_of(0, 9), part_of(1, 2), part_of(9, 9), part_of(10, 9)], [0, 500, 1_000, 1_000]);
        assert_eq!(part_of(1, 1_000_000), 4);
        assert_eq!(part_of(0, 0), 0);
        let text = stacked(&[(1, Tone::Good), (1, Tone::Bad)], 4, Some(2)).into_string();
        assert!(text.contains("x=\"250\"") && text.contains("x=\"500\" width=\"3\""), "{text}");
    }

    #[test]
    fn states_stand_on_each_other_from_nothing_up() {
        let at = |millis| Timestamp::from_millis(millis);
        let sample = |millis, active, revoked| Sample {
            at: at(millis),
            states: BTreeMap::from([(State::Active, active), (State::Revoked, revoked)]),
        };
        let text = course(&[sample(0, 4, 0), sample(500, 3, 1)], at(1_000), "x").into_string();
        // Active: all of the height for half of the time, then three quarters; revoked on top of it.
        assert!(
            text.contains("class=\"f-good\" d=\"M0 0H500L500 30H1000L1000 120H500L500 120H0Z\""),
            "{text}"
        );
        assert!(text.contains("class=\"f-bad\" d=\"M0 0H500L500 0H1000L1000 30H500L500 0H0Z\""), "{text}");
        assert!(!course(&[], at(0), "x").into_string().contains("path"));
    }

    #[test]
    fn a_graph_holds_no_style_of_its_own() {
        let node = |name: &str, column| Node {
            name: name.into(),
            lane: 0,
            column,
            tone: Tone::Good,
            title: "<b>".into(),
        };
        let nodes = [node("1.0.0", 0), node("1.1.0", 1), node("1.2.0", 2)];
        let text = graph(&["1.x".into()], &nodes, &[(0, 1), (0, 2), (7, 9)], "upgrades").into_string();
        assert!(!text.contains("style=") && text.contains("&lt;b&gt;"), "{text}");
    }
}
