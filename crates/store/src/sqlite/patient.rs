//! Reads of whoever looks at many records and is in no hurry: a sweep never keeps a check-in waiting for the processor.

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use plane::ports::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::open::open_reader;
use super::unavailable;

/// How far its thread gives way to all others; 19 is the most.
const NICE: i32 = 10;

type Job = Box<dyn FnOnce(&mut Reader) + Send>;

/// A reading connection in a thread of its own that gives way to all others.
pub(super) struct Patient {
    ask: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// The connection, opened when first needed.
struct Reader {
    path: PathBuf,
    busy: Duration,
    connection: Option<Connection>,
}

impl Reader {
    fn connection(&mut self) -> Result<&Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open_reader(&self.path, self.busy).map_err(unavailable)?,
        };
        Ok(self.connection.insert(connection))
    }
}

impl Patient {
    /// Starts the thread; the file is opened when it is first asked.
    pub(super) fn new(path: PathBuf, busy: Duration) -> std::io::Result<Self> {
        let (ask, asked) = channel::<Job>();
        let run = move || {
            // Of this thread alone, as Linux has it; where the system forbids it, it is as quick as the others.
            let _ = rustix::process::nice(NICE);
            let mut reader = Reader { path, busy, connection: None };
            while let Ok(job) = asked.recv() {
                job(&mut reader);
            }
        };
        let thread = Builder::new().name("store-patient".to_owned()).spawn(run)?;
        Ok(Self { ask: Some(ask), thread: Some(thread) })
    }

    /// Runs the query when its turn comes.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = || StoreError::Unavailable("the thread that reads for sweeps has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |reader| {
            // Whoever stopped waiting needs no answer.
            let _ = answer.send(reader.connection().and_then(query));
        });
        self.ask.as_ref().and_then(|ask| ask.send(job).ok()).ok_or_else(ended)?;
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for Patient {
    /// The file is closed when this is gone.
    fn drop(&mut self) {
        drop(self.ask.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
