//! Accepting, shaking hands, serving, and coming to an end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::activity::{Activity, Found};
use crate::body::{CountedBody, TimedBody};
use crate::connection::{CHANNEL_KEY_BYTES, CHANNEL_LABEL, Channel, Note};
use crate::handshake::{Handshakes, shake};
use crate::proxy::{self, Balancers, Told, Unheaded};
use crate::stall::TimedWrites;
use crate::turned_away::Why;
use crate::{Connection, Limits, Protocol, Share, Shares};

/// How long to wait after the kernel refused a connection (no file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that wait in the kernel until there is a place for them: as many as the system allows.
const BACKLOG: u32 = 65_535;

/// How a listener ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Connections that were still busy when [`Limits::shutdown`] ran out, and were cut.
    pub cut: usize,
}

/// What every connection of one listener shares.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    router: Router,
    pub(crate) limits: Limits,
    pub(crate) handshakes: Handshakes,
    shares: Arc<Shares>,
    shutdown: CancellationToken,
    pub(crate) count: Arc<dyn Fn(Why) + Send + Sync>,
}

/// What an open connection takes up. Fields fall in their order: whoever finds a place free finds the share free too.
struct Place {
    /// None yet: a balancer has not said whose it is.
    share: Option<Share>,
    _permit: OwnedSemaphorePermit,
}

/// Listens on an address, with as long a queue of connections not accepted yet as the system allows.
///
/// # Errors
/// When the system refuses: the address is taken, or is not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of the server before do not keep its successor from the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `router` on `listener` until `shutdown` is cancelled; then takes no more connections, lets requests in
/// progress finish for at most [`Limits::shutdown`], and cuts the rest.
///
/// With `tls`, its `alpn_protocols` decide what may be spoken: offer `h2` and `http/1.1`.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> Outcome {
    serve_counting(listener, tls, router, limits, shutdown, |_| {}).await
}

/// As [`serve`]; `count` is told of whatever is turned away before the router sees it.
pub async fn serve_counting(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
    count: impl Fn(Why) + Send + Sync + 'static,
) -> Outcome {
    serve_behind(listener, tls, router, limits, Balancers::default(), shutdown, count).await
}

/// As [`serve_counting`]; connections of `balancers` begin with a header of the PROXY protocol, version 2, and count for
/// the address that it names. All others are served as they come.
pub async fn serve_behind(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    limits: Limits,
    balancers: Balancers,
    shutdown: CancellationToken,
    count: impl Fn(Why) + Send + Sync + 'static,
) -> Outcome {
    let handshakes = Handshakes::new(&limits);
    let shares = Shares::new(limits.connections_per_address_max);
    let (stop, count) = (shutdown.clone(), Arc::new(count));
    let shared = Shared { tls, router, limits, handshakes, shares, shutdown: stop, count };
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let tracker = TaskTracker::new();
    let kill = CancellationToken::new();
    loop {
        let permit = tokio::select! {
            Ok(permit) = Arc::clone(&places).acquire_owned() => permit,
            () = shutdown.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let mut place = Place { share: None, _permit: permit };
                let behind = balancers.contains(peer.ip());
                if !behind && !shared.take_share(&mut place, peer) {
                    continue;
                }
                let (shared, kill) = (shared.clone(), kill.clone());
                tracker.spawn(async move {
                    let mut place = place;
                    tokio::select! {
                        () = converse(shared, stream, (peer, behind), &mut place) => {}
                        () = kill.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tracker.close();
    let mut cut = 0;
    if timeout(limits.shutdown, tracker.wait()).await.is_err() {
        cut = tracker.len();
        kill.cancel();
        tracker.wait().await;
    }
    Outcome { cut }
}

impl Shared {
    /// Takes the share of an address for a connection; `false`, and told, when it has as many as it may.
    fn take_share(&self, place: &mut Place, peer: SocketAddr) -> bool {
        place.share = self.shares.take(peer.ip());
        if place.share.is_none() {
            tracing::debug!(%peer, "closed: the address has as many connections as it may");
            (self.count)(Why::Address);
        }
        place.share.is_some()
    }

    /// Who is at the other end of a balancer's connection; nothing, and told, when it does not say so in time.
    async fn head(&self, stream: &mut TcpStream, balancer: SocketAddr) -> Option<SocketAddr> {
        let (why, error) = match timeout(self.limits.handshake, proxy::take(stream)).await {
            Ok(Ok(Told::Client(peer))) => return Some(peer),
            Ok(Ok(Told::Balancer)) => return Some(balancer),
            Ok(Err(error @ (Unheaded::Gone | Unheaded::Cut(_)))) => {
                tracing::debug!(%balancer, %error, "a balancer's connection ended early");
                return None;
            }
            Ok(Err(error)) => (Why::Proxy, error.to_string()),
            Err(_) => (Why::ProxyLate, "it did not come in time".to_owned()),
        };
        // Its operator's to mend: no client can cause it.
        tracing::warn!(%balancer, why = error, "refused: a balancer's connection without a header of the PROXY protocol");
        (self.count)(why);
        None
    }
}

/// One connection, from its handshake to its end.
async fn converse(
    shared: Shared,
    mut stream: TcpStream,
    (mut peer, behind): (SocketAddr, bool),
    place: &mut Place,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "could not turn off Nagle's algorithm");
    }
    if behind {
        let headed = tokio::select! {
            headed = shared.head(&mut stream, peer) => headed,
            () = shared.shutdown.cancelled() => None,
        };
        let Some(client) = headed else { return };
        peer = client;
        if !shared.take_share(place, peer) {
            return;
        }
    }
    let Some(tls) = shared.tls.clone() else {
        let protocol = Protocol::Http1;
        let connection = Connection {
            peer,
            certificates: Arc::from([]),
            protocol,
            tls: false,
            channel: None,
            note: Note::default(),
        };
        return speak(shared, stream, connection).await;
    };
    let shaken = tokio::select! {
        // In a box: what a handshake needs is not kept for the life of the connection.
        shaken = Box::pin(shake(&shared, tls, stream, peer)) => shaken,
        () = shared.shutdown.cancelled() => return,
    };
    let Some(stream) = shaken else { return };
    let session = stream.get_ref().1;
    let protocol = match session.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let certificates =
        session.peer_certificates().unwrap_or_default().iter().map(|one| one.clone().into_owned()).collect();
    let channel = session.export_keying_material([0; CHANNEL_KEY_BYTES], CHANNEL_LABEL, None).ok();
    let channel = channel.map(|key| Arc::new(Channel::new(key)));
    let connection = Connection { peer, certificates, protocol, tls: true, channel, note: Note::default() };
    speak(shared, stream, connection).await;
}

/// Serves the requests of a connection in the protocol agreed.
async fn speak<S>(shared: Shared, stream: S, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = shared.limits;
    let activity = Arc::new(Activity::default());
    let peer = connection.peer;
    let protocol = connection.protocol;
    let io = TokioIo::new(TimedWrites::new(stream, limits.write));
    let handed = shared.clone();
    let counted = Arc::clone(&activity);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        answer(handed.clone(), connection.clone(), request, Arc::clone(&counted))
    });
    let result = match protocol {
        Protocol::Http1 => {
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_read)
                .max_header_size(limits.header_bytes_max);
            drive(pin!(builder.serve_connection(io, service)), &activity, &shared).await
        }
        Protocol::Http2 => {
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits.streams_max)
                .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
                .keep_alive_interval(limits.idle)
                .keep_alive_timeout(limits.write);
            drive(pin!(builder.serve_connection(io, service)), &activity, &shared).await
        }
    };
    if let Err(error) = result {
        Why::of(&error).into_iter().for_each(&*shared.count);
        tracing::debug!(%peer, %error, "connection ended early");
    }
}

/// Runs a connection to its end, and begins that end when nothing moves on it or the listener shuts down.
async fn drive<C>(mut connection: Pin<&mut C>, activity: &Activity, shared: &Shared) -> Result<(), C::Error>
where
    C: GracefulConnection,
{
    let mut seen = None;
    let mut patience = shared.limits.first_request;
    loop {
        tokio::select! {
            result = connection.as_mut() => return result,
            () = shared.shutdown.cancelled() => break,
            () = tokio::time::sleep(patience) => {
                let found = activity.look();
                let same = seen == Some(found);
                match found {
                    Found::Silent => break,
                    Found::Idle(_) if same => break,
                    // The peer keeps the connection alive, and leaves the answer lying.
                    Found::Answering(_) if same => return Ok(()),
                    _ => {}
                }
                seen = Some(found);
                patience = shared.limits.idle;
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    let mut seen = None;
    loop {
        if let Ok(result) = timeout(shared.limits.write, connection.as_mut()).await {
            return result;
        }
        // A peer need not agree to the end: without progress it is cut.
        match activity.look() {
            Found::Silent | Found::Idle(_) => return Ok(()),
            found @ Found::Answering(_) if seen == Some(found) => return Ok(()),
            found => seen = Some(found),
        }
    }
}

/// Hands one request to the router.
async fn answer(
    shared: Shared,
    connection: Connection,
    request: Request<Incoming>,
    activity: Arc<Activity>,
) -> Result<Response<Body>, Infallible> {
    let busy = activity.start();
    let mut request = request.map(|incoming| Body::new(TimedBody::new(incoming, shared.limits.body_read)));
    if !agree_on_host(&mut request) {
        (shared.count)(Why::Hosts);
        let mut refusal = Response::new(Body::from("the Host header and the target name different hosts\n"));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refusal);
    }
    request.extensions_mut().insert(connection);
    let Ok(response) = shared.router.oneshot(request).await;
    let answer = busy.answer();
    Ok(response.map(|body| Body::new(CountedBody::new(body, answer))))
}

/// HTTP/1.1 names the host in a header, HTTP/2 in the target: afterwards the header holds it in both.
/// False when the two are there and differ, or the header is there more than once.
fn agree_on_host(request: &mut Request<Body>) -> bool {
    let authority =
        request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    match (host, more, authority) {
        (_, Some(_), _) => false,
        (None, None, Some(authority)) => {
            request.headers_mut().insert(header::HOST, authority);
            true
        }
        (Some(host), None, Some(authority)) => host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()),
        (_, None, None) => true,
    }
}
