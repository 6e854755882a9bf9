//! What our own agents refuse though any other client would take it, and the search for a target.

use super::*;

/// Takes every signature by keys of the type `odd`, in the name of their `public`.
struct Odd;

impl VerifyKey for Odd {
    fn verify(&self, key: &Key, _: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
        let public = key.keyval.get("public")?.as_str()?;
        (key.keytype == "odd" && signature == b"good").then(|| public.as_bytes().to_vec())
    }
}

const ANY: Profile = Profile::Any(&Odd);

fn refresh(repo: &Repo, profile: Profile) -> Result<Trusted, TufError> {
    let root = repo.files["1.root.json"].clone();
    let mut updater = Updater::of(profile, Stored { root, ..Stored::default() }, at(NOW))?;
    while let Some(want) = updater.want()? {
        let bytes = repo.files.get(&want.path);
        updater.give(bytes.map_or(Fetched::NotFound, |bytes| Fetched::Bytes(bytes)));
    }
    updater.finish()
}

/// The timestamp again, with one more signature: `good` in hex, by the key of this id.
fn signed_oddly(repo: &mut Repo, id: &str) {
    repo.publish();
    let mut envelope = Envelope::parse(&repo.files["timestamp.json"]).unwrap();
    envelope.signatures.push(SignatureEntry { keyid: id.into(), sig: hex_encode(b"good") });
    repo.files.insert("timestamp.json".into(), envelope.to_bytes().unwrap());
}

fn odd(public: &str) -> Key {
    let keyval = Map::from_iter([("public".into(), Value::String(public.into()))]);
    Key { keytype: "odd".into(), scheme: "odd".into(), keyval, other: Map::new() }
}

/// The same key, with a member that changes its id.
fn odd_with(public: &str, member: &str) -> (String, Key) {
    let key = Key { other: Map::from_iter([("custom".into(), member.into())]), ..odd(public) };
    let id = sha256_hex(&canonical(&serde_json::to_value(&key).unwrap()).unwrap());
    (id, key)
}

#[test]
fn other_key_types_count_for_foreign_repositories_alone() {
    let (key, mut repo) = (odd("a"), Repo::new());
    let id = key.id().unwrap();
    repo.root.keys.insert(id.clone(), key);
    repo.root.roles.timestamp.keyids.push(id.clone());
    repo.root.roles.timestamp.threshold = 2;
    repo.publish_root();
    signed_oddly(&mut repo, &id);
    assert_eq!(refresh(&repo, Profile::Own).unwrap_err().code(), "tuf-signatures");
    assert!(refresh(&repo, ANY).is_ok());
}

#[test]
fn two_ids_of_one_foreign_key_count_once() {
    let mut repo = Repo::new();
    let ids = ["one", "two"].map(|member| {
        let (id, key) = odd_with("a", member);
        repo.root.keys.insert(id.clone(), key);
        repo.root.roles.timestamp.keyids.push(id.clone());
        id
    });
    repo.root.roles.timestamp.threshold = 3;
    repo.publish_root();
    signed_oddly(&mut repo, &ids[0]);
    let mut envelope = Envelope::parse(&repo.files["timestamp.json"]).unwrap();
    envelope.signatures.push(SignatureEntry { keyid: ids[1].clone(), sig: hex_encode(b"good") });
    repo.files.insert("timestamp.json".into(), envelope.to_bytes().unwrap());
    assert_eq!(refresh(&repo, ANY).unwrap_err().code(), "tuf-signatures");
    repo.root.roles.timestamp.threshold = 2;
    repo.publish_root();
    assert!(refresh(&repo, ANY).is_ok());
}

#[test]
fn a_key_id_is_the_hash_of_its_key() {
    let (id, with_member) = odd_with("a", "one");
    let three = with_member.id().unwrap();
    #[rustfmt::skip]
    let rows = [
        // id        key                  of our own  of any
        (id.clone(), with_member.clone(), false,      true),
        (three,      with_member,         true,       true),
        (id,         odd("a"),            false,      false),
        ("x".into(), odd("a"),            false,      false),
    ];
    for (id, key, own, any) in rows {
        let mut repo = Repo::new();
        repo.root.keys.insert(id.clone(), key);
        repo.publish_root();
        for (profile, good) in [(Profile::Own, own), (ANY, any)] {
            let refused = refresh(&repo, profile).err().map(|error| error.code());
            assert_eq!(refused, (!good).then_some("tuf-malformed"), "{id} {profile:?}");
        }
    }
}

/// A repository that delegates `custom-*` to a role that lists `custom-1`.
fn delegating() -> Repo {
    let mut repo = Repo::new();
    let role = DelegatedRole {
        name: "custom".into(),
        keys: role_keys(1, &[15]),
        paths: Some(vec!["custom-*".into()]),
        path_hash_prefixes: None,
        terminating: false,
    };
    let keys = BTreeMap::from([(id(15), Key::of(key(15).public_key()))]);
    let mut custom = repo.targets.clone();
    custom.targets = BTreeMap::from([("custom-1".into(), TargetFile::of(b"bytes"))]);
    let bytes = signed(&custom, &[15]);
    repo.snapshot.meta.insert("custom.json".into(), FileMeta::of(1, &bytes));
    repo.files.insert("1.custom.json".into(), bytes);
    repo.targets.delegations = Some(Delegations { keys, roles: Some(vec![role]), succinct_roles: None });
    repo.publish();
    repo
}

#[test]
fn our_own_agents_follow_no_delegation() {
    let repo = delegating();
    let own = refresh(&repo, Profile::Own).unwrap();
    assert_eq!(own.search("custom-1").want(), Ok(None));
    assert_eq!(own.search("custom-1").finish().unwrap_err().code(), "tuf-unlisted");
    assert_eq!(own.target("custom-1").unwrap_err().code(), "tuf-unlisted");
}

#[test]
fn a_search_asks_for_what_it_lacks_and_takes_nothing_else() {
    let repo = delegating();
    let any = refresh(&repo, ANY).unwrap();
    let good = repo.files["1.custom.json"].clone();
    let other = signed(&repo.targets, &[11, 12]);
    #[rustfmt::skip]
    let rows = [
        // kept            fetched                         outcome
        (None,             Fetched::Bytes(&good),          Ok(())),
        (Some(&good),      Fetched::NotFound,              Ok(())),
        (Some(&other),     Fetched::Bytes(&good),          Ok(())),
        (None,             Fetched::NotFound,              Err("tuf-delegated")),
        (None,             Fetched::Bytes(&other),         Err("tuf-delegated")),
        (Some(&other),     Fetched::Bytes(b"{}"),          Err("tuf-delegated")),
    ];
    for (kept, fetched, outcome) in rows {
        let mut search = any.search("custom-1");
        let want = search.want().unwrap().unwrap();
        assert_eq!((want.name.as_str(), want.path.as_str()), ("custom", "1.custom.json"));
        if !kept.is_some_and(|kept| search.take_kept(kept)) {
            assert_eq!(search.give(fetched), outcome.is_ok());
        }
        assert_eq!(search.finish().map(|_| ()).map_err(|error| error.code()), outcome);
    }
    assert_eq!(any.search("custom-1").finish().unwrap_err().code(), "tuf-delegated");
    assert_eq!(any.search("package-0.1.0").finish().unwrap().length(), 7);
    assert_eq!(any.search("else").finish().unwrap_err().code(), "tuf-unlisted");
}
