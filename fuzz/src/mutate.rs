//! Changes inputs at random, the same way for the same seed: bytes, numbers, quoted texts, pieces of other inputs.

/// Longest input made, in bytes; longer than most limits of the parsers, so that these are met too.
pub const INPUT_BYTES_MAX: usize = 192 * 1024;
/// Most changes to one input.
const CHANGES_MAX: u64 = 6;

/// What parsers stumble over.
const WORDS: &[&str] = &[
    "\0",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\u{e9}",
    "\u{2014} ",
    "\u{1e}",
    "+",
    "-",
    "/",
    "=",
    "==",
    ":",
    ";",
    ".",
    "..",
    "%00",
    "@",
    "#",
    "?",
    "{",
    "}",
    "[",
    "]",
    "{}",
    "[]",
    "null",
    "true",
    "\"\"",
    "[[",
    "{\"a\":",
    "[]=",
    "x000/",
    ".p/",
    ":443",
    "-----BEGIN CERTIFICATE-----\n",
    "-----END",
    "sig1=",
    "https://",
    "-v",
    "ms",
    "d ",
    "T",
    "Z",
    "nan",
    "inf",
    "1e9",
    "-0",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "00",
    "255",
    "256",
    "257",
    "443",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "+1",
    "0.5",
    "1e400",
    "99999999999999999999999999",
];

/// Pseudo-random numbers (splitmix64).
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap_or(u64::MAX)).unwrap_or_default()
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// A piece of so many bytes: mostly short, anywhere.
    fn piece(&mut self, length: usize) -> core::ops::Range<usize> {
        let start = self.below(length + 1);
        let longest = if self.next().is_multiple_of(4) { length - start } else { 16.min(length - start) };
        start..start + self.below(longest + 1)
    }
}

/// One of the inputs, changed; now and then bytes that are like none of them.
#[must_use]
pub fn input(random: &mut Random, pool: &[Vec<u8>]) -> Vec<u8> {
    if random.next().is_multiple_of(32) {
        return (0..random.below(256)).map(|_| random.next().to_le_bytes()[0]).collect();
    }
    let mut input = random.pick(pool).cloned().unwrap_or_default();
    for _ in 0..=random.next() % CHANGES_MAX {
        change(random, &mut input, pool);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(random: &mut Random, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
    let at = random.below(input.len() + 1);
    match random.below(11) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.next().to_le_bytes()[0];
            }
        }
        2 => drop(input.drain(random.piece(input.len()))),
        3 => insert(input, at, random.pick(WORDS).copied().unwrap_or_default().as_bytes()),
        4 => {
            let piece = input.get(random.piece(input.len())).unwrap_or_default().to_vec();
            insert(input, at, &piece);
        }
        5 => input.truncate(at),
        6 | 7 => replace_number(random, input, at),
        8 => replace_quoted(random, input, pool),
        9 => {
            let other = random.pick(pool).cloned().unwrap_or_default();
            let piece = random.piece(other.len());
            insert(input, at, other.get(piece).unwrap_or_default());
        }
        _ if random.next().is_multiple_of(16) => {
            let word = random.pick(WORDS).copied().unwrap_or_default();
            let times = [2, 130, 1_000, 20_000].get(random.below(4)).copied().unwrap_or(2);
            insert(input, at, word.repeat(times).as_bytes());
        }
        _ => replace_number(random, input, at),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if input.len() + piece.len() <= INPUT_BYTES_MAX {
        input.splice(at..at, piece.iter().copied());
    }
}

/// Puts another number in place of the first at or behind a place.
fn replace_number(random: &mut Random, input: &mut Vec<u8>, at: usize) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = input.iter().skip(at).position(is_digit).map(|found| at + found) else { return };
    let end = start + input.iter().skip(start).take_while(|byte| is_digit(byte)).count();
    let number = random.pick(NUMBERS).copied().unwrap_or_default();
    input.splice(start..end, number.bytes());
}

/// Puts a quoted text of some input in place of another.
fn replace_quoted(random: &mut Random, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
    let Some(other) = random.pick(pool) else { return };
    let Some(from) = quoted(random, other).and_then(|range| other.get(range)) else { return };
    let from = from.to_vec();
    if let Some(range) = quoted(random, input) {
        input.splice(range, from);
    }
}

/// What stands between two quotes of an input, wherever they are.
fn quoted(random: &mut Random, input: &[u8]) -> Option<core::ops::Range<usize>> {
    let quotes: Vec<usize> =
        input.iter().enumerate().filter(|(_, byte)| **byte == b'"').map(|(at, _)| at).collect();
    let pairs: Vec<_> = quotes.windows(2).collect();
    match random.pick(&pairs)? {
        [start, end] => Some(start + 1..*end),
        _ => None,
    }
}
