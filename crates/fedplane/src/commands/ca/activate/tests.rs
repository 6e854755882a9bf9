//! Activations of every kind, whole and cut short after every step.

use std::os::unix::fs::PermissionsExt as _;

use governance::Span;
use trust::Validity;
use trust::keyfile::{PRIVATE_MODE, write_new};

use super::*;
use crate::commands::init::{create, tests::options};

/// A federation, and beside it a new key with its certificate.
struct Bench {
    place: tempfile::TempDir,
    folder: Folder,
    whose: Whose,
    old: KeyId,
}

impl Bench {
    fn new(whose: Whose) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut options = options(place.path().join("f"));
        options.now = clock::now();
        let folder = Folder::new(create(&options).unwrap().folder);
        let certificate = folder.federation_keys().join(format!("{}.pem", whose.as_str()));
        let old = Place::certificate(&certificate).unwrap().unwrap();
        let bench = Self { place, folder, whose, old };
        bench.next("next");
        bench
    }

    fn at(&self, suffix: &str) -> PathBuf {
        self.folder.federation_keys().join(format!("{}{suffix}", self.whose.as_str()))
    }

    /// A key of this name with its certificate.
    fn next(&self, name: &str) -> KeyId {
        let at = |suffix: &str| self.place.path().join(format!("{name}{suffix}"));
        let key = SigningKey::create(&at(".key")).unwrap();
        let founder = |name: &str| self.folder.founder_keys().join(name);
        let root = SigningKey::load(&founder("root-ca.key")).unwrap();
        let root = Issuer::root(&read_text(&founder("root-ca.pem")).unwrap(), root).unwrap();
        let now = clock::now();
        let validity = Validity { not_before: now - Span::hours(1), not_after: now + Span::hours(24) };
        let issued = match self.whose {
            Whose::InstanceCa => root.issue_instance_ca(key.public_key(), validity),
            Whose::Server => {
                let name = crate::commands::init::name("plane").unwrap();
                root.issue_server(&name, &["localhost".into()], key.public_key(), validity)
            }
        };
        write_new(&at(".pem"), issued.unwrap().to_pem().as_bytes(), PUBLIC_MODE).unwrap();
        key.key_id()
    }

    fn args(&self, key: &str) -> ActivateArgs {
        let key = match key.starts_with("pkcs11:") {
            true => key.parse().unwrap(),
            false => KeySource::File(self.place.path().join(key)),
        };
        ActivateArgs { whose: self.whose, key, cert: self.place.path().join("next.pem") }
    }

    /// As [`ActivateArgs::prepare`]; the key of `next.key` plays the one in the token.
    fn prepare(&self, key: &str) -> Result<Activation, Failure> {
        let args = self.args(key);
        if !args.key.is_token() {
            return args.prepare(&self.folder, &mut Secrets::none());
        }
        let pem = read_text(&args.cert).unwrap();
        let id = certified(&args.cert, &pem).unwrap().unwrap();
        let place = Place::of(&self.folder, self.whose).unwrap();
        args.prepared(place, id, (pem, clock::now()), &mut Secrets::none())
    }

    fn set(&self, line: &str) {
        let field = format!("{} =", line.split(" =").next().unwrap());
        let text = read_text(&self.folder.settings()).unwrap();
        let set = |old: &str| if old.starts_with(&field) { line.to_owned() } else { old.to_owned() };
        let text: Vec<String> = text.lines().map(set).collect();
        fs::write(self.folder.settings(), text.join("\n")).unwrap();
    }

    /// The old key goes into a token, as far as the settings know.
    fn old_in_token(&self) {
        self.set(&format!("{} = \"{OLD}\"", self.whose.as_str().replace('-', "_")));
        fs::remove_file(self.at(".key")).unwrap();
    }

    fn id(&self, suffix: &str) -> Option<KeyId> {
        self.at(suffix).exists().then(|| SigningKey::load(&self.at(suffix)).unwrap().key_id())
    }

    fn certified(&self, suffix: &str) -> Option<KeyId> {
        Place::certificate(&self.at(suffix)).unwrap()
    }
}

const OLD: &str = "pkcs11:token=fed;object=instance-ca";
const NEW: &str = "pkcs11:token=fed;object=instance-ca-2";

/// Does it, cut short after every number of steps and begun again, and looks at what is there then.
fn cut_short_everywhere(whose: Whose, key: &str, old_in_token: bool, look: impl Fn(&Bench, &Activated)) {
    for cut in 0..=6 {
        let bench = Bench::new(whose);
        if old_in_token {
            bench.old_in_token();
        }
        let mut first = bench.prepare(key).unwrap();
        first.steps.truncate(cut);
        let told = first.perform().unwrap();
        let again = bench.prepare(key).unwrap().perform().unwrap();
        assert_eq!((told.settings, &told.before), (again.settings.clone(), &again.before), "cut after {cut}");
        look(&bench, &again);
        let once_more = bench.prepare(key).unwrap().perform().unwrap();
        assert_eq!(once_more.settings, again.settings);
        look(&bench, &once_more);
    }
}

#[test]
fn hs_1_a_file_in_the_place_of_a_file_and_cut_short() {
    for whose in [Whose::InstanceCa, Whose::Server] {
        cut_short_everywhere(whose, "next.key", false, |bench, told| {
            let new = certified(Path::new("next"), &read_text(&bench.place.path().join("next.pem")).unwrap());
            let (old, new) = (Some(bench.old), new.unwrap());
            assert_eq!((bench.id(".key"), bench.certified(".pem")), (new, new));
            assert_eq!((bench.id(".retired.key"), bench.certified(".retired.pem")), (old, old));
            assert!(!bench.place.path().join("next.key").exists());
            assert!(told.settings.is_empty() && !told.key_before_missing);
            assert_eq!(told.before, [bench.at(".retired.key"), bench.at(".retired.pem")]);
            let mode = fs::metadata(bench.at(".key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, PRIVATE_MODE);
        });
    }
}

#[test]
fn hs_1_a_token_in_the_place_of_a_file() {
    cut_short_everywhere(Whose::InstanceCa, NEW, false, |bench, told| {
        assert_eq!(bench.id(".key"), None);
        assert_eq!(
            (bench.id(".retired.key"), bench.certified(".retired.pem")),
            (Some(bench.old), Some(bench.old))
        );
        assert_ne!(bench.certified(".pem"), Some(bench.old));
        assert_eq!(told.settings, [format!("instance_ca = \"{NEW}\"")]);
    });
}

#[test]
fn hs_1_a_file_in_the_place_of_a_token() {
    cut_short_everywhere(Whose::InstanceCa, "next.key", true, |bench, told| {
        assert_eq!(bench.id(".key"), bench.certified(".pem"));
        assert_eq!((bench.id(".retired.key"), bench.certified(".retired.pem")), (None, Some(bench.old)));
        let expected = ["instance_ca = \"\"".to_owned(), format!("retired_ca = \"{OLD}\"")];
        assert!(
            told.settings == expected && told.before == [bench.at(".retired.pem")],
            "{:?}",
            told.settings
        );
    });
}

#[test]
fn hs_1_a_token_in_the_place_of_a_token() {
    let expected = [format!("instance_ca = \"{NEW}\""), format!("retired_ca = \"{OLD}\"")];
    cut_short_everywhere(Whose::InstanceCa, NEW, true, |bench, told| {
        assert_eq!(told.settings, expected);
        assert!(told.report().contains(&format!("under [keys]: retired_ca = \"{OLD}\"")));
        assert_eq!(bench.certified(".retired.pem"), Some(bench.old));
    });
    // Once the settings say so, nothing is left to set.
    let bench = Bench::new(Whose::InstanceCa);
    bench.old_in_token();
    bench.prepare(NEW).unwrap().perform().unwrap();
    expected.iter().for_each(|line| bench.set(line));
    let told = bench.prepare(NEW).unwrap().perform().unwrap();
    assert!(told.settings.is_empty() && !told.key_before_missing, "{:?}", told.settings);
    // The next one comes into a file, when that one is retired.
    fs::remove_file(bench.at(".retired.pem")).unwrap();
    fs::remove_file(bench.place.path().join("next.pem")).unwrap();
    bench.next("third");
    let mut args = bench.args("third.key");
    args.cert = bench.place.path().join("third.pem");
    let told = args.prepare(&bench.folder, &mut Secrets::none()).unwrap().perform().unwrap();
    assert_eq!(told.settings, ["instance_ca = \"\"".to_owned(), format!("retired_ca = \"{NEW}\"")]);
}

#[test]
fn hs_1_no_key_is_lost_to_another() {
    let bench = Bench::new(Whose::InstanceCa);
    let code = |result: Result<Activation, Failure>| result.err().map(|failure| failure.code().to_owned());
    // Of a try that was cut short between two moves, as they once were made.
    fs::rename(bench.at(".key"), bench.at(".retired.key")).unwrap();
    bench.prepare("next.key").unwrap().perform().unwrap();
    assert_eq!((bench.id(".key"), bench.id(".retired.key")), (bench.certified(".pem"), Some(bench.old)));
    // Named where it lies now: nothing is left to do.
    let own = bench.at(".key").display().to_string();
    bench.prepare(&own).unwrap().perform().unwrap();
    assert_eq!((bench.id(".key"), bench.id(".retired.key")), (bench.certified(".pem"), Some(bench.old)));
    // Another one waits to be retired.
    bench.next("third");
    let mut third = bench.args("third.key");
    third.cert = bench.place.path().join("third.pem");
    assert_eq!(code(third.prepare(&bench.folder, &mut Secrets::none())).as_deref(), Some("ca-not-retired"));
    fs::remove_file(bench.at(".retired.pem")).unwrap();
    assert_eq!(code(third.prepare(&bench.folder, &mut Secrets::none())).as_deref(), Some("ca-not-retired"));
    assert_eq!(bench.id(".retired.key"), Some(bench.old));
    // A key that is of neither certificate.
    fs::remove_file(bench.at(".retired.key")).unwrap();
    fs::remove_file(bench.at(".key")).unwrap();
    SigningKey::create(&bench.at(".key")).unwrap();
    assert_eq!(code(third.prepare(&bench.folder, &mut Secrets::none())).as_deref(), Some("key-mismatch"));
    // A key that is gone: its certificate is not kept, since the server would ask for it.
    fs::remove_file(bench.at(".key")).unwrap();
    let told = third.prepare(&bench.folder, &mut Secrets::none()).unwrap().perform().unwrap();
    assert!(told.key_before_missing && told.before.is_empty() && !bench.at(".retired.pem").exists());
    // No such file, and none that was moved.
    assert_eq!(code(bench.prepare("none.key")).as_deref(), Some("key-file"));
}

#[test]
fn hs_1_the_server_s_key_before_the_last_one_gives_way() {
    let bench = Bench::new(Whose::Server);
    bench.prepare("next.key").unwrap().perform().unwrap();
    let second = bench.id(".key");
    let newest = bench.next("third");
    let mut third = bench.args("third.key");
    third.cert = bench.place.path().join("third.pem");
    third.prepare(&bench.folder, &mut Secrets::none()).unwrap().perform().unwrap();
    assert_eq!((bench.id(".key"), bench.id(".retired.key")), (Some(newest), second));
    // Back to it, from a copy only.
    let kept = ActivateArgs { key: bench.at(".retired.key").into(), cert: bench.at(".retired.pem"), ..third };
    assert_eq!(kept.prepare(&bench.folder, &mut Secrets::none()).err().unwrap().code(), "usage");
}

#[test]
fn hs_1_the_new_key_comes_from_another_file_system() {
    // Where there is none, this is the same as before.
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    let bench = Bench::new(Whose::InstanceCa);
    let away = other.path().join("next.key");
    copy_over(&bench.place.path().join("next.key"), &away).unwrap();
    std::os::unix::fs::symlink(&away, bench.place.path().join("link.key")).unwrap();
    bench.prepare("link.key").unwrap().perform().unwrap();
    assert!(!away.exists());
    assert_eq!(bench.id(".key"), bench.certified(".pem"));
}
