//! `cargo xtask bench`: runs the benches and prints each as a ratio to the bare loop of its group.
//!
//! Never judges: a ratio is for comparing before and after on one machine, and no test asserts one.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::tree::root;

/// The bench of each group that the others are held against.
const BARE: &str = "bare";

/// Runs every bench, or those whose name contains `filter`, and prints the table.
pub(crate) fn run(filter: Option<&str>) -> anyhow::Result<()> {
    let root = root();
    let target = root.join("target");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["bench", "--locked", "--manifest-path"]).arg(root.join("bench/Cargo.toml"));
    cargo.env("CARGO_TARGET_DIR", &target);
    if let Some(filter) = filter {
        // The bare loop runs too: without it there is no ratio.
        cargo.args(["--", &format!("{filter}|/{BARE}$")]);
    }
    ensure!(cargo.status().context("cargo bench")?.success(), "the benches failed");
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{:<40} {:>14} {:>10}", "bench", "median", "× bare")?;
    for (group, medians) in medians(&target.join("criterion"))? {
        let bare = medians.get(BARE).copied();
        for (name, nanoseconds) in medians {
            let ratio = bare.map_or_else(|| "-".to_owned(), |bare| format!("{:.1}", nanoseconds / bare));
            writeln!(out, "{:<40} {:>14} {ratio:>10}", format!("{group}/{name}"), shown(nanoseconds))?;
        }
    }
    Ok(())
}

/// Medians in nanoseconds, by group and name, as the last run left them.
fn medians(folder: &Path) -> anyhow::Result<BTreeMap<String, BTreeMap<String, f64>>> {
    let mut found: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    for group in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let group = group?;
        if !group.file_type()?.is_dir() || group.file_name() == "report" {
            continue;
        }
        for bench in fs::read_dir(group.path())? {
            let bench = bench?;
            let file = bench.path().join("new/estimates.json");
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let estimates: serde_json::Value = serde_json::from_str(&text)?;
            let Some(median) =
                estimates.pointer("/median/point_estimate").and_then(serde_json::Value::as_f64)
            else {
                bail!("{}: no median", file.display());
            };
            let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
            found.entry(name(&group)).or_default().insert(name(&bench), median);
        }
    }
    Ok(found)
}

/// A time in the unit that suits it.
fn shown(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.1} ns"),
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_its_unit() {
        let shown = [3.2, 4_100.0, 27_000_000.0, 1.5e9].map(shown);
        assert_eq!(shown, ["3.2 ns", "4.1 µs", "27.0 ms", "1.50 s"]);
    }
}
