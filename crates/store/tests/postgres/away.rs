//! A server that goes away, hangs or comes back.

use std::time::Duration;

use plane::ports::{Commit, Store, StoreError};
use store::conformance::fixture::{instance, instance_id, nonce, writes};
use store::conformance::postgres::{Database, SERVER};
use store::{OpenError, PostgresOptions, PostgresStore};
use tokio::net::TcpListener;
use tokio_postgres::{Client, NoTls};

/// A connection to the server that outlives the database's.
async fn superuser() -> Client {
    let (client, connection) = tokio_postgres::connect(&std::env::var(SERVER).unwrap(), NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

fn entry(number: u64, decided_on: Option<u64>) -> Commit {
    Commit { entries: vec![vec![1]], ..writes(instance(number), decided_on) }
}

/// Asks until the store does it; every other answer must be that it cannot.
async fn until_done<T>(ask: impl AsyncFn() -> Result<T, StoreError>) -> T {
    loop {
        match ask().await {
            Ok(done) => return done,
            Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cut_every_connection_serves_the_next() {
    let Some(database) = Database::fresh().await else { return };
    let store = database.store().await;
    store.commit(entry(1, None)).await.unwrap();
    let cut = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
        database.name()
    );
    superuser().await.batch_execute(&cut).await.unwrap();
    // A read is asked again by itself, over a new connection.
    assert_eq!(store.instance_load(instance_id(1)).await, Ok(Some((instance(1), 1))));
    let mut number = 1;
    // A commit whose connection was lost is unavailable: asking again with another id finds what was written.
    let committed = until_done(async || store.commit(entry(2, None)).await).await;
    number += committed.instance_revision;
    assert_eq!(number, 2);
    assert_eq!(store.check().await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_everything_is_unavailable_and_then_goes_on() {
    let Some(database) = Database::fresh().await else { return };
    let store = database.store().await;
    store.commit(entry(1, None)).await.unwrap();
    let superuser = superuser().await;
    let name = database.name();
    superuser.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await.unwrap();
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    superuser.batch_execute(&cut).await.unwrap();
    for _ in 0..5 {
        let refused = store.commit(entry(2, None)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        let refused = store.instance_load(instance_id(1)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        let refused = store.pulse_save(store::conformance::fixture::at(1)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    superuser.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await.unwrap();
    let committed = until_done(async || store.commit(entry(2, None)).await).await;
    assert_eq!(committed.ledger_size, 2, "nothing of what was refused was written");
    until_done(async || store.pulse_save(store::conformance::fixture::at(1)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_cannot_go_on_ends_in_its_time_and_leaves_nothing() {
    let Some(database) = Database::fresh().await else { return };
    let options = PostgresOptions { answer_within: Duration::from_millis(300), ..PostgresOptions::default() };
    let store = PostgresStore::open(database.url(), options).await.unwrap();
    let other = database.raw().await;
    other.batch_execute("BEGIN; SELECT size FROM head FOR UPDATE").await.unwrap();
    let stuck = Commit { nonce: Some(nonce(1)), ..entry(1, None) };
    let refused = store.commit(stuck.clone()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    // The server gives it up as well: what waits there still would be done as soon as it can.
    let superuser = superuser().await;
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'";
    while superuser.query_one(waiting, &[&database.name()]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::task::yield_now().await;
    }
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(until_done(async || store.commit(stuck.clone()).await).await.ledger_size, 1);
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing_is_given_up() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = socket.local_addr().unwrap();
    let holds = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(connection) = socket.accept().await {
            held.push(connection);
        }
    });
    let options =
        PostgresOptions { connect_within: Duration::from_millis(200), ..PostgresOptions::default() };
    let refused = PostgresStore::open(&format!("postgres://a@{silent}/fleet"), options).await.err().unwrap();
    assert!(matches!(refused, OpenError::Away { .. }), "{refused}");
    assert!(refused.to_string().contains("fleet: no connection within 0.2 s"), "{refused}");
    holds.abort();
}
