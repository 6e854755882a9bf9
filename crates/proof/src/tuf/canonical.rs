//! OLPC canonical JSON, the form TUF signs: keys in byte order, no white space, `\"` and `\\` the only escapes.
//!
//! Never writes a float: their text differs between implementations, so a document with one is refused.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Objects and arrays nested deeper than this are refused. serde_json itself stops at 128.
const DEPTH_MAX: u32 = 128;

/// Why a value has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// A number is not a whole one.
    #[error("a number is not a whole one; canonical JSON has no fractions")]
    Float,
    /// Nested too deeply.
    #[error("nested more than {DEPTH_MAX} deep")]
    Depth,
}

/// The canonical bytes of a value.
///
/// # Errors
/// [`CanonicalError`] when a number is no integer or the nesting is too deep.
pub fn canonical(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::new();
    write(value, DEPTH_MAX, &mut out)?;
    Ok(out)
}

/// The canonical bytes of an object, as [`canonical`].
///
/// # Errors
/// As [`canonical`].
pub(super) fn canonical_object(object: &Map<String, Value>) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::new();
    write_object(object, DEPTH_MAX, &mut out)?;
    Ok(out)
}

/// SHA-256 of some bytes, in lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex_encode(&Sha256::digest(bytes))
}

/// Lower-case hex.
#[must_use]
pub fn hex_encode(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The `N` bytes some hex stands for; nothing when its length or a letter is wrong.
#[must_use]
pub fn hex_decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex_bytes(text)?.try_into().ok()
}

/// The bytes some hex stands for, of any length.
pub(super) fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |letter: u8| char::from(letter).to_digit(16).and_then(|value| u8::try_from(value).ok());
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect()
}

fn write(value: &Value, depth: u32, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            out.extend_from_slice(alloc::string::ToString::to_string(number).as_bytes());
        }
        Value::Number(_) => return Err(CanonicalError::Float),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            let depth = depth.checked_sub(1).ok_or(CanonicalError::Depth)?;
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, depth, out)?;
            }
            out.push(b']');
        }
        Value::Object(object) => write_object(object, depth, out)?,
    }
    Ok(())
}

fn write_object(object: &Map<String, Value>, depth: u32, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    let depth = depth.checked_sub(1).ok_or(CanonicalError::Depth)?;
    // Sorted here, since serde_json keeps another order when any crate asks for `preserve_order`.
    let mut members: Vec<(&String, &Value)> = object.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    out.push(b'{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write(value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn canonical_rows() {
        let rows = [
            (json!({"b": 1, "a": [true, false, null]}), r#"{"a":[true,false,null],"b":1}"#),
            (json!({"é": "\n\"\\", "Z": -5, "a": {}}), "{\"Z\":-5,\"a\":{},\"é\":\"\n\\\"\\\\\"}"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!([]), "[]"),
        ];
        for (value, expected) in rows {
            assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn floats_are_refused() {
        for text in ["1.0", "{\"a\":[1e3]}", "-0", "18446744073709551616"] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(canonical(&value), Err(CanonicalError::Float), "{text}");
        }
    }

    #[test]
    fn hex_rows() {
        assert_eq!(hex_encode(&[0, 15, 255]), "000fff");
        assert_eq!(hex_decode::<3>("000fFF"), Some([0, 15, 255]));
        for wrong in ["", "0", "000ff", "000fffff", "zz0fff", "00 fff"] {
            assert_eq!(hex_decode::<3>(wrong), None, "{wrong}");
        }
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
