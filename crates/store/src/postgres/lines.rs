//! The connections that single statements go by: a few, each shared by many requests at once, one behind the other on the wire.
//!
//! Reads are asked once more where their connection was lost: a server that restarted is no outage for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plane::ports::StoreError;
use tokio::sync::Mutex;
use tokio_postgres::Row;

use super::link::{Dialer, Link, Use, Value, is_lost, told};

/// The shared connections.
pub(super) struct Lines {
    dialer: Arc<Dialer>,
    lines: Vec<Line>,
}

#[derive(Default)]
struct Line {
    link: Mutex<Option<Arc<Link>>>,
    /// Requests on it.
    busy: AtomicUsize,
}

/// Counts a request while it lasts, whether or not anybody waits for its end.
struct Turn<'a>(&'a Line);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lines {
    pub(super) fn new(dialer: Arc<Dialer>, lines: usize) -> Self {
        Self { dialer, lines: (0..lines).map(|_| Line::default()).collect() }
    }

    /// Rows of a query that writes nothing.
    pub(super) async fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let outcome = match self.once(sql, values, Asked::Rows).await {
            Err(Lost::Connection(_)) => self.once(sql, values, Asked::Rows).await,
            outcome => outcome,
        };
        outcome.map(|answer| answer.rows).map_err(|lost| self.unavailable(lost))
    }

    /// The row of a query that writes nothing, where there is one.
    pub(super) async fn one(&self, sql: &str, values: &[Value<'_>]) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    /// Rows written, by a statement that is a transaction of its own.
    pub(super) async fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let outcome = self.once(sql, values, Asked::Count).await;
        outcome.map(|answer| answer.count).map_err(|lost| self.unavailable(lost))
    }

    async fn once(&self, sql: &str, values: &[Value<'_>], asked: Asked) -> Result<Answer, Lost> {
        let line = self.lines.iter().min_by_key(|line| line.busy.load(Ordering::Relaxed));
        let line =
            line.ok_or(Lost::Away(StoreError::Unavailable("the store has no connections".to_owned())))?;
        line.busy.fetch_add(1, Ordering::Relaxed);
        let _turn = Turn(line);
        let link = self.link(line).await.map_err(Lost::Away)?;
        let work = async {
            match asked {
                Asked::Rows => Ok(Answer { rows: link.query(sql, values).await?, count: 0 }),
                Asked::Count => Ok(Answer { rows: Vec::new(), count: link.execute(sql, values).await? }),
            }
        };
        match tokio::time::timeout(self.dialer.answer_within(), Box::pin(work)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if is_lost(&error) => {
                give_up(line, &link).await;
                Err(Lost::Connection(told(&error)))
            }
            Ok(Err(error)) => Err(Lost::Refused(told(&error))),
            Err(_) => {
                give_up(line, &link).await;
                let within = self.dialer.answer_within().as_secs_f64();
                Err(Lost::Refused(format!("no answer within {within} s")))
            }
        }
    }

    async fn link(&self, line: &Line) -> Result<Arc<Link>, StoreError> {
        let mut kept = line.link.lock().await;
        if let Some(link) = kept.as_ref().filter(|link| !link.client().is_closed()) {
            return Ok(Arc::clone(link));
        }
        *kept = None;
        let link = Arc::new(self.dialer.dial(Use::Lines).await?);
        *kept = Some(Arc::clone(&link));
        Ok(link)
    }

    fn unavailable(&self, lost: Lost) -> StoreError {
        match lost {
            Lost::Connection(why) | Lost::Refused(why) => self.dialer.unavailable(why),
            Lost::Away(error) => error,
        }
    }
}

/// What a statement is asked for.
#[derive(Clone, Copy)]
enum Asked {
    Rows,
    Count,
}

struct Answer {
    rows: Vec<Row>,
    count: u64,
}

/// Why a line gave no answer.
enum Lost {
    /// It was cut: another may do.
    Connection(String),
    /// The server refused, or took too long.
    Refused(String),
    /// None could be had.
    Away(StoreError),
}

/// Takes a link off its line, unless it was taken off already.
async fn give_up(line: &Line, link: &Arc<Link>) {
    let mut kept = line.link.lock().await;
    if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, link)) {
        *kept = None;
    }
}
