//! TLS 1.3 and nothing older, hybrid post-quantum key exchange first, no session tickets.
//!
//! Never says who a client is: the server takes any certificate whose key the client proves to hold, so that
//! [`classify`](crate::classify) can refuse in words. The client believes only servers of the pinned root CA.

use std::sync::Arc;

use governance::{InstanceId, Timestamp};
use proof::{PublicKey, Sign};
use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, SerialNumber};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{self, CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName as HintedName, Error,
    OtherError, PeerIncompatible, ServerConfig, SignatureAlgorithm, SignatureScheme,
};

use crate::ca::{self, RcgenKey};
use crate::identity::{self, IdentityError, RootCa};
use crate::signer::Signer;

/// What is spoken above TLS, the preferred first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why TLS cannot be set up.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain is empty, or its first certificate is not of the key.
    #[error("the certificate chain does not begin with a certificate of this key")]
    OtherKey,
    /// A certificate that is none.
    #[error(transparent)]
    Certificate(#[from] IdentityError),
    /// No self-signed certificate could be made.
    #[error("no self-signed certificate could be made: {0}")]
    SelfSigned(String),
    /// The TLS library refused.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] Error),
}

/// The cryptography of every connection: AWS-LC, X25519MLKEM768 before the classical groups.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The configuration of the listener for instances and operators: a client certificate is mandatory, any will do.
///
/// # Errors
/// When the chain is not of the key.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: impl Into<Signer>,
) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let verifier = Arc::new(AnyClient { provider: Arc::clone(&provider) });
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier);
    Ok(without_tickets(builder.with_cert_resolver(certified(chain, key)?)))
}

/// The configuration of a public listener: it asks no client for a certificate.
///
/// # Errors
/// When the chain is not of the key.
pub fn public_server_config(
    chain: Vec<CertificateDer<'static>>,
    key: impl Into<Signer>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth();
    Ok(without_tickets(builder.with_cert_resolver(certified(chain, key)?)))
}

/// The configuration of a client that shows this chain and believes only servers issued by the pinned root CA
/// itself, under the name called.
///
/// # Errors
/// When the chain is not of the key.
pub fn client_config(
    root: &RootCa,
    chain: Vec<CertificateDer<'static>>,
    key: impl Into<Signer>,
) -> Result<ClientConfig, TlsError> {
    let builder = client_builder(root)?;
    Ok(client_defaults(builder.with_client_cert_resolver(certified(chain, key)?)))
}

/// The configuration of a client that shows this chain and believes this instance alone, under one of these keys: for the
/// compliance challenge (HS-8). Under which name it was called counts for nothing: no instance's certificate carries one.
///
/// # Errors
/// When the chain is not of the key.
pub fn instance_client_config(
    root: &RootCa,
    chain: Vec<CertificateDer<'static>>,
    key: impl Into<Signer>,
    instance: InstanceId,
    keys: Vec<PublicKey>,
) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let expected = Expected::Instance { instance, keys };
    let verifier = Arc::new(Pinned { root: root.clone(), expected, provider: Arc::clone(&provider) });
    let builder = verified_by(verifier, provider)?;
    Ok(client_defaults(builder.with_client_cert_resolver(certified(chain, key)?)))
}

/// As [`client_config`], without a certificate of its own: for the public listener.
///
/// # Errors
/// When the TLS library refuses.
pub fn anonymous_client_config(root: &RootCa) -> Result<ClientConfig, TlsError> {
    Ok(client_defaults(client_builder(root)?.with_no_client_auth()))
}

/// The configuration of a client that believes any server to be one: only for reading signed documents, each held
/// against keys held before (the keys document, from which the root CA is learnt).
///
/// # Errors
/// When the TLS library refuses.
pub fn unverified_client_config() -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let verifier = Arc::new(AnyServer { provider: Arc::clone(&provider) });
    Ok(client_defaults(verified_by(verifier, provider)?.with_no_client_auth()))
}

fn client_builder(
    root: &RootCa,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, TlsError> {
    let provider = provider();
    let expected = Expected::Server;
    let verifier = Arc::new(Pinned { root: root.clone(), expected, provider: Arc::clone(&provider) });
    verified_by(verifier, provider)
}

fn verified_by(
    verifier: Arc<dyn ServerCertVerifier>,
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, TlsError> {
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier))
}

/// A certificate over a key that says nothing but the key: what an instance shows before it is registered (HS-1).
///
/// # Errors
/// When it cannot be made.
pub fn self_signed(key: &dyn Sign) -> Result<CertificateDer<'static>, TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "unregistered");
    params.is_ca = IsCa::ExplicitNoCa;
    let serial = ca::serial().map_err(|error| TlsError::SelfSigned(error.to_string()))?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let signer = RcgenKey::new(key);
    let certificate = params.self_signed(&signer);
    Ok(certificate.map_err(|error| TlsError::SelfSigned(signer.why(&error).to_string()))?.der().clone())
}

/// A chain with the key of its first certificate.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: impl Into<Signer>,
) -> Result<Arc<SingleCertAndKey>, TlsError> {
    let key = key.into();
    let own = identity::public_key(chain.first().ok_or(TlsError::OtherKey)?)?;
    if own != *key.public_key() {
        return Err(TlsError::OtherKey);
    }
    Ok(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, Arc::new(TlsKey(key))))))
}

/// A signer as TLS wants it: wherever the key is kept, it is asked by the port.
#[derive(Debug)]
struct TlsKey(Signer);

impl sign::SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn sign::Signer>> {
        let signer = || Box::new(Self(self.0.clone())) as Box<dyn sign::Signer>;
        offered.contains(&SignatureScheme::ED25519).then(signer)
    }
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl sign::Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.sign(message).map(Vec::from).map_err(|error| Error::General(error.to_string()))
    }
    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

pub(crate) fn without_tickets(mut config: ServerConfig) -> ServerConfig {
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    config
}

fn client_defaults(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    config
}

/// Takes every client that proves to hold the key of its certificate.
#[derive(Debug)]
struct AnyClient {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[HintedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Takes any server that holds the key of the certificate it shows, whatever that says.
#[derive(Debug)]
struct AnyServer {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Whom a client means to reach.
#[derive(Debug)]
enum Expected {
    /// A server of the federation, by the name called.
    Server,
    /// This instance, under one of these keys.
    Instance {
        /// Which.
        instance: InstanceId,
        /// Its keys.
        keys: Vec<PublicKey>,
    },
}

/// Takes those of one federation whom the client means to reach.
#[derive(Debug)]
struct Pinned {
    root: RootCa,
    expected: Expected,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<CertificateDer<'_>> =
            std::iter::once(end_entity).chain(intermediates).cloned().collect();
        let now =
            Timestamp::from_millis(i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000));
        let checked = match &self.expected {
            Expected::Server => identity::check_server(&chain, &self.root, server_name, now),
            Expected::Instance { instance, keys } => {
                identity::check_instance(&chain, &self.root, *instance, keys, now)
            }
        };
        match checked {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error)))))
            }
        }
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
