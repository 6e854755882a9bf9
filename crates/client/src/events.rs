//! The stream of news that an instance holds open, and the connection under it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use wire::Look;
use wire::events::EventReader;

use crate::ClientError;

/// What the plane says, as it says it.
#[derive(Debug)]
pub struct Events {
    url: String,
    response: reqwest::Response,
    reader: EventReader,
    ready: VecDeque<Look>,
    _hold: Hold,
}

impl Events {
    pub(crate) fn new(url: String, response: reqwest::Response, hold: Hold) -> Self {
        Self { url, response, reader: EventReader::default(), ready: VecDeque::new(), _hold: hold }
    }

    /// Waits for the next; none: the plane has ended the stream. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// When nothing was heard for 30 s, not even a sign of life, or what was heard is no stream of events.
    pub async fn next(&mut self) -> Result<Option<Look>, ClientError> {
        loop {
            if let Some(look) = self.ready.pop_front() {
                return Ok(Some(look));
            }
            let piece = self.response.chunk().await;
            let Some(piece) = piece.map_err(|error| ClientError::unreachable(&self.url, &error))? else {
                return Ok(None);
            };
            let looks = self.reader.push(&piece).map_err(|error| ClientError::Answer {
                url: self.url.clone(),
                status: self.response.status().as_u16(),
                why: error.to_string(),
            })?;
            self.ready.extend(looks);
        }
    }
}

/// The HTTP client over whose connection a stream is open, if one is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<Mutex<Slot>>);

#[derive(Debug, Default)]
struct Slot {
    http: Option<reqwest::Client>,
    /// Counts the streams: the end of an older one is not that of a newer.
    stream: u64,
}

/// As long as it is there, calls go over the same connection.
#[derive(Debug)]
pub(crate) struct Hold {
    held: Held,
    stream: u64,
}

impl Held {
    pub(crate) fn get(&self) -> Option<reqwest::Client> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).http.clone()
    }

    pub(crate) fn hold(&self, http: reqwest::Client) -> Hold {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.stream += 1;
        slot.http = Some(http);
        Hold { held: self.clone(), stream: slot.stream }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut slot = self.held.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.stream == self.stream {
            slot.http = None;
        }
    }
}
