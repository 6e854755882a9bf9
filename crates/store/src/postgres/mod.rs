//! The store on PostgreSQL, or an engine that speaks as it does: one task that commits, a few connections that read.
//!
//! Never holds state of its own: several servers use one database, and what a commit is judged by is read and locked inside
//! its transaction. Never waits without an end for a server that is away.

mod batch;
mod copy;
mod flight;
mod lines;
mod link;
mod migrate;
mod place;
mod read;
mod sets;
mod sql;
mod tls;
mod whole;
mod write;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use governance::{Digest, Instance, InstanceId, State, Timestamp, World};
use plane::ports::{
    Commit, Committed, Enrolment, Gate, InstanceFilter, Lease, PAGE_MAX, Revision, Store, StoreError,
};

pub use self::copy::{Copied, CopyError, copy_to_postgres};
use self::flight::Wing;
use self::lines::Lines;
use self::link::{Dialer, Use};
use self::place::Place;
pub use self::place::{PostgresOptions, holds_password, is_postgres_url};
pub use self::whole::PostgresReader;
pub(crate) use self::whole::recorded;
use self::writer::Writer;
use crate::limits::{FORGET_MAX, FORGET_PIECES_MAX};
use crate::migrations::POSTGRES;
use crate::rows::{OutboxItem, Writing, signed};
use crate::{OUTBOX_TOPIC, OpenError, QUEUE_MAX};

/// Connections that read at most, whatever the options say.
pub const LINES_MAX: usize = 64;

const PULSE_SAVE: &str = "INSERT INTO pulse (pulse_id, at) VALUES (1, $1)
    ON CONFLICT (pulse_id) DO UPDATE SET at = excluded.at";
const SEEN_SAVE: &str = "INSERT INTO seen (instance_id, at) SELECT * FROM UNNEST($1::TEXT[], $2::BIGINT[])
    ON CONFLICT (instance_id) DO UPDATE SET at = excluded.at WHERE seen.at < excluded.at";
const LEASE_TAKE: &str = "INSERT INTO lease (name, holder, fence, beat) VALUES ($1, $2, $3, $4)
    ON CONFLICT (name) DO NOTHING";
const LEASE_SAVE: &str = "UPDATE lease SET holder = $2, fence = $3, beat = $4
    WHERE name = $1 AND holder = $5 AND fence = $6 AND beat = $7";
// What somebody is writing is left to the next call.
const NONCE_FORGET: &str = "DELETE FROM nonce WHERE (key_id, nonce) IN
    (SELECT key_id, nonce FROM nonce WHERE expires < $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)";
const OUTBOX_FORGET: &str = "DELETE FROM outbox WHERE topic = $1 AND position IN
    (SELECT position FROM outbox WHERE topic = $1 AND position <= $2 ORDER BY position LIMIT $3
     FOR UPDATE SKIP LOCKED)";

/// The store on PostgreSQL. A commit that is [`StoreError::Unavailable`] was not acknowledged; where its connection was lost while
/// it was under way, nobody can say whether it was written, and its guards make asking again safe. Dropping it lets the writer
/// finish what was asked, while the runtime that it was opened on lives.
pub struct PostgresStore {
    lines: Lines,
    writer: Writer,
}

impl PostgresStore {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] where no database can be at the place, it does not answer, holds another's tables, or is of a newer schema.
    /// Nothing of it was changed then.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, OpenError> {
        let dialer = Box::pin(Self::migrated(url, &options, POSTGRES)).await?;
        let wing = Wing::new(dialer.open(Use::Writer).await?).await.map_err(migrate::refused)?;
        let writer = Writer::start(Arc::clone(&dialer), wing, options.queue.clamp(1, QUEUE_MAX));
        Ok(Self { lines: Lines::new(dialer, options.lines.clamp(1, LINES_MAX)), writer })
    }

    async fn migrated(
        url: &str,
        options: &PostgresOptions,
        known: &[crate::migrations::Migration],
    ) -> Result<Arc<Dialer>, OpenError> {
        let dialer = dialer(url, options, false)?;
        let link = dialer.open(Use::Bulk).await?;
        migrate::migrate(link.client(), dialer.name(), known).await?;
        Ok(dialer)
    }

    /// What is wrong with the rows: nothing, if they are whole. Reads all of the ledger's keys.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        read::problems(&self.lines).await
    }

    /// What the outbox holds for a topic, oldest first, `limit` (at most [`PAGE_MAX`]) of it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn outbox_page(&self, topic: &str, limit: usize) -> Result<Vec<OutboxItem>, StoreError> {
        read::outbox(&self.lines, topic, limit.min(PAGE_MAX)).await
    }

    async fn gate_turn(&self, holder: Option<&str>, revision: Revision) -> Result<Revision, StoreError> {
        let conflict = StoreError::Conflict("world");
        let decided_on = signed(revision).ok_or(conflict.clone())?;
        match self.lines.execute(sql::GATE_TURN, &[&decided_on, &holder]).await? {
            0 => Err(conflict),
            _ => Ok(revision + 1),
        }
    }
}

fn dialer(url: &str, options: &PostgresOptions, reading: bool) -> Result<Arc<Dialer>, OpenError> {
    let place = Place::parse(url, options)?;
    Ok(Arc::new(Dialer::new(place, options.connect_within, options.answer_within, reading)))
}

impl Store for PostgresStore {
    async fn world_load(&self) -> Result<(World, Revision), StoreError> {
        read::world(&self.lines).await
    }

    async fn instance_load(&self, id: InstanceId) -> Result<Option<(Instance, Revision)>, StoreError> {
        read::instance(&self.lines, id).await
    }

    async fn instance_page(
        &self,
        filter: &InstanceFilter,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<Vec<(Instance, Revision)>, StoreError> {
        read::instances(&self.lines, filter, after, limit.min(PAGE_MAX)).await
    }

    async fn instance_load_all(&self, ids: &[InstanceId]) -> Result<Vec<(Instance, Revision)>, StoreError> {
        read::instances_of(&self.lines, ids.get(..PAGE_MAX).unwrap_or(ids)).await
    }

    async fn instance_count(&self) -> Result<Vec<(State, u64)>, StoreError> {
        read::instance_count(&self.lines).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.writer.commit(Writing::new(commit)?).await
    }

    async fn enrolment_load(&self, digest: Digest) -> Result<Option<Enrolment>, StoreError> {
        read::enrolment(&self.lines, digest).await
    }

    async fn enrolment_waiting(&self, now: Timestamp, limit: usize) -> Result<Vec<Enrolment>, StoreError> {
        read::enrolments_waiting(&self.lines, now, limit.min(PAGE_MAX)).await
    }

    async fn document_load(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        read::document(&self.lines, kind, name).await
    }

    async fn entry_page(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        read::entries(&self.lines, from, limit.min(PAGE_MAX)).await
    }

    async fn decision_page(
        &self,
        instance: InstanceId,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        read::decisions(&self.lines, instance, skip, limit.min(PAGE_MAX)).await
    }

    async fn change_page(&self, from: u64, limit: usize) -> Result<Vec<Option<InstanceId>>, StoreError> {
        read::changes(&self.lines, from, limit.min(PAGE_MAX)).await
    }

    async fn clock_load(&self) -> Result<Option<Timestamp>, StoreError> {
        read::clock(&self.lines).await
    }

    async fn entry_count(&self) -> Result<u64, StoreError> {
        read::entry_count(&self.lines).await
    }

    async fn pulse_load(&self) -> Result<Option<Timestamp>, StoreError> {
        read::pulse(&self.lines).await
    }

    async fn pulse_save(&self, now: Timestamp) -> Result<(), StoreError> {
        self.lines.execute(PULSE_SAVE, &[&now.as_millis()]).await.map(|_| ())
    }

    async fn seen_save(&self, seen: &[(InstanceId, Timestamp)]) -> Result<(), StoreError> {
        // In the order of their keys, each once: as one statement can write them, beside another server's.
        let mut latest: BTreeMap<String, i64> = BTreeMap::new();
        for (id, at) in seen.iter().take(PAGE_MAX) {
            let kept = latest.entry(id.to_string()).or_insert(i64::MIN);
            *kept = (*kept).max(at.as_millis());
        }
        if latest.is_empty() {
            return Ok(());
        }
        let (ids, instants): (Vec<String>, Vec<i64>) = latest.into_iter().unzip();
        self.lines.execute(SEEN_SAVE, &[&ids, &instants]).await.map(|_| ())
    }

    async fn seen_page(
        &self,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<Vec<(InstanceId, Timestamp)>, StoreError> {
        read::seen(&self.lines, after, limit.min(PAGE_MAX)).await
    }

    async fn lease_load(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        read::lease(&self.lines, name).await
    }

    async fn lease_save(&self, before: Option<&Lease>, lease: &Lease) -> Result<bool, StoreError> {
        let (fence, beat) = (read::integer(lease.fence), read::integer(lease.beat));
        let rows = match before {
            None => self.lines.execute(LEASE_TAKE, &[&lease.name, &lease.holder, &fence, &beat]).await?,
            Some(before) => {
                let was = (read::integer(before.fence), read::integer(before.beat));
                let values: [link::Value<'_>; 7] =
                    [&lease.name, &lease.holder, &fence, &beat, &before.holder, &was.0, &was.1];
                self.lines.execute(LEASE_SAVE, &values).await?
            }
        };
        Ok(rows > 0)
    }

    async fn gate_close(&self, holder: &str, world_revision: Revision) -> Result<Revision, StoreError> {
        self.gate_turn(Some(holder), world_revision).await
    }

    async fn gate_open(&self, world_revision: Revision) -> Result<Revision, StoreError> {
        self.gate_turn(None, world_revision).await
    }

    async fn gate_load(&self) -> Result<Option<Gate>, StoreError> {
        read::gate(&self.lines).await
    }

    async fn outbox_forget(&self, position: u64) -> Result<u64, StoreError> {
        let (position, most) = (read::integer(position), FORGET_MAX as i64);
        self.lines.execute(OUTBOX_FORGET, &[&OUTBOX_TOPIC, &position, &most]).await
    }

    async fn nonce_forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut total = 0;
        for _ in 0..FORGET_PIECES_MAX {
            let rows = self.lines.execute(NONCE_FORGET, &[&now.as_millis(), &(FORGET_MAX as i64)]).await?;
            total += rows;
            if rows < FORGET_MAX as u64 {
                break;
            }
        }
        Ok(total)
    }
}
