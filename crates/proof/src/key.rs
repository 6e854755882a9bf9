//! Ed25519 public keys, their names (RFC 7638), their JSON form (RFC 8037), and sets of them with a threshold.
//!
//! Never holds a private key of the federation: signing is the [`Sign`] port. [`SeedKey`] is for tests and simulations.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};
use governance::InstanceKey;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::encoding::{url_decode_exact, url_encode};

/// The most keys a set may hold.
pub const KEY_SET_MAX: usize = 32;

/// Why something is no key, no key id or no set of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the canonical encoding of a point of the curve.
    #[error("these 32 bytes are no Ed25519 public key")]
    NotAPoint,
    /// A point of low order: every signature could be made to fit it.
    #[error("the Ed25519 public key is a point of low order, which anyone can sign for")]
    LowOrder,
    /// A JWK of another kind.
    #[error(
        "the key is no Ed25519 JWK: write {{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":…}} with 32 bytes in base64url"
    )]
    NotEd25519Jwk,
    /// Not a thumbprint.
    #[error("`{0}` is no key id: 43 characters of base64url, the RFC 7638 thumbprint")]
    KeyId(String),
    /// A threshold no set of keys could meet, or none at all.
    #[error(
        "a threshold of {threshold} over {keys} keys: it must be at least 1 and at most the number of keys"
    )]
    Threshold {
        /// The threshold as written.
        threshold: u32,
        /// How many keys there are.
        keys: usize,
    },
    /// One key twice: it would count twice.
    #[error("the key {0} stands in the set twice")]
    Duplicate(KeyId),
    /// More keys than [`KEY_SET_MAX`].
    #[error("{0} keys in one set: at most {KEY_SET_MAX}")]
    TooMany(usize),
}

/// The signature is not this key's over this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct SignatureError;

/// A key's name: the RFC 7638 SHA-256 thumbprint of its JWK. Text: base64url, 43 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&url_encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        url_decode_exact(text).map(Self).ok_or_else(|| KeyError::KeyId(text.chars().take(64).collect()))
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An Ed25519 public key: a canonical point, not of low order. Serde form: a JWK.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "Jwk", into = "Jwk")]
pub struct PublicKey {
    point: VerifyingKey,
    id: KeyId,
}

/// Who checks a signature: whoever reads what it is over, or somebody beside him who reads the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checking {
    /// Here and now.
    Now,
    /// Elsewhere: what is read is proved only once it was checked there too.
    Elsewhere,
}

impl PublicKey {
    /// A key from its 32 bytes (RFC 8032 §5.1.2).
    ///
    /// # Errors
    /// When they encode no point, not canonically, or one of low order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let point = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if point.is_weak() {
            return Err(KeyError::LowOrder);
        }
        if point.to_edwards().compress().to_bytes() != *bytes {
            return Err(KeyError::NotAPoint);
        }
        Ok(Self { point, id: thumbprint(bytes) })
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.point.as_bytes()
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Checks a signature, strictly (no malleable signatures, no points of low order).
    ///
    /// # Errors
    /// When it is not this key's signature over this message.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        self.point.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| SignatureError)
    }
}

impl Checking {
    /// Checks a signature, unless that is done elsewhere.
    ///
    /// # Errors
    /// As [`PublicKey::verify`].
    pub fn verify(self, key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        match self {
            Self::Now => key.verify(message, signature),
            Self::Elsewhere => Ok(()),
        }
    }
}

impl From<PublicKey> for InstanceKey {
    fn from(key: PublicKey) -> Self {
        Self::from_bytes(*key.as_bytes())
    }
}

impl TryFrom<InstanceKey> for PublicKey {
    type Error = KeyError;
    fn try_from(key: InstanceKey) -> Result<Self, KeyError> {
        Self::from_bytes(key.as_bytes())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

/// RFC 7638 §3 for an OKP key (RFC 8037 §2): members in lexicographic order, no white space.
fn thumbprint(bytes: &[u8; 32]) -> KeyId {
    let x = url_encode(bytes);
    KeyId(*Digest::of_parts(&[br#"{"crv":"Ed25519","kty":"OKP","x":""#, x.as_bytes(), br#""}"#]).as_bytes())
}

/// The JSON form of a public key (RFC 8037).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    crv: String,
    kty: String,
    x: String,
}

impl TryFrom<Jwk> for PublicKey {
    type Error = KeyError;
    fn try_from(jwk: Jwk) -> Result<Self, KeyError> {
        if jwk.crv != "Ed25519" || jwk.kty != "OKP" {
            return Err(KeyError::NotEd25519Jwk);
        }
        Self::from_bytes(&url_decode_exact(&jwk.x).ok_or(KeyError::NotEd25519Jwk)?)
    }
}

impl From<PublicKey> for Jwk {
    fn from(key: PublicKey) -> Self {
        Self { crv: "Ed25519".to_string(), kty: "OKP".to_string(), x: url_encode(key.as_bytes()) }
    }
}

/// Keys of which `threshold` must sign. At least one, none twice, at most [`KEY_SET_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawKeySet", into = "RawKeySet")]
pub struct KeySet {
    threshold: u32,
    keys: Vec<PublicKey>,
}

/// What an auditor or an agent starts from: the Founder's keys, as in `founder.json` (AU-4).
pub type RootKeys = KeySet;

impl KeySet {
    /// A set of keys and how many of them must sign.
    ///
    /// # Errors
    /// When a key stands there twice, there are too many, or the threshold cannot be met or is zero.
    pub fn new(threshold: u32, keys: Vec<PublicKey>) -> Result<Self, KeyError> {
        if keys.len() > KEY_SET_MAX {
            return Err(KeyError::TooMany(keys.len()));
        }
        for (index, key) in keys.iter().enumerate() {
            if keys.iter().take(index).any(|other| other == key) {
                return Err(KeyError::Duplicate(key.id()));
            }
        }
        if threshold == 0 || usize::try_from(threshold).is_ok_and(|needed| needed > keys.len()) {
            return Err(KeyError::Threshold { threshold, keys: keys.len() });
        }
        Ok(Self { threshold, keys })
    }

    /// A set of one key.
    #[must_use]
    pub fn single(key: PublicKey) -> Self {
        Self { threshold: 1, keys: alloc::vec![key] }
    }

    /// How many distinct keys must sign.
    #[must_use]
    pub const fn threshold(&self) -> u32 {
        self.threshold
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The key of this name.
    #[must_use]
    pub fn find(&self, id: KeyId) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.id() == id)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKeySet {
    threshold: u32,
    keys: Vec<PublicKey>,
}

impl TryFrom<RawKeySet> for KeySet {
    type Error = KeyError;
    fn try_from(raw: RawKeySet) -> Result<Self, KeyError> {
        Self::new(raw.threshold, raw.keys)
    }
}

impl From<KeySet> for RawKeySet {
    fn from(set: KeySet) -> Self {
        Self { threshold: set.threshold, keys: set.keys }
    }
}

/// A key did not sign: the device that holds it failed. Nothing was signed, and nothing stands in the signature's place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key {key} did not sign: {why}")]
pub struct SignError {
    /// Which key.
    pub key: KeyId,
    /// What failed, where, and what to do.
    pub why: String,
}

/// The port through which documents, requests and checkpoints are signed.
pub trait Sign {
    /// The key that verifies what this signs.
    fn public_key(&self) -> &PublicKey;

    /// That key's name.
    fn key_id(&self) -> KeyId {
        self.public_key().id()
    }

    /// An Ed25519 signature over the message.
    ///
    /// # Errors
    /// [`SignError`] when the key is in a device and that does not answer, or not with a signature. It may be tried again.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

impl<S: Sign + ?Sized> Sign for &S {
    fn public_key(&self) -> &PublicKey {
        (**self).public_key()
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        (**self).sign(message)
    }
}

impl<S: Sign + ?Sized> Sign for Arc<S> {
    fn public_key(&self) -> &PublicKey {
        (**self).public_key()
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        (**self).sign(message)
    }
}

/// A key made from a known seed, for tests and simulations, where the same seed must give the same run.
pub struct SeedKey {
    secret: ed25519_dalek::SigningKey,
    public: PublicKey,
}

impl SeedKey {
    /// The key of this seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(&seed);
        let point = secret.verifying_key();
        Self { public: PublicKey { point, id: thumbprint(point.as_bytes()) }, secret }
    }
}

impl Sign for SeedKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(ed25519_dalek::Signer::sign(&self.secret, message).to_bytes())
    }
}

impl fmt::Debug for SeedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeedKey({})", self.public.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_thumbprint_is_that_of_rfc_8037() {
        // RFC 8037 appendix A.3.
        let json = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let key: PublicKey = serde_json::from_str(json).unwrap();
        assert_eq!(key.id().to_string(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(key.id().to_string().parse(), Ok(key.id()));
    }

    #[test]
    fn keys_anyone_can_sign_for_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut non_canonical_identity = [0xff; 32];
        non_canonical_identity[0] = 0xee;
        non_canonical_identity[31] = 0x7f;
        assert_eq!(PublicKey::from_bytes(&identity), Err(KeyError::LowOrder));
        assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(KeyError::LowOrder));
        assert!(PublicKey::from_bytes(&non_canonical_identity).is_err());
        assert!(PublicKey::from_bytes(&[0xff; 32]).is_err());
    }

    #[test]
    fn a_jwk_is_exactly_an_ed25519_key() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        for (json, good) in [
            (alloc::format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#), true),
            (alloc::format!(r#"{{"kty":"EC","crv":"Ed25519","x":"{x}"}}"#), false),
            (alloc::format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}"}}"#), false),
            (alloc::format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}="}}"#), false),
            (alloc::format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","d":"a"}}"#), false),
            (alloc::format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","x":"{x}"}}"#), false),
            (r#"{"kty":"OKP","crv":"Ed25519","x":""}"#.to_string(), false),
        ] {
            assert_eq!(serde_json::from_str::<PublicKey>(&json).is_ok(), good, "{json}");
        }
    }

    #[test]
    fn a_key_set_can_meet_its_threshold() {
        let key = |n: u8| *SeedKey::new([n; 32]).public_key();
        assert!(KeySet::new(2, vec![key(1), key(2), key(3)]).is_ok());
        assert!(matches!(KeySet::new(0, vec![key(1)]), Err(KeyError::Threshold { .. })));
        assert!(matches!(KeySet::new(2, vec![key(1)]), Err(KeyError::Threshold { .. })));
        assert!(matches!(KeySet::new(1, vec![key(1), key(1)]), Err(KeyError::Duplicate(_))));
        assert!(matches!(KeySet::new(1, (0..33).map(key).collect()), Err(KeyError::TooMany(33))));
        let set = KeySet::new(2, vec![key(1), key(2)]).unwrap();
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<KeySet>(&text).unwrap(), set);
        let forged = text.replace(r#""threshold":2"#, r#""threshold":0"#);
        assert!(serde_json::from_str::<KeySet>(&forged).is_err());
    }
}
