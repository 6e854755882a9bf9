//! Takes a keys document that is in force into the folder, and keeps the one before.
//!
//! Never takes one that the plane does not go by, unless told not to ask.

use std::path::{Path, PathBuf};

use clap::Args;
use client::Public;
use proof::jws::DOCUMENT_BYTES_MAX;
use proof::{Jws, KeysDocument};
use serde::Serialize;
use trust::RootCa;
use trust::keyfile::{PUBLIC_MODE, write_over};

use super::{DOCUMENT, FolderArgs};
use crate::Failure;
use crate::connect::{public_url, tls_failure};
use crate::folder::{Folder, TEXT_BYTES_MAX, read_bytes, read_document};

/// How many documents back the one before is looked for.
const BEFORE_MAX: usize = 1_024;

#[derive(Args, Clone, Debug)]
pub(super) struct AdoptArgs {
    /// The folder that `keys sign` filled.
    folder: PathBuf,
    #[command(flatten)]
    federation: FolderArgs,
    /// The address where the plane publishes, instead of the folder's, as `https://plane.example:8445`.
    #[arg(long, value_name = "URL", conflicts_with = "offline")]
    url: Option<String>,
    /// Does not ask the plane whether the document is in force: under one that is not, the server does not start.
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Adopted {
    pub(super) serial: u64,
    /// Whether the folder had the document already.
    pub(super) repeated: bool,
    /// Where the document before lies from now on.
    pub(super) keys_before: Option<PathBuf>,
    /// Where the root keys before lie from now on, where others came.
    pub(super) founder_before: Option<PathBuf>,
}

pub(super) async fn run(args: &AdoptArgs) -> Result<Adopted, Failure> {
    let to = Folder::new(&args.federation.federation);
    let document = read_document(&args.folder.join(DOCUMENT))?;
    if !args.offline && !is_there(&to, &document)? {
        let next = successor(&to.keys_document()?, &document)?;
        in_force(&next, &asked(args.url.as_deref(), &to).await?)?;
    }
    adopt(&document, &to)
}

/// The keys document that the plane goes by.
async fn asked(url: Option<&str>, folder: &Folder) -> Result<Jws, Failure> {
    let unasked = |mut failure: Failure| {
        for reason in &mut failure.reasons {
            reason.hint.push_str("; or adopt it without asking the plane: --offline");
        }
        failure
    };
    let root = RootCa::from_pem(&folder.keys_document()?.root_ca)?;
    let tls = trust::tls::anonymous_client_config(&root).map_err(|error| tls_failure(&error))?;
    let url = url.map_or_else(|| public_url(folder), |url| Ok(url.to_owned())).map_err(unasked)?;
    let public = Public::new(&url, tls).map_err(|error| unasked(error.into()))?;
    let answer = public.file("/keys.json", DOCUMENT_BYTES_MAX as u64).await;
    let document = answer.map_err(|error| unasked(error.into()))?.unwrap_or_default();
    Jws::parse(&document).map_err(|error| {
        let detail = format!("{url}/keys.json: {error}");
        unasked(Failure::new("keys-untrusted", "AU-4", detail, "give the public listener's address (8445)"))
    })
}

/// Whether the document is the one that the plane goes by, or came before it.
pub(super) fn in_force(next: &KeysDocument, plane: &Jws) -> Result<(), Failure> {
    let there: KeysDocument = plane
        .parse_unverified()
        .map_err(|error| Failure::untrusted("the plane's keys document", "AU-4", &error))?;
    if there == *next || next.open_successor(plane).is_ok() {
        return Ok(());
    }
    let detail = match there.serial < next.serial {
        true => format!("the plane goes by keys document {}, and not by {} yet", there.serial, next.serial),
        false => format!("the plane goes by another keys document {}", there.serial),
    };
    let hint = "put it into force first: `fedplane order sign --do keys`, `fedplane order submit`";
    Err(Failure::new("keys-not-in-force", "AU-4", detail, hint))
}

fn successor(current: &KeysDocument, document: &Jws) -> Result<KeysDocument, Failure> {
    current.open_successor(document).map_err(|error| {
        let hint = "name the folder whose documents an order has put into force";
        Failure::new("keys-untrusted", "AU-4", error.to_string(), hint)
    })
}

fn is_there(folder: &Folder, document: &Jws) -> Result<bool, Failure> {
    let found: Option<KeysDocument> = document.parse_unverified().ok();
    Ok(found == Some(folder.keys_document()?))
}

/// Puts the document in the place of the folder's, if that lets it follow (AU-4). Where it is there already, does what a try
/// that was cut short has left.
pub(super) fn adopt(document: &Jws, to: &Folder) -> Result<Adopted, Failure> {
    let current = to.keys_document()?;
    let repeated = is_there(to, document)?;
    let kept = |name: &str, serial: u64| to.path().join(format!("{name}.{serial}.json"));
    let (next, before) = if repeated {
        let earlier =
            (1..current.serial).rev().take(BEFORE_MAX).find(|serial| kept("keys", *serial).exists());
        (current.clone(), earlier)
    } else {
        (successor(&current, document)?, Some(current.serial))
    };
    let other_founder = to.root_keys()? != next.founder;
    let keys_before = before.map(|serial| kept("keys", serial));
    let founder_before =
        other_founder.then(|| kept("founder", before.unwrap_or_else(|| next.serial.saturating_sub(1))));
    if let Some(kept) = keys_before.as_ref().filter(|_| !repeated) {
        keep(&to.keys(), kept)?;
    }
    if let Some(kept) = &founder_before {
        keep(&to.founder(), kept)?;
    }
    // The document first: the root keys before open it too, since they signed it.
    if !repeated {
        write_over(&to.keys(), document.to_json().as_bytes(), PUBLIC_MODE)?;
    }
    if other_founder {
        let text = serde_json::to_string_pretty(&next.founder)
            .map_err(|error| Failure::new("output", "AU-4", error.to_string(), ""))?;
        write_over(&to.founder(), format!("{text}\n").as_bytes(), PUBLIC_MODE)?;
    }
    Ok(Adopted { serial: next.serial, repeated, keys_before, founder_before })
}

/// Copies a document to where it is kept; what is kept there already stays.
fn keep(from: &Path, to: &Path) -> Result<(), Failure> {
    let bytes = read_bytes(from, TEXT_BYTES_MAX)?;
    if !to.exists() {
        return Ok(write_over(to, &bytes, PUBLIC_MODE)?);
    }
    match read_bytes(to, TEXT_BYTES_MAX)? == bytes {
        true => Ok(()),
        false => {
            Err(Failure::file(to, "keep the one before there", &"another is there already; move it away"))
        }
    }
}

impl Adopted {
    pub(super) fn report(&self) -> String {
        let serial = self.serial;
        let mut lines = vec![match (self.repeated, &self.founder_before) {
            (true, None) => format!("The folder goes by keys document {serial} already."),
            (true, Some(_)) => {
                format!(
                    "The folder had keys document {serial} already, and goes by its root keys now, too; hand out the new founder.json."
                )
            }
            (false, None) => format!("The folder goes by keys document {serial} now."),
            (false, Some(_)) => {
                format!(
                    "The folder goes by keys document {serial} and its root keys now; hand out the new founder.json."
                )
            }
        }];
        lines.extend(self.keys_before.as_ref().map(|path| format!("The one before: {}", path.display())));
        lines.extend(self.founder_before.as_ref().map(|path| {
            format!(
                "Auditors who begin at the first entry of the ledger need the old root keys: {}",
                path.display()
            )
        }));
        lines.join("\n")
    }
}
