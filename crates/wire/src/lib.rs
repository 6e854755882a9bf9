//! What crosses the network: the bodies of requests and answers, and problem details for refusals (RFC 9457).
//!
//! Never validates by hand: fields are governance types, parsed once.

pub mod events;
mod mark;

pub use events::Look;
pub use governance::Explanation;
use governance::warning::Warning;
use governance::{
    Authority, Digest, DomainCode, Endpoint, Event, FindingCode, InstanceId, InstanceKey, Kind, Label,
    LayerContent, Opening, Package, Phase, ProviderId, RolloutId, State, SubscriptionStatus, Tier, Timestamp,
    Version,
};
pub use mark::Mark;
use proof::challenge::Nonce;
use proof::jws::Jws;
use serde::{Deserialize, Serialize};

/// Bytes a request's body may have.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Bytes a package may have.
pub const PACKAGE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// `POST /v1/register` (HS-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The enrolment secret.
    pub secret: String,
    /// PKCS#10 request, PEM.
    pub csr: String,
    /// What the instance is (ID-2).
    pub metadata: Metadata,
}

/// Mandatory metadata (ID-2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The platform version it runs.
    pub platform: Version,
    /// The runtime version.
    pub runtime: Version,
    /// Every layer structure with its digest.
    pub layers: Vec<LayerContent>,
    /// Its active domains.
    pub domains: Vec<DomainCode>,
    /// Its tier; the enrolment's, or refused.
    pub tier: Tier,
    /// Where it can be challenged.
    pub endpoint: Endpoint,
}

/// Answer to a registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Its id from now on (ID-1).
    pub instance: InstanceId,
    /// Its certificate chain, leaf first, PEM.
    pub certificate: String,
    /// The trust bundle, PEM.
    pub bundle: String,
    /// When it should renew.
    pub renew_at: Timestamp,
    /// How often it should check in.
    pub interval_ms: u64,
    /// The keys document in force (AU-4).
    pub keys: Jws,
}

/// `POST /v1/instances/{id}/renew` (HS-2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// PKCS#10 request, PEM.
    pub csr: String,
    /// The key that the request is for, so that whoever checks the record need not read PKCS#10.
    pub key: InstanceKey,
    /// The head of the statement chain as the instance knows it; none before the first.
    pub chain_head: Option<Digest>,
    /// The statement signed behind that head, where its answer never came: the plane may or may not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Digest>,
}

/// Answer to a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// The new chain, PEM.
    pub certificate: String,
    /// When it should renew again.
    pub renew_at: Timestamp,
}

/// `POST /v1/instances/{id}/report` (HS-3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The signed version statement (ID-4).
    pub statement: Jws,
}

/// `POST /v1/instances/{id}/upgrade/begin` (LC-3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeBegin {
    /// What is being installed.
    pub release: Version,
    /// The directive it rests on.
    pub directive_serial: u64,
}

/// How an upgrade ended, as the Runtime says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeOutcome {
    /// The new version runs; the statement says so.
    Succeeded,
    /// It failed and was rolled back.
    Failed,
}

/// `POST /v1/instances/{id}/upgrade/finish` (LC-4, LC-5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeFinish {
    /// What was being installed.
    pub release: Version,
    /// How it ended.
    pub outcome: UpgradeOutcome,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What runs now, signed. Success without it is refused (RO-3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Jws>,
}

/// `POST /v1/instances/{id}/retry` (RO-9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Which release.
    pub release: Version,
}

/// `POST /v1/instances/{id}/rollback`: the owner's wish (RL-2, RO-9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Which release is to run again.
    pub release: Version,
}

/// `POST /v1/instances/{id}/answer`: to the challenge in the answer to a check-in (HS-8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeAnswer {
    /// Nonce, instance, time and the last version statement, signed by the instance.
    pub answer: Jws,
}

/// `POST /v1/instances/{id}/challenge`: what came of it (HS-8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeView {
    /// Who was asked.
    pub instance: InstanceId,
    /// What came of it.
    pub outcome: ChallengeOutcome,
    /// When.
    pub at: Timestamp,
    /// The number of the statement it showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Why, where it did not confirm the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What came of a challenge (HS-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChallengeOutcome {
    /// The instance holds its key and says what it said before.
    Confirmed,
    /// It shows the next statement, whose report is on its way.
    Ahead,
    /// Its chain is broken: a finding (CO-9).
    Broken,
    /// It was shown another ledger than this plane's: before the Founder (LG-2).
    OtherLedger,
    /// It could not be asked at its endpoint, and is asked with its next check-in.
    Waiting,
    /// It could not be asked.
    Unanswered,
}

impl ChallengeOutcome {
    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Ahead => "ahead",
            Self::Broken => "broken",
            Self::OtherLedger => "other-ledger",
            Self::Waiting => "waiting",
            Self::Unanswered => "unanswered",
        }
    }
}

/// `POST /v1/instances/{id}/modules/activate` and `…/deactivate` (HS-5, EN-7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleCall {
    /// Which domain.
    pub domain: DomainCode,
}

/// A token (EN-4, EN-5): the answer to `POST /v1/instances/{id}/entitlement` (HS-4) and `…/modules/activate` (HS-5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The JWT.
    pub token: String,
    /// When it ends.
    pub expires: Timestamp,
    /// From when a call gets a new one.
    pub renew_at: Timestamp,
}

/// Where an instance stands and what is asked of it: the answer to its calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// What is found against it.
    pub findings: Vec<FindingView>,
    /// The warnings given of windows that are open (CO-12).
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Active domains without a right, to be switched off (CO-5).
    #[serde(default)]
    pub notices: Vec<NoticeView>,
    /// It was restored, and renews its certificate to shake hands afresh (LC-17).
    pub handshake_required: bool,
    /// What is asked of it, signed (RL-3).
    pub directive: Jws,
    /// A challenge to be answered (HS-8): `POST /v1/instances/{id}/answer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Nonce>,
    /// What to say at the next check-in, to be told no more than what changed.
    pub mark: Mark,
    /// How long to wait before the next check-in.
    pub interval_ms: u64,
}

/// `POST /v1/instances/{id}/check-in` (HS-7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckIn {
    /// The mark of the last standing that the instance has, where its directive is good for long enough: if it stands there
    /// still, the answer is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub have: Option<Mark>,
}

/// Answer to a check-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CheckedIn {
    /// Nothing changed: the standing with this mark holds on.
    Unchanged {
        /// Which.
        unchanged: Mark,
        /// How long to wait before the next check-in.
        interval_ms: u64,
    },
    /// Where it stands.
    Standing(Box<Standing>),
}

/// A finding as its owner reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingView {
    /// Its code.
    pub code: String,
    /// Its rule.
    pub rule: String,
    /// Since when.
    pub since: Timestamp,
    /// What clears it.
    pub cleared_by: String,
}

/// A deactivation notice as its owner reads it (EN-3, CO-5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeView {
    /// Which domain.
    pub domain: DomainCode,
    /// Since when.
    pub since: Timestamp,
    /// Until when it is to be off; this instant is still inside.
    pub until: Timestamp,
}

/// An override as people see it (FO-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideView {
    /// Which finding is silenced.
    pub finding: FindingCode,
    /// Until when; this instant is still inside.
    pub until: Timestamp,
}

/// `GET /v1/instances/{id}/status`: all that a revoked instance may still ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
}

/// `POST /v1/enrolments` (HS-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRequest {
    /// Kind of the instance to be.
    pub kind: Kind,
    /// Its tier.
    pub tier: Tier,
    /// Whose it is; white-label and dedicated instances need one (ID-3).
    #[serde(default)]
    pub provider: Option<ProviderId>,
    /// What operators call it by.
    #[serde(default)]
    pub labels: Vec<Label>,
}

/// Answer: the secret is shown once and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentCreated {
    /// To hand to the instance.
    pub secret: String,
    /// SHA-256 of the secret: the enrolment's name for everybody else.
    pub digest: Digest,
    /// Good until.
    pub expires: Timestamp,
}

/// An instance that may enrol afresh under its id (HS-1); `GET /v1/enrolments` lists them while they are unused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentView {
    /// SHA-256 of the secret.
    pub digest: Digest,
    /// Which instance.
    pub instance: InstanceId,
    /// Who asked for it.
    pub asked: String,
    /// Who approved it, once somebody did.
    pub approved: Option<String>,
    /// Good until.
    pub expires: Timestamp,
}

/// A decision about an instance: an entry of the ledger; `GET /v1/instances/{id}/decisions` lists them (LG-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionView {
    /// Its number among the decisions about the instance, from 1.
    pub number: u64,
    /// Its position in the ledger, from 0.
    pub position: u64,
    /// When it was taken.
    pub at: Timestamp,
    /// The rule it rests on.
    pub rule: String,
    /// Who took it.
    pub authority: Authority,
    /// Who asked for it by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What was decided.
    pub event: Event,
    /// What opens its commitments (LG-1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub openings: Vec<Opening>,
}

/// An instance as operators see it; `GET /v1/instances` lists them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView {
    /// Its id.
    pub id: InstanceId,
    /// Its kind.
    pub kind: Kind,
    /// Its tier.
    pub tier: Tier,
    /// Its subscription.
    pub subscription: SubscriptionStatus,
    /// Since when it stands there.
    pub subscription_since: Timestamp,
    /// Up to when it is paid for, if that is known.
    #[serde(default)]
    pub subscription_until: Option<Timestamp>,
    /// Whose it is.
    pub provider: Option<ProviderId>,
    /// What operators call it by.
    pub labels: Vec<Label>,
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// The platform version it runs.
    pub platform: Version,
    /// The runtime version.
    pub runtime: Version,
    /// Where it can be challenged.
    pub endpoint: Option<Endpoint>,
    /// Its last statement or handshake.
    pub reported: Timestamp,
    /// When it last called, as far as the server that answers knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Timestamp>,
    /// What it is offered.
    pub offer: Option<OfferView>,
    /// What it is installing.
    pub installing: Option<Version>,
    /// The domains it has the right to run, in the order of activation (EN-5).
    #[serde(default)]
    pub domains: Vec<DomainCode>,
    /// Active domains without a right, to be switched off (CO-5).
    #[serde(default)]
    pub notices: Vec<NoticeView>,
    /// The warnings given of windows that are open (CO-12).
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// The overrides in force (FO-3).
    #[serde(default)]
    pub overrides: Vec<OverrideView>,
    /// What is found against it.
    pub findings: Vec<FindingView>,
    /// What lies before the Founder about it.
    pub escalations: Vec<EscalationView>,
}

/// An offer as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferView {
    /// What is offered.
    pub release: Version,
    /// `update` or `rollback`.
    pub action: String,
    /// The phase that added the instance.
    pub phase: Phase,
    /// When lacking it becomes a finding.
    pub deadline: Option<Timestamp>,
}

/// A matter before the Founder (CO-13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationView {
    /// The rule that asks for it.
    pub rule: String,
    /// The instance or rollout it is about.
    pub subject: String,
    /// Since when.
    pub since: Timestamp,
    /// What happened.
    pub facts: String,
    /// Since when somebody has it in hand (FO-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Timestamp>,
}

/// `POST /v1/escalations/acknowledge` (FO-2): of an instance, of a release's rollout, or of the federation as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// The rule that asked for it.
    pub rule: String,
    /// About this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// About this release's rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Version>,
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Ask for `after=` this to go on; none at the end.
    pub next: Option<String>,
}

/// A rollout as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutView {
    /// Its id.
    pub id: RolloutId,
    /// What it brings.
    pub release: Version,
    /// Of which class.
    pub class: String,
    /// `canary`, `beta`, `ga`, `done`, `paused`, `halted` …
    pub phase: String,
    /// Why it is not promoted though its time is up.
    pub holding: Option<String>,
    /// When it was made.
    pub opened: Timestamp,
    /// The phases opened, with their counts.
    pub phases: Vec<PhaseView>,
    /// Instances that were ever offered it.
    pub offered: u64,
    /// Instances that installed it.
    pub installed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Instances that installed it and went back by direction, or failed and went back by themselves.
    pub rolled_back: u64,
}

/// A phase as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseView {
    /// Which.
    pub phase: Phase,
    /// When it opened.
    pub opened: Timestamp,
    /// Eligible then.
    pub eligible: u64,
    /// Inside then, those of earlier phases included.
    pub cohort: u64,
    /// Instances the phase added that are still eligible and had, or have, something to install (RO-4).
    pub added: u64,
    /// Attempts finished.
    pub finished: u64,
    /// Of those, failed.
    pub failed: u64,
}

/// `POST /v1/releases`: a signed release and the TUF targets metadata that lists its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The release manifest, signed by the Organism threshold.
    pub release: Jws,
    /// `targets.json` as the Organism signed it, base64.
    pub targets: String,
    /// Whom the rollout is for.
    #[serde(default)]
    pub only: governance::Restriction,
    /// Phases that wait for an approval.
    #[serde(default)]
    pub approval: Vec<Phase>,
}

/// A release as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseView {
    /// Its version.
    pub version: Version,
    /// Its class.
    pub class: String,
    /// When it was published.
    pub at: Timestamp,
    /// Whether it was withdrawn.
    pub withdrawn: bool,
    /// Its package.
    pub package: Package,
    /// Where its rollout stands.
    pub phase: Option<String>,
    /// For people.
    pub notes: String,
}

/// `POST /v1/orders` (FO-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitOrder {
    /// The order, signed by the Founder threshold.
    pub order: Jws,
}

/// `POST /v1/freezes`: no offers inside, except of security releases (RO-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// From when.
    pub from: Timestamp,
    /// Until when; this instant is still inside.
    pub until: Timestamp,
}

/// `POST /v1/red-switch` (RO-6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedSwitch {
    /// Whether every offer stops.
    pub on: bool,
    /// Why; it stands in the ledger for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer to `PUT /v1/targets/{name}`: the file as it was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPut {
    /// Its flat name.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of its content.
    pub digest: Digest,
}

/// `POST /v1/instances/{id}/subscription`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionChange {
    /// The tier from now on.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// The status from now on.
    #[serde(default)]
    pub status: Option<SubscriptionStatus>,
    /// Up to when it is paid for (EN-5).
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// `POST /v1/people/revoke`: a person's certificate counts no more (AU-2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokePerson {
    /// Whose it is, as `operator/admin`.
    pub person: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
}

/// `GET /v1/people/revoked`: certificates that count no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedPeople {
    /// Their serial numbers, in hexadecimal.
    pub serials: Vec<String>,
}

/// `GET /v1/ledger/entries?from=&limit=`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPage {
    /// Position of the first.
    pub from: u64,
    /// Entries, base64 of their bytes, in order.
    pub entries: Vec<String>,
    /// What opens their commitments (LG-1).
    #[serde(default)]
    pub openings: Vec<Opening>,
}

impl EntryPage {
    /// What opens a commitment, where it was disclosed.
    #[must_use]
    pub fn opening(&self, committed: Digest) -> Option<Opening> {
        self.openings.iter().find(|opening| opening.committed == committed).cloned()
    }
}

/// `GET /v1/federation`: the plane at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federation {
    /// Its name.
    pub trust_domain: String,
    /// Instances per state.
    pub states: std::collections::BTreeMap<State, u64>,
    /// Ledger entries.
    pub ledger: u64,
    /// Digest of the constitution in force.
    pub constitution: Option<Digest>,
    /// Whether the red switch is on.
    pub red_switch: bool,
    /// What runs out, the next first.
    #[serde(default)]
    pub expires: Vec<ExpiryView>,
}

/// The whole fleet in a few numbers, and who comes to harm next if nobody does anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetSummary {
    /// Instances in all.
    pub instances: u64,
    /// The same per state.
    pub states: std::collections::BTreeMap<State, u64>,
    /// The same per platform version, of those that are not revoked.
    pub platforms: std::collections::BTreeMap<Version, u64>,
    /// Instances per finding that is open against them.
    pub findings: std::collections::BTreeMap<FindingCode, u64>,
    /// Instances with a window that runs out, by how soon.
    pub soon: SoonCounts,
    /// Those whose window runs out first, the soonest first.
    pub risks: Vec<Risk>,
}

/// Instances whose window runs out within so much time; each is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoonCounts {
    /// Within a day.
    pub day: u64,
    /// Within a week, and not within a day.
    pub week: u64,
    /// Later.
    pub later: u64,
}

/// An instance whose window runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Risk {
    /// The last instant inside.
    pub at: Timestamp,
    /// Which.
    pub instance: InstanceId,
}

/// Answer to `POST /v1/dashboard/links`: a way into the dashboard, once, for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DashboardLink {
    /// Where to go.
    pub url: String,
    /// Good until.
    pub expires: Timestamp,
    /// SHA-256 of the certificate that the dashboard shows, in hexadecimal: a browser that does not know it can be held to it.
    pub certificate: String,
}

/// `POST /v1/targets`: targets metadata that lists what the last one lists, signed anew by the Organism (RL-3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewTargets {
    /// The bytes of targets.json, base64.
    pub targets: String,
}

/// Answer: the targets metadata in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetsView {
    /// Its version.
    pub version: u64,
    /// Its last instant.
    pub expires: Timestamp,
}

/// Something that runs out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryView {
    /// What.
    pub what: String,
    /// Its last instant.
    pub at: Timestamp,
    /// Who renews it.
    pub by: Renewer,
    /// How.
    pub renew: String,
    /// Whether it is time.
    pub soon: bool,
}

/// Who renews what runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Renewer {
    /// The holders of the root keys and of the root CA.
    Founder,
    /// The holders of the Organism's keys.
    Organism,
    /// The plane, by itself.
    Plane,
}

impl Renewer {
    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Founder => "founder",
            Self::Organism => "organism",
            Self::Plane => "plane",
        }
    }
}

/// Problem details (RFC 9457) with the codes of the law. Media type `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URI reference for the kind of problem: `/problems/CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened, in a sentence.
    pub detail: String,
    /// The first reason's code.
    pub code: String,
    /// Every reason.
    pub reasons: Vec<ProblemReason>,
}

/// One rule that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemReason {
    /// Its stable code.
    pub code: String,
    /// The rule.
    pub rule: String,
    /// What happened.
    pub detail: String,
    /// What to do next.
    pub hint: String,
}

impl From<&governance::Reason> for ProblemReason {
    fn from(reason: &governance::Reason) -> Self {
        let (code, rule, hint) = reason.about();
        Self {
            code: code.to_owned(),
            rule: rule.to_owned(),
            detail: reason.to_string(),
            hint: hint.to_owned(),
        }
    }
}

impl Problem {
    /// A problem of one reason.
    #[must_use]
    pub fn new(status: u16, code: &str, rule: &str, detail: impl Into<String>, hint: &str) -> Self {
        let detail = detail.into();
        let reason = ProblemReason {
            code: code.to_owned(),
            rule: rule.to_owned(),
            detail: detail.clone(),
            hint: hint.to_owned(),
        };
        Self::of(status, detail, vec![reason])
    }

    /// A problem of several reasons; the first gives the code.
    #[must_use]
    pub fn of(status: u16, detail: String, reasons: Vec<ProblemReason>) -> Self {
        let code = reasons.first().map_or("internal", |reason| reason.code.as_str()).to_owned();
        Self {
            kind: format!("/problems/{code}"),
            title: code.replace('-', " "),
            status,
            detail,
            code,
            reasons,
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)
    }
}

impl std::error::Error for Problem {}
