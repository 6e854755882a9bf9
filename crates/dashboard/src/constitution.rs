//! The law in force, parameter by parameter, and how it came to be: every amendment with what it changed.

use governance::constitution::PARAMETERS;
use governance::{Constitution, ConstitutionDocument, Digest, Timestamp};
use maud::{Markup, html};

use crate::chrome::{Chrome, Section, Tone};
use crate::parts::{part, rule, scroll, tag, when};
use crate::words::counted;

/// The families of rules that parameters belong to, with the sections of the law.
const FAMILIES: &[(&str, &str)] = &[
    ("LC", "Lifecycle"),
    ("HS", "Handshake"),
    ("RL", "Releases"),
    ("RO", "Rollouts"),
    ("CO", "Compliance"),
    ("EN", "Entitlement"),
];

/// What the page shows.
#[derive(Clone, Debug)]
pub struct Law {
    /// The law in force.
    pub law: Constitution,
    /// Its document's digest.
    pub digest: Option<Digest>,
    /// Documents that are to come into force, in the order of their dates.
    pub to_come: Vec<(Digest, ConstitutionDocument)>,
    /// Documents that were in force, the one that is first; as far as they are kept.
    pub history: Vec<(Digest, ConstitutionDocument)>,
}

/// A parameter's value in two laws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The parameter.
    pub name: &'static str,
    /// Its rule.
    pub rule: &'static str,
    /// What it was.
    pub old: String,
    /// What it is.
    pub new: String,
}

/// A parameter's value as it is written in the constitution.
fn value_of(values: &serde_json::Value, name: &str) -> String {
    match values.get(name) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Array(items)) if items.is_empty() => "none".to_owned(),
        Some(serde_json::Value::Array(items)) => {
            let words: Vec<&str> = items.iter().filter_map(serde_json::Value::as_str).collect();
            words.join(", ")
        }
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

fn values(law: &Constitution) -> serde_json::Value {
    serde_json::to_value(law).unwrap_or_default()
}

/// What differs between two laws, in the order of the law.
#[must_use]
pub fn changes(old: &Constitution, new: &Constitution) -> Vec<Change> {
    let (old, new) = (values(old), values(new));
    let change = |parameter: &governance::constitution::Parameter| {
        let (old, new) = (value_of(&old, parameter.name), value_of(&new, parameter.name));
        (old != new).then_some(Change { name: parameter.name, rule: parameter.rule, old, new })
    };
    PARAMETERS.iter().filter_map(change).collect()
}

impl Law {
    /// The page.
    #[must_use]
    pub fn page(&self, chrome: &Chrome) -> Markup {
        let changed = changes(&Constitution::default(), &self.law).len() as u64;
        let content = html! {
            div.title {
                h1 { "Constitution" }
                span.muted { "in force, signed by the Founder " (rule("FO-5")) }
            }
            (part("law", "the law", &html! {
                div.cards {
                    @for (digest, document) in &self.to_come { (self.coming(digest, document, chrome.now)) }
                    section.card aria-labelledby="h-law" {
                        header {
                            h2 #h-law { "Parameter by parameter" }
                            span.aside { (counted(changed, "parameter")) " of " (PARAMETERS.len()) " " (if changed == 1 { "differs" } else { "differ" }) " from the founding document" }
                        }
                        @if let Some(digest) = &self.digest { p.small.muted.wide { "Digest " span.mono { (digest) } } }
                        (self.parameters())
                    }
                    section.card aria-labelledby="h-history" { (self.amendments(chrome.now)) }
                }
            }))
        };
        chrome.page("Constitution", Some(Section::Constitution), &content)
    }

    fn parameters(&self) -> Markup {
        let (found, default) = (values(&self.law), values(&Constitution::default()));
        let family = |rule: &str| rule.split_once('-').map_or(rule, |(family, _)| family).to_owned();
        html! {
            (scroll("Parameters of the law", &html! {
                table {
                    thead { tr { th scope="col" { "Parameter" } th scope="col" { "Value" } th scope="col" { "What it is" } th scope="col" { "Rule" } } }
                    @for (name, section) in FAMILIES {
                        tbody {
                            tr { th colspan="4" scope="rowgroup" { (section) } }
                            @for parameter in PARAMETERS.iter().filter(|parameter| family(parameter.rule) == *name) {
                                @let (value, founding) = (value_of(&found, parameter.name), value_of(&default, parameter.name));
                                tr {
                                    td.mono { (parameter.name) }
                                    td.nowrap {
                                        strong { (value) }
                                        @if value != founding { " " (tag(Tone::Accent, "changed")) span.sub { "founding: " (founding) } }
                                    }
                                    td.wide { (parameter.about) "." }
                                    td { (rule(parameter.rule)) }
                                }
                            }
                        }
                    }
                }
            }))
        }
    }

    fn coming(&self, digest: &Digest, document: &ConstitutionDocument, now: Timestamp) -> Markup {
        html! {
            section.card {
                header { h2 { "An amendment comes into force" } span.aside { (when(document.effective, now)) } }
                p.small.muted.wide.mono { (digest) }
                (diff(&changes(&self.law, &document.parameters)))
            }
        }
    }

    fn amendments(&self, now: Timestamp) -> Markup {
        html! {
            header { h2 #h-history { "Amendments" } span.aside { (counted(self.history.len().saturating_sub(1) as u64, "amendment")) } }
            ul.answers {
                @for (index, (digest, document)) in self.history.iter().enumerate() {
                    li {
                        div.head {
                            strong { @if document.previous.is_none() { "The first constitution" } @else { "Amendment" } }
                            @if index == 0 { (tag(Tone::Good, "in force")) }
                            span.when { "since " (when(document.effective, now)) }
                        }
                        p.small.muted.mono.wide { (digest) }
                        @match self.history.get(index + 1) {
                            Some((_, before)) => { (diff(&changes(&before.parameters, &document.parameters))) }
                            None if document.previous.is_none() => {
                                @let first = changes(&Constitution::default(), &document.parameters);
                                @if first.is_empty() { p { "The founding document, as it is." } } @else {
                                    details {
                                        summary { (counted(first.len() as u64, "parameter")) " other than in the founding document" }
                                        (diff(&first))
                                    }
                                }
                            }
                            None => { p.muted { "What it replaced is not kept here." } }
                        }
                    }
                }
            }
        }
    }
}

fn diff(changes: &[Change]) -> Markup {
    html! {
        @if changes.is_empty() { p.muted { "No parameter changes." } } @else {
            div.wide {
                table.diff {
                    thead { tr { th scope="col" { "Parameter" } th scope="col" { "Was" } th scope="col" { "Is" } th scope="col" { "Rule" } } }
                    tbody {
                        @for change in changes {
                            tr { td.mono { (change.name) } td.old { (change.old) } td.new { (change.new) } td { (rule(change.rule)) } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::Span;

    #[test]
    fn fo_5_what_differs_is_named_as_it_is_written() {
        let old = Constitution::default();
        let new =
            Constitution { security_deadline: Span::hours(6), standing_orders: Vec::new(), ..old.clone() };
        assert_eq!(changes(&old, &old), []);
        let found = changes(&old, &new);
        let said: Vec<_> = found.iter().map(|one| (one.name, one.old.as_str(), one.new.as_str())).collect();
        assert_eq!(
            said,
            [
                ("security.deadline", "1d", "6h"),
                ("standing_orders", "drift-freeze, unauthorised-fork", "none")
            ]
        );
    }

    #[test]
    fn every_parameter_has_a_family_on_the_page() {
        for parameter in PARAMETERS {
            let family = parameter.rule.split_once('-').map_or(parameter.rule, |(family, _)| family);
            assert!(FAMILIES.iter().any(|(name, _)| *name == family), "{}", parameter.name);
        }
    }
}
