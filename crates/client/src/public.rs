//! Reads what the plane publishes for anyone: keys, bundle, TUF metadata and packages, checkpoints and tiles.
//!
//! Never trusts what it reads: all of it is signed, and whoever asked checks the signatures.

use ledger::tile::{HASH_TILE_BYTES_MAX, TILE_WIDTH};
use ledger::{SignedCheckpoint, TileId, TileKind, TileSet};
use reqwest::StatusCode;

use crate::{ClientError, Use, http, read};

/// The longest checkpoint that is read, in bytes: one with the signatures of many witnesses.
pub const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024;
/// Tiles that are read at once at most; more than any two heads need to be held against each other.
pub const TILES_MAX: usize = 32;

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

    /// The checkpoint published now, its signatures unverified; nothing when there is none (404).
    ///
    /// # Errors
    /// When it cannot be had, is longer than [`CHECKPOINT_BYTES_MAX`], or is no checkpoint.
    pub async fn checkpoint(&self) -> Result<Option<SignedCheckpoint>, ClientError> {
        let path = "/checkpoint";
        let Some(bytes) = self.file(path, CHECKPOINT_BYTES_MAX).await? else { return Ok(None) };
        SignedCheckpoint::parse(&bytes).map(Some).map_err(|error| self.odd(path, &error))
    }

    /// Hash tiles, as far as they are published: [`TILES_MAX`] of them at most. Where a partial one is gone, the full one in
    /// its place, as C2SP tlog-tiles has it. What they say counts once it leads to a root that was signed.
    ///
    /// # Errors
    /// When one cannot be had or has another length than its name says.
    pub async fn tiles(&self, wanted: impl IntoIterator<Item = TileId>) -> Result<TileSet, ClientError> {
        let mut set = TileSet::new();
        for id in wanted.into_iter().filter(|id| id.kind() != TileKind::Entries).take(TILES_MAX) {
            let full = TileId::new(id.kind(), id.index(), TILE_WIDTH).ok().filter(|full| *full != id);
            for id in std::iter::once(id).chain(full) {
                let path = format!("/{id}");
                if let Some(bytes) = self.file(&path, HASH_TILE_BYTES_MAX as u64).await? {
                    set.insert(id, &bytes).map_err(|error| self.odd(&path, &error))?;
                    break;
                }
            }
        }
        Ok(set)
    }

    fn odd(&self, path: &str, error: &dyn std::fmt::Display) -> ClientError {
        ClientError::Answer {
            url: format!("{}{path}", self.base),
            status: StatusCode::OK.as_u16(),
            why: error.to_string(),
        }
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
