//! The one place where this program reads the time: everyone else is given an instant.

use client::{Source as _, SystemSource};
use governance::Timestamp;

/// The present instant.
#[must_use]
pub fn now() -> Timestamp {
    SystemSource.now()
}
