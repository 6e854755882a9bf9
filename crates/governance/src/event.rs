//! What can be decided: the events of an instance and those of the federation as a whole, each with its rule and authority.
//!
//! Events are facts in the past tense. They judge nothing and change nothing by themselves.

mod standing;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::committed::{Committed, Opening, OpeningError};
use crate::constitution::ConstitutionDocument;
use crate::constitution::StandingOrder;
use crate::finding::FindingCode;
use crate::id::{
    Digest, DomainCode, Endpoint, InstanceId, InstanceKey, Label, ProviderId, RolloutId, TrustDomain,
};
use crate::instance::{Action, Countdown, OfferEnd, Outcome, Running, StatementHead};
use crate::lifecycle::{Cause, State};
use crate::module::Catalogue;
use crate::release::{Matrix, Release, Restriction};
use crate::rollout::{Cutoff, PauseCause, Phase};
use crate::tier::{Kind, SubscriptionStatus, Tier};
use crate::time::Timestamp;
use crate::version::Version;
use crate::warning::{Point, Window};

/// What a registration puts on record (ID-2, HS-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Digest of the enrolment secret it was made with.
    pub enrolment: Digest,
    /// Kind of the instance.
    pub kind: Kind,
    /// Its tier.
    pub tier: Tier,
    /// Whose it is.
    pub provider: Option<ProviderId>,
    /// What operators call it by.
    pub labels: Committed<Vec<Label>>,
    /// Where it can be challenged.
    pub endpoint: Committed<Endpoint>,
    /// Its public key.
    pub key: InstanceKey,
    /// What it runs.
    pub running: Running,
    /// Its active domains.
    pub domains: Vec<DomainCode>,
}

/// The commitments of one event, and how many of them could be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// How many there are.
    pub committed: u64,
    /// How many were opened.
    pub opened: u64,
    /// Whether labels are among those that were not: rollouts can be for labelled instances alone (RO-6).
    pub labels: bool,
}

impl Sealed {
    fn open<T: Serialize + serde::de::DeserializeOwned>(
        &mut self,
        committed: &mut Committed<T>,
        find: impl Fn(Digest) -> Option<Opening>,
    ) -> Result<bool, OpeningError> {
        self.committed += 1;
        let Some(opening) = find(committed.digest()) else { return Ok(false) };
        committed.open(&opening)?;
        self.opened += 1;
        Ok(true)
    }
}

/// What happened to one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum InstanceEvent {
    /// It got its identity (HS-1).
    Registered(Box<Registration>),
    /// It enrolled afresh under its id (HS-1): new key, new chain.
    HandshakeRenewed {
        /// Its new public key.
        key: InstanceKey,
        /// Digest of the enrolment secret it was made with.
        enrolment: Digest,
        /// Where it can be challenged from now on.
        endpoint: Committed<Endpoint>,
    },
    /// It renewed under another key (HS-2): it said so itself, under the key it had.
    KeyRenewed {
        /// Its public key from now on.
        key: InstanceKey,
    },
    /// Restored, it shook hands afresh by a renewal (LC-17); its chain goes on.
    Handshaken,
    /// A certificate was issued over the key on record (HS-1, HS-2). It makes no key the instance's.
    CertificateIssued {
        /// The key certified.
        key: InstanceKey,
        /// Serial number of the certificate, in hexadecimal.
        serial: String,
        /// When it ends.
        not_after: Timestamp,
    },
    /// It signed a version statement (HS-3).
    Reported {
        /// The statement, as the head of the chain.
        head: StatementHead,
        /// What it says it runs.
        running: Running,
        /// The domains it says are active.
        domains: Vec<DomainCode>,
    },
    /// It went from one state to another (§III).
    Moved {
        /// From here,
        from: State,
        /// to there,
        to: State,
        /// because of this.
        cause: Cause,
    },
    /// A release was offered to it (LC-2, RO-3).
    Offered {
        /// Which release.
        release: Version,
        /// By which rollout.
        rollout: RolloutId,
        /// To do what.
        action: Action,
        /// The phase that added it.
        phase: Phase,
        /// When lacking it becomes a finding.
        deadline: Option<Timestamp>,
        /// The drift clock from now on, and how long it may run (RO-8, FO-5).
        drift: Option<Countdown>,
        /// The security clock from now on.
        security: Option<Countdown>,
    },
    /// The offer ended.
    OfferEnded {
        /// Of which release.
        release: Version,
        /// Why.
        why: OfferEnd,
    },
    /// The clocks of what it owes run from now on, or stand still (RO-7, LC-19, FO-3).
    ClocksTurned {
        /// Whether the drift clock runs.
        drift: bool,
        /// Whether the security clock runs.
        security: bool,
        /// From when: a pause counts from its beginning.
        since: Timestamp,
    },
    /// It owes the release no more.
    DueEnded {
        /// Which release.
        release: Version,
        /// Why.
        why: OfferEnd,
    },
    /// It began to install (LC-3, LC-13).
    AttemptBegun {
        /// Which release.
        release: Version,
        /// By which rollout.
        rollout: RolloutId,
        /// To do what.
        action: Action,
        /// The phase it counts for.
        phase: Phase,
    },
    /// The attempt ended (RO-3).
    AttemptFinished {
        /// Which release.
        release: Version,
        /// How.
        outcome: Outcome,
        /// What the Runtime says about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The owner asked for another try (RO-9).
    RetryAsked {
        /// Of which release.
        release: Version,
    },
    /// The owner asked to go back to what ran before (RL-2).
    RollbackAsked {
        /// To this version,
        to: Version,
        /// from this one,
        from: Version,
        /// which is offered again then (RO-9).
        again: Timestamp,
    },
    /// An audit found something (§VI).
    FindingOpened {
        /// What.
        code: FindingCode,
    },
    /// It is cleared.
    FindingClosed {
        /// What.
        code: FindingCode,
    },
    /// The Founder silenced a finding until a date (FO-3).
    OverrideSet {
        /// Which.
        code: FindingCode,
        /// Until when.
        until: Timestamp,
    },
    /// It got the right to run a domain (EN-2, EN-5).
    ModuleActivated {
        /// Which.
        domain: DomainCode,
        /// In which version.
        version: Version,
    },
    /// It switched a domain off, and with it the right.
    ModuleDeactivated {
        /// Which.
        domain: DomainCode,
    },
    /// It runs a domain without a right, and is told to switch it off (EN-3, CO-5).
    DeactivationNoticed {
        /// Which.
        domain: DomainCode,
    },
    /// The notice is void: the right is there, or the domain is off.
    NoticeWithdrawn {
        /// Of which domain.
        domain: DomainCode,
    },
    /// A token over one of its rights was signed (EN-4, EN-5).
    TokenIssued {
        /// Its place in the status list (EN-6).
        index: u32,
        /// The right to run this domain; none: its entitlement.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<DomainCode>,
        /// When it ends.
        expires: Timestamp,
        /// Digest of what it says.
        content: Digest,
    },
    /// It was warned that a window runs out (CO-12).
    Warned {
        /// Which window.
        window: Window,
        /// How far it had run.
        point: Point,
    },
    /// Its subscription changed (§VII).
    SubscriptionChanged {
        /// The tier from now on.
        tier: Tier,
        /// The status from now on.
        status: SubscriptionStatus,
        /// Up to when it is paid for, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// It is of another kind from now on: it was moved (ID-3).
    KindChanged {
        /// The kind from now on.
        kind: Kind,
    },
    /// The Founder holds it suspended (LC-19).
    HoldPlaced,
    /// The Founder lifts the hold.
    HoldLifted,
    /// The matter was put before the Founder (CO-13).
    Escalated {
        /// The rule that asks for it.
        rule: String,
        /// What happened.
        facts: String,
    },
    /// Somebody has what lies before the Founder in hand (FO-2).
    EscalationAcknowledged {
        /// The rule that asked for it.
        rule: String,
    },
    /// An order that names the instance resolved what was open (CO-13).
    EscalationsResolved,
}

/// What happened to the federation as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum WorldEvent {
    /// The federation was founded: the first entry of every ledger.
    Founded {
        /// Its name.
        trust_domain: TrustDomain,
    },
    /// A keys document came into force (AU-4).
    KeysPublished {
        /// Its serial.
        serial: u64,
        /// Digest of the document.
        digest: Digest,
    },
    /// A TUF root came into force: whose keys sign what of the repository (RL-3).
    RootPublished {
        /// Its version.
        version: u64,
        /// Digest of its file.
        digest: Digest,
    },
    /// A constitution came into force (FO-5).
    ConstitutionRatified {
        /// Digest of the document.
        digest: Digest,
        /// The document.
        document: Box<ConstitutionDocument>,
    },
    /// The constitution ratified before came into force: its date had come (FO-5).
    ConstitutionEffective {
        /// Digest of the document.
        digest: Digest,
    },
    /// The fleet was counted, for the brake on standing orders (CO-14).
    FleetCounted {
        /// Instances that are not revoked.
        instances: u64,
    },
    /// A standing order took an instance (LC-18).
    StandingOrderTaken {
        /// Which order.
        order: StandingOrder,
        /// Which instance.
        instance: InstanceId,
    },
    /// The Founder lets a release remove a capability before its notice is over (RL-8).
    RemovalAllowed {
        /// Which release may.
        release: Version,
        /// What it removes.
        capability: String,
    },
    /// The Organism's module catalogue (RL-5, EN-1).
    CataloguePublished {
        /// The catalogue.
        catalogue: Catalogue,
    },
    /// The Organism's runtime matrix (RL-5).
    MatrixPublished {
        /// The matrix.
        matrix: Matrix,
    },
    /// The Organism's release was published (RL-1).
    ReleasePublished {
        /// Digest of the signed manifest.
        digest: Digest,
        /// The release.
        release: Box<Release>,
    },
    /// A release was withdrawn.
    ReleaseWithdrawn {
        /// Which.
        release: Version,
    },
    /// A Founder's order was accepted (FO-1).
    OrderAccepted {
        /// Its serial.
        serial: u64,
        /// Digest of the order.
        digest: Digest,
    },
    /// An operator made an enrolment (HS-1).
    EnrolmentCreated {
        /// Digest of the secret.
        digest: Digest,
        /// Kind of the instance to be.
        kind: Kind,
        /// Its tier.
        tier: Tier,
        /// Whose it is to be (ID-3).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<ProviderId>,
        /// When the secret expires.
        expires: Timestamp,
        /// The instance that is to enrol afresh under its id; none: a new one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<InstanceId>,
    },
    /// A second person approved that an instance enrols afresh (HS-1).
    EnrolmentApproved {
        /// Digest of the secret.
        digest: Digest,
    },
    /// A person's certificate counts no more (AU-2).
    PersonRevoked {
        /// Whose it is, as `operator/admin`.
        person: String,
        /// Its serial number, in hexadecimal.
        serial: String,
    },
    /// No offers inside, except of security releases (RO-6).
    FreezeSet {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// The red switch was turned (RO-6).
    RedSwitchTurned {
        /// On or off.
        on: bool,
        /// Why, as whoever turned it said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A matter of the whole federation was put before the Founder (CO-13).
    FederationEscalated {
        /// The rule that asks for it.
        rule: String,
        /// What happened.
        facts: String,
    },
    /// The plane could not be reached (CO-7): no silence meanwhile counts against an instance.
    OutageRecorded {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// Somebody has a matter of the whole federation in hand (FO-2).
    FederationEscalationAcknowledged {
        /// The rule that asked for it.
        rule: String,
    },
    /// Somebody has a matter of a rollout in hand (FO-2).
    RolloutEscalationAcknowledged {
        /// Which rollout.
        rollout: RolloutId,
        /// The rule that asked for it.
        rule: String,
    },
    /// A rollout was made.
    RolloutOpened {
        /// Its id.
        rollout: RolloutId,
        /// Of which release.
        release: Version,
        /// Whom it is for.
        restriction: Restriction,
        /// Phases that wait for an approval.
        approval: Vec<Phase>,
    },
    /// A phase opened (RO-1, RO-4).
    PhaseOpened {
        /// Of which rollout.
        rollout: RolloutId,
        /// Which phase.
        phase: Phase,
        /// Instances eligible now.
        eligible: u64,
        /// Instances inside now.
        cohort: u64,
        /// Cut-offs per stratum.
        cutoffs: Vec<Cutoff>,
    },
    /// The phase's time is up, and it holds (RO-4).
    RolloutHeld {
        /// Which rollout.
        rollout: RolloutId,
        /// For want of what.
        why: String,
    },
    /// A phase was approved (RO-6).
    PhaseApproved {
        /// Of which rollout.
        rollout: RolloutId,
        /// Which phase.
        phase: Phase,
    },
    /// Everyone had it.
    RolloutDone {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// Too many failed (RO-3).
    RolloutHalted {
        /// Which rollout.
        rollout: RolloutId,
        /// In which phase.
        phase: Phase,
        /// Attempts failed.
        failed: u64,
        /// Attempts finished.
        finished: u64,
    },
    /// Its offers stopped (RO-5, RO-6).
    RolloutPaused {
        /// Which rollout.
        rollout: RolloutId,
        /// By whom or what.
        cause: PauseCause,
        /// Attempts failed, where that was the cause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<u64>,
        /// Attempts finished, where failures were the cause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        finished: Option<u64>,
    },
    /// Its offers go on.
    RolloutResumed {
        /// Which rollout.
        rollout: RolloutId,
        /// What it had been paused for.
        cause: PauseCause,
    },
    /// It ended where it stood (RO-6).
    RolloutAborted {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// A newer release of its line took its place (RO-8).
    RolloutSuperseded {
        /// Which rollout.
        rollout: RolloutId,
        /// By which release.
        by: Version,
    },
    /// An order that names the rollout resolved what was open (CO-13).
    RolloutEscalationsResolved {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// Its release was withdrawn.
    RolloutWithdrawn {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// The matter was put before the Founder (CO-13).
    RolloutEscalated {
        /// Which rollout.
        rollout: RolloutId,
        /// The rule that asks for it.
        rule: String,
        /// What happened.
        facts: String,
    },
}

/// One decided event with its subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Of the federation as a whole, or of a rollout.
    World(WorldEvent),
    /// Of one instance.
    Instance(InstanceId, InstanceEvent),
}
