//! Reads what the plane publishes for anyone: keys, bundle, TUF metadata and packages, checkpoints and tiles.
//!
//! Never trusts what it reads: all of it is signed, and whoever asked checks the signatures.

use reqwest::StatusCode;

use crate::{ClientError, Use, http, read};

/// A reader of the public listener.
#[derive(Clone, Debug)]
pub struct Public {
    http: reqwest::Client,
    base: String,
}

/// A file on its way.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    url: String,
}

impl Public {
    /// A reader of `base`, as `https://plane.example:8445`.
    ///
    /// # Errors
    /// [`ClientError::Setup`].
    pub fn new(base: &str, tls: rustls::ClientConfig) -> Result<Self, ClientError> {
        Ok(Self { http: http(tls, Use::Answers)?, base: base.trim_end_matches('/').to_owned() })
    }

    /// A reader of any repository of TUF, over plain HTTP too: who asks believes nothing but its signatures.
    ///
    /// # Errors
    /// [`ClientError::Setup`].
    pub fn unguarded(base: &str, tls: rustls::ClientConfig) -> Result<Self, ClientError> {
        Ok(Self { http: http(tls, Use::Unguarded)?, base: base.trim_end_matches('/').to_owned() })
    }

    /// A small file of at most `bytes_max` bytes; nothing when there is none of that name (404).
    ///
    /// # Errors
    /// When it cannot be had or is longer.
    pub async fn file(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, ClientError> {
        let Some(download) = self.open(path).await? else { return Ok(None) };
        read(download.response, bytes_max, &download.url).await.map(Some)
    }

    /// Begins to read a large file; nothing when there is none of that name (404).
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn open(&self, path: &str) -> Result<Option<Download>, ClientError> {
        let url = format!("{}{path}", self.base);
        let response =
            self.http.get(&url).send().await.map_err(|error| ClientError::unreachable(&url, &error))?;
        match response.status() {
            StatusCode::OK => Ok(Some(Download { response, url })),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(ClientError::Answer {
                url,
                status: status.as_u16(),
                why: "200 or 404 was expected".to_owned(),
            }),
        }
    }
}

impl Download {
    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when it breaks off.
    pub async fn piece(&mut self) -> Result<Option<impl AsRef<[u8]> + Send + 'static>, ClientError> {
        self.response.chunk().await.map_err(|error| ClientError::unreachable(&self.url, &error))
    }
}
