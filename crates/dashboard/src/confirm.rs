//! What is asked before anything is done, with its consequence in numbers, and what is said where it was refused.

use maud::{Markup, html};

use crate::chrome::{Chrome, Section, bare};
use crate::parts::rule;

/// An act that waits for a yes.
#[derive(Clone, Debug)]
pub struct Question {
    /// In which part of the dashboard.
    pub section: Option<Section>,
    /// What is asked.
    pub title: String,
    /// What follows, a sentence each, in numbers of instances.
    pub follows: Vec<String>,
    /// The rule it rests on.
    pub rule: &'static str,
    /// Where the yes is sent.
    pub action: String,
    /// What else it carries: name and value.
    pub fields: Vec<(String, String)>,
    /// What whoever answers is asked to write: name and label.
    pub asks: Option<(&'static str, &'static str)>,
    /// What the button says.
    pub yes: &'static str,
    /// Whether it takes something from somebody.
    pub is_grave: bool,
    /// Where a no leads.
    pub back: String,
}

impl Question {
    /// The page.
    #[must_use]
    pub fn page(&self, chrome: &Chrome) -> Markup {
        let content = html! {
            section.card.narrow {
                h1 { (self.title) }
                ul.stack { @for line in &self.follows { li { (line) } } }
                p.small.muted { "By rule " (rule(self.rule)) ". It stands in the ledger as done by " (chrome.person) "." }
                form.stack method="post" action=(self.action) {
                    (chrome.token_field())
                    @if let Some((name, label)) = self.asks {
                        label { (label) textarea name=(name) maxlength="500" required {} }
                    }
                    @for (name, value) in &self.fields { input type="hidden" name=(name) value=(value); }
                    div.row {
                        button type="submit" class=(if self.is_grave { "danger" } else { "primary" }) { (self.yes) }
                        a.button href=(self.back) { "Back" }
                    }
                }
            }
        };
        chrome.page(&self.title, self.section, &content)
    }
}

/// Why something was refused: every rule that failed, and what to do next.
#[must_use]
pub fn problem(chrome: Option<&Chrome>, problem: &wire::Problem) -> Markup {
    let title = match problem.status {
        403 => "Not for you",
        404 => "There is no such thing",
        409 => "The law does not let this happen now",
        429 | 503 => "Come again in a moment",
        _ => "This could not be done",
    };
    let content = html! {
        section.card.narrow {
            h1 { (title) }
            @for reason in &problem.reasons {
                div.notice.is-bad role="alert" {
                    p { (reason.detail) }
                    p.small.muted { (rule(&reason.rule)) " " code { (reason.code) } }
                }
                @if !reason.hint.is_empty() { p { strong { "What to do: " } (reason.hint) "." } }
            }
            p { a href="/" { "To the dashboard" } }
        }
    };
    match chrome {
        Some(chrome) => chrome.page(title, None, &content),
        None => bare(title, &content),
    }
}
