//! The two base64 alphabets of the formats, decoded strictly: one text for one value.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// base64url without padding (RFC 7515 §2).
pub(crate) fn url_encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The inverse of [`url_encode`]; padding, other alphabets and stray bits are refused.
pub(crate) fn url_decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// base64url of exactly `N` bytes.
pub(crate) fn url_decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    url_decode(text)?.try_into().ok()
}

/// base64 with padding (RFC 8941 byte sequences, our own JSON).
pub(crate) fn standard_encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The inverse of [`standard_encode`].
pub(crate) fn standard_decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Serde form of bytes as padded base64 text.
pub(crate) mod standard {
    use alloc::string::String;
    use alloc::vec::Vec;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer, B: AsRef<[u8]>>(bytes: &B, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::standard_encode(bytes.as_ref()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, B: TryFrom<Vec<u8>>>(
        from: D,
    ) -> Result<B, D::Error> {
        let text = String::deserialize(from)?;
        let bytes =
            super::standard_decode(&text).ok_or_else(|| D::Error::custom("not base64 with padding"))?;
        B::try_from(bytes).map_err(|_| D::Error::custom("base64 of another length than expected"))
    }
}
