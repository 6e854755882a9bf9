//! Attacks on the server, in one table: who tries what, what answers, and what records it. Every row runs over real TLS
//! against a running server, and docs/attacks.md is written from the same rows.

mod challenge;
mod identity;
mod orders;
mod paths;
mod people;
mod releases;
mod requests;
mod resources;
mod said;
mod tokens;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::pin::Pin;
use std::time::Duration;

use client::ClientError;
use governance::InstanceId;
use tokio::net::TcpStream;

use crate::common::{Answered, Raw, Who, World};

/// Who attacks, in the words of the threat model.
const NETWORK: &str = "on the network";
const BYTES: &str = "whoever serves packages, metadata or tiles";
const OWNER: &str = "an instance's owner";
const THIEF: &str = "a thief of one instance's key";
const CLONE: &str = "a clone or a restored backup";
const STRANGER: &str = "a client without credentials";
const PROVIDER: &str = "a hostile provider";
const OPERATOR: &str = "a rogue operator";
const ONLINE: &str = "a thief of *all* online keys";
const FEWER: &str = "fewer Organism or Founder keys than the threshold";

/// One attack.
struct Row {
    attack: &'static str,
    by: &'static str,
    rule: &'static str,
    /// What each attempt is answered: `401 nonce-replayed`, or the error of whoever reads.
    answer: &'static str,
    record: Record,
    /// Attacks, and gives the answer to each attempt.
    act: Act,
}

/// What keeps the memory of an attack. Everything else stays as it was.
#[derive(Clone, Copy, Debug)]
enum Record {
    /// The counter of refusals by code.
    Refusal,
    /// The counter of what the listener turned away, by why.
    TurnedAway(&'static str),
    /// The counter of refusals, the ledger, and an escalation about the instance under this rule.
    Escalation(&'static str),
    /// Whoever reads: nobody else hears of it.
    Reader,
}

use Record::{Escalation, Reader, Refusal, TurnedAway};

type Acting<'a> = Pin<Box<dyn Future<Output = Vec<String>> + 'a>>;
type Act = for<'a, 'w> fn(&'a mut Scene<'w>) -> Acting<'a>;

const fn row(
    attack: &'static str,
    by: &'static str,
    rule: &'static str,
    answer: &'static str,
    record: Record,
    act: Act,
) -> Row {
    Row { attack, by, rule, answer, record, act }
}

/// The surfaces as the page has them: heading, the test that runs the rows, the rows.
const SURFACES: &[(&str, &str, &[&[Row]])] = &[
    ("Requests (HS-6)", requests::TEST, &[requests::ROWS]),
    ("Paths and names", paths::TEST, &[paths::ROWS]),
    ("Identity and enrolment (HS-1, HS-2)", identity::TEST, &[identity::ROWS, identity::EXPIRING]),
    ("Operators and roles (AU-1, ID-3)", people::TEST, &[people::ROWS]),
    ("Orders (FO-1)", orders::TEST, &[orders::ROWS, orders::THRESHOLD]),
    ("Tokens (EN-4, EN-5, EN-6)", tokens::TEST, &[tokens::ROWS]),
    ("Releases by TUF (RL-3)", releases::TEST, &[releases::ROWS]),
    ("Network and resources (HS-7)", resources::TEST, &[resources::ROWS, resources::FEW, resources::STRICT]),
    ("Challenge (HS-8)", challenge::TEST, &[challenge::ROWS]),
];

/// One attack under way.
struct Scene<'w> {
    world: &'w mut World,
    before: Seen,
    /// Connections that stay open until all was looked at.
    open: Vec<TcpStream>,
}

/// What the world shows of itself.
#[derive(Debug)]
struct Seen {
    counters: BTreeMap<String, u64>,
    ledger: u64,
    escalations: Vec<(String, String)>,
}

async fn metrics(world: &World) -> String {
    let http = world.http(trust::tls::anonymous_client_config(&world.root).unwrap());
    let url = format!("http://{}/metrics", world.at().metrics);
    Answered::read(http.get(url).send().await.unwrap()).await.text()
}

impl Seen {
    async fn now(world: &World) -> Self {
        let text = metrics(world).await;
        let counted = |line: &&str| {
            line.starts_with("fedplane_refusals_total{") || line.starts_with("fedplane_turned_away_total{")
        };
        let counters = text.lines().filter(counted).filter_map(|line| {
            let (name, count) = line.rsplit_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        });
        // Behind the API, which has limits of its own.
        let plane = world.plane();
        let escalations = plane.escalation_list().await.unwrap();
        Self {
            counters: counters.collect(),
            ledger: plane.overview().await.unwrap().ledger,
            escalations: escalations.into_iter().map(|open| (open.rule, open.subject)).collect(),
        }
    }

    /// The counters that rose since, and by how much.
    fn rose(&self, before: &Self) -> BTreeMap<String, u64> {
        let rise = |(name, count): (&String, &u64)| {
            let rise = count - before.counters.get(name).copied().unwrap_or(0);
            (rise > 0).then(|| (name.clone(), rise))
        };
        self.counters.iter().filter_map(rise).collect()
    }
}

impl Scene<'_> {
    /// From now on it counts: whatever was prepared is done.
    async fn begins(&mut self) {
        self.before = Seen::now(self.world).await;
    }

    /// An active instance, and from now on it counts.
    async fn victim(&mut self) -> (InstanceId, Who) {
        let victim = self.world.active().await;
        self.begins().await;
        victim
    }

    /// Sends a request as this peer.
    async fn send(&self, raw: Raw, who: &Who) -> String {
        told(&raw.send(self.world, who).await)
    }
}

/// A call of an instance.
fn call(id: InstanceId, call: &str) -> Raw {
    Raw::post(format!("/v1/instances/{id}/{call}"), "{}")
}

/// An answer in a word: status, and code where it is a refusal.
fn told(answered: &Answered) -> String {
    let problem = serde_json::from_slice::<wire::Problem>(&answered.body);
    match problem {
        Ok(problem) => format!("{} {}", answered.status, problem.code),
        Err(_) => answered.status.to_string(),
    }
}

/// The same of a call that the client made.
fn outcome<T>(result: Result<T, ClientError>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => {
            let told = error.problem().map(|problem| format!("{} {}", problem.status, problem.code));
            told.unwrap_or_else(|| error.to_string())
        }
    }
}

impl Record {
    /// The counters that must rise by one for each attempt.
    fn counter(self, answer: &str) -> Option<String> {
        match self {
            Self::Reader => None,
            Self::TurnedAway(why) => {
                Some(format!("fedplane_turned_away_total{{listener=\"instances\",why=\"{why}\"}}"))
            }
            Self::Refusal | Self::Escalation(_) => {
                let (_, code) = answer.split_once(' ').unwrap();
                Some(format!("fedplane_refusals_total{{code=\"{code}\"}}"))
            }
        }
    }

    /// For the page.
    fn shown(self, answer: &str) -> String {
        match (self, self.counter(answer)) {
            (Self::Escalation(rule), _) => format!("ledger entry and escalation {rule}; the counter"),
            (_, Some(counter)) => format!("`{counter}`"),
            (_, None) => "the reader's error".to_owned(),
        }
    }

    /// What is wrong with what an attack left behind.
    async fn fault(self, row: &Row, attempts: usize, scene: &Scene<'_>) -> Option<String> {
        let wanted: BTreeMap<String, u64> =
            self.counter(row.answer).into_iter().map(|name| (name, attempts as u64)).collect();
        let mut seen = Seen::now(scene.world).await;
        // A listener counts once the connection has ended, which its peer may notice before.
        for _ in 0..500 {
            if seen.rose(&scene.before) == wanted {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            seen = Seen::now(scene.world).await;
        }
        let rose = seen.rose(&scene.before);
        if rose != wanted {
            return Some(format!("counted {rose:?}, not {wanted:?}"));
        }
        let news: Vec<_> =
            seen.escalations.iter().filter(|one| !scene.before.escalations.contains(one)).collect();
        match self {
            Self::Escalation(rule) => {
                let escalated = news.len() == 1 && news.iter().all(|(found, _)| found == rule);
                let so = escalated && seen.ledger > scene.before.ledger;
                (!so).then(|| format!("escalated {news:?}, ledger {} → {}", scene.before.ledger, seen.ledger))
            }
            _ if seen.ledger != scene.before.ledger || !news.is_empty() => {
                Some(format!("ledger {} → {}, escalated {news:?}", scene.before.ledger, seen.ledger))
            }
            _ => None,
        }
    }
}

/// Runs the rows one after another against one server: each is answered and recorded as it says, and the whole record is
/// lawful afterwards.
async fn check(world: &mut World, rows: &[Row]) {
    // The first sweep counts the fleet: what it writes is nobody's attack.
    while !metrics(world).await.contains("fedplane_background_runs_total{task=\"sweep\",outcome=\"done\"}") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut faults = Vec::new();
    for row in rows {
        let before = Seen::now(world).await;
        let mut scene = Scene { world: &mut *world, before, open: Vec::new() };
        let answers = (row.act)(&mut scene).await;
        if answers.is_empty() || answers.iter().any(|answer| answer != row.answer) {
            faults.push(format!("{}: {answers:?}, not {}", row.attack, row.answer));
        }
        let fault = row.record.fault(row, answers.len(), &scene).await;
        faults.extend(fault.map(|fault| format!("{}: {fault}", row.attack)));
    }
    assert!(faults.is_empty(), "{faults:#?}");
    world.lawful().await;
}

/// A server that tires of nobody.
async fn patient() -> World {
    World::start_with(|law, settings| {
        (law.rate_address, law.rate_instance) = (1_000_000, 1_000_000);
        settings.pace.sweep_every = governance::Span::hours(1);
    })
    .await
}

/// The rows of a surface as lines of the page.
fn lines(test: &str, sets: &[&[Row]]) -> Vec<String> {
    let line = |row: &Row| {
        let answer = match row.answer.split_once(' ') {
            Some((status, code)) => format!("{status} `{code}`"),
            None if row.answer.contains("::") => format!("`{}`", row.answer),
            None => row.answer.to_owned(),
        };
        let Row { attack, by, rule, .. } = row;
        let record = row.record.shown(row.answer);
        format!("| {attack} | {by} | {answer} | {rule} | {record} | `server::{test}` |")
    };
    sets.iter().flat_map(|rows| rows.iter().map(line)).collect()
}

/// The page says what the tables say: the rows that run here stand below their heading, before those of other crates.
#[test]
fn the_page_has_every_attack_on_the_server() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/attacks.md");
    let found = std::fs::read_to_string(&page).unwrap();
    let own: Vec<String> = SURFACES.iter().map(|(_, test, _)| format!("| `server::{test}` |")).collect();
    let mut wanted = String::new();
    for line in found.lines().filter(|line| !own.iter().any(|test| line.ends_with(test))) {
        writeln!(wanted, "{line}").unwrap();
        let surface = SURFACES.iter().find(|(heading, ..)| line.starts_with(&format!("| **{heading}** |")));
        for line in surface.into_iter().flat_map(|(_, test, sets)| lines(test, sets)) {
            writeln!(wanted, "{line}").unwrap();
        }
    }
    for (heading, ..) in SURFACES {
        assert!(
            found.contains(&format!("\n| **{heading}** |")),
            "docs/attacks.md lacks the surface {heading}"
        );
    }
    if found != wanted {
        std::fs::write(&page, wanted).unwrap();
        panic!("docs/attacks.md was behind the tables; it is written anew: look at it, and run again");
    }
}
