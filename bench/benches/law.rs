//! `reconcile`, `advance` and the sweep, each beside a bare loop over the same structs. `cargo xtask bench` shows the ratios.
#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fedplane_bench::{START, census, fleet, instance, open, publish, settle, with_three_findings, world};
use governance::reconcile::{is_due, reconcile};
use governance::rollout::advance;
use governance::{Class, Instance, Span, Timestamp, Version};

/// Instances of the fleet that fits no cache.
const MILLION: u64 = 1_000_000;
/// Instances whose rollout is advanced.
const COHORT: u64 = 10_000;

/// What any audit must do at the least: look at each instance's clock.
fn bare(fleet: &[Instance], now: Timestamp) -> usize {
    fleet.iter().filter(|instance| now.since(instance.reported) > Span::hours(48)).count()
}

fn one(c: &mut Criterion) {
    let mut group = c.benchmark_group("one");
    let world = world();
    let quiet = instance(1, &world);
    let now = START + Span::hours(1);
    assert!(reconcile(&quiet, &world, now).is_empty(), "quiet");
    group
        .bench_function("bare", |b| b.iter(|| bare(black_box(std::slice::from_ref(&quiet)), black_box(now))));
    group.bench_function("reconcile-quiet", |b| {
        b.iter(|| reconcile(black_box(&quiet), &world, black_box(now)))
    });
    let (world, found, now) = with_three_findings();
    assert!(reconcile(&found, &world, now).is_empty(), "settled");
    group.bench_function("reconcile-three-findings", |b| {
        b.iter(|| reconcile(black_box(&found), &world, black_box(now)))
    });
    group.finish();
}

fn rollout(c: &mut Criterion) {
    let mut group = c.benchmark_group("rollout");
    group.throughput(Throughput::Elements(COHORT));
    let mut world = world();
    let fleet = fleet(COHORT, &world);
    publish(&mut world, Version::new(0, 1, 1), Class::Minor, START);
    let now = START + Span::hours(1);
    group.bench_function("bare", |b| b.iter(|| bare(black_box(&fleet), black_box(now))));
    group.bench_function("census-and-advance", |b| {
        b.iter(|| {
            let census = census(&world, 1, black_box(&fleet));
            let events = advance(&world.rollouts[1], census, &world, black_box(now));
            assert_eq!(events.len(), 1, "canary opens");
            events
        })
    });
    group.finish();
}

fn sweep(c: &mut Criterion) {
    let mut group = c.benchmark_group("sweep");
    group.sample_size(10).throughput(Throughput::Elements(MILLION));
    let mut world = world();
    let mut fleet = fleet(MILLION, &world);
    // A year of the federation: a rollout on its way, and one instance in twenty that has it on offer.
    publish(&mut world, Version::new(0, 1, 1), Class::Minor, START);
    open(&mut world, &fleet, START);
    fleet.iter_mut().for_each(|instance| settle(instance, &world, START));
    let now = START + Span::hours(1);
    group.bench_function("bare", |b| b.iter(|| bare(black_box(&fleet), black_box(now))));
    group.bench_function("million", |b| {
        b.iter(|| {
            let due = black_box(&fleet).iter().filter(|instance| is_due(instance, &world, now)).count();
            assert_eq!(due, 0, "at rest");
        })
    });
    group.finish();
}

criterion_group!(benches, one, rollout, sweep);
criterion_main!(benches);
