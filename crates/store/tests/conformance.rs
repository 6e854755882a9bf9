//! The suite over every adapter.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::{Cell, RefCell};

use store::conformance::postgres::Database;
use store::{MemoryStore, Options, PostgresOptions, PostgresStore, SqliteStore, conformance};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() {
    conformance::run(async || MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() {
    conforms(Options::default()).await;
}

#[tokio::test]
async fn sqlite_conforms_when_everything_waits() {
    conforms(Options { readers: 1, queue: 1, ..Options::default() }).await;
}

async fn conforms(options: Options) {
    let folder = TempDir::new().unwrap();
    let opened = Cell::new(0);
    let fresh = async || {
        opened.set(opened.get() + 1);
        SqliteStore::open(folder.path().join(format!("{}.db", opened.get())), options).unwrap()
    };
    conformance::run(fresh).await;
    // What the suite left is whole, every file of it.
    for number in 1..=opened.get() {
        let store = SqliteStore::open(folder.path().join(format!("{number}.db")), options).unwrap();
        assert_eq!(store.check().await, Ok(vec![]), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms() {
    conforms_on_postgres(PostgresOptions::default()).await;
}

#[tokio::test]
async fn postgres_conforms_when_everything_waits() {
    conforms_on_postgres(PostgresOptions { lines: 1, queue: 1, ..PostgresOptions::default() }).await;
}

async fn conforms_on_postgres(options: PostgresOptions) {
    let databases = RefCell::new(Vec::new());
    let Some(first) = Database::fresh().await else { return };
    databases.borrow_mut().push(first);
    let fresh = async || {
        let database = Database::fresh().await.unwrap();
        let store = PostgresStore::open(database.url(), options.clone()).await.unwrap();
        databases.borrow_mut().push(database);
        store
    };
    conformance::run(fresh).await;
    for database in databases.take() {
        assert_eq!(database.store().await.check().await, Ok(vec![]), "{}", database.name());
    }
}
