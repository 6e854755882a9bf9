//! Reads the ledger as it grows: one line for each transition, with the rule it rests on.
//!
//! Never asks the plane what it thinks: what is not in the ledger did not happen.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::Client;
use governance::rollout::HOLDING_EVIDENCE;
use governance::{
    Action, Cause, Digest, Event, InstanceEvent, InstanceId, Outcome, RolloutId, State, Timestamp, Version,
    WorldEvent,
};
use ledger::Entry;

use super::show::{Ink, Show, ink_of};

/// Entries asked for at once.
const PAGE: u32 = 500;
/// Columns for the states of a transition.
const STATES: usize = 41;
/// The same where only the second is shown.
const STATES_NARROW: usize = 23;

/// A transition that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    /// The rule it rests on.
    pub(super) rule: String,
    /// To which state.
    pub(super) to: State,
}

/// What the ledger has told so far.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// So many entries were read.
    pub(super) position: u64,
    /// What operators call each instance.
    pub(super) names: BTreeMap<InstanceId, String>,
    /// The transitions of each instance, in order.
    pub(super) moves: BTreeMap<InstanceId, Vec<Move>>,
    /// Releases that an instance tried, failed and left by itself.
    pub(super) failed: Vec<(Version, InstanceId)>,
    /// Instances that went back because they were directed to, and to what.
    pub(super) directed: Vec<(Version, InstanceId)>,
    /// Instances that signed a version statement.
    pub(super) reported: BTreeSet<InstanceId>,
    /// Every version statement on record.
    pub(super) statements: BTreeSet<Digest>,
    /// Every enrolment on record, by the digest of its secret.
    pub(super) enrolments: BTreeSet<Digest>,
    /// The digest of each entry, in order.
    entries: Vec<Digest>,
    rollouts: BTreeMap<RolloutId, Version>,
    /// What was last decided about an instance, and when: it explains the transition that follows.
    notes: BTreeMap<InstanceId, (Timestamp, String)>,
    attempts: BTreeMap<InstanceId, (Action, Version)>,
}

/// Follows the ledger of a plane.
#[derive(Debug)]
pub(super) struct Watch {
    client: Client,
    show: Show,
    /// What it has seen.
    pub(super) record: Record,
}

impl Watch {
    /// From the first entry on.
    pub(super) fn new(client: Client, show: Show) -> Self {
        Self { client, show, record: Record::default() }
    }

    /// Reads again what it has read before; gives how many entries are the same, byte for byte.
    ///
    /// # Errors
    /// At the first that is missing or differs.
    pub(super) async fn read_again(&self) -> anyhow::Result<usize> {
        let mut position = 0;
        while position < self.record.entries.len() {
            let page = self.client.ledger_entries(position as u64, PAGE).await?;
            ensure!(!page.entries.is_empty(), "the ledger ends at {position}, and it was longer before");
            for (text, known) in page.entries.iter().zip(self.record.entries.iter().skip(position)) {
                ensure!(
                    Digest::of(&STANDARD.decode(text)?) == *known,
                    "entry {position} is another than before"
                );
                position += 1;
            }
        }
        Ok(position)
    }

    /// Reads what is new and shows it.
    pub(super) async fn look(&mut self) -> anyhow::Result<()> {
        loop {
            let page = self.client.ledger_entries(self.record.position, PAGE).await?;
            if page.entries.is_empty() {
                return Ok(());
            }
            for text in &page.entries {
                let bytes = STANDARD.decode(text).context("a ledger entry is no base64")?;
                let mut entry = Entry::decode(&bytes)?;
                entry.open(|committed| page.opening(committed))?;
                self.record.position += 1;
                self.record.entries.push(Digest::of(&bytes));
                if let Some(line) = self.record.take(&entry, &self.show) {
                    self.show.happened(entry.at, &line);
                }
            }
        }
    }
}

impl Record {
    /// Takes an entry in; a line where there is one to show.
    fn take(&mut self, entry: &Entry, show: &Show) -> Option<String> {
        match &entry.event {
            Event::World(event) => self.world(event, entry, show),
            Event::Instance(id, event) => self.instance(*id, event, entry, show),
        }
    }

    fn name(&self, id: InstanceId) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn instance(
        &mut self,
        id: InstanceId,
        event: &InstanceEvent,
        entry: &Entry,
        show: &Show,
    ) -> Option<String> {
        let line = |who: &str, what: &str| Some(line(show, entry, who, what));
        match event {
            InstanceEvent::Registered(registration) => {
                let label = registration.labels.value().and_then(|labels| labels.first());
                let name = label.map_or_else(|| id.to_string(), ToString::to_string);
                self.names.insert(id, name.clone());
                let whose = registration.provider.as_ref().map(|provider| format!(" of {provider}"));
                let mut note = format!("{} {}", registration.kind, registration.tier);
                if !show.is_narrow() {
                    let running = registration.running.platform;
                    note.push_str(&format!("{}, running {running}", whose.unwrap_or_default()));
                }
                let what = format!("{:width$}{note}", "registered", width = states(show));
                line(&name, &what)
            }
            InstanceEvent::Moved { from, to, cause } => {
                self.moves.entry(id).or_default().push(Move { rule: entry.rule.clone(), to: *to });
                // Only what was decided in the same breath explains it.
                let note = self.notes.remove(&id).filter(|(at, _)| *at == entry.at).map(|(_, note)| note);
                let note = note.unwrap_or_else(|| said(*cause).to_owned());
                let before = if show.is_narrow() { String::new() } else { format!("{from} ") };
                let blanks = states(show).saturating_sub(format!("{before}→ {to}").chars().count());
                let states = format!("{before}→ {}", show.paint(ink_of(*to), to.as_str()));
                line(&self.name(id), &format!("{states}{:blanks$}{note}", ""))
            }
            InstanceEvent::Escalated { facts, .. } => {
                let what = format!("{:width$}", "put before the Founder ", width = states(show));
                let what = show.paint(Ink::Yellow, &what);
                line(&self.name(id), &format!("{what}{facts}"))
            }
            InstanceEvent::FindingOpened { code } => {
                self.notes.insert(id, (entry.at, format!("found: {code}")));
                None
            }
            InstanceEvent::Reported { head, .. } => {
                self.reported.insert(id);
                self.statements.insert(head.digest);
                None
            }
            other => {
                self.note(id, other, entry.at);
                None
            }
        }
    }

    /// Remembers what explains the next transition.
    fn note(&mut self, id: InstanceId, event: &InstanceEvent, at: Timestamp) {
        let note = match event {
            InstanceEvent::Offered { release, action: Action::Update, phase, .. } => {
                format!("offered {release} ({phase})")
            }
            InstanceEvent::Offered { release, action: Action::Rollback, .. } => {
                format!("directed back to {release}")
            }
            InstanceEvent::AttemptBegun { release, action, .. } => {
                self.attempts.insert(id, (*action, *release));
                match action {
                    Action::Update => format!("installs {release}"),
                    Action::Rollback => format!("goes back to {release}"),
                }
            }
            InstanceEvent::AttemptFinished { release, outcome, reason } => {
                let action = self.attempts.remove(&id).map(|(action, _)| action);
                match (outcome, action) {
                    (Outcome::Succeeded, Some(Action::Rollback)) => self.directed.push((*release, id)),
                    (Outcome::Failed, Some(Action::Update)) => self.failed.push((*release, id)),
                    _ => {}
                }
                match outcome {
                    Outcome::Succeeded => format!("{release} runs"),
                    Outcome::Failed => {
                        let why = reason.as_deref().map(last_words).unwrap_or_default();
                        format!("{release} failed and was rolled back: {why}")
                    }
                    Outcome::Stalled => format!("{release} was not finished in time"),
                }
            }
            InstanceEvent::OfferEnded { release, why } => format!("the offer of {release} ended: {why}"),
            _ => return,
        };
        self.notes.insert(id, (at, note));
    }

    fn world(&mut self, event: &WorldEvent, entry: &Entry, show: &Show) -> Option<String> {
        if let WorldEvent::RolloutOpened { rollout, release, .. } = event {
            self.rollouts.insert(*rollout, *release);
        }
        if let WorldEvent::EnrolmentCreated { digest, .. } = event {
            self.enrolments.insert(*digest);
        }
        let release = event.rollout().and_then(|id| self.rollouts.get(&id).copied());
        let who = release.map_or_else(|| "federation".to_owned(), |release| format!("rollout {release}"));
        let what = match event {
            WorldEvent::Founded { trust_domain } => format!("{trust_domain} is founded"),
            WorldEvent::KeysPublished { serial, .. } => {
                format!("keys document {serial}, signed by the Founder")
            }
            WorldEvent::ConstitutionRatified { .. } => {
                "the constitution, signed by the Founder, is in force".to_owned()
            }
            WorldEvent::ReleasePublished { release, .. } => {
                format!("{} release {}, signed by the Organism, is published", release.class, release.version)
            }
            WorldEvent::PhaseOpened { phase, eligible, cohort, .. } => {
                format!("{} opens: {cohort} of {eligible} instances", show.paint(Ink::Blue, phase.as_str()))
            }
            WorldEvent::RolloutHeld { why, .. } if why == HOLDING_EVIDENCE => {
                "waits: too few have finished to judge by".to_owned()
            }
            WorldEvent::RolloutHeld { why, .. } => format!("waits: {why}"),
            WorldEvent::RolloutDone { .. } => show.paint(Ink::Green, "done"),
            WorldEvent::RolloutHalted { phase, failed, finished, .. } => {
                let halted = show.paint(Ink::Red, "halted");
                format!(
                    "{halted} in {phase}: {failed} of {finished} attempts failed; whoever installed it goes back"
                )
            }
            WorldEvent::RolloutPaused { failed, finished, .. } => match (failed, finished) {
                (Some(failed), Some(finished)) => format!("paused: {failed} of {finished} attempts failed"),
                _ => "paused".to_owned(),
            },
            WorldEvent::RolloutSuperseded { by, .. } => format!("superseded by {by}"),
            WorldEvent::RolloutEscalated { facts, .. } => format!("put before the Founder: {facts}"),
            WorldEvent::OrderAccepted { serial, .. } => format!("the Founder's order {serial} is accepted"),
            _ => return None,
        };
        Some(line(show, entry, &who, &what))
    }
}

const fn states(show: &Show) -> usize {
    if show.is_narrow() { STATES_NARROW } else { STATES }
}

/// Rule, authority, subject, and what happened.
fn line(show: &Show, entry: &Entry, who: &str, what: &str) -> String {
    let rule = show.paint(Ink::Cyan, &format!("{:<5}", entry.rule));
    if show.is_narrow() {
        return format!("{rule}  {who:<13}  {what}");
    }
    let authority = show.paint(Ink::Dim, &format!("{:<10}", entry.authority));
    format!("{rule}  {authority}  {who:<13}  {what}")
}

/// A cause in words, where nothing says more.
const fn said(cause: Cause) -> &'static str {
    match cause {
        Cause::DeploymentComplete => "deployment complete",
        Cause::FindingsCleared => "every finding cleared",
        Cause::FindingOpen => "a finding is open",
        Cause::FindingTooOld => "a finding stayed open too long",
        Cause::SecurityOverdue => "the security release is overdue",
        Cause::FounderRevoked => "by the Founder's order",
        other => other.as_str(),
    }
}

/// What stands behind the last colon of a reason: what the program itself said.
fn last_words(reason: &str) -> String {
    let end = reason.rsplit(": ").next().unwrap_or(reason);
    end.chars().take(80).collect()
}
