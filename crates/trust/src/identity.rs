//! Who a peer is, from the certificates it showed: an instance, a person, or a holder of a key and nothing more.
//!
//! Never asks what the peer may do, and never looks at revocation: whoever holds the record does. Never believes an
//! person or a server that the root CA itself did not sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governance::{InstanceId, Person, Timestamp, TrustDomain};
use proof::PublicKey;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use serde::Serialize;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::oid::Oid;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::ca::hex;
use crate::pem;

/// The most certificates a peer may show.
pub const CHAIN_MAX: usize = 4;
/// id-Ed25519 (RFC 8410).
pub(crate) const OID_ED25519: Oid<'static> = x509_parser::der_parser::oid!(1.3.101.112);

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An instance, by a certificate of the instance CA.
    Instance {
        /// Which.
        id: InstanceId,
        /// The key it holds.
        key: PublicKey,
        /// The certificate's serial number, lower-case hexadecimal.
        serial: String,
        /// The certificate's first instant.
        not_before: Timestamp,
        /// Its last.
        not_after: Timestamp,
        /// Whether it has run out; it was good until then.
        expired: bool,
    },
    /// A person, by a certificate of the root CA.
    Person {
        /// Who.
        person: Person,
        /// The key it holds.
        key: PublicKey,
        /// The certificate's serial number, lower-case hexadecimal.
        serial: String,
        /// The certificate's first instant.
        not_before: Timestamp,
        /// Its last.
        not_after: Timestamp,
    },
    /// Someone who holds this key; the certificate says nothing else that counts.
    SelfSigned {
        /// The key.
        key: PublicKey,
    },
}

impl Peer {
    /// The key the peer holds.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        match self {
            Self::Instance { key, .. } | Self::Person { key, .. } | Self::SelfSigned { key } => key,
        }
    }
}

/// Why a chain of certificates says nothing we believe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No certificate at all, or more than [`CHAIN_MAX`].
    #[error("{0} certificates were shown: one to {CHAIN_MAX} are read")]
    Chain(usize),
    /// Not X.509, or a part of it that we need is missing or twice.
    #[error("the certificate is malformed: {0}")]
    Malformed(&'static str),
    /// Another kind of key.
    #[error("the certificate's key is no Ed25519 key")]
    Key,
    /// Not issued by this federation.
    #[error("the certificate was not issued by this federation: {0}")]
    Untrusted(String),
    /// Of another federation's name.
    #[error("the certificate's id `{found}` is not of the trust domain `{expected}`")]
    TrustDomain {
        /// The id.
        found: String,
        /// The trust domain.
        expected: TrustDomain,
    },
    /// Its time has not come.
    #[error("the certificate counts from {0} on")]
    NotYet(Timestamp),
    /// Its time is over.
    #[error("the certificate ran out at {0}")]
    Expired(Timestamp),
    /// Outside the profile of X.509-SVIDs.
    #[error("the certificate is outside the profile: {0}")]
    Profile(&'static str),
    /// An id that this issuer may not sign, or that may not be used here.
    #[error("the certificate's id `{id}` is not accepted: {why}")]
    Id {
        /// The id.
        id: String,
        /// Why not.
        why: &'static str,
    },
    /// Somebody else answers than the instance that was called.
    #[error("the certificate is of {0}, and not of the instance that was called")]
    NotAsked(&'static str),
    /// A server's certificate for other names.
    #[error("the server's certificate is not for `{0}`")]
    ServerName(String),
}

impl IdentityError {
    /// A stable code for answers and logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Chain(_) | Self::Malformed(_) => "certificate-malformed",
            Self::Key => "certificate-key-unsupported",
            Self::Untrusted(_) | Self::TrustDomain { .. } => "certificate-untrusted",
            Self::NotYet(_) => "certificate-not-yet-valid",
            Self::Expired(_) => "certificate-expired",
            Self::Profile(_) | Self::Id { .. } => "certificate-not-accepted",
            Self::ServerName(_) | Self::NotAsked(_) => "certificate-wrong-name",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Chain(_) | Self::Malformed(_) => {
                "send the chain as it was issued: the own certificate first"
            }
            Self::Key => "make the key as Ed25519 and register it",
            Self::Untrusted(_) | Self::TrustDomain { .. } => {
                "use the certificate this federation issued at registration; check which plane you are calling"
            }
            Self::NotYet(_) => "check the clock on both sides",
            Self::Expired(_) => "ask for a new certificate",
            Self::Profile(_) | Self::Id { .. } => "use a certificate issued for this purpose",
            Self::NotAsked(_) => "check where the instance says that it can be reached",
            Self::ServerName(_) => "call the server by a name its certificate carries",
        }
    }
}

/// The name that every server's certificate carries.
const LOCAL_NAME: &str = "localhost";

/// The root CA as those know it who trust it: its certificate, pinned.
#[derive(Clone, Debug)]
pub struct RootCa {
    certificate: CertificateDer<'static>,
    anchor: TrustAnchor<'static>,
    trust_domain: TrustDomain,
}

impl RootCa {
    /// Reads a root CA's certificate.
    ///
    /// # Errors
    /// When it is not exactly one certificate of a CA, signed by itself, with a path-less SPIFFE id.
    pub fn from_pem(text: &str) -> Result<Self, IdentityError> {
        let certificate = one_certificate(text)?;
        let parsed = parse(&certificate)?;
        if !is_self_signed(&parsed)? {
            return Err(IdentityError::Untrusted(
                "the root CA's certificate is not signed by itself".to_owned(),
            ));
        }
        let trust_domain = check_ca(&parsed)?;
        let anchor = webpki::anchor_from_trusted_cert(&certificate)
            .map_err(|_| IdentityError::Malformed("no trust anchor can be made of it"))?
            .to_owned();
        Ok(Self { certificate, anchor, trust_domain })
    }

    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its certificate as PEM: the trust bundle.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode_certificates([&self.certificate])
    }

    /// The federation it stands for.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The trust bundle as SPIFFE federations exchange it: a JWK set whose one key is for X.509-SVIDs (SPIFFE Trust Domain and
    /// Bundle §4), to be read again after so many seconds.
    ///
    /// # Errors
    /// When the certificate's key is no Ed25519 key, which [`RootCa::from_pem`] excludes.
    pub fn to_spiffe_bundle(&self, sequence: u64, refresh_seconds: u64) -> Result<String, IdentityError> {
        /// RFC 7517, RFC 8037.
        #[derive(Serialize)]
        struct Key {
            #[serde(flatten)]
            key: PublicKey,
            #[serde(rename = "use")]
            usage: &'static str,
            x5c: [String; 1],
        }
        let key = Key {
            key: public_key(&self.certificate)?,
            usage: "x509-svid",
            x5c: [STANDARD.encode(&self.certificate)],
        };
        let bundle = serde_json::json!({
            "keys": [key],
            "spiffe_sequence": sequence,
            "spiffe_refresh_hint": refresh_seconds,
        });
        Ok(bundle.to_string())
    }
}

/// Who showed this chain (ID-1, HS-1, HS-2). That it holds the key, TLS has proved.
///
/// # Errors
/// When nothing in the chain is believed: [`IdentityError::code`] and [`IdentityError::hint`] say why and what to do.
pub fn classify(
    chain: &[CertificateDer<'_>],
    root: &RootCa,
    trust_domain: &TrustDomain,
    now: Timestamp,
) -> Result<Peer, IdentityError> {
    let leaf = chain.first().filter(|_| chain.len() <= CHAIN_MAX).ok_or(IdentityError::Chain(chain.len()))?;
    let parsed = parse(leaf)?;
    let key = ed25519_key(parsed.public_key()).ok_or(IdentityError::Key)?;
    if chain.len() == 1 && !parsed.is_ca() && is_self_signed(&parsed)? {
        return Ok(Peer::SelfSigned { key });
    }
    let not_before = instant(parsed.validity().not_before.timestamp());
    let not_after = instant(parsed.validity().not_after.timestamp());
    // The last instant counts whole: X.509 knows seconds only.
    let expired = now.as_seconds() > not_after.as_seconds();
    let at = if expired { last_instant(not_before, not_after) } else { now };
    let by_root = verify_chain(chain, root, at, KeyUsage::client_auth())?;
    let (id, others) = check_leaf(&parsed)?;
    if others {
        return Err(IdentityError::Profile("a client's certificate carries its SPIFFE id and no other name"));
    }
    let serial = hex(parsed.raw_serial());
    let path = spiffe_path(&id, trust_domain)?;
    match path.split_once('/') {
        Some(("instance", name)) if !by_root => {
            let id = name.parse().map_err(|_| refuse(&id, "no instance has such an id"))?;
            return Ok(Peer::Instance { id, key, serial, not_before, not_after, expired });
        }
        Some(("instance", _)) => return Err(refuse(&id, "instances are issued by the instance CA")),
        Some(("server", _)) => return Err(refuse(&id, "a server's certificate is not a client's")),
        _ => {}
    }
    let person =
        Person::from_path(path).ok_or_else(|| refuse(&id, "it names neither an instance nor a person"))?;
    if !by_root {
        return Err(refuse(&id, "people are certified by the root CA, never by an online key"));
    }
    if expired {
        return Err(IdentityError::Expired(not_after));
    }
    Ok(Peer::Person { person, key, serial, not_before, not_after })
}

/// Whether this chain is a server of the federation, reached by this name: issued by the root itself (AU-2).
///
/// # Errors
/// When it is not.
pub fn check_server(
    chain: &[CertificateDer<'_>],
    root: &RootCa,
    name: &ServerName<'_>,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let leaf = chain.first().filter(|_| chain.len() <= CHAIN_MAX).ok_or(IdentityError::Chain(chain.len()))?;
    let parsed = parse(leaf)?;
    ed25519_key(parsed.public_key()).ok_or(IdentityError::Key)?;
    let by_root = verify_chain(chain, root, now, KeyUsage::server_auth())?;
    let (id, _) = check_leaf(&parsed)?;
    match spiffe_path(&id, &root.trust_domain)?.split_once('/') {
        Some(("server", _)) if by_root => {}
        Some(("server", _)) => {
            return Err(refuse(&id, "servers are issued by the root CA, never by an online key"));
        }
        _ => return Err(refuse(&id, "it does not name a server")),
    }
    let certificate = EndEntityCert::try_from(leaf)
        .map_err(|_| IdentityError::Malformed("it is no end-entity certificate"))?;
    certificate
        .verify_is_valid_for_subject_name(name)
        .map_err(|_| IdentityError::ServerName(name.to_str().into_owned()))
}

/// Whether this chain is a server of the federation, whatever it is reached by: every server answers to `localhost` as well.
///
/// # Errors
/// When it is not.
pub fn check_any_server(
    chain: &[CertificateDer<'_>],
    root: &RootCa,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let refused = |_| IdentityError::ServerName(LOCAL_NAME.to_owned());
    check_server(chain, root, &ServerName::try_from(LOCAL_NAME).map_err(refused)?, now)
}

/// Whether this chain is this instance under one of these keys, and its time is not over (HS-8).
///
/// # Errors
/// When it is not.
pub fn check_instance(
    chain: &[CertificateDer<'_>],
    root: &RootCa,
    instance: InstanceId,
    keys: &[PublicKey],
    now: Timestamp,
) -> Result<(), IdentityError> {
    match classify(chain, root, root.trust_domain(), now)? {
        Peer::Instance { not_after, expired: true, .. } => Err(IdentityError::Expired(not_after)),
        Peer::Instance { id, key, .. } if id == instance && keys.contains(&key) => Ok(()),
        Peer::Instance { id, .. } if id == instance => {
            Err(IdentityError::NotAsked("another key of the instance"))
        }
        Peer::Instance { .. } => Err(IdentityError::NotAsked("another instance")),
        Peer::Person { .. } => Err(IdentityError::NotAsked("a person")),
        Peer::SelfSigned { .. } => Err(IdentityError::NotAsked("nobody whom the federation certified")),
    }
}

/// The Ed25519 key of a certificate.
///
/// # Errors
/// When it is no certificate or of another kind of key.
pub fn public_key(certificate: &CertificateDer<'_>) -> Result<PublicKey, IdentityError> {
    ed25519_key(parse(certificate)?.public_key()).ok_or(IdentityError::Key)
}

/// The last instant of a certificate.
///
/// # Errors
/// When it is no certificate.
pub fn expires(certificate: &CertificateDer<'_>) -> Result<Timestamp, IdentityError> {
    Ok(instant(parse(certificate)?.validity().not_after.timestamp()))
}

/// An instance CA's certificate: a CA of the same trust domain, signed by the root.
pub(crate) fn read_intermediate(text: &str, root: &RootCa) -> Result<CertificateDer<'static>, IdentityError> {
    let certificate = one_certificate(text)?;
    let parsed = parse(&certificate)?;
    let trust_domain = check_ca(&parsed)?;
    if trust_domain != root.trust_domain {
        return Err(IdentityError::TrustDomain {
            found: format!("spiffe://{trust_domain}"),
            expected: root.trust_domain.clone(),
        });
    }
    let signature = parsed.signature_value.data.as_ref().try_into().ok();
    let signed = signature.is_some_and(|signature| {
        public_key(&root.certificate)
            .is_ok_and(|root| root.verify(parsed.tbs_certificate.as_ref(), signature).is_ok())
    });
    if signed {
        Ok(certificate)
    } else {
        Err(IdentityError::Untrusted("the root CA did not sign it".to_owned()))
    }
}

/// Verifies the chain at an instant; whether the root itself signed the leaf.
fn verify_chain(
    chain: &[CertificateDer<'_>],
    root: &RootCa,
    at: Timestamp,
    usage: KeyUsage,
) -> Result<bool, IdentityError> {
    let (leaf, intermediates) = chain.split_first().ok_or(IdentityError::Chain(0))?;
    let certificate = EndEntityCert::try_from(leaf).map_err(|error| chain_error(&error))?;
    let path = certificate
        .verify_for_usage(
            &[webpki::aws_lc_rs::ED25519],
            std::slice::from_ref(&root.anchor),
            intermediates,
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.as_seconds().unsigned_abs())),
            usage,
            None,
            None,
        )
        .map_err(|error| chain_error(&error))?;
    Ok(path.intermediate_certificates().next().is_none())
}

fn chain_error(error: &webpki::Error) -> IdentityError {
    match error {
        webpki::Error::CertExpired { not_after, .. } => {
            IdentityError::Expired(instant(i64::try_from(not_after.as_secs()).unwrap_or(i64::MAX)))
        }
        webpki::Error::CertNotValidYet { not_before, .. } => {
            IdentityError::NotYet(instant(i64::try_from(not_before.as_secs()).unwrap_or(i64::MAX)))
        }
        webpki::Error::CaUsedAsEndEntity => IdentityError::Profile("a CA's certificate is nobody's identity"),
        webpki::Error::RequiredEkuNotFoundContext(_) => {
            IdentityError::Profile("its extended key usage does not allow this use")
        }
        other => IdentityError::Untrusted(format!("{other}")),
    }
}

/// The leaf's one SPIFFE id, and whether it carries other names; refuses what is outside the X.509-SVID profile.
fn check_leaf(leaf: &X509Certificate<'_>) -> Result<(String, bool), IdentityError> {
    use IdentityError::{Malformed, Profile};
    if leaf.is_ca() {
        return Err(Profile("a CA's certificate is nobody's identity"));
    }
    let usage =
        leaf.key_usage().map_err(|_| Malformed("key usage"))?.ok_or(Profile("it has no key usage"))?;
    if !usage.critical || !usage.value.digital_signature() {
        return Err(Profile("its key usage is not critical, or without digital signatures"));
    }
    if usage.value.key_cert_sign() || usage.value.crl_sign() {
        return Err(Profile("its key usage allows to sign certificates or revocation lists"));
    }
    let extended = leaf.extended_key_usage().map_err(|_| Malformed("extended key usage"))?;
    if !extended.is_some_and(|usage| usage.value.client_auth && usage.value.server_auth) {
        return Err(Profile("its extended key usage is not that of client and server"));
    }
    names(leaf)
}

/// The trust domain of a CA's certificate: a path-less SPIFFE id, certificates and lists its only use.
fn check_ca(ca: &X509Certificate<'_>) -> Result<TrustDomain, IdentityError> {
    use IdentityError::{Malformed, Profile};
    ed25519_key(ca.public_key()).ok_or(IdentityError::Key)?;
    let usage = ca.key_usage().map_err(|_| Malformed("key usage"))?;
    if !ca.is_ca() || !usage.is_some_and(|usage| usage.critical && usage.value.key_cert_sign()) {
        return Err(Profile("it is no CA's certificate"));
    }
    match names(ca)? {
        (id, false) => id
            .strip_prefix("spiffe://")
            .and_then(|name| name.parse().ok())
            .ok_or(Profile("a CA's SPIFFE id is the trust domain alone")),
        _ => Err(Profile("a CA's certificate carries its SPIFFE id and no other name")),
    }
}

/// The one URI among the subject's alternative names, and whether there are names of other kinds.
fn names(certificate: &X509Certificate<'_>) -> Result<(String, bool), IdentityError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| IdentityError::Malformed("subject alternative names"))?
        .ok_or(IdentityError::Profile("it carries no SPIFFE id"))?;
    let uris: Vec<&str> = names
        .value
        .general_names
        .iter()
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
        .collect();
    match uris.as_slice() {
        [uri] => Ok(((*uri).to_owned(), names.value.general_names.len() > 1)),
        _ => Err(IdentityError::Profile("it must carry exactly one URI, its SPIFFE id")),
    }
}

/// The path of `spiffe://TD/kind/name`.
fn spiffe_path<'a>(id: &'a str, trust_domain: &TrustDomain) -> Result<&'a str, IdentityError> {
    id.strip_prefix("spiffe://")
        .and_then(|rest| rest.strip_prefix(trust_domain.as_str()))
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(|| IdentityError::TrustDomain { found: excerpt(id), expected: trust_domain.clone() })
}

fn refuse(id: &str, why: &'static str) -> IdentityError {
    IdentityError::Id { id: excerpt(id), why }
}

fn excerpt(text: &str) -> String {
    text.chars().take(128).collect()
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        _ => Err(IdentityError::Malformed("it is no X.509 certificate")),
    }
}

fn one_certificate(text: &str) -> Result<CertificateDer<'static>, IdentityError> {
    let mut certificates =
        pem::certificates(text).map_err(|_| IdentityError::Malformed("it is no certificate in PEM"))?;
    match (certificates.pop(), certificates.len()) {
        (Some(certificate), 0) => Ok(certificate),
        (_, rest) => Err(IdentityError::Chain(rest + 1)),
    }
}

/// The key, when it is an Ed25519 key that not everyone can sign for.
pub(crate) fn ed25519_key(info: &SubjectPublicKeyInfo<'_>) -> Option<PublicKey> {
    if info.algorithm.algorithm != OID_ED25519 || info.algorithm.parameters.is_some() {
        return None;
    }
    PublicKey::from_bytes(info.subject_public_key.data.as_ref().try_into().ok()?).ok()
}

/// Whether issuer and subject are one and the signature is of the certificate's own key.
fn is_self_signed(certificate: &X509Certificate<'_>) -> Result<bool, IdentityError> {
    if certificate.issuer().as_raw() != certificate.subject().as_raw() {
        return Ok(false);
    }
    let key = ed25519_key(certificate.public_key()).ok_or(IdentityError::Key)?;
    let signature = certificate.signature_value.data.as_ref().try_into();
    Ok(signature.is_ok_and(|signature| key.verify(certificate.tbs_certificate.as_ref(), signature).is_ok()))
}

fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1000))
}

/// The last second inside the validity but one, or its only one.
fn last_instant(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    Timestamp::from_millis((not_after.as_millis() - 1000).max(not_before.as_millis()))
}
