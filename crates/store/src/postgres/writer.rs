//! The one task of a server that commits. What waits together shares a transaction.
//!
//! Never answers a commit before it is durable. A refused commit leaves nothing behind and harms no other.

use std::collections::VecDeque;
use std::sync::Arc;

use plane::ports::{Committed, StoreError};
use tokio::sync::{mpsc, oneshot};

use super::batch;
use super::flight::{Fault, Wing};
use super::link::{Dialer, Use, told};
use super::write::{Outcome, write};
use crate::limits::BATCH_MAX;
use crate::rows::Writing;

/// Commits taken out of the queue at once: those that cannot go together yet are looked past.
const WAITING_MAX: usize = 4 * BATCH_MAX;

/// A commit and who waits for it.
struct Job {
    writing: Writing,
    reply: oneshot::Sender<Outcome>,
}

impl AsRef<Writing> for Job {
    fn as_ref(&self) -> &Writing {
        &self.writing
    }
}

/// The handle to the task. When it is dropped, the task does what was asked and ends.
pub(super) struct Writer {
    sender: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the task; at most `queue` commits wait, further callers wait to be let in.
    pub(super) fn start(dialer: Arc<Dialer>, wing: Wing, queue: usize) -> Self {
        let (sender, receiver) = mpsc::channel(queue);
        tokio::spawn(run(dialer, wing, receiver));
        Self { sender }
    }

    /// Has it committed. A caller that stops waiting does not stop the work.
    pub(super) async fn commit(&self, writing: Writing) -> Result<Committed, StoreError> {
        let gone = || StoreError::Unavailable("the store was closed".to_owned());
        let (reply, answer) = oneshot::channel();
        self.sender.send(Job { writing, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Until the channel is closed and empty.
async fn run(dialer: Arc<Dialer>, wing: Wing, mut receiver: mpsc::Receiver<Job>) {
    let mut kept = Some(wing);
    let mut waiting: VecDeque<Job> = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Some(job) = receiver.recv().await else { return };
            waiting.push_back(job);
        }
        while waiting.len() < WAITING_MAX
            && let Ok(job) = receiver.try_recv()
        {
            waiting.push_back(job);
        }
        let batch = batch::next(&mut waiting);
        match serve(&dialer, &mut kept, &batch).await {
            Ok(outcomes) => {
                for (job, outcome) in batch.into_iter().zip(outcomes) {
                    // Whoever no longer waits needs no answer.
                    let _ = job.reply.send(outcome);
                }
            }
            Err(error) => {
                // Those behind them need not wait for the same answer, each batch for its own time.
                let behind = waiting.drain(..).chain(std::iter::from_fn(|| receiver.try_recv().ok()));
                for job in batch.into_iter().chain(behind) {
                    let _ = job.reply.send(Err(error.clone()));
                }
            }
        }
    }
}

/// Answers for each of the batch, or for the store as a whole.
async fn serve(dialer: &Dialer, kept: &mut Option<Wing>, batch: &[Job]) -> Result<Vec<Outcome>, StoreError> {
    if kept.as_ref().is_none_or(|wing| wing.link.client().is_closed()) {
        *kept = None;
        let link = dialer.dial(Use::Writer).await?;
        let prepared = tokio::time::timeout(dialer.answer_within(), Wing::new(link)).await;
        let prepared = prepared.map_err(|_| dialer.unavailable("no answer in time"))?;
        *kept = Some(prepared.map_err(|error| dialer.unavailable(told(&error)))?);
    }
    let Some(wing) = kept else { return Err(dialer.unavailable("no connection")) };
    let writings: Vec<&Writing> = batch.iter().map(|job| &job.writing).collect();
    match write(wing, &writings, dialer.answer_within()).await {
        Ok(outcomes) => Ok(outcomes),
        Err(Fault::Lost(why)) => {
            *kept = None;
            tracing::warn!(
                server = dialer.name(),
                why,
                commits = batch.len(),
                "the database was lost while committing"
            );
            Err(dialer.unavailable(why))
        }
        Err(Fault::Again(why) | Fault::Guard(why) | Fault::Refused(why)) => {
            tracing::error!(
                server = dialer.name(),
                why,
                commits = batch.len(),
                "a transaction failed as a whole"
            );
            Err(dialer.unavailable(why))
        }
    }
}
