//! Watches the ledger (LG-2): whether each checkpoint that is published goes on from those seen before, and raises an alarm
//! where the plane shows another log than it did.
//!
//! An alarm stops nothing. What is installed stands on the Organism's keys and the security floor (RL-3, RL-9), and neither
//! on the ledger: an agent that refused offers meanwhile would give whoever forked the log, with the ledger's key alone, a
//! way to keep instances from a security release or on a faulty one. Its owner is told, and may set `policy.install = false`.
//!
//! Never lets go of an alarm by itself, and never believes a checkpoint that no key of the ledger signed.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::{CHECKPOINT_BYTES_MAX, Public, Source as _, SystemSource};
use governance::{Span, Timestamp};
use ledger::checkpoint;
use ledger::history::{Relation, relate, tiles};
use ledger::{NoteKey, SignedCheckpoint, TreeHead};
use proof::KeysDocument;
use proof::challenge::LedgerSeen;
use serde::{Deserialize, Serialize};

use super::agent::Agent;
use super::check::load_root;
use super::folder::{make_folder, read_json, sync};
use super::report::Report;
use super::trusted::Trust;
use super::{Folder, ShellError};
use crate::core::checkpoints::{FORMAT, Memory, Rival, Seen, Verdict};
use crate::core::config::Config;

/// What was seen.
pub(super) const SEEN: &str = "checkpoints.json";
/// The folder of an alarm that waits for the owner: it stands there whole or not at all.
pub(super) const SPLIT_VIEW: &str = "split-view";
/// In it: the checkpoint that was kept, the one that is not of the same log, and when that was found and by whom.
const KEPT: &str = "kept.checkpoint";
const SHOWN: &str = "shown.checkpoint";
const FOUND: &str = "found.json";
/// The keys that checkpoints were verified with.
const KEYS: &str = "ledger-keys.json";
/// Of them, the newest are kept.
const KEYS_MAX: usize = 8;
/// How often the checkpoint is looked at.
const LOOK_EVERY: Span = Span::hours(1);
/// The same after a look that failed.
const LOOK_AGAIN: Span = Span::from_millis(5 * 60_000);
/// From the first byte of a look to the last.
const LOOK_WITHIN: Duration = Duration::from_secs(10);
/// The same where the owner asks for it, and nothing waits.
const COMPARED_WITHIN: Duration = Duration::from_secs(60);

/// Two checkpoints that are not of one log, and wait for the owner.
#[derive(Clone, Debug)]
pub(super) struct SplitView {
    pub(super) found: Found,
    pub(super) kept: SignedCheckpoint,
    pub(super) shown: SignedCheckpoint,
    folder: PathBuf,
}

/// When a split view was found, and whose view it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Found {
    pub(super) at: Timestamp,
    pub(super) by: By,
}

/// Who found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum By {
    /// The agent: the plane shows it another log than before.
    Agent,
    /// The owner: elsewhere another log is shown than here.
    Owner,
}

impl SplitView {
    /// The one that waits for the owner, if there is one.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>, ShellError> {
        let folder = folder.join(SPLIT_VIEW);
        if !folder.is_dir() {
            return Ok(None);
        }
        let missing = |name| ShellError::Corrupt { path: folder.join(name), why: "it is missing".to_owned() };
        let found = read_json(&folder, FOUND)?.ok_or_else(|| missing(FOUND))?;
        let read = |name| parse(&folder.join(name));
        Ok(Some(Self { found, kept: read(KEPT)?, shown: read(SHOWN)?, folder }))
    }

    /// Puts the evidence on the disk, unless an alarm is there already: the first one stands.
    fn raise(
        folder: &Path,
        found: Found,
        kept: &SignedCheckpoint,
        shown: &SignedCheckpoint,
    ) -> Result<Self, ShellError> {
        let fresh = folder.join(format!("{SPLIT_VIEW}.new-{}", std::process::id()));
        let to = folder.join(SPLIT_VIEW);
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&fresh)?;
            let found = serde_json::to_vec(&found)?;
            for (name, bytes) in [
                (KEPT, kept.to_string().into_bytes()),
                (SHOWN, shown.to_string().into_bytes()),
                (FOUND, found),
            ] {
                let mut file = OpenOptions::new()
                    .create(true)
                    .truncate(true)
                    .write(true)
                    .mode(0o600)
                    .open(fresh.join(name))?;
                file.write_all(&bytes)?;
                file.sync_all()?;
            }
            sync(&fresh)?;
            // A folder takes the place of none that holds something.
            match fs::rename(&fresh, &to) {
                Err(_) if to.is_dir() => fs::remove_dir_all(&fresh)?,
                renamed => renamed?,
            }
            sync(folder)
        };
        write().map_err(ShellError::file(&to, "keep the evidence in"))?;
        Self::open(folder)?
            .ok_or_else(|| ShellError::Corrupt { path: to, why: "the evidence is gone".to_owned() })
    }

    /// The owner has seen it: the evidence goes aside, and where the plane showed the agent two logs, the agent begins anew
    /// with what it is shown next. Done in this order: cut short, the alarm stands.
    fn acknowledge(&self, folder: &Path, now: Timestamp) -> Result<PathBuf, ShellError> {
        if self.found.by == By::Agent {
            let seen = folder.join(SEEN);
            match fs::remove_file(&seen) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ShellError::file(seen, "remove")(error));
                }
                _ => {}
            }
        }
        let aside = folder.join(format!("{SPLIT_VIEW}-acknowledged-{}", now.as_millis()));
        fs::rename(&self.folder, &aside)
            .and_then(|()| sync(folder))
            .map_err(ShellError::file(&aside, "put the evidence into"))?;
        Ok(aside)
    }

    /// The same as an error: what stands against what, and where the evidence is.
    pub(super) fn error(&self) -> ShellError {
        let head = |checkpoint: &SignedCheckpoint| {
            let TreeHead { size, root } = checkpoint.unverified().head();
            format!("{size} entries with root {root}")
        };
        ShellError::SplitView {
            at: self.found.at,
            kept: head(&self.kept),
            shown: head(&self.shown),
            folder: self.folder.clone(),
        }
    }
}

impl Agent {
    /// Looks at the ledger's checkpoint now and then, and before a challenge is answered: so that whoever decides when it is
    /// asked does not decide alone what it has seen. A look that fails is told and hinders nothing.
    pub(super) async fn watch(&mut self, challenged: bool) {
        let now = self.source.now();
        let rests = self.looked.is_some_and(|(at, pause)| now.since(at) < pause && now >= at);
        if rests && !challenged {
            return;
        }
        let looked = tokio::time::timeout(LOOK_WITHIN, look(&self.folder, &self.trust, now));
        let looked = looked.await.unwrap_or_else(|_| {
            Err(ShellError::System(format!("no answer within {} s", LOOK_WITHIN.as_secs())))
        });
        let pause = match looked {
            Ok(()) => LOOK_EVERY,
            Err(error @ ShellError::SplitView { .. }) => {
                tracing::error!("{}", Report::from(error));
                LOOK_EVERY
            }
            Err(error) => {
                tracing::warn!(%error, "the ledger's checkpoint was not looked at");
                LOOK_AGAIN
            }
        };
        self.looked = Some((now, pause));
        self.show_ledger();
    }

    /// Shows the endpoint what was seen of the ledger.
    pub(super) fn show_ledger(&self) {
        let folder = self.folder.path();
        let split = SplitView::open(folder).unwrap_or_else(|error| {
            tracing::warn!(%error, "the evidence of a split view cannot be read");
            None
        });
        let seen = ledger_seen(folder, split.as_ref());
        self.face.update(|facts| {
            facts.split_view = split.map(|split| split.found.at);
            facts.ledger = seen;
        });
    }

    /// What an answer to a challenge says of the ledger (LG-2).
    pub(super) fn ledger_seen(&self) -> Option<LedgerSeen> {
        let folder = self.folder.path();
        let split = SplitView::open(folder).ok().flatten();
        ledger_seen(folder, split.as_ref())
    }
}

/// What is shown of it: with the signature of the ledger's key alone, which is what the plane can check. The key may have
/// been replaced since: a stolen one is, and what it signed is the evidence.
fn ledger_seen(folder: &Path, split: Option<&SplitView>) -> Option<LedgerSeen> {
    let keys = keys_kept(folder).ok()?;
    let memory = memory(folder).ok()?;
    let bare = |checkpoint: &SignedCheckpoint| {
        keys.iter().find_map(|key| checkpoint.bare(key).ok()).map(|bare| bare.to_string())
    };
    let seen = memory.newest().into_iter().chain(&memory.unproved);
    let checkpoints: Vec<_> = seen.filter_map(|seen| bare(&seen.checkpoint)).collect();
    let split_view = split.and_then(|split| Some([bare(&split.kept)?, bare(&split.shown)?]));
    let seen = LedgerSeen { checkpoints, split_view };
    (seen != LedgerSeen::default()).then_some(seen)
}

/// One look: what is published is verified, held against what is kept, and kept.
async fn look(folder: &Folder, trust: &Trust, now: Timestamp) -> Result<(), ShellError> {
    let keys = ledger_keys(&trust.keys)?;
    keep_keys(folder, &keys)?;
    // Until the owner has seen it, nothing takes the place of what was kept.
    if let Some(split) = SplitView::open(folder.path())? {
        return Err(split.error());
    }
    let checkpoint = published(&trust.public, &keys).await?;
    let mut memory = memory(folder.path())?;
    same_ledger(&memory, &checkpoint)?;
    let new = Seen { at: now, checkpoint };
    let head = *new.head();
    let told = hold(&trust.public, &memory, &head).await;
    let verdict = memory.judge(&head, &told);
    match &verdict {
        Verdict::Split(kept) => {
            let found = Found { at: now, by: By::Agent };
            return Err(SplitView::raise(folder.path(), found, &kept.checkpoint, &new.checkpoint)?.error());
        }
        Verdict::Unproved => tracing::warn!(
            size = head.size,
            "the ledger's checkpoint was not proved to go on from the one kept: its tiles do not tell yet"
        ),
        Verdict::Behind => tracing::debug!(size = head.size, "an older checkpoint of the same ledger"),
        Verdict::First | Verdict::Grown | Verdict::Known => {
            tracing::debug!(size = head.size, ?verdict, "the ledger's checkpoint");
        }
    }
    let before = memory.clone();
    memory.take(new, &verdict, &told);
    if memory != before {
        folder.write_json(SEEN, &memory)?;
    }
    Ok(())
}

/// The checkpoint that is published now, signed by a key of the ledger.
async fn published(public: &Public, keys: &[NoteKey]) -> Result<SignedCheckpoint, ShellError> {
    let published = public.checkpoint().await?;
    let published = published.ok_or_else(|| untrusted(&"none is published"))?;
    signed(published, keys)
}

/// The checkpoint, once one of the ledger's keys is known to have signed it.
fn signed(checkpoint: SignedCheckpoint, keys: &[NoteKey]) -> Result<SignedCheckpoint, ShellError> {
    let mut last = None;
    for key in keys {
        match checkpoint.bare(key) {
            Ok(bare) if bare.to_string().len() <= proof::challenge::CHECKPOINT_BYTES_MAX => {
                return Ok(checkpoint);
            }
            Ok(_) => return Err(untrusted(&"it is longer than any of a federation's")),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| untrusted(&"nobody may sign it"), |error| untrusted(&error)))
}

/// Two ledgers of different names say nothing of each other: that is no split view.
fn same_ledger(memory: &Memory, checkpoint: &SignedCheckpoint) -> Result<(), ShellError> {
    let origin = checkpoint.unverified().origin();
    let mut kept =
        memory.seen.iter().chain(&memory.unproved).map(|seen| seen.checkpoint.unverified().origin());
    match kept.find(|kept| *kept != origin) {
        None => Ok(()),
        Some(kept) => {
            Err(untrusted(&format!("it is of the ledger {origin}, and what was seen here is of {kept}")))
        }
    }
}

/// How a checkpoint stands to those kept, as far as the public tiles tell.
async fn hold(public: &Public, memory: &Memory, head: &TreeHead) -> Vec<(Rival, Option<Relation>)> {
    let mut told = Vec::new();
    for rival in memory.rivals(head) {
        let relation = relation(public, rival.seen.head(), head).await;
        let relation = relation.inspect_err(|error| tracing::debug!(%error, "not told")).ok();
        told.push((rival, relation));
    }
    told
}

async fn relation(public: &Public, one: &TreeHead, other: &TreeHead) -> Result<Relation, ShellError> {
    let hashes = public.tiles(tiles(one, other)).await?;
    relate(one, other, &hashes).map_err(|error| untrusted(&error))
}

fn untrusted(why: &dyn std::fmt::Display) -> ShellError {
    ShellError::untrusted("the ledger's checkpoint")(why)
}

/// The keys that sign checkpoints, as the Founder names them (AU-4).
fn ledger_keys(keys: &KeysDocument) -> Result<Vec<NoteKey>, ShellError> {
    let untrusted =
        |why: &dyn std::fmt::Display| ShellError::untrusted("the ledger's keys in the keys document")(why);
    checkpoint::ledger_keys(keys, |_| true).map_err(|error| untrusted(&error))
}

/// The keys that the Founder named for the ledger as long as checkpoints are looked at, the newest last.
fn keys_kept(folder: &Path) -> Result<Vec<NoteKey>, ShellError> {
    let corrupt = |why: String| ShellError::Corrupt { path: folder.join(KEYS), why };
    let kept = read_json::<Vec<String>>(folder, KEYS)?.unwrap_or_default();
    let keys = kept.iter().map(|key| key.parse::<NoteKey>());
    keys.collect::<Result<_, _>>().map_err(|error| corrupt(error.to_string()))
}

/// Keeps those that are in force, before anything is believed by them.
fn keep_keys(folder: &Folder, keys: &[NoteKey]) -> Result<(), ShellError> {
    let before = keys_kept(folder.path())?;
    let earlier = before.iter().filter(|key| !keys.contains(key));
    let mut all: Vec<String> = earlier.chain(keys).map(ToString::to_string).collect();
    all.drain(..all.len().saturating_sub(KEYS_MAX));
    if all != before.iter().map(ToString::to_string).collect::<Vec<_>>() {
        folder.write_json(KEYS, &all)?;
    }
    Ok(())
}

fn memory(folder: &Path) -> Result<Memory, ShellError> {
    let memory = read_json::<Memory>(folder, SEEN)?.unwrap_or_default();
    if memory.format == FORMAT {
        return Ok(memory);
    }
    let why = format!("its format is {}, this agent reads {FORMAT}", memory.format);
    Err(ShellError::Corrupt { path: folder.join(SEEN), why })
}

/// Reads a file that holds a signed checkpoint.
fn parse(path: &Path) -> Result<SignedCheckpoint, ShellError> {
    let corrupt = |why: String| ShellError::Corrupt { path: path.to_path_buf(), why };
    let length = fs::metadata(path).map_err(ShellError::file(path, "read"))?.len();
    if length > CHECKPOINT_BYTES_MAX {
        return Err(corrupt(format!("it has more than {CHECKPOINT_BYTES_MAX} bytes")));
    }
    let bytes = fs::read(path).map_err(ShellError::file(path, "read"))?;
    SignedCheckpoint::parse(&bytes).map_err(|error| corrupt(error.to_string()))
}

/// What an owner may want of the checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoints {
    /// To see them.
    List,
    /// To hold one that was got elsewhere against them.
    Against(PathBuf),
    /// To acknowledge a split view.
    Acknowledge,
}

/// Does it; what is told, and the alarm where there is one.
///
/// # Errors
/// When nothing was seen here yet, a file cannot be read, or the checkpoint got elsewhere proves nothing.
pub async fn checkpoints(config: &Config, wanted: &Checkpoints) -> Result<(String, Report), ShellError> {
    let folder = &config.folder;
    let now = SystemSource.now();
    match wanted {
        Checkpoints::List => {
            let split = SplitView::open(folder)?;
            Ok((listed(&memory(folder)?), split.map(|split| split.error().into()).unwrap_or_default()))
        }
        Checkpoints::Acknowledge => {
            let split = SplitView::open(folder)?.ok_or(ShellError::NoSplitView)?;
            let aside = split.acknowledge(folder, now)?;
            let then = match split.found.by {
                By::Agent => "the agent begins anew with the checkpoint that it is shown next",
                By::Owner => "the agent goes on with the checkpoints that it was shown",
            };
            Ok((format!("acknowledged: {then}; the evidence is in {}", aside.display()), Report::default()))
        }
        Checkpoints::Against(file) => {
            let trust = Trust::kept(folder, load_root(config)?, &config.public)?
                .ok_or_else(|| ShellError::NotEnrolled(folder.clone()))?;
            make_folder(folder)?;
            let keys = ledger_keys(&trust.keys)?;
            let other = signed(parse(file)?, &keys)?;
            let against = against(folder, &trust, &keys, &other);
            let kept = tokio::time::timeout(COMPARED_WITHIN, against).await;
            let late = |_| ShellError::System(format!("{} did not answer in time", config.public));
            match kept.map_err(late)?? {
                None => {
                    let TreeHead { size, root } = other.unverified().head();
                    let told = format!(
                        "consistent: {size} entries with root {root} are of the ledger that is shown here"
                    );
                    Ok((told, Report::default()))
                }
                Some(kept) => {
                    let found = Found { at: now, by: By::Owner };
                    let split = SplitView::raise(folder, found, &kept, &other)?;
                    Ok((String::new(), split.error().into()))
                }
            }
        }
    }
}

/// The checkpoint shown here that the other one is not of one log with; none where they are of one.
async fn against(
    folder: &Path,
    trust: &Trust,
    keys: &[NoteKey],
    other: &SignedCheckpoint,
) -> Result<Option<SignedCheckpoint>, ShellError> {
    let memory = memory(folder)?;
    same_ledger(&memory, other)?;
    let head = other.unverified().head();
    let told = hold(&trust.public, &memory, head).await;
    match memory.judge(head, &told) {
        Verdict::Split(kept) => return Ok(Some(kept.checkpoint)),
        Verdict::Known | Verdict::Behind | Verdict::Grown => return Ok(None),
        // The tiles that would tell are those of another log, or of a time to come: what is shown here by now may tell.
        Verdict::First | Verdict::Unproved => {}
    }
    let here = published(&trust.public, keys).await?;
    let now = here.unverified().head();
    let goes_on = match memory.newest() {
        Some(newest) => relation(&trust.public, newest.head(), now).await?,
        None => Relation::Consistent,
    };
    if goes_on == Relation::Split {
        return Ok(memory.newest().map(|newest| newest.checkpoint.clone()));
    }
    match relation(&trust.public, now, head).await {
        Ok(Relation::Consistent) => Ok(None),
        Ok(Relation::Split) => Ok(Some(here)),
        Err(ShellError::Untrusted { .. }) => Err(ShellError::NotTold { size: head.size, here: now.size }),
        Err(error) => Err(error),
    }
}

/// One a line: size, root, when it was seen.
fn listed(memory: &Memory) -> String {
    let proved = memory.seen.iter().map(ToString::to_string);
    let unproved = memory.unproved.iter().map(|seen| format!("{seen} not proved yet"));
    let lines: Vec<String> = proved.chain(unproved).collect();
    if lines.is_empty() { "no checkpoint was seen yet".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is read; whose signature it carries is looked at before.
    fn note(size: u64) -> SignedCheckpoint {
        let root = "JYxe35Hn+LmZgTRim7bl4EPemHfa8C9lu5e1+Jr+Vbg=";
        format!("fed.example/ledger\n{size}\n{root}\n\n— fed.example/ledger AAAAAAAA\n").parse().unwrap()
    }

    #[test]
    fn lg_2_a_ledger_of_another_name_is_held_against_nothing() {
        let seen = Seen { at: Timestamp::from_millis(1), checkpoint: note(3) };
        let other = note(9).to_string().replace("fed.example/ledger", "fed.example/other").parse().unwrap();
        let memory = Memory { seen: vec![seen.clone()], ..Memory::default() };
        assert!(same_ledger(&memory, &note(9)).is_ok());
        assert!(same_ledger(&Memory::default(), &other).is_ok());
        for memory in [memory, Memory { unproved: Some(seen), ..Memory::default() }] {
            let error = same_ledger(&memory, &other).unwrap_err().to_string();
            assert!(error.contains("fed.example/other") && error.contains("fed.example/ledger"), "{error}");
        }
    }

    #[test]
    fn lg_2_the_first_alarm_stands_until_it_is_acknowledged_and_its_evidence_stays() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        let found = |at, by| Found { at: Timestamp::from_millis(at), by };
        let raise = |at, by, size| SplitView::raise(folder, found(at, by), &note(1), &note(size)).unwrap();
        assert!(SplitView::open(folder).unwrap().is_none());
        fs::write(folder.join(SEEN), "{}").unwrap();
        // Cut short before it took its place: it counts for nothing, and is in nobody's way.
        fs::create_dir(folder.join(format!("{SPLIT_VIEW}.new-{}", std::process::id()))).unwrap();
        assert!(SplitView::open(folder).unwrap().is_none());
        assert_eq!(raise(5, By::Owner, 2).shown, note(2));
        let standing = raise(6, By::Agent, 3);
        assert_eq!((standing.found, standing.shown.clone()), (found(5, By::Owner), note(2)));
        let aside = standing.acknowledge(folder, Timestamp::from_millis(7)).unwrap();
        assert!(SplitView::open(folder).unwrap().is_none());
        assert_eq!(parse(&aside.join(SHOWN)).unwrap(), note(2));
        assert!(
            folder.join(SEEN).exists(),
            "the owner's comparison says nothing against what was shown here"
        );
        raise(8, By::Agent, 3).acknowledge(folder, Timestamp::from_millis(9)).unwrap();
        assert!(!folder.join(SEEN).exists(), "begins anew");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 2, "the evidence of both, and nothing else");
        // Evidence that was damaged is an alarm too.
        raise(10, By::Agent, 3);
        fs::remove_file(folder.join(SPLIT_VIEW).join(KEPT)).unwrap();
        assert!(SplitView::open(folder).is_err());
    }
}
