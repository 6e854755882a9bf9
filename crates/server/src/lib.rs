//! The Federation Plane as a server: its listeners, who may call what, and the loops behind them.
//!
//! [`start`] takes [`Settings`] and gives a [`Running`] server; tests and `fedplane serve` use the same. Never decides
//! by itself: every call is proved, weighed against one table of roles, and handed to a use case of `plane`. Never opens
//! a connection to anybody: what calls the endpoints of instances (HS-8) and the ledger's witnesses (LG-2) is handed in.

mod app;
mod arrivals;
mod aside;
mod bypasses;
mod dashboard;
mod descriptors;
mod events;
mod gate;
mod instances;
mod load;
mod metrics;
mod nonces;
mod operators;
mod peers;
mod problem;
mod public;
mod rates;
pub mod settings;
pub mod start;
mod system;
mod table;
mod upload;
pub mod witness;

pub use app::Plane;
pub use dashboard::dashboard_doors;
pub use load::StartError;
pub use problem::PROBLEM_JSON;
pub use settings::{Settings, SettingsError};
pub use start::{
    Addresses, Caller, Outgoing, Outside, Running, Stopped, lock_database, start, start_calling,
};
pub use system::{SystemClock, SystemEntropy};
pub use table::authorisation;
