//! The ledger: its end, a search through it, one entry with its evidence, and whether all of it is lawful.

use std::collections::BTreeMap;

use governance::{Event, RolloutId, Timestamp, Version};
use maud::{Markup, html};
use wire::DecisionView;

use crate::chrome::{Chrome, Section, Tone};
use crate::parts::{self, ago, facts, instant, part, query, rule, scroll, tag};
use crate::words::{self, number};

/// What the page shows.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// Entries, the newest first. Their numbers are not used.
    pub entries: Vec<DecisionView>,
    /// How many there are in all.
    pub size: u64,
    /// How many the last checkpoint covers.
    pub published: Option<u64>,
    /// What was searched for.
    pub query: String,
    /// Behind this position the listing began.
    pub before: Option<u64>,
    /// Entries were looked at down to this position; the next page goes on from there.
    pub older: Option<u64>,
    /// What the last verification found.
    pub verified: Option<Verified>,
    /// Which release each rollout is of.
    pub rollouts: BTreeMap<RolloutId, Version>,
}

/// What a verification found.
#[derive(Clone, Debug)]
pub enum Verified {
    /// Every entry followed from those before it.
    Lawful {
        /// How many.
        entries: u64,
        /// How long it took, in milliseconds.
        millis: i64,
        /// Whether there are more than one page verifies.
        is_cut: bool,
    },
    /// One did not.
    Broken {
        /// Which.
        position: u64,
        /// Why.
        why: String,
    },
}

impl Tail {
    /// The page.
    #[must_use]
    pub fn page(&self, chrome: &Chrome) -> Markup {
        let content = html! {
            div.title {
                h1 { "Ledger" }
                span.muted { (number(self.size)) " entries" @if let Some(published) = self.published { ", " (number(published)) " under the last checkpoint" } }
            }
            @if let Some(verified) = &self.verified { (found(verified)) }
            div.grid {
                section.card.s8 aria-labelledby="h-search" {
                    header { h2 #h-search { "Search" } }
                    form.filters method="get" action="/ledger" role="search" {
                        label { "A word, a rule, a person or an id" input name="q" value=(self.query) size="32" maxlength="100"; }
                        button type="submit" { "Search" }
                        @if !self.query.is_empty() { a href="/ledger" { "show all" } }
                    }
                    form.filters method="get" action="/ledger" {
                        label { "Go to position" input name="position" inputmode="numeric" pattern="[0-9]+" size="12" required; }
                        button type="submit" { "Go" }
                    }
                }
                section.card.s4 aria-labelledby="h-verify" {
                    header { h2 #h-verify { "Verify" } span.aside { (rule("LG-3")) } }
                    p.small { "Replays every decision from the root keys alone, as any auditor can, and stops at the first that does not follow." }
                    form method="post" action="/ledger/verify" {
                        (chrome.token_field())
                        button.primary type="submit" { "Verify now" }
                    }
                }
            }
            section.card aria-labelledby="h-entries" {
                (part("entries", "the ledger", &self.listing(chrome.now)))
            }
        };
        chrome.page("Ledger", Some(Section::Ledger), &content)
    }

    fn listing(&self, now: Timestamp) -> Markup {
        let older = |at: u64| query("/ledger", &[("q", &self.query), ("before", &at.to_string())]);
        html! {
            header {
                h2 #h-entries { @if self.query.is_empty() { "Entries" } @else { "Entries with “" (self.query) "”" } }
                span.aside { "the newest first" }
            }
            @if self.entries.is_empty() {
                p.empty { "None" @if let Some(at) = self.older { " from here down to position " (at) } "." }
            } @else {
                (scroll("Entries of the ledger", &html! {
                    table {
                        thead { tr {
                            th.num scope="col" { "Position" } th scope="col" { "When" } th scope="col" { "About" } th scope="col" { "What" }
                            th scope="col" { "Rule" } th scope="col" { "By" }
                        } }
                        tbody { @for entry in &self.entries { (row(entry, &self.rollouts, now)) } }
                    }
                }))
            }
            nav.pager aria-label="Pages of the ledger" {
                @if self.before.is_some() { a href=(query("/ledger", &[("q", &self.query)])) { "← The newest" } }
                @if let Some(at) = self.older { a href=(older(at)) { "Older →" } }
            }
        }
    }
}

fn row(entry: &DecisionView, rollouts: &BTreeMap<RolloutId, Version>, now: Timestamp) -> Markup {
    html! {
        tr {
            td.num { a href=(format!("/ledger/{}", entry.position)) { (entry.position) } }
            td { (ago(entry.at, now)) }
            td.nowrap { (about(&entry.event, rollouts)) }
            td.wide { (words::sentence(&entry.event)) }
            td { (rule(&entry.rule)) }
            td { (entry.authority) @if let Some(actor) = &entry.actor { span.sub { (actor) } } }
        }
    }
}

fn about(event: &Event, rollouts: &BTreeMap<RolloutId, Version>) -> Markup {
    let release = words::rollout_of(event).and_then(|rollout| rollouts.get(&rollout));
    html! {
        @match event {
            Event::Instance(id, _) => { a.mono.small href=(format!("/instances/{id}")) { (parts::short(*id)) } }
            Event::World(_) => {
                @match release {
                    Some(release) => { a href=(format!("/rollouts/{release}")) { "rollout of " (release) } }
                    None => { span.muted { "federation" } }
                }
            }
        }
    }
}

fn found(verified: &Verified) -> Markup {
    html! {
        @match verified {
            Verified::Lawful { entries, millis, is_cut } => {
                div.notice.is-good role="status" {
                    strong { "Lawful: " } @if *entries == 1 { "1 entry" } @else { (number(*entries)) " entries" } " replayed in " (millis) " ms"
                    @if *is_cut { ". There are more: verify all of them with " code { "fedplane ledger verify" } }
                    ". A verification by this server proves nothing to whoever does not trust it: auditors run their own."
                }
            }
            Verified::Broken { position, why } => {
                div.notice.is-bad role="alert" { strong { "Entry " (position) " does not follow: " } (why) }
            }
        }
    }
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it stands.
    pub position: u64,
    /// What it says. Its number is not used.
    pub decision: DecisionView,
    /// What proves the authority, in a word.
    pub evidence: &'static str,
    /// The law that was in force.
    pub constitution: Option<governance::Digest>,
    /// All of it as it is written, set out in lines.
    pub text: String,
    /// Whether a checkpoint covers it.
    pub is_published: bool,
    /// Which release each rollout is of.
    pub rollouts: BTreeMap<RolloutId, Version>,
}

impl Entry {
    /// The page.
    #[must_use]
    pub fn page(&self, chrome: &Chrome) -> Markup {
        let (position, decision) = (self.position, &self.decision);
        let title = format!("Entry {position}");
        let content = html! {
            div {
                p.crumbs { a href="/ledger" { "Ledger" } }
                div.title {
                    h1 { (title) }
                    @if self.is_published { (tag(Tone::Good, "under the last checkpoint")) } @else { (tag(Tone::Plain, "no checkpoint covers it yet")) }
                    div.actions {
                        @if self.is_published {
                            a.button href=(format!("/ledger/{position}/proof")) download=(format!("entry-{position}.tlog-proof")) { "Download the proof" }
                        }
                    }
                }
                p.lead { (words::sentence(&decision.event)) }
            }
            div.grid {
                section.card.s5 aria-labelledby="h-entry" {
                    h2 #h-entry { "The decision" }
                    (facts(&[
                        ("When", instant(decision.at)),
                        ("About", about(&decision.event, &self.rollouts)),
                        ("Rule", rule(&decision.rule)),
                        ("Authority", html! { (decision.authority) }),
                        ("Asked for by", html! { @match &decision.actor { Some(actor) => { (actor) } None => { span.muted { "nobody: the law asked for it" } } } }),
                        ("Evidence", html! { (self.evidence) }),
                        ("Law in force", html! { @match &self.constitution { Some(digest) => { span.mono.small { (digest) } } None => { span.muted { "none yet" } } } }),
                    ]))
                    @if !decision.openings.is_empty() {
                        h3 { "What it commits to" }
                        (facts(&decision.openings.iter().map(|opening| ("Disclosed", html! { span.mono.small { (serde_json::to_string(&opening.value).unwrap_or_default()) } })).collect::<Vec<_>>()))
                    }
                }
                section.card.s7 aria-labelledby="h-text" {
                    h2 #h-text { "As it is written" }
                    pre tabindex="0" { code { (self.text) } }
                }
            }
            nav.pager aria-label="Entries beside it" {
                @if position > 0 { a href=(format!("/ledger/{}", position - 1)) { "← " (position - 1) } }
                a href=(format!("/ledger/{}", position + 1)) { (position + 1) " →" }
            }
        };
        chrome.page(&title, Some(Section::Ledger), &content)
    }
}
