//! Runs a witness of ledgers (LG-2): for a provider or anybody else who wants no log shown to him that others do not see.
//!
//! Never cosigns by itself: `server::witness` judges. Never believes a plane: whose keys sign a log is said by verifier
//! keys, or by a keys document that the root keys signed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use client::Public;
use governance::Timestamp;
use ledger::checkpoint::ledger_keys;
use ledger::{KeyName, NoteKey};
use plane::Clock as _;
use plane::publication::Files as _;
use proof::{Jws, KeysDocument, RootKeys};
use serde::Serialize;
use server::SystemClock;
use server::witness::Witness;
use tokio::task::JoinSet;
use trust::KeySource;

use super::serve::{log_to_stderr, told_to_end};
use crate::connect::tls_failure;
use crate::folder::read_root_keys;
use crate::secrets::SecretArgs;
use crate::{Failure, Output};

mod origins;

use origins::{ClaimError, NAMED, Origins};

/// Pause between two looks at a federation's keys document, when nobody asks for a key that is not known.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The same at least.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long a keys document is waited for, from the question to its last byte.
const LOOK_WITHIN: Duration = Duration::from_secs(10);

/// Runs a witness, which cosigns the checkpoints of ledgers, until SIGTERM or SIGINT.
#[derive(Args, Clone, Debug)]
pub struct WitnessArgs {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8446")]
    pub listen: SocketAddr,
    /// The witness's name, as a URL without its scheme: it stands in every cosignature.
    #[arg(long, value_name = "NAME")]
    pub name: KeyName,
    /// The witness's private key, which signs nothing else; `fedplane key make` makes it.
    #[arg(long, value_name = "KEY")]
    pub key: KeySource,
    /// What opens it, where it is encrypted.
    #[command(flatten)]
    pub secrets: SecretArgs,
    /// What it has cosigned, and what speaks against a log. Never to be set back: not even from a backup.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// A log to witness, by its verifier key; may be said again, for other logs and for other keys of one.
    #[arg(long, value_name = "VKEY")]
    pub log: Vec<NoteKey>,
    /// A federation whose log to witness, by its root keys: its keys document says by which keys the log is signed; may be
    /// said again, each with its --url.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub root: Vec<PathBuf>,
    /// Where its keys document is: the address of its public listener, as `https://plane.example:8445`.
    #[arg(long, value_name = "URL", requires = "root")]
    pub url: Vec<String>,
    /// Writes the log as JSON lines.
    #[arg(long)]
    pub log_json: bool,
    /// What to log, as `info` or `server=debug,info`.
    #[arg(long, env = "FEDPLANE_LOG", hide_env_values = true, value_name = "FILTER", default_value = "info")]
    pub log_filter: String,
}

/// A witness that listens.
#[derive(Serialize)]
struct Started {
    /// The key that its cosignatures verify with.
    key: String,
    /// Where it listens.
    listens: SocketAddr,
    /// The logs it witnesses, as far as they are known.
    logs: Vec<String>,
}

/// `fedplane witness`.
///
/// # Errors
/// When the key, the folder or the address cannot be used.
pub async fn run(args: WitnessArgs, out: &Output) -> Result<(), Failure> {
    log_to_stderr(&args.log_filter, args.log_json)?;
    let told = told_to_end()?;
    let mut followed = followed(&args)?;
    let signer = args.key.open(&mut args.secrets.secrets()?)?;
    let failed = |error: server::StartError| {
        let hint = "mend what is named, and start again; what was cosigned is in --data";
        Failure::new("start", "CLI", error.to_string(), hint)
    };
    let witness =
        Witness::open(&args.data, args.name.clone(), signer, Arc::new(SystemClock)).map_err(failed)?;
    let memory = Memory::open(&args.data);
    let memory = memory.map_err(|error| Failure::file(&args.data, "make a folder in it", &error))?;
    let taken = |error: ClaimError| match &error {
        ClaimError::Taken { .. } => {
            Failure::new("origin-taken", "LG-2", error.to_string(), "a log's keys are named by one alone")
        }
        ClaimError::File { path, error } => Failure::file(path, "use", error),
    };
    let mut named: BTreeMap<&KeyName, Vec<NoteKey>> = BTreeMap::new();
    for key in &args.log {
        named.entry(key.name()).or_default().push(key.clone());
    }
    for (origin, keys) in named {
        memory.origins.claim(origin, NAMED).map_err(taken)?;
        witness.witness(origin, keys).map_err(failed)?;
    }
    for federation in &mut followed {
        federation.take_up(&memory)?;
        federation.claim(&memory, federation.keys.as_ref()).map_err(taken)?;
        federation.tell(&witness).map_err(failed)?;
        witness.follow(&federation.owner(), federation.keys.as_ref().map(|keys| &keys.trust_domain));
    }
    let witness = Arc::new(witness);
    let serving = server::witness::serve(Arc::clone(&witness), args.listen).await.map_err(failed)?;
    let started = Started {
        key: witness.key().to_string(),
        listens: serving.address(),
        logs: witness.heads().into_iter().map(|(origin, _)| origin.to_string()).collect(),
    };
    out.line(&started, || report(&started))?;
    let shutdown = serving.shutdown_handle();
    let (memory, mut following) = (Arc::new(memory), JoinSet::new());
    for federation in followed {
        following.spawn(federation.follow(Arc::clone(&memory), Arc::clone(&witness)));
    }
    let asked = tokio::spawn(async move {
        let signal = told.await;
        tracing::info!(signal, "the witness ends");
        shutdown.cancel();
    });
    let cut = serving.join().await;
    following.abort_all();
    asked.abort();
    if cut > 0 {
        tracing::warn!(connections = cut, "connections were cut: they did not end in time");
    }
    Ok(())
}

fn report(started: &Started) -> String {
    let Started { key, listens, logs } = started;
    let logs = if logs.is_empty() { "none yet".to_owned() } else { logs.join(", ") };
    format!(
        "The witness listens on {listens}. Logs: {logs}.\nIn the settings of a log (fedplane.toml), with the host that it is reached by:\n\n\
         [[ledger.witness]]\nkey = \"{key}\"\nurl = \"https://HOST:{}\"\n",
        listens.port()
    )
}

fn followed(args: &WitnessArgs) -> Result<Vec<Federation>, Failure> {
    if args.root.len() != args.url.len() {
        let detail = format!("{} times --root, and {} times --url", args.root.len(), args.url.len());
        return Err(Failure::usage(detail, "say each --root with its --url"));
    }
    if args.log.is_empty() && args.root.is_empty() {
        return Err(Failure::usage("no log is named", "name it with --log VKEY, or with --root and --url"));
    }
    let tls = || trust::tls::unverified_client_config().map_err(|error| tls_failure(&error));
    let one = |(root, url): (&PathBuf, &String)| {
        let (root, public) = (read_root_keys(root)?, Public::new(url, tls()?)?);
        Ok(Federation { root, public, url: url.clone(), keys: None, origin: None, refused: None })
    };
    let followed = args.root.iter().zip(&args.url).map(one).collect::<Result<Vec<_>, Failure>>()?;
    let apart: BTreeSet<String> = followed.iter().map(Federation::owner).collect();
    if apart.len() < followed.len() {
        return Err(Failure::usage("the same root keys are said twice", "say each federation once"));
    }
    Ok(followed)
}

/// What is known of federations, and of whose each log is, on the disk.
struct Memory {
    keys: store::Folder,
    origins: Origins,
}

impl Memory {
    fn open(data: &Path) -> std::io::Result<Self> {
        Ok(Self {
            keys: store::Folder::open(data.join("keys"))?,
            origins: Origins::open(data.join("origins"))?,
        })
    }
}

/// A federation whose root keys are held.
struct Federation {
    root: RootKeys,
    public: Public,
    url: String,
    /// The newest keys document seen: an older one counts no more, whoever serves it (AU-4).
    keys: Option<KeysDocument>,
    /// The log that the witness was told its keys for.
    origin: Option<KeyName>,
    /// What it was refused for last: told as an error once.
    refused: Option<String>,
}

impl Federation {
    /// Where its newest keys document is kept: by its root keys, whatever its address.
    fn path(&self) -> String {
        let root = serde_json::to_vec(&self.root).unwrap_or_default();
        format!("{}.json", governance::Digest::of(&root))
    }

    fn take_up(&mut self, memory: &Memory) -> Result<(), Failure> {
        let path = self.path();
        let broken = |error: &dyn std::fmt::Display| {
            let hint = "it was kept by this witness: have it back, or the log's older keys would count again";
            Failure::new("keys-untrusted", "AU-4", format!("keys/{path} in --data: {error}"), hint)
        };
        let Some(bytes) = memory.keys.read(&path).map_err(|error| broken(&error))? else { return Ok(()) };
        let document = Jws::parse(&bytes).map_err(|error| broken(&error))?;
        // It was opened when it was kept.
        self.keys = Some(document.parse_unverified().map_err(|error| broken(&error))?);
        Ok(())
    }

    /// As whose its log is known, whatever its address.
    fn owner(&self) -> String {
        format!("the root keys {}", self.path().trim_end_matches(".json"))
    }

    /// Makes the log that these keys name this federation's.
    fn claim(&self, memory: &Memory, keys: Option<&KeysDocument>) -> Result<(), ClaimError> {
        let origin = keys.and_then(|keys| KeyName::parse(&keys.ledger_origin).ok());
        origin.map_or(Ok(()), |origin| memory.origins.claim(&origin, &self.owner()))
    }

    /// Looks for newer keys documents, for ever. Whatever becomes of this federation, no other waits for it.
    async fn follow(mut self, memory: Arc<Memory>, witness: Arc<Witness>) {
        let mut wanted = witness.wanted();
        loop {
            let file = self.fetch().await;
            let (memory, witness) = (Arc::clone(&memory), Arc::clone(&witness));
            let looked = tokio::task::spawn_blocking(move || {
                self.look(file, &memory, &witness);
                self
            });
            self = match looked.await {
                Ok(federation) => federation,
                Err(error) => return tracing::error!(%error, "a federation is followed no more"),
            };
            tokio::time::sleep(LOOK_PAUSE).await;
            let _ = tokio::time::timeout(LOOK_EVERY, wanted.changed()).await;
        }
    }

    /// Asks for the keys document, and does not wait for long.
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let file = self.public.file("/keys.json", proof::jws::DOCUMENT_BYTES_MAX as u64);
        match tokio::time::timeout(LOOK_WITHIN, file).await {
            Ok(Ok(Some(bytes))) => Ok(bytes),
            Ok(Ok(None)) => Err("it publishes none".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it was not there within {} s", LOOK_WITHIN.as_secs())),
        }
    }

    /// Takes up what was had, and tells the witness by which keys the log is signed now: without news too, for keys end.
    /// Blocks.
    fn look(&mut self, file: Result<Vec<u8>, String>, memory: &Memory, witness: &Witness) {
        let taken = match file {
            Ok(bytes) => self.take(&bytes, memory).map_err(|error| self.refuse(error)).is_ok(),
            Err(error) => {
                tracing::warn!(url = self.url, error, "no keys document was had");
                false
            }
        };
        match (self.tell(witness), &self.keys) {
            (Ok(()), Some(keys)) if taken => witness.looked(&self.owner(), &keys.trust_domain),
            (Ok(()), _) => {}
            (Err(error), _) => tracing::error!(%error, "a log cannot be witnessed"),
        }
    }

    /// Tells the witness by which keys the log is signed now. Of a log that nobody signs any more, nothing is cosigned.
    fn tell(&mut self, witness: &Witness) -> Result<(), server::StartError> {
        let origin = self.keys.as_ref().and_then(|keys| KeyName::parse(&keys.ledger_origin).ok());
        if let Some(before) = self.origin.as_ref().filter(|before| origin.as_ref() != Some(before)) {
            witness.witness(before, Vec::new())?;
        }
        self.origin.clone_from(&origin);
        origin.map_or(Ok(()), |origin| witness.witness(&origin, self.log_keys(SystemClock.now())))
    }

    /// Takes the document where it is newer, and its log is no other's; kept first. Blocks.
    fn take(&mut self, bytes: &[u8], memory: &Memory) -> Result<bool, String> {
        let document = Jws::parse(bytes).map_err(|error| error.to_string())?;
        let next = self.next(&document)?;
        if let Some(next) = &next {
            self.claim(memory, Some(next)).map_err(|error| error.to_string())?;
            let kept = memory.keys.write(&self.path(), document.to_json().as_bytes());
            kept.map_err(|error| error.to_string())?;
        }
        let newer = next.is_some();
        if newer {
            tracing::info!(url = self.url, "another keys document counts");
        }
        self.keys = next.or(self.keys.take());
        self.refused = None;
        Ok(newer)
    }

    /// Tells why the document was refused: as an error once.
    fn refuse(&mut self, error: String) {
        let url = &self.url;
        if self.refused.as_ref() == Some(&error) {
            return tracing::debug!(url, error, "the keys document is refused still");
        }
        tracing::error!(url, error, "the keys document is refused: none of its keys is taken (AU-4)");
        self.refused = Some(error);
    }

    /// The document opened, where it is newer than what is known. The root keys open the first one alone: Founder keys that
    /// gave way to others name nobody's key any more, however high the serial (AU-4).
    fn next(&self, document: &Jws) -> Result<Option<KeysDocument>, String> {
        let Some(known) = &self.keys else {
            return KeysDocument::open(document, &self.root).map(Some).map_err(|error| error.to_string());
        };
        let claimed: KeysDocument = document.parse_unverified().map_err(|error| error.to_string())?;
        if claimed.serial <= known.serial {
            return Ok(None);
        }
        known.open_successor(document).map(Some).map_err(|error| {
            format!(
                "its keys document {} does not follow {}, the last one seen: {error}; where the Founder keys gave way to \
                 others twice since, start again with the new ones as --root",
                claimed.serial, known.serial
            )
        })
    }

    /// The keys that may sign its log now.
    fn log_keys(&self, now: Timestamp) -> Vec<NoteKey> {
        let Some(keys) = &self.keys else { return Vec::new() };
        ledger_keys(keys, |named| named.is_valid_at(now)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use governance::Span;
    use proof::{KeySet, OnlineKey, Purpose, SeedKey, Sign as _, Typ};

    fn secret(n: u8) -> SeedKey {
        SeedKey::new([n; 32])
    }

    fn key_of(n: u8) -> NoteKey {
        NoteKey::new("fed.example/ledger".parse().unwrap(), secret(n).public_key().as_bytes()).unwrap()
    }

    /// A document of this serial, with this key for the ledger, that names this Founder.
    fn keys(serial: u64, ledger: u8, founder: u8) -> KeysDocument {
        let at = Timestamp::from_millis(1_000);
        let online = OnlineKey {
            purpose: Purpose::Ledger,
            key: *secret(ledger).public_key(),
            not_before: at,
            not_after: at + Span::hours(1),
        };
        KeysDocument {
            serial,
            trust_domain: "fed.example".parse().unwrap(),
            issued: at,
            founder: KeySet::single(*secret(founder).public_key()),
            organism: KeySet::single(*secret(200).public_key()),
            online: vec![online],
            root_ca: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".into(),
            ledger_origin: "fed.example/ledger".into(),
        }
    }

    fn signed(keys: &KeysDocument, founders: &[u8]) -> Jws {
        let mut document = Jws::sign_json(Typ::Keys, keys, &secret(founders[0])).unwrap();
        founders[1..].iter().for_each(|n| document.add_signature(Typ::Keys, &secret(*n)).unwrap());
        document
    }

    fn following(founder: u8) -> Federation {
        let url = "https://127.0.0.1:1".to_owned();
        let public = Public::new(&url, trust::tls::unverified_client_config().unwrap()).unwrap();
        Federation {
            root: KeySet::single(*secret(founder).public_key()),
            public,
            url,
            keys: None,
            origin: None,
            refused: None,
        }
    }

    #[test]
    fn au_4_the_log_is_signed_by_whom_the_newest_keys_document_names() {
        let mut federation = following(1);
        let within = Timestamp::from_millis(2_000);
        assert!(federation.log_keys(within).is_empty(), "nobody yet");
        assert!(federation.next(&signed(&keys(1, 11, 2), &[2])).is_err(), "not by the root keys");
        let mut take = |document: &Jws| -> Result<bool, String> {
            let next = federation.next(document)?;
            let newer = next.is_some();
            federation.keys = next.or(federation.keys.take());
            let last = federation.log_keys(Timestamp::from_millis(1_000) + Span::hours(1) + Span::hours(1));
            assert!(last.is_empty(), "beyond its time no key counts");
            Ok(newer)
        };
        let (first, second) = (signed(&keys(1, 11, 1), &[1]), signed(&keys(2, 12, 1), &[1]));
        assert_eq!(take(&first), Ok(true));
        assert_eq!(take(&first), Ok(false));
        assert_eq!(take(&second), Ok(true));
        // Whoever serves an older one brings no retired key back, and a stranger none at all.
        assert_eq!(take(&first), Ok(false));
        assert!(take(&signed(&keys(3, 13, 1), &[5])).is_err());
        // Other Founder keys follow, and what they sign alone follows them.
        assert!(take(&signed(&keys(3, 13, 2), &[1])).is_err(), "the new ones have to sign too");
        assert_eq!(take(&signed(&keys(3, 13, 2), &[1, 2])), Ok(true));
        assert_eq!(take(&signed(&keys(4, 14, 2), &[2])), Ok(true));
        assert_eq!(take(&second), Ok(false));
        // The root keys have given way: whoever stole them since names no key, by no serial.
        for serial in [5, u64::MAX] {
            let refused = take(&signed(&keys(serial, 15, 1), &[1])).unwrap_err();
            assert!(refused.contains("new ones as --root"), "{refused}");
        }
        // Nor does a rotation count that was missed.
        assert!(take(&signed(&keys(6, 16, 4), &[3, 4])).is_err());
        assert_eq!(federation.log_keys(within), [key_of(14)]);
    }

    #[test]
    fn lg_2_no_federation_names_the_keys_of_anothers_log() {
        let place = tempfile::tempdir().unwrap();
        let memory = || Memory::open(place.path()).unwrap();
        let within = Timestamp::from_millis(2_000);
        let (mut own, mut other) = (following(1), following(5));
        let document = |serial, ledger, founder| {
            signed(&keys(serial, ledger, founder), &[founder]).to_json().into_bytes()
        };
        assert_eq!(own.take(&document(1, 11, 1), &memory()), Ok(true));
        // The same trust domain and origin, by another Founder: now, and after a start anew.
        for serial in [1, 2] {
            let refused = other.take(&document(serial, 55, 5), &memory()).unwrap_err();
            for part in [own.owner(), other.owner(), "fed.example/ledger".to_owned()] {
                assert!(refused.contains(&part), "{part}: {refused}");
            }
            assert!(other.log_keys(within).is_empty());
            other = following(5);
            other.take_up(&memory()).unwrap();
            assert!(other.keys.is_none(), "nor is it kept, for no start to fail by it");
        }
        assert_eq!(own.take(&document(2, 12, 1), &memory()), Ok(true));
        assert_eq!(own.log_keys(within), [key_of(12)]);
    }

    /// Neither one that never answers nor one that is gone keeps another's keys from being known.
    #[tokio::test]
    async fn au_4_no_federation_waits_for_another() {
        let place = tempfile::tempdir().unwrap();
        let memory = Arc::new(Memory::open(place.path()).unwrap());
        let signer = trust::SigningKey::generate().unwrap();
        let name = KeyName::parse("witness.example").unwrap();
        let witness = Witness::open(&place.path().join("w"), name, (&signer).into(), Arc::new(SystemClock));
        let witness = Arc::new(witness.unwrap());
        let (mute, gone) = (TcpListener::bind("127.0.0.1:0").unwrap(), following(6));
        let mut silent = following(5);
        let url = format!("https://{}", mute.local_addr().unwrap());
        silent.public = Public::new(&url, trust::tls::unverified_client_config().unwrap()).unwrap();
        let mut own = following(1);
        for federation in [&silent, &gone, &own] {
            witness.follow(&federation.owner(), None);
        }
        let mut all = JoinSet::new();
        all.spawn(silent.follow(Arc::clone(&memory), Arc::clone(&witness)));
        all.spawn(gone.follow(Arc::clone(&memory), Arc::clone(&witness)));
        let now = SystemClock.now();
        let mut document = keys(1, 11, 1);
        document.online.iter_mut().for_each(|key| key.not_after = now + Span::hours(1));
        own.look(Ok(signed(&document, &[1]).to_json().into_bytes()), &memory, &witness);
        // By a key that is not its own: refused at once, not told to come again.
        let checkpoint = ledger::Checkpoint::new(key_of(12).name().clone(), ledger::TreeHead::EMPTY).unwrap();
        let asked = |n: u8| {
            let signed = checkpoint.clone().sign(&key_of(n), |message| secret(n).sign(message)).unwrap();
            ledger::witness::AddCheckpoint::new(0, Vec::new(), signed).unwrap().to_string()
        };
        let refused = witness.add(asked(12).as_bytes()).unwrap_err();
        assert!(matches!(refused, server::witness::WitnessError::Refused(_)), "{refused}");
        witness.add(asked(11).as_bytes()).unwrap();
    }

    #[test]
    fn au_4_what_was_seen_is_not_forgotten() {
        let place = tempfile::tempdir().unwrap();
        let memory = Memory::open(place.path()).unwrap();
        let mut federation = following(1);
        federation.take_up(&memory).unwrap();
        assert!(federation.keys.is_none());
        memory.keys.write(&federation.path(), signed(&keys(2, 12, 1), &[1]).to_json().as_bytes()).unwrap();
        federation.take_up(&memory).unwrap();
        assert_eq!(federation.next(&signed(&keys(1, 11, 1), &[1])), Ok(None));
        memory.keys.write(&federation.path(), b"{").unwrap();
        assert_eq!(federation.take_up(&memory).unwrap_err().code(), "keys-untrusted");
        assert_ne!(federation.path(), following(2).path());
    }

    #[test]
    fn lg_2_a_witness_of_nothing_does_not_start() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: WitnessArgs,
        }
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("founder.json");
        std::fs::write(&root, serde_json::to_string(&keys(1, 11, 1).founder).unwrap()).unwrap();
        let read = |more: &str| {
            let line = format!("witness --name w.example --key w.key --data d {more}");
            let args = Line::try_parse_from(line.trim().split(' ')).map_err(|error| error.to_string())?.args;
            followed(&args).map(|all| all.len()).map_err(|failure| failure.code().to_owned())
        };
        assert_eq!(read(""), Err("usage".to_owned()));
        assert_eq!(read(&format!("--log {}", key_of(7))), Ok(0));
        let root = root.display();
        assert_eq!(read(&format!("--root {root} --url https://a")), Ok(1));
        assert_eq!(read(&format!("--root {root} --root {root} --url https://a")), Err("usage".to_owned()));
        assert_eq!(
            read(&format!("--root {root} --url https://a --root {root} --url https://b")),
            Err("usage".to_owned())
        );
        assert!(read(&format!("--root {root}")).is_err());
        assert!(read("--log nonsense").is_err());
    }
}
