//! LG-3: what standing orders, overrides, amendments and acknowledgements leave in a log, lawful and not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod federation;

use federation::scenario::{drifting, fleet, keys_rotated, reports};
use federation::{Federation, id_of, v};
use governance::decide::{Command, WorldCommand};
use governance::{
    Cause, Class, Constitution, Event, FindingCode, InstanceEvent, Span, StandingOrder, State, WorldEvent,
};
use ledger::{Breach, Report, Verifier};
use proof::OrderAction;

fn verified(f: &Federation) -> Result<Report, Breach> {
    let mut verifier = Verifier::new(f.root(), None);
    f.entries.iter().try_for_each(|entry| verifier.push(entry))?;
    verifier.finish(&f.checkpoint())
}

#[track_caller]
fn lawful(f: &Federation) -> Report {
    verified(f).unwrap_or_else(|breach| panic!("{breach}"))
}

/// That the last entry of the log is the first that is not lawful, by this rule.
#[track_caller]
fn caught(f: &Federation, rule: &str) {
    let breach = verified(f).unwrap_err();
    assert_eq!((breach.rule.as_str(), breach.position), (rule, f.entries.len() as u64 - 1), "{breach}");
}

#[test]
fn lc_18_co_14_standing_orders_and_their_brake_are_lawful() {
    let mut f = fleet();
    f.fork(1);
    assert_eq!(f.instances[&id_of(1)].state, State::Revoked);
    f.wait(Span::hours(1));
    f.fork(2);
    assert_eq!(f.instances[&id_of(2)].state, State::OutOfCompliance, "the day has no room");
    f.wait(Span::hours(1));
    f.fork(3);
    assert_eq!(f.world.escalations.len(), 1, "escalated once");
    f.wait(Span::hours(24));
    reports_of(&mut f, 4..=8);
    f.sweep();
    let report = lawful(&f);
    assert_eq!((report.states[&State::Revoked], report.states[&State::OutOfCompliance]), (2, 1));
}

fn reports_of(f: &mut Federation, numbers: std::ops::RangeInclusive<u8>) {
    numbers.for_each(|n| f.report(n));
}

#[test]
fn co_14_a_revocation_for_which_the_day_had_no_room_is_found() {
    let mut f = fleet();
    f.fork(1);
    f.wait(Span::hours(1));
    f.fork(2);
    let moved =
        InstanceEvent::Moved { from: State::OutOfCompliance, to: State::Revoked, cause: Cause::Forked };
    f.wait(Span::hours(1));
    f.forge(Event::Instance(id_of(2), moved));
    caught(&f, "LC-18");
}

#[test]
fn lc_18_a_revocation_that_no_standing_order_asks_for_is_found() {
    let mut f = fleet();
    let moved = InstanceEvent::Moved { from: State::Active, to: State::Revoked, cause: Cause::DriftFrozen };
    f.forge(Event::Instance(id_of(2), moved));
    caught(&f, "LC-18");
    // Nor does the brake move by itself, to make room or to take it away.
    let mut f = fleet();
    let order = StandingOrder::UnauthorisedFork;
    f.forge(Event::World(WorldEvent::StandingOrderTaken { order, instance: id_of(2) }));
    caught(&f, "LC-18");
    let mut f = fleet();
    f.wait(Span::hours(1));
    f.forge(Event::World(WorldEvent::FleetCounted { instances: 1_000_000 }));
    caught(&f, "CO-14");
}

#[test]
fn co_14_an_escalation_of_the_brake_without_cause_is_found() {
    let mut f = fleet();
    let facts = format!("a standing order applies to {}, and the day has no room for it", id_of(2));
    f.forge(Event::World(WorldEvent::FederationEscalated { rule: "CO-14".into(), facts }));
    caught(&f, "CO-14");
}

#[test]
fn fo_3_an_override_is_lawful_by_the_founders_order_alone() {
    let mut f = fleet();
    f.wait(Span::hours(50));
    f.sweep();
    let code = FindingCode::NotReporting;
    let until = f.at + Span::hours(24);
    let finding =
        |until| OrderAction::Override { instance: id_of(1), finding: code, until, reason: "away".into() };
    f.order(finding(until));
    assert_eq!(f.instances[&id_of(1)].state, State::Active);
    f.wait(Span::hours(25));
    f.sweep();
    assert_eq!(f.instances[&id_of(1)].state, State::OutOfCompliance, "its time is over");
    lawful(&f);
    f.forge(Event::Instance(id_of(1), InstanceEvent::OverrideSet { code, until: f.at + Span::hours(1) }));
    assert!(verified(&f).is_err());
}

#[test]
fn fo_5_an_amendment_takes_effect_on_its_day_and_not_before() {
    let amended = |wait: i64| {
        let mut f = fleet();
        f.wait(Span::hours(1));
        let replaces = f.world.constitution_digest.unwrap();
        let parameters =
            Constitution { compliance_report_within: Span::hours(24), ..Constitution::default() };
        let effective = f.at + Span::hours(10);
        let constitution = f.constitution_from(parameters, effective);
        f.order(OrderAction::Amend { constitution, replaces, effective });
        assert_eq!(f.world.constitution_digest, Some(replaces), "not yet");
        f.wait(Span::hours(wait));
        (f, replaces)
    };
    let (mut f, replaces) = amended(10);
    f.sweep();
    assert_ne!(f.world.constitution_digest, Some(replaces));
    reports(&mut f);
    let report = lawful(&f);
    assert_eq!(report.constitution, f.world.constitution_digest);
    // Forced before its day, or passed over on it.
    let (mut f, _) = amended(9);
    let digest = f.world.amendments[0].digest;
    f.forge(Event::World(WorldEvent::ConstitutionEffective { digest }));
    caught(&f, "FO-5");
    let (mut f, _) = amended(10);
    f.report(1);
    let breach = verified(&f).unwrap_err();
    assert_eq!(breach.rule, "FO-5", "{breach}");
}

#[test]
fn rl_8_a_removal_is_lawful_with_the_founders_leave_or_after_its_notice() {
    let mut f = fleet();
    let mut release = Federation::release("0.1.1", Class::Minor);
    release.removes = vec!["login".into()];
    assert!(f.try_publish(&release).is_err(), "it was never deprecated");
    let reason = "nobody uses it".to_owned();
    f.order(OrderAction::Remove { release: v("0.1.1"), capability: "login".into(), reason });
    f.try_publish(&release).unwrap();
    lawful(&f);
}

#[test]
fn fo_2_what_lies_before_the_founder_is_acknowledged_and_resolved_by_an_order() {
    let mut f = fleet();
    f.fork(1);
    f.command(id_of(1), &Command::Acknowledge { rule: "CO-8".into() }, None);
    f.world_command(&WorldCommand::RedSwitch { on: true, reason: None });
    f.world_command(&WorldCommand::Acknowledge { release: None, rule: "RO-6".into() });
    assert!(f.instances[&id_of(1)].escalations[0].acknowledged.is_some());
    f.order(OrderAction::Restore { instance: id_of(1), reason: "a false alarm".into() });
    assert!(f.instances[&id_of(1)].escalations.is_empty());
    f.wait(Span::hours(1));
    lawful(&f);
}

#[test]
fn lg_2_fo_2_witnesses_that_refuse_go_before_the_founder_once_until_he_answers() {
    let refused = |facts: &str| WorldCommand::EscalateRefusal { facts: facts.to_owned() };
    let mut f = fleet();
    f.federation_command(&refused("witness.example refuses"));
    f.world_command(&WorldCommand::Acknowledge { release: None, rule: "LG-2".into() });
    f.federation_command(&refused("all of them refuse"));
    assert_eq!(f.world.escalations.len(), 1, "once while it is open");
    // A document of keys says by which the ledger goes on: that is the answer.
    keys_rotated(&mut f);
    assert!(f.world.escalations.is_empty());
    f.federation_command(&refused("witness.example refuses again"));
    assert_eq!(f.world.escalations.len(), 1);
    lawful(&f);
    let facts = "once more".to_owned();
    f.forge(Event::World(WorldEvent::FederationEscalated { rule: "LG-2".into(), facts }));
    caught(&f, "LG-2");
    // Nor is the open matter closed by anybody else.
    let mut f = fleet();
    f.forge(Event::World(WorldEvent::FederationEscalationAcknowledged { rule: "LG-2".into() }));
    caught(&f, "FO-2");
}

#[test]
fn co_7_an_outage_is_lawful_where_nothing_was_decided_inside() {
    let mut f = fleet();
    let from = f.at;
    f.wait(Span::hours(50));
    f.federation_command(&WorldCommand::RecordOutage { from, until: f.at });
    f.sweep();
    assert_eq!(lawful(&f).states[&State::Active], 8, "nobody was silent");
    let from = f.at - Span::hours(1);
    f.wait(Span::hours(1));
    f.forge(Event::World(WorldEvent::OutageRecorded { from, until: f.at }));
    caught(&f, "CO-7");
}

#[test]
fn co_2_co_13_drift_that_no_standing_order_takes_is_lawfully_escalated_once_and_not_before() {
    let (mut f, drifting) = drifting();
    let told = |f: &Federation| {
        let open = &f.instances[&id_of(drifting)].escalations;
        open.iter().filter(|open| open.rule == "CO-2").count()
    };
    for hours in [25, 20, 4] {
        assert_eq!(told(&f), 0, "after {hours} hours");
        f.wait(Span::hours(hours));
        reports(&mut f);
        f.sweep();
    }
    assert_eq!(told(&f), 1);
    f.wait(Span::hours(1));
    f.sweep();
    assert_eq!(told(&f), 1);
    lawful(&f);
    let facts = "drift is beyond the freeze, and no standing order drift-freeze takes the instance".into();
    f.forge(Event::Instance(id_of(drifting), InstanceEvent::Escalated { rule: "CO-2".into(), facts }));
    caught(&f, "CO-2");
}

/// What a person asked for is held to his role, and of a provider's to his own instances (AU-1, ID-3): the Federation's own
/// keys make no difference.
#[test]
fn au_1_id_3_whoever_asked_for_it_must_be_one_who_may() {
    let suspended = || InstanceEvent::Moved {
        from: State::Active,
        to: State::Suspended,
        cause: Cause::OperatorSuspended,
    };
    let lapsed = || InstanceEvent::SubscriptionChanged {
        tier: governance::Tier::Free,
        status: governance::SubscriptionStatus::Lapsed,
        until: None,
    };
    let asked = |actor: Option<&str>, event: InstanceEvent| {
        let mut f = fleet();
        f.decision(None, actor, vec![], vec![(id_of(1), event)]);
        f
    };
    lawful(&asked(Some("operator/eve"), suspended()));
    for actor in ["auditor/eve", "billing/eve", "founder-signer/eve", "operator/", "operator/a/b", "root"] {
        caught(&asked(Some(actor), suspended()), "AU-1");
    }
    caught(&asked(None, suspended()), "AU-1");
    // The instance is of no provider, and so of no provider's people either.
    caught(&asked(Some("provider/acme/eve"), suspended()), "ID-3");
    lawful(&asked(Some("billing/meter"), lapsed()));
    caught(&asked(Some("provider/acme/eve"), lapsed()), "AU-1");
    caught(&asked(Some("auditor/eve"), lapsed()), "AU-1");
    // The red switch is the operators' alone; a certificate may be taken back by the Founder's signers too.
    let world = |actor: &str, event: WorldEvent| {
        let mut f = fleet();
        f.decision(None, Some(actor), vec![event], vec![]);
        f
    };
    let revoked = || WorldEvent::PersonRevoked { person: "operator/eve".into(), serial: "0a".into() };
    lawful(&world("founder-signer/one", revoked()));
    caught(&world("provider/acme/eve", revoked()), "AU-1");
    caught(&world("founder-signer/one", WorldEvent::RedSwitchTurned { on: true, reason: None }), "AU-1");
}

/// A token on record is one that the law gives, in its place and for its time (EN-4, EN-5, EN-6).
#[test]
fn en_4_en_5_a_token_that_nobody_is_entitled_to_is_found() {
    let mut f = fleet();
    let command = Command::Activate { domain: "COM".parse().unwrap() };
    f.command(id_of(1), &command, None);
    f.command(id_of(1), &Command::Entitle, None);
    lawful(&f);
    let token = |f: &Federation, index: u32, domain: Option<&str>, hours: i64| InstanceEvent::TokenIssued {
        index,
        domain: domain.map(|domain| domain.parse().unwrap()),
        expires: f.at + Span::hours(hours),
        content: governance::Digest::of(b"anything"),
    };
    for (index, domain, hours) in [(1, None, 24), (7, None, 24), (1, None, 24 * 365), (2, Some("EDU"), 24)] {
        let mut f = fleet();
        f.command(id_of(1), &command, None);
        f.command(id_of(1), &Command::Entitle, None);
        let event = token(&f, index, domain, hours);
        f.forge(Event::Instance(id_of(1), event));
        let breach = verified(&f).unwrap_err();
        assert_eq!(breach.position, f.entries.len() as u64 - 1, "{breach}");
    }
}
