//! Two witnesses, a plane and an auditor as processes (LG-2): what is published carries their cosignatures.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use server::Settings;
use server::settings::{Ledger, Witness};

/// A process that does not outlive the test.
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
        assert!(output.status.success(), "{line}\n{out}\n{err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {error}: {out}"))
    }

    /// The code that a command is refused with.
    #[track_caller]
    fn refused(&self, line: &str) -> String {
        let output = self.done(line);
        assert!(!output.status.success(), "{line}");
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    /// A witness, its verifier key, and where it listens.
    fn witness(&self, name: &str, listen: SocketAddr, logs: &str) -> (Running, String, SocketAddr) {
        let line = format!(
            "witness --listen {listen} --name {name}.example --key {name}.key --data {name} {logs} --json"
        );
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        let mut child = self.command(&line).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap();
        let started: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}{}", log()));
        let text = |member: &str| started[member].as_str().unwrap().to_owned();
        (Running(child), text("key"), text("listens").parse().unwrap())
    }

    fn plane(&self) -> Running {
        let log = std::fs::File::create(self.path("plane.log")).unwrap();
        let mut command = self.command("serve --config fed/fedplane.toml");
        Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Until a command says so, tried often enough for a slow machine.
    #[track_caller]
    fn until(&self, line: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = String::new();
        for _ in 0..600 {
            let output = self.done(line);
            last = String::from_utf8_lossy(&output.stdout).into_owned();
            if let Ok(said) = serde_json::from_str(&last)
                && holds(&said)
            {
                return said;
            }
        }
        let log = std::fs::read_to_string(self.path("plane.log")).unwrap_or_default();
        panic!("{line}\n{last}\n{log}");
    }
}

fn free_ports() -> [u16; 3] {
    let sockets = [0; 3].map(|_: u16| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

fn settings_of(place: &Place, ledger: Ledger) -> Settings {
    let path = place.path("fed/fedplane.toml");
    let mut settings = Settings::load(&path).unwrap();
    settings.ledger = ledger;
    write(&path, &settings);
    settings
}

fn write(path: &Path, settings: &Settings) {
    std::fs::write(path, settings.to_toml()).unwrap();
}

#[test]
fn lg_2_what_a_plane_publishes_is_cosigned_by_witnesses_of_others() {
    let place = Place(tempfile::tempdir().unwrap());
    place.said("init fed --founders 1 --threshold 1 --organisms 1 --organism-threshold 1");
    let [instances, public, metrics] = free_ports();
    let path = place.path("fed/fedplane.toml");
    let mut settings = Settings::load(&path).unwrap();
    settings.listen.instances.set_port(instances);
    settings.listen.public.set_port(public);
    settings.listen.dashboard.set_port(0);
    settings.listen.metrics.set_port(metrics);
    write(&path, &settings);
    for name in ["one", "two"] {
        place.said(&format!("key make {name}.key"));
    }
    let free = "127.0.0.1:0".parse().unwrap();
    // One holds the root keys, and learns by itself which key signs the log; the other was told.
    let followed = format!("--root fed/founder.json --url https://127.0.0.1:{public}");
    let (one, one_key, one_at) = place.witness("one", free, &followed);
    let log = place.said("keys show")["ledger"][0].as_str().unwrap().to_owned();
    let (two, two_key, two_at) = place.witness("two", free, &format!("--log {log}"));
    let named =
        |key: &str, at: SocketAddr| Witness { key: key.parse().unwrap(), url: format!("https://{at}") };
    let witness = vec![named(&one_key, one_at), named(&two_key, two_at)];
    settings_of(&place, Ledger { quorum: 2, witness });
    let plane = place.plane();
    let both = |said: &Value| {
        said["uncovered"] == 0 && said["witnesses"].as_array().is_some_and(|all| all.len() == 2)
    };
    let verified = place.until("ledger verify", both);
    assert_eq!(verified["witnesses"][0]["name"], "one.example", "{verified}");
    // An auditor names whom he believes.
    let audited =
        |more: &str| format!("ledger verify --root fed/founder.json --dir fed --witness {one_key} {more}");
    assert_eq!(place.said(audited("").trim_end())["witnesses"].as_array().unwrap().len(), 1);
    let stranger = ledger::WitnessKey::new(
        "stranger.example".parse().unwrap(),
        &[
            0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
            0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
        ],
    )
    .unwrap();
    assert!(place.refused(&audited(&format!("--witness {stranger}"))).contains("unwitnessed"));
    place.said(&audited(&format!("--witness {stranger} --quorum 1")));
    assert!(place.refused(&audited("--quorum 2")).contains("usage"));
    place.said("ledger prove 0 --out p.tlog-proof");
    let checked =
        place.said(&format!("ledger check-proof p.tlog-proof --witness {one_key} --witness {two_key}"));
    assert_eq!(checked["witnesses"].as_array().unwrap().len(), 2, "{checked}");
    assert!(
        place
            .refused(&format!("ledger check-proof p.tlog-proof --witness {stranger}"))
            .contains("unwitnessed")
    );
    // One of two is away: decisions go on, and what is published stays what it was.
    two.ends();
    place.said("enrolment create --kind saas-shared --tier free");
    place.until("ledger verify", |said| said["uncovered"].as_u64() > Some(0));
    let metrics = place.until("status", |_| true);
    assert!(metrics["ledger"].as_u64() > Some(0), "{metrics}");
    // It comes back where it was, and stands where it stood.
    let (two, again, _) = place.witness("two", two_at, &format!("--log {log}"));
    assert_eq!(again, two_key);
    place.until("ledger verify", both);
    // Killed at any moment, plane and witness go on from what is on their disks.
    let (mut plane, mut two) = (plane, two);
    for _ in 0..4 {
        let deciding: Vec<Child> = (0..3)
            .map(|_| {
                let mut create = place.command("enrolment create --kind saas-shared --tier free");
                create.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
            })
            .collect();
        drop((plane, two));
        for mut child in deciding {
            child.wait().unwrap();
        }
        two = place.witness("two", two_at, &format!("--log {log}")).0;
        plane = place.plane();
        place.until("status", |said| said["ledger"].as_u64() > Some(0));
        place.said("enrolment create --kind saas-shared --tier free");
        place.until("ledger verify", both);
    }
    let open = place.said("escalation list");
    assert!(!open.to_string().contains("LG-2"), "{open}");
    plane.ends();
    one.ends();
    two.ends();
    // The log is the root keys' that named it: nobody else's word counts for it beside theirs.
    let again = "witness --listen 127.0.0.1:0 --name one.example --key one.key --data one";
    let refused = place.refused(&format!("{again} --log {log}"));
    for part in ["origin-taken", "the root keys", "--log"] {
        assert!(refused.contains(part), "{refused}");
    }
}
