//! The instances that are connected: real keys, registered by the API as any other; and how each writes its calls.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use governance::{Digest, InstanceId, Kind, LayerContent, Tier, Version};
use http::Method;
use proof::statement::VersionStatement;
use proof::{Jws, Sign as _, Typ};
use rustls::ClientConfig;
use serde::Serialize;
use trust::RootCa;
use trust::request::{Target, sign_head, sign_on_channel};

use crate::drive::{Drive, Heard, Pace, Plan, Step, Work};
use crate::exchange::{self, Answer};
use crate::federation::{Federation, Identity, now};

/// Registrations under way at once while a fleet is made.
const REGISTER_AT_ONCE: usize = 32;
/// Connections over which the operator enrols.
const OPERATORS: usize = 16;
/// What every instance runs at first.
pub(crate) const PLATFORM: Version = Version::new(0, 1, 0);
/// Pause before what the server put off is tried again, where it names none.
const PUT_OFF: Duration = Duration::from_secs(1);

/// How check-ins are signed (HS-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Signature {
    /// Under the key of the channel.
    Hmac,
    /// With the instance's own key.
    Ed25519,
}

/// A registered instance.
#[derive(Debug)]
pub(crate) struct Instance {
    identity: Identity,
    pub(crate) config: Arc<ClientConfig>,
    id: InstanceId,
    check_in: Target,
    report: Target,
    begin: Target,
    finish: Target,
    /// The version that runs.
    pub(crate) platform: Version,
    /// What it says at a check-in: the mark of where it stands, once it was told (HS-7).
    knows: (Vec<u8>, Digest),
    /// The highest number spent on a channel.
    number: u128,
    /// Statements made, and the digest of the last.
    sequence: u64,
    head: Option<Digest>,
}

/// What a version contains.
pub(crate) fn layers(platform: Version) -> Vec<LayerContent> {
    let id = format!("ORGANISM-v{platform}");
    let digest = Digest::of(id.as_bytes());
    id.parse().into_iter().map(|id| LayerContent { id, digest }).collect()
}

impl Instance {
    fn new(identity: Identity, id: InstanceId, root: &RootCa, authority: &str) -> anyhow::Result<Self> {
        let target = |call: &str| post(authority, format!("/v1/instances/{id}/{call}"));
        let config = identity.client(root)?;
        Ok(Self {
            identity,
            config,
            id,
            check_in: target("check-in"),
            report: target("report"),
            begin: target("upgrade/begin"),
            finish: target("upgrade/finish"),
            platform: PLATFORM,
            knows: (NOTHING.to_vec(), Digest::of(NOTHING)),
            number: 0,
            sequence: 0,
            head: None,
        })
    }

    /// Writes a check-in.
    pub(crate) fn check_in(
        &mut self,
        signature: Signature,
        channel: &[u8; 32],
        out: &mut Vec<u8>,
    ) -> anyhow::Result<()> {
        let (body, digest) = &self.knows;
        let fields = match signature {
            Signature::Hmac => {
                self.number += 1;
                let key = (self.identity.key.key_id(), channel);
                sign_on_channel(&self.check_in, *digest, now(), self.number, key)?
            }
            Signature::Ed25519 => {
                sign_head(&self.check_in, *digest, now(), trust::random()?, &self.identity.key)?
            }
        };
        exchange::write(out, &self.check_in, &fields, body);
        Ok(())
    }

    /// Remembers the mark of where it stands.
    pub(crate) fn knows(&mut self, mark: wire::Mark) -> anyhow::Result<()> {
        let body = json(&wire::CheckIn { have: Some(mark) })?;
        let digest = Digest::of(&body);
        self.knows = (body, digest);
        Ok(())
    }

    /// Asks for the stream of news.
    pub(crate) fn listen(&self, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let path_and_query = format!("/v1/instances/{}/events", self.id);
        let target = Target { method: Method::GET, path_and_query, ..self.check_in.clone() };
        call(out, &target, b"", &self.identity)
    }

    /// Writes a version statement.
    pub(crate) fn report(&self, statement: Jws, out: &mut Vec<u8>) -> anyhow::Result<()> {
        call(out, &self.report, &json(&wire::Report { statement })?, &self.identity)
    }

    /// Writes that it begins the upgrade that is on offer.
    pub(crate) fn begin(&self, release: Version, serial: u64, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let body = wire::UpgradeBegin { release, directive_serial: serial };
        call(out, &self.begin, &json(&body)?, &self.identity)
    }

    /// Writes that the upgrade succeeded.
    pub(crate) fn finish(&self, release: Version, statement: Jws, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let (outcome, statement) = (wire::UpgradeOutcome::Succeeded, Some(statement));
        let body = wire::UpgradeFinish { release, outcome, reason: None, statement };
        call(out, &self.finish, &json(&body)?, &self.identity)
    }

    /// The statement behind the last, that this version runs; and its digest.
    pub(crate) fn statement(&self, platform: Version) -> anyhow::Result<(Jws, Digest)> {
        let statement = VersionStatement {
            instance: self.id,
            sequence: self.sequence + 1,
            previous: self.head,
            at: now(),
            platform,
            runtime: PLATFORM,
            layers: layers(platform),
            domains: Vec::new(),
        };
        let digest = Digest::of(&serde_json::to_vec(&statement)?);
        Ok((Jws::sign_json(Typ::Statement, &statement, &self.identity.key)?, digest))
    }

    /// A statement was taken: the next one stands behind it.
    pub(crate) fn stated(&mut self, platform: Version, digest: Digest) {
        self.sequence += 1;
        (self.head, self.platform) = (Some(digest), platform);
    }
}

/// The body of calls that say nothing.
const NOTHING: &[u8] = b"{}";

fn post(authority: &str, path_and_query: String) -> Target {
    Target { method: Method::POST, authority: authority.to_owned(), path_and_query }
}

/// Writes a call with a body, signed with the caller's own key.
fn call(out: &mut Vec<u8>, target: &Target, body: &[u8], identity: &Identity) -> anyhow::Result<()> {
    let fields = sign_head(target, Digest::of(body), now(), trust::random()?, &identity.key)?;
    exchange::write(out, target, &fields, body);
    Ok(())
}

fn json(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    serde_json::to_vec(value).context("a body")
}

/// What an answer means, where success is all that is wanted of it.
pub(crate) fn judged(answer: &Answer<'_>, name: &'static str) -> Heard {
    match answer.status {
        200..=299 | 304 => Heard::Done(name),
        429 | 503 => Heard::Later(answer.retry_after.map_or(PUT_OFF, Duration::from_secs)),
        status => Heard::Failed(told(status, answer.body)),
    }
}

/// A refusal, as its problem document names it.
fn told(status: u16, body: &[u8]) -> String {
    match serde_json::from_slice::<wire::Problem>(body) {
        Ok(problem) => format!("{status} {}", problem.code),
        Err(_) => format!("{status} without a problem document"),
    }
}

/// The operator enrols instances, each with a secret.
struct Enrolling {
    operator: Identity,
    config: Arc<ClientConfig>,
    target: Target,
    secrets: Vec<String>,
}

impl Work for Enrolling {
    fn identity(&self, _: usize) -> Option<Arc<ClientConfig>> {
        Some(Arc::clone(&self.config))
    }
    fn ask(&mut self, _: usize, _: &[u8; 32], out: &mut Vec<u8>) -> anyhow::Result<Step> {
        let request = wire::EnrolmentRequest {
            kind: Kind::SaasShared,
            tier: Tier::Free,
            provider: None,
            labels: Vec::new(),
        };
        call(out, &self.target, &json(&request)?, &self.operator)?;
        Ok(Step::Request)
    }
    fn heard(&mut self, _: usize, answer: &Answer<'_>) -> Heard {
        let heard = judged(answer, "enrolment");
        if matches!(heard, Heard::Done(_)) {
            match serde_json::from_slice::<wire::EnrolmentCreated>(answer.body) {
                Ok(created) => self.secrets.push(created.secret),
                Err(error) => return Heard::Failed(error.to_string()),
            }
        }
        heard
    }
}

/// The secrets of so many enrolments, made by the operator through the API.
pub(crate) fn enrol(federation: &Federation, count: usize) -> anyhow::Result<Vec<String>> {
    let operator = federation.operator()?;
    let config = operator.client(&federation.root)?;
    let target = post(&federation.instances.to_string(), "/v1/enrolments".to_owned());
    let enrolling = Enrolling { operator, config, target, secrets: Vec::with_capacity(count) };
    let mut drive = Drive::new(enrolling, OPERATORS, federation.instances)?;
    let plan = Plan { pace: Pace::each(count, OPERATORS), afresh: false };
    let tally = drive.run(plan)?;
    ensure!(tally.failures() == 0, "enrolling: {}", tally.causes());
    Ok(drive.work.secrets)
}

/// Clients that register, each with a key of its own.
pub(crate) struct Registering {
    waiting: Vec<Candidate>,
    authority: String,
    /// What was answered, by the link.
    answers: Vec<Option<wire::Registered>>,
    target: Target,
}

/// A client before it is an instance.
struct Candidate {
    identity: Identity,
    config: Arc<ClientConfig>,
    body: Vec<u8>,
}

impl Registering {
    /// One for each secret; keys and requests are made beforehand.
    pub(crate) fn new(root: &RootCa, authority: String, secrets: &[String]) -> anyhow::Result<Self> {
        let candidate = |secret: &String| {
            let identity = Identity::fresh()?;
            let request = wire::Register {
                secret: secret.clone(),
                csr: trust::ca::make_csr(&identity.key)?,
                metadata: wire::Metadata {
                    platform: PLATFORM,
                    runtime: PLATFORM,
                    layers: layers(PLATFORM),
                    domains: Vec::new(),
                    tier: Tier::Free,
                    endpoint: "https://127.0.0.1:9999".parse()?,
                },
            };
            let config = identity.client(root)?;
            Ok(Candidate { identity, config, body: json(&request)? })
        };
        let waiting = secrets.iter().map(candidate).collect::<anyhow::Result<Vec<_>>>()?;
        let target = post(&authority, "/v1/register".to_owned());
        let answers = vec![None; waiting.len()];
        Ok(Self { waiting, authority, answers, target })
    }

    /// Those that were registered.
    pub(crate) fn into_instances(self, root: &RootCa) -> anyhow::Result<Vec<Instance>> {
        let Self { waiting, authority, answers, .. } = self;
        let registered = waiting.into_iter().zip(answers).filter_map(|(one, answer)| Some((one, answer?)));
        let instance = |(one, answer): (Candidate, wire::Registered)| {
            let chain = trust::pem::certificates(&answer.certificate)?;
            let identity = Identity { key: one.identity.key, chain };
            Instance::new(identity, answer.instance, root, &authority)
        };
        registered.map(instance).collect()
    }
}

impl Work for Registering {
    fn identity(&self, link: usize) -> Option<Arc<ClientConfig>> {
        self.waiting.get(link).map(|one| Arc::clone(&one.config))
    }
    fn ask(&mut self, link: usize, _: &[u8; 32], out: &mut Vec<u8>) -> anyhow::Result<Step> {
        let one = self.waiting.get(link).context("no such client")?;
        call(out, &self.target, &one.body, &one.identity)?;
        Ok(Step::Request)
    }
    fn heard(&mut self, link: usize, answer: &Answer<'_>) -> Heard {
        let heard = judged(answer, "register");
        if matches!(heard, Heard::Done(_)) {
            match serde_json::from_slice(answer.body) {
                Ok(registered) => {
                    if let Some(slot) = self.answers.get_mut(link) {
                        *slot = Some(registered);
                    }
                    return heard;
                }
                Err(error) => return Heard::Failed(error.to_string()),
            }
        }
        heard
    }
}

/// So many registered instances, each deployed: ready.
pub(crate) fn instances(federation: &Federation, count: usize) -> anyhow::Result<Vec<Instance>> {
    let secrets = enrol(federation, count)?;
    let authority = federation.instances.to_string();
    let registering = Registering::new(&federation.root, authority, &secrets)?;
    let mut drive = Drive::new(registering, count, federation.instances)?;
    let plan = Plan { pace: Pace::each(count, REGISTER_AT_ONCE), afresh: true };
    let tally = drive.run(plan)?;
    ensure!(tally.failures() == 0, "registering: {}", tally.causes());
    let instances = drive.work.into_instances(&federation.root)?;
    let mut drive = Drive::new(Deployed(instances), count, federation.instances)?;
    let tally = drive.run(Plan { pace: Pace::each(count, REGISTER_AT_ONCE), afresh: true })?;
    ensure!(tally.failures() == 0, "ready: {}", tally.causes());
    Ok(drive.work.0)
}

/// Instances that say that they are deployed (LC-1).
struct Deployed(Vec<Instance>);

impl Work for Deployed {
    fn identity(&self, link: usize) -> Option<Arc<ClientConfig>> {
        self.0.get(link).map(|instance| Arc::clone(&instance.config))
    }
    fn ask(&mut self, link: usize, _: &[u8; 32], out: &mut Vec<u8>) -> anyhow::Result<Step> {
        let instance = self.0.get(link).context("no such instance")?;
        let target = post(&instance.check_in.authority, format!("/v1/instances/{}/ready", instance.id));
        call(out, &target, NOTHING, &instance.identity)?;
        Ok(Step::Request)
    }
    fn heard(&mut self, _: usize, answer: &Answer<'_>) -> Heard {
        judged(answer, "ready")
    }
}
