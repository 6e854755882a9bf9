//! The search for a target through delegations (§5.6.7), as a machine without I/O like the updater.
//!
//! ```text
//! let mut search = trusted.search("dir/file");
//! while let Some(want) = search.want()? {
//!     if search.take_kept(&kept(want)) { continue }
//!     if search.give(fetch(want)) { keep(want, bytes) }
//! }
//! let found = search.finish()?;
//! ```
//!
//! Never believes a role because it was believed before: what was kept is checked against the role that delegates now.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::delegation::Delegations;
use super::error::{Fault, TufError};
use super::profile::Profile;
use super::schema::{FileMeta, Key, Metadata, Role, RoleKeys, TargetFile, Targets};
use super::sum::Sum;
use super::trusted::Trusted;
use super::updater::{Checked, Fetched, TARGETS_BYTES_MAX, fresh};
use super::verify::Document;

/// Most delegated roles that one search visits (§5.6.7.1).
pub const DELEGATIONS_MAX: usize = 32;

/// The metadata of a delegated role that is wanted, relative to the metadata folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleWant {
    /// The role's name, [`quoted`]: what to keep its metadata under, `.json` added.
    pub name: String,
    /// The path to fetch.
    pub path: String,
    /// Read no more than this and one byte; a longer answer given back is refused as endless data.
    pub max_bytes: u64,
}

/// A role to visit: who says so, and for whom.
struct Visit {
    name: String,
    role: RoleKeys,
    keys: Arc<BTreeMap<String, Key>>,
    delegator: String,
}

enum State {
    Wanted(Visit, FileMeta),
    Found(TargetFile),
    NotFound,
    Failed(TufError),
}

/// One search.
pub struct Search<'t> {
    trusted: &'t Trusted,
    path: String,
    /// The next one last.
    ahead: Vec<Visit>,
    visited: BTreeSet<String>,
    state: State,
}

/// A target whose whole chain of delegations holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    path: String,
    file: TargetFile,
    hashed: bool,
}

impl<'t> Search<'t> {
    pub(super) fn new(trusted: &'t Trusted, path: &str) -> Self {
        let mut search = Self {
            trusted,
            path: path.into(),
            ahead: Vec::new(),
            visited: BTreeSet::new(),
            state: State::NotFound,
        };
        search.visit(Role::Targets.name(), &trusted.targets);
        search
    }

    /// The metadata wanted next; nothing when the search is over.
    ///
    /// # Errors
    /// The refusal that ended the search.
    pub fn want(&self) -> Checked<Option<RoleWant>> {
        match &self.state {
            State::Wanted(visit, meta) => {
                let name = quoted(&visit.name);
                let path = match self.trusted.root.consistent_snapshot {
                    true => format!("{}.{name}.json", meta.version),
                    false => format!("{name}.json"),
                };
                Ok(Some(RoleWant { name, path, max_bytes: meta.bytes_max(TARGETS_BYTES_MAX) }))
            }
            State::Failed(error) => Err(error.clone()),
            State::Found(_) | State::NotFound => Ok(None),
        }
    }

    /// Offers what was kept of the role that is wanted; says whether it was still good, so that nothing need be fetched.
    pub fn take_kept(&mut self, bytes: &[u8]) -> bool {
        let State::Wanted(visit, meta) = &self.state else { return false };
        let Ok(targets) = self.checked(visit, meta, bytes) else { return false };
        let name = visit.name.clone();
        self.visit(&name, &targets);
        true
    }

    /// Takes what came for the last [`want`](Self::want), and says whether to keep it. A refusal shows in the next `want`
    /// or `finish`.
    pub fn give(&mut self, fetched: Fetched<'_>) -> bool {
        let State::Wanted(visit, meta) = &self.state else { return false };
        let checked = match fetched {
            Fetched::Bytes(bytes) => self.checked(visit, meta, bytes),
            Fetched::NotFound => Err(("5.6.1", Fault::NotFound(format!("{}.json", visit.name)))),
        };
        let name = visit.name.clone();
        match checked {
            Ok(targets) => {
                self.visit(&name, &targets);
                true
            }
            Err((rule, fault)) => {
                self.state = State::Failed(refused(&name, meta.version, rule, fault));
                false
            }
        }
    }

    /// The target.
    ///
    /// # Errors
    /// The refusal that ended the search, or [`Fault::Unlisted`] (§5.7.2).
    pub fn finish(self) -> Checked<Found> {
        match self.state {
            State::Found(file) => {
                Ok(Found { path: self.path, file, hashed: self.trusted.root.consistent_snapshot })
            }
            State::NotFound => Err(TufError::new(Role::Targets, None, "5.7.2", Fault::Unlisted(self.path))),
            State::Failed(error) => Err(error),
            State::Wanted(visit, meta) => Err(refused(&visit.name, meta.version, "5.6.7", Fault::Unfinished)),
        }
    }

    /// §5.6.2–5.6.5 for a delegated role: its delegator's keys, what the snapshot lists, the update's time.
    fn checked(
        &self,
        visit: &Visit,
        meta: &FileMeta,
        bytes: &[u8],
    ) -> Result<Targets, (&'static str, Fault)> {
        let max_bytes = meta.bytes_max(TARGETS_BYTES_MAX);
        if bytes.len() as u64 > max_bytes {
            return Err(("5.6.1", Fault::TooLong { max_bytes }));
        }
        meta.check(bytes).map_err(|what| ("5.6.2", Fault::Mismatch(what)))?;
        let document =
            Document::<Targets>::parse_as(bytes, self.trusted.profile).map_err(|fault| ("5.6.3", fault))?;
        document
            .signatures
            .threshold_check(&visit.role, &visit.keys, || visit.delegator.clone())
            .map_err(|fault| ("5.6.3", fault))?;
        if document.signed.version() != meta.version {
            return Err(("5.6.4", Fault::Version { expected: meta.version }));
        }
        fresh(&document.signed, self.trusted.now).map_err(|fault| ("5.6.5", fault))?;
        Ok(document.signed)
    }

    /// Looks into a role: it lists the target, or its delegations come next, before those of its siblings.
    fn visit(&mut self, name: &str, targets: &Targets) {
        if let Some(file) = targets.targets.get(&self.path) {
            self.state = State::Found(file.clone());
            return;
        }
        // Our own agents follow nobody but the Organism's keys in the root.
        if let (Profile::Any(_), Some(delegations)) = (self.trusted.profile, &targets.delegations) {
            self.delegate(name, delegations);
        }
        self.state = self.next();
    }

    /// §5.6.7.2: in order of appearance, and nothing after a terminating one.
    fn delegate(&mut self, delegator: &str, delegations: &Delegations) {
        let keys = Arc::new(delegations.keys.clone());
        let mut children = Vec::new();
        for speaker in delegations.speakers(&self.path) {
            let visit = Visit {
                name: speaker.name,
                role: speaker.keys.clone(),
                keys: Arc::clone(&keys),
                delegator: delegator.to_string(),
            };
            children.push(visit);
            if speaker.terminating {
                self.ahead.clear();
                break;
            }
        }
        self.ahead.extend(children.into_iter().rev());
    }

    /// §5.6.7.1: no role twice, and no more than [`DELEGATIONS_MAX`].
    fn next(&mut self) -> State {
        while let Some(visit) = self.ahead.pop() {
            if self.visited.contains(&visit.name) {
                continue;
            }
            if self.visited.len() >= DELEGATIONS_MAX {
                return State::NotFound;
            }
            self.visited.insert(visit.name.clone());
            let file = format!("{}.json", visit.name);
            return match self.trusted.snapshot.meta.get(&file) {
                Some(meta) => State::Wanted(visit, meta.clone()),
                None => State::Failed(refused(&visit.name, None, "5.6.7", Fault::Unlisted(file))),
            };
        }
        State::NotFound
    }
}

impl Found {
    /// Its path as the metadata has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.path
    }

    /// Its length in bytes: read no more.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.file.length
    }

    /// Where it is below the targets folder, as a URL's path: with a hash before the last part when the repository is
    /// consistent (§5.7.3).
    ///
    /// # Errors
    /// [`Fault::Path`] for nothing or a part that is `.` or `..`, [`Fault::Mismatch`] when no hash of a known kind is listed.
    pub fn url_path(&self) -> Checked<String> {
        let refuse = |fault| TufError::new(Role::Targets, None, "5.7.3", fault);
        if self.path.is_empty() || self.path.split('/').any(|part| part == "." || part == "..") {
            return Err(refuse(Fault::Path(self.path.clone())));
        }
        let known = ["sha256", "sha512"].into_iter().find_map(|kind| self.file.hashes.get(kind));
        let hash = known.ok_or_else(|| refuse(Fault::Mismatch("hash: none is sha256 or sha512")))?;
        let parts: Vec<String> = self.path.split('/').map(quoted).collect();
        match parts.split_last() {
            Some((last, folders)) if self.hashed => {
                let mut path = folders.join("/");
                if !folders.is_empty() {
                    path.push('/');
                }
                Ok(format!("{path}{}.{last}", quoted(hash)))
            }
            _ => Ok(parts.join("/")),
        }
    }

    /// Checks what was read (§5.7.3).
    ///
    /// # Errors
    /// [`Fault::Mismatch`].
    pub fn check(&self, sum: Sum) -> Checked {
        let refuse = |what| TufError::new(Role::Targets, None, "5.7.3", Fault::Mismatch(what));
        self.file.check(sum).map_err(refuse)
    }
}

/// A name as one part of a path: letters, digits, `-`, `_`, `~` and dots stand, all else is `%XX`. It holds no `/`.
#[must_use]
pub fn quoted(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn refused(name: &str, version: impl Into<Option<u64>>, rule: &'static str, fault: Fault) -> TufError {
    let fault = Fault::Delegated { name: name.into(), fault: Box::new(fault) };
    TufError::new(Role::Targets, version, rule, fault)
}
