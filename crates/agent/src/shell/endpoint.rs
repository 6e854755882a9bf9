//! The instance's handshake endpoint (ID-2, HS-8): its metadata, and the compliance challenge.
//!
//! Read-only: nothing that is said here changes the instance (AU-3). Answers operators and the plane, nobody else.

use std::sync::{Arc, RwLock};

use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use client::{Source as _, SystemSource};
use governance::{InstanceId, PersonRole, Timestamp};
use listener::{Connection, Limits};
use proof::challenge::LedgerSeen;
use proof::{Answer, Challenge, Jws};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::{Peer, RootCa, SigningKey};
use wire::{Metadata, Problem};

use super::ShellError;

/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// What the endpoint shows; the agent's loop keeps it current.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Facts {
    pub(super) instance: Option<InstanceId>,
    #[serde(flatten)]
    pub(super) metadata: Metadata,
    /// The state as the plane last told.
    pub(super) state: Option<governance::State>,
    /// The release being installed, and how far it has come.
    pub(super) upgrade: Option<(governance::Version, &'static str)>,
    /// Whether the stream of news is open: `open`, `closed`, or `off` by the owner's will.
    pub(super) events: &'static str,
    /// The offer on the table that is not followed, and why.
    pub(super) refused: Option<Refused>,
    /// The highest security floor seen of each line (RL-9).
    pub(super) floors: Vec<governance::Version>,
    /// Since when a split view of the ledger waits for the owner (LG-2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) split_view: Option<Timestamp>,
    /// What was seen of the ledger.
    #[serde(skip)]
    pub(super) ledger: Option<LedgerSeen>,
    /// The last statement signed.
    #[serde(skip)]
    pub(super) statement: Option<Jws>,
    /// Whose operators and servers are answered.
    #[serde(skip)]
    pub(super) root_ca: RootCa,
}

/// An offer that is not followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refused {
    pub(super) release: governance::Version,
    pub(super) action: proof::OfferAction,
    pub(super) code: &'static str,
    pub(super) rule: &'static str,
    pub(super) detail: String,
}

/// The endpoint and the loop share this.
pub(super) struct Face {
    facts: RwLock<Facts>,
    own: RwLock<Own>,
}

/// Who the endpoint is: a certificate and the key it is over.
#[derive(Clone)]
struct Own {
    certificate: Arc<dyn ResolvesServerCert>,
    key: Arc<SigningKey>,
}

impl Face {
    pub(super) fn new(
        facts: Facts,
        key: &Arc<SigningKey>,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<Arc<Self>, ShellError> {
        Ok(Arc::new(Self { facts: RwLock::new(facts), own: RwLock::new(Own::new(chain, key)?) }))
    }

    /// Changes what is shown.
    pub(super) fn update(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts.write().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Shows another certificate from the next connection on.
    pub(super) fn certify(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: &Arc<SigningKey>,
    ) -> Result<(), ShellError> {
        let fresh = Own::new(chain, key)?;
        *self.own.write().unwrap_or_else(std::sync::PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn own(&self) -> Own {
        self.own.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn facts(&self) -> Facts {
        self.facts.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Face {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Face")
    }
}

impl ResolvesServerCert for Face {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.own().certificate.resolve(hello)
    }
}

impl Own {
    fn new(chain: Vec<CertificateDer<'static>>, key: &Arc<SigningKey>) -> Result<Self, ShellError> {
        let tls =
            trust::tls::server_config(chain, key).map_err(|error| ShellError::System(error.to_string()))?;
        Ok(Self { certificate: tls.cert_resolver, key: Arc::clone(key) })
    }
}

/// Serves until the token is cancelled.
pub(super) async fn serve(
    socket: TcpListener,
    face: Arc<Face>,
    chain: Vec<CertificateDer<'static>>,
    shutdown: CancellationToken,
) -> Result<(), ShellError> {
    let mut tls = trust::tls::server_config(chain, &face.own().key)
        .map_err(|error| ShellError::System(error.to_string()))?;
    tls.cert_resolver = Arc::<Face>::clone(&face);
    let router = Router::new()
        .route("/v1/metadata", get(metadata))
        .route("/v1/challenge", post(challenge))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "not-found", "there is nothing of that name") })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&face), admit))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(face);
    listener::serve(socket, Some(Arc::new(tls)), router, Limits::small(), shutdown).await;
    Ok(())
}

/// Lets operators and servers of the federation through.
async fn admit(
    State(face): State<Arc<Face>>,
    Extension(connection): Extension<Connection>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let root_ca = face.facts().root_ca;
    if is_welcome(&connection.certificates, &root_ca, SystemSource.now()) {
        return next.run(request).await;
    }
    tracing::warn!(peer = %connection.peer, "refused a caller at the handshake endpoint");
    refuse(
        StatusCode::FORBIDDEN,
        "not-authorised",
        "operators, auditors and servers of the federation are answered here",
    )
}

fn is_welcome(chain: &[CertificateDer<'static>], root_ca: &RootCa, now: Timestamp) -> bool {
    if let Ok(Peer::Person { person, .. }) = trust::classify(chain, root_ca, root_ca.trust_domain(), now)
        && matches!(person.role(), PersonRole::Operator | PersonRole::Auditor)
    {
        return true;
    }
    trust::identity::check_any_server(chain, root_ca, now).is_ok()
}

async fn metadata(State(face): State<Arc<Face>>) -> Json<Facts> {
    Json(face.facts())
}

async fn challenge(State(face): State<Arc<Face>>, body: axum::body::Bytes) -> Response {
    let Challenge { nonce } = match serde_json::from_slice(&body) {
        Ok(challenge) => challenge,
        Err(error) => {
            let detail = format!("write {{\"nonce\": \"…\"}}: {error}");
            return refuse(StatusCode::BAD_REQUEST, "malformed", &detail);
        }
    };
    let facts = face.facts();
    let Some(instance) = facts.instance else {
        return refuse(StatusCode::CONFLICT, "not-registered", "this instance is not registered yet");
    };
    let Facts { statement, ledger, .. } = facts;
    let answer = Answer { nonce, instance, at: SystemSource.now(), statement, ledger };
    match answer.sign(face.own().key.as_ref()) {
        Ok(document) => Json(document).into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string()),
    }
}

fn refuse(status: StatusCode, code: &str, detail: &str) -> Response {
    let problem = Problem::new(status.as_u16(), code, "HS-8", detail, "");
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
}
