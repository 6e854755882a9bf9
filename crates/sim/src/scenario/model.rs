//! A scenario as read: typed, every name known, every reference resolved.
//!
//! Never plays anything.

use std::collections::BTreeSet;

use governance::entitlement::TokenStatus;
use governance::tier::SubscriptionStatus;
use governance::{
    Advisory, Class, Constitution, Deprecation, DomainCode, FindingCode, Kind, Label, LayerId, Phase,
    ProviderId, Restriction, Span, State, Tier, Timestamp, Version,
};

/// Codes a step may be refused with.
pub const REFUSALS: &[&str] = &[
    "illegal-transition",
    "instance-revoked",
    "subscription-not-active",
    "audit-not-clean",
    "handshake-required",
    "installing",
    "tier-limit",
    "custom-domain-not-allowed",
    "unknown-domain",
    "platform-too-old",
    "runtime-incompatible",
    "dependency-missing",
    "state-forbids",
    "no-rollback-instructions",
    "no-matrix-row",
    "skips-major",
    "not-offered",
    "opt-out-forbidden",
    "rollback-window-closed",
    "deprecation-too-soon",
    "version-chain-broken",
    "not-authorised",
    "release-exists",
    "unknown-release",
    "freeze-void",
    "below-floor",
    "not-escalated",
    "stack-broken",
    "no-migration-guide",
    "catalogue-broken",
    "override-void",
    "overrides-exhausted",
    "constitution-contradicts",
    "amendment-detached",
    "amendment-too-early",
];

/// Words a rollout is shown with.
pub const SHOWN: &[&str] = &[
    "queued",
    "canary",
    "beta",
    "ga",
    "done",
    "paused",
    "halted",
    "aborted",
    "withdrawn",
    "superseded",
    "awaiting-approval",
];

/// A timeline and what must hold on the way.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it shows.
    pub name: String,
    /// Rules it exercises.
    pub rules: Vec<String>,
    /// When it starts.
    pub start: Timestamp,
    /// The law in force.
    pub constitution: Constitution,
    /// The module catalogue; none is the default one.
    pub modules: Option<Vec<Module>>,
    /// Who joins.
    pub joiners: Vec<Joiner>,
    /// What happens, in file order.
    pub steps: Vec<Step>,
    /// What must hold, in file order.
    pub expects: Vec<Expect>,
}

/// A module of the catalogue (EN-1).
#[derive(Clone, Debug)]
pub struct Module {
    /// Its code.
    pub code: DomainCode,
    /// The platform version it needs.
    pub minimum: Version,
    /// The modules it needs.
    pub depends: Vec<DomainCode>,
    /// The one provider whose custom domain it is.
    pub provider: Option<ProviderId>,
}

/// How an instance behaves by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Begins what it is offered, and succeeds.
    Obedient,
    /// Reports and does nothing else.
    Ignores,
    /// Tries each offer once, and fails.
    Fails,
    /// Stops reporting at all.
    Silent,
    /// Reports only; steps do the rest.
    Manual,
}

impl Conduct {
    /// Every conduct.
    pub const ALL: &[Self] = &[Self::Obedient, Self::Ignores, Self::Fails, Self::Silent, Self::Manual];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Obedient => "obedient",
            Self::Ignores => "ignores",
            Self::Fails => "fails",
            Self::Silent => "silent",
            Self::Manual => "manual",
        }
    }
}

/// An instance that joins.
#[derive(Clone, Debug)]
pub struct Joiner {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its tier.
    pub tier: Tier,
    /// The platform version it starts with.
    pub platform: Version,
    /// The runtime version it starts with.
    pub runtime: Version,
    /// Its active domains, in order.
    pub domains: Vec<DomainCode>,
    /// Whose it is.
    pub provider: Option<ProviderId>,
    /// What operators call it by.
    pub labels: Vec<Label>,
    /// How it behaves.
    pub conduct: Conduct,
    /// When it joins.
    pub join: Span,
    /// Whether it stays registered.
    pub stays_registered: bool,
    /// Its deployment window: opens and closes so long after the start, and then every week (RO-7).
    pub window: Option<(Span, Span)>,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub struct Step {
    /// When, from the start.
    pub at: Span,
    /// Where it stands in the file.
    pub line: usize,
    /// What.
    pub verb: Verb,
    /// Whether it must be refused, and how.
    pub refused: Option<Refused>,
}

/// How a step must be refused.
#[derive(Clone, Debug)]
pub enum Refused {
    /// With this code among the reasons.
    Among(&'static str),
    /// With exactly these codes.
    Exactly(BTreeSet<&'static str>),
}

/// What a step does. Instances are indices into [`Scenario::joiners`].
#[derive(Clone, Debug)]
pub enum Verb {
    /// The Organism publishes a release.
    Publish(Box<Published>),
    /// A release is withdrawn.
    Withdraw(Version),
    /// An operator steers a rollout.
    Rollout(Version, RolloutVerb),
    /// The first so many attempts of a phase fail.
    Outcome {
        /// Of this release,
        release: Version,
        /// in this phase,
        phase: Phase,
        /// so many.
        failures: u32,
    },
    /// No offers inside.
    Freeze {
        /// From,
        from: Span,
        /// until, both from the start.
        until: Span,
    },
    /// The plane cannot be reached.
    Outage {
        /// From,
        from: Span,
        /// until, both from the start.
        until: Span,
    },
    /// The red switch is turned.
    RedSwitch(bool),
    /// An instance upgrades, or rolls back.
    Upgrade(usize, Version, UpgradeVerb),
    /// An instance reports.
    Report(usize, ReportStep),
    /// Its subscription changes.
    Subscription {
        /// Whose.
        instance: usize,
        /// To this tier.
        tier: Option<Tier>,
        /// To this status.
        status: Option<SubscriptionStatus>,
        /// The instance is of this kind from now on.
        kind: Option<Kind>,
    },
    /// An instance asks for a module.
    Activate(usize, DomainCode),
    /// An instance gives one up.
    Deactivate(usize, DomainCode),
    /// An operator suspends.
    Suspend(usize),
    /// An operator reactivates.
    Reactivate(usize),
    /// An instance enrols afresh.
    Handshake(usize),
    /// Deployment complete.
    Ready(usize),
    /// The owner's wish after a failed attempt.
    Retry(usize, Version),
    /// Somebody has in hand what lies before the Founder: about an instance, a rollout, or the federation.
    Acknowledge {
        /// The rule that asked for it.
        rule: String,
        /// About this instance.
        instance: Option<usize>,
        /// About this release's rollout.
        release: Option<Version>,
    },
    /// The Founder orders.
    Order(OrderVerb),
    /// The Founder amends.
    Amend {
        /// Parameters from then on.
        changes: Vec<(String, toml::Value)>,
        /// From when, from the start; none is at once.
        effective: Option<Span>,
    },
    /// Instances behave otherwise from now on; none named is all.
    Conduct(Option<usize>, Conduct),
}

/// A release as a step publishes it.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its version.
    pub version: Version,
    /// Its class.
    pub class: Class,
    /// What a minor is for.
    pub advisory: Option<Advisory>,
    /// The runtime it brings.
    pub ships_runtime: Option<Version>,
    /// Whether it has rollback instructions.
    pub rollback: bool,
    /// Whom it is for.
    pub only: Restriction,
    /// Phases that wait for an approval.
    pub approval: Vec<Phase>,
    /// Capabilities that it deprecates.
    pub deprecates: Vec<Deprecation>,
    /// Capabilities that it removes.
    pub removes: Vec<String>,
    /// The version of its line below which nobody goes.
    pub floor: Option<Version>,
    /// Its structures; none is the one of the platform itself.
    pub layers: Option<Vec<(LayerId, Vec<LayerId>)>>,
}

/// What an operator does to a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutVerb {
    /// Stops the offers.
    Pause,
    /// Lets them go on.
    Resume,
    /// Ends it where it stands.
    Abort,
    /// Approves the next phase.
    Approve,
}

impl RolloutVerb {
    /// Every verb.
    pub const ALL: &[Self] = &[Self::Pause, Self::Resume, Self::Abort, Self::Approve];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Approve => "approve",
        }
    }
}

/// What an instance does about an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeVerb {
    /// Begins it.
    Begin,
    /// Reports the version as running.
    Succeed,
    /// Reports that it failed.
    Fail,
}

impl UpgradeVerb {
    /// Every verb.
    pub const ALL: &[Self] = &[Self::Begin, Self::Succeed, Self::Fail];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Succeed => "succeed",
            Self::Fail => "fail",
        }
    }
}

/// What an instance claims.
#[derive(Clone, Debug, Default)]
pub struct ReportStep {
    /// The platform version; as it is when none.
    pub platform: Option<Version>,
    /// The runtime version; as it is when none.
    pub runtime: Option<Version>,
    /// Whether content differs from what the Organism signed.
    pub fork: bool,
    /// Whether the statement breaks the chain: by a gap (`true`) or by a second successor (`false`).
    pub chain_gap: Option<bool>,
    /// The domains; as they are when none.
    pub domains: Option<Vec<DomainCode>>,
}

/// What the Founder orders.
#[derive(Clone, Debug)]
pub enum OrderVerb {
    /// Suspension.
    Suspend(usize),
    /// Revocation.
    Revoke(usize),
    /// Restoration.
    Restore(usize),
    /// One finding is silenced for a time.
    Override {
        /// Whose.
        instance: usize,
        /// Which.
        finding: FindingCode,
        /// Until then, from the start.
        until: Span,
    },
    /// The offers of a security release go on (RO-5).
    Resume(Version),
    /// A release is taken back (RO-5).
    Withdraw(Version),
    /// A release may remove a capability early (RL-8).
    Remove(Version, String),
}

/// What must hold at a time.
#[derive(Clone, Debug)]
pub struct Expect {
    /// When, from the start.
    pub at: Span,
    /// Where it stands in the file.
    pub line: usize,
    /// What.
    pub subject: Subject,
}

/// What an expectation looks at.
#[derive(Clone, Debug)]
pub enum Subject {
    /// One instance.
    Instance(usize, Box<InstanceHolds>),
    /// One rollout.
    Rollout(Version, RolloutHolds),
    /// So many instances pass the filter.
    Fleet(Filter, u64),
    /// So many matters lie before the Founder.
    Escalations(u64),
    /// So many of them are acknowledged.
    Acknowledged(u64),
}

/// What must hold of an instance; what is not named may be anything.
#[derive(Clone, Debug, Default)]
pub struct InstanceHolds {
    /// Where it stands.
    pub state: Option<State>,
    /// The open findings, exactly.
    pub findings: Option<BTreeSet<FindingCode>>,
    /// What it runs.
    pub platform: Option<Version>,
    /// Its active domains, any order.
    pub domains: Option<BTreeSet<DomainCode>>,
    /// What a status list says of its entitlement token; `Some(None)`: it gets none.
    pub token: Option<Option<TokenStatus>>,
    /// The warnings given of windows that are open, any order.
    pub warnings: Option<BTreeSet<String>>,
    /// What is on offer; `Some(None)` is nothing.
    pub offered: Option<Option<Version>>,
    /// Every state since joining.
    pub path: Option<Vec<State>>,
    /// Every platform version since joining.
    pub versions: Option<Vec<Version>>,
    /// Why it has not got a release.
    pub explains: Option<Explains>,
}

/// What keeps a release away from an instance.
#[derive(Clone, Debug)]
pub struct Explains {
    /// Which release.
    pub release: Version,
    /// The rules of the answers, exactly, any order.
    pub rules: BTreeSet<String>,
    /// From when on it may be offered by time; `Some(None)` is never.
    pub earliest: Option<Option<Span>>,
}

/// What must hold of a rollout; what is not named may be anything.
#[derive(Clone, Debug, Default)]
pub struct RolloutHolds {
    /// The word it is shown with.
    pub phase: Option<&'static str>,
    /// Instances inside so far.
    pub cohort: Option<u64>,
    /// Why it is not promoted; `Some(None)` is no reason.
    pub holding: Option<Option<String>>,
}

/// Which instances count; what is not named lets all pass.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// By state.
    pub state: Option<State>,
    /// By platform version.
    pub platform: Option<Version>,
    /// By kind.
    pub kind: Option<Kind>,
    /// By tier.
    pub tier: Option<Tier>,
    /// By an open finding.
    pub finding: Option<FindingCode>,
}
