//! The operator's program as a library: every command as a function that other programs and tests may call.
//!
//! Never decides a rule and never judges a document itself: `governance`, `proof`, `trust` and `ledger` do.
//!
//! | module | what lives there |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`commands`] | one module a command |
//! | [`connect`] | how an operator reaches the plane |
//! | [`folder`] | where the files of a federation are |
//! | [`law`] | the constitution as a file |
//! | [`output`] | text for people, JSON for programs |
//! | [`secrets`] | passphrases and PINs |
//! | [`table`] | tables and lines that fit a terminal |
//! | [`values`] | what an option's value may be |
//! | [`failure`] | code, cause, rule, hint |
//! | [`demo`] | the story of a federation |

mod challenger;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod connect;
mod cosigner;
pub mod demo;
pub mod failure;
pub mod folder;
pub mod law;
pub mod output;
pub mod secrets;
pub mod table;
pub mod values;

pub use failure::Failure;
pub use output::Output;
