//! Serves an [`axum::Router`] on a TCP listener, with or without TLS.
//!
//! Every connection lives in a task of its own from the moment it is accepted: a peer that stalls in its
//! handshake, in a header, in a body or in reading an answer costs its own task and one place under
//! [`Limits::connections_max`], never somebody else's time; and no address has more of them than
//! [`Limits::connections_per_address_max`]. Handshakes are worked on in the order in which they came, so many at once that
//! each is quick; the others wait for their turn. The version of HTTP is the one agreed by ALPN
//! (HTTP/1.1 when nothing was agreed or there is no TLS).
//!
//! Every request carries a [`Connection`] extension: who is at the other end and which certificates they
//! proved to hold. Every request has a `Host` header, whatever the version of HTTP.
//!
//! Never judges a certificate, never reads a body, never sniffs bytes to guess a protocol.

mod activity;
mod body;
mod connection;
mod handshake;
mod limits;
pub mod proxy;
mod serve;
mod shares;
mod stall;
mod turned_away;

pub use connection::{CHANNEL_LABEL, Channel, Connection, Note, Protocol};
pub use limits::{Limits, handshakes_by_cores};
pub use proxy::Balancers;
pub use serve::{Outcome, bind, serve, serve_behind, serve_counting};
pub use shares::{Share, Shares, counted};
pub use turned_away::Why;
