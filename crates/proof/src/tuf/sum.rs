//! The length and the hashes of a file, taken piece by piece: a target need not fit into memory.

use sha2::{Digest, Sha256, Sha512};

use super::canonical::hex_encode;
use super::schema::Hashes;

/// What was read so far.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    length: u64,
    sha256: Sha256,
    sha512: Sha512,
}

impl Sum {
    /// Adds the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.length = self.length.saturating_add(piece.len() as u64);
        self.sha256.update(piece);
        self.sha512.update(piece);
    }

    /// How many bytes there were.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Compares with the hashes listed: every known one must match, and one must be known.
    pub(super) fn check(self, listed: &Hashes) -> Result<(), &'static str> {
        let (sha256, sha512) = (hex_encode(&self.sha256.finalize()), hex_encode(&self.sha512.finalize()));
        let mut known = 0_u32;
        for (algorithm, hash) in listed {
            let actual = match algorithm.as_str() {
                "sha256" => &sha256,
                "sha512" => &sha512,
                _ => continue,
            };
            if !hash.eq_ignore_ascii_case(actual) {
                return Err("hash");
            }
            known += 1;
        }
        if known == 0 { Err("hash: none is sha256 or sha512") } else { Ok(()) }
    }
}
