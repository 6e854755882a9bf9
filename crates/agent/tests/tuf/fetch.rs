//! §5.7: fetching a target.

use proof::tuf::{TargetFile, hex_encode};
use serde_json::{Value, json};

use crate::check;
use crate::world::World;

fn hash(bytes: &[u8]) -> String {
    TargetFile::of(bytes).hashes["sha256"].clone()
}

fn listed(world: &mut World, path: &str) {
    world.target("targets", path, b"bytes");
    world.publish_all();
    assert!(world.init());
}

#[test]
fn a_target() {
    check(&[
        ("5.7.2", "one that is not listed is not fetched; the metadata is brought up to date", |world| {
            assert!(world.init());
            world.refuses_target("none", "TUF 5.7.2: ");
            assert_eq!(world.asked(), ["2.root", "timestamp", "1.snapshot", "1.targets"]);
            assert_eq!(world.trusted(), "root 1, snapshot 1, targets 1, timestamp 1");
        }),
        ("5.7.3", "one that is listed is fetched by its hash, once", |world| {
            listed(world, "file.txt");
            assert!(world.download("file.txt"));
            assert_eq!(world.downloaded("file.txt").unwrap(), b"bytes");
            let path = format!("targets/{}.file.txt", hash(b"bytes"));
            assert_eq!(world.asked().last().unwrap(), &path);
            assert!(world.download("file.txt"));
            assert_eq!(world.asked(), ["2.root", "timestamp"]);
        }),
        ("5.7.3", "a path with folders is one file", |world| {
            listed(world, "path/to/a/file.txt");
            assert!(world.download("path/to/a/file.txt"));
            assert!(world.targets().join("path%2Fto%2Fa%2Ffile.txt").is_file());
            let path = format!("targets/path/to/a/{}.file.txt", hash(b"bytes"));
            assert_eq!(world.asked().last().unwrap(), &path);
        }),
        ("5.7.3", "letters that a URL cannot hold are quoted", |world| {
            listed(world, "50% of ü/#?&.txt");
            assert!(world.download("50% of ü/#?&.txt"));
            assert_eq!(world.downloaded("50% of ü/#?&.txt").unwrap(), b"bytes");
        }),
        ("5.7.3", "a path leads nowhere else", |world| {
            for path in ["../up", "a/../../b", ".", "..", "", "/.."] {
                world.target("targets", path, b"bytes");
            }
            listed(world, "/absolute");
            for path in ["../up", "a/../../b", ".", "..", "", "/.."] {
                world.refuses_target(path, "TUF 5.7.3: ");
            }
            assert!(world.download("/absolute"));
            assert_eq!(std::fs::read_dir(world.targets()).unwrap().count(), 1);
        }),
        ("5.7.3", "other bytes are refused, and what was there before stays", |world| {
            listed(world, "file");
            assert!(world.download("file"));
            world.target("targets", "file", b"newer");
            world.publish_all();
            world.serve(&format!("targets/{}.file", hash(b"newer")), b"wrong".to_vec());
            world.refuses_target("file", "TUF 5.7.3: ");
            assert_eq!(world.downloaded("file").unwrap(), b"bytes");
            world.serve(&format!("targets/{}.file", hash(b"newer")), b"newer".to_vec());
            assert!(world.download("file"));
            assert_eq!(world.downloaded("file").unwrap(), b"newer");
            assert_eq!(std::fs::read_dir(world.targets()).unwrap().count(), 1);
        }),
        ("5.7.3", "a shorter, a longer and an endless file are refused", |world| {
            listed(world, "file");
            let rows = [
                (b"byte".to_vec(), "TUF 5.7.3: "),
                (Vec::new(), "TUF 5.7.3: "),
                (b"bytes!".to_vec(), "has more than 5 bytes"),
                (vec![b'b'; 5_000_000], "has more than 5 bytes"),
            ];
            for (wrong, words) in rows {
                world.serve(&format!("targets/{}.file", hash(b"bytes")), wrong);
                world.refuses_target("file", words);
                assert_eq!(std::fs::read_dir(world.targets()).unwrap().count(), 0);
            }
        }),
        ("5.7.3", "a file that the repository lacks is an error", |world| {
            listed(world, "file");
            world.withhold(&format!("targets/{}.file", hash(b"bytes")));
            world.refuses_target("file", "the repository has no");
        }),
        ("5.7.3", "a damaged file is fetched again", |world| {
            listed(world, "file");
            assert!(world.download("file"));
            std::fs::write(world.targets().join("file"), b"bites").unwrap();
            assert!(world.download("file"));
            assert_eq!(world.downloaded("file").unwrap(), b"bytes");
        }),
        (
            "5.7.3",
            "SHA-512 will do; every known hash must match; an unknown one alone will not do",
            |world| {
                use sha2::{Digest as _, Sha512};
                let sha512 = hex_encode(&Sha512::digest(b"bytes"));
                let rows: [(Value, &str, bool); 4] = [
                    (json!({"sha512": sha512}), &sha512, true),
                    (json!({"sha256": hash(b"bytes"), "sha512": sha512}), &hash(b"bytes"), true),
                    (json!({"sha256": hash(b"bytes"), "sha512": "00"}), &hash(b"bytes"), false),
                    (json!({"md5": "00"}), "00", false),
                ];
                assert!(world.init());
                for (number, (hashes, prefix, good)) in rows.iter().enumerate() {
                    let name = format!("file-{number}");
                    world.at("targets")["targets"][&name] = json!({"length": 5, "hashes": hashes});
                    world.serve(&format!("targets/{prefix}.{name}"), b"bytes".to_vec());
                    world.publish_all();
                    assert_eq!(world.download(&name), *good, "{hashes}");
                    assert_eq!(world.downloaded(&name).is_some(), *good);
                }
            },
        ),
    ]);
}
