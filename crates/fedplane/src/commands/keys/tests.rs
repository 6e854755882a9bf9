//! Keys documents on their way: drafted, looked at, signed and adopted.

use std::path::{Path, PathBuf};

use proof::{Jws, KeysDocument, Sign as _};
use trust::{KeySource, Secrets, SigningKey};

use super::adopt::{adopt, in_force};
use super::draft::Changes;
use super::show::{ShowArgs, show};
use super::*;
use crate::commands::init::{create, tests::options};
use crate::folder::{Folder, read_document};
use crate::secrets::SecretArgs;

struct Bench {
    place: tempfile::TempDir,
    folder: Folder,
}

impl Bench {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut options = options(place.path().join("f"));
        options.now = clock::now();
        let folder = Folder::new(create(&options).unwrap().folder);
        Self { place, folder }
    }

    /// The next keys document, signed by two of the Founder's keys: another Founder, or another lifetime.
    fn next(&self, name: &str, other_founder: bool) -> Jws {
        let mut keys: Vec<KeySource> = [1, 2].map(|number| self.folder.founder_key(number).into()).into();
        let mut changes = Changes::default();
        if other_founder {
            let key = self.place.path().join(format!("{name}.key"));
            SigningKey::create(&key).unwrap();
            changes = Changes { founder: vec![key.clone().into()], threshold: Some(1), ..changes };
            keys.push(key.into());
        }
        let args = self.args(name, keys, changes);
        let none = &mut Secrets::none();
        let prepared = sign::prepare(&args, clock::now(), none).unwrap();
        assert!(sign::sign(&args, prepared, none).unwrap().complete);
        read_document(&args.out.join(DOCUMENT)).unwrap()
    }

    fn args(&self, name: &str, keys: Vec<KeySource>, changes: Changes) -> KeysSignArgs {
        KeysSignArgs {
            out: self.place.path().join(name),
            keys,
            secrets: SecretArgs::default(),
            changes,
            expires: governance::Span::hours(24),
            tuf_root: None,
            federation: self.folder.path().to_path_buf(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

#[test]
fn au_4_what_is_adopted_is_kept_beside_and_may_be_adopted_again() {
    let bench = Bench::new();
    let (before, root) = (bench.folder.keys_document().unwrap(), bench.folder.root_keys().unwrap());
    let next = bench.next("next", true);
    let told = adopt(&next, &bench.folder).unwrap();
    assert_eq!((told.serial, told.repeated), (2, false));
    assert_eq!(told.keys_before.as_ref(), Some(&bench.at("keys.1.json")));
    assert_eq!(told.founder_before.as_ref(), Some(&bench.at("founder.1.json")));
    let kept = crate::folder::read_root_keys(&bench.at("founder.1.json")).unwrap();
    assert_eq!(kept, root);
    assert_eq!(crate::folder::read_keys_document(&bench.at("keys.1.json"), &root).unwrap(), before);
    let again = adopt(&next, &bench.folder).unwrap();
    assert!(again.repeated && again.founder_before.is_none() && again.report().contains("already"));
    assert_eq!(bench.folder.keys_document().unwrap().serial, 2);
}

#[test]
fn au_4_what_was_cut_short_between_the_two_files_is_done() {
    let bench = Bench::new();
    let root = bench.folder.root_keys().unwrap();
    let next = bench.next("next", true);
    for kept in [true, false] {
        std::fs::write(bench.folder.founder(), serde_json::to_string(&root).unwrap()).unwrap();
        std::fs::write(bench.folder.keys(), next.to_json()).unwrap();
        if kept {
            std::fs::write(bench.at("keys.1.json"), "the one before").unwrap();
        }
        let told = adopt(&next, &bench.folder).unwrap();
        assert!(told.repeated && told.founder_before == Some(bench.at("founder.1.json")), "{told:?}");
        assert_eq!(bench.folder.root_keys().unwrap(), bench.folder.keys_document().unwrap().founder);
        assert_eq!(crate::folder::read_root_keys(&bench.at("founder.1.json")).unwrap(), root);
        let _ = std::fs::remove_file(bench.at("keys.1.json"));
        std::fs::remove_file(bench.at("founder.1.json")).unwrap();
    }
}

#[test]
fn au_4_only_what_the_plane_goes_by_is_adopted() {
    let bench = Bench::new();
    let first = read_document(&bench.folder.keys()).unwrap();
    let (next, other) = (bench.next("next", false), bench.next("other", true));
    let of = |document: &Jws| document.parse_unverified::<KeysDocument>().unwrap();
    let refused = |next: &Jws, plane: &Jws, word: &str| {
        let failure = in_force(&of(next), plane).unwrap_err();
        assert_eq!(failure.code(), "keys-not-in-force");
        assert!(failure.to_string().contains(word), "{failure}");
    };
    refused(&next, &first, "document 1, and not by 2 yet");
    refused(&next, &other, "another keys document 2");
    in_force(&of(&next), &next).unwrap();
    // The plane has gone on since.
    in_force(&of(&first), &next).unwrap();
}

#[test]
fn au_4_a_holder_sees_what_comes_and_goes_before_anything_is_signed() {
    let bench = Bench::new();
    let (out, none) = (Output::stdio(false), &mut Secrets::none());
    let key = bench.place.path().join("tokens.key");
    let coming = SigningKey::create(&key).unwrap().key_id().to_string();
    let going = bench.folder.keys_document().unwrap().online[0].key.id().to_string();
    let changes = Changes {
        add: vec![format!("tokens={}", key.display())],
        drop: vec![going.clone()],
        ..Changes::default()
    };
    let founder = |number| vec![bench.folder.founder_key(number).into()];
    let first = bench.args("both", founder(1), changes);
    let told = sign::prepare(&first, clock::now(), none).unwrap();
    let report = told.report(&out);
    assert!(!first.out.exists(), "nothing is written");
    let comes = report.find("Comes:").unwrap();
    assert!(comes < report.find(&coming).unwrap() && report.contains(&going), "{report}");
    sign::sign(&first, told, none).unwrap();
    // Of one signature: as the next holder sees it, with and without the federation's folder.
    let bytes = std::fs::read(first.out.join(DOCUMENT)).unwrap();
    let show = |folder: Option<&Path>, federation: &Path| {
        let federation = FolderArgs { federation: federation.to_path_buf() };
        show(&ShowArgs { folder: folder.map(Path::to_path_buf), federation })
    };
    let shown = show(Some(&first.out), bench.folder.path()).unwrap().report(&out);
    for word in ["1 of 2 signatures", "yes, both", "Comes:", "Goes:", &coming, &going] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    for shown in [show(Some(&first.out), bench.place.path()), show(None, &first.out)] {
        let shown = shown.unwrap().report(&out);
        assert!(shown.contains("Nobody vouches") && shown.contains(&coming), "{shown}");
    }
    let second = bench.args("both", founder(2), Changes::default());
    let told = sign::prepare(&second, clock::now(), none).unwrap();
    assert!(told.report(&out).contains(&coming));
    assert_eq!(std::fs::read(first.out.join(DOCUMENT)).unwrap(), bytes, "nothing is signed");
    assert!(sign::sign(&second, told, none).unwrap().complete);
    // What is in force does not follow itself.
    let shown = show(Some(bench.folder.path()), bench.folder.path()).unwrap().report(&out);
    assert!(shown.contains("no: the keys document does not follow"), "{shown}");
    assert!(!show(None, bench.folder.path()).unwrap().report(&out).contains("may follow"));
}
