//! What the ledger commits to without showing it, disclosed to those entitled (LG-1).
//!
//! An opening is kept beside the ledger, under the digest that it opens; whoever may read an entry may read its openings.

use governance::Opening;
use ledger::Entry;

use crate::ports::{Document, Store};
use crate::{Plane, PlaneError};

/// The kind of an opening among the kept documents.
pub const OPENING: &str = "opening";

/// The document an opening is kept as.
pub(crate) fn kept(opening: &Opening) -> Result<Document, PlaneError> {
    let bytes = serde_json::to_vec(opening).map_err(|error| PlaneError::Unavailable(error.to_string()))?;
    Ok(Document { kind: OPENING.to_owned(), name: opening.committed.to_string(), bytes })
}

impl<S: Store> Plane<S> {
    /// What opens the commitments of an entry, as far as it is kept.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn openings(&self, entry: &Entry) -> Result<Vec<Opening>, PlaneError> {
        let mut openings = Vec::new();
        for committed in entry.commitments() {
            if let Some(bytes) = self.store.document_load(OPENING, &committed.to_string()).await? {
                let opening = serde_json::from_slice(&bytes);
                openings.push(opening.map_err(|error| PlaneError::Unavailable(error.to_string()))?);
            }
        }
        Ok(openings)
    }

    /// Entries from a position on, `limit` of them and no more than `bytes_max` bytes, with what opens them.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn entries(
        &self,
        from: u64,
        limit: usize,
        bytes_max: usize,
    ) -> Result<(Vec<Vec<u8>>, Vec<Opening>), PlaneError> {
        let mut entries = self.store.entry_page(from, limit).await?;
        let mut bytes = 0;
        let fits = |entry: &&Vec<u8>| {
            bytes += entry.len();
            bytes <= bytes_max
        };
        let fitting = entries.iter().take_while(fits).count();
        entries.truncate(fitting);
        let mut openings = Vec::new();
        for bytes in &entries {
            let entry = Entry::decode(bytes).map_err(|error| PlaneError::Unavailable(error.to_string()))?;
            openings.extend(self.openings(&entry).await?);
        }
        Ok((entries, openings))
    }
}
