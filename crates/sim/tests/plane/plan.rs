//! What is to happen in a run: how many servers and instances, when much happens at once, and what goes wrong.

use governance::{Span, Timestamp};

use crate::fate::{Dice, Weather};
use crate::federation::start;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// The plan of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) servers: usize,
    pub(crate) instances: u64,
    /// When everybody acts at once.
    pub(crate) bursts: Vec<Timestamp>,
    /// From when nothing goes wrong any more.
    pub(crate) calm: Timestamp,
    pub(crate) weather: Weather,
    /// How wrong the clocks of servers may be.
    pub(crate) skew: i64,
}

/// Whether a request with a version statement may be decided on after the instance went on to its next one, because it was stuck
/// while its caller gave it up. The plane then finds a broken chain against an honest instance (CO-9). Not yet.
pub(crate) const OVERTAKEN_REQUESTS: bool = false;

impl Plan {
    /// Whether much happens now, or did a moment ago.
    pub(crate) fn is_busy(&self, now: Timestamp) -> bool {
        self.bursts.iter().any(|burst| *burst <= now && now.since(*burst) <= Span::from_millis(45 * SECOND))
    }

    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x5157);
        let servers = dice.pick(&[1, 1, 2, 3]);
        let mut at = start() + Span::from_millis(dice.between(5, 20) * MINUTE);
        let mut bursts = Vec::new();
        for _ in 0..dice.between(6, 12) {
            bursts.push(at);
            let gap = match dice.below(4) {
                0 => dice.between(SECOND, MINUTE),
                1 => dice.between(MINUTE, 30 * MINUTE),
                2 => dice.between(30 * MINUTE, 3 * HOUR),
                _ => dice.between(3 * HOUR, 8 * HOUR),
            };
            at = at + Span::from_millis(gap);
        }
        let harsh = dice.below(4);
        let rate = |dice: &mut Dice, most: u64| if harsh == 0 { 0 } else { dice.below(most * harsh) };
        let weather = Weather {
            refused: rate(&mut dice, 60),
            unanswered: rate(&mut dice, 120),
            crash: rate(&mut dice, 15),
            stall: rate(&mut dice, 80),
            lost: rate(&mut dice, 400),
            twice: rate(&mut dice, 5_000),
            clock: rate(&mut dice, 1_000),
            disk: rate(&mut dice, 400),
        };
        Self {
            servers,
            instances: dice.between(2, 5).cast_unsigned(),
            bursts,
            calm: at + Span::hours(1),
            weather,
            skew: match servers {
                1 => 3 * HOUR,
                _ => 20 * SECOND,
            },
        }
    }
}
