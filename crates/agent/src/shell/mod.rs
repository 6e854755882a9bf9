//! Does what [`core`](crate::core) decided: files, hooks, downloads, calls.
//!
//! Never decides whether a release may be bound, and never does a step before the journal says so.

mod agent;
mod download;
mod effects;
mod endpoint;
mod error;
mod folder;
mod hooks;
mod identity;
mod slots;
mod statements;
mod trusted;

pub use agent::{Agent, check, run};
pub use error::ShellError;
pub use folder::Folder;
