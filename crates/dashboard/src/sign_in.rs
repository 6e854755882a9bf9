//! The way in: what a one-time link shows, and what whoever has none is told.

use governance::Person;
use maud::{Markup, html};

use crate::chrome::bare;

/// What a link shows: following it does nothing yet, so that no preview of it spends it.
#[must_use]
pub fn offered(link: &str, person: &Person, federation: &str) -> Markup {
    bare(
        "Sign in",
        &html! {
            section.card.narrow {
                h1 { "Sign in as " (person) }
                p.lead { "to federation " strong { (federation) } "." }
                p { "This link works once. What you do here stands in the ledger under this name." }
                form method="post" action="/sign-in" {
                    input type="hidden" name="link" value=(link);
                    button.primary type="submit" autofocus { "Sign in" }
                }
                p.small.muted { "Somebody sent you this link? Then close this page: a link of your own says your own name." }
            }
        },
    )
}

/// Whoever has no session is told how to get one.
#[must_use]
pub fn asked(why: Option<&str>) -> Markup {
    bare(
        "Sign in",
        &html! {
            section.card.narrow {
                h1 { "Sign in" }
                @if let Some(why) = why { p.notice.is-warn role="status" { (why) } }
                p { "The dashboard knows you by your certificate. Where your key is, run:" }
                pre tabindex="0" { code { "fedplane dashboard link" } }
                p.muted { "It gives a link that works once, within five minutes. Who may see what is the same here as on the command line." }
            }
        },
    )
}
