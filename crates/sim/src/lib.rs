//! The virtual fleet: timelines of a federation, and what a change would do to a real one, played through the law's own functions over a virtual clock.
//!
//! Never opens a connection, reads the clock or draws a random number: the same file always plays the same way.

pub mod scenario;
pub mod simulation;
pub mod what_if;

/// A fleet that nobody has keeps nothing secret.
const SALT: governance::Salt = governance::Salt::from_random([0; 16]);
