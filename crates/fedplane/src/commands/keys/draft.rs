//! Drafts the next keys document and the TUF root that belongs to it from those in force and what is to change.

use std::path::Path;

use clap::Args;
use governance::{Span, Timestamp};
use proof::tuf::{Envelope, ROOT_BYTES_MAX};
use proof::{KeyId, KeySet, KeysDocument, OnlineKey, PublicKey, Purpose, Sign as _};
use serde::Deserialize;
use trust::tuf::{RootPlan, draft};
use trust::{KeySource, Secrets};

use crate::commands::release::highest;
use crate::folder::{Folder, read_bytes, read_text};
use crate::{Failure, values};

/// How far back a new key counts, for clocks that are behind.
const CLOCKS_BEHIND: Span = Span::hours(1);

/// What is to change. Whatever is not named stays as it is; a key that is replaced is added first, and dropped by a later
/// document, once nothing that counts is signed with it any more.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// A further online key, as `tokens=FILE`: directives, tokens, snapshot, timestamp or ledger, and the key or its public half
    /// as `fedplane key show --json` writes it; may be repeated.
    #[arg(long, value_name = "PURPOSE=KEY")]
    pub add: Vec<String>,
    /// The id of an online key that counts no more, or the beginning of it; may be repeated.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub drop: Vec<String>,
    /// All the Founder's keys from now on, each a key or its public half; may be repeated.
    #[arg(long, value_name = "KEY")]
    pub founder: Vec<KeySource>,
    /// How many of them must sign [default: as many as now].
    #[arg(long, value_name = "N", value_parser = values::number::<u32>)]
    pub threshold: Option<u32>,
    /// All the Organism's keys from now on, each a key or its public half; may be repeated.
    #[arg(long, value_name = "KEY")]
    pub organism: Vec<KeySource>,
    /// How many of them must sign [default: as many as now].
    #[arg(long, value_name = "N", value_parser = values::number::<u32>)]
    pub organism_threshold: Option<u32>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The next keys document: the current one with the changes.
pub(super) fn document(
    current: &KeysDocument,
    changes: &Changes,
    now: Timestamp,
    lifetime: Span,
    secrets: &mut Secrets,
) -> Result<KeysDocument, Failure> {
    let mut online = current.online.clone();
    for id in &changes.drop {
        let dropped = find(&online, id)?;
        online.retain(|named| named.key.id() != dropped);
    }
    for added in &changes.add {
        let (purpose, key) = added.split_once('=').ok_or_else(|| misnamed(added))?;
        let purpose = Purpose::ALL.iter().find(|known| known.as_str() == purpose);
        let purpose = *purpose.ok_or_else(|| misnamed(added))?;
        let key = public_half(&key.parse().map_err(|_| misnamed(added))?, secrets)?;
        online.push(OnlineKey { purpose, key, not_before: now - CLOCKS_BEHIND, not_after: now + lifetime });
    }
    let next = KeysDocument {
        serial: current.serial + 1,
        issued: now,
        founder: set(&current.founder, &changes.founder, changes.threshold, secrets)?,
        organism: set(&current.organism, &changes.organism, changes.organism_threshold, secrets)?,
        online,
        ..current.clone()
    };
    next.validate().map_err(|error| {
        Failure::new("keys-contradict", "AU-4", error.to_string(), "change what is named, and draft again")
    })?;
    Ok(next)
}

/// The TUF root that names the people of this document and its keys for the repository.
pub(super) fn root(keys: &KeysDocument, previous: &[u8], expires: Timestamp) -> Result<Envelope, Failure> {
    let of = |purpose: Purpose| -> Vec<PublicKey> {
        keys.online.iter().filter(|named| named.purpose == purpose).map(|named| named.key).collect()
    };
    let (snapshot, timestamp) = (of(Purpose::Snapshot), of(Purpose::Timestamp));
    let plan = RootPlan {
        founder: &keys.founder,
        organism: &keys.organism,
        snapshot: &snapshot,
        timestamp: &timestamp,
    };
    Ok(draft::root_next(previous, &plan, expires)?)
}

/// The TUF root in force: the file that is named, or the one with the highest version in the folder's repository.
pub(super) fn root_in_force(named: Option<&Path>, folder: &Folder) -> Result<Vec<u8>, Failure> {
    let path = match named {
        Some(path) => path.to_path_buf(),
        None => highest(&folder.tuf().join("metadata"), "root")?,
    };
    read_bytes(&path, ROOT_BYTES_MAX)
}

fn misnamed(added: &str) -> Failure {
    let purposes: Vec<&str> = Purpose::ALL.iter().map(|purpose| purpose.as_str()).collect();
    let hint = format!("write PURPOSE=KEY, PURPOSE being {}", purposes.join(", "));
    Failure::usage(format!("--add {added}"), hint)
}

/// The one online key whose id begins so.
fn find(online: &[OnlineKey], id: &str) -> Result<KeyId, Failure> {
    let mut found =
        online.iter().map(|named| named.key.id()).filter(|known| known.to_string().starts_with(id));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (found, _) => {
            let how_many = if found.is_some() { "several online keys" } else { "no online key" };
            let hint = "`fedplane keys show` lists their ids";
            Err(Failure::new("unknown-key", "AU-4", format!("--drop {id}: {how_many} has that id"), hint))
        }
    }
}

/// The people as they are, with the keys and the threshold that are named.
fn set(
    current: &KeySet,
    keys: &[KeySource],
    threshold: Option<u32>,
    secrets: &mut Secrets,
) -> Result<KeySet, Failure> {
    let keys = match keys {
        [] => current.keys().to_vec(),
        keys => keys.iter().map(|key| public_half(key, secrets)).collect::<Result<_, _>>()?,
    };
    KeySet::new(threshold.unwrap_or_else(|| current.threshold()), keys).map_err(|error| {
        Failure::new("threshold", "AU-4", error.to_string(), "name as many keys as must sign, at least")
    })
}

/// What `fedplane key show --json` writes, or the key alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Public {
    Shown { public: PublicKey },
    Bare(PublicKey),
}

/// The public half of a key: of the key itself, or of a file that holds no more.
fn public_half(key: &KeySource, secrets: &mut Secrets) -> Result<PublicKey, Failure> {
    if let KeySource::File(path) = key {
        let text = read_text(path)?;
        if text.trim_start().starts_with('{') {
            let public = serde_json::from_str(&text);
            let hint = "name a key, or what `fedplane key show --json` wrote of it";
            return match public.map_err(|error| Failure::malformed(path, &error, hint))? {
                Public::Shown { public } | Public::Bare(public) => Ok(public),
            };
        }
    }
    Ok(*key.open(secrets)?.public_key())
}
