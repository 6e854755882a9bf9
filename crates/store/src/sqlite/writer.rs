//! The one thread that writes. Works that wait together share one transaction, each behind a savepoint of its own.
//!
//! Never answers before the transaction is durable; a refused work leaves nothing behind and harms no other.

use std::io;
use std::thread::{Builder, JoinHandle};

use plane::ports::StoreError;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::unavailable;
use super::write::{Done, Work, perform};
use crate::limits::BATCH_MAX;

/// A work and who waits for it.
pub(super) struct Job {
    work: Work,
    reply: oneshot::Sender<Result<Done, StoreError>>,
}

/// The handle to the thread. Dropping it lets the thread finish what was asked, and waits for that.
pub(super) struct Writer {
    sender: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on its connection; at most `queue` works wait, further callers wait to be let in.
    pub(super) fn start(connection: Connection, queue: usize) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(queue);
        let thread =
            Builder::new().name("store-writer".to_owned()).spawn(move || run(&connection, receiver))?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Has it done. A caller that stops waiting does not stop the work.
    pub(super) async fn ask(&self, work: Work) -> Result<Done, StoreError> {
        let gone = || StoreError::Unavailable("the store was closed".to_owned());
        let (reply, answer) = oneshot::channel();
        let sender = self.sender.as_ref().ok_or_else(gone)?;
        sender.send(Job { work, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the store ended by a panic");
        }
    }
}

/// Until the channel is closed and empty.
fn run(connection: &Connection, mut receiver: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut broken = None;
    while receiver.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        match &broken {
            Some(error) => answer_all(&mut batch, error),
            None => broken = serve(connection, &mut batch),
        }
    }
}

fn answer_all(batch: &mut Vec<Job>, error: &StoreError) {
    for job in batch.drain(..) {
        // Whoever no longer waits needs no answer.
        let _ = job.reply.send(Err(error.clone()));
    }
}

/// One transaction for the batch; answers everyone. Gives an error after which nothing may be written any more.
fn serve(connection: &Connection, batch: &mut Vec<Job>) -> Option<StoreError> {
    match transact(connection, batch) {
        Ok(outcomes) => {
            for (job, outcome) in batch.drain(..).zip(outcomes) {
                let _ = job.reply.send(outcome);
            }
            None
        }
        Err(error) => {
            tracing::error!(%error, works = batch.len(), "a transaction failed as a whole");
            let fatal = is_fatal(&error);
            let error = unavailable(error);
            answer_all(batch, &error);
            fatal.then_some(error)
        }
    }
}

/// Whether the file can no longer be trusted under this process. After a failed sync nobody can say what the disk holds;
/// opening anew reads it back from there.
fn is_fatal(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

type Outcomes = Vec<Result<Done, StoreError>>;

fn transact(connection: &Connection, batch: &[Job]) -> rusqlite::Result<Outcomes> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let outcomes = batch.iter().map(|job| alone(&transaction, &job.work)).collect::<Result<_, _>>()?;
    transaction.commit()?;
    Ok(outcomes)
}

/// Does one work behind a savepoint, and takes it back when it is refused. Fails where the whole transaction is lost.
fn alone(transaction: &Transaction<'_>, work: &Work) -> rusqlite::Result<Result<Done, StoreError>> {
    let execute = |sql| transaction.prepare_cached(sql)?.execute(());
    execute("SAVEPOINT work")?;
    let outcome = perform(transaction, work);
    if outcome.is_err() {
        // Where the database gave the whole transaction up (disk full, I/O), this fails, and with it the batch.
        execute("ROLLBACK TO SAVEPOINT work")?;
    }
    execute("RELEASE SAVEPOINT work")?;
    Ok(outcome)
}

#[cfg(test)]
mod tests;
