//! Migrations up from every schema that there was, with rows in its tables.

use plane::ports::{Commit, InstanceFilter, PAGE_MAX, Store as _, StoreError};
use tokio_postgres::Client;

use super::*;
use crate::conformance::fixture::{at, digest, enrolment, instance, instance_id, nonce, writes};
use crate::conformance::postgres::Database;
use crate::migrations::POSTGRES;
use crate::rows::{EnrolmentRow, Writing};

/// Rows in every table that the first schema has, as a server of that time wrote them.
async fn fill(client: &Client) {
    let row = Writing::new(writes(instance(1), None)).unwrap().instance.unwrap();
    let kept = "INSERT INTO instance (instance_id, revision, state, platform, kind, tier, provider, body)
                VALUES ($1, 4, $2, $3, $4, $5, $6, $7)";
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&row.instance_id, &row.state, &row.platform, &row.kind, &row.tier, &row.provider, &row.body];
    client.execute(kept, &values).await.unwrap();
    let world = serde_json::to_string(&governance::World::default()).unwrap();
    client
        .execute("INSERT INTO world (world_id, revision, body) VALUES (1, 3, $1)", &[&world])
        .await
        .unwrap();
    client
        .batch_execute(
            "INSERT INTO entry (position, body) VALUES (0, 'a'), (1, 'b'), (2, 'c');
             INSERT INTO outbox VALUES ('ledger', 0, 3);
             INSERT INTO nonce VALUES ('key', 'nonce-9', 9);
             INSERT INTO document VALUES ('keys', '1', 'k')",
        )
        .await
        .unwrap();
    let create = plane::ports::EnrolmentWrite::Create(enrolment(5));
    let writing = Writing::new(Commit { enrolment: Some(create), ..Commit::default() }).unwrap();
    let Some(EnrolmentRow::Create { digest, expires, body, .. }) = writing.enrolment else { return };
    let kept = "INSERT INTO enrolment (digest, expires, body) VALUES ($1, $2, $3)";
    client.execute(kept, &[&digest, &expires, &body]).await.unwrap();
}

#[tokio::test]
async fn every_schema_that_was_comes_up_with_its_rows() {
    for from in 1..=POSTGRES.len() {
        let Some(database) = Database::fresh().await else { return };
        let client = database.raw().await;
        migrate(&client, "here", &POSTGRES[..from]).await.unwrap();
        fill(&client).await;
        if from >= 5 {
            client.batch_execute("UPDATE head SET size = 3").await.unwrap();
        }
        let store = database.store().await;
        let what = format!("from {from}");
        let page = store.instance_page(&InstanceFilter::default(), None, PAGE_MAX).await;
        assert_eq!(page, Ok(vec![(instance(1), 4)]), "{what}");
        assert_eq!(store.world_load().await.unwrap().1, 3, "{what}");
        assert_eq!(
            store.entry_page(0, 9).await,
            Ok(vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]),
            "{what}"
        );
        assert_eq!(store.enrolment_load(digest(5)).await, Ok(Some(enrolment(5))), "{what}");
        assert_eq!(store.document_load("keys", "1").await, Ok(Some(b"k".to_vec())), "{what}");
        let again = Commit { world_revision: 3, nonce: Some(nonce(9)), ..Commit::default() };
        assert_eq!(store.commit(again).await, Err(StoreError::NonceSpent), "{what}");
        let next = Commit { world_revision: 3, entries: vec![vec![1]], ..writes(instance(1), Some(4)) };
        assert_eq!(store.commit(next).await.unwrap().ledger_size, 4, "{what}: behind what was there");
        store.seen_save(&[(instance_id(1), at(1))]).await.unwrap();
        assert_eq!(store.check().await, Ok(vec![]), "{what}");
    }
}

#[tokio::test]
async fn a_migration_that_fails_takes_the_others_back() {
    let Some(database) = Database::fresh().await else { return };
    let client = database.raw().await;
    let first = Migration { number: 1, name: "0001_a", sql: "CREATE TABLE a (x BIGINT)" };
    let broken = Migration { number: 2, name: "0002_x", sql: "CREATE TABLE b (x BIGINT); NONSENSE" };
    let failed = migrate(&client, "here", &[first, broken]).await.unwrap_err();
    assert!(failed.to_string().contains("syntax"), "{failed}");
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(client.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 0);
}
