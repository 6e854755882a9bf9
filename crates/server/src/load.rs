//! Reads a federation's folder: documents that the Founder signed, and the online keys that they name.
//!
//! Believes the root keys in `founder.json` and nothing else: whatever they did not sign, and every online key that the
//! keys document does not name for its purpose and for now, ends the start (AU-4).

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use governance::Timestamp;
use plane::{Federation, PlaneError};
use proof::jws::JwsError;
use proof::keys::{KeysDocument, KeysError, Purpose};
use proof::{Jws, KeyId, KeySet, Sign as _};
use rustls::pki_types::CertificateDer;
use store::OpenError;
use trust::tls::TlsError;
use trust::tuf::PublishError;
use trust::{
    BrowserError, CaError, IdentityError, Issuer, KeyFileError, KeySource, RootCa, Secret, Secrets, Signer,
    SignerError,
};

use crate::aside::Aside;
use crate::settings::Settings;

/// The longest document or certificate in a federation's folder, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Why the server does not start. Each names the file or the address at fault.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file cannot be read or a folder not be made.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A document that is not what it should be.
    #[error("{}: {why}", .path.display())]
    Document {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A private key.
    #[error(transparent)]
    Key(#[from] SignerError),
    /// The file of the passphrase.
    #[error("keys.passphrase_file: {0}")]
    Passphrase(KeyFileError),
    /// A key under a passphrase that nobody said.
    #[error("{0}; name the file with it in keys.passphrase_file")]
    NoPassphrase(KeyFileError),
    /// An online key that the keys document does not name.
    #[error(
        "{key}: the keys document does not name this key for `{purpose}` at this time (AU-4): have the Founder sign a keys document that does"
    )]
    KeyNotNamed {
        /// Where the key is.
        key: KeySource,
        /// What it is used for.
        purpose: Purpose,
    },
    /// The system lets the process open too few files to serve anybody.
    #[error(
        "the process may open {allowed} files, and its limits ask for {wanted}: raise the limit of open files \
         (`ulimit -n`, LimitNOFILE) to {least} at least"
    )]
    Descriptors {
        /// Files that may be open.
        allowed: usize,
        /// What the settings ask for.
        wanted: usize,
        /// What a small server does with.
        least: usize,
    },
    /// Another server runs on this folder.
    #[error("{}: another server runs on this folder; stop it first", .0.display())]
    Locked(PathBuf),
    /// The database.
    #[error("{place}: {source}")]
    Store {
        /// The file, or the key that names the server.
        place: String,
        /// Why.
        source: OpenError,
    },
    /// The TUF repository.
    #[error("the TUF repository: {0}")]
    Repository(#[from] PublishError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What browsers are shown.
    #[error("paths.dashboard: {0}")]
    Browser(#[from] BrowserError),
    /// The federation could not be taken up.
    #[error("the plane: {0}")]
    Plane(#[from] PlaneError),
    /// An address cannot be listened on.
    #[error("listen.{listener}: cannot listen on {address}: {source}; free the port or set another")]
    Listen {
        /// Which listener.
        listener: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Settings that cannot be.
    #[error("{key}: {why}")]
    Settings {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        why: String,
    },
}

/// Everything read from the folder.
pub(crate) struct Loaded {
    pub(crate) federation: Federation,
    pub(crate) root: RootCa,
    pub(crate) server_key: Signer,
    pub(crate) server_chain: Vec<CertificateDer<'static>>,
    pub(crate) held: Held,
}

/// What the folder holds that is yet to be held against what is in force.
pub(crate) struct Held {
    /// The online keys, and where each is.
    keys: Vec<(Purpose, KeySource, KeyId)>,
    /// Where the constitution is.
    constitution: PathBuf,
}

impl Held {
    /// Whether the Founder signed the constitution that the federation is founded with. Later ones come by order: the folder's
    /// counts by its digest alone then, whoever the Founder is by now (FO-5).
    pub(crate) fn check_law(&self, federation: &Federation) -> Result<(), StartError> {
        let verified =
            federation.constitution.verify(proof::jws::Typ::Constitution, &federation.keys.founder);
        let fail = |error: JwsError| document(&self.constitution, &error.to_string());
        verified.map(|_| ()).map_err(fail)
    }

    /// Whether the keys document in force names each of them for its purpose: what others sign counts for nothing (AU-4).
    pub(crate) fn check(self, keys: &KeysDocument, now: Timestamp) -> Result<(), StartError> {
        match self.keys.into_iter().find(|(purpose, _, id)| keys.find(*purpose, *id, now).is_none()) {
            Some((purpose, key, _)) => Err(StartError::KeyNotNamed { key, purpose }),
            None => Ok(()),
        }
    }
}

/// The keys that sign the TUF repository anew.
pub(crate) struct TufKeys {
    pub(crate) snapshot: Signer,
    pub(crate) timestamp: Signer,
}

/// Reads the folder.
pub(crate) fn load(settings: &Settings) -> Result<(Loaded, TufKeys), StartError> {
    let paths = &settings.paths;
    let founder_path = settings.path(&paths.founder);
    let founder: KeySet = serde_json::from_slice(&read(&founder_path)?)
        .map_err(|error| document(&founder_path, &format!("not the root keys: {error}")))?;

    let keys_path = settings.path(&paths.keys);
    let keys_document = jws(&keys_path)?;
    let keys = KeysDocument::open(&keys_document, &founder)
        .map_err(|error: KeysError| document(&keys_path, &error.to_string()))?;
    let root = RootCa::from_pem(&keys.root_ca)
        .map_err(|error: IdentityError| document(&keys_path, &format!("root_ca: {error}")))?;
    if *root.trust_domain() != keys.trust_domain {
        return Err(document(&keys_path, &format!("root_ca is of the trust domain {}", root.trust_domain())));
    }

    let mut keyring = Keyring::open(settings)?;
    let mut held = Vec::new();
    let mut online = |purpose: Purpose| -> Result<Signer, StartError> {
        let (key, signer) = keyring.signer(purpose.as_str())?;
        held.push((purpose, key, signer.key_id()));
        Ok(signer)
    };
    let directives = online(Purpose::Directives)?;
    let ledger = online(Purpose::Ledger)?;
    let tokens = online(Purpose::Tokens)?;
    let snapshot = online(Purpose::Snapshot)?;
    let timestamp = online(Purpose::Timestamp)?;

    let folder = settings.path(&paths.federation);
    let ca_path = folder.join("instance-ca.pem");
    let (_, ca_key) = keyring.signer("instance-ca")?;
    let instance_ca = Issuer::instances(&text(&ca_path)?, ca_key, &root)
        .map_err(|error: CaError| document(&ca_path, &error.to_string()))?;

    let retired_path = folder.join("instance-ca.retired.pem");
    let retired_ca = match retired_path.exists() {
        true => {
            let (_, key) = keyring.signer("instance-ca.retired")?;
            let retired = Issuer::instances(&text(&retired_path)?, key, &root);
            Some(retired.map_err(|error: CaError| document(&retired_path, &error.to_string()))?)
        }
        false => None,
    };

    let server_path = folder.join("server.pem");
    let (_, server_key) = keyring.signer("server")?;
    let server_chain = trust::pem::certificates(&text(&server_path)?)
        .map_err(|error| document(&server_path, &error.to_string()))?;

    let constitution_path = settings.path(&paths.constitution);
    let constitution = jws(&constitution_path)?;

    let bundle = keys.root_ca.clone();
    let root_expires = trust::identity::expires(root.certificate())
        .map_err(|error| document(&keys_path, &format!("root_ca: {error}")))?;
    let server_expires = server_chain.first().ok_or_else(|| document(&server_path, "no certificate"))?;
    let server_expires = trust::identity::expires(server_expires)
        .map_err(|error| document(&server_path, &error.to_string()))?;
    let federation = Federation {
        keys,
        keys_document,
        constitution,
        instance_ca,
        retired_ca,
        bundle,
        root_expires,
        server_expires,
        directives,
        ledger,
        tokens,
    };
    Ok((
        Loaded {
            federation,
            root,
            server_key,
            server_chain,
            held: Held { keys: held, constitution: constitution_path },
        },
        TufKeys { snapshot, timestamp },
    ))
}

/// The online keys, as the settings place them.
struct Keyring<'a> {
    settings: &'a Settings,
    secrets: Secrets,
}

impl<'a> Keyring<'a> {
    fn open(settings: &'a Settings) -> Result<Self, StartError> {
        let passphrase = settings.passphrase_file().map(|file| Secret::read(&file)).transpose();
        let passphrase = passphrase.map_err(StartError::Passphrase)?;
        Ok(Self { settings, secrets: passphrase.map_or_else(Secrets::none, Secrets::given) })
    }

    fn signer(&mut self, name: &str) -> Result<(KeySource, Signer), StartError> {
        let source = self.settings.key(name);
        let signer = source.open(&mut self.secrets).map_err(|error| match error {
            SignerError::File(error @ KeyFileError::Locked(_)) => StartError::NoPassphrase(error),
            error => error.into(),
        })?;
        let signer = if source.is_token() { Signer::new(Aside(signer)) } else { signer };
        Ok((source, signer))
    }
}

fn document(path: &Path, why: &str) -> StartError {
    StartError::Document { path: path.to_path_buf(), why: why.to_owned() }
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    let fail = |source| StartError::File { path: path.to_path_buf(), source };
    let length = fs::metadata(path).map_err(fail)?.len();
    if length > FILE_BYTES_MAX {
        return Err(document(path, &format!("{length} bytes: at most {FILE_BYTES_MAX}")));
    }
    fs::read(path).map_err(fail)
}

fn text(path: &Path) -> Result<String, StartError> {
    String::from_utf8(read(path)?).map_err(|_| document(path, "not text"))
}

fn jws(path: &Path) -> Result<Jws, StartError> {
    Jws::parse(&read(path)?).map_err(|error| document(path, &error.to_string()))
}
