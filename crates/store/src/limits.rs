//! What one commit and one piece of work may carry, the same for every adapter.

use plane::ports::{Commit, StoreError};

/// Ledger entries of one commit.
pub const ENTRIES_MAX: usize = 1_000;
/// Bytes of one ledger entry: what the two length bytes of an entry bundle can say (C2SP tlog-tiles).
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// Signed documents of one commit.
pub(crate) const DOCUMENTS_MAX: usize = 8;
/// Bytes of one document: a TUF targets file and some air.
pub const DOCUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Works that wait for the writer at most, whatever the options say.
pub const QUEUE_MAX: usize = 65_536;
/// Works that share one transaction.
pub const BATCH_MAX: usize = 256;
/// Rows forgotten in one piece of work, so that commits never wait long behind it.
pub const FORGET_MAX: usize = 5_000;
/// Pieces in which `nonce_forget` works at most; the rest waits for the next call.
pub(crate) const FORGET_PIECES_MAX: usize = 1_000;

/// Refuses a commit beyond the limits; a decision never makes one, so there is no refusal of its own for it.
pub(crate) fn check(commit: &Commit) -> Result<(), StoreError> {
    let longest = commit.entries.iter().map(Vec::len).max().unwrap_or(0);
    let document = commit.documents.iter().map(|document| document.bytes.len()).max().unwrap_or(0);
    let found = [
        ("entries in a commit", commit.entries.len(), ENTRIES_MAX),
        ("documents in a commit", commit.documents.len(), DOCUMENTS_MAX),
        ("bytes in an entry", longest, ENTRY_BYTES_MAX),
        ("bytes in a document", document, DOCUMENT_BYTES_MAX),
    ];
    match found.iter().find(|(_, found, most)| found > most) {
        Some((what, found, most)) => Err(StoreError::Unavailable(format!("{found} {what}, {most} at most"))),
        None => Ok(()),
    }
}
