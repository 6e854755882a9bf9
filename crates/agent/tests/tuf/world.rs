//! A repository that a test twists, a server of it on 127.0.0.1, and the client's program with its folders.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use client::{Source as _, SystemSource};
use governance::Span;
use proof::tuf::{Expires, FileMeta, Key, TargetFile, canonical, hex_encode, quoted};
use proof::{SeedKey, Sign as _};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What a repository signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ed25519,
    Ecdsa,
}

pub enum Pair {
    Ed25519(Box<SeedKey>),
    Ecdsa(EcdsaKeyPair),
}

/// A key with its id.
#[derive(Clone)]
pub struct Signer {
    pub id: String,
    pub key: Value,
    pub pair: Arc<Pair>,
}

impl Signer {
    fn new(kind: Kind, number: u8) -> Self {
        let (key, pair) = match kind {
            Kind::Ed25519 => {
                let pair = Box::new(SeedKey::new([number; 32]));
                (serde_json::to_value(Key::of(pair.public_key())).unwrap(), Pair::Ed25519(pair))
            }
            Kind::Ecdsa => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
                let pem = format!(
                    "-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n",
                    &text[..64],
                    &text[64..]
                );
                let key = json!({
                    "keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": pem},
                });
                (key, Pair::Ecdsa(pair))
            }
        };
        let id = serde_json::from_value::<Key>(key.clone()).unwrap().id().unwrap();
        Self { id, key, pair: Arc::new(pair) }
    }

    fn sign(&self, message: &[u8]) -> String {
        match &*self.pair {
            Pair::Ed25519(pair) => hex_encode(&pair.sign(message).unwrap()),
            Pair::Ecdsa(pair) => hex_encode(pair.sign(&SystemRandom::new(), message).unwrap().as_ref()),
        }
    }
}

/// What is served, and what was asked for.
#[derive(Default)]
struct Served {
    files: BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
}

pub struct World {
    kind: Kind,
    keys: u8,
    /// What each role would sign next.
    pub roles: BTreeMap<String, Value>,
    pub signers: BTreeMap<String, Vec<Signer>>,
    /// Whether hashes of metadata are listed.
    pub hashes: bool,
    /// Whether lengths of metadata are listed.
    pub lengths: bool,
    served: Arc<Mutex<Served>>,
    address: SocketAddr,
    place: TempDir,
}

pub const TOP: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

/// A moment that many hours from now.
pub fn hours(hours: i64) -> Value {
    json!(Expires(SystemSource.now() + Span::hours(hours)).to_string())
}

impl World {
    /// A repository of one key a role, version 1 of everything, published; a client that was given its root.
    pub fn new(kind: Kind) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let served = Arc::new(Mutex::new(Served::default()));
        let shelf = Arc::clone(&served);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shelf = Arc::clone(&shelf);
                thread::spawn(move || stream.map(|stream| answer(stream, &shelf)));
            }
        });
        let mut world = Self {
            kind,
            keys: 0,
            roles: BTreeMap::new(),
            signers: BTreeMap::new(),
            hashes: false,
            lengths: false,
            served,
            address,
            place: tempfile::tempdir().unwrap(),
        };
        for role in TOP {
            world.roles.insert(role.into(), draft(role));
        }
        world.roles.get_mut("targets").unwrap()["targets"] = json!({});
        let root = world.roles.get_mut("root").unwrap();
        root["consistent_snapshot"] = json!(true);
        root["keys"] = json!({});
        root["roles"] = json!({});
        for role in TOP {
            world.roles.get_mut("root").unwrap()["roles"][role] = json!({"keyids": [], "threshold": 1});
            world.add_key(role);
        }
        world.publish(&["root"]);
        world.publish_all();
        let root = world.place.path().join("initial.json");
        std::fs::write(root, world.served("metadata/1.root.json")).unwrap();
        world
    }

    pub fn signer(&mut self) -> Signer {
        self.keys += 1;
        Signer::new(self.kind, self.keys)
    }

    /// One more key for a top-level role.
    pub fn add_key(&mut self, role: &str) -> Signer {
        let signer = self.signer();
        let root = self.roles.get_mut("root").unwrap();
        root["keys"][&signer.id] = signer.key.clone();
        root["roles"][role]["keyids"].as_array_mut().unwrap().push(json!(signer.id));
        self.signers.entry(role.into()).or_default().push(signer.clone());
        signer
    }

    /// New keys for a top-level role, in place of all it had.
    pub fn rotate(&mut self, role: &str) {
        self.role(role)["keyids"] = json!([]);
        self.signers.remove(role);
        self.add_key(role);
    }

    /// The keys and threshold of a top-level role.
    pub fn role(&mut self, role: &str) -> &mut Value {
        &mut self.at("root")["roles"][role]
    }

    /// What a role would sign next.
    pub fn at(&mut self, role: &str) -> &mut Value {
        self.roles.get_mut(role).unwrap()
    }

    /// Signs and serves these roles, each of a version one above the last.
    pub fn publish(&mut self, roles: &[&str]) {
        for role in roles {
            let version = self.at(role)["version"].as_u64().unwrap() + 1;
            self.publish_as(role, version);
        }
    }

    /// Targets, snapshot and timestamp, so that a client sees what changed.
    pub fn publish_all(&mut self) {
        self.publish(&["targets", "snapshot", "timestamp"]);
    }

    /// Signs and serves a role under this version, higher or lower than the last.
    pub fn publish_as(&mut self, role: &str, version: u64) {
        self.at(role)["version"] = json!(version);
        let bytes = self.signed(role);
        self.serve_role(role, version, bytes);
    }

    /// Serves these bytes as a role of this version, and lists them where they must be listed.
    pub fn serve_role(&mut self, role: &str, version: u64, bytes: Vec<u8>) {
        let mut meta = serde_json::to_value(FileMeta::of(version, &bytes)).unwrap();
        for (listed, member) in [(self.hashes, "hashes"), (self.lengths, "length")] {
            if !listed {
                meta.as_object_mut().unwrap().remove(member);
            }
        }
        match role {
            "root" | "timestamp" => {}
            "snapshot" => self.at("timestamp")["meta"]["snapshot.json"] = meta,
            role => self.at("snapshot")["meta"][format!("{role}.json")] = meta,
        }
        let consistent = self.roles["root"]["consistent_snapshot"] == json!(true);
        let name = match role {
            "root" => format!("{version}.root.json"),
            role if consistent && role != "timestamp" => format!("{version}.{}.json", quoted(role)),
            role => format!("{}.json", quoted(role)),
        };
        self.serve(&format!("metadata/{name}"), bytes);
    }

    /// What a role signs, with its signatures.
    pub fn signed(&self, role: &str) -> Vec<u8> {
        self.signed_by(role, &self.signers[role])
    }

    pub fn signed_by(&self, role: &str, signers: &[Signer]) -> Vec<u8> {
        let signed = &self.roles[role];
        let message = canonical(signed).unwrap();
        let signatures: Vec<Value> =
            signers.iter().map(|signer| json!({"keyid": signer.id, "sig": signer.sign(&message)})).collect();
        serde_json::to_vec_pretty(&json!({"signatures": signatures, "signed": signed})).unwrap()
    }

    pub fn serve(&self, path: &str, bytes: Vec<u8>) {
        self.served.lock().unwrap().files.insert(path.into(), bytes);
    }

    pub fn served(&self, path: &str) -> Vec<u8> {
        self.served.lock().unwrap().files[path].clone()
    }

    pub fn withhold(&self, path: &str) {
        assert!(self.served.lock().unwrap().files.remove(path).is_some(), "{path}");
    }

    /// What was asked for since the last time, without what is common to all paths.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.served.lock().unwrap().asked)
    }

    /// Lists a target and serves it where a client looks for it.
    pub fn target(&mut self, role: &str, path: &str, bytes: &[u8]) {
        let file = TargetFile::of(bytes);
        let hash = &file.hashes["sha256"];
        let quoted = path.split('/').map(quoted).collect::<Vec<String>>().join("/");
        let at = if self.roles["root"]["consistent_snapshot"] == json!(true) {
            match quoted.rsplit_once('/') {
                Some((folder, last)) => format!("{folder}/{hash}.{last}"),
                None => format!("{hash}.{quoted}"),
            }
        } else {
            quoted
        };
        self.serve(&format!("targets/{at}"), bytes.to_vec());
        self.at(role)["targets"][path] = serde_json::to_value(&file).unwrap();
    }

    /// Adds a delegation with a key of its own; `scope` gives `paths` or `path_hash_prefixes`, and what else it likes.
    pub fn delegate(&mut self, by: &str, name: &str, scope: &Value) -> Signer {
        let signer = self.signer();
        let mut role = json!({"name": name, "keyids": [signer.id], "threshold": 1, "terminating": false});
        role.as_object_mut().unwrap().extend(scope.as_object().unwrap().clone());
        let delegations = &mut self.at(by)["delegations"];
        if delegations.is_null() {
            *delegations = json!({"keys": {}, "roles": []});
        }
        delegations["keys"][&signer.id] = signer.key.clone();
        delegations["roles"].as_array_mut().unwrap().push(role);
        self.roles.entry(name.into()).or_insert_with(|| {
            let mut targets = draft("targets");
            targets["targets"] = json!({});
            targets
        });
        self.signers.entry(name.into()).or_default().push(signer.clone());
        signer
    }

    /// Runs the client; nothing when all went well, else what it told.
    fn run(&self, arguments: &[&str]) -> Option<String> {
        let ended = Command::new(env!("CARGO_BIN_EXE_fedplane-agent"))
            .arg("tuf")
            .arg("--metadata-dir")
            .arg(self.metadata())
            .args(arguments)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        let code = ended.status.code();
        assert!(matches!(code, Some(0 | 1)), "{arguments:?} ended with {code:?}: {told}");
        assert_eq!(code == Some(0), told.is_empty(), "{arguments:?}: {told}");
        (code == Some(1)).then_some(told)
    }

    pub fn metadata(&self) -> PathBuf {
        self.place.path().join("metadata")
    }

    pub fn targets(&self) -> PathBuf {
        self.place.path().join("targets")
    }

    fn initial(&self) -> Option<String> {
        self.run(&["init", &self.place.path().join("initial.json").to_string_lossy()])
    }

    pub fn init(&self) -> bool {
        self.initial().is_none()
    }

    pub fn init_with(&self, root: &[u8]) -> bool {
        std::fs::write(self.place.path().join("initial.json"), root).unwrap();
        self.init()
    }

    fn refreshing(&self) -> Option<String> {
        self.run(&["--metadata-url", &format!("http://{}/metadata/", self.address), "refresh"])
    }

    pub fn refresh(&self) -> bool {
        self.refreshing().is_none()
    }

    /// Asserts that a refresh is refused in these words: a section, a reason.
    pub fn refuses(&self, words: &str) {
        let told = self.refreshing().unwrap_or_default();
        assert!(told.contains(words), "instead of `{words}`: `{told}`");
    }

    fn downloading(&self, name: &str) -> Option<String> {
        self.run(&[
            "--metadata-url",
            &format!("http://{}/metadata", self.address),
            "--target-name",
            name,
            "--target-dir",
            &self.targets().to_string_lossy(),
            "--target-base-url",
            &format!("http://{}/targets/", self.address),
            "download",
        ])
    }

    pub fn download(&self, name: &str) -> bool {
        self.downloading(name).is_none()
    }

    /// Asserts that a download is refused in these words.
    pub fn refuses_target(&self, name: &str, words: &str) {
        let told = self.downloading(name).unwrap_or_default();
        assert!(told.contains(words), "instead of `{words}`: `{told}`");
    }

    /// A target where the client put it.
    pub fn downloaded(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.targets().join(quoted(name))).ok()
    }

    /// Role names and versions as the client keeps them: `root 2, timestamp 1`.
    pub fn trusted(&self) -> String {
        let mut roles = Vec::new();
        for entry in std::fs::read_dir(self.metadata()).unwrap() {
            let path = entry.unwrap().path();
            let document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            roles.push(format!("{} {}", name.strip_suffix(".json").unwrap(), document["signed"]["version"]));
        }
        roles.sort();
        roles.join(", ")
    }
}

fn draft(kind: &str) -> Value {
    let mut draft = json!({"_type": kind, "spec_version": "1.0.31", "version": 0, "expires": hours(24 * 30)});
    if matches!(kind, "snapshot" | "timestamp") {
        draft["meta"] = json!({});
    }
    draft
}

fn answer(mut stream: TcpStream, served: &Mutex<Served>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let found = {
        let mut served = served.lock().unwrap();
        served.asked.push(path.trim_start_matches("metadata/").trim_end_matches(".json").to_owned());
        served.files.get(&path).cloned()
    };
    let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)
}
