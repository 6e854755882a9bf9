//! The law in force and how it came to be, and what lies before the Founder, with the orders that would answer it.

use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashboard::constitution::Law;
use dashboard::escalation::{self, Matter, Subject};
use governance::{ConstitutionDocument, Digest, InstanceId, Span, Version};
use plane::PlaneError;
use proof::Jws;
use proof::order::{Order, OrderAction};
use serde::Deserialize;
use wire::EscalationView;

use super::doors::may;
use super::pages::{Done, chrome};
use super::sessions::Visit;
use super::{Answer, page};
use crate::app::App;
use crate::problem::Failure;

/// Constitutions that are shown, the one in force first.
const HISTORY_MAX: usize = 20;
/// How long an order that is downloaded here may be handed in: it goes from holder to holder first.
const ORDER_LIFETIME: Span = Span::hours(7 * 24);

pub(crate) async fn constitution(State(app): State<App>, visit: Visit) -> Answer {
    let (law, digest, to_come) = app.plane.world(|world| {
        let to_come = world.amendments.iter().map(|one| (one.digest, one.document.clone())).collect();
        (world.constitution.clone(), world.constitution_digest, to_come)
    });
    let history = history(&app).await?;
    page(Law { law, digest, to_come, history }.page(&chrome(&app, &visit, None).await?))
}

/// The document in force, and what each replaced, as far as they are kept.
async fn history(app: &App) -> Result<Vec<(Digest, ConstitutionDocument)>, PlaneError> {
    let mut found = Vec::new();
    let mut next = Some(app.plane.constitution_document().await?);
    while let Some(signed) = next.take() {
        // It was verified when it was put on record.
        let Ok(document) = signed.parse_unverified::<ConstitutionDocument>() else { break };
        let previous = document.previous;
        found.push((signed.digest(), document));
        if let Some(previous) = previous.filter(|_| found.len() < HISTORY_MAX) {
            next = app.plane.constitution_kept(previous).await?;
        }
    }
    Ok(found)
}

pub(crate) async fn escalations(State(app): State<App>, visit: Visit, Query(done): Query<Done>) -> Answer {
    let mut matters = Vec::new();
    for view in app.plane.escalation_list().await? {
        let subject = subject(&app, &view).await?;
        let orders = orders(&view.rule, &subject);
        matters.push(Matter { view, subject, orders });
    }
    let may_acknowledge =
        may(visit.person().role(), &axum::http::Method::POST, "/v1/escalations/acknowledge");
    page(escalation::page(&chrome(&app, &visit, done.notice()).await?, &matters, may_acknowledge))
}

async fn subject(app: &App, view: &EscalationView) -> Result<Subject, PlaneError> {
    if let Ok(id) = view.subject.parse::<InstanceId>() {
        let label = app.plane.instance(id).await?.and_then(|instance| instance.labels.first().cloned());
        return Ok(Subject::Instance(id, label));
    }
    let release = view.subject.strip_prefix("rollout of ").and_then(|text| text.parse::<Version>().ok());
    Ok(release.map_or(Subject::Federation, Subject::Release))
}

/// The orders that answer a matter.
fn orders(rule: &str, subject: &Subject) -> Vec<(&'static str, &'static str)> {
    match subject {
        Subject::Instance(..) => vec![
            ("restore", "lifts the hold or the revocation: it shakes hands afresh (LC-17)"),
            ("suspend", "holds it suspended until an order restores it (LC-16)"),
            ("revoke", "locks it out (LC-10)"),
        ],
        Subject::Release(_) if rule == "RO-5" => vec![
            ("resume", "lets its offers go on, the count of failures beginning anew (RO-5)"),
            ("withdraw", "takes the release back (RO-5)"),
        ],
        Subject::Release(_) => vec![("withdraw", "takes the release back (RO-5)")],
        Subject::Federation => Vec::new(),
    }
}

#[derive(Deserialize)]
pub(crate) struct OrderQuery {
    #[serde(rename = "do")]
    verb: String,
    rule: String,
    #[serde(default)]
    instance: String,
    #[serde(default)]
    release: String,
}

/// The exact order, without a signature: what each holder of a Founder's key signs offline (FO-1).
pub(crate) async fn order(State(app): State<App>, Query(asked): Query<OrderQuery>) -> Answer {
    let malformed = |why: String| Failure::bad_request("query-malformed", why, "follow the link on the page");
    let OrderQuery { verb, rule, instance, release } = asked;
    let about = if instance.is_empty() { format!("rollout of {release}") } else { instance.clone() };
    let open = app.plane.escalation_list().await?;
    let matter = open.iter().find(|view| view.rule == rule && view.subject == about);
    let matter = matter.ok_or_else(|| Failure::not_found("such matter before the Founder any more"))?;
    let reason = format!("{rule}: {}", matter.facts);
    let instance = || instance.parse::<InstanceId>().map_err(|error| malformed(error.to_string()));
    let release = || release.parse::<Version>().map_err(|error| malformed(error.to_string()));
    let action = match verb.as_str() {
        "restore" => OrderAction::Restore { instance: instance()?, reason },
        "suspend" => OrderAction::Suspend { instance: instance()?, reason },
        "revoke" => OrderAction::Revoke { instance: instance()?, reason },
        "resume" => OrderAction::Resume { release: release()?, reason },
        "withdraw" => OrderAction::Withdraw { release: release()?, reason },
        _ => return Err(malformed("no such order".to_owned()).into()),
    };
    let now = app.plane.now();
    let order = Order { serial: now.as_millis().unsigned_abs(), expires: now + ORDER_LIFETIME, action };
    let payload = serde_json::to_vec(&order).map_err(|error| Failure::unavailable(&error))?;
    let text = format!("{{\"payload\":\"{}\",\"signatures\":[]}}\n", URL_SAFE_NO_PAD.encode(payload));
    Jws::parse(text.as_bytes()).map_err(|error| Failure::unavailable(&error))?;
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let name = format!("attachment; filename=\"order-{verb}-{}.json\"", order.serial);
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_str(&name).map_err(|error| Failure::unavailable(&error))?,
    );
    Ok(response)
}
