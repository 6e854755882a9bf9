//! HS-2, LC-17: renewing over real TLS, with the same key and a new one, after a lost answer and after a restore. What
//! goes on record of it is proved by the instance's own requests.

use crate::common::{Who, World, refused, renewal, statement};
use governance::{Span, State};
use proof::order::{Order, OrderAction};
use proof::{Jws, Typ};

#[tokio::test]
async fn hs_2_a_certificate_is_renewed_over_a_new_key_and_the_old_one_is_done() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let next = Who::fresh();
    let renewed = world.client(&who).renew(id, &renewal(&next, None)).await.unwrap();
    let next = next.with(&renewed);
    world.client(&next).check_in(id).await.unwrap();
    refused(world.client(&who).check_in(id).await, 401, "certificate-superseded");
}

#[tokio::test]
async fn hs_2_an_expired_certificate_renews_within_its_grace_and_does_nothing_else() {
    let world =
        World::start_with(|law, _| law.identity_certificate_lifetime = Span::from_millis(1_500)).await;
    let (id, who) = world.instance().await;
    let client = world.client(&who);
    client.check_in(id).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(3_000)).await;
    refused(client.check_in(id).await, 401, "certificate-expired");
    let renewed = client.renew(id, &renewal(&who, None)).await.unwrap();
    let who = who.with(&renewed);
    world.client(&who).check_in(id).await.unwrap();
}

#[tokio::test]
async fn hs_2_past_the_grace_nothing_renews() {
    let world = World::start_with(|law, _| {
        law.identity_certificate_lifetime = Span::from_millis(1_000);
        law.identity_renewal_grace = Span::from_millis(100);
    })
    .await;
    let (id, who) = world.instance().await;
    tokio::time::sleep(std::time::Duration::from_millis(3_200)).await;
    refused(world.client(&who).renew(id, &renewal(&who, None)).await, 401, "certificate-expired");
}

#[tokio::test]
async fn hs_2_the_key_renewed_is_the_one_of_the_csr() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let size = world.ledger_size().await;
    let mut other = renewal(&Who::fresh(), None);
    other.key = renewal(&who, None).key;
    refused(world.client(&who).renew(id, &other).await, 403, "key-mismatch");
    assert_eq!(world.ledger_size().await, size);
}

#[tokio::test]
async fn hs_2_a_lost_answer_is_asked_for_again_under_the_key_before() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let first = statement(id, &who.key, 1, None);
    let (old, head) = (world.client(&who), Some(first.digest()));
    old.report(id, first).await.unwrap();
    let next = Who::fresh();
    old.renew(id, &renewal(&next, head)).await.unwrap();
    // The answer never came: the instance knows its old certificate alone.
    let renewed = old.renew(id, &renewal(&next, head)).await.unwrap();
    let size = world.ledger_size().await;
    refused(old.renew(id, &renewal(&who, head)).await, 401, "certificate-superseded");
    refused(old.renew(id, &renewal(&Who::fresh(), head)).await, 401, "certificate-superseded");
    refused(old.renew(id, &renewal(&next, None)).await, 401, "certificate-superseded");
    refused(old.check_in(id).await, 401, "certificate-superseded");
    refused(old.status(id).await, 401, "certificate-superseded");
    let forged = statement(id, &who.key, 2, head);
    refused(old.report(id, forged).await, 401, "certificate-superseded");
    assert_eq!(world.ledger_size().await, size, "nothing of it is on record");
    // Once the instance made a statement under the new key, nothing is left to repeat.
    let next = next.with(&renewed);
    let new = world.client(&next);
    new.report(id, statement(id, &next.key, 2, head)).await.unwrap();
    refused(old.renew(id, &renewal(&next, head)).await, 401, "certificate-superseded");
    assert_eq!(new.check_in(id).await.unwrap().state, State::Active);
    world.lawful().await;
}

#[tokio::test]
async fn co_9_a_renewal_that_names_another_head_is_a_finding() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let first = statement(id, &who.key, 1, None);
    let client = world.client(&who);
    client.report(id, first.clone()).await.unwrap();
    // A thief who has the key, and not the chain.
    refused(client.renew(id, &renewal(&Who::fresh(), None)).await, 409, "version-chain-broken");
    let standing = client.check_in(id).await.unwrap();
    assert_eq!((standing.state, standing.findings[0].rule.as_str()), (State::OutOfCompliance, "CO-9"));
    let open = world.client(&world.operator()).escalations().await.unwrap();
    assert_eq!(open.items.iter().filter(|escalation| escalation.rule == "CO-9").count(), 1);
    world.lawful().await;
}

#[tokio::test]
async fn lc_17_a_restored_instance_renews_and_may_be_reactivated() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let (client, operator) = (world.client(&who), world.client(&world.operator()));
    let first = statement(id, &who.key, 1, None);
    client.report(id, first.clone()).await.unwrap();
    let reason = || "because".to_owned();
    for (serial, action) in [
        (1, OrderAction::Revoke { instance: id, reason: reason() }),
        (2, OrderAction::Restore { instance: id, reason: reason() }),
    ] {
        let order = Order { serial, expires: crate::common::now() + Span::hours(1), action };
        operator.order_submit(Jws::sign_json(Typ::Order, &order, &world.founder).unwrap()).await.unwrap();
    }
    let standing = client.check_in(id).await.unwrap();
    assert_eq!((standing.state, standing.handshake_required), (State::Suspended, true));
    refused(operator.instance_reactivate(id).await, 409, "handshake-required");
    let renewed = client.renew(id, &renewal(&who, Some(first.digest()))).await.unwrap();
    let client = world.client(&who.with(&renewed));
    let standing = client.check_in(id).await.unwrap();
    assert_eq!((standing.state, standing.handshake_required), (State::Suspended, false));
    assert_eq!(operator.instance_reactivate(id).await.unwrap().state, State::Active);
    client.report(id, statement(id, &who.key, 2, Some(first.digest()))).await.unwrap();
    world.lawful().await;
}

/// Whatever crosses with a change of the key, what is on record is proved by the key on record at that point.
#[tokio::test]
async fn au_2_calls_that_cross_with_a_change_of_the_key_leave_a_lawful_record() {
    let world = World::start_with(|law, _| (law.rate_instance, law.rate_address) = (1_000, 1_000)).await;
    for _ in 0..4 {
        let (id, who) = world.active().await;
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..12 {
            let (client, key) = (world.client(&who), who.key.clone());
            let next = Who::fresh();
            calls.spawn(async move {
                if n % 3 == 0 {
                    client.report(id, statement(id, &key, 1, None)).await.map(|_| false)
                } else {
                    client.renew(id, &renewal(&next, None)).await.map(|_| true)
                }
            });
        }
        let renewed = calls.join_all().await.into_iter().flatten().filter(|renewed| *renewed).count();
        assert!(renewed <= 1, "{renewed} keys took the place of one");
    }
    world.lawful().await;
}
