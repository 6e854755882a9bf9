//! The [`Store`](plane::ports::Store) port on SQLite and on PostgreSQL, and in memory for tests and simulation.
//!
//! Never judges: it holds the guards of a commit (revision, nonce, enrolment) and nothing else of the law.
//! Never answers a commit before it is durable. No other crate knows a database.

mod any;
pub mod conformance;
mod error;
mod folder;
mod health;
mod limits;
mod memory;
mod migrations;
mod postgres;
mod rows;
mod sqlite;

pub use any::{AnyReader, AnyStore, Place};
pub use error::OpenError;
pub use folder::Folder;
pub use health::{Health, copy_file};
pub use limits::{BATCH_MAX, DOCUMENT_BYTES_MAX, ENTRIES_MAX, ENTRY_BYTES_MAX, FORGET_MAX, QUEUE_MAX};
pub use memory::MemoryStore;
pub use postgres::{
    Copied, CopyError, LINES_MAX, PostgresOptions, PostgresReader, PostgresStore, copy_to_postgres,
    holds_password, is_postgres_url,
};
pub use rows::{OUTBOX_TOPIC, OutboxItem};
pub use sqlite::{
    APPLICATION_ID, Options, PROBLEMS_MAX, READERS_MAX, Recorded, SqliteReader, SqliteStore, recorded,
};
