//! Verifies what other repositories sign with: ECDSA and RSA beside Ed25519, for clients that read any of them.
//!
//! Never used for a federation's own releases: those are Ed25519 alone.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use proof::tuf::{Key, VerifyKey};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION, Oid,
};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Keys in PEM: `ecdsa` on P-256, P-384 and P-521, and `rsa` of 2048 to 8192 bits with either padding (§4.2).
#[derive(Clone, Copy, Debug)]
pub struct ForeignKeys;

/// A scheme, and what its key must be.
struct Scheme {
    name: &'static str,
    /// The curve; none for RSA.
    curve: Option<Oid<'static>>,
    algorithm: &'static dyn VerificationAlgorithm,
}

/// Members `keytype` that mean an elliptic curve: writers name the curve there too.
const ECDSA: [&str; 4] = ["ecdsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];

#[rustfmt::skip]
const SCHEMES: &[Scheme] = &[
    ec("ecdsa-sha2-nistp256", OID_EC_P256, &signature::ECDSA_P256_SHA256_ASN1),
    ec("ecdsa-sha2-nistp384", OID_NIST_EC_P384, &signature::ECDSA_P384_SHA384_ASN1),
    ec("ecdsa-sha2-nistp521", OID_NIST_EC_P521, &signature::ECDSA_P521_SHA512_ASN1),
    rsa("rsassa-pss-sha256", &signature::RSA_PSS_2048_8192_SHA256),
    rsa("rsassa-pss-sha384", &signature::RSA_PSS_2048_8192_SHA384),
    rsa("rsassa-pss-sha512", &signature::RSA_PSS_2048_8192_SHA512),
    rsa("rsa-pkcs1v15-sha256", &signature::RSA_PKCS1_2048_8192_SHA256),
    rsa("rsa-pkcs1v15-sha384", &signature::RSA_PKCS1_2048_8192_SHA384),
    rsa("rsa-pkcs1v15-sha512", &signature::RSA_PKCS1_2048_8192_SHA512),
];

const fn ec(
    name: &'static str,
    curve: Oid<'static>,
    algorithm: &'static dyn VerificationAlgorithm,
) -> Scheme {
    Scheme { name, curve: Some(curve), algorithm }
}

const fn rsa(name: &'static str, algorithm: &'static dyn VerificationAlgorithm) -> Scheme {
    Scheme { name, curve: None, algorithm }
}

impl VerifyKey for ForeignKeys {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
        let scheme = SCHEMES.iter().find(|scheme| scheme.name == key.scheme)?;
        let of_type = match scheme.curve {
            Some(_) => ECDSA.contains(&key.keytype.as_str()),
            None => key.keytype == "rsa",
        };
        if !of_type {
            return None;
        }
        let public = public_key(key.keyval.get("public")?.as_str()?, scheme)?;
        UnparsedPublicKey::new(scheme.algorithm, &public).verify(message, signature).ok()?;
        Some(public)
    }
}

/// The key of a PEM block: an uncompressed point, or RSA's modulus and exponent. A point has one form here, so that no
/// key counts twice.
fn public_key(pem: &str, scheme: &Scheme) -> Option<Vec<u8>> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).ok()?;
    if pem.label != "PUBLIC KEY" {
        return None;
    }
    let (rest, info) = SubjectPublicKeyInfo::from_der(&pem.contents).ok()?;
    let bytes = &info.subject_public_key.data;
    let fits = match &scheme.curve {
        Some(curve) => {
            let named = info.algorithm.parameters.as_ref().and_then(|named| named.as_oid().ok());
            info.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
                && named.as_ref() == Some(curve)
                && bytes.first() == Some(&4)
        }
        None => info.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION,
    };
    (rest.is_empty() && fits).then(|| bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair as _, RsaKeyPair};
    use base64::Engine as _;

    use super::*;

    fn key(keytype: &str, scheme: &str, label: &str, der: &[u8]) -> Key {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"));
        let keyval = serde_json::Map::from_iter([("public".to_owned(), pem.into())]);
        Key { keytype: keytype.into(), scheme: scheme.into(), keyval, other: serde_json::Map::new() }
    }

    #[test]
    fn a_signature_holds_under_its_own_scheme_and_no_other() {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let sig = pair.sign(&random, b"message").unwrap();
        #[rustfmt::skip]
        let rows = [
            // type                  scheme                 label         message             holds
            ("ecdsa",               "ecdsa-sha2-nistp256", "PUBLIC KEY", b"message".as_slice(), true),
            ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "PUBLIC KEY", b"message",            true),
            ("ecdsa",               "ecdsa-sha2-nistp256", "PUBLIC KEY", b"massage",            false),
            ("ecdsa",               "ecdsa-sha2-nistp384", "PUBLIC KEY", b"message",            false),
            ("ecdsa",               "rsassa-pss-sha256",   "PUBLIC KEY", b"message",            false),
            ("rsa",                 "ecdsa-sha2-nistp256", "PUBLIC KEY", b"message",            false),
            ("rsa",                 "rsassa-pss-sha256",   "PUBLIC KEY", b"message",            false),
            ("ecdsa",               "ecdsa-sha3",          "PUBLIC KEY", b"message",            false),
            ("ecdsa",               "ecdsa-sha2-nistp256", "PRIVATE KEY", b"message",           false),
        ];
        for (keytype, scheme, label, message, holds) in rows {
            let key = key(keytype, scheme, label, der.as_ref());
            let verified = ForeignKeys.verify(&key, message, sig.as_ref());
            assert_eq!(verified.is_some(), holds, "{keytype} {scheme} {label}");
        }
        for sig in [&[][..], &[0; 64], b"0E"] {
            let key = key("ecdsa", "ecdsa-sha2-nistp256", "PUBLIC KEY", der.as_ref());
            assert_eq!(ForeignKeys.verify(&key, b"message", sig), None);
        }
    }

    #[test]
    fn rsa_signs_with_either_padding() {
        let random = SystemRandom::new();
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let mut pss = vec![0; pair.public_modulus_len()];
        pair.sign(&signature::RSA_PSS_SHA256, &random, b"message", &mut pss).unwrap();
        let mut pkcs = vec![0; pair.public_modulus_len()];
        pair.sign(&signature::RSA_PKCS1_SHA256, &random, b"message", &mut pkcs).unwrap();
        for (scheme, sig, holds) in [
            ("rsassa-pss-sha256", &pss, true),
            ("rsassa-pss-sha256", &pkcs, false),
            ("rsassa-pss-sha512", &pss, false),
            ("rsa-pkcs1v15-sha256", &pkcs, true),
            ("rsa-pkcs1v15-sha256", &pss, false),
        ] {
            let key = key("rsa", scheme, "PUBLIC KEY", der.as_ref());
            assert_eq!(ForeignKeys.verify(&key, b"message", sig).is_some(), holds, "{scheme}");
        }
    }
}
