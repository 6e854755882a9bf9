//! Where the database is, and how it may be spoken to.
//!
//! What leaves this machine is encrypted, to a server that proves its name: there is no setting for anything less.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, SslNegotiation, TargetSessionAttrs};
use trust::Secret;

use super::tls::{Tls, roots};
use crate::OpenError;

/// How a PostgreSQL server is served.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Connections that read, up to [`LINES_MAX`](super::LINES_MAX); many requests share each.
    pub lines: usize,
    /// Commits that wait for the writer, up to [`QUEUE_MAX`](crate::QUEUE_MAX); further callers wait to be let in.
    pub queue: usize,
    /// How long a connection may take to be made.
    pub connect_within: Duration,
    /// How long an answer may take before the connection is given up.
    pub answer_within: Duration,
    /// The password, where one is asked for.
    pub password: Option<Secret>,
    /// Certificates (PEM) of those who vouch for the server; needed where it is not on this machine.
    pub ca: Option<String>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            lines: 4,
            queue: 1_024,
            connect_within: Duration::from_secs(5),
            answer_within: Duration::from_secs(10),
            password: None,
            ca: None,
        }
    }
}

/// A checked place: how to connect, and what to call it in messages.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) config: Config,
    pub(super) tls: Option<Tls>,
    /// Host and database, never a password.
    pub(super) name: Arc<str>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Probes of a silent connection: the first after so long, then at this pace, this many.
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBE_EVERY: Duration = Duration::from_secs(3);
const PROBES: u32 = 3;

/// Whether a text names a database server: `postgres://…`.
#[must_use]
pub fn is_postgres_url(text: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
}

/// Whether such a text holds a password, in one of the places where it may.
#[must_use]
pub fn holds_password(url: &str) -> bool {
    let parsed = separate(url).ok().and_then(|(_, url)| url.parse::<Config>().ok());
    parsed.is_some_and(|config| config.get_password().is_some())
}

impl Place {
    /// Reads a URL, as PostgreSQL's own programs do.
    ///
    /// # Errors
    /// [`OpenError::Place`]: which part of it cannot be, and what to write instead.
    pub(super) fn parse(url: &str, options: &PostgresOptions) -> Result<Self, OpenError> {
        let refuse = |why: String| OpenError::Place(why);
        if !is_postgres_url(url) {
            return Err(refuse(
                "a database server is named as `postgres://USER@HOST:PORT/DATABASE`".to_owned(),
            ));
        }
        let (mode, url) = separate(url)?;
        // The parser's own message repeats nothing of what it read.
        let mut config: Config =
            url.parse().map_err(|error| refuse(format!("the URL cannot be read: {error}")))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(refuse(
                "the URL names no host: write one, or `?host=/run/postgresql` for a local socket".to_owned(),
            ));
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(refuse("the URL names no database: `postgres://USER@HOST:PORT/DATABASE`".to_owned()));
        }
        let name = name(&config);
        let local = is_local(&config);
        let encrypted = match mode.as_deref() {
            None => !local,
            Some("disable") if local => false,
            Some("disable") => {
                let why = format!(
                    "{name} is not on this machine: `sslmode=disable` is for loopback and sockets alone"
                );
                return Err(refuse(why));
            }
            Some("require" | "verify-full") => true,
            Some(other) => {
                let why = format!(
                    "`sslmode={other}`: `verify-full` (or `require`, the same here), or `disable` on this machine"
                );
                return Err(refuse(why));
            }
        };
        let tls = match (encrypted, &options.ca) {
            (false, _) => None,
            (true, Some(pem)) => Some(Tls::new(roots(pem)?)?),
            (true, None) => {
                let why = format!(
                    "{name} is spoken to in TLS: name the certificate that vouches for it in the CA file"
                );
                return Err(refuse(why));
            }
        };
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        config.ssl_negotiation(SslNegotiation::Postgres);
        config.connect_timeout(options.connect_within);
        config.tcp_user_timeout(options.answer_within);
        config.keepalives_idle(PROBE_AFTER).keepalives_interval(PROBE_EVERY).keepalives_retries(PROBES);
        if config.get_application_name().is_none() {
            config.application_name("fedplane");
        }
        if let Some(password) = &options.password {
            config.password(password.expose());
        }
        // Of several hosts the one that takes writes, after a failover too; and nothing is read behind its back.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { config, tls, name: name.into() })
    }
}

/// Takes `sslmode` out of the URL: the driver knows none that verifies.
fn separate(url: &str) -> Result<(Option<String>, String), OpenError> {
    let Some((head, query)) = url.split_once('?') else { return Ok((None, url.to_owned())) };
    let (modes, others): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|part| part.split('=').next() == Some("sslmode"));
    let mode = match modes.as_slice() {
        [] => None,
        [one] => Some(one.trim_start_matches("sslmode").trim_start_matches('=').to_owned()),
        _ => return Err(OpenError::Place("the URL says `sslmode` twice".to_owned())),
    };
    let url = if others.is_empty() { head.to_owned() } else { format!("{head}?{}", others.join("&")) };
    Ok((mode, url))
}

fn name(config: &Config) -> String {
    let host = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    let mut hosts: Vec<String> = config.get_hosts().iter().map(host).collect();
    if hosts.is_empty() {
        hosts = config.get_hostaddrs().iter().map(ToString::to_string).collect();
    }
    let ports: Vec<String> = config.get_ports().iter().map(ToString::to_string).collect();
    let ports = if ports.is_empty() { String::new() } else { format!(":{}", ports.join(",")) };
    format!("postgres://{}{ports}/{}", hosts.join(","), config.get_dbname().unwrap_or(""))
}

/// Whether every host is this machine.
fn is_local(config: &Config) -> bool {
    let local = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    };
    config.get_hostaddrs().iter().all(IpAddr::is_loopback)
        && (config.get_hosts().iter().all(local) || !config.get_hostaddrs().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = include_str!("../../tests/data/ca.pem");

    fn parse(url: &str, ca: Option<&str>) -> Result<Place, OpenError> {
        Place::parse(url, &PostgresOptions { ca: ca.map(str::to_owned), ..PostgresOptions::default() })
    }

    #[test]
    fn only_what_stays_on_this_machine_is_not_encrypted() {
        #[rustfmt::skip]
        let rows = [
            // url                                                       ca     encrypted
            ("postgres://a@localhost/f",                                 false, Some(false)),
            ("postgres://a@127.0.0.1:5433/f?sslmode=disable",            false, Some(false)),
            ("postgresql:///f?user=a&host=/run/postgresql",              false, Some(false)),
            ("postgres://a@localhost/f?sslmode=verify-full",             true,  Some(true)),
            ("postgres://a@localhost/f?sslmode=verify-full",             false, None),
            ("postgres://a@db.example/f",                                true,  Some(true)),
            ("postgres://a@db.example/f",                                false, None),
            ("postgres://a@db.example/f?sslmode=require&user=b",         true,  Some(true)),
            ("postgres://a@db.example/f?sslmode=disable",                true,  None),
            ("postgres://a@db.example/f?sslmode=prefer",                 true,  None),
            ("postgres://a@localhost,db.example/f",                      false, None),
            ("postgres://a@localhost/f?hostaddr=192.0.2.7",              false, None),
            ("postgres://a@db.example/f?hostaddr=127.0.0.1",             false, Some(false)),
            ("postgres://a@localhost/f?sslmode=disable&sslmode=disable", false, None),
        ];
        for (url, ca, encrypted) in rows {
            let place = parse(url, ca.then_some(CA));
            assert_eq!(place.as_ref().ok().map(|place| place.tls.is_some()), encrypted, "{url}: {place:?}");
        }
    }

    #[test]
    fn a_place_that_cannot_be_is_refused_in_words_without_its_password() {
        for (url, word) in [
            ("data/fedplane.db", "postgres://USER@HOST"),
            ("postgres://a:hush@localhost/f?sslmode=prefer", "verify-full"),
            ("postgres://a:hush@localhost:no/f", "cannot be read"),
            ("postgres://a:hush@localhost", "names no database"),
            ("postgres:///f?user=a&password=hush", "names no host"),
            ("postgres://a:hush@db.example/f", "CA file"),
        ] {
            let refused = parse(url, None).unwrap_err().to_string();
            assert!(refused.contains(word) && !refused.contains("hush"), "{url}: {refused}");
        }
        assert!(parse("postgres://a@db.example/f", Some("no certificate")).is_err());
    }

    #[test]
    fn a_password_in_a_url_is_seen() {
        assert!(holds_password("postgres://a:hush@localhost/f"));
        assert!(holds_password("postgres://a@localhost/f?sslmode=verify-full&password=hush"));
        assert!(!holds_password("postgres://a@localhost/f?sslmode=verify-full"));
    }

    #[test]
    fn a_place_is_called_by_host_and_database() {
        let place = parse("postgres://a:hush@127.0.0.1:5433/fleet", None).unwrap();
        assert_eq!(&*place.name, "postgres://127.0.0.1:5433/fleet");
    }
}
