//! The plane of the demo: its settings, its process, and the operator's eyes on it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use client::{Client, ClientError, InstanceQuery};
use governance::{InstanceId, Span, Version};
use ipnet::IpNet;
use server::settings::{Challenge, Listen, Pace, Settings};
use tokio::time::{sleep, timeout};
use wire::InstanceView;

use super::fleet::Addresses;
use super::process::Process;
use crate::folder::Folder;

/// How long the plane may take to answer for the first time.
const START_WITHIN: Duration = Duration::from_secs(30);
/// Between two tries to reach it.
const TRY_EVERY: Duration = Duration::from_millis(100);
/// Instances asked for at once.
const PAGE: u32 = 200;

/// A plane that runs.
#[derive(Debug)]
pub(super) struct Plane {
    /// What an operator can do.
    pub(super) client: Client,
    program: PathBuf,
    settings: PathBuf,
    log: PathBuf,
    process: Process,
}

/// Settings with ports that are free now, and with the demo's pace; and the addresses they make.
pub(super) fn settings(instances: usize) -> anyhow::Result<(Settings, Addresses)> {
    let [instances_port, public_port, dashboard_port, metrics_port] = free_ports()?;
    // So many agents share this machine's processors: the more, the less often each calls.
    let slower = i64::try_from(instances.div_ceil(20)).unwrap_or(1);
    let millis = Span::from_millis;
    // The endpoints are on this machine.
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let defaults = Settings::default();
    let settings = Settings {
        listen: Listen {
            instances: instances_port,
            public: public_port,
            dashboard: dashboard_port,
            metrics: metrics_port,
            names: vec!["127.0.0.1".to_owned()],
            ..defaults.listen
        },
        pace: Pace {
            check_in_every: millis(500 * slower),
            sweep_every: millis(300),
            sweep_rolling_every: millis(300),
            publish_every: millis(200),
            ..defaults.pace
        },
        challenge: Challenge { allow: vec![IpNet::from(loopback)], ..defaults.challenge },
        ..defaults
    };
    let address = |port: SocketAddr| format!("https://{port}");
    Ok((settings, Addresses { plane: address(instances_port), public: address(public_port) }))
}

/// Four addresses of this machine that nobody listens on.
fn free_ports() -> anyhow::Result<[SocketAddr; 4]> {
    let bind = || TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1");
    // All at once, so that they differ.
    let [one, two, three, four] = [bind()?, bind()?, bind()?, bind()?];
    Ok([one.local_addr()?, two.local_addr()?, three.local_addr()?, four.local_addr()?])
}

impl Plane {
    /// Starts the server as a process of its own and waits until it answers the operator.
    pub(super) async fn start(
        program: PathBuf,
        folder: &Folder,
        client: Client,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let settings = folder.settings();
        let process = serve(&program, &settings, &log)?;
        let mut plane = Self { client, program, settings, log, process };
        plane.answering().await?;
        Ok(plane)
    }

    /// Kills it as a power failure would; it leaves nothing tidy behind.
    pub(super) async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again over the same folder.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = serve(&self.program, &self.settings, &self.log)?;
        self.answering().await
    }

    async fn answering(&mut self) -> anyhow::Result<()> {
        let answering = async {
            loop {
                self.process.check()?;
                match self.client.federation().await {
                    Ok(_) => return anyhow::Ok(()),
                    Err(ClientError::Unreachable { .. }) => sleep(TRY_EVERY).await,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        timeout(START_WITHIN, answering).await.context("the plane did not answer in time")?
    }

    /// An error when it has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        self.process.check()
    }

    /// Its process id.
    pub(super) fn id(&self) -> Option<i32> {
        self.process.id()
    }

    /// Ends it.
    pub(super) async fn end(&mut self) {
        self.process.stop().await;
    }

    /// Leaves it running.
    pub(super) fn release(self) {
        self.process.release();
    }
}

fn serve(program: &Path, settings: &Path, log: &Path) -> anyhow::Result<Process> {
    Process::start("the plane", program, &["serve", "--config", &settings.display().to_string()], log)
}

/// Every instance, as the operator sees it.
pub(super) async fn instances(client: &Client) -> anyhow::Result<BTreeMap<InstanceId, InstanceView>> {
    let mut all = BTreeMap::new();
    let mut query = InstanceQuery { limit: Some(PAGE), ..InstanceQuery::default() };
    loop {
        let page = client.instances(&query).await?;
        all.extend(page.items.into_iter().map(|view| (view.id, view)));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(all),
        }
    }
}

/// How many of them run this version.
pub(super) fn running(all: &BTreeMap<InstanceId, InstanceView>, version: Version) -> usize {
    all.values().filter(|view| view.platform == version).count()
}

/// The file of the plane's own words.
pub(super) fn log(place: &Path) -> PathBuf {
    place.join("plane.log")
}
