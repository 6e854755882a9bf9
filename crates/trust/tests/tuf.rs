//! A repository in a folder and the client workflow over it: publication, refusals, renewal, rotation, crashes.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use governance::{Span, Timestamp};
use proof::order::SignedRoot;
use proof::tuf::{Fetched, Persist, Root, Stored, Targets, Trusted, Updater};
use proof::{KeySet, PublicKey, SeedKey, Sign};
use tempfile::TempDir;
use trust::tuf::{
    Envelope, Incoming, Lifetimes, PublishError, Published, Repository, Role, RootPlan, TargetFile,
    TargetsChange, TufError, draft,
};

const HOUR: i64 = 3_600_000;
const NOW: i64 = 20_000 * 24 * HOUR;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_millis(NOW + hours * HOUR)
}

fn key(seed: u8) -> SeedKey {
    SeedKey::new([seed; 32])
}

fn public(seeds: &[u8]) -> Vec<PublicKey> {
    seeds.iter().map(|seed| *key(*seed).public_key()).collect()
}

fn signed(mut envelope: Envelope, seeds: &[u8]) -> Vec<u8> {
    for seed in seeds {
        // Each signature through the file's form, as between holders of offline keys.
        envelope = Envelope::parse(&envelope.to_bytes().unwrap()).unwrap();
        envelope.sign(&key(*seed)).unwrap();
    }
    envelope.to_bytes().unwrap()
}

fn root(previous: Option<&[u8]>, founders: &[u8], snapshot: u8, signers: &[u8]) -> Vec<u8> {
    let plan = RootPlan {
        founder: &KeySet::new(2, public(founders)).unwrap(),
        organism: &KeySet::new(2, public(&[11, 12, 13])).unwrap(),
        snapshot: &public(&[snapshot]),
        timestamp: &public(&[31]),
    };
    let expires = at(24 * 365);
    let draft = match previous {
        None => draft::root_first(&plan, expires),
        Some(previous) => draft::root_next(previous, &plan, expires),
    };
    signed(draft.unwrap(), signers)
}

fn open(folder: &Path, snapshot: u8) -> Repository {
    let (snapshot, timestamp) = (Box::new(key(snapshot)), Box::new(key(31)));
    Repository::open(folder, snapshot, timestamp, Lifetimes::default()).unwrap()
}

struct Fixture {
    folder: TempDir,
    repository: Repository,
    root: Vec<u8>,
    targets: Vec<u8>,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let repository = open(folder.path(), 21);
        let root = root(None, &[1, 2, 3], 21, &[1, 2]);
        repository.root_publish(&root).unwrap();
        let put = BTreeMap::from([(
            "package-0.1.0".to_string(),
            repository.target_put("package-0.1.0", &mut &b"package"[..], 7).unwrap(),
        )]);
        let change = TargetsChange { put, remove: Vec::new() };
        let targets = signed(draft::targets_first(change, at(24 * 90)).unwrap(), &[11, 12]);
        repository.publish(&targets, at(0)).unwrap();
        Self { folder, repository, root, targets }
    }

    fn next(&self, put: &[(&str, TargetFile)], hours: i64, signers: &[u8]) -> Vec<u8> {
        let put = put.iter().map(|(name, file)| (name.to_string(), file.clone())).collect();
        let change = TargetsChange { put, remove: Vec::new() };
        signed(draft::targets_next(&self.targets, change, at(hours)).unwrap(), signers)
    }

    fn refresh(&self, client: &mut Stored, now: Timestamp) -> Result<Trusted, TufError> {
        let mut updater = Updater::new(client.clone(), now)?;
        while let Some(want) = updater.want()? {
            let bytes = fs::read(self.folder.path().join("metadata").join(&want.path)).ok();
            for act in updater.give(bytes.as_ref().map_or(Fetched::NotFound, |bytes| Fetched::Bytes(bytes))) {
                match act {
                    Persist::Write { role: Role::Root, bytes } => client.root = bytes,
                    Persist::Write { role: Role::Timestamp, bytes } => client.timestamp = Some(bytes),
                    Persist::Write { role: Role::Snapshot, bytes } => client.snapshot = Some(bytes),
                    Persist::Write { role: Role::Targets, bytes } => client.targets = Some(bytes),
                    Persist::Delete(Role::Timestamp) => client.timestamp = None,
                    Persist::Delete(Role::Snapshot) => client.snapshot = None,
                    Persist::Delete(Role::Targets) => client.targets = None,
                    Persist::Delete(Role::Root) => panic!("a root is never deleted"),
                }
            }
        }
        updater.finish()
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn client(&self) -> Stored {
        Stored { root: self.root.clone(), ..Stored::default() }
    }
}

fn versions(published: Published) -> [u64; 4] {
    [published.root, published.targets, published.snapshot, published.timestamp]
}

fn code<T>(outcome: Result<T, PublishError>) -> &'static str {
    outcome.err().map_or("", |error| error.code())
}

#[test]
fn rl_3_what_the_organism_signed_reaches_the_client() {
    let fixture = Fixture::new();
    let mut client = fixture.client();
    fixture.refresh(&mut client, at(1)).unwrap();
    let file = fixture.repository.target_put("package-0.1.1", &mut &b"new package"[..], 100).unwrap();
    let next = fixture.next(&[("package-0.1.1", file)], 24 * 90, &[13, 12]);
    let published = fixture.repository.publish(&next, at(1)).unwrap();
    assert_eq!(versions(published), [1, 2, 2, 2]);
    assert_eq!(published.targets_expires, at(24 * 90));
    assert_eq!(fixture.repository.targets_bytes().unwrap().unwrap(), next);
    let trusted = fixture.refresh(&mut client, at(2)).unwrap();
    for (name, bytes) in [("package-0.1.0", &b"package"[..]), ("package-0.1.1", b"new package")] {
        let info = trusted.target(name).unwrap();
        let served = fs::read(fixture.folder.path().join("targets").join(&info.path)).unwrap();
        assert_eq!(served, bytes);
        info.check(&served).unwrap();
    }
    // The same again changes nothing.
    assert_eq!(fixture.repository.publish(&next, at(5)).unwrap(), published);
    assert_eq!(fixture.repository.published().unwrap(), Some(published));
}

#[test]
fn a_target_is_removed_from_the_list() {
    let fixture = Fixture::new();
    let change = TargetsChange { put: BTreeMap::new(), remove: vec!["package-0.1.0".into()] };
    let next = signed(draft::targets_next(&fixture.targets, change, at(24)).unwrap(), &[11, 12]);
    fixture.repository.publish(&next, at(1)).unwrap();
    let trusted = fixture.refresh(&mut fixture.client(), at(1)).unwrap();
    assert_eq!(trusted.target("package-0.1.0").unwrap_err().code(), "tuf-unlisted");
}

#[test]
fn au_2_publication_rows() {
    let fixture = Fixture::new();
    let publish = |bytes: &[u8], now| code(fixture.repository.publish(bytes, at(now)));
    let file = fixture.repository.target_put("a", &mut &b"a"[..], 1).unwrap();
    let good = [("a", file.clone())];
    for (what, bytes, expected) in [
        ("one key of two", fixture.next(&good, 24, &[11]), "tuf-signatures"),
        ("no key", fixture.next(&good, 24, &[]), "tuf-signatures"),
        ("the Founder's keys", fixture.next(&good, 24, &[1, 2]), "tuf-signatures"),
        ("the online keys", fixture.next(&good, 24, &[21, 31]), "tuf-signatures"),
        ("expired", fixture.next(&good, 1, &[11, 12]), "tuf-expired"),
        ("no file", fixture.next(&[("b", file.clone())], 24, &[11, 12]), "tuf-target-file"),
        ("other bytes", fixture.next(&[("a", TargetFile::of(b"b"))], 24, &[11, 12]), "tuf-target-file"),
        (
            "wrong length",
            {
                let longer = TargetFile { length: 2, ..file.clone() };
                fixture.next(&[("a", longer)], 24, &[11, 12])
            },
            "tuf-target-file",
        ),
        (
            "a snapshot",
            fs::read(fixture.folder.path().join("metadata/1.snapshot.json")).unwrap(),
            "tuf-malformed",
        ),
        (
            "same version, other content",
            signed(draft::targets_first(TargetsChange::default(), at(24)).unwrap(), &[11, 12]),
            "tuf-rollback",
        ),
        ("endless", vec![b' '; 5_000_001], "tuf-too-long"),
    ] {
        assert_eq!(publish(&bytes, 1), expected, "{what}");
    }
    assert_eq!(publish(&fixture.next(&good, 24 * 999, &[11, 12]), 24 * 365), "tuf-expired", "root expired");
    assert_eq!(versions(fixture.repository.published().unwrap().unwrap()), [1, 1, 1, 1]);
    assert_eq!(publish(&fixture.next(&good, 24, &[11, 12]), 1), "");
}

#[test]
fn names_are_flat() {
    let fixture = Fixture::new();
    for name in ["a/b", "../a", "", ".a"] {
        let put = fixture.repository.target_put(name, &mut &b"a"[..], 1);
        assert_eq!(code(put), "tuf-target-name", "{name}");
        let change = TargetsChange { put: [(name.into(), TargetFile::of(b"a"))].into(), remove: Vec::new() };
        let drafted = draft::targets_first(change, at(1));
        assert_eq!(drafted.err().unwrap().code(), "tuf-target-name", "{name}");
    }
    assert_eq!(code(fixture.repository.target_put("a", &mut &b"aa"[..], 1)), "tuf-io");
    assert_eq!((fixture.files("targets").len(), fixture.files("incoming").len()), (1, 0));
}

#[test]
fn signatures_gather_one_after_another() {
    let fixture = Fixture::new();
    let root = fixture.repository.root().unwrap();
    for (signers, valid) in [(&[][..], 0), (&[12], 1), (&[12, 12], 1), (&[12, 40], 1), (&[12, 11], 2)] {
        let bytes = fixture.next(&[], 24, signers);
        assert_eq!(draft::progress::<Targets>(&bytes, &root).unwrap(), (valid, 2), "{signers:?}");
    }
    assert_eq!(draft::progress::<Root>(&fixture.root, &root).unwrap(), (2, 2));
    assert_eq!(code(draft::progress::<Root>(&fixture.targets, &root)), "tuf-malformed");
}

#[test]
fn online_roles_are_signed_anew_at_half_their_life() {
    let fixture = Fixture::new();
    let mut client = fixture.client();
    fixture.refresh(&mut client, at(0)).unwrap();
    for (hours, expected) in
        [(11, None), (12, Some([1, 1, 1, 2])), (23, None), (84, Some([1, 1, 2, 3])), (85, None)]
    {
        let renewed = fixture.repository.resign_if_due(at(hours)).unwrap();
        assert_eq!(renewed.map(versions), expected, "{hours} h");
        fixture.refresh(&mut client, at(hours)).unwrap();
    }
    assert_eq!(fixture.refresh(&mut client, at(84 + 24)).unwrap_err().code(), "tuf-expired");
}

#[test]
fn a_root_is_followed_by_the_next_and_nothing_else() {
    let fixture = Fixture::new();
    let first = fixture.root.as_slice();
    let publish = |bytes: &[u8]| code(fixture.repository.root_publish(bytes));
    assert_eq!(publish(&root(Some(first), &[2, 3, 4], 22, &[3, 4])), "tuf-signatures", "not by the old");
    assert_eq!(publish(&root(Some(first), &[2, 4, 5], 22, &[1, 2])), "tuf-signatures", "not by the new");
    assert_eq!(publish(&root(None, &[1, 2, 3], 22, &[1, 2])), "tuf-version", "the same version");
    assert_eq!(publish(first), "", "the same bytes");
    let second = root(Some(first), &[2, 3, 4], 22, &[2, 3]);
    let third = root(Some(&second), &[2, 3, 4], 22, &[2, 3]);
    assert_eq!(publish(&third), "tuf-version", "one left out");
    assert_eq!(publish(&second), "");
    assert_eq!(publish(first), "tuf-signatures", "the old keys no longer speak");

    let mut client = fixture.client();
    // The old snapshot key no longer counts, neither for clients nor for the repository itself.
    assert_eq!(fixture.refresh(&mut client, at(1)).unwrap_err().code(), "tuf-signatures");
    assert_eq!(code(fixture.repository.resign_if_due(at(1))), "tuf-signatures");
    let after = open(fixture.folder.path(), 22);
    assert_eq!(after.resign_if_due(at(1)).unwrap().map(versions), Some([2, 1, 2, 2]));
    assert_eq!(after.resign_if_due(at(1)).unwrap(), None);
    fixture.refresh(&mut client, at(1)).unwrap();
}

#[test]
fn rl_3_a_root_that_would_lock_clients_out_is_refused_before_it_is_in_force() {
    let fixture = Fixture::new();
    let first = fixture.root.as_slice();
    let check =
        |bytes: &[u8], hours| fixture.repository.root_check(bytes, at(hours)).map_err(|e| e.to_string());
    let refused = |bytes: &[u8], words: &str| {
        let error = check(bytes, 1).unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    let next = root(Some(first), &[1, 2, 3], 21, &[1, 2]);
    assert_eq!(check(&next, 1), Ok(()));
    assert!(check(&next, 24 * 366).unwrap_err().contains("expired"));
    refused(&root(Some(first), &[1, 2, 3], 22, &[1, 2]), "signs snapshots");
    let plan = |organism: &[u8], timestamp| {
        let plan = RootPlan {
            founder: &KeySet::new(2, public(&[1, 2, 3])).unwrap(),
            organism: &KeySet::new(2, public(organism)).unwrap(),
            snapshot: &public(&[21]),
            timestamp: &public(&[timestamp]),
        };
        signed(draft::root_next(first, &plan, at(24)).unwrap(), &[1, 2])
    };
    refused(&plan(&[11, 12, 13], 32), "signs timestamps");
    refused(&plan(&[14, 15], 31), "targets in force");
    assert_eq!(fixture.repository.root().unwrap().version, 1, "nothing came into force");
    // Not signed by its own threshold, it does not even travel.
    assert!(SignedRoot::new(root(Some(first), &[2, 4, 5], 21, &[1, 2])).is_err());
    assert!(SignedRoot::new(next).is_ok());
}

#[test]
fn the_first_root_is_version_one_and_signs_itself() {
    let folder = TempDir::new().unwrap();
    let repository = open(folder.path(), 21);
    let first = root(None, &[1, 2, 3], 21, &[1]);
    assert_eq!(code(repository.root_publish(&first)), "tuf-signatures");
    let first = root(None, &[1, 2, 3], 21, &[1, 3]);
    let second = root(Some(&first), &[1, 2, 3], 21, &[1, 3]);
    assert_eq!(code(repository.root_publish(&second)), "tuf-version");
    assert_eq!(code(repository.root()), "tuf-no-root");
    assert_eq!(repository.published().unwrap(), None);
    assert_eq!(repository.resign_if_due(at(0)).unwrap(), None);
    repository.root_publish(&first).unwrap();
    assert_eq!(repository.targets_bytes().unwrap(), None);
}

#[test]
fn an_interrupted_publication_is_finished_by_the_next() {
    let fixture = Fixture::new();
    let metadata = fixture.folder.path().join("metadata");
    let timestamp = fs::read(metadata.join("timestamp.json")).unwrap();
    let next = fixture.next(&[], 24, &[11, 12]);
    fixture.repository.publish(&next, at(1)).unwrap();
    // As if the power had gone before the timestamp was written.
    fs::write(metadata.join("timestamp.json"), timestamp).unwrap();
    fixture.refresh(&mut fixture.client(), at(1)).unwrap();
    let other = fixture.next(&[], 25, &[11, 12]);
    assert_eq!(code(fixture.repository.publish(&other, at(1))), "tuf-version", "somebody may hold the first");
    let published = fixture.repository.publish(&next, at(1)).unwrap();
    assert_eq!(versions(published), [1, 2, 3, 2], "no snapshot is written twice under one version");
    let spans = Lifetimes::default();
    assert!(spans.timestamp < spans.snapshot && spans.timestamp > Span::ZERO);
}

#[test]
fn rl_3_a_file_is_served_only_once_it_is_listed() {
    let fixture = Fixture::new();
    assert_eq!((fixture.files("targets").len(), fixture.files("incoming").len()), (1, 0));
    let file = fixture.repository.target_put("a", &mut &b"a"[..], 1).unwrap();
    let other = fixture.repository.target_put("b", &mut &b"b"[..], 1).unwrap();
    assert_eq!((fixture.files("targets").len(), fixture.files("incoming").len()), (1, 2));
    // A publication that fails moves nothing, not even what it had found.
    let missing = [("a", file.clone()), ("c", TargetFile::of(b"c"))];
    let refused = fixture.repository.publish(&fixture.next(&missing, 24, &[11, 12]), at(1));
    assert_eq!(code(refused), "tuf-target-file");
    let unsigned = fixture.repository.publish(&fixture.next(&[("a", file.clone())], 24, &[11]), at(1));
    assert_eq!(code(unsigned), "tuf-signatures");
    assert_eq!((fixture.files("targets").len(), fixture.files("incoming").len()), (1, 2));
    // As if the power had gone between moving the one and moving the other.
    let next = fixture.next(&[("a", file), ("b", other)], 24, &[11, 12]);
    let name = fixture.files("incoming").remove(0);
    let (incoming, targets) = (fixture.folder.path().join("incoming"), fixture.folder.path().join("targets"));
    fs::rename(incoming.join(&name), targets.join(&name)).unwrap();
    fixture.repository.publish(&next, at(1)).unwrap();
    assert_eq!((fixture.files("targets").len(), fixture.files("incoming").len()), (3, 0));
    // The same upload and publication again change nothing; a file that suffered is mended by its upload.
    fs::write(targets.join(&name), "spoilt").unwrap();
    for (name, bytes) in [("a", b"a"), ("b", b"b")] {
        fixture.repository.target_put(name, &mut &bytes[..], 1).unwrap();
    }
    fixture.repository.publish(&next, at(2)).unwrap();
    assert_eq!((fixture.files("targets").len(), fixture.files("incoming").len()), (3, 0));
    assert_eq!(fs::read(targets.join(&name)).unwrap().len(), 1);
}

#[test]
fn rl_3_what_is_not_listed_has_little_room_and_not_for_ever() {
    let Fixture { folder, repository, .. } = Fixture::new();
    let age_max = Span::hours(2);
    let repository = repository.with_incoming(Incoming { bytes_max: 10, age_max });
    let put = |name: &str, bytes: &[u8]| code(repository.target_put(name, &mut &*bytes, 8));
    assert_eq!(put("a", b"1234567"), "");
    assert_eq!(put("a", b"123456789"), "tuf-incoming-full", "there is room for three bytes");
    assert_eq!(put("b", b"1234"), "tuf-incoming-full");
    assert_eq!(put("b", b"123"), "");
    assert_eq!(put("c", b"1"), "tuf-incoming-full");
    let incoming = folder.path().join("incoming");
    for (index, entry) in fs::read_dir(&incoming).unwrap().enumerate() {
        let hours = i64::try_from(index).unwrap();
        let written = std::time::Duration::from_millis(at(hours).as_millis().unsigned_abs());
        let file = fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + written).unwrap();
    }
    for (hours, removed) in [(1, 0), (2, 0), (3, 1), (3, 0), (4, 1)] {
        assert_eq!(repository.incoming_clean(at(hours)).unwrap(), removed, "{hours} h");
    }
    assert_eq!(put("c", b"12345678"), "");
    // Many small files are many files.
    let repository = repository.with_incoming(Incoming::default());
    let refused = (0..2_000).find_map(|n: u32| {
        repository.target_put("n", &mut &n.to_be_bytes()[..], 8).err().map(|error| (n, error.code()))
    });
    assert_eq!(refused, Some((1_023, "tuf-incoming-full")));
}
