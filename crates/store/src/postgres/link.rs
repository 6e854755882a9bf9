//! Connections: made within a time, given up where no answer comes, made again after a pause that grows.
//!
//! Never waits without an end: whoever asks while the server is away hears so at once, until the pause is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plane::ports::StoreError;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls, Row, Statement};

use super::place::Place;
use crate::OpenError;

/// The first pause after a server could not be reached, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Plans are made once, and for rows found one by one: a table that was empty when its plan was made does not stay so.
/// An engine without such a setting plans by itself.
const PLANNING: &[&str] = &[
    "SET plan_cache_mode = force_generic_plan",
    "SET enable_seqscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
];

/// A value of a statement.
pub(super) type Value<'a> = &'a (dyn ToSql + Sync);

/// One connection with its prepared statements.
pub(super) struct Link {
    client: Client,
    driver: JoinHandle<()>,
    statements: Mutex<HashMap<String, Statement>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        // Closes the socket, whatever is still on its way: the server takes back what was not committed.
        self.driver.abort();
    }
}

impl Link {
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// A statement, prepared once. Of texts there are few: a listing has as many as combinations of filters.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        let known = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(statements.entry(sql.to_owned()).or_insert(statement).clone())
    }

    pub(super) async fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        let statement = self.prepare(sql).await?;
        self.client.query(&statement, values).await
    }

    pub(super) async fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        let statement = self.prepare(sql).await?;
        self.client.execute(&statement, values).await
    }
}

/// How a connection is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Single statements, each a transaction.
    Lines,
    /// The writer's transactions.
    Writer,
    /// Long reads of all there is, or long writes of it: no limit on a statement's time.
    Bulk,
}

/// Makes connections to one place.
pub(super) struct Dialer {
    place: Place,
    connect_within: Duration,
    answer_within: Duration,
    /// Nothing is ever written.
    reading: bool,
    away: Arc<Mutex<Away>>,
}

#[derive(Default)]
struct Away {
    /// Why the server could not be reached, until the pause is over.
    why: Option<String>,
    pause: Duration,
}

impl Dialer {
    pub(super) fn new(
        place: Place,
        connect_within: Duration,
        answer_within: Duration,
        reading: bool,
    ) -> Self {
        Self { place, connect_within, answer_within, reading, away: Arc::default() }
    }

    /// What the place is called.
    pub(super) fn name(&self) -> &str {
        &self.place.name
    }

    pub(super) const fn answer_within(&self) -> Duration {
        self.answer_within
    }

    /// A new connection.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], within the time for connecting; at once while the pause lasts.
    pub(super) async fn dial(&self, used: Use) -> Result<Link, StoreError> {
        if let Some(why) = self.lock().why.clone() {
            return Err(self.unavailable(why));
        }
        match self.connect(used).await {
            Ok(link) => {
                *self.lock() = Away::default();
                Ok(link)
            }
            Err(why) => {
                self.rest(&why);
                Err(self.unavailable(why))
            }
        }
    }

    /// As [`dial`](Self::dial), for whoever opens the store.
    pub(super) async fn open(&self, used: Use) -> Result<Link, OpenError> {
        let away = |why| OpenError::Away { place: self.name().to_owned(), why };
        self.connect(used).await.map_err(away)
    }

    async fn connect(&self, used: Use) -> Result<Link, String> {
        let made = async {
            let config = &self.place.config;
            let (client, driver) = match self.place.tls.clone() {
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await?;
                    (client, tokio::spawn(ended(connection)))
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    (client, tokio::spawn(ended(connection)))
                }
            };
            let link = Link { client, driver, statements: Mutex::default() };
            self.prepare_session(&link, used).await?;
            Ok::<_, Error>(link)
        };
        // On the heap: the way to a connection is long, and taken seldom.
        match tokio::time::timeout(self.connect_within, Box::pin(made)).await {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(error)) => Err(told(&error)),
            Err(_) => Err(format!("no connection within {} s", self.connect_within.as_secs_f64())),
        }
    }

    /// What holds for all that is done on a connection.
    async fn prepare_session(&self, link: &Link, used: Use) -> Result<(), Error> {
        let client = link.client();
        // The server gives up what nobody waits for any more, and lets go of what a frozen client holds, soon enough for those
        // who wait for it.
        let limit = if used == Use::Bulk { 0 } else { self.answer_within.as_millis() };
        let idle = self.answer_within.as_millis() / 2;
        client
            .batch_execute(&format!(
                "SET client_encoding = 'UTF8';
                 SET default_transaction_isolation = 'read committed';
                 SET statement_timeout = {limit};
                 SET idle_in_transaction_session_timeout = {idle}"
            ))
            .await?;
        if self.reading {
            client.batch_execute("SET default_transaction_read_only = on").await?;
        }
        let durable = client.query_one("SHOW synchronous_commit", &[]).await;
        if durable.and_then(|row| row.try_get::<_, String>(0)).is_ok_and(|durable| durable == "off") {
            client.batch_execute("SET synchronous_commit = on").await?;
        }
        if used == Use::Writer {
            for setting in PLANNING {
                if let Err(error) = client.batch_execute(setting).await {
                    tracing::debug!(%error, setting, "this engine plans by itself");
                }
            }
        }
        Ok(())
    }

    /// Nobody tries again before the pause is over; each pause is twice the one before.
    fn rest(&self, why: &str) {
        let pause = {
            let mut away = self.lock();
            away.why = Some(why.to_owned());
            away.pause = away.pause.saturating_mul(2).clamp(PAUSE_MIN, PAUSE_MAX);
            away.pause
        };
        tracing::warn!(server = self.name(), why, "the database server is away");
        let away = Arc::clone(&self.away);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            away.lock().unwrap_or_else(PoisonError::into_inner).why = None;
        });
    }

    pub(super) fn unavailable(&self, why: impl std::fmt::Display) -> StoreError {
        StoreError::Unavailable(format!("{}: {why}", self.name()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Away> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves a connection's bytes until it ends.
async fn ended<F: Future<Output = Result<(), Error>>>(connection: F) {
    if let Err(error) = connection.await {
        tracing::debug!(error = told(&error), "a connection to the database ended");
    }
}

/// An error with what is behind it: the driver's own text says only where it arose.
pub(super) fn told(error: &Error) -> String {
    match error.as_db_error() {
        Some(refused) => format!("{} ({})", refused.message(), refused.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// Whether the connection is of no use after this error: it is lost, or its server ends or became one that only reads.
pub(super) fn is_lost(error: &Error) -> bool {
    const LOST: [SqlState; 4] = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    error.code().is_none_or(|code| LOST.contains(code))
}
