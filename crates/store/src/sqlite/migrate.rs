//! Numbered migrations: each runs once, in order, all that are missing in one transaction.
//!
//! Never runs one backwards, and never touches a file that a newer program made.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::OpenError;
use crate::migrations::{Applied, Migration, SQLITE, check, check_known, checksum};

/// Brings the schema up to date, or refuses the file as it is.
pub(super) fn migrate(connection: &Connection) -> Result<(), OpenError> {
    migrate_with(connection, SQLITE)
}

/// Refuses a file that is not at the schema this program knows; changes nothing.
pub(super) fn must_be_known(transaction: &Transaction<'_>) -> Result<(), OpenError> {
    check_known(&applied(transaction)?, SQLITE)
}

fn migrate_with(connection: &Connection, migrations: &[Migration]) -> Result<(), OpenError> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration (
             number   BIGINT NOT NULL PRIMARY KEY,
             name     TEXT   NOT NULL,
             checksum TEXT   NOT NULL
         )",
    )?;
    let applied = applied(&transaction)?;
    check(&applied, migrations)?;
    for migration in migrations.iter().skip(applied.len()) {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO migration (number, name, checksum) VALUES (?1, ?2, ?3)",
            (migration.number, migration.name, checksum(migration)),
        )?;
        tracing::info!(number = migration.number, name = migration.name, "schema migrated");
    }
    Ok(transaction.commit()?)
}

fn applied(transaction: &Transaction<'_>) -> Result<Vec<Applied>, OpenError> {
    let mut statement =
        transaction.prepare("SELECT number, name, checksum FROM migration ORDER BY number")?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Migration = Migration { number: 1, name: "0001_a", sql: "CREATE TABLE a (x BIGINT)" };
    const SECOND: Migration = Migration { number: 2, name: "0002_b", sql: "CREATE TABLE b (x BIGINT)" };

    fn tables(connection: &Connection) -> i64 {
        let sql = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('a', 'b')";
        connection.query_row(sql, (), |row| row.get(0)).unwrap()
    }

    #[test]
    fn each_migration_runs_once_and_in_order() {
        let connection = Connection::open_in_memory().unwrap();
        migrate_with(&connection, &[FIRST]).unwrap();
        migrate_with(&connection, &[FIRST]).unwrap();
        migrate_with(&connection, &[FIRST, SECOND]).unwrap();
        assert_eq!(tables(&connection), 2);
    }

    #[test]
    fn a_newer_file_is_refused_and_stays_as_it_was() {
        let connection = Connection::open_in_memory().unwrap();
        migrate_with(&connection, &[FIRST, SECOND]).unwrap();
        let refused = migrate_with(&connection, &[FIRST]).unwrap_err();
        assert!(matches!(refused, OpenError::SchemaNewer { found: 2, known: 1, .. }), "{refused}");
        assert!(connection.is_autocommit());
    }

    #[test]
    fn a_migration_that_changed_since_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        migrate_with(&connection, &[FIRST]).unwrap();
        let changed = Migration { sql: "CREATE TABLE a (y BIGINT)", ..FIRST };
        let refused = migrate_with(&connection, &[changed, SECOND]).unwrap_err();
        assert!(matches!(refused, OpenError::SchemaDiffers { number: 1, .. }), "{refused}");
        assert_eq!(tables(&connection), 1, "and nothing after it ran");
    }

    #[test]
    fn a_migration_that_fails_takes_the_others_back() {
        let connection = Connection::open_in_memory().unwrap();
        let broken = Migration { number: 2, name: "0002_x", sql: "CREATE TABLE b (x BIGINT); NONSENSE" };
        assert!(migrate_with(&connection, &[FIRST, broken]).is_err());
        assert_eq!(tables(&connection), 0);
    }
}
