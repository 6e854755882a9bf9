//! Holds `docs/attacks.md` to the product: who attacks stands in the threat model, what answers is a code of `docs/api.md`
//! with its status or an error of the source, and each row names tests, which `links` looks for.
//!
//! Never runs an attack: the tests do. Never judges what a row says in words.

use std::collections::{BTreeMap, BTreeSet};

use crate::Report;
use crate::links::{tests_named, tests_of_crates};
use crate::tree::{SourceFile, files, shipped_part};

/// The page.
const PAGE: &str = "docs/attacks.md";
/// Who attacks: the first cells of its table of two words or more.
const THREATS: &str = "docs/threat-model.md";
/// Codes and their statuses.
const API: &str = "docs/api.md";
/// Fewer would not be the table that was promised.
const ROWS_MIN: usize = 40;
/// Where sections of the TUF specification are named.
const TUF: &str = "crates/proof/src/tuf/";

/// Compares the page with the product.
pub(crate) fn check() -> anyhow::Result<Report> {
    let pages = files("docs", &[".md"])?;
    let text = |path: &str| pages.iter().find(|page| page.path == path).map_or("", |page| page.text.as_str());
    let known = Known::of(text(THREATS), text(API), &files("crates", &[".rs"])?);
    let rows: Vec<&str> = rows_of(text(PAGE)).collect();
    let mut problems: Vec<String> =
        rows.iter().flat_map(|row| known.faults(row)).map(|fault| format!("{PAGE}: {fault}")).collect();
    if rows.len() < ROWS_MIN {
        problems.push(format!("{PAGE} has {} attacks: at least {ROWS_MIN}", rows.len()));
    }
    Ok(Report { notes: vec![format!("{} attacks", rows.len())], problems })
}

/// The rows of the table, but for its head and its headings.
fn rows_of(page: &str) -> impl Iterator<Item = &str> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    rows.skip(1).filter(|line| !line.starts_with("| **"))
}

/// What a row may name.
struct Known {
    attackers: BTreeSet<String>,
    /// Codes with their statuses.
    codes: BTreeSet<(String, String)>,
    /// Errors as they are written in the source, by their type.
    errors: BTreeMap<String, String>,
    /// Sections of the TUF specification that a refusal may name.
    sections: BTreeSet<String>,
    tests: BTreeSet<String>,
}

impl Known {
    fn of(threats: &str, api: &str, sources: &[SourceFile]) -> Self {
        let attackers = threats.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
        let mut known = Self {
            attackers: attackers.map(|(who, _)| who.to_owned()).collect(),
            codes: codes_on(api),
            errors: BTreeMap::new(),
            sections: BTreeSet::new(),
            tests: tests_of_crates(sources),
        };
        for source in sources {
            for word in ["pub enum ", "pub struct "] {
                for (name, body) in source.text.split(word).skip(1).filter_map(type_of) {
                    // Two crates may have a type of one name.
                    known.errors.entry(name).or_default().push_str(&body);
                }
            }
            if source.path.starts_with(TUF) {
                known.sections.extend(shipped_part(source).split('"').skip(1).step_by(2).map(str::to_owned));
            }
        }
        known
    }

    fn faults(&self, row: &str) -> Vec<String> {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [attack, who, answer, _, record, tests] = cells[..] else {
            return vec![format!("`{row}` has {} cells: six", cells.len())];
        };
        let mut faults = Vec::new();
        if !self.attackers.contains(who) {
            faults.push(format!("{attack}: {THREATS} knows no attacker `{who}`"));
        }
        let unknown = |word: &&str| !self.answers(answer, word);
        let words = answer.split('`').skip(1).step_by(2);
        faults.extend(words.filter(unknown).map(|word| format!("{attack}: nothing answers `{word}`")));
        if answer.is_empty() || record.is_empty() {
            faults.push(format!("{attack}: it does not say what answers, or what records it"));
        }
        let named: Vec<&str> = tests_named(tests).collect();
        if named.is_empty() {
            faults.push(format!("{attack}: it names no test"));
        }
        let missing = named.into_iter().filter(|test| !self.tests.contains(*test));
        faults.extend(missing.map(|test| format!("{attack}: there is no test {test}")));
        faults
    }

    /// Whether a word of an answer is one that the product gives.
    fn answers(&self, answer: &str, word: &str) -> bool {
        if let Some(section) = word.strip_prefix("TUF ") {
            return self.sections.contains(section);
        }
        match word.split_once("::") {
            Some((name, variant)) => self.errors.get(name).is_some_and(|body| has_word(body, variant)),
            None if word.starts_with(|c: char| c.is_ascii_uppercase()) => self.errors.contains_key(word),
            None => {
                let status = answer.split_whitespace().next().unwrap_or_default();
                self.codes.contains(&(status.to_owned(), word.to_owned()))
            }
        }
    }
}

/// A type's name and its body.
fn type_of(text: &str) -> Option<(String, String)> {
    let name: String = text.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
    let body = text.get(name.len()..)?.split("\n}").next()?;
    Some((name, body.to_owned()))
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|found| found == word)
}

/// Status and code of each row: `` | `not-found`, `unknown-release` | 404 | ``.
fn codes_on(page: &str) -> BTreeSet<(String, String)> {
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let (codes, status) = (cells.next()?, cells.next()?);
        status.bytes().all(|byte| byte.is_ascii_digit()).then_some((codes.trim_end_matches('`'), status))
    });
    rows.flat_map(|(codes, status)| codes.split("`, `").map(|code| (status.to_owned(), code.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_names_what_answers_and_a_test() {
        let report = check().unwrap();
        assert!(report.problems.is_empty(), "{}", report.problems.join("\n"));
    }

    #[test]
    fn what_a_row_makes_up_is_found() {
        let source = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let sources = [
            source("crates/a/src/x.rs", "pub enum AError {\n    Late(u8),\n}\n"),
            source("crates/a/tests/y.rs", "#[test]\nfn it_is_so() {}\nfn helps_it() {}"),
            source("crates/proof/src/tuf/z.rs", "fail(\"5.4.4\")"),
        ];
        let known = Known::of("| a thief | can | cannot |", "| `gone`, `lost` | 404 | x |", &sources);
        let check = |row: &str, words: &[&str]| {
            let faults = known.faults(row);
            assert_eq!(faults.len(), words.len(), "{row}: {faults:?}");
            assert!(faults.iter().zip(words).all(|(fault, word)| fault.contains(word)), "{faults:?}");
        };
        check("| x | a thief | 404 `lost` | HS-6 | a log | `a::it_is_so` |", &[]);
        check("| x | a thief | `AError::Late`, `TUF 5.4.4` | HS-6 | a log | `a::it_is_so` |", &[]);
        check("| x | a fool | closed | HS-6 | a log | `a::it_is_so` |", &["a fool"]);
        check("| x | a thief | 400 `lost` | HS-6 | a log | `a::it_is_so` |", &["`lost`"]);
        check("| x | a thief | `AError::Early` | HS-6 | a log | `a::it_is_so` |", &["AError::Early"]);
        check("| x | a thief | `TUF 5.9` | HS-6 | a log | `a::it_is_so` |", &["TUF 5.9"]);
        check("| x | a thief | closed | HS-6 | a log | `a::helps_it` |", &["a::helps_it"]);
        check("| x | a thief | closed | HS-6 | a log | `b::it_is_so` |", &["b::it_is_so"]);
        check("| x | a thief | closed | HS-6 | a log | by hand |", &["no test"]);
        check("| x | a thief | closed |", &["six"]);
    }

    #[test]
    fn a_page_is_read_row_by_row() {
        let page = "# A\n\n| attack | who |\n|---|---|\n| **B** | |\n| one | x |\n| two | y |\n";
        assert_eq!(rows_of(page).collect::<Vec<_>>(), ["| one | x |", "| two | y |"]);
    }
}
