//! Hands a signed release to the plane: its files first, then the act of publishing.
//!
//! May be repeated: what is there already changes nothing.

use std::fs;
use std::io::Seek as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use client::Client;
use governance::rollout::Phase;
use governance::{Digest, Kind, Label, ProviderId, Release, Restriction, Tier};
use proof::Jws;
use proof::tuf::{Document, TARGETS_BYTES_MAX, TargetFile, Targets};
use wire::{Publish, ReleaseView, RenewTargets, TargetsView};

use super::floor::FLOOR;
use super::sign::Files;
use crate::Failure;
use crate::connect::ConnectArgs;
use crate::folder::{TEXT_BYTES_MAX, read_bytes, read_document};

/// What to publish, and for whom.
#[derive(Args, Clone, Debug)]
pub struct PublishArgs {
    /// Which plane, as whom.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The folder that `release sign --out` filled, or the targets.json that `release renew` made.
    pub folder: PathBuf,
    /// For whom.
    #[command(flatten)]
    pub audience: Audience,
}

/// Whom the rollout is for, and which phases wait for an approval (RO-6). Empty lists restrict nothing.
#[derive(Args, Clone, Debug, Default)]
pub struct Audience {
    /// Only instances of this kind; may be repeated.
    #[arg(long)]
    pub kind: Vec<Kind>,
    /// Only instances of this tier; may be repeated.
    #[arg(long)]
    pub tier: Vec<Tier>,
    /// Only instances of this provider; may be repeated.
    #[arg(long)]
    pub provider: Vec<ProviderId>,
    /// Only instances with one of these labels; may be repeated.
    #[arg(long)]
    pub label: Vec<Label>,
    /// A phase that waits for `rollout approve`: canary, beta, ga; may be repeated.
    #[arg(long, value_name = "PHASE")]
    pub approval: Vec<Phase>,
}

/// Uploads the files of a signed release and publishes it. Uploads nothing unless every file is the one that was signed.
///
/// # Errors
/// When the folder holds no single, complete release, or the plane refuses.
pub async fn publish(client: &Client, folder: &Path, audience: &Audience) -> Result<ReleaseView, Failure> {
    let signed = Signed::read(folder)?;
    client.target_put_file(&signed.package.0, &signed.package.1).await?;
    for (name, bytes) in signed.uploads {
        client.target_put(&name, bytes).await?;
    }
    let Audience { kind, tier, provider, label, approval } = audience.clone();
    let view = client
        .release_publish(&Publish {
            release: signed.manifest,
            targets: STANDARD.encode(signed.targets),
            only: Restriction { kind, tier, provider, label },
            approval,
        })
        .await?;
    Ok(view)
}

/// Hands in targets that list what the last ones list.
pub(super) async fn hand_in(client: &Client, file: &Path) -> Result<TargetsView, Failure> {
    let targets = STANDARD.encode(read_bytes(file, TARGETS_BYTES_MAX)?);
    Ok(client.targets_renew(&RenewTargets { targets }).await?)
}

/// A release as it was signed.
struct Signed {
    manifest: Jws,
    targets: Vec<u8>,
    /// The package's name and where it lies: it may be large.
    package: (String, PathBuf),
    /// Further target files and their names.
    uploads: Vec<(String, Vec<u8>)>,
}

impl Signed {
    /// Reads a folder and holds every file in it against targets.json.
    fn read(folder: &Path) -> Result<Self, Failure> {
        let path = manifest_in(folder)?;
        let manifest = read_document(&path)?;
        let release: Release = manifest
            .parse_unverified()
            .map_err(|error| Failure::untrusted("the manifest", "RL-1", &error))?;
        let files = Files::new(folder, release.version);
        if !files.targets.exists() {
            let detail = format!("{}: there is no targets.json yet", folder.display());
            let hint =
                "run `fedplane release sign` again until the Organism threshold has signed both documents";
            return Err(Failure::new("release-incomplete", "RL-3", detail, hint));
        }
        let targets = read_bytes(&files.targets, TARGETS_BYTES_MAX)?;
        let listed = Document::<Targets>::parse(&targets)
            .map_err(|fault| Failure::malformed(&files.targets, &fault, "sign the release again"))?
            .signed
            .targets;
        let package = measure(&files.package)?;
        let text = manifest.to_json().into_bytes();
        let name = plane::rollouts::manifest_name(release.version);
        must_be_signed("manifest", &path, listed.get(&name), measured(&text))?;
        if package != (release.package.digest, release.package.length) {
            return Err(swapped("package", &files.package));
        }
        must_be_signed("package", &files.package, listed.get(&release.package.name), package)?;
        let mut uploads = vec![(name, text)];
        // Absent where the release sets no floor: the one that is listed is published already.
        if files.floor.exists() {
            let floor = read_bytes(&files.floor, TEXT_BYTES_MAX)?;
            must_be_signed("floor", &files.floor, listed.get(FLOOR), measured(&floor))?;
            uploads.push((FLOOR.to_owned(), floor));
        }
        Ok(Self { manifest, targets, package: (release.package.name, files.package), uploads })
    }
}

fn measured(bytes: &[u8]) -> (Digest, u64) {
    (Digest::of(bytes), bytes.len() as u64)
}

/// The SHA-256 and the length of a file, read piece by piece.
fn measure(path: &Path) -> Result<(Digest, u64), Failure> {
    let unreadable = |error: std::io::Error| Failure::file(path, "read it", &error);
    let mut file = fs::File::open(path).map_err(unreadable)?;
    let digest = trust::digest(&mut file).map_err(unreadable)?;
    Ok((digest, file.stream_position().map_err(unreadable)?))
}

/// The file must be the one that targets.json lists.
fn must_be_signed(
    what: &str,
    path: &Path,
    listed: Option<&TargetFile>,
    (digest, length): (Digest, u64),
) -> Result<(), Failure> {
    let same = |listed: &TargetFile| listed.length == length && listed.sha256() == Some(*digest.as_bytes());
    if listed.is_some_and(same) { Ok(()) } else { Err(swapped(what, path)) }
}

fn swapped(what: &str, path: &Path) -> Failure {
    let detail = format!("{}: the {what} is not the one that was signed", path.display());
    let hint =
        "bring the file that was signed, or sign the release again into another folder; nothing was uploaded";
    Failure::new("release-differs", "RL-3", detail, hint)
}

/// The one manifest of a folder.
fn manifest_in(folder: &Path) -> Result<PathBuf, Failure> {
    let unreadable = |error: std::io::Error| Failure::file(folder, "list it", &error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("release-") && name.ends_with(".json") {
            found.push(path);
        }
    }
    match found.as_slice() {
        [manifest] => Ok(manifest.clone()),
        _ => {
            let detail = format!("{} holds {} signed manifests, not one", folder.display(), found.len());
            Err(Failure::new(
                "release-folder",
                "CLI",
                detail,
                "name the folder that one `release sign --out` filled",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rl_3_what_was_not_signed_is_noticed_before_anything_is_uploaded() {
        let ceremony = crate::commands::release::sign::tests::Ceremony::new();
        let out = ceremony.signed("floor = \"0.1.1\"\n");
        let names: Vec<_> = Signed::read(&out).unwrap().uploads.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["release-0.1.1.json", "floor.json"]);
        assert_eq!(Signed::read(&out).unwrap().package.0, "package-0.1.1");
        for (file, what) in [("package-0.1.1", "package"), ("floor.json", "floor")] {
            let good = fs::read(out.join(file)).unwrap();
            fs::write(out.join(file), b"swapped").unwrap();
            let failure = Signed::read(&out).err().unwrap();
            assert_eq!(failure.code(), "release-differs", "{failure}");
            assert!(failure.to_string().contains(&format!("the {what} is not the one that was signed")));
            fs::write(out.join(file), good).unwrap();
        }
        fs::remove_file(out.join("targets.json")).unwrap();
        assert_eq!(Signed::read(&out).err().unwrap().code(), "release-incomplete");
    }
}
