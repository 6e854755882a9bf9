//! The law in force and how it came to be, and what lies before the Founder, with the orders that would answer it.

use axum::extract::{self, Query};
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;
use dashboard::constitution::Law;
use dashboard::escalation::{self, Matter, Subject};
use dashboard::words::{length, spaced};
use governance::{ConstitutionDocument, Digest, FindingCode, InstanceId, Span, State, Version};
use plane::PlaneError;
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
/// Characters of the facts that stand in an order: they fit whatever they are.
const REASON_MAX: usize = 240;
/// How long an override that is downloaded here silences its finding.
const OVERRIDE_FOR: Span = Span::hours(30 * 24);

pub(crate) async fn constitution(extract::State(app): extract::State<App>, visit: Visit) -> Answer {
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

pub(crate) async fn escalations(
    extract::State(app): extract::State<App>,
    visit: Visit,
    Query(done): Query<Done>,
) -> Answer {
    let mut matters = Vec::new();
    for view in app.plane.escalation_list().await? {
        matters.push(matter(&app, view).await?);
    }
    let may_acknowledge =
        may(visit.person().role(), &axum::http::Method::POST, "/v1/escalations/acknowledge");
    page(escalation::page(&chrome(&app, &visit, done.notice()).await?, &matters, may_acknowledge))
}

async fn matter(app: &App, view: EscalationView) -> Result<Matter, PlaneError> {
    if let Ok(id) = view.subject.parse::<InstanceId>() {
        let instance = app.plane.instance_view(id).await?;
        let held = app.plane.instance(id).await?.is_some_and(|record| record.held);
        let subject = Subject::Instance(id, instance.labels.first().cloned());
        let orders = orders_about(&instance, held);
        return Ok(Matter { view, subject, instance: Some(instance), orders });
    }
    let release = view.subject.strip_prefix("rollout of ").and_then(|text| text.parse::<Version>().ok());
    let mut orders = Vec::new();
    if release.is_some() {
        if view.rule == "RO-5" {
            orders
                .push(answer("resume", "lets its offers go on, the count of failures beginning anew (RO-5)"));
        }
        orders.push(answer("withdraw", "takes the release back (RO-5)"));
    }
    let subject = release.map_or(Subject::Federation, Subject::Release);
    Ok(Matter { view, subject, instance: None, orders })
}

fn answer(word: &'static str, does: &str) -> escalation::Answer {
    escalation::Answer { word, finding: None, does: does.to_owned() }
}

/// The orders that the law lets the Founder give about an instance as it stands.
fn orders_about(instance: &wire::InstanceView, held: bool) -> Vec<escalation::Answer> {
    let mut orders = Vec::new();
    let is_revoked = instance.state == State::Revoked;
    if is_revoked || held {
        orders.push(answer(
            "restore",
            "lifts the hold or the revocation; a revoked one shakes hands afresh (LC-17)",
        ));
    }
    for code in instance.findings.iter().filter_map(|finding| finding.code.parse::<FindingCode>().ok()) {
        let does = format!("silences {} for {} (FO-3)", spaced(code.as_str()), length(OVERRIDE_FOR));
        orders.push(escalation::Answer { word: "override", finding: Some(code), does });
    }
    if !is_revoked && !held {
        orders.push(answer("suspend", "holds it suspended until an order restores it (LC-16)"));
    }
    if !is_revoked {
        orders.push(answer("revoke", "locks it out (LC-10)"));
    }
    orders
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
    #[serde(default)]
    finding: String,
}

/// The exact order, in plain text: what each holder of a Founder's key reads and signs offline (FO-1).
pub(crate) async fn order(
    extract::State(app): extract::State<App>,
    Query(asked): Query<OrderQuery>,
) -> Answer {
    let malformed = |why: String| Failure::bad_request("query-malformed", why, "follow the link on the page");
    let OrderQuery { verb, rule, instance, release, finding } = asked;
    let about = if instance.is_empty() { format!("rollout of {release}") } else { instance.clone() };
    let open = app.plane.escalation_list().await?;
    let matter = open.iter().find(|view| view.rule == rule && view.subject == about);
    let matter = matter.ok_or_else(|| Failure::not_found("such matter before the Founder any more"))?;
    let reason: String = format!("{rule}: {}", matter.facts).chars().take(REASON_MAX).collect();
    let instance = || instance.parse::<InstanceId>().map_err(|error| malformed(error.to_string()));
    let release = || release.parse::<Version>().map_err(|error| malformed(error.to_string()));
    let now = app.plane.now();
    let action = match verb.as_str() {
        "override" => {
            let finding = finding.parse::<FindingCode>().map_err(|error| malformed(error.to_string()))?;
            OrderAction::Override { instance: instance()?, finding, until: now + OVERRIDE_FOR, reason }
        }
        "restore" => OrderAction::Restore { instance: instance()?, reason },
        "suspend" => OrderAction::Suspend { instance: instance()?, reason },
        "revoke" => OrderAction::Revoke { instance: instance()?, reason },
        "resume" => OrderAction::Resume { release: release()?, reason },
        "withdraw" => OrderAction::Withdraw { release: release()?, reason },
        _ => return Err(malformed("no such order".to_owned()).into()),
    };
    let order = Order { serial: now.as_millis().unsigned_abs(), expires: now + ORDER_LIFETIME, action };
    order.check(0, now).map_err(|error| malformed(error.to_string()))?;
    let text = serde_json::to_string_pretty(&order).map_err(|error| Failure::unavailable(&error))? + "\n";
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
