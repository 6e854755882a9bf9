//! A database, servers and instances put together; and what must be so in the end, whatever happened.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governance::{Digest, Event, InstanceEvent, InstanceId};
use ledger::Entry;
use tempfile::TempDir;
use trust::RootCa;

use super::cluster::{Cluster, say};
use super::fleet::{Fleet, Who};
use super::relay::Relay;
use super::servers::{Server, make, program};

/// Instances at work.
const INSTANCES: usize = 12;
/// Entries that are read at once.
const PAGE: u32 = 500;

/// A disk of its own, in memory.
struct Disk(TempDir);

impl Disk {
    /// Mounts one; none where that is not allowed.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(folder)),
            other => {
                say(&format!("skipped: no file system can be mounted here: {other:?}"));
                None
            }
        }
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self, full: bool) {
        let ballast = self.0.path().join("ballast");
        if full {
            let mut file = fs::File::create(ballast).unwrap();
            // Until not a byte more goes in.
            while std::io::Write::write_all(&mut file, &[0; 4_096]).is_ok() {}
        } else {
            fs::remove_file(ballast).unwrap();
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{:?} stays mounted", self.0.path());
    }
}

/// Everything that is on the stage. What falls first stands first: servers before their database.
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) servers: Vec<Server>,
    cluster: Option<Cluster>,
    relay: Option<Relay>,
    /// The disk of the one server's database, where it has one of its own.
    disk: Option<Disk>,
    root: RootCa,
    place: TempDir,
}

impl Stage {
    /// So many servers on one database, instances registered and ready.
    pub(crate) async fn set(count: usize) -> Option<Self> {
        let cluster = Cluster::start(false)?;
        let urls = vec![cluster.url(); count];
        Some(Self::make(urls, &[], Some(cluster), None, None).await)
    }

    /// The same, and a second database that takes part in every commit.
    pub(crate) async fn set_with_standby(count: usize) -> Option<Self> {
        let cluster = Cluster::start(true)?;
        let urls = vec![cluster.url(); count];
        Some(Self::make(urls, &[], Some(cluster), None, None).await)
    }

    /// The same with one database, which the last server reaches by a way that can be cut.
    pub(crate) async fn set_with_relay(count: usize) -> Option<Self> {
        let cluster = Cluster::start(false)?;
        let relay = Relay::to(cluster.port()).await;
        let mut urls = vec![cluster.url(); count];
        urls[count - 1] = format!("postgres://postgres@127.0.0.1:{}/postgres", relay.port());
        Some(Self::make(urls, &[], Some(cluster), Some(relay), None).await)
    }

    /// One server on a file of its own, started by these words in front; its disk of this size, where one is named.
    pub(crate) async fn set_alone(wrapped: &[&str], disk: Option<&str>) -> Option<Self> {
        let disk = match disk {
            Some(size) => Some(Disk::mount(size)?),
            None => None,
        };
        Some(Self::make(vec![String::new()], wrapped, None, None, disk).await)
    }

    async fn make(
        urls: Vec<String>,
        wrapped: &[&str],
        cluster: Option<Cluster>,
        relay: Option<Relay>,
        disk: Option<Disk>,
    ) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut servers = make(place.path(), &urls, disk.as_ref().map(Disk::folder), wrapped);
        for server in &mut servers {
            server.start().await;
        }
        let folder = servers[0].folder().to_owned();
        let root = fs::read_to_string(folder.join("keys/founder/root-ca.pem")).unwrap();
        let root = RootCa::from_pem(&root).unwrap();
        let at: Vec<_> = servers.iter().map(|server| server.instances).collect();
        let fleet = Fleet::enrol(INSTANCES, &folder, &at, &root).await;
        Self { fleet, servers, cluster, relay, disk, root, place }
    }

    /// The database server.
    pub(crate) fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().unwrap()
    }

    /// What leads to it.
    pub(crate) fn relay(&self) -> &Relay {
        self.relay.as_ref().unwrap()
    }

    /// Leaves no room on the disk, or room again.
    pub(crate) fn fill_disk(&self, full: bool) {
        self.disk.as_ref().unwrap().fill(full);
    }

    /// Until nothing is acknowledged any more for a second.
    pub(crate) async fn until_nothing_goes(&self) {
        let mut before = usize::MAX;
        while self.fleet.acknowledged() != before {
            before = self.fleet.acknowledged();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
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
