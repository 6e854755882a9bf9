//! The names things go by: instance, rollout, provider, domain, digest. Each is parsed once; holding one is the proof.
//!
//! Never makes one up: fresh ids arrive as arguments.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::text::{excerpt, text_serde};

/// Why a text is not the name it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no {what}: {rule}")]
pub struct IdError {
    what: &'static str,
    found: String,
    rule: &'static str,
}

fn refuse<T>(what: &'static str, rule: &'static str, text: &str) -> Result<T, IdError> {
    Err(IdError { what, found: excerpt(text), rule })
}

/// An instance's id: a UUID v4, never reused (ID-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(Uuid);

/// A rollout's id: a UUID v4; with an instance's id it decides who is first (RO-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RolloutId(Uuid);

impl RolloutId {
    /// The id of the rollout of a release: it follows from what the Organism signed, so that nobody who governs can
    /// choose it until the canary holds whom he wants (RO-2).
    #[must_use]
    pub fn of_release(signed: Digest) -> Self {
        let digest = Digest::of_parts(&[b"fedplane-rollout-v1\n", signed.as_bytes()]);
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        Self::from_random(bytes)
    }
}

macro_rules! uuid_v4 {
    ($($name:ident = $what:literal),+) => {$(
        impl $name {
            /// Takes 16 random bytes and makes them a UUID v4.
            #[must_use]
            pub const fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }
            /// Its 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                match Uuid::try_parse(text) {
                    // One spelling only: lower case, hyphens.
                    Ok(id) if id.get_version_num() == 4 && id.hyphenated().to_string() == text => Ok(Self(id)),
                    _ => refuse($what, "a UUID v4 in lower case with hyphens", text),
                }
            }
        }
    )+};
}
uuid_v4!(InstanceId = "instance id", RolloutId = "rollout id");

macro_rules! name {
    ($(#[$meta:meta])* $name:ident = $what:literal, $rule:literal, $valid:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Its text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_string())) } else { refuse($what, $rule, text) }
            }
        }
        text_serde!($name);
    };
}

/// Lower-case letters, digits and single hyphens between them.
fn is_slug(text: &str, max: usize) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= max
        && edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

name!(
    /// A provider of white-label or dedicated instances (ID-3).
    ProviderId = "provider", "1 to 64 of a-z, 0-9 and inner hyphens", |text| is_slug(text, 64)
);
name!(
    /// A domain module's code: two to eight capital letters, as in the Organism's catalogue (EN-1).
    DomainCode = "domain code", "two to eight capital letters A-Z",
    |text| (2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase())
);
name!(
    /// The name of the federation in SPIFFE ids (ID-1): lower-case letters, digits, dots, hyphens.
    TrustDomain = "trust domain", "1 to 255 of a-z, 0-9, dot and hyphen, each label as in DNS",
    |text| text.len() <= 255 && text.split('.').all(|label| is_slug(label, 63))
);
name!(
    /// An operator's name, as in the certificate.
    OperatorName = "operator name", "1 to 64 of a-z, 0-9 and inner hyphens", |text| is_slug(text, 64)
);
name!(
    /// A label an operator gives an instance, to restrict rollouts by (RO-6).
    Label = "label", "1 to 64 of a-z, 0-9 and inner hyphens", |text| is_slug(text, 64)
);
name!(
    /// Where an instance can be reached for the compliance challenge (ID-2): an `https` URL.
    Endpoint = "handshake endpoint", "an https URL with a host, without user, query or fragment, at most 255 characters",
    |text| text.len() <= 255 && text.strip_prefix("https://").is_some_and(is_authority_and_path)
);

/// A host, perhaps a port, perhaps a path; nothing a caller could be tricked by.
fn is_authority_and_path(rest: &str) -> bool {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once(':').map_or(authority, |(host, port)| {
        if port.parse::<u16>().is_ok() || authority.ends_with(']') { host } else { "" }
    });
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !b"@?#\\\"<>".contains(&b));
    !host.is_empty() && plain(authority) && plain(path)
}

/// A SHA-256 digest. Text: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of several parts, one behind the other.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// A digest from its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let parse = || {
            let mut bytes = [0; 32];
            if text.len() != 64 {
                return None;
            }
            for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                let [high, low] = pair else { return None };
                *byte = nibble(*high)? << 4 | nibble(*low)?;
            }
            Some(Self(bytes))
        };
        parse().map_or_else(|| refuse("SHA-256 digest", "64 lower-case hexadecimal digits", text), Ok)
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// An instance's Ed25519 public key as it stands on the record. Text: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey(Digest);

impl InstanceKey {
    /// A key from its 32 bytes; whether they are a point of the curve is the verifier's business.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Digest(bytes))
    }
    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for InstanceKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

text_serde!(InstanceId, RolloutId, Digest, InstanceKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_1_an_instance_id_is_a_uuid_v4_in_one_spelling() {
        let id = InstanceId::from_random([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<InstanceId>().is_err());
        assert!("00000000-0000-1000-8000-000000000000".parse::<InstanceId>().is_err(), "v1");
        assert!(id.to_string().replace('-', "").parse::<InstanceId>().is_err());
    }

    #[test]
    fn id_2_an_endpoint_is_a_plain_https_url() {
        for (text, good) in [
            ("https://a.example:8443", true),
            ("https://127.0.0.1:9/handshake", true),
            ("https://[::1]:8443/x", true),
            ("http://a.example", false),
            ("https://", false),
            ("https://user@host", false),
            ("https://host:port", false),
            ("https://host/?q", false),
            ("https://host/ x", false),
        ] {
            assert_eq!(text.parse::<Endpoint>().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn names_and_digests_have_one_form() {
        assert!("COM".parse::<DomainCode>().is_ok());
        for bad in ["C", "com", "TOOLONGCODE", "C0M", ""] {
            assert!(bad.parse::<DomainCode>().is_err(), "{bad}");
        }
        for bad in ["", "-a", "a-", "A", "a_b"] {
            assert!(bad.parse::<ProviderId>().is_err(), "{bad}");
        }
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
    }
}
