//! What the agent believes, and why: the keys document from the Founder's keys (AU-4), releases from TUF (RL-3), the
//! constitution from the Founder's keys (FO-5).
//!
//! Never believes a server: everything read here is signed, checked against keys held before, and kept.

use std::collections::BTreeMap;
use std::path::Path;

use client::Public;
use governance::{ConstitutionDocument, Package, Release, Timestamp, Version};
use proof::keys::KeysError;
use proof::tuf::{Document, Key, Profile, Role, RoleKeys, Root, Trusted, root_self_signed};
use proof::{Jws, JwsError, KeySet, KeysDocument, RootKeys, Typ};
use serde::{Deserialize, Serialize};
use trust::RootCa;

use super::folder::read_json;
use super::metadata::Metadata;
use super::{Folder, ShellError};
use crate::core::offer::Signed;

const KEYS: &str = "keys.json";
const LAW: &str = "constitution.json";
const TUF: &str = "tuf";
/// Bytes of a signed document.
const DOCUMENT_BYTES_MAX: u64 = proof::jws::DOCUMENT_BYTES_MAX as u64;
/// The target that lists security floors (RL-9), when the Organism signed one.
const FLOOR: &str = "floor.json";

/// The keys document as it is kept: with the Founder keys that it was opened with, and those the owner gave.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    root: RootKeys,
    founder: KeySet,
    document: Jws,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Floors {
    floors: Vec<Version>,
}

/// What is believed.
pub(super) struct Trust {
    root: RootKeys,
    document: Jws,
    pub(super) keys: KeysDocument,
    pub(super) root_ca: RootCa,
    pub(super) public: Public,
    address: String,
}

impl Trust {
    /// Opens what was kept, or fetches the first keys document. The first fetch asks an unknown server: what it sends
    /// counts for nothing unless the Founder's keys signed it.
    pub(super) async fn open(folder: &Folder, root: RootKeys, address: &str) -> Result<Self, ShellError> {
        if let Some(kept) = Self::kept(folder.path(), root.clone(), address)? {
            return Ok(kept);
        }
        // The one document that names the CA to know the server by; the root keys prove it.
        let anyone =
            trust::tls::unverified_client_config().map_err(|error| ShellError::System(error.to_string()))?;
        let public = Public::new(address, anyone)?;
        let document = fetch_document(&public, "/keys.json", "the keys document").await?;
        let trust = Self::with(root.clone(), &root, document, address)?;
        trust.keep(folder, &root)?;
        Ok(trust)
    }

    /// What was kept in the agent's folder; nothing when it has not come to believe anything yet.
    pub(super) fn kept(folder: &Path, root: RootKeys, address: &str) -> Result<Option<Self>, ShellError> {
        let Some(kept) = read_json::<Kept>(folder, KEYS)? else { return Ok(None) };
        if kept.root != root {
            let why = format!("{} was made with others", folder.join(KEYS).display());
            return Err(ShellError::WrongRoot(why));
        }
        Self::with(root, &kept.founder, kept.document, address).map(Some)
    }

    fn with(root: RootKeys, founder: &KeySet, document: Jws, address: &str) -> Result<Self, ShellError> {
        let keys = KeysDocument::open(&document, founder).map_err(|error| match error {
            KeysError::Document(JwsError::TooFew { .. }) => ShellError::WrongRoot(error.to_string()),
            error => ShellError::untrusted("the keys document")(&error),
        })?;
        let untrusted = ShellError::untrusted("the root CA in the keys document");
        let root_ca = RootCa::from_pem(&keys.root_ca).map_err(|error| untrusted(&error))?;
        let untrusted = ShellError::untrusted("the root CA in the keys document");
        let tls = trust::tls::anonymous_client_config(&root_ca).map_err(|error| untrusted(&error))?;
        Ok(Self {
            root,
            document,
            keys,
            root_ca,
            public: Public::new(address, tls)?,
            address: address.to_owned(),
        })
    }

    fn keep(&self, folder: &Folder, founder: &KeySet) -> Result<(), ShellError> {
        let kept =
            Kept { root: self.root.clone(), founder: founder.clone(), document: self.document.clone() };
        folder.write_json(KEYS, &kept)
    }

    /// Looks for a newer keys document and follows it; says whether there was one.
    pub(super) async fn refresh(&mut self, folder: &Folder) -> Result<bool, ShellError> {
        let document = fetch_document(&self.public, "/keys.json", "the keys document").await?;
        if document == self.document {
            return Ok(false);
        }
        let untrusted = ShellError::untrusted("the new keys document");
        self.keys.open_successor(&document).map_err(|error| untrusted(&error))?;
        let founder = self.keys.founder.clone();
        let next = Self::with(self.root.clone(), &founder, document, &self.address)?;
        next.keep(folder, &founder)?;
        *self = next;
        Ok(true)
    }

    /// The constitution in force, when one is published; it is kept for when nobody publishes it. One that took effect
    /// before the one kept is not gone back to.
    pub(super) async fn constitution(
        &self,
        folder: &Folder,
        now: Timestamp,
    ) -> Result<Option<ConstitutionDocument>, ShellError> {
        let kept = self.constitution_kept(folder);
        let Some(bytes) = self.public.file("/constitution.json", DOCUMENT_BYTES_MAX).await? else {
            return Ok(kept);
        };
        // Believed when it was taken: a Founder who came later has not signed it.
        if kept.is_some() && folder.read(LAW)? == Some(bytes.clone()) {
            return Ok(kept);
        }
        let untrusted = |why: &dyn std::fmt::Display| ShellError::untrusted("the constitution")(why);
        let open = |document: Jws| document.open(Typ::Constitution, &self.keys.founder);
        let published: ConstitutionDocument =
            Jws::parse(&bytes).and_then(open).map_err(|error| untrusted(&error))?;
        if published.effective > now || kept.as_ref().is_some_and(|kept| kept.effective > published.effective)
        {
            return Ok(kept);
        }
        if kept.as_ref() != Some(&published) {
            folder.write(LAW, &bytes)?;
        }
        Ok(Some(published))
    }

    /// The constitution that was in force when one was last seen; who signed it was looked at then.
    pub(super) fn constitution_kept(&self, folder: &Folder) -> Option<ConstitutionDocument> {
        let bytes = folder.read(LAW).ok().flatten()?;
        Jws::parse(&bytes).ok()?.parse_unverified().ok()
    }

    /// What the Organism signed about a release, through a whole TUF refresh.
    pub(super) async fn release(
        &self,
        folder: &Folder,
        version: Version,
        now: Timestamp,
    ) -> Result<Signed, ShellError> {
        let trusted = self.tuf_refresh(folder, now).await?;
        let bytes = self.target(&trusted, &format!("release-{version}.json")).await?;
        let untrusted = |why: &dyn std::fmt::Display| ShellError::untrusted("the release manifest")(why);
        let document = Jws::parse(&bytes).map_err(|error| untrusted(&error))?;
        let release: Release =
            document.open(Typ::Release, &self.keys.organism).map_err(|error| untrusted(&error))?;
        let listed = trusted.target(&release.package.name).map_err(|error| untrusted(&error))?;
        let target = Package {
            name: listed.name,
            digest: governance::Digest::from_bytes(listed.sha256),
            length: listed.length,
        };
        let floors = if trusted.targets().targets.contains_key(FLOOR) {
            let bytes = self.target(&trusted, FLOOR).await?;
            serde_json::from_slice::<Floors>(&bytes).map_err(|error| untrusted(&error))?.floors
        } else {
            Vec::new()
        };
        Ok(Signed { release, target, floors })
    }

    /// Fetches a small target and checks it.
    async fn target(&self, trusted: &Trusted, name: &str) -> Result<Vec<u8>, ShellError> {
        let untrusted = |why: &dyn std::fmt::Display| ShellError::untrusted("a TUF target")(why);
        let target = trusted.target(name).map_err(|error| untrusted(&error))?;
        let path = format!("/tuf/targets/{}", target.path);
        let length = target.length.min(DOCUMENT_BYTES_MAX);
        let bytes =
            self.public.file(&path, length).await?.ok_or_else(|| untrusted(&format!("{path} is missing")))?;
        target.check(&bytes).map_err(|error| untrusted(&error))?;
        Ok(bytes)
    }

    async fn tuf_refresh(&self, folder: &Folder, now: Timestamp) -> Result<Trusted, ShellError> {
        super::folder::make_folder(&folder.join(TUF))?;
        let metadata = Metadata { folder, within: "tuf/", public: &self.public, at: "/tuf/metadata/" };
        let root = match metadata.read(Role::Root)? {
            Some(root) => root,
            None => self.tuf_root(folder).await?,
        };
        metadata.refresh(Profile::Own, root, now).await
    }

    /// The first root: believed because the Founder's threshold signed it too.
    async fn tuf_root(&self, folder: &Folder) -> Result<Vec<u8>, ShellError> {
        let untrusted = |why: &dyn std::fmt::Display| ShellError::untrusted("the first TUF root")(why);
        let max = proof::tuf::ROOT_BYTES_MAX;
        let bytes = self.public.file("/tuf/metadata/1.root.json", max).await?;
        let bytes = bytes.ok_or_else(|| untrusted(&"the plane publishes none"))?;
        let root = Document::<Root>::parse(&bytes).map_err(|error| untrusted(&error))?;
        root_self_signed(&root).map_err(|error| untrusted(&error))?;
        let mut keys = BTreeMap::new();
        for public in self.root.keys() {
            let key = Key::of(public);
            keys.insert(key.id().map_err(|error| untrusted(&error))?, key);
        }
        let role =
            RoleKeys { keyids: keys.keys().cloned().collect(), threshold: u64::from(self.root.threshold()) };
        let by = || "the Founder's root keys".to_owned();
        root.signatures.threshold_check(&role, &keys, by).map_err(|error| untrusted(&error))?;
        folder.write(&format!("{TUF}/{}", Role::Root.file_name()), &bytes)?;
        Ok(bytes)
    }
}

async fn fetch_document(public: &Public, path: &str, what: &'static str) -> Result<Jws, ShellError> {
    let bytes = public.file(path, DOCUMENT_BYTES_MAX).await?;
    let bytes = bytes.ok_or_else(|| ShellError::untrusted(what)(&format!("the plane has no {path}")))?;
    Jws::parse(&bytes).map_err(|error| ShellError::untrusted(what)(&error))
}
