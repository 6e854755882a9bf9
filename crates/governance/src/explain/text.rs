//! The rule, the sentence and the advice of each answer, and an explanation as people read it.
//!
//! Never judges: it words what the analysis found.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::{Answer, Deadline, Dimension, Explanation, FindingExplained, ReleaseExplained, Standing, Why};
use crate::instance::Action;
use crate::release::Class;
use crate::rollout::PauseCause;
use crate::time::{Span, Timestamp};

/// A sentence begins with it where there is no advice but to wait.
const TIME: &str = "nothing but time";
/// Windows that end one behind the other until a release comes: a phase's, and freezes'.
const WINDOWS_MAX: i64 = 9;

impl Why {
    /// The rule it rests on.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Runs | Self::Older { .. } | Self::SkipsMajor { .. } | Self::NotFrom { .. } => "RL-6",
            // Whether it is installed now is for the deployment window to say.
            Self::OnOffer { action: Action::Update, .. } => "RO-7",
            Self::OnOffer { action: Action::Rollback, .. } | Self::Halted => "RO-3",
            Self::Installing { .. } | Self::AttemptUnderWay { .. } => "LC-5",
            Self::NotPublished => "RL-1",
            Self::BelowFloor => "RL-9",
            Self::Withdrawn | Self::Paused { by: PauseCause::FailureBound } => "RO-5",
            Self::NoRollout | Self::OutsidePhase { .. } => "RO-2",
            Self::Revoked | Self::Held | Self::Suspended => "LC-19",
            Self::NotDeployed => "LC-1",
            Self::HandshakeRequired => "LC-17",
            Self::RedSwitch
            | Self::Paused { by: PauseCause::Operator }
            | Self::Frozen { .. }
            | Self::Aborted
            | Self::AwaitingApproval { .. }
            | Self::Restricted { .. } => "RO-6",
            Self::Superseded { .. } | Self::QueuedBehind { .. } => "RO-8",
            Self::NotOpened => "RO-1",
            Self::HeldForEvidence { .. } => "RO-4",
            Self::RuntimeDoesNotFit { .. } => "RL-5",
            Self::FailedHere { .. } | Self::Left { .. } => "RO-9",
            Self::Overtaken { action: Action::Rollback, wished: false, .. } => "RO-3",
            Self::Overtaken { action: Action::Rollback, .. } => "RL-2",
            Self::Overtaken { .. } => "RO-8",
        }
    }

    /// The facts in a sentence, for the instance's people.
    #[must_use]
    pub fn says(&self) -> String {
        match self {
            Self::Runs => "the instance runs it".to_string(),
            Self::OnOffer { action, since, deadline } => {
                let due = deadline.map_or_else(String::new, |at| format!(", due {at}"));
                format!("{action} on offer since {since}{due}")
            }
            Self::Installing { begun, stalls } => {
                format!("being installed since {begun}; if not finished by {stalls} it counts as failed")
            }
            Self::NotPublished => "no release of this version was published".to_string(),
            Self::Withdrawn => "the release was withdrawn".to_string(),
            Self::Older { running } => format!("it is older than {running}, which runs"),
            Self::BelowFloor => "it lies below the security floor of its line".to_string(),
            Self::NoRollout => "it was released without a rollout".to_string(),
            Self::Revoked => "the instance is revoked: nothing is offered to it".to_string(),
            Self::NotDeployed => "the instance is registered, and its deployment is not complete".to_string(),
            Self::Held => {
                "the Founder suspended the instance: nothing but the cure of a finding is offered to it"
                    .to_string()
            }
            Self::HandshakeRequired => {
                "the instance was restored and has not shaken hands afresh".to_string()
            }
            Self::Suspended => {
                "the instance is suspended: only the release whose lack is a finding is offered to it"
                    .to_string()
            }
            Self::AttemptUnderWay { release, stalls } => {
                format!("{release} is being installed; if not finished by {stalls} it counts as failed")
            }
            other => other.says_of_the_rollout(),
        }
    }

    fn says_of_the_rollout(&self) -> String {
        match self {
            Self::RedSwitch => "the red switch stops every rollout".to_string(),
            Self::Paused { by: PauseCause::Operator } => "an operator paused the rollout".to_string(),
            Self::Paused { by: PauseCause::FailureBound } => {
                "too many attempts at this security release failed: its offers are paused".to_string()
            }
            Self::Frozen { until } => format!("no new offers are made until {until}, the end of a freeze"),
            Self::Halted => "too many attempts failed: the rollout was halted".to_string(),
            Self::Aborted => "an operator aborted the rollout".to_string(),
            Self::Superseded { by: Some(by) } => {
                format!("{by} took its place: the older rollout adds nobody any more")
            }
            Self::Superseded { by: None } => "a newer release took its place".to_string(),
            Self::QueuedBehind { release } => {
                format!("it waits until the rollout of security release {release} is through")
            }
            Self::NotOpened => "its first phase opens at the next sweep".to_string(),
            Self::AwaitingApproval { phase } => format!("phase {phase} waits for an operator's approval"),
            Self::HeldForEvidence { phase, finished: Some(finished), needed: Some(needed) } => {
                format!(
                    "the time of {phase} is up, and {finished} of the {needed} attempts that it needs have finished"
                )
            }
            Self::HeldForEvidence { phase, .. } => {
                format!("the time of {phase} is up, and too few attempts have finished")
            }
            Self::OutsidePhase { open, place, taken_in, counted, opens } => {
                let so_far =
                    open.map_or_else(|| "no phase is open yet".to_string(), |it| format!("outside of {it}"));
                let place = percent(*place);
                let by = if *counted { "" } else { ", by its place," };
                let from = opens.map_or_else(
                    || ", whose time stands still".to_string(),
                    |at| format!(", at the earliest {}", from_then_on(at)),
                );
                format!(
                    "{so_far}: its place is at {place} of the order, and{by} {taken_in} takes it in{from}"
                )
            }
            other => other.says_of_the_step(),
        }
    }

    fn says_of_the_step(&self) -> String {
        match self {
            Self::Restricted { dimension, only } => {
                format!("the rollout is for {dimension} {} only", only.join(", "))
            }
            Self::SkipsMajor { skipped } => {
                format!("the line of {skipped} lies between: no major version is skipped")
            }
            Self::NotFrom { running, from: Some(from) } => {
                let from: Vec<String> = from.iter().map(ToString::to_string).collect();
                format!("it may be applied over {} only, and {running} runs", from.join(", "))
            }
            Self::NotFrom { running, from: None } => {
                format!("it is of another line than {running}, and only a major release leads there")
            }
            Self::RuntimeDoesNotFit { runtime, range: Some(range) } => {
                format!("it runs on runtimes {range}, not on {runtime}")
            }
            Self::RuntimeDoesNotFit { runtime, range: None } => {
                format!("the runtime matrix has no row for its line, so not for {runtime}")
            }
            Self::FailedHere { times, at, until } => {
                let often = if *times == 1 { String::new() } else { format!(" {times} times, last") };
                format!("it failed here{often} at {at}, and is not offered again until {until} is past")
            }
            Self::Left { again } => format!("its owner went back from it; it is offered again at {again}"),
            Self::Overtaken { by, action, class, wished } => match (action, class) {
                (Action::Rollback, _) if *wished => {
                    format!("its owner asked to go back to {by}, which is on offer")
                }
                (Action::Rollback, _) => format!("the way back to {by} is on offer: what runs was halted"),
                (_, Some(Class::Security)) => format!("security release {by} is on offer, and goes first"),
                _ => format!("{by} is on offer, and comes first"),
            },
            // The others are worded above.
            _ => String::new(),
        }
    }

    /// What would have to change, in words.
    #[must_use]
    pub fn would_change(&self) -> String {
        match self {
            Self::Runs => "nothing: it is there".to_string(),
            Self::OnOffer { action: Action::Update, .. } => {
                "the instance installs it, in its own deployment window unless the deadline falls before"
                    .to_string()
            }
            Self::OnOffer { action: Action::Rollback, .. } => "the instance goes back to it".to_string(),
            Self::Installing { .. } => "the instance reports it as running".to_string(),
            Self::NotPublished => "the Organism publishes it".to_string(),
            Self::Withdrawn | Self::Halted | Self::Aborted => {
                "the Organism publishes a release that replaces it".to_string()
            }
            Self::Older { .. } => {
                "the owner asks to go back, if it ran before and its rollback window is open (RL-2)"
                    .to_string()
            }
            Self::BelowFloor => "nothing: no directive leads below a floor".to_string(),
            Self::NoRollout => "the Organism publishes a later release".to_string(),
            Self::Revoked => "the Founder restores the instance".to_string(),
            Self::NotDeployed => "the instance says that its deployment is complete".to_string(),
            Self::Held => "the Founder restores the instance".to_string(),
            Self::HandshakeRequired => "the instance renews its certificate".to_string(),
            Self::Suspended => {
                "subscription and audit are put in order, and an operator reactivates the instance"
                    .to_string()
            }
            Self::AttemptUnderWay { release, .. } => format!("the attempt at {release} ends"),
            Self::RedSwitch => "an operator turns the red switch off".to_string(),
            Self::Paused { by: PauseCause::Operator } => "an operator resumes the rollout".to_string(),
            Self::Paused { by: PauseCause::FailureBound } => {
                "the Founder resumes the rollout, or withdraws the release".to_string()
            }
            Self::Superseded { by: Some(by) } => format!("nothing: {by} comes instead"),
            Self::Superseded { by: None } => "nothing: a newer release comes instead".to_string(),
            Self::QueuedBehind { release } => format!("the rollout of {release} gets done"),
            Self::AwaitingApproval { phase } => format!("an operator approves {phase}"),
            Self::HeldForEvidence { .. } => "more instances of the phase finish an attempt".to_string(),
            Self::OutsidePhase { taken_in, .. } => format!("{taken_in} opens"),
            Self::Frozen { .. } | Self::NotOpened => TIME.to_string(),
            Self::Restricted { dimension: Dimension::Kind | Dimension::Provider, .. } => {
                "nothing here: a release for everyone comes, or this one is not meant for the instance"
                    .to_string()
            }
            Self::Restricted { dimension, .. } => {
                format!("the instance's {dimension} changes, or a release for everyone comes")
            }
            Self::SkipsMajor { skipped } => format!("a release of the line of {skipped} is installed first"),
            Self::NotFrom { from: Some(_), .. } => "one of those is installed first".to_string(),
            Self::NotFrom { from: None, .. } => "a major release of that line is installed first".to_string(),
            Self::RuntimeDoesNotFit { range: Some(range), .. } => {
                format!("the instance moves to a runtime within {range}")
            }
            Self::RuntimeDoesNotFit { range: None, .. } => {
                "the Organism publishes a matrix with its line".to_string()
            }
            Self::FailedHere { .. } => {
                "the owner asks for another try, a newer release comes, or time".to_string()
            }
            Self::Left { .. } => TIME.to_string(),
            Self::Overtaken { by, .. } => format!("{by} is installed, or its offer ends"),
        }
    }
}

fn percent(millionths: u32) -> String {
    format!("{}.{} %", millionths / 10_000, millionths / 1_000 % 10)
}

/// The first instant that is meant. Windows are closed, so that it lies a millisecond behind each that ends: it is told by
/// the last whole second before.
fn from_then_on(at: Timestamp) -> String {
    let beyond = at.as_millis() % 1_000;
    let whole = at - Span::from_millis(beyond);
    if (1..=WINDOWS_MAX).contains(&beyond) { format!("after {whole}") } else { format!("at {at}") }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, at, state, platform, offer, releases, deadlines, findings } = self;
        let offered = offer.map_or_else(
            || "nothing is on offer".to_string(),
            |offer| format!("{} {} is on offer", offer.action, offer.release),
        );
        write!(f, "{instance} is {state} on {platform}, and {offered} ({at}).")?;
        if releases.is_empty() {
            write!(f, "\n\nNo newer release was published.")?;
        }
        releases.iter().try_for_each(|release| write!(f, "\n\n{release}"))?;
        if !findings.is_empty() {
            write!(f, "\n\nFindings:")?;
            findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))?;
        }
        if !deadlines.is_empty() {
            write!(f, "\n\nDue:")?;
            deadlines.iter().try_for_each(|deadline| write!(f, "\n  {deadline}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for ReleaseExplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.release)?;
        if let Some(class) = self.class {
            write!(f, " ({class})")?;
        }
        match (self.standing, self.earliest) {
            (Standing::Runs, _) => write!(f, " runs.")?,
            (Standing::Installing, _) => write!(f, " is being installed.")?,
            (Standing::OnOffer, _) => write!(f, " is on offer.")?,
            (Standing::Blocked, None) => write!(f, " is not offered until something changes.")?,
            (Standing::Blocked, Some(at)) if self.by_time_alone => {
                write!(f, " is offered {} by time alone.", from_then_on(at))?;
            }
            (Standing::Blocked, Some(at)) => {
                write!(f, " is not offered yet: {} at the earliest.", from_then_on(at))?;
            }
        }
        self.answers.iter().try_for_each(|answer| write!(f, "\n  {answer}"))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<6} {}\n         would change: {}", self.rule, self.says, self.would_change)
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, what, ends, left, then } = self;
        write!(f, "{rule:<6} {what}: ")?;
        match ends {
            Some(_) if *left == Span::ZERO => write!(f, "at its end")?,
            Some(ends) => write!(f, "until {ends}")?,
            None => write!(f, "{left} left, its clock stands still")?,
        }
        write!(f, "; beyond, {then}")
    }
}

impl fmt::Display for FindingExplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, rule, since, cleared_by, silenced_until } = self;
        write!(f, "{rule:<6} {code} since {since}; to clear it, {cleared_by}")?;
        match silenced_until {
            Some(until) => write!(f, "; silenced by the Founder until {until} (FO-3)"),
            None => Ok(()),
        }
    }
}
