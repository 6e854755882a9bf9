//! The whole simulation, hour by hour: shards do their instances, then the federation decides what concerns all.
//!
//! Threads share out the shards within an hour and never the federation's part, so that their number changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use governance::decide::{WorldCommand, decide_world};
use governance::rollout::{PauseCause, advance, advance_by_sums};
use governance::{
    Authority, Census, ConstitutionDocument, Counts, Digest, InstanceId, RolloutStatus, Span, State,
    Timestamp, World, WorldEvent,
};

use super::book::{Book, DAY, Hour};
use super::desk::{Pace, Scene};
use super::identity::id_of;
use super::invariants;
use super::organism::Organism;
use super::profile::Hazards;
use super::shard::Shard;
use super::summary::{Breach, Day, Mark, Summary};
use super::tally::{Breakage, Standing, Tally, slot};
use super::{Options, START};

/// Shards of a fleet: enough for many threads, and always as many, so that threads change nothing.
const SHARDS: u32 = 16;
/// Rounds after which an hour must have come to rest.
const ROUNDS_MAX: usize = 64;
/// Hours after which the Founder decides about a security release that failures paused (RO-5).
const PAUSED_HOURS: i64 = 24;
/// The days of each year on which an operator announces the freeze of its end, and of the freeze itself.
const FREEZE_DAYS: [u32; 3] = [340, 352, 364];

/// A simulation under way.
pub(super) struct Fleet<'o> {
    options: &'o Options,
    hazards: Hazards,
    book: Book,
    world: World,
    organism: Organism,
    shards: Vec<Shard>,
    /// Rollouts whose sums are kept up to date, by number.
    watched: Vec<usize>,
    /// Rollouts whose sums are void.
    void: BTreeSet<usize>,
    /// Whether more may have changed since the last sweep than releases and rollouts.
    is_general: bool,
    hour: Hour,
    /// Decisions about the federation as a whole.
    decided: Tally,
    marks: Vec<Mark>,
    days: Vec<Day>,
    breakage: Option<Breakage>,
}

/// Whether the whole fleet must be looked at.
type Changed = bool;

impl<'o> Fleet<'o> {
    /// A fleet on the eve of its first day; none if its shared names were none, which a test excludes.
    pub(super) fn new(options: &'o Options) -> Option<Self> {
        let start = Timestamp::from_millis(START);
        let mut book = Book::new(options.seed, start)?;
        let mut world = World::default();
        let document = ConstitutionDocument {
            previous: None,
            effective: start,
            parameters: options.constitution.clone(),
        };
        let digest = Digest::of(b"constitution");
        world.apply(&WorldEvent::ConstitutionRatified { digest, document: Box::new(document) }, start);
        let organism = Organism::new(options.seed);
        let founding = organism.founding(&world);
        book.enter(&founding.release, founding.digest, 0);
        let (digest, release) = (founding.digest, Box::new(founding.release));
        world.apply(&WorldEvent::ReleasePublished { digest, release }, start);
        let each = options.instances.div_ceil(SHARDS).max(1);
        let ranges = (0..SHARDS).map(|shard| {
            let first = shard.saturating_mul(each).min(options.instances);
            first..first.saturating_add(each).min(options.instances)
        });
        let shards =
            ranges.map(|range| Shard::new(range, &book, &options.profile, options.hours())).collect();
        Some(Self {
            options,
            hazards: Hazards::of(&options.profile),
            book,
            world,
            organism,
            shards,
            watched: Vec::new(),
            void: BTreeSet::new(),
            is_general: true,
            hour: 0,
            decided: Tally::default(),
            marks: Vec::new(),
            days: Vec::new(),
            breakage: None,
        })
    }

    /// Plays every hour, or up to the first in which an invariant breaks.
    pub(super) fn run(mut self, progress: &mut dyn FnMut(u32)) -> Summary {
        for hour in 0..self.options.hours() {
            self.hour = hour;
            self.each(&[], false, |shard, scene| shard.hour(scene));
            self.govern();
            if hour % DAY == DAY - 1 {
                self.close_day();
                progress(hour / DAY + 1);
            }
            if self.breach().is_some() {
                break;
            }
        }
        self.summarise()
    }

    fn now(&self) -> Timestamp {
        self.book.at(self.hour)
    }

    /// Does something with every shard, the shards shared out over the threads.
    fn each(&mut self, recounted: &[usize], alone: bool, deed: impl Fn(&mut Shard, &Scene<'_>) + Sync) {
        let now = self.now();
        let scene = Scene {
            book: &self.book,
            world: &self.world,
            profile: &self.options.profile,
            hazards: &self.hazards,
            watched: &self.watched,
            recounted,
            hour: self.hour,
            hours: self.options.hours(),
            now,
            is_general: self.is_general,
            pace: self.options.pace,
            alone,
            tamper: self.options.tamper,
        };
        if alone {
            self.shards.iter_mut().for_each(|shard| deed(shard, &scene));
            return;
        }
        let threads = self.options.threads.clamp(1, self.shards.len());
        let per_thread = self.shards.len().div_ceil(threads);
        let (scene, deed) = (&scene, &deed);
        let mut parts = self.shards.chunks_mut(per_thread);
        let own = parts.next();
        std::thread::scope(|scope| {
            for part in parts {
                scope.spawn(move || part.iter_mut().for_each(|shard| deed(shard, scene)));
            }
            own.into_iter().flatten().for_each(|shard| deed(shard, scene));
        });
    }

    /// What concerns the whole federation: releases, orders, rollouts, until nothing is due.
    fn govern(&mut self) {
        self.count_fleet();
        let mut changed = self.publish() | self.freeze() | self.decide_paused();
        self.petitions();
        for _ in 0..ROUNDS_MAX {
            if changed {
                self.sweep();
                self.petitions();
            }
            if self.breach().is_some() {
                return;
            }
            changed = self.advance();
            if !changed {
                break;
            }
        }
        self.petitions();
    }

    /// Puts events of the federation on record, each of them checked.
    fn put(&mut self, mut events: Vec<WorldEvent>) -> Changed {
        if let Some(tamper) = self.options.tamper_world {
            tamper(&mut events);
        }
        let now = self.now();
        let mut changed = false;
        for event in &events {
            if let Err(broken) = invariants::of_world(event, &self.book.signed) {
                self.breakage = Some(Breakage { broken, instance: None, hour: self.hour });
                return false;
            }
            self.decided.events += 1;
            if let WorldEvent::RolloutEscalated { rule, .. } | WorldEvent::FederationEscalated { rule, .. } =
                event
            {
                *self.decided.escalations.entry(rule.clone()).or_default() += 1;
            }
            self.world.apply(event, now);
            self.mark(event);
            changed |= self.concerns_instances(event);
        }
        changed
    }

    /// Whether the event may make something due for instances. The sums that it makes void are noted.
    fn concerns_instances(&mut self, event: &WorldEvent) -> Changed {
        match event {
            // Words for people, serials, and room for standing orders, which whoever waits for looks out for.
            WorldEvent::OrderAccepted { .. }
            | WorldEvent::RolloutHeld { .. }
            | WorldEvent::FleetCounted { .. }
            | WorldEvent::StandingOrderTaken { .. }
            | WorldEvent::RolloutEscalated { .. }
            | WorldEvent::FederationEscalated { .. } => return self.options.pace == Pace::Hourly,
            // Whoever is inside a phase of a rollout that is done was inside before.
            WorldEvent::RolloutDone { rollout }
                if self.world.rollout(*rollout).is_some_and(|rollout| !rollout.phases.is_empty()) =>
            {
                return self.options.pace == Pace::Hourly;
            }
            WorldEvent::FreezeSet { .. } | WorldEvent::RedSwitchTurned { .. } => self.is_general = true,
            _ => match event.rollout().and_then(|rollout| self.book.rollout(rollout)) {
                // What an instance counts for depends on the rollout itself and on what is published.
                Some(number) => {
                    self.void.insert(usize::from(number));
                }
                None => {
                    self.is_general |= !matches!(event, WorldEvent::ReleasePublished { .. });
                    self.void.extend(0..self.world.rollouts.len());
                }
            },
        }
        true
    }

    /// Looks at the whole fleet, and counts anew what is void.
    fn sweep(&mut self) {
        let before = std::mem::take(&mut self.watched);
        let now = self.moving();
        let (kept, recounted): (Vec<usize>, Vec<usize>) =
            now.iter().partition(|number| before.contains(number) && !self.void.contains(number));
        self.void.clear();
        self.watched = kept;
        self.each(&recounted, false, Shard::sweep);
        self.is_general = false;
        self.watched = now;
    }

    fn mark(&mut self, event: &WorldEvent) {
        if let WorldEvent::RolloutOpened { rollout, .. } = event {
            self.book.rollouts.push(*rollout);
        }
        let what = match event {
            WorldEvent::RolloutOpened { .. } => "published",
            WorldEvent::PhaseOpened { phase, .. } => phase.as_str(),
            WorldEvent::RolloutDone { .. } => "done",
            WorldEvent::RolloutHalted { .. } => "halted",
            WorldEvent::RolloutPaused { .. } => "paused",
            WorldEvent::RolloutResumed { .. } => "resumed",
            WorldEvent::RolloutAborted { .. } => "aborted",
            WorldEvent::RolloutSuperseded { .. } => "superseded",
            WorldEvent::RolloutWithdrawn { .. } => "withdrawn",
            _ => return,
        };
        let Some(number) = event.rollout().and_then(|rollout| self.book.rollout(rollout)) else {
            return;
        };
        let (number, hour) = (usize::from(number), self.hour);
        self.marks.push(Mark { rollout: number, hour, what });
        if matches!(what, "halted" | "withdrawn")
            && let Some(rollout) = self.world.rollouts.get(number)
        {
            self.organism.hear_of_halt(rollout.release, hour);
        }
        // Whoever joins gets the latest release that went through.
        let through = self.world.rollouts.iter().filter(|rollout| rollout.status == RolloutStatus::Done);
        let latest = through.map(|rollout| rollout.release).max();
        self.book.current = latest.and_then(|release| self.book.number(release)).unwrap_or(0);
    }

    fn command(&mut self, command: &WorldCommand) -> Changed {
        match decide_world(&self.world, command, self.now()) {
            Ok(events) => self.put(events),
            Err(refusal) => {
                self.decided.refuse(&refusal);
                false
            }
        }
    }

    fn publish(&mut self) -> Changed {
        let profile = &self.options.profile;
        let Some(publication) = self.organism.publish(&self.world, profile, self.hour) else { return false };
        let (digest, release) = (publication.digest, Box::new(publication.release));
        self.book.enter(&release, digest, publication.failing);
        let (restriction, approval) = (governance::Restriction::default(), Vec::new());
        self.command(&WorldCommand::Publish { release, digest, restriction, approval })
    }

    /// An operator freezes the last days of each year (RO-6).
    fn freeze(&mut self) -> Changed {
        let [announced, from, until] = FREEZE_DAYS;
        if self.hour % (365 * DAY) != announced * DAY {
            return false;
        }
        let at = |day: u32| self.now() + Span::hours(i64::from((day - announced) * DAY));
        self.command(&WorldCommand::Freeze { from: at(from), until: at(until) })
    }

    /// The Founder withdraws a paused security release that is bad, and resumes one that had bad luck (RO-5).
    fn decide_paused(&mut self) -> Changed {
        let (now, hour) = (self.now(), self.hour);
        let due = self.world.rollouts.iter().enumerate().find_map(|(number, rollout)| {
            let last =
                self.marks.iter().rev().find(|mark| mark.rollout == number && mark.what == "paused")?;
            let waited = i64::from(hour - last.hour) >= PAUSED_HOURS;
            (waited && rollout.paused == Some(PauseCause::FailureBound)).then_some(rollout.release)
        });
        let Some(release) = due else { return false };
        let edition = self.book.number(release).and_then(|number| self.book.edition(number));
        let is_bad = edition.is_some_and(|edition| edition.failing > self.options.profile.failing);
        self.accept_order(now);
        self.command(&if is_bad {
            WorldCommand::Withdraw { release, by: Authority::Founder }
        } else {
            WorldCommand::Resume { release, by: Authority::Founder }
        })
    }

    /// Accepts the Founder's next order; its signatures are not simulated.
    fn accept_order(&mut self, now: Timestamp) {
        let serial = self.world.order_serial + 1;
        let digest = Digest::of(&serial.to_le_bytes());
        self.command(&WorldCommand::AcceptOrder { serial, expires: now + Span::hours(1), digest });
    }

    /// What concerns single instances and the federation too, one after the other: what was put before the Founder, and
    /// standing orders.
    fn petitions(&mut self) {
        let mut petitions: Vec<_> =
            self.shards.iter_mut().flat_map(|shard| shard.petitions.drain(..)).collect();
        petitions.sort_unstable_by_key(|(index, _)| *index);
        for (index, appeal) in petitions {
            self.accept_order(self.now());
            self.alone(index, |shard, scene| shard.order(index, appeal, scene));
        }
        let mut put_off: Vec<u32> =
            self.shards.iter_mut().flat_map(|shard| shard.put_off.drain(..)).collect();
        put_off.sort_unstable();
        put_off.dedup();
        for index in put_off {
            self.alone(index, |shard, scene| shard.audit(index, scene));
        }
    }

    /// Decides about one instance while the rest of the fleet stands still, and puts on record what follows for all.
    fn alone(&mut self, index: u32, deed: impl Fn(&mut Shard, &Scene<'_>) + Sync) {
        self.each(&[], true, |shard, scene| {
            if shard.has(index) {
                deed(shard, scene);
            }
        });
        let events: Vec<WorldEvent> =
            self.shards.iter_mut().flat_map(|shard| shard.federation.drain(..)).collect();
        self.put(events);
    }

    /// The fleet is counted anew every day, for the brake on standing orders (CO-14).
    fn count_fleet(&mut self) {
        if self.world.is_count_due(self.now()) {
            let mut standing = Standing::default();
            self.shards.iter().for_each(|shard| standing.add(&shard.tally.standing));
            let states = State::ALL.iter().zip(standing.states);
            let instances =
                states.filter(|(state, _)| **state != State::Revoked).map(|(_, count)| count).sum();
            self.put(vec![WorldEvent::FleetCounted { instances }]);
        }
    }

    /// The rollouts that can still move, by number.
    fn moving(&self) -> Vec<usize> {
        let watched: BTreeSet<_> = self.world.watched().map(|rollout| rollout.id).collect();
        let rollouts = self.world.rollouts.iter().enumerate();
        rollouts.filter(|(_, rollout)| watched.contains(&rollout.id)).map(|(number, _)| number).collect()
    }

    /// Advances every rollout for which anything is due.
    fn advance(&mut self) -> Changed {
        let mut changed = false;
        for number in self.watched.clone() {
            let sums = self.shards.iter().filter_map(|shard| shard.watch.get(number));
            let counts = sums.fold(Counts::default(), |sum, counts| sum.with(*counts));
            let Some(rollout) = self.world.rollouts.get(number) else { continue };
            let events = match advance_by_sums(rollout, counts, &self.world, self.now()) {
                Some(events) => events,
                None => {
                    let census = self.census(number, counts);
                    let Some(rollout) = self.world.rollouts.get(number) else { continue };
                    advance(rollout, census, &self.world, self.now())
                }
            };
            changed |= self.put(events);
        }
        changed
    }

    /// The census of a rollout whose sums are known: the order of the fleet is taken now.
    fn census(&mut self, number: usize, counts: Counts) -> Census {
        let orders = Mutex::new(BTreeMap::new());
        self.each(&[], false, |shard, scene| {
            let order = shard.order_of(number, scene);
            orders.lock().unwrap_or_else(PoisonError::into_inner).insert(shard.first(), order);
        });
        let mut census = Census::of_sums(counts);
        for (_, order) in orders.into_inner().unwrap_or_else(PoisonError::into_inner) {
            census.merge(order);
        }
        debug_assert!(census.is_whole());
        census
    }

    /// The first invariant that broke, by the number of the instance.
    fn breach(&self) -> Option<&Breakage> {
        let of_shards = self.shards.iter().filter_map(|shard| shard.breakage.as_ref());
        of_shards.chain(&self.breakage).min_by_key(|breakage| breakage.instance)
    }

    fn close_day(&mut self) {
        let mut tally = Tally::default();
        self.shards.iter().for_each(|shard| tally.standing.add(&shard.tally.standing));
        self.days.push(Day { hour: self.hour, standing: tally.standing });
    }

    fn summarise(self) -> Summary {
        let mut tally = self.decided.clone();
        self.shards.iter().for_each(|shard| tally.add(&shard.tally));
        if let Some(last) = self.world.rollouts.len().checked_sub(1) {
            slot(&mut tally.rollouts, last);
        }
        let breach = self.breach().map(|breakage| {
            let id = |index| -> InstanceId { id_of(self.options.seed, index) };
            Breach {
                invariant: breakage.broken.invariant,
                what: breakage.broken.what.clone(),
                instance: breakage.instance.map(|(index, _)| id(index)),
                number: breakage.instance.map(|(index, _)| index),
                step: breakage.instance.map(|(_, step)| step),
                day: breakage.hour / DAY + 1,
                at: self.book.at(breakage.hour),
            }
        });
        let whole = self.shards.iter().map(Shard::whole).sum::<usize>() as u64;
        Summary::new(self.options, &self.book, &self.world, tally, self.marks, self.days, whole, breach)
    }
}
