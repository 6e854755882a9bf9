//! The constitution: the one in force, drafts of the next, what differs, and the order that amends it (FO-5).
//!
//! Never puts a law in force: the Founder's keys sign one, and the plane takes it by `order submit`.

mod diff;
mod sign;
mod source;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use governance::Constitution;
use serde::Serialize;

pub use diff::Change;
pub use sign::{AmendArgs, SignedAmendment, sign};

use self::source::{Law, in_force};
pub(crate) use self::source::{founder, of_file};
use crate::connect::ConnectArgs;
use crate::law::{self, Parameter};
use crate::table::Column;
use crate::{Failure, Output, clock};

/// Shows, checks, compares and amends the constitution: the parameters of the law (FO-5).
#[derive(Args, Clone, Debug)]
pub struct ConstitutionArgs {
    #[command(subcommand)]
    command: ConstitutionCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ConstitutionCommand {
    /// Shows every parameter with its rule and meaning: of the law in force, of a file, or the defaults.
    Show(ShowArgs),
    /// Says whether a draft reads and does not contradict itself, and where it differs from the defaults.
    Check {
        /// The draft (TOML; parameters left out have their defaults).
        file: PathBuf,
    },
    /// Shows every parameter that differs between two constitutions.
    Diff(diff::DiffArgs),
    /// Signs the Founder's order that replaces the constitution by another; offline, one holder after another.
    Sign(AmendArgs),
}

#[derive(Args, Clone, Debug)]
struct ShowArgs {
    /// A draft (TOML), a signed constitution or an order that amends it, instead of the law in force at the plane.
    file: Option<PathBuf>,
    /// Shows the constitution that `init` signs where it is given no other, as a file to begin a draft with.
    #[arg(long, conflicts_with = "file")]
    default: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    law: &'a Law,
    parameters: Vec<Parameter>,
}

/// `fedplane constitution`.
///
/// # Errors
/// When a constitution cannot be read, contradicts itself, or cannot be signed; when the plane does not answer.
pub async fn run(args: ConstitutionArgs, out: &Output) -> Result<(), Failure> {
    match args.command {
        ConstitutionCommand::Show(args) => show(&args, out).await,
        ConstitutionCommand::Check { file } => check(&file, out),
        ConstitutionCommand::Diff(args) => diff::run(&args, out).await,
        ConstitutionCommand::Sign(args) => {
            let replaced = sign::replaced(&args).await?;
            let signed = sign(&args, replaced.as_ref(), clock::now())?;
            out.show(&signed, || sign::report(&signed, out))
        }
    }
}

async fn show(args: &ShowArgs, out: &Output) -> Result<(), Failure> {
    if args.default {
        let default = Constitution::default();
        let law = Law::unsigned("the default constitution", default.clone());
        let shown = Shown { law: &law, parameters: law::parameters(&default)? };
        let text = law::render(&default)?;
        return out.show(&shown, || text);
    }
    let law = match &args.file {
        Some(file) => of_file(file, founder(&args.connect.folder())?.as_ref())?,
        None => in_force(&args.connect).await?,
    };
    let shown = Shown { law: &law, parameters: law::parameters(&law.parameters)? };
    out.show(&shown, || format!("{}\n\n{}", Output::pairs(&law.pairs()), table(&shown.parameters, out)))
}

fn check(file: &std::path::Path, out: &Output) -> Result<(), Failure> {
    let law = Law::unsigned(&file.display().to_string(), law::read(file)?);
    let changed = law::parameters(&law.parameters)?.into_iter().filter(|parameter| parameter.changed);
    let shown = Shown { law: &law, parameters: changed.collect() };
    out.show(&shown, || match shown.parameters.len() {
        0 => "It stands, and is the default constitution.".to_owned(),
        _ => format!("It stands. Other than the default:\n\n{}", table(&shown.parameters, out)),
    })
}

fn table(parameters: &[Parameter], out: &Output) -> String {
    let row = |parameter: &Parameter| {
        let Parameter { name, value, default, changed, rule, about, .. } = parameter;
        let value = if *changed { format!("{value} *") } else { value.clone() };
        vec![(*name).to_owned(), value, default.clone(), (*rule).to_owned(), (*about).to_owned()]
    };
    let header = [
        Column::new("parameter"),
        Column::text("value"),
        Column::text("default").spare(2),
        Column::new("rule").spare(1),
        Column::text("what it is"),
    ];
    let table = out.table(&header, parameters.iter().map(row));
    let note = if parameters.iter().any(|parameter| parameter.changed) { "* not the default" } else { "" };
    Output::parts(&[table, note.to_owned()])
}

#[cfg(test)]
mod tests;
