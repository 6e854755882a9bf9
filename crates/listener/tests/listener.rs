//! A listener under peers that stall, that are many, and that are in the middle of something.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use listener::{Balancers, Connection, Limits, Outcome, Why, serve_behind};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LIMITS: Limits = Limits {
    connections_max: 8,
    connections_per_address_max: 8,
    handshakes_max: 8,
    handshake: Duration::from_millis(800),
    handshake_wait: Duration::from_secs(5),
    handshake_turn: Duration::from_millis(200),
    header_read: Duration::from_millis(400),
    body_read: Duration::from_millis(400),
    write: Duration::from_secs(5),
    first_request: Duration::from_secs(2),
    idle: Duration::from_millis(400),
    header_bytes_max: 16 * 1024,
    streams_max: 8,
    shutdown: Duration::from_millis(800),
};

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    end: JoinHandle<Outcome>,
    begun: Arc<Notify>,
    release: Arc<Notify>,
    certificate: rustls::pki_types::CertificateDer<'static>,
}

fn router(begun: Arc<Notify>, release: Arc<Notify>) -> Router {
    Router::new()
        .route(
            "/who",
            get(|Extension(connection): Extension<Connection>, headers: HeaderMap| async move {
                format!(
                    "{:?} {} {} {}",
                    connection.protocol,
                    connection.tls,
                    connection.certificates.len(),
                    headers["host"].to_str().unwrap()
                )
            }),
        )
        .route(
            "/where",
            get(|Extension(connection): Extension<Connection>| async move { connection.peer.to_string() }),
        )
        .route("/large", get(|| async { vec![0_u8; 32 * 1024 * 1024] }))
        .route("/echo", post(|body: String| async move { body }))
        .route(
            "/slow",
            get(move || async move {
                begun.notify_one();
                release.notified().await;
                "done"
            }),
        )
}

/// What was turned away.
type ToldWhy = Arc<Mutex<Vec<Why>>>;

async fn start(tls: bool, limits: Limits) -> Running {
    start_telling(tls, limits, &[], &ToldWhy::default())
}

/// The same behind balancers of these networks; what is turned away is told.
fn start_telling(tls: bool, limits: Limits, networks: &[&str], told: &ToldWhy) -> Running {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap().der().clone();
    let config = tls.then(|| {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    });
    let socket = listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let networks: Vec<_> = networks.iter().map(|network| network.parse().unwrap()).collect();
    let balancers = Balancers::new(&networks);
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let stop = CancellationToken::new();
    let router = router(Arc::clone(&begun), Arc::clone(&release));
    let told = Arc::clone(told);
    let count = move |why| told.lock().unwrap().push(why);
    let end = tokio::spawn(serve_behind(socket, config, router, limits, balancers, stop.clone(), count));
    Running { address, stop, end, begun, release, certificate }
}

impl Running {
    fn client(&self, alpn: &[&[u8]]) -> reqwest::Client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .no_proxy()
            .resolve("localhost", self.address)
            .build()
            .unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }
}

#[tokio::test]
async fn alpn_chooses_the_protocol_and_the_host_is_always_there() {
    let running = start(true, LIMITS).await;
    let rows: [(&[&[u8]], &str); 3] =
        [(&[b"h2", b"http/1.1"], "Http2"), (&[b"http/1.1"], "Http1"), (&[], "Http1")];
    for (alpn, protocol) in rows {
        let client = running.client(alpn);
        let text = client.get(running.url("/who")).send().await.unwrap().text().await.unwrap();
        assert_eq!(text, format!("{protocol} true 0 localhost:{}", running.address.port()));
    }
    running.stop.cancel();
    assert_eq!(running.end.await.unwrap(), Outcome { cut: 0 });
}

#[tokio::test]
async fn a_stalled_handshake_blocks_nobody_and_is_cut() {
    let running = start(true, LIMITS).await;
    let mut stalled = Vec::new();
    for _ in 0..LIMITS.connections_max - 1 {
        stalled.push(TcpStream::connect(running.address).await.unwrap());
    }
    let client = running.client(&[b"h2"]);
    let quick = tokio::time::timeout(Duration::from_millis(600), client.get(running.url("/who")).send());
    assert!(quick.await.unwrap().unwrap().status().is_success());
    for mut stream in stalled {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(3), stream.read(&mut byte));
        assert_eq!(read.await.unwrap().unwrap_or(0), 0, "the listener hangs up");
    }
}

#[tokio::test]
async fn more_connections_than_allowed_wait_and_are_then_served() {
    let running = start(true, LIMITS).await;
    let mut stalled = Vec::new();
    for _ in 0..LIMITS.connections_max {
        stalled.push(TcpStream::connect(running.address).await.unwrap());
    }
    let client = running.client(&[b"h2"]);
    let answer = tokio::time::timeout(Duration::from_secs(5), client.get(running.url("/who")).send());
    assert!(answer.await.unwrap().unwrap().status().is_success());
}

#[tokio::test]
async fn shutdown_lets_a_request_finish() {
    for alpn in [b"h2".as_slice(), b"http/1.1"] {
        let running = start(true, LIMITS).await;
        let client = running.client(&[alpn]);
        let answer = tokio::spawn(client.get(running.url("/slow")).send());
        running.begun.notified().await;
        running.stop.cancel();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(TcpStream::connect(running.address).await.is_err(), "nobody new is taken");
        running.release.notify_one();
        assert_eq!(answer.await.unwrap().unwrap().text().await.unwrap(), "done");
        assert_eq!(running.end.await.unwrap(), Outcome { cut: 0 });
    }
}

#[tokio::test]
async fn shutdown_is_bounded() {
    let running = start(true, LIMITS).await;
    let client = running.client(&[b"h2"]);
    let answer = tokio::spawn(client.get(running.url("/slow")).send());
    running.begun.notified().await;
    running.stop.cancel();
    let outcome = tokio::time::timeout(Duration::from_secs(3), running.end).await.unwrap().unwrap();
    assert_eq!(outcome, Outcome { cut: 1 });
    assert!(answer.await.unwrap().is_err());
}

/// Sends `bytes` without TLS and returns everything the listener said until it hung up.
async fn say(running: &Running, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut heard = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(4), stream.read_to_end(&mut heard));
    read.await.expect("the listener hangs up").ok();
    String::from_utf8_lossy(&heard).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_stage_of_a_request_is_bounded_in_time_and_size() {
    let running = start(false, LIMITS).await;
    let long = format!("GET /who HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let rows: [(&str, &[u8], &str); 7] = [
        ("nothing at all", b"", ""),
        ("half a header", b"GET /who HTTP/1.1\r\nhost: a\r\n", ""),
        (
            "half a body",
            b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhal",
            "HTTP/1.1 400 Bad Request",
        ),
        ("a header too long", long.as_bytes(), "HTTP/1.1 431 Request Header Fields Too Large"),
        ("kept alive, then idle", b"GET /who HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200 OK"),
        ("two hosts", b"GET /who HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("hosts differ", b"GET http://b/who HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 400 Bad Request"),
    ];
    for (what, bytes, expected) in rows {
        assert_eq!(say(&running, bytes).await, expected, "{what}");
    }
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let running = start(true, Limits { connections_max: 1, ..LIMITS }).await;
    let first = running.client(&[b"h2"]);
    assert!(first.get(running.url("/who")).send().await.unwrap().status().is_success());
    let second = running.client(&[b"h2"]);
    let answer = tokio::time::timeout(Duration::from_secs(5), second.get(running.url("/who")).send());
    assert!(answer.await.unwrap().unwrap().status().is_success());
}

/// What a client says first in a handshake.
fn client_hello(running: &Running) -> Vec<u8> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(running.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// A handshake that was begun and answered, and goes on no further: its turn has come.
async fn half_a_handshake(running: &Running) -> TcpStream {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(&client_hello(running)).await.unwrap();
    let answered = stream.peek(&mut [0]).await.unwrap();
    assert_eq!(answered, 1, "the server has said something");
    stream
}

/// No stage of a connection ends by itself within a test.
const HOUR: Duration = Duration::from_secs(3600);
const ENDLESS: Limits =
    Limits { handshake: HOUR, header_read: HOUR, first_request: HOUR, idle: HOUR, ..LIMITS };

/// A connection from one of the loopback's many addresses.
async fn connect_from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Whether the listener hangs up without a word.
async fn hung_up(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0]).await.unwrap_or(0) == 0
}

#[tokio::test]
async fn one_address_cannot_take_every_place() {
    let running = start(false, Limits { connections_per_address_max: 2, ..ENDLESS }).await;
    let ask = async |source: &str| {
        let mut stream = connect_from(source, running.address).await;
        let sent = stream.write_all(b"GET /who HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        let mut heard = String::new();
        let read = stream.read_to_string(&mut heard).await;
        sent.is_ok() && read.is_ok() && heard.starts_with("HTTP/1.1 200")
    };
    let first = connect_from("127.0.0.2", running.address).await;
    let _second = connect_from("127.0.0.2", running.address).await;
    for _ in 0..2 * LIMITS.connections_max {
        let mut third = connect_from("127.0.0.2", running.address).await;
        let closed = tokio::time::timeout(Duration::from_secs(5), hung_up(&mut third)).await;
        assert_eq!(closed, Ok(true), "closed before anything is said");
    }
    assert!(ask("127.0.0.3").await, "others are served");
    drop(first);
    let again = async { while !ask("127.0.0.2").await {} };
    tokio::time::timeout(Duration::from_secs(5), again).await.expect("its place is free again");
}

#[tokio::test]
async fn a_connection_that_never_asks_is_closed_soon_though_it_never_agrees() {
    let limits = Limits { idle: HOUR, first_request: Duration::from_millis(50), ..LIMITS };
    let limits = Limits { write: Duration::from_millis(50), ..limits };
    let running = start(true, limits).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(running.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(running.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    // The preface of HTTP/2, empty SETTINGS and their acknowledgement; then nothing, not even an answer to a PING.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
    stream.write_all(preface).await.unwrap();
    let mut heard = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut heard)).await;
    assert!(end.is_ok(), "the listener hangs up");
}

#[tokio::test]
async fn an_answer_that_nobody_takes_does_not_keep_a_connection() {
    let soon = Duration::from_millis(100);
    let limits = Limits { first_request: soon, idle: soon, connections_max: 1, ..LIMITS };
    let running = start(true, limits).await;
    let first = running.client(&[b"h2"]);
    let left_lying = first.get(running.url("/large")).send().await.unwrap();
    let second = running.client(&[b"h2"]);
    let answer = tokio::time::timeout(Duration::from_secs(5), second.get(running.url("/who")).send());
    assert!(answer.await.unwrap().unwrap().status().is_success());
    assert!(left_lying.bytes().await.is_err(), "it was cut");

    let running = start(true, ENDLESS).await;
    let taken = running.client(&[b"h2"]).get(running.url("/large")).send().await.unwrap();
    assert_eq!(taken.bytes().await.unwrap().len(), 32 * 1024 * 1024, "what is taken arrives whole");
}

#[tokio::test]
async fn what_is_turned_away_is_told_by_its_reason() {
    let told = ToldWhy::default();
    let listen = |tls: bool, limits: Limits| start_telling(tls, limits, &[], &told);
    let behind = start_telling(false, LIMITS, &["127.0.0.0/8"], &told);
    let limits = Limits { handshakes_max: 1, handshake_turn: HOUR, ..ENDLESS };
    let crowded = listen(true, Limits { handshake_wait: Duration::from_millis(100), ..limits });
    let _holder = half_a_handshake(&crowded).await;
    let hello = client_hello(&crowded);
    let plain = listen(false, LIMITS);
    let long = format!("GET /who HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let folded = b"GET /who HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n";
    let hosts = b"GET /who HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n";
    let none = listen(false, Limits { connections_per_address_max: 0, ..LIMITS });
    let secure = listen(true, LIMITS);
    let rows: [(&Running, &[u8], Why); 10] = [
        (&plain, long.as_bytes(), Why::HeadTooLarge),
        (&plain, folded, Why::Malformed),
        (&plain, b"GET /who HTTP/1.1\r\nhost: a\r\n", Why::HeadLate),
        (&plain, hosts, Why::Hosts),
        (&secure, b"GET /who HTTP/1.1\r\n\r\n", Why::Handshake),
        (&secure, b"", Why::HandshakeLate),
        (&crowded, &hello, Why::HandshakeQueue),
        (&behind, b"GET /who HTTP/1.1\r\nhost: a\r\n\r\n", Why::Proxy),
        (&behind, b"", Why::ProxyLate),
        (&none, b"", Why::Address),
    ];
    for (running, bytes, why) in rows {
        say(running, bytes).await;
        // It is told once the connection has ended, which its peer may notice before.
        let so = async {
            while *told.lock().unwrap() != [why] {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let so = tokio::time::timeout(Duration::from_secs(5), so).await;
        assert!(so.is_ok(), "{why:?}: {:?}", told.lock().unwrap());
        told.lock().unwrap().clear();
    }
    let words: std::collections::BTreeSet<&str> = Why::ALL.iter().map(|why| why.as_str()).collect();
    assert_eq!((words.len(), rows.len()), (Why::ALL.len(), Why::ALL.len()), "each has a word and a row");
}

/// A new connection, a request, and the end of both.
async fn ask_once(client: reqwest::Client, url: String) -> reqwest::Result<String> {
    client.get(url).send().await?.error_for_status()?.text().await
}

#[tokio::test]
async fn a_storm_of_clients_is_admitted_in_order_and_none_fails() {
    // Everybody's handshake at once would take longer than one may.
    let limits = Limits { connections_max: 16, connections_per_address_max: 16, ..ENDLESS };
    let limits = Limits { handshakes_max: 2, handshake_turn: HOUR, handshake_wait: HOUR, ..limits };
    let running = start(true, limits).await;
    let mut storm = tokio::task::JoinSet::new();
    for _ in 0..200 {
        storm.spawn(ask_once(running.client(&[b"http/1.1"]), running.url("/who")));
    }
    while let Some(answered) = storm.join_next().await {
        assert!(answered.unwrap().unwrap().starts_with("Http1 true"));
    }
}

#[tokio::test]
async fn the_time_of_a_handshake_runs_from_its_turn_and_one_that_is_slow_keeps_the_others_for_a_while_only() {
    let limits = Limits { handshakes_max: 1, handshake: HOUR, ..ENDLESS };
    let limits = Limits { handshake_wait: HOUR, handshake_turn: Duration::from_millis(300), ..limits };
    let running = start(true, limits).await;
    let mut slow = half_a_handshake(&running).await;
    // Four turns of 300 ms at the worst; none of these has an hour.
    let ask = || ask_once(running.client(&[b"h2"]), running.url("/who"));
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    // The slow one was not cut for it.
    let mut heard = [0; 16 * 1024];
    let said = slow.read(&mut heard).await.unwrap();
    assert!(said > 0 && slow.try_read(&mut heard).is_err(), "still open");
}

#[tokio::test]
async fn who_gave_up_before_its_turn_came_is_not_worked_for() {
    let limits = Limits { handshakes_max: 1, connections_max: 2, handshake_wait: HOUR, ..ENDLESS };
    let limits = Limits { handshake_turn: HOUR, ..limits };
    let told = ToldWhy::default();
    let running = start_telling(true, limits, &[], &told);
    let holder = half_a_handshake(&running).await;
    let mut gone = TcpStream::connect(running.address).await.unwrap();
    gone.write_all(&client_hello(&running)).await.unwrap();
    drop((gone, holder));
    let client = running.client(&[b"h2"]);
    let answer = tokio::time::timeout(Duration::from_secs(5), client.get(running.url("/who")).send());
    assert!(answer.await.unwrap().unwrap().status().is_success(), "both places are free again");
    assert_eq!(
        *told.lock().unwrap(),
        [Why::Handshake],
        "the one that was begun broke off, the other never was"
    );
}

/// A balancer of one connection at a time: whoever connects to it is announced with this header, and then left alone with
/// the server.
async fn balancer(to: SocketAddr, header: impl Fn(SocketAddr) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, from)) = socket.accept().await {
            let mut server = TcpStream::connect(to).await.unwrap();
            server.write_all(&header(from)).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await.ok() });
        }
    });
    address
}

/// The header of a connection from here: version 2, `PROXY`, TCP over IPv4.
fn header_v4(from: std::net::Ipv4Addr, port: u16) -> Vec<u8> {
    let addresses = [from.octets(), [127, 0, 0, 1]].concat();
    let ports = [port.to_be_bytes(), 8443_u16.to_be_bytes()].concat();
    [&listener::proxy::SIGNATURE, [0x21, 0x11, 0, 12].as_slice(), &addresses, &ports].concat()
}

#[tokio::test]
async fn hs_7_behind_a_balancer_everybody_counts_for_his_own_address() {
    let limits = Limits { connections_per_address_max: 1, ..ENDLESS };
    let running = start_telling(true, limits, &["127.0.0.1/32"], &ToldWhy::default());
    let by = async |last: u8| {
        let address = std::net::Ipv4Addr::new(192, 0, 2, last);
        let entrance = balancer(running.address, move |from| header_v4(address, from.port())).await;
        Running {
            address: entrance,
            stop: running.stop.clone(),
            end: tokio::spawn(async { Outcome { cut: 0 } }),
            begun: Arc::clone(&running.begun),
            release: Arc::clone(&running.release),
            certificate: running.certificate.clone(),
        }
    };
    let (seven, eight) = (by(7).await, by(8).await);
    let client = seven.client(&[b"h2"]);
    let told = client.get(seven.url("/where")).send().await.unwrap().text().await.unwrap();
    assert!(told.starts_with("192.0.2.7:"), "{told}");
    // Its connection is held open: a second one of the same address is one too many, of another it is not.
    assert!(ask_once(seven.client(&[b"h2"]), seven.url("/where")).await.is_err());
    let told = ask_once(eight.client(&[b"h2"]), eight.url("/where")).await.unwrap();
    assert!(told.starts_with("192.0.2.8:"), "{told}");
}

#[tokio::test]
async fn hs_7_a_header_counts_from_a_balancer_alone_and_a_balancer_needs_one() {
    let running = start_telling(true, ENDLESS, &["127.0.0.1/32"], &ToldWhy::default());
    // Whoever is no balancer is served as he comes, and a header of his is no beginning of TLS.
    let mut stranger = connect_from("127.0.0.9", running.address).await;
    stranger.write_all(&header_v4([127, 0, 0, 1].into(), 1)).await.unwrap();
    let mut heard = Vec::new();
    let _ = stranger.read_to_end(&mut heard).await;
    assert!(heard.first().is_none_or(|kind| *kind == 21), "nothing but an alert: {heard:?}");
    // TLS from a balancer without a header, and the text of version 1: closed at the first byte.
    for said in [client_hello(&running), b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n".to_vec()] {
        let mut stream = connect_from("127.0.0.1", running.address).await;
        stream.write_all(&said).await.unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(5), hung_up(&mut stream)).await;
        assert_eq!(closed, Ok(true));
    }
    // A balancer that only looks whether the server is well speaks for itself.
    let local = || [&listener::proxy::SIGNATURE, [0x20, 0, 0, 0].as_slice()].concat();
    let looks = balancer(running.address, move |_| local()).await;
    let looks = Running { address: looks, ..running };
    let told = ask_once(looks.client(&[b"h2"]), looks.url("/where")).await.unwrap();
    assert!(told.starts_with("127.0.0.1:"), "{told}");
}
