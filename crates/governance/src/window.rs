//! The deployment window: whether an instance may install now, or from when on (RO-7).
//!
//! Never knows a week or a time zone: the instance computes its windows, and a window arrives as two instants.

use core::fmt;

use crate::instance::Action;
use crate::time::Timestamp;

/// One deployment window, closed as all are (§7): at its last instant it is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it opens.
    pub from: Timestamp,
    /// When it closes.
    pub until: Timestamp,
}

impl Window {
    /// Whether it is open.
    #[must_use]
    pub fn contains(self, now: Timestamp) -> bool {
        self.from <= now && now <= self.until
    }
}

/// Installing waits for the deployment window (RO-7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When the window opens.
    pub opens: Timestamp,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the deployment window opens at {} (RO-7)", self.opens)
    }
}

/// Whether what is on offer may be begun now. `next` is the window that is open, or else the next to open; none is an
/// instance that has no windows and installs at any time. `deadline` is the offer's, if its clock runs.
///
/// A window is waited for unless the deadline falls before it; going back waits for none.
///
/// # Errors
/// When the window must be waited for.
pub fn may_install(
    action: Action,
    next: Option<Window>,
    deadline: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Closed> {
    let Some(window) = next.filter(|_| action == Action::Update) else { return Ok(()) };
    // One that is over says nothing about the next: then nothing is known to wait for.
    let waits = window.from > now;
    let too_late = deadline.is_some_and(|deadline| deadline < window.from);
    if waits && !too_late { Err(Closed { opens: window.from }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{Rollback, Update};

    #[test]
    fn ro_7_installs_inside_its_window_unless_the_deadline_falls_before_it() {
        let at = Timestamp::from_millis;
        let check = |action, window: Option<(i64, i64)>, deadline: Option<i64>, now, waits: Option<i64>| {
            let next = window.map(|(from, until)| Window { from: at(from), until: at(until) });
            let found = may_install(action, next, deadline.map(at), at(now));
            let row = (action, window, deadline, now);
            assert_eq!(found.err().map(|closed| closed.opens), waits.map(at), "{row:?}");
        };
        let window = Some((100, 200));
        //     what     window   deadline     now  waits until
        check(Update, None, None, 50, None);
        check(Update, window, None, 99, Some(100));
        check(Update, window, None, 100, None);
        check(Update, window, None, 200, None);
        check(Update, window, Some(99), 50, None);
        check(Update, window, Some(20), 50, None);
        check(Update, window, Some(100), 50, Some(100));
        check(Update, window, Some(150), 50, Some(100));
        check(Update, window, Some(150), 120, None);
        check(Rollback, window, None, 50, None);
        check(Rollback, window, Some(900), 50, None);
    }

    #[test]
    fn ro_7_a_window_is_closed() {
        let at = Timestamp::from_millis;
        let window = Window { from: at(100), until: at(200) };
        for (now, open) in [(99, false), (100, true), (200, true), (201, false)] {
            assert_eq!(window.contains(at(now)), open, "{now}");
        }
    }
}
