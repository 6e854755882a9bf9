//! One log verified by several side by side, on a core each: all of them replay all of it, and each checks the signatures of its
//! share of the entries.
//!
//! Never says that a log is lawful by one share alone: what they found counts once it is joined, and only whole.

use alloc::vec::Vec;

use governance::{Digest, Opening};

use super::{Breach, Fault, Report, Verifier};
use crate::checkpoint::SignedCheckpoint;

/// A verifier that checks its share of the signatures.
pub struct Share {
    verifier: Verifier,
    part: u64,
    of: u64,
}

/// What one of them found; it proves nothing by itself.
#[derive(Debug)]
pub struct ShareFound {
    part: u64,
    of: u64,
    found: Result<Report, Breach>,
}

impl Verifier {
    /// So many verifiers for one log, at least one; each must be given every entry.
    #[must_use]
    pub fn shared(self, among: u64) -> Vec<Share> {
        let of = among.max(1);
        let share = |part| {
            let mut verifier = self.clone();
            verifier.replay.share = (part, of);
            Share { verifier, part, of }
        };
        (0..of).map(share).collect()
    }
}

impl Share {
    /// As [`Verifier::push_opened`]. Where it fails, others may still find something before it: the rest of what they were
    /// given is to be read to its end.
    ///
    /// # Errors
    /// The first breach; after it, the same one again.
    pub fn push_opened(
        &mut self,
        bytes: &[u8],
        opening: impl Fn(Digest) -> Option<Opening>,
    ) -> Result<(), Breach> {
        self.verifier.push_opened(bytes, opening)
    }

    /// As [`Verifier::finish`], for this share.
    #[must_use]
    pub fn finish(self, checkpoint: &SignedCheckpoint) -> ShareFound {
        let Self { verifier, part, of } = self;
        ShareFound { part, of, found: verifier.finish(checkpoint) }
    }
}

/// What all of them found together: that the log is lawful, or the first entry that is not.
///
/// # Errors
/// That entry; or that a share is missing, without which nothing is proved.
pub fn join(found: Vec<ShareFound>) -> Result<Report, Breach> {
    let of = found.len() as u64;
    let mut parts: Vec<u64> = found.iter().filter(|share| share.of == of).map(|share| share.part).collect();
    parts.sort_unstable();
    let mut lawful = None;
    let mut first: Option<(Breach, bool)> = None;
    for ShareFound { part, found, .. } in found {
        match found {
            Ok(report) => lawful = Some(report),
            Err(breach) => {
                // At the same entry, whoever checked its signatures knows best.
                let own = breach.position % of == part;
                let earlier = first.as_ref().is_none_or(|(before, before_own)| {
                    breach.position < before.position
                        || (breach.position == before.position && own && !before_own)
                });
                if earlier {
                    first = Some((breach, own));
                }
            }
        }
    }
    match (first, lawful) {
        (Some((breach, _)), _) => Err(breach),
        (None, Some(report)) if parts.into_iter().eq(0..of) => Ok(report),
        (None, _) => Err(Fault::new("LG-3", "a share of the signatures was checked by nobody").at(0)),
    }
}
