//! Copies: all of a file, or nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use plane::ports::{Commit, Document, EnrolmentWrite, InstanceFilter, PAGE_MAX, Store as _};
use tempfile::TempDir;

use super::*;
use crate::conformance::fixture::{
    at, digest, enrolment, enrolment_use, instance, instance_id, nonce, writes,
};
use crate::conformance::postgres::Database;

/// Enough for several pages.
const FLEET: u64 = PAGE_ROWS_MAX as u64 + 7;

/// A file with rows in every table.
async fn filled(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, Options::default()).unwrap();
    let document = Document { kind: "order".to_owned(), name: "7".to_owned(), bytes: vec![0, 159, 146, 150] };
    let first = Commit {
        world: Some(Box::default()),
        entries: vec![vec![0, 255], vec![]],
        about_instance: vec![1],
        nonce: Some(nonce(1)),
        enrolment: Some(EnrolmentWrite::Create(enrolment(1))),
        documents: vec![document],
        ..writes(instance(0), None)
    };
    store.commit(first).await.unwrap();
    let uses = EnrolmentWrite::Use { digest: digest(1), used: enrolment_use(1) };
    store.commit(Commit { world_revision: 1, enrolment: Some(uses), ..Commit::default() }).await.unwrap();
    for number in 1..FLEET {
        let entries = vec![number.to_be_bytes().to_vec(); 2];
        let commit =
            Commit { world_revision: 1, entries, about_instance: vec![0], ..writes(instance(number), None) };
        store.commit(commit).await.unwrap();
    }
    store.pulse_save(at(7)).await.unwrap();
    store.seen_save(&[(instance_id(1), at(3)), (instance_id(2), at(4))]).await.unwrap();
    let lease = plane::ports::Lease { name: "sweep".to_owned(), holder: "a".to_owned(), fence: 3, beat: 9 };
    assert_eq!(store.lease_save(None, &lease).await, Ok(true));
    path
}

#[tokio::test]
async fn lg_1_a_store_is_the_same_on_the_other_side() {
    let Some(database) = Database::fresh().await else { return };
    let folder = TempDir::new().unwrap();
    let path = filled(&folder).await;
    let told = std::cell::RefCell::new(Vec::new());
    let tell = |table, rows| told.borrow_mut().push((table, rows));
    let copied = copy_to_postgres(&path, database.url(), PostgresOptions::default(), tell).await.unwrap();
    assert_eq!((copied.world_revision, copied.ledger.size), (1, 2 * FLEET));
    assert_eq!(copied.tables, *told.borrow());
    assert!(copied.tables.iter().all(|(_, rows)| *rows > 0), "{:?}: the test shows nothing", copied.tables);

    let (one, other) = (SqliteStore::open(&path, Options::default()).unwrap(), database.store().await);
    assert_eq!(one.world_load().await, other.world_load().await);
    for from in (0..2 * FLEET).step_by(PAGE_MAX) {
        assert_eq!(one.entry_page(from, PAGE_MAX).await, other.entry_page(from, PAGE_MAX).await);
        assert_eq!(one.change_page(from, PAGE_MAX).await, other.change_page(from, PAGE_MAX).await);
    }
    let all = InstanceFilter::default();
    assert_eq!(
        one.instance_page(&all, None, PAGE_MAX).await,
        other.instance_page(&all, None, PAGE_MAX).await
    );
    assert_eq!(one.enrolment_load(digest(1)).await, other.enrolment_load(digest(1)).await);
    assert_eq!(one.document_load("order", "7").await, other.document_load("order", "7").await);
    assert_eq!(one.pulse_load().await, other.pulse_load().await);
    assert_eq!(one.seen_page(None, PAGE_MAX).await, other.seen_page(None, PAGE_MAX).await);
    assert_eq!(one.lease_load("sweep").await, other.lease_load("sweep").await);
    assert_eq!(other.check().await, Ok(vec![]));
    let next = Commit { world_revision: 1, entries: vec![vec![1]], ..writes(instance(0), Some(1)) };
    assert_eq!(other.commit(next).await.unwrap().ledger_size, 2 * FLEET + 1);

    let again = copy_to_postgres(&path, database.url(), PostgresOptions::default(), |_, _| ()).await;
    assert!(matches!(again, Err(CopyError::NotEmpty { table: "instance", .. })), "{again:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_copied_leaves_the_database_empty() {
    let Some(database) = Database::fresh().await else { return };
    let folder = TempDir::new().unwrap();
    let nowhere = folder.path().join("none.db");
    let refused = copy_to_postgres(&nowhere, database.url(), PostgresOptions::default(), |_, _| ()).await;
    assert!(matches!(refused, Err(CopyError::Open(OpenError::File { .. }))), "{refused:?}");
    assert!(!nowhere.exists(), "no file is made");
    let path = filled(&folder).await;
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM entry WHERE position = 3").unwrap();
    let refused = copy_to_postgres(&path, database.url(), PostgresOptions::default(), |_, _| ()).await;
    assert!(refused.unwrap_err().to_string().contains("gap before position 4"));
    let store = database.store().await;
    assert_eq!(store.instance_page(&InstanceFilter::default(), None, 1).await, Ok(vec![]));
    assert_eq!(store.entry_count().await, Ok(0));
}

#[tokio::test]
async fn every_table_and_column_of_either_engine_is_copied() {
    let listed: BTreeSet<(String, String)> = TABLES
        .iter()
        .flat_map(|table| {
            table.columns.iter().map(|(column, _)| (table.name.to_owned(), (*column).to_owned()))
        })
        .collect();
    let folder = TempDir::new().unwrap();
    drop(SqliteStore::open(folder.path().join("store.db"), Options::default()).unwrap());
    let file = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let sql = "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
               WHERE t.type = 'table' AND t.name <> 'migration'";
    let mut statement = file.prepare(sql).unwrap();
    let columns = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(columns.collect::<rusqlite::Result<BTreeSet<_>>>().unwrap(), listed);

    let Some(database) = Database::fresh().await else { return };
    drop(database.store().await);
    let sql = "SELECT table_name::TEXT, column_name::TEXT FROM information_schema.columns
               WHERE table_schema = 'public' AND table_name NOT IN ('migration', 'head')";
    let columns = database.raw().await.query(sql, &[]).await.unwrap();
    assert_eq!(columns.iter().map(|row| (row.get(0), row.get(1))).collect::<BTreeSet<_>>(), listed);
}
