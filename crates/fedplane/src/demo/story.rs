//! The teller of the story: plays its steps in order, waits on facts with a deadline, and keeps what was found.
//!
//! Never sleeps and hopes: each step ends when the plane or the ledger shows what was claimed, or it failed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use governance::Label;
use tokio::time::{sleep, timeout};

use super::Programs;
use super::fleet::Fleet;
use super::plane::{self, Plane};
use super::process::Process;
use super::shell::Shell;
use super::show::Show;
use super::steps::claims;
use super::summary::{Claim, Found, Summary};
use super::watch::Watch;
use crate::folder::Folder;
use crate::table::Column;
use crate::{Failure, Output, clock};

/// Between two looks at the plane and the ledger.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a look showed.
pub(super) enum Seen<T> {
    /// What was waited for.
    Ready(T),
    /// Not yet; this is how it stands.
    Waiting(String),
}

/// The story and everything it has set up so far.
pub(super) struct Story {
    /// The programs it starts.
    pub(super) programs: Programs,
    /// The folder of it all.
    pub(super) place: PathBuf,
    /// The federation's folder.
    pub(super) folder: Folder,
    /// How many instances.
    pub(super) count: usize,
    /// Whether the plane is killed in between.
    pub(super) crash: bool,
    /// The screen.
    pub(super) show: Show,
    /// Where commands are typed.
    pub(super) shell: Shell,
    /// The plane, once it runs.
    pub(super) plane: Option<Plane>,
    /// The fleet, once it is laid out.
    pub(super) fleet: Option<Fleet>,
    /// The ledger's reader, once there is a plane.
    pub(super) watch: Option<Watch>,
    /// The agent of a revoked instance, which may end or go on as it likes.
    pub(super) excused: Option<Process>,
    /// The instance whose owner installs no updates.
    pub(super) stubborn: Option<Label>,
    /// The figures.
    pub(super) summary: Summary,
    claims: Vec<Claim>,
}

impl Story {
    pub(super) fn new(programs: Programs, place: &Path, count: usize, crash: bool) -> Self {
        let show = Show::new(clock::now());
        let shell = Shell::new(programs.fedplane.clone(), place, show.clone());
        Self {
            programs,
            place: place.to_path_buf(),
            folder: Folder::new(place.join("federation")),
            count,
            crash,
            show,
            shell,
            plane: None,
            fleet: None,
            watch: None,
            excused: None,
            stubborn: None,
            summary: Summary::default(),
            claims: Vec::new(),
        }
    }

    /// Plays the story to its end, or to the first step that does not happen.
    ///
    /// # Errors
    /// Which step, and why.
    pub(super) async fn play(&mut self) -> Result<(), Failure> {
        let intro = format!(
            "A federation on this machine: a plane and {} instances, each a process of its own, with real keys, TLS, \
             signatures and files. Only the law's windows are short: seconds instead of days. Each line below is an \
             entry of the ledger: when, by which rule, who decided, about whom, what.",
            self.count
        );
        self.show.text(&intro, 0);
        let told = self.steps().await;
        self.figures().await;
        told
    }

    /// One step: a headline, what happens, and what was found.
    pub(super) async fn step(
        &mut self,
        act: impl AsyncFnOnce(&mut Self) -> anyhow::Result<String>,
    ) -> Result<(), Failure> {
        let (number, claims) = (self.claims.len(), claims(self.crash));
        let claimed = claims.get(number).copied().unwrap_or("one step more than was announced");
        self.show.headline(number + 1, claims.len(), claimed);
        let acted = act(self).await;
        // What the step led to is shown before its end.
        let looked = self.look().await;
        match acted.and_then(|found| looked.map(|()| found)) {
            Ok(found) => {
                self.show.found(true, &found);
                self.claims.push(Claim { claimed, found: Found::Happened(found) });
                Ok(())
            }
            Err(error) => {
                let why = format!("{error:#}");
                self.show.found(false, &why);
                self.claims.push(Claim { claimed, found: Found::Failed(why.clone()) });
                let detail = format!("step {} did not happen ({claimed}): {why}", number + 1);
                let hint = "run it again with --keep and look at what it left running";
                Err(Failure::new("demo-step-failed", "CLI", detail, hint))
            }
        }
    }

    /// Waits until `look` is ready; fails when a process ends, or the time is over.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut look: impl AsyncFnMut(&Plane, &Watch) -> anyhow::Result<Seen<T>>,
    ) -> anyhow::Result<T> {
        let mut last = String::new();
        let waiting = async {
            loop {
                self.look().await?;
                let (plane, watch) = (self.plane()?, self.watch()?);
                match look(plane, watch).await? {
                    Seen::Ready(value) => return Ok(value),
                    Seen::Waiting(text) => last = text,
                }
                sleep(LOOK_EVERY).await;
            }
        };
        match timeout(within, waiting).await {
            Ok(result) => result,
            Err(_) => anyhow::bail!("{what}: not within {} s; {last}", within.as_secs()),
        }
    }

    /// Sees that every process is alive, and shows what the ledger says that is new.
    async fn look(&mut self) -> anyhow::Result<()> {
        if let Some(plane) = &mut self.plane {
            plane.check()?;
        }
        if let Some(fleet) = &mut self.fleet {
            fleet.check()?;
        }
        if let Some(watch) = &mut self.watch {
            watch.look().await?;
        }
        Ok(())
    }

    /// The plane, which a step needs.
    pub(super) fn plane(&self) -> anyhow::Result<&Plane> {
        self.plane.as_ref().context("the plane does not run yet")
    }

    /// The ledger's reader, which a step needs.
    pub(super) fn watch(&self) -> anyhow::Result<&Watch> {
        self.watch.as_ref().context("nobody reads the ledger yet")
    }

    /// The fleet, which a step needs.
    pub(super) fn fleet(&mut self) -> anyhow::Result<&mut Fleet> {
        self.fleet.as_mut().context("there is no fleet yet")
    }

    /// The last figures, as far as the plane can still be asked.
    async fn figures(&mut self) {
        let Some(plane) = &self.plane else { return };
        if let Ok(overview) = plane.client.federation().await {
            self.summary.instances =
                overview.states.values().map(|count| usize::try_from(*count).unwrap_or(0)).sum();
            self.summary.states = overview.states.into_iter().filter(|(_, count)| *count > 0).collect();
            if !self.summary.ledger.verified {
                self.summary.ledger.entries = overview.ledger;
            }
        }
        if let Ok(page) = plane.client.rollouts().await {
            self.summary.rollouts = page.items.iter().map(Into::into).collect();
        }
    }

    /// How long it took so far, in tenths of a second.
    pub(super) fn clock_off(&mut self) {
        self.show.end();
        self.summary.seconds = (self.show.seconds(clock::now()) * 10.0).round() / 10.0;
    }

    /// The table of what was claimed and what was found.
    pub(super) fn table(&self, out: &Output) -> String {
        let reached = self.claims.iter().cloned();
        let rest = claims(self.crash).into_iter().skip(self.claims.len());
        let rest = rest.map(|claimed| Claim { claimed, found: Found::NotReached });
        let rows = reached.chain(rest).enumerate().map(|(index, claim)| claim.row(index + 1));
        let table = out.table(
            &[Column::new(""), Column::number(""), Column::text("claimed"), Column::text("found")],
            rows,
        );
        let rollouts = self.summary.rollouts.iter().map(|rollout| {
            let numbers = [rollout.offered, rollout.installed, rollout.failed, rollout.rolled_back];
            let mut row = vec![rollout.release.to_string(), rollout.phase.clone()];
            row.extend(numbers.iter().map(ToString::to_string));
            row
        });
        let header = [
            Column::new("release"),
            Column::new("phase"),
            Column::number("offered"),
            Column::number("installed"),
            Column::number("failed"),
            Column::number("rolled back"),
        ];
        let rollouts = out.table(&header, rollouts);
        let states = self.summary.states.iter().map(|(state, count)| format!("{count} {state}"));
        let states = states.collect::<Vec<_>>().join(", ");
        let verified =
            if self.summary.ledger.verified { "verified from the root keys alone" } else { "not verified" };
        format!(
            "\n{table}\n\n{rollouts}\n\ninstances  {states}\nledger     {} entries, {verified}\ntime       {:.1} s\n",
            self.summary.ledger.entries, self.summary.seconds
        )
    }

    /// Ends every process that was started.
    pub(super) async fn end(&mut self) {
        if let Some(fleet) = &mut self.fleet {
            fleet.end().await;
        }
        if let Some(mut process) = self.excused.take() {
            process.stop().await;
        }
        if let Some(mut plane) = self.plane.take() {
            plane.end().await;
        }
    }

    /// Leaves every process running and says how to look at it and how to stop it; nothing where nothing runs.
    pub(super) fn leave(&mut self) -> Option<String> {
        let plane = self.plane.take()?;
        let mut ids: Vec<i32> = plane.id().into_iter().collect();
        ids.extend(self.excused.as_ref().and_then(Process::id));
        let mut logs = Vec::new();
        if let Some(fleet) = &mut self.fleet {
            ids.extend(fleet.ids());
            logs = fleet.members.iter().map(super::fleet::Member::log).take(1).collect();
            fleet.release();
        }
        if let Some(process) = self.excused.take() {
            process.release();
        }
        plane.release();
        let stop = self.place.join("stop");
        let script = stop_script(&self.place, &ids);
        let written = fs::write(&stop, script)
            .and_then(|()| fs::set_permissions(&stop, fs::Permissions::from_mode(0o755)));
        let stopping = match written {
            Ok(()) => stop.display().to_string(),
            Err(_) => format!("kill {}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
        };
        let program = self.programs.fedplane.display();
        let federation = self.folder.path().display();
        let logs = logs.first().map(|log| format!("\n  less {}", log.display())).unwrap_or_default();
        Some(format!(
            "\nEverything is left running in {place}. Look at it:\n\
             \n  export FEDPLANE_DIR={federation}\
             \n  {program} instance list\
             \n  {program} rollout list\
             \n  {program} escalation list\
             \n  {program} ledger verify\
             \n  {program} dashboard link\
             \n  less {plane_log}{logs}\n\
             \nStop it, and remove the folder:\n\n  {stopping}\n",
            place = self.place.display(),
            plane_log = plane::log(&self.place).display(),
        ))
    }
}

/// A script that ends exactly these processes, as long as they are still ours, and removes the folder.
fn stop_script(place: &Path, ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!(
        r#"#!/bin/sh
# Ends what `fedplane demo --keep` left running here, and removes this folder.
place='{place}'
for id in {ids}; do
  # Numbers come around again: only a process that was started with a file of this folder is ours.
  if ps -o args= -p "$id" 2>/dev/null | grep -qF "$place"; then
    kill "$id"
  elif [ -r "/proc/$id/cmdline" ] && tr '\0' ' ' <"/proc/$id/cmdline" | grep -qF "$place"; then
    kill "$id"
  fi
done
sleep 2
rm -rf "$place"
echo "stopped, and removed $place"
"#,
        place = place.display(),
        ids = ids.join(" "),
    )
}
