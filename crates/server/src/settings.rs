//! `fedplane.toml`: what the operator sets that is no law. Every key is known, every value checked when it is read.
//!
//! Never holds a rule of the constitution: those are signed by the Founder.

mod ledger;
mod store;

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use governance::Span;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use trust::KeySource;
use trust::pkcs11::Pkcs11Uri;
use trust::secret::secret_file;

pub use ledger::{Ledger, Witness};
pub use store::Store;

/// The longest settings file, in bytes.
pub const SETTINGS_BYTES_MAX: u64 = 64 * 1024;
/// The longest pause between two publications of the ledger.
pub const PUBLISH_EVERY_MAX: Span = Span::from_millis(1_000);
/// The longest pause between two looks at what other servers decided: what they know of the fleet converges within a second.
const FOLLOW_EVERY_MAX: Span = Span::from_millis(1_000);
/// The longest pause between two signs of life on a stream: who listens gives up after 30 s.
pub const HEARTBEAT_EVERY_MAX: Span = Span::from_millis(20_000);
/// The shortest pause of any loop.
pub const PAUSE_MIN: Span = Span::from_millis(10);

/// The settings of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The folder that relative paths start from: that of the settings file.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// Where its files lie.
    pub paths: Paths,
    /// Which database holds the truth.
    pub store: Store,
    /// Where its keys are.
    pub keys: Keys,
    /// How often it does what.
    pub pace: Pace,
    /// How much it takes on.
    pub limits: Limits,
    /// How instances are challenged.
    pub challenge: Challenge,
    /// Who cosigns the ledger's checkpoints.
    pub ledger: Ledger,
}

/// How instances are challenged (HS-8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Challenge {
    /// In which time each is challenged once; `0s`: by hand alone.
    pub every: Span,
    /// Whether endpoints are called; otherwise a challenge rides in the answer to a check-in.
    pub outgoing: bool,
    /// Endpoints called at once.
    pub at_once: usize,
    /// Networks that may be called though they are private, loopback or link-local.
    pub allow: Vec<IpNet>,
}

impl Default for Challenge {
    fn default() -> Self {
        Self { every: Span::hours(24), outgoing: true, at_once: 16, allow: Vec::new() }
    }
}

/// Where the server listens. Port 0 takes any free port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Instances and operators: mutual TLS.
    pub instances: SocketAddr,
    /// Anyone: keys, bundle, TUF, packages, checkpoint, tiles; read-only.
    pub public: SocketAddr,
    /// People: the dashboard.
    pub dashboard: SocketAddr,
    /// Metrics and health: plain HTTP, loopback only.
    pub metrics: SocketAddr,
    /// The host names and addresses by which the instances' listener is reached.
    pub names: Vec<String>,
    /// Further authorities (`host:port`) that requests may be signed for: a balancer's, a forwarded port's.
    pub authorities: Vec<String>,
    /// Networks of the balancers in front of both listeners: their connections must begin with a header of the PROXY protocol,
    /// version 2, and count for the address that it names.
    pub proxy: Vec<IpNet>,
    /// Where everybody reaches the public listener, as `https://HOST:PORT`: tokens name their status list under it. Empty:
    /// the first of the names, with its port.
    pub public_url: String,
    /// Where people reach the dashboard of this very server, as `https://HOST:PORT`. Empty: the first of the names, with its port.
    pub dashboard_url: String,
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            instances: local(8443),
            public: local(8445),
            dashboard: local(8444),
            metrics: local(9464),
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            authorities: Vec::new(),
            proxy: Vec::new(),
            public_url: String::new(),
            dashboard_url: String::new(),
        }
    }
}

/// Where the files lie; relative paths start at the settings file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// The root keys.
    pub founder: PathBuf,
    /// The keys document.
    pub keys: PathBuf,
    /// The signed constitution.
    pub constitution: PathBuf,
    /// The online keys.
    pub federation: PathBuf,
    /// The TUF repository.
    pub tuf: PathBuf,
    /// The database, where it is a file.
    pub database: PathBuf,
    /// Tiles and checkpoint.
    pub ledger: PathBuf,
    /// Uploads on their way.
    pub incoming: PathBuf,
    /// The certificate that browsers are shown, and its key.
    pub dashboard: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            founder: "founder.json".into(),
            keys: "keys.json".into(),
            constitution: "constitution.sig".into(),
            federation: "keys/federation".into(),
            tuf: "tuf".into(),
            database: "data/fedplane.db".into(),
            ledger: "data/ledger".into(),
            incoming: "data/incoming".into(),
            dashboard: "data/dashboard".into(),
        }
    }
}

/// Where the online keys are; none: the file of its name in [`Paths::federation`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// Signs directives and decisions.
    #[serde(with = "unless_empty")]
    pub directives: Option<KeySource>,
    /// Signs tokens and status lists.
    #[serde(with = "unless_empty")]
    pub tokens: Option<KeySource>,
    /// Signs the TUF snapshot.
    #[serde(with = "unless_empty")]
    pub snapshot: Option<KeySource>,
    /// Signs the TUF timestamp.
    #[serde(with = "unless_empty")]
    pub timestamp: Option<KeySource>,
    /// Signs checkpoints.
    #[serde(with = "unless_empty")]
    pub ledger: Option<KeySource>,
    /// Certifies instances.
    #[serde(with = "unless_empty")]
    pub instance_ca: Option<KeySource>,
    /// Certified instances before, until it is retired.
    #[serde(with = "unless_empty")]
    pub retired_ca: Option<KeySource>,
    /// The server's own, of its TLS certificate.
    #[serde(with = "unless_empty")]
    pub server: Option<KeySource>,
    /// The file with the passphrase of those that are encrypted; empty: none is.
    pub passphrase_file: PathBuf,
}

impl Keys {
    /// The names of the online keys: `NAME.key` where they are files, the object's label where `init` made them in a token.
    pub const NAMES: [&str; 7] =
        ["directives", "tokens", "snapshot", "timestamp", "ledger", "instance-ca", "server"];

    /// The key of this name, if its place is set.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&KeySource> {
        match name {
            "directives" => self.directives.as_ref(),
            "tokens" => self.tokens.as_ref(),
            "snapshot" => self.snapshot.as_ref(),
            "timestamp" => self.timestamp.as_ref(),
            "ledger" => self.ledger.as_ref(),
            "instance-ca" => self.instance_ca.as_ref(),
            "instance-ca.retired" => self.retired_ca.as_ref(),
            "server" => self.server.as_ref(),
            _ => None,
        }
    }

    /// All of them as objects of one token, each under its name.
    #[must_use]
    pub fn in_token(token: &Pkcs11Uri) -> Self {
        let named = |name: &str| Some(KeySource::Token(Box::new(token.with_object(name))));
        Self {
            directives: named("directives"),
            tokens: named("tokens"),
            snapshot: named("snapshot"),
            timestamp: named("timestamp"),
            ledger: named("ledger"),
            instance_ca: named("instance-ca"),
            retired_ca: None,
            server: named("server"),
            passphrase_file: PathBuf::new(),
        }
    }
}

/// An empty text for none, as everywhere in the settings.
mod unless_empty {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use trust::KeySource;

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(
        source: &Option<KeySource>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match source {
            Some(source) => serializer.collect_str(source),
            None => serializer.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<KeySource>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(serde::de::Error::custom) }
    }
}

/// How often the server does what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// How often an instance should check in.
    pub check_in_every: Span,
    /// Pause between two saves of when instances were last heard.
    pub heard_every: Span,
    /// Pause between two looks at what other servers decided.
    pub follow_every: Span,
    /// Pause between two signs of life on a stream of news.
    pub heartbeat_every: Span,
    /// How long a directive may be followed.
    pub directive_lifetime: Span,
    /// Pause between two notes that the server lives; three missing in a row are an outage (CO-7).
    pub pulse_every: Span,
    /// Pause between two sweeps.
    pub sweep_every: Span,
    /// The same while a rollout can move.
    pub sweep_rolling_every: Span,
    /// How long whoever verifies tokens may rely on a status list before he fetches it again.
    pub status_refresh: Span,
    /// Pause between two publications of the ledger.
    pub publish_every: Span,
    /// How long before something runs out its operators are warned.
    pub warn_before: Span,
    /// Pause between two looks at the TUF metadata's age.
    pub resign_every: Span,
    /// How long a TUF snapshot stays good.
    pub snapshot_lifetime: Span,
    /// How long a TUF timestamp stays good.
    pub timestamp_lifetime: Span,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = |seconds: i64| Span::from_millis(seconds * 1_000);
        Self {
            check_in_every: seconds(60),
            heard_every: seconds(300),
            follow_every: Span::from_millis(250),
            heartbeat_every: HEARTBEAT_EVERY_MAX,
            directive_lifetime: seconds(600),
            pulse_every: seconds(5),
            sweep_every: seconds(30),
            sweep_rolling_every: seconds(2),
            status_refresh: seconds(300),
            publish_every: Span::from_millis(500),
            warn_before: Span::hours(30 * 24),
            resign_every: seconds(60),
            snapshot_lifetime: Span::hours(7 * 24),
            timestamp_lifetime: Span::hours(24),
        }
    }
}

/// How much the server takes on at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections open at once, per listener.
    pub connections: usize,
    /// Connections open at once from one address (IPv6: from one /64), per listener.
    pub connections_per_address: usize,
    /// Handshakes at once, per listener; 0: as many as suit the machine's cores.
    pub handshakes: usize,
    /// Requests worked on at once by the instances' listener.
    pub requests: usize,
    /// Check-ins a second that all servers together may be asked to hear.
    pub check_ins_per_second: u32,
    /// Registrations at once whose body is still on its way.
    pub registrations: usize,
    /// Uploads at once.
    pub uploads: usize,
    /// Instances that listen for news at once.
    pub streams: usize,
    /// People's sessions in the dashboard at once.
    pub sessions: usize,
    /// Bytes of uploaded files that no release lists yet, all together.
    pub unlisted_bytes: u64,
    /// How long such a file is kept.
    pub unlisted_age: Span,
    /// Files read at once on the public listener.
    pub downloads: usize,
    /// Requests a minute that an address may make of the public listener.
    pub public_per_minute: u32,
    /// Nonces remembered.
    pub nonces: usize,
    /// Addresses whose rate is counted.
    pub addresses: usize,
    /// From a request's header to the end of its body (uploads excepted).
    pub body_within: Span,
    /// From the signal to stop until what is busy is cut.
    pub shutdown_within: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_address: 256,
            handshakes: 0,
            requests: 1_024,
            check_ins_per_second: 20_000,
            registrations: 128,
            uploads: 4,
            streams: 8_192,
            sessions: 1_024,
            unlisted_bytes: 8 * wire::PACKAGE_BYTES_MAX,
            unlisted_age: Span::hours(7 * 24),
            downloads: 1_024,
            public_per_minute: 6_000,
            nonces: 1_000_000,
            addresses: 65_536,
            body_within: Span::from_millis(30_000),
            shutdown_within: Span::from_millis(10_000),
        }
    }
}

/// Why settings cannot be used: the file, the line and the key, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The key, with its table.
    pub key: Option<String>,
    /// What is wrong and what to do.
    pub why: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// The defaults in a folder.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), ..Self::default() }
    }

    /// Reads a settings file.
    ///
    /// # Errors
    /// When it cannot be read, has an unknown key, or a value that cannot be.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let fail = |why: String| SettingsError { file: path.to_path_buf(), line: None, key: None, why };
        let metadata = fs::metadata(path)
            .map_err(|error| fail(format!("{error}; name the file that `fedplane init` made")))?;
        if metadata.len() > SETTINGS_BYTES_MAX {
            return Err(fail(format!("{} bytes: at most {SETTINGS_BYTES_MAX}", metadata.len())));
        }
        let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Self::parse(&text, folder, path)
    }

    /// Reads settings from a text; `file` is named in errors.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn parse(text: &str, folder: PathBuf, file: &Path) -> Result<Self, SettingsError> {
        let settings: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map(|span| span.start);
            let (line, key) = start.map_or((None, None), |start| locate(text, start));
            SettingsError { file: file.to_path_buf(), line, key, why: error.message().trim().to_owned() }
        })?;
        let settings = Self { folder, ..settings };
        settings.check().map_err(|(key, why)| SettingsError {
            file: file.to_path_buf(),
            line: line_of(text, key),
            key: Some(key.to_owned()),
            why,
        })?;
        Ok(settings)
    }

    /// Whether the values can be: the first that cannot, by its key.
    ///
    /// # Errors
    /// The key, and what is wrong with its value.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let Self { listen, pace, limits, challenge, .. } = self;
        if !listen.metrics.ip().is_loopback() {
            let why =
                format!("{} is no loopback address: metrics are for this machine alone", listen.metrics);
            return Err(("listen.metrics", why));
        }
        if listen.names.is_empty() && listen.authorities.is_empty() {
            return Err(("listen.names", "name at least one host by which the server is reached".to_owned()));
        }
        if let Some(network) = listen.proxy.iter().find(|network| network.prefix_len() == 0) {
            let why = format!("{network} is everybody: name the networks of the balancers alone");
            return Err(("listen.proxy", why));
        }
        for (key, url) in
            [("listen.public_url", &listen.public_url), ("listen.dashboard_url", &listen.dashboard_url)]
        {
            if !url.is_empty() && url.strip_prefix("https://").is_none_or(str::is_empty) {
                return Err((key, "write it as https://HOST:PORT, or leave it empty".to_owned()));
            }
        }
        for (key, span) in [
            ("pace.check_in_every", pace.check_in_every),
            ("pace.heard_every", pace.heard_every),
            ("pace.follow_every", pace.follow_every),
            ("pace.heartbeat_every", pace.heartbeat_every),
            ("pace.directive_lifetime", pace.directive_lifetime),
            ("pace.pulse_every", pace.pulse_every),
            ("pace.sweep_every", pace.sweep_every),
            ("pace.sweep_rolling_every", pace.sweep_rolling_every),
            ("pace.status_refresh", pace.status_refresh),
            ("pace.publish_every", pace.publish_every),
            ("pace.resign_every", pace.resign_every),
            ("pace.snapshot_lifetime", pace.snapshot_lifetime),
            ("pace.timestamp_lifetime", pace.timestamp_lifetime),
            ("limits.unlisted_age", limits.unlisted_age),
            ("limits.body_within", limits.body_within),
            ("limits.shutdown_within", limits.shutdown_within),
        ] {
            if span < PAUSE_MIN {
                return Err((key, format!("{span} is too short: at least {PAUSE_MIN}")));
            }
        }
        if pace.follow_every > FOLLOW_EVERY_MAX {
            let why = format!("{} is too long: at most {FOLLOW_EVERY_MAX}", pace.follow_every);
            return Err(("pace.follow_every", why));
        }
        if pace.publish_every > PUBLISH_EVERY_MAX {
            let why = format!("{} is too long: at most {PUBLISH_EVERY_MAX}", pace.publish_every);
            return Err(("pace.publish_every", why));
        }
        if pace.heartbeat_every > HEARTBEAT_EVERY_MAX {
            let why = format!("{} is too long: at most {HEARTBEAT_EVERY_MAX}", pace.heartbeat_every);
            return Err(("pace.heartbeat_every", why));
        }
        if pace.directive_lifetime < pace.check_in_every {
            let why = "shorter than pace.check_in_every: directives would end before the next one".to_owned();
            return Err(("pace.directive_lifetime", why));
        }
        for (key, number) in [
            ("limits.connections", limits.connections),
            ("limits.connections_per_address", limits.connections_per_address),
            ("limits.requests", limits.requests),
            (
                "limits.check_ins_per_second",
                usize::try_from(limits.check_ins_per_second).unwrap_or(usize::MAX),
            ),
            ("limits.registrations", limits.registrations),
            ("limits.uploads", limits.uploads),
            ("limits.streams", limits.streams),
            ("limits.sessions", limits.sessions),
            ("limits.unlisted_bytes", usize::try_from(limits.unlisted_bytes).unwrap_or(usize::MAX)),
            ("limits.downloads", limits.downloads),
            ("limits.public_per_minute", usize::try_from(limits.public_per_minute).unwrap_or(usize::MAX)),
            ("limits.nonces", limits.nonces),
            ("limits.addresses", limits.addresses),
            ("challenge.at_once", challenge.at_once),
        ] {
            if number == 0 {
                return Err((key, "0 lets nothing through: at least 1".to_owned()));
            }
        }
        self.store.check()?;
        self.ledger.check()
    }

    /// Where the online key of this name is, as seen from here.
    #[must_use]
    pub fn key(&self, name: &str) -> KeySource {
        let file = || KeySource::File(self.paths.federation.join(format!("{name}.key")));
        self.keys.find(name).cloned().unwrap_or_else(file).seen_from(&self.folder)
    }

    /// The file with the passphrase of the online keys, as seen from here.
    #[must_use]
    pub fn passphrase_file(&self) -> Option<PathBuf> {
        let file = &self.keys.passphrase_file;
        (!file.as_os_str().is_empty()).then(|| self.path(&secret_file(file)))
    }

    /// A path of the settings as seen from here.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The settings as a file with every field explained: what `fedplane init` writes.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let Self { listen, paths, store, keys, pace, limits, challenge, ledger, .. } = self;
        let text = |value: &dyn fmt::Display| toml::Value::String(value.to_string()).to_string();
        let file = |path: &Path| text(&path.display());
        let key = |name: &str| text(&keys.find(name).map(ToString::to_string).unwrap_or_default());
        let list = |items: &[String]| items.iter().map(|item| text(item)).collect::<Vec<_>>().join(", ");
        let networks = |items: &[IpNet]| items.iter().map(|item| text(item)).collect::<Vec<_>>().join(", ");
        format!(
            include_str!("settings.toml.txt"),
            instances = text(&listen.instances),
            public = text(&listen.public),
            dashboard = text(&listen.dashboard),
            metrics = text(&listen.metrics),
            names = list(&listen.names),
            authorities = list(&listen.authorities),
            proxy = networks(&listen.proxy),
            public_url = text(&listen.public_url),
            dashboard_url = text(&listen.dashboard_url),
            founder = file(&paths.founder),
            keys = file(&paths.keys),
            constitution = file(&paths.constitution),
            federation = file(&paths.federation),
            tuf = file(&paths.tuf),
            database = file(&paths.database),
            ledger = file(&paths.ledger),
            incoming = file(&paths.incoming),
            browser_identity = file(&paths.dashboard),
            store_url = text(&store.url),
            store_password_file = file(&store.password_file),
            store_ca_file = file(&store.ca_file),
            key_directives = key("directives"),
            key_tokens = key("tokens"),
            key_snapshot = key("snapshot"),
            key_timestamp = key("timestamp"),
            key_ledger = key("ledger"),
            key_retired_ca = key("instance-ca.retired"),
            key_instance_ca = key("instance-ca"),
            key_server = key("server"),
            passphrase_file = file(&keys.passphrase_file),
            check_in_every = text(&pace.check_in_every),
            heard_every = text(&pace.heard_every),
            follow_every = text(&pace.follow_every),
            heartbeat_every = text(&pace.heartbeat_every),
            directive_lifetime = text(&pace.directive_lifetime),
            pulse_every = text(&pace.pulse_every),
            sweep_every = text(&pace.sweep_every),
            sweep_rolling_every = text(&pace.sweep_rolling_every),
            status_refresh = text(&pace.status_refresh),
            publish_every = text(&pace.publish_every),
            warn_before = text(&pace.warn_before),
            resign_every = text(&pace.resign_every),
            snapshot_lifetime = text(&pace.snapshot_lifetime),
            timestamp_lifetime = text(&pace.timestamp_lifetime),
            challenge_every = text(&challenge.every),
            outgoing = challenge.outgoing,
            at_once = challenge.at_once,
            allow = networks(&challenge.allow),
            quorum = ledger.quorum,
            witnesses = ledger.to_toml(),
            connections = limits.connections,
            connections_per_address = limits.connections_per_address,
            handshakes = limits.handshakes,
            requests = limits.requests,
            check_ins_per_second = limits.check_ins_per_second,
            registrations = limits.registrations,
            uploads = limits.uploads,
            streams = limits.streams,
            sessions = limits.sessions,
            unlisted_bytes = limits.unlisted_bytes,
            unlisted_age = text(&limits.unlisted_age),
            downloads = limits.downloads,
            public_per_minute = limits.public_per_minute,
            nonces = limits.nonces,
            addresses = limits.addresses,
            body_within = text(&limits.body_within),
            shutdown_within = text(&limits.shutdown_within),
        )
    }
}

/// The default settings as a file: what `fedplane init` writes.
#[must_use]
pub fn template() -> String {
    Settings::default().to_toml()
}

/// A span of the settings as the runtime counts it.
pub(crate) fn duration(span: Span) -> Duration {
    Duration::from_millis(span.as_millis().unsigned_abs())
}

/// The line, from 1, and the key that stands there, for an offset into the text.
fn locate(text: &str, offset: usize) -> (Option<usize>, Option<String>) {
    let before = text.get(..offset).unwrap_or(text);
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let table = before.lines().rev().find_map(|line| table_of(line));
    let key = line.split_once('=').map(|(key, _)| match table {
        Some(table) => format!("{table}.{}", key.trim()),
        None => key.trim().to_owned(),
    });
    (Some(number), key)
}

/// The table that begins on this line, one of several too.
fn table_of(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix('[')?.strip_suffix(']')?;
    Some(name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name))
}

/// The line, from 1, on which a key of a table is set.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let (table, field) = key.split_once('.')?;
    let mut within = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = table_of(line) {
            within = name == table;
        } else if within && line.split_once('=').is_some_and(|(name, _)| name.trim() == field) {
            return Some(index + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::ledger::tests::witness;
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(text, "/f".into(), Path::new("/f/fedplane.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_template_is_the_defaults() {
        assert_eq!(parse(&template()).unwrap(), Settings::in_folder("/f"));
        assert_eq!(parse("").unwrap(), Settings::in_folder("/f"));
        let odd = Settings {
            listen: Listen {
                authorities: vec!["plane.example".into(), "10.0.0.1:9".into()],
                proxy: vec!["10.1.0.0/16".parse().unwrap(), "fd00::/64".parse().unwrap()],
                ..Listen::default()
            },
            paths: Paths { tuf: "/a \"b\"\\c".into(), ..Paths::default() },
            keys: Keys {
                server: Some(KeySource::File("own/server.key".into())),
                passphrase_file: "$CREDENTIALS_DIRECTORY/passphrase".into(),
                ..Keys::in_token(&"pkcs11:token=fed?module-path=/usr/lib/a.so".parse().unwrap())
            },
            store: Store {
                url: "postgres://fedplane@localhost/fleet".into(),
                password_file: "$CREDENTIALS_DIRECTORY/database".into(),
                ca_file: "database-ca.pem".into(),
            },
            ledger: Ledger {
                quorum: 1,
                witness: vec![witness("a", 1, "https://a"), witness("b", 2, "http://b/c")],
            },
            ..Settings::in_folder("/f")
        };
        assert_eq!(parse(&odd.to_toml()).unwrap(), odd);
    }

    #[test]
    fn a_key_is_where_it_is_said_to_be_or_in_the_folder() {
        let settings =
            parse("[keys]\nledger = \"pkcs11:token=fed;object=ledger\"\nserver = \"own/s.key\"\n").unwrap();
        let at = |name: &str| settings.key(name).to_string();
        assert_eq!(at("directives"), "/f/keys/federation/directives.key");
        assert_eq!(at("server"), "/f/own/s.key");
        assert_eq!(at("ledger"), "pkcs11:token=fed;object=ledger");
        assert_eq!(settings.passphrase_file(), None);
        let token: Pkcs11Uri = "pkcs11:token=fed".parse().unwrap();
        for name in Keys::NAMES {
            let source = Keys::in_token(&token).find(name).unwrap().to_string();
            assert_eq!(source, format!("pkcs11:token=fed;object={name}"));
        }
        let settings = parse("[keys]\npassphrase_file = \"secret\"\n").unwrap();
        assert_eq!(settings.passphrase_file(), Some("/f/secret".into()));
    }

    #[test]
    fn every_field_of_the_template_is_explained() {
        let text = template();
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" = ")) {
            if !line.starts_with('#') {
                assert!(index > 0 && lines[index - 1].starts_with('#'), "{line}");
            }
        }
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let check = |text: &str, parts: &[&str]| {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("/f/fedplane.toml"), "{error}");
            for part in parts {
                assert!(error.contains(part), "{error} lacks {part}");
            }
        };
        check("\n[pace]\nsweep_evry = \"1s\"\n", &[":3:", "sweep_evry", "unknown field"]);
        check("[pace]\nsweep_every = 5\n", &[":2:", "pace.sweep_every"]);
        check("[pace]\nsweep_every = \"soon\"\n", &[":2:", "pace.sweep_every", "duration"]);
        check("[pace]\npublish_every = \"2s\"\n", &[":2:", "pace.publish_every", "at most 1s"]);
        check("[listen]\nmetrics = \"0.0.0.0:9464\"\n", &[":2:", "listen.metrics", "loopback"]);
        check("[listen]\nproxy = [\"::/0\"]\n", &[":2:", "listen.proxy", "everybody"]);
        check("[listen]\ninstances = \"here\"\n", &[":2:", "listen.instances"]);
        check("[limits]\n\nrequests = 0\n", &[":3:", "limits.requests"]);
        check("[keys]\nledger = \"pkcs11:colour=red\"\n", &[":2:", "keys.ledger", "`colour`"]);
        check("[keys]\n\nledger = \"pkcs11:?pin-value=1\"\n", &[":3:", "keys.ledger", "pin-source"]);
        check("[elsewhere]\n", &["elsewhere"]);
        check("[store]\nurl = \"postgres://a:hush@b/c\"\n", &[":2:", "store.url", "password_file"]);
        check("[ledger]\nquorum = 1\n", &[":2:", "ledger.quorum"]);
        check(
            "[[ledger.witness]]\nkey = \"w+1\"\nurl = \"\"\n",
            &[":2:", "ledger.witness.key", "verifier key"],
        );
        check("[pace\n", &[":1"]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Settings::load(Path::new("/nowhere/fedplane.toml")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/fedplane.toml") && error.contains("fedplane init"), "{error}");
    }
}
