//! The SHA-256 values of the log: leaves, inner nodes, roots.
//!
//! Never says where a hash belongs: that is the business of [`crate::tree`].

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of one hash.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 value. Written as 64 lower-case hexadecimal digits, in JSON too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; HASH_BYTES]);

impl Hash {
    /// The value with these bytes.
    pub const fn new(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the value.
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

/// Why a text or a byte string is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Not 64 characters (text) or 32 bytes (binary).
    #[error("a hash has {expected} {unit}, this one has {found}")]
    Length {
        /// What a hash has.
        expected: usize,
        /// What was given.
        found: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// A character that is not a lower-case hexadecimal digit.
    #[error("a hash is written in lower-case hexadecimal digits, the one at place {at} is not")]
    Digit {
        /// Place of the first wrong character, from 0.
        at: usize,
    },
}

impl From<[u8; HASH_BYTES]> for Hash {
    fn from(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = HashError;
    fn try_from(bytes: &[u8]) -> Result<Self, HashError> {
        match bytes.try_into() {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => Err(HashError::Length { expected: HASH_BYTES, found: bytes.len(), unit: "bytes" }),
        }
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = HashError;
    fn from_str(text: &str) -> Result<Self, HashError> {
        let digits = text.as_bytes();
        if digits.len() != 2 * HASH_BYTES {
            return Err(HashError::Length { expected: 2 * HASH_BYTES, found: digits.len(), unit: "digits" });
        }
        let mut bytes = [0; HASH_BYTES];
        for (at, digit) in digits.iter().enumerate() {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(HashError::Digit { at }),
            };
            if let Some(byte) = bytes.get_mut(at / 2) {
                *byte = (*byte << 4) | value;
            }
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_and_back() {
        let hash = Hash::new(core::array::from_fn(|i| (i * 9) as u8));
        assert_eq!(hash.to_string().parse(), Ok(hash));
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
    }

    #[test]
    fn refuses() {
        let check = |text: &str, error| assert_eq!(text.parse::<Hash>(), Err(error), "{text}");
        check("", HashError::Length { expected: 64, found: 0, unit: "digits" });
        check(&"0".repeat(63), HashError::Length { expected: 64, found: 63, unit: "digits" });
        check(&("0".repeat(62) + "0A"), HashError::Digit { at: 63 });
        check(&("é".to_string() + &"0".repeat(62)), HashError::Digit { at: 0 });
        assert!(Hash::try_from(&[0u8; 31][..]).is_err());
    }
}
