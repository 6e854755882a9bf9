//! Cosignatures of C2SP: what a witness signs of a checkpoint, and when it did (LG-2).
//!
//! Never says who is to be believed: whoever asks holds the witnesses' keys, and says how many must have cosigned.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::checkpoint::{Checkpoint, SignError, SignedCheckpoint};
use crate::note::{NoteError, NoteSignature, WitnessKey};

/// The latest second that a cosignature may name.
const TIME_MAX: u64 = i64::MAX as u64;

/// What a witness signs: that the checkpoint with this text was the largest it knew of the log, at this second.
pub fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl WitnessKey {
    /// Cosigns a checkpoint with the witness's key at this second: `sign` is given the bytes to sign. The signature is
    /// checked, so a signer with another key is found out here and not by a reader.
    pub fn cosign<E>(
        &self,
        checkpoint: &Checkpoint,
        time: u64,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<NoteSignature, SignError<E>> {
        let text = checkpoint.to_string();
        let signature = sign(message(time, &text).as_bytes()).map_err(SignError::Signer)?;
        let line = self.line(time.to_be_bytes().into_iter().chain(signature).collect());
        match self.time_of(&text, &line) {
            Some(_) => Ok(line),
            None => Err(SignError::Checkpoint(self.broken().into())),
        }
    }

    /// When this key cosigned the text, if it made this signature.
    pub(crate) fn time_of(&self, text: &str, line: &NoteSignature) -> Option<u64> {
        if !self.is_named_by(line) {
            return None;
        }
        let (time, signature) = line.bytes().split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let holds = time <= TIME_MAX && self.holds(message(time, text).as_bytes(), signature);
        holds.then_some(time)
    }
}

impl SignedCheckpoint {
    /// When the witness cosigned it, in seconds since 1970: the latest of its cosignatures, all of which hold.
    pub fn cosigned(&self, key: &WitnessKey) -> Result<u64, NoteError> {
        let text = self.note().text();
        let mut latest = None;
        for line in self.signatures().iter().filter(|line| key.is_named_by(line)) {
            latest = latest.max(Some(key.time_of(text, line).ok_or_else(|| key.broken())?));
        }
        latest.ok_or_else(|| key.unsigned())
    }

    /// Which of the witnesses verifiably cosigned it, and when. A key counts once, under however many names.
    pub fn witnesses<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a WitnessKey>,
    ) -> Vec<(&'a WitnessKey, u64)> {
        let mut found: Vec<(&WitnessKey, u64)> = Vec::new();
        for key in keys {
            let counted = found.iter().any(|(other, _)| other.public_key() == key.public_key());
            if !counted && let Ok(time) = self.cosigned(key) {
                found.push((key, time));
            }
        }
        found
    }
}
