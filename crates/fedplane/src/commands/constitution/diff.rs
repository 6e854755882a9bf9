//! What differs between two constitutions.
//!
//! Never judges: whether a change loosens or tightens the law is for its reader to say.

use std::path::PathBuf;

use clap::Args;
use governance::Constitution;
use serde::Serialize;

use super::source::{Law, founder, in_force, of_file};
use crate::connect::ConnectArgs;
use crate::table::Column;
use crate::{Failure, Output, law};

/// Which two to compare.
#[derive(Args, Clone, Debug)]
pub(super) struct DiffArgs {
    /// OLD and NEW, or NEW alone to compare it with the law in force: drafts (TOML), signed constitutions, or orders.
    #[arg(value_name = "FILE", required = true, num_args = 1..=2)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// A parameter that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub name: &'static str,
    /// Its value before, as TOML.
    pub old: String,
    /// Its value after, as TOML.
    pub new: String,
    /// The rule it belongs to.
    pub rule: &'static str,
    /// What it is.
    pub about: &'static str,
}

#[derive(Serialize)]
struct Difference {
    old: Law,
    new: Law,
    changes: Vec<Change>,
}

/// Every parameter that differs, in the order of the law.
pub(super) fn changes(old: &Constitution, new: &Constitution) -> Result<Vec<Change>, Failure> {
    let (old, new) = (law::parameters(old)?, law::parameters(new)?);
    let changed = old.into_iter().zip(new).filter(|(old, new)| old.value != new.value);
    let change = |(old, new): (law::Parameter, law::Parameter)| Change {
        name: new.name,
        old: old.value,
        new: new.value,
        rule: new.rule,
        about: new.about,
    };
    Ok(changed.map(change).collect())
}

/// `fedplane constitution diff`.
pub(super) async fn run(args: &DiffArgs, out: &Output) -> Result<(), Failure> {
    let keys = founder(&args.connect.folder())?;
    let (old, new) = match args.files.as_slice() {
        [old, new] => (of_file(old, keys.as_ref())?, of_file(new, keys.as_ref())?),
        [new] => {
            // The file first: a draft that does not read needs no plane to say so.
            let new = of_file(new, keys.as_ref())?;
            (in_force(&args.connect).await?, new)
        }
        _ => return Err(Failure::usage("no constitution is named", "name OLD and NEW, or NEW alone")),
    };
    let changes = changes(&old.parameters, &new.parameters)?;
    let difference = Difference { old, new, changes };
    out.show(&difference, || text(&difference, out))
}

fn text(difference: &Difference, out: &Output) -> String {
    let Difference { old, new, changes } = difference;
    if changes.is_empty() {
        return format!("No parameter differs between {} and {}.", old.source, new.source);
    }
    let names = Output::pairs(&[("old", old.source.clone()), ("new", new.source.clone())]);
    format!("{names}\n\n{}", table(changes, out))
}

/// What differs, a row a parameter.
pub(super) fn table(changes: &[Change], out: &Output) -> String {
    let row = |change: &Change| {
        let Change { name, old, new, rule, about } = change;
        vec![(*name).to_owned(), format!("{old} → {new}"), (*rule).to_owned(), (*about).to_owned()]
    };
    let header = [
        Column::new("parameter"),
        Column::text("old → new"),
        Column::new("rule").spare(1),
        Column::text("what it is").spare(2),
    ];
    out.table(&header, changes.iter().map(row))
}
