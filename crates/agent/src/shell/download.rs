//! Fetches a package to a file and verifies length and digest while it streams (RL-3).
//!
//! Never leaves unverified bytes in a slot: they stay in `downloads/` until they have proved to be the ones signed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use client::Public;
use governance::{Digest, Package, Version};
use sha2::{Digest as _, Sha256};

use super::ShellError;
use super::folder::make_folder;
use super::slots::Slots;

/// Brings the package of a version into its slot; does nothing when it is there already.
pub(super) async fn fetch(
    public: &Public,
    slots: &Slots,
    folder: &Path,
    version: Version,
    package: &Package,
) -> Result<(), ShellError> {
    let there = slots.package(version);
    if there.is_file() && verify(there, package.clone()).await.is_ok() {
        return Ok(());
    }
    let downloads = folder.join("downloads");
    make_folder(&downloads)?;
    let part = downloads.join(format!("{}.part", package.digest));
    let path = format!("/tuf/targets/{}.{}", package.digest, package.name);
    stream(public, &path, &part, package).await?;
    slots.place(version, &part)
}

async fn stream(public: &Public, path: &str, part: &Path, package: &Package) -> Result<(), ShellError> {
    let failed = |error| ShellError::file(part, "write")(error);
    let mut download =
        public.open(path).await?.ok_or_else(|| ShellError::Package(format!("the plane has no {path}")))?;
    let mut file = File::create(part).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut length = 0_u64;
    while let Some(piece) = download.piece().await? {
        let piece = piece.as_ref();
        length += piece.len() as u64;
        if length > package.length {
            return Err(ShellError::Package(format!("it has more than {} bytes", package.length)));
        }
        hasher.update(piece);
        file.write_all(piece).map_err(failed)?;
    }
    compare(package, length, Digest::from_bytes(hasher.finalize().into()))?;
    file.sync_all().map_err(failed)
}

/// Reads a package again and compares it with what was signed.
pub(super) async fn verify(path: PathBuf, package: Package) -> Result<(), ShellError> {
    let read = move || {
        let failed = |error| ShellError::file(&path, "read")(error);
        let mut file = File::open(&path).map_err(failed)?;
        let mut hasher = Sha256::new();
        let (mut length, mut piece) = (0_u64, vec![0; 64 * 1024]);
        loop {
            let read = file.read(&mut piece).map_err(failed)?;
            if read == 0 {
                return compare(&package, length, Digest::from_bytes(hasher.finalize().into()));
            }
            length += read as u64;
            hasher.update(piece.get(..read).unwrap_or_default());
        }
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(result) => result,
        Err(error) => Err(ShellError::System(format!("the package could not be read: {error}"))),
    }
}

fn compare(package: &Package, length: u64, digest: Digest) -> Result<(), ShellError> {
    if length != package.length {
        return Err(ShellError::Package(format!("it has {length} bytes instead of {}", package.length)));
    }
    if digest != package.digest {
        return Err(ShellError::Package(format!("its SHA-256 is {digest} instead of {}", package.digest)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_package_is_what_was_signed_or_nothing() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("package");
        let package = Package { name: "package-0.1.1".to_owned(), digest: Digest::of(b"good"), length: 4 };
        for (bytes, good) in [(b"good".as_slice(), true), (b"evil", false), (b"goods", false), (b"", false)] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(verify(path.clone(), package.clone()).await.is_ok(), good);
        }
        assert!(verify(place.path().join("none"), package).await.is_err());
    }
}
