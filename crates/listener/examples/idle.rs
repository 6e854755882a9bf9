//! What an idle connection weighs: this listener beside axum on hyper as they come, both behind mutual TLS, in processes of
//! their own.
//!
//! `cargo run -p listener --example idle -- [CONNECTIONS]` prints resident bytes for each connection: after one
//! answered request, and with an answer that goes on without end, a sign of life every 20 s.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "it measures; a failure ends it"
)]

use std::any::Any;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::io::{BufRead as _, BufReader};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use hyper::body::{Body as _, Bytes, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

const ARGUMENT: &str = "--serve";
const HEARTBEAT: Duration = Duration::from_secs(20);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(name: &str) -> Vec<u8> {
    let text = std::env::var(name).unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn identity() -> (CertificateDer<'static>, PrivateKeyDer<'static>, RootCertStore) {
    let certificate = CertificateDer::from(unhex("IDLE_CERTIFICATE"));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    (certificate, PrivatePkcs8KeyDer::from(unhex("IDLE_KEY")).into(), roots)
}

fn server_config() -> Arc<ServerConfig> {
    let (certificate, key, roots) = identity();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// One body that never ends.
struct Endless(Pin<Box<tokio::time::Sleep>>);

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.0.as_mut().poll(context));
        self.0 = Box::pin(tokio::time::sleep(HEARTBEAT));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))))
    }
}

async fn serve(which: &str) {
    let router = Router::new().route("/idle", get(|| async { "idle" })).route(
        "/stream",
        get(|| async { Body::new(Endless(Box::pin(tokio::time::sleep(Duration::from_millis(1))))) }),
    );
    let socket = listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    println!("{}", socket.local_addr().unwrap().port());
    let tls = server_config();
    if which == "ours" {
        let limits = listener::Limits {
            connections_max: 100_000,
            connections_per_address_max: 100_000,
            ..listener::Limits::default()
        };
        listener::serve(socket, Some(tls), router, limits, CancellationToken::new()).await;
    } else {
        bare(socket, TlsAcceptor::from(tls), router).await;
    }
}

/// The least that serves the same.
async fn bare(socket: TcpListener, tls: TlsAcceptor, router: Router) {
    loop {
        let (stream, _) = socket.accept().await.unwrap();
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
        });
    }
}

struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Server {
    fn start(which: &str, identity: &(String, String)) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([ARGUMENT, which])
            .env("IDLE_CERTIFICATE", &identity.0)
            .env("IDLE_KEY", &identity.1)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, port: line.trim().parse().unwrap() }
    }

    /// Resident bytes.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// What keeps a connection open.
type Kept = Box<dyn Any + Send>;

/// Opens a connection and asks once over it.
async fn open(port: u16, tls: TlsConnector, http2: bool, path: &str) -> Kept {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let stream = tls.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let io = TokioIo::new(stream);
    let request = Request::get(format!("https://localhost{path}")).header("host", "localhost");
    let request = request.body(Body::empty()).unwrap();
    let (sender, response): (Kept, _) = if http2 {
        let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
        let (mut sender, connection) = shaken.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        (Box::new(sender), response)
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        (Box::new(sender), response)
    };
    assert!(response.status().is_success());
    let mut body = response.into_body();
    let piece = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
    assert!(piece.is_some_and(|piece| piece.is_ok()), "it says something");
    Box::new((sender, body))
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if first.as_deref() == Some(ARGUMENT) {
        return runtime.block_on(serve(&arguments.next().unwrap()));
    }
    let connections = first.map_or(2_000, |count| count.parse().unwrap());
    runtime.block_on(measure(connections));
}

async fn measure(connections: u64) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap().der().clone();
    let (certificate_hex, key_der) = (hex(&certificate), key.serialize_der());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    println!("{connections} connections; resident bytes of the server for each");
    println!("{:<10} {:<10} {:>8} {:>8} {:>6}", "HTTP", "answer", "bare", "ours", "ratio");
    for (http2, path) in [(true, "/idle"), (true, "/stream"), (false, "/idle"), (false, "/stream")] {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(
                vec![certificate.clone()],
                PrivatePkcs8KeyDer::from(key_der.clone()).into(),
            )
            .unwrap();
        config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let tls = TlsConnector::from(Arc::new(config));
        let mut weighed = Vec::new();
        for which in ["bare", "ours"] {
            let server = Server::start(which, &(certificate_hex.clone(), hex(&key_der)));
            let mut kept = Vec::new();
            // The first ones pay for what all share.
            grow(&mut kept, 256, (server.port, &tls, http2, path)).await;
            let before = server.resident();
            grow(&mut kept, connections, (server.port, &tls, http2, path)).await;
            weighed.push(server.resident().saturating_sub(before) / connections);
        }
        let version = if http2 { "HTTP/2" } else { "HTTP/1.1" };
        let (bare, ours) = (weighed[0], weighed[1]);
        println!("{version:<10} {path:<10} {bare:>8} {ours:>8} {:>6.2}", ours as f64 / bare as f64);
    }
}

/// Opens so many more, some at a time.
async fn grow(
    kept: &mut Vec<Kept>,
    count: u64,
    (port, tls, http2, path): (u16, &TlsConnector, bool, &'static str),
) {
    let places = Arc::new(tokio::sync::Semaphore::new(32));
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (tls, place) = (tls.clone(), Arc::clone(&places).acquire_owned().await.unwrap());
        opening.spawn(async move {
            let kept = open(port, tls, http2, path).await;
            drop(place);
            kept
        });
    }
    while let Some(one) = opening.join_next().await {
        kept.push(one.unwrap());
    }
    // What was only needed for the answers is given back.
    tokio::time::sleep(Duration::from_secs(1)).await;
}
