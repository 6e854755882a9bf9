//! The database: whose it is, its schema, its roles, what it cannot store.

use std::fs;

use plane::ports::{Commit, Nonce, PAGE_MAX, Store, StoreError};
use store::conformance::fixture::{at, instance, instance_id, nonce, writes};
use store::conformance::postgres::Database;
use store::{
    AnyReader, FORGET_MAX, OUTBOX_TOPIC, OpenError, OutboxItem, Place, PostgresOptions, PostgresStore,
};

async fn refused(url: &str) -> OpenError {
    PostgresStore::open(url, PostgresOptions::default()).await.err().unwrap()
}

#[tokio::test]
async fn a_database_that_is_not_ours_is_refused_and_stays_as_it_was() {
    let Some(database) = Database::fresh().await else { return };
    let raw = database.raw().await;
    raw.batch_execute("CREATE TABLE theirs (x INT)").await.unwrap();
    let occupied = refused(database.url()).await;
    assert!(matches!(occupied, OpenError::Occupied { tables: 1, .. }), "{occupied}");
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(raw.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 1);

    raw.batch_execute("DROP TABLE theirs").await.unwrap();
    drop(database.store().await);
    raw.batch_execute("INSERT INTO migration VALUES (99, '0099_future', 'x')").await.unwrap();
    let newer = refused(database.url()).await;
    assert!(matches!(newer, OpenError::SchemaNewer { found: 99, .. }), "{newer}");
    raw.batch_execute(
        "DELETE FROM migration WHERE number = 99; UPDATE migration SET checksum = 'x' WHERE number = 2",
    )
    .await
    .unwrap();
    let differs = refused(database.url()).await;
    assert!(matches!(differs, OpenError::SchemaDiffers { number: 2, .. }), "{differs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_servers_that_start_at_once_make_one_schema() {
    let Some(database) = Database::fresh().await else { return };
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let url = database.url().to_owned();
        starts.spawn(async move { PostgresStore::open(&url, PostgresOptions::default()).await.map(|_| ()) });
    }
    for started in starts.join_all().await {
        assert!(started.is_ok(), "{started:?}");
    }
}

#[tokio::test]
async fn a_role_that_reads_and_writes_rows_is_enough_once_the_schema_is_there() {
    let Some(database) = Database::fresh().await else { return };
    let raw = database.raw().await;
    let role = format!("{}_role", database.name());
    let url = database.url().replacen("postgres@", &format!("{role}@"), 1);
    raw.batch_execute(&format!("CREATE ROLE {role} LOGIN")).await.unwrap();
    assert!(matches!(refused(&url).await, OpenError::Database(_)), "it may not make tables");
    drop(database.store().await);
    raw.batch_execute(&format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
    ))
    .await
    .unwrap();
    let store = PostgresStore::open(&url, PostgresOptions::default()).await.unwrap();
    let world = Some(Box::default());
    let commit = Commit { world, nonce: Some(nonce(1)), entries: vec![vec![7]], ..writes(instance(1), None) };
    assert_eq!(store.commit(commit).await.unwrap().ledger_size, 1);
    assert_eq!(store.nonce_forget(at(5)).await, Ok(1));
    drop(store);
    raw.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test]
async fn whoever_reads_changes_nothing_and_needs_the_schema() {
    let Some(database) = Database::fresh().await else { return };
    let place = Place::Server(database.url().to_owned(), PostgresOptions::default());
    assert!(matches!(place.recorded().await, Err(OpenError::SchemaOlder { found: 0, .. })));
    let store = database.store().await;
    let world = Some(Box::default());
    let first = Commit { world, entries: vec![vec![1], vec![2]], ..writes(instance(1), None) };
    store.commit(first).await.unwrap();
    store.commit(Commit { world_revision: 1, ..writes(instance(2), None) }).await.unwrap();
    store.pulse_save(at(7)).await.unwrap();
    let found = place.recorded().await.unwrap();
    assert_eq!((found.instances, found.pulse), (vec![instance(1), instance(2)], Some(at(7))));
    let reader = AnyReader::open(place).await.unwrap();
    assert_eq!(reader.entry_page(1, 5).await, Ok(vec![vec![2]]));
    assert_eq!(reader.document_load("keys", "1").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_stored_is_refused_alone() {
    let Some(database) = Database::fresh().await else { return };
    let store = std::sync::Arc::new(database.store().await);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..40_u64 {
        let store = std::sync::Arc::clone(&store);
        callers.spawn(async move {
            // The engine's texts hold no NUL.
            let text = if caller == 20 { "a\0b".to_owned() } else { caller.to_string() };
            let spent = Nonce { key: "key".to_owned(), nonce: text, expires: at(1) };
            let commit =
                Commit { nonce: Some(spent), entries: vec![vec![1]], ..writes(instance(caller), None) };
            (caller, store.commit(commit).await)
        });
    }
    for (caller, outcome) in callers.join_all().await {
        assert_eq!(outcome.is_ok(), caller != 20, "{caller}: {outcome:?}");
        assert!(!matches!(outcome, Err(StoreError::NonceSpent | StoreError::Conflict(_))), "{outcome:?}");
    }
    assert_eq!(store.entry_count().await, Ok(39));
    assert_eq!(store.instance_load(instance_id(20)).await, Ok(None));
}

#[tokio::test]
async fn the_outbox_names_every_commit_with_entries_until_it_is_forgotten() {
    let Some(database) = Database::fresh().await else { return };
    let store = database.store().await;
    for count in [2, 0, 1, 3] {
        store.commit(Commit { entries: vec![vec![7]; count], ..Commit::default() }).await.unwrap();
    }
    let item = |position, entries| OutboxItem { position, entries };
    let all = vec![item(0, 2), item(2, 1), item(3, 3)];
    assert_eq!(store.outbox_page(OUTBOX_TOPIC, PAGE_MAX).await, Ok(all));
    assert_eq!(store.outbox_page("another", PAGE_MAX).await, Ok(vec![]));
    assert_eq!(store.outbox_forget(2).await, Ok(2));
    assert_eq!(store.outbox_page(OUTBOX_TOPIC, PAGE_MAX).await, Ok(vec![item(3, 3)]));
    assert_eq!(store.outbox_forget(u64::MAX).await, Ok(1));
}

#[tokio::test]
async fn many_nonces_are_forgotten_piece_by_piece() {
    let Some(database) = Database::fresh().await else { return };
    let store = database.store().await;
    let many = FORGET_MAX as u64 * 2 + 10;
    let sql =
        "INSERT INTO nonce SELECT 'key', 'nonce-' || n, n FROM generate_series(1, $1::BIGINT) AS of (n)";
    database.raw().await.execute(sql, &[&i64::try_from(many).unwrap()]).await.unwrap();
    assert_eq!(store.nonce_forget(at(many)).await, Ok(many - 1));
    assert_eq!(store.nonce_forget(at(many + 1)).await, Ok(1));
}

#[tokio::test]
async fn a_server_is_spoken_to_in_tls_by_its_name_and_its_ca_alone() {
    let Some(database) = Database::fresh().await else { return };
    let Ok(ca) = std::env::var("FEDPLANE_TEST_POSTGRES_CA") else { return };
    let raw = database.raw().await;
    let made = raw.batch_execute("CREATE ROLE fedplane_asked LOGIN SUPERUSER PASSWORD 'hush'").await;
    assert!(made.is_ok(), "{made:?}");
    let url = database.url().replacen("postgres@127.0.0.1", "fedplane_asked@localhost", 1);
    let open = async |url: &str, ca: &str, password: &str| {
        let password = trust::Secret::new(password.to_owned().into());
        let options = PostgresOptions { ca: Some(ca.to_owned()), password, ..PostgresOptions::default() };
        PostgresStore::open(url, options).await.map(|_| ())
    };
    let ca = fs::read_to_string(ca).unwrap();
    // The password's exchange is bound to the certificate, so that nobody in the middle takes part in it.
    let private = format!("{url}?sslmode=verify-full&channel_binding=require");
    let opened = open(&private, &ca, "hush").await;
    let wrong = open(&private, &ca, "rush").await;
    let other_name =
        open(&format!("{}&hostaddr=127.0.0.1", private.replace("localhost", "db.example")), &ca, "hush")
            .await;
    let other_ca = open(&private, include_str!("../data/ca.pem"), "hush").await;
    raw.batch_execute("DROP OWNED BY fedplane_asked").await.unwrap();
    raw.batch_execute(&format!("ALTER DATABASE {} OWNER TO postgres", database.name())).await.unwrap();
    raw.batch_execute("DROP ROLE fedplane_asked").await.unwrap();
    assert!(opened.is_ok(), "{opened:?}");
    let told = wrong.unwrap_err().to_string();
    assert!(told.contains("password") && !told.contains("rush"), "{told}");
    for refused in [other_name, other_ca] {
        let told = refused.unwrap_err().to_string();
        assert!(told.contains("certificate"), "{told}");
    }
}
