//! The fleet: where everybody stands, what they run, who comes to harm next; and the instances, page by page.

use governance::{FindingCode, Kind, State, Tier, Timestamp};
use maud::{Markup, html};
use wire::{FleetSummary, InstanceView, Page};

use crate::chart::{self, Sample};
use crate::chrome::{Chrome, Section};
use crate::parts::{self, ago, figure, part, release, rule, scroll, select};
use crate::words::{self, counted, number, percent, spaced};

/// Versions that have a row of their own in the chart; older ones share one.
const VERSIONS_SHOWN: usize = 8;

/// What the listing is narrowed to, as it stands in the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// In this state.
    pub state: String,
    /// Running this platform version.
    pub platform: String,
    /// Of this kind.
    pub kind: String,
    /// Of this tier.
    pub tier: String,
    /// Of this provider.
    pub provider: String,
    /// With this finding.
    pub finding: String,
    /// Behind this id.
    pub after: String,
}

impl Filter {
    /// The address of the listing with this filter, from another id on.
    #[must_use]
    pub fn address(&self, after: &str) -> String {
        parts::query(
            "/fleet",
            &[
                ("state", &self.state),
                ("platform", &self.platform),
                ("kind", &self.kind),
                ("tier", &self.tier),
                ("provider", &self.provider),
                ("finding", &self.finding),
                ("after", after),
            ],
        )
    }

    fn is_any(&self) -> bool {
        *self == Self { after: self.after.clone(), ..Self::default() }
    }
}

/// Somebody whose window runs out: who, what of, and what then.
#[derive(Clone, Debug)]
pub struct AtRisk {
    /// Who.
    pub instance: InstanceView,
    /// The rule.
    pub rule: String,
    /// What runs out.
    pub what: String,
    /// When.
    pub at: Timestamp,
    /// What follows.
    pub then: String,
}

/// What the page shows.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The whole fleet in numbers; none while this server takes it up.
    pub summary: Option<FleetSummary>,
    /// How it stood before, as this server saw it.
    pub course: Vec<Sample>,
    /// Whose windows run out first.
    pub risks: Vec<AtRisk>,
    /// What the listing is narrowed to.
    pub filter: Filter,
    /// The listing.
    pub page: Page<InstanceView>,
    /// Whether only one provider's own instances are counted.
    pub is_own: bool,
}

impl Fleet {
    /// The page.
    #[must_use]
    pub fn page(&self, chrome: &Chrome) -> Markup {
        let content = html! {
            div.title {
                h1 { "Fleet" }
                @if self.is_own { span.muted { "your own instances" } }
            }
            @match &self.summary {
                Some(summary) => { (part("fleet", "the fleet's numbers", &self.numbers(summary, chrome.now))) }
                None => { p.notice role="status" { "This server is still taking up the fleet: its numbers come in a moment." } }
            }
            (self.listing(chrome.now))
        };
        chrome.page("Fleet", Some(Section::Fleet), &content)
    }

    fn numbers(&self, summary: &FleetSummary, now: Timestamp) -> Markup {
        html! {
            div.grid {
                section.card.s6 aria-labelledby="h-states" { (self.states(summary)) }
                section.card.s6 aria-labelledby="h-versions" { (self.versions(summary)) }
                @if self.course.len() > 1 { section.card.s12 aria-labelledby="h-course" { (self.before(now)) } }
                section.card.s12 aria-labelledby="h-risk" { (self.at_risk(summary, now)) }
            }
        }
    }

    fn states(&self, summary: &FleetSummary) -> Markup {
        let count = |state: &State| summary.states.get(state).copied().unwrap_or(0);
        let bars: Vec<_> = State::ALL.iter().map(|state| (count(state), words::tone_of(*state))).collect();
        html! {
            header { h2 #h-states { "Where they stand" } span.aside { (counted(summary.instances, "instance")) } }
            div.meter.is-big { (chart::stacked(&bars, summary.instances, None)) }
            (scroll("Instances by state", &html! {
                table {
                    thead { tr { th scope="col" { "State" } th.num scope="col" { "Instances" } th.num scope="col" { "Share" } } }
                    tbody {
                        @for state in State::ALL.iter().filter(|state| count(state) > 0) {
                            @let narrowed = Filter { state: state.to_string(), ..Filter::default() };
                            tr {
                                td { a href=(narrowed.address("")) { (parts::state(*state)) } }
                                td.num { (number(count(state))) }
                                td.num.muted { (percent(count(state), summary.instances)) }
                            }
                        }
                        @if summary.instances == 0 { tr { td colspan="3" { span.empty { "No instance has registered yet." } } } }
                    }
                }
            }))
        }
    }

    fn versions(&self, summary: &FleetSummary) -> Markup {
        let newest: Vec<_> = summary.platforms.iter().rev().collect();
        let total: u64 = summary.platforms.values().sum();
        let older: u64 = newest.iter().skip(VERSIONS_SHOWN).map(|(_, count)| **count).sum();
        html! {
            header {
                h2 #h-versions { "What they run" }
                span.aside { (counted(summary.platforms.len() as u64, "version")) ", revoked ones left out" }
            }
            (scroll("Instances by platform version", &html! {
                table {
                    thead { tr {
                        th scope="col" { "Platform" }
                        th scope="col" { span.hidden { "Share as a bar" } }
                        th.num scope="col" { "Instances" }
                        th.num scope="col" { "Share" }
                    } }
                    tbody {
                        @for (version, count) in newest.iter().take(VERSIONS_SHOWN) {
                            @let narrowed = Filter { platform: version.to_string(), ..Filter::default() };
                            tr {
                                td { a.mono href=(narrowed.address("")) { (version) } }
                                td.bar { (chart::bar(**count, total, crate::Tone::Accent)) }
                                td.num { (number(**count)) }
                                td.num.muted { (percent(**count, total)) }
                            }
                        }
                        @if older > 0 {
                            tr {
                                td { "older" }
                                td.bar { (chart::bar(older, total, crate::Tone::Plain)) }
                                td.num { (number(older)) }
                                td.num.muted { (percent(older, total)) }
                            }
                        }
                        @if newest.is_empty() { tr { td colspan="4" { span.empty { "Nobody runs anything yet." } } } }
                    }
                }
            }))
        }
    }

    fn before(&self, now: Timestamp) -> Markup {
        let most = self.course.iter().map(|sample| sample.states.values().sum::<u64>()).max().unwrap_or(0);
        let began = self.course.first().map_or(now, |sample| sample.at);
        html! {
            header {
                h2 #h-course { "How they stood" }
                span.aside { "since this server saw them, a day at most; the whole height is " (counted(most, "instance")) }
            }
            div {
                (chart::course(&self.course, now, "Instances by state over time, stacked in the order of the table above"))
                div.axis.small.muted { span { (ago(began, now)) } span { "now" } }
            }
        }
    }

    fn at_risk(&self, summary: &FleetSummary, now: Timestamp) -> Markup {
        let soon = summary.soon;
        html! {
            header {
                h2 #h-risk { "At risk, and when" }
                span.aside { "the first window that runs out, if nobody does anything" }
            }
            div.figures {
                (figure(soon.day, "within a day", true))
                (figure(soon.week, "within a week", false))
                (figure(soon.later, "later", false))
                @for (code, count) in &summary.findings {
                    a.figure.is-bad href=(Filter { finding: code.to_string(), ..Filter::default() }.address("")) {
                        b { (number(*count)) } span { (spaced(code.as_str())) " " (rule(code.rule())) }
                    }
                }
            }
            @if self.risks.is_empty() {
                p.empty { "No window runs: nobody owes anything that has an end." }
            } @else {
                (scroll("Windows that run out first", &html! {
                    table {
                        thead { tr {
                            th scope="col" { "Instance" } th scope="col" { "State" } th scope="col" { "What runs out" }
                            th scope="col" { "Ends" } th scope="col" { "Then" }
                        } }
                        tbody {
                            @for risk in &self.risks {
                                tr {
                                    td { (parts::instance(risk.instance.id, &risk.instance.labels)) }
                                    td { (parts::state(risk.instance.state)) }
                                    td { (risk.what) " " (rule(&risk.rule)) }
                                    td { (ago(risk.at, now)) }
                                    td { (risk.then) }
                                }
                            }
                        }
                    }
                }))
            }
        }
    }

    fn listing(&self, now: Timestamp) -> Markup {
        let filter = &self.filter;
        html! {
            section.card aria-labelledby="h-instances" {
                header {
                    h2 #h-instances { "Instances" }
                    @if !filter.is_any() { span.aside { a href="/fleet" { "show all" } } }
                }
                (self.filters())
                (part("instances", "the instances", &html! {
                    @if self.page.items.is_empty() {
                        p.empty {
                            @if self.page.next.is_some() { "None on this page; there may be some on the next." }
                            @else { "No instance fits." }
                        }
                    } @else {
                        (scroll("Instances", &table(&self.page.items, now)))
                    }
                    nav.pager aria-label="Pages of instances" {
                        @if !filter.after.is_empty() { a href=(filter.address("")) { "← From the start" } }
                        @if let Some(next) = &self.page.next { a href=(filter.address(next)) rel="next" { "Next page →" } }
                        span.aside { (counted(self.page.items.len() as u64, "instance")) " on this page, in the order of their ids" }
                    }
                }))
            }
        }
    }

    fn filters(&self) -> Markup {
        let options = |all: &mut dyn Iterator<Item = &'static str>| -> Vec<(String, String)> {
            all.map(|word| (word.to_owned(), spaced(word))).collect()
        };
        let Filter { state, platform, kind, tier, provider, finding, .. } = &self.filter;
        html! {
            form.filters method="get" action="/fleet" role="search" aria-label="Narrow the listing" {
                (select("state", "State", state, &options(&mut State::ALL.iter().map(|word| word.as_str()))))
                (select("kind", "Kind", kind, &options(&mut Kind::ALL.iter().map(|word| word.as_str()))))
                (select("tier", "Tier", tier, &options(&mut Tier::ALL.iter().map(|word| word.as_str()))))
                (select("finding", "Finding", finding, &options(&mut FindingCode::ALL.iter().map(|word| word.as_str()))))
                label { "Platform" input name="platform" value=(platform) placeholder="as 1.4.0" size="8"; }
                @if !self.is_own { label { "Provider" input name="provider" value=(provider) size="10"; } }
                button type="submit" { "Show" }
            }
            form.filters method="get" action="/instances" aria-label="Go to an instance" {
                label { "Go to an instance by its id" input name="id" size="38" maxlength="36" required; }
                button type="submit" { "Go" }
            }
        }
    }
}

fn table(items: &[InstanceView], now: Timestamp) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Instance" } th scope="col" { "State" } th scope="col" { "Runs" } th scope="col" { "On offer" }
                th scope="col" { "Tier" } th scope="col" { "Provider" } th scope="col" { "Findings" } th scope="col" { "Last heard" }
            } }
            tbody {
                @for view in items {
                    tr {
                        td { (parts::instance(view.id, &view.labels)) }
                        td { (parts::state(view.state)) span.sub { "since " (ago(view.since, now)) } }
                        td { span.mono { (view.platform) } span.sub { "runtime " (view.runtime) } }
                        td { @if let Some(offer) = &view.offer { (release(offer.release)) span.sub { (offer.action) " in " (offer.phase) } } }
                        td { (view.tier) span.sub { (spaced(view.kind.as_str())) } }
                        td { @if let Some(provider) = &view.provider { (provider) } @else { span.muted { "–" } } }
                        td {
                            @for finding in &view.findings { div.nowrap { (spaced(&finding.code)) " " (rule(&finding.rule)) } }
                            @if view.findings.is_empty() { span.muted { "none" } }
                        }
                        td { (ago(view.heard.unwrap_or(view.reported), now)) }
                    }
                }
            }
        }
    }
}
