//! What is counted, and the listener that shows it: `/metrics`, `/livez`, `/readyz` in plain HTTP on loopback.
//!
//! Never a global: several servers in one process count apart. Never a label that a caller can choose freely.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use governance::{Span, State as InstanceState, Timestamp};
use plane::ports::Store as _;
use plane::witnesses::Stand;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::app::Plane;
use crate::problem::{Code, no_such_method, no_such_path};

/// How old the last publication of the ledger may be while the server calls itself ready.
const PUBLISHED_WITHIN: Span = Span::from_millis(30_000);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    listener: &'static str,
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnedAwayLabels {
    listener: &'static str,
    why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoopLabels {
    task: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChallengeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WitnessLabels {
    name: String,
    said: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExpiryLabels {
    what: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ToldLabels {
    why: &'static str,
}

/// The counts of one server.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Counts>);

struct Counts {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    turned_away: Family<TurnedAwayLabels, Counter>,
    instances: Family<StateLabels, Gauge>,
    loops: Family<LoopLabels, Counter>,
    challenges: Family<ChallengeLabels, Counter>,
    expires: Family<ExpiryLabels, Gauge>,
    entries: Gauge<i64, AtomicI64>,
    published: Gauge<i64, AtomicI64>,
    witnesses: Family<WitnessLabels, Gauge>,
    waiting: Gauge<i64, AtomicI64>,
    streams: Gauge<i64, AtomicI64>,
    told: Family<ToldLabels, Counter>,
    /// When the ledger was last found published, in milliseconds.
    published_at: AtomicU64,
    /// Whether the fleet was taken up and swept since the start.
    is_swept: AtomicBool,
    stopping: AtomicBool,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("fedplane");
        let requests = Family::default();
        registry.register("requests", "Requests answered", requests.clone());
        let refusals = Family::default();
        registry.register("refusals", "Requests refused, by the code of the first reason", refusals.clone());
        let turned_away = Family::default();
        registry.register(
            "turned_away",
            "Connections and requests that came no further than the listener",
            turned_away.clone(),
        );
        let instances = Family::default();
        registry.register("instances", "Instances by state, as of the last sweep", instances.clone());
        let loops = Family::default();
        registry.register("background_runs", "Runs of the background loops", loops.clone());
        let challenges = Family::default();
        registry.register("challenges", "Instances challenged, by what came of it", challenges.clone());
        let expires = Family::default();
        registry.register(
            "expires_timestamp_seconds",
            "When keys, certificates and metadata run out",
            expires.clone(),
        );
        let entries = Gauge::default();
        registry.register(
            "ledger_entries",
            "Ledger entries committed, as of the last sweep",
            entries.clone(),
        );
        let published = Gauge::default();
        registry.register("ledger_published", "Ledger entries under the last checkpoint", published.clone());
        let witnesses = Family::default();
        registry.register("witness", "1 for what each witness of the ledger said last", witnesses.clone());
        let waiting = Gauge::default();
        registry.register(
            "ledger_waiting",
            "Ledger entries that no checkpoint shows yet, as of the last turn to publish",
            waiting.clone(),
        );
        let streams = Gauge::default();
        registry.register("streams", "Instances that listen for news", streams.clone());
        let told = Family::default();
        registry.register("told", "Instances that listen, told to look, by why", told.clone());
        Self(Arc::new(Counts {
            registry,
            requests,
            refusals,
            turned_away,
            instances,
            loops,
            challenges,
            expires,
            entries,
            published,
            witnesses,
            waiting,
            streams,
            told,
            published_at: AtomicU64::new(0),
            is_swept: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }))
    }

    /// A background loop ran.
    pub(crate) fn ran(&self, task: &'static str, good: bool) {
        let outcome = if good { "done" } else { "failed" };
        self.0.loops.get_or_create(&LoopLabels { task, outcome }).inc();
    }

    /// An instance was challenged (HS-8).
    pub(crate) fn challenged(&self, view: &wire::ChallengeView) {
        let outcome = view.outcome.as_str();
        let detail = view.detail.as_deref().unwrap_or_default();
        tracing::info!(instance = %view.instance, outcome, detail, "challenged");
        self.0.challenges.get_or_create(&ChallengeLabels { outcome }).inc();
    }

    /// So many instances more, or less, listen for news.
    pub(crate) fn listening(&self, change: i64) {
        self.0.streams.inc_by(change);
    }

    /// An instance that listens was told to look.
    pub(crate) fn told(&self, why: &'static str) {
        self.0.told.get_or_create(&ToldLabels { why }).inc();
    }

    /// What runs out, and when.
    pub(crate) fn expiries(&self, all: &[wire::ExpiryView]) {
        self.0.expires.clear();
        for one in all {
            self.0.expires.get_or_create(&ExpiryLabels { what: one.what.clone() }).set(one.at.as_seconds());
        }
    }

    /// A listener turned something away that no router saw (HS-6).
    pub(crate) fn turned_away(&self, listener: &'static str, why: listener::Why) {
        self.0.turned_away.get_or_create(&TurnedAwayLabels { listener, why: why.as_str() }).inc();
    }

    /// The ledger is published up to this size.
    pub(crate) fn published(&self, size: u64, now: Timestamp) {
        self.0.published.set(i64::try_from(size).unwrap_or(i64::MAX));
        self.0.published_at.store(now.as_millis().unsigned_abs(), Ordering::Release);
    }

    /// What the witnesses said when they were asked last, and how many entries wait to be shown.
    pub(crate) fn witnesses<'a>(&self, stands: impl Iterator<Item = (&'a str, &'a Stand)>, waiting: u64) {
        self.0.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.0.witnesses.clear();
        for (name, stand) in stands {
            let labels = WitnessLabels { name: name.to_owned(), said: stand.as_str() };
            self.0.witnesses.get_or_create(&labels).set(1);
        }
    }

    /// The fleet as a sweep left it.
    pub(crate) fn fleet(&self, view: &wire::Federation) {
        for state in InstanceState::ALL {
            let count = view.states.get(state).copied().unwrap_or(0);
            let gauge = self.0.instances.get_or_create(&StateLabels { state: state.as_str() });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.0.entries.set(i64::try_from(view.ledger).unwrap_or(i64::MAX));
        self.0.is_swept.store(true, Ordering::Release);
    }

    /// From now on the server is not ready: it is coming to its end.
    pub(crate) fn stopping(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    fn count(&self, labels: RequestLabels, response: &Response) {
        self.0.requests.get_or_create(&labels).inc();
        if let Some(Code(code)) = response.extensions().get() {
            self.0.refusals.get_or_create(&RefusalLabels { code: code.clone() }).inc();
        }
    }
}

/// Counts a request and logs it.
pub(crate) async fn observe(
    listener: &'static str,
    metrics: Metrics,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = word(request.method().as_str());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let code = response.extensions().get().map_or("", |Code(code)| code.as_str());
    tracing::debug!(listener, method, route, status, code, "answered");
    metrics.count(RequestLabels { listener, method, route, status }, &response);
    response
}

/// A method as a label: callers may make up others.
fn word(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT"].into_iter().find(|known| *known == method).unwrap_or("other")
}

#[derive(Clone)]
struct Health {
    metrics: Metrics,
    plane: Arc<Plane>,
}

/// The router of the metrics listener.
pub(crate) fn router(metrics: Metrics, plane: Arc<Plane>) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(Health { metrics, plane })
}

async fn show(State(health): State<Health>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &health.metrics.0.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The process answers.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// The server can do its work: the store answers, the fleet is taken up, the ledger is being written, nobody asked it to stop. That witnesses let a
/// checkpoint wait is said too, and does not count: decisions go on.
async fn ready(State(health): State<Health>) -> Response {
    let counts = &health.metrics.0;
    let published_at =
        Timestamp::from_millis(i64::try_from(counts.published_at.load(Ordering::Acquire)).unwrap_or(0));
    let checks = [
        ("running", !counts.stopping.load(Ordering::Acquire)),
        ("ledger", health.plane.now().since(published_at) <= PUBLISHED_WITHIN),
        ("store", health.plane.store().entry_count().await.is_ok()),
        ("fleet", counts.is_swept.load(Ordering::Acquire)),
    ];
    let witnessed = if counts.waiting.get() == 0 { "witnesses: ok\n" } else { "witnesses: awaited\n" };
    let status =
        if checks.iter().all(|(_, good)| *good) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let line = |(name, good): &(&str, bool)| format!("{name}: {}\n", if *good { "ok" } else { "failed" });
    (status, checks.iter().map(line).chain([witnessed.to_owned()]).collect::<String>()).into_response()
}
