//! What several servers on one store need of it: leases, the gate, the sequence of changes, when instances were last heard.

use plane::ports::{Commit, Fence, Gate, Lease, PAGE_MAX, Store, StoreError};

use super::fixture::{at, instance, instance_id, writes};

fn lease(holder: &str, fence: u64, beat: u64) -> Lease {
    Lease { name: "sweep".to_owned(), holder: holder.to_owned(), fence, beat }
}

pub(super) async fn a_lease_is_written_only_over_what_was_read(store: &impl Store) {
    let (first, second) = (lease("a", 1, 0), lease("b", 2, 0));
    assert_eq!(store.lease_load("sweep").await, Ok(None));
    assert_eq!(store.lease_save(Some(&first), &first).await, Ok(false), "there is none yet");
    assert_eq!(store.lease_save(None, &first).await, Ok(true));
    assert_eq!(store.lease_save(None, &second).await, Ok(false), "somebody was first");
    assert_eq!(store.lease_load("sweep").await, Ok(Some(first.clone())));
    let beaten = lease("a", 1, 1);
    assert_eq!(store.lease_save(Some(&first), &beaten).await, Ok(true));
    assert_eq!(store.lease_save(Some(&first), &second).await, Ok(false), "it showed that it lives");
    assert_eq!(store.lease_save(Some(&beaten), &second).await, Ok(true));
    assert_eq!(store.lease_load("sweep").await, Ok(Some(second)));
    assert_eq!(store.lease_load("another").await, Ok(None));
}

pub(super) async fn what_is_done_under_a_lost_lease_is_refused(store: &impl Store) {
    let under = |fence| Commit {
        fence: Some(Fence { lease: "sweep".to_owned(), fence }),
        entries: vec![vec![1]],
        ..Commit::default()
    };
    let lost = Err(StoreError::Conflict("lease"));
    assert_eq!(store.commit(under(1)).await, lost, "nobody ever took it");
    assert_eq!(store.lease_save(None, &lease("a", 1, 0)).await, Ok(true));
    assert!(store.commit(under(1)).await.is_ok());
    assert_eq!(store.lease_save(Some(&lease("a", 1, 0)), &lease("a", 1, 7)).await, Ok(true));
    assert!(store.commit(under(1)).await.is_ok(), "a beat changes nothing");
    assert_eq!(store.lease_save(Some(&lease("a", 1, 7)), &lease("b", 2, 0)).await, Ok(true));
    assert_eq!(store.commit(under(1)).await, lost);
    assert_eq!(store.entry_count().await, Ok(2));
}

pub(super) async fn a_closed_gate_lets_nobody_by_who_decided_before(store: &impl Store) {
    let conflict = || StoreError::Conflict("world");
    assert_eq!(store.gate_close("a", 0).await, Err(conflict()), "there is no federation yet");
    let world = |world_revision| Commit { world: Some(Box::default()), world_revision, ..Commit::default() };
    let other = |number, world_revision| Commit { world_revision, ..writes(instance(number), None) };
    assert!(store.commit(world(0)).await.is_ok());
    assert_eq!(store.gate_load().await, Ok(None));
    assert_eq!(store.gate_close("a", 1).await, Ok(2));
    assert_eq!(store.gate_load().await, Ok(Some(Gate { holder: "a".to_owned(), world_revision: 2 })));
    assert_eq!(store.commit(other(1, 1)).await, Err(conflict()));
    assert_eq!(store.commit(world(2)).await.map(|committed| committed.world_revision), Ok(3));
    assert_eq!(store.gate_load().await, Ok(None), "the commit opened it");
    assert_eq!(store.gate_close("a", 3).await, Ok(4));
    // Whoever closed it is gone: another opens it, and what the first still writes is refused.
    assert_eq!(store.gate_open(3).await, Err(conflict()));
    assert_eq!(store.gate_open(4).await, Ok(5));
    assert_eq!(store.commit(world(4)).await, Err(conflict()));
    assert!(store.commit(other(1, 5)).await.is_ok());
}

pub(super) async fn changes_are_read_on_from_where_one_stopped(store: &impl Store) {
    let about = |number, about: Vec<usize>| Commit {
        entries: vec![vec![1], vec![2]],
        about_instance: about,
        ..writes(instance(number), None)
    };
    assert_eq!(store.change_page(0, 10).await, Ok(vec![]));
    assert!(store.commit(about(1, vec![0, 1])).await.is_ok());
    assert!(store.commit(Commit { entries: vec![vec![3]], ..Commit::default() }).await.is_ok());
    assert!(store.commit(about(2, vec![1])).await.is_ok());
    let (one, two) = (Some(instance_id(1)), Some(instance_id(2)));
    assert_eq!(store.change_page(0, 10).await, Ok(vec![one, one, None, None, two]));
    assert_eq!(store.change_page(1, 2).await, Ok(vec![one, None]));
    assert_eq!(store.change_page(5, 10).await, Ok(vec![]));
}

pub(super) async fn instances_are_found_by_their_ids(store: &impl Store) {
    for number in [4, 2, 7] {
        assert!(store.commit(writes(instance(number), None)).await.is_ok());
    }
    let found =
        store.instance_load_all(&[instance_id(7), instance_id(3), instance_id(2), instance_id(7)]).await;
    assert_eq!(found, Ok(vec![(instance(2), 1), (instance(7), 1)]));
    assert_eq!(store.instance_load_all(&[]).await, Ok(vec![]));
}

pub(super) async fn an_instance_was_heard_when_it_last_was(store: &impl Store) {
    let (one, two) = (instance_id(1), instance_id(2));
    assert_eq!(store.seen_save(&[]).await, Ok(()));
    assert_eq!(store.seen_save(&[(two, at(5)), (one, at(3))]).await, Ok(()));
    assert_eq!(store.seen_save(&[(one, at(9)), (two, at(4))]).await, Ok(()));
    assert_eq!(store.seen_page(None, PAGE_MAX).await, Ok(vec![(one, at(9)), (two, at(5))]));
    assert_eq!(store.seen_page(Some(one), PAGE_MAX).await, Ok(vec![(two, at(5))]));
    assert_eq!(store.seen_page(None, 1).await, Ok(vec![(one, at(9))]));
}
