//! A server as a child process: its log in a file, what it costs from `/proc`, ended by the id that starting it gave.
//!
//! Never ends a process that it did not start.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How long a process has to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(30);
/// Between two looks at whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Bytes of a log that are shown when a process ended too early.
const TAIL_BYTES_MAX: usize = 2_000;

/// Which cores the server has, and which the load generator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cores {
    /// All, both.
    Shared,
    /// The first is the server's, the second ours.
    Apart,
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

/// What a process has used by now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// CPU time in its own code.
    pub(crate) user: Duration,
    /// CPU time in the system's code for it.
    pub(crate) system: Duration,
    /// Bytes of memory that it holds, but for mapped files.
    pub(crate) memory: u64,
    /// Bytes that it held at most, mapped files included.
    pub(crate) memory_peak: u64,
}

impl Usage {
    /// CPU time in all.
    pub(crate) fn cpu(&self) -> Duration {
        self.user + self.system
    }

    /// CPU time since an earlier look; memory as it is now.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            ..*self
        }
    }
}

impl Server {
    /// Starts a program; what it writes is appended to `log`.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        log: &Path,
        cores: Cores,
    ) -> anyhow::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log);
        let output = output.with_context(|| format!("cannot write {}", log.display()))?;
        let errors: File = output.try_clone().context("cannot share a log file")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = match cores {
            Cores::Shared => command.spawn(),
            // A child starts on the cores of whoever starts it.
            Cores::Apart => {
                run_on(0)?;
                let child = command.spawn();
                run_on(1)?;
                child
            }
        };
        let child = child.with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, log: log.to_path_buf() })
    }

    /// An error when it has ended, with the end of its log.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        bail!("the server ended early ({status}); the end of {}:\n{}", self.log.display(), tail(&self.log))
    }

    /// What it has used by now.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let read = |name: &str| {
            fs::read_to_string(folder.join(name)).with_context(|| format!("the server's /proc/…/{name}"))
        };
        let (user, system) = cpu(&read("stat")?).context("the server's /proc/…/stat has another form")?;
        let status = read("status")?;
        let memory = kibibytes(&status, "RssAnon:").unwrap_or(0) * 1024;
        let memory_peak = kibibytes(&status, "VmHWM:").unwrap_or(0) * 1024;
        Ok(Usage { user, system, memory, memory_peak })
    }

    /// Asks it to end, waits, and kills it when it does not.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < GRACE {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        bail!("the server did not end within {GRACE:?}; the end of its log:\n{}", tail(&self.log))
    }

    /// Kills it at once, as a power failure would.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL);
        self.child.wait().map(|_| ()).context("the server's end")
    }

    fn signal(&mut self, signal: Signal) {
        // Reaped already: the number may be somebody else's by now.
        if matches!(self.child.try_wait(), Ok(None))
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            kill_process(pid, signal).ok();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().ok();
    }
}

/// CPU time that this process itself has used.
pub(crate) fn own_cpu() -> Duration {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(at.tv_sec.unsigned_abs(), u32::try_from(at.tv_nsec).unwrap_or(0))
}

/// Raises how many files this process may have open to what the system allows; gives that.
pub(crate) fn raise_files() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).ok();
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn run_on(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("cannot run on core {core} alone"))
}

/// Whether this process may run on two cores, as [`Cores::Apart`] takes.
pub(crate) fn has_two_cores() -> bool {
    sched_getaffinity(None).is_ok_and(|cores| cores.is_set(0) && cores.is_set(1))
}

/// User and system time of `/proc/PID/stat`. The name in it may hold anything: fields are counted behind its end.
fn cpu(stat: &str) -> Option<(Duration, Duration)> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let ticks = rustix::param::clock_ticks_per_second();
    let mut time = || {
        let found = fields.next()?.parse::<u64>().ok()?;
        Some(Duration::from_millis(found * 1_000 / ticks))
    };
    Some((time()?, time()?))
}

/// A line of `/proc/PID/status`.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let from = text.len().saturating_sub(TAIL_BYTES_MAX);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text.get(from..).unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_used_is_read_behind_its_name() {
        let stat = "17 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 250 75 0 0 20 0 1 0 100 0 0";
        let ticks = rustix::param::clock_ticks_per_second();
        let time = |n: u64| Duration::from_millis(n * 1_000 / ticks);
        assert_eq!(cpu(stat), Some((time(250), time(75))));
        assert_eq!(cpu("17 (a"), None);
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nRssAnon:\t     512 kB\n";
        assert_eq!((kibibytes(status, "RssAnon:"), kibibytes(status, "VmHWM:")), (Some(512), Some(2048)));
        assert_eq!(kibibytes(status, "VmRSS:"), None);
    }

    #[test]
    fn a_child_is_measured_and_ended() {
        let place = tempfile::tempdir().expect("a folder");
        let log = place.path().join("log");
        let mut child =
            Server::start(Path::new("/bin/sh"), &["-c", "while :; do :; done"], &log, Cores::Shared)
                .expect("started");
        let began = Instant::now();
        while child.usage().expect("usage").cpu().is_zero() && began.elapsed() < GRACE {}
        assert!(!child.usage().expect("usage").cpu().is_zero());
        child.check().expect("it runs");
        child.stop().expect("ended");
        let mut early =
            Server::start(Path::new("/bin/sh"), &["-c", "echo why >&2; exit 3"], &log, Cores::Shared)
                .expect("started");
        early.child.wait().expect("ended");
        let told = early.check().expect_err("it ended").to_string();
        assert!(told.contains("why"), "{told}");
    }
}
