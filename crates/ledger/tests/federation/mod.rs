//! A small federation with real keys that writes a lawful log, as the plane does. Its methods are what people do;
//! what is written follows from `governance`.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

pub mod scenario;
pub mod stories;

use std::collections::BTreeMap;

use governance::decide::{self, Command, Renewal, Statement, WorldCommand, decide_world};
use governance::reconcile::{federation_events, reconcile};
use governance::release::RollbackInstructions;
use governance::rollout::advance;
use governance::{
    Authority, Census, Class, Committed, Constitution, ConstitutionDocument, Digest, DomainCode, Event,
    Instance, InstanceEvent, InstanceId, InstanceKey, Kind, LayerContent, LayerStructure, Opening, Package,
    Phase, Refusal, Registration, Release, Restriction, RolloutId, Running, Salt, Span, State, StatementHead,
    Tier, Timestamp, Version, VersionRange, World, WorldEvent,
};
use ledger::{
    Checkpoint, Entry, Evidence, Frontier, KeyName, NoteKey, SignedCheckpoint, TreeHead, tree::leaf_hash,
};
use proof::request::RequestHead;
use proof::{
    Asks, Jws, KeySet, KeysDocument, OnlineKey, Order, OrderAction, Purpose, SeedKey, Sign, SignedRequest,
    Typ, VersionStatement,
};
use serde_json::json;

pub const OPERATOR: &str = "operator/admin";

pub fn v(text: &str) -> Version {
    text.parse().unwrap()
}

/// The content that the Organism signed for a version.
pub fn content(platform: Version) -> Vec<LayerContent> {
    let digest = Digest::of(platform.to_string().as_bytes());
    vec![LayerContent { id: format!("ORGANISM-v{platform}").parse().unwrap(), digest }]
}

fn seed(kind: u8, n: u8) -> SeedKey {
    let mut seed = [kind; 32];
    seed[31] = n;
    SeedKey::new(seed)
}

pub fn key_of(n: u8) -> SeedKey {
    seed(9, n)
}

/// The key that instance `n` renews to.
pub fn next_key_of(n: u8) -> SeedKey {
    seed(8, n)
}

pub fn instance_key(key: &SeedKey) -> InstanceKey {
    InstanceKey::from_bytes(*key.public_key().as_bytes())
}

pub fn id_of(n: u8) -> InstanceId {
    InstanceId::from_random([n; 16])
}

/// What a renewal says; the PKCS#10 request is no business of the ledger.
pub fn renew_body(key: InstanceKey, head: Option<Digest>) -> serde_json::Value {
    json!({ "csr": "-----BEGIN CERTIFICATE REQUEST-----", "key": key, "chain_head": head })
}

/// The federation, and the log it wrote.
pub struct Federation {
    pub founder: Vec<SeedKey>,
    pub organism: Vec<SeedKey>,
    pub directives: SeedKey,
    pub ledger: SeedKey,
    pub keys: KeysDocument,
    pub world: World,
    pub instances: BTreeMap<InstanceId, Instance>,
    pub at: Timestamp,
    pub entries: Vec<Vec<u8>>,
    /// What opens the commitments in the entries.
    pub openings: Vec<Opening>,
    heads: BTreeMap<InstanceId, VersionStatement>,
    count: u8,
}

impl Federation {
    /// Founded, with a constitution and no release.
    pub fn founded() -> Self {
        let founder: Vec<SeedKey> = (1..=3).map(|n| seed(1, n)).collect();
        let organism: Vec<SeedKey> = (1..=2).map(|n| seed(2, n)).collect();
        let (directives, ledger) = (seed(3, 1), seed(3, 2));
        let at: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let online = |purpose, key: &SeedKey| OnlineKey {
            purpose,
            key: *key.public_key(),
            not_before: at,
            not_after: at + Span::hours(24 * 365),
        };
        let set = |threshold, keys: &[SeedKey]| {
            KeySet::new(threshold, keys.iter().map(|k| *k.public_key()).collect()).unwrap()
        };
        let keys = KeysDocument {
            serial: 1,
            trust_domain: "fed.example".parse().unwrap(),
            issued: at,
            founder: set(2, &founder),
            organism: set(2, &organism),
            online: vec![online(Purpose::Directives, &directives), online(Purpose::Ledger, &ledger)],
            root_ca: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".into(),
            ledger_origin: "fed.example/ledger".into(),
        };
        let mut federation = Self {
            founder,
            organism,
            directives,
            ledger,
            keys,
            world: World::default(),
            instances: BTreeMap::new(),
            at,
            entries: Vec::new(),
            openings: Vec::new(),
            heads: BTreeMap::new(),
            count: 0,
        };
        let document = federation.signed_keys(&federation.keys.clone());
        let founded = WorldEvent::Founded { trust_domain: federation.keys.trust_domain.clone() };
        let published = WorldEvent::KeysPublished { serial: 1, digest: document.digest() };
        federation.decision(Some(Evidence::Document(document)), None, vec![founded, published], vec![]);
        let (document, ratified) = federation.constitution(Constitution::default());
        federation.decision(Some(Evidence::Document(document)), None, vec![ratified], vec![]);
        federation
    }

    pub fn root(&self) -> KeySet {
        KeySet::new(2, self.founder.iter().map(|key| *key.public_key()).collect()).unwrap()
    }

    pub fn signed_keys(&self, keys: &KeysDocument) -> Jws {
        self.founder_signed(Typ::Keys, keys)
    }

    pub fn founder_signed<T: serde::Serialize>(&self, typ: Typ, value: &T) -> Jws {
        let mut jws = Jws::sign_json(typ, value, &self.founder[0]).unwrap();
        jws.add_signature(typ, &self.founder[2]).unwrap();
        jws
    }

    pub fn constitution(&self, parameters: Constitution) -> (Jws, WorldEvent) {
        let previous = self.world.constitution_digest;
        let document = ConstitutionDocument { previous, effective: self.at, parameters };
        let jws = self.founder_signed(Typ::Constitution, &document);
        let event = WorldEvent::ConstitutionRatified { digest: jws.digest(), document: Box::new(document) };
        (jws, event)
    }

    /// A constitution upon the one in force, effective from an instant of its own.
    pub fn constitution_from(&self, parameters: Constitution, effective: Timestamp) -> Jws {
        let previous = self.world.constitution_digest;
        self.founder_signed(Typ::Constitution, &ConstitutionDocument { previous, effective, parameters })
    }

    /// Writes one decision: its entries with their evidence, applied.
    pub fn decision(
        &mut self,
        evidence: Option<Evidence>,
        actor: Option<&str>,
        world: Vec<WorldEvent>,
        instance: Vec<(InstanceId, InstanceEvent)>,
    ) {
        let start = self.entries.len();
        let constitution = self.world.constitution_digest;
        let events = world.into_iter().map(Event::World);
        for event in events.chain(instance.into_iter().map(|(id, event)| Event::Instance(id, event))) {
            self.apply(&event);
            let actor = actor.map(str::to_owned);
            let entry = if event.authority() == Authority::Federation {
                Entry::federation(self.at, actor, constitution, event, &self.directives).unwrap()
            } else {
                let back = u16::try_from(self.entries.len() - start).unwrap();
                let proof = if back == 0 { evidence.clone().unwrap() } else { Evidence::Preceding { back } };
                Entry::new(self.at, actor, constitution, event, proof)
            };
            self.write(&entry);
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::World(event) => self.world.apply(event, self.at),
            Event::Instance(id, InstanceEvent::Registered(registration)) => {
                self.instances.insert(*id, Instance::registered(*id, registration, self.at));
            }
            Event::Instance(id, event) => self.instances.get_mut(id).unwrap().apply(event, self.at),
        }
        if let Event::Instance(_, event) = event {
            self.openings.extend(event.openings());
        }
    }

    pub fn write(&mut self, entry: &Entry) {
        self.entries.push(entry.encode().unwrap());
    }

    /// Writes what nobody decided, signed with the Federation's own key.
    pub fn forge(&mut self, event: Event) {
        let actor = event.asked_by().map(|_| OPERATOR.to_owned());
        let entry =
            Entry::federation(self.at, actor, self.world.constitution_digest, event, &self.directives)
                .unwrap();
        self.write(&entry);
    }

    /// What is due for the instance.
    pub fn reconcile(&mut self, id: InstanceId) {
        let due = reconcile(&self.instances[&id], &self.world, self.at);
        self.decision(None, None, vec![], due.iter().map(|event| (id, event.clone())).collect());
        let beyond = federation_events(&self.instances[&id], &due, &self.world, self.at);
        self.decision(None, None, beyond, vec![]);
    }

    /// A command, what the law makes of it, and what is due behind it.
    pub fn command(&mut self, id: InstanceId, command: &Command, evidence: Option<Evidence>) {
        let events = decide::decide(&self.instances[&id], command, &self.world, self.at).unwrap();
        let actor = events.first().and_then(|event| event.asked_by()).map(|_| OPERATOR);
        self.decision(evidence, actor, vec![], events.into_iter().map(|event| (id, event)).collect());
        self.reconcile(id);
    }

    pub fn world_command(&mut self, command: &WorldCommand) {
        let events = decide_world(&self.world, command, self.at).unwrap();
        self.decision(None, Some(OPERATOR), events, vec![]);
    }

    pub fn release(version: &str, class: Class) -> Release {
        Release {
            version: v(version),
            class,
            advisory: None,
            package: Package {
                name: format!("package-{version}"),
                digest: Digest::of(version.as_bytes()),
                length: 7,
            },
            layers: vec![LayerStructure {
                id: format!("ORGANISM-v{version}").parse().unwrap(),
                digest: Digest::of(version.as_bytes()),
                needs: vec![],
            }],
            ships_runtime: None,
            runtime: VersionRange { min: v("0.1.0"), max: v("0.2.0") },
            from: None,
            rollback: Some(RollbackInstructions { instructions: "start the former slot".into() }),
            migration: (class == Class::Major).then(|| "read the notes".into()),
            floor: None,
            deprecations: Vec::new(),
            removes: Vec::new(),
            notes: String::new(),
        }
    }

    /// What the Federation finds by itself about the whole.
    pub fn federation_command(&mut self, command: &WorldCommand) {
        let events = decide_world(&self.world, command, self.at).unwrap();
        self.decision(None, None, events, vec![]);
    }

    pub fn publish(&mut self, version: &str, class: Class) -> RolloutId {
        self.try_publish(&Self::release(version, class)).unwrap()
    }

    pub fn try_publish(&mut self, release: &Release) -> Result<RolloutId, Refusal> {
        self.try_publish_to(release, Restriction::default(), vec![])
    }

    /// The same, for some alone, or with phases that wait for an approval.
    pub fn try_publish_to(
        &mut self,
        release: &Release,
        restriction: Restriction,
        approval: Vec<Phase>,
    ) -> Result<RolloutId, Refusal> {
        let mut jws = Jws::sign_json(Typ::Release, release, &self.organism[0]).unwrap();
        jws.add_signature(Typ::Release, &self.organism[1]).unwrap();
        let rollout = RolloutId::of_release(jws.digest());
        let command = WorldCommand::Publish {
            release: Box::new(release.clone()),
            digest: jws.digest(),
            restriction,
            approval,
        };
        let events = decide_world(&self.world, &command, self.at)?;
        self.decision(Some(Evidence::Document(jws)), Some(OPERATOR), events, vec![]);
        Ok(rollout)
    }

    /// Something else that the Organism signed.
    pub fn organism_document<T: serde::Serialize>(&mut self, document: &T, event: WorldEvent) {
        let mut jws = Jws::sign_json(Typ::Release, document, &self.organism[0]).unwrap();
        jws.add_signature(Typ::Release, &self.organism[1]).unwrap();
        self.decision(Some(Evidence::Document(jws)), Some(OPERATOR), vec![event], vec![]);
    }

    /// An order and what follows from it.
    pub fn order(&mut self, action: OrderAction) {
        let order = Order { serial: self.world.order_serial + 1, expires: self.at + Span::hours(1), action };
        let jws = self.founder_signed(Typ::Order, &order);
        self.order_as(&order, jws);
    }

    pub fn order_as(&mut self, order: &Order, jws: Jws) {
        let mut world = vec![WorldEvent::OrderAccepted { serial: order.serial, digest: jws.digest() }];
        let mut instance = vec![];
        match order.asks(&self.keys.founder).unwrap() {
            Asks::Instance(id, command) => {
                let events = decide::decide(&self.instances[&id], &command, &self.world, self.at).unwrap();
                instance = events.into_iter().map(|event| (id, event)).collect();
            }
            Asks::World(command) => world.extend(decide_world(&self.world, &command, self.at).unwrap()),
            Asks::Keys(document, root) => {
                self.keys = document.parse_unverified().unwrap();
                world.push(WorldEvent::KeysPublished { serial: self.keys.serial, digest: document.digest() });
                if let Some(root) = root {
                    let version = root.open().unwrap().version;
                    world.push(WorldEvent::RootPublished { version, digest: root.digest() });
                }
            }
        }
        self.decision(Some(Evidence::Document(jws)), None, world, instance);
        if let Some(id) = order.action.instance() {
            self.reconcile(id);
        }
    }

    /// Registers instance `n`: enrolment, identity, certificate.
    pub fn register(&mut self, n: u8, tier: Tier) -> InstanceId {
        let id = id_of(n);
        let enrolment = self.enrol(n, tier);
        let registration = self.registration(n, tier, enrolment);
        let key = registration.key;
        let registered = decide::register(&registration, &self.world).unwrap();
        self.decision(None, None, vec![], registered.into_iter().map(|event| (id, event)).collect());
        self.certify(id, key);
        id
    }

    /// The same for a provider's instance, asked for by somebody.
    pub fn register_of(&mut self, n: u8, kind: Kind, tier: Tier, whose: &str, by: &str) {
        self.count = self.count.wrapping_add(1);
        let digest = Digest::of(&[n, self.count]);
        let expires = self.at + self.world.constitution.enrolment_lifetime;
        let (provider, instance) = (Some(whose.parse().unwrap()), None);
        let created = WorldEvent::EnrolmentCreated {
            digest,
            kind,
            tier,
            provider: provider.clone(),
            expires,
            instance,
        };
        self.decision(None, Some(by), vec![created], vec![]);
        let registration = Registration { kind, provider, ..self.registration(n, tier, digest) };
        let key = registration.key;
        let registered = decide::register(&registration, &self.world).unwrap();
        self.decision(None, None, vec![], registered.into_iter().map(|event| (id_of(n), event)).collect());
        self.certify(id_of(n), key);
    }

    /// Somebody suspends instance `n`.
    pub fn suspend_by(&mut self, n: u8, by: &str) {
        let id = id_of(n);
        let events = decide::decide(&self.instances[&id], &Command::Suspend, &self.world, self.at).unwrap();
        self.decision(None, Some(by), vec![], events.into_iter().map(|event| (id, event)).collect());
        self.reconcile(id);
    }

    pub fn enrol(&mut self, n: u8, tier: Tier) -> Digest {
        self.count = self.count.wrapping_add(1);
        let digest = Digest::of(&[n, self.count]);
        let expires = self.at + self.world.constitution.enrolment_lifetime;
        let (kind, provider, instance) = (Kind::SaasShared, None, None);
        let created = WorldEvent::EnrolmentCreated { digest, kind, tier, provider, expires, instance };
        self.decision(None, Some(OPERATOR), vec![created], vec![]);
        digest
    }

    /// An enrolment for an instance that exists, asked for by the operator.
    pub fn re_enrol(&mut self, n: u8) -> Digest {
        self.count = self.count.wrapping_add(1);
        let digest = Digest::of(&[n, self.count]);
        let expires = self.at + self.world.constitution.enrolment_lifetime;
        let instance = &self.instances[&id_of(n)];
        let (kind, tier) = (instance.kind, instance.subscription.tier);
        let (provider, instance) = (instance.provider.clone(), Some(instance.id));
        let created = WorldEvent::EnrolmentCreated { digest, kind, tier, provider, expires, instance };
        self.decision(None, Some(OPERATOR), vec![created], vec![]);
        digest
    }

    /// Somebody approves an enrolment.
    pub fn approve(&mut self, digest: Digest, who: &str) {
        self.decision(None, Some(who), vec![WorldEvent::EnrolmentApproved { digest }], vec![]);
    }

    /// The instance enrols afresh over this key.
    pub fn enrol_afresh(&mut self, n: u8, key: InstanceKey, enrolment: Digest) {
        let id = id_of(n);
        let endpoint = Committed::new(Salt::from_random([0; 16]), "https://127.0.0.1:10".parse().unwrap());
        let afresh = Command::Handshake { key, enrolment, endpoint };
        let events = decide::decide(&self.instances[&id], &afresh, &self.world, self.at).unwrap();
        self.decision(None, None, vec![], events.into_iter().map(|event| (id, event)).collect());
        self.certify(id, key);
    }

    pub fn registration(&self, n: u8, tier: Tier, enrolment: Digest) -> Registration {
        Registration {
            enrolment,
            kind: Kind::SaasShared,
            tier,
            provider: None,
            labels: Committed::new(Salt::from_random([n; 16]), vec![format!("number-{n}").parse().unwrap()]),
            endpoint: Committed::new(Salt::from_random([n; 16]), "https://127.0.0.1:9".parse().unwrap()),
            key: InstanceKey::from_bytes(*key_of(n).public_key().as_bytes()),
            running: Running { platform: v("0.1.0"), runtime: v("0.1.0"), layers: content(v("0.1.0")) },
            domains: vec![],
        }
    }

    pub fn certify(&mut self, id: InstanceId, key: InstanceKey) {
        let not_after = self.at + self.world.constitution.identity_certificate_lifetime;
        let command = Command::Certify { key, serial: "0a".into(), not_after };
        let events = decide::decide(&self.instances[&id], &command, &self.world, self.at).unwrap();
        self.decision(None, None, vec![], events.into_iter().map(|event| (id, event)).collect());
        self.reconcile(id);
    }

    /// Instance `n` renews under this key, which signs for it from then on.
    pub fn renew(&mut self, n: u8, next: &SeedKey) {
        let (key, instance) = (instance_key(next), &self.instances[&id_of(n)]);
        let head = instance.head.map(|head| head.digest);
        let not_after = self.at + self.world.constitution.identity_certificate_lifetime;
        let renewal = Renewal { by: instance.key, key, head, pending: None, serial: "0b".into(), not_after };
        self.call(n, "renew", &renew_body(key, head), &Command::Renew(renewal));
    }

    /// The key that instance `n` has now.
    pub fn key(&self, n: u8) -> SeedKey {
        let next = next_key_of(n);
        let renewed = self.instances.get(&id_of(n)).is_some_and(|i| i.key == instance_key(&next));
        if renewed { next } else { key_of(n) }
    }

    /// A request of instance `n`, signed with its key.
    pub fn request(&mut self, n: u8, call: &str, body: &serde_json::Value) -> SignedRequest {
        self.request_by(&self.key(n), n, call, body)
    }

    /// A request about instance `n`, whoever signs it.
    pub fn request_by(
        &mut self,
        key: &SeedKey,
        n: u8,
        call: &str,
        body: &serde_json::Value,
    ) -> SignedRequest {
        self.count = self.count.wrapping_add(1);
        let path = format!("/v1/instances/{}/{call}", id_of(n));
        let mut nonce = [n; 16];
        nonce[0] = self.count;
        let head = RequestHead {
            method: "POST",
            authority: "plane.example:8443",
            path_and_query: &path,
            digest: Digest::of(b""),
            created: self.at,
            nonce,
        };
        SignedRequest::sign(head, body.to_string().into_bytes(), key).unwrap()
    }

    pub fn call(&mut self, n: u8, call: &str, body: &serde_json::Value, command: &Command) {
        let request = self.request(n, call, body);
        self.command(id_of(n), command, Some(Evidence::Request(request)));
    }

    pub fn ready(&mut self, n: u8) {
        self.call(n, "ready", &json!({}), &Command::Ready);
    }

    /// The instance's next statement, saying this version runs.
    pub fn statement(&mut self, n: u8, platform: Version) -> (Jws, Statement) {
        self.statement_of(n, platform, &[])
    }

    /// The same, saying that these domains are active.
    pub fn statement_of(&mut self, n: u8, platform: Version, domains: &[&str]) -> (Jws, Statement) {
        let domains: Vec<DomainCode> = domains.iter().map(|domain| domain.parse().unwrap()).collect();
        let id = id_of(n);
        let head = self.instances[&id].head;
        let statement = VersionStatement {
            instance: id,
            sequence: head.map_or(1, |head| head.sequence + 1),
            previous: head.map(|head| head.digest),
            at: self.at,
            platform,
            runtime: v("0.1.0"),
            layers: content(platform),
            domains: domains.clone(),
        };
        let jws = Jws::sign_json(Typ::Statement, &statement, &self.key(n)).unwrap();
        let head = StatementHead { sequence: statement.sequence, digest: jws.digest() };
        let running = Running { platform, runtime: v("0.1.0"), layers: content(platform) };
        let previous = statement.previous;
        self.heads.insert(id, statement);
        (jws, Statement { head, previous, running, domains })
    }

    pub fn report(&mut self, n: u8) {
        self.report_domains(n, &[]);
    }

    pub fn report_domains(&mut self, n: u8, domains: &[&str]) {
        let platform = self.instances[&id_of(n)].running.platform;
        let (jws, statement) = self.statement_of(n, platform, domains);
        self.call(n, "report", &json!({ "statement": jws }), &Command::Report(statement));
    }

    /// A statement that says the content is another than the Organism signed (ID-5).
    pub fn fork(&mut self, n: u8) {
        let platform = self.instances[&id_of(n)].running.platform;
        let head = self.instances[&id_of(n)].head;
        let id = format!("ORGANISM-v{platform}").parse().unwrap();
        let statement = VersionStatement {
            instance: id_of(n),
            sequence: head.map_or(1, |head| head.sequence + 1),
            previous: head.map(|head| head.digest),
            at: self.at,
            platform,
            runtime: v("0.1.0"),
            layers: vec![LayerContent { id, digest: Digest::of(b"other") }],
            domains: vec![],
        };
        let jws = Jws::sign_json(Typ::Statement, &statement, &self.key(n)).unwrap();
        let said = Statement {
            head: StatementHead { sequence: statement.sequence, digest: jws.digest() },
            previous: statement.previous,
            running: Running { platform, runtime: v("0.1.0"), layers: statement.layers.clone() },
            domains: vec![],
        };
        self.heads.insert(id_of(n), statement);
        self.call(n, "report", &json!({ "statement": jws }), &Command::Report(said));
    }

    pub fn begin(&mut self, n: u8) {
        let release = self.instances[&id_of(n)].offer.unwrap().release;
        let body = json!({ "release": release, "directive_serial": 1 });
        self.call(n, "upgrade/begin", &body, &Command::BeginUpgrade { release });
    }

    pub fn finish(&mut self, n: u8) {
        let release = self.instances[&id_of(n)].attempt.unwrap().release;
        let (jws, statement) = self.statement(n, release);
        let body = json!({ "release": release, "outcome": "succeeded", "statement": jws });
        self.call(n, "upgrade/finish", &body, &Command::Report(statement));
    }

    pub fn fail(&mut self, n: u8) {
        let release = self.instances[&id_of(n)].attempt.unwrap().release;
        let reason = Some("health check failed".to_owned());
        let body = json!({ "release": release, "outcome": "failed", "reason": reason });
        self.call(n, "upgrade/finish", &body, &Command::FailUpgrade { release, reason });
    }

    pub fn upgrade(&mut self, n: u8) {
        self.begin(n);
        self.finish(n);
    }

    pub fn wait(&mut self, span: Span) {
        self.at = self.at + span;
    }

    /// The law of the day, and the count of the fleet where it is due.
    pub fn begin_sweep(&mut self) {
        for event in self.world.due(self.at) {
            self.decision(None, None, vec![event], vec![]);
        }
        if self.world.is_count_due(self.at) {
            let there = self.instances.values().filter(|instance| instance.state != State::Revoked);
            let count = WorldCommand::CountFleet { instances: there.count() as u64 };
            let events = decide_world(&self.world, &count, self.at).unwrap();
            self.decision(None, None, events, vec![]);
        }
    }

    /// Everything due: rollouts first, then every instance.
    pub fn sweep(&mut self) {
        self.begin_sweep();
        for rollout in self.world.rollouts.clone() {
            let rollout = self.world.rollout(rollout.id).unwrap();
            let mut census = Census::default();
            self.instances.values().for_each(|instance| census.add(rollout, &self.world, instance));
            let events = advance(rollout, census, &self.world, self.at);
            self.decision(None, None, events, vec![]);
        }
        for id in self.instances.keys().copied().collect::<Vec<_>>() {
            self.reconcile(id);
        }
    }

    /// Which instances have something on offer.
    pub fn offered(&self) -> Vec<u8> {
        (1..=64).filter(|n| self.instances.get(&id_of(*n)).is_some_and(|i| i.offer.is_some())).collect()
    }

    pub fn head(&self) -> TreeHead {
        let mut frontier = Frontier::new();
        self.entries.iter().for_each(|entry| {
            frontier.push(leaf_hash(entry));
        });
        frontier.head()
    }

    pub fn checkpoint(&self) -> SignedCheckpoint {
        self.checkpoint_by(&self.ledger, self.head())
    }

    pub fn checkpoint_by(&self, key: &SeedKey, head: TreeHead) -> SignedCheckpoint {
        let origin = KeyName::parse(&self.keys.ledger_origin).unwrap();
        let note_key = NoteKey::new(origin.clone(), key.public_key().as_bytes()).unwrap();
        let checkpoint = Checkpoint::new(origin, head).unwrap();
        checkpoint.sign(&note_key, |text| key.sign(text)).unwrap()
    }
}
