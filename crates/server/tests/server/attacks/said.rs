//! Requests as bare bytes over TLS, for what no HTTP client would send.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::common::{Raw, Who, World};

/// A connection in HTTP/1.1.
pub(super) async fn connect(mut tls: ClientConfig, to: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(to).await?;
    TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Sends these bytes as this peer, and gives every answer until the server hangs up.
pub(super) async fn say(world: &World, who: &Who, bytes: &[u8]) -> Vec<String> {
    let tls = trust::tls::client_config(&world.root, who.chain.clone(), &who.key).unwrap();
    heard(connect(tls, world.at().instances).await.unwrap(), bytes).await
}

/// The same as anyone, on the public listener.
pub(super) async fn say_in_public(world: &World, bytes: &[u8]) -> Vec<String> {
    let tls = trust::tls::anonymous_client_config(&world.root).unwrap();
    heard(connect(tls, world.at().public).await.unwrap(), bytes).await
}

/// Sends bytes, and gives every answer in a word until the other end hangs up.
pub(super) async fn heard(mut stream: TlsStream<TcpStream>, bytes: &[u8]) -> Vec<String> {
    // It may have heard enough before all of it is said.
    let _ = stream.write_all(bytes).await;
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    let heard = String::from_utf8_lossy(&heard).into_owned();
    let answers: Vec<String> = heard.split("HTTP/1.1 ").skip(1).map(word).collect();
    if answers.is_empty() { vec!["closed".to_owned()] } else { answers }
}

fn word(answer: &str) -> String {
    let status = answer.get(..3).unwrap_or_default();
    let code = answer.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
    code.map_or_else(|| status.to_owned(), |code| format!("{status} {code}"))
}

/// A signed request as it is written, the last on its connection, with these lines in its head besides.
pub(super) fn written(world: &World, who: &Who, raw: &Raw, more: &str) -> Vec<u8> {
    let host = format!("host: {}\r\n", world.at().instances);
    let length = format!("content-length: {}\r\n", raw.body.len());
    written_with(world, who, raw, &raw.path, &format!("{host}{length}{more}"))
}

/// The same with this target, and without a host or a length of its own.
pub(super) fn written_with(world: &World, who: &Who, raw: &Raw, target: &str, more: &str) -> Vec<u8> {
    let mut head =
        format!("{} {target} HTTP/1.1\r\nconnection: close\r\ncontent-type: {}\r\n", raw.method, raw.media);
    for (name, value) in raw.fields(world, who) {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let mut bytes = format!("{head}{more}\r\n").into_bytes();
    bytes.extend_from_slice(raw.sent_body.as_ref().unwrap_or(&raw.body));
    bytes
}
