//! What an instance's signed request asked for (HS-6): the command that the decision must have answered.
//!
//! Never decides: it turns a proved request into a command of `governance`, or says why it proves nothing.

use alloc::string::{String, ToString};

use governance::decide::{Command, Renewal, Statement};
use governance::{
    Digest, DomainCode, Instance, InstanceKey, Running, Span, StatementHead, Timestamp, Version, World,
};
use proof::{Checking, Jws, PublicKey, SignedRequest, VersionStatement};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Fault;

/// Between the check of a request's clock and the decision on it, so much may pass.
const QUEUE_MAX: Span = Span::from_millis(60_000);
/// A request's time is written in whole seconds.
const SECOND: Span = Span::from_millis(1_000);
/// The longest reason of a failure that is put on record, in characters.
const REASON_CHARS_MAX: usize = 1_024;

#[derive(Deserialize)]
struct ReportBody {
    statement: Jws,
}

#[derive(Deserialize)]
struct ReleaseBody {
    release: Version,
}

#[derive(Deserialize)]
struct DomainBody {
    domain: DomainCode,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OutcomeWord {
    Succeeded,
    Failed,
}

#[derive(Deserialize)]
struct FinishBody {
    release: Version,
    outcome: OutcomeWord,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    statement: Option<Jws>,
}

#[derive(Deserialize)]
struct RenewBody {
    key: InstanceKey,
    #[serde(default)]
    chain_head: Option<Digest>,
    #[serde(default)]
    pending: Option<Digest>,
}

/// A request that was proved: what it asked for, and what makes it unrepeatable.
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) created: Timestamp,
    pub(super) nonce: [u8; 16],
}

/// How long after its making a request may still be decided on.
pub(super) fn good_for(world: &World) -> Span {
    world.constitution.request_clock_skew + QUEUE_MAX + SECOND
}

/// Reads a request of this instance, decided on at `at`.
pub(super) fn read(
    request: &SignedRequest,
    instance: &Instance,
    world: &World,
    at: Timestamp,
    key: &PublicKey,
    checking: Checking,
) -> Result<Asked, Fault> {
    let facts = request.read(key, checking).map_err(|error| Fault::new("HS-6", error.to_string()))?;
    let limit = good_for(world);
    if at.since(facts.created) > limit || facts.created.since(at) > limit {
        return Err(Fault::new("HS-6", "the request was signed at another time than it was decided on")
            .expected(at)
            .found(facts.created));
    }
    let prefix = alloc::format!("/v1/instances/{}/", instance.id);
    let call =
        facts.path_and_query().strip_prefix(&prefix).filter(|_| facts.method == "POST").ok_or_else(|| {
            Fault::new("HS-6", "the request is no call of this instance about itself")
                .expected(alloc::format!("POST {prefix}…"))
                .found(alloc::format!("{} {}", facts.method, facts.path_and_query()))
        })?;
    let command = match call {
        "ready" => Command::Ready,
        "report" => {
            Command::Report(statement(&body::<ReportBody>(facts.body)?.statement, instance, key, checking)?)
        }
        "upgrade/begin" => Command::BeginUpgrade { release: body::<ReleaseBody>(facts.body)?.release },
        "upgrade/finish" => finish(body(facts.body)?, instance, key, checking)?,
        "retry" => Command::Retry { release: body::<ReleaseBody>(facts.body)?.release },
        "rollback" => Command::RollBack { release: body::<ReleaseBody>(facts.body)?.release },
        "modules/deactivate" => Command::Deactivate { domain: body::<DomainBody>(facts.body)?.domain },
        "renew" => renew(&body(facts.body)?, instance, at),
        other => {
            return Err(Fault::new("HS-6", "a request for this changes nothing on record").found(other));
        }
    };
    Ok(Asked { command, created: facts.created, nonce: facts.nonce })
}

fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes)
        .map_err(|error| Fault::new("HS-6", alloc::format!("the request's body: {error}")))
}

/// Of the certificate the request says nothing but the key: serial number and end are the Federation's to choose.
fn renew(body: &RenewBody, instance: &Instance, at: Timestamp) -> Command {
    Command::Renew(Renewal {
        by: instance.key,
        key: body.key,
        head: body.chain_head,
        pending: body.pending,
        serial: String::new(),
        not_after: at,
    })
}

fn finish(
    body: FinishBody,
    instance: &Instance,
    key: &PublicKey,
    checking: Checking,
) -> Result<Command, Fault> {
    if let OutcomeWord::Failed = body.outcome {
        let reason = body.reason.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect());
        return Ok(Command::FailUpgrade { release: body.release, reason });
    }
    let document =
        body.statement.ok_or_else(|| Fault::new("RO-3", "success was claimed without a statement"))?;
    let statement = statement(&document, instance, key, checking)?;
    if statement.running.platform != body.release {
        return Err(Fault::new("RO-3", "success was claimed for a release that does not run")
            .expected(body.release)
            .found(statement.running.platform));
    }
    Ok(Command::Report(statement))
}

fn statement(
    document: &Jws,
    instance: &Instance,
    key: &PublicKey,
    checking: Checking,
) -> Result<Statement, Fault> {
    let (statement, digest) = VersionStatement::read(document, instance.id, key, checking)
        .map_err(|error| Fault::new("ID-4", error.to_string()))?;
    Ok(Statement {
        head: StatementHead { sequence: statement.sequence, digest },
        previous: statement.previous,
        running: Running {
            platform: statement.platform,
            runtime: statement.runtime,
            layers: statement.layers,
        },
        domains: statement.domains,
    })
}
