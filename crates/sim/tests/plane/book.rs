//! Looks over every write as it lands: the log is replayed by the real verifier, the rows by their events, and what servers
//! answer is held against what is on record.
//!
//! Knows nothing of the plane: what it holds against each other are the tables, the log and the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use governance::{
    Digest, Event, FindingCode, Instance, InstanceEvent, InstanceId, Opening, State, World, WorldEvent,
};
use ledger::tree::{Frontier, leaf_hash};
use ledger::{Entry, SignedCheckpoint, TreeHead, Verifier};
use plane::disclosures::OPENING;
use plane::ports::{Commit, Committed, Store as _};
use proof::directive::Directive;

use crate::store::{Tables, at_once};

/// The record as it came to be.
pub(crate) struct Book {
    pages: Mutex<Pages>,
}

struct Pages {
    verifier: Verifier,
    frontier: Frontier,
    /// The heads that the log had.
    heads: BTreeMap<u64, TreeHead>,
    world: World,
    world_revision: u64,
    instances: BTreeMap<InstanceId, Instance>,
    /// Each instance as it stood after each of its commits.
    versions: BTreeMap<InstanceId, Vec<Arc<Instance>>>,
    /// What was decided about the federation as a whole.
    said: Vec<WorldEvent>,
    enrolments: BTreeSet<Digest>,
    /// The nonces that decisions spent.
    spent: BTreeSet<String>,
    size: u64,
    /// How many decisions rest on each rule.
    rules: BTreeMap<String, u64>,
}

impl Book {
    pub(crate) fn new(verifier: Verifier) -> Self {
        let pages = Pages {
            verifier,
            frontier: Frontier::new(),
            heads: BTreeMap::new(),
            world: World::default(),
            world_revision: 0,
            instances: BTreeMap::new(),
            versions: BTreeMap::new(),
            said: Vec::new(),
            enrolments: BTreeSet::new(),
            spent: BTreeSet::new(),
            size: 0,
            rules: BTreeMap::new(),
        };
        Self { pages: Mutex::new(pages) }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap()
    }

    /// How many decisions rest on each rule.
    pub(crate) fn rules(&self) -> BTreeMap<String, u64> {
        self.pages().rules.clone()
    }

    pub(crate) fn size(&self) -> u64 {
        self.pages().size
    }

    /// The federation as its events made it.
    pub(crate) fn world<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.pages().world)
    }

    pub(crate) fn instances(&self) -> Vec<Instance> {
        self.pages().instances.values().cloned().collect()
    }

    /// Whether anything like this was ever decided about the federation as a whole.
    pub(crate) fn was_said(&self, like: impl FnMut(&WorldEvent) -> bool) -> bool {
        self.pages().said.iter().any(like)
    }

    /// Whether a decision spent this nonce.
    pub(crate) fn is_spent(&self, nonce: &str) -> bool {
        self.pages().spent.contains(nonce)
    }

    /// Where the record of an instance stands: what is answered later shows nothing older.
    pub(crate) fn mark(&self, id: InstanceId) -> usize {
        self.pages().versions.get(&id).map_or(0, |versions| versions.len().saturating_sub(1))
    }

    pub(crate) fn version_before(&self, id: InstanceId) -> Option<Instance> {
        let pages = self.pages();
        let versions = pages.versions.get(&id)?;
        versions.iter().rev().nth(1).map(|instance| (**instance).clone())
    }

    /// The row that something shows which was answered to a call made at a mark: one that was on record since.
    pub(crate) fn shown(
        &self,
        id: InstanceId,
        mark: usize,
        shows: impl Fn(&Instance) -> bool,
    ) -> Option<Arc<Instance>> {
        let pages = self.pages();
        let since = pages.versions.get(&id)?.get(mark..)?;
        since.iter().find(|version| shows(version)).cloned()
    }

    /// Whether this instance ever stood so, since the mark.
    pub(crate) fn stood(&self, id: InstanceId, mark: usize, so: impl Fn(&Instance) -> bool) -> bool {
        self.shown(id, mark, so).is_some()
    }

    /// The gate of the world was turned.
    pub(crate) fn gate_turned(&self, revision: u64) {
        self.pages().world_revision = revision;
    }

    /// A commit landed.
    pub(crate) fn landed(&self, tables: &Tables, sent: &Commit, committed: &Committed) {
        let verdict = self.pages().landed(tables, sent, committed);
        if let Err(what) = verdict {
            tables.fate.breach(what);
        }
    }

    /// Whether a checkpoint is of this log.
    pub(crate) fn check_checkpoint(&self, bytes: &[u8]) -> Result<u64, String> {
        let signed = SignedCheckpoint::parse(bytes).map_err(|error| error.to_string())?;
        let head = *signed.unverified().head();
        match self.pages().heads.get(&head.size) {
            Some(known) if *known == head => Ok(head.size),
            Some(_) => Err(format!("the checkpoint of {} entries is of another log", head.size)),
            None => Err(format!("no commit ended at {} entries, and a checkpoint does", head.size)),
        }
    }

    /// The whole log under its last checkpoint.
    pub(crate) fn finish(&self, checkpoint: &[u8]) -> Result<(), String> {
        let signed = SignedCheckpoint::parse(checkpoint).map_err(|error| error.to_string())?;
        let verifier = self.pages().verifier.clone();
        verifier.finish(&signed).map(|_| ()).map_err(|breach| breach.to_string())
    }
}

impl Pages {
    fn landed(&mut self, tables: &Tables, sent: &Commit, committed: &Committed) -> Result<(), String> {
        let entries = at_once(tables.memory.entry_page(self.size, plane::ports::PAGE_MAX)).unwrap();
        if entries != sent.entries {
            return Err(format!(
                "of {} entries sent, {} stand in the log",
                sent.entries.len(),
                entries.len()
            ));
        }
        let changes = at_once(tables.memory.change_page(self.size, plane::ports::PAGE_MAX)).unwrap();
        let about: Vec<Option<InstanceId>> = (0..entries.len())
            .map(|at| {
                sent.instance.as_ref().filter(|_| sent.about_instance.contains(&at)).map(|(row, _)| row.id)
            })
            .collect();
        if changes != about {
            return Err("the sequence of changes names others than the entries are about".to_owned());
        }
        self.spent.extend(sent.nonce.iter().map(|nonce| nonce.nonce.clone()));
        self.check_revisions(sent, committed)?;
        for bytes in &entries {
            self.read(tables, bytes)?;
        }
        self.size += entries.len() as u64;
        self.heads.insert(self.size, self.frontier.head());
        if committed.ledger_size != self.size {
            return Err(format!("the log has {} entries, told are {}", self.size, committed.ledger_size));
        }
        self.check_rows(tables, sent)
    }

    fn check_revisions(&mut self, sent: &Commit, committed: &Committed) -> Result<(), String> {
        let risen = self.world_revision + u64::from(sent.world.is_some());
        if committed.world_revision != risen {
            return Err(format!("the world's revision is {}, {risen} follows", committed.world_revision));
        }
        self.world_revision = risen;
        let Some((instance, _)) = &sent.instance else { return Ok(()) };
        let before = self.versions.get(&instance.id).map_or(0, |versions| versions.len() as u64);
        if committed.instance_revision != before + 1 {
            let found = committed.instance_revision;
            return Err(format!("{}: revision {found} follows {before}", instance.id));
        }
        Ok(())
    }

    /// One entry: verified, then folded into what it is about.
    fn read(&mut self, tables: &Tables, bytes: &[u8]) -> Result<(), String> {
        let find = |digest: Digest| -> Option<Opening> {
            let kept = at_once(tables.memory.document_load(OPENING, &digest.to_string())).unwrap()?;
            serde_json::from_slice(&kept).ok()
        };
        self.frontier.push(leaf_hash(bytes));
        let mut entry = Entry::decode(bytes).map_err(|error| error.to_string())?;
        let sealed = entry.open(find).map_err(|error| error.to_string())?;
        tables.fate.note(|| {
            let shown = serde_json::to_string(&entry.event).unwrap();
            format!("entry {}: {} {:.300}", self.verifier.size(), entry.rule, shown)
        });
        tables.fate.mark(entry.rule.bytes().fold(7, |print, byte| print * 31 + u64::from(byte)));
        *self.rules.entry(entry.rule.clone()).or_default() += 1;
        if sealed.opened != sealed.committed {
            return Err(format!("{} commitments of an entry are not kept", sealed.committed - sealed.opened));
        }
        self.verifier.push_opened(bytes, find).map_err(|breach| format!("ledger verify: {breach}"))?;
        match &entry.event {
            Event::World(event) => {
                self.said.push(event.clone());
                self.world.apply(event, entry.at);
                check_release(event)
            }
            Event::Instance(id, event) => self.fold(*id, event, &entry),
        }
    }

    fn fold(&mut self, id: InstanceId, event: &InstanceEvent, entry: &Entry) -> Result<(), String> {
        if let InstanceEvent::Registered(registration) = event {
            if !self.enrolments.insert(registration.enrolment) {
                return Err("HS-1: one enrolment made two instances".to_owned());
            }
            self.instances.insert(id, Instance::registered(id, registration, entry.at));
        }
        let world = &self.world;
        let instance = self.instances.get_mut(&id).ok_or_else(|| format!("there is no instance {id}"))?;
        let before = (instance.state, instance.running.clone());
        instance.apply(event, entry.at);
        let reported = matches!(event, InstanceEvent::Reported { .. } | InstanceEvent::Registered(_));
        if !reported && before.1 != instance.running {
            return Err(format!("IN-4: {} changed what runs at {id}", entry.rule));
        }
        if before.0 == State::Revoked
            && instance.state != State::Revoked
            && entry.authority != governance::Authority::Founder
        {
            return Err(format!("IN-6: the {} led {id} out of revoked", entry.authority));
        }
        match event {
            InstanceEvent::Offered { release, rollout, .. } => {
                if world.release(*release).is_none() || world.rollout(*rollout).is_none() {
                    return Err(format!("IN-5: {release} is offered to {id}, and nobody signed it"));
                }
                Ok(())
            }
            InstanceEvent::FindingOpened {
                code: code @ (FindingCode::VersionChainBroken | FindingCode::UnauthorisedFork),
            } => Err(format!("{id} is honest, and {code} is found against it")),
            _ => Ok(()),
        }
    }

    /// The rows are what the events give, whoever wrote them.
    fn check_rows(&mut self, tables: &Tables, sent: &Commit) -> Result<(), String> {
        let (world, revision) = at_once(tables.memory.world_load()).unwrap();
        if world != self.world {
            return Err("the row of the world is not what its events give".to_owned());
        }
        if revision != self.world_revision {
            return Err(format!("the world's revision is {revision}, {} follows", self.world_revision));
        }
        let Some((instance, _)) = &sent.instance else { return Ok(()) };
        let id = instance.id;
        let Some((row, revision)) = at_once(tables.memory.instance_load(id)).unwrap() else {
            return Err(format!("the row of {id} is missing"));
        };
        let folded = self.instances.get(&id).ok_or_else(|| format!("{id} has a row and no event"))?;
        if row != *folded {
            return Err(format!("the row of {id} is not what its events give: {}", differs(&row, folded)));
        }
        check_findings(&row)?;
        let versions = self.versions.entry(id).or_default();
        versions.push(Arc::new(row));
        if revision != versions.len() as u64 {
            return Err(format!("{id}: revision {revision} after {} writes", versions.len()));
        }
        Ok(())
    }
}

/// IN-2: no release without a way back.
fn check_release(event: &WorldEvent) -> Result<(), String> {
    match event {
        WorldEvent::ReleasePublished { release, .. }
            if release.rollback.as_ref().is_none_or(|back| back.instructions.trim().is_empty()) =>
        {
            Err(format!("IN-2: {} has no rollback instructions", release.version))
        }
        _ => Ok(()),
    }
}

/// IN-7: nobody is out of compliance for lacking what it was never offered.
fn check_findings(instance: &Instance) -> Result<(), String> {
    for code in [FindingCode::VersionDrift, FindingCode::SecurityPatchOverdue] {
        let rests = instance.due.is_some_and(|due| instance.offered.contains(&due.rollout));
        if instance.finding(code).is_some() && !rests {
            return Err(format!("IN-7: {code} is found against {}, never offered", instance.id));
        }
    }
    Ok(())
}

/// The fields in which two rows differ.
fn differs(row: &Instance, folded: &Instance) -> String {
    let (row, folded) = (serde_json::to_value(row).unwrap(), serde_json::to_value(folded).unwrap());
    let fields = row.as_object().unwrap().iter();
    let differing = fields.filter(|(name, value)| folded.get(name.as_str()) != Some(value));
    differing.map(|(name, value)| format!("{name} is {value}, not {:?}", folded.get(name.as_str()))).collect()
}

/// Whether an answer shows this row.
pub(crate) fn shows(standing: &wire::Standing, directive: &Directive, row: &Instance) -> bool {
    let offer = directive.offer.as_ref().map(|offer| (offer.release, offer.deadline));
    standing.state == row.state
        && standing.since == row.since
        && standing.findings.len() == row.findings.len()
        && standing.warnings == row.warnings
        && standing.notices.len() == row.notices.len()
        && standing.handshake_required == row.handshake_required
        && directive.instance == row.id
        && directive.serial == row.serial
        && offer == row.offer.map(|offer| (offer.release, offer.deadline))
}
