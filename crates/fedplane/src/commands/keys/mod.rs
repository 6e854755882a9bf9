//! The keys document and the TUF root that belongs to it (AU-4, RL-3): shown, signed offline by one holder after another, and
//! taken into a folder once an order has put them into force.

mod adopt;
mod draft;
mod show;
mod sign;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use governance::Timestamp;
use proof::{KeySet, KeysDocument, Purpose};
use serde::Serialize;

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
    /// Shows a keys document: who signs what, and until when; of one on its way, what would come and go.
    Show(show::ShowArgs),
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

/// `fedplane keys`.
///
/// # Errors
/// When a document is missing, not signed as it must be, or not in force.
pub async fn run(args: KeysArgs, out: &Output) -> Result<(), Failure> {
    match args.command {
        KeysCommand::Show(args) => {
            let shown = show::show(&args)?;
            out.show(&shown, || shown.report(out))
        }
        KeysCommand::Sign(args) => {
            let mut secrets = args.secrets.secrets()?;
            let prepared = sign::prepare(&args, clock::now(), &mut secrets)?;
            if !out.is_json() {
                // Before any passphrase is asked for, and anything signed.
                out.note(&format!("{}\n", prepared.report(out)));
            }
            let signed = sign::sign(&args, prepared, &mut secrets)?;
            out.show(&signed, || sign::report(&signed))
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

/// The keys as a table.
fn table(keys: &[Listed], out: &Output) -> String {
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| out.time(at));
    let row = |key: &Listed| vec![key.role.clone(), key.id.clone(), time(key.from), time(key.until)];
    let header = [Column::new("signs as"), Column::new("key"), Column::new("from"), Column::new("until")];
    out.table(&header, keys.iter().map(row))
}

#[cfg(test)]
mod tests;
