//! Where the client takes the time and fresh nonces from.

use governance::Timestamp;

/// The time, and bytes nobody can guess.
pub trait Source: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Sixteen fresh random bytes; nothing when the system has none to give.
    fn nonce(&self) -> Option<[u8; 16]>;
}

/// The system's own clock and random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSource;

impl Source for SystemSource {
    #[expect(clippy::disallowed_methods, reason = "the adapter through which the client reads the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn nonce(&self) -> Option<[u8; 16]> {
        trust::random().ok()
    }
}
