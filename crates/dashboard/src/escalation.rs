//! What lies before the Founder: the facts, who has it in hand, and the order that would answer it, ready to be signed offline.

use maud::{Markup, html};
use wire::EscalationView;

use crate::chrome::{Chrome, Section, Tone};
use crate::parts::{ago, part, query, rule, tag, when};
use crate::words::counted;

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
    /// The orders that answer it: the word, and what it does.
    pub orders: Vec<(&'static str, &'static str)>,
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
            div.stack {
                @if matters.is_empty() { p.card { "Nothing lies before the Founder." } }
                @for matter in matters { (card(chrome, matter, may_acknowledge)) }
            }
        }))
        section.card {
            h2 { "How an order is signed" }
            p { "Download the order, carry it to where a key of the Founder is, and read it there before signing. Each holder signs the same file; when enough have, hand it in:" }
            pre { code { "fedplane order sign --key FOUNDER.key --out ORDER.json\nfedplane order submit ORDER.json" } }
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
            p { (view.facts) }
            @if !matter.orders.is_empty() {
                div.stack {
                    h3 { "What the Founder may order" }
                    @for (word, does) in &matter.orders {
                        @let address = query("/escalations/order", &[("do", word), ("rule", &view.rule), ("instance", &instance), ("release", &release)]);
                        div.row {
                            a.button href=(address) download=(format!("order-{word}.json")) { "Download “" (word) "”" }
                            span.muted { (does) }
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
