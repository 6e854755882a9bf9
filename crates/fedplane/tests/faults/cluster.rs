//! A PostgreSQL of the test's own, in a temporary folder: started, restarted, stopped where it stands, and lost to its standby.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

/// A database server, and perhaps the one that stands by.
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    ports: [u16; 2],
    has_standby: bool,
    is_failed_over: bool,
}

/// The user that the database runs as where we are root, which it refuses to run as.
const NOBODY: &str = "nobody";

impl Cluster {
    /// Starts one; none where PostgreSQL's programs are not there.
    pub(crate) fn start(has_standby: bool) -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let cluster = Self { folder, programs, ports: free_ports(), has_standby, is_failed_over: false };
        cluster
            .run("initdb", &["-D", "primary", "-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=trust"]);
        cluster.configure("primary", cluster.ports[0]);
        if has_standby {
            cluster.set("primary", "synchronous_standby_names = '*'");
        }
        cluster.control("primary", "start");
        if has_standby {
            let port = cluster.ports[0].to_string();
            cluster.run(
                "pg_basebackup",
                &["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-D", "standby", "-R", "-X", "stream"],
            );
            cluster.configure("standby", cluster.ports[1]);
            // Alone, it waits for nobody.
            cluster.set("standby", "synchronous_standby_names = ''");
            cluster.control("standby", "start");
        }
        Some(cluster)
    }

    /// Where servers find it: both, and they take the one that takes writes.
    pub(crate) fn url(&self) -> String {
        let [first, second] = self.ports;
        if self.has_standby {
            format!("postgres://postgres@127.0.0.1:{first},127.0.0.1:{second}/postgres")
        } else {
            format!("postgres://postgres@127.0.0.1:{first}/postgres")
        }
    }

    /// The port of the one that takes writes at first.
    pub(crate) fn port(&self) -> u16 {
        self.ports[0]
    }

    /// Every connection is cut, and it comes back.
    pub(crate) fn restart(&self) {
        self.control("primary", "restart");
    }

    /// It stands still, its connections open.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// It is lost, and the standby takes over.
    pub(crate) fn fail_over(&mut self) {
        self.control("primary", "stop");
        self.control("standby", "promote");
        self.is_failed_over = true;
    }

    fn configure(&self, data: &str, port: u16) {
        let sockets = self.folder.path().display();
        for line in [
            format!("listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{sockets}'"),
            "max_connections = 100\nwal_level = replica\nmax_wal_senders = 4\nhot_standby = on".to_owned(),
        ] {
            self.set(data, &line);
        }
    }

    fn set(&self, data: &str, line: &str) {
        let file = self.folder.path().join(data).join("postgresql.conf");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}\n{line}\n")).unwrap();
    }

    fn control(&self, data: &str, what: &str) {
        let mut arguments = vec!["-D", data, "-s", "-w"];
        let log = format!("{data}.log");
        match what {
            "start" => arguments.extend(["-l", &log]),
            "promote" => {}
            _ => arguments.extend(["-m", "immediate", "-l", &log]),
        }
        if what == "stop" {
            arguments.truncate(arguments.len() - 2);
        }
        arguments.push(what);
        self.run("pg_ctl", &arguments);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", NOBODY, "--regid", "nogroup", "--clear-groups", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        let output: Output = command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("LC_ALL", "C")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{} {arguments:?}: {said}", program.display());
    }

    /// The processes of the database that takes writes, those that serve connections among them.
    fn signal(&self, signal: Signal) {
        let data = if self.is_failed_over { "standby" } else { "primary" };
        let file = self.folder.path().join(data).join("postmaster.pid");
        let text = fs::read_to_string(file).unwrap();
        let master: i32 = text.lines().next().unwrap().trim().parse().unwrap();
        let children = fs::read_dir("/proc").unwrap().flatten().filter_map(|process| {
            let stat = fs::read_to_string(process.path().join("stat")).ok()?;
            let parent: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            let id: i32 = process.file_name().to_str()?.parse().ok()?;
            (parent == master).then_some(id)
        });
        for id in std::iter::once(master).chain(children) {
            // One that ended meanwhile needs none.
            let _ = kill_process(Pid::from_raw(id).unwrap(), signal);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for data in ["primary", "standby"] {
            if self.folder.path().join(data).join("postmaster.pid").exists() {
                if data == "primary" {
                    self.go_on();
                }
                self.control(data, "stop");
            }
        }
    }
}

fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.retain(|path| path.join("initdb").exists());
    found.sort();
    let found = found.pop();
    if found.is_none() {
        say("skipped: PostgreSQL's programs are not under /usr/lib/postgresql; scripts/test installs them");
    }
    found
}

/// Says something to whoever runs the tests.
pub(crate) fn say(text: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes()).unwrap();
}

/// Ports of the loopback that nobody listens on.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    std::array::from_fn(|index| held[index].local_addr().unwrap().port())
}

/// Copies a folder with what is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, name) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &name);
        } else {
            fs::copy(&path, &name).unwrap();
        }
    }
}
