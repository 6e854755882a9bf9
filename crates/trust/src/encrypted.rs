//! Private keys under a passphrase: PKCS#8 `EncryptedPrivateKeyInfo` with PBES2 (RFC 8018, RFC 7914), as OpenSSL has it.
//!
//! Never begins a computation that the file asks for before its cost is known to be bearable.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode as _, Encode as _};
use pkcs8::pkcs5::pbes2::{self, EncryptionScheme as Cipher, Kdf, Pbkdf2Prf, Salt, ScryptParams};
use pkcs8::pkcs5::{self, EncryptionScheme};
use pkcs8::{EncryptedPrivateKeyInfoOwned, EncryptedPrivateKeyInfoRef};
use zeroize::Zeroizing;

use crate::keyfile::{KeyFileError, SigningKey};
use crate::secret::Secret;
use crate::{pem, random};

/// What stands between the dashes.
pub const LABEL: &str = "ENCRYPTED PRIVATE KEY";
/// The most memory that deriving a key may take, in bytes.
pub const MEMORY_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The most steps of scrypt, `N·r·p`: about two seconds.
pub const SCRYPT_STEPS_MAX: u64 = 1 << 22;
/// The most rounds of PBKDF2: about two seconds.
pub const PBKDF2_ROUNDS_MAX: u32 = 5_000_000;

/// scrypt's costs for files that are written here. OpenSSL reads no file that takes more than 32 MiB: so the work is done
/// five times over 16 MiB, which costs a guesser what `N = 2^17` costs him in time (OWASP's equivalents).
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u16 = 8;
const SCRYPT_P: u16 = 5;

/// Why an encrypted key is not read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptedError {
    /// No such structure.
    #[error(
        "not one encrypted private key in PKCS#8 PEM (`-----BEGIN {LABEL}-----`), or in a way that is not read here; {CONVERT}"
    )]
    Malformed,
    /// An old or unusual way.
    #[error("encrypted with {0}, which is not read here; {CONVERT}")]
    Unsupported(&'static str),
    /// A file that wants to keep the machine busy.
    #[error("{what} asks for {found}, and at most {max} are granted; {CONVERT}")]
    TooDear {
        /// Which cost.
        what: &'static str,
        /// What the file asks for.
        found: u64,
        /// The limit.
        max: u64,
    },
}

/// What to do about any of them.
const CONVERT: &str = "write it anew: `openssl pkcs8 -topk8 -scrypt -in OLD -out NEW`";

/// A private key under a passphrase: read, its cost bearable, not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedKey {
    kdf: Kdf,
    cipher: Cipher,
    data: Vec<u8>,
}

impl EncryptedKey {
    /// Whether a PEM text says that it is one.
    #[must_use]
    pub fn is_in(text: &str) -> bool {
        text.contains(&format!("-----BEGIN {LABEL}-----"))
    }

    /// Reads a PEM text.
    ///
    /// # Errors
    /// When it holds something else, is encrypted in a way that is not read here, or asks for too much.
    pub fn from_pem(text: &str) -> Result<Self, EncryptedError> {
        let (_, block) =
            x509_parser::pem::parse_x509_pem(text.as_bytes()).map_err(|_| EncryptedError::Malformed)?;
        if block.label != LABEL {
            return Err(EncryptedError::Malformed);
        }
        Self::from_der(&block.contents)
    }

    /// Reads its DER.
    ///
    /// # Errors
    /// As [`EncryptedKey::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, EncryptedError> {
        let info = EncryptedPrivateKeyInfoOwned::from_der(der).map_err(|_| EncryptedError::Malformed)?;
        let EncryptionScheme::Pbes2(pbes2::Parameters { kdf, encryption: cipher }) =
            info.encryption_algorithm
        else {
            return Err(EncryptedError::Unsupported("PBES1"));
        };
        let length = algorithm(&cipher)?.0;
        bearable(&kdf)?;
        if kdf.key_length().is_some_and(|found| usize::from(found) != length) {
            return Err(EncryptedError::Malformed);
        }
        Ok(Self { kdf, cipher, data: info.encrypted_data.into_bytes().into() })
    }

    /// What a try to open it costs: steps of scrypt, or rounds of PBKDF2.
    #[must_use]
    pub fn steps(&self) -> u64 {
        match &self.kdf {
            Kdf::Scrypt(params) => scrypt_steps(params),
            Kdf::Pbkdf2(params) => params.iteration_count.into(),
            _ => 0,
        }
    }

    /// Opens it; none where the passphrase is another, or what it protects is no Ed25519 key.
    #[must_use]
    pub fn open(&self, passphrase: &Secret) -> Option<SigningKey> {
        let (length, algorithm, iv) = algorithm(&self.cipher).ok()?;
        let key = derive(&self.kdf, passphrase, length)?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(algorithm, &key).ok()?).ok()?;
        let mut plain = Zeroizing::new(self.data.clone());
        let plain = key.decrypt(&mut plain, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?;
        SigningKey::from_pkcs8(plain).ok()
    }

    /// Encrypts a key: scrypt and AES-256-CBC, with a fresh salt. As PEM.
    ///
    /// # Errors
    /// [`KeyFileError::Generate`] when the system has no random numbers.
    pub fn seal(key: &SigningKey, passphrase: &Secret) -> Result<String, KeyFileError> {
        seal(key, passphrase).ok_or(KeyFileError::Generate)
    }
}

fn seal(key: &SigningKey, passphrase: &Secret) -> Option<String> {
    let (salt, iv) = (random::<16>().ok()?, random::<16>().ok()?);
    let kdf = Kdf::Scrypt(ScryptParams {
        salt: Salt::new(salt).ok()?,
        cost_parameter: 1 << SCRYPT_LOG_N,
        block_size: SCRYPT_R,
        parallelization: SCRYPT_P,
        key_length: None,
    });
    let secret = derive(&kdf, passphrase, 32)?;
    let secret = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &secret).ok()?).ok()?;
    // Room for the padding from the start, so that the plain key is not left behind by a move.
    let mut data = Zeroizing::new(Vec::with_capacity(key.to_pkcs8().len() + 16));
    data.extend_from_slice(key.to_pkcs8());
    secret.less_safe_encrypt(&mut *data, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    let parameters = pbes2::Parameters { kdf, encryption: Cipher::Aes256Cbc { iv } };
    let info = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: pkcs5::EncryptionScheme::Pbes2(parameters),
        encrypted_data: OctetStringRef::new(&data).ok()?,
    };
    Some(pem::encode(LABEL, &info.to_der().ok()?))
}

/// Length of the key, the cipher, its initialization vector.
const fn algorithm(cipher: &Cipher) -> Result<(usize, &'static Algorithm, [u8; 16]), EncryptedError> {
    match cipher {
        Cipher::Aes128Cbc { iv } => Ok((16, &AES_128, *iv)),
        Cipher::Aes192Cbc { iv } => Ok((24, &AES_192, *iv)),
        Cipher::Aes256Cbc { iv } => Ok((32, &AES_256, *iv)),
        _ => Err(EncryptedError::Unsupported("a cipher other than AES-CBC")),
    }
}

/// Refuses what would take too long or too much.
fn bearable(kdf: &Kdf) -> Result<(), EncryptedError> {
    let at_most = |what, found: u64, max| {
        if found > max { Err(EncryptedError::TooDear { what, found, max }) } else { Ok(()) }
    };
    match kdf {
        Kdf::Pbkdf2(params) => {
            prf(params.prf)?;
            if params.iteration_count == 0 {
                return Err(EncryptedError::Malformed);
            }
            at_most("PBKDF2 (rounds)", params.iteration_count.into(), PBKDF2_ROUNDS_MAX.into())
        }
        Kdf::Scrypt(params) => {
            let (n, r, p) =
                (params.cost_parameter, u64::from(params.block_size), u64::from(params.parallelization));
            let memory = n.saturating_add(p).saturating_mul(r).saturating_mul(128);
            at_most("scrypt (bytes of memory)", memory, MEMORY_BYTES_MAX)?;
            at_most("scrypt (steps)", scrypt_steps(params), SCRYPT_STEPS_MAX)?;
            scrypt_params(params).map(|_| ()).ok_or(EncryptedError::Malformed)
        }
        _ => Err(EncryptedError::Unsupported("an unknown way from passphrase to key")),
    }
}

fn scrypt_steps(params: &ScryptParams) -> u64 {
    let per_part = params.cost_parameter.saturating_mul(params.block_size.into());
    per_part.saturating_mul(params.parallelization.into())
}

fn scrypt_params(params: &ScryptParams) -> Option<scrypt::Params> {
    let n = params.cost_parameter;
    let log_n = u8::try_from(n.checked_ilog2()?).ok()?;
    let power = n.is_power_of_two().then_some(log_n)?;
    scrypt::Params::new(power, params.block_size.into(), params.parallelization.into()).ok()
}

fn prf(prf: Pbkdf2Prf) -> Result<pbkdf2::Algorithm, EncryptedError> {
    match prf {
        Pbkdf2Prf::HmacWithSha256 => Ok(pbkdf2::PBKDF2_HMAC_SHA256),
        Pbkdf2Prf::HmacWithSha384 => Ok(pbkdf2::PBKDF2_HMAC_SHA384),
        Pbkdf2Prf::HmacWithSha512 => Ok(pbkdf2::PBKDF2_HMAC_SHA512),
        Pbkdf2Prf::HmacWithSha1 => Err(EncryptedError::Unsupported("PBKDF2 over SHA-1")),
        _ => Err(EncryptedError::Unsupported("PBKDF2 over an unusual hash")),
    }
}

/// The key under which the data stand, wiped when dropped.
fn derive(kdf: &Kdf, passphrase: &Secret, length: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(vec![0; length]);
    let passphrase = passphrase.expose().as_bytes();
    match kdf {
        Kdf::Pbkdf2(params) => {
            let rounds = NonZeroU32::new(params.iteration_count)?;
            pbkdf2::derive(prf(params.prf).ok()?, rounds, params.salt.as_ref(), passphrase, &mut key);
        }
        Kdf::Scrypt(params) => {
            scrypt::scrypt(passphrase, params.salt.as_ref(), &scrypt_params(params)?, &mut key).ok()?;
        }
        _ => return None,
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pkcs8::pkcs5::pbes2::Pbkdf2Params;
    use proof::Sign as _;

    fn secret(text: &str) -> Secret {
        Secret::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn a_key_opens_with_its_passphrase_alone() {
        let key = SigningKey::generate().unwrap();
        let text = EncryptedKey::seal(&key, &secret("korrekt päßphrase")).unwrap();
        assert!(EncryptedKey::is_in(&text) && !EncryptedKey::is_in(&key.to_pem()));
        let sealed = EncryptedKey::from_pem(&text).unwrap();
        assert_eq!(sealed.open(&secret("korrekt päßphrase")).unwrap().key_id(), key.key_id());
        assert!(sealed.open(&secret("another")).is_none());
        let again = EncryptedKey::seal(&key, &secret("korrekt päßphrase")).unwrap();
        assert_ne!(again, text, "salt and vector are fresh");
    }

    fn parsed(kdf: Kdf, encryption: Cipher) -> Result<EncryptedKey, EncryptedError> {
        let info = EncryptedPrivateKeyInfoRef {
            encryption_algorithm: EncryptionScheme::Pbes2(pbes2::Parameters { kdf, encryption }),
            encrypted_data: OctetStringRef::new(&[7; 64]).unwrap(),
        };
        EncryptedKey::from_der(&info.to_der().unwrap())
    }

    #[test]
    fn a_file_that_asks_for_gigabytes_or_minutes_is_refused() {
        let cipher = Cipher::Aes256Cbc { iv: [1; 16] };
        let scrypt = |cost_parameter, block_size, parallelization| {
            let salt = Salt::new([1; 8]).unwrap();
            let params = ScryptParams { salt, cost_parameter, block_size, parallelization, key_length: None };
            parsed(Kdf::Scrypt(params), cipher)
        };
        let dear = |result| matches!(result, Err(EncryptedError::TooDear { .. }));
        assert!(scrypt(1 << 17, 8, 1).is_ok());
        assert!(scrypt(1 << 14, 8, 5).is_ok());
        assert!(dear(scrypt(1 << 22, 8, 1)), "4 GiB");
        assert!(dear(scrypt(2, u16::MAX, u16::MAX)), "of the parallel parts");
        assert!(dear(scrypt(1 << 14, 8, 64)));
        assert!(dear(scrypt(u64::MAX, u16::MAX, u16::MAX)));
        assert_eq!(scrypt(3, 8, 1), Err(EncryptedError::Malformed), "no power of two");
        assert_eq!(scrypt(0, 8, 1), Err(EncryptedError::Malformed));
        assert_eq!(scrypt(1 << 14, 0, 1), Err(EncryptedError::Malformed));
        let rounds = |iteration_count, prf| {
            let salt = Salt::new([1; 8]).unwrap();
            parsed(Kdf::Pbkdf2(Pbkdf2Params { salt, iteration_count, key_length: None, prf }), cipher)
        };
        assert!(rounds(600_000, Pbkdf2Prf::HmacWithSha512).is_ok());
        assert!(dear(rounds(PBKDF2_ROUNDS_MAX + 1, Pbkdf2Prf::HmacWithSha256)));
        assert_eq!(rounds(0, Pbkdf2Prf::HmacWithSha256), Err(EncryptedError::Malformed));
        assert!(matches!(rounds(2048, Pbkdf2Prf::HmacWithSha1), Err(EncryptedError::Unsupported(_))));
    }

    #[test]
    fn what_is_no_encrypted_key_is_said_to_be_none() {
        let gcm = Cipher::Aes256Gcm { nonce: [1; 12] };
        let kdf = Kdf::Pbkdf2(Pbkdf2Params::hmac_sha256(2048, &[1; 8]).unwrap());
        assert!(matches!(parsed(kdf, gcm), Err(EncryptedError::Unsupported(_))));
        for text in [
            "",
            "hello",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ] {
            assert_eq!(EncryptedKey::from_pem(text), Err(EncryptedError::Malformed), "{text}");
        }
    }
}
