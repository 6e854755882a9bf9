//! The ledger's end, a search through it, one entry, its proof, and a verification from the root keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use dashboard::Chrome;
use dashboard::ledger::{Entry as Shown, Tail, Verified};
use governance::{Event, InstanceId, RolloutId, Version};
use ledger::{Entry, LogProof, SignedCheckpoint, Verifier};
use plane::publication::{CHECKPOINT, Files as _};
use plane::{PlaneError, Store as _};
use proof::KeySet;
use serde::Deserialize;
use store::Folder;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use wire::DecisionView;

use super::pages::chrome;
use super::sessions::Visit;
use super::{Answer, Refused, page};
use crate::Plane;
use crate::app::App;
use crate::problem::Failure;

/// Entries on a page.
const ENTRIES_SHOWN: usize = 50;
/// Entries that are looked at for one page of a search.
const SEARCHED_MAX: u64 = 5_000;
/// Entries read at a time.
const READ_AT_ONCE: u64 = 500;
/// The longest search, in characters.
const QUERY_MAX: usize = 100;
/// Entries that one verification replays.
const VERIFIED_MAX: u64 = 100_000;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct TailQuery {
    q: String,
    before: Option<u64>,
    position: Option<u64>,
}

pub(crate) async fn tail(State(app): State<App>, visit: Visit, Query(asked): Query<TailQuery>) -> Answer {
    if let Some(position) = asked.position {
        return Ok(Redirect::to(&format!("/ledger/{position}")).into_response());
    }
    let tail = tail_of(&app, &asked).await?;
    page(tail.page(&chrome(&app, &visit, None).await?))
}

async fn tail_of(app: &App, asked: &TailQuery) -> Result<Tail, PlaneError> {
    let size = app.plane.store().entry_count().await?;
    let query: String = asked.q.trim().chars().take(QUERY_MAX).collect();
    let wanted = query.to_lowercase();
    let start = asked.before.unwrap_or(size).min(size);
    let (mut to, mut entries) = (start, Vec::new());
    while to > 0 && entries.len() < ENTRIES_SHOWN && start - to < SEARCHED_MAX {
        let read = if wanted.is_empty() { ENTRIES_SHOWN as u64 } else { READ_AT_ONCE };
        let from = to.saturating_sub(read);
        let page = app.plane.store().entry_page(from, usize::try_from(to - from).unwrap_or(1)).await?;
        for (position, bytes) in (from..to).zip(page).collect::<Vec<_>>().into_iter().rev() {
            to = position;
            let entry = Entry::decode(&bytes).map_err(|error| PlaneError::Unavailable(error.to_string()))?;
            if wanted.is_empty() || fits(&entry, &wanted) {
                entries.push(decision(position, entry, Vec::new()));
            }
            if entries.len() >= ENTRIES_SHOWN {
                break;
            }
        }
    }
    let published = published(app).await;
    let older = (to > 0).then_some(to);
    Ok(Tail {
        entries,
        size,
        published,
        query,
        before: asked.before,
        older,
        verified: None,
        rollouts: rollouts(app),
    })
}

/// Which release each rollout is of.
fn rollouts(app: &App) -> BTreeMap<RolloutId, Version> {
    app.plane.world(|world| world.rollouts.iter().map(|rollout| (rollout.id, rollout.release)).collect())
}

fn decision(position: u64, entry: Entry, openings: Vec<governance::Opening>) -> DecisionView {
    let Entry { at, rule, authority, actor, event, .. } = entry;
    DecisionView { number: 0, position, at, rule, authority, actor, event, openings }
}

/// Whether what people read of an entry has the words in it.
fn fits(entry: &Entry, wanted: &str) -> bool {
    let about = match &entry.event {
        Event::Instance(id, _) => id.to_string(),
        Event::World(_) => "federation".to_owned(),
    };
    let has = |text: &str| text.to_lowercase().contains(wanted);
    has(&about)
        || has(&entry.rule)
        || entry.actor.as_deref().is_some_and(has)
        || has(entry.authority.as_str())
        || has(&dashboard::words::sentence(&entry.event))
        || has(&dashboard::words::kind_of(&entry.event))
}

/// How many entries the last checkpoint covers.
async fn published(app: &App) -> Option<u64> {
    let ledger = app.ledger.clone();
    let bytes = tokio::task::spawn_blocking(move || ledger.read(CHECKPOINT)).await.ok()?.ok()??;
    Some(SignedCheckpoint::parse(&bytes).ok()?.unverified().head().size)
}

fn position_of(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::not_found("such entry: its position is a number"))
}

pub(crate) async fn entry(State(app): State<App>, visit: Visit, Path(position): Path<String>) -> Answer {
    let position = position_of(&position)?;
    let entry = app.plane.entry(position).await?;
    let openings = app.plane.openings(&entry).await?;
    let text = serde_json::to_string_pretty(&entry).map_err(|error| Failure::unavailable(&error))?;
    let (evidence, constitution) = (entry.evidence.kind(), entry.constitution);
    let is_published = published(&app).await.is_some_and(|size| position < size);
    let decision = decision(position, entry, openings);
    let shown =
        Shown { position, decision, evidence, constitution, text, is_published, rollouts: rollouts(&app) };
    page(shown.page(&chrome(&app, &visit, None).await?))
}

pub(crate) async fn proof(State(app): State<App>, Path(position): Path<String>) -> Answer {
    let position = position_of(&position)?;
    proved(&app, format!("entry-{position}"), move |plane, ledger| {
        Handle::current().block_on(plane.proof(&ledger, position))
    })
    .await
}

pub(crate) async fn decision_proof(
    State(app): State<App>,
    Path((id, number)): Path<(String, String)>,
) -> Answer {
    let id: InstanceId = id.parse().map_err(|_| Failure::not_found("such instance"))?;
    let number = position_of(&number)?;
    proved(&app, format!("{id}-{number}"), move |plane, ledger| {
        Handle::current().block_on(plane.decision_proof(&ledger, id, number))
    })
    .await
}

/// A proof as a file: tiles are files, and files block.
async fn proved(
    app: &App,
    name: String,
    prove: impl FnOnce(Arc<Plane>, Folder) -> Result<LogProof, PlaneError> + Send + 'static,
) -> Answer {
    let (plane, ledger) = (Arc::clone(&app.plane), app.ledger.clone());
    let proof = tokio::task::spawn_blocking(move || prove(plane, ledger)).await;
    let proof = proof.map_err(|error| Failure::unavailable(&error))??;
    let mut response: Response = proof.to_string().into_response();
    let named = format!("attachment; filename=\"{name}.tlog-proof\"");
    if let Ok(value) = HeaderValue::from_str(&named) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

pub(crate) async fn verify(State(app): State<App>, visit: Visit) -> Answer {
    let turn = Arc::clone(&app.desk.verifying).try_acquire_owned();
    let turn = turn.map_err(|_| Failure::busy("somebody has the ledger verified just now"))?;
    let mut tail = tail_of(&app, &TailQuery::default()).await?;
    tail.verified = Some(verified(&app, tail.size, turn).await?);
    // It answers a form: nobody asks for it again by its address.
    let chrome = Chrome { live: false, ..chrome(&app, &visit, None).await? };
    page(tail.page(&chrome))
}

/// Replays the ledger from the root keys of the folder, off the threads that serve.
async fn verified(app: &App, size: u64, turn: OwnedSemaphorePermit) -> Result<Verified, Refused> {
    let founder = app.settings.path(&app.settings.paths.founder);
    let (plane, began) = (Arc::clone(&app.plane), app.plane.now());
    let replayed = tokio::task::spawn_blocking(move || {
        // Until it is done, not until whoever asked stops waiting.
        let _turn = turn;
        let unreadable =
            |why: &dyn std::fmt::Display| PlaneError::Unavailable(format!("the root keys: {why}"));
        let root = std::fs::read(founder).map_err(|error| unreadable(&error))?;
        let root: KeySet = serde_json::from_slice(&root).map_err(|error| unreadable(&error))?;
        let domain = plane.keys().document.trust_domain.clone();
        let mut verifier = Verifier::new(root, Some(domain));
        while verifier.size() < size.min(VERIFIED_MAX) {
            let page = plane.store().entry_page(verifier.size(), usize::try_from(READ_AT_ONCE).unwrap_or(1));
            let page = Handle::current().block_on(page)?;
            if page.is_empty() {
                break;
            }
            for bytes in page {
                if let Err(breach) = verifier.push(&bytes) {
                    return Ok((verifier.size(), Some(breach)));
                }
            }
        }
        Ok::<_, PlaneError>((verifier.size(), None))
    });
    let (entries, breach) = replayed.await.map_err(|error| Failure::unavailable(&error))??;
    Ok(match breach {
        Some(breach) => Verified::Broken {
            position: breach.position,
            why: format!("{} ({})", breach.message, breach.rule),
        },
        None => Verified::Lawful {
            entries,
            millis: app.plane.now().since(began).as_millis(),
            is_cut: entries < size,
        },
    })
}
