//! §5.1–5.3: the clock, the first root, the chain of roots, recovery.

use serde_json::json;

use crate::check;
use crate::world::{World, hours};

const FRESH: &str = "root 1, snapshot 1, targets 1, timestamp 1";

#[test]
fn the_first_root() {
    check(&[
        ("5.2", "init keeps the root as it was given and asks nobody", |world| {
            assert!(world.init());
            let kept = std::fs::read(world.metadata().join("root.json")).unwrap();
            assert_eq!(kept, world.served("metadata/1.root.json"));
            assert!(world.asked().is_empty());
        }),
        ("5.2", "without a root nothing is believed and nobody is asked", |world| {
            world.refuses("no root is trusted yet");
            assert!(world.asked().is_empty());
        }),
        ("5.2", "a root without its own threshold is refused", |world| {
            let unsigned = world.signed_by("root", &[]);
            assert!(!world.init_with(&unsigned));
            std::fs::create_dir_all(world.metadata()).unwrap();
            std::fs::write(world.metadata().join("root.json"), unsigned).unwrap();
            world.refuses("TUF 5.2: ");
            assert!(world.asked().is_empty());
        }),
        ("5.2", "a malformed root is refused", |world| {
            world.at("root").as_object_mut().unwrap().remove("version");
            let malformed = world.signed("root");
            assert!(!world.init_with(&malformed));
            assert!(!world.init_with(b"{"));
            world.refuses("no root is trusted yet");
            assert!(world.asked().is_empty());
        }),
        ("5.2", "the age of the given root does not matter", |world| {
            world.at("root")["expires"] = hours(-1);
            world.publish_as("root", 1);
            let old = world.served("metadata/1.root.json");
            assert!(world.init_with(&old));
            world.refuses("TUF 5.3.10: root version 1: expired");
            world.at("root")["expires"] = hours(1);
            world.publish(&["root"]);
            assert!(world.refresh());
            assert_eq!(world.trusted(), FRESH.replace("root 1", "root 2"));
        }),
    ]);
}

#[test]
fn the_chain_of_roots() {
    check(&[
        ("5.3.3", "each next root is asked for until there is none", |world| {
            assert!(world.init());
            world.publish(&["root", "root"]);
            assert!(world.refresh());
            let asked = ["2.root", "3.root", "4.root", "timestamp", "1.snapshot", "1.targets"];
            assert_eq!(world.asked(), asked);
            assert_eq!(world.trusted(), FRESH.replace("root 1", "root 3"));
            assert!(world.refresh());
            assert_eq!(world.asked(), ["4.root", "timestamp"]);
        }),
        ("5.3.3", "a gap in the chain ends it", |world| {
            assert!(world.init());
            world.publish(&["root", "root", "root"]);
            world.withhold("metadata/3.root.json");
            assert!(world.refresh());
            assert_eq!(world.trusted(), FRESH.replace("root 1", "root 2"));
        }),
        ("5.3.3", "an endless root is refused", |world| {
            assert!(world.init());
            world.publish(&["root"]);
            let mut long = world.served("metadata/2.root.json");
            long.resize(600_000, b' ');
            world.serve("metadata/2.root.json", long);
            world.refuses("2.root.json answered more than");
            assert_eq!(world.trusted(), "root 1");
        }),
        ("5.3.4", "a root that the old keys did not sign is refused", |world| {
            assert!(world.init());
            world.rotate("root");
            world.publish(&["root"]);
            world.refuses("TUF 5.3.4: ");
            assert_eq!(world.trusted(), "root 1");
        }),
        ("5.3.4", "a root that its own keys did not sign is refused", |world| {
            assert!(world.init());
            let old = world.signers["root"].clone();
            world.rotate("root");
            world.signers.insert("root".into(), old);
            world.publish(&["root"]);
            world.refuses("TUF 5.3.4: ");
            assert_eq!(world.trusted(), "root 1");
        }),
        ("5.3.4", "keys are replaced by a root that old and new ones signed", |world| {
            assert!(world.init());
            let old = world.signers["root"].clone();
            world.rotate("root");
            let new = world.signers["root"].clone();
            world.signers.insert("root".into(), [new.clone(), old].concat());
            world.publish(&["root"]);
            world.signers.insert("root".into(), new);
            world.publish(&["root"]);
            assert!(world.refresh());
            assert_eq!(world.trusted(), FRESH.replace("root 1", "root 3"));
        }),
        ("5.3.4", "a raised threshold holds for the root that raises it", |world| {
            assert!(world.init());
            let second = world.add_key("root");
            world.role("root")["threshold"] = json!(2);
            let both = world.signers["root"].clone();
            world.signers.get_mut("root").unwrap().retain(|signer| signer.id != second.id);
            world.publish(&["root"]);
            world.refuses("TUF 5.3.4: ");
            world.signers.insert("root".into(), both);
            world.publish_as("root", 2);
            assert!(world.refresh());
        }),
        ("5.3.4", "a lowered threshold does not hold for the root that lowers it", |world| {
            world.add_key("root");
            world.role("root")["threshold"] = json!(2);
            world.publish_as("root", 1);
            let first = world.served("metadata/1.root.json");
            assert!(world.init_with(&first));
            world.role("root")["threshold"] = json!(1);
            let both = world.signers["root"].clone();
            world.signers.get_mut("root").unwrap().truncate(1);
            world.publish_as("root", 2);
            world.refuses("TUF 5.3.4: ");
            assert_eq!(world.trusted(), "root 1");
            world.signers.insert("root".into(), both);
            world.publish_as("root", 2);
            assert!(world.refresh());
        }),
        ("5.3.5", "a root of another version than its name says is refused", |world| {
            assert!(world.init());
            world.at("root")["version"] = json!(3);
            let skipped = world.signed("root");
            world.serve("metadata/2.root.json", skipped);
            world.refuses("TUF 5.3.5: ");
            assert_eq!(world.trusted(), "root 1");
        }),
        ("5.3.5", "a root below the trusted one is a rollback", |world| {
            assert!(world.init());
            world.publish(&["root"]);
            assert!(world.refresh());
            let first = world.served("metadata/1.root.json");
            world.serve("metadata/3.root.json", first);
            world.refuses("TUF 5.3.5: ");
            assert_eq!(world.trusted(), FRESH.replace("root 1", "root 2"));
        }),
        ("5.3.5", "the trusted root once more is passed over", |world| {
            assert!(world.init());
            let first = world.served("metadata/1.root.json");
            world.serve("metadata/2.root.json", first);
            assert!(world.refresh());
            assert_eq!(world.trusted(), FRESH);
        }),
        ("5.3.6", "the age of a root in between does not matter", |world| {
            assert!(world.init());
            world.at("root")["expires"] = hours(-1);
            world.publish(&["root"]);
            world.at("root")["expires"] = hours(1);
            world.publish(&["root"]);
            assert!(world.refresh());
            assert_eq!(world.trusted(), FRESH.replace("root 1", "root 3"));
        }),
        ("5.3.8", "each root is kept before what follows fails", |world| {
            assert!(world.init());
            world.publish(&["root"]);
            world.withhold("metadata/timestamp.json");
            world.refuses("TUF 5.4.1: ");
            let kept = std::fs::read(world.metadata().join("root.json")).unwrap();
            assert_eq!(kept, world.served("metadata/2.root.json"));
        }),
        ("5.3.10", "an expired last root is kept, and ends the refresh: freeze", |world| {
            assert!(world.init());
            assert!(world.refresh());
            world.at("root")["expires"] = hours(-1);
            world.publish(&["root"]);
            world.publish_all();
            world.asked();
            world.refuses("TUF 5.3.10: ");
            assert_eq!(world.asked(), ["2.root", "3.root"]);
            assert_eq!(world.trusted(), FRESH.replace("root 1", "root 2"));
        }),
    ]);
}

/// Drives versions up, lets the client see them, and goes back to 1 after the keys were replaced.
fn recover(world: &mut World, fast: &str, rotated: &[&str]) -> bool {
    assert!(world.init());
    world.publish_as(fast, 99);
    if fast == "targets" {
        world.publish(&["snapshot"]);
    }
    if fast != "timestamp" {
        world.publish(&["timestamp"]);
    }
    assert!(world.refresh());
    assert!(world.trusted().contains(&format!("{fast} 99")));
    for role in rotated {
        world.rotate(role);
    }
    world.publish(&["root"]);
    for role in ["targets", "snapshot", "timestamp"] {
        let version = if role == fast { 1 } else { world.at(role)["version"].as_u64().unwrap() + 1 };
        world.publish_as(role, version);
    }
    world.refresh() && world.trusted().contains(&format!("{fast} 1"))
}

#[test]
fn recovery_from_fast_forward() {
    check(&[
        ("5.3.11", "a new timestamp key lets its version fall", |world| {
            assert!(recover(world, "timestamp", &["timestamp"]));
        }),
        ("5.3.11", "new snapshot and timestamp keys let the snapshot's version fall", |world| {
            assert!(recover(world, "snapshot", &["snapshot", "timestamp"]));
        }),
        ("5.3.11", "a new snapshot key lets the targets' version fall", |world| {
            assert!(recover(world, "targets", &["snapshot"]));
        }),
        ("5.3.11", "a new timestamp key lets the targets' version fall: the snapshot goes too", |world| {
            assert!(recover(world, "targets", &["timestamp"]));
        }),
        ("5.3.11", "a key that is taken away is enough, though another one still vouches", |world| {
            world.add_key("timestamp");
            world.publish_as("root", 1);
            let root = world.served("metadata/1.root.json");
            assert!(world.init_with(&root));
            world.publish_as("timestamp", 99);
            assert!(world.refresh());
            world.role("timestamp")["keyids"].as_array_mut().unwrap().remove(0);
            world.publish(&["root"]);
            world.publish_as("timestamp", 1);
            assert!(world.refresh());
            assert!(world.trusted().ends_with("timestamp 1"));
        }),
        ("5.3.11", "without new keys no version falls", |world| {
            assert!(!recover(world, "timestamp", &[]));
            assert!(world.trusted().contains("timestamp 99"));
        }),
        ("5.3.11", "a new targets key alone lets no version fall", |world| {
            assert!(!recover(world, "targets", &["targets"]));
        }),
        ("5.3.12", "without consistent snapshots names carry no versions", |world| {
            assert!(world.init());
            world.at("root")["consistent_snapshot"] = json!(false);
            world.target("targets", "dir/file", b"bytes");
            world.publish(&["root"]);
            world.publish_all();
            assert!(world.download("dir/file"));
            let asked = ["2.root", "3.root", "timestamp", "snapshot", "targets", "targets/dir/file"];
            assert_eq!(world.asked(), asked);
        }),
    ]);
}
