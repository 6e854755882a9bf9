//! Signed requests (HS-6): the signature base of RFC 9421 and the content digest of RFC 9530, for one profile only.
//!
//! Never decides whether a request is fresh or its nonce unspent: it says what was signed. Never accepts a base that
//! this profile would not have written, but for the order of its parameters.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use governance::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::encoding::{standard, standard_decode, standard_encode, url_decode_exact, url_encode};
use crate::key::{Checking, KeyId, PublicKey, Sign, SignError};

/// The label of the signature in the header fields.
pub const LABEL: &str = "sig1";
/// The longest signature base, in bytes.
pub const BASE_BYTES_MAX: usize = 8 * 1024;
/// The covered components, in their order, as they stand in `Signature-Input`.
const COVERED: &str = r#"("@method" "@authority" "@target-uri" "content-digest")"#;
/// What the signature is for.
const TAG: &str = "fedplane";
/// No instant has more digits than this, in seconds (the year 9999).
const CREATED_DIGITS_MAX: usize = 12;

/// How a request is signed (HS-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// With the instance's own key: it can stand as proof.
    Ed25519,
    /// Under the key of the channel: it proves something to the other end of the connection alone, and costs a thirtieth.
    HmacSha256,
}

impl Algorithm {
    /// Its name (RFC 9421 §6.2.2).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::HmacSha256 => "hmac-sha256",
        }
    }
}

/// Why a request is not what was signed, or was signed outside the profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request cannot be written down in the profile.
    #[error("the request's {what} `{found}` cannot be signed: {rule}")]
    Unsignable {
        /// Which part.
        what: &'static str,
        /// The part, shortened.
        found: String,
        /// What it must be.
        rule: &'static str,
    },
    /// The signature base deviates from the profile.
    #[error("the signature base deviates from the profile at {0}")]
    Base(&'static str),
    /// Longer than [`BASE_BYTES_MAX`].
    #[error("the signature base has {0} bytes: at most {BASE_BYTES_MAX}")]
    TooLarge(usize),
    /// Signed by another key.
    #[error("the request is signed with the key {found}, not with {expected}")]
    OtherKey {
        /// The `keyid` it names.
        found: KeyId,
        /// The key it had to be.
        expected: KeyId,
    },
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The signature does not fit.
    #[error("the request's signature does not verify")]
    Signature,
    /// Signed in the other of the two ways.
    #[error("the request is signed with `{}`, which is not accepted here", .0.as_str())]
    Algorithm(Algorithm),
    /// The body is not the one that was signed.
    #[error("the body's SHA-256 is not the one in content-digest")]
    Digest,
}

/// The parts of a request that are signed.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// Host and port as the client addresses them: lower case, without the default port 443.
    pub authority: &'a str,
    /// Path and query, beginning with `/`.
    pub path_and_query: &'a str,
    /// SHA-256 of the body, of an empty one too.
    pub digest: Digest,
    /// When it was signed; whole seconds are kept.
    pub created: Timestamp,
    /// Sixteen random bytes.
    pub nonce: [u8; 16],
}

impl RequestHead<'_> {
    /// The signature base (RFC 9421 §2.5) for a signature of this key, made in this way.
    ///
    /// # Errors
    /// When a part is not in the form the profile writes.
    pub fn base(&self, key: KeyId, algorithm: Algorithm) -> Result<String, RequestError> {
        check("method", self.method, "1 to 16 capital letters", is_method)?;
        check("authority", self.authority, "host and port in lower case, without :443", is_authority)?;
        check(
            "path",
            self.path_and_query,
            "it begins with / and is printable ASCII without # or space",
            is_path,
        )?;
        let base = alloc::format!(
            "\"@method\": {}\n\"@authority\": {}\n\"@target-uri\": https://{}{}\n\"content-digest\": {}\n\"@signature-params\": {}",
            self.method,
            self.authority,
            self.authority,
            self.path_and_query,
            content_digest(&self.digest),
            self.params(key, algorithm),
        );
        if base.len() > BASE_BYTES_MAX { Err(RequestError::TooLarge(base.len())) } else { Ok(base) }
    }

    /// The signature parameters (RFC 9421 §2.3): the value of [`LABEL`] in `Signature-Input`.
    #[must_use]
    pub fn params(&self, key: KeyId, algorithm: Algorithm) -> String {
        let created = self.created.as_seconds();
        let nonce = url_encode(&self.nonce);
        let algorithm = algorithm.as_str();
        alloc::format!(
            "{COVERED};created={created};nonce=\"{nonce}\";keyid=\"{key}\";alg=\"{algorithm}\";tag=\"{TAG}\""
        )
    }
}

/// The value of the `Content-Digest` header field (RFC 9530).
#[must_use]
pub fn content_digest(digest: &Digest) -> String {
    alloc::format!("sha-256=:{}:", standard_encode(digest.as_bytes()))
}

/// What a signature base says, read strictly; nothing is proved by reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts<'a> {
    /// The method.
    pub method: &'a str,
    /// Host and port.
    pub authority: &'a str,
    /// The whole target: `https://`, authority, path and query.
    pub target_uri: &'a str,
    /// SHA-256 of the body.
    pub digest: Digest,
    /// When it was signed, in whole seconds.
    pub created: Timestamp,
    /// Its nonce.
    pub nonce: [u8; 16],
    /// The key it says it is signed with, or whose channel it came by.
    pub key: KeyId,
    /// How it is signed.
    pub algorithm: Algorithm,
    /// The body; empty when only the base was read.
    pub body: &'a [u8],
}

impl<'a> RequestFacts<'a> {
    /// Reads a signature base.
    ///
    /// # Errors
    /// [`RequestError::Base`] naming the first place where it is not what the profile writes.
    pub fn parse(base: &'a str) -> Result<Self, RequestError> {
        use RequestError::Base;
        if base.len() > BASE_BYTES_MAX {
            return Err(RequestError::TooLarge(base.len()));
        }
        let mut lines = base.split('\n');
        let mut line =
            |prefix: &str, what| lines.next().and_then(|l| l.strip_prefix(prefix)).ok_or(Base(what));
        let method = line("\"@method\": ", "@method")?;
        let authority = line("\"@authority\": ", "@authority")?;
        let target_uri = line("\"@target-uri\": ", "@target-uri")?;
        let digest = line("\"content-digest\": ", "content-digest")?;
        let params = line("\"@signature-params\": ", "@signature-params")?;
        if lines.next().is_some() {
            return Err(Base("the end"));
        }
        if !is_method(method) {
            return Err(Base("@method"));
        }
        if !is_authority(authority) {
            return Err(Base("@authority"));
        }
        let path = target_uri.strip_prefix("https://").and_then(|rest| rest.strip_prefix(authority));
        if !path.is_some_and(is_path) {
            return Err(Base("@target-uri"));
        }
        let digest = parse_content_digest(digest).ok_or(Base("content-digest"))?;
        let Params { created, nonce, key, algorithm } = parse_params(params)?;
        Ok(Self { method, authority, target_uri, digest, created, nonce, key, algorithm, body: &[] })
    }

    /// Path and query of the target.
    #[must_use]
    pub fn path_and_query(&self) -> &'a str {
        self.target_uri
            .strip_prefix("https://")
            .and_then(|rest| rest.strip_prefix(self.authority))
            .unwrap_or_default()
    }
}

/// The value of a `Content-Digest` header field in the profile's form.
fn parse_content_digest(text: &str) -> Option<Digest> {
    let text = text.strip_prefix("sha-256=:")?.strip_suffix(':')?;
    standard_decode(text)?.try_into().ok().map(Digest::from_bytes)
}

struct Params {
    created: Timestamp,
    nonce: [u8; 16],
    key: KeyId,
    algorithm: Algorithm,
}

/// Each of the five parameters once, in any order (RFC 9421 §2.3): other implementations have orders of their own.
fn parse_params(params: &str) -> Result<Params, RequestError> {
    use RequestError::Base;
    let mut rest = params.strip_prefix(COVERED).ok_or(Base("the covered components"))?;
    let (mut created, mut nonce, mut key, mut algorithm, mut tag) = (None, None, None, None, None);
    while !rest.is_empty() {
        let (name, after) =
            rest.strip_prefix(';').and_then(|rest| rest.split_once('=')).ok_or(Base("the parameters"))?;
        let (value, after) = match after.strip_prefix('"') {
            Some(text) => text.split_once('"').ok_or(Base("the parameters"))?,
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        // Seconds are a number, all else are texts: a quote is where the form has one.
        let quoted = rest.len() - after.len() == name.len() + value.len() + 4;
        let (slot, what, is_text) = match name {
            "created" => (&mut created, "created", false),
            "nonce" => (&mut nonce, "nonce", true),
            "keyid" => (&mut key, "keyid", true),
            "alg" => (&mut algorithm, "alg", true),
            "tag" => (&mut tag, "tag", true),
            _ => return Err(Base("the parameters")),
        };
        if slot.replace(value).is_some() || quoted != is_text {
            return Err(Base(what));
        }
        rest = after;
    }
    let algorithm = match algorithm {
        Some("ed25519") => Algorithm::Ed25519,
        Some("hmac-sha256") => Algorithm::HmacSha256,
        _ => return Err(Base("alg")),
    };
    if tag != Some(TAG) {
        return Err(Base("tag"));
    }
    Ok(Params {
        created: created.and_then(parse_created).ok_or(Base("created"))?,
        nonce: nonce.and_then(url_decode_exact).ok_or(Base("nonce"))?,
        key: key.and_then(|key| key.parse().ok()).ok_or(Base("keyid"))?,
        algorithm,
    })
}

/// Whole seconds, without sign or leading zero.
fn parse_created(text: &str) -> Option<Timestamp> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if !plain || text.len() > CREATED_DIGITS_MAX {
        return None;
    }
    let at = Timestamp::from_millis(text.parse::<i64>().ok()?.checked_mul(1_000)?);
    // An instant beyond the calendar is clamped, and so has another text.
    (at.as_seconds().to_string() == text).then_some(at)
}

fn check(
    what: &'static str,
    text: &str,
    rule: &'static str,
    valid: fn(&str) -> bool,
) -> Result<(), RequestError> {
    if valid(text) {
        Ok(())
    } else {
        Err(RequestError::Unsignable { what, found: text.chars().take(64).collect(), rule })
    }
}

fn is_method(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase())
}

fn is_authority(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]_".contains(&b);
    (1..=255).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.ends_with(":443")
        && !text.starts_with(':')
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

/// A request that stands as proof: what was signed, the signature, and the body (HS-6, AU-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRequest {
    /// The signature base.
    pub base: String,
    /// The Ed25519 signature over it.
    #[serde(with = "standard")]
    pub signature: [u8; 64],
    /// The body.
    #[serde(with = "standard")]
    pub body: Vec<u8>,
}

impl SignedRequest {
    /// Signs a request. The head's digest is set to the body's.
    ///
    /// # Errors
    /// When a part is not in the form the profile writes, or the key does not sign.
    pub fn sign(head: RequestHead<'_>, body: Vec<u8>, key: &dyn Sign) -> Result<Self, RequestError> {
        let base =
            RequestHead { digest: Digest::of(&body), ..head }.base(key.key_id(), Algorithm::Ed25519)?;
        let signature = key.sign(base.as_bytes())?;
        Ok(Self { base, signature, body })
    }

    /// Proves that this key signed this request with this body, and reads what it asked.
    ///
    /// # Errors
    /// When the base deviates from the profile, names another key, or signature or digest do not fit.
    pub fn verify(&self, key: &PublicKey) -> Result<RequestFacts<'_>, RequestError> {
        self.read(key, Checking::Now)
    }

    /// The same; the signature may be checked elsewhere.
    ///
    /// # Errors
    /// As [`SignedRequest::verify`].
    pub fn read(&self, key: &PublicKey, checking: Checking) -> Result<RequestFacts<'_>, RequestError> {
        let facts = RequestFacts::parse(&self.base)?;
        if facts.algorithm != Algorithm::Ed25519 {
            return Err(RequestError::Algorithm(facts.algorithm));
        }
        if facts.key != key.id() {
            return Err(RequestError::OtherKey { found: facts.key, expected: key.id() });
        }
        let signed = checking.verify(key, self.base.as_bytes(), &self.signature);
        signed.map_err(|_| RequestError::Signature)?;
        if facts.digest != Digest::of(&self.body) {
            return Err(RequestError::Digest);
        }
        Ok(RequestFacts { body: &self.body, ..facts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SeedKey;
    use alloc::vec;
    use proptest::prelude::*;

    fn head<'a>(method: &'a str, authority: &'a str, path: &'a str) -> RequestHead<'a> {
        RequestHead {
            method,
            authority,
            path_and_query: path,
            digest: Digest::of(b""),
            created: Timestamp::from_millis(1_767_225_600_999),
            nonce: [7; 16],
        }
    }

    fn key() -> SeedKey {
        SeedKey::new([1; 32])
    }

    fn signed() -> SignedRequest {
        SignedRequest::sign(head("POST", "plane.example:8443", "/v1/x?y=1"), b"{}".to_vec(), &key()).unwrap()
    }

    #[test]
    fn hs_6_the_base_is_that_of_rfc_9421() {
        let expected = [
            r#""@method": POST"#,
            r#""@authority": plane.example:8443"#,
            r#""@target-uri": https://plane.example:8443/v1/x?y=1"#,
            r#""content-digest": sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:"#,
            r#""@signature-params": ("@method" "@authority" "@target-uri" "content-digest");created=1767225600;nonce="BwcHBwcHBwcHBwcHBwcHBw";keyid="KID";alg="ed25519";tag="fedplane""#,
        ]
        .join("\n")
        .replace("KID", &key().key_id().to_string());
        assert_eq!(signed().base, expected);
    }

    #[test]
    fn hs_6_a_signed_request_proves_what_was_asked() {
        let request = signed();
        let facts = request.verify(key().public_key()).unwrap();
        assert_eq!(
            (facts.method, facts.authority, facts.path_and_query()),
            ("POST", "plane.example:8443", "/v1/x?y=1")
        );
        assert_eq!(
            (facts.created.as_millis(), facts.nonce, facts.body),
            (1_767_225_600_000, [7; 16], &b"{}"[..])
        );
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<SignedRequest>(&text).unwrap(), request);
    }

    #[test]
    fn hs_6_another_body_key_or_signature_is_refused() {
        let check = |change: &dyn Fn(&mut SignedRequest), expected: RequestError| {
            let mut request = signed();
            change(&mut request);
            assert_eq!(request.verify(key().public_key()), Err(expected));
        };
        check(&|r| r.body.push(b' '), RequestError::Digest);
        check(&|r| r.signature[0] ^= 1, RequestError::Signature);
        check(&|r| r.base = r.base.replace("POST", "GET"), RequestError::Signature);
        check(&|r| r.base = r.base.replace("created=17", "created=18"), RequestError::Signature);
        let channel = RequestError::Algorithm(Algorithm::HmacSha256);
        check(&|r| r.base = r.base.replace("ed25519", "hmac-sha256"), channel);
        let other = SeedKey::new([2; 32]);
        assert!(matches!(signed().verify(other.public_key()), Err(RequestError::OtherKey { .. })));
    }

    #[test]
    fn any_deviation_is_named() {
        let base = signed().base;
        let check = |from: &str, to: &str, at: &'static str| {
            let changed = base.replace(from, to);
            assert_ne!(changed, base, "{from}");
            assert_eq!(RequestFacts::parse(&changed), Err(RequestError::Base(at)), "{to}");
        };
        check("POST", "Post", "@method");
        check("\"@authority\": plane", "\"@authority\": Plane", "@authority");
        check("\"@authority\": plane", "\"@authority\":  plane", "@authority");
        check("https://plane", "http://plane", "@target-uri");
        check("https://plane", "https://other", "@target-uri");
        check("/v1/x?y=1", "/v1/x#y", "@target-uri");
        check("sha-256=:", "sha-512=:", "content-digest");
        check("(\"@method\" ", "(\"@method\"  ", "the covered components");
        check("created=", "created=0", "created");
        check("created=", "created=+", "created");
        check("created=17672", "created=1767225600000", "created");
        check("nonce=\"B", "nonce=\"", "nonce");
        check("ed25519", "rsa-v1_5-sha256", "alg");
        check("tag=\"fedplane\"", "tag=\"other\"", "tag");
        check("tag=\"fedplane\"", "tag=\"fedplane\";x", "the parameters");
        check("tag=\"fedplane\"", "tag=\"fedplane\";x=1", "the parameters");
        check("tag=\"fedplane\"", "tag=\"fedplane\";tag=\"fedplane\"", "tag");
        check("tag=\"fedplane\"", "tag=fedplane", "tag");
        check(";tag=\"fedplane\"", "", "tag");
        check("tag=\"fedplane\"", "tag=\"fedplane", "the parameters");
        check("created=1767225600", "created=\"1767225600\"", "created");
        check(";keyid", " ;keyid", "the parameters");
        check("\n\"content-digest\"", "\n\"x\": y\n\"content-digest\"", "content-digest");
        assert_eq!(RequestFacts::parse(&alloc::format!("{base}\n")), Err(RequestError::Base("the end")));
        assert_eq!(RequestFacts::parse(""), Err(RequestError::Base("@method")));
    }

    #[test]
    fn hs_6_the_parameters_stand_in_any_order() {
        let request = signed();
        let base = request.base.clone();
        let (head, params) = base.split_once(";created=").unwrap();
        let mut params: Vec<&str> = params.split(';').collect();
        params.reverse();
        let created = params.pop().unwrap();
        params.insert(2, "created=PLACE");
        let other = alloc::format!("{head};{}", params.join(";")).replace("PLACE", created);
        assert_ne!(other, base);
        assert_eq!(RequestFacts::parse(&other), RequestFacts::parse(&base));
        // Signed in one order, it is not signed in the other.
        let moved = SignedRequest { base: other, ..request };
        assert_eq!(moved.verify(key().public_key()), Err(RequestError::Signature));
    }

    #[test]
    fn what_the_profile_cannot_write_is_not_signed() {
        for (method, authority, path, good) in [
            ("GET", "127.0.0.1:8443", "/", true),
            ("GET", "[::1]:8443", "/a?b=c%20d", true),
            ("get", "a", "/", false),
            ("GET", "A", "/", false),
            ("GET", "a:443", "/", false),
            ("GET", "user@a", "/", false),
            ("GET", "a", "", false),
            ("GET", "a", "/\n\"x\"", false),
            ("GET", "a", "/ ", false),
        ] {
            assert_eq!(
                head(method, authority, path).base(key().key_id(), Algorithm::Ed25519).is_ok(),
                good,
                "{method} {authority} {path}"
            );
        }
        let long = alloc::format!("/{}", String::from_utf8(vec![b'a'; BASE_BYTES_MAX]).unwrap());
        assert!(matches!(
            head("GET", "a", &long).base(key().key_id(), Algorithm::Ed25519),
            Err(RequestError::TooLarge(_))
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_base_reads_back_and_writes_the_same(
            method in "[A-Z]{1,16}", host in "[a-z0-9.-]{1,40}", path in "/[!-\"$-~]{0,60}",
            seconds in 0i64..253_402_300_799, nonce in any::<[u8; 16]>(), body in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            let head = RequestHead {
                method: &method, authority: &host, path_and_query: &path, digest: Digest::of(&body),
                created: Timestamp::from_millis(seconds * 1000), nonce,
            };
            let base = head.base(key().key_id(), Algorithm::Ed25519).unwrap();
            let facts = RequestFacts::parse(&base).unwrap();
            prop_assert_eq!(facts.nonce, nonce);
            prop_assert_eq!(facts.created.as_seconds(), seconds);
            let again = RequestHead {
                method: facts.method, authority: facts.authority, path_and_query: facts.path_and_query(),
                digest: facts.digest, created: facts.created, nonce: facts.nonce,
            };
            prop_assert_eq!(again.base(facts.key, facts.algorithm).unwrap(), base);
        }

        #[test]
        fn what_parses_has_one_text(at in any::<proptest::sample::Index>(), byte in 32u8..127) {
            let mut base = signed().base.into_bytes();
            let at = at.index(base.len());
            base[at] = byte;
            let base = String::from_utf8(base).unwrap();
            if let Ok(facts) = RequestFacts::parse(&base) {
                let again = RequestHead {
                    method: facts.method, authority: facts.authority, path_and_query: facts.path_and_query(),
                    digest: facts.digest, created: facts.created, nonce: facts.nonce,
                };
                prop_assert_eq!(again.base(facts.key, facts.algorithm).unwrap(), base);
            }
        }
    }
}
