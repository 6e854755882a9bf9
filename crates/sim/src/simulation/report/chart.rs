//! Charts as inline SVG: a frame with honest axes, bands, curves and bars.
//!
//! Never rounds an axis to look fuller than it is: it begins at zero and ends where the next round number is.

use std::fmt::Write as _;

use governance::{Span, Timestamp};

/// Width of every drawing; the page scales it.
pub(super) const WIDTH: f64 = 1000.0;
/// Points that a curve needs at most: more are finer than what can be seen.
const POINTS_MAX: usize = 800;
/// Days up to which weeks are named instead of months.
const WEEKS_UP_TO: u32 = 75;
/// Room that the name of a month needs with its year.
const YEAR_ROOM: f64 = 62.0;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time that a chart shows: whole days from an instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub(super) start: Timestamp,
    pub(super) days: u32,
}

impl Time {
    /// The date of a day, as `2026-03-01`; the first day is 0.
    pub(super) fn date(self, day: u32) -> String {
        let at = self.start + Span::hours(i64::from(day) * 24);
        at.to_string().chars().take(10).collect()
    }

    /// Day and month, as `1 Mar`.
    fn short(date: &str) -> Option<String> {
        let month = date.get(5..7)?.parse::<usize>().ok()?.checked_sub(1)?;
        Some(format!("{} {}", date.get(8..10)?.trim_start_matches('0'), MONTHS.get(month)?))
    }

    /// The days that are named, each with its name.
    fn ticks(self) -> Vec<(u32, String)> {
        let mut ticks = Vec::new();
        let by_month = self.days > WEEKS_UP_TO;
        let every = (self.days / 730).max(1);
        let mut months = 0;
        for day in 0..=self.days {
            let date = self.date(day);
            if by_month && date.ends_with("-01") {
                if months % every == 0 {
                    let month = date.get(5..7).and_then(|month| month.parse::<usize>().ok()).unwrap_or(1);
                    let year = if month == 1 { date.get(..4) } else { None };
                    let name = MONTHS.get(month.saturating_sub(1)).copied().unwrap_or_default();
                    ticks.push((day, year.map_or_else(|| name.to_owned(), |year| format!("{name} {year}"))));
                }
                months += 1;
            } else if !by_month && day % 7 == 0 {
                ticks.extend(Self::short(&date).map(|name| (day, name)));
            }
        }
        ticks
    }
}

/// A drawing with axes.
pub(super) struct Frame {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) time: Time,
    /// What the vertical axis ends with.
    pub(super) highest: f64,
}

/// The next of 1, 2, 5 times a power of ten.
pub(super) fn round_up(value: f64) -> f64 {
    let mut power = 1.0;
    while power * 10.0 <= value {
        power *= 10.0;
    }
    let steps = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let whole = |step: &&f64| power > 1.0 || **step == step.trunc();
    steps.iter().filter(whole).map(|step| step * power).find(|step| *step >= value).unwrap_or(1.0)
}

/// A count in groups of three digits, a narrow space between them.
#[must_use]
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

#[expect(clippy::cast_precision_loss, reason = "a drawing has a thousand places")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, and not negative")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

impl Frame {
    /// A frame of the usual margins.
    pub(super) fn new(height: f64, time: Time, most: u64) -> Self {
        let highest = round_up(float(most.max(1)));
        Self { width: WIDTH, height, left: 76.0, right: 12.0, top: 10.0, bottom: 28.0, time, highest }
    }

    /// Where a day lies.
    pub(super) fn x(&self, day: f64) -> f64 {
        let days = f64::from(self.time.days.max(1));
        self.left + day / days * (self.width - self.left - self.right)
    }

    /// Where a value lies.
    pub(super) fn y(&self, value: f64) -> f64 {
        self.height - self.bottom - value / self.highest * (self.height - self.top - self.bottom)
    }

    /// The opening of the drawing, with what it is for those who cannot see it.
    pub(super) fn open(&self, id: &str, title: &str, described: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{described}</desc>\n",
            self.width, self.height
        )
    }

    /// Horizontal lines with their values.
    pub(super) fn values(&self, lines: u32, unit: &str) -> String {
        let mut out = String::new();
        let steps = f64::from(lines);
        for line in 0..=lines {
            let value = self.highest * f64::from(line) / steps;
            if (value - value.round()).abs() > 1e-9 {
                continue;
            }
            let (y, class) = (self.y(value), if line == 0 { "base" } else { "grid" });
            let end = self.width - self.right;
            let _ = write!(
                out,
                "<line class=\"{class}\" x1=\"{:.1}\" x2=\"{end:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}{unit}</text>",
                self.left,
                self.left - 10.0,
                y + 4.0,
                count(whole(value))
            );
        }
        out
    }

    /// The dates under the drawing, with a mark at each.
    pub(super) fn dates(&self, every: usize) -> String {
        let mut out = String::new();
        let base = self.height - self.bottom;
        let mut ticks = self.time.ticks();
        let mut nth = 0;
        ticks.retain(|_| {
            nth += 1;
            (nth - 1) % every.max(1) == 0
        });
        let follows: Vec<f64> = ticks.iter().skip(1).map(|(day, _)| self.x(f64::from(*day))).collect();
        for (index, (day, name)) in ticks.iter().enumerate() {
            let x = self.x(f64::from(*day));
            let room = follows.get(index).copied().unwrap_or(self.width - self.right) - x;
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{base:.1}\" y2=\"{:.1}\"/>",
                base + 5.0
            );
            // Where the year has no room, the month stands alone.
            let long = name.len() > 6 && room < YEAR_ROOM;
            let name = if long { name.get(..3).unwrap_or(name) } else { name };
            if x < self.width - self.right - 22.0 {
                let _ = write!(out, "<text x=\"{x:.1}\" y=\"{:.1}\">{name}</text>", base + 19.0);
            }
        }
        out
    }

    /// Which of so many points are drawn.
    fn drawn(points: usize) -> impl Iterator<Item = usize> {
        let every = points.div_ceil(POINTS_MAX).max(1);
        (0..points).filter(move |point| point % every == 0 || point + 1 == points)
    }

    /// A band between two curves of daily values; the value of a day stands at its end.
    pub(super) fn band(&self, class: &str, lower: &[u64], upper: &[u64]) -> String {
        let mut path = String::new();
        let at = |day: usize| self.x(float(day as u64 + 1));
        let value = |list: &[u64], day: usize| float(list.get(day).copied().unwrap_or_default());
        for (index, day) in Self::drawn(upper.len()).enumerate() {
            let verb = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{verb}{:.1} {:.1}", at(day), self.y(value(upper, day)));
        }
        let back: Vec<usize> = Self::drawn(lower.len()).collect();
        for day in back.into_iter().rev() {
            let _ = write!(path, "L{:.1} {:.1}", at(day), self.y(value(lower, day)));
        }
        format!("<path class=\"band {class}\" d=\"{path}Z\"/>")
    }

    /// A curve of daily values, with what lies under it.
    pub(super) fn curve(&self, values: &[u64]) -> String {
        let under = self.band("under", &vec![0; values.len()], values);
        let mut path = String::new();
        for (index, day) in Self::drawn(values.len()).enumerate() {
            let verb = if index == 0 { 'M' } else { 'L' };
            let value = float(values.get(day).copied().unwrap_or_default());
            let _ = write!(path, "{verb}{:.1} {:.1}", self.x(float(day as u64 + 1)), self.y(value));
        }
        format!("{under}<path class=\"curve\" d=\"{path}\"/>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_the_next_round_number() {
        for (value, end) in
            [(1.0, 1.0), (3.0, 3.0), (7.0, 8.0), (11.0, 12.0), (999.0, 1000.0), (1001.0, 1200.0)]
        {
            assert!((round_up(value) - end).abs() < 1e-9, "{value}");
        }
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn dates_name_months_over_a_year_and_weeks_over_a_month() {
        let start = Timestamp::from_millis(crate::simulation::START);
        let names = |days| -> Vec<String> {
            Time { start, days }.ticks().into_iter().map(|(_, name)| name).collect()
        };
        assert_eq!(names(30), ["1 Jan", "8 Jan", "15 Jan", "22 Jan", "29 Jan"]);
        assert_eq!(names(90), ["Jan 2026", "Feb", "Mar", "Apr"]);
        assert_eq!(names(365).len(), 13);
    }
}
