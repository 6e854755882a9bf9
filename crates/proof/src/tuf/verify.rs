//! Signed documents of TUF (§4.2.1) and the counting of their signatures.
//!
//! A threshold counts distinct public keys, not key ids, and weak keys count for nothing. Nothing here
//! looks at versions or times.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::key::Sign;

use super::canonical::{canonical, hex_encode};
use super::error::{Fault, TufError};
use super::profile::Profile;
use super::schema::{Key, Metadata, Role, RoleKeys, Root};

/// Most signatures one document may carry.
const SIGNATURES_MAX: usize = 1024;

/// One signature: hex over the canonical form of `signed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureEntry {
    /// The id of the key.
    pub keyid: String,
    /// The signature in hex.
    pub sig: String,
}

/// A signed document as it travels: it can gather signatures one after another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The signatures, each key id once.
    pub signatures: Vec<SignatureEntry>,
    /// What is signed.
    pub signed: Value,
}

/// The signatures on one message, ready to be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureSet {
    /// The canonical form of `signed`.
    pub message: Vec<u8>,
    /// The signatures.
    pub signatures: Vec<SignatureEntry>,
    /// Which keys can verify.
    profile: Profile,
}

/// Metadata of one role, parsed and not yet trusted: whoever holds it checks its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document<T> {
    /// The metadata.
    pub signed: T,
    /// Its signatures.
    pub signatures: SignatureSet,
}

impl Envelope {
    /// An unsigned document.
    ///
    /// # Errors
    /// [`Fault::Malformed`] when the metadata cannot be written as JSON.
    pub fn new<T: Metadata>(signed: &T) -> Result<Self, Fault> {
        let signed = serde_json::to_value(signed).map_err(|error| Fault::Malformed(error.to_string()))?;
        Ok(Self { signatures: Vec::new(), signed })
    }

    /// Parses a document of any role.
    ///
    /// # Errors
    /// [`Fault::Malformed`] for anything but an envelope in which each key id signs once.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let envelope: Self =
            serde_json::from_slice(bytes).map_err(|error| Fault::Malformed(error.to_string()))?;
        if envelope.signatures.len() > SIGNATURES_MAX {
            return Err(Fault::Malformed(format!("more than {SIGNATURES_MAX} signatures")));
        }
        let mut ids = BTreeSet::new();
        match envelope.signatures.iter().find(|entry| !ids.insert(&entry.keyid)) {
            Some(entry) => Err(Fault::Malformed(format!("key id {} signs twice", entry.keyid))),
            None => Ok(envelope),
        }
    }

    /// The bytes to sign.
    ///
    /// # Errors
    /// [`Fault::Canonical`].
    pub fn message(&self) -> Result<Vec<u8>, Fault> {
        Ok(canonical(&self.signed)?)
    }

    /// Signs it too: a document gathers signatures one after another. A second one by the same key replaces the
    /// first.
    ///
    /// # Errors
    /// [`Fault::Canonical`] or [`Fault::Sign`].
    pub fn sign(&mut self, signer: &dyn Sign) -> Result<(), Fault> {
        let keyid = Key::of(signer.public_key()).id()?;
        let sig = hex_encode(&signer.sign(&self.message()?)?);
        self.signatures.retain(|entry| entry.keyid != keyid);
        self.signatures.push(SignatureEntry { keyid, sig });
        Ok(())
    }

    /// The document as a file.
    ///
    /// # Errors
    /// [`Fault::Malformed`], which no value that was parsed can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Fault> {
        serde_json::to_vec_pretty(self).map_err(|error| Fault::Malformed(error.to_string()))
    }

    /// Reads the document as metadata of one role of our own repository.
    ///
    /// # Errors
    /// [`Fault::Malformed`] or [`Fault::Canonical`].
    pub fn document<T: Metadata>(self) -> Result<Document<T>, Fault> {
        self.document_as(Profile::Own)
    }

    fn document_as<T: Metadata>(self, profile: Profile) -> Result<Document<T>, Fault> {
        let message = self.message()?;
        let signed: T =
            serde_json::from_value(self.signed).map_err(|error| Fault::Malformed(error.to_string()))?;
        signed.check(profile).map_err(Fault::Malformed)?;
        Ok(Document { signed, signatures: SignatureSet { message, signatures: self.signatures, profile } })
    }
}

impl<T: Metadata> Document<T> {
    /// Parses a file as metadata of one role of our own repository.
    ///
    /// # Errors
    /// [`Fault::Malformed`] or [`Fault::Canonical`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        Self::parse_as(bytes, Profile::Own)
    }

    /// Parses a file as metadata of one role of such a repository.
    ///
    /// # Errors
    /// [`Fault::Malformed`] or [`Fault::Canonical`].
    pub fn parse_as(bytes: &[u8], profile: Profile) -> Result<Self, Fault> {
        Envelope::parse(bytes)?.document_as(profile)
    }

    /// Checks that the threshold of this role's keys in `root` signed it.
    ///
    /// # Errors
    /// [`Fault::Signatures`].
    pub fn verify_by(&self, root: &Root) -> Result<(), Fault> {
        self.signatures
            .threshold_check(root.roles.of(T::ROLE), &root.keys, || format!("root {}", root.version))
    }
}

impl SignatureSet {
    /// How many distinct public keys of the role signed the message.
    #[must_use]
    pub fn count(&self, role: &RoleKeys, keys: &BTreeMap<String, Key>) -> u64 {
        let ids: BTreeSet<&String> = role.keyids.iter().collect();
        let valid: BTreeSet<Vec<u8>> = self
            .signatures
            .iter()
            .filter(|entry| ids.contains(&entry.keyid))
            .filter_map(|entry| self.profile.verify(keys.get(&entry.keyid)?, &self.message, &entry.sig))
            .collect();
        valid.len() as u64
    }

    /// Checks the threshold of a role, top-level or delegated.
    ///
    /// # Errors
    /// [`Fault::Signatures`], whose `by` is given.
    pub fn threshold_check(
        &self,
        role: &RoleKeys,
        keys: &BTreeMap<String, Key>,
        by: impl FnOnce() -> String,
    ) -> Result<(), Fault> {
        let (valid, threshold) = (self.count(role, keys), role.threshold);
        if threshold > 0 && valid >= threshold {
            return Ok(());
        }
        Err(Fault::Signatures { valid, threshold, by: by() })
    }
}

/// Checks that a root is signed by its own threshold (§5.2: the root one starts from).
///
/// # Errors
/// [`Fault::Signatures`] under §5.2.
pub fn root_self_signed(root: &Document<Root>) -> Result<(), TufError> {
    root.verify_by(&root.signed).map_err(|fault| TufError::new(Role::Root, root.signed.version, "5.2", fault))
}

/// Checks that `next` may take the place of `trusted`: signed by both thresholds (§5.3.4), its version the next (§5.3.5).
///
/// # Errors
/// [`Fault::Signatures`] or [`Fault::Version`], [`Fault::Rollback`] for a version below the trusted one.
pub fn root_follows(next: &Document<Root>, trusted: &Root) -> Result<(), TufError> {
    let refuse = |rule, fault| TufError::new(Role::Root, next.signed.version, rule, fault);
    next.verify_by(trusted).map_err(|fault| refuse("5.3.4", fault))?;
    next.verify_by(&next.signed).map_err(|fault| refuse("5.3.4", fault))?;
    let (offered, held) = (next.signed.version, trusted.version);
    if offered < held {
        let file = Role::Root.file_name().into();
        return Err(refuse("5.3.5", Fault::Rollback { file, offered, trusted: held }));
    }
    match held.checked_add(1) {
        Some(expected) if offered == expected => Ok(()),
        expected => Err(refuse("5.3.5", Fault::Version { expected: expected.unwrap_or(held) })),
    }
}
