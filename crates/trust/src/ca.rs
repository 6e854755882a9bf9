//! The certificate authority: the Founder's root, the online instance CA under it, and what each may issue.
//!
//! Never copies anything from a request but its public key, and never issues an operator's certificate from an
//! online key: operators and servers come from the root alone, instances from the instance CA alone.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::time::Duration;

use governance::{InstanceId, OperatorName, Person, Timestamp, TrustDomain};
use proof::{PublicKey, Sign, SignError};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType,
    SerialNumber, SignatureAlgorithm,
};
use rustls::pki_types::CertificateDer;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::identity::{self, IdentityError, RootCa};
use crate::signer::Signer;
use crate::{RandomError, pem, random};

/// The longest certificate request, in bytes of PEM.
pub const CSR_BYTES_MAX: usize = 8 * 1024;

/// Why no certificate was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaError {
    /// The request is none.
    #[error("the certificate request is no PKCS#10 request in PEM of at most {CSR_BYTES_MAX} bytes")]
    CsrMalformed,
    /// The request is for another kind of key.
    #[error("the certificate request is not for an Ed25519 key; make the key as Ed25519")]
    CsrKey,
    /// The request's own signature does not verify: its sender need not hold the key.
    #[error("the certificate request is not signed by the key it names")]
    CsrSignature,
    /// Only the instance CA issues instances; only the root issues operators, servers and the instance CA.
    #[error(
        "{0} cannot be issued by this authority: instances come from the instance CA, all else from the root CA"
    )]
    NotItsBusiness(&'static str),
    /// The certificate of an authority belongs to another key.
    #[error("the CA certificate is not of this key")]
    OtherKey,
    /// A certificate that is no authority of this federation.
    #[error("the CA certificate: {0}")]
    Certificate(#[from] IdentityError),
    /// A name that a certificate cannot carry.
    #[error("`{0}` cannot stand in a certificate")]
    Name(String),
    /// It would end before it begins.
    #[error("a certificate cannot end ({not_after}) before it begins ({not_before})")]
    Validity {
        /// Its first instant.
        not_before: Timestamp,
        /// Its last.
        not_after: Timestamp,
    },
    /// No random serial number.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The encoder refused.
    #[error("the certificate could not be made: {0}")]
    Encode(String),
    /// The authority's key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// How long a certificate counts. X.509 keeps whole seconds; both ends count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first instant.
    pub not_before: Timestamp,
    /// The last.
    pub not_after: Timestamp,
}

/// A certificate just issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate and what links it to the root (without it), in the order TLS sends them.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its serial number: 32 lower-case hexadecimal digits.
    pub serial: String,
    /// The first instant it counts, in whole seconds.
    pub not_before: Timestamp,
    /// The last.
    pub not_after: Timestamp,
}

impl Issued {
    /// The chain as PEM, its own certificate first.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode_certificates(&self.chain)
    }
}

/// An authority: a CA certificate with its private key.
#[derive(Debug)]
pub struct Issuer {
    /// Its own certificate, then what links it to the root, without the root.
    links: Vec<CertificateDer<'static>>,
    certificate: CertificateDer<'static>,
    key: Signer,
    trust_domain: TrustDomain,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Root,
    Instances,
}

impl Issuer {
    /// Makes a root CA, signed by itself.
    ///
    /// # Errors
    /// When the validity is no period or the certificate cannot be made.
    pub fn make_root(
        key: impl Into<Signer>,
        trust_domain: &TrustDomain,
        validity: Validity,
    ) -> Result<Self, CaError> {
        let key = key.into();
        let mut params = ca_params(trust_domain, "root CA", 1)?;
        set_validity(&mut params, validity)?;
        params.serial_number = Some(SerialNumber::from_slice(&serial()?));
        let signer = RcgenKey::new(&key);
        let certificate = params.self_signed(&signer).map_err(|error| signer.why(&error))?.der().clone();
        Ok(Self { links: Vec::new(), certificate, key, trust_domain: trust_domain.clone(), role: Role::Root })
    }

    /// The root CA from its certificate and key.
    ///
    /// # Errors
    /// When the certificate is no root CA or of another key.
    pub fn root(certificate_pem: &str, key: impl Into<Signer>) -> Result<Self, CaError> {
        let key = key.into();
        let root = RootCa::from_pem(certificate_pem)?;
        let certificate = root.certificate().clone();
        own_key(&certificate, &key)?;
        Ok(Self {
            links: Vec::new(),
            certificate,
            key,
            trust_domain: root.trust_domain().clone(),
            role: Role::Root,
        })
    }

    /// The instance CA from its certificate and key; `root` must have signed it.
    ///
    /// # Errors
    /// When the certificate is no CA under this root or of another key.
    pub fn instances(certificate_pem: &str, key: impl Into<Signer>, root: &RootCa) -> Result<Self, CaError> {
        let key = key.into();
        let certificate = identity::read_intermediate(certificate_pem, root)?;
        own_key(&certificate, &key)?;
        Ok(Self {
            links: vec![certificate.clone()],
            certificate,
            key,
            trust_domain: root.trust_domain().clone(),
            role: Role::Instances,
        })
    }

    /// The last instant of its certificate.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        // It was read, so that it has one.
        identity::expires(&self.certificate).unwrap_or(Timestamp::from_millis(0))
    }

    /// Its certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem::encode_certificates([&self.certificate])
    }

    /// The federation it issues for.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Issues the certificate of an instance CA for this key.
    ///
    /// # Errors
    /// When this is not the root.
    pub fn issue_instance_ca(&self, key: &PublicKey, validity: Validity) -> Result<Issued, CaError> {
        self.must_be(Role::Root, "an instance CA")?;
        self.issue(ca_params(&self.trust_domain, "instance CA", 0)?, key, validity)
    }

    /// Issues an instance's certificate for this key (ID-1).
    ///
    /// # Errors
    /// When this is not the instance CA.
    pub fn issue_instance(
        &self,
        id: InstanceId,
        key: &PublicKey,
        validity: Validity,
    ) -> Result<Issued, CaError> {
        self.must_be(Role::Instances, "an instance")?;
        self.issue(self.leaf_params(&format!("instance/{id}"))?, key, validity)
    }

    /// Issues a person's certificate for this key.
    ///
    /// # Errors
    /// When this is not the root.
    pub fn issue_person(
        &self,
        person: &Person,
        key: &PublicKey,
        validity: Validity,
    ) -> Result<Issued, CaError> {
        self.must_be(Role::Root, "a person")?;
        self.issue(self.leaf_params(&person.to_string())?, key, validity)
    }

    /// Issues a server's certificate for this key, under the DNS names and addresses it is reached by.
    ///
    /// # Errors
    /// When this is not the root, or a name is none.
    pub fn issue_server(
        &self,
        name: &OperatorName,
        hosts: &[ServerHost],
        key: &PublicKey,
        validity: Validity,
    ) -> Result<Issued, CaError> {
        self.must_be(Role::Root, "a server")?;
        let mut params = self.leaf_params(&format!("server/{name}"))?;
        for host in hosts {
            params.subject_alt_names.push(match host {
                ServerHost::Name(dns) => {
                    SanType::DnsName(dns.as_str().try_into().map_err(|_| CaError::Name(dns.clone()))?)
                }
                ServerHost::Address(address) => SanType::IpAddress(*address),
            });
        }
        self.issue(params, key, validity)
    }

    fn must_be(&self, role: Role, what: &'static str) -> Result<(), CaError> {
        if self.role == role { Ok(()) } else { Err(CaError::NotItsBusiness(what)) }
    }

    /// An X.509-SVID leaf: an empty subject, one URI, digital signatures only, client and server.
    fn leaf_params(&self, path: &str) -> Result<CertificateParams, CaError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![spiffe(&self.trust_domain, path)?];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    /// The list of certificates that it has issued and that count no more (RFC 5280 §5), in DER; good until `next`.
    ///
    /// # Errors
    /// When a serial number is none, or the list cannot be made.
    pub fn revocation_list(
        &self,
        revoked: &[(String, Timestamp)],
        now: Timestamp,
        next: Timestamp,
    ) -> Result<Vec<u8>, CaError> {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let revoked_certs = revoked
            .iter()
            .map(|(serial, at)| {
                let number =
                    unhex(serial).ok_or_else(|| CaError::Encode(format!("serial number {serial}")))?;
                Ok(RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&number),
                    revocation_time: epoch + since_epoch(*at),
                    reason_code: None,
                    invalidity_date: None,
                })
            })
            .collect::<Result<Vec<_>, CaError>>()?;
        let params = CertificateRevocationListParams {
            this_update: epoch + since_epoch(now),
            next_update: epoch + since_epoch(next),
            // It rises with time, and so across restarts and servers.
            crl_number: SerialNumber::from(now.as_millis().unsigned_abs()),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let issuer = self.encoder()?;
        Ok(params.signed_by(&issuer).map_err(|error| issuer.key().why(&error))?.der().to_vec())
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        key: &PublicKey,
        validity: Validity,
    ) -> Result<Issued, CaError> {
        let (not_before, not_after) = set_validity(&mut params, validity)?;
        let serial = serial()?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let issuer = self.encoder()?;
        let signed = params.signed_by(&RcgenPublic(key), &issuer);
        let certificate = signed.map_err(|error| issuer.key().why(&error))?.der().clone();
        let chain = std::iter::once(certificate).chain(self.links.iter().cloned()).collect();
        Ok(Issued { chain, serial: hex(&serial), not_before, not_after })
    }

    /// The authority as the encoder wants it.
    fn encoder(&self) -> Result<rcgen::Issuer<'_, RcgenKey<'_>>, CaError> {
        rcgen::Issuer::from_ca_cert_der(&self.certificate, RcgenKey::new(&self.key))
            .map_err(|error| encode(&error))
    }
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerHost {
    /// By a DNS name.
    Name(String),
    /// By an address.
    Address(IpAddr),
}

impl From<&str> for ServerHost {
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Address)
    }
}

/// Whether this is a revocation list (DER) that the key has signed.
#[must_use]
pub fn signed_list(list: &[u8], key: &PublicKey) -> bool {
    let Ok((_, list)) = CertificateRevocationList::from_der(list) else { return false };
    let signature: Result<&[u8; 64], _> = list.signature_value.data.as_ref().try_into();
    signature.is_ok_and(|signature| key.verify(list.tbs_cert_list.as_ref(), signature).is_ok())
}

/// Makes a certificate request for a key. It names nothing: who it is for is the issuer's to say.
///
/// # Errors
/// When the request cannot be encoded.
pub fn make_csr(key: &dyn Sign) -> Result<String, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let signer = RcgenKey::new(key);
    let request = params.serialize_request(&signer).map_err(|error| signer.why(&error))?;
    request.pem().map_err(|error| encode(&error))
}

/// The public key of a certificate request, whose sender has proved to hold it. All else in it is ignored.
///
/// # Errors
/// When it is no request, for another kind of key, or not signed by its own key.
pub fn read_csr(text: &str) -> Result<PublicKey, CaError> {
    if text.len() > CSR_BYTES_MAX {
        return Err(CaError::CsrMalformed);
    }
    let (_, block) = x509_parser::pem::parse_x509_pem(text.as_bytes()).map_err(|_| CaError::CsrMalformed)?;
    if block.label != "CERTIFICATE REQUEST" {
        return Err(CaError::CsrMalformed);
    }
    let (rest, csr) =
        X509CertificationRequest::from_der(&block.contents).map_err(|_| CaError::CsrMalformed)?;
    if !rest.is_empty() {
        return Err(CaError::CsrMalformed);
    }
    let info = &csr.certification_request_info;
    let key = identity::ed25519_key(&info.subject_pki).ok_or(CaError::CsrKey)?;
    if csr.signature_algorithm.algorithm != identity::OID_ED25519 {
        return Err(CaError::CsrKey);
    }
    let signature = csr.signature_value.data.as_ref().try_into().map_err(|_| CaError::CsrSignature)?;
    key.verify(info.raw, signature).map_err(|_| CaError::CsrSignature)?;
    Ok(key)
}

fn ca_params(trust_domain: &TrustDomain, what: &str, path_length: u8) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, trust_domain.as_str());
    params.distinguished_name.push(DnType::CommonName, what);
    params.subject_alt_names = vec![spiffe(trust_domain, "")?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = path_length == 0;
    Ok(params)
}

fn spiffe(trust_domain: &TrustDomain, path: &str) -> Result<SanType, CaError> {
    let slash = if path.is_empty() { "" } else { "/" };
    let id = format!("spiffe://{trust_domain}{slash}{path}");
    id.as_str().try_into().map(SanType::URI).map_err(|_| CaError::Name(id))
}

/// Sets the period in whole seconds, and says which it is.
pub(crate) fn set_validity(
    params: &mut CertificateParams,
    validity: Validity,
) -> Result<(Timestamp, Timestamp), CaError> {
    let Validity { not_before, not_after } = validity;
    if not_after < not_before {
        return Err(CaError::Validity { not_before, not_after });
    }
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(not_before);
    params.not_after = epoch + since_epoch(not_after);
    let whole = |at: Timestamp| Timestamp::from_millis(at.as_seconds() * 1000);
    Ok((whole(not_before), whole(not_after)))
}

/// From 1970 on, in whole seconds, as X.509 has it.
const fn since_epoch(at: Timestamp) -> Duration {
    Duration::from_secs(at.as_seconds().unsigned_abs())
}

/// The bytes of a text in hexadecimal.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let whole =
        !text.is_empty() && text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if whole { (0..text.len()).step_by(2).map(digit).collect() } else { None }
}

/// Sixteen random bytes that read as a positive number of full length.
pub(crate) fn serial() -> Result<[u8; 16], RandomError> {
    let mut bytes = random::<16>()?;
    let [first, ..] = &mut bytes;
    *first = *first & 0x7f | 0x40;
    Ok(bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn own_key(certificate: &CertificateDer<'_>, key: &dyn Sign) -> Result<(), CaError> {
    if identity::public_key(certificate)? == *key.public_key() { Ok(()) } else { Err(CaError::OtherKey) }
}

fn encode(error: &rcgen::Error) -> CaError {
    CaError::Encode(error.to_string())
}

/// A signing key as the encoder wants it. The encoder has no room for why a key failed: it is kept here meanwhile.
pub(crate) struct RcgenKey<'a> {
    key: &'a dyn Sign,
    failed: OnceCell<SignError>,
}

impl<'a> RcgenKey<'a> {
    pub(crate) const fn new(key: &'a dyn Sign) -> Self {
        Self { key, failed: OnceCell::new() }
    }

    /// Why nothing was encoded.
    pub(crate) fn why(&self, error: &rcgen::Error) -> CaError {
        self.failed.get().cloned().map_or_else(|| encode(error), CaError::Sign)
    }
}

impl PublicKeyData for RcgenKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.public_key().as_bytes()
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl rcgen::SigningKey for RcgenKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key.sign(message).map(Vec::from).map_err(|error| {
            let _ = self.failed.set(error);
            rcgen::Error::RemoteKeyError
        })
    }
}

/// A public key as the encoder wants it.
struct RcgenPublic<'a>(&'a PublicKey);

impl PublicKeyData for RcgenPublic<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}
