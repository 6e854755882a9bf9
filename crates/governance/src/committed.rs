//! What the record commits to without showing it: personal and commercial values stand in the ledger as salted digests, and are
//! disclosed to those entitled (LG-1).
//!
//! Never makes a salt up: fresh ones arrive as arguments. Two commitments are equal when their digests are, known or not.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::Digest;
use crate::text::text_serde;

/// What the digest is taken over begins with this, so that it passes for nothing else.
pub const COMMITMENT_PREFIX: &[u8] = b"fedplane-committed-v1\n";

/// 16 random bytes, so that nobody finds a value by guessing it. Text: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 16]);

impl Salt {
    /// The salt of these random bytes.
    #[must_use]
    pub const fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt")
    }
}

impl FromStr for Salt {
    type Err = OpeningError;
    fn from_str(text: &str) -> Result<Self, OpeningError> {
        let plain = text.len() == 32 && text.bytes().all(|digit| b"0123456789abcdef".contains(&digit));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| plain);
        number.map(|number| Self(number.to_be_bytes())).ok_or(OpeningError::Salt)
    }
}

text_serde!(Salt);

/// A value of which the ledger shows the digest alone.
#[derive(Clone, Debug)]
pub struct Committed<T> {
    digest: Digest,
    opened: Option<(Salt, T)>,
}

/// What opens a commitment: SHA-256 of [`COMMITMENT_PREFIX`], the salt and the value in compact JSON is its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The commitment that it opens.
    pub committed: Digest,
    /// The salt.
    pub salt: Salt,
    /// The value.
    pub value: serde_json::Value,
}

/// Why something opens no commitment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// Not a salt.
    #[error("a salt is 32 lower-case hexadecimal digits")]
    Salt,
    /// Not such a value.
    #[error("what is disclosed is no such value: {0}")]
    Value(String),
    /// Another value than the one committed to.
    #[error("what is disclosed is not what the record committed to")]
    Other,
}

impl<T: Serialize> Committed<T> {
    /// Commits to a value.
    #[must_use]
    pub fn new(salt: Salt, value: T) -> Self {
        Self { digest: digest(salt, &value), opened: Some((salt, value)) }
    }

    /// What opens it, where that is known.
    #[must_use]
    pub fn opening(&self) -> Option<Opening> {
        let (salt, value) = self.opened.as_ref()?;
        let value = serde_json::to_value(value).ok()?;
        Some(Opening { committed: self.digest, salt: *salt, value })
    }
}

impl<T> Committed<T> {
    /// The value, where it is known.
    #[must_use]
    pub const fn value(&self) -> Option<&T> {
        match &self.opened {
            Some((_, value)) => Some(value),
            None => None,
        }
    }

    /// What the ledger shows.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl<T: Serialize + DeserializeOwned> Committed<T> {
    /// Opens it.
    ///
    /// # Errors
    /// When the opening is of another value.
    pub fn open(&mut self, opening: &Opening) -> Result<(), OpeningError> {
        let value = serde_json::from_value(opening.value.clone());
        let value: T = value.map_err(|error| OpeningError::Value(alloc::format!("{error}")))?;
        if digest(opening.salt, &value) != self.digest {
            return Err(OpeningError::Other);
        }
        self.opened = Some((opening.salt, value));
        Ok(())
    }
}

/// A value without a JSON form, which none of those committed to is, opens by nothing.
fn digest<T: Serialize>(salt: Salt, value: &T) -> Digest {
    let value = serde_json::to_vec(value).unwrap_or_default();
    Digest::of_parts(&[COMMITMENT_PREFIX, &salt.0, &value])
}

impl<T> PartialEq for Committed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl<T> Eq for Committed<T> {}

/// As it stands in the ledger.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    committed: Digest,
}

impl<T> Serialize for Committed<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Shown { committed: self.digest }.serialize(to)
    }
}

impl<'de, T> Deserialize<'de> for Committed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Shown::deserialize(from).map(|shown| Self { digest: shown.committed, opened: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Endpoint;

    #[test]
    fn lg_1_a_commitment_shows_its_digest_alone_and_opens_by_its_salt_and_value() {
        let endpoint: Endpoint = "https://a.example:8446".parse().unwrap();
        let salt = |byte| Salt::from_random([byte; 16]);
        let made = Committed::new(salt(1), endpoint.clone());
        // As the page on the ledger says that it is computed.
        let by_hand: &[&[u8]] = &[b"fedplane-committed-v1\n", &[1; 16], b"\"https://a.example:8446\""];
        assert_eq!(made.digest(), Digest::of_parts(by_hand));
        assert_ne!(made, Committed::new(salt(2), endpoint.clone()), "the same value, and nobody can tell");
        let text = serde_json::to_string(&made).unwrap();
        assert_eq!(text, alloc::format!("{{\"committed\":\"{}\"}}", made.digest()));
        let mut read: Committed<Endpoint> = serde_json::from_str(&text).unwrap();
        assert_eq!((read.value(), &read), (None, &made));
        let opening = made.opening().unwrap();
        let told = serde_json::to_string(&opening).unwrap();
        assert_eq!(serde_json::from_str::<Opening>(&told).unwrap(), opening);
        for (changed, error) in [
            (Opening { salt: salt(2), ..opening.clone() }, OpeningError::Other),
            (Opening { value: "https://b.example".into(), ..opening.clone() }, OpeningError::Other),
        ] {
            assert_eq!(read.open(&changed), Err(error));
        }
        let number = Opening { value: 1.into(), ..opening.clone() };
        assert!(matches!(read.open(&number), Err(OpeningError::Value(_))));
        assert_eq!(read.open(&opening), Ok(()));
        assert_eq!(read.value(), Some(&endpoint));
        for text in ["", "0", "+0000000000000000000000000000000", "0000000000000000000000000000000G"] {
            assert_eq!(text.parse::<Salt>(), Err(OpeningError::Salt), "{text}");
        }
    }
}
