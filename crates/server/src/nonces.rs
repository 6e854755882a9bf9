//! The nonces seen of late (HS-6): a request that is sent twice is refused the second time, whatever it does.
//!
//! In memory and bounded. What changes state spends its nonce in the deciding transaction too, so that nothing is
//! decided twice across a restart. Time is an argument.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use governance::{Digest, Span, Timestamp};
use proof::KeyId;

/// Half a SHA-256 over key and nonce: nobody finds two with the same within a nonce's life.
type Mark = [u8; 16];

/// What became of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// It was fresh, and is spent now.
    Fresh,
    /// It was seen before.
    Replayed,
    /// Nothing more can be remembered until older ones expire.
    Full,
}

/// The nonces seen of late, in two generations: each lives for at least one life of a nonce, at most two.
#[derive(Debug)]
pub(crate) struct Nonces {
    /// Marks in each generation at most.
    marks_max: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug)]
struct Generations {
    young: HashSet<Mark>,
    old: HashSet<Mark>,
    began: Timestamp,
}

impl Nonces {
    pub(crate) fn new(nonces_max: usize, now: Timestamp) -> Self {
        let generations = Generations { young: HashSet::new(), old: HashSet::new(), began: now };
        Self { marks_max: nonces_max.div_ceil(2), generations: Mutex::new(generations) }
    }

    /// Spends a nonce that no request may use again within `life`.
    pub(crate) fn spend(&self, key: KeyId, nonce: &[u8; 16], life: Span, now: Timestamp) -> Spent {
        let mark = mark(key, nonce);
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.since(generations.began);
        if age > life {
            let young = std::mem::take(&mut generations.young);
            // Nothing came for two lives: the young ones are too old as well.
            generations.old = if age > life.times(2) { HashSet::new() } else { young };
            generations.began = now;
        }
        if generations.old.contains(&mark) || generations.young.contains(&mark) {
            Spent::Replayed
        } else if generations.young.len() >= self.marks_max {
            Spent::Full
        } else {
            generations.young.insert(mark);
            Spent::Fresh
        }
    }
}

fn mark(key: KeyId, nonce: &[u8; 16]) -> Mark {
    let digest = Digest::of_parts(&[key.as_bytes(), nonce]);
    let mut mark = [0; 16];
    mark.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::{SeedKey, Sign as _};

    const LIFE: Span = Span::from_millis(1_000);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(50_000 + millis)
    }

    #[test]
    fn hs_6_a_nonce_is_good_once_for_its_whole_life() {
        let (one, two) = (SeedKey::new([1; 32]).key_id(), SeedKey::new([2; 32]).key_id());
        for spent_at in [0, 1, 500, 999, 1_000, 1_001, 1_999, 2_500] {
            let nonces = Nonces::new(100, at(0));
            assert_eq!(nonces.spend(one, &[7; 16], LIFE, at(spent_at)), Spent::Fresh);
            assert_eq!(
                nonces.spend(two, &[7; 16], LIFE, at(spent_at)),
                Spent::Fresh,
                "another key's is another"
            );
            for later in (0..=1_000).step_by(50) {
                assert_eq!(
                    nonces.spend(one, &[7; 16], LIFE, at(spent_at + later)),
                    Spent::Replayed,
                    "{later}"
                );
            }
        }
    }

    #[test]
    fn hs_6_the_memory_is_bounded_and_never_forgets_early() {
        let key = SeedKey::new([1; 32]).key_id();
        let nonces = Nonces::new(4, at(0));
        assert_eq!(nonces.spend(key, &[1; 16], LIFE, at(0)), Spent::Fresh);
        assert_eq!(nonces.spend(key, &[2; 16], LIFE, at(0)), Spent::Fresh);
        assert_eq!(nonces.spend(key, &[3; 16], LIFE, at(0)), Spent::Full);
        assert_eq!(nonces.spend(key, &[1; 16], LIFE, at(0)), Spent::Replayed);
        assert_eq!(nonces.spend(key, &[3; 16], LIFE, at(1_001)), Spent::Fresh);
        assert_eq!(nonces.spend(key, &[3; 16], LIFE, at(9_000)), Spent::Fresh, "its life is over");
    }
}
