//! The metadata of TUF (§4): root, targets, snapshot, timestamp, and the keys and files they list.
//!
//! Unknown members are allowed and covered by signatures, and never read.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use governance::Timestamp as Instant;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::key::PublicKey;

use super::canonical::{CanonicalError, canonical_object, hex_decode, hex_encode, sha256_hex};
use super::delegation::Delegations;
use super::profile::Profile;
use super::sum::Sum;

/// The version of the specification this writes. Reading asks for the same major number.
pub const SPEC_VERSION: &str = "1.0.33";

/// One of the four top-level roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Names the keys of every role. Founder.
    Root,
    /// Lists what may be installed. Organism.
    Targets,
    /// Lists the versions of the targets metadata. Federation.
    Snapshot,
    /// Names the current snapshot. Federation.
    Timestamp,
}

impl Role {
    /// The name as in `_type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    /// The file name without a version, under which clients keep it: `root.json`.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Root => "root.json",
            Self::Targets => "targets.json",
            Self::Snapshot => "snapshot.json",
            Self::Timestamp => "timestamp.json",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A public key. Only `ed25519`/`ed25519` can verify; others are kept and count for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// `ed25519`.
    pub keytype: String,
    /// `ed25519`.
    pub scheme: String,
    /// `{"public": HEX}`.
    pub keyval: Map<String, Value>,
    /// Members that the specification does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Key {
    /// The key object of an Ed25519 public key.
    #[must_use]
    pub fn of(public: &PublicKey) -> Self {
        let keyval = Map::from_iter([("public".into(), Value::String(hex_encode(public.as_bytes())))]);
        Self { keytype: "ed25519".into(), scheme: "ed25519".into(), keyval, other: Map::new() }
    }

    /// The key id: SHA-256 of the canonical `{keytype, scheme, keyval}`, in hex.
    ///
    /// # Errors
    /// [`CanonicalError`] when `keyval` has no canonical form.
    pub fn id(&self) -> Result<String, CanonicalError> {
        Ok(sha256_hex(&canonical_object(&self.members())?))
    }

    /// The key id that covers unknown members too, as §4 asks of all hashes.
    pub(super) fn id_of_all(&self) -> Result<String, CanonicalError> {
        let mut object = self.other.clone();
        object.extend(self.members());
        Ok(sha256_hex(&canonical_object(&object)?))
    }

    fn members(&self) -> Map<String, Value> {
        Map::from_iter([
            ("keytype".into(), Value::String(self.keytype.clone())),
            ("scheme".into(), Value::String(self.scheme.clone())),
            ("keyval".into(), Value::Object(self.keyval.clone())),
        ])
    }

    /// The public key when this is a sound Ed25519 key.
    #[must_use]
    pub fn public(&self) -> Option<PublicKey> {
        if self.keytype != "ed25519" || self.scheme != "ed25519" {
            return None;
        }
        let bytes = self.keyval.get("public").and_then(Value::as_str).and_then(hex_decode)?;
        PublicKey::from_bytes(&bytes).ok()
    }
}

/// Whose signatures a role needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// Ids of its keys.
    pub keyids: Vec<String>,
    /// How many of them must sign; at least one.
    pub threshold: u64,
}

/// The four roles of a root. Others, such as `mirrors`, are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the roles")]
pub struct Roles {
    pub root: RoleKeys,
    pub snapshot: RoleKeys,
    pub targets: RoleKeys,
    pub timestamp: RoleKeys,
}

impl Roles {
    /// The keys of one role.
    #[must_use]
    pub const fn of(&self, role: Role) -> &RoleKeys {
        match role {
            Role::Root => &self.root,
            Role::Targets => &self.targets,
            Role::Snapshot => &self.snapshot,
            Role::Timestamp => &self.timestamp,
        }
    }
}

/// A moment of expiry. Text: `2026-01-01T00:00:00Z`, to the second, as §4.2.1 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expires(pub Instant);

impl Expires {
    /// Whether metadata with this expiry may no longer be trusted at `now`: it must lie strictly ahead.
    #[must_use]
    pub fn passed(self, now: Instant) -> bool {
        self.0 <= now
    }
}

impl fmt::Display for Expires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        write!(f, "{}Z", text.get(..19).unwrap_or_default())
    }
}

impl Serialize for Expires {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expires {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom("expires must read YYYY-MM-DDTHH:MM:SSZ");
        if text.len() != 20 {
            return Err(wrong());
        }
        text.parse().map(Self).map_err(|_| wrong())
    }
}

/// Hashes by algorithm name, in hex. `sha256` and `sha512` are checked, others ignored.
pub type Hashes = BTreeMap<String, String>;

/// What another file lists about a metadata file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Its version.
    pub version: u64,
    /// Its length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its hashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
}

impl FileMeta {
    /// What to list about these bytes of this version.
    #[must_use]
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        let hashes = Hashes::from([("sha256".into(), sha256_hex(bytes))]);
        Self { version, length: Some(bytes.len() as u64), hashes: Some(hashes) }
    }

    /// How many bytes to read at most: those listed, or the client's own limit (§5.5.1, §5.6.1).
    pub(super) fn bytes_max(&self, max: u64) -> u64 {
        self.length.map_or(max, |length| length.min(max))
    }

    /// Whether the bytes have the listed length and hashes.
    ///
    /// # Errors
    /// `length`, `hash`, or that no listed hash is of a known kind.
    pub fn check(&self, bytes: &[u8]) -> Result<(), &'static str> {
        let mut sum = Sum::default();
        sum.add(bytes);
        if self.length.is_some_and(|length| length != sum.length()) {
            return Err("length");
        }
        self.hashes.as_ref().map_or(Ok(()), |hashes| sum.check(hashes))
    }
}

/// A file that may be installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFile {
    /// Its length in bytes.
    pub length: u64,
    /// Its hashes.
    pub hashes: Hashes,
    /// Anything the application adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Map<String, Value>>,
}

impl TargetFile {
    /// A target of this length and SHA-256.
    #[must_use]
    pub fn new(length: u64, sha256: &[u8; 32]) -> Self {
        Self { length, hashes: Hashes::from([("sha256".into(), hex_encode(sha256))]), custom: None }
    }

    /// The target some bytes are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::new(bytes.len() as u64, &Sha256::digest(bytes).into())
    }

    /// Whether what was read has the listed length and hashes (§5.7.3).
    ///
    /// # Errors
    /// As [`FileMeta::check`].
    pub fn check(&self, sum: Sum) -> Result<(), &'static str> {
        if sum.length() != self.length {
            return Err("length");
        }
        sum.check(&self.hashes)
    }

    /// Its SHA-256, when listed and well-formed.
    #[must_use]
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.hashes.get("sha256").and_then(|hash| hex_decode(hash))
    }
}

/// What the four kinds of metadata have in common.
pub trait Metadata: DeserializeOwned + Serialize {
    /// Its role.
    const ROLE: Role;
    /// Its version.
    fn version(&self) -> u64;
    /// When it expires.
    fn expires(&self) -> Expires;
    /// Faults that its shape alone does not show.
    ///
    /// # Errors
    /// A sentence naming the fault.
    fn check(&self, profile: Profile) -> Result<(), String>;
}

/// `_type` and `spec_version`, which every role has.
fn header_check(kind: &str, role: Role, spec_version: &str, version: u64) -> Result<(), String> {
    if kind != role.name() {
        return Err(alloc::format!("_type is `{kind}`, not `{role}`"));
    }
    if spec_version.split('.').next() != Some("1") {
        return Err(alloc::format!("spec_version `{spec_version}` is not of major version 1"));
    }
    if version == 0 { Err("version must be above 0".into()) } else { Ok(()) }
}

/// A threshold above 0, of keys that are named once each (§4.3: anything else would count a key twice).
pub(super) fn role_keys_check(name: &str, role: &RoleKeys) -> Result<(), String> {
    if role.threshold == 0 {
        return Err(alloc::format!("threshold of {name} must be above 0"));
    }
    let mut ids = BTreeSet::new();
    match role.keyids.iter().find(|id| !ids.insert(*id)) {
        Some(id) => Err(alloc::format!("{name} names key id {id} twice")),
        None => Ok(()),
    }
}

/// `root.json` (§4.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// `root`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The specification it follows.
    pub spec_version: String,
    /// Whether file names carry versions and hashes.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// Rises by one with each root.
    pub version: u64,
    /// When it expires.
    pub expires: Expires,
    /// Keys by id.
    pub keys: BTreeMap<String, Key>,
    /// The roles.
    pub roles: Roles,
}

/// `targets.json` (§4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// `targets`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The specification it follows.
    pub spec_version: String,
    /// Rises with each change.
    pub version: u64,
    /// When it expires.
    pub expires: Expires,
    /// Files by name.
    pub targets: BTreeMap<String, TargetFile>,
    /// Roles it delegates to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
}

/// `snapshot.json` (§4.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `snapshot`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The specification it follows.
    pub spec_version: String,
    /// Rises with each change.
    pub version: u64,
    /// When it expires.
    pub expires: Expires,
    /// `targets.json` and delegated roles.
    pub meta: BTreeMap<String, FileMeta>,
}

/// `timestamp.json` (§4.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// `timestamp`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The specification it follows.
    pub spec_version: String,
    /// Rises with each change.
    pub version: u64,
    /// When it expires.
    pub expires: Expires,
    /// `snapshot.json`.
    pub meta: BTreeMap<String, FileMeta>,
}

macro_rules! metadata {
    ($kind:ident, $check:expr) => {
        impl Metadata for $kind {
            const ROLE: Role = Role::$kind;
            fn version(&self) -> u64 {
                self.version
            }
            fn expires(&self) -> Expires {
                self.expires
            }
            fn check(&self, profile: Profile) -> Result<(), String> {
                header_check(&self.kind, Self::ROLE, &self.spec_version, self.version)?;
                let check: fn(&Self, Profile) -> Result<(), String> = $check;
                check(self, profile)
            }
        }
    };
}

metadata!(Root, |root, profile| {
    profile.keys_check(&root.keys)?;
    [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp]
        .into_iter()
        .try_for_each(|role| role_keys_check(role.name(), root.roles.of(role)))
});
metadata!(Targets, |targets, profile| {
    targets.delegations.as_ref().map_or(Ok(()), |delegations| delegations.check(profile))
});
metadata!(Snapshot, |snapshot, _| meta_check(&snapshot.meta, "targets.json"));
metadata!(Timestamp, |timestamp, _| meta_check(&timestamp.meta, "snapshot.json"));

fn meta_check(meta: &BTreeMap<String, FileMeta>, needed: &str) -> Result<(), String> {
    match meta.iter().find(|(_, file)| file.version == 0) {
        Some((name, _)) => Err(alloc::format!("the version of {name} must be above 0")),
        None if meta.contains_key(needed) => Ok(()),
        None => Err(alloc::format!("does not list {needed}")),
    }
}

/// Whether a target may bear this name on the plane: 1 to 128 letters, digits, `.`, `_`, `-`, `+`; no folder, no
/// dot in front. Clients differ on names with folders under consistent snapshots.
#[must_use]
pub fn target_name_valid(name: &str) -> bool {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+'));
    letters && (1..=128).contains(&name.len()) && !name.starts_with(['.', '-', '+']) && !name.contains("..")
}
