//! A federation in a temporary folder, a server on free ports, and peers of every sort.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, ClientError, Public, Source, SystemSource};
use governance::{
    Constitution, ConstitutionDocument, Digest, InstanceId, InstanceKey, Kind, LayerContent, Span, Tier,
    Timestamp, TrustDomain, Version,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use plane::Store as _;
use proof::keys::{KeysDocument, OnlineKey, Purpose};
use proof::statement::VersionStatement;
use proof::{Jws, KeySet, Sign, Typ};
use rustls::pki_types::CertificateDer;
use server::{Addresses, Running, Settings};
use tempfile::TempDir;
use trust::request::{Target, sign_request};
use trust::tuf::{Lifetimes, Repository, RootPlan, TargetsChange, draft};
use trust::{Issuer, RootCa, SigningKey, Validity};
use wire::{EnrolmentRequest, Metadata, Problem, Register, Registered, Renew, Renewed};

pub(crate) const DOMAIN: &str = "test.example";

pub(crate) fn now() -> Timestamp {
    SystemSource.now()
}

pub(crate) fn validity() -> Validity {
    Validity { not_before: now() - Span::hours(1), not_after: now() + Span::hours(1_000) }
}

/// A federation, its offline keys, and its server.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) settings: Settings,
    pub(crate) founder: SigningKey,
    pub(crate) organism: SigningKey,
    pub(crate) root_ca: Issuer,
    pub(crate) root: RootCa,
    pub(crate) operator: Arc<SigningKey>,
    pub(crate) operator_chain: Vec<CertificateDer<'static>>,
    /// What calls endpoints, where the server does (HS-8).
    pub(crate) outgoing: Option<server::Outgoing>,
    /// What asks witnesses, where there are any (LG-2).
    pub(crate) cosigner: Option<Arc<dyn plane::ports::Cosigner>>,
    running: Option<Running>,
}

/// The TUF root that follows, of the people and online keys of a keys document.
pub(crate) fn root_next(
    keys: &KeysDocument,
    previous: &[u8],
    signers: &[&SigningKey],
    until: Timestamp,
) -> Vec<u8> {
    let online = |purpose| -> Vec<_> {
        keys.online.iter().filter(|key| key.purpose == purpose).map(|key| key.key).collect()
    };
    let (snapshot, timestamp) = (online(Purpose::Snapshot), online(Purpose::Timestamp));
    let plan = RootPlan {
        founder: &keys.founder,
        organism: &keys.organism,
        snapshot: &snapshot,
        timestamp: &timestamp,
    };
    let mut root = draft::root_next(previous, &plan, until).unwrap();
    signers.iter().for_each(|signer| root.sign(*signer).unwrap());
    root.to_bytes().unwrap()
}

/// A peer: its key and the chain it shows.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) key: Arc<SigningKey>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

impl Who {
    /// A key that nobody has certified.
    pub(crate) fn fresh() -> Self {
        let key = Arc::new(SigningKey::generate().unwrap());
        let chain = vec![trust::tls::self_signed(&key).unwrap()];
        Self { key, chain }
    }

    /// The same key under its new certificate.
    pub(crate) fn with(&self, renewed: &Renewed) -> Self {
        let chain = trust::pem::certificates(&renewed.certificate).unwrap();
        Self { key: Arc::clone(&self.key), chain }
    }
}

impl World {
    /// The folder alone.
    pub(crate) fn make(change: impl FnOnce(&mut Constitution, &mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::in_folder(folder.path());
        let listen = &mut settings.listen;
        for address in [&mut listen.instances, &mut listen.public, &mut listen.dashboard, &mut listen.metrics]
        {
            address.set_port(0);
        }
        settings.pace.publish_every = Span::from_millis(50);
        let mut law = Constitution::default();
        change(&mut law, &mut settings);
        let (founder, organism) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let domain: TrustDomain = DOMAIN.parse().unwrap();
        let root_ca = Issuer::make_root(SigningKey::generate().unwrap(), &domain, validity()).unwrap();
        let root = RootCa::from_pem(&root_ca.certificate_pem()).unwrap();
        let operator = Arc::new(SigningKey::generate().unwrap());
        let operator_chain = root_ca
            .issue_person(
                &governance::Person::operator("admin".parse().unwrap()),
                operator.public_key(),
                validity(),
            )
            .unwrap()
            .chain;
        let world = Self {
            folder,
            settings,
            founder,
            organism,
            root_ca,
            root,
            operator,
            operator_chain,
            outgoing: None,
            cosigner: None,
            running: None,
        };
        world.write(law);
        world
    }

    /// A running one.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_, _| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Constitution, &mut Settings)) -> Self {
        let mut world = Self::make(change);
        world.run().await;
        // Three entries found the federation, and the first sweep counts its fleet: then nothing comes by itself.
        while world.plane().store().entry_count().await.unwrap() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world
    }

    pub(crate) async fn run(&mut self) {
        let settings = self.settings.clone();
        let started = match (self.outgoing, self.cosigner.clone()) {
            (None, None) => server::start(settings).await,
            (challenger, cosigner) => {
                server::start_calling(settings, server::Outside { challenger, cosigner }).await
            }
        };
        self.running = Some(started.unwrap());
    }

    pub(crate) async fn stop(&mut self) -> server::Stopped {
        self.running.take().unwrap().stop().await
    }

    pub(crate) fn at(&self) -> Addresses {
        self.running.as_ref().unwrap().addresses()
    }

    /// The plane behind the listeners.
    pub(crate) fn plane(&self) -> &Arc<server::Plane> {
        self.running.as_ref().unwrap().plane()
    }

    pub(crate) fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, law: Constitution) {
        let online = self.path("keys/federation");
        fs::create_dir_all(&online).unwrap();
        let key = |name: &str| SigningKey::create(&online.join(name)).unwrap();
        let named = |purpose, key: &SigningKey| OnlineKey {
            purpose,
            key: *key.public_key(),
            not_before: validity().not_before,
            not_after: validity().not_after,
        };
        let (snapshot, timestamp) = (key("snapshot.key"), key("timestamp.key"));
        let domain: TrustDomain = DOMAIN.parse().unwrap();
        let keys = KeysDocument {
            serial: 1,
            trust_domain: domain.clone(),
            issued: now(),
            founder: KeySet::single(*self.founder.public_key()),
            organism: KeySet::single(*self.organism.public_key()),
            online: vec![
                named(Purpose::Directives, &key("directives.key")),
                named(Purpose::Ledger, &key("ledger.key")),
                named(Purpose::Tokens, &key("tokens.key")),
                named(Purpose::Snapshot, &snapshot),
                named(Purpose::Timestamp, &timestamp),
            ],
            root_ca: self.root_ca.certificate_pem(),
            ledger_origin: format!("{DOMAIN}/ledger"),
        };
        let ca = key("instance-ca.key");
        let ca = self.root_ca.issue_instance_ca(ca.public_key(), validity()).unwrap();
        fs::write(online.join("instance-ca.pem"), ca.to_pem()).unwrap();
        let server = key("server.key");
        let hosts = ["localhost".into(), "127.0.0.1".into()];
        let server = self
            .root_ca
            .issue_server(&"plane".parse().unwrap(), &hosts, server.public_key(), validity())
            .unwrap();
        fs::write(online.join("server.pem"), server.to_pem()).unwrap();
        let constitution = ConstitutionDocument { previous: None, effective: now(), parameters: law };
        for (name, text) in [
            ("founder.json", serde_json::to_string(&keys.founder).unwrap()),
            ("keys.json", Jws::sign_json(Typ::Keys, &keys, &self.founder).unwrap().to_json()),
            (
                "constitution.sig",
                Jws::sign_json(Typ::Constitution, &constitution, &self.founder).unwrap().to_json(),
            ),
        ] {
            fs::write(self.path(name), text).unwrap();
        }
        self.publish_first(snapshot, timestamp, &keys);
    }

    fn publish_first(&self, snapshot: SigningKey, timestamp: SigningKey, keys: &KeysDocument) {
        let (snapshots, timestamps) = ([*snapshot.public_key()], [*timestamp.public_key()]);
        let plan = RootPlan {
            founder: &keys.founder,
            organism: &keys.organism,
            snapshot: &snapshots,
            timestamp: &timestamps,
        };
        let mut root = draft::root_first(&plan, now() + Span::hours(1_000)).unwrap();
        root.sign(&self.founder).unwrap();
        let mut targets = draft::targets_first(TargetsChange::default(), now() + Span::hours(1_000)).unwrap();
        targets.sign(&self.organism).unwrap();
        let repository = Repository::open(
            &self.path("tuf"),
            Box::new(snapshot),
            Box::new(timestamp),
            Lifetimes::default(),
        )
        .unwrap();
        repository.root_publish(&root.to_bytes().unwrap()).unwrap();
        repository.publish(&targets.to_bytes().unwrap(), now()).unwrap();
    }

    pub(crate) fn operator(&self) -> Who {
        Who { key: Arc::clone(&self.operator), chain: self.operator_chain.clone() }
    }

    /// A client of the instances' listener.
    pub(crate) fn client(&self, who: &Who) -> Client {
        let tls = trust::tls::client_config(&self.root, who.chain.clone(), &who.key).unwrap();
        let signer: Arc<dyn Sign + Send + Sync> = Arc::clone(&who.key) as _;
        Client::new(&format!("https://{}", self.at().instances), tls, signer, Arc::new(SystemSource)).unwrap()
    }

    /// A reader of the public listener.
    pub(crate) fn public(&self) -> Public {
        let tls = trust::tls::anonymous_client_config(&self.root).unwrap();
        Public::new(&format!("https://{}", self.at().public), tls).unwrap()
    }

    pub(crate) fn http(&self, tls: rustls::ClientConfig) -> reqwest::Client {
        reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
    }

    pub(crate) fn http_of(&self, who: &Who) -> reqwest::Client {
        self.http(trust::tls::client_config(&self.root, who.chain.clone(), &who.key).unwrap())
    }

    pub(crate) async fn enrol(&self) -> String {
        let request =
            EnrolmentRequest { kind: Kind::SaasShared, tier: Tier::Free, provider: None, labels: vec![] };
        self.client(&self.operator()).enrolment_create(&request).await.unwrap().secret
    }

    /// An instance that is registered.
    pub(crate) async fn instance(&self) -> (InstanceId, Who) {
        let who = Who::fresh();
        let request = registration(&self.enrol().await, &who.key);
        let registered = self.client(&who).register(&request).await.unwrap();
        (registered.instance, certified(&who, &registered))
    }

    /// An instance that is active.
    pub(crate) async fn active(&self) -> (InstanceId, Who) {
        let (id, who) = self.instance().await;
        self.client(&who).ready(id).await.unwrap();
        (id, who)
    }

    /// The whole record is lawful (LG-3).
    pub(crate) async fn lawful(&self) {
        let root = KeySet::single(*self.founder.public_key());
        let mut verifier = ledger::Verifier::new(root, Some(DOMAIN.parse().unwrap()));
        let operator = self.client(&self.operator());
        loop {
            let page = operator.ledger_entries(verifier.size(), 500).await.unwrap();
            if page.entries.is_empty() {
                return;
            }
            for entry in page.entries {
                let bytes =
                    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, entry).unwrap();
                if let Err(breach) = verifier.push(&bytes) {
                    panic!("{breach}: {}", String::from_utf8_lossy(&bytes));
                }
            }
        }
    }

    /// Whether the revocation list names this certificate.
    pub(crate) async fn lists(&self, who: &Who) -> bool {
        let peer = trust::classify(&who.chain, &self.root, self.root.trust_domain(), now()).unwrap();
        let trust::Peer::Instance { serial, .. } = peer else { panic!("{peer:?}") };
        let digits = |at: usize| u8::from_str_radix(&serial[at..at + 2], 16).unwrap();
        let wanted: Vec<u8> = (0..serial.len()).step_by(2).map(digits).collect();
        let list = self.public().file("/crl.der", 1 << 20).await.unwrap().unwrap();
        list.windows(wanted.len()).any(|window| window == wanted)
    }

    /// Waits until it does: the list is 2 s old at most.
    pub(crate) async fn until_listed(&self, who: &Who) {
        let listed = async {
            while !self.lists(who).await {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), listed).await.unwrap();
    }

    pub(crate) async fn ledger_size(&self) -> u64 {
        self.client(&self.operator()).federation().await.unwrap().ledger
    }
}

pub(crate) fn certified(who: &Who, registered: &Registered) -> Who {
    Who { key: Arc::clone(&who.key), chain: trust::pem::certificates(&registered.certificate).unwrap() }
}

pub(crate) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

pub(crate) fn layers() -> Vec<LayerContent> {
    vec![LayerContent { id: "ORGANISM-v0.1.0".parse().unwrap(), digest: Digest::of(b"organism") }]
}

pub(crate) fn registration(secret: &str, key: &SigningKey) -> Register {
    Register {
        secret: secret.to_owned(),
        csr: trust::ca::make_csr(key).unwrap(),
        metadata: Metadata {
            platform: version("0.1.0"),
            runtime: version("0.1.0"),
            layers: layers(),
            domains: vec![],
            tier: Tier::Free,
            endpoint: "https://127.0.0.1:9999".parse().unwrap(),
        },
    }
}

/// A renewal under this peer's key.
pub(crate) fn renewal(next: &Who, chain_head: Option<Digest>) -> Renew {
    let key = InstanceKey::from_bytes(*next.key.public_key().as_bytes());
    Renew { csr: trust::ca::make_csr(&next.key).unwrap(), key, chain_head, pending: None }
}

pub(crate) fn statement(id: InstanceId, key: &SigningKey, sequence: u64, previous: Option<Digest>) -> Jws {
    let statement = VersionStatement {
        instance: id,
        sequence,
        previous,
        at: now(),
        platform: version("0.1.0"),
        runtime: version("0.1.0"),
        layers: layers(),
        domains: vec![],
    };
    Jws::sign_json(Typ::Statement, &statement, key).unwrap()
}

/// A request that may be wrong in any way.
pub(crate) struct Raw {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    pub(crate) sent_body: Option<Vec<u8>>,
    pub(crate) created: Timestamp,
    pub(crate) nonce: [u8; 16],
    pub(crate) media: &'static str,
    pub(crate) signer: Option<Arc<SigningKey>>,
    pub(crate) authority: Option<String>,
}

impl Raw {
    pub(crate) fn new(method: Method, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method,
            path: path.into(),
            body: body.into(),
            sent_body: None,
            created: now(),
            nonce: trust::random().unwrap(),
            media: "application/json",
            signer: None,
            authority: None,
        }
    }

    pub(crate) fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new(Method::POST, path, body)
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, "")
    }

    pub(crate) fn fields(&self, world: &World, who: &Who) -> Vec<(HeaderName, HeaderValue)> {
        let authority = self.authority.clone().unwrap_or_else(|| world.at().instances.to_string());
        let target = Target { method: self.method.clone(), authority, path_and_query: self.path.clone() };
        let signer = self.signer.as_ref().unwrap_or(&who.key);
        sign_request(&target, &self.body, self.created, self.nonce, &**signer).unwrap().into()
    }

    pub(crate) async fn send(&self, world: &World, who: &Who) -> Answered {
        self.send_with(world, who, self.fields(world, who).into_iter().collect()).await
    }

    pub(crate) async fn send_with(&self, world: &World, who: &Who, fields: HeaderMap) -> Answered {
        let url = format!("https://{}{}", world.at().instances, self.path);
        let body = self.sent_body.clone().unwrap_or_else(|| self.body.clone());
        let request = world.http_of(who).request(self.method.clone(), url).headers(fields);
        let response = request.header("content-type", self.media).body(body).send().await.unwrap();
        Answered::read(response).await
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    pub(crate) async fn read(mut response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = match headers.get("content-type").is_some_and(|media| media == wire::events::MEDIA) {
            // It has no end: what it begins with is enough.
            true => response.chunk().await.unwrap().unwrap_or_default(),
            false => response.bytes().await.unwrap(),
        };
        Self { status, headers, body: body.to_vec() }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// That it is a refusal of this status and code, in the form of one.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Problem {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers["content-type"], server::PROBLEM_JSON);
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.code, code, "{problem:?}");
        assert_eq!(problem.status, status);
        assert!(!problem.detail.is_empty() && problem.reasons.iter().all(|reason| !reason.hint.is_empty()));
        problem
    }

    #[track_caller]
    pub(crate) fn accepted(&self) {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
    }
}

/// That a call was refused with this status and code.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(
    result: Result<T, ClientError>,
    status: u16,
    code: &str,
) -> Problem {
    let error = result.unwrap_err();
    let problem = error.problem().unwrap_or_else(|| panic!("{error}")).clone();
    assert_eq!((problem.status, problem.code.as_str()), (status, code), "{problem:?}");
    assert!(error.hint().is_some(), "{problem:?}");
    problem
}

pub(crate) fn bytes_of(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}
