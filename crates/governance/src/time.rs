//! Instants and spans of time, in milliseconds; their text is RFC 3339 in UTC and `2d 6h`.
//!
//! Never reads a clock: an instant is always somebody's argument.

use alloc::string::String;
use core::fmt;
use core::ops::{Add, Sub};
use core::str::FromStr;

use crate::text::{excerpt, text_serde};

/// An instant: milliseconds since 1970-01-01T00:00:00Z. Text: `2026-01-01T00:00:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A length of time in milliseconds, never negative. Text: `20s`, `90m`, `24h`, `2d 6h`, `500ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The units of a span's text, largest first.
const UNITS: [(&str, i64); 5] = [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)];
/// The longest span: a century. Sums of instants and spans stay far from overflow.
const SPAN_MAX: i64 = 36_525 * DAY;
/// 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write.
const TIMESTAMP_MAX: i64 = 253_402_300_799_999;

/// Why a text is no instant or no span.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339 in UTC.
    #[error("`{0}` is no instant: write RFC 3339 in UTC, as 2026-01-01T00:00:00Z")]
    Timestamp(String),
    /// Not a sequence of number and unit.
    #[error(
        "`{0}` is no duration: write numbers with d, h, m, s or ms, as 20s, 90m, 2d 6h; a century at most"
    )]
    Span(String),
}

impl Timestamp {
    /// An instant from milliseconds since the Unix epoch, held within the years 1970 to 9999.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < 0 {
            Self(0)
        } else if millis > TIMESTAMP_MAX {
            Self(TIMESTAMP_MAX)
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0 / SECOND
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span((self.0 - earlier.0).clamp(0, SPAN_MAX))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span from milliseconds, held between zero and a century.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < 0 {
            Self(0)
        } else if millis > SPAN_MAX {
            Self(SPAN_MAX)
        } else {
            Self(millis)
        }
    }

    /// A span of whole hours.
    #[must_use]
    pub const fn hours(hours: i64) -> Self {
        Self::from_millis(hours.saturating_mul(HOUR))
    }

    /// Its length in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The span `factor` times over, a century at most.
    #[must_use]
    pub const fn times(self, factor: i64) -> Self {
        Self::from_millis(self.0.saturating_mul(factor))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self::from_millis(self.0 + span.0)
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self::from_millis(self.0 - span.0)
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::from_millis(self.0 + other.0)
    }
}

impl Sub for Span {
    type Output = Self;
    /// The difference, zero when `other` is longer.
    fn sub(self, other: Self) -> Self {
        Self::from_millis(self.0 - other.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / DAY);
        let rest = self.0 % DAY;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            rest / HOUR,
            rest % HOUR / MINUTE,
            rest % MINUTE / SECOND,
            rest % SECOND
        )
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        parse_timestamp(text).ok_or_else(|| TimeError::Timestamp(excerpt(text)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        let mut first = true;
        for (unit, length) in UNITS {
            if rest >= length {
                write!(f, "{}{}{unit}", if first { "" } else { " " }, rest / length)?;
                rest %= length;
                first = false;
            }
        }
        Ok(())
    }
}

impl FromStr for Span {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        parse_span(text).ok_or_else(|| TimeError::Span(excerpt(text)))
    }
}

text_serde!(Timestamp, Span);

fn parse_span(text: &str) -> Option<Span> {
    let mut total: i64 = 0;
    let mut parts = 0;
    for part in text.split_ascii_whitespace() {
        let digits = part.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = part.split_at_checked(digits)?;
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(*length)?)?;
        parts += 1;
    }
    (parts > 0 && total <= SPAN_MAX).then_some(Span(total))
}

fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis = fraction.bytes().chain(*b"00").take(3).fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
    if year < 1970 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    Some(Timestamp(days * DAY + hour * HOUR + minute * MINUTE + second * SECOND + millis))
}

/// Three numbers of exactly these widths, all digits.
fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut out = [0; 3];
    for (slot, width) in out.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

/// Days since 1970-01-01 of a proleptic Gregorian date (Hinnant, "chrono-compatible low-level date algorithms").
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn timestamps_read_and_show_rfc_3339() {
        let check = |text: &str, millis: Option<i64>| {
            assert_eq!(text.parse::<Timestamp>().ok().map(Timestamp::as_millis), millis, "{text}");
        };
        check("1970-01-01T00:00:00Z", Some(0));
        check("2026-01-01T00:00:00.000Z", Some(1_767_225_600_000));
        check("2024-02-29T12:34:56.789Z", Some(1_709_210_096_789));
        check("9999-12-31T23:59:59.999Z", Some(TIMESTAMP_MAX));
        check("2023-02-29T00:00:00Z", None);
        check("2023-13-01T00:00:00Z", None);
        check("2023-01-01T24:00:00Z", None);
        check("2023-01-01T00:00:00", None);
        check("2023-01-01T00:00:00+01:00", None);
        check("+023-01-01T00:00:00Z", None);
        check("", None);
        for millis in [0, 1, 951_782_400_000, 1_767_225_599_999, 4_102_444_800_123] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(at.to_string().parse(), Ok(at));
        }
    }

    #[test]
    fn spans_read_and_show_the_units_of_the_law() {
        let check = |text: &str, millis: Option<i64>| {
            assert_eq!(text.parse::<Span>().ok().map(Span::as_millis), millis, "{text}");
        };
        check("20s", Some(20_000));
        check("2d 6h", Some(54 * HOUR));
        check("500ms", Some(500));
        check("0h", Some(0));
        check("h", None);
        check("5", None);
        check("", None);
        check("-5s", None);
        check("99999999999999999999d", None);
        check("5w", None);
        assert_eq!(Span(54 * HOUR + 5).to_string(), "2d 6h 5ms");
    }
}
