//! The instance's own key and certificate: the key is made once and never leaves the folder; enrolling and renewing
//! may be cut short anywhere and repeated (HS-1, HS-2).

use std::path::Path;
use std::sync::Arc;

use client::{Client, ClientError, SystemSource};
use governance::{Digest, InstanceId, Timestamp};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use trust::{KeyFileError, RootCa, SigningKey};
use wire::{Metadata, Register, Renew};

use super::check::load_secret;
use super::folder::read_json;
use super::statements::Statements;
use super::{Folder, ShellError};
use crate::core::config::Secret;

const KEY: &str = "instance.key";
/// The key of an identity that is being made, until that is in force.
const NEXT_KEY: &str = "instance.next.key";
/// Where what registration gave is kept.
pub(super) const FILE: &str = "identity.json";

/// What registration gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) instance: InstanceId,
    /// The certificate chain, PEM.
    certificate: String,
    pub(super) renew_at: Timestamp,
    pub(super) interval_ms: u64,
    /// Digest of the enrolment secret it was made with.
    #[serde(default)]
    enrolment: Option<Digest>,
}

/// The key of the identity, or of the first that will be: made at the first start.
pub(super) fn key(folder: &Folder, known: Option<&Identity>) -> Result<Arc<SigningKey>, ShellError> {
    // Enrolling afresh was cut short at its very end: the identity is written, its key not yet in its place.
    if let (Some(known), Ok(next)) = (known, SigningKey::load(&folder.join(NEXT_KEY)))
        && known.check(&next).is_ok()
    {
        folder.rename(NEXT_KEY, KEY)?;
    }
    load_or_make(folder, KEY)
}

/// The key that the instance enrols afresh with: whoever has copied the one before is to have nothing (HS-1). The same
/// until it is in force.
pub(super) fn next_key(folder: &Folder) -> Result<Arc<SigningKey>, ShellError> {
    load_or_make(folder, NEXT_KEY)
}

/// The same, in the place of one that the plane knows already: its answer was lost, and another secret has come since.
pub(super) fn another_key(folder: &Folder) -> Result<Arc<SigningKey>, ShellError> {
    folder.remove(NEXT_KEY)?;
    next_key(folder)
}

/// Whether enrolling afresh was begun.
pub(super) fn is_next_made(folder: &Folder) -> bool {
    folder.join(NEXT_KEY).exists()
}

fn load_or_make(folder: &Folder, name: &str) -> Result<Arc<SigningKey>, ShellError> {
    let path = folder.join(name);
    let loaded = match SigningKey::load(&path) {
        Err(KeyFileError::Missing(_)) => SigningKey::create(&path),
        other => other,
    };
    loaded.map(Arc::new).map_err(|error| ShellError::System(error.to_string()))
}

/// A self-signed certificate over the key, for the time before registration.
pub(super) fn unregistered(key: &SigningKey) -> Result<Vec<CertificateDer<'static>>, ShellError> {
    trust::tls::self_signed(key).map(|one| vec![one]).map_err(|error| ShellError::System(error.to_string()))
}

impl Identity {
    pub(super) fn load(folder: &Folder) -> Result<Option<Self>, ShellError> {
        folder.read_json(FILE)
    }

    /// As it stands in the folder of an agent that perhaps runs, with the key; nothing when it is not enrolled.
    pub(super) fn borrowed(folder: &Path) -> Result<Option<(Self, Arc<SigningKey>)>, ShellError> {
        let Some(identity) = read_json::<Self>(folder, FILE)? else { return Ok(None) };
        let key =
            SigningKey::load(&folder.join(KEY)).map_err(|error| ShellError::System(error.to_string()))?;
        Ok(Some((identity, Arc::new(key))))
    }

    /// The chain, leaf first.
    pub(super) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, ShellError> {
        trust::pem::certificates(&self.certificate).map_err(|error| ShellError::System(error.to_string()))
    }

    /// Whether the owner has handed over another secret than the one this was made with: the instance is to enrol afresh
    /// (HS-1). A secret that was taken away again says nothing.
    pub(super) fn is_to_enrol_afresh(&self, secret: Option<&Secret>) -> bool {
        let handed = secret.and_then(|secret| load_secret(secret).ok());
        match (handed, self.enrolment) {
            (Some(secret), Some(used)) => Digest::of(secret.as_bytes()) != used,
            _ => false,
        }
    }

    /// Registers with the enrolment secret; [`key`] puts the key in its place, if it is not there. Whoever repeats it with the same key and secret gets the same answer. The chain
    /// of statements begins anew with every identity (HS-1).
    pub(super) async fn enrol(
        folder: &Folder,
        client: &Client,
        key: &SigningKey,
        secret: Option<&Secret>,
        metadata: Metadata,
    ) -> Result<Self, ShellError> {
        let secret = load_secret(secret.ok_or(ShellError::NoSecret)?)?;
        let enrolment = Some(Digest::of(secret.as_bytes()));
        let csr = csr(key)?;
        let answer = client.register(&Register { secret, csr, metadata }).await?;
        let identity = Self {
            instance: answer.instance,
            certificate: answer.certificate,
            renew_at: answer.renew_at,
            interval_ms: answer.interval_ms,
            enrolment,
        };
        identity.check(key)?;
        Statements::forget(folder)?;
        folder.write_json(FILE, &identity)?;
        Ok(identity)
    }

    /// Renews the certificate over the same key.
    pub(super) async fn renew(
        &self,
        folder: &Folder,
        client: &Client,
        key: &SigningKey,
        (chain_head, pending): (Option<Digest>, Option<Digest>),
    ) -> Result<Self, ShellError> {
        let own = governance::InstanceKey::from_bytes(*proof::Sign::public_key(key).as_bytes());
        let answer =
            client.renew(self.instance, &Renew { csr: csr(key)?, key: own, chain_head, pending }).await?;
        let identity = Self { certificate: answer.certificate, renew_at: answer.renew_at, ..self.clone() };
        identity.check(key)?;
        folder.write_json(FILE, &identity)?;
        Ok(identity)
    }

    /// Keeps no certificate that is not of our key.
    fn check(&self, key: &SigningKey) -> Result<(), ShellError> {
        let untrusted = ShellError::untrusted("the certificate");
        let chain = self.chain()?;
        let leaf = chain.first().ok_or_else(|| ShellError::untrusted("the certificate")(&"there is none"))?;
        let found = trust::identity::public_key(leaf).map_err(|error| untrusted(&error))?;
        if found == *proof::Sign::public_key(key) {
            Ok(())
        } else {
            Err(ShellError::untrusted("the certificate")(&"it is of another key"))
        }
    }
}

fn csr(key: &SigningKey) -> Result<String, ShellError> {
    trust::ca::make_csr(key).map_err(|error| ShellError::System(error.to_string()))
}

/// A client of the plane that shows this chain.
pub(super) fn client(
    address: &str,
    root_ca: &RootCa,
    chain: Vec<CertificateDer<'static>>,
    key: &Arc<SigningKey>,
) -> Result<Client, ShellError> {
    let tls = trust::tls::client_config(root_ca, chain, key)
        .map_err(|error| ShellError::System(error.to_string()))?;
    let signer: Arc<dyn proof::Sign + Send + Sync> = Arc::<SigningKey>::clone(key);
    Client::new(address, tls, signer, Arc::new(SystemSource)).map_err(|error: ClientError| error.into())
}
