//! One instance: where it stands and how it came there, what it runs, what is found, why a release has not come yet and
//! when it will, and every decision about it with its proof.

use governance::explain::{Explanation, ReleaseExplained, Standing};
use governance::{Event, Instance as Record, InstanceEvent, SubscriptionStatus, Timestamp};
use maud::{Markup, html};
use wire::{DecisionView, InstanceView};

use crate::chrome::{Chrome, Section, Tone};
use crate::parts::{self, ago, facts, part, release, rule, scroll, tag, when};
use crate::words::{self, counted, length, number, spaced};

/// What the page shows.
#[derive(Clone, Debug)]
pub struct Instance {
    /// As people see it.
    pub view: InstanceView,
    /// As it is on record.
    pub record: Record,
    /// Why it has not got a release yet, where whoever reads may ask.
    pub explanation: Option<Explanation>,
    /// A page of the decisions about it, the newest first, where whoever reads may see them.
    pub decisions: Option<Decisions>,
    /// Its last changes of state, the newest first.
    pub moves: Vec<DecisionView>,
    /// Whether whoever reads may suspend and reactivate it.
    pub may_operate: bool,
}

/// A page of decisions.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    /// These, the newest first.
    pub items: Vec<DecisionView>,
    /// How many there are in all.
    pub count: u64,
    /// The number of the newest on the page before this one, if there is one.
    pub newer: Option<u64>,
    /// The number of the newest on the page behind this one, if there is one.
    pub older: Option<u64>,
}

impl Instance {
    fn name(&self) -> String {
        match self.view.labels.first() {
            Some(label) => label.to_string(),
            None => parts::short(self.view.id),
        }
    }

    /// The page.
    #[must_use]
    pub fn page(&self, chrome: &Chrome) -> Markup {
        let (now, view) = (chrome.now, &self.view);
        let content = html! {
            div {
                p.crumbs { a href="/fleet" { "Fleet" } }
                (part("head", "where it stands", &html! {
                    div.title {
                        h1 { (self.name()) }
                        (parts::state(view.state))
                        span.muted { "since " (ago(view.since, now)) }
                        @if self.may_operate { (self.actions()) }
                    }
                }))
                p.lead.mono.small.wide { (view.id) }
            }
            (part("instance", "the instance", &html! {
                @for escalation in &view.escalations {
                    p.notice.is-bad { strong { "Before the Founder " (rule(&escalation.rule)) ": " } (escalation.facts) " · since " (ago(escalation.since, now)) }
                }
                div.grid {
                    div.s7.cards {
                        section.card aria-labelledby="h-why" { (self.why(now)) }
                        section.card aria-labelledby="h-history" { (self.history(now)) }
                        section.card aria-labelledby="h-runs" { (self.runs(now)) }
                    }
                    div.s5.cards {
                        section.card aria-labelledby="h-findings" { (self.findings(now)) }
                        section.card aria-labelledby="h-due" { (self.deadlines(now)) }
                        section.card aria-labelledby="h-is" { (self.is(now)) }
                        section.card aria-labelledby="h-modules" { (self.modules(now)) }
                    }
                }
            }))
            @if let Some(decisions) = &self.decisions {
                section.card aria-labelledby="h-decisions" {
                    (part("decisions", "its decisions", &self.decided(decisions, now)))
                }
            }
        };
        chrome.page(&self.name(), Some(Section::Fleet), &content)
    }

    fn actions(&self) -> Markup {
        let id = self.view.id;
        html! {
            div.actions {
                @if self.view.state == governance::State::Suspended {
                    a.button href=(format!("/instances/{id}/reactivate")) { "Reactivate…" }
                } @else if !matches!(self.view.state, governance::State::Revoked | governance::State::Registered) {
                    a.button href=(format!("/instances/{id}/suspend")) { "Suspend…" }
                }
            }
        }
    }

    fn why(&self, now: Timestamp) -> Markup {
        html! {
            header { h2 #h-why { "What comes next, and when" } span.aside { "runs " span.mono { (self.view.platform) } } }
            @match &self.explanation {
                None => { p.empty { "Who asks why is told by operators, its provider and auditors." } }
                Some(explanation) if explanation.releases.is_empty() => {
                    p { "Nothing: no release is newer than what it runs." }
                }
                Some(explanation) => {
                    ul.answers { @for explained in &explanation.releases { li { (answer(explained, now)) } } }
                }
            }
        }
    }

    fn findings(&self, now: Timestamp) -> Markup {
        let silenced = |code: &str| self.view.overrides.iter().find(|given| given.finding.as_str() == code);
        html! {
            header { h2 #h-findings { "Findings" } }
            @if self.view.findings.is_empty() { p.empty { "Nothing is found against it." } }
            @for finding in &self.view.findings {
                div.notice.is-bad {
                    p { strong { (spaced(&finding.code)) } " " (rule(&finding.rule)) " · since " (ago(finding.since, now)) }
                    p { "Cleared by: " (finding.cleared_by) "." }
                    @if let Some(given) = silenced(&finding.code) {
                        p.small { "Silenced by the Founder until " (when(given.until, now)) " " (rule("FO-3")) }
                    }
                }
            }
        }
    }

    fn deadlines(&self, now: Timestamp) -> Markup {
        html! {
            header { h2 #h-due { "What is due" } }
            @match self.explanation.as_ref().map(|explanation| explanation.deadlines.as_slice()) {
                None | Some([]) => { p.empty { "Nothing has a deadline." } }
                Some(deadlines) => {
                    ul.answers {
                        @for due in deadlines {
                            li {
                                div.head {
                                    strong { (due.what) } (rule(&due.rule))
                                    span.when {
                                        @match due.ends {
                                            Some(ends) => { (ago(ends, now)) }
                                            None => { "stands still, " (length(due.left)) " left" }
                                        }
                                    }
                                }
                                p.small.muted { "Then " (due.then) "." }
                            }
                        }
                    }
                }
            }
        }
    }

    fn runs(&self, now: Timestamp) -> Markup {
        let running = &self.record.running;
        html! {
            header {
                h2 #h-runs { "What it runs" }
                span.aside { "as it signed " (ago(self.view.reported, now)) }
            }
            div.figures {
                div.figure { b { (running.platform) } span { "platform" } }
                div.figure { b { (running.runtime) } span { "runtime" } }
                div.figure { b { (running.layers.len()) } span { "layer structures" } }
            }
            (scroll("Layers and their digests", &html! {
                table {
                    thead { tr { th scope="col" { "Layer" } th scope="col" { "Version" } th scope="col" { "Digest" } } }
                    tbody {
                        @for content in &running.layers {
                            tr {
                                td.mono { (content.id.stem()) }
                                td.mono { (content.id.version()) }
                                td.mono.small.wide title=(content.digest) { (content.digest.to_string().chars().take(16).collect::<String>()) "…" }
                            }
                        }
                    }
                }
            }))
        }
    }

    fn is(&self, now: Timestamp) -> Markup {
        let view = &self.view;
        let pays = match view.subscription {
            SubscriptionStatus::Active => Tone::Good,
            SubscriptionStatus::Lapsed => Tone::Warn,
            SubscriptionStatus::Revoked => Tone::Bad,
        };
        html! {
            header { h2 #h-is { "What it is" } }
            (facts(&[
                ("Kind", html! { (spaced(view.kind.as_str())) }),
                ("Provider", html! { @if let Some(provider) = &view.provider { (provider) } @else { span.muted { "none: the federation's own" } } }),
                ("Labels", html! { @if view.labels.is_empty() { span.muted { "none" } } @for label in &view.labels { (tag(Tone::Plain, label.as_str())) " " } }),
                ("Subscription", html! {
                    (view.tier) " " (tag(pays, view.subscription.as_str())) " since " (ago(view.subscription_since, now))
                    @if let Some(until) = view.subscription_until { ", paid until " (when(until, now)) }
                }),
                ("Joined", html! { (when(self.record.joined, now)) }),
                ("Last heard", html! { @if let Some(heard) = view.heard { (when(heard, now)) } @else { span.muted { "not by this server" } } }),
                ("Endpoint", html! { @if let Some(endpoint) = &view.endpoint { span.mono.small { (endpoint) } } @else { span.muted { "not disclosed" } } }),
                ("Statement", html! { @if let Some(head) = self.record.head { "number " (number(head.sequence)) } @else { span.muted { "none yet" } } }),
                ("Held", html! { @if self.record.held { (tag(Tone::Bad, "by the Founder")) " " (rule("LC-19")) } @else { "no" } }),
            ]))
        }
    }

    fn history(&self, now: Timestamp) -> Markup {
        html! {
            header { h2 #h-history { "How it came there" } }
            @if self.moves.is_empty() { p.empty { "Its last decisions hold no change of state." } }
            @if !self.moves.is_empty() {
                (scroll("Changes of state", &html! {
                    table {
                        thead { tr { th scope="col" { "When" } th scope="col" { "To" } th scope="col" { "Because" } th scope="col" { "Rule" } } }
                        tbody {
                            @for decision in &self.moves {
                                @if let Event::Instance(_, InstanceEvent::Moved { to, cause, .. }) = &decision.event {
                                    tr {
                                        td { (ago(decision.at, now)) }
                                        td { (parts::state(*to)) }
                                        td { (spaced(cause.as_str())) @if let Some(actor) = &decision.actor { span.sub { "by " (actor) } } }
                                        td { (rule(&decision.rule)) }
                                    }
                                }
                            }
                        }
                    }
                }))
            }
            @if !self.record.attempts.is_empty() {
                h3 { "Attempts" }
                (scroll("Attempts", &html! {
                    table {
                        thead { tr { th scope="col" { "When" } th scope="col" { "Release" } th scope="col" { "From" } th scope="col" { "Outcome" } } }
                        tbody {
                            @for attempt in self.record.attempts.iter().rev().take(8) {
                                tr {
                                    td { (ago(attempt.finished, now)) }
                                    td { (release(attempt.release)) span.sub { (attempt.action) " in " (attempt.phase) } }
                                    td.mono { (attempt.from) }
                                    td { (tag(if attempt.outcome == governance::Outcome::Succeeded { Tone::Good } else { Tone::Bad }, attempt.outcome.as_str())) }
                                }
                            }
                        }
                    }
                }))
            }
        }
    }

    fn modules(&self, now: Timestamp) -> Markup {
        let record = &self.record;
        html! {
            header { h2 #h-modules { "Modules and tokens" } span.aside { (counted(record.activations.len() as u64, "domain")) } }
            @for notice in &self.view.notices {
                p.notice.is-warn { strong { (notice.domain) } " runs without a right: off until " (when(notice.until, now)) " " (rule("CO-5")) }
            }
            @if record.activations.is_empty() { p.empty { "No domain is activated." } }
            @if !record.activations.is_empty() {
                (scroll("Modules", &html! {
                    table {
                        thead { tr { th scope="col" { "Domain" } th scope="col" { "Right since" } th scope="col" { "Runs" } } }
                        tbody {
                            @for activation in &record.activations {
                                tr {
                                    td.mono { (activation.domain) }
                                    td { (ago(activation.since, now)) }
                                    td { @if record.domains.contains(&activation.domain) { "yes" } @else { span.muted { "no" } } }
                                }
                            }
                        }
                    }
                }))
            }
            p.small.muted { (counted(record.tokens.len() as u64, "token")) " in its status list" }
        }
    }

    fn decided(&self, decisions: &Decisions, now: Timestamp) -> Markup {
        let id = self.view.id;
        html! {
            header {
                h2 #h-decisions { "Every decision about it" }
                span.aside { (number(decisions.count)) " in the ledger, the newest first " (rule("LG-1")) }
            }
            (scroll("Decisions", &html! {
                table {
                    thead { tr {
                        th.num scope="col" { "No." } th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Rule" }
                        th scope="col" { "By" } th scope="col" { "Proof" }
                    } }
                    tbody {
                        @for decision in &decisions.items {
                            tr {
                                td.num { (decision.number) }
                                td { (ago(decision.at, now)) }
                                td.wide { (words::sentence(&decision.event)) }
                                td { (rule(&decision.rule)) }
                                td { (decision.authority) @if let Some(actor) = &decision.actor { span.sub { (actor) } } }
                                td {
                                    a href=(format!("/instances/{id}/decisions/{}/proof", decision.number)) download=(format!("{id}-{}.tlog-proof", decision.number)) {
                                        "Download" span.hidden { " the proof of decision " (decision.number) }
                                    }
                                }
                            }
                        }
                    }
                }
            }))
            nav.pager aria-label="Pages of decisions" {
                @if let Some(newer) = decisions.newer { a href=(format!("/instances/{id}?decisions={newer}#h-decisions")) { "← Newer" } }
                @if let Some(older) = decisions.older { a href=(format!("/instances/{id}?decisions={older}#h-decisions")) { "Older →" } }
            }
        }
    }
}

fn answer(explained: &ReleaseExplained, now: Timestamp) -> Markup {
    let (tone, word) = match explained.standing {
        Standing::Runs => (Tone::Good, "runs"),
        Standing::Installing => (Tone::Accent, "being installed"),
        Standing::OnOffer => (Tone::Accent, "on offer"),
        Standing::Blocked => (Tone::Plain, "not yet"),
    };
    html! {
        div.head {
            strong { (release(explained.release)) }
            @if let Some(class) = explained.class { span.muted { (class) } }
            (tag(tone, word))
            @if explained.standing == Standing::Blocked {
                span.when {
                    @match explained.earliest {
                        Some(at) if explained.by_time_alone => { strong { (ago(at, now)) } " if nothing else changes" }
                        Some(at) => { "not before " strong { (ago(at, now)) } }
                        None => { "something must change first" }
                    }
                }
            }
        }
        @for answer in &explained.answers {
            dl.why {
                dt { (rule(&answer.rule)) }
                dd { (words::readable(&answer.says)) span.muted { " — " (words::readable(&answer.would_change)) } }
            }
        }
    }
}
