//! What instances call. Each handler reads its body, hands it to the use case, and answers.

use axum::Json;
use axum::extract::State;
use plane::PlaneError;
use wire::{
    ChallengeAnswer, CheckIn, CheckedIn, ModuleCall, Register, Registered, Renew, Renewed, Report, Retry,
    Rollback, Standing, Status, Token, UpgradeBegin, UpgradeFinish,
};

use crate::app::App;
use crate::aside::Aside;
use crate::gate::Call;
use crate::problem::Answer;

pub(crate) async fn register(State(app): State<App>, call: Call) -> Answer<Registered> {
    let body: Register = call.json()?;
    Ok(Json(app.plane.register(call.key(), &body).await?))
}

pub(crate) async fn renew(State(app): State<App>, call: Call) -> Answer<Renewed> {
    let body: Renew = call.json()?;
    Ok(Json(app.plane.renew(&call.signed()?, &body).await?))
}

pub(crate) async fn ready(State(app): State<App>, call: Call) -> Answer<Standing> {
    call.nothing()?;
    Ok(Json(app.plane.ready(&call.signed()?).await?))
}

pub(crate) async fn report(State(app): State<App>, call: Call) -> Answer<Standing> {
    let body: Report = call.json()?;
    Ok(Json(app.plane.report(&call.signed()?, &body.statement).await?))
}

pub(crate) async fn check_in(State(app): State<App>, call: Call) -> Answer<CheckedIn> {
    let CheckIn { have } = call.json_or_default()?;
    app.plane.busy(app.busy_permille());
    Ok(Json(app.plane.check_in(call.instance()?, have).await?))
}

pub(crate) async fn upgrade_begin(State(app): State<App>, call: Call) -> Answer<Standing> {
    let body: UpgradeBegin = call.json()?;
    Ok(Json(app.plane.upgrade_begin(&call.signed()?, body.release).await?))
}

pub(crate) async fn upgrade_finish(State(app): State<App>, call: Call) -> Answer<Standing> {
    let body: UpgradeFinish = call.json()?;
    Ok(Json(app.plane.upgrade_finish(&call.signed()?, &body).await?))
}

pub(crate) async fn retry(State(app): State<App>, call: Call) -> Answer<Standing> {
    let body: Retry = call.json()?;
    Ok(Json(app.plane.retry(&call.signed()?, body.release).await?))
}

pub(crate) async fn rollback(State(app): State<App>, call: Call) -> Answer<Standing> {
    let body: Rollback = call.json()?;
    Ok(Json(app.plane.roll_back(&call.signed()?, body.release).await?))
}

pub(crate) async fn entitlement(State(app): State<App>, call: Call) -> Answer<Token> {
    call.nothing()?;
    Ok(Json(app.plane.entitle(&call.signed()?).await?))
}

pub(crate) async fn module_activate(State(app): State<App>, call: Call) -> Answer<Token> {
    let body: ModuleCall = call.json()?;
    Ok(Json(app.plane.activate(&call.signed()?, body.domain).await?))
}

pub(crate) async fn module_deactivate(State(app): State<App>, call: Call) -> Answer<Standing> {
    let body: ModuleCall = call.json()?;
    Ok(Json(app.plane.deactivate(&call.signed()?, body.domain).await?))
}

pub(crate) async fn answer(State(app): State<App>, call: Call) -> Answer<Standing> {
    let body: ChallengeAnswer = call.json()?;
    let ledger = Aside(app.ledger.clone());
    let (view, standing) = app.plane.answer(&call.signed()?, &body.answer, &ledger).await?;
    app.metrics.challenged(&view);
    Ok(Json(standing))
}

pub(crate) async fn status(State(app): State<App>, call: Call) -> Answer<Status> {
    let id = call.instance()?;
    let key = governance::InstanceKey::from_bytes(*call.key().as_bytes());
    let instance = app.plane.identity(id, key).await?;
    let instance = instance.ok_or_else(|| PlaneError::NotFound(format!("instance {id}")))?;
    Ok(Json(Status { state: instance.state, since: instance.since }))
}
