//! Random timelines over a small fleet: what must hold after every step, whatever happened before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

mod acts;
mod explained;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};

use governance::{Digest, Event, Instance, InstanceEvent, World};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use acts::{Act, acts};
use timeline::Timeline;

/// Timelines within which every kind of event must have happened.
const TIMELINES_MAX: usize = 2_000;

fn played(acts: &[Act]) -> Timeline {
    let mut timeline = Timeline::new();
    timeline.sweep();
    for act in acts {
        timeline.act(*act);
        timeline.sweep();
        timeline.check_rest();
    }
    timeline
}

/// Timelines that go nowhere prove nothing: what the others look at does happen.
#[test]
fn every_kind_of_event_happens() {
    let mut runner = TestRunner::deterministic();
    let mut lacking: BTreeSet<&str> = BTreeSet::from([
        "module-activated",
        "module-deactivated",
        "deactivation-noticed",
        "notice-withdrawn",
        "override-set",
        "escalations-resolved",
        "warned",
        "clocks-turned",
        "due-ended",
        "rollback-asked",
        "finding-closed",
        "standing-order-taken",
        "constitution-effective",
        "removal-allowed",
        "fleet-counted",
        "federation-escalated",
        "rollout-halted",
        "rollout-escalated",
    ]);
    for _ in 0..TIMELINES_MAX {
        let timeline = played(&acts().new_tree(&mut runner).unwrap().current());
        for (_, event) in &timeline.log {
            let value = match event {
                Event::World(event) => serde_json::to_value(event),
                Event::Instance(_, event) => serde_json::to_value(event),
            };
            lacking.remove(value.unwrap()["type"].as_str().unwrap());
        }
        if lacking.is_empty() {
            return;
        }
    }
    panic!("never happened: {lacking:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// LC, IN-6, IN-7, RO-2: checked at every event of every timeline; see `Timeline::apply`.
    #[test]
    fn in_6_in_7_the_law_holds_on_every_timeline(acts in acts()) {
        let first = played(&acts);
        let second = played(&acts);
        prop_assert_eq!(&first.log, &second.log, "the same timeline decides the same");
        prop_assert_eq!(&first.fleet, &second.fleet);
        prop_assert_eq!(&first.world, &second.world);
        // What is written can be read again.
        for (_, event) in &first.log {
            let text = serde_json::to_string(event).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Event>(&text).unwrap(), event, "{}", text);
        }
    }

    /// RO-2, RO-4, RO-9, LC-19: what keeps a release away is named exactly while it is not on offer.
    #[test]
    fn ro_8_what_is_explained_is_what_is_done(acts in acts()) {
        let mut timeline = Timeline::new();
        timeline.sweep();
        for act in acts {
            timeline.act(act);
            timeline.sweep();
            timeline.check_explained();
        }
    }

    /// The log alone, folded anew, gives what stands: nothing changes but by an event.
    #[test]
    fn lg_3_the_log_gives_the_record(acts in acts()) {
        let timeline = played(&acts);
        let mut world = World::default();
        let mut fleet: Vec<Instance> = Vec::new();
        for (at, event) in &timeline.log {
            match event {
                Event::World(event) => world.apply(event, *at),
                Event::Instance(id, InstanceEvent::Registered(registration)) => {
                    fleet.push(Instance::registered(*id, registration, *at));
                }
                Event::Instance(id, event) => {
                    fleet.iter_mut().filter(|instance| instance.id == *id).for_each(|it| it.apply(event, *at));
                }
            }
        }
        prop_assert_eq!(&fleet, &timeline.fleet);
        prop_assert_eq!(&world, &timeline.world);
    }

    /// `apply` is total: a log in any order folds into something, and never panics.
    #[test]
    fn lg_3_apply_is_total(acts in acts(), seed in any::<u64>()) {
        let timeline = played(&acts);
        let mut order: BTreeMap<[u8; 32], &Event> = BTreeMap::new();
        for (index, (_, event)) in timeline.log.iter().enumerate() {
            order.insert(*Digest::of_parts(&[&seed.to_le_bytes(), &index.to_le_bytes()]).as_bytes(), event);
        }
        let mut world = World::default();
        let mut instance = Timeline::new().fleet.remove(0);
        for event in order.values() {
            match event {
                Event::World(event) => world.apply(event, timeline.now),
                Event::Instance(_, event) => instance.apply(event, timeline.now),
            }
        }
    }
}
