//! What the demo shows while it runs, on the error output: a headline for each step, a line for each transition, a bar.
//!
//! Never writes to the standard output: that is for the summary.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use governance::{State, Timestamp};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::table::{folded, terminal_columns};

/// Columns that the lines of transitions take in full.
const COLUMNS_WIDE: usize = 112;
/// Columns of a text where there is no terminal.
const COLUMNS_PLAIN: usize = 112;
/// How far what belongs to a step stands in.
const STEP_INDENT: usize = 6;
/// How far the second line of a finding stands in.
const FOUND_INDENT: usize = 9;
/// How far the second line of a transition stands in: below its rule.
const HAPPENED_INDENT: usize = 11;
/// How often the bar's spinner moves.
const TICK: Duration = Duration::from_millis(120);

/// The colours used, as terminals know them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ink {
    /// Headlines.
    Bold,
    /// What matters less.
    Dim,
    /// Good.
    Green,
    /// Wrong.
    Red,
    /// To be watched.
    Yellow,
    /// Rules.
    Cyan,
    /// Under way.
    Blue,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Red => "31",
            Self::Yellow => "33",
            Self::Cyan => "36",
            Self::Blue => "34",
        }
    }
}

/// The colour of a state.
pub(super) const fn ink_of(state: State) -> Ink {
    match state {
        State::Active => Ink::Green,
        State::Registered => Ink::Dim,
        State::UpdatePending | State::UpgradeInProgress => Ink::Blue,
        State::OutOfCompliance | State::Suspended => Ink::Yellow,
        State::Revoked => Ink::Red,
    }
}

/// The screen. Clones write to the same one.
#[derive(Clone, Debug)]
pub(super) struct Show {
    bars: MultiProgress,
    terminal: bool,
    colours: bool,
    columns: usize,
    began: Timestamp,
}

impl Show {
    /// The error output, from `began` on.
    pub(super) fn new(began: Timestamp) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let columns = if terminal { terminal_columns() } else { COLUMNS_PLAIN };
        Self { bars: MultiProgress::new(), terminal, colours: terminal && !plain, columns, began }
    }

    /// Text in a colour, where there are colours.
    pub(super) fn paint(&self, ink: Ink, text: &str) -> String {
        if self.colours { format!("\u{1b}[{}m{text}\u{1b}[0m", ink.code()) } else { text.to_owned() }
    }

    /// Whether lines must be short.
    pub(super) const fn is_narrow(&self) -> bool {
        self.columns < COLUMNS_WIDE
    }

    /// Columns that a line may have.
    pub(super) const fn columns(&self) -> usize {
        self.columns
    }

    /// Seconds since the beginning.
    pub(super) fn seconds(&self, at: Timestamp) -> f64 {
        // Milliseconds of a demo fit a float many times over.
        #[expect(clippy::cast_precision_loss, reason = "less than 2^52 ms")]
        let millis = at.since(self.began).as_millis() as f64;
        millis / 1000.0
    }

    /// One line.
    pub(super) fn line(&self, text: &str) {
        if self.terminal {
            self.bars.println(text).ok();
        } else {
            writeln!(std::io::stderr(), "{text}").ok();
        }
    }

    /// Text in as many lines as it needs, every line but the first standing in so far.
    pub(super) fn text(&self, text: &str, indent: usize) {
        for line in folded(text, self.columns, indent) {
            self.line(&line);
        }
    }

    /// A line with the time before it.
    pub(super) fn happened(&self, at: Timestamp, text: &str) {
        let time = self.paint(Ink::Dim, &format!("{:7.1} s", self.seconds(at)));
        let line = format!("{time}  {text}");
        // Where a line has room, it is one line: whoever looks for a transition finds it whole.
        if self.terminal { self.text(&line, HAPPENED_INDENT) } else { self.line(&line) }
    }

    /// The end: what follows on the standard output begins on a line of its own.
    pub(super) fn end(&self) {
        if self.terminal {
            self.bars.println("").ok();
        }
    }

    /// A step begins.
    pub(super) fn headline(&self, number: usize, of: usize, text: &str) {
        self.line("");
        for line in folded(&format!("{number}/{of}  {text}"), self.columns, STEP_INDENT) {
            self.line(&self.paint(Ink::Bold, &line));
        }
    }

    /// What a step found.
    pub(super) fn found(&self, good: bool, text: &str) {
        let (ink, mark) = if good { (Ink::Green, "✓") } else { (Ink::Red, "✗") };
        self.text(&format!("{:STEP_INDENT$}{}  {text}", "", self.paint(ink, mark)), FOUND_INDENT);
    }

    /// A bar of so many; invisible where there is no terminal.
    pub(super) fn bar(&self, length: usize) -> Bar {
        if !self.terminal {
            return Bar(ProgressBar::hidden());
        }
        let bar = self.bars.add(ProgressBar::new(length as u64));
        let template = "  {spinner:.cyan} {bar:28.green/dim} {pos:>3}/{len}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━─"));
        }
        bar.enable_steady_tick(TICK);
        Bar(bar)
    }
}

/// A bar; gone when dropped.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// How far, and what it is about.
    pub(super) fn set(&self, done: usize, text: &str) {
        self.0.set_position(done as u64);
        self.0.set_message(text.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
