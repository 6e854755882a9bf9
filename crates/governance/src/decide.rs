//! Judges commands: what an instance, an operator or the Founder asks for becomes events, or a refusal with every reason.
//!
//! Never finds out what is due by itself: `reconcile` does, right behind every decision.

mod world;

use alloc::string::String;
use alloc::vec::Vec;

use crate::event::{InstanceEvent, Registration};
use crate::finding::FindingCode;
use crate::id::{Digest, DomainCode, InstanceKey};
use crate::instance::{Instance, Outcome, Running, StatementHead};
use crate::lifecycle::{Authority, Cause, State, transition_by};
use crate::reconcile::moved;
use crate::refusal::{Reason, Refusal};
use crate::release::{Class, StepError, check_step};
use crate::tier::{Kind, SubscriptionStatus, Tier};
use crate::time::{Span, Timestamp};
use crate::version::Version;
use crate::world::World;

pub use world::{WorldCommand, decide_world};

/// A version statement whose signature was verified (ID-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its number in the chain, and its digest.
    pub head: StatementHead,
    /// Digest of the statement before it.
    pub previous: Option<Digest>,
    /// What it says runs.
    pub running: Running,
    /// The domains it says are active.
    pub domains: Vec<DomainCode>,
}

/// A renewal that the instance asked for, its signature verified (HS-2), with the certificate it is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The key that signed the request.
    pub by: InstanceKey,
    /// The key to be certified.
    pub key: InstanceKey,
    /// Digest of the last statement, as the instance knows it.
    pub head: Option<Digest>,
    /// Digest of the one it signed behind that, where no answer came: an honest instance cannot know which is on record.
    pub pending: Option<Digest>,
    /// Serial number of the new certificate.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// What can be asked about one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The Runtime: deployment complete (LC-1).
    Ready,
    /// The Runtime: a version statement (HS-3).
    Report(Statement),
    /// The Runtime: deployment of an offered release started (LC-3, LC-13).
    BeginUpgrade {
        /// Which release.
        release: Version,
    },
    /// The Runtime: the attempt failed and was rolled back (LC-5).
    FailUpgrade {
        /// Which release.
        release: Version,
        /// Why, in words.
        reason: Option<String>,
    },
    /// The owner: try again what failed (RO-9).
    Retry {
        /// Which release.
        release: Version,
    },
    /// The owner: back to what ran before (RL-2).
    RollBack {
        /// To which version.
        release: Version,
    },
    /// An operator suspends (LC-8, LC-15).
    Suspend,
    /// An operator reactivates (LC-9).
    Reactivate,
    /// A new tier or status of the subscription.
    ChangeSubscription {
        /// The tier from now on.
        tier: Option<Tier>,
        /// The status from now on.
        status: Option<SubscriptionStatus>,
    },
    /// An operator moved the instance: it is of another kind from now on (ID-3, CO-4).
    ChangeKind {
        /// The kind from now on.
        kind: Kind,
    },
    /// The Founder suspends (LC-16).
    OrderSuspend,
    /// The Founder revokes (LC-10).
    OrderRevoke,
    /// The Founder restores (LC-17), or lifts his hold (LC-19).
    OrderRestore,
    /// The Runtime: a new certificate, over the same key or a new one (HS-2). A restored instance shakes hands afresh
    /// by it (LC-17).
    Renew(Renewal),
    /// The instance enrolled afresh under its id (HS-1).
    Handshake {
        /// Its new key.
        key: InstanceKey,
    },
    /// A certificate is to be issued (HS-1).
    Certify {
        /// Over this key: the one on record.
        key: InstanceKey,
        /// With this serial number.
        serial: String,
        /// Ending then.
        not_after: Timestamp,
    },
}

impl Command {
    /// Who asks.
    #[must_use]
    pub const fn authority(&self) -> Authority {
        match self {
            Self::Ready
            | Self::Report(_)
            | Self::BeginUpgrade { .. }
            | Self::FailUpgrade { .. }
            | Self::Retry { .. }
            | Self::RollBack { .. }
            | Self::Renew(_) => Authority::Runtime,
            Self::OrderSuspend | Self::OrderRevoke | Self::OrderRestore => Authority::Founder,
            _ => Authority::Federation,
        }
    }
}

/// Judges a command about an instance.
///
/// # Errors
/// Every rule that forbids it, and what the attempt itself puts on record.
pub fn decide(
    instance: &Instance,
    command: &Command,
    world: &World,
    now: Timestamp,
) -> Result<Vec<InstanceEvent>, Refusal> {
    let by = command.authority();
    if instance.state == State::Revoked
        && (by == Authority::Runtime || matches!(command, Command::Certify { .. }))
    {
        return Err(Reason::InstanceRevoked { since: instance.since }.into());
    }
    match command {
        Command::Ready => ready(instance),
        Command::Report(statement) => report(instance, statement),
        Command::BeginUpgrade { release } => begin(instance, *release),
        Command::FailUpgrade { release, reason } => fail(instance, *release, reason.clone()),
        Command::Retry { release } => retry(instance, *release),
        Command::RollBack { release } => roll_back(instance, *release, world, now),
        Command::Suspend => step(instance, Cause::OperatorSuspended, State::Suspended, by),
        Command::Reactivate => reactivate(instance),
        Command::ChangeSubscription { tier, status } => Ok(subscription(instance, *tier, *status)),
        Command::ChangeKind { kind } if *kind == instance.kind => Ok(Vec::new()),
        Command::ChangeKind { kind } => Ok(alloc::vec![InstanceEvent::KindChanged { kind: *kind }]),
        Command::OrderSuspend | Command::OrderRevoke | Command::OrderRestore => order(instance, command),
        Command::Renew(renewal) => renew(instance, renewal),
        Command::Handshake { key } => handshake(instance, *key),
        Command::Certify { key, .. } if *key != instance.key => Err(Reason::KeySuperseded.into()),
        Command::Certify { key, serial, not_after } => Ok(alloc::vec![InstanceEvent::CertificateIssued {
            key: *key,
            serial: serial.clone(),
            not_after: *not_after
        }]),
    }
}

/// The one transition this cause makes from here, or a refusal naming both states.
fn step(instance: &Instance, cause: Cause, to: State, by: Authority) -> Result<Vec<InstanceEvent>, Refusal> {
    match moved(instance.state, cause) {
        Some(event) => Ok(alloc::vec![event]),
        None => Err(Reason::IllegalTransition { from: instance.state, to, by }.into()),
    }
}

fn ready(instance: &Instance) -> Result<Vec<InstanceEvent>, Refusal> {
    let events = step(instance, Cause::DeploymentComplete, State::Active, Authority::Runtime)?;
    if instance.subscription.is_valid() { Ok(events) } else { Err(Reason::SubscriptionNotActive.into()) }
}

fn report(instance: &Instance, statement: &Statement) -> Result<Vec<InstanceEvent>, Refusal> {
    if instance.head == Some(statement.head) {
        // The same statement again: an answer was lost on the way.
        return Ok(Vec::new());
    }
    if let Err(detail) = continues(instance.head, statement) {
        return Err(broken_chain(instance, detail));
    }
    let platform = statement.running.platform;
    if !may_run(instance, platform) {
        return Err(Reason::NotOffered { release: platform }.into());
    }
    let mut events = alloc::vec![InstanceEvent::Reported {
        head: statement.head,
        running: statement.running.clone(),
        domains: statement.domains.clone(),
    }];
    if instance.attempt.is_some_and(|attempt| attempt.release == platform) {
        let outcome = Outcome::Succeeded;
        events.push(InstanceEvent::AttemptFinished { release: platform, outcome, reason: None });
        events.extend(moved(instance.state, Cause::UpgradeSucceeded));
    }
    Ok(events)
}

/// The refusal of what does not go on from the chain on record: it becomes a finding (ID-4, CO-9).
fn broken_chain(instance: &Instance, detail: String) -> Refusal {
    let code = FindingCode::VersionChainBroken;
    let record = if instance.finding(code).is_some() {
        Vec::new()
    } else {
        let escalated = InstanceEvent::Escalated { rule: String::from("CO-9"), facts: detail.clone() };
        alloc::vec![InstanceEvent::FindingOpened { code }, escalated]
    };
    Refusal { reasons: alloc::vec![Reason::VersionChainBroken { detail }], record }
}

/// Whether the statement follows the head; if not, how.
fn continues(head: Option<StatementHead>, statement: &Statement) -> Result<(), String> {
    let (sequence, previous) =
        head.map_or((1, None), |head| (head.sequence.saturating_add(1), Some(head.digest)));
    if statement.head.sequence != sequence {
        return Err(alloc::format!("its number is {}, {sequence} was expected", statement.head.sequence));
    }
    if statement.previous != previous {
        return Err(alloc::format!("statement {sequence} names another predecessor than the one on record"));
    }
    Ok(())
}

/// Whether the record explains how this version came to run here: it ran, was offered, or was tried.
fn may_run(instance: &Instance, platform: Version) -> bool {
    platform == instance.running.platform
        || instance.attempt.is_some_and(|attempt| attempt.release == platform)
        || instance.attempts.iter().any(|attempt| attempt.release == platform || attempt.from == platform)
}

fn begin(instance: &Instance, release: Version) -> Result<Vec<InstanceEvent>, Refusal> {
    if instance.attempt.is_some_and(|attempt| attempt.release == release) {
        // Begun already: an answer was lost on the way.
        return Ok(Vec::new());
    }
    let Some(offer) = instance.offer.filter(|offer| offer.release == release) else {
        return Err(Reason::NotOffered { release }.into());
    };
    let begun = InstanceEvent::AttemptBegun {
        release,
        rollout: offer.rollout,
        action: offer.action,
        phase: offer.phase,
    };
    if instance.state == State::Suspended {
        // A remediation: it installs while staying suspended (LC-19).
        return Ok(alloc::vec![begun]);
    }
    let mut events = alloc::vec![begun];
    events.extend(step(instance, Cause::UpgradeStarted, State::UpgradeInProgress, Authority::Runtime)?);
    Ok(events)
}

/// The refusal of a command with every reason that the world adds: what is not on offer may be no legal step
/// either, or not run here (RL-5, RL-6).
#[must_use]
pub fn explained(mut refusal: Refusal, instance: &Instance, command: &Command, world: &World) -> Refusal {
    let Command::BeginUpgrade { release } = command else { return refusal };
    let not_offered = refusal.reasons.contains(&Reason::NotOffered { release: *release });
    if let Some(wanted) = world.release(*release).filter(|_| not_offered) {
        let installed = instance.running.platform;
        let known = world.releases.values().filter(|published| !published.withdrawn);
        let known = known.map(|published| published.release.version);
        if let Err(StepError::SkipsMajor(skipped)) = check_step(installed, wanted, known) {
            refusal.reasons.push(Reason::SkipsMajor { release: *release, installed, skipped });
        }
        if let Some(range) = world.matrix.runtimes(release.line())
            && !wanted.fits_runtime(instance.running.runtime, &world.matrix)
        {
            let runtime = wanted.ships_runtime.unwrap_or(instance.running.runtime);
            refusal.reasons.push(Reason::RuntimeIncompatible { runtime, range });
        }
    }
    refusal
}

fn fail(
    instance: &Instance,
    release: Version,
    reason: Option<String>,
) -> Result<Vec<InstanceEvent>, Refusal> {
    if instance.attempt.is_none_or(|attempt| attempt.release != release) {
        return Err(Reason::NotOffered { release }.into());
    }
    let mut events =
        alloc::vec![InstanceEvent::AttemptFinished { release, outcome: Outcome::Failed, reason }];
    events.extend(moved(instance.state, Cause::UpgradeFailed));
    Ok(events)
}

fn retry(instance: &Instance, release: Version) -> Result<Vec<InstanceEvent>, Refusal> {
    let failed = instance.failures.iter().any(|failure| failure.release == release && !failure.retry);
    if failed {
        Ok(alloc::vec![InstanceEvent::RetryAsked { release }])
    } else {
        Err(Reason::NotOffered { release }.into())
    }
}

/// A rollback by the instance's own wish: to what ran before, inside the window, never over a security release (RL-2).
fn roll_back(
    instance: &Instance,
    to: Version,
    world: &World,
    now: Timestamp,
) -> Result<Vec<InstanceEvent>, Refusal> {
    let from = instance.running.platform;
    if instance.wish.is_some_and(|wish| (wish.from, wish.to) == (from, to)) {
        return Ok(Vec::new());
    }
    let mut reasons = Vec::new();
    if !matches!(instance.state, State::Active | State::UpdatePending | State::OutOfCompliance) {
        reasons.push(Reason::StateForbids { state: instance.state });
    }
    let leaving = world.releases.get(&from).map(|published| &published.release);
    let installed = instance.installation().filter(|attempt| attempt.from == to && to < from);
    let (Some(leaving), Some(installed), Some(_)) = (leaving, installed, world.release(to)) else {
        reasons.push(Reason::NotOffered { release: to });
        return Err(reasons.into());
    };
    let law = &world.constitution;
    let (rollback_window, window) = match leaving.class {
        Class::Major => (law.major_rollback_window, law.major_window),
        _ => (law.minor_rollback_window, law.minor_window),
    };
    let behind = world.releases.range(to..=from).map(|(_, published)| published);
    let security = behind.filter(|published| {
        let release = &published.release;
        release.class == Class::Security && release.version > to && !published.withdrawn
    });
    if let Some(published) = security.last() {
        reasons.push(Reason::OptOutForbidden { release: from, security: published.release.version });
    }
    let closed = installed.finished + rollback_window;
    if now > closed {
        reasons.push(Reason::RollbackWindowClosed { release: from, closed });
    }
    if !reasons.is_empty() {
        return Err(reasons.into());
    }
    // Half-way through its window, counted from the offer: the clock runs on as if it had never been installed (RO-9).
    let half = Span::from_millis(window.as_millis() / 2);
    let clock = instance.paid.filter(|paid| paid.release == from).and_then(|paid| paid.drift);
    let again = clock
        .and_then(|clock| clock.reaches(law.drift_threshold, now))
        .map_or(now + half, |deadline| (deadline - half).max(now));
    Ok(alloc::vec![InstanceEvent::RollbackAsked { to, from, again }])
}

fn reactivate(instance: &Instance) -> Result<Vec<InstanceEvent>, Refusal> {
    let events = step(instance, Cause::OperatorReactivated, State::Active, Authority::Federation)?;
    let mut reasons = Vec::new();
    if instance.held {
        reasons.push(Reason::HeldByFounder);
    }
    if instance.handshake_required {
        reasons.push(Reason::HandshakeRequired);
    }
    if !instance.subscription.is_valid() {
        reasons.push(Reason::SubscriptionNotActive);
    }
    if !instance.findings.is_empty() {
        let findings = instance.findings.iter().map(|finding| finding.code).collect();
        reasons.push(Reason::AuditNotClean { findings });
    }
    if reasons.is_empty() { Ok(events) } else { Err(reasons.into()) }
}

fn subscription(
    instance: &Instance,
    tier: Option<Tier>,
    status: Option<SubscriptionStatus>,
) -> Vec<InstanceEvent> {
    let current = instance.subscription;
    let (tier, status) = (tier.unwrap_or(current.tier), status.unwrap_or(current.status));
    if (tier, status) == (current.tier, current.status) {
        return Vec::new();
    }
    alloc::vec![InstanceEvent::SubscriptionChanged { tier, status }]
}

fn order(instance: &Instance, command: &Command) -> Result<Vec<InstanceEvent>, Refusal> {
    let (cause, to) = match command {
        Command::OrderRevoke => (Cause::FounderRevoked, State::Revoked),
        Command::OrderRestore => (Cause::FounderRestored, State::Suspended),
        _ => (Cause::FounderSuspended, State::Suspended),
    };
    let mut events = Vec::new();
    match (command, instance.state) {
        // Already suspended: the order makes it last (LC-19).
        (Command::OrderSuspend, State::Suspended) if !instance.held => {}
        (Command::OrderRestore, State::Suspended) if instance.held => {}
        _ => events.extend(step(instance, cause, to, Authority::Founder)?),
    }
    match command {
        Command::OrderSuspend if !instance.held => events.push(InstanceEvent::HoldPlaced),
        Command::OrderRestore if instance.held => events.push(InstanceEvent::HoldLifted),
        _ => {}
    }
    if !instance.escalations.is_empty() {
        events.push(InstanceEvent::EscalationsResolved);
    }
    Ok(events)
}

fn renew(instance: &Instance, renewal: &Renewal) -> Result<Vec<InstanceEvent>, Refusal> {
    let Renewal { by, key, head, pending, serial, not_after } = renewal;
    let certificate =
        InstanceEvent::CertificateIssued { key: *key, serial: serial.clone(), not_after: *not_after };
    let on_record = instance.head.map(|head| head.digest);
    let continues = *head == on_record || (pending.is_some() && *pending == on_record);
    if *by != instance.key {
        // The key before may repeat the renewal away from it: an answer was lost on the way. It opens no finding.
        let repeats = instance.previous_key == Some(*by) && *key == instance.key && continues;
        return if repeats { Ok(alloc::vec![certificate]) } else { Err(Reason::KeySuperseded.into()) };
    }
    if !continues {
        let detail = String::from("the renewal names another head of the chain than the one on record");
        return Err(broken_chain(instance, detail));
    }
    let mut events = Vec::new();
    if *key != instance.key {
        events.push(InstanceEvent::KeyRenewed { key: *key });
    }
    if instance.handshake_required {
        events.push(InstanceEvent::Handshaken);
    }
    events.push(certificate);
    Ok(events)
}

fn handshake(instance: &Instance, key: InstanceKey) -> Result<Vec<InstanceEvent>, Refusal> {
    if instance.state == State::Revoked {
        return Err(Reason::InstanceRevoked { since: instance.since }.into());
    }
    let mut events = alloc::vec![InstanceEvent::HandshakeRenewed { key }];
    let code = FindingCode::VersionChainBroken;
    if instance.finding(code).is_some() {
        events.push(InstanceEvent::FindingClosed { code });
    }
    Ok(events)
}

/// Judges a registration (HS-1, ID-2, ID-3, CO-4).
///
/// # Errors
/// Every rule it breaks.
pub fn register(registration: &Registration, world: &World) -> Result<Vec<InstanceEvent>, Refusal> {
    check_enrolment(registration.kind, registration.tier, registration.provider.is_some(), world)?;
    let platform = registration.running.platform;
    if !world.releases.is_empty() && !world.releases.contains_key(&platform) {
        return Err(Reason::UnknownRelease { release: platform }.into());
    }
    Ok(alloc::vec![InstanceEvent::Registered(alloc::boxed::Box::new(registration.clone()))])
}

/// Judges what an enrolment asks for (ID-3, CO-4).
///
/// # Errors
/// Every rule it breaks.
pub fn check_enrolment(kind: Kind, tier: Tier, has_provider: bool, world: &World) -> Result<(), Refusal> {
    let mut reasons = Vec::new();
    let expected = world.constitution.kind_of(tier);
    if expected != kind {
        reasons.push(Reason::TierMismatch { tier, expected, found: kind });
    }
    if kind != Kind::SaasShared && !has_provider {
        reasons.push(Reason::ProviderRequired { kind });
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons.into()) }
}

/// Whether the law has a row for this move (used by those who check the record).
#[must_use]
pub fn is_legal(from: State, to: State, cause: Cause) -> bool {
    transition_by(from, cause).is_some_and(|row| row.to == to)
}
