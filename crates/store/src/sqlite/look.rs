//! A look at a store's file from outside, and a copy of it.
//!
//! Never writes to it: see [`open_to_read`].

use std::path::Path;

use plane::ports::PAGE_MAX;
use rusqlite::Connection;

use super::fleet::open_to_read;
use super::open::APPLICATION_ID;
use super::{PROBLEMS_MAX, migrate, read};
use crate::OpenError;
use crate::health::{Health, refused};

/// What a look at the file finds.
pub(crate) fn health(path: &Path) -> Result<Health, OpenError> {
    let connection = ours(path)?;
    let snapshot = connection.unchecked_transaction()?;
    migrate::must_be_known(&snapshot)?;
    let problems = read::problems(&snapshot, PROBLEMS_MAX).map_err(refused)?;
    if !problems.is_empty() {
        // What else it says is not to be believed.
        return Ok(Health { problems, entries: 0, decided: None, clock: None });
    }
    let entries = read::entry_count(&snapshot).map_err(refused)?;
    let (world, _) = read::world(&snapshot).map_err(refused)?;
    Ok(Health { problems, entries, decided: world.decided, clock: None })
}

/// Ledger entries from a position on.
pub(crate) fn entries(path: &Path, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, OpenError> {
    read::entries(&ours(path)?, from, limit.min(PAGE_MAX)).map_err(refused)
}

/// Copies the file as it is at one moment.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), OpenError> {
    super::backup(&ours(from)?, to).map_err(refused)
}

fn ours(path: &Path) -> Result<Connection, OpenError> {
    let connection = open_to_read(path)?;
    let found: i32 = connection.query_row("PRAGMA application_id", (), |row| row.get(0))?;
    if found != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.display().to_string(), found });
    }
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Options, SqliteStore};

    fn store(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("a.db");
        drop(SqliteStore::open(&path, Options::default()).unwrap());
        path
    }

    #[test]
    fn a_look_finds_what_is_wrong_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = store(folder.path());
        let whole = Health { problems: Vec::new(), entries: 0, decided: None, clock: None };
        assert_eq!(health(&path).unwrap(), whole);
        assert_eq!(entries(&path, 0, 9).unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "and leaves nothing behind");
        // A newer program was here.
        let connection = Connection::open(&path).unwrap();
        connection.execute("INSERT INTO migration VALUES (999, '0999_later', 'x')", ()).unwrap();
        drop(connection);
        assert!(matches!(health(&path), Err(OpenError::SchemaNewer { found: 999, .. })));
        fs::write(&path, b"no database at all, but long enough to be looked at").unwrap();
        assert!(health(&path).is_err());
        assert!(matches!(health(&folder.path().join("none")), Err(OpenError::File { .. })));
    }

    #[test]
    fn a_copy_is_a_store_of_its_own_while_the_other_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (path, to) = (store(folder.path()), folder.path().join("b.db"));
        let running = SqliteStore::open(&path, Options::default()).unwrap();
        copy(&path, &to).unwrap();
        assert_eq!(health(&to).unwrap(), health(&path).unwrap());
        assert!(copy(&path, &to).is_err(), "nothing is overwritten");
        drop(running);
    }
}
