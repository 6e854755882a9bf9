//! Token Status Lists (EN-6): written for an instance, and read by whoever verifies its tokens.
//!
//! Never says which tokens count: `governance` does.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use governance::entitlement::TokenStatus;
use governance::{InstanceId, Span, Timestamp};
use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde::{Deserialize, Serialize};

use super::{Issuer, TokenError, TokenKeys, check_times, seconds};
use crate::encoding::{url_decode, url_encode};
use crate::jws::{Jws, JwsError, Typ};
use crate::key::Sign;

/// The largest status list when inflated, in bytes: four tokens to a byte.
pub const LIST_BYTES_MAX: usize = 1024 * 1024;
/// Bits for each token of a status list.
pub(super) const BITS: u8 = 2;
/// A list has room for so many tokens at the least, so that its length tells little.
pub(super) const PLACES_MIN: usize = 64;
/// zlib's own default.
const COMPRESSION: u8 = 6;

#[derive(Serialize, Deserialize)]
pub(super) struct ListClaims {
    pub(super) sub: String,
    pub(super) iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exp: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<u64>,
    pub(super) status_list: List,
}

#[derive(Serialize, Deserialize)]
pub(super) struct List {
    pub(super) bits: u8,
    pub(super) lst: String,
}

impl Issuer {
    /// An instance's status list (EN-6), to be fetched again after `ttl` and no good after `lifetime`.
    ///
    /// # Errors
    /// When it is too large.
    pub fn status_list(
        &self,
        instance: InstanceId,
        statuses: impl Iterator<Item = TokenStatus>,
        (now, ttl, lifetime): (Timestamp, Span, Span),
        key: &dyn Sign,
    ) -> Result<String, JwsError> {
        let claims = ListClaims {
            sub: self.list(instance),
            iat: now.as_seconds(),
            exp: Some((now + lifetime).as_seconds()),
            ttl: Some(u64::try_from(ttl.as_millis() / 1_000).unwrap_or(0)),
            status_list: List {
                bits: BITS,
                lst: url_encode(&compress_to_vec_zlib(&pack(statuses), COMPRESSION)),
            },
        };
        Jws::sign_json(Typ::StatusList, &claims, key)?.to_compact()
    }
}

/// The lowest bits of a byte are its first token's.
pub(super) fn pack(statuses: impl Iterator<Item = TokenStatus>) -> Vec<u8> {
    let mut bytes = alloc::vec![0_u8; PLACES_MIN / 4];
    for (index, status) in statuses.enumerate() {
        if index / 4 >= bytes.len() {
            bytes.push(0);
        }
        if let Some(byte) = bytes.get_mut(index / 4) {
            *byte |= (status as u8) << (index % 4 * usize::from(BITS));
        }
    }
    bytes
}

impl TokenKeys {
    /// Opens the status list that a token names.
    ///
    /// # Errors
    /// When it is another list, not signed by one of these keys, too old, or not well formed.
    pub fn open_list(&self, text: &str, uri: &str, now: Timestamp) -> Result<StatusList, TokenError> {
        let claims: ListClaims = Jws::parse_compact(text)?.open(Typ::StatusList, &self.0)?;
        check_times(claims.iat, claims.exp, now)?;
        if claims.sub != uri {
            return Err(TokenError::OtherList { found: claims.sub, expected: uri.to_string() });
        }
        if claims.status_list.bits != BITS {
            return Err(TokenError::List("it has another number of bits to a token than 2"));
        }
        let packed = url_decode(&claims.status_list.lst).ok_or(TokenError::List("`lst` is not base64url"))?;
        let bytes = decompress_to_vec_zlib_with_limit(&packed, LIST_BYTES_MAX)
            .map_err(|_| TokenError::List("`lst` is no zlib data of at most a mebibyte"))?;
        let ttl = claims.ttl.and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1_000));
        let issued = seconds(claims.iat);
        Ok(StatusList { issued, refresh: ttl.map(|ttl| issued + Span::from_millis(ttl)), bytes })
    }
}

/// A status list that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusList {
    /// When it was issued.
    pub issued: Timestamp,
    /// From when it is to be fetched anew.
    pub refresh: Option<Timestamp>,
    pub(super) bytes: Vec<u8>,
}

impl StatusList {
    /// What it says of a place.
    ///
    /// # Errors
    /// When it has no such place, or says what nobody here knows.
    pub fn get(&self, idx: u32) -> Result<TokenStatus, TokenError> {
        let at = usize::try_from(idx / 4).unwrap_or(usize::MAX);
        let byte = self.bytes.get(at).ok_or(TokenError::List("it has no such place"))?;
        let bits = byte >> (idx % 4 * u32::from(BITS)) & 0b11;
        let status = TokenStatus::ALL.iter().find(|status| **status as u8 == bits);
        status.copied().ok_or(TokenError::List("it says what this version does not know"))
    }

    /// That it says of a place that the token counts, and may still be relied on: a list that is kept for longer than it
    /// allows hides what was revoked since.
    ///
    /// # Errors
    /// [`TokenError::Stale`] when it is to be fetched anew; [`TokenError::Status`] when the token does not count.
    pub fn check(&self, idx: u32, now: Timestamp) -> Result<(), TokenError> {
        if let Some(refresh) = self.refresh.filter(|refresh| now > *refresh) {
            return Err(TokenError::Stale(refresh));
        }
        match self.get(idx)? {
            TokenStatus::Valid => Ok(()),
            status => Err(TokenError::Status(status)),
        }
    }
}
