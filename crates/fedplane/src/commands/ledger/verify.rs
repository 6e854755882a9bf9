//! `ledger verify`: the whole log, from the root keys alone (LG-3).
//!
//! Never believes the plane: not its database, not its certificate, not its counts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use ledger::SignedCheckpoint;
use ledger::verify::{Breach, Report, Verifier, join};
use proof::RootKeys;
use serde::Serialize;
use store::Place;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use trust::KeySource;

use super::read::{self, Entries, Source};
use super::witnessed::{self, WitnessArgs, Witnessed};
use crate::connect::{ConnectArgs, folder_settings, public_url};
use crate::folder::{Folder, read_bytes, read_root_keys, write_whole};
use crate::secrets::SecretArgs;
use crate::table::Column;
use crate::{Failure, Output, clock};

/// Entries for which another core is worth its start.
const SHARED_FROM: u64 = 250;
/// Pages that are read ahead of the verifier.
const PAGES_AHEAD: usize = 4;
/// Where a plane listens that no settings speak of.
const PLANE_PORT: u16 = 8443;

/// Which log to verify, and by which root keys.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The root keys, got by a way you trust [default: founder.json of --federation, else of --dir].
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// Reads a running plane: the address of its public listener, as `https://plane.example:8445`.
    #[arg(long, value_name = "URL", conflicts_with = "dir")]
    pub url: Option<String>,
    /// Reads files: a federation's folder, or a copy of its data folder.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// With --url: the address for operators, where the entries are read [default: the same host,
    /// with the port of the settings in --federation, else 8443].
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    pub plane: Option<String>,
    /// With --url: the operator's or auditor's certificate (PEM).
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub cert: Option<PathBuf>,
    /// With --url: the private key of that certificate.
    #[arg(long = "operator-key", visible_alias = "key", value_name = "KEY", help_heading = "Connection")]
    pub operator_key: Option<KeySource>,
    /// What opens that key, where it is encrypted.
    #[command(flatten)]
    pub secrets: SecretArgs,
    /// The federation's folder: gives what is not said.
    #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
    pub federation: PathBuf,
    /// A checkpoint file: the log must go on from the one it holds, and the one verified now is kept in it.
    #[arg(long, value_name = "FILE")]
    pub remember: Option<PathBuf>,
    /// Who must have cosigned its checkpoint.
    #[command(flatten)]
    pub witnesses: WitnessArgs,
}

impl VerifyArgs {
    /// The log in a federation's folder, by the root keys in it.
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self {
            root: None,
            url: None,
            dir: Some(folder.clone()),
            plane: None,
            cert: None,
            operator_key: None,
            secrets: SecretArgs::default(),
            federation: folder,
            remember: None,
            witnesses: WitnessArgs::default(),
        }
    }
}

/// A log found lawful.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// Always true: what is not lawful is a failure.
    pub verified: bool,
    /// What it says.
    #[serde(flatten)]
    pub report: Report,
    /// How many entries it read and judged in a second.
    pub per_second: u64,
    /// Entries behind the checkpoint, which no checkpoint covers yet and nobody judged.
    pub uncovered: u64,
    /// Witnesses that cosigned the checkpoint, of those that were asked for.
    pub witnesses: Vec<Witnessed>,
}

/// Verifies a log.
///
/// # Errors
/// `ledger-breach` with the first entry that is not lawful; else when the log cannot be read.
pub async fn verify(args: &VerifyArgs) -> Result<Verified, Failure> {
    let folder = Folder::new(&args.federation);
    let root = read_root_keys(&root_of(args))?;
    let (checkpoint, source) = match (&args.url, &args.dir) {
        (None, Some(dir)) => read::folder(dir).await?,
        (None, None) if args.plane.is_none() => read::folder(folder.path()).await?,
        (url, _) => {
            let public = url.clone().map_or_else(|| public_url(&folder), Ok)?;
            let plane = args.plane.clone().unwrap_or_else(|| plane_of(&public, &folder));
            let connect = ConnectArgs {
                cert: args.cert.clone(),
                operator_key: args.operator_key.clone(),
                secrets: args.secrets.clone(),
                ..ConnectArgs::of(folder.path())
            };
            read::plane(&public, &plane, &connect, &root).await?
        }
    };
    let mut verifier = Verifier::new(root, None);
    if let Some(path) = args.remember.as_ref().filter(|path| path.exists()) {
        let seen = read::parse_checkpoint(&read_bytes(path, 64 * 1024)?)?;
        verifier = verifier.remembering(*seen.unverified().head());
    }
    let size = checkpoint.unverified().head().size;
    let began = clock::now();
    let report = replay(verifier, &source, &checkpoint).await?;
    let took = clock::now().since(began).as_millis().max(1).unsigned_abs();
    let uncovered = source.next(size, size + 1).await?.entries.len() as u64;
    let witnesses = args.witnesses.check(&checkpoint, &folder)?;
    if let Some(path) = &args.remember {
        write_whole(path, checkpoint.to_string().as_bytes())?;
    }
    let per_second = report.entries.saturating_mul(1_000) / took;
    Ok(Verified { verified: true, report, per_second, uncovered, witnesses })
}

/// Verifies the log in a store by the checkpoint that its federation published; none where it published none yet.
///
/// # Errors
/// As [`verify`].
pub(crate) async fn verify_store(
    root: RootKeys,
    ledger: &Path,
    place: Place,
) -> Result<Option<Report>, Failure> {
    if !ledger.join(plane::publication::CHECKPOINT).exists() {
        return Ok(None);
    }
    let (checkpoint, source) = read::store(place, ledger).await?;
    replay(Verifier::new(root, None), &source, &checkpoint).await.map(Some)
}

/// The file of the root keys: those held before ahead of those that lie beside the log.
fn root_of(args: &VerifyArgs) -> PathBuf {
    let held = Folder::new(&args.federation).founder();
    match (&args.root, &args.dir) {
        (Some(root), _) => root.clone(),
        (None, Some(dir)) if !held.exists() => Folder::new(dir).founder(),
        _ => held,
    }
}

/// Replays the log on every core at once, each checking its share of the signatures.
async fn replay(
    verifier: Verifier,
    source: &Source,
    checkpoint: &SignedCheckpoint,
) -> Result<Report, Failure> {
    let size = checkpoint.unverified().head().size;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let shares = verifier.shared(cores.min(size.div_ceil(SHARED_FROM)));
    let wrong = Arc::new(AtomicBool::new(false));
    let mut channels = Vec::new();
    let mut workers = Vec::new();
    for mut share in shares {
        let (pages, mut given) = mpsc::channel::<Arc<Entries>>(PAGES_AHEAD);
        let (wrong, checkpoint) = (Arc::clone(&wrong), checkpoint.clone());
        channels.push(pages);
        workers.push(spawn_blocking(move || {
            while let Some(page) = given.blocking_recv() {
                for entry in &page.entries {
                    if share.push_opened(entry, |committed| page.opening(committed)).is_err() {
                        wrong.store(true, Ordering::Relaxed);
                        break;
                    }
                }
            }
            share.finish(&checkpoint)
        }));
    }
    let mut from = 0;
    while from < size && !wrong.load(Ordering::Relaxed) {
        let page = Arc::new(source.next(from, size).await?);
        if page.entries.is_empty() {
            // Too few: the verifier says so, with both numbers.
            break;
        }
        from = from.saturating_add(page.entries.len() as u64);
        for pages in &channels {
            // One that is gone panicked, and is missed when they are joined.
            let _ = pages.send(Arc::clone(&page)).await;
        }
    }
    drop(channels);
    let mut found = Vec::new();
    for worker in workers {
        found.push(worker.await.map_err(|error| {
            Failure::new(
                "verifier",
                "LG-3",
                error.to_string(),
                "verify again; if it fails again, tell the makers of fedplane",
            )
        })?);
    }
    join(found).map_err(|breach| self::found(&breach))
}

/// Where the plane is, when only its public address is said: at that host, with the port that the settings say.
fn plane_of(public: &str, folder: &Folder) -> String {
    let settings = folder_settings(folder).ok();
    plane_beside(public, settings.as_ref().map(|settings| settings.listen.instances.port()))
}

fn plane_beside(public: &str, port: Option<u16>) -> String {
    let base = public.trim_end_matches('/');
    let (host, last) = base.rsplit_once(':').unwrap_or((base, ""));
    let has_port = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    format!("{}:{}", if has_port { host } else { base }, port.unwrap_or(PLANE_PORT))
}

fn found(breach: &Breach) -> Failure {
    let hint = "the ledger is not lawful from here on: keep a copy as evidence, and tell the Founder";
    Failure::new("ledger-breach", &breach.rule, breach.to_string(), hint)
}

/// How many values the log commits to, and how many of them could be opened.
fn commitments(report: &Report) -> String {
    let Report { committed, opened, .. } = *report;
    match committed - opened {
        0 => format!("{committed}, all disclosed and as committed to"),
        closed => {
            format!("{committed}, of which {closed} could not be opened: they were not disclosed to you")
        }
    }
}

/// The report for people.
pub(super) fn report(verified: &Verified, out: &Output) -> String {
    let report = &verified.report;
    let none = || "-".to_owned();
    let pairs = Output::pairs(&[
        ("federation", report.trust_domain.as_ref().map_or_else(none, ToString::to_string)),
        ("entries", format!("{}, {} a second", report.entries, verified.per_second)),
        ("root", report.root.to_string()),
        ("last decided", report.latest.to_string()),
        ("keys document", format!("serial {}", report.keys_serial)),
        ("constitution", report.constitution.map_or_else(none, |digest| digest.to_string())),
        ("instances", report.instances.to_string()),
        ("commitments", commitments(report)),
        ("witnesses", witnessed::shown(&verified.witnesses)),
    ]);
    let states = report.states.iter().map(|(state, number)| vec![state.to_string(), number.to_string()]);
    let row = |rollout: &ledger::verify::RolloutReport| {
        vec![
            rollout.release.to_string(),
            rollout.status.to_owned(),
            rollout.offered.to_string(),
            rollout.installed.to_string(),
            rollout.failed.to_string(),
            rollout.rolled_back.to_string(),
        ]
    };
    let header = [
        Column::new("release"),
        Column::new("phase"),
        Column::number("offered"),
        Column::number("installed"),
        Column::number("failed"),
        Column::number("rolled back"),
    ];
    let uncovered = match verified.uncovered {
        0 => "",
        _ => "Newer entries follow, which no checkpoint covers yet.",
    };
    Output::parts(&[
        "Verified: every decision in the ledger is lawful and by the right authority.".to_owned(),
        pairs,
        out.table(&[Column::new("state"), Column::number("instances")], states),
        out.table(&header, report.rollouts.iter().map(row)),
        uncovered.to_owned(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plane_is_beside_its_public_listener() {
        for (public, port, expected) in [
            ("https://plane.example:8445", None, "https://plane.example:8443"),
            ("https://plane.example/", None, "https://plane.example:8443"),
            ("https://127.0.0.1:9445", Some(9443), "https://127.0.0.1:9443"),
            ("https://[::1]:8445/", Some(8443), "https://[::1]:8443"),
            ("https://[::1]", None, "https://[::1]:8443"),
        ] {
            assert_eq!(plane_beside(public, port), expected);
        }
    }
}
