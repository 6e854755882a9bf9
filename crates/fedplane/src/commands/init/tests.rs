//! The key ceremony, from an empty place to a federation that loads back.

use std::os::unix::fs::PermissionsExt as _;

use governance::InstanceId;
use proof::tuf::{Document, Root, Targets, root_self_signed};
use trust::{Peer, RootCa, SigningKey, classify};

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
