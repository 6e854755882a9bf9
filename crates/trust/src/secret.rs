//! Passphrases and PINs: read from files that only their owner reads, or asked of a person, and wiped when dropped.
//!
//! Never shows one in a message, never takes one from the command line or an environment variable: both are seen by others.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::keyfile::{KeyFileError, Private, read_private};

/// The longest passphrase or PIN, in bytes.
pub const SECRET_BYTES_MAX: usize = 1024;
/// The shortest passphrase under which a key is put, in characters.
pub const PASSPHRASE_CHARS_MIN: usize = 8;
/// How often a person may try a passphrase for one file.
pub const TRIES_MAX: usize = 3;
/// Where systemd puts the credentials of a service.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A passphrase or a PIN: one line of text, not empty. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret of this text; none where it is empty, longer than [`SECRET_BYTES_MAX`] or more than one line.
    #[must_use]
    pub fn new(text: Zeroizing<String>) -> Option<Self> {
        let fits = (1..=SECRET_BYTES_MAX).contains(&text.len());
        (fits && !text.chars().any(|c| matches!(c, '\n' | '\r' | '\0'))).then_some(Self(text))
    }

    /// The secret in a file: its one line, with or without a line end behind it.
    ///
    /// # Errors
    /// When there is no such file, others may read it, or it holds something else.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let kind = if is_credential(path) { Private::Credential } else { Private::Secret };
        let text = read_private(path, SECRET_BYTES_MAX as u64 + 2, kind)?;
        let text = text.ok_or_else(|| KeyFileError::NotASecret(path.to_path_buf()))?;
        let line =
            text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        Self::new(Zeroizing::new(line.to_owned())).ok_or_else(|| KeyFileError::NotASecret(path.to_path_buf()))
    }

    /// Whether a key may be put under it: [`PASSPHRASE_CHARS_MIN`].
    #[must_use]
    pub fn is_long_enough(&self) -> bool {
        self.0.chars().count() >= PASSPHRASE_CHARS_MIN
    }

    /// The text itself, for those who compute with it or must say it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The file of a secret as settings name it: `$CREDENTIALS_DIRECTORY/NAME` is where systemd puts the service's
/// credentials; any other path is taken as it is.
#[must_use]
pub fn secret_file(path: &Path) -> PathBuf {
    let credential = path.strip_prefix(Path::new("$").join(CREDENTIALS));
    let credential = credential.or_else(|_| path.strip_prefix(format!("${CREDENTIALS}")));
    match (credential, std::env::var_os(CREDENTIALS)) {
        (Ok(name), Some(folder)) => Path::new(&folder).join(name),
        _ => path.to_path_buf(),
    }
}

/// Whether systemd put the file there. Its mode shows a group then, which is the mask of an entry for the service alone.
fn is_credential(path: &Path) -> bool {
    std::env::var_os(CREDENTIALS).is_some_and(|folder| {
        !folder.is_empty() && path.parent().map(Path::as_os_str) == Some(OsStr::new(&folder))
    })
}

/// Asks a person; the text says what for. One try.
pub type Ask = Box<dyn FnMut(&str) -> std::io::Result<Secret> + Send>;

/// The secrets at hand, and whom to ask for more.
#[derive(Default)]
pub struct Secrets {
    known: Vec<Secret>,
    ask: Option<Ask>,
    /// A passphrase was given: no other is asked for, but a PIN is.
    given: bool,
}

/// Why something stays locked.
#[derive(Debug)]
pub(crate) enum StaysLocked {
    /// No secret is at hand, and there is nobody to ask.
    Nobody,
    /// None that was given fits.
    Wrong,
    /// It could not be asked for.
    Unasked(std::io::Error),
}

impl Secrets {
    /// None, and nobody to ask: encrypted keys stay closed.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// This passphrase alone.
    #[must_use]
    pub fn given(passphrase: Secret) -> Self {
        Self { known: vec![passphrase], ask: None, given: true }
    }

    /// Whoever answers is asked, once for all keys that the same passphrase opens.
    #[must_use]
    pub const fn asking(ask: Ask) -> Self {
        Self { known: Vec::new(), ask: Some(ask), given: false }
    }

    /// The same, where somebody can be asked for PINs.
    #[must_use]
    pub fn with_pins_asked(self, ask: Ask) -> Self {
        Self { ask: Some(ask), ..self }
    }

    /// Opens something with a passphrase that is known, else with one that is asked for, at most [`TRIES_MAX`] times.
    pub(crate) fn unlock<T>(
        &mut self,
        what: &str,
        open: impl Fn(&Secret) -> Option<T>,
    ) -> Result<T, StaysLocked> {
        if let Some(opened) = self.known.iter().find_map(&open) {
            return Ok(opened);
        }
        let Some(ask) = self.ask.as_mut().filter(|_| !self.given) else {
            return Err(if self.known.is_empty() { StaysLocked::Nobody } else { StaysLocked::Wrong });
        };
        for _ in 0..TRIES_MAX {
            let passphrase = ask(&format!("Passphrase of {what}")).map_err(StaysLocked::Unasked)?;
            if let Some(opened) = open(&passphrase) {
                self.known.push(passphrase);
                return Ok(opened);
            }
        }
        Err(StaysLocked::Wrong)
    }

    /// Asks for a PIN, once: tokens count wrong ones, and lock.
    pub(crate) fn pin(&mut self, token: &str) -> Option<std::io::Result<Secret>> {
        self.ask.as_mut().map(|ask| ask(&format!("PIN of {token}")))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Secrets({} known, {})",
            self.known.len(),
            if self.ask.is_some() { "asking" } else { "mute" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyfile::{PRIVATE_MODE, write_new};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn secret(text: &str) -> Secret {
        Secret::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn a_secret_is_one_line_of_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let long = "a".repeat(SECRET_BYTES_MAX);
        for (index, (text, expected)) in [
            ("open sesame", Some("open sesame")),
            ("open sesame\n", Some("open sesame")),
            ("open sesame\r\n", Some("open sesame")),
            (" spaces count ", Some(" spaces count ")),
            (&format!("{long}\n"), Some(long.as_str())),
            (&format!("{long}a"), None),
            ("two\nlines\n", None),
            ("\n", None),
            ("", None),
        ]
        .into_iter()
        .enumerate()
        {
            let path = folder.path().join(index.to_string());
            write_new(&path, text.as_bytes(), PRIVATE_MODE).unwrap();
            let read = Secret::read(&path);
            assert_eq!(read.as_ref().ok().map(Secret::expose), expected, "{text:?}");
        }
        let open = folder.path().join("open");
        write_new(&open, b"secret", 0o640).unwrap();
        assert!(matches!(Secret::read(&open), Err(KeyFileError::Readable { .. })));
        assert!(matches!(Secret::read(&folder.path().join("none")), Err(KeyFileError::Missing(_))));
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert!(
            !format!("{:?} {:?}", secret("hunter2"), Secrets::given(secret("hunter2"))).contains("hunter2")
        );
    }

    #[test]
    fn a_person_is_asked_once_for_several_and_three_times_at_most() {
        let check = |answers: &[&str], passphrases: &[&str], opened: i32, asked: usize| {
            let count = Arc::new(AtomicUsize::new(0));
            let (counter, mut answers) =
                (count.clone(), answers.iter().map(|text| secret(text)).collect::<Vec<_>>());
            answers.reverse();
            let mut secrets = Secrets::asking(Box::new(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
                answers.pop().ok_or_else(|| std::io::Error::other("no terminal"))
            }));
            let mut fitting = 0;
            for passphrase in passphrases {
                let fits = |given: &Secret| (given.expose() == *passphrase).then_some(1);
                fitting += secrets.unlock("it", fits).unwrap_or(0);
            }
            assert_eq!((fitting, count.load(Ordering::Relaxed)), (opened, asked), "{passphrases:?}");
        };
        check(&["a"], &["a", "a", "a"], 3, 1);
        check(&["a", "b"], &["a", "b", "a"], 3, 2);
        check(&["x", "y", "a"], &["a", "a"], 2, 3);
        check(&["x", "y", "z", "a"], &["a"], 0, 3);
        check(&[], &["a"], 0, 1);
        let mut given = Secrets::given(secret("a"));
        assert!(matches!(given.unlock("it", |_| None::<()>), Err(StaysLocked::Wrong)));
        assert!(matches!(Secrets::none().unlock("it", |_| Some(())), Err(StaysLocked::Nobody)));
    }
}
