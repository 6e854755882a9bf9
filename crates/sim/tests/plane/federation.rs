//! The federation of a run: its keys, made of fixed seeds once and for all, its law, its repository in a folder of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governance::release::RollbackInstructions;
use governance::{
    Class, Constitution, ConstitutionDocument, Digest, LayerContent, LayerStructure, Package, Person,
    Release, Span, Timestamp, TrustDomain, Version, VersionRange,
};
use proof::order::{Order, OrderAction};
use proof::{Jws, KeySet, KeysDocument, OnlineKey, Purpose, Sign as _, Typ};
use tempfile::TempDir;
use trust::tuf::{Lifetimes, Repository, RootPlan, TargetFile, TargetsChange, draft};
use trust::{Issuer, RootCa, Signer, SigningKey, Validity};

pub(crate) const DOMAIN: &str = "sim.example";

/// When every run begins.
pub(crate) fn start() -> Timestamp {
    "2026-01-01T00:00:00.000Z".parse().unwrap()
}

/// The key of a number: the same in every run.
pub(crate) fn key(kind: u8, number: u64) -> SigningKey {
    let mut der =
        vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    der.extend(seed);
    SigningKey::from_pkcs8(&der).unwrap()
}

pub(crate) fn operator(name: &str) -> Person {
    Person::operator(name.parse().unwrap())
}

/// What all runs share.
pub(crate) struct Ceremony {
    pub(crate) founder: SigningKey,
    pub(crate) organism: SigningKey,
    online: BTreeMap<Purpose, SigningKey>,
    instance_ca: SigningKey,
    instance_ca_pem: String,
    root: RootCa,
    root_pem: String,
    pub(crate) keys: KeysDocument,
    keys_document: Jws,
    constitution: Jws,
    pub(crate) law: Constitution,
}

pub(crate) static CEREMONY: LazyLock<Ceremony> = LazyLock::new(Ceremony::hold);

/// The law of the runs: rollouts that are through within hours, so that a run of days sees them to their end.
fn law() -> Constitution {
    Constitution {
        rollout_canary_duration: Span::hours(1),
        rollout_beta_duration: Span::hours(1),
        rollout_retry_after: Span::hours(6),
        upgrade_stall_after: Span::hours(3),
        compliance_report_within: Span::hours(24),
        ..Constitution::default()
    }
}

impl Ceremony {
    fn hold() -> Self {
        let (founder, organism) = (key(1, 1), key(2, 1));
        let validity =
            Validity { not_before: start() - Span::hours(24), not_after: start() + Span::hours(24 * 365) };
        let domain: TrustDomain = DOMAIN.parse().unwrap();
        let root_ca = Issuer::make_root(key(3, 1), &domain, validity).unwrap();
        let root_pem = root_ca.certificate_pem();
        let root = RootCa::from_pem(&root_pem).unwrap();
        let instance_ca = key(3, 2);
        let issued = root_ca.issue_instance_ca(instance_ca.public_key(), validity).unwrap();
        let online: BTreeMap<Purpose, SigningKey> =
            Purpose::ALL.iter().zip(10..).map(|(purpose, number)| (*purpose, key(4, number))).collect();
        let keys = KeysDocument {
            serial: 1,
            trust_domain: domain,
            issued: start(),
            founder: KeySet::single(*founder.public_key()),
            organism: KeySet::single(*organism.public_key()),
            online: online
                .iter()
                .map(|(purpose, key)| OnlineKey {
                    purpose: *purpose,
                    key: *key.public_key(),
                    not_before: validity.not_before,
                    not_after: validity.not_after,
                })
                .collect(),
            root_ca: root_pem.clone(),
            ledger_origin: format!("{DOMAIN}/ledger"),
        };
        let law = law();
        law.check().unwrap();
        let document = ConstitutionDocument { previous: None, effective: start(), parameters: law.clone() };
        Self {
            keys_document: Jws::sign_json(Typ::Keys, &keys, &founder).unwrap(),
            constitution: Jws::sign_json(Typ::Constitution, &document, &founder).unwrap(),
            instance_ca_pem: issued.to_pem(),
            founder,
            organism,
            online,
            instance_ca,
            root,
            root_pem,
            keys,
            law,
        }
    }

    fn signer(&self, purpose: Purpose) -> Signer {
        Signer::from(&self.online[&purpose])
    }

    /// What a server holds.
    pub(crate) fn federation(&self) -> plane::Federation {
        plane::Federation {
            keys: self.keys.clone(),
            keys_document: self.keys_document.clone(),
            constitution: self.constitution.clone(),
            instance_ca: Issuer::instances(&self.instance_ca_pem, &self.instance_ca, &self.root).unwrap(),
            retired_ca: None,
            bundle: self.root_pem.clone(),
            root_expires: start() + Span::hours(24 * 365),
            server_expires: start() + Span::hours(24 * 365),
            directives: self.signer(Purpose::Directives),
            ledger: self.signer(Purpose::Ledger),
            tokens: self.signer(Purpose::Tokens),
        }
    }

    /// The log's verifier: it trusts the Founder's keys alone.
    pub(crate) fn verifier(&self) -> ledger::Verifier {
        let root = KeySet::single(*self.founder.public_key());
        ledger::Verifier::new(root, Some(DOMAIN.parse().unwrap()))
    }

    /// The constitution that was first in force.
    pub(crate) fn first_law(&self) -> Digest {
        self.constitution.digest()
    }

    /// The repository in this folder.
    pub(crate) fn repository(&self, folder: &Path) -> Repository {
        let [snapshot, timestamp] =
            [Purpose::Snapshot, Purpose::Timestamp].map(|purpose| Box::new(self.online[&purpose].clone()));
        Repository::open(folder, snapshot, timestamp, Lifetimes::default()).unwrap()
    }

    /// A folder with the first root and targets, in memory where the system has room there.
    pub(crate) fn folder(&self) -> TempDir {
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()),
            false => tempfile::tempdir(),
        }
        .unwrap();
        let [snapshot, timestamp] =
            [Purpose::Snapshot, Purpose::Timestamp].map(|purpose| [*self.online[&purpose].public_key()]);
        let plan = RootPlan {
            founder: &self.keys.founder,
            organism: &self.keys.organism,
            snapshot: &snapshot,
            timestamp: &timestamp,
        };
        let until = start() + Span::hours(24 * 300);
        let mut root = draft::root_first(&plan, until).unwrap();
        root.sign(&self.founder).unwrap();
        let mut targets = draft::targets_first(TargetsChange::default(), until).unwrap();
        targets.sign(&self.organism).unwrap();
        let repository = self.repository(folder.path());
        repository.root_publish(&root.to_bytes().unwrap()).unwrap();
        repository.publish(&targets.to_bytes().unwrap(), start()).unwrap();
        folder
    }

    /// A release as the Organism signs it.
    pub(crate) fn release(&self, version: Version, class: Class) -> Release {
        let package = package(version);
        let layers = layers().into_iter();
        Release {
            version,
            class,
            advisory: None,
            package: Package {
                name: format!("package-{version}"),
                digest: Digest::of(&package),
                length: package.len() as u64,
            },
            layers: layers
                .map(|LayerContent { id, digest }| LayerStructure { id, digest, needs: vec![] })
                .collect(),
            ships_runtime: None,
            runtime: VersionRange { min: Version::new(0, 1, 0), max: Version::new(0, 2, 0) },
            from: None,
            rollback: Some(RollbackInstructions { instructions: "put the old one back".to_owned() }),
            migration: None,
            floor: None,
            deprecations: Vec::new(),
            removes: Vec::new(),
            notes: String::new(),
        }
    }

    /// What publishes it: its files are put into the repository, and the Organism lists them behind what is listed there.
    pub(crate) fn publication(&self, folder: &Path, release: &Release, now: Timestamp) -> wire::Publish {
        let signed = Jws::sign_json(Typ::Release, release, &self.organism).unwrap();
        let repository = self.repository(folder);
        let mut put = BTreeMap::new();
        for (name, bytes) in [
            (release.package.name.clone(), package(release.version)),
            (plane::rollouts::manifest_name(release.version), signed.to_json().into_bytes()),
        ] {
            put.insert(name.clone(), TargetFile::new(bytes.len() as u64, Digest::of(&bytes).as_bytes()));
            repository.target_put(&name, &mut bytes.as_slice(), wire::PACKAGE_BYTES_MAX).unwrap();
        }
        let previous = repository.targets_bytes().unwrap().unwrap();
        let change = TargetsChange { put, remove: vec![] };
        let mut targets = draft::targets_next(&previous, change, now + Span::hours(24 * 200)).unwrap();
        targets.sign(&self.organism).unwrap();
        let targets = STANDARD.encode(targets.to_bytes().unwrap());
        wire::Publish { release: signed, targets, only: Default::default(), approval: vec![] }
    }

    /// An order of the Founder.
    pub(crate) fn order(&self, serial: u64, expires: Timestamp, action: OrderAction) -> Jws {
        Jws::sign_json(Typ::Order, &Order { serial, expires, action }, &self.founder).unwrap()
    }

    /// A law that replaces the one of this digest.
    pub(crate) fn amendment(
        &self,
        replaces: Digest,
        effective: Timestamp,
        law: Constitution,
    ) -> (OrderAction, Digest) {
        let document = ConstitutionDocument { previous: Some(replaces), effective, parameters: law };
        let constitution = Jws::sign_json(Typ::Constitution, &document, &self.founder).unwrap();
        let digest = constitution.digest();
        (OrderAction::Amend { constitution, replaces, effective }, digest)
    }

    /// The keys document of this serial: it names the same keys.
    pub(crate) fn keys_order(&self, serial: u64, issued: Timestamp) -> OrderAction {
        let document = KeysDocument { serial, issued, ..self.keys.clone() };
        OrderAction::Keys {
            document: Jws::sign_json(Typ::Keys, &document, &self.founder).unwrap(),
            root: None,
        }
    }
}

fn package(version: Version) -> Vec<u8> {
    format!("the bytes of {version}").into_bytes()
}

/// The content of every release.
pub(crate) fn layers() -> Vec<LayerContent> {
    vec![LayerContent { id: "ORGANISM-v0.1.0".parse().unwrap(), digest: Digest::of(b"organism") }]
}
