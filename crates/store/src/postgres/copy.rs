//! A store's file copied into a database of PostgreSQL: all of it in one transaction, or nothing.
//!
//! What was written is read back before the transaction ends, and held against the file: every row of every table, and the
//! ledger's tree. Never changes a row of the file, and never adds to a database that holds any.

use std::path::Path;
use std::pin::pin;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::TryStreamExt as _;
use ledger::edge::Edge;
use ledger::tree::TreeHead;
use rusqlite::types::ValueRef;
use tokio::sync::mpsc;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::link::{Link, Use, told};
use super::{PostgresOptions, PostgresStore};
use crate::OpenError;
use crate::migrations::POSTGRES;
use crate::sqlite::{Options, SqliteStore, open_to_read};

/// Rows that are on their way at once, and their bytes.
const PAGE_ROWS_MAX: usize = 500;
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Pages that are on their way at once.
const PAGES_AHEAD: usize = 2;

/// Why a store was not copied. The database holds no row then.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the two cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database is a store that was used.
    #[error("{place} holds {rows} rows in `{table}`: name a database that is empty")]
    NotEmpty {
        /// Host and database.
        place: String,
        /// Where.
        table: &'static str,
        /// How many.
        rows: i64,
    },
    /// What was read back differs from what was written.
    #[error("`{0}` reads otherwise in the database than in the file: nothing was kept")]
    Differs(&'static str),
    /// Reading or writing failed.
    #[error("{0}")]
    Failed(String),
}

/// What was copied.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Each table and its rows.
    pub tables: Vec<(&'static str, u64)>,
    /// The world's revision; 0 where nothing was decided yet.
    pub world_revision: u64,
    /// The ledger's tree, the same in both.
    pub ledger: TreeHead,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Text,
    Number,
    Bytes,
}
use Holds::{Bytes, Number, Text};

/// A table, its columns, and how many of them, from the first, are its key.
struct Table {
    name: &'static str,
    key: usize,
    columns: &'static [(&'static str, Holds)],
}

/// Every table that both engines have.
#[rustfmt::skip]
const TABLES: &[Table] = &[
    Table { name: "instance", key: 1, columns: &[
        ("instance_id", Text), ("revision", Number), ("state", Text), ("platform", Text), ("kind", Text), ("tier", Text),
        ("provider", Text), ("body", Text), ("listed_until", Number),
    ] },
    Table { name: "world", key: 1, columns: &[("world_id", Number), ("revision", Number), ("body", Text), ("gate", Text)] },
    Table { name: "entry", key: 1, columns: &[("position", Number), ("body", Bytes), ("instance_id", Text)] },
    Table { name: "outbox", key: 2, columns: &[("topic", Text), ("position", Number), ("entries", Number)] },
    Table { name: "nonce", key: 2, columns: &[("key_id", Text), ("nonce", Text), ("expires", Number)] },
    Table { name: "enrolment", key: 1, columns: &[
        ("digest", Text), ("expires", Number), ("body", Text), ("used", Text), ("instance_id", Text), ("approved", Text),
    ] },
    Table { name: "document", key: 2, columns: &[("kind", Text), ("name", Text), ("bytes", Bytes)] },
    Table { name: "pulse", key: 1, columns: &[("pulse_id", Number), ("at", Number)] },
    Table { name: "seen", key: 1, columns: &[("instance_id", Text), ("at", Number)] },
    Table { name: "lease", key: 1, columns: &[("name", Text), ("holder", Text), ("fence", Number), ("beat", Number)] },
];

impl Table {
    fn columns(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// In the order of the keys, byte by byte: the same in both.
    fn select(&self, collation: &str) -> String {
        let key = self.columns.iter().take(self.key);
        let key: Vec<String> = key
            .map(
                |(name, holds)| {
                    if *holds == Text { format!("{name}{collation}") } else { (*name).to_owned() }
                },
            )
            .collect();
        format!("SELECT {} FROM {} ORDER BY {}", self.columns(), self.name, key.join(", "))
    }

    fn types(&self) -> Vec<Type> {
        let of = |holds: &Holds| match holds {
            Text => Type::TEXT,
            Number => Type::INT8,
            Bytes => Type::BYTEA,
        };
        self.columns.iter().map(|(_, holds)| of(holds)).collect()
    }
}

/// A value of either engine.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cell {
    Text(Option<String>),
    Number(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

impl Cell {
    fn of_file(value: ValueRef<'_>, holds: Holds) -> rusqlite::Result<Self> {
        let none = value == ValueRef::Null;
        Ok(match holds {
            _ if none && holds == Text => Self::Text(None),
            _ if none && holds == Number => Self::Number(None),
            _ if none => Self::Bytes(None),
            Text => Self::Text(Some(value.as_str()?.to_owned())),
            Number => Self::Number(Some(value.as_i64()?)),
            // A text where bytes are meant was written by hand, and is its bytes.
            Bytes => Self::Bytes(Some(value.as_bytes()?.to_vec())),
        })
    }

    fn of_row(row: &Row, index: usize, holds: Holds) -> Result<Self, tokio_postgres::Error> {
        Ok(match holds {
            Text => Self::Text(row.try_get(index)?),
            Number => Self::Number(row.try_get(index)?),
            Bytes => Self::Bytes(row.try_get(index)?),
        })
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => text.as_deref().map(str::as_bytes),
            Self::Bytes(bytes) => bytes.as_deref(),
            Self::Number(_) => None,
        }
    }

    fn value(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number,
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Sums up a table as it goes by: how many rows, what they are, and of the ledger the tree.
struct Sum {
    rows: u64,
    digest: Context,
    edge: Edge,
    world_revision: u64,
}

impl Sum {
    fn new() -> Self {
        Self { rows: 0, digest: Context::new(&SHA256), edge: Edge::default(), world_revision: 0 }
    }

    fn add(&mut self, table: &Table, row: &[Cell]) -> Result<(), CopyError> {
        self.rows += 1;
        for cell in row {
            match cell {
                Cell::Number(Some(number)) => {
                    self.digest.update(&[1]);
                    self.digest.update(&number.to_be_bytes());
                }
                cell => match cell.bytes() {
                    Some(bytes) => {
                        self.digest.update(&[2]);
                        self.digest.update(&(bytes.len() as u64).to_be_bytes());
                        self.digest.update(bytes);
                    }
                    None => self.digest.update(&[0]),
                },
            }
        }
        match (table.name, row) {
            ("entry", [Cell::Number(Some(position)), Cell::Bytes(Some(body)), ..]) => {
                if u64::try_from(*position).ok() != Some(self.edge.size()) {
                    return Err(CopyError::Failed(format!(
                        "the ledger has a gap before position {position}"
                    )));
                }
                self.edge.append(body).map_err(|error| CopyError::Failed(error.to_string()))?;
                // The tiles are made anew by whoever publishes them.
                drop(self.edge.take());
            }
            ("world", [_, Cell::Number(Some(revision)), ..]) => self.world_revision = revision.unsigned_abs(),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> (u64, Vec<u8>, TreeHead, u64) {
        (self.rows, self.digest.finish().as_ref().to_vec(), self.edge.head(), self.world_revision)
    }
}

/// Copies the store in a file that no server serves into the empty database at `url`; `tell` hears of each table that is over there.
///
/// # Errors
/// [`CopyError`]; the database is as empty as before then.
pub async fn copy_to_postgres(
    from: &Path,
    url: &str,
    options: PostgresOptions,
    tell: impl Fn(&'static str, u64),
) -> Result<Copied, CopyError> {
    let file = from.to_owned();
    // Brings an older file to the schema of this program, as its server would, and folds its log in.
    let opened = tokio::task::spawn_blocking(move || {
        std::fs::metadata(&file)
            .map_err(|source| OpenError::File { path: file.display().to_string(), source })?;
        SqliteStore::open(&file, Options::default()).map(drop)
    });
    opened.await.map_err(failed)??;
    let dialer = PostgresStore::migrated(url, &options, POSTGRES).await?;
    let link = dialer.open(Use::Bulk).await?;
    let copied = copy(from, dialer.name(), &link, tell).await;
    if copied.is_err() {
        // Where the connection is lost, the server takes it back by itself.
        drop(link.client().batch_execute("ROLLBACK").await);
    }
    copied
}

async fn copy(
    from: &Path,
    place: &str,
    link: &Link,
    tell: impl Fn(&'static str, u64),
) -> Result<Copied, CopyError> {
    let client = link.client();
    client.batch_execute("BEGIN").await.map_err(refused)?;
    // Whoever opened a server on it meanwhile waits here for the end.
    client.query("SELECT size FROM head WHERE head_id = 1 FOR UPDATE", &[]).await.map_err(refused)?;
    for table in TABLES {
        let row =
            client.query_one(&format!("SELECT COUNT(*) FROM {}", table.name), &[]).await.map_err(refused)?;
        let rows: i64 = row.try_get(0).map_err(refused)?;
        if rows > 0 {
            return Err(CopyError::NotEmpty { place: place.to_owned(), table: table.name, rows });
        }
    }
    let mut copied = Copied { tables: Vec::new(), world_revision: 0, ledger: Edge::default().head() };
    for table in TABLES {
        let (rows, digest, head, world_revision) = write(from, link, table).await?.finish();
        if read_back(link, table).await?.finish() != (rows, digest, head, world_revision) {
            return Err(CopyError::Differs(table.name));
        }
        if table.name == "entry" {
            copied.ledger = head;
            let size = i64::try_from(head.size).map_err(failed)?;
            client.execute("UPDATE head SET size = $1 WHERE head_id = 1", &[&size]).await.map_err(refused)?;
        }
        copied.world_revision = copied.world_revision.max(world_revision);
        copied.tables.push((table.name, rows));
        tell(table.name, rows);
    }
    client.batch_execute("COMMIT").await.map_err(refused)?;
    // So that the first plans are made for what is there.
    client.batch_execute("ANALYZE").await.map_err(refused)?;
    Ok(copied)
}

/// Sends a table over.
async fn write(from: &Path, link: &Link, table: &'static Table) -> Result<Sum, CopyError> {
    let (pages, mut given) = mpsc::channel(PAGES_AHEAD);
    let file = from.to_owned();
    let reading = tokio::task::spawn_blocking(move || read(&file, table, &pages));
    let into = format!("COPY {} ({}) FROM STDIN BINARY", table.name, table.columns());
    let sink = link.client().copy_in(&into).await.map_err(refused)?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &table.types()));
    let mut sum = Sum::new();
    while let Some(page) = given.recv().await {
        for row in &page {
            let row: &Vec<Cell> = row;
            sum.add(table, row)?;
            let values: Vec<&(dyn ToSql + Sync)> = row.iter().map(Cell::value).collect();
            writer.as_mut().write(&values).await.map_err(refused)?;
        }
    }
    reading.await.map_err(failed)??;
    writer.finish().await.map_err(refused)?;
    Ok(sum)
}

/// Reads a table of the file, in pages, until nobody takes them any more.
fn read(file: &Path, table: &Table, pages: &mpsc::Sender<Vec<Vec<Cell>>>) -> Result<(), CopyError> {
    let connection = open_to_read(file)?;
    let mut statement = connection.prepare(&table.select("")).map_err(failed)?;
    let mut rows = statement.query(()).map_err(failed)?;
    let (mut page, mut weight) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(failed)? {
        let cell = |(index, (_, holds)): (usize, &(&str, Holds))| Cell::of_file(row.get_ref(index)?, *holds);
        let cells: Vec<Cell> =
            table.columns.iter().enumerate().map(cell).collect::<rusqlite::Result<_>>().map_err(failed)?;
        weight += cells.iter().filter_map(Cell::bytes).map(<[u8]>::len).sum::<usize>();
        page.push(cells);
        if page.len() >= PAGE_ROWS_MAX || weight >= PAGE_BYTES_MAX {
            weight = 0;
            if pages.blocking_send(std::mem::take(&mut page)).is_err() {
                return Ok(());
            }
        }
    }
    // Whoever does not take the last page failed, and says so.
    let _ = pages.blocking_send(page);
    Ok(())
}

/// Sums up a table as it is in the database now.
async fn read_back(link: &Link, table: &Table) -> Result<Sum, CopyError> {
    let none: [&(dyn ToSql + Sync); 0] = [];
    let select = table.select(" COLLATE \"C\"");
    let mut rows = pin!(link.client().query_raw(&select, none).await.map_err(refused)?);
    let mut sum = Sum::new();
    while let Some(row) = rows.try_next().await.map_err(refused)? {
        let cell = |(index, (_, holds)): (usize, &(&str, Holds))| Cell::of_row(&row, index, *holds);
        let cells: Vec<Cell> =
            table.columns.iter().enumerate().map(cell).collect::<Result<_, _>>().map_err(refused)?;
        sum.add(table, &cells)?;
    }
    Ok(sum)
}

fn failed(error: impl std::fmt::Display) -> CopyError {
    CopyError::Failed(error.to_string())
}

fn refused(error: tokio_postgres::Error) -> CopyError {
    CopyError::Failed(told(&error))
}

#[cfg(test)]
mod tests;
