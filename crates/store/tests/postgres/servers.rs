//! Two servers that write to one database at once.

use std::sync::Arc;

use plane::ports::{Commit, Document, EnrolmentWrite, PAGE_MAX, Store, StoreError};
use store::PostgresStore;
use store::conformance::fixture::{digest, enrolment, enrolment_use, instance, instance_id, nonce, writes};
use store::conformance::postgres::Database;
use tokio::task::JoinSet;

/// Callers of each server.
const CALLERS: u64 = 48;
/// Commits of each caller.
const COMMITS: u64 = 8;

async fn two(database: &Database) -> [Arc<PostgresStore>; 2] {
    [Arc::new(database.store().await), Arc::new(database.store().await)]
}

async fn ledger(store: &PostgresStore) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    loop {
        let page = store.entry_page(found.len() as u64, PAGE_MAX).await.unwrap();
        if page.is_empty() {
            return found;
        }
        found.extend(page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_have_no_gaps_whichever_server_commits() {
    let Some(database) = Database::fresh().await else { return };
    let servers = two(&database).await;
    let mut callers = JoinSet::new();
    for caller in 0..2 * CALLERS {
        let store = Arc::clone(&servers[usize::try_from(caller % 2).unwrap()]);
        callers.spawn(async move {
            let mut told = Vec::new();
            for number in 0..COMMITS {
                let entries: Vec<Vec<u8>> = (0..=(caller + number) % 3)
                    .map(|index| format!("{caller} {number} {index}").into_bytes())
                    .collect();
                let about_instance = vec![0];
                let decided_on = (number > 0).then_some(number);
                let commit = Commit {
                    entries: entries.clone(),
                    about_instance,
                    ..writes(instance(caller), decided_on)
                };
                let committed = store.commit(commit).await.unwrap();
                told.push((committed.ledger_size, entries));
            }
            told
        });
    }
    let mut told: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    told.sort_unstable();
    let mut expected = Vec::new();
    for (size, entries) in told {
        expected.extend(entries);
        assert_eq!(size, expected.len() as u64, "each commit's entries end where it was told");
    }
    for store in &servers {
        assert_eq!(ledger(store).await, expected);
        assert_eq!(store.check().await, Ok(vec![]));
    }
    let words = servers[0].outbox_page("ledger", PAGE_MAX).await.unwrap();
    let mut end = 0;
    for word in &words {
        assert_eq!(word.position, end, "word of every commit, none twice");
        end += word.entries;
    }
    assert_eq!(end, expected.len() as u64);
}

/// Sends one commit per caller to either server at once; answers how many were done, and how the others were refused.
async fn race(servers: &[Arc<PostgresStore>; 2], commit: impl Fn(u64) -> Commit) -> (usize, Vec<StoreError>) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (store, commit) = (Arc::clone(&servers[usize::try_from(caller % 2).unwrap()]), commit(caller));
        callers.spawn(async move { store.commit(commit).await });
    }
    let (done, refused): (Vec<_>, Vec<_>) = callers.join_all().await.into_iter().partition(Result::is_ok);
    (done.len(), refused.into_iter().filter_map(Result::err).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn hs_6_one_of_many_wins_whichever_server_is_asked() {
    let Some(database) = Database::fresh().await else { return };
    let servers = two(&database).await;
    let others = CALLERS as usize - 1;
    let check = |what: &str, (done, refused): (usize, Vec<StoreError>), refusal: StoreError| {
        assert_eq!((done, refused), (1, vec![refusal; others]), "{what}");
    };
    for round in 0..4 {
        let made = race(&servers, |_| writes(instance(round), None)).await;
        check("an id", made, StoreError::Conflict("instance"));
        let written = race(&servers, |_| writes(instance(round), Some(1))).await;
        check("a revision", written, StoreError::Conflict("instance"));
        let spent = race(&servers, |caller| Commit {
            nonce: Some(nonce(round)),
            ..writes(instance(1_000 + round * 100 + caller), None)
        });
        check("a nonce", spent.await, StoreError::NonceSpent);
        let create = EnrolmentWrite::Create(enrolment(round));
        let made = race(&servers, |_| Commit { enrolment: Some(create.clone()), ..Commit::default() }).await;
        check("an enrolment", made, StoreError::Conflict("enrolment"));
        let uses = race(&servers, |caller| {
            let write = EnrolmentWrite::Use { digest: digest(round), used: enrolment_use(caller) };
            Commit { enrolment: Some(write), ..Commit::default() }
        });
        check("its use", uses.await, StoreError::EnrolmentUsed);
    }
    // Whoever was refused for his nonce left no instance behind.
    let kept =
        servers[0].instance_page(&plane::ports::InstanceFilter::default(), None, PAGE_MAX).await.unwrap();
    assert_eq!(kept.len(), 4 + 4);
    let worlds = race(&servers, |_| Commit { world: Some(Box::default()), ..Commit::default() }).await;
    check("the world", worlds, StoreError::Conflict("world"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_into_the_others_way_is_refused_or_served_and_never_stuck() {
    let Some(database) = Database::fresh().await else { return };
    let servers = two(&database).await;
    // Every commit wants three of a few things at once, in an order of its own: nonce, instance, document.
    let mut callers = JoinSet::new();
    for caller in 0..2 * CALLERS {
        let store = Arc::clone(&servers[usize::try_from(caller % 2).unwrap()]);
        callers.spawn(async move {
            let (mut done, mut refused) = (0_u64, 0_u64);
            for round in 0..COMMITS {
                let pick = |step: u64| (caller * 7 + round * step) % 5;
                let found = store.instance_load(instance_id(pick(3))).await.unwrap();
                let name = pick(2).to_string();
                let commit = Commit {
                    nonce: Some(nonce(caller * pick(1) % 40)),
                    entries: vec![vec![1]],
                    documents: vec![Document { kind: "order".to_owned(), name, bytes: vec![2] }],
                    ..writes(instance(pick(3)), found.map(|(_, revision)| revision))
                };
                match store.commit(commit).await {
                    Ok(_) => done += 1,
                    Err(StoreError::Conflict("instance") | StoreError::NonceSpent) => refused += 1,
                    Err(other) => assert_eq!(other, StoreError::NonceSpent, "neither in the way nor spent"),
                }
            }
            (done, refused)
        });
    }
    let counts = callers.join_all().await;
    let done: u64 = counts.iter().map(|(done, _)| done).sum();
    let refused: u64 = counts.iter().map(|(_, refused)| refused).sum();
    assert_eq!(done + refused, 2 * CALLERS * COMMITS);
    assert!(done > 0 && refused > 0, "{done} {refused}: the test shows nothing");
    assert_eq!(servers[0].entry_count().await, Ok(done));
    let mut revisions = 0;
    for number in 0..5 {
        revisions +=
            servers[1].instance_load(instance_id(number)).await.unwrap().map_or(0, |(_, revision)| revision);
    }
    assert_eq!(revisions, done, "each that was done counts once");
    assert_eq!(servers[1].check().await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_closes_between_the_commits_of_two_servers() {
    let Some(database) = Database::fresh().await else { return };
    let servers = two(&database).await;
    servers[0].commit(Commit { world: Some(Box::default()), ..Commit::default() }).await.unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = Arc::clone(&servers[usize::try_from(caller % 2).unwrap()]);
        callers.spawn(async move {
            let mut done = 0;
            for number in 0_u64.. {
                let decided_on = (number > 0).then_some(number);
                let entries = vec![vec![1]];
                let commit = Commit { world_revision: 1, entries, ..writes(instance(caller), decided_on) };
                match store.commit(commit).await {
                    Ok(_) => done += 1,
                    refused => {
                        assert_eq!(refused, Err(StoreError::Conflict("world")));
                        break;
                    }
                }
            }
            done
        });
    }
    while servers[0].entry_count().await.unwrap() < CALLERS {
        tokio::task::yield_now().await;
    }
    assert_eq!(servers[1].gate_close("b", 1).await, Ok(2));
    let at_closing = servers[1].entry_count().await.unwrap();
    let done: u64 = callers.join_all().await.into_iter().sum();
    assert_eq!(
        (servers[0].entry_count().await.unwrap(), done),
        (at_closing, at_closing),
        "nobody came by behind it"
    );
}
