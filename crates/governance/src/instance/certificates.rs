//! The certificates of an instance whose time is not over: its own, and those that nobody may believe any more.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{CERTIFICATES_MAX, Instance, keep_last};
use crate::lifecycle::State;
use crate::time::Timestamp;

/// A certificate of the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Its serial number, in lower-case hexadecimal.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// A certificate over a key that is the instance's no more (HS-1, HS-2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Superseded {
    /// The certificate.
    pub certificate: Certificate,
    /// Since when another key is on record.
    pub since: Timestamp,
}

impl Instance {
    /// Its certificates are over a key that is its own no more.
    pub(super) fn supersede_certificates(&mut self, at: Timestamp) {
        self.superseded.retain(|one| one.certificate.not_after >= at);
        for certificate in core::mem::take(&mut self.certificates) {
            if certificate.not_after >= at {
                keep_last(&mut self.superseded, Superseded { certificate, since: at }, CERTIFICATES_MAX);
            }
        }
    }

    /// The certificates that nobody may believe any more though their time is not over, and since when (LC-19).
    pub fn unbelieved(&self, now: Timestamp) -> impl Iterator<Item = (&Certificate, Timestamp)> {
        let own = (self.state == State::Revoked).then_some(&self.certificates).into_iter().flatten();
        let own = own.map(|certificate| (certificate, self.since));
        let superseded = self.superseded.iter().map(|one| (&one.certificate, one.since));
        own.chain(superseded).filter(move |(certificate, _)| certificate.not_after >= now)
    }
}
