//! The steps of the story: what each does, and by which facts it is known to have happened.
//!
//! Never takes a command's success for an effect: every step ends with what the plane or the ledger shows afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use client::{Client, ClientError};
use governance::{Digest, InstanceId, Kind, Label, Phase, State, Tier, Version};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use trust::RootCa;
use wire::{ChallengeOutcome, ChallengeView, EnrolmentRequest, RolloutView};

use super::fleet::Fleet;
use super::packages::{self, BREAKS_ON, BROKEN, FIRST, GOOD, SECURITY};
use super::plane::{self, Plane, instances, running};
use super::story::{Seen, Story};
use super::summary::{LedgerSummary, RolloutSummary};
use super::watch::Watch;
use super::{Failure, law};
use crate::connect::{self, ConnectArgs};

/// What is claimed of each step.
const CLAIMS: [&str; 10] = [
    "Founder, Organism and Federation get their keys, and the law its signature",
    "the plane starts, on SQLite",
    "the Organism signs 0.1.0, and it is published",
    "the fleet enrols, reports its versions, becomes active, and shows them again when challenged",
    "0.1.1 goes canary → beta → general availability, healthy on each",
    "0.1.2 is broken: halted in canary, and nobody is left on it",
    "security release 0.1.3 reaches everyone but the one that ignores it",
    "the one that ignores it runs out of its deadline and is suspended",
    "the Founder revokes one instance, which is then locked out",
    "the ledger is verified from the root keys alone",
];

/// What is claimed of the step that `--crash` adds, and before which of the others it comes.
const CRASH: (usize, &str) = (
    4,
    "the plane is killed in the middle of 0.1.1's rollout, started again, and has lost nothing it acknowledged",
);

/// What is claimed of each step, in order.
pub(super) fn claims(crash: bool) -> Vec<&'static str> {
    let mut claims = CLAIMS.to_vec();
    if crash {
        claims.insert(CRASH.0, CRASH.1);
    }
    claims
}

/// The federation's name.
const TRUST_DOMAIN: &str = "demo.webwaka.internal";
/// Founder and Organism keys, and how many of them must sign.
const KEYS: (u32, u32) = (3, 2);
/// So many decisions are acknowledged, at the least, right before the plane is killed.
const ACKNOWLEDGED_MIN: usize = 20;
/// How long a step may take on a slow machine.
const LONG: Duration = Duration::from_secs(90);
/// For what should happen at once.
const SHORT: Duration = Duration::from_secs(20);

impl Story {
    /// Every step, up to the first that does not happen.
    pub(super) async fn steps(&mut self) -> Result<(), Failure> {
        self.step(Self::keys).await?;
        self.step(Self::serve).await?;
        self.step(Self::first_release).await?;
        self.step(Self::enrol).await?;
        if self.crash {
            self.step(Self::kill_and_start).await?;
        }
        self.step(Self::good_release).await?;
        self.step(Self::broken_release).await?;
        self.step(Self::security_release).await?;
        self.step(Self::ignored).await?;
        self.step(Self::revoke).await?;
        self.step(Self::verify).await
    }

    async fn keys(&mut self) -> anyhow::Result<String> {
        let law = crate::law::render(&law::constitution(self.count))?;
        fs::write(self.place.join("law.toml"), law).context("cannot write the law")?;
        self.shell.typed(&format!("cd {}; export FEDPLANE_DIR=federation", self.place.display()));
        let (keys, threshold) = KEYS;
        let made: Made = self
            .shell
            .run(&format!(
                "init federation --trust-domain {TRUST_DOMAIN} --founders {keys} --threshold {threshold} \
                 --organisms {keys} --organism-threshold {threshold} --constitution law.toml"
            ))
            .await?;
        let document = self.folder.keys_document()?;
        let (settings, addresses) = plane::settings(self.count)?;
        fs::write(self.folder.settings(), settings.to_toml()).context("cannot write the settings")?;
        let instances = self.place.join("instances");
        fs::create_dir_all(&instances)?;
        let (agent, root) = (self.programs.agent.clone(), self.folder.founder());
        self.fleet = Some(Fleet::lay_out(&instances, self.count, agent, root, addresses)?);
        Ok(format!(
            "Founder {} of {}, Organism {} of {}, {} online keys, constitution {:.12}…",
            document.founder.threshold(),
            document.founder.keys().len(),
            document.organism.threshold(),
            document.organism.keys().len(),
            document.online.len(),
            made.constitution,
        ))
    }

    async fn serve(&mut self) -> anyhow::Result<String> {
        let client = ConnectArgs::of(self.folder.path()).client()?;
        self.watch = Some(Watch::new(client.clone(), self.show.clone()));
        self.shell.typed("fedplane serve --config federation/fedplane.toml &");
        let (program, log) = (self.programs.fedplane.clone(), plane::log(&self.place));
        let plane = Plane::start(program, &self.folder, client, log).await?;
        let overview = plane.client.federation().await?;
        ensure!(overview.constitution.is_some(), "the plane serves without a constitution");
        let id = plane.id().context("the plane has ended")?;
        let address = crate::connect::plane_url(&self.folder)?;
        self.plane = Some(plane);
        Ok(format!("{address} answers, process {id}, {} founding entries", overview.ledger))
    }

    async fn first_release(&mut self) -> anyhow::Result<String> {
        self.publish(FIRST).await?;
        let view = self.plane()?.client.releases().await?;
        let first = view.items.iter().find(|release| release.version == FIRST);
        let package = &first.context("the plane does not list it")?.package;
        Ok(format!(
            "{} bytes, SHA-256 {:.12}…, {} of {} keys signed",
            package.length,
            package.digest.to_string(),
            KEYS.1,
            KEYS.0
        ))
    }

    async fn enrol(&mut self) -> anyhow::Result<String> {
        let client = self.plane()?.client.clone();
        let names: Vec<Label> = self.fleet()?.members.iter().map(|member| member.name.clone()).collect();
        for name in &names {
            let fleet = self.fleet()?;
            let member = fleet.member(name)?;
            let request = EnrolmentRequest {
                kind: member.kind,
                tier: member.tier,
                provider: member.provider.clone(),
                labels: vec![name.clone()],
            };
            let created = client.enrolment_create(&request).await?;
            member.hand(&created.secret)?;
            fleet.start(name, true)?;
        }
        let (count, bar) = (names.len(), self.show.bar(names.len()));
        let all = self
            .until("every instance is active and has reported", LONG, async |plane, watch| {
                let all = instances(&plane.client).await?;
                let good = all.values().filter(|view| {
                    view.state == State::Active
                        && view.platform == FIRST
                        && watch.record.reported.contains(&view.id)
                });
                let good = good.count();
                bar.set(good, "active");
                Ok(if good == count {
                    Seen::Ready(all)
                } else {
                    Seen::Waiting(format!("{good} of {count} are"))
                })
            })
            .await?;
        drop(bar);
        for view in all.values() {
            let name = view.labels.first().context("an instance without a name")?;
            self.fleet()?.member(name)?.id = Some(view.id);
        }
        let mut kinds: Vec<_> = all.values().map(|view| view.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let mut tiers: Vec<_> = all.values().map(|view| view.tier).collect();
        tiers.sort_unstable();
        tiers.dedup();
        ensure!(
            kinds.len() == 3 && tiers.len() == 4,
            "kinds {kinds:?} and tiers {tiers:?} are not all there are"
        );
        let confirmed = self.challenge(all.keys().copied()).await?;
        Ok(format!(
            "{count} processes active on {FIRST}: {}; {} tiers; {confirmed} confirmed at their endpoints",
            kinds.join(", "),
            tiers.len()
        ))
    }

    /// Each shows its last statement at its endpoint, signed over a fresh nonce (HS-8).
    async fn challenge(&mut self, ids: impl Iterator<Item = InstanceId>) -> anyhow::Result<usize> {
        let client = self.plane()?.client.clone();
        let mut confirmed = 0;
        for id in ids {
            let view: ChallengeView = match confirmed {
                0 => self.shell.run(&format!("instance challenge {id}")).await?,
                _ => client.instance_challenge(id).await?,
            };
            let good = matches!(view.outcome, ChallengeOutcome::Confirmed | ChallengeOutcome::Ahead);
            ensure!(good, "instance {id} does not confirm what is on record: {view:?}");
            confirmed += 1;
        }
        Ok(confirmed)
    }

    async fn kill_and_start(&mut self) -> anyhow::Result<String> {
        self.publish(GOOD).await?;
        let bar = self.show.bar(self.count);
        self.until("beta is under way", LONG, async |plane, _| {
            let (all, rollout) = (instances(&plane.client).await?, plane.client.rollout(GOOD).await?);
            let installing = all.values().filter(|view| view.installing.is_some()).count();
            let stand = format!("run {GOOD} ({}), {installing} install it", rollout.phase);
            bar.set(running(&all, GOOD), &stand);
            Ok(if rollout.phase == "beta" && installing > 0 { Seen::Ready(()) } else { Seen::Waiting(stand) })
        })
        .await?;
        drop(bar);
        // Decisions are asked for and acknowledged up to the very moment of the kill.
        let (mut granted, asking) = ask_without_end(self.plane()?.client.clone());
        let mut enrolments = Vec::new();
        while enrolments.len() < ACKNOWLEDGED_MIN {
            let next = timeout(SHORT, granted.recv()).await.context("the plane grants no enrolments")?;
            enrolments.push(next.context("the plane refuses enrolments")?);
        }
        let plane = self.plane.as_mut().context("the plane does not run yet")?;
        plane.kill().await;
        self.show.happened(crate::clock::now(), &noted("is killed (SIGKILL)"));
        asking.await.context("asking for enrolments failed")?;
        while let Some(next) = granted.recv().await {
            enrolments.push(next);
        }
        // What agents hold for acknowledged must be in the ledger too.
        let members = &self.fleet()?.members;
        let held = members.iter().map(|member| Ok((member.name.clone(), member.acknowledged()?)));
        let held = held.collect::<anyhow::Result<Vec<_>>>()?;
        let plane = self.plane.as_mut().context("the plane does not run yet")?;
        plane.start_again().await?;
        self.show.happened(crate::clock::now(), &noted("is started again"));
        let watch = self.watch.as_mut().context("nobody reads the ledger yet")?;
        let same = watch.read_again().await?;
        watch.look().await?;
        for (name, statement) in &held {
            let statement =
                statement.with_context(|| format!("{name} holds no statement for acknowledged"))?;
            let there = watch.record.statements.contains(&statement);
            ensure!(there, "{name} was told that its statement {statement} is on record, and it is not");
        }
        for (index, digest) in enrolments.iter().enumerate() {
            let there = watch.record.enrolments.contains(digest);
            ensure!(
                there,
                "enrolment {} of {} was granted, and is not on record",
                index + 1,
                enrolments.len()
            );
        }
        Ok(format!(
            "{same} entries as before, byte for byte; {} enrolments granted until the kill and the last statement of {} agents are on record",
            enrolments.len(),
            held.len()
        ))
    }

    async fn good_release(&mut self) -> anyhow::Result<String> {
        if !self.crash {
            self.publish(GOOD).await?;
        }
        let (count, bar) = (self.count, self.show.bar(self.count));
        let rollout = self
            .until("everyone runs it and its rollout is done", LONG, async |plane, _| {
                let (all, rollout) = (instances(&plane.client).await?, plane.client.rollout(GOOD).await?);
                let on = running(&all, GOOD);
                let active = all.values().filter(|view| view.state == State::Active).count();
                let stand = format!("run {GOOD} ({})", rollout.phase);
                bar.set(on, &stand);
                let done = rollout.phase == "done" && on == count && active == count;
                Ok(if done {
                    Seen::Ready(rollout)
                } else {
                    Seen::Waiting(format!("{on} of {count} {stand}, {active} active"))
                })
            })
            .await?;
        ensure!(phases(&rollout) == Phase::ALL, "its phases were {:?}", phases(&rollout));
        ensure!(rollout.failed == 0, "{} attempts failed", rollout.failed);
        let cohorts: Vec<String> =
            rollout.phases.iter().map(|open| format!("{} {}", open.phase, open.cohort)).collect();
        Ok(format!("{} of {count} healthy on {GOOD}; {}", rollout.installed, cohorts.join(" → ")))
    }

    async fn broken_release(&mut self) -> anyhow::Result<String> {
        self.publish(BROKEN).await?;
        let (count, bar) = (self.count, self.show.bar(self.count));
        let rollout = self
            .until("its rollout is halted and everyone is back", LONG, async |plane, _| {
                let (all, rollout) = (instances(&plane.client).await?, plane.client.rollout(BROKEN).await?);
                let back = all.values().filter(|view| {
                    view.platform == GOOD && view.state == State::Active && view.offer.is_none()
                });
                let back = back.count();
                let stand = format!("run {GOOD}, {} run {BROKEN} ({})", running(&all, BROKEN), rollout.phase);
                bar.set(back, &stand);
                let done = rollout.phase == "halted" && back == count;
                Ok(if done {
                    Seen::Ready(rollout)
                } else {
                    Seen::Waiting(format!("{back} of {count} {stand}"))
                })
            })
            .await?;
        ensure!(phases(&rollout) == [Phase::Canary], "its phases were {:?}", phases(&rollout));
        let by_themselves =
            self.watch()?.record.failed.iter().filter(|(release, _)| *release == BROKEN).count();
        let directed = self.watch()?.record.directed.iter().filter(|(release, _)| *release == GOOD).count();
        ensure!(by_themselves > 0, "no instance went back by itself");
        ensure!(directed > 0, "no instance was directed back");
        ensure!(
            rollout.rolled_back == rollout.installed + rollout.failed,
            "{} installed it, {} failed, and {} went back",
            rollout.installed,
            rollout.failed,
            rollout.rolled_back
        );
        let cohort = rollout.phases.first().map_or(0, |open| open.cohort);
        Ok(format!(
            "halted in canary ({cohort} instances): {by_themselves} on {BREAKS_ON} failed and went back unasked, {directed} went back as directed"
        ))
    }

    async fn security_release(&mut self) -> anyhow::Result<String> {
        let stubborn = self.fleet()?.name(Tier::Free, 2)?;
        // Its owner decides against updates: the settings change, and the agent starts anew.
        self.fleet()?.stop(&stubborn).await?;
        self.fleet()?.start(&stubborn, false)?;
        self.stubborn = Some(stubborn.clone());
        let ignoring = self.fleet()?.id(&stubborn)?;
        self.publish(SECURITY).await?;
        let (others, bar) = (self.count - 1, self.show.bar(self.count - 1));
        let rollout = self
            .until("all but one run it", LONG, async |plane, _| {
                let (all, rollout) = (instances(&plane.client).await?, plane.client.rollout(SECURITY).await?);
                let good =
                    all.values().filter(|view| view.platform == SECURITY && view.state == State::Active);
                let good = good.count();
                let stand = format!("run {SECURITY}");
                bar.set(good, &stand);
                Ok(if good == others {
                    Seen::Ready(rollout)
                } else {
                    Seen::Waiting(format!("{good} of {others} {stand}"))
                })
            })
            .await?;
        let left = self.plane()?.client.instance(ignoring).await?;
        ensure!(left.platform == GOOD, "{stubborn}, which was to ignore it, runs {}", left.platform);
        ensure!(
            phases(&rollout) == [Phase::Ga],
            "its phases were {:?}: it was not offered to all at once",
            phases(&rollout)
        );
        ensure!(
            rollout.offered == self.count as u64,
            "it was offered to {} of {}",
            rollout.offered,
            self.count
        );
        Ok(format!(
            "offered to all {} at once, {} run {SECURITY}; {stubborn} stays on {GOOD}",
            rollout.offered, rollout.installed
        ))
    }

    async fn ignored(&mut self) -> anyhow::Result<String> {
        let stubborn = self.stubborn.clone().context("nobody ignores anything")?;
        let (id, bar) = (self.fleet()?.id(&stubborn)?, self.show.bar(2));
        let law = law::constitution(self.count);
        self.until("it is suspended, and the matter lies before the Founder", LONG, async |plane, _| {
            let view = plane.client.instance(id).await?;
            let escalations = plane.client.escalations().await?.items;
            let subject = id.to_string();
            let escalated = escalations.iter().any(|open| open.subject == subject && open.rule == "CO-3");
            let done = view.state == State::Suspended && escalated;
            let (ticks, ends) = match (view.state, view.offer) {
                (State::OutOfCompliance, _) => (1, view.since + law.security_suspend_after),
                (_, Some(wire::OfferView { deadline: Some(deadline), .. })) => (0, deadline),
                _ => (0, view.since),
            };
            let left = ends.since(crate::clock::now()).as_millis() / 1000;
            let stand = format!("{stubborn} is {}; {left} s left", view.state);
            bar.set(ticks, &stand);
            Ok(if done { Seen::Ready(()) } else { Seen::Waiting(stand) })
        })
        .await?;
        drop(bar);
        // The ledger's own words for how it came to that.
        self.until("the ledger says so", SHORT, async |_, watch| {
            let moves = watch.record.moves.get(&id).map(Vec::as_slice).unwrap_or_default();
            let suspended = moves.iter().any(|step| step.to == State::Suspended);
            Ok(if suspended { Seen::Ready(()) } else { Seen::Waiting(String::new()) })
        })
        .await?;
        let moves = self.watch()?.record.moves.get(&id).cloned().unwrap_or_default();
        let path: Vec<String> =
            moves.iter().rev().take(2).rev().map(|step| format!("{} ({})", step.to, step.rule)).collect();
        let states: Vec<State> = moves.iter().rev().take(2).rev().map(|step| step.to).collect();
        ensure!(states == [State::OutOfCompliance, State::Suspended], "its last transitions were {path:?}");
        Ok(format!("{stubborn}: {}; escalated to the Founder (CO-3)", path.join(" → ")))
    }

    async fn revoke(&mut self) -> anyhow::Result<String> {
        let name = self.fleet()?.name(Tier::Pro, 2)?;
        let id = self.fleet()?.id(&name)?;
        // Locked out, its agent may end or go on: neither is a fault of the story.
        self.excused = self.fleet()?.excuse(&name)?;
        for key in 1..=KEYS.1 {
            let what = if key == 1 {
                format!("--do revoke --instance {id} --reason stolen ")
            } else {
                String::new()
            };
            let words = format!("order sign {what}--key federation/keys/founder/{key}.key --out order.json");
            self.shell.run::<IgnoredAny>(&words).await?;
        }
        self.shell.run::<IgnoredAny>("order submit order.json").await?;
        let root = RootCa::from_pem(&self.folder.keys_document()?.root_ca)?;
        let address = connect::plane_url(&self.folder)?;
        let own = self.fleet()?.member(&name)?.client(&address, &root)?;
        let refused = own.check_in(id).await.err().context("a revoked instance checked in")?;
        ensure!(refused.code() == Some("instance-revoked"), "its next call was answered: {refused}");
        let status = own.status(id).await?;
        ensure!(status.state == State::Revoked, "its own status is {}", status.state);
        let view = self.plane()?.client.instance(id).await?;
        ensure!(view.state == State::Revoked, "the plane has it {}", view.state);
        let told = match refused {
            ClientError::Refused { problem, .. } => format!("{} {}", problem.status, problem.code),
            other => other.to_string(),
        };
        Ok(format!("{name}, by an order of {} of {} Founder keys; its next call: {told}", KEYS.1, KEYS.0))
    }

    async fn verify(&mut self) -> anyhow::Result<String> {
        let before = self.plane()?.client.federation().await?.ledger;
        self.until("a checkpoint covers every entry", SHORT, async |plane, _| {
            let checkpoint = plane.client.ledger_checkpoint().await?;
            let size = checkpoint.lines().nth(1).and_then(|line| line.parse::<u64>().ok()).unwrap_or(0);
            Ok(if size >= before {
                Seen::Ready(())
            } else {
                Seen::Waiting(format!("it covers {size} of {before}"))
            })
        })
        .await?;
        // An auditor has the root keys and a certificate to read with, and believes nothing else.
        let auditor = self.place.join("auditor");
        fs::create_dir_all(&auditor)?;
        fs::copy(self.folder.founder(), auditor.join("founder.json"))?;
        let (public, plane) = (connect::public_url(&self.folder)?, connect::plane_url(&self.folder)?);
        let words = format!(
            "ledger verify --root auditor/founder.json --url {public} --plane {plane} \
             --cert federation/keys/operators/admin.pem --key federation/keys/operators/admin.key"
        );
        let report: Verified = self.shell.run(&words).await?;
        let read = report.entries;
        ensure!(read >= before, "it holds {read} entries, and {before} were there before");
        let shown = self.plane()?.client.federation().await?.states;
        let shown: BTreeMap<State, u64> = shown.into_iter().filter(|(_, count)| *count > 0).collect();
        let report_states: BTreeMap<State, u64> =
            report.states.into_iter().filter(|(_, count)| *count > 0).collect();
        let active = self.count as u64 - 2;
        let expected = BTreeMap::from([(State::Active, active), (State::Suspended, 1), (State::Revoked, 1)]);
        ensure!(report_states == expected, "its states are {report_states:?}, not {expected:?}");
        ensure!(shown == expected, "the plane's states are {shown:?}, and the ledger's {expected:?}");
        let shown = self.plane()?.client.rollouts().await?.items;
        let shown: Vec<RolloutSummary> = shown.iter().map(RolloutSummary::from).collect();
        let found: Vec<RolloutSummary> = report.rollouts.into_iter().map(Into::into).collect();
        ensure!(shown == found, "the plane's rollouts are {shown:?}, and the ledger's {found:?}");
        self.summary.ledger = LedgerSummary { entries: read, verified: true };
        Ok(format!("{read} entries, each lawful, root {:.12}…; it shows what the plane shows", report.root))
    }

    /// Has the Organism sign a release, offline, and an operator publish it.
    async fn publish(&mut self, version: Version) -> anyhow::Result<()> {
        let folder = self.place.join("releases");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{version}.toml")), toml::to_string(&packages::manifest(version))?)?;
        fs::write(folder.join(format!("{version}.package")), packages::program(version))?;
        let keys: Vec<String> =
            (1..=KEYS.1).map(|key| format!("federation/keys/organism/{key}.key")).collect();
        let words = format!(
            "release sign --manifest releases/{version}.toml --package releases/{version}.package --key {} --out releases/{version}",
            keys.join(" ")
        );
        self.shell.run::<IgnoredAny>(&words).await?;
        self.shell.run::<IgnoredAny>(&format!("release publish releases/{version}")).await?;
        Ok(())
    }
}

/// Asks for one enrolment after the other until no answer comes; gives the digest of each that was granted.
fn ask_without_end(client: Client) -> (UnboundedReceiver<Digest>, JoinHandle<()>) {
    let (tell, granted) = unbounded_channel();
    let request =
        EnrolmentRequest { kind: Kind::SaasShared, tier: Tier::Free, provider: None, labels: Vec::new() };
    let asking = tokio::spawn(async move {
        while let Ok(created) = client.enrolment_create(&request).await {
            if tell.send(Digest::of(created.secret.as_bytes())).is_err() {
                break;
            }
        }
    });
    (granted, asking)
}

/// A line about the plane's process, in the columns of the others.
fn noted(what: &str) -> String {
    format!("{:<5}  {:<10}  {:<13}  {what}", "", "", "the plane")
}

/// What `init` answers, as far as it is asked here.
#[derive(Deserialize)]
struct Made {
    constitution: String,
}

/// What `ledger verify` answers, as far as it is asked here.
#[derive(Deserialize)]
struct Verified {
    entries: u64,
    root: String,
    states: BTreeMap<State, u64>,
    rollouts: Vec<VerifiedRollout>,
}

/// A rollout as the ledger has it.
#[derive(Deserialize)]
struct VerifiedRollout {
    release: Version,
    status: String,
    offered: u64,
    installed: u64,
    failed: u64,
    rolled_back: u64,
}

impl From<VerifiedRollout> for RolloutSummary {
    fn from(rollout: VerifiedRollout) -> Self {
        let VerifiedRollout { release, status: phase, offered, installed, failed, rolled_back } = rollout;
        Self { release, phase, offered, installed, failed, rolled_back }
    }
}

/// The phases that a rollout went through.
fn phases(rollout: &RolloutView) -> Vec<Phase> {
    rollout.phases.iter().map(|open| open.phase).collect()
}
