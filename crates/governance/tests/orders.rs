//! FO-1, AU-4, RL-3: what the Founder's orders bring into force is never older than what was in force before.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use governance::decide::{WorldCommand, decide_world};
use governance::{Digest, Span, Timestamp, World};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn code(world: &World, command: &WorldCommand) -> Option<&'static str> {
    decide_world(world, command, NOW).err().and_then(|refusal| refusal.reasons.first().map(|one| one.code()))
}

#[test]
fn serials_of_orders_keys_and_roots_only_rise() {
    let digest = Digest::of(b"document");
    let order = |serial| WorldCommand::AcceptOrder { serial, expires: NOW + Span::hours(1), digest };
    let keys = |serial| WorldCommand::PublishKeys { serial, digest };
    let root = |version| WorldCommand::PublishRoot { version, digest };
    let mut world = World::default();
    assert_eq!(code(&world, &root(1)), Some("root-replayed"), "the founding root is the first");
    for command in [order(3), keys(3), root(3)] {
        for event in decide_world(&world, &command, NOW).unwrap() {
            world.apply(&event, NOW);
        }
    }
    for last in 1..=3 {
        assert_eq!(code(&world, &order(last)), Some("order-replayed"));
        assert_eq!(code(&world, &keys(last)), Some("keys-replayed"));
        assert_eq!(code(&world, &root(last)), Some("root-replayed"));
    }
    for next in [order(4), keys(4), root(4)] {
        assert_eq!(code(&world, &next), None);
    }
}
