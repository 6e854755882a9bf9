//! Checkpoints of C2SP: the signed size and root of a log (LG-2).
//!
//! Never hands out a checkpoint as true before its signature was verified: a [`SignedCheckpoint`] gives its content
//! through [`SignedCheckpoint::verify`], or under the name of what it is, [`SignedCheckpoint::unverified`].

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proof::{KeysDocument, OnlineKey, Purpose};

use crate::hash::Hash;
use crate::note::{KeyName, Note, NoteError, NoteKey, NoteSignature};
use crate::tree::{EMPTY_ROOT, TreeHead};

/// Extension lines at most.
pub const EXTENSIONS_MAX: usize = 16;

/// What a log signs: its origin, its size, its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: KeyName,
    head: TreeHead,
    extensions: Vec<String>,
}

/// A checkpoint in a note, with the signatures of the log and of its witnesses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

/// Why something is not a checkpoint, or not one of the expected log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it cannot be read or is not signed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A text that is not a checkpoint.
    #[error("not a checkpoint: {why}")]
    Form {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The checkpoint of another log.
    #[error("the checkpoint is of log {found}, not of {expected}")]
    Origin {
        /// The log whose key verifies.
        expected: KeyName,
        /// The log that the checkpoint names.
        found: KeyName,
    },
}

/// Why a checkpoint was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError<E> {
    /// The signer did not sign.
    #[error("the signer failed: {0}")]
    Signer(E),
    /// The signature is not the key's, or the key not the log's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl Checkpoint {
    /// The checkpoint of this log with this head. A log without entries has the root of nothing.
    pub fn new(origin: KeyName, head: TreeHead) -> Result<Self, CheckpointError> {
        if head.size == 0 && head.root != EMPTY_ROOT {
            return Err(CheckpointError::Form { why: "the root of an empty log is SHA-256 of nothing" });
        }
        Ok(Self { origin, head, extensions: Vec::new() })
    }

    /// Reads the text of a checkpoint, its last newline included. Total; `to_string` gives the same text again.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let wrong = |why| CheckpointError::Form { why };
        let body = text.strip_suffix('\n').ok_or(wrong("it does not end in a newline"))?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(wrong("it has fewer than three lines"));
        };
        let origin = KeyName::parse(origin)?;
        let size = parse_size(size).ok_or(wrong("its size is no number without leading zeroes"))?;
        let root = parse_root(root).ok_or(wrong("its root is not 32 bytes in base64"))?;
        let mut checkpoint = Self::new(origin, TreeHead { size, root })?;
        for line in lines {
            if line.is_empty() {
                return Err(wrong("it has an empty line"));
            }
            if checkpoint.extensions.len() >= EXTENSIONS_MAX {
                return Err(wrong("it has more than 16 extension lines"));
            }
            checkpoint.extensions.push(line.into());
        }
        Ok(checkpoint)
    }

    /// The log it is of.
    pub const fn origin(&self) -> &KeyName {
        &self.origin
    }

    /// Size and root of the log.
    pub const fn head(&self) -> &TreeHead {
        &self.head
    }

    /// What other lines it carries. Ours carry none.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Signs the checkpoint with the log's key: `sign` is given the bytes to sign. The signature is checked, so a
    /// signer with another key is found out here and not by a reader.
    pub fn sign<E>(
        self,
        key: &NoteKey,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<SignedCheckpoint, SignError<E>> {
        let signature = sign(self.to_string().as_bytes()).map_err(SignError::Signer)?;
        Ok(self.signed(key, &signature)?)
    }

    /// The signed checkpoint, with a signature over `Checkpoint::to_string` that was made before: for signers that
    /// must be waited for.
    pub fn signed(self, key: &NoteKey, signature: &[u8; 64]) -> Result<SignedCheckpoint, CheckpointError> {
        self.check_origin(key)?;
        let mut note = Note::new(self.to_string())?;
        note.sign(key, signature)?;
        Ok(SignedCheckpoint { checkpoint: self, note })
    }

    fn check_origin(&self, key: &NoteKey) -> Result<(), CheckpointError> {
        if self.origin == *key.name() {
            return Ok(());
        }
        Err(CheckpointError::Origin { expected: key.name().clone(), found: self.origin.clone() })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = BASE64.encode(self.head.root);
        write!(f, "{}\n{}\n{root}\n", self.origin, self.head.size)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        Self::parse(text)
    }
}

impl SignedCheckpoint {
    /// Reads a signed checkpoint. Total; `to_string` gives the same bytes again. No signature is verified yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        Ok(Self { checkpoint: Checkpoint::parse(note.text())?, note })
    }

    /// The checkpoint, once the log's key is known to have signed it. The key's name is the log's origin.
    pub fn verify(&self, key: &NoteKey) -> Result<&Checkpoint, CheckpointError> {
        self.checkpoint.check_origin(key)?;
        self.note.verify(key)?;
        Ok(&self.checkpoint)
    }

    /// The same with this key's signatures alone: what proves that the log signed it, and no more.
    pub fn bare(&self, key: &NoteKey) -> Result<Self, CheckpointError> {
        let mut note = Note::new(self.note.text().into())?;
        let own = |signature: &&NoteSignature| signature.name() == key.name() && signature.id() == key.id();
        self.note.signatures().iter().filter(own).try_for_each(|own| note.attach(own.clone()))?;
        let bare = Self { checkpoint: self.checkpoint.clone(), note };
        bare.verify(key)?;
        Ok(bare)
    }

    /// What the note claims, by whomever it was written.
    pub const fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// All signatures, verified or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        self.note.signatures()
    }

    pub(crate) const fn note(&self) -> &Note {
        &self.note
    }

    /// Attaches a witness's cosignature as it is; it is carried, not checked.
    pub fn attach(&mut self, cosignature: NoteSignature) -> Result<(), CheckpointError> {
        Ok(self.note.attach(cosignature)?)
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

impl FromStr for SignedCheckpoint {
    type Err = CheckpointError;
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        Self::parse(text.as_bytes())
    }
}

pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let size: u64 = text.parse().ok()?;
    // `parse` takes a plus and leading zeroes, a checkpoint does not.
    (format!("{size}") == text).then_some(size)
}

pub(crate) fn parse_root(text: &str) -> Option<Hash> {
    // 32 bytes are 44 characters; nothing longer is decoded.
    if text.len() != 44 {
        return None;
    }
    Hash::try_from(BASE64.decode(text).ok()?.as_slice()).ok()
}

/// The keys that a keys document names for signing checkpoints, in its order: those that count (AU-4).
///
/// # Errors
/// When the ledger's name is none.
pub fn ledger_keys(
    document: &KeysDocument,
    counts: impl Fn(&OnlineKey) -> bool,
) -> Result<Vec<NoteKey>, NoteError> {
    let origin = KeyName::parse(&document.ledger_origin)?;
    let named = document.online.iter().filter(|named| named.purpose == Purpose::Ledger && counts(named));
    named.map(|named| NoteKey::new(origin.clone(), named.key.as_bytes())).collect()
}
