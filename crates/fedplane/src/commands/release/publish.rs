//! Hands a signed release to the plane: its files first, then the act of publishing.
//!
//! May be repeated: what is there already changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use client::Client;
use governance::rollout::Phase;
use governance::{Kind, Label, ProviderId, Release, Restriction, Tier};
use proof::tuf::TARGETS_BYTES_MAX;
use wire::{Publish, ReleaseView};

use super::sign::Files;
use crate::Failure;
use crate::connect::ConnectArgs;
use crate::folder::{read_bytes, read_document};

/// What to publish, and for whom.
#[derive(Args, Clone, Debug)]
pub struct PublishArgs {
    /// Which plane, as whom.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The folder that `release sign --out` filled.
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

/// Uploads the files of a signed release and publishes it.
///
/// # Errors
/// When the folder holds no single, complete release, or the plane refuses.
pub async fn publish(client: &Client, folder: &Path, audience: &Audience) -> Result<ReleaseView, Failure> {
    let manifest = manifest_in(folder)?;
    let document = read_document(&manifest)?;
    let release: Release =
        document.parse_unverified().map_err(|error| Failure::untrusted("the manifest", "RL-1", &error))?;
    let files = Files::new(folder, release.version);
    if !files.targets.exists() {
        let detail = format!("{}: there is no targets.json yet", folder.display());
        let hint = "run `fedplane release sign` again until the Organism threshold has signed both documents";
        return Err(Failure::new("release-incomplete", "RL-3", detail, hint));
    }
    let targets = read_bytes(&files.targets, TARGETS_BYTES_MAX)?;
    let package = read_bytes(&files.package, wire::PACKAGE_BYTES_MAX)?;
    client.target_put(&release.package.name, package).await?;
    client
        .target_put(&plane::rollouts::manifest_name(release.version), document.to_json().into_bytes())
        .await?;
    let Audience { kind, tier, provider, label, approval } = audience.clone();
    let view = client
        .release_publish(&Publish {
            release: document,
            targets: STANDARD.encode(targets),
            only: Restriction { kind, tier, provider, label },
            approval,
        })
        .await?;
    Ok(view)
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
