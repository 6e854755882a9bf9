//! Keys on disk, the instance CA, who a peer is, request signatures and TLS.
//!
//! Never decides what a peer may do: it says who it is and what it signed. Time is always an argument.

pub mod browser;
pub mod ca;
pub mod encrypted;
pub mod identity;
pub mod keyfile;
pub mod pem;
pub mod pkcs11;
pub mod request;
pub mod secret;
pub mod signature;
pub mod signer;
pub mod tls;
pub mod tuf;

pub use browser::{BrowserError, BrowserIdentity};
pub use ca::{CaError, Issued, Issuer, Validity};
pub use identity::{IdentityError, Peer, RootCa, classify};
pub use keyfile::{KeyFileError, SigningKey};
pub use secret::{Secret, Secrets};
pub use signer::{KeySource, Signer, SignerError};

/// Bytes nobody can foresee.
///
/// # Errors
/// [`RandomError`] when the system gives none.
pub fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes)
}

/// The system has no random numbers to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct RandomError;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// The SHA-256 of all that a reader gives; for what is too large to hold.
///
/// # Errors
/// When the reader fails.
pub fn digest(source: &mut dyn std::io::Read) -> std::io::Result<governance::Digest> {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = match source.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        match buffer.get(..read) {
            Some(piece) if !piece.is_empty() => context.update(piece),
            _ => break,
        }
    }
    let digest = context.finish();
    let bytes = digest.as_ref().try_into().map_err(|_| std::io::Error::other("SHA-256 of another length"))?;
    Ok(governance::Digest::from_bytes(bytes))
}
