//! Who is at the other end of a connection: the chain it showed, read once and remembered for a while, with the connection and
//! for the next one that shows it.
//!
//! Never remembers what is refused, and holds a certificate's end against the clock at every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use governance::{Digest, Span, Timestamp};
use listener::Connection;
use trust::{IdentityError, Peer, RootCa, classify};

/// Chains remembered beside their connections; when there are more, all are read again.
const CHAINS_MAX: usize = 32_768;
/// How long a chain is believed without verifying it again: what lies between it and the root may expire.
const BELIEVED_FOR: Span = Span::from_millis(60_000);

/// The peers of one listener.
#[derive(Debug)]
pub(crate) struct Peers {
    root: RootCa,
    known: Mutex<HashMap<Digest, Arc<Known>>>,
}

/// Who showed a chain, and when it was read.
#[derive(Debug)]
struct Known {
    peer: Arc<Peer>,
    read_at: Timestamp,
}

impl Known {
    /// Whether it still holds.
    fn holds(&self, now: Timestamp) -> bool {
        let counts = match &*self.peer {
            Peer::Instance { not_after, .. } | Peer::Person { not_after, .. } => {
                now.as_seconds() <= not_after.as_seconds()
            }
            Peer::SelfSigned { .. } => true,
        };
        counts && now.since(self.read_at) <= BELIEVED_FOR
    }
}

impl Peers {
    pub(crate) fn new(root: RootCa) -> Self {
        Self { root, known: Mutex::new(HashMap::new()) }
    }

    /// Who this connection belongs to, now.
    pub(crate) fn identify(
        &self,
        connection: &Connection,
        now: Timestamp,
    ) -> Result<Arc<Peer>, IdentityError> {
        if let Some(known) = connection.note.read::<Known>().filter(|known| known.holds(now)) {
            return Ok(Arc::clone(&known.peer));
        }
        let mark = mark(connection);
        let remembered = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&mark).cloned();
        let known = match remembered.filter(|known| known.holds(now)) {
            Some(known) => known,
            None => self.read(connection, mark, now)?,
        };
        connection.note.keep(Arc::clone(&known));
        Ok(Arc::clone(&known.peer))
    }

    fn read(
        &self,
        connection: &Connection,
        mark: Digest,
        now: Timestamp,
    ) -> Result<Arc<Known>, IdentityError> {
        let peer = classify(&connection.certificates, &self.root, self.root.trust_domain(), now)?;
        let read = Arc::new(Known { peer: Arc::new(peer), read_at: now });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CHAINS_MAX {
            known.clear();
        }
        known.insert(mark, Arc::clone(&read));
        Ok(read)
    }
}

/// A digest of the chain, each certificate behind its length.
fn mark(connection: &Connection) -> Digest {
    let lengths: Vec<[u8; 8]> =
        connection.certificates.iter().map(|certificate| (certificate.len() as u64).to_be_bytes()).collect();
    let certificates = connection.certificates.iter().map(AsRef::as_ref);
    let parts: Vec<&[u8]> =
        lengths.iter().zip(certificates).flat_map(|(length, bytes)| [length.as_slice(), bytes]).collect();
    Digest::of_parts(&parts)
}
