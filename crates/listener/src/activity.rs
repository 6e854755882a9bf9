//! Counts the requests of one connection, so that an idle one can be told from a busy one.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Activity {
    started: AtomicU64,
    finished: AtomicU64,
}

impl Activity {
    pub(crate) fn start(self: &std::sync::Arc<Self>) -> Request {
        self.started.fetch_add(1, Ordering::AcqRel);
        Request(std::sync::Arc::clone(self))
    }

    /// Requests begun so far, when none is in progress; nothing while one is.
    pub(crate) fn idle_since(&self) -> Option<u64> {
        let finished = self.finished.load(Ordering::Acquire);
        let started = self.started.load(Ordering::Acquire);
        (started == finished).then_some(started)
    }
}

/// One request in progress, from its header to the header of its answer.
#[derive(Debug)]
pub(crate) struct Request(std::sync::Arc<Activity>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.finished.fetch_add(1, Ordering::AcqRel);
    }
}
