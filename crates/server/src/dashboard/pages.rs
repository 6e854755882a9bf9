//! The pages that are read: each asks the plane, and hands what it says to the crate that writes HTML.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect};
use dashboard::fleet::{AtRisk, Filter, Fleet};
use dashboard::instance::{Decisions, Instance};
use dashboard::release::Releases;
use dashboard::rollout::{self, Rollout};
use dashboard::{Chrome, Notice, Red, Section, Tone};
use governance::{Event, InstanceEvent, InstanceId, Timestamp, Version, World};
use plane::PlaneError;
use plane::ports::InstanceFilter;
use serde::Deserialize;
use wire::{DecisionView, FleetSummary, Page, Risk};

use super::doors::{self, may};
use super::sessions::Visit;
use super::{Answer, page};
use crate::app::App;
use crate::problem::Failure;

/// Instances on a page.
const INSTANCES_SHOWN: usize = 50;
/// Where few of a page fit the filter, so many pages are looked through for one.
const PAGES_LOOKED_THROUGH: usize = 10;
/// Decisions on a page.
const DECISIONS_SHOWN: u64 = 25;
/// Of an instance's last decisions, so many are looked through for changes of its state.
const MOVES_WITHIN: usize = 200;
/// Changes of state that are shown.
const MOVES_SHOWN: usize = 12;

/// What is said once behind an act: by a word in the address, so that nobody else's words are shown.
const DONE: &[(&str, &str)] = &[
    ("suspended", "Suspended. It stands in the ledger."),
    ("reactivated", "Reactivated. It stands in the ledger."),
    ("pause", "Paused. It stands in the ledger."),
    ("resume", "Resumed. It stands in the ledger."),
    ("abort", "Aborted. It stands in the ledger."),
    ("approve", "Approved: the phase opens at the next sweep."),
    ("acknowledged", "You have it in hand. It stands in the ledger."),
    ("red-on", "The red switch is on."),
    ("red-off", "The red switch is off: offers go on."),
];

#[derive(Deserialize)]
pub(crate) struct Done {
    done: Option<String>,
}

impl Done {
    pub(crate) fn notice(&self) -> Option<Notice> {
        let word = self.done.as_deref()?;
        let says = DONE.iter().find(|(known, _)| *known == word)?.1;
        Some(Notice { tone: Tone::Good, says: says.to_owned() })
    }
}

/// What every page needs, for whoever reads it.
pub(crate) async fn chrome(app: &App, visit: &Visit, notice: Option<Notice>) -> Result<Chrome, PlaneError> {
    let plane = &app.plane;
    let role = visit.person().role();
    let opens = |path: &str| doors::find(&Method::GET, path).is_some_and(|door| door.opens_to(role));
    let sections: Vec<Section> =
        Section::ALL.iter().copied().filter(|section| opens(section.path())).collect();
    let on = plane.world(|world| world.red_switch);
    let turned = if on { app.desk.turned(plane).await? } else { None };
    let escalations = if sections.contains(&Section::Escalations) { plane.escalation_count() } else { None };
    Ok(Chrome {
        live: true,
        federation: plane.keys().document.trust_domain.to_string(),
        person: visit.person().clone(),
        now: plane.now(),
        sections,
        escalations: usize::try_from(escalations.unwrap_or(0)).unwrap_or(usize::MAX),
        red: Red {
            on,
            turned: turned.map(|turned| dashboard::Turned {
                at: turned.at,
                by: turned.by,
                reason: turned.reason,
                position: turned.position,
            }),
            may_turn: may(role, &Method::POST, "/v1/red-switch"),
        },
        token: visit.token.clone(),
        notice,
    })
}

/// To the first section that is open to whoever came.
pub(crate) async fn home(visit: Visit) -> Answer {
    let role = visit.person().role();
    let opens = |section: &&Section| {
        doors::find(&Method::GET, section.path()).is_some_and(|door| door.opens_to(role))
    };
    let first = Section::ALL.iter().find(opens).map_or("/releases", |section| section.path());
    Ok(Redirect::to(first).into_response())
}

/// The listing's filter as it stands in the address: all of it texts, since a form sends empty ones.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct FleetQuery {
    state: String,
    platform: String,
    kind: String,
    tier: String,
    provider: String,
    finding: String,
    after: String,
}

/// A word of the address, where there is one.
fn word<T: std::str::FromStr>(text: &str) -> Result<Option<T>, Failure>
where
    T::Err: std::fmt::Display,
{
    let text = text.trim();
    let read = |error: T::Err| {
        Failure::bad_request("query-malformed", error.to_string(), "choose among the words of the page")
    };
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(read) }
}

pub(crate) async fn fleet(
    State(app): State<App>,
    visit: Visit,
    Query(asked): Query<FleetQuery>,
    Query(done): Query<Done>,
) -> Answer {
    let FleetQuery { state, platform, kind, tier, provider, finding, after } = asked;
    let own = visit.person().provider().cloned();
    let provider = own.as_ref().map_or(provider, ToString::to_string);
    let wanted = InstanceFilter {
        state: word(&state)?,
        platform: word(&platform)?,
        kind: word(&kind)?,
        tier: word(&tier)?,
        provider: word(&provider)?,
        unbelieved: None,
    };
    let (found, from) = (word(&finding)?, word(&after)?);
    let listed = listing(&app, &wanted, found, from).await?;
    let summary = match &own {
        Some(own) => app.plane.fleet_summary(Some(own)).await?,
        None => app.desk.sums(&app.plane).await?.map(|sums| FleetSummary::clone(&sums)),
    };
    let risks = summary.as_ref().map_or(&[][..], |summary| &summary.risks);
    let risks = at_risk(&app, risks).await?;
    let filter = Filter {
        state,
        platform,
        kind,
        tier,
        provider: if own.is_some() { String::new() } else { provider },
        finding,
        after,
    };
    let course = if own.is_some() { Vec::new() } else { app.desk.course.samples() };
    let fleet = Fleet { summary, course, risks, filter, page: listed, is_own: own.is_some() };
    page(fleet.page(&chrome(&app, &visit, done.notice()).await?))
}

/// A page of the listing. Findings stand in no index: pages are looked through for them, a bounded number of them.
async fn listing(
    app: &App,
    wanted: &InstanceFilter,
    finding: Option<governance::FindingCode>,
    from: Option<InstanceId>,
) -> Result<Page<wire::InstanceView>, PlaneError> {
    let Some(finding) = finding.map(|code| code.to_string()) else {
        return app.plane.instance_list(wanted, from, INSTANCES_SHOWN).await;
    };
    let mut found = Page { items: Vec::new(), next: None };
    let mut after = from;
    for _ in 0..PAGES_LOOKED_THROUGH {
        let page = app.plane.instance_list(wanted, after, INSTANCES_SHOWN).await?;
        let has = |view: &wire::InstanceView| view.findings.iter().any(|one| one.code == finding);
        found.items.extend(page.items.into_iter().filter(has));
        after = page.next.as_ref().and_then(|next| next.parse().ok());
        found.next = page.next;
        if after.is_none() || found.items.len() >= INSTANCES_SHOWN {
            break;
        }
    }
    Ok(found)
}

/// Those whose windows run out first, each with what runs out as it is explained to its people.
async fn at_risk(app: &App, risks: &[Risk]) -> Result<Vec<AtRisk>, PlaneError> {
    let mut shown = Vec::with_capacity(risks.len());
    for risk in risks {
        let Ok(instance) = app.plane.instance_view(risk.instance).await else { continue };
        // About what it runs: so nothing is counted.
        let explained = app.plane.explain(risk.instance, Some(instance.platform)).await?;
        let windows = explained.deadlines.into_iter().filter(|due| due.rule != "CO-7" && due.rule != "LC-5");
        if let Some((due, at)) =
            windows.filter_map(|due| due.ends.map(|ends| (due, ends))).min_by_key(|(_, at)| *at)
        {
            shown.push(AtRisk { instance, rule: due.rule, what: due.what, at, then: due.then });
        }
    }
    Ok(shown)
}

#[derive(Deserialize)]
pub(crate) struct Find {
    #[serde(default)]
    id: String,
}

pub(crate) async fn instance_find(Query(find): Query<Find>) -> Answer {
    let id: InstanceId = find.id.trim().parse().map_err(|error: governance::id::IdError| {
        Failure::bad_request("query-malformed", error.to_string(), "write the instance's whole id")
    })?;
    Ok(Redirect::to(&format!("/instances/{id}")).into_response())
}

#[derive(Deserialize)]
pub(crate) struct InstanceQuery {
    decisions: Option<u64>,
}

pub(crate) async fn instance(
    State(app): State<App>,
    visit: Visit,
    Path(id): Path<String>,
    Query(asked): Query<InstanceQuery>,
    Query(done): Query<Done>,
) -> Answer {
    let missing = || Failure::not_found(format!("instance {}", id.chars().take(64).collect::<String>()));
    let id: InstanceId = id.parse().map_err(|_| missing())?;
    let role = visit.person().role();
    let view = app.plane.instance_view(id).await?;
    let record = app.plane.instance(id).await?.ok_or_else(missing)?;
    let explanation = match may(role, &Method::GET, "/v1/instances/{id}/explain") {
        true => Some(app.plane.explain(id, None).await?),
        false => None,
    };
    let (decisions, moves) = match may(role, &Method::GET, "/v1/instances/{id}/decisions") {
        true => {
            let (decisions, moves) = decided(&app, id, asked.decisions).await?;
            (Some(decisions), moves)
        }
        false => (None, Vec::new()),
    };
    let may_operate = may(role, &Method::POST, "/v1/instances/{id}/suspend");
    let shown = Instance { view, record, explanation, decisions, moves, may_operate };
    page(shown.page(&chrome(&app, &visit, done.notice()).await?))
}

/// A page of an instance's decisions, the newest first from this number down, and its last changes of state.
async fn decided(
    app: &App,
    id: InstanceId,
    newest: Option<u64>,
) -> Result<(Decisions, Vec<DecisionView>), PlaneError> {
    let count = app.plane.decision_count(id).await?;
    let newest = newest.unwrap_or(count).clamp(count.min(1), count);
    let first = newest.saturating_sub(DECISIONS_SHOWN) + 1;
    let mut items = match newest {
        0 => Vec::new(),
        _ => app.plane.decisions(id, first, usize::try_from(newest - first + 1).unwrap_or(1)).await?.items,
    };
    items.reverse();
    let from = count.saturating_sub(MOVES_WITHIN as u64) + 1;
    let mut moves = app.plane.decisions(id, from, MOVES_WITHIN).await?.items;
    moves.retain(|decision| matches!(decision.event, Event::Instance(_, InstanceEvent::Moved { .. })));
    moves.reverse();
    moves.truncate(MOVES_SHOWN);
    let newer = (newest < count).then(|| (newest + DECISIONS_SHOWN).min(count));
    let older = (first > 1).then(|| first - 1);
    Ok((Decisions { items, count, newer, older }, moves))
}

/// A rollout with what is counted of it.
pub(crate) fn as_shown(
    app: &App,
    world: &World,
    record: &governance::Rollout,
    may_steer: bool,
    now: Timestamp,
) -> Rollout {
    let first = world.rollouts.iter().find(|other| {
        other.class == governance::Class::Security
            && other.is_open()
            && other.id != record.id
            && other.release.line() == record.release.line()
    });
    let is_later = world.rollout_of(record.release).is_some_and(|latest| latest.id == record.id);
    Rollout {
        record: record.clone(),
        counts: if is_later { app.plane.rollout_counts(record.release) } else { None },
        ran: world.phase_time(record, now),
        is_frozen: world.is_frozen(now),
        red: world.red_switch,
        behind: first.filter(|_| record.class != governance::Class::Security).map(|other| other.release),
        may_steer,
    }
}

pub(crate) async fn rollouts(State(app): State<App>, visit: Visit, Query(done): Query<Done>) -> Answer {
    let now = app.plane.now();
    let shown: Vec<Rollout> = app.plane.world(|world| {
        world.rollouts.iter().rev().map(|record| as_shown(&app, world, record, false, now)).collect()
    });
    page(rollout::list(&chrome(&app, &visit, done.notice()).await?, &shown))
}

/// The release in an address.
pub(crate) fn release_of(text: &str) -> Result<Version, Failure> {
    let missing = || Failure::not_found(format!("rollout of {}", text.chars().take(64).collect::<String>()));
    text.parse().map_err(|_| missing())
}

/// The rollout of a release, as it is shown.
pub(crate) fn rollout_of(app: &App, visit: &Visit, release: Version) -> Result<Rollout, Failure> {
    let may_steer = may(visit.person().role(), &Method::POST, "/v1/rollouts/{release}/{verb}");
    let now = app.plane.now();
    let found = app
        .plane
        .world(|world| world.rollout_of(release).map(|record| as_shown(app, world, record, may_steer, now)));
    found.ok_or_else(|| Failure::not_found(format!("rollout of {release}")))
}

pub(crate) async fn rollout(
    State(app): State<App>,
    visit: Visit,
    Path(release): Path<String>,
    Query(done): Query<Done>,
) -> Answer {
    let release = release_of(&release)?;
    let mut shown = rollout_of(&app, &visit, release)?;
    if shown.counts.is_none() {
        shown.counts = app.plane.rollout_recount(release).await?;
    }
    let (law, notes) = app.plane.world(|world| {
        let notes = world.releases.get(&release).map(|published| published.release.notes.clone());
        (world.constitution.clone(), notes.unwrap_or_default())
    });
    page(shown.page(&chrome(&app, &visit, done.notice()).await?, &law, &notes))
}

pub(crate) async fn releases(State(app): State<App>, visit: Visit) -> Answer {
    let may_roll = may(visit.person().role(), &Method::GET, "/v1/rollouts");
    let shown = app.plane.world(|world| Releases {
        releases: world.releases.values().cloned().collect(),
        rollouts: world
            .rollouts
            .iter()
            .map(|rollout| (rollout.release, dashboard::words::spaced(rollout.shown())))
            .collect::<BTreeMap<_, _>>(),
        may_roll,
        matrix: world.matrix.clone(),
        deprecations: world.deprecations.clone(),
        law: world.constitution.clone(),
    });
    page(shown.page(&chrome(&app, &visit, None).await?))
}
