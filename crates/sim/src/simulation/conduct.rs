//! One step of one instance: what befalls it, what it does, what its owner, the operators and the Founder do about it.
//!
//! Each deed is a command to the law; whether it is allowed, and what follows, is the law's to say.

use governance::decide::{Command, Renewal};
use governance::horizon;
use governance::instance::Offer;
use governance::{
    Action, Class, Digest, FindingCode, Instance, Registration, Running, State, SubscriptionStatus, Tier,
    silence, standing,
};

use super::book::{DAY, Hour};
use super::desk::{Counting, Desk, Pace, Record, Scene};
use super::identity::{Nature, Temper, head_of, key_of};
use super::invariants::Broken;
use super::packed::provider_of;
use super::profile::Fault;
use super::random::{Dice, Purpose};
use super::unit::{Appeal, NEVER, Plan, Pulse, Truth, Unit};

/// Days that a fork, a clone, a runtime or a tier out of order is left so before somebody mends it.
const MEND_DAYS: (u32, u32) = (1, 6);
/// Days after which a subscription is renewed: in time, and too late.
const RENEW_DAYS: (u32, u32) = (1, 13);
const RENEW_LATE_DAYS: (u32, u32) = (15, 40);
/// Hours of an outage: a usual one, and a long one.
const OUT_HOURS: (u32, u32) = (1, 10);
const OUT_LONG_HOURS: (u32, u32) = (49, 120);
/// Days after which a revoked instance is restored, and a suspended one is let go.
const RESTORE_DAYS: (u32, u32) = (10, 45);
const RELEASE_DAYS: (u32, u32) = (2, 8);

/// The step of one instance, while it lies open on the desk.
pub(super) struct Act<'a, 'c> {
    pub(super) desk: &'a mut Desk,
    pub(super) unit: &'a mut Unit,
    pub(super) pulse: &'a mut Pulse,
    pub(super) index: u32,
    pub(super) scene: &'a Scene<'a>,
    pub(super) counting: &'a mut Counting<'c>,
    pub(super) petitions: &'a mut Vec<(u32, Appeal)>,
}

impl Act<'_, '_> {
    fn dice(&self, purpose: Purpose) -> Dice {
        Dice::of(self.scene.book.seed, purpose, u64::from(self.index), u64::from(self.scene.hour))
    }

    fn command(&mut self, command: &Command) -> Result<bool, Broken> {
        self.desk.command(command, self.scene, self.counting)
    }

    fn instance(&self) -> &Instance {
        &self.desk.instance
    }

    fn nature(&self) -> Nature {
        Nature::of(self.scene.book.seed, self.index, self.scene.profile, self.scene.hours)
    }

    /// Everything that the instance does in this hour; the audit comes last.
    pub(super) fn step(&mut self) -> Result<(), Broken> {
        let hour = self.scene.hour;
        let is_day = self.pulse.daily <= hour;
        if is_day {
            self.pulse.daily = next_day(self.scene, self.index);
        }
        if self.unit.renews <= hour {
            self.unit.renews = NEVER;
            let status = Some(SubscriptionStatus::Active);
            self.command(&Command::ChangeSubscription { tier: None, status, until: None })?;
        }
        let returns = self.unit.out.is_some_and(|until| until <= hour);
        if returns {
            self.unit.out = None;
        }
        if is_day {
            self.befall()?;
        }
        if self.unit.mends <= hour {
            self.unit.mends = NEVER;
            self.mend()?;
        }
        if self.unit.out.is_none() && self.instance().state != State::Revoked {
            if is_day || returns {
                self.shake_hands()?;
            }
            self.carry_out()?;
            if is_day || returns {
                self.report()?;
            }
        }
        if is_day && self.instance().state == State::Suspended && !self.instance().held {
            self.command(&Command::Reactivate)?;
        }
        self.audit()
    }

    /// The Federation's audit, and what everybody plans in view of what stands then.
    pub(super) fn audit(&mut self) -> Result<(), Broken> {
        self.desk.audit(self.scene, self.counting)?;
        self.consider();
        self.appeal();
        Ok(())
    }

    /// The Founder's order is carried out.
    pub(super) fn obey(&mut self, order: &Command) -> Result<(), Broken> {
        self.command(order)?;
        self.audit()
    }

    /// Registers the instance and lets it report and become active.
    pub(super) fn join(&mut self) -> Result<(), Broken> {
        let (book, world) = (self.scene.book, self.scene.world);
        let nature = self.nature();
        let Some(edition) = book.edition(book.current) else { return Ok(()) };
        let registration = Registration {
            enrolment: governance::Digest::of(&self.index.to_le_bytes()),
            kind: world.constitution.kind_of(nature.tier),
            tier: nature.tier,
            provider: provider_of(book, self.index).cloned(),
            labels: book.labels.clone(),
            endpoint: book.endpoint.clone(),
            key: key_of(self.unit.id, 0),
            running: Running {
                platform: edition.version,
                runtime: edition.runtime,
                layers: edition.content.clone(),
            },
            domains: Vec::new(),
        };
        if let Err(refusal) = governance::decide::register(&registration, world) {
            self.counting.tally.refuse(&refusal);
            self.pulse.next = NEVER;
            return Ok(());
        }
        self.unit.truth = Truth { platform: book.current, runtime: book.current, forked: false };
        self.pulse.daily = self.scene.hour + DAY;
        self.desk.open_new(Instance::registered(self.unit.id, &registration, self.scene.now));
        self.report()?;
        self.command(&Command::Ready)?;
        self.audit()
    }

    /// What the day brings.
    fn befall(&mut self) -> Result<(), Broken> {
        let (Some(fault), mut dice) = fault(self.scene, self.index) else { return Ok(()) };
        let (hour, profile) = (self.scene.hour, self.scene.profile);
        let days = |dice: &mut Dice, (first, last): (u32, u32)| hour + DAY * dice.between(first, last);
        match fault {
            Fault::Outage => {
                let range = if dice.happens(profile.long_outages) { OUT_LONG_HOURS } else { OUT_HOURS };
                self.unit.out = Some(hour + dice.between(range.0, range.1));
            }
            Fault::Lapse if self.instance().subscription.status == SubscriptionStatus::Active => {
                let late = dice.happens(profile.late_renewals);
                self.unit.renews = days(&mut dice, if late { RENEW_LATE_DAYS } else { RENEW_DAYS });
                let status = Some(SubscriptionStatus::Lapsed);
                self.command(&Command::ChangeSubscription { tier: None, status, until: None })?;
            }
            Fault::Lapse => {}
            Fault::Move => {
                self.unit.mends = days(&mut dice, MEND_DAYS);
                let tier = match self.instance().subscription.tier {
                    Tier::Free | Tier::Pro => Tier::Enterprise,
                    Tier::Enterprise | Tier::Custom => Tier::Pro,
                };
                self.command(&Command::ChangeSubscription { tier: Some(tier), status: None, until: None })?;
            }
            Fault::Clone => {
                self.unit.mends = days(&mut dice, MEND_DAYS);
                self.report_as_clone(&mut dice)?;
            }
            Fault::Fork => {
                self.unit.mends = days(&mut dice, MEND_DAYS);
                self.unit.truth.forked = true;
            }
            Fault::RuntimeMishap => {
                self.unit.mends = days(&mut dice, MEND_DAYS);
                // Any line's runtime but its own, as far as one is known.
                let other = self.scene.book.editions.iter().rposition(|edition| {
                    self.scene
                        .book
                        .edition(self.unit.truth.platform)
                        .is_some_and(|own| own.runtime != edition.runtime)
                });
                if let Some(other) = other.and_then(|other| u8::try_from(other).ok()) {
                    self.unit.truth.runtime = other;
                }
            }
        }
        Ok(())
    }

    /// A copy of the instance goes on from a statement before the last: refused, and a finding (ID-4).
    fn report_as_clone(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        if self.pulse.sequence < 2 || self.instance().state == State::Revoked {
            return Ok(());
        }
        let Truth { platform, runtime, forked } = self.unit.truth;
        let head = |sequence| head_of(self.unit.id, self.unit.enrolment, sequence);
        let before = head(self.pulse.sequence - 2);
        let mut other = head(self.pulse.sequence - 1);
        if let Some(head) = other.as_mut() {
            head.digest = governance::Digest::of(&dice.bytes());
        }
        let statement = self.desk.statement(self.scene.book, platform, runtime, forked, (before, other));
        let Some(command) = statement else { return Ok(()) };
        self.command(&command)?;
        self.desk.reuse(command);
        Ok(())
    }

    /// Operators and owners put right what can be.
    fn mend(&mut self) -> Result<(), Broken> {
        if let Some(until) = self.unit.out {
            self.unit.mends = until;
            return Ok(());
        }
        let law = &self.scene.world.constitution;
        let kind = law.kind_of(self.instance().subscription.tier);
        if self.instance().state == State::Revoked {
            return Ok(());
        }
        if self.instance().finding(FindingCode::VersionChainBroken).is_some() {
            let enrolment = self.unit.enrolment.saturating_add(1);
            let key = key_of(self.unit.id, enrolment);
            let endpoint = self.scene.book.endpoint.clone();
            let afresh = Command::Handshake { key, enrolment: Digest::of(key.as_bytes()), endpoint };
            if self.command(&afresh)? {
                (self.unit.enrolment, self.pulse.sequence) = (enrolment, 0);
            }
        }
        self.command(&Command::ChangeKind { kind })?;
        let truth = Truth { runtime: self.unit.truth.platform, forked: false, ..self.unit.truth };
        if self.unit.truth != truth {
            self.unit.truth = truth;
            self.report()?;
        }
        Ok(())
    }

    /// A restored instance shakes hands afresh, by a renewal (LC-17): on its day, however often it is looked at.
    fn shake_hands(&mut self) -> Result<(), Broken> {
        if !self.instance().handshake_required {
            return Ok(());
        }
        let key = self.instance().key;
        let head = self.instance().head.map(|head| head.digest);
        let not_after = self.scene.now + self.scene.world.constitution.identity_certificate_lifetime;
        let renewal = Renewal { by: key, key, head, pending: None, serial: String::from("01"), not_after };
        self.command(&Command::Renew(renewal)).map(|_| ())
    }

    /// Says what runs.
    fn report(&mut self) -> Result<(), Broken> {
        let Truth { platform, runtime, forked } = self.unit.truth;
        let head = |sequence| head_of(self.unit.id, self.unit.enrolment, sequence);
        let heads = (head(self.pulse.sequence), head(self.pulse.sequence + 1));
        let statement = self.desk.statement(self.scene.book, platform, runtime, forked, heads);
        let Some(command) = statement else { return Ok(()) };
        if self.command(&command)? {
            self.pulse.sequence += 1;
            self.pulse.stated = self.scene.hour;
        }
        self.desk.reuse(command);
        Ok(())
    }

    /// Begins or ends an attempt whose time has come.
    fn carry_out(&mut self) -> Result<(), Broken> {
        match self.unit.plan {
            Plan::Begin { release, at } if at <= self.scene.hour => self.begin(release),
            Plan::Finish { release, at, well } if at <= self.scene.hour => self.finish(release, well),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, release: u8) -> Result<(), Broken> {
        self.unit.plan = Plan::Idle;
        let Some(edition) = self.scene.book.edition(release) else { return Ok(()) };
        let offer = self.instance().offer;
        if offer.is_none_or(|offer| offer.release != edition.version)
            || !self.command(&Command::BeginUpgrade { release: edition.version })?
        {
            return Ok(());
        }
        let mut dice = self.dice(Purpose::Attempt);
        let profile = self.scene.profile;
        let back = offer.is_some_and(|offer| offer.action == Action::Rollback);
        let well = back || !dice.happens(edition.failing);
        // One that hangs has stalled when it ends; half of those end well after all.
        let hangs = !back && dice.happens(profile.hanging);
        let hours = if hangs { dice.between(8, 30) } else { dice.between(1, 2) };
        let well = well && (!hangs || dice.below(2) == 0);
        self.unit.plan = Plan::Finish { release, at: self.scene.hour + hours, well };
        Ok(())
    }

    fn finish(&mut self, release: u8, well: bool) -> Result<(), Broken> {
        self.unit.plan = Plan::Idle;
        let Some(edition) = self.scene.book.edition(release) else { return Ok(()) };
        let version = edition.version;
        let known = self.instance().attempt.is_some_and(|attempt| attempt.release == version);
        if !known && matches!(self.instance().state, State::Suspended | State::Revoked) {
            // The Founder interrupted it: the directive said to stop.
            return Ok(());
        }
        if well {
            let back = version < self.instance().running.platform;
            let ships = self
                .scene
                .world
                .releases
                .get(&version)
                .is_some_and(|known| known.release.ships_runtime.is_some());
            let runtime = if back || ships { release } else { self.unit.truth.runtime };
            self.unit.truth = Truth { platform: release, runtime, forked: false };
            self.report()
        } else if known {
            self.command(&Command::FailUpgrade { release: version, reason: None }).map(|_| ())
        } else {
            Ok(())
        }
    }

    /// Plans what to do about an offer that is new.
    fn consider(&mut self) {
        let Some(offer) = self.instance().offer else { return };
        if self.instance().attempt.is_some() || matches!(self.unit.plan, Plan::Finish { .. }) {
            return;
        }
        let Some(release) = self.scene.book.number(offer.release) else { return };
        if matches!(self.unit.plan, Plan::Begin { release: planned, .. } if planned == release) {
            return;
        }
        // Whoever makes up his mind too late does it at once, and not whenever he is looked at next.
        let at = self.begins(&offer).max(self.scene.hour + 1);
        self.unit.plan = Plan::Begin { release, at };
    }

    /// When the owner lets an offer be installed.
    fn begins(&self, offer: &Offer) -> Hour {
        let hour = self.scene.hour;
        let mut dice = self.dice(Purpose::Delay);
        let class = self.scene.world.release(offer.release).map(|release| release.class);
        let temper = self.nature().temper;
        if offer.action == Action::Rollback || self.instance().state == State::Suspended {
            // Directed, or the only way back.
            return hour + dice.between(1, if offer.action == Action::Rollback { 6 } else { 10 * DAY });
        }
        let due = offer.deadline.map_or(NEVER, |deadline| self.scene.book.beyond(deadline));
        match (temper, class) {
            (Temper::Refusing, Some(Class::Security)) => hour + dice.between(12, 96),
            // Until days after it is out of compliance, and one in five beyond suspension.
            (Temper::Refusing, _) => {
                due.saturating_add(DAY * if dice.below(5) == 0 { 90 } else { dice.between(1, 40) })
            }
            (Temper::Slow, Some(Class::Security)) => hour + dice.between(4, 30),
            (Temper::Slow, _) => hour + dice.between(5 * DAY, 34 * DAY),
            (Temper::Weekly, Some(Class::Security)) => hour + dice.between(1, 20),
            (Temper::Weekly, _) => hour + 1 + (self.index + 7 * DAY - hour % (7 * DAY)) % (7 * DAY),
            (Temper::Prompt, _) => hour + dice.between(1, 12),
        }
    }

    /// What the Founder is asked to decide about the instance.
    fn appeal(&mut self) {
        let (hour, profile) = (self.scene.hour, self.scene.profile);
        if let Some((at, appeal)) = self.unit.appeal {
            if at <= hour {
                self.unit.appeal = None;
                self.petitions.push((self.index, appeal));
            }
            return;
        }
        let instance = &self.desk.instance;
        let at = self.scene.now;
        let mut dice = self.dice(Purpose::Founder);
        let days = |dice: &mut Dice, (first, last): (u32, u32)| hour + DAY * dice.between(first, last);
        let opened = |code| instance.finding(code).is_some_and(|finding| finding.since == at);
        if instance.state == State::Revoked {
            if instance.since == at && dice.happens(profile.restored) {
                self.unit.appeal = Some((days(&mut dice, RESTORE_DAYS), Appeal::Restore));
            }
        } else if instance.held {
            self.unit.appeal = Some((days(&mut dice, RELEASE_DAYS), Appeal::Restore));
        } else if opened(FindingCode::UnauthorisedFork) && dice.happens(profile.revoked_forks) {
            self.unit.appeal = Some((hour + dice.between(6, 60), Appeal::Revoke));
        } else if opened(FindingCode::VersionChainBroken) && dice.happens(profile.suspended_clones) {
            self.unit.appeal = Some((hour + dice.between(6, 60), Appeal::Suspend));
        }
    }

    /// When the instance is to be looked at again, and up to when it has nothing to do but to repeat its statement every day.
    pub(super) fn next_and_quiet(&self) -> (Hour, Hour) {
        let scene = self.scene;
        let look = horizon::next_look_beside_silence(self.instance(), scene.world, scene.now);
        let look = look.map_or(NEVER, |at| scene.book.beyond(at));
        (self.next(look), self.quiet(look))
    }

    fn next(&self, look: Hour) -> Hour {
        let (unit, scene) = (&*self.unit, self.scene);
        let daily = Some(self.pulse.daily).filter(|at| *at > scene.hour).unwrap_or(NEVER);
        let window = match scene.pace {
            Pace::Calendar => {
                let silence = silence::until(self.instance(), scene.world, scene.now);
                let silence = (silence >= scene.now).then(|| scene.book.beyond(silence));
                look.min(silence.unwrap_or(NEVER))
            }
            Pace::Hourly
                if unit.out.is_some()
                    || has_open_window(self.instance())
                    || scene.world.freezes.iter().any(|freeze| freeze.until >= scene.now) =>
            {
                scene.hour + 1
            }
            Pace::Hourly => NEVER,
        };
        daily.min(self.acts()).min(window)
    }

    fn quiet(&self, look: Hour) -> Hour {
        let (unit, scene, instance) = (&*self.unit, self.scene, self.instance());
        let rests = scene.pace == Pace::Calendar
            && unit.out.is_none()
            && instance.state.is_eligible()
            && instance.attempt.is_none()
            && instance.finding(FindingCode::NotReporting).is_none()
            && !instance.held
            && !instance.handshake_required
            && instance.previous_key.is_none()
            && standing::due(instance, scene.world, scene.now).is_none()
            && matches!(unit.record, Record::Packed(_))
            && self.says_what_runs();
        if rests { look.min(self.acts()) } else { 0 }
    }

    /// When somebody is to act about the instance next, daily statements apart.
    fn acts(&self) -> Hour {
        let unit = &*self.unit;
        let planned = match unit.plan {
            Plan::Idle => NEVER,
            Plan::Begin { at, .. } | Plan::Finish { at, .. } => at,
        };
        // Whoever is out does nothing before he returns, and the revoked nothing at all; what they put off so, they do at once
        // when they can.
        let planned = match unit.out {
            _ if self.instance().state == State::Revoked => NEVER,
            Some(until) => until.max(planned),
            None => planned.max(self.scene.hour + 1),
        };
        let appeal = unit.appeal.map_or(NEVER, |(at, _)| at);
        let later = [planned, unit.out.unwrap_or(NEVER), appeal, unit.renews, unit.mends];
        later.into_iter().filter(|at| *at > self.scene.hour).min().unwrap_or(NEVER)
    }

    /// Whether the record says what really runs.
    fn says_what_runs(&self) -> bool {
        let (truth, book, running) = (self.unit.truth, self.scene.book, &self.desk.instance.running);
        let Some(edition) = book.edition(truth.platform) else { return false };
        let runtime = book.edition(truth.runtime).map(|edition| edition.runtime);
        !truth.forked && running.platform == edition.version && Some(running.runtime) == runtime
    }
}

/// The next hour at which an instance reports: a day has 23 or 24 hours, since nobody reports on the minute.
pub(super) const fn next_day(scene: &Scene<'_>, index: u32) -> Hour {
    let mut dice = Dice::of(scene.book.seed, Purpose::Delay, index as u64, scene.hour as u64);
    scene.hour + DAY - dice.below(2)
}

/// What befalls an instance on this day, if anything does.
pub(super) fn fault(scene: &Scene<'_>, index: u32) -> (Option<Fault>, Dice) {
    let mut dice = Dice::of(scene.book.seed, Purpose::Day, u64::from(index), u64::from(scene.hour));
    (scene.hazards.strike(dice.roll()), dice)
}

/// Whether a clock runs for the instance.
fn has_open_window(instance: &Instance) -> bool {
    instance.offer.is_some()
        || instance.due.is_some()
        || instance.attempt.is_some()
        || !instance.findings.is_empty()
        || !instance.failures.is_empty()
        || instance.subscription.status != SubscriptionStatus::Active
}

/// What the Founder's order asks of an instance.
pub(super) const fn order(appeal: Appeal) -> Command {
    match appeal {
        Appeal::Suspend => Command::OrderSuspend,
        Appeal::Revoke => Command::OrderRevoke,
        Appeal::Restore => Command::OrderRestore,
    }
}

/// Whether a record is there to lay open.
pub(super) const fn has_joined(record: &Record) -> bool {
    !matches!(record, Record::Absent)
}
