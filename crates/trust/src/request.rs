//! Request signatures in header fields (HS-6): `Content-Digest`, `Signature-Input`, `Signature`.
//!
//! Never decides whether a request is fresh: the reader gets what was signed, to verify and to judge. The signature
//! base is rebuilt from the request as it arrived, never taken from the peer.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governance::{Digest, Timestamp};
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use proof::request::{Algorithm, LABEL, content_digest};
use proof::{KeyId, PublicKey, RequestError, RequestFacts, RequestHead, Sign, SignedRequest};

/// RFC 9530.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// RFC 9421 §4.1.
pub const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// RFC 9421 §4.2.
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// The label under which both ends of a connection derive the key of their channel (RFC 8446 §7.5, HS-6).
pub const CHANNEL_LABEL: &[u8] = b"EXPORTER-fedplane-check-in";
/// Bytes of that key.
pub const CHANNEL_KEY_BYTES: usize = 32;

/// Why a request carries no signature that could be verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A field is absent.
    #[error("the request is not signed: it has no `{0}` field")]
    Missing(&'static str),
    /// A field stands there twice.
    #[error("the request has more than one `{0}` field")]
    Repeated(&'static str),
    /// A field is not in the form of the profile.
    #[error("the `{field}` field is not in the profile's form: {form}")]
    Form {
        /// Which field.
        field: &'static str,
        /// What it must look like.
        form: &'static str,
    },
    /// Neither `Host` nor the target says which server is meant, or they disagree.
    #[error("the request does not say one authority: `Host` and the target must name the same host and port")]
    Authority,
    /// The request cannot be signed, or its fields contradict the profile.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl HeaderError {
    /// A stable code for answers and logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "signature-missing",
            Self::Request(RequestError::Digest) => "digest-mismatch",
            Self::Request(RequestError::Algorithm(_)) => "signature-unfit",
            Self::Request(RequestError::Signature | RequestError::OtherKey { .. }) => "signature-invalid",
            _ => "signature-malformed",
        }
    }
}

/// Where a request goes, in the one form that is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The method.
    pub method: Method,
    /// Host and port in lower case, without the default port.
    pub authority: String,
    /// Path and query.
    pub path_and_query: String,
}

impl Target {
    /// The target of a request as a server receives it: HTTP/1.1 has a `Host` field and a path, HTTP/2 a whole URI.
    ///
    /// # Errors
    /// [`HeaderError::Authority`] when no authority is named, or two that differ.
    pub fn received(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, HeaderError> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (None, _) => None,
            (Some(host), None) => {
                Some(canonical_authority(host.to_str().map_err(|_| HeaderError::Authority)?))
            }
            _ => return Err(HeaderError::Authority),
        };
        let named = uri.authority().map(|authority| canonical_authority(authority.as_str()));
        let authority = match (host, named) {
            (Some(host), Some(named)) if host != named => return Err(HeaderError::Authority),
            (Some(authority), _) | (None, Some(authority)) => authority,
            (None, None) => return Err(HeaderError::Authority),
        };
        Ok(Self { method: method.clone(), authority, path_and_query: path_and_query(uri) })
    }

    /// The target of a request as a client sends it.
    ///
    /// # Errors
    /// [`HeaderError::Authority`] when the URI is not absolute.
    pub fn sent(method: &Method, uri: &Uri) -> Result<Self, HeaderError> {
        let authority = uri.authority().ok_or(HeaderError::Authority)?;
        Ok(Self {
            method: method.clone(),
            authority: canonical_authority(authority.as_str()),
            path_and_query: path_and_query(uri),
        })
    }
}

fn path_and_query(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned())
}

/// RFC 9421 §2.2.3: lower case, without the default port of `https`.
fn canonical_authority(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    text.strip_suffix(":443").map(str::to_owned).unwrap_or(text)
}

/// The three fields that sign a request whose body has this digest.
///
/// # Errors
/// When the target cannot be written in the profile, or the key does not sign.
pub fn sign_head(
    target: &Target,
    digest: Digest,
    created: Timestamp,
    nonce: [u8; 16],
    key: &dyn Sign,
) -> Result<[(HeaderName, HeaderValue); 3], HeaderError> {
    let head = head(target, digest, created, nonce);
    let base = head.base(key.key_id(), Algorithm::Ed25519)?;
    fields(&head, key.key_id(), Algorithm::Ed25519, &key.sign(base.as_bytes()).map_err(RequestError::from)?)
}

/// The three fields that sign a request under the key of its channel (HS-6). Its nonce is a number that rises on the
/// connection.
///
/// # Errors
/// When the target cannot be written in the profile.
pub fn sign_on_channel(
    target: &Target,
    digest: Digest,
    created: Timestamp,
    number: u128,
    (key, channel): (KeyId, &[u8; CHANNEL_KEY_BYTES]),
) -> Result<[(HeaderName, HeaderValue); 3], HeaderError> {
    let head = head(target, digest, created, number.to_be_bytes());
    let base = head.base(key, Algorithm::HmacSha256)?;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, channel), base.as_bytes());
    fields(&head, key, Algorithm::HmacSha256, tag.as_ref())
}

fn fields(
    head: &RequestHead<'_>,
    key: KeyId,
    algorithm: Algorithm,
    signature: &[u8],
) -> Result<[(HeaderName, HeaderValue); 3], HeaderError> {
    let signature = STANDARD.encode(signature);
    let value = |field, text: String| {
        HeaderValue::try_from(text).map_err(|_| HeaderError::Form { field, form: "visible ASCII" })
    };
    Ok([
        (CONTENT_DIGEST, value("content-digest", content_digest(&head.digest))?),
        (SIGNATURE_INPUT, value("signature-input", format!("{LABEL}={}", head.params(key, algorithm)))?),
        (SIGNATURE, value("signature", format!("{LABEL}=:{signature}:"))?),
    ])
}

/// The three fields that sign a request with this body.
///
/// # Errors
/// When the target cannot be written in the profile, or the key does not sign.
pub fn sign_request(
    target: &Target,
    body: &[u8],
    created: Timestamp,
    nonce: [u8; 16],
    key: &dyn Sign,
) -> Result<[(HeaderName, HeaderValue); 3], HeaderError> {
    sign_head(target, Digest::of(body), created, nonce, key)
}

fn head(target: &Target, digest: Digest, created: Timestamp, nonce: [u8; 16]) -> RequestHead<'_> {
    RequestHead {
        method: target.method.as_str(),
        authority: &target.authority,
        path_and_query: &target.path_and_query,
        digest,
        created,
        nonce,
    }
}

/// What a received request says it signed; nothing is proved before it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    base: String,
    signature: Signature,
    facts: HeadFacts,
}

/// What a signed head says beside the target, which the reader named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadFacts {
    /// SHA-256 of the body.
    pub digest: Digest,
    /// When it was signed, in whole seconds.
    pub created: Timestamp,
    /// Its nonce.
    pub nonce: [u8; 16],
    /// The key it says it is signed with, or whose channel it came by.
    pub key: KeyId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signature {
    Ed25519([u8; 64]),
    HmacSha256([u8; 32]),
}

impl SignedHead {
    /// Rebuilds the signature base of a received request from its target and fields.
    ///
    /// # Errors
    /// When a field is absent, repeated or outside the profile.
    pub fn read(target: &Target, headers: &HeaderMap) -> Result<Self, HeaderError> {
        let digest = field(headers, &CONTENT_DIGEST, "content-digest")?;
        let params = field(headers, &SIGNATURE_INPUT, "signature-input")?
            .strip_prefix(LABEL)
            .and_then(|rest| rest.strip_prefix('='))
            .ok_or(HeaderError::Form { field: "signature-input", form: "sig1=(…);created=…" })?;
        let signature = field(headers, &SIGNATURE, "signature")?
            .strip_prefix(LABEL)
            .and_then(|rest| rest.strip_prefix("=:")?.strip_suffix(':'))
            .and_then(|text| STANDARD.decode(text).ok());
        let Target { method, authority, path_and_query } = target;
        let base = [
            "\"@method\": ",
            method.as_str(),
            "\n\"@authority\": ",
            authority,
            "\n\"@target-uri\": https://",
            authority,
            path_and_query,
            "\n\"content-digest\": ",
            digest,
            "\n\"@signature-params\": ",
            params,
        ]
        .concat();
        // Strictly in the profile, or not at all: nothing that arrived can have moved a line.
        let RequestFacts { digest, created, nonce, key, algorithm, .. } = RequestFacts::parse(&base)?;
        let signature = signature.and_then(|bytes| match algorithm {
            Algorithm::Ed25519 => bytes.try_into().ok().map(Signature::Ed25519),
            Algorithm::HmacSha256 => bytes.try_into().ok().map(Signature::HmacSha256),
        });
        let form = "sig1=:64 bytes in base64:, or 32 of them for hmac-sha256";
        let signature = signature.ok_or(HeaderError::Form { field: "signature", form })?;
        Ok(Self { base, signature, facts: HeadFacts { digest, created, nonce, key } })
    }

    /// What the request says, of which nothing is proved: to learn whose key to verify with.
    #[must_use]
    pub const fn facts_unverified(&self) -> &HeadFacts {
        &self.facts
    }

    /// Proves that this key signed the head. The body is still to be held against the digest in the facts.
    ///
    /// # Errors
    /// When another key signed it, the signature does not fit, or it is signed under a channel's key.
    pub fn verify(&self, key: &PublicKey) -> Result<&HeadFacts, HeaderError> {
        let Signature::Ed25519(signature) = &self.signature else {
            return Err(RequestError::Algorithm(Algorithm::HmacSha256).into());
        };
        let facts = self.facts_of(key)?;
        crate::signature::verify(key, self.base.as_bytes(), signature)
            .map_err(|_| RequestError::Signature)?;
        Ok(facts)
    }

    /// What the request says, if it says that it is this key's.
    fn facts_of(&self, key: &PublicKey) -> Result<&HeadFacts, RequestError> {
        let (found, expected) = (self.facts.key, key.id());
        if found == expected { Ok(&self.facts) } else { Err(RequestError::OtherKey { found, expected }) }
    }

    /// Proves that whoever holds this key sent the head by the channel of this key of its own (HS-6): nothing that could be
    /// shown to anybody else.
    ///
    /// # Errors
    /// As [`SignedHead::verify`], the other way round.
    pub fn verify_on_channel(
        &self,
        key: &PublicKey,
        channel: &[u8; CHANNEL_KEY_BYTES],
    ) -> Result<&HeadFacts, HeaderError> {
        let Signature::HmacSha256(tag) = &self.signature else {
            return Err(RequestError::Algorithm(Algorithm::Ed25519).into());
        };
        let facts = self.facts_of(key)?;
        let channel = hmac::Key::new(hmac::HMAC_SHA256, channel);
        // In constant time.
        hmac::verify(&channel, self.base.as_bytes(), tag).map_err(|_| RequestError::Signature)?;
        Ok(facts)
    }

    /// How it is signed.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.signature {
            Signature::Ed25519(_) => Algorithm::Ed25519,
            Signature::HmacSha256(_) => Algorithm::HmacSha256,
        }
    }

    /// The request with its body, to verify and to keep as proof; none of what is signed under a channel's key.
    #[must_use]
    pub fn with_body(self, body: Vec<u8>) -> Option<SignedRequest> {
        match self.signature {
            Signature::Ed25519(signature) => Some(SignedRequest { base: self.base, signature, body }),
            Signature::HmacSha256(_) => None,
        }
    }
}

/// Rebuilds a received request: [`SignedRequest::verify`] then proves it.
///
/// # Errors
/// When a field is absent, repeated or outside the profile.
pub fn read_request(
    target: &Target,
    headers: &HeaderMap,
    body: Vec<u8>,
) -> Result<SignedRequest, HeaderError> {
    let head = SignedHead::read(target, headers)?;
    head.with_body(body).ok_or_else(|| RequestError::Algorithm(Algorithm::HmacSha256).into())
}

fn field<'a>(headers: &'a HeaderMap, name: &HeaderName, field: &'static str) -> Result<&'a str, HeaderError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(HeaderError::Missing(field))?;
    if values.next().is_some() {
        return Err(HeaderError::Repeated(field));
    }
    value.to_str().map_err(|_| HeaderError::Form { field, form: "visible ASCII" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::SeedKey;

    fn target(method: Method, uri: &str) -> Target {
        Target::sent(&method, &uri.parse().unwrap()).unwrap()
    }

    fn signed(target: &Target, body: &[u8]) -> HeaderMap {
        let at = Timestamp::from_millis(1_767_225_600_000);
        sign_request(target, body, at, [3; 16], &SeedKey::new([1; 32])).unwrap().into_iter().collect()
    }

    #[test]
    fn hs_6_what_is_signed_is_what_is_read() {
        let key = SeedKey::new([1; 32]);
        let sent = target(Method::POST, "https://Plane.Example:8443/v1/a?b=c");
        let headers = signed(&sent, b"{}");
        let request = read_request(&sent, &headers, b"{}".to_vec()).unwrap();
        let facts = request.verify(key.public_key()).unwrap();
        assert_eq!((facts.method, facts.target_uri), ("POST", "https://plane.example:8443/v1/a?b=c"));
        assert_eq!(facts.nonce, [3; 16]);
        // A body that is not the one signed.
        let other = read_request(&sent, &headers, b"{ }".to_vec()).unwrap();
        assert_eq!(other.verify(key.public_key()), Err(RequestError::Digest));
        // The same fields on another target, method or server.
        for moved in [
            target(Method::PUT, "https://plane.example:8443/v1/a?b=c"),
            target(Method::POST, "https://plane.example:8443/v1/a?b=d"),
            target(Method::POST, "https://other.example:8443/v1/a?b=c"),
        ] {
            let request = read_request(&moved, &headers, b"{}".to_vec()).unwrap();
            assert_eq!(request.verify(key.public_key()), Err(RequestError::Signature), "{moved:?}");
        }
        let head = SignedHead::read(&sent, &headers).unwrap();
        assert_eq!(head.facts_unverified().key, key.key_id());
        assert!(head.verify(key.public_key()).is_ok());
        assert!(head.verify(SeedKey::new([2; 32]).public_key()).is_err());
    }

    #[test]
    fn hs_6_an_empty_body_is_signed_too() {
        let sent = target(Method::GET, "https://plane.example/");
        assert_eq!(sent.authority, "plane.example");
        let request = read_request(&sent, &signed(&sent, b""), Vec::new()).unwrap();
        assert!(request.verify(SeedKey::new([1; 32]).public_key()).is_ok());
    }

    #[test]
    fn fields_outside_the_profile_are_named() {
        let sent = target(Method::POST, "https://plane.example/");
        let check = |change: &dyn Fn(&mut HeaderMap), code: &str, word: &str| {
            let mut headers = signed(&sent, b"{}");
            change(&mut headers);
            let error = SignedHead::read(&sent, &headers).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(word), "{error}");
        };
        let replace = |name: HeaderName, from: &'static str, to: &'static str| {
            move |headers: &mut HeaderMap| {
                let text = headers[&name].to_str().unwrap().replace(from, to);
                headers.insert(&name, text.parse().unwrap());
            }
        };
        check(&|h| drop(h.remove(SIGNATURE)), "signature-missing", "`signature`");
        check(&|h| drop(h.remove(SIGNATURE_INPUT)), "signature-missing", "`signature-input`");
        check(&|h| drop(h.remove(CONTENT_DIGEST)), "signature-missing", "`content-digest`");
        check(
            &|h| assert!(h.append(SIGNATURE, "sig1=:AA==:".parse().unwrap())),
            "signature-malformed",
            "more than one",
        );
        check(&replace(SIGNATURE, "sig1", "sig2"), "signature-malformed", "`signature`");
        check(&replace(SIGNATURE, "sig1=:", "sig1=:AAAA"), "signature-malformed", "`signature`");
        check(&replace(SIGNATURE_INPUT, "sig1=", "sig1 ="), "signature-malformed", "`signature-input`");
        check(&replace(SIGNATURE_INPUT, "\"@method\" ", ""), "signature-malformed", "covered components");
        check(&replace(SIGNATURE_INPUT, "fedplane", "x"), "signature-malformed", "tag");
        check(&replace(CONTENT_DIGEST, "sha-256", "md5"), "signature-malformed", "content-digest");
    }

    #[test]
    fn one_request_has_one_authority() {
        let check = |uri: &str, hosts: &[&str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().unwrap());
            }
            let target = Target::received(&Method::GET, &uri.parse().unwrap(), &headers);
            assert_eq!(target.ok().map(|t| t.authority).as_deref(), expected, "{uri} {hosts:?}");
        };
        check("/a", &["Plane.Example:8443"], Some("plane.example:8443"));
        check("https://plane.example/a", &[], Some("plane.example"));
        check("https://plane.example/a", &["plane.example:443"], Some("plane.example"));
        check("https://plane.example/a", &["other.example"], None);
        check("/a", &["a", "a"], None);
        check("/a", &[], None);
    }
}
