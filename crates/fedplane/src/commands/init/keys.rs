//! The keys of a ceremony: which are made, in what, and which were made before.
//!
//! Keys of people and keys of the server are under different passphrases: that of the server lies on the server, and what
//! is stolen there must open no medium that is found elsewhere. Never leaves a key in a token that belongs to no federation.

use std::path::{Path, PathBuf};

use clap::Args;
use server::settings::{Keys, Settings};
use trust::pkcs11::Pkcs11Uri;
use trust::{KeySource, Secret, Secrets, Signer};

use crate::Failure;
use crate::folder::Folder;
use crate::secrets::{SecretArgs, new_passphrase};

/// Where the keys of a ceremony are.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Keys")]
pub struct KeyArgs {
    /// A Founder key that exists already, a file or a `pkcs11:` URI, instead of one that is made; may be repeated.
    #[arg(long = "founder-key", value_name = "KEY", conflicts_with = "founders")]
    pub founder: Vec<KeySource>,
    /// An Organism key that exists already, instead of one that is made; may be repeated.
    #[arg(long = "organism-key", value_name = "KEY", conflicts_with = "organisms")]
    pub organism: Vec<KeySource>,
    /// The root CA's key, if it exists already.
    #[arg(long = "root-ca-key", value_name = "KEY")]
    pub root_ca: Option<KeySource>,
    /// The first operator's key, if it exists already.
    #[arg(long = "admin-key", value_name = "KEY")]
    pub admin: Option<KeySource>,
    /// The token in which the online keys are made, each under its name, as
    /// `pkcs11:token=fed?module-path=/usr/lib/…&pin-source=/etc/…` [default: files].
    #[arg(long = "online-keys", value_name = "URI")]
    pub online: Option<Pkcs11Uri>,
    /// Puts the keys of Founder, Organism, root CA and operator that are made under the passphrase in this file, mode 0600;
    /// and opens with it those that exist.
    #[arg(long, value_name = "FILE", conflicts_with = "encrypt")]
    pub passphrase_file: Option<PathBuf>,
    /// The same under a passphrase that is asked for at the terminal, twice.
    #[arg(long)]
    pub encrypt: bool,
    /// Puts the online keys under the passphrase in this file, mode 0600, which `serve` reads when it starts.
    #[arg(long, value_name = "FILE", conflicts_with = "online")]
    pub online_passphrase_file: Option<PathBuf>,
}

/// The keys of one ceremony, as they come to be.
pub(super) struct Keyring<'a> {
    args: &'a KeyArgs,
    folder: &'a Folder,
    passphrase: Option<Secret>,
    online_passphrase: Option<Secret>,
    secrets: Secrets,
    /// What was made in a token, to be unmade unless the ceremony comes to its end.
    in_token: Vec<KeySource>,
    finished: bool,
}

impl<'a> Keyring<'a> {
    /// Reads or asks for the passphrases, before anything is made.
    pub(super) fn open(args: &'a KeyArgs, folder: &'a Folder) -> Result<Self, Failure> {
        let passphrase = new_passphrase(args.encrypt, args.passphrase_file.as_deref(), "the offline keys")?;
        let online_passphrase =
            new_passphrase(false, args.online_passphrase_file.as_deref(), "the online keys")?;
        let secrets = SecretArgs { passphrase_file: args.passphrase_file.clone() }.secrets()?;
        let (in_token, finished) = (Vec::new(), false);
        Ok(Self { args, folder, passphrase, online_passphrase, secrets, in_token, finished })
    }

    /// The keys of an authority: those given, else so many new ones.
    pub(super) fn holders(
        &mut self,
        given: &[KeySource],
        count: u32,
        path: impl Fn(u32) -> PathBuf,
    ) -> Result<Vec<Signer>, Failure> {
        if given.is_empty() {
            return (1..=count).map(|number| self.offline(None, &path(number))).collect();
        }
        given.iter().map(|source| Ok(source.open(&mut self.secrets)?)).collect()
    }

    /// The root CA's key.
    pub(super) fn root_ca(&mut self) -> Result<Signer, Failure> {
        self.offline(self.args.root_ca.as_ref(), &self.folder.founder_keys().join("root-ca.key"))
    }

    /// The first operator's key.
    pub(super) fn admin(&mut self) -> Result<Signer, Failure> {
        self.offline(self.args.admin.as_ref(), &self.folder.operators().join("admin.key"))
    }

    fn offline(&mut self, given: Option<&KeySource>, path: &Path) -> Result<Signer, Failure> {
        match given {
            Some(source) => Ok(source.open(&mut self.secrets)?),
            None => Ok(KeySource::from(path).make(self.passphrase.as_ref(), &mut self.secrets)?),
        }
    }

    /// Makes the online key of this name.
    pub(super) fn online(&mut self, name: &str) -> Result<Signer, Failure> {
        let source = match &self.args.online {
            Some(token) => KeySource::Token(Box::new(token.with_object(name))),
            None => self.folder.federation_keys().join(format!("{name}.key")).into(),
        };
        let signer = source.make(self.online_passphrase.as_ref(), &mut self.secrets)?;
        if source.is_token() {
            self.in_token.push(source);
        }
        Ok(signer)
    }

    /// The ceremony came to its end: what was made stays.
    pub(super) const fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for Keyring<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for source in &self.in_token {
            let _ = source.unmake(&mut self.secrets);
        }
    }
}

impl KeyArgs {
    /// What the server must be told of where its keys are.
    pub(super) fn tell(&self, settings: &mut Settings) -> Result<(), Failure> {
        if let Some(token) = &self.online {
            settings.keys = Keys::in_token(token);
        }
        if let Some(file) = &self.online_passphrase_file {
            let absolute =
                std::path::absolute(file).map_err(|error| Failure::file(file, "find it", &error))?;
            settings.keys.passphrase_file = absolute;
        }
        Ok(())
    }
}
