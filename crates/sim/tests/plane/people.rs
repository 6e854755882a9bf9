//! The people of a run: operators, the Founder and the Organism, who ask a few times and then let it be.

use std::sync::Arc;

use governance::decide::Command;
use governance::{
    Class, Constitution, Digest, FindingCode, InstanceId, Span, State, SubscriptionStatus, Tier, Version,
    WorldEvent,
};
use plane::rollouts::RolloutVerb;
use proof::order::OrderAction;

use crate::fate::{Dice, Owner};
use crate::federation::{CEREMONY, operator};
use crate::net::{Again, Answering, code, may_pass};
use crate::plan::Plan;
use crate::servers::{Servers, SimPlane};

/// How often people ask for the same again.
const TRIES: u32 = 4;

/// Whoever steers the federation.
pub(crate) struct People {
    servers: Arc<Servers>,
    plan: Arc<Plan>,
    dice: Dice,
    orders: u64,
    releases: u32,
    /// The digest of the law that was signed last, and whether it is known to be in force.
    law: Digest,
    keys: u64,
}

impl People {
    pub(crate) fn new(seed: u64, servers: &Arc<Servers>, plan: &Arc<Plan>) -> Self {
        Self {
            servers: Arc::clone(servers),
            plan: Arc::clone(plan),
            dice: Dice::new(seed ^ 0xbeef),
            orders: 0,
            releases: 0,
            law: CEREMONY.first_law(),
            keys: 1,
        }
    }

    /// Steers until the calm, and then lets everything go on.
    pub(crate) async fn live(mut self) {
        for burst in self.plan.bursts.clone() {
            let late = self.dice.between(0, 150);
            self.servers.fate.sleep_until(burst + Span::from_millis(late)).await;
            for _ in 0..self.dice.between(0, 2) {
                self.act().await;
            }
        }
        self.servers.fate.sleep_until(self.plan.calm + Span::hours(1)).await;
        self.let_go().await;
    }

    /// Asks a server, again where no answer comes. `None`: it was given up.
    async fn ask<T: Send + 'static>(
        &mut self,
        what: &str,
        run: impl Fn(Arc<SimPlane>) -> Answering<T> + Clone + Send + Sync + 'static,
    ) -> Option<Result<T, String>> {
        for tries in 0..TRIES {
            let count = self.servers.count() as u64;
            let server = usize::try_from(self.dice.below(count)).unwrap();
            self.servers.fate.note(|| format!("somebody asks server {server}: {what}"));
            match self.servers.call(server, Again::No, Arc::new(run.clone())).await {
                Some(Ok(answer)) => return Some(Ok(answer)),
                Some(Err(error)) if !may_pass(&error) => {
                    let code = code(&error);
                    self.servers.fate.note(|| format!("{what} is refused: {code}: {error}"));
                    return Some(Err(code));
                }
                _ => {
                    let pause = self.dice.between(500, 20_000 << tries);
                    self.servers.fate.sleep(pause).await;
                }
            }
        }
        None
    }

    /// What was answered is on record.
    fn check(&self, what: &str, on_record: bool) {
        if !on_record {
            self.servers.fate.breach(format!("{what} is answered, and not on record"));
        }
    }

    fn anybody(&mut self) -> Option<(InstanceId, State)> {
        let all = self.servers.tables.book.instances();
        if all.is_empty() {
            return None;
        }
        let one = self.dice.pick(&all);
        Some((one.id, one.state))
    }

    async fn act(&mut self) {
        match self.dice.below(15) {
            0 => self.suspend().await,
            1 => self.reactivate().await,
            2 => self.freeze().await,
            3 => {
                let on = self.dice.happens(4_000);
                self.red_switch(on).await;
            }
            4..7 => self.publish().await,
            7 => self.steer().await,
            8 => self.order().await,
            9 => self.amend().await,
            10 => self.new_keys().await,
            12 => self.order().await,
            11 => self.revoke_person().await,
            13 => self.re_enrol().await,
            _ => self.subscription().await,
        }
    }

    async fn operate(
        &mut self,
        what: &str,
        id: InstanceId,
        command: Command,
    ) -> Option<Result<wire::InstanceView, String>> {
        self.ask(what, move |plane| {
            let command = command.clone();
            Box::pin(async move { plane.operate(&operator("admin"), id, command).await })
        })
        .await
    }

    async fn suspend(&mut self) {
        let Some((id, _)) = self.anybody() else { return };
        let mark = self.servers.tables.book.mark(id);
        if let Some(Ok(view)) = self.operate("suspend", id, Command::Suspend).await {
            let stood = self
                .servers
                .tables
                .book
                .stood(id, mark, |row| row.state == State::Suspended && row.since == view.since);
            self.check("a suspension", stood);
        }
    }

    async fn reactivate(&mut self) {
        let suspended =
            self.servers.tables.book.instances().into_iter().find(|one| one.state == State::Suspended);
        let Some(suspended) = suspended else { return };
        let (id, mark) = (suspended.id, self.servers.tables.book.mark(suspended.id));
        if let Some(Ok(view)) = self.operate("reactivate", id, Command::Reactivate).await {
            let stood = self
                .servers
                .tables
                .book
                .stood(id, mark, |row| row.state == view.state && row.since == view.since);
            self.check("a reactivation", stood);
        }
    }

    /// One operator asks that an instance may enrol afresh, another approves, and the instance is told.
    async fn re_enrol(&mut self) {
        let Some((id, _)) = self.anybody() else { return };
        let asked = self
            .ask("re-enrol", move |plane| {
                Box::pin(async move { plane.re_enrol(&operator("admin"), id).await })
            })
            .await;
        let Some(Ok(created)) = asked else { return };
        let digest = created.digest;
        let approved = self
            .ask("approve", move |plane| {
                Box::pin(async move { plane.enrolment_approve(&operator("second"), digest).await })
            })
            .await;
        if let Some(Ok(())) = approved {
            let said = |event: &WorldEvent| matches!(event, WorldEvent::EnrolmentApproved { digest: of } if *of == digest);
            self.check("an approval", self.servers.tables.book.was_said(said));
            self.servers.post(id, created.secret);
        }
    }

    async fn subscription(&mut self) {
        let Some((id, _)) = self.anybody() else { return };
        let mark = self.servers.tables.book.mark(id);
        let (tier, status) = match self.dice.below(3) {
            0 => (Some(Tier::Pro), None),
            1 => (Some(Tier::Free), None),
            _ => (None, Some(SubscriptionStatus::Active)),
        };
        let command = Command::ChangeSubscription { tier, status, until: None };
        if let Some(Ok(view)) = self.operate("subscription", id, command).await {
            let stood = self.servers.tables.book.stood(id, mark, |row| {
                row.subscription.tier == view.tier && row.subscription.since == view.subscription_since
            });
            self.check("a subscription", stood && tier.is_none_or(|tier| tier == view.tier));
        }
    }

    async fn freeze(&mut self) {
        let from = self.servers.fate.now() + Span::from_millis(self.dice.between(0, 600_000));
        let until = from + Span::from_millis(self.dice.between(1, 3) * 3_600_000);
        let freeze = wire::Freeze { from, until };
        let asked = self
            .ask("freeze", move |plane| {
                Box::pin(async move { plane.freeze(&operator("admin"), freeze).await })
            })
            .await;
        if let Some(Ok(())) = asked {
            let said = |event: &WorldEvent| matches!(event, WorldEvent::FreezeSet { from: f, until: u } if (*f, *u) == (from, until));
            self.check("a freeze", self.servers.tables.book.was_said(said));
        }
    }

    async fn red_switch(&mut self, on: bool) {
        let asked = self
            .ask("red switch", move |plane| {
                let turn = wire::RedSwitch { on, reason: None };
                Box::pin(async move { plane.red_switch(&operator("admin"), &turn).await })
            })
            .await;
        if let Some(Ok(())) = asked {
            let is = self.servers.tables.book.world(|world| world.red_switch);
            let said =
                |event: &WorldEvent| matches!(event, WorldEvent::RedSwitchTurned { on: o, .. } if *o == on);
            self.check("the red switch", is == on || self.servers.tables.book.was_said(said));
        }
    }

    async fn revoke_person(&mut self) {
        let (person, serial) = (operator("gone").to_string(), format!("{:032x}", self.dice.roll()));
        let request = wire::RevokePerson { person, serial: serial.clone() };
        let asked = self
            .ask("revoke a person", move |plane| {
                let request = request.clone();
                Box::pin(async move { plane.revoke_person(&operator("admin"), "0a", &request).await })
            })
            .await;
        if let Some(Ok(())) = asked {
            let revoked = self.servers.tables.book.world(|world| world.revoked_people.contains(&serial));
            self.check("a person's revocation", revoked);
        }
    }

    async fn publish(&mut self) {
        let version = Version::new(0, 1, self.releases);
        let class = match self.dice.below(3) {
            0 if self.releases > 0 => Class::Security,
            _ => Class::Minor,
        };
        let now = self.servers.fate.now();
        let release = CEREMONY.release(version, class);
        let publish = CEREMONY.publication(&self.servers.folder, &release, now);
        let asked = self
            .ask("publish", move |plane| {
                let publish = publish.clone();
                Box::pin(async move { plane.publish(&operator("admin"), &publish).await })
            })
            .await;
        let published = self.servers.tables.book.world(|world| world.releases.contains_key(&version));
        if let Some(Ok(_)) = asked {
            self.check("a release", published);
        }
        // What is not on record is published again: the first release is what all run already.
        self.releases += u32::from(published);
    }

    async fn steer(&mut self) {
        let rollouts: Vec<Version> = self
            .servers
            .tables
            .book
            .world(|world| world.rollouts.iter().map(|rollout| rollout.release).collect());
        if rollouts.is_empty() {
            return;
        }
        let release = self.dice.pick(&rollouts);
        let verb = self.dice.pick(&[
            RolloutVerb::Pause,
            RolloutVerb::Resume,
            RolloutVerb::Resume,
            RolloutVerb::Abort,
        ]);
        if self.dice.happens(1_000) {
            self.ask("withdraw", move |plane| {
                Box::pin(async move { plane.withdraw(&operator("admin"), release).await })
            })
            .await;
            return;
        }
        self.ask("steer", move |plane| {
            Box::pin(async move { plane.steer(&operator("admin"), release, verb).await })
        })
        .await;
    }

    /// Hands an order in until it is known to have been accepted or refused.
    async fn hand_in(&mut self, what: &str, action: OrderAction) -> Option<Result<(), String>> {
        self.orders += 1;
        let serial = self.orders;
        let order = CEREMONY.order(serial, self.servers.fate.now() + Span::hours(24), action);
        let digest = order.digest();
        let asked = self
            .ask(what, move |plane| {
                let order = order.clone();
                Box::pin(async move { plane.order(&order).await })
            })
            .await;
        let accepted =
            self.servers.tables.book.was_said(
                |event| matches!(event, WorldEvent::OrderAccepted { digest: d, .. } if *d == digest),
            );
        if let Some(Ok(())) = asked {
            self.check(what, accepted);
        }
        asked
    }

    async fn order(&mut self) {
        let Some((instance, state)) = self.anybody() else { return };
        let reason = || "the Founder's own".to_owned();
        let action = match (self.dice.below(5), state) {
            (0, _) => OrderAction::Suspend { instance, reason: reason() },
            (1, _) => OrderAction::Revoke { instance, reason: reason() },
            (2, _) => {
                let until = self.servers.fate.now() + Span::hours(48);
                OrderAction::Override {
                    instance,
                    finding: FindingCode::VersionDrift,
                    until,
                    reason: reason(),
                }
            }
            _ => OrderAction::Restore { instance, reason: reason() },
        };
        self.hand_in("an order", action).await;
    }

    async fn amend(&mut self) {
        let late = self.dice.between(-1_000, 7_200_000).max(0);
        let effective = self.servers.fate.now() + Span::from_millis(late);
        let law = Constitution {
            compliance_report_within: Span::hours(24 + self.dice.between(0, 24)),
            ..CEREMONY.law.clone()
        };
        let (action, digest) = CEREMONY.amendment(self.law, effective, law);
        self.hand_in("an amendment", action).await;
        if self.servers.tables.book.world(|world| world.latest_constitution()) == Some(digest) {
            self.law = digest;
        }
    }

    async fn new_keys(&mut self) {
        let action = CEREMONY.keys_order(self.keys + 1, self.servers.fate.now());
        self.hand_in("new keys", action).await;
        self.keys = self.servers.tables.book.world(|world| world.keys_serial).max(1);
    }

    /// What holds everything back is taken away.
    async fn let_go(&mut self) {
        self.red_switch(false).await;
        let paused: Vec<(Version, bool)> = self.servers.tables.book.world(|world| {
            let paused = world.rollouts.iter().filter(|rollout| rollout.paused.is_some());
            paused.map(|rollout| (rollout.release, world.secures(rollout))).collect()
        });
        for (release, secures) in paused {
            if secures {
                let reason = "the cause is known".to_owned();
                self.hand_in("resume", OrderAction::Resume { release, reason }).await;
            } else {
                self.ask("resume", move |plane| {
                    Box::pin(
                        async move { plane.steer(&operator("admin"), release, RolloutVerb::Resume).await },
                    )
                })
                .await;
            }
        }
    }
}

/// Clocks go wrong, a few at a time.
pub(crate) async fn unsettle(servers: Arc<Servers>, plan: Arc<Plan>) {
    for burst in plan.bursts.clone() {
        servers.fate.sleep_until(burst).await;
        for server in 0..servers.count() {
            if servers.fate.happens(|weather| weather.clock) {
                let off = servers.fate.dice(|dice| match dice.below(3) {
                    0 => 0,
                    _ => dice.between(-plan.skew, plan.skew),
                });
                servers.set_clock(server, off);
            }
        }
    }
    servers.fate.sleep_until(plan.calm).await;
    for server in 0..servers.count() {
        servers.set_clock(server, 0);
    }
}

/// Starts everybody who is no server.
pub(crate) fn enter(servers: &Arc<Servers>, plan: &Arc<Plan>, people: People) {
    servers.fate.spawn(Owner::Outside, people.live());
    servers.fate.spawn(Owner::Outside, unsettle(Arc::clone(servers), Arc::clone(plan)));
}
