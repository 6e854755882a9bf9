//! The database, the ledger and the clock: whether what is recorded is whole, and goes on from what was published.

use std::path::{Path, PathBuf};

use client::CHECKPOINT_BYTES_MAX;
use governance::{Span, Timestamp};
use ledger::checkpoint::{Checkpoint, SignedCheckpoint, ledger_keys};
use ledger::hash::HASH_BYTES;
use ledger::tile::{self, HASH_TILE_BYTES_MAX, TILE_WIDTH};
use ledger::tree::{self, leaf_hash, root_nodes};
use ledger::{TileId, TileSet, TreeHead};
use proof::KeysDocument;
use server::Settings;
use store::{Health, OpenError, Place};

use super::{Findings, Level};
use crate::folder::read_bytes;

/// How far two clocks may be apart.
const CLOCKS_WITHIN: Span = Span::from_millis(10_000);
/// The earliest that a clock can be right: this program is of a later day.
const CLOCK_FIRST: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// How far behind the last decision on record a clock may be: more, and the server does not start.
const CLOCK_BEHIND: Span = Span::from_millis(60_000);

/// What mends a clock.
const SET: &str = "set the clock right, and keep it so: `timedatectl set-ntp true`";

/// Looks at them.
pub(super) async fn examine(
    settings: &Settings,
    config: &Path,
    (now, runs): (Timestamp, bool),
    keys: Option<&KeysDocument>,
    findings: &mut Findings,
) {
    findings.about("database");
    let place = match settings.store_place() {
        Ok(place) => place,
        Err((key, why)) => {
            findings.error(format!("{key}: {why}"), format!("correct it in {}", config.display()));
            return;
        }
    };
    let ledger = settings.path(&settings.paths.ledger);
    let checkpoint = ledger.join(plane::publication::CHECKPOINT);
    if let Place::File(path) = &place
        && !path.exists()
    {
        if checkpoint.exists() {
            let found = format!("{} is missing, and the ledger was published", path.display());
            findings.error(found, "`fedplane restore BACKUP --into DIR`, from the newest backup");
        } else {
            findings.ok(format!("{} is made when a server starts for the first time", path.display()));
        }
        clock(None, now, findings);
        return;
    }
    // Before the database: whatever it covers was committed by then.
    let shown = checkpoint.exists().then(|| read_bytes(&checkpoint, CHECKPOINT_BYTES_MAX));
    let health = match place.health().await {
        Ok(health) => database(health, findings),
        Err(error) => {
            let (level, mend) = mend_of(&error, config);
            findings.add(level, error.to_string(), mend);
            None
        }
    };
    clock(health.as_ref(), now, findings);
    findings.about("ledger");
    let Some(health) = health else { return };
    let Some(shown) = shown else {
        match health.entries {
            0 => findings.ok("nothing is decided yet, and nothing published"),
            entries if runs => findings.error(
                format!("{entries} entries, and no checkpoint at {}", checkpoint.display()),
                "the server's log says why it does not publish",
            ),
            entries => findings.warning(
                format!("{entries} entries, and no checkpoint at {}", checkpoint.display()),
                format!("the server makes it anew: `fedplane serve --config {}`", config.display()),
            ),
        }
        return;
    };
    let Some(keys) = keys else { return };
    let published = Published { folder: &ledger, place: &place, entries: health.entries };
    let shown = shown.map_err(|failure| failure.reasons_in_short());
    match published.check(shown, keys).await {
        Ok(head) => findings.ok(format!(
            "the checkpoint over {} entries is signed, and the database has them; entries behind it: {}",
            head.size,
            health.entries.saturating_sub(head.size)
        )),
        Err(Wrong { found, mend }) => findings.error(found, mend),
    }
}

/// What the database says; nothing where it is not to be believed.
fn database(health: Health, findings: &mut Findings) -> Option<Health> {
    match health.problems.first() {
        None => {
            findings.ok(format!(
                "it opens, is whole and of this program's schema; {} ledger entries",
                health.entries
            ));
            Some(health)
        }
        Some(first) => {
            let more = match health.problems.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let mend = "stop the server, keep the file, and `fedplane restore BACKUP --into DIR`";
            findings.error(format!("it is damaged: {first}{more}"), mend);
            None
        }
    }
}

/// How bad it is that a database cannot be used, and what mends it.
fn mend_of(error: &OpenError, config: &Path) -> (Level, String) {
    let mend = match error {
        OpenError::SchemaOlder { .. } => {
            return (
                Level::Warning,
                format!("this version brings it up to date: `fedplane serve --config {}`", config.display()),
            );
        }
        OpenError::SchemaNewer { .. } => {
            "run the newer `fedplane` that wrote it, or `fedplane restore BACKUP --into DIR`"
        }
        OpenError::SchemaDiffers { .. } => {
            "run the build that made it, or `fedplane restore BACKUP --into DIR`"
        }
        OpenError::Foreign { .. } | OpenError::Occupied { .. } => {
            "name the federation's own database in the settings"
        }
        OpenError::Away { .. } => "start that database server, and let this machine speak to it",
        OpenError::Place(_) => "correct [store] in the settings",
        OpenError::File { .. } => {
            "let the server's user read it; where the disk lost it, `fedplane restore BACKUP --into DIR`"
        }
        OpenError::Database(_) => {
            "stop the server, keep what is there, and `fedplane restore BACKUP --into DIR`"
        }
    };
    (Level::Error, mend.to_owned())
}

/// Whether this machine's clock can be right.
fn clock(health: Option<&Health>, now: Timestamp, findings: &mut Findings) {
    findings.about("clock");
    if now < CLOCK_FIRST {
        findings.error(format!("this machine's clock shows {now}, which cannot be"), SET);
        return;
    }
    let decided = health.and_then(|health| health.decided);
    if let Some(decided) = decided.filter(|decided| decided.since(now) > CLOCK_BEHIND) {
        findings.error(
            format!("this machine's clock shows {now}, and a decision on record was made at {decided}"),
            SET,
        );
        return;
    }
    match health.and_then(|health| health.clock) {
        Some(there) if there.since(now) > CLOCKS_WITHIN || now.since(there) > CLOCKS_WITHIN => {
            findings
                .error(format!("this machine's clock shows {now}, and that of the database {there}"), SET);
        }
        Some(_) => findings.ok(format!("{now}, as the database's, and behind every decision")),
        None => findings.ok(format!("{now}, behind every decision on record")),
    }
}

/// What is wrong with the ledger, and what mends it.
struct Wrong {
    found: String,
    mend: &'static str,
}

impl Wrong {
    fn new(found: impl Into<String>, mend: &'static str) -> Self {
        Self { found: found.into(), mend }
    }
}

const EVIDENCE: &str = "keep a copy as evidence, and see what `fedplane ledger verify` says";
const TILES: &str =
    "stop the server and move the ledger's folder away: it is made anew from the entries at the next start";
const ENTRIES: &str =
    "the database was set back or damaged: `fedplane restore BACKUP --into DIR`, and tell the Founder";

/// What is published of the ledger, and the store that it must follow from.
struct Published<'a> {
    folder: &'a Path,
    place: &'a Place,
    entries: u64,
}

impl Published<'_> {
    /// That a key of the ledger signed the checkpoint, that the tiles lead to its root, and that the last entries below it are
    /// those in the store. What is older is for `ledger verify`.
    async fn check(&self, shown: Result<Vec<u8>, String>, keys: &KeysDocument) -> Result<TreeHead, Wrong> {
        let damaged = |why: String| Wrong::new(format!("the checkpoint: {why}"), EVIDENCE);
        let signed =
            SignedCheckpoint::parse(&shown.map_err(damaged)?).map_err(|error| damaged(error.to_string()))?;
        let head = *verified(&signed, keys).map_err(damaged)?.head();
        if head.size > self.entries {
            let found = format!(
                "the checkpoint is over {} entries, and the database has {}",
                head.size, self.entries
            );
            return Err(Wrong::new(found, ENTRIES));
        }
        if head.size == 0 {
            return Ok(head);
        }
        let tiles = self.tiles(head.size)?;
        let found = tree::head(head.size, &tiles).map_err(|error| Wrong::new(error.to_string(), TILES))?;
        if found != head {
            return Err(Wrong::new("the tiles do not lead to the checkpoint's root", TILES));
        }
        self.last_entries(&head).await?;
        Ok(head)
    }

    /// The hash tiles on the right edge of the tree.
    fn tiles(&self, size: u64) -> Result<TileSet, Wrong> {
        let mut tiles = TileSet::new();
        for id in tile::tiles_of(root_nodes(size), size) {
            let (path, bytes) = self.tile(id)?;
            tiles
                .insert(id, &bytes)
                .map_err(|error| Wrong::new(format!("{}: {error}", path.display()), TILES))?;
        }
        Ok(tiles)
    }

    /// A hash tile as it was stored: wider ones take the place of narrower ones.
    fn tile(&self, id: TileId) -> Result<(PathBuf, Vec<u8>), Wrong> {
        let path = self.folder.join(id.to_string());
        let full = self.folder.join(id.to_full().to_string());
        let path = if path.exists() || !full.exists() { path } else { full };
        let mut bytes = read_bytes(&path, HASH_TILE_BYTES_MAX as u64)
            .map_err(|failure| Wrong::new(failure.reasons_in_short(), TILES))?;
        bytes.truncate(usize::from(id.width()) * HASH_BYTES);
        Ok((path, bytes))
    }

    /// That the entries in the last tile are those in the store.
    async fn last_entries(&self, head: &TreeHead) -> Result<(), Wrong> {
        let width = u64::from(TILE_WIDTH);
        let index = (head.size - 1) / width;
        let first = index * width;
        let count = u16::try_from(head.size - first).unwrap_or(TILE_WIDTH);
        let id = TileId::hashes(0, index, count).map_err(|error| Wrong::new(error.to_string(), TILES))?;
        let (_, bytes) = self.tile(id)?;
        let leaves = tile::parse_hashes(id, &bytes).map_err(|error| Wrong::new(error.to_string(), TILES))?;
        let entries = self.place.entry_page(first, usize::from(count)).await;
        let entries = entries.map_err(|error| Wrong::new(error.to_string(), ENTRIES))?;
        if entries.len() != leaves.len() {
            return Err(Wrong::new(format!("entries are missing from {first} on"), ENTRIES));
        }
        let differs = entries.iter().zip(&leaves).position(|(entry, leaf)| leaf_hash(entry) != *leaf);
        match differs {
            Some(at) => {
                let at = first.saturating_add(at as u64);
                Err(Wrong::new(
                    format!("entry {at} in the database is another than the one that was published"),
                    EVIDENCE,
                ))
            }
            None => Ok(()),
        }
    }
}

/// The checkpoint, if a key that the document names for the ledger signed it: whenever that was.
fn verified<'a>(signed: &'a SignedCheckpoint, keys: &KeysDocument) -> Result<&'a Checkpoint, String> {
    let named = ledger_keys(keys, |_| true).map_err(|error| error.to_string())?;
    let mut last = "the keys document names no key for the ledger".to_owned();
    for key in &named {
        match signed.verify(key) {
            Ok(checkpoint) => return Ok(checkpoint),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}
