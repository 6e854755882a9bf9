//! Signed documents: JWS, general JSON serialization (RFC 7515 §7.2.1), EdDSA only, one type per domain.
//!
//! Never canonicalises: a signature is checked over the payload exactly as received. Never hands out a payload as
//! signed before enough keys have proved it: [`Verified`] is that proof.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::encoding::{url_decode, url_decode_exact, url_encode};
use crate::key::{KeyId, KeySet, PublicKey, Sign, SignError};

/// The longest payload, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// The most signatures on one document.
pub const SIGNATURES_MAX: usize = 32;
/// The longest document as text, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 128 * 1024;
/// The longest protected header, in base64url characters.
const PROTECTED_MAX: usize = 512;

/// What kind of document a signature is for. It is signed, so that one kind never passes for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Typ {
    /// A Founder's order (FO-1).
    Order,
    /// A constitution (FO-5).
    Constitution,
    /// The keys document (AU-4).
    Keys,
    /// A release manifest (RL-1).
    Release,
    /// A directive to one instance (RL-3).
    Directive,
    /// An instance's version statement (ID-4).
    Statement,
    /// An instance's answer to a challenge (HS-8).
    Answer,
    /// An entitlement token (EN-4).
    Entitlement,
    /// An activation token (EN-5).
    Activation,
    /// A Token Status List (EN-6).
    StatusList,
}

impl Typ {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Order,
        Self::Constitution,
        Self::Keys,
        Self::Release,
        Self::Directive,
        Self::Statement,
        Self::Answer,
        Self::Entitlement,
        Self::Activation,
        Self::StatusList,
    ];

    /// Its `typ` header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "fedplane-order+jws",
            Self::Constitution => "fedplane-constitution+jws",
            Self::Keys => "fedplane-keys+jws",
            Self::Release => "fedplane-release+jws",
            Self::Directive => "fedplane-directive+jws",
            Self::Statement => "fedplane-statement+jws",
            Self::Answer => "fedplane-answer+jws",
            Self::Entitlement => "fedplane-entitlement+jwt",
            Self::Activation => "fedplane-activation+jwt",
            Self::StatusList => "statuslist+jwt",
        }
    }
}

impl fmt::Display for Typ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a document is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not JSON of the general serialization.
    #[error("not a signed document (JWS, general JSON serialization): {0}")]
    Malformed(String),
    /// Not three parts, or more than one signature.
    #[error("not one signature in the compact serialization: three parts of base64url with dots between")]
    NotCompact,
    /// A part is not base64url.
    #[error("the document's {0} is not base64url without padding, or has another length than it must")]
    Base64(&'static str),
    /// Longer than allowed.
    #[error("the document's {what} has {found}: at most {max}")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The largest allowed.
        max: usize,
    },
    /// No signature at all.
    #[error("the document carries no signature")]
    Unsigned,
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A protected header outside the profile.
    #[error("a signature's protected header is not {{alg: EdDSA, kid, typ}}: {0}")]
    Header(String),
    /// Signed as another kind of document.
    #[error("the document is signed as `{found}`, not as `{expected}`")]
    WrongType {
        /// What it had to be.
        expected: Typ,
        /// What it says.
        found: Typ,
    },
    /// Too few of the keys signed it.
    #[error("{valid} of the {threshold} signatures needed are valid (signed by: {signers})")]
    TooFew {
        /// How many distinct known keys signed.
        valid: usize,
        /// How many must.
        threshold: u32,
        /// The key ids the document names, and what is wrong with each.
        signers: String,
    },
    /// The signed payload is not the type of document it says.
    #[error("the signed payload is no {what}: {why}")]
    Payload {
        /// What it had to be.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Two documents with different payloads cannot share signatures.
    #[error("the signatures belong to another payload")]
    OtherPayload,
}

/// One signature with its protected header as received.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seal {
    protected: String,
    kid: KeyId,
    typ: Typ,
    signature: [u8; 64],
}

/// A signed document, well formed; nothing is proved until it is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawJws", into = "RawJws")]
pub struct Jws {
    payload: Vec<u8>,
    seals: Vec<Seal>,
}

/// A payload that enough keys have signed as this kind of document.
#[derive(Clone, Debug)]
pub struct Verified<'a> {
    payload: &'a [u8],
    signers: Vec<KeyId>,
}

impl<'a> Verified<'a> {
    /// The signed bytes.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whose signatures were valid, each key once.
    #[must_use]
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }

    /// The payload as what it says it is.
    ///
    /// # Errors
    /// [`JwsError::Payload`] when it is not JSON of that type.
    pub fn parse_payload<T: DeserializeOwned>(&self) -> Result<T, JwsError> {
        parse(self.payload)
    }
}

impl Jws {
    /// Reads a document.
    ///
    /// # Errors
    /// When it is too large or deviates from the profile anywhere.
    pub fn parse(text: &[u8]) -> Result<Self, JwsError> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(JwsError::TooLarge { what: "text", found: text.len(), max: DOCUMENT_BYTES_MAX });
        }
        let raw: RawJws =
            serde_json::from_slice(text).map_err(|error| JwsError::Malformed(error.to_string()))?;
        Self::try_from(raw)
    }

    /// Reads a document in the compact serialization (RFC 7515 §7.1), as tokens are written.
    ///
    /// # Errors
    /// As [`Jws::parse`].
    pub fn parse_compact(text: &str) -> Result<Self, JwsError> {
        check_size("text", text.len(), DOCUMENT_BYTES_MAX)?;
        let mut parts = text.split('.').map(ToString::to_string);
        let (Some(protected), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwsError::NotCompact);
        };
        Self::try_from(RawJws { payload, signatures: alloc::vec![RawSignature { protected, signature }] })
    }

    /// The document in the compact serialization.
    ///
    /// # Errors
    /// [`JwsError::NotCompact`] when it has more than one signature.
    pub fn to_compact(&self) -> Result<String, JwsError> {
        let [seal] = self.seals.as_slice() else { return Err(JwsError::NotCompact) };
        let (payload, signature) = (url_encode(&self.payload), url_encode(&seal.signature));
        Ok(alloc::format!("{}.{payload}.{signature}", seal.protected))
    }

    /// A document over these bytes with one signature.
    ///
    /// # Errors
    /// When the payload is too large, or the key does not sign.
    pub fn sign(typ: Typ, payload: Vec<u8>, key: &dyn Sign) -> Result<Self, JwsError> {
        check_size("payload", payload.len(), PAYLOAD_BYTES_MAX)?;
        let seal = seal(typ, &payload, key)?;
        Ok(Self { payload, seals: alloc::vec![seal] })
    }

    /// A document over a value's JSON with one signature.
    ///
    /// # Errors
    /// When the value has no JSON form or a too large one, or the key does not sign.
    pub fn sign_json<T: Serialize>(typ: Typ, value: &T, key: &dyn Sign) -> Result<Self, JwsError> {
        let payload = serde_json::to_vec(value).map_err(|error| JwsError::Payload {
            what: core::any::type_name::<T>(),
            why: error.to_string(),
        })?;
        Self::sign(typ, payload, key)
    }

    /// Adds a key's signature as the same kind of document; a former one of the same key is replaced.
    ///
    /// # Errors
    /// When it carries [`SIGNATURES_MAX`] already, was signed as another kind, or the key does not sign.
    pub fn add_signature(&mut self, typ: Typ, key: &dyn Sign) -> Result<(), JwsError> {
        self.check_type(typ)?;
        let seal = seal(typ, &self.payload, key)?;
        self.put(seal)
    }

    /// Takes over the signatures of another copy of the same document, signed elsewhere.
    ///
    /// # Errors
    /// When the other's payload differs, or the signatures would be too many.
    pub fn merge(&mut self, other: &Self) -> Result<(), JwsError> {
        if other.payload != self.payload {
            return Err(JwsError::OtherPayload);
        }
        other.seals.iter().cloned().try_for_each(|seal| self.put(seal))
    }

    fn put(&mut self, seal: Seal) -> Result<(), JwsError> {
        self.seals.retain(|other| other.kid != seal.kid);
        check_size("list of signatures", self.seals.len() + 1, SIGNATURES_MAX)?;
        self.seals.push(seal);
        Ok(())
    }

    /// Proves that at least `keys.threshold()` distinct keys of the set signed this as a document of kind `typ`.
    ///
    /// Signatures of unknown keys count for nothing; a key counts once, however often it signed.
    ///
    /// # Errors
    /// [`JwsError::WrongType`] when any signature is for another kind, [`JwsError::TooFew`] with the reasons.
    pub fn verify(&self, typ: Typ, keys: &KeySet) -> Result<Verified<'_>, JwsError> {
        self.check_type(typ)?;
        let encoded = url_encode(&self.payload);
        let mut signers: Vec<KeyId> = Vec::new();
        let mut reasons: Vec<String> = Vec::new();
        for seal in &self.seals {
            let Some(key) = keys.find(seal.kid) else {
                reasons.push(alloc::format!("{} unknown", seal.kid));
                continue;
            };
            if signers.contains(&seal.kid) {
                reasons.push(alloc::format!("{} again", seal.kid));
            } else if key.verify(&signing_input(&seal.protected, &encoded), &seal.signature).is_ok() {
                signers.push(seal.kid);
                reasons.push(alloc::format!("{} valid", seal.kid));
            } else {
                reasons.push(alloc::format!("{} invalid", seal.kid));
            }
        }
        let threshold = keys.threshold();
        if u32::try_from(signers.len()).is_ok_and(|valid| valid < threshold) {
            return Err(JwsError::TooFew { valid: signers.len(), threshold, signers: reasons.join(", ") });
        }
        Ok(Verified { payload: &self.payload, signers })
    }

    /// Proves that this one key signed this as a document of kind `typ`.
    ///
    /// # Errors
    /// As [`Jws::verify`].
    pub fn verify_one(&self, typ: Typ, key: &PublicKey) -> Result<Verified<'_>, JwsError> {
        self.verify(typ, &KeySet::single(*key))
    }

    /// Verifies, then reads the payload.
    ///
    /// # Errors
    /// As [`Jws::verify`] and [`Verified::parse_payload`].
    pub fn open<T: DeserializeOwned>(&self, typ: Typ, keys: &KeySet) -> Result<T, JwsError> {
        self.verify(typ, keys)?.parse_payload()
    }

    /// Reads the payload before anything is proved: to show it, or to learn whose key to verify with.
    ///
    /// # Errors
    /// [`JwsError::Payload`] when it is not JSON of that type.
    pub fn parse_unverified<T: DeserializeOwned>(&self) -> Result<T, JwsError> {
        parse(&self.payload)
    }

    /// The payload's bytes, of which nothing is proved.
    #[must_use]
    pub fn payload_unverified(&self) -> &[u8] {
        &self.payload
    }

    /// The digest the document goes by: SHA-256 of its payload.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// As what kind of document it is signed, if all signatures agree; nothing is proved.
    #[must_use]
    pub fn typ_unverified(&self) -> Option<Typ> {
        let first = self.seals.first()?.typ;
        self.seals.iter().all(|seal| seal.typ == first).then_some(first)
    }

    /// Whose signatures it carries, valid or not.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.seals.iter().map(|seal| seal.kid)
    }

    /// The document as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A struct of strings always has a JSON form.
        serde_json::to_string(&RawJws::from(self.clone())).unwrap_or_default()
    }

    fn check_type(&self, typ: Typ) -> Result<(), JwsError> {
        match self.seals.iter().find(|seal| seal.typ != typ) {
            Some(seal) => Err(JwsError::WrongType { expected: typ, found: seal.typ }),
            None => Ok(()),
        }
    }
}

fn parse<T: DeserializeOwned>(payload: &[u8]) -> Result<T, JwsError> {
    serde_json::from_slice(payload)
        .map_err(|error| JwsError::Payload { what: short_name::<T>(), why: error.to_string() })
}

/// A type's name without its path.
fn short_name<T>() -> &'static str {
    let name = core::any::type_name::<T>();
    name.rsplit("::").next().unwrap_or(name)
}

const fn check_size(what: &'static str, found: usize, max: usize) -> Result<(), JwsError> {
    if found > max { Err(JwsError::TooLarge { what, found, max }) } else { Ok(()) }
}

fn seal(typ: Typ, payload: &[u8], key: &dyn Sign) -> Result<Seal, SignError> {
    let kid = key.key_id();
    let protected = url_encode(alloc::format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"{typ}"}}"#).as_bytes());
    let signature = key.sign(&signing_input(&protected, &url_encode(payload)))?;
    Ok(Seal { protected, kid, typ, signature })
}

/// RFC 7515 §5.1: ASCII(protected ‖ '.' ‖ payload), both in base64url.
fn signing_input(protected: &str, payload: &str) -> Vec<u8> {
    let mut input = Vec::with_capacity(protected.len() + 1 + payload.len());
    input.extend_from_slice(protected.as_bytes());
    input.push(b'.');
    input.extend_from_slice(payload.as_bytes());
    input
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJws {
    payload: String,
    signatures: Vec<RawSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignature {
    protected: String,
    signature: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader {
    alg: String,
    kid: KeyId,
    typ: String,
}

impl TryFrom<RawJws> for Jws {
    type Error = JwsError;
    fn try_from(raw: RawJws) -> Result<Self, JwsError> {
        // Base64url grows by a third: this bounds the work before decoding.
        check_size("payload", raw.payload.len() / 4 * 3, PAYLOAD_BYTES_MAX)?;
        check_size("list of signatures", raw.signatures.len(), SIGNATURES_MAX)?;
        if raw.signatures.is_empty() {
            return Err(JwsError::Unsigned);
        }
        let payload = url_decode(&raw.payload).ok_or(JwsError::Base64("payload"))?;
        check_size("payload", payload.len(), PAYLOAD_BYTES_MAX)?;
        let seals = raw.signatures.into_iter().map(Seal::try_from).collect::<Result<_, _>>()?;
        Ok(Self { payload, seals })
    }
}

impl TryFrom<RawSignature> for Seal {
    type Error = JwsError;
    fn try_from(raw: RawSignature) -> Result<Self, JwsError> {
        check_size("protected header", raw.protected.len(), PROTECTED_MAX)?;
        let bytes = url_decode(&raw.protected).ok_or(JwsError::Base64("protected header"))?;
        let header: RawHeader =
            serde_json::from_slice(&bytes).map_err(|error| JwsError::Header(error.to_string()))?;
        if header.alg != "EdDSA" {
            return Err(JwsError::Header("alg is not EdDSA".to_string()));
        }
        let typ = Typ::ALL.iter().copied().find(|typ| typ.as_str() == header.typ);
        let typ = typ.ok_or_else(|| JwsError::Header("typ is no document of the federation".to_string()))?;
        let signature = url_decode_exact(&raw.signature).ok_or(JwsError::Base64("signature"))?;
        Ok(Self { protected: raw.protected, kid: header.kid, typ, signature })
    }
}

impl From<Jws> for RawJws {
    fn from(jws: Jws) -> Self {
        Self {
            payload: url_encode(&jws.payload),
            signatures: jws
                .seals
                .into_iter()
                .map(|seal| RawSignature {
                    protected: seal.protected,
                    signature: url_encode(&seal.signature),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SeedKey;
    use alloc::vec;
    use proptest::prelude::*;

    fn key(n: u8) -> SeedKey {
        SeedKey::new([n; 32])
    }

    fn set(threshold: u32, keys: &[u8]) -> KeySet {
        KeySet::new(threshold, keys.iter().map(|n| *key(*n).public_key()).collect()).unwrap()
    }

    fn signed(payload: &[u8], keys: &[u8]) -> Jws {
        let (first, rest) = keys.split_first().unwrap();
        let mut jws = Jws::sign(Typ::Order, payload.to_vec(), &key(*first)).unwrap();
        rest.iter().for_each(|n| jws.add_signature(Typ::Order, &key(*n)).unwrap());
        jws
    }

    #[test]
    fn fo_1_a_threshold_counts_distinct_known_keys() {
        let two_of_three = set(2, &[1, 2, 3]);
        let check = |signers: &[u8], valid: usize| {
            let jws = signed(b"{}", signers);
            match jws.verify(Typ::Order, &two_of_three) {
                Ok(verified) => assert_eq!(verified.signers().len(), valid, "{signers:?}"),
                Err(JwsError::TooFew { valid: found, .. }) => {
                    assert_eq!((found, valid < 2), (valid, true), "{signers:?}")
                }
                Err(other) => panic!("{other}"),
            }
        };
        check(&[1, 2], 2);
        check(&[1, 2, 3], 3);
        check(&[1], 1);
        check(&[1, 9], 1);
        check(&[8, 9], 0);
    }

    #[test]
    fn a_repeated_key_counts_once() {
        let mut jws = signed(b"{}", &[1]);
        let again = jws.seals.first().unwrap().clone();
        jws.seals.push(again);
        let error =
            Jws::parse(jws.to_json().as_bytes()).unwrap().verify(Typ::Order, &set(2, &[1, 2])).unwrap_err();
        assert!(matches!(error, JwsError::TooFew { valid: 1, threshold: 2, .. }), "{error}");
    }

    #[test]
    fn one_kind_of_document_never_passes_for_another() {
        let jws = signed(b"{}", &[1]);
        let error = jws.verify(Typ::Keys, &set(1, &[1])).unwrap_err();
        assert_eq!(error, JwsError::WrongType { expected: Typ::Keys, found: Typ::Order });
        let mut mixed = jws;
        assert!(mixed.add_signature(Typ::Keys, &key(2)).is_err());
    }

    #[test]
    fn a_signature_of_another_payload_is_worth_nothing() {
        let mut jws = signed(br#"{"a":1}"#, &[1]);
        jws.payload = br#"{"a":2}"#.to_vec();
        assert!(matches!(jws.verify(Typ::Order, &set(1, &[1])), Err(JwsError::TooFew { valid: 0, .. })));
        assert_eq!(jws.merge(&signed(b"{}", &[2])), Err(JwsError::OtherPayload));
    }

    #[test]
    fn copies_signed_apart_are_put_together() {
        let mut one = signed(b"{}", &[1]);
        one.merge(&signed(b"{}", &[2])).unwrap();
        one.merge(&signed(b"{}", &[2])).unwrap();
        assert_eq!(one.key_ids().count(), 2);
        assert!(one.verify(Typ::Order, &set(2, &[1, 2])).is_ok());
    }

    #[test]
    fn what_deviates_from_the_profile_is_refused() {
        let good = signed(b"{}", &[1]).to_json();
        assert!(Jws::parse(good.as_bytes()).is_ok());
        let header = |json: &str| {
            alloc::format!(
                r#"{{"payload":"e30","signatures":[{{"protected":"{}","signature":"{}"}}]}}"#,
                url_encode(json.as_bytes()),
                url_encode(&[0; 64])
            )
        };
        let kid = key(1).key_id();
        let typ = Typ::Order;
        assert!(
            Jws::parse(
                header(&alloc::format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"{typ}"}}"#)).as_bytes()
            )
            .is_ok()
        );
        for bad in [
            header(&alloc::format!(r#"{{"alg":"none","kid":"{kid}","typ":"{typ}"}}"#)),
            header(&alloc::format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"JWT"}}"#)),
            header(&alloc::format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#)),
            header(&alloc::format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"{typ}","crit":["x"]}}"#)),
            header(&alloc::format!(r#"{{"alg":"EdDSA","alg":"EdDSA","kid":"{kid}","typ":"{typ}"}}"#)),
            good.replace(r#""payload":"e30""#, r#""payload":"e30=""#),
            good.replace(r#""payload":"e30""#, r#""payload":"e31""#),
            good.replace(r#""payload""#, r#""header":{},"payload""#),
            r#"{"payload":"e30","signatures":[]}"#.to_string(),
            "e30.e30.e30".to_string(),
        ] {
            assert!(Jws::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn documents_are_bounded() {
        assert!(matches!(
            Jws::sign(Typ::Order, vec![0; PAYLOAD_BYTES_MAX + 1], &key(1)),
            Err(JwsError::TooLarge { .. })
        ));
        let full = Jws::sign(Typ::Order, vec![0; PAYLOAD_BYTES_MAX], &key(1)).unwrap();
        assert_eq!(Jws::parse(full.to_json().as_bytes()), Ok(full));
        let mut many = signed(b"{}", &[1]);
        many.seals = vec![many.seals.first().unwrap().clone(); SIGNATURES_MAX + 1];
        assert!(matches!(Jws::parse(many.to_json().as_bytes()), Err(JwsError::TooLarge { .. })));
        assert!(Jws::parse(&vec![b' '; DOCUMENT_BYTES_MAX + 1]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_signed_is_what_is_read(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let jws = Jws::parse(signed(&payload, &[1, 2]).to_json().as_bytes()).unwrap();
            let keys = set(2, &[1, 2]);
            prop_assert_eq!(jws.verify(Typ::Order, &keys).unwrap().payload(), &payload[..]);
            prop_assert_eq!(jws.digest(), Digest::of(&payload));
        }

        #[test]
        fn a_flipped_bit_anywhere_is_noticed(at in any::<proptest::sample::Index>(), bit in 0u8..8) {
            let mut text = signed(br#"{"serial":7}"#, &[1]).to_json().into_bytes();
            let at = at.index(text.len());
            text[at] ^= 1 << bit;
            let read = Jws::parse(&text).and_then(|jws| jws.verify_one(Typ::Order, key(1).public_key()).map(|_| ()));
            prop_assert!(read.is_err());
        }

        #[test]
        fn hostile_text_never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Jws::parse(&text);
        }
    }
}
