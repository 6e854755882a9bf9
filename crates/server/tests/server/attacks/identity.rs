//! Who is registered, under which key, and for how long (HS-1, HS-2, ID-4).

use governance::{Digest, InstanceId, Span};
use proof::{OrderAction, Sign as _};
use trust::{Issuer, SigningKey, Validity};

use super::{
    CLONE, Escalation, ONLINE, OWNER, Refusal, Row, STRANGER, THIEF, TurnedAway, call, check, outcome,
    patient, row,
};
use crate::common::{DOMAIN, Raw, Who, World, now, registration, renewal, statement};
use crate::orders::signed;

pub(super) const TEST: &str = "hs_1_nobody_becomes_or_stays_an_instance_but_by_its_key_and_enrolment";

#[tokio::test]
async fn hs_1_nobody_becomes_or_stays_an_instance_but_by_its_key_and_enrolment() {
    check(&mut patient().await, ROWS).await;
    let mut hasty = World::start_with(|law, _| law.enrolment_lifetime = Span::from_millis(1_000)).await;
    check(&mut hasty, EXPIRING).await;
}

pub(super) const ROWS: &[Row] = &[
    row("a guessed enrolment", STRANGER, "HS-1", "403 enrolment-unknown", Refusal, |s| {
        Box::pin(async move { vec![registers(s.world, "guessed", &Who::fresh()).await] })
    }),
    row("second use of an enrolment", STRANGER, "HS-1", "409 enrolment-used", Refusal, |s| {
        Box::pin(async move {
            let secret = s.world.enrol().await;
            assert_eq!(registers(s.world, &secret, &Who::fresh()).await, "accepted");
            s.begins().await;
            vec![registers(s.world, &secret, &Who::fresh()).await]
        })
    }),
    row(
        "CSR key mismatch: a certificate over a key that nobody proved",
        STRANGER,
        "HS-1",
        "403 key-mismatch",
        Refusal,
        |s| {
            Box::pin(async move {
                let (secret, who) = (s.world.enrol().await, Who::fresh());
                s.begins().await;
                let request = registration(&secret, &Who::fresh().key);
                vec![outcome(s.world.client(&who).register(&request).await)]
            })
        },
    ),
    row(
        "a CSR over another's key, signed by the own one",
        STRANGER,
        "HS-1",
        "400 csr-malformed",
        Refusal,
        |s| {
            Box::pin(async move {
                let (secret, who, other) = (s.world.enrol().await, Who::fresh(), Who::fresh());
                s.begins().await;
                let mut request = registration(&secret, &who.key);
                request.csr = grafted(&request.csr, &who, &other);
                vec![outcome(s.world.client(&who).register(&request).await)]
            })
        },
    ),
    row("a tier that nobody gave", OWNER, "ID-2", "409 tier-mismatch", Refusal, |s| {
        Box::pin(async move {
            let (secret, who) = (s.world.enrol().await, Who::fresh());
            s.begins().await;
            let mut request = registration(&secret, &who.key);
            request.metadata.tier = governance::Tier::Custom;
            vec![outcome(s.world.client(&who).register(&request).await)]
        })
    }),
    row(
        "a new key for an instance by one person alone",
        STRANGER,
        "HS-1",
        "409 enrolment-unapproved",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, _) = s.world.active().await;
                let created = s.world.client(&s.world.operator()).re_enrol(id).await.unwrap();
                s.begins().await;
                vec![registers(s.world, &created.secret, &Who::fresh()).await]
            })
        },
    ),
    row(
        "a self-signed certificate on an instance's path",
        STRANGER,
        "HS-1",
        "401 not-registered",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, _) = s.victim().await;
                vec![s.send(call(id, "check-in"), &Who::fresh()).await]
            })
        },
    ),
    row("no certificate at all", STRANGER, "HS-1", "closed", TurnedAway("handshake"), |s| {
        Box::pin(async move {
            let tls = trust::tls::anonymous_client_config(&s.world.root).unwrap();
            let stream = super::said::connect(tls, s.world.at().instances).await.unwrap();
            super::said::heard(stream, b"GET /v1/federation HTTP/1.1\r\nhost: localhost\r\n\r\n").await
        })
    }),
    row(
        "an instance's certificate of another federation",
        STRANGER,
        "ID-1",
        "401 certificate-untrusted",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let domain = DOMAIN.parse().unwrap();
                let root = Issuer::make_root(SigningKey::generate().unwrap(), &domain, days(-1, 1)).unwrap();
                let key = SigningKey::generate().unwrap();
                let pem = root.issue_instance_ca(key.public_key(), days(-1, 1)).unwrap().to_pem();
                let trusted = trust::RootCa::from_pem(&root.certificate_pem()).unwrap();
                let ca = Issuer::instances(&pem, key, &trusted).unwrap();
                vec![s.send(call(id, "check-in"), &certified(&ca, id, &who, days(-1, 1))).await]
            })
        },
    ),
    row("another instance's path", OWNER, "AU-1", "403 not-authorised", Refusal, |s| {
        Box::pin(async move {
            let (other, _) = s.world.active().await;
            let (_, who) = s.victim().await;
            let status = Raw::get(format!("/v1/instances/{other}/status"));
            vec![s.send(call(other, "check-in"), &who).await, s.send(status, &who).await]
        })
    }),
    row(
        "an instance made with the instance CA's key alone",
        ONLINE,
        "ID-1",
        "401 instance-unknown",
        Refusal,
        |s| {
            Box::pin(async move {
                let id = InstanceId::from_random([7; 16]);
                let who = certified(&instance_ca(s.world), id, &Who::fresh(), days(-1, 1));
                vec![s.send(call(id, "check-in"), &who).await]
            })
        },
    ),
    row(
        "an instance's certificate over another key, by the instance CA's key",
        ONLINE,
        "AU-2",
        "401 certificate-superseded",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, _) = s.victim().await;
                let who = certified(&instance_ca(s.world), id, &Who::fresh(), days(-1, 1));
                vec![s.send(call(id, "check-in"), &who).await, s.send(call(id, "renew"), &who).await]
            })
        },
    ),
    row(
        "a certificate whose time has not come",
        ONLINE,
        "ID-1",
        "401 certificate-not-yet-valid",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                vec![
                    s.send(call(id, "check-in"), &certified(&instance_ca(s.world), id, &who, days(1, 2)))
                        .await,
                ]
            })
        },
    ),
    row(
        "an expired certificate, for anything but to renew",
        OWNER,
        "HS-2",
        "401 certificate-expired",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let who = certified(&instance_ca(s.world), id, &who, days(-2, -1));
                vec![s.send(call(id, "check-in"), &who).await, s.send(call(id, "ready"), &who).await]
            })
        },
    ),
    row(
        "an expired certificate beyond its grace, to renew",
        OWNER,
        "HS-2",
        "401 certificate-expired",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let who = certified(&instance_ca(s.world), id, &who, days(-9, -8));
                vec![outcome(s.world.client(&who).renew(id, &renewal(&who, None)).await)]
            })
        },
    ),
    row(
        "the old key after a renewal, on a connection that was open",
        THIEF,
        "HS-2",
        "401 certificate-superseded",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let open = s.world.client(&who);
                open.check_in(id).await.unwrap();
                open.renew(id, &renewal(&Who::fresh(), None)).await.unwrap();
                s.begins().await;
                vec![outcome(open.check_in(id).await), outcome(open.ready(id).await)]
            })
        },
    ),
    row(
        "a revoked certificate, on a connection that was open",
        THIEF,
        "LC-19",
        "403 instance-revoked",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let open = s.world.client(&who);
                open.check_in(id).await.unwrap();
                let revoke = OrderAction::Revoke { instance: id, reason: "stolen".into() };
                let order = signed(s.world, serial(), revoke);
                s.world.client(&s.world.operator()).order_submit(order).await.unwrap();
                s.begins().await;
                let renewed = open.renew(id, &renewal(&who, None)).await;
                vec![outcome(open.check_in(id).await), outcome(renewed), outcome(open.entitlement(id).await)]
            })
        },
    ),
    row(
        "a renewal by who has the key and not the chain",
        THIEF,
        "CO-9",
        "409 version-chain-broken",
        Escalation("CO-9"),
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let own = s.world.client(&who);
                own.report(id, statement(id, &who.key, 1, None)).await.unwrap();
                s.begins().await;
                vec![outcome(own.renew(id, &renewal(&Who::fresh(), None)).await)]
            })
        },
    ),
    row(
        "clone: two holders of one key fork the chain",
        CLONE,
        "CO-9",
        "409 version-chain-broken",
        Escalation("CO-9"),
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let (one, two) = (s.world.client(&who), s.world.client(&who));
                let first = statement(id, &who.key, 1, None);
                one.report(id, first.clone()).await.unwrap();
                one.report(id, statement(id, &who.key, 2, Some(first.digest()))).await.unwrap();
                s.begins().await;
                let fork = later(id, &who, 2, Some(first.digest()));
                vec![outcome(two.report(id, fork).await)]
            })
        },
    ),
    row(
        "a backup that was restored goes on from where it ended",
        CLONE,
        "ID-4",
        "409 version-chain-broken",
        Escalation("CO-9"),
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let own = s.world.client(&who);
                own.report(id, statement(id, &who.key, 1, None)).await.unwrap();
                s.begins().await;
                vec![outcome(own.report(id, later(id, &who, 1, None)).await)]
            })
        },
    ),
    row("statements in another order", OWNER, "ID-4", "409 version-chain-broken", Escalation("CO-9"), |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let own = s.world.client(&who);
            let first = statement(id, &who.key, 1, None);
            let second = statement(id, &who.key, 2, Some(first.digest()));
            own.report(id, first).await.unwrap();
            s.begins().await;
            vec![outcome(own.report(id, statement(id, &who.key, 3, Some(second.digest()))).await)]
        })
    }),
    row(
        "a statement of another instance, or by another key",
        OWNER,
        "ID-4",
        "400 statement-malformed",
        Refusal,
        |s| {
            Box::pin(async move {
                let (other, _) = s.world.active().await;
                let (id, who) = s.victim().await;
                let own = s.world.client(&who);
                let foreign = own.report(id, statement(other, &who.key, 1, None)).await;
                let forged = own.report(id, statement(id, &Who::fresh().key, 1, None)).await;
                vec![outcome(foreign), outcome(forged)]
            })
        },
    ),
];

/// Where an enrolment is over in a second.
pub(super) const EXPIRING: &[Row] =
    &[row("an expired enrolment", STRANGER, "HS-1", "403 enrolment-expired", Refusal, |s| {
        Box::pin(async move {
            let operator = s.world.client(&s.world.operator());
            let asked = wire::EnrolmentRequest {
                kind: governance::Kind::SaasShared,
                tier: governance::Tier::Free,
                provider: None,
                labels: vec![],
            };
            let created = operator.enrolment_create(&asked).await.unwrap();
            while now() <= created.expires {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            s.begins().await;
            vec![registers(s.world, &created.secret, &Who::fresh()).await]
        })
    })];

async fn registers(world: &World, secret: &str, who: &Who) -> String {
    outcome(world.client(who).register(&registration(secret, &who.key)).await)
}

/// The instance CA's key, as a thief of the online keys has it, certified for a month past and to come.
fn instance_ca(world: &World) -> Issuer {
    let key = SigningKey::load(&world.path("keys/federation/instance-ca.key")).unwrap();
    let pem = world.root_ca.issue_instance_ca(key.public_key(), days(-30, 30)).unwrap().to_pem();
    Issuer::instances(&pem, key, &world.root).unwrap()
}

fn certified(ca: &Issuer, id: InstanceId, who: &Who, validity: Validity) -> Who {
    let chain = ca.issue_instance(id, who.key.public_key(), validity).unwrap().chain;
    Who { key: who.key.clone(), chain }
}

/// A period in days from now: the first and the last lie behind where they are negative.
fn days(from: i64, until: i64) -> Validity {
    let day = |count: i64| match Span::hours(24 * count.abs()) {
        span if count < 0 => now() - span,
        span => now() + span,
    };
    Validity { not_before: day(from), not_after: day(until) }
}

/// A serial that no order had before: orders rise with the clock.
pub(super) fn serial() -> u64 {
    now().as_millis().unsigned_abs()
}

/// A statement that differs from any made before.
fn later(id: InstanceId, who: &Who, sequence: u64, previous: Option<Digest>) -> proof::Jws {
    let text = statement(id, &who.key, sequence, previous);
    let mut other: proof::VersionStatement = text.parse_unverified().unwrap();
    other.at = other.at + Span::from_millis(1);
    proof::Jws::sign_json(proof::Typ::Statement, &other, &*who.key).unwrap()
}

/// The request with another's key in the place of the own one.
fn grafted(csr: &str, own: &Who, other: &Who) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD;
    let body: String = csr.lines().filter(|line| !line.starts_with("-----")).collect();
    let mut der = base64.decode(body).unwrap();
    let (own, other) = (own.key.public_key().as_bytes(), other.key.public_key().as_bytes());
    let at = der.windows(own.len()).position(|window| window == own).unwrap();
    der[at..at + other.len()].copy_from_slice(other);
    format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        base64.encode(der)
    )
}
