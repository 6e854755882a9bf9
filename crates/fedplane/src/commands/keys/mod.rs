//! The keys document and the TUF root that belongs to it (AU-4, RL-3): shown, signed offline by one holder after another, and
//! taken into a folder once an order has put them into force.

mod adopt;
mod draft;
mod sign;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use governance::Timestamp;
use proof::{KeySet, KeysDocument, Purpose};
use serde::Serialize;

use crate::folder::Folder;
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
    /// Takes a keys document that is in force into the federation's folder, which the plane is asked about.
    Adopt(adopt::AdoptArgs),
}

#[derive(Args, Clone, Debug)]
struct FolderArgs {
    /// The federation's folder.
    #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
    federation: PathBuf,
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

/// `fedplane keys`.
///
/// # Errors
/// When a document is missing, not signed as it must be, or not in force.
pub async fn run(args: KeysArgs, out: &Output) -> Result<(), Failure> {
    match args.command {
        KeysCommand::Show(FolderArgs { federation }) => {
            let shown = shown(&Folder::new(federation).keys_document()?);
            out.show(&shown, || report(&shown, out))
        }
        KeysCommand::Sign(args) => {
            let signed = sign::sign(&args, clock::now())?;
            out.show(&signed, || sign::report(&signed, out))
        }
        KeysCommand::Adopt(args) => {
            let adopted = adopt::run(&args).await?;
            out.show(&adopted, || adopted.report())
        }
    }
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
