//! `ledger check-consistency`: whether two signed checkpoints are of one log, or prove a split view (LG-2).
//!
//! Never believes whoever serves the tiles: what they say counts once it leads to the root that was signed. Never says that
//! what stands in the log is lawful: `ledger verify` does.

use std::path::PathBuf;

use clap::Args;
use client::{CHECKPOINT_BYTES_MAX, Public};
use ledger::checkpoint::ledger_keys;
use ledger::history::{Relation, relate, tiles};
use ledger::tile::{HASH_TILE_BYTES_MAX, TILE_WIDTH};
use ledger::{NoteKey, SignedCheckpoint, TileId, TileSet, TreeHead};
use proof::{KeysDocument, RootKeys};
use serde::Serialize;

use super::read;
use crate::folder::{Folder, read_bytes, read_keys_document, read_root_keys, write_whole};
use crate::{Failure, Output};

/// Which checkpoints, by which keys, and where the tiles are.
#[derive(Args, Clone, Debug)]
pub(super) struct CheckConsistencyArgs {
    /// A signed checkpoint, kept before or got from another reader.
    old: PathBuf,
    /// Another one [default: the one that is published now].
    new: Option<PathBuf>,
    /// Where the hash tiles are read, and the checkpoint of now: the public listener, as `https://plane.example:8445`.
    #[arg(long, value_name = "URL", conflicts_with = "dir")]
    url: Option<String>,
    /// The same from files: a federation's folder, or a copy of its data folder [default: --federation].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The root keys, got by a way you trust [default: founder.json of --federation].
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// A keys document that they signed, which names the ledger's keys; more than one where a checkpoint is of a time when
    /// others were named [default: the one published at --url, else keys.json of --federation].
    #[arg(long = "keys-document", value_name = "FILE")]
    keys_document: Vec<PathBuf>,
    /// The federation's folder: gives what is not said.
    #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
    federation: PathBuf,
}

/// Two checkpoints of one log.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Consistent {
    /// Always true: what is not of one log is a failure.
    consistent: bool,
    /// Size and root of the first.
    old: TreeHead,
    /// Of the second.
    new: TreeHead,
}

/// Where tiles are read.
enum Tiles {
    Public(Public),
    /// The folder of the ledger's files.
    Files(PathBuf),
}

impl CheckConsistencyArgs {
    /// Holds the checkpoints against each other.
    pub(super) async fn check(&self) -> Result<Consistent, Failure> {
        let folder = Folder::new(&self.federation);
        let root = read_root_keys(self.root.as_ref().unwrap_or(&folder.founder()))?;
        let (source, published) = self.source(&root).await?;
        let keys = self.keys(&root, published)?;
        let old = signed(read::parse_checkpoint(&read_bytes(&self.old, CHECKPOINT_BYTES_MAX)?)?, &keys)?;
        let new = match &self.new {
            Some(path) => read::parse_checkpoint(&read_bytes(path, CHECKPOINT_BYTES_MAX)?)?,
            None => source.checkpoint().await?,
        };
        let new = signed(new, &keys)?;
        let [one, other] = [&old, &new].map(|signed| signed.unverified().origin());
        if one != other {
            return Err(Failure::new(
                "checkpoint-untrusted",
                "LG-2",
                format!(
                    "one checkpoint is of the ledger {one}, the other of {other}: they say nothing of each other"
                ),
                "give two checkpoints of one ledger: the first line of each names it",
            ));
        }
        let heads @ (one, other) = (*old.unverified().head(), *new.unverified().head());
        let hashes = source.tiles(tiles(&one, &other)).await?;
        match relate(&one, &other, &hashes) {
            Ok(Relation::Consistent) => Ok(Consistent { consistent: true, old: one, new: other }),
            Ok(Relation::Split) => Err(self.split(heads, &new)),
            Err(error) => Err(Failure::new(
                "not-told",
                "LG-2",
                format!("the tiles do not tell how {} entries stand to {}: {error}", one.size, other.size),
                "read the tiles where the larger log is published: --url or --dir; nothing is proved, keep both files",
            )),
        }
    }

    /// Two logs under one signature; one that was only just read is kept beside the other.
    fn split(&self, (one, other): (TreeHead, TreeHead), new: &SignedCheckpoint) -> Failure {
        let kept = match &self.new {
            Some(path) => Ok(path.clone()),
            None => {
                let mut name = self.old.as_os_str().to_owned();
                name.push(format!(".shown-{}", other.size));
                let path = PathBuf::from(name);
                write_whole(&path, new.to_string().as_bytes()).map(|()| path)
            }
        };
        let evidence = match kept {
            Ok(path) => format!("keep {} and {} as evidence", self.old.display(), path.display()),
            Err(error) => format!("keep the checkpoint that is published now: {}", error.reasons_in_short()),
        };
        let head = |head: TreeHead| format!("{} entries with root {}", head.size, head.root);
        Failure::new(
            "split-view",
            "LG-2",
            format!("two ledgers are shown under one signature: {}, and {}", head(one), head(other)),
            format!("{evidence}: together they prove it; tell the Founder and other auditors"),
        )
    }

    /// Where tiles are read, and the keys document that is published there.
    async fn source(&self, root: &RootKeys) -> Result<(Tiles, Option<KeysDocument>), Failure> {
        if let Some(url) = &self.url {
            let (public, keys, _) = read::public(url, root).await?;
            return Ok((Tiles::Public(public), Some(keys)));
        }
        let ledger = read::files(self.dir.as_ref().unwrap_or(&self.federation))?;
        Ok((Tiles::Files(ledger), None))
    }

    /// The keys that sign checkpoints.
    fn keys(&self, root: &RootKeys, published: Option<KeysDocument>) -> Result<Vec<NoteKey>, Failure> {
        let named = match (self.keys_document.as_slice(), published) {
            ([], Some(published)) => vec![published],
            ([], None) => vec![read_keys_document(&Folder::new(&self.federation).keys(), root)?],
            (paths, _) => {
                paths.iter().map(|path| read_keys_document(path, root)).collect::<Result<_, _>>()?
            }
        };
        let mut keys = Vec::new();
        for document in &named {
            keys.extend(ledger_keys(document, |_| true).map_err(|error| untrusted(&error))?);
        }
        Ok(keys)
    }
}

impl Tiles {
    async fn checkpoint(&self) -> Result<SignedCheckpoint, Failure> {
        match self {
            Self::Public(public) => public.checkpoint().await?.ok_or_else(|| {
                let hint = "give the public listener's address (8445)";
                Failure::new("not-found", "LG-2", "no checkpoint is published there", hint)
            }),
            Self::Files(folder) => {
                let path = folder.join(plane::publication::CHECKPOINT);
                read::parse_checkpoint(&read_bytes(&path, CHECKPOINT_BYTES_MAX)?)
            }
        }
    }

    async fn tiles(&self, wanted: impl IntoIterator<Item = TileId>) -> Result<TileSet, Failure> {
        let folder = match self {
            Self::Public(public) => return Ok(public.tiles(wanted).await?),
            Self::Files(folder) => folder,
        };
        let mut set = TileSet::new();
        for id in wanted {
            let full = TileId::new(id.kind(), id.index(), TILE_WIDTH).ok();
            let there = std::iter::once(id).chain(full).find(|id| folder.join(id.to_string()).exists());
            if let Some(id) = there {
                let path = folder.join(id.to_string());
                let bytes = read_bytes(&path, HASH_TILE_BYTES_MAX as u64)?;
                let hint = "take the ledger's files from where they are published";
                set.insert(id, &bytes).map_err(|error| Failure::malformed(&path, &error, hint))?;
            }
        }
        Ok(set)
    }
}

/// The checkpoint, once one of the keys is known to have signed it.
fn signed(checkpoint: SignedCheckpoint, keys: &[NoteKey]) -> Result<SignedCheckpoint, Failure> {
    let mut last = None;
    for key in keys {
        match checkpoint.verify(key) {
            Ok(_) => return Ok(checkpoint),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(
        || untrusted(&"the keys document names no key for the ledger"),
        |error| untrusted(&error),
    ))
}

fn untrusted(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        "checkpoint-untrusted",
        "LG-2",
        error.to_string(),
        "give the keys document that was in force when it was signed: --keys-document",
    )
}

pub(super) fn shown(found: &Consistent) -> String {
    let head = |head: &TreeHead| format!("{} entries, root {}", head.size, head.root);
    let pairs = Output::pairs(&[("one", head(&found.old)), ("other", head(&found.new))]);
    format!("Consistent: both are of one ledger.\n\n{pairs}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use governance::{Span, Timestamp};
    use ledger::KeyName;
    use ledger::checkpoint::Checkpoint;
    use ledger::memory::MemoryLog;
    use proof::{Jws, KeySet, OnlineKey, Purpose, SeedKey, Sign as _, Typ};
    use std::fs;
    use std::path::Path;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: CheckConsistencyArgs,
    }

    /// A folder with root keys, two keys documents of which the other names another ledger, and the files of a log of so many entries.
    fn federation(folder: &Path, log: &MemoryLog) {
        let seed = |n| SeedKey::new([n; 32]);
        let founder = KeySet::single(*seed(1).public_key());
        fs::write(folder.join("founder.json"), serde_json::to_vec(&founder).unwrap()).unwrap();
        let (issued, key) = (Timestamp::from_millis(0), *seed(6).public_key());
        let named = |ledger: &str| KeysDocument {
            serial: 1,
            trust_domain: "fed.example".parse().unwrap(),
            issued,
            organism: KeySet::single(*seed(2).public_key()),
            founder: founder.clone(),
            online: vec![OnlineKey {
                purpose: Purpose::Ledger,
                key,
                not_before: issued,
                not_after: issued + Span::hours(9),
            }],
            root_ca: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".to_owned(),
            ledger_origin: format!("fed.example/{ledger}"),
        };
        for (name, ledger) in [("keys.json", "ledger"), ("other-keys.json", "other")] {
            let document = Jws::sign_json(Typ::Keys, &named(ledger), &seed(1)).unwrap();
            fs::write(folder.join(name), document.to_json()).unwrap();
        }
        for (id, bytes) in log.files() {
            let path = folder.join("ledger").join(id.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// A log of so many entries, which are others from the `forked`-th on.
    fn log(size: u64, forked: u64) -> (MemoryLog, TreeHead) {
        let mut log = MemoryLog::new();
        for number in 0..size {
            log.append(&if number < forked { number } else { !number }.to_be_bytes()).unwrap();
        }
        let head = log.publish().unwrap();
        (log, head)
    }

    fn write(path: &Path, head: TreeHead, by: u8) {
        write_of("fed.example/ledger", path, head, by);
    }

    fn write_of(origin: &str, path: &Path, head: TreeHead, by: u8) {
        let (origin, signer) = (KeyName::parse(origin).unwrap(), SeedKey::new([by; 32]));
        let key = NoteKey::new(origin.clone(), signer.public_key().as_bytes()).unwrap();
        let checkpoint = Checkpoint::new(origin, head).unwrap();
        let signed = checkpoint.sign(&key, |message| signer.sign(message)).unwrap();
        fs::write(path, signed.to_string()).unwrap();
    }

    async fn run(folder: &Path, files: &[&str]) -> Result<Consistent, Failure> {
        let files = files.iter().map(|name| folder.join(name).into_os_string());
        let line = ["check-consistency", "--federation"].map(Into::into).into_iter();
        Line::parse_from(line.chain([folder.as_os_str().to_owned()]).chain(files)).args.check().await
    }

    #[tokio::test]
    async fn lg_2_two_ledgers_by_name_are_no_split_view() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        let path = |name: &str| folder.join(name).into_os_string();
        federation(folder, &log(40, 900).0);
        write(&folder.join("ours"), log(40, 900).1, 6);
        write_of("fed.example/other", &folder.join("theirs"), log(40, 0).1, 6);
        for (old, new) in [("ours", "theirs"), ("theirs", "ours")] {
            let mut line = vec!["check-consistency".into(), "--federation".into(), folder.into()];
            for keys in ["keys.json", "other-keys.json"] {
                line.extend(["--keys-document".into(), path(keys)]);
            }
            line.extend([path(old), path(new)]);
            let failure = Line::parse_from(line).args.check().await.unwrap_err();
            assert_eq!((failure.code(), failure.exit_code()), ("checkpoint-untrusted", 1), "{failure}");
            for words in ["fed.example/ledger", "fed.example/other", "nothing of each other"] {
                assert!(failure.to_string().contains(words), "{failure}");
            }
        }
    }

    #[tokio::test]
    async fn lg_2_two_checkpoints_are_of_one_ledger_or_prove_a_split_view() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        let (now, head) = log(600, 900);
        federation(folder, &now);
        write(&folder.join("ledger/checkpoint"), head, 6);
        for (name, size, forked, by) in [
            ("small", 40, 900, 6),
            ("middle", 512, 900, 6),
            ("same", 600, 900, 6),
            ("fork", 512, 500, 6),
            ("fork-same", 600, 599, 6),
            ("later", 700, 900, 6),
            ("foreign", 512, 900, 7),
        ] {
            write(&folder.join(name), log(size, forked).1, by);
        }
        for files in [
            &["small"][..],
            &["same"],
            &["middle", "ledger/checkpoint"],
            &["ledger/checkpoint", "small"],
            &["middle", "middle"],
        ] {
            let found = run(folder, files).await.unwrap();
            assert!(found.consistent && shown(&found).contains("of one ledger"), "{files:?}");
        }
        for (files, code, words) in [
            (&["fork"][..], "split-view", "512 entries"),
            (&["fork-same", "same"], "split-view", "600 entries"),
            (&["fork", "middle"], "split-view", "as evidence"),
            (&["same", "fork"], "split-view", "as evidence"),
            (&["small", "fork"], "not-told", "--url"),
            (&["later"], "not-told", "is missing"),
            (&["foreign"], "checkpoint-untrusted", "--keys-document"),
        ] {
            let failure = run(folder, files).await.unwrap_err();
            assert_eq!((failure.code(), failure.exit_code()), (code, 1), "{files:?} {failure}");
            assert_eq!(failure.reasons[0].rule, "LG-2");
            assert!(failure.to_string().contains(words), "{files:?} {failure}");
        }
        // What was only just read is evidence too.
        let shown = fs::read(folder.join("fork.shown-600")).unwrap();
        assert_eq!(shown, fs::read(folder.join("ledger/checkpoint")).unwrap());
    }
}
