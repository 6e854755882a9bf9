//! A plane for the agent to talk to: real keys, real TLS, a real TUF repository, and no judgement of its own.

mod instance;
pub mod ledger;

pub use instance::{HEALTH, Instance, any_server};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use client::{Source, SystemSource};
use governance::release::RollbackInstructions;
use governance::{
    Class, Constitution, ConstitutionDocument, Digest, InstanceId, LayerStructure, Package, Release, Span,
    State as InstanceState, Timestamp, TrustDomain, Version, VersionRange,
};
use listener::{Connection, Limits};
use proof::challenge::{LedgerSeen, Nonce};
use proof::{
    Directive, Jws, KeySet, KeysDocument, Offer, OfferAction, OnlineKey, Purpose, SeedKey, Sign, Typ,
    VersionStatement,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::ca::ServerHost;
use trust::request::{Target, read_request};
use trust::tuf::draft::{root_first, targets_first, targets_next};
use trust::tuf::{Lifetimes, Repository, RootPlan, TargetsChange};
use trust::{Issuer, Peer, RootCa, SigningKey, Validity, classify};
use wire::{
    ChallengeAnswer, CheckIn, CheckedIn, Mark, ModuleCall, Problem, Register, Registered, Renew, Renewed,
    Report, Retry, Rollback, Standing, Token, UpgradeBegin, UpgradeFinish, UpgradeOutcome,
};

pub const DOMAIN: &str = "fed.example";
/// The number of the ledger's key.
pub const LEDGER: u8 = 16;
pub const LAYER_DIGEST: &[u8] = b"layer";

pub fn now() -> Timestamp {
    SystemSource.now()
}

pub fn version(patch: u32) -> Version {
    Version::new(0, 1, patch)
}

fn later(hours: i64) -> Timestamp {
    now() + Span::hours(hours)
}

fn validity() -> Validity {
    Validity { not_before: now() - Span::hours(1), not_after: later(24) }
}

fn seed(n: u8) -> SeedKey {
    SeedKey::new([n; 32])
}

/// What the plane knows and was told.
pub struct Book {
    pub instance: Option<InstanceId>,
    pub key: Option<proof::PublicKey>,
    /// The key before an enrolment afresh, which is not to come again.
    pub key_before: Option<proof::PublicKey>,
    pub secret: String,
    pub state: InstanceState,
    pub serial: u64,
    pub offer: Option<Offer>,
    pub head: Option<(u64, Digest)>,
    pub platform: Option<Version>,
    pub log: Vec<String>,
    pub renewals: u32,
    /// A challenge that waits for an answer.
    pub challenge: Option<Nonce>,
    /// What the last answer said of the ledger.
    pub seen: Option<LedgerSeen>,
    /// Whether whoever asks for the checkpoint gets no answer.
    pub stalls_checkpoint: bool,
    /// Whether the plane is from before there was anything of the ledger in an answer.
    pub reads_no_ledger: bool,
    pub handshake_required: bool,
    /// Whether every call is answered 503, and every file.
    pub down: bool,
    /// Whether no certificate issued so far counts any more, but to renew.
    pub expired: bool,
    /// The plane goes down as soon as an upgrade began, and certificates run out meanwhile.
    pub falls_at_begin: bool,
    /// The answer to the next report is lost and certificates run out; whether the statement came on record.
    pub loses_report: Option<bool>,
    pub check_ins: u32,
    /// Whether it answers in short where it may, and how often it did.
    pub is_short: bool,
    pub unchanged: u32,
    /// Between two check-ins, as the plane tells.
    pub interval_ms: u64,
    /// What those who listen are told; none: this plane knows no streams.
    pub news: Option<tokio::sync::broadcast::Sender<wire::Look>>,
    /// Streams opened so far.
    pub streams: u32,
    /// Whether no wish to go back is granted.
    pub forbids_rollback: bool,
    /// What was published.
    pub packages: BTreeMap<Version, Package>,
    /// Whose directives these are.
    pub directives: u8,
    /// What becomes of each directive before it is signed.
    pub forges: Option<fn(&mut Directive)>,
    /// Certificates live this long before renewal.
    pub renew_after: Span,
    issuer: Issuer,
}

pub struct Plane {
    pub folder: PathBuf,
    pub book: Mutex<Book>,
    pub root_ca: RootCa,
    pub root: Issuer,
    repository: Repository,
    pub main: SocketAddr,
    pub public: SocketAddr,
    pub stop: CancellationToken,
}

impl Plane {
    pub async fn start(folder: &Path) -> Arc<Self> {
        let domain: TrustDomain = DOMAIN.parse().unwrap();
        let root = Issuer::make_root(SigningKey::generate().unwrap(), &domain, validity()).unwrap();
        let root_ca = RootCa::from_pem(&root.certificate_pem()).unwrap();
        let ca_key = SigningKey::generate().unwrap();
        let ca = root.issue_instance_ca(ca_key.public_key(), validity()).unwrap();
        let issuer = Issuer::instances(&ca.to_pem(), ca_key, &root_ca).unwrap();
        let server_key = SigningKey::generate().unwrap();
        let hosts = [ServerHost::from("localhost"), ServerHost::from("127.0.0.1")];
        let name = "main".parse().unwrap();
        let server = root.issue_server(&name, &hosts, server_key.public_key(), validity()).unwrap();
        let founder = KeySet::single(*seed(1).public_key());
        std::fs::write(folder.join("founder.json"), serde_json::to_vec(&founder).unwrap()).unwrap();
        let repository = repository(folder, &founder);
        let main = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let book = Book {
            instance: None,
            key: None,
            key_before: None,
            secret: "secret".to_owned(),
            state: InstanceState::Registered,
            serial: 1,
            offer: None,
            head: None,
            platform: None,
            log: Vec::new(),
            renewals: 0,
            challenge: None,
            seen: None,
            stalls_checkpoint: false,
            reads_no_ledger: false,
            handshake_required: false,
            down: false,
            expired: false,
            falls_at_begin: false,
            loses_report: None,
            check_ins: 0,
            is_short: false,
            unchanged: 0,
            interval_ms: 200,
            news: None,
            streams: 0,
            forbids_rollback: false,
            packages: BTreeMap::new(),
            directives: 5,
            forges: None,
            renew_after: Span::hours(12),
            issuer,
        };
        let plane = Arc::new(Self {
            folder: folder.to_path_buf(),
            book: Mutex::new(book),
            root_ca,
            root,
            repository,
            main: main.local_addr().unwrap(),
            public: public.local_addr().unwrap(),
            stop: CancellationToken::new(),
        });
        plane.publish_keys(1, &[5]);
        let (log, head) = ledger::log(3, 3);
        plane.publish_ledger(&log, head);
        let tls = trust::tls::server_config(server.chain.clone(), &server_key).unwrap();
        let public_tls = trust::tls::public_server_config(server.chain, &server_key).unwrap();
        let api = Router::new().fallback(api).with_state(Arc::clone(&plane));
        let files = Router::new().fallback(file).with_state(Arc::clone(&plane));
        let limits = Limits::default();
        tokio::spawn(listener::serve(main, Some(Arc::new(tls)), api, limits, plane.stop.clone()));
        tokio::spawn(listener::serve(public, Some(Arc::new(public_tls)), files, limits, plane.stop.clone()));
        plane
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// The Founder signs a keys document that names these for directives, and the plane publishes it.
    pub fn publish_keys(&self, serial: u64, directives: &[u8]) {
        std::fs::write(self.folder.join("keys.json"), self.keys_document(serial, directives).to_json())
            .unwrap();
    }

    /// The Founder signs a constitution with this `health.stable_for`, and the plane publishes it.
    pub fn publish_constitution(&self, health_stable_for: Span) {
        let parameters = Constitution { health_stable_for, ..Constitution::default() };
        let document = ConstitutionDocument { previous: None, effective: now() - Span::hours(1), parameters };
        let document = Jws::sign_json(Typ::Constitution, &document, &seed(1)).unwrap();
        std::fs::write(self.folder.join("constitution.json"), document.to_json()).unwrap();
    }

    /// The Organism signs security floors and the plane publishes them; none: the target is gone.
    pub fn publish_floors(&self, floors: &[Version]) {
        let mut change = TargetsChange { put: BTreeMap::new(), remove: vec!["floor.json".to_owned()] };
        if !floors.is_empty() {
            let bytes = serde_json::to_vec(&serde_json::json!({ "floors": floors })).unwrap();
            let file = self.repository.target_put("floor.json", &mut &*bytes, 1 << 20).unwrap();
            change = TargetsChange { put: [("floor.json".to_owned(), file)].into(), remove: Vec::new() };
        }
        let bytes = self.repository.targets_bytes().unwrap().unwrap();
        let mut draft = targets_next(&bytes, change, later(24)).unwrap();
        draft.sign(&seed(2)).unwrap();
        self.repository.publish(&draft.to_bytes().unwrap(), now()).unwrap();
    }

    /// The same with another key for the ledger.
    pub fn publish_ledger_key(&self, serial: u64, key: u8) {
        let mut document: KeysDocument = self.keys_document(serial, &[5]).parse_unverified().unwrap();
        let named = document.online.iter_mut().filter(|named| named.purpose == Purpose::Ledger);
        named.for_each(|named| named.key = *seed(key).public_key());
        let signed = Jws::sign_json(Typ::Keys, &document, &seed(1)).unwrap();
        std::fs::write(self.folder.join("keys.json"), signed.to_json()).unwrap();
    }

    fn keys_document(&self, serial: u64, directives: &[u8]) -> Jws {
        let founder = KeySet::single(*seed(1).public_key());
        let online = |purpose, n| OnlineKey {
            purpose,
            key: *seed(n).public_key(),
            not_before: now() - Span::hours(1),
            not_after: later(24),
        };
        let document = KeysDocument {
            serial,
            trust_domain: DOMAIN.parse().unwrap(),
            issued: now(),
            founder,
            organism: KeySet::single(*seed(2).public_key()),
            online: [(Purpose::Snapshot, 3), (Purpose::Timestamp, 4), (Purpose::Ledger, LEDGER)]
                .map(|(purpose, n)| online(purpose, n))
                .into_iter()
                .chain(directives.iter().map(|n| online(Purpose::Directives, *n)))
                .collect(),
            root_ca: self.root_ca.to_pem(),
            ledger_origin: format!("{DOMAIN}/ledger"),
        };
        Jws::sign_json(Typ::Keys, &document, &seed(1)).unwrap()
    }

    /// The Organism signs a release and the plane publishes it.
    pub fn publish(&self, patch: u32, bytes: &[u8]) -> Package {
        let name = format!("package-{}", version(patch));
        let package = Package { name: name.clone(), digest: Digest::of(bytes), length: bytes.len() as u64 };
        let release = Release {
            version: version(patch),
            class: Class::Minor,
            advisory: None,
            package: package.clone(),
            layers: vec![LayerStructure {
                id: format!("TIS-A-v{}", version(patch)).parse().unwrap(),
                digest: Digest::of(LAYER_DIGEST),
                needs: Vec::new(),
            }],
            ships_runtime: None,
            runtime: VersionRange { min: version(0), max: Version::new(0, 2, 0) },
            from: None,
            rollback: Some(RollbackInstructions { instructions: "go back".to_owned() }),
            migration: None,
            floor: None,
            deprecations: Vec::new(),
            removes: Vec::new(),
            notes: String::new(),
        };
        let manifest = Jws::sign_json(Typ::Release, &release, &seed(2)).unwrap().to_json();
        let manifest_name = format!("release-{}.json", version(patch));
        let mut put = BTreeMap::new();
        for (name, bytes) in [(name, bytes), (manifest_name, manifest.as_bytes())] {
            let file = self.repository.target_put(&name, &mut &*bytes, 1 << 20).unwrap();
            put.insert(name, file);
        }
        let change = TargetsChange { put, remove: Vec::new() };
        let mut draft = match self.repository.targets_bytes().unwrap() {
            Some(bytes) => targets_next(&bytes, change, later(24)).unwrap(),
            None => targets_first(change, later(24)).unwrap(),
        };
        draft.sign(&seed(2)).unwrap();
        self.repository.publish(&draft.to_bytes().unwrap(), now()).unwrap();
        self.book().packages.insert(version(patch), package.clone());
        package
    }

    /// Offers a release from now on.
    pub fn offer(&self, patch: u32, action: OfferAction, package: Package) {
        self.offer_due(patch, action, package, None);
    }

    /// Offers a release from now on, with a deadline.
    pub fn offer_due(&self, patch: u32, action: OfferAction, package: Package, deadline: Option<Timestamp>) {
        offer(&mut self.book(), version(patch), action, package, deadline);
    }

    /// Waits until the log has an entry that contains `text`.
    pub async fn heard(&self, text: &str) {
        self.until(text, |book| book.log.iter().any(|line| line.contains(text))).await;
    }

    /// Waits until it is so.
    pub async fn until(&self, what: &str, so: impl Fn(&Book) -> bool) {
        for _ in 0..600 {
            if so(&self.book()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not so: {what}: {:#?}", self.book().log);
    }

    /// Waits until the agent has called this often from now on.
    pub async fn rounds(&self, count: u32) {
        let before = self.book().check_ins;
        self.until("it checks in", |book| book.check_ins >= before + count).await;
    }
}

fn offer(
    book: &mut Book,
    release: Version,
    action: OfferAction,
    package: Package,
    deadline: Option<Timestamp>,
) {
    book.serial += 1;
    book.state = InstanceState::UpdatePending;
    book.offer = Some(Offer { release, action, rollout: None, phase: None, package, deadline });
}

fn repository(folder: &Path, founder: &KeySet) -> Repository {
    let tuf = folder.join("tuf");
    let repository =
        Repository::open(&tuf, Box::new(seed(3)), Box::new(seed(4)), Lifetimes::default()).unwrap();
    let organism = KeySet::single(*seed(2).public_key());
    let plan = RootPlan {
        founder,
        organism: &organism,
        snapshot: &[*seed(3).public_key()],
        timestamp: &[*seed(4).public_key()],
    };
    let mut root = root_first(&plan, later(24 * 365)).unwrap();
    root.sign(&seed(1)).unwrap();
    repository.root_publish(&root.to_bytes().unwrap()).unwrap();
    repository
}

async fn file(State(plane): State<Arc<Plane>>, request: Request) -> Response {
    if plane.book().down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if plane.book().stalls_checkpoint && request.uri().path() == "/checkpoint" {
        return std::future::pending().await;
    }
    let path = plane.folder.join(request.uri().path().trim_start_matches('/'));
    std::fs::read(path).map_or(StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}

type Answer = Result<Response, Problem>;

async fn api(
    State(plane): State<Arc<Plane>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(Body::new(body), 1 << 20).await.unwrap();
    let target = Target::received(&head.method, &head.uri, &head.headers).unwrap();
    let signed = read_request(&target, &head.headers, body.to_vec()).unwrap();
    let domain = DOMAIN.parse().unwrap();
    let peer = classify(&connection.certificates, &plane.root_ca, &domain, now()).unwrap();
    signed.verify(peer.key()).unwrap();
    match answer(&plane, &peer, &head.method, head.uri.path(), &body) {
        Ok(response) => response,
        Err(problem) => (StatusCode::from_u16(problem.status).unwrap(), Json(problem)).into_response(),
    }
}

fn refuse(status: u16, code: &str) -> Problem {
    Problem::new(status, code, "X-1", code, "nothing to be done")
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|_| refuse(400, "malformed"))
}

fn answer(plane: &Plane, peer: &Peer, method: &Method, path: &str, body: &[u8]) -> Answer {
    let mut book = plane.book();
    if book.down {
        return Err(refuse(503, "unavailable"));
    }
    if path == "/v1/register" {
        return register(plane, &mut book, peer, &parse(body)?);
    }
    let Peer::Instance { id, key, .. } = peer else { return Err(refuse(403, "not-registered")) };
    let call = path.strip_prefix(&format!("/v1/instances/{id}/")).unwrap();
    let expected = if call == "events" { Method::GET } else { Method::POST };
    assert_eq!((book.instance, method), (Some(*id), &expected));
    if book.expired && call != "renew" {
        return Err(refuse(401, "certificate-expired"));
    }
    match call {
        "renew" => {
            let renew: Renew = parse(body)?;
            let head = book.head.map(|(_, digest)| digest);
            if renew.chain_head != head && (renew.pending.is_none() || renew.pending != head) {
                book.log.push("chain broken".to_owned());
                return Err(refuse(409, "version-chain-broken"));
            }
            assert_eq!(renew.key.as_bytes(), trust::ca::read_csr(&renew.csr).unwrap().as_bytes());
            assert_eq!(renew.key.as_bytes(), key.as_bytes());
            (book.handshake_required, book.expired) = (false, false);
            book.renewals += 1;
            book.renew_after = Span::hours(12);
            let certificate = book.issuer.issue_instance(*id, key, validity()).unwrap().to_pem();
            return Ok(Json(Renewed { certificate, renew_at: now() + book.renew_after }).into_response());
        }
        "ready" => {
            book.state = InstanceState::Active;
            book.log.push("ready".to_owned());
        }
        "report" => {
            let lost = book.loses_report.take();
            if lost != Some(false) {
                report(&mut book, *id, key, &parse::<Report>(body)?.statement)?;
            }
            if lost.is_some() {
                book.expired = true;
                return Err(refuse(503, "unavailable"));
            }
        }
        "check-in" => {
            book.check_ins += 1;
            let CheckIn { have } = parse(body)?;
            if let Some(unchanged) = have.filter(|have| book.is_short && *have == mark(&book)) {
                book.unchanged += 1;
                return Ok(Json(CheckedIn::Unchanged { unchanged, interval_ms: 100 }).into_response());
            }
        }
        "events" => {
            let news = book.news.as_ref().map(tokio::sync::broadcast::Sender::subscribe);
            let news = news.ok_or_else(|| refuse(404, "not-found"))?;
            book.streams += 1;
            return Ok(stream(news));
        }
        "upgrade/begin" => begin(&mut book, &parse(body)?)?,
        "upgrade/finish" => finish(&mut book, *id, key, &parse(body)?)?,
        "answer" => {
            let ChallengeAnswer { answer } = parse(body)?;
            let nonce = book.challenge.take().unwrap();
            let answer = proof::Answer::open(&answer, (*id, &[*key]), &nonce, now(), Span::hours(1)).unwrap();
            if book.reads_no_ledger && answer.ledger.is_some() {
                book.challenge = Some(nonce);
                book.log.push("an answer that it cannot read".to_owned());
                return Err(refuse(400, "challenge-unanswered"));
            }
            book.seen.clone_from(&answer.ledger);
            let said = answer.said(&[], &[*key]).unwrap().map(|said| (said.head.sequence, said.head.digest));
            assert_eq!(said, book.head);
            book.log.push("answered".to_owned());
        }
        "entitlement" => return Ok(Json(token("entitlement")).into_response()),
        "modules/activate" => {
            let ModuleCall { domain } = parse(body)?;
            return Ok(Json(token(domain.as_str())).into_response());
        }
        "retry" => {
            let Retry { release } = parse(body)?;
            book.log.push(format!("retry {release}"));
        }
        "rollback" => {
            let Rollback { release } = parse(body)?;
            let package = book.packages.get(&release).filter(|_| !book.forbids_rollback).cloned();
            let package = package.ok_or_else(|| refuse(409, "rollback-window-closed"))?;
            offer(&mut book, release, OfferAction::Rollback, package, None);
            book.log.push(format!("wishes {release}"));
        }
        other => panic!("{other}"),
    }
    Ok(standing(&book).into_response())
}

/// A stream of news: what is sent while it is open, until nobody can send any more.
fn stream(news: tokio::sync::broadcast::Receiver<wire::Look>) -> Response {
    let pieces = futures_util::stream::unfold(news, |mut news| async move {
        let look = news.recv().await.ok()?;
        Some((Ok::<_, std::convert::Infallible>(look.to_event()), news))
    });
    ([("content-type", wire::events::MEDIA)], Body::from_stream(pieces)).into_response()
}

fn token(of: &str) -> Token {
    Token { token: format!("token.of.{of}"), expires: later(24), renew_at: later(12) }
}

fn register(plane: &Plane, book: &mut Book, peer: &Peer, body: &Register) -> Answer {
    let Peer::SelfSigned { key } = peer else { return Err(refuse(400, "malformed")) };
    let requested = trust::ca::read_csr(&body.csr).unwrap();
    if requested != *key || body.secret != book.secret || book.key.is_some_and(|known| known != *key) {
        return Err(refuse(403, "enrolment-used"));
    }
    if book.key_before == Some(*key) {
        return Err(refuse(409, "key-not-new"));
    }
    let id = *book.instance.get_or_insert_with(|| InstanceId::from_random(trust::random().unwrap()));
    book.key = Some(*key);
    book.log.push(format!("registered {}", body.metadata.endpoint));
    let certificate = book.issuer.issue_instance(id, key, validity()).unwrap().to_pem();
    let registered = Registered {
        instance: id,
        certificate,
        bundle: plane.root_ca.to_pem(),
        renew_at: now() + book.renew_after,
        interval_ms: book.interval_ms,
        keys: plane.keys_document(1, &[book.directives]),
    };
    Ok(Json(registered).into_response())
}

/// ID-4: the next of the chain, or the last one once more.
fn report(book: &mut Book, id: InstanceId, key: &proof::PublicKey, document: &Jws) -> Result<(), Problem> {
    let (statement, digest) = VersionStatement::open(document, id, key).unwrap();
    if book.head == Some((statement.sequence, digest)) {
        return Ok(());
    }
    if !statement.follows(book.head) {
        book.log.push("chain broken".to_owned());
        return Err(refuse(409, "version-chain-broken"));
    }
    book.head = Some((statement.sequence, digest));
    book.platform = Some(statement.platform);
    book.log.push(format!("runs {}", statement.platform));
    Ok(())
}

fn begin(book: &mut Book, body: &UpgradeBegin) -> Result<(), Problem> {
    let offered = book.offer.as_ref().map(|offer| offer.release) == Some(body.release);
    match book.state {
        InstanceState::UpdatePending if offered && body.directive_serial == book.serial => {
            book.state = InstanceState::UpgradeInProgress;
            book.log.push(format!("begin {}", body.release));
            if std::mem::take(&mut book.falls_at_begin) {
                (book.down, book.expired) = (true, true);
            }
            Ok(())
        }
        InstanceState::UpgradeInProgress if offered => Ok(()),
        _ => Err(refuse(409, "not-offered")),
    }
}

fn finish(
    book: &mut Book,
    id: InstanceId,
    key: &proof::PublicKey,
    body: &UpgradeFinish,
) -> Result<(), Problem> {
    if book.state != InstanceState::UpgradeInProgress {
        return Err(refuse(409, "illegal-transition"));
    }
    if body.outcome == UpgradeOutcome::Succeeded {
        report(book, id, key, body.statement.as_ref().unwrap())?;
        assert_eq!(book.platform, Some(body.release));
        book.log.push(format!("succeeded {}", body.release));
    } else {
        book.log.push(format!("failed {}: {}", body.release, body.reason.as_deref().unwrap_or_default()));
    }
    book.state = InstanceState::Active;
    book.offer = None;
    book.serial += 1;
    Ok(())
}

fn mark(book: &Book) -> Mark {
    Mark::new(book.serial, None)
}

fn standing(book: &Book) -> Json<Standing> {
    let mut directive = Directive {
        instance: book.instance.unwrap(),
        serial: book.serial,
        at: now(),
        expires: later(1),
        state: book.state,
        offer: book.offer.clone(),
    };
    book.forges.into_iter().for_each(|forge| forge(&mut directive));
    let directive = Jws::sign_json(Typ::Directive, &directive, &seed(book.directives)).unwrap();
    Json(Standing {
        state: book.state,
        since: now(),
        findings: Vec::new(),
        warnings: Vec::new(),
        notices: Vec::new(),
        handshake_required: book.handshake_required,
        directive,
        challenge: book.challenge.clone(),
        mark: mark(book),
        interval_ms: book.interval_ms,
    })
}
