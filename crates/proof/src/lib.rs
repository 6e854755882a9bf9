//! The documents the federation signs, and how anyone checks them: keys, JWS, requests, statements, directives, orders.
//!
//! Never reads a clock, a file or a socket, and never decides anything: it says what was signed, and by whom.
//! What it verifies it verifies over the bytes as received; nothing is canonicalised.

#![no_std]

extern crate alloc;

pub mod challenge;
pub mod directive;
pub mod jws;
pub mod key;
pub mod keys;
pub mod order;
pub mod request;
pub mod statement;
pub mod token;
pub mod tuf;

mod encoding;

pub use challenge::{Answer, Challenge};
pub use directive::{Directive, Offer, OfferAction, PackageRef};
pub use governance::Digest;
pub use jws::{Jws, JwsError, Typ, Verified};
pub use key::{
    Checking, KeyError, KeyId, KeySet, PublicKey, RootKeys, SeedKey, Sign, SignError, SignatureError,
};
pub use keys::{KeysDocument, OnlineKey, Purpose};
pub use order::{Asks, Order, OrderAction};
pub use request::{RequestError, RequestFacts, RequestHead, SignedRequest};
pub use statement::VersionStatement;
