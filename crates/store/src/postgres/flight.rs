//! Statements that fly together: all are sent before the first answer is waited for, so that a transaction takes one way there
//! and back, and holds what it locks no longer than the server works.

use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Error, Row, Statement};

use super::link::{Link, Value, is_lost, told};
use super::sets::{Instances, Sets};
use super::sql;
use crate::OUTBOX_TOPIC;

/// A connection that writes, with its statements prepared.
pub(super) struct Wing {
    pub(super) link: Link,
    statements: Statements,
}

macro_rules! statements {
    ($($name:ident = $sql:ident),+ $(,)?) => {
        /// The writer's statements.
        pub(super) struct Statements {
            $(pub(super) $name: Statement,)+
        }

        impl Statements {
            /// Prepares them, all in one flight.
            async fn prepare(link: &Link) -> Result<Self, Error> {
                $(let $name = link.client().prepare(sql::$sql);)+
                let ($($name,)+) = tokio::try_join!($($name),+)?;
                Ok(Self { $($name),+ })
            }
        }
    };
}

statements! {
    nonces = NONCES,
    nonces_claim = NONCES_CLAIM,
    nonces_give_back = NONCES_GIVE_BACK,
    enrolments = ENROLMENTS,
    enrolments_claim = ENROLMENTS_CLAIM,
    enrolments_give_back = ENROLMENTS_GIVE_BACK,
    enrolments_change = ENROLMENTS_CHANGE,
    enrolments_lock = ENROLMENTS_LOCK,
    leases = LEASES,
    leases_lock = LEASES_LOCK,
    instances_change = INSTANCES_CHANGE,
    instances_lock = INSTANCES_LOCK,
    instances = INSTANCES,
    instances_claim = INSTANCES_CLAIM,
    instances_give_back = INSTANCES_GIVE_BACK,
    entries = ENTRIES,
    head_lock = HEAD_LOCK,
    outbox = OUTBOX,
    documents = DOCUMENTS,
    world_is = WORLD_IS,
    world = WORLD,
    world_found = WORLD_FOUND,
    world_change = WORLD_CHANGE,
}

impl Wing {
    pub(super) async fn new(link: Link) -> Result<Self, Error> {
        let statements = Box::pin(Statements::prepare(&link)).await?;
        Ok(Self { link, statements })
    }

    pub(super) const fn statements(&self) -> &Statements {
        &self.statements
    }
}

/// Why a transaction was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection is of no use any more; whether what it was asked for was done, nobody can say.
    Lost(String),
    /// It came into another's way, and may be tried again as it is.
    Again(String),
    /// A guard of one of its commits failed, or a value of one cannot be stored.
    Guard(String),
    /// The server refuses, whoever asks: no room, no time, no right.
    Refused(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let why = told(&error);
        match error.code() {
            _ if is_lost(&error) => Self::Lost(why),
            Some(code)
                if [
                    SqlState::T_R_SERIALIZATION_FAILURE,
                    SqlState::T_R_DEADLOCK_DETECTED,
                    SqlState::LOCK_NOT_AVAILABLE,
                ]
                .contains(code) =>
            {
                Self::Again(why)
            }
            // Data that cannot be, and rows that must not be twice.
            Some(code) if code.code().starts_with("22") || code.code().starts_with("23") => Self::Guard(why),
            _ => Self::Refused(why),
        }
    }
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, Error>> + Send + 'a>>;

/// Statements that are yet to be sent.
pub(super) struct Flight<'a> {
    link: &'a Link,
    statements: Vec<Sent<'a>>,
}

impl<'a> Flight<'a> {
    pub(super) const fn new(link: &'a Link) -> Self {
        Self { link, statements: Vec::new() }
    }

    /// A statement without values; its rows stay behind.
    pub(super) fn say(&mut self, sql: &'static str) {
        let client = self.link.client();
        self.statements.push(Box::pin(async move { client.batch_execute(sql).await.map(|()| Vec::new()) }));
    }

    /// A prepared statement; gives the place of its answer.
    pub(super) fn ask(&mut self, statement: &'a Statement, values: Vec<Value<'a>>) -> usize {
        let client = self.link.client();
        self.statements.push(Box::pin(async move { client.query(statement, &values).await }));
        self.statements.len() - 1
    }

    /// The same, where there are rows for it.
    pub(super) fn ask_if(
        &mut self,
        rows: bool,
        statement: &'a Statement,
        values: Vec<Value<'a>>,
    ) -> Option<usize> {
        rows.then(|| self.ask(statement, values))
    }

    /// Sends them all, and waits for every answer.
    ///
    /// # Errors
    /// Of the first that failed: those behind it failed for its sake.
    pub(super) async fn fly(self, within: Duration) -> Result<Vec<Vec<Row>>, Fault> {
        // Polled one after the other, each sends what it has before it waits.
        match tokio::time::timeout(within, join_all(self.statements)).await {
            Ok(answers) => Ok(answers.into_iter().collect::<Result<_, Error>>()?),
            Err(_) => Err(Fault::Lost(format!("no answer within {} s", within.as_secs_f64()))),
        }
    }

    /// What stands behind the head in every transaction: entries, the word of them, documents. Gives where the first position is
    /// answered.
    pub(super) fn append(&mut self, of: &'a Statements, sets: &'a Sets<'a>) -> usize {
        let entries = &sets.entries;
        let first =
            self.ask(&of.entries, vec![&entries.count, &entries.places, &entries.bodies, &entries.about]);
        let words: Vec<Value<'a>> = vec![&entries.count, &entries.firsts, &entries.counts, &OUTBOX_TOPIC];
        self.ask_if(entries.count > 0, &of.outbox, words);
        let documents = &sets.documents;
        let values: Vec<Value<'a>> = vec![&documents.kinds, &documents.names, &documents.bytes];
        self.ask_if(!documents.kinds.is_empty(), &of.documents, values);
        first
    }

    /// The world at this revision, and its change where there is one.
    pub(super) fn world(&mut self, of: &'a Statements, sets: &'a Sets<'a>, revision: &'a i64) {
        match &sets.world {
            None => self.ask(&of.world_is, vec![revision]),
            Some(body) if *revision == 0 => self.ask(&of.world_found, vec![body]),
            Some(body) => self.ask(&of.world_change, vec![body, revision]),
        };
    }
}

/// The values of an instance's statements.
pub(super) fn values<'a>(set: &'a Instances<'a>) -> Vec<Value<'a>> {
    vec![
        &set.ids,
        &set.revisions,
        &set.states,
        &set.platforms,
        &set.kinds,
        &set.tiers,
        &set.providers,
        &set.listed_until,
        &set.bodies,
    ]
}
