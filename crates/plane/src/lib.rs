//! One use case per command: load, decide, commit, answer. The sweep. The ports they need.
//!
//! Never decides a rule itself: `governance` does. Never opens a connection to an instance.

mod challenges;
mod decision;
pub mod disclosures;
mod enrolments;
pub mod expiry;
mod explain;
pub mod federation;
mod fleet;
pub mod instances;
pub mod news;
mod pace;
mod people;
pub mod ports;
mod proofs;
pub mod publication;
pub mod pulse;
pub mod rejection;
pub mod revocations;
pub mod rollouts;
pub mod servers;
mod split;
pub mod summary;
pub mod sweep;
mod tokens;
pub mod views;
pub mod witnesses;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use arc_swap::ArcSwap;
use governance::horizon::{self, Asks};
use governance::{Digest, RolloutId, Span, Timestamp, World};
use proof::Jws;
use proof::keys::KeysDocument;
use tokio::sync::{Notify, RwLock};
use trust::{Issuer, Signer};

pub use decision::By;
pub use ports::{Clock, Entropy, Store, StoreError};
pub use rejection::{PlaneError, Rejection};

/// How far the clock of a server may be from that of the store.
const CLOCKS_WITHIN: Span = Span::from_millis(10_000);

/// What the operator sets that is no law.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What this server is called among those on the same store: no other is called so at the same time.
    pub server: String,
    /// How often an instance should check in.
    pub check_in_every: Span,
    /// Check-ins a second that all servers together may be asked to hear: a larger fleet checks in less often.
    pub check_ins_per_second: u32,
    /// How long a directive may be followed.
    pub directive_lifetime: Span,
    /// How often a living plane notes that it lives.
    pub pulse_every: Span,
    /// In which time every instance is challenged once (HS-8); zero: none is but by hand.
    pub challenge_every: Span,
    /// How long whoever verifies tokens may rely on a status list before he fetches it again (EN-6).
    pub status_refresh: Span,
    /// How long before something runs out the operators are warned.
    pub warn_before: Span,
    /// Address of the public listener, as `https://HOST:PORT`, under which tokens name their status list.
    pub public: String,
}

/// Everything the Federation holds to govern with: documents and online keys.
pub struct Federation {
    /// The keys document of the folder, opened by the root keys; the one in force may be newer.
    pub keys: KeysDocument,
    /// The same as it was signed.
    pub keys_document: Jws,
    /// The constitution as it was signed.
    pub constitution: Jws,
    /// Certifies instances.
    pub instance_ca: Issuer,
    /// Certified them before, while what it certified may count.
    pub retired_ca: Option<Issuer>,
    /// The root certificate that instances trust, PEM.
    pub bundle: String,
    /// When that runs out.
    pub root_expires: Timestamp,
    /// When the server's certificate does.
    pub server_expires: Timestamp,
    /// Signs directives and decisions.
    pub directives: Signer,
    /// Signs checkpoints.
    pub ledger: Signer,
    /// Signs tokens and status lists.
    pub tokens: Signer,
}

/// The keys document in force (AU-4).
#[derive(Clone, Debug)]
pub struct Keys {
    /// The document.
    pub document: KeysDocument,
    /// The same as it was signed.
    pub signed: Jws,
}

/// The world as last seen, with its revision and digest of the law.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) world: World,
    pub(crate) revision: ports::Revision,
    /// Rises when the world asks something else of instances than before: those of whom it does must be looked at anew.
    pub(crate) epoch: u32,
    /// Whom alone it asks something else than in the epoch before: those whom phases let in, of each rollout behind the first so
    /// many. None: everybody.
    pub(crate) entrants: Option<Vec<(RolloutId, usize)>>,
}

impl Seen {
    pub(crate) const fn constitution(&self) -> Option<Digest> {
        self.world.constitution_digest
    }
}

/// The Federation Plane over one store.
pub struct Plane<S> {
    pub(crate) store: S,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) federation: Federation,
    pub(crate) settings: Settings,
    pub(crate) repository: trust::tuf::Repository,
    pub(crate) world: ArcSwap<Seen>,
    keys: ArcSwap<Keys>,
    latest: AtomicI64,
    pub(crate) challenges: challenges::Challenges,
    pub(crate) fleet: fleet::Fleet,
    pub(crate) leases: servers::Leases,
    /// When every instance was last looked at anew, in milliseconds.
    audited: AtomicI64,
    busy_permille: AtomicU32,
    /// Told when a sweep is wanted at once.
    pub(crate) nudge: Notify,
    pub(crate) news: Arc<news::Newsroom>,
    /// Held to read by whoever decides about an instance, and to write by whoever counts them all: so a rollout is
    /// judged on exactly what the ledger says at that point.
    pub(crate) gate: RwLock<()>,
}

impl<S: Store> Plane<S> {
    /// Takes up a federation: loads the world, and founds it where nothing was decided yet (the ledger's first entries).
    ///
    /// # Errors
    /// When the store does not answer, or holds another federation.
    pub async fn open(
        store: S,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        federation: Federation,
        repository: trust::tuf::Repository,
        settings: Settings,
    ) -> Result<Self, PlaneError> {
        let (world, revision) = store.world_load().await?;
        let keys = federation::keys_in_force(&store, &federation, &world).await?;
        let plane = Self {
            store,
            clock,
            entropy,
            federation,
            settings,
            repository,
            world: ArcSwap::from_pointee(Seen { world, revision, epoch: 1, entrants: None }),
            keys: ArcSwap::from_pointee(keys),
            latest: AtomicI64::new(0),
            challenges: challenges::Challenges::default(),
            fleet: fleet::Fleet::default(),
            leases: servers::Leases::default(),
            audited: AtomicI64::new(i64::MIN),
            busy_permille: AtomicU32::new(0),
            nudge: Notify::new(),
            news: Arc::default(),
            gate: RwLock::new(()),
        };
        if let Some(wrong) = plane.clock_wrong().await? {
            return Err(PlaneError::Unavailable(wrong));
        }
        plane.take_up_time().await?;
        plane.gate_recover().await?;
        // As it is seen by now: another server may have founded it while this one looked.
        if plane.seen().revision == 0 {
            plane.found().await?;
        }
        // Before anything is judged: what could not be heard meanwhile counts against nobody.
        plane.pulse().await?;
        plane.root_take_up().await?;
        Ok(plane)
    }

    /// The keys document in force, before anything is taken up.
    ///
    /// # Errors
    /// When the store does not answer, or the folder's document does not lead to the one in force.
    pub async fn keys_on_record(store: &S, federation: &Federation) -> Result<Keys, PlaneError> {
        let (world, _) = store.world_load().await?;
        federation::keys_in_force(store, federation, &world).await
    }

    /// Goes on from the last decision on record, should the machine's clock have been set back since.
    async fn take_up_time(&self) -> Result<(), PlaneError> {
        if let Some(at) = self.last_decisions().await?.into_iter().max() {
            let ahead = at.since(self.clock.now());
            if ahead > self.seen().world.constitution.request_clock_skew {
                // Going on would hold every deadline against a clock that nobody shares.
                return Err(PlaneError::Unavailable(format!(
                    "the last decision on record was taken at {}, {ahead} ahead of this machine's clock: set the clock right",
                    at
                )));
            }
            self.latest.fetch_max(at.as_millis(), Ordering::AcqRel);
        }
        Ok(())
    }

    /// What this machine's clock shows, whatever stands on record: to hold what others' clocks show against.
    pub fn wall(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether this machine's clock agrees with the store's: a server that does not would
    /// hold instances to deadlines that others do not know, and take its own lateness for an outage. Says so in words where
    /// it does not.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn clock_wrong(&self) -> Result<Option<String>, PlaneError> {
        let before = self.clock.now();
        let Some(there) = self.store.clock_load().await? else { return Ok(None) };
        let here = self.clock.now();
        // It was read between the two.
        let wrong = before.since(there) > CLOCKS_WITHIN || there.since(here) > CLOCKS_WITHIN;
        let told = || {
            format!(
                "this machine's clock shows {here}, and that of the database {there}: set the clock right, at most {CLOCKS_WITHIN} may lie between"
            )
        };
        Ok(wrong.then(told))
    }

    /// The present instant; never before one it gave already.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now().as_millis();
        Timestamp::from_millis(self.latest.fetch_max(now, Ordering::AcqRel).max(now))
    }

    /// Takes in an instant that stands on record, by whoever's clock: from here on none before it is given (LG-1).
    pub(crate) fn heed(&self, decided: Option<Timestamp>) {
        if let Some(decided) = decided {
            self.latest.fetch_max(decided.as_millis(), Ordering::AcqRel);
        }
    }

    /// The world as this server last saw it.
    pub(crate) fn seen(&self) -> Arc<Seen> {
        self.world.load_full()
    }

    pub(crate) fn see(&self, world: World, revision: ports::Revision) {
        let before = self.world.rcu(|current| {
            if current.revision >= revision {
                // Whoever was slow to look does not hide what others saw meanwhile.
                return Arc::clone(current);
            }
            let (epoch, entrants) = match horizon::asks(&current.world, &world) {
                Asks::Nothing => (current.epoch, current.entrants.clone()),
                Asks::OfEntrants(entrants) => (current.epoch + 1, Some(entrants)),
                Asks::OfAll => (current.epoch + 1, None),
            };
            Arc::new(Seen { world: world.clone(), revision, epoch, entrants })
        });
        if before.revision < revision {
            self.news.tell_of_world(&before.world, &self.seen().world);
        }
    }

    /// Goes by the keys document that is in force in this world.
    pub(crate) async fn take_up_keys(&self, world: &World) -> Result<(), PlaneError> {
        if world.keys_serial > self.keys.load().document.serial {
            self.hold(federation::keys_in_force(&self.store, &self.federation, world).await?);
        }
        Ok(())
    }

    /// Goes by a keys document from now on, unless it goes by a newer one already.
    pub(crate) fn hold(&self, keys: Keys) {
        let keys = Arc::new(keys);
        let newer = |held: &Arc<Keys>| held.document.serial < keys.document.serial;
        self.keys.rcu(|held| if newer(held) { keys.clone() } else { held.clone() });
    }

    /// Where those listen who want to hear at once that a check-in may bring something.
    pub const fn news(&self) -> &Arc<news::Newsroom> {
        &self.news
    }

    /// How long those who hear what is not urgent are to spread over.
    pub fn news_spread(&self) -> Span {
        news::spread(self.settings.check_in_every)
    }

    /// Reads the constitution in force.
    pub fn constitution<T>(&self, read: impl FnOnce(&governance::Constitution) -> T) -> T {
        read(&self.seen().world.constitution)
    }

    /// The keys document in force (AU-4).
    pub fn keys(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// What the Federation holds.
    pub const fn federation(&self) -> &Federation {
        &self.federation
    }

    /// The store, for adapters that only read.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The TUF repository this plane publishes.
    pub const fn repository(&self) -> &trust::tuf::Repository {
        &self.repository
    }
}
