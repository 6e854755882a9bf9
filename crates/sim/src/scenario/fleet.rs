//! The instances' side of a timeline: what each really runs, what it says, how it behaves.
//!
//! Never looks at the plane's record to know what it runs itself.

use governance::decide::{Command, Renewal, Statement};
use governance::{
    Committed, Digest, DomainCode, Instance, InstanceId, InstanceKey, LayerContent, LayerId, Registration,
    Running, Span, State, StatementHead, Timestamp, Version, Window,
};

use crate::SALT;

use super::model::{Conduct, Joiner, ReportStep};

/// How long an instance takes to install.
pub(super) const INSTALL_MS: i64 = 10 * 60_000;
/// How often a deployment window comes.
pub(super) const WEEK: Span = Span::hours(7 * 24);

/// An attempt that the instance carries on by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) release: Version,
    pub(super) finish: Timestamp,
    pub(super) succeeds: bool,
}

/// One instance: its own side, and what the plane has on record of it.
#[derive(Clone, Debug)]
pub(super) struct Unit<'s> {
    pub(super) joiner: &'s Joiner,
    pub(super) conduct: Conduct,
    /// The plane's record, once it joined.
    pub(super) record: Option<Instance>,
    pub(super) running: Running,
    pub(super) domains: Vec<DomainCode>,
    pub(super) pending: Option<Pending>,
    pub(super) path: Vec<State>,
    pub(super) versions: Vec<Version>,
    head: Option<StatementHead>,
    /// The digest of the statement before the head.
    before: Option<Digest>,
    /// How often it enrolled: each enrolment has a key and a chain of its own.
    enrolments: u32,
    /// What ran before each change, for the way back.
    past: Vec<Running>,
}

/// The content that the Organism signed for a version, as every instance runs it (IN-3).
pub(super) fn layers(platform: Version) -> Vec<LayerContent> {
    let id: Option<LayerId> = format!("ORGANISM-v{platform}").parse().ok();
    id.into_iter().map(|id| LayerContent { digest: Digest::of(id.to_string().as_bytes()), id }).collect()
}

/// Sixteen bytes that are always the same for these parts.
pub(super) fn bytes_of(parts: &[&str]) -> [u8; 16] {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    let mut out = [0; 16];
    for (slot, byte) in out.iter_mut().zip(Digest::of_parts(&parts).as_bytes()) {
        *slot = *byte;
    }
    out
}

impl<'s> Unit<'s> {
    pub(super) fn new(joiner: &'s Joiner) -> Self {
        let running =
            Running { platform: joiner.platform, runtime: joiner.runtime, layers: layers(joiner.platform) };
        Self {
            joiner,
            conduct: joiner.conduct,
            record: None,
            running,
            domains: joiner.domains.clone(),
            pending: None,
            path: Vec::new(),
            versions: Vec::new(),
            head: None,
            before: None,
            enrolments: 0,
            past: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> InstanceId {
        InstanceId::from_random(bytes_of(&["instance", &self.joiner.name]))
    }

    /// Its deployment window that is open now or opens next, if it has windows (RO-7).
    pub(super) fn window(&self, start: Timestamp, now: Timestamp) -> Option<Window> {
        let (from, until) = self.joiner.window?;
        // How many have closed: one that lasts a whole week closes as the next opens.
        let closed = now.since(start + until).as_millis();
        let weeks = (closed + WEEK.as_millis() - 1) / WEEK.as_millis();
        let shift = WEEK.times(weeks);
        Some(Window { from: start + from + shift, until: start + until + shift })
    }

    /// The deadline of what it is offered.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.record.as_ref()?.offer?.deadline
    }

    fn key(&self) -> InstanceKey {
        let enrolment = self.enrolments.to_string();
        InstanceKey::from_bytes(
            *Digest::of_parts(&[self.joiner.name.as_bytes(), enrolment.as_bytes()]).as_bytes(),
        )
    }

    /// What it registers with; none if its endpoint could not be written, which never happens.
    pub(super) fn registration(&self) -> Option<Registration> {
        Some(Registration {
            enrolment: Digest::of(self.joiner.name.as_bytes()),
            kind: self.joiner.kind,
            tier: self.joiner.tier,
            provider: self.joiner.provider.clone(),
            labels: Committed::new(SALT, self.joiner.labels.clone()),
            endpoint: Committed::new(SALT, "https://instance.example/".parse().ok()?),
            key: self.key(),
            running: self.running.clone(),
            domains: self.domains.clone(),
        })
    }

    /// The renewal by which it shakes hands afresh, if it was restored (LC-17).
    pub(super) fn renewal(&self, not_after: Timestamp) -> Option<Renewal> {
        self.record.as_ref().filter(|record| record.handshake_required)?;
        let (key, head) = (self.key(), self.head.map(|head| head.digest));
        Some(Renewal { by: key, key, head, pending: None, serial: String::from("01"), not_after })
    }

    /// Asks for a new key and a new chain; not before it joined.
    pub(super) fn enrol_afresh(&mut self) -> Option<Command> {
        let endpoint = Committed::new(SALT, self.record.as_ref()?.endpoint.clone()?);
        self.enrolments += 1;
        let key = self.key();
        Some(Command::Handshake { key, enrolment: Digest::of(key.as_bytes()), endpoint })
    }

    /// The new chain begins, once the plane accepted the enrolment.
    pub(super) fn begin_chain(&mut self) {
        (self.head, self.before) = (None, None);
    }

    fn statement_over(
        &self,
        running: Running,
        domains: Vec<DomainCode>,
        sequence: u64,
        salt: &str,
    ) -> Statement {
        let content = format!("{sequence} {} {} {salt} {domains:?}", running.platform, running.runtime);
        let parts = [self.joiner.name.as_bytes(), &self.enrolments.to_le_bytes(), content.as_bytes()];
        let head = StatementHead { sequence, digest: Digest::of_parts(&parts) };
        Statement { head, previous: self.head.map(|head| head.digest), running, domains }
    }

    /// The next statement of its chain, saying what it runs.
    pub(super) fn statement(&self) -> Statement {
        let sequence = self.head.map_or(1, |head| head.sequence + 1);
        self.statement_over(self.running.clone(), self.domains.clone(), sequence, "")
    }

    /// The statement that a step asks for, true or not.
    pub(super) fn statement_as(&self, step: &ReportStep) -> Statement {
        let platform = step.platform.unwrap_or(self.running.platform);
        let mut content = layers(platform);
        if step.fork {
            for layer in &mut content {
                layer.digest = Digest::of(b"other content");
            }
        }
        let runtime = step.runtime.unwrap_or(self.running.runtime);
        let running = Running { platform, runtime, layers: content };
        let domains = step.domains.clone().unwrap_or_else(|| self.domains.clone());
        let sequence = self.head.map_or(0, |head| head.sequence);
        match step.chain_gap {
            None => self.statement_over(running, domains, sequence + 1, ""),
            Some(true) => {
                let mut statement = self.statement_over(running, domains, sequence + 2, "gap");
                statement.previous = Some(Digest::of(b"a statement that never came"));
                statement
            }
            Some(false) => {
                let mut statement = self.statement_over(running, domains, sequence, "clone");
                statement.previous = self.before;
                statement
            }
        }
    }

    /// The plane took this statement: the chain goes on from it, and hourly reports repeat it.
    pub(super) fn stated(&mut self, statement: &Statement) {
        self.before = self.head.map(|head| head.digest);
        self.head = Some(statement.head);
        self.running = statement.running.clone();
        self.domains.clone_from(&statement.domains);
    }

    /// Binds another version: forward with the runtime it ships, or back to what ran before.
    pub(super) fn install(&mut self, release: Version, ships_runtime: Option<Version>) {
        let back = self.past.iter().rposition(|past| past.platform == release);
        let next = match back {
            Some(index) => self.past.drain(index..).next(),
            None => None,
        };
        let next = next.unwrap_or_else(|| {
            self.past.push(self.running.clone());
            let runtime = ships_runtime.unwrap_or(self.running.runtime);
            Running { platform: release, runtime, layers: layers(release) }
        });
        self.running = next;
    }
}
