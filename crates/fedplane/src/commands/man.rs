//! `man`: the manual as pages of `man`, one for each command.
//!
//! Never says anything that `--help` does not: both are made of the same words.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};
use serde::Serialize;

use crate::cli::Cli;
use crate::folder::write_whole;
use crate::{Failure, Output};

/// Writes the manual: a page of `man` for each command.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// The folder that the pages go to, as /usr/local/share/man/man1; it is made where there is none.
    dir: PathBuf,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Written {
    dir: PathBuf,
    pages: Vec<String>,
}

/// `fedplane man`.
///
/// # Errors
/// When a page cannot be written.
pub fn run(args: &ManArgs, out: &Output) -> Result<(), Failure> {
    let pages = write(&args.dir)?;
    let written = Written { dir: args.dir.clone(), pages };
    out.show(&written, || {
        let (pages, dir) = (written.pages.len(), written.dir.display());
        format!("{pages} pages are in {dir}; `man {dir}/fedplane.1` shows the first.")
    })
}

/// Writes every page; gives their names.
fn write(dir: &Path) -> Result<Vec<String>, Failure> {
    fs::create_dir_all(dir).map_err(|error| Failure::file(dir, "make it", &error))?;
    // As clap itself names commands below others: `fedplane-key-show`.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut names = Vec::new();
    page(&command, dir, &mut names)?;
    Ok(names)
}

fn page(command: &clap::Command, dir: &Path, names: &mut Vec<String>) -> Result<(), Failure> {
    let man = clap_mangen::Man::new(command.clone());
    let name = man.get_filename();
    let mut bytes = Vec::new();
    let path = dir.join(&name);
    man.render(&mut bytes).map_err(|error| Failure::file(&path, "make it", &error))?;
    write_whole(&path, &bytes)?;
    names.push(name);
    let mut subs = command.get_subcommands().filter(|sub| sub.get_name() != "help");
    subs.try_for_each(|sub| page(sub, dir, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_says_what_it_is_for() {
        fn check(command: &clap::Command, name: &str, dir: &Path) -> usize {
            let path = dir.join(format!("{name}.1"));
            let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            let about = command.get_about().unwrap().to_string();
            let word = about.split(' ').next().unwrap();
            assert!(page.contains(".SH SYNOPSIS") && page.contains(word), "{name}: {page}");
            let subs = command.get_subcommands();
            1 + subs.map(|sub| check(sub, &format!("{name}-{}", sub.get_name()), dir)).sum::<usize>()
        }
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("man1");
        let names = write(&dir).unwrap();
        let count = check(&Cli::command(), "fedplane", &dir);
        assert_eq!((names.len(), fs::read_dir(&dir).unwrap().count()), (count, count));
        assert!(count > 60, "{names:?}");
    }
}
