//! The client's update workflow (§5.1–5.7) as a machine without I/O: it says which file it wants, is given
//! bytes or told that there are none, and says what to keep.
//!
//! ```text
//! while let Some(want) = updater.want()? {
//!     for act in updater.give(fetch(want)) { carry_out(act) }
//! }
//! let trusted = updater.finish()?;
//! ```
//!
//! Time is fixed when the refresh begins. Never trusts what failed a check, and never keeps it; what passed
//! before a failure is kept, so that the next refresh goes on from there.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use governance::Timestamp as Instant;

use super::error::{Fault, TufError};
use super::profile::Profile;
use super::schema::{Expires, FileMeta, Metadata, Role, RoleKeys, Root, Snapshot, Targets, Timestamp};
use super::trusted::Trusted;
use super::verify::{Document, root_follows, root_self_signed};

/// Most bytes of a root.
pub const ROOT_BYTES_MAX: u64 = 512_000;
/// Most bytes of a timestamp.
pub const TIMESTAMP_BYTES_MAX: u64 = 16_384;
/// Most bytes of a snapshot.
pub const SNAPSHOT_BYTES_MAX: u64 = 2_000_000;
/// Most bytes of targets metadata.
pub const TARGETS_BYTES_MAX: u64 = 5_000_000;
/// Most roots taken in one refresh; the next refresh goes on from there (§5.3.3).
pub const ROTATIONS_MAX: u32 = 256;

/// What the client kept from its last refresh.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The trusted root: the one given out of band, or the last one persisted.
    pub root: Vec<u8>,
    /// The last timestamp persisted.
    pub timestamp: Option<Vec<u8>>,
    /// The last snapshot persisted.
    pub snapshot: Option<Vec<u8>>,
    /// The last targets metadata persisted.
    pub targets: Option<Vec<u8>>,
}

/// A file to fetch, relative to the metadata folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The path: `2.root.json`, `timestamp.json` …
    pub path: String,
    /// Read no more than this and one byte; a longer answer given back is refused as endless data.
    pub max_bytes: u64,
}

/// What came of fetching. Any other failure ends the refresh: the caller reports it and drops the updater.
#[derive(Clone, Copy, Debug)]
pub enum Fetched<'a> {
    /// The file.
    Bytes(&'a [u8]),
    /// The repository answered that it has no such file (404, and nothing else).
    NotFound,
}

/// What to do in the client's store, in this order, each durable before the next file is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Persist {
    /// Write [`Role::file_name`].
    Write {
        /// Whose file.
        role: Role,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Delete [`Role::file_name`].
    Delete(Role),
}

enum Phase {
    Root,
    Timestamp,
    Snapshot(FileMeta),
    Targets(FileMeta),
    Done(Targets),
    Failed(TufError),
}

/// One refresh.
pub struct Updater {
    now: Instant,
    profile: Profile,
    root: Root,
    rotations: u32,
    stored_timestamp: Option<Vec<u8>>,
    stored_snapshot: Option<Vec<u8>>,
    stored_targets: Option<Vec<u8>>,
    timestamp: Option<Timestamp>,
    snapshot: Option<Snapshot>,
    phase: Phase,
}

pub(super) type Checked<T = ()> = Result<T, TufError>;

impl Updater {
    /// Begins a refresh of our own repository at `now` from what the client kept.
    ///
    /// # Errors
    /// As [`Updater::of`].
    pub fn new(stored: Stored, now: Instant) -> Checked<Self> {
        Self::of(Profile::Own, stored, now)
    }

    /// Begins a refresh of such a repository at `now` from what the client kept.
    ///
    /// # Errors
    /// [`TufError`] under §5.2 when the stored root is malformed or not signed by its own threshold. Its expiry
    /// does not matter here.
    pub fn of(profile: Profile, stored: Stored, now: Instant) -> Checked<Self> {
        let root = Document::<Root>::parse_as(&stored.root, profile)
            .map_err(|fault| TufError::new(Role::Root, None, "5.2", fault))?;
        root_self_signed(&root)?;
        Ok(Self {
            now,
            profile,
            root: root.signed,
            rotations: 0,
            stored_timestamp: stored.timestamp,
            stored_snapshot: stored.snapshot,
            stored_targets: stored.targets,
            timestamp: None,
            snapshot: None,
            phase: Phase::Root,
        })
    }

    /// The file wanted next; nothing when the refresh is done.
    ///
    /// # Errors
    /// The refusal that ended the refresh.
    pub fn want(&self) -> Checked<Option<Want>> {
        let versioned = |role: Role, version: u64| match self.root.consistent_snapshot {
            true => format!("{version}.{}", role.file_name()),
            false => role.file_name().into(),
        };
        let (path, max_bytes) = match &self.phase {
            Phase::Root => (format!("{}.root.json", self.root.version.saturating_add(1)), ROOT_BYTES_MAX),
            Phase::Timestamp => (Role::Timestamp.file_name().into(), TIMESTAMP_BYTES_MAX),
            Phase::Snapshot(meta) => {
                (versioned(Role::Snapshot, meta.version), meta.bytes_max(SNAPSHOT_BYTES_MAX))
            }
            Phase::Targets(meta) => {
                (versioned(Role::Targets, meta.version), meta.bytes_max(TARGETS_BYTES_MAX))
            }
            Phase::Done(_) => return Ok(None),
            Phase::Failed(error) => return Err(error.clone()),
        };
        Ok(Some(Want { path, max_bytes }))
    }

    /// Takes what came for the last [`want`](Self::want), and says what to persist. A refusal shows in the next
    /// `want` or `finish`; what is persisted before it stands.
    pub fn give(&mut self, fetched: Fetched<'_>) -> Vec<Persist> {
        let mut acts = Vec::new();
        if let Err(error) = self.take(fetched, &mut acts) {
            self.phase = Phase::Failed(error);
        }
        acts
    }

    /// The result of the refresh: holding it is the proof that every check passed.
    ///
    /// # Errors
    /// The refusal that ended the refresh, or [`Fault::Unfinished`].
    pub fn finish(self) -> Checked<Trusted> {
        match (self.phase, self.timestamp, self.snapshot) {
            (Phase::Done(targets), Some(timestamp), Some(snapshot)) => {
                let (now, profile) = (self.now, self.profile);
                Ok(Trusted { now, profile, root: self.root, timestamp, snapshot, targets })
            }
            (Phase::Failed(error), ..) => Err(error),
            _ => Err(TufError::new(Role::Root, self.root.version, "5.1", Fault::Unfinished)),
        }
    }

    fn take(&mut self, fetched: Fetched<'_>, acts: &mut Vec<Persist>) -> Checked {
        let Some(want) = self.want()? else { return Ok(()) };
        let (role, version, rule) = match &self.phase {
            Phase::Root => (Role::Root, self.root.version.checked_add(1), "5.3.3"),
            Phase::Timestamp => (Role::Timestamp, None, "5.4.1"),
            Phase::Snapshot(meta) => (Role::Snapshot, Some(meta.version), "5.5.1"),
            Phase::Targets(meta) => (Role::Targets, Some(meta.version), "5.6.1"),
            Phase::Done(_) | Phase::Failed(_) => return Ok(()),
        };
        let bytes = match fetched {
            Fetched::Bytes(bytes) => bytes,
            Fetched::NotFound if role == Role::Root => return self.timestamp_begin(acts),
            Fetched::NotFound => {
                return Err(TufError::new(role, version, rule, Fault::NotFound(want.path)));
            }
        };
        if bytes.len() as u64 > want.max_bytes {
            return Err(TufError::new(role, version, rule, Fault::TooLong { max_bytes: want.max_bytes }));
        }
        match role {
            Role::Root => self.root_take(bytes, acts),
            Role::Timestamp => self.timestamp_take(bytes, acts),
            Role::Snapshot => self.snapshot_take(bytes, acts),
            Role::Targets => self.targets_take(bytes, acts),
        }
    }

    /// §5.3.4–5.3.9.
    fn root_take(&mut self, bytes: &[u8], acts: &mut Vec<Persist>) -> Checked {
        let version = self.root.version.checked_add(1);
        let next = Document::<Root>::parse_as(bytes, self.profile)
            .map_err(|fault| TufError::new(Role::Root, version, "5.3.4", fault))?;
        match root_follows(&next, &self.root) {
            // §5.3.5: signed as needed, but the version already held: discarded without harm.
            Err(error) if error.rule == "5.3.5" && next.signed.version == self.root.version => {
                return self.timestamp_begin(acts);
            }
            outcome => outcome?,
        }
        // §5.3.11 for each step of the chain, and before the root is kept: a crash between the two
        // cannot leave fast-forwarded files behind a root that was meant to clear them.
        let rotated = [Role::Timestamp, Role::Snapshot]
            .into_iter()
            .any(|role| key_left(self.root.roles.of(role), next.signed.roles.of(role)));
        if rotated {
            for (role, stored) in
                [(Role::Timestamp, &mut self.stored_timestamp), (Role::Snapshot, &mut self.stored_snapshot)]
            {
                acts.extend(stored.take().map(|_| Persist::Delete(role)));
            }
        }
        acts.push(Persist::Write { role: Role::Root, bytes: bytes.to_vec() });
        self.root = next.signed;
        self.rotations += 1;
        if self.rotations < ROTATIONS_MAX { Ok(()) } else { self.timestamp_begin(acts) }
    }

    /// §5.3.10, and what was kept is trusted only as far as the final root vouches for it.
    fn timestamp_begin(&mut self, acts: &mut Vec<Persist>) -> Checked {
        self.fresh(&self.root, "5.3.10")?;
        self.timestamp = self.stored_timestamp.take().and_then(|bytes| {
            let kept = self.vouched(&bytes);
            if kept.is_none() {
                acts.push(Persist::Delete(Role::Timestamp));
            }
            kept
        });
        self.snapshot = self.stored_snapshot.as_ref().and_then(|bytes| self.vouched(bytes));
        if self.snapshot.is_none() && self.stored_snapshot.take().is_some() {
            acts.push(Persist::Delete(Role::Snapshot));
        }
        self.phase = Phase::Timestamp;
        Ok(())
    }

    /// §5.4.2–5.4.5.
    fn timestamp_take(&mut self, bytes: &[u8], acts: &mut Vec<Persist>) -> Checked {
        let new: Timestamp = self.signed(bytes, None, "5.4.2")?;
        if let Some(held) = &self.timestamp {
            if new.version == held.version {
                // The same version: the new file is discarded, the trusted one must still be fresh.
                self.fresh(held, "5.4.4")?;
                return self.snapshot_begin(acts);
            }
            not_below(
                Role::Timestamp,
                new.version,
                "5.4.3.1",
                Role::Timestamp.file_name(),
                held.version,
                new.version,
            )?;
            let name = Role::Snapshot.file_name();
            let listed = |timestamp: &Timestamp| timestamp.meta.get(name).map_or(0, |meta| meta.version);
            not_below(Role::Timestamp, new.version, "5.4.3.2", name, listed(held), listed(&new))?;
        }
        self.fresh(&new, "5.4.4")?;
        acts.push(Persist::Write { role: Role::Timestamp, bytes: bytes.to_vec() });
        self.timestamp = Some(new);
        self.snapshot_begin(acts)
    }

    /// §5.5.1: nothing is fetched when the snapshot kept is the one the timestamp names.
    fn snapshot_begin(&mut self, acts: &mut Vec<Persist>) -> Checked {
        let listed =
            self.timestamp.as_ref().and_then(|timestamp| timestamp.meta.get(Role::Snapshot.file_name()));
        let meta = listed.cloned().ok_or_else(|| unlisted(Role::Timestamp, "5.5.1", Role::Snapshot))?;
        let held = self.snapshot.as_ref().filter(|held| held.version == meta.version);
        let same = self.stored_snapshot.take().is_some_and(|bytes| meta.check(&bytes).is_ok());
        match held {
            Some(held) if same => {
                self.fresh(held, "5.5.6")?;
                self.targets_begin(acts)
            }
            _ => {
                self.phase = Phase::Snapshot(meta);
                Ok(())
            }
        }
    }

    /// §5.5.2–5.5.7.
    fn snapshot_take(&mut self, bytes: &[u8], acts: &mut Vec<Persist>) -> Checked {
        let Phase::Snapshot(meta) = &self.phase else { return Ok(()) };
        let new: Snapshot = self.announced(bytes, meta, ["5.5.2", "5.5.3", "5.5.4"])?;
        for (name, held) in self.snapshot.iter().flat_map(|held| &held.meta) {
            let offered = new.meta.get(name).map_or(0, |file| file.version);
            not_below(Role::Snapshot, new.version, "5.5.5", name, held.version, offered)?;
        }
        self.fresh(&new, "5.5.6")?;
        acts.push(Persist::Write { role: Role::Snapshot, bytes: bytes.to_vec() });
        self.snapshot = Some(new);
        self.targets_begin(acts)
    }

    /// §5.6.1: nothing is fetched when the targets kept are those the snapshot names.
    fn targets_begin(&mut self, acts: &mut Vec<Persist>) -> Checked {
        let listed = self.snapshot.as_ref().and_then(|snapshot| snapshot.meta.get(Role::Targets.file_name()));
        let meta = listed.cloned().ok_or_else(|| unlisted(Role::Snapshot, "5.6.1", Role::Targets))?;
        let stored = self.stored_targets.take();
        let vouched = stored.as_ref().and_then(|bytes| self.vouched::<Targets>(bytes));
        if vouched.is_none() && stored.is_some() {
            acts.push(Persist::Delete(Role::Targets));
        }
        let same = stored.is_some_and(|bytes| meta.check(&bytes).is_ok());
        match vouched {
            Some(held) if same && held.version == meta.version => {
                self.fresh(&held, "5.6.5")?;
                self.phase = Phase::Done(held);
            }
            _ => self.phase = Phase::Targets(meta),
        }
        Ok(())
    }

    /// §5.6.2–5.6.6.
    fn targets_take(&mut self, bytes: &[u8], acts: &mut Vec<Persist>) -> Checked {
        let Phase::Targets(meta) = &self.phase else { return Ok(()) };
        let new: Targets = self.announced(bytes, meta, ["5.6.2", "5.6.3", "5.6.4"])?;
        self.fresh(&new, "5.6.5")?;
        acts.push(Persist::Write { role: Role::Targets, bytes: bytes.to_vec() });
        self.phase = Phase::Done(new);
        Ok(())
    }

    /// Parses a file and checks it against the root's threshold.
    fn signed<T: Metadata>(&self, bytes: &[u8], version: Option<u64>, rule: &'static str) -> Checked<T> {
        let document = Document::<T>::parse_as(bytes, self.profile)
            .map_err(|fault| TufError::new(T::ROLE, version, rule, fault))?;
        let claimed = document.signed.version();
        document.verify_by(&self.root).map_err(|fault| TufError::new(T::ROLE, claimed, rule, fault))?;
        Ok(document.signed)
    }

    /// A file another one announced: hashes first, then signatures, then its version.
    fn announced<T: Metadata>(&self, bytes: &[u8], meta: &FileMeta, rules: [&'static str; 3]) -> Checked<T> {
        let [hash_rule, signature_rule, version_rule] = rules;
        let expected = meta.version;
        meta.check(bytes)
            .map_err(|what| TufError::new(T::ROLE, expected, hash_rule, Fault::Mismatch(what)))?;
        let new: T = self.signed(bytes, Some(expected), signature_rule)?;
        if new.version() == expected {
            return Ok(new);
        }
        Err(TufError::new(T::ROLE, new.version(), version_rule, Fault::Version { expected }))
    }

    /// A file from the client's own store, when the root still vouches for it. Its expiry does not matter:
    /// an expired file still holds against rollback.
    fn vouched<T: Metadata>(&self, bytes: &[u8]) -> Option<T> {
        self.signed(bytes, None, "5.3.11").ok()
    }

    fn fresh<T: Metadata>(&self, metadata: &T, rule: &'static str) -> Checked {
        fresh(metadata, self.now).map_err(|fault| TufError::new(T::ROLE, metadata.version(), rule, fault))
    }
}

/// Whether metadata is still good when the update begins.
pub(super) fn fresh<T: Metadata>(metadata: &T, now: Instant) -> Result<(), Fault> {
    let expires: Expires = metadata.expires();
    if expires.passed(now) { Err(Fault::Expired { expires: expires.to_string() }) } else { Ok(()) }
}

/// Whether a key of the old role speaks for the new one no more, which is what recovery from a stolen key needs.
/// A key merely added takes nobody's word back.
fn key_left(old: &RoleKeys, new: &RoleKeys) -> bool {
    old.keyids.iter().any(|id| !new.keyids.contains(id))
}

fn unlisted(role: Role, rule: &'static str, file: Role) -> TufError {
    TufError::new(role, None, rule, Fault::Unlisted(file.file_name().into()))
}

fn not_below(
    role: Role,
    version: u64,
    rule: &'static str,
    file: &str,
    trusted: u64,
    offered: u64,
) -> Checked {
    if offered >= trusted {
        return Ok(());
    }
    Err(TufError::new(role, version, rule, Fault::Rollback { file: file.into(), offered, trusted }))
}
