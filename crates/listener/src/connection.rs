//! What a request may know about the connection that brought it.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;

/// The version of HTTP spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// The other end of a connection. Each request carries it as an extension.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The peer's address as the socket gives it.
    pub peer: SocketAddr,
    /// The chain the peer presented and proved to hold the key of, leaf first; empty without TLS and
    /// when the peer presented none. Whether it is trusted is the TLS configuration's question.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// The version of HTTP in use.
    pub protocol: Protocol,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The channel that requests on it may be bound to; none without TLS.
    pub channel: Option<Arc<Channel>>,
    /// What whoever serves its requests found out about it.
    pub note: Note,
}

/// What whoever serves a connection's requests found out once, and keeps with it for the next: one value of any type.
#[derive(Clone, Default)]
pub struct Note(Arc<Mutex<Option<Arc<dyn Any + Send + Sync>>>>);

impl Note {
    /// What was kept, if it is of this type.
    #[must_use]
    pub fn read<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kept?.downcast().ok()
    }

    /// Keeps a value in place of what was kept.
    pub fn keep<T: Any + Send + Sync>(&self, value: Arc<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Note").finish_non_exhaustive()
    }
}

/// The label under which both ends derive the key of their channel (RFC 8446 §7.5).
pub const CHANNEL_LABEL: &[u8] = b"EXPORTER-fedplane-check-in";
/// Bytes of a channel's key.
pub(crate) const CHANNEL_KEY_BYTES: usize = 32;

/// What binds requests to the connection that brings them: a key that its two ends alone can derive (RFC 8446 §7.5), and
/// the highest number that a request on it has spent.
pub struct Channel {
    key: [u8; CHANNEL_KEY_BYTES],
    spent: Mutex<u128>,
}

impl Channel {
    pub(crate) const fn new(key: [u8; CHANNEL_KEY_BYTES]) -> Self {
        Self { key, spent: Mutex::new(0) }
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Spends a number: `false` unless it is higher than all that were spent.
    #[must_use]
    pub fn spend(&self, number: u128) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = number > *spent;
        if fresh {
            *spent = number;
        }
        fresh
    }
}

impl fmt::Debug for Channel {
    /// The key is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

impl Connection {
    /// The peer's own certificate, when it presented one.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certificates.first()
    }
}
