//! A federation moves from its file into PostgreSQL, and is served, audited and rehearsed there by the same commands.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use server::Settings;
use server::settings::Store;
use store::conformance::postgres::Database;

const MANIFEST: &str = r#"
version = "0.1.9"
class = "security"
runtime = { min = "0.1.0", max = "0.2.0" }
[rollback]
instructions = "bind the slot of before"
"#;

/// A server that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Asks it to end, and waits for that.
    fn ends(mut self) {
        let asked = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(asked.success());
        assert!(self.0.wait().unwrap().success(), "it ends in order");
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fedplane"));
        command
            .args(line.split(' '))
            .current_dir(self.0.path())
            .env("FEDPLANE_DIR", "fed")
            .stdin(Stdio::null());
        command
    }

    fn done(&self, line: &str) -> Output {
        self.command(&format!("{line} --json")).output().unwrap()
    }

    #[track_caller]
    fn said(&self, line: &str) -> Value {
        let output = self.done(line);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}\n{out}\n{err}\n{}", self.log());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {error}: {out}"))
    }

    #[track_caller]
    fn refused(&self, line: &str) -> String {
        let output = self.done(line);
        assert!(!output.status.success(), "{line}");
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("plane.log")).unwrap_or_default()
    }

    /// A plane that listens.
    fn plane(&self) -> Running {
        let log = std::fs::File::create(self.path("plane.log")).unwrap();
        let mut command = self.command("serve --config fed/fedplane.toml");
        let running = Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        self.until("status", |_| true);
        running
    }

    /// Until a command says so, tried often enough for a slow machine.
    #[track_caller]
    fn until(&self, line: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = String::new();
        for _ in 0..600 {
            last = String::from_utf8_lossy(&self.done(line).stdout).into_owned();
            if let Ok(said) = serde_json::from_str(&last)
                && holds(&said)
            {
                return said;
            }
        }
        panic!("{line}\n{last}\n{}", self.log());
    }
}

fn settings(path: &Path, change: impl FnOnce(&mut Settings)) {
    let mut settings = Settings::load(path).unwrap();
    change(&mut settings);
    std::fs::write(path, settings.to_toml()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lg_1_lg_3_a_federation_moves_with_its_ledger() {
    let Some(database) = Database::fresh().await else { return };
    let url = database.url().to_owned();
    // The commands are processes: they block.
    tokio::task::spawn_blocking(move || moves(&url)).await.unwrap();
    assert_eq!(database.store().await.check().await, Ok(vec![]));
}

fn moves(url: &str) {
    let place = Place(tempfile::tempdir().unwrap());
    place.said("init fed --founders 1 --threshold 1 --organisms 1 --organism-threshold 1");
    let config = place.path("fed/fedplane.toml");
    let sockets = [0; 3].map(|_: u16| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let ports = sockets.each_ref().map(|socket| socket.local_addr().unwrap().port());
    drop(sockets);
    settings(&config, |settings| {
        settings.listen.instances.set_port(ports[0]);
        settings.listen.public.set_port(ports[1]);
        settings.listen.dashboard.set_port(0);
        settings.listen.metrics.set_port(ports[2]);
    });
    let plane = place.plane();
    place.said("enrolment create --kind saas-shared --tier free");
    let whole = |said: &Value| said["uncovered"] == 0 && said["entries"].as_u64() > Some(1);
    let before = place.until("ledger verify", whole);

    let migrate = format!("migrate sqlite-to-postgres --data fed --to {url}");
    assert!(place.refused(&migrate).contains("another server runs"), "not beside a server");
    plane.ends();
    assert!(place.refused("migrate sqlite-to-postgres --data fed --to x.db").contains("postgres://"));
    let migrated = place.said(&migrate);
    assert_eq!(migrated["verified"], true, "{migrated}");
    assert_eq!((&migrated["ledger_root"], &migrated["ledger_size"]), (&before["root"], &before["entries"]));
    assert!(place.refused(&migrate).contains("name a database that is empty"), "not twice");

    settings(&config, |settings| {
        settings.store = Store { url: url.to_owned(), ..Store::default() };
    });
    // The file is no longer looked at.
    std::fs::remove_file(place.path("fed/data/fedplane.db")).unwrap();
    assert_eq!(place.until("ledger verify", whole)["root"], before["root"]);
    let plane = place.plane();
    place.said("enrolment create --kind saas-shared --tier free");
    let grown = |said: &Value| whole(said) && said["entries"].as_u64() > before["entries"].as_u64();
    let after = place.until("ledger verify", grown);
    assert_ne!(after["root"], before["root"]);
    plane.ends();
    assert!(!place.path("fed/data/fedplane.db").exists());
    std::fs::write(place.path("m.toml"), MANIFEST).unwrap();
    assert_eq!(place.said("what-if --data fed --release m.toml")["instances"], 0);
    assert!(place.refused(&migrate).contains("store.url"), "its records are in no file any more");
}
