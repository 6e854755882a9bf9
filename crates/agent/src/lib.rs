//! The Runtime Plane's side of the federation: an agent that verifies, plans, binds and reports.
//!
//! [`core`] decides and touches nothing; [`shell`] does what was decided. The agent asks the plane and weighs its
//! answers; nobody commands it (AU-3). It never binds what the Organism and the Federation have not both
//! signed, and never claims a version that a health check has not named.

pub mod core;
pub mod shell;
