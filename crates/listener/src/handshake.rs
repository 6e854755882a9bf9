//! TLS handshakes in the order in which they came, a bounded number at once.
//!
//! When a fleet comes back all at once, working on everybody's handshake a little would finish them all at about the same
//! time, and that too late for most. So whoever has begun waits for its turn without costing anything, and its time runs from
//! then on. A peer that has not begun, or is slow in the middle, takes nobody's turn.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::Limits;
use crate::serve::Shared;
use crate::turned_away::Why;

/// The turns of one listener. Whoever waits longest is next.
#[derive(Clone, Debug)]
pub(crate) struct Handshakes(Arc<Semaphore>);

impl Handshakes {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Semaphore::new(limits.handshakes_max.clamp(1, Semaphore::MAX_PERMITS))))
    }

    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

/// Shakes hands; nothing, and told, when that comes to nothing.
pub(crate) async fn shake(
    shared: &Shared,
    tls: Arc<ServerConfig>,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<Box<TlsStream<TcpStream>>> {
    let limits = &shared.limits;
    let late = |what: &str| {
        (shared.count)(Why::HandshakeLate);
        tracing::debug!(%peer, "handshake not {what} in time");
    };
    let refused = |error: std::io::Error| {
        (shared.count)(Why::Handshake);
        tracing::debug!(%peer, %error, "handshake refused");
    };
    let begun = timeout(limits.handshake, LazyConfigAcceptor::new(Acceptor::default(), stream)).await;
    let start = begun.map_err(|_| late("begun")).ok()?.map_err(refused).ok()?;
    let Ok(turn) = timeout(limits.handshake_wait, shared.handshakes.turn()).await else {
        (shared.count)(Why::HandshakeQueue);
        tracing::debug!(%peer, "the handshake's turn did not come in time");
        return None;
    };
    if is_gone(&start.io).await {
        tracing::debug!(%peer, "gave up before the handshake's turn came");
        return None;
    }
    let mut handshake = Box::pin(timeout(limits.handshake, start.into_stream(tls)));
    let quick = timeout(limits.handshake_turn, handshake.as_mut()).await;
    drop(turn);
    let finished = match quick {
        Ok(finished) => finished,
        Err(_) => handshake.await,
    };
    // In a box: it is handed on from one to the next for as long as the connection lasts, and is a kilobyte large.
    finished.map_err(|_| late("finished")).ok()?.map_err(refused).ok().map(Box::new)
}

/// Whether the peer closed the connection meanwhile: nothing is worked out for nobody.
async fn is_gone(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let mut byte = ReadBuf::new(&mut byte);
    let looked = poll_fn(|context| Poll::Ready(stream.poll_peek(context, &mut byte))).await;
    matches!(looked, Poll::Ready(Ok(0) | Err(_)))
}
