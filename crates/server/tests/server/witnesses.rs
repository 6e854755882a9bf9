//! The publisher and its witnesses (LG-2): what is shown, what waits, what goes before the Founder.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ledger::memory::MemoryLog;
use ledger::witness::AddCheckpoint;
use ledger::{NoteKey, SignedCheckpoint, TreeHead, WitnessKey};
use plane::ports::{Answering, Challenger, Cosigner, Cosigning, Question, Unanswered, WitnessAnswer};
use plane::publication::{CHECKPOINT, Files, Publisher};
use plane::witnesses::{Witness, Witnesses};
use proof::challenge::{Answer, LedgerSeen};
use proof::{SeedKey, Sign as _};
use server::Plane;
use trust::SigningKey;
use wire::ChallengeOutcome;

use crate::challenge::checkpoint_of;
use crate::common::{Answered, World, now};

/// How a witness of a test behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// By the protocol.
    Honest,
    /// It cannot be reached.
    Away,
    /// It never answers.
    Silent,
    /// This status, whatever is asked.
    Says(u16),
    /// By the protocol, and the answer is lost.
    Lost,
    /// It signs with another key than its own.
    Forging,
}

/// Witnesses in memory, by their address.
#[derive(Default)]
pub(crate) struct Fakes {
    all: Mutex<BTreeMap<String, Fake>>,
    asked: AtomicUsize,
}

struct Fake {
    log: NoteKey,
    head: TreeHead,
    mood: Mood,
    secret: SeedKey,
    key: WitnessKey,
}

fn secret(n: u8) -> SeedKey {
    SeedKey::new([100 + n; 32])
}

fn witness_key(n: u8) -> WitnessKey {
    let name = format!("witness.example/{n}").parse().unwrap();
    WitnessKey::new(name, secret(n).public_key().as_bytes()).unwrap()
}

fn keys() -> Vec<WitnessKey> {
    (0..3).map(witness_key).collect()
}

impl Fakes {
    /// Three of them, of a log with this key.
    fn of(log: &NoteKey) -> Arc<Self> {
        let fakes = Self::default();
        for n in 0..3 {
            let (secret, key, log) = (secret(n), witness_key(n), log.clone());
            let fake = Fake { log, head: TreeHead::EMPTY, mood: Mood::Honest, secret, key };
            fakes.all.lock().unwrap().insert(format!("https://w{n}"), fake);
        }
        Arc::new(fakes)
    }

    fn behave(&self, moods: [Mood; 3]) {
        for (fake, mood) in self.all.lock().unwrap().values_mut().zip(moods) {
            fake.mood = mood;
        }
    }

    /// What the first of them cosigned last.
    fn head(&self) -> TreeHead {
        self.all.lock().unwrap()["https://w0"].head
    }

    fn heads(&self) -> Vec<u64> {
        self.all.lock().unwrap().values().map(|fake| fake.head.size).collect()
    }

    fn remember(&self, head: TreeHead) {
        self.all.lock().unwrap().values_mut().for_each(|fake| fake.head = head);
    }

    fn witnesses(self: &Arc<Self>, quorum: usize) -> Option<Witnesses> {
        let named = |n: u8| Witness { key: witness_key(n), url: format!("https://w{n}") };
        Some(Witnesses::new(Arc::clone(self) as _, quorum, (0..3).map(named).collect()))
    }
}

impl Fake {
    fn answer(&mut self, request: &str) -> WitnessAnswer {
        let request = AddCheckpoint::parse(request.as_bytes()).unwrap();
        match request.judge(&self.head, std::slice::from_ref(&self.log)) {
            Ok(checkpoint) => {
                self.head = *checkpoint.head();
                let line = self.key.cosign(checkpoint, 1_800_000_000, |m| self.secret.sign(m)).unwrap();
                WitnessAnswer { status: 200, body: format!("{line}\n").into() }
            }
            Err(refusal) => WitnessAnswer { status: refusal.status(), body: refusal.body().into() },
        }
    }
}

impl Cosigner for Fakes {
    fn ask<'a>(&'a self, url: &'a str, request: String) -> Cosigning<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut all = self.all.lock().unwrap();
        let fake = all.get_mut(url).unwrap();
        let gone = || Err(Unanswered("nobody there".to_owned()));
        let answer = match fake.mood {
            Mood::Honest => Ok(fake.answer(&request)),
            Mood::Away => gone(),
            Mood::Silent => return Box::pin(std::future::pending()),
            Mood::Says(status) => Ok(WitnessAnswer { status, body: b"a stranger's words\n".to_vec() }),
            Mood::Lost => {
                fake.answer(&request);
                gone()
            }
            Mood::Forging => {
                let text = fake.answer(&request);
                let other = request.replace("\n\n", "\n");
                let line = String::from_utf8(text.body).unwrap();
                let wrong = secret(9).sign(other.as_bytes()).unwrap();
                let id = base64::Engine::encode(
                    &base64::engine::general_purpose::STANDARD,
                    [&fake.key.id().0[..], &[0; 8], &wrong].concat(),
                );
                let name = line.split(' ').nth(1).unwrap();
                Ok(WitnessAnswer { status: 200, body: format!("\u{2014} {name} {id}\n").into() })
            }
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Files in memory, of which the write of this number fails.
#[derive(Clone, Default)]
struct Memory {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    until_failure: Arc<Mutex<Option<usize>>>,
}

impl Memory {
    fn checkpoint(&self) -> Option<SignedCheckpoint> {
        self.read(CHECKPOINT).unwrap().map(|bytes| SignedCheckpoint::parse(&bytes).unwrap())
    }

    /// Who cosigned what is shown, and its size.
    fn shown(&self, key: &NoteKey) -> (u64, usize) {
        let Some(signed) = self.checkpoint() else { return (0, 0) };
        (signed.verify(key).unwrap().head().size, signed.witnesses(&keys()).len())
    }
}

impl Files for Memory {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.lock().unwrap().get(path).cloned())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut until = self.until_failure.lock().unwrap();
        match until.as_mut() {
            Some(0) => return Err(io::Error::other("no room")),
            Some(left) => *left -= 1,
            None => {}
        }
        self.files.lock().unwrap().insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }
}

/// A plane, its ledger's key, three witnesses, and a publisher beside the server's own.
struct Stage {
    world: World,
    key: NoteKey,
    fakes: Arc<Fakes>,
    files: Memory,
}

impl Stage {
    async fn set() -> Self {
        let world = World::start().await;
        let key = world.ledger_key();
        Self { fakes: Fakes::of(&key), key, world, files: Memory::default() }
    }

    fn plane(&self) -> &Arc<Plane> {
        self.world.plane()
    }

    fn publisher(&self, quorum: usize) -> Publisher<Memory> {
        Publisher::open(self.plane(), self.files.clone(), self.fakes.witnesses(quorum)).unwrap()
    }

    async fn committed(&self) -> u64 {
        plane::Store::entry_count(self.plane().store()).await.unwrap()
    }

    async fn escalations(&self) -> Vec<String> {
        let open = self.world.client(&self.world.operator()).escalations().await.unwrap().items;
        open.into_iter().filter(|open| open.rule == "LG-2").map(|open| open.facts).collect()
    }

    /// Every entry that is shown is proved by what is stored.
    async fn proved(&self) {
        let size = self.files.shown(&self.key).0;
        for position in [0, size / 2, size - 1] {
            let proof = self.plane().proof(&self.files, position).await.unwrap();
            assert_eq!(proof.verify(&self.key).unwrap().head.size, size);
        }
    }
}

#[tokio::test]
async fn lg_2_what_is_shown_carries_the_cosignatures_of_a_quorum() {
    let stage = Stage::set().await;
    let mut publisher = stage.publisher(2);
    for (moods, cosigned) in [
        ([Mood::Honest; 3], 3),
        ([Mood::Honest, Mood::Away, Mood::Honest], 2),
        ([Mood::Says(422), Mood::Honest, Mood::Honest], 2),
        ([Mood::Honest, Mood::Honest, Mood::Forging], 2),
        ([Mood::Honest, Mood::Honest, Mood::Says(500)], 2),
        ([Mood::Honest; 3], 3),
    ] {
        stage.world.enrol().await;
        stage.fakes.behave(moods);
        let size = publisher.publish(stage.plane()).await.unwrap();
        assert_eq!(stage.files.shown(&stage.key), (size, cosigned), "{moods:?}");
        assert_eq!(publisher.waiting(), 0);
        stage.proved().await;
    }
    assert!(stage.escalations().await.is_empty());
    // Nothing new is asked for nothing new.
    let asked = stage.fakes.asked.load(Ordering::SeqCst);
    let shown = stage.files.shown(&stage.key).0;
    while publisher.publish(stage.plane()).await.unwrap() != stage.committed().await {}
    if stage.files.shown(&stage.key).0 == shown {
        assert_eq!(stage.fakes.asked.load(Ordering::SeqCst), asked);
    }
}

#[tokio::test]
async fn lg_2_while_witnesses_are_away_nothing_new_is_shown_and_decisions_go_on() {
    let stage = Stage::set().await;
    let mut publisher = stage.publisher(2);
    let before = publisher.publish(stage.plane()).await.unwrap();
    stage.fakes.behave([Mood::Honest, Mood::Away, Mood::Away]);
    for _ in 0..300 {
        stage.world.enrol().await;
    }
    for _ in 0..3 {
        assert_eq!(publisher.publish(stage.plane()).await.unwrap(), before);
        stage.world.enrol().await;
    }
    assert_eq!(stage.files.shown(&stage.key), (before, 3), "what was shown stays");
    assert!(publisher.waiting() >= 300);
    let stands: Vec<&str> = publisher.witnesses().map(|(_, stand)| stand.as_str()).collect();
    assert_eq!(stands, ["cosigned", "away", "away"]);
    assert!(stage.escalations().await.is_empty(), "to be away is not to refuse");
    // Back again, they cosign the log as it is by now, from wherever each of them stood.
    stage.fakes.behave([Mood::Honest; 3]);
    let size = publisher.publish(stage.plane()).await.unwrap();
    assert_eq!((stage.files.shown(&stage.key), stage.fakes.heads()), ((size, 3), vec![size; 3]));
    stage.proved().await;
}

/// An instance that saw one checkpoint.
struct Saw(Arc<SigningKey>, String);

impl Challenger for Saw {
    fn ask(&self, question: Question) -> Answering<'_> {
        let Question { instance, nonce, .. } = question;
        let ledger = Some(LedgerSeen { checkpoints: vec![self.1.clone()], split_view: None });
        let answer = Answer { nonce, instance, at: now(), statement: None, ledger };
        Box::pin(std::future::ready(Ok(answer.sign(&*self.0).unwrap())))
    }
}

/// A witness tells its instances what it cosigned: it may be signed, and not published.
#[tokio::test]
async fn hs_8_lg_2_a_checkpoint_that_waits_for_witnesses_is_not_of_another_ledger() {
    let stage = Stage::set().await;
    let key = SigningKey::load(&stage.world.path("keys/federation/ledger.key")).unwrap();
    let (id, who) = stage.world.active().await;
    let mut publisher = stage.publisher(2);
    let before = publisher.publish(stage.plane()).await.unwrap();
    stage.fakes.behave([Mood::Honest, Mood::Away, Mood::Away]);
    for _ in 0..300 {
        stage.world.enrol().await;
    }
    assert_eq!(publisher.publish(stage.plane()).await.unwrap(), before);
    let waits = stage.fakes.head();
    assert!(waits.size >= before + 300);
    // A size that this plane never signed.
    let mut log = MemoryLog::new();
    for entry in plane::Store::entry_page(stage.plane().store(), 0, waits.size as usize - 7).await.unwrap() {
        log.append(&entry).unwrap();
    }
    let between = log.publish().unwrap();
    let root = ledger::Hash::new([7; 32]);
    let unpublished = Memory::default();
    for (files, head, words) in [
        (&stage.files, waits, None),
        (&stage.files, between, None),
        (&unpublished, between, None),
        (&stage.files, TreeHead { root, ..waits }, Some("this one has root")),
        (&stage.files, TreeHead { root, ..between }, Some("this one has root")),
        (&unpublished, TreeHead { root, ..between }, Some("this one has root")),
        (&stage.files, TreeHead { size: waits.size + 1_000, root }, Some("entries")),
        (&stage.files, TreeHead { size: before - 1, root }, Some("this one has root")),
    ] {
        let saw = Saw(Arc::clone(&who.key), checkpoint_of(head, &key));
        let view = stage.plane().challenge(id, Some(&saw), files).await.unwrap();
        let expected = words.map_or(ChallengeOutcome::Confirmed, |_| ChallengeOutcome::OtherLedger);
        assert_eq!(view.outcome, expected, "{head:?} {view:?}");
        let detail = view.detail.unwrap_or_default();
        assert!(words.is_none_or(|words| detail.contains(words)), "{head:?} {detail}");
        assert_eq!(stage.escalations().await.len(), usize::from(words.is_some()), "{head:?}");
    }
}

#[tokio::test]
async fn lg_2_one_that_never_answers_holds_up_nothing_that_the_others_make_a_quorum_for() {
    let stage = Stage::set().await;
    stage.fakes.behave([Mood::Honest, Mood::Silent, Mood::Honest]);
    let mut publisher = stage.publisher(2);
    let published = tokio::time::timeout(Duration::from_secs(3), publisher.publish(stage.plane()));
    let size = published.await.expect("well before the time of the slowest is over").unwrap();
    assert_eq!(stage.files.shown(&stage.key), (size, 2));
}

#[tokio::test]
async fn lg_2_fo_2_a_quorum_that_refuses_stops_publication_and_goes_before_the_founder_once() {
    let stage = Stage::set().await;
    let mut publisher = stage.publisher(2);
    let before = publisher.publish(stage.plane()).await.unwrap();
    stage.world.enrol().await;
    stage.fakes.behave([Mood::Says(422), Mood::Away, Mood::Says(409)]);
    assert_eq!(publisher.publish(stage.plane()).await.unwrap(), before);
    let facts = stage.escalations().await;
    assert_eq!(facts.len(), 1);
    for part in ["2 of 3", "witness.example/0: 422, it is not", "witness.example/2: 409, it has"] {
        assert!(facts[0].contains(part), "{facts:?}");
    }
    assert!(!facts[0].contains("stranger"), "nobody else writes into the ledger: {facts:?}");
    // They are let be for a while, also when the log has grown.
    let asked = stage.fakes.asked.load(Ordering::SeqCst);
    stage.world.enrol().await;
    assert_eq!(publisher.publish(stage.plane()).await.unwrap(), before);
    assert_eq!(stage.fakes.asked.load(Ordering::SeqCst), asked);
    // A plane that starts anew asks anew, and says it no second time.
    let mut again = stage.publisher(2);
    assert_eq!(again.publish(stage.plane()).await.unwrap(), before);
    assert_eq!(stage.escalations().await, facts);
    assert_eq!(stage.files.shown(&stage.key), (before, 3));
    stage.fakes.behave([Mood::Honest; 3]);
    let mut again = stage.publisher(2);
    assert!(again.publish(stage.plane()).await.unwrap() > before);
    stage.world.lawful().await;
}

#[tokio::test]
async fn lg_2_no_other_history_than_the_one_that_was_cosigned_is_shown() {
    let stage = Stage::set().await;
    let mut publisher = stage.publisher(1);
    publisher.publish(stage.plane()).await.unwrap();
    let size = stage.committed().await;
    let other = ledger::Hash::new([7; 32]);
    // They cosigned another log under the same key: longer than this one, shorter, and as long.
    for known in [size + 500, 2] {
        stage.fakes.remember(TreeHead { size: known, root: other });
        let files = Memory::default();
        let mut forger = Publisher::open(stage.plane(), files.clone(), stage.fakes.witnesses(1)).unwrap();
        assert_eq!(forger.publish(stage.plane()).await.unwrap(), 0, "{known}");
        assert!(files.checkpoint().is_none(), "{known}");
        assert_eq!(stage.escalations().await.len(), 1);
    }
    let files = Memory::default();
    let mut forger = Publisher::open(stage.plane(), files.clone(), stage.fakes.witnesses(1)).unwrap();
    stage.fakes.remember(TreeHead { size: stage.committed().await, root: other });
    assert_eq!(forger.publish(stage.plane()).await.unwrap(), 0);
    assert!(files.checkpoint().is_none());
}

#[tokio::test]
async fn lg_2_the_publisher_takes_up_wherever_it_was_cut_off() {
    let stage = Stage::set().await;
    let mut publisher = stage.publisher(2);
    publisher.publish(stage.plane()).await.unwrap();
    let mut cut = 0;
    loop {
        stage.world.enrol().await;
        let before = stage.files.shown(&stage.key);
        *stage.files.until_failure.lock().unwrap() = Some(cut);
        let failed = publisher.publish(stage.plane()).await.is_err();
        *stage.files.until_failure.lock().unwrap() = None;
        if !failed {
            break;
        }
        assert_eq!(stage.files.shown(&stage.key), before, "cut off at write {cut}");
        // Once the same publisher goes on, once another one, as after a crash; what the witnesses cosigned ran ahead.
        if cut % 2 == 1 {
            publisher = stage.publisher(2);
        }
        let size = publisher.publish(stage.plane()).await.unwrap();
        assert_eq!(stage.files.shown(&stage.key), (size, 3));
        assert_eq!(stage.fakes.heads(), vec![size; 3]);
        stage.proved().await;
        cut += 1;
    }
    assert!(cut >= 3, "a bundle, a tile, the checkpoint: {cut} writes");
    // The answers were lost, and the witnesses are ahead of all that is shown.
    stage.world.enrol().await;
    stage.fakes.behave([Mood::Lost; 3]);
    let before = stage.files.shown(&stage.key);
    publisher.publish(stage.plane()).await.unwrap();
    assert_eq!(stage.files.shown(&stage.key), before);
    assert!(stage.fakes.heads().iter().all(|head| *head > before.0));
    stage.fakes.behave([Mood::Honest; 3]);
    let mut publisher = stage.publisher(2);
    let size = publisher.publish(stage.plane()).await.unwrap();
    assert_eq!(stage.files.shown(&stage.key), (size, 3));
    assert!(stage.escalations().await.is_empty());
}

#[tokio::test]
async fn lg_2_a_log_that_had_no_witnesses_shows_its_checkpoint_anew_with_theirs() {
    let stage = Stage::set().await;
    let mut alone = Publisher::open(stage.plane(), stage.files.clone(), None).unwrap();
    let size = alone.publish(stage.plane()).await.unwrap();
    assert_eq!(stage.files.shown(&stage.key), (size, 0));
    let mut witnessed = stage.publisher(3);
    let size = witnessed.publish(stage.plane()).await.unwrap();
    assert_eq!(stage.files.shown(&stage.key), (size, 3));
    // Nothing waits for a quorum of none, and whoever cosigns is carried all the same.
    stage.fakes.behave([Mood::Away, Mood::Says(403), Mood::Honest]);
    stage.world.enrol().await;
    let mut free = stage.publisher(0);
    let size = free.publish(stage.plane()).await.unwrap();
    assert_eq!(stage.files.shown(&stage.key), (size, 1));
    assert!(stage.escalations().await.is_empty());
}

#[tokio::test]
async fn lg_2_a_server_tells_what_its_witnesses_say() {
    let mut world = World::make(|_, settings| {
        settings.ledger.quorum = 2;
        let named = |n: u8| server::settings::Witness { key: witness_key(n), url: format!("https://w{n}") };
        settings.ledger.witness = (0..3).map(named).collect();
    });
    // Nobody would ask them.
    let refused = server::start(world.settings.clone()).await.err().unwrap();
    assert!(refused.to_string().contains("ledger.witness"), "{refused}");
    let fakes = Fakes::of(&world.ledger_key());
    fakes.behave([Mood::Honest, Mood::Says(404), Mood::Honest]);
    world.cosigner = Some(Arc::clone(&fakes) as _);
    world.run().await;
    let public = world.public();
    let shown = async || {
        let bytes = public.file("/checkpoint", 1 << 16).await.unwrap();
        bytes.map(|bytes| SignedCheckpoint::parse(&bytes).unwrap())
    };
    let http = world.http(trust::tls::anonymous_client_config(&world.root).unwrap());
    let get = async |path: &str| {
        let url = format!("http://{}{path}", world.at().metrics);
        Answered::read(http.get(url).send().await.unwrap()).await.text()
    };
    let until = async |path: &str, line: &str| {
        let found = async {
            while !get(path).await.contains(line) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(10), found).await;
        assert!(found.is_ok(), "{line} in\n{}", get(path).await);
    };
    until("/metrics", r#"fedplane_witness{name="witness.example/0",said="cosigned"} 1"#).await;
    until("/metrics", r#"fedplane_witness{name="witness.example/1",said="refused"} 1"#).await;
    until("/readyz", "witnesses: ok").await;
    let signed = shown().await.unwrap();
    signed.verify(&world.ledger_key()).unwrap();
    assert_eq!(signed.witnesses(&keys()).len(), 2);
    fakes.behave([Mood::Away, Mood::Says(404), Mood::Away]);
    world.enrol().await;
    until("/metrics", r#"fedplane_witness{name="witness.example/0",said="away"} 1"#).await;
    until("/readyz", "witnesses: awaited").await;
    assert!(get("/readyz").await.contains("ledger: ok"));
    world.enrol().await;
    fakes.behave([Mood::Honest, Mood::Says(404), Mood::Honest]);
    until("/metrics", "fedplane_ledger_waiting 0").await;
    world.stop().await;
}
