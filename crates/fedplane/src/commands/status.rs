//! `status`: the federation on one screen.
//!
//! Never shows what the caller's role may not read: it is left out then, and the rest is shown.

use std::collections::BTreeMap;
use std::ops::Range;

use clap::Args;
use client::{Client, ClientError};
use governance::rollout::RolloutStatus;
use governance::{Span, Timestamp, Version, World};
use ledger::{Entry, SignedCheckpoint};
use serde::Serialize;
use wire::{EscalationView, Federation, PhaseView, Renewer, RolloutView};

use super::ledger::decoded;
use crate::connect::{ConnectArgs, folder_settings};
use crate::output::Ink;
use crate::table::Column;
use crate::{Failure, Output, clock};

/// The status of an answer to somebody whose role may not ask.
const FORBIDDEN: u16 = 403;
/// Rollouts shown; `rollout list` has all.
const ROLLOUTS_MAX: usize = 10;
/// How long a checkpoint may be behind the entries before that is worth a word: it is published twice a second.
const BEHIND_LONG: Span = Span::from_millis(30_000);
/// Milliseconds of a minute.
const MINUTE: i64 = 60_000;

/// The federation on one screen: servers, states, rollouts, what waits, the ledger, what runs out.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    connect: ConnectArgs,
}

/// The federation on one screen.
#[derive(Debug, Serialize)]
struct Status {
    /// States, ledger, law, red switch, and what runs out.
    #[serde(flatten)]
    federation: Federation,
    /// When it was asked.
    at: Timestamp,
    /// The server of the folder's settings, where it runs on this machine.
    server: Option<Server>,
    /// Rollouts that are open, the newest first.
    rollouts: Option<Vec<Open>>,
    /// What lies before the Founder.
    escalations: Option<Waiting>,
    /// What is published of the ledger.
    checkpoint: Option<Published>,
}

/// What a server says of itself.
#[derive(Debug, Serialize)]
struct Server {
    ready: bool,
    /// What it cannot do.
    failed: Vec<String>,
}

/// An open rollout.
#[derive(Debug, Serialize)]
struct Open {
    release: Version,
    class: String,
    phase: String,
    /// Of a hundred that the open phase added, so many have finished.
    percent: Option<u64>,
    finished: u64,
    failed: u64,
    /// How long its phase runs on, if time alone is in question; nothing where the caller may not know or it has no length.
    left: Option<Span>,
    holding: Option<String>,
}

/// Escalations that no order resolved.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Waiting {
    waiting: usize,
    /// Of those, so many that nobody has in hand.
    unacknowledged: usize,
}

/// The checkpoint that is shown.
#[derive(Debug, Serialize)]
struct Published {
    size: u64,
    /// When the first entry that it does not cover was decided.
    behind_since: Option<Timestamp>,
}

/// `fedplane status`.
///
/// # Errors
/// When the plane refuses or cannot be reached.
pub async fn run(args: StatusArgs, out: &Output) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let status = Status {
        federation: client.federation().await?,
        at: clock::now(),
        server: server(&args.connect).await,
        rollouts: rollouts(&client).await?,
        escalations: allowed(client.escalations().await)?.map(|page| waiting(&page.items)),
        checkpoint: checkpoint(&client).await?,
    };
    out.show_inked(&status, || shown(&status, out), ink)
}

/// The answer, unless the caller's role may not have it.
fn allowed<T>(answer: Result<T, ClientError>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ClientError::Refused { problem, .. }) if problem.status == FORBIDDEN => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The server of the folder, if there is one on this machine.
async fn server(connect: &ConnectArgs) -> Option<Server> {
    let settings = folder_settings(&connect.folder()).ok().filter(|_| connect.url.is_none())?;
    let told = client::readiness(settings.listen.metrics).await.ok()?;
    let failed = told.told.lines().filter_map(|line| line.strip_suffix(": failed")).map(str::to_owned);
    Some(Server { ready: told.ready, failed: failed.collect() })
}

async fn rollouts(client: &Client) -> Result<Option<Vec<Open>>, Failure> {
    let Some(page) = allowed(client.rollouts().await)? else { return Ok(None) };
    let is_open = |view: &&RolloutView| {
        use RolloutStatus::{Aborted, Done, Halted, Superseded, Withdrawn};
        [Done, Halted, Aborted, Withdrawn, Superseded].iter().all(|status| view.phase != status.as_str())
    };
    let mut open: Vec<&RolloutView> = page.items.iter().filter(is_open).collect();
    open.sort_by_key(|view| std::cmp::Reverse(view.opened));
    // The record is asked for only where there is something to say of it.
    let world = if open.is_empty() { None } else { allowed(client.record_of_the_world().await)? };
    let now = clock::now();
    Ok(Some(open.into_iter().map(|view| opened(view, world.as_ref(), now)).collect()))
}

fn opened(view: &RolloutView, world: Option<&World>, now: Timestamp) -> Open {
    let phase = view.phases.last();
    let left = world.and_then(|world| {
        let rollout = world.rollouts.iter().find(|rollout| rollout.id == view.id)?;
        let left = rollout.phase()?.duration? - world.phase_time(rollout, now);
        (rollout.status == RolloutStatus::Running && left > Span::from_millis(0)).then_some(left)
    });
    Open {
        release: view.release,
        class: view.class.clone(),
        phase: view.phase.clone(),
        percent: phase.and_then(percent),
        finished: phase.map_or(0, |phase| phase.finished),
        failed: phase.map_or(0, |phase| phase.failed),
        left,
        holding: view.holding.clone(),
    }
}

fn percent(phase: &PhaseView) -> Option<u64> {
    phase.finished.saturating_mul(100).checked_div(phase.added).map(|percent| percent.min(100))
}

fn waiting(items: &[EscalationView]) -> Waiting {
    let unacknowledged = items.iter().filter(|view| view.acknowledged.is_none()).count();
    Waiting { waiting: items.len(), unacknowledged }
}

async fn checkpoint(client: &Client) -> Result<Option<Published>, Failure> {
    let text = match client.ledger_checkpoint().await {
        Ok(text) => text,
        // None is published yet, or not to this caller.
        Err(ClientError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Ok(signed) = SignedCheckpoint::parse(text.as_bytes()) else { return Ok(None) };
    let size = signed.unverified().head().size;
    let next = allowed(client.ledger_entries(size, 1).await)?;
    let next =
        next.map(|page| decoded(&page.entries)).transpose()?.and_then(|entries| entries.into_iter().next());
    let behind_since = next.and_then(|bytes| Entry::decode(&bytes).ok()).map(|entry| entry.at);
    Ok(Some(Published { size, behind_since }))
}

fn shown(status: &Status, out: &Output) -> String {
    let Status { federation, at, server, rollouts, escalations, checkpoint } = status;
    let states: BTreeMap<String, u64> =
        federation.states.iter().map(|(state, number)| (state.to_string(), *number)).collect();
    let total: u64 = states.values().sum();
    let law = federation.constitution.map_or_else(|| "-".to_owned(), |digest| digest.to_string());
    let mut pairs = vec![("federation", federation.trust_domain.clone())];
    if let Some(server) = server {
        pairs.push(("server", server_line(server)));
    }
    pairs.extend([
        ("instances", total.to_string()),
        ("red switch", if federation.red_switch { "on" } else { "off" }.to_owned()),
    ]);
    if let Some(waiting) = escalations {
        pairs.push(("escalations", waiting_line(waiting)));
    }
    pairs.extend([
        ("ledger entries", federation.ledger.to_string()),
        ("checkpoint", checkpoint.as_ref().map_or_else(|| "none yet".to_owned(), |one| covers(one, *at))),
        ("constitution", law),
    ]);
    let rows = states.into_iter().map(|(state, number)| vec![state, number.to_string()]);
    let states = out.table(&[Column::new("state"), Column::number("instances")], rows);
    let rollouts = rollouts.as_deref().map_or_else(String::new, |rollouts| rollout_table(rollouts, out));
    Output::parts(&[Output::pairs(&pairs), states, rollouts, expiry(federation, out)])
}

fn server_line(server: &Server) -> String {
    match (server.ready, server.failed.as_slice()) {
        (true, _) => "ready".to_owned(),
        (false, []) => "not ready".to_owned(),
        (false, failed) => format!("not ready: {}", failed.join(", ")),
    }
}

fn waiting_line(waiting: &Waiting) -> String {
    match *waiting {
        Waiting { waiting: 0, .. } => "none".to_owned(),
        Waiting { waiting, unacknowledged: 0 } => format!("{waiting}, all in hand"),
        Waiting { waiting, unacknowledged } => {
            format!("{waiting}, of which {unacknowledged} in nobody's hand (`fedplane escalation list`)")
        }
    }
}

fn covers(checkpoint: &Published, at: Timestamp) -> String {
    match checkpoint.behind_since {
        None => format!("covers all {}", checkpoint.size),
        Some(since) if at.since(since) < BEHIND_LONG => {
            format!("covers {}, newer ones follow", checkpoint.size)
        }
        Some(since) => format!("covers {}, behind for {}", checkpoint.size, length(at.since(since))),
    }
}

fn rollout_table(rollouts: &[Open], out: &Output) -> String {
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let row = |open: &Open| {
        vec![
            open.release.to_string(),
            open.class.clone(),
            open.phase.clone(),
            or_none(open.percent.map(|percent| format!("{percent} %"))),
            open.failed.to_string(),
            or_none(open.left.map(length)),
            or_none(open.holding.clone()),
        ]
    };
    let header = [
        Column::new("rollout"),
        Column::new("class").spare(1),
        Column::new("phase"),
        Column::number("finished"),
        Column::number("failed"),
        Column::number("time left"),
        Column::text("holding for"),
    ];
    let table = out.table(&header, rollouts.iter().take(ROLLOUTS_MAX).map(row));
    match rollouts.len().saturating_sub(ROLLOUTS_MAX) {
        0 => table,
        more => format!("{table}\n{more} more: `fedplane rollout list`"),
    }
}

fn expiry(federation: &Federation, out: &Output) -> String {
    let soon = federation.expires.iter().filter(|one| one.soon);
    let soon: Vec<Vec<String>> = soon
        .map(|one| vec![one.what.clone(), out.time(one.at), one.by.as_str().to_owned(), one.renew.clone()])
        .collect();
    if soon.is_empty() {
        let next = federation.expires.iter().find(|one| one.by != Renewer::Plane);
        return next
            .map(|one| format!("Next to be renewed: {}, until {}.", one.what, one.at))
            .unwrap_or_default();
    }
    let header =
        [Column::text("runs out"), Column::new("at"), Column::new("renewed by"), Column::text("how")];
    out.table(&header, soon)
}

/// A length to the minute, and below that to the second.
fn length(span: Span) -> String {
    let millis = span.as_millis().max(0);
    let to = if millis >= MINUTE { MINUTE } else { 1_000 };
    Span::from_millis(millis / to * to).to_string()
}

/// What wants to be seen first.
fn ink(line: &str) -> Option<(Range<usize>, Ink)> {
    let (name, value) = line.split_once("  ")?;
    let value = value.trim_start();
    let range = line.len() - value.len()..line.len();
    let ink = match (name, value) {
        ("red switch", "on") => Ink::Red,
        ("server", "ready") => Ink::Green,
        ("server", _) => Ink::Red,
        ("escalations", value) if value != "none" => Ink::Yellow,
        ("checkpoint", value) if value.contains("behind for") => Ink::Yellow,
        ("federation", _) => Ink::Bold,
        _ => return None,
    };
    Some((range, ink))
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::rollout::{OpenPhase, Stop};
    use governance::{Class, Phase, Restriction, Rollout, RolloutId, Share, State};

    fn status() -> Status {
        let at = Timestamp::from_millis(1_800_000_000_000);
        let open = Open {
            release: Version::new(0, 1, 2),
            class: "minor".to_owned(),
            phase: "canary".to_owned(),
            percent: Some(50),
            finished: 2,
            failed: 1,
            left: Some(Span::from_millis(3 * 3_600_000 + 59_999)),
            holding: None,
        };
        let federation = Federation {
            trust_domain: "test.internal".to_owned(),
            states: BTreeMap::from([(State::Active, 3), (State::Suspended, 1)]),
            ledger: 45,
            constitution: None,
            red_switch: true,
            expires: Vec::new(),
        };
        Status {
            federation,
            at,
            server: Some(Server { ready: false, failed: vec!["fleet".to_owned()] }),
            rollouts: Some(vec![open]),
            escalations: Some(Waiting { waiting: 2, unacknowledged: 1 }),
            checkpoint: Some(Published { size: 44, behind_since: Some(at - Span::from_millis(94_200)) }),
        }
    }

    #[test]
    fn one_screen_says_what_stands_how_and_what_waits() {
        let (out, captured) = Output::captured(false);
        let status = status();
        out.show_inked(&status, || shown(&status, &out), ink).unwrap();
        let text = captured.text();
        for line in [
            "server          not ready: fleet",
            "instances       4",
            "red switch      on",
            "escalations     2, of which 1 in nobody's hand",
            "ledger entries  45",
            "checkpoint      covers 44, behind for 1m",
            "0.1.2    minor  canary      50 %       1         3h  -",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(text.lines().count() < 24, "{text}");
        // Somebody who may read less is shown less.
        let less = Status { rollouts: None, escalations: None, server: None, checkpoint: None, ..status };
        let text = shown(&less, &out);
        assert!(
            !text.contains("escalations") && !text.contains("server") && text.contains("none yet"),
            "{text}"
        );
        let value = serde_json::to_value(&less).unwrap();
        assert_eq!(
            (value["trust_domain"].as_str(), value["states"]["active"].as_u64()),
            (Some("test.internal"), Some(3))
        );
    }

    #[test]
    fn what_is_wrong_stands_out() {
        for (line, part, expected) in [
            ("red switch      on", "on", Some(Ink::Red)),
            ("red switch      off", "", None),
            ("server          ready", "ready", Some(Ink::Green)),
            ("server          not ready", "not ready", Some(Ink::Red)),
            ("escalations     none", "", None),
            ("escalations     1, all in hand", "1, all in hand", Some(Ink::Yellow)),
            ("active          3", "", None),
        ] {
            let found = ink(line);
            assert_eq!(found.clone().map(|(_, ink)| ink), expected, "{line}");
            assert_eq!(found.map_or("", |(range, _)| &line[range]), part, "{line}");
        }
    }

    #[test]
    fn ro_6_the_time_left_is_the_phases_less_its_stops_and_known_to_readers_alone() {
        let hours = |hours: i64| Timestamp::from_millis(1_800_000_000_000) + Span::hours(hours);
        let open = OpenPhase {
            phase: Phase::Canary,
            opened: hours(0),
            eligible: 20,
            cohort: 1,
            cutoffs: Vec::new(),
            duration: Some(Span::hours(24)),
            failure_bound: Share::from_millionths(0),
            evidence: Share::from_millionths(0),
        };
        let id = RolloutId::from_random([7; 16]);
        let rollout = Rollout {
            id,
            release: Version::new(0, 1, 2),
            class: Class::Minor,
            restriction: Restriction::default(),
            approval: Vec::new(),
            approved: Vec::new(),
            opened: hours(0),
            status: RolloutStatus::Running,
            phases: vec![open],
            stops: vec![Stop { from: hours(1), until: Some(hours(3)) }],
            paused: None,
            holding: None,
            counting_since: hours(0),
            escalations: Vec::new(),
        };
        let view = RolloutView {
            id,
            release: rollout.release,
            class: "minor".to_owned(),
            phase: "canary".to_owned(),
            holding: None,
            opened: hours(0),
            phases: Vec::new(),
            offered: 0,
            installed: 0,
            failed: 0,
            rolled_back: 0,
        };
        let world = World { rollouts: vec![rollout], ..World::default() };
        let left = |world: Option<&World>, now: i64| opened(&view, world, hours(now)).left;
        assert_eq!(left(Some(&world), 5), Some(Span::hours(21)));
        assert_eq!(left(Some(&world), 26), None, "its time is up: evidence is what it waits for");
        assert_eq!(left(None, 5), None);
    }

    #[test]
    fn a_share_is_of_what_the_phase_added() {
        let phase = |added, finished| PhaseView {
            phase: Phase::Canary,
            opened: Timestamp::from_millis(0),
            eligible: 9,
            cohort: 9,
            added,
            finished,
            failed: 0,
        };
        for (added, finished, expected) in [(0, 0, None), (4, 1, Some(25)), (4, 9, Some(100))] {
            assert_eq!(percent(&phase(added, finished)), expected);
        }
        assert_eq!(length(Span::from_millis(-5)), "0s");
    }
}
