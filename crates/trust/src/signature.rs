//! Ed25519 signatures checked by the library that is fastest at it, with the verdict that the ledger's readers come to.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use proof::PublicKey;
use proof::key::SignatureError;

/// The points of low order, by what their encodings say beside the sign (RFC 8032 §5.1.2).
const LOW_ORDER: [[u8; 32]; 5] = {
    let (mut minus_one, mut one) = ([0xff; 32], [0; 32]);
    (minus_one[0], minus_one[31], one[0]) = (0xec, 0x7f, 1);
    [
        [0; 32],
        one,
        minus_one,
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ]
};

/// Checks a signature exactly as strictly as [`PublicKey::verify`] does: whatever is let in here is proof to everybody.
///
/// # Errors
/// When it is not this key's signature over this message.
pub fn verify(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
    let mut point = [0; 32];
    point.iter_mut().zip(signature).for_each(|(to, from)| *to = *from);
    if let Some(last) = point.last_mut() {
        *last &= 0x7f;
    }
    // What the library does not mind: the key itself is of no low order, or it would be none.
    if LOW_ORDER.contains(&point) {
        return Err(SignatureError);
    }
    let key = UnparsedPublicKey::new(&ED25519, key.as_bytes());
    key.verify(message, signature).map_err(|_| SignatureError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::scalar::{Scalar, clamp_integer};
    use proof::key::KeyError;
    use proof::{SeedKey, Sign as _};
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha512};

    /// Both verdicts, which must be one.
    fn holds(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
        let strict = key.verify(message, signature).is_ok();
        assert_eq!(verify(key, message, signature).is_ok(), strict, "{signature:02x?}");
        strict
    }

    #[test]
    fn every_point_of_low_order_is_listed() {
        // The curve has eight of them: for two of these the sign makes no other point.
        assert_eq!(LOW_ORDER.len() * 2 - 2, 8);
        for point in LOW_ORDER {
            assert_eq!(PublicKey::from_bytes(&point), Err(KeyError::LowOrder), "{point:02x?}");
        }
    }

    #[test]
    fn what_fits_by_a_point_of_low_order_is_refused() {
        let seed = [5; 32];
        let key = *SeedKey::new(seed).public_key();
        let [half, ..] = *Sha512::digest(seed).as_chunks::<32>().0 else { panic!("64 bytes") };
        let secret = Scalar::from_bytes_mod_order(clamp_integer(half));
        // The neutral point as nonce: the equation holds, and says nothing of a nonce.
        let point = LOW_ORDER[1];
        let hash = Sha512::new().chain_update(point).chain_update(key.as_bytes()).chain_update(b"all");
        let answer = Scalar::from_bytes_mod_order_wide(&hash.finalize().into()) * secret;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&point);
        signature[32..].copy_from_slice(answer.as_bytes());
        let bare = UnparsedPublicKey::new(&ED25519, key.as_bytes());
        assert!(bare.verify(b"all", &signature).is_ok(), "the library lets it pass");
        assert!(!holds(&key, b"all", &signature));
    }

    proptest! {
        #[test]
        fn the_verdict_is_that_of_the_ledgers_readers(
            seed: [u8; 32],
            message in proptest::collection::vec(any::<u8>(), 0..200),
            at in 0_usize..64,
            bit in 0_u32..8,
        ) {
            let key = SeedKey::new(seed);
            let signature = key.sign(&message).unwrap();
            prop_assert!(holds(key.public_key(), &message, &signature));
            let mut changed = signature;
            changed[at] ^= 1 << bit;
            prop_assert!(!holds(key.public_key(), &message, &changed));
            // The same answer with the group's order added is another text of the same signature.
            let order = Scalar::ZERO - Scalar::ONE;
            let mut carry = 1_u16;
            let mut twice = signature;
            for (byte, more) in twice[32..].iter_mut().zip(order.as_bytes()) {
                carry += u16::from(*byte) + u16::from(*more);
                *byte = carry.to_le_bytes()[0];
                carry >>= 8;
            }
            prop_assert!(!holds(key.public_key(), &message, &twice));
        }
    }
}
