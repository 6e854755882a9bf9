//! The Update Framework 1.0.33 (RL-3, AU-2): schema, canonical JSON, threshold signatures, and the client
//! workflow of §5.3–5.7 as a state machine without I/O.
//!
//! Never reads a clock, a file or a socket, and never trusts a byte that the chain from the given root does
//! not vouch for. [`Profile::Own`] is what an agent accepts for its own updates: it follows no delegation.

mod canonical;
mod delegation;
mod error;
mod pattern;
mod profile;
mod schema;
mod search;
mod sum;
mod trusted;
mod updater;
mod verify;

#[cfg(test)]
mod tests;

pub use canonical::{CanonicalError, canonical, hex_decode, hex_encode, sha256_hex};
pub use delegation::{DelegatedRole, Delegations, SuccinctRoles};
pub use error::{Fault, TufError};
pub use pattern::path_matches;
pub use profile::{Profile, VerifyKey};
pub use schema::{
    Expires, FileMeta, Hashes, Key, Metadata, Role, RoleKeys, Roles, Root, SPEC_VERSION, Snapshot,
    TargetFile, Targets, Timestamp, target_name_valid,
};
pub use search::{DELEGATIONS_MAX, Found, RoleWant, Search, quoted};
pub use sum::Sum;
pub use trusted::{TargetInfo, Trusted};
pub use updater::{
    Fetched, Persist, ROOT_BYTES_MAX, ROTATIONS_MAX, SNAPSHOT_BYTES_MAX, Stored, TARGETS_BYTES_MAX,
    TIMESTAMP_BYTES_MAX, Updater, Want,
};
pub use verify::{Document, Envelope, SignatureEntry, SignatureSet, root_follows, root_self_signed};
