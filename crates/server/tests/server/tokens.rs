//! Entitlement and activation tokens, their keys and status lists, as anyone verifies them (HS-4, HS-5, EN-4…EN-7).

use governance::entitlement::TokenStatus;
use governance::{InstanceId, Span, SubscriptionStatus, Tier};
use proof::Typ;
use proof::order::OrderAction;
use proof::token::{ActivationClaims, Claims, EntitlementClaims, StatusList, TokenKeys};
use wire::{ModuleCall, SubscriptionChange};

use crate::common::{World, now, refused};
use crate::orders::signed;

async fn public_text(world: &World, path: &str) -> String {
    String::from_utf8(world.public().file(path, 1 << 20).await.unwrap().unwrap()).unwrap()
}

async fn keys(world: &World) -> TokenKeys {
    TokenKeys::parse(public_text(world, "/jwks.json").await.as_bytes()).unwrap()
}

/// The status list that a token names, as its verifier sees it.
async fn list<R>(world: &World, claims: &Claims<R>) -> StatusList {
    let uri = &claims.status.status_list.uri;
    let path = uri.strip_prefix(&format!("https://localhost:{}", world.at().public.port())).unwrap();
    keys(world).await.open_list(&public_text(world, path).await, uri, now()).unwrap()
}

async fn status<R>(world: &World, claims: &Claims<R>) -> TokenStatus {
    list(world, claims).await.get(claims.status.status_list.idx).unwrap()
}

async fn entitlement(world: &World, token: &str, id: InstanceId) -> Claims<EntitlementClaims> {
    let audience = format!("spiffe://test.example/instance/{id}");
    keys(world).await.open(token, Typ::Entitlement, Some(&audience), now()).unwrap()
}

async fn activation(world: &World, token: &str, id: InstanceId) -> Claims<ActivationClaims> {
    let audience = format!("spiffe://test.example/instance/{id}");
    keys(world).await.open(token, Typ::Activation, Some(&audience), now()).unwrap()
}

fn module(code: &str) -> ModuleCall {
    ModuleCall { domain: code.parse().unwrap() }
}

#[tokio::test]
async fn hs_4_en_4_an_entitlement_token_says_what_the_instance_may_run() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let client = world.client(&who);
    let first = client.entitlement(id).await.unwrap();
    let claims = entitlement(&world, &first.token, id).await;
    assert_eq!((claims.right.tier, claims.right.domains_max), (Tier::Free, Some(3)));
    assert_eq!(
        (claims.right.domains.as_slice(), claims.right.subscription),
        (&[][..], SubscriptionStatus::Active)
    );
    assert_eq!(claims.exp - claims.iat, 24 * 3_600);
    assert_eq!(status(&world, &claims).await, TokenStatus::Valid);
    // Asked again it is the same, and nothing goes on record.
    let size = world.ledger_size().await;
    assert_eq!(client.entitlement(id).await.unwrap(), first);
    assert_eq!(world.ledger_size().await, size);
    // What it says changed: a new one, in the same place.
    client.module_activate(id, &module("COM")).await.unwrap();
    let second = client.entitlement(id).await.unwrap();
    let changed = entitlement(&world, &second.token, id).await;
    assert_eq!(changed.right.domains, ["COM".parse().unwrap()]);
    assert_eq!(changed.status, claims.status);
    world.lawful().await;
}

#[tokio::test]
async fn hs_5_en_2_en_5_a_domain_is_activated_and_every_rule_that_forbids_it_is_named() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let (client, operator) = (world.client(&who), world.client(&world.operator()));
    let until = now() + Span::hours(24 * 90);
    let paid = SubscriptionChange { until: Some(until), ..SubscriptionChange::default() };
    operator.instance_subscription(id, &paid).await.unwrap();
    let token = client.module_activate(id, &module("COM")).await.unwrap();
    let claims = activation(&world, &token.token, id).await;
    assert_eq!(claims.right.domain, "COM".parse().unwrap());
    assert_eq!(claims.exp, until.as_seconds(), "with the subscription's period");
    assert_eq!(client.module_activate(id, &module("COM")).await.unwrap(), token, "the same again");
    for code in ["EDU", "MED"] {
        client.module_activate(id, &module(code)).await.unwrap();
    }
    let problem = refused(client.module_activate(id, &module("HLT")).await, 409, "tier-limit");
    let codes: Vec<&str> = problem.reasons.iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(codes, ["tier-limit", "platform-too-old"], "all of them together");
    refused(client.module_activate(id, &module("NONE")).await, 409, "tier-limit");
    // Switched off (EN-7): its token counts no more, and a later one has a place of its own (EN-6).
    client.module_deactivate(id, &module("COM")).await.unwrap();
    assert_eq!(status(&world, &claims).await, TokenStatus::Invalid);
    refused(client.module_deactivate(id, &module("COM")).await, 409, "unknown-domain");
    let again = client.module_activate(id, &module("COM")).await.unwrap();
    let again = activation(&world, &again.token, id).await;
    assert_eq!(status(&world, &claims).await, TokenStatus::Invalid);
    assert_eq!(status(&world, &again).await, TokenStatus::Valid);
    world.lawful().await;
}

#[tokio::test]
async fn lc_19_en_6_tokens_rest_with_a_suspension_and_end_with_a_revocation() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let (client, operator) = (world.client(&who), world.client(&world.operator()));
    let module_token = client.module_activate(id, &module("COM")).await.unwrap();
    let token = client.entitlement(id).await.unwrap();
    let (claims, right) =
        (entitlement(&world, &token.token, id).await, activation(&world, &module_token.token, id).await);
    operator.instance_suspend(id).await.unwrap();
    assert_eq!(status(&world, &claims).await, TokenStatus::Suspended);
    assert_eq!(status(&world, &right).await, TokenStatus::Suspended);
    refused(client.entitlement(id).await, 409, "state-forbids");
    refused(client.module_activate(id, &module("COM")).await, 409, "state-forbids");
    operator
        .order_submit(signed(&world, 1, OrderAction::Revoke { instance: id, reason: "stolen".into() }))
        .await
        .unwrap();
    for claims in [&claims.status, &right.status] {
        let uri = claims.status_list.uri.clone();
        let path = uri.split_once("/status/").unwrap().1;
        let text = public_text(&world, &format!("/status/{path}")).await;
        let list = keys(&world).await.open_list(&text, &uri, now()).unwrap();
        assert_eq!(list.get(claims.status_list.idx), Ok(TokenStatus::Invalid));
    }
    refused(client.entitlement(id).await, 403, "instance-revoked");
    world.lawful().await;
}

#[tokio::test]
async fn en_6_there_is_no_list_of_nobody() {
    let world = World::start().await;
    for path in ["/status/nobody", "/status/07070707-0707-4707-8707-070707070707"] {
        assert!(world.public().file(path, 1 << 20).await.unwrap().is_none(), "{path}");
    }
}

#[tokio::test]
async fn lc_19_the_certificate_of_a_revoked_instance_is_on_the_list() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let (_, other) = world.active().await;
    assert!(!world.lists(&who).await);
    let revoke = OrderAction::Revoke { instance: id, reason: "stolen".into() };
    world.client(&world.operator()).order_submit(signed(&world, 1, revoke)).await.unwrap();
    world.until_listed(&who).await;
    assert!(!world.lists(&other).await, "nobody else is");
}
