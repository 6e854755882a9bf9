//! Opens the file: ours or empty, durable, at the schema this program knows.
//!
//! Never repairs and never overwrites: a file that is not what it should be is refused with the reason.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::migrate::migrate;
use crate::OpenError;

/// `WWFP` in the file's header: how `file`, and we, recognise it.
pub const APPLICATION_ID: i32 = 0x5757_4650;
/// Statements kept prepared per connection; there are fewer, listings with every filter included.
const STATEMENTS_MAX: usize = 64;
/// The log file is cut back to this many bytes after a checkpoint, where a long read let it grow.
const LOG_BYTES_MAX: i64 = 64 * 1024 * 1024;

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

/// Opens the one connection that writes; makes the file where there is none and brings its schema up to date.
pub(super) fn open_writer(path: &Path, busy: Duration) -> Result<Connection, OpenError> {
    create(path).map_err(|source| OpenError::File { path: path.display().to_string(), source })?;
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    prepare(&connection, busy)?;
    claim(&connection, path)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::Database(format!(
            "this file system cannot hold a write-ahead log (`{mode}`)"
        )));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_MAX, |_| Ok(()))?;
    migrate(&connection)?;
    Ok(connection)
}

/// Opens a connection that can only read.
pub(super) fn open_reader(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    prepare(&connection, busy)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

pub(super) fn prepare(connection: &Connection, busy: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(busy)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Makes the file, readable by its owner alone, and its name durable; SQLite gives its log the same mode.
pub(super) fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => {
            file.sync_all()?;
            sync_folder(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the names in the file's folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// An empty file becomes ours; one of ours stays so; anything else is refused.
fn claim(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let found: i32 = connection.query_row("PRAGMA application_id", (), |row| row.get(0))?;
    let things: i64 = connection.query_row("SELECT COUNT(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if found == APPLICATION_ID {
        Ok(())
    } else if found == 0 && things == 0 {
        Ok(connection.pragma_update(None, "application_id", APPLICATION_ID)?)
    } else {
        Err(OpenError::Foreign { path: path.display().to_string(), found })
    }
}
