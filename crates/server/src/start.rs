//! Starting and stopping: the folder is read, the store opened, the listeners bound, the loops begun.
//!
//! A loop that ends by itself ends the server: half a plane serves nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use governance::{Span, Timestamp};
use listener::Balancers;
use plane::ports::{Challenger, Cosigner, Store as _};
use plane::publication::Publisher;
use plane::servers;
use plane::witnesses::{Witness, Witnesses};
use plane::{Clock as _, Entropy as _, PlaneError};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use store::{AnyStore, Folder, Place};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trust::tuf::{Incoming, Lifetimes, Repository};
use trust::{BrowserIdentity, RootCa, Signer};
use wire::ExpiryView;

use crate::app::{App, Plane, router};
use crate::aside::Aside;
use crate::dashboard::course::Course;
use crate::dashboard::{self, Desk};
use crate::descriptors;
use crate::load::{Loaded, StartError, TufKeys, load};
use crate::metrics::Metrics;
use crate::settings::{Challenge, Ledger, Settings, duration};
use crate::system::{SystemClock, SystemEntropy};
use crate::{metrics, public};

/// How long a loop may take to finish its turn once the listeners have ended.
const LOOPS_WITHIN: Duration = Duration::from_secs(10);
/// Between two warnings of the same thing that runs out.
const WARN_EVERY: Span = Span::hours(24);
/// Pause between two looks at whose turn to be challenged has come.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the one server on a folder's own database is called: what an earlier life of it held, it holds again at once.
const SOLE: &str = "sole";

/// What this server is called among those on its database; of several, no two lives are called the same.
fn name(settings: &Settings) -> String {
    if settings.store.url.is_empty() {
        return SOLE.to_owned();
    }
    let random = SystemEntropy.bytes();
    random.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Where a running server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Instances and operators.
    pub instances: SocketAddr,
    /// Anyone.
    pub public: SocketAddr,
    /// People: the dashboard.
    pub dashboard: SocketAddr,
    /// Metrics and health.
    pub metrics: SocketAddr,
}

/// How a server came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut because they did not end in time.
    pub cut: usize,
    /// The part that ended though nobody asked it to: a defect, told in the log.
    pub failed: Option<&'static str>,
}

/// A running server. Dropping it does not stop it in order: call [`Running::stop`].
pub struct Running {
    addresses: Addresses,
    shutdown: CancellationToken,
    listeners: JoinSet<(&'static str, usize)>,
    loops: JoinSet<&'static str>,
    /// The loops go on until the last request is answered.
    loops_end: CancellationToken,
    plane: Arc<Plane>,
    metrics: Metrics,
    /// Held while the server runs; the system lets go of it whatever happens.
    lock: File,
}

/// With what the endpoints of instances are called (HS-8): the server's own certificate.
#[derive(Debug)]
pub struct Caller {
    /// Whose instances answer.
    pub root: RootCa,
    /// The server's chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: Signer,
    /// How they are called.
    pub settings: Challenge,
}

/// Makes what calls the endpoints of instances.
pub type Outgoing = fn(Caller) -> Arc<dyn Challenger>;

/// What calls out for the server: it opens no connection itself.
#[derive(Clone, Default)]
pub struct Outside {
    /// Makes what calls the endpoints of instances (HS-8).
    pub challenger: Option<Outgoing>,
    /// Asks the ledger's witnesses (LG-2).
    pub cosigner: Option<Arc<dyn Cosigner>>,
}

impl From<Outgoing> for Outside {
    fn from(challenger: Outgoing) -> Self {
        Self { challenger: Some(challenger), cosigner: None }
    }
}

/// Starts a server that calls nobody, and waits until it listens.
///
/// # Errors
/// [`StartError`], naming the file, key or address at fault; nothing runs then.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    start_with(settings, Outside::default()).await
}

/// Starts a server that has witnesses asked, and challenges instances at their endpoints unless its settings forbid it, and
/// waits until it listens.
///
/// # Errors
/// As [`start`].
pub async fn start_calling(settings: Settings, outside: impl Into<Outside>) -> Result<Running, StartError> {
    let Outside { challenger, cosigner } = outside.into();
    let challenger = challenger.filter(|_| settings.challenge.outgoing);
    start_with(settings, Outside { challenger, cosigner }).await
}

async fn start_with(settings: Settings, outside: Outside) -> Result<Running, StartError> {
    settings.check().map_err(|(key, why)| StartError::Settings { key, why })?;
    let Outside { challenger: outgoing, cosigner } = outside;
    let witnesses = witnesses(&settings, cosigner)?;
    let settings =
        Settings { limits: descriptors::fit(settings.limits.clone(), descriptors::raise())?, ..settings };
    let ready = {
        let settings = settings.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare(&settings)).await;
        prepared.map_err(|error| PlaneError::Unavailable(error.to_string()))??
    };
    let Prepared { loaded, place, repository, ledger, lock, browser } = ready;
    let named = match &place {
        Place::File(path) => path.display().to_string(),
        Place::Server(..) => "store.url".to_owned(),
    };
    let store = AnyStore::open(place).await.map_err(|source| StartError::Store { place: named, source })?;
    let Loaded { federation, root, server_key, server_chain, held } = loaded;
    // Before the plane: the port may be any that is free, and tokens name it.
    let sockets = Sockets::bind(&settings)?;
    let pace = plane::Settings {
        server: name(&settings),
        check_ins_per_second: settings.limits.check_ins_per_second,
        check_in_every: settings.pace.check_in_every,
        directive_lifetime: settings.pace.directive_lifetime,
        pulse_every: settings.pace.pulse_every,
        status_refresh: settings.pace.status_refresh,
        challenge_every: settings.challenge.every,
        warn_before: settings.pace.warn_before,
        public: public_url(&settings, sockets.addresses.public.port()),
    };
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    if store.entry_count().await.map_err(PlaneError::from)? == 0 {
        held.check_law(&federation)?;
    }
    // Before anything is signed.
    held.check(&Plane::keys_on_record(&store, &federation).await?.document, SystemClock.now())?;
    let plane = Plane::open(store, clock, entropy, federation, repository, pace).await?;
    let plane = Arc::new(plane);
    let publisher = {
        let (plane, files) = (Arc::clone(&plane), ledger.clone());
        let opened = tokio::task::spawn_blocking(move || Publisher::open(&plane, files, witnesses)).await;
        opened.map_err(|error| PlaneError::Unavailable(error.to_string()))??
    };

    let mutual = Arc::new(trust::tls::server_config(server_chain.clone(), &server_key)?);
    let anyone = Arc::new(trust::tls::public_server_config(server_chain.clone(), &server_key)?);
    let browsers = Arc::new(browser.server_config()?);
    let challenger = outgoing.map(|make| {
        let settings = settings.challenge.clone();
        make(Caller { root: root.clone(), chain: server_chain, key: server_key, settings })
    });
    let addresses = sockets.addresses;
    let metrics = Metrics::new();
    let shutdown = CancellationToken::new();
    let authorities = authorities(&settings, addresses.instances.port());
    let (changed, changes) = watch::channel(plane.followed());
    let course = Arc::new(Course::default());
    let desk =
        Desk::new(&settings, addresses.dashboard.port(), browser.digest(), (changes, Arc::clone(&course)));
    let app = App::new(
        Arc::clone(&plane),
        settings.clone(),
        root,
        authorities,
        (ledger.clone(), shutdown.clone()),
        (metrics.clone(), desk),
        challenger.clone(),
    );
    let tuf = settings.path(&settings.paths.tuf);
    let routers = Routers {
        instances: router(&app),
        public: public::router(Arc::clone(&plane), ledger.clone(), tuf, &settings.limits, metrics.clone()),
        dashboard: dashboard::router(&app),
        metrics: metrics::router(metrics.clone(), Arc::clone(&plane)),
    };
    let tls = Tls { mutual, anyone, browsers };
    let listeners = sockets.serve(routers, tls, &settings, &metrics, &shutdown);
    let loops_end = CancellationToken::new();
    let loops = begin_loops(
        &plane,
        publisher,
        &settings,
        &metrics,
        &loops_end,
        (challenger, ledger),
        (changed, course),
    );
    let Addresses { instances, public, dashboard, metrics: health } = addresses;
    tracing::info!(%instances, %public, %dashboard, metrics = %health, "the plane listens");
    Ok(Running { addresses, shutdown, listeners, loops, loops_end, plane, metrics, lock })
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Cancel it, and the server comes to its end: [`Running::join`] returns.
    #[must_use]
    pub fn shutdown_handle(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// The plane behind the listeners.
    #[must_use]
    pub const fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// Asks it to end, and waits for that: bounded by `limits.shutdown_within` and a little more.
    pub async fn stop(self) -> Stopped {
        self.shutdown.cancel();
        self.join().await
    }

    /// Waits until the server has ended: by its shutdown handle, or because a part of it failed.
    pub async fn join(mut self) -> Stopped {
        let mut stopped = Stopped { cut: 0, failed: None };
        tokio::select! {
            // First: a listener that ended because it was asked to has not failed.
            biased;
            () = self.shutdown.cancelled() => {}
            ended = self.loops.join_next() => stopped.failed = Some(ended.and_then(Result::ok).unwrap_or("a loop")),
            ended = self.listeners.join_next() => {
                stopped.failed = Some(ended.and_then(Result::ok).map_or("a listener", |(name, _)| name));
            }
        }
        if let Some(part) = stopped.failed {
            tracing::error!(part, "a part of the server ended by itself: the server ends");
        }
        self.metrics.stopping();
        self.shutdown.cancel();
        // Each listener bounds its own end.
        while let Some(ended) = self.listeners.join_next().await {
            stopped.cut += ended.map_or(0, |(_, cut)| cut);
        }
        self.loops_end.cancel();
        let finish = async { while self.loops.join_next().await.is_some() {} };
        if tokio::time::timeout(LOOPS_WITHIN, finish).await.is_err() {
            self.loops.abort_all();
            stopped.failed = stopped.failed.or(Some("a loop"));
        }
        // Only now: the last publication needs the lease that it holds.
        match tokio::time::timeout(LOOPS_WITHIN, self.plane.give_back()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "leases were not given back: others take them a little later")
            }
            Err(_) => tracing::warn!("leases were not given back in time: others take them a little later"),
        }
        // Closing the store folds its log into the file; the lock falls behind it.
        let (plane, lock) = (self.plane, self.lock);
        let closed = tokio::task::spawn_blocking(move || {
            drop(plane);
            drop(lock);
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "the store did not close in order");
        }
        tracing::info!(cut = stopped.cut, "the plane has ended");
        stopped
    }
}

/// What is read, opened and locked before anything listens. Blocks.
struct Prepared {
    loaded: Loaded,
    /// Where the store is, which nobody else serves from this folder.
    place: Place,
    repository: Repository,
    ledger: Folder,
    lock: File,
    browser: BrowserIdentity,
}

fn prepare(settings: &Settings) -> Result<Prepared, StartError> {
    let paths = &settings.paths;
    let (loaded, TufKeys { snapshot, timestamp }) = load(settings)?;
    let database = settings.path(&paths.database);
    if let Some(folder) = database.parent() {
        make_folder(folder)?;
    }
    make_folder(&settings.path(&paths.incoming))?;
    let lock = lock_database(&database)?;
    let ledger = settings.path(&paths.ledger);
    let ledger = Folder::open(&ledger).map_err(|source| StartError::File { path: ledger, source })?;
    let place = settings.store_place().map_err(|(key, why)| StartError::Settings { key, why })?;
    let lifetimes =
        Lifetimes { snapshot: settings.pace.snapshot_lifetime, timestamp: settings.pace.timestamp_lifetime };
    let tuf = settings.path(&paths.tuf);
    let incoming =
        Incoming { bytes_max: settings.limits.unlisted_bytes, age_max: settings.limits.unlisted_age };
    let repository = Repository::open(&tuf, Box::new(snapshot), Box::new(timestamp), lifetimes)?;
    let repository = repository.with_incoming(incoming);
    let browser = settings.path(&paths.dashboard);
    let browser = BrowserIdentity::open(&browser, &settings.listen.names, SystemClock.now())?;
    Ok(Prepared { loaded, place, repository, ledger, lock, browser })
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    fs::create_dir_all(path).map_err(|source| StartError::File { path: path.to_path_buf(), source })
}

/// Keeps servers off the database in this file, and off the folder around it, for as long as what it gives is kept.
///
/// # Errors
/// [`StartError::Locked`] where one runs.
pub fn lock_database(database: &Path) -> Result<File, StartError> {
    lock(&database.with_extension("lock"))
}

pub(crate) fn lock(path: &Path) -> Result<File, StartError> {
    let fail = |source| StartError::File { path: path.to_path_buf(), source };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked(path.to_path_buf())),
        Err(TryLockError::Error(source)) => Err(fail(source)),
    }
}

/// The witnesses of the settings, where there are any.
fn witnesses(
    settings: &Settings,
    cosigner: Option<Arc<dyn Cosigner>>,
) -> Result<Option<Witnesses>, StartError> {
    let Ledger { quorum, witness: witnesses } = &settings.ledger;
    if witnesses.is_empty() {
        return Ok(None);
    }
    let unasked = || StartError::Settings {
        key: "ledger.witness",
        why: "this server calls nobody, so that no witness would be asked".to_owned(),
    };
    let cosigner = cosigner.ok_or_else(unasked)?;
    let witnesses =
        witnesses.iter().map(|one| Witness { key: one.key.clone(), url: one.url.clone() }).collect();
    Ok(Some(Witnesses::new(cosigner, *quorum, witnesses)))
}

/// What requests may be signed for: each name with the port, without it where it is that of https.
fn authorities(settings: &Settings, port: u16) -> BTreeSet<String> {
    let further = settings.listen.authorities.iter().map(|authority| {
        let authority = authority.to_ascii_lowercase();
        authority.strip_suffix(":443").map_or(authority.clone(), str::to_owned)
    });
    authorities_of(&settings.listen.names, port).into_iter().chain(further).collect()
}

/// Each of these names with the port, without it where it is that of https.
pub(crate) fn authorities_of(names: &[String], port: u16) -> BTreeSet<String> {
    let named = names.iter().map(|name| {
        let name = name.to_ascii_lowercase();
        let name = if name.contains(':') && !name.starts_with('[') { format!("[{name}]") } else { name };
        if port == 443 { name } else { format!("{name}:{port}") }
    });
    named.collect()
}

/// The first of these names with the port, as an address of https.
pub(crate) fn url_of(names: &[String], port: u16) -> String {
    let name = names.first().map_or("localhost", String::as_str);
    let name =
        if name.contains(':') && !name.starts_with('[') { format!("[{name}]") } else { name.to_owned() };
    if port == 443 { format!("https://{name}") } else { format!("https://{name}:{port}") }
}

/// Where everybody reaches the public listener: as set, or by the first of the server's names.
fn public_url(settings: &Settings, port: u16) -> String {
    if !settings.listen.public_url.is_empty() {
        return settings.listen.public_url.trim_end_matches('/').to_owned();
    }
    url_of(&settings.listen.names, port)
}

struct Sockets {
    instances: TcpListener,
    public: TcpListener,
    dashboard: TcpListener,
    metrics: TcpListener,
    addresses: Addresses,
}

struct Routers {
    instances: Router,
    public: Router,
    dashboard: Router,
    metrics: Router,
}

/// What each listener speaks.
struct Tls {
    mutual: Arc<ServerConfig>,
    anyone: Arc<ServerConfig>,
    browsers: Arc<ServerConfig>,
}

impl Sockets {
    fn bind(settings: &Settings) -> Result<Self, StartError> {
        let bind = |listener: &'static str, address: SocketAddr| {
            let fail = |source| StartError::Listen { listener, address, source };
            let socket = listener::bind(address).map_err(fail)?;
            let bound = socket.local_addr().map_err(fail)?;
            Ok::<_, StartError>((socket, bound))
        };
        let (instances, at_instances) = bind("instances", settings.listen.instances)?;
        let (public, at_public) = bind("public", settings.listen.public)?;
        let (dashboard, at_dashboard) = bind("dashboard", settings.listen.dashboard)?;
        let (metrics, at_metrics) = bind("metrics", settings.listen.metrics)?;
        let addresses = Addresses {
            instances: at_instances,
            public: at_public,
            dashboard: at_dashboard,
            metrics: at_metrics,
        };
        Ok(Self { instances, public, dashboard, metrics, addresses })
    }

    fn serve(
        self,
        routers: Routers,
        tls: Tls,
        settings: &Settings,
        metrics: &Metrics,
        shutdown: &CancellationToken,
    ) -> JoinSet<(&'static str, usize)> {
        let limits = listener::Limits {
            connections_max: settings.limits.connections,
            connections_per_address_max: settings.limits.connections_per_address,
            handshakes_max: match settings.limits.handshakes {
                0 => listener::handshakes_by_cores(),
                most => most,
            },
            shutdown: duration(settings.limits.shutdown_within),
            ..listener::Limits::default()
        };
        let people = listener::Limits {
            connections_max: limits.connections_max.min(descriptors::PEOPLE),
            // No one address takes the places of all the others.
            connections_per_address_max: limits.connections_per_address_max.min(descriptors::PEOPLE_EACH),
            ..limits
        };
        let small = listener::Limits { shutdown: limits.shutdown, ..listener::Limits::small() };
        let Tls { mutual, anyone, browsers } = tls;
        let (balancers, none) = (Balancers::new(&settings.listen.proxy), Balancers::default());
        let mut listeners = JoinSet::new();
        for (name, socket, tls, router, limits, behind) in [
            ("instances", self.instances, Some(mutual), routers.instances, limits, balancers.clone()),
            ("public", self.public, Some(anyone), routers.public, limits, balancers.clone()),
            ("dashboard", self.dashboard, Some(browsers), routers.dashboard, people, balancers),
            ("metrics", self.metrics, None, routers.metrics, small, none),
        ] {
            let (shutdown, metrics) = (shutdown.clone(), metrics.clone());
            let count = move |why| metrics.turned_away(name, why);
            listeners.spawn(async move {
                let served = listener::serve_behind(socket, tls, router, limits, behind, shutdown, count);
                (name, served.await.cut)
            });
        }
        listeners
    }
}

fn begin_loops(
    plane: &Arc<Plane>,
    publisher: Publisher<Folder>,
    settings: &Settings,
    metrics: &Metrics,
    end: &CancellationToken,
    (challenger, ledger): (Option<Arc<dyn Challenger>>, Folder),
    (changed, course): (watch::Sender<u64>, Arc<Course>),
) -> JoinSet<&'static str> {
    let shared = |task| Loop { task, plane: Arc::clone(plane), metrics: metrics.clone(), end: end.clone() };
    let pace = settings.pace.clone();
    let mut loops = JoinSet::new();
    loops.spawn(shared("pulse").pulse(duration(pace.pulse_every)));
    loops.spawn(shared("beat").beat(duration(servers::BEAT_EVERY)));
    loops.spawn(shared("follow").follow(duration(pace.follow_every), changed));
    loops.spawn(shared("heard").heard(duration(pace.heard_every)));
    loops.spawn(shared("sweep").sweep(
        duration(pace.sweep_every),
        duration(pace.sweep_rolling_every),
        course,
    ));
    loops.spawn(shared("publish").publish(publisher, duration(pace.publish_every)));
    loops.spawn(shared("resign").resign(duration(pace.resign_every)));
    loops.spawn(shared("challenge").challenge(challenger, ledger, settings.challenge.at_once));
    loops
}

/// A background loop: one turn after another with a pause between, until the server is asked to end.
struct Loop {
    task: &'static str,
    plane: Arc<Plane>,
    metrics: Metrics,
    end: CancellationToken,
}

impl Loop {
    /// Counts a turn; a failure is told and tried again at the next.
    fn turned<T>(&self, result: Result<T, PlaneError>) -> Option<T> {
        self.metrics.ran(self.task, result.is_ok());
        result.inspect_err(|error| tracing::warn!(task = self.task, %error, "a turn failed")).ok()
    }

    /// Waits; `false` when the server is to end.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.end.cancelled() => false,
        }
    }

    /// What the plane cannot hear while it is away counts against nobody (CO-7).
    async fn pulse(self, every: Duration) -> &'static str {
        while self.pause(every).await {
            let noted = self.plane.pulse().await;
            self.turned(noted);
        }
        self.task
    }

    /// Shows that this server lives.
    async fn beat(self, every: Duration) -> &'static str {
        while self.pause(every).await {
            let beaten = self.plane.beat().await;
            self.turned(beaten);
            if let Ok(Some(wrong)) = self.plane.clock_wrong().await {
                // Nothing is decided at an instant that nobody else has: half a plane serves nobody.
                tracing::error!("{wrong}");
                break;
            }
        }
        self.task
    }

    /// Takes in what other servers decided, and tells pages that are live that something was, here or there.
    async fn follow(self, every: Duration, changed: watch::Sender<u64>) -> &'static str {
        while self.pause(every).await {
            let followed = self.plane.follow().await;
            self.turned(followed);
            let to = self.plane.followed();
            changed.send_if_modified(|at| std::mem::replace(at, to) != to);
        }
        self.task
    }

    /// Saves when instances were last heard, at the end too.
    async fn heard(self, every: Duration) -> &'static str {
        loop {
            let more = self.pause(every).await;
            let saved = self.plane.heard_save().await;
            self.turned(saved);
            if !more {
                return self.task;
            }
        }
    }

    async fn sweep(self, every: Duration, rolling: Duration, course: Arc<Course>) -> &'static str {
        loop {
            let swept = self.plane.sweep().await;
            self.turned(swept);
            if let Ok(view) = self.plane.overview().await {
                self.metrics.fleet(&view);
                course.note(&view.states, self.plane.now());
            }
            // A rollout may begin at any moment: look for one at the quicker pace, sweep at its own.
            let mut waited = Duration::ZERO;
            while waited < every {
                let step = rolling.min(every.saturating_sub(waited));
                let more = tokio::select! {
                    more = self.pause(step) => more,
                    () = self.plane.nudged() => break,
                };
                if !more {
                    return self.task;
                }
                waited = waited.saturating_add(step);
                if self.plane.is_rolling() {
                    break;
                }
            }
        }
    }

    /// Publishes once more at the end, so that the files hold everything that was decided.
    async fn publish(self, mut publisher: Publisher<Folder>, every: Duration) -> &'static str {
        loop {
            let more = self.pause(every).await;
            let plane = Arc::clone(&self.plane);
            let turn = tokio::task::spawn_blocking(move || {
                let published = Handle::current().block_on(publisher.publish(&plane));
                (publisher, published)
            });
            let Ok((back, published)) = turn.await else { return self.task };
            publisher = back;
            self.metrics.witnesses(publisher.witnesses(), publisher.waiting());
            if let Some(size) = self.turned(published) {
                self.metrics.published(size, self.plane.now());
            }
            if !more {
                return self.task;
            }
        }
    }

    /// Challenges those whose turn has come, a few at once (HS-8).
    async fn challenge(
        self,
        challenger: Option<Arc<dyn Challenger>>,
        ledger: Folder,
        at_once: usize,
    ) -> &'static str {
        let mut calls = JoinSet::new();
        loop {
            while calls.len() < at_once
                && let Some(id) = self.plane.challenge_next()
            {
                let (plane, challenger, ledger) =
                    (Arc::clone(&self.plane), challenger.clone(), Aside(ledger.clone()));
                calls.spawn(async move { plane.challenge(id, challenger.as_deref(), &ledger).await });
            }
            tokio::select! {
                Some(ended) = calls.join_next() => {
                    if let Ok(asked) = ended
                        && let Some(view) = self.turned(asked)
                    {
                        self.metrics.challenged(&view);
                    }
                }
                more = self.pause(LOOK_EVERY) => if !more { return self.task },
            }
        }
    }

    /// Signs metadata anew, and warns of what runs out and is not signed anew by itself.
    async fn resign(self, every: Duration) -> &'static str {
        let mut warned: BTreeMap<String, Timestamp> = BTreeMap::new();
        loop {
            let plane = Arc::clone(&self.plane);
            let turn = tokio::task::spawn_blocking(move || {
                let signed = Handle::current().block_on(plane.root_take_up());
                (signed, plane.expiries())
            });
            let Ok((signed, expiries)) = turn.await else { return self.task };
            self.turned(signed);
            if let Some(all) = self.turned(expiries) {
                self.metrics.expiries(&all);
                self.warn(&all, &mut warned);
            }
            if !self.pause(every).await {
                return self.task;
            }
        }
    }

    /// Tells of each thing that runs out, once a day.
    fn warn(&self, all: &[ExpiryView], warned: &mut BTreeMap<String, Timestamp>) {
        let now = self.plane.now();
        for one in all.iter().filter(|one| one.soon) {
            if warned.get(&one.what).is_none_or(|at| now.since(*at) >= WARN_EVERY) {
                tracing::warn!(what = one.what, at = %one.at, renew = one.renew, "runs out");
                warned.insert(one.what.clone(), now);
            }
        }
        warned.retain(|what, _| all.iter().any(|one| one.what == *what && one.soon));
    }
}
