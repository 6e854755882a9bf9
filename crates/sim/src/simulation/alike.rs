//! Sweeps over records that are alike: what one of them was found to be due, which is nothing, holds for all.
//!
//! Decides nothing: the first of each likeness is opened and goes through the law. A likeness holds everything that the law
//! reads of a record with nothing pending; debug builds open every record that is passed over, and look.

use std::collections::BTreeMap;

use governance::{Action, Counts, Instance, Outcome, Phase, Rollout, RolloutStatus, Version};

use super::book::Book;
use super::desk::Scene;
use super::packed::{Owner, Packed, provider_number, table};

/// Rollouts that a likeness has room for; a world in which more move at once is looked at record by record.
const ROLLOUTS_MAX: usize = 8;

/// What the law looks at of a record: its plain facts, its provider, and a byte for each rollout that matters.
pub(super) type Likeness = u128;

/// What one record counts for, for each of the rollouts that are counted anew.
pub(super) type Shares = Vec<(usize, Counts)>;

/// A rollout that may matter to somebody who has no offer.
struct Course<'a> {
    number: u8,
    rollout: &'a Rollout,
    is_recounted: bool,
    /// Whether the phase that an instance is in depends on its place.
    has_places: bool,
}

/// The likenesses known to have nothing due in one sweep.
pub(super) struct Alike<'a> {
    /// None: this sweep looks at every record.
    courses: Option<Vec<Course<'a>>>,
    /// Versions whose rollout was halted, by number: whoever runs one looks back at its attempts (RO-3).
    halted: Vec<u8>,
    /// Versions by number.
    versions: Vec<Version>,
    /// What one record of each counts for, and how many were passed over for it.
    known: BTreeMap<Likeness, (Shares, u64)>,
    /// An instance of which only what its place depends on is laid out.
    probe: Instance,
}

impl<'a> Alike<'a> {
    pub(super) fn new(scene: &Scene<'a>) -> Self {
        let (book, world) = (scene.book, scene.world);
        let halted = |version: Version| {
            world.rollout_of(version).is_some_and(|rollout| rollout.status == RolloutStatus::Halted)
        };
        let numbered = book.editions.iter().zip(0..);
        Self {
            courses: courses(scene).filter(|courses| courses.len() <= ROLLOUTS_MAX),
            halted: numbered
                .filter(|(edition, _)| halted(edition.version))
                .map(|(_, number)| number)
                .collect(),
            versions: book.editions.iter().map(|edition| edition.version).collect(),
            known: BTreeMap::new(),
            probe: table(book),
        }
    }

    /// What a record is like; none if it is like no other, or if this sweep looks at every record.
    pub(super) fn likeness(&mut self, packed: &Packed, owner: Owner, book: &Book) -> Option<Likeness> {
        let courses = self.courses.as_ref()?;
        let plain = packed.plain(&self.versions)?;
        if self.halted.contains(&plain.platform) {
            return None;
        }
        self.probe.id = owner.id;
        self.probe.kind = plain.kind;
        self.probe.subscription.tier = plain.tier;
        let provider = provider_number(book, owner.index);
        let facts =
            [plain.kind as u8, plain.tier as u8, plain.state as u8, plain.platform, plain.runtime, provider];
        let mut likeness = facts.into_iter().fold(0, push);
        let runs = self.versions.get(usize::from(plain.platform))?;
        for course in courses {
            let attempted = if course.is_recounted { attempted(packed, course.number)? } else { 0 };
            // Whoever runs the release, or a later one, and made no attempt is in no phase.
            let in_phase = course.has_places && (attempted > 0 || course.rollout.release > *runs);
            let phase = in_phase.then(|| course.rollout.phase_of(&self.probe)).flatten();
            likeness = push(likeness, attempted << 2 | phase.map_or(0, |phase| phase as u8 + 1));
        }
        Some(likeness)
    }

    /// Passes over a record of this likeness, if it is known that nothing is due for it: what it counts for.
    pub(super) fn one_more(&mut self, likeness: Likeness) -> Option<&Shares> {
        let (shares, passed) = self.known.get_mut(&likeness)?;
        *passed += 1;
        Some(shares)
    }

    /// What the records that were passed over count for, rollout by rollout.
    pub(super) fn sums(&self) -> impl Iterator<Item = (usize, Counts)> {
        let known = self.known.values();
        known.flat_map(|(shares, passed)| shares.iter().map(|(number, one)| (*number, one.times(*passed))))
    }

    /// Notes that nothing is due for the likeness of this instance.
    pub(super) fn learn(&mut self, likeness: Likeness, instance: &Instance, scene: &Scene<'_>) {
        self.known.insert(likeness, (shares(instance, scene), 0));
    }
}

/// What an instance counts for, for each of the rollouts that are counted anew.
pub(super) fn shares(instance: &Instance, scene: &Scene<'_>) -> Shares {
    let numbered =
        scene.recounted.iter().filter_map(|number| Some((*number, scene.world.rollouts.get(*number)?)));
    numbered.map(|(number, rollout)| (number, Counts::of(rollout, scene.world, instance))).collect()
}

fn push(likeness: Likeness, byte: u8) -> Likeness {
    likeness << 8 | Likeness::from(byte)
}

/// The rollouts that are open or counted anew; none if records must not be taken for alike in this sweep.
fn courses<'a>(scene: &Scene<'a>) -> Option<Vec<Course<'a>>> {
    if scene.is_general {
        return None;
    }
    let mut courses = Vec::new();
    for (number, rollout) in scene.world.rollouts.iter().enumerate() {
        let is_recounted = scene.recounted.contains(&number);
        if !is_recounted && !rollout.is_open() {
            continue;
        }
        if rollout.counting_since != rollout.opened {
            // Which attempts count depends on when they ended (RO-5).
            return None;
        }
        let has_places = rollout.phases.iter().any(|open| !open.cutoffs.is_empty());
        courses.push(Course { number: u8::try_from(number).ok()?, rollout, is_recounted, has_places });
    }
    Some(courses)
}

/// The one attempt at a rollout's release: zero for none; nothing for more than one, which are like no other's.
fn attempted(packed: &Packed, rollout: u8) -> Option<u8> {
    let mut attempts = packed.attempts_of(rollout);
    let Some((action, phase, outcome)) = attempts.next() else { return Some(0) };
    // Six bits have room for all of them, and for none.
    const { assert!(Action::ALL.len() * Outcome::ALL.len() * Phase::ALL.len() < 1 << 6) };
    let code = (phase as usize * Outcome::ALL.len() + outcome as usize) * Action::ALL.len() + action as usize;
    if attempts.next().is_some() { None } else { u8::try_from(code + 1).ok() }
}

#[cfg(test)]
mod tests {
    use super::super::START;
    use super::super::desk::Changed;
    use super::super::identity::{head_of, id_of};
    use super::super::organism::Organism;
    use super::*;
    use governance::instance::{Failure, FinishedAttempt};
    use governance::{Finding, FindingCode, State, SubscriptionStatus, Tier, Timestamp, World};

    /// A book with one release and its rollout, number 0, and one more rollout, number 1.
    fn book() -> Book {
        let mut book = Book::new(1, Timestamp::from_millis(START)).unwrap();
        let founding = Organism::new(1).founding(&World::default());
        book.enter(&founding.release, founding.digest, 0);
        book.rollouts.extend([1, 2].map(|byte| governance::RolloutId::from_random([byte; 16])));
        book
    }

    fn owner(book: &Book) -> Owner {
        Owner { index: 0, id: id_of(book.seed, 0), enrolment: 0 }
    }

    /// A change that makes an instance another, and its name.
    type Change = (&'static str, fn(&mut Instance, &Book));

    /// An instance that runs the release, changed.
    fn instance(book: &Book, change: impl Fn(&mut Instance)) -> Instance {
        let mut instance = table(book);
        let edition = book.edition(0).unwrap();
        instance.running.platform = edition.version;
        instance.running.runtime = edition.runtime;
        instance.running.layers = edition.content.clone();
        instance.provider = book.providers.first().cloned();
        instance.state = State::Active;
        instance.head = head_of(instance.id, 0, 1);
        change(&mut instance);
        instance
    }

    fn packed(book: &Book, instance: &Instance) -> Packed {
        let mut packed = Packed::space();
        assert!(packed.pack(instance, owner(book), book, Changed::Everything));
        packed
    }

    fn attempt(book: &Book, rollout: u8, phase: Phase) -> FinishedAttempt {
        FinishedAttempt {
            release: book.version(0),
            rollout: book.rollout_id(rollout),
            action: Action::Update,
            phase,
            from: book.version(0),
            finished: book.start,
            outcome: Outcome::Succeeded,
        }
    }

    fn likeness(book: &Book, change: impl Fn(&mut Instance)) -> Option<Likeness> {
        let rollout = Rollout {
            id: book.rollout_id(0),
            release: book.version(0),
            class: governance::Class::Minor,
            restriction: governance::Restriction::default(),
            approval: Vec::new(),
            approved: Vec::new(),
            opened: book.start,
            status: RolloutStatus::Done,
            phases: Vec::new(),
            stops: Vec::new(),
            paused: None,
            holding: None,
            counting_since: book.start,
            escalations: Vec::new(),
        };
        let course = Course { number: 0, rollout: &rollout, is_recounted: true, has_places: false };
        let mut alike = Alike {
            courses: Some(vec![course]),
            halted: Vec::new(),
            versions: book.editions.iter().map(|edition| edition.version).collect(),
            known: BTreeMap::new(),
            probe: table(book),
        };
        alike.likeness(&packed(book, &instance(book, change)), owner(book), book)
    }

    #[test]
    fn whoever_differs_in_what_the_law_reads_is_not_alike() {
        let book = book();
        let plain = likeness(&book, |_| {}).unwrap();
        let other: [Change; 4] = [
            ("another tier", |instance, _| instance.subscription.tier = Tier::Pro),
            ("another state", |instance, _| instance.state = State::UpdatePending),
            ("an attempt", |instance, book| instance.attempts.push(attempt(book, 0, Phase::Ga))),
            ("an attempt in another phase", |instance, book| {
                instance.attempts.push(attempt(book, 0, Phase::Beta));
            }),
        ];
        let mut seen = vec![plain];
        for (what, change) in other {
            let found = likeness(&book, |instance| change(instance, &book)).unwrap();
            assert!(!seen.contains(&found), "{what}");
            seen.push(found);
        }
        let elsewhere = likeness(&book, |instance| instance.attempts.push(attempt(&book, 1, Phase::Ga)));
        assert_eq!(elsewhere, Some(plain), "an attempt that no sum asks for");
    }

    #[test]
    fn whoever_has_something_pending_is_like_nobody() {
        let book = book();
        let later = governance::Version::new(9, 0, 0);
        let mut known = book.clone();
        known
            .editions
            .push(super::super::book::Edition { version: later, ..book.edition(0).unwrap().clone() });
        let pending: [Change; 5] = [
            ("a lapse", |instance, _| instance.subscription.status = SubscriptionStatus::Lapsed),
            ("a finding", |instance, book| {
                instance.findings.push(Finding { code: FindingCode::TierMismatch, since: book.start });
            }),
            ("a hold", |instance, _| instance.held = true),
            ("two attempts", |instance, book| {
                instance.attempts.extend([attempt(book, 0, Phase::Ga), attempt(book, 0, Phase::Ga)]);
            }),
            ("a later release that failed", |instance, book| {
                let release = governance::Version::new(9, 0, 0);
                instance.failures.push(Failure { release, at: book.start, times: 1, retry: false });
            }),
        ];
        for (what, change) in pending {
            assert_eq!(likeness(&known, |instance| change(instance, &known)), None, "{what}");
        }
    }
}
