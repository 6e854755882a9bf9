//! Judges commands: what an instance, an operator or the Founder asks for becomes events, or a refusal with every reason.
//!
//! Never finds out what is due by itself: `reconcile` does, right behind every decision.

mod rollback;
mod world;

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::challenge::{self, Said, Shown};
use crate::committed::Committed;
use crate::entitlement::issue;
use crate::event::{InstanceEvent, Registration};
use crate::finding::{Escalation, FindingCode};
use crate::id::{Digest, DomainCode, Endpoint, InstanceId, InstanceKey};
use crate::instance::{Instance, OVERRIDES_MAX, Outcome, Running, StatementHead};
use crate::layer::LayerId;
use crate::lifecycle::{Authority, Cause, State, transition_by};
use crate::module::{self, Activation};
use crate::person::Person;
use crate::reconcile::moved;
use crate::refusal::{Reason, Refusal};
use crate::release::{StepError, check_step};
use crate::tier::{Kind, SubscriptionStatus, Tier};
use crate::time::{Span, Timestamp};
use crate::version::Version;
use crate::world::World;

pub use world::{WITNESSED, WorldCommand, decide_world};

/// So many forged or repeated requests of an instance within [`BYPASS_WITHIN`] are an attempted bypass, and no accident (CO-13).
pub const BYPASS_REQUESTS: u32 = 3;
/// See [`BYPASS_REQUESTS`].
pub const BYPASS_WITHIN: Span = Span::hours(1);

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
    /// The Runtime asks for its entitlement token (HS-4, EN-4).
    Entitle,
    /// The Runtime asks for the right to run a domain, or for its token anew (HS-5, EN-2, EN-5).
    Activate {
        /// Which.
        domain: DomainCode,
    },
    /// The Runtime switched a domain off (EN-3, EN-7).
    Deactivate {
        /// Which.
        domain: DomainCode,
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
        /// Up to when it is paid for.
        until: Option<Timestamp>,
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
    /// The Founder silences a finding until a date (FO-3).
    OrderOverride {
        /// Which.
        finding: FindingCode,
        /// Until when.
        until: Timestamp,
    },
    /// Somebody has what lies before the Founder in hand (FO-2).
    Acknowledge {
        /// The rule that asked for it.
        rule: String,
    },
    /// The Federation got an answer to a challenge (HS-8), its signature and nonce verified.
    Answered {
        /// The heads on record since it was asked.
        known: Vec<Option<StatementHead>>,
        /// What the instance says of its chain; none when it says that it never signed a statement.
        said: Option<Said>,
    },
    /// The Federation met an attempt to get round the law: a forged signature, a replay, again and again (CO-13).
    Bypass {
        /// What happened.
        facts: String,
    },
    /// The Federation was shown a checkpoint under the ledger's key that is not of its ledger (LG-2): the instance was shown
    /// another one.
    OtherLedger {
        /// What it was shown, and what stands there in this one.
        facts: String,
    },
    /// The Runtime: a new certificate, over the same key or a new one (HS-2). A restored instance shakes hands afresh
    /// by it (LC-17).
    Renew(Renewal),
    /// The instance enrolled afresh under its id (HS-1).
    Handshake {
        /// Its new key.
        key: InstanceKey,
        /// Digest of the enrolment secret, which a second person approved.
        enrolment: Digest,
        /// Where it can be challenged from now on.
        endpoint: Committed<Endpoint>,
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
            | Self::Entitle
            | Self::Activate { .. }
            | Self::Deactivate { .. }
            | Self::Renew(_) => Authority::Runtime,
            Self::OrderSuspend | Self::OrderRevoke | Self::OrderRestore | Self::OrderOverride { .. } => {
                Authority::Founder
            }
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
        && (by == Authority::Runtime
            || matches!(
                command,
                Command::Certify { .. } | Command::Answered { .. } | Command::OtherLedger { .. }
            ))
    {
        return Err(Reason::InstanceRevoked { since: instance.since }.into());
    }
    match command {
        Command::Ready => ready(instance),
        Command::Report(statement) => report(instance, statement, world, now),
        Command::BeginUpgrade { release } => begin(instance, *release),
        Command::FailUpgrade { release, reason } => fail(instance, *release, reason.clone()),
        Command::Retry { release } => retry(instance, *release),
        Command::RollBack { release } => rollback::roll_back(instance, *release, world, now),
        Command::Entitle => Ok(issue(instance, None, world, now)?.into_iter().collect()),
        Command::Activate { domain } => activate(instance, domain, world, now),
        Command::Deactivate { domain } => deactivate(instance, domain, world),
        Command::Suspend => step(instance, Cause::OperatorSuspended, State::Suspended, by),
        Command::Reactivate => reactivate(instance, now),
        Command::ChangeSubscription { tier, status, until } => {
            Ok(subscription(instance, *tier, *status, *until))
        }
        Command::ChangeKind { kind } if *kind == instance.kind => Ok(Vec::new()),
        Command::ChangeKind { kind } => Ok(alloc::vec![InstanceEvent::KindChanged { kind: *kind }]),
        Command::OrderSuspend | Command::OrderRevoke | Command::OrderRestore => order(instance, command),
        Command::OrderOverride { finding, until } => overrule(instance, *finding, *until, now),
        Command::Acknowledge { rule } => acknowledge(&instance.escalations, rule).map(|open| {
            let rule = rule.clone();
            if open { alloc::vec![InstanceEvent::EscalationAcknowledged { rule }] } else { Vec::new() }
        }),
        Command::Bypass { facts } => Ok(instance.escalation("CO-13", facts).into_iter().collect()),
        Command::OtherLedger { facts } => Ok(instance.escalation("LG-2", facts).into_iter().collect()),
        Command::Answered { known, said } => match challenge::judge(instance, known, said.as_ref()) {
            Shown::Broken(detail) => Err(broken_chain(instance, detail, now)),
            Shown::Current | Shown::Ahead | Shown::Overtaken => Ok(Vec::new()),
        },
        Command::Renew(renewal) => renew(instance, renewal, now),
        Command::Handshake { key, enrolment, endpoint } => handshake(instance, *key, *enrolment, endpoint),
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

fn report(
    instance: &Instance,
    statement: &Statement,
    world: &World,
    now: Timestamp,
) -> Result<Vec<InstanceEvent>, Refusal> {
    if instance.head == Some(statement.head) {
        // The same statement again: an answer was lost on the way.
        return Ok(Vec::new());
    }
    if let Err(detail) = continues(instance.head, statement.head.sequence, statement.previous) {
        return Err(broken_chain(instance, detail, now));
    }
    let platform = statement.running.platform;
    if !may_run(instance, platform) {
        return Err(Reason::NotOffered { release: platform }.into());
    }
    check_layers(&statement.running, world)?;
    let mut events = alloc::vec![InstanceEvent::Reported {
        head: statement.head,
        running: statement.running.clone(),
        domains: statement.domains.clone(),
    }];
    if instance.attempt.is_some_and(|attempt| attempt.release == platform) {
        // A success that comes after the attempt stalled is believed, and does not count as one (RO-3).
        let late = instance
            .attempt
            .is_some_and(|attempt| now.since(attempt.begun) > world.constitution.upgrade_stall_after);
        let (outcome, cause) = match late {
            true => (Outcome::Stalled, Cause::UpgradeStalled),
            false => (Outcome::Succeeded, Cause::UpgradeSucceeded),
        };
        events.push(InstanceEvent::AttemptFinished { release: platform, outcome, reason: None });
        events.extend(moved(instance.state, cause));
    }
    Ok(events)
}

/// A statement lists every structure that the Organism signed for the version, each under its id (ID-2, ID-5): what is left
/// out could hide a fork.
fn check_layers(running: &Running, world: &World) -> Result<(), Reason> {
    let Some(published) = world.releases.get(&running.platform) else { return Ok(()) };
    let listed = |id: &LayerId| running.layers.iter().any(|layer| layer.id == *id);
    match published.release.layers.iter().find(|signed| !listed(&signed.id)) {
        Some(signed) => Err(Reason::LayerMissing { layer: signed.id.clone() }),
        None => Ok(()),
    }
}

/// The refusal of what does not go on from the chain on record: it becomes a finding (ID-4, CO-9).
fn broken_chain(instance: &Instance, detail: String, now: Timestamp) -> Refusal {
    let code = FindingCode::VersionChainBroken;
    let record = if instance.finding(code).is_some() || instance.is_silenced(code, now) {
        Vec::new()
    } else {
        let mut record = alloc::vec![InstanceEvent::FindingOpened { code }];
        record.extend(instance.escalation("CO-9", &detail));
        record
    };
    Refusal { reasons: alloc::vec![Reason::VersionChainBroken { detail }], record }
}

/// Whether the escalation under this rule is yet to be acknowledged.
fn acknowledge(escalations: &[Escalation], rule: &str) -> Result<bool, Refusal> {
    let open = escalations.iter().find(|escalation| escalation.rule == rule);
    let open = open.ok_or_else(|| Reason::NotEscalated { rule: String::from(rule) })?;
    Ok(open.acknowledged.is_none())
}

/// Whether the statement of this number and predecessor follows the head; if not, how.
pub(crate) fn continues(
    head: Option<StatementHead>,
    number: u64,
    predecessor: Option<Digest>,
) -> Result<(), String> {
    let (sequence, previous) =
        head.map_or((1, None), |head| (head.sequence.saturating_add(1), Some(head.digest)));
    if number != sequence {
        return Err(alloc::format!("its number is {number}, {sequence} was expected"));
    }
    if predecessor != previous {
        return Err(alloc::format!("statement {sequence} names another predecessor than the one on record"));
    }
    Ok(())
}

/// Whether the record explains how this version came to run here: it ran, was offered, or was tried.
fn may_run(instance: &Instance, platform: Version) -> bool {
    platform == instance.running.platform
        || instance.attempt.is_some_and(|attempt| attempt.release == platform)
        || instance.offer.is_some_and(|offer| offer.release == platform)
        || instance.interrupted == Some(platform)
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

fn activate(
    instance: &Instance,
    domain: &DomainCode,
    world: &World,
    now: Timestamp,
) -> Result<Vec<InstanceEvent>, Refusal> {
    if instance.is_activated(domain) {
        // Granted already: an answer was lost on the way, or the token grows old.
        return Ok(issue(instance, Some(domain), world, now)?.into_iter().collect());
    }
    module::check_activation(domain, instance, world)?;
    let version = world.catalogue.find(domain).map(|module| module.version);
    let version = version.ok_or_else(|| Reason::UnknownDomain { domain: domain.clone() })?;
    let granted = InstanceEvent::ModuleActivated { domain: domain.clone(), version };
    let mut after = instance.clone();
    after.apply(&granted, now);
    let token = issue(&after, Some(domain), world, now)?;
    Ok([granted].into_iter().chain(token).collect())
}

fn deactivate(
    instance: &Instance,
    domain: &DomainCode,
    world: &World,
) -> Result<Vec<InstanceEvent>, Refusal> {
    module::check_deactivation(domain, instance, world)?;
    Ok(alloc::vec![InstanceEvent::ModuleDeactivated { domain: domain.clone() }])
}

fn reactivate(instance: &Instance, now: Timestamp) -> Result<Vec<InstanceEvent>, Refusal> {
    let events = step(instance, Cause::OperatorReactivated, State::Active, Authority::Federation)?;
    let mut reasons = Vec::new();
    if instance.held {
        reasons.push(Reason::HeldByFounder);
    }
    if instance.handshake_required {
        reasons.push(Reason::HandshakeRequired);
    }
    if let Some(attempt) = instance.attempt {
        // A remediation: an active instance that installs would be in no state of the law's (LC-3).
        reasons.push(Reason::Installing { release: attempt.release });
    }
    if !instance.subscription.is_valid() {
        reasons.push(Reason::SubscriptionNotActive);
    }
    let findings: Vec<FindingCode> = instance.standing_findings(now).map(|finding| finding.code).collect();
    if !findings.is_empty() {
        reasons.push(Reason::AuditNotClean { findings });
    }
    if reasons.is_empty() { Ok(events) } else { Err(reasons.into()) }
}

fn subscription(
    instance: &Instance,
    tier: Option<Tier>,
    status: Option<SubscriptionStatus>,
    until: Option<Timestamp>,
) -> Vec<InstanceEvent> {
    let current = instance.subscription;
    let (tier, status) = (tier.unwrap_or(current.tier), status.unwrap_or(current.status));
    let until = until.or(current.until);
    if (tier, status, until) == (current.tier, current.status, current.until) {
        return Vec::new();
    }
    alloc::vec![InstanceEvent::SubscriptionChanged { tier, status, until }]
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

/// The Founder's override (FO-3). A broken chain it clears: the chain goes on from the head on record (CO-9).
fn overrule(
    instance: &Instance,
    code: FindingCode,
    until: Timestamp,
    now: Timestamp,
) -> Result<Vec<InstanceEvent>, Refusal> {
    if instance.state == State::Revoked {
        return Err(Reason::InstanceRevoked { since: instance.since }.into());
    }
    if until <= now {
        return Err(Reason::OverrideVoid { until }.into());
    }
    if !instance.has_room_for_override(code, now) {
        // Rather than forget one by which a clock stands still, or stood.
        return Err(Reason::OverridesExhausted { most: OVERRIDES_MAX }.into());
    }
    let mut events = alloc::vec![InstanceEvent::OverrideSet { code, until }];
    if !instance.escalations.is_empty() {
        events.push(InstanceEvent::EscalationsResolved);
    }
    if code.is_sticky() && instance.finding(code).is_some() {
        events.push(InstanceEvent::FindingClosed { code });
    }
    Ok(events)
}

fn renew(instance: &Instance, renewal: &Renewal, now: Timestamp) -> Result<Vec<InstanceEvent>, Refusal> {
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
        return Err(broken_chain(instance, detail, now));
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

/// A new key in the place of the old one is for the Founder to see (HS-1).
fn handshake(
    instance: &Instance,
    key: InstanceKey,
    enrolment: Digest,
    endpoint: &Committed<Endpoint>,
) -> Result<Vec<InstanceEvent>, Refusal> {
    if instance.state == State::Revoked {
        return Err(Reason::InstanceRevoked { since: instance.since }.into());
    }
    // What the old certificate could do, its key could do again: it goes with the certificate.
    if instance.key == key || instance.previous_key == Some(key) {
        return Err(Reason::KeyNotNew.into());
    }
    let facts = alloc::format!("it enrolled afresh, with enrolment {enrolment}");
    let endpoint = endpoint.clone();
    let mut events = alloc::vec![InstanceEvent::HandshakeRenewed { key, enrolment, endpoint }];
    events.extend(instance.escalation("HS-1", &facts));
    let code = FindingCode::VersionChainBroken;
    if instance.finding(code).is_some() {
        events.push(InstanceEvent::FindingClosed { code });
    }
    Ok(events)
}

/// Judges a registration (HS-1, ID-2, ID-3, CO-4). The domains it names get their rights with it, and so are held to the
/// tier and the catalogue (EN-2).
///
/// # Errors
/// Every rule it breaks.
pub fn register(registration: &Registration, world: &World) -> Result<Vec<InstanceEvent>, Refusal> {
    check_enrolment(registration.kind, registration.tier, registration.provider.is_some(), world)?;
    let platform = registration.running.platform;
    if !world.releases.is_empty() && !world.releases.contains_key(&platform) {
        return Err(Reason::UnknownRelease { release: platform }.into());
    }
    check_layers(&registration.running, world)?;
    check_domains(registration, world)?;
    Ok(alloc::vec![InstanceEvent::Registered(alloc::boxed::Box::new(registration.clone()))])
}

/// Each domain as if it were activated behind those before it, on an instance that is active.
fn check_domains(registration: &Registration, world: &World) -> Result<(), Refusal> {
    let bare = Registration { domains: Vec::new(), ..registration.clone() };
    let epoch = Timestamp::from_millis(0);
    let mut instance = Instance::registered(InstanceId::from_random([0; 16]), &bare, epoch);
    instance.state = State::Active;
    let mut reasons: Vec<Reason> = Vec::new();
    for domain in &registration.domains {
        let refused = module::check_activation(domain, &instance, world).err().unwrap_or_default();
        reasons.extend(refused.into_iter().filter(|reason| !reasons.contains(reason)).collect::<Vec<_>>());
        instance.activations.push(Activation { domain: domain.clone(), since: epoch });
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons.into()) }
}

/// Judges whether this instance may be enrolled afresh (HS-1).
///
/// # Errors
/// When it is revoked.
pub fn check_re_enrolment(instance: &Instance) -> Result<(), Refusal> {
    match instance.state {
        State::Revoked => Err(Reason::InstanceRevoked { since: instance.since }.into()),
        _ => Ok(()),
    }
}

/// What decides whether an enrolment may be used (HS-1).
#[derive(Clone, Copy, Debug)]
pub struct Usable {
    /// Whether it is for an instance that is there already.
    pub afresh: bool,
    /// Whether a second person approved it.
    pub approved: bool,
    /// Whether it was used.
    pub used: bool,
    /// The last instant of its life.
    pub expires: Timestamp,
}

/// Judges whether an enrolment may be used now (HS-1).
///
/// # Errors
/// When it was used, its time is over, or it lacks the second person.
pub fn check_use(enrolment: Usable, now: Timestamp) -> Result<(), Refusal> {
    let Usable { afresh, approved, used, expires } = enrolment;
    match (used, now > expires, afresh && !approved) {
        (true, _, _) => Err(Reason::EnrolmentUsed.into()),
        (_, true, _) => Err(Reason::EnrolmentExpired { expires }.into()),
        (_, _, true) => Err(Reason::EnrolmentUnapproved.into()),
        _ => Ok(()),
    }
}

/// Judges whether this person may approve that an instance enrols afresh, which `asked` asked for until `expires` (HS-1).
///
/// # Errors
/// When it is the same person, or too late.
pub fn check_approval(
    asked: &str,
    expires: Timestamp,
    approver: &Person,
    now: Timestamp,
) -> Result<(), Refusal> {
    if approver.to_string() == asked {
        return Err(Reason::ApprovalOwn.into());
    }
    if now > expires { Err(Reason::EnrolmentExpired { expires }.into()) } else { Ok(()) }
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
