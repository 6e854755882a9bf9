//! Keys by name and under a passphrase: what stands in settings, on command lines and on media from elsewhere.

use std::sync::OnceLock;

use trust::encrypted::{EncryptedKey, LABEL, PBKDF2_ROUNDS_MAX, SCRYPT_STEPS_MAX};
use trust::{KeySource, Secret};

use crate::text;

/// Steps that a run may take.
const STEPS_MAX: u64 = 64;

/// The name of a key: a path, or a PKCS #11 URI.
pub fn key_source(data: &[u8]) -> bool {
    let Ok(spelled) = core::str::from_utf8(data) else { return false };
    let found = text::<KeySource>(spelled);
    if let Some(source) = &found {
        assert!(!source.is_token() || !spelled.contains("pin-value="), "a PIN stands in a name");
    }
    found.is_some_and(|source| source.is_token())
}

/// The passphrase of the seeds.
pub(crate) fn passphrase() -> &'static Secret {
    static PASSPHRASE: OnceLock<Secret> = OnceLock::new();
    PASSPHRASE.get_or_init(|| Secret::new("seed".to_owned().into()).expect("a passphrase"))
}

/// An encrypted private key, in PEM or the DER inside. None is taken that costs more than it may; the cheap are opened.
pub fn encrypted_key(data: &[u8]) -> bool {
    let text = if data.starts_with(b"-----") {
        String::from_utf8_lossy(data).into_owned()
    } else {
        trust::pem::encode(LABEL, data)
    };
    let Ok(key) = EncryptedKey::from_pem(&text) else { return false };
    assert!(key.steps() <= SCRYPT_STEPS_MAX.max(PBKDF2_ROUNDS_MAX.into()), "it costs too much");
    if key.steps() <= STEPS_MAX
        && let Some(opened) = key.open(passphrase())
    {
        assert!(trust::SigningKey::from_pem(&opened.to_pem()).is_ok(), "what it opens is no key");
    }
    true
}
