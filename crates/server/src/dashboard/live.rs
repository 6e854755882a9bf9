//! The stream by which pages stay live: it says that something was decided, and nothing else.
//!
//! What changed the page asks for itself, as whoever reads it: nothing goes out here that a role would have to allow.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse as _;
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Answer;
use super::sessions::Visit;
use crate::app::App;
use crate::problem::Failure;

/// Two words are so far apart at least.
const PAUSE: Duration = Duration::from_millis(400);
/// Where nothing happens, a sign of life comes so often; so often it is asked whether the session lasts.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) async fn live(State(app): State<App>, visit: Visit) -> Answer {
    let place = Arc::clone(&app.desk.streams).try_acquire_owned();
    let place = place.map_err(|_| Failure::busy("as many pages are live as may at once"))?;
    let changed = app.desk.changed.clone();
    let listener = Listener { app, visit, changed, is_first: true, is_over: false, _place: place };
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(listener.pieces())).into_response())
}

struct Listener {
    app: App,
    visit: Visit,
    changed: watch::Receiver<u64>,
    is_first: bool,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    fn pieces(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, |mut listener| async move {
            let piece = listener.next().await?;
            Some((Ok(piece), listener))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.is_first) {
            return Some(Bytes::from_static(b": open\n\n"));
        }
        if self.is_over {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
        let piece = tokio::select! {
            biased;
            () = self.app.shutdown.cancelled() => return None,
            changed = self.changed.changed() => {
                changed.ok()?;
                self.changed.borrow_and_update();
                Bytes::from_static(b"event: changed\ndata: {}\n\n")
            }
            () = tokio::time::sleep(HEARTBEAT) => Bytes::from_static(b": alive\n\n"),
        };
        let who = &self.visit.who;
        let lasts = self.app.desk.sessions.lasts(&self.visit, self.app.plane.now());
        if lasts && !self.app.plane.is_revoked(&who.serial) {
            return Some(piece);
        }
        self.is_over = true;
        Some(Bytes::from_static(b"event: ended\ndata: {}\n\n"))
    }
}
