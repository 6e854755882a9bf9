//! News: whoever listens is told at once that a check-in brings something, and a storm is let in without a failure.

use std::time::Duration;

use client::{ClientError, Events};
use governance::{Class, InstanceId, Span, State};
use proof::Jws;
use proof::directive::Directive;
use proof::jws::Typ;
use proof::order::{Order, OrderAction};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use wire::Look;

use crate::common::{Raw, Who, World, now, refused};
use crate::releases::{prepare, release};

/// The next thing said, soon.
async fn next(events: &mut Events) -> Option<Look> {
    let next = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
    next.unwrap().unwrap()
}

/// Opens a stream, which says so.
async fn listen(world: &World, id: InstanceId, who: &Who) -> Events {
    let mut events = world.client(who).events(id).await.unwrap();
    let opened = Look { why: "opened".to_owned(), within_ms: 900_000 };
    assert_eq!(next(&mut events).await, Some(opened));
    events
}

/// A world in which nobody comes by himself: check-ins are an hour apart.
async fn quiet(change: impl FnOnce(&mut server::Settings)) -> World {
    World::start_with(|law, settings| {
        (law.rate_address, law.rate_instance) = (1_000_000, 1_000_000);
        settings.pace.check_in_every = Span::hours(1);
        settings.pace.directive_lifetime = Span::hours(2);
        settings.pace.sweep_every = Span::hours(1);
        change(settings);
    })
    .await
}

fn urgent(why: &str) -> Option<Look> {
    Some(Look { why: why.to_owned(), within_ms: 0 })
}

#[tokio::test]
async fn ro_5_a_security_release_reaches_whoever_listens_though_nobody_comes_by_himself() {
    let world = quiet(|_| {}).await;
    let operator = world.client(&world.operator());
    let base = prepare(&world, &release("0.1.0", b"old"), b"old", "1.targets.json").await;
    operator.release_publish(&base).await.unwrap();
    let mut listeners = Vec::new();
    for _ in 0..12 {
        let (id, who) = world.active().await;
        let events = listen(&world, id, &who).await;
        listeners.push((id, who, events));
    }
    let security = governance::Release { class: Class::Security, ..release("0.1.1", b"new") };
    let security = prepare(&world, &security, b"new", "2.targets.json").await;
    operator.release_publish(&security).await.unwrap();
    for (id, who, events) in &mut listeners {
        assert_eq!(next(events).await, urgent("security"));
        // What it says is unsigned, and says nothing: the answer to the check-in is what counts.
        let standing = world.client(who).check_in(*id).await.unwrap();
        let directive: Directive = standing.directive.parse_unverified().unwrap();
        assert_eq!(directive.offer.unwrap().release.to_string(), "0.1.1");
    }
    world.lawful().await;
}

#[tokio::test]
async fn what_is_news_to_one_is_told_to_one_and_what_is_to_all_to_all() {
    let world = quiet(|_| {}).await;
    let operator = world.client(&world.operator());
    let ((id, who), (other, other_who)) = (world.active().await, world.active().await);
    let (mut one, mut two) = (listen(&world, id, &who).await, listen(&world, other, &other_who).await);
    operator.instance_suspend(id).await.unwrap();
    assert_eq!(next(&mut one).await, urgent("standing"));
    operator.instance_challenge(id).await.unwrap();
    assert_eq!(next(&mut one).await, urgent("challenge"));
    operator.red_switch(true).await.unwrap();
    for events in [&mut one, &mut two] {
        assert_eq!(next(events).await, urgent("red-switch"), "the other heard of nothing before");
    }
    // What the instance did itself it is told in the answer.
    world.client(&who).check_in(id).await.unwrap();
    let freeze = wire::Freeze { from: now(), until: now() + Span::hours(1) };
    operator.freeze(&freeze).await.unwrap();
    let freeze = Some(Look { why: "freeze".to_owned(), within_ms: 900_000 });
    assert_eq!((next(&mut one).await, next(&mut two).await), (freeze.clone(), freeze));
}

#[tokio::test]
async fn a_stream_is_the_instances_own_one_at_a_time_and_takes_no_place_of_a_request() {
    let world = quiet(|settings| {
        settings.limits.requests = 1;
        settings.limits.streams = 2;
        settings.pace.heartbeat_every = Span::from_millis(20);
    })
    .await;
    let ((id, who), (other, other_who), third) =
        (world.active().await, world.active().await, world.active().await);
    let path = format!("/v1/instances/{id}/events");
    Raw::get(&path).send(&world, &other_who).await.refused(403, "not-authorised");
    Raw::get(&path).send(&world, &world.operator()).await.refused(403, "not-authorised");
    let unsigned = world.http_of(&who).get(format!("https://{}{path}", world.at().instances));
    assert_eq!(unsigned.send().await.unwrap().status(), 401);

    // While there is nothing to say it is said that it is there.
    let request = Raw::get(&path);
    let fields: http::HeaderMap = request.fields(&world, &who).into_iter().collect();
    let url = format!("https://{}{path}", world.at().instances);
    let mut raw = world.http_of(&who).get(url).headers(fields).send().await.unwrap();
    assert_eq!(raw.headers()["content-type"], "text/event-stream");
    let mut heard = String::new();
    while heard.matches(":\n\n").count() < 3 {
        heard.push_str(&String::from_utf8_lossy(&raw.chunk().await.unwrap().unwrap()));
    }
    assert!(heard.starts_with("event: look\ndata: {\"why\":\"opened\""), "{heard}");

    // A newer one ends the older; both places are taken then, and requests go on.
    let mut newer = listen(&world, id, &who).await;
    while raw.chunk().await.unwrap().is_some() {}
    let mut others = listen(&world, other, &other_who).await;
    let full = world.client(&third.1).events(third.0).await;
    let retry = full.as_ref().err().cloned();
    refused(full.map(|_| ()), 503, "busy");
    assert!(
        matches!(retry, Some(ClientError::Refused { retry_after_seconds: Some(1..=8), .. })),
        "{retry:?}"
    );
    world.client(&third.1).check_in(third.0).await.unwrap();
    world.client(&who).check_in(id).await.unwrap();

    // Revoked, the instance is told nothing any more.
    let order = Order {
        serial: 1,
        expires: now() + Span::hours(1),
        action: OrderAction::Revoke { instance: id, reason: "stolen".to_owned() },
    };
    let order = Jws::sign_json(Typ::Order, &order, &world.founder).unwrap();
    world.client(&world.operator()).order_submit(order).await.unwrap();
    assert_eq!(next(&mut newer).await, None);
    refused(world.client(&who).events(id).await.map(|_| ()), 403, "instance-revoked");
    drop(newer);

    // Its place is free again, and a stream that nobody reads any more is found out.
    let mut thirds = listen(&world, third.0, &third.1).await;
    drop(others);
    let free = async {
        while world.plane().news().listening() > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.expect("whoever went is forgotten");
    others = listen(&world, other, &other_who).await;

    // The server ends: streams end before it, and nothing is cut.
    let mut world = world;
    assert_eq!(world.stop().await, server::Stopped { cut: 0, failed: None });
    assert_eq!((next(&mut thirds).await, next(&mut others).await), (None, None));
}

#[tokio::test]
async fn calls_go_over_the_connection_that_a_stream_holds_open() {
    let world = quiet(|settings| settings.limits.connections_per_address = 3).await;
    let (id, who) = world.active().await;
    let client = world.client(&who);
    let mut events = client.events(id).await.unwrap();
    assert_eq!(next(&mut events).await.map(|look| look.why), Some("opened".to_owned()));
    // The address has as many connections as it may: a further one is closed at once.
    let mut idle = Vec::new();
    loop {
        let stream = TcpStream::connect(world.at().instances).await.unwrap();
        let closed = tokio::time::timeout(Duration::from_millis(300), stream.peek(&mut [0])).await;
        if closed.is_ok() {
            break;
        }
        idle.push(stream);
    }
    assert!(world.client(&who).check_in(id).await.is_err());
    for _ in 0..8 {
        let clone = client.clone();
        assert_eq!(clone.check_in(id).await.unwrap().state, State::Active);
    }
    drop((events, idle));
    assert_eq!(client.check_in(id).await.unwrap().state, State::Active);
}

/// How often an instance had to ask until it was answered. It keeps to `Retry-After`, as agents do.
async fn persist(client: client::Client, id: InstanceId) -> u32 {
    for attempt in 1.. {
        match client.check_in(id).await {
            Ok(_) => return attempt,
            Err(ClientError::Refused { retry_after_seconds: Some(seconds), problem }) => {
                assert_eq!((problem.status, problem.code.as_str()), (503, "busy"));
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn hs_7_a_storm_of_instances_is_served_in_the_end_and_nobody_fails() {
    let world = quiet(|settings| {
        settings.limits.requests = 1;
        settings.limits.connections = 8;
        settings.limits.handshakes = 2;
    })
    .await;
    let mut instances = Vec::new();
    for _ in 0..40 {
        instances.push(world.active().await);
    }
    let mut storm = JoinSet::new();
    for (id, who) in instances {
        storm.spawn(persist(world.client(&who), id));
    }
    let mut most = 0;
    while let Some(attempts) = storm.join_next().await {
        most = most.max(attempts.unwrap());
    }
    assert!(most <= 10, "{most} attempts");
}
