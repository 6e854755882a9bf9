//! The small parts that pages are made of: times, badges, rules, tables, links.

use governance::{InstanceId, RolloutStatus, Span, State, Timestamp, Version};
use maud::{Markup, html};

use crate::Tone;
use crate::words;

/// An instant as its distance from now, with the instant itself at hand.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> Markup {
    html! { time.nowrap datetime=(at) title=(words::instant(at)) { (words::distance(at, now)) } }
}

/// An instant itself.
#[must_use]
pub fn instant(at: Timestamp) -> Markup {
    html! { time.nowrap datetime=(at) { (words::instant(at)) } }
}

/// Both: when, and how far that is.
#[must_use]
pub fn when(at: Timestamp, now: Timestamp) -> Markup {
    html! { (instant(at)) " " span.muted { "(" (words::distance(at, now)) ")" } }
}

/// A length of time.
#[must_use]
pub fn length(span: Span) -> Markup {
    html! { span.nowrap title=(span) { (words::length(span)) } }
}

/// A rule of the law.
#[must_use]
pub fn rule(id: &str) -> Markup {
    html! { span.rule { (id) } }
}

/// A word that says how good it is.
#[must_use]
pub fn tag(tone: Tone, text: &str) -> Markup {
    html! { span.tag.(format!("is-{}", tone.as_str())) { (text) } }
}

/// The shape of a tone: told apart without colour too.
fn shape(tone: Tone) -> Markup {
    html! {
        svg viewBox="0 0 12 12" aria-hidden="true" {
            @match tone {
                Tone::Good => { circle.f-good cx="6" cy="6" r="5" {} }
                Tone::Accent => { path.f-accent d="M6 1a5 5 0 0 1 0 10z" {} circle.k-accent cx="6" cy="6" r="5" {} }
                Tone::Warn => { path.f-warn d="M6 0.5 11.8 11H0.2z" {} }
                Tone::Bad => { rect.f-bad x="1" y="1" width="10" height="10" rx="1" {} }
                Tone::Plain => { circle.k-line cx="6" cy="6" r="4.5" {} }
            }
        }
    }
}

/// A state.
#[must_use]
pub fn state(state: State) -> Markup {
    html! { span.state { (shape(words::tone_of(state))) (words::spaced(state.as_str())) } }
}

/// Where a rollout stands, by the word that people read for it.
#[must_use]
pub fn rollout_state(status: RolloutStatus, is_paused: bool, shown: &str) -> Markup {
    html! { span.state { (shape(words::tone_of_rollout(status, is_paused))) (words::spaced(shown)) } }
}

/// A release, as a link to it.
#[must_use]
pub fn release(version: Version) -> Markup {
    html! { a.mono.nowrap href=(format!("/releases#v{version}")) { (version) } }
}

/// An instance, as a link to it: what people call it, and its id.
#[must_use]
pub fn instance(id: InstanceId, labels: &[governance::Label]) -> Markup {
    html! {
        a href=(format!("/instances/{id}")) {
            @match labels.first() {
                Some(label) => { (label) }
                None => { span.mono { (short(id)) } }
            }
        }
        @if labels.len() > 1 {
            " " span.muted.small { @for label in labels.iter().skip(1) { (label) " " } }
        }
        @if !labels.is_empty() { span.sub.mono { (short(id)) } }
    }
}

/// The first digits of an id, enough to tell it by eye.
#[must_use]
pub fn short(id: InstanceId) -> String {
    id.to_string().chars().take(13).collect()
}

/// A part of a page that is replaced by itself when something changed; `what` is read out then.
#[must_use]
pub fn part(id: &str, what: &str, content: &Markup) -> Markup {
    html! { div id=(format!("part-{id}")) data-part=(what) { (content) } }
}

/// A table that may be wider than the screen: it scrolls by itself, by keyboard too.
#[must_use]
pub fn scroll(label: &str, table: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(format!("Table: {label}")) tabindex="0" { (table) } }
}

/// Pairs of a word and what it is.
#[must_use]
pub fn facts(pairs: &[(&str, Markup)]) -> Markup {
    html! { dl.facts { @for (name, value) in pairs { dt { (name) } dd { (value) } } } }
}

/// A figure and what it counts.
#[must_use]
pub fn figure(count: u64, what: &str, is_bad: bool) -> Markup {
    html! {
        div.figure.is-bad[is_bad && count > 0] { b { (words::number(count)) } span { (what) } }
    }
}

/// A whole query of an address, its values escaped; what is empty is left out.
#[must_use]
pub fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut url = path.to_owned();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        url.push(if url.len() == path.len() { '?' } else { '&' });
        url.push_str(name);
        url.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                url.push(char::from(byte));
            } else {
                url.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    url
}

/// A choice among words, or all of them.
#[must_use]
pub fn select(name: &str, label: &str, chosen: &str, options: &[(String, String)]) -> Markup {
    html! {
        label {
            (label)
            select name=(name) {
                option value="" selected[chosen.is_empty()] { "all" }
                @for (value, text) in options {
                    option value=(value) selected[value == chosen] { (text) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped_and_leaves_out_what_is_empty() {
        assert_eq!(query("/fleet", &[]), "/fleet");
        assert_eq!(query("/fleet", &[("a", ""), ("b", "x y&<")]), "/fleet?b=x%20y%26%3C");
        assert_eq!(query("/fleet", &[("a", "1"), ("b", "2")]), "/fleet?a=1&b=2");
    }

    #[test]
    fn what_is_hostile_stays_text() {
        let hostile = "\"><script>alert(1)</script>";
        for markup in [tag(Tone::Bad, hostile), rule(hostile), part(hostile, hostile, &html! { (hostile) })] {
            let text = markup.into_string();
            assert!(!text.contains("<script>") && !text.contains("\"><"), "{text}");
        }
    }
}
