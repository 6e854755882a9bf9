//! What a new constitution or release would do to a real fleet: its future with the change beside its future without.
//!
//! Decides nothing itself: both futures are played hour by hour, or finer where the law is, through the functions that the server asks, on copies of the
//! records. Never writes anywhere, and the same records give the same answer.

mod pace;
mod projection;

use std::collections::{BTreeMap, BTreeSet};

use governance::decide::{WorldCommand, decide_world};
use governance::{
    Constitution, ConstitutionDocument, Digest, Instance, InstanceId, Label, Phase, Refusal, Release,
    Restriction, Span, State, Timestamp, Version, World,
};
use serde::{Serialize, Serializer};

pub use pace::STEPS_MAX;
use projection::{Future, project};

/// The longest projection, in days: ten years.
pub const DAYS_MAX: u32 = 3_660;
/// A projection's length in days where nobody says: past the drift freeze and the window of a major.
pub const DAYS_DEFAULT: u32 = 120;

/// A fleet as it is on record.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// What holds for every instance.
    pub world: World,
    /// The instances.
    pub instances: Vec<Instance>,
    /// When the projection begins.
    pub now: Timestamp,
}

/// What is tried out.
#[derive(Clone, Debug)]
pub enum Change {
    /// A draft of a constitution, ratified and in force as soon as its turn comes: at once, unless one is pending.
    Draft(Box<Constitution>),
    /// A constitution as it was signed, with its date and what it replaces.
    Signed(Digest, Box<ConstitutionDocument>),
    /// A release, published at once.
    Release(Box<Release>, Restriction, Vec<Phase>),
}

/// How the fleet behaves. Whatever it does otherwise, everyone but the revoked makes a statement within 24 hours (CO-7), and an
/// attempt already begun ends well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conduct {
    /// Nobody begins anything or switches anything off: the worst case.
    #[default]
    Ignores,
    /// Everybody installs what is on offer an hour later, or sooner where windows are shorter, and follows deactivation notices;
    /// and makes its statements twice as often as the law in force asks for them.
    Obedient,
}

impl Conduct {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignores => "ignores",
            Self::Obedient => "obedient",
        }
    }
}

/// An instance gets into a state, or out of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Where it stands from then on.
    pub state: State,
    /// The rule of the transition.
    pub rule: &'static str,
    /// What asked for it: a finding with its rule, or a rule of compliance.
    pub because: String,
}

/// An instance whose future differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which.
    pub instance: InstanceId,
    /// What operators call it by.
    pub labels: Vec<Label>,
    /// What happens to it as things stand.
    pub without: Vec<Event>,
    /// What happens to it with the change.
    pub with: Vec<Event>,
    /// What it runs at the end as things stand.
    pub platform_without: Version,
    /// What it runs at the end with the change.
    pub platform_with: Version,
}

/// A count in both futures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Of what: a state, or a state with what leads there.
    pub of: String,
    /// As things stand.
    pub without: u64,
    /// With the change.
    pub with: u64,
}

/// Both futures side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhatIf {
    /// What was tried out.
    pub change: String,
    /// How the fleet behaves.
    pub conduct: Conduct,
    /// When the futures begin.
    pub from: Timestamp,
    /// Where they end.
    pub until: Timestamp,
    /// How far apart the looks at the fleet lie.
    pub step: Span,
    /// Instances looked at.
    #[serde(serialize_with = "as_number")]
    pub instances: usize,
    /// Those whose future differs, in the order of their ids.
    pub differences: Vec<Difference>,
    /// Instances by state at the end.
    pub states: Vec<Count>,
    /// Instances that ever get into a state, by what leads there.
    pub events: Vec<Count>,
}

fn as_number<S: Serializer>(count: &usize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(*count as u64)
}

/// Why there is no projection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhatIfError {
    /// The law refuses the change: every rule that it breaks.
    #[error("the law refuses the change")]
    Refused(Box<Refusal>),
    /// A window is too short for so long a projection.
    #[error(
        "{parameter} is {window}: {days} days looked at so often are {steps} steps, and {STEPS_MAX} are the most"
    )]
    TooFine {
        /// What the window is called.
        parameter: &'static str,
        /// How long it is.
        window: Span,
        /// How many days were asked for.
        days: u32,
        /// How many steps these would be.
        steps: i64,
        /// How many days can be looked ahead at the most.
        days_max: u32,
    },
}

/// Plays both futures.
///
/// # Errors
/// When the law refuses the change, or a window is too short to look so far ahead.
pub fn what_if(fleet: &Fleet, change: &Change, conduct: Conduct, days: u32) -> Result<WhatIf, WhatIfError> {
    let days = days.min(DAYS_MAX);
    let changed = changed(&fleet.world, change, fleet.now).map_err(WhatIfError::Refused)?;
    let step = pace::step(fleet, &changed, days)?;
    // Neither future knows of the other.
    let (without, with) = std::thread::scope(|scope| {
        let with = scope.spawn(|| project(fleet, changed, conduct, step, days));
        let without = project(fleet, fleet.world.clone(), conduct, step, days);
        (without, with.join())
    });
    let with = with.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Ok(WhatIf {
        change: change.to_string(),
        conduct,
        from: fleet.now,
        until: projection::end(fleet.now, days),
        step,
        instances: fleet.instances.len(),
        differences: differences(&without, &with),
        states: counts(&without, &with, |future| BTreeSet::from([future.instance.state.to_string()])),
        events: counts(&without, &with, |future| future.events.iter().filter_map(grave).collect()),
    })
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Draft(_) => write!(f, "the draft as the law"),
            Self::Signed(digest, document) => {
                write!(f, "constitution {digest}, in force from {}", document.effective)
            }
            Self::Release(release, ..) => {
                write!(f, "{} release {} published", release.class, release.version)
            }
        }
    }
}

/// The world with the change decided.
fn changed(world: &World, change: &Change, now: Timestamp) -> Result<World, Box<Refusal>> {
    let command = match change {
        Change::Draft(parameters) => {
            let pending = world.amendments.last().map(|pending| pending.document.effective);
            let document = ConstitutionDocument {
                previous: world.latest_constitution(),
                effective: pending.map_or(now, |pending| pending.max(now)),
                parameters: (**parameters).clone(),
            };
            // What stands for the digest of a document that nobody signed yet.
            let digest = Digest::of(format!("{document:?}").as_bytes());
            WorldCommand::Amend { digest, document: Box::new(document) }
        }
        Change::Signed(digest, document) => {
            WorldCommand::Amend { digest: *digest, document: document.clone() }
        }
        Change::Release(release, restriction, approval) => WorldCommand::Publish {
            digest: Digest::of(format!("{release:?}").as_bytes()),
            release: release.clone(),
            restriction: restriction.clone(),
            approval: approval.clone(),
        },
    };
    let mut changed = world.clone();
    for event in decide_world(world, &command, now).map_err(Box::new)? {
        changed.apply(&event, now);
    }
    Ok(changed)
}

fn differences(without: &[Future], with: &[Future]) -> Vec<Difference> {
    let pairs = without.iter().zip(with).filter(|(without, with)| without.events != with.events);
    let difference = |(without, with): (&Future, &Future)| Difference {
        instance: without.instance.id,
        labels: without.instance.labels.clone(),
        without: without.events.clone(),
        with: with.events.clone(),
        platform_without: without.instance.running.platform,
        platform_with: with.instance.running.platform,
    };
    pairs.map(difference).collect()
}

/// What counts as bad: where an instance must not stay.
fn grave(event: &Event) -> Option<String> {
    let grave = matches!(event.state, State::OutOfCompliance | State::Suspended | State::Revoked);
    grave.then(|| format!("{}: {}", event.state, event.because))
}

/// So many futures have each of what `of` finds in them.
fn counts(without: &[Future], with: &[Future], of: impl Fn(&Future) -> BTreeSet<String>) -> Vec<Count> {
    let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for what in without.iter().flat_map(&of) {
        found.entry(what).or_default().0 += 1;
    }
    for what in with.iter().flat_map(&of) {
        found.entry(what).or_default().1 += 1;
    }
    found.into_iter().map(|(of, (without, with))| Count { of, without, with }).collect()
}
