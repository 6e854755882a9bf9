//! Reads values out of a TOML text so that every error names file, line and the nearest known name.
//!
//! Never knows what a scenario is.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::ScenarioError;

/// The text and its name.
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The line of a byte offset, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    pub(super) fn error(&self, offset: usize, detail: impl Into<String>) -> ScenarioError {
        ScenarioError { file: self.file.to_string(), line: self.line(offset), detail: detail.into() }
    }
}

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) value: &'a DeValue<'a>,
    pub(super) offset: usize,
}

/// A table whose keys are all known.
pub(super) struct Table<'a> {
    pub(super) node: Node<'a>,
    entries: &'a DeTable<'a>,
}

pub(super) type Read<T> = Result<T, ScenarioError>;

impl<'a> Node<'a> {
    pub(super) fn at(source: &'a Source<'a>, spanned: &'a Spanned<DeValue<'a>>) -> Self {
        Self { source, value: spanned.get_ref(), offset: spanned.span().start }
    }

    pub(super) fn line(&self) -> usize {
        self.source.line(self.offset)
    }

    pub(super) fn error<T>(&self, detail: impl Into<String>) -> Read<T> {
        Err(self.source.error(self.offset, detail))
    }

    fn wrong<T>(&self, wanted: &str) -> Read<T> {
        self.error(format!("expected {wanted}, found {}", self.value.type_str()))
    }

    pub(super) fn text(&self) -> Read<&'a str> {
        match self.value.as_str() {
            Some(text) => Ok(text),
            None => self.wrong("a string"),
        }
    }

    /// A string that reads as a value of the law.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self) -> Read<T> {
        self.text()?.parse().or_else(|error: T::Err| self.error(error.to_string()))
    }

    /// A word out of a closed list.
    pub(super) fn word<T: Copy>(&self, what: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Read<T> {
        let text = self.text()?;
        match all.iter().copied().find(|value| name(*value) == text) {
            Some(value) => Ok(value),
            None => self.unknown(what, text, all.iter().map(|value| name(*value))),
        }
    }

    /// The error for a name that is none of the known.
    pub(super) fn unknown<'k, T>(
        &self,
        what: &str,
        found: &str,
        known: impl Iterator<Item = &'k str>,
    ) -> Read<T> {
        self.error(unknown(what, found, known))
    }

    pub(super) fn number<T: TryFrom<i64>>(&self) -> Read<T> {
        let number = self.value.as_integer().and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok());
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Ok(number),
            None => self.wrong("a whole number in range"),
        }
    }

    pub(super) fn boolean(&self) -> Read<bool> {
        match self.value.as_bool() {
            Some(boolean) => Ok(boolean),
            None => self.wrong("true or false"),
        }
    }

    fn array(&self) -> Read<&'a DeArray<'a>> {
        match self.value.as_array() {
            Some(array) => Ok(array),
            None => self.wrong("a list"),
        }
    }

    /// Every item of a list, read.
    pub(super) fn list<T>(&self, read: impl Fn(Self) -> Read<T>) -> Read<Vec<T>> {
        let source = self.source;
        self.array()?.iter().map(|item| read(Self::at(source, item))).collect()
    }

    /// As [`Node::list`], where an item twice is an error.
    pub(super) fn set<T: Ord>(&self, read: impl Fn(Self) -> Read<T>) -> Read<BTreeSet<T>> {
        let items = self.list(read)?;
        let count = items.len();
        let set: BTreeSet<T> = items.into_iter().collect();
        if set.len() < count { self.error("something stands in this list twice") } else { Ok(set) }
    }

    /// The value of a key, where this is a table that has it.
    pub(super) fn child(&self, key: &str) -> Option<Self> {
        let (_, value) = self.value.as_table()?.iter().find(|(name, _)| name.get_ref().as_ref() == key)?;
        Some(Self::at(self.source, value))
    }

    /// A table that has none but these keys.
    pub(super) fn table(&self, known: &[&str]) -> Read<Table<'a>> {
        let Some(entries) = self.value.as_table() else { return self.wrong("a table") };
        for key in entries.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let detail = unknown("key", name, known.iter().copied());
                return Err(self.source.error(key.span().start, detail));
            }
        }
        Ok(Table { node: *self, entries })
    }
}

impl<'a> Table<'a> {
    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        self.entries.get(key).map(|value| Node::at(self.node.source, value))
    }

    pub(super) fn need(&self, key: &str) -> Read<Node<'a>> {
        match self.get(key) {
            Some(node) => Ok(node),
            None => self.node.error(format!("`{key}` is missing")),
        }
    }

    /// A value that may be absent, read.
    pub(super) fn maybe<T>(&self, key: &str, read: impl FnOnce(Node<'a>) -> Read<T>) -> Read<Option<T>> {
        self.get(key).map(read).transpose()
    }

    /// The keys, in alphabetical order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().map(|key| key.get_ref().as_ref())
    }
}

/// What an unknown name's error says.
fn unknown<'k>(what: &str, found: &str, known: impl Iterator<Item = &'k str>) -> String {
    match governance::nearest(found, known) {
        Some(nearest) => format!("unknown {what} `{found}`: did you mean `{nearest}`?"),
        None => format!("unknown {what} `{found}`"),
    }
}
