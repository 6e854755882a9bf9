//! A federation of the load's own: made by `fedplane init` in a folder of its own, served by `fedplane serve`.
//!
//! Its law lets every instance and address call as often as it likes, so that what is measured is the server and not its limits.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use governance::{LayerContent, Timestamp, Version};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use store::{Place, PostgresOptions};
use tempfile::TempDir;
use trust::{RootCa, SigningKey};

use crate::clients::layers;
use crate::process::{Cores, Server};

/// How long a server may take to be ready: a large fleet is read first.
const START_WITHIN: Duration = Duration::from_secs(300);
/// Between two tries to reach it.
const TRY_EVERY: Duration = Duration::from_millis(20);
/// How long one try may take.
const TRY_WITHIN: Duration = Duration::from_secs(10);
/// Files that a server opens besides its connections.
const CONNECTIONS_SPARE: usize = 256;

/// What the server is set to.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The binary that serves.
    pub(crate) program: PathBuf,
    /// Connections that there will be.
    pub(crate) connections: usize,
    /// Pause between two sweeps, as the settings write it.
    pub(crate) sweep_every: String,
    /// Where the rows are.
    pub(crate) store: StoreAt,
    /// Which cores the server has.
    pub(crate) cores: Cores,
    /// Of a hundred instances, those whom a release is offered first.
    pub(crate) canary: u32,
}

/// Where the rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreAt {
    /// In a file of the folder.
    Sqlite,
    /// In a database of PostgreSQL, which must be empty.
    Postgres(String),
}

impl std::str::FromStr for StoreAt {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            url if store::is_postgres_url(url) && !store::holds_password(url) => {
                Ok(Self::Postgres(url.to_owned()))
            }
            _ => Err("write `sqlite`, or postgres://USER@HOST:PORT/DATABASE, without a password".to_owned()),
        }
    }
}

/// A federation and where its server listens.
#[derive(Debug)]
pub(crate) struct Federation {
    place: TempDir,
    settings: Settings,
    /// Where instances and operators call.
    pub(crate) instances: SocketAddr,
    pub(crate) metrics: SocketAddr,
    /// Whose certificates count.
    pub(crate) root: RootCa,
}

/// A key and the chain that is shown with it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) key: SigningKey,
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

impl Identity {
    /// A key that nobody has certified.
    pub(crate) fn fresh() -> anyhow::Result<Self> {
        let key = SigningKey::generate()?;
        let chain = vec![trust::tls::self_signed(&key)?];
        Ok(Self { key, chain })
    }

    /// A TLS client that shows it, and speaks HTTP/1.1.
    pub(crate) fn client(&self, root: &RootCa) -> anyhow::Result<Arc<ClientConfig>> {
        let mut config = trust::tls::client_config(root, self.chain.clone(), &self.key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl Federation {
    /// Makes it.
    pub(crate) fn make(settings: Settings) -> anyhow::Result<Self> {
        let place = TempDir::with_prefix("fedplane-load-").context("no folder for temporary files")?;
        let folder = place.path().join("federation");
        let law = place.path().join("law.toml");
        let (rate, canary) = (u32::MAX, settings.canary);
        fs::write(
            &law,
            format!(
                "\"rate.instance\" = {rate}\n\"rate.address\" = {rate}\n\"rollout.canary.share\" = {}.{:02}\n",
                canary / 100,
                canary % 100
            ),
        )?;
        let init = Command::new(&settings.program)
            .args(["init", "--trust-domain", "load.internal", "--founders", "1", "--constitution"])
            .arg(&law)
            .arg(&folder)
            .output()
            .with_context(|| format!("cannot start {}", settings.program.display()))?;
        ensure!(init.status.success(), "fedplane init: {}", String::from_utf8_lossy(&init.stderr));
        let [instances, public, metrics] = free_ports()?;
        let connections = settings.connections + CONNECTIONS_SPARE;
        let url = match &settings.store {
            StoreAt::Sqlite => "",
            StoreAt::Postgres(url) => url,
        };
        let text = format!(
            "[store]\nurl = \"{url}\"\n[listen]\ninstances = \"{instances}\"\npublic = \"{public}\"\nmetrics = \"{metrics}\"\n\
             dashboard = \"127.0.0.1:0\"\n\
             names = [\"127.0.0.1\"]\n\
             [pace]\nsweep_every = \"{}\"\n\
             [limits]\nconnections = {connections}\nconnections_per_address = {connections}\n\
             requests = {}\nregistrations = {connections}\nstreams = {connections}\nnonces = {NONCES_MAX}\n\
             [challenge]\nevery = \"0s\"\noutgoing = false\n",
            settings.sweep_every,
            connections.max(1_024),
        );
        fs::write(folder.join("fedplane.toml"), text)?;
        let root = RootCa::from_pem(&fs::read_to_string(folder.join("keys/founder/root-ca.pem"))?)?;
        Ok(Self { place, settings, instances, metrics, root })
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.place.path().join("federation")
    }

    /// Where the rows are.
    pub(crate) fn rows(&self) -> Place {
        match &self.settings.store {
            StoreAt::Sqlite => Place::File(self.folder().join("data/fedplane.db")),
            StoreAt::Postgres(url) => Place::Server(url.clone(), PostgresOptions::default()),
        }
    }

    /// Where the processes write what they have to say.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.place.path().join(format!("{name}.log"))
    }

    /// Its operator.
    pub(crate) fn operator(&self) -> anyhow::Result<Identity> {
        let folder = self.folder().join("keys/operators");
        let key = SigningKey::load(&folder.join("admin.key"))?;
        let chain = trust::pem::certificates(&fs::read_to_string(folder.join("admin.pem"))?)?;
        Ok(Identity { key, chain })
    }

    /// Starts the server.
    pub(crate) fn start(&self) -> anyhow::Result<Server> {
        let config = self.folder().join("fedplane.toml");
        let arguments = ["serve", "--log", "warn", "--config", &config.display().to_string()];
        Server::start(&self.settings.program, &arguments, &self.log("plane"), self.settings.cores)
    }

    /// Starts the server, and waits until it is ready.
    pub(crate) fn serve(&self) -> anyhow::Result<Server> {
        let mut server = self.start()?;
        until(&mut server, || is_ready(self.metrics))?;
        Ok(server)
    }

    /// Signs a release with the Organism's key, and publishes it as the operator.
    pub(crate) fn publish(&self, version: Version, class: &str) -> anyhow::Result<()> {
        let at = |name: &str| self.place.path().join(name).display().to_string();
        let (manifest_at, package, out) =
            (at("manifest.toml"), at("package"), at(&format!("signed-{version}")));
        fs::write(&manifest_at, manifest(version, class))?;
        fs::write(&package, format!("package {version}"))?;
        let folder = self.folder().display().to_string();
        let key = self.folder().join("keys/organism/1.key").display().to_string();
        let sign = ["release", "sign", "--manifest", &manifest_at, "--package", &package, "--key", &key];
        self.command(&[&sign[..], &["--out", &out, "--federation", &folder]].concat())?;
        self.command(&["release", "publish", &out, "--federation", &folder])
    }

    /// Runs a command of `fedplane`, which must succeed.
    fn command(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let ran =
            Command::new(&self.settings.program).args(arguments).current_dir(self.place.path()).output()?;
        let said = String::from_utf8_lossy(&ran.stderr);
        ensure!(ran.status.success(), "fedplane {}: {said}", arguments.join(" "));
        Ok(())
    }

    /// Starts the bare server over the same keys, and waits until it listens.
    pub(crate) fn serve_bare(
        &self,
        listen: SocketAddr,
        status: u16,
        answer: &[u8],
    ) -> anyhow::Result<Server> {
        let program = std::env::current_exe().context("where this program is")?;
        let (folder, listening) = (self.folder().display().to_string(), listen.to_string());
        let (status, file) = (status.to_string(), self.place.path().join("answer.json"));
        fs::write(&file, answer)?;
        let file = file.display().to_string();
        let mut arguments = vec!["bare", "--folder", &folder, "--listen", &listening, "--status", &status];
        if !answer.is_empty() {
            arguments.extend(["--answer", &file]);
        }
        let mut server = Server::start(&program, &arguments, &self.log("bare"), self.settings.cores)?;
        until(&mut server, || TcpStream::connect_timeout(&listen, TRY_WITHIN).is_ok())?;
        Ok(server)
    }
}

/// The manifest of a release.
fn manifest(version: Version, class: &str) -> String {
    let mut text = format!(
        "version = \"{version}\"\nclass = \"{class}\"\nnotes = \"for the load\"\n\
         runtime = {{ min = \"0.1.0\", max = \"0.2.0\" }}\n[rollback]\ninstructions = \"bind the slot of before\"\n"
    );
    for LayerContent { id, digest } in layers(version) {
        text += &format!("[[layers]]\nid = \"{id}\"\ndigest = \"{digest}\"\nneeds = []\n");
    }
    text
}

/// Waits for a server that starts.
fn until(server: &mut Server, mut is_there: impl FnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is_there() {
        server.check()?;
        ensure!(began.elapsed() < START_WITHIN, "the server was not ready within {START_WITHIN:?}");
        std::thread::sleep(TRY_EVERY);
    }
    Ok(())
}

/// Nonces that the server remembers: more than any run sends within their life.
const NONCES_MAX: usize = 50_000_000;

/// The present instant.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Addresses of this machine that nobody listens on.
pub(crate) fn free_ports<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut held = Vec::new();
    let mut found = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut found {
        let socket = TcpListener::bind(*address).context("no free port on 127.0.0.1")?;
        *address = socket.local_addr()?;
        // All at once, so that they differ.
        held.push(socket);
    }
    Ok(found)
}

/// Whether the server says that it is ready, at its address for metrics.
fn is_ready(metrics: SocketAddr) -> bool {
    get(metrics, "/readyz").is_ok_and(|answer| answer.get(8..12) == Some(" 200"))
}

/// A counter of the server, by its name and labels as they are shown.
pub(crate) fn counter(metrics: SocketAddr, name: &str) -> anyhow::Result<u64> {
    let shown = get(metrics, "/metrics").context("the server's metrics")?;
    let line = shown.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(Ok(0), |value| value.trim().parse().with_context(|| format!("{name}{value}")))
}

/// An answer of the metrics listener, its head included.
fn get(metrics: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&metrics, TRY_WITHIN)?;
    stream.set_read_timeout(Some(TRY_WITHIN))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {metrics}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
