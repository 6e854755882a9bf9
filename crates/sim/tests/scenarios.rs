//! Plays every scenario of the repository, and those of a specification that lies beside it (`../*/spec/scenarios`).

use std::fs;
use std::path::{Path, PathBuf};

use sim::scenario::run_files;

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_scenario_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let own = files(&root.join("scenarios"));
    assert!(!own.is_empty(), "the repository's scenarios are missing");
    let neighbours = fs::read_dir(root.join("..")).into_iter().flatten().filter_map(Result::ok);
    let beside = neighbours.flat_map(|neighbour| files(&neighbour.path().join("spec/scenarios")));
    let all: Vec<PathBuf> = own.into_iter().chain(beside).collect();
    let mut wrong = Vec::new();
    for result in run_files(&all).files {
        assert!(result.error.is_none(), "{result}");
        if !result.passed {
            wrong.push(result.to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
