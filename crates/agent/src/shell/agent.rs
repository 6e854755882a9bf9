//! The agent's loop: finish what is under way, keep the certificate, report or check in, weigh what is offered.

use std::sync::Arc;

use client::{Client, ClientError, Source as _, SystemSource};
use governance::{Span, State, Timestamp};
use proof::directive::DirectiveError;
use proof::{Directive, OfferAction, Purpose, RootKeys};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trust::SigningKey;
use wire::{Metadata, Standing};

use super::effects::{duration, told};
use super::endpoint::{Face, Facts};
use super::identity::{self, Identity};
use super::slots::Slots;
use super::statements::Statements;
use super::trusted::Trust;
use super::{Folder, ShellError, endpoint, hooks};
use crate::core::config::{Config, Secret};
use crate::core::journal::{Attempt, Event, FORMAT, Installed, Journal};
use crate::core::offer::{self, Rejection};
use crate::core::pace;
use crate::core::plan::{Action, Conclusion, Outcome, Timing, conclude, plan};

const JOURNAL: &str = "journal.json";
const PORT: &str = "port.json";
/// How often the keys document and the constitution are looked for.
const KEYS_EVERY: Span = Span::hours(1);
/// How long an offer that was refused is left alone before it is weighed again.
const WEIGH_EVERY: Span = Span::from_millis(60_000);
/// Bytes of the file with the root keys.
const ROOT_BYTES_MAX: u64 = 64 * 1024;
/// The longest time between two statements (CO-7).
const REPORT_EVERY_MAX: Span = Span::hours(24);

/// An agent at work.
pub struct Agent {
    pub(super) config: Config,
    pub(super) folder: Folder,
    pub(super) slots: Slots,
    pub(super) journal: Journal,
    pub(super) statements: Statements,
    pub(super) trust: Trust,
    pub(super) identity: Identity,
    pub(super) client: Client,
    pub(super) timing: Timing,
    pub(super) source: SystemSource,
    /// Held while hooks change what runs: a stopping agent waits for it.
    pub(super) busy: Arc<Mutex<()>>,
    /// The plane's last answer, until it was taken in.
    pub(super) standing: Option<Standing>,
    key: Arc<SigningKey>,
    face: Arc<Face>,
    endpoint: governance::Endpoint,
    state: Option<State>,
    interval: Span,
    report_every: Span,
    keys_at: Option<Timestamp>,
    directive: Option<Directive>,
    offer: Option<Attempt>,
    /// The serial of an offer that was refused, and when.
    refused: Option<(u64, Timestamp)>,
}

/// Whether the files that the settings name are there and sound. Changes nothing.
///
/// # Errors
/// The first that is not.
pub fn check(config: &Config) -> Result<(), ShellError> {
    load_root(config)?;
    match &config.enrolment {
        Some(Secret::File(path)) if !config.folder.join(identity::FILE).exists() => {
            std::fs::metadata(path).map(|_| ()).map_err(ShellError::file(path, "read the secret"))
        }
        _ => Ok(()),
    }
}

/// Runs an agent until `shutdown` is cancelled. A hook that is changing what runs is waited for.
///
/// # Errors
/// What no waiting can mend: settings, the folder, the root keys.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), ShellError> {
    let started = tokio::select! {
        started = Agent::start(config, &shutdown) => started?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let (mut agent, serving) = started;
    let busy = Arc::clone(&agent.busy);
    tokio::select! {
        () = agent.work() => {}
        _ = async { shutdown.cancelled().await; busy.lock_owned().await } => {}
    }
    tracing::info!("stopping");
    serving.await.map_err(|error| ShellError::System(error.to_string()))?
}

impl Agent {
    /// Opens the folder, comes to believe the plane, and enrols where that was not done before.
    async fn start(
        config: Config,
        shutdown: &CancellationToken,
    ) -> Result<(Self, JoinHandle<Result<(), ShellError>>), ShellError> {
        let folder = Folder::open(&config.folder)?;
        hooks::end_leftover(&folder)?;
        let source = SystemSource;
        let journal = load_journal(&folder, &config.installed, source.now())?;
        let root = load_root(&config)?;
        let key = identity::key(&folder)?;
        let trust =
            persist("believing the plane", async || Trust::open(&folder, root.clone(), &config.public).await)
                .await?;
        let (socket, endpoint) = listen(&folder, &config).await?;
        let metadata = metadata(&config, &journal.installed, &endpoint);
        let known = Identity::load(&folder)?;
        let chain = known.as_ref().map_or_else(|| identity::unregistered(&key), Identity::chain)?;
        let client = identity::client(&config.plane, &trust.root_ca, chain.clone(), &key)?;
        let facts = Facts {
            instance: known.as_ref().map(|identity| identity.instance),
            metadata: metadata.clone(),
            state: None,
            upgrade: None,
            statement: None,
            root_ca: trust.root_ca.clone(),
        };
        let face = Face::new(facts, Arc::clone(&key), chain.clone())?;
        let serving = tokio::spawn(endpoint::serve(socket, Arc::clone(&face), chain, shutdown.clone()));
        let identity = match known {
            Some(identity) => identity,
            None => {
                persist("enrolling", async || {
                    let secret = config.enrolment.as_ref();
                    Identity::enrol(&folder, &client, &key, secret, metadata.clone()).await
                })
                .await?
            }
        };
        let mut agent = Self {
            slots: Slots::new(folder.path()),
            statements: Statements::load(&folder)?,
            timing: config.timing,
            busy: Arc::new(Mutex::new(())),
            standing: None,
            state: None,
            interval: Span::from_millis(i64::try_from(identity.interval_ms).unwrap_or(i64::MAX)),
            report_every: config.report_every.unwrap_or(REPORT_EVERY_MAX),
            keys_at: None,
            directive: None,
            offer: None,
            refused: None,
            config,
            folder,
            journal,
            trust,
            identity,
            client,
            source,
            key,
            face,
            endpoint,
        };
        agent.certify()?;
        tracing::info!(instance = %agent.identity.instance, endpoint = %agent.endpoint, "at work");
        Ok((agent, serving))
    }

    /// The loop.
    async fn work(&mut self) {
        let mut errors = 0_u32;
        loop {
            let pause = match self.tick().await {
                Ok(()) => {
                    errors = 0;
                    pace::pause(pace::interval(self.interval), chance())
                }
                Err(error) => {
                    errors = errors.saturating_add(1);
                    after(&error, errors)
                }
            };
            self.show();
            tokio::time::sleep(duration(pause)).await;
        }
    }

    /// One round.
    async fn tick(&mut self) -> Result<(), ShellError> {
        self.drive().await?;
        self.keep_keys().await;
        self.keep_certificate().await?;
        self.call().await?;
        self.take_in().await?;
        self.weigh().await?;
        self.drive().await?;
        // What the plane said at the end of an upgrade may hold the next offer.
        self.take_in().await
    }

    /// Follows the plan until there is nothing to do, or nothing to do now.
    async fn drive(&mut self) -> Result<(), ShellError> {
        loop {
            let event = match plan(&self.journal, self.offer.as_ref()) {
                Action::Rest => return Ok(()),
                Action::Record(event) => event,
                Action::Do(effect, attempt) => {
                    let outcome = self.perform(effect, &attempt).await;
                    match conclude(&self.journal, effect, &attempt, outcome, &self.timing, self.source.now())
                    {
                        Conclusion::Record(event) => event,
                        Conclusion::Wait(span) => {
                            tokio::time::sleep(duration(span)).await;
                            continue;
                        }
                        Conclusion::Retry(why) => return Err(ShellError::System(why)),
                    }
                }
            };
            self.record(&event)?;
        }
    }

    /// Journals an event: it is on disk when this returns.
    fn record(&mut self, event: &Event) -> Result<(), ShellError> {
        let next = self.journal.apply(event).map_err(|error| ShellError::System(error.to_string()))?;
        self.folder.write_json(JOURNAL, &next)?;
        let before = std::mem::replace(&mut self.journal, next);
        match event {
            Event::DirectiveTaken(_) => {}
            Event::RollbackBegun(reason) => tracing::warn!(reason, "going back"),
            Event::SuccessReported | Event::FailureReported | Event::Withdrawn => {
                if let Some(upgrade) = &before.upgrade {
                    let (release, runs) = (upgrade.attempt.release(), self.journal.installed.platform);
                    tracing::info!(%release, %runs, "attempt over");
                }
                self.offer = None;
                self.slots.prune(&[before.installed.platform, self.journal.installed.platform]);
            }
            _ => {
                if let Some(upgrade) = &self.journal.upgrade {
                    tracing::info!(release = %upgrade.attempt.release(), step = upgrade.at.name(), "upgrade");
                }
            }
        }
        self.show();
        Ok(())
    }

    /// Looks for a newer keys document and the constitution now and then; failing that, those held go on.
    async fn keep_keys(&mut self) {
        let now = self.source.now();
        if self.keys_at.is_some_and(|at| now.since(at) < KEYS_EVERY && now >= at) {
            return;
        }
        match self.refresh_trust(now).await {
            Ok(()) => self.keys_at = Some(now),
            Err(error) => tracing::warn!(%error, "keys and constitution were not refreshed"),
        }
    }

    async fn refresh_trust(&mut self, now: Timestamp) -> Result<(), ShellError> {
        if self.trust.refresh(&self.folder).await? {
            tracing::info!(serial = self.trust.keys.serial, "follows a new keys document");
            self.certify()?;
        }
        if let Some(constitution) = self.trust.constitution(now).await? {
            let law = &constitution.parameters;
            self.timing.stable_for = self.config.stable_for.unwrap_or(law.health_stable_for);
            let half = Span::from_millis(law.compliance_report_within.as_millis() / 2);
            self.report_every = self.config.report_every.unwrap_or(half).min(REPORT_EVERY_MAX);
        }
        Ok(())
    }

    /// Renews the certificate when half its life is over (HS-2).
    async fn keep_certificate(&mut self) -> Result<(), ShellError> {
        if self.source.now() < self.identity.renew_at {
            return Ok(());
        }
        let renewed =
            self.identity.renew(&self.folder, &self.client, &self.key, self.statements.head()).await;
        match renewed {
            Ok(identity) => {
                self.identity = identity;
                self.certify()?;
                tracing::info!(renew_at = %self.identity.renew_at, "certificate renewed");
                Ok(())
            }
            // A refusal must not keep the instance from reporting.
            Err(ShellError::Call(error)) if error.is_final() => {
                tracing::warn!(error = told(&error), "the certificate was not renewed");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Shows the current certificate on both sides, and believes the current root CA.
    fn certify(&mut self) -> Result<(), ShellError> {
        let chain = self.identity.chain()?;
        self.client = identity::client(&self.config.plane, &self.trust.root_ca, chain.clone(), &self.key)?;
        self.face.certify(chain)?;
        let (instance, root_ca) = (self.identity.instance, self.trust.root_ca.clone());
        self.face.update(|facts| {
            facts.instance = Some(instance);
            facts.root_ca = root_ca;
        });
        Ok(())
    }

    /// Reports when there is something to report, and checks in otherwise.
    async fn call(&mut self) -> Result<(), ShellError> {
        let running = self.running().await;
        let now = self.source.now();
        if self.statements.is_due(&running, &self.config.domains, self.report_every, now) {
            self.statement(&running)?;
            match self.report_pending().await {
                Ok(()) => return self.deploy().await,
                Err(ShellError::Call(error)) if error.is_final() => {
                    tracing::warn!(error = told(&error), "the version statement was refused");
                }
                Err(error) => return Err(error),
            }
        }
        self.standing = Some(self.client.check_in(self.identity.instance).await?);
        self.deploy().await
    }

    /// Says that the deployment is complete once a health check names what was deployed (LC-1).
    async fn deploy(&mut self) -> Result<(), ShellError> {
        if self.standing.as_ref().is_none_or(|standing| standing.state != State::Registered) {
            return Ok(());
        }
        let outcome = self.health(None).await;
        if outcome == Outcome::Running(self.journal.installed.platform) {
            match self.client.ready(self.identity.instance).await {
                Ok(standing) => self.standing = Some(standing),
                Err(error) if error.is_final() => tracing::warn!(error = told(&error), "not yet active"),
                Err(error) => return Err(error.into()),
            }
        } else {
            tracing::warn!(?outcome, expected = %self.journal.installed.platform, "not deployed yet");
        }
        Ok(())
    }

    /// The statement to send now: the one still pending, or a new one about what runs.
    pub(super) fn statement(&mut self, running: &Installed) -> Result<proof::Jws, ShellError> {
        let (instance, now) = (self.identity.instance, self.source.now());
        self.statements.next(&self.folder, instance, running, &self.config.domains, self.key.as_ref(), now)
    }

    /// Sends the pending statement.
    pub(super) async fn report_pending(&mut self) -> Result<(), ShellError> {
        let Some(document) = self.statements.last().cloned() else { return Ok(()) };
        self.standing = Some(self.client.report(self.identity.instance, document).await?);
        self.statements.acknowledge(&self.folder)
    }

    /// Takes the plane's last answer in: state, interval, directive.
    async fn take_in(&mut self) -> Result<(), ShellError> {
        let Some(standing) = self.standing.take() else { return Ok(()) };
        if self.state != Some(standing.state) {
            tracing::info!(state = %standing.state, "the plane says");
            self.state = Some(standing.state);
        }
        self.interval = Span::from_millis(i64::try_from(standing.interval_ms).unwrap_or(i64::MAX));
        let taken = match self.open(&standing) {
            // Perhaps signed with a key that is newer than our keys document.
            Err(Rejection::Directive(DirectiveError::Document(error))) => {
                tracing::warn!(%error, "looks for newer keys");
                self.refresh_trust(self.source.now()).await?;
                self.open(&standing)?
            }
            taken => taken?,
        };
        let (directive, event) = taken;
        if let Some(event) = event {
            self.record(&event)?;
        }
        self.directive = Some(directive);
        Ok(())
    }

    fn open(&self, standing: &Standing) -> Result<(Directive, Option<Event>), Rejection> {
        let now = self.source.now();
        let Some(keys) = self.trust.keys.online_set(Purpose::Directives, now) else {
            return Err(Rejection::NoKeys);
        };
        offer::take(&self.journal, &standing.directive, &keys, self.identity.instance, now)
    }

    /// Weighs what the last directive offers; what is accepted becomes the plan's.
    async fn weigh(&mut self) -> Result<(), ShellError> {
        let Some(directive) = self.directive.take() else { return Ok(()) };
        let serial = directive.serial;
        let Some(offered) = directive.offer.as_ref().filter(|offered| self.is_worth(serial, offered)) else {
            self.offer = None;
            return Ok(());
        };
        if self.offer.as_ref().is_some_and(|attempt| attempt.serial == serial) {
            return Ok(());
        }
        self.offer = None;
        let now = self.source.now();
        let signed = self.trust.release(&self.folder, offered.release, now).await?;
        match offer::weigh(&self.journal, serial, offered, &signed, self.config.policy) {
            Ok(attempt) => {
                tracing::info!(release = %offered.release, action = offer::word(offered.action), "accepted");
                self.offer = Some(attempt);
            }
            Err(rejection) => {
                tracing::warn!(%rejection, release = %offered.release, "not followed");
                self.refused = Some((serial, now));
            }
        }
        Ok(())
    }

    /// Whether an offer needs weighing at all.
    fn is_worth(&self, serial: u64, offered: &proof::Offer) -> bool {
        let declined = !self.config.policy.install && offered.action != OfferAction::Rollback;
        let failed = self.journal.failed_before(offered.release, serial).is_some();
        let now = self.source.now();
        let refused = self
            .refused
            .is_some_and(|(known, at)| known == serial && now >= at && now.since(at) < WEIGH_EVERY);
        let runs = offered.release == self.journal.installed.platform;
        !declined && !failed && !refused && !runs
    }

    /// Shows the endpoint what changed.
    fn show(&self) {
        let metadata = metadata(&self.config, &self.journal.installed, &self.endpoint);
        let upgrade =
            self.journal.upgrade.as_ref().map(|upgrade| (upgrade.attempt.release(), upgrade.at.name()));
        let statement = self.statements.last().cloned();
        let state = self.state;
        self.face.update(|facts| {
            facts.metadata = metadata;
            facts.upgrade = upgrade;
            facts.statement = statement;
            facts.state = state;
        });
    }
}

/// Tries until it works, ever more patiently; gives up on what no waiting can mend.
async fn persist<T>(
    what: &str,
    mut act: impl AsyncFnMut() -> Result<T, ShellError>,
) -> Result<T, ShellError> {
    let mut errors = 0_u32;
    loop {
        match act().await {
            Ok(value) => return Ok(value),
            Err(error @ (ShellError::Corrupt { .. } | ShellError::NoSecret)) => return Err(error),
            Err(ShellError::Call(error)) if error.is_final() => {
                tracing::error!(hint = error.hint().unwrap_or_default(), what, "the plane refused");
                return Err(error.into());
            }
            Err(error) => {
                errors = errors.saturating_add(1);
                tracing::warn!(what, "still trying");
                tokio::time::sleep(duration(after(&error, errors))).await;
            }
        }
    }
}

/// Tells an error, and how long to wait before the next try.
fn after(error: &ShellError, errors: u32) -> Span {
    let pause = pace::backoff(errors, chance());
    match error {
        ShellError::Call(ClientError::Refused { problem, retry_after_seconds }) => {
            let hint = error_hint(error);
            tracing::warn!(code = problem.code, detail = problem.detail, hint, errors, "the plane refused");
            let asked =
                retry_after_seconds.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or_default();
            pause.max(Span::from_millis(asked.saturating_mul(1000)).min(pace::INTERVAL_MAX))
        }
        _ => {
            tracing::warn!(%error, errors, "will try again");
            pause
        }
    }
}

fn error_hint(error: &ShellError) -> &str {
    match error {
        ShellError::Call(error) => error.hint().unwrap_or_default(),
        _ => "",
    }
}

/// A random share; the middle one when the system has no random numbers.
fn chance() -> u16 {
    trust::random().map_or(u16::MAX / 2, u16::from_ne_bytes)
}

fn load_journal(folder: &Folder, installed: &Installed, now: Timestamp) -> Result<Journal, ShellError> {
    let journal = match folder.read_json::<Journal>(JOURNAL)? {
        Some(journal) if journal.format != FORMAT => {
            let why = format!("its format is {}, this agent reads {FORMAT}", journal.format);
            return Err(ShellError::Corrupt { path: folder.join(JOURNAL), why });
        }
        Some(journal) => journal.recovered(now),
        None => Journal::new(installed.clone()),
    };
    folder.write_json(JOURNAL, &journal)?;
    if let Some(upgrade) = &journal.upgrade {
        tracing::info!(release = %upgrade.attempt.release(), at = upgrade.at.name(), "takes up an attempt");
    }
    Ok(journal)
}

/// The Founder's root keys, given by the owner.
fn load_root(config: &Config) -> Result<RootKeys, ShellError> {
    let path = &config.root;
    let corrupt = |why: String| ShellError::Corrupt { path: path.clone(), why };
    let length = std::fs::metadata(path).map_err(ShellError::file(path, "read the root keys"))?.len();
    if length > ROOT_BYTES_MAX {
        return Err(corrupt(format!("it has more than {ROOT_BYTES_MAX} bytes")));
    }
    let bytes = std::fs::read(path).map_err(ShellError::file(path, "read the root keys"))?;
    serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))
}

/// Opens the handshake endpoint's socket. A port the system chose is kept for the next start, since others know it.
async fn listen(folder: &Folder, config: &Config) -> Result<(TcpListener, governance::Endpoint), ShellError> {
    let mut address = config.listen;
    let kept = if address.port() == 0 { folder.read_json::<u16>(PORT)? } else { None };
    address.set_port(kept.unwrap_or(address.port()));
    let failed =
        |error: std::io::Error| ShellError::System(format!("cannot listen on {}: {error}", config.listen));
    let socket = match TcpListener::bind(address).await {
        Err(_) if kept.is_some() => TcpListener::bind(config.listen).await.map_err(failed)?,
        bound => bound.map_err(failed)?,
    };
    let bound = socket.local_addr().map_err(failed)?;
    if config.listen.port() == 0 {
        folder.write_json(PORT, &bound.port())?;
    }
    let endpoint = match &config.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => format!("https://{bound}")
            .parse()
            .map_err(|error| ShellError::System(format!("set `endpoint`: {error}")))?,
    };
    Ok((socket, endpoint))
}

fn metadata(config: &Config, installed: &Installed, endpoint: &governance::Endpoint) -> Metadata {
    Metadata {
        platform: installed.platform,
        runtime: installed.runtime,
        layers: installed.layers.clone(),
        domains: config.domains.clone(),
        tier: config.tier,
        endpoint: endpoint.clone(),
    }
}
