//! A timeline: a small fleet, the federation, and what is checked at every event.

use std::collections::BTreeSet;

use governance::decide::{Command, Renewal, Statement, WorldCommand, decide, decide_world};
use governance::module::unentitled;
use governance::reconcile::{federation_events, is_due, reconcile};
use governance::rollout::{Census, advance};
use governance::{
    Action, Authority, Cause, Class, Committed, Constitution, ConstitutionDocument, Digest, Event,
    FindingCode, Instance, InstanceEvent, InstanceId, InstanceKey, Kind, Phase, Registration, Restriction,
    RolloutId, Running, Salt, Span, State, StatementHead, SubscriptionStatus, Tier, Timestamp, Version,
    World, WorldEvent, lifecycle,
};

use super::acts::{Act, FLEET, catalogue, content, domain, release, sixteen, version};

const ROUNDS_MAX: usize = 64;

/// The timeline under test, with what it remembers beside the record.
pub struct Timeline {
    pub world: World,
    pub fleet: Vec<Instance>,
    offered: Vec<BTreeSet<Version>>,
    /// Everything decided, and when.
    pub log: Vec<(Timestamp, Event)>,
    pub now: Timestamp,
    /// When standing orders took an instance (CO-14).
    taken: Vec<Timestamp>,
    /// The key that a renewal under judgement was signed with.
    renewing: Option<InstanceKey>,
}

impl Timeline {
    pub fn new() -> Self {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let mut timeline = Self {
            world: World::default(),
            fleet: vec![],
            offered: vec![],
            log: vec![],
            now,
            taken: vec![],
            renewing: None,
        };
        let parameters = Constitution { rollout_halt_failures: 1, ..Constitution::default() };
        let document = Box::new(ConstitutionDocument { previous: None, effective: now, parameters });
        timeline.apply_world(WorldEvent::ConstitutionRatified { digest: Digest::of(b"law"), document });
        timeline.world_command(&WorldCommand::PublishCatalogue { catalogue: catalogue() });
        timeline.publish(Version::new(0, 1, 0), Class::Minor, false, false);
        let strata = [
            (Kind::SaasShared, Tier::Pro),
            (Kind::SaasShared, Tier::Free),
            (Kind::Dedicated, Tier::Enterprise),
        ];
        for index in 0..FLEET {
            let (kind, tier) = strata[index % strata.len()];
            let platform = Version::new(0, 1, 0);
            let registration = Registration {
                enrolment: Digest::of(b"secret"),
                kind,
                tier,
                provider: None,
                labels: Committed::new(Salt::from_random([0; 16]), vec![]),
                endpoint: Committed::new(Salt::from_random([0; 16]), "https://a.example/".parse().unwrap()),
                key: InstanceKey::from_bytes([0; 32]),
                running: Running { platform, runtime: platform, layers: content(platform) },
                domains: vec![],
            };
            let id = InstanceId::from_random(sixteen(100 + u8::try_from(index).unwrap()));
            timeline.fleet.push(Instance::registered(id, &registration, now));
            timeline.log.push((now, Event::Instance(id, InstanceEvent::Registered(Box::new(registration)))));
            timeline.offered.push(BTreeSet::new());
            timeline.command(index, &Command::Ready);
        }
        timeline
    }

    fn apply_world(&mut self, event: WorldEvent) {
        if let WorldEvent::PhaseOpened { rollout, cutoffs, .. } = &event {
            let phases =
                self.world.rollout(*rollout).map(|rollout| rollout.phases.clone()).unwrap_or_default();
            for earlier in phases.iter().flat_map(|open| open.cutoffs.iter()) {
                let later = cutoffs.iter().find(|new| (new.kind, new.tier) == (earlier.kind, earlier.tier));
                // General availability holds everyone: it has no cut-offs.
                assert!(
                    cutoffs.is_empty() || later.is_some_and(|later| later.last >= earlier.last),
                    "RO-2: a cut-off fell"
                );
            }
        }
        if matches!(event, WorldEvent::StandingOrderTaken { .. }) {
            let fleet = self.fleet.iter().filter(|instance| instance.state != State::Revoked).count();
            let day = self.taken.iter().filter(|at| self.now.since(**at) <= Span::hours(24)).count();
            // One hundredth of six is less than one; the one just taken is revoked already.
            assert_eq!(day, 0, "CO-14: a second one in a day, of {fleet} left");
            self.taken.push(self.now);
        }
        self.world.apply(&event, self.now);
        self.log.push((self.now, Event::World(event)));
    }

    fn apply(&mut self, index: usize, events: Vec<InstanceEvent>) {
        for event in events {
            let instance = &mut self.fleet[index];
            let (key, state) = (instance.key, instance.state);
            match &event {
                InstanceEvent::KeyRenewed { .. } | InstanceEvent::Handshaken => {
                    assert_ne!(state, State::Revoked, "LC-19: {event:?}");
                    // A handshake may stand right behind the change of the key that asked for both.
                    let asked = [Some(key), instance.previous_key];
                    assert!(asked.contains(&self.renewing), "AU-1: {event:?} not asked for by the instance");
                }
                InstanceEvent::CertificateIssued { key: certified, .. } => {
                    assert_eq!(*certified, key, "AU-2")
                }
                InstanceEvent::Moved { from, to, cause } => {
                    assert_eq!(*from, instance.state, "a move from where it does not stand: {event:?}");
                    assert!(lifecycle::transition(*from, *to, *cause).is_some(), "illegal: {event:?}");
                    if *from == State::Revoked {
                        assert_eq!(*cause, Cause::FounderRestored, "IN-6");
                    }
                    check_standing(instance, *cause, self.now);
                }
                InstanceEvent::Offered { release, action: Action::Update, .. } => {
                    self.offered[index].insert(*release);
                }
                InstanceEvent::Warned { window, point } => {
                    let given = instance
                        .warnings
                        .iter()
                        .any(|given| given.window == *window && given.point >= *point);
                    assert!(!given, "CO-12: warned of {window} at {point} again");
                }
                InstanceEvent::DeactivationNoticed { domain } => {
                    let noticed = instance.notices.iter().any(|notice| notice.domain == *domain);
                    assert!(!noticed, "CO-5: noticed twice: {domain}");
                    assert!(
                        unentitled(instance, &self.world).contains(domain),
                        "CO-5: {domain} has its right"
                    );
                }
                InstanceEvent::ModuleActivated { domain, .. } => {
                    assert!(!instance.is_activated(domain), "EN-2: activated twice: {domain}");
                }
                InstanceEvent::RollbackAsked { from, .. } => {
                    // One that was withdrawn binds nobody any more.
                    let left = &self.world.releases[from];
                    let binds = left.release.class == Class::Security && !left.withdrawn;
                    assert!(!binds, "RL-2: a security release left by wish");
                }
                InstanceEvent::FindingOpened { code } => {
                    assert!(instance.finding(*code).is_none(), "opened twice: {code}");
                    if *code == FindingCode::NotReporting {
                        let outages = self.world.outages.iter();
                        let away = outages.map(|it| it.until.since(it.from.max(instance.reported)));
                        let silent = away.fold(self.now.since(instance.reported), |sum, away| sum - away);
                        assert!(silent > self.world.constitution.compliance_report_within, "CO-7");
                    }
                    if matches!(code, FindingCode::VersionDrift | FindingCode::SecurityPatchOverdue) {
                        let due = instance.due.expect("IN-7: it owes nothing");
                        assert!(
                            self.offered[index].contains(&due.release),
                            "IN-7: {} never offered",
                            due.release
                        );
                    }
                }
                _ => {}
            }
            instance.apply(&event, self.now);
            let takes =
                matches!(event, InstanceEvent::KeyRenewed { .. } | InstanceEvent::HandshakeRenewed { .. });
            assert!(takes || instance.key == key, "AU-2: {event:?} changed the key");
            assert!(
                !instance.handshake_required || instance.state == State::Suspended,
                "LC-17: {event:?} led a restored instance on before it shook hands"
            );
            self.log.push((self.now, Event::Instance(instance.id, event)));
        }
    }

    /// Judges and records; a refusal records a broken chain, and nothing else. Then what is due.
    fn command(&mut self, index: usize, command: &Command) {
        let events = match decide(&self.fleet[index], command, &self.world, self.now) {
            Ok(events) => events,
            Err(refusal) => {
                assert!(!refusal.reasons.is_empty());
                let broken = InstanceEvent::FindingOpened { code: FindingCode::VersionChainBroken };
                let harmless = |event: &&InstanceEvent| {
                    **event == broken
                        || matches!(event, InstanceEvent::Escalated { rule, .. } if rule == "CO-9")
                };
                assert_eq!(refusal.record.iter().filter(|event| !harmless(event)).count(), 0, "{refusal:?}");
                refusal.record
            }
        };
        self.commit(index, events);
        self.reconcile(index);
    }

    /// Puts on record what was decided, and what that makes of the federation (CO-14).
    fn commit(&mut self, index: usize, events: Vec<InstanceEvent>) {
        self.apply(index, events.clone());
        for event in federation_events(&self.fleet[index], &events, &self.world, self.now) {
            self.apply_world(event);
        }
    }

    fn reconcile(&mut self, index: usize) -> bool {
        if !is_due(&self.fleet[index], &self.world, self.now) {
            assert_eq!(
                reconcile(&self.fleet[index], &self.world, self.now),
                vec![],
                "is_due says what is due"
            );
            return false;
        }
        let events = reconcile(&self.fleet[index], &self.world, self.now);
        self.commit(index, events);
        assert!(!is_due(&self.fleet[index], &self.world, self.now), "reconcile is idempotent");
        true
    }

    pub fn census(&self, id: RolloutId) -> Census {
        let rollout = self.world.rollout(id).unwrap();
        let mut census = Census::default();
        for instance in &self.fleet {
            census.add(rollout, &self.world, instance);
        }
        census
    }

    /// Constitutions whose date has come, before everything else (FO-5).
    fn law_of_the_day(&mut self) {
        for event in self.world.due(self.now) {
            self.apply_world(event);
        }
        assert_eq!(self.world.due(self.now), vec![]);
    }

    /// Everything due, until nothing is.
    pub fn sweep(&mut self) {
        self.law_of_the_day();
        if self.world.is_count_due(self.now) {
            let there = self.fleet.iter().filter(|instance| instance.state != State::Revoked);
            let instances = there.count() as u64;
            self.world_command(&WorldCommand::CountFleet { instances });
        }
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "the sweep comes to rest");
            let mut changed = false;
            for index in 0..FLEET {
                changed |= self.reconcile(index);
            }
            for id in self.world.rollouts.iter().map(|rollout| rollout.id).collect::<Vec<_>>() {
                let events = advance(self.world.rollout(id).unwrap(), self.census(id), &self.world, self.now);
                changed |= !events.is_empty();
                for event in events {
                    self.apply_world(event);
                }
                let again = advance(self.world.rollout(id).unwrap(), self.census(id), &self.world, self.now);
                assert_eq!(again, vec![], "advance is idempotent");
            }
            if !changed {
                return;
            }
        }
    }

    fn world_command(&mut self, command: &WorldCommand) {
        self.law_of_the_day();
        for event in decide_world(&self.world, command, self.now).unwrap_or_default() {
            self.apply_world(event);
        }
    }

    fn publish(&mut self, version: Version, class: Class, ships: bool, approval: bool) {
        let release = Box::new(release(version, class, ships));
        self.world_command(&WorldCommand::Publish {
            digest: Digest::of(format!("{release:?}").as_bytes()),
            release,
            restriction: Restriction::default(),
            approval: if approval { vec![Phase::Beta] } else { vec![] },
        });
    }

    fn report(&mut self, index: usize, running: Running, skip: u64) {
        let head = self.fleet[index].head;
        let sequence = head.map_or(1, |head| head.sequence + 1) + skip;
        let digest = Digest::of(format!("{sequence} {running:?} {}", self.log.len()).as_bytes());
        let head = StatementHead { sequence, digest };
        let previous = self.fleet[index].head.map(|head| head.digest);
        // What it says is active: what it has the right to, and now and then what it has not.
        let record = &self.fleet[index];
        let mut domains: Vec<_> = record.active_domains().cloned().collect();
        if self.log.len().is_multiple_of(7) && !domains.contains(&domain(3)) {
            domains.push(domain(3));
        }
        self.command(index, &Command::Report(Statement { head, previous, running, domains }));
    }

    /// Amends the law: what it now asks for may end an offer, but one that stands keeps its terms (FO-5).
    fn amend(&mut self, hours: i64, change: usize) {
        let latest = self.world.amendments.last().map(|amendment| amendment.document.parameters.clone());
        let law = latest.unwrap_or_else(|| self.world.constitution.clone());
        let parameters = match change % 4 {
            0 => Constitution {
                minor_window: Span::hours(24 * 45),
                drift_threshold: Span::hours(24 * 20),
                ..law
            },
            1 => Constitution { security_deadline: Span::hours(12), ..law },
            2 => Constitution { tier_free_domains: 1, standing_orders: vec![], ..law },
            _ => Constitution { rollout_canary_duration: Span::hours(1), ..Constitution::default() },
        };
        let effective =
            if hours < 0 { self.now - Span::hours(-hours) } else { self.now + Span::hours(hours) };
        let previous = self.world.latest_constitution();
        let document = Box::new(ConstitutionDocument { previous, effective, parameters });
        let digest = Digest::of(format!("{document:?}").as_bytes());
        let terms = |instance: &Instance| {
            let due = instance.due;
            let lengths =
                |countdown: Option<governance::Countdown>| countdown.map(|it| (it.limit, it.window));
            (
                instance.offer,
                due.and_then(|due| lengths(due.drift)),
                due.and_then(|due| lengths(due.security)),
            )
        };
        let before: Vec<_> = self.fleet.iter().map(terms).collect();
        self.world_command(&WorldCommand::Amend { digest, document });
        for (index, before) in before.into_iter().enumerate() {
            self.reconcile(index);
            let after = terms(&self.fleet[index]);
            let same =
                before.0.is_some_and(|offer| after.0.is_some_and(|after| after.release == offer.release));
            assert!(!same || before == after, "FO-5: an open offer lost its terms: {before:?} {after:?}");
        }
    }

    pub fn act(&mut self, act: Act) {
        self.law_of_the_day();
        let attempt = |index: usize| self.fleet[index].attempt;
        // Of those for whom the act means something, so that timelines go somewhere.
        let act = match act {
            Act::Begin(n) => Act::Begin(self.pick(n, |instance| instance.offer.is_some())),
            Act::Succeed(n) => Act::Succeed(self.pick(n, |instance| instance.attempt.is_some())),
            Act::Fail(n) => Act::Fail(self.pick(n, |instance| instance.attempt.is_some())),
            Act::RollBack(n) => Act::RollBack(self.pick(n, |instance| instance.previous().is_some())),
            other => other,
        };
        match act {
            Act::Wait(minutes) => self.now = self.now + Span::from_millis(minutes * 60_000),
            Act::Publish(v, class, ships, approval) => self.publish(version(v), class, ships, approval),
            Act::Withdraw(v) => {
                self.world_command(&WorldCommand::Withdraw { release: version(v), by: Authority::Federation })
            }
            Act::Pause(v) => self.world_command(&WorldCommand::Pause { release: version(v) }),
            Act::Resume(v, founder) => {
                let by = if founder { Authority::Founder } else { Authority::Federation };
                self.world_command(&WorldCommand::Resume { release: version(v), by });
            }
            Act::Abort(v) => self.world_command(&WorldCommand::Abort { release: version(v) }),
            Act::Approve(v) => self.world_command(&WorldCommand::Approve { release: version(v) }),
            Act::Freeze(from, length) => {
                let from = self.now + Span::hours(from);
                self.world_command(&WorldCommand::Freeze { from, until: from + Span::hours(length) });
            }
            Act::RedSwitch(on) => self.world_command(&WorldCommand::RedSwitch { on, reason: None }),
            Act::Begin(n) => {
                if let Some(offer) = self.fleet[n].offer {
                    self.command(n, &Command::BeginUpgrade { release: offer.release });
                }
            }
            Act::Succeed(n) => {
                if let Some(attempt) = attempt(n) {
                    let ships = self
                        .world
                        .releases
                        .get(&attempt.release)
                        .and_then(|known| known.release.ships_runtime);
                    let runtime = ships.unwrap_or(self.fleet[n].running.runtime);
                    let platform = attempt.release;
                    self.report(n, Running { platform, runtime, layers: content(platform) }, 0);
                }
            }
            Act::Fail(n) => {
                if let Some(attempt) = attempt(n) {
                    self.command(n, &Command::FailUpgrade { release: attempt.release, reason: None });
                }
            }
            Act::Report(n, fork) => {
                let mut running = self.fleet[n].running.clone();
                running.layers = content(running.platform);
                if fork {
                    running.layers[0].digest = Digest::of(b"other");
                }
                self.report(n, running, 0);
            }
            Act::BreakChain(n) => self.report(n, self.fleet[n].running.clone(), 3),
            Act::Suspend(n) => self.command(n, &Command::Suspend),
            Act::Reactivate(n) => self.command(n, &Command::Reactivate),
            Act::Order(n, order) => {
                let orders = [Command::OrderSuspend, Command::OrderRevoke, Command::OrderRestore];
                self.command(n, &orders[order % orders.len()]);
            }
            Act::Handshake(n) => {
                let [one, other] = [1, 2].map(|key| InstanceKey::from_bytes([key; 32]));
                let key = if self.fleet[n].key == one { other } else { one };
                self.command(n, &afresh(key));
            }
            Act::Renew(n, by, key, continues) => {
                let head = self.fleet[n].head.map(|head| head.digest).filter(|_| continues);
                let [by, key] = [by, key].map(|key| InstanceKey::from_bytes([key; 32]));
                let not_after = self.now + Span::hours(24);
                self.renewing = Some(by);
                self.command(
                    n,
                    &Command::Renew(Renewal { by, key, head, pending: None, serial: "01".into(), not_after }),
                );
                self.renewing = None;
            }
            Act::Subscribe(n, change) => {
                let status = SubscriptionStatus::ALL.get(change).copied();
                let tier = change.checked_sub(3).and_then(|tier| Tier::ALL.get(tier).copied());
                self.command(n, &Command::ChangeSubscription { tier, status, until: None });
            }
            Act::Become(n, kind) => {
                self.command(n, &Command::ChangeKind { kind: Kind::ALL[kind % Kind::ALL.len()] })
            }
            Act::RollBack(n) => {
                if let Some(previous) = self.fleet[n].previous() {
                    self.command(n, &Command::RollBack { release: previous });
                }
            }
            Act::Outage(hours) => {
                let from = self.now;
                self.now = from + Span::hours(hours);
                self.world_command(&WorldCommand::RecordOutage { from, until: self.now });
            }
            Act::Activate(n, index) => self.command(n, &Command::Activate { domain: domain(index) }),
            Act::Deactivate(n, index) => self.command(n, &Command::Deactivate { domain: domain(index) }),
            Act::Override(n, finding, hours) => {
                let finding = FindingCode::ALL[finding % FindingCode::ALL.len()];
                let until = self.now + Span::hours(hours);
                self.command(n, &Command::OrderOverride { finding, until });
            }
            Act::Amend(hours, change) => self.amend(hours, change),
            Act::AllowRemoval(v) => {
                let capability = "old".into();
                self.world_command(&WorldCommand::AllowRemoval { release: version(v), capability });
            }
            Act::Bypass(n) => self.command(n, &Command::Bypass { facts: "forged".into() }),
            Act::Retry(n) => {
                if let Some(failure) = self.fleet[n].failures.first().copied() {
                    self.command(n, &Command::Retry { release: failure.release });
                }
            }
        }
    }

    /// One of the instances for which this holds, or of all when it holds for none.
    fn pick(&self, index: usize, holds: impl Fn(&Instance) -> bool) -> usize {
        let those: Vec<usize> = (0..FLEET).filter(|index| holds(&self.fleet[*index])).collect();
        if those.is_empty() { index } else { those[index % those.len()] }
    }

    /// What the states, offers, attempts and findings of a settled instance have to do with each other.
    pub fn check_rest(&self) {
        for instance in &self.fleet {
            let state = instance.state;
            let stands = instance.standing_findings(self.now).next().is_some();
            let noticed: BTreeSet<_> = instance.notices.iter().map(|notice| notice.domain.clone()).collect();
            let due: BTreeSet<_> = unentitled(instance, &self.world).into_iter().collect();
            // A restored one is left alone until it has shaken hands (LC-17).
            let left_alone = state == State::Revoked || instance.handshake_required;
            assert!(left_alone || noticed == due, "CO-5: {state} {noticed:?} {due:?}");
            match state {
                State::Registered | State::Revoked => {
                    assert!(instance.offer.is_none() && instance.attempt.is_none(), "{state}: asked of");
                }
                State::Active => {
                    assert!(instance.offer.is_none(), "active beside an offer");
                    assert!(!stands, "active beside a finding");
                }
                State::UpdatePending => assert!(instance.offer.is_some() && !stands),
                State::OutOfCompliance => assert!(stands),
                State::UpgradeInProgress => assert!(instance.attempt.is_some(), "nothing in progress"),
                State::Suspended => {
                    assert!(instance.due.is_none_or(|due| !due.is_running()), "LC-19: clocks stand still");
                    if let Some(offer) = instance.offer.filter(|_| instance.attempt.is_none()) {
                        let codes = [FindingCode::VersionDrift, FindingCode::SecurityPatchOverdue];
                        let lacks = codes.iter().any(|code| instance.finding(*code).is_some());
                        // Or it goes back from what was halted (RO-3).
                        assert!(lacks || offer.action == Action::Rollback, "LC-19: {offer:?}");
                    }
                }
            }
            if !matches!(state, State::UpgradeInProgress | State::Suspended) {
                assert!(instance.attempt.is_none(), "{state}: an attempt goes on");
            }
        }
    }
}

/// FO-3: nothing follows from a finding that is overridden.
fn check_standing(instance: &Instance, cause: Cause, now: Timestamp) {
    let silenced = |code| instance.is_silenced(code, now);
    match cause {
        Cause::FindingOpen | Cause::FindingTooOld => {
            assert!(instance.standing_findings(now).next().is_some(), "FO-3: {cause} without a finding");
        }
        Cause::FindingsCleared => assert!(instance.standing_findings(now).next().is_none(), "LC-11"),
        Cause::DriftFrozen => assert!(!silenced(FindingCode::VersionDrift), "FO-3"),
        Cause::Forked => assert!(!silenced(FindingCode::UnauthorisedFork), "FO-3"),
        Cause::SecurityOverdue => assert!(!silenced(FindingCode::SecurityPatchOverdue), "FO-3"),
        _ => {}
    }
}

/// By an enrolment afresh that two people let it have (HS-1).
fn afresh(key: InstanceKey) -> Command {
    let endpoint = Committed::new(Salt::from_random([0; 16]), "https://127.0.0.1:10".parse().unwrap());
    Command::Handshake { key, enrolment: Digest::of(b"afresh"), endpoint }
}
