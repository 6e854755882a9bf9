//! Private keys: made here, kept in files only their owner reads (PKCS#8 PEM, mode 0600), and used to sign.
//!
//! Never overwrites a file, never reads a key that others can read, never shows a key in a message.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use proof::{PublicKey, Sign, SignError};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use crate::pem;

/// The longest key file, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 4 * 1024;
/// Access rights of a private key's file: its owner's alone.
pub const PRIVATE_MODE: u32 = 0o600;
/// Access rights of a file anyone may read.
pub const PUBLIC_MODE: u32 = 0o644;

/// Why a key could not be made, kept or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// No random numbers, or no key from them.
    #[error("no key could be made: the system's random number generator failed")]
    Generate,
    /// Not an Ed25519 private key.
    #[error("not an Ed25519 private key in PKCS#8")]
    NotEd25519,
    /// The file holds something else.
    #[error("{path}: not one Ed25519 private key in PKCS#8 PEM (`-----BEGIN PRIVATE KEY-----`)", path = .0.display())]
    Malformed(PathBuf),
    /// Something stands there already.
    #[error("{path}: already exists and is never overwritten; move it away first", path = .0.display())]
    Exists(PathBuf),
    /// Nothing stands there.
    #[error("{path}: no such file; name the file that holds the key, or make one with `fedplane init`", path = .0.display())]
    Missing(PathBuf),
    /// Others can read it.
    #[error(
        "{path}: others than its owner may access this private key (mode {mode:04o}); run `chmod 600 {path}`, and replace the key if they may have read it",
        path = .path.display()
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its access rights.
        mode: u32,
    },
    /// The system refused.
    #[error("{path}: cannot {what}: {error}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        error: std::io::Error,
    },
}

/// An Ed25519 private key in memory. Wiped when dropped; its `Debug` shows the key id only.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl SigningKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyFileError::Generate`] when the system has no random numbers.
    pub fn generate() -> Result<Self, KeyFileError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyFileError::Generate)?;
        // Version 1, without the public key: the form every tool reads.
        let document = pair.to_pkcs8v1().map_err(|_| KeyFileError::Generate)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// A key from its PKCS#8 DER, version 1 or 2.
    ///
    /// # Errors
    /// [`KeyFileError::NotEd25519`] when it is another key or none.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyFileError> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| KeyFileError::NotEd25519)?;
        let raw = <[u8; 32]>::try_from(pair.public_key().as_ref()).map_err(|_| KeyFileError::NotEd25519)?;
        let public = PublicKey::from_bytes(&raw).map_err(|_| KeyFileError::NotEd25519)?;
        Ok(Self { pair, pkcs8: Zeroizing::new(der.to_vec()), public })
    }

    /// A key from its PKCS#8 PEM.
    ///
    /// # Errors
    /// [`KeyFileError::NotEd25519`] when it is another key or none.
    pub fn from_pem(text: &str) -> Result<Self, KeyFileError> {
        let der =
            PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| KeyFileError::NotEd25519)?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    /// The key as PKCS#8 PEM; the text is wiped when dropped.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem::encode("PRIVATE KEY", &self.pkcs8))
    }

    /// A copy for libraries that keep their own.
    pub(crate) fn to_pkcs8_der(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pkcs8.to_vec())
    }

    /// Makes a key and keeps it in a new file.
    ///
    /// # Errors
    /// When something stands there already, or the file cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyFileError> {
        let key = Self::generate()?;
        key.save(path)?;
        Ok(key)
    }

    /// Keeps the key in a new file, mode 0600, on disk before this returns.
    ///
    /// # Errors
    /// When something stands there already, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), KeyFileError> {
        write_new(path, self.to_pem().as_bytes(), PRIVATE_MODE)
    }

    /// Reads a key from its file.
    ///
    /// # Errors
    /// When there is none, others may read it, or it holds something else.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => KeyFileError::Missing(path.to_path_buf()),
            _ => io(path, "open it")(error),
        })?;
        // Of the opened file, not of the name: nobody can swap it in between.
        let metadata = file.metadata().map_err(io(path, "read its access rights"))?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Readable { path: path.to_path_buf(), mode });
        }
        if !metadata.is_file() || metadata.len() > KEY_FILE_BYTES_MAX {
            return Err(KeyFileError::Malformed(path.to_path_buf()));
        }
        let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX as usize));
        let read = file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text);
        match read {
            Ok(_) => Self::from_pem(&text).map_err(|_| KeyFileError::Malformed(path.to_path_buf())),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(KeyFileError::Malformed(path.to_path_buf()))
            }
            Err(error) => Err(io(path, "read it")(error)),
        }
    }
}

impl Sign for SigningKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.pair.sign(message).as_ref().try_into().map_err(|_| SignError {
            key: self.public.id(),
            why: "the cryptographic library gave no signature of 64 bytes".to_owned(),
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id())
    }
}

/// Writes a new file, on disk (its name too) before this returns; an existing one is never touched.
///
/// # Errors
/// When something stands there already, or the system refuses.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyFileError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_path_buf()),
        _ => io(path, "create it")(error),
    })?;
    file.write_all(bytes).map_err(io(path, "write it"))?;
    file.sync_all().map_err(io(path, "bring it to the disk"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io(folder, "bring it to the disk"))
}

fn io(path: &Path, what: &'static str) -> impl FnOnce(std::io::Error) -> KeyFileError {
    let path = path.to_path_buf();
    move |error| KeyFileError::Io { path, what, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_key_keeps_through_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        let key = SigningKey::create(&path).unwrap();
        let again = SigningKey::load(&path).unwrap();
        assert_eq!(key.key_id(), again.key_id());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE_MODE);
        let signature = again.sign(b"message").unwrap();
        assert_eq!(key.public_key().verify(b"message", &signature), Ok(()));
        assert!(key.public_key().verify(b"massage", &signature).is_err());
    }

    #[test]
    fn a_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        let key = SigningKey::create(&path).unwrap();
        assert!(matches!(SigningKey::create(&path), Err(KeyFileError::Exists(_))));
        assert_eq!(SigningKey::load(&path).unwrap().key_id(), key.key_id());
    }

    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        SigningKey::create(&path).unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o660, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match SigningKey::load(&path) {
                Ok(_) => assert!(good, "{mode:o}"),
                Err(error) => {
                    assert!(!good, "{mode:o}");
                    let text = error.to_string();
                    assert!(text.contains("chmod 600") && text.contains("a.key"), "{text}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_key_is_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(matches!(SigningKey::load(&path("none")), Err(KeyFileError::Missing(_))));
        let long = "a".repeat(5000);
        for (name, text) in [("empty", ""), ("text", "hello"), ("long", long.as_str())] {
            write_new(&path(name), text.as_bytes(), PRIVATE_MODE).unwrap();
            assert!(matches!(SigningKey::load(&path(name)), Err(KeyFileError::Malformed(_))), "{name}");
        }
        write_new(&path("binary"), &[0xff; 10], PRIVATE_MODE).unwrap();
        assert!(matches!(SigningKey::load(&path("binary")), Err(KeyFileError::Malformed(_))));
        let other = rcgen::KeyPair::generate().unwrap();
        write_new(&path("p256"), other.serialize_pem().as_bytes(), PRIVATE_MODE).unwrap();
        assert!(matches!(SigningKey::load(&path("p256")), Err(KeyFileError::Malformed(_))));
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = SigningKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.key_id()));
        assert_eq!(SigningKey::from_pem(&key.to_pem()).unwrap().key_id(), key.key_id());
    }
}
