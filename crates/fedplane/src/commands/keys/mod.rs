//! The keys document and the TUF root that belongs to it (AU-4, RL-3): shown, signed offline by one holder after another, and
//! taken into a folder once an order has put them into force.

mod draft;
mod sign;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use governance::Timestamp;
use proof::{KeySet, KeysDocument, Purpose};
use serde::Serialize;

use crate::folder::{Folder, read_document, write_whole};
use crate::table::Column;
use crate::{Failure, Output, clock};

pub use sign::{KeysSignArgs, SignedKeys};

/// The file of the keys document in a folder of `keys sign`.
const DOCUMENT: &str = "keys.json";
/// The file of the TUF root beside it.
const ROOT: &str = "root.json";

/// The keys that govern: which they are, and others in their place.
#[derive(Args, Clone, Debug)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum KeysCommand {
    /// Shows the folder's keys document: who signs what, and until when.
    Show(FolderArgs),
    /// Drafts and signs the next keys document and TUF root, offline; run again on the same folder with another key.
    Sign(Box<KeysSignArgs>),
    /// Takes a keys document that is in force into the federation's folder, for the commands that read it there.
    Adopt(AdoptArgs),
}

#[derive(Args, Clone, Debug)]
struct FolderArgs {
    /// The federation's folder.
    #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
    federation: PathBuf,
}

#[derive(Args, Clone, Debug)]
struct AdoptArgs {
    /// The folder that `keys sign` filled.
    folder: PathBuf,
    #[command(flatten)]
    federation: FolderArgs,
}

/// A key of the document, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Listed {
    /// Its id.
    id: String,
    /// `founder`, `organism`, or what it is for.
    role: String,
    /// The first instant it counts; of offline keys none is said.
    from: Option<Timestamp>,
    /// The last.
    until: Option<Timestamp>,
}

#[derive(Serialize)]
struct Shown {
    serial: u64,
    trust_domain: String,
    issued: Timestamp,
    founder_threshold: u32,
    organism_threshold: u32,
    keys: Vec<Listed>,
}

#[derive(Serialize)]
struct Adopted {
    serial: u64,
    /// Where the root keys before lie from now on, where others came.
    founder_before: Option<PathBuf>,
}

/// `fedplane keys`.
///
/// # Errors
/// When a document is missing or not signed as it must be.
pub fn run(args: KeysArgs, out: &Output) -> Result<(), Failure> {
    match args.command {
        KeysCommand::Show(FolderArgs { federation }) => {
            let shown = shown(&Folder::new(federation).keys_document()?);
            out.show(&shown, || report(&shown, out))
        }
        KeysCommand::Sign(args) => {
            let signed = sign::sign(&args, clock::now())?;
            out.show(&signed, || sign::report(&signed, out))
        }
        KeysCommand::Adopt(AdoptArgs { folder, federation }) => {
            let adopted = adopt(&folder, &Folder::new(federation.federation))?;
            out.show(&adopted, || {
                let serial = adopted.serial;
                match &adopted.founder_before {
                    None => format!("The folder goes by keys document {serial} now."),
                    Some(path) => format!(
                        "The folder goes by keys document {serial} and its root keys now; hand out the new founder.json.\n\
                         Auditors who begin at the first entry of the ledger need the old one: {}",
                        path.display()
                    ),
                }
            })
        }
    }
}

/// Puts the document in the place of the folder's, if that lets it follow (AU-4).
fn adopt(from: &Path, to: &Folder) -> Result<Adopted, Failure> {
    let current = to.keys_document()?;
    let document = read_document(&from.join(DOCUMENT))?;
    let next = current.open_successor(&document).map_err(|error| {
        let hint = "name the folder whose documents an order has put into force";
        Failure::new("keys-untrusted", "AU-4", error.to_string(), hint)
    })?;
    let founder_before = if next.founder == current.founder {
        None
    } else {
        let kept = to.path().join(format!("founder.{}.json", current.serial));
        let fail = |error: std::io::Error| Failure::file(&kept, "keep the root keys there", &error);
        std::fs::copy(to.founder(), &kept).map_err(fail)?;
        Some(kept)
    };
    // The document first: the root keys before open it too, since they signed it.
    write_whole(&to.keys(), document.to_json().as_bytes())?;
    if founder_before.is_some() {
        let text = serde_json::to_string_pretty(&next.founder)
            .map_err(|error| Failure::new("output", "AU-4", error.to_string(), ""))?;
        write_whole(&to.founder(), format!("{text}\n").as_bytes())?;
    }
    Ok(Adopted { serial: next.serial, founder_before })
}

fn offline<'a>(role: &'a str, set: &'a KeySet) -> impl Iterator<Item = Listed> + 'a {
    set.keys().iter().map(move |key| Listed {
        id: key.id().to_string(),
        role: role.to_owned(),
        from: None,
        until: None,
    })
}

/// Every key of a document: offline ones first, then by purpose.
fn listed(keys: &KeysDocument) -> Vec<Listed> {
    let mut all: Vec<Listed> =
        offline("founder", &keys.founder).chain(offline("organism", &keys.organism)).collect();
    for purpose in Purpose::ALL {
        let named = keys.online.iter().filter(|named| named.purpose == *purpose);
        all.extend(named.map(|named| Listed {
            id: named.key.id().to_string(),
            role: purpose.to_string(),
            from: Some(named.not_before),
            until: Some(named.not_after),
        }));
    }
    all
}

fn shown(keys: &KeysDocument) -> Shown {
    Shown {
        serial: keys.serial,
        trust_domain: keys.trust_domain.to_string(),
        issued: keys.issued,
        founder_threshold: keys.founder.threshold(),
        organism_threshold: keys.organism.threshold(),
        keys: listed(keys),
    }
}

fn report(shown: &Shown, out: &Output) -> String {
    let pairs = Output::pairs(&[
        ("federation", shown.trust_domain.clone()),
        ("keys document", format!("{}, of {}", shown.serial, shown.issued)),
        ("Founder", format!("{} must sign", shown.founder_threshold)),
        ("Organism", format!("{} must sign", shown.organism_threshold)),
    ]);
    Output::parts(&[pairs, table(&shown.keys, out)])
}

/// The keys as a table.
fn table(keys: &[Listed], out: &Output) -> String {
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| out.time(at));
    let row = |key: &Listed| vec![key.role.clone(), key.id.clone(), time(key.from), time(key.until)];
    let header = [Column::new("signs as"), Column::new("key"), Column::new("from"), Column::new("until")];
    out.table(&header, keys.iter().map(row))
}
