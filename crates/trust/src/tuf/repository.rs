//! The repository the plane serves: `metadata/` and `targets/` below one folder, and the two online keys.
//!
//! What is uploaded waits in `incoming/`, which nobody is served from, until metadata that the Organism signed lists it;
//! then it moves to `targets/`. The room and the time to wait are bounded.
//!
//! Every change is a chain of whole files with `timestamp.json` last, so that a reader, or a crash at any moment, sees
//! the state before or the state after. File work blocks: call it off the async threads.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use governance::{Span, Timestamp as Instant};
use proof::tuf::{
    self, Document, Expires, Fault, FileMeta, Key, Metadata, Role, RoleKeys, Root, SPEC_VERSION, Snapshot,
    TargetFile, Targets, Timestamp, hex_encode, root_follows, root_self_signed, target_name_valid,
};
use proof::{KeyId, Sign};

use super::draft::{draft, version_next};
use super::files::{self, failed};
use super::{PublishError, refuse};

/// How long what the online keys sign stays good. Signed anew at half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of a snapshot.
    pub snapshot: Span,
    /// Of a timestamp: the longest a client can be kept from news.
    pub timestamp: Span,
}

impl Default for Lifetimes {
    /// Seven days, and one.
    fn default() -> Self {
        Self { snapshot: Span::hours(7 * 24), timestamp: Span::hours(24) }
    }
}

/// How much may wait for metadata that lists it, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Bytes of all files together.
    pub bytes_max: u64,
    /// From its upload until a file that nothing lists is removed.
    pub age_max: Span,
}

impl Default for Incoming {
    /// Eight GiB, and seven days.
    fn default() -> Self {
        Self { bytes_max: 8 << 30, age_max: Span::hours(7 * 24) }
    }
}

/// Files that may wait at once.
const INCOMING_FILES_MAX: usize = 1_024;

/// The versions in force, and when what the offline keys signed expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Version of the root.
    pub root: u64,
    /// Version of the targets.
    pub targets: u64,
    /// Version of the snapshot.
    pub snapshot: u64,
    /// Version of the timestamp.
    pub timestamp: u64,
    /// The Founder must sign a new root before this.
    pub root_expires: Instant,
    /// The Organism must sign new targets before this.
    pub targets_expires: Instant,
    /// The last instant of the snapshot.
    pub snapshot_expires: Instant,
    /// The last instant of the timestamp.
    pub timestamp_expires: Instant,
}

/// The right to write, until it falls; the system lets go of it whatever happens to the process.
struct Writing<'a> {
    _among: File,
    _within: MutexGuard<'a, ()>,
}

/// The TUF repository in a federation's folder `tuf/`. Several servers may share it: one writes at a time.
pub struct Repository {
    metadata: PathBuf,
    targets: PathBuf,
    incoming: PathBuf,
    incoming_limits: Incoming,
    snapshot_key: Box<dyn Sign + Send + Sync>,
    timestamp_key: Box<dyn Sign + Send + Sync>,
    lifetimes: Lifetimes,
    writing: Mutex<()>,
    /// The file that whoever writes locks.
    lock: PathBuf,
    /// Taken behind `writing` where both are.
    receiving: Mutex<()>,
}

/// What `timestamp.json` leads to.
struct Current {
    timestamp: Document<Timestamp>,
    snapshot: Document<Snapshot>,
    targets: Document<Targets>,
    targets_bytes: Vec<u8>,
}

impl Repository {
    /// Opens the repository in `folder`, making its folders when they are missing.
    ///
    /// # Errors
    /// [`PublishError::Io`].
    pub fn open(
        folder: &Path,
        snapshot_key: Box<dyn Sign + Send + Sync>,
        timestamp_key: Box<dyn Sign + Send + Sync>,
        lifetimes: Lifetimes,
    ) -> Result<Self, PublishError> {
        let [metadata, targets, incoming] = ["metadata", "targets", "incoming"].map(|name| folder.join(name));
        for path in [&metadata, &targets, &incoming] {
            fs::create_dir_all(path).map_err(failed(path))?;
        }
        Ok(Self {
            metadata,
            targets,
            incoming,
            incoming_limits: Incoming::default(),
            snapshot_key,
            timestamp_key,
            lifetimes,
            writing: Mutex::default(),
            lock: folder.join(".lock"),
            receiving: Mutex::default(),
        })
    }

    /// The same with other limits for what waits to be listed.
    #[must_use]
    pub fn with_incoming(self, incoming_limits: Incoming) -> Self {
        Self { incoming_limits, ..self }
    }

    /// How long what the online keys sign stays good.
    #[must_use]
    pub const fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    /// The ids of the keys that sign snapshots and timestamps here.
    #[must_use]
    pub fn keys(&self) -> (KeyId, KeyId) {
        (self.snapshot_key.key_id(), self.timestamp_key.key_id())
    }

    /// The root in force.
    ///
    /// # Errors
    /// [`PublishError::NoRoot`], [`PublishError::Io`], or [`PublishError::Tuf`] when the file is damaged.
    pub fn root(&self) -> Result<Root, PublishError> {
        Ok(self.root_document()?.1.signed)
    }

    /// The bytes of the targets metadata in force, from which the next one is drafted; nothing before the first.
    ///
    /// # Errors
    /// [`PublishError::Io`] or [`PublishError::Tuf`].
    pub fn targets_bytes(&self) -> Result<Option<Vec<u8>>, PublishError> {
        Ok(self.current()?.map(|current| current.targets_bytes))
    }

    /// The versions in force; nothing before the first publication.
    ///
    /// # Errors
    /// [`PublishError::Io`] or [`PublishError::Tuf`].
    pub fn published(&self) -> Result<Option<Published>, PublishError> {
        published(&self.metadata)
    }

    /// The same of the repository in `folder`, for whoever only looks: no key is needed, and nothing is written.
    ///
    /// # Errors
    /// As [`published`](Self::published).
    pub fn published_in(folder: &Path) -> Result<Option<Published>, PublishError> {
        published(&folder.join("metadata"))
    }

    /// Publishes a root: the first one, signed by itself, or the one after the root in force, signed by both
    /// thresholds. The same bytes again change nothing. Call [`resign_if_due`](Self::resign_if_due) after it.
    ///
    /// # Errors
    /// [`PublishError::Tuf`] under the sections that clients will check it by, [`PublishError::Plan`] without
    /// consistent snapshots, [`PublishError::Io`].
    pub fn root_publish(&self, bytes: &[u8]) -> Result<u64, PublishError> {
        let _writing = self.write_lock()?;
        let Some(version) = self.root_judge(bytes)? else { return Ok(self.root()?.version) };
        files::write(&self.versioned(Role::Root, version), bytes)?;
        Ok(version)
    }

    /// Whether a root may follow the one in force: clients would take it now, it names the keys that this repository signs with,
    /// and the targets in force still count under it. Changes nothing.
    ///
    /// # Errors
    /// As [`root_publish`](Self::root_publish); [`PublishError::Plan`] where it would lock clients out.
    pub fn root_check(&self, bytes: &[u8], now: Instant) -> Result<(), PublishError> {
        let _writing = self.write_lock()?;
        if self.root_judge(bytes)?.is_none() {
            return Ok(());
        }
        let next = parse::<Root>(bytes, "5.3.4", tuf::ROOT_BYTES_MAX)?.signed;
        fresh(&next, now, "5.3.10")?;
        let names = |role: &RoleKeys, key: &dyn Sign| {
            let key = Key::of(key.public_key()).id();
            key.is_ok_and(|id| role.keyids.contains(&id))
        };
        if !names(&next.roles.snapshot, &*self.snapshot_key) {
            return Err(PublishError::Plan("the root does not name the key that signs snapshots here"));
        }
        if !names(&next.roles.timestamp, &*self.timestamp_key) {
            return Err(PublishError::Plan("the root does not name the key that signs timestamps here"));
        }
        match self.current()? {
            Some(current) if current.targets.verify_by(&next).is_err() => Err(PublishError::Plan(
                "the targets in force are not signed by enough of the keys that it names",
            )),
            _ => Ok(()),
        }
    }

    /// The version of a root that may come into force; nothing when it is in force already.
    fn root_judge(&self, bytes: &[u8]) -> Result<Option<u64>, PublishError> {
        let next: Document<Root> = parse(bytes, "5.3.4", tuf::ROOT_BYTES_MAX)?;
        let version = next.signed.version;
        if !next.signed.consistent_snapshot {
            return Err(PublishError::Plan("the root must ask for consistent snapshots"));
        }
        match self.root_document() {
            Ok((held_bytes, held)) if held.signed.version == version && held_bytes == bytes => {
                return Ok(None);
            }
            Ok((_, held)) => root_follows(&next, &held.signed)?,
            Err(PublishError::NoRoot(_)) => {
                root_self_signed(&next)?;
                if version != 1 {
                    return Err(refuse(Role::Root, version, "5.3.5", Fault::Version { expected: 1 }));
                }
            }
            Err(error) => return Err(error),
        }
        Ok(Some(version))
    }

    /// Takes a target file in as `<sha256>.<name>`. It is served to nobody until the Organism's metadata lists it, and
    /// removed when none does for long. The same again changes nothing.
    ///
    /// # Errors
    /// [`PublishError::Name`]; [`PublishError::Full`]; [`PublishError::Io`], `FileTooLarge` above `max_bytes`.
    pub fn target_put(
        &self,
        name: &str,
        source: &mut dyn Read,
        max_bytes: u64,
    ) -> Result<TargetFile, PublishError> {
        if !target_name_valid(name) {
            return Err(PublishError::Name(name.into()));
        }
        let _receiving = lock(&self.receiving);
        let bytes_max = self.incoming_limits.bytes_max;
        let full = || PublishError::Full { files_max: INCOMING_FILES_MAX, bytes_max };
        let (files, bytes) = files::usage(&self.incoming)?;
        let room = bytes_max.saturating_sub(bytes);
        if files >= INCOMING_FILES_MAX {
            return Err(full());
        }
        let received = files::receive(&self.incoming, source, max_bytes.min(room)).map_err(|error| {
            let too_large =
                matches!(&error, PublishError::Io { source, .. } if source.kind() == ErrorKind::FileTooLarge);
            if too_large && room < max_bytes { full() } else { error }
        })?;
        let (length, sha256) = received.measure;
        let file_name = target_file_name(name, &sha256);
        // What is listed already is mended when it has suffered, and does not wait once more.
        let listed = self.targets.join(&file_name);
        match files::measure(&listed)? {
            Some(measure) if measure == (length, sha256) => received.discard()?,
            Some(_) => received.place(&listed)?,
            None => received.place(&self.incoming.join(&file_name))?,
        }
        Ok(TargetFile::new(length, &sha256))
    }

    /// Removes what has waited in vain to be listed, and says how many files that were.
    ///
    /// # Errors
    /// [`PublishError::Io`].
    pub fn incoming_clean(&self, now: Instant) -> Result<usize, PublishError> {
        let _receiving = lock(&self.receiving);
        let before = (now - self.incoming_limits.age_max).as_millis();
        let before = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(before).unwrap_or(0));
        files::clean(&self.incoming, before)
    }

    /// Publishes targets metadata that the Organism signed: checks it as clients will, that its version rises, and
    /// that every new file is here, which it moves to where it is served; then signs a new snapshot and timestamp. The
    /// same bytes again change nothing.
    ///
    /// # Errors
    /// [`PublishError::Tuf`] (threshold, version, expiry), [`PublishError::Name`], [`PublishError::Target`],
    /// [`PublishError::NoRoot`], [`PublishError::Plan`] for delegations, [`PublishError::Io`].
    pub fn publish(&self, targets: &[u8], now: Instant) -> Result<Published, PublishError> {
        let _writing = self.write_lock()?;
        let root = self.root()?;
        fresh(&root, now, "5.3.10")?;
        let next: Document<Targets> = parse(targets, "5.6.3", tuf::TARGETS_BYTES_MAX)?;
        let version = next.signed.version;
        next.verify_by(&root).map_err(|fault| refuse(Role::Targets, version, "5.6.3", fault))?;
        fresh(&next.signed, now, "5.6.5")?;
        if next.signed.delegations.is_some() {
            return Err(PublishError::Plan("this repository serves no delegated targets"));
        }
        let current = self.current()?;
        if let Some(current) = &current {
            if current.targets_bytes == targets {
                return Ok(current.published(&root));
            }
            let trusted = current.targets.signed.version;
            if version <= trusted {
                let file = Role::Targets.file_name().into();
                let fault = Fault::Rollback { file, offered: version, trusted };
                return Err(refuse(Role::Targets, version, "5.5.5", fault));
            }
        }
        let path = self.versioned(Role::Targets, version);
        if files::read(&path)?.is_some_and(|bytes| bytes != targets) {
            // An interrupted publication left it; somebody may have fetched it under this version.
            let fault = Fault::Version { expected: version_next(&next.signed)? };
            return Err(refuse(Role::Targets, version, "5.6.4", fault));
        }
        // An interruption from here on leaves files where they are served, all of which the Organism signed for.
        self.files_adopt(&next.signed, current.as_ref().map(|current| &current.targets.signed))?;
        files::write(&path, targets)?;
        let meta = FileMeta::of(version, targets);
        self.snapshot_write(&root, meta, current.as_ref().map(|current| &current.timestamp.signed), now)?;
        self.published()?.ok_or_else(|| PublishError::NoRoot(self.metadata.clone()))
    }

    /// Signs the snapshot and the timestamp anew when half of their life is over, or when a new root no longer
    /// vouches for them. Says what is in force when it did.
    ///
    /// # Errors
    /// [`PublishError::Tuf`] when the root does not name the online keys, [`PublishError::Io`].
    pub fn resign_if_due(&self, now: Instant) -> Result<Option<Published>, PublishError> {
        let _writing = self.write_lock()?;
        let Some(current) = self.current()? else { return Ok(None) };
        let root = self.root()?;
        let held = &current.timestamp.signed;
        if due(&current.snapshot, &root, self.lifetimes.snapshot, now) {
            let meta = FileMeta::of(current.targets.signed.version, &current.targets_bytes);
            self.snapshot_write(&root, meta, Some(held), now)?;
        } else if due(&current.timestamp, &root, self.lifetimes.timestamp, now) {
            let meta = held.meta.get(Role::Snapshot.file_name()).cloned();
            let meta = meta.ok_or_else(|| unlisted(Role::Timestamp, Role::Snapshot))?;
            self.timestamp_write(&root, meta, Some(held), now)?;
        } else {
            return Ok(None);
        }
        self.published()
    }

    fn snapshot_write(
        &self,
        root: &Root,
        targets: FileMeta,
        held: Option<&Timestamp>,
        now: Instant,
    ) -> Result<(), PublishError> {
        // Above every file there is: one that an interrupted publication left may have been fetched.
        let highest = files::highest(&self.metadata, Role::Snapshot.file_name())?;
        let snapshot = Snapshot {
            kind: Role::Snapshot.name().into(),
            spec_version: SPEC_VERSION.into(),
            version: highest.saturating_add(1),
            expires: Expires(now + self.lifetimes.snapshot),
            meta: [(Role::Targets.file_name().into(), targets)].into(),
        };
        let bytes = signed(&snapshot, &*self.snapshot_key, root, tuf::SNAPSHOT_BYTES_MAX)?;
        files::write(&self.versioned(Role::Snapshot, snapshot.version), &bytes)?;
        self.timestamp_write(root, FileMeta::of(snapshot.version, &bytes), held, now)
    }

    fn timestamp_write(
        &self,
        root: &Root,
        snapshot: FileMeta,
        held: Option<&Timestamp>,
        now: Instant,
    ) -> Result<(), PublishError> {
        let timestamp = Timestamp {
            kind: Role::Timestamp.name().into(),
            spec_version: SPEC_VERSION.into(),
            version: held.map_or(Ok(1), version_next)?,
            expires: Expires(now + self.lifetimes.timestamp),
            meta: [(Role::Snapshot.file_name().into(), snapshot)].into(),
        };
        let bytes = signed(&timestamp, &*self.timestamp_key, root, tuf::TIMESTAMP_BYTES_MAX)?;
        files::write(&self.metadata.join(Role::Timestamp.file_name()), &bytes)
    }

    /// Every file that the last metadata did not list the same way is here, whole; what waited now takes its place.
    fn files_adopt(&self, next: &Targets, held: Option<&Targets>) -> Result<(), PublishError> {
        let _receiving = lock(&self.receiving);
        let mut waiting = Vec::new();
        for (name, file) in &next.targets {
            if !target_name_valid(name) {
                return Err(PublishError::Name(name.clone()));
            }
            let wrong = |why: String| PublishError::Target { name: name.clone(), why };
            let sha256 = file.sha256().ok_or_else(|| wrong("lists no SHA-256".into()))?;
            let known = held.and_then(|held| held.targets.get(name));
            if known.is_some_and(|known| known.length == file.length && known.hashes == file.hashes) {
                continue;
            }
            let file_name = target_file_name(name, &sha256);
            let whole = Some((file.length, sha256));
            let listed = files::measure(&self.targets.join(&file_name))?;
            if listed == whole {
                continue;
            }
            let new = files::measure(&self.incoming.join(&file_name))?;
            if new == whole {
                waiting.push(file_name);
                continue;
            }
            let Some((length, actual)) = new.or(listed) else {
                return Err(wrong("there is no such file".into()));
            };
            let actual = hex_encode(&actual);
            return Err(wrong(format!("the file has {length} bytes and SHA-256 {actual}")));
        }
        waiting.iter().try_for_each(|name| files::adopt(&self.incoming.join(name), &self.targets.join(name)))
    }

    fn root_document(&self) -> Result<(Vec<u8>, Document<Root>), PublishError> {
        root_document(&self.metadata)
    }

    fn current(&self) -> Result<Option<Current>, PublishError> {
        current(&self.metadata)
    }

    fn versioned(&self, role: Role, version: u64) -> PathBuf {
        versioned(&self.metadata, role, version)
    }

    /// Keeps others from writing, in this process and in those that share the folder.
    fn write_lock(&self) -> Result<Writing<'_>, PublishError> {
        let within = lock(&self.writing);
        let among = File::options().create(true).truncate(false).write(true).open(&self.lock);
        let among = among.map_err(failed(&self.lock))?;
        among.lock().map_err(failed(&self.lock))?;
        Ok(Writing { _among: among, _within: within })
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    // It guards files, not memory: whoever panicked left them whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn published(metadata: &Path) -> Result<Option<Published>, PublishError> {
    let Some(current) = current(metadata)? else { return Ok(None) };
    Ok(Some(current.published(&root_document(metadata)?.1.signed)))
}

fn root_document(metadata: &Path) -> Result<(Vec<u8>, Document<Root>), PublishError> {
    let version = files::highest(metadata, Role::Root.file_name())?;
    let bytes = files::read(&versioned(metadata, Role::Root, version))?
        .ok_or_else(|| PublishError::NoRoot(metadata.to_path_buf()))?;
    let document = parse(&bytes, "5.3.4", tuf::ROOT_BYTES_MAX)?;
    Ok((bytes, document))
}

fn current(metadata: &Path) -> Result<Option<Current>, PublishError> {
    let Some(bytes) = files::read(&metadata.join(Role::Timestamp.file_name()))? else {
        return Ok(None);
    };
    let timestamp: Document<Timestamp> = parse(&bytes, "5.4.2", tuf::TIMESTAMP_BYTES_MAX)?;
    let listed = timestamp.signed.meta.get(Role::Snapshot.file_name());
    let meta = listed.ok_or_else(|| unlisted(Role::Timestamp, Role::Snapshot))?;
    let bytes = announced(metadata, Role::Snapshot, meta)?;
    let snapshot: Document<Snapshot> = parse(&bytes, "5.5.3", tuf::SNAPSHOT_BYTES_MAX)?;
    let listed = snapshot.signed.meta.get(Role::Targets.file_name());
    let meta = listed.ok_or_else(|| unlisted(Role::Snapshot, Role::Targets))?;
    let targets_bytes = announced(metadata, Role::Targets, meta)?;
    let targets = parse(&targets_bytes, "5.6.3", tuf::TARGETS_BYTES_MAX)?;
    Ok(Some(Current { timestamp, snapshot, targets, targets_bytes }))
}

fn announced(metadata: &Path, role: Role, meta: &FileMeta) -> Result<Vec<u8>, PublishError> {
    let path = versioned(metadata, role, meta.version);
    let missing = || refuse(role, meta.version, "3.1", Fault::NotFound(path.display().to_string()));
    let bytes = files::read(&path)?.ok_or_else(missing)?;
    meta.check(&bytes).map_err(|what| refuse(role, meta.version, "3.1", Fault::Mismatch(what)))?;
    Ok(bytes)
}

fn versioned(metadata: &Path, role: Role, version: u64) -> PathBuf {
    metadata.join(format!("{version}.{}", role.file_name()))
}

impl Current {
    fn published(&self, root: &Root) -> Published {
        Published {
            root: root.version,
            targets: self.targets.signed.version,
            snapshot: self.snapshot.signed.version,
            timestamp: self.timestamp.signed.version,
            root_expires: root.expires.0,
            targets_expires: self.targets.signed.expires.0,
            snapshot_expires: self.snapshot.signed.expires.0,
            timestamp_expires: self.timestamp.signed.expires.0,
        }
    }
}

fn target_file_name(name: &str, sha256: &[u8; 32]) -> String {
    format!("{}.{name}", hex_encode(sha256))
}

fn unlisted(role: Role, file: Role) -> PublishError {
    refuse(role, None, "4.4", Fault::Unlisted(file.file_name().into()))
}

fn parse<T: Metadata>(bytes: &[u8], rule: &'static str, max_bytes: u64) -> Result<Document<T>, PublishError> {
    if bytes.len() as u64 > max_bytes {
        return Err(refuse(T::ROLE, None, rule, Fault::TooLong { max_bytes }));
    }
    Document::parse(bytes).map_err(|fault| refuse(T::ROLE, None, rule, fault))
}

fn fresh<T: Metadata>(metadata: &T, now: Instant, rule: &'static str) -> Result<(), PublishError> {
    let expires = metadata.expires();
    if !expires.passed(now) {
        return Ok(());
    }
    Err(refuse(T::ROLE, metadata.version(), rule, Fault::Expired { expires: expires.to_string() }))
}

/// Whether half of the life is over, or the root does not vouch for it.
fn due<T: Metadata>(document: &Document<T>, root: &Root, lifetime: Span, now: Instant) -> bool {
    let left = document.signed.expires().0.since(now);
    left.as_millis() <= lifetime.as_millis() / 2 || document.verify_by(root).is_err()
}

/// Signs metadata with an online key, and checks that the root names that key.
fn signed<T: Metadata>(
    metadata: &T,
    key: &dyn Sign,
    root: &Root,
    max_bytes: u64,
) -> Result<Vec<u8>, PublishError> {
    let wrong = |fault| refuse(T::ROLE, metadata.version(), "4.3", fault);
    let mut envelope = draft(metadata)?;
    envelope.sign(key).map_err(wrong)?;
    let bytes = envelope.to_bytes().map_err(wrong)?;
    parse::<T>(&bytes, "4.3", max_bytes)?.verify_by(root).map_err(wrong)?;
    Ok(bytes)
}
