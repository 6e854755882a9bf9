//! People who ask beyond their role, for another's instances, or with a certificate that nobody should have (AU-1, AU-2,
//! ID-3).

use governance::{Kind, Person, Tier};
use proof::{OrderAction, Sign as _};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType};
use trust::{Issuer, SigningKey};
use wire::{EnrolmentRequest, RevokePerson};

use super::identity::serial;
use super::{ONLINE, OPERATOR, OWNER, PROVIDER, Refusal, Row, STRANGER, check, outcome, patient, row};
use crate::common::{DOMAIN, Raw, Who, World, validity};
use crate::orders::signed;

pub(super) const TEST: &str = "au_1_nobody_asks_beyond_the_role_in_a_certificate_of_the_root";

#[tokio::test]
async fn au_1_nobody_asks_beyond_the_role_in_a_certificate_of_the_root() {
    check(&mut patient().await, ROWS).await;
}

pub(super) const ROWS: &[Row] = &[
    row("an instance calls what is for people", OWNER, "AU-1", "403 not-authorised", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            vec![
                s.send(Raw::post(format!("/v1/instances/{id}/reactivate"), "{}"), &who).await,
                s.send(Raw::post("/v1/enrolments", "{}"), &who).await,
                s.send(Raw::get("/v1/ledger/entries"), &who).await,
                s.send(Raw::post("/v1/orders", "{}"), &who).await,
            ]
        })
    }),
    row("a person speaks for an instance", OPERATOR, "AU-3", "403 not-authorised", Refusal, |s| {
        Box::pin(async move {
            let (id, _) = s.victim().await;
            let operator = s.world.operator();
            let answers = ["check-in", "ready", "renew", "entitlement"].map(|call| super::call(id, call));
            let mut told = Vec::new();
            for raw in answers {
                told.push(s.send(raw, &operator).await);
            }
            told
        })
    }),
    row(
        "an operator's certificate of another federation",
        STRANGER,
        "AU-2",
        "401 certificate-untrusted",
        Refusal,
        |s| {
            Box::pin(async move {
                let key = SigningKey::generate().unwrap();
                let foreign =
                    Issuer::make_root(SigningKey::generate().unwrap(), &DOMAIN.parse().unwrap(), validity())
                        .unwrap();
                let person = Person::operator("admin".parse().unwrap());
                let chain = foreign.issue_person(&person, key.public_key(), validity()).unwrap().chain;
                vec![s.send(Raw::get("/v1/federation"), &Who { key: key.into(), chain }).await]
            })
        },
    ),
    row(
        "an operator's certificate by the instance CA",
        ONLINE,
        "AU-2",
        "401 certificate-not-accepted",
        Refusal,
        |s| {
            Box::pin(async move {
                let who = by_the_instance_ca(s.world, "operator/admin");
                vec![s.send(Raw::get("/v1/federation"), &who).await]
            })
        },
    ),
    row(
        "the server's own certificate, as a client's",
        ONLINE,
        "AU-2",
        "401 certificate-not-accepted",
        Refusal,
        |s| {
            Box::pin(async move {
                let folder = s.world.path("keys/federation");
                let pem = std::fs::read_to_string(folder.join("server.pem")).unwrap();
                let key = SigningKey::load(&folder.join("server.key")).unwrap();
                let who = Who { key: key.into(), chain: trust::pem::certificates(&pem).unwrap() };
                vec![s.send(Raw::get("/v1/federation"), &who).await]
            })
        },
    ),
    row(
        "a certificate that was taken back, on a connection that was open",
        OPERATOR,
        "AU-2",
        "401 certificate-revoked",
        Refusal,
        |s| {
            Box::pin(async move {
                let (eve, serial) = s.world.person("operator/eve");
                let open = s.world.client(&eve);
                open.federation().await.unwrap();
                let body = RevokePerson { person: "operator/eve".into(), serial };
                s.world.client(&s.world.operator()).person_revoke(&body).await.unwrap();
                s.begins().await;
                vec![outcome(open.federation().await), outcome(open.ledger_entries(0, 1).await)]
            })
        },
    ),
    row("taking back the certificate that one shows", OPERATOR, "AU-2", "409 person-own", Refusal, |s| {
        Box::pin(async move {
            let (eve, serial) = s.world.person("operator/eve");
            s.begins().await;
            let body = RevokePerson { person: "operator/eve".into(), serial };
            vec![outcome(s.world.client(&eve).person_revoke(&body).await)]
        })
    }),
    row(
        "an operator approves what he asked for himself",
        OPERATOR,
        "HS-1",
        "409 approval-own",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, _) = s.world.active().await;
                let operator = s.world.client(&s.world.operator());
                let created = operator.re_enrol(id).await.unwrap();
                s.begins().await;
                vec![outcome(operator.enrolment_approve(created.digest).await)]
            })
        },
    ),
    row("an operator lifts the Founder's hold", OPERATOR, "LC-19", "403 not-authorised", Refusal, |s| {
        Box::pin(async move {
            let (id, _) = s.world.active().await;
            let operator = s.world.client(&s.world.operator());
            let hold = OrderAction::Suspend { instance: id, reason: "inquiry".into() };
            operator.order_submit(signed(s.world, serial(), hold)).await.unwrap();
            s.begins().await;
            vec![outcome(operator.instance_reactivate(id).await)]
        })
    }),
    row("a provider reaches over to another's instance", PROVIDER, "ID-3", "404 not-found", Refusal, |s| {
        Box::pin(async move {
            let (other, _) = s.world.instance_of("globex").await;
            let alice = s.world.client(&s.world.person("provider/acme/alice").0);
            s.begins().await;
            vec![
                outcome(alice.instance(other).await),
                outcome(alice.instance_suspend(other).await),
                outcome(alice.instance_reactivate(other).await),
                outcome(alice.re_enrol(other).await),
                outcome(alice.instance_challenge(other).await),
                outcome(alice.instance_explain(other, None).await),
            ]
        })
    }),
    row(
        "a provider asks for another's list or enrolment, or pays itself a tier",
        PROVIDER,
        "ID-3",
        "403 not-authorised",
        Refusal,
        |s| {
            Box::pin(async move {
                let (own, _) = s.world.instance_of("acme").await;
                let alice = s.world.client(&s.world.person("provider/acme/alice").0);
                s.begins().await;
                let query = client::InstanceQuery { provider: Some("globex".into()), ..Default::default() };
                let paid = wire::SubscriptionChange { tier: Some(Tier::Custom), ..Default::default() };
                vec![
                    outcome(alice.instances(&query).await),
                    outcome(alice.enrolment_create(&enrolment("globex")).await),
                    outcome(alice.instance_subscription(own, &paid).await),
                    outcome(alice.ledger_entries(0, 1).await),
                ]
            })
        },
    ),
    row(
        "an auditor, billing or a signer of the Founder does what operators do",
        OPERATOR,
        "AU-1",
        "403 not-authorised",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, _) = s.victim().await;
                let mut answers = Vec::new();
                for role in ["auditor/ann", "billing/meter", "founder-signer/fay"] {
                    let client = s.world.client(&s.world.person(role).0);
                    answers.push(outcome(client.instance_suspend(id).await));
                    answers.push(outcome(client.red_switch(true).await));
                    answers.push(outcome(client.enrolment_create(&enrolment("acme")).await));
                }
                answers
            })
        },
    ),
];

fn enrolment(provider: &str) -> EnrolmentRequest {
    EnrolmentRequest {
        kind: Kind::Dedicated,
        tier: Tier::Enterprise,
        provider: provider.parse().ok(),
        labels: vec![],
    }
}

/// What a thief of an instance CA's key signs for himself, with the bare encoder.
fn by_the_instance_ca(world: &World, path: &str) -> Who {
    let ca_key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let public = proof::PublicKey::from_bytes(&ca_key.public_key_raw().try_into().unwrap()).unwrap();
    let ca = world.root_ca.issue_instance_ca(&public, validity()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&ca.chain[0], ca_key).unwrap();
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let file = world.path(&format!("{}.key", trust::random::<8>().unwrap().map(|b| b.to_string()).concat()));
    std::fs::write(&file, pair.serialize_pem()).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let id = format!("spiffe://{DOMAIN}/{path}");
    params.subject_alt_names = vec![SanType::URI(id.as_str().try_into().unwrap())];
    let leaf = params.signed_by(&pair, &issuer).unwrap();
    let key = SigningKey::load(&file).unwrap();
    Who { key: key.into(), chain: vec![leaf.der().clone(), ca.chain[0].clone()] }
}
