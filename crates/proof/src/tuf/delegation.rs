//! To whom targets metadata hands on which paths (§4.5), and in hash bins by TAP 15.
//!
//! Says which roles speak for a path, in order; walking them is [`search`](super::search).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::canonical::sha256_hex;
use super::pattern::path_matches;
use super::profile::Profile;
use super::schema::{Key, RoleKeys, role_keys_check};

/// To whom targets metadata hands on some paths: `roles`, or `succinct_roles`, not both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegations {
    /// Keys by id.
    pub keys: BTreeMap<String, Key>,
    /// The delegated roles, in order of priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<DelegatedRole>>,
    /// Hash bins (TAP 15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succinct_roles: Option<SuccinctRoles>,
}

/// One delegated role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegatedRole {
    /// Its name; its metadata is `NAME.json`.
    pub name: String,
    /// Its keys and threshold.
    #[serde(flatten)]
    pub keys: RoleKeys,
    /// Path patterns it speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Prefixes of path hashes it speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
    /// Whether the search ends with it and those it delegates to.
    #[serde(default)]
    pub terminating: bool,
}

/// `2^bit_length` roles of the same keys, each for the paths whose SHA-256 begins with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccinctRoles {
    /// The keys and the threshold of each.
    #[serde(flatten)]
    pub keys: RoleKeys,
    /// Bits of the hash that choose a bin: 1 to 32.
    pub bit_length: u32,
    /// What names begin with; a dash and the bin's number in hex follow.
    pub name_prefix: String,
}

/// A role that speaks for a path.
pub(super) struct Speaker<'d> {
    pub(super) name: String,
    pub(super) keys: &'d RoleKeys,
    pub(super) terminating: bool,
}

/// The names of the top-level roles, which no delegation may give away.
const TOP_LEVEL: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];

impl Delegations {
    /// Faults that its shape alone does not show.
    pub(super) fn check(&self, profile: Profile) -> Result<(), String> {
        profile.keys_check(&self.keys)?;
        let mut names = BTreeSet::new();
        match (&self.roles, &self.succinct_roles) {
            (Some(roles), None) => roles.iter().try_for_each(|role| {
                role.check()?;
                if names.insert(&role.name) {
                    Ok(())
                } else {
                    Err(format!("delegated role `{}` is listed twice", role.name))
                }
            }),
            (None, Some(succinct)) if profile != Profile::Own => succinct.check(),
            _ => Err("delegations have either `roles` or `succinct_roles`".into()),
        }
    }

    /// The roles that speak for a path, in order of priority (§5.6.7.2).
    pub(super) fn speakers(&self, path: &str) -> Vec<Speaker<'_>> {
        if let Some(bins) = &self.succinct_roles {
            return alloc::vec![Speaker { name: bins.bin(path), keys: &bins.keys, terminating: true }];
        }
        let roles = self.roles.iter().flatten().filter(|role| role.speaks_for(path));
        roles
            .map(|role| Speaker { name: role.name.clone(), keys: &role.keys, terminating: role.terminating })
            .collect()
    }
}

impl DelegatedRole {
    fn check(&self) -> Result<(), String> {
        role_keys_check(&self.name, &self.keys)?;
        if self.name.is_empty() || TOP_LEVEL.contains(&self.name.as_str()) {
            return Err(format!("a delegated role may not be called `{}`", self.name));
        }
        if self.paths.is_some() && self.path_hash_prefixes.is_some() {
            return Err(format!("delegated role `{}` has both paths and path_hash_prefixes", self.name));
        }
        Ok(())
    }

    /// Whether it is trusted with a path. With neither paths nor prefixes it is trusted with none.
    #[must_use]
    pub fn speaks_for(&self, path: &str) -> bool {
        if let Some(patterns) = &self.paths {
            return patterns.iter().any(|pattern| path_matches(pattern, path));
        }
        let Some(prefixes) = &self.path_hash_prefixes else { return false };
        let hash = sha256_hex(path.as_bytes());
        prefixes.iter().any(|prefix| hash.starts_with(prefix.as_str()))
    }
}

impl SuccinctRoles {
    fn check(&self) -> Result<(), String> {
        role_keys_check(&self.name_prefix, &self.keys)?;
        if (1..=32).contains(&self.bit_length) { Ok(()) } else { Err("bit_length must be 1 to 32".into()) }
    }

    /// The name of the role that speaks for a path.
    #[must_use]
    pub fn bin(&self, path: &str) -> String {
        let hash: [u8; 32] = Sha256::digest(path.as_bytes()).into();
        let [first, second, third, fourth, ..] = hash;
        let head = u32::from_be_bytes([first, second, third, fourth]);
        let bin = head.checked_shr(32_u32.saturating_sub(self.bit_length)).unwrap_or(0);
        let digits = self.bit_length.div_ceil(4) as usize;
        format!("{}-{bin:0digits$x}", self.name_prefix)
    }
}
