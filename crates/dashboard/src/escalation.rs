//! What lies before the Founder: the facts, who has it in hand, and the order that would answer it, ready to be signed offline.

use governance::FindingCode;
use maud::{Markup, html};
use wire::{EscalationView, InstanceView};

use crate::chrome::{Chrome, Section, Tone};
use crate::parts::{ago, facts, part, query, rule, state, tag, when};
use crate::words::{counted, spaced};

/// What a matter is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An instance.
    Instance(governance::InstanceId, Option<governance::Label>),
    /// The rollout of a release.
    Release(governance::Version),
    /// The federation as a whole.
    Federation,
}

/// A matter, and what may be ordered about it.
#[derive(Clone, Debug)]
pub struct Matter {
    /// As people see it.
    pub view: EscalationView,
    /// What it is about.
    pub subject: Subject,
    /// The instance as it stands, where it is about one.
    pub instance: Option<InstanceView>,
    /// The orders that answer it.
    pub orders: Vec<Answer>,
}

/// An order that answers a matter.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its word.
    pub word: &'static str,
    /// The finding that it silences, where it silences one.
    pub finding: Option<FindingCode>,
    /// What it does.
    pub does: String,
}

impl Matter {
    fn id(&self) -> (String, String) {
        match &self.subject {
            Subject::Instance(id, _) => (id.to_string(), String::new()),
            Subject::Release(release) => (String::new(), release.to_string()),
            Subject::Federation => (String::new(), String::new()),
        }
    }
}

/// The page.
#[must_use]
pub fn page(chrome: &Chrome, matters: &[Matter], may_acknowledge: bool) -> Markup {
    let content = html! {
        div.title { h1 { "Escalations" } span.muted { (counted(matters.len() as u64, "matter")) " before the Founder, the oldest first " (rule("FO-2")) } }
        (part("matters", "what lies before the Founder", &html! {
            div.cards {
                @if matters.is_empty() { section.card { p.muted { "Nothing lies before the Founder." } } }
                @for matter in matters { (card(chrome, matter, may_acknowledge)) }
            }
        }))
        section.card {
            h2 { "How an order is signed" }
            p { "Download the order, carry it to where a key of the Founder is, and read it there: it is plain text. The first holder signs it into a file of its own, each further one signs that; when enough have, hand it in:" }
            pre tabindex="0" { code { "fedplane order sign --order order-WORD.json --key FOUNDER.key --out signed.json\nfedplane order sign --key ANOTHER.key --out signed.json\nfedplane order submit signed.json" } }
        }
    };
    chrome.page("Escalations", Some(Section::Escalations), &content)
}

fn card(chrome: &Chrome, matter: &Matter, may_acknowledge: bool) -> Markup {
    let view = &matter.view;
    let (instance, release) = matter.id();
    html! {
        section.card {
            header {
                h2 {
                    (rule(&view.rule)) " "
                    @match &matter.subject {
                        Subject::Instance(id, label) => {
                            "Instance " a href=(format!("/instances/{id}")) { @match label { Some(label) => { (label) } None => { (crate::parts::short(*id)) } } }
                        }
                        Subject::Release(release) => { "Rollout of " a href=(format!("/rollouts/{release}")) { (release) } }
                        Subject::Federation => { "The federation as a whole" }
                    }
                }
                @match view.acknowledged {
                    Some(at) => { (tag(Tone::Good, "in hand")) span.muted.small { "since " (ago(at, chrome.now)) } }
                    None => { (tag(Tone::Warn, "nobody has it in hand")) }
                }
                span.aside { "since " (when(view.since, chrome.now)) }
            }
            p { strong { (view.facts) } }
            @if let Some(instance) = &matter.instance {
                (facts(&[
                    ("Stands", html! { (state(instance.state)) " since " (ago(instance.since, chrome.now)) }),
                    ("Runs", html! { span.mono { (instance.platform) } " on runtime " span.mono { (instance.runtime) } }),
                    ("Findings", html! {
                        @if instance.findings.is_empty() { span.muted { "none" } }
                        @for finding in &instance.findings { (spaced(&finding.code)) " " (rule(&finding.rule)) " since " (ago(finding.since, chrome.now)) ". " }
                    }),
                    ("History", html! { a href=(format!("/instances/{}#h-decisions", instance.id)) { "every decision about it" } }),
                ]))
            }
            @if !matter.orders.is_empty() {
                div.stack {
                    h3 { "What the Founder may order" }
                    @for order in &matter.orders {
                        @let finding = order.finding.map(FindingCode::as_str).unwrap_or_default();
                        @let address = query("/escalations/order", &[
                            ("do", order.word), ("rule", &view.rule), ("instance", &instance), ("release", &release), ("finding", finding),
                        ]);
                        div.row {
                            a.button href=(address) download=(format!("order-{}.json", order.word)) { "Download “" (order.word) "”" }
                            span.muted { (order.does) }
                        }
                    }
                }
            }
            @if may_acknowledge && view.acknowledged.is_none() {
                form.row method="post" action="/escalations/acknowledge" {
                    (chrome.token_field())
                    input type="hidden" name="rule" value=(view.rule);
                    input type="hidden" name="instance" value=(instance);
                    input type="hidden" name="release" value=(release);
                    button type="submit" { "I have it in hand" }
                    span.muted.small { "Stops nothing: only an order resolves it." }
                }
            }
        }
    }
}
