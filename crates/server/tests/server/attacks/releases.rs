//! Releases that the Organism did not sign, signed otherwise, or signed before (RL-1, RL-3, IN-5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governance::Release;
use http::Method;
use proof::{Jws, Typ};
use trust::tuf::{TargetsChange, draft};
use wire::Publish;

use super::{FEWER, OPERATOR, Refusal, Row, Scene, check, outcome, patient, row};
use crate::common::{Raw, World, bytes_of, now};
use crate::releases::{prepare, release};

pub(super) const TEST: &str = "rl_3_nothing_is_published_but_what_the_organism_signed_and_forward";

#[tokio::test]
async fn rl_3_nothing_is_published_but_what_the_organism_signed_and_forward() {
    check(&mut patient().await, ROWS).await;
}

pub(super) const ROWS: &[Row] = &[
    row(
        "a release that the Organism never signed",
        OPERATOR,
        "IN-5",
        "403 release-untrusted",
        Refusal,
        |s| {
            Box::pin(async move {
                let good = prepared(s, "0.1.0").await;
                let manifest: Release = good.release.parse_unverified().unwrap();
                let online =
                    trust::SigningKey::load(&s.world.path("keys/federation/directives.key")).unwrap();
                let mut answers = Vec::new();
                for key in [&online, &s.world.founder] {
                    let release = Jws::sign_json(Typ::Release, &manifest, key).unwrap();
                    answers.push(published(s.world, Publish { release, ..good.clone() }).await);
                }
                answers
            })
        },
    ),
    row(
        "targets metadata that too few of the Organism signed",
        FEWER,
        "RL-3",
        "409 targets-refused",
        Refusal,
        |s| {
            Box::pin(async move {
                let good = prepared(s, "0.1.0").await;
                let signed = String::from_utf8(STANDARD.decode(&good.targets).unwrap()).unwrap();
                let mut bare: serde_json::Value = serde_json::from_str(&signed).unwrap();
                bare["signatures"] = serde_json::json!([]);
                vec![published(s.world, Publish { targets: STANDARD.encode(bare.to_string()), ..good }).await]
            })
        },
    ),
    row(
        "mix and match: one release's manifest with another's targets",
        OPERATOR,
        "RL-3",
        "409 targets-refused",
        Refusal,
        |s| {
            Box::pin(async move {
                let (one, two) = (prepared(s, "0.1.0").await, prepared(s, "0.1.1").await);
                vec![published(s.world, Publish { release: one.release, ..two }).await]
            })
        },
    ),
    row(
        "rollback: targets metadata of a version that was there before",
        OPERATOR,
        "RL-3",
        "409 targets-refused",
        Refusal,
        |s| {
            Box::pin(async move {
                let good = prepared(s, "0.1.0").await;
                let other = prepared(s, "0.1.1").await;
                assert_eq!(published(s.world, good).await, "accepted");
                s.begins().await;
                vec![published(s.world, other).await]
            })
        },
    ),
    row("a version once more, with other bytes", OPERATOR, "IN-3", "409 release-exists", Refusal, |s| {
        Box::pin(async move {
            let again = prepare(s.world, &release("0.1.0", b"other"), b"other", "2.targets.json").await;
            s.begins().await;
            vec![published(s.world, again).await]
        })
    }),
    row("metadata that has expired", OPERATOR, "RL-3", "409 targets-refused", Refusal, |s| {
        Box::pin(async move {
            let good = prepare(s.world, &release("0.1.1", b"bytes"), b"bytes", "2.targets.json").await;
            s.begins().await;
            let previous = STANDARD.decode(&good.targets).unwrap();
            let past = now() - governance::Span::hours(1);
            let mut old = draft::targets_next(
                &bytes_of(&s.world.path("tuf/metadata/2.targets.json")),
                change(&previous),
                past,
            )
            .unwrap();
            old.sign(&s.world.organism).unwrap();
            let targets = STANDARD.encode(old.to_bytes().unwrap());
            vec![published(s.world, Publish { targets, ..good }).await]
        })
    }),
    row("other bytes under a signed upload", OPERATOR, "RL-3", "401 digest-mismatch", Refusal, |s| {
        Box::pin(async move {
            let who = s.world.operator();
            let raw = Raw {
                media: "application/octet-stream",
                sent_body: Some(b"wrong".to_vec()),
                ..Raw::new(Method::PUT, "/v1/targets/package-0.1.9", "right")
            };
            vec![s.send(raw, &who).await]
        })
    }),
];

/// A release signed and uploaded upon the first targets, and from now on it counts.
async fn prepared(s: &mut Scene<'_>, version: &str) -> Publish {
    let publish = prepare(s.world, &release(version, b"bytes"), b"bytes", "1.targets.json").await;
    s.begins().await;
    publish
}

async fn published(world: &World, publish: Publish) -> String {
    outcome(world.client(&world.operator()).release_publish(&publish).await)
}

/// What these targets list.
fn change(targets: &[u8]) -> TargetsChange {
    let document: serde_json::Value = serde_json::from_slice(targets).unwrap();
    let put = serde_json::from_value(document["signed"]["targets"].clone()).unwrap();
    TargetsChange { put, remove: vec![] }
}
