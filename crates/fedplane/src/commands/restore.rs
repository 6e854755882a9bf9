//! `restore`: a federation's folder made of a backup.
//!
//! Never says that it is restored before every digest is right and the ledger is verified by the root keys; never touches a
//! folder that holds anything.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use server::Settings;
use server::settings::{Keys, Paths};
use store::Place;
use trust::KeySource;
use trust::keyfile::{PRIVATE_MODE, PUBLIC_MODE};

use super::backup::manifest::{Kept, Manifest, copy};
use super::init::{Making, must_be_free};
use super::ledger::{VerifyArgs, no_store, verify};
use crate::connect::folder_settings;
use crate::folder::{Folder, read_bytes, write_whole};
use crate::{Failure, Output};

/// The longest checkpoint, in bytes: with every witness's signature.
const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024;

/// Makes a federation's folder of a backup, once every digest is right and its ledger is verified.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The folder that `backup` made.
    dir: PathBuf,
    /// The folder to make; it must not exist, or be empty.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// The root keys that the ledger began with, got by a way you trust [default: those in the backup].
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

/// What was restored.
#[derive(Debug, Serialize)]
struct Restored {
    into: PathBuf,
    trust_domain: String,
    files: usize,
    /// Entries under the checkpoint, which are verified; none where none was published.
    verified: Option<u64>,
    /// Whether by root keys that were given, and not by those in the backup.
    by_given_root: bool,
    /// Entries behind it.
    uncovered: u64,
    /// Private keys that must be brought before a server starts.
    missing_keys: Vec<PathBuf>,
}

/// `fedplane restore`.
///
/// # Errors
/// When a file is not as the backup says, or the ledger is not lawful. Nothing is left then.
pub async fn run(args: &RestoreArgs, out: &Output) -> Result<(), Failure> {
    let restored = restore(args).await?;
    out.show(&restored, || shown(&restored))
}

async fn restore(args: &RestoreArgs) -> Result<Restored, Failure> {
    let manifest = Manifest::read(&args.dir)?;
    must_be_free(&args.into)?;
    let making = Making::begin(&args.into)?;
    let folder = making.folder.clone();
    for kept in &manifest.files {
        put(&args.dir, folder.path(), kept)?;
    }
    let settings = settings(&folder)?;
    let database = settings.path(&settings.paths.database);
    let entries = match database.exists() {
        true => whole(&database).await?,
        false => 0,
    };
    let checkpoint = settings.path(&settings.paths.ledger).join(plane::publication::CHECKPOINT);
    let published = checkpoint.exists();
    check_published(args, &manifest, published.then_some(&checkpoint))?;
    let (verified, uncovered) = match published {
        true => {
            let root = args.root.clone().map_or_else(|| first_root(&folder), Ok)?;
            let verified = verify(&VerifyArgs { root: Some(root), ..VerifyArgs::of(folder.path()) }).await?;
            (Some(verified.report.entries), verified.uncovered)
        }
        false => (None, entries),
    };
    let missing_keys = missing(&settings, &folder, &args.into);
    making.finish(&args.into)?;
    let (into, files) = (args.into.clone(), manifest.files.len());
    let by_given_root = args.root.is_some();
    let trust_domain = manifest.trust_domain;
    Ok(Restored { into, trust_domain, files, verified, by_given_root, uncovered, missing_keys })
}

/// That the ledger's checkpoint is the one of which the manifest tells, and that there is one where it is to be verified: a
/// ledger without one cannot be.
fn check_published(
    args: &RestoreArgs,
    manifest: &Manifest,
    checkpoint: Option<&PathBuf>,
) -> Result<(), Failure> {
    let read = |path: &PathBuf| read_bytes(path, CHECKPOINT_BYTES_MAX);
    let found = checkpoint.map(read).transpose()?;
    let damaged = |why: &str| {
        let hint = "take another backup, or another copy of this one";
        Err(Failure::new("backup-damaged", "LG-1", format!("{}: {why}", args.dir.display()), hint))
    };
    if found.as_deref() != manifest.checkpoint.as_ref().map(String::as_bytes) {
        return damaged("its checkpoint is not the one that its manifest tells of");
    }
    if found.is_none() && args.root.is_some() {
        return damaged("it has no checkpoint, so that no root keys can verify its ledger");
    }
    Ok(())
}

/// Puts one file in its place, if it is what it was.
fn put(backup: &Path, folder: &Path, kept: &Kept) -> Result<(), Failure> {
    let (from, to) = (backup.join(&kept.path), folder.join(&kept.path));
    let damaged = |why: &str| {
        let hint = "take another backup, or another copy of this one";
        Failure::new("backup-damaged", "LG-1", format!("{}: {why}", from.display()), hint)
    };
    let is_file = fs::symlink_metadata(&from).map(|found| found.is_file());
    if !is_file.map_err(|error| damaged(&error.to_string()))? {
        return Err(damaged("it is no file"));
    }
    // Nor is it reached by a link that leads out of the backup.
    let there = |path: &Path| path.canonicalize().map_err(|error| damaged(&error.to_string()));
    if !there(&from)?.starts_with(there(backup)?) {
        return Err(damaged("it lies outside of the backup"));
    }
    let is = |kind| Path::new(&kept.path).extension().is_some_and(|found| found == kind);
    // Of what lies among keys, certificates alone are everybody's.
    let private = is("key") || is("db") || (Path::new(&kept.path).starts_with("keys") && !is("pem"));
    let mode = if private { PRIVATE_MODE } else { PUBLIC_MODE };
    let (bytes, sha256) = copy(&from, &to, mode).map_err(|error| Failure::file(&to, "write it", &error))?;
    if (bytes, &sha256) != (kept.bytes, &kept.sha256) {
        return Err(damaged(&format!(
            "{bytes} bytes with SHA-256 {sha256}, and the backup was made of {} with {}",
            kept.bytes, kept.sha256
        )));
    }
    Ok(())
}

/// The settings, with every file at its usual place, where a backup has it.
fn settings(folder: &Folder) -> Result<Settings, Failure> {
    let settings = folder_settings(folder)?;
    if settings.paths == Paths::default() {
        return Ok(settings);
    }
    let settings = Settings { paths: Paths::default(), ..settings };
    write_whole(&folder.settings(), settings.to_toml().as_bytes())?;
    Ok(settings)
}

/// That the database is whole; how many entries it has.
async fn whole(database: &Path) -> Result<u64, Failure> {
    let health = Place::File(database.to_path_buf()).health().await.map_err(|error| no_store(&error))?;
    match health.problems.first() {
        None => Ok(health.entries),
        Some(problem) => {
            let hint = "take another backup";
            Err(Failure::new("backup-damaged", "LG-1", format!("the database: {problem}"), hint))
        }
    }
}

/// The root keys that the ledger began with: those that `keys adopt` kept first, else those of now.
fn first_root(folder: &Folder) -> Result<PathBuf, Failure> {
    let path = folder.path();
    let entries = fs::read_dir(path).map_err(|error| Failure::file(path, "read it", &error))?;
    let number = |name: &str| name.strip_prefix("founder.")?.strip_suffix(".json")?.parse::<u64>().ok();
    let kept =
        entries.flatten().filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path())));
    Ok(kept.min().map_or_else(|| folder.founder(), |(_, path)| path))
}

/// Files of online keys that are not there, as they will be named.
fn missing(settings: &Settings, folder: &Folder, into: &Path) -> Vec<PathBuf> {
    let files = Keys::NAMES.iter().filter_map(|name| match settings.key(name) {
        KeySource::File(path) if !path.exists() => Some(path),
        _ => None,
    });
    files.map(|path| path.strip_prefix(folder.path()).map(|path| into.join(path)).unwrap_or(path)).collect()
}

fn shown(restored: &Restored) -> String {
    let Restored { into, trust_domain, files, verified, by_given_root, uncovered, missing_keys } = restored;
    let ledger = match verified {
        Some(entries) => {
            let root = if *by_given_root { "given" } else { "in the backup" };
            format!(
                "{entries} entries, verified by the root keys {root}; {uncovered} more behind the checkpoint"
            )
        }
        None => format!("nothing was published of it: {uncovered} entries, none of them verified"),
    };
    let pairs = Output::pairs(&[
        ("restored", into.display().to_string()),
        ("federation", trust_domain.clone()),
        ("files", format!("{files}, each as it was")),
        ("ledger", ledger),
    ]);
    let serve = format!("`fedplane serve --config {}`", Folder::new(into).settings().display());
    let next = if missing_keys.is_empty() {
        format!("Next, where no other server serves this federation: {serve}")
    } else {
        let keys: String = missing_keys.iter().map(|path| format!("  {}\n", path.display())).collect();
        format!(
            "Bring the private keys, each of mode 0600:\n{keys}\nThen, where no other server serves this federation: {serve}"
        )
    };
    Output::parts(&[pairs, next])
}
