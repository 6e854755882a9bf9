//! §5.4–5.6: timestamp, snapshot, targets.

use serde_json::json;

use crate::check;
use crate::world::{World, hours};

/// Init and a first refresh, so that version 1 of everything is trusted.
fn begun(world: &mut World) {
    assert!(world.init());
    assert!(world.refresh());
    world.asked();
}

const FIRST: &str = "root 1, snapshot 1, targets 1, timestamp 1";

#[test]
fn the_timestamp() {
    check(&[
        ("5.4.1", "a missing timestamp ends the refresh", |world| {
            begun(world);
            world.withhold("metadata/timestamp.json");
            world.refuses("TUF 5.4.1: ");
            assert_eq!(world.asked(), ["2.root", "timestamp"]);
            assert_eq!(world.trusted(), FIRST);
        }),
        ("5.4.1", "an endless timestamp is refused", |world| {
            begun(world);
            world.publish(&["timestamp"]);
            let mut long = world.served("metadata/timestamp.json");
            long.resize(20_000, b' ');
            world.serve("metadata/timestamp.json", long);
            world.refuses("timestamp.json answered more than");
            assert_eq!(world.trusted(), FIRST);
        }),
        ("5.4.2", "a timestamp that its keys did not sign is refused", |world| {
            begun(world);
            world.at("timestamp")["version"] = json!(2);
            let others = world.signers["snapshot"].clone();
            let forged = world.signed_by("timestamp", &others);
            world.serve("metadata/timestamp.json", forged);
            world.refuses("TUF 5.4.2: ");
            assert_eq!(world.trusted(), FIRST);
        }),
        ("5.4.2", "a threshold counts keys of the role alone, each once", |world| {
            assert!(world.init());
            world.add_key("timestamp");
            world.role("timestamp")["threshold"] = json!(3);
            world.publish(&["root"]);
            world.publish_all();
            world.refuses("TUF 5.4.2: ");
            assert_eq!(world.trusted(), "root 2");
            world.add_key("timestamp");
            world.publish(&["root"]);
            world.publish_all();
            assert!(world.refresh());
        }),
        ("5.4.3.1", "a lower version is a rollback", |world| {
            world.publish(&["timestamp"]);
            begun(world);
            world.publish_as("timestamp", 1);
            world.refuses("TUF 5.4.3.1: ");
            assert_eq!(world.asked(), ["2.root", "timestamp"]);
            assert!(world.trusted().ends_with("timestamp 2"));
        }),
        ("5.4.3.1", "the same version is passed over, whatever it says", |world| {
            begun(world);
            let kept = world.served("metadata/timestamp.json");
            world.at("timestamp")["meta"]["snapshot.json"]["version"] = json!(100);
            world.publish_as("timestamp", 1);
            assert!(world.refresh());
            assert_eq!(world.asked(), ["2.root", "timestamp"]);
            assert_eq!(std::fs::read(world.metadata().join("timestamp.json")).unwrap(), kept);
        }),
        ("5.4.3.2", "a lower version of the snapshot is a rollback", |world| {
            world.publish(&["snapshot", "timestamp"]);
            begun(world);
            world.publish_as("snapshot", 1);
            world.publish(&["timestamp"]);
            world.refuses("TUF 5.4.3.2: ");
            assert_eq!(world.trusted(), "root 1, snapshot 2, targets 1, timestamp 2");
        }),
        ("5.4.4", "an expired timestamp is refused: freeze", |world| {
            begun(world);
            world.at("timestamp")["expires"] = hours(-1);
            world.publish(&["timestamp"]);
            world.refuses("TUF 5.4.4: ");
            assert_eq!(world.trusted(), FIRST);
        }),
        ("5.4.4", "a trusted timestamp that has expired since is a freeze", |world| {
            world.at("timestamp")["expires"] = hours(-1);
            world.publish_as("timestamp", 1);
            assert!(world.init());
            std::fs::write(world.metadata().join("timestamp.json"), world.served("metadata/timestamp.json"))
                .unwrap();
            world.refuses("TUF 5.4.4: ");
            world.at("timestamp")["expires"] = hours(1);
            world.publish(&["timestamp"]);
            assert!(world.refresh());
        }),
        ("5.4.3.1", "an expired timestamp that is trusted holds against rollback still", |world| {
            assert!(world.init());
            world.at("timestamp")["expires"] = hours(-1);
            world.publish_as("timestamp", 5);
            std::fs::write(world.metadata().join("timestamp.json"), world.served("metadata/timestamp.json"))
                .unwrap();
            world.at("timestamp")["expires"] = hours(1);
            world.publish_as("timestamp", 4);
            world.refuses("TUF 5.4.3.1: ");
            world.publish_as("timestamp", 6);
            assert!(world.refresh());
        }),
        ("5.4.5", "what is kept are the bytes that came", |world| {
            let mut odd = world.served("metadata/timestamp.json");
            odd.extend_from_slice(b" \n ");
            world.serve("metadata/timestamp.json", odd.clone());
            begun(world);
            assert_eq!(std::fs::read(world.metadata().join("timestamp.json")).unwrap(), odd);
        }),
    ]);
}

#[test]
fn the_snapshot() {
    check(&[
        ("5.5.1", "a missing snapshot ends the refresh; the timestamp is kept", |world| {
            begun(world);
            world.publish(&["snapshot", "timestamp"]);
            world.withhold("metadata/2.snapshot.json");
            world.refuses("TUF 5.5.1: ");
            assert_eq!(world.asked(), ["2.root", "timestamp", "2.snapshot"]);
            assert_eq!(world.trusted(), "root 1, snapshot 1, targets 1, timestamp 2");
        }),
        ("5.5.1", "no more bytes are read than the timestamp lists", |world| {
            world.lengths = true;
            world.publish_all();
            let mut long = world.served("metadata/2.snapshot.json");
            long.push(b' ');
            world.serve("metadata/2.snapshot.json", long);
            assert!(world.init());
            world.refuses("TUF 5.5.1: ");
            assert_eq!(world.trusted(), "root 1, timestamp 2");
        }),
        ("5.5.2", "a snapshot of other hashes is refused: mix and match", |world| {
            world.hashes = true;
            begun(world);
            world.publish(&["snapshot"]);
            let old = world.served("metadata/2.snapshot.json");
            world.at("snapshot")["expires"] = hours(2);
            world.publish_as("snapshot", 2);
            world.publish(&["timestamp"]);
            world.serve("metadata/2.snapshot.json", old);
            world.refuses("TUF 5.5.2: ");
            assert!(world.trusted().contains("snapshot 1"));
        }),
        ("5.5.3", "a snapshot that its keys did not sign is refused", |world| {
            begun(world);
            world.signers.insert("snapshot".into(), Vec::new());
            world.publish(&["snapshot", "timestamp"]);
            world.refuses("TUF 5.5.3: ");
            assert_eq!(world.trusted(), "root 1, snapshot 1, targets 1, timestamp 2");
        }),
        ("5.5.3", "a kept snapshot counts only while the root's keys vouch for it", |world| {
            begun(world);
            world.rotate("snapshot");
            world.publish(&["root", "snapshot", "timestamp"]);
            assert!(world.refresh());
            assert_eq!(world.asked(), ["2.root", "3.root", "timestamp", "2.snapshot"]);
        }),
        ("5.5.4", "a snapshot of another version than announced is refused", |world| {
            begun(world);
            world.publish(&["snapshot", "timestamp"]);
            world.at("snapshot")["version"] = json!(3);
            let other = world.signed("snapshot");
            world.serve("metadata/2.snapshot.json", other);
            world.refuses("TUF 5.5.4: ");
            assert_eq!(world.trusted(), "root 1, snapshot 1, targets 1, timestamp 2");
        }),
        ("5.5.5", "lower targets are a rollback", |world| {
            world.publish_all();
            begun(world);
            world.publish_as("targets", 1);
            world.publish(&["snapshot", "timestamp"]);
            world.refuses("TUF 5.5.5: ");
            assert!(world.trusted().contains("snapshot 2, targets 2"));
        }),
        ("5.5.5", "the kept snapshot holds against rollback where hashes are listed too", |world| {
            world.hashes = true;
            world.publish_all();
            begun(world);
            world.publish_as("targets", 1);
            world.publish(&["snapshot", "timestamp"]);
            world.refuses("TUF 5.5.5: ");
            assert!(world.trusted().contains("snapshot 2, targets 2"));
        }),
        ("5.5.5", "lower delegated targets are a rollback", |world| {
            world.at("snapshot")["meta"]["other.json"] = json!({"version": 7});
            world.publish_all();
            begun(world);
            world.at("snapshot")["meta"]["other.json"] = json!({"version": 6});
            world.publish(&["snapshot", "timestamp"]);
            world.refuses("TUF 5.5.5: ");
            assert!(world.trusted().contains("snapshot 2"));
        }),
        ("5.5.5", "what was listed must stay listed", |world| {
            world.at("snapshot")["meta"]["other.json"] = json!({"version": 7});
            world.publish_all();
            begun(world);
            world.at("snapshot")["meta"].as_object_mut().unwrap().remove("other.json");
            world.publish(&["snapshot", "timestamp"]);
            world.refuses("TUF 5.5.5: ");
            assert!(world.trusted().contains("snapshot 2"));
        }),
        ("5.5.6", "an expired snapshot is refused: freeze", |world| {
            begun(world);
            world.at("snapshot")["expires"] = hours(-1);
            world.publish(&["snapshot", "timestamp"]);
            world.refuses("TUF 5.5.6: ");
            assert_eq!(world.trusted(), "root 1, snapshot 1, targets 1, timestamp 2");
        }),
        ("5.5.7", "what is kept are the bytes that came, and they are not fetched twice", |world| {
            begun(world);
            let kept = std::fs::read(world.metadata().join("snapshot.json")).unwrap();
            assert_eq!(kept, world.served("metadata/1.snapshot.json"));
            world.publish(&["timestamp"]);
            assert!(world.refresh());
            assert_eq!(world.asked(), ["2.root", "timestamp"]);
        }),
    ]);
}

#[test]
fn the_targets() {
    check(&[
        ("5.6.1", "missing targets end the refresh; what came before is kept", |world| {
            begun(world);
            world.publish_all();
            world.withhold("metadata/2.targets.json");
            world.refuses("TUF 5.6.1: ");
            assert_eq!(world.trusted(), "root 1, snapshot 2, targets 1, timestamp 2");
        }),
        ("5.6.1", "no more bytes are read than the snapshot lists", |world| {
            world.lengths = true;
            world.publish_all();
            let mut long = world.served("metadata/2.targets.json");
            long.push(b' ');
            world.serve("metadata/2.targets.json", long);
            assert!(world.init());
            world.refuses("TUF 5.6.1: ");
            assert_eq!(world.trusted(), "root 1, snapshot 2, timestamp 2");
        }),
        ("5.6.2", "targets of other hashes are refused: mix and match", |world| {
            world.hashes = true;
            world.publish_all();
            begun(world);
            world.publish(&["targets"]);
            let old = world.served("metadata/3.targets.json");
            world.at("targets")["expires"] = hours(2);
            world.publish_as("targets", 3);
            world.publish(&["snapshot", "timestamp"]);
            world.serve("metadata/3.targets.json", old);
            world.refuses("TUF 5.6.2: ");
            assert!(world.trusted().contains("snapshot 3, targets 2"));
        }),
        ("5.6.3", "targets that their keys did not sign are refused", |world| {
            begun(world);
            let others = world.signers["timestamp"].clone();
            world.signers.insert("targets".into(), others);
            world.publish_all();
            world.refuses("TUF 5.6.3: ");
            assert_eq!(world.trusted(), "root 1, snapshot 2, targets 1, timestamp 2");
        }),
        ("5.6.3", "kept targets count only while the root's keys vouch for them", |world| {
            begun(world);
            world.rotate("targets");
            world.publish(&["root"]);
            world.publish_as("targets", 1);
            assert!(world.refresh());
            assert_eq!(world.asked(), ["2.root", "3.root", "timestamp", "1.targets"]);
        }),
        ("5.6.4", "targets of another version than announced are refused", |world| {
            begun(world);
            world.publish_all();
            world.at("targets")["version"] = json!(3);
            let other = world.signed("targets");
            world.serve("metadata/2.targets.json", other);
            world.refuses("TUF 5.6.4: ");
            assert_eq!(world.trusted(), "root 1, snapshot 2, targets 1, timestamp 2");
        }),
        ("5.6.5", "expired targets are refused: freeze", |world| {
            begun(world);
            world.at("targets")["expires"] = hours(-1);
            world.publish_all();
            world.refuses("TUF 5.6.5: ");
            assert_eq!(world.trusted(), "root 1, snapshot 2, targets 1, timestamp 2");
        }),
        ("5.6.6", "what is kept are the bytes that came", |world| {
            begun(world);
            let kept = std::fs::read(world.metadata().join("targets.json")).unwrap();
            assert_eq!(kept, world.served("metadata/1.targets.json"));
        }),
        ("5", "after a failure the next refresh goes on", |world| {
            begun(world);
            world.publish_all();
            let good = world.served("metadata/2.targets.json");
            world.withhold("metadata/2.targets.json");
            world.refuses("TUF 5.6.1: ");
            world.serve("metadata/2.targets.json", good);
            assert!(world.refresh());
            assert_eq!(world.trusted(), "root 1, snapshot 2, targets 2, timestamp 2");
        }),
    ]);
}
