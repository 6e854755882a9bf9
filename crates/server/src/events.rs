//! The stream of news that an instance may hold open: it is told that a check-in may bring something, and nothing else.
//!
//! Holds no place of a request: an open stream costs its connection, a timer and a letterbox. Ends with the server, with a
//! newer stream of the same instance, and when another may speak for the instance.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, Stream};
use governance::{InstanceKey, State};
use plane::news::{News, Subscription};
use tokio_util::sync::CancellationToken;
use wire::Look;
use wire::events::{HEARTBEAT, MEDIA};

use crate::app::App;
use crate::gate::Call;
use crate::metrics::Metrics;
use crate::problem::Failure;
use crate::settings::duration;

pub(crate) async fn events(
    extract::State(app): extract::State<App>,
    call: Call,
) -> Result<Response, Failure> {
    call.nothing()?;
    let id = call.instance()?;
    let place = Arc::clone(&app.streams).try_acquire_owned();
    let place = place.map_err(|_| Failure::busy("as many instances listen for news as may"))?;
    let news = app.plane.news().subscribe_in(place, id);
    // What was decided between the gate and here ended no stream.
    let key = InstanceKey::from_bytes(*call.key().as_bytes());
    let identity = app.plane.identity(id, key).await?;
    let speaks = identity.is_some_and(|identity| identity.state != State::Revoked && identity.key == key);
    if !speaks {
        let detail = format!("instance {id} has another key by now, or none that counts");
        let hint = "use the newest certificate";
        return Err(Failure::unauthorised("certificate-superseded", "HS-1", detail, hint));
    }
    app.metrics.listening(1);
    let listener = Listener {
        news,
        spread_ms: app.plane.news_spread().as_millis().unsigned_abs(),
        heartbeat: duration(app.settings.pace.heartbeat_every),
        shutdown: app.shutdown.clone(),
        metrics: app.metrics.clone(),
    };
    let headers = [(header::CONTENT_TYPE, MEDIA), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(listener.pieces())).into_response())
}

/// One stream, as long as somebody takes what it says.
struct Listener {
    news: Subscription,
    spread_ms: u64,
    heartbeat: Duration,
    shutdown: CancellationToken,
    metrics: Metrics,
}

impl Listener {
    fn pieces(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, |listener| async move {
            let piece = listener.next().await?;
            Some((Ok(piece), listener))
        })
    }

    /// What is said next; none: it is over.
    async fn next(&self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            news = self.news.next() => Some(self.event(news?)),
            () = tokio::time::sleep(self.heartbeat) => Some(Bytes::from_static(HEARTBEAT.as_bytes())),
        }
    }

    fn event(&self, News { why, urgent }: News) -> Bytes {
        self.metrics.told(why.as_str());
        let within_ms = if urgent { 0 } else { self.spread_ms };
        Look { why: why.as_str().to_owned(), within_ms }.to_event().into()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.metrics.listening(-1);
    }
}
