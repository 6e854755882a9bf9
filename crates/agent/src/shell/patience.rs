//! How errors are told, once each, and how long is waited before the next try.

use client::ClientError;
use governance::Span;

use super::ShellError;
use super::effects::{duration, told};
use crate::core::pace;

/// Tries until it works, ever more patiently; gives up on what no waiting can mend.
pub(super) async fn persist<T>(
    what: &str,
    mut act: impl AsyncFnMut() -> Result<T, ShellError>,
) -> Result<T, ShellError> {
    let mut errors = 0_u32;
    loop {
        match act().await {
            Ok(value) => return Ok(value),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                errors = errors.saturating_add(1);
                tokio::time::sleep(duration(after(what, &error, errors))).await;
            }
        }
    }
}

/// Tells an error in one line, and how long to wait before the next try.
pub(super) fn after(what: &str, error: &ShellError, errors: u32) -> Span {
    let pause = pace::backoff(errors, chance());
    let (why, asked_seconds) = match error {
        ShellError::Call(error @ ClientError::Refused { retry_after_seconds, .. }) => {
            (told(error), *retry_after_seconds)
        }
        error => (error.to_string(), None),
    };
    tracing::warn!(why, errors, "{what}: will try again");
    let asked = asked_seconds.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or_default();
    pause.max(pace::asked(Span::from_millis(asked.saturating_mul(1000)), chance()))
}

/// A random share; the middle one when the system has no random numbers.
pub(super) fn chance() -> u16 {
    trust::random().map_or(u16::MAX / 2, u16::from_ne_bytes)
}
