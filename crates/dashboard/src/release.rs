//! Releases: how one leads to the next, what each is, what it may run on, and what will be removed.

use std::collections::BTreeMap;

use governance::release::{Weight, check_step};
use governance::world::{Deprecated, Published};
use governance::{Class, Constitution, Matrix, Release, Timestamp, Version};
use maud::{Markup, html};

use crate::chart::{self, Node};
use crate::chrome::{Chrome, Section, Tone};
use crate::parts::{ago, part, rule, scroll, tag, when};
use crate::words::{counted, length, number};

/// Releases that the graph shows; older ones stand in the table alone.
const GRAPH_MAX: usize = 14;

/// What the page shows.
#[derive(Clone, Debug)]
pub struct Releases {
    /// Every release, oldest first.
    pub releases: Vec<Published>,
    /// Where the rollout of each stands, in a word.
    pub rollouts: BTreeMap<Version, String>,
    /// Whether rollouts may be read too.
    pub may_roll: bool,
    /// The runtime matrix.
    pub matrix: Matrix,
    /// Capabilities that were deprecated.
    pub deprecations: BTreeMap<String, Deprecated>,
    /// The law in force.
    pub law: Constitution,
}

/// How a class looks.
const fn tone_of(class: Class) -> Tone {
    match class {
        Class::Security => Tone::Bad,
        Class::Major => Tone::Accent,
        Class::Minor => Tone::Good,
        Class::Module => Tone::Plain,
    }
}

impl Releases {
    /// The page.
    #[must_use]
    pub fn page(&self, chrome: &Chrome) -> Markup {
        let content = html! {
            div.title { h1 { "Releases" } span.muted { (counted(self.releases.len() as u64, "release")) " signed by the Organism" } }
            (part("releases", "the releases", &html! {
                div.cards {
                    section.card aria-labelledby="h-graph" { (self.graph()) }
                    section.card aria-labelledby="h-releases" { (self.table(chrome.now)) }
                    div.grid {
                        section.card.s4 aria-labelledby="h-windows" { (self.windows()) }
                        section.card.s4 aria-labelledby="h-matrix" { (self.runtimes()) }
                        section.card.s4 aria-labelledby="h-deprecated" { (self.deprecated(chrome.now)) }
                    }
                }
            }))
        };
        chrome.page("Releases", Some(Section::Releases), &content)
    }

    fn graph(&self) -> Markup {
        let known: Vec<Version> =
            self.releases.iter().filter(|one| !one.withdrawn).map(|one| one.release.version).collect();
        let shown: Vec<&Published> = {
            let all: Vec<_> = self.releases.iter().filter(|one| !one.withdrawn).collect();
            all.iter().rev().take(GRAPH_MAX).rev().copied().collect()
        };
        let mut lanes: Vec<String> = Vec::new();
        let nodes: Vec<Node> = shown
            .iter()
            .enumerate()
            .map(|(column, one)| {
                let line = one.release.version.line().to_string();
                let lane = lanes.iter().position(|lane| *lane == line).unwrap_or_else(|| {
                    lanes.push(line);
                    lanes.len() - 1
                });
                let title = format!("{} release {}", one.release.class, one.release.version);
                Node {
                    name: one.release.version.to_string(),
                    lane,
                    column,
                    tone: tone_of(one.release.class),
                    title,
                }
            })
            .collect();
        let steps = steps(&shown.iter().map(|one| &one.release).collect::<Vec<_>>(), &known);
        html! {
            header {
                h2 #h-graph { "How one leads to the next" }
                span.aside.row {
                    (tag(Tone::Bad, "security")) (tag(Tone::Good, "minor")) (tag(Tone::Accent, "major")) (rule("RL-6"))
                }
            }
            @if nodes.is_empty() { p.empty { "No release is in force." } }
            @else { (chart::graph(&lanes, &nodes, &steps, "Upgrade graph: each arrow is a step that an instance may take")) }
        }
    }

    fn table(&self, now: Timestamp) -> Markup {
        html! {
            header { h2 #h-releases { "Every release" } }
            @if self.releases.is_empty() { p.empty { "Nothing has been released." } } @else {
                (scroll("Releases", &html! {
                    table {
                        thead { tr {
                            th scope="col" { "Version" } th scope="col" { "Class" } th scope="col" { "Published" } th scope="col" { "Rollout" }
                            th scope="col" { "Runs on" } th scope="col" { "Package" } th scope="col" { "Notes" }
                        } }
                        tbody { @for one in self.releases.iter().rev() { (self.row(one, now)) } }
                    }
                }))
            }
        }
    }

    fn row(&self, one: &Published, now: Timestamp) -> Markup {
        let Release {
            version, class, advisory, package, runtime, ships_runtime, floor, removes, notes, ..
        } = &one.release;
        html! {
            tr id=(format!("v{version}")) {
                td { strong.mono { (version) } @if one.withdrawn { span.sub { (tag(Tone::Bad, "withdrawn")) } } }
                td { (tag(tone_of(*class), class.as_str())) @if let Some(advisory) = advisory { span.sub { "for " (advisory) } } }
                td { (ago(one.at, now)) }
                td {
                    @match self.rollouts.get(version) {
                        Some(word) if self.may_roll => { a href=(format!("/rollouts/{version}")) { (word) } }
                        Some(word) => { (word) }
                        None => { span.muted { "none" } }
                    }
                }
                td.small {
                    "runtime " span.nowrap { (runtime.min) " – " (runtime.max) }
                    @if let Some(ships) = ships_runtime { span.sub { "brings " (ships) } }
                    @if let Some(floor) = floor { span.sub { "floor " (floor) " " (rule("RL-9")) } }
                }
                td.small { span.mono { (package.name) } span.sub { (number(package.length)) " bytes" } }
                td.small.wide {
                    (notes)
                    @if !removes.is_empty() { span.sub { "removes " (removes.join(", ")) } }
                }
            }
        }
    }

    fn windows(&self) -> Markup {
        let law = &self.law;
        html! {
            header { h2 #h-windows { "Windows" } span.aside { (rule("RL-2")) } }
            (scroll("Windows by class", &html! {
                table {
                    thead { tr { th scope="col" { "Class" } th scope="col" { "Due within" } th scope="col" { "Back by wish" } } }
                    tbody {
                        tr { td { "security" } td { (length(law.security_deadline)) } td { span.muted { "not" } } }
                        tr { td { "minor" } td { (length(law.minor_window)) } td { (length(law.minor_rollback_window)) } }
                        tr { td { "major" } td { (length(law.major_window)) } td { (length(law.major_rollback_window)) } }
                    }
                }
            }))
        }
    }

    fn runtimes(&self) -> Markup {
        html! {
            header { h2 #h-matrix { "Runtime matrix" } span.aside { (rule("RL-5")) } }
            (scroll("Runtime matrix", &html! {
                table {
                    thead { tr { th scope="col" { "Line" } th scope="col" { "Runs on runtimes" } } }
                    tbody { @for row in &self.matrix.rows { tr { td.mono { (row.platform.line()) } td.mono { (row.runtime.min) " – " (row.runtime.max) } } } }
                }
            }))
        }
    }

    fn deprecated(&self, now: Timestamp) -> Markup {
        html! {
            header { h2 #h-deprecated { "Deprecations" } span.aside { (rule("RL-8")) } }
            @if self.deprecations.is_empty() { p.empty { "Nothing is deprecated." } } @else {
                (scroll("Deprecations", &html! {
                    table {
                        thead { tr { th scope="col" { "Capability" } th scope="col" { "May go from" } } }
                        tbody {
                            @for (capability, given) in &self.deprecations {
                                tr {
                                    td.wide { (capability) span.sub { (weight(given.weight)) ", by " (given.by) } }
                                    td { (when(given.since + self.law.deprecation(given.weight), now)) }
                                }
                            }
                        }
                    }
                }))
            }
        }
    }
}

const fn weight(weight: Weight) -> &'static str {
    weight.as_str()
}

/// The steps among these releases that none of the others goes between.
fn steps(shown: &[&Release], known: &[Version]) -> Vec<(usize, usize)> {
    let leads = |from: usize, to: usize| {
        let (Some(from), Some(to)) = (shown.get(from), shown.get(to)) else { return false };
        check_step(from.version, to, known.iter().copied()).is_ok()
    };
    let mut found = Vec::new();
    for to in 0..shown.len() {
        for from in 0..to {
            let between = (from + 1..to).any(|middle| leads(from, middle) && leads(middle, to));
            if leads(from, to) && !between {
                found.push((from, to));
            }
        }
    }
    found
}
