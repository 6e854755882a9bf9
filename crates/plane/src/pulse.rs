//! The plane's own sign of life: what it could not hear counts against nobody (CO-7).
//!
//! Never judges an instance: it puts on record when the plane was away, and `reconcile` takes it off the silence.

use governance::Timestamp;
use governance::decide::WorldCommand;
use ledger::Entry;

use crate::decision::By;
use crate::ports::Store;
use crate::{Plane, PlaneError};

/// So many notes of life in a row have to be missing before the plane counts as having been away.
const NOTES_MISSING: i64 = 3;
/// Decisions are written side by side: the latest of all stands among so many of the last.
const CROSSING_ENTRIES: usize = 256;

impl<S: Store> Plane<S> {
    /// Notes that the plane lives; where its last note is old, the outage goes on record first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn pulse(&self) -> Result<(), PlaneError> {
        let now = self.now();
        let outage_after = self.settings.pulse_every.times(NOTES_MISSING);
        if let Some(noted) = self.store.pulse_load().await?
            && now.since(noted) > outage_after
        {
            let from = self.last_decision().await?.map_or(noted, |decided| decided.max(noted));
            if now.since(from) > outage_after {
                let record = WorldCommand::RecordOutage { from, until: now };
                self.decide_world(&[record], &By::Federation, None).await?;
            }
        }
        Ok(self.store.pulse_save(now).await?)
    }

    /// When the last decision on record was taken.
    pub(crate) async fn last_decision(&self) -> Result<Option<Timestamp>, PlaneError> {
        let size = self.store.entry_count().await?;
        let last =
            self.store.entry_page(size.saturating_sub(CROSSING_ENTRIES as u64), CROSSING_ENTRIES).await?;
        let read = |bytes: &Vec<u8>| {
            Entry::decode(bytes)
                .map(|entry| entry.at)
                .map_err(|error| PlaneError::Unavailable(error.to_string()))
        };
        last.iter().map(read).try_fold(None, |latest, at| Ok(latest.max(Some(at?))))
    }
}
