//! The mark of where an instance stands: two standings with the same mark say the same, their times and the wait apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The mark of a standing: 32 hexadecimal digits, without meaning for whoever repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark(u128);

/// What is no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mark has 32 hexadecimal digits in lower case: repeat the one of the last standing")]
pub struct MarkError;

impl Mark {
    /// The mark of a record of this revision, read under the law with this digest.
    #[must_use]
    pub fn new(revision: u64, law: Option<&[u8; 32]>) -> Self {
        let mut half = [0; 8];
        half.iter_mut().zip(law.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        Self(u128::from(revision) << 64 | u128::from(u64::from_be_bytes(half)))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Mark {
    type Err = MarkError;
    fn from_str(text: &str) -> Result<Self, MarkError> {
        let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(lower) {
            return Err(MarkError);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| MarkError)
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_written_one_way_and_read_back() {
        let mark = Mark::new(7, Some(&[0xab; 32]));
        assert_eq!(mark.to_string(), "0000000000000007abababababababab");
        assert_eq!(mark.to_string().parse(), Ok(mark));
        assert_ne!(Mark::new(7, None), mark);
        assert_ne!(Mark::new(8, Some(&[0xab; 32])), mark);
        for text in ["", "7", "0000000000000007ABABABABABABABAB", "+000000000000007abababababababab"] {
            assert_eq!(text.parse::<Mark>(), Err(MarkError), "{text}");
        }
        assert_eq!(serde_json::from_str::<Mark>(&serde_json::to_string(&mark).unwrap()).unwrap(), mark);
    }
}
