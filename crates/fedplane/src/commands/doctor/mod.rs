//! `doctor`: looks at all that a server stands on, and says what is wrong and the command that mends it.
//!
//! Never writes anything and never mends by itself; works while the server runs and while it does not.

mod keys;
mod machine;
mod records;

use std::path::{Path, PathBuf};

use clap::Args;
use governance::Timestamp;
use serde::Serialize;
use server::Settings;

use crate::output::Ink;
use crate::table::Column;
use crate::{Failure, Output, clock};

/// Looks at clock, settings, keys, expiry, disk, database, ledger and listeners; says what is wrong and what mends it.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// The settings file of the server to look at.
    #[arg(
        long,
        env = "FEDPLANE_CONFIG",
        hide_env_values = true,
        value_name = "FILE",
        default_value = "fedplane.toml"
    )]
    config: PathBuf,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and should be seen to.
    Warning,
    /// It does not work, or will not when the server starts next.
    Error,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    const fn ink(self) -> Ink {
        match self {
            Self::Ok => Ink::Green,
            Self::Warning => Ink::Yellow,
            Self::Error => Ink::Red,
        }
    }
}

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at: `clock`, `settings`, `keys`, `expiry`, `disk`, `database`, `ledger`, `listeners`.
    pub about: &'static str,
    /// What was found.
    pub found: String,
    /// What mends it; empty where nothing is to be mended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mend: String,
}

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Examined {
    /// Whether nothing is an error.
    pub healthy: bool,
    /// At which instant, by this machine's clock.
    pub at: Timestamp,
    /// What was found, in the order in which it was looked at.
    pub findings: Vec<Finding>,
}

/// What is found, as it is found.
struct Findings {
    about: &'static str,
    all: Vec<Finding>,
}

impl Findings {
    fn about(&mut self, about: &'static str) {
        self.about = about;
    }
    fn ok(&mut self, found: impl Into<String>) {
        self.add(Level::Ok, found, "");
    }
    fn warning(&mut self, found: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Warning, found, mend);
    }
    fn error(&mut self, found: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Error, found, mend);
    }
    fn add(&mut self, level: Level, found: impl Into<String>, mend: impl Into<String>) {
        self.all.push(Finding { level, about: self.about, found: found.into(), mend: mend.into() });
    }
}

/// `fedplane doctor`.
///
/// # Errors
/// When something is an error: what was found is shown first.
pub async fn run(args: &DoctorArgs, out: &Output) -> Result<(), Failure> {
    let examined = examine(&args.config, clock::now()).await;
    out.show_inked(&examined, || shown(&examined, out), ink)?;
    if examined.healthy {
        return Ok(());
    }
    let errors = count(&examined.findings, Level::Error);
    let detail = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
    Err(Failure::new("unhealthy", "CLI", detail, "mend what is named, and run `fedplane doctor` again"))
}

/// Looks at the server of this settings file, at this instant.
pub async fn examine(config: &Path, now: Timestamp) -> Examined {
    let mut findings = Findings { about: "settings", all: Vec::new() };
    let settings = match Settings::load(config) {
        Ok(settings) => Some(settings),
        Err(error) => {
            let mend = if config.exists() {
                "mend that line; the comments in the file say what each key means"
            } else {
                "name the settings: `fedplane doctor --config DIR/fedplane.toml`; `fedplane init DIR` makes a federation"
            };
            findings.error(error.to_string(), mend);
            None
        }
    };
    if let Some(settings) = settings {
        findings.ok(format!("{} reads, and its values are sound", config.display()));
        let runs = machine::listeners(&settings, config, &mut findings).await;
        let keys = keys::examine(&settings, (now, runs), &mut findings);
        machine::disk(&settings, &mut findings);
        records::examine(&settings, config, (now, runs), keys.as_ref(), &mut findings).await;
    }
    let healthy = count(&findings.all, Level::Error) == 0;
    Examined { healthy, at: now, findings: findings.all }
}

fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|finding| finding.level == level).count()
}

fn shown(examined: &Examined, out: &Output) -> String {
    let header = [Column::new("state"), Column::new("about"), Column::text("found"), Column::text("mend")];
    // On a terminal what mends it stands below: both are sentences, and would share the room for one.
    if out.is_terminal() {
        let line = |finding: &Finding| {
            let Finding { level, about, found, mend } = finding;
            let first = format!("{:<8} {about:<10} {found}", level.as_str());
            let second = (!mend.is_empty()).then(|| format!("{:20}mend: {mend}", ""));
            let columns = out.columns().unwrap_or(usize::MAX);
            let fold = |line: String| crate::table::folded(&line, columns, 20).join("\n");
            std::iter::once(first).chain(second).map(fold).collect::<Vec<_>>().join("\n")
        };
        let lines = examined.findings.iter().map(line).collect::<Vec<_>>().join("\n");
        return Output::parts(&[lines, verdict(examined)]);
    }
    let row = |finding: &Finding| {
        let Finding { level, about, found, mend } = finding;
        let mend = if mend.is_empty() { "-" } else { mend };
        vec![level.as_str().to_owned(), (*about).to_owned(), found.clone(), mend.to_owned()]
    };
    Output::parts(&[out.table(&header, examined.findings.iter().map(row)), verdict(examined)])
}

fn verdict(examined: &Examined) -> String {
    let [errors, warnings] = [Level::Error, Level::Warning].map(|level| count(&examined.findings, level));
    match (errors, warnings) {
        (0, 0) => "All is well.".to_owned(),
        (0, warnings) => format!("It works; to be seen to: {warnings}."),
        (errors, warnings) => format!("To be mended: {errors}; to be seen to: {warnings}."),
    }
}

/// The first word of a line, where it is a level.
fn ink(line: &str) -> Option<(std::ops::Range<usize>, Ink)> {
    let level = [Level::Ok, Level::Warning, Level::Error];
    let level = level.into_iter().find(|level| line.split(' ').next() == Some(level.as_str()))?;
    Some((0..level.as_str().len(), level.ink()))
}

#[cfg(test)]
pub(super) mod tests;
