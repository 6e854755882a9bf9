//! The agent's loop: finish what is under way, keep the certificate, report or check in, weigh what is offered.

use std::sync::Arc;

use client::{Client, Source as _, SystemSource};
use governance::warning::Point;
use governance::window::Closed;
use governance::{Span, State, Timestamp, Version};
use proof::challenge::Nonce;
use proof::{Answer, Directive};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trust::SigningKey;
use wire::{CheckedIn, Mark, Metadata, Standing};

use super::check::load_root;
use super::ear::Ear;
use super::effects::{duration, told};
use super::endpoint::{Face, Facts, Refused};
use super::identity::{self, Identity};
use super::patience::{after, chance, persist};
use super::slots::Slots;
use super::statements::Statements;
use super::trusted::Trust;
use super::{Folder, ShellError, endpoint, hooks};
use crate::core::config::Config;
use crate::core::journal::{Event, FORMAT, Installed, Journal};
use crate::core::pace;
use crate::core::plan::{Action, Conclusion, Outcome, Timing, Weighed, conclude, plan};

pub(super) const JOURNAL: &str = "journal.json";
const PORT: &str = "port.json";
/// How the plane refuses that an instance enrols afresh over the key that it had (HS-1).
const KEY_NOT_NEW: &str = "key-not-new";
/// How the plane says that other keys or another constitution are in force.
const LAW: &str = "law";
/// How the plane refuses an answer that it cannot read (HS-8).
const UNANSWERED: &str = "challenge-unanswered";
/// The longest time between two statements (CO-7).
pub(super) const REPORT_EVERY_MAX: Span = Span::hours(24);

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
    /// Where nothing was asked of it: the mark of that, and from when it wants to be told in full again.
    pub(super) rests: Option<(Mark, Timestamp)>,
    /// The last challenge that was answered (HS-8).
    answered: Option<Nonce>,
    pub(super) key: Arc<SigningKey>,
    pub(super) face: Arc<Face>,
    /// Hears at once that a check-in may bring something; none where the owner does not want it.
    pub(super) ear: Option<Ear>,
    pub(super) endpoint: governance::Endpoint,
    pub(super) state: Option<State>,
    pub(super) interval: Span,
    pub(super) report_every: Span,
    pub(super) keys_at: Option<Timestamp>,
    /// When the ledger's checkpoint was looked at, and for how long that is enough (LG-2).
    pub(super) looked: Option<(Timestamp, Span)>,
    pub(super) directive: Option<Directive>,
    pub(super) offer: Weighed,
    /// What waits for the deployment window, and until when (RO-7).
    waits: Option<(Version, Closed)>,
    /// The serial of an offer that was refused, and when.
    pub(super) refused: Option<(u64, Timestamp)>,
    /// The offer that is not followed, as the endpoint shows it.
    pub(super) shown_refusal: Option<Refused>,
    /// What the plane held against the instance or warned of when it was last heard.
    heard: Vec<String>,
    /// Whether the plane said that the certificate ran out.
    pub(super) expired: bool,
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
        let known = Identity::load(&folder)?;
        let key = identity::key(&folder, known.as_ref())?;
        let trust =
            persist("believing the plane", async || Trust::open(&folder, root.clone(), &config.public).await)
                .await?;
        let (socket, endpoint) = listen(&folder, &config).await?;
        let metadata = metadata(&config, &journal.installed, &endpoint);
        let chain = known.as_ref().map_or_else(|| identity::unregistered(&key), Identity::chain)?;
        let afresh = known.as_ref().is_none_or(|known| known.is_to_enrol_afresh(config.enrolment.as_ref()));
        let facts = Facts {
            instance: known.as_ref().map(|identity| identity.instance),
            metadata: metadata.clone(),
            state: None,
            upgrade: None,
            events: Ear::state(false, config.events),
            refused: None,
            floors: journal.floors.clone(),
            statement: None,
            split_view: None,
            ledger: None,
            root_ca: trust.root_ca.clone(),
        };
        let face = Face::new(facts, &key, chain.clone())?;
        let serving = tokio::spawn(endpoint::serve(socket, Arc::clone(&face), chain, shutdown.clone()));
        let identity = match known {
            Some(identity) if !afresh => identity,
            known => {
                let enrol = async |own: Arc<SigningKey>| {
                    let shown = identity::unregistered(&own)?;
                    let client = identity::client(&config.plane, &trust.root_ca, shown, &own)?;
                    persist("enrolling", async || {
                        let secret = config.enrolment.as_ref();
                        Identity::enrol(&folder, &client, &own, secret, metadata.clone()).await
                    })
                    .await
                };
                let mut enrolled = match known.is_some() || identity::is_next_made(&folder) {
                    true => enrol(identity::next_key(&folder)?).await,
                    false => enrol(Arc::clone(&key)).await,
                };
                // The identity was lost, and the key that it was over was not.
                if matches!(&enrolled, Err(ShellError::Call(error)) if error.code() == Some(KEY_NOT_NEW)) {
                    enrolled = enrol(identity::another_key(&folder)?).await;
                }
                match (enrolled, known) {
                    // What it has goes on as long as it is good.
                    (Err(error), Some(known)) => {
                        tracing::warn!(%error, "not enrolled afresh; goes on as before");
                        known
                    }
                    (enrolled, _) => enrolled?,
                }
            }
        };
        let key = identity::key(&folder, Some(&identity))?;
        let client = identity::client(&config.plane, &trust.root_ca, identity.chain()?, &key)?;
        let mut agent = Self {
            slots: Slots::new(folder.path()),
            statements: Statements::load(&folder)?,
            timing: config.timing,
            busy: Arc::new(Mutex::new(())),
            standing: None,
            rests: None,
            answered: None,
            state: None,
            interval: Span::from_millis(i64::try_from(identity.interval_ms).unwrap_or(i64::MAX)),
            report_every: config.report_every.unwrap_or(REPORT_EVERY_MAX),
            keys_at: None,
            looked: None,
            directive: None,
            offer: Weighed::NotYet,
            waits: None,
            refused: None,
            shown_refusal: None,
            heard: Vec::new(),
            expired: false,
            config,
            folder,
            journal,
            trust,
            identity,
            client,
            source,
            key,
            face,
            ear: None,
            endpoint,
        };
        agent.certify()?;
        if agent.config.events {
            agent.ear = Some(Ear::open(agent.client.clone(), agent.identity.instance, &agent.face));
        }
        agent.show_ledger();
        if let Some(constitution) = agent.trust.constitution_kept(&agent.folder) {
            agent.follow(&constitution);
        }
        tracing::info!(instance = %agent.identity.instance, endpoint = %agent.endpoint, "at work");
        Ok((agent, serving))
    }

    /// The loop.
    async fn work(&mut self) {
        let mut errors = 0_u32;
        loop {
            let expired = self.expired;
            // What came until now this round brings.
            self.ear.iter_mut().for_each(Ear::forget);
            let round = self.tick().await;
            let well = round.is_ok();
            let pause = match round {
                Ok(()) => {
                    errors = 0;
                    let pause = pace::pause(pace::interval(self.interval), chance());
                    // A window that opens sooner is not slept through.
                    self.waits.map_or(pause, |(_, closed)| pause.min(closed.opens.since(self.source.now())))
                }
                Err(error) => {
                    match &error {
                        ShellError::Call(error) => self.notice(error),
                        // Perhaps signed with keys that are newer than our keys document: looked for in the next round.
                        _ => self.keys_at = None,
                    }
                    errors = errors.saturating_add(1);
                    let pause = after("the round", &error, errors);
                    // The certificate ran out: renewed at once, and patiently when that does not help.
                    if self.expired && !expired { Span::ZERO } else { pause }
                }
            };
            self.show();
            match &mut self.ear {
                // Whoever was sent away comes again when he was told to.
                Some(ear) if well => {
                    if ear.rest(pause).await.is_some_and(|why| why == LAW) {
                        self.keys_at = None;
                    }
                }
                _ => tokio::time::sleep(duration(pause)).await,
            }
        }
    }

    /// One round.
    async fn tick(&mut self) -> Result<(), ShellError> {
        // What an upgrade under way tells the plane, it tells with a certificate and by the law in force; failing that
        // it goes on all the same.
        self.keep_keys().await;
        let certified = self.keep_certificate().await;
        self.drive().await?;
        certified?;
        self.call().await?;
        if self.challenge().is_some() {
            self.watch(true).await;
        }
        let weighed = async {
            self.answer().await?;
            self.take_in().await?;
            self.weigh().await
        };
        let weighed = weighed.await;
        // What is offered does not wait for the ledger, and a plane that offers nothing sound is looked at all the same.
        self.watch(false).await;
        weighed?;
        self.drive().await?;
        // What the plane said at the end of an upgrade may hold the next offer.
        self.take_in().await
    }

    /// Follows the plan until there is nothing to do, or nothing to do now.
    async fn drive(&mut self) -> Result<(), ShellError> {
        let waited = self.waits.take();
        loop {
            let now = self.source.now();
            let event = match plan(&self.journal, &self.offer, self.config.calendar.next(now), now) {
                Action::Rest => return Ok(()),
                Action::Wait(closed) => {
                    self.wait(waited, closed);
                    return Ok(());
                }
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

    /// Waits for the deployment window, and says so once.
    fn wait(&mut self, waited: Option<(Version, Closed)>, closed: Closed) {
        let Some(attempt) = self.offer.accepted() else { return };
        let release = attempt.release();
        self.waits = Some((release, closed));
        if waited != self.waits {
            let due = attempt.deadline.map_or_else(|| "never".to_owned(), |deadline| deadline.to_string());
            tracing::info!(%release, due, "waits: {closed}");
        }
    }

    /// Journals an event: it is on disk when this returns.
    pub(super) fn record(&mut self, event: &Event) -> Result<(), ShellError> {
        let next = self.journal.apply(event).map_err(|error| ShellError::System(error.to_string()))?;
        self.folder.write_json(JOURNAL, &next)?;
        let before = std::mem::replace(&mut self.journal, next);
        match event {
            Event::DirectiveTaken(_) => {}
            Event::FloorsSeen(_) => tracing::info!(floors = ?self.journal.floors, "security floors"),
            Event::RollbackBegun(reason) => tracing::warn!(reason, "going back"),
            Event::SuccessReported | Event::FailureReported | Event::Withdrawn => {
                if let Some(upgrade) = &before.upgrade {
                    let (release, runs) = (upgrade.attempt.release(), self.journal.installed.platform);
                    tracing::info!(%release, %runs, "attempt over");
                }
                self.offer = Weighed::Nothing;
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
        let have = self.rests.filter(|(_, until)| self.source.now() < *until).map(|(mark, _)| mark);
        let id = self.identity.instance;
        let told = match have {
            Some(mark) => self.client.check_in_having(id, mark).await?,
            None => CheckedIn::Standing(Box::new(self.client.check_in(id).await?)),
        };
        match told {
            CheckedIn::Standing(standing) => {
                self.standing = Some(*standing);
                self.hear();
            }
            CheckedIn::Unchanged { interval_ms, .. } => self.wait_for(interval_ms),
        }
        self.deploy().await
    }

    /// Answers the challenge that the plane put in its answer, once (HS-8).
    async fn answer(&mut self) -> Result<(), ShellError> {
        let Some(nonce) = self.challenge().cloned() else { return Ok(()) };
        let (instance, at) = (self.identity.instance, self.source.now());
        let (statement, ledger) = (self.statements.last().cloned(), self.ledger_seen());
        let answer = Answer { nonce: nonce.clone(), instance, at, statement, ledger };
        let mut answered = self.send_answer(&answer).await;
        // A plane from before there was something of the ledger in an answer reads none that has it.
        if let Err(ShellError::Call(error)) = &answered
            && error.code() == Some(UNANSWERED)
            && answer.ledger.is_some()
        {
            answered = self.send_answer(&Answer { ledger: None, ..answer }).await;
        }
        match answered {
            Ok(standing) => self.standing = Some(standing),
            Err(ShellError::Call(error)) if error.is_final() => {
                tracing::warn!(error = told(&error), "the answer to the challenge was refused");
            }
            Err(error) => return Err(error),
        }
        self.answered = Some(nonce);
        Ok(())
    }

    async fn send_answer(&self, answer: &Answer) -> Result<Standing, ShellError> {
        let signed = answer.sign(self.key.as_ref());
        let signed = signed.map_err(|error| ShellError::System(error.to_string()))?;
        Ok(self.client.answer(answer.instance, signed).await?)
    }

    /// The challenge that waits for an answer.
    fn challenge(&self) -> Option<&Nonce> {
        let asked = self.standing.as_ref().and_then(|standing| standing.challenge.as_ref());
        asked.filter(|nonce| self.answered.as_ref() != Some(*nonce))
    }

    /// Tells its owner what the plane holds against the instance, or warns of: each once, when it comes.
    fn hear(&mut self) {
        let Some(standing) = &self.standing else { return };
        let found = standing
            .findings
            .iter()
            .map(|finding| format!("finding {} ({}): {}", finding.code, finding.rule, finding.cleared_by));
        let noticed = standing.notices.iter().map(|notice| {
            format!(
                "domain {} has no right to run here (CO-5): switch it off until {}",
                notice.domain, notice.until
            )
        });
        let warned = standing.warnings.iter().map(|warning| match warning.point {
            Point::Half => format!("half of the window `{}` is over (CO-12)", warning.window),
            Point::End => format!("the window `{}` is at its end (CO-12)", warning.window),
        });
        let now: Vec<String> = found.chain(noticed).chain(warned).collect();
        for line in now.iter().filter(|line| !self.heard.contains(line)) {
            tracing::warn!("{line}");
        }
        self.heard = now;
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
        let domains = &self.config.domains;
        let signed =
            self.statements.next(&self.folder, instance, running, domains, self.key.as_ref(), now)?;
        // Shown before it is sent: a challenge never meets a statement older than the record.
        self.show();
        Ok(signed)
    }

    /// Sends the pending statement.
    pub(super) async fn report_pending(&mut self) -> Result<(), ShellError> {
        let Some(document) = self.statements.last().cloned() else { return Ok(()) };
        self.standing = Some(self.client.report(self.identity.instance, document).await?);
        self.statements.acknowledge(&self.folder)
    }

    /// Shows the endpoint what changed.
    fn show(&self) {
        let metadata = metadata(&self.config, &self.journal.installed, &self.endpoint);
        let upgrade =
            self.journal.upgrade.as_ref().map(|upgrade| (upgrade.attempt.release(), upgrade.at.name()));
        let statement = self.statements.last().cloned();
        let (state, refused) = (self.state, self.shown_refusal.clone());
        let floors = self.journal.floors.clone();
        self.face.update(|facts| {
            facts.metadata = metadata;
            facts.upgrade = upgrade;
            facts.statement = statement;
            facts.state = state;
            facts.refused = refused;
            facts.floors = floors;
        });
    }
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
