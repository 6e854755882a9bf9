//! What a request may know about the connection that brought it.

use std::net::SocketAddr;
use std::sync::Arc;

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
}

impl Connection {
    /// The peer's own certificate, when it presented one.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certificates.first()
    }
}
