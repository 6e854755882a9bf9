//! Passphrases and PINs on the command line: of a file, else asked at the terminal, where nobody sees what is typed.
//!
//! Never an option or an environment variable that holds one: those name the file.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use trust::secret::{PASSPHRASE_CHARS_MIN, SECRET_BYTES_MAX, TRIES_MAX, secret_file};
use trust::{Secret, Secrets};
use zeroize::Zeroizing;

use crate::Failure;

/// The terminal of the process, whatever its input and output are.
const TERMINAL: &str = "/dev/tty";
/// Control-C.
const INTERRUPT: u8 = 3;

/// What opens keys that are encrypted.
#[derive(Args, Clone, Debug, Default)]
pub struct SecretArgs {
    /// The file with the passphrase of encrypted keys, mode 0600 [default: it is asked for at the terminal].
    #[arg(
        long,
        env = "FEDPLANE_PASSPHRASE_FILE",
        hide_env_values = true,
        value_name = "FILE",
        global = true
    )]
    pub passphrase_file: Option<PathBuf>,
}

impl SecretArgs {
    /// The secrets at hand.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn secrets(&self) -> Result<Secrets, Failure> {
        let terminal = terminal().is_ok();
        Ok(match &self.passphrase_file {
            Some(file) if terminal => Secrets::given(read(file)?).with_pins_asked(Box::new(ask)),
            Some(file) => Secrets::given(read(file)?),
            None if terminal => Secrets::asking(Box::new(ask)),
            None => Secrets::none(),
        })
    }
}

/// The attribute by which other programs take a PIN in the name of a key.
const PIN_VALUE: &str = "pin-value=";

/// A message without the PIN that somebody wrote into the name of a key (RFC 7512), where none belongs: to the next
/// attribute, or the end of the line.
#[must_use]
pub fn without_pins(text: &str) -> Cow<'_, str> {
    // Of the same length, so that places in the one are places in the other.
    let lower = text.to_ascii_lowercase();
    if !lower.contains(PIN_VALUE) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = 0..text.len();
    while let Some(found) = lower.get(rest.clone()).and_then(|lower| lower.find(PIN_VALUE)) {
        let value = rest.start + found + PIN_VALUE.len();
        let length =
            lower.get(value..).and_then(|lower| lower.find(['&', '\n'])).unwrap_or(text.len() - value);
        shown.push_str(text.get(rest.start..value).unwrap_or_default());
        shown.push('…');
        rest.start = value + length;
    }
    shown.push_str(text.get(rest).unwrap_or_default());
    shown.into()
}

/// What a new key is put under.
#[derive(Args, Clone, Debug, Default)]
pub struct NewSecretArgs {
    /// Puts the key under a passphrase that is asked for at the terminal, twice.
    #[arg(long, conflicts_with = "new_passphrase_file")]
    pub encrypt: bool,
    /// Puts the key under the passphrase in this file, mode 0600.
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
}

impl NewSecretArgs {
    /// The passphrase, if there is to be one.
    ///
    /// # Errors
    /// When it cannot be read or asked for, or is too short.
    pub fn passphrase(&self, what: &str) -> Result<Option<Secret>, Failure> {
        new_passphrase(self.encrypt, self.new_passphrase_file.as_deref(), what)
    }
}

/// A passphrase to put keys under: asked for, or of a file, or none.
///
/// # Errors
/// When it cannot be read or asked for, or is too short.
pub fn new_passphrase(asked: bool, file: Option<&Path>, what: &str) -> Result<Option<Secret>, Failure> {
    let passphrase = match file {
        Some(file) => read(file)?,
        None if asked => ask_twice(what)?,
        None => return Ok(None),
    };
    if passphrase.is_long_enough() {
        return Ok(Some(passphrase));
    }
    let detail = format!("the passphrase has fewer than {PASSPHRASE_CHARS_MIN} characters");
    Err(Failure::new("passphrase", "AU-2", detail, "take a longer one: some random words are easy to type"))
}

fn read(file: &Path) -> Result<Secret, Failure> {
    Ok(Secret::read(&secret_file(file))?)
}

fn ask_twice(what: &str) -> Result<Secret, Failure> {
    let hint = "run it at a terminal, or name the passphrase\u{2019}s file";
    let fail = |error: io::Error| Failure::new("passphrase", "AU-2", format!("{TERMINAL}: {error}"), hint);
    for _ in 0..TRIES_MAX {
        let first = ask(&format!("New passphrase of {what}")).map_err(fail)?;
        if ask("The same again").map_err(fail)? == first {
            return Ok(first);
        }
    }
    Err(Failure::new("passphrase", "AU-2", "the passphrase was not typed the same twice", "try again"))
}

fn terminal() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(TERMINAL)
}

/// Asks for one line that is not shown.
fn ask(prompt: &str) -> io::Result<Secret> {
    let terminal = terminal()?;
    let silent = Silent::make(&terminal)?;
    write!(&terminal, "{prompt}: ")?;
    let mut line = Zeroizing::new([0; SECRET_BYTES_MAX + 2]);
    let read = (&terminal).read(&mut *line)?;
    drop(silent);
    let line = line.get(..read).unwrap_or_default();
    let bytes = match line.split_last() {
        None => return Err(io::ErrorKind::UnexpectedEof.into()),
        Some((&INTERRUPT, _)) => {
            writeln!(&terminal)?;
            return Err(io::ErrorKind::Interrupted.into());
        }
        Some((b'\n', bytes)) => bytes,
        Some(_) => line,
    };
    let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
    let secret = Secret::new(Zeroizing::new(text.to_owned()));
    secret
        .ok_or_else(|| io::Error::other(format!("nothing was typed, or more than {SECRET_BYTES_MAX} bytes")))
}

/// A terminal that shows nothing of what is typed, until this is dropped. Control-C ends the line instead of the process:
/// one that ends otherwise leaves its user a mute terminal.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn make(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        silent.local_modes.insert(LocalModes::ICANON | LocalModes::ECHONL);
        silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        // What was typed before the question is no answer to it.
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_in_a_name_is_not_shown() {
        let check = |text: &str, shown: &str| assert_eq!(without_pins(text), shown);
        check("pkcs11:token=a?pin-source=/p", "pkcs11:token=a?pin-source=/p");
        check("pkcs11:token=a?pin-value=1234", "pkcs11:token=a?pin-value=…");
        check("a?PIN-Value=12 3'4&module-path=/m\nnext", "a?PIN-Value=…&module-path=/m\nnext");
        check("ä pin-value=1&pin-value=2", "ä pin-value=…&pin-value=…");
        check("pin-value=", "pin-value=…");
    }
}
