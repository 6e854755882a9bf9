//! The checkpoints of the ledger that the agent saw (LG-2), and what one that is new shows against them.
//!
//! Never lets a checkpoint count as one of the same log before hashes proved it, and never reads any hash: whom a new one is
//! to be held against is said first, and what came of it is judged then.

use std::fmt;

use governance::Timestamp;
use ledger::history::Relation;
use ledger::{SignedCheckpoint, TreeHead};
use serde::{Deserialize, Serialize};

/// The format of [`Memory`], the only one this agent reads.
pub const FORMAT: u32 = 1;
/// Checkpoints that are kept; beyond it the one whose neighbours in time stand closest is forgotten.
pub const SEEN_MAX: usize = 32;

/// A checkpoint that the ledger's key signed, and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(with = "note")]
    pub checkpoint: SignedCheckpoint,
}

impl Seen {
    /// Its size and root.
    #[must_use]
    pub const fn head(&self) -> &TreeHead {
        self.checkpoint.unverified().head()
    }
}

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// [`FORMAT`].
    pub format: u32,
    /// Checkpoints of one log, the smallest first: each was proved to go on from the one before.
    pub seen: Vec<Seen>,
    /// The first one whose place no hash has told yet.
    pub unproved: Option<Seen>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { format: FORMAT, seen: Vec::new(), unproved: None }
    }
}

/// What a kept checkpoint is to the one held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The largest that is kept.
    Newest,
    /// Of the same size.
    Same,
    /// The next smaller one, where the new one is behind the newest: it tells a fork that the newest cannot.
    Below,
    /// The one whose own place is not told yet.
    Unproved,
}

/// A kept checkpoint to hold a new one against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// The kept one.
    pub seen: Seen,
    /// What it is to the new one.
    pub place: Place,
}

/// What a checkpoint shows against those that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The first one that is seen.
    First,
    /// The log has grown.
    Grown,
    /// It was seen before.
    Known,
    /// Of the same log, and smaller: whoever served it lags behind.
    Behind,
    /// The hashes that would tell were not to be had.
    Unproved,
    /// Another log than the kept one: a split view (LG-2).
    Split(Box<Seen>),
}

impl Memory {
    /// The largest checkpoint that was proved.
    #[must_use]
    pub fn newest(&self) -> Option<&Seen> {
        self.seen.last()
    }

    /// Whom a checkpoint with this head is to be held against.
    #[must_use]
    pub fn rivals(&self, head: &TreeHead) -> Vec<Rival> {
        let of = |place| move |seen: &Seen| Rival { seen: seen.clone(), place };
        let same = self.seen.iter().find(|seen| seen.head().size == head.size).map(of(Place::Same));
        let unproved = self.unproved.iter().map(of(Place::Unproved));
        if let Some(same) = same {
            return std::iter::once(same).chain(unproved).collect();
        }
        let below = self.seen.iter().rfind(|seen| seen.head().size < head.size);
        let below = below.filter(|below| Some(*below) != self.newest()).map(of(Place::Below));
        self.newest().map(of(Place::Newest)).into_iter().chain(below).chain(unproved).collect()
    }

    /// Judges a checkpoint with this head by how it stands to each of its [`Memory::rivals`], as far as that was told.
    #[must_use]
    pub fn judge(&self, head: &TreeHead, told: &[(Rival, Option<Relation>)]) -> Verdict {
        if let Some((rival, _)) = told.iter().find(|(_, relation)| *relation == Some(Relation::Split)) {
            return Verdict::Split(Box::new(rival.seen.clone()));
        }
        let agrees = |place| {
            told.iter()
                .any(|(rival, relation)| rival.place == place && *relation == Some(Relation::Consistent))
        };
        match self.newest() {
            None => Verdict::First,
            Some(_) if agrees(Place::Same) => Verdict::Known,
            Some(newest) if agrees(Place::Newest) && newest.head().size < head.size => Verdict::Grown,
            Some(_) if agrees(Place::Newest) => Verdict::Behind,
            Some(_) => Verdict::Unproved,
        }
    }

    /// Remembers a checkpoint on which this was the verdict. A split view changes nothing here: it is an alarm.
    pub fn take(&mut self, new: Seen, verdict: &Verdict, told: &[(Rival, Option<Relation>)]) {
        match verdict {
            Verdict::Split(_) => return,
            Verdict::Unproved => {
                self.unproved.get_or_insert(new);
                return;
            }
            Verdict::First | Verdict::Grown | Verdict::Known | Verdict::Behind => {}
        }
        // Part of a tree that is part of the log.
        let settled = told.iter().any(|(rival, relation)| {
            rival.place == Place::Unproved
                && *relation == Some(Relation::Consistent)
                && rival.seen.head().size <= new.head().size
        });
        if settled {
            self.unproved = None;
        }
        if matches!(verdict, Verdict::First | Verdict::Grown) {
            self.seen.push(new);
            self.thin();
        }
    }

    /// Forgets the one that is missed least: the first and the newest stay, and the older, the wider apart.
    fn thin(&mut self) {
        let Some(newest) = self.newest().map(|seen| seen.at) else { return };
        while self.seen.len() > SEEN_MAX {
            let millis = |from: Timestamp, to: Timestamp| i128::from(to.since(from).as_millis().max(0));
            let gaps = self.seen.windows(3).zip(1_usize..).filter_map(|(three, index)| {
                let [before, this, after] = three else { return None };
                Some((millis(before.at, after.at), millis(this.at, newest) + 1, index))
            });
            // The smallest gap for its age.
            let least = gaps.min_by(|(gap, age, _), (other, older, _)| (gap * older).cmp(&(other * age)));
            let Some((_, _, index)) = least else { return };
            self.seen.remove(index);
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TreeHead { size, root } = self.head();
        write!(f, "{size} {root} {}", self.at)
    }
}

/// A signed note as JSON has it: its text.
mod note {
    use ledger::SignedCheckpoint;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(note: &SignedCheckpoint, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(note)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SignedCheckpoint, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::Span;
    use ledger::checkpoint::Checkpoint;
    use ledger::history::{relate, tiles};
    use ledger::memory::MemoryLog;
    use ledger::tree::HashReader;
    use ledger::{KeyName, NoteKey, TileSet};
    use proof::{SeedKey, Sign as _};

    /// A log of so many entries, others from the `forked`-th on.
    fn log(size: u64, forked: u64) -> (MemoryLog, TreeHead) {
        let mut log = MemoryLog::new();
        for number in 0..size {
            log.append(&if number < forked { number } else { !number }.to_be_bytes()).unwrap();
        }
        let head = log.publish().unwrap();
        (log, head)
    }

    fn seen(head: TreeHead, at: i64) -> Seen {
        let (name, signer) = (KeyName::parse("fed.example/ledger").unwrap(), SeedKey::new([7; 32]));
        let key = NoteKey::new(name.clone(), signer.public_key().as_bytes()).unwrap();
        let checkpoint = Checkpoint::new(name, head).unwrap();
        let checkpoint = checkpoint.sign(&key, |message| signer.sign(message)).unwrap();
        Seen { at: Timestamp::from_millis(at), checkpoint }
    }

    /// Shows a checkpoint, with the tiles that this log has.
    fn show(memory: &mut Memory, new: Seen, hashes: &impl HashReader) -> Verdict {
        let head = *new.head();
        let told: Vec<_> = memory
            .rivals(&head)
            .into_iter()
            .map(|rival| {
                let relation = relate(rival.seen.head(), &head, hashes).ok();
                (rival, relation)
            })
            .collect();
        let verdict = memory.judge(&head, &told);
        memory.take(new, &verdict, &told);
        verdict
    }

    /// The tiles of a log by any size it had.
    fn hashes(log: &MemoryLog) -> TileSet {
        let mut set = TileSet::new();
        for (id, bytes) in log.files().iter().filter(|(id, _)| id.kind() != ledger::TileKind::Entries) {
            set.insert(*id, bytes).unwrap();
        }
        set
    }

    #[test]
    fn lg_2_a_log_that_grows_is_followed_and_a_mirror_may_lag() {
        let mut memory = Memory::default();
        let set = hashes(&log(400, 400).0);
        let at = |size: u64| seen(log(size, 400).1, i64::try_from(size).unwrap());
        for (size, verdict) in [
            (10, Verdict::First),
            (10, Verdict::Known),
            (300, Verdict::Grown),
            (301, Verdict::Grown),
            (20, Verdict::Behind),
            (10, Verdict::Known),
            (0, Verdict::Behind),
            (400, Verdict::Grown),
        ] {
            assert_eq!(show(&mut memory, at(size), &set), verdict, "{size}");
        }
        assert_eq!(memory.seen.iter().map(|seen| seen.head().size).collect::<Vec<_>>(), [10, 300, 301, 400]);
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    }

    #[test]
    fn lg_2_a_fork_is_an_alarm_wherever_it_begins_and_however_large_it_is() {
        let ours = hashes(&log(300, 300).0);
        let mut memory = Memory::default();
        for size in [10, 100, 300] {
            show(&mut memory, seen(log(size, 300).1, 0), &ours);
        }
        for (size, forked, against) in [
            (300, 299, 300),
            (300, 0, 300),
            (100, 50, 100),
            (400, 299, 300),
            (400, 5, 300),
            (200, 50, 100),
            (350, 200, 300),
            (12, 3, 10),
        ] {
            let (theirs, head) = log(size, forked);
            let before = memory.clone();
            let verdict = show(&mut memory, seen(head, 1), &hashes(&theirs));
            let Verdict::Split(kept) = verdict else { panic!("{size} {forked}: {verdict:?}") };
            assert_eq!(kept.head().size, against, "{size} {forked}");
            assert_eq!(memory, before);
        }
    }

    #[test]
    fn lg_2_what_no_hash_tells_is_no_alarm_and_takes_no_place_until_it_is_told() {
        let none = TileSet::new();
        let (ours, newest) = log(300, 300);
        let mut memory = Memory::default();
        show(&mut memory, seen(newest, 0), &none);
        // A fork that is smaller than what is kept, by tiles of its own.
        let (theirs, fork) = log(200, 50);
        assert_eq!(show(&mut memory, seen(fork, 1), &hashes(&theirs)), Verdict::Unproved);
        assert_eq!(memory.newest().unwrap().head(), &newest);
        assert_eq!(memory.unproved.as_ref().unwrap().head(), &fork);
        // By the tiles of the log it is another one.
        let told = relate(&newest, &fork, &hashes(&ours));
        assert_eq!(told, Ok(Relation::Split));
        let (grown, head) = log(400, 400);
        let verdict = show(&mut memory, seen(head, 2), &hashes(&grown));
        assert!(
            matches!(verdict, Verdict::Split(kept) if *kept.head() == fork),
            "the unproved one is not forgotten"
        );
        // An unproved one of the same log is settled by what follows.
        memory.unproved = None;
        assert_eq!(show(&mut memory, seen(head, 3), &none), Verdict::Unproved);
        let (grown, larger) = log(500, 500);
        assert!(tiles(&head, &larger).len() < 8);
        assert_eq!(show(&mut memory, seen(larger, 4), &hashes(&grown)), Verdict::Grown);
        assert_eq!((memory.unproved.clone(), memory.seen.len()), (None, 2));
    }

    #[test]
    fn lg_2_of_many_the_first_and_the_newest_stay_and_the_old_ones_lie_apart() {
        let mut memory = Memory::default();
        let mut grown = MemoryLog::new();
        for hour in 0..2_000_i64 {
            grown.append(&hour.to_be_bytes()).unwrap();
            let head = grown.publish().unwrap();
            memory.seen.push(seen(head, hour * Span::hours(1).as_millis()));
            memory.thin();
        }
        let hours: Vec<_> = memory.seen.iter().map(|seen| seen.at.as_millis() / 3_600_000).collect();
        assert_eq!((hours.len(), hours[0], hours[SEEN_MAX - 1]), (SEEN_MAX, 0, 1_999));
        assert!(hours.windows(2).all(|two| two[0] < two[1]), "{hours:?}");
        assert!(hours.iter().filter(|hour| **hour >= 1_976).count() >= 4, "the last day: {hours:?}");
        assert!(hours.windows(2).all(|two| two[1] - two[0] <= 1_000), "{hours:?}");
    }
}
