//! An instance as the record knows it, and how each event changes it.
//!
//! `apply` is total and judges nothing: a ledger can always be replayed.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::constitution::StandingOrder;
use crate::entitlement::IssuedToken;
use crate::event::{InstanceEvent, Registration};
use crate::finding::{Escalation, Finding, FindingCode, Override};
use crate::id::{Digest, DomainCode, Endpoint, InstanceId, InstanceKey, Label, ProviderId, RolloutId};
use crate::layer::LayerContent;
use crate::lifecycle::State;
use crate::module::{Activation, Notice};
use crate::rollout::{Phase, Stratum};
use crate::text::words;
use crate::tier::{Kind, Subscription, SubscriptionStatus};
use crate::time::{Span, Timestamp};
use crate::version::Version;
use crate::warning::{Warning, Window};

mod certificates;
mod memory;

pub use certificates::{Certificate, Superseded};

pub use crate::obligation::{Countdown, Due, Left, Paid, Wish};

/// Finished attempts remembered on the instance, those that brought what runs before all others; the ledger holds them all.
pub const ATTEMPTS_MAX: usize = 32;
/// Rollouts remembered that offered the instance something; the ledger holds them all.
pub const OFFERED_MAX: usize = 32;
/// Failed releases remembered for RO-9.
pub const FAILURES_MAX: usize = 16;
/// Overrides remembered, and so how many may count at once; the ledger holds them all.
pub const OVERRIDES_MAX: usize = 16;
/// Violations remembered for CO-13; the constitution asks for fewer.
pub const VIOLATIONS_MAX: usize = 64;

/// Certificates remembered; one is renewed at half of its life.
pub const CERTIFICATES_MAX: usize = 16;

/// What an instance runs, as it last signed (ID-2, ID-5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// The platform version.
    pub platform: Version,
    /// The runtime version.
    pub runtime: Version,
    /// Every structure with its content's digest.
    pub layers: Vec<LayerContent>,
}

/// The last statement of the chain (ID-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementHead {
    /// Its number; the first is 1.
    pub sequence: u64,
    /// SHA-256 of its payload.
    pub digest: Digest,
}

words! {
    /// What an offer asks the Runtime to do.
    pub enum Action ("action") {
        /// Install a newer release.
        Update = "update",
        /// Go back to an earlier one (RO-3).
        Rollback = "rollback",
    }
}

words! {
    /// How an attempt ended.
    pub enum Outcome ("outcome") {
        /// The instance reported the new version as the one running (RO-3).
        Succeeded = "succeeded",
        /// It failed and went back by itself.
        Failed = "failed",
        /// It did not finish in time (LC-5).
        Stalled = "stalled",
    }
}

words! {
    /// Why an offer ended.
    pub enum OfferEnd ("reason") {
        /// The version runs.
        Installed = "installed",
        /// It failed here; it comes again when something changed (RO-9).
        FailedHere = "failed-here",
        /// A newer offer took its place (RO-8).
        Superseded = "superseded",
        /// The rollout is paused (RO-6).
        Paused = "paused",
        /// The rollout was halted, aborted or withdrawn.
        Ended = "ended",
        /// The instance is no longer eligible.
        NotEligible = "not-eligible",
    }
}

/// A release on offer to an instance (LC-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// What is offered.
    pub release: Version,
    /// By which rollout.
    pub rollout: RolloutId,
    /// To do what.
    pub action: Action,
    /// The phase that added the instance.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// When lacking it becomes a finding, if it ever does and the clock runs on.
    pub deadline: Option<Timestamp>,
}

/// An attempt under way (LC-3, LC-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// What is being installed.
    pub release: Version,
    /// By which rollout.
    pub rollout: RolloutId,
    /// To do what.
    pub action: Action,
    /// The phase it counts for.
    pub phase: Phase,
    /// What ran before.
    pub from: Version,
    /// When it began.
    pub begun: Timestamp,
}

/// An attempt that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishedAttempt {
    /// What was being installed.
    pub release: Version,
    /// By which rollout.
    pub rollout: RolloutId,
    /// To do what.
    pub action: Action,
    /// The phase it counts for.
    pub phase: Phase,
    /// What ran before.
    pub from: Version,
    /// When it ended.
    pub finished: Timestamp,
    /// How.
    pub outcome: Outcome,
}

/// A release that failed here (RO-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Which.
    pub release: Version,
    /// When last.
    pub at: Timestamp,
    /// How often.
    pub times: u32,
    /// Whether the owner asked for another try.
    pub retry: bool,
}

/// An instance, as all its events made it (§II).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its kind.
    pub kind: Kind,
    /// Whose it is.
    pub provider: Option<ProviderId>,
    /// What operators call it by.
    pub labels: Vec<Label>,
    /// Where it can be challenged (HS-8); none: the record commits to it, and it was not disclosed.
    pub endpoint: Option<Endpoint>,
    /// Its subscription.
    pub subscription: Subscription,
    /// When it registered.
    pub joined: Timestamp,
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// Its public key.
    pub key: InstanceKey,
    /// The key it renewed away from, until it makes a statement under the new one: good for repeating that renewal,
    /// should its answer have been lost (HS-2), and for nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_key: Option<InstanceKey>,
    /// What it runs.
    pub running: Running,
    /// The domains it says are active.
    pub domains: Vec<DomainCode>,
    /// The domains it has the right to run, in the order of activation (EN-5).
    #[serde(default)]
    pub activations: Vec<Activation>,
    /// The active domains that it was told to switch off (CO-5).
    #[serde(default)]
    pub notices: Vec<Notice>,
    /// The last statement of its chain.
    pub head: Option<StatementHead>,
    /// When it last made a statement or a handshake.
    pub reported: Timestamp,
    /// What it is offered.
    pub offer: Option<Offer>,
    /// What it is installing.
    pub attempt: Option<Attempt>,
    /// What it was installing when the Founder interrupted it: it may turn up as running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<Version>,
    /// What it owes.
    pub due: Option<Due>,
    /// What it owed last and paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<Paid>,
    /// Its owner's wish to go back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<Wish>,
    /// What it left by its owner's wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// Rollouts that ever offered it an update, oldest first, the last [`OFFERED_MAX`].
    pub offered: Vec<RolloutId>,
    /// Its finished attempts, oldest first, up to [`ATTEMPTS_MAX`].
    pub attempts: Vec<FinishedAttempt>,
    /// Releases that failed here.
    pub failures: Vec<Failure>,
    /// What is found against it.
    pub findings: Vec<Finding>,
    /// Findings that the Founder silenced, and until when (FO-3); up to [`OVERRIDES_MAX`].
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// When findings opened, the last [`VIOLATIONS_MAX`], until an order of the Founder settles them (CO-13).
    #[serde(default)]
    pub violations: Vec<Timestamp>,
    /// The warnings given of windows that are still open (CO-12).
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// What lies before the Founder about it.
    pub escalations: Vec<Escalation>,
    /// The Founder was told that its drift is beyond the freeze and that no order takes it: once, while it goes on (CO-13).
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub freeze_told: bool,
    /// Suspended by the Founder's order: only his `restore` lifts it (LC-19).
    pub held: bool,
    /// Restored, and not yet shaken hands afresh (LC-17).
    pub handshake_required: bool,
    /// Restored, and not heard since what it runs (LC-17).
    #[serde(default)]
    pub unstated: bool,
    /// Its certificates whose time is not over, the last [`CERTIFICATES_MAX`]: should it be revoked, they go on the CRL (LC-19).
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// Those over keys that are its own no more, while their time is not over (HS-1, HS-2).
    #[serde(default)]
    pub superseded: Vec<Superseded>,
    /// The last token over each of its rights (EN-4, EN-5).
    #[serde(default)]
    pub tokens: Vec<IssuedToken>,
    /// Places of its status list that were given out, those of rights that are gone among them (EN-6).
    #[serde(default)]
    pub tokens_made: u32,
    /// Rises with each change of what is asked of it (RL-3).
    pub serial: u64,
    /// When the last decision about it was taken: none is taken at an earlier instant behind it, whoever's clock is slow (LG-1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Timestamp>,
}

impl Instance {
    /// The instance that a registration makes.
    #[must_use]
    pub fn registered(id: InstanceId, registration: &Registration, at: Timestamp) -> Self {
        Self {
            id,
            kind: registration.kind,
            provider: registration.provider.clone(),
            labels: registration.labels.value().cloned().unwrap_or_default(),
            endpoint: registration.endpoint.value().cloned(),
            subscription: Subscription {
                tier: registration.tier,
                status: SubscriptionStatus::Active,
                since: at,
                until: None,
            },
            joined: at,
            state: State::Registered,
            since: at,
            key: registration.key,
            previous_key: None,
            running: registration.running.clone(),
            domains: registration.domains.clone(),
            activations: registration
                .domains
                .iter()
                .map(|domain| Activation { domain: domain.clone(), since: at })
                .collect(),
            notices: Vec::new(),
            head: None,
            reported: at,
            offer: None,
            attempt: None,
            interrupted: None,
            due: None,
            paid: None,
            wish: None,
            left: None,
            offered: Vec::new(),
            attempts: Vec::new(),
            failures: Vec::new(),
            findings: Vec::new(),
            overrides: Vec::new(),
            violations: Vec::new(),
            warnings: Vec::new(),
            escalations: Vec::new(),
            freeze_told: false,
            held: false,
            handshake_required: false,
            unstated: false,
            certificates: Vec::new(),
            superseded: Vec::new(),
            tokens: Vec::new(),
            tokens_made: 0,
            serial: 1,
            decided: Some(at),
        }
    }

    /// Its stratum in rollouts (RO-2).
    #[must_use]
    pub const fn stratum(&self) -> Stratum {
        (self.kind, self.subscription.tier)
    }

    /// The escalation under this rule, unless one is open (CO-13).
    pub(crate) fn escalation(&self, rule: &str, facts: &str) -> Option<InstanceEvent> {
        let open = self.escalations.iter().any(|escalation| escalation.rule == rule);
        (!open).then(|| InstanceEvent::Escalated { rule: String::from(rule), facts: String::from(facts) })
    }

    /// The open finding with this code.
    #[must_use]
    pub fn finding(&self, code: FindingCode) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.code == code)
    }

    /// Whether the Founder's override silences this finding now (FO-3).
    #[must_use]
    pub fn is_silenced(&self, code: FindingCode, now: Timestamp) -> bool {
        self.overrides.iter().any(|given| given.code == code && given.from <= now && now <= given.until)
    }

    /// The open findings from which something follows: those that no override silences.
    pub fn standing_findings(&self, now: Timestamp) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| !self.is_silenced(finding.code, now))
    }

    /// How long a finding has been open, less the time it was silenced: its clock stood still (FO-3).
    #[must_use]
    pub fn age(&self, finding: &Finding, now: Timestamp) -> Span {
        now.since(finding.since) - self.silenced_since(finding.code, finding.since, now)
    }

    /// For how much of the time since then the Founder silenced the finding (FO-3).
    #[must_use]
    pub fn silenced_since(&self, code: FindingCode, since: Timestamp, now: Timestamp) -> Span {
        let given = self.overrides.iter().filter(|given| given.code == code);
        let silent = given.map(|given| given.until.min(now).since(given.from.max(since)));
        silent.fold(Span::ZERO, |sum, silent| sum + silent)
    }

    /// How long the oldest deactivation notice has run, less the time it was silenced (CO-5, FO-3).
    #[must_use]
    pub fn notice_ran(&self, now: Timestamp) -> Option<Span> {
        let code = FindingCode::EntitlementViolation;
        let ran = |since| now.since(since) - self.silenced_since(code, since, now);
        self.notices.iter().map(|notice| ran(notice.since)).max()
    }

    /// What it ran before the version that runs now, if the record knows. An attempt that stalled, and ended well
    /// after all, counts too: the version runs.
    #[must_use]
    pub fn previous(&self) -> Option<Version> {
        self.installation().map(|attempt| attempt.from)
    }

    /// Folds one event into the instance; `at` is when it was decided.
    pub fn apply(&mut self, event: &InstanceEvent, at: Timestamp) {
        let decided = self.decided.max(Some(at));
        self.fold(event, at);
        self.decided = decided;
    }

    fn fold(&mut self, event: &InstanceEvent, at: Timestamp) {
        match event {
            InstanceEvent::Registered(registration) => *self = Self::registered(self.id, registration, at),
            InstanceEvent::HandshakeRenewed { key, endpoint, .. } => {
                self.endpoint = endpoint.value().cloned();
                self.supersede_certificates(at);
                self.shake_hands(*key, at);
            }
            InstanceEvent::KeyRenewed { key } => {
                self.supersede_certificates(at);
                self.previous_key = Some(core::mem::replace(&mut self.key, *key));
            }
            InstanceEvent::Handshaken => {
                self.reported = at;
                self.handshake_required = false;
            }
            InstanceEvent::CertificateIssued { serial, not_after, .. } => {
                self.certificates.retain(|certificate| certificate.not_after >= at);
                let issued = Certificate { serial: serial.clone(), not_after: *not_after };
                keep_last(&mut self.certificates, issued, CERTIFICATES_MAX);
            }
            InstanceEvent::Reported { head, running, domains } => {
                self.head = Some(*head);
                self.previous_key = None;
                self.unstated = false;
                self.went_back(running.platform, at);
                // A statement mostly repeats what is on record: then nothing is copied.
                if self.running != *running {
                    self.running.clone_from(running);
                }
                self.domains.clone_from(domains);
                self.reported = at;
            }
            InstanceEvent::Moved { to, .. } => self.move_to(*to, at),
            InstanceEvent::Offered { release, rollout, action, phase, deadline, drift, security } => {
                self.offer = Some(Offer {
                    release: *release,
                    rollout: *rollout,
                    action: *action,
                    phase: *phase,
                    since: at,
                    deadline: *deadline,
                });
                self.serial += 1;
                if *action == Action::Update {
                    if !self.offered.contains(rollout) {
                        self.offered.push(*rollout);
                        self.offered.drain(..self.offered.len().saturating_sub(OFFERED_MAX));
                    }
                    self.due = Some(Due {
                        release: *release,
                        rollout: *rollout,
                        drift: *drift,
                        security: *security,
                    });
                }
            }
            InstanceEvent::OfferEnded { .. } => {
                self.offer = None;
                self.serial += 1;
            }
            InstanceEvent::ClocksTurned { drift, security, since } => {
                self.due = self.due.map(|due| Due {
                    drift: due.drift.map(|countdown| countdown.turned(*drift, *since)),
                    security: due.security.map(|countdown| countdown.turned(*security, *since)),
                    ..due
                });
            }
            InstanceEvent::DueEnded { why, .. } => {
                let due = self.due.take();
                self.freeze_told = false;
                self.forget_warnings(&[
                    Window::Update,
                    Window::Security,
                    Window::SecuritySuspension,
                    Window::DriftFreeze,
                ]);
                if *why == OfferEnd::Installed {
                    self.paid = due.map(|due| Paid { due, at });
                }
            }
            InstanceEvent::AttemptBegun { release, rollout, action, phase } => {
                self.attempt = Some(Attempt {
                    release: *release,
                    rollout: *rollout,
                    action: *action,
                    phase: *phase,
                    from: self.running.platform,
                    begun: at,
                });
            }
            InstanceEvent::AttemptFinished { outcome, .. } => self.finish_attempt(*outcome, at),
            InstanceEvent::RetryAsked { release } => {
                for failure in self.failures.iter_mut().filter(|failure| failure.release == *release) {
                    failure.retry = true;
                }
            }
            InstanceEvent::RollbackAsked { to, from, again } => {
                self.wish = Some(Wish { to: *to, from: *from, again: *again });
            }
            InstanceEvent::FindingOpened { code } => {
                self.findings.push(Finding { code: *code, since: at });
                if !self.is_silenced(*code, at) {
                    keep_last(&mut self.violations, at, VIOLATIONS_MAX);
                }
            }
            InstanceEvent::FindingClosed { code } => {
                self.findings.retain(|finding| finding.code != *code);
                if self.findings.is_empty() {
                    self.forget_warnings(&[Window::Finding]);
                }
            }
            InstanceEvent::OverrideSet { code, until } => {
                self.forgive();
                self.remember_override(*code, at, *until);
                // At its end the matter is open again.
                self.freeze_told &= *code != FindingCode::VersionDrift;
            }
            InstanceEvent::ModuleActivated { domain, .. } => {
                self.activations.push(Activation { domain: domain.clone(), since: at });
            }
            InstanceEvent::ModuleDeactivated { domain } => {
                self.activations.retain(|activation| activation.domain != *domain);
                self.tokens.retain(|token| token.domain.as_ref() != Some(domain));
                self.domains.retain(|active| active != domain);
                self.withdraw_notice(domain);
            }
            InstanceEvent::DeactivationNoticed { domain } => {
                self.notices.push(Notice { domain: domain.clone(), since: at });
                self.serial += 1;
            }
            InstanceEvent::NoticeWithdrawn { domain } => {
                self.withdraw_notice(domain);
                self.serial += 1;
            }
            InstanceEvent::Warned { window, point } => {
                self.warnings.push(Warning { window: *window, point: *point });
            }
            InstanceEvent::TokenIssued { index, domain, expires, content } => {
                self.tokens.retain(|token| token.index != *index);
                let (domain, content) = (domain.clone(), *content);
                self.tokens.push(IssuedToken {
                    index: *index,
                    domain,
                    issued: at,
                    expires: *expires,
                    content,
                });
                self.tokens_made = self.tokens_made.max(index.saturating_add(1));
            }
            InstanceEvent::SubscriptionChanged { tier, status, until } => {
                if self.subscription.status != *status {
                    self.forget_warnings(&[Window::Subscription]);
                    self.subscription.since = at;
                }
                self.subscription.tier = *tier;
                self.subscription.status = *status;
                self.subscription.until = *until;
            }
            InstanceEvent::KindChanged { kind } => self.kind = *kind,
            InstanceEvent::HoldPlaced => {
                self.held = true;
                self.forgive();
            }
            InstanceEvent::HoldLifted => {
                self.held = false;
                self.forgive();
            }
            InstanceEvent::Escalated { rule, facts } => {
                self.freeze_told |= rule == StandingOrder::DriftFreeze.rule();
                self.escalations.push(Escalation::new(rule, facts, at));
            }
            InstanceEvent::EscalationAcknowledged { rule } => {
                Escalation::acknowledge(&mut self.escalations, rule, at);
            }
            InstanceEvent::EscalationsResolved => {
                self.escalations.clear();
                // The Founder has dealt with them: the count begins anew.
                self.violations.clear();
            }
        }
    }

    /// An order changed something: what failed may be tried again (RO-9).
    fn forgive(&mut self) {
        self.failures.iter_mut().for_each(|failure| failure.retry = true);
    }

    /// An earlier version runs, and no attempt brought it: what was left is owed as if it had never been paid (RO-9).
    fn went_back(&mut self, platform: Version, at: Timestamp) {
        let asked = self.attempt.is_some_and(|attempt| attempt.release == platform);
        if platform >= self.running.platform || asked {
            return;
        }
        let due = self.paid.map(|paid| paid.due);
        let (drift, security) = (due.and_then(|due| due.drift), due.and_then(|due| due.security));
        self.left = Some(Left { release: self.running.platform, again: at, drift, security });
    }

    fn forget_warnings(&mut self, windows: &[Window]) {
        self.warnings.retain(|warning| !windows.contains(&warning.window));
    }

    fn withdraw_notice(&mut self, domain: &DomainCode) {
        self.notices.retain(|notice| notice.domain != *domain);
        if self.notices.is_empty() {
            self.forget_warnings(&[Window::Deactivation]);
        }
    }

    fn shake_hands(&mut self, key: InstanceKey, at: Timestamp) {
        self.key = key;
        self.previous_key = None;
        self.head = None;
        self.reported = at;
        self.handshake_required = false;
    }

    fn move_to(&mut self, to: State, at: Timestamp) {
        if to == State::Revoked || (self.state == State::Revoked && to == State::Suspended) {
            // Nothing is asked of a revoked instance, and a restored one begins anew (LC-17).
            self.offer = None;
            self.attempt = None;
            self.due = None;
            self.paid = None;
            self.left = None;
            self.findings.clear();
            self.warnings.clear();
            self.violations.clear();
            self.notices.clear();
            self.failures.clear();
            self.previous_key = None;
            self.freeze_told = false;
            self.handshake_required = to == State::Suspended;
            self.unstated = to == State::Suspended;
            // What a status list has called invalid never counts again (EN-6).
            self.tokens.clear();
        }
        if matches!(to, State::Suspended | State::Revoked) {
            self.wish = None;
        }
        if to == State::Suspended {
            // What was being installed may run all the same (LC-19: it may report).
            self.interrupted = self.attempt.map(|attempt| attempt.release).or(self.interrupted);
            self.attempt = None;
        }
        self.state = to;
        self.since = at;
        self.serial += 1;
    }

    fn finish_attempt(&mut self, outcome: Outcome, at: Timestamp) {
        let Some(attempt) = self.attempt.take() else { return };
        self.remember_attempt(FinishedAttempt {
            release: attempt.release,
            rollout: attempt.rollout,
            action: attempt.action,
            phase: attempt.phase,
            from: attempt.from,
            finished: at,
            outcome,
        });
        if let Some(wish) = self.wish.take_if(|wish| wish.to == attempt.release)
            && outcome == Outcome::Succeeded
        {
            let paid = self.paid.filter(|paid| paid.due.release == wish.from);
            let drift = paid.and_then(|paid| paid.due.drift);
            self.left = Some(Left { release: wish.from, again: wish.again, drift, security: None });
        } else if outcome == Outcome::Succeeded {
            self.left = self.left.filter(|left| left.release > attempt.release);
        }
        let earlier = self.failures.iter().position(|failure| failure.release == attempt.release);
        let times = earlier.map(|index| self.failures.remove(index)).map_or(0, |failure| failure.times);
        if outcome != Outcome::Succeeded {
            if self.failures.len() >= FAILURES_MAX {
                self.failures.remove(0);
            }
            self.failures.push(Failure {
                release: attempt.release,
                at,
                times: times.saturating_add(1),
                retry: false,
            });
        }
    }

    /// A sentence for people: what the instance is doing and why.
    #[must_use]
    pub fn summary(&self) -> String {
        let offered = self.offer.map(|offer| alloc::format!(", {} {} on offer", offer.action, offer.release));
        alloc::format!("{} on {}{}", self.state, self.running.platform, offered.unwrap_or_default())
    }
}

/// Adds to a list that remembers the last so many.
fn keep_last<T>(list: &mut Vec<T>, item: T, most: usize) {
    list.push(item);
    list.drain(..list.len().saturating_sub(most));
}
