//! A database opened to be read alone: for auditors and rehearsals, beside running servers or without one.
//!
//! Never writes, not even to bring the schema up to date.

use plane::ports::{InstanceFilter, PAGE_MAX, StoreError};
use tokio_postgres::types::ToSql;

use super::lines::Lines;
use super::link::{Link, Use, Value, told};
use super::{PostgresOptions, dialer, migrate, read};
use crate::migrations::POSTGRES;
use crate::{Health, OpenError, Recorded};

/// The ledger's entries in a database.
pub struct PostgresReader {
    lines: Lines,
}

impl PostgresReader {
    /// Connects.
    ///
    /// # Errors
    /// [`OpenError`] where it does not answer, or is no store of this program's schema.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, OpenError> {
        let dialer = dialer(url, &options, true)?;
        let link = dialer.open(Use::Bulk).await?;
        migrate::must_be_known(link.client(), dialer.name(), POSTGRES).await?;
        Ok(Self { lines: Lines::new(dialer, 1) })
    }

    /// As [`Store::entry_page`](plane::ports::Store::entry_page).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn entry_page(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        read::entries(&self.lines, from, limit.min(PAGE_MAX)).await
    }

    /// As [`Store::document_load`](plane::ports::Store::document_load).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn document_load(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        read::document(&self.lines, kind, name).await
    }

    /// What a look at the database finds.
    pub(crate) async fn health(&self) -> Result<Health, StoreError> {
        let problems = read::problems(&self.lines).await?;
        let entries = read::entry_count(&self.lines).await?;
        let (world, _) = read::world(&self.lines).await?;
        Ok(Health { problems, entries, decided: world.decided, clock: read::clock(&self.lines).await? })
    }
}

/// Reads the fleet, all of it as it was at one moment.
///
/// # Errors
/// [`OpenError`] where the database does not answer, or is no store of this program's schema.
pub(crate) async fn recorded(url: &str, options: PostgresOptions) -> Result<Recorded, OpenError> {
    let dialer = dialer(url, &options, true)?;
    let link = dialer.open(Use::Bulk).await?;
    migrate::must_be_known(link.client(), dialer.name(), POSTGRES).await?;
    link.client().batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.map_err(migrate::refused)?;
    all(&link).await.map_err(|error| OpenError::Database(error.to_string()))
}

async fn all(link: &Link) -> Result<Recorded, StoreError> {
    let world = rows(link, read::WORLD, &[]).await?.first().map(read::revised).transpose()?;
    let mut instances: Vec<governance::Instance> = Vec::new();
    loop {
        let after = instances.last().map(|instance| instance.id);
        let (sql, values) = read::listing(&InstanceFilter::default(), after, PAGE_MAX);
        let page = rows(link, &sql, &values).await?;
        let last = page.len() < PAGE_MAX;
        for row in &page {
            instances.push(read::revised(row)?.0);
        }
        if last {
            break;
        }
    }
    let pulse = rows(link, read::PULSE, &[]).await?;
    let pulse =
        pulse.first().map(|row| read::column(row, 0).map(governance::Timestamp::from_millis)).transpose()?;
    Ok(Recorded { world: world.map(|(world, _)| world).unwrap_or_default(), instances, pulse })
}

async fn rows(
    link: &Link,
    sql: &str,
    values: &[Box<dyn ToSql + Sync + Send>],
) -> Result<Vec<tokio_postgres::Row>, StoreError> {
    let values: Vec<Value<'_>> = values.iter().map(|value| -> Value<'_> { &**value }).collect();
    link.query(sql, &values).await.map_err(|error| StoreError::Unavailable(told(&error)))
}
