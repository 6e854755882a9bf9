//! The pages of the dashboard: what people see, written as HTML. Pure: views and the instant go in, a page comes out.
//!
//! Never reads a clock, a store or a request, and never decides who may see what: whoever serves a page has asked that
//! before. Every text goes in escaped, and no page asks anything of another host.

pub mod chart;
mod chrome;
pub mod confirm;
pub mod constitution;
pub mod escalation;
pub mod fleet;
pub mod instance;
pub mod ledger;
pub mod parts;
pub mod release;
pub mod rollout;
pub mod sign_in;
pub mod words;

pub use chrome::{Chrome, Notice, Red, Section, Tone, Turned};
pub use maud::Markup;

/// The sheet.
pub const STYLE: &str = include_str!("../assets/style.css");
/// The script that keeps a page live. Nothing that is read needs it.
pub const LIVE: &str = include_str!("../assets/live.js");
/// The icon.
pub const ICON: &str = include_str!("../assets/icon.svg");

/// What a browser may do on a page: load the sheet, the script and images of this server, send forms to it, and nothing else.
pub const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
