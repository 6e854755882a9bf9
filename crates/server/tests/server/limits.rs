//! HS-7: what one caller, or many without a name, can take up, and that the others do not notice.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use client::ClientError;
use governance::Digest;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::common::{Answered, Raw, Who, World, refused, registration};
use crate::listeners::public;

async fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn hs_7_idle_connections_of_one_address_leave_room_for_others() {
    let world = World::start_with(|_, settings| {
        settings.limits.connections = 64;
        settings.limits.connections_per_address = 4;
    })
    .await;
    let mut kept = Vec::new();
    for to in [world.at().instances, world.at().public] {
        let mut idle = Vec::new();
        for _ in 0..4 {
            idle.push(connect_from(2, to).await);
        }
        // As many again as the listener has places: each is closed at once, while the first may still shake hands.
        for _ in 0..64 {
            let mut stream = connect_from(2, to).await;
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        }
        let first = idle.first().unwrap().try_read(&mut [0]);
        assert_eq!(first.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        kept.extend(idle);
    }
    world.client(&world.operator()).federation().await.unwrap();
    assert_eq!(public(&world, "/keys.json").await.status, 200);
}

/// A registration whose body never ends.
async fn slow_registration(url: String, http: reqwest::Client, fields: http::HeaderMap) -> Answered {
    let begun = futures_util::stream::once(async { Ok::<_, Infallible>("{".to_owned()) });
    let body = futures_util::StreamExt::chain(begun, futures_util::stream::pending());
    let request = http.post(url).headers(fields).header("content-type", "application/json");
    Answered::read(request.body(reqwest::Body::wrap_stream(body)).send().await.unwrap()).await
}

#[tokio::test]
async fn hs_7_slow_bodies_of_strangers_keep_nobody_else_waiting() {
    let world = World::start_with(|_, settings| {
        settings.limits.requests = 3;
        settings.limits.registrations = 2;
    })
    .await;
    let (id, who) = world.active().await;
    let mut slow = JoinSet::new();
    for _ in 0..4 {
        let stranger = Who::fresh();
        let fields = Raw::post("/v1/register", "{}").fields(&world, &stranger).into_iter().collect();
        let url = format!("https://{}/v1/register", world.at().instances);
        slow.spawn(slow_registration(url, world.http_of(&stranger), fields));
    }
    // One of two places is this address's: the other three are told so, when the one is taken.
    for _ in 0..3 {
        let answered = slow.join_next().await.unwrap().unwrap();
        answered.refused(503, "busy");
        assert!(answered.headers.contains_key("retry-after"));
    }
    assert_eq!(slow.len(), 1, "one body is still on its way");
    world.client(&who).check_in(id).await.unwrap();
    world.client(&world.operator()).federation().await.unwrap();
    let stranger = Who::fresh();
    let late = world.client(&stranger).register(&registration("secret", &stranger.key)).await;
    refused(late, 503, "busy");
}

#[tokio::test]
async fn hs_7_nonces_of_strangers_are_not_remembered_for_others() {
    let world = World::start_with(|_, settings| settings.limits.nonces = 64).await;
    let (id, who) = world.active().await;
    let secret = world.enrol().await;
    for n in 0..40 {
        let stranger = Who::fresh();
        let client = world.client(&stranger);
        refused(
            client.register(&registration(&format!("{n}"), &stranger.key)).await,
            403,
            "enrolment-unknown",
        );
    }
    world.client(&who).check_in(id).await.unwrap();
    // Their own memory is full: whoever has a secret registers nevertheless, and again to the same end.
    let newcomer = Who::fresh();
    let body = registration(&secret, &newcomer.key);
    let first = world.client(&newcomer).register(&body).await.unwrap();
    assert_eq!(world.client(&newcomer).register(&body).await.unwrap().instance, first.instance);
}

#[tokio::test]
async fn hs_6_a_stranger_is_not_heard_twice_either() {
    let world = World::start().await;
    let stranger = Who::fresh();
    let body = serde_json::to_vec(&registration("secret", &stranger.key)).unwrap();
    let request = Raw::post("/v1/register", body);
    request.send(&world, &stranger).await.refused(403, "enrolment-unknown");
    request.send(&world, &stranger).await.refused(401, "nonce-replayed");
}

#[tokio::test]
async fn hs_7_an_address_is_limited_on_the_public_listener() {
    let world = World::start_with(|_, settings| settings.limits.public_per_minute = 3).await;
    for path in ["/keys.json", "/no-such-path", "/tuf/metadata/timestamp.json"] {
        assert_ne!(public(&world, path).await.status, 429, "{path}");
    }
    for path in ["/keys.json", "/no-such-path"] {
        let answered = public(&world, path).await;
        answered.refused(429, "rate-limited");
        let seconds: u64 = answered.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=20).contains(&seconds), "{seconds}");
    }
}

#[tokio::test]
async fn hs_7_downloads_of_one_address_are_few_at_once() {
    let world = World::start_with(|_, settings| settings.limits.downloads = 8).await;
    let path = world.path("tuf/targets").join(format!("{}.large", Digest::of(b"")));
    std::fs::File::create(path).unwrap().set_len(64 << 20).unwrap();
    let http = world.http(trust::tls::anonymous_client_config(&world.root).unwrap());
    let url = format!("https://{}/tuf/targets/{}.large", world.at().public, Digest::of(b""));
    let lying = http.get(&url).send().await.unwrap();
    assert_eq!(lying.headers()["content-length"], "67108864");
    public(&world, "/tuf/metadata/timestamp.json").await.refused(503, "busy");
    assert_eq!(public(&world, "/keys.json").await.status, 200, "no file is read for it");
    drop(lying);
    while public(&world, "/tuf/metadata/timestamp.json").await.status != 200 {}
    let whole = http.get(&url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(whole.len(), 64 << 20);
}

#[tokio::test]
async fn rl_3_uploads_that_nothing_lists_do_not_fill_the_disk() {
    let world = World::start_with(|_, settings| settings.limits.unlisted_bytes = 5_000_000).await;
    let operator = world.client(&world.operator());
    operator.target_put("a", vec![1; 3_000_000]).await.unwrap();
    refused(operator.target_put("b", vec![2; 3_000_000]).await, 507, "incoming-full");
    operator.target_put("b", vec![2; 1_000_000]).await.unwrap();
}

#[tokio::test]
async fn rl_3_a_file_is_uploaded_from_where_it_lies() {
    let world = World::start().await;
    let operator = world.client(&world.operator());
    let path = world.path("package");
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    for bytes in [&bytes[..], b""] {
        std::fs::write(&path, bytes).unwrap();
        let put = operator.target_put_file("package-0.1.1", &path).await.unwrap();
        assert_eq!((put.length, put.digest), (bytes.len() as u64, Digest::of(bytes)));
    }
    let missing = operator.target_put_file("package-0.1.1", &world.path("nothing")).await;
    assert!(matches!(missing, Err(ClientError::File { path, .. }) if path.ends_with("nothing")));
}
