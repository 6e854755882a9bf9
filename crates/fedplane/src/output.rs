//! The one place that writes to the standard output: tables for people, JSON for programs.
//!
//! Never mixes the two: with `--json` the standard output holds JSON alone; notes and errors go to the standard error. And
//! never passes on what would steer a terminal: names and reasons come from files and from other people.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use governance::Timestamp;
use serde::Serialize;

use crate::table::{self, Column};
use crate::{Failure, clock};

type Sink = Mutex<Box<dyn Write + Send>>;

/// Characters of a timestamp that are its date, as `2026-01-31`.
const DATE: std::ops::Range<usize> = 0..10;
/// Characters of a timestamp that are its time of day, as `23:59:59`.
const TIME: std::ops::Range<usize> = 11..19;

/// How a part of a line stands out on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Headings.
    Bold,
    /// Good.
    Green,
    /// To be watched.
    Yellow,
    /// Wrong.
    Red,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "1;31",
        }
    }
}

/// The line with a part of it in colour.
fn inked(line: &str, part: Option<(Range<usize>, Ink)>) -> String {
    let parts = part.and_then(|(range, ink)| {
        Some((line.get(..range.start)?, line.get(range.clone())?, line.get(range.end..)?, ink.code()))
    });
    parts.map_or_else(
        || line.to_owned(),
        |(before, part, behind, code)| format!("{before}\u{1b}[{code}m{part}\u{1b}[0m{behind}"),
    )
}

/// Where answers go.
pub struct Output {
    json: bool,
    /// Columns of the terminal that it goes to, if it goes to one.
    columns: Option<usize>,
    colours: bool,
    began: Timestamp,
    out: Sink,
    err: Sink,
}

impl Output {
    /// The process's own standard output and error.
    #[must_use]
    pub fn stdio(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            json,
            colours: io::stdout().is_terminal() && !plain,
            columns: io::stdout().is_terminal().then(table::terminal_columns),
            began: clock::now(),
            out: Mutex::new(Box::new(io::stdout())),
            err: Mutex::new(Box::new(io::stderr())),
        }
    }

    /// An output that keeps what it is told, for tests.
    #[must_use]
    pub fn captured(json: bool) -> (Self, Captured) {
        let captured = Captured::default();
        let out = Mutex::new(Box::new(captured.clone()) as Box<dyn Write + Send>);
        let (columns, began) = (None, Timestamp::from_millis(0));
        (Self { json, columns, colours: false, began, out, err: Mutex::new(Box::new(io::sink())) }, captured)
    }

    /// Whether a program reads it.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person watches it.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.columns.is_some()
    }

    /// Columns of the terminal that it goes to, if it goes to one.
    #[must_use]
    pub const fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// A time in a table: whole for a pipe; on a terminal the time of today, the date of another day, both UTC.
    #[must_use]
    pub fn time(&self, at: Timestamp) -> String {
        let (whole, now) = (at.to_string(), self.began.to_string());
        if !self.is_terminal() {
            return whole;
        }
        let range = if whole.get(DATE) == now.get(DATE) { TIME } else { DATE };
        whole.get(range).map_or_else(|| whole.clone(), str::to_owned)
    }

    /// The answer: the value for programs, the text for people.
    ///
    /// # Errors
    /// When the output cannot be written; a reader that went away is no error.
    pub fn show<T: Serialize + ?Sized>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let text = if self.json { json(serde_json::to_string_pretty(value))? } else { text() };
        self.write(&self.out, &text)
    }

    /// The same answer with what matters in colour, where there are colours: `ink` says what of a line stands out, and how.
    /// Lines are coloured once they are harmless, so that no name in them brings colours of its own.
    ///
    /// # Errors
    /// As [`Output::show`].
    pub fn show_inked<T: Serialize + ?Sized>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
        ink: impl Fn(&str) -> Option<(Range<usize>, Ink)>,
    ) -> Result<(), Failure> {
        if self.json || !self.colours {
            return self.show(value, text);
        }
        let text = harmless(text().trim_end_matches('\n'));
        let lines = text.lines().map(|line| inked(line, ink(line))).collect::<Vec<_>>();
        self.write_as_is(&self.out, &(lines.join("\n") + "\n"))
    }

    /// A script that this program made: as it is, whatever controls it holds.
    ///
    /// # Errors
    /// As [`Output::show`].
    pub fn script(&self, text: &str) -> Result<(), Failure> {
        self.write_as_is(&self.out, text)
    }

    /// One line of an answer that goes on: JSON lines for programs.
    ///
    /// # Errors
    /// As [`Output::show`].
    pub fn line<T: Serialize + ?Sized>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let text = if self.json { json(serde_json::to_string(value))? } else { text() };
        self.write(&self.out, &text)
    }

    /// One line of an answer whose form was asked for.
    ///
    /// # Errors
    /// As [`Output::show`].
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        self.write(&self.out, text)
    }

    /// A remark for people, on the standard error.
    pub fn note(&self, text: &str) {
        // Whoever closed the standard error wants no remarks.
        let _ = self.write(&self.err, text);
    }

    /// A failure, on the standard error: JSON for programs.
    pub fn failure(&self, failure: &Failure) {
        match serde_json::to_string(failure) {
            Ok(text) if self.json => self.note(&text),
            _ => self.note(&failure.to_string()),
        }
    }

    /// A table: fitted to a terminal, plain columns for a pipe; nothing without rows.
    #[must_use]
    pub fn table(&self, columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
        table::render(columns, &rows.into_iter().collect::<Vec<_>>(), self.columns)
    }

    /// Parts of an answer with a blank line between; empty ones are left out.
    #[must_use]
    pub fn parts(parts: &[String]) -> String {
        parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("\n\n")
    }

    /// Names with their values, one a line.
    #[must_use]
    pub fn pairs(pairs: &[(&str, String)]) -> String {
        let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let line = |(name, value): &(&str, String)| {
            let value = value.replace('\n', &format!("\n{:width$}  ", ""));
            format!("{name:width$}  {value}")
        };
        pairs.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn write(&self, sink: &Sink, text: &str) -> Result<(), Failure> {
        let text = harmless(text.trim_end_matches('\n'));
        let line = if text.is_empty() { String::new() } else { format!("{text}\n") };
        self.write_as_is(sink, &line)
    }

    fn write_as_is(&self, sink: &Sink, text: &str) -> Result<(), Failure> {
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        match sink.write_all(text.as_bytes()).and_then(|()| sink.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
                "output",
                "CLI",
                format!("cannot write: {error}"),
                "check where the output goes",
            )),
            _ => Ok(()),
        }
    }
}

/// The text with every control character but the ends of its lines written out as `\u001b`, which JSON reads as well. So are
/// those that turn the direction of writing, which show a text as another.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        let turns = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (letter.is_control() && letter != '\n') || turns {
            // Writing to a string never fails, and all of these have four digits at the most.
            let _ = write!(out, "\\u{:04x}", u32::from(letter));
        } else {
            out.push(letter);
        }
    }
    out
}

fn json(text: Result<String, serde_json::Error>) -> Result<String, Failure> {
    text.map_err(|error| Failure::new("output", "CLI", format!("no JSON form: {error}"), ""))
}

/// What an output of [`Output::captured`] was told.
#[derive(Clone, Debug, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// The text so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_json_and_people_get_text() {
        for (as_json, expected) in [(true, "[\n  1,\n  2\n]\n"), (false, "one, two\n")] {
            let (out, captured) = Output::captured(as_json);
            out.show(&[1, 2], || "one, two\n\n".to_owned()).unwrap();
            assert_eq!(captured.text(), expected);
        }
    }

    #[test]
    fn nothing_that_is_told_steers_the_terminal() {
        let name = "a\u{1b}[31m\r\u{9b}2J\u{202e}é\nb";
        for (as_json, expected) in [
            (true, "\"a\\u001b[31m\\r\\u009b2J\\u202eé\\nb\"\n"),
            (false, "a\\u001b[31m\\u000d\\u009b2J\\u202eé\nb\n"),
        ] {
            let (out, captured) = Output::captured(as_json);
            out.show(name, || name.to_owned()).unwrap();
            assert_eq!(captured.text(), expected);
            if as_json {
                assert_eq!(serde_json::from_str::<String>(&captured.text()).unwrap(), name);
            }
        }
    }

    #[test]
    fn a_terminal_gets_colours_that_no_name_can_bring() {
        let (mut out, captured) = Output::captured(false);
        let ink = |line: &str| line.starts_with("error").then_some((0..5, Ink::Red));
        let text = || "error  a\u{1b}[2J\nok  b".to_owned();
        out.show_inked(&1, text, ink).unwrap();
        out.colours = true;
        out.show_inked(&1, text, ink).unwrap();
        let plain = "error  a\\u001b[2J\nok  b\n";
        let coloured = "\u{1b}[1;31merror\u{1b}[0m  a\\u001b[2J\nok  b\n";
        assert_eq!(captured.text(), format!("{plain}{coloured}"));
        out.json = true;
        out.show_inked(&7, text, ink).unwrap();
        assert!(captured.text().ends_with("\n7\n"));
        assert_eq!(inked("é", Some((0..1, Ink::Red))), "é", "never in the middle of a letter");
    }

    #[test]
    fn a_pipe_gets_plain_columns() {
        let (out, _) = Output::captured(false);
        let columns = [Column::new("a"), Column::new("b")];
        let table = out.table(&columns, [vec!["1".to_owned(), "long".to_owned()]]);
        assert_eq!(table, "a  b\n1  long");
        assert_eq!(Output::parts(&["a".into(), out.table(&columns, []), "b".into()]), "a\n\nb");
        assert_eq!(Output::pairs(&[("a", "1\n2".into()), ("bcd", "3".into())]), "a    1\n     2\nbcd  3");
    }

    #[test]
    fn times_are_short_for_people_and_whole_for_programs() {
        let (mut out, _) = Output::captured(false);
        let (today, later) = (Timestamp::from_millis(3_600_000), Timestamp::from_millis(86_400_000));
        assert_eq!(out.time(today), "1970-01-01T01:00:00.000Z");
        out.columns = Some(80);
        assert_eq!((out.time(today), out.time(later)), ("01:00:00".to_owned(), "1970-01-02".to_owned()));
    }
}
