//! The limits of a listener, each by name.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

/// Handshakes at once for each core: most of one is waiting for the peer, who may be far away.
const HANDSHAKES_EACH: usize = 512;

/// What one listener allows. Every field is a bound; none may be "unlimited".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Connections open at once from one address (IPv6: from one /64); further ones are closed before a word is said.
    pub connections_per_address_max: usize,
    /// Handshakes worked on at once; further ones wait for their turn in the order in which they came.
    pub handshakes_max: usize,
    /// Until a peer has begun its handshake (and a balancer has said whose connection it is); then again, from the moment that
    /// its turn has come, until the handshake is finished.
    pub handshake: Duration,
    /// How long a handshake waits for its turn.
    pub handshake_wait: Duration,
    /// How long a handshake keeps others waiting: a peer that is slow goes on beside them.
    pub handshake_turn: Duration,
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
            handshakes_max: handshakes_by_cores(),
            handshake: Duration::from_secs(10),
            handshake_wait: Duration::from_secs(60),
            handshake_turn: Duration::from_secs(1),
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
            handshakes_max: 32,
            streams_max: 8,
            header_bytes_max: 16 * 1024,
            shutdown: Duration::from_secs(5),
            ..Self::default()
        }
    }
}

/// As many handshakes at once as the machine's cores get through quickly.
#[must_use]
pub fn handshakes_by_cores() -> usize {
    available_parallelism().map_or(1, NonZero::get).saturating_mul(HANDSHAKES_EACH)
}
