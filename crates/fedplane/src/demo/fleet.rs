//! The instances of the demo: each an agent process with a folder, a key and an endpoint of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use client::{Client, SystemSource};
use governance::{Digest, DomainCode, InstanceId, Kind, Label, LayerContent, ProviderId, Tier, Version};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use trust::{RootCa, SigningKey};

use super::packages::{FIRST, HOOKS, RUNTIME, contents, program};
use super::process::Process;

/// The tiers in turn: three shared instances, then one of an enterprise, one of a partner.
const PATTERN: [Tier; 10] = [
    Tier::Free,
    Tier::Pro,
    Tier::Enterprise,
    Tier::Custom,
    Tier::Free,
    Tier::Pro,
    Tier::Free,
    Tier::Pro,
    Tier::Enterprise,
    Tier::Custom,
];

/// The addresses of the plane, as agents are told them.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    /// `https://127.0.0.1:PORT` for instances and operators.
    pub(super) plane: String,
    /// The same for what is public.
    pub(super) public: String,
}

/// One instance.
#[derive(Debug)]
pub(super) struct Member {
    /// What people call it: its tier and a number.
    pub(super) name: Label,
    /// What it is.
    pub(super) kind: Kind,
    /// Its subscription.
    pub(super) tier: Tier,
    /// Whose it is.
    pub(super) provider: Option<ProviderId>,
    /// Its id, once it has one.
    pub(super) id: Option<InstanceId>,
    folder: PathBuf,
    process: Option<Process>,
}

/// The fleet.
#[derive(Debug)]
pub(super) struct Fleet {
    /// The members, in the order of their names' making.
    pub(super) members: Vec<Member>,
    agent: PathBuf,
    hooks: PathBuf,
    root: PathBuf,
    addresses: Addresses,
}

#[derive(Serialize)]
struct AgentFile<'a> {
    plane: &'a str,
    public: &'a str,
    root: &'a Path,
    folder: &'a str,
    enrolment: &'a str,
    listen: &'a str,
    platform: Version,
    runtime: Version,
    tier: Tier,
    domains: Vec<DomainCode>,
    hook_timeout: &'a str,
    report_every: &'a str,
    layers: Vec<LayerContent>,
    hooks: AgentHooks,
    health: AgentHealth<'a>,
    policy: AgentPolicy,
}

#[derive(Serialize)]
struct AgentHooks {
    bind: Vec<String>,
    health: Vec<String>,
    rollback: Vec<String>,
}

#[derive(Serialize)]
struct AgentHealth<'a> {
    every: &'a str,
    stable_for: &'a str,
    start_within: &'a str,
    rollback_tries: u32,
}

#[derive(Serialize)]
struct AgentPolicy {
    install: bool,
}

/// The part of an agent's identity that is asked for here.
#[derive(Deserialize)]
struct Identity {
    certificate: String,
}

/// The same of its version statements.
#[derive(Deserialize)]
struct Statements {
    acknowledged: Option<Acknowledged>,
}

#[derive(Deserialize)]
struct Acknowledged {
    digest: Digest,
}

impl Member {
    /// What its agent writes.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("agent.log")
    }

    /// Hands it its enrolment secret.
    pub(super) fn hand(&self, secret: &str) -> anyhow::Result<()> {
        let path = self.folder.join("enrolment");
        fs::write(&path, secret)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(())
    }

    /// The last version statement that the plane acknowledged, as its agent has it on record.
    pub(super) fn acknowledged(&self) -> anyhow::Result<Option<Digest>> {
        let text = fs::read(self.folder.join("state/statements.json")).context("it has made no statement")?;
        let statements: Statements = serde_json::from_slice(&text)?;
        Ok(statements.acknowledged.map(|statement| statement.digest))
    }

    /// A client that calls as this instance, with the key and certificate of its agent.
    pub(super) fn client(&self, plane: &str, root: &RootCa) -> anyhow::Result<Client> {
        let state = self.folder.join("state");
        let key = SigningKey::load(&state.join("instance.key"))?;
        let identity = fs::read(state.join("identity.json")).context("it has not enrolled")?;
        let identity: Identity = serde_json::from_slice(&identity)?;
        let chain = trust::pem::certificates(&identity.certificate)?;
        let tls = trust::tls::client_config(root, chain, &key)?;
        Ok(Client::new(plane, tls, Arc::new(key), Arc::new(SystemSource))?)
    }
}

impl Fleet {
    /// Lays out so many instances under `folder`: hooks, and for each the program that runs there from the start.
    pub(super) fn lay_out(
        folder: &Path,
        count: usize,
        agent: PathBuf,
        root: PathBuf,
        addresses: Addresses,
    ) -> anyhow::Result<Self> {
        let hooks = folder.join("hooks");
        fs::create_dir_all(&hooks)?;
        for (name, text) in HOOKS {
            write_program(&hooks.join(name), text)?;
        }
        let mut members = Vec::new();
        for (index, tier) in PATTERN.into_iter().cycle().take(count).enumerate() {
            let before = PATTERN.into_iter().cycle().take(index).filter(|earlier| *earlier == tier).count();
            let name = format!("{tier}-{:02}", before + 1);
            let place = folder.join(&name);
            let original = place.join("state/original");
            fs::create_dir_all(&original)?;
            write_program(&original.join("program"), &program(FIRST))?;
            symlink(&original, place.join("state/running"))?;
            let (kind, provider) = match tier {
                Tier::Free | Tier::Pro => (Kind::SaasShared, None),
                Tier::Enterprise => (Kind::Dedicated, Some(format!("corporation-{}", before + 1))),
                Tier::Custom => (Kind::WhiteLabel, Some(format!("partner-{}", before + 1))),
            };
            let provider = provider.map(|text| text.parse()).transpose()?;
            members.push(Member {
                name: name.parse()?,
                kind,
                tier,
                provider,
                id: None,
                folder: place,
                process: None,
            });
        }
        Ok(Self { members, agent, hooks, root, addresses })
    }

    /// Starts an instance's agent; `install` is its owner's policy.
    pub(super) fn start(&mut self, name: &Label, install: bool) -> anyhow::Result<()> {
        let (agent, hooks, root) = (self.agent.clone(), self.hooks.clone(), self.root.clone());
        let addresses = self.addresses.clone();
        let member = self.member(name)?;
        let hook = |name: &str| hooks.join(name).display().to_string();
        let tier = member.tier.to_string();
        let file = AgentFile {
            plane: &addresses.plane,
            public: &addresses.public,
            root: &root,
            folder: "state",
            enrolment: "file:enrolment",
            listen: "127.0.0.1:0",
            platform: FIRST,
            runtime: RUNTIME,
            tier: member.tier,
            domains: domains(member.tier)?,
            hook_timeout: "20s",
            report_every: "5m",
            layers: contents(FIRST),
            hooks: AgentHooks {
                bind: vec![hook("bind")],
                health: vec![hook("health"), tier],
                rollback: vec![hook("rollback")],
            },
            health: AgentHealth { every: "300ms", stable_for: "1s", start_within: "10s", rollback_tries: 3 },
            policy: AgentPolicy { install },
        };
        let path = member.folder.join("agent.toml");
        fs::write(&path, toml::to_string(&file)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let path = path.display().to_string();
        let arguments = ["run", "--config", &path];
        member.process = Some(Process::start(name.as_str(), &agent, &arguments, &member.log())?);
        Ok(())
    }

    /// Ends an instance's agent, as its owner would.
    pub(super) async fn stop(&mut self, name: &Label) -> anyhow::Result<()> {
        if let Some(mut process) = self.member(name)?.process.take() {
            process.stop().await;
        }
        Ok(())
    }

    /// The member of this name.
    pub(super) fn member(&mut self, name: &Label) -> anyhow::Result<&mut Member> {
        let found = self.members.iter_mut().find(|member| member.name == *name);
        found.with_context(|| format!("no instance is called {name}"))
    }

    /// The id of a member that has enrolled.
    pub(super) fn id(&mut self, name: &Label) -> anyhow::Result<InstanceId> {
        self.member(name)?.id.with_context(|| format!("{name} has not enrolled"))
    }

    /// The name of the instance with this number, counted from 1, of a tier.
    pub(super) fn name(&self, tier: Tier, number: usize) -> anyhow::Result<Label> {
        let of_tier = self.members.iter().filter(|member| member.tier == tier);
        let found = of_tier.map(|member| member.name.clone()).nth(number.saturating_sub(1));
        found.with_context(|| format!("there are fewer than {number} {tier} instances"))
    }

    /// An error when an agent has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        self.members.iter_mut().filter_map(|member| member.process.as_mut()).try_for_each(Process::check)
    }

    /// Lets an agent end when it wants to: it is locked out.
    pub(super) fn excuse(&mut self, name: &Label) -> anyhow::Result<Option<Process>> {
        Ok(self.member(name)?.process.take())
    }

    /// The process ids of the agents.
    pub(super) fn ids(&self) -> Vec<i32> {
        self.members.iter().filter_map(|member| member.process.as_ref()?.id()).collect()
    }

    /// Ends every agent.
    pub(super) async fn end(&mut self) {
        let mut ending = JoinSet::new();
        for mut process in self.members.iter_mut().filter_map(|member| member.process.take()) {
            ending.spawn(async move { process.stop().await });
        }
        ending.join_all().await;
    }

    /// Leaves every agent running.
    pub(super) fn release(&mut self) {
        self.members.iter_mut().filter_map(|member| member.process.take()).for_each(Process::release);
    }
}

/// The domains that an instance of this tier has active.
fn domains(tier: Tier) -> anyhow::Result<Vec<DomainCode>> {
    let codes: &[&str] = match tier {
        Tier::Free => &["COM"],
        Tier::Pro => &["COM", "EDU"],
        Tier::Enterprise => &["COM", "EDU", "LOG", "FIN"],
        Tier::Custom => &["COM", "FIN"],
    };
    codes.iter().map(|code| Ok(code.parse()?)).collect()
}

fn write_program(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn id_3_the_fleet_has_every_kind_and_tier() {
        let place = tempfile::tempdir().unwrap();
        let addresses = Addresses { plane: String::new(), public: String::new() };
        let lay_out =
            |count| Fleet::lay_out(place.path(), count, PathBuf::new(), PathBuf::new(), addresses.clone());
        let fleet = lay_out(20).unwrap();
        let kinds: BTreeSet<Kind> = fleet.members.iter().map(|member| member.kind).collect();
        assert_eq!((kinds.len(), fleet.members.len()), (3, 20));
        let count = |tier| fleet.members.iter().filter(|member| member.tier == tier).count();
        assert_eq!([Tier::Free, Tier::Pro, Tier::Enterprise, Tier::Custom].map(count), [6, 6, 4, 4]);
        let names: BTreeSet<&str> = fleet.members.iter().map(|member| member.name.as_str()).collect();
        assert!(names.len() == 20 && names.contains("custom-04"));
        assert!(place.path().join("pro-06/state/running/program").is_file());
        assert_eq!(fleet.name(Tier::Pro, 2).unwrap().as_str(), "pro-02");
        assert!(fleet.name(Tier::Pro, 7).is_err());
    }
}
