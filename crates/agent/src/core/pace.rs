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

/// The first pause before another stream of news is opened, when one ended or none was had.
pub const LISTEN_FIRST: Span = Span::from_millis(2_000);
/// The longest such pause: what is missed meanwhile the next check-in brings.
pub const LISTEN_MAX: Span = Span::from_millis(600_000);

/// The pause before the stream of news is opened again: doubling with every end in a row, half of it left to `chance`.
#[must_use]
pub fn listen_again(ends: u32, chance: u16) -> Span {
    let factor = 1_i64.checked_shl(ends.saturating_sub(1).min(16)).unwrap_or(i64::MAX);
    let full = LISTEN_FIRST.times(factor).min(LISTEN_MAX).as_millis();
    Span::from_millis(full / 2 + full / 2 * i64::from(chance) / i64::from(u16::MAX))
}

/// How long whoever was told to look waits: some of the time that it was given, as `chance` has it. At least as long as the
/// shortest interval: a plane cannot make its instances flood it by this either.
#[must_use]
pub fn look(within: Span, chance: u16) -> Span {
    let within = within.min(INTERVAL_MAX).as_millis();
    Span::from_millis(within * i64::from(chance) / i64::from(u16::MAX)).max(INTERVAL_MIN)
}

/// The pause that the plane asked for, within bounds and up to a half longer: it counts in whole seconds, and told others the
/// same.
#[must_use]
pub fn asked(told: Span, chance: u16) -> Span {
    let told = told.min(INTERVAL_MAX).as_millis();
    Span::from_millis(told + told / 2 * i64::from(chance) / i64::from(u16::MAX))
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
            let asked =
                [1_000, 8_000, i64::MAX].map(|told| asked(Span::from_millis(told), chance).as_millis());
            assert!((1_000..=1_500).contains(&asked[0]) && (8_000..=12_000).contains(&asked[1]), "{asked:?}");
            assert!(asked[2] <= INTERVAL_MAX.as_millis() * 3 / 2);
            assert_eq!(look(Span::ZERO, chance), INTERVAL_MIN);
            assert!(look(Span::hours(i64::MAX / 3_600_000), chance) <= INTERVAL_MAX);
            let first = listen_again(1, chance).as_millis();
            assert!((1_000..=2_000).contains(&first) && listen_again(99, chance) <= LISTEN_MAX, "{first}");
            for errors in 0..100 {
                assert!(backoff(errors, chance) <= BACKOFF_MAX);
            }
            assert!(backoff(40, chance).as_millis() >= 30_000);
        }
    }
}
