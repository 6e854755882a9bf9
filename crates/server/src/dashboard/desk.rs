//! What the dashboard of one server keeps between requests: who is in, what it reckoned last, and whom it tells of changes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use governance::{Digest, Timestamp};
use plane::PlaneError;
use plane::summary::Turned;
use tokio::sync::{Semaphore, watch};
use wire::FleetSummary;

use super::course::Course;
use super::sessions::Sessions;
use crate::Plane;
use crate::settings::Settings;
use crate::system::SystemEntropy;

/// A fleet up to this size is summed up anew for every page; a larger one, at most so often.
const SUMMED_AT_ONCE_MAX: u64 = 10_000;
/// How old the sums of a larger one may be.
const SUMS_FOR_MILLIS: i64 = 2_000;
/// Pages that stay live at once, for each session that there may be.
const LIVE_EACH: usize = 8;

/// See the module.
pub(crate) struct Desk {
    pub(crate) sessions: Sessions,
    pub(crate) entropy: SystemEntropy,
    /// Where people reach it.
    pub(crate) url: String,
    /// The names it answers to.
    pub(crate) authorities: BTreeSet<String>,
    /// The certificate that it shows.
    pub(crate) certificate: Digest,
    /// Rises with every decision.
    pub(crate) changed: watch::Receiver<u64>,
    /// Places of pages that stay live.
    pub(crate) streams: Arc<Semaphore>,
    /// One at a time verifies the ledger.
    pub(crate) verifying: Arc<Semaphore>,
    /// How the fleet stood.
    pub(crate) course: Arc<Course>,
    sums: Mutex<Option<(Timestamp, Arc<FleetSummary>)>>,
    turned: Mutex<Option<(Option<Timestamp>, Option<Turned>)>>,
}

impl Desk {
    pub(crate) fn new(
        settings: &Settings,
        port: u16,
        certificate: Digest,
        (changed, course): (watch::Receiver<u64>, Arc<Course>),
    ) -> Self {
        let url = url(settings, port);
        let mut authorities = crate::start::authorities_of(&settings.listen.names, port);
        let named = url.trim_start_matches("https://").to_ascii_lowercase();
        authorities.insert(named.strip_suffix(":443").map_or(named.clone(), str::to_owned));
        Self {
            sessions: Sessions::new(settings.limits.sessions),
            entropy: SystemEntropy,
            url,
            authorities,
            certificate,
            changed,
            streams: Arc::new(Semaphore::new(
                settings.limits.sessions.saturating_mul(LIVE_EACH).min(Semaphore::MAX_PERMITS),
            )),
            verifying: Arc::new(Semaphore::new(1)),
            course,
            sums: Mutex::default(),
            turned: Mutex::default(),
        }
    }

    /// The whole fleet in a few numbers: as it is where that is quickly summed up, else as it was a moment ago.
    pub(crate) async fn sums(&self, plane: &Plane) -> Result<Option<Arc<FleetSummary>>, PlaneError> {
        let now = plane.now();
        if plane.fleet_size() > SUMMED_AT_ONCE_MAX {
            let kept = self.sums.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some((at, sums)) = kept.filter(|(at, _)| now.since(*at).as_millis() < SUMS_FOR_MILLIS) {
                let _ = at;
                return Ok(Some(sums));
            }
        }
        let sums = plane.fleet_summary(None).await?.map(Arc::new);
        if let Some(sums) = &sums {
            *self.sums.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(sums)));
        }
        Ok(sums)
    }

    /// Who turned the red switch: looked for once after each decision about the federation.
    pub(crate) async fn turned(&self, plane: &Plane) -> Result<Option<Turned>, PlaneError> {
        let decided = plane.world(|world| world.decided);
        let kept = self.turned.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, turned)) = kept.filter(|(of, _)| *of == decided) {
            return Ok(turned);
        }
        let turned = plane.red_switch_turned().await?;
        *self.turned.lock().unwrap_or_else(PoisonError::into_inner) = Some((decided, turned.clone()));
        Ok(turned)
    }
}

/// Where people reach the dashboard: as set, or by the first of the server's names.
fn url(settings: &Settings, port: u16) -> String {
    if settings.listen.dashboard_url.is_empty() {
        return crate::start::url_of(&settings.listen.names, port);
    }
    settings.listen.dashboard_url.trim_end_matches('/').to_owned()
}
