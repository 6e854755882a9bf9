//! Rollouts: the list, and one as a timeline of its phases with what counts in each and the verdict in words.

use governance::constitution::Share;
use governance::rollout::{HOLDING_APPROVAL, HOLDING_EVIDENCE, OpenPhase, PauseCause, PhaseCount};
use governance::{Class, Constitution, Counts, Phase, Rollout as Record, RolloutStatus, Span, Timestamp};
use maud::{Markup, html};

use crate::chart;
use crate::chrome::{Chrome, Section, Tone};
use crate::parts::{self, ago, facts, part, release, rule, scroll, tag};
use crate::words::{counted, length, number, percent, spaced};

/// A rollout as it stands.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// As it is on record.
    pub record: Record,
    /// Its sums over the fleet; none while they are reckoned, and of one that is watched no more.
    pub counts: Option<Counts>,
    /// How long the open phase has run, stops and freezes left out (RO-6).
    pub ran: Span,
    /// Whether a freeze holds.
    pub is_frozen: bool,
    /// Whether the red switch is on.
    pub red: bool,
    /// The security release of its line that goes first, if one does (RO-8).
    pub behind: Option<governance::Version>,
    /// Whether whoever reads may steer it.
    pub may_steer: bool,
}

/// What is planned for a phase that has not opened.
struct Planned {
    share: Share,
    duration: Option<Span>,
    bound: Share,
}

fn planned(phase: Phase, law: &Constitution) -> Planned {
    let (share, duration, bound) = match phase {
        Phase::Canary => {
            (law.rollout_canary_share, Some(law.rollout_canary_duration), law.rollout_canary_failure_bound)
        }
        Phase::Beta => {
            (law.rollout_beta_share, Some(law.rollout_beta_duration), law.rollout_beta_failure_bound)
        }
        Phase::Ga => (Share::from_millionths(1_000_000), None, law.rollout_ga_failure_bound),
    };
    Planned { share, duration, bound }
}

/// A share in per cent.
#[must_use]
pub fn share(share: Share) -> String {
    let text = share.of_rounded_down(10_000);
    match (text / 100, text % 100) {
        (whole, 0) => format!("{whole} %"),
        (whole, part) if part % 10 == 0 => format!("{whole}.{} %", part / 10),
        (whole, part) => format!("{whole}.{part:02} %"),
    }
}

impl Rollout {
    fn count(&self, phase: Phase) -> Option<PhaseCount> {
        self.counts.map(|counts| counts.phase(phase))
    }

    /// Sums over all phases.
    fn total(&self) -> Option<PhaseCount> {
        let counts = self.counts?;
        let sum =
            |read: fn(&PhaseCount) -> u64| Phase::ALL.iter().map(|phase| read(&counts.phase(*phase))).sum();
        Some(PhaseCount {
            cohort: sum(|count| count.cohort),
            reached: sum(|count| count.reached),
            finished: sum(|count| count.finished),
            failed: sum(|count| count.failed),
            failing: sum(|count| count.failing),
        })
    }

    fn state(&self) -> Markup {
        let record = &self.record;
        parts::rollout_state(record.status, record.paused.is_some(), record.shown())
    }

    /// How long the open phase runs on, if time alone is in question.
    fn left(&self) -> Option<Span> {
        let duration = self.record.phase()?.duration?;
        (self.record.status == RolloutStatus::Running && self.ran < duration).then(|| duration - self.ran)
    }

    /// Where it stands and what must happen next, in words; and how good that is.
    #[must_use]
    pub fn verdict(&self) -> (Tone, String) {
        let record = &self.record;
        if self.red && record.is_open() {
            return (
                Tone::Bad,
                "The red switch is on: nobody is offered it, and its time stands still.".into(),
            );
        }
        match (record.paused, record.status) {
            (Some(PauseCause::Operator), _) => {
                (Tone::Warn, "An operator paused it: nobody is offered it, and its time stands still until it is resumed.".into())
            }
            (Some(PauseCause::FailureBound), _) => {
                (Tone::Bad, "Too many attempts at this security release failed: its offers are paused until an order of the Founder resumes it.".into())
            }
            (None, RolloutStatus::Queued) => (Tone::Accent, self.waits()),
            (None, RolloutStatus::Running) => self.runs(),
            (None, RolloutStatus::Done) => {
                (Tone::Good, "Through: everybody for whom it is has been offered it, and whoever becomes eligible is offered it at once.".into())
            }
            (None, RolloutStatus::Halted) => {
                let failed = self.total().map_or_else(
                    || "too many attempts failed".to_owned(),
                    |total| format!("{} of {} attempts failed", number(total.failed), number(total.finished)),
                );
                (Tone::Bad, format!("Halted: {failed}. Its offers are withdrawn, and whoever installed it is directed back."))
            }
            (None, RolloutStatus::Aborted) => (Tone::Plain, "An operator ended it where it stood.".into()),
            (None, RolloutStatus::Withdrawn) => (Tone::Plain, "Its release was withdrawn.".into()),
            (None, RolloutStatus::Superseded) => {
                (Tone::Plain, "A newer release of the line took its place: it adds nobody any more.".into())
            }
        }
    }

    fn waits(&self) -> String {
        match self.behind {
            Some(release) => format!("It waits until the rollout of security release {release} is through."),
            None if self.record.holding.as_deref() == Some(HOLDING_APPROVAL) => {
                "Its first phase waits for an operator's approval.".into()
            }
            None if self.is_frozen => "A freeze holds: its first phase opens behind it.".into(),
            None => "Its first phase opens at the next sweep.".into(),
        }
    }

    fn runs(&self) -> (Tone, String) {
        let Some(open) = self.record.phase() else { return (Tone::Accent, self.waits()) };
        let (phase, next) = (open.phase, next_of(open.phase));
        let needed = |count: PhaseCount| open.evidence.of_rounded_up(count.cohort);
        let count = self.count(phase);
        match self.record.holding.as_deref() {
            Some(HOLDING_APPROVAL) => {
                let next = next.map_or("the next phase", Phase::as_str);
                (
                    Tone::Warn,
                    format!(
                        "The time of {phase} is up and its evidence is there: {next} waits for an operator's approval."
                    ),
                )
            }
            Some(HOLDING_EVIDENCE) => {
                let said = count.map_or_else(String::new, |count| {
                    format!(
                        ": {} of the {} instances that must have finished did",
                        number(count.reached),
                        number(needed(count))
                    )
                });
                (Tone::Warn, format!("The time of {phase} is up, and it holds for want of evidence{said}."))
            }
            _ => {
                let frozen =
                    if self.is_frozen { " A freeze holds: no further phase opens inside it." } else { "" };
                let then = next.map_or_else(|| "it is through".to_owned(), |next| format!("{next} opens"));
                let evidence = count.map_or_else(String::new, |count| {
                    format!(
                        " once {} of {} inside have finished",
                        number(needed(count)),
                        number(count.cohort)
                    )
                });
                let said = match self.left() {
                    Some(left) => format!(
                        "{phase} runs for another {}; then {then}{evidence}, unless more than {} of the attempts fail.",
                        length(left),
                        share(open.failure_bound)
                    ),
                    None => format!(
                        "{phase} runs: {then}{evidence}, unless more than {} of the attempts fail.",
                        share(open.failure_bound)
                    ),
                };
                (Tone::Accent, said + frozen)
            }
        }
    }

    /// The page.
    #[must_use]
    pub fn page(&self, chrome: &Chrome, law: &Constitution, notes: &str) -> Markup {
        let record = &self.record;
        let (tone, says) = self.verdict();
        let title = format!("Rollout of {}", record.release);
        let content = html! {
            div {
                p.crumbs { a href="/rollouts" { "Rollouts" } }
                (part("head", "where the rollout stands", &html! {
                    div.title {
                        h1 { (title) }
                        (self.state())
                        @if self.may_steer { (self.actions()) }
                    }
                    p.lead { (record.class) " release, made " (ago(record.opened, chrome.now)) " · " (release(record.release)) }
                }))
            }
            (part("rollout", "the rollout", &html! {
                div.notice.verdict.(format!("is-{}", tone.as_str())) role="status" { p { (says) } }
                @for escalation in &record.escalations {
                    p.notice.is-bad { strong { "Before the Founder " (rule(&escalation.rule)) ": " } (escalation.facts) " · since " (ago(escalation.since, chrome.now)) }
                }
                section.card aria-labelledby="h-phases" {
                    header { h2 #h-phases { "Phases" } span.aside { (self.counted_as()) } }
                    @let phases = phases_of(record);
                    ol.phases.is-one[phases.len() == 1] { @for phase in phases { (self.phase(phase, law, chrome.now)) } }
                }
                div.grid {
                    section.card.s6 aria-labelledby="h-whom" { (self.whom()) }
                    section.card.s6 aria-labelledby="h-notes" {
                        header { h2 #h-notes { "What it brings" } }
                        @if notes.is_empty() { p.empty { "The release has no notes." } } @else { p.wide { (notes) } }
                    }
                }
            }))
        };
        chrome.page(&title, Some(Section::Rollouts), &content)
    }

    fn counted_as(&self) -> Markup {
        html! {
            @match self.counts {
                Some(counts) if self.record.is_open() || counts.eligible() > 0 => { (counted(counts.eligible(), "instance")) " eligible now" }
                Some(_) => { "over" }
                None if self.record.is_open() => { "its sums are being reckoned" }
                None => { "over: its sums are not kept up any more" }
            }
        }
    }

    fn actions(&self) -> Markup {
        let (record, release) = (&self.record, self.record.release);
        let act = |verb: &str, word: &str, class: &str| html! { a.button.(class) href=(format!("/rollouts/{release}/{verb}")) { (word) "…" } };
        html! {
            div.actions {
                @if record.holding.as_deref() == Some(HOLDING_APPROVAL) && record.paused.is_none() && record.is_open() { (act("approve", "Approve", "primary")) }
                @if record.paused == Some(PauseCause::Operator) { (act("resume", "Resume", "primary")) }
                @if record.is_open() && record.paused.is_none() { (act("pause", "Pause", "")) }
                @if record.is_open() { (act("abort", "Abort", "")) }
            }
        }
    }

    fn phase(&self, phase: Phase, law: &Constitution, now: Timestamp) -> Markup {
        let open = self.record.phases.iter().find(|open| open.phase == phase);
        let is_last = self.record.phase().is_some_and(|last| last.phase == phase);
        let is_over = !self.record.is_open();
        let is_stopped = is_last
            && matches!(
                self.record.status,
                RolloutStatus::Halted | RolloutStatus::Aborted | RolloutStatus::Withdrawn
            );
        html! {
            li.phase.is-stopped[is_stopped].is-past[open.is_some() && (!is_last || is_over)].is-todo[open.is_none()] {
                svg.dot viewBox="0 0 18 18" aria-hidden="true" {
                    @match (open, is_last && !is_over) {
                        (Some(_), _) if is_stopped => { circle.f-bad cx="9" cy="9" r="8" {} path.k-tick d="M6 6 12 12M12 6 6 12" {} }
                        (Some(_), false) => { circle.f-accent cx="9" cy="9" r="8" {} path.k-tick d="M5 9.2 8 12l5-6" {} }
                        (Some(_), true) => { circle.k-accent cx="9" cy="9" r="7.5" {} circle.f-accent cx="9" cy="9" r="4" {} }
                        (None, _) => { circle.k-line cx="9" cy="9" r="7.5" {} }
                    }
                }
                h3 { (phase) @if is_last && !is_over { span.hidden { " (open)" } } }
                @match open {
                    Some(open) => { (self.opened(open, is_last && !is_over, now)) }
                    None => { (todo(&planned(phase, law), self.record.awaits_approval(phase))) }
                }
            }
        }
    }

    fn opened(&self, open: &OpenPhase, is_current: bool, now: Timestamp) -> Markup {
        html! {
            p.muted.small { "opened " (ago(open.opened, now)) ", " (number(open.cohort)) " of " (number(open.eligible)) " inside" }
            @if let Some(count) = self.count(open.phase) {
                @let good = count.finished.saturating_sub(count.failed);
                @let whole = count.cohort.max(count.finished);
                @let needed = open.evidence.of_rounded_up(count.cohort);
                div.meter.is-big { (chart::stacked(&[(good, Tone::Good), (count.failed, Tone::Bad)], whole, Some(needed).filter(|needed| (1..whole).contains(needed)))) }
                @let is_over = !self.record.is_open() && self.record.status != RolloutStatus::Done;
                (facts(&self.counted_in(open, count, is_over)))
                @if !is_over { (facts(&self.awaited_in(open, count, is_current))) }
            }
        }
    }

    /// What was counted in a phase. Who is inside of a rollout that has ended is nobody any more.
    fn counted_in(&self, open: &OpenPhase, count: PhaseCount, is_over: bool) -> Vec<(&'static str, Markup)> {
        let mut pairs = vec![
            ("Finished", html! { (counted(count.finished, "attempt")) }),
            (
                "Failed",
                html! {
                    (number(count.failed))
                    @if count.finished > 0 { " (" (percent(count.failed, count.finished)) ")" }
                    ", bound " (share(open.failure_bound)) " " (rule("RO-3"))
                },
            ),
        ];
        if !is_over {
            pairs.insert(0, ("Added here", html! { (counted(count.cohort, "instance")) }));
        }
        pairs
    }

    /// What a phase waits for.
    fn awaited_in(
        &self,
        open: &OpenPhase,
        count: PhaseCount,
        is_current: bool,
    ) -> Vec<(&'static str, Markup)> {
        let needed = open.evidence.of_rounded_up(count.cohort);
        vec![
            (
                "Evidence",
                html! {
                    (number(count.reached)) " finished, " (number(needed)) " needed "
                    @if count.reached >= needed { (tag(Tone::Good, "there")) } @else { (tag(Tone::Plain, "not yet")) }
                    " " (rule("RO-4"))
                },
            ),
            (
                "Time left",
                html! {
                    @match (is_current, open.duration, self.left()) {
                        (false, _, _) => { "over" }
                        (true, None, _) => { "as long as it takes" }
                        (true, Some(_), Some(left)) => { (parts::length(left)) @if self.record.is_stopped() || self.red { ", standing still" } }
                        (true, Some(_), None) => { "up" }
                    }
                },
            ),
        ]
    }

    fn whom(&self) -> Markup {
        let only = &self.record.restriction;
        let list = |items: Vec<String>| {
            html! {
                @if items.is_empty() { span.muted { "everybody" } }
                @for item in items { (tag(Tone::Plain, &item)) " " }
            }
        };
        html! {
            header { h2 #h-whom { "Whom it is for" } }
            (facts(&[
                ("Kinds", list(only.kind.iter().map(|word| spaced(word.as_str())).collect())),
                ("Tiers", list(only.tier.iter().map(ToString::to_string).collect())),
                ("Providers", list(only.provider.iter().map(ToString::to_string).collect())),
                ("Labels", list(only.label.iter().map(ToString::to_string).collect())),
                ("Approvals", html! {
                    @if self.record.approval.is_empty() { span.muted { "none asked for" } }
                    @for phase in &self.record.approval {
                        (phase) " " @if self.record.approved.contains(phase) { (tag(Tone::Good, "approved")) } @else { (tag(Tone::Warn, "waits")) } " "
                    }
                }),
                ("Id", html! { span.mono.small { (self.record.id) } }),
            ]))
        }
    }
}

fn next_of(phase: Phase) -> Option<Phase> {
    match phase {
        Phase::Canary => Some(Phase::Beta),
        Phase::Beta => Some(Phase::Ga),
        Phase::Ga => None,
    }
}

/// The phases it goes through: a security release goes to everybody at once (RO-5).
fn phases_of(record: &Record) -> Vec<Phase> {
    match record.class {
        Class::Security => vec![Phase::Ga],
        _ => Phase::ALL.to_vec(),
    }
}

fn todo(planned: &Planned, waits: bool) -> Markup {
    html! {
        p.muted.small {
            (share(planned.share)) " of the eligible"
            @if let Some(duration) = planned.duration { ", for " (length(duration)) }
            ", bound " (share(planned.bound))
        }
        @if waits { p { (tag(Tone::Warn, "asks for an approval")) } }
    }
}

/// The list of all rollouts, the newest first.
#[must_use]
pub fn list(chrome: &Chrome, rollouts: &[Rollout]) -> Markup {
    let (open, over): (Vec<_>, Vec<_>) = rollouts.iter().partition(|rollout| rollout.record.is_open());
    let content = html! {
        div.title { h1 { "Rollouts" } span.muted { (counted(rollouts.len() as u64, "rollout")) } }
        (part("rollouts", "the rollouts", &html! {
            div.cards {
                @if open.is_empty() { section.card { p.muted { "No rollout is open: nothing is on its way." } } }
                @for rollout in open { (card(rollout, chrome.now)) }
                @if !over.is_empty() { section.card aria-labelledby="h-over" { (table(&over, chrome.now)) } }
            }
        }))
    };
    chrome.page("Rollouts", Some(Section::Rollouts), &content)
}

fn card(rollout: &Rollout, now: Timestamp) -> Markup {
    let record = &rollout.record;
    let (tone, says) = rollout.verdict();
    html! {
        section.card {
            header {
                h2 { a href=(format!("/rollouts/{}", record.release)) { (record.release) } }
                span.muted { (record.class) }
                (rollout.state())
                span.aside { "made " (ago(record.opened, now)) }
            }
            p { @if tone == Tone::Bad || tone == Tone::Warn { (tag(tone, if tone == Tone::Bad { "stopped" } else { "waits" })) " " } (says) }
            @if let Some(total) = rollout.total() {
                @let good = total.finished.saturating_sub(total.failed);
                @let whole = rollout.counts.map_or(0, |counts| counts.eligible()).max(total.finished);
                div.meter.is-big { (chart::stacked(&[(good, Tone::Good), (total.failed, Tone::Bad)], whole, None)) }
                p.small.muted {
                    (number(good)) " installed, " (number(total.failed)) " failed, " (number(total.cohort)) " inside, "
                    (number(whole)) " eligible"
                }
            }
        }
    }
}

fn table(over: &[&Rollout], now: Timestamp) -> Markup {
    html! {
        header { h2 #h-over { "Those that are over" } }
        (scroll("Rollouts that are over", &html! {
            table {
                thead { tr {
                    th scope="col" { "Release" } th scope="col" { "Class" } th scope="col" { "Stands" } th scope="col" { "Reached" }
                    th scope="col" { span.hidden { "Installed and failed, as a bar" } } th scope="col" { "Installed" } th scope="col" { "Failed" } th scope="col" { "Made" }
                } }
                tbody {
                    @for rollout in over {
                        tr {
                            td { a.mono href=(format!("/rollouts/{}", rollout.record.release)) { (rollout.record.release) } }
                            td { (rollout.record.class) }
                            td { (rollout.state()) }
                            td { @match rollout.record.phase() { Some(open) => { (open.phase) ", " (number(open.cohort)) " inside" } None => { span.muted { "no phase" } } } }
                            @match rollout.total() {
                                Some(total) => {
                                    @let good = total.finished.saturating_sub(total.failed);
                                    td.bar { (chart::stacked(&[(good, Tone::Good), (total.failed, Tone::Bad)], total.finished.max(total.cohort), None)) }
                                    td { (number(good)) }
                                    td { (number(total.failed)) }
                                }
                                None => { td.bar {} td { span.muted { "–" } } td { span.muted { "–" } } }
                            }
                            td { (ago(rollout.record.opened, now)) }
                        }
                    }
                }
            }
        }))
    }
}
