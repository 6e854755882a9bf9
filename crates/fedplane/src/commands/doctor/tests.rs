//! A healthy federation, and each fault made one by one.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use clap::Parser as _;
use governance::Span;
use server::Running;
use tokio::time::timeout;

use super::*;
use crate::cli::Cli;
use crate::commands::init;
use crate::folder::Folder;

/// As long as a slow machine may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A federation in a folder of its own, made now.
pub(crate) struct Made {
    pub(crate) place: tempfile::TempDir,
    now: Timestamp,
}

impl Made {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let now = clock::now();
        let sockets = [0; 4].map(|_: u16| TcpListener::bind(("127.0.0.1", 0)).unwrap());
        let [instances, public, dashboard, metrics] =
            sockets.each_ref().map(|socket| socket.local_addr().unwrap().port());
        let mut options = init::tests::options(place.path().join("fed"));
        options.now = now;
        options.hosts = Vec::new();
        let listen = &mut options.settings.listen;
        listen.instances.set_port(instances);
        listen.public.set_port(public);
        listen.dashboard.set_port(dashboard);
        listen.metrics.set_port(metrics);
        options.settings.pace.publish_every = Span::from_millis(20);
        init::create(&options).unwrap();
        for kind in ["founder", "organism"] {
            fs::remove_dir_all(place.path().join("fed/keys").join(kind)).unwrap();
        }
        Self { place, now }
    }

    pub(crate) fn folder(&self) -> Folder {
        Folder::new(self.place.path().join("fed"))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder().path().join(name)
    }

    async fn at(&self, now: Timestamp) -> Examined {
        let before = self.names();
        let examined = examine(&self.folder().settings(), now).await;
        assert_eq!(self.names(), before, "it writes nothing");
        examined
    }

    async fn look(&self) -> Examined {
        self.at(self.now).await
    }

    /// Every file, and how long it is.
    fn names(&self) -> Vec<(PathBuf, u64)> {
        fn below(folder: &Path, found: &mut Vec<(PathBuf, u64)>) {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    below(&path, found);
                } else {
                    found.push((path, entry.metadata().unwrap().len()));
                }
            }
        }
        let mut found = Vec::new();
        below(&self.file("keys"), &mut found);
        below(&self.file("tuf"), &mut found);
        // What a server is writing, nobody else is to blame for.
        if !self.file("data/fedplane.db-wal").exists() {
            below(&self.file("data"), &mut found);
        }
        found.sort();
        found
    }

    pub(crate) async fn serve(&self) -> Running {
        let running = server::start(Settings::load(&self.folder().settings()).unwrap()).await.unwrap();
        let published = async {
            while !self.file("data/ledger/checkpoint").exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, published).await.unwrap();
        running
    }

    /// That was served for a moment.
    async fn served() -> Self {
        let made = Self::new();
        made.serve().await.stop().await;
        made
    }
}

impl Examined {
    #[track_caller]
    fn healthy(&self, warnings: &[&str]) {
        assert!(self.healthy, "{self:#?}");
        let found: Vec<_> = self.findings.iter().filter(|finding| finding.level == Level::Warning).collect();
        assert_eq!(found.len(), warnings.len(), "{found:#?}");
        for (finding, words) in found.iter().zip(warnings) {
            assert!(finding.found.contains(words), "{finding:?}");
        }
    }

    /// The one error, and what mends it.
    #[track_caller]
    fn error(&self, about: &str, found: &str, mend: &str) {
        assert!(!self.healthy);
        let errors: Vec<_> = self.findings.iter().filter(|finding| finding.level == Level::Error).collect();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        let error = errors[0];
        assert!(
            error.about == about && error.found.contains(found) && error.mend.contains(mend),
            "{error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_federation_is_healthy_before_while_and_after_it_is_served() {
    let made = Made::new();
    made.look().await.healthy(&["no server runs"]);
    let running = made.serve().await;
    let ready = async {
        loop {
            let examined = made.at(clock::now()).await;
            if examined.healthy {
                return examined;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let examined = timeout(PATIENCE, ready).await.unwrap();
    examined.healthy(&[]);
    let about: Vec<_> = examined.findings.iter().map(|finding| finding.about).collect();
    for thing in ["settings", "listeners", "keys", "expiry", "disk", "database", "clock", "ledger"] {
        assert!(about.contains(&thing), "{thing}");
    }
    let ledger = examined.findings.last().unwrap();
    assert!(ledger.found.contains("is signed") && !ledger.found.contains("over 0 entries"), "{ledger:?}");
    running.stop().await;
    made.at(clock::now()).await.healthy(&["no server runs"]);
}

#[tokio::test]
async fn each_fault_of_a_file_is_found_with_what_mends_it() {
    let made = Made::new();
    let key = made.file("keys/federation/tokens.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    made.look().await.error("keys", "mode 0644", &format!("`chmod 600 {}`", key.display()));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    let check = |name: &'static str, with: Option<&'static [u8]>| {
        let made = &made;
        async move {
            let (path, aside) = (made.file(name), made.place.path().join("aside"));
            fs::rename(&path, &aside).unwrap();
            if let Some(bytes) = with {
                fs::write(&path, bytes).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            let examined = made.look().await;
            let _ = fs::remove_file(&path);
            fs::rename(&aside, &path).unwrap();
            examined
        }
    };
    check("keys/federation/ledger.key", None).await.error("keys", "no such file", "fedplane keys sign");
    check("keys/federation/server.key", Some(b"x")).await.error("keys", "not one Ed25519", "backup");
    check("keys/federation/server.pem", None).await.error("keys", "server.pem", "ca certify server");
    check("keys/federation/instance-ca.pem", Some(b"x")).await.error(
        "keys",
        "instance-ca.pem",
        "ca certify instance-ca",
    );
    check("keys.json", Some(b"{}")).await.error("keys", "keys.json", "backup");
    check("founder.json", None).await.error("keys", "founder.json", "backup");
    check("constitution.sig", Some(b"{}")).await.error("keys", "constitution.sig", "backup");
    check("tuf/metadata/timestamp.json", Some(b"{}")).await.error("expiry", "TUF repository", "tuf/");
    check("fedplane.toml", Some(b"[listen]\nfoo = 1\n")).await.error(
        "settings",
        "fedplane.toml:2",
        "mend that line",
    );
    let missing = check("fedplane.toml", None).await;
    missing.error("settings", "fedplane.toml", "--config");
    // A key that is fine, and of somebody else.
    let other = init::tests::options(made.place.path().join("other"));
    init::create(&other).unwrap();
    let stranger: &'static [u8] =
        fs::read(made.place.path().join("other/keys/federation/tokens.key")).unwrap().leak();
    check("keys/federation/tokens.key", Some(stranger)).await.error(
        "keys",
        "does not name the tokens key",
        "keys adopt",
    );
    made.look().await.healthy(&["no server runs"]);
    // The Founder's keys where the server is.
    fs::create_dir_all(made.file("keys/founder")).unwrap();
    fs::write(made.file("keys/founder/1.key"), "x").unwrap();
    made.look().await.healthy(&["no server runs", "keys of the Founder"]);
}

#[tokio::test]
async fn what_runs_out_is_told_before_and_after() {
    let made = Made::new();
    let days = |days: i64| made.now + Span::hours(days * 24);
    let soon = made.at(days(340)).await;
    assert!(soon.healthy, "{soon:#?}");
    let warned = |words: &str, level: Level, examined: &Examined| {
        examined.findings.iter().any(|finding| finding.level == level && finding.found.contains(words))
    };
    for what in ["the server's certificate", "the directives key", "the TUF root", "the TUF targets"] {
        assert!(warned(&format!("{what} "), Level::Warning, &soon), "{what}: {soon:#?}");
    }
    // Nobody is misled while no server runs: it is signed anew when one starts.
    assert!(warned("the TUF timestamp ran out", Level::Warning, &soon), "{soon:#?}");
    let late = made.at(days(366)).await;
    assert!(!late.healthy);
    for what in ["the server's certificate", "the tokens key", "the TUF root", "the TUF targets"] {
        assert!(warned(what, Level::Error, &late), "{what}: {late:#?}");
    }
    assert!(!warned("the root CA", Level::Error, &late), "{late:#?}");
    // A clock that cannot be.
    made.at(Timestamp::from_millis(0))
        .await
        .findings
        .iter()
        .find(|one| one.about == "clock" && one.level == Level::Error)
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_what_is_recorded_is_found_with_what_mends_it() {
    let made = Made::served().await;
    made.look().await.healthy(&["no server runs"]);
    let checkpoint = made.file("data/ledger/checkpoint");
    let good = fs::read_to_string(&checkpoint).unwrap();
    fs::write(&checkpoint, "nothing").unwrap();
    made.look().await.error("ledger", "the checkpoint", "ledger verify");
    // Another size under the same signature.
    let size = good.lines().nth(1).unwrap();
    fs::write(&checkpoint, good.replacen(&format!("\n{size}\n"), "\n1\n", 1)).unwrap();
    made.look().await.error("ledger", "the checkpoint", "as evidence");
    fs::write(&checkpoint, &good).unwrap();
    // A tile that leads elsewhere, and one that is gone.
    let tile = made.file(&format!("data/ledger/tile/0/000.p/{size}"));
    let bytes = fs::read(&tile).unwrap();
    fs::write(&tile, vec![7; bytes.len()]).unwrap();
    made.look().await.error("ledger", "do not lead", "made anew");
    fs::remove_file(&tile).unwrap();
    made.look().await.error("ledger", "000.p", "made anew");
    fs::write(&tile, bytes).unwrap();
    made.look().await.healthy(&["no server runs"]);
    // A clock behind the last decision.
    made.at(made.now - Span::from_millis(1_800_000)).await.error("clock", "on record", "set the clock");
    // The database set back, damaged, of a later program, of another program, gone.
    let database = made.file("data/fedplane.db");
    let whole = fs::read(&database).unwrap();
    drop(store::SqliteStore::open(made.place.path().join("empty.db"), store::Options::default()).unwrap());
    fs::copy(made.place.path().join("empty.db"), &database).unwrap();
    made.look().await.error("ledger", "and the database has 0", "set back");
    fs::write(&database, [&whole[..4_096], &vec![0xa5; whole.len() - 4_096]].concat()).unwrap();
    made.look().await.error("database", "", "fedplane restore");
    fs::write(&database, b"no database at all, and long enough to be looked at by whoever opens it").unwrap();
    made.look().await.error("database", "", "fedplane restore");
    fs::remove_file(&database).unwrap();
    made.look().await.error("database", "is missing", "fedplane restore");
    fs::write(&database, &whole).unwrap();
    made.look().await.healthy(&["no server runs"]);
}

#[tokio::test]
async fn another_program_in_the_place_of_the_server_is_found() {
    let made = Made::new();
    let settings = Settings::load(&made.folder().settings()).unwrap();
    let _other = TcpListener::bind(settings.listen.public).unwrap();
    made.look().await.error("listeners", "listen.public: another program", "ss -ltnp");
}

#[tokio::test]
async fn it_is_shown_in_words_and_in_figures() {
    let made = Made::new();
    let config = made.folder().settings();
    let args = DoctorArgs { config: config.clone() };
    let (out, captured) = Output::captured(false);
    run(&args, &out).await.unwrap();
    let text = captured.text();
    assert!(text.starts_with("state    about") && text.contains("It works; to be seen to: 1."), "{text}");
    let (out, captured) = Output::captured(true);
    fs::remove_file(made.file("keys/federation/server.pem")).unwrap();
    let failure = run(&args, &out).await.unwrap_err();
    assert_eq!((failure.code(), failure.exit_code()), ("unhealthy", 1));
    let value: serde_json::Value = serde_json::from_str(&captured.text()).unwrap();
    assert_eq!(value["healthy"], false, "{value}");
    let error =
        value["findings"].as_array().unwrap().iter().find(|finding| finding["level"] == "error").unwrap();
    assert_eq!(error["about"], "keys", "{error}");
    assert_eq!(ink("error    keys"), Some((0..5, Ink::Red)));
    assert_eq!(ink("errors"), None);
}

#[test]
fn the_commands_that_mend_are_there() {
    let sources = [
        include_str!("mod.rs"),
        include_str!("keys.rs"),
        include_str!("machine.rs"),
        include_str!("records.rs"),
    ];
    let mut commands = Vec::new();
    for source in sources {
        let words = source.split('`').filter(|part| part.starts_with("fedplane ") && !part.contains('\n'));
        commands.extend(words.filter(|part| !part.starts_with("fedplane ` ")));
    }
    assert!(commands.len() >= 12, "{commands:?}");
    for line in commands {
        let line = line.replace("{}", "x");
        let error = Cli::try_parse_from(line.split(' ')).err();
        let kind = error.as_ref().map(clap::Error::kind);
        use clap::error::ErrorKind;
        assert!(matches!(kind, None | Some(ErrorKind::MissingRequiredArgument)), "{line}: {error:?}");
    }
}
