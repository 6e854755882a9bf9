//! Commits, one after the other: what they write, what guards them, what a refused one leaves.

use governance::{Instance, World};
use plane::ports::{
    Commit, Committed, Document, EnrolmentWrite, InstanceFilter, PAGE_MAX, Revision, Store, StoreError,
};

use super::fixture::{at, digest, enrolment, enrolment_use, instance, instance_id, nonce, writes};
use crate::{DOCUMENT_BYTES_MAX, ENTRIES_MAX, ENTRY_BYTES_MAX};

const WORLD: Result<Committed, StoreError> = Err(StoreError::Conflict("world"));
const INSTANCE: Result<Committed, StoreError> = Err(StoreError::Conflict("instance"));
const ENROLMENT: Result<Committed, StoreError> = Err(StoreError::Conflict("enrolment"));

fn document(bytes: &[u8]) -> Document {
    Document { kind: "order".to_owned(), name: "7".to_owned(), bytes: bytes.to_owned() }
}

/// A commit of everything at once, for the instance and enrolment with this number.
fn everything(number: u64, world_revision: Revision) -> Commit {
    let world = World { keys_serial: number, ..World::default() };
    Commit {
        instance: Some((Box::new(instance(number)), None)),
        world: Some(Box::new(world)),
        world_revision,
        entries: vec![vec![0, 255, number as u8], Vec::new()],
        about_instance: vec![1],
        nonce: Some(nonce(number)),
        enrolment: Some(EnrolmentWrite::Create(enrolment(number))),
        documents: vec![document(&[0, 159, 146, 150])],
        fence: None,
    }
}

pub(super) async fn a_commit_writes_all_it_carries(store: &impl Store) {
    let committed = store.commit(everything(3, 0)).await;
    assert_eq!(committed, Ok(Committed { instance_revision: 1, world_revision: 1, ledger_size: 2 }));
    assert_eq!(store.instance_load(instance_id(3)).await, Ok(Some((instance(3), 1))));
    let (world, revision) = store.world_load().await.unwrap();
    assert_eq!((world.keys_serial, revision), (3, 1));
    assert_eq!(store.entry_page(0, 10).await, Ok(vec![vec![0, 255, 3], vec![]]));
    assert_eq!(store.entry_count().await, Ok(2));
    assert_eq!(store.enrolment_load(digest(3)).await, Ok(Some(enrolment(3))));
    assert_eq!(store.document_load("order", "7").await, Ok(Some(vec![0, 159, 146, 150])));
    assert_eq!(store.commit(everything(3, 1)).await, Err(StoreError::NonceSpent));
}

pub(super) async fn a_commit_without_anything_is_guarded_too(store: &impl Store) {
    let nothing = Commit::default();
    let untouched = Committed { instance_revision: 0, world_revision: 0, ledger_size: 0 };
    assert_eq!(store.commit(nothing.clone()).await, Ok(untouched));
    assert_eq!(store.commit(Commit { world_revision: 1, ..nothing }).await, WORLD);
}

pub(super) async fn an_instance_is_guarded_by_its_revision(store: &impl Store) {
    let write = async |instance: Instance, decided_on| {
        store.commit(writes(instance, decided_on)).await.map(|committed| committed.instance_revision)
    };
    let conflict = Err(StoreError::Conflict("instance"));
    assert_eq!(write(instance(1), Some(1)).await, conflict, "there is none yet");
    assert_eq!(write(instance(1), Some(0)).await, conflict, "nor at revision 0");
    assert_eq!(write(instance(1), None).await, Ok(1));
    assert_eq!(write(instance(1), None).await, conflict, "an id is never reused");
    let changed = Instance { serial: 9, ..instance(1) };
    assert_eq!(write(changed.clone(), Some(1)).await, Ok(2));
    for stale in [0, 1, 3, i64::MAX as u64, u64::MAX] {
        assert_eq!(write(instance(1), Some(stale)).await, conflict, "{stale}");
    }
    assert_eq!(write(instance(2), None).await, Ok(1), "another one is another one");
    assert_eq!(store.instance_load(instance_id(1)).await, Ok(Some((changed, 2))));
}

pub(super) async fn the_world_is_guarded_by_its_revision(store: &impl Store) {
    let write = |serial: u64, world_revision| {
        let world = World { order_serial: serial, ..World::default() };
        store.commit(Commit { world: Some(Box::new(world)), world_revision, ..Commit::default() })
    };
    assert_eq!(write(1, 1).await, WORLD, "there is none yet");
    assert_eq!(write(1, 0).await.unwrap().world_revision, 1);
    assert_eq!(write(2, 0).await, WORLD);
    assert_eq!(write(2, 1).await.unwrap().world_revision, 2);
    for stale in [0, 1, 3, i64::MAX as u64, u64::MAX] {
        assert_eq!(write(3, stale).await, WORLD, "{stale}");
    }
    assert_eq!(store.world_load().await.unwrap(), (World { order_serial: 2, ..World::default() }, 2));
    // What was decided on an older world is no longer decided.
    assert_eq!(store.commit(writes(instance(1), None)).await, WORLD);
    let current = Commit { world_revision: 2, ..writes(instance(1), None) };
    assert_eq!(store.commit(current).await.unwrap().world_revision, 2);
}

pub(super) async fn a_nonce_is_spent_once(store: &impl Store) {
    let spend = |nonce| store.commit(Commit { nonce: Some(nonce), ..Commit::default() });
    for number in [1, 2, 3] {
        assert!(spend(nonce(number)).await.is_ok());
        assert_eq!(spend(nonce(number)).await, Err(StoreError::NonceSpent), "HS-6");
    }
    let of_another_key = plane::ports::Nonce { key: "another".to_owned(), ..nonce(1) };
    assert!(spend(of_another_key).await.is_ok());
    assert_eq!(store.nonce_forget(at(2)).await, Ok(2), "those that expired before");
    assert_eq!(spend(nonce(2)).await, Err(StoreError::NonceSpent), "this one expires only now");
    assert!(spend(nonce(1)).await.is_ok());
    assert_eq!(store.nonce_forget(at(1)).await, Ok(0));
}

pub(super) async fn an_enrolment_is_approved_once_and_waits_until_it_is_used(store: &impl Store) {
    let write = |write| store.commit(Commit { enrolment: Some(write), ..Commit::default() });
    let approve = |number, by: &str| EnrolmentWrite::Approve { digest: digest(number), by: by.to_owned() };
    assert_eq!(write(approve(1, "operator/bob")).await, ENROLMENT, "there is none");
    for number in [3, 1, 2, 4] {
        write(EnrolmentWrite::Create(enrolment(number))).await.unwrap();
    }
    let of_a_new_one = plane::ports::Enrolment { instance: None, ..enrolment(5) };
    write(EnrolmentWrite::Create(of_a_new_one)).await.unwrap();
    write(approve(2, "operator/bob")).await.unwrap();
    assert_eq!(write(approve(2, "operator/carol")).await, ENROLMENT, "approved already");
    let approved =
        |number| plane::ports::Enrolment { approved: Some("operator/bob".to_owned()), ..enrolment(number) };
    assert_eq!(store.enrolment_load(digest(2)).await, Ok(Some(approved(2))));
    let waiting = [enrolment(1), approved(2), enrolment(3), enrolment(4)];
    for (now, limit, expected) in
        [(0, PAGE_MAX, &waiting[..]), (2, PAGE_MAX, &waiting[1..]), (2, 2, &waiting[1..3])]
    {
        assert_eq!(store.enrolment_waiting(at(now), limit).await, Ok(expected.to_vec()), "{now} {limit}");
    }
    write(EnrolmentWrite::Use { digest: digest(2), used: enrolment_use(2) }).await.unwrap();
    assert_eq!(store.enrolment_waiting(at(2), PAGE_MAX).await, Ok(waiting[2..].to_vec()));
    write(EnrolmentWrite::Use { digest: digest(3), used: enrolment_use(3) }).await.unwrap();
    assert_eq!(write(approve(3, "operator/bob")).await, ENROLMENT, "used already");
}

pub(super) async fn an_enrolment_is_made_once_and_used_once(store: &impl Store) {
    let write = |write| store.commit(Commit { enrolment: Some(write), ..Commit::default() });
    let uses = |number, by| EnrolmentWrite::Use { digest: digest(number), used: enrolment_use(by) };
    assert_eq!(write(uses(1, 5)).await, ENROLMENT, "there is none yet");
    assert!(write(EnrolmentWrite::Create(enrolment(1))).await.is_ok());
    assert_eq!(write(EnrolmentWrite::Create(enrolment(1))).await, ENROLMENT);
    assert!(write(uses(1, 5)).await.is_ok());
    assert_eq!(write(uses(1, 6)).await, Err(StoreError::EnrolmentUsed), "HS-1");
    assert_eq!(write(uses(1, 5)).await, Err(StoreError::EnrolmentUsed), "not even by the same");
    assert_eq!(write(EnrolmentWrite::Create(enrolment(1))).await, ENROLMENT);
    let used = plane::ports::Enrolment { used: Some(enrolment_use(5)), ..enrolment(1) };
    assert_eq!(store.enrolment_load(digest(1)).await, Ok(Some(used)));
    let made_used = plane::ports::Enrolment { used: Some(enrolment_use(7)), ..enrolment(2) };
    assert!(write(EnrolmentWrite::Create(made_used.clone())).await.is_ok());
    assert_eq!(store.enrolment_load(digest(2)).await, Ok(Some(made_used)));
    assert_eq!(write(uses(2, 5)).await, Err(StoreError::EnrolmentUsed));
}

pub(super) async fn a_document_is_overwritten(store: &impl Store) {
    for bytes in [b"first".as_slice(), b"second", b""] {
        let commit = Commit { documents: vec![document(bytes)], ..Commit::default() };
        assert!(store.commit(commit).await.is_ok());
        assert_eq!(store.document_load("order", "7").await, Ok(Some(bytes.to_owned())));
    }
    assert_eq!(store.document_load("order", "8").await, Ok(None));
    assert_eq!(store.document_load("keys", "7").await, Ok(None));
}

/// All that the port shows of a store, but its nonces.
async fn picture(store: &impl Store) -> String {
    let shown = (
        store.world_load().await.unwrap(),
        store.instance_page(&InstanceFilter::default(), None, PAGE_MAX).await.unwrap(),
        store.instance_count().await.unwrap(),
        store.entry_page(0, PAGE_MAX).await.unwrap(),
        store.entry_count().await.unwrap(),
        [store.enrolment_load(digest(1)).await.unwrap(), store.enrolment_load(digest(2)).await.unwrap()],
        store.document_load("order", "7").await.unwrap(),
    );
    format!("{shown:?}")
}

pub(super) async fn a_refused_commit_leaves_nothing_behind(store: &impl Store) {
    store.commit(everything(1, 0)).await.unwrap();
    let uses = |by| Some(EnrolmentWrite::Use { digest: digest(1), used: enrolment_use(by) });
    let using = Commit { world_revision: 1, enrolment: uses(1), ..Commit::default() };
    store.commit(using).await.unwrap();
    let before = picture(store).await;

    // Everything new but one thing.
    let new = || Commit { documents: vec![document(b"new")], ..everything(2, 1) };
    let refused = [
        (Commit { nonce: Some(nonce(1)), ..new() }, Err(StoreError::NonceSpent)),
        (Commit { enrolment: uses(2), ..new() }, Err(StoreError::EnrolmentUsed)),
        (Commit { enrolment: Some(EnrolmentWrite::Create(enrolment(1))), ..new() }, ENROLMENT),
        (Commit { world_revision: 0, ..new() }, WORLD),
        (Commit { world_revision: 2, world: None, ..new() }, WORLD),
        (Commit { instance: Some((Box::new(instance(1)), None)), ..new() }, INSTANCE),
        (Commit { instance: Some((Box::new(instance(1)), Some(2))), ..new() }, INSTANCE),
    ];
    for (commit, refusal) in refused {
        assert_eq!(store.commit(commit).await, refusal);
        assert_eq!(picture(store).await, before, "{refusal:?}");
    }
    // And the nonce that every one of them carried is still to be spent.
    assert_eq!(store.commit(new()).await.unwrap().ledger_size, 4);
    assert_ne!(picture(store).await, before);
}

pub(super) async fn a_commit_beyond_the_limits_is_refused(store: &impl Store) {
    let entries = |entries| Commit { entries, ..Commit::default() };
    let document_of = |length| Commit { documents: vec![document(&vec![7; length])], ..Commit::default() };
    let beyond = [
        entries(vec![vec![1]; ENTRIES_MAX + 1]),
        entries(vec![vec![1], vec![1; ENTRY_BYTES_MAX + 1]]),
        document_of(DOCUMENT_BYTES_MAX + 1),
    ];
    for commit in beyond {
        assert!(matches!(store.commit(commit).await, Err(StoreError::Unavailable(_))));
    }
    assert_eq!(store.entry_count().await, Ok(0));
    let mut most = vec![vec![1]; ENTRIES_MAX - 1];
    most.push(vec![2; ENTRY_BYTES_MAX]);
    assert_eq!(store.commit(entries(most)).await.unwrap().ledger_size, ENTRIES_MAX as u64);
    assert!(store.commit(document_of(DOCUMENT_BYTES_MAX)).await.is_ok());
}

pub(super) async fn the_last_sign_of_life_is_kept(store: &impl Store) {
    assert_eq!(store.pulse_load().await, Ok(None));
    for number in [3, 4, 9] {
        assert_eq!(store.pulse_save(at(number)).await, Ok(()));
        assert_eq!(store.pulse_load().await, Ok(Some(at(number))));
    }
    assert_eq!(store.entry_count().await, Ok(0), "it is no decision");
}
