//! The keys that tokens verify with, as a JWK set (RFC 7517), and tokens opened with them.
//!
//! Never trusts a key that a token brings along.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use governance::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Claims, TokenError, check_times};
use crate::jws::{Jws, Typ};
use crate::key::{KEY_SET_MAX, KeyId, KeySet, PublicKey};
use crate::keys::{KeysDocument, Purpose};

/// The longest set of keys as text, in bytes.
pub const JWKS_BYTES_MAX: usize = 64 * 1024;

/// The keys that tokens verify with, as anyone reads them from `jwks.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKeys(pub(super) KeySet);

/// A key as RFC 7517 and RFC 8037 have it.
#[derive(Serialize)]
struct JwkOut {
    #[serde(flatten)]
    key: PublicKey,
    kid: KeyId,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
}

#[derive(Serialize)]
struct JwksOut {
    keys: Vec<JwkOut>,
}

#[derive(Deserialize)]
struct JwkIn {
    kty: String,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
}

#[derive(Deserialize)]
struct JwksIn {
    keys: Vec<JwkIn>,
}

impl TokenKeys {
    /// The keys for tokens that a keys document names, those whose time is yet to come among them: a token may be older
    /// than the list of keys, and a list older than a token.
    ///
    /// # Errors
    /// [`TokenError::NoKeys`].
    pub fn of(keys: &KeysDocument, now: Timestamp) -> Result<Self, TokenError> {
        let online = keys.online.iter().filter(|key| key.purpose == Purpose::Tokens && key.not_after >= now);
        Self::new(online.map(|online| online.key).collect())
    }

    pub(super) fn new(keys: Vec<PublicKey>) -> Result<Self, TokenError> {
        KeySet::new(1, keys).map(Self).map_err(|_| TokenError::NoKeys)
    }

    /// The set as text (RFC 7517).
    #[must_use]
    pub fn to_json(&self) -> String {
        let out = |key: &PublicKey| JwkOut { key: *key, kid: key.id(), usage: "sig", alg: "EdDSA" };
        let keys = self.0.keys().iter().map(out).collect();
        // A struct of strings always has a JSON form.
        serde_json::to_string(&JwksOut { keys }).unwrap_or_default()
    }

    /// Reads a set; keys of other kinds and uses are passed over.
    ///
    /// # Errors
    /// When it is no set, or none of its keys can have signed a token.
    pub fn parse(text: &[u8]) -> Result<Self, TokenError> {
        if text.len() > JWKS_BYTES_MAX {
            return Err(TokenError::Keys(alloc::format!("{} bytes: at most {JWKS_BYTES_MAX}", text.len())));
        }
        let set: JwksIn =
            serde_json::from_slice(text).map_err(|error| TokenError::Keys(error.to_string()))?;
        let mut keys: Vec<PublicKey> = Vec::new();
        for jwk in set.keys {
            let signs = jwk.kty == "OKP"
                && jwk.crv.as_deref() == Some("Ed25519")
                && jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
            let bytes = jwk.x.as_deref().filter(|_| signs).and_then(crate::encoding::url_decode_exact);
            let Some(bytes) = bytes else { continue };
            let key = PublicKey::from_bytes(&bytes).map_err(|error| TokenError::Keys(error.to_string()))?;
            if !keys.contains(&key) && keys.len() < KEY_SET_MAX {
                keys.push(key);
            }
        }
        Self::new(keys)
    }

    /// Opens a token: of this type, signed by one of these keys, in time; `audience`: for this instance.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn open<R: DeserializeOwned>(
        &self,
        text: &str,
        typ: Typ,
        audience: Option<&str>,
        now: Timestamp,
    ) -> Result<Claims<R>, TokenError> {
        let claims: Claims<R> = Jws::parse_compact(text)?.open(typ, &self.0)?;
        check_times(claims.iat, Some(claims.exp), now)?;
        if let Some(expected) = audience.filter(|expected| *expected != claims.aud) {
            return Err(TokenError::OtherAudience { found: claims.aud, expected: expected.to_string() });
        }
        let issuer = claims.aud.rsplit_once("/instance/").map_or("", |(issuer, _)| issuer);
        if claims.iss != issuer || claims.sub != claims.aud {
            return Err(TokenError::OtherIssuer { found: claims.iss, expected: issuer.to_string() });
        }
        Ok(claims)
    }
}
