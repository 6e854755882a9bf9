//! TLS 1.3 and nothing older, what 8445 serves, health, starting and stopping.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Answered, Raw, World, bytes_of, refused};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governance::{Digest, Event, Span, WorldEvent};
use http::Method;
use server::StartError;
use store::{OUTBOX_TOPIC, Options, SqliteStore};

fn s_client(address: std::net::SocketAddr, version: &str) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), version])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"Q\n").unwrap();
    let output = child.wait_with_output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_is_answered_with_an_alert() {
    if Command::new("openssl").arg("version").output().is_err() {
        return;
    }
    let world = World::start().await;
    for address in [world.at().instances, world.at().public] {
        let old = tokio::task::spawn_blocking(move || s_client(address, "-tls1_2")).await.unwrap();
        assert!(old.contains("alert protocol version"), "{old}");
        let new = tokio::task::spawn_blocking(move || s_client(address, "-tls1_3")).await.unwrap();
        assert!(new.contains("TLSv1.3"), "{new}");
    }
}

#[tokio::test]
async fn without_a_client_certificate_the_handshake_fails() {
    let world = World::start().await;
    let http = world.http(trust::tls::anonymous_client_config(&world.root).unwrap());
    assert!(http.get(format!("https://{}/v1/federation", world.at().instances)).send().await.is_err());
}

pub(crate) async fn public(world: &World, path: &str) -> Answered {
    let http = world.http(trust::tls::anonymous_client_config(&world.root).unwrap());
    Answered::read(http.get(format!("https://{}{path}", world.at().public)).send().await.unwrap()).await
}

#[tokio::test]
async fn anyone_reads_what_is_signed_and_nothing_else() {
    let world = World::start().await;
    let files = [
        ("/keys.json", bytes_of(&world.path("keys.json")), "max-age=60"),
        ("/constitution.json", bytes_of(&world.path("constitution.sig")), "max-age=60"),
        ("/bundle.pem", world.root_ca.certificate_pem().into_bytes(), "max-age=60"),
        ("/bundle.json", world.root.to_spiffe_bundle(1, 3_600).unwrap().into_bytes(), "max-age=60"),
        ("/tuf/metadata/1.root.json", bytes_of(&world.path("tuf/metadata/1.root.json")), "immutable"),
        ("/tuf/metadata/timestamp.json", bytes_of(&world.path("tuf/metadata/timestamp.json")), "no-cache"),
    ];
    for (path, bytes, cache) in files {
        let answered = public(&world, path).await;
        assert_eq!((answered.status, &answered.body), (200, &bytes), "{path}");
        assert!(answered.headers["cache-control"].to_str().unwrap().contains(cache), "{path}");
    }
    let size = world.ledger_size().await;
    let published = async {
        loop {
            let answered = public(&world, "/checkpoint").await;
            if answered.text().lines().nth(1) == Some(&size.to_string()) {
                return answered;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let checkpoint = tokio::time::timeout(Duration::from_secs(10), published).await.unwrap();
    assert!(checkpoint.text().starts_with("test.example/ledger\n"), "{}", checkpoint.text());
    assert_eq!(world.client(&world.operator()).ledger_checkpoint().await.unwrap(), checkpoint.text());
    let tile = public(&world, &format!("/tile/0/000.p/{size}")).await;
    assert_eq!((tile.status, tile.body.len() as u64), (200, size * 32));
    public(&world, &format!("/tile/entries/000.p/{size}")).await.refused(403, "not-public");
    for path in [
        "/founder.json",
        "/tuf/",
        "/tuf/metadata/",
        "/tuf/metadata/2.root.json",
        "/tuf/metadata/..%2f..%2fkeys.json",
        "/tuf/targets/..%2Fmetadata%2Ftimestamp.json",
        "/tuf/targets/.hidden",
        "/tile/0/..%2f..%2fcheckpoint",
        "/tile/0/999",
        "/%2e%2e%2fkeys.json",
        "/data/fedplane.db",
    ] {
        let answered = public(&world, path).await;
        answered.refused(404, "not-found");
        assert_eq!(answered.headers["cache-control"], "no-store");
    }
    let http = world.http(trust::tls::anonymous_client_config(&world.root).unwrap());
    let posted =
        http.post(format!("https://{}/keys.json", world.at().public)).body("{}").send().await.unwrap();
    Answered::read(posted).await.refused(405, "method-not-allowed");
}

#[tokio::test]
async fn the_ledgers_entries_are_read_by_operators() {
    let world = World::start().await;
    world.active().await;
    let client = world.client(&world.operator());
    let page = client.ledger_entries(0, 1000).await.unwrap();
    assert_eq!(page.entries.len() as u64, world.ledger_size().await);
    let part = client.ledger_entries(2, 1).await.unwrap();
    assert_eq!((part.from, &part.entries[..]), (2, &page.entries[2..3]));
}

#[tokio::test]
async fn rl_3_a_target_is_taken_as_it_was_signed_or_not_at_all() {
    let world = World::start().await;
    let operator = world.operator();
    let bytes = vec![7_u8; 3_000_000];
    let put = |name: &str| Raw {
        media: "application/octet-stream",
        ..Raw::new(Method::PUT, format!("/v1/targets/{name}"), bytes.clone())
    };
    let answered = put("package-0.1.1").send(&world, &operator).await;
    answered.accepted();
    let taken: wire::TargetPut = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!((taken.length, taken.digest), (3_000_000, Digest::of(&bytes)));
    // Nobody has listed it: nobody is served it.
    public(&world, &format!("/tuf/targets/{}.package-0.1.1", taken.digest)).await.refused(404, "not-found");
    let count = |folder: &str| std::fs::read_dir(world.path(folder)).unwrap().count();
    assert_eq!((count("tuf/targets"), count("tuf/incoming")), (0, 1));
    let sent_body = Some(vec![8_u8; 3_000_000]);
    Raw { sent_body, ..put("package-0.1.2") }.send(&world, &operator).await.refused(401, "digest-mismatch");
    put(".hidden").send(&world, &operator).await.refused(400, "target-refused");
    put("a%2Fb").send(&world, &operator).await.refused(400, "target-refused");
    Raw { media: "application/json", ..put("x") }
        .send(&world, &operator)
        .await
        .refused(415, "media-type-unsupported");
    assert_eq!((count("tuf/targets"), count("tuf/incoming"), count("data/incoming")), (0, 1, 0));
}

#[tokio::test]
async fn metrics_and_health_are_told_on_loopback() {
    let world = World::start().await;
    let (id, who) = world.instance().await;
    refused(world.client(&who).retry(id, crate::common::version("0.1.1")).await, 409, "not-offered");
    let http = world.http(trust::tls::anonymous_client_config(&world.root).unwrap());
    let get = async |path: &str| {
        let url = format!("http://{}{path}", world.at().metrics);
        Answered::read(http.get(url).send().await.unwrap()).await
    };
    assert_eq!(get("/livez").await.text(), "ok\n");
    let ready = async {
        while get("/readyz").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ready).await.unwrap();
    let text = get("/metrics").await.text();
    for line in [
        r#"fedplane_requests_total{listener="instances",method="POST",route="/v1/register",status="200"} 1"#,
        r#"fedplane_refusals_total{code="not-offered"} 1"#,
        r#"fedplane_instances{state="active"} 0"#,
        "fedplane_ledger_published ",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    get("/nothing").await.refused(404, "not-found");
}

#[tokio::test]
async fn co_7_an_outage_goes_on_record_and_a_quick_restart_does_not() {
    let mut world = World::start_with(|_, settings| settings.pace.pulse_every = Span::from_millis(200)).await;
    world.active().await;
    world.stop().await;
    let decided = crate::common::now();
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    world.run().await;
    let outages = async |world: &World| {
        let page = world.client(&world.operator()).ledger_entries(0, 500).await.unwrap();
        let decode = |entry: &String| ledger::Entry::decode(&STANDARD.decode(entry).unwrap()).unwrap().event;
        let events = page.entries.iter().map(decode);
        let away = |event| match event {
            Event::World(WorldEvent::OutageRecorded { from, until }) => Some((from, until)),
            _ => None,
        };
        events.filter_map(away).collect::<Vec<_>>()
    };
    let found = outages(&world).await;
    assert!(matches!(found[..], [(from, until)] if from <= decided && decided < until), "{found:?}");
    world.stop().await;
    world.settings.pace.pulse_every = Span::hours(1);
    world.run().await;
    assert_eq!(outages(&world).await, found, "it was away for no time worth a record");
    world.lawful().await;
}

#[tokio::test]
async fn what_was_decided_is_there_after_a_restart() {
    let mut world = World::start().await;
    let (id, who) = world.active().await;
    let size = world.ledger_size().await;
    world.stop().await;
    let checkpoint = String::from_utf8(bytes_of(&world.path("data/ledger/checkpoint"))).unwrap();
    assert_eq!(checkpoint.lines().nth(1), Some(size.to_string().as_str()), "published to the last entry");
    let file = SqliteStore::open(world.path("data/fedplane.db"), Options::default()).unwrap();
    assert_eq!(file.outbox_page(OUTBOX_TOPIC, 1).await, Ok(vec![]), "every word left was taken");
    drop(file);
    world.run().await;
    assert_eq!(world.ledger_size().await, size);
    world.client(&who).check_in(id).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_is_not_whole_does_not_start() {
    let fails = async |spoil: &dyn Fn(&World), word: &str| {
        let world = World::make(|_, _| {});
        spoil(&world);
        match server::start(world.settings.clone()).await {
            Ok(_) => panic!("started though {word}"),
            Err(error) => assert!(error.to_string().contains(word), "{error} lacks {word}"),
        }
    };
    let key = |world: &World| world.path("keys/federation/directives.key");
    fails(&|w| std::fs::remove_file(key(w)).unwrap(), "directives.key").await;
    fails(
        &|w| std::fs::set_permissions(key(w), std::fs::Permissions::from_mode(0o644)).unwrap(),
        "chmod 600",
    )
    .await;
    fails(
        &|w| std::fs::copy(w.path("keys/federation/ledger.key"), key(w)).map(drop).unwrap(),
        "`directives`",
    )
    .await;
    fails(&|w| std::fs::write(w.path("founder.json"), "{}").unwrap(), "founder.json").await;
    fails(
        &|w| std::fs::copy(w.path("keys.json"), w.path("constitution.sig")).map(drop).unwrap(),
        "constitution.sig",
    )
    .await;
    fails(&|w| std::fs::write(w.path("keys.json"), "nothing").unwrap(), "keys.json").await;
}

#[tokio::test]
async fn one_server_a_folder_and_one_a_port() {
    let world = World::start().await;
    assert!(matches!(server::start(world.settings.clone()).await, Err(StartError::Locked(_))));
    let taken = world.at().instances;
    let other = World::make(|_, settings| settings.listen.instances = taken);
    let error = server::start(other.settings.clone()).await.err().unwrap();
    assert!(error.to_string().contains("listen.instances"), "{error}");
    let slow = World::make(|_, settings| settings.pace.publish_every = Span::hours(1));
    assert!(matches!(server::start(slow.settings.clone()).await, Err(StartError::Settings { .. })));
}

/// Nobody learns from a failure that a key, a certificate or metadata ran out (RL-3, AU-4).
#[tokio::test]
async fn rl_3_what_runs_out_is_told_in_time() {
    let world = World::start().await;
    let expires = world.client(&world.operator()).federation().await.unwrap().expires;
    let what: Vec<&str> = expires.iter().map(|one| one.what.as_str()).collect();
    for expected in [
        "the root CA",
        "the instance CA",
        "the server's certificate",
        "the TUF root",
        "the TUF targets",
        "the TUF snapshot",
    ] {
        assert!(what.contains(&expected), "{what:?}");
    }
    assert_eq!(what.iter().filter(|what| what.contains(" key ")).count(), 5, "{what:?}");
    assert!(expires.iter().all(|one| !one.soon && !one.renew.is_empty()), "{expires:?}");
    assert!(expires.is_sorted_by_key(|one| one.at));
    // Everything here lives for a thousand hours.
    let world = World::start_with(|_, settings| settings.pace.warn_before = Span::hours(1_001)).await;
    let expires = world.client(&world.operator()).federation().await.unwrap().expires;
    let soon: Vec<&str> = expires.iter().filter(|one| one.soon).map(|one| one.what.as_str()).collect();
    assert_eq!(soon.len(), expires.len() - 2, "all but what the plane signs anew by itself: {soon:?}");
    let http = world.http(trust::tls::anonymous_client_config(&world.root).unwrap());
    let url = format!("http://{}/metrics", world.at().metrics);
    let text = Answered::read(http.get(url).send().await.unwrap()).await.text();
    let gauge = text.lines().find(|line| line.contains("expires_timestamp_seconds{what=\"the TUF root\"}"));
    let told: i64 = gauge.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    let root = expires.iter().find(|one| one.what == "the TUF root").unwrap();
    assert_eq!(told, root.at.as_seconds());
}
