//! What the agent knows and decides, without any input or output.
//!
//! Never reads a clock, a file, a socket or a random number: they arrive as arguments.

pub mod calendar;
pub mod checkpoints;
pub mod config;
pub mod journal;
pub mod offer;
pub mod pace;
pub mod plan;

#[cfg(test)]
mod crash;
