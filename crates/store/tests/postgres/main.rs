//! PostgreSQL beyond what every adapter does: several servers on one database, a server that goes away, TLS, roles.
//! Each test has a database of its own on the server that `FEDPLANE_TEST_POSTGRES` names, and is skipped where it names none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod away;
mod database;
mod servers;
