//! Signs a release offline: first its manifest, until the Organism threshold is reached, then the TUF targets that list it.
//!
//! Targets name the manifest by the digest of its signed bytes, so the manifest takes no signature once it has enough, and
//! holders with one key each come by twice: a round for the manifest, a round for the targets. Who completes the first
//! begins the second in the same run; with enough keys one run does both. Never signs what differs from what the holders
//! before have signed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use governance::{Release, Span, Timestamp, Version};
use proof::tuf::{Document, TARGETS_BYTES_MAX, TargetFile, Targets};
use proof::{Jws, KeySet, Typ};
use serde::Serialize;
use trust::tuf::{Envelope, Fault, TargetsChange, draft};
use trust::{KeySource, Signer};

use crate::commands::order::{progress, signing_keys};
use crate::folder::{
    Folder, read_bytes, read_document, read_keys_document, read_root_keys, read_toml, write_whole,
};
use crate::secrets::SecretArgs;
use crate::{Failure, Output};

use super::Manifest;
use super::floor::{FLOOR, Floors};

/// What to sign, and with which keys.
#[derive(Args, Clone, Debug)]
pub struct ReleaseSignArgs {
    /// The manifest (TOML): version, class, runtime, rollback, layers, notes.
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,
    /// The package: the bytes that instances bind.
    #[arg(long, value_name = "FILE")]
    pub package: PathBuf,
    /// An Organism key to sign with, a file or a `pkcs11:` URI; may be repeated.
    #[arg(long = "key", value_name = "KEY", required = true, num_args = 1..)]
    pub keys: Vec<KeySource>,
    /// What opens the keys, where they are encrypted.
    #[command(flatten)]
    pub secrets: SecretArgs,
    /// The folder to put the signed files into; run again with it to add signatures.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// What is in force.
    #[command(flatten)]
    pub in_force: InForceArgs,
    /// The floor.json now published, instead of the folder's; needed where the targets list one (RL-9).
    #[arg(long, value_name = "FILE")]
    pub floors: Option<PathBuf>,
    /// How long the targets metadata stays good.
    #[arg(long, value_name = "DURATION", default_value = "365d")]
    pub expires: Span,
}

/// What is in force where targets are signed.
#[derive(Args, Clone, Debug)]
pub struct InForceArgs {
    /// The federation's folder: gives the targets now published, the keys document and the root keys.
    #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
    pub federation: PathBuf,
    /// The targets.json now published, instead of the folder's.
    #[arg(long, value_name = "FILE")]
    pub targets: Option<PathBuf>,
    /// The keys document, instead of the folder's keys.json.
    #[arg(long = "keys-document", value_name = "FILE")]
    pub keys_document: Option<PathBuf>,
    /// The root keys, instead of the folder's founder.json.
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
}

/// How far the release has come.
#[derive(Clone, Debug, Serialize)]
pub struct SignedRelease {
    /// Its version.
    pub version: Version,
    /// Where its files are.
    pub folder: PathBuf,
    /// Signatures needed on each.
    pub needed: u32,
    /// Signatures on the manifest.
    pub manifest: usize,
    /// Signatures on the targets; none before the manifest has enough.
    pub targets: usize,
    /// Version of the targets, once there are any.
    pub targets_version: Option<u64>,
    /// The security floor that it sets for its line (RL-9).
    pub floor: Option<Version>,
    /// Whether it can be published.
    pub complete: bool,
}

/// The files of a release in a folder.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) manifest: PathBuf,
    pub(super) package: PathBuf,
    pub(super) targets: PathBuf,
    pub(super) floor: PathBuf,
}

impl Files {
    pub(super) fn new(folder: &Path, version: Version) -> Self {
        Self {
            manifest: folder.join(plane::rollouts::manifest_name(version)),
            package: folder.join(format!("package-{version}")),
            targets: folder.join("targets.json"),
            floor: folder.join(FLOOR),
        }
    }
}

/// Signs whatever is next of a release.
///
/// # Errors
/// When the release may not be published, a key is not the Organism's, or the folder holds another release.
pub fn sign(args: &ReleaseSignArgs, now: Timestamp) -> Result<SignedRelease, Failure> {
    let organism = args.in_force.organism()?;
    let keys = signing_keys(&args.keys, Some(&organism), &mut args.secrets.secrets()?)?;
    let manifest: Manifest =
        read_toml(&args.manifest, "docs/operators.md, “Publishing a release”, says what a manifest holds")?;
    let package = read_bytes(&args.package, wire::PACKAGE_BYTES_MAX)?;
    let floor = manifest.floor;
    let release = manifest.into_release(&package)?;
    let previous = args.in_force.targets()?;
    let files = Files::new(&args.out, release.version);
    let floors = floors(args, &previous, &files, &release, floor)?;
    let document = sign_manifest(&release, &files, &keys, &organism)?;
    let (signatures, _) = progress(&document, Typ::Release, Some(&organism));
    let needed = usize::try_from(organism.threshold()).unwrap_or(usize::MAX);
    fs::create_dir_all(&args.out).map_err(|error| Failure::file(&args.out, "make it", &error))?;
    write_whole(&files.package, &package)?;
    if let Some(floors) = &floors {
        write_whole(&files.floor, floors)?;
    }
    write_whole(&files.manifest, document.to_json().as_bytes())?;
    let mut signed = SignedRelease {
        version: release.version,
        folder: args.out.clone(),
        needed: organism.threshold(),
        manifest: signatures,
        targets: 0,
        targets_version: None,
        floor,
        complete: false,
    };
    if signatures >= needed {
        let mut listed = listing(&release, &document);
        listed.extend(floors.map(|floors| (FLOOR.to_owned(), TargetFile::of(&floors))));
        let targets = sign_targets(&previous, listed, &files.targets, &keys, now + args.expires)?;
        signed.targets = counted(&targets, &organism)?;
        signed.targets_version = Some(targets.version());
        signed.complete = signed.targets >= needed;
        write_whole(&files.targets, &targets.to_bytes()?)?;
    }
    Ok(signed)
}

impl InForceArgs {
    /// Who signs releases.
    pub(super) fn organism(&self) -> Result<KeySet, Failure> {
        let folder = Folder::new(&self.federation);
        let root = read_root_keys(self.root.as_ref().unwrap_or(&folder.founder()))?;
        Ok(read_keys_document(self.keys_document.as_ref().unwrap_or(&folder.keys()), &root)?.organism)
    }

    /// The targets metadata now published: the one with the highest version in the folder's repository.
    pub(super) fn targets(&self) -> Result<Vec<u8>, Failure> {
        let path = match &self.targets {
            Some(path) => path.clone(),
            None => highest(&Folder::new(&self.federation).tuf().join("metadata"), "targets")?,
        };
        read_bytes(&path, TARGETS_BYTES_MAX)
    }
}

/// The manifest with every signature it still needs and these keys can give.
fn sign_manifest(
    release: &Release,
    files: &Files,
    keys: &[Signer],
    organism: &KeySet,
) -> Result<Jws, Failure> {
    let untrusted = |error: proof::JwsError| Failure::untrusted("the manifest", "RL-1", &error);
    let mut document = None;
    if files.manifest.exists() {
        let held = read_document(&files.manifest)?;
        if held.parse_unverified::<Release>().map_err(untrusted)? != *release {
            let detail = format!("{} is of another manifest or package", files.manifest.display());
            let hint = "sign the same manifest and package as before, or choose another --out";
            return Err(Failure::new("release-differs", "RL-1", detail, hint));
        }
        document = Some(held);
    }
    for key in keys {
        match &mut document {
            // Complete: one signature more would change the bytes that the targets name.
            Some(held) if held.verify(Typ::Release, organism).is_ok() => break,
            Some(held) => held.add_signature(Typ::Release, key).map_err(untrusted)?,
            None => document = Some(Jws::sign_json(Typ::Release, release, key).map_err(untrusted)?),
        }
    }
    document.ok_or_else(|| Failure::usage("no key to sign with", "name one with --key FILE"))
}

/// The floors as this release leaves them, where it sets one; refused where holders before have signed otherwise.
fn floors(
    args: &ReleaseSignArgs,
    previous: &[u8],
    files: &Files,
    release: &Release,
    floor: Option<Version>,
) -> Result<Option<Vec<u8>>, Failure> {
    let line = release.version.line();
    let before = match files.floor.exists() {
        true => Floors::read(&files.floor)?.of(line),
        false => None,
    };
    if files.manifest.exists() && before != floor {
        let detail = format!("{} was begun with another floor, or with none", files.manifest.display());
        let hint = "sign the same manifest as before, or choose another --out";
        return Err(Failure::new("release-differs", "RL-9", detail, hint));
    }
    let Some(floor) = floor else { return Ok(None) };
    let targets = Folder::new(&args.in_force.federation).tuf().join("targets");
    let mut floors = Floors::published(previous, args.floors.as_deref(), &targets)?;
    floors.raise(floor)?;
    Ok(Some(floors.to_bytes()?))
}

/// What the targets must list of a release.
fn listing(release: &Release, document: &Jws) -> BTreeMap<String, TargetFile> {
    let package = &release.package;
    BTreeMap::from([
        (package.name.clone(), TargetFile::new(package.length, package.digest.as_bytes())),
        (plane::rollouts::manifest_name(release.version), TargetFile::of(document.to_json().as_bytes())),
    ])
}

/// Targets metadata on its way.
pub(super) struct Draft {
    envelope: Envelope,
    document: Document<Targets>,
}

impl Draft {
    fn new(envelope: Envelope) -> Result<Self, Failure> {
        let document = envelope.clone().document().map_err(|fault| broken(&fault))?;
        Ok(Self { envelope, document })
    }

    pub(super) const fn version(&self) -> u64 {
        self.document.signed.version
    }

    pub(super) const fn expires(&self) -> Timestamp {
        self.document.signed.expires.0
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        self.envelope.to_bytes().map_err(|fault| broken(&fault))
    }
}

/// The targets with these keys' signatures: those in the folder where they are this release's and still next, else new ones.
pub(super) fn sign_targets(
    previous: &[u8],
    listed: BTreeMap<String, TargetFile>,
    file: &Path,
    keys: &[Signer],
    expires: Timestamp,
) -> Result<Draft, Failure> {
    let change = TargetsChange { put: listed, remove: Vec::new() };
    let fresh = Draft::new(draft::targets_next(previous, change, expires)?)?;
    let held = match file.exists() {
        true => Some(read_bytes(file, TARGETS_BYTES_MAX)?),
        false => None,
    };
    let held = held
        .map(|bytes| Envelope::parse(&bytes).map_err(|fault| broken(&fault)).and_then(Draft::new))
        .transpose()?;
    // What was signed before counts only if it says the same, but for the day it was made.
    let goes_on = held.filter(|held| {
        let (held, fresh) = (&held.document.signed, &fresh.document.signed);
        held.version == fresh.version
            && held.targets == fresh.targets
            && held.delegations == fresh.delegations
    });
    let mut envelope = goes_on.unwrap_or(fresh).envelope;
    for key in keys {
        envelope.sign(key).map_err(|fault| match fault {
            Fault::Sign(error) => error.into(),
            fault => broken(&fault),
        })?;
    }
    Draft::new(envelope)
}

/// What to know before signing: that holders with one key each come by twice. Nothing where one run does it all.
pub(super) fn rounds(args: &ReleaseSignArgs) -> Result<Option<String>, Failure> {
    let needed = args.in_force.organism()?.threshold();
    let enough = usize::try_from(needed).is_ok_and(|needed| args.keys.len() >= needed);
    Ok((!enough).then(|| {
        format!(
            "Two rounds of {needed} signatures: the manifest, then targets.json, which names it as signed.\n\
             Who completes the first round signs in the second at once."
        )
    }))
}

/// How many keys of the Organism signed the targets.
pub(super) fn counted(draft: &Draft, organism: &KeySet) -> Result<usize, Failure> {
    let mut valid = 0;
    for key in organism.keys() {
        let key = proof::tuf::Key::of(key);
        let id = key.id().map_err(|error| broken(&error))?;
        let role = proof::tuf::RoleKeys { keyids: vec![id.clone()], threshold: 1 };
        valid += usize::from(draft.document.signatures.count(&role, &BTreeMap::from([(id, key)])) > 0);
    }
    Ok(valid)
}

/// The metadata of this role with the highest version in a repository's folder.
pub(in crate::commands) fn highest(metadata: &Path, role: &str) -> Result<PathBuf, Failure> {
    let unreadable = |error: std::io::Error| Failure::file(metadata, "list it", &error);
    let suffix = format!(".{role}.json");
    let mut highest: Option<u64> = None;
    for entry in fs::read_dir(metadata).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        highest = highest.max(name.to_str().and_then(|name| name.strip_suffix(&suffix)?.parse().ok()));
    }
    let version = highest.ok_or_else(|| {
        let detail = format!("{} holds no {role} metadata", metadata.display());
        Failure::new("tuf-missing", "RL-3", detail, "name what is published by an option")
    })?;
    Ok(metadata.join(format!("{version}{suffix}")))
}

fn broken(fault: &dyn std::fmt::Display) -> Failure {
    let hint =
        "remove targets.json from the folder to draft it anew, or name the published one with --targets FILE";
    Failure::new("tuf-malformed", "RL-3", format!("targets.json: {fault}"), hint)
}

/// The report for people.
pub(super) fn report(signed: &SignedRelease) -> String {
    let of = |signatures: usize| format!("{signatures} of {} signatures", signed.needed);
    let pairs = Output::pairs(&[
        ("release", signed.version.to_string()),
        (
            "floor",
            match signed.floor {
                Some(floor) => format!("no agent of {} goes below {floor} from now on (RL-9)", floor.line()),
                None => "as before".to_owned(),
            },
        ),
        ("manifest", of(signed.manifest)),
        (
            "targets",
            match signed.targets_version {
                Some(version) => format!("version {version}, {}", of(signed.targets)),
                None => "wait until the manifest is complete".to_owned(),
            },
        ),
    ]);
    let folder = signed.folder.display();
    let next = if signed.complete {
        format!("Publish it: fedplane release publish {folder}")
    } else if signed.targets_version.is_none() {
        format!(
            "Round 1, the manifest. Next holder: the same command with another key,\n\
             on the same folder: --out {folder}"
        )
    } else {
        format!(
            "Round 2, the targets. Next holder: the same command with a key that has not\n\
             signed them yet (it may have signed the manifest), on the same folder: --out {folder}"
        )
    };
    format!("{pairs}\n\n{next}")
}

#[cfg(test)]
pub(super) mod tests;
