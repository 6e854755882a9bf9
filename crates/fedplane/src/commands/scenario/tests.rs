//! What `fedplane scenario run` prints and ends with.

use std::fs;
use std::path::Path;

use super::*;

const HEAD: &str = "name = \"x\"\n[[instance]]\nname = \"a\"\n";
const HOLDS: &str = "[[expect]]\nat = \"1h\"\ninstance = \"a\"\nstate = \"active\"\n";
const FAILS: &str = "[[expect]]\nat = \"1h\"\ninstance = \"a\"\nstate = \"revoked\"\n";

/// Plays these, named from the folder on; what was printed, and the code of the failure.
fn played(folder: &Path, names: &[&str], json: bool) -> (String, Option<(String, u8)>) {
    let files = names.iter().map(|name| folder.join(name)).collect();
    let (out, captured) = Output::captured(json);
    let answer = run(&ScenarioArgs { command: ScenarioCommand::Run { files } }, &out);
    let text = captured.text().replace(&format!("{}/", folder.display()), "");
    (text, answer.err().map(|failure| (failure.code().to_owned(), failure.exit_code())))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("set")).unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("set/b.toml", format!("{HEAD}{FAILS}"));
    write("set/a.toml", format!("{HEAD}{HOLDS}"));
    write("set/notes.md", "no scenario".to_owned());
    write("bad.toml", "nmae = \"x\"\n".to_owned());
    folder
}

#[test]
fn a_line_a_file_and_the_sum() {
    let folder = folder();
    let check = |names: &[&str], expected: &str, code: Option<u8>| {
        let (text, failure) = played(folder.path(), names, false);
        assert_eq!(text, expected, "{names:?}");
        assert_eq!(failure, code.map(|code| ("scenario-failed".into(), code)));
    };
    let failed = "set/b.toml: at 1h (line 4), instance a, state: expected revoked, found active\n";
    check(&["set/a.toml"], "set/a.toml: ok\n1 passed, 0 failed\n", None);
    check(&["set/b.toml"], &format!("{failed}0 passed, 1 failed\n"), Some(1));
    check(&["set"], &format!("set/a.toml: ok\n{failed}1 passed, 1 failed\n"), Some(1));
    check(
        &["bad.toml", "none.toml", "empty", "set/a.toml"],
        "bad.toml:1: unknown key `nmae`: did you mean `name`?\n\
         none.toml: No such file or directory (os error 2)\n\
         empty: a folder without scenarios: none of its files ends in .toml\n\
         set/a.toml: ok\n1 passed, 3 failed\n",
        Some(1),
    );
}

#[test]
fn programs_read_the_same_as_json() {
    let folder = folder();
    let (text, failure) = played(folder.path(), &["set", "bad.toml"], true);
    assert!(failure.is_some());
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &2.into()));
    let file = |index: usize| &report["files"][index];
    assert_eq!((&file(0)["file"], &file(0)["passed"]), (&"set/a.toml".into(), &true.into()));
    let failed = &file(1)["failed"];
    assert_eq!((&failed["at"], &failed["line"]), (&"1h".into(), &4.into()));
    assert_eq!((&failed["expected"], &failed["found"]), (&"revoked".into(), &"active".into()));
    assert_eq!(file(2)["error"]["line"], 1);
}
