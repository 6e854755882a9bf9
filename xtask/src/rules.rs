//! Holds the rule ids together: the law defines them, tests and scenarios name them.
//!
//! Never judges whether a test holds its rule: it refuses a rule that no test names.

use std::collections::BTreeSet;
use std::fmt;

use crate::Report;
use crate::tree::{files, test_part};

/// The product's copy of the law.
const LAW: &str = "docs/law.md";

/// A rule's id, such as `CO-3`; ordered by family, then by number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleId {
    family: String,
    number: u32,
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.family, self.number)
    }
}

/// Refuses rules that no test names, and ids that the law does not know.
pub(crate) fn check() -> anyhow::Result<Report> {
    let law = defined()?;
    let mut named = BTreeSet::new();
    for file in files("crates", &[".rs"])?.iter().chain(&files("xtask", &[".rs"])?) {
        named.extend(named_in(test_part(file)));
    }
    for file in files("scenarios", &[".toml"])?.iter().chain(&files("scripts/tests", &[""])?) {
        named.extend(named_in(&file.text));
    }
    let silent: Vec<&RuleId> = law.difference(&named).collect();
    let notes = vec![format!("{} rules in the law, {} named by a test", law.len(), law.len() - silent.len())];
    let mut problems = unknown(&law)?;
    problems.extend(silent.iter().map(|rule| format!("{rule} is named by no test")));
    Ok(Report { notes, problems })
}

/// Ids that the sources, scenarios or documents name and the law does not define.
fn unknown(law: &BTreeSet<RuleId>) -> anyhow::Result<Vec<String>> {
    let families: BTreeSet<&str> = law.iter().map(|rule| rule.family.as_str()).collect();
    let mut problems = Vec::new();
    let kinds = [("crates", ".rs"), ("scenarios", ".toml"), ("docs", ".md"), ("scripts", "")];
    for (folder, ending) in kinds {
        for file in files(folder, &[ending])? {
            for rule in named_in(&file.text).difference(law) {
                if families.contains(rule.family.as_str()) {
                    problems.push(format!("{} names {rule}, which the law does not know", file.path));
                }
            }
        }
    }
    Ok(problems)
}

/// Every rule that the product's copy of the law defines.
fn defined() -> anyhow::Result<BTreeSet<RuleId>> {
    Ok(defined_in(&std::fs::read_to_string(crate::tree::root().join(LAW))?))
}

/// A rule is defined where its id opens a bold text or a row of a table.
fn defined_in(law: &str) -> BTreeSet<RuleId> {
    let mut rules = BTreeSet::new();
    for line in law.lines() {
        let line = line.trim_start().trim_start_matches("- ");
        let opening = line.strip_prefix("**").or_else(|| line.strip_prefix("| "));
        rules.extend(opening.and_then(rule_at_start).map(|(rule, _)| rule));
    }
    rules
}

/// Every rule that a text names: `CO-3` anywhere, `co_3` at the head of a function's name.
fn named_in(text: &str) -> BTreeSet<RuleId> {
    let mut rules = BTreeSet::new();
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        if letter.is_ascii_uppercase() && !before.is_alphanumeric() && before != '-' && before != '_' {
            rules.extend(text.get(at..).and_then(rule_at_start).map(|(rule, _)| rule));
        }
        before = letter;
    }
    for name in text.split("fn ").skip(1) {
        let mut words =
            name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("").split('_');
        while let (Some(family), Some(number)) = (words.next(), words.next()) {
            match rule_at_start(&format!("{}-{number}", family.to_ascii_uppercase())) {
                Some((rule, "")) => rules.insert(rule),
                _ => break,
            };
        }
    }
    rules
}

/// The id at the head of `text` and what follows it: two capitals, `-`, a number, then no word character.
fn rule_at_start(text: &str) -> Option<(RuleId, &str)> {
    let (family, rest) = (text.get(..2)?, text.get(2..)?.strip_prefix('-')?);
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, after) = (rest.get(..digits)?, rest.get(digits..)?);
    let ends = !after.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
    let capitals = family.bytes().all(|byte| byte.is_ascii_uppercase());
    let number = number.parse().ok().filter(|_| capitals && ends && !number.starts_with('0'))?;
    Some((RuleId { family: family.to_owned(), number }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(rules: &BTreeSet<RuleId>) -> String {
        rules.iter().map(RuleId::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_law_is_read_whole() {
        let law = defined().unwrap();
        let families = [
            ("AU", 4),
            ("CO", 14),
            ("EN", 7),
            ("FO", 5),
            ("HS", 9),
            ("ID", 5),
            ("IN", 7),
            ("LC", 19),
            ("LG", 3),
            ("RL", 9),
            ("RO", 9),
        ];
        for (family, count) in families {
            let numbers: Vec<u32> =
                law.iter().filter(|rule| rule.family == family).map(|rule| rule.number).collect();
            assert_eq!(numbers, (1..=count).collect::<Vec<u32>>(), "{family}");
        }
        assert_eq!(law.len(), 91);
    }

    #[test]
    fn every_rule_is_named_by_a_test() {
        let report = check().unwrap();
        assert!(report.problems.is_empty(), "{}", report.problems.join("\n"));
    }

    #[test]
    fn definitions_and_mentions_are_told_apart() {
        let law = "- **CO-3 `late`** as LC-6\n| LC-7 | out | (CO-3) |\n- **HS-1 Register.** x\nsee RO-1…RO-4";
        assert_eq!(text_of(&defined_in(law)), "CO-3 HS-1 LC-7");
        assert_eq!(text_of(&named_in(law)), "CO-3 HS-1 LC-6 LC-7 RO-1 RO-4");
    }

    #[test]
    fn names_of_tests_count() {
        let check = |text: &str, expected: &str| assert_eq!(text_of(&named_in(text)), expected);
        check("fn co_3_overdue_is_out() {}", "CO-3");
        check("fn co_3_lc_7_both() {}", "CO-3 LC-7");
        check("fn closes_in_7_days() {}", "");
        check("rules = [\"RO-3\", \"LC-5\"]", "LC-5 RO-3");
        check("ISO-8601 SHA-256 XCO-3 CO-3x CO-03 TLS-1", "");
    }

    #[test]
    fn nothing_names_a_rule_that_the_law_lacks() {
        let problems = unknown(&defined().unwrap()).unwrap();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}
