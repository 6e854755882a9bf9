//! The limits of a listener, each by name.

use std::time::Duration;

/// What one listener allows. Every field is a bound; none may be "unlimited".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Connections open at once from one address (IPv6: from one /64); further ones are closed before a word is said.
    pub connections_per_address_max: usize,
    /// From accepting a connection to the end of its TLS handshake.
    pub handshake: Duration,
    /// From the first byte awaited to the end of a request's header (HTTP/1); also how long an HTTP/1
    /// connection is kept without a request.
    pub header_read: Duration,
    /// Between two pieces of a request's body.
    pub body_read: Duration,
    /// Between two pieces of an answer that the peer takes off our hands.
    pub write: Duration,
    /// From the end of the handshake to the first request.
    pub first_request: Duration,
    /// How long a connection is kept on which nothing moves: no request, and no piece of an answer taken.
    pub idle: Duration,
    /// Bytes of a request's header.
    pub header_bytes_max: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// From the shutdown signal until connections still busy are cut.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            connections_per_address_max: 256,
            handshake: Duration::from_secs(10),
            header_read: Duration::from_secs(20),
            body_read: Duration::from_secs(20),
            write: Duration::from_secs(30),
            first_request: Duration::from_secs(15),
            idle: Duration::from_secs(120),
            header_bytes_max: 32 * 1024,
            streams_max: 64,
            shutdown: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Limits for a small endpoint with few callers, such as the one of an instance.
    #[must_use]
    pub fn small() -> Self {
        Self {
            connections_max: 32,
            connections_per_address_max: 16,
            streams_max: 8,
            header_bytes_max: 16 * 1024,
            shutdown: Duration::from_secs(5),
            ..Self::default()
        }
    }
}
