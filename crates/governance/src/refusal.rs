//! Refusals: every rule that failed, each with a stable code, a sentence, and what to do next.
//!
//! A refusal is an answer, not an accident: it changes nothing, but may have something to put on record.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::event::InstanceEvent;
use crate::finding::FindingCode;
use crate::id::DomainCode;
use crate::layer::StackError;
use crate::lifecycle::{Authority, State};
use crate::time::Timestamp;
use crate::version::{Line, Version, VersionRange};

/// One rule that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The law has no such transition (§III).
    #[error("no transition leads from {from} to {to} by the {by}")]
    IllegalTransition {
        /// Where it stands.
        from: State,
        /// Where it was to go.
        to: State,
        /// Who asked.
        by: Authority,
    },
    /// LC-19.
    #[error("the instance is revoked since {since}")]
    InstanceRevoked {
        /// Since when.
        since: Timestamp,
    },
    /// LC-9, LC-1.
    #[error("the subscription is not active")]
    SubscriptionNotActive,
    /// LC-9.
    #[error("the audit is not clean: {}", words(findings))]
    AuditNotClean {
        /// What is open.
        findings: Vec<FindingCode>,
    },
    /// LC-17.
    #[error("a restored instance must shake hands afresh first")]
    HandshakeRequired,
    /// HS-2.
    #[error("another key is on record for the instance")]
    KeySuperseded,
    /// HS-1.
    #[error(
        "enrolling afresh takes a new key: this one is the instance's already, and whoever copied it would keep it"
    )]
    KeyNotNew,
    /// HS-1.
    #[error("whoever asked that the instance enrol afresh cannot approve it as well")]
    ApprovalOwn,
    /// HS-1.
    #[error("the enrolment was used before")]
    EnrolmentUsed,
    /// HS-1.
    #[error("no second person approved the enrolment yet")]
    EnrolmentUnapproved,
    /// HS-1.
    #[error("the enrolment expired at {expires}")]
    EnrolmentExpired {
        /// When.
        expires: Timestamp,
    },
    /// LC-19.
    #[error("the Founder suspended the instance: only his `restore` lifts it")]
    HeldByFounder,
    /// IN-2.
    #[error("release {release} has no rollback instructions")]
    NoRollbackInstructions {
        /// Which release.
        release: Version,
    },
    /// RL-1.
    #[error("major release {release} has no migration guide")]
    NoMigrationGuide {
        /// Which release.
        release: Version,
    },
    /// RL-2.
    #[error("{release} is of class module: a module is a row of the catalogue")]
    ModuleRelease {
        /// Which release.
        release: Version,
    },
    /// RL-4.
    #[error("the stack of release {release} does not close: {breach}")]
    StackBroken {
        /// Which release.
        release: Version,
        /// Where.
        breach: StackError,
    },
    /// RL-5.
    #[error("the runtime matrix has no row for {line}")]
    NoMatrixRow {
        /// Which line.
        line: Line,
    },
    /// RL-5.
    #[error("runtime {runtime} is outside {range}")]
    RuntimeIncompatible {
        /// Which runtime.
        runtime: Version,
        /// What is allowed.
        range: VersionRange,
    },
    /// RL-6.
    #[error("release {release} cannot follow {installed}: {skipped} lies between")]
    SkipsMajor {
        /// Which release.
        release: Version,
        /// What runs.
        installed: Version,
        /// What must come first.
        skipped: Version,
    },
    /// RL-1.
    #[error("release {release} was published already, with other content")]
    ReleaseExists {
        /// Which release.
        release: Version,
    },
    /// RL-1.
    #[error("there is no release {release}")]
    UnknownRelease {
        /// Which release.
        release: Version,
    },
    /// RO-6.
    #[error("the rollout of {release} is {status}: it cannot {verb}")]
    RolloutForbids {
        /// Of which release.
        release: Version,
        /// Where it stands.
        status: &'static str,
        /// What was asked.
        verb: &'static str,
    },
    /// RL-3, ID.
    #[error("{release} is not on offer to this instance")]
    NotOffered {
        /// Which release.
        release: Version,
    },
    /// RL-2.
    #[error("{release} may not be left by the instance's own wish: security release {security} came with it")]
    OptOutForbidden {
        /// What was to be left.
        release: Version,
        /// The security release that it is, or that lies behind it.
        security: Version,
    },
    /// RL-9.
    #[error("{release} lies below the security floor {floor} of its line")]
    BelowFloor {
        /// Which release.
        release: Version,
        /// The floor.
        floor: Version,
    },
    /// RL-2.
    #[error("release {release} could be rolled back until {closed}")]
    RollbackWindowClosed {
        /// What was to be left.
        release: Version,
        /// When its window closed.
        closed: Timestamp,
    },
    /// RO-6.
    #[error("from {from} until {until} is no time to come")]
    FreezeVoid {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// CO-7.
    #[error("from {from} until {until} is no time past behind the outages on record")]
    OutageVoid {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// ID-2.
    #[error("the statement does not list {layer}, which the Organism signed for the version")]
    LayerMissing {
        /// Which structure.
        layer: crate::layer::LayerId,
    },
    /// ID-4.
    #[error("the chain of statements does not go on from the one on record: {detail}")]
    VersionChainBroken {
        /// How.
        detail: String,
    },
    /// §III.
    #[error("state {state} forbids it")]
    StateForbids {
        /// Which state.
        state: State,
    },
    /// EN-2.
    #[error("the tier's limit of {limit} domains is reached")]
    TierLimit {
        /// The limit.
        limit: u32,
    },
    /// EN-1.
    #[error("{domain} is not in the catalogue, or is not active here")]
    UnknownDomain {
        /// Which domain.
        domain: DomainCode,
    },
    /// EN-1.
    #[error("tier {tier} has no custom domains: {domain} is one")]
    CustomDomainNotAllowed {
        /// Which domain.
        domain: DomainCode,
        /// Which tier.
        tier: crate::tier::Tier,
    },
    /// EN-2.
    #[error("{domain} needs platform {needs}, and {installed} runs")]
    PlatformTooOld {
        /// Which domain.
        domain: DomainCode,
        /// What it needs.
        needs: Version,
        /// What runs.
        installed: Version,
    },
    /// EN-2, EN-7.
    #[error("{domain} needs {needed} active")]
    DependencyMissing {
        /// Which domain.
        domain: DomainCode,
        /// What it needs.
        needed: DomainCode,
    },
    /// LC-9.
    #[error("{release} is being installed")]
    Installing {
        /// What is being installed.
        release: Version,
    },
    /// FO-2.
    #[error("nothing under {rule} lies before the Founder about it")]
    NotEscalated {
        /// The rule asked for.
        rule: String,
    },
    /// FO-3.
    #[error("the override ends at {until}, which is past")]
    OverrideVoid {
        /// When it ends.
        until: Timestamp,
    },
    /// FO-3.
    #[error(
        "{most} overrides of this instance are in force or still count for what is found, and no more are remembered"
    )]
    OverridesExhausted {
        /// How many are remembered.
        most: usize,
    },
    /// FO-5.
    #[error("the constitution contradicts itself: {detail}")]
    ConstitutionContradicts {
        /// Where.
        detail: String,
    },
    /// FO-5.
    #[error("the amendment replaces {found}, and {expected} is the latest")]
    AmendmentDetached {
        /// The latest constitution.
        expected: String,
        /// The one it names.
        found: String,
    },
    /// FO-5.
    #[error("the amendment takes effect at {effective}, before the one ratified for {latest}")]
    AmendmentTooEarly {
        /// When it takes effect.
        effective: Timestamp,
        /// When the latest does.
        latest: Timestamp,
    },
    /// RL-8.
    #[error("release {release} removes {capability}, {why}")]
    DeprecationTooSoon {
        /// Which release.
        release: Version,
        /// What it removes.
        capability: String,
        /// How its notice stands.
        why: String,
    },
    /// EN-1.
    #[error("the catalogue: {domain}: {why}")]
    CatalogueBroken {
        /// The domain at fault.
        domain: DomainCode,
        /// What is wrong with it.
        why: &'static str,
    },
    /// ID-3.
    #[error("a {kind} instance belongs to a provider")]
    ProviderRequired {
        /// Which kind.
        kind: crate::tier::Kind,
    },
    /// CO-4.
    #[error("tier {tier} runs on {expected}, not on {found}")]
    TierMismatch {
        /// Which tier.
        tier: crate::tier::Tier,
        /// Where it runs.
        expected: crate::tier::Kind,
        /// What was asked.
        found: crate::tier::Kind,
    },
    /// FO-1.
    #[error("order {serial} does not follow {last}: its serial was used")]
    OrderReplayed {
        /// Its serial.
        serial: u64,
        /// The last accepted.
        last: u64,
    },
    /// AU-4.
    #[error("keys document {serial} does not follow {last}")]
    KeysReplayed {
        /// Its serial.
        serial: u64,
        /// The one in force.
        last: u64,
    },
    /// RL-3.
    #[error("TUF root {version} does not follow {last}")]
    RootReplayed {
        /// Its version.
        version: u64,
        /// The one in force.
        last: u64,
    },
    /// FO-1.
    #[error("the order expired at {expired}")]
    OrderExpired {
        /// When.
        expired: Timestamp,
    },
    /// §1.
    #[error("the {by} may not do this")]
    NotAuthorised {
        /// Who asked.
        by: Authority,
    },
}

/// Words with commas between.
fn words<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

impl Reason {
    /// Its stable code, the rule it rests on, and what to do next.
    #[must_use]
    pub const fn about(&self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::IllegalTransition { .. } => ("illegal-transition", "LC", "see the states of the lifecycle"),
            Self::InstanceRevoked { .. } => {
                ("instance-revoked", "LC-19", "only the Founder restores a revoked instance")
            }
            Self::SubscriptionNotActive => {
                ("subscription-not-active", "CO-10", "renew the subscription first")
            }
            Self::AuditNotClean { .. } => {
                ("audit-not-clean", "LC-9", "clear the findings first: `instance show` says how")
            }
            Self::HandshakeRequired => {
                ("handshake-required", "LC-17", "let its agent run: it renews its certificate by itself")
            }
            Self::KeySuperseded => {
                ("certificate-superseded", "HS-2", "use the newest certificate, with its key")
            }
            Self::KeyNotNew => (
                "key-not-new",
                "HS-1",
                "make a new key pair and register with it; an agent that kept its folder does so by itself",
            ),
            Self::HeldByFounder => ("not-authorised", "LC-19", "ask the Founder for a `restore` order"),
            Self::NoRollbackInstructions { .. } => (
                "no-rollback-instructions",
                "IN-2",
                "add [rollback] instructions to the manifest and sign again",
            ),
            Self::NoMigrationGuide { .. } => {
                ("no-migration-guide", "RL-1", "add `migration` to the manifest and sign again")
            }
            Self::ModuleRelease { .. } => {
                ("module-release", "RL-2", "publish it in the module catalogue, or choose another class")
            }
            Self::StackBroken { .. } => {
                ("stack-broken", "RL-4", "mend the structure's `needs`, or ship what it needs")
            }
            Self::NoMatrixRow { .. } => {
                ("no-matrix-row", "RL-5", "publish a runtime matrix with a row for the line first")
            }
            Self::RuntimeIncompatible { .. } => {
                ("runtime-incompatible", "RL-5", "ship a runtime inside the matrix")
            }
            Self::SkipsMajor { .. } => ("skips-major", "RL-6", "install the release between first"),
            Self::ReleaseExists { .. } => {
                ("release-exists", "IN-3", "publish the change under a new version")
            }
            Self::UnknownRelease { .. } => {
                ("unknown-release", "RL-1", "`release list` shows what is published")
            }
            Self::RolloutForbids { .. } => ("state-forbids", "RO-6", "`rollout show` says where it stands"),
            Self::NotOffered { .. } => ("not-offered", "RL-3", "check in for what is on offer"),
            Self::OptOutForbidden { .. } => {
                ("opt-out-forbidden", "RL-2", "wait for a release that mends what is wrong with it")
            }
            Self::BelowFloor { .. } => {
                ("below-floor", "RL-9", "nobody goes below the floor that the Organism signed")
            }
            Self::RollbackWindowClosed { .. } => {
                ("rollback-window-closed", "RL-2", "wait for a release that mends what is wrong with it")
            }
            Self::FreezeVoid { .. } => {
                ("freeze-void", "RO-6", "let it end after it begins, and in the future")
            }
            Self::OutageVoid { .. } => ("outage-void", "CO-7", "record what is past, once, in order"),
            Self::LayerMissing { .. } => (
                "layer-missing",
                "ID-2",
                "list every structure of the version, with the digest of its content",
            ),
            Self::VersionChainBroken { .. } => {
                ("version-chain-broken", "ID-4", "if the instance was cloned or restored, enrol it afresh")
            }
            Self::StateForbids { .. } => ("state-forbids", "LC", "see the states of the lifecycle"),
            Self::TierLimit { .. } => {
                ("tier-limit", "EN-2", "deactivate a domain or subscribe to a larger tier")
            }
            Self::UnknownDomain { .. } => ("unknown-domain", "EN-1", "see the catalogue, and what is active"),
            Self::CustomDomainNotAllowed { .. } => {
                ("custom-domain-not-allowed", "EN-1", "subscribe to a tier that has custom domains")
            }
            Self::PlatformTooOld { .. } => {
                ("platform-too-old", "EN-2", "install a release of at least that version first")
            }
            Self::DependencyMissing { .. } => {
                ("dependency-missing", "EN-2", "activate what it needs first, and deactivate it last")
            }
            Self::Installing { .. } => ("installing", "LC-9", "wait until it has ended, or stalled"),
            Self::ApprovalOwn => ("approval-own", "HS-1", "ask another operator to approve it"),
            Self::EnrolmentUsed => ("enrolment-used", "HS-1", "ask an operator for a new enrolment"),
            Self::EnrolmentUnapproved => {
                ("enrolment-unapproved", "HS-1", "have another operator run `fedplane enrolment approve`")
            }
            Self::EnrolmentExpired { .. } => {
                ("enrolment-expired", "HS-1", "ask an operator for a new enrolment")
            }
            Self::NotEscalated { .. } => ("not-escalated", "FO-2", "`escalation list` shows what is open"),
            Self::OverrideVoid { .. } => ("override-void", "FO-3", "let the override end in the future"),
            Self::OverridesExhausted { .. } => {
                ("overrides-exhausted", "FO-3", "prolong one that is in force, or have a finding cured")
            }
            Self::ConstitutionContradicts { .. } => {
                ("constitution-contradicts", "FO-5", "mend the parameters and sign again")
            }
            Self::AmendmentDetached { .. } => {
                ("amendment-detached", "FO-5", "sign it over the latest constitution: `constitution show`")
            }
            Self::AmendmentTooEarly { .. } => {
                ("amendment-too-early", "FO-5", "let amendments take effect in the order of their making")
            }
            Self::DeprecationTooSoon { .. } => (
                "deprecation-too-soon",
                "RL-8",
                "wait for its notice to pass, or ask the Founder for `remove`",
            ),
            Self::CatalogueBroken { .. } => {
                ("catalogue-broken", "EN-1", "mend the catalogue and sign it again")
            }
            Self::ProviderRequired { .. } => ("provider-required", "ID-3", "name the provider"),
            Self::TierMismatch { .. } => {
                ("tier-mismatch", "CO-4", "choose a kind and a tier that go together")
            }
            Self::OrderReplayed { .. } => ("order-replayed", "FO-1", "sign the order with the next serial"),
            Self::KeysReplayed { .. } => ("keys-replayed", "AU-4", "sign the document with the next serial"),
            Self::RootReplayed { .. } => {
                ("root-replayed", "RL-3", "sign the root that follows the one in force")
            }
            Self::OrderExpired { .. } => {
                ("order-expired", "FO-1", "sign the order again with a later expiry")
            }
            Self::NotAuthorised { .. } => ("not-authorised", "AU-1", "ask the authority that may"),
        }
    }

    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.about().0
    }
}

/// A command refused: why, every rule at once, and what to put on record all the same (ID-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Every rule that failed; never empty.
    pub reasons: Vec<Reason>,
    /// What the attempt itself shows, to be recorded: a broken chain becomes a finding.
    pub record: Vec<InstanceEvent>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reasons: alloc::vec![reason], record: Vec::new() }
    }
}

impl From<Vec<Reason>> for Refusal {
    fn from(reasons: Vec<Reason>) -> Self {
        Self { reasons, record: Vec::new() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.reasons.iter().enumerate() {
            write!(f, "{}{reason}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl core::error::Error for Refusal {}
