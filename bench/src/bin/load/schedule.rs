//! When requests are due, before any of them is sent: how long the server takes for one never puts off the next, so that what
//! waits behind a slow answer is measured as waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Instants of requests at a mean rate, each independent of the others (a Poisson process), as a large fleet calls.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    random: Random,
    /// Mean pause, in nanoseconds.
    pause: f64,
    /// The next instant, in nanoseconds from the begin.
    next: f64,
    end: u64,
    /// How many may follow.
    left: usize,
    /// Set once no more shall.
    over: Arc<AtomicBool>,
}

impl Arrivals {
    /// Requests at `per_second` on the average for a time, the same for the same seed.
    pub(crate) fn new(per_second: f64, lasting: Duration, seed: u64) -> Self {
        let mut arrivals = Self {
            random: Random(seed),
            pause: 1e9 / per_second.max(1e-9),
            next: 0.0,
            end: u64::try_from(lasting.as_nanos()).unwrap_or(u64::MAX),
            left: usize::MAX,
            over: Arc::default(),
        };
        arrivals.next -= arrivals.pause * arrivals.random.unit().ln();
        arrivals
    }

    /// As many as these, and no more.
    pub(crate) fn at_most(self, count: usize) -> Self {
        Self { left: count, ..self }
    }

    /// The same, until this is set.
    pub(crate) fn until(self, over: Arc<AtomicBool>) -> Self {
        Self { over, ..self }
    }

    /// When the next is due, in nanoseconds from the begin; none once the time is over.
    pub(crate) fn peek(&self) -> Option<u64> {
        // An instant is far below 2^53 nanoseconds (104 days).
        let next = self.next as u64;
        (next < self.end && self.left > 0 && !self.over.load(Ordering::Acquire)).then_some(next)
    }

    /// Goes on to the one behind.
    pub(crate) fn step(&mut self) {
        self.left = self.left.saturating_sub(1);
        self.next -= self.pause * self.random.unit().ln();
    }
}

/// Random enough for a load, and the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Above nothing, and at most one.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut arrivals: Arrivals) -> Vec<u64> {
        std::iter::from_fn(|| {
            let next = arrivals.peek()?;
            arrivals.step();
            Some(next)
        })
        .collect()
    }

    #[test]
    fn requests_are_due_at_the_mean_rate_and_independent() {
        let lasting = Duration::from_secs(20);
        let due = all(Arrivals::new(1_000.0, lasting, 7));
        // 20,000 expected, with a deviation of 141.
        assert!((19_300..20_700).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted() && due.iter().all(|at| *at < 20_000_000_000));
        // Of a Poisson process, 1 - 1/e of the pauses are shorter than their mean.
        let short = due.windows(2).filter(|pair| pair[1] - pair[0] < 1_000_000).count();
        let share = short as f64 / due.len() as f64;
        assert!((0.60..0.66).contains(&share), "{share}");
        assert_eq!(due, all(Arrivals::new(1_000.0, lasting, 7)), "the same seed gives the same load");
        assert_ne!(due, all(Arrivals::new(1_000.0, lasting, 8)));
        assert_eq!(all(Arrivals::new(1_000.0, lasting, 7).at_most(5)), due[..5]);
    }

    #[test]
    fn random_numbers_keep_their_bounds() {
        let mut random = Random(1);
        assert!((0..10_000).all(|_| (1e-17..=1.0).contains(&random.unit())));
        assert!((0..10_000).all(|_| random.below(3) < 3));
        assert_eq!(random.below(0), 0);
    }
}
