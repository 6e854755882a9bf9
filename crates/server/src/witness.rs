//! A witness of ledgers (C2SP tlog-witness): cosigns what goes on from what it cosigned before, and nothing else (LG-2).
//!
//! Never lets a cosignature go before the head that it is over is on the disk; never forgets a head, whatever it is asked;
//! keeps what a log's own key signed against it. Whom it answers it does not ask: the log's signature says who speaks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use governance::{Digest, Span, Timestamp, TrustDomain};
use ledger::note::NoteSignature;
use ledger::witness::{AddCheckpoint, REQUEST_BYTES_MAX, Refusal, SIZE_TYPE, Suspicion};
use ledger::{KeyName, NoteKey, SignedCheckpoint, TreeHead, WitnessKey};
use plane::Clock;
use plane::publication::Files as _;
use proof::Sign as _;
use store::Folder;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trust::{Signer, SigningKey};

use crate::load::StartError;
use crate::start::lock;

/// Requests judged at once; further ones are told to come again.
const JUDGED_AT_ONCE: usize = 16;
/// From the header of a request to the end of its body.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// How long it is believed that there is no other key, once somebody looked.
const LOOKED_WITHIN: Span = Span::from_millis(10_000);
/// Pieces of evidence kept of each kind: what is more is told in the log alone.
const EVIDENCE_MAX: usize = 1_000;
const TEXT: &str = "text/plain; charset=utf-8";

/// A witness: its key, and what it has cosigned of each log.
pub struct Witness {
    key: WitnessKey,
    signer: Signer,
    clock: Arc<dyn Clock>,
    folder: Folder,
    path: PathBuf,
    logs: Mutex<BTreeMap<KeyName, Arc<Mutex<Log>>>>,
    news: News,
    /// Evidence that could not be kept, and was told.
    unkept: Mutex<BTreeSet<String>>,
    /// Held while the witness runs; the system lets go of it whatever happens.
    _lock: File,
}

/// What is known of who signs which log, where somebody looks for that.
#[derive(Default)]
struct News {
    /// Whose keys are looked for, by the name that they are followed under.
    followed: Mutex<BTreeMap<String, Followed>>,
    /// Told whenever a key or a log was asked for that is not known.
    wanted: watch::Sender<()>,
}

/// A federation whose keys are looked for.
struct Followed {
    /// Whose logs it may name; none, before anything is known of it.
    domain: Option<TrustDomain>,
    looked: Timestamp,
}

/// A log, held by one request at a time: look, judge, store and cosign are one step.
struct Log {
    keys: Vec<NoteKey>,
    /// What was cosigned last.
    last: Option<SignedCheckpoint>,
}

impl Log {
    fn head(&self) -> TreeHead {
        self.last.as_ref().map_or(TreeHead::EMPTY, |last| *last.unverified().head())
    }
}

/// Why there is no cosignature.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The protocol's own answer.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk, the key or the clock failed; nothing was cosigned.
    #[error("{0}")]
    Unavailable(String),
}

impl Witness {
    /// A witness with this name and key, whose memory is in a folder: one witness a folder.
    ///
    /// # Errors
    /// When the folder cannot be used, another witness runs on it, or the key is none for a witness.
    pub fn open(
        path: &Path,
        name: KeyName,
        signer: Signer,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let file = |source| StartError::File { path: path.to_path_buf(), source };
        fs::create_dir_all(path).map_err(file)?;
        let lock = lock(&path.join("lock"))?;
        let folder = Folder::open(path).map_err(file)?;
        let key = WitnessKey::new(name, signer.public_key().as_bytes())
            .map_err(|error| StartError::Document { path: path.to_path_buf(), why: error.to_string() })?;
        let (logs, path) = (Mutex::default(), path.to_path_buf());
        Ok(Self {
            key,
            signer,
            clock,
            folder,
            path,
            logs,
            news: News::default(),
            unkept: Mutex::default(),
            _lock: lock,
        })
    }

    /// The key that its cosignatures verify with.
    pub const fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Which logs it cosigns, and what it cosigned of each last.
    pub fn heads(&self) -> Vec<(KeyName, TreeHead)> {
        let logs = held(&self.logs).clone();
        logs.into_iter().map(|(origin, log)| (origin, held(&log).head())).collect()
    }

    /// Says that somebody looks for the keys of a federation, under a name of his own for it: before he has looked again, no
    /// unknown key or log of it is refused, for it may have taken another key just now. It is told to come again. Of which
    /// trust domain it is may not be known yet: then every log that nobody else names may be its log.
    pub fn follow(&self, name: &str, domain: Option<&TrustDomain>) {
        let followed = Followed { domain: domain.cloned(), looked: Timestamp::from_millis(0) };
        held(&self.news.followed).insert(name.to_owned(), followed);
    }

    /// Says that all keys of this federation are known that there are at this moment.
    pub fn looked(&self, name: &str, domain: &TrustDomain) {
        let followed = Followed { domain: Some(domain.clone()), looked: self.clock.now() };
        held(&self.news.followed).insert(name.to_owned(), followed);
    }

    /// Changes when a key or a log was asked for that is not known.
    #[must_use]
    pub fn wanted(&self) -> watch::Receiver<()> {
        self.news.wanted.subscribe()
    }

    /// Whether it is not known well enough that a key or a log is none: then somebody is to look.
    fn is_news(&self, refusal: &Refusal) -> bool {
        let (origin, may_be_new) = match refusal {
            Refusal::UnknownOrigin(origin) => (origin, true),
            Refusal::Unsigned { origin, .. } => (origin, false),
            _ => return false,
        };
        let followed = held(&self.news.followed);
        let its = |one: &&Followed| one.domain.as_ref().is_some_and(|domain| is_of(origin, domain));
        let mut owners = followed.values().filter(its).peekable();
        let old = |one: &Followed| self.clock.now().since(one.looked) > LOOKED_WITHIN;
        let news = if owners.peek().is_some() {
            owners.any(old)
        } else {
            may_be_new && followed.values().any(|one| one.domain.is_none())
        };
        if news {
            self.news.wanted.send_replace(());
        }
        news
    }

    /// Cosigns the log of this name while one of these keys signs it; takes up what it cosigned before. Keys that it had
    /// before and that are not among them count no more.
    ///
    /// # Errors
    /// When what is remembered of the log cannot be read: from nothing it would cosign any history.
    pub fn witness(&self, origin: &KeyName, keys: Vec<NoteKey>) -> Result<(), StartError> {
        let mut logs = held(&self.logs);
        if let Some(log) = logs.get(origin) {
            held(log).keys = keys;
            return Ok(());
        }
        let path = head_path(origin);
        let stored = self.folder.read(&path);
        let stored = stored.map_err(|source| StartError::File { path: self.path.join(&path), source })?;
        let document = |why: String| StartError::Document { path: self.path.join(&path), why };
        let read = |bytes: Vec<u8>| {
            let last = SignedCheckpoint::parse(&bytes).map_err(|error| document(error.to_string()))?;
            if last.unverified().origin() == origin {
                return Ok(last);
            }
            Err(document(format!("it is of {}, not of {origin}", last.unverified().origin())))
        };
        let last = stored.map(read).transpose()?;
        logs.insert(origin.clone(), Arc::new(Mutex::new(Log { keys, last })));
        Ok(())
    }

    /// Judges a request, remembers the head, and cosigns it. Blocks.
    ///
    /// # Errors
    /// The refusal; what speaks against the log is kept.
    pub fn add(&self, bytes: &[u8]) -> Result<NoteSignature, WitnessError> {
        self.judge(bytes).map_err(|error| match error {
            WitnessError::Refused(refusal) if self.is_news(&refusal) => {
                WitnessError::Unavailable(format!("{refusal}; newer keys are looked for first"))
            }
            error => error,
        })
    }

    fn judge(&self, bytes: &[u8]) -> Result<NoteSignature, WitnessError> {
        let request = AddCheckpoint::parse(bytes).map_err(Refusal::from)?;
        let origin = request.checkpoint().unverified().origin();
        let log = held(&self.logs).get(origin).cloned();
        let log = log.ok_or_else(|| Refusal::UnknownOrigin(origin.clone()))?;
        let mut log = held(&log);
        let known = log.head();
        let checkpoint = match request.judge(&known, &log.keys) {
            Ok(checkpoint) => checkpoint,
            Err(refusal) => {
                let (keys, last) = (log.keys.clone(), log.last.clone());
                // The log's own questions do not wait until evidence is on the disk.
                drop(log);
                self.suspect(&refusal, &request, &keys, last.as_ref());
                return Err(refusal.into());
            }
        };
        let unavailable = |error: &dyn std::fmt::Display| WitnessError::Unavailable(error.to_string());
        let time = u64::try_from(self.clock.now().as_seconds()).map_err(|error| unavailable(&error))?;
        let sign = |message: &[u8]| self.signer.sign(message);
        let line = self.key.cosign(checkpoint, time, sign).map_err(|error| unavailable(&error))?;
        if log.last.is_none() || known != *checkpoint.head() {
            let mut last = request.checkpoint().clone();
            // Behind so many signatures that there is no room for one more, the head is remembered all the same.
            let _ = last.attach(line.clone());
            let stored = self.folder.write(&head_path(origin), last.to_string().as_bytes());
            stored.map_err(|error| unavailable(&error))?;
            log.last = Some(last);
        }
        Ok(line)
    }

    /// Keeps what a log's own key signed against it, beside what was cosigned, and says so: as an error once.
    fn suspect(
        &self,
        refusal: &Refusal,
        request: &AddCheckpoint,
        keys: &[NoteKey],
        last: Option<&SignedCheckpoint>,
    ) {
        let Some(suspicion) = refusal.suspicion() else { return };
        // Without the signatures and the proof that came with it: anyone could fill the disk with those.
        let bare = keys.iter().find_map(|key| request.checkpoint().bare(key).ok());
        let Some(asked) = bare else { return };
        let (kind, why) = match suspicion {
            Suspicion::Forked => (
                "forked",
                "EVIDENCE: the log signed two histories; tell whoever relies on it, and its Founder",
            ),
            Suspicion::Unproved => {
                ("unproved", "the log's key signed what is not proved to go on from what was cosigned")
            }
        };
        let origin = asked.unverified().origin();
        let name = Digest::of(asked.unverified().to_string().as_bytes());
        let path = format!("evidence/{kind}/{name}.txt");
        let file = self.path.join(&path);
        let cosigned = last.map(ToString::to_string).unwrap_or_default();
        let text = format!("{refusal}\n\n=== cosigned ===\n{cosigned}\n=== asked ===\n{asked}");
        // One piece after the other: so many are kept, and each is told once.
        let mut unkept = held(&self.unkept);
        let kept = match self.folder.read(&path) {
            Ok(Some(_)) => {
                tracing::debug!(%origin, %refusal, file = %file.display(), "{why}, as before (LG-2)");
                return;
            }
            Ok(None) if self.kept(kind) >= EVIDENCE_MAX => {
                Err(std::io::Error::other("there is as much of it as is kept: move it away"))
            }
            Ok(None) => self.folder.write(&path, text.as_bytes()),
            Err(error) => Err(error),
        };
        match kept {
            Ok(()) => tracing::error!(%origin, %refusal, file = %file.display(), "{why} (LG-2)"),
            // What is not on the disk is told whole, as far as it is remembered that it was.
            Err(_) if unkept.contains(&path) => {}
            Err(error) => {
                if unkept.len() < EVIDENCE_MAX {
                    unkept.insert(path);
                }
                tracing::error!(%origin, %error, text, "EVIDENCE AGAINST THE LOG CANNOT BE KEPT (LG-2)");
            }
        }
    }

    /// Pieces of evidence of a kind.
    fn kept(&self, kind: &str) -> usize {
        fs::read_dir(self.path.join("evidence").join(kind)).map_or(0, Iterator::count)
    }
}

/// Whether a log may be named by the keys document of this trust domain.
fn is_of(origin: &KeyName, domain: &TrustDomain) -> bool {
    origin.as_str().strip_prefix(domain.as_str()).is_some_and(|rest| rest.starts_with('/'))
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the last checkpoint of a log is kept: its name may be any.
fn head_path(origin: &KeyName) -> String {
    format!("heads/{}", Digest::of(origin.as_str().as_bytes()))
}

/// A witness that listens. Dropping it does not stop it in order: call [`Serving::stop`].
pub struct Serving {
    address: SocketAddr,
    shutdown: CancellationToken,
    listener: JoinHandle<usize>,
}

impl Serving {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cancel it, and the witness comes to its end: [`Serving::join`] returns.
    #[must_use]
    pub fn shutdown_handle(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Asks it to end, and waits for that; gives how many connections were cut.
    pub async fn stop(self) -> usize {
        self.shutdown.cancel();
        self.join().await
    }

    /// Waits until it has ended; gives how many connections were cut.
    pub async fn join(self) -> usize {
        self.listener.await.unwrap_or(0)
    }
}

/// Serves the witness over TLS, under a certificate of its own: what it answers counts by its signature alone.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(witness: Arc<Witness>, address: SocketAddr) -> Result<Serving, StartError> {
    let key = SigningKey::generate().map_err(trust::SignerError::from)?;
    let tls = trust::tls::public_server_config(vec![trust::tls::self_signed(&key)?], &key)?;
    let fail = |source| StartError::Listen { listener: "witness", address, source };
    let socket = TcpListener::bind(address).await.map_err(fail)?;
    let address = socket.local_addr().map_err(fail)?;
    let shutdown = CancellationToken::new();
    let limits = listener::Limits { connections_max: 256, ..listener::Limits::small() };
    let (router, end) = (router(witness), shutdown.clone());
    let listener =
        tokio::spawn(
            async move { listener::serve(socket, Some(Arc::new(tls)), router, limits, end).await.cut },
        );
    Ok(Serving { address, shutdown, listener })
}

#[derive(Clone)]
struct Judging {
    witness: Arc<Witness>,
    places: Arc<Semaphore>,
}

fn router(witness: Arc<Witness>) -> Router {
    let judging = Judging { witness, places: Arc::new(Semaphore::new(JUDGED_AT_ONCE)) };
    Router::new().route("/add-checkpoint", post(add)).with_state(judging)
}

async fn add(State(judging): State<Judging>, request: Request) -> Response {
    let Ok(body) = tokio::time::timeout(BODY_WITHIN, read(request.into_body())).await else {
        return told(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n".to_owned());
    };
    let Some(body) = body else {
        return told(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long\n".to_owned());
    };
    let Ok(place) = Arc::clone(&judging.places).try_acquire_owned() else {
        let mut response = told(StatusCode::SERVICE_UNAVAILABLE, "busy\n".to_owned());
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    let judged = tokio::task::spawn_blocking(move || {
        let judged = judging.witness.add(&body);
        drop(place);
        judged
    });
    match judged.await {
        Ok(Ok(line)) => told(StatusCode::OK, format!("{line}\n")),
        Ok(Err(WitnessError::Refused(refusal))) => refused(&refusal),
        Ok(Err(WitnessError::Unavailable(error))) => failed(&error),
        Err(error) => failed(&error),
    }
}

async fn read(body: Body) -> Option<Vec<u8>> {
    to_bytes(body, REQUEST_BYTES_MAX).await.ok().map(Into::into)
}

fn refused(refusal: &Refusal) -> Response {
    tracing::info!(status = refusal.status(), %refusal, "not cosigned");
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = told(status, refusal.body());
    if matches!(refusal, Refusal::Elsewhere { .. }) {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SIZE_TYPE));
    }
    response
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "nothing can be cosigned");
    told(StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot cosign now\n".to_owned())
}

fn told(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(TEXT))], body).into_response()
}
