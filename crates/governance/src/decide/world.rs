//! Judges commands about the federation as a whole: releases, rollouts, freezes, the red switch, orders.

use alloc::string::String;
use alloc::vec::Vec;

use crate::event::WorldEvent;
use crate::id::{Digest, RolloutId};
use crate::lifecycle::Authority;
use crate::refusal::{Reason, Refusal};
use crate::release::{Class, Release, Restriction};
use crate::rollout::{PauseCause, Phase, Rollout, RolloutStatus};
use crate::time::Timestamp;
use crate::version::Version;
use crate::world::World;

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
            publish(world, release, *digest, restriction, approval)
        }
        WorldCommand::Withdraw { release } => withdraw(world, *release),
        WorldCommand::Pause { release } => pause(find(world, *release)?),
        WorldCommand::Resume { release, by } => resume(find(world, *release)?, *by),
        WorldCommand::Abort { release } => {
            let rollout = find(world, *release)?;
            allow(rollout, rollout.is_open(), "be aborted")?;
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
        WorldCommand::Freeze { from, until } => {
            Ok(alloc::vec![WorldEvent::FreezeSet { from: *from, until: *until }])
        }
        WorldCommand::RedSwitch { on } if *on == world.red_switch => Ok(Vec::new()),
        WorldCommand::RedSwitch { on } => Ok(red_switch(*on)),
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
) -> Result<Vec<WorldEvent>, Refusal> {
    let version = release.version;
    match world.releases.get(&version) {
        Some(published) if published.digest == digest && world.rolls_out(version, restriction, approval) => {
            return Ok(Vec::new());
        }
        Some(_) => return Err(Reason::ReleaseExists { release: version }.into()),
        None => {}
    }
    release.check(&world.matrix)?;
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
    events.push(WorldEvent::RolloutOpened {
        rollout: RolloutId::of_release(digest),
        release: version,
        restriction: restriction.clone(),
        approval: approval.to_vec(),
    });
    Ok(events)
}

/// Whoever stops every rollout at once is answerable for it to the Founder.
fn red_switch(on: bool) -> Vec<WorldEvent> {
    let mut events = alloc::vec![WorldEvent::RedSwitchTurned { on }];
    if on {
        events.push(WorldEvent::FederationEscalated {
            rule: String::from("RO-6"),
            facts: String::from("an operator turned the red switch: every rollout is paused"),
        });
    }
    events
}

fn withdraw(world: &World, release: Version) -> Result<Vec<WorldEvent>, Refusal> {
    if world.release(release).is_none() {
        return Err(Reason::UnknownRelease { release }.into());
    }
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
    if cause == PauseCause::FailureBound && by != Authority::Founder {
        return Err(Reason::NotAuthorised { by }.into());
    }
    Ok(alloc::vec![WorldEvent::RolloutResumed { rollout: rollout.id, cause }])
}

fn approve(rollout: &Rollout) -> Result<Vec<WorldEvent>, Refusal> {
    let next = rollout.next_phase().filter(|next| rollout.is_open() && rollout.awaits_approval(*next));
    let Some(phase) = next else {
        allow(rollout, false, "be approved")?;
        return Ok(Vec::new());
    };
    Ok(alloc::vec![WorldEvent::PhaseApproved { rollout: rollout.id, phase }])
}
