//! What one connection is about, so that an idle or a stalled one can be told from a busy one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a connection was found at. The numbers grow with everything that moves: the same twice is no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No request has come yet.
    Silent,
    /// A request is worked on.
    Working,
    /// An answer is being taken by the peer.
    Answering(u64),
    /// Nothing, between two requests.
    Idle(u64),
}

#[derive(Debug, Default)]
pub(crate) struct Activity {
    working: AtomicUsize,
    answering: AtomicUsize,
    moved: AtomicU64,
}

impl Activity {
    /// A request came.
    pub(crate) fn start(self: &Arc<Self>) -> Request {
        self.working.fetch_add(1, Ordering::AcqRel);
        self.moved();
        Request(Arc::clone(self))
    }

    /// A piece of an answer went out, or something began or ended.
    pub(crate) fn moved(&self) {
        self.moved.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn look(&self) -> Found {
        let moved = self.moved.load(Ordering::Acquire);
        if self.working.load(Ordering::Acquire) > 0 {
            Found::Working
        } else if self.answering.load(Ordering::Acquire) > 0 {
            Found::Answering(moved)
        } else if moved == 0 {
            Found::Silent
        } else {
            Found::Idle(moved)
        }
    }
}

/// One request in progress, from its header to the header of its answer.
#[derive(Debug)]
pub(crate) struct Request(Arc<Activity>);

impl Request {
    /// Its answer begins.
    pub(crate) fn answer(&self) -> Answer {
        self.0.answering.fetch_add(1, Ordering::AcqRel);
        Answer(Arc::clone(&self.0))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.moved();
        self.0.working.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One answer on its way out, until all of it is handed over or the peer is gone.
#[derive(Debug)]
pub(crate) struct Answer(Arc<Activity>);

impl Answer {
    /// A piece went out.
    pub(crate) fn moved(&self) {
        self.0.moved();
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.moved();
        self.0.answering.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_is_told_from_what_does_not() {
        let activity = Arc::new(Activity::default());
        assert_eq!(activity.look(), Found::Silent);
        let request = activity.start();
        assert_eq!(activity.look(), Found::Working);
        let answer = request.answer();
        drop(request);
        let before = activity.look();
        assert!(matches!(before, Found::Answering(_)));
        assert_eq!(activity.look(), before);
        answer.moved();
        assert_ne!(activity.look(), before);
        drop(answer);
        assert!(matches!(activity.look(), Found::Idle(_)));
    }
}
