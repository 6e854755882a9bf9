//! How an operator reaches the plane: the address, the operator's certificate and key, and the root CA to believe.
//!
//! Never believes a server that the federation's root CA did not certify.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use client::{Client, SystemSource};
use server::settings::Settings;
use trust::{KeySource, RootCa};

use crate::Failure;
use crate::folder::{Folder, read_text};
use crate::secrets::SecretArgs;

/// What to do about settings that say something wrong.
pub const SETTINGS_HINT: &str = "mend that line; the comments in the file say what each key means";

/// Which plane to speak to, and as whom.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub struct ConnectArgs {
    /// The federation's folder: gives the address, the operator's key and certificate, and the root CA.
    #[arg(
        long,
        env = "FEDPLANE_DIR",
        hide_env_values = true,
        value_name = "DIR",
        default_value = ".",
        global = true
    )]
    pub federation: PathBuf,
    /// The plane's address instead of the folder's, as `https://plane.example:8443`.
    #[arg(long, env = "FEDPLANE_URL", hide_env_values = true, value_name = "URL", global = true)]
    pub url: Option<String>,
    /// The operator's certificate (PEM) instead of the folder's `keys/operators/admin.pem`.
    #[arg(long, value_name = "FILE", global = true)]
    pub cert: Option<PathBuf>,
    /// The operator's private key instead of the folder's `keys/operators/admin.key`: a file, or a `pkcs11:` URI.
    #[arg(long = "operator-key", visible_alias = "key", value_name = "KEY", global = true)]
    pub operator_key: Option<KeySource>,
    /// The root CA's certificate (PEM) instead of the one in the folder's keys document.
    #[arg(long = "root-ca", visible_alias = "root", value_name = "FILE", global = true)]
    pub root_ca: Option<PathBuf>,
    /// What opens the operator's key, where it is encrypted.
    #[command(flatten)]
    pub secrets: SecretArgs,
}

impl ConnectArgs {
    /// An operator of the folder's federation, with nothing overridden.
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        Self {
            federation: folder.into(),
            url: None,
            cert: None,
            operator_key: None,
            root_ca: None,
            secrets: SecretArgs::default(),
        }
    }

    /// The federation's folder.
    #[must_use]
    pub fn folder(&self) -> Folder {
        Folder::new(&self.federation)
    }

    /// The client.
    ///
    /// # Errors
    /// When a file is missing, or is not what it should be.
    pub fn client(&self) -> Result<Client, Failure> {
        let root = match &self.root_ca {
            Some(path) => read_root_ca(path)?,
            None => RootCa::from_pem(&self.folder().keys_document()?.root_ca)?,
        };
        let url = match &self.url {
            Some(url) => url.clone(),
            None => plane_url(&self.folder())?,
        };
        self.client_of(&url, &root)
    }

    /// The client of this address, certified by this root.
    ///
    /// # Errors
    /// As [`ConnectArgs::client`].
    pub fn client_of(&self, url: &str, root: &RootCa) -> Result<Client, Failure> {
        let operators = self.folder().operators();
        let certificate = self.cert.clone().unwrap_or_else(|| operators.join("admin.pem"));
        let key = self.operator_key.clone().unwrap_or_else(|| operators.join("admin.key").into());
        let chain = trust::pem::certificates(&read_text(&certificate)?)
            .map_err(|error| Failure::malformed(&certificate, &error, "name the operator's certificate"))?;
        let key = key.open(&mut self.secrets.secrets()?)?;
        let tls = trust::tls::client_config(root, chain, &key).map_err(|error| tls_failure(&error))?;
        Ok(Client::new(url, tls, Arc::new(key), Arc::new(SystemSource))?)
    }
}

/// Why TLS cannot be set up.
#[must_use]
pub fn tls_failure(error: &trust::tls::TlsError) -> Failure {
    Failure::new("tls", "ID-1", error.to_string(), "check that certificate and key belong together")
}

fn read_root_ca(path: &Path) -> Result<RootCa, Failure> {
    let root = RootCa::from_pem(&read_text(path)?);
    root.map_err(|error| Failure::malformed(path, &error, "name the root CA's certificate in PEM"))
}

/// Where the folder's server is reached by instances and operators.
///
/// # Errors
/// When the settings cannot be read.
pub fn plane_url(folder: &Folder) -> Result<String, Failure> {
    let settings = folder_settings(folder)?;
    Ok(url(&settings, settings.listen.instances.port()))
}

/// Where the folder's server publishes for anyone.
///
/// # Errors
/// When the settings cannot be read.
pub fn public_url(folder: &Folder) -> Result<String, Failure> {
    let settings = folder_settings(folder)?;
    Ok(url(&settings, settings.listen.public.port()))
}

/// The settings of a folder's server.
///
/// # Errors
/// When they cannot be read: mostly, that this is no federation's folder.
pub fn folder_settings(folder: &Folder) -> Result<Settings, Failure> {
    let path = folder.settings();
    let hint = if path.exists() {
        SETTINGS_HINT
    } else {
        "name the federation's folder with --federation DIR, or say --url, --cert, --operator-key and --root-ca"
    };
    read_settings(&path, hint)
}

/// Reads the server's settings; `hint` is what to do where they cannot be read.
///
/// # Errors
/// When they cannot be read.
pub fn read_settings(path: &Path, hint: &str) -> Result<Settings, Failure> {
    Settings::load(path).map_err(|error| Failure::new("settings", "CLI", error.to_string(), hint))
}

fn url(settings: &Settings, port: u16) -> String {
    let name = settings.listen.names.first().map_or("localhost", String::as_str);
    // An IPv6 address stands in brackets.
    if name.contains(':') { format!("https://[{name}]:{port}") } else { format!("https://{name}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_first_name_with_the_listener_s_port() {
        for (name, expected) in [
            ("plane.example", "https://plane.example:8443"),
            ("10.0.0.1", "https://10.0.0.1:8443"),
            ("::1", "https://[::1]:8443"),
        ] {
            let mut settings = Settings::default();
            settings.listen.names = vec![name.to_owned()];
            assert_eq!(url(&settings, 8443), expected);
        }
    }
}
