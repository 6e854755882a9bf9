//! To whom each log belongs that a witness cosigns (LG-2): to `--log`, or to the root keys whose keys document named it first.
//!
//! Never gives a log to a second one: whoever may name the keys of another's log has it go on to where its owner cannot follow.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use governance::Digest;
use ledger::KeyName;
use plane::publication::Files as _;
use store::Folder;

/// Who names the keys of a log that was named on the command line.
pub(super) const NAMED: &str = "--log";

/// The owners of logs, one file each.
pub(super) struct Origins {
    folder: Folder,
    path: PathBuf,
    /// Held from the look at an owner to the word of another: federations are looked at side by side.
    claiming: Mutex<()>,
}

/// Why a log is not somebody's.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimError {
    /// Another's it is already.
    #[error("the log {origin} belongs to {owner}, and {claimant} names it too; where that is meant, remove {}, and start again", .path.display())]
    Taken {
        /// The log.
        origin: KeyName,
        /// Whose it is.
        owner: String,
        /// Who named it now.
        claimant: String,
        /// What says so.
        path: PathBuf,
    },
    /// The folder cannot be used.
    #[error("{}: {error}", .path.display())]
    File {
        /// What was read or written.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
}

impl Origins {
    /// Those kept in this folder, which is made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        Ok(Self { folder: Folder::open(&path)?, path, claiming: Mutex::default() })
    }

    /// Makes the log the claimant's, for good, where it is nobody's. Blocks.
    ///
    /// # Errors
    /// When it is another's, or that cannot be known or kept.
    pub(super) fn claim(&self, origin: &KeyName, claimant: &str) -> Result<(), ClaimError> {
        let name = Digest::of(origin.as_str().as_bytes()).to_string();
        let path = self.path.join(&name);
        let failed = |error| ClaimError::File { path: path.clone(), error };
        let _one = self.claiming.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bytes) = self.folder.read(&name).map_err(failed)? else {
            return self.folder.write(&name, claimant.as_bytes()).map_err(failed);
        };
        let owner = String::from_utf8_lossy(&bytes).into_owned();
        if owner == claimant {
            return Ok(());
        }
        Err(ClaimError::Taken { origin: origin.clone(), owner, claimant: claimant.to_owned(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lg_2_a_log_is_his_who_named_it_first() {
        let place = tempfile::tempdir().unwrap();
        let (one, two) = (KeyName::parse("one/ledger").unwrap(), KeyName::parse("two/ledger").unwrap());
        let origins = || Origins::open(place.path().join("origins")).unwrap();
        origins().claim(&one, "the root keys a").unwrap();
        origins().claim(&one, "the root keys a").unwrap();
        origins().claim(&two, NAMED).unwrap();
        for (origin, owner, claimant) in
            [(&one, "the root keys a", "the root keys b"), (&two, NAMED, "the root keys a")]
        {
            let refused = origins().claim(origin, claimant).unwrap_err().to_string();
            for part in [origin.as_str(), owner, claimant] {
                assert!(refused.contains(part), "{part}: {refused}");
            }
        }
    }
}
