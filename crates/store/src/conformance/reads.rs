//! Listings: order, pages, filters, limits.

use governance::instance::{Certificate, Superseded};
use governance::{Instance, Kind, State, Tier, Version, World};
use plane::ports::{Commit, InstanceFilter, PAGE_MAX, Store};

use super::fixture::{at, digest, instance, instance_id, writes};

pub(super) async fn an_empty_store_answers_with_nothing(store: &impl Store) {
    assert_eq!(store.world_load().await, Ok((World::default(), 0)));
    assert_eq!(store.instance_load(instance_id(1)).await, Ok(None));
    assert_eq!(store.instance_page(&InstanceFilter::default(), None, 10).await, Ok(vec![]));
    assert_eq!(store.instance_count().await, Ok(vec![]));
    assert_eq!(store.enrolment_load(digest(1)).await, Ok(None));
    assert_eq!(store.enrolment_waiting(at(0), PAGE_MAX).await, Ok(vec![]));
    assert_eq!(store.document_load("keys", "1").await, Ok(None));
    assert_eq!(store.entry_page(0, 10).await, Ok(vec![]));
    assert_eq!(store.entry_count().await, Ok(0));
    assert_eq!(store.nonce_forget(at(u64::MAX)).await, Ok(0));
}

pub(super) async fn entries_come_in_order_and_in_pages(store: &impl Store) {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for number in 0..20_u8 {
        let entries: Vec<Vec<u8>> = (0..number % 4).map(|index| vec![number, index]).collect();
        all.extend(entries.iter().cloned());
        let committed = store.commit(Commit { entries, ..Commit::default() }).await.unwrap();
        assert_eq!(committed.ledger_size, all.len() as u64);
    }
    let size = all.len();
    for from in 0..=size + 1 {
        for limit in [0, 1, 7, size, usize::MAX] {
            let page = store.entry_page(from as u64, limit).await.unwrap();
            let expected: Vec<_> = all.iter().skip(from).take(limit).cloned().collect();
            assert_eq!(page, expected, "from {from}, {limit} of them");
        }
    }
    assert_eq!(store.entry_page(u64::MAX, 5).await, Ok(vec![]));
    assert_eq!(store.entry_count().await, Ok(size as u64));
}

pub(super) async fn entries_about_an_instance_are_found(store: &impl Store) {
    let mut expected: Vec<Vec<(u64, Vec<u8>)>> = vec![Vec::new(); 3];
    let mut position = 0;
    for round in 0..6_u64 {
        for (number, expected) in (0..).zip(&mut expected) {
            // Of each commit about an instance the first entry is the federation's.
            let entries: Vec<Vec<u8>> =
                (0..=round % 3).map(|index| vec![round as u8, number as u8, index as u8]).collect();
            let about_instance: Vec<usize> = (1..entries.len()).collect();
            expected.extend((position..).zip(entries.iter().cloned()).skip(1));
            position += entries.len() as u64;
            let decided_on = (round > 0).then_some(round);
            let commit = Commit { entries, about_instance, ..writes(instance(number), decided_on) };
            store.commit(commit).await.unwrap();
        }
        // Indices mean nothing where no instance is written.
        store
            .commit(Commit { entries: vec![vec![9]], about_instance: vec![0], ..Commit::default() })
            .await
            .unwrap();
        position += 1;
    }
    for (number, all) in (0..).zip(&expected) {
        for (skip, limit) in [(0, PAGE_MAX), (2, 2), (all.len() as u64, 5), (u64::MAX, 1), (0, usize::MAX)] {
            let wanted: Vec<_> =
                all.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).take(limit).cloned().collect();
            assert_eq!(
                store.decision_page(instance_id(number), skip, limit).await,
                Ok(wanted),
                "{skip} {limit}"
            );
        }
    }
    assert_eq!(store.decision_page(instance_id(9), 0, 5).await, Ok(vec![]));
}

pub(super) async fn instances_come_in_pages_by_id(store: &impl Store) {
    // Written out of order: 7 is a generator modulo 23.
    for number in (0..23).map(|step| step * 7 % 23) {
        store.commit(writes(instance(number), None)).await.unwrap();
    }
    for limit in [1, 5, 23, usize::MAX] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.instance_page(&InstanceFilter::default(), after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some((last, _)) = page.last() else { break };
            after = Some(last.id);
            found.extend(page);
        }
        let expected: Vec<_> = (0..23).map(|number| (instance(number), 1)).collect();
        assert_eq!(found, expected, "pages of {limit}");
    }
    assert_eq!(store.instance_page(&InstanceFilter::default(), None, 0).await, Ok(vec![]));
    let behind_the_last = store.instance_page(&InstanceFilter::default(), Some(instance_id(99)), 9).await;
    assert_eq!(behind_the_last, Ok(vec![]));
}

/// An instance whose every filtered field follows from its number.
fn varied(number: u64) -> Instance {
    fn pick<T: Copy>(all: &[T], number: u64) -> T {
        *all.iter().cycle().nth(number as usize).unwrap()
    }
    let mut varied = instance(number);
    varied.state = pick(State::ALL, number);
    varied.kind = pick(Kind::ALL, number);
    varied.subscription.tier = pick(Tier::ALL, number / 2);
    varied.running.platform = Version::new(0, pick(&[1, 10, 2], number / 3), 0);
    varied.provider =
        pick(&[None, Some("acme"), Some("zenith")], number / 4).map(|name| name.parse().unwrap());
    // Believed of all but the revoked, unless another key came in its place.
    let certificate = Certificate { serial: format!("{number:x}"), not_after: at(number) };
    if pick(&[true, false, false], number) {
        varied.superseded = vec![Superseded { certificate, since: at(1) }];
    } else {
        varied.certificates = vec![certificate];
    }
    varied
}

pub(super) async fn a_filter_shows_what_it_names(store: &impl Store) {
    const FLEET: u64 = 60;
    for number in 0..FLEET {
        // Registered first, changed then: a listing goes by what is, not by what was.
        store.commit(writes(instance(number), None)).await.unwrap();
        store.commit(writes(varied(number), Some(1))).await.unwrap();
    }
    let none = InstanceFilter::default();
    let one = varied(17);
    let filters = [
        none.clone(),
        InstanceFilter { state: Some(one.state), ..none.clone() },
        InstanceFilter { platform: Some(Version::new(0, 1, 0)), ..none.clone() },
        InstanceFilter { platform: Some(Version::new(9, 9, 9)), ..none.clone() },
        InstanceFilter { kind: Some(Kind::WhiteLabel), ..none.clone() },
        InstanceFilter { tier: Some(Tier::Custom), ..none.clone() },
        InstanceFilter { provider: "acme".parse().ok(), ..none.clone() },
        InstanceFilter { kind: Some(Kind::Dedicated), tier: Some(Tier::Free), ..none.clone() },
        InstanceFilter {
            state: Some(one.state),
            platform: Some(one.running.platform),
            kind: Some(one.kind),
            tier: Some(one.subscription.tier),
            provider: one.provider.clone(),
            unbelieved: Some(at(20)),
        },
        InstanceFilter { unbelieved: Some(at(20)), ..none.clone() },
        InstanceFilter { unbelieved: Some(at(FLEET)), ..none.clone() },
    ];
    for filter in filters {
        let shown = |one: &Instance| {
            filter.state.is_none_or(|state| state == one.state)
                && filter.platform.is_none_or(|platform| platform == one.running.platform)
                && filter.kind.is_none_or(|kind| kind == one.kind)
                && filter.tier.is_none_or(|tier| tier == one.subscription.tier)
                && (filter.provider.is_none() || filter.provider == one.provider)
                && filter.unbelieved.is_none_or(|at| one.unbelieved(at).next().is_some())
        };
        for after in [None, Some(20)] {
            let behind = (after.map_or(0, |after| after + 1)..FLEET).map(varied);
            let expected: Vec<_> = behind.filter(shown).map(|one| (one, 2)).collect();
            let page = store.instance_page(&filter, after.map(instance_id), PAGE_MAX).await;
            assert_eq!(page, Ok(expected), "{filter:?} after {after:?}");
        }
    }
    let count = |state: State| (0..FLEET).filter(|number| varied(*number).state == state).count() as u64;
    let expected: Vec<_> = State::ALL.iter().map(|state| (*state, count(*state))).collect();
    assert_eq!(store.instance_count().await, Ok(expected), "in the order of the law");
}

pub(super) async fn a_page_has_a_limit(store: &impl Store) {
    let beyond = PAGE_MAX as u64 + 1;
    // Two halves: a commit carries at most so many entries.
    for half in [beyond / 2, beyond - beyond / 2] {
        let entries = (0..half).map(|number| number.to_be_bytes().to_vec()).collect();
        store.commit(Commit { entries, ..Commit::default() }).await.unwrap();
    }
    assert_eq!(store.entry_page(0, usize::MAX).await.unwrap().len(), PAGE_MAX);
    for number in 0..beyond {
        store.commit(writes(instance(number), None)).await.unwrap();
    }
    let page = store.instance_page(&InstanceFilter::default(), None, usize::MAX).await.unwrap();
    assert_eq!(page.len(), PAGE_MAX);
}
