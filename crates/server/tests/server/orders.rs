//! The Founder's orders beyond the lifecycle: amendments, overrides, leave to remove; and the inbox they answer (FO-1…FO-5).

use governance::{Constitution, ConstitutionDocument, Digest, FindingCode, Span, State, Timestamp};
use proof::order::{Order, OrderAction, SignedRoot};
use proof::{Jws, KeySet, KeysDocument, Purpose, Sign as _, Typ};
use trust::SigningKey;
use wire::Acknowledge;

use crate::common::{Who, World, bytes_of, now, refused, renewal, root_next, statement, version};

/// A certificate in the form of one.
const ANOTHER_CA: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

pub(crate) fn signed(world: &World, serial: u64, action: OrderAction) -> Jws {
    let order = Order { serial, expires: now() + Span::hours(1), action };
    Jws::sign_json(Typ::Order, &order, &world.founder).unwrap()
}

fn amendment(
    world: &World,
    replaces: Digest,
    effective: Timestamp,
    law: Constitution,
) -> (OrderAction, Digest) {
    let document = ConstitutionDocument { previous: Some(replaces), effective, parameters: law };
    let constitution = Jws::sign_json(Typ::Constitution, &document, &world.founder).unwrap();
    let digest = constitution.digest();
    (OrderAction::Amend { constitution, replaces, effective }, digest)
}

/// The digest of the constitution that anyone is shown.
async fn served(world: &World) -> Digest {
    let bytes = world.public().file("/constitution.json", 1 << 20).await.unwrap().unwrap();
    Jws::parse(&bytes).unwrap().digest()
}

#[tokio::test]
async fn fo_5_an_amendment_is_the_law_from_its_date_and_is_served_as_signed() {
    let mut world = World::start_with(|_, settings| settings.pace.sweep_every = Span::from_millis(100)).await;
    let operator = world.client(&world.operator());
    let first = operator.federation().await.unwrap().constitution.unwrap();
    let law = Constitution { compliance_report_within: Span::hours(24), ..Constitution::default() };
    let (action, digest) = amendment(&world, first, now(), law.clone());
    operator.order_submit(signed(&world, 1, action)).await.unwrap();
    assert_eq!(operator.federation().await.unwrap().constitution, Some(digest));
    assert_eq!(served(&world).await, digest);
    // One that waits for its day, and one that would come before it.
    let later = now() + Span::from_millis(1_500);
    let (action, next) = amendment(&world, digest, later, law.clone());
    operator.order_submit(signed(&world, 2, action)).await.unwrap();
    assert_eq!(operator.federation().await.unwrap().constitution, Some(digest));
    let (action, _) = amendment(&world, next, now(), law.clone());
    refused(operator.order_submit(signed(&world, 3, action)).await, 409, "amendment-too-early");
    let (action, _) = amendment(&world, first, later, law.clone());
    refused(operator.order_submit(signed(&world, 3, action)).await, 409, "amendment-detached");
    let absurd = Constitution { drift_freeze: Span::hours(1), ..law };
    let (action, _) = amendment(&world, next, later, absurd);
    refused(operator.order_submit(signed(&world, 3, action)).await, 409, "constitution-contradicts");
    tokio::time::sleep(std::time::Duration::from_millis(1_600)).await;
    // Whatever is decided next is decided under it.
    world.active().await;
    assert_eq!(operator.federation().await.unwrap().constitution, Some(next));
    world.stop().await;
    world.run().await;
    assert_eq!(served(&world).await, next);
    world.lawful().await;
}

#[tokio::test]
async fn fo_3_an_override_silences_and_answers_what_was_escalated() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let (client, operator) = (world.client(&who), world.client(&world.operator()));
    client.report(id, statement(id, &who.key, 1, None)).await.unwrap();
    refused(client.renew(id, &renewal(&Who::fresh(), None)).await, 409, "version-chain-broken");
    let rule = || "CO-9".to_owned();
    let about = |instance, release| Acknowledge { rule: rule(), instance, release };
    refused(operator.escalation_acknowledge(&about(None, None)).await, 409, "not-escalated");
    let both = about(Some(id), Some(version("0.1.0")));
    refused(operator.escalation_acknowledge(&both).await, 400, "subject-ambiguous");
    operator.escalation_acknowledge(&about(Some(id), None)).await.unwrap();
    let open = operator.escalations().await.unwrap().items;
    assert!(open.iter().any(|open| open.rule == "CO-9" && open.acknowledged.is_some()), "{open:?}");
    let until = now() + Span::hours(1);
    let finding = FindingCode::VersionChainBroken;
    let action =
        |until| OrderAction::Override { instance: id, finding, until, reason: "restored by hand".into() };
    let past = now() - Span::hours(1);
    refused(operator.order_submit(signed(&world, 1, action(past))).await, 409, "override-void");
    operator.order_submit(signed(&world, 1, action(until))).await.unwrap();
    assert_eq!(client.check_in(id).await.unwrap().state, State::Active);
    assert!(operator.escalations().await.unwrap().items.is_empty());
    world.lawful().await;
}

#[tokio::test]
async fn rl_8_the_founder_lets_a_release_remove_a_capability() {
    let world = World::start().await;
    let operator = world.client(&world.operator());
    let (release, capability) = (version("0.1.1"), "login".to_owned());
    let action = OrderAction::Remove { release, capability, reason: "nobody uses it".into() };
    operator.order_submit(signed(&world, 1, action.clone())).await.unwrap();
    refused(operator.order_submit(signed(&world, 1, action)).await, 409, "order-replayed");
    world.lawful().await;
}

#[tokio::test]
async fn au_4_a_keys_document_comes_into_force_by_order_and_cannot_lock_the_plane_out() {
    let mut world = World::start().await;
    let operator = world.client(&world.operator());
    let first = Jws::parse(&bytes_of(&world.path("keys.json"))).unwrap();
    let mut keys: KeysDocument = first.parse_unverified().unwrap();
    let sign = |keys: &KeysDocument, who: &[&SigningKey]| {
        let mut document = Jws::sign_json(Typ::Keys, keys, who[0]).unwrap();
        who[1..].iter().for_each(|key| document.add_signature(Typ::Keys, *key).unwrap());
        document
    };
    let order = |serial, document| signed(&world, serial, OrderAction::Keys { document, root: None });
    keys.serial = 2;
    let online = std::mem::take(&mut keys.online);
    let lost = sign(&keys, &[&world.founder]);
    refused(operator.order_submit(order(1, lost)).await, 409, "keys-lock-out");
    for purpose in
        [Purpose::Snapshot, Purpose::Timestamp, Purpose::Directives, Purpose::Ledger, Purpose::Tokens]
    {
        keys.online = online.iter().filter(|key| key.purpose != purpose).cloned().collect();
        let lost = sign(&keys, &[&world.founder]);
        refused(operator.order_submit(order(1, lost)).await, 409, "keys-lock-out");
    }
    keys.online = online;
    let root_ca = std::mem::replace(&mut keys.root_ca, ANOTHER_CA.to_owned());
    let problem =
        refused(operator.order_submit(order(1, sign(&keys, &[&world.founder]))).await, 409, "keys-lock-out");
    assert!(problem.detail.contains("root certificate"), "{problem:?}");
    keys.root_ca = root_ca;
    let origin = keys.ledger_origin.clone();
    keys.ledger_origin.push_str("-2");
    let problem =
        refused(operator.order_submit(order(1, sign(&keys, &[&world.founder]))).await, 409, "keys-lock-out");
    assert!(problem.detail.contains("another ledger"), "{problem:?}");
    keys.ledger_origin = origin;
    // The root in force is of other people.
    let alike = keys.organism.clone();
    keys.organism = KeySet::single(*SigningKey::generate().unwrap().public_key());
    let unlike = sign(&keys, &[&world.founder]);
    let problem = refused(operator.order_submit(order(1, unlike)).await, 400, "root-refused");
    assert!(problem.reasons[0].hint.contains("--tuf-root"), "{problem:?}");
    keys.organism = alike;
    let stranger = SigningKey::generate().unwrap();
    let untrusted = sign(&keys, &[&stranger]);
    refused(operator.order_submit(order(1, untrusted)).await, 403, "keys-untrusted");
    let second = sign(&keys, &[&world.founder]);
    operator.order_submit(order(1, second.clone())).await.unwrap();
    let served = async |world: &World| {
        let bytes = world.public().file("/keys.json", 1 << 20).await.unwrap().unwrap();
        Jws::parse(&bytes).unwrap().digest()
    };
    assert_eq!(served(&world).await, second.digest());
    refused(operator.order_submit(order(2, second.clone())).await, 403, "keys-untrusted");
    // Whether the folder has the new one yet or not.
    for text in [None, Some(second.to_json())] {
        world.stop().await;
        if let Some(text) = text {
            std::fs::write(world.path("keys.json"), text).unwrap();
        }
        world.run().await;
        assert_eq!(served(&world).await, second.digest());
    }
    world.lawful().await;
}

/// Keys and threshold of a role change by a root that the old and the new threshold signed, in one order with the keys
/// document; the repository goes on under it (RL-3, AU-4).
#[tokio::test]
async fn rl_3_a_tuf_root_comes_into_force_with_its_keys_document_and_locks_no_client_out() {
    let mut world = World::start().await;
    let operator = world.client(&world.operator());
    let document = Jws::parse(&bytes_of(&world.path("keys.json"))).unwrap();
    let mut keys: KeysDocument = document.parse_unverified().unwrap();
    let first = bytes_of(&world.path("tuf/metadata/1.root.json"));
    let (founder, organism) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let root = |keys: &KeysDocument, previous: &[u8], signers: &[&SigningKey]| {
        root_next(keys, previous, signers, now() + Span::hours(1_000))
    };
    let order = |world: &World, serial, keys: &KeysDocument, root: Vec<u8>, signers: &[&SigningKey]| {
        let mut document = Jws::sign_json(Typ::Keys, keys, signers[0]).unwrap();
        signers[1..].iter().for_each(|key| document.add_signature(Typ::Keys, *key).unwrap());
        signed(world, serial, OrderAction::Keys { document, root: Some(SignedRoot::new(root).unwrap()) })
    };
    // Another Founder, and another key of the Organism beside the old one.
    keys.serial = 2;
    keys.founder = KeySet::single(*founder.public_key());
    let both = vec![*world.organism.public_key(), *organism.public_key()];
    keys.organism = KeySet::new(1, both).unwrap();
    let signers = [&world.founder, &founder];
    // Signed by the new threshold alone; for other people than the document; without the Organism's key in use.
    let unsigned = order(&world, 1, &keys, root(&keys, &first, &[&founder]), &signers);
    refused(operator.order_submit(unsigned).await, 400, "root-refused");
    let others = KeysDocument { organism: KeySet::single(*world.organism.public_key()), ..keys.clone() };
    let unlike = order(&world, 1, &keys, root(&others, &first, &signers), &signers);
    refused(operator.order_submit(unlike).await, 400, "root-refused");
    let ended = root_next(&keys, &first, &signers, now() - Span::hours(1));
    let ended = order(&world, 1, &keys, ended, &signers);
    let problem = refused(operator.order_submit(ended).await, 400, "root-refused");
    assert!(problem.detail.contains("expired"), "{problem:?}");
    let gone = KeysDocument { organism: KeySet::single(*organism.public_key()), ..keys.clone() };
    let lost = order(&world, 1, &gone, root(&gone, &first, &signers), &signers);
    let problem = refused(operator.order_submit(lost).await, 400, "root-refused");
    assert!(problem.detail.contains("targets in force"), "{problem:?}");
    let second = root(&keys, &first, &signers);
    // None of them was accepted: the serial is free.
    operator.order_submit(order(&world, 1, &keys, second.clone(), &signers)).await.unwrap();
    let served = async |world: &World, name: &str| {
        world.public().file(&format!("/tuf/metadata/{name}"), 1 << 20).await.unwrap()
    };
    assert_eq!(served(&world, "2.root.json").await, Some(second.clone()));
    // Lost between the record and the disk, the root is published again at the next start.
    world.stop().await;
    std::fs::remove_file(world.path("tuf/metadata/2.root.json")).unwrap();
    world.run().await;
    assert_eq!(served(&world, "2.root.json").await, Some(second.clone()));
    // The old Founder commands nothing any more, and a root does not come twice.
    let operator = world.client(&world.operator());
    keys.serial = 3;
    let old = order(&world, 2, &keys, root(&keys, &second, &[&founder]), &[&world.founder]);
    refused(operator.order_submit(old).await, 403, "order-untrusted");
    world.lawful().await;
}

/// An outage over the date of an amendment goes on record before it: nothing was decided while the plane was away (CO-7).
#[tokio::test]
async fn co_7_fo_5_an_outage_over_the_date_of_an_amendment_leaves_a_lawful_record() {
    let mut world = World::start_with(|_, settings| settings.pace.pulse_every = Span::from_millis(200)).await;
    let operator = world.client(&world.operator());
    let first = operator.federation().await.unwrap().constitution.unwrap();
    let law = Constitution { compliance_report_within: Span::hours(24), ..Constitution::default() };
    let effective = now() + Span::from_millis(500);
    let (action, next) = amendment(&world, first, effective, law);
    operator.order_submit(signed(&world, 1, action)).await.unwrap();
    world.stop().await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    world.run().await;
    world.active().await;
    assert_eq!(served(&world).await, next);
    world.lawful().await;
}
