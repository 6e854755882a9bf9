//! The constitution as a file: every parameter with its rule and meaning as a comment, and its value.
//!
//! Never changes a value: what is written reads back as what it was.

use std::collections::BTreeMap;
use std::path::Path;

use governance::constitution::{Contradiction, PARAMETERS};
use governance::{Constitution, nearest};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use wire::ProblemReason;

use crate::Failure;
use crate::folder::read_text;

/// The most that is said to be wrong with one file.
const REASONS_MAX: usize = 50;

/// Characters of an unknown name that are shown.
const NAME_SHOWN_MAX: usize = 64;

const HEAD: &str = "\
# The constitution: the parameters of the law, as the Founder signs them (FO-5).
#
# The Founder's signature stands in constitution.sig; what stands here counts for nothing before the Founder's threshold
# signed it. Durations read 20s, 90m, 24h, 30d, \"2d 6h\"; shares are fractions. Names are written in quotes.
# A parameter left out has its default. Rules and sections are those of docs/law.md.
";

/// The sections of the law, by the families of their rules.
const SECTIONS: &[(&str, &str)] = &[
    ("LC", "§3 Lifecycle"),
    ("HS", "§4 Handshake"),
    ("RL", "§5 Releases"),
    ("RO", "§6 Rollouts"),
    ("CO", "§7 Compliance"),
    ("EN", "§8 Entitlement"),
];

/// A parameter, its value and what it means.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its value as TOML.
    pub value: String,
    /// Its default as TOML.
    pub default: String,
    /// Whether it differs from the default.
    pub changed: bool,
    /// The rule it belongs to.
    pub rule: &'static str,
    /// The section of the law that the rule stands in.
    pub section: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// Every parameter with its value, in the order of the law.
///
/// # Errors
/// When a value has no TOML form, which none of the law's lacks.
pub fn parameters(law: &Constitution) -> Result<Vec<Parameter>, Failure> {
    let (values, defaults) = (table(law)?, table(&Constitution::default())?);
    let value = |values: &toml::Table, name| {
        values
            .get(name)
            .map(ToString::to_string)
            .ok_or_else(|| Failure::new("constitution", "FO-5", format!("no parameter `{name}`"), ""))
    };
    PARAMETERS
        .iter()
        .map(|parameter| {
            let (found, default) = (value(&values, parameter.name)?, value(&defaults, parameter.name)?);
            Ok(Parameter {
                name: parameter.name,
                changed: found != default,
                value: found,
                default,
                rule: parameter.rule,
                section: section(parameter.rule),
                about: parameter.about,
            })
        })
        .collect()
}

fn table(law: &Constitution) -> Result<toml::Table, Failure> {
    toml::Table::try_from(law).map_err(|error| Failure::new("constitution", "FO-5", error.to_string(), ""))
}

/// The section of the law that a rule stands in; nothing for a rule of no family that has parameters.
fn section(rule: &str) -> &'static str {
    let family = rule.split_once('-').map_or(rule, |(family, _)| family);
    SECTIONS.iter().find(|(name, _)| *name == family).map_or("", |(_, section)| section)
}

/// The constitution as the text of `constitution.toml`.
///
/// # Errors
/// As [`parameters`].
pub fn render(law: &Constitution) -> Result<String, Failure> {
    let mut text = HEAD.to_owned();
    for Parameter { name, value, rule, section, about, .. } in parameters(law)? {
        text.push_str(&format!("\n# {about} ({rule}, {section}).\n\"{name}\" = {value}\n"));
    }
    Ok(text)
}

/// Reads a file as [`parse`] reads its text.
///
/// # Errors
/// When the file cannot be read; else as [`parse`].
pub fn read(path: &Path) -> Result<Constitution, Failure> {
    parse(&path.display().to_string(), &read_text(path)?)
}

/// Reads the text of a `constitution.toml`; absent parameters have their defaults. `file` is its name, for the errors.
///
/// # Errors
/// Every unknown name and malformed value, or else every contradiction, each with its line and parameter.
pub fn parse(file: &str, text: &str) -> Result<Constitution, Failure> {
    let source = Source { file, text };
    let malformed = |error: &toml::de::Error| {
        let line = error.span().map_or(1, |span| source.line(span.start));
        Failure::of(vec![source.malformed(
            line,
            error.message(),
            "write each parameter as NAME = VALUE on a line of its own",
        )])
    };
    let spans = DeTable::parse(text).map_err(|error| malformed(&error))?;
    let values: toml::Table = toml::from_str(text).map_err(|error| malformed(&error))?;
    let mut wrong: Vec<(usize, ProblemReason)> = Vec::new();
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for (key, value) in spans.get_ref() {
        let line = source.line(key.span().start);
        let name = key.get_ref().as_ref();
        lines.insert(name, line);
        if let Err(reason) = source.parameter(line, name, value, values.get(name)) {
            wrong.push((line, reason));
        }
    }
    if !wrong.is_empty() {
        wrong.sort_by_key(|(line, _)| *line);
        return Err(Failure::of(wrong.into_iter().map(|(_, reason)| reason).take(REASONS_MAX).collect()));
    }
    let law: Constitution = values.try_into().map_err(|error| malformed(&error))?;
    law.check().map_err(|contradictions| {
        let reason = |found: &Contradiction| source.contradiction(lines.get(found.parameter).copied(), found);
        Failure::of(contradictions.iter().map(reason).collect())
    })?;
    Ok(law)
}

/// A draft and its name.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    /// The line of a byte offset, counted from 1.
    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    fn malformed(&self, line: usize, detail: &str, hint: &str) -> ProblemReason {
        ProblemReason {
            code: "constitution-malformed".to_owned(),
            rule: "FO-5".to_owned(),
            detail: format!("{}:{line}: {detail}", self.file),
            hint: hint.to_owned(),
        }
    }

    fn contradiction(&self, line: Option<usize>, found: &Contradiction) -> ProblemReason {
        let Contradiction { parameter, found, rule } = found;
        let detail = match line {
            Some(line) => format!("{}:{line}: {parameter} is {found}: {rule}", self.file),
            None => format!("{}: {parameter} is left out, and so {found}: {rule}", self.file),
        };
        ProblemReason {
            code: "constitution-contradicts".to_owned(),
            rule: "FO-5".to_owned(),
            detail,
            hint: "mend this parameter, or the one it is held against".to_owned(),
        }
    }

    /// Whether one entry is a parameter of the law with a value that it can have.
    fn parameter(
        &self,
        line: usize,
        name: &str,
        spanned: &Spanned<DeValue<'_>>,
        value: Option<&toml::Value>,
    ) -> Result<(), ProblemReason> {
        let known = || PARAMETERS.iter().map(|parameter| parameter.name);
        let whole = match dotted(name, spanned.get_ref()) {
            Some(whole) if known().any(|known| known == whole) => {
                let detail = format!("the parameter `{whole}` is written without quotes");
                return Err(self.malformed(line, &detail, &format!("write \"{whole}\" = VALUE")));
            }
            Some(whole) => whole,
            None => name.to_owned(),
        };
        if !known().any(|known| known == whole) {
            let near = nearest(&whole, known()).unwrap_or_default();
            let whole: String = whole.chars().take(NAME_SHOWN_MAX).collect();
            let detail = format!("unknown parameter `{whole}`: did you mean `{near}`?");
            return Err(self.malformed(
                line,
                &detail,
                "`fedplane constitution show --default` lists them all",
            ));
        }
        let alone = value.map(|value| toml::Table::from_iter([(whole.clone(), value.clone())]));
        match alone.map(toml::Table::try_into::<Constitution>) {
            Some(Err(error)) => {
                let detail = format!("{whole}: {}", error.message().lines().next().unwrap_or_default());
                let default = parameters(&Constitution::default()).ok().into_iter().flatten();
                let default = default.into_iter().find(|parameter| parameter.name == whole);
                let hint = default.map_or_else(String::new, |parameter| {
                    format!("write it like its default: \"{whole}\" = {}", parameter.default)
                });
                Err(self.malformed(line, &detail, &hint))
            }
            _ => Ok(()),
        }
    }
}

/// The name that unquoted dots make a table of: `security.deadline` of `security.deadline = "1h"`.
fn dotted(name: &str, value: &DeValue<'_>) -> Option<String> {
    let mut whole = name.to_owned();
    let mut value = value;
    while let Some((key, inner)) = value.as_table().and_then(|table| table.iter().next()) {
        whole = format!("{whole}.{}", key.get_ref());
        value = inner.get_ref();
    }
    (whole != name).then_some(whole)
}

#[cfg(test)]
mod tests;
