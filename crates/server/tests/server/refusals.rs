//! What the gate refuses (HS-6, HS-7, AU-1): each with its status and code, and nothing changes.

use crate::common::{Raw, Who, World, refused, renewal, statement};
use governance::{Span, State};
use http::{HeaderMap, Method};
use proof::order::{Order, OrderAction};
use proof::{Jws, Typ};
use trust::{Issuer, SigningKey, Validity};

#[tokio::test]
async fn hs_6_only_what_is_signed_freshly_by_the_peer_goes_through() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let path = format!("/v1/instances/{id}/check-in");
    let size = world.ledger_size().await;
    let raw = || Raw::post(path.clone(), "{}");

    raw().send_with(&world, &who, HeaderMap::new()).await.refused(401, "signature-missing");
    let signer = Some(Who::fresh().key);
    Raw { signer, ..raw() }.send(&world, &who).await.refused(401, "signature-invalid");
    let sent_body = Some(b"{ }".to_vec());
    Raw { sent_body, ..raw() }.send(&world, &who).await.refused(401, "digest-mismatch");
    let authority = Some("elsewhere.example:8443".to_owned());
    Raw { authority, ..raw() }.send(&world, &who).await.refused(401, "signature-invalid");
    for created in [crate::common::now() - Span::hours(1), crate::common::now() + Span::hours(1)] {
        Raw { created, ..raw() }.send(&world, &who).await.refused(401, "clock-skew");
    }
    // The same request twice: a check-in writes nothing, and is refused the second time all the same.
    let once = raw();
    once.send(&world, &who).await.accepted();
    once.send(&world, &who).await.refused(401, "nonce-replayed");
    // Nothing of it is on record but that it happened again and again (CO-13).
    assert_eq!(world.ledger_size().await, size + 1);
}

#[tokio::test]
async fn hs_6_a_replay_is_refused_after_a_restart_where_it_would_write() {
    let mut world = World::start().await;
    let (id, who) = world.instance().await;
    world.settings.listen.instances = world.at().instances;
    let once = Raw::post(
        format!("/v1/instances/{id}/report"),
        serde_json::to_vec(&wire::Report { statement: statement(id, &who.key, 1, None) }).unwrap(),
    );
    once.send(&world, &who).await.accepted();
    world.stop().await;
    world.run().await;
    let size = world.ledger_size().await;
    // The same statement writes nothing; whatever the answer, the ledger stays.
    let _ = once.send(&world, &who).await;
    assert_eq!(world.ledger_size().await, size);
    assert_eq!(world.client(&who).status(id).await.unwrap().state, State::Registered);
}

#[tokio::test]
async fn hs_6_another_servers_name_is_not_ours() {
    let world = World::start().await;
    let who = Who::fresh();
    let raw = Raw::post("/v1/register", "{}");
    let mut headers = HeaderMap::new();
    headers.insert("host", "elsewhere.example".parse().unwrap());
    let answered = raw.send_with(&world, &who, headers).await;
    // Over HTTP/2 the two names differ, and the listener itself refuses; alone, the server does.
    assert!(answered.status == 400 || answered.status == 421, "{answered:?}");
}

#[tokio::test]
async fn au_1_a_certificate_of_another_ca_is_refused_in_words() {
    let world = World::start().await;
    let (id, _) = world.active().await;
    let validity = Validity {
        not_before: crate::common::now() - Span::hours(1),
        not_after: crate::common::now() + Span::hours(1),
    };
    let domain = crate::common::DOMAIN.parse().unwrap();
    let foreign = Issuer::make_root(SigningKey::generate().unwrap(), &domain, validity).unwrap();
    let key = SigningKey::generate().unwrap();
    let chain = foreign
        .issue_person(
            &governance::Person::operator("admin".parse().unwrap()),
            proof::Sign::public_key(&key),
            validity,
        )
        .unwrap()
        .chain;
    let who = Who { key: key.into(), chain };
    Raw::get("/v1/federation").send(&world, &who).await.refused(401, "certificate-untrusted");
    Raw::post(format!("/v1/instances/{id}/check-in"), "{}")
        .send(&world, &who)
        .await
        .refused(401, "certificate-untrusted");
}

#[tokio::test]
async fn au_1_roles_are_kept_apart() {
    let world = World::start().await;
    let (one, who) = world.active().await;
    let (other, _) = world.active().await;
    let operator = world.operator();
    for raw in [
        Raw::get("/v1/instances"),
        Raw::get(format!("/v1/instances/{one}")),
        Raw::post(format!("/v1/instances/{one}/reactivate"), "{}"),
        Raw::post("/v1/enrolments", "{}"),
        Raw::get("/v1/ledger/entries"),
        Raw::post(format!("/v1/instances/{other}/check-in"), "{}"),
        Raw::get(format!("/v1/instances/{other}/status")),
        Raw::post("/v1/instances/not-an-id/check-in", "{}"),
    ] {
        raw.send(&world, &who).await.refused(403, "not-authorised");
    }
    Raw::post(format!("/v1/instances/{one}/check-in"), "{}")
        .send(&world, &operator)
        .await
        .refused(403, "not-authorised");
}

#[tokio::test]
async fn every_refusal_is_problem_json() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let operator = world.operator();
    Raw::get("/v1/nothing").send(&world, &who).await.refused(404, "not-found");
    Raw::get("/").send(&world, &who).await.refused(404, "not-found");
    let answered = Raw::get("/v1/register").send(&world, &who).await;
    answered.refused(405, "method-not-allowed");
    assert_eq!(answered.headers["allow"], "POST");
    let path = format!("/v1/instances/{id}/ready");
    Raw { media: "text/plain", ..Raw::post(path.clone(), "{}") }
        .send(&world, &who)
        .await
        .refused(415, "media-type-unsupported");
    let problem =
        Raw::post(path.clone(), r#"{"redy":1}"#).send(&world, &who).await.refused(400, "json-malformed");
    assert!(problem.detail.contains("redy") && problem.detail.contains("line 1"), "{problem:?}");
    Raw::post(path.clone(), "{").send(&world, &who).await.refused(400, "json-malformed");
    Raw::post(path.clone(), "{} {}").send(&world, &who).await.refused(400, "json-malformed");
    let large = vec![b' '; wire::BODY_BYTES_MAX + 1];
    let problem = Raw::post(path, large).send(&world, &who).await.refused(413, "body-too-large");
    assert!(problem.detail.contains("262144"), "{problem:?}");
    Raw::get("/v1/instances?stat=active").send(&world, &operator).await.refused(400, "query-malformed");
    Raw::get("/v1/instances?state=lively").send(&world, &operator).await.refused(400, "query-malformed");
    Raw::get("/v1/instances/one").send(&world, &operator).await.refused(400, "path-malformed");
    let absent = "00000000-0000-4000-8000-000000000000";
    Raw::get(format!("/v1/instances/{absent}")).send(&world, &operator).await.refused(404, "not-found");
    Raw::get("/v1/rollouts/9.9.9").send(&world, &operator).await.refused(404, "not-found");
    Raw::post("/v1/rollouts/9.9.9/hurry", "{}").send(&world, &operator).await.refused(404, "not-found");
    let nested = r#"{"kind":"saas-shared","tier":"gold"}"#;
    let problem =
        Raw::post("/v1/enrolments", nested).send(&world, &operator).await.refused(400, "json-malformed");
    assert!(problem.detail.contains("`tier`"), "{problem:?}");
    let body = r#"{"kind":"dedicated","tier":"free"}"#;
    let problem =
        Raw::post("/v1/enrolments", body).send(&world, &operator).await.refused(409, "tier-mismatch");
    assert_eq!(problem.reasons.len(), 2, "every rule that failed: {problem:?}");
}

#[tokio::test]
async fn hs_7_a_noisy_instance_is_told_to_wait_and_others_are_not() {
    let world = World::start_with(|law, _| law.rate_instance = 5).await;
    let (id, who) = world.instance().await;
    let (other, quiet) = world.instance().await;
    let client = world.client(&who);
    for _ in 0..5 {
        client.check_in(id).await.unwrap();
    }
    let error = client.check_in(id).await.unwrap_err();
    assert_eq!(error.code(), Some("rate-limited"));
    let client::ClientError::Refused { retry_after_seconds, .. } = error else { panic!("{error}") };
    assert!(
        retry_after_seconds.is_some_and(|seconds| (1..=12).contains(&seconds)),
        "{retry_after_seconds:?}"
    );
    world.client(&quiet).check_in(other).await.unwrap();
    // Renewal has a budget of its own.
    client.renew(id, &renewal(&who, None)).await.unwrap();
}

#[tokio::test]
async fn hs_7_an_address_is_limited_per_kind_of_call() {
    let world = World::start_with(|law, _| (law.rate_address, law.rate_instance) = (3, 3)).await;
    let who = Who::fresh();
    let raw = || Raw::post("/v1/instances/x/check-in", "{}");
    for _ in 0..3 {
        raw().send(&world, &who).await.refused(401, "not-registered");
    }
    let answered = raw().send(&world, &who).await;
    answered.refused(429, "rate-limited");
    assert_eq!(answered.headers["retry-after"], "20");
    Raw::post("/v1/register", "{}").send(&world, &who).await.refused(400, "json-malformed");
}

#[tokio::test]
async fn lc_19_a_revoked_instance_may_read_its_status_and_nothing_else() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let order = Order {
        serial: 1,
        expires: crate::common::now() + Span::hours(1),
        action: OrderAction::Revoke { instance: id, reason: "stolen".to_owned() },
    };
    let operator = world.client(&world.operator());
    let forged = Jws::sign_json(Typ::Order, &order, &world.organism).unwrap();
    refused(operator.order_submit(forged).await, 403, "order-untrusted");
    let order = Jws::sign_json(Typ::Order, &order, &world.founder).unwrap();
    operator.order_submit(order.clone()).await.unwrap();
    refused(operator.order_submit(order).await, 409, "order-replayed");
    let client = world.client(&who);
    assert_eq!(client.status(id).await.unwrap().state, State::Revoked);
    refused(client.check_in(id).await, 403, "instance-revoked");
    refused(client.ready(id).await, 403, "instance-revoked");
    refused(client.report(id, statement(id, &who.key, 1, None)).await, 403, "instance-revoked");
    refused(client.renew(id, &renewal(&who, None)).await, 403, "instance-revoked");
}

#[tokio::test]
async fn every_row_of_the_table_is_served() {
    let world = World::start().await;
    let who = Who::fresh();
    let rows = include_str!("../../src/table.rs").lines().filter_map(|line| {
        let row = line.trim().strip_prefix("row(Method::")?;
        let (method, rest) = row.split_once(',')?;
        Some((method.to_owned(), rest.split('"').nth(1)?.to_owned()))
    });
    let mut count = 0;
    for (method, path) in rows {
        let path = path
            .replace("{id}", "x")
            .replace("{release}", "1.0.0")
            .replace("{name}", "f")
            .replace("{verb}", "pause")
            .replace("{number}", "1");
        let method: Method = method.parse().unwrap();
        let answered = Raw::new(method.clone(), path.clone(), "").send(&world, &who).await;
        assert!(!matches!(answered.status, 404 | 405 | 200), "{method} {path}: {answered:?}");
        count += 1;
    }
    assert_eq!(count, 52);
}
