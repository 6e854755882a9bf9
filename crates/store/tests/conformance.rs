//! The suite over both adapters.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;

use store::{MemoryStore, Options, SqliteStore, conformance};
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
