//! Attacks on a running agent: by whoever has the Federation's online keys, or serves what the agent fetches (RL-3, AU-2).
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

use governance::{Digest, InstanceId, Package, Span};
use proof::OfferAction;
use support::{Instance, Plane, now, version};

/// What is tried, what the agent's log says, how it is tried.
type Row = (&'static str, &'static str, fn(&Plane));

const DIRECTIVES: &[Row] = &[
    ("a directive for another instance", "the directive is for instance", |plane| {
        plane.book().forges = Some(|directive| directive.instance = InstanceId::from_random([9; 16]));
    }),
    ("a directive that is over", "the directive expired at", |plane| {
        plane.book().forges = Some(|directive| directive.expires = now() - Span::hours(1));
    }),
    ("a directive once more, after a later one", "has been seen", |plane| {
        plane.book().forges = Some(|directive| directive.serial = 1);
    }),
    ("another word under the same serial", "asks for something else", |plane| {
        // The serial is the one of the last directive that was taken, which offered nothing.
        plane.book().forges = Some(|directive| directive.serial -= 1);
    }),
    (
        "a directive by a key that the Founder did not name",
        "0 of the 1 signatures needed are valid",
        |plane| {
            plane.book().directives = 77;
        },
    ),
    ("a directive without a target", "release-0.1.7.json", |plane| {
        plane.offer(7, OfferAction::Update, package("package-0.1.7", b"0.1.7"));
    }),
    ("a directive to other bytes than the target's", "is not what the Organism signed", |plane| {
        plane.offer(1, OfferAction::Update, package("package-0.1.1", b"evil"));
    }),
    ("a directive to another length than the target's", "is not what the Organism signed", |plane| {
        let package = package("package-0.1.1", b"0.1.1");
        plane.offer(1, OfferAction::Update, Package { length: package.length + 1, ..package });
    }),
];

fn package(name: &str, bytes: &[u8]) -> Package {
    Package { name: name.to_owned(), digest: Digest::of(bytes), length: bytes.len() as u64 }
}

#[tokio::test(flavor = "multi_thread")]
async fn rl_3_au_2_no_directive_is_followed_but_the_newest_for_this_instance_to_what_the_organism_signed() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    let one = plane.publish(1, b"0.1.1");
    instance.start();
    plane.heard("ready").await;
    for (what, words, attack) in DIRECTIVES {
        plane.rounds(2).await;
        instance.forget_log();
        attack(&plane);
        if plane.book().offer.is_none() {
            // What would be followed, were it not for the forgery.
            plane.offer(1, OfferAction::Update, one.clone());
        }
        instance.said(words).await;
        plane.rounds(2).await;
        let mut book = plane.book();
        assert!(!book.log.iter().any(|line| line.starts_with("begin")), "{what}: {:?}", book.log);
        (book.forges, book.offer, book.directives) = (None, None, 5);
        book.serial += 1;
        assert_eq!(instance.runs(), "0.1.0", "{what}");
    }
    // None of it muted the agent.
    plane.offer(1, OfferAction::Update, one);
    plane.heard("succeeded 0.1.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rl_3_a_target_that_no_directive_names_is_not_even_fetched() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    plane.publish(1, b"0.1.1");
    instance.start();
    plane.heard("ready").await;
    plane.rounds(5).await;
    assert_eq!(instance.runs(), "0.1.0");
    assert!(!instance.folder.join("slots").join(version(1).to_string()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn rl_3_a_package_of_other_bytes_or_another_length_is_never_bound() {
    let place = tempfile::tempdir().unwrap();
    let plane = Plane::start(place.path()).await;
    let mut instance = Instance::new(&plane, "");
    let one = plane.publish(1, b"0.1.1");
    let served = plane.folder.join(format!("tuf/targets/{}.{}", one.digest, one.name));
    instance.start();
    plane.heard("ready").await;
    std::fs::write(&served, b"0.1.2").unwrap();
    plane.offer(1, OfferAction::Update, one);
    let endless = [b"0.1.1".as_slice(), &[b' '; 5_000_000]].concat();
    let rows: [(Option<&[u8]>, &str); 4] = [
        (Some(b"0.1.2"), "its SHA-256 is"),
        (Some(b"0.1"), "it has 3 bytes instead of 5"),
        (Some(&endless), "it has more than 5 bytes"),
        (None, "the plane has no /tuf/targets/"),
    ];
    for (bytes, words) in rows {
        match bytes {
            Some(bytes) => std::fs::write(&served, bytes).unwrap(),
            None => std::fs::remove_file(&served).unwrap(),
        }
        instance.forget_log();
        instance.said(words).await;
        assert_eq!(instance.runs(), "0.1.0", "{words}");
        assert!(!instance.folder.join("slots").join(version(1).to_string()).join("package").exists());
    }
    std::fs::write(&served, b"0.1.1").unwrap();
    plane.heard("succeeded 0.1.1").await;
}
