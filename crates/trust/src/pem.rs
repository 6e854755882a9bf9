//! PEM, written and read (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The most certificates one text may hold.
pub const CERTIFICATES_MAX: usize = 16;
/// The longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Characters a line.
const LINE: usize = 64;

/// A text that holds no certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sequence of one to {CERTIFICATES_MAX} certificates in PEM: {0}")]
pub struct PemError(String);

/// One PEM block.
#[must_use]
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = String::with_capacity(body.len() + body.len() / LINE + 2 * label.len() + 40);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Certificates as PEM, in the order given.
#[must_use]
pub fn encode_certificates<'a, 'b: 'a>(chain: impl IntoIterator<Item = &'a CertificateDer<'b>>) -> String {
    chain.into_iter().map(|certificate| encode("CERTIFICATE", certificate)).collect()
}

/// The certificates of a PEM text, in their order.
///
/// # Errors
/// When there is none, there are too many, or one is no PEM.
pub fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(PemError(format!("{} bytes, at most {TEXT_BYTES_MAX}", text.len())));
    }
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
        .take(CERTIFICATES_MAX + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PemError(error.to_string()))?;
    match certificates.len() {
        1..=CERTIFICATES_MAX => Ok(certificates),
        found => Err(PemError(format!("{found} certificates found"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for length in [0, 1, 48, 49, 200] {
            let der = CertificateDer::from(vec![7; length]);
            let text = encode_certificates([&der, &der]);
            assert!(text.lines().all(|line| line.len() <= LINE));
            assert_eq!(certificates(&text).unwrap(), vec![der.clone(), der]);
        }
        assert!(certificates("").is_err());
        assert!(certificates(&encode("CERTIFICATE", b"x").repeat(CERTIFICATES_MAX + 1)).is_err());
    }
}
