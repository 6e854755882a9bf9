//! HS-1: what enrolments of instances that exist leave in a log, lawful and not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod federation;

use federation::scenario::fleet;
use federation::{Federation, OPERATOR, id_of, instance_key};
use governance::{Committed, Digest, Event, InstanceEvent, Kind, Salt, Span, Tier, WorldEvent};
use ledger::{Breach, Verifier};
use proof::{OrderAction, SeedKey};

fn verified(f: &Federation) -> Result<(), Breach> {
    let mut verifier = Verifier::new(f.root(), None);
    f.entries.iter().try_for_each(|entry| verifier.push(entry))?;
    verifier.finish(&f.checkpoint()).map(|_| ())
}

#[track_caller]
fn caught(f: &Federation, rule: &str, words: &str) {
    let breach = verified(f).unwrap_err();
    assert_eq!(breach.rule.as_str(), rule, "{breach}");
    assert!(breach.message.contains(words), "{breach}");
}

#[test]
fn hs_1_to_enrol_afresh_takes_two_people_and_an_enrolment_for_this_very_instance() {
    let key = instance_key(&SeedKey::new([66; 32]));
    let bob = "operator/bob";
    // As it should be: and the Founder sees it.
    let mut f = fleet();
    let enrolment = f.re_enrol(1);
    f.approve(enrolment, bob);
    f.enrol_afresh(1, key, enrolment);
    assert_eq!(verified(&f), Ok(()));
    assert_eq!(f.instances[&id_of(1)].key, key);
    assert!(f.instances[&id_of(1)].escalations.iter().any(|open| open.rule == "HS-1"));
    // Twice with one enrolment; for another; never approved; too late.
    f.enrol_afresh(1, instance_key(&SeedKey::new([67; 32])), enrolment);
    caught(&f, "HS-1", "used before");
    // Over the key that it had: whoever copied that would keep it.
    let mut f = fleet();
    let enrolment = f.re_enrol(1);
    f.approve(enrolment, bob);
    let key_before = f.instances[&id_of(1)].key;
    let endpoint = Committed::new(Salt::from_random([0; 16]), "https://127.0.0.1:9".parse().unwrap());
    let kept = InstanceEvent::HandshakeRenewed { key: key_before, enrolment, endpoint };
    f.forge(Event::Instance(id_of(1), kept));
    caught(&f, "HS-1", "takes a new key");
    let mut f = fleet();
    let enrolment = f.re_enrol(1);
    f.approve(enrolment, bob);
    f.enrol_afresh(2, key, enrolment);
    caught(&f, "HS-1", "not for this instance");
    let mut f = fleet();
    let enrolment = f.re_enrol(1);
    f.enrol_afresh(1, key, enrolment);
    caught(&f, "HS-1", "no second person");
    let mut f = fleet();
    let enrolment = f.re_enrol(1);
    f.approve(enrolment, bob);
    f.wait(Span::hours(2));
    f.enrol_afresh(1, key, enrolment);
    caught(&f, "HS-1", "expired");
    // An enrolment of a new instance opens no old one, and the other way round.
    let mut f = fleet();
    let enrolment = f.enrol(9, Tier::Free);
    f.enrol_afresh(1, key, enrolment);
    caught(&f, "HS-1", "not for this instance");
    let mut f = fleet();
    let enrolment = f.re_enrol(1);
    f.approve(enrolment, bob);
    let registration = f.registration(9, Tier::Free, enrolment);
    f.forge(Event::Instance(id_of(9), InstanceEvent::Registered(Box::new(registration))));
    caught(&f, "HS-1", "exists already");
    // Approved by whoever asked, by somebody of another role, twice, too late, or for nothing.
    for (who, rule, words) in [
        (OPERATOR, "HS-1", "cannot approve it as well"),
        ("auditor/eve", "AU-1", "may ask for it"),
        ("provider/acme/eve", "AU-1", "may ask"),
    ] {
        let mut f = fleet();
        let enrolment = f.re_enrol(1);
        f.approve(enrolment, who);
        caught(&f, rule, words);
    }
    let mut f = fleet();
    let enrolment = f.re_enrol(1);
    f.approve(enrolment, bob);
    f.approve(enrolment, "operator/carol");
    caught(&f, "HS-1", "waits for no approval");
    let mut f = fleet();
    let enrolment = f.re_enrol(1);
    f.wait(Span::hours(2));
    f.approve(enrolment, bob);
    caught(&f, "HS-1", "expired");
    let mut f = fleet();
    let enrolment = f.enrol(9, Tier::Free);
    f.approve(enrolment, bob);
    caught(&f, "HS-1", "waits for no approval");
    // The revoked stay locked out (IN-6).
    let mut f = fleet();
    f.order(OrderAction::Revoke { instance: id_of(1), reason: "stolen".into() });
    f.re_enrol(1);
    caught(&f, "LC-19", "revoked");
}

/// Whoever enrols for a provider enrols its own instances, and an instance is what its enrolment said (ID-3).
#[test]
fn id_3_hs_1_an_enrolment_makes_what_it_says_and_a_provider_says_its_own() {
    let (kind, tier) = (Kind::Dedicated, Tier::Enterprise);
    let enrolled = |by: &str, whose: Option<&str>, registered: Option<&str>| {
        let mut f = fleet();
        let digest = Digest::of(b"x");
        let expires = f.at + f.world.constitution.enrolment_lifetime;
        let provider = whose.map(|whose| whose.parse().unwrap());
        let created = WorldEvent::EnrolmentCreated { digest, kind, tier, provider, expires, instance: None };
        f.decision(None, Some(by), vec![created], vec![]);
        let mut registration = f.registration(9, tier, digest);
        registration.kind = kind;
        registration.provider = registered.map(|whose| whose.parse().unwrap());
        let key = registration.key;
        let events = vec![InstanceEvent::Registered(Box::new(registration))];
        f.decision(None, None, vec![], events.into_iter().map(|event| (id_of(9), event)).collect());
        f.certify(id_of(9), key);
        f
    };
    let alice = "provider/acme/alice";
    assert_eq!(verified(&enrolled(alice, Some("acme"), Some("acme"))), Ok(()));
    assert_eq!(verified(&enrolled(OPERATOR, Some("globex"), Some("globex"))), Ok(()));
    caught(&enrolled(alice, Some("globex"), Some("globex")), "ID-3", "of the provider whose operator asked");
    caught(&enrolled(alice, Some("acme"), Some("globex")), "HS-1", "another kind, tier or provider");
    caught(&enrolled(OPERATOR, Some("acme"), None), "HS-1", "another kind, tier or provider");
    caught(&enrolled(OPERATOR, None, None), "ID-3", "belongs to a provider");
    // Of an instance that exists it says what stands on record.
    let mut f = fleet();
    let expires = f.at + f.world.constitution.enrolment_lifetime;
    let (digest, provider, instance) = (Digest::of(b"y"), Some("acme".parse().unwrap()), Some(id_of(1)));
    f.forge(Event::World(WorldEvent::EnrolmentCreated { digest, kind, tier, provider, expires, instance }));
    caught(&f, "HS-1", "the instance is of another kind, tier or provider");
}
