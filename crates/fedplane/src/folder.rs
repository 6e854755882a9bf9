//! The folder of a federation: where `init` puts what, and how the rest finds it again.
//!
//! Never believes a document because it lies there: the keys document is opened with the root keys of `founder.json`.

use std::fs;
use std::path::{Path, PathBuf};

use proof::{Jws, KeySet, KeysDocument, RootKeys};
use serde::de::DeserializeOwned;

use crate::Failure;

/// The longest text file that is read whole, in bytes.
pub const TEXT_BYTES_MAX: u64 = 1024 * 1024;

/// A federation's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at this path; nothing is read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// The server's settings.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.0.join("fedplane.toml")
    }
    /// The constitution as text.
    #[must_use]
    pub fn constitution(&self) -> PathBuf {
        self.0.join("constitution.toml")
    }
    /// The constitution as the Founder signed it.
    #[must_use]
    pub fn constitution_signed(&self) -> PathBuf {
        self.0.join("constitution.sig")
    }
    /// The root keys.
    #[must_use]
    pub fn founder(&self) -> PathBuf {
        self.0.join("founder.json")
    }
    /// The keys document.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys.json")
    }
    /// The Founder's private keys and the root CA.
    #[must_use]
    pub fn founder_keys(&self) -> PathBuf {
        self.0.join("keys/founder")
    }
    /// The Organism's private keys.
    #[must_use]
    pub fn organism_keys(&self) -> PathBuf {
        self.0.join("keys/organism")
    }
    /// The online keys.
    #[must_use]
    pub fn federation_keys(&self) -> PathBuf {
        self.0.join("keys/federation")
    }
    /// The operators' keys and certificates.
    #[must_use]
    pub fn operators(&self) -> PathBuf {
        self.0.join("keys/operators")
    }
    /// The Founder's key of this number, counted from 1.
    #[must_use]
    pub fn founder_key(&self, number: u32) -> PathBuf {
        self.founder_keys().join(format!("{number}.key"))
    }
    /// The Organism's key of this number, counted from 1.
    #[must_use]
    pub fn organism_key(&self, number: u32) -> PathBuf {
        self.organism_keys().join(format!("{number}.key"))
    }
    /// The TUF repository.
    #[must_use]
    pub fn tuf(&self) -> PathBuf {
        self.0.join("tuf")
    }
    /// The store and the ledger's files.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// The root keys.
    ///
    /// # Errors
    /// When the file is missing or holds none.
    pub fn root_keys(&self) -> Result<RootKeys, Failure> {
        read_root_keys(&self.founder())
    }

    /// The keys document, opened with the root keys.
    ///
    /// # Errors
    /// When a file is missing, or the root keys did not sign it.
    pub fn keys_document(&self) -> Result<KeysDocument, Failure> {
        read_keys_document(&self.keys(), &self.root_keys()?)
    }
}

/// Reads the root keys of `founder.json`.
///
/// # Errors
/// When the file is missing or holds none.
pub fn read_root_keys(path: &Path) -> Result<RootKeys, Failure> {
    read_json::<KeySet>(path, "name the federation's founder.json")
}

/// Reads a keys document and opens it with the root keys (AU-4).
///
/// # Errors
/// When the file is missing, or the root keys did not sign it.
pub fn read_keys_document(path: &Path, root: &RootKeys) -> Result<KeysDocument, Failure> {
    KeysDocument::open(&read_document(path)?, root).map_err(|error| {
        let detail = format!("{}: {error}", path.display());
        Failure::new(
            "keys-untrusted",
            "AU-4",
            detail,
            "use the keys document of the federation whose root keys you hold",
        )
    })
}

/// Reads a signed document; nothing of it is proved yet.
///
/// # Errors
/// When the file is missing or no signed document.
pub fn read_document(path: &Path) -> Result<Jws, Failure> {
    Jws::parse(read_text(path)?.as_bytes())
        .map_err(|error| Failure::malformed(path, &error, "name a document that `fedplane` signed"))
}

/// Reads a file of JSON.
///
/// # Errors
/// When the file is missing or holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path, hint: &str) -> Result<T, Failure> {
    serde_json::from_str(&read_text(path)?).map_err(|error| Failure::malformed(path, &error, hint))
}

/// Reads a file of TOML; unknown keys are refused with their line.
///
/// # Errors
/// When the file is missing or holds something else.
pub fn read_toml<T: DeserializeOwned>(path: &Path, hint: &str) -> Result<T, Failure> {
    toml::from_str(&read_text(path)?).map_err(|error| Failure::malformed(path, &error, hint))
}

/// Reads a text of at most [`TEXT_BYTES_MAX`] bytes.
///
/// # Errors
/// When the file is missing, longer or no text.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = read_bytes(path, TEXT_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|error| Failure::file(path, "read it as text", &error))
}

/// Reads a file of at most `bytes_max` bytes.
///
/// # Errors
/// When the file is missing or longer.
pub fn read_bytes(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| Failure::file(path, "open it", &error))?;
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::file(path, "read it", &error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::file(path, "read it", &format!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Writes a file whole or not at all, in place of the one that stands there.
///
/// # Errors
/// When the system refuses.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    let write = || {
        let mut file = fs::File::create(&partial)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&partial);
        Failure::file(path, "write it", &error)
    })
}
