//! The servers of a run: each a plane of its own over the tables that all share, with loops, a clock, and a process that dies.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use governance::{InstanceId, Span, Timestamp};
use plane::ports::Pausing;
use plane::publication::{CHECKPOINT, Files, Publisher};
use plane::{Clock, Entropy, Plane, PlaneError, Settings};

use crate::fate::{Dice, Fate, Owner};
use crate::federation::CEREMONY;
use crate::plan::Plan;
use crate::store::{SimStore, Tables};

pub(crate) type SimPlane = Plane<SimStore>;

const MINUTE: i64 = 60_000;

/// A clock that is wrong by as much as it was told.
pub(crate) struct SimClock {
    fate: Arc<Fate>,
    pub(crate) off: AtomicI64,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.fate.now() + Span::from_millis(self.off.load(Ordering::Relaxed))
    }

    fn pause(&self, span: Span) -> Pausing<'_> {
        Box::pin(self.fate.sleep(span.as_millis()))
    }
}

struct SimEntropy(Mutex<Dice>);

impl Entropy for SimEntropy {
    fn bytes(&self) -> [u8; 32] {
        let mut dice = self.0.lock().unwrap();
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&dice.roll().to_be_bytes()));
        bytes
    }
}

/// A server's folder of the ledger's files, which outlives it.
#[derive(Clone)]
pub(crate) struct SimFiles {
    pub(crate) tables: Arc<Tables>,
    pub(crate) files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Files for SimFiles {
    fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        Ok(self.files.lock().unwrap().get(path).cloned())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> std::io::Result<()> {
        if self.tables.fate.happens(|weather| weather.disk) {
            return Err(std::io::Error::other("the disk takes nothing"));
        }
        if path == CHECKPOINT
            && let Err(what) = self.tables.book.check_checkpoint(bytes)
        {
            self.tables.fate.breach(what);
        }
        self.files.lock().unwrap().insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }
}

/// One server: its plane while it lives.
struct Machine {
    clock: Arc<SimClock>,
    plane: Option<Arc<SimPlane>>,
    /// How often it was started.
    starts: u64,
}

/// All servers of a run.
pub(crate) struct Servers {
    pub(crate) fate: Arc<Fate>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) files: Vec<SimFiles>,
    plan: Arc<Plan>,
    /// Where the TUF repository lies.
    pub(crate) folder: PathBuf,
    machines: Mutex<Vec<Machine>>,
    /// Secrets by which instances may enrol afresh, on their way to them.
    letters: Mutex<BTreeMap<InstanceId, String>>,
    seed: u64,
}

/// How the servers of the runs are set.
fn settings(server: usize) -> Settings {
    Settings {
        server: format!("server-{server}"),
        check_ins_per_second: 1_000,
        check_in_every: Span::hours(1),
        directive_lifetime: Span::hours(24),
        pulse_every: Span::from_millis(20 * MINUTE),
        challenge_every: Span::ZERO,
        status_refresh: Span::from_millis(5 * MINUTE),
        warn_before: Span::hours(240),
        public: "https://sim.example:8445".to_owned(),
    }
}

impl Servers {
    pub(crate) fn new(seed: u64, plan: &Arc<Plan>, tables: &Arc<Tables>, folder: PathBuf) -> Arc<Self> {
        let fate = Arc::clone(&tables.fate);
        let machine = |_| Machine {
            clock: Arc::new(SimClock { fate: Arc::clone(&fate), off: AtomicI64::new(0) }),
            plane: None,
            starts: 0,
        };
        let machines = Mutex::new((0..plan.servers).map(machine).collect());
        let files = |_| SimFiles { tables: Arc::clone(tables), files: Arc::default() };
        let files = (0..plan.servers).map(files).collect();
        let (fate, tables, plan) = (Arc::clone(&fate), Arc::clone(tables), Arc::clone(plan));
        let letters = Mutex::default();
        Arc::new(Self { fate, tables, files, plan, folder, machines, letters, seed })
    }

    pub(crate) fn count(&self) -> usize {
        self.machines.lock().unwrap().len()
    }

    /// Hands a secret over to an instance.
    pub(crate) fn post(&self, id: InstanceId, secret: String) {
        self.letters.lock().unwrap().insert(id, secret);
    }

    pub(crate) fn letter(&self, id: InstanceId) -> Option<String> {
        self.letters.lock().unwrap().remove(&id)
    }

    /// The plane of a server, while it lives and serves.
    pub(crate) fn plane(&self, server: usize) -> Option<Arc<SimPlane>> {
        self.machines.lock().unwrap()[server].plane.clone()
    }

    pub(crate) fn set_clock(&self, server: usize, off: i64) {
        self.fate.note(|| format!("the clock of server {server} is off by {off} ms"));
        self.machines.lock().unwrap()[server].clock.off.store(off, Ordering::Relaxed);
    }

    /// The process is gone, and with it all that it knew; another starts after a while.
    pub(crate) fn died(self: &Arc<Self>, server: usize) {
        let gone = self.machines.lock().unwrap()[server].plane.take();
        drop(gone);
        let (servers, pause) = (
            Arc::clone(self),
            self.fate.dice(|dice| match dice.below(4) {
                0 => dice.between(30 * MINUTE, 180 * MINUTE),
                _ => dice.between(100, MINUTE),
            }),
        );
        self.fate.spawn(Owner::Outside, async move {
            servers.fate.sleep(pause).await;
            servers.start(server);
        });
    }

    /// A process starts.
    pub(crate) fn start(self: &Arc<Self>, server: usize) {
        let servers = Arc::clone(self);
        self.fate.spawn(Owner::Server(server), async move { servers.live(server).await });
    }

    async fn live(self: Arc<Self>, server: usize) {
        let plane = loop {
            match self.open(server).await {
                Ok(plane) => break Arc::new(plane),
                Err(PlaneError::Unavailable(why)) => {
                    self.fate.note(|| format!("server {server} does not start: {why}"));
                    let pause = self.fate.dice(|dice| dice.between(MINUTE, 20 * MINUTE));
                    self.fate.sleep(pause).await;
                }
                Err(error) => return self.fate.breach(format!("server {server} does not open: {error}")),
            }
        };
        self.machines.lock().unwrap()[server].plane = Some(Arc::clone(&plane));
        self.fate.note(|| format!("server {server} serves"));
        for turn in Turn::ALL {
            self.begin(server, &plane, *turn);
        }
    }

    async fn open(&self, server: usize) -> Result<SimPlane, PlaneError> {
        let (clock, starts) = {
            let mut machines = self.machines.lock().unwrap();
            let machine = &mut machines[server];
            machine.starts += 1;
            (Arc::clone(&machine.clock), machine.starts)
        };
        let entropy = Dice::new(self.seed ^ (server as u64 + 1) << 32 ^ starts << 40);
        let store = SimStore { tables: Arc::clone(&self.tables), server };
        let entropy = Arc::new(SimEntropy(Mutex::new(entropy)));
        let repository = CEREMONY.repository(&self.folder);
        Plane::open(store, clock, entropy, CEREMONY.federation(), repository, settings(server)).await
    }

    /// A loop of the server: one turn after another, with a pause between.
    fn begin(self: &Arc<Self>, server: usize, plane: &Arc<SimPlane>, turn: Turn) {
        let (servers, plane) = (Arc::clone(self), Arc::clone(plane));
        self.fate.spawn(Owner::Server(server), async move {
            let mut publisher = None;
            loop {
                let busy = servers.plan.is_busy(servers.fate.now());
                let pause = turn.pause(busy);
                let pause = servers.fate.dice(|dice| pause + dice.between(0, pause / 4));
                servers.fate.sleep(pause).await;
                let ended = match turn {
                    Turn::Pulse => plane.pulse().await,
                    Turn::Sweep => plane.sweep().await,
                    Turn::Resign => plane.root_take_up().await,
                    Turn::Beat => plane.beat().await,
                    Turn::Follow => plane.follow().await,
                    Turn::Heard => plane.heard_save().await.map(|_| ()),
                    Turn::Publish => servers.publish(server, &plane, &mut publisher).await,
                };
                match ended {
                    Ok(()) => {}
                    Err(PlaneError::Unavailable(why)) => {
                        servers.fate.note(|| format!("server {server}: {turn:?} failed: {why}"));
                    }
                    Err(error) => servers.fate.breach(format!("server {server}: {turn:?}: {error}")),
                }
            }
        });
    }

    pub(crate) async fn publish(
        &self,
        server: usize,
        plane: &SimPlane,
        publisher: &mut Option<Publisher<SimFiles>>,
    ) -> Result<(), PlaneError> {
        let mut open = match publisher.take() {
            Some(open) => open,
            None => Publisher::open(plane, self.files[server].clone(), None)?,
        };
        let published = open.publish(plane).await;
        *publisher = Some(open);
        published.map(|_| ())
    }
}

/// What a server does without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Pulse,
    Beat,
    Follow,
    Heard,
    Sweep,
    Publish,
    Resign,
}

impl Turn {
    const ALL: &[Self] =
        &[Self::Pulse, Self::Beat, Self::Follow, Self::Heard, Self::Sweep, Self::Publish, Self::Resign];

    /// How long a loop pauses. What would go on every second goes on so while much happens, and rarely else: a run of days has
    /// no steps to spare.
    const fn pause(self, busy: bool) -> i64 {
        match (self, busy) {
            (Self::Follow, true) => 2_000,
            (Self::Beat, true) => 8_000,
            (Self::Follow | Self::Beat, false) => 20 * MINUTE,
            (Self::Pulse, _) => 20 * MINUTE,
            (Self::Sweep, _) => 45 * MINUTE,
            (Self::Heard | Self::Publish, _) => 30 * MINUTE,
            (Self::Resign, _) => 360 * MINUTE,
        }
    }
}
