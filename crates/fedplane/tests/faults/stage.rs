//! A database, servers and instances put together; and what must be so in the end, whatever happened.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governance::{Digest, Event, InstanceEvent, InstanceId};
use ledger::Entry;
use tempfile::TempDir;
use trust::RootCa;

use super::cluster::Cluster;
use super::fleet::{Fleet, Who};
use super::servers::{Server, make, program};

/// Instances at work.
const INSTANCES: usize = 12;
/// Entries that are read at once.
const PAGE: u32 = 500;

/// Everything that is on the stage. What falls first stands first: servers before their database.
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) servers: Vec<Server>,
    pub(crate) cluster: Cluster,
    root: RootCa,
    place: TempDir,
}

impl Stage {
    /// So many servers on one database, instances registered and ready.
    pub(crate) async fn set(servers: usize) -> Option<Self> {
        Self::make(servers, false).await
    }

    /// The same, and a second database that takes part in every commit.
    pub(crate) async fn set_with_standby(servers: usize) -> Option<Self> {
        Self::make(servers, true).await
    }

    async fn make(count: usize, has_standby: bool) -> Option<Self> {
        let cluster = Cluster::start(has_standby)?;
        let place = tempfile::tempdir().unwrap();
        let mut servers = make(place.path(), &cluster.url(), count);
        for server in &mut servers {
            server.start().await;
        }
        let folder = servers[0].folder().to_owned();
        let root = fs::read_to_string(folder.join("keys/founder/root-ca.pem")).unwrap();
        let root = RootCa::from_pem(&root).unwrap();
        let at: Vec<_> = servers.iter().map(|server| server.instances).collect();
        let fleet = Fleet::enrol(INSTANCES, &folder, &at, &root).await;
        Some(Self { fleet, servers, cluster, root, place })
    }

    /// Has the instances work for so long.
    pub(crate) async fn work(&mut self, span: Duration) {
        self.fleet.works(true);
        tokio::time::sleep(span).await;
    }

    /// Something was done since: it goes on, and is more than nothing. Then everything is held against the record.
    pub(crate) async fn close(mut self) {
        let before = self.fleet.acknowledged();
        let goes_on = async {
            while self.fleet.acknowledged() < before + INSTANCES {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let served = tokio::time::timeout(Duration::from_secs(60), goes_on).await;
        assert!(served.is_ok(), "instances are not served again: {}", self.servers[0].said());
        self.fleet.end().await;
        let operator = Who::operator(self.servers[0].folder());
        for number in 0..self.servers.len() {
            self.servers[number].stop().await;
            self.servers[number].start().await;
            let client = operator.client(self.servers[number].instances, &self.root);
            self.check(&client).await;
        }
        self.verify();
        for server in &mut self.servers {
            server.stop().await;
        }
        drop(self.place);
    }

    /// Every statement that was acknowledged stands in the ledger, once; nothing else does but what was sent last; and each
    /// instance's record ends with its last one.
    async fn check(&self, operator: &client::Client) {
        let mut stated: BTreeMap<InstanceId, Vec<Digest>> = BTreeMap::new();
        let mut from = 0;
        loop {
            let page = operator.ledger_entries(from, PAGE).await.unwrap();
            if page.entries.is_empty() {
                break;
            }
            from += page.entries.len() as u64;
            for entry in &page.entries {
                let entry = Entry::decode(&STANDARD.decode(entry).unwrap()).unwrap();
                if let Event::Instance(id, InstanceEvent::Reported { head, .. }) = entry.event {
                    stated.entry(id).or_default().push(head.digest);
                }
            }
        }
        for told in &self.fleet.told {
            let acknowledged = told.acknowledged.lock().unwrap().clone();
            let recorded = stated.remove(&told.id).unwrap_or_default();
            let (known, more) = recorded.split_at(acknowledged.len().min(recorded.len()));
            assert_eq!(known, acknowledged, "{}: acknowledged, and on record", told.id);
            let last = *told.last.lock().unwrap();
            assert!(more.is_empty() || more == [last.unwrap()], "{}: {more:?} was never sent", told.id);
            let view = operator.instance(told.id).await.unwrap();
            assert_eq!(view.state, governance::State::Active, "{}", told.id);
        }
        assert!(stated.is_empty(), "nobody else states anything");
    }

    /// The ledger verifies from the root keys alone, and what was published of it is what the database holds.
    fn verify(&self) {
        let folder = self.servers[0].folder();
        let (public, plane) = (self.servers[0].public, self.servers[0].instances);
        let output = Command::new(program())
            .args(["ledger", "verify", "--url", &format!("https://{public}")])
            .args(["--plane", &format!("https://{plane}"), "--federation"])
            .arg(folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    }
}
