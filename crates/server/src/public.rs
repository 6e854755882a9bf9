//! What anyone may read on 8445: keys, bundle, constitution, TUF repository, checkpoint and hash tiles. Read-only.
//!
//! Never serves ledger entries: they name unpatched instances. Never lists a folder, never leaves one. The root keys are
//! not served either: whoever starts from them must have them from elsewhere.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use governance::{Span, Timestamp};
use http_body_util::BodyExt as _;
use ledger::tile::{TileId, TileKind};
use listener::{Connection, Share, Shares, counted};
use plane::publication::CHECKPOINT;
use plane::revocations::Authority;
use store::Folder;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;
use tower_http::services::ServeFile;

use crate::app::Plane;
use crate::metrics::{Metrics, live, observe};
use crate::problem::{Failure, no_such_method, no_such_path};
use crate::rates::Rates;
use crate::settings::Limits;

/// For what never changes under its name.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// For what is replaced by a newer one now and then.
const MINUTE: HeaderValue = HeaderValue::from_static("public, max-age=60");
/// For what must be the newest.
const FRESH: HeaderValue = HeaderValue::from_static("no-cache");

const JSON: &str = "application/json";
const CRL: &str = "application/pkix-crl";
const JWKS: &str = "application/jwk-set+json";
const STATUS_LIST: &str = "application/statuslist+jwt";
const PEM: &str = "application/x-pem-file";
const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

#[derive(Clone)]
struct Public(Arc<Files>);

struct Files {
    plane: Arc<Plane>,
    ledger: Folder,
    tuf: PathBuf,
    per_minute: u32,
    addresses: Rates<IpAddr>,
    downloads: Arc<Semaphore>,
    downloads_each: Arc<Shares>,
    revocations: Mutex<Revocations>,
    retired_revocations: Mutex<Revocations>,
}

/// Of the files read at once, one address reads one in so many at most.
const DOWNLOADS_EACH: usize = 8;

/// The place of a file that is being read. Fields fall in their order.
struct Download {
    _share: Share,
    _permit: OwnedSemaphorePermit,
}

/// The router of the public listener.
pub(crate) fn router(
    plane: Arc<Plane>,
    ledger: Folder,
    tuf: PathBuf,
    limits: &Limits,
    metrics: Metrics,
) -> Router {
    let public = Public(Arc::new(Files {
        plane,
        ledger,
        tuf,
        per_minute: limits.public_per_minute,
        addresses: Rates::new(limits.addresses),
        downloads: Arc::new(Semaphore::new(limits.downloads.min(Semaphore::MAX_PERMITS))),
        downloads_each: Shares::new(limits.downloads.div_ceil(DOWNLOADS_EACH)),
        revocations: Mutex::new(None),
        retired_revocations: Mutex::new(None),
    }));
    Router::new()
        .route("/livez", get(live))
        .route("/keys.json", get(keys))
        .route("/constitution.json", get(constitution))
        .route("/bundle.pem", get(bundle))
        .route("/bundle.json", get(spiffe_bundle))
        .route("/crl.der", get(revocation_list))
        .route("/crl-retired.der", get(retired_revocation_list))
        .route("/jwks.json", get(jwks))
        .route("/status/{id}", get(status_list))
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .route("/tuf/metadata/{name}", get(tuf_metadata))
        .route("/tuf/targets/{name}", get(tuf_target))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(public.clone(), limit))
        .layer(from_fn(move |request, next| observe("public", metrics.clone(), request, next)))
        .with_state(public)
}

fn address(request: &Request) -> Result<IpAddr, Failure> {
    let connection = request.extensions().get::<Connection>();
    let connection = connection.ok_or_else(|| Failure::unavailable(&"a request without a connection"))?;
    Ok(counted(connection.peer.ip()))
}

/// So many requests a minute from each address (HS-7).
async fn limit(State(public): State<Public>, request: Request, next: Next) -> Result<Response, Failure> {
    let Files { plane, addresses, per_minute, .. } = &*public.0;
    addresses
        .take(address(&request)?, *per_minute, plane.now())
        .map_err(|seconds| Failure::rate_limited("address", *per_minute, seconds))?;
    Ok(next.run(request).await)
}

impl Files {
    fn download(&self, request: &Request) -> Result<Download, Failure> {
        let busy = || Failure::busy("as many files are read as may be at once");
        let share = self.downloads_each.take(address(request)?).ok_or_else(busy)?;
        let permit = Arc::clone(&self.downloads).try_acquire_owned().map_err(|_| busy())?;
        Ok(Download { _share: share, _permit: permit })
    }
}

fn document(kind: &'static str, bytes: String) -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CACHE_CONTROL, MINUTE)];
    (headers, bytes).into_response()
}

async fn keys(State(public): State<Public>) -> Response {
    document(JSON, public.0.plane.keys().signed.to_json())
}

async fn constitution(State(public): State<Public>) -> Result<Response, Failure> {
    Ok(document(JSON, public.0.plane.constitution_document().await?.to_json()))
}

async fn bundle(State(public): State<Public>) -> Response {
    document(PEM, public.0.plane.federation().bundle.clone())
}

/// Seconds after which whoever federates reads the bundle again: the root CA lasts for years.
const BUNDLE_REFRESH_SECONDS: u64 = 3_600;

/// The trust bundle in SPIFFE's own form (ID-1).
async fn spiffe_bundle(State(public): State<Public>) -> Result<Response, Failure> {
    let plane = &public.0.plane;
    let root = trust::RootCa::from_pem(&plane.federation().bundle)?;
    let sequence = plane.keys().document.serial;
    Ok(document(JWKS, root.to_spiffe_bundle(sequence, BUNDLE_REFRESH_SECONDS)?))
}

/// How long a list of revoked certificates is served before it is made anew: a revocation is in it after this time.
const REVOCATIONS_EVERY: Span = Span::from_millis(2_000);

/// A list of revoked certificates, and when it was made.
type Revocations = Option<(Timestamp, Vec<u8>)>;

/// The certificate revocation list of the instance CA (LC-19). Made for one of those who ask at once.
async fn revocation_list(State(public): State<Public>) -> Result<Response, Failure> {
    listed(&public.0, Authority::InForce, &public.0.revocations).await
}

/// The same of the instance CA before, until it is retired.
async fn retired_revocation_list(State(public): State<Public>) -> Result<Response, Failure> {
    listed(&public.0, Authority::Retired, &public.0.retired_revocations).await
}

async fn listed(files: &Files, of: Authority, kept: &Mutex<Revocations>) -> Result<Response, Failure> {
    let mut kept = kept.lock().await;
    let now = files.plane.now();
    let list = match kept.as_ref() {
        Some((made, list)) if now.since(*made) <= REVOCATIONS_EVERY => list.clone(),
        _ => {
            let list = files.plane.revocation_list(of).await?;
            let list = list.ok_or_else(|| Failure::not_found("instance CA that waits to be retired"))?;
            *kept = Some((now, list.clone()));
            list
        }
    };
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(CRL)), (header::CACHE_CONTROL, FRESH)];
    Ok((headers, list).into_response())
}

/// The keys that tokens verify with (EN-6).
async fn jwks(State(public): State<Public>) -> Result<Response, Failure> {
    Ok(document(JWKS, public.0.plane.token_keys()?.to_json()))
}

/// The status list of an instance's tokens (EN-6).
async fn status_list(State(public): State<Public>, params: RawPathParams) -> Result<Response, Failure> {
    let named = params.iter().next().and_then(|(_, id)| id.parse().ok());
    let id = named.ok_or_else(|| Failure::not_found("such status list"))?;
    let plane = &public.0.plane;
    let mut response = document(STATUS_LIST, plane.status_list(id).await?);
    let seconds = plane.status_refresh().as_millis() / 1_000;
    if let Ok(cache) = HeaderValue::from_str(&format!("public, max-age={seconds}")) {
        response.headers_mut().insert(header::CACHE_CONTROL, cache);
    }
    Ok(response)
}

async fn checkpoint(State(public): State<Public>, request: Request) -> Result<Response, Failure> {
    let path = public.0.ledger.locate(CHECKPOINT).map_err(|_| Failure::not_found("checkpoint"))?;
    serve(&public.0, path, TEXT, FRESH, request).await
}

async fn tile(State(public): State<Public>, request: Request) -> Result<Response, Failure> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let id = TileId::parse(&path).map_err(|error| Failure::not_found(format!("tile there: {error}")))?;
    if id.kind() == TileKind::Entries {
        return Err(Failure::forbidden(
            "not-public",
            "LG-2",
            "ledger entries name instances that are not patched yet",
            "auditors read them with a certificate of their own at /v1/ledger/entries on the instances' listener",
        ));
    }
    let path = public.0.ledger.locate(&path).map_err(|_| Failure::not_found("tile there"))?;
    serve(&public.0, path, BYTES, FOREVER, request).await
}

async fn tuf_metadata(
    State(public): State<Public>,
    params: RawPathParams,
    request: Request,
) -> Result<Response, Failure> {
    let name = flat(&params)?;
    let versioned = name.split_once('.').is_some_and(|(number, _)| number.parse::<u64>().is_ok());
    let cache = if versioned { FOREVER } else { FRESH };
    serve(&public.0, public.0.tuf.join("metadata").join(name), JSON, cache, request).await
}

async fn tuf_target(
    State(public): State<Public>,
    params: RawPathParams,
    request: Request,
) -> Result<Response, Failure> {
    serve(&public.0, public.0.tuf.join("targets").join(flat(&params)?), BYTES, FOREVER, request).await
}

/// The name in the path, when it is a flat one: no folder, no dot in front, nothing that a file system could read otherwise.
fn flat(params: &RawPathParams) -> Result<String, Failure> {
    let name = params.iter().next().map_or("", |(_, name)| name);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-+".contains(&b);
    let good = (1..=255).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain);
    if good { Ok(name.to_owned()) } else { Err(Failure::not_found("such file")) }
}

/// Serves one file: whole, a range of it, or that it has not changed.
async fn serve(
    public: &Files,
    path: PathBuf,
    kind: &'static str,
    cache: HeaderValue,
    request: Request,
) -> Result<Response, Failure> {
    let place = public.download(&request)?;
    let Ok(response) = ServeFile::new(path).oneshot(request).await;
    let status = response.status();
    if status == StatusCode::NOT_FOUND {
        return Err(Failure::not_found("such file"));
    }
    // The place is kept until all of the file is handed over, or the peer is gone.
    let mut response = response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _kept = &place;
            frame
        }))
    });
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, cache);
    }
    Ok(response)
}
