//! Which witnesses cosigned a checkpoint, and whether they are enough (LG-2).
//!
//! Never says that the log is lawful: it says that whoever was shown this checkpoint was shown what the others were.

use clap::Args;
use governance::Timestamp;
use ledger::{SignedCheckpoint, WitnessKey};
use serde::Serialize;

use crate::connect::folder_settings;
use crate::folder::Folder;
use crate::{Failure, values};

/// Whose cosignatures count, and how many must be there.
#[derive(Args, Clone, Debug, Default)]
pub struct WitnessArgs {
    /// A witness whose cosignature counts, by its verifier key; may be said again for others [default: those of the
    /// settings in --federation].
    #[arg(long, value_name = "VKEY")]
    pub witness: Vec<WitnessKey>,
    /// How many of them must have cosigned [default: all that are named; of the settings, as many as they say].
    #[arg(long, value_name = "N", value_parser = values::number::<usize>)]
    pub quorum: Option<usize>,
}

/// A witness that cosigned.
#[derive(Clone, Debug, Serialize)]
pub struct Witnessed {
    /// Its name.
    pub name: String,
    /// When it did, by its own clock.
    pub at: Timestamp,
}

impl WitnessArgs {
    /// Who of the witnesses cosigned this checkpoint.
    ///
    /// # Errors
    /// When fewer did than must.
    pub(super) fn check(
        &self,
        checkpoint: &SignedCheckpoint,
        folder: &Folder,
    ) -> Result<Vec<Witnessed>, Failure> {
        let (keys, quorum) = self.asked(folder)?;
        let found = checkpoint.witnesses(&keys);
        if found.len() < quorum {
            let (found, all, size) = (found.len(), keys.len(), checkpoint.unverified().head().size);
            let detail = format!(
                "{found} of {all} witnesses cosigned the checkpoint of {size} entries, and {quorum} must have"
            );
            let hint =
                "you may be shown another log than others are: keep the checkpoint, and ask the witnesses";
            return Err(Failure::new("unwitnessed", "LG-2", detail, hint));
        }
        let shown = |(key, seconds): (&WitnessKey, u64)| Witnessed {
            name: key.name().to_string(),
            at: Timestamp::from_millis(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000)),
        };
        Ok(found.into_iter().map(shown).collect())
    }

    fn asked(&self, folder: &Folder) -> Result<(Vec<WitnessKey>, usize), Failure> {
        let (keys, default) = if !self.witness.is_empty() {
            (self.witness.clone(), self.witness.len())
        } else if folder.settings().exists() {
            let settings = folder_settings(folder)?.ledger;
            (settings.witness.into_iter().map(|witness| witness.key).collect(), settings.quorum)
        } else {
            (Vec::new(), 0)
        };
        let quorum = self.quorum.unwrap_or(default);
        if quorum > keys.len() {
            let detail = format!("--quorum {quorum}: {} witnesses are named", keys.len());
            return Err(Failure::usage(detail, "name each with --witness VKEY"));
        }
        Ok((keys, quorum))
    }
}

/// The witnesses for people.
pub(super) fn shown(witnesses: &[Witnessed]) -> String {
    if witnesses.is_empty() {
        return "-".to_owned();
    }
    let one = |witness: &Witnessed| format!("{} at {}", witness.name, witness.at);
    witnesses.iter().map(one).collect::<Vec<_>>().join(", ")
}
