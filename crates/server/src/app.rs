//! What the handlers share, and the routers of the three listeners put together.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post, put};
use plane::ports::Challenger;
use proof::KeyId;
use store::{AnyStore, Folder};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::arrivals::Arrivals;
use crate::bypasses::Bypasses;
use crate::dashboard::{Desk, link_create};
use crate::gate::gate;
use crate::metrics::{Metrics, observe};
use crate::nonces::Nonces;
use crate::peers::Peers;
use crate::problem::{no_such_method, no_such_path};
use crate::rates::Rates;
use crate::settings::Settings;
use crate::table::Budget;
use crate::{instances, operators};

/// The plane over the store that this server uses.
pub type Plane = plane::Plane<AnyStore>;

/// What every request of one server shares.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

impl std::ops::Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Behind [`App`].
pub(crate) struct Shared {
    pub(crate) plane: Arc<Plane>,
    pub(crate) settings: Settings,
    pub(crate) peers: Peers,
    pub(crate) nonces: Nonces,
    /// Those of callers who are not registered: they never use up the memory of the others.
    pub(crate) nonces_strangers: Nonces,
    pub(crate) addresses: Rates<(Budget, IpAddr)>,
    pub(crate) instances: Rates<(Budget, KeyId)>,
    pub(crate) arrivals: Arrivals,
    pub(crate) bypasses: Bypasses,
    pub(crate) places: Semaphore,
    pub(crate) uploads: Semaphore,
    /// Places of those who listen for news.
    pub(crate) streams: Arc<Semaphore>,
    /// That the server is to end.
    pub(crate) shutdown: CancellationToken,
    /// What requests may be signed for.
    pub(crate) authorities: BTreeSet<String>,
    pub(crate) ledger: Folder,
    pub(crate) metrics: Metrics,
    pub(crate) challenger: Option<Arc<dyn Challenger>>,
    /// What the dashboard keeps.
    pub(crate) desk: Desk,
}

/// Instances whose rate is counted at once: many more than one server serves.
const INSTANCES_MAX: usize = 1_000_000;

/// Of so many connections one at least holds no stream.
const STREAMS_SPARE: usize = 8;
/// Of a stranger's nonces, one is remembered for so many of the others'.
const STRANGERS_NONCES_OF: usize = 16;

impl App {
    pub(crate) fn new(
        plane: Arc<Plane>,
        settings: Settings,
        root: trust::RootCa,
        authorities: BTreeSet<String>,
        (ledger, shutdown): (Folder, CancellationToken),
        (metrics, desk): (Metrics, Desk),
        challenger: Option<Arc<dyn Challenger>>,
    ) -> Self {
        let limits = &settings.limits;
        Self(Arc::new(Shared {
            peers: Peers::new(root),
            nonces: Nonces::new(limits.nonces, plane.now()),
            nonces_strangers: Nonces::new(limits.nonces.div_ceil(STRANGERS_NONCES_OF), plane.now()),
            addresses: Rates::new(limits.addresses),
            instances: Rates::new(INSTANCES_MAX),
            arrivals: Arrivals::new(limits),
            bypasses: Bypasses::default(),
            places: Semaphore::new(limits.requests.min(Semaphore::MAX_PERMITS)),
            uploads: Semaphore::new(limits.uploads.min(Semaphore::MAX_PERMITS)),
            // However few connections the system allows, some are left for those who do not listen.
            streams: Arc::new(Semaphore::new(
                limits.streams.min(limits.connections - limits.connections / STREAMS_SPARE),
            )),
            shutdown,
            plane,
            settings,
            authorities,
            ledger,
            metrics,
            challenger,
            desk,
        }))
    }
}

impl Shared {
    /// How many of the places for requests are taken, in parts of a thousand.
    pub(crate) fn busy_permille(&self) -> u32 {
        let all = self.settings.limits.requests.clamp(1, Semaphore::MAX_PERMITS);
        let taken = all.saturating_sub(self.places.available_permits());
        u32::try_from(taken.saturating_mul(1_000) / all).unwrap_or(u32::MAX)
    }
}

/// The router of the instances' listener. What it serves to whom stands in [`crate::table`].
pub(crate) fn router(app: &App) -> Router {
    Router::new()
        .route("/v1/register", post(instances::register))
        .route("/v1/instances/{id}/renew", post(instances::renew))
        .route("/v1/instances/{id}/ready", post(instances::ready))
        .route("/v1/instances/{id}/report", post(instances::report))
        .route("/v1/instances/{id}/check-in", post(instances::check_in))
        .route("/v1/instances/{id}/upgrade/begin", post(instances::upgrade_begin))
        .route("/v1/instances/{id}/upgrade/finish", post(instances::upgrade_finish))
        .route("/v1/instances/{id}/retry", post(instances::retry))
        .route("/v1/instances/{id}/rollback", post(instances::rollback))
        .route("/v1/instances/{id}/entitlement", post(instances::entitlement))
        .route("/v1/instances/{id}/modules/activate", post(instances::module_activate))
        .route("/v1/instances/{id}/modules/deactivate", post(instances::module_deactivate))
        .route("/v1/instances/{id}/answer", post(instances::answer))
        .route("/v1/instances/{id}/status", get(instances::status))
        .route("/v1/instances/{id}/events", get(crate::events::events))
        .route("/v1/enrolments", get(operators::enrolment_list).post(operators::enrolment_create))
        .route("/v1/enrolments/{digest}/approve", post(operators::enrolment_approve))
        .route("/v1/instances", get(operators::instance_list))
        .route("/v1/instances/{id}", get(operators::instance_show))
        .route("/v1/instances/{id}/explain", get(operators::explain))
        .route("/v1/instances/{id}/decisions", get(operators::decisions))
        .route("/v1/instances/{id}/decisions/{number}/proof", get(operators::decision_proof))
        .route("/v1/instances/{id}/enrolment", post(operators::re_enrol))
        .route("/v1/instances/{id}/challenge", post(operators::challenge))
        .route("/v1/instances/{id}/suspend", post(operators::suspend))
        .route("/v1/instances/{id}/reactivate", post(operators::reactivate))
        .route("/v1/instances/{id}/subscription", post(operators::subscription))
        .route("/v1/rollouts", get(operators::rollout_list))
        .route("/v1/rollouts/{release}", get(operators::rollout_show))
        .route("/v1/rollouts/{release}/{verb}", post(operators::rollout_steer))
        .route("/v1/targets", post(operators::targets_renew))
        .route("/v1/targets/{name}", put(crate::upload::target_put))
        .route("/v1/releases", get(operators::release_list).post(operators::release_publish))
        .route("/v1/releases/{release}/withdraw", post(operators::release_withdraw))
        .route("/v1/freezes", post(operators::freeze))
        .route("/v1/red-switch", post(operators::red_switch))
        .route("/v1/people/revoke", post(operators::person_revoke))
        .route("/v1/people/revoked", get(operators::people_revoked))
        .route("/v1/orders", post(operators::order_submit))
        .route("/v1/escalations", get(operators::escalation_list))
        .route("/v1/escalations/acknowledge", post(operators::escalation_acknowledge))
        .route("/v1/ledger/entries", get(operators::ledger_entries))
        .route("/v1/ledger/proof", get(operators::ledger_proof))
        .route("/v1/ledger/tile/{*path}", get(operators::ledger_tile))
        .route("/v1/ledger/checkpoint", get(operators::ledger_checkpoint))
        .route("/v1/records/world", get(operators::record_of_the_world))
        .route("/v1/records/instances", get(operators::records))
        .route("/v1/federation", get(operators::federation))
        .route("/v1/constitution", get(operators::constitution))
        .route("/v1/dashboard/links", post(link_create))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(app.clone(), gate))
        .layer(from_fn({
            let metrics = app.metrics.clone();
            move |request, next| observe("instances", metrics.clone(), request, next)
        }))
        .with_state(app.clone())
}
