//! The file: whose it is, that it comes back, copies, its outbox.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;

use plane::ports::{Commit, PAGE_MAX, Store, StoreError};
use rusqlite::Connection;
use store::conformance::fixture::{at, instance, instance_id, nonce, writes};
use store::{APPLICATION_ID, FORGET_MAX, OUTBOX_TOPIC, OpenError, Options, OutboxItem, SqliteStore};
use tempfile::TempDir;

fn open(folder: &TempDir) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(folder.path().join("store.db"), Options::default())
}

fn raw(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("store.db")).unwrap()
}

fn entries(count: usize) -> Commit {
    Commit { entries: vec![vec![7]; count], ..Commit::default() }
}

#[tokio::test]
async fn what_was_committed_comes_back() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    let world = Some(Box::default());
    let commit =
        Commit { world, nonce: Some(nonce(9)), entries: vec![vec![1], vec![2]], ..writes(instance(1), None) };
    store.commit(commit).await.unwrap();
    drop(store);
    let store = open(&folder).unwrap();
    assert_eq!(store.instance_load(instance_id(1)).await, Ok(Some((instance(1), 1))));
    assert_eq!(store.world_load().await.unwrap().1, 1);
    assert_eq!(store.entry_page(0, 5).await, Ok(vec![vec![1], vec![2]]));
    let again = Commit { world_revision: 1, nonce: Some(nonce(9)), ..Commit::default() };
    assert_eq!(store.commit(again).await, Err(StoreError::NonceSpent));
    let more = Commit { world_revision: 1, ..entries(3) };
    assert_eq!(store.commit(more).await.unwrap().ledger_size, 5);
}

#[test]
fn the_file_says_whose_it_is_and_is_for_its_owner_alone() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder).unwrap());
    let raw = raw(&folder);
    let pragma = |name: &str| raw.query_row(&format!("PRAGMA {name}"), (), |row| row.get::<_, String>(0));
    let id: i32 = raw.query_row("PRAGMA application_id", (), |row| row.get(0)).unwrap();
    assert_eq!(id, APPLICATION_ID);
    assert_eq!(&id.to_be_bytes(), b"WWFP");
    assert_eq!(pragma("journal_mode").unwrap(), "wal");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(folder.path().join("store.db")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_stays_as_it_was() {
    let folder = TempDir::new().unwrap();
    raw(&folder).execute_batch("CREATE TABLE theirs (x); PRAGMA application_id = 7").unwrap();
    let before = fs::read(folder.path().join("store.db")).unwrap();
    assert!(matches!(open(&folder), Err(OpenError::Foreign { found: 7, .. })));
    raw(&folder).execute_batch("PRAGMA application_id = 0").unwrap();
    assert!(matches!(open(&folder), Err(OpenError::Foreign { found: 0, .. })), "nor one without a name");
    raw(&folder).execute_batch("PRAGMA application_id = 7").unwrap();
    assert_eq!(fs::read(folder.path().join("store.db")).unwrap().len(), before.len());

    fs::write(folder.path().join("store.db"), "certainly no database, but long enough to be read as one")
        .unwrap();
    assert!(matches!(open(&folder), Err(OpenError::Database(_))));
    let nowhere = SqliteStore::open(folder.path().join("no/folder/store.db"), Options::default());
    assert!(matches!(nowhere, Err(OpenError::File { .. })));
}

#[test]
fn a_newer_schema_is_refused_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder).unwrap());
    raw(&folder).execute_batch("INSERT INTO migration VALUES (99, '0099_future', 'x')").unwrap();
    let refused = open(&folder).err().unwrap();
    assert!(matches!(refused, OpenError::SchemaNewer { found: 99, .. }), "{refused}");
    assert!(refused.to_string().contains("newer program"), "{refused}");
}

#[tokio::test]
async fn a_gap_in_the_ledger_and_a_torn_page_are_found() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    for _ in 0..40 {
        store.commit(entries(100)).await.unwrap();
    }
    assert_eq!(store.check().await, Ok(vec![]));
    raw(&folder).execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM entry WHERE position = 3").unwrap();
    let found = store.check().await.unwrap();
    assert!(found.len() == 1 && found.concat().contains("gaps"), "{found:?}");
    drop(store);

    let path = folder.path().join("store.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 512].fill(0x55);
    fs::write(&path, bytes).unwrap();
    let torn = open(&folder).unwrap().check().await;
    assert!(torn.as_ref().is_err() || torn.as_ref().is_ok_and(|found| found.len() > 1), "{torn:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_whole_while_commits_go_on() {
    let folder = TempDir::new().unwrap();
    let store = std::sync::Arc::new(open(&folder).unwrap());
    store.commit(entries(50)).await.unwrap();
    let writing = {
        let store = std::sync::Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..200 {
                store.commit(entries(3)).await.unwrap();
            }
        })
    };
    let to = folder.path().join("copy.db");
    store.backup(&to).await.unwrap();
    assert!(matches!(store.backup(&to).await, Err(StoreError::Unavailable(_))), "never over another file");
    writing.await.unwrap();
    assert_eq!(
        fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().contains("partial") })
            .count(),
        0
    );
    let copy = SqliteStore::open(&to, Options::default()).unwrap();
    assert_eq!(copy.check().await, Ok(vec![]));
    let size = copy.entry_count().await.unwrap();
    assert!(size >= 50 && (size - 50) % 3 == 0, "{size}: no commit in halves");
    assert_eq!(copy.commit(entries(1)).await.unwrap().ledger_size, size + 1, "and serves");
}

#[tokio::test]
async fn the_outbox_names_every_commit_with_entries_until_it_is_forgotten() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    for count in [2, 0, 1, 3] {
        store.commit(entries(count)).await.unwrap();
    }
    let item = |position, entries| OutboxItem { position, entries };
    let all = vec![item(0, 2), item(2, 1), item(3, 3)];
    assert_eq!(store.outbox_page(OUTBOX_TOPIC, PAGE_MAX).await, Ok(all));
    assert_eq!(store.outbox_page(OUTBOX_TOPIC, 1).await, Ok(vec![item(0, 2)]));
    assert_eq!(store.outbox_page("another", PAGE_MAX).await, Ok(vec![]));
    assert_eq!(store.outbox_forget("another", u64::MAX).await, Ok(0));
    assert_eq!(store.outbox_forget(OUTBOX_TOPIC, 2).await, Ok(2));
    assert_eq!(store.outbox_page(OUTBOX_TOPIC, PAGE_MAX).await, Ok(vec![item(3, 3)]));
    assert_eq!(store.outbox_forget(OUTBOX_TOPIC, u64::MAX).await, Ok(1));
}

#[tokio::test]
async fn many_nonces_are_forgotten_piece_by_piece() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    let many = FORGET_MAX as u64 * 2 + 10;
    raw(&folder)
        .execute(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
             INSERT INTO nonce SELECT 'key', 'nonce-' || n, n FROM numbers",
            [i64::try_from(many).unwrap()],
        )
        .unwrap();
    assert_eq!(store.nonce_forget(at(many)).await, Ok(many - 1));
    assert_eq!(store.nonce_forget(at(many + 1)).await, Ok(1));
}

/// Every file of a folder with its bytes.
fn files(folder: &TempDir) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

#[tokio::test]
async fn reading_the_fleet_changes_no_file_beside_a_server_or_without_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&folder).unwrap();
    let world = Some(Box::default());
    store.commit(Commit { world, ..writes(instance(1), None) }).await.unwrap();
    store.commit(Commit { world_revision: 1, ..writes(instance(2), None) }).await.unwrap();
    store.pulse_save(at(7)).await.unwrap();
    // The index of the log beside it holds every reader's marks.
    let whole = |files: Vec<(std::ffi::OsString, Vec<u8>)>| {
        let kept = files.into_iter().filter(|(name, _)| !name.to_string_lossy().ends_with("-shm"));
        kept.collect::<Vec<_>>()
    };
    let before = whole(files(&folder));
    let found = store::recorded(&path).unwrap();
    assert_eq!((found.instances.len(), found.pulse), (2, Some(at(7))));
    assert_eq!(whole(files(&folder)), before);

    drop(store);
    let before = files(&folder);
    assert_eq!(store::recorded(&path).unwrap().instances, found.instances);
    assert_eq!(files(&folder), before);

    fs::write(folder.path().join("other.db"), b"no database of ours at all").unwrap();
    assert!(matches!(store::recorded(folder.path().join("other.db")), Err(OpenError::Database(_))));
    assert!(matches!(store::recorded(folder.path().join("none.db")), Err(OpenError::File { .. })));
}
