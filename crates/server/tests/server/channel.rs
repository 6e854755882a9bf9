//! Check-ins under the key of their channel, and requests that are forged or played again (HS-6, CO-13).

use std::sync::Arc;

use governance::{Digest, InstanceId};
use http::Method;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use proof::Sign as _;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use trust::request::{CHANNEL_KEY_BYTES, CHANNEL_LABEL, Target, sign_on_channel};
use wire::{Problem, Standing};

use crate::common::{Raw, Who, World, now};

/// A connection of an instance, with the key of its channel.
pub(crate) struct Line {
    sender: SendRequest<Full<Bytes>>,
    pub(crate) channel: [u8; CHANNEL_KEY_BYTES],
    authority: String,
}

impl Line {
    pub(crate) async fn open(world: &World, who: &Who) -> Self {
        let mut tls = trust::tls::client_config(&world.root, who.chain.clone(), &who.key).unwrap();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = TcpStream::connect(world.at().instances).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await.unwrap();
        let session = stream.get_ref().1;
        let channel = session.export_keying_material([0; CHANNEL_KEY_BYTES], CHANNEL_LABEL, None).unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, channel, authority: format!("localhost:{}", world.at().instances.port()) }
    }

    /// A call under this key and number; its status, and its answer.
    pub(crate) async fn call(
        &mut self,
        path: &str,
        who: &Who,
        number: u128,
        key: &[u8; 32],
    ) -> (u16, Vec<u8>) {
        let target = Target {
            method: Method::POST,
            authority: self.authority.clone(),
            path_and_query: path.to_owned(),
        };
        let fields =
            sign_on_channel(&target, Digest::of(b""), now(), number, (who.key.key_id(), key)).unwrap();
        let mut request = http::Request::post(path).header("host", &self.authority);
        for (name, value) in fields {
            request = request.header(name, value);
        }
        let answer = self.sender.send_request(request.body(Full::default()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
    }
}

fn code(answer: &(u16, Vec<u8>)) -> String {
    serde_json::from_slice::<Problem>(&answer.1).unwrap().code
}

fn check_in(id: InstanceId) -> String {
    format!("/v1/instances/{id}/check-in")
}

#[tokio::test]
async fn hs_6_a_check_in_may_be_signed_under_its_channels_key_and_nothing_else_may() {
    assert_eq!(CHANNEL_LABEL, listener::CHANNEL_LABEL, "both ends derive the same key");
    let world = World::start().await;
    let (id, who) = world.active().await;
    let mut line = Line::open(&world, &who).await;
    let channel = line.channel;
    let answer = line.call(&check_in(id), &who, 1, &channel).await;
    assert_eq!(answer.0, 200, "{}", String::from_utf8_lossy(&answer.1));
    serde_json::from_slice::<Standing>(&answer.1).unwrap();
    // A number counts once, and only upwards.
    assert_eq!(line.call(&check_in(id), &who, 7, &channel).await.0, 200);
    for spent in [7, 6, 1, 0] {
        let answer = line.call(&check_in(id), &who, spent, &channel).await;
        assert_eq!((answer.0, code(&answer).as_str()), (401, "nonce-replayed"), "{spent}");
    }
    // What changes state is the instance's own to sign.
    for path in ["ready", "report", "entitlement", "renew", "upgrade/begin"] {
        let answer = line.call(&format!("/v1/instances/{id}/{path}"), &who, 100, &channel).await;
        assert_eq!((answer.0, code(&answer).as_str()), (401, "signature-unfit"), "{path}");
    }
    // Another connection has another key; and each counts by itself.
    let mut other = Line::open(&world, &who).await;
    assert_ne!(other.channel, channel);
    let answer = other.call(&check_in(id), &who, 8, &channel).await;
    assert_eq!((answer.0, code(&answer).as_str()), (401, "signature-invalid"));
    let own = other.channel;
    assert_eq!(other.call(&check_in(id), &who, 1, &own).await.0, 200);
    world.lawful().await;
}

#[tokio::test]
async fn co_13_hs_6_forged_and_repeated_requests_go_before_the_founder() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let operator = world.client(&world.operator());
    let forged = || Raw {
        signer: Some(Arc::new(trust::SigningKey::generate().unwrap())),
        ..Raw::post(check_in(id), "{}")
    };
    let tampered = Raw { sent_body: Some(b"{ }".to_vec()), ..Raw::post(check_in(id), "{}") };
    forged().send(&world, &who).await.refused(401, "signature-invalid");
    tampered.send(&world, &who).await.refused(401, "digest-mismatch");
    assert!(operator.escalations().await.unwrap().items.is_empty(), "twice may be an accident");
    let again = Raw::post(check_in(id), "{}");
    let fields: http::HeaderMap = again.fields(&world, &who).into_iter().collect();
    again.send_with(&world, &who, fields.clone()).await.accepted();
    again.send_with(&world, &who, fields).await.refused(401, "nonce-replayed");
    let open = operator.escalations().await.unwrap().items;
    assert_eq!(open.iter().map(|one| one.rule.as_str()).collect::<Vec<_>>(), ["CO-13"]);
    assert!(open[0].facts.contains("nonce-replayed"), "{open:?}");
    world.lawful().await;
}
