//! A client of any repository of The Update Framework: the subcommand `tuf`, in the shape that the public conformance
//! suite drives.
//!
//! Never part of the agent's own updates, which accept Ed25519 alone and follow no delegation. Plain HTTP and servers
//! that nobody vouches for are allowed here, since nothing but signatures is believed.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use client::{Public, Source as _, SystemSource};
use proof::tuf::{
    Document, Fetched, Found, Profile, ROOT_BYTES_MAX, Role, Root, Sum, Trusted, quoted, root_self_signed,
    sha256_hex,
};
use trust::tuf::ForeignKeys;

use super::folder::{make_folder, sync};
use super::metadata::Metadata;
use super::{Folder, ShellError};

/// Whatever the specification names may sign.
const ANY: Profile = Profile::Any(&ForeignKeys);
/// Bytes of a file's name, before `.json` or `.part` is added: systems allow 255.
const NAME_BYTES_MAX: usize = 200;

/// A target, where it is, and where it is put.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its path in the metadata.
    pub name: &'a str,
    /// Where the repository has its targets.
    pub url: &'a str,
    /// The folder it is put into, under its URL-encoded path.
    pub folder: &'a Path,
}

/// Trusts a root that was had out of band (§5.2): it must be signed by its own threshold.
///
/// # Errors
/// When the file is no such root or cannot be kept.
pub fn init(folder: &Path, root: &Path) -> Result<(), ShellError> {
    let mut bytes = Vec::new();
    let file = File::open(root).map_err(ShellError::file(root, "read"))?;
    file.take(ROOT_BYTES_MAX.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(ShellError::file(root, "read"))?;
    if bytes.len() as u64 > ROOT_BYTES_MAX {
        return Err(untrusted(&format!("{} has more than {ROOT_BYTES_MAX} bytes", root.display())));
    }
    let document = Document::<Root>::parse_as(&bytes, ANY).map_err(|error| untrusted(&error))?;
    root_self_signed(&document).map_err(|error| untrusted(&error))?;
    Folder::open_bare(folder)?.write(Role::Root.file_name(), &bytes)
}

/// Brings the metadata of the top-level roles up to date (§5.3–5.6).
///
/// # Errors
/// When any step of the workflow refuses; what passed before it is kept.
pub async fn refresh(folder: &Path, url: &str) -> Result<(), ShellError> {
    let (folder, public) = (Folder::open_bare(folder)?, public(url)?);
    refreshed(&metadata(&folder, &public)).await.map(|_| ())
}

/// Brings the metadata up to date, searches the target and fetches it (§5.3–5.7). One that is there already, with the
/// length and hashes listed, is not fetched again.
///
/// # Errors
/// When any step of the workflow refuses; the target's folder then is as it was.
pub async fn download(folder: &Path, url: &str, wanted: &Wanted<'_>) -> Result<(), ShellError> {
    let (folder, from) = (Folder::open_bare(folder)?, public(url)?);
    let metadata = metadata(&folder, &from);
    let trusted = refreshed(&metadata).await?;
    let found = search(&metadata, &trusted, wanted.name).await?;
    make_folder(wanted.folder)?;
    if same(folder.path(), wanted.folder)? {
        return Err(ShellError::System("targets may not be put among the metadata".to_owned()));
    }
    fetch(&found, wanted).await
}

fn metadata<'a>(folder: &'a Folder, public: &'a Public) -> Metadata<'a> {
    Metadata { folder, within: "", public, at: "/" }
}

/// The update start time is read here, once (§5.1).
async fn refreshed(metadata: &Metadata<'_>) -> Result<Trusted, ShellError> {
    let now = SystemSource.now();
    let root = metadata.read(Role::Root)?.ok_or_else(|| untrusted(&"no root is trusted yet: init first"))?;
    metadata.refresh(ANY, root, now).await
}

/// §5.6.7.
async fn search(metadata: &Metadata<'_>, trusted: &Trusted, name: &str) -> Result<Found, ShellError> {
    let mut search = trusted.search(name);
    while let Some(want) = search.want().map_err(|error| untrusted(&error))? {
        let kept_as = metadata.kept(&role_file(&want.name));
        if let Some(kept) = metadata.folder.read(&kept_as)?
            && search.take_kept(&kept)
        {
            continue;
        }
        let bytes = metadata.fetch(&want.path, want.max_bytes).await?;
        let good = search.give(bytes.as_deref().map_or(Fetched::NotFound, Fetched::Bytes));
        if let (true, Some(bytes)) = (good, bytes) {
            metadata.folder.write(&kept_as, &bytes)?;
        }
    }
    search.finish().map_err(|error| untrusted(&error))
}

/// §5.7.3: what is under the target's name is what was signed, whole, or what was there before.
async fn fetch(found: &Found, wanted: &Wanted<'_>) -> Result<(), ShellError> {
    let path = found.url_path().map_err(|error| untrusted(&error))?;
    let name = file_name(&quoted(found.name()));
    let target = wanted.folder.join(&name);
    if is_there(found, &target)? {
        return Ok(());
    }
    let part = wanted.folder.join(format!(".{name}.part"));
    let streamed = stream(found, &public(wanted.url)?, &path, &part).await;
    if streamed.is_err() {
        // The first failure is the one to tell.
        let _ = fs::remove_file(&part);
    }
    streamed?;
    fs::rename(&part, &target).map_err(ShellError::file(&target, "write"))?;
    sync(wanted.folder).map_err(ShellError::file(wanted.folder, "write"))
}

async fn stream(found: &Found, from: &Public, path: &str, part: &Path) -> Result<(), ShellError> {
    let failed = |error| ShellError::file(part, "write")(error);
    let download = from.open(&format!("/{path}")).await?;
    let mut download = download.ok_or_else(|| untrusted(&format!("the repository has no {path}")))?;
    let mut file = File::create(part).map_err(failed)?;
    let mut sum = Sum::default();
    while let Some(piece) = download.piece().await? {
        sum.add(piece.as_ref());
        if sum.length() > found.length() {
            return Err(untrusted(&format!("{path} has more than {} bytes", found.length())));
        }
        file.write_all(piece.as_ref()).map_err(failed)?;
    }
    found.check(sum).map_err(|error| untrusted(&error))?;
    file.sync_all().map_err(failed)
}

/// Whether the target is in its place already, as it was signed.
fn is_there(found: &Found, target: &Path) -> Result<bool, ShellError> {
    if !fs::metadata(target).is_ok_and(|file| file.is_file() && file.len() == found.length()) {
        return Ok(false);
    }
    let failed = |error| ShellError::file(target, "read")(error);
    let mut file = File::open(target).map_err(failed)?;
    let (mut sum, mut piece) = (Sum::default(), vec![0; 64 * 1024]);
    loop {
        let read = file.read(&mut piece).map_err(failed)?;
        if read == 0 {
            return Ok(found.check(sum).is_ok());
        }
        sum.add(piece.get(..read).unwrap_or_default());
    }
}

/// A name for a file: the one given, or its hash when systems would refuse it for its length.
fn file_name(name: &str) -> String {
    if name.len() > NAME_BYTES_MAX { sha256_hex(name.as_bytes()) } else { name.to_owned() }
}

/// The name under which a delegated role is kept. None begins with a dot: folders have two such of their own.
fn role_file(name: &str) -> String {
    let name = name.strip_prefix('.').map_or_else(|| name.to_owned(), |rest| format!("%2E{rest}"));
    format!("{}.json", file_name(&name))
}

fn same(one: &Path, other: &Path) -> Result<bool, ShellError> {
    let whole = |path: &Path| fs::canonicalize(path).map_err(ShellError::file(path, "read"));
    Ok(whole(one)? == whole(other)?)
}

fn public(url: &str) -> Result<Public, ShellError> {
    let anyone =
        trust::tls::unverified_client_config().map_err(|error| ShellError::System(error.to_string()))?;
    Ok(Public::unguarded(url, anyone)?)
}

fn untrusted(why: &dyn std::fmt::Display) -> ShellError {
    ShellError::untrusted("TUF")(why)
}
