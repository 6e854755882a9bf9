//! Judges commands about the federation as a whole: releases, rollouts, freezes, the red switch, orders.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::constitution::ConstitutionDocument;
use crate::event::WorldEvent;
use crate::id::{Digest, RolloutId};
use crate::lifecycle::Authority;
use crate::module::Catalogue;
use crate::refusal::{Reason, Refusal};
use crate::release::{Class, Release, Restriction};
use crate::rollout::{PauseCause, Phase, Rollout, RolloutStatus};
use crate::time::Timestamp;
use crate::version::Version;
use crate::world::World;

/// The rule by which checkpoints are signed and witnessed.
pub const WITNESSED: &str = "LG-2";

/// What can be asked about the federation as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorldCommand {
    /// The Organism publishes a release, and its rollout begins (RL-1, RO-1).
    Publish {
        /// The release, its signatures verified.
        release: alloc::boxed::Box<Release>,
        /// Digest of what was signed.
        digest: Digest,
        /// Whom it is for.
        restriction: Restriction,
        /// Phases that wait for an approval.
        approval: Vec<Phase>,
    },
    /// The release is taken back.
    Withdraw {
        /// Which.
        release: Version,
        /// Who asks.
        by: Authority,
    },
    /// An operator stops the offers (RO-6).
    Pause {
        /// Of which release.
        release: Version,
    },
    /// An operator, or for RO-5 the Founder, lets them go on.
    Resume {
        /// Of which release.
        release: Version,
        /// Who asks.
        by: Authority,
    },
    /// An operator ends the rollout where it stands (RO-6).
    Abort {
        /// Of which release.
        release: Version,
    },
    /// An operator approves the next phase (RO-6).
    Approve {
        /// Of which release.
        release: Version,
    },
    /// No offers inside, except of security releases (RO-6).
    Freeze {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// A person's certificate is to count no more (AU-2).
    RevokePerson {
        /// Whose it is, as `operator/admin`.
        person: String,
        /// Its serial number, in lower-case hexadecimal.
        serial: String,
    },
    /// The plane could not be reached (CO-7).
    RecordOutage {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// The red switch (RO-6).
    RedSwitch {
        /// On or off.
        on: bool,
        /// Why, as whoever turns it says.
        reason: Option<String>,
    },
    /// The Founder amends the constitution, its signatures verified (FO-5).
    Amend {
        /// Digest of the document.
        digest: Digest,
        /// The document.
        document: alloc::boxed::Box<ConstitutionDocument>,
    },
    /// The Founder lets a release remove a capability early (RL-8).
    AllowRemoval {
        /// Which release may.
        release: Version,
        /// What it removes.
        capability: String,
    },
    /// The Organism publishes its module catalogue, the signatures verified (RL-5, EN-1).
    PublishCatalogue {
        /// The catalogue.
        catalogue: Catalogue,
    },
    /// A keys document comes into force, its signatures verified (AU-4).
    PublishKeys {
        /// Its serial.
        serial: u64,
        /// Digest of the document.
        digest: Digest,
    },
    /// A TUF root comes into force, its signatures verified (RL-3).
    PublishRoot {
        /// Its version.
        version: u64,
        /// Digest of its file.
        digest: Digest,
    },
    /// The fleet was counted (CO-14).
    CountFleet {
        /// Instances that are not revoked.
        instances: u64,
    },
    /// So many witnesses refuse to cosign the ledger's checkpoint that it cannot be published (LG-2).
    EscalateRefusal {
        /// Which refuse, and how.
        facts: String,
    },
    /// Somebody has a matter in hand that lies before the Founder (FO-2).
    Acknowledge {
        /// Of this release's rollout; none: of the federation as a whole.
        release: Option<Version>,
        /// The rule that asked for it.
        rule: String,
    },
    /// An order of the Founder, its signatures verified (FO-1).
    AcceptOrder {
        /// Its serial.
        serial: u64,
        /// Until when it is good.
        expires: Timestamp,
        /// Digest of the order.
        digest: Digest,
    },
}

/// Judges a command about the federation as a whole.
///
/// # Errors
/// Every rule that forbids it.
pub fn decide_world(
    world: &World,
    command: &WorldCommand,
    now: Timestamp,
) -> Result<Vec<WorldEvent>, Refusal> {
    match command {
        WorldCommand::Publish { release, digest, restriction, approval } => {
            publish(world, release, *digest, restriction, approval, now)
        }
        WorldCommand::Withdraw { release, by } => withdraw(world, *release, *by),
        WorldCommand::Pause { release } => pause(find(world, *release)?),
        WorldCommand::Resume { release, by } => resume(find(world, *release)?, *by),
        WorldCommand::Abort { release } => {
            let rollout = find(world, *release)?;
            allow(rollout, rollout.is_open(), "be aborted")?;
            founders_alone(rollout, Authority::Federation)?;
            Ok(alloc::vec![WorldEvent::RolloutAborted { rollout: rollout.id }])
        }
        WorldCommand::Approve { release } => approve(find(world, *release)?),
        WorldCommand::Freeze { from, until } if until <= from || *until <= now => {
            Err(Reason::FreezeVoid { from: *from, until: *until }.into())
        }
        WorldCommand::RecordOutage { from, until } => {
            let after = world.outages.last().map_or(*from, |last| last.until);
            if until <= from || *until > now || *from < after {
                return Err(Reason::OutageVoid { from: *from, until: *until }.into());
            }
            Ok(alloc::vec![WorldEvent::OutageRecorded { from: *from, until: *until }])
        }
        WorldCommand::RevokePerson { serial, .. } if world.revoked_people.contains(serial) => Ok(Vec::new()),
        WorldCommand::RevokePerson { person, serial } => {
            Ok(alloc::vec![WorldEvent::PersonRevoked { person: person.clone(), serial: serial.clone() }])
        }
        WorldCommand::Freeze { from, until } => {
            Ok(alloc::vec![WorldEvent::FreezeSet { from: *from, until: *until }])
        }
        WorldCommand::Amend { digest, document } => amend(world, *digest, document),
        WorldCommand::AllowRemoval { release, capability } => {
            let (release, capability) = (*release, capability.clone());
            Ok(alloc::vec![WorldEvent::RemovalAllowed { release, capability }])
        }
        WorldCommand::PublishCatalogue { catalogue } if *catalogue == world.catalogue => Ok(Vec::new()),
        WorldCommand::PublishCatalogue { catalogue } => {
            catalogue.check().map_err(|(domain, why)| Reason::CatalogueBroken { domain, why })?;
            Ok(alloc::vec![WorldEvent::CataloguePublished { catalogue: catalogue.clone() }])
        }
        WorldCommand::Acknowledge { release, rule } => {
            let rollout = release.map(|release| find(world, release)).transpose()?;
            let escalations = rollout.map_or(&world.escalations, |rollout| &rollout.escalations);
            if !super::acknowledge(escalations, rule)? {
                return Ok(Vec::new());
            }
            let rule = rule.clone();
            Ok(alloc::vec![match rollout {
                Some(rollout) => WorldEvent::RolloutEscalationAcknowledged { rollout: rollout.id, rule },
                None => WorldEvent::FederationEscalationAcknowledged { rule },
            }])
        }
        WorldCommand::PublishKeys { serial, .. } if *serial <= world.keys_serial => {
            Err(Reason::KeysReplayed { serial: *serial, last: world.keys_serial }.into())
        }
        WorldCommand::PublishKeys { serial, digest } => {
            Ok(alloc::vec![WorldEvent::KeysPublished { serial: *serial, digest: *digest }])
        }
        WorldCommand::PublishRoot { version, .. } if *version <= world.root_version.max(1) => {
            Err(Reason::RootReplayed { version: *version, last: world.root_version.max(1) }.into())
        }
        WorldCommand::PublishRoot { version, digest } => {
            Ok(alloc::vec![WorldEvent::RootPublished { version: *version, digest: *digest }])
        }
        WorldCommand::CountFleet { .. } if !world.is_count_due(now) => Ok(Vec::new()),
        WorldCommand::CountFleet { instances } => {
            Ok(alloc::vec![WorldEvent::FleetCounted { instances: *instances }])
        }
        WorldCommand::EscalateRefusal { .. } if is_escalated(world, WITNESSED) => Ok(Vec::new()),
        WorldCommand::EscalateRefusal { facts } => {
            let (rule, facts) = (String::from(WITNESSED), facts.clone());
            Ok(alloc::vec![WorldEvent::FederationEscalated { rule, facts }])
        }
        WorldCommand::RedSwitch { on, .. } if *on == world.red_switch => Ok(Vec::new()),
        WorldCommand::RedSwitch { on, reason } => Ok(red_switch(*on, reason.clone())),
        WorldCommand::AcceptOrder { serial, expires, digest } => {
            if *serial <= world.order_serial {
                return Err(Reason::OrderReplayed { serial: *serial, last: world.order_serial }.into());
            }
            if *expires <= now {
                return Err(Reason::OrderExpired { expired: *expires }.into());
            }
            Ok(alloc::vec![WorldEvent::OrderAccepted { serial: *serial, digest: *digest }])
        }
    }
}

/// Whether a matter of the whole federation lies before the Founder under this rule: then it is not put there again.
fn is_escalated(world: &World, rule: &str) -> bool {
    world.escalations.iter().any(|escalation| escalation.rule == rule)
}

fn find(world: &World, release: Version) -> Result<&Rollout, Refusal> {
    world.rollout_of(release).ok_or_else(|| Reason::UnknownRelease { release }.into())
}

fn allow(rollout: &Rollout, holds: bool, verb: &'static str) -> Result<(), Refusal> {
    if holds {
        return Ok(());
    }
    Err(Reason::RolloutForbids { release: rollout.release, status: rollout.shown(), verb }.into())
}

fn publish(
    world: &World,
    release: &Release,
    digest: Digest,
    restriction: &Restriction,
    approval: &[Phase],
    now: Timestamp,
) -> Result<Vec<WorldEvent>, Refusal> {
    let version = release.version;
    match world.releases.get(&version) {
        Some(published) if published.digest == digest && world.rolls_out(version, restriction, approval) => {
            return Ok(Vec::new());
        }
        Some(_) => return Err(Reason::ReleaseExists { release: version }.into()),
        None => {}
    }
    let mut reasons = release.check(&world.matrix).err().unwrap_or_default();
    reasons.extend(removed_too_soon(world, release, now));
    if !reasons.is_empty() {
        return Err(reasons.into());
    }
    let boxed = alloc::boxed::Box::new(release.clone());
    let mut events = alloc::vec![WorldEvent::ReleasePublished { digest, release: boxed }];
    let overtaken = world.rollouts.iter().filter(|rollout| {
        rollout.is_open()
            && rollout.release.line() == version.line()
            && rollout.release < version
            // A security rollout gives way to another security release alone (RO-8).
            && (rollout.class != Class::Security || release.class == Class::Security)
    });
    events
        .extend(overtaken.map(|rollout| WorldEvent::RolloutSuperseded { rollout: rollout.id, by: version }));
    let rollout = RolloutId::of_release(digest);
    events.push(WorldEvent::RolloutOpened {
        rollout,
        release: version,
        restriction: restriction.clone(),
        approval: approval.to_vec(),
    });
    // One rollout per line at a time (RO-8): a lower version that comes late is superseded as it comes.
    let later = world.rollouts.iter().filter(|rollout| {
        rollout.is_open() && rollout.release.line() == version.line() && rollout.release > version
    });
    if let Some(later) =
        later.map(|rollout| rollout.release).max().filter(|_| release.class != Class::Security)
    {
        events.push(WorldEvent::RolloutSuperseded { rollout, by: later });
    }
    Ok(events)
}

/// The capabilities that a release removes before their notice is over, without the Founder's leave (RL-8).
fn removed_too_soon(world: &World, release: &Release, now: Timestamp) -> Vec<Reason> {
    let allowed = |capability: &String| {
        world
            .removals
            .iter()
            .any(|removal| removal.release == release.version && removal.capability == *capability)
    };
    let why = |capability: &String| match world.deprecations.get(capability) {
        None => Some(String::from("which was never deprecated")),
        Some(deprecated) => {
            let notice = world.constitution.deprecation(deprecated.weight);
            let until = deprecated.since + notice;
            (now <= until).then(|| alloc::format!("whose notice of {notice} runs until {until}"))
        }
    };
    let removed = release.removes.iter().filter(|capability| !allowed(capability));
    let too_soon = removed.filter_map(|capability| Some((capability.clone(), why(capability)?)));
    let release = release.version;
    too_soon.map(|(capability, why)| Reason::DeprecationTooSoon { release, capability, why }).collect()
}

/// An amendment replaces the latest constitution, agrees with itself, and takes effect in its turn (FO-5).
fn amend(world: &World, digest: Digest, document: &ConstitutionDocument) -> Result<Vec<WorldEvent>, Refusal> {
    let mut reasons = Vec::new();
    let latest = world.latest_constitution();
    if document.previous != latest {
        let shown = |digest: Option<Digest>| digest.map_or(String::from("none"), |digest| digest.to_string());
        reasons.push(Reason::AmendmentDetached { expected: shown(latest), found: shown(document.previous) });
    }
    if let Some(pending) = world.amendments.last()
        && document.effective < pending.document.effective
    {
        let latest = pending.document.effective;
        reasons.push(Reason::AmendmentTooEarly { effective: document.effective, latest });
    }
    if let Err(found) = document.parameters.check() {
        let detail = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        reasons.push(Reason::ConstitutionContradicts { detail });
    }
    if reasons.is_empty() {
        let document = alloc::boxed::Box::new(document.clone());
        return Ok(alloc::vec![WorldEvent::ConstitutionRatified { digest, document }]);
    }
    Err(reasons.into())
}

/// Whoever stops every rollout at once is answerable for it to the Founder.
fn red_switch(on: bool, reason: Option<String>) -> Vec<WorldEvent> {
    let mut events = alloc::vec![WorldEvent::RedSwitchTurned { on, reason }];
    if on {
        events.push(WorldEvent::FederationEscalated {
            rule: String::from("RO-6"),
            facts: String::from("an operator turned the red switch: every rollout is paused"),
        });
    }
    events
}

/// What failures paused is the Founder's to resume or withdraw, and nobody's to end otherwise (RO-5).
fn founders_alone(rollout: &Rollout, by: Authority) -> Result<(), Refusal> {
    if rollout.paused == Some(PauseCause::FailureBound) && by != Authority::Founder {
        return Err(Reason::NotAuthorised { by }.into());
    }
    Ok(())
}

fn withdraw(world: &World, release: Version, by: Authority) -> Result<Vec<WorldEvent>, Refusal> {
    if world.release(release).is_none() {
        return Err(Reason::UnknownRelease { release }.into());
    }
    world.rollout_of(release).map_or(Ok(()), |rollout| founders_alone(rollout, by))?;
    let mut events = alloc::vec![WorldEvent::ReleaseWithdrawn { release }];
    let ends = |rollout: &&Rollout| {
        rollout.release == release
            && matches!(
                rollout.status,
                RolloutStatus::Queued
                    | RolloutStatus::Running
                    | RolloutStatus::Done
                    | RolloutStatus::Superseded
            )
    };
    let ending = world.rollouts.iter().filter(ends);
    events.extend(ending.map(|rollout| WorldEvent::RolloutWithdrawn { rollout: rollout.id }));
    Ok(events)
}

fn pause(rollout: &Rollout) -> Result<Vec<WorldEvent>, Refusal> {
    let can = rollout.paused.is_none() && (rollout.is_open() || rollout.status == RolloutStatus::Done);
    allow(rollout, can, "be paused")?;
    let mut events = alloc::vec![WorldEvent::RolloutPaused {
        rollout: rollout.id,
        cause: PauseCause::Operator,
        failed: None,
        finished: None,
    }];
    let open = rollout.escalations.iter().any(|escalation| escalation.rule == "RO-6");
    if rollout.class == Class::Security && !open {
        events.push(WorldEvent::RolloutEscalated {
            rollout: rollout.id,
            rule: String::from("RO-6"),
            facts: String::from("an operator paused a security release"),
        });
    }
    Ok(events)
}

fn resume(rollout: &Rollout, by: Authority) -> Result<Vec<WorldEvent>, Refusal> {
    let Some(cause) = rollout.paused else {
        allow(rollout, false, "be resumed")?;
        return Ok(Vec::new());
    };
    founders_alone(rollout, by)?;
    let mut events = alloc::vec![WorldEvent::RolloutResumed { rollout: rollout.id, cause }];
    if by == Authority::Founder && !rollout.escalations.is_empty() {
        events.push(WorldEvent::RolloutEscalationsResolved { rollout: rollout.id });
    }
    Ok(events)
}

fn approve(rollout: &Rollout) -> Result<Vec<WorldEvent>, Refusal> {
    let next = rollout.next_phase().filter(|next| rollout.is_open() && rollout.awaits_approval(*next));
    let Some(phase) = next else {
        allow(rollout, false, "be approved")?;
        return Ok(Vec::new());
    };
    Ok(alloc::vec![WorldEvent::PhaseApproved { rollout: rollout.id, phase }])
}
