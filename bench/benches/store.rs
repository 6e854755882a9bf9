//! Durable decisions, each a commit of its own, by many callers at once; beside bare upserts of the same rows, so many in a
//! transaction, to the same engine, over the same schema: `cargo xtask bench store` shows the ratios. PostgreSQL where
//! `FEDPLANE_TEST_POSTGRES` names a server. On a machine that is not quiet the pairs count, which are printed first: one after the
//! other, bare and not.
#![allow(missing_docs, reason = "criterion's macros")]

use std::sync::Arc;
use std::time::Instant;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use fedplane_bench::{instance, world};
use governance::{Instance, Timestamp};
use plane::ports::{Commit, Nonce, Store};
use rusqlite::{Connection, TransactionBehavior};
use store::conformance::postgres::Database;
use store::{Options, SqliteStore};
use tokio_postgres::{Client, Statement};

/// Bytes of an entry such as most are: a report with its request.
const ENTRY_BYTES: usize = 2_000;
/// Instances on record.
const FLEET: u64 = 10_000;
/// Rows of a bare transaction.
const BATCH: usize = 256;
/// Decisions of one round.
const ROUND: usize = 8 * BATCH;
/// Callers, each of which decides one thing after the other.
const CALLERS: usize = 2 * BATCH;
/// Decisions of one caller, one after the other, of which the slowest is told.
const ALONE: usize = 4_000;
/// Rounds of either kind that are held against each other.
const PAIRS: usize = 15;

/// The fleet, and which of it decides next.
struct Fleet {
    instances: Vec<(Instance, String)>,
    revisions: Vec<u64>,
    next: usize,
    nonces: u64,
}

impl Fleet {
    fn new() -> Self {
        let world = world();
        let with_body = |number| {
            let instance = instance(number, &world);
            let body = serde_json::to_string(&instance).expect("JSON");
            (instance, body)
        };
        let instances: Vec<_> = (0..FLEET).map(with_body).collect();
        Self { revisions: vec![1; instances.len()], instances, next: 0, nonces: 0 }
    }

    /// Puts all of it on record.
    async fn register(&self, store: &Arc<impl Store>) {
        for some in self.instances.chunks(500) {
            let commit = |(instance, _): &(Instance, String)| Commit {
                instance: Some((Box::new(instance.clone()), None)),
                ..Commit::default()
            };
            decide(store, some.iter().map(commit).collect()).await;
        }
    }

    /// Whose turn it is: its place, its revision, a fresh nonce.
    fn turn(&mut self) -> (usize, u64, String) {
        let at = self.next;
        self.next = (at + 1) % self.instances.len();
        self.nonces += 1;
        self.revisions[at] += 1;
        (at, self.revisions[at] - 1, format!("{:032x}", self.nonces))
    }

    fn commits(&mut self, size: usize) -> Vec<Commit> {
        let mut commits = Vec::with_capacity(size);
        for _ in 0..size {
            let (at, revision, nonce) = self.turn();
            commits.push(Commit {
                instance: Some((Box::new(self.instances[at].0.clone()), Some(revision))),
                entries: vec![vec![7; ENTRY_BYTES]],
                about_instance: vec![0],
                nonce: Some(Nonce { key: "key".into(), nonce, expires: Timestamp::from_millis(i64::MAX) }),
                ..Commit::default()
            });
        }
        commits
    }

    /// The same as rows, written out.
    fn rows(&mut self, size: usize) -> Rows {
        let mut rows = Rows { entry: vec![7; ENTRY_BYTES], ..Rows::default() };
        for _ in 0..size {
            let (at, revision, nonce) = self.turn();
            let (instance, body) = &self.instances[at];
            rows.ids.push(instance.id.to_string());
            rows.revisions.push(i64::try_from(revision + 1).expect("few"));
            rows.states.push(instance.state.as_str());
            rows.platforms.push(instance.running.platform.to_string());
            rows.kinds.push(instance.kind.as_str());
            rows.tiers.push(instance.subscription.tier.as_str());
            rows.bodies.push(body.clone());
            rows.nonces.push(nonce);
        }
        rows
    }
}

/// What as many decisions write, each a row of four tables.
#[derive(Default)]
struct Rows {
    ids: Vec<String>,
    revisions: Vec<i64>,
    states: Vec<&'static str>,
    platforms: Vec<String>,
    kinds: Vec<&'static str>,
    tiers: Vec<&'static str>,
    bodies: Vec<String>,
    nonces: Vec<String>,
    entry: Vec<u8>,
}

/// The commits of a round, by so many callers at once.
async fn decide(store: &Arc<impl Store>, commits: Vec<Commit>) {
    let mut callers = tokio::task::JoinSet::new();
    let mut commits = commits.into_iter();
    loop {
        let own: Vec<Commit> = commits.by_ref().take(ROUND / CALLERS).collect();
        if own.is_empty() {
            break;
        }
        let store = Arc::clone(store);
        callers.spawn(async move {
            for commit in own {
                store.commit(commit).await.expect("committed");
            }
        });
    }
    callers.join_all().await;
}

/// Prints what one caller waits for each of its decisions, and at most.
fn alone(name: &str, commits: Vec<Commit>, mut commit: impl FnMut(Commit)) {
    let mut waited: Vec<_> = commits
        .into_iter()
        .map(|one| {
            let began = Instant::now();
            commit(one);
            began.elapsed()
        })
        .collect();
    waited.sort_unstable();
    let at = |per_mille: usize| waited[(waited.len() - 1) * per_mille / 1_000].as_secs_f64() * 1e3;
    println!(
        "{name}: one decision after the other, {ALONE} of them: {:.2} ms in the middle, {:.2} ms for 99 of a hundred, {:.2} ms at most",
        at(500),
        at(990),
        at(1_000)
    );
}

/// Prints the pairs, then has each measured.
fn compare(
    c: &mut Criterion,
    name: &str,
    (bare_fleet, mut bare): (&mut Fleet, impl FnMut(Vec<Rows>)),
    (fleet, mut decisions): (&mut Fleet, impl FnMut(Vec<Commit>)),
) {
    let rows = |fleet: &mut Fleet| (0..ROUND / BATCH).map(|_| fleet.rows(BATCH)).collect::<Vec<Rows>>();
    let mut ratios = Vec::new();
    for _ in 0..PAIRS {
        let (these, those) = (rows(bare_fleet), fleet.commits(ROUND));
        let began = Instant::now();
        bare(these);
        let between = Instant::now();
        decisions(those);
        ratios.push((between - began).as_secs_f64() / between.elapsed().as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    let at = |part: usize| ratios[PAIRS * part / 4];
    println!(
        "{name}: decisions a second to bare upserts a second, {PAIRS} pairs: {:.2} (quartiles {:.2} to {:.2})",
        at(2),
        at(1),
        at(3)
    );
    let mut group = c.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(ROUND as u64));
    group.bench_function("bare", |b| b.iter_batched(|| rows(bare_fleet), &mut bare, BatchSize::PerIteration));
    group.bench_function("decisions", |b| {
        b.iter_batched(|| fleet.commits(ROUND), &mut decisions, BatchSize::PerIteration);
    });
    group.finish();
}

/// One transaction of bare upserts in the file.
fn upsert_in_file(connection: &mut Connection, rows: &Rows, position: &mut i64) {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).expect("begun");
    for at in 0..rows.ids.len() {
        let execute = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            transaction.prepare_cached(sql).expect("SQL").execute(values).expect("written");
        };
        execute(
            "INSERT INTO nonce VALUES ('key', ?1, ?2) ON CONFLICT DO NOTHING",
            &[&rows.nonces[at], &i64::MAX],
        );
        execute(
            "INSERT INTO instance (instance_id, revision, state, platform, kind, tier, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (instance_id) DO UPDATE
             SET revision = excluded.revision, state = excluded.state, platform = excluded.platform,
                 kind = excluded.kind, tier = excluded.tier, body = excluded.body",
            &[
                &rows.ids[at],
                &rows.revisions[at],
                &rows.states[at],
                &rows.platforms[at],
                &rows.kinds[at],
                &rows.tiers[at],
                &rows.bodies[at],
            ],
        );
        execute("INSERT INTO entry VALUES (?1, ?2, ?3)", &[&*position, &rows.entry, &rows.ids[at]]);
        execute("INSERT INTO outbox VALUES ('ledger', ?1, 1)", &[&*position]);
        *position += 1;
    }
    transaction.commit().expect("committed");
}

fn sqlite(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    // A file each, so that neither grows by the other's rows.
    let folders = [0, 1].map(|_| tempfile::tempdir_in(".").expect("a folder"));
    let open = |folder: &tempfile::TempDir| {
        SqliteStore::open(folder.path().join("fedplane.db"), Options::default()).expect("a store")
    };
    let (mut floor, mut fleet) = (Fleet::new(), Fleet::new());
    let store = Arc::new(open(&folders[0]));
    runtime.block_on(floor.register(&store));
    drop(store);
    let mut connection = Connection::open(folders[0].path().join("fedplane.db")).expect("a file");
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
        .expect("set");
    let mut position = 0;
    let bare =
        |all: Vec<Rows>| all.iter().for_each(|rows| upsert_in_file(&mut connection, rows, &mut position));
    let store = Arc::new(open(&folders[1]));
    runtime.block_on(fleet.register(&store));
    let single = |one| drop(runtime.block_on(store.commit(one)).expect("committed"));
    alone("store-sqlite", fleet.commits(ALONE), single);
    let decisions = |commits| runtime.block_on(decide(&store, commits));
    compare(c, "store-sqlite", (&mut floor, bare), (&mut fleet, decisions));
}

/// Bare upserts of whole columns.
struct Upserts {
    client: Client,
    nonces: Statement,
    instances: Statement,
    entries: Statement,
    outbox: Statement,
    position: i64,
}

impl Upserts {
    async fn new(client: Client) -> Self {
        for setting in
            ["plan_cache_mode = force_generic_plan", "enable_seqscan = off", "enable_hashjoin = off"]
        {
            client.batch_execute(&format!("SET {setting}")).await.expect("set");
        }
        let prepare = async |sql: &str| client.prepare(sql).await.expect("SQL");
        let nonces = prepare(
            "INSERT INTO nonce SELECT 'key', n, 9223372036854775807 FROM UNNEST($1::TEXT[]) AS of (n)
             ON CONFLICT DO NOTHING",
        );
        let instances = prepare(
            "INSERT INTO instance (instance_id, revision, state, platform, kind, tier, body)
             SELECT * FROM UNNEST($1::TEXT[], $2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[])
             ON CONFLICT (instance_id) DO UPDATE
             SET revision = excluded.revision, state = excluded.state, platform = excluded.platform,
                 kind = excluded.kind, tier = excluded.tier, body = excluded.body",
        );
        let entries =
            prepare("INSERT INTO entry SELECT * FROM UNNEST($1::BIGINT[], $2::BYTEA[], $3::TEXT[])");
        let outbox = prepare("INSERT INTO outbox SELECT 'ledger', n, 1 FROM UNNEST($1::BIGINT[]) AS of (n)");
        let (nonces, instances, entries, outbox) =
            (nonces.await, instances.await, entries.await, outbox.await);
        Self { nonces, instances, entries, outbox, client, position: 0 }
    }

    /// One transaction, all of it sent before the first answer.
    async fn upsert(&mut self, rows: &Rows) {
        let size = i64::try_from(rows.ids.len()).expect("few");
        let positions: Vec<i64> = (self.position..self.position + size).collect();
        let bodies = vec![&rows.entry[..]; rows.ids.len()];
        self.position += size;
        let client = &self.client;
        let instances: [&(dyn tokio_postgres::types::ToSql + Sync); 7] = [
            &rows.ids,
            &rows.revisions,
            &rows.states,
            &rows.platforms,
            &rows.kinds,
            &rows.tiers,
            &rows.bodies,
        ];
        let nonces: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&rows.nonces];
        let entries: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&positions, &bodies, &rows.ids];
        let outbox: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&positions];
        let done = tokio::join!(
            biased;
            client.batch_execute("BEGIN"),
            client.execute(&self.nonces, &nonces),
            client.execute(&self.instances, &instances),
            client.execute(&self.entries, &entries),
            client.execute(&self.outbox, &outbox),
            client.batch_execute("COMMIT"),
        );
        done.0.expect("begun");
        for written in [done.1, done.2, done.3, done.4] {
            written.expect("written");
        }
        done.5.expect("committed");
    }
}

fn postgres(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let Some(database) = runtime.block_on(Database::fresh()) else { return };
    let ours = runtime.block_on(Database::fresh()).expect("a database");
    let (mut floor, mut fleet) = (Fleet::new(), Fleet::new());
    let fill = async |database: &Database, fleet: &Fleet| {
        let store = Arc::new(database.store().await);
        fleet.register(&store).await;
        let raw = database.raw().await;
        raw.batch_execute("ANALYZE").await.expect("analysed");
        (store, raw)
    };
    let (_, raw) = runtime.block_on(fill(&database, &floor));
    let mut upserts = runtime.block_on(Upserts::new(raw));
    let bare = |all: Vec<Rows>| {
        runtime.block_on(async {
            for rows in &all {
                upserts.upsert(rows).await;
            }
        });
    };
    let (store, _) = runtime.block_on(fill(&ours, &fleet));
    let single = |one| drop(runtime.block_on(store.commit(one)).expect("committed"));
    alone("store-postgres", fleet.commits(ALONE), single);
    let decisions = |commits| runtime.block_on(decide(&store, commits));
    compare(c, "store-postgres", (&mut floor, bare), (&mut fleet, decisions));
}

criterion_group!(benches, sqlite, postgres);
criterion_main!(benches);
