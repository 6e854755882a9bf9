//! Private keys: shows them, makes them, changes the passphrase that they are under, and asks for certificates over them.
//!
//! Never shows a private key, and never writes one under less protection without being told to.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use proof::{PublicKey, Sign as _};
use serde::Serialize;
use trust::keyfile::{PUBLIC_MODE, write_new};
use trust::signer::KeyKind;
use trust::{KeySource, Signer, SigningKey};

use crate::secrets::{NewSecretArgs, SecretArgs, new_passphrase};
use crate::{Failure, Output};

/// Private keys.
#[derive(Args, Clone, Debug)]
pub struct KeyArgs {
    /// What opens keys that are encrypted.
    #[command(flatten)]
    secrets: SecretArgs,
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum KeyCommand {
    /// Shows a key's id, its public half, and how it is kept.
    Show(Named),
    /// Makes a key: in a new file, or in a token, which it never leaves.
    Make(MakeArgs),
    /// Puts the key of a file under a new passphrase, asked for twice at the terminal unless it is in a file.
    Passwd(PasswdArgs),
    /// Writes a certificate request (PKCS#10) over a key, for `operator add --csr`.
    Csr(CsrArgs),
}

#[derive(Args, Clone, Debug)]
struct Named {
    /// The key: a file, or a `pkcs11:` URI.
    key: KeySource,
}

#[derive(Args, Clone, Debug)]
struct MakeArgs {
    /// The key to make: a file, or a `pkcs11:` URI with `object=NAME`.
    key: KeySource,
    #[command(flatten)]
    new_secret: NewSecretArgs,
}

#[derive(Args, Clone, Debug)]
struct PasswdArgs {
    /// The key's file.
    key: KeySource,
    /// The file with the new passphrase, mode 0600.
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// Puts it under none: whoever has the file has the key then.
    #[arg(long, conflicts_with = "new_passphrase_file")]
    plain: bool,
}

#[derive(Args, Clone, Debug)]
struct CsrArgs {
    /// The key: a file, or a `pkcs11:` URI.
    key: KeySource,
    /// The request's file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A key, without its secret.
#[derive(Serialize)]
struct Shown {
    /// Where it is.
    key: KeySource,
    kind: KeyKind,
    /// The RFC 7638 thumbprint.
    id: String,
    public: PublicKey,
}

impl Shown {
    fn new(key: KeySource, signer: &Signer) -> Result<Self, Failure> {
        let kind = key.kind()?;
        Ok(Self { key, kind, id: signer.key_id().to_string(), public: *signer.public_key() })
    }

    fn report(&self) -> String {
        let kind = match self.kind {
            KeyKind::File => "file, readable by its owner",
            KeyKind::EncryptedFile => "file, under a passphrase",
            KeyKind::Token => "token, which it does not leave",
        };
        let public = serde_json::to_string(&self.public).unwrap_or_default();
        Output::pairs(&[
            ("key", self.key.to_string()),
            ("kind", kind.to_owned()),
            ("id", self.id.clone()),
            ("public", public),
        ])
    }
}

/// `fedplane key`.
///
/// # Errors
/// When the key is not there, does not open, or cannot be written.
pub fn run(args: KeyArgs, out: &Output) -> Result<(), Failure> {
    let mut secrets = args.secrets.secrets()?;
    let shown = match args.command {
        KeyCommand::Show(Named { key }) => {
            let signer = key.open(&mut secrets)?;
            Shown::new(key, &signer)?
        }
        KeyCommand::Make(MakeArgs { key, new_secret }) => {
            if key.is_token() && (new_secret.encrypt || new_secret.new_passphrase_file.is_some()) {
                return Err(token_has_a_pin());
            }
            let passphrase = new_secret.passphrase(&key.to_string())?;
            let signer = key.make(passphrase.as_ref(), &mut secrets)?;
            Shown::new(key, &signer)?
        }
        KeyCommand::Passwd(PasswdArgs { key, new_passphrase_file, plain }) => {
            let KeySource::File(path) = &key else { return Err(token_has_a_pin()) };
            let held = SigningKey::unlock(path, &mut secrets)?;
            let passphrase = new_passphrase(!plain, new_passphrase_file.as_deref(), &key.to_string())?;
            held.replace(path, passphrase.as_ref())?;
            Shown::new(key, &held.into())?
        }
        KeyCommand::Csr(CsrArgs { key, out: file }) => {
            let signer = key.open(&mut secrets)?;
            let request = trust::ca::make_csr(&signer)?;
            write_new(&file, request.as_bytes(), PUBLIC_MODE)?;
            Shown::new(key, &signer)?
        }
    };
    out.show(&shown, || shown.report())
}

fn token_has_a_pin() -> Failure {
    let hint = "the PIN of a token is set with the token\u{2019}s own tools, as `pkcs11-tool --change-pin`";
    Failure::usage("a key in a token is under the token\u{2019}s PIN, not under a passphrase", hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use std::path::Path;
    use trust::keyfile::PRIVATE_MODE;
    use trust::{KeyFileError, Secret, Secrets};

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: KeyArgs,
    }

    /// Does what a command line of `fedplane key` says; `@` is the place.
    fn done(place: &Path, line: &str) -> Result<(), Failure> {
        let line = format!("key {line}").replace('@', &format!("{}/", place.display()));
        run(Line::try_parse_from(line.split(' ')).unwrap().args, &Output::stdio(true))
    }

    #[test]
    fn a_key_is_made_shown_and_put_under_another_passphrase() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let done = |line: &str| done(place.path(), line);
        let refused = |line: &str, code: &str| assert_eq!(done(line).unwrap_err().code(), code, "{line}");
        for (name, text) in
            [("one", "the first passphrase"), ("two", "the second passphrase"), ("short", "1234")]
        {
            write_new(&at(name), text.as_bytes(), PRIVATE_MODE).unwrap();
        }
        let open =
            |name: &str| SigningKey::unlock(&at("a"), &mut Secrets::given(Secret::read(&at(name)).unwrap()));
        refused("make @a --new-passphrase-file @short", "passphrase");
        assert!(!at("a").exists());
        done("make @a --new-passphrase-file @one").unwrap();
        refused("make @a --new-passphrase-file @one", "key-file");
        let id = open("one").unwrap().key_id();
        done("show @a --passphrase-file @one").unwrap();
        refused("show @a --passphrase-file @two", "key-file");
        refused("passwd @a --passphrase-file @two --new-passphrase-file @one", "key-file");
        refused("passwd @a --passphrase-file @one --new-passphrase-file @short", "passphrase");
        done("passwd @a --passphrase-file @one --new-passphrase-file @two").unwrap();
        assert!(matches!(open("one"), Err(KeyFileError::Passphrase(_))));
        assert_eq!(open("two").unwrap().key_id(), id);
        done("csr @a --passphrase-file @two --out @a.csr").unwrap();
        let request = std::fs::read_to_string(at("a.csr")).unwrap();
        assert_eq!(trust::ca::read_csr(&request).unwrap().id(), id);
        done("passwd @a --passphrase-file @two --plain").unwrap();
        assert_eq!(SigningKey::load(&at("a")).unwrap().key_id(), id);
        refused("passwd pkcs11:token=fed;object=a --plain", "usage");
        refused("make pkcs11:token=fed;object=a --new-passphrase-file @one", "usage");
        refused("show pkcs11:token=fed;object=a", "token");
    }
}
