//! The writer under load and failure: batches, refusals among many, a full disk.

use std::time::Duration;

use plane::ports::{Commit, Committed, Document};
use tempfile::TempDir;

use super::*;
use crate::conformance::fixture::{instance, nonce, writes};
use crate::rows::Writing;
use crate::sqlite::open::open_writer;

type Answer = oneshot::Receiver<Result<Done, StoreError>>;

fn open(folder: &TempDir) -> Connection {
    open_writer(&folder.path().join("store.db"), Duration::ZERO).unwrap()
}

/// The batch of these commits, and where their answers come.
fn batch(commits: impl IntoIterator<Item = Commit>) -> (Vec<Job>, Vec<Answer>) {
    let job = |commit| {
        let (reply, answer) = oneshot::channel();
        (Job { work: Work::Commit(Box::new(Writing::new(commit).unwrap())), reply }, answer)
    };
    commits.into_iter().map(job).unzip()
}

fn served(connection: &Connection, commits: Vec<Commit>) -> Vec<Result<Done, StoreError>> {
    let (mut batch, answers) = batch(commits);
    assert_eq!(serve(connection, &mut batch), None);
    assert!(batch.is_empty());
    answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
}

fn spends(number: u64, of: u64) -> Commit {
    Commit { entries: vec![vec![1]], nonce: Some(nonce(number)), ..writes(instance(of), None) }
}

fn done(instance_revision: u64, ledger_size: u64) -> Result<Done, StoreError> {
    Ok(Done::Committed(Committed { instance_revision, world_revision: 0, ledger_size }))
}

fn count(connection: &Connection, table: &str) -> i64 {
    connection.query_row(&format!("SELECT COUNT(*) FROM {table}"), (), |row| row.get(0)).unwrap()
}

fn is_unavailable(answer: &Result<Done, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

/// From here on a document named `poison` makes the whole transaction fail at COMMIT, and only there.
fn poison(connection: &Connection) {
    let sql = "CREATE TABLE parent (x BIGINT PRIMARY KEY);
               CREATE TABLE child (x BIGINT REFERENCES parent (x) DEFERRABLE INITIALLY DEFERRED);
               CREATE TRIGGER poisoned AFTER INSERT ON document WHEN NEW.name = 'poison'
                   BEGIN INSERT INTO child VALUES (1); END;";
    connection.execute_batch(sql).unwrap();
}

#[test]
fn a_batch_is_one_transaction_and_a_refused_work_harms_no_other() {
    let folder = TempDir::new().unwrap();
    let connection = open(&folder);
    // The second spends the first one's nonce; the fourth is decided on what the third writes.
    let again = Commit { entries: vec![vec![4]; 2], ..writes(instance(3), Some(1)) };
    let answers = served(&connection, vec![spends(1, 1), spends(1, 2), spends(3, 3), again]);
    assert_eq!(answers, [done(1, 1), Err(StoreError::NonceSpent), done(1, 2), done(2, 4)]);
    assert_eq!(["instance", "entry", "nonce", "outbox"].map(|table| count(&connection, table)), [2, 4, 2, 3]);
}

#[test]
fn a_commit_that_fails_is_told_to_everyone_and_nothing_of_it_stays() {
    let folder = TempDir::new().unwrap();
    let connection = open(&folder);
    poison(&connection);
    let document = Document { kind: "order".to_owned(), name: "poison".to_owned(), bytes: vec![] };
    let poisoned = Commit { documents: vec![document], ..Commit::default() };
    let answers = served(&connection, vec![spends(1, 1), poisoned, spends(1, 2)]);
    assert!(answers.iter().all(is_unavailable), "{answers:?}");
    assert!(connection.is_autocommit(), "no transaction is left open");
    assert_eq!(["instance", "entry", "nonce", "document"].map(|table| count(&connection, table)), [0; 4]);
    // The store goes on.
    assert_eq!(served(&connection, vec![spends(1, 1)]), [done(1, 1)]);
}

#[test]
fn a_full_disk_refuses_and_the_store_goes_on_when_there_is_room() {
    let folder = TempDir::new().unwrap();
    let connection = open(&folder);
    let pages = |most: i64| {
        connection.pragma_update_and_check(None, "max_page_count", most, |row| row.get::<_, i64>(0)).unwrap()
    };
    pages(pages(1) + 4);
    let large = Commit { entries: vec![vec![7; 60_000]], ..writes(instance(2), None) };
    let answers = served(&connection, vec![large.clone()]);
    assert!(answers.iter().all(is_unavailable), "{answers:?}");
    assert_eq!(["instance", "entry"].map(|table| count(&connection, table)), [0, 0]);
    pages(100_000);
    assert_eq!(served(&connection, vec![spends(1, 1), large]), [done(1, 1), done(1, 2)]);
}

#[test]
fn another_process_that_holds_the_file_makes_it_unavailable_not_wrong() {
    let folder = TempDir::new().unwrap();
    let connection = open(&folder);
    let other = Connection::open(folder.path().join("store.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(served(&connection, vec![spends(1, 1)]).iter().all(is_unavailable));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(served(&connection, vec![spends(1, 1)]), [done(1, 1)]);
}

#[test]
fn after_a_failed_sync_nothing_is_written_any_more() {
    let failed = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    for (code, fatal) in [
        (rusqlite::ffi::SQLITE_IOERR_FSYNC, true),
        (rusqlite::ffi::SQLITE_CORRUPT, true),
        (rusqlite::ffi::SQLITE_NOTADB, true),
        (rusqlite::ffi::SQLITE_FULL, false),
        (rusqlite::ffi::SQLITE_BUSY, false),
    ] {
        assert_eq!(is_fatal(&failed(code)), fatal, "{code}");
    }
}

#[test]
fn closing_does_what_was_asked_before() {
    let folder = TempDir::new().unwrap();
    let connection = open(&folder);
    let (jobs, answers) = batch((1..=600).map(|number| spends(number, number)));
    let (sender, receiver) = mpsc::channel(jobs.len());
    for job in jobs {
        assert!(sender.try_send(job).is_ok());
    }
    drop(sender);
    run(&connection, receiver);
    for (mut answer, size) in answers.into_iter().zip(1..) {
        assert_eq!(answer.try_recv().unwrap(), done(1, size));
    }
    drop(connection);
    assert_eq!(count(&open(&folder), "entry"), 600);
}
