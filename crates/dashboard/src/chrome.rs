//! What every page shares: its head with the sections that are open to whoever reads, the red switch, and its foot.

use governance::{Person, PersonRole, Timestamp};
use maud::{DOCTYPE, Markup, html};

use crate::parts::{ago, rule};
use crate::{ICON, LIVE, STYLE};

/// How good what is said is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Neither.
    Plain,
    /// As it should be.
    Good,
    /// Under way.
    Accent,
    /// To be looked at.
    Warn,
    /// Wrong.
    Bad,
}

impl Tone {
    /// The word of the sheet for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Accent => "accent",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A part of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The instances.
    Fleet,
    /// The rollouts.
    Rollouts,
    /// The releases.
    Releases,
    /// The law in force.
    Constitution,
    /// What lies before the Founder.
    Escalations,
    /// The ledger.
    Ledger,
}

impl Section {
    /// All, in the order of the head.
    pub const ALL: &'static [Self] =
        &[Self::Fleet, Self::Rollouts, Self::Releases, Self::Constitution, Self::Escalations, Self::Ledger];

    /// Where it is.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Fleet => "/fleet",
            Self::Rollouts => "/rollouts",
            Self::Releases => "/releases",
            Self::Constitution => "/constitution",
            Self::Escalations => "/escalations",
            Self::Ledger => "/ledger",
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fleet => "Fleet",
            Self::Rollouts => "Rollouts",
            Self::Releases => "Releases",
            Self::Constitution => "Constitution",
            Self::Escalations => "Escalations",
            Self::Ledger => "Ledger",
        }
    }
}

/// Who turned the red switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why, as he said.
    pub reason: Option<String>,
    /// The entry's position in the ledger.
    pub position: u64,
}

/// The red switch as every page shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Red {
    /// Whether every offer stops.
    pub on: bool,
    /// When it was turned on, by whom and why, where that was found on record.
    pub turned: Option<Turned>,
    /// Whether whoever reads may turn it.
    pub may_turn: bool,
}

/// Something that is said once on top of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How good it is.
    pub tone: Tone,
    /// What.
    pub says: String,
}

/// What every page needs.
#[derive(Clone, Debug)]
pub struct Chrome {
    /// The federation's name.
    pub federation: String,
    /// Who reads.
    pub person: Person,
    /// The present instant.
    pub now: Timestamp,
    /// What is open to him.
    pub sections: Vec<Section>,
    /// Matters before the Founder, where he may read them.
    pub escalations: usize,
    /// The red switch.
    pub red: Red,
    /// What each form of this session carries.
    pub token: String,
    /// What is said once.
    pub notice: Option<Notice>,
    /// Whether the page keeps itself up to date: not what answers a form, which nobody can ask for again.
    pub live: bool,
}

impl Chrome {
    /// A whole page.
    #[must_use]
    pub fn page(&self, title: &str, here: Option<Section>, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                (head(&format!("{title} · {}", self.federation), self.live))
                body data-live=[self.live.then_some("1")] {
                    a.skip href="#content" { "Skip to the content" }
                    header.top {
                        (self.bar(here))
                        div id="part-red" data-part="the red switch" { (self.alarm()) }
                    }
                    main #content tabindex="-1" {
                        @if let Some(Notice { tone, says }) = &self.notice {
                            div.notice.(format!("is-{}", tone.as_str())) role="status" { (says) }
                        }
                        (content)
                    }
                    (self.foot())
                    p.hidden id="said" aria-live="polite" {}
                }
            }
        }
    }

    fn bar(&self, here: Option<Section>) -> Markup {
        html! {
            div.top-in {
                a.brand href="/" {
                    (mark())
                    span { "Federation Plane" br; span.where { (self.federation) } }
                }
                nav.nav aria-label="Sections" {
                    @for section in &self.sections {
                        a href=(section.path()) aria-current=[(here == Some(*section)).then_some("page")] {
                            (section.name())
                            @if *section == Section::Escalations && self.escalations > 0 {
                                span.count { (self.escalations) span.hidden { " open" } }
                            }
                        }
                    }
                }
                div.who {
                    @if self.red.may_turn && !self.red.on {
                        a.red-door href="/red-switch" {
                            svg viewBox="0 0 12 12" aria-hidden="true" { rect x="1" y="1" width="10" height="10" rx="2" {} }
                            "Red switch"
                        }
                    }
                    span.person { (self.person) }
                    form method="post" action="/sign-out" {
                        (self.token_field())
                        button.plain type="submit" { "Sign out" }
                    }
                }
            }
        }
    }

    /// Says, on every page, that no offer leaves the plane.
    fn alarm(&self) -> Markup {
        html! {
            @if self.red.on {
                div.alarm role="alert" {
                    div.alarm-in {
                        strong { "The red switch is on: no offer leaves the plane." }
                        @if let Some(Turned { at, by, reason, position }) = &self.red.turned {
                            @if let Some(reason) = reason { span.why-red { "“" (reason) "”" } }
                            span {
                                "Turned on " (ago(*at, self.now)) " by " (by) " · "
                                @if self.sections.contains(&Section::Ledger) {
                                    a href=(format!("/ledger/{position}")) { "ledger entry " (position) }
                                } @else {
                                    "ledger entry " (position)
                                }
                            }
                        }
                        @if self.red.may_turn { a.button href="/red-switch" { "Turn it off…" } }
                    }
                }
            }
        }
    }

    fn foot(&self) -> Markup {
        html! {
            footer.foot {
                span.live id="live" { "as of the time below" }
                span id="part-now" data-part="" { (crate::words::instant(self.now)) }
                span { "Read as " (role_name(self.person.role())) }
                span { "Every decision stands in the ledger " (rule("LG-1")) }
            }
        }
    }

    /// What a form carries, so that it can only come from a page of this session.
    #[must_use]
    pub fn token_field(&self) -> Markup {
        html! { input type="hidden" name="token" value=(self.token); }
    }
}

fn role_name(role: PersonRole) -> &'static str {
    match role {
        PersonRole::Operator => "an operator",
        PersonRole::Provider => "a provider: your own instances alone",
        PersonRole::Auditor => "an auditor: nothing can be changed",
        PersonRole::Billing => "billing",
        PersonRole::FounderSigner => "a signer of the Founder",
    }
}

fn mark() -> Markup {
    html! {
        svg viewBox="0 0 24 24" aria-hidden="true" {
            circle.mark-a cx="12" cy="12" r="4" {}
            circle.mark-b cx="12" cy="12" r="9" stroke-dasharray="11 3.1" {}
        }
    }
}

/// What tells a newer file from an older one under the same name.
#[must_use]
pub(crate) fn version_of(text: &str) -> String {
    governance::Digest::of(text.as_bytes()).to_string().chars().take(16).collect()
}

fn head(title: &str, live: bool) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) }
            link rel="icon" href=(format!("/icon.svg?{}", version_of(ICON))) type="image/svg+xml";
            link rel="stylesheet" href=(format!("/style.css?{}", version_of(STYLE)));
            @if live { script src=(format!("/live.js?{}", version_of(LIVE))) defer {} }
        }
    }
}

/// A page for whoever is not signed in.
#[must_use]
pub(crate) fn bare(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, false))
            body {
                header.top { div.top-in { span.brand { (mark()) "Federation Plane" } } }
                main #content { (content) }
            }
        }
    }
}
