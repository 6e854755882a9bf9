//! The calls of 8443, one method each.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use governance::{Digest, Instance, InstanceId, Version, World};
use ledger::TileId;
use proof::{Jws, Sign};
use reqwest::{Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use trust::request::{Target, sign_head};
use wire::{
    Acknowledge, ChallengeAnswer, ChallengeView, CheckIn, CheckedIn, DashboardLink, DecisionView,
    EnrolmentCreated, EnrolmentRequest, EnrolmentView, EntryPage, EscalationView, Explanation, Federation,
    Freeze, InstanceView, Mark, ModuleCall, Page, Problem, Publish, RedSwitch, Register, Registered,
    ReleaseView, Renew, RenewTargets, Renewed, Report, Retry, RevokePerson, RevokedPeople, Rollback,
    RolloutView, Standing, Status, SubmitOrder, SubscriptionChange, TargetPut, TargetsView, Token,
    UpgradeBegin, UpgradeFinish,
};

use crate::events::{Events, Held};
use crate::{ANSWER_BYTES_MAX, ANSWER_WITHIN, ClientError, Source, Use, http, read, upload_within};

/// A client of the plane's own listener, as one instance or operator.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    uploads: reqwest::Client,
    /// The connection that a stream of news holds open: calls go over it too, as long as it is.
    held: Held,
    tls: rustls::ClientConfig,
    base: String,
    authority: String,
    signer: Arc<dyn Sign + Send + Sync>,
    source: Arc<dyn Source>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} as {})", self.base, self.signer.key_id())
    }
}

/// Which instances a listing shows; an empty field asks for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceQuery {
    /// In this state.
    pub state: Option<String>,
    /// Running this platform version.
    pub platform: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this tier.
    pub tier: Option<String>,
    /// Of this provider.
    pub provider: Option<String>,
    /// With an open finding of this code.
    pub finding: Option<String>,
    /// Behind this item of the page before.
    pub after: Option<String>,
    /// At most this many.
    pub limit: Option<u32>,
}

type Called<T> = Result<T, ClientError>;

impl Client {
    /// A client of `base` (as `https://plane.example:8443`), whose TLS presents the certificate over `signer`'s key.
    ///
    /// # Errors
    /// [`ClientError::Setup`].
    pub fn new(
        base: &str,
        tls: rustls::ClientConfig,
        signer: Arc<dyn Sign + Send + Sync>,
        source: Arc<dyn Source>,
    ) -> Called<Self> {
        let base = base.trim_end_matches('/').to_ascii_lowercase();
        let Some(authority) = base.strip_prefix("https://") else {
            return Err(ClientError::Setup(format!("{base} is no https address")));
        };
        let authority = authority.strip_suffix(":443").unwrap_or(authority).to_owned();
        let (uploads, http) = (http(tls.clone(), Use::Uploads)?, http(tls.clone(), Use::Answers)?);
        Ok(Self { http, uploads, held: Held::default(), tls, base, authority, signer, source })
    }

    /// Opens the stream of news: [`Events::next`] gives what it says. A new one ends the one before.
    ///
    /// # Errors
    /// As every call.
    pub async fn events(&self, id: InstanceId) -> Called<Events> {
        let http = http(self.tls.clone(), Use::Stream)?;
        let open = Outgoing { within: None, ..Outgoing::json(Vec::new()) };
        let path = format!("/v1/instances/{id}/events");
        let sent = self.send_over(&http, Method::GET, &path, open);
        let late = |_| {
            let url = format!("{}{path}", self.base);
            ClientError::Unreachable { url, why: "no answer in time".to_owned() }
        };
        let (url, response) = tokio::time::timeout(ANSWER_WITHIN, sent).await.map_err(late)??;
        if !response.status().is_success() {
            return match accepted(url.clone(), response).await {
                Err(error) => Err(error),
                Ok(_) => Err(ClientError::Answer { url, status: 200, why: "is no stream".to_owned() }),
            };
        }
        Ok(Events::new(url, response, self.held.hold(http)))
    }

    /// Registers an instance (HS-1). May be repeated with the same key and secret.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn register(&self, body: &Register) -> Called<Registered> {
        self.post("/v1/register", body).await
    }

    /// Renews the certificate (HS-2).
    ///
    /// # Errors
    /// As every call.
    pub async fn renew(&self, id: InstanceId, body: &Renew) -> Called<Renewed> {
        self.post(&format!("/v1/instances/{id}/renew"), body).await
    }

    /// Says that the deployment is complete (LC-1).
    ///
    /// # Errors
    /// As every call.
    pub async fn ready(&self, id: InstanceId) -> Called<Standing> {
        self.post(&format!("/v1/instances/{id}/ready"), &Nothing {}).await
    }

    /// Reports versions (HS-3). May be repeated with the same statement.
    ///
    /// # Errors
    /// As every call.
    pub async fn report(&self, id: InstanceId, statement: Jws) -> Called<Standing> {
        self.post(&format!("/v1/instances/{id}/report"), &Report { statement }).await
    }

    /// Asks where the instance stands.
    ///
    /// # Errors
    /// As every call.
    pub async fn check_in(&self, id: InstanceId) -> Called<Standing> {
        self.post(&format!("/v1/instances/{id}/check-in"), &Nothing {}).await
    }

    /// The same, of an instance that has a standing with this mark: where it stands there still, the answer is short.
    ///
    /// # Errors
    /// As every call.
    pub async fn check_in_having(&self, id: InstanceId, mark: Mark) -> Called<CheckedIn> {
        self.post(&format!("/v1/instances/{id}/check-in"), &CheckIn { have: Some(mark) }).await
    }

    /// Asks for the entitlement token (HS-4).
    ///
    /// # Errors
    /// As every call.
    pub async fn entitlement(&self, id: InstanceId) -> Called<Token> {
        self.post(&format!("/v1/instances/{id}/entitlement"), &Nothing {}).await
    }

    /// Asks for the right to run a domain, or for its token anew (HS-5). May be repeated.
    ///
    /// # Errors
    /// As every call.
    pub async fn module_activate(&self, id: InstanceId, body: &ModuleCall) -> Called<Token> {
        self.post(&format!("/v1/instances/{id}/modules/activate"), body).await
    }

    /// Says that a domain was switched off (EN-7).
    ///
    /// # Errors
    /// As every call.
    pub async fn module_deactivate(&self, id: InstanceId, body: &ModuleCall) -> Called<Standing> {
        self.post(&format!("/v1/instances/{id}/modules/deactivate"), body).await
    }

    /// Says that an upgrade begins (LC-3, LC-13). May be repeated.
    ///
    /// # Errors
    /// As every call.
    pub async fn upgrade_begin(&self, id: InstanceId, body: &UpgradeBegin) -> Called<Standing> {
        self.post(&format!("/v1/instances/{id}/upgrade/begin"), body).await
    }

    /// Says how an upgrade ended (LC-4, LC-5). May be repeated.
    ///
    /// # Errors
    /// As every call.
    pub async fn upgrade_finish(&self, id: InstanceId, body: &UpgradeFinish) -> Called<Standing> {
        self.post(&format!("/v1/instances/{id}/upgrade/finish"), body).await
    }

    /// Asks that a release that failed here be offered again (RO-9).
    ///
    /// # Errors
    /// As every call.
    pub async fn retry(&self, id: InstanceId, release: Version) -> Called<Standing> {
        self.post(&format!("/v1/instances/{id}/retry"), &Retry { release }).await
    }

    /// Asks to go back to what ran before (RL-2, RO-9). May be repeated.
    ///
    /// # Errors
    /// As every call.
    pub async fn roll_back(&self, id: InstanceId, release: Version) -> Called<Standing> {
        self.post(&format!("/v1/instances/{id}/rollback"), &Rollback { release }).await
    }

    /// The instance's state, which a revoked one may ask too.
    ///
    /// # Errors
    /// As every call.
    pub async fn status(&self, id: InstanceId) -> Called<Status> {
        self.fetch(&format!("/v1/instances/{id}/status")).await
    }

    /// Makes an enrolment.
    ///
    /// # Errors
    /// As every call.
    pub async fn enrolment_create(&self, body: &EnrolmentRequest) -> Called<EnrolmentCreated> {
        self.post("/v1/enrolments", body).await
    }

    /// Asks that an instance may enrol afresh under its id (HS-1).
    ///
    /// # Errors
    /// As every call.
    pub async fn re_enrol(&self, id: InstanceId) -> Called<EnrolmentCreated> {
        self.post(&format!("/v1/instances/{id}/enrolment"), &Nothing {}).await
    }

    /// The enrolments afresh that were not used yet.
    ///
    /// # Errors
    /// As every call.
    pub async fn enrolments(&self) -> Called<Page<EnrolmentView>> {
        self.fetch("/v1/enrolments").await
    }

    /// Approves that an instance enrols afresh. May be repeated.
    ///
    /// # Errors
    /// As every call.
    pub async fn enrolment_approve(&self, digest: Digest) -> Called<()> {
        self.tell(&format!("/v1/enrolments/{digest}/approve"), &Nothing {}).await
    }

    /// A page of instances.
    ///
    /// # Errors
    /// As every call.
    pub async fn instances(&self, query: &InstanceQuery) -> Called<Page<InstanceView>> {
        let limit = query.limit.map(|limit| limit.to_string());
        let pairs = [
            ("state", &query.state),
            ("platform", &query.platform),
            ("kind", &query.kind),
            ("tier", &query.tier),
            ("provider", &query.provider),
            ("finding", &query.finding),
            ("after", &query.after),
            ("limit", &limit),
        ];
        self.fetch(&format!("/v1/instances{}", query_string(&pairs))).await
    }

    /// One instance.
    ///
    /// # Errors
    /// As every call.
    pub async fn instance(&self, id: InstanceId) -> Called<InstanceView> {
        self.fetch(&format!("/v1/instances/{id}")).await
    }

    /// Why an instance has not got a release yet, or any that is newer than what it runs.
    ///
    /// # Errors
    /// As every call.
    pub async fn instance_explain(&self, id: InstanceId, release: Option<Version>) -> Called<Explanation> {
        let release = release.map(|release| release.to_string());
        let query = query_string(&[("release", &release)]);
        self.fetch(&format!("/v1/instances/{id}/explain{query}")).await
    }

    /// What holds for every instance, as the plane has it on record.
    ///
    /// # Errors
    /// As every call.
    pub async fn record_of_the_world(&self) -> Called<World> {
        self.fetch("/v1/records/world").await
    }

    /// A page of instances as the plane has them on record, behind `after`.
    ///
    /// # Errors
    /// As every call.
    pub async fn records(&self, after: Option<String>) -> Called<Page<Instance>> {
        self.fetch(&format!("/v1/records/instances{}", query_string(&[("after", &after)]))).await
    }

    /// Answers the challenge that came in the answer to a check-in (HS-8).
    ///
    /// # Errors
    /// As every call.
    pub async fn answer(&self, id: InstanceId, answer: Jws) -> Called<Standing> {
        self.post(&format!("/v1/instances/{id}/answer"), &ChallengeAnswer { answer }).await
    }

    /// Challenges an instance (HS-8).
    ///
    /// # Errors
    /// As every call.
    pub async fn instance_challenge(&self, id: InstanceId) -> Called<ChallengeView> {
        self.post(&format!("/v1/instances/{id}/challenge"), &Nothing {}).await
    }

    /// Hands in targets metadata that was signed anew (RL-3).
    ///
    /// # Errors
    /// As every call.
    pub async fn targets_renew(&self, body: &RenewTargets) -> Called<TargetsView> {
        self.post("/v1/targets", body).await
    }

    /// A page of the decisions about an instance, from the so-many-th on, counted from 1 (LG-1).
    ///
    /// # Errors
    /// As every call.
    pub async fn decisions(&self, id: InstanceId, from: u64) -> Called<Page<DecisionView>> {
        self.fetch(&format!("/v1/instances/{id}/decisions?from={from}")).await
    }

    /// The proof that a decision about an instance stands in the ledger (LG-2), as text (C2SP tlog-proof).
    ///
    /// # Errors
    /// As every call.
    pub async fn decision_proof(&self, id: InstanceId, number: u64) -> Called<String> {
        self.read_text(&format!("/v1/instances/{id}/decisions/{number}/proof")).await
    }

    /// The proof that the entry at a position stands in the ledger (LG-2).
    ///
    /// # Errors
    /// As every call.
    pub async fn ledger_proof(&self, position: u64) -> Called<String> {
        self.read_text(&format!("/v1/ledger/proof?position={position}")).await
    }

    /// Suspends an instance (LC-8, LC-15).
    ///
    /// # Errors
    /// As every call.
    pub async fn instance_suspend(&self, id: InstanceId) -> Called<InstanceView> {
        self.post(&format!("/v1/instances/{id}/suspend"), &Nothing {}).await
    }

    /// Reactivates an instance (LC-9).
    ///
    /// # Errors
    /// As every call.
    pub async fn instance_reactivate(&self, id: InstanceId) -> Called<InstanceView> {
        self.post(&format!("/v1/instances/{id}/reactivate"), &Nothing {}).await
    }

    /// Changes an instance's subscription.
    ///
    /// # Errors
    /// As every call.
    pub async fn instance_subscription(
        &self,
        id: InstanceId,
        body: &SubscriptionChange,
    ) -> Called<InstanceView> {
        self.post(&format!("/v1/instances/{id}/subscription"), body).await
    }

    /// Takes a person's certificate back (AU-2).
    ///
    /// # Errors
    /// As every call.
    pub async fn person_revoke(&self, body: &RevokePerson) -> Called<()> {
        self.tell("/v1/people/revoke", body).await
    }

    /// The certificates of people that count no more.
    ///
    /// # Errors
    /// As every call.
    pub async fn people_revoked(&self) -> Called<RevokedPeople> {
        self.fetch("/v1/people/revoked").await
    }

    /// Every rollout.
    ///
    /// # Errors
    /// As every call.
    pub async fn rollouts(&self) -> Called<Page<RolloutView>> {
        self.fetch("/v1/rollouts").await
    }

    /// The rollout of a release.
    ///
    /// # Errors
    /// As every call.
    pub async fn rollout(&self, release: Version) -> Called<RolloutView> {
        self.fetch(&format!("/v1/rollouts/{release}")).await
    }

    /// Steers a rollout: `pause`, `resume`, `abort` or `approve` (RO-6).
    ///
    /// # Errors
    /// As every call.
    pub async fn rollout_steer(&self, release: Version, verb: RolloutVerb) -> Called<RolloutView> {
        self.post(&format!("/v1/rollouts/{release}/{}", verb.as_str()), &Nothing {}).await
    }

    /// Uploads a target file under its flat name. May be repeated.
    ///
    /// # Errors
    /// As every call.
    pub async fn target_put(&self, name: &str, bytes: Vec<u8>) -> Called<TargetPut> {
        let (length, digest) = (bytes.len() as u64, Digest::of(&bytes));
        self.upload(name, Outgoing::file(bytes.into(), length, digest)).await
    }

    /// Uploads a file piece by piece under its flat name, whatever its size. It is read twice: to sign what it holds, and
    /// to send it. May be repeated.
    ///
    /// # Errors
    /// As every call; [`ClientError::File`].
    pub async fn target_put_file(&self, name: &str, path: &Path) -> Called<TargetPut> {
        let opened = path.to_path_buf();
        let measured = tokio::task::spawn_blocking(move || measure(&opened)).await;
        let (file, length, digest) = measured.map_err(io::Error::other).flatten().map_err(|error| {
            ClientError::File { path: path.display().to_string(), why: error.to_string() }
        })?;
        self.upload(name, Outgoing::file(tokio::fs::File::from_std(file).into(), length, digest)).await
    }

    async fn upload(&self, name: &str, body: Outgoing) -> Called<TargetPut> {
        let (url, response) = self.send(Method::PUT, &format!("/v1/targets/{name}"), body).await?;
        decode(url, response).await
    }

    /// Publishes a signed release.
    ///
    /// # Errors
    /// As every call.
    pub async fn release_publish(&self, body: &Publish) -> Called<ReleaseView> {
        self.post("/v1/releases", body).await
    }

    /// Every release.
    ///
    /// # Errors
    /// As every call.
    pub async fn releases(&self) -> Called<Page<ReleaseView>> {
        self.fetch("/v1/releases").await
    }

    /// Withdraws a release.
    ///
    /// # Errors
    /// As every call.
    pub async fn release_withdraw(&self, release: Version) -> Called<ReleaseView> {
        self.post(&format!("/v1/releases/{release}/withdraw"), &Nothing {}).await
    }

    /// Submits an order that the Founder threshold signed (FO-1).
    ///
    /// # Errors
    /// As every call.
    pub async fn order_submit(&self, order: Jws) -> Called<()> {
        self.tell("/v1/orders", &SubmitOrder { order }).await
    }

    /// Sets a freeze: no offers inside, except of security releases (RO-6).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn freeze(&self, freeze: &Freeze) -> Called<()> {
        self.tell("/v1/freezes", freeze).await
    }

    /// Says that somebody has in hand what lies before the Founder (FO-2).
    ///
    /// # Errors
    /// As every call.
    pub async fn escalation_acknowledge(&self, what: &Acknowledge) -> Called<()> {
        self.tell("/v1/escalations/acknowledge", what).await
    }

    /// Turns the red switch: pauses every rollout at once, or lets them go on (RO-6).
    ///
    /// # Errors
    /// As every call.
    pub async fn red_switch(&self, on: bool) -> Called<()> {
        self.tell("/v1/red-switch", &RedSwitch { on, reason: None }).await
    }

    /// A way into the dashboard, once, for whoever asks.
    ///
    /// # Errors
    /// As every call.
    pub async fn dashboard_link(&self) -> Called<DashboardLink> {
        self.post("/v1/dashboard/links", &Nothing {}).await
    }

    /// The constitution in force, signed by the Founder.
    ///
    /// # Errors
    /// As every call.
    pub async fn constitution(&self) -> Called<Jws> {
        self.fetch("/v1/constitution").await
    }

    /// What lies before the Founder (FO-2).
    ///
    /// # Errors
    /// As every call.
    pub async fn escalations(&self) -> Called<Page<EscalationView>> {
        self.fetch("/v1/escalations").await
    }

    /// Ledger entries from a position on.
    ///
    /// # Errors
    /// As every call.
    pub async fn ledger_entries(&self, from: u64, limit: u32) -> Called<EntryPage> {
        self.fetch(&format!("/v1/ledger/entries?from={from}&limit={limit}")).await
    }

    /// A tile or a bundle of entries of the ledger.
    ///
    /// # Errors
    /// As every call.
    pub async fn ledger_tile(&self, id: TileId) -> Called<Vec<u8>> {
        let path = format!("/v1/ledger/{id}");
        let (url, response) = self.send(Method::GET, &path, Outgoing::json(Vec::new())).await?;
        accepted(url, response).await
    }

    /// The last signed checkpoint, as text.
    ///
    /// # Errors
    /// As every call.
    pub async fn ledger_checkpoint(&self) -> Called<String> {
        self.read_text("/v1/ledger/checkpoint").await
    }

    /// The plane at a glance.
    ///
    /// # Errors
    /// As every call.
    pub async fn federation(&self) -> Called<Federation> {
        self.fetch("/v1/federation").await
    }

    /// A call by path, for what has no method of its own here.
    ///
    /// # Errors
    /// As every call.
    pub async fn post<B: Serialize + Sync, A: DeserializeOwned>(&self, path: &str, body: &B) -> Called<A> {
        let (url, response) = self.send(Method::POST, path, Outgoing::json(encode(body)?)).await?;
        decode(url, response).await
    }

    /// Reads what is text.
    async fn read_text(&self, path: &str) -> Called<String> {
        let (url, response) = self.send(Method::GET, path, Outgoing::json(Vec::new())).await?;
        let status = response.status().as_u16();
        let body = accepted(url.clone(), response).await?;
        String::from_utf8(body).map_err(|error| ClientError::Answer { url, status, why: error.to_string() })
    }

    /// Calls what answers nothing but that it was done.
    async fn tell<B: Serialize + Sync>(&self, path: &str, body: &B) -> Called<()> {
        let (url, response) = self.send(Method::POST, path, Outgoing::json(encode(body)?)).await?;
        accepted(url, response).await.map(|_| ())
    }

    /// Reads by path, for what has no method of its own here.
    ///
    /// # Errors
    /// As every call.
    pub async fn fetch<A: DeserializeOwned>(&self, path: &str) -> Called<A> {
        let (url, response) = self.send(Method::GET, path, Outgoing::json(Vec::new())).await?;
        decode(url, response).await
    }

    /// Signs and sends one request (HS-6).
    async fn send(&self, method: Method, path: &str, body: Outgoing) -> Called<(String, reqwest::Response)> {
        let held = self.held.get();
        let http = if body.media == FILE { &self.uploads } else { held.as_ref().unwrap_or(&self.http) };
        self.send_over(http, method, path, body).await
    }

    async fn send_over(
        &self,
        http: &reqwest::Client,
        method: Method,
        path: &str,
        body: Outgoing,
    ) -> Called<(String, reqwest::Response)> {
        let unsigned = |why: &dyn fmt::Display| ClientError::Unsigned(why.to_string());
        let nonce = self.source.nonce().ok_or_else(|| unsigned(&"the system has no random numbers"))?;
        let target = Target {
            method: method.clone(),
            authority: self.authority.clone(),
            path_and_query: path.to_owned(),
        };
        let fields = sign_head(&target, body.digest, self.source.now(), nonce, self.signer.as_ref())
            .map_err(|error| unsigned(&error))?;
        let url = format!("{}{path}", self.base);
        let mut request = http.request(method, &url);
        if let Some(within) = body.within {
            request = request.timeout(within);
        }
        let response = request
            .header(header::CONTENT_TYPE, body.media)
            .header(header::CONTENT_LENGTH, body.length)
            .headers(fields.into_iter().collect())
            .body(body.body)
            .send()
            .await
            .map_err(|error| ClientError::unreachable(&url, &error))?;
        Ok((url, response))
    }
}

/// What an operator does with a rollout (RO-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutVerb {
    /// Stop for a while.
    Pause,
    /// Go on.
    Resume,
    /// End it where it stands.
    Abort,
    /// Let the next phase begin.
    Approve,
}

impl RolloutVerb {
    /// Its word in the path.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Approve => "approve",
        }
    }
}

const JSON: &str = "application/json";
const FILE: &str = "application/octet-stream";

/// A body on its way out.
struct Outgoing {
    body: reqwest::Body,
    length: u64,
    digest: Digest,
    media: &'static str,
    /// Until the end of the answer, where it has one.
    within: Option<Duration>,
}

impl Outgoing {
    fn json(bytes: Vec<u8>) -> Self {
        let (length, digest) = (bytes.len() as u64, Digest::of(&bytes));
        Self { body: bytes.into(), length, digest, media: JSON, within: Some(ANSWER_WITHIN) }
    }

    const fn file(body: reqwest::Body, length: u64, digest: Digest) -> Self {
        Self { body, length, digest, media: FILE, within: Some(upload_within(length)) }
    }
}

/// A file at its beginning, its length and its SHA-256.
fn measure(path: &Path) -> io::Result<(File, u64, Digest)> {
    let mut file = File::open(path)?;
    let digest = trust::digest(&mut file)?;
    let length = file.stream_position()?;
    file.rewind()?;
    Ok((file, length, digest))
}

/// An empty object.
#[derive(Serialize)]
struct Nothing {}

fn encode<B: Serialize>(body: &B) -> Called<Vec<u8>> {
    serde_json::to_vec(body).map_err(|error| ClientError::Unsigned(error.to_string()))
}

/// The body of a good answer; a refusal becomes an error.
async fn accepted(url: String, response: reqwest::Response) -> Called<Vec<u8>> {
    let status = response.status();
    let retry_after_seconds =
        response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = read(response, ANSWER_BYTES_MAX, &url).await?;
    if status.is_success() {
        return Ok(body);
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => {
            let problem = Box::new(Problem { status: status.as_u16(), ..problem });
            Err(ClientError::Refused { problem, retry_after_seconds })
        }
        Err(_) => {
            Err(ClientError::Answer { url, status: status.as_u16(), why: "gives no reason".to_owned() })
        }
    }
}

async fn decode<A: DeserializeOwned>(url: String, response: reqwest::Response) -> Called<A> {
    let status = response.status();
    let body = accepted(url.clone(), response).await?;
    let why = |error: serde_json::Error| format!("the body is not understood: {error}");
    if status == StatusCode::NO_CONTENT || body.is_empty() {
        return serde_json::from_slice(b"null").map_err(|error| ClientError::Answer {
            url,
            status: status.as_u16(),
            why: why(error),
        });
    }
    serde_json::from_slice(&body).map_err(|error| ClientError::Answer {
        url,
        status: status.as_u16(),
        why: why(error),
    })
}

/// `?key=value&…` of the pairs that have a value; every byte outside the unreserved set is percent-encoded.
fn query_string(pairs: &[(&str, &Option<String>)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        let Some(value) = value else { continue };
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        let some = |text: &str| Some(text.to_owned());
        let (a, none, c) = (some("update-pending"), None, some("a b&c=d/é"));
        let text = query_string(&[("state", &a), ("kind", &none), ("finding", &c)]);
        assert_eq!(text, "?state=update-pending&finding=a%20b%26c%3Dd%2F%C3%A9");
        assert_eq!(query_string(&[("kind", &none)]), "");
    }

    #[test]
    fn only_a_decision_is_final() {
        for (status, is_final) in
            [(400, true), (403, true), (404, true), (409, true), (401, false), (429, false), (503, false)]
        {
            let problem = Box::new(Problem::new(status, "x", "X-1", "no", "do this"));
            let error = ClientError::Refused { problem, retry_after_seconds: None };
            assert_eq!(error.is_final(), is_final, "{status}");
            assert_eq!((error.code(), error.hint()), (Some("x"), Some("do this")));
        }
        let silence = ClientError::Unreachable { url: String::new(), why: String::new() };
        assert!(!silence.is_final());
    }
}
