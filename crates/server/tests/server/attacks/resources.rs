//! What takes too much: bodies too large or too slow, floods, connections without end (HS-7).

use std::net::{Ipv4Addr, SocketAddr};

use governance::Span;
use http::Method;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::said::{connect, heard, say, say_in_public, written, written_with};
use super::{OPERATOR, OWNER, Refusal, Row, STRANGER, Scene, TurnedAway, call, check, outcome, patient, row};
use crate::common::{Raw, Who, World};

pub(super) const TEST: &str = "hs_7_nobody_takes_more_than_there_is_for_him";

#[tokio::test]
async fn hs_7_nobody_takes_more_than_there_is_for_him() {
    check(&mut patient().await, ROWS).await;
    let mut few = World::start_with(|law, settings| {
        law.rate_instance = 3;
        settings.limits.body_within = Span::from_millis(1_000);
        settings.limits.unlisted_bytes = 5_000_000;
        settings.limits.connections_per_address = CONNECTIONS;
    })
    .await;
    check(&mut few, FEW).await;
    let mut strict = World::start_with(|law, settings| {
        (law.rate_address, law.rate_instance) = (3, 3);
        settings.limits.public_per_minute = 3;
    })
    .await;
    check(&mut strict, STRICT).await;
}

pub(super) const ROWS: &[Row] = &[
    row("an oversized body, announced", OWNER, "HS-7", "413 body-too-large", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let body = vec![b' '; wire::BODY_BYTES_MAX + 1];
            vec![s.send(Raw { body, ..call(id, "ready") }, &who).await]
        })
    }),
    row("an oversized body, in pieces without an end", OWNER, "HS-7", "413 body-too-large", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
            let sent_body = Some(piece.repeat(wire::BODY_BYTES_MAX / 0x10000 + 1).into_bytes());
            let raw = Raw { sent_body, ..call(id, "ready") };
            let more = format!("host: {}\r\ntransfer-encoding: chunked\r\n", s.world.at().instances);
            say(s.world, &who, &written_with(s.world, &who, &raw, &raw.path, &more)).await
        })
    }),
    row("a piece whose length is none", OWNER, "HS-6", "400 body-cut", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let raw = Raw { sent_body: Some(b"zz\r\n{}\r\n0\r\n\r\n".to_vec()), ..call(id, "ready") };
            let more = format!("host: {}\r\ntransfer-encoding: chunked\r\n", s.world.at().instances);
            say(s.world, &who, &written_with(s.world, &who, &raw, &raw.path, &more)).await
        })
    }),
    row("a file larger than any package, announced", OPERATOR, "HS-7", "413 body-too-large", Refusal, |s| {
        Box::pin(async move {
            let who = s.world.operator();
            let media = "application/octet-stream";
            let raw = Raw { media, ..Raw::new(Method::PUT, "/v1/targets/large", "") };
            let length = wire::PACKAGE_BYTES_MAX + 1;
            let more = format!("host: {}\r\ncontent-length: {length}\r\n", s.world.at().instances);
            say(s.world, &who, &written_with(s.world, &who, &raw, &raw.path, &more)).await
        })
    }),
    row("an oversized head", OWNER, "HS-7", "431", TurnedAway("head-too-large"), |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let more = format!("x-a: {}\r\n", "y".repeat(64 * 1024));
            say(s.world, &who, &written(s.world, &who, &call(id, "ready"), &more)).await
        })
    }),
    row("a thousand fields in a head", OWNER, "HS-7", "431", TurnedAway("head-too-large"), |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let more = "x-a: y\r\n".repeat(1_000);
            say(s.world, &who, &written(s.world, &who, &call(id, "ready"), &more)).await
        })
    }),
    row("HTTP without TLS", STRANGER, "HS-7", "closed", TurnedAway("handshake"), |s| {
        Box::pin(async move {
            let mut stream = TcpStream::connect(s.world.at().instances).await.unwrap();
            stream.write_all(b"GET /v1/federation HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard).await;
            // Nothing but an alert of TLS.
            assert!(heard.first().is_none_or(|kind| *kind == 21), "{heard:?}");
            vec!["closed".to_owned()]
        })
    }),
    row(
        "an address spoofed by a header of the PROXY protocol",
        STRANGER,
        "HS-7",
        "closed",
        TurnedAway("handshake"),
        |s| {
            Box::pin(async move {
                let mut stream = from_elsewhere(s.world.at().instances).await;
                // PROXY, TCP over IPv4, from 127.0.0.1: of nobody but the balancers of the settings it would count.
                let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x50\x20\xfb";
                stream.write_all(header).await.unwrap();
                let mut heard = Vec::new();
                let _ = stream.read_to_end(&mut heard).await;
                assert!(heard.first().is_none_or(|kind| *kind == 21), "{heard:?}");
                vec!["closed".to_owned()]
            })
        },
    ),
];

/// Where there is little of everything.
pub(super) const FEW: &[Row] = &[
    row("a slow body", OWNER, "HS-7", "408 body-too-slow", Refusal, |s| Box::pin(slow(s))),
    row("a flood by one instance", OWNER, "HS-7", "429 rate-limited", Refusal, |s| {
        Box::pin(async move {
            // To get ready was the first call of three.
            let (id, who) = s.victim().await;
            for _ in 0..2 {
                assert_eq!(s.send(call(id, "check-in"), &who).await, "200");
            }
            vec![s.send(call(id, "check-in"), &who).await]
        })
    }),
    row(
        "uploads that no release lists, to fill the disk",
        OPERATOR,
        "RL-3",
        "507 incoming-full",
        Refusal,
        |s| {
            Box::pin(async move {
                let operator = s.world.client(&s.world.operator());
                operator.target_put("a", vec![1; 3_000_000]).await.unwrap();
                vec![outcome(operator.target_put("b", vec![2; 3_000_000]).await)]
            })
        },
    ),
    row("connections without end", STRANGER, "HS-7", "closed", TurnedAway("address"), |s| {
        Box::pin(async move {
            let to = s.world.at().instances;
            for _ in 0..CONNECTIONS {
                s.open.push(from_elsewhere(to).await);
            }
            let mut answers = Vec::new();
            for _ in 0..5 {
                let mut stream = from_elsewhere(to).await;
                assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
                answers.push("closed".to_owned());
            }
            answers
        })
    }),
];

/// Where an address may ask three times a minute.
pub(super) const STRICT: &[Row] = &[
    row("a flood by many without a name", STRANGER, "HS-7", "429 rate-limited", Refusal, |s| {
        Box::pin(async move {
            for _ in 0..3 {
                s.send(Raw::post("/v1/instances/x/check-in", "{}"), &Who::fresh()).await;
            }
            s.begins().await;
            vec![s.send(Raw::post("/v1/instances/x/check-in", "{}"), &Who::fresh()).await]
        })
    }),
    row("a flood of what there is not: paths, methods", STRANGER, "HS-7", "429 rate-limited", Refusal, |s| {
        Box::pin(async move {
            for path in ["/", "/v1/nothing", "/v1/register"] {
                s.send(Raw::get(path), &Who::fresh()).await;
            }
            s.begins().await;
            vec![
                s.send(Raw::get("/"), &Who::fresh()).await,
                s.send(Raw::get("/v1/register"), &Who::fresh()).await,
            ]
        })
    }),
    row("a flood on the public listener", STRANGER, "HS-7", "429 rate-limited", Refusal, |s| {
        Box::pin(async move {
            let head = b"GET /keys.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            for _ in 0..3 {
                assert_eq!(say_in_public(s.world, head).await, ["200"]);
            }
            say_in_public(s.world, head).await
        })
    }),
];

/// Connections that an address may have where there is little of everything.
const CONNECTIONS: usize = 12;

/// A connection from another address than all others come from.
async fn from_elsewhere(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, 9), 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// A body that begins and never ends.
async fn slow(s: &mut Scene<'_>) -> Vec<String> {
    let (id, who) = s.victim().await;
    let tls: ClientConfig = trust::tls::client_config(&s.world.root, who.chain.clone(), &who.key).unwrap();
    let stream = connect(tls, s.world.at().instances).await.unwrap();
    let raw = Raw { sent_body: Some(b"{".to_vec()), ..call(id, "ready") };
    heard(stream, &written(s.world, &who, &raw, "")).await
}
