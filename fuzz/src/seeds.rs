//! Inputs that each target's parser takes, made from keys that everyone knows. Fuzzing starts from them.
//!
//! Made, not kept: when a format changes, its seeds do too. What once broke a promise is kept, in `regressions/`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governance::entitlement::{ActivationRight, Entitlement, IssuedToken, TokenStatus};
use governance::{
    Constitution, ConstitutionDocument, Digest, Event, InstanceEvent, Span, SubscriptionStatus, Tier,
    Timestamp as Instant, TrustDomain, Version, WorldEvent,
};
use http::{Method, Uri};
use ledger::tree::{EMPTY_ROOT, InclusionProof, leaf_hash, node_hash};
use ledger::witness::AddCheckpoint;
use ledger::{Checkpoint, Entry, Evidence, Hash, LogProof, SignedCheckpoint, TreeHead};
use listener::proxy::SIGNATURE;
use proof::token;
use proof::tuf::{Envelope, Expires, FileMeta, Key, Metadata, RoleKeys, Roles, Root, SPEC_VERSION, Snapshot};
use proof::tuf::{TargetFile, Targets, Timestamp};
use proof::{Jws, KeySet, RequestHead, SeedKey, Sign as _, SignedRequest, Typ};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde_json::{Value, json};
use trust::ca::{Issuer, ServerHost, Validity, make_csr};
use trust::encrypted::EncryptedKey;
use trust::request::{Target, sign_request};
use trust::{RootCa, SigningKey};
use wire::Look;

use crate::logs::{log, witness_key};
use crate::updates::{SEPARATOR, SIGN_ME};

/// The instant of every target: 2026-01-01T00:00:00Z.
pub const NOW_MILLIS: i64 = 1_767_225_600_000;
/// An instance.
pub const INSTANCE: &str = "07070707-0707-4707-8707-070707070707";
/// Keys of TUF's roles: root, targets, snapshot, timestamp.
pub(crate) const TUF_SEEDS: [u8; 4] = [1, 2, 3, 4];
const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const DAY: i64 = 24;

type Seeds = Vec<Vec<u8>>;

/// The key of this seed.
pub(crate) fn key(seed: u8) -> SeedKey {
    SeedKey::new([seed; 32])
}

/// The Founder: one key of two.
pub(crate) fn founder() -> KeySet {
    KeySet::new(1, vec![*key(1).public_key(), *key(2).public_key()]).expect("two keys")
}

fn now() -> Instant {
    Instant::from_millis(NOW_MILLIS)
}

fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("it has a JSON form")
}

fn all<T: Serialize>(values: impl IntoIterator<Item = T>) -> Seeds {
    values.into_iter().map(|value| bytes(&value)).collect()
}

fn signed(typ: Typ, payload: Vec<u8>) -> Value {
    serde_json::to_value(Jws::sign(typ, payload, &key(1)).expect("it fits")).expect("it has a JSON form")
}

pub(crate) fn first(seeds: Seeds) -> Vec<u8> {
    seeds.into_iter().next().unwrap_or_default()
}

pub(crate) fn governance_texts() -> Seeds {
    [
        "2026-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999Z",
        "2024-02-29T12:34:56Z",
        "2d 6h",
        "500ms",
        "0s",
        "36525d",
        "0.1.0",
        "4294967295.0.1",
        "CELL-HR-PAY-ROLL-v0.1.0",
        "ORGANISM-v1.0.0",
        "RUNTIME-v0.2.0",
        "TIS-LEDGER-v0.1.0",
        DIGEST,
        INSTANCE,
        "https://a.example:8443/handshake",
        "https://[::1]:9/x",
        "COM",
        "webwaka.example",
        "admin-1",
        "active",
        "free",
        "canary",
        "version-drift",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([key(1).key_id().to_string().into_bytes()])
    .collect()
}

pub(crate) fn constitution() -> Seeds {
    let parameters = Constitution::default();
    let document = ConstitutionDocument { previous: None, effective: now(), parameters: parameters.clone() };
    let text = toml::to_string(&parameters).expect("it has a TOML form");
    let some: String = text.lines().take(4).flat_map(|line| [line, "\n"]).collect();
    vec![bytes(&parameters), bytes(&document), text.into_bytes(), some.into_bytes()]
}

fn release_json() -> Value {
    json!({
        "version": "0.2.0", "class": "major", "package": {"name": "package-0.2.0", "digest": DIGEST, "length": 7},
        "layers": [
            {"id": "TIS-LEDGER-v0.2.0", "digest": DIGEST, "needs": []},
            {"id": "SYS-CORE-v0.2.0", "digest": DIGEST, "needs": ["TIS-LEDGER-v0.2.0"]},
        ],
        "ships_runtime": "0.2.0", "runtime": {"min": "0.1.0", "max": "0.3.0"}, "from": ["0.1.0"],
        "rollback": {"instructions": "bind 0.1.0"}, "migration": "none", "notes": "é\"\\\n",
    })
}

pub(crate) fn release() -> Seeds {
    let matrix = json!({"rows": [{"platform": "0.2.0", "runtime": {"min": "0.1.0", "max": "0.3.0"}}]});
    all([
        release_json(),
        matrix,
        json!({"kind": ["dedicated"], "tier": ["pro"], "provider": ["acme"], "label": ["a"]}),
    ])
}

pub(crate) fn jws() -> Seeds {
    let of = |typ, seeds: Seeds| signed(typ, first(seeds));
    let mut twice = Jws::sign(Typ::Order, first(order()), &key(1)).expect("it fits");
    twice.add_signature(Typ::Order, &key(2)).expect("room");
    let mut seeds = all([
        of(Typ::Keys, keys_document()),
        of(Typ::Statement, statement()),
        of(Typ::Answer, answer()),
        of(Typ::Directive, directive()),
        of(Typ::Release, release()),
        of(Typ::Constitution, Vec::new()),
    ]);
    seeds.push(twice.to_json().into_bytes());
    seeds
}

pub(crate) fn token() -> Seeds {
    let at = |hours| Instant::from_millis(NOW_MILLIS) + Span::hours(hours);
    let issuer = token::Issuer {
        trust_domain: "fed.example".parse().expect("a name"),
        public: "https://fed.example".to_owned(),
    };
    let id = INSTANCE.parse().expect("an id");
    let issued =
        IssuedToken { index: 1, domain: None, issued: at(0), expires: at(24), content: Digest::of(b"") };
    let entitlement = Entitlement {
        audience: id,
        tier: Tier::Pro,
        domains_max: Some(10),
        custom_domains: false,
        domains: vec!["COM".parse().expect("a code")],
        subscription: SubscriptionStatus::Active,
        issued: at(0),
        expires: at(24),
    };
    let activation = ActivationRight {
        audience: id,
        domain: "COM".parse().expect("a code"),
        version: Version::new(1, 0, 0),
        digest: None,
        issued: at(0),
        expires: at(24),
    };
    let statuses = [TokenStatus::Valid, TokenStatus::Invalid, TokenStatus::Suspended].into_iter();
    let keys = json!({"keys": [key(1).public_key(), key(2).public_key()]});
    let texts = [
        keys.to_string(),
        issuer.entitlement(&entitlement, &issued, &key(1)).expect("it fits"),
        issuer.activation(&activation, &issued, &key(1)).expect("it fits"),
        issuer.status_list(id, statuses, (at(0), Span::hours(1), Span::hours(24)), &key(2)).expect("it fits"),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

pub(crate) fn keys_document() -> Seeds {
    let online = |purpose: &str, seed| {
        json!({"purpose": purpose, "key": *key(seed).public_key(), "not_before": "2026-01-01T00:00:00.000Z",
               "not_after": "2027-01-01T00:00:00.000Z"})
    };
    let document = json!({
        "serial": 1, "trust_domain": "webwaka.example", "issued": now(), "founder": founder(),
        "organism": KeySet::single(*key(3).public_key()),
        "online": [online("directives", 4), online("ledger", 5), online("snapshot", 6), online("timestamp", 7)],
        "root_ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "ledger_origin": "webwaka.example/ledger",
    });
    vec![bytes(&document), bytes(&founder())]
}

pub(crate) fn statement() -> Seeds {
    let statement = |sequence: u64, previous: Option<&str>| {
        json!({
            "instance": INSTANCE, "sequence": sequence, "previous": previous, "at": now(), "platform": "0.1.0",
            "runtime": "0.1.0", "layers": [{"id": "SYS-CORE-v0.1.0", "digest": DIGEST}], "domains": ["COM", "FIN"],
        })
    };
    all([statement(1, None), statement(2, Some(DIGEST))])
}

pub(crate) fn answer() -> Seeds {
    let answer = |statement: Option<Value>| json!({"nonce": "0123456789abcdef", "instance": INSTANCE, "at": now(), "statement": statement});
    let mut seen = answer(None);
    seen["ledger"] = json!({"checkpoints": ["fed.example/ledger\n"], "split_view": ["a", "b"]});
    all([answer(None), answer(Some(signed(Typ::Statement, first(statement())))), seen])
}

pub(crate) fn directive() -> Seeds {
    let directive = |offer: Value| {
        json!({"instance": INSTANCE, "serial": 3, "at": now(), "expires": now() + Span::hours(DAY),
               "state": "update-pending", "offer": offer})
    };
    let offer = json!({
        "release": "0.2.0", "action": "update", "rollout": INSTANCE, "phase": "canary",
        "package": {"name": "package-0.2.0", "digest": DIGEST, "length": 7}, "deadline": now(),
    });
    all([directive(offer), directive(Value::Null)])
}

pub(crate) fn order() -> Seeds {
    let order = |action: Value| json!({"serial": 1, "expires": now() + Span::hours(DAY), "do": action});
    let constitution = signed(Typ::Constitution, constitution().swap_remove(1));
    all([
        order(json!({"suspend": {"instance": INSTANCE, "reason": "it forks"}})),
        order(
            json!({"override": {"instance": INSTANCE, "finding": "version-drift", "until": now(), "reason": "a"}}),
        ),
        order(json!({"remove": {"release": "0.2.0", "capability": "x", "reason": "a"}})),
        order(json!({"keys": {"document": signed(Typ::Keys, first(keys_document()))}})),
        order(json!({"amend": {"constitution": constitution, "replaces": DIGEST, "effective": now()}})),
    ])
}

fn signed_request() -> SignedRequest {
    let head = RequestHead {
        method: "POST",
        authority: "plane.example:8443",
        path_and_query: "/v1/a?b=c",
        digest: governance::Digest::of(b""),
        created: now(),
        nonce: [3; 16],
    };
    SignedRequest::sign(head, b"{}".to_vec(), &key(1)).expect("it is in the profile")
}

pub(crate) fn request() -> Seeds {
    let request = signed_request();
    vec![request.base.clone().into_bytes(), bytes(&request)]
}

fn tuf_roles() -> (Root, Targets, Snapshot, Timestamp) {
    let id = |seed: u8| Key::of(key(seed).public_key()).id().expect("a key id");
    let role = |seed: u8| RoleKeys { keyids: vec![id(seed)], threshold: 1 };
    let [root, targets, snapshot, timestamp] = TUF_SEEDS;
    let roles = Roles {
        root: role(root),
        targets: role(targets),
        snapshot: role(snapshot),
        timestamp: role(timestamp),
    };
    let keys = TUF_SEEDS.iter().map(|seed| (id(*seed), Key::of(key(*seed).public_key()))).collect();
    let expires = Expires(now() + Span::hours(30 * DAY));
    let (spec_version, version) = (SPEC_VERSION.to_owned(), 1);
    let meta = |name: &str, version| {
        BTreeMap::from([(name.to_owned(), FileMeta { version, length: None, hashes: None })])
    };
    let of = |kind: &str| kind.to_owned();
    let spec = || spec_version.clone();
    (
        Root {
            kind: of("root"),
            spec_version: spec(),
            consistent_snapshot: true,
            version,
            expires,
            keys,
            roles,
        },
        Targets {
            kind: of("targets"),
            spec_version: spec(),
            version,
            expires,
            targets: BTreeMap::from([("package-0.1.0".to_owned(), TargetFile::of(b"package"))]),
            delegations: None,
        },
        Snapshot {
            kind: of("snapshot"),
            spec_version: spec(),
            version,
            expires,
            meta: meta("targets.json", 1),
        },
        Timestamp {
            kind: of("timestamp"),
            spec_version: spec(),
            version,
            expires,
            meta: meta("snapshot.json", 1),
        },
    )
}

fn tuf_file<T: Metadata>(metadata: &T) -> Vec<u8> {
    let mut envelope = Envelope::new(metadata).expect("it has a JSON form");
    TUF_SEEDS.iter().try_for_each(|seed| envelope.sign(&key(*seed))).expect("it can be signed");
    envelope.to_bytes().expect("it can be written")
}

pub(crate) fn tuf_document() -> Seeds {
    let (root, targets, snapshot, timestamp) = tuf_roles();
    vec![tuf_file(&root), tuf_file(&targets), tuf_file(&snapshot), tuf_file(&timestamp)]
}

/// The generator of P-256 as a public key: nobody knows a signature by it.
const P256: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n\
    6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n\
    -----END PUBLIC KEY-----\n";

pub(crate) fn tuf_foreign() -> Seeds {
    let foreign = |keyid: &str| json!({"keyid": keyid, "sig": "3006020101020101"});
    let key = json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": P256}});
    let id = serde_json::from_value::<Key>(key.clone()).ok().and_then(|key| key.id().ok()).expect("a key id");
    let role = |scope: Value| {
        let mut role = json!({"name": "a", "keyids": [id], "threshold": 1, "terminating": true});
        if let (Some(role), Some(scope)) = (role.as_object_mut(), scope.as_object()) {
            role.extend(scope.clone());
        }
        role
    };
    let targets = |delegated: Value| {
        let mut signed = serde_json::to_value(tuf_roles().1).expect("it has a JSON form");
        signed["delegations"] = delegated;
        bytes(&json!({"signatures": [foreign(&id)], "signed": signed}))
    };
    let keys = json!({&id: key});
    let succinct = json!({"keyids": [id], "threshold": 1, "bit_length": 9, "name_prefix": "bin"});
    vec![
        targets(json!({"keys": keys, "roles": [role(json!({"paths": ["*", "dir/?ile", "[a-z]*.tgz"]}))]})),
        targets(json!({"keys": keys, "roles": [role(json!({"path_hash_prefixes": ["a", "0f"]}))]})),
        targets(json!({"keys": keys, "succinct_roles": succinct})),
    ]
}

pub(crate) fn tuf_updater() -> Seeds {
    let (root, targets, snapshot, timestamp) = tuf_roles();
    let sign_me = |json: Vec<u8>| [vec![SIGN_ME], json].concat();
    let [r, t, s, ts] = [bytes(&root), bytes(&targets), bytes(&snapshot), bytes(&timestamp)].map(sign_me);
    let none = Vec::new;
    // Nothing kept but the root; then all kept, a second root and newer metadata.
    let fresh = [r.clone(), none(), none(), none(), none(), ts.clone(), s.clone(), t.clone()];
    let second = sign_me(bytes(&Root { version: 2, ..root }));
    let meta = |name: &str, bytes: &[u8]| BTreeMap::from([(name.to_owned(), FileMeta::of(2, bytes))]);
    let targets = tuf_file(&Targets { version: 2, ..targets });
    let snapshot = tuf_file(&Snapshot { version: 2, meta: meta("targets.json", &targets), ..snapshot });
    let newer = tuf_file(&Timestamp { version: 2, meta: meta("snapshot.json", &snapshot), ..timestamp });
    let kept = [r.clone(), ts.clone(), s.clone(), t.clone(), second, none(), newer, snapshot, targets];
    let same = [r, ts.clone(), s, t, none(), ts];
    vec![fresh.join(&SEPARATOR), kept.join(&SEPARATOR), same.join(&SEPARATOR)]
}

pub(crate) fn entry() -> Seeds {
    let trust_domain: TrustDomain = "webwaka.example".parse().expect("a trust domain");
    let instance = INSTANCE.parse().expect("an id");
    let of = |event: InstanceEvent| Event::Instance(instance, event);
    let document =
        ConstitutionDocument { previous: None, effective: now(), parameters: Constitution::default() };
    let ratified = WorldEvent::ConstitutionRatified {
        digest: governance::Digest::of(b""),
        document: Box::new(document),
    };
    let jws = |typ, payload| Evidence::Document(Jws::sign(typ, payload, &key(1)).expect("it fits"));
    let digest = Some(governance::Digest::of(b""));
    let entries = [
        Entry::new(
            now(),
            None,
            None,
            Event::World(WorldEvent::Founded { trust_domain }),
            jws(Typ::Keys, Vec::new()),
        ),
        Entry::new(now(), None, None, Event::World(ratified), Evidence::Preceding { back: 1 }),
        Entry::new(
            now(),
            Some("operator/admin".into()),
            digest,
            of(InstanceEvent::RetryAsked { release: governance::Version::new(0, 2, 0) }),
            Evidence::Request(signed_request()),
        ),
        Entry::federation(
            now(),
            None,
            digest,
            of(InstanceEvent::ClocksTurned { drift: false, security: true, since: now() }),
            &key(1),
        )
        .expect("an entry"),
    ];
    entries.iter().map(|entry| entry.encode().expect("it fits")).collect()
}

pub(crate) fn tile() -> Seeds {
    let tile = |path: &str, content: &[u8]| [path.as_bytes(), b"\n", content].concat();
    vec![
        tile("tile/0/000.p/2", &[7; 64]),
        tile("tile/7/x001/x234/067.p/1", &[7; 32]),
        tile("tile/0/000", &[7; 256 * 32]),
        tile("tile/entries/x001/000.p/3", b"\x00\x01a\x00\x00\x00\x02bc"),
        b"tile/entries/x281/x474/x976/x710/x655".to_vec(),
        b"tile/entries/x072/x057/x594/x037/x927/935".to_vec(),
    ]
    .into_iter()
    .filter(|seed| crate::tile(seed))
    .collect()
}

pub(crate) fn note() -> Seeds {
    let one = checkpoint(1, leaf_hash(b""));
    let texts = [
        checkpoint(0, EMPTY_ROOT).to_string(),
        witnessed(&one),
        one.to_string(),
        one.unverified().to_string(),
        log().to_string(),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

fn checkpoint(size: u64, root: Hash) -> SignedCheckpoint {
    let checkpoint = Checkpoint::new(log().name().clone(), TreeHead { size, root }).expect("a checkpoint");
    let signature = key(5).sign(checkpoint.to_string().as_bytes()).expect("it signs");
    checkpoint.signed(&log(), &signature).expect("it is signed")
}

fn witnessed(checkpoint: &SignedCheckpoint) -> String {
    format!("{checkpoint}\u{2014} witness.example/w AAAAAAAAAAAB\n")
}

pub(crate) fn log_proof() -> Seeds {
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let (one, two) = (checkpoint(1, a), checkpoint(2, node_hash(&a, &b)));
    let proof = |index, path, entry: &[u8], head: SignedCheckpoint| {
        let size = head.unverified().head().size;
        LogProof::new(InclusionProof { index, size, path }, entry.to_vec(), head).to_string()
    };
    let alone = proof(0, Vec::new(), b"a", one.clone());
    let witnessed = alone.replace(&one.to_string(), &witnessed(&one));
    let texts = [alone, witnessed, proof(0, vec![b], b"a", two.clone()), proof(1, vec![a], b"b", two)];
    texts.into_iter().map(String::into_bytes).collect()
}

/// A checkpoint that a witness is asked to cosign.
pub(crate) fn witnessed_checkpoint() -> SignedCheckpoint {
    checkpoint(1, leaf_hash(b"a"))
}

pub(crate) fn witness() -> Seeds {
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let (one, two) = (witnessed_checkpoint(), checkpoint(2, node_hash(&a, &b)));
    let asked = |old, proof, head: &SignedCheckpoint| {
        AddCheckpoint::new(old, proof, head.clone()).expect("a request").to_string()
    };
    let sign = |message: &[u8]| key(6).sign(message);
    let line = witness_key().cosign(one.unverified(), 1_700_000_000, sign).expect("it is signed");
    let texts = [
        asked(0, Vec::new(), &one),
        asked(1, vec![b], &two),
        asked(1, Vec::new(), &one),
        format!("{line}\n"),
        witness_key().to_string(),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

pub(crate) fn merkle_proof() -> Seeds {
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let root = node_hash(&a, &b);
    let proof = |numbers: [u64; 3], hashes: &[ledger::Hash]| {
        let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
        numbers.chain(hashes.iter().flat_map(|hash| *hash.as_bytes())).collect::<Vec<u8>>()
    };
    vec![proof([0, 1, 2], &[a, a, root, b]), proof([1, 0, 2], &[b, EMPTY_ROOT, root, a])]
}

/// A root CA, an instance CA under it, and one certificate of each kind, made from known keys.
pub(crate) struct Authority {
    pub(crate) trust_domain: TrustDomain,
    pub(crate) root: RootCa,
    pub(crate) intermediate: CertificateDer<'static>,
    leaves: Seeds,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let trust_domain: TrustDomain = "webwaka.example".parse().expect("a trust domain");
        let name: governance::OperatorName = "admin".parse().expect("a name");
        let validity = Validity {
            not_before: Instant::from_millis(NOW_MILLIS - 1_000),
            not_after: now() + Span::hours(DAY),
        };
        let root = Issuer::make_root(private_key(8), &trust_domain, validity).expect("a root");
        let pem = root.certificate_pem();
        let root_ca = RootCa::from_pem(&pem).expect("a root");
        let made = root.issue_instance_ca(private_key(9).public_key(), validity).expect("an instance CA");
        let instances = Issuer::instances(&made.to_pem(), private_key(9), &root_ca).expect("an instance CA");
        let leaf = *key(1).public_key();
        let id = INSTANCE.parse().expect("an id");
        let hosts = [ServerHost::from("localhost"), ServerHost::from("127.0.0.1")];
        let issued = [
            instances.issue_instance(id, &leaf, validity).expect("an instance"),
            root.issue_person(&governance::Person::operator(name.clone()), &leaf, validity)
                .expect("an operator"),
            root.issue_server(&name, &hosts, &leaf, validity).expect("a server"),
        ];
        let leaves =
            issued.iter().filter_map(|issued| issued.chain.first()).map(|leaf| leaf.to_vec()).collect();
        let intermediate = made.chain.first().cloned().expect("a certificate");
        Self { trust_domain, root: root_ca, intermediate, leaves }
    }

    /// Whether this certificate was issued to a peer.
    pub(crate) fn issued(&self, der: &[u8]) -> bool {
        self.leaves.iter().any(|leaf| leaf == der)
    }

    fn certificates(&self) -> Seeds {
        let authorities = [self.root.certificate().to_vec(), self.intermediate.to_vec()];
        authorities.into_iter().chain(self.leaves.iter().cloned()).collect()
    }
}

/// The private key of this seed: PKCS#8, version 1.
fn private_key(seed: u8) -> SigningKey {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    SigningKey::from_pkcs8(&[head.as_slice(), &[seed; 32]].concat()).expect("a key")
}

pub(crate) fn x509() -> Seeds {
    crate::peers::authority().certificates()
}

pub(crate) fn pem() -> Seeds {
    let chain: Vec<_> = x509().into_iter().map(CertificateDer::from).collect();
    let one = trust::pem::encode_certificates(chain.iter().take(1));
    vec![trust::pem::encode_certificates(&chain).into_bytes(), one.into_bytes()]
}

pub(crate) fn csr() -> Seeds {
    let pem = make_csr(&private_key(1)).expect("a request");
    let der = rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    vec![der.to_vec(), pem.into_bytes()]
}

pub(crate) fn key_source() -> Seeds {
    [
        "pkcs11:token=fed;object=ledger?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/pin",
        "pkcs11:manufacturer=m;serial=0a;model=x;slot-id=7;id=%01%FF;type=private",
        "pkcs11:?pin-source=file:///etc/pin",
        "pkcs11:object=a%3Bb?pin-source=$CREDENTIALS_DIRECTORY/pin",
    ]
    .map(Vec::from)
    .into()
}

/// Made by OpenSSL 3, as cheap as they can be, under the passphrase `seed`.
const CHEAP_KEYS: [&str; 2] = [
    "MIGaMFYGCSqGSIb3DQEFDTBJMCgGCSqGSIb3DQEFDDAbBAjqVyJcQoRTIQIBATAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQX/LuCtb2gvsU\
     JURh1hL5lgRAmTS39GsuVFe+ADvEBu/8wMt4pTme/JcqEKOps2FcstMPLekliWlezYBX0v5pphzrXrv/n1k1r52KKji1ms2bjw==",
    "MIGSME4GCSqGSIb3DQEFDTBBMCAGCSsGAQQB2kcECzATBAiuJ18T7n5MTQIBAgIBAQIBATAdBglghkgBZQMEASoEEPNBtDQi8vlCem1VFNY8AYYE\
     QG/CYfVB+Xzun8ls+LisAl/AiODGCvA4pqM2wCjJ31AXeLWFF+PYtxESn5HL5EgHZzDfHwNeLwyePWMq0sdlY4U=",
];

pub(crate) fn encrypted_key() -> Seeds {
    let mut seeds: Seeds = CHEAP_KEYS.iter().map(|text| STANDARD.decode(text).expect("base64")).collect();
    for seed in &seeds {
        let key = EncryptedKey::from_der(seed).expect("it is taken");
        assert!(key.open(crate::keys::passphrase()).is_some(), "it opens");
    }
    let sealed = EncryptedKey::seal(&private_key(1), crate::keys::passphrase()).expect("it is encrypted");
    seeds.push(sealed.into_bytes());
    seeds
}

pub(crate) fn request_head() -> Seeds {
    let request = |method: Method, uri: &str, line: &str, body: &str| {
        let parsed: Uri = uri.parse().expect("a URI");
        let target = Target::sent(&method, &parsed).expect("a target");
        let fields =
            sign_request(&target, body.as_bytes(), now(), [3; 16], &key(1)).expect("it is in the profile");
        let fields =
            fields.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().expect("text")));
        format!("{line}\n{}\n{body}", fields.collect::<String>()).into_bytes()
    };
    let http_1 = "POST /v1/a?b=c\nhost: plane.example:8443";
    vec![
        request(Method::POST, "https://plane.example:8443/v1/a?b=c", http_1, "{}"),
        request(Method::GET, "https://plane.example/", "GET https://Plane.example:443/", ""),
    ]
}

pub(crate) fn events() -> Seeds {
    let look = |why: &str, within_ms| Look { why: why.to_owned(), within_ms }.to_event();
    let (security, offer) = (look("security", 0), look("offer", 15_000));
    let texts = [security.clone(), format!(":\n\n{offer}:\n\n{security}"), offer.replace('\n', "\r\n")];
    texts.into_iter().map(String::into_bytes).collect()
}

pub(crate) fn proxy() -> Seeds {
    let header = |command: u8, family: u8, rest: &[u8]| {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE, [command, family].as_slice(), &length, rest].concat()
    };
    let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0x20, 0xfb];
    let more = [v4.as_slice(), &[0x04, 0, 2, 0xaa, 0xbb]].concat();
    vec![
        header(0x21, 0x11, &v4),
        header(0x21, 0x11, &more),
        header(0x21, 0x21, &[7; 36]),
        header(0x20, 0, &[]),
    ]
}

pub(crate) fn wire() -> Seeds {
    let (at, statement) = (now(), signed(Typ::Statement, first(statement())));
    let finding = json!({"code": "version-drift", "rule": "CO-1", "since": at, "cleared_by": "an update"});
    let csr = String::from_utf8_lossy(&csr().swap_remove(1)).into_owned();
    let directive = signed(Typ::Directive, first(directive()));
    all([
        json!({"secret": "s", "csr": csr, "metadata": {
            "platform": "0.1.0", "runtime": "0.1.0", "layers": [{"id": "SYS-CORE-v0.1.0", "digest": DIGEST}],
            "domains": ["COM"], "tier": "pro", "endpoint": "https://a.example:8443"}}),
        json!({"csr": csr, "key": DIGEST, "chain_head": DIGEST}),
        json!({"statement": statement}),
        json!({"release": "0.2.0", "directive_serial": 3}),
        json!({"release": "0.2.0", "outcome": "succeeded", "statement": statement}),
        json!({"state": "active", "since": at, "findings": [finding],
               "handshake_required": false, "directive": directive, "interval_ms": 20000}),
        json!({"kind": "dedicated", "tier": "enterprise", "provider": "acme", "labels": ["a"]}),
        json!({"release": signed(Typ::Release, bytes(&release_json())), "targets": STANDARD.encode(first(tuf_document())),
               "only": {"tier": ["pro"]}, "approval": ["ga"]}),
        json!({"order": signed(Typ::Order, first(order()))}),
        json!({"tier": "free", "status": "active"}),
        json!({"from": 0, "entries": entry().iter().map(|entry| STANDARD.encode(entry)).collect::<Vec<_>>()}),
        json!({"trust_domain": "webwaka.example", "states": {"active": 3}, "ledger": 9, "constitution": DIGEST,
               "red_switch": false}),
        json!({"type": "/problems/a", "title": "a", "status": 409, "detail": "b", "code": "a",
               "reasons": [{"code": "a", "rule": "RL-6", "detail": "b", "hint": "c"}]}),
    ])
}
