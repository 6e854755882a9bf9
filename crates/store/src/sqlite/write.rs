//! The statements of one commit, in the order of its guards: nonce, enrolment, world, instance.
//!
//! Never begins or ends a transaction: the writer does, around many of these.

use governance::Timestamp;
use plane::ports::{Committed, Lease, Nonce, Revision, StoreError};
use rusqlite::{Connection, OptionalExtension as _, Params, named_params};

use super::unavailable;
use crate::OUTBOX_TOPIC;
use crate::limits::FORGET_MAX;
use crate::rows::{EnrolmentRow, InstanceRow, Writing, signed};

/// What the writer is asked to do.
pub(super) enum Work {
    /// Everything one decision writes.
    Commit(Box<Writing>),
    /// Note that a server lives.
    PulseSave(Timestamp),
    /// Note when instances were last heard: ids as text, instants in milliseconds.
    SeenSave(Vec<(String, i64)>),
    /// Write a lease where it still is as it was.
    LeaseSave(Option<Lease>, Lease),
    /// Close the gate for a holder, or open it, on the world of this revision.
    GateTurn(Option<String>, Revision),
    /// Forget some of the nonces that expired before this instant.
    NonceForget(Timestamp),
    /// Forget the topic's outbox rows up to this position, this one included.
    OutboxForget(String, i64),
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// The commit.
    Committed(Committed),
    /// It is on record.
    Noted,
    /// Whether the lease was written.
    Leased(bool),
    /// The gate; the world's revision now.
    Turned(Revision),
    /// Rows forgotten.
    Forgotten(u64),
}

/// Does one piece of work inside the open transaction; after a refusal the caller takes back what was begun.
pub(super) fn perform(connection: &Connection, work: &Work) -> Result<Done, StoreError> {
    match work {
        Work::Commit(writing) => commit(connection, writing).map(Done::Committed),
        Work::PulseSave(now) => {
            let sql = "INSERT INTO pulse (pulse_id, at) VALUES (1, ?1)
                       ON CONFLICT (pulse_id) DO UPDATE SET at = excluded.at";
            execute(connection, sql, (now.as_millis(),)).map(|_| Done::Noted)
        }
        Work::SeenSave(seen) => {
            let sql = "INSERT INTO seen (instance_id, at) VALUES (?1, ?2)
                       ON CONFLICT (instance_id) DO UPDATE SET at = excluded.at WHERE at < excluded.at";
            seen.iter().try_for_each(|row| execute(connection, sql, row.clone()).map(|_| ()))?;
            Ok(Done::Noted)
        }
        Work::LeaseSave(before, lease) => lease_save(connection, before.as_ref(), lease).map(Done::Leased),
        Work::GateTurn(holder, revision) => {
            let conflict = StoreError::Conflict("world");
            let decided_on = signed(*revision).ok_or(conflict.clone())?;
            let sql =
                "UPDATE world SET revision = revision + 1, gate = ?2 WHERE world_id = 1 AND revision = ?1";
            match execute(connection, sql, (decided_on, holder))? {
                0 => Err(conflict),
                _ => Ok(Done::Turned(revision + 1)),
            }
        }
        Work::NonceForget(now) => {
            let sql = "DELETE FROM nonce WHERE (key_id, nonce) IN
                           (SELECT key_id, nonce FROM nonce WHERE expires < ?1 ORDER BY expires LIMIT ?2)";
            forgotten(execute(connection, sql, (now.as_millis(), FORGET_MAX as i64))?)
        }
        Work::OutboxForget(topic, position) => {
            let sql = "DELETE FROM outbox WHERE topic = ?1 AND position IN
                           (SELECT position FROM outbox WHERE topic = ?1 AND position <= ?2 ORDER BY position LIMIT ?3)";
            forgotten(execute(connection, sql, (topic, position, FORGET_MAX as i64))?)
        }
    }
}

fn forgotten(rows: usize) -> Result<Done, StoreError> {
    Ok(Done::Forgotten(rows as u64))
}

fn commit(connection: &Connection, writing: &Writing) -> Result<Committed, StoreError> {
    if let Some(nonce) = &writing.nonce {
        nonce_spend(connection, nonce)?;
    }
    if let Some(enrolment) = &writing.enrolment {
        enrolment_write(connection, enrolment)?;
    }
    if let Some(fence) = &writing.fence {
        let held = number(connection, "SELECT fence FROM lease WHERE name = ?1", [&fence.lease])?;
        if held.is_none() || held != signed(fence.fence) {
            return Err(StoreError::Conflict("lease"));
        }
    }
    let world_revision = world_write(connection, writing)?;
    let instance_revision = match &writing.instance {
        Some(row) => instance_write(connection, row)?,
        None => 0,
    };
    for document in &writing.documents {
        let sql = "INSERT INTO document (kind, name, bytes) VALUES (?1, ?2, ?3)
                   ON CONFLICT (kind, name) DO UPDATE SET bytes = excluded.bytes";
        execute(connection, sql, (&document.kind, &document.name, &document.bytes))?;
    }
    let ledger_size = entries_append(connection, writing)?;
    Ok(Committed { instance_revision, world_revision, ledger_size })
}

fn nonce_spend(connection: &Connection, nonce: &Nonce) -> Result<(), StoreError> {
    let sql = "INSERT INTO nonce (key_id, nonce, expires) VALUES (?1, ?2, ?3)
               ON CONFLICT (key_id, nonce) DO NOTHING";
    match execute(connection, sql, (&nonce.key, &nonce.nonce, nonce.expires.as_millis()))? {
        0 => Err(StoreError::NonceSpent),
        _ => Ok(()),
    }
}

fn enrolment_write(connection: &Connection, row: &EnrolmentRow) -> Result<(), StoreError> {
    match row {
        EnrolmentRow::Create { digest, expires, body, used, instance_id } => {
            let sql =
                "INSERT INTO enrolment (digest, expires, body, used, instance_id) VALUES (?1, ?2, ?3, ?4, ?5)
                       ON CONFLICT (digest) DO NOTHING";
            match execute(connection, sql, (digest, expires, body, used, instance_id))? {
                0 => Err(StoreError::Conflict("enrolment")),
                _ => Ok(()),
            }
        }
        EnrolmentRow::Approve { digest, by } => {
            let sql =
                "UPDATE enrolment SET approved = ?2 WHERE digest = ?1 AND approved IS NULL AND used IS NULL";
            match execute(connection, sql, (digest, by))? {
                0 => Err(StoreError::Conflict("enrolment")),
                _ => Ok(()),
            }
        }
        EnrolmentRow::Use { digest, used } => {
            let sql = "UPDATE enrolment SET used = ?2 WHERE digest = ?1 AND used IS NULL";
            if execute(connection, sql, (digest, used))? > 0 {
                return Ok(());
            }
            let sql = "SELECT 1 FROM enrolment WHERE digest = ?1";
            let exists = number(connection, sql, [digest])?.is_some();
            Err(if exists { StoreError::EnrolmentUsed } else { StoreError::Conflict("enrolment") })
        }
    }
}

/// Every commit is guarded by the world's revision, and some write it too.
fn world_write(connection: &Connection, writing: &Writing) -> Result<Revision, StoreError> {
    let conflict = StoreError::Conflict("world");
    let decided_on = signed(writing.world_revision).ok_or(conflict.clone())?;
    let Some(body) = &writing.world else {
        let found = number(connection, "SELECT revision FROM world WHERE world_id = 1", ())?.unwrap_or(0);
        return if found == decided_on { Ok(writing.world_revision) } else { Err(conflict) };
    };
    let written = if decided_on == 0 {
        let sql = "INSERT INTO world (world_id, revision, body) VALUES (1, 1, ?1)
                   ON CONFLICT (world_id) DO NOTHING";
        execute(connection, sql, [body])?
    } else {
        let sql = "UPDATE world SET revision = revision + 1, body = ?2, gate = NULL
                   WHERE world_id = 1 AND revision = ?1";
        execute(connection, sql, (decided_on, body))?
    };
    if written == 0 { Err(conflict) } else { Ok(writing.world_revision + 1) }
}

fn instance_write(connection: &Connection, row: &InstanceRow) -> Result<Revision, StoreError> {
    let decided_on = row.decided_on.unwrap_or(0);
    let conflict = StoreError::Conflict("instance");
    let revision = signed(decided_on).ok_or(conflict.clone())?;
    // One text for both, so that both bind the same values.
    let sql = if row.decided_on.is_none() {
        "INSERT INTO instance (instance_id, revision, state, platform, kind, tier, provider, listed_until, body)
         VALUES (:instance_id, :revision + 1, :state, :platform, :kind, :tier, :provider, :listed_until, :body)
         ON CONFLICT (instance_id) DO NOTHING"
    } else {
        "UPDATE instance SET revision = revision + 1, state = :state, platform = :platform, kind = :kind,
             tier = :tier, provider = :provider, listed_until = :listed_until, body = :body
         WHERE instance_id = :instance_id AND revision = :revision"
    };
    let values = named_params! {
        ":instance_id": row.instance_id,
        ":revision": revision,
        ":state": row.state,
        ":platform": row.platform,
        ":kind": row.kind,
        ":tier": row.tier,
        ":provider": row.provider,
        ":listed_until": row.listed_until,
        ":body": row.body,
    };
    if execute(connection, sql, values)? == 0 { Err(conflict) } else { Ok(decided_on + 1) }
}

/// Appends the entries behind the last one and leaves word in the outbox; answers how many there are in all.
fn entries_append(connection: &Connection, writing: &Writing) -> Result<u64, StoreError> {
    let instance_id = writing.instance.as_ref().map(|row| &row.instance_id);
    let sql = "SELECT COALESCE(MAX(position) + 1, 0) FROM entry";
    let first = number(connection, sql, ())?.unwrap_or(0);
    let mut position = first;
    for (index, entry) in writing.entries.iter().enumerate() {
        let about = instance_id.filter(|_| writing.about_instance.contains(&index));
        let sql = "INSERT INTO entry (position, body, instance_id) VALUES (?1, ?2, ?3)";
        execute(connection, sql, (position, entry, about))?;
        position += 1;
    }
    if position > first {
        let sql = "INSERT INTO outbox (topic, position, entries) VALUES (?1, ?2, ?3)";
        execute(connection, sql, (OUTBOX_TOPIC, first, position - first))?;
    }
    Ok(position.unsigned_abs())
}

fn lease_save(connection: &Connection, before: Option<&Lease>, lease: &Lease) -> Result<bool, StoreError> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (fence, beat) = (number(lease.fence), number(lease.beat));
    let rows = match before {
        None => {
            let sql = "INSERT INTO lease (name, holder, fence, beat) VALUES (?1, ?2, ?3, ?4)
                       ON CONFLICT (name) DO NOTHING";
            execute(connection, sql, (&lease.name, &lease.holder, fence, beat))?
        }
        Some(before) => {
            let sql = "UPDATE lease SET holder = ?2, fence = ?3, beat = ?4
                       WHERE name = ?1 AND holder = ?5 AND fence = ?6 AND beat = ?7";
            let was = (number(before.fence), number(before.beat));
            execute(connection, sql, (&lease.name, &lease.holder, fence, beat, &before.holder, was.0, was.1))?
        }
    };
    Ok(rows > 0)
}

fn execute(connection: &Connection, sql: &str, values: impl Params) -> Result<usize, StoreError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map_err(unavailable)
}

fn number(connection: &Connection, sql: &str, values: impl Params) -> Result<Option<i64>, StoreError> {
    let query = |mut statement: rusqlite::CachedStatement<'_>| {
        statement.query_row(values, |row| row.get(0)).optional()
    };
    connection.prepare_cached(sql).and_then(query).map_err(unavailable)
}
