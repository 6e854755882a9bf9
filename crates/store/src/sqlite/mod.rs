//! The store on one SQLite file: write-ahead log, synchronous, one writer, a few readers.
//!
//! Never holds state of its own: what a commit is judged by is read inside its transaction, so a second process on the same
//! file breaks no guard.

mod fleet;
mod look;
mod migrate;
mod open;
mod patient;
mod read;
mod write;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use governance::{Digest, Instance, InstanceId, State, Timestamp, World};
use plane::ports::{
    Commit, Committed, Enrolment, Gate, InstanceFilter, Lease, PAGE_MAX, Revision, Store, StoreError,
};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

pub(crate) use fleet::open_to_read;
pub use fleet::{Recorded, recorded};
pub(crate) use look::{copy, entries, health};
pub use open::APPLICATION_ID;
use patient::Patient;
use read::Readers;
use write::{Done, Work};
use writer::Writer;

use crate::limits::{FORGET_MAX, FORGET_PIECES_MAX, QUEUE_MAX};
use crate::rows::{OutboxItem, Writing};
use crate::{OUTBOX_TOPIC, OpenError};

/// Connections that read at once at most, whatever the options say.
pub const READERS_MAX: usize = 64;
/// Findings of one [`SqliteStore::check`].
pub const PROBLEMS_MAX: usize = 100;
/// How the file is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections that read at once, up to [`READERS_MAX`].
    pub readers: usize,
    /// Works that wait for the writer, up to [`QUEUE_MAX`]; further callers wait to be let in.
    pub queue: usize,
    /// How long to wait for another process that holds the file.
    pub busy: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 4, queue: 1_024, busy: Duration::from_secs(5) }
    }
}

/// The store on one SQLite file. A commit that is [`StoreError::Unavailable`] was not acknowledged and, but for a disk that
/// failed while syncing it, not written; its guards make asking again safe in that case too. Dropping it finishes what was asked and closes the file.
pub struct SqliteStore {
    // Dropped in this order: the writer closes last and folds the log into the file.
    readers: Arc<Readers>,
    patient: Patient,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the file, made where there is none, and brings its schema up to date. Blocks; call it before serving.
    ///
    /// # Errors
    /// [`OpenError`] where the file is not ours, is of a newer schema, or cannot be opened. Nothing of it was changed then.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let connection = open::open_writer(path, options.busy)?;
        let unopened = |source| OpenError::File { path: path.display().to_string(), source };
        let writer = Writer::start(connection, options.queue.clamp(1, QUEUE_MAX)).map_err(unopened)?;
        let readers = Readers::new(path.to_owned(), options.busy, options.readers.clamp(1, READERS_MAX));
        let patient = Patient::new(path.to_owned(), options.busy).map_err(unopened)?;
        Ok(Self { readers, patient, writer })
    }

    /// What is wrong with the file: nothing, if it is whole. Reads all of it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the file cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.readers.read(|connection| read::problems(connection, PROBLEMS_MAX)).await
    }

    /// Writes a consistent copy to a new file while the store goes on serving.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the file exists already or cannot be written; an unfinished copy never
    /// stands under the name asked for.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let to = to.as_ref().to_owned();
        self.readers.read(move |connection| backup(connection, &to)).await
    }

    /// What the outbox holds for a topic, oldest first, `limit` (at most [`PAGE_MAX`]) of it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn outbox_page(&self, topic: &str, limit: usize) -> Result<Vec<OutboxItem>, StoreError> {
        let topic = topic.to_owned();
        self.readers.read(move |connection| read::outbox(connection, topic, limit.min(PAGE_MAX))).await
    }

    /// Forgets the topic's items up to the one at `position`, at most [`FORGET_MAX`] of them; answers how many.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn outbox_forget(&self, topic: &str, position: u64) -> Result<u64, StoreError> {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        self.forget(Work::OutboxForget(topic.to_owned(), position)).await
    }

    async fn forget(&self, work: Work) -> Result<u64, StoreError> {
        match self.writer.ask(work).await? {
            Done::Forgotten(rows) => Ok(rows),
            _ => Err(mistaken()),
        }
    }

    async fn note(&self, work: Work) -> Result<(), StoreError> {
        match self.writer.ask(work).await? {
            Done::Noted => Ok(()),
            _ => Err(mistaken()),
        }
    }

    async fn gate_turn(&self, holder: Option<String>, revision: Revision) -> Result<Revision, StoreError> {
        match self.writer.ask(Work::GateTurn(holder, revision)).await? {
            Done::Turned(revision) => Ok(revision),
            _ => Err(mistaken()),
        }
    }
}

impl Store for SqliteStore {
    async fn world_load(&self) -> Result<(World, Revision), StoreError> {
        self.readers.read(read::world).await
    }

    async fn instance_load(&self, id: InstanceId) -> Result<Option<(Instance, Revision)>, StoreError> {
        self.readers.read(move |connection| read::instance(connection, id)).await
    }

    async fn instance_page(
        &self,
        filter: &InstanceFilter,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<Vec<(Instance, Revision)>, StoreError> {
        let filter = filter.clone();
        self.readers
            .read(move |connection| read::instances(connection, &filter, after, limit.min(PAGE_MAX)))
            .await
    }

    async fn instance_load_all(&self, ids: &[InstanceId]) -> Result<Vec<(Instance, Revision)>, StoreError> {
        let ids: Vec<InstanceId> = ids.iter().take(PAGE_MAX).copied().collect();
        self.patient.read(move |connection| read::instances_of(connection, &ids)).await
    }

    async fn instance_count(&self) -> Result<Vec<(State, u64)>, StoreError> {
        self.readers.read(read::instance_count).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        match self.writer.ask(Work::Commit(Box::new(Writing::new(commit)?))).await? {
            Done::Committed(committed) => Ok(committed),
            _ => Err(mistaken()),
        }
    }

    async fn enrolment_load(&self, digest: Digest) -> Result<Option<Enrolment>, StoreError> {
        self.readers.read(move |connection| read::enrolment(connection, digest)).await
    }

    async fn enrolment_waiting(&self, now: Timestamp, limit: usize) -> Result<Vec<Enrolment>, StoreError> {
        let limit = limit.min(PAGE_MAX);
        self.readers.read(move |connection| read::enrolments_waiting(connection, now, limit)).await
    }

    async fn document_load(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        self.readers.read(move |connection| read::document(connection, kind, name)).await
    }

    async fn entry_page(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.readers.read(move |connection| read::entries(connection, from, limit.min(PAGE_MAX))).await
    }

    async fn decision_page(
        &self,
        instance: InstanceId,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let limit = limit.min(PAGE_MAX);
        self.readers.read(move |connection| read::decisions(connection, instance, skip, limit)).await
    }

    async fn change_page(&self, from: u64, limit: usize) -> Result<Vec<Option<InstanceId>>, StoreError> {
        self.readers.read(move |connection| read::changes(connection, from, limit.min(PAGE_MAX))).await
    }

    async fn entry_count(&self) -> Result<u64, StoreError> {
        self.readers.read(read::entry_count).await
    }

    async fn pulse_load(&self) -> Result<Option<Timestamp>, StoreError> {
        self.readers.read(read::pulse).await
    }

    async fn pulse_save(&self, now: Timestamp) -> Result<(), StoreError> {
        self.note(Work::PulseSave(now)).await
    }

    async fn seen_save(&self, seen: &[(InstanceId, Timestamp)]) -> Result<(), StoreError> {
        let row = |(id, at): &(InstanceId, Timestamp)| (id.to_string(), at.as_millis());
        self.note(Work::SeenSave(seen.iter().take(PAGE_MAX).map(row).collect())).await
    }

    async fn seen_page(
        &self,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<Vec<(InstanceId, Timestamp)>, StoreError> {
        self.readers.read(move |connection| read::seen(connection, after, limit.min(PAGE_MAX))).await
    }

    async fn lease_load(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        let name = name.to_owned();
        self.readers.read(move |connection| read::lease(connection, name)).await
    }

    async fn lease_save(&self, before: Option<&Lease>, lease: &Lease) -> Result<bool, StoreError> {
        match self.writer.ask(Work::LeaseSave(before.cloned(), lease.clone())).await? {
            Done::Leased(written) => Ok(written),
            _ => Err(mistaken()),
        }
    }

    async fn gate_close(&self, holder: &str, world_revision: Revision) -> Result<Revision, StoreError> {
        self.gate_turn(Some(holder.to_owned()), world_revision).await
    }

    async fn gate_open(&self, world_revision: Revision) -> Result<Revision, StoreError> {
        self.gate_turn(None, world_revision).await
    }

    async fn gate_load(&self) -> Result<Option<Gate>, StoreError> {
        self.readers.read(read::gate).await
    }

    async fn outbox_forget(&self, position: u64) -> Result<u64, StoreError> {
        Self::outbox_forget(self, OUTBOX_TOPIC, position).await
    }

    async fn nonce_forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut total = 0;
        for _ in 0..FORGET_PIECES_MAX {
            let rows = self.forget(Work::NonceForget(now)).await?;
            total += rows;
            if rows < FORGET_MAX as u64 {
                break;
            }
        }
        Ok(total)
    }
}

/// The ledger's entries in a store's file, opened to read alone: for auditors, beside a running server or without one.
/// Never writes, not even to bring the schema up to date.
pub struct SqliteReader {
    readers: Arc<Readers>,
}

impl SqliteReader {
    /// Opens the file.
    ///
    /// # Errors
    /// [`OpenError::File`] where there is none.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        fs::metadata(path).map_err(|source| OpenError::File { path: path.display().to_string(), source })?;
        Ok(Self { readers: Readers::new(path.to_owned(), Options::default().busy, 1) })
    }

    /// As [`Store::entry_page`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the file is no store or cannot be read.
    pub async fn entry_page(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.readers.read(move |connection| read::entries(connection, from, limit.min(PAGE_MAX))).await
    }

    /// As [`Store::document_load`].
    ///
    /// # Errors
    /// As [`entry_page`](Self::entry_page).
    pub async fn document_load(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        self.readers.read(move |connection| read::document(connection, kind, name)).await
    }
}

fn unavailable(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn mistaken() -> StoreError {
    StoreError::Unavailable("the writer answered another question".to_owned())
}

/// Copies in one step, so in one snapshot; then gives the copy its name.
fn backup(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    let refuse = |error: &dyn std::fmt::Display| {
        StoreError::Unavailable(format!("cannot back up to {}: {error}", to.display()))
    };
    if to.exists() {
        return Err(refuse(&"the file exists"));
    }
    let partial = partial(to);
    open::create(&partial).map_err(|error| refuse(&error))?;
    let copy = || -> rusqlite::Result<StepResult> {
        let mut copy = Connection::open(&partial)?;
        let step = Backup::new(connection, &mut copy)?.step(-1)?;
        // On its own until opened: no log beside it that could be left behind.
        copy.query_row("PRAGMA journal_mode = DELETE", (), |_| Ok(()))?;
        Ok(step)
    };
    let copied = copy().map_err(|error| error.to_string()).and_then(|step| match step {
        StepResult::Done => Ok(()),
        _ => Err("the copy was not finished".to_owned()),
    });
    let named = copied.and_then(|()| {
        fs::File::open(&partial)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&partial, to))
            .and_then(|()| open::sync_folder(to))
            .map_err(|error| error.to_string())
    });
    if named.is_err() {
        // What is left of it is of no use; that it cannot be removed either is in the answer's cause already.
        let _ = fs::remove_file(&partial);
    }
    named.map_err(|error| refuse(&error))
}

fn partial(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}
