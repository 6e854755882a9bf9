//! The server over real TLS: who may call what, what is refused and how, starting and stopping.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod attacks;
mod challenge;
mod channel;
mod common;
mod dashboard;
mod decisions;
mod events;
mod limits;
mod listeners;
mod orders;
mod people;
mod refusals;
mod registration;
mod releases;
mod renewal;
mod tokens;
mod witness;
mod witnesses;
