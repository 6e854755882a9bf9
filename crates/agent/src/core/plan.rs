//! What to do next, and what follows from how it went. [`plan`] and [`conclude`] are all the agent decides about an
//! upgrade; whoever drives them journals each event before asking again.
//!
//! Never interrupts an attempt that the plane was told of: from then on it ends in success or in going back.

use governance::window::{Closed, may_install};
use governance::{Span, Timestamp, Version, Window};
use proof::OfferAction;

use super::journal::{Attempt, Event, Journal, Step};

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two health checks of an attempt.
    pub health_every: Span,
    /// From binding until the new version must have shown itself.
    pub start_within: Span,
    /// How long it must stay healthy before success is reported (`health.stable_for`).
    pub stable_for: Span,
    /// How often going back is tried before it is reported as failed.
    pub rollback_tries_max: u32,
}

/// What the last directive offers, weighed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Weighed {
    /// Nothing is known yet: the agent has just started, or what was signed could not be fetched.
    #[default]
    NotYet,
    /// Nothing is offered, or nothing that is followed.
    Nothing,
    /// This is offered and accepted.
    Accepted(Attempt),
}

impl Weighed {
    /// What is offered and accepted.
    #[must_use]
    pub const fn accepted(&self) -> Option<&Attempt> {
        match self {
            Self::Accepted(attempt) => Some(attempt),
            Self::NotYet | Self::Nothing => None,
        }
    }
}

/// An act upon the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Fetch the package and verify length and digest. May be repeated.
    Download,
    /// Tell the plane that the attempt begins. May be repeated.
    Begin,
    /// Switch to the new slot and run the bind hook. Never repeated.
    Bind,
    /// Ask the health hook which version runs.
    CheckHealth,
    /// Tell the plane that the new version runs. May be repeated.
    ReportSuccess,
    /// Switch back, run the rollback hook, see the earlier version run. May be repeated.
    RollBack,
    /// Tell the plane that the attempt failed and why. May be repeated.
    ReportFailure,
}

/// What the agent does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing, until another directive comes.
    Rest,
    /// Nothing, until the deployment window opens (RO-7).
    Wait(Closed),
    /// Journal this, then ask again.
    Record(Event),
    /// Do this, and give the outcome to [`conclude`].
    Do(Effect, Attempt),
}

/// How an effect went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Done,
    /// The health hook is content and named this version.
    Running(Version),
    /// It did not work.
    Failed(String),
    /// The plane answered no, for good.
    Refused(String),
    /// Nobody answered, or not now: the same again later.
    Unreachable(String),
}

/// What follows from an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Journal this, then ask [`plan`] again.
    Record(Event),
    /// Ask again after this time.
    Wait(Span),
    /// Ask again with growing patience; nothing is lost meanwhile.
    Retry(String),
}

/// What to do next. `window` is the deployment window that is open or opens next, if there are any.
///
/// The wait for a window is no state of its own: it follows from what is on offer, and so outlives every restart and
/// ends when the offer does.
#[must_use]
pub fn plan(journal: &Journal, offer: &Weighed, window: Option<Window>, now: Timestamp) -> Action {
    let Some(upgrade) = &journal.upgrade else {
        let accepted = offer.accepted();
        return accepted.map_or(Action::Rest, |attempt| Action::Do(Effect::Download, attempt.clone()));
    };
    let effect = match upgrade.at {
        Step::Downloaded => match offer {
            Weighed::NotYet => return Action::Rest,
            Weighed::Accepted(attempt) if *attempt == upgrade.attempt => {
                match may_begin(attempt, window, now) {
                    Ok(()) => Effect::Begin,
                    Err(closed) => return Action::Wait(closed),
                }
            }
            // Another directive asks for the same: what is here is not fetched again.
            Weighed::Accepted(attempt) if attempt.asks_the_same(&upgrade.attempt) => {
                return Action::Record(Event::Downloaded(attempt.clone()));
            }
            Weighed::Accepted(_) | Weighed::Nothing => return Action::Record(Event::Withdrawn),
        },
        Step::Began => return Action::Record(Event::BindingBegun),
        Step::Binding => Effect::Bind,
        Step::Interrupted | Step::Bound { .. } | Step::Healthy { .. } => Effect::CheckHealth,
        Step::Proven => Effect::ReportSuccess,
        Step::RollingBack { .. } => Effect::RollBack,
        Step::RolledBack { .. } => Effect::ReportFailure,
    };
    Action::Do(effect, upgrade.attempt.clone())
}

/// Whether the attempt may begin now (RO-7). What a suspended instance lacks is overdue already (LC-19).
fn may_begin(attempt: &Attempt, window: Option<Window>, now: Timestamp) -> Result<(), Closed> {
    let action = match attempt.action {
        OfferAction::Update => governance::Action::Update,
        OfferAction::Rollback => governance::Action::Rollback,
        OfferAction::Remediation => return Ok(()),
    };
    may_install(action, window, attempt.deadline, now)
}

/// What follows from the outcome of the effect that [`plan`] asked for.
#[must_use]
pub fn conclude(
    journal: &Journal,
    effect: Effect,
    attempt: &Attempt,
    outcome: Outcome,
    timing: &Timing,
    now: Timestamp,
) -> Conclusion {
    match (effect, outcome) {
        (Effect::CheckHealth, outcome) => judge_health(journal, attempt, &outcome, timing, now),
        (Effect::RollBack, Outcome::Done) => Conclusion::Record(Event::RolledBack { clean: true }),
        (Effect::RollBack, _) => rollback_failed(journal, timing),
        (Effect::Bind, Outcome::Done) => Conclusion::Record(Event::Bound(now)),
        (Effect::Bind, outcome) => {
            Conclusion::Record(Event::RollbackBegun(format!("bind failed: {}", told(outcome))))
        }
        (Effect::Download, Outcome::Done) => Conclusion::Record(Event::Downloaded(attempt.clone())),
        (Effect::Begin, Outcome::Done) => Conclusion::Record(Event::Began),
        (Effect::Begin, Outcome::Refused(_)) => Conclusion::Record(Event::Withdrawn),
        // What runs is a fact, whatever the plane thinks of it: statements will tell.
        (Effect::ReportSuccess, Outcome::Done | Outcome::Refused(_)) => {
            Conclusion::Record(Event::SuccessReported)
        }
        (Effect::ReportFailure, Outcome::Done | Outcome::Refused(_)) => {
            Conclusion::Record(Event::FailureReported)
        }
        (_, outcome) => Conclusion::Retry(told(outcome)),
    }
}

fn judge_health(
    journal: &Journal,
    attempt: &Attempt,
    outcome: &Outcome,
    timing: &Timing,
    now: Timestamp,
) -> Conclusion {
    let right = matches!(outcome, Outcome::Running(version) if *version == attempt.release());
    let at = journal.upgrade.as_ref().map(|upgrade| &upgrade.at);
    match at {
        Some(Step::Interrupted) if right => Conclusion::Record(Event::Bound(now)),
        Some(Step::Interrupted) => Conclusion::Record(Event::RollbackBegun(format!(
            "the agent was stopped while binding, and {}",
            wrong(outcome)
        ))),
        Some(Step::Bound { .. }) if right => Conclusion::Record(Event::HealthSeen(now)),
        Some(Step::Bound { since }) if passed(*since, timing.start_within, now) => Conclusion::Record(
            Event::RollbackBegun(format!("not healthy within {}: {}", timing.start_within, wrong(outcome))),
        ),
        Some(Step::Healthy { since }) if right && passed(*since, timing.stable_for, now) => {
            Conclusion::Record(Event::Proven)
        }
        Some(Step::Healthy { .. }) if !right => {
            Conclusion::Record(Event::RollbackBegun(format!("health was lost: {}", wrong(outcome))))
        }
        _ => Conclusion::Wait(timing.health_every),
    }
}

/// Whether a length of time is over; a clock set back does not make it endless, nor one set far ahead endless either.
fn passed(since: Timestamp, length: Span, now: Timestamp) -> bool {
    now.since(since) >= length || since.since(now) > length
}

fn rollback_failed(journal: &Journal, timing: &Timing) -> Conclusion {
    let tries = match journal.upgrade.as_ref().map(|upgrade| &upgrade.at) {
        Some(Step::RollingBack { tries, .. }) => *tries,
        _ => 0,
    };
    if tries.saturating_add(1) >= timing.rollback_tries_max {
        Conclusion::Record(Event::RolledBack { clean: false })
    } else {
        Conclusion::Record(Event::RollbackFailed)
    }
}

fn wrong(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Running(version) => format!("{version} is what runs"),
        Outcome::Done => "the health check named no version".to_owned(),
        Outcome::Failed(why) | Outcome::Refused(why) | Outcome::Unreachable(why) => why.clone(),
    }
}

fn told(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done | Outcome::Running(_) => "an outcome out of place".to_owned(),
        Outcome::Failed(why) | Outcome::Refused(why) | Outcome::Unreachable(why) => why,
    }
}
