//! The key ceremony, from an empty place to a federation that loads back.

use std::os::unix::fs::PermissionsExt as _;

use governance::InstanceId;
use proof::tuf::{Document, Root, Targets, root_self_signed};
use trust::{Peer, RootCa, Secret, Secrets, SigningKey, classify};

use super::*;
use crate::folder::read_text;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) fn options(folder: PathBuf) -> InitOptions {
    InitOptions {
        folder,
        trust_domain: "test.internal".parse().unwrap(),
        founders: 3,
        threshold: 2,
        organisms: 3,
        organism_threshold: 2,
        constitution: Constitution::default(),
        hosts: vec!["plane.example".to_owned(), "localhost".to_owned()],
        settings: Settings::default(),
        keys: KeyArgs::default(),
        now: NOW,
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn au_4_the_ceremony_makes_a_federation_that_loads_back() {
    let place = tempfile::tempdir().unwrap();
    let made = create(&options(place.path().join("f"))).unwrap();
    let folder = Folder::new(&made.folder);
    let keys = folder.keys_document().unwrap();
    assert_eq!((keys.serial, keys.founder.threshold(), keys.organism.keys().len()), (1, 2, 3));
    for purpose in Purpose::ALL {
        let key = SigningKey::load(&folder.federation_keys().join(format!("{purpose}.key"))).unwrap();
        assert!(keys.online(*purpose, NOW).any(|online| online.key == *key.public_key()), "{purpose}");
    }
    let signed = crate::folder::read_document(&folder.constitution_signed()).unwrap();
    let law: ConstitutionDocument = signed.open(Typ::Constitution, &keys.founder).unwrap();
    assert_eq!(law.parameters, law::read(&folder.constitution()).unwrap());
    assert_eq!((law.previous, law.effective, signed.digest()), (None, NOW, made.constitution));
    let settings = Settings::load(&folder.settings()).unwrap();
    assert_eq!(settings.listen.names, ["plane.example", "localhost", "127.0.0.1"]);
    assert!(made.take_offline.iter().chain(&made.back_up).chain(&made.hand_out).all(|path| path.exists()));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside");
}

#[test]
fn au_2_the_certificates_are_what_the_plane_takes() {
    let place = tempfile::tempdir().unwrap();
    let made = create(&options(place.path().join("f"))).unwrap();
    let folder = Folder::new(&made.folder);
    let root = RootCa::from_pem(&folder.keys_document().unwrap().root_ca).unwrap();
    let chain = |path: PathBuf| trust::pem::certificates(&read_text(&path).unwrap()).unwrap();
    let admin =
        classify(&chain(folder.operators().join("admin.pem")), &root, &made.trust_domain, NOW).unwrap();
    assert!(matches!(admin, Peer::Person { .. }), "{admin:?}");
    let server = chain(folder.federation_keys().join("server.pem"));
    for name in ["plane.example", "localhost", "127.0.0.1", "::1"] {
        let name = name.try_into().unwrap();
        assert_eq!(trust::identity::check_server(&server, &root, &name, NOW), Ok(()), "{name:?}");
    }
    let key = SigningKey::load(&folder.federation_keys().join("instance-ca.key")).unwrap();
    let pem = read_text(&folder.federation_keys().join("instance-ca.pem")).unwrap();
    let issuer = Issuer::instances(&pem, key, &root).unwrap();
    let instance = SigningKey::generate().unwrap();
    let validity = Validity { not_before: NOW, not_after: NOW + Span::hours(24) };
    let issued =
        issuer.issue_instance(InstanceId::from_random([1; 16]), instance.public_key(), validity).unwrap();
    let peer = classify(&issued.chain, &root, &made.trust_domain, NOW).unwrap();
    assert!(matches!(peer, Peer::Instance { .. }), "{peer:?}");
}

#[test]
fn rl_3_the_repository_begins_with_a_root_and_no_targets() {
    let place = tempfile::tempdir().unwrap();
    let made = create(&options(place.path().join("f"))).unwrap();
    let metadata = Folder::new(&made.folder).tuf().join("metadata");
    let root = Document::<Root>::parse(&fs::read(metadata.join("1.root.json")).unwrap()).unwrap();
    root_self_signed(&root).unwrap();
    let targets = Document::<Targets>::parse(&fs::read(metadata.join("1.targets.json")).unwrap()).unwrap();
    targets.verify_by(&root.signed).unwrap();
    assert!(targets.signed.targets.is_empty());
    assert!(metadata.join("timestamp.json").exists());
}

#[test]
fn private_files_are_their_owner_s_alone() {
    let place = tempfile::tempdir().unwrap();
    let made = create(&options(place.path().join("f"))).unwrap();
    let all = files(&made.folder);
    let keys: Vec<_> = all.iter().filter(|path| path.extension().is_some_and(|name| name == "key")).collect();
    assert_eq!(keys.len(), 3 + 1 + 3 + Purpose::ALL.len() + 1 + 1 + 1);
    for path in &keys {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    for path in all.iter().filter(|path| fs::read_to_string(path).unwrap().contains("PRIVATE KEY")) {
        assert!(keys.contains(&path), "{}", path.display());
    }
    assert_eq!(mode(&made.folder.join("keys")), 0o700);
}

#[test]
fn a_folder_that_holds_anything_is_refused_and_untouched() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("f");
    fs::create_dir(&folder).unwrap();
    create(&options(folder.clone())).unwrap();
    let before = read_text(&Folder::new(&folder).founder()).unwrap();
    let failure = create(&options(folder.clone())).unwrap_err();
    assert_eq!((failure.code(), failure.exit_code()), ("folder-not-empty", 1));
    assert_eq!(read_text(&Folder::new(&folder).founder()).unwrap(), before);
}

#[test]
fn what_fails_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let bad = |change: &dyn Fn(&mut InitOptions), code: &str| {
        let mut options = options(place.path().join("f"));
        change(&mut options);
        let failure = create(&options).unwrap_err();
        assert_eq!(failure.code(), code, "{failure}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{code}");
    };
    bad(&|options| options.threshold = 4, "threshold");
    bad(&|options| options.threshold = 0, "threshold");
    bad(&|options| options.founders = 33, "threshold");
    bad(&|options| options.organism_threshold = 4, "threshold");
    bad(&|options| options.hosts = vec!["höst\n".to_owned()], "certificate");
    bad(&|options| options.settings.limits.requests = 0, "settings");
}

fn private(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    write_new(&path, text.as_bytes(), PRIVATE_MODE).unwrap();
    path
}

#[test]
fn keys_of_people_and_of_the_server_are_under_passphrases_of_their_own() {
    let place = tempfile::tempdir().unwrap();
    let people = private(place.path(), "people", "correct horse battery\n");
    let server = private(place.path(), "server", "another one for the server\n");
    let keys = KeyArgs {
        passphrase_file: Some(people.clone()),
        online_passphrase_file: Some(server.clone()),
        ..KeyArgs::default()
    };
    let of_one = InitOptions {
        founders: 1,
        threshold: 1,
        organisms: 1,
        organism_threshold: 1,
        ..options(place.path().join("f"))
    };
    let made = create(&InitOptions { keys, ..of_one }).unwrap();
    let folder = Folder::new(&made.folder);
    let all = files(&made.folder);
    let keys: Vec<_> = all.iter().filter(|path| path.extension().is_some_and(|name| name == "key")).collect();
    assert_eq!(keys.len(), 1 + 1 + 1 + Purpose::ALL.len() + 1 + 1 + 1);
    for path in keys {
        assert!(SigningKey::is_locked(path).unwrap(), "{}", path.display());
    }
    let opens = |path: PathBuf, file: &Path| {
        SigningKey::unlock(&path, &mut Secrets::given(Secret::read(file).unwrap())).is_ok()
    };
    for (path, own, other) in [
        (folder.founder_key(1), &people, &server),
        (folder.operators().join("admin.key"), &people, &server),
        (folder.federation_keys().join("ledger.key"), &server, &people),
    ] {
        assert!(opens(path.clone(), own) && !opens(path.clone(), other), "{}", path.display());
    }
    let settings = Settings::load(&folder.settings()).unwrap();
    assert_eq!(settings.passphrase_file(), Some(server));
    let keys = folder.keys_document().unwrap();
    let signer = settings
        .key("ledger")
        .open(&mut Secrets::given(Secret::read(&settings.passphrase_file().unwrap()).unwrap()));
    assert!(keys.find(Purpose::Ledger, signer.unwrap().key_id(), NOW).is_some());
}

#[test]
fn keys_that_exist_are_taken_and_not_made() {
    let place = tempfile::tempdir().unwrap();
    let passphrase = private(place.path(), "passphrase", "correct horse battery");
    let secret = Secret::read(&passphrase).unwrap();
    let sources: Vec<KeySource> = ["1", "2", "ca", "admin"].map(|name| place.path().join(name).into()).into();
    let made: Vec<Signer> =
        sources.iter().map(|source| source.make(Some(&secret), &mut Secrets::none()).unwrap()).collect();
    let keys = KeyArgs {
        founder: sources[..2].to_vec(),
        root_ca: Some(sources[2].clone()),
        admin: Some(sources[3].clone()),
        passphrase_file: Some(passphrase),
        ..KeyArgs::default()
    };
    let options = InitOptions {
        keys,
        founders: 2,
        organisms: 1,
        organism_threshold: 1,
        ..options(place.path().join("f"))
    };
    let folder = Folder::new(&create(&options).unwrap().folder);
    let founder = folder.root_keys().unwrap();
    assert_eq!(founder.keys(), [*made[0].public_key(), *made[1].public_key()]);
    let root = RootCa::from_pem(&folder.keys_document().unwrap().root_ca).unwrap();
    assert_eq!(trust::identity::public_key(root.certificate()).unwrap(), *made[2].public_key());
    assert_eq!(fs::read_dir(folder.founder_keys()).unwrap().count(), 1, "root-ca.pem alone");
    assert!(!folder.operators().join("admin.key").exists());
}

#[test]
fn a_ceremony_with_a_passphrase_that_is_none_makes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let short = private(place.path(), "short", "1234567");
    let refused = |keys: KeyArgs, code: &str| {
        let failure = create(&InitOptions { keys, ..options(place.path().join("f")) }).unwrap_err();
        assert_eq!(failure.code(), code, "{failure}");
        assert!(!place.path().join("f").exists());
    };
    refused(KeyArgs { passphrase_file: Some(short.clone()), ..KeyArgs::default() }, "passphrase");
    refused(KeyArgs { online_passphrase_file: Some(short), ..KeyArgs::default() }, "passphrase");
    refused(KeyArgs { passphrase_file: Some(place.path().join("none")), ..KeyArgs::default() }, "key-file");
    let founder = vec![KeySource::from(place.path().join("none"))];
    refused(KeyArgs { founder, ..KeyArgs::default() }, "key-file");
    let online = "pkcs11:token=fed?module-path=/no/such/module.so".parse().ok();
    refused(KeyArgs { online, ..KeyArgs::default() }, "token");
}
