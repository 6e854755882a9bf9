//! `migrate`: a federation's records copied from its file into a database server, and proven to be the same there.
//!
//! Never changes the file, and never writes to a database that holds anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use server::Settings;
use server::settings::Store;
use store::{Copied, CopyError, Place, copy_to_postgres};

use super::ledger::{no_store, places, verify_store};
use crate::folder::{Folder, read_root_keys};
use crate::{Failure, Output};

/// Moves a federation's records from one database to another.
#[derive(Args, Clone, Debug)]
pub struct MigrateArgs {
    #[command(subcommand)]
    command: MigrateCommand,
}

/// From where to where.
#[derive(Clone, Debug, Subcommand)]
enum MigrateCommand {
    /// From the file in its folder to an empty database of PostgreSQL, while no server runs.
    SqliteToPostgres(ToPostgresArgs),
}

/// What to copy, and where to.
#[derive(Args, Clone, Debug)]
struct ToPostgresArgs {
    /// The federation's folder, or the folder that holds its fedplane.db.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The empty database, as postgres://USER@HOST:PORT/DATABASE.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The file with that user's password, mode 0600.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The certificates (PEM) of those who vouch for the database server; needed where it is not on this machine.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The root keys by which the copied ledger is verified [default: founder.json of --data].
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

/// What was copied.
#[derive(Debug, Serialize)]
struct Migrated {
    /// Each table and its rows, the same in both.
    tables: Vec<Counted>,
    world_revision: u64,
    /// The ledger's size and the root of its tree, the same in both.
    ledger_size: u64,
    ledger_root: String,
    /// Whether the ledger was verified in the database, by the root keys.
    verified: bool,
    /// What to write into fedplane.toml.
    settings: String,
}

#[derive(Debug, Serialize)]
struct Counted {
    table: &'static str,
    rows: u64,
}

/// `fedplane migrate`.
///
/// # Errors
/// When a server runs, one of the two cannot be used, or they differ.
pub async fn run(args: MigrateArgs, out: &Output) -> Result<(), Failure> {
    let MigrateCommand::SqliteToPostgres(args) = args.command;
    let target = Store {
        url: args.to.clone(),
        password_file: args.password_file.clone().unwrap_or_default(),
        ca_file: args.ca_file.clone().unwrap_or_default(),
    };
    let (place, ledger) = places(&args.data)?;
    let Place::File(file) = place else {
        let hint = "this folder's fedplane.toml names a database server in store.url: its records are there";
        return Err(Failure::new("store", "CLI", "the records are in no file", hint));
    };
    let server = target_place(target.clone())?;
    let Place::Server(url, options) = server.clone() else {
        return Err(Failure::usage("--to is empty", "write it as postgres://USER@HOST:PORT/DATABASE"));
    };
    let _locked = server::lock_database(&file)
        .map_err(|error| Failure::new("store", "LG-1", error.to_string(), "stop the server, then migrate"))?;
    let tell = |table: &'static str, rows: u64| out.note(&format!("{table}: {rows} rows, read back"));
    let copied = copy_to_postgres(&file, &url, options, tell).await.map_err(|error| not_copied(&error))?;
    let root = args.root.unwrap_or_else(|| Folder::new(&args.data).founder());
    let verified = match root.exists() {
        true => verify_store(read_root_keys(&root)?, &ledger, server).await?.is_some(),
        false => false,
    };
    let Copied { tables, world_revision, ledger } = copied;
    let tables = tables.into_iter().map(|(table, rows)| Counted { table, rows }).collect();
    let migrated = Migrated {
        tables,
        world_revision,
        ledger_size: ledger.size,
        ledger_root: ledger.root.to_string(),
        verified,
        settings: to_toml(&target),
    };
    out.show(&migrated, || shown(&migrated))
}

/// The target as the server's settings would name it, so that it is checked as they are.
fn target_place(store: Store) -> Result<Place, Failure> {
    let option = |key: &str| match key {
        "store.password_file" => "--password-file",
        "store.ca_file" => "--ca-file",
        _ => "--to",
    };
    let wrong = |(key, why): (&'static str, String)| {
        Failure::usage(
            format!("{}: {why}", option(key)),
            "a database server is named as in [store] of fedplane.toml",
        )
    };
    let settings = Settings { store, ..Settings::in_folder(".") };
    settings.check().map_err(wrong)?;
    settings.store_place().map_err(wrong)
}

fn not_copied(error: &CopyError) -> Failure {
    let hint = match error {
        CopyError::Open(error) => return no_store(error),
        CopyError::NotEmpty { .. } => "make a database for this federation alone: CREATE DATABASE fedplane",
        CopyError::Differs(_) | CopyError::Failed(_) => {
            "nothing was kept there; mend what is named, and migrate again"
        }
    };
    Failure::new("store", "LG-1", error.to_string(), hint)
}

fn to_toml(store: &Store) -> String {
    let line = |key: &str, value: &str| format!("{key} = {value:?}\n");
    let mut text = "[store]\n".to_owned() + &line("url", &store.url);
    for (key, file) in [("password_file", &store.password_file), ("ca_file", &store.ca_file)] {
        if !file.as_os_str().is_empty() {
            text += &line(key, &file.display().to_string());
        }
    }
    text
}

fn shown(migrated: &Migrated) -> String {
    let verified = if migrated.verified {
        "yes, in the database, by the root keys"
    } else {
        "no: name the root keys with --root, once a checkpoint was published"
    };
    let rows: u64 = migrated.tables.iter().map(|counted| counted.rows).sum();
    let pairs = Output::pairs(&[
        ("rows", format!("{rows} in {} tables, the same in both", migrated.tables.len())),
        ("world", format!("revision {}", migrated.world_revision)),
        ("ledger", format!("{} entries, root {}", migrated.ledger_size, migrated.ledger_root)),
        ("verified", verified.to_owned()),
    ]);
    let next = format!(
        "Write into fedplane.toml of every server, and start it:\n\n{}\nThe file stays as it is: a backup of this moment.",
        migrated.settings
    );
    Output::parts(&[pairs, next])
}
