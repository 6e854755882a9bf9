//! The dice of the simulation: what they show depends on the seed and on who throws them, when and what for.
//!
//! Never on the order of throwing: two threads throw the same as one.

/// What dice are thrown for: each purpose has dice of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Purpose {
    Identity = 1,
    Nature = 2,
    Day = 4,
    Delay = 5,
    Attempt = 6,
    Founder = 7,
    Organism = 8,
}

/// A sequence of numbers (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators").
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Dice {
    /// The dice of one subject for one purpose at one time.
    pub(super) const fn of(seed: u64, purpose: Purpose, subject: u64, time: u64) -> Self {
        let state = mix(seed.wrapping_add(GOLDEN)) ^ (purpose as u64).wrapping_mul(GOLDEN);
        Self(mix(mix(state.wrapping_add(subject)).wrapping_add(time)))
    }

    /// 64 bits.
    pub(super) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below the bound.
    pub(super) const fn below(&mut self, bound: u32) -> u32 {
        (((self.roll() >> 32) * bound as u64) >> 32) as u32
    }

    /// A number of the range, both ends included.
    pub(super) const fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last.saturating_sub(first).saturating_add(1))
    }

    /// Whether it happens, so many times of ten thousand.
    pub(super) const fn happens(&mut self, of_ten_thousand: u32) -> bool {
        self.below(10_000) < of_ten_thousand
    }

    /// Sixteen bytes for an id.
    pub(super) const fn bytes(&mut self) -> [u8; 16] {
        ((self.roll() as u128) << 64 | self.roll() as u128).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_repeat_themselves_and_nobody_else() {
        let rolls = |mut dice: Dice| [dice.roll(), dice.roll(), dice.roll()];
        let dice = |seed, subject, time| rolls(Dice::of(seed, Purpose::Day, subject, time));
        assert_eq!(dice(1, 2, 3), dice(1, 2, 3));
        assert_ne!(dice(1, 2, 3), dice(2, 2, 3));
        assert_ne!(dice(1, 2, 3), dice(1, 3, 2));
        assert_ne!(dice(1, 2, 3), rolls(Dice::of(1, Purpose::Delay, 2, 3)));
    }

    #[test]
    fn dice_are_fair() {
        let mut counts = [0_u32; 6];
        let mut dice = Dice::of(7, Purpose::Nature, 0, 0);
        for _ in 0..60_000 {
            counts[dice.below(6) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_eq!(dice.between(4, 4), 4);
    }
}
