//! One run: a federation is founded, things go wrong, things go right again, and what must hold is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use governance::{Kind, Span, Tier};
use plane::publication::CHECKPOINT;
use store::MemoryStore;
use wire::EnrolmentRequest;

use crate::book::Book;
use crate::fate::{Fate, Owner, Stage, Weather};
use crate::federation::{CEREMONY, operator, start};
use crate::instances::Device;
use crate::people::{People, enter};
use crate::plan::Plan;
use crate::servers::{Servers, SimPlane};
use crate::store::{Mutant, Tables};

/// How long after everything has gone right whoever has something to do may take for it.
const REST_WITHIN: Span = Span::hours(96);
/// Sweeps after which nothing may be due any more.
const SWEEPS_MAX: usize = 4;

/// Rounds after which every server shows the whole log.
const SHOWN_WITHIN: usize = 4;

/// How long a server that is away is waited for: so many looks, with so many milliseconds between.
const LOOKS_MAX: usize = 48;
const LOOK_EVERY: i64 = 600_000;

/// How closely a run is looked at; it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    Nothing,
    Last,
    Everything,
}

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) breach: Option<String>,
    pub(crate) lines: Vec<String>,
    pub(crate) print: u64,
    pub(crate) size: u64,
    pub(crate) steps: u64,
    pub(crate) rules: BTreeMap<String, u64>,
}

/// Plays a seed.
pub(crate) fn run(seed: u64, mutant: Mutant, watch: Watch) -> Outcome {
    let plan = Arc::new(Plan::of(seed));
    let fate = Fate::new(seed, start(), (watch != Watch::Nothing, watch == Watch::Everything));
    fate.note(|| format!("{plan:?}"));
    let folder = CEREMONY.folder();
    let tables = Arc::new(Tables {
        memory: MemoryStore::new(),
        book: Book::new(CEREMONY.verifier()),
        fate: Arc::clone(&fate),
        mutant,
    });
    let servers = Servers::new(seed, &plan, &tables, folder.path().to_path_buf());
    let mut stage = Stage::new(&fate);
    for server in 0..plan.servers {
        servers.start(server);
    }
    enter(&servers, &plan, People::new(seed, &servers, &plan));
    let resting: Vec<Arc<AtomicBool>> = (0..plan.instances).map(|_| Arc::default()).collect();
    for (number, rests) in resting.iter().enumerate() {
        let device = Device::new(seed, number as u64, &servers, &plan);
        fate.spawn(Owner::Outside, device.live(Arc::clone(rests)));
    }

    fate.turn_weather(plan.weather);
    let died = |server| servers.died(server);
    stage.run(|| fate.now() >= plan.calm, died);
    fate.note(|| "from now on nothing goes wrong".to_owned());
    fate.turn_weather(Weather::default());
    let rests = |rests: &Arc<AtomicBool>| rests.load(Ordering::Relaxed);
    let late = plan.calm + REST_WITHIN;
    stage.run(|| resting.iter().all(rests) || fate.now() >= late, died);
    let restless: Vec<usize> =
        resting.iter().enumerate().filter(|(_, one)| !rests(one)).map(|(number, _)| number).collect();
    if !restless.is_empty() && fate.breached().is_none() {
        fate.breach(format!(
            "nothing goes wrong since {REST_WITHIN}, and instances {restless:?} are not at rest"
        ));
    }
    settle(&mut stage, &servers);
    drop(stage);
    Outcome {
        breach: fate.breached(),
        lines: fate.last_lines(),
        print: fate.print(),
        size: tables.book.size(),
        steps: fate.steps(),
        rules: tables.book.rules(),
    }
}

/// Everything due is done, and then nothing is; every server knows what is in force; the log ends under a checkpoint.
fn settle(stage: &mut Stage, servers: &Arc<Servers>) {
    let fate = Arc::clone(&servers.fate);
    let done = Arc::new(AtomicBool::new(false));
    let (ends, all) = (Arc::clone(&done), Arc::clone(servers));
    fate.spawn(Owner::Outside, async move {
        if let Err(what) = last_look(&all).await {
            all.fate.breach(what);
        }
        ends.store(true, Ordering::Relaxed);
    });
    stage.run(|| done.load(Ordering::Relaxed), |server| servers.died(server));
}

/// The planes of all servers, the last of which may still be about to start.
async fn all_there(servers: &Arc<Servers>) -> Result<Vec<Arc<SimPlane>>, String> {
    for _ in 0..LOOKS_MAX {
        let there: Vec<_> = (0..servers.count()).filter_map(|server| servers.plane(server)).collect();
        if there.len() == servers.count() {
            return Ok(there);
        }
        servers.fate.sleep(LOOK_EVERY).await;
    }
    Err("a server does not come back".to_owned())
}

async fn last_look(servers: &Arc<Servers>) -> Result<(), String> {
    let planes = all_there(servers).await?;
    let book = &servers.tables.book;
    let first = planes.first().ok_or("no server")?;
    let mut sweeps = 0;
    loop {
        let before = book.size();
        first.sweep().await.map_err(|error| format!("the last sweep: {error}"))?;
        if book.size() == before {
            break;
        }
        sweeps += 1;
        if sweeps == SWEEPS_MAX {
            return Err(format!("after {SWEEPS_MAX} sweeps something is still due"));
        }
    }
    for (server, plane) in planes.iter().enumerate() {
        // Whoever decides learns what the others decided.
        let request =
            EnrolmentRequest { kind: Kind::SaasShared, tier: Tier::Free, provider: None, labels: vec![] };
        let decided = plane.enrolment_create(&operator("admin"), request).await;
        decided.map_err(|error| format!("server {server} decides nothing any more: {error}"))?;
        let (held, serial) = (plane.keys().document.serial, book.world(|world| world.keys_serial));
        if held != serial {
            return Err(format!("server {server} goes by keys document {held}, and {serial} is in force"));
        }
    }
    show_all(servers, &planes).await
}

/// Some server signs the whole log, and every other shows the same.
async fn show_all(servers: &Arc<Servers>, planes: &[Arc<SimPlane>]) -> Result<(), String> {
    let mut publishers: Vec<_> = planes.iter().map(|_| None).collect();
    for _ in 0..SHOWN_WITHIN {
        for (server, (plane, publisher)) in planes.iter().zip(&mut publishers).enumerate() {
            let published = servers.publish(server, plane, publisher).await;
            published.map_err(|error| format!("the last checkpoint of server {server}: {error}"))?;
        }
        // For longer than a lease stands still.
        servers.fate.sleep(11_000).await;
    }
    for (server, files) in servers.files.iter().enumerate() {
        let checkpoint = files.files.lock().unwrap().get(CHECKPOINT).cloned();
        let checkpoint = checkpoint.ok_or_else(|| format!("server {server} never showed a checkpoint"))?;
        servers.tables.book.finish(&checkpoint).map_err(|error| format!("server {server}: {error}"))?;
    }
    Ok(())
}
