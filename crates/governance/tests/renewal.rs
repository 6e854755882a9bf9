//! HS-2, LC-17, CO-9: who may renew under which key, and what goes on record of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use governance::decide::{Command, Renewal, decide};
use governance::{
    Authority, Cause, Committed, Digest, FindingCode, Instance, InstanceEvent, InstanceId, InstanceKey, Kind,
    Reason, Refusal, Registration, Running, Salt, State, StatementHead, Tier, Timestamp, Version, World,
};

const A: InstanceKey = InstanceKey::from_bytes([1; 32]);
const B: InstanceKey = InstanceKey::from_bytes([2; 32]);
const C: InstanceKey = InstanceKey::from_bytes([3; 32]);

fn now() -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000)
}

fn head() -> StatementHead {
    StatementHead { sequence: 1, digest: Digest::of(b"first") }
}

fn reported() -> InstanceEvent {
    InstanceEvent::Reported { head: head(), running: running(), domains: vec![] }
}

fn running() -> Running {
    let version = Version::new(0, 1, 0);
    Running { platform: version, runtime: version, layers: vec![] }
}

/// Active, with key A and one statement.
fn instance() -> Instance {
    let registration = Registration {
        enrolment: Digest::of(b"secret"),
        kind: Kind::SaasShared,
        tier: Tier::Free,
        provider: None,
        labels: Committed::new(Salt::from_random([0; 16]), vec![]),
        endpoint: Committed::new(Salt::from_random([0; 16]), "https://a.example/".parse().unwrap()),
        key: A,
        running: running(),
        domains: vec![],
    };
    let mut instance = Instance::registered(InstanceId::from_random([7; 16]), &registration, now());
    instance.state = State::Active;
    instance.apply(&reported(), now());
    instance
}

fn restored() -> Instance {
    let mut instance = instance();
    for (from, to, cause) in [
        (State::Active, State::Revoked, Cause::FounderRevoked),
        (State::Revoked, State::Suspended, Cause::FounderRestored),
    ] {
        instance.apply(&InstanceEvent::Moved { from, to, cause }, now());
    }
    assert!(instance.handshake_required);
    instance
}

fn renewal(by: InstanceKey, key: InstanceKey, head: Option<Digest>) -> Command {
    Command::Renew(Renewal { by, key, head, pending: None, serial: "0a".into(), not_after: now() })
}

fn certificate(key: InstanceKey) -> InstanceEvent {
    InstanceEvent::CertificateIssued { key, serial: "0a".into(), not_after: now() }
}

/// Decides, applies, and gives what was decided.
fn renewed(
    instance: &mut Instance,
    by: InstanceKey,
    key: InstanceKey,
) -> Result<Vec<InstanceEvent>, Refusal> {
    let events = decide(instance, &renewal(by, key, Some(head().digest)), &World::default(), now())?;
    events.iter().for_each(|event| instance.apply(event, now()));
    Ok(events)
}

#[test]
fn hs_2_each_renewal_puts_on_record_what_changed_and_no_more() {
    let new_key = InstanceEvent::KeyRenewed { key: B };
    for (mut instance, key, expected) in [
        (instance(), A, vec![certificate(A)]),
        (instance(), B, vec![new_key.clone(), certificate(B)]),
        (restored(), A, vec![InstanceEvent::Handshaken, certificate(A)]),
        (restored(), B, vec![new_key, InstanceEvent::Handshaken, certificate(B)]),
    ] {
        assert_eq!(renewed(&mut instance, A, key).unwrap(), expected);
        assert_eq!((instance.key, instance.handshake_required), (key, false));
        assert_eq!(instance.head, Some(head()), "its chain goes on");
        assert_eq!(instance.previous_key, (key != A).then_some(A));
    }
    assert_eq!(InstanceEvent::KeyRenewed { key: B }.authority(), Authority::Runtime);
    assert_eq!(InstanceEvent::Handshaken.authority(), Authority::Runtime);
}

#[test]
fn hs_1_to_enrol_afresh_takes_a_key_that_is_not_the_instances() {
    let afresh = |instance: &Instance, key| {
        let endpoint = Committed::new(Salt::from_random([0; 16]), instance.endpoint.clone().unwrap());
        let command = Command::Handshake { key, enrolment: Digest::of(b"afresh"), endpoint };
        decide(instance, &command, &World::default(), now()).map(|events| events.len())
    };
    let mut instance = instance();
    assert_eq!(afresh(&instance, A), Err(Reason::KeyNotNew.into()));
    renewed(&mut instance, A, B).unwrap();
    for known in [A, B] {
        assert_eq!(afresh(&instance, known), Err(Reason::KeyNotNew.into()));
    }
    assert_eq!(afresh(&instance, C), Ok(2), "the key, and the Founder hears of it");
}

#[test]
fn hs_2_the_key_before_may_repeat_the_renewal_away_from_it_and_nothing_else() {
    let superseded = || Err(Refusal::from(Reason::KeySuperseded));
    let mut instance = instance();
    renewed(&mut instance, A, B).unwrap();
    for _ in 0..2 {
        assert_eq!(renewed(&mut instance, A, B), Ok(vec![certificate(B)]), "the answer was lost");
    }
    assert_eq!(renewed(&mut instance, A, A), superseded());
    assert_eq!(renewed(&mut instance, A, C), superseded());
    assert_eq!(renewed(&mut instance, C, B), superseded());
    assert_eq!(
        decide(&instance, &renewal(A, B, None), &World::default(), now()),
        superseded(),
        "opens no finding"
    );
    // Under the new key it made a statement: it has the certificate.
    instance.apply(&reported(), now());
    assert_eq!(renewed(&mut instance, A, B), superseded());
    // The renewal after the next has nothing to do with it either.
    renewed(&mut instance, B, C).unwrap();
    assert_eq!(renewed(&mut instance, A, C), superseded());
    assert_eq!(renewed(&mut instance, B, C), Ok(vec![certificate(C)]));
}

#[test]
fn co_9_a_renewal_that_names_another_head_is_refused_and_on_record() {
    let other = [None, Some(Digest::of(b"another"))];
    for head in other {
        let mut instance = instance();
        let refusal = decide(&instance, &renewal(A, B, head), &World::default(), now()).unwrap_err();
        assert!(matches!(refusal.reasons[..], [Reason::VersionChainBroken { .. }]));
        let code = FindingCode::VersionChainBroken;
        assert_eq!(refusal.record[0], InstanceEvent::FindingOpened { code });
        assert!(matches!(&refusal.record[1], InstanceEvent::Escalated { rule, .. } if rule == "CO-9"));
        refusal.record.iter().for_each(|event| instance.apply(event, now()));
        let again = decide(&instance, &renewal(A, B, head), &World::default(), now()).unwrap_err();
        assert_eq!(again.record, vec![], "once");
    }
}

#[test]
fn hs_2_an_answer_that_never_came_is_no_fork() {
    let named = |head, pending| {
        let renewal = Renewal { by: A, key: A, head, pending, serial: "0a".into(), not_after: now() };
        decide(&instance(), &Command::Renew(renewal), &World::default(), now()).is_ok()
    };
    let (on_record, other) = (Some(head().digest), Some(Digest::of(b"another")));
    assert!(named(on_record, None) && named(on_record, other), "the pending one did not arrive");
    assert!(named(other, on_record), "it did");
    assert!(!named(other, None) && !named(other, other) && !named(None, None));
}

#[test]
fn lc_19_the_revoked_renew_nothing_and_the_key_before_does_not_outlive_a_revocation() {
    let mut instance = instance();
    renewed(&mut instance, A, B).unwrap();
    let (from, to, cause) = (State::Active, State::Revoked, Cause::FounderRevoked);
    instance.apply(&InstanceEvent::Moved { from, to, cause }, now());
    for (by, key) in [(B, B), (B, C), (A, B)] {
        let refusal = renewed(&mut instance, by, key).unwrap_err();
        assert_eq!(refusal.reasons, [Reason::InstanceRevoked { since: now() }]);
    }
    let (from, to, cause) = (State::Revoked, State::Suspended, Cause::FounderRestored);
    instance.apply(&InstanceEvent::Moved { from, to, cause }, now());
    assert_eq!(renewed(&mut instance, A, B), Err(Reason::KeySuperseded.into()));
    assert_eq!(renewed(&mut instance, B, B), Ok(vec![InstanceEvent::Handshaken, certificate(B)]));
}

#[test]
fn au_2_a_certificate_makes_no_key_the_instances() {
    let mut instance = instance();
    let certify = |key| Command::Certify { key, serial: "0a".into(), not_after: now() };
    assert_eq!(decide(&instance, &certify(A), &World::default(), now()), Ok(vec![certificate(A)]));
    assert_eq!(decide(&instance, &certify(B), &World::default(), now()), Err(Reason::KeySuperseded.into()));
    instance.apply(&certificate(B), now());
    assert_eq!(instance.key, A);
}
