//! Stories that logs tell in the tests.

use governance::decide::{Command, WorldCommand};
use governance::{Authority, Class, Constitution, Span, State, SubscriptionStatus, Tier};
use proof::{OnlineKey, OrderAction, Purpose, SeedKey, Sign};

use super::{Federation, id_of, next_key_of, v};

/// Eight instances on 0.1.0, active.
pub fn fleet() -> Federation {
    let mut f = Federation::founded();
    f.publish("0.1.0", Class::Minor);
    for n in 1..=8 {
        f.register(n, if n % 2 == 0 { Tier::Pro } else { Tier::Free });
        f.ready(n);
        f.report(n);
    }
    f.sweep();
    f
}

/// Everyone who may sends a statement.
pub fn reports(f: &mut Federation) {
    for n in 1..=8 {
        if f.instances.get(&id_of(n)).is_some_and(|i| i.state != State::Revoked && !i.handshake_required) {
            f.report(n);
        }
    }
}

/// 0.1.1 through all its phases.
pub fn rolled_out() -> Federation {
    let mut f = fleet();
    f.wait(Span::hours(1));
    f.publish("0.1.1", Class::Minor);
    for _ in 0..3 {
        f.sweep();
        for n in f.offered() {
            f.upgrade(n);
        }
        f.wait(Span::hours(25));
        reports(&mut f);
        f.wait(Span::hours(25));
        reports(&mut f);
    }
    f.sweep();
    f
}

/// 0.1.1 installed in canary, failed in beta, halted, taken back.
pub fn halted() -> Federation {
    let mut f = fleet();
    f.publish("0.1.1", Class::Minor);
    f.sweep();
    let first = f.offered();
    first.iter().for_each(|n| f.upgrade(*n));
    f.wait(Span::hours(25));
    reports(&mut f);
    f.sweep();
    let second = f.offered()[0];
    f.begin(second);
    f.fail(second);
    f.sweep();
    first.iter().for_each(|n| f.upgrade(*n));
    f.sweep();
    f
}

/// New online keys by order.
pub fn keys_rotated(f: &mut Federation) {
    f.wait(Span::hours(1));
    let (directives, ledger) = (SeedKey::new([77; 32]), SeedKey::new([78; 32]));
    let online = |purpose, key: &SeedKey| OnlineKey {
        purpose,
        key: *key.public_key(),
        not_before: f.at,
        not_after: f.at + Span::hours(1000),
    };
    let mut next = f.keys.clone();
    next.serial += 1;
    next.online = vec![online(Purpose::Directives, &directives), online(Purpose::Ledger, &ledger)];
    let document = f.signed_keys(&next);
    f.directives = directives;
    f.order(OrderAction::Keys { document, root: None });
    f.ledger = ledger;
}

/// A shorter deadline for reports, by order.
pub fn amendment(f: &mut Federation) {
    f.wait(Span::hours(1));
    let replaces = f.world.constitution_digest.unwrap();
    let parameters = Constitution { compliance_report_within: Span::hours(24), ..Constitution::default() };
    let (constitution, _) = f.constitution(parameters);
    let effective = f.at;
    f.order(OrderAction::Amend { constitution, replaces, effective });
}

/// A bit of everything that can happen to instances.
pub fn everything() -> Federation {
    let mut f = halted();
    let reason = || "because".to_owned();
    let minute = Span::from_millis(60_000);
    f.order(OrderAction::Suspend { instance: id_of(1), reason: reason() });
    f.wait(minute);
    f.order(OrderAction::Restore { instance: id_of(1), reason: reason() });
    f.command(id_of(1), &Command::Reactivate, None);
    f.wait(minute);
    f.order(OrderAction::Revoke { instance: id_of(2), reason: reason() });
    f.order(OrderAction::Revoke { instance: id_of(3), reason: reason() });
    f.wait(minute);
    f.order(OrderAction::Restore { instance: id_of(3), reason: reason() });
    f.renew(3, &next_key_of(3));
    f.command(id_of(3), &Command::Reactivate, None);
    f.command(id_of(4), &Command::Suspend, None);
    f.command(id_of(4), &Command::Reactivate, None);
    let lapsed =
        Command::ChangeSubscription { tier: None, status: Some(SubscriptionStatus::Lapsed), until: None };
    f.command(id_of(5), &lapsed, None);
    f.wait(minute);
    f.publish("0.1.2", Class::Security);
    f.sweep();
    let offered = f.offered();
    f.begin(offered[0]);
    f.wait(minute);
    f.finish(offered[0]);
    f.certify(id_of(6), f.instances[&id_of(6)].key);
    f.renew(6, &next_key_of(6));
    f.wait(Span::hours(25));
    reports(&mut f);
    f.sweep();
    f.order(OrderAction::Withdraw { release: v("0.1.2"), reason: reason() });
    f.sweep();
    f
}

/// Under a law of short windows without standing orders, 0.1.1 on offer to one that drifts: its number.
pub fn drifting() -> (Federation, u8) {
    let mut f = fleet();
    let replaces = f.world.constitution_digest.unwrap();
    let day = Span::hours(24);
    let parameters = Constitution {
        standing_orders: Vec::new(),
        drift_threshold: day,
        drift_freeze: day.times(2),
        minor_window: day,
        ..Constitution::default()
    };
    let (constitution, _) = f.constitution(parameters);
    let effective = f.at;
    f.order(OrderAction::Amend { constitution, replaces, effective });
    f.publish("0.1.1", Class::Minor);
    f.sweep();
    let drifting = f.offered()[0];
    (f, drifting)
}

/// Releases that take each other's place; the last reaches everybody.
pub fn superseded() -> Federation {
    let mut f = fleet();
    f.publish("0.1.1", Class::Minor);
    f.sweep();
    f.publish("0.1.2", Class::Minor);
    f.sweep();
    f.publish("0.1.3", Class::Security);
    f.sweep();
    for n in f.offered() {
        f.upgrade(n);
    }
    f.sweep();
    f
}

/// What operators may do about a rollout, to its end.
pub fn steered() -> Federation {
    let mut f = fleet();
    let release = v("0.1.1");
    f.publish("0.1.1", Class::Minor);
    f.sweep();
    for command in [
        WorldCommand::Pause { release },
        WorldCommand::Resume { release, by: Authority::Federation },
        WorldCommand::RedSwitch { on: true, reason: None },
        WorldCommand::Acknowledge { release: None, rule: "RO-6".into() },
        WorldCommand::RedSwitch { on: false, reason: None },
        WorldCommand::Freeze { from: f.at, until: f.at + Span::hours(200) },
        WorldCommand::RevokePerson { person: "operator/eve".into(), serial: "0a".into() },
        WorldCommand::Abort { release },
        WorldCommand::Withdraw { release, by: Authority::Federation },
    ] {
        f.world_command(&command);
        f.sweep();
        f.wait(Span::hours(1));
    }
    f
}
