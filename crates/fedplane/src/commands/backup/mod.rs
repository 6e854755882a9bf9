//! `backup`: all that a federation is made of, copied while its server runs.
//!
//! Never takes private keys along unless it is told to, and never leaves half a backup: it takes its name at the end.

pub(super) mod manifest;

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use governance::Timestamp;
use serde::Serialize;
use server::Settings;
use server::settings::Paths;
use store::Place;

use self::manifest::{FORMAT, Kept, MANIFEST, Manifest, below, copy, measure, write};
use super::init::{Making, must_be_free};
use super::ledger::no_store;
use crate::connect::folder_settings;
use crate::folder::{Folder, read_bytes, read_keys_document, read_root_keys};
use crate::{Failure, Output, clock};

/// Access rights of what is in a backup: its owner's alone.
const MODE: u32 = 0o600;
/// The file that TUF's clients begin with: what it leads to is there before it.
const TIMESTAMP: &str = "metadata/timestamp.json";
/// Uploads on their way, in the TUF repository.
const INCOMING: &str = "incoming";

/// Copies a federation's folder to DIR, while its server runs; without its private keys unless told.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// The folder to make; it must not exist, or be empty.
    dir: PathBuf,
    /// The federation's folder.
    #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
    federation: PathBuf,
    /// Takes the online keys and the operators' along: whoever has the backup is the Federation then.
    #[arg(long)]
    with_keys: bool,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    dir: PathBuf,
    made: Timestamp,
    trust_domain: String,
    files: usize,
    bytes: u64,
    /// Entries in the ledger's copy.
    entries: u64,
    with_keys: bool,
}

/// `fedplane backup`.
///
/// # Errors
/// When something cannot be read or written, or the copy of the database is not whole. Nothing is left then.
pub async fn run(args: &BackupArgs, out: &Output) -> Result<(), Failure> {
    let made = make(args, clock::now()).await?;
    out.show(&made, || {
        let keys = if made.with_keys {
            "in it: keep it as you keep them, encrypted"
        } else {
            "not in it: back up keys/federation by itself, encrypted"
        };
        let pairs = Output::pairs(&[
            ("backup", made.dir.display().to_string()),
            ("federation", made.trust_domain.clone()),
            ("files", format!("{}, {} bytes", made.files, made.bytes)),
            ("ledger entries", made.entries.to_string()),
            ("private keys", keys.to_owned()),
        ]);
        format!("{pairs}\n\nTry it: `fedplane restore {} --into DIR`", made.dir.display())
    })
}

async fn make(args: &BackupArgs, now: Timestamp) -> Result<Made, Failure> {
    let folder = Folder::new(&args.federation);
    let settings = folder_settings(&folder)?;
    if !settings.store.url.is_empty() {
        let hint = "copy that database by its own means, as `pg_dump`, and the folder beside it";
        return Err(Failure::new("store", "LG-1", "the records are on a database server, in no file", hint));
    }
    must_be_free(&args.dir)?;
    let paths = &settings.paths;
    let root = read_root_keys(&settings.path(&paths.founder))?;
    let keys = read_keys_document(&settings.path(&paths.keys), &root)?;
    let making = Making::begin(&args.dir)?;
    let mut copying = Copying { to: making.folder.path().to_path_buf(), files: Vec::new() };
    let checkpoint = copying.files_of(&folder, &settings, args.with_keys)?;
    // The last: whatever the other files speak of was committed by then.
    let entries = copying.database(&settings).await?;
    let Copying { to, files } = copying;
    let bytes = files.iter().map(|kept| kept.bytes).sum();
    let (count, trust_domain) = (files.len(), keys.trust_domain.to_string());
    let manifest = Manifest {
        format: FORMAT,
        made: now,
        trust_domain: trust_domain.clone(),
        with_keys: args.with_keys,
        checkpoint,
        files,
    };
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| Failure::new("output", "CLI", error.to_string(), ""))?;
    let path = to.join(MANIFEST);
    write(&path, &text, MODE).map_err(|error| Failure::file(&path, "write it", &error))?;
    making.finish(&args.dir)?;
    let (dir, with_keys) = (args.dir.clone(), args.with_keys);
    Ok(Made { dir, made: now, trust_domain, files: count, bytes, entries, with_keys })
}

/// A backup in the making.
struct Copying {
    to: PathBuf,
    files: Vec<Kept>,
}

impl Copying {
    /// Everything but the database; answers the checkpoint. Each file has its usual name, wherever the settings have it.
    fn files_of(
        &mut self,
        folder: &Folder,
        settings: &Settings,
        with_keys: bool,
    ) -> Result<Option<String>, Failure> {
        let (paths, usual) = (&settings.paths, Paths::default());
        // Before the tiles: those that it needs are there by then.
        let ledger = settings.path(&paths.ledger);
        let name = plane::publication::CHECKPOINT;
        let checkpoint = self.small(&ledger.join(name), &usual.ledger.join(name))?;
        self.all(&ledger, &usual.ledger, |path| path != Path::new(name))?;
        let tuf = settings.path(&paths.tuf);
        self.small(&tuf.join(TIMESTAMP), &usual.tuf.join(TIMESTAMP))?;
        self.all(&tuf, &usual.tuf, |path| path != Path::new(TIMESTAMP) && !path.starts_with(INCOMING))?;
        for (from, to) in [
            (folder.settings(), Folder::new("").settings()),
            (settings.path(&paths.founder), usual.founder.clone()),
            (settings.path(&paths.keys), usual.keys.clone()),
            (settings.path(&paths.constitution), usual.constitution.clone()),
            (folder.constitution(), Folder::new("").constitution()),
        ] {
            self.one(&from, &to)?;
        }
        // What `keys adopt` kept of before: a ledger is verified from the root keys that it began with.
        let file = |error: io::Error| Failure::file(folder.path(), "read it", &error);
        for entry in std::fs::read_dir(folder.path()).map_err(file)? {
            let name = entry.map_err(file)?.file_name();
            if is_of_before(&name.to_string_lossy()) {
                self.one(&folder.path().join(&name), Path::new(&name))?;
            }
        }
        for (from, to) in [
            (settings.path(&paths.federation), usual.federation.clone()),
            (folder.operators(), Folder::new("").operators()),
        ] {
            self.all(&from, &to, |path| with_keys || is_certificate(&from.join(path)))?;
        }
        if with_keys {
            self.all(&settings.path(&paths.dashboard), &usual.dashboard, |_| true)?;
        }
        Ok(checkpoint.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A file that others may take the place of at any moment: as it is at one of them.
    fn small(&mut self, from: &Path, to: &Path) -> Result<Option<Vec<u8>>, Failure> {
        if !from.exists() {
            return Ok(None);
        }
        let bytes = read_bytes(from, crate::folder::TEXT_BYTES_MAX)?;
        let target = self.to.join(to);
        let written =
            write(&target, &bytes, MODE).map_err(|error| Failure::file(&target, "write it", &error))?;
        self.keep(to, written);
        Ok(Some(bytes))
    }

    fn one(&mut self, from: &Path, to: &Path) -> Result<(), Failure> {
        match copy(from, &self.to.join(to), MODE) {
            Ok(copied) => {
                self.keep(to, copied);
                Ok(())
            }
            // It went away since it was seen, as packages do that nothing lists any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::file(from, "copy it", &error)),
        }
    }

    fn all(&mut self, from: &Path, to: &Path, wanted: impl Fn(&Path) -> bool) -> Result<(), Failure> {
        let files = below(from).map_err(|error| Failure::file(from, "read it", &error))?;
        files
            .iter()
            .filter(|path| wanted(path))
            .try_for_each(|path| self.one(&from.join(path), &to.join(path)))
    }

    /// The database, and how many entries its copy has; none where no server was ever started.
    async fn database(&mut self, settings: &Settings) -> Result<u64, Failure> {
        let from = settings.path(&settings.paths.database);
        if !from.exists() {
            return Ok(0);
        }
        let to = Paths::default().database;
        let target = self.to.join(&to);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, "make it", &error))?;
        }
        store::copy_file(from, target.clone()).await.map_err(|error| no_store(&error))?;
        let health = Place::File(target.clone()).health().await.map_err(|error| no_store(&error))?;
        if let Some(problem) = health.problems.first() {
            let hint = "`fedplane doctor` says what to do";
            return Err(Failure::new("store", "LG-1", format!("the copy is not whole: {problem}"), hint));
        }
        let measured = measure(&target).map_err(|error| Failure::file(&target, "read it", &error))?;
        self.keep(&to, measured);
        Ok(health.entries)
    }

    fn keep(&mut self, path: &Path, (bytes, sha256): (u64, String)) {
        self.files.push(Kept { path: path.to_string_lossy().into_owned(), bytes, sha256 });
    }
}

/// Whether this is what `keys adopt` kept of before: `keys.N.json`, `founder.N.json`.
fn is_of_before(name: &str) -> bool {
    let number = |kind: &str| name.strip_prefix(kind)?.strip_suffix(".json");
    let numbered = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    [number("keys."), number("founder.")].into_iter().flatten().any(numbered)
}

/// Whether a file holds certificates, and no private key beside them.
fn is_certificate(path: &Path) -> bool {
    let is_pem = path.extension().is_some_and(|kind| kind == "pem");
    is_pem && std::fs::read_to_string(path).is_ok_and(|text| !text.contains("PRIVATE KEY-----"))
}

#[cfg(test)]
mod tests;
