//! Asks a server whether it can do its work: its health listener, plain HTTP on the loopback.
//!
//! Never believes more of the answer than that it was given there.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{ClientError, Use, http, read};

/// From the question to the end of the answer.
const WITHIN: Duration = Duration::from_secs(3);
/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 * 1024;

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it can do its work.
    pub ready: bool,
    /// What it looked at, one a line.
    pub told: String,
}

/// Asks the server whose health listener is at this address.
///
/// # Errors
/// When nobody answers there in time.
pub async fn readiness(address: SocketAddr) -> Result<Readiness, ClientError> {
    let tls =
        trust::tls::unverified_client_config().map_err(|error| ClientError::Setup(error.to_string()))?;
    let url = format!("http://{address}/readyz");
    let sent = http(tls, Use::Unguarded)?.get(&url).timeout(WITHIN).send().await;
    let response = sent.map_err(|error| ClientError::unreachable(&url, &error))?;
    let ready = response.status().is_success();
    let told = read(response, ANSWER_BYTES_MAX, &url).await?;
    Ok(Readiness { ready, told: String::from_utf8_lossy(&told).into_owned() })
}
