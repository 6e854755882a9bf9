//! Runs the owner's commands: without a shell, in a process group of their own, bounded in time and output.
//!
//! Never leaves a command running that took too long, nor one whose agent was killed in the middle: its group is
//! written down and ended at the next start. What a command that ended well has left running stays.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use governance::Span;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Folder, ShellError};

/// Bytes of output that are kept: the last ones.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// How long output is awaited after a command ended: what it left running may hold the pipe open for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);
/// Where the running command is written down.
const RECORD: &str = "hook.json";

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    #[error("{program} could not be started: {cause}")]
    Start { program: String, cause: std::io::Error },
    #[error("{program} was not done within {within} and was killed{output}")]
    Timeout { program: String, within: Span, output: Tail },
    #[error("{program} ended with {status}{output}")]
    Status { program: String, status: std::process::ExitStatus, output: Tail },
    #[error("{program} was lost: {cause}")]
    Lost { program: String, cause: std::io::Error },
}

/// The end of what a command wrote to its error output.
#[derive(Debug)]
pub(super) struct Tail(String);

impl std::fmt::Display for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last: Vec<&str> = self.0.trim().lines().rev().take(3).collect();
        if last.is_empty() {
            return Ok(());
        }
        let text: Vec<&str> = last.into_iter().rev().collect();
        write!(f, ": {}", text.join(" / "))
    }
}

/// Ends the whole group when dropped early.
struct Group {
    pid: Option<Pid>,
}

impl Group {
    fn kill(&mut self) {
        if let Some(pid) = self.pid.take() {
            // Gone already is as good.
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command to its end and returns what it wrote to its output.
pub(super) async fn run(
    folder: &Folder,
    command: &[String],
    environment: &[(&str, OsString)],
    within: Span,
) -> Result<String, HookError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(String::new()) };
    let program = program.clone();
    let spawned = Command::new(&program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(cause) => return Err(HookError::Start { program, cause }),
    };
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group { pid: pid.and_then(Pid::from_raw) };
    if let Some(pid) = pid {
        note(folder, pid);
    }
    let result = attend(&mut child, &mut group, &program, within).await;
    if let Err(error) = folder.remove(RECORD) {
        tracing::warn!(%error, "could not strike out the command");
    }
    result
}

async fn attend(
    child: &mut Child,
    group: &mut Group,
    program: &str,
    within: Span,
) -> Result<String, HookError> {
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let limit = Duration::from_millis(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
    let ended = {
        let reading = async { tokio::join!(drain(output, &mut said), drain(errors, &mut complained)) };
        tokio::pin!(reading);
        let waiting = async {
            let mut read = false;
            loop {
                tokio::select! {
                    status = child.wait() => {
                        if !read {
                            timeout(OUTPUT_GRACE, &mut reading).await.ok();
                        }
                        return status;
                    }
                    _ = &mut reading, if !read => read = true,
                }
            }
        };
        timeout(limit, waiting).await
    };
    let program = program.to_owned();
    let output = Tail(String::from_utf8_lossy(&complained).into_owned());
    match ended {
        Ok(Ok(status)) => {
            // What it left running on purpose is the owner's.
            group.pid = None;
            if status.success() {
                Ok(String::from_utf8_lossy(&said).into_owned())
            } else {
                Err(HookError::Status { program, status, output })
            }
        }
        Ok(Err(cause)) => Err(HookError::Lost { program, cause }),
        Err(_) => {
            group.kill();
            child.wait().await.ok();
            Err(HookError::Timeout { program, within, output })
        }
    }
}

/// Reads to the end and keeps the last bytes.
async fn drain(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut piece = vec![0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        kept.extend(piece.iter().take(length));
        let excess = kept.len().saturating_sub(OUTPUT_BYTES_MAX);
        kept.drain(..excess);
    }
}

/// A command that runs: enough to know it again, and nobody else.
#[derive(Serialize, Deserialize)]
struct Note {
    pid: i32,
    /// When it was started, in the kernel's count: process ids come around again.
    started: String,
}

/// Writes the command down. Not brought to the disk: a power failure ends it too.
fn note(folder: &Folder, pid: i32) {
    let Some(started) = started(pid) else { return };
    let written = serde_json::to_vec(&Note { pid, started })
        .map_err(std::io::Error::other)
        .and_then(|bytes| std::fs::write(folder.join(RECORD), bytes));
    if let Err(error) = written {
        tracing::warn!(%error, "could not write the command down");
    }
}

/// When a process was started; nothing when there is none, or the system has no /proc.
fn started(pid: i32) -> Option<String> {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name in brackets may hold anything; the start time is the 20th field behind it.
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(19).map(str::to_owned)
}

/// Ends a command that an agent left behind when it was killed.
pub(super) fn end_leftover(folder: &Folder) -> Result<(), ShellError> {
    let note = match folder.read_json::<Note>(RECORD) {
        Ok(Some(note)) => note,
        Ok(None) => return Ok(()),
        Err(error) => {
            tracing::warn!(%error, "the note of a running command is of no use");
            return folder.remove(RECORD);
        }
    };
    if started(note.pid).as_deref() == Some(note.started.as_str())
        && let Some(pid) = Pid::from_raw(note.pid)
    {
        tracing::warn!(pid = note.pid, "ends a command left behind by an agent that was killed");
        kill_process_group(pid, Signal::KILL).ok();
    }
    folder.remove(RECORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        ["sh", "-c", text].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn commands_are_bounded_in_time_and_output() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let within = Span::from_millis(1_500);
        let env = [("FEDPLANE_RELEASE", OsString::from("0.1.1"))];
        let clock = tokio::time::Duration::from_secs(10);
        for (script, expected) in [
            ("echo a; echo $FEDPLANE_RELEASE", Ok("a\n0.1.1\n")),
            ("pwd", Ok("")),
            ("echo why >&2; exit 3", Err("ended with exit status: 3: why")),
            ("sleep 60 & sleep 60", Err("not done within")),
            ("sleep 30 & echo started", Ok("started\n")),
            ("kill -9 $$", Err("signal: 9")),
            ("head -c 300000 /dev/zero | tr '\\0' x; echo; echo end", Ok("end\n")),
        ] {
            let result = timeout(clock, run(&folder, &words(script), &env, within)).await.unwrap();
            match (result, expected) {
                (Ok(text), Ok(end)) => {
                    assert!(text.ends_with(end), "{script}: {}", text.len());
                    assert!(text.len() <= OUTPUT_BYTES_MAX);
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{script}: {error}"),
                (found, _) => panic!("{script}: {found:?}"),
            }
            assert!(!folder.join(RECORD).exists());
        }
        let missing = run(&folder, &["/no/such/program".to_owned()], &[], within).await;
        assert!(matches!(missing, Err(HookError::Start { .. })));
    }

    #[tokio::test]
    async fn a_command_left_behind_is_ended_at_the_next_start() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let mut orphan = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let pid = i32::try_from(orphan.id().unwrap()).unwrap();
        note(&folder, pid);
        let other = Note { pid, started: "1".to_owned() };
        let good = folder.read(RECORD).unwrap().unwrap();
        folder.write_json(RECORD, &other).unwrap();
        end_leftover(&folder).unwrap();
        assert!(orphan.try_wait().unwrap().is_none(), "another process of the same number is left alone");
        folder.write(RECORD, &good).unwrap();
        end_leftover(&folder).unwrap();
        assert!(!orphan.wait().await.unwrap().success());
        assert!(!folder.join(RECORD).exists());
    }
}
