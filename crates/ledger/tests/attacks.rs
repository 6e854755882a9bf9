//! LG-3 under attack: whatever is flipped, dropped, moved or forged, by whomever, with every online key in hand, is
//! found at its place and by its rule.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod federation;

use federation::scenario::{fleet, keys_rotated, rolled_out};
use federation::{Federation, OPERATOR, id_of, instance_key, key_of, next_key_of, renew_body, v};
use governance::decide::{Command, Statement, WorldCommand, decide_world};
use governance::{
    Action, Authority, Catalogue, Cause, Class, Committed, Digest, Event, FindingCode, InstanceEvent,
    InstanceKey, Kind, Matrix, Phase, RolloutId, Salt, Span, State, Tier, WorldEvent,
};
use ledger::{Breach, Entry, Evidence, Report, Verifier};
use proof::{Jws, Order, OrderAction, SeedKey, Sign, Typ};
use serde_json::json;

fn verifier(f: &Federation) -> Verifier {
    Verifier::new(f.root(), None)
}

fn run(mut verifier: Verifier, entries: &[Vec<u8>], f: &Federation) -> Result<Report, Breach> {
    entries.iter().try_for_each(|entry| verifier.push(entry))?;
    verifier.finish(&f.checkpoint())
}

/// The log as it stands, with a checkpoint over exactly these entries: what whoever holds every online key can make.
fn breach(f: &Federation) -> Breach {
    run(verifier(f), &f.entries, f).expect_err("the log must not verify")
}

/// The last entry is the breach, under this rule, and the sentence says what.
fn check_last(f: &Federation, rule: &str, words: &str) {
    let breach = breach(f);
    assert_eq!((breach.position + 1, breach.rule.as_str()), (f.entries.len() as u64, rule), "{breach}");
    assert!(breach.message.contains(words), "{breach}");
}

fn decoded(f: &Federation, position: usize) -> Entry {
    Entry::decode(&f.entries[position]).unwrap()
}

fn position_of(f: &Federation, wanted: impl Fn(&Event) -> bool) -> usize {
    (0..f.entries.len()).find(|p| wanted(&decoded(f, *p).event)).unwrap()
}

#[test]
fn a_decision_without_one_of_its_entries_is_named() {
    let mut f = fleet();
    // A Founder's order without what follows from it.
    f.order(OrderAction::Suspend { instance: id_of(1), reason: "because".into() });
    f.entries.pop();
    f.report(2);
    let breach = breach(&f);
    assert!(breach.expected.unwrap().contains("hold-placed"));
}

#[test]
fn lc_an_illegal_transition_forged_with_the_federations_own_key_is_found() {
    use Cause::{FounderRevoked, OperatorReactivated, OperatorSuspended, ReleaseOffered, SecurityOverdue};
    use State::{Active, OutOfCompliance, Registered, Revoked, Suspended, UpdatePending};
    for (from, to, cause, rule, words) in [
        (Active, Registered, ReleaseOffered, "LC", "no such row"),
        (Active, UpdatePending, ReleaseOffered, "LC-2", "not due"),
        (Active, OutOfCompliance, Cause::FindingOpen, "LC-6", "not due"),
        (Active, Suspended, SecurityOverdue, "LC-8", "not due"),
        (Suspended, Active, OperatorReactivated, "LC", "stands elsewhere"),
        (Active, Revoked, OperatorSuspended, "LC", "no such row"),
        (Active, Revoked, FounderRevoked, "LC-10", "no Founder's order"),
        (Active, Suspended, Cause::FounderSuspended, "LC-16", "no Founder's order"),
    ] {
        let mut f = fleet();
        f.forge(Event::Instance(id_of(1), InstanceEvent::Moved { from, to, cause }));
        check_last(&f, rule, words);
    }
}

#[test]
fn in_5_an_offer_of_what_the_organism_never_signed_is_found() {
    let offer = |release| InstanceEvent::Offered {
        release: v(release),
        rollout: RolloutId::from_random([1; 16]),
        action: Action::Update,
        phase: Phase::Ga,
        deadline: None,
        drift: None,
        security: None,
    };
    let mut f = fleet();
    f.forge(Event::Instance(id_of(1), offer("6.6.6")));
    check_last(&f, "IN-5", "never signed");

    // A release signed by one of two Organism keys, and by the Federation.
    for signers in [vec![0], vec![]] {
        let mut f = fleet();
        let release = Federation::release("0.1.1", Class::Minor);
        let first = signers.first().map_or(&f.directives, |n: &usize| &f.organism[*n]);
        let jws = Jws::sign_json(Typ::Release, &release, first).unwrap();
        let event = WorldEvent::ReleasePublished { digest: jws.digest(), release: Box::new(release) };
        let constitution = f.world.constitution_digest;
        let actor = Some(OPERATOR.to_owned());
        f.write(&Entry::new(f.at, actor, constitution, Event::World(event), Evidence::Document(jws)));
        check_last(&f, "IN-5", "of the 2 signatures needed");
    }

    // Out of its turn: published, but the canary is somebody else's.
    let mut f = fleet();
    f.publish("0.1.1", Class::Minor);
    f.sweep();
    let outside = (1..=8).find(|n| !f.offered().contains(n)).unwrap();
    f.forge(Event::Instance(id_of(outside), offer("0.1.1")));
    check_last(&f, "LC-2", "not due");

    // Withdrawn.
    f.entries.pop();
    f.order(OrderAction::Withdraw { release: v("0.1.1"), reason: "bad".into() });
    f.forge(Event::Instance(id_of(outside), offer("0.1.1")));
    check_last(&f, "RL-1", "withdrawn");
}

#[test]
fn in_6_a_revived_revoked_instance_is_found() {
    for (to, cause, rule) in [
        (State::Active, Cause::OperatorReactivated, "IN-6"),
        (State::Suspended, Cause::OperatorSuspended, "IN-6"),
        (State::Suspended, Cause::FounderRestored, "IN-6"),
    ] {
        let mut f = fleet();
        f.order(OrderAction::Revoke { instance: id_of(1), reason: "stolen".into() });
        f.forge(Event::Instance(id_of(1), InstanceEvent::Moved { from: State::Revoked, to, cause }));
        check_last(&f, rule, "Founder's order");
    }
    // A new registration under the same id, and a call of its own.
    let mut f = fleet();
    f.order(OrderAction::Revoke { instance: id_of(1), reason: "stolen".into() });
    let enrolment = f.enrol(1, Tier::Free);
    let registration = f.registration(1, Tier::Free, enrolment);
    f.forge(Event::Instance(id_of(1), InstanceEvent::Registered(Box::new(registration))));
    check_last(&f, "ID-1", "never used again");
    f.entries.pop();
    let key = f.instances[&id_of(1)].key;
    f.forge(Event::Instance(id_of(1), afresh(key)));
    check_last(&f, "HS-1", "no enrolment was made");
}

#[test]
fn au_1_a_wrong_authority_or_rule_is_found() {
    let change = |position: usize, change: &dyn Fn(&mut Entry), rule: &str| {
        let mut f = fleet();
        let mut entry = decoded(&f, position);
        change(&mut entry);
        f.entries[position] = entry.encode().unwrap();
        let breach = breach(&f);
        assert_eq!((breach.position, breach.rule.as_str()), (position as u64, rule), "{breach}");
    };
    let f = fleet();
    let reported = position_of(&f, |e| matches!(e, Event::Instance(_, InstanceEvent::Reported { .. })));
    let registered = position_of(&f, |e| matches!(e, Event::Instance(_, InstanceEvent::Registered(_))));
    let released = position_of(&f, |e| matches!(e, Event::World(WorldEvent::ReleasePublished { .. })));
    change(reported, &|e| e.authority = Authority::Federation, "AU-1");
    change(reported, &|e| e.rule = "HS-2".into(), "AU-1");
    change(registered, &|e| e.authority = Authority::Founder, "AU-1");
    change(registered, &|e| e.constitution = Some(Digest::of(b"another")), "FO-5");
    change(registered, &|e| e.constitution = None, "FO-5");
    change(registered, &|e| e.actor = Some("operator/other".into()), "AU-1");
    change(registered, &|e| e.evidence = Evidence::Preceding { back: 1 }, "AU-1");
    change(reported, &|e| e.evidence = Evidence::Preceding { back: 1 }, "AU-1");
    change(released, &|e| e.evidence = Evidence::Preceding { back: 1 }, "AU-1");
    // The Federation signs in the Runtime's, the Organism's and the Founder's place.
    for position in [reported, released, 0, 1, 2] {
        let sign = |e: &mut Entry| {
            let key = fleet().directives;
            let decision = e.decision().unwrap();
            e.evidence = Evidence::Federation { key: key.key_id(), signature: key.sign(&decision).unwrap() };
        };
        change(position, &sign, "AU-1");
    }
}

/// The plane puts words into people's mouths.
#[test]
fn au_1_a_person_named_who_did_not_ask_is_found() {
    let blamed = Some("operator/bob");
    // For what the law itself found due.
    let mut f = fleet();
    f.wait(Span::hours(50));
    let due = vec![(id_of(1), InstanceEvent::FindingOpened { code: FindingCode::NotReporting })];
    f.decision(None, blamed, vec![], due);
    check_last(&f, "AU-1", "nobody asked for it");
    // For what an instance did.
    let mut f = fleet();
    let (jws, statement) = f.statement(1, v("0.1.0"));
    let request = f.request(1, "report", &json!({ "statement": jws }));
    let Statement { head, running, domains, .. } = statement;
    let reported = vec![(id_of(1), InstanceEvent::Reported { head, running, domains })];
    f.decision(Some(Evidence::Request(request)), blamed, vec![], reported);
    check_last(&f, "AU-1", "nobody asked for it");
    // In the midst of what another asked for.
    let mut f = fleet();
    let events = decide_world(&f.world, &WorldCommand::RedSwitch { on: true, reason: None }, f.at).unwrap();
    let (first, second) = events.split_first().unwrap();
    f.decision(None, Some(OPERATOR), vec![first.clone()], vec![]);
    f.decision(None, blamed, vec![second[0].clone()], vec![]);
    check_last(&f, "AU-1", "another person");
}

/// What the Organism signed once and replaced since is no decision of its any more.
#[test]
fn au_1_an_older_matrix_or_catalogue_is_not_brought_back() {
    let mut f = fleet();
    let matrix = |max: &str| {
        let mut matrix = Matrix::default();
        matrix.rows[1].runtime.max = v(max);
        matrix
    };
    for max in ["0.3.1", "0.3.2", "0.3.1"] {
        let matrix = matrix(max);
        f.organism_document(&matrix.clone(), WorldEvent::MatrixPublished { matrix });
    }
    check_last(&f, "RL-5", "published before");
    let mut f = fleet();
    for why in ["one", "two", "one"] {
        let mut catalogue = Catalogue::default();
        catalogue.modules[2].why = why.into();
        f.organism_document(&catalogue.clone(), WorldEvent::CataloguePublished { catalogue });
    }
    check_last(&f, "EN-1", "published before");
}

#[test]
fn fo_1_an_order_under_threshold_replayed_or_expired_is_found() {
    let suspend = |serial, f: &Federation| Order {
        serial,
        expires: f.at + Span::hours(1),
        action: OrderAction::Suspend { instance: id_of(1), reason: "because".into() },
    };
    // One of two signatures.
    let mut f = fleet();
    let order = suspend(1, &f);
    let jws = Jws::sign_json(Typ::Order, &order, &f.founder[0]).unwrap();
    let from = f.entries.len();
    f.order_as(&order, jws);
    let found = breach(&f);
    assert_eq!((found.position, found.rule.as_str()), (from as u64, "FO-1"), "{found}");
    // The same order again, after its effect was undone.
    let mut f = fleet();
    let order = suspend(1, &f);
    let jws = f.founder_signed(Typ::Order, &order);
    f.order_as(&order, jws.clone());
    f.order(OrderAction::Restore { instance: id_of(1), reason: "over".into() });
    f.command(id_of(1), &Command::Reactivate, None);
    let from = f.entries.len();
    f.order_as(&order, jws);
    let found = breach(&f);
    assert_eq!((found.position, found.rule.as_str()), (from as u64, "FO-1"), "{found}");
    assert!(found.message.contains("serial"), "{found}");
    // Too late.
    let mut f = fleet();
    let order = suspend(1, &f);
    let jws = f.founder_signed(Typ::Order, &order);
    f.wait(Span::hours(2));
    let from = f.entries.len();
    f.order_as(&order, jws);
    assert_eq!(breach(&f).position, from as u64);
    // Another instance than the one named.
    let mut f = fleet();
    let order = suspend(1, &f);
    let jws = f.founder_signed(Typ::Order, &order);
    let other = Order { action: OrderAction::Suspend { instance: id_of(2), reason: String::new() }, ..order };
    let from = f.entries.len();
    f.order_as(&other, jws);
    assert_eq!(breach(&f).position, from as u64 + 1);
}

#[test]
fn hs_6_a_request_proves_only_what_it_asked_for_and_once() {
    // Twice.
    let mut f = fleet();
    f.publish("0.1.1", Class::Security);
    f.sweep();
    let release = v("0.1.1");
    let begun = f.request(1, "upgrade/begin", &json!({ "release": release, "directive_serial": 1 }));
    let begin = Command::BeginUpgrade { release };
    f.command(id_of(1), &begin, Some(Evidence::Request(begun.clone())));
    f.fail(1);
    f.wait(Span::from_millis(3_601_000));
    f.report(1);
    f.command(id_of(1), &begin, Some(Evidence::Request(begun)));
    let found = breach(&f);
    assert_eq!((found.rule.as_str(), found.message.contains("another time")), ("HS-6", true), "{found}");
    // Twice within the time a request is good for, with everything else in order.
    let mut f = fleet();
    f.publish("0.1.1", Class::Security);
    f.sweep();
    let begun = f.request(1, "upgrade/begin", &json!({ "release": release, "directive_serial": 1 }));
    f.command(id_of(1), &begin, Some(Evidence::Request(begun.clone())));
    f.fail(1);
    f.call(1, "retry", &json!({ "release": release }), &Command::Retry { release });
    let from = f.entries.len();
    f.command(id_of(1), &begin, Some(Evidence::Request(begun)));
    let found = breach(&f);
    assert_eq!((found.position, found.message.contains("nonce")), (from as u64, true), "{found}");
    // To go back elsewhere than was asked for (RL-2).
    let mut f = rolled_out();
    let from = f.entries.len() as u64;
    let asked = json!({ "release": v("0.1.1") });
    f.call(1, "rollback", &asked, &Command::RollBack { release: v("0.1.0") });
    assert_eq!(breach(&f).position, from);
    // Another's, and another call.
    let mut f = fleet();
    let (_, statement) = f.statement(1, v("0.1.0"));
    for (n, call) in [(2, "report"), (1, "ready"), (1, "check-in")] {
        let mut f = fleet();
        let from = f.entries.len();
        let request = f.request(n, call, &json!({}));
        f.command(id_of(1), &Command::Report(statement.clone()), Some(Evidence::Request(request)));
        assert_eq!(breach(&f).position, from as u64, "{call}");
    }
    // A claim that another version runs.
    let mut f = fleet();
    let (jws, statement) = f.statement(1, v("0.1.0"));
    let request = f.request(1, "report", &json!({ "statement": jws }));
    let claimed = governance::Running { platform: v("0.1.9"), ..statement.running };
    let event = InstanceEvent::Reported { head: statement.head, running: claimed, domains: vec![] };
    f.decision(Some(Evidence::Request(request)), None, vec![], vec![(id_of(1), event)]);
    check_last(&f, "HS-3", "otherwise than the law decides");
}

#[test]
fn ro_1_a_phase_out_of_time_or_order_a_halt_without_failures_and_false_counts_are_found() {
    let mut f = fleet();
    let rollout = f.publish("0.1.1", Class::Minor);
    f.sweep();
    let opened = |phase, eligible, cohort| WorldEvent::PhaseOpened {
        rollout,
        phase,
        eligible,
        cohort,
        cutoffs: vec![],
    };
    for (event, rule) in [
        (opened(Phase::Beta, 8, 2), "RO-1"),
        (opened(Phase::Ga, 8, 8), "RO-1"),
        (WorldEvent::RolloutDone { rollout }, "RO-4"),
        (WorldEvent::RolloutHeld { rollout, why: "evidence".into() }, "RO-4"),
        (WorldEvent::RolloutHalted { rollout, phase: Phase::Canary, failed: 1, finished: 1 }, "RO-3"),
        (WorldEvent::RolloutSuperseded { rollout, by: v("0.1.2") }, "RO-8"),
        (
            WorldEvent::RolloutOpened {
                rollout,
                release: v("0.1.1"),
                restriction: Default::default(),
                approval: vec![],
            },
            "RO-1",
        ),
    ] {
        f.forge(Event::World(event));
        check_last(&f, rule, "");
        f.entries.pop();
    }
    // Its time is up, but nobody has finished: it may only hold.
    f.wait(Span::hours(25));
    f.forge(Event::World(opened(Phase::Beta, 8, 2)));
    check_last(&f, "RO-1", "counted anew");
    f.entries.pop();
    // A failure, and the count told smaller.
    let n = f.offered()[0];
    f.begin(n);
    f.fail(n);
    f.forge(Event::World(WorldEvent::RolloutHalted {
        rollout,
        phase: Phase::Canary,
        failed: 1,
        finished: 9,
    }));
    check_last(&f, "RO-3", "counted anew");
}

#[test]
fn co_findings_that_nothing_supports_are_found() {
    for code in [FindingCode::VersionDrift, FindingCode::NotReporting, FindingCode::UnauthorisedFork] {
        let mut f = fleet();
        f.forge(Event::Instance(id_of(1), InstanceEvent::FindingOpened { code }));
        check_last(&f, code.rule(), "not due");
    }
}

#[test]
fn hs_1_identities_rest_on_enrolments() {
    let registered = |f: &mut Federation, enrolment, tier| {
        let registration = f.registration(9, tier, enrolment);
        f.forge(Event::Instance(id_of(9), InstanceEvent::Registered(Box::new(registration))));
    };
    let mut f = fleet();
    registered(&mut f, Digest::of(b"no enrolment"), Tier::Free);
    check_last(&f, "HS-1", "no enrolment");
    let mut f = fleet();
    let enrolment = f.enrol(9, Tier::Free);
    registered(&mut f, enrolment, Tier::Pro);
    check_last(&f, "HS-1", "another kind, tier or provider");
    f.entries.pop();
    f.wait(Span::hours(2));
    registered(&mut f, enrolment, Tier::Free);
    check_last(&f, "HS-1", "expired");
    // A certificate for ever.
    let mut f = fleet();
    let key = f.instances[&id_of(1)].key;
    let not_after = f.at + Span::hours(1000);
    f.forge(Event::Instance(
        id_of(1),
        InstanceEvent::CertificateIssued { key, serial: "1".into(), not_after },
    ));
    check_last(&f, "HS-1", "longer than the law allows");
    // An enrolment nobody asked for.
    let mut f = fleet();
    let expires = f.at + Span::hours(1);
    let event = WorldEvent::EnrolmentCreated {
        digest: Digest::of(b"x"),
        kind: Kind::SaasShared,
        tier: Tier::Free,
        provider: None,
        expires,
        instance: None,
    };
    f.decision(None, None, vec![event], vec![]);
    check_last(&f, "AU-1", "may ask for it");
}

/// An enrolment afresh by nobody's leave.
fn afresh(key: InstanceKey) -> InstanceEvent {
    let endpoint = Committed::new(Salt::from_random([0; 16]), "https://127.0.0.1:10".parse().unwrap());
    InstanceEvent::HandshakeRenewed { key, enrolment: Digest::of(b"none"), endpoint }
}

/// Whoever holds every online key puts a key of his own in an instance's place, to sign in its name.
#[test]
fn au_2_a_key_that_the_instance_never_took_is_found() {
    let stolen = SeedKey::new([66; 32]);
    let key = instance_key(&stolen);
    let certificate = |f: &Federation| InstanceEvent::CertificateIssued {
        key,
        serial: "66".into(),
        not_after: f.at + Span::hours(24),
    };
    let about = |event| Event::Instance(id_of(1), event);
    // A certificate over it, and at once what it signs.
    let mut f = fleet();
    let forged = certificate(&f);
    f.forge(about(forged.clone()));
    check_last(&f, "AU-2", "never took");
    let from = f.entries.len() - 1;
    f.instances.get_mut(&id_of(1)).unwrap().key = key;
    let (_, statement) = f.statement(1, v("0.1.0"));
    let request = f.request_by(&stolen, 1, "report", &json!({}));
    f.command(id_of(1), &Command::Report(statement), Some(Evidence::Request(request)));
    assert_eq!(breach(&f).position, from as u64);
    // In the same breath as a registration.
    let mut f = fleet();
    let enrolment = f.enrol(9, Tier::Free);
    let registration = f.registration(9, Tier::Free, enrolment);
    f.forge(Event::Instance(id_of(9), InstanceEvent::Registered(Box::new(registration))));
    f.forge(Event::Instance(id_of(9), forged.clone()));
    check_last(&f, "AU-2", "never took");
    // A new key by the Federation's word, and an enrolment afresh.
    for (event, rule, words) in [
        (InstanceEvent::KeyRenewed { key }, "AU-1", "signed request"),
        (afresh(key), "HS-1", "no enrolment was made"),
        (InstanceEvent::Handshaken, "AU-1", "signed request"),
    ] {
        let mut f = fleet();
        f.forge(about(event));
        check_last(&f, rule, words);
    }
    // Proved by a request, but not of the key on record; not for this key; not naming the head.
    let f = fleet();
    let (own, head) = (f.instances[&id_of(1)].key, f.instances[&id_of(1)].head.map(|head| head.digest));
    for (signer, body, rule, words) in [
        (&stolen, renew_body(key, head), "HS-6", "signed with the key"),
        (&key_of(1), renew_body(instance_key(&key_of(2)), head), "HS-2", "otherwise than the law decides"),
        (&key_of(1), renew_body(own, head), "HS-2", "otherwise than the law decides"),
        (&key_of(1), renew_body(key, None), "ID-4", "another head"),
    ] {
        let mut f = fleet();
        let request = f.request_by(signer, 1, "renew", &body);
        let event = InstanceEvent::KeyRenewed { key };
        f.decision(Some(Evidence::Request(request)), None, vec![], vec![(id_of(1), event)]);
        check_last(&f, rule, words);
    }
    // Lawfully renewed, and then certified under a third key; and the key before signs on.
    let mut f = fleet();
    f.renew(1, &next_key_of(1));
    f.forge(about(forged));
    check_last(&f, "AU-2", "never took");
    f.entries.pop();
    let body = renew_body(instance_key(&key_of(1)), head);
    let request = f.request_by(&key_of(1), 1, "renew", &body);
    let event = InstanceEvent::KeyRenewed { key: instance_key(&key_of(1)) };
    f.decision(Some(Evidence::Request(request)), None, vec![], vec![(id_of(1), event)]);
    check_last(&f, "HS-6", "signed with the key");
}

#[test]
fn lc_17_a_handshake_that_nobody_made_or_needed_is_found() {
    let mut f = fleet();
    let instance = &f.instances[&id_of(1)];
    let body = renew_body(instance.key, instance.head.map(|head| head.digest));
    let request = f.request(1, "renew", &body);
    let handshaken = vec![(id_of(1), InstanceEvent::Handshaken)];
    f.decision(Some(Evidence::Request(request)), None, vec![], handshaken.clone());
    check_last(&f, "LC-17", "otherwise than the law decides");
    // Restored: by a statement instead of a renewal.
    let mut f = fleet();
    f.order(OrderAction::Revoke { instance: id_of(1), reason: "stolen".into() });
    f.order(OrderAction::Restore { instance: id_of(1), reason: "found".into() });
    let (jws, _) = f.statement(1, v("0.1.0"));
    let request = f.request(1, "report", &json!({ "statement": jws }));
    f.decision(Some(Evidence::Request(request)), None, vec![], handshaken);
    check_last(&f, "LC-17", "otherwise than the law decides");
}

#[test]
fn au_4_a_key_counts_for_its_purpose_and_time() {
    // The ledger's key signs a decision.
    let mut f = fleet();
    std::mem::swap(&mut f.directives, &mut f.ledger);
    f.enrol(9, Tier::Free);
    std::mem::swap(&mut f.directives, &mut f.ledger);
    check_last(&f, "AU-4", "does not name");
    // The old key, after a rotation.
    let mut f = fleet();
    let old = SeedKey::new({
        let mut seed = [3; 32];
        seed[31] = 1;
        seed
    });
    assert_eq!(old.key_id(), f.directives.key_id());
    keys_rotated(&mut f);
    f.directives = old;
    f.enrol(9, Tier::Free);
    check_last(&f, "AU-4", "does not name");
    // Other root keys.
    let f = fleet();
    let stranger = proof::KeySet::single(*SeedKey::new([5; 32]).public_key());
    let found = Verifier::new(stranger, None).push(&f.entries[0]).unwrap_err();
    assert_eq!((found.position, found.rule.as_str()), (0, "AU-4"));
    let mut other = Verifier::new(f.root(), Some("other.example".parse().unwrap()));
    assert_eq!(other.push(&f.entries[0]).unwrap_err().rule, "AU-4");
}

#[test]
fn lg_2_a_checkpoint_by_another_key_or_of_another_log_is_found() {
    let f = fleet();
    let finish = |checkpoint| {
        let mut verifier = verifier(&f);
        f.entries.iter().for_each(|entry| verifier.push(entry).unwrap());
        verifier.finish(&checkpoint)
    };
    assert!(finish(f.checkpoint()).is_ok());
    let head = f.head();
    let shorter = ledger::TreeHead { size: head.size - 1, ..head };
    let rewritten = ledger::TreeHead { root: ledger::Hash::new([1; 32]), ..head };
    for checkpoint in [
        f.checkpoint_by(&f.directives, head),
        f.checkpoint_by(&SeedKey::new([5; 32]), head),
        f.checkpoint_by(&f.ledger, shorter),
        f.checkpoint_by(&f.ledger, rewritten),
    ] {
        let found = finish(checkpoint).unwrap_err();
        assert_eq!((found.position, found.rule.as_str()), (f.entries.len() as u64, "LG-2"), "{found}");
    }
}

#[test]
fn lg_2_a_truncated_or_rewritten_log_is_found_by_whoever_saw_it_before() {
    let mut f = fleet();
    let old = f.checkpoint();
    let size = f.entries.len();
    f.report(1);
    let seen = f.head();
    // The new checkpoint over the old entries, and the old one over the new.
    assert_eq!(run(verifier(&f), &f.entries[..size], &f).unwrap_err().rule, "LG-2");
    let mut whole = verifier(&f);
    f.entries.iter().for_each(|entry| whole.push(entry).unwrap());
    assert_eq!(whole.finish(&old).unwrap_err().rule, "LG-2");
    // The old log with its old checkpoint: lawful, but shorter than what was seen.
    let mut cut = verifier(&f).remembering(seen);
    f.entries[..size].iter().for_each(|entry| cut.push(entry).unwrap());
    let found = cut.finish(&old).unwrap_err();
    assert_eq!((found.rule.as_str(), found.message.contains("shorter")), ("LG-2", true), "{found}");
    // Another lawful history of the same length.
    f.entries.truncate(size);
    f.instances.get_mut(&id_of(1)).unwrap().head = f.instances[&id_of(2)].head;
    f.report(2);
    let found = run(verifier(&f).remembering(seen), &f.entries, &f).unwrap_err();
    assert_eq!((found.position, found.rule.as_str()), (size as u64, "LG-2"), "{found}");
}

#[test]
fn lg_1_time_does_not_go_back() {
    let mut f = fleet();
    f.wait(Span::hours(1));
    f.report(1);
    f.at = f.at - Span::from_millis(1);
    f.report(1);
    check_last(&f, "LG-1", "decided before");
    f.entries.pop();
    f.at = f.at - Span::from_millis(90_000);
    f.report(2);
    check_last(&f, "LG-1", "decided before");
}
