//! That one entry stands in the log, for whoever has nothing but the log's key (C2SP tlog-proof): the entry's place, the
//! hashes from there to the root, and the checkpoint that signs the root.
//!
//! The entry itself travels in the line that the format keeps for what an application needs; it is proved like the rest.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::entry::ENTRY_BYTES_MAX;
use crate::hash::Hash;
use crate::note::NoteKey;
use crate::tree::{InclusionProof, TreeError, TreeHead, leaf_hash, verify_inclusion};

/// The first line of every proof.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The longest proof, in bytes: the longest entry in base64, the path of the largest tree, and a checkpoint with witnesses.
pub const PROOF_BYTES_MAX: usize = 128 * 1024;
/// Hashes of a path at most: the height of the largest tree.
const PATH_MAX: usize = 64;

/// A proof as it travels. `to_string` gives the same text again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProof {
    index: u64,
    path: Vec<Hash>,
    entry: Vec<u8>,
    checkpoint: SignedCheckpoint,
}

/// Why something is no proof, or proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogProofError {
    /// Not in the form of one.
    #[error("not a proof of an entry ({HEADER}): {0}")]
    Form(&'static str),
    /// Its checkpoint is none, or not signed by the log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not where it says, or nowhere in the tree.
    #[error("the proof does not hold: {0}")]
    Tree(#[from] TreeError),
}

impl LogProof {
    /// Puts a proof together. It is not checked: [`verify`](Self::verify) does.
    #[must_use]
    pub fn new(proof: InclusionProof, entry: Vec<u8>, checkpoint: SignedCheckpoint) -> Self {
        Self { index: proof.index, path: proof.path, entry, checkpoint }
    }

    /// Reads a proof. Total.
    ///
    /// # Errors
    /// What is wrong with its form; nothing of it is verified yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, LogProofError> {
        let form = LogProofError::Form;
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(form("it is too long"));
        }
        let text = core::str::from_utf8(bytes).map_err(|_| form("it is no text"))?;
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(form("no empty line stands before a checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(form("it begins with another line"));
        }
        let entry =
            lines.next().and_then(|line| line.strip_prefix("extra ")).ok_or(form("it carries no entry"))?;
        let entry = BASE64.decode(entry).map_err(|_| form("its entry is no base64"))?;
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(form("its entry is too long"));
        }
        let index =
            lines.next().and_then(|line| line.strip_prefix("index ")).ok_or(form("it has no index"))?;
        let index = decimal(index).ok_or(form("its index is no decimal number"))?;
        let mut path = Vec::new();
        for line in lines {
            let hash = BASE64.decode(line).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            path.push(Hash::from(hash.ok_or(form("a line of its path is not 32 bytes in base64"))?));
            if path.len() > PATH_MAX {
                return Err(form("its path is longer than that of any tree"));
            }
        }
        let checkpoint = SignedCheckpoint::parse(checkpoint.as_bytes())?;
        Ok(Self { index, path, entry, checkpoint })
    }

    /// The entry, its place, and the head that it stands under, once the log's key is known to have signed that.
    ///
    /// # Errors
    /// When the checkpoint is not the log's, or the entry is not in its tree at that place.
    pub fn verify(&self, key: &NoteKey) -> Result<Proven<'_>, LogProofError> {
        let head = *self.checkpoint.verify(key)?.head();
        verify_inclusion(self.index, leaf_hash(&self.entry), &head, &self.path)?;
        Ok(Proven { position: self.index, entry: &self.entry, head })
    }

    /// The checkpoint, its signature unverified.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }
}

/// What a proof proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven<'a> {
    /// Where the entry stands, from 0.
    pub position: u64,
    /// Its bytes.
    pub entry: &'a [u8],
    /// The tree it stands in.
    pub head: TreeHead,
}

/// A decimal number without leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let plain = text == "0" || (text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

impl fmt::Display for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extra: String = BASE64.encode(&self.entry);
        writeln!(f, "{HEADER}\nextra {extra}\nindex {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", BASE64.encode(hash.as_bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
