//! Lawful logs that between them hold every kind of entry.

use governance::decide::{Command, WorldCommand};
use governance::rollout::Phase;
use governance::{
    Catalogue, Class, Constitution, FindingCode, InstanceEvent, Kind, Matrix, Restriction, Span,
    SubscriptionStatus, Tier, WorldEvent,
};
use proof::order::SignedRoot;
use proof::tuf::{canonical, hex_encode, sha256_hex};
use proof::{OrderAction, SeedKey, Sign};
use serde_json::json;

use super::scenario::{
    amendment, drifting, everything, fleet, keys_rotated, reports, rolled_out, steered, superseded,
};
use super::{Federation, id_of, instance_key, v};

/// Every story, with its name.
pub fn all() -> Vec<(&'static str, Federation)> {
    vec![
        ("everything", everything()),
        ("keys and law", keys_and_law()),
        ("operators", operators()),
        ("superseded", a_day_after()),
        ("modules", modules()),
        ("wishes", wishes()),
        ("standing orders", standing_orders()),
        ("drift", drift()),
        ("afresh", afresh()),
        ("security", security()),
        ("away", away()),
        ("the law of tomorrow", tomorrow()),
        ("of providers", of_providers()),
    ]
}

/// A rollout to its end; then new keys with a TUF root, and an amendment.
fn keys_and_law() -> Federation {
    let mut f = rolled_out();
    keys_rotated(&mut f);
    f.sweep();
    f.report(1);
    amendment(&mut f);
    f.wait(Span::hours(2));
    f.report(2);
    let mut next = f.keys.clone();
    next.serial += 1;
    let document = f.signed_keys(&next);
    let root = Some(SignedRoot::new(tuf_root(&SeedKey::new([90; 32]), 2)).unwrap());
    f.order(OrderAction::Keys { document, root });
    f.sweep();
    f
}

/// A TUF root of one key.
fn tuf_root(key: &SeedKey, version: u64) -> Vec<u8> {
    let public = hex_encode(key.public_key().as_bytes());
    let key_json = json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": public } });
    let id = sha256_hex(&canonical(&key_json).unwrap());
    let role = json!({ "keyids": [id], "threshold": 1 });
    let signed = json!({
        "_type": "root", "spec_version": "1.0.31", "consistent_snapshot": true, "version": version,
        "expires": "2027-01-01T00:00:00Z", "keys": { &id: key_json },
        "roles": { "root": role, "targets": role, "snapshot": role, "timestamp": role },
    });
    let signature = hex_encode(&key.sign(&canonical(&signed).unwrap()).unwrap());
    json!({ "signed": signed, "signatures": [{ "keyid": id, "sig": signature }] }).to_string().into_bytes()
}

/// What operators may do about rollouts, people and instances.
fn operators() -> Federation {
    let mut f = steered();
    let facts = "2 of 3 witnesses refuse to cosign".to_owned();
    f.federation_command(&WorldCommand::EscalateRefusal { facts });
    f.world_command(&WorldCommand::Acknowledge { release: None, rule: "LG-2".into() });
    f.command(id_of(1), &Command::ChangeKind { kind: Kind::Dedicated }, None);
    let paid = Some(f.at + Span::hours(1000));
    let business = Command::ChangeSubscription {
        tier: Some(Tier::Pro),
        status: Some(SubscriptionStatus::Active),
        until: paid,
    };
    f.command(id_of(1), &business, None);
    f.wait(Span::hours(300));
    let approved = Federation::release("0.1.2", Class::Minor);
    let restriction = Restriction { tier: vec![Tier::Free], ..Restriction::default() };
    f.try_publish_to(&approved, restriction, vec![Phase::Beta]).unwrap();
    reports(&mut f);
    f.sweep();
    for n in f.offered() {
        f.upgrade(n);
    }
    for _ in 0..2 {
        f.wait(Span::hours(25));
        reports(&mut f);
    }
    f.sweep();
    f.world_command(&WorldCommand::Approve { release: v("0.1.2") });
    f.sweep();
    f
}

/// Releases that take each other's place, and a day after.
fn a_day_after() -> Federation {
    let mut f = superseded();
    f.wait(Span::hours(25));
    reports(&mut f);
    f.sweep();
    f
}

/// Catalogue, matrix, rights to domains, their tokens, and a domain without a right.
fn modules() -> Federation {
    let mut f = fleet();
    let mut catalogue = Catalogue::default();
    catalogue.modules[2].why = "it needs the second line".into();
    f.organism_document(&catalogue.clone(), WorldEvent::CataloguePublished { catalogue });
    let mut matrix = Matrix::default();
    matrix.rows[1].runtime.max = v("0.3.1");
    f.organism_document(&matrix.clone(), WorldEvent::MatrixPublished { matrix });
    f.wait(Span::hours(1));
    f.command(id_of(1), &Command::Activate { domain: "COM".parse().unwrap() }, None);
    f.command(id_of(1), &Command::Entitle, None);
    f.report_domains(1, &["COM"]);
    f.report_domains(2, &["FIN"]);
    f.wait(Span::hours(1));
    f.report_domains(2, &[]);
    f.report_domains(1, &[]);
    let deactivate = Command::Deactivate { domain: "COM".parse().unwrap() };
    f.call(1, "modules/deactivate", &json!({ "domain": "COM" }), &deactivate);
    f.report_domains(3, &["FIN"]);
    for _ in 0..4 {
        f.wait(Span::hours(47));
        for n in [1, 2, 4, 5, 6, 7, 8] {
            f.report(n);
        }
        f.report_domains(3, &["FIN"]);
        f.sweep();
    }
    f
}

/// Another try, and the way back, by the owner's wish.
fn wishes() -> Federation {
    let mut f = rolled_out();
    let (back, minute) = (v("0.1.0"), Span::from_millis(60_000));
    f.call(1, "rollback", &json!({ "release": back }), &Command::RollBack { release: back });
    f.wait(minute);
    f.upgrade(1);
    f.wait(minute);
    f.publish("0.1.2", Class::Security);
    f.sweep();
    f.begin(2);
    f.fail(2);
    let release = v("0.1.2");
    f.call(2, "retry", &json!({ "release": release }), &Command::Retry { release });
    f.upgrade(2);
    f.begin(3);
    f.wait(Span::hours(7));
    f.sweep();
    f
}

/// Forks, and the brake on standing orders; what lies before the Founder is taken in hand and resolved.
fn standing_orders() -> Federation {
    let mut f = fleet();
    for n in 1..=3 {
        f.fork(n);
        f.wait(Span::hours(1));
    }
    f.command(id_of(1), &Command::Acknowledge { rule: "CO-8".into() }, None);
    f.world_command(&WorldCommand::Acknowledge { release: None, rule: "CO-14".into() });
    f.order(OrderAction::Restore { instance: id_of(1), reason: "a false alarm".into() });
    f.wait(Span::hours(24));
    (4..=8).for_each(|n| f.report(n));
    f.sweep();
    f
}

/// Drift to its freeze, warned of; a finding silenced by the Founder.
fn drift() -> Federation {
    let (mut f, drifting) = drifting();
    for hours in [13, 12, 20] {
        f.wait(Span::hours(hours));
        reports(&mut f);
        f.sweep();
    }
    let (finding, until) = (FindingCode::VersionDrift, f.at + Span::hours(2));
    let reason = "in a moment".to_owned();
    f.order(OrderAction::Override { instance: id_of(drifting), finding, until, reason });
    f.wait(Span::hours(30));
    reports(&mut f);
    f.sweep();
    f.upgrade(drifting);
    f.sweep();
    f
}

/// A broken chain, and the way back by enrolling afresh, which two people ask for.
fn afresh() -> Federation {
    let mut f = fleet();
    let code = FindingCode::VersionChainBroken;
    let record = [
        InstanceEvent::FindingOpened { code },
        InstanceEvent::Escalated { rule: "CO-9".into(), facts: "its number is 9, 2 was expected".into() },
    ];
    f.decision(None, None, vec![], record.map(|event| (id_of(1), event)).into());
    f.reconcile(id_of(1));
    f.wait(Span::hours(1));
    let enrolment = f.re_enrol(1);
    f.approve(enrolment, "operator/bob");
    f.enrol_afresh(1, instance_key(&super::next_key_of(1)), enrolment);
    f.report(1);
    let facts = "a replayed request, nine times".to_owned();
    f.command(id_of(2), &Command::Bypass { facts }, None);
    f.sweep();
    f
}

/// A security release that fails too often is paused, and goes on by the Founder's order; one that nobody finishes holds.
fn security() -> Federation {
    let mut f = fleet();
    f.publish("0.1.1", Class::Security);
    f.sweep();
    for n in [1, 2, 3, 4] {
        f.begin(n);
        f.fail(n);
    }
    f.sweep();
    f.world_command(&WorldCommand::Acknowledge { release: Some(v("0.1.1")), rule: "RO-5".into() });
    f.wait(Span::hours(1));
    f.order(OrderAction::Resume { release: v("0.1.1"), reason: "the cause is found".into() });
    f.sweep();
    f.upgrade(5);
    f.publish("0.1.2", Class::Minor);
    f.sweep();
    for _ in 0..4 {
        f.wait(Span::hours(24));
        reports(&mut f);
        f.sweep();
    }
    f
}

/// The plane was away, and nobody was silent meanwhile; then somebody is.
fn away() -> Federation {
    let mut f = fleet();
    let from = f.at;
    f.wait(Span::hours(50));
    f.federation_command(&WorldCommand::RecordOutage { from, until: f.at });
    f.sweep();
    (2..=8).for_each(|n| f.report(n));
    for _ in 0..8 {
        f.wait(Span::hours(47));
        (2..=8).for_each(|n| f.report(n));
        f.sweep();
    }
    f
}

/// An amendment of another day; a removal by the Founder's leave.
fn tomorrow() -> Federation {
    let mut f = fleet();
    f.wait(Span::hours(1));
    let replaces = f.world.constitution_digest.unwrap();
    let parameters = Constitution { compliance_report_within: Span::hours(24), ..Constitution::default() };
    let effective = f.at + Span::hours(10);
    let constitution = f.constitution_from(parameters, effective);
    f.order(OrderAction::Amend { constitution, replaces, effective });
    let mut release = Federation::release("0.1.1", Class::Minor);
    release.removes = vec!["login".into()];
    let reason = "nobody uses it".to_owned();
    f.order(OrderAction::Remove { release: v("0.1.1"), capability: "login".into(), reason });
    f.try_publish(&release).unwrap();
    for hours in [10, 20] {
        f.wait(Span::hours(hours));
        f.sweep();
        reports(&mut f);
    }
    f
}

/// Instances of providers, enrolled by their people too, in other kinds and tiers; a rollout for labelled ones and one for a
/// provider's.
fn of_providers() -> Federation {
    let mut f = fleet();
    for (n, kind, tier, whose, by) in [
        (9, Kind::Dedicated, Tier::Enterprise, "acme", "provider/acme/alice"),
        (10, Kind::WhiteLabel, Tier::Custom, "globex", super::OPERATOR),
        (11, Kind::Dedicated, Tier::Enterprise, "acme", super::OPERATOR),
    ] {
        f.register_of(n, kind, tier, whose, by);
        f.ready(n);
        f.report(n);
    }
    f.suspend_by(9, "provider/acme/alice");
    f.command(id_of(9), &Command::Reactivate, None);
    for (version, restriction) in [
        ("0.1.1", Restriction { label: vec!["number-9".parse().unwrap()], ..Restriction::default() }),
        ("0.1.2", Restriction { provider: vec!["acme".parse().unwrap()], ..Restriction::default() }),
        ("0.1.3", Restriction { kind: vec![Kind::WhiteLabel], ..Restriction::default() }),
    ] {
        f.wait(Span::hours(1));
        f.try_publish_to(&Federation::release(version, Class::Minor), restriction, vec![]).unwrap();
        f.sweep();
        for n in f.offered() {
            f.upgrade(n);
        }
    }
    f.wait(Span::hours(25));
    reports(&mut f);
    (9..=11).for_each(|n| f.report(n));
    f.sweep();
    f
}
