//! The entries of the ledger (AU-1, LG-1): what was decided, when, by whom, under which rule, and what proves it.
//!
//! Never judges: whether a decision was legal is the business of [`crate::verify`]. One entry has one spelling, so
//! that its bytes and its meaning are the same thing.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use governance::committed::OpeningError;
use governance::event::Sealed;
use governance::{Authority, Digest, Event, Opening, Timestamp};
use proof::{Jws, KeyId, PublicKey, Sign, SignError, SignatureError, SignedRequest};
use serde::{Deserialize, Serialize};

/// The longest entry, in bytes: what an entry bundle can frame (C2SP tlog-tiles).
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// The only version of the encoding.
pub const VERSION: u32 = 1;
/// What the Federation's signature begins with, so that it passes for nothing else.
pub const DECISION_PREFIX: &[u8] = b"fedplane-decision-v1\n";

/// One decided event, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Version of the encoding: [`VERSION`].
    pub version: u32,
    /// When it was decided. Entries of one decision share it.
    pub at: Timestamp,
    /// The rule it rests on.
    pub rule: String,
    /// The authority that took it.
    pub authority: Authority,
    /// Who asked for it by hand, such as `operator/admin`; none when nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Digest of the constitution in force; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constitution: Option<Digest>,
    /// What was decided.
    pub event: Event,
    /// What proves the authority.
    pub evidence: Evidence,
}

/// What proves that the authority took the decision (AU-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Evidence {
    /// The Founder's or the Organism's signed document.
    Document(Jws),
    /// The instance's signed request.
    Request(SignedRequest),
    /// The Federation's signature over [`Entry::decision`].
    Federation {
        /// Which key for directives signed.
        key: KeyId,
        /// Ed25519.
        #[serde(with = "signature_text")]
        signature: [u8; 64],
    },
    /// The evidence of an earlier entry of the same decision.
    Preceding {
        /// So many positions before this one; at least 1.
        back: u16,
    },
}

impl Evidence {
    /// Its kind, as a word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Document(_) => "document",
            Self::Request(_) => "request",
            Self::Federation { .. } => "federation",
            Self::Preceding { .. } => "preceding",
        }
    }
}

/// Why something is no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Longer than an entry bundle can frame.
    #[error("the entry has {0} bytes: at most {ENTRY_BYTES_MAX}")]
    TooLarge(usize),
    /// Not JSON of an entry.
    #[error("not a ledger entry: {0}")]
    Malformed(String),
    /// Of a version of the encoding that does not exist.
    #[error("the entry says it is of version {0}: {VERSION} is the only one")]
    Version(u32),
    /// An entry, but spelled otherwise than it would be written.
    #[error("the entry is spelled otherwise than it would be written")]
    Spelling,
    /// The Federation's key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Everything of an entry but its evidence, in the same order.
#[derive(Serialize)]
struct Decision<'a> {
    version: u32,
    at: Timestamp,
    rule: &'a str,
    authority: Authority,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constitution: Option<Digest>,
    event: &'a Event,
}

impl Entry {
    /// An entry with the evidence at hand; rule and authority are the event's.
    #[must_use]
    pub fn new(
        at: Timestamp,
        actor: Option<String>,
        constitution: Option<Digest>,
        event: Event,
        evidence: Evidence,
    ) -> Self {
        let (rule, authority) = (event.rule().to_string(), event.authority());
        Self { version: VERSION, at, rule, authority, actor, constitution, event, evidence }
    }

    /// An entry that the Federation itself signs, with its key for directives.
    ///
    /// # Errors
    /// When the event has no JSON form, or the key does not sign.
    pub fn federation(
        at: Timestamp,
        actor: Option<String>,
        constitution: Option<Digest>,
        event: Event,
        signer: &dyn Sign,
    ) -> Result<Self, EntryError> {
        let mut entry = Self::new(at, actor, constitution, event, Evidence::Preceding { back: 0 });
        let signature = signer.sign(&entry.decision()?)?;
        entry.evidence = Evidence::Federation { key: signer.key_id(), signature };
        Ok(entry)
    }

    /// What the Federation signs: [`DECISION_PREFIX`] ‖ SHA-256 of the entry's encoding without its evidence.
    ///
    /// # Errors
    /// When the event has no JSON form.
    pub fn decision(&self) -> Result<Vec<u8>, EntryError> {
        let decision = Decision {
            version: self.version,
            at: self.at,
            rule: &self.rule,
            authority: self.authority,
            actor: self.actor.as_deref(),
            constitution: self.constitution,
            event: &self.event,
        };
        let mut message = DECISION_PREFIX.to_vec();
        message.extend_from_slice(Digest::of(&json(&decision)?).as_bytes());
        Ok(message)
    }

    /// Checks the Federation's signature, where it is the evidence.
    ///
    /// # Errors
    /// When the evidence is of another kind, or not this key's signature over this decision.
    pub fn verify_federation(&self, key: &PublicKey) -> Result<(), SignatureError> {
        let Evidence::Federation { signature, .. } = &self.evidence else { return Err(SignatureError) };
        key.verify(&self.decision().map_err(|_| SignatureError)?, signature)
    }

    /// The commitments in it (LG-1).
    #[must_use]
    pub fn commitments(&self) -> Vec<Digest> {
        match &self.event {
            Event::Instance(_, event) => event.commitments(),
            Event::World(_) => Vec::new(),
        }
    }

    /// Opens each commitment that `find` finds an opening for; the entry's bytes stay what they are.
    ///
    /// # Errors
    /// When an opening is of another value.
    pub fn open(&mut self, find: impl Fn(Digest) -> Option<Opening>) -> Result<Sealed, OpeningError> {
        match &mut self.event {
            Event::Instance(_, event) => event.open(find),
            Event::World(_) => Ok(Sealed::default()),
        }
    }

    /// The entry's bytes: compact JSON.
    ///
    /// # Errors
    /// When it is longer than [`ENTRY_BYTES_MAX`].
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        let bytes = json(self)?;
        if bytes.len() > ENTRY_BYTES_MAX { Err(EntryError::TooLarge(bytes.len())) } else { Ok(bytes) }
    }

    /// Reads an entry; the inverse of [`Entry::encode`], and of nothing else.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`Entry::encode`] gives.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLarge(bytes.len()));
        }
        let entry: Self =
            serde_json::from_slice(bytes).map_err(|error| EntryError::Malformed(error.to_string()))?;
        if entry.version != VERSION {
            return Err(EntryError::Version(entry.version));
        }
        if json(&entry)? != bytes {
            return Err(EntryError::Spelling);
        }
        Ok(entry)
    }
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, EntryError> {
    serde_json::to_vec(value).map_err(|error| EntryError::Malformed(error.to_string()))
}

/// Signatures as padded base64 of 64 bytes.
mod signature_text {
    use alloc::string::String;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 64], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 64], D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        bytes.try_into().map_err(|_| D::Error::custom("a signature has 64 bytes"))
    }
}
