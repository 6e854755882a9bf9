//! §5.6.7: the search through delegations.

use proof::tuf::{RoleKeys, SuccinctRoles, sha256_hex};
use serde_json::{Value, json};

use crate::check;
use crate::world::{World, hours};

fn all() -> Value {
    json!({"paths": ["*"]})
}

/// Publishes these delegated roles and everything above them.
fn publish(world: &mut World, roles: &[&str]) {
    world.publish(roles);
    world.publish_all();
}

/// Roles of one graph (`by to paths`, `!` for a terminating one), and those visited in a search for `file`.
fn visits(world: &mut World, graph: &[(&str, &str, &str)], visited: &[&str]) {
    let mut roles = Vec::new();
    for (by, to, paths) in graph {
        let (to, terminating) = to.strip_suffix('!').map_or((*to, false), |to| (to, true));
        world.delegate(by, to, &json!({"paths": [paths], "terminating": terminating}));
        if !roles.contains(&to) {
            roles.push(to);
        }
    }
    publish(world, &roles);
    assert!(world.init());
    world.refuses_target("file", "TUF 5.7.2: ");
    let expected: Vec<String> = visited.iter().map(|role| format!("1.{role}")).collect();
    assert_eq!(world.asked()[4..], expected, "{graph:?}");
}

#[test]
fn the_order_of_the_search() {
    check(&[
        ("5.6.7", "a role and its delegations come before its siblings", |world| {
            visits(
                world,
                &[("targets", "A", "*"), ("targets", "B", "*"), ("A", "C", "*"), ("A", "D", "*")],
                &["A", "C", "D", "B"],
            );
        }),
        ("5.6.7", "depth comes before breadth", |world| {
            visits(
                world,
                &[("targets", "A", "*"), ("targets", "B", "*"), ("A", "C", "*"), ("C", "D", "*")],
                &["A", "C", "D", "B"],
            );
        }),
        ("5.6.7.1", "no role is visited twice: a cycle", |world| {
            visits(world, &[("targets", "A", "*"), ("A", "B", "*"), ("B", "A", "*")], &["A", "B"]);
        }),
        ("5.6.7.1", "no role is visited twice: two that delegate to a third", |world| {
            visits(
                world,
                &[("targets", "A", "*"), ("targets", "B", "*"), ("B", "C", "*"), ("A", "C", "*")],
                &["A", "C", "B"],
            );
        }),
        ("5.6.7.2.1", "after a terminating one and its own delegations nothing is searched", |world| {
            visits(
                world,
                &[
                    ("targets", "A", "*"),
                    ("targets", "B", "*"),
                    ("A", "C!", "*"),
                    ("A", "D", "*"),
                    ("C", "E", "*"),
                ],
                &["A", "C", "E"],
            );
        }),
        ("5.6.7.2", "a terminating one for other paths ends nothing", |world| {
            visits(world, &[("targets", "A!", "*.py"), ("targets", "B", "*")], &["B"]);
        }),
        ("4.5", "a role is asked about its paths alone", |world| {
            visits(world, &[("targets", "A", "*.py"), ("targets", "B", "fil?"), ("B", "C", "*/*")], &["B"]);
        }),
        ("5.6.7.1", "no more than 32 roles are visited", |world| {
            let names: Vec<String> = (0..40).map(|number| format!("role-{number}")).collect();
            for name in &names {
                world.delegate("targets", name, &all());
            }
            let roles: Vec<&str> = names.iter().map(String::as_str).collect();
            world.target("role-39", "file", b"bytes");
            publish(world, &roles);
            assert!(world.init());
            world.refuses_target("file", "TUF 5.7.2: ");
            assert_eq!(world.asked().len(), 4 + 32);
        }),
    ]);
}

#[test]
fn what_a_delegated_role_may_say() {
    check(&[
        ("5.6.7", "its target is found and fetched, and its metadata kept", |world| {
            world.delegate("targets", "A", &json!({"paths": ["releases/*/*"]}));
            world.delegate("A", "B", &json!({"paths": ["releases/x/*"]}));
            world.target("B", "releases/x/one", b"bytes");
            publish(world, &["A", "B"]);
            assert!(world.init());
            assert!(world.download("releases/x/one"));
            assert_eq!(world.downloaded("releases/x/one").unwrap(), b"bytes");
            assert_eq!(world.trusted(), "A 1, B 1, root 1, snapshot 2, targets 2, timestamp 2");
            world.asked();
            assert!(world.download("releases/x/one"));
            assert_eq!(world.asked(), ["2.root", "timestamp"]);
        }),
        ("4.5", "a target must be in the paths of the whole chain", |world| {
            world.delegate("targets", "A", &json!({"paths": ["a/*"]}));
            world.delegate("A", "B", &all());
            world.delegate("A", "C", &json!({"paths": ["a/*", "b/*"]}));
            world.target("B", "a/one", b"bytes");
            world.target("C", "b/two", b"bytes");
            publish(world, &["A", "B", "C"]);
            assert!(world.init());
            world.refuses_target("a/one", "TUF 5.7.2: ");
            world.refuses_target("b/two", "TUF 5.7.2: ");
        }),
        ("5.6.7.2", "of two that list a target the first is believed", |world| {
            for (role, bytes) in [("A", b"first".as_slice()), ("B", b"second")] {
                world.delegate("targets", role, &all());
                world.target(role, "file", bytes);
            }
            publish(world, &["A", "B"]);
            assert!(world.init());
            assert!(world.download("file"));
            assert_eq!(world.downloaded("file").unwrap(), b"first");
        }),
        ("4.5", "a prefix of the path's hash says who speaks", |world| {
            let hash = sha256_hex(b"file");
            let other = if hash.starts_with('0') { "1" } else { "0" };
            world.delegate("targets", "A", &json!({"path_hash_prefixes": [other]}));
            world.delegate("targets", "B", &json!({"path_hash_prefixes": [other, &hash[..3]]}));
            world.target("A", "file", b"wrong");
            world.target("B", "file", b"right");
            publish(world, &["A", "B"]);
            assert!(world.init());
            assert!(world.download("file"));
            assert_eq!(world.downloaded("file").unwrap(), b"right");
            assert!(!world.trusted().contains('A'));
        }),
        ("TAP 15", "hash bins: the path's hash numbers the role", |world| {
            let signer = world.signer();
            let role = json!({
                "keyids": [signer.id], "threshold": 1, "bit_length": 5, "name_prefix": "bin",
            });
            world.at("targets")["delegations"] =
                json!({"keys": {&signer.id: signer.key}, "succinct_roles": role});
            let bins = SuccinctRoles {
                keys: RoleKeys { keyids: vec![], threshold: 1 },
                bit_length: 5,
                name_prefix: "bin".into(),
            };
            let name = bins.bin("file");
            let first = u8::from_str_radix(&sha256_hex(b"file")[..2], 16).unwrap();
            assert_eq!(name, format!("bin-{:02x}", first >> 3));
            world.roles.insert(
                name.clone(),
                json!({
                    "_type": "targets", "spec_version": "1.0.31", "version": 0, "expires": hours(1), "targets": {},
                }),
            );
            world.signers.insert(name.clone(), vec![signer]);
            world.target(&name, "file", b"bytes");
            publish(world, &[&name]);
            assert!(world.init());
            assert!(world.download("file"));
            assert!(world.trusted().starts_with(&format!("{name} 1, ")));
        }),
        ("5.6.7", "a role that its delegator's keys did not sign ends the search", |world| {
            world.delegate("targets", "A", &all());
            world.delegate("targets", "B", &all());
            world.target("B", "file", b"bytes");
            let others = world.signers["targets"].clone();
            world.signers.insert("A".into(), others);
            publish(world, &["A", "B"]);
            assert!(world.init());
            world.refuses_target("file", "5.6.3: targets version 1: delegated role `A`: 0 valid");
            assert_eq!(world.asked().last().unwrap(), "1.A");
            assert!(!world.trusted().contains('A'));
        }),
        ("5.6.7", "a delegator's threshold holds", |world| {
            world.delegate("targets", "A", &json!({"paths": ["*"], "threshold": 2}));
            world.target("A", "file", b"bytes");
            publish(world, &["A"]);
            assert!(world.init());
            world.refuses_target(
                "file",
                "delegated role `A`: 1 valid signatures by distinct keys of targets, 2 needed",
            );
            let second = world.signer();
            let delegations = &mut world.at("targets")["delegations"];
            delegations["keys"][&second.id] = second.key.clone();
            delegations["roles"][0]["keyids"].as_array_mut().unwrap().push(json!(second.id));
            world.signers.get_mut("A").unwrap().push(second);
            publish(world, &["A"]);
            assert!(world.download("file"));
        }),
        ("5.6.7", "a missing role ends the search", |world| {
            world.delegate("targets", "A", &all());
            world.delegate("targets", "B", &all());
            world.target("B", "file", b"bytes");
            publish(world, &["A", "B"]);
            world.withhold("metadata/1.A.json");
            assert!(world.init());
            world.refuses_target("file", "delegated role `A`: the repository has no A.json");
        }),
        ("5.6.7", "a role that the snapshot does not list ends the search", |world| {
            world.delegate("targets", "A", &all());
            world.target("A", "file", b"bytes");
            publish(world, &["A"]);
            world.at("snapshot")["meta"].as_object_mut().unwrap().remove("A.json");
            world.publish(&["snapshot", "timestamp"]);
            assert!(world.init());
            world.refuses_target("file", "TUF 5.6.7: targets: delegated role `A`: does not list A.json");
        }),
        ("5.6.7", "a role of another version or hash than listed is refused", |world| {
            world.delegate("targets", "A", &all());
            world.target("A", "file", b"bytes");
            publish(world, &["A"]);
            assert!(world.init());
            world.at("A")["version"] = json!(2);
            let other = world.signed("A");
            world.serve("metadata/1.A.json", other);
            world.refuses_target("file", "TUF 5.6.4: ");
            world.hashes = true;
            publish(world, &["A"]);
            world.at("A")["expires"] = hours(2);
            let other = world.signed("A");
            let version = world.at("A")["version"].clone();
            world.serve(&format!("metadata/{version}.A.json"), other);
            world.refuses_target("file", "TUF 5.6.2: ");
        }),
        ("5.6.7", "an expired role is refused, and not kept", |world| {
            world.delegate("targets", "A", &all());
            world.target("A", "file", b"bytes");
            world.at("A")["expires"] = hours(-1);
            publish(world, &["A"]);
            assert!(world.init());
            assert!(world.refresh());
            world.refuses_target("file", "TUF 5.6.5: ");
            assert_eq!(world.trusted(), "root 1, snapshot 2, targets 2, timestamp 2");
        }),
        (
            "5.6.7",
            "a role that was kept and has expired since is refused until there is a newer one",
            |world| {
                world.delegate("targets", "A", &all());
                world.target("A", "file", b"bytes");
                world.at("A")["expires"] = hours(-1);
                publish(world, &["A"]);
                assert!(world.init());
                std::fs::write(world.metadata().join("A.json"), world.served("metadata/1.A.json")).unwrap();
                world.refuses_target("file", "TUF 5.6.5: ");
                world.at("A")["expires"] = hours(1);
                publish(world, &["A"]);
                assert!(world.download("file"));
            },
        ),
        ("5.6.7", "a role that was kept is checked against who delegates now", |world| {
            world.delegate("targets", "A", &all());
            world.target("A", "file", b"bytes");
            publish(world, &["A"]);
            assert!(world.init());
            assert!(world.download("file"));
            std::fs::remove_file(world.targets().join("file")).unwrap();
            world.at("targets")["delegations"] = Value::Null;
            world.signers.remove("A");
            let old = world.served("metadata/1.A.json");
            world.delegate("targets", "A", &all());
            world.publish_all();
            world.serve("metadata/1.A.json", old);
            world.refuses_target("file", "delegated role `A`: 0 valid");
            assert_eq!(world.downloaded("file"), None);
        }),
        ("4.5", "a role may not take the name of a top-level one", |world| {
            for name in ["root", "timestamp", "snapshot", "targets"] {
                world.at("targets")["delegations"] = Value::Null;
                let signer = world.signer();
                world.at("targets")["delegations"] = json!({
                    "keys": {&signer.id: signer.key},
                    "roles": [{
                        "name": name, "keyids": [signer.id], "threshold": 1, "paths": ["*"], "terminating": false,
                    }],
                });
                world.publish_all();
                assert!(world.init());
                world.refuses_target("file", "a delegated role may not be called");
            }
        }),
        ("4.5", "a role listed twice, or of both paths and prefixes, is refused", |world| {
            assert!(world.init());
            world.delegate("targets", "A", &json!({"paths": ["*"], "path_hash_prefixes": ["0"]}));
            publish(world, &["A"]);
            world.refuses("both paths and path_hash_prefixes");
            world.at("targets")["delegations"] = Value::Null;
            world.delegate("targets", "A", &all());
            world.delegate("targets", "A", &all());
            publish(world, &["A"]);
            world.refuses("is listed twice");
        }),
        ("4.5", "a role's name is quoted, in requests and in the folder", |world| {
            for name in ["?", "#", "/delegated", "../delegated", "."] {
                world.at("targets")["delegations"] = Value::Null;
                world.delegate("targets", name, &all());
                publish(world, &[name]);
                assert!(world.init());
                world.refuses_target("file", "TUF 5.7.2: ");
                assert_eq!(world.trusted().split(", ").count(), 5, "{name}");
                let quoted = proof::tuf::quoted(name);
                assert_eq!(world.asked().last().unwrap(), &format!("1.{quoted}"));
                std::fs::remove_dir_all(world.metadata()).unwrap();
            }
        }),
    ]);
}
