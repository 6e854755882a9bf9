//! Does what [`core`](crate::core) decided: files, hooks, downloads, calls.
//!
//! Never decides whether a release may be bound, and never does a step before the journal says so.

mod agent;
mod check;
mod download;
mod ear;
mod effects;
mod endpoint;
mod error;
mod folder;
mod hooks;
mod identity;
mod metadata;
mod patience;
mod report;
mod slots;
mod statements;
mod trusted;
pub mod tuf;
mod upkeep;
mod watch;
mod weighing;
mod wish;

pub use agent::{Agent, run};
pub use check::{check, load};
pub use error::ShellError;
pub use folder::Folder;
pub use report::Report;
pub use watch::{Checkpoints, checkpoints};
pub use wish::{Wish, ask};
