//! Carries out the steps of a timeline: each is one command to the law, and its answer is compared with what the step says.
//!
//! Never softens a refusal: a step that was not said to be refused must be accepted.

use std::collections::BTreeSet;

use governance::decide::{Command, WorldCommand, decide_world};
use governance::release::RollbackInstructions;
use governance::{
    Authority, Catalogue, Class, ConstitutionDocument, Digest, DomainCode, LayerId, LayerStructure, Package,
    Reason, Refusal, Release, Span, Version, VersionRange, World,
};

use super::Failure;
use super::fleet::layers;
use super::model::{
    Conduct, OrderVerb, Published, Refused, ReportStep, RolloutVerb, Step, UpgradeVerb, Verb,
};
use super::parse::amended;
use super::play::Play;

/// The refusal of calls of an instance that has not joined.
pub(super) fn unknown_instance() -> Refusal {
    Reason::NotAuthorised { by: Authority::Runtime }.into()
}

fn release(version: Version, class: Class, world: &World) -> Release {
    let any = VersionRange { min: Version::new(0, 0, 0), max: Version::new(u32::MAX, 0, 0) };
    let package = format!("package-{version}");
    Release {
        version,
        class,
        advisory: None,
        package: Package { digest: Digest::of(package.as_bytes()), name: package, length: 1 },
        layers: layers(version)
            .into_iter()
            .map(|layer| LayerStructure { id: layer.id, digest: layer.digest, needs: Vec::new() })
            .collect(),
        ships_runtime: None,
        runtime: world.matrix.runtimes(version.line()).unwrap_or(any),
        from: None,
        rollback: Some(RollbackInstructions { instructions: String::from("bind the version before") }),
        migration: (class == Class::Major).then(|| String::from("follow the notes")),
        floor: None,
        deprecations: Vec::new(),
        removes: Vec::new(),
        notes: String::new(),
    }
}

/// A release from before the timeline.
pub(super) fn release_before(version: Version, world: &World) -> Release {
    release(version, Class::Minor, world)
}

/// The catalogue that replaces the default one.
pub(super) fn catalogue(modules: &[super::model::Module]) -> Catalogue {
    let module = |module: &super::model::Module| governance::Module {
        code: module.code.clone(),
        version: Version::new(0, 1, 0),
        digest: None,
        minimum: module.minimum,
        why: String::new(),
        runtime: None,
        depends: module.depends.clone(),
        provider: module.provider.clone(),
    };
    Catalogue { modules: modules.iter().map(module).collect() }
}

/// What stands for the digest of the signed manifest.
pub(super) fn release_digest(release: &Release) -> Digest {
    Digest::of(format!("{release:?}").as_bytes())
}

impl Play<'_> {
    /// Carries out one step and compares the answer.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), Failure> {
        let reasons = self.perform(&step.verb).err().map_or(Vec::new(), |refusal| refusal.reasons);
        let found: BTreeSet<&'static str> = reasons.iter().map(Reason::code).collect();
        let said = match &step.refused {
            None => String::from("accepted"),
            Some(Refused::Among(code)) => format!("refused with {code}"),
            Some(Refused::Exactly(codes)) => format!("refused with exactly {}", listed(codes)),
        };
        let holds = match &step.refused {
            None => found.is_empty(),
            Some(Refused::Among(code)) => found.contains(code),
            Some(Refused::Exactly(codes)) => found == *codes,
        };
        if holds {
            return Ok(());
        }
        let found = if found.is_empty() {
            String::from("accepted")
        } else {
            let told = reasons.iter().map(|reason| format!("{} ({reason})", reason.code()));
            format!("refused with {}", told.collect::<Vec<_>>().join(", "))
        };
        Err(self.differs(step, &said, found))
    }

    fn differs(&self, step: &Step, expected: &str, found: String) -> Failure {
        Failure {
            at: self.elapsed(),
            line: step.line,
            subject: format!("step `{}`", verb_name(&step.verb)),
            expected: expected.to_string(),
            found,
        }
    }

    fn perform(&mut self, verb: &Verb) -> Result<(), Refusal> {
        match verb {
            Verb::Publish(published) => self.publish(published),
            Verb::Withdraw(release) => {
                self.world_command(&WorldCommand::Withdraw { release: *release, by: Authority::Federation })
            }
            Verb::Rollout(release, verb) => self.steer(*release, *verb),
            Verb::Outcome { release, phase, failures } => {
                self.failing.insert((*release, *phase), *failures);
                Ok(())
            }
            Verb::Freeze { from, until } => {
                let start = self.scenario.start;
                let command = WorldCommand::Freeze { from: start + *from, until: start + *until };
                self.world_command(&command)
            }
            Verb::Outage { from, until } => {
                self.outages.push((self.scenario.start + *from, self.scenario.start + *until));
                Ok(())
            }
            Verb::RedSwitch(on) => self.world_command(&WorldCommand::RedSwitch { on: *on, reason: None }),
            Verb::Upgrade(index, release, verb) => self.upgrade(*index, *release, *verb),
            Verb::Report(index, step) => self.report_as(*index, step),
            Verb::Subscription { instance, tier, status, kind } => {
                // One step, and so judged by the audit as one.
                if let Some(kind) = kind {
                    self.judge(*instance, &Command::ChangeKind { kind: *kind })?;
                }
                self.command(
                    *instance,
                    &Command::ChangeSubscription { tier: *tier, status: *status, until: None },
                )
            }
            Verb::Activate(index, domain) => self.activate(*index, domain),
            Verb::Deactivate(index, domain) => self.deactivate(*index, domain),
            Verb::Suspend(index) => self.command(*index, &Command::Suspend),
            Verb::Reactivate(index) => self.command(*index, &Command::Reactivate),
            Verb::Handshake(index) => self.handshake(*index),
            Verb::Ready(index) => self.command(*index, &Command::Ready),
            Verb::Retry(index, release) => self.command(*index, &Command::Retry { release: *release }),
            Verb::Acknowledge { rule, instance, release } => match instance {
                Some(index) => self.command(*index, &Command::Acknowledge { rule: rule.clone() }),
                None => {
                    self.world_command(&WorldCommand::Acknowledge { release: *release, rule: rule.clone() })
                }
            },
            Verb::Order(order) => self.order(order),
            Verb::Amend { changes, effective } => self.amend(changes, *effective),
            Verb::Conduct(whose, to) => {
                self.behave(*whose, *to);
                Ok(())
            }
        }
    }

    pub(super) fn world_command(&mut self, command: &WorldCommand) -> Result<(), Refusal> {
        let events = decide_world(&self.world, command, self.now)?;
        self.apply_world(&events);
        Ok(())
    }

    fn publish(&mut self, published: &Published) -> Result<(), Refusal> {
        let mut release = release(published.version, published.class, &self.world);
        release.advisory = published.advisory;
        release.ships_runtime = published.ships_runtime;
        if !published.rollback {
            release.rollback = None;
        }
        release.deprecations.clone_from(&published.deprecates);
        release.removes.clone_from(&published.removes);
        release.floor = published.floor;
        if let Some(layers) = &published.layers {
            let structure = |(id, needs): &(LayerId, Vec<LayerId>)| LayerStructure {
                id: id.clone(),
                digest: Digest::of(id.to_string().as_bytes()),
                needs: needs.clone(),
            };
            release.layers.extend(layers.iter().map(structure));
        }
        let digest = release_digest(&release);
        self.world_command(&WorldCommand::Publish {
            release: Box::new(release),
            digest,
            restriction: published.only.clone(),
            approval: published.approval.clone(),
        })
    }

    fn steer(&mut self, release: Version, verb: RolloutVerb) -> Result<(), Refusal> {
        self.world_command(&match verb {
            RolloutVerb::Pause => WorldCommand::Pause { release },
            RolloutVerb::Resume => WorldCommand::Resume { release, by: Authority::Federation },
            RolloutVerb::Abort => WorldCommand::Abort { release },
            RolloutVerb::Approve => WorldCommand::Approve { release },
        })
    }

    fn upgrade(&mut self, index: usize, release: Version, verb: UpgradeVerb) -> Result<(), Refusal> {
        match verb {
            UpgradeVerb::Begin => self.begin(index, release),
            UpgradeVerb::Fail => self.command(index, &Command::FailUpgrade { release, reason: None }),
            UpgradeVerb::Succeed => {
                let ships = self.world.releases.get(&release).and_then(|known| known.release.ships_runtime);
                let Some(unit) = self.fleet.get_mut(index) else { return Err(unknown_instance()) };
                let before = unit.running.clone();
                if before.platform != release {
                    unit.install(release, ships);
                }
                let statement = unit.statement();
                let answer = self.command(index, &Command::Report(statement.clone()));
                if let Some(unit) = self.fleet.get_mut(index) {
                    if answer.is_ok() {
                        unit.stated(&statement);
                    } else {
                        unit.running = before;
                    }
                }
                Ok(answer?)
            }
        }
    }

    fn begin(&mut self, index: usize, release: Version) -> Result<(), Refusal> {
        let record = self.fleet.get(index).and_then(|unit| unit.record.as_ref());
        let offered = record.and_then(|record| record.offer).is_some_and(|offer| offer.release == release);
        if !offered && record.is_some_and(|record| release < record.running.platform) {
            // Back by its own wish: asked for, checked, offered (RO-9).
            self.command(index, &Command::RollBack { release })?;
        }
        self.command(index, &Command::BeginUpgrade { release })
    }

    fn report_as(&mut self, index: usize, step: &ReportStep) -> Result<(), Refusal> {
        let Some(unit) = self.fleet.get(index) else { return Err(unknown_instance()) };
        let statement = unit.statement_as(step);
        self.command(index, &Command::Report(statement.clone()))?;
        if let Some(unit) = self.fleet.get_mut(index) {
            unit.stated(&statement);
        }
        Ok(())
    }

    /// A restored instance shakes hands afresh by a renewal, and its chain goes on (LC-17); any other enrols afresh.
    fn handshake(&mut self, index: usize) -> Result<(), Refusal> {
        let not_after = self.now + self.world.constitution.identity_certificate_lifetime;
        let Some(unit) = self.fleet.get_mut(index) else { return Err(unknown_instance()) };
        if let Some(renewal) = unit.renewal(not_after) {
            return self.command(index, &Command::Renew(renewal));
        }
        let Some(afresh) = unit.enrol_afresh() else { return Err(unknown_instance()) };
        self.command(index, &afresh)?;
        if let Some(unit) = self.fleet.get_mut(index) {
            unit.begin_chain();
        }
        Ok(())
    }

    fn order(&mut self, order: &OrderVerb) -> Result<(), Refusal> {
        match order {
            OrderVerb::Suspend(index) => self.command(*index, &Command::OrderSuspend)?,
            OrderVerb::Revoke(index) => self.command(*index, &Command::OrderRevoke)?,
            OrderVerb::Restore(index) => self.command(*index, &Command::OrderRestore)?,
            OrderVerb::Override { instance, finding, until } => {
                let until = self.scenario.start + *until;
                self.command(*instance, &Command::OrderOverride { finding: *finding, until })?;
            }
            OrderVerb::Remove(release, capability) => {
                let (release, capability) = (*release, capability.clone());
                self.world_command(&WorldCommand::AllowRemoval { release, capability })?;
            }
            OrderVerb::Resume(release) => {
                let by = Authority::Founder;
                self.world_command(&WorldCommand::Resume { release: *release, by })?;
            }
            OrderVerb::Withdraw(release) => {
                self.world_command(&WorldCommand::Withdraw { release: *release, by: Authority::Founder })?
            }
        }
        self.accept_order(&format!("{order:?}"))
    }

    /// An amendment: the latest constitution with these parameters changed (FO-5).
    fn amend(&mut self, changes: &[(String, toml::Value)], effective: Option<Span>) -> Result<(), Refusal> {
        let latest = self.world.amendments.last().map(|amendment| &amendment.document.parameters);
        let base = latest.unwrap_or(&self.world.constitution);
        let contradicts = |error: toml::de::Error| {
            Refusal::from(Reason::ConstitutionContradicts { detail: error.message().to_string() })
        };
        let document = ConstitutionDocument {
            previous: self.world.latest_constitution(),
            effective: effective.map_or(self.now, |effective| self.scenario.start + effective),
            parameters: amended(base, changes).map_err(contradicts)?,
        };
        let digest = Digest::of(format!("{document:?}").as_bytes());
        self.world_command(&WorldCommand::Amend { digest, document: Box::new(document) })?;
        self.accept_order("amend")
    }

    /// The order stands on record, and its serial is used (FO-1).
    fn accept_order(&mut self, order: &str) -> Result<(), Refusal> {
        let serial = self.world.order_serial + 1;
        let expires = self.now + Span::hours(1);
        let digest = Digest::of(format!("{serial} {order}").as_bytes());
        self.world_command(&WorldCommand::AcceptOrder { serial, expires, digest })
    }

    /// The right is given, the Runtime binds, the instance reports (EN-2).
    fn activate(&mut self, index: usize, domain: &DomainCode) -> Result<(), Refusal> {
        self.command(index, &Command::Activate { domain: domain.clone() })?;
        if let Some(unit) = self.fleet.get_mut(index)
            && !unit.domains.contains(domain)
        {
            unit.domains.push(domain.clone());
        }
        self.report(index);
        Ok(())
    }

    /// The Runtime unbinds, and says so.
    pub(super) fn deactivate(&mut self, index: usize, domain: &DomainCode) -> Result<(), Refusal> {
        self.command(index, &Command::Deactivate { domain: domain.clone() })?;
        if let Some(unit) = self.fleet.get_mut(index) {
            unit.domains.retain(|active| active != domain);
        }
        Ok(())
    }

    fn behave(&mut self, whose: Option<usize>, to: Conduct) {
        for (index, unit) in self.fleet.iter_mut().enumerate() {
            if whose.is_none_or(|whose| whose == index) {
                unit.conduct = to;
            }
        }
    }
}

/// Words with commas between.
fn listed(codes: &BTreeSet<&'static str>) -> String {
    codes.iter().copied().collect::<Vec<_>>().join(", ")
}

const fn verb_name(verb: &Verb) -> &'static str {
    match verb {
        Verb::Publish(_) => "publish",
        Verb::Withdraw(_) => "withdraw",
        Verb::Rollout(..) => "rollout",
        Verb::Outcome { .. } => "outcome",
        Verb::Freeze { .. } => "freeze",
        Verb::Outage { .. } => "outage",
        Verb::RedSwitch(_) => "red_switch",
        Verb::Upgrade(..) => "upgrade",
        Verb::Report(..) => "report",
        Verb::Subscription { .. } => "subscription",
        Verb::Activate(..) => "activate",
        Verb::Deactivate(..) => "deactivate",
        Verb::Suspend(_) => "suspend",
        Verb::Reactivate(_) => "reactivate",
        Verb::Handshake(_) => "handshake",
        Verb::Ready(_) => "ready",
        Verb::Retry(..) => "retry",
        Verb::Acknowledge { .. } => "acknowledge",
        Verb::Order(_) => "order",
        Verb::Amend { .. } => "amend",
        Verb::Conduct(..) => "conduct",
    }
}
