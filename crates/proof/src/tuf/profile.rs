//! What a client asks of a repository: ours, with its narrow habits, or any that follows the specification.
//!
//! Nothing of the workflow differs between the two; only which keys can verify and how key ids are made.

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
    /// Our own: Ed25519 alone, and a key id is the hash of its key.
    #[default]
    Own,
    /// Any: other key types through the verifier, and key ids are names. The specification would have them hashed, yet
    /// writers disagree about which members are hashed; what a threshold counts are keys, so nothing rests on it.
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

    /// Whether these keys may bear these ids.
    pub(super) fn keys_check(self, keys: &BTreeMap<String, Key>) -> Result<(), String> {
        if let Self::Any(_) = self {
            return Ok(());
        }
        for (id, key) in keys {
            if key.id().map_err(|error| error.to_string())? != *id {
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
