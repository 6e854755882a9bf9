//! The reads: a few connections that cannot write, each serving one query at a time off the async threads.
//!
//! Never waits for the writer: the write-ahead log gives every query the last durable state.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governance::{Digest, Instance, InstanceId, State, Timestamp, World};
use plane::ports::{Enrolment, Gate, InstanceFilter, Lease, Revision, StoreError};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};
use tokio::sync::Semaphore;

use super::open::open_reader;
use super::unavailable;
use crate::rows::{EnrolmentTexts, OutboxItem, damaged, parse_enrolment, parse_id, parse_revised};

/// A bounded pool of reading connections.
pub(super) struct Readers {
    path: PathBuf,
    busy: Duration,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// At most `most` connections, opened when first needed.
    pub(super) fn new(path: PathBuf, busy: Duration, most: usize) -> Arc<Self> {
        Arc::new(Self { path, busy, idle: Mutex::default(), permits: Arc::new(Semaphore::new(most)) })
    }

    /// Runs the query on a connection of its own; waits while all are taken.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = |error: &dyn std::fmt::Display| StoreError::Unavailable(error.to_string());
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|error| closed(&error))?;
        let readers = Arc::clone(self);
        let blocking = move || {
            // Held until the query ends, not until the caller stops waiting.
            let _permit = permit;
            let idle = readers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => open_reader(&readers.path, readers.busy).map_err(unavailable)?,
            };
            let answer = query(&connection);
            readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            answer
        };
        tokio::task::spawn_blocking(blocking).await.map_err(|error| closed(&error))?
    }
}

pub(super) fn world(connection: &Connection) -> Result<(World, Revision), StoreError> {
    let sql = "SELECT body, revision FROM world WHERE world_id = 1";
    one(connection, sql, vec![], body_and_revision)?.map_or_else(|| Ok((World::default(), 0)), parse_revised)
}

pub(super) fn instance(
    connection: &Connection,
    id: InstanceId,
) -> Result<Option<(Instance, Revision)>, StoreError> {
    let sql = "SELECT body, revision FROM instance WHERE instance_id = ?1";
    one(connection, sql, vec![text(id)], body_and_revision)?.map(parse_revised).transpose()
}

pub(super) fn instances(
    connection: &Connection,
    filter: &InstanceFilter,
    after: Option<InstanceId>,
    limit: usize,
) -> Result<Vec<(Instance, Revision)>, StoreError> {
    let conditions = [
        (" AND state = ?", filter.state.map(text)),
        (" AND platform = ?", filter.platform.map(text)),
        (" AND kind = ?", filter.kind.map(text)),
        (" AND tier = ?", filter.tier.map(text)),
        (" AND provider = ?", filter.provider.as_ref().map(text)),
        // So that the few are found by their own index, and not by going through all.
        (
            " AND instance_id IN (SELECT instance_id FROM instance WHERE listed_until >= ?)",
            filter.unbelieved.map(|at| Value::Integer(at.as_millis())),
        ),
        (" AND instance_id > ?", after.map(text)),
    ];
    let mut sql = "SELECT body, revision FROM instance WHERE 1 = 1".to_owned();
    let mut values = Vec::with_capacity(conditions.len() + 1);
    for (condition, value) in conditions {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    }
    sql.push_str(" ORDER BY instance_id LIMIT ?");
    values.push(integer(limit as u64));
    many(connection, &sql, values, body_and_revision)?.into_iter().map(parse_revised).collect()
}

pub(super) fn instances_of(
    connection: &Connection,
    ids: &[InstanceId],
) -> Result<Vec<(Instance, Revision)>, StoreError> {
    // One text however many they are: the ids travel as one value.
    let sql = "SELECT body, revision FROM instance WHERE instance_id IN (SELECT value FROM json_each(?1))
               ORDER BY instance_id";
    let ids = serde_json::to_string(ids).map_err(|error| damaged("id", &error))?;
    many(connection, sql, vec![Value::Text(ids)], body_and_revision)?.into_iter().map(parse_revised).collect()
}

pub(super) fn instance_count(connection: &Connection) -> Result<Vec<(State, u64)>, StoreError> {
    let sql = "SELECT state, COUNT(*) FROM instance GROUP BY state";
    let rows = many(connection, sql, vec![], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    let parse = |(state, count): (String, i64)| {
        let state: State = state.parse().map_err(|error| damaged("instance", &error))?;
        Ok((state, count.unsigned_abs()))
    };
    let mut counts: Vec<_> = rows.into_iter().map(parse).collect::<Result<_, StoreError>>()?;
    counts.sort_unstable();
    Ok(counts)
}

pub(super) fn enrolment(connection: &Connection, digest: Digest) -> Result<Option<Enrolment>, StoreError> {
    let sql = "SELECT body, used, approved FROM enrolment WHERE digest = ?1";
    one(connection, sql, vec![text(digest)], enrolment_row)?.map(parse_enrolment).transpose()
}

pub(super) fn enrolments_waiting(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Enrolment>, StoreError> {
    let sql = "SELECT body, used, approved FROM enrolment
               WHERE instance_id IS NOT NULL AND used IS NULL AND expires >= ?1 ORDER BY expires, digest LIMIT ?2";
    let values = vec![Value::Integer(now.as_millis()), integer(limit as u64)];
    many(connection, sql, values, enrolment_row)?.into_iter().map(parse_enrolment).collect()
}

fn enrolment_row(row: &Row<'_>) -> rusqlite::Result<EnrolmentTexts> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

pub(super) fn document(
    connection: &Connection,
    kind: String,
    name: String,
) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT bytes FROM document WHERE kind = ?1 AND name = ?2";
    one(connection, sql, vec![Value::Text(kind), Value::Text(name)], |row| row.get(0))
}

pub(super) fn entries(connection: &Connection, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
    let sql = "SELECT body FROM entry WHERE position >= ?1 ORDER BY position LIMIT ?2";
    many(connection, sql, vec![integer(from), integer(limit as u64)], |row| row.get(0))
}

pub(super) fn decisions(
    connection: &Connection,
    instance: InstanceId,
    skip: u64,
    limit: usize,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let sql = "SELECT position, body FROM entry WHERE instance_id = ?1 ORDER BY position LIMIT ?3 OFFSET ?2";
    let values = vec![text(instance), integer(skip), integer(limit as u64)];
    let rows: Vec<(i64, Vec<u8>)> = many(connection, sql, values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.into_iter().map(|(position, body)| (position.unsigned_abs(), body)).collect())
}

pub(super) fn changes(
    connection: &Connection,
    from: u64,
    limit: usize,
) -> Result<Vec<Option<InstanceId>>, StoreError> {
    let sql = "SELECT instance_id FROM entry WHERE position >= ?1 ORDER BY position LIMIT ?2";
    let rows: Vec<Option<String>> =
        many(connection, sql, vec![integer(from), integer(limit as u64)], |row| row.get(0))?;
    rows.into_iter().map(|id| id.map(|id| parse_id(&id)).transpose()).collect()
}

pub(super) fn seen(
    connection: &Connection,
    after: Option<InstanceId>,
    limit: usize,
) -> Result<Vec<(InstanceId, Timestamp)>, StoreError> {
    let sql = "SELECT instance_id, at FROM seen WHERE instance_id > ?1 ORDER BY instance_id LIMIT ?2";
    let after = after.map_or_else(String::new, |id| id.to_string());
    let values = vec![Value::Text(after), integer(limit as u64)];
    let rows: Vec<(String, i64)> = many(connection, sql, values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.into_iter().map(|(id, at)| Ok((parse_id(&id)?, Timestamp::from_millis(at)))).collect()
}

pub(super) fn lease(connection: &Connection, name: String) -> Result<Option<Lease>, StoreError> {
    let sql = "SELECT name, holder, fence, beat FROM lease WHERE name = ?1";
    one(connection, sql, vec![Value::Text(name)], |row| {
        let (fence, beat): (i64, i64) = (row.get(2)?, row.get(3)?);
        let (fence, beat) = (fence.unsigned_abs(), beat.unsigned_abs());
        Ok(Lease { name: row.get(0)?, holder: row.get(1)?, fence, beat })
    })
}

pub(super) fn gate(connection: &Connection) -> Result<Option<Gate>, StoreError> {
    let sql = "SELECT gate, revision FROM world WHERE world_id = 1 AND gate IS NOT NULL";
    one(connection, sql, vec![], |row| {
        let revision: i64 = row.get(1)?;
        Ok(Gate { holder: row.get(0)?, world_revision: revision.unsigned_abs() })
    })
}

pub(super) fn entry_count(connection: &Connection) -> Result<u64, StoreError> {
    let count: Option<i64> =
        one(connection, "SELECT COALESCE(MAX(position) + 1, 0) FROM entry", vec![], |row| row.get(0))?;
    Ok(count.unwrap_or(0).unsigned_abs())
}

pub(super) fn pulse(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<i64> = one(connection, "SELECT at FROM pulse", vec![], |row| row.get(0))?;
    Ok(at.map(Timestamp::from_millis))
}

pub(super) fn outbox(
    connection: &Connection,
    topic: String,
    limit: usize,
) -> Result<Vec<OutboxItem>, StoreError> {
    let sql = "SELECT position, entries FROM outbox WHERE topic = ?1 ORDER BY position LIMIT ?2";
    many(connection, sql, vec![Value::Text(topic), integer(limit as u64)], |row| {
        let (position, entries): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(OutboxItem { position: position.unsigned_abs(), entries: entries.unsigned_abs() })
    })
}

/// What is wrong with the file, at most `limit` findings of the database and one of ours.
pub(super) fn problems(connection: &Connection, limit: usize) -> Result<Vec<String>, StoreError> {
    let sql = format!("PRAGMA quick_check({limit})");
    let mut found: Vec<String> = many(connection, &sql, vec![], |row| row.get(0))?;
    found.retain(|line| line != "ok");
    let sql = "SELECT COUNT(*), COALESCE(MAX(position) + 1, 0) FROM entry";
    let counts: Option<(i64, i64)> = one(connection, sql, vec![], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if let Some((entries, end)) = counts.filter(|(entries, end)| entries != end) {
        found.push(format!("the ledger has gaps: {entries} entries, the last at position {}", end - 1));
    }
    Ok(found)
}

fn body_and_revision(row: &Row<'_>) -> rusqlite::Result<(String, i64)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn text(value: impl ToString) -> Value {
    Value::Text(value.to_string())
}

/// A number as the database counts; beyond its largest there is nothing to find.
fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

type Mapped<T> = fn(&Row<'_>) -> rusqlite::Result<T>;

fn one<T>(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    row: Mapped<T>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(unavailable)?;
    statement.query_row(params_from_iter(values), row).optional().map_err(unavailable)
}

fn many<T>(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    row: Mapped<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(unavailable)?;
    let rows = statement.query_map(params_from_iter(values), row).map_err(unavailable)?;
    rows.collect::<Result<_, _>>().map_err(unavailable)
}
