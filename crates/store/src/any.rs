//! The store of whichever engine the settings name.

use std::path::PathBuf;

use governance::{Digest, Instance, InstanceId, State, Timestamp, World};
use plane::ports::{Commit, Committed, Enrolment, Gate, InstanceFilter, Lease, Revision, Store, StoreError};

use crate::postgres::{PostgresOptions, PostgresReader, PostgresStore};
use crate::sqlite::{Options, Recorded, SqliteReader, SqliteStore};
use crate::{OpenError, postgres, sqlite};

/// Asks the engine that it is.
macro_rules! of {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Self::Sqlite($store) => $call.await,
            Self::Postgres($store) => $call.await,
        }
    };
}

/// Where a store is.
#[derive(Clone)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// On a database server: its URL, and how it is spoken to.
    Server(String, PostgresOptions),
}

impl Place {
    /// The whole fleet, as it was at one moment; changes nothing.
    ///
    /// # Errors
    /// [`OpenError`] where there is no store, or it is not of this program's schema.
    pub async fn recorded(&self) -> Result<Recorded, OpenError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || sqlite::recorded(path));
                read.await.map_err(|error| OpenError::Database(error.to_string()))?
            }
            Self::Server(url, options) => postgres::recorded(url, options.clone()).await,
        }
    }
}

/// The store on one of the engines.
pub enum AnyStore {
    /// In a file.
    Sqlite(SqliteStore),
    /// On a database server.
    Postgres(PostgresStore),
}

impl AnyStore {
    /// Opens it, and brings its schema up to date.
    ///
    /// # Errors
    /// As [`SqliteStore::open`] and [`PostgresStore::open`].
    pub async fn open(place: Place) -> Result<Self, OpenError> {
        match place {
            Place::File(path) => {
                let open = tokio::task::spawn_blocking(move || SqliteStore::open(path, Options::default()));
                open.await.map_err(|error| OpenError::Database(error.to_string()))?.map(Self::Sqlite)
            }
            Place::Server(url, options) => PostgresStore::open(&url, options).await.map(Self::Postgres),
        }
    }
}

/// The ledger's entries, opened to be read alone.
pub enum AnyReader {
    /// In a file.
    Sqlite(SqliteReader),
    /// On a database server.
    Postgres(PostgresReader),
}

impl AnyReader {
    /// Opens it.
    ///
    /// # Errors
    /// As [`SqliteReader::open`] and [`PostgresReader::open`].
    pub async fn open(place: Place) -> Result<Self, OpenError> {
        match place {
            Place::File(path) => SqliteReader::open(path).map(Self::Sqlite),
            Place::Server(url, options) => PostgresReader::open(&url, options).await.map(Self::Postgres),
        }
    }

    /// As [`Store::entry_page`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it is no store or cannot be read.
    pub async fn entry_page(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        of!(self, store => store.entry_page(from, limit))
    }

    /// As [`Store::document_load`].
    ///
    /// # Errors
    /// As [`entry_page`](Self::entry_page).
    pub async fn document_load(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        of!(self, store => store.document_load(kind, name))
    }
}

impl Store for AnyStore {
    async fn world_load(&self) -> Result<(World, Revision), StoreError> {
        of!(self, store => store.world_load())
    }

    async fn instance_load(&self, id: InstanceId) -> Result<Option<(Instance, Revision)>, StoreError> {
        of!(self, store => store.instance_load(id))
    }

    async fn instance_page(
        &self,
        filter: &InstanceFilter,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<Vec<(Instance, Revision)>, StoreError> {
        of!(self, store => store.instance_page(filter, after, limit))
    }

    async fn instance_load_all(&self, ids: &[InstanceId]) -> Result<Vec<(Instance, Revision)>, StoreError> {
        of!(self, store => store.instance_load_all(ids))
    }

    async fn instance_count(&self) -> Result<Vec<(State, u64)>, StoreError> {
        of!(self, store => store.instance_count())
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        of!(self, store => store.commit(commit))
    }

    async fn enrolment_load(&self, digest: Digest) -> Result<Option<Enrolment>, StoreError> {
        of!(self, store => store.enrolment_load(digest))
    }

    async fn enrolment_waiting(&self, now: Timestamp, limit: usize) -> Result<Vec<Enrolment>, StoreError> {
        of!(self, store => store.enrolment_waiting(now, limit))
    }

    async fn document_load(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        of!(self, store => store.document_load(kind, name))
    }

    async fn entry_page(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        of!(self, store => store.entry_page(from, limit))
    }

    async fn decision_page(
        &self,
        instance: InstanceId,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        of!(self, store => store.decision_page(instance, skip, limit))
    }

    async fn change_page(&self, from: u64, limit: usize) -> Result<Vec<Option<InstanceId>>, StoreError> {
        of!(self, store => store.change_page(from, limit))
    }

    async fn clock_load(&self) -> Result<Option<Timestamp>, StoreError> {
        of!(self, store => store.clock_load())
    }

    async fn entry_count(&self) -> Result<u64, StoreError> {
        of!(self, store => store.entry_count())
    }

    async fn pulse_load(&self) -> Result<Option<Timestamp>, StoreError> {
        of!(self, store => store.pulse_load())
    }

    async fn pulse_save(&self, now: Timestamp) -> Result<(), StoreError> {
        of!(self, store => store.pulse_save(now))
    }

    async fn seen_save(&self, seen: &[(InstanceId, Timestamp)]) -> Result<(), StoreError> {
        of!(self, store => store.seen_save(seen))
    }

    async fn seen_page(
        &self,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<Vec<(InstanceId, Timestamp)>, StoreError> {
        of!(self, store => store.seen_page(after, limit))
    }

    async fn lease_load(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        of!(self, store => store.lease_load(name))
    }

    async fn lease_save(&self, before: Option<&Lease>, lease: &Lease) -> Result<bool, StoreError> {
        of!(self, store => store.lease_save(before, lease))
    }

    async fn gate_close(&self, holder: &str, world_revision: Revision) -> Result<Revision, StoreError> {
        of!(self, store => store.gate_close(holder, world_revision))
    }

    async fn gate_open(&self, world_revision: Revision) -> Result<Revision, StoreError> {
        of!(self, store => store.gate_open(world_revision))
    }

    async fn gate_load(&self) -> Result<Option<Gate>, StoreError> {
        of!(self, store => store.gate_load())
    }

    async fn outbox_forget(&self, position: u64) -> Result<u64, StoreError> {
        of!(self, store => Store::outbox_forget(store, position))
    }

    async fn nonce_forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        of!(self, store => store.nonce_forget(now))
    }
}
