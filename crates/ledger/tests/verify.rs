//! LG-3: a lawful log verifies, whatever happened in it; see `attacks.rs` for those that are not lawful.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod federation;

use federation::scenario::{
    amendment, everything, fleet, halted, keys_rotated, reports, rolled_out, steered, superseded,
};
use federation::{Federation, OPERATOR, id_of, instance_key, key_of, next_key_of, v};
use governance::decide::Command;
use governance::{
    Class, FindingCode, InstanceEvent, Opening, Restriction, Span, State, SubscriptionStatus, Tier,
};
use ledger::verify::join;
use ledger::{Breach, Entry, Evidence, Report, Verifier};
use proof::OrderAction;

fn lawful(federation: &Federation) -> Report {
    let mut verifier = Verifier::new(federation.root(), Some("fed.example".parse().unwrap()));
    for entry in &federation.entries {
        if let Err(breach) = verifier.push(entry) {
            panic!("{breach}\n{}", String::from_utf8_lossy(entry));
        }
    }
    verifier.finish(&federation.checkpoint()).unwrap_or_else(|breach| panic!("{breach}"))
}

#[test]
fn lg_3_a_founding_alone_is_lawful() {
    let report = lawful(&Federation::founded());
    assert_eq!((report.entries, report.instances, report.keys_serial), (3, 0, 1));
    assert_eq!(report.trust_domain, Some("fed.example".parse().unwrap()));
}

#[test]
fn lg_3_a_rollout_through_all_its_phases_is_lawful() {
    let f = rolled_out();
    let report = lawful(&f);
    let rollout = &report.rollouts[1];
    assert_eq!((rollout.status, rollout.offered, rollout.installed, rollout.failed), ("done", 8, 8, 0));
    assert_eq!(report.states[&State::Active], 8);
    assert_eq!((report.entries, report.instances), (f.entries.len() as u64, 8));
    assert_eq!(report.constitution, f.world.constitution_digest);
}

#[test]
fn ro_3_a_halt_and_its_rollback_are_lawful() {
    let report = lawful(&halted());
    let rollout = &report.rollouts[1];
    assert_eq!((rollout.status, rollout.installed, rollout.failed, rollout.rolled_back), ("halted", 1, 1, 2));
}

#[test]
fn rl_2_a_rollback_by_the_owners_wish_is_lawful() {
    let mut f = rolled_out();
    let release = v("0.1.0");
    f.call(1, "rollback", &serde_json::json!({ "release": release }), &Command::RollBack { release });
    f.sweep();
    f.begin(1);
    f.finish(1);
    let rollout = &lawful(&f).rollouts[1];
    assert_eq!((rollout.status, rollout.installed), ("done", 8));
}

#[test]
fn ro_5_a_paused_security_release_is_resumed_by_the_founder() {
    let mut f = fleet();
    f.publish("0.1.1", Class::Security);
    f.sweep();
    f.upgrade(1);
    f.begin(2);
    f.fail(2);
    f.sweep();
    assert_eq!(f.world.rollouts[1].shown(), "paused");
    f.wait(Span::hours(2));
    f.order(OrderAction::Resume { release: v("0.1.1"), reason: "the cause is known".into() });
    f.sweep();
    for n in f.offered() {
        f.upgrade(n);
    }
    f.sweep();
    assert_eq!(lawful(&f).rollouts[1].installed, 8);
}

#[test]
fn co_3_the_security_ladder_is_lawful() {
    let mut f = fleet();
    f.publish("0.1.1", Class::Security);
    f.sweep();
    for _ in 0..4 {
        f.wait(Span::hours(25));
        reports(&mut f);
        f.sweep();
    }
    assert_eq!(lawful(&f).states[&State::Suspended], 8);
    // A remediation, and the way back (LC-19, LC-9).
    f.upgrade(1);
    f.command(id_of(1), &Command::Reactivate, None);
    assert_eq!(lawful(&f).states[&State::Active], 1);
}

#[test]
fn lc_every_order_and_command_is_lawful() {
    let report = lawful(&everything());
    assert_eq!(report.keys_serial, 1);
    assert_eq!(report.states[&State::Revoked], 1);
}

#[test]
fn co_9_a_broken_chain_is_recorded() {
    let mut f = fleet();
    let id = id_of(1);
    let code = FindingCode::VersionChainBroken;
    let record = [
        InstanceEvent::FindingOpened { code },
        InstanceEvent::Escalated { rule: "CO-9".into(), facts: "its number is 9, 2 was expected".into() },
    ];
    f.decision(None, None, vec![], record.map(|event| (id, event)).into());
    f.reconcile(id);
    assert_eq!(f.instances[&id].state, State::OutOfCompliance);
    assert_eq!(lawful(&f).states[&State::OutOfCompliance], 1);
}

#[test]
fn lg_2_another_ledger_shown_to_an_instance_goes_before_the_founder_once() {
    let shown = || InstanceEvent::Escalated { rule: "LG-2".into(), facts: "a root of its own".into() };
    let tell = |f: &mut Federation| {
        f.decision(None, None, vec![], vec![(id_of(1), shown())]);
        f.reconcile(id_of(1));
    };
    let mut f = fleet();
    let settled = f.instances[&id_of(1)].clone();
    tell(&mut f);
    assert_eq!(f.instances[&id_of(1)].escalations[0].rule, "LG-2");
    assert_eq!(f.instances[&id_of(1)].state, settled.state, "the instance is blamed for nothing");
    lawful(&f);
    let judged = |f: &Federation| {
        let mut verifier = Verifier::new(f.root(), None);
        f.entries.iter().try_for_each(|entry| verifier.push(entry))
    };
    let position = f.entries.len() as u64;
    tell(&mut f);
    let breach = judged(&f).unwrap_err();
    assert_eq!((breach.rule.as_str(), breach.position), ("LG-2", position), "it is open already");
    // Nothing else may be said under that rule, and of a revoked instance nothing at all.
    let mut other = fleet();
    let facts = "a root of its own".into();
    other.decision(
        None,
        None,
        vec![],
        vec![(id_of(1), InstanceEvent::Escalated { rule: "LG-1".into(), facts })],
    );
    assert_eq!(judged(&other).unwrap_err().rule, "LG-1");
    let mut revoked = fleet();
    revoked.order(OrderAction::Revoke { instance: id_of(1), reason: "stolen".into() });
    tell(&mut revoked);
    assert!(judged(&revoked).is_err());
}

#[test]
fn hs_2_renewals_under_the_same_key_a_new_one_and_once_more_are_lawful() {
    let mut f = fleet();
    f.renew(1, &key_of(1));
    f.renew(1, &next_key_of(1));
    assert_eq!(f.instances[&id_of(1)].key, instance_key(&next_key_of(1)));
    // The answer was lost: the same certificate once more, asked for with the key before.
    f.certify(id_of(1), instance_key(&next_key_of(1)));
    f.report(1);
    f.renew(1, &key_of(1));
    f.report(1);
    f.sweep();
    assert_eq!(lawful(&f).states[&State::Active], 8);
}

#[test]
fn lc_17_a_restored_instance_shakes_hands_afresh_by_a_renewal() {
    for next in [key_of(1), next_key_of(1)] {
        let mut f = fleet();
        let id = id_of(1);
        f.order(OrderAction::Revoke { instance: id, reason: "stolen".into() });
        f.order(OrderAction::Restore { instance: id, reason: "found".into() });
        f.wait(Span::hours(1));
        assert!(f.instances[&id].handshake_required);
        let head = f.instances[&id].head;
        f.renew(1, &next);
        let instance = &f.instances[&id];
        assert!(!instance.handshake_required);
        assert_eq!(
            (instance.reported, instance.head),
            (f.at, head),
            "it counts as a report; the chain goes on"
        );
        f.command(id, &Command::Reactivate, None);
        f.report(1);
        assert_eq!(lawful(&f).states[&State::Active], 8);
    }
}

#[test]
fn ro_6_operators_pause_resume_abort_freeze_and_turn_the_red_switch() {
    assert_eq!(lawful(&steered()).rollouts[1].status, "aborted");
}

#[test]
fn lc_5_a_stall_is_lawful() {
    let mut f = fleet();
    f.publish("0.1.1", Class::Minor);
    f.sweep();
    let n = f.offered()[0];
    f.begin(n);
    f.wait(Span::hours(7));
    f.sweep();
    assert_eq!(lawful(&f).rollouts[1].failed, 1);
}

#[test]
fn au_4_fo_5_keys_are_rotated_and_constitutions_amended_by_order() {
    let mut f = fleet();
    keys_rotated(&mut f);
    f.sweep();
    f.report(1);
    amendment(&mut f);
    f.wait(Span::hours(2));
    f.report(2);
    f.sweep();
    let report = lawful(&f);
    assert_eq!((report.keys_serial, report.constitution), (2, f.world.constitution_digest));
}

#[test]
fn co_10_a_lapse_suspends() {
    let mut f = fleet();
    let lapse =
        Command::ChangeSubscription { tier: None, status: Some(SubscriptionStatus::Lapsed), until: None };
    f.command(id_of(1), &lapse, None);
    for _ in 0..8 {
        f.wait(Span::hours(47));
        reports(&mut f);
    }
    f.sweep();
    assert_eq!(lawful(&f).states[&State::Suspended], 1);
}

#[test]
fn ro_8_a_newer_release_supersedes() {
    let report = lawful(&superseded());
    assert_eq!(
        report.rollouts.iter().map(|r| r.status).collect::<Vec<_>>(),
        ["done", "superseded", "superseded", "ga"]
    );
}

#[test]
fn lg_2_decisions_about_different_instances_may_cross() {
    let mut f = fleet();
    f.wait(Span::from_millis(500));
    f.report(1);
    f.at = f.at - Span::from_millis(3);
    f.report(2);
    f.at = f.at + Span::from_millis(3);
    f.enrol(9, Tier::Free);
    f.at = f.at - Span::from_millis(2);
    f.enrol(10, Tier::Free);
    f.report(3);
    lawful(&f);
}

#[test]
fn lg_1_every_entry_has_one_spelling() {
    let f = everything();
    for bytes in &f.entries {
        let entry = Entry::decode(bytes).unwrap();
        assert_eq!(entry.encode().unwrap(), *bytes);
        let text = std::str::from_utf8(bytes).unwrap();
        for other in [
            format!(" {text}"),
            format!("{text}\n"),
            text.replacen("\"version\":1", "\"version\":1.0", 1),
            text.replacen("{\"version\":1,", "{\"version\":1,\"version\":1,", 1),
            text.replacen("\"version\":1", "\"version\":2", 1),
            text.replacen("\"rule\"", "\"extra\":0,\"rule\"", 1),
            text.replacen(":", ": ", 1),
        ] {
            assert!(Entry::decode(other.as_bytes()).is_err(), "{other}");
        }
    }
    assert!(f.entries.iter().any(|bytes| bytes.windows(OPERATOR.len()).any(|w| w == OPERATOR.as_bytes())));
}

fn verified_with(f: &Federation, openings: &[Opening]) -> Result<Report, Breach> {
    let mut verifier = Verifier::new(f.root(), None);
    for entry in &f.entries {
        let find = |committed| openings.iter().find(|opening| opening.committed == committed).cloned();
        verifier.push_opened(entry, find)?;
    }
    verifier.finish(&f.checkpoint())
}

#[test]
fn lg_1_commitments_are_counted_opened_and_held_to_what_was_committed() {
    let f = fleet();
    let counted = |known: &[Opening]| verified_with(&f, known).map(|found| (found.committed, found.opened));
    assert_eq!(counted(&[]), Ok((16, 0)), "labels and endpoint of eight instances");
    assert_eq!(counted(&f.openings), Ok((16, 16)));
    assert_eq!(counted(&f.openings[..3]), Ok((16, 3)));
    let mut other = f.openings.clone();
    other[2].value = serde_json::json!(["another"]);
    let breach = verified_with(&f, &other).unwrap_err();
    let opens =
        |p: &usize| Entry::decode(&f.entries[*p]).unwrap().commitments().contains(&other[2].committed);
    let at = (0..f.entries.len()).find(opens).unwrap() as u64;
    assert_eq!((breach.position, breach.rule.as_str()), (at, "LG-1"), "{breach}");
}

#[test]
fn ro_6_a_rollout_for_labelled_instances_is_judged_by_their_openings() {
    let mut f = fleet();
    let release = Federation::release("0.1.1", Class::Minor);
    let restriction = Restriction { label: vec!["number-3".parse().unwrap()], ..Restriction::default() };
    f.try_publish_to(&release, restriction, vec![]).unwrap();
    let opened = f.entries.len() as u64 - 1;
    f.sweep();
    assert_eq!(f.offered(), [3]);
    assert_eq!(verified_with(&f, &f.openings).map(|report| report.rollouts[1].offered), Ok(1));
    let breach = verified_with(&f, &[]).unwrap_err();
    assert_eq!((breach.position, breach.rule.as_str()), (opened, "LG-3"), "{breach}");
    assert!(breach.message.contains("not disclosed"), "{breach}");
}

#[test]
fn lg_3_side_by_side_the_first_breach_is_the_one_that_one_alone_finds() {
    let f = everything();
    let shared = |f: &Federation, among: u64| {
        let found = Verifier::new(f.root(), None).shared(among).into_iter().map(|mut share| {
            for entry in &f.entries {
                let _ = share.push_opened(entry, |_| None);
            }
            share.finish(&f.checkpoint())
        });
        found.collect::<Vec<_>>()
    };
    let alone = lawful(&f);
    for among in [1, 2, 3] {
        assert_eq!(join(shared(&f, among)), Ok(alone.clone()));
    }
    // A signature that does not hold: of the Federation, of a request, of the statement in one.
    let forged = |find: fn(&Evidence) -> bool, forge: fn(&mut Evidence)| {
        let mut f = everything();
        let mut entries = f.entries.iter().map(|bytes| Entry::decode(bytes).unwrap());
        let position = entries.position(|entry| find(&entry.evidence)).unwrap();
        let mut entry = Entry::decode(&f.entries[position]).unwrap();
        forge(&mut entry.evidence);
        f.entries[position] = entry.encode().unwrap();
        (f, position as u64)
    };
    let federation = forged(
        |evidence| matches!(evidence, Evidence::Federation { .. }),
        |evidence| {
            if let Evidence::Federation { signature, .. } = evidence {
                signature[7] ^= 1;
            }
        },
    );
    let request = forged(
        |evidence| matches!(evidence, Evidence::Request(_)),
        |evidence| {
            if let Evidence::Request(request) = evidence {
                request.signature[7] ^= 1;
            }
        },
    );
    for (f, position) in [federation, request] {
        let alone = verified_with(&f, &[]).unwrap_err();
        assert_eq!(alone.position, position);
        for among in [1, 2, 3] {
            assert_eq!(join(shared(&f, among)), Err(alone.clone()), "among {among}");
        }
        // One share finds nothing wrong, and proves nothing.
        let mut blind = shared(&f, 2);
        blind.remove(usize::try_from(position % 2).unwrap());
        assert!(join(blind).unwrap_err().message.contains("checked by nobody"));
    }
}
