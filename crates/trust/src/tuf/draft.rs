//! Drafts of root and targets metadata, for keys that are kept offline. A draft is an [`Envelope`]: it is signed by
//! one holder after another with [`Envelope::sign`], as a file in between.
//!
//! Never reads or writes a file, and holds no key.

use std::collections::BTreeMap;

use governance::Timestamp;
use proof::tuf::{
    Document, Envelope, Expires, Fault, Key, Metadata, Role, RoleKeys, Roles, Root, SPEC_VERSION, TargetFile,
    Targets, target_name_valid,
};
use proof::{KeySet, PublicKey};

use super::{PublishError, refuse};

/// Whose keys a root names.
#[derive(Clone, Copy, Debug)]
pub struct RootPlan<'a> {
    /// Root: the Founder's keys and threshold.
    pub founder: &'a KeySet,
    /// Targets: the Organism's keys and threshold.
    pub organism: &'a KeySet,
    /// Snapshot: the Federation's online keys, each good alone.
    pub snapshot: &'a [PublicKey],
    /// Timestamp: the Federation's online keys, each good alone.
    pub timestamp: &'a [PublicKey],
}

/// What the next targets metadata lists otherwise than the last.
#[derive(Clone, Debug, Default)]
pub struct TargetsChange {
    /// Files to add or replace, by name.
    pub put: BTreeMap<String, TargetFile>,
    /// Names to list no more.
    pub remove: Vec<String>,
}

/// The first root, to be signed by the Founder's threshold.
///
/// # Errors
/// [`PublishError::Plan`] when a role would have no key.
pub fn root_first(plan: &RootPlan<'_>, expires: Timestamp) -> Result<Envelope, PublishError> {
    root_draft(plan, 1, expires)
}

/// The root after `previous`, to be signed by the Founder's old threshold and the new one.
///
/// # Errors
/// [`PublishError::Plan`], or [`PublishError::Tuf`] when `previous` is no root.
pub fn root_next(previous: &[u8], plan: &RootPlan<'_>, expires: Timestamp) -> Result<Envelope, PublishError> {
    root_draft(plan, version_next::<Root>(&parse::<Root>(previous)?)?, expires)
}

/// The first targets metadata: version 1, to be signed by the Organism's threshold.
///
/// # Errors
/// [`PublishError::Name`].
pub fn targets_first(change: TargetsChange, expires: Timestamp) -> Result<Envelope, PublishError> {
    let targets = Targets {
        kind: Role::Targets.name().into(),
        spec_version: SPEC_VERSION.into(),
        version: 1,
        expires: Expires(expires),
        targets: BTreeMap::new(),
        delegations: None,
    };
    targets_draft(targets, change)
}

/// The targets metadata after `previous`: its files with the change, version + 1.
///
/// # Errors
/// [`PublishError::Name`], or [`PublishError::Tuf`] when `previous` is no targets metadata.
pub fn targets_next(
    previous: &[u8],
    change: TargetsChange,
    expires: Timestamp,
) -> Result<Envelope, PublishError> {
    let mut targets = parse::<Targets>(previous)?;
    targets.version = version_next(&targets)?;
    targets.expires = Expires(expires);
    targets.spec_version = SPEC_VERSION.into();
    targets_draft(targets, change)
}

/// How far a document has come: how many distinct keys of its role in `root` signed it, and how many must.
///
/// # Errors
/// [`PublishError::Tuf`] when the document is not of this role.
pub fn progress<T: Metadata>(document: &[u8], root: &Root) -> Result<(u64, u64), PublishError> {
    let document = Document::<T>::parse(document).map_err(|fault| refuse(T::ROLE, None, "4.2.1", fault))?;
    let role = root.roles.of(T::ROLE);
    Ok((document.signatures.count(role, &root.keys), role.threshold))
}

fn root_draft(plan: &RootPlan<'_>, version: u64, expires: Timestamp) -> Result<Envelope, PublishError> {
    let mut keys = BTreeMap::new();
    let mut role = |threshold: u32, members: &[PublicKey]| -> Result<RoleKeys, PublishError> {
        let mut keyids = Vec::with_capacity(members.len());
        for member in members {
            let key = Key::of(member);
            let id = key.id().map_err(|error| refuse(Role::Root, version, "4.2.1", error.into()))?;
            keys.insert(id.clone(), key);
            keyids.push(id);
        }
        if keyids.is_empty() {
            return Err(PublishError::Plan("every role of a root needs a key"));
        }
        Ok(RoleKeys { keyids, threshold: threshold.into() })
    };
    let roles = Roles {
        root: role(plan.founder.threshold(), plan.founder.keys())?,
        targets: role(plan.organism.threshold(), plan.organism.keys())?,
        snapshot: role(1, plan.snapshot)?,
        timestamp: role(1, plan.timestamp)?,
    };
    let root = Root {
        kind: Role::Root.name().into(),
        spec_version: SPEC_VERSION.into(),
        consistent_snapshot: true,
        version,
        expires: Expires(expires),
        keys,
        roles,
    };
    draft(&root)
}

fn targets_draft(mut targets: Targets, change: TargetsChange) -> Result<Envelope, PublishError> {
    for name in &change.remove {
        targets.targets.remove(name);
    }
    targets.targets.extend(change.put);
    match targets.targets.keys().find(|name| !target_name_valid(name)) {
        Some(name) => Err(PublishError::Name(name.clone())),
        None => draft(&targets),
    }
}

/// An unsigned document that has a canonical form.
pub(super) fn draft<T: Metadata>(metadata: &T) -> Result<Envelope, PublishError> {
    let wrong = |fault| refuse(T::ROLE, metadata.version(), "4.2.1", fault);
    let envelope = Envelope::new(metadata).map_err(wrong)?;
    envelope.message().map_err(wrong)?;
    Ok(envelope)
}

/// The version after this one.
pub(super) fn version_next<T: Metadata>(metadata: &T) -> Result<u64, PublishError> {
    let version = metadata.version();
    let last = || refuse(T::ROLE, version, "4.2.1", Fault::Version { expected: version });
    version.checked_add(1).ok_or_else(last)
}

fn parse<T: Metadata>(bytes: &[u8]) -> Result<T, PublishError> {
    let document = Document::parse(bytes).map_err(|fault| refuse(T::ROLE, None, "4.2.1", fault))?;
    Ok(document.signed)
}
