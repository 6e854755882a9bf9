//! The seven invariants of the law (§11), each a pure function in a file of its own.
//!
//! Never asks how an event came about: they look at what was, what was decided, and what is.

pub(super) mod in_1;
pub(super) mod in_2;
pub(super) mod in_3;
pub(super) mod in_4;
pub(super) mod in_5;
pub(super) mod in_6;
pub(super) mod in_7;

use std::collections::BTreeMap;

use governance::instance::Attempt;
use governance::{Authority, Instance, InstanceEvent, Running, State, Version, World, WorldEvent};

use super::book::Signed;

/// What the invariants look at of an instance as it was.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub(super) state: State,
    pub(super) running: Running,
    pub(super) attempt: Option<Attempt>,
}

/// One event of one instance, with what was and what is.
pub(super) struct Step<'a> {
    /// Who asked for what was decided.
    pub(super) by: Authority,
    pub(super) before: &'a Before,
    pub(super) event: &'a InstanceEvent,
    pub(super) after: &'a Instance,
    pub(super) world: &'a World,
    /// What the Organism signed, by its own books.
    pub(super) signed: &'a BTreeMap<Version, Signed>,
}

/// What a check says: nothing, or what is wrong.
pub(super) type Verdict = Result<(), String>;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) invariant: &'static str,
    pub(super) what: String,
}

fn named(invariant: &'static str, verdict: Verdict) -> Result<(), Broken> {
    verdict.map_err(|what| Broken { invariant, what })
}

/// What must hold of every event.
pub(super) fn of_event(step: &Step<'_>) -> Result<(), Broken> {
    named("IN-1", in_1::check(step))?;
    named("IN-2", in_2::check(step))?;
    named("IN-4", in_4::check(step))?;
    named("IN-5", in_5::check(step))?;
    named("IN-6", in_6::check(step))
}

/// What must hold of every instance once everything is done that was due.
pub(super) fn of_instance(instance: &Instance, signed: &BTreeMap<Version, Signed>) -> Result<(), Broken> {
    named("IN-3", in_3::check(instance, signed))?;
    named("IN-7", in_7::check(instance))
}

/// What must hold of every event of the federation as a whole.
pub(super) fn of_world(event: &WorldEvent, signed: &BTreeMap<Version, Signed>) -> Result<(), Broken> {
    named("IN-2", in_2::check_world(event))?;
    named("IN-5", in_5::check_world(event, signed))
}
