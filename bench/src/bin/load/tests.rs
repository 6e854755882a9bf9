//! The load against the bare server, in one process: whole calls over real connections, without the product's binary.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use governance::{Span, TrustDomain};
use proof::{Jws, Sign as _, Typ};
use trust::{Issuer, RootCa, SigningKey, Validity};

use crate::bare;
use crate::calls::{Calls, Knocks, Mix};
use crate::clients::{Registering, Signature};
use crate::drive::{Drive, Pace, Plan};
use crate::federation::{free_ports, now};
use crate::schedule::Arrivals;

/// What the bare server reads of a federation's folder.
fn folder(place: &Path) -> RootCa {
    let validity = Validity { not_before: now() - Span::hours(1), not_after: now() + Span::hours(1) };
    let (founder, keys) = (place.join("keys/founder"), place.join("keys/federation"));
    fs::create_dir_all(&founder).expect("a folder");
    fs::create_dir_all(&keys).expect("a folder");
    let domain: TrustDomain = "load.internal".parse().expect("a name");
    let root = SigningKey::generate().expect("a key");
    let document = Jws::sign_json(Typ::Keys, &"keys", &root).expect("signed").to_json();
    let root = Issuer::make_root(root, &domain, validity).expect("a root");
    fs::write(founder.join("root-ca.pem"), root.certificate_pem()).expect("written");
    fs::write(place.join("keys.json"), document).expect("written");
    let key = |name: &str| SigningKey::create(&keys.join(name)).expect("a key");
    let ca = root.issue_instance_ca(key("instance-ca.key").public_key(), validity).expect("issued");
    fs::write(keys.join("instance-ca.pem"), ca.to_pem()).expect("written");
    let (server, hosts) = (key("server.key"), ["127.0.0.1".into()]);
    let server = root
        .issue_server(&"plane".parse().expect("a name"), &hosts, server.public_key(), validity)
        .expect("issued");
    fs::write(keys.join("server.pem"), server.to_pem()).expect("written");
    RootCa::from_pem(&root.certificate_pem()).expect("a root")
}

fn serve(place: &Path) -> SocketAddr {
    let [listen] = free_ports().expect("a port");
    let place = place.to_path_buf();
    // It ends with the process; whoever connects before it listens tries again.
    std::thread::spawn(move || bare::run(&place, listen, 200, None).expect("served"));
    listen
}

#[test]
fn what_is_due_is_done_each_on_its_connection() {
    let place = tempfile::tempdir().expect("a folder");
    let root = folder(place.path());
    let at = serve(place.path());

    let secrets = ["a", "b", "c"].map(str::to_owned);
    let registering = Registering::new(&root, at.to_string(), &secrets).expect("keys");
    let mut drive = Drive::new(registering, 3, at).expect("a drive");
    let tally = drive.run(Plan { pace: Pace::each(3, 2), afresh: true }).expect("run");
    assert_eq!((tally.count(), tally.causes().as_str(), tally.handshakes), (3, "", 3));
    let instances = drive.work.into_instances(&root).expect("instances");
    assert_eq!(instances.len(), 3);

    for signature in [Signature::Hmac, Signature::Ed25519] {
        let mut calls = Drive::new(Calls::new(Vec::new(), signature), 0, at).expect("a drive");
        let nobody = calls.run(Plan { pace: Pace::each(0, 1), afresh: false }).expect("run");
        assert_eq!((nobody.count(), nobody.failures()), (0, 0));
    }
    let mut drive = Drive::new(Calls::new(instances, Signature::Hmac), 3, at).expect("a drive");
    let tally = drive.run(Plan { pace: Pace::each(30, 3), afresh: false }).expect("run");
    assert_eq!((tally.count(), tally.causes().as_str(), tally.handshakes), (30, "", 3));
    assert_eq!((drive.connected(), drive.work.sample.0), (3, 200));

    // At a rate, as many as were due, on the connections that stand.
    drive.work.signature = Signature::Ed25519;
    let arrivals = Arrivals::new(400.0, Duration::from_millis(250), 1);
    let due = {
        let mut arrivals = arrivals.clone();
        std::iter::from_fn(|| arrivals.peek().inspect(|_| arrivals.step())).count() as u64
    };
    let tally = drive.run(Plan { pace: Pace::Open(arrivals), afresh: false }).expect("run");
    assert_eq!((tally.count(), tally.causes().as_str(), tally.handshakes), (due, "", 0));

    // What the server does not know is a failure, and told.
    drive.work.mix = Mix { check_in: 0, report: 1 };
    let tally = drive.run(Plan { pace: Pace::each(3, 1), afresh: false }).expect("run");
    assert_eq!((tally.count(), tally.causes().as_str()), (0, "3 × 404 without a problem document"));

    let mut knocks = Drive::new(Knocks::of(&drive.work), 3, at).expect("a drive");
    let tally = knocks.run(Plan { pace: Pace::each(6, 2), afresh: true }).expect("run");
    assert_eq!((tally.count(), tally.causes().as_str(), tally.handshakes), (6, "", 6));
}
