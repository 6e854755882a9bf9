//! The [`Store`](plane::ports::Store) port on SQLite, and in memory for tests and simulation.
//!
//! Never judges: it holds the guards of a commit (revision, nonce, enrolment) and nothing else of the law.
//! Never answers a commit before it is durable. No other crate knows a database.

pub mod conformance;
mod folder;
mod limits;
mod memory;
mod sqlite;

pub use folder::Folder;
pub use limits::{DOCUMENT_BYTES_MAX, ENTRIES_MAX, ENTRY_BYTES_MAX};
pub use memory::MemoryStore;
pub use sqlite::{
    APPLICATION_ID, BATCH_MAX, FORGET_MAX, OUTBOX_TOPIC, OpenError, Options, OutboxItem, PROBLEMS_MAX,
    QUEUE_MAX, READERS_MAX, Recorded, SqliteReader, SqliteStore, recorded,
};
