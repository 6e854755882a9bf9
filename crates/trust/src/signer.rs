//! Private keys by name, wherever they are kept: in a file, in a file under a passphrase, in a token.
//!
//! Never tells whoever signs which of them it is: they are all the port `proof::Sign`.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use proof::{PublicKey, Sign, SignError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::keyfile::{KeyFileError, SigningKey};
use crate::pkcs11::{Pkcs11Uri, SCHEME, TokenError, TokenKey, UriError};
use crate::secret::{Secret, Secrets};

/// A private key that signs. A clone is the same key.
#[derive(Clone)]
pub struct Signer(Arc<dyn Sign + Send + Sync>);

impl Signer {
    /// A signer of whatever implements the port.
    pub fn new(key: impl Sign + Send + Sync + 'static) -> Self {
        Self(Arc::new(key))
    }
}

impl Sign for Signer {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.0.sign(message)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.key_id())
    }
}

impl From<SigningKey> for Signer {
    fn from(key: SigningKey) -> Self {
        Self::new(key)
    }
}

impl From<&SigningKey> for Signer {
    fn from(key: &SigningKey) -> Self {
        Self::new(key.clone())
    }
}

impl From<&Arc<SigningKey>> for Signer {
    fn from(key: &Arc<SigningKey>) -> Self {
        Self::from(&**key)
    }
}

impl From<&Self> for Signer {
    fn from(key: &Self) -> Self {
        key.clone()
    }
}

/// A key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// Of a file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The name is none.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// Of a token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Where a private key is: the path of a file, or a PKCS #11 URI (RFC 7512). Text and serde form: that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// PKCS#8 in PEM, plain or under a passphrase.
    File(PathBuf),
    /// An object in a token.
    Token(Box<Pkcs11Uri>),
}

/// How a key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// In a file that its owner reads.
    File,
    /// In a file, under a passphrase.
    EncryptedFile,
    /// In a token.
    Token,
}

impl KeySource {
    /// The same, seen from a folder: relative paths begin there.
    #[must_use]
    pub fn seen_from(&self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            Self::Token(_) => self.clone(),
        }
    }

    /// Whether others could be asked while it signs: a token takes its time.
    #[must_use]
    pub const fn is_token(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// How the key is kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn kind(&self) -> Result<KeyKind, SignerError> {
        Ok(match self {
            Self::Token(_) => KeyKind::Token,
            Self::File(path) if SigningKey::is_locked(path)? => KeyKind::EncryptedFile,
            Self::File(_) => KeyKind::File,
        })
    }

    /// Opens the key.
    ///
    /// # Errors
    /// When there is none of that name, or no passphrase or PIN that opens it.
    pub fn open(&self, secrets: &mut Secrets) -> Result<Signer, SignerError> {
        Ok(match self {
            Self::File(path) => Signer::new(SigningKey::unlock(path, secrets)?),
            Self::Token(uri) => Signer::new(TokenKey::open(uri, secrets)?),
        })
    }

    /// Makes a key of that name: in a new file, under the passphrase where there is one, or in the token.
    ///
    /// # Errors
    /// When there is a key of that name, or it cannot be made.
    pub fn make(&self, passphrase: Option<&Secret>, secrets: &mut Secrets) -> Result<Signer, SignerError> {
        Ok(match self {
            Self::File(path) => {
                let key = SigningKey::generate()?;
                key.save_under(path, passphrase)?;
                Signer::new(key)
            }
            Self::Token(uri) => Signer::new(TokenKey::make(uri, secrets)?),
        })
    }

    /// Takes a key that was just made out of its token again; a file is left to whoever removes its folder.
    ///
    /// # Errors
    /// When the token refuses.
    pub fn unmake(&self, secrets: &mut Secrets) -> Result<(), SignerError> {
        match self {
            Self::File(_) => Ok(()),
            Self::Token(uri) => Ok(TokenKey::open(uri, secrets)?.destroy()?),
        }
    }
}

impl From<PathBuf> for KeySource {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for KeySource {
    fn from(path: &Path) -> Self {
        Self::File(path.to_path_buf())
    }
}

impl FromStr for KeySource {
    type Err = UriError;
    fn from_str(text: &str) -> Result<Self, UriError> {
        let scheme = text.get(..SCHEME.len());
        if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME)) {
            return Ok(Self::Token(Box::new(text.parse()?)));
        }
        let file: Result<PathBuf, Infallible> = text.parse();
        match file {
            Ok(path) => Ok(Self::File(path)),
            Err(never) => match never {},
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Token(uri) => write!(f, "{uri}"),
        }
    }
}

impl Serialize for KeySource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_path_unless_it_says_otherwise() {
        let file = |text: &str, path: &str| {
            let source: KeySource = text.parse().unwrap();
            assert_eq!(source, KeySource::File(path.into()));
            assert_eq!(source.to_string(), text);
        };
        file("keys/founder/1.key", "keys/founder/1.key");
        file("./pkcs11:odd", "./pkcs11:odd");
        file("", "");
        let token: KeySource = "pkcs11:token=fed;object=ledger".parse().unwrap();
        assert!(token.is_token());
        assert_eq!(token.seen_from(Path::new("/f")), token);
        let relative = KeySource::File("a.key".into());
        assert_eq!(relative.seen_from(Path::new("/f")), KeySource::File("/f/a.key".into()));
        assert!("pkcs11:colour=red".parse::<KeySource>().is_err());
        let json = serde_json::to_string(&token).unwrap();
        assert_eq!(serde_json::from_str::<KeySource>(&json).unwrap(), token);
    }

    #[test]
    fn a_key_in_a_file_is_made_and_opened_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let source = KeySource::File(folder.path().join("a.key"));
        assert!(source.open(&mut Secrets::none()).is_err());
        let made = source.make(None, &mut Secrets::none()).unwrap();
        assert_eq!(source.open(&mut Secrets::none()).unwrap().key_id(), made.key_id());
        assert_eq!(source.kind().unwrap(), KeyKind::File);
        assert!(source.make(None, &mut Secrets::none()).is_err(), "never overwritten");
        let signature = made.sign(b"message").unwrap();
        assert!(made.public_key().verify(b"message", &signature).is_ok());
    }
}
