//! The floor: a server of the same library, with the same TLS and keys, that reads and writes the same JSON and does nothing
//! else. It knows nobody, checks no signature and keeps nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use governance::{InstanceId, Span};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use proof::Jws;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use trust::{Issuer, RootCa, SigningKey, Validity};

use crate::federation::now;

/// How long the floor's certificates live.
const LIFETIME: Span = Span::hours(24);

/// What every request shares.
struct Shared {
    status: StatusCode,
    /// The answer to a check-in; none: a status alone.
    answer: Option<wire::CheckedIn>,
    issuer: Issuer,
    bundle: String,
    keys: Jws,
}

/// Serves until it is ended.
pub(crate) fn run(
    folder: &Path,
    listen: SocketAddr,
    status: u16,
    answer: Option<&Path>,
) -> anyhow::Result<()> {
    let keys = folder.join("keys/federation");
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let root = RootCa::from_pem(&read(&folder.join("keys/founder/root-ca.pem"))?)?;
    let chain = trust::pem::certificates(&read(&keys.join("server.pem"))?)?;
    let tls = trust::tls::server_config(chain, SigningKey::load(&keys.join("server.key"))?)?;
    let issuer = SigningKey::load(&keys.join("instance-ca.key"))?;
    let issuer = Issuer::instances(&read(&keys.join("instance-ca.pem"))?, issuer, &root)?;
    let answer = match answer {
        Some(path) => Some(serde_json::from_str(&read(path)?).context("no answer to a check-in")?),
        None => None,
    };
    let shared = Shared {
        status: StatusCode::from_u16(status)?,
        answer,
        issuer,
        bundle: root.to_pem(),
        keys: Jws::parse(read(&folder.join("keys.json"))?.as_bytes())?,
    };
    let router = Router::new()
        .route("/v1/instances/{id}/check-in", post(check_in))
        .route("/v1/register", post(register))
        .with_state(Arc::new(shared));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(listen, TlsAcceptor::from(Arc::new(tls)), router))
}

async fn serve(listen: SocketAddr, tls: TlsAcceptor, router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            // A connection that breaks is nobody's concern here.
            let _ = converse(stream, tls, router).await;
        });
    }
}

async fn converse(stream: TcpStream, tls: TlsAcceptor, router: Router) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let stream = tls.accept(stream).await?;
    let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
    if two {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await?;
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await?;
    }
    Ok(())
}

async fn check_in(State(shared): State<Arc<Shared>>, Json(_said): Json<wire::CheckIn>) -> Response {
    match &shared.answer {
        Some(answer) => (shared.status, Json(answer)).into_response(),
        None => shared.status.into_response(),
    }
}

async fn register(State(shared): State<Arc<Shared>>, Json(request): Json<wire::Register>) -> Response {
    match issue(&shared, &request) {
        Ok(registered) => Json(registered).into_response(),
        Err(error) => {
            let mut answer = Response::new(Body::from(format!("{error:#}\n")));
            *answer.status_mut() = StatusCode::BAD_REQUEST;
            answer.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
            answer
        }
    }
}

/// What registration cannot do without: reading the request, and issuing the certificate.
fn issue(shared: &Shared, request: &wire::Register) -> anyhow::Result<wire::Registered> {
    let key = trust::ca::read_csr(&request.csr)?;
    let (id, at) = (InstanceId::from_random(trust::random()?), now());
    let validity = Validity { not_before: at, not_after: at + LIFETIME };
    let issued = shared.issuer.issue_instance(id, &key, validity)?;
    Ok(wire::Registered {
        instance: id,
        certificate: issued.to_pem(),
        bundle: shared.bundle.clone(),
        renew_at: at,
        interval_ms: 60_000,
        keys: shared.keys.clone(),
    })
}
