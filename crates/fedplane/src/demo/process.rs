//! The processes of the demo: each in a group of its own, its output in a file, ended by the id that starting it gave.
//!
//! Never ends a process by its name, and none that it did not start.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a process has to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(8);
/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(5);
/// Bytes of a log that are shown when a process ended too early.
const TAIL_BYTES_MAX: usize = 1500;

/// A process that the demo started.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    /// Its process group, as long as it is ours to end.
    group: Option<Pid>,
    log: PathBuf,
}

impl Process {
    /// Starts a program. What it writes is appended to `log`.
    pub(super) fn start(name: &str, program: &Path, arguments: &[&str], log: &Path) -> anyhow::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log);
        let output = output.with_context(|| format!("cannot write {}", log.display()))?;
        let errors: File = output.try_clone().context("cannot share a log file")?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { name: name.to_owned(), child, group, log: log.to_path_buf() })
    }

    /// Its process id, while it is ours.
    pub(super) fn id(&self) -> Option<i32> {
        self.group.map(|group| group.as_raw_nonzero().get())
    }

    /// An error when it has ended, with the end of its log.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.ended() else { return Ok(()) };
        anyhow::bail!(
            "{} ended early ({status}); the end of {}:\n{}",
            self.name,
            self.log.display(),
            tail(&self.log)
        )
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten()?;
        self.group = None;
        Some(status)
    }

    /// Asks it to end, waits, and kills it when it does not.
    pub(super) async fn stop(&mut self) {
        self.signal(Signal::TERM);
        if timeout(GRACE, self.child.wait()).await.is_err() {
            self.kill().await;
        }
        self.group = None;
    }

    /// Kills it at once, as a power failure would.
    pub(super) async fn kill(&mut self) {
        self.signal(Signal::KILL);
        timeout(GONE, self.child.wait()).await.ok();
        self.group = None;
    }

    /// Leaves it running behind us.
    pub(super) fn release(mut self) {
        self.group = None;
    }

    fn signal(&mut self, signal: Signal) {
        // Reaped already: the number may be somebody else's by now.
        if self.ended().is_none()
            && let Some(group) = self.group
        {
            // Gone in between is as good.
            kill_process_group(group, signal).ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let from = text.len().saturating_sub(TAIL_BYTES_MAX);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text.get(from..).unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn processes_are_ended_with_what_they_started() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("log");
        let sh = Path::new("/bin/sh");
        let mut good = Process::start("good", sh, &["-c", "sleep 60 & sleep 60"], &log).unwrap();
        assert!(good.id().is_some() && good.check().is_ok());
        good.stop().await;
        assert!(good.id().is_none() && good.ended().is_some());
        let mut early = Process::start("early", sh, &["-c", "echo why >&2; exit 3"], &log).unwrap();
        timeout(GRACE, early.child.wait()).await.unwrap().unwrap();
        let told = early.check().unwrap_err().to_string();
        assert!(told.contains("early ended") && told.contains("why"), "{told}");
    }

    #[tokio::test]
    async fn one_that_does_not_listen_is_killed() {
        let place = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; while :; do sleep 1; done";
        let mut deaf =
            Process::start("deaf", Path::new("/bin/sh"), &["-c", script], &place.path().join("log")).unwrap();
        deaf.kill().await;
        assert!(deaf.ended().is_some());
    }
}
