//! Holds the house rules that no lint covers: nothing unfinished, no test switched off, no overlong file.
//!
//! Length and missing module docs are notes, not failures: they call for a look, not for a cut.

use crate::Report;
use crate::tree::{SourceFile, files};

/// A file longer than this is listed.
const LINES_MAX: usize = 600;

/// What an unfinished or silenced piece of code says. Written in halves, so that this file may be judged too.
const UNFINISHED: &[&str] =
    &[concat!("to", "do!("), concat!("to", "do!()"), concat!("un", "implemented!("), concat!("#[ig", "nore")];

/// Judges every Rust file of the tree.
pub(crate) fn check() -> anyhow::Result<Report> {
    let mut report = Report::default();
    for file in files("crates", &[".rs"])?.iter().chain(&files("xtask", &[".rs"])?) {
        report.problems.extend(unfinished(file));
        report.notes.extend(remarks(file));
    }
    Ok(report)
}

fn unfinished(file: &SourceFile) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    let found = lines.filter(|(_, line)| UNFINISHED.iter().any(|word| line.contains(word)));
    found.map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim())).collect()
}

fn remarks(file: &SourceFile) -> Vec<String> {
    let mut remarks = Vec::new();
    let lines = file.text.lines().count();
    if lines > LINES_MAX {
        remarks.push(format!("{} has {lines} lines, more than {LINES_MAX}", file.path));
    }
    if !file.text.trim_start().starts_with("//!") {
        remarks.push(format!("{} does not open with what it does", file.path));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_unfinished() {
        let report = check().unwrap();
        assert!(report.problems.is_empty(), "{}", report.problems.join("\n"));
    }

    #[test]
    fn stubs_and_silenced_tests_are_found() {
        let check = |text: String, count: usize| {
            assert_eq!(unfinished(&SourceFile { path: "a.rs".into(), text }).len(), count);
        };
        check("fn a() {}".into(), 0);
        check(concat!("fn a() { to", "do!() }").into(), 1);
        check(concat!("#[test]\n#[ig", "nore = \"slow\"]\nfn a() {}").into(), 1);
        let long = SourceFile { path: "a.rs".into(), text: format!("//! A.{}", "\n".repeat(700)) };
        assert_eq!(remarks(&long).len(), 1);
    }
}
