//! HS-1, HS-2: registering and renewing over real TLS.

use std::sync::Arc;

use crate::common::{Raw, Who, World, certified, refused, registration, statement};
use governance::{Span, State};
use wire::CheckedIn;

#[tokio::test]
async fn hs_1_an_instance_registers_reports_and_checks_in() {
    let mut world = World::start().await;
    let (id, who) = world.instance().await;
    let client = world.client(&who);
    assert_eq!(client.status(id).await.unwrap().state, State::Registered);
    assert_eq!(client.ready(id).await.unwrap().state, State::Active);
    let first = statement(id, &who.key, 1, None);
    let standing = client.report(id, first.clone()).await.unwrap();
    assert!(standing.findings.is_empty(), "{:?}", standing.findings);
    client.report(id, first.clone()).await.unwrap();
    client.report(id, statement(id, &who.key, 2, Some(first.digest()))).await.unwrap();
    let before = world.ledger_size().await;
    let standing = client.check_in(id).await.unwrap();
    assert_eq!(standing.state, State::Active);
    assert!((54_000..=66_000).contains(&standing.interval_ms), "{}", standing.interval_ms);
    // Whoever knows where it stands is told no more than that; whoever thinks it stands elsewhere, all.
    let having = async |mark| client.check_in_having(id, mark).await.unwrap();
    let unchanged = having(standing.mark).await;
    assert!(matches!(unchanged, CheckedIn::Unchanged { unchanged, .. } if unchanged == standing.mark));
    let CheckedIn::Standing(whole) = having(wire::Mark::new(1, None)).await else { panic!("not told") };
    assert_eq!((whole.mark, whole.state), (standing.mark, State::Active));
    assert_eq!(world.ledger_size().await, before, "a check-in writes nothing");
    // Behind another head than the one on record: the chain is broken (ID-4, CO-9).
    client.report(id, statement(id, &who.key, 3, Some(first.digest()))).await.unwrap_err();
    let CheckedIn::Standing(told) = having(standing.mark).await else {
        panic!("not told of the broken chain")
    };
    assert_eq!(told.state, State::OutOfCompliance, "{:?}", told.findings);
    let listed = world.client(&world.operator()).instances(&client::InstanceQuery::default()).await.unwrap();
    assert_eq!(listed.items.iter().map(|instance| instance.id).collect::<Vec<_>>(), [id]);
    let stopped = world.stop().await;
    assert_eq!((stopped.cut, stopped.failed), (0, None));
}

#[tokio::test]
async fn hs_1_the_same_key_and_secret_get_the_same_certificate_again() {
    let world = World::start().await;
    let who = Who::fresh();
    let request = registration(&world.enrol().await, &who.key);
    let first = world.client(&who).register(&request).await.unwrap();
    let size = world.ledger_size().await;
    let again = world.client(&who).register(&request).await.unwrap();
    assert_eq!((first.instance, &first.certificate), (again.instance, &again.certificate));
    assert_eq!(world.ledger_size().await, size);
    // Another key does not.
    let other = Who::fresh();
    let request = registration(&request.secret, &other.key);
    refused(world.client(&other).register(&request).await, 409, "enrolment-used");
    assert_eq!(world.ledger_size().await, size);
}

#[tokio::test]
async fn hs_1_what_is_refused_uses_nothing_up() {
    let world = World::start().await;
    let who = Who::fresh();
    let secret = world.enrol().await;
    let client = world.client(&who);
    let size = world.ledger_size().await;
    refused(client.register(&registration("enrol-unknown", &who.key)).await, 403, "enrolment-unknown");
    let other = Who::fresh();
    refused(client.register(&registration(&secret, &other.key)).await, 403, "key-mismatch");
    let mut request = registration(&secret, &who.key);
    request.metadata.tier = governance::Tier::Pro;
    refused(client.register(&request).await, 409, "tier-mismatch");
    let mut request = registration(&secret, &who.key);
    request.csr = "-----BEGIN NOTHING-----".to_owned();
    refused(client.register(&request).await, 400, "csr-malformed");
    assert_eq!(world.ledger_size().await, size);
    client.register(&registration(&secret, &who.key)).await.unwrap();
}

#[tokio::test]
async fn hs_1_an_enrolment_expires() {
    let world = World::start_with(|law, _| law.enrolment_lifetime = Span::from_millis(1_000)).await;
    let secret = world.enrol().await;
    tokio::time::sleep(std::time::Duration::from_millis(1_020)).await;
    let who = Who::fresh();
    refused(world.client(&who).register(&registration(&secret, &who.key)).await, 403, "enrolment-expired");
}

#[tokio::test]
async fn hs_1_a_race_for_one_enrolment_has_one_winner() {
    let world = World::start().await;
    let secret = world.enrol().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let who = Who::fresh();
        let (client, request) = (world.client(&who), registration(&secret, &who.key));
        calls.spawn(async move { client.register(&request).await });
    }
    let results = calls.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for error in results.into_iter().filter_map(Result::err) {
        assert_eq!(error.code(), Some("enrolment-used"));
    }
}

#[tokio::test]
async fn hs_1_who_is_not_registered_may_register_and_nothing_else() {
    let world = World::start().await;
    let (id, registered) = world.instance().await;
    let who = Who::fresh();
    for path in [format!("/v1/instances/{id}/check-in"), "/v1/red-switch".to_owned()] {
        Raw::post(path, "{}").send(&world, &who).await.refused(401, "not-registered");
    }
    let request = registration(&world.enrol().await, &registered.key);
    refused(world.client(&registered).register(&request).await, 403, "not-authorised");
    let again = Who { chain: vec![trust::tls::self_signed(&registered.key).unwrap()], ..registered };
    let second = world.client(&again).register(&request).await.unwrap();
    assert_ne!(second.instance, id);
    let _ = certified(&again, &second);
}

/// Same id, new certificate, new chain, the old certificate revoked; two people, and before the Founder.
#[tokio::test]
async fn hs_1_an_instance_enrols_afresh_when_two_people_let_it() {
    let mut world = World::start().await;
    let alice = world.client(&world.operator());
    let bob = world.client(&world.person("operator/bob").0);
    let (id, old) = world.active().await;
    let first = statement(id, &old.key, 1, None);
    world.client(&old).report(id, first.clone()).await.unwrap();
    let created = alice.re_enrol(id).await.unwrap();
    let listed = bob.enrolments().await.unwrap().items;
    assert_eq!((listed[0].digest, listed[0].instance), (created.digest, id));
    assert_eq!((listed[0].asked.as_str(), &listed[0].approved), ("operator/admin", &None));
    // Its key is lost: it comes with another.
    let fresh = Who::fresh();
    let mut request = registration(&created.secret, &fresh.key);
    request.metadata.endpoint = "https://instance.example:9443".parse().unwrap();
    refused(world.client(&fresh).register(&request).await, 409, "enrolment-unapproved");
    refused(alice.enrolment_approve(created.digest).await, 409, "approval-own");
    let unknown = governance::Digest::of(b"none");
    refused(bob.enrolment_approve(unknown).await, 404, "not-found");
    bob.enrolment_approve(created.digest).await.unwrap();
    bob.enrolment_approve(created.digest).await.unwrap();
    world.client(&old).check_in(id).await.unwrap();
    // Whoever copied the key that is in force would go on with it.
    let same = Who { chain: vec![trust::tls::self_signed(&old.key).unwrap()], key: Arc::clone(&old.key) };
    let kept = registration(&created.secret, &same.key);
    refused(world.client(&same).register(&kept).await, 409, "key-not-new");
    let registered = world.client(&fresh).register(&request).await.unwrap();
    assert_eq!(registered.instance, id);
    let now_it = certified(&fresh, &registered);
    // The same key and secret get the same answer; nobody else does.
    assert_eq!(world.client(&fresh).register(&request).await.unwrap().certificate, registered.certificate);
    let thief = Who::fresh();
    let stolen = registration(&created.secret, &thief.key);
    refused(world.client(&thief).register(&stolen).await, 409, "enrolment-used");
    assert!(bob.enrolments().await.unwrap().items.is_empty());
    // A new chain under the new key; the old key is heard no more.
    let own = world.client(&now_it);
    own.report(id, statement(id, &now_it.key, 1, None)).await.unwrap();
    refused(world.client(&old).check_in(id).await, 401, "certificate-superseded");
    let view = alice.instance(id).await.unwrap();
    assert_eq!(
        (view.state, view.endpoint.as_ref().unwrap().as_str()),
        (State::Active, "https://instance.example:9443")
    );
    assert_eq!(view.escalations.iter().map(|open| open.rule.as_str()).collect::<Vec<_>>(), ["HS-1"]);
    world.until_listed(&old).await;
    assert!(!world.lists(&now_it).await);
    world.stop().await;
    world.run().await;
    world.client(&now_it).check_in(id).await.unwrap();
    world.lawful().await;
}

#[tokio::test]
async fn hs_1_a_provider_asks_for_its_own_instances_and_approves_none() {
    let world = World::start().await;
    let operator = world.client(&world.operator());
    let (own, _) = world.instance_of("acme").await;
    let (other, _) = world.instance_of("globex").await;
    let alice = world.client(&world.person("provider/acme/alice").0);
    let created = alice.re_enrol(own).await.unwrap();
    refused(alice.re_enrol(other).await, 404, "not-found");
    refused(alice.enrolments().await, 403, "not-authorised");
    refused(alice.enrolment_approve(created.digest).await, 403, "not-authorised");
    operator.enrolment_approve(created.digest).await.unwrap();
    let who = Who::fresh();
    let registered = world.client(&who).register(&registration(&created.secret, &who.key)).await.unwrap();
    assert_eq!(registered.instance, own);
    // The revoked stay out.
    let action = proof::OrderAction::Revoke { instance: own, reason: "stolen".into() };
    operator.order_submit(crate::orders::signed(&world, 1, action)).await.unwrap();
    refused(operator.re_enrol(own).await, 403, "instance-revoked");
    world.lawful().await;
}
