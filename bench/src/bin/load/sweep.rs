//! A release is published over a large fleet: every instance is looked at anew, and some are offered it. How long that takes,
//! beside a bare scan of the same records, and what whoever checks in meanwhile feels of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use plane::ports::{InstanceFilter, PAGE_MAX, Store as _};
use serde::Serialize;
use store::{AnyStore, Place};

use crate::calls::Calls;
use crate::clients::{PLATFORM, Signature};
use crate::drive::{Drive, Pace, Plan};
use crate::federation::counter;
use crate::figures::{About, Figures};
use crate::options::{Rate, SweepArgs};
use crate::process::own_cpu;
use crate::runs::{Stage, UPGRADE, connect, measure, show, whole};
use crate::schedule::Arrivals;

/// Check-ins a second, where no rate is given: a tenth of what one core takes.
const RATE: f64 = 2_000.0;
/// Between two looks at whether the sweep is over.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a sweep may take.
const WITHIN: Duration = Duration::from_secs(600);
/// Where the order of calls begins.
const SEED: u64 = 7;
/// The server's counter of sweeps that came to their end.
const SWEEPS: &str = "fedplane_background_runs_total{task=\"sweep\",outcome=\"done\"}";
/// Its count of ledger entries, as of the last sweep.
const ENTRIES: &str = "fedplane_ledger_entries";

/// What was found.
#[derive(Clone, Debug, Serialize)]
struct Found {
    fleet: u64,
    /// From when the release was asked to be published until every instance was looked at and everything due was decided.
    sweep_seconds: f64,
    /// CPU time of the server in that time, but for the check-ins.
    sweep_cpu_seconds: f64,
    /// Ledger entries that were decided meanwhile.
    entries: u64,
    /// One scan of all records through the store's port, each read and parsed.
    scan_seconds: f64,
    scan_cpu_seconds: f64,
    /// CPU time of the sweep to that of the scan.
    cpu_ratio: f64,
    /// The server's memory when it was over, in MiB.
    memory_mib: f64,
    /// Check-ins beside nothing else.
    before: Figures,
    /// Check-ins during the sweep.
    during: Figures,
    /// The 99th of a hundred, during to before.
    p99_ratio: f64,
}

/// Runs it.
pub(crate) fn run(args: &SweepArgs) -> anyhow::Result<()> {
    let common = &args.common;
    let made = Stage::make_with(common, common.count(), args.percent)?;
    // Before anybody runs it.
    made.federation.publish(PLATFORM, "minor")?;
    let (mut stage, instances) = made.with_instances(common)?;
    let mut drive =
        Drive::new(Calls::new(instances, Signature::Hmac), common.count(), stage.federation.instances)?;
    connect(&mut drive, common.count())?;
    connect(&mut drive, common.count())?;
    let rate = match common.rate {
        Rate::Max => RATE,
        Rate::PerSecond(rate) => rate,
    };
    let plan = |arrivals| Plan { pace: Pace::Open(arrivals), afresh: false };
    let calm = plan(Arrivals::new(rate, common.lasting(), SEED));
    let before = stage.measure("check-ins beside nothing else", &mut drive, calm, common.count())?;
    whole(&before)?;

    let over = Arc::new(AtomicBool::new(false));
    let (metrics, sweeps) = (stage.federation.metrics, counter(stage.federation.metrics, SWEEPS)?);
    let before_entries = counter(metrics, ENTRIES)?;
    let busy = plan(Arrivals::new(rate, WITHIN, SEED).until(Arc::clone(&over)));
    // The stage is one thread's: this one only publishes and looks on.
    let federation = &stage.federation;
    let (swept, during) = std::thread::scope(|scope| {
        let swept = scope.spawn(|| {
            let began = Instant::now();
            let done =
                federation.publish(UPGRADE, "minor").and_then(|()| await_sweep(metrics, sweeps, before_entries, began));
            over.store(true, Ordering::Release);
            done.map(|()| began.elapsed())
        });
        let about = About {
            run: "check-ins during the sweep",
            server: "the plane",
            connections: common.count(),
            fleet: stage.fleet,
        };
        let during = measure(about, &mut stage.plane, &mut drive, busy);
        (swept.join(), during)
    });
    let swept = swept.ok().context("the thread that publishes broke off")??;
    let during = during?;
    whole(&during)?;
    let entries = counter(metrics, ENTRIES)?.saturating_sub(before_entries);
    let memory_mib = during.server_memory_mib;
    let rows = stage.federation.rows();
    // The folder lies there until it is dropped.
    let Stage { federation: _there, plane, fleet } = stage;
    plane.stop()?;
    let (scan, scan_cpu) = scan(rows)?;
    let p99 = |figures: &Figures| figures.latencies.first().map_or(f64::NAN, |latency| latency.p99_us);
    // Both served as many check-ins a second: what is beyond theirs is the sweep's.
    let sweep_cpu = (during.server_cores - before.server_cores) * during.seconds;
    let found = Found {
        fleet,
        sweep_seconds: swept.as_secs_f64(),
        sweep_cpu_seconds: sweep_cpu,
        entries,
        scan_seconds: scan.as_secs_f64(),
        scan_cpu_seconds: scan_cpu.as_secs_f64(),
        cpu_ratio: sweep_cpu / scan_cpu.as_secs_f64().max(1e-9),
        memory_mib,
        p99_ratio: p99(&during) / p99(&before),
        before,
        during,
    };
    show(common.json, &found, Found::shown)
}

/// Waits until the sweep behind the release is over, and what it decided is counted.
fn await_sweep(metrics: SocketAddr, sweeps: u64, entries: u64, began: Instant) -> anyhow::Result<()> {
    while counter(metrics, SWEEPS)? <= sweeps || counter(metrics, ENTRIES)? <= entries {
        ensure!(began.elapsed() < WITHIN, "no sweep came to its end within {WITHIN:?}");
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Reads every record once, as whoever looks at the whole fleet must; gives how long it took, and our own CPU time.
fn scan(rows: Place) -> anyhow::Result<(Duration, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = AnyStore::open(rows).await?;
        let (began, cpu) = (Instant::now(), own_cpu());
        let (mut after, mut read) = (None, 0_u64);
        loop {
            let page = store.instance_page(&InstanceFilter::default(), after, PAGE_MAX).await?;
            read += page.len() as u64;
            after = page.last().map(|(instance, _)| instance.id);
            if page.len() < PAGE_MAX {
                break;
            }
        }
        ensure!(read > 0, "there is nobody to look at");
        Ok((began.elapsed(), own_cpu().saturating_sub(cpu)))
    })
}

impl Found {
    fn shown(&self) -> String {
        format!(
            "{}{}a release over {} instances: looked at and decided within {:.2} s ({:.2} s of CPU, {} ledger entries); \
             one scan of the records: {:.2} s ({:.2} s of CPU); ratio of the CPU time {:.2} (goal ≤ 2)\n\
             a check-in's p99 during the sweep ÷ without: {:.2} (goal ≤ 1.5); the server's memory {:.0} MiB\n",
            self.before.shown(),
            self.during.shown(),
            self.fleet,
            self.sweep_seconds,
            self.sweep_cpu_seconds,
            self.entries,
            self.scan_seconds,
            self.scan_cpu_seconds,
            self.cpu_ratio,
            self.p99_ratio,
            self.memory_mib
        )
    }
}
