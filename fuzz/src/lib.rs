//! What must hold of every parser of foreign bytes, whatever the bytes: no panic, and what was understood says the
//! same when it is written and read again.
//!
//! A target is a plain function: it gives whether its parser took the input, and panics when a promise is broken.
//! libFuzzer drives them (`fuzz_targets/`), and so does a small driver on stable (`tests/smoke.rs`).
//! Never reads a clock, a file or a socket.

mod documents;
mod keys;
mod logs;
pub mod mutate;
mod peers;
pub mod seeds;
mod texts;
mod updates;

use core::fmt::{Debug, Display};
use core::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use documents::{answer, directive, jws, keys_document, order, request, statement, token};
pub use keys::{encrypted_key, key_source};
pub use logs::{entry, log_proof, merkle_proof, note, tile, witness};
pub use peers::{csr, events, pem, proxy, request_head, wire, x509};
pub use texts::{constitution, governance_texts, release};
pub use updates::{tuf_document, tuf_foreign, tuf_updater};

/// A target with what to start from.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, everywhere the same.
    pub name: &'static str,
    /// Gives whether the parser took the bytes; panics when a promise is broken.
    pub run: fn(&[u8]) -> bool,
    /// Inputs that the parser takes.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        /// Every target.
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), run: $name, seeds: seeds::$name }),+];
    };
}
targets!(
    governance_texts,
    constitution,
    release,
    jws,
    keys_document,
    statement,
    answer,
    directive,
    order,
    request,
    token,
    tuf_document,
    tuf_foreign,
    tuf_updater,
    entry,
    tile,
    note,
    merkle_proof,
    log_proof,
    witness,
    pem,
    x509,
    csr,
    request_head,
    wire,
    events,
    proxy,
    key_source,
    encrypted_key,
);

/// Reads JSON; what was read is the same when written and read again, and is written the same again.
fn json<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(data).ok()?;
    let written = serde_json::to_vec(&value).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written)
        .unwrap_or_else(|error| panic!("{} is not read again: {error}", String::from_utf8_lossy(&written)));
    assert_eq!(again, value, "read again, it says something else");
    assert_eq!(serde_json::to_vec(&again).ok(), Some(written), "written again, it is spelled otherwise");
    Some(value)
}

/// Reads a text; what was read is the same when shown and read again.
fn text<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    let shown = value.to_string();
    assert!(
        shown.parse().is_ok_and(|again: T| again == value),
        "`{text}` is shown as `{shown}`, which is not it"
    );
    Some(value)
}

/// Reads a text of which there is one spelling only.
fn one_spelling<T: FromStr + Display + PartialEq + Debug>(spelled: &str) -> bool {
    text::<T>(spelled).is_some_and(|value| {
        assert_eq!(value.to_string(), spelled, "a second spelling is read");
        true
    })
}
