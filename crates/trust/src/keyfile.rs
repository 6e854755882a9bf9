//! Private keys: made here, kept in files only their owner reads (PKCS#8 PEM, mode 0600, plain or under a passphrase), and
//! used to sign.
//!
//! Never overwrites a file but by the same key, never reads a key that others can read, never shows a key in a message.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use proof::{PublicKey, Sign, SignError};
use rustix::fs::OFlags;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use crate::encrypted::{EncryptedError, EncryptedKey};
use crate::pem;
use crate::secret::{Secret, Secrets, StaysLocked};

/// The longest key file, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 4 * 1024;
/// Access rights of a private key's file: its owner's alone.
pub const PRIVATE_MODE: u32 = 0o600;
/// Access rights of a file anyone may read.
pub const PUBLIC_MODE: u32 = 0o644;
/// What a file is called on its way to the place of another: no name that anybody gives a key.
const PARTIAL: &str = ".fedplane-partial";

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
    #[error("{path}: no such file; name the one that holds it", path = .0.display())]
    Missing(PathBuf),
    /// Others can read it.
    #[error(
        "{path}: others than its owner may access this secret (mode {mode:04o}); run `chmod 600 {path}`, and replace the secret if they may have read it",
        path = .path.display()
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its access rights.
        mode: u32,
    },
    /// It is encrypted, and nobody said the passphrase.
    #[error("{path}: the private key is encrypted, and no passphrase is at hand", path = .0.display())]
    Locked(PathBuf),
    /// It is encrypted with another passphrase.
    #[error("{path}: the passphrase is not that of this private key", path = .0.display())]
    Passphrase(PathBuf),
    /// It is encrypted in a way that is not read here.
    #[error("{path}: {why}", path = .path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: EncryptedError,
    },
    /// A file that should hold a passphrase or a PIN.
    #[error("{path}: not a passphrase or PIN: one line of text, of at most 1024 bytes", path = .0.display())]
    NotASecret(PathBuf),
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

/// An Ed25519 private key in memory; a clone is the same key in the same place. Wiped when the last one is dropped; its
/// `Debug` shows the key id only.
#[derive(Clone)]
pub struct SigningKey(Arc<Held>);

struct Held {
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
        Ok(Self(Arc::new(Held { pair, pkcs8: Zeroizing::new(der.to_vec()), public })))
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
        Zeroizing::new(pem::encode("PRIVATE KEY", &self.0.pkcs8))
    }

    /// As PEM, encrypted where there is a passphrase.
    fn to_text(&self, passphrase: Option<&Secret>) -> Result<Zeroizing<String>, KeyFileError> {
        match passphrase {
            None => Ok(self.to_pem()),
            Some(passphrase) => EncryptedKey::seal(self, passphrase).map(Zeroizing::new),
        }
    }

    /// Its PKCS#8 DER.
    pub(crate) fn to_pkcs8(&self) -> &[u8] {
        &self.0.pkcs8
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
        self.save_under(path, None)
    }

    /// As [`SigningKey::save`], encrypted where there is a passphrase.
    ///
    /// # Errors
    /// As [`SigningKey::save`].
    pub fn save_under(&self, path: &Path, passphrase: Option<&Secret>) -> Result<(), KeyFileError> {
        write_new(path, self.to_text(passphrase)?.as_bytes(), PRIVATE_MODE)
    }

    /// Writes the file that it was read from anew, whole or not at all: under another passphrase, or under none. Of a link, the
    /// file that it leads to.
    ///
    /// # Errors
    /// When the file cannot be written; it holds what it held then.
    pub fn replace(&self, path: &Path, passphrase: Option<&Secret>) -> Result<(), KeyFileError> {
        let real = std::fs::canonicalize(path).map_err(io(path, "find out where it is"))?;
        write_over(&real, self.to_text(passphrase)?.as_bytes(), PRIVATE_MODE)
    }

    /// Reads a key from its file.
    ///
    /// # Errors
    /// When there is none, others may read it, or it holds something else or an encrypted key.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        Self::unlock(path, &mut Secrets::none())
    }

    /// Reads a key from its file; an encrypted one is opened with the secrets at hand.
    ///
    /// # Errors
    /// As [`SigningKey::load`], and when no passphrase is at hand or none fits.
    pub fn unlock(path: &Path, secrets: &mut Secrets) -> Result<Self, KeyFileError> {
        let malformed = || KeyFileError::Malformed(path.to_path_buf());
        let text = read_private(path, KEY_FILE_BYTES_MAX, Private::Key)?.ok_or_else(malformed)?;
        if !EncryptedKey::is_in(&text) {
            return Self::from_pem(&text).map_err(|_| malformed());
        }
        let key = EncryptedKey::from_pem(&text)
            .map_err(|why| KeyFileError::Encrypted { path: path.to_path_buf(), why })?;
        secrets.unlock(&path.display().to_string(), |passphrase| key.open(passphrase)).map_err(
            |why| match why {
                StaysLocked::Nobody => KeyFileError::Locked(path.to_path_buf()),
                StaysLocked::Wrong => KeyFileError::Passphrase(path.to_path_buf()),
                StaysLocked::Unasked(error) => io(path, "ask for its passphrase")(error),
            },
        )
    }

    /// Whether the file at this path holds an encrypted key.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_locked(path: &Path) -> Result<bool, KeyFileError> {
        Ok(read_private(path, KEY_FILE_BYTES_MAX, Private::Key)?
            .is_some_and(|text| EncryptedKey::is_in(&text)))
    }
}

/// What a private text is, and so who else may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Private {
    /// A key: in a file, its owner's alone.
    Key,
    /// A passphrase or PIN: a pipe may give it too.
    Secret,
    /// The same, put there by systemd: the group that its mode shows is an entry for the service alone.
    Credential,
}

/// Reads a private text; none where it is longer, or no text.
pub(crate) fn read_private(
    path: &Path,
    bytes_max: u64,
    kind: Private,
) -> Result<Option<Zeroizing<String>>, KeyFileError> {
    let mut options = OpenOptions::new();
    options.read(true);
    if kind != Private::Secret {
        // A pipe in the place of a key is refused below; without this, opening it waits for whoever writes.
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => KeyFileError::Missing(path.to_path_buf()),
        _ => io(path, "open it")(error),
    })?;
    // Of the opened file, not of the name: nobody can swap it in between.
    let metadata = file.metadata().map_err(io(path, "read its access rights"))?;
    let mode = metadata.permissions().mode() & 0o7777;
    let others = if kind == Private::Credential { 0o037 } else { 0o077 };
    if mode & others != 0 {
        return Err(KeyFileError::Readable { path: path.to_path_buf(), mode });
    }
    let readable = metadata.is_file() || (kind == Private::Secret && metadata.file_type().is_fifo());
    if !readable || metadata.len() > bytes_max {
        return Ok(None);
    }
    // Of its full size at once, so that nothing is left behind by a move.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(bytes_max).unwrap_or(0) + 1));
    match file.take(bytes_max + 1).read_to_string(&mut text) {
        Ok(_) => Ok((text.len() as u64 <= bytes_max).then_some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(io(path, "read it")(error)),
    }
}

impl Sign for SigningKey {
    fn public_key(&self) -> &PublicKey {
        &self.0.public
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.0.pair.sign(message).as_ref().try_into().map_err(|_| SignError {
            key: self.0.public.id(),
            why: "the cryptographic library gave no signature of 64 bytes".to_owned(),
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.0.public.id())
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
    sync_folder(path)
}

/// Writes a file in the place of the one that stands there, whole or not at all, on disk (its name too) before this returns.
/// What an earlier try that was cut short left beside it is taken away: it may be a key in plain.
///
/// # Errors
/// When the system refuses; the file holds what it held then.
pub fn write_over(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyFileError> {
    let mut name = path.as_os_str().to_owned();
    name.push(PARTIAL);
    let beside = PathBuf::from(name);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io(&beside, "take away what an earlier try left there")(error));
        }
        _ => {}
    }
    let written = write_new(&beside, bytes, mode)
        .and_then(|()| std::fs::rename(&beside, path).map_err(io(path, "replace it")));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.and_then(|()| sync_folder(path))
}

/// Copies a private key's file, as it is, in the place of another: as [`write_over`]; mode 0600.
///
/// # Errors
/// When there is none, others may read it, it is no key's file, or the system refuses.
pub fn copy_over(from: &Path, to: &Path) -> Result<(), KeyFileError> {
    let text = read_private(from, KEY_FILE_BYTES_MAX, Private::Key)?;
    let text = text.ok_or_else(|| KeyFileError::Malformed(from.to_path_buf()))?;
    write_over(to, text.as_bytes(), PRIVATE_MODE)
}

/// Brings a file's name to the disk.
fn sync_folder(path: &Path) -> Result<(), KeyFileError> {
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

    fn secret(text: &str) -> Secret {
        Secret::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn an_encrypted_key_opens_with_its_passphrase_and_changes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        let key = SigningKey::generate().unwrap();
        key.save_under(&path, Some(&secret("one"))).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE_MODE);
        assert!(SigningKey::is_locked(&path).unwrap());
        assert!(matches!(SigningKey::load(&path), Err(KeyFileError::Locked(_))));
        let open = |with: &str| SigningKey::unlock(&path, &mut Secrets::given(secret(with)));
        assert!(matches!(open("two"), Err(KeyFileError::Passphrase(_))));
        assert_eq!(open("one").unwrap().key_id(), key.key_id());
        key.replace(&path, Some(&secret("two"))).unwrap();
        assert!(open("one").is_err());
        assert_eq!(open("two").unwrap().key_id(), key.key_id());
        key.replace(&path, None).unwrap();
        assert_eq!(SigningKey::load(&path).unwrap().key_id(), key.key_id());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn the_file_that_a_link_leads_to_is_replaced_and_what_was_cut_short_is_in_nobody_s_way() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let key = SigningKey::create(&at("real")).unwrap();
        std::os::unix::fs::symlink("real", at("link")).unwrap();
        fs::write(at("real.fedplane-partial"), "a key in plain, of a try before").unwrap();
        fs::write(at("link.new"), "somebody's own").unwrap();
        key.replace(&at("link"), Some(&secret("one"))).unwrap();
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert!(SigningKey::is_locked(&at("real")).unwrap(), "no plain key is left");
        assert_eq!(fs::metadata(at("real")).unwrap().permissions().mode() & 0o777, PRIVATE_MODE);
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["link", "link.new", "real"]);
    }

    #[test]
    fn a_pipe_in_the_place_of_a_key_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(PRIVATE_MODE),
            0,
        )
        .unwrap();
        assert!(matches!(SigningKey::load(&path), Err(KeyFileError::Malformed(_))));
    }

    #[test]
    fn openssl_reads_what_is_written_and_what_it_writes_is_read() {
        let Ok(version) = std::process::Command::new("openssl").arg("version").output() else { return };
        assert!(version.status.success());
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let passphrase = "correct horse";
        write_new(&path("pass"), passphrase.as_bytes(), PRIVATE_MODE).unwrap();
        let openssl = |arguments: &str| {
            let output = std::process::Command::new("openssl")
                .current_dir(folder.path())
                .args(arguments.split(' '))
                .output()
                .unwrap();
            assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let key = SigningKey::generate().unwrap();
        key.save_under(&path("ours"), Some(&secret(passphrase))).unwrap();
        // An Ed25519 key's SubjectPublicKeyInfo ends with its 32 bytes.
        let public = openssl("pkey -in ours -passin file:pass -pubout -outform DER");
        assert!(public.ends_with(key.public_key().as_bytes()));
        key.save(&path("plain")).unwrap();
        for how in [
            "pkcs8 -topk8 -in plain -out NEW -passout file:pass",
            "pkcs8 -topk8 -in plain -out NEW -passout file:pass -scrypt",
            "pkcs8 -topk8 -in plain -out NEW -passout file:pass -v2 aes-128-cbc -v2prf hmacWithSHA512 -iter 100000",
            "pkey -in plain -out NEW -passout file:pass -aes-256-cbc",
        ] {
            let _ = fs::remove_file(path("theirs"));
            openssl(&how.replace("NEW", "theirs"));
            fs::set_permissions(path("theirs"), fs::Permissions::from_mode(PRIVATE_MODE)).unwrap();
            let read = SigningKey::unlock(&path("theirs"), &mut Secrets::given(secret(passphrase)));
            assert_eq!(read.unwrap().key_id(), key.key_id(), "{how}");
        }
        openssl("genpkey -algorithm ed25519 -aes-256-cbc -pass file:pass -out made");
        fs::set_permissions(path("made"), fs::Permissions::from_mode(PRIVATE_MODE)).unwrap();
        assert!(SigningKey::unlock(&path("made"), &mut Secrets::given(secret(passphrase))).is_ok());
        openssl("pkcs8 -topk8 -in plain -out old -passout file:pass -v1 PBE-SHA1-3DES");
        fs::set_permissions(path("old"), fs::Permissions::from_mode(PRIVATE_MODE)).unwrap();
        let old = SigningKey::unlock(&path("old"), &mut Secrets::given(secret(passphrase))).unwrap_err();
        assert!(old.to_string().contains("openssl pkcs8 -topk8 -scrypt"), "{old}");
    }
}
