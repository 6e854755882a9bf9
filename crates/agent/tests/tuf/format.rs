//! §4: what metadata may and may not be.

use proof::tuf::{canonical, sha256_hex};
use serde_json::{Value, json};

use crate::check;
use crate::world::{Signer, World};

/// The timestamp served, changed after it was signed.
fn twist(world: &World, change: impl FnOnce(&mut Value)) {
    let mut document: Value = serde_json::from_slice(&world.served("metadata/timestamp.json")).unwrap();
    change(&mut document);
    world.serve("metadata/timestamp.json", serde_json::to_vec(&document).unwrap());
}

/// The id that covers every member of a key.
fn id_of(key: &Value) -> String {
    sha256_hex(&canonical(key).unwrap())
}

/// A key under another id than its own.
fn renamed(signer: &Signer, id: &str) -> Signer {
    Signer { id: id.into(), ..signer.clone() }
}

#[test]
fn metadata() {
    check(&[
        ("4.2", "unknown members are kept in mind when signatures are checked", |world| {
            assert!(world.init());
            let keyid = world.role("root")["keyids"][0].as_str().unwrap().to_owned();
            let root = world.at("root");
            root["custom-field"] = json!("value");
            root["roles"]["root"]["another"] = json!([1]);
            root["keys"][keyid]["extra"] = json!({"a": 1, "b": 2});
            world.publish(&["root"]);
            assert!(world.refresh());
            assert!(world.trusted().starts_with("root 2"));
        }),
        ("4.2", "one changed letter breaks the signature", |world| {
            assert!(world.init());
            twist(world, |document| document["signed"]["custom"] = json!("x"));
            world.refuses("TUF 5.4.2: timestamp version 1: 0 valid");
        }),
        ("4.2.1", "a key id may sign once, even where the threshold is met", |world| {
            assert!(world.init());
            twist(world, |document| {
                let first = document["signatures"][0].clone();
                document["signatures"].as_array_mut().unwrap().push(first);
            });
            world.refuses("signs twice");
            assert_eq!(world.trusted(), "root 1");
        }),
        ("4.2.1", "a signature that does not hold counts for nothing and does no harm", |world| {
            assert!(world.init());
            world.add_key("timestamp");
            world.publish(&["root"]);
            for sig in ["", "zz", "00", &"ab".repeat(64)] {
                world.publish(&["timestamp"]);
                twist(world, |document| document["signatures"][0]["sig"] = json!(sig));
                assert!(world.refresh(), "{sig}");
            }
        }),
        ("4.2.1", "a signature by nobody's key counts for nothing and does no harm", |world| {
            assert!(world.init());
            let stranger = world.signer();
            world.signers.get_mut("timestamp").unwrap().insert(0, stranger);
            world.publish(&["timestamp"]);
            assert!(world.refresh());
        }),
        ("4.2", "a key of unknown type or scheme counts for nothing and does no harm", |world| {
            assert!(world.init());
            let odd = json!({"keytype": "sphincs", "scheme": "sphincs", "keyval": {"public": "00"}});
            let id = id_of(&odd);
            world.at("root")["keys"][&id] = odd;
            world.role("timestamp")["keyids"].as_array_mut().unwrap().push(json!(id));
            world.publish(&["root", "timestamp"]);
            assert!(world.refresh());
            world.role("timestamp")["threshold"] = json!(2);
            world.publish(&["root"]);
            let odd = renamed(&world.signers["timestamp"][0].clone(), &id);
            world.signers.get_mut("timestamp").unwrap().push(odd);
            world.publish(&["timestamp"]);
            world.refuses("1 valid signatures by distinct keys of root 3, 2 needed");
        }),
        ("4.3", "a role that names a key twice is refused", |world| {
            assert!(world.init());
            let keyid = world.role("snapshot")["keyids"][0].clone();
            world.role("snapshot")["keyids"].as_array_mut().unwrap().push(keyid);
            world.role("snapshot")["threshold"] = json!(2);
            world.publish(&["root"]);
            world.refuses("twice");
            assert_eq!(world.trusted(), "root 1");
        }),
        ("4.3", "a key under two ids counts once", |world| {
            assert!(world.init());
            let first = world.signers["timestamp"][0].clone();
            let mut twin = first.key.clone();
            twin["custom"] = json!("twin");
            let id = id_of(&twin);
            world.at("root")["keys"][&id] = twin;
            world.role("timestamp")["keyids"].as_array_mut().unwrap().push(json!(id));
            world.role("timestamp")["threshold"] = json!(2);
            world.signers.get_mut("timestamp").unwrap().push(renamed(&first, &id));
            world.publish(&["root", "timestamp"]);
            world.refuses("1 valid signatures by distinct keys of root 2, 2 needed");
            assert_eq!(world.trusted(), "root 2");
        }),
        ("4.3", "a key id is the hash of its key, unknown members and all", |world| {
            assert!(world.init());
            let mut signer = world.signer();
            signer.key["custom"] = json!({"owner": ["a", 1]});
            let signer = renamed(&signer, &id_of(&signer.key));
            world.at("root")["keys"][&signer.id] = signer.key.clone();
            world.role("timestamp")["keyids"] = json!([signer.id]);
            world.signers.insert("timestamp".into(), vec![signer]);
            world.publish(&["root", "timestamp"]);
            assert!(world.refresh());
            let signer = world.signer();
            world.at("root")["keys"]["my-key"] = signer.key.clone();
            world.publish(&["root"]);
            world.refuses("key id my-key is not the hash of its key");
        }),
        ("4.3", "a threshold of none is refused", |world| {
            assert!(world.init());
            world.role("timestamp")["threshold"] = json!(0);
            world.publish(&["root"]);
            world.refuses("threshold of timestamp must be above 0");
        }),
        ("4.3", "another minor version of the specification is read, another major one is not", |world| {
            assert!(world.init());
            for (version, good) in [("1.0.0", true), ("1.0.99", true), ("2.0.0", false), ("0.9", false)] {
                world.at("timestamp")["spec_version"] = json!(version);
                world.publish(&["timestamp"]);
                assert_eq!(world.refresh(), good, "{version}");
            }
        }),
        ("4.3", "a version is above nothing", |world| {
            assert!(world.init());
            world.publish_as("timestamp", 0);
            world.refuses("version must be above 0");
        }),
        ("4.2", "metadata of one role is not that of another, whoever signed it", |world| {
            assert!(world.init());
            let signer = world.signers["timestamp"][0].clone();
            world.role("snapshot")["keyids"] = json!([signer.id]);
            world.signers.insert("snapshot".into(), vec![signer]);
            world.at("snapshot")["meta"] = json!({"snapshot.json": {"version": 1}});
            world.publish(&["root"]);
            world.at("snapshot")["version"] = json!(2);
            let disguised = world.signed("snapshot");
            world.serve("metadata/timestamp.json", disguised);
            world.refuses("_type is `snapshot`");
            assert_eq!(world.trusted(), "root 2");
        }),
        ("4.2", "a date of another shape, a fraction, no JSON: refused", |world| {
            assert!(world.init());
            for (member, value) in
                [("expires", json!("2099-01-01")), ("version", json!(2.5)), ("custom", json!(0.5))]
            {
                let before = world.roles["timestamp"].clone();
                world.at("timestamp")[member] = value;
                if member == "expires" {
                    world.publish(&["timestamp"]);
                } else {
                    twist(world, |document| document["signed"][member] = json!(2.5));
                }
                assert!(!world.refresh(), "{member}");
                world.roles.insert("timestamp".into(), before);
            }
            world.serve("metadata/timestamp.json", b"<html>".to_vec());
            world.refuses("TUF 5.4.2: ");
            world.publish(&["timestamp"]);
            assert!(world.refresh());
        }),
    ]);
}
