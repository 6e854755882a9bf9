//! The certificate that browsers are shown: over a key on P-256, since none of them speaks Ed25519 in TLS.
//!
//! Vouches for nothing in the federation: no agent and no client of ours believes it. Where the operator gives none, one is
//! made that vouches for itself; its digest is told over a connection that the root CA vouches for, to be held against it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use governance::{Digest, Span, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, SerialNumber};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::FromDer as _;

use crate::ca::{self, Validity};
use crate::keyfile::{KeyFileError, PRIVATE_MODE, PUBLIC_MODE, write_over};
use crate::tls::{TlsError, provider, without_tickets};

/// What the operator puts there: a chain and its key, both PEM.
const OWN: &str = "dashboard";
/// What is made where he puts nothing.
const MADE: &str = "made";
/// Browsers take no certificate that lives longer.
const LIFETIME: Span = Span::hours(397 * 24);
/// One that was made here is made anew when it has less left.
const RENEW_WITHIN: Span = Span::hours(30 * 24);
/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be put in its place.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A file is not what it should be.
    #[error("{}: {why}", .path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// None could be made.
    #[error("no certificate for browsers could be made: {0}")]
    Made(String),
}

/// The chain that browsers are shown, and its key.
#[derive(Debug)]
pub struct BrowserIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl BrowserIdentity {
    /// The one in this folder: `dashboard.pem` with `dashboard.key` where they are there, else one that is made for these names
    /// and kept as `made.pem` with `made.key`.
    ///
    /// # Errors
    /// [`BrowserError`], naming the file.
    pub fn open(folder: &Path, names: &[String], now: Timestamp) -> Result<Self, BrowserError> {
        let place = |name: &str| (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        let (certificate, key) = place(OWN);
        if certificate.exists() {
            return Self::read(&certificate, &key);
        }
        let (certificate, key) = place(MADE);
        if let Ok(made) = Self::read(&certificate, &key)
            && made.is_for(names, now)
        {
            return Ok(made);
        }
        fs::create_dir_all(folder)
            .map_err(|source| BrowserError::File { path: folder.to_path_buf(), source })?;
        let (certificate_pem, key_pem) = make(names, now)?;
        // The key first: a certificate without its key is made anew, whatever comes between.
        write_over(&key, key_pem.as_bytes(), PRIVATE_MODE)?;
        write_over(&certificate, certificate_pem.as_bytes(), PUBLIC_MODE)?;
        Self::read(&certificate, &key)
    }

    fn read(certificate: &Path, key: &Path) -> Result<Self, BrowserError> {
        let malformed = |path: &Path, why: &dyn std::fmt::Display| BrowserError::Malformed {
            path: path.to_path_buf(),
            why: why.to_string(),
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes_of(certificate)?).collect();
        let chain = chain.map_err(|error| malformed(certificate, &error))?;
        if chain.is_empty() {
            return Err(malformed(certificate, &"no certificate in PEM"));
        }
        let key_der =
            PrivateKeyDer::from_pem_slice(&bytes_of(key)?).map_err(|error| malformed(key, &error))?;
        let identity = Self { chain, key: key_der };
        // Whether they belong together is found out now and not at the first connection.
        identity.server_config().map_err(|error| malformed(key, &error))?;
        Ok(identity)
    }

    /// Whether one that was made here still does: for these names, and for some time yet.
    fn is_for(&self, names: &[String], now: Timestamp) -> bool {
        let Some(leaf) = self.chain.first() else { return false };
        let Ok((_, leaf)) = x509_parser::certificate::X509Certificate::from_der(leaf) else { return false };
        let ends = Timestamp::from_millis(leaf.validity().not_after.timestamp().saturating_mul(1_000));
        ends >= now + RENEW_WITHIN && leaf.subject().to_string() == format!("CN={}", common_name(names))
    }

    /// SHA-256 of the certificate itself, as browsers show it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.chain.first().map_or(&[][..], |leaf| leaf.as_ref()))
    }

    /// The configuration of the listener for browsers: TLS 1.3, and no certificate asked for.
    ///
    /// # Errors
    /// When the key is not the certificate's.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth();
        Ok(without_tickets(builder.with_single_cert(self.chain.clone(), self.key.clone_key())?))
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, BrowserError> {
    let fail = |source| BrowserError::File { path: path.to_path_buf(), source };
    if fs::metadata(path).map_err(fail)?.len() > FILE_BYTES_MAX {
        return Err(BrowserError::Malformed { path: path.to_path_buf(), why: "it is too long".to_owned() });
    }
    fs::read(path).map_err(fail)
}

/// What tells for which names it was made.
fn common_name(names: &[String]) -> String {
    let digest = Digest::of(names.join(",").as_bytes()).to_string();
    format!("fedplane dashboard {}", digest.chars().take(16).collect::<String>())
}

fn make(names: &[String], now: Timestamp) -> Result<(String, String), BrowserError> {
    let fail = |error: &dyn std::fmt::Display| BrowserError::Made(error.to_string());
    let mut params = CertificateParams::new(names.to_vec()).map_err(|error| fail(&error))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name(names));
    let validity = Validity { not_before: now - Span::hours(1), not_after: now + LIFETIME };
    ca::set_validity(&mut params, validity).map_err(|error| fail(&error))?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.serial_number = Some(SerialNumber::from_slice(&ca::serial().map_err(|error| fail(&error))?));
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| fail(&error))?;
    let certificate = params.self_signed(&key).map_err(|error| fail(&error))?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn one_is_made_once_for_its_names_and_time() {
        let place = tempfile::tempdir().unwrap();
        let (names, now) =
            (vec!["localhost".to_owned(), "127.0.0.1".to_owned()], Timestamp::from_millis(1_800_000_000_000));
        let open = |names: &[String], now| BrowserIdentity::open(place.path(), names, now).unwrap().digest();
        let first = open(&names, now);
        assert_eq!(open(&names, now + Span::hours(24)), first);
        let mode = fs::metadata(place.path().join("made.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Another name, or too little time left: another certificate.
        let other = open(&["elsewhere.example".to_owned()], now);
        assert_ne!(other, first);
        assert_ne!(open(&["elsewhere.example".to_owned()], now + Span::hours(380 * 24)), other);
    }

    #[test]
    fn the_operators_own_goes_first_and_is_not_replaced() {
        let place = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_800_000_000_000);
        let names = ["localhost".to_owned()];
        let made = BrowserIdentity::open(place.path(), &names, now).unwrap().digest();
        let (certificate, key) = make(&names, now).unwrap();
        fs::write(place.path().join("dashboard.pem"), certificate).unwrap();
        let missing = BrowserIdentity::open(place.path(), &names, now).unwrap_err().to_string();
        assert!(missing.contains("dashboard.key"), "{missing}");
        fs::write(place.path().join("dashboard.key"), key).unwrap();
        let own = BrowserIdentity::open(place.path(), &names, now).unwrap();
        assert_ne!(own.digest(), made);
        fs::copy(place.path().join("made.key"), place.path().join("dashboard.key")).unwrap();
        let foreign = BrowserIdentity::open(place.path(), &names, now).unwrap_err().to_string();
        assert!(foreign.contains("dashboard.key"), "{foreign}");
    }
}
