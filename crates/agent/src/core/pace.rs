//! When to call next: the plane's interval with some jitter, so that a fleet does not call in step; after an error
//! soon, then ever later, up to a cap.
//!
//! Never draws a random number: it is given one.

use governance::Span;

/// The shortest interval obeyed: a plane cannot make its instances flood it.
pub const INTERVAL_MIN: Span = Span::from_millis(200);
/// The longest interval obeyed: a plane cannot make its instances fall silent (CO-7).
pub const INTERVAL_MAX: Span = Span::hours(1);
/// The first pause after an error.
pub const BACKOFF_FIRST: Span = Span::from_millis(250);
/// The longest pause after errors.
pub const BACKOFF_MAX: Span = Span::from_millis(60_000);

/// The plane's interval within bounds.
#[must_use]
pub fn interval(told: Span) -> Span {
    told.clamp(INTERVAL_MIN, INTERVAL_MAX)
}

/// The pause before the next call: the interval, a tenth more or less as `chance` has it.
#[must_use]
pub fn pause(interval: Span, chance: u16) -> Span {
    let spread = interval.as_millis() / 5;
    let part = spread * i64::from(chance) / i64::from(u16::MAX);
    Span::from_millis(interval.as_millis() - spread / 2 + part)
}

/// The pause after `errors` errors in a row: doubling, half of it left to `chance`, never beyond the cap.
#[must_use]
pub fn backoff(errors: u32, chance: u16) -> Span {
    let factor = 1_i64.checked_shl(errors.saturating_sub(1).min(16)).unwrap_or(i64::MAX);
    let full = BACKOFF_FIRST.times(factor).min(BACKOFF_MAX).as_millis();
    Span::from_millis(full / 2 + full / 2 * i64::from(chance) / i64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_backoffs_stay_in_their_bounds() {
        assert_eq!(interval(Span::ZERO), INTERVAL_MIN);
        assert_eq!(interval(Span::hours(90)), INTERVAL_MAX);
        for chance in [0, 1, 30_000, u16::MAX] {
            let pause = pause(Span::from_millis(10_000), chance).as_millis();
            assert!((9_000..=11_000).contains(&pause), "{pause}");
            let first = backoff(1, chance).as_millis();
            assert!((125..=250).contains(&first), "{first}");
            for errors in 0..100 {
                assert!(backoff(errors, chance) <= BACKOFF_MAX);
            }
            assert!(backoff(40, chance).as_millis() >= 30_000);
        }
    }
}
