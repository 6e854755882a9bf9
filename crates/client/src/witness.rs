//! Asks witnesses to cosign checkpoints (C2SP tlog-witness).
//!
//! Never believes an answer, whoever gave it: status and body are handed on, and what counts in them is signed.

use std::time::Duration;

use ledger::witness::ANSWER_BYTES_MAX;

use crate::{ClientError, Use, http, read};

/// From the question to the end of the answer.
const WITHIN: Duration = Duration::from_secs(5);

/// A caller of witnesses.
#[derive(Clone, Debug)]
pub struct Witnesses {
    http: reqwest::Client,
}

impl Witnesses {
    /// A caller of any witness, over plain HTTP too.
    ///
    /// # Errors
    /// [`ClientError::Setup`].
    pub fn new() -> Result<Self, ClientError> {
        let tls =
            trust::tls::unverified_client_config().map_err(|error| ClientError::Setup(error.to_string()))?;
        Ok(Self { http: http(tls, Use::Unguarded)? })
    }

    /// Sends a request to the witness at `url`, its submission prefix; gives the status and the body of its answer.
    ///
    /// # Errors
    /// When there is none in time, or it is too long.
    pub async fn add_checkpoint(&self, url: &str, request: String) -> Result<(u16, Vec<u8>), ClientError> {
        let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        let sent = self.http.post(&url).timeout(WITHIN).body(request).send().await;
        let response = sent.map_err(|error| ClientError::unreachable(&url, &error))?;
        let status = response.status().as_u16();
        Ok((status, read(response, ANSWER_BYTES_MAX as u64, &url).await?))
    }
}
