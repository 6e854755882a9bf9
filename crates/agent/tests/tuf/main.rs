//! The client workflow of TUF, rule by rule, through the program: `fedplane-agent tuf` against a server on 127.0.0.1.
//!
//! Each row names the section of the specification it holds the client to, and runs with Ed25519 and ECDSA keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod delegations;
mod fetch;
mod format;
mod roles;
mod root;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::{Kind, World};

/// The section, what must be, and how it is tried.
type Row = (&'static str, &'static str, fn(&mut World));

/// Runs every row in a world of its own, with either kind of keys, and names those that failed.
fn check(rows: &[Row]) {
    let mut failed = Vec::new();
    for (section, name, row) in rows {
        for kind in [Kind::Ed25519, Kind::Ecdsa] {
            if catch_unwind(AssertUnwindSafe(|| row(&mut World::new(kind)))).is_err() {
                failed.push(format!("§{section} {name} ({kind:?})"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
