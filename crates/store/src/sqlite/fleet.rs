//! The whole fleet out of a store's file, in one snapshot, beside a running server or without one.
//!
//! Never writes, and leaves no file behind: where no server left its log, the file is read as one that nobody changes.

use std::path::Path;

use governance::{Instance, Timestamp, World};
use plane::ports::{InstanceFilter, PAGE_MAX, StoreError};
use rusqlite::{Connection, OpenFlags};

use super::open::{APPLICATION_ID, prepare};
use super::{Options, migrate, read, unavailable};
use crate::OpenError;

/// What a store's file holds of a fleet.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What holds for every instance.
    pub world: World,
    /// Every instance, in the order of their ids.
    pub instances: Vec<Instance>,
    /// When a server last noted that it lives, if one ever did.
    pub pulse: Option<Timestamp>,
}

/// Reads the fleet.
///
/// # Errors
/// [`OpenError`] where there is no such file, or it is no store of this program's schema.
pub fn recorded(path: impl AsRef<Path>) -> Result<Recorded, OpenError> {
    let path = path.as_ref();
    let connection = open_to_read(path)?;
    let snapshot = connection.unchecked_transaction()?;
    let found: i32 = snapshot.query_row("PRAGMA application_id", (), |row| row.get(0))?;
    if found != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.display().to_string(), found });
    }
    migrate::must_be_known(&snapshot)?;
    all(&snapshot).map_err(|error| OpenError::Database(error.to_string()))
}

fn all(connection: &Connection) -> Result<Recorded, StoreError> {
    let (world, _) = read::world(connection)?;
    let mut instances: Vec<Instance> = Vec::new();
    loop {
        let after = instances.last().map(|instance| instance.id);
        let page = read::instances(connection, &InstanceFilter::default(), after, PAGE_MAX)?;
        let last = page.len() < PAGE_MAX;
        instances.extend(page.into_iter().map(|(instance, _)| instance));
        if last {
            return Ok(Recorded { world, instances, pulse: read::pulse(connection)? });
        }
    }
}

/// A connection that only reads a store's file, and leaves none behind.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    let file = |source| OpenError::File { path: path.display().to_string(), source };
    let whole = std::fs::canonicalize(path).map_err(file)?;
    let mut log = whole.clone().into_os_string();
    log.push("-wal");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = if Path::new(&log).exists() {
        Connection::open_with_flags(&whole, flags)
    } else {
        // A store that was closed in order is all in its file. To read it like others, SQLite would make its log anew.
        let uri = format!("file:{}?immutable=1", encoded(&whole));
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
    };
    let connection =
        connection.map_err(unavailable).map_err(|error| OpenError::Database(error.to_string()))?;
    prepare(&connection, Options::default().busy)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// A path as it stands in a URI.
fn encoded(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter().copied();
    bytes
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
