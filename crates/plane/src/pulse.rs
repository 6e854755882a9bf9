//! The plane's own sign of life: what it could not hear counts against nobody (CO-7).
//!
//! Never judges an instance: it puts on record when the plane was away, and `reconcile` takes it off the silence.

use governance::decide::{WorldCommand, decide_world};
use governance::{Span, Timestamp};
use ledger::Entry;

use crate::decision::{By, CONFLICTS_MAX};
use crate::ports::Store;
use crate::{Plane, PlaneError};

/// So many notes of life in a row have to be missing before the plane counts as having been away.
const NOTES_MISSING: i64 = 3;
/// Decisions are signs of life too: of the last ones, so many are looked at.
const SIGNS_MAX: usize = 256;

impl<S: Store> Plane<S> {
    /// Notes that the plane lives; where there was no sign of it for too long, the outage goes on record first, before
    /// anything is judged that it could have changed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn pulse(&self) -> Result<(), PlaneError> {
        let outage_after = self.settings.pulse_every.times(NOTES_MISSING);
        let noted = self.store.pulse_load().await?;
        let silent = noted.map(|noted| self.now().since(noted));
        if silent.is_some_and(|silent| silent < self.settings.pulse_every) {
            return Ok(());
        }
        if let Some(noted) = noted.filter(|_| silent.is_some_and(|silent| silent > outage_after)) {
            // Nothing is decided, here or elsewhere, between the search for signs of life and the record of their lack.
            let _gate = self.gate.write().await;
            for _ in 0..CONFLICTS_MAX {
                let Some(closed) = self.gate_close().await? else { continue };
                let recorded = self.outage_record(noted, outage_after).await;
                self.gate_open(closed).await?;
                if recorded? {
                    return Ok(self.store.pulse_save(self.now()).await?);
                }
            }
            let why =
                "the federation is being changed by others all the time: an outage waits to be put on record";
            return Err(PlaneError::Unavailable(why.to_owned()));
        }
        Ok(self.store.pulse_save(self.now()).await?)
    }

    /// Puts on record for how long there was no sign of life since the last one noted, if that was for too long; `false`:
    /// somebody else changed the world meanwhile.
    async fn outage_record(&self, noted: Timestamp, outage_after: Span) -> Result<bool, PlaneError> {
        let (seen, now) = (self.seen(), self.now());
        // What is on record already is not recorded again, should its note have been lost.
        let known = seen.world.outages.last().map_or(noted, |last| last.until.max(noted));
        let mut signs = self.decisions_since(known).await?;
        signs.extend([known, now]);
        signs.sort_unstable();
        let gaps = signs.iter().zip(signs.iter().skip(1));
        let Some((from, until)) = gaps.max_by_key(|(from, until)| until.since(**from)) else {
            return Ok(true);
        };
        if until.since(*from) <= outage_after {
            return Ok(true);
        }
        let record = WorldCommand::RecordOutage { from: *from, until: *until };
        let events = decide_world(&seen.world, &record, now)?;
        self.settle_world(&seen, events, &By::Federation, Vec::new(), now).await
    }

    /// When decisions on record were taken behind this instant, however many there are.
    async fn decisions_since(&self, known: Timestamp) -> Result<Vec<Timestamp>, PlaneError> {
        let mut end = self.store.entry_count().await?;
        let mut signs = Vec::new();
        while end > 0 {
            let from = end.saturating_sub(SIGNS_MAX as u64);
            let page = self.decided(from, usize::try_from(end - from).unwrap_or(SIGNS_MAX)).await?;
            let before = signs.len();
            signs.extend(page.iter().copied().filter(|sign| *sign > known));
            // Decisions about different instances may cross by a little (LG-1): a whole page of older ones is the end.
            if signs.len() == before {
                break;
            }
            end = from;
        }
        Ok(signs)
    }

    /// When the last decisions on record were taken.
    pub(crate) async fn last_decisions(&self) -> Result<Vec<Timestamp>, PlaneError> {
        let size = self.store.entry_count().await?;
        self.decided(size.saturating_sub(SIGNS_MAX as u64), SIGNS_MAX).await
    }

    /// When the decisions from this position on were taken, so many of them.
    async fn decided(&self, from: u64, count: usize) -> Result<Vec<Timestamp>, PlaneError> {
        let last = self.store.entry_page(from, count).await?;
        let read = |bytes: &Vec<u8>| {
            Entry::decode(bytes)
                .map(|entry| entry.at)
                .map_err(|error| PlaneError::Unavailable(error.to_string()))
        };
        last.iter().map(read).collect()
    }
}
