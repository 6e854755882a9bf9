//! A store looked at as it lies there: whether it is whole, at this program's schema, and how far it goes; and copied.
//!
//! Never writes to it, and leaves no file beside it: a server may run on it, or none.

use std::path::PathBuf;

use governance::Timestamp;
use plane::ports::StoreError;

use crate::postgres::PostgresReader;
use crate::{OpenError, Place, sqlite};

/// What a look at a store finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is wrong with it: nothing, if it is whole.
    pub problems: Vec<String>,
    /// Ledger entries in it.
    pub entries: u64,
    /// When the last decision on record was made.
    pub decided: Option<Timestamp>,
    /// What its own clock shows, where that is another than this machine's.
    pub clock: Option<Timestamp>,
}

impl Place {
    /// Looks at the store there; of one in a file, reads all of it.
    ///
    /// # Errors
    /// [`OpenError`] where there is none, it does not answer, or is not of this program's schema.
    pub async fn health(&self) -> Result<Health, OpenError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                aside(move || sqlite::health(&path)).await
            }
            Self::Server(url, options) => {
                let reader = PostgresReader::open(url, options.clone()).await?;
                reader.health().await.map_err(refused)
            }
        }
    }

    /// Ledger entries from a position on, `limit` of them.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn entry_page(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, OpenError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                aside(move || sqlite::entries(&path, from, limit)).await
            }
            Self::Server(url, options) => {
                let reader = PostgresReader::open(url, options.clone()).await?;
                reader.entry_page(from, limit).await.map_err(refused)
            }
        }
    }
}

/// Writes a consistent copy of the store in a file to a new file, while a server may go on serving it.
///
/// # Errors
/// [`OpenError`] where the file is no store of ours, or the copy cannot be written; what is unfinished never stands under
/// the name asked for.
pub async fn copy_file(from: PathBuf, to: PathBuf) -> Result<(), OpenError> {
    aside(move || sqlite::copy(&from, &to)).await
}

async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| OpenError::Database(error.to_string()))?
}

pub(crate) fn refused(error: StoreError) -> OpenError {
    OpenError::Database(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PostgresOptions;
    use crate::conformance::postgres::Database;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_is_looked_at_and_its_clock_read() {
        let Some(database) = Database::fresh().await else { return };
        let place = Place::Server(database.url().to_owned(), PostgresOptions::default());
        assert!(place.health().await.is_err(), "there is no store in it yet");
        drop(database.store().await);
        let health = place.health().await.unwrap();
        assert!(health.problems.is_empty() && health.entries == 0 && health.clock.is_some(), "{health:?}");
        assert_eq!(place.entry_page(0, 9).await.unwrap(), Vec::<Vec<u8>>::new());
    }
}
