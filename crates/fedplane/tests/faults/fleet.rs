//! Instances at work: each makes one version statement after the other, at whichever server answers, and notes what was
//! acknowledged. A statement that was not is sent again as it is, to another server.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{Client, ClientError, SystemSource};
use governance::{Digest, InstanceId, Kind, LayerContent, Tier, Timestamp, Version};
use proof::statement::VersionStatement;
use proof::{Jws, Sign, Typ};
use rustls::pki_types::CertificateDer;
use tokio::task::JoinHandle;
use trust::{RootCa, SigningKey};
use wire::{EnrolmentRequest, Metadata, Register};

/// How long to wait before an unanswered call is made again.
const AGAIN: Duration = Duration::from_millis(20);

/// An instance and what the servers acknowledged of it.
pub(crate) struct Told {
    pub(crate) id: InstanceId,
    /// Digests of its statements, the first in front; what was acknowledged.
    pub(crate) acknowledged: Mutex<Vec<Digest>>,
    /// The one that was sent last, acknowledged or not.
    pub(crate) last: Mutex<Option<Digest>>,
}

/// The instances.
pub(crate) struct Fleet {
    pub(crate) told: Vec<Arc<Told>>,
    works: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    /// Rises when every connection is to be made anew.
    round: Arc<std::sync::atomic::AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

/// A key and the chain that is shown with it.
#[derive(Clone)]
pub(crate) struct Who {
    key: Arc<SigningKey>,
    chain: Vec<CertificateDer<'static>>,
}

impl Who {
    /// The federation's operator.
    pub(crate) fn operator(folder: &Path) -> Self {
        let folder = folder.join("keys/operators");
        let key = SigningKey::load(&folder.join("admin.key")).unwrap();
        let chain = trust::pem::certificates(&fs::read_to_string(folder.join("admin.pem")).unwrap()).unwrap();
        Self { key: Arc::new(key), chain }
    }

    /// A client of the server at this address.
    pub(crate) fn client(&self, at: SocketAddr, root: &RootCa) -> Client {
        let tls = trust::tls::client_config(root, self.chain.clone(), &self.key).unwrap();
        let signer: Arc<dyn Sign + Send + Sync> = Arc::clone(&self.key) as _;
        Client::new(&format!("https://{at}"), tls, signer, Arc::new(SystemSource)).unwrap()
    }
}

pub(crate) fn now() -> Timestamp {
    client::Source::now(&SystemSource)
}

impl Fleet {
    /// Registers so many instances; none of them is at work yet.
    pub(crate) async fn enrol(count: usize, folder: &Path, at: &[SocketAddr], root: &RootCa) -> Self {
        let operator = Who::operator(folder).client(at[0], root);
        let mut fleet = Self {
            told: Vec::new(),
            works: Arc::default(),
            ends: Arc::default(),
            round: Arc::default(),
            tasks: Vec::new(),
        };
        for number in 0..count {
            let request =
                EnrolmentRequest { kind: Kind::SaasShared, tier: Tier::Free, provider: None, labels: vec![] };
            let secret = operator.enrolment_create(&request).await.unwrap().secret;
            let (id, who) = register(secret, at[number % at.len()], root).await;
            let told = Arc::new(Told { id, acknowledged: Mutex::default(), last: Mutex::default() });
            let mut worker = Worker {
                told: Arc::clone(&told),
                who,
                at: at.to_vec(),
                turn: number,
                root: root.clone(),
                clients: Vec::new(),
                round: 0,
            };
            let (works, ends, round) =
                (Arc::clone(&fleet.works), Arc::clone(&fleet.ends), Arc::clone(&fleet.round));
            fleet.tasks.push(tokio::spawn(async move {
                worker.deploy().await;
                while !ends.load(Ordering::Acquire) {
                    worker.reconnect(round.load(Ordering::Acquire));
                    if works.load(Ordering::Acquire) {
                        worker.state().await;
                    } else {
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }));
            fleet.told.push(told);
        }
        fleet
    }

    /// Has them work from now on, or rest.
    pub(crate) fn works(&self, works: bool) {
        self.works.store(works, Ordering::Release);
    }

    /// Every connection is made anew.
    pub(crate) fn reconnect(&self) {
        self.round.fetch_add(1, Ordering::AcqRel);
    }

    /// Statements acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.told.iter().map(|told| told.acknowledged.lock().unwrap().len()).sum()
    }

    /// Lets each finish what it has in hand.
    pub(crate) async fn end(&mut self) {
        self.ends.store(true, Ordering::Release);
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
    }
}

struct Worker {
    told: Arc<Told>,
    who: Who,
    at: Vec<SocketAddr>,
    turn: usize,
    root: RootCa,
    clients: Vec<Client>,
    round: u64,
}

impl Worker {
    fn client(&mut self) -> Client {
        if self.clients.is_empty() {
            self.clients = self.at.iter().map(|at| self.who.client(*at, &self.root)).collect();
        }
        self.clients[self.turn % self.clients.len()].clone()
    }

    fn reconnect(&mut self, round: u64) {
        if round > self.round {
            self.round = round;
            self.clients.clear();
        }
    }

    async fn deploy(&mut self) {
        let id = self.told.id;
        loop {
            let client = self.client();
            match client.ready(id).await {
                Ok(_) => return,
                Err(error) => self.again(&error).await,
            }
        }
    }

    /// Makes the next statement, and sends it until it is acknowledged.
    async fn state(&mut self) {
        let (sequence, previous) = {
            let acknowledged = self.told.acknowledged.lock().unwrap();
            (acknowledged.len() as u64 + 1, acknowledged.last().copied())
        };
        let statement = VersionStatement {
            instance: self.told.id,
            sequence,
            previous,
            at: now(),
            platform: version(),
            runtime: version(),
            layers: layers(),
            domains: vec![],
        };
        let statement = Jws::sign_json(Typ::Statement, &statement, &*self.who.key).unwrap();
        *self.told.last.lock().unwrap() = Some(statement.digest());
        loop {
            let client = self.client();
            match client.report(self.told.id, statement.clone()).await {
                Ok(_) => break,
                Err(error) => self.again(&error).await,
            }
        }
        self.told.acknowledged.lock().unwrap().push(statement.digest());
    }

    /// Goes on to another server, unless the answer was a refusal that stands.
    async fn again(&mut self, error: &ClientError) {
        assert!(!error.is_final(), "{}: {error}", self.told.id);
        self.turn += 1;
        tokio::time::sleep(AGAIN).await;
    }
}

async fn register(secret: String, at: SocketAddr, root: &RootCa) -> (InstanceId, Who) {
    let key = Arc::new(SigningKey::generate().unwrap());
    let chain = vec![trust::tls::self_signed(&key).unwrap()];
    let stranger = Who { key: Arc::clone(&key), chain };
    let request = Register {
        secret,
        csr: trust::ca::make_csr(&key).unwrap(),
        metadata: Metadata {
            platform: version(),
            runtime: version(),
            layers: layers(),
            domains: vec![],
            tier: Tier::Free,
            endpoint: "https://127.0.0.1:9".parse().unwrap(),
        },
    };
    let registered = stranger.client(at, root).register(&request).await.unwrap();
    let chain = trust::pem::certificates(&registered.certificate).unwrap();
    (registered.instance, Who { key, chain })
}

fn version() -> Version {
    Version::new(0, 1, 0)
}

fn layers() -> Vec<LayerContent> {
    vec![LayerContent { id: "ORGANISM-v0.1.0".parse().unwrap(), digest: Digest::of(b"organism") }]
}
