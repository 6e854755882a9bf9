//! The reads, each one statement.
//!
//! Ids and digests are ordered as the database orders text: of one length and shape, they order the same in every collation.

use governance::{Digest, Instance, InstanceId, State, Timestamp, World};
use plane::ports::{Enrolment, Gate, InstanceFilter, Lease, Revision, StoreError};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::lines::Lines;
use super::link::Value;
use crate::rows::{OutboxItem, damaged, parse_enrolment, parse_id, parse_revised};

pub(super) const WORLD: &str = "SELECT body, revision FROM world WHERE world_id = 1";
pub(super) const INSTANCE: &str = "SELECT body, revision FROM instance WHERE instance_id = $1";
pub(super) const INSTANCES_OF: &str =
    "SELECT body, revision FROM instance WHERE instance_id = ANY($1) ORDER BY instance_id";
pub(super) const ENTRIES: &str = "SELECT body FROM entry WHERE position >= $1 ORDER BY position LIMIT $2";
pub(super) const PULSE: &str = "SELECT at FROM pulse";
const ENTRY_COUNT: &str = "SELECT COALESCE(MAX(position) + 1, 0) FROM entry";

pub(super) async fn world(lines: &Lines) -> Result<(World, Revision), StoreError> {
    lines.one(WORLD, &[]).await?.map_or_else(|| Ok((World::default(), 0)), |row| revised(&row))
}

pub(super) async fn instance(
    lines: &Lines,
    id: InstanceId,
) -> Result<Option<(Instance, Revision)>, StoreError> {
    lines.one(INSTANCE, &[&id.to_string()]).await?.map(|row| revised(&row)).transpose()
}

/// The statement of a listing and its values.
pub(super) fn listing(
    filter: &InstanceFilter,
    after: Option<InstanceId>,
    limit: usize,
) -> (String, Vec<Box<dyn tokio_postgres::types::ToSql + Sync + Send>>) {
    let text = |value: String| -> Box<dyn tokio_postgres::types::ToSql + Sync + Send> { Box::new(value) };
    let listed =
        |at: Timestamp| -> Box<dyn tokio_postgres::types::ToSql + Sync + Send> { Box::new(at.as_millis()) };
    let conditions = [
        (" AND state = $", "", filter.state.map(|state| text(state.to_string()))),
        (" AND platform = $", "", filter.platform.map(|platform| text(platform.to_string()))),
        (" AND kind = $", "", filter.kind.map(|kind| text(kind.to_string()))),
        (" AND tier = $", "", filter.tier.map(|tier| text(tier.to_string()))),
        (" AND provider = $", "", filter.provider.as_ref().map(|provider| text(provider.to_string()))),
        // So that the few are found by their own index, and not by going through all.
        (
            " AND instance_id IN (SELECT instance_id FROM instance WHERE listed_until >= $",
            ")",
            filter.unbelieved.map(listed),
        ),
        (" AND instance_id > $", "", after.map(|after| text(after.to_string()))),
    ];
    let mut sql = "SELECT body, revision FROM instance WHERE true".to_owned();
    let mut values = Vec::with_capacity(conditions.len() + 1);
    for (before, behind, value) in conditions {
        if let Some(value) = value {
            values.push(value);
            sql.push_str(before);
            sql.push_str(&values.len().to_string());
            sql.push_str(behind);
        }
    }
    values.push(Box::new(integer(limit as u64)));
    sql.push_str(" ORDER BY instance_id LIMIT $");
    sql.push_str(&values.len().to_string());
    (sql, values)
}

pub(super) async fn instances(
    lines: &Lines,
    filter: &InstanceFilter,
    after: Option<InstanceId>,
    limit: usize,
) -> Result<Vec<(Instance, Revision)>, StoreError> {
    let (sql, values) = listing(filter, after, limit);
    let values: Vec<Value<'_>> = values.iter().map(|value| -> Value<'_> { &**value }).collect();
    lines.query(&sql, &values).await?.iter().map(revised).collect()
}

pub(super) async fn instances_of(
    lines: &Lines,
    ids: &[InstanceId],
) -> Result<Vec<(Instance, Revision)>, StoreError> {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    lines.query(INSTANCES_OF, &[&ids]).await?.iter().map(revised).collect()
}

pub(super) async fn instance_count(lines: &Lines) -> Result<Vec<(State, u64)>, StoreError> {
    let rows = lines.query("SELECT state, COUNT(*) FROM instance GROUP BY state", &[]).await?;
    let parse = |row: &Row| {
        let state: State = column::<&str>(row, 0)?.parse().map_err(|error| damaged("instance", &error))?;
        Ok((state, number(row, 1)?))
    };
    let mut counts: Vec<_> = rows.iter().map(parse).collect::<Result<_, StoreError>>()?;
    counts.sort_unstable();
    Ok(counts)
}

pub(super) async fn enrolment(lines: &Lines, digest: Digest) -> Result<Option<Enrolment>, StoreError> {
    let sql = "SELECT body, used, approved FROM enrolment WHERE digest = $1";
    lines.one(sql, &[&digest.to_string()]).await?.map(|row| enrolled(&row)).transpose()
}

pub(super) async fn enrolments_waiting(
    lines: &Lines,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Enrolment>, StoreError> {
    let sql = "SELECT body, used, approved FROM enrolment
               WHERE instance_id IS NOT NULL AND used IS NULL AND expires >= $1 ORDER BY expires, digest LIMIT $2";
    lines.query(sql, &[&now.as_millis(), &integer(limit as u64)]).await?.iter().map(enrolled).collect()
}

pub(super) async fn document(lines: &Lines, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT bytes FROM document WHERE kind = $1 AND name = $2";
    lines.one(sql, &[&kind, &name]).await?.map(|row| column(&row, 0)).transpose()
}

pub(super) async fn entries(lines: &Lines, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows = lines.query(ENTRIES, &[&integer(from), &integer(limit as u64)]).await?;
    rows.iter().map(|row| column(row, 0)).collect()
}

pub(super) async fn decisions(
    lines: &Lines,
    instance: InstanceId,
    skip: u64,
    limit: usize,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let sql = "SELECT position, body FROM entry WHERE instance_id = $1 ORDER BY position LIMIT $3 OFFSET $2";
    let rows = lines.query(sql, &[&instance.to_string(), &integer(skip), &integer(limit as u64)]).await?;
    rows.iter().map(|row| Ok((number(row, 0)?, column(row, 1)?))).collect()
}

pub(super) async fn changes(
    lines: &Lines,
    from: u64,
    limit: usize,
) -> Result<Vec<Option<InstanceId>>, StoreError> {
    let sql = "SELECT instance_id FROM entry WHERE position >= $1 ORDER BY position LIMIT $2";
    let rows = lines.query(sql, &[&integer(from), &integer(limit as u64)]).await?;
    rows.iter().map(|row| column::<Option<&str>>(row, 0)?.map(parse_id).transpose()).collect()
}

pub(super) async fn seen(
    lines: &Lines,
    after: Option<InstanceId>,
    limit: usize,
) -> Result<Vec<(InstanceId, Timestamp)>, StoreError> {
    let sql = "SELECT instance_id, at FROM seen WHERE instance_id > $1 ORDER BY instance_id LIMIT $2";
    let after = after.map_or_else(String::new, |id| id.to_string());
    let rows = lines.query(sql, &[&after, &integer(limit as u64)]).await?;
    rows.iter().map(|row| Ok((parse_id(column(row, 0)?)?, Timestamp::from_millis(column(row, 1)?)))).collect()
}

pub(super) async fn lease(lines: &Lines, name: &str) -> Result<Option<Lease>, StoreError> {
    let sql = "SELECT name, holder, fence, beat FROM lease WHERE name = $1";
    let parse = |row: Row| {
        let (name, holder) = (column(&row, 0)?, column(&row, 1)?);
        Ok(Lease { name, holder, fence: number(&row, 2)?, beat: number(&row, 3)? })
    };
    lines.one(sql, &[&name]).await?.map(parse).transpose()
}

pub(super) async fn gate(lines: &Lines) -> Result<Option<Gate>, StoreError> {
    let sql = "SELECT gate, revision FROM world WHERE world_id = 1 AND gate IS NOT NULL";
    let parse = |row: Row| Ok(Gate { holder: column(&row, 0)?, world_revision: number(&row, 1)? });
    lines.one(sql, &[]).await?.map(parse).transpose()
}

pub(super) async fn entry_count(lines: &Lines) -> Result<u64, StoreError> {
    lines.one(ENTRY_COUNT, &[]).await?.map_or(Ok(0), |row| number(&row, 0))
}

/// The database's own clock.
pub(super) async fn clock(lines: &Lines) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT CAST(EXTRACT(EPOCH FROM CLOCK_TIMESTAMP()) * 1000 AS BIGINT)";
    lines.one(sql, &[]).await?.map(|row| Ok(Timestamp::from_millis(column(&row, 0)?))).transpose()
}

pub(super) async fn pulse(lines: &Lines) -> Result<Option<Timestamp>, StoreError> {
    lines.one(PULSE, &[]).await?.map(|row| Ok(Timestamp::from_millis(column(&row, 0)?))).transpose()
}

pub(super) async fn outbox(lines: &Lines, topic: &str, limit: usize) -> Result<Vec<OutboxItem>, StoreError> {
    let sql = "SELECT position, entries FROM outbox WHERE topic = $1 ORDER BY position LIMIT $2";
    let rows = lines.query(sql, &[&topic, &integer(limit as u64)]).await?;
    rows.iter().map(|row| Ok(OutboxItem { position: number(row, 0)?, entries: number(row, 1)? })).collect()
}

/// What is wrong with the rows: the database answers for its own files.
pub(super) async fn problems(lines: &Lines) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT COUNT(*), COALESCE(MAX(position) + 1, 0), (SELECT size FROM head WHERE head_id = 1) FROM entry";
    let Some(row) = lines.one(sql, &[]).await? else { return Ok(Vec::new()) };
    let (entries, end, size) = (number(&row, 0)?, number(&row, 1)?, number(&row, 2)?);
    let mut found = Vec::new();
    if entries != end {
        found.push(format!("the ledger has gaps: {entries} entries, the last behind position {end}"));
    }
    if end != size {
        found.push(format!("the ledger's head says {size} entries, the last is behind position {end}"));
    }
    Ok(found)
}

pub(super) fn revised<T: DeserializeOwned>(row: &Row) -> Result<(T, Revision), StoreError> {
    parse_revised((column::<&str>(row, 0)?, column::<i64>(row, 1)?))
}

fn enrolled(row: &Row) -> Result<Enrolment, StoreError> {
    parse_enrolment((column(row, 0)?, column(row, 1)?, column(row, 2)?))
}

pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, StoreError> {
    row.try_get(index).map_err(|error| damaged("row", &error))
}

/// A number that the schema holds not to be negative.
pub(super) fn number(row: &Row, index: usize) -> Result<u64, StoreError> {
    Ok(column::<i64>(row, index)?.unsigned_abs())
}

/// A number as the database counts; beyond its largest there is nothing to find.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
