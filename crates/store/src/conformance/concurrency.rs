//! Many commits at once: positions, refusals among them, races for the same thing.

use std::sync::Arc;

use plane::ports::{Commit, Committed, EnrolmentWrite, PAGE_MAX, Store, StoreError};
use tokio::task::JoinSet;

use super::fixture::{digest, enrolment, enrolment_use, instance, instance_id, nonce, writes};

/// Callers at once.
const CALLERS: u64 = 64;
/// Commits of each.
const COMMITS: u64 = 8;

/// The entries of one caller's commit: one to three, each telling whose it is.
fn entries(caller: u64, commit: u64) -> Vec<Vec<u8>> {
    (0..=(caller + commit) % 3).map(|index| format!("{caller} {commit} {index}").into_bytes()).collect()
}

pub(super) async fn positions_have_no_gaps(store: impl Store) {
    let store = Arc::new(store);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            let mut sizes = Vec::new();
            for number in 0..COMMITS {
                let decided_on = (number > 0).then_some(number);
                let commit =
                    Commit { entries: entries(caller, number), ..writes(instance(caller), decided_on) };
                let committed = store.commit(commit).await.unwrap();
                assert_eq!(committed.instance_revision, number + 1);
                // What was answered is there for everyone who asks from now on.
                let found = store.instance_load(instance_id(caller)).await.unwrap();
                assert_eq!(found.map(|(_, revision)| revision), Some(number + 1));
                sizes.push((caller, number, committed.ledger_size));
            }
            sizes
        });
    }
    let mut sizes: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    sizes.sort_unstable_by_key(|(.., size)| *size);
    let mut expected = Vec::new();
    for (caller, number, size) in sizes {
        expected.extend(entries(caller, number));
        assert_eq!(size, expected.len() as u64, "each commit's entries end where it was told");
    }
    assert_eq!(store.entry_count().await, Ok(expected.len() as u64));
    let mut found = Vec::new();
    while found.len() < expected.len() {
        let page = store.entry_page(found.len() as u64, PAGE_MAX).await.unwrap();
        assert!(!page.is_empty());
        found.extend(page);
    }
    assert_eq!(found, expected);
}

pub(super) async fn a_refused_commit_harms_no_other(store: impl Store) {
    let store = Arc::new(store);
    store.commit(Commit { nonce: Some(nonce(0)), ..Commit::default() }).await.unwrap();
    let mut callers = JoinSet::new();
    for caller in 1..=CALLERS {
        let store = Arc::clone(&store);
        let spent = caller.is_multiple_of(5);
        callers.spawn(async move {
            let mut commit = Commit { entries: entries(caller, 0), ..writes(instance(caller), None) };
            commit.nonce = Some(nonce(if spent { 0 } else { caller }));
            (caller, spent, store.commit(commit).await)
        });
    }
    let mut expected = 0;
    for (caller, spent, outcome) in callers.join_all().await {
        assert_eq!(outcome.as_ref().err(), spent.then_some(&StoreError::NonceSpent), "{caller}");
        assert_eq!(store.instance_load(instance_id(caller)).await.unwrap().is_some(), !spent, "{caller}");
        expected += if spent { 0 } else { entries(caller, 0).len() as u64 };
    }
    assert_eq!(store.entry_count().await, Ok(expected));
}

/// Sends one commit per caller at once; answers how many were done and how each other was refused.
async fn race<S: Store>(store: &Arc<S>, commit: impl Fn(u64) -> Commit) -> (usize, Vec<StoreError>) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (store, commit) = (Arc::clone(store), commit(caller));
        callers.spawn(async move { store.commit(commit).await });
    }
    let (done, refused): (Vec<_>, Vec<_>) = callers.join_all().await.into_iter().partition(Result::is_ok);
    (done.len(), refused.into_iter().filter_map(Result::<Committed, _>::err).collect())
}

pub(super) async fn one_of_many_wins(store: impl Store) {
    let store = Arc::new(store);
    let others = CALLERS as usize - 1;
    let check = |what: &str, (done, refused): (usize, Vec<StoreError>), refusal: StoreError| {
        assert_eq!((done, refused), (1, vec![refusal; others]), "{what}");
    };
    let made = race(&store, |_| writes(instance(1), None)).await;
    check("an id", made, StoreError::Conflict("instance"));
    let written = race(&store, |_| writes(instance(1), Some(1))).await;
    check("a revision", written, StoreError::Conflict("instance"));
    let spent =
        race(&store, |caller| Commit { nonce: Some(nonce(1)), ..writes(instance(caller + 10), None) }).await;
    check("a nonce", spent, StoreError::NonceSpent);
    let create = |_| Commit { enrolment: Some(EnrolmentWrite::Create(enrolment(1))), ..Commit::default() };
    check("an enrolment", race(&store, create).await, StoreError::Conflict("enrolment"));
    let uses = |caller| {
        let write = EnrolmentWrite::Use { digest: digest(1), used: enrolment_use(caller) };
        Commit { enrolment: Some(write), ..Commit::default() }
    };
    check("its use", race(&store, uses).await, StoreError::EnrolmentUsed);
    let worlds = |_| Commit { world: Some(Box::default()), ..Commit::default() };
    check("the world", race(&store, worlds).await, StoreError::Conflict("world"));
}
