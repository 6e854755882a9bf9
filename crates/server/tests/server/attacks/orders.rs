//! Orders that the Founder did not sign, signed otherwise, or signed before (FO-1, FO-5, AU-4).

use governance::{Constitution, ConstitutionDocument, Digest, InstanceId, Span};
use proof::order::{Order, OrderAction, SignedRoot};
use proof::{Jws, KeySet, KeysDocument, Sign, Typ};
use trust::SigningKey;

use super::identity::serial;
use super::{FEWER, OPERATOR, Refusal, Row, Scene, check, outcome, patient, row};
use crate::common::{World, bytes_of, now, root_next};
use crate::orders::signed;

pub(super) const TEST: &str = "fo_1_an_order_is_the_founders_whole_fresh_and_once_or_it_is_none";

#[tokio::test]
async fn fo_1_an_order_is_the_founders_whole_fresh_and_once_or_it_is_none() {
    check(&mut patient().await, ROWS).await;
    check(&mut patient().await, THRESHOLD).await;
}

pub(super) const ROWS: &[Row] = &[
    row("a forged order", OPERATOR, "FO-1", "403 order-untrusted", Refusal, |s| {
        Box::pin(async move {
            let (id, _) = s.victim().await;
            let stranger = SigningKey::generate().unwrap();
            let online = SigningKey::load(&s.world.path("keys/federation/directives.key")).unwrap();
            let mut answers = Vec::new();
            for key in [&stranger, &online, &s.world.organism] {
                answers.push(submitted(s.world, order_by(key, revoke(id))).await);
            }
            answers
        })
    }),
    row(
        "an order for another action than the one that was signed",
        OPERATOR,
        "FO-1",
        "403 order-untrusted",
        Refusal,
        |s| {
            Box::pin(async move {
                let (other, _) = s.world.active().await;
                let (id, _) = s.victim().await;
                let shown = order_by(&s.world.founder, revoke(other)).to_json();
                let meant = order_by(&SigningKey::generate().unwrap(), revoke(id)).to_json();
                let payload =
                    |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["payload"].clone();
                let swapped =
                    shown.replace(payload(&shown).as_str().unwrap(), payload(&meant).as_str().unwrap());
                vec![submitted(s.world, Jws::parse(swapped.as_bytes()).unwrap()).await]
            })
        },
    ),
    row(
        "another document of the Founder's in the place of an order",
        OPERATOR,
        "FO-1",
        "403 order-untrusted",
        Refusal,
        |s| {
            Box::pin(async move {
                let mut answers = Vec::new();
                for name in ["keys.json", "constitution.sig"] {
                    let document = Jws::parse(&bytes_of(&s.world.path(name))).unwrap();
                    answers.push(submitted(s.world, document).await);
                }
                answers
            })
        },
    ),
    row("a replayed order", OPERATOR, "FO-1", "409 order-replayed", Refusal, |s| {
        Box::pin(async move {
            let (id, _) = s.world.active().await;
            let hold = |instance| OrderAction::Suspend { instance, reason: "inquiry".into() };
            let order = signed(s.world, serial(), hold(id));
            assert_eq!(submitted(s.world, order.clone()).await, "accepted");
            s.begins().await;
            // Once more, and an earlier one that was never handed in.
            let older = signed(s.world, 1, hold(id));
            vec![submitted(s.world, order).await, submitted(s.world, older).await]
        })
    }),
    row("an expired order", OPERATOR, "FO-1", "409 order-expired", Refusal, |s| {
        Box::pin(async move {
            let (id, _) = s.victim().await;
            let order = Order { serial: serial(), expires: now() - Span::hours(1), action: revoke(id) };
            vec![submitted(s.world, Jws::sign_json(Typ::Order, &order, &s.world.founder).unwrap()).await]
        })
    }),
    row(
        "an override of what is over, or that never began",
        OPERATOR,
        "FO-3",
        "409 override-void",
        Refusal,
        |s| {
            Box::pin(async move {
                let (instance, _) = s.victim().await;
                let action = OrderAction::Override {
                    instance,
                    finding: governance::FindingCode::VersionDrift,
                    until: now() - Span::hours(1),
                    reason: "because".into(),
                };
                vec![submitted(s.world, signed(s.world, serial(), action)).await]
            })
        },
    ),
    row(
        "an amendment of another constitution than the one in force",
        OPERATOR,
        "FO-5",
        "409 amendment-detached",
        Refusal,
        |s| Box::pin(amended(s, Digest::of(b"another"), |law| law)),
    ),
    row(
        "an amendment that contradicts itself",
        OPERATOR,
        "FO-5",
        "409 constitution-contradicts",
        Refusal,
        |s| {
            Box::pin(async move {
                let first =
                    s.world.client(&s.world.operator()).federation().await.unwrap().constitution.unwrap();
                amended(s, first, |law| Constitution { drift_freeze: Span::hours(1), ..law }).await
            })
        },
    ),
    row("a keys document that locks the plane out", OPERATOR, "AU-4", "409 keys-lock-out", Refusal, |s| {
        Box::pin(async move {
            let lost = keys_document(s.world, |keys| keys.online.clear());
            vec![keys_submitted(s.world, &lost, &s.world.founder, None).await]
        })
    }),
    row(
        "a keys document, and not the TUF root that goes with it",
        OPERATOR,
        "RL-3",
        "400 root-refused",
        Refusal,
        |s| {
            Box::pin(async move {
                let stranger = KeySet::single(*SigningKey::generate().unwrap().public_key());
                let keys = keys_document(s.world, |keys| keys.organism = stranger);
                vec![keys_submitted(s.world, &keys, &s.world.founder, None).await]
            })
        },
    ),
    row(
        "a keys document with a TUF root that has expired",
        OPERATOR,
        "RL-3",
        "400 root-refused",
        Refusal,
        |s| {
            Box::pin(async move {
                let keys = keys_document(s.world, |_| {});
                let document = Jws::sign_json(Typ::Keys, &keys, &s.world.founder).unwrap();
                let first = bytes_of(&s.world.path("tuf/metadata/1.root.json"));
                let ended = root_next(&keys, &first, &[&s.world.founder], now() - Span::hours(1));
                let root = SignedRoot::new(ended).ok();
                vec![
                    submitted(s.world, signed(s.world, serial(), OrderAction::Keys { document, root })).await,
                ]
            })
        },
    ),
    row(
        "a keys document that the Founder did not sign",
        OPERATOR,
        "AU-4",
        "403 keys-untrusted",
        Refusal,
        |s| {
            Box::pin(async move {
                let keys = keys_document(s.world, |_| {});
                vec![keys_submitted(s.world, &keys, &s.world.organism, None).await]
            })
        },
    ),
];

/// Where two of two keys of the Founder must sign.
pub(super) const THRESHOLD: &[Row] = &[row(
    "an order below the threshold, or signed twice by one key",
    FEWER,
    "FO-1",
    "403 order-untrusted",
    Refusal,
    |s| {
        Box::pin(async move {
            let (id, _) = s.world.active().await;
            let second = SigningKey::generate().unwrap();
            let both = vec![*s.world.founder.public_key(), *second.public_key()];
            let keys = keys_document(s.world, |keys| keys.founder = KeySet::new(2, both).unwrap());
            let mut document = Jws::sign_json(Typ::Keys, &keys, &s.world.founder).unwrap();
            document.add_signature(Typ::Keys, &second).unwrap();
            let first = bytes_of(&s.world.path("tuf/metadata/1.root.json"));
            let signers = [&s.world.founder, &second];
            let root = SignedRoot::new(root_next(&keys, &first, &signers, now() + Span::hours(9))).ok();
            let raised = signed(s.world, serial(), OrderAction::Keys { document, root });
            assert_eq!(submitted(s.world, raised).await, "accepted");
            s.begins().await;
            let mut answers = Vec::new();
            for key in [&s.world.founder, &second] {
                let order = order_by(key, revoke(id));
                answers.push(submitted(s.world, order.clone()).await);
                answers.push(submitted(s.world, twice(&order)).await);
            }
            let mut order = order_by(&second, revoke(id));
            order.add_signature(Typ::Order, &SigningKey::generate().unwrap()).unwrap();
            answers.push(submitted(s.world, order).await);
            answers
        })
    },
)];

fn revoke(instance: InstanceId) -> OrderAction {
    OrderAction::Revoke { instance, reason: "stolen".into() }
}

fn order_by(key: &SigningKey, action: OrderAction) -> Jws {
    let order = Order { serial: serial(), expires: now() + Span::hours(1), action };
    Jws::sign_json(Typ::Order, &order, key).unwrap()
}

/// The same with its first signature once more.
fn twice(order: &Jws) -> Jws {
    let mut text: serde_json::Value = serde_json::from_str(&order.to_json()).unwrap();
    let signature = text["signatures"][0].clone();
    text["signatures"].as_array_mut().unwrap().push(signature);
    Jws::parse(text.to_string().as_bytes()).unwrap()
}

async fn submitted(world: &World, order: Jws) -> String {
    outcome(world.client(&world.operator()).order_submit(order).await)
}

async fn amended(
    s: &mut Scene<'_>,
    replaces: Digest,
    change: fn(Constitution) -> Constitution,
) -> Vec<String> {
    let (effective, parameters) = (now(), change(Constitution::default()));
    let document = ConstitutionDocument { previous: Some(replaces), effective, parameters };
    let constitution = Jws::sign_json(Typ::Constitution, &document, &s.world.founder).unwrap();
    let action = OrderAction::Amend { constitution, replaces, effective };
    vec![submitted(s.world, signed(s.world, serial(), action)).await]
}

/// The keys document that would come next.
/// What comes of an order for a keys document that this key signed.
async fn keys_submitted(
    world: &World,
    keys: &KeysDocument,
    signer: &SigningKey,
    root: Option<SignedRoot>,
) -> String {
    let document = Jws::sign_json(Typ::Keys, keys, signer).unwrap();
    submitted(world, signed(world, serial(), OrderAction::Keys { document, root })).await
}

fn keys_document(world: &World, change: impl FnOnce(&mut KeysDocument)) -> KeysDocument {
    let first = Jws::parse(&bytes_of(&world.path("keys.json"))).unwrap();
    let mut keys: KeysDocument = first.parse_unverified().unwrap();
    keys.serial += 1;
    change(&mut keys);
    keys
}
