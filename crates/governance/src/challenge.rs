//! The compliance challenge (HS-8): when an instance is asked, and what its answer shows.
//!
//! An answer moves no head of a chain and no version: it confirms what is on record, or shows that the chain is broken.

use alloc::string::String;

use crate::decide::continues;
use crate::id::{Digest, InstanceId};
use crate::instance::{Instance, StatementHead};
use crate::time::{Span, Timestamp};

/// What an answer says of the chain: the last statement that the instance signed, and the one it names before it (ID-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The last statement.
    pub head: StatementHead,
    /// Digest of the one before.
    pub previous: Option<Digest>,
}

/// What an answer shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The record: what it says is what it said before.
    Current,
    /// The next statement, whose report is on its way.
    Ahead,
    /// A statement between the one on record when it was asked and the one on record by now: reports overtook it, and what it
    /// says is kept nowhere. To be asked again.
    Overtaken,
    /// Another chain than the one on record (CO-9); how.
    Broken(String),
}

/// Holds an answer against the record. `known` are heads that were on record since the question, the first of them when it
/// was asked: what was reported between question and answer is no break.
#[must_use]
pub fn judge(instance: &Instance, known: &[Option<StatementHead>], said: Option<&Said>) -> Shown {
    let head = said.map(|said| said.head);
    if instance.head == head || known.contains(&head) {
        return Shown::Current;
    }
    let sequence = |head: Option<StatementHead>| head.map_or(0, |head| head.sequence);
    let asked = known.first().copied().unwrap_or(instance.head);
    if (sequence(asked) + 1..sequence(instance.head)).contains(&sequence(head)) {
        return Shown::Overtaken;
    }
    match said {
        None => Shown::Broken(String::from("it says that it never signed a statement")),
        Some(said) => match continues(instance.head, said.head.sequence, said.previous) {
            Ok(()) => Shown::Ahead,
            Err(detail) => Shown::Broken(detail),
        },
    }
}

/// Whether the instance's turn lies in the time from `from`, exclusive, to `to`: each has one in every period, at an instant
/// that its id gives, so that a fleet is asked evenly and nobody keeps a list.
#[must_use]
pub fn is_due(id: InstanceId, every: Span, from: Timestamp, to: Timestamp) -> bool {
    let period = every.as_millis();
    if period <= 0 || to <= from {
        return false;
    }
    let [a, b, c, d, ..] = *id.as_bytes();
    let turn = i64::from(u32::from_be_bytes([a, b, c, d])) % period;
    (to.as_millis() - turn).div_euclid(period) > (from.as_millis() - turn).div_euclid(period)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::instance;

    fn said(sequence: u64, name: &str, previous: Option<&str>) -> Said {
        let previous = previous.map(|name| Digest::of(name.as_bytes()));
        Said { head: StatementHead { sequence, digest: Digest::of(name.as_bytes()) }, previous }
    }

    #[test]
    fn hs_8_an_answer_confirms_the_record_or_shows_a_broken_chain() {
        let mut one = instance();
        assert_eq!(judge(&one, &[None], None), Shown::Current);
        assert_eq!(judge(&one, &[None], Some(&said(1, "a", None))), Shown::Ahead, "its first is on its way");
        assert!(matches!(judge(&one, &[None], Some(&said(2, "b", Some("a")))), Shown::Broken(_)));
        let (first, second) = (said(1, "a", None), said(2, "b", Some("a")));
        one.head = Some(second.head);
        let at_rest = |said: Option<&Said>| judge(&one, &[one.head], said);
        assert_eq!(at_rest(Some(&second)), Shown::Current);
        assert_eq!(at_rest(Some(&said(3, "c", Some("b")))), Shown::Ahead);
        for other in [first, said(2, "x", Some("a")), said(3, "c", Some("x")), said(4, "d", Some("c"))] {
            assert!(matches!(at_rest(Some(&other)), Shown::Broken(_)), "{other:?}");
        }
        assert!(matches!(at_rest(None), Shown::Broken(_)), "restored from before its first statement");
        // Asked before the second was reported.
        assert_eq!(judge(&one, &[Some(first.head)], Some(&first)), Shown::Current);
        assert_eq!(judge(&one, &[None], None), Shown::Current);
        assert!(matches!(judge(&one, &[Some(first.head)], Some(&said(1, "x", None))), Shown::Broken(_)));
        // Asked at the first; the second and the third were reported, and the answer shows the second.
        let third = said(3, "c", Some("b"));
        one.head = Some(third.head);
        assert_eq!(judge(&one, &[Some(first.head)], Some(&second)), Shown::Overtaken);
        assert_eq!(judge(&one, &[None], Some(&first)), Shown::Overtaken);
        assert_eq!(judge(&one, &[None], Some(&third)), Shown::Current);
        for known in [&[Some(second.head)][..], &[]] {
            assert!(matches!(judge(&one, known, Some(&second)), Shown::Broken(_)) == known.is_empty());
        }
        assert!(matches!(judge(&one, &[Some(first.head)], Some(&said(1, "x", None))), Shown::Broken(_)));
        assert!(matches!(judge(&one, &[Some(first.head)], None), Shown::Broken(_)), "restored from before");
    }

    #[test]
    fn hs_8_each_instance_has_one_turn_in_every_period() {
        let (every, step) = (Span::hours(24), Span::from_millis(7 * 60_000));
        for number in 0..50_u8 {
            let id = InstanceId::from_random([number.wrapping_mul(37); 16]);
            let mut turns = 0;
            let mut at = Timestamp::from_millis(1_000_000_000);
            for _ in 0..(3 * 24 * 60 / 7) {
                turns += u32::from(is_due(id, every, at, at + step));
                at = at + step;
            }
            assert!((2..=3).contains(&turns), "{turns}");
        }
        let id = InstanceId::from_random([1; 16]);
        let now = Timestamp::from_millis(0);
        assert!(!is_due(id, Span::ZERO, now, now + every), "switched off");
        assert!(!is_due(id, every, now, now));
        assert!(is_due(id, every, now, now + every));
    }
}
