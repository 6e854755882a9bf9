//! One function a command: makes the federation, puts the load on it, shows the figures.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use governance::Version;
use serde::Serialize;

use crate::calls::{Calls, Knocks, Mix};
use crate::clients::{self, Instance, PLATFORM, Registering, Signature};
use crate::drive::{Drive, Pace, Plan, Work};
use crate::federation::{Federation, Settings};
use crate::figures::{About, Figures};
use crate::options::{
    Command, Common, MixArgs, Options, QuietArgs, Rate, RegisterArgs, ScaleArgs, StormArgs,
};
use crate::process::{Cores, Server, has_two_cores, own_cpu, raise_files};
use crate::schedule::Arrivals;
use crate::{bare, compare, fleet, notice, sweep};

/// Connections made at once before anything is measured.
pub(crate) const CONNECT_AT_ONCE: usize = 64;
/// Files that the load generator opens besides its connections.
const FILES_SPARE: u64 = 64;
/// Where the order of calls begins.
const SEED: u64 = 6;
/// What everybody upgrades to.
pub(crate) const UPGRADE: Version = Version::new(0, 1, 1);
/// Of a hundred instances, those whom the law offers a release first.
const CANARY: u32 = 5;
/// How long idle connections lie before the server's memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// Runs a command.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    match options.command {
        Command::Quiet(args) => quiet(&args),
        Command::Mix(args) => mix(&args),
        Command::Storm(args) => storm(&args),
        Command::Handshakes(common) => handshakes(&common),
        Command::Register(args) => register(&args),
        Command::Idle(common) => idle(&common),
        Command::Scale(args) => scale(&args),
        Command::Notice(common) => notice::run(&common),
        Command::Sweep(args) => sweep::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Bare(args) => bare::run(&args.folder, args.listen, args.status, args.answer.as_deref()),
    }
}

/// A federation whose server runs.
pub(crate) struct Stage {
    pub(crate) federation: Federation,
    pub(crate) plane: Server,
    pub(crate) fleet: u64,
}

impl Stage {
    /// Makes it, for so many connections.
    pub(crate) fn make(common: &Common, connections: usize) -> anyhow::Result<Self> {
        Self::make_with(common, connections, CANARY)
    }

    /// The same; a release is offered first to so many of a hundred instances.
    pub(crate) fn make_with(common: &Common, connections: usize, canary: u32) -> anyhow::Result<Self> {
        let files = raise_files();
        let wanted = common.connections + FILES_SPARE;
        ensure!(files > wanted, "{wanted} files must be open at once, and {files} may be: raise `ulimit -n`");
        let cores = if common.pin { Cores::Apart } else { Cores::Shared };
        ensure!(!common.pin || has_two_cores(), "--pin wants two cores, and this process may not run on two");
        let program = match &common.program {
            Some(program) => program.canonicalize().with_context(|| program.display().to_string())?,
            None => beside()?,
        };
        let federation = Federation::make(Settings {
            program,
            connections,
            sweep_every: common.sweep_every.clone(),
            store: common.store.clone(),
            cores,
            canary,
        })?;
        let plane = federation.serve()?;
        Ok(Self { federation, plane, fleet: 0 })
    }

    /// Puts further instances into the store; the server is started anew.
    pub(crate) fn grow(self, fleet: u64) -> anyhow::Result<Self> {
        if fleet <= self.fleet {
            return Ok(self);
        }
        let Self { federation, plane, fleet: before } = self;
        plane.stop()?;
        fleet::fill(federation.rows(), before..fleet)?;
        let plane = federation.serve()?;
        Ok(Self { federation, plane, fleet })
    }

    /// Registered instances, and the further ones in the store.
    pub(crate) fn with_instances(self, common: &Common) -> anyhow::Result<(Self, Vec<Instance>)> {
        let instances = clients::instances(&self.federation, common.count())?;
        Ok((self.grow(common.fleet)?, instances))
    }

    /// Runs a plan against the plane.
    pub(crate) fn measure<W: Work>(
        &mut self,
        run: &str,
        drive: &mut Drive<W>,
        plan: Plan,
        connections: usize,
    ) -> anyhow::Result<Figures> {
        let about = About { run, server: "the plane", connections, fleet: self.fleet };
        measure(about, &mut self.plane, drive, plan)
    }
}

/// The product's binary beside this one.
fn beside() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    let program = own.with_file_name("fedplane");
    ensure!(
        program.exists(),
        "{} is not there: build it, or name it with --program; `cargo xtask load` does both",
        program.display()
    );
    Ok(program)
}

/// Runs a plan, and holds it against what the server used meanwhile.
pub(crate) fn measure<W: Work>(
    about: About<'_>,
    server: &mut Server,
    drive: &mut Drive<W>,
    plan: Plan,
) -> anyhow::Result<Figures> {
    server.check()?;
    let (before, own) = (server.usage()?, own_cpu());
    let tally = drive.run(plan)?;
    let own = own_cpu().saturating_sub(own);
    server.check()?;
    let used = server.usage()?.since(&before);
    Ok(Figures::new(about, &tally, &used, own))
}

/// Every link connects and makes one call, uncounted; all must be answered.
pub(crate) fn connect<W: Work>(drive: &mut Drive<W>, count: usize) -> anyhow::Result<()> {
    let tally = drive.run(Plan { pace: Pace::each(count, CONNECT_AT_ONCE), afresh: false })?;
    ensure!(tally.failures() == 0, "the first call of each: {}", tally.causes());
    ensure!(drive.connected() == count, "{} of {count} connections stand", drive.connected());
    Ok(())
}

/// The plan of the options.
pub(crate) fn plan(common: &Common, afresh: bool) -> Plan {
    let lasting = common.lasting();
    let pace = match common.rate {
        Rate::Max => Pace::Closed { at_once: common.at_once(), lasting },
        Rate::PerSecond(rate) => Pace::Open(Arrivals::new(rate, lasting, SEED)),
    };
    Plan { pace, afresh }
}

/// Prints figures, as lines or as JSON.
pub(crate) fn show<T: Serialize>(
    json: bool,
    value: &T,
    shown: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(value)?);
    } else {
        print!("{}", shown(value));
    }
    Ok(())
}

/// A failure where anything failed: a load that is refused measures nothing.
pub(crate) fn whole(figures: &Figures) -> anyhow::Result<()> {
    ensure!(figures.failed == 0, "{} calls failed", figures.failed);
    Ok(())
}

fn name(signature: Signature, whole: bool) -> String {
    let signed = match signature {
        Signature::Hmac => "hmac-sha256",
        Signature::Ed25519 => "ed25519",
    };
    let asked = if whole { "whole" } else { "short" };
    format!("quiet check-ins, {signed}, {asked} answers")
}

fn quiet(args: &QuietArgs) -> anyhow::Result<()> {
    let common = &args.common;
    let (mut stage, instances) = Stage::make(common, common.count())?.with_instances(common)?;
    let mut calls = Calls::new(instances, args.signature);
    calls.whole = args.whole;
    let mut drive = Drive::new(calls, common.count(), stage.federation.instances)?;
    connect(&mut drive, common.count())?;
    let run = name(args.signature, args.whole);
    let figures = stage.measure(&run, &mut drive, plan(common, false), common.count())?;
    show(common.json, &figures, Figures::shown)?;
    stage.plane.stop()?;
    whole(&figures)
}

fn mix(args: &MixArgs) -> anyhow::Result<()> {
    let common = &args.common;
    ensure!(args.quiet > 0 || args.report > 0, "one of --quiet and --report must weigh something");
    let made = Stage::make(common, common.count())?;
    if args.upgrade {
        // Before anybody runs it.
        made.federation.publish(PLATFORM, "minor")?;
    }
    let (mut stage, instances) = made.with_instances(common)?;
    let mut drive =
        Drive::new(Calls::new(instances, args.signature), common.count(), stage.federation.instances)?;
    connect(&mut drive, common.count())?;
    drive.work.mix = Mix { check_in: args.quiet, report: args.report };
    let mut run = format!("check-ins and reports, {} to {}", args.quiet, args.report);
    if args.upgrade {
        stage.federation.publish(UPGRADE, "security")?;
        drive.work.upgrades = true;
        run += ", all upgrading";
    }
    let figures = stage.measure(&run, &mut drive, plan(common, false), common.count())?;
    show(common.json, &figures, Figures::shown)?;
    stage.plane.stop()?;
    let upgraded = drive.work.running(UPGRADE);
    ensure!(!args.upgrade || upgraded > 0, "no instance upgraded: give them more time with --seconds");
    whole(&figures)
}

fn storm(args: &StormArgs) -> anyhow::Result<()> {
    let common = &args.common;
    let (mut stage, instances) = Stage::make(common, common.count())?.with_instances(common)?;
    let mut drive =
        Drive::new(Calls::new(instances, args.signature), common.count(), stage.federation.instances)?;
    connect(&mut drive, common.count())?;
    drive.disconnect();
    let run = if args.restart {
        let Stage { federation, plane, fleet } = stage;
        plane.kill()?;
        let plane = federation.start()?;
        stage = Stage { federation, plane, fleet };
        "everyone at once, after kill -9"
    } else {
        "everyone at once"
    };
    let everyone = Plan { pace: Pace::each(common.count(), common.count()), afresh: false };
    let figures = stage.measure(run, &mut drive, everyone, common.count())?;
    show(common.json, &figures, Figures::shown)?;
    stage.plane.stop()?;
    whole(&figures)
}

fn handshakes(common: &Common) -> anyhow::Result<()> {
    let (mut stage, instances) = Stage::make(common, common.count())?.with_instances(common)?;
    let knocks = Knocks::of(&Calls::new(instances, Signature::Hmac));
    let mut drive = Drive::new(knocks, common.count(), stage.federation.instances)?;
    let figures = stage.measure("full handshakes", &mut drive, plan(common, true), common.count())?;
    show(common.json, &figures, Figures::shown)?;
    stage.plane.stop()?;
    whole(&figures)
}

fn register(args: &RegisterArgs) -> anyhow::Result<()> {
    let common = &args.common;
    let count = usize::try_from(args.count)?;
    let mut stage = Stage::make(common, count)?.grow(common.fleet)?;
    let secrets = clients::enrol(&stage.federation, count)?;
    let authority = stage.federation.instances.to_string();
    let registering = Registering::new(&stage.federation.root, authority, &secrets)?;
    let mut drive = Drive::new(registering, count, stage.federation.instances)?;
    let pace = match common.rate {
        Rate::Max => Pace::each(count, usize::try_from(common.at_once)?),
        Rate::PerSecond(rate) => {
            let lasting = Duration::from_secs_f64(count as f64 / rate);
            Pace::Open(Arrivals::new(rate, lasting, SEED).at_most(count))
        }
    };
    let figures = stage.measure("registrations", &mut drive, Plan { pace, afresh: true }, count)?;
    show(common.json, &figures, Figures::shown)?;
    stage.plane.stop()?;
    whole(&figures)
}

/// What idle connections take.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Idle {
    /// Against which server.
    pub(crate) server: String,
    /// How many.
    pub(crate) connections: usize,
    /// The server's memory before, without mapped files.
    pub(crate) before_mib: f64,
    /// With them.
    pub(crate) after_mib: f64,
    /// For each.
    pub(crate) each_kib: f64,
}

impl Idle {
    pub(crate) fn shown(&self) -> String {
        format!(
            "idle connections to {}: {} take {:.1} KiB each of the server's memory ({:.1} MiB before, {:.1} MiB with them)\n",
            self.server, self.connections, self.each_kib, self.before_mib, self.after_mib
        )
    }
}

/// Opens every link, with one call on each, and reads the memory of a server that had no connection before.
pub(crate) fn lie_idle<W: Work>(
    name: &str,
    server: &mut Server,
    drive: &mut Drive<W>,
    count: usize,
) -> anyhow::Result<Idle> {
    drive.disconnect();
    let before = server.usage()?.memory;
    connect(drive, count)?;
    std::thread::sleep(SETTLE);
    server.check()?;
    let after = server.usage()?.memory;
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    Ok(Idle {
        server: name.to_owned(),
        connections: count,
        before_mib: mib(before),
        after_mib: mib(after),
        each_kib: after.saturating_sub(before) as f64 / 1_024.0 / count as f64,
    })
}

fn idle(common: &Common) -> anyhow::Result<()> {
    let (mut stage, instances) = Stage::make(common, common.count())?.with_instances(common)?;
    let calls = Calls::new(instances, Signature::Hmac);
    let mut drive = Drive::new(calls, common.count(), stage.federation.instances)?;
    // A server that served nobody yet.
    let Stage { federation, plane, fleet } = stage;
    plane.stop()?;
    let plane = federation.serve()?;
    stage = Stage { federation, plane, fleet };
    let idle = lie_idle("the plane", &mut stage.plane, &mut drive, common.count())?;
    show(common.json, &idle, Idle::shown)?;
    stage.plane.stop()
}

fn scale(args: &ScaleArgs) -> anyhow::Result<()> {
    let QuietArgs { common, signature, whole: wholly } = &args.quiet;
    ensure!(args.sizes.is_sorted(), "--sizes must rise: rows are added and never taken away");
    let (mut stage, instances) = Stage::make(common, common.count())?.with_instances(common)?;
    let mut drive =
        Drive::new(Calls::new(instances, *signature), common.count(), stage.federation.instances)?;
    let mut all = Vec::new();
    for size in &args.sizes {
        stage = stage.grow(*size)?;
        connect(&mut drive, common.count())?;
        let run = name(*signature, *wholly);
        let figures = stage.measure(&run, &mut drive, plan(common, false), common.count())?;
        whole(&figures)?;
        drive.disconnect();
        all.push(figures);
    }
    show(common.json, &all, |all| all.iter().map(Figures::shown).collect())?;
    stage.plane.stop()
}
