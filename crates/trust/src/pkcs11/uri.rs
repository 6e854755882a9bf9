//! Names of keys in tokens: PKCS #11 URIs (RFC 7512).
//!
//! Never holds a PIN: a URI stands in settings, process lists and logs. Refuses what it does not understand, as §2.5 of
//! the RFC has it: a key that was meant more narrowly is not the key.

use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What such a name begins with.
pub const SCHEME: &str = "pkcs11:";
/// The longest URI, in bytes.
pub const URI_BYTES_MAX: usize = 2048;
/// The longest value, in bytes, decoded.
pub const VALUE_BYTES_MAX: usize = 256;
/// The attribute with which other programs take the PIN itself.
const PIN_VALUE: &str = "pin-value";
/// The attributes that are understood.
const KNOWN: &str =
    "token, manufacturer, serial, model, slot-id, object, id, type=private, and ?module-path, pin-source";

/// Why a text names no key in a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another scheme, or none.
    #[error(
        "not a PKCS #11 URI: it begins with `{SCHEME}`, as pkcs11:token=fed;object=ledger?module-path=/usr/lib/…"
    )]
    Scheme,
    /// Longer than [`URI_BYTES_MAX`].
    #[error("a PKCS #11 URI of {0} bytes: at most {URI_BYTES_MAX}")]
    TooLong(usize),
    /// Not `name=value`.
    #[error("`{0}` in a PKCS #11 URI is not NAME=VALUE; the path's parts end with `;`, the query's with `&`")]
    Form(String),
    /// An attribute that would narrow the choice in a way nobody here checks.
    #[error("the attribute `{0}` of a PKCS #11 URI is not understood here; leave it out, or use {KNOWN}")]
    Unknown(String),
    /// One attribute twice.
    #[error("the attribute `{0}` stands in the PKCS #11 URI twice")]
    Twice(&'static str),
    /// The PIN itself.
    #[error(
        "a PIN does not belong into a PKCS #11 URI, where others see it: put it into a file of mode 0600 and write pin-source=FILE"
    )]
    PinValue,
    /// A value that cannot be.
    #[error("the attribute `{attribute}` of the PKCS #11 URI: {rule}")]
    Value {
        /// Which.
        attribute: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

/// A key in a token, by name. Every attribute that is there must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pkcs11Uri {
    /// Which token, and by which module it is reached.
    pub token: TokenName,
    /// The object's label.
    pub object: Option<String>,
    /// The object's id.
    pub id: Option<Vec<u8>>,
    /// The file with the PIN: an absolute path, or `$CREDENTIALS_DIRECTORY/NAME`.
    pub pin_source: Option<PathBuf>,
}

/// Which token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenName {
    /// The library that speaks to it: an absolute path.
    pub module_path: Option<PathBuf>,
    /// Its label.
    pub token: Option<String>,
    /// Who made it.
    pub manufacturer: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// The slot it is in.
    pub slot_id: Option<u64>,
}

impl Pkcs11Uri {
    /// The same token with this object.
    #[must_use]
    pub fn with_object(&self, object: &str) -> Self {
        Self { object: Some(object.to_owned()), ..self.clone() }
    }

    fn set(&mut self, query: bool, name: &str, value: Vec<u8>) -> Result<(), UriError> {
        match (query, name) {
            (false, "token") => put_text(&mut self.token.token, "token", value),
            (false, "manufacturer") => put_text(&mut self.token.manufacturer, "manufacturer", value),
            (false, "serial") => put_text(&mut self.token.serial, "serial", value),
            (false, "model") => put_text(&mut self.token.model, "model", value),
            (false, "object") => put_text(&mut self.object, "object", value),
            (false, "slot-id") => put(&mut self.token.slot_id, "slot-id", number(&text("slot-id", value)?)?),
            (false, "id") => match value.is_empty() {
                true => Err(UriError::Value { attribute: "id", rule: "empty" }),
                false => put(&mut self.id, "id", value),
            },
            (true, "module-path") => {
                let path = absolute("module-path", text("module-path", value)?)?;
                put(&mut self.token.module_path, "module-path", path)
            }
            (true, "pin-source") => put(&mut self.pin_source, "pin-source", pin_source(value)?),
            (_, other) => Err(UriError::Unknown(other.chars().take(64).collect())),
        }
    }
}

fn put<T>(place: &mut Option<T>, attribute: &'static str, value: T) -> Result<(), UriError> {
    if place.is_some() {
        return Err(UriError::Twice(attribute));
    }
    *place = Some(value);
    Ok(())
}

fn put_text(place: &mut Option<String>, attribute: &'static str, value: Vec<u8>) -> Result<(), UriError> {
    let value = text(attribute, value)?;
    put(place, attribute, value)
}

/// Text that can stand in a message.
fn text(attribute: &'static str, value: Vec<u8>) -> Result<String, UriError> {
    let fail = |rule| UriError::Value { attribute, rule };
    let value = String::from_utf8(value).map_err(|_| fail("not UTF-8"))?;
    match value.chars().any(char::is_control) {
        true => Err(fail("a control character")),
        false if value.is_empty() => Err(fail("empty")),
        false => Ok(value),
    }
}

fn number(value: &str) -> Result<u64, UriError> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number.ok_or(UriError::Value { attribute: "slot-id", rule: "write a decimal number" })
}

fn absolute(attribute: &'static str, path: String) -> Result<PathBuf, UriError> {
    match Path::new(&path).is_absolute() {
        true => Ok(path.into()),
        false => Err(UriError::Value { attribute, rule: "write an absolute path" }),
    }
}

/// A path, or a `file:` URI of one (RFC 8089). Commands, which the RFC lets begin with `|`, are not run.
fn pin_source(value: Vec<u8>) -> Result<PathBuf, UriError> {
    let value = text("pin-source", value)?;
    if value.starts_with("$CREDENTIALS_DIRECTORY/") {
        return Ok(value.into());
    }
    let path = value.strip_prefix("file://").or_else(|| value.strip_prefix("file:")).unwrap_or(&value);
    if path.starts_with('/') {
        return Ok(path.into());
    }
    let rule = "write the absolute path of a file of mode 0600, or $CREDENTIALS_DIRECTORY/NAME";
    Err(UriError::Value { attribute: "pin-source", rule })
}

impl FromStr for Pkcs11Uri {
    type Err = UriError;
    fn from_str(uri: &str) -> Result<Self, UriError> {
        if uri.len() > URI_BYTES_MAX {
            return Err(UriError::TooLong(uri.len()));
        }
        let (scheme, rest) = uri.split_at_checked(SCHEME.len()).ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(UriError::Scheme);
        }
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let mut parsed = Self::default();
        let mut typed = None;
        let parts = path.split(';').map(|part| (false, part)).filter(|(_, part)| !part.is_empty());
        for (in_query, part) in
            parts.chain(query.into_iter().flat_map(|query| query.split('&')).map(|part| (true, part)))
        {
            let form = || UriError::Form(part.chars().take(64).collect());
            let (name, value) = part.split_once('=').ok_or_else(form)?;
            // Before anything else: no other refusal may show it.
            if name.eq_ignore_ascii_case(PIN_VALUE) {
                return Err(UriError::PinValue);
            }
            let value = decode(value, in_query).ok_or_else(form)?;
            if value.len() > VALUE_BYTES_MAX {
                return Err(form());
            }
            match (in_query, name) {
                (false, "type") if value == b"private" => put(&mut typed, "type", ())?,
                (false, "type") => {
                    return Err(UriError::Value { attribute: "type", rule: "a key that signs is `private`" });
                }
                _ => parsed.set(in_query, name, value)?,
            }
        }
        Ok(parsed)
    }
}

/// Percent-decodes a value; none where a character may not stand there as it is (§2.3).
fn decode(value: &str, in_query: bool) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else if may_stand(byte, in_query) {
            decoded.push(byte);
        } else {
            return None;
        }
    }
    Some(decoded)
}

/// Whether a byte may stand in a value as it is (§2.3: `pk11-pchar`, `pk11-qchar`).
fn may_stand(byte: u8, in_query: bool) -> bool {
    byte.is_ascii_alphanumeric()
        || b"-._~:[]@!$'()*+,=".contains(&byte)
        || if in_query { b"/?|".contains(&byte) } else { byte == b'&' }
}

/// A value as it stands in the path or the query.
struct Encoded<'a>(&'a [u8], bool);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes, in_query) = self;
        bytes.iter().try_for_each(|byte| match *byte {
            byte if may_stand(byte, *in_query) => f.write_char(char::from(byte)),
            byte => write!(f, "%{byte:02X}"),
        })
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TokenName { module_path, token, manufacturer, serial, model, slot_id } = &self.token;
        let slot_id = slot_id.map(|id| id.to_string());
        f.write_str(SCHEME)?;
        let mut before = "";
        for (name, value) in [
            ("token", token.as_deref()),
            ("manufacturer", manufacturer.as_deref()),
            ("serial", serial.as_deref()),
            ("model", model.as_deref()),
            ("slot-id", slot_id.as_deref()),
            ("object", self.object.as_deref()),
        ] {
            if let Some(value) = value {
                write!(f, "{before}{name}={}", Encoded(value.as_bytes(), false))?;
                before = ";";
            }
        }
        if let Some(id) = &self.id {
            write!(f, "{before}id={}", Encoded(id, false))?;
        }
        let mut before = "?";
        for (name, path) in [("module-path", module_path), ("pin-source", &self.pin_source)] {
            if let Some(path) = path {
                write!(f, "{before}{name}={}", Encoded(path.as_os_str().as_bytes(), true))?;
                before = "&";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "pkcs11:token=fed%20one;manufacturer=m;serial=0a;model=x;slot-id=7;object=ledger;id=%01%FF\
                        ?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/fedplane/pin";

    #[test]
    fn every_attribute_is_read_and_written() {
        let uri: Pkcs11Uri = FULL.parse().unwrap();
        assert_eq!(uri.token.token.as_deref(), Some("fed one"));
        assert_eq!((uri.token.slot_id, uri.id.as_deref()), (Some(7), Some([1, 0xff].as_slice())));
        assert_eq!(uri.to_string(), FULL);
        let other = uri.with_object("tokens").to_string();
        assert!(other.contains(";object=tokens;") && other.parse::<Pkcs11Uri>().is_ok(), "{other}");
        let same =
            |text: &str, shown: &str| assert_eq!(text.parse::<Pkcs11Uri>().unwrap().to_string(), shown);
        same("PKCS11:", "pkcs11:");
        same("pkcs11:object=a;type=private", "pkcs11:object=a");
        same("pkcs11:object=%61&b", "pkcs11:object=a&b");
        same("pkcs11:object=a%3Bb", "pkcs11:object=a%3Bb");
        same("pkcs11:?pin-source=file:///etc/pin", "pkcs11:?pin-source=/etc/pin");
        same("pkcs11:?pin-source=file:/etc/pin", "pkcs11:?pin-source=/etc/pin");
        same(
            "pkcs11:?pin-source=$CREDENTIALS_DIRECTORY/pin",
            "pkcs11:?pin-source=$CREDENTIALS_DIRECTORY/pin",
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let check = |uri: &str, word: &str| {
            let error = uri.parse::<Pkcs11Uri>().unwrap_err().to_string();
            assert!(error.contains(word), "{uri}: {error}");
        };
        check("ledger.key", "begins with");
        check("", "begins with");
        check("pkcs11:colour=red", "`colour`");
        check("pkcs11:x-vendor=1", "`x-vendor`");
        check("pkcs11:library-version=2", "`library-version`");
        check("pkcs11:?module-name=softhsm2", "`module-name`");
        check("pkcs11:?token=fed", "`token`");
        check("pkcs11:module-path=a", "`module-path`");
        check("pkcs11:token=a;token=a", "twice");
        check("pkcs11:type=private;type=private", "twice");
        check("pkcs11:type=public", "private");
        check("pkcs11:token", "NAME=VALUE");
        check("pkcs11:token=%", "NAME=VALUE");
        check("pkcs11:token=%zz", "NAME=VALUE");
        check("pkcs11:token=a b", "NAME=VALUE");
        check("pkcs11:token=a/b", "NAME=VALUE");
        check("pkcs11:object=a?", "NAME=VALUE");
        check("pkcs11:token=", "empty");
        check("pkcs11:id=", "empty");
        check("pkcs11:token=%0A", "control");
        check("pkcs11:token=%FF", "UTF-8");
        check("pkcs11:slot-id=-1", "decimal");
        check("pkcs11:slot-id=%2B1", "decimal");
        check("pkcs11:?module-path=libsofthsm2.so", "absolute");
        check("pkcs11:?pin-source=pin", "absolute");
        check("pkcs11:?pin-source=|cat%20pin", "absolute");
        for uri in
            ["?pin-value=1234", "?pin-value=12/%3", "?pin-value=12 34", "?PIN-Value=1234", "pin-value=1234"]
        {
            let error = format!("pkcs11:{uri}").parse::<Pkcs11Uri>().unwrap_err();
            assert_eq!(error, UriError::PinValue, "{uri}");
        }
        check(&format!("pkcs11:token={}", "a".repeat(VALUE_BYTES_MAX + 1)), "NAME=VALUE");
        check(&format!("pkcs11:token={}", "a".repeat(URI_BYTES_MAX)), "at most");
    }
}
