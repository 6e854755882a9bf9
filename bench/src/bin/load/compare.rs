//! The plane beside its floor: both serve on this machine at the same time, and are measured in turn, so that what the machine does
//! meanwhile meets both. Costs are CPU time of the server's process for each operation: throughput is noisier.

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use trust::SigningKey;

use crate::calls::{Calls, Knocks};
use crate::clients::{self, Registering, Signature};
use crate::drive::{Drive, Pace, Plan};
use crate::federation::free_ports;
use crate::figures::{About, Figures, median};
use crate::options::{CompareArgs, Subject};
use crate::process::Server;
use crate::runs::{Stage, connect, lie_idle, measure, plan, show};

/// Registrations in each turn.
const REGISTRATIONS: usize = 300;
/// Verifications of which the cost of one is taken.
const VERIFICATIONS: u32 = 3_000;

/// One line of the comparison.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    what: &'static str,
    /// Of each operation, or connection.
    unit: &'static str,
    plane: f64,
    floor: f64,
    /// The median of the rounds' ratios: floor to plane, so that 1 is as good as the floor; for memory, plane to floor.
    ratio: f64,
    goal: &'static str,
    rounds: Vec<f64>,
    plane_per_second: f64,
    floor_per_second: f64,
}

/// The whole comparison.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    rounds: u64,
    verification_us: f64,
    lines: Vec<Line>,
    /// Every run, in its order.
    runs: Vec<Figures>,
}

/// Both servers, and where they listen.
struct Both {
    stage: Stage,
    bare: Server,
    bare_at: std::net::SocketAddr,
    runs: Vec<Figures>,
}

/// A turn: the plane's figures and the floor's.
type Turn = (Figures, Figures);

/// Runs the comparison.
pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<()> {
    let (common, count) = (&args.common, args.common.count());
    // Registrations of a turn stand beside the instances.
    let made = Stage::make(common, count.max(REGISTRATIONS))?;
    let (mut stage, instances) = made.with_instances(common)?;
    let mut calls = Calls::new(instances, Signature::Hmac);
    calls.whole = args.whole;
    let mut drive = Drive::new(calls, count, stage.federation.instances)?;
    // Twice: at the first each learns where it stands, at the second the answer is as it will be.
    connect(&mut drive, count)?;
    connect(&mut drive, count)?;
    let (status, answer) = drive.work.sample.clone();
    let [bare_at] = free_ports()?;
    let wants = |subject| args.only.contains(&subject);
    let mut lines = Vec::new();
    if wants(Subject::Idle) {
        // First, and over servers that served nobody yet.
        let Stage { federation, plane, fleet } = stage;
        plane.stop()?;
        let plane = federation.serve()?;
        stage = Stage { federation, plane, fleet };
        let plane = lie_idle("the plane", &mut stage.plane, &mut drive, count)?;
        let mut bare = stage.federation.serve_bare(bare_at, status, &answer)?;
        drive.turn_to(bare_at);
        let floor = lie_idle("the bare server", &mut bare, &mut drive, count)?;
        drive.disconnect();
        bare.stop()?;
        lines.push(Line {
            what: "an idle connection",
            unit: "KiB",
            plane: plane.each_kib,
            floor: floor.each_kib,
            ratio: plane.each_kib / floor.each_kib,
            goal: "≤ 1.3",
            rounds: vec![plane.each_kib / floor.each_kib],
            plane_per_second: f64::NAN,
            floor_per_second: f64::NAN,
        });
    }
    let bare = stage.federation.serve_bare(bare_at, status, &answer)?;
    let mut both = Both { stage, bare, bare_at, runs: Vec::new() };
    let verification = verification()?;
    if wants(Subject::Quiet) {
        let turns = both.check_ins(args, &mut drive, Signature::Hmac)?;
        lines.push(line("a quiet check-in, hmac-sha256", "≥ 0.6", &turns, 0.0));
    }
    if wants(Subject::Ed25519) {
        let turns = both.check_ins(args, &mut drive, Signature::Ed25519)?;
        lines.push(line("the same, ed25519 (floor: and one verification)", "≥ 0.85", &turns, verification));
    }
    if wants(Subject::Handshakes) {
        let mut knocks = Drive::new(Knocks::of(&drive.work), count, both.stage.federation.instances)?;
        let mut turns = Vec::new();
        for _ in 0..args.rounds {
            turns.push(both.turn("full handshakes", &mut knocks, &plan(common, true), count)?);
        }
        lines.push(line("a full handshake", "≥ 0.9", &turns, 0.0));
    }
    if wants(Subject::Register) {
        let turns = both.registrations(args)?;
        lines.push(line("a registration (floor: handshake, and certificate issued)", "≥ 0.6", &turns, 0.0));
    }
    both.stage.plane.stop()?;
    both.bare.stop()?;
    let comparison =
        Comparison { rounds: args.rounds, verification_us: verification, lines, runs: both.runs };
    show(common.json, &comparison, Comparison::shown)
}

impl Both {
    /// A run against the plane, and the same against the floor.
    fn turn<W: crate::drive::Work>(
        &mut self,
        run: &str,
        drive: &mut Drive<W>,
        plan: &Plan,
        connections: usize,
    ) -> anyhow::Result<Turn> {
        let on = |server| About { run, server, connections, fleet: self.stage.fleet };
        let (on_plane, on_floor) = (on("the plane"), on("the bare server"));
        drive.turn_to(self.stage.federation.instances);
        if !plan.afresh {
            connect(drive, connections)?;
        }
        let plane = measure(on_plane, &mut self.stage.plane, drive, plan.clone())?;
        drive.turn_to(self.bare_at);
        if !plan.afresh {
            connect(drive, connections)?;
        }
        let floor = measure(on_floor, &mut self.bare, drive, plan.clone())?;
        drive.disconnect();
        self.keep(plane, floor)
    }

    fn keep(&mut self, plane: Figures, floor: Figures) -> anyhow::Result<Turn> {
        for figures in [&plane, &floor] {
            ensure!(figures.failed == 0, "calls failed:\n{}", figures.shown());
        }
        self.runs.extend([plane.clone(), floor.clone()]);
        Ok((plane, floor))
    }

    fn check_ins(
        &mut self,
        args: &CompareArgs,
        drive: &mut Drive<Calls>,
        signature: Signature,
    ) -> anyhow::Result<Vec<Turn>> {
        drive.work.signature = signature;
        let run = match signature {
            Signature::Hmac => "quiet check-ins, hmac-sha256",
            Signature::Ed25519 => "quiet check-ins, ed25519",
        };
        let turn = |_| self.turn(run, drive, &plan(&args.common, false), args.common.count());
        (0..args.rounds).map(turn).collect()
    }

    fn registrations(&mut self, args: &CompareArgs) -> anyhow::Result<Vec<Turn>> {
        let mut turns = Vec::new();
        for _ in 0..args.rounds {
            let secrets = clients::enrol(&self.stage.federation, REGISTRATIONS)?;
            let pace = Pace::each(REGISTRATIONS, args.common.at_once());
            let plan = Plan { pace, afresh: true };
            let authority = self.stage.federation.instances.to_string();
            let registering = Registering::new(&self.stage.federation.root, authority, &secrets)?;
            let mut drive = Drive::new(registering, REGISTRATIONS, self.stage.federation.instances)?;
            turns.push(self.turn("registrations", &mut drive, &plan, REGISTRATIONS)?);
        }
        Ok(turns)
    }
}

/// What one verification of an Ed25519 signature costs here, in microseconds, by the library that is fastest at it.
fn verification() -> anyhow::Result<f64> {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use proof::Sign as _;
    let key = SigningKey::generate()?;
    // As long as the base of a signed check-in.
    let message = [7; 400];
    let signature = key.sign(&message)?;
    let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_bytes());
    let began = crate::process::own_cpu();
    for _ in 0..VERIFICATIONS {
        ensure!(public.verify(&message, &signature).is_ok(), "a signature of our own does not verify");
    }
    let took: Duration = crate::process::own_cpu().saturating_sub(began);
    Ok(took.as_secs_f64() * 1e6 / f64::from(VERIFICATIONS))
}

fn line(what: &'static str, goal: &'static str, turns: &[Turn], beside: f64) -> Line {
    let rounds: Vec<f64> =
        turns.iter().map(|(plane, floor)| (floor.server_cpu_us + beside) / plane.server_cpu_us).collect();
    Line {
        what,
        unit: "µs",
        plane: median(turns.iter().map(|(plane, _)| plane.server_cpu_us)),
        floor: median(turns.iter().map(|(_, floor)| floor.server_cpu_us)) + beside,
        ratio: median(rounds.iter().copied()),
        goal,
        rounds,
        plane_per_second: median(turns.iter().map(|(plane, _)| plane.per_second)),
        floor_per_second: median(turns.iter().map(|(_, floor)| floor.per_second)),
    }
}

impl Comparison {
    fn shown(&self) -> String {
        let mut text = format!(
            "{} rounds in turn; CPU time of the server's process for each, medians; one Ed25519 verification: {:.1} µs\n",
            self.rounds, self.verification_us
        );
        text += &format!(
            "{:<58} {:>12} {:>12} {:>6} {:>7} {:>17}\n",
            "", "plane", "floor", "ratio", "goal", "a second"
        );
        for line in &self.lines {
            let value = |value: f64| format!("{value:.1} {}", line.unit);
            let rates = match line.plane_per_second.is_nan() {
                true => String::new(),
                false => format!("{:.0} / {:.0}", line.plane_per_second, line.floor_per_second),
            };
            text += &format!(
                "{:<58} {:>12} {:>12} {:>6.2} {:>7} {rates:>17}\n",
                line.what,
                value(line.plane),
                value(line.floor),
                line.ratio,
                line.goal
            );
        }
        text
    }
}
