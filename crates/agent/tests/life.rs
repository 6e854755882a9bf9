//! The agent as a process, with real keys, TLS, TUF and hooks: its life, and its deaths.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::result_large_err,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use client::{Client, SystemSource};
use governance::{Span, State};
use proof::{Jws, OfferAction, Sign as _};
use serde_json::{Value, json};
use support::{Instance, Plane, now, version};
use trust::{SigningKey, Validity};

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_enrols_upgrades_fails_and_goes_back() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let one = plane.publish(1, b"0.1.1");
    let two = plane.publish(2, b"not a version");
    plane.publish(3, b"0.1.3");
    let mut instance = Instance::new(&plane, "");
    instance.start();
    plane.heard("runs 0.1.0").await;
    plane.heard("ready").await;

    plane.offer(1, OfferAction::Update, one.clone());
    plane.heard("succeeded 0.1.1").await;
    assert_eq!(instance.runs(), "0.1.1");
    assert_eq!(std::fs::read(instance.folder.join("current/package")).unwrap(), b"0.1.1");

    plane.offer(2, OfferAction::Update, two);
    plane.heard("failed 0.1.2: not healthy within 1s").await;
    assert_eq!(instance.runs(), "0.1.1");
    assert_eq!(std::fs::read(instance.folder.join("current/package")).unwrap(), b"0.1.1");

    // AU-2: bytes the Organism did not sign for this release, and an update backwards.
    plane.offer(3, OfferAction::Update, one.clone());
    tokio::time::sleep(Duration::from_millis(800)).await;
    let zero = plane.publish(0, b"0.1.0");
    plane.offer(0, OfferAction::Update, zero.clone());
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(plane.book().state, State::UpdatePending, "nothing was begun");
    assert!(instance.log().contains("not what the Organism signed"));
    assert!(instance.log().contains("is no update from"));

    plane.offer(0, OfferAction::Rollback, zero);
    plane.heard("succeeded 0.1.0").await;
    assert_eq!(instance.runs(), "0.1.0");
    assert!(instance.stop(), "SIGTERM ends it well");
    assert!(!plane.book().log.iter().any(|line| line.contains("chain broken")));
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_any_moment_of_an_upgrade_ends_in_one_whole_version() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    // Killed again and again from its very first start.
    for millis in [5, 20, 40, 60, 80, 120, 160, 200] {
        instance.start();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        instance.kill();
    }
    instance.start();
    plane.heard("ready").await;
    let (mut tried, mut went, mut back) = (0, 0, 0);
    for patch in 1..=10 {
        let package = plane.publish(patch, version(patch).to_string().as_bytes());
        let before = instance.runs();
        plane.offer(patch, OfferAction::Update, package);
        plane.book().log.clear();
        tokio::time::sleep(Duration::from_millis(u64::from(patch) * 120)).await;
        instance.kill();
        instance.start();
        tokio::time::sleep(Duration::from_millis(u64::from(patch) * 23)).await;
        instance.kill();
        instance.start();
        tried += 1;
        for _ in 0..400 {
            if plane.book().offer.is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = plane.book().log.clone();
        assert!(plane.book().offer.is_none(), "{patch}: {log:?}");
        let succeeded = log.iter().any(|line| line.starts_with("succeeded"));
        let expected = if succeeded { version(patch).to_string() } else { before };
        assert_eq!(instance.runs(), expected, "{patch}: {log:?}");
        assert!(!log.iter().any(|line| line.contains("chain broken")), "{patch}: {log:?}");
        *(if succeeded { &mut went } else { &mut back }) += 1;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(instance.stop());
    assert_eq!(went + back, tried);
    assert!(went > 0, "{back} of {tried} went back");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_installs_nothing_keeps_reporting_and_renews() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    plane.book().renew_after = Span::from_millis(300);
    let mut instance = Instance::new(&plane, "[policy]\ninstall = false");
    instance.start();
    plane.heard("ready").await;
    let one = plane.publish(1, b"0.1.1");
    plane.offer(1, OfferAction::Update, one);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(plane.book().state, State::UpdatePending);
    assert_eq!(plane.book().renewals, 1);
    assert_eq!(instance.runs(), "0.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn hs_8_the_endpoint_answers_operators_and_nobody_else() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    instance.start();
    plane.heard("ready").await;
    let registered =
        plane.book().log.iter().find_map(|line| line.strip_prefix("registered ").map(str::to_owned));
    let endpoint = registered.unwrap();
    let key = Arc::new(SigningKey::generate().unwrap());
    let validity = Validity { not_before: now() - Span::hours(1), not_after: now() + Span::hours(1) };
    let name = "admin".parse().unwrap();
    let operator = plane.root.issue_operator(&name, key.public_key(), validity).unwrap().chain;
    let stranger = vec![trust::tls::self_signed(&key).unwrap()];
    let id = plane.book().instance.unwrap();
    let public_key = plane.book().key.unwrap();
    for (chain, welcome) in [(operator, true), (stranger, false)] {
        let tls = support::any_server(chain, &key);
        let client = Client::new(&endpoint, tls, Arc::clone(&key) as _, Arc::new(SystemSource)).unwrap();
        let answer = client.post::<_, Jws>("/v1/challenge", &json!({"nonce": "0123456789abcdef"})).await;
        if !welcome {
            assert_eq!(answer.unwrap_err().code(), Some("not-authorised"));
            continue;
        }
        let answer = answer.unwrap();
        let payload: Value =
            answer.verify_one(proof::Typ::Statement, &public_key).unwrap().parse_payload().unwrap();
        assert_eq!(payload["nonce"], "0123456789abcdef");
        assert_eq!(payload["instance"], id.to_string());
        let facts: Value = client.fetch("/v1/metadata").await.unwrap();
        assert_eq!((facts["platform"].as_str(), facts["tier"].as_str()), (Some("0.1.0"), Some("pro")));
        let short = client.post::<_, Jws>("/v1/challenge", &json!({"nonce": "x"})).await;
        assert_eq!(short.unwrap_err().code(), Some("malformed"));
    }
}
