//! An instance as the record knows it, and how each event changes it.
//!
//! `apply` is total and judges nothing: a ledger can always be replayed.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::event::{InstanceEvent, Registration};
use crate::finding::{Escalation, Finding, FindingCode};
use crate::id::{Digest, DomainCode, Endpoint, InstanceId, InstanceKey, Label, ProviderId, RolloutId};
use crate::layer::LayerContent;
use crate::lifecycle::State;
use crate::rollout::{Phase, Stratum};
use crate::text::words;
use crate::tier::{Kind, Subscription, SubscriptionStatus};
use crate::time::Timestamp;
use crate::version::Version;

/// Finished attempts remembered on the instance; the ledger holds them all.
pub const ATTEMPTS_MAX: usize = 32;
/// Rollouts remembered that offered the instance something; the ledger holds them all.
pub const OFFERED_MAX: usize = 32;
/// Failed releases remembered for RO-9.
pub const FAILURES_MAX: usize = 16;

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

/// The one release the instance owes, and how long it has been owing it (RO-7, RO-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Due {
    /// Which release.
    pub release: Version,
    /// By which rollout.
    pub rollout: RolloutId,
    /// Drift so far (CO-1); none while only security releases were offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Clock>,
    /// Time since a security release's notice (CO-3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Clock>,
}

/// The owner's wish to go back to what ran before (RL-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// What is to run again.
    pub to: Version,
    /// What is to be left.
    pub from: Version,
    /// When the release left behind is offered again (RO-9).
    pub again: Timestamp,
}

/// A release that the instance left by its own wish (RO-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// Which.
    pub release: Version,
    /// When it is offered again.
    pub again: Timestamp,
    /// The drift clock of the offer by which it had come: it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Clock>,
}

impl Due {
    /// Whether its clocks run.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.drift.is_some_and(|clock| clock.is_running())
            || self.security.is_some_and(|clock| clock.is_running())
    }

    fn map(self, change: impl Fn(Clock) -> Clock) -> Self {
        Self { drift: self.drift.map(&change), security: self.security.map(&change), ..self }
    }
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
    /// Where it can be challenged (HS-8).
    pub endpoint: Endpoint,
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
    /// Its active domains, in the order of activation.
    pub domains: Vec<DomainCode>,
    /// The last statement of its chain.
    pub head: Option<StatementHead>,
    /// When it last made a statement or a handshake.
    pub reported: Timestamp,
    /// What it is offered.
    pub offer: Option<Offer>,
    /// What it is installing.
    pub attempt: Option<Attempt>,
    /// What it owes.
    pub due: Option<Due>,
    /// What it owed last and paid: the clock it would owe it by again, had it never installed it (RO-9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<Due>,
    /// Its owner's wish to go back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<Wish>,
    /// What it left by its owner's wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// Rollouts that ever offered it an update, oldest first, the last [`OFFERED_MAX`].
    pub offered: Vec<RolloutId>,
    /// Its finished attempts, oldest first, the last [`ATTEMPTS_MAX`].
    pub attempts: Vec<FinishedAttempt>,
    /// Releases that failed here.
    pub failures: Vec<Failure>,
    /// What is found against it.
    pub findings: Vec<Finding>,
    /// What lies before the Founder about it.
    pub escalations: Vec<Escalation>,
    /// Suspended by the Founder's order: only his `restore` lifts it (LC-19).
    pub held: bool,
    /// Restored, and not yet shaken hands afresh (LC-17).
    pub handshake_required: bool,
    /// Rises with each change of what is asked of it (RL-3).
    pub serial: u64,
}

impl Instance {
    /// The instance that a registration makes.
    #[must_use]
    pub fn registered(id: InstanceId, registration: &Registration, at: Timestamp) -> Self {
        Self {
            id,
            kind: registration.kind,
            provider: registration.provider.clone(),
            labels: registration.labels.clone(),
            endpoint: registration.endpoint.clone(),
            subscription: Subscription {
                tier: registration.tier,
                status: SubscriptionStatus::Active,
                since: at,
            },
            joined: at,
            state: State::Registered,
            since: at,
            key: registration.key,
            previous_key: None,
            running: registration.running.clone(),
            domains: registration.domains.clone(),
            head: None,
            reported: at,
            offer: None,
            attempt: None,
            due: None,
            paid: None,
            wish: None,
            left: None,
            offered: Vec::new(),
            attempts: Vec::new(),
            failures: Vec::new(),
            findings: Vec::new(),
            escalations: Vec::new(),
            held: false,
            handshake_required: false,
            serial: 1,
        }
    }

    /// Its stratum in rollouts (RO-2).
    #[must_use]
    pub const fn stratum(&self) -> Stratum {
        (self.kind, self.subscription.tier)
    }

    /// The open finding with this code.
    #[must_use]
    pub fn finding(&self, code: FindingCode) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.code == code)
    }

    /// What it ran before the version that runs now, if the record knows. An attempt that stalled, and ended well
    /// after all, counts too: the version runs.
    #[must_use]
    pub fn previous(&self) -> Option<Version> {
        self.installation().map(|attempt| attempt.from)
    }

    /// The attempt that brought the version that runs now, if the record knows it.
    #[must_use]
    pub fn installation(&self) -> Option<&FinishedAttempt> {
        self.attempts
            .iter()
            .rev()
            .find(|attempt| attempt.release == self.running.platform && attempt.from != self.running.platform)
    }

    /// Folds one event into the instance; `at` is when it was decided.
    pub fn apply(&mut self, event: &InstanceEvent, at: Timestamp) {
        match event {
            InstanceEvent::Registered(registration) => *self = Self::registered(self.id, registration, at),
            InstanceEvent::HandshakeRenewed { key } => self.shake_hands(*key, at),
            InstanceEvent::KeyRenewed { key } => {
                self.previous_key = Some(core::mem::replace(&mut self.key, *key))
            }
            InstanceEvent::Handshaken => {
                self.reported = at;
                self.handshake_required = false;
            }
            InstanceEvent::CertificateIssued { .. } => {}
            InstanceEvent::Reported { head, running, domains } => {
                self.head = Some(*head);
                self.previous_key = None;
                self.running.clone_from(running);
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
            InstanceEvent::ClocksStopped => self.due = self.due.map(|due| due.map(|clock| clock.stopped(at))),
            InstanceEvent::ClocksResumed => self.due = self.due.map(|due| due.map(|clock| clock.resumed(at))),
            InstanceEvent::DueEnded { why, .. } => {
                let due = self.due.take();
                if *why == OfferEnd::Installed {
                    self.paid = due;
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
            InstanceEvent::FindingOpened { code } => self.findings.push(Finding { code: *code, since: at }),
            InstanceEvent::FindingClosed { code } => self.findings.retain(|finding| finding.code != *code),
            InstanceEvent::SubscriptionChanged { tier, status } => {
                if self.subscription.status != *status {
                    self.subscription.since = at;
                }
                self.subscription.tier = *tier;
                self.subscription.status = *status;
            }
            InstanceEvent::KindChanged { kind } => self.kind = *kind,
            InstanceEvent::HoldPlaced => self.held = true,
            InstanceEvent::HoldLifted => self.held = false,
            InstanceEvent::Escalated { rule, facts } => {
                self.escalations.push(Escalation { rule: rule.clone(), since: at, facts: facts.clone() });
            }
            InstanceEvent::EscalationsResolved => self.escalations.clear(),
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
            self.failures.clear();
            self.previous_key = None;
            self.handshake_required = to == State::Suspended;
        }
        if matches!(to, State::Suspended | State::Revoked) {
            self.wish = None;
        }
        if to == State::Suspended {
            self.attempt = None;
        }
        self.state = to;
        self.since = at;
        self.serial += 1;
    }

    fn finish_attempt(&mut self, outcome: Outcome, at: Timestamp) {
        let Some(attempt) = self.attempt.take() else { return };
        if self.attempts.len() >= ATTEMPTS_MAX {
            self.attempts.remove(0);
        }
        self.attempts.push(FinishedAttempt {
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
            let drift = self.paid.filter(|paid| paid.release == wish.from).and_then(|paid| paid.drift);
            self.left = Some(Left { release: wish.from, again: wish.again, drift });
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
