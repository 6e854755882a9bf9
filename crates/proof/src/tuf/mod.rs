//! The Update Framework 1.0.33 (RL-3, AU-2): schema, canonical JSON, threshold signatures, and the client
//! workflow of §5.3–5.7 as a state machine without I/O.
//!
//! Never reads a clock, a file or a socket, and never trusts a byte that the chain from the given root does
//! not vouch for. Follows no delegation: they are parsed, kept and reported.

mod canonical;
mod error;
mod schema;
mod updater;
mod verify;

#[cfg(test)]
mod tests;

pub use canonical::{CanonicalError, canonical, hex_decode, hex_encode, sha256_hex};
pub use error::{Fault, TufError};
pub use schema::{
    DelegatedRole, Delegations, Expires, FileMeta, Hashes, Key, Metadata, Role, RoleKeys, Roles, Root,
    SPEC_VERSION, Snapshot, TargetFile, Targets, Timestamp, target_name_valid,
};
pub use updater::{
    Fetched, Persist, ROOT_BYTES_MAX, ROTATIONS_MAX, SNAPSHOT_BYTES_MAX, Stored, TARGETS_BYTES_MAX,
    TIMESTAMP_BYTES_MAX, TargetInfo, Trusted, Updater, Want,
};
pub use verify::{Document, Envelope, SignatureEntry, SignatureSet, root_follows, root_self_signed};
