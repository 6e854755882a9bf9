//! The agent listens for news, and does without where there is none.
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

use client::{Client, SystemSource};
use proof::{OfferAction, Sign as _};
use serde_json::Value;
use std::sync::Arc;
use support::{Instance, Plane, now};
use tokio::sync::broadcast;
use trust::{SigningKey, Validity};
use wire::Look;

const HOUR_MS: u64 = 3_600_000;

fn look(why: &str, within_ms: u64) -> Look {
    Look { why: why.to_owned(), within_ms }
}

/// How the instance's endpoint says it stands with the stream.
async fn shown(plane: &Plane) -> String {
    let log = plane.book().log.clone();
    let registered = log.iter().rev().find_map(|line| line.strip_prefix("registered ")).unwrap().to_owned();
    let key = Arc::new(SigningKey::generate().unwrap());
    let operator = governance::Person::operator("admin".parse().unwrap());
    let until = now() + governance::Span::hours(1);
    let validity = Validity { not_before: now() - governance::Span::hours(1), not_after: until };
    let chain = plane.root.issue_person(&operator, key.public_key(), validity).unwrap().chain;
    let tls = support::any_server(chain, &key);
    let client = Client::new(&registered, tls, key, Arc::new(SystemSource)).unwrap();
    let facts: Value = client.fetch("/v1/metadata").await.unwrap();
    facts["events"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_offered_is_heard_of_at_once_though_the_next_check_in_is_an_hour_away() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let (news, _) = broadcast::channel(64);
    (plane.book().interval_ms, plane.book().news) = (HOUR_MS, Some(news.clone()));
    let mut instance = Instance::new(&plane, "");
    instance.start();
    plane.heard("ready").await;
    plane.until("it listens", |book| book.streams == 1).await;
    assert_eq!(shown(&plane).await, "open");

    let package = plane.publish(1, b"0.1.1");
    plane.offer(1, OfferAction::Update, package);
    let before = plane.book().check_ins;
    // What is for some time soon waits; what comes behind it and is for now does not.
    news.send(look("freeze", HOUR_MS)).unwrap();
    instance.said("news why=\"freeze\"").await;
    assert_eq!(plane.book().check_ins, before, "it has an hour to choose from");
    news.send(look("security", 0)).unwrap();
    plane.heard("succeeded 0.1.1").await;
    assert_eq!(instance.runs(), "0.1.1");
    assert!(instance.log().contains("news why=\"security\""), "{}", instance.log());

    // A plane that calls without end is obeyed as one whose interval is none: five times a second.
    let before = plane.book().check_ins;
    let begun = now();
    while plane.book().check_ins < before + 5 {
        news.send(look("a word that is not known yet", 0)).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(now().since(begun) >= governance::Span::from_millis(800), "five rounds, four pauses between");

    // The stream ends, as with the server: it is opened again.
    plane.book().news = Some(broadcast::channel(8).0);
    drop(news);
    plane.until("it listens again", |book| book.streams == 2).await;
    assert!(instance.log().contains("the plane ended the stream of news"));
    assert!(instance.stop(), "SIGTERM ends it well");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stream_everything_comes_with_the_next_check_in() {
    for (top, told, state) in
        [("events = false", None, "off"), ("", Some("hears no news; tries again in 10m"), "closed")]
    {
        let place = tempfile::tempdir().unwrap();
        let plane = Plane::start(place.path()).await;
        plane.book().news = told.is_none().then(|| broadcast::channel(8).0);
        let health = format!("[health]\nstable_for = \"400ms\"\n{}", support::HEALTH);
        let mut instance = Instance::with(&plane, top, &health);
        instance.start();
        plane.heard("ready").await;
        let one = plane.publish(1, b"0.1.1");
        plane.offer(1, OfferAction::Update, one);
        plane.heard("succeeded 0.1.1").await;
        if let Some(told) = told {
            instance.said(told).await;
        }
        assert_eq!((shown(&plane).await.as_str(), plane.book().streams), (state, 0));
        assert!(instance.stop());
    }
}
