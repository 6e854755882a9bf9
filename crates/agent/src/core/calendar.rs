//! The owner's deployment windows (RO-7): days and times on a wall clock, and the instants at which they open and close.
//!
//! Never looks up a time zone or a clock: the zone is given when the settings are read, the instant when it is asked.

use governance::{Timestamp, Window};
use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};

/// Finds a time zone by its IANA name.
pub type Zones = fn(&str) -> Option<TimeZone>;

/// Windows of one agent.
pub const WINDOWS_MAX: usize = 64;
/// Days that one window can name.
pub const DAYS_OF_A_WEEK: usize = DAYS.len();
/// The first day looked at, seen from today: a window that crosses midnight may have opened yesterday.
const DAYS_BEFORE: i64 = 2;
/// The last: two weeks on there is every window, even one that a change of the clock skips once.
const DAYS_AFTER: i64 = 15;
/// The days' names, as settings write them.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Every window of the week, in the owner's time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Whose wall clock.
    pub zone: TimeZone,
    /// The windows; none: installs at any time.
    pub windows: Vec<Weekly>,
}

/// A window that comes every week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weekly {
    /// The days on which it opens.
    pub days: Vec<Weekday>,
    /// When it opens.
    pub from: Time,
    /// When it closes; on the day after, unless that is later than it opens.
    pub until: Time,
}

/// A day by its name, `mon` to `sun`.
#[must_use]
pub fn day(name: &str) -> Option<Weekday> {
    DAYS.iter().find(|(known, _)| *known == name).map(|(_, day)| *day)
}

/// A time of the day, `00:00` to `23:59`.
#[must_use]
pub fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<i8>().ok()).flatten()
    };
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

impl Calendar {
    /// The window that is open at `now`, or else the next to open; none when there are no windows.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Window> {
        let first = self.windows.first()?;
        let instant = jiff::Timestamp::from_millisecond(now.as_millis()).ok()?;
        let today = DateTime::from_parts(self.zone.to_datetime(instant).date(), first.from);
        let mut next: Option<Window> = None;
        for shift in -DAYS_BEFORE..=DAYS_AFTER {
            let Ok(date) = today.checked_add(jiff::Span::new().days(shift)).map(DateTime::date) else {
                continue;
            };
            let on_this_day = self.windows.iter().filter(|window| window.days.contains(&date.weekday()));
            let found = on_this_day
                .filter_map(|window| self.on(window, date))
                .filter(|window| now <= window.until && next.is_none_or(|next| window.from < next.from));
            next = found.min_by_key(|window| window.from).or(next);
        }
        next
    }

    /// The window that opens on this day; none when the clock skips all of it.
    fn on(&self, window: &Weekly, date: jiff::civil::Date) -> Option<Window> {
        let opens = DateTime::from_parts(date, window.from);
        let last = if window.until > window.from { date } else { date.tomorrow().ok()? };
        let closes = DateTime::from_parts(last, window.until);
        let (from, until) = (self.first_shown(opens)?, self.last_shown(closes)?);
        (from < until).then_some(Window { from, until })
    }

    /// When the wall clock shows this for the first time, or skips it.
    fn first_shown(&self, at: DateTime) -> Option<Timestamp> {
        let shown = self.zone.to_ambiguous_timestamp(at);
        self.skipped(at).or_else(|| shown.earlier().ok().map(instant))
    }

    /// When the wall clock shows this for the last time, or skips it.
    fn last_shown(&self, at: DateTime) -> Option<Timestamp> {
        let shown = self.zone.to_ambiguous_timestamp(at);
        self.skipped(at).or_else(|| shown.later().ok().map(instant))
    }

    /// When the wall clock is set forward over this time, if it is.
    fn skipped(&self, at: DateTime) -> Option<Timestamp> {
        let shown = self.zone.to_ambiguous_timestamp(at);
        match shown.offset() {
            AmbiguousOffset::Gap { .. } => {
                let before = shown.earlier().ok()?;
                self.zone.following(before).next().map(|change| instant(change.timestamp()))
            }
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => None,
        }
    }
}

fn instant(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZoneDatabase;

    fn calendar(zone: &str, windows: &[(&str, &str, &str)]) -> Calendar {
        let weekly = |&(days, from, until): &(&str, &str, &str)| Weekly {
            days: days.split(' ').map(|name| day(name).unwrap()).collect(),
            from: time(from).unwrap(),
            until: time(until).unwrap(),
        };
        let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
        Calendar { zone, windows: windows.iter().map(weekly).collect() }
    }

    /// The window seen at an instant, all in UTC and in minutes.
    fn check(calendar: &Calendar, now: &str, from: &str, until: &str) {
        let at = |text: &str| format!("{text}:00Z").parse::<Timestamp>().unwrap();
        let expected = Window { from: at(from), until: at(until) };
        assert_eq!(calendar.next(at(now)), Some(expected), "at {now}");
    }

    #[test]
    fn ro_7_the_window_that_is_open_or_opens_next() {
        // 2026-01-03 is a Saturday; Berlin is an hour ahead of UTC in winter.
        let weekend = calendar("Europe/Berlin", &[("sat sun", "02:00", "05:00")]);
        check(&weekend, "2026-01-01T00:00", "2026-01-03T01:00", "2026-01-03T04:00");
        check(&weekend, "2026-01-03T01:00", "2026-01-03T01:00", "2026-01-03T04:00");
        check(&weekend, "2026-01-03T04:00", "2026-01-03T01:00", "2026-01-03T04:00");
        check(&weekend, "2026-01-03T04:01", "2026-01-04T01:00", "2026-01-04T04:00");
        check(&weekend, "2026-01-04T04:01", "2026-01-10T01:00", "2026-01-10T04:00");
        check(&weekend, "2026-07-01T00:00", "2026-07-04T00:00", "2026-07-04T03:00");
        // Over midnight, and a whole day.
        let night = calendar("UTC", &[("fri", "22:00", "02:00")]);
        check(&night, "2026-01-03T01:00", "2026-01-02T22:00", "2026-01-03T02:00");
        check(&night, "2026-01-03T03:00", "2026-01-09T22:00", "2026-01-10T02:00");
        let day = calendar("Pacific/Auckland", &[("mon", "00:00", "00:00")]);
        check(&day, "2026-01-04T12:00", "2026-01-04T11:00", "2026-01-05T11:00");
        // The sooner of two, in whatever order they are written.
        let two = calendar("UTC", &[("wed", "12:00", "13:00"), ("tue", "09:00", "10:00")]);
        check(&two, "2026-01-05T00:00", "2026-01-06T09:00", "2026-01-06T10:00");
        check(&two, "2026-01-06T11:00", "2026-01-07T12:00", "2026-01-07T13:00");
        assert_eq!(calendar("UTC", &[]).next(Timestamp::from_millis(0)), None);
    }

    #[test]
    fn ro_7_windows_follow_the_wall_clock_when_it_is_set() {
        // Berlin skips 02:00 to 03:00 on Sunday 2026-03-29, and shows it twice on Sunday 2026-10-25.
        let early = calendar("Europe/Berlin", &[("sun", "01:30", "02:30")]);
        check(&early, "2026-03-28T00:00", "2026-03-29T00:30", "2026-03-29T01:00");
        check(&early, "2026-10-24T00:00", "2026-10-24T23:30", "2026-10-25T01:30");
        let late = calendar("Europe/Berlin", &[("sun", "02:30", "05:00")]);
        check(&late, "2026-03-28T00:00", "2026-03-29T01:00", "2026-03-29T03:00");
        check(&late, "2026-10-24T00:00", "2026-10-25T00:30", "2026-10-25T04:00");
        let skipped = calendar("Europe/Berlin", &[("sun", "02:00", "03:00")]);
        check(&skipped, "2026-03-28T00:00", "2026-04-05T00:00", "2026-04-05T01:00");
        // Samoa had no Friday 2011-12-30.
        let gone = calendar("Pacific/Apia", &[("fri", "02:00", "05:00")]);
        check(&gone, "2011-12-29T00:00", "2012-01-05T12:00", "2012-01-05T15:00");
    }

    #[test]
    fn ro_7_a_window_is_found_at_every_hour_of_a_year_and_never_behind() {
        for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"] {
            let calendar = calendar(zone, &[("sun", "01:45", "02:15"), ("wed", "23:00", "01:00")]);
            let mut last = Timestamp::from_millis(0);
            for hour in 0..366 * 24 {
                let now =
                    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + governance::Span::hours(hour);
                let next = calendar.next(now).unwrap();
                assert!(
                    next.from < next.until && now <= next.until && last <= next.from,
                    "{zone} {now} {next:?}"
                );
                assert!(next.from.since(now) <= governance::Span::hours(7 * 24), "{zone} {now} {next:?}");
                last = next.from;
            }
        }
    }

    #[test]
    fn days_and_times_have_one_spelling() {
        assert_eq!((day("sat"), day("Sat"), day("saturday")), (Some(Weekday::Saturday), None, None));
        for (text, good) in [
            ("02:00", true),
            ("23:59", true),
            ("24:00", false),
            ("2:00", false),
            ("02:00:00", false),
            ("+2:00", false),
        ] {
            assert_eq!(time(text).is_some(), good, "{text}");
        }
    }
}
