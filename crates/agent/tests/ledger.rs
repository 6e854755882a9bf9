//! The ledger as a running agent sees it: split views, mirrors that lag, tiles that are withheld (LG-2, HS-8).
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
    unused_imports,
    reason = "a test fails by panicking"
)]

mod support;

use ledger::SignedCheckpoint;
use proof::OfferAction;
use proof::challenge::LedgerSeen;
use support::ledger::{checkpoint, log};
use support::{Instance, LEDGER, Plane};

/// What an answer says where a log of these sizes was seen last and nothing is wrong.
fn saw(sizes: &[u64], forked: u64) -> Option<LedgerSeen> {
    let checkpoints = sizes.iter().map(|size| checkpoint(log(*size, forked).1, LEDGER).to_string());
    Some(LedgerSeen { checkpoints: checkpoints.collect(), split_view: None })
}

/// Shows the instance a log of so many entries.
async fn show(plane: &Plane, size: u64, forked: u64) -> Option<LedgerSeen> {
    let (log, head) = log(size, forked);
    plane.publish_ledger(&log, head);
    plane.challenge().await
}

fn listed(instance: &Instance) -> (bool, Vec<u64>) {
    let (good, said) = instance.command(&["checkpoints"]);
    let size = |line: &str| line.split(' ').next().and_then(|size| size.parse().ok());
    (good, said.lines().filter_map(size).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn lg_2_a_split_view_is_an_alarm_until_the_owner_acknowledges_it() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    let one = plane.publish(1, b"0.1.1");
    plane.withhold_checkpoint();
    instance.start();
    plane.heard("ready").await;
    assert_eq!(plane.challenge().await, None, "none is published yet");
    assert_eq!(listed(&instance), (true, vec![]));
    assert_eq!(show(&plane, 10, 500).await, saw(&[10], 500));
    assert_eq!(show(&plane, 300, 500).await, saw(&[300], 500));
    // A mirror that lags.
    plane.publish_checkpoint(&checkpoint(log(20, 500).1, LEDGER));
    assert_eq!(plane.challenge().await, saw(&[300], 500));
    // Without tiles nothing takes the place of what was kept, and nobody is blamed.
    plane.withhold_tiles();
    plane.publish_checkpoint(&checkpoint(log(400, 500).1, LEDGER));
    assert_eq!(plane.challenge().await, saw(&[300, 400], 500), "seen, if not proved");
    assert_eq!(listed(&instance), (true, vec![10, 300, 400]));
    assert!(instance.command(&["checkpoints"]).1.contains("not proved yet"));
    assert_eq!(show(&plane, 400, 500).await, saw(&[400], 500));
    assert!(!instance.command(&["checkpoints"]).1.contains("not proved yet"));
    assert!(!instance.log().contains("split-view"), "{}", instance.log());

    // Another log from the 350th entry on.
    let seen = show(&plane, 450, 350).await.unwrap();
    let pair = [log(400, 500).1, log(450, 350).1].map(|head| checkpoint(head, LEDGER).to_string());
    assert_eq!(seen.split_view, Some(pair.clone()));
    for name in ["code: split-view", "rule: LG-2", "400 entries", "450 entries"] {
        assert!(instance.log().contains(name), "{name}");
    }
    let evidence = ["kept", "shown"].map(|name| {
        let file = instance.folder.join("split-view").join(format!("{name}.checkpoint"));
        std::fs::read_to_string(file).unwrap()
    });
    assert_eq!(evidence, pair);
    assert_eq!(listed(&instance), (false, vec![10, 300, 400]));
    assert!(!instance.command(&["check"]).0);
    // The instance goes on, and a restart forgets nothing; nor does the true log by itself.
    plane.offer(1, OfferAction::Update, one);
    plane.heard("succeeded 0.1.1").await;
    instance.kill();
    instance.start();
    assert_eq!(show(&plane, 500, 500).await.unwrap().split_view, Some(pair.clone()));
    assert_eq!(listed(&instance), (false, vec![10, 300, 400]));

    let (good, said) = instance.command(&["checkpoints", "--acknowledge"]);
    assert!(good && said.contains("begins anew"), "{said}");
    assert!(!instance.command(&["checkpoints", "--acknowledge"]).0, "there is no other");
    assert_eq!(show(&plane, 450, 350).await, saw(&[450], 350));
    assert_eq!(listed(&instance), (true, vec![450]));
    let kept = std::fs::read_dir(&instance.folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(kept.into_iter().any(|name| name.to_string_lossy().starts_with("split-view-acknowledged-")));
    // The same size under another root needs no tile.
    plane.withhold_tiles();
    plane.publish_checkpoint(&checkpoint(log(450, 449).1, LEDGER));
    assert!(plane.challenge().await.unwrap().split_view.is_some());
    assert!(instance.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn lg_2_a_checkpoint_from_elsewhere_shows_whether_others_see_the_same_ledger() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    let file = place.path().join("other.checkpoint");
    let against = |instance: &Instance, other: SignedCheckpoint| {
        std::fs::write(&file, other.to_string()).unwrap();
        instance.command(&["checkpoints", "--against", file.to_str().unwrap()])
    };
    let of = |size, forked| checkpoint(log(size, forked).1, LEDGER);
    assert!(against(&instance, of(10, 500)).1.contains("code: not-enrolled"));
    plane.withhold_checkpoint();
    instance.start();
    plane.heard("ready").await;
    show(&plane, 100, 500).await;
    show(&plane, 300, 500).await;
    let (newer, head) = log(310, 500);
    plane.publish_ledger(&newer, head);
    for size in [0, 40, 100, 300, 305, 310] {
        let (good, said) = against(&instance, of(size, 500));
        assert!(good && said.contains("consistent"), "{size}: {said}");
    }
    let (good, said) = against(&instance, of(320, 500));
    assert!(!good && said.contains("code: not-told"), "{said}");
    let (good, said) = against(&instance, checkpoint(log(300, 500).1, 66));
    assert!(!good && said.contains("code: untrusted"), "{said}");
    assert!(!instance.folder.join("split-view").exists());
    // Elsewhere another log is shown: of a size that was seen here, a smaller one, and a larger one.
    for (size, forked) in [(300, 299), (200, 5), (308, 301)] {
        let (good, said) = against(&instance, of(size, forked));
        assert!(!good && said.contains("code: split-view") && said.contains("as evidence"), "{said}");
        let shown = std::fs::read_to_string(instance.folder.join("split-view/shown.checkpoint")).unwrap();
        assert_eq!(shown, of(size, forked).to_string());
        assert!(plane.challenge().await.unwrap().split_view.is_some(), "the agent shows it too");
        let (good, said) = instance.command(&["checkpoints", "--acknowledge"]);
        assert!(good && said.contains("goes on"), "{said}");
    }
    assert_eq!(plane.challenge().await, saw(&[310], 500), "what was shown here is still kept");
    assert_eq!(listed(&instance), (true, vec![100, 300, 310]));
}

#[tokio::test(flavor = "multi_thread")]
async fn lg_2_only_the_ledger_s_key_is_believed_and_an_older_plane_is_answered() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    plane.withhold_checkpoint();
    instance.start();
    plane.heard("ready").await;
    show(&plane, 100, 500).await;
    // A partial tile that gave way to the full one.
    let (full, head) = log(600, 1_000);
    plane.publish_ledger(&full, head);
    plane.publish_checkpoint(&checkpoint(log(300, 1_000).1, LEDGER));
    assert_eq!(plane.challenge().await, saw(&[300], 500));
    let (other, head) = log(110, 0);
    plane.publish_ledger(&other, head);
    plane.publish_checkpoint(&checkpoint(head, 66));
    assert_eq!(plane.challenge().await, saw(&[300], 500));
    instance.said("the ledger's checkpoint: the note carries no signature").await;
    std::fs::write(plane.folder.join("checkpoint"), "x".repeat(100_000)).unwrap();
    assert_eq!(plane.challenge().await, saw(&[300], 500));
    instance.said("more than 65536 bytes").await;
    assert_eq!(listed(&instance), (true, vec![100, 300]));
    plane.book().reads_no_ledger = true;
    assert_eq!(plane.challenge().await, None);
    plane.heard("an answer that it cannot read").await;
    assert!(!instance.log().contains("the answer to the challenge was refused"));
}

/// Whoever serves files holds back the checkpoint: what is offered is installed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn lg_2_a_checkpoint_that_never_comes_holds_up_no_release() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    let one = plane.publish(1, b"0.1.1");
    plane.book().stalls_checkpoint = true;
    instance.start();
    plane.heard("ready").await;
    plane.offer(1, OfferAction::Update, one);
    plane.heard("succeeded 0.1.1").await;
    assert!(instance.log().contains("no answer within 10 s"), "{}", instance.log());
    plane.book().challenge = Some(proof::challenge::Nonce::from_random([7; 16]));
    plane.until("it answers all the same", |book| book.challenge.is_none()).await;
    assert!(instance.stop());
}

/// A stolen key is replaced: what it signed stays evidence, and is shown.
#[tokio::test(flavor = "multi_thread")]
async fn lg_2_a_split_view_is_told_also_after_the_ledger_s_key_was_replaced() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    plane.withhold_checkpoint();
    instance.start();
    plane.heard("ready").await;
    show(&plane, 100, 500).await;
    // The log goes on under another key, and it is another log than the thief showed here.
    plane.publish_ledger_key(2, 66);
    let (other, head) = log(120, 50);
    plane.publish_ledger(&other, head);
    plane.publish_checkpoint(&checkpoint(head, 66));
    instance.kill();
    instance.start();
    let pair = [checkpoint(log(100, 500).1, LEDGER), checkpoint(head, 66)].map(|one| one.to_string());
    assert_eq!(plane.challenge().await.unwrap().split_view, Some(pair));
    assert!(instance.stop());
}
