//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::clients::Signature;
use crate::federation::StoreAt;

/// Puts a load on a Federation Plane of its own, and tells what each call took and what it cost the server.
///
/// Makes a federation in a temporary folder, starts `fedplane serve` over it as a process of its own, registers instances with real
/// keys through the API, and has them call over mutual TLS. Latencies count from when a call was due, not from when it was sent.
/// CPU time and memory are those of the server's process alone; the load generator's own are told apart. In the law of that
/// federation no instance and no address is limited.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check-ins that change nothing.
    Quiet(QuietArgs),
    /// Check-ins and version statements, mixed; with --upgrade, while everybody upgrades.
    Mix(MixArgs),
    /// Every instance connects and checks in at the same moment; with --restart, after the server was killed.
    Storm(StormArgs),
    /// Full mutual-TLS handshakes, each on a connection of its own, and nothing asked on them.
    Handshakes(Common),
    /// Registrations: a handshake, a certificate issued, the decision durable.
    Register(RegisterArgs),
    /// Connections that lie idle: what each takes of the server's memory.
    Idle(Common),
    /// Quiet check-ins beside fleets of different sizes, one after the other.
    Scale(ScaleArgs),
    /// Every connection listens for news, and a security release is published: when each heard of it.
    Notice(Common),
    /// A release is published over a large fleet: how long the sweep takes, against a bare scan of the records, and what check-ins
    /// feel of it.
    Sweep(SweepArgs),
    /// The plane and a bare server of the same library, in turn on the same machine, with the ratios of their costs.
    Compare(CompareArgs),
    /// The bare server that `compare` starts: the same TLS and JSON, and nothing else.
    Bare(BareArgs),
}

/// Options of every run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// Connections, each of an instance of its own.
    #[arg(long, value_name = "K", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) connections: u64,
    /// How long to measure.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// Calls a second over all connections; `max`: as many as the server takes, some under way at any time.
    #[arg(long, value_name = "N|max", default_value = "max")]
    pub(crate) rate: Rate,
    /// Calls under way at any time, where the rate is `max`.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) at_once: u64,
    /// Further instances in the store, which never call.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    pub(crate) fleet: u64,
    /// Where the plane keeps its rows: in a file of its own, or in an empty database of PostgreSQL.
    #[arg(long, value_name = "sqlite|URL", default_value = "sqlite")]
    pub(crate) store: StoreAt,
    /// Pause between two sweeps; by default none follows the first while it is measured.
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    pub(crate) sweep_every: String,
    /// Gives the server the first core and the load generator the second, where both would else share all.
    #[arg(long)]
    pub(crate) pin: bool,
    /// The server's binary [default: `fedplane` beside this one].
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Common {
    pub(crate) fn lasting(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.connections).unwrap_or(usize::MAX)
    }
    pub(crate) fn at_once(&self) -> usize {
        usize::try_from(self.at_once).unwrap_or(usize::MAX).min(self.count())
    }
}

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// As much as the server takes.
    Max,
    /// Calls a second.
    PerSecond(f64),
}

impl std::str::FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(rate) if rate > 0.0 && rate <= 1e6 => Ok(Self::PerSecond(rate)),
            _ => Err(format!("{text} is no rate: write `max`, or calls a second up to 1000000")),
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct QuietArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How check-ins are signed.
    #[arg(long, default_value = "hmac")]
    pub(crate) signature: Signature,
    /// Asks for the whole standing each time; else an instance says what it knows, and the answer is short.
    #[arg(long)]
    pub(crate) whole: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct MixArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How check-ins are signed; reports are signed with Ed25519.
    #[arg(long, default_value = "hmac")]
    pub(crate) signature: Signature,
    /// Quiet check-ins among the calls, as a weight.
    #[arg(long, value_name = "WEIGHT", default_value_t = 9)]
    pub(crate) quiet: u32,
    /// Version statements among the calls, as a weight.
    #[arg(long, value_name = "WEIGHT", default_value_t = 1)]
    pub(crate) report: u32,
    /// Publishes a security release as the measurement begins: each instance learns of it at a check-in, begins and finishes.
    #[arg(long)]
    pub(crate) upgrade: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct StormArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How check-ins are signed.
    #[arg(long, default_value = "hmac")]
    pub(crate) signature: Signature,
    /// Kills the server first; latencies count from the moment at which it is started again.
    #[arg(long)]
    pub(crate) restart: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Registrations.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) count: u64,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ScaleArgs {
    #[command(flatten)]
    pub(crate) quiet: QuietArgs,
    /// The sizes of the fleet, rising.
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    pub(crate) sizes: Vec<u64>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The share of the fleet to which the release is offered at once, in parts of a hundred.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) percent: u32,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How often each is measured in turn; the ratio is the median.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) rounds: u64,
    /// Asks for the whole standing at each check-in; else an instance says what it knows, and the answer is short.
    #[arg(long)]
    pub(crate) whole: bool,
    /// What to compare.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Subject::ALL)]
    pub(crate) only: Vec<Subject>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subject {
    /// Check-ins that change nothing, signed under the channel's key.
    Quiet,
    /// The same, signed with Ed25519.
    Ed25519,
    /// Full handshakes.
    Handshakes,
    /// Registrations.
    Register,
    /// Memory of an idle connection.
    Idle,
}

impl Subject {
    pub(crate) const ALL: [Self; 5] =
        [Self::Quiet, Self::Ed25519, Self::Handshakes, Self::Register, Self::Idle];
}

#[derive(Args, Clone, Debug)]
pub(crate) struct BareArgs {
    /// The folder of the federation whose keys it serves with.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// The status of its answer to a check-in.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) status: u16,
    /// A file with its answer to a check-in; without it, the status alone.
    #[arg(long, value_name = "FILE")]
    pub(crate) answer: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_stands() {
        Options::command().debug_assert();
        let parsed = Options::try_parse_from(["load", "quiet", "--rate", "2500", "--signature", "ed25519"]);
        let Command::Quiet(quiet) = parsed.expect("parsed").command else { panic!("another command") };
        assert_eq!((quiet.common.rate, quiet.signature), (Rate::PerSecond(2_500.0), Signature::Ed25519));
        for wrong in ["0", "-1", "1e9", "fast", "inf", "NaN"] {
            let error = wrong.parse::<Rate>().expect_err(wrong);
            assert!(error.contains(wrong), "{error}");
        }
    }
}
