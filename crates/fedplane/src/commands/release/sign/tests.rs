//! Signing releases, by one holder and by several.

use proof::tuf::Root;

use super::*;
use crate::commands::init::{self, InitOptions};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const MANIFEST: &str = r#"
version = "0.1.1"
class = "minor"
runtime = { min = "0.1.0", max = "0.2.0" }
rollback = { instructions = "bind the slot of before" }
"#;

pub(in crate::commands::release) struct Ceremony {
    place: tempfile::TempDir,
}

impl Ceremony {
    pub(in crate::commands::release) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        init::create(&InitOptions {
            folder: place.path().join("f"),
            trust_domain: "test.internal".parse().unwrap(),
            founders: 1,
            threshold: 1,
            organisms: 3,
            organism_threshold: 2,
            constitution: governance::Constitution::default(),
            hosts: Vec::new(),
            keys: crate::commands::init::keys::KeyArgs::default(),
            settings: server::settings::Settings::default(),
            now: NOW,
        })
        .unwrap();
        fs::write(place.path().join("manifest.toml"), MANIFEST).unwrap();
        fs::write(place.path().join("package"), b"bytes").unwrap();
        Self { place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn folder(&self) -> Folder {
        Folder::new(self.path("f"))
    }

    fn args(&self, keys: &[u32]) -> ReleaseSignArgs {
        ReleaseSignArgs {
            manifest: self.path("manifest.toml"),
            package: self.path("package"),
            keys: keys.iter().map(|number| self.folder().organism_key(*number).into()).collect(),
            secrets: SecretArgs::default(),
            out: self.path("out"),
            in_force: InForceArgs {
                federation: self.path("f"),
                targets: None,
                keys_document: None,
                root: None,
            },
            floors: None,
            expires: Span::hours(24),
        }
    }

    /// A release signed by enough, with these lines in its manifest; gives its folder.
    pub(in crate::commands::release) fn signed(&self, lines: &str) -> PathBuf {
        fs::write(self.path("manifest.toml"), format!("{lines}{MANIFEST}")).unwrap();
        assert!(sign(&self.args(&[1, 2]), NOW).unwrap().complete);
        self.path("out")
    }

    /// What the plane checks: the threshold on both documents, and that one lists the other.
    fn accepted(&self) {
        let keys = self.folder().keys_document().unwrap();
        let files = Files::new(&self.path("out"), "0.1.1".parse().unwrap());
        let document = read_document(&files.manifest).unwrap();
        let release: Release = document.open(Typ::Release, &keys.organism).unwrap();
        assert_eq!(release.package.name, "package-0.1.1");
        let root = fs::read(self.folder().tuf().join("metadata/1.root.json")).unwrap();
        let root = Document::<Root>::parse(&root).unwrap().signed;
        let targets = Document::<Targets>::parse(&fs::read(&files.targets).unwrap()).unwrap();
        targets.verify_by(&root).unwrap();
        assert_eq!(targets.signed.version, 2);
        for (path, name) in [(files.manifest, "release-0.1.1.json"), (files.package, "package-0.1.1")] {
            assert_eq!(targets.signed.targets.get(name), Some(&TargetFile::of(&fs::read(path).unwrap())));
        }
    }
}

#[test]
fn rl_3_with_enough_keys_one_run_signs_both() {
    let ceremony = Ceremony::new();
    let signed = sign(&ceremony.args(&[1, 3]), NOW).unwrap();
    assert_eq!(
        (signed.manifest, signed.targets, signed.targets_version, signed.complete),
        (2, 2, Some(2), true)
    );
    ceremony.accepted();
}

#[test]
fn rl_3_holders_sign_one_after_another() {
    let ceremony = Ceremony::new();
    let mut later = NOW;
    for (key, manifest, targets, complete) in [
        (1, 1, 0, false),
        (1, 1, 0, false),
        (2, 2, 1, false),
        (2, 2, 1, false),
        (3, 2, 2, true),
        (1, 2, 3, true),
    ] {
        let signed = sign(&ceremony.args(&[key]), later).unwrap();
        assert_eq!(
            (signed.manifest, signed.targets, signed.complete),
            (manifest, targets, complete),
            "{key}"
        );
        later = later + Span::hours(1);
    }
    ceremony.accepted();
}

#[test]
fn rl_1_what_may_not_be_signed_is_refused_and_nothing_written() {
    let ceremony = Ceremony::new();
    let refused = |args: &ReleaseSignArgs, code: &str| {
        let failure = sign(args, NOW).unwrap_err();
        assert_eq!(failure.code(), code, "{failure}");
    };
    let founder =
        ReleaseSignArgs { keys: vec![ceremony.folder().founder_key(1).into()], ..ceremony.args(&[]) };
    refused(&founder, "unknown-key");
    refused(&ReleaseSignArgs { package: ceremony.path("none"), ..ceremony.args(&[1]) }, "file");
    fs::write(ceremony.path("manifest.toml"), MANIFEST.replace("bind the slot of before", "")).unwrap();
    refused(&ceremony.args(&[1]), "no-rollback-instructions");
    fs::write(ceremony.path("manifest.toml"), format!("vresion = \"0.1.1\"\n{MANIFEST}")).unwrap();
    refused(&ceremony.args(&[1]), "malformed");
    assert!(!ceremony.path("out").exists());
    fs::write(ceremony.path("manifest.toml"), MANIFEST).unwrap();
    sign(&ceremony.args(&[1]), NOW).unwrap();
    fs::write(ceremony.path("package"), b"other bytes").unwrap();
    refused(&ceremony.args(&[2]), "release-differs");
}

#[test]
fn rl_9_a_manifest_sets_the_floor_of_its_line_and_holders_agree_on_it() {
    let ceremony = Ceremony::new();
    let with = |floor: &str| {
        fs::write(ceremony.path("manifest.toml"), MANIFEST.replacen('\n', &format!("\n{floor}\n"), 1))
            .unwrap();
    };
    with(r#"floor = "0.1.1""#);
    assert_eq!(sign(&ceremony.args(&[1]), NOW).unwrap().floor, Some(Version::new(0, 1, 1)));
    for other in ["", r#"floor = "0.1.0""#] {
        with(other);
        assert_eq!(sign(&ceremony.args(&[2]), NOW).unwrap_err().code(), "release-differs", "{other}");
    }
    with(r#"floor = "0.1.1""#);
    assert!(sign(&ceremony.args(&[2, 1]), NOW).unwrap().complete);
    ceremony.accepted();
    let floor = fs::read(ceremony.path("out/floor.json")).unwrap();
    assert_eq!(floor, br#"{"floors":["0.1.1"]}"#);
    let targets = fs::read(ceremony.path("out/targets.json")).unwrap();
    let targets = Document::<Targets>::parse(&targets).unwrap().signed.targets;
    assert_eq!(targets.get(FLOOR), Some(&TargetFile::of(&floor)));
    // The next release goes on from the floors that were published.
    with(r#"floor = "0.1.0""#);
    let next = ReleaseSignArgs {
        out: ceremony.path("next"),
        in_force: InForceArgs {
            targets: Some(ceremony.path("out/targets.json")),
            ..ceremony.args(&[]).in_force
        },
        ..ceremony.args(&[1, 2])
    };
    let refused = |args: &ReleaseSignArgs| sign(args, NOW).unwrap_err().reasons_in_short();
    assert!(refused(&next).contains("cannot open"), "offline, the published floors must be brought along");
    let next = ReleaseSignArgs { floors: Some(ceremony.path("out/floor.json")), ..next };
    assert!(refused(&next).contains("never sinks"));
    let other = ReleaseSignArgs { floors: Some(ceremony.path("manifest.toml")), ..next };
    assert!(refused(&other).contains("not the floors"));
}
