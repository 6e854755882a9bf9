//! What a listener turns away before any router sees it, so that it can be counted.

/// Why a connection, or a request on it, came no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The address has as many connections as it may.
    Address,
    /// The handshake failed: another version of TLS, no certificate, or none that the peer holds the key of.
    Handshake,
    /// The handshake was not begun or not finished in time.
    HandshakeLate,
    /// The handshake's turn did not come in time: too many wanted one at once.
    HandshakeQueue,
    /// A balancer's connection does not begin with a header of the PROXY protocol, version 2.
    Proxy,
    /// The same, and nothing came in time.
    ProxyLate,
    /// The request's head is not HTTP.
    Malformed,
    /// The request's head has more fields, or more bytes, than it may.
    HeadTooLarge,
    /// The request's head was not sent in time.
    HeadLate,
    /// The request names two hosts.
    Hosts,
}

impl Why {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::Address,
        Self::Handshake,
        Self::HandshakeLate,
        Self::HandshakeQueue,
        Self::Proxy,
        Self::ProxyLate,
        Self::Malformed,
        Self::HeadTooLarge,
        Self::HeadLate,
        Self::Hosts,
    ];

    /// In a word, as a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Handshake => "handshake",
            Self::HandshakeLate => "handshake-late",
            Self::HandshakeQueue => "handshake-queue",
            Self::Proxy => "proxy",
            Self::ProxyLate => "proxy-late",
            Self::Malformed => "malformed",
            Self::HeadTooLarge => "head-too-large",
            Self::HeadLate => "head-late",
            Self::Hosts => "hosts",
        }
    }

    /// What ended a connection early; nothing where the peer merely went away.
    pub(crate) fn of(error: &hyper::Error) -> Option<Self> {
        match error {
            error if error.is_parse_too_large() => Some(Self::HeadTooLarge),
            error if error.is_parse() => Some(Self::Malformed),
            error if error.is_timeout() => Some(Self::HeadLate),
            _ => None,
        }
    }
}
