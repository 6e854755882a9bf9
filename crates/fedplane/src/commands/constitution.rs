//! The constitution: what the Founder signed, and whether a draft could be (FO-5).

use std::path::PathBuf;

use clap::{Args, Subcommand};
use governance::{ConstitutionDocument, Digest, Timestamp};
use proof::Typ;
use serde::Serialize;

use crate::folder::{Folder, read_document, read_text};
use crate::law::{self, Parameter};
use crate::table::Column;
use crate::{Failure, Output};

/// The constitution: its parameters as signed, and drafts of it (FO-5).
#[derive(Args, Clone, Debug)]
pub struct ConstitutionArgs {
    #[command(subcommand)]
    command: ConstitutionCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ConstitutionCommand {
    /// Shows every parameter as the Founder signed it.
    Show {
        /// The federation's folder.
        #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
        federation: PathBuf,
    },
    /// Says whether a draft reads and does not contradict itself, and what it changes of the defaults.
    Check {
        /// The draft (TOML).
        file: PathBuf,
    },
}

#[derive(Serialize)]
struct Shown {
    digest: Option<Digest>,
    effective: Option<Timestamp>,
    parameters: Vec<Parameter>,
}

/// `fedplane constitution`.
///
/// # Errors
/// When the file cannot be read, is not signed, or contradicts itself.
pub fn run(args: &ConstitutionArgs, out: &Output) -> Result<(), Failure> {
    match &args.command {
        ConstitutionCommand::Show { federation } => {
            let folder = Folder::new(federation);
            let document = read_document(&folder.constitution_signed())?;
            let founder = folder.keys_document()?.founder;
            let law: ConstitutionDocument = document
                .open(Typ::Constitution, &founder)
                .map_err(|error| Failure::untrusted("constitution.sig", "FO-5", &error))?;
            let shown = Shown {
                digest: Some(document.digest()),
                effective: Some(law.effective),
                parameters: law::parameters(&law.parameters)?,
            };
            out.show(&shown, || {
                let pairs =
                    [("digest", document.digest().to_string()), ("effective", law.effective.to_string())];
                format!("{}\n\n{}", Output::pairs(&pairs), table(&shown.parameters, out))
            })
        }
        ConstitutionCommand::Check { file } => {
            let law = law::parse(&read_text(file)?)?;
            let parameters: Vec<_> =
                law::parameters(&law)?.into_iter().filter(|parameter| parameter.changed).collect();
            let shown = Shown { digest: None, effective: None, parameters };
            out.show(&shown, || match shown.parameters.len() {
                0 => "It stands, and is the default constitution.".to_owned(),
                _ => format!("It stands. Other than the default:\n\n{}", table(&shown.parameters, out)),
            })
        }
    }
}

fn table(parameters: &[Parameter], out: &Output) -> String {
    let row = |parameter: &Parameter| {
        let Parameter { name, value, changed, rule, about } = parameter;
        let value = if *changed { format!("{value} *") } else { value.clone() };
        vec![(*name).to_owned(), value, (*rule).to_owned(), (*about).to_owned()]
    };
    let header = [
        Column::new("parameter"),
        Column::text("value"),
        Column::new("rule").spare(1),
        Column::text("what it is"),
    ];
    let table = out.table(&header, parameters.iter().map(row));
    format!("{table}\n\n* not the default")
}
