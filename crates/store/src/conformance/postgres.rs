//! Databases to test on: each made fresh on the server that the environment names, and dropped behind the test.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, NoTls};

use crate::postgres::{PostgresOptions, PostgresStore};

/// Names the server, as the URL of one who may make databases, without TLS: `postgres://postgres@127.0.0.1:5432/postgres`.
pub const SERVER: &str = "FEDPLANE_TEST_POSTGRES";

/// Distinguishes the databases of one process.
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// A database of a test's own.
pub struct Database {
    server: String,
    name: String,
    url: String,
}

impl Database {
    /// A new, empty one; none where the environment names no server, which is told.
    ///
    /// # Panics
    /// Where the server named does not do it.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests is to see what was not tested")]
    pub async fn fresh() -> Option<Self> {
        let Ok(server) = std::env::var(SERVER) else {
            eprintln!("skipped: {SERVER} names no server");
            return None;
        };
        let name = format!("fedplane_test_{}_{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let made = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        client(&server).await.batch_execute(&made).await.unwrap();
        let url = on(&server, &name);
        Some(Self { server, name, url })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A store on it.
    ///
    /// # Panics
    /// Where it cannot be opened.
    pub async fn store(&self) -> PostgresStore {
        PostgresStore::open(&self.url, PostgresOptions::default()).await.unwrap()
    }

    /// A connection to it, past the store.
    ///
    /// # Panics
    /// Where there is none to be had.
    pub async fn raw(&self) -> Client {
        client(&self.url).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, dropped) = (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        // On a thread of its own: a test's runtime may be ending.
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { client(&server).await.batch_execute(&dropped).await })
        };
        // A database that is left behind is of no harm to the next test.
        drop(std::thread::spawn(work).join());
    }
}

/// The URL with another database in it.
fn on(server: &str, database: &str) -> String {
    let (place, query) =
        server.split_once('?').map_or((server, String::new()), |(a, b)| (a, format!("?{b}")));
    let scheme = place.find("://").map_or(0, |at| at + 3);
    let (head, tail) = place.split_at(scheme);
    let authority = tail.split('/').next().unwrap_or(tail);
    format!("{head}{authority}/{database}{query}")
}

async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async move {
        // Ends with its client.
        let _ = connection.await;
    });
    client
}
