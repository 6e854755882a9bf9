//! A listener under peers that stall, that are many, and that are in the middle of something.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use listener::{Connection, Limits, Outcome, Why, serve, serve_counting};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LIMITS: Limits = Limits {
    connections_max: 8,
    connections_per_address_max: 8,
    handshake: Duration::from_millis(800),
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
    config: Option<Arc<rustls::ServerConfig>>,
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

async fn start(tls: bool, limits: Limits) -> Running {
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
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let stop = CancellationToken::new();
    let router = router(Arc::clone(&begun), Arc::clone(&release));
    let end = tokio::spawn(serve(socket, config.clone(), router, limits, stop.clone()));
    Running { address, stop, end, begun, release, certificate, config }
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
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let listen = async |tls: bool, each: usize| {
        let running = start(tls, LIMITS).await;
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let limits = Limits { connections_per_address_max: each, ..LIMITS };
        let router = router(Arc::clone(&running.begun), Arc::clone(&running.release));
        let (count, config) = (Arc::clone(&told), tls.then(|| running.config.clone().unwrap()));
        let count = move |why| count.lock().unwrap().push(why);
        tokio::spawn(serve_counting(socket, config, router, limits, running.stop.clone(), count));
        Running { address, ..running }
    };
    let plain = listen(false, 8).await;
    let long = format!("GET /who HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let folded = b"GET /who HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n";
    let hosts = b"GET /who HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n";
    let (secure, none) = (listen(true, 8).await, listen(false, 0).await);
    let rows: [(&Running, &[u8], Why); 7] = [
        (&plain, long.as_bytes(), Why::HeadTooLarge),
        (&plain, folded, Why::Malformed),
        (&plain, b"GET /who HTTP/1.1\r\nhost: a\r\n", Why::HeadLate),
        (&plain, hosts, Why::Hosts),
        (&secure, b"GET /who HTTP/1.1\r\n\r\n", Why::Handshake),
        (&secure, b"", Why::HandshakeLate),
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
