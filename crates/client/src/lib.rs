//! The typed client of the plane's API: one method a call, every request signed (HS-6), every refusal a value.
//!
//! [`Client`] speaks to 8443 as an instance or an operator; [`Public`] reads what 8445 publishes; [`Endpoints`] puts challenges
//! to instances; [`Witnesses`] asks those who cosign the ledger; [`readiness`] asks a server on this machine how it does. Never follows a
//! redirect, never reads an answer without a limit, never retries by itself: whoever calls knows what may be repeated.

mod calls;
mod endpoints;
mod error;
mod events;
mod health;
mod public;
pub mod reach;
mod source;
mod witness;

pub use calls::{Client, InstanceQuery, RolloutVerb};
pub use endpoints::{EndpointError, Endpoints};
pub use error::ClientError;
pub use events::Events;
pub use health::{Readiness, readiness};
pub use public::{CHECKPOINT_BYTES_MAX, Download, Public, TILES_MAX};
pub use source::{Source, SystemSource};
pub use witness::Witnesses;

use std::time::Duration;

/// Until a connection stands, its handshake and the wait for its turn included: everybody may be coming back at once.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// From a call to the end of its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Bytes a second at which an upload goes on at least: a GiB has 2¼ hours.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 128 * 1024;
/// Between two pieces of a download.
const PIECE_WITHIN: Duration = Duration::from_secs(30);
/// How long an unused connection is kept; shorter than servers keep theirs.
const IDLE: Duration = Duration::from_secs(15);
/// Bytes of an answer.
pub const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// From the first byte of an upload to the end of its answer.
const fn upload_within(length: u64) -> Duration {
    ANSWER_WITHIN.saturating_add(Duration::from_secs(length.div_ceil(UPLOAD_BYTES_PER_SECOND_MIN)))
}

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Calls and downloads: the next piece of an answer is always near.
    Answers,
    /// Uploads: nothing is heard until all of it was sent.
    Uploads,
    /// A stream that stays open, and calls beside it on the same connection, however far between they are.
    Stream,
    /// Answers that signatures alone vouch for, over plain HTTP too.
    Unguarded,
}

/// A reqwest client with the limits above. `alpn` of the configuration decides the version of HTTP.
fn http(tls: rustls::ClientConfig, purpose: Use) -> Result<reqwest::Client, ClientError> {
    builder(tls, purpose).build().map_err(|error| ClientError::Setup(told(&error)))
}

fn builder(tls: rustls::ClientConfig, purpose: Use) -> reqwest::ClientBuilder {
    let mut tls = tls;
    if tls.alpn_protocols.is_empty() {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    let builder = reqwest::Client::builder();
    let builder = match purpose {
        Use::Answers | Use::Unguarded | Use::Stream => builder.read_timeout(PIECE_WITHIN),
        Use::Uploads => builder,
    };
    let builder = match purpose {
        Use::Stream => builder.pool_idle_timeout(None),
        Use::Answers | Use::Unguarded | Use::Uploads => builder.pool_idle_timeout(IDLE),
    };
    builder
        .tls_backend_preconfigured(tls)
        .https_only(purpose != Use::Unguarded)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .user_agent(concat!("fedplane/", env!("CARGO_PKG_VERSION")))
}

/// Reads an answer's body up to a limit.
async fn read(mut response: reqwest::Response, max: u64, url: &str) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => {
                if (body.len() + piece.len()) as u64 > max {
                    return Err(ClientError::TooLong { url: url.to_owned(), bytes_max: max });
                }
                body.extend_from_slice(&piece);
            }
            Ok(None) => return Ok(body),
            Err(error) => return Err(ClientError::unreachable(url, &error)),
        }
    }
}

/// An error with all its causes: reqwest's own text names none of them.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_upload_has_the_time_that_a_slow_line_takes() {
        for (length, seconds) in [(0, 30), (1, 31), (256 * 1024, 32), (1 << 30, 30 + 8_192)] {
            assert_eq!(upload_within(length).as_secs(), seconds, "{length}");
        }
    }
}
