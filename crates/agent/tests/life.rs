//! The agent as a process, with real keys, TLS, TUF and hooks: its life, and its deaths.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::result_large_err,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use client::{Client, SystemSource};
use governance::{Span, State};
use proof::challenge::Nonce;
use proof::{Answer, Jws, OfferAction, Sign as _};
use serde_json::{Value, json};
use support::{HEALTH, Instance, Plane, now, version};
use trust::{SigningKey, Validity};

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_enrols_upgrades_fails_and_goes_back() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let one = plane.publish(1, b"0.1.1");
    let two = plane.publish(2, b"not a version");
    plane.publish(3, b"0.1.3");
    let mut instance = Instance::new(&plane, "");
    instance.start();
    plane.heard("runs 0.1.0").await;
    plane.heard("ready").await;

    plane.offer(1, OfferAction::Update, one.clone());
    plane.heard("succeeded 0.1.1").await;
    assert_eq!(instance.runs(), "0.1.1");
    assert_eq!(std::fs::read(instance.folder.join("current/package")).unwrap(), b"0.1.1");

    plane.offer(2, OfferAction::Update, two);
    plane.heard("failed 0.1.2: not healthy within 1s").await;
    assert_eq!(instance.runs(), "0.1.1");
    assert_eq!(std::fs::read(instance.folder.join("current/package")).unwrap(), b"0.1.1");

    // AU-2: bytes the Organism did not sign for this release, and an update backwards.
    plane.offer(3, OfferAction::Update, one.clone());
    tokio::time::sleep(Duration::from_millis(800)).await;
    let zero = plane.publish(0, b"0.1.0");
    plane.offer(0, OfferAction::Update, zero.clone());
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(plane.book().state, State::UpdatePending, "nothing was begun");
    assert!(instance.log().contains("not what the Organism signed"));
    assert!(instance.log().contains("is no update from"));

    plane.offer(0, OfferAction::Rollback, zero);
    plane.heard("succeeded 0.1.0").await;
    assert_eq!(instance.runs(), "0.1.0");
    assert!(instance.stop(), "SIGTERM ends it well");
    assert!(!plane.book().log.iter().any(|line| line.contains("chain broken")));
}

/// While nothing is asked of it, it says where it stands and is told no more than that; what it is offered then it follows.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_which_nothing_is_asked_is_answered_in_short() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    plane.book().is_short = true;
    let one = plane.publish(1, b"0.1.1");
    let mut instance = Instance::new(&plane, "");
    instance.start();
    plane.until("it is told that nothing changed", |book| book.unchanged >= 3).await;
    plane.offer(1, OfferAction::Update, one);
    plane.heard("succeeded 0.1.1").await;
    let before = plane.book().unchanged;
    plane.until("it rests again", |book| book.unchanged > before).await;
    assert!(instance.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_any_moment_of_an_upgrade_ends_in_one_whole_version() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    // Killed again and again from its very first start.
    for millis in [5, 20, 40, 60, 80, 120, 160, 200] {
        instance.start();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        instance.kill();
    }
    instance.start();
    plane.heard("ready").await;
    let (mut tried, mut went, mut back) = (0, 0, 0);
    for patch in 1..=10 {
        let package = plane.publish(patch, version(patch).to_string().as_bytes());
        let before = instance.runs();
        plane.offer(patch, OfferAction::Update, package);
        plane.book().log.clear();
        tokio::time::sleep(Duration::from_millis(u64::from(patch) * 120)).await;
        instance.kill();
        instance.start();
        tokio::time::sleep(Duration::from_millis(u64::from(patch) * 23)).await;
        instance.kill();
        instance.start();
        tried += 1;
        for _ in 0..400 {
            if plane.book().offer.is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = plane.book().log.clone();
        assert!(plane.book().offer.is_none(), "{patch}: {log:?}");
        let succeeded = log.iter().any(|line| line.starts_with("succeeded"));
        let expected = if succeeded { version(patch).to_string() } else { before };
        assert_eq!(instance.runs(), expected, "{patch}: {log:?}");
        assert!(!log.iter().any(|line| line.contains("chain broken")), "{patch}: {log:?}");
        *(if succeeded { &mut went } else { &mut back }) += 1;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(instance.stop());
    assert_eq!(went + back, tried);
    assert!(went > 0, "{back} of {tried} went back");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_installs_nothing_keeps_reporting_and_renews() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    plane.book().renew_after = Span::from_millis(300);
    let mut instance = Instance::new(&plane, "[policy]\ninstall = false");
    instance.start();
    plane.heard("ready").await;
    let one = plane.publish(1, b"0.1.1");
    plane.offer(1, OfferAction::Update, one);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(plane.book().state, State::UpdatePending);
    assert_eq!(plane.book().renewals, 1);
    assert_eq!(instance.runs(), "0.1.0");
    assert_eq!(instance.log().matches("the offer is declined").count(), 1, "{}", instance.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn lc_17_a_restored_instance_shakes_hands_afresh_at_once() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    instance.start();
    plane.heard("ready").await;
    assert_eq!(plane.book().renewals, 0);
    {
        let mut book = plane.book();
        (book.handshake_required, book.state) = (true, State::Suspended);
        book.serial += 1;
    }
    for _ in 0..200 {
        if !plane.book().handshake_required {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    let book = plane.book();
    assert_eq!((book.handshake_required, book.renewals), (false, 1), "{}", instance.log());
}

/// A certificate runs out during an upgrade, while neither agent nor plane is there; `knows`: by the agent's clock too.
async fn runs_out_mid_upgrade(knows: bool) {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    plane.publish_constitution(Span::from_millis(2_000));
    let mut instance = Instance::with(&plane, "", &format!("[health]\n{HEALTH}"));
    instance.start();
    plane.heard("ready").await;
    plane.book().falls_at_begin = true;
    plane.offer(1, OfferAction::Update, plane.publish(1, b"0.1.1"));
    instance.said("bound").await;
    instance.kill();
    assert!(!instance.log().contains("proven"));
    if knows {
        let path = instance.folder.join("identity.json");
        let mut identity: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        identity["renew_at"] = json!(now() - Span::hours(1));
        std::fs::write(&path, identity.to_string()).unwrap();
    }
    // The constitution is still that of the Founder, though nobody publishes it now: 2 s, and not the built-in 60.
    instance.start();
    instance.said("proven").await;
    assert_eq!(plane.book().renewals, 0);
    plane.book().down = false;
    plane.heard("succeeded 0.1.1").await;
    assert_eq!(instance.runs(), "0.1.1");
    plane.rounds(2).await;
    let book = plane.book();
    assert_eq!(book.renewals, 1, "{}", instance.log());
    assert!(!book.log.iter().any(|line| line.contains("chain broken")), "{:?}", book.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn hs_2_a_certificate_that_ran_out_mid_upgrade_is_renewed_before_the_plane_is_told() {
    runs_out_mid_upgrade(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hs_2_told_that_its_certificate_ran_out_it_renews_at_once() {
    runs_out_mid_upgrade(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hs_2_a_lost_answer_and_an_expired_certificate_break_no_chain() {
    for on_record in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let plane = Plane::start(place.path()).await;
        let tables = format!("[health]\nstable_for = \"400ms\"\n{HEALTH}");
        let mut instance = Instance::with(&plane, "report_every = \"300ms\"", &tables);
        instance.start();
        plane.heard("ready").await;
        plane.book().loses_report = Some(on_record);
        plane.until("an answer was lost", |book| book.loses_report.is_none()).await;
        let lost = plane.book().head.map_or(0, |(sequence, _)| sequence) + u64::from(!on_record);
        plane.until("the chain goes on", |book| book.head.is_some_and(|(last, _)| last > lost)).await;
        let book = plane.book();
        assert_eq!((book.renewals, book.expired), (1, false), "{}", instance.log());
        assert!(!book.log.iter().any(|line| line.contains("chain broken")), "{:?}", book.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rl_9_no_directive_leads_below_a_floor_seen_once() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let zero = plane.publish(0, b"0.1.0");
    let mut instance = Instance::new(&plane, "");
    instance.start();
    plane.heard("ready").await;
    let one = plane.publish(1, b"0.1.1");
    plane.publish_floors(&[version(1)]);
    plane.offer(1, OfferAction::Update, one);
    plane.heard("succeeded 0.1.1").await;
    // Lowered, then gone, and the agent started afresh: the floor stands.
    for (round, floors) in [vec![version(0)], Vec::new()].into_iter().enumerate() {
        plane.publish_floors(&floors);
        plane.offer(0, OfferAction::Rollback, zero.clone());
        if round > 0 {
            // Only now, so that it meets one offer and not the one before as well.
            instance.start();
        }
        instance.said("0.1.0 lies below the security floor 0.1.1 (RL-9)").await;
        plane.rounds(3).await;
        assert_eq!(plane.book().state, State::UpdatePending, "nothing was begun");
        let (_, facts) = facts(&plane).await;
        assert_eq!(facts["refused"]["code"], "below-floor");
        assert_eq!(
            (&facts["refused"]["release"], &facts["refused"]["rule"]),
            (&json!("0.1.0"), &json!("RL-9"))
        );
        assert_eq!(facts["floors"], json!(["0.1.1"]));
        assert_eq!(instance.log().matches("lies below").count(), 1, "said once: {}", instance.log());
        assert!(instance.stop());
        instance.forget_log();
    }
    instance.start();
    assert_eq!(instance.runs(), "0.1.1");
    plane.offer(2, OfferAction::Update, plane.publish(2, b"0.1.2"));
    plane.heard("succeeded 0.1.2").await;
    assert_eq!(facts(&plane).await.1["refused"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn rl_3_a_stolen_directives_key_mutes_nobody_once_it_is_withdrawn() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let one = plane.publish(1, b"0.1.1");
    let mut instance = Instance::new(&plane, "");
    instance.start();
    plane.heard("ready").await;
    plane.book().serial = u64::MAX;
    plane.rounds(2).await;
    // The plane is back at its own serials: nothing is heard.
    plane.book().serial = 7;
    plane.offer(1, OfferAction::Update, one);
    instance.said("has been seen").await;
    plane.rounds(1).await;
    assert_eq!(plane.book().state, State::UpdatePending);
    plane.publish_keys(2, &[6]);
    plane.book().directives = 6;
    plane.heard("succeeded 0.1.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_waiting_can_mend_ends_the_agent_and_is_told_once() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    let good = std::fs::read(place.path().join("founder.json")).unwrap();
    let stranger = proof::SeedKey::new([77; 32]);
    let wrong = serde_json::to_vec(&proof::KeySet::single(*stranger.public_key())).unwrap();
    let mut ends = async |codes: &str, hint: &str| {
        instance.forget_log();
        instance.start();
        let (exit, log) = instance.ended().await;
        assert_eq!(exit, Some(1), "{log}");
        assert_eq!((log.matches("error: ").count(), log.matches(codes).count()), (1, 1), "{log}");
        assert!(log.contains("\n  rule: ") && log.contains("\n  hint: ") && log.contains(hint), "{log}");
        assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
    };
    std::fs::write(place.path().join("founder.json"), wrong).unwrap();
    ends("code: wrong-root", "founder.json").await;
    std::fs::write(place.path().join("founder.json"), good).unwrap();
    plane.book().secret = "another".to_owned();
    ends("code: enrolment-used", "nothing to be done").await;
    let settings = place.path().join("agent.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace("\"secret\"", "\"file:secret\"")).unwrap();
    ends("code: secret", "the file that `enrolment` names").await;
    std::fs::write(&settings, text.replace("tier =", "teir =")).unwrap();
    ends("code: settings", "docs/instance-owners.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plane_that_is_down_is_told_of_once_a_try() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    plane.book().down = true;
    let mut instance = Instance::new(&plane, "");
    instance.start();
    instance.said("errors=3").await;
    plane.book().down = false;
    plane.heard("ready").await;
    let log = instance.log();
    for errors in 1..=3 {
        assert_eq!(log.matches(&format!("errors={errors}")).count(), 1, "{log}");
    }
    let tries = log.lines().filter(|line| line.contains("errors=")).count();
    assert_eq!(log.matches("WARN").count(), tries, "{log}");
}

/// The name of the day that lies so many days ahead, in UTC.
fn day(ahead: i64) -> &'static str {
    // 1970-01-01 was a Thursday.
    let days = now().as_seconds() / 86_400 + ahead;
    ["thu", "fri", "sat", "sun", "mon", "tue", "wed"][usize::try_from(days % 7).unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn ro_7_an_update_waits_for_its_window_across_restarts_unless_it_is_due_before() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let zero = plane.publish(0, b"0.1.0");
    let one = plane.publish(1, b"0.1.1");
    let window = format!("[[window]]\ndays = [\"{}\"]\nfrom = \"02:00\"\nuntil = \"05:00\"", day(3));
    let tables = format!("[health]\nstable_for = \"400ms\"\n{HEALTH}\n{window}");
    let mut instance = Instance::with(&plane, "timezone = \"UTC\"", &tables);
    instance.start();
    plane.heard("ready").await;
    plane.offer(1, OfferAction::Update, one.clone());
    instance.said("the deployment window opens at").await;
    plane.rounds(3).await;
    assert_eq!(plane.book().state, State::UpdatePending, "nothing was begun");
    assert_eq!(std::fs::read(instance.folder.join("slots/0.1.1/package")).unwrap(), b"0.1.1");
    // Killed while it waits, or asked for the same once more: it goes on waiting, and fetches nothing again.
    instance.kill();
    instance.start();
    plane.rounds(3).await;
    plane.offer_due(1, OfferAction::Update, one.clone(), Some(now() + Span::hours(24 * 30)));
    plane.rounds(3).await;
    assert_eq!(plane.book().state, State::UpdatePending, "nothing was begun");
    let log = instance.log();
    assert_eq!(log.matches("waits: ").count(), 2, "said once in each life: {log}");
    assert!(!log.contains("attempt over"), "{log}");
    // Due before the window opens.
    plane.offer_due(1, OfferAction::Update, one, Some(now() + Span::hours(24)));
    plane.heard("succeeded 0.1.1").await;
    // Going back waits for nothing.
    plane.offer(0, OfferAction::Rollback, zero);
    plane.heard("succeeded 0.1.0").await;
    assert_eq!(instance.log().matches("waits: ").count(), 2);
    // The window is open: today, from midnight to midnight, and tomorrow, should the day end meanwhile.
    assert!(instance.stop());
    let settings = place.path().join("agent.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let open = format!("days = [\"{}\", \"{}\"]\nfrom = \"00:00\"\nuntil = \"00:00\"", day(0), day(1));
    let closed = window.split_once('\n').unwrap().1;
    std::fs::write(&settings, text.replace(closed, &open)).unwrap();
    instance.start();
    plane.offer(2, OfferAction::Update, plane.publish(2, b"0.1.2"));
    plane.heard("succeeded 0.1.2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rl_2_ro_9_an_owner_asks_by_command_and_is_answered_whether_the_agent_runs_or_not() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    plane.publish(0, b"0.1.0");
    let one = plane.publish(1, b"0.1.1");
    let mut instance = Instance::new(&plane, "");
    let refused = |instance: &Instance, arguments: &[&str], code: &str| {
        let (well, said) = instance.command(arguments);
        assert_eq!((well, said.matches(&format!("  code: {code}\n")).count()), (false, 1), "{said}");
    };
    let granted = |instance: &Instance, arguments: &[&str], answer: &str| {
        let (well, said) = instance.command(arguments);
        assert!(well && said.contains(answer), "{said}");
    };
    refused(&instance, &["rollback"], "not-enrolled");
    instance.start();
    plane.heard("ready").await;
    refused(&instance, &["rollback"], "no-version");
    refused(&instance, &["retry"], "no-version");
    plane.offer(1, OfferAction::Update, one.clone());
    plane.heard("succeeded 0.1.1").await;

    // The success is in the journal once the agent is at rest again.
    plane.rounds(2).await;
    plane.book().forbids_rollback = true;
    refused(&instance, &["rollback"], "rollback-window-closed");
    plane.book().forbids_rollback = false;
    granted(&instance, &["rollback"], "asked to go back from 0.1.1 to 0.1.0 (RL-2)");
    plane.heard("succeeded 0.1.0").await;
    // What was left is not taken up again until the plane offers it again.
    plane.rounds(3).await;
    assert_eq!((instance.runs().as_str(), plane.book().state), ("0.1.0", State::Active));
    refused(&instance, &["rollback"], "no-version");
    plane.book().log.clear();
    plane.offer(1, OfferAction::Update, one);
    plane.heard("succeeded 0.1.1").await;

    // With no agent there to hand it to; it goes back when it is started.
    assert!(instance.stop());
    plane.book().log.clear();
    granted(&instance, &["rollback", "0.1.0"], "to 0.1.0");
    assert_eq!(plane.book().log, ["wishes 0.1.0"]);
    instance.start();
    plane.heard("succeeded 0.1.0").await;
    plane.offer(2, OfferAction::Update, plane.publish(2, b"not a version"));
    plane.heard("failed 0.1.2").await;
    granted(&instance, &["retry"], "asked that 0.1.2 be offered again");
    plane.heard("retry 0.1.2").await;
    assert!(!plane.book().log.iter().any(|line| line.contains("chain broken")));
}

/// What the instance's endpoint shows an operator, and the client that asked.
async fn facts(plane: &Plane) -> (Client, Value) {
    let registered =
        plane.book().log.iter().find_map(|line| line.strip_prefix("registered ").map(str::to_owned));
    let key = Arc::new(SigningKey::generate().unwrap());
    let validity = Validity { not_before: now() - Span::hours(1), not_after: now() + Span::hours(1) };
    let name = "admin".parse().unwrap();
    let operator = plane
        .root
        .issue_person(&governance::Person::operator(name), key.public_key(), validity)
        .unwrap()
        .chain;
    let tls = support::any_server(operator, &key);
    let client =
        Client::new(&registered.unwrap(), tls, Arc::clone(&key) as _, Arc::new(SystemSource)).unwrap();
    let facts = client.fetch("/v1/metadata").await.unwrap();
    (client, facts)
}

#[tokio::test(flavor = "multi_thread")]
async fn hs_4_hs_5_its_owner_has_the_tokens_of_what_it_is_entitled_to() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    let (good, said) = instance.command(&["entitlement"]);
    assert!(!good && said.contains("not-enrolled"), "{said}");
    instance.start();
    plane.heard("ready").await;
    for (line, token) in
        [(&["entitlement"][..], "token.of.entitlement\n"), (&["activate", "COM"], "token.of.COM\n")]
    {
        assert_eq!(instance.command(line), (true, token.to_owned()));
    }
    let (good, said) = instance.command(&["activate", "../com"]);
    assert!(!good && said.contains("capital letters"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hs_1_a_new_secret_enrols_the_instance_afresh_with_a_new_chain() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    instance.start();
    plane.heard("ready").await;
    let before = plane.book().head.unwrap();
    assert!(instance.stop());
    // Started again with the same secret, it goes on.
    instance.start();
    plane.until("a check-in", |book| book.check_ins > 0).await;
    assert!(instance.stop());
    assert_eq!(plane.book().log.iter().filter(|line| line.starts_with("registered")).count(), 1);
    let folder = instance.folder.clone();
    let (key, next) = (folder.join("instance.key"), folder.join("instance.next.key"));
    let old = std::fs::read(&key).unwrap();
    let identity_before = std::fs::read(instance.folder.join("identity.json")).unwrap();
    secret(&plane, &instance, "secret", "another");
    instance.start();
    plane.heard("runs 0.1.0").await;
    let after = plane.book().head.unwrap();
    assert_eq!(after.0, 1, "a new chain: {}", instance.log());
    assert_ne!(after.1, before.1);
    assert!(plane.book().log[0].starts_with("registered"));
    // Whoever copied the old key has nothing by it.
    let new = std::fs::read(&key).unwrap();
    assert_ne!(new, old);
    assert!(!next.exists());
    // Cut short between the identity and its key, it is made up for.
    assert!(instance.stop());
    std::fs::rename(&key, &next).unwrap();
    std::fs::write(&key, &old).unwrap();
    plane.book().log.clear();
    instance.start();
    plane.rounds(1).await;
    assert_eq!(std::fs::read(&key).unwrap(), new);
    assert!(!plane.book().log.iter().any(|line| line.starts_with("registered")));
    // The answer lost when a key came into force, and another secret since.
    assert!(instance.stop());
    std::fs::copy(&key, &next).unwrap();
    std::fs::write(&key, &old).unwrap();
    std::fs::write(instance.folder.join("identity.json"), &identity_before).unwrap();
    secret(&plane, &instance, "another", "one more");
    instance.start();
    plane.heard("registered").await;
    plane.rounds(1).await;
    let renewed = std::fs::read(&key).unwrap();
    assert!(renewed != new && renewed != old && !next.exists());
    // The identity lost and the key kept: it finds by itself that it takes another.
    assert!(instance.stop());
    std::fs::remove_file(instance.folder.join("identity.json")).unwrap();
    secret(&plane, &instance, "one more", "a third");
    instance.start();
    plane.heard("registered").await;
    plane.rounds(1).await;
    assert_ne!(std::fs::read(&key).unwrap(), renewed);
    assert!(!next.exists());
}

/// Another secret, for an instance that is to come with a key that it never had.
fn secret(plane: &Plane, instance: &Instance, before: &str, now: &str) {
    let settings = std::fs::read_to_string(&instance.config).unwrap();
    let [before, quoted] = [before, now].map(|secret| format!("\"{secret}\""));
    std::fs::write(&instance.config, settings.replace(&before, &quoted)).unwrap();
    let mut book = plane.book();
    book.secret = now.to_owned();
    (book.key_before, book.head) = (book.key.take(), None);
    book.log.clear();
}

#[tokio::test(flavor = "multi_thread")]
async fn hs_8_a_challenge_in_the_answer_to_a_check_in_is_answered() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    instance.start();
    plane.heard("ready").await;
    plane.book().challenge = Some(Nonce::from_random([7; 16]));
    plane.heard("answered").await;
    assert_eq!(plane.book().challenge, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn hs_8_the_endpoint_answers_operators_and_nobody_else() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    instance.start();
    plane.heard("ready").await;
    let registered =
        plane.book().log.iter().find_map(|line| line.strip_prefix("registered ").map(str::to_owned));
    let endpoint = registered.unwrap();
    let key = Arc::new(SigningKey::generate().unwrap());
    let validity = Validity { not_before: now() - Span::hours(1), not_after: now() + Span::hours(1) };
    let name = "admin".parse().unwrap();
    let operator = plane
        .root
        .issue_person(&governance::Person::operator(name), key.public_key(), validity)
        .unwrap()
        .chain;
    let stranger = vec![trust::tls::self_signed(&key).unwrap()];
    let id = plane.book().instance.unwrap();
    let public_key = plane.book().key.unwrap();
    for (chain, welcome) in [(operator, true), (stranger, false)] {
        let tls = support::any_server(chain, &key);
        let client = Client::new(&endpoint, tls, Arc::clone(&key) as _, Arc::new(SystemSource)).unwrap();
        let answer = client.post::<_, Jws>("/v1/challenge", &json!({"nonce": "0123456789abcdef"})).await;
        if !welcome {
            assert_eq!(answer.unwrap_err().code(), Some("not-authorised"));
            continue;
        }
        let answer = answer.unwrap();
        let nonce = Nonce::try_from("0123456789abcdef".to_owned()).unwrap();
        let skew = Span::from_millis(60_000);
        let answer = Answer::open(&answer, (id, &[public_key]), &nonce, now(), skew).unwrap();
        let said = answer.said(&[], &[public_key]).unwrap().unwrap();
        assert_eq!((said.head.sequence, said.previous), (1, None));
        let facts: Value = client.fetch("/v1/metadata").await.unwrap();
        assert_eq!((facts["platform"].as_str(), facts["tier"].as_str()), (Some("0.1.0"), Some("pro")));
        let short = client.post::<_, Jws>("/v1/challenge", &json!({"nonce": "x"})).await;
        assert_eq!(short.unwrap_err().code(), Some("malformed"));
    }
}
