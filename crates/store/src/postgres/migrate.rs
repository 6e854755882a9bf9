//! Numbered migrations: all that are missing in one transaction, whichever of several servers comes first.
//!
//! Never runs one backwards, and never touches a database of a newer or of another program. A role that may only read and write
//! rows is enough where nothing is missing.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::link::told;
use crate::OpenError;
use crate::migrations::{Applied, Migration, check, check_known, checksum};

/// How often another server may come first.
const TRIES_MAX: usize = 16;

const TABLE: &str = "CREATE TABLE migration (
    number   BIGINT NOT NULL PRIMARY KEY,
    name     TEXT   NOT NULL,
    checksum TEXT   NOT NULL
)";

/// Brings the schema up to date, or refuses the database as it is.
pub(super) async fn migrate(client: &Client, place: &str, known: &[Migration]) -> Result<(), OpenError> {
    let mut last = None;
    for _ in 0..TRIES_MAX {
        let applied = must_be_ours(client, place).await?;
        check(&applied, known)?;
        if applied.len() >= known.len() {
            return Ok(());
        }
        match run(client, &applied, known).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                client.batch_execute("ROLLBACK").await.map_err(refused)?;
                if !came_second(&error) {
                    return Err(refused(error));
                }
                last = Some(error);
            }
        }
    }
    Err(last.map_or_else(|| OpenError::Database("the schema is not to be had".to_owned()), refused))
}

/// Refuses a database that is not at the schema this program knows; changes nothing.
pub(super) async fn must_be_known(
    client: &Client,
    place: &str,
    known: &[Migration],
) -> Result<(), OpenError> {
    check_known(&must_be_ours(client, place).await?, known)
}

async fn run(client: &Client, applied: &[Applied], known: &[Migration]) -> Result<(), Error> {
    client.batch_execute("BEGIN").await?;
    if applied.is_empty() {
        client.batch_execute(TABLE).await?;
    }
    for migration in known.iter().skip(applied.len()) {
        // Its row first: of two servers that migrate at once, the second waits here, and finds it done.
        client
            .execute(
                "INSERT INTO migration (number, name, checksum) VALUES ($1, $2, $3)",
                &[&migration.number, &migration.name, &checksum(migration)],
            )
            .await?;
        client.batch_execute(migration.sql).await?;
        tracing::info!(number = migration.number, name = migration.name, "schema migrated");
    }
    client.batch_execute("COMMIT").await
}

/// Whether another server did the same a moment before.
fn came_second(error: &Error) -> bool {
    let second = [
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_OBJECT,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| second.contains(code))
}

/// What was applied to a database of ours, or to one with nothing in it.
async fn must_be_ours(client: &Client, place: &str) -> Result<Vec<Applied>, OpenError> {
    let encoding: String = client
        .query_one("SHOW server_encoding", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(refused)?;
    if encoding != "UTF8" {
        let why = format!("{place} is in {encoding}: make a database with ENCODING 'UTF8'");
        return Err(OpenError::Database(why));
    }
    let sql = "SELECT COUNT(*), COUNT(*) FILTER (WHERE table_name = 'migration')
               FROM information_schema.tables WHERE table_schema = current_schema()";
    let row = client.query_one(sql, &[]).await.map_err(refused)?;
    let (tables, ours): (i64, i64) = (row.try_get(0).map_err(refused)?, row.try_get(1).map_err(refused)?);
    if ours == 0 {
        return match tables {
            0 => Ok(Vec::new()),
            tables => Err(OpenError::Occupied { place: place.to_owned(), tables }),
        };
    }
    let rows = client
        .query("SELECT number, name, checksum FROM migration ORDER BY number", &[])
        .await
        .map_err(refused)?;
    let parse = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    rows.iter().map(parse).collect::<Result<_, Error>>().map_err(refused)
}

pub(super) fn refused(error: Error) -> OpenError {
    OpenError::Database(told(&error))
}

#[cfg(test)]
mod tests;
