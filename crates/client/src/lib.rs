//! The typed client of the plane's API: one method a call, every request signed (HS-6), every refusal a value.
//!
//! [`Client`] speaks to 8443 as an instance or an operator; [`Public`] reads what 8445 publishes. Never follows a
//! redirect, never reads an answer without a limit, never retries by itself: whoever calls knows what may be repeated.

mod calls;
mod error;
mod public;
mod source;

pub use calls::{Client, InstanceQuery, RolloutVerb};
pub use error::ClientError;
pub use public::{Download, Public};
pub use source::{Source, SystemSource};

use std::time::Duration;

/// Until a connection stands, its handshake included.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// From a call to the end of its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// From the first byte of an upload to the end of its answer.
const UPLOAD_WITHIN: Duration = Duration::from_secs(3600);
/// Between two pieces of a download.
const PIECE_WITHIN: Duration = Duration::from_secs(30);
/// How long an unused connection is kept; shorter than servers keep theirs.
const IDLE: Duration = Duration::from_secs(15);
/// Bytes of an answer.
pub const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A reqwest client with the limits above. `alpn` of the configuration decides the version of HTTP.
fn http(tls: rustls::ClientConfig) -> Result<reqwest::Client, ClientError> {
    let mut tls = tls;
    if tls.alpn_protocols.is_empty() {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(PIECE_WITHIN)
        .pool_idle_timeout(IDLE)
        .user_agent(concat!("fedplane/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ClientError::Setup(told(&error)))
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
