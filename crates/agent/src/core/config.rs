//! The owner's settings, `agent.toml`, parsed once into types.
//!
//! Never reads a file: it is given the text, and a way to find time zones. Unknown keys are errors; every mistake names its place.

use std::path::{Path, PathBuf};

use governance::{DomainCode, Endpoint, LayerContent, Span, Tier, Version};
use serde::Deserialize;

use super::calendar::{self, Calendar, WINDOWS_MAX, Weekly, Zones};
use super::journal::Installed;
use super::offer::Policy;
use super::plan::Timing;

/// `health.stable_for` where neither owner nor constitution says otherwise.
const STABLE_FOR: Span = Span::from_millis(60_000);
/// Arguments of one hook.
const COMMAND_ARGUMENTS_MAX: usize = 64;

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, an unknown key, a missing key, or a value of the wrong form; the message has line and column.
    #[error(transparent)]
    Form(#[from] Box<toml::de::Error>),
    /// Values that cannot be right: every one, never none.
    #[error("{}", listed(.0))]
    Values(Vec<Mistake>),
}

/// A value that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key.
    pub key: &'static str,
    /// What is wrong and what to write.
    pub why: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {}", self.key, self.why)
    }
}

fn listed(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The settings of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The plane's own address, `https://host:8443`, without a slash at the end.
    pub plane: String,
    /// The address of the public listener, `https://host:8445`, without a slash at the end.
    pub public: String,
    /// The file with the Founder's root keys.
    pub root: PathBuf,
    /// The agent's folder.
    pub folder: PathBuf,
    /// Where the enrolment secret comes from; not needed once enrolled.
    pub enrolment: Option<Secret>,
    /// Where the handshake endpoint listens.
    pub listen: std::net::SocketAddr,
    /// Under which address others reach it; without one it is `https://` and where it listens.
    pub endpoint: Option<Endpoint>,
    /// What runs before the agent has installed anything.
    pub installed: Installed,
    /// The domains that are active.
    pub domains: Vec<DomainCode>,
    /// The tier of the subscription.
    pub tier: Tier,
    /// The owner's commands.
    pub hooks: Hooks,
    /// How long things may take.
    pub timing: Timing,
    /// How long a new version must stay healthy; absent: as the constitution says (`health.stable_for`).
    pub stable_for: Option<Span>,
    /// A version statement is made at least this often; absent: often enough for the constitution (CO-7).
    pub report_every: Option<Span>,
    /// What the owner allows.
    pub policy: Policy,
    /// Whether the agent listens for news: a stream that it holds open, by which it hears at once that it should check in.
    pub events: bool,
    /// When updates may begin (RO-7).
    pub calendar: Calendar,
}

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The secret itself.
    Text(String),
    /// The file that holds it.
    File(PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// The owner's commands: program and arguments, run without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// Makes the release in `FEDPLANE_SLOT` the one that runs.
    pub bind: Vec<String>,
    /// Prints the version that runs on its last line; exit status 0 when healthy.
    pub health: Vec<String>,
    /// Makes the previous release the one that runs.
    pub rollback: Vec<String>,
    /// How long a command may take before it is killed.
    pub timeout: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    plane: String,
    public: String,
    root: PathBuf,
    folder: PathBuf,
    enrolment: Option<String>,
    #[serde(default = "loopback")]
    listen: std::net::SocketAddr,
    endpoint: Option<Endpoint>,
    platform: Version,
    runtime: Version,
    #[serde(default)]
    layers: Vec<LayerContent>,
    #[serde(default)]
    domains: Vec<DomainCode>,
    tier: Tier,
    hook_timeout: Option<Span>,
    report_every: Option<Span>,
    hooks: FileHooks,
    #[serde(default)]
    health: FileHealth,
    #[serde(default)]
    policy: FilePolicy,
    #[serde(default = "yes")]
    events: bool,
    timezone: Option<String>,
    #[serde(default)]
    window: Vec<FileWindow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileWindow {
    days: Vec<String>,
    from: String,
    until: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileHooks {
    bind: Vec<String>,
    health: Vec<String>,
    rollback: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileHealth {
    stable_for: Option<Span>,
    every: Option<Span>,
    start_within: Option<Span>,
    rollback_tries: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FilePolicy {
    install: Option<bool>,
}

fn yes() -> bool {
    true
}

fn loopback() -> std::net::SocketAddr {
    std::net::SocketAddr::from(([127, 0, 0, 1], 0))
}

impl Config {
    /// Parses settings. Relative paths start at `base`, the folder of the file; `zones` knows time zones by name.
    ///
    /// # Errors
    /// What the form forbids, with its place; or every value that cannot be right.
    pub fn parse(text: &str, base: &Path, zones: Zones) -> Result<Self, ConfigError> {
        match Self::read(text, base, zones)? {
            (config, mistakes) if mistakes.is_empty() => Ok(config),
            (_, mistakes) => Err(ConfigError::Values(mistakes)),
        }
    }

    /// Reads settings together with every value in them that cannot be right: for whoever lists mistakes.
    ///
    /// # Errors
    /// What the form forbids, with its place.
    pub fn read(text: &str, base: &Path, zones: Zones) -> Result<(Self, Vec<Mistake>), ConfigError> {
        let file: File = toml::from_str(text).map_err(Box::new)?;
        let mut found = Vec::new();
        let config = Self::of(file, base, zones, &mut found);
        Ok((config, found))
    }

    fn of(file: File, base: &Path, zones: Zones, found: &mut Vec<Mistake>) -> Self {
        let default = |given: Option<Span>, millis: i64| given.unwrap_or(Span::from_millis(millis));
        let health = &file.health;
        let timing = Timing {
            health_every: positive("health.every", default(health.every, 5_000), found),
            start_within: positive("health.start_within", default(health.start_within, 120_000), found),
            stable_for: health.stable_for.unwrap_or(STABLE_FOR),
            rollback_tries_max: health.rollback_tries.unwrap_or(5).max(1),
        };
        let hooks = Hooks {
            bind: command("hooks.bind", file.hooks.bind, found),
            health: command("hooks.health", file.hooks.health, found),
            rollback: command("hooks.rollback", file.hooks.rollback, found),
            timeout: positive("hook_timeout", default(file.hook_timeout, 300_000), found),
        };
        Self {
            plane: address("plane", &file.plane, found),
            public: address("public", &file.public, found),
            root: base.join(file.root),
            folder: base.join(file.folder),
            enrolment: file.enrolment.and_then(|text| secret(&text, base, found)),
            listen: listen(file.listen, file.endpoint.is_some(), found),
            endpoint: file.endpoint,
            installed: Installed { platform: file.platform, runtime: file.runtime, layers: file.layers },
            domains: file.domains,
            tier: file.tier,
            hooks,
            timing,
            stable_for: health.stable_for,
            report_every: file.report_every.map(|every| positive("report_every", every, found)),
            policy: Policy { install: file.policy.install.unwrap_or(true) },
            events: file.events,
            calendar: calendar(file.timezone.as_deref(), &file.window, zones, found),
        }
    }
}

/// The deployment windows. Whoever names none needs no time zone.
fn calendar(
    timezone: Option<&str>,
    windows: &[FileWindow],
    zones: Zones,
    found: &mut Vec<Mistake>,
) -> Calendar {
    let zone = timezone.and_then(zones);
    if zone.is_none() && (timezone.is_some() || !windows.is_empty()) {
        let what = timezone.map(|name| format!("no time zone is called `{name:.60}`: ")).unwrap_or_default();
        let why = format!(
            "{what}write the IANA name of the zone of the windows' times, as \"Europe/Berlin\" or \"UTC\""
        );
        found.push(Mistake { key: "timezone", why });
    }
    if windows.len() > WINDOWS_MAX {
        found.push(Mistake { key: "window", why: format!("write {WINDOWS_MAX} at most") });
    }
    let windows = windows.iter().take(WINDOWS_MAX).filter_map(|window| weekly(window, found)).collect();
    Calendar { zone: zone.unwrap_or(jiff::tz::TimeZone::UTC), windows }
}

fn weekly(window: &FileWindow, found: &mut Vec<Mistake>) -> Option<Weekly> {
    let before = found.len();
    let mut days = Vec::new();
    for name in window.days.iter().take(calendar::DAYS_OF_A_WEEK) {
        match calendar::day(name) {
            Some(day) => days.push(day),
            None => found.push(Mistake {
                key: "window.days",
                why: format!("`{name:.20}` is no day: write mon, tue, wed, thu, fri, sat or sun"),
            }),
        }
    }
    if window.days.is_empty() || window.days.len() > calendar::DAYS_OF_A_WEEK {
        let why = "write the days on which it opens, each once, as [\"sat\", \"sun\"]".to_owned();
        found.push(Mistake { key: "window.days", why });
    }
    let mut time = |key, text: &str| {
        let time = calendar::time(text);
        if time.is_none() {
            let why = format!(
                "`{text:.20}` is no time of the day: write hours and minutes, 00:00 to 23:59, as 02:00"
            );
            found.push(Mistake { key, why });
        }
        time
    };
    let (from, until) = (time("window.from", &window.from), time("window.until", &window.until));
    (found.len() == before).then_some(Weekly { days, from: from?, until: until? })
}

fn positive(key: &'static str, span: Span, found: &mut Vec<Mistake>) -> Span {
    if span == Span::ZERO {
        found.push(Mistake { key, why: "must be longer than nothing".to_owned() });
    }
    span
}

/// An address of the plane: scheme, host, perhaps a port, nothing else.
fn address(key: &'static str, text: &str, found: &mut Vec<Mistake>) -> String {
    let text = text.strip_suffix('/').unwrap_or(text);
    let plain = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b))
    };
    if !text.strip_prefix("https://").is_some_and(plain) {
        let why = "write an https URL with host and port only, as https://plane.example:8443".to_owned();
        found.push(Mistake { key, why });
    }
    text.to_owned()
}

/// What listens everywhere has no address to tell others.
fn listen(
    address: std::net::SocketAddr,
    has_endpoint: bool,
    found: &mut Vec<Mistake>,
) -> std::net::SocketAddr {
    if address.ip().is_unspecified() && !has_endpoint {
        let why = format!("nobody can call https://{address}: set it to the address under which others do");
        found.push(Mistake { key: "endpoint", why });
    }
    address
}

fn command(key: &'static str, words: Vec<String>, found: &mut Vec<Mistake>) -> Vec<String> {
    let named = words.first().is_some_and(|program| !program.is_empty());
    if !named || words.len() > COMMAND_ARGUMENTS_MAX {
        let why = "write a program and its arguments, as [\"/usr/local/bin/bind\", \"--now\"]; 64 at most";
        found.push(Mistake { key, why: why.to_owned() });
    }
    words
}

fn secret(text: &str, base: &Path, found: &mut Vec<Mistake>) -> Option<Secret> {
    match text.strip_prefix("file:") {
        Some(path) if !path.is_empty() => Some(Secret::File(base.join(path))),
        None if !text.trim().is_empty() => Some(Secret::Text(text.trim().to_owned())),
        _ => {
            found.push(Mistake { key: "enrolment", why: "write the secret itself, or file:PATH".to_owned() });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
plane = "https://plane.example:8443/"
public = "https://plane.example:8445"
root = "founder.json"
folder = "state"
enrolment = "file:secret"
platform = "0.1.0"
runtime = "0.1.0"
tier = "pro"
domains = ["COM"]
layers = [{ id = "TIS-A-v0.1.0", digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }]
[hooks]
bind = ["bind"]
health = ["health", "--now"]
rollback = ["rollback"]
"#;

    fn zones(name: &str) -> Option<jiff::tz::TimeZone> {
        jiff::tz::TimeZoneDatabase::bundled().get(name).ok()
    }

    #[test]
    fn settings_are_parsed_once_and_paths_start_at_their_file() {
        let config = Config::parse(GOOD, Path::new("/etc/fedplane"), zones).unwrap();
        assert_eq!(config.plane, "https://plane.example:8443");
        assert_eq!(config.folder, Path::new("/etc/fedplane/state"));
        assert_eq!(config.enrolment, Some(Secret::File("/etc/fedplane/secret".into())));
        assert_eq!(config.timing.stable_for, Span::from_millis(60_000));
        assert!(config.policy.install);
    }

    #[test]
    fn every_mistake_is_named() {
        let check = |from: &str, to: &str, named: &str| {
            assert!(GOOD.contains(from), "{from}");
            let error =
                Config::parse(&GOOD.replace(from, to), Path::new("/"), zones).unwrap_err().to_string();
            assert!(error.contains(named), "{from} → {to}: {error}");
        };
        check("tier = \"pro\"", "teir = \"pro\"", "teir");
        check("\"pro\"", "\"gold\"", "one of free, pro");
        check("\"0.1.0\"\nruntime", "\"0.1\"\nruntime", "line 7");
        check("https://plane.example:8443/", "http://plane.example", "`plane`");
        check("https://plane.example:8445", "https://plane.example/x", "`public`");
        check("[\"bind\"]", "[]", "`hooks.bind`");
        check("file:secret", "file:", "`enrolment`");
        check("\"COM\"", "\"com\"", "domain code");
        check("[hooks]", "hook_timeout = \"0s\"\n[hooks]", "`hook_timeout`");
        check("[hooks]", "listen = \"0.0.0.0:9443\"\n[hooks]", "`endpoint`");
        check("[hooks]", "[policy]\ninstal = true\n[hooks]", "instal");
    }

    #[test]
    fn no_mistake_hides_another_and_none_is_told_twice() {
        let text = GOOD.replace("https://plane.example:84", "plane.example:84").replace("\"bind\"", "");
        let (_, mistakes) = Config::read(&text, Path::new("/"), zones).unwrap();
        let keys: Vec<&str> = mistakes.iter().map(|mistake| mistake.key).collect();
        assert_eq!(keys, ["hooks.bind", "plane", "public"]);
        let error = Config::parse(&GOOD.replace("tier", "teir"), Path::new("/"), zones).unwrap_err();
        assert!(std::error::Error::source(&error).is_none());
        assert_eq!(error.to_string().matches("teir").count(), 2, "the line and the message");
    }

    #[test]
    fn ro_7_windows_are_read_and_every_mistake_in_them_is_named() {
        let windows = |zone: &str, table: &str| {
            let text = format!("{zone}\n{GOOD}\n[[window]]\n{table}");
            Config::parse(&text, Path::new("/"), zones).map(|config| config.calendar)
        };
        let (zone, table) = (
            "timezone = \"Europe/Berlin\"",
            "days = [\"sat\", \"sun\"]\nfrom = \"22:00\"\nuntil = \"05:00\"",
        );
        let calendar = windows(zone, table).unwrap();
        assert_eq!(calendar.zone.iana_name(), Some("Europe/Berlin"));
        assert_eq!(calendar.windows.len(), 1);
        assert!(Config::parse(GOOD, Path::new("/"), zones).unwrap().calendar.windows.is_empty());
        let check = |zone: &str, from: &str, to: &str, named: &str| {
            let error = windows(zone, &table.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(named), "{zone}, {from} → {to}: {error}");
        };
        check("", "", "", "`timezone`: write the IANA name");
        check(
            "timezone = \"Europe/Berlim\"",
            "",
            "",
            "`timezone`: no time zone is called `Europe/Berlim`: write",
        );
        check(zone, "\"sat\"", "\"saturday\"", "`window.days`: `saturday` is no day: write mon,");
        check(zone, "\"sat\", \"sun\"", "", "`window.days`: write the days");
        check(zone, "22:00", "22", "`window.from`: `22` is no time of the day: write hours");
        check(zone, "05:00", "24:00", "`window.until`: `24:00` is no time of the day");
        check(zone, "until", "untill", "untill");
    }
}
