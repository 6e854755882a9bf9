//! The servers of one federation, each a process with a folder of its own, on one database.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::cluster::{copy, free_ports};

/// How long a server may take to be ready, or to end.
const WITHIN: Duration = Duration::from_secs(60);

/// Between two looks at whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether the server says that it is ready, at its address for metrics.
fn is_ready(metrics: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&metrics, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nhost: {metrics}\r\nconnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

/// A server, running or not.
pub(crate) struct Server {
    folder: PathBuf,
    /// What is written in front of its command.
    wrapped: Vec<String>,
    /// Where instances and operators call.
    pub(crate) instances: SocketAddr,
    /// Where anyone does.
    pub(crate) public: SocketAddr,
    metrics: SocketAddr,
    child: Option<Child>,
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_fedplane"))
}

/// Makes a federation in the folder; gives its servers, none of them running.
pub(crate) fn make(place: &Path, urls: &[String], data: Option<&Path>, wrapped: &[&str]) -> Vec<Server> {
    let data = data.map_or_else(|| "data".to_owned(), |data| data.display().to_string());
    let first = place.join("server-0");
    let law = place.join("law.toml");
    fs::write(&law, "\"rate.instance\" = 1000000\n\"rate.address\" = 1000000\n").unwrap();
    let init = Command::new(program())
        .args(["init", "--trust-domain", "faults.internal", "--founders", "1", "--constitution"])
        .arg(&law)
        .arg(&first)
        .output()
        .unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    (1..urls.len()).for_each(|number| copy(&first, &place.join(format!("server-{number}"))));
    urls.iter()
        .enumerate()
        .map(|(number, url)| {
            let folder = place.join(format!("server-{number}"));
            let [instances, public, metrics] = free_ports();
            let text = format!(
                "[listen]\ninstances = \"127.0.0.1:{instances}\"\npublic = \"127.0.0.1:{public}\"\n\
                 dashboard = \"127.0.0.1:0\"\nmetrics = \"127.0.0.1:{metrics}\"\nnames = [\"127.0.0.1\"]\n\
                 [paths]\ndatabase = \"{data}/fedplane.db\"\n[store]\nurl = \"{url}\"\n\
                 [pace]\npulse_every = \"1s\"\nsweep_every = \"1s\"\n\
                 [limits]\nconnections_per_address = 4096\nregistrations = 1024\nshutdown_within = \"2s\"\n\
                 [challenge]\nevery = \"0s\"\noutgoing = false\n"
            );
            fs::write(folder.join("fedplane.toml"), text).unwrap();
            let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
            let wrapped = wrapped.iter().map(|word| (*word).to_owned()).collect();
            Server {
                folder,
                wrapped,
                instances: at(instances),
                public: at(public),
                metrics: at(metrics),
                child: None,
            }
        })
        .collect()
}

impl Server {
    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn command(&self, wrapped: &[&str]) -> Command {
        let mut command = match wrapped.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program());
                command
            }
            None => Command::new(program()),
        };
        let log = fs::File::options().create(true).append(true).open(self.log()).unwrap();
        command.args(["serve", "--config"]).arg(self.folder.join("fedplane.toml"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        let wrapped: Vec<&str> = self.wrapped.iter().map(String::as_str).collect();
        self.child = Some(self.command(&wrapped).spawn().unwrap());
        let ready = async {
            while !is_ready(self.metrics) {
                self.must_run();
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        assert!(tokio::time::timeout(WITHIN, ready).await.is_ok(), "not ready: {}", self.said());
    }

    /// Starts it with a clock that is off by so much.
    pub(crate) fn start_with_clock(&mut self, offset: &str) {
        self.child = Some(self.command(&["faketime", "-f", offset]).spawn().unwrap());
    }

    fn must_run(&mut self) {
        let ended = self.child.as_mut().unwrap().try_wait().unwrap();
        assert!(ended.is_none(), "{ended:?}: {}", self.said());
    }

    /// What it said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            kill_process(Pid::from_child(child), signal).unwrap();
        }
    }

    /// Kills it where it stands.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.take().unwrap().wait().unwrap();
    }

    /// Waits until it has ended by itself; gives what it said.
    pub(crate) async fn until_ended(&mut self) -> String {
        let ended = async {
            while self.child.as_mut().unwrap().try_wait().unwrap().is_none() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        assert!(tokio::time::timeout(WITHIN, ended).await.is_ok(), "it goes on: {}", self.said());
        self.child = None;
        self.said()
    }

    /// Asks it to end, and waits for that.
    pub(crate) async fn stop(&mut self) {
        if self.child.is_some() {
            self.signal(Signal::TERM);
            self.until_ended().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Whatever the test came to: nothing of it goes on.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
