//! What a client asks of a repository: ours, with its narrow habits, or any that follows the specification.
//!
//! Nothing of the workflow differs between the two; only which keys can verify, what a key id covers, and whether
//! delegations are followed.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::canonical::{hex_bytes, hex_decode};
use super::schema::Key;

/// Verifies signatures of key types that this crate does not know.
pub trait VerifyKey: Sync {
    /// The bytes that make the public key what it is, when the signature over the message holds; nothing when it does
    /// not, or when the key is of a type or scheme unknown here. Two keys of the same bytes count once.
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Option<Vec<u8>>;
}

/// The repositories whose metadata is believed.
#[derive(Clone, Copy, Default)]
pub enum Profile {
    /// Our own: Ed25519 alone, and a key id is the hash of the key's three members.
    #[default]
    Own,
    /// Any: other key types through the verifier, and a key id may cover unknown members too, as §4.2.1 has it and most
    /// writers do; some hash the three members all the same.
    Any(&'static dyn VerifyKey),
}

impl Profile {
    /// What identifies the key, when its signature over the message holds.
    pub(super) fn verify(self, key: &Key, message: &[u8], signature: &str) -> Option<Vec<u8>> {
        if let Some(public) = key.public() {
            let holds = public.verify(message, &hex_decode(signature)?).is_ok();
            return holds.then(|| public.as_bytes().to_vec());
        }
        match self {
            Self::Own => None,
            Self::Any(others) => others.verify(key, message, &hex_bytes(signature)?),
        }
    }

    /// Whether these keys bear their own ids (§4.3: clients must calculate each).
    pub(super) fn keys_check(self, keys: &BTreeMap<String, Key>) -> Result<(), String> {
        for (id, key) in keys {
            let three = key.id().map_err(|error| error.to_string())?;
            let all = key.id_of_all().map_err(|error| error.to_string())?;
            if three != *id && (self == Self::Own || all != *id) {
                return Err(alloc::format!("key id {id} is not the hash of its key"));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "Own",
            Self::Any(_) => "Any",
        })
    }
}

impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Own, Self::Own) | (Self::Any(_), Self::Any(_)))
    }
}

impl Eq for Profile {}
