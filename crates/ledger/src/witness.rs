//! The witness protocol of C2SP: what a log asks of a witness, how the witness judges it, what the answer means (LG-2).
//!
//! Pure: what was cosigned last comes in, a verdict comes out. Never remembers a head and never sends a byte: whoever
//! cosigns must first have stored the head, in one step with the look at the one before.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, parse_root, parse_size};
use crate::hash::Hash;
use crate::note::{KeyName, NOTE_BYTES_MAX, NoteKey, NoteSignature, SIGNATURES_MAX, WitnessKey};
use crate::tree::{TreeError, TreeHead, verify_consistency};

/// Hashes of a consistency proof at most.
pub const PROOF_HASHES_MAX: usize = 63;
/// Bytes of a request at most: the longest note, behind the longest proof.
pub const REQUEST_BYTES_MAX: usize = NOTE_BYTES_MAX + 4 * 1024;
/// Bytes of an answer at most.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The media type of an answer that holds nothing but a size.
pub const SIZE_TYPE: &str = "text/x.tlog.size";

/// What a log asks: cosign this checkpoint, which goes on from the one with `old` entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old: u64,
    proof: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

/// Why bytes are no request to a witness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not in the form of one.
    #[error("not a request to a witness: {0}")]
    Form(&'static str),
    /// What stands behind the empty line is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request cannot be read.
    #[error(transparent)]
    Malformed(#[from] RequestError),
    /// A log that goes on from more entries than it has.
    #[error("a log of {new} entries goes on from no log of {old}")]
    Shrinks {
        /// The size it is said to go on from.
        old: u64,
        /// The size of the checkpoint.
        new: u64,
    },
    /// A log that is not witnessed here.
    #[error("the log {0} is not witnessed here")]
    UnknownOrigin(KeyName),
    /// No key of the log signed it.
    #[error("no key that is known here of {origin} signed it: {why}")]
    Unsigned {
        /// The log.
        origin: KeyName,
        /// What is wrong with the signature of the first.
        why: CheckpointError,
    },
    /// It goes on from another size than the one that was cosigned last: nothing is proved about that one.
    #[error("the last checkpoint cosigned has {known} entries, the request goes on from {old}")]
    Elsewhere {
        /// The size it is said to go on from.
        old: u64,
        /// The size that was cosigned last.
        known: u64,
        /// Whether it has that size, and another root.
        forked: bool,
    },
    /// Another root at the size that was cosigned last: the log has two histories, both of them signed.
    #[error("the log signed two roots of {} entries: {}, which was cosigned, and {found}", .known.size, .known.root)]
    Forked {
        /// What was cosigned.
        known: TreeHead,
        /// The other root.
        found: Hash,
    },
    /// Not proved to begin with what was cosigned.
    #[error("it is not proved to begin with what was cosigned last: {why}")]
    Inconsistent {
        /// What is wrong with the proof.
        why: TreeError,
        /// Whether no proof belongs there: it is what was cosigned last, or nothing was.
        needless: bool,
    },
}

/// What a signed checkpoint says against its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// Two roots of one size, both signed: whoever holds both checkpoints can show it to anyone.
    Forked,
    /// No proof that it goes on from what was cosigned. Whoever sent it may have spoilt the proof of a good log.
    Unproved,
}

/// What a witness answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It cosigned: the signature holds.
    Cosigned(NoteSignature),
    /// It has cosigned another size: the proof must go on from there.
    Knows(u64),
    /// It will not cosign this checkpoint: status and words of the answer.
    Refused(u16, String),
}

/// Why an answer says nothing: it is no cosignature of this witness, and no refusal either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("answer {status}: {why}")]
pub struct AnswerError {
    /// The status of HTTP.
    pub status: u16,
    /// What is wrong with it.
    pub why: String,
}

impl AddCheckpoint {
    /// The request. That it is consistent is not checked: the witness does.
    pub fn new(old: u64, proof: Vec<Hash>, checkpoint: SignedCheckpoint) -> Result<Self, RequestError> {
        if proof.len() > PROOF_HASHES_MAX {
            return Err(RequestError::Form("its proof has more than 63 hashes"));
        }
        Ok(Self { old, proof, checkpoint })
    }

    /// Reads a request. Total; `to_string` gives the same bytes again. Nothing of it is verified.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        let form = RequestError::Form;
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(form("it is too long"));
        }
        let text = core::str::from_utf8(bytes).map_err(|_| form("it is not UTF-8"))?;
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(form("no empty line stands before a checkpoint"))?;
        let mut lines = head.split('\n');
        let old =
            lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(form("it has no old size"))?;
        let old = parse_size(old).ok_or(form("its old size is no number without leading zeroes"))?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() >= PROOF_HASHES_MAX {
                return Err(form("its proof has more than 63 hashes"));
            }
            proof.push(parse_root(line).ok_or(form("a line of its proof is not 32 bytes in base64"))?);
        }
        Self::new(old, proof, SignedCheckpoint::parse(checkpoint.as_bytes())?)
    }

    /// The size it goes on from.
    pub const fn old(&self) -> u64 {
        self.old
    }

    /// The checkpoint, its signatures unverified.
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Judges the request by what was cosigned last of its log ([`TreeHead::EMPTY`] where nothing was) and by the log's
    /// keys; without any, the log is not witnessed here. Gives the checkpoint to store, and to cosign then.
    pub fn judge(&self, known: &TreeHead, keys: &[NoteKey]) -> Result<&Checkpoint, Refusal> {
        let claimed = self.checkpoint.unverified();
        let (origin, new) = (claimed.origin(), claimed.head().size);
        let verified = keys.iter().map(|key| self.checkpoint.verify(key));
        let signed = verified.reduce(|found, next| if found.is_ok() { found } else { next.or(found) });
        let checkpoint = match signed {
            None => return Err(Refusal::UnknownOrigin(origin.clone())),
            Some(signed) => signed.map_err(|why| Refusal::Unsigned { origin: origin.clone(), why })?,
        };
        let head = checkpoint.head();
        let forked = new == known.size && head.root != known.root;
        if self.old > new {
            return Err(Refusal::Shrinks { old: self.old, new });
        }
        if self.old != known.size {
            return Err(Refusal::Elsewhere { old: self.old, known: known.size, forked });
        }
        if forked {
            return Err(Refusal::Forked { known: *known, found: head.root });
        }
        verify_consistency(known, head, &self.proof).map_err(|why| Refusal::Inconsistent {
            why,
            needless: head == known || *known == TreeHead::EMPTY,
        })?;
        Ok(checkpoint)
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", BASE64.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl Refusal {
    /// The status of HTTP that says so.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::Shrinks { .. } => 400,
            Self::Unsigned { .. } => 403,
            Self::UnknownOrigin(_) => 404,
            Self::Elsewhere { .. } | Self::Forked { .. } => 409,
            Self::Inconsistent { .. } => 422,
        }
    }

    /// What the checkpoint, which the log's own key signed, is evidence of: to be kept. What was cosigned already is none.
    pub const fn suspicion(&self) -> Option<Suspicion> {
        match self {
            Self::Forked { .. } | Self::Elsewhere { forked: true, .. } => Some(Suspicion::Forked),
            Self::Inconsistent { needless: false, .. } => Some(Suspicion::Unproved),
            _ => None,
        }
    }

    /// What the answer holds: the size cosigned last where that is what the log must know, else why.
    pub fn body(&self) -> String {
        match self {
            Self::Elsewhere { known, .. } => alloc::format!("{known}\n"),
            other => alloc::format!("{other}\n"),
        }
    }
}

impl Answer {
    /// Reads what the witness with this key answered about a checkpoint. Total. Of its signatures the first that the key
    /// made over this checkpoint counts, those of others are ignored.
    pub fn read(
        key: &WitnessKey,
        checkpoint: &SignedCheckpoint,
        status: u16,
        body: &[u8],
    ) -> Result<Self, AnswerError> {
        let none = |why: &str| AnswerError { status, why: why.to_string() };
        if body.len() > ANSWER_BYTES_MAX {
            return Err(none("it is too long"));
        }
        let text = String::from_utf8_lossy(body);
        match status {
            200 => {
                let lines = text.strip_suffix('\n').ok_or(none("it does not end in a newline"))?;
                let signed = checkpoint.note().text();
                let read = lines.split('\n').take(SIGNATURES_MAX).map(NoteSignature::parse);
                let own = read.filter_map(Result::ok).find(|line| key.time_of(signed, line).is_some());
                own.map(Self::Cosigned)
                    .ok_or(none("it holds no cosignature of this witness over this checkpoint"))
            }
            409 => {
                let size = text.strip_suffix('\n').and_then(parse_size);
                Ok(size.map_or_else(|| Self::Refused(status, words(&text)), Self::Knows))
            }
            403 | 404 | 422 => Ok(Self::Refused(status, words(&text))),
            _ => Err(none(&words(&text))),
        }
    }
}

/// The first line of an answer, as far as it is shown: whoever wrote it is not known.
fn words(text: &str) -> String {
    const SHOWN: usize = 200;
    let plain = |c: &char| *c == ' ' || c.is_alphanumeric() || c.is_ascii_punctuation();
    text.lines().next().unwrap_or_default().chars().filter(plain).take(SHOWN).collect()
}
