//! The system's clock and random numbers, as the plane's ports want them. The one place of the server that reads a clock.

use governance::{Span, Timestamp};
use plane::ports::Pausing;
use plane::{Clock, Entropy};

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the adapter through which the server reads the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn pause(&self, span: Span) -> Pausing<'_> {
        Box::pin(tokio::time::sleep(crate::settings::duration(span)))
    }
}

/// The system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn bytes(&self) -> [u8; 32] {
        match trust::random() {
            Ok(bytes) => bytes,
            // Secrets must not be guessed: without random numbers nothing can go on.
            Err(error) => {
                tracing::error!(%error, "no random numbers: the server ends");
                std::process::abort()
            }
        }
    }
}
