//! Attacks on the workflow, as rows: a small repository, a client with its store, one change between refreshes.

mod profile;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use governance::Timestamp as Instant;
use serde_json::{Map, Value};

use super::*;
use crate::key::{SeedKey, Sign};

const DAY: i64 = 86_400_000;
const NOW: i64 = 20_000 * DAY;

/// Keys every root lists, whether a role has them or not.
const SEEDS: &[u8] = &[1, 2, 3, 4, 5, 11, 12, 13, 14, 21, 22, 31, 32, 40];

fn at(millis: i64) -> Instant {
    Instant::from_millis(millis)
}

fn key(seed: u8) -> SeedKey {
    SeedKey::new([seed; 32])
}

fn id(seed: u8) -> String {
    Key::of(key(seed).public_key()).id().unwrap()
}

fn role_keys(threshold: u64, seeds: &[u8]) -> RoleKeys {
    RoleKeys { threshold, keyids: seeds.iter().map(|seed| id(*seed)).collect() }
}

fn signed<T: Metadata>(metadata: &T, seeds: &[u8]) -> Vec<u8> {
    let mut envelope = Envelope::new(metadata).unwrap();
    for seed in seeds {
        envelope.sign(&key(*seed)).unwrap();
    }
    envelope.to_bytes().unwrap()
}

/// A repository whose parts a row may twist before `publish`.
struct Repo {
    root: Root,
    targets: Targets,
    snapshot: Snapshot,
    timestamp: Timestamp,
    /// Who signs: root, targets, snapshot, timestamp.
    signers: [Vec<u8>; 4],
    hashes: bool,
    files: BTreeMap<String, Vec<u8>>,
}

impl Repo {
    /// Root 2 of 1,2,3; targets 2 of 11,12,13; snapshot 21; timestamp 31. Version 1 of everything.
    fn new() -> Self {
        let expires = |days: i64| Expires(at(NOW + days * DAY));
        let spec = || SPEC_VERSION.to_string();
        let roles = Roles {
            root: role_keys(2, &[1, 2, 3]),
            targets: role_keys(2, &[11, 12, 13]),
            snapshot: role_keys(1, &[21]),
            timestamp: role_keys(1, &[31]),
        };
        let mut repo = Self {
            root: Root {
                kind: "root".into(),
                spec_version: spec(),
                consistent_snapshot: true,
                version: 1,
                expires: expires(365),
                keys: SEEDS.iter().map(|seed| (id(*seed), Key::of(key(*seed).public_key()))).collect(),
                roles,
            },
            targets: Targets {
                kind: "targets".into(),
                spec_version: spec(),
                version: 1,
                expires: expires(90),
                targets: BTreeMap::from([("package-0.1.0".into(), TargetFile::of(b"package"))]),
                delegations: None,
            },
            snapshot: Snapshot {
                kind: "snapshot".into(),
                spec_version: spec(),
                version: 1,
                expires: expires(30),
                meta: BTreeMap::new(),
            },
            timestamp: Timestamp {
                kind: "timestamp".into(),
                spec_version: spec(),
                version: 1,
                expires: expires(1),
                meta: BTreeMap::new(),
            },
            signers: [vec![1, 2], vec![11, 12], vec![21], vec![31]],
            hashes: true,
            files: BTreeMap::new(),
        };
        repo.publish_root();
        repo.publish();
        repo
    }

    fn publish_root(&mut self) {
        self.files.insert(format!("{}.root.json", self.root.version), signed(&self.root, &self.signers[0]));
    }

    fn meta(&self, version: u64, bytes: &[u8]) -> FileMeta {
        if self.hashes {
            FileMeta::of(version, bytes)
        } else {
            FileMeta { version, length: None, hashes: None }
        }
    }

    /// Signs and lists everything below the root as it stands.
    fn publish(&mut self) {
        let bytes = signed(&self.targets, &self.signers[1]);
        let meta = self.meta(self.targets.version, &bytes);
        self.files.insert(format!("{}.targets.json", self.targets.version), bytes);
        self.snapshot.meta.insert("targets.json".into(), meta);
        self.publish_snapshot();
    }

    fn publish_snapshot(&mut self) {
        let bytes = signed(&self.snapshot, &self.signers[2]);
        let meta = self.meta(self.snapshot.version, &bytes);
        self.files.insert(format!("{}.snapshot.json", self.snapshot.version), bytes);
        self.timestamp.meta.insert("snapshot.json".into(), meta);
        self.publish_timestamp();
    }

    fn publish_timestamp(&mut self) {
        self.files.insert("timestamp.json".into(), signed(&self.timestamp, &self.signers[3]));
    }

    /// A new version of everything below the root.
    fn next(&mut self) {
        self.targets.version += 1;
        self.snapshot.version += 1;
        self.timestamp.version += 1;
        self.publish();
    }

    fn next_root(&mut self) {
        self.root.version += 1;
        self.publish_root();
    }

    fn edit(&mut self, file: &str, change: impl FnOnce(&mut Value)) {
        let bytes = self.files.get_mut(file).unwrap();
        let mut value = serde_json::from_slice(bytes).unwrap();
        change(&mut value);
        *bytes = serde_json::to_vec(&value).unwrap();
    }
}

/// A client and its store.
#[derive(Clone)]
struct Client {
    stored: Stored,
    asked: Vec<String>,
}

impl Client {
    fn of(repo: &Repo) -> Self {
        let root = repo.files["1.root.json"].clone();
        Self { stored: Stored { root, ..Stored::default() }, asked: Vec::new() }
    }

    fn refresh(&mut self, repo: &Repo, now: i64) -> Result<Trusted, TufError> {
        self.asked.clear();
        let mut updater = Updater::new(self.stored.clone(), at(now))?;
        while let Some(want) = updater.want()? {
            self.asked.push(want.path.clone());
            let fetched = repo.files.get(&want.path).map_or(Fetched::NotFound, |bytes| Fetched::Bytes(bytes));
            for act in updater.give(fetched) {
                let (role, bytes) = match act {
                    Persist::Write { role, bytes } => (role, Some(bytes)),
                    Persist::Delete(role) => (role, None),
                };
                match role {
                    Role::Root => self.stored.root = bytes.unwrap(),
                    Role::Timestamp => self.stored.timestamp = bytes,
                    Role::Snapshot => self.stored.snapshot = bytes,
                    Role::Targets => self.stored.targets = bytes,
                }
            }
        }
        updater.finish()
    }

    fn versions(&self) -> [u64; 4] {
        let version = |bytes: &Option<Vec<u8>>| {
            bytes.as_ref().map_or(0, |bytes| {
                serde_json::from_slice::<Value>(bytes).unwrap()["signed"]["version"].as_u64().unwrap()
            })
        };
        let stored = &self.stored;
        [
            version(&Some(stored.root.clone())),
            version(&stored.timestamp),
            version(&stored.snapshot),
            version(&stored.targets),
        ]
    }
}

const BOTH: &[bool] = &[true, false];
const HASHED: &[bool] = &[true];
const BARE: &[bool] = &[false];

/// A client that refreshed at version 2 of everything, then meets the change; with hashes listed, without, or both.
/// Expected: the refusal as `rule code`, or an empty text; and the versions kept: root, timestamp, snapshot, targets.
fn check(name: &str, modes: &[bool], change: fn(&mut Repo), expected: &str, kept: [u64; 4]) {
    check_at(NOW + 1000, name, modes, change, expected, kept);
}

fn check_at(now: i64, name: &str, modes: &[bool], change: fn(&mut Repo), expected: &str, kept: [u64; 4]) {
    for hashes in modes {
        let mut repo = Repo::new();
        repo.hashes = *hashes;
        repo.next();
        let mut client = Client::of(&repo);
        client.refresh(&repo, NOW).unwrap();
        assert_eq!(client.versions(), [1, 2, 2, 2], "{name}");
        change(&mut repo);
        let outcome = client.refresh(&repo, now);
        let actual = outcome.err().map_or(String::new(), |error| format!("{} {}", error.rule, error.code()));
        assert_eq!(actual, expected, "{name}, hashes: {hashes}");
        assert_eq!(client.versions(), kept, "{name}, hashes: {hashes}");
    }
}

#[test]
fn a_refresh_fetches_what_it_lacks_and_no_more() {
    let mut repo = Repo::new();
    let mut client = Client::of(&repo);
    let trusted = client.refresh(&repo, NOW).unwrap();
    assert_eq!(client.asked, ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]);
    let target = trusted.target("package-0.1.0").unwrap();
    assert_eq!(target.path, format!("{}.package-0.1.0", sha256_hex(b"package")));
    assert_eq!(target.check(b"package"), Ok(()));
    assert_eq!(target.check(b"package!").unwrap_err().code(), "tuf-too-long");
    assert_eq!(target.check(b"packag").unwrap_err().code(), "tuf-mismatch");
    assert_eq!(target.check(b"PACKAGE").unwrap_err().code(), "tuf-mismatch");
    let missing = trusted.target("package-0.2.0").unwrap_err();
    assert_eq!((missing.rule, missing.code()), ("5.7.2", "tuf-unlisted"));

    client.refresh(&repo, NOW).unwrap();
    assert_eq!(client.asked, ["2.root.json", "timestamp.json"]);
    repo.snapshot.version += 1;
    repo.timestamp.version += 1;
    repo.publish_snapshot();
    client.refresh(&repo, NOW).unwrap();
    assert_eq!(client.asked, ["2.root.json", "timestamp.json", "2.snapshot.json"]);
    assert_eq!(client.versions(), [1, 2, 2, 1]);
}

#[test]
fn names_without_versions_when_the_root_says_so() {
    let mut repo = Repo::new();
    repo.root.consistent_snapshot = false;
    repo.publish_root();
    for role in ["snapshot", "targets"] {
        let bytes = repo.files.remove(&format!("1.{role}.json")).unwrap();
        repo.files.insert(format!("{role}.json"), bytes);
    }
    let mut client = Client::of(&repo);
    let trusted = client.refresh(&repo, NOW).unwrap();
    assert_eq!(client.asked, ["2.root.json", "timestamp.json", "snapshot.json", "targets.json"]);
    assert_eq!(trusted.target("package-0.1.0").unwrap().path, "package-0.1.0");
}

#[test]
#[rustfmt::skip]
fn rollback_rows() {
    check("nothing changed", BOTH, |_| {}, "", [1, 2, 2, 2]);
    check("all new", BOTH, Repo::next, "", [1, 3, 3, 3]);
    check("timestamp back", BOTH, |r| { r.timestamp.version = 1; r.publish_timestamp(); }, "5.4.3.1 tuf-rollback", [1, 2, 2, 2]);
    check("same timestamp, other content", BOTH, |r| { r.snapshot.version = 9; r.publish_snapshot(); }, "", [1, 2, 2, 2]);
    check("snapshot back", BOTH, |r| { r.timestamp.version = 3; r.snapshot.version = 1; r.publish_snapshot(); }, "5.4.3.2 tuf-rollback", [1, 2, 2, 2]);
    check("targets back", BOTH, |r| { r.next(); r.targets.version = 1; r.publish(); }, "5.5.5 tuf-rollback", [1, 3, 2, 2]);
    check("another role listed", BOTH, |r| {
        r.targets.version = 1;
        r.snapshot.meta.insert("extra.json".into(), FileMeta { version: 1, length: None, hashes: None });
        r.next();
    }, "", [1, 3, 3, 2]);
}

#[test]
fn a_listed_file_must_stay_listed() {
    let mut repo = Repo::new();
    repo.snapshot.meta.insert("extra.json".into(), FileMeta { version: 4, length: None, hashes: None });
    repo.next();
    let mut client = Client::of(&repo);
    client.refresh(&repo, NOW).unwrap();
    repo.snapshot.meta.remove("extra.json");
    repo.next();
    let error = client.refresh(&repo, NOW).unwrap_err();
    assert_eq!(error.rule, "5.5.5");
    assert_eq!(
        error.to_string(),
        "TUF 5.5.5: snapshot version 3: rollback: extra.json version 0 is below the trusted 4"
    );
}

#[test]
#[rustfmt::skip]
fn freeze_rows() {
    const PAST: Expires = Expires(Instant::from_millis(NOW));
    check("timestamp expired", BOTH, |r| { r.timestamp.expires = PAST; r.next(); }, "5.4.4 tuf-expired", [1, 2, 2, 2]);
    check("snapshot expired", BOTH, |r| { r.snapshot.expires = PAST; r.next(); }, "5.5.6 tuf-expired", [1, 3, 2, 2]);
    check("targets expired", BOTH, |r| { r.targets.expires = PAST; r.next(); }, "5.6.5 tuf-expired", [1, 3, 3, 2]);
    check("root expired", BOTH, |r| { r.root.expires = PAST; r.next_root(); r.next(); }, "5.3.10 tuf-expired", [2, 2, 2, 2]);
    check("intermediate root expired", BOTH, |r| {
        let good = r.root.expires;
        r.root.expires = PAST;
        r.next_root();
        r.root.expires = good;
        r.next_root();
    }, "", [3, 2, 2, 2]);
    check_at(NOW + DAY - 1, "the last moment", BOTH, |_| {}, "", [1, 2, 2, 2]);
    check_at(NOW + DAY, "held back: the kept timestamp expired", BOTH, |_| {}, "5.4.4 tuf-expired", [1, 2, 2, 2]);
    check_at(NOW + 2 * DAY, "expired copies still hold against rollback", BOTH, |r| {
        r.timestamp.expires = Expires(at(NOW + 9 * DAY));
        r.timestamp.version = 1;
        r.publish_timestamp();
    }, "5.4.3.1 tuf-rollback", [1, 2, 2, 2]);
    check_at(NOW + 31 * DAY, "kept snapshot expired", BOTH, |r| {
        r.timestamp.expires = Expires(at(NOW + 99 * DAY));
        r.timestamp.version = 3;
        r.publish_timestamp();
    }, "5.5.6 tuf-expired", [1, 3, 2, 2]);
    check_at(NOW + 91 * DAY, "kept targets expired", BOTH, |r| {
        r.timestamp.expires = Expires(at(NOW + 99 * DAY));
        r.snapshot.expires = r.timestamp.expires;
        r.timestamp.version = 3;
        r.snapshot.version = 3;
        r.publish_snapshot();
    }, "5.6.5 tuf-expired", [1, 3, 3, 2]);
}

#[test]
#[rustfmt::skip]
fn mix_and_match_rows() {
    check("an older snapshot in the new one's place", HASHED, |r| { r.next(); let old = r.files["2.snapshot.json"].clone(); r.files.insert("3.snapshot.json".into(), old); }, "5.5.2 tuf-mismatch", [1, 3, 2, 2]);
    check("an older snapshot in the new one's place", BARE, |r| { r.next(); let old = r.files["2.snapshot.json"].clone(); r.files.insert("3.snapshot.json".into(), old); }, "5.5.4 tuf-version", [1, 3, 2, 2]);
    check("older targets in the new ones' place", HASHED, |r| { r.next(); let old = r.files["2.targets.json"].clone(); r.files.insert("3.targets.json".into(), old); }, "5.6.2 tuf-mismatch", [1, 3, 3, 2]);
    check("older targets in the new ones' place", BARE, |r| { r.next(); let old = r.files["2.targets.json"].clone(); r.files.insert("3.targets.json".into(), old); }, "5.6.4 tuf-version", [1, 3, 3, 2]);
    check("a snapshot for targets", BARE, |r| { r.next(); let other = r.files["3.snapshot.json"].clone(); r.files.insert("3.targets.json".into(), other); }, "5.6.3 tuf-malformed", [1, 3, 3, 2]);
    check("no snapshot", BOTH, |r| { r.next(); r.files.remove("3.snapshot.json"); }, "5.5.1 tuf-not-found", [1, 3, 2, 2]);
    check("no targets", BOTH, |r| { r.next(); r.files.remove("3.targets.json"); }, "5.6.1 tuf-not-found", [1, 3, 3, 2]);
    check("no timestamp", BOTH, |r| { r.files.remove("timestamp.json"); }, "5.4.1 tuf-not-found", [1, 2, 2, 2]);
}

#[test]
#[rustfmt::skip]
fn threshold_rows() {
    check("timestamp by a stranger", BOTH, |r| { r.signers[3] = vec![40]; r.next(); }, "5.4.2 tuf-signatures", [1, 2, 2, 2]);
    check("snapshot by the timestamp's key", BOTH, |r| { r.signers[2] = vec![31]; r.next(); }, "5.5.3 tuf-signatures", [1, 3, 2, 2]);
    check("AU-2: targets by the online keys", BOTH, |r| { r.signers[1] = vec![21, 31]; r.next(); }, "5.6.3 tuf-signatures", [1, 3, 3, 2]);
    check("targets by one key of two", BOTH, |r| { r.signers[1] = vec![12]; r.next(); }, "5.6.3 tuf-signatures", [1, 3, 3, 2]);
    check("targets by founders", BOTH, |r| { r.signers[1] = vec![1, 2]; r.next(); }, "5.6.3 tuf-signatures", [1, 3, 3, 2]);
    check("any two of three, and others", BOTH, |r| { r.signers[1] = vec![40, 13, 11]; r.next(); }, "", [1, 3, 3, 3]);
    check("one key id twice", BARE, |r| {
        r.signers[1] = vec![11];
        r.next();
        r.edit("3.targets.json", |v| { let one = v["signatures"][0].clone(); v["signatures"].as_array_mut().unwrap().push(one); });
    }, "5.6.3 tuf-malformed", [1, 3, 3, 2]);
    check("one key under two ids counts once", BOTH, |r| {
        let mut twin = Key::of(key(11).public_key());
        let public = twin.keyval["public"].as_str().unwrap().to_uppercase();
        twin.keyval.insert("public".into(), public.into());
        let twin_id = twin.id().unwrap();
        r.root.roles.targets.keyids.push(twin_id.clone());
        r.root.keys.insert(twin_id.clone(), twin);
        r.next_root();
        r.signers[1] = vec![11];
        r.hashes = false;
        r.next();
        r.edit("3.targets.json", |v| {
            let mut again = v["signatures"][0].clone();
            again["keyid"] = twin_id.into();
            v["signatures"].as_array_mut().unwrap().push(again);
        });
    }, "5.6.3 tuf-signatures", [2, 3, 3, 2]);
    check("content changed after signing", BARE, |r| { r.next(); r.edit("3.targets.json", |v| v["signed"]["targets"]["package-0.1.0"]["length"] = 8.into()); }, "5.6.3 tuf-signatures", [1, 3, 3, 2]);
    check("a float", BARE, |r| { r.next(); r.edit("3.targets.json", |v| v["signed"]["targets"]["package-0.1.0"]["custom"] = serde_json::json!({"a": 0.5})); }, "5.6.3 tuf-not-canonical", [1, 3, 3, 2]);
    check("unknown members are covered and ignored", BARE, |r| {
        r.next();
        r.edit("3.targets.json", |v| v["signed"]["x-unknown"] = 1.into());
        let mut envelope = Envelope::parse(&r.files["3.targets.json"]).unwrap();
        envelope.sign(&key(11)).unwrap();
        envelope.sign(&key(12)).unwrap();
        r.files.insert("3.targets.json".into(), envelope.to_bytes().unwrap());
    }, "", [1, 3, 3, 3]);
}

#[test]
#[rustfmt::skip]
fn root_rows() {
    check("signed by both thresholds", BOTH, Repo::next_root, "", [2, 2, 2, 2]);
    check("signed by too few", BOTH, |r| { r.signers[0] = vec![3]; r.next_root(); }, "5.3.4 tuf-signatures", [1, 2, 2, 2]);
    check("rotated, signed by old and new", BOTH, |r| { r.root.roles.root = role_keys(2, &[3, 4, 5]); r.signers[0] = vec![1, 2, 4, 5]; r.next_root(); r.signers[0] = vec![4, 5]; r.next_root(); }, "", [3, 2, 2, 2]);
    check("rotated, not signed by the old", BOTH, |r| { r.root.roles.root = role_keys(2, &[3, 4, 5]); r.signers[0] = vec![3, 4, 5]; r.next_root(); }, "5.3.4 tuf-signatures", [1, 2, 2, 2]);
    check("rotated, not signed by the new", BOTH, |r| { r.root.roles.root = role_keys(2, &[3, 4, 5]); r.signers[0] = vec![1, 2, 3]; r.next_root(); }, "5.3.4 tuf-signatures", [1, 2, 2, 2]);
    check("threshold raised, not met", BOTH, |r| { r.root.roles.root.threshold = 3; r.next_root(); }, "5.3.4 tuf-signatures", [1, 2, 2, 2]);
    check("a version skipped", BOTH, |r| { r.root.version = 3; r.publish_root(); let three = r.files["3.root.json"].clone(); r.files.insert("2.root.json".into(), three); }, "5.3.5 tuf-version", [1, 2, 2, 2]);
    check("the same version again", BOTH, |r| { let one = r.files["1.root.json"].clone(); r.files.insert("2.root.json".into(), one); r.next(); }, "", [1, 3, 3, 3]);
    check("the old root again, one step on", BOTH, |r| { r.next_root(); let one = r.files["1.root.json"].clone(); r.files.insert("3.root.json".into(), one); }, "5.3.5 tuf-rollback", [2, 2, 2, 2]);
    check("garbage", BOTH, |r| { r.files.insert("2.root.json".into(), b"<html>".to_vec()); }, "5.3.4 tuf-malformed", [1, 2, 2, 2]);
    check("a key under another's id", BOTH, |r| {
        r.root.version = 2;
        r.root.keys.insert(id(1), Key::of(key(9).public_key()));
        r.files.insert("2.root.json".into(), signed(&r.root, &[1, 2]));
    }, "5.3.4 tuf-malformed", [1, 2, 2, 2]);
    check("a threshold of nothing", BOTH, |r| { r.root.roles.targets.threshold = 0; r.next_root(); }, "5.3.4 tuf-malformed", [1, 2, 2, 2]);
}

#[test]
#[rustfmt::skip]
fn online_key_rotation_rows() {
    check("timestamp key replaced", BOTH, |r| { r.root.roles.timestamp = role_keys(1, &[32]); r.next_root(); r.signers[3] = vec![32]; r.timestamp.version = 1; r.publish_timestamp(); }, "", [2, 1, 2, 2]);
    check("fast-forwarded snapshot recovered", BOTH, |r| {
        r.root.roles.snapshot = role_keys(1, &[22]);
        r.root.roles.timestamp = role_keys(1, &[32]);
        r.next_root();
        r.signers[2] = vec![22];
        r.signers[3] = vec![32];
        r.snapshot.version = 1;
        r.timestamp.version = 1;
        r.targets.version = 1;
        r.publish();
    }, "", [2, 1, 1, 1]);
    check("the old key's word counts no more", BOTH, |r| { r.root.roles.timestamp = role_keys(1, &[32]); r.next_root(); r.next(); }, "5.4.2 tuf-signatures", [2, 0, 0, 2]);
    check("a key added takes nothing back", BOTH, |r| { r.root.roles.timestamp = role_keys(1, &[31, 32]); r.next_root(); r.timestamp.version = 1; r.publish_timestamp(); }, "5.4.3.1 tuf-rollback", [2, 2, 2, 2]);
    check("targets keys replaced, old targets", BOTH, |r| { r.root.roles.targets = role_keys(1, &[14]); r.next_root(); }, "5.6.3 tuf-signatures", [2, 2, 2, 0]);
    check("targets keys replaced, signed anew", BOTH, |r| { r.root.roles.targets = role_keys(1, &[14]); r.next_root(); r.signers[1] = vec![14]; r.next(); }, "", [2, 3, 3, 3]);
}

#[test]
#[rustfmt::skip]
fn endless_data_rows() {
    fn pad(repo: &mut Repo, file: &str, to: u64) {
        let bytes = repo.files.get_mut(file).unwrap();
        bytes.resize(usize::try_from(to).unwrap(), b' ');
    }
    check("root too long", BOTH, |r| { r.next_root(); pad(r, "2.root.json", ROOT_BYTES_MAX + 1); }, "5.3.3 tuf-too-long", [1, 2, 2, 2]);
    check("root just short enough", BOTH, |r| { r.next_root(); pad(r, "2.root.json", ROOT_BYTES_MAX); }, "", [2, 2, 2, 2]);
    check("timestamp too long", BOTH, |r| { r.next(); pad(r, "timestamp.json", TIMESTAMP_BYTES_MAX + 1); }, "5.4.1 tuf-too-long", [1, 2, 2, 2]);
    check("snapshot too long", BARE, |r| { r.next(); pad(r, "3.snapshot.json", SNAPSHOT_BYTES_MAX + 1); }, "5.5.1 tuf-too-long", [1, 3, 2, 2]);
    check("snapshot longer than announced", HASHED, |r| { r.next(); let len = r.files["3.snapshot.json"].len() as u64; pad(r, "3.snapshot.json", len + 1); }, "5.5.1 tuf-too-long", [1, 3, 2, 2]);
    check("targets too long", BARE, |r| { r.next(); pad(r, "3.targets.json", TARGETS_BYTES_MAX + 1); }, "5.6.1 tuf-too-long", [1, 3, 3, 2]);
    check("targets cut short", HASHED, |r| { r.next(); r.files.get_mut("3.targets.json").unwrap().pop(); }, "5.6.2 tuf-mismatch", [1, 3, 3, 2]);
}

#[test]
fn a_long_chain_of_roots_takes_several_refreshes() {
    let mut repo = Repo::new();
    let mut client = Client::of(&repo);
    for _ in 0..ROTATIONS_MAX + 2 {
        repo.next_root();
    }
    client.refresh(&repo, NOW).unwrap();
    assert_eq!(client.versions(), [257, 1, 1, 1]);
    client.refresh(&repo, NOW).unwrap();
    assert_eq!(client.versions(), [259, 1, 1, 1]);
}

#[test]
#[rustfmt::skip]
fn the_given_root_must_hold() {
    let repo = Repo::new();
    for (change, code) in [
        ((|v| v["signatures"].as_array_mut().unwrap().truncate(1)) as fn(&mut Value), "tuf-signatures"),
        (|v| { v["signed"].as_object_mut().unwrap().remove("version"); }, "tuf-malformed"),
        (|v| v["signed"]["_type"] = "targets".into(), "tuf-malformed"),
        (|v| v["signed"]["spec_version"] = "2.0.0".into(), "tuf-malformed"),
        (|v| v["signed"]["version"] = 0.into(), "tuf-malformed"),
        (|v| v["signed"]["expires"] = "2030-01-01".into(), "tuf-malformed"),
        (|v| v["signed"]["expires"] = "2030-01-01T00:00:00.000Z".into(), "tuf-malformed"),
    ] {
        let mut value: Value = serde_json::from_slice(&repo.files["1.root.json"]).unwrap();
        change(&mut value);
        let root = serde_json::to_vec(&value).unwrap();
        let error = Updater::new(Stored { root, ..Stored::default() }, at(NOW)).err().unwrap();
        assert_eq!((error.rule, error.code()), ("5.2", code));
    }
}

#[test]
fn what_is_kept_and_damaged_is_fetched_anew() {
    let repo = Repo::new();
    let mut client = Client::of(&repo);
    client.refresh(&repo, NOW).unwrap();
    let whole = client.clone();
    client.stored.timestamp = Some(b"{".to_vec());
    client.stored.snapshot = Some(Vec::new());
    client.stored.targets = Some(b"[]".to_vec());
    client.refresh(&repo, NOW).unwrap();
    assert_eq!(client.versions(), whole.versions());
    assert_eq!(client.asked.len(), 4);
}

#[test]
fn a_refusal_ends_the_refresh() {
    let repo = Repo::new();
    let stored = Stored { root: repo.files["1.root.json"].clone(), ..Stored::default() };
    let mut updater = Updater::new(stored.clone(), at(NOW)).unwrap();
    assert_eq!(updater.give(Fetched::Bytes(b"{}")), []);
    let error = updater.want().unwrap_err();
    assert_eq!(updater.give(Fetched::NotFound), []);
    assert_eq!(updater.finish().unwrap_err(), error);
    assert_eq!(Updater::new(stored, at(NOW)).unwrap().finish().unwrap_err().code(), "tuf-unfinished");
}

#[test]
fn delegations_are_kept() {
    let mut repo = Repo::new();
    let role = DelegatedRole {
        name: "custom".into(),
        keys: role_keys(1, &[15]),
        paths: Some(vec!["custom-*".into()]),
        path_hash_prefixes: None,
        terminating: true,
    };
    let keys = BTreeMap::from([(id(15), Key::of(key(15).public_key()))]);
    repo.targets.delegations = Some(Delegations { keys, roles: Some(vec![role]), succinct_roles: None });
    repo.next();
    let mut client = Client::of(&repo);
    let trusted = client.refresh(&repo, NOW).unwrap();
    assert_eq!(trusted.targets(), &repo.targets);
}

#[test]
fn target_name_rows() {
    for good in ["package-0.1.1", "release-0.1.1.json", "matrix.json", "a", "x+y_z"] {
        assert!(target_name_valid(good), "{good}");
    }
    for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "-x", "a..b", "é", "a\0", &"a".repeat(129)] {
        assert!(!target_name_valid(bad), "{bad}");
    }
}
