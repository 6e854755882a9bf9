//! Charts as SVG that the server writes: lengths are proportional, axes begin at nothing, colours come from the sheet.

use maud::{Markup, html};

use crate::Tone;

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
