//! A part of the fleet, with a calendar of who is to be looked at when. Shards know nothing of each other.
//!
//! Never sees another shard's instance, so that it does not matter which thread does which shard, or when.

use governance::reconcile::is_due;
use governance::{Census, Counts, WorldEvent, silence};

use super::alike::{self, Alike, Likeness, Shares};
use super::book::{Book, DAY, Hour};
use super::conduct::{Act, fault, has_joined, next_day, order};
use super::desk::{Changed, Counting, Desk, Record, Scene};
use super::identity::{Nature, id_of};
use super::invariants::Broken;
use super::profile::Profile;
use super::tally::{Breakage, Tally, Watch, slot};
use super::unit::{Appeal, NEVER, Pulse, Stand, Unit};

/// Slots of the calendar: more hours than anybody is left alone.
const SLOTS: usize = 32;
const _: () = assert!(SLOTS > DAY as usize + 1);

/// Records that are read ahead of their steps.
const AHEAD: usize = 16;

/// A part of the fleet.
pub(super) struct Shard {
    /// The number of its first instance.
    first: u32,
    units: Vec<Unit>,
    /// Of each unit, what a quiet day touches.
    pulses: Vec<Pulse>,
    /// Who joins when, the last first.
    joiners: Vec<(Hour, u32)>,
    /// Positions of the units to be looked at, by hour modulo [`SLOTS`]. An entry that its unit's own hour belies is void.
    calendar: [Vec<u32>; SLOTS],
    desk: Desk,
    pub(super) tally: Tally,
    pub(super) watch: Watch,
    pub(super) petitions: Vec<(u32, Appeal)>,
    /// Numbers of the instances that are to be decided about alone.
    pub(super) put_off: Vec<u32>,
    /// What decisions about them made of the federation as a whole.
    pub(super) federation: Vec<WorldEvent>,
    pub(super) breakage: Option<Breakage>,
}

/// What is done with an instance that lies open.
enum Deed {
    Join,
    Step,
    Audit,
    Order(Appeal),
}

impl Shard {
    pub(super) fn new(range: std::ops::Range<u32>, book: &Book, profile: &Profile, hours: Hour) -> Self {
        let joins = |index| Nature::of(book.seed, index, profile, hours).joins;
        let units = range.clone().map(|index| Unit::new(id_of(book.seed, index))).collect();
        let pulses: Vec<Pulse> = range.clone().map(|index| Pulse::new(joins(index))).collect();
        let mut joiners: Vec<(Hour, u32)> = pulses.iter().map(|pulse| pulse.next).zip(0..).collect();
        joiners.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            first: range.start,
            units,
            pulses,
            joiners,
            calendar: std::array::from_fn(|_| Vec::new()),
            desk: Desk::new(book),
            tally: Tally::default(),
            watch: Watch::default(),
            petitions: Vec::new(),
            put_off: Vec::new(),
            federation: Vec::new(),
            breakage: None,
        }
    }

    /// Everybody whose hour it is.
    pub(super) fn hour(&mut self, scene: &Scene<'_>) {
        while let Some((_, at)) = self.joiners.pop_if(|(hour, _)| *hour <= scene.hour) {
            self.deal(at, &Deed::Join, scene);
        }
        let slot = scene.hour as usize % SLOTS;
        let mut due = self.calendar.get_mut(slot).map(std::mem::take).unwrap_or_default();
        due.retain(|at| {
            let is_due = self.pulses.get(*at as usize).is_some_and(|pulse| pulse.next == scene.hour);
            is_due && !self.repeat(*at, scene)
        });
        for some in due.chunks(AHEAD) {
            self.touch(some.iter().copied());
            for &at in some {
                // One that stands in the calendar twice has had its step.
                let is_due = self.pulses.get(at as usize).is_some_and(|pulse| pulse.next == scene.hour);
                if is_due && self.breakage.is_none() {
                    self.deal(at, &Deed::Step, scene);
                }
            }
        }
        due.clear();
        // The space is kept; what was entered meanwhile is of other hours.
        if let Some(slot) = self.calendar.get_mut(slot) {
            *slot = due;
        }
    }

    /// Reads ahead: the memory of many records is waited for once instead of for each of them.
    fn touch(&self, some: impl Iterator<Item = u32>) {
        let records = some.filter_map(|at| self.units.get(at as usize));
        let sum = records.fold(0, |sum, unit| match &unit.record {
            Record::Packed(packed) => sum ^ packed.touch(),
            _ => sum,
        });
        std::hint::black_box(sum);
    }

    /// A day on which the instance only repeats its statement, and nothing can be due: `false` if it is no such day.
    fn repeat(&mut self, at: u32, scene: &Scene<'_>) -> bool {
        let index = self.first + at;
        let Some(pulse) = self.pulses.get_mut(at as usize) else { return false };
        if pulse.quiet <= scene.hour || pulse.daily > scene.hour || fault(scene, index).0.is_some() {
            return false;
        }
        let silence = scene.book.beyond(silence::until_after(scene.now, scene.world));
        pulse.sequence += 1;
        pulse.steps += 1;
        pulse.stated = scene.hour;
        pulse.daily = next_day(scene, index);
        pulse.next = pulse.daily.min(pulse.quiet).min(silence);
        self.tally.audits += 1;
        self.tally.quiet += 1;
        self.tally.events += 1;
        if let Some(slot) = self.calendar.get_mut(pulse.next as usize % SLOTS) {
            slot.push(at);
        }
        true
    }

    /// Everybody, because something changed for all of them. The sums that the scene wants counted anew are.
    pub(super) fn sweep(&mut self, scene: &Scene<'_>) {
        for &number in scene.recounted {
            slot(&mut self.watch, number).into_iter().for_each(|sum| *sum = Counts::default());
        }
        let mut alike = Alike::new(scene);
        let ahead = u32::try_from(AHEAD).unwrap_or(u32::MAX);
        for at in 0..u32::try_from(self.units.len()).unwrap_or(u32::MAX) {
            if at.is_multiple_of(ahead) {
                self.touch(at..at.saturating_add(ahead));
            }
            let joined = self.units.get(at as usize).is_some_and(|unit| has_joined(&unit.record));
            if !joined || self.breakage.is_some() {
                continue;
            }
            let likeness = self.likeness(at, &mut alike, scene);
            if let Some(shares) = likeness.and_then(|likeness| alike.one_more(likeness)) {
                debug_assert!(self.is_like(at, shares, scene));
                self.tally.audits += 1;
                self.tally.quiet += 1;
                continue;
            }
            self.deal(at, &Deed::Audit, scene);
            self.desk.count(scene, &mut self.watch);
            if let Some(likeness) = likeness
                && self.is_undisturbed(at, scene)
            {
                alike.learn(likeness, &self.desk.instance, scene);
            }
        }
        for (number, counts) in alike.sums() {
            slot(&mut self.watch, number).into_iter().for_each(|sum| *sum = sum.with(counts));
        }
    }

    /// What a record is like that time alone asks nothing of; none if it is like no other.
    fn likeness(&self, at: u32, alike: &mut Alike<'_>, scene: &Scene<'_>) -> Option<Likeness> {
        let (unit, pulse) = (self.units.get(at as usize)?, self.pulses.get(at as usize)?);
        let Record::Packed(packed) = &unit.record else { return None };
        if pulse.quiet <= scene.hour || pulse.next <= scene.hour {
            return None;
        }
        alike.likeness(packed, unit.owner(self.first + at), scene.book)
    }

    /// Whether the record that was just dealt with stands as before.
    fn is_undisturbed(&self, at: u32, scene: &Scene<'_>) -> bool {
        let rests = self.pulses.get(at as usize).is_some_and(|pulse| pulse.quiet > scene.hour);
        rests && self.desk.changed == Changed::Nothing && !self.desk.is_put_off && self.breakage.is_none()
    }

    /// Opens a record to see that nothing is due for it, and that it counts for as much as those it is like.
    fn is_like(&mut self, at: u32, shares: &Shares, scene: &Scene<'_>) -> bool {
        let (Some(unit), Some(pulse)) = (self.units.get(at as usize), self.pulses.get(at as usize)) else {
            return false;
        };
        let mut record = unit.record.clone();
        record.restate(pulse.sequence, pulse.stated);
        self.desk.open(&record, unit.owner(self.first + at), scene.book);
        !is_due(&self.desk.instance, scene.world, scene.now)
            && alike::shares(&self.desk.instance, scene) == *shares
    }

    /// The order of its part of the fleet in a rollout: the places of all that are eligible.
    pub(super) fn order_of(&mut self, number: usize, scene: &Scene<'_>) -> Census {
        let mut census = Census::default();
        let Some(rollout) = scene.world.rollouts.get(number) else { return census };
        for (unit, index) in self.units.iter().zip(self.first..) {
            if self.desk.open_for_order(&unit.record, unit.owner(index), scene.book) {
                census.enter(rollout, scene.world, &self.desk.instance);
            }
        }
        census
    }

    /// A Founder's order for one of its instances, accepted already.
    pub(super) fn order(&mut self, index: u32, appeal: Appeal, scene: &Scene<'_>) {
        self.deal(index - self.first, &Deed::Order(appeal), scene);
    }

    /// The audit of one of its instances, while the rest of the fleet stands still.
    pub(super) fn audit(&mut self, index: u32, scene: &Scene<'_>) {
        self.deal(index - self.first, &Deed::Audit, scene);
    }

    /// The number of its first instance.
    pub(super) const fn first(&self) -> u32 {
        self.first
    }

    /// Whether the instance is one of its own.
    pub(super) fn has(&self, index: u32) -> bool {
        index.checked_sub(self.first).is_some_and(|at| (at as usize) < self.units.len())
    }

    /// Lays an instance open, does the deed, and puts it away.
    fn deal(&mut self, at: u32, deed: &Deed, scene: &Scene<'_>) {
        let index = self.first + at;
        let (Some(unit), Some(pulse)) = (self.units.get_mut(at as usize), self.pulses.get_mut(at as usize))
        else {
            return;
        };
        // The statements of the quiet days behind it.
        unit.record.restate(pulse.sequence, pulse.stated);
        if !self.desk.open(&unit.record, unit.owner(index), scene.book) && !matches!(deed, Deed::Join) {
            return;
        }
        if !matches!(deed, Deed::Audit) {
            pulse.steps += 1;
        }
        let mut counting =
            Counting { tally: &mut self.tally, watch: &mut self.watch, federation: &mut self.federation };
        let mut act = Act {
            desk: &mut self.desk,
            unit,
            pulse,
            index,
            scene,
            counting: &mut counting,
            petitions: &mut self.petitions,
        };
        let done = match deed {
            Deed::Join => act.join(),
            Deed::Step => act.step(),
            Deed::Audit => act.audit(),
            Deed::Order(appeal) => act.obey(&order(*appeal)),
        };
        let (next, quiet) = act.next_and_quiet();
        self.put_away(at, next, quiet, done, scene);
    }

    fn put_away(&mut self, at: u32, next: Hour, quiet: Hour, done: Result<(), Broken>, scene: &Scene<'_>) {
        let index = self.first + at;
        let (Some(unit), Some(pulse)) = (self.units.get_mut(at as usize), self.pulses.get_mut(at as usize))
        else {
            return;
        };
        if let Err(broken) = done {
            self.breakage = Some(Breakage { broken, instance: Some((index, pulse.steps)), hour: scene.hour });
            return;
        }
        if self.desk.changed > Changed::Statement {
            let stand = Stand::of(&self.desk.instance, scene.book);
            if unit.stand != Some(stand) {
                if let Some(before) = unit.stand.replace(stand) {
                    before.count(&mut self.tally.standing, |count| count.saturating_sub(1));
                }
                stand.count(&mut self.tally.standing, |count| count + 1);
            }
        }
        let owner = unit.owner(index);
        self.desk.close(&mut unit.record, owner, scene, &mut self.watch);
        // What does not pack is opened every day.
        if self.desk.is_put_off {
            self.put_off.push(index);
        }
        pulse.quiet = if matches!(unit.record, Record::Packed(_)) { quiet } else { 0 };
        if pulse.next != next {
            pulse.next = next;
            if next != NEVER
                && let Some(slot) = self.calendar.get_mut(next as usize % SLOTS)
            {
                slot.push(at);
            }
        }
    }

    /// Records kept whole.
    pub(super) fn whole(&self) -> usize {
        self.units.iter().filter(|unit| matches!(unit.record, Record::Whole(_))).count()
    }
}
