//! `completions`: what a shell needs to complete this program's commands and options.
//!
//! Never asks the plane: names of instances and releases are not completed.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde::Serialize;

use crate::cli::Cli;
use crate::{Failure, Output};

/// Prints the script by which a shell completes commands and options.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// For which shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// A script and whom it is for.
#[derive(Serialize)]
struct Script {
    shell: String,
    script: String,
}

/// `fedplane completions`.
///
/// # Errors
/// When the script cannot be written.
pub fn run(args: &CompletionsArgs, out: &Output) -> Result<(), Failure> {
    let script = script(args.shell);
    if out.is_json() {
        return out.show(&Script { shell: args.shell.to_string(), script }, String::new);
    }
    out.script(&script)
}

fn script(shell: Shell) -> String {
    let mut command = Cli::command();
    let (name, mut script) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_shell_completes_every_command() {
        fn names(command: &clap::Command, found: &mut Vec<String>) {
            for sub in command.get_subcommands() {
                found.push(sub.get_name().to_owned());
                names(sub, found);
            }
        }
        let mut found = Vec::new();
        names(&Cli::command(), &mut found);
        assert!(found.len() > 60 && found.iter().any(|name| name == "check-consistency"), "{found:?}");
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for name in &found {
                assert!(script.contains(name.as_str()), "{shell:?}: {name}");
            }
            assert!(script.contains("--json") || script.contains("-l json"), "{shell:?}");
        }
    }
}
