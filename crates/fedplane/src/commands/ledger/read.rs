//! Where a log's entries come from: the files of a federation, or a running plane.
//!
//! Never judges: what is read here is held against the root keys by the verifier.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use client::{Client, Public};
use governance::{Digest, Opening};
use ledger::{Entry, SignedCheckpoint};
use plane::disclosures::OPENING;
use proof::{Jws, KeysDocument, RootKeys};
use server::settings::Settings;
use store::{AnyReader, OpenError, Place};
use trust::RootCa;

use super::{PAGE, decoded};
use crate::Failure;
use crate::connect::{ConnectArgs, folder_settings, tls_failure};
use crate::folder::{Folder, read_bytes};

/// The longest checkpoint, in bytes.
const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024;

/// A source of entries.
pub(super) enum Source {
    /// A store, in its file or on its server.
    Store(AnyReader),
    /// A running plane.
    Plane(Box<Client>),
}

/// Entries one behind the other, and what opens their commitments.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) entries: Vec<Vec<u8>>,
    openings: BTreeMap<Digest, Opening>,
}

impl Entries {
    /// What opens a commitment, where it was disclosed.
    pub(super) fn opening(&self, committed: Digest) -> Option<Opening> {
        self.openings.get(&committed).cloned()
    }
}

impl Source {
    /// Entries from a position on; none at the end.
    async fn page(&self, from: u64, limit: u32) -> Result<Entries, Failure> {
        let (entries, openings) = match self {
            Self::Store(store) => {
                let entries = store.entry_page(from, limit as usize).await?;
                let openings = kept_openings(store, &entries).await?;
                (entries, openings)
            }
            Self::Plane(client) => {
                let page = client.ledger_entries(from, limit).await?;
                (decoded(&page.entries)?, page.openings)
            }
        };
        let openings = openings.into_iter().map(|opening| (opening.committed, opening)).collect();
        Ok(Entries { entries, openings })
    }

    /// Entries of at most `limit` from a position on, in pages of a fixed size.
    pub(super) async fn next(&self, from: u64, until: u64) -> Result<Entries, Failure> {
        let left = u32::try_from(until.saturating_sub(from)).unwrap_or(PAGE);
        self.page(from, left.min(PAGE)).await
    }
}

/// What the store keeps to open the commitments of these entries; what is no entry is the verifier's to find.
async fn kept_openings(store: &AnyReader, entries: &[Vec<u8>]) -> Result<Vec<Opening>, Failure> {
    let mut openings = Vec::new();
    for entry in entries.iter().filter_map(|bytes| Entry::decode(bytes).ok()) {
        for committed in entry.commitments() {
            let kept = store.document_load(OPENING, &committed.to_string()).await?;
            openings.extend(kept.and_then(|bytes| serde_json::from_slice::<Opening>(&bytes).ok()));
        }
    }
    Ok(openings)
}

/// The checkpoint and the entries in a federation's folder, or in its data folder.
pub(super) async fn folder(path: &Path) -> Result<(SignedCheckpoint, Source), Failure> {
    let (place, ledger) = places(path)?;
    store(place, &ledger).await
}

/// The checkpoint among the ledger's files, and the entries in a store.
pub(super) async fn store(place: Place, ledger: &Path) -> Result<(SignedCheckpoint, Source), Failure> {
    let checkpoint = ledger.join(plane::publication::CHECKPOINT);
    let signed = parse_checkpoint(&read_bytes(&checkpoint, CHECKPOINT_BYTES_MAX)?)?;
    let store = AnyReader::open(place).await.map_err(|error| no_store(&error))?;
    Ok((signed, Source::Store(store)))
}

/// Why no store can be read there.
pub(crate) fn no_store(error: &OpenError) -> Failure {
    let hint = match error {
        OpenError::Away { .. } => "does the server of store.url run, and may this machine speak to it?",
        OpenError::Place(_) => "correct [store] in fedplane.toml",
        _ => "name the federation's folder, or the folder that holds its fedplane.db",
    };
    Failure::new("store", "LG-1", error.to_string(), hint)
}

/// Where the store and the ledger's files are: as the settings say, or by their usual names.
pub(crate) fn places(path: &Path) -> Result<(Place, PathBuf), Failure> {
    let Some(settings) = settings_of(path)? else {
        return Ok((Place::File(path.join("fedplane.db")), path.join("ledger")));
    };
    let place = settings.store_place().map_err(|(key, why)| {
        Failure::new("settings", "CLI", format!("{key}: {why}"), "correct it in fedplane.toml")
    })?;
    Ok((place, settings.path(&settings.paths.ledger)))
}

/// Where the ledger's files alone are.
pub(super) fn files(path: &Path) -> Result<PathBuf, Failure> {
    Ok(settings_of(path)?
        .map_or_else(|| path.join("ledger"), |settings| settings.path(&settings.paths.ledger)))
}

/// The settings of a folder that has any: a data folder has none.
fn settings_of(path: &Path) -> Result<Option<Settings>, Failure> {
    let folder = Folder::new(path);
    folder.settings().exists().then(|| folder_settings(&folder)).transpose()
}

/// The checkpoint that a plane publishes at `public`, and its entries by way of `plane`.
pub(super) async fn plane(
    public: &str,
    plane: &str,
    connect: &ConnectArgs,
    root: &RootKeys,
) -> Result<(SignedCheckpoint, Source), Failure> {
    let (public, _, root_ca) = self::public(public, root).await?;
    let signed = parse_checkpoint(&file(&public, "/checkpoint", CHECKPOINT_BYTES_MAX).await?)?;
    Ok((signed, Source::Plane(Box::new(connect.client_of(plane, &root_ca)?))))
}

/// What a plane publishes at `public`: a reader of it, the keys document and the root CA that the root keys vouch for.
pub(super) async fn public(public: &str, root: &RootKeys) -> Result<(Public, KeysDocument, RootCa), Failure> {
    // Asks a server nobody vouches for yet: what it answers counts only as far as the root keys signed it.
    let anyone = trust::tls::unverified_client_config().map_err(|error| tls_failure(&error))?;
    let keys =
        file(&Public::new(public, anyone)?, "/keys.json", proof::jws::DOCUMENT_BYTES_MAX as u64).await?;
    let untrusted = |why: String| {
        Failure::new(
            "keys-untrusted",
            "AU-4",
            format!("{public}/keys.json: {why}"),
            "is --root of this federation?",
        )
    };
    let document = Jws::parse(&keys).map_err(|error| untrusted(error.to_string()))?;
    let keys = KeysDocument::open(&document, root).map_err(|error| untrusted(error.to_string()))?;
    let root_ca = RootCa::from_pem(&keys.root_ca)?;
    let tls = trust::tls::anonymous_client_config(&root_ca).map_err(|error| tls_failure(&error))?;
    Ok((Public::new(public, tls)?, keys, root_ca))
}

async fn file(public: &Public, path: &str, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    public.file(path, bytes_max).await?.ok_or_else(|| {
        Failure::new(
            "not-found",
            "LG-2",
            format!("{path} is not published there"),
            "give the public listener's address (8445)",
        )
    })
}

/// Reads a signed checkpoint; its signature is not verified yet.
pub(super) fn parse_checkpoint(bytes: &[u8]) -> Result<SignedCheckpoint, Failure> {
    SignedCheckpoint::parse(bytes).map_err(|error| {
        Failure::new(
            "ledger-breach",
            "LG-2",
            error.to_string(),
            "the checkpoint is damaged: keep it as evidence",
        )
    })
}
