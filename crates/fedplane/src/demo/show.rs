//! What the demo shows while it runs, on the error output: a headline for each step, a line for each transition, a bar.
//!
//! Never writes to the standard output: that is for the summary.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use governance::{State, Timestamp};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

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
    began: Timestamp,
}

impl Show {
    /// The error output, from `began` on.
    pub(super) fn new(began: Timestamp) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { bars: MultiProgress::new(), terminal, colours: terminal && !plain, began }
    }

    /// Text in a colour, where there are colours.
    pub(super) fn paint(&self, ink: Ink, text: &str) -> String {
        if self.colours { format!("\u{1b}[{}m{text}\u{1b}[0m", ink.code()) } else { text.to_owned() }
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

    /// A line with the time before it.
    pub(super) fn happened(&self, at: Timestamp, text: &str) {
        let time = self.paint(Ink::Dim, &format!("{:7.1} s", self.seconds(at)));
        self.line(&format!("{time}  {text}"));
    }

    /// A step begins.
    pub(super) fn headline(&self, number: usize, of: usize, text: &str) {
        self.line("");
        self.line(&self.paint(Ink::Bold, &format!("{number}/{of}  {text}")));
    }

    /// What a step found.
    pub(super) fn found(&self, good: bool, text: &str) {
        let (ink, mark) = if good { (Ink::Green, "✓") } else { (Ink::Red, "✗") };
        self.line(&format!("      {}  {text}", self.paint(ink, mark)));
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
