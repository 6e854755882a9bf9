//! Where the truth is kept, in the settings.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use store::{Place, PostgresOptions};
use trust::Secret;
use trust::secret::secret_file;

use super::Settings;

/// The longest CA file, in bytes.
const CA_BYTES_MAX: u64 = 1024 * 1024;

/// Which database holds the truth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// A PostgreSQL server, as `postgres://USER@HOST:PORT/DATABASE`; empty: the file of `paths.database`.
    pub url: String,
    /// The file with the password of that user; empty: none is asked for.
    pub password_file: PathBuf,
    /// The certificates of those who vouch for that server; needed where it is not on this machine.
    pub ca_file: PathBuf,
}

impl Store {
    /// Whether this can be: the key at fault, and why not.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.url.is_empty() {
            return Ok(());
        }
        if !store::is_postgres_url(&self.url) {
            let why = "write it as postgres://USER@HOST:PORT/DATABASE, or leave it empty for the file of paths.database";
            return Err(("store.url", why.to_owned()));
        }
        if store::holds_password(&self.url) {
            let why = "a password does not belong into this file: put it into one of its own, mode 0600, and name that in \
                       store.password_file";
            return Err(("store.url", why.to_owned()));
        }
        Ok(())
    }
}

impl Settings {
    /// Where the truth is kept, with what it takes to get there.
    ///
    /// # Errors
    /// The key at fault, and why the file that it names cannot be read.
    pub fn store_place(&self) -> Result<Place, (&'static str, String)> {
        let Store { url, password_file, ca_file } = &self.store;
        if url.is_empty() {
            return Ok(Place::File(self.path(&self.paths.database)));
        }
        let mut options = PostgresOptions::default();
        if !password_file.as_os_str().is_empty() {
            let file = self.path(&secret_file(password_file));
            let password = Secret::read(&file).map_err(|error| ("store.password_file", error.to_string()))?;
            options.password = Some(password);
        }
        if !ca_file.as_os_str().is_empty() {
            let file = self.path(ca_file);
            let fail = |why: String| ("store.ca_file", format!("{}: {why}", file.display()));
            let length = fs::metadata(&file).map_err(|error| fail(error.to_string()))?.len();
            if length > CA_BYTES_MAX {
                return Err(fail(format!("{length} bytes: at most {CA_BYTES_MAX}")));
            }
            options.ca = Some(fs::read_to_string(&file).map_err(|error| fail(error.to_string()))?);
        }
        Ok(Place::Server(url.clone(), options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &std::path::Path, store: Store) -> Settings {
        Settings { store, ..Settings::in_folder(folder) }
    }

    #[test]
    fn a_url_leads_to_a_server_and_none_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |url: &str| settings(folder.path(), Store { url: url.to_owned(), ..Store::default() });
        let file = at("").store_place().ok().unwrap();
        assert!(matches!(file, Place::File(path) if path == folder.path().join("data/fedplane.db")));
        let server = at("postgres://a@localhost/f").store_place().ok().unwrap();
        assert!(matches!(server, Place::Server(url, _) if url == "postgres://a@localhost/f"));
        for (url, word) in [("mydb", "postgres://"), ("postgres://a:hush@localhost/f", "password_file")] {
            let (key, why) = at(url).store.check().unwrap_err();
            assert!(key == "store.url" && why.contains(word) && !why.contains("hush"), "{why}");
        }
    }

    #[test]
    fn what_it_takes_is_read_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let named = Store {
            url: "postgres://a@db.example/f".to_owned(),
            password_file: "password".into(),
            ca_file: "ca.pem".into(),
        };
        let settings = settings(folder.path(), named);
        assert_eq!(settings.store_place().err().unwrap().0, "store.password_file");
        fs::write(folder.path().join("password"), "hush\n").unwrap();
        #[cfg(unix)]
        fs::set_permissions(
            folder.path().join("password"),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .unwrap();
        assert_eq!(settings.store_place().err().unwrap().0, "store.ca_file");
        fs::write(folder.path().join("ca.pem"), "certificates").unwrap();
        let Ok(Place::Server(_, options)) = settings.store_place() else { panic!("a server") };
        assert_eq!(options.ca.as_deref(), Some("certificates"));
        assert!(options.password.is_some());
    }
}
