//! Calls to a token that end for whoever makes them, whatever the module does.
//!
//! Never ends a call that hangs, since nobody can: its thread stays with the module. While one does, others are refused at once
//! for a while, so that they do not wait for the same silence one after another; and while too many do, no more are made.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use super::token::Fault;

/// How long a signature may take, with all that it waits for.
const WITHIN: Duration = Duration::from_secs(20);
/// How long others are refused at once after a call that took longer, unless it ends before.
const REST: Duration = Duration::from_secs(30);
/// While so many calls hang, no more are made.
const HANGING_MAX: usize = 8;

/// How long a token is waited for, and what became of that.
pub(super) struct Patience {
    within: Duration,
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    resting: bool,
    hanging: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self { within: WITHIN, rest: REST, state: Mutex::default() }
    }
}

impl Patience {
    /// Makes a call in a thread of its own, and waits for it no longer than it may take.
    pub(super) fn call<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        {
            let state = self.lock();
            if state.resting || state.hanging >= HANGING_MAX {
                return Err(Fault::told("the token does not answer: calls to its module hang"));
            }
        }
        let (sender, receiver) = sync_channel(1);
        let begun = Builder::new().name("token".to_owned()).spawn(move || {
            // Whoever asked may have gone.
            let _ = sender.send(work());
        });
        begun.map_err(|error| Fault::told(format!("no thread for the token: {error}")))?;
        match receiver.recv_timeout(self.within) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(Fault::told("the call to the token broke off")),
            Err(RecvTimeoutError::Timeout) => {
                self.hangs(receiver);
                let seconds = self.within.as_secs();
                Err(Fault::told(format!(
                    "the token has not answered for {seconds} s: see whether it is there"
                )))
            }
        }
    }

    /// Refuses others for a while, and sees when the call ends after all.
    fn hangs<T: Send + 'static>(self: &Arc<Self>, answer: Receiver<T>) {
        {
            let mut state = self.lock();
            state.resting = true;
            state.hanging += 1;
        }
        let patience = Arc::clone(self);
        let begun = Builder::new().name("token-late".to_owned()).spawn(move || {
            let late = answer.recv_timeout(patience.rest);
            patience.lock().resting = false;
            if matches!(late, Err(RecvTimeoutError::Timeout)) {
                let _ = answer.recv();
            }
            let mut state = patience.lock();
            state.hanging = state.hanging.saturating_sub(1);
        });
        if begun.is_err() {
            // Nobody looks when it ends: it counts as one that hangs, and others are let try.
            self.lock().resting = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    fn patience(within: u64, rest: u64) -> Arc<Patience> {
        let millis = Duration::from_millis;
        Arc::new(Patience { within: millis(within), rest: millis(rest), state: Mutex::default() })
    }

    /// A call that ends when the other half is told, or dropped.
    fn hang(patience: &Arc<Patience>) -> (Sender<()>, Result<(), Fault>) {
        let (end, wait) = channel();
        let answer = patience.call(move || {
            let _ = wait.recv();
            Ok(())
        });
        (end, answer)
    }

    fn until(patience: &Patience, done: impl Fn(&State) -> bool) {
        while !done(&patience.lock()) {
            std::thread::yield_now();
        }
    }

    fn why<T>(answer: Result<T, Fault>) -> String {
        answer.map(drop).unwrap_err().to_string()
    }

    #[test]
    fn a_call_that_hangs_holds_nobody_up_twice() {
        let patience = patience(50, 3_600_000);
        assert_eq!(patience.call(|| Ok(7)).unwrap(), 7);
        assert_eq!(why(patience.call(|| Err::<(), _>(Fault::told("no")))), "no");
        let (end, answer) = hang(&patience);
        assert!(why(answer).contains("has not answered"));
        assert!(why(patience.call(|| Ok(7))).contains("does not answer"), "at once, for an hour");
        // It answers after all.
        end.send(()).unwrap();
        until(&patience, |state| state.hanging == 0);
        assert_eq!(patience.call(|| Ok(7)).unwrap(), 7);
    }

    #[test]
    fn others_try_again_after_a_while_and_not_without_end() {
        let patience = patience(20, 1);
        let mut ends = Vec::new();
        for hanging in 1..=HANGING_MAX {
            let (end, answer) = hang(&patience);
            assert!(why(answer).contains("has not answered"), "{hanging}");
            ends.push(end);
            until(&patience, |state| !state.resting);
            assert_eq!(patience.lock().hanging, hanging);
        }
        assert!(why(patience.call(|| Ok(7))).contains("calls to its module hang"));
        ends.pop();
        until(&patience, |state| state.hanging < HANGING_MAX);
        assert_eq!(patience.call(|| Ok(7)).unwrap(), 7);
    }

    #[test]
    fn a_call_that_breaks_off_is_an_error() {
        let patience = patience(5_000, 1);
        let answer = patience.call(|| -> Result<(), Fault> { std::panic::resume_unwind(Box::new(())) });
        assert!(why(answer).contains("broke off"));
    }
}
