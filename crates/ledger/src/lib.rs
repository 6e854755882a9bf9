//! The append-only Merkle log (LG-1, LG-2): RFC 6962 hashing and proofs, C2SP tlog-tiles, C2SP tlog-checkpoint.
//!
//! Bytes in, values out: never reads a file, a socket or a clock, never holds a private key. Everything named
//! `parse` is total: any input gives a value or an error that says what is wrong with it.
//!
//! | module | what lives there |
//! |---|---|
//! | [`tree`] | leaf and node hashes, the frontier, inclusion and consistency |
//! | [`tile`] | tile names, what a growth writes, hash tiles and entry bundles |
//! | [`edge`] | the right edge a sequencer holds: entries in, tiles and head out |
//! | [`note`] | signed notes: names, keys, signatures |
//! | [`checkpoint`] | the text a log signs: origin, size, root |
//! | [`history`] | whether two heads are of one log, or prove a split view |
//! | [`cosignature`] | what a witness signs: the checkpoint, and when |
//! | [`witness`] | what a witness is asked, what it judges, what it answers |
//! | [`log_proof`] | that one entry stands in the log, for whoever has the log's key alone |
//! | [`entry`] | what one entry says, and what proves it |
//! | [`verify`] | replays a whole log from the root keys, and names the first entry that is not lawful |
//! | [`memory`] | a whole log in memory, for tests and simulations |

#![no_std]

extern crate alloc;

pub mod checkpoint;
pub mod cosignature;
pub mod edge;
pub mod entry;
pub mod hash;
pub mod history;
pub mod log_proof;
pub mod memory;
pub mod note;
pub mod tile;
pub mod tree;
pub mod verify;
pub mod witness;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use edge::Edge;
pub use entry::{Entry, EntryError, Evidence};
pub use hash::Hash;
pub use log_proof::{LogProof, LogProofError, Proven};
pub use note::{KeyName, Note, NoteKey, WitnessKey};
pub use tile::{Tile, TileId, TileKind, TileSet};
pub use tree::{ConsistencyProof, Frontier, InclusionProof, TreeHead};
pub use verify::{Breach, Report, RolloutReport, Verifier};
