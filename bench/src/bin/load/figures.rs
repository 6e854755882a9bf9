//! What a run came to: how many, how long each took from when it was due, what it cost the server and us.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::process::Usage;

/// Digits that a latency keeps.
const DIGITS: u8 = 3;
/// Causes of failure that are told apart.
const CAUSES_MAX: usize = 20;

/// What was counted while it ran.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Latencies in nanoseconds, by what was done.
    done: BTreeMap<&'static str, Histogram<u64>>,
    /// Failures, by their cause.
    failures: BTreeMap<String, u64>,
    /// How much later than due operations began on connections at rest, in nanoseconds: our own lateness.
    late: Histogram<u64>,
    /// Full handshakes.
    pub(crate) handshakes: u64,
    /// Connections that ended under an operation, which was tried again.
    pub(crate) reconnected: u64,
    /// Operations that the server put off (503), each time.
    pub(crate) put_off: u64,
    /// From the begin to the last answer.
    pub(crate) lasted: Duration,
}

fn histogram() -> Histogram<u64> {
    // One nanosecond to ten minutes; it grows by itself beyond.
    let made = Histogram::new_with_bounds(1, 600_000_000_000, DIGITS).or_else(|_| Histogram::new(DIGITS));
    made.expect("a histogram of three digits is always made")
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            done: BTreeMap::new(),
            failures: BTreeMap::new(),
            late: histogram(),
            handshakes: 0,
            reconnected: 0,
            put_off: 0,
            lasted: Duration::ZERO,
        }
    }
}

impl Tally {
    /// An operation that ended so long after it was due.
    pub(crate) fn done(&mut self, name: &'static str, nanoseconds: u64) {
        self.done.entry(name).or_insert_with(histogram).saturating_record(nanoseconds.max(1));
    }

    /// An operation that failed.
    pub(crate) fn failed(&mut self, why: String) {
        let known = self.failures.len() < CAUSES_MAX || self.failures.contains_key(&why);
        let why = if known { why } else { "other causes".to_owned() };
        *self.failures.entry(why).or_default() += 1;
    }

    /// An operation that began so long after it was due, though its connection was at rest.
    pub(crate) fn late(&mut self, nanoseconds: u64) {
        self.late.saturating_record(nanoseconds.max(1));
    }

    /// Operations that ended well.
    pub(crate) fn count(&self) -> u64 {
        self.done.values().map(Histogram::len).sum()
    }

    /// Operations that did not.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.values().sum()
    }

    /// The causes of failure, each as often as it was.
    pub(crate) fn causes(&self) -> String {
        let told: Vec<String> = self.failures.iter().map(|(why, count)| format!("{count} × {why}")).collect();
        told.join("; ")
    }
}

/// Latencies in microseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    /// What was done.
    pub(crate) what: String,
    /// How often.
    pub(crate) count: u64,
    /// Half took at most so long.
    pub(crate) p50_us: f64,
    /// 99 of a hundred.
    pub(crate) p99_us: f64,
    /// 999 of a thousand.
    pub(crate) p999_us: f64,
    /// All.
    pub(crate) max_us: f64,
}

impl Latency {
    fn of(what: &str, histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            what: what.to_owned(),
            count: histogram.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max() as f64 / 1e3,
        }
    }
}

/// A run as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    /// What was run.
    pub(crate) run: String,
    /// Against which server.
    pub(crate) server: String,
    /// Connections.
    pub(crate) connections: usize,
    /// Instances in the store besides those that are connected.
    pub(crate) fleet: u64,
    /// Operations that ended well.
    pub(crate) done: u64,
    /// Operations that did not.
    pub(crate) failed: u64,
    /// Why not.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Full handshakes.
    pub(crate) handshakes: u64,
    /// Connections that ended under an operation.
    pub(crate) reconnected: u64,
    /// Answers that put an operation off.
    pub(crate) put_off: u64,
    /// From the begin to the last answer.
    pub(crate) seconds: f64,
    /// Operations a second.
    pub(crate) per_second: f64,
    /// CPU time of the server for each operation, its user and its system part.
    pub(crate) server_cpu_us: f64,
    /// Its user part.
    pub(crate) server_user_us: f64,
    /// Its system part.
    pub(crate) server_system_us: f64,
    /// Cores that the server kept busy.
    pub(crate) server_cores: f64,
    /// The server's memory at the end, without mapped files.
    pub(crate) server_memory_mib: f64,
    /// At most, with them.
    pub(crate) server_peak_mib: f64,
    /// CPU time of the load generator for each operation.
    pub(crate) client_cpu_us: f64,
    /// How late the load generator itself began 99 of a hundred operations.
    pub(crate) client_late_p99_us: f64,
    /// By what was done.
    pub(crate) latencies: Vec<Latency>,
}

/// What a run was about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) run: &'a str,
    pub(crate) server: &'a str,
    pub(crate) connections: usize,
    pub(crate) fleet: u64,
}

impl Figures {
    /// Puts together what was counted and what was used meanwhile.
    pub(crate) fn new(about: About<'_>, tally: &Tally, used: &Usage, own: Duration) -> Self {
        let done = tally.count();
        let seconds = tally.lasted.as_secs_f64();
        let each = |time: Duration| time.as_secs_f64() * 1e6 / done.max(1) as f64;
        Self {
            run: about.run.to_owned(),
            server: about.server.to_owned(),
            connections: about.connections,
            fleet: about.fleet,
            done,
            failed: tally.failures(),
            failures: tally.failures.clone(),
            handshakes: tally.handshakes,
            reconnected: tally.reconnected,
            put_off: tally.put_off,
            seconds,
            per_second: done as f64 / seconds.max(1e-9),
            server_cpu_us: each(used.cpu()),
            server_user_us: each(used.user),
            server_system_us: each(used.system),
            server_cores: used.cpu().as_secs_f64() / seconds.max(1e-9),
            server_memory_mib: used.memory as f64 / 1_048_576.0,
            server_peak_mib: used.memory_peak as f64 / 1_048_576.0,
            client_cpu_us: each(own),
            client_late_p99_us: tally.late.value_at_quantile(0.99) as f64 / 1e3,
            latencies: tally.done.iter().map(|(what, histogram)| Latency::of(what, histogram)).collect(),
        }
    }

    /// As lines for people.
    pub(crate) fn shown(&self) -> String {
        let mut text = format!(
            "{} against {}: {} connections, {} further instances\n",
            self.run, self.server, self.connections, self.fleet
        );
        text += &format!(
            "  {} done in {:.1} s: {:.0} a second; {} failed, {} put off, {} handshakes, {} reconnected\n",
            self.done,
            self.seconds,
            self.per_second,
            self.failed,
            self.put_off,
            self.handshakes,
            self.reconnected
        );
        for (why, count) in &self.failures {
            text += &format!("    {count} × {why}\n");
        }
        text += &format!(
            "  server: {:.1} µs of CPU each ({:.1} user, {:.1} system), {:.2} cores busy, {:.1} MiB (peak {:.1})\n",
            self.server_cpu_us,
            self.server_user_us,
            self.server_system_us,
            self.server_cores,
            self.server_memory_mib,
            self.server_peak_mib
        );
        text += &format!(
            "  load generator: {:.1} µs of CPU each; it was itself late by {} in 99 of 100\n",
            self.client_cpu_us,
            time(self.client_late_p99_us)
        );
        text += &format!(
            "  {:<12} {:>9} {:>10} {:>10} {:>10} {:>10}\n",
            "latency", "count", "p50", "p99", "p999", "max"
        );
        for latency in &self.latencies {
            text += &format!(
                "  {:<12} {:>9} {:>10} {:>10} {:>10} {:>10}\n",
                latency.what,
                latency.count,
                time(latency.p50_us),
                time(latency.p99_us),
                time(latency.p999_us),
                time(latency.max_us)
            );
        }
        text
    }
}

/// A time in the unit that suits it.
pub(crate) fn time(microseconds: f64) -> String {
    match microseconds {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// The value in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    if values.len() % 2 == 1 { at(middle) } else { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_by_operation_and_quantile() {
        let mut tally = Tally::default();
        (1..=1_000).for_each(|n| tally.done("check-in", n * 1_000));
        tally.failed("503 busy".to_owned());
        tally.failed("503 busy".to_owned());
        tally.lasted = Duration::from_secs(2);
        let used = Usage {
            user: Duration::from_millis(30),
            system: Duration::from_millis(10),
            memory: 3 << 20,
            memory_peak: 4 << 20,
        };
        let about = About { run: "quiet", server: "the plane", connections: 3, fleet: 0 };
        let figures = Figures::new(about, &tally, &used, Duration::from_millis(5));
        assert_eq!((figures.done, figures.failed, figures.per_second), (1_000, 2, 500.0));
        assert_eq!((figures.server_cpu_us, figures.server_user_us, figures.client_cpu_us), (40.0, 30.0, 5.0));
        assert_eq!((figures.server_memory_mib, figures.server_cores), (3.0, 0.02));
        let latency = &figures.latencies[0];
        let near = |found: f64, wanted: f64| (found - wanted).abs() / wanted < 0.002;
        assert!(near(latency.p50_us, 500.0) && near(latency.p99_us, 990.0), "{latency:?}");
        assert!(near(latency.p999_us, 999.0) && near(latency.max_us, 1_000.0), "{latency:?}");
        assert!(figures.shown().contains("2 × 503 busy"));
    }

    #[test]
    fn causes_are_bounded_and_medians_lie_in_the_middle() {
        let mut tally = Tally::default();
        (0..100).for_each(|n| tally.failed(format!("cause {n}")));
        assert_eq!((tally.failures(), tally.failures.len()), (100, CAUSES_MAX + 1));
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn a_time_is_shown_in_its_unit() {
        assert_eq!([12.0, 1_500.0, 2_000_000.0].map(time), ["12 µs", "1.5 ms", "2.00 s"]);
    }
}
