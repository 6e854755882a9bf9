//! What operators call: enrolments, instances, rollouts, releases, orders, the ledger.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governance::decide::Command;
use governance::{
    FindingCode, Instance, InstanceId, Kind, ProviderId, State as InstanceState, Tier, Version, World,
};
use ledger::{LogProof, TileId};
use plane::PlaneError;
use plane::ports::{InstanceFilter, PAGE_MAX};
use plane::publication::{CHECKPOINT, Files as _};
use plane::rollouts::RolloutVerb;
use serde::Deserialize;
use store::Folder;
use tokio::runtime::Handle;
use wire::{
    Acknowledge, ChallengeOutcome, ChallengeView, DecisionView, EnrolmentCreated, EnrolmentRequest,
    EnrolmentView, EntryPage, EscalationView, Explanation, Federation, Freeze, InstanceView, Page, Publish,
    RedSwitch, ReleaseView, RenewTargets, RevokePerson, RevokedPeople, RolloutView, SubmitOrder,
    SubscriptionChange, TargetsView,
};

use crate::app::App;
use crate::aside::Aside;
use crate::gate::Call;
use crate::problem::{Answer, Failure};

/// Instances on a page, when the query does not say.
const PAGE_DEFAULT: usize = 100;
/// Records on a page at most: they are larger than what listings show of them.
const RECORDS_MAX: usize = 200;
/// Bytes of ledger entries in one answer, at most; one entry always fits.
const ENTRIES_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(crate) async fn enrolment_create(
    State(app): State<App>,
    call: Call,
) -> Result<(StatusCode, Json<EnrolmentCreated>), Failure> {
    let body: EnrolmentRequest = call.json()?;
    call.owns(body.provider.as_ref())?;
    let created = app.plane.enrolment_create(call.person()?, body).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

pub(crate) async fn re_enrol(
    State(app): State<App>,
    call: Call,
) -> Result<(StatusCode, Json<EnrolmentCreated>), Failure> {
    call.nothing()?;
    let created = app.plane.re_enrol(call.person()?, call.param("id")?).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

pub(crate) async fn enrolment_list(State(app): State<App>, call: Call) -> Answer<Page<EnrolmentView>> {
    call.nothing()?;
    Ok(Json(Page { items: app.plane.enrolments_waiting().await?, next: None }))
}

pub(crate) async fn enrolment_approve(State(app): State<App>, call: Call) -> Result<StatusCode, Failure> {
    call.nothing()?;
    app.plane.enrolment_approve(call.person()?, call.param("digest")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceQuery {
    state: Option<InstanceState>,
    platform: Option<Version>,
    kind: Option<Kind>,
    tier: Option<Tier>,
    provider: Option<ProviderId>,
    finding: Option<FindingCode>,
    after: Option<InstanceId>,
    limit: Option<usize>,
}

pub(crate) async fn instance_list(State(app): State<App>, call: Call) -> Answer<Page<InstanceView>> {
    let InstanceQuery { state, platform, kind, tier, provider, finding, after, limit } = call.query()?;
    let provider = provider.or_else(|| call.person().ok()?.provider().cloned());
    call.owns(provider.as_ref())?;
    let filter = InstanceFilter { state, platform, kind, tier, provider, unbelieved: None };
    let mut page = app.plane.instance_list(&filter, after, limit.unwrap_or(PAGE_DEFAULT)).await?;
    if let Some(finding) = finding {
        // A page may come out short; `next` still leads on.
        let code = finding.to_string();
        page.items.retain(|instance| instance.findings.iter().any(|found| found.code == code));
    }
    Ok(Json(page))
}

pub(crate) async fn instance_show(State(app): State<App>, call: Call) -> Answer<InstanceView> {
    Ok(Json(app.plane.instance_view(call.param("id")?).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    release: Option<Version>,
}

pub(crate) async fn explain(State(app): State<App>, call: Call) -> Answer<Explanation> {
    let ExplainQuery { release } = call.query()?;
    Ok(Json(app.plane.explain(call.param("id")?, release).await?))
}

pub(crate) async fn challenge(State(app): State<App>, call: Call) -> Answer<ChallengeView> {
    call.nothing()?;
    let ledger = Aside(app.ledger.clone());
    let mut view = app.plane.challenge(call.param("id")?, app.challenger.as_deref(), &ledger).await?;
    app.metrics.challenged(&view);
    let is_unheard = matches!(view.outcome, ChallengeOutcome::Waiting | ChallengeOutcome::Unanswered);
    // Who names the endpoint does not learn by it what this plane's resolver and network say of any address.
    if is_unheard && call.person()?.provider().is_some() {
        tracing::info!(instance = %view.instance, detail = view.detail, "no answer at the endpoint");
        view.detail =
            Some("no answer at its endpoint that counts; operators of the federation see why".to_owned());
    }
    Ok(Json(view))
}

pub(crate) async fn suspend(State(app): State<App>, call: Call) -> Answer<InstanceView> {
    operate(&app, &call, Command::Suspend).await
}

pub(crate) async fn reactivate(State(app): State<App>, call: Call) -> Answer<InstanceView> {
    operate(&app, &call, Command::Reactivate).await
}

async fn operate(app: &App, call: &Call, command: Command) -> Answer<InstanceView> {
    call.nothing()?;
    Ok(Json(app.plane.operate(call.person()?, call.param("id")?, command).await?))
}

pub(crate) async fn subscription(State(app): State<App>, call: Call) -> Answer<InstanceView> {
    let SubscriptionChange { tier, status, until } = call.json()?;
    let command = Command::ChangeSubscription { tier, status, until };
    Ok(Json(app.plane.operate(call.person()?, call.param("id")?, command).await?))
}

pub(crate) async fn rollout_list(State(app): State<App>, _call: Call) -> Answer<Page<RolloutView>> {
    Ok(Json(Page { items: app.plane.rollout_list().await?, next: None }))
}

pub(crate) async fn rollout_show(State(app): State<App>, call: Call) -> Answer<RolloutView> {
    Ok(Json(app.plane.rollout_view(call.param("release")?).await?))
}

pub(crate) async fn rollout_steer(State(app): State<App>, call: Call) -> Answer<RolloutView> {
    let verb: String = call.param("verb").unwrap_or_default();
    let verb = match verb.as_str() {
        "pause" => RolloutVerb::Pause,
        "resume" => RolloutVerb::Resume,
        "abort" => RolloutVerb::Abort,
        "approve" => RolloutVerb::Approve,
        _ => return Err(Failure::not_found("such step: one of pause, resume, abort, approve")),
    };
    call.nothing()?;
    Ok(Json(app.plane.steer(call.person()?, call.param("release")?, verb).await?))
}

/// Publishing measures packages and syncs files: off the async threads.
pub(crate) async fn release_publish(
    State(app): State<App>,
    call: Call,
) -> Result<(StatusCode, Json<ReleaseView>), Failure> {
    let body: Publish = call.json()?;
    let person = call.person()?.clone();
    let runtime = tokio::runtime::Handle::current();
    let published = tokio::task::spawn_blocking(move || {
        runtime.block_on(async { app.plane.publish(&person, &body).await })
    });
    let release = published.await.map_err(|error| Failure::unavailable(&error))??;
    Ok((StatusCode::CREATED, Json(release)))
}

pub(crate) async fn targets_renew(State(app): State<App>, call: Call) -> Answer<TargetsView> {
    let RenewTargets { targets } = call.json()?;
    let plane = Arc::clone(&app.plane);
    let renewed = tokio::task::spawn_blocking(move || plane.targets_renew(&targets)).await;
    Ok(Json(renewed.map_err(|error| Failure::unavailable(&error))??))
}

pub(crate) async fn release_list(State(app): State<App>, _call: Call) -> Answer<Page<ReleaseView>> {
    Ok(Json(Page { items: app.plane.release_list(), next: None }))
}

pub(crate) async fn release_withdraw(State(app): State<App>, call: Call) -> Answer<ReleaseView> {
    call.nothing()?;
    Ok(Json(app.plane.withdraw(call.person()?, call.param("release")?).await?))
}

pub(crate) async fn freeze(State(app): State<App>, call: Call) -> Result<StatusCode, Failure> {
    let freeze: Freeze = call.json()?;
    app.plane.freeze(call.person()?, freeze).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn red_switch(State(app): State<App>, call: Call) -> Result<StatusCode, Failure> {
    let turn: RedSwitch = call.json()?;
    app.plane.red_switch(call.person()?, &turn).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn person_revoke(State(app): State<App>, call: Call) -> Result<StatusCode, Failure> {
    let body: RevokePerson = call.json()?;
    app.plane.revoke_person(call.person()?, call.serial(), &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn people_revoked(State(app): State<App>, _call: Call) -> Answer<RevokedPeople> {
    Ok(Json(RevokedPeople { serials: app.plane.revoked_people() }))
}

pub(crate) async fn order_submit(State(app): State<App>, call: Call) -> Result<StatusCode, Failure> {
    let SubmitOrder { order } = call.json()?;
    app.plane.order(&order).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn escalation_list(State(app): State<App>, _call: Call) -> Answer<Page<EscalationView>> {
    Ok(Json(Page { items: app.plane.escalation_list().await?, next: None }))
}

pub(crate) async fn escalation_acknowledge(
    State(app): State<App>,
    call: Call,
) -> Result<StatusCode, Failure> {
    let body: Acknowledge = call.json()?;
    app.plane.acknowledge(call.person()?, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryQuery {
    #[serde(default)]
    from: u64,
    limit: Option<usize>,
}

pub(crate) async fn ledger_entries(State(app): State<App>, call: Call) -> Answer<EntryPage> {
    let EntryQuery { from, limit } = call.query()?;
    let limit = limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let (entries, openings) = app.plane.entries(from, limit, ENTRIES_BYTES_MAX).await?;
    let entries = entries.iter().map(|entry| STANDARD.encode(entry)).collect();
    Ok(Json(EntryPage { from, entries, openings }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionQuery {
    from: Option<u64>,
    limit: Option<usize>,
}

pub(crate) async fn decisions(State(app): State<App>, call: Call) -> Answer<Page<DecisionView>> {
    let DecisionQuery { from, limit } = call.query()?;
    Ok(Json(app.plane.decisions(call.param("id")?, from.unwrap_or(1), limit.unwrap_or(PAGE_DEFAULT)).await?))
}

pub(crate) async fn decision_proof(State(app): State<App>, call: Call) -> Result<Response, Failure> {
    let (id, number) = (call.param("id")?, call.param("number")?);
    proved(app, move |plane, ledger| Handle::current().block_on(plane.decision_proof(&ledger, id, number)))
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofQuery {
    position: u64,
}

pub(crate) async fn ledger_proof(State(app): State<App>, call: Call) -> Result<Response, Failure> {
    let ProofQuery { position } = call.query()?;
    proved(app, move |plane, ledger| Handle::current().block_on(plane.proof(&ledger, position))).await
}

/// The text of a proof: tiles are files, and files block.
async fn proved(
    app: App,
    prove: impl FnOnce(Arc<crate::Plane>, Folder) -> Result<LogProof, PlaneError> + Send + 'static,
) -> Result<Response, Failure> {
    let (plane, ledger) = (Arc::clone(&app.plane), app.ledger.clone());
    let proof = tokio::task::spawn_blocking(move || prove(plane, ledger)).await;
    let proof = proof.map_err(|error| Failure::unavailable(&error))??;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], proof.to_string()).into_response())
}

/// Tiles by the path that C2SP tlog-tiles gives them, bundles of entries among them: with the checkpoint beside them, what any
/// reader of such logs asks for.
pub(crate) async fn ledger_tile(State(app): State<App>, call: Call) -> Result<Response, Failure> {
    let path = format!("tile/{}", call.param::<String>("path")?);
    let id = TileId::parse(&path).map_err(|error| Failure::not_found(format!("tile there: {error}")))?;
    let ledger = app.ledger.clone();
    let read = tokio::task::spawn_blocking(move || ledger.read(&id.to_string())).await;
    let bytes =
        read.map_err(|error| Failure::unavailable(&error))?.map_err(|error| Failure::unavailable(&error))?;
    let bytes = bytes.ok_or_else(|| Failure::not_found("tile there"))?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

pub(crate) async fn ledger_checkpoint(State(app): State<App>, _call: Call) -> Result<Response, Failure> {
    let ledger = app.ledger.clone();
    let read = tokio::task::spawn_blocking(move || ledger.read(CHECKPOINT)).await;
    let bytes =
        read.map_err(|error| Failure::unavailable(&error))?.map_err(|error| Failure::unavailable(&error))?;
    let bytes = bytes.ok_or_else(|| Failure::not_found("checkpoint yet"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], bytes).into_response())
}

pub(crate) async fn record_of_the_world(State(app): State<App>, _call: Call) -> Answer<World> {
    Ok(Json(app.plane.record_of_the_world()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordQuery {
    after: Option<InstanceId>,
    limit: Option<usize>,
}

pub(crate) async fn records(State(app): State<App>, call: Call) -> Answer<Page<Instance>> {
    let RecordQuery { after, limit } = call.query()?;
    Ok(Json(app.plane.records(after, limit.unwrap_or(PAGE_DEFAULT).min(RECORDS_MAX)).await?))
}

pub(crate) async fn federation(State(app): State<App>, _call: Call) -> Answer<Federation> {
    Ok(Json(app.plane.overview().await?))
}

pub(crate) async fn constitution(State(app): State<App>, _call: Call) -> Answer<proof::Jws> {
    Ok(Json(app.plane.constitution_document().await?))
}
