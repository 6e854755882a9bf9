//! The compliance challenge (HS-8): at the instance's endpoint, with its protections, and by way of its check-in.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use client::{Endpoints, Source as _, SystemSource};
use governance::{InstanceId, Span};
use ledger::checkpoint::Checkpoint;
use ledger::history::{self, Relation};
use ledger::memory::MemoryLog;
use ledger::{KeyName, NoteKey, TreeHead};
use listener::Limits;
use plane::ports::{Answering, Challenger, Question, Unanswered};
use proof::challenge::{ANSWER_BYTES_MAX, Answer, Challenge, LedgerSeen, Nonce};
use proof::{Jws, KeysDocument, OrderAction, Purpose, Sign as _, Typ};
use server::Caller;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::SigningKey;
use wire::ChallengeOutcome;

use crate::common::{DOMAIN, Raw, Who, World, bytes_of, certified, now, refused, registration, statement};
use crate::orders::signed;

struct Outgoing(Endpoints);

impl Challenger for Outgoing {
    fn ask(&self, question: Question) -> Answering<'_> {
        Box::pin(async move {
            let Question { instance, endpoint, keys, nonce } = question;
            let asked = self.0.ask(instance, keys, &endpoint, nonce).await;
            asked.map_err(|error| Unanswered(error.to_string()))
        })
    }
}

fn calling(caller: Caller) -> Arc<dyn Challenger> {
    let Caller { root, chain, key, settings } = caller;
    Arc::new(Outgoing(Endpoints::new(root, chain, key, settings.allow, settings.at_once)))
}

/// What an endpoint answers.
type Reply = Arc<dyn Fn(Challenge) -> Response + Send + Sync>;

/// An instance with an endpoint of its own.
struct Reached {
    id: InstanceId,
    who: Who,
    reply: Arc<Mutex<Reply>>,
    stop: CancellationToken,
}

impl Drop for Reached {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Reached {
    async fn new(world: &World) -> Self {
        Self::showing(world, None).await
    }

    /// One whose endpoint shows another's certificate.
    async fn showing(world: &World, other: Option<&Who>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let who = Who::fresh();
        let mut request = registration(&world.enrol().await, &who.key);
        request.metadata.endpoint = format!("https://{at}/base").parse().unwrap();
        let registered = world.client(&who).register(&request).await.unwrap();
        let (id, who) = (registered.instance, certified(&who, &registered));
        world.client(&who).ready(id).await.unwrap();
        let nothing: Reply = Arc::new(|_| StatusCode::NOT_FOUND.into_response());
        let reply = Arc::new(Mutex::new(nothing));
        let router = Router::new().route("/base/v1/challenge", {
            let reply = Arc::clone(&reply);
            post(async move |body: Bytes| {
                let reply = reply.lock().unwrap().clone();
                reply(serde_json::from_slice(&body).unwrap())
            })
        });
        let shown = other.unwrap_or(&who);
        let tls = trust::tls::server_config(shown.chain.clone(), &shown.key).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(listener::serve(socket, Some(Arc::new(tls)), router, Limits::small(), stop.clone()));
        Self { id, who, reply, stop }
    }

    fn replies(&self, reply: impl Fn(Challenge) -> Response + Send + Sync + 'static) {
        *self.reply.lock().unwrap() = Arc::new(reply);
    }

    fn answer(&self, nonce: Nonce, statement: Option<Jws>) -> Answer {
        Answer { nonce, instance: self.id, at: now(), statement, ledger: None }
    }

    /// Answers as it should, showing this statement.
    fn shows(&self, statement: Option<Jws>) {
        let (id, key) = (self.id, Arc::clone(&self.who.key));
        self.replies(move |Challenge { nonce }| {
            let answer =
                Answer { nonce, instance: id, at: now(), statement: statement.clone(), ledger: None };
            axum::Json(answer.sign(&*key).unwrap()).into_response()
        });
    }

    /// Answers as it should, with this of the ledger.
    fn saw(&self, seen: LedgerSeen) {
        let (id, key) = (self.id, Arc::clone(&self.who.key));
        self.replies(move |Challenge { nonce }| {
            let answer =
                Answer { nonce, instance: id, at: now(), statement: None, ledger: Some(seen.clone()) };
            axum::Json(answer.sign(&*key).unwrap()).into_response()
        });
    }

    fn statement(&self, sequence: u64, previous: Option<&Jws>) -> Jws {
        statement(self.id, &self.who.key, sequence, previous.map(Jws::digest))
    }
}

async fn calling_world(allow: &[&str]) -> World {
    let mut world = World::make(|_, settings| {
        settings.challenge.allow = allow.iter().map(|network| network.parse().unwrap()).collect();
    });
    world.outgoing = Some(calling);
    world.run().await;
    world
}

#[tokio::test]
async fn hs_8_an_instance_shows_its_last_statement_at_its_endpoint() {
    let world = calling_world(&["127.0.0.0/8"]).await;
    let operator = world.client(&world.operator());
    let one = Reached::new(&world).await;
    let size = world.ledger_size().await;
    one.shows(None);
    let view = operator.instance_challenge(one.id).await.unwrap();
    assert_eq!((view.outcome, view.sequence), (ChallengeOutcome::Confirmed, None), "{view:?}");
    let first = one.statement(1, None);
    one.shows(Some(first.clone()));
    let view = operator.instance_challenge(one.id).await.unwrap();
    assert_eq!((view.outcome, view.sequence), (ChallengeOutcome::Ahead, Some(1)), "{view:?}");
    assert_eq!(world.ledger_size().await, size, "what confirms the record changes nothing");
    world.client(&one.who).report(one.id, first.clone()).await.unwrap();
    let view = operator.instance_challenge(one.id).await.unwrap();
    assert_eq!((view.outcome, view.sequence), (ChallengeOutcome::Confirmed, Some(1)), "{view:?}");
    // Somebody else goes on with the chain under the stolen key: the instance itself shows another one.
    let second = one.statement(2, Some(&first));
    world.client(&one.who).report(one.id, second).await.unwrap();
    let view = operator.instance_challenge(one.id).await.unwrap();
    assert_eq!(view.outcome, ChallengeOutcome::Broken, "{view:?}");
    let shown = operator.instance(one.id).await.unwrap();
    assert_eq!(shown.findings[0].code, "version-chain-broken");
    assert_eq!(operator.escalations().await.unwrap().items[0].rule, "CO-9");
    world.lawful().await;
}

#[tokio::test]
async fn hs_8_what_answers_in_another_way_proves_nothing_and_the_challenge_waits_for_a_check_in() {
    let world = calling_world(&["127.0.0.0/8"]).await;
    let operator = world.client(&world.operator());
    let one = Reached::new(&world).await;
    let other = SigningKey::generate().unwrap();
    let (id, key) = (one.id, Arc::clone(&one.who.key));
    let signed =
        move |key: &SigningKey, answer: Answer| axum::Json(answer.sign(key).unwrap()).into_response();
    let with = move |nonce| Answer { nonce, instance: id, at: now(), statement: None, ledger: None };
    let right = Arc::clone(&key);
    let replies: Vec<(&str, &str, Reply)> = vec![
        ("another key", "signature", Arc::new(move |asked: Challenge| signed(&other, with(asked.nonce)))),
        ("another nonce", "nonce", {
            let key = Arc::clone(&right);
            Arc::new(move |_| signed(&key, with(Nonce::from_random([1; 16]))))
        }),
        ("another instance", "instance", {
            let key = Arc::clone(&right);
            Arc::new(move |asked: Challenge| {
                let instance = InstanceId::from_random([9; 16]);
                signed(&key, Answer { instance, ..with(asked.nonce) })
            })
        }),
        ("an old answer", "clock", {
            let key = Arc::clone(&right);
            Arc::new(move |asked: Challenge| {
                signed(&key, Answer { at: now() - Span::hours(1), ..with(asked.nonce) })
            })
        }),
        ("a bare statement", "signed as", {
            let key = Arc::clone(&right);
            Arc::new(move |_| axum::Json(statement(id, &key, 1, None)).into_response())
        }),
        ("no document", "not a signed document", Arc::new(|_| "hello".into_response())),
        (
            "too much",
            "more than 65536 bytes",
            Arc::new(|_| "x".repeat(ANSWER_BYTES_MAX as usize + 1).into_response()),
        ),
        (
            "a redirect",
            "200 was expected",
            Arc::new(|_| {
                (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "https://127.0.0.1:1/v1/challenge")])
                    .into_response()
            }),
        ),
        ("a failure", "200 was expected", Arc::new(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())),
    ];
    for (what, word, reply) in replies {
        *one.reply.lock().unwrap() = reply;
        let view = operator.instance_challenge(id).await.unwrap();
        let detail = view.detail.clone().unwrap();
        assert_eq!(view.outcome, ChallengeOutcome::Waiting, "{what}: {view:?}");
        assert!(detail.contains(word), "{what}: {detail}");
    }
    assert!(
        operator.instance(id).await.unwrap().findings.is_empty(),
        "nobody is blamed for what others may answer"
    );
    world.lawful().await;
}

#[tokio::test]
async fn hs_8_nobody_is_called_whom_an_instance_should_not_name() {
    // SSRF: the endpoint is on loopback, which is not allowed here.
    let world = calling_world(&["10.0.0.0/8"]).await;
    let operator = world.client(&world.operator());
    let one = Reached::new(&world).await;
    one.replies(|_| panic!("it was called"));
    let view = operator.instance_challenge(one.id).await.unwrap();
    assert_eq!(view.outcome, ChallengeOutcome::Waiting);
    let detail = view.detail.unwrap();
    assert!(detail.contains("127.0.0.1 is loopback") && detail.contains("challenge.allow"), "{detail}");
    // Nor is anybody believed but the instance: here another answers, with a certificate of the federation.
    let world = calling_world(&["127.0.0.1/32"]).await;
    let operator = world.client(&world.operator());
    let (_, thief) = world.active().await;
    let one = Reached::showing(&world, Some(&thief)).await;
    one.replies(|_| panic!("it was believed"));
    let view = operator.instance_challenge(one.id).await.unwrap();
    let detail = view.detail.unwrap();
    assert!(detail.contains("another instance"), "{detail}");
    refused(operator.instance_challenge(InstanceId::from_random([3; 16])).await, 404, "not-found");
}

#[tokio::test]
async fn hs_8_behind_nat_the_challenge_rides_in_the_answer_to_a_check_in() {
    let world = World::start().await;
    let operator = world.client(&world.operator());
    let one = Reached::new(&world).await;
    let (id, own) = (one.id, world.client(&one.who));
    let document = |answer: Answer| answer.sign(&*one.who.key).unwrap();
    let made_up = Nonce::from_random([5; 16]);
    refused(own.answer(id, document(one.answer(made_up, None))).await, 409, "challenge-unknown");
    assert_eq!(own.check_in(id).await.unwrap().challenge, None);
    let view = operator.instance_challenge(id).await.unwrap();
    assert_eq!(view.outcome, ChallengeOutcome::Waiting, "{view:?}");
    let nonce = own.check_in(id).await.unwrap().challenge.unwrap();
    let other = Nonce::from_random([6; 16]);
    refused(own.answer(id, document(one.answer(other, None))).await, 400, "challenge-unanswered");
    assert_eq!(own.check_in(id).await.unwrap().challenge, Some(nonce.clone()), "it still waits");
    let standing = own.answer(id, document(one.answer(nonce.clone(), None))).await.unwrap();
    assert_eq!(standing.challenge, None);
    refused(own.answer(id, document(one.answer(nonce, None))).await, 409, "challenge-unknown");
    // An instance whose backup was restored shows a chain that ended long ago.
    let first = one.statement(1, None);
    let second = one.statement(2, Some(&first));
    own.report(id, first.clone()).await.unwrap();
    own.report(id, second).await.unwrap();
    operator.instance_challenge(id).await.unwrap();
    let nonce = own.check_in(id).await.unwrap().challenge.unwrap();
    refused(own.answer(id, document(one.answer(nonce, Some(first)))).await, 409, "version-chain-broken");
    assert_eq!(operator.instance(id).await.unwrap().findings[0].code, "version-chain-broken");
    world.lawful().await;
}

/// A checkpoint of another log of so many entries, by this key in the ledger's name.
fn other_log(size: u64, key: &SigningKey) -> String {
    let mut log = MemoryLog::new();
    for number in 0..size {
        log.append(&number.to_be_bytes()).unwrap();
    }
    checkpoint_of(log.publish().unwrap(), key)
}

/// This head, signed by this key in the ledger's name.
pub(crate) fn checkpoint_of(head: TreeHead, key: &SigningKey) -> String {
    let origin = KeyName::parse(&format!("{DOMAIN}/ledger")).unwrap();
    let named = NoteKey::new(origin.clone(), key.public_key().as_bytes()).unwrap();
    let checkpoint = Checkpoint::new(origin, head).unwrap();
    checkpoint.sign(&named, |message| key.sign(message)).unwrap().to_string()
}

/// The ledger's key is in other hands: an instance was shown another log, and says so without knowing it.
#[tokio::test]
async fn hs_8_lg_2_an_instance_that_was_shown_another_ledger_goes_before_the_founder() {
    let world = calling_world(&["127.0.0.0/8"]).await;
    let operator = world.client(&world.operator());
    let key = SigningKey::load(&world.path("keys/federation/ledger.key")).unwrap();
    let one = Reached::new(&world).await;
    let published = async || {
        loop {
            let checkpoint = world.public().checkpoint().await.unwrap();
            match checkpoint.filter(|one| one.unverified().head().size > 3) {
                Some(checkpoint) => return checkpoint,
                None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    };
    let earlier = published().await;
    let two = Reached::new(&world).await;
    while published().await.unverified().head().size < world.ledger_size().await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let true_one = published().await;
    // As an agent or an auditor holds them against each other, by the tiles that anyone may read.
    let (before, now) = (earlier.unverified().head(), true_one.unverified().head());
    let tiles = world.public().tiles(history::tiles(before, now)).await.unwrap();
    assert_eq!(history::relate(before, now, &tiles), Ok(Relation::Consistent));
    let size = true_one.unverified().head().size;
    let last = |checkpoint: String| LedgerSeen { checkpoints: vec![checkpoint], split_view: None };
    // What is of this ledger, what nobody of it signed, and what is no checkpoint at all, change nothing.
    for seen in [
        last(true_one.to_string()),
        last(other_log(size, &SigningKey::generate().unwrap())),
        last("a checkpoint".to_owned()),
        LedgerSeen::default(),
    ] {
        one.saw(seen);
        let view = operator.instance_challenge(one.id).await.unwrap();
        assert_eq!(view.outcome, ChallengeOutcome::Confirmed, "{view:?}");
    }
    assert_eq!(world.ledger_size().await, size);
    // A fork below, told once while it is open; then a log that is longer than this one.
    for (seen, words) in [
        (last(other_log(size - 1, &key)), "this one has root"),
        (last(other_log(1, &key)), "this one has root"),
        (last(other_log(size + 1_000, &key)), "this one has"),
        (
            LedgerSeen { checkpoints: vec![true_one.to_string(), other_log(2, &key)], split_view: None },
            "this one has root",
        ),
    ] {
        one.saw(seen);
        let view = operator.instance_challenge(one.id).await.unwrap();
        assert_eq!(view.outcome, ChallengeOutcome::OtherLedger, "{view:?}");
        assert!(view.detail.clone().unwrap().contains(words), "{view:?}");
    }
    let before_founder = operator.escalations().await.unwrap().items;
    assert_eq!(before_founder.len(), 1, "{before_founder:?}");
    let facts = &before_founder[0].facts;
    assert!(before_founder[0].rule == "LG-2" && facts.contains("test.example/ledger"), "{facts}");
    assert_eq!(world.ledger_size().await, size + 1);
    assert!(operator.instance(one.id).await.unwrap().findings.is_empty(), "the instance did nothing wrong");
    // The alarm of an agent, with its next check-in.
    let own = world.client(&two.who);
    two.replies(|_| StatusCode::NOT_FOUND.into_response());
    operator.instance_challenge(two.id).await.unwrap();
    let nonce = own.check_in(two.id).await.unwrap().challenge.unwrap();
    let split_view = Some([true_one.to_string(), other_log(size, &key)]);
    let ledger = Some(LedgerSeen { checkpoints: vec![true_one.to_string()], split_view });
    let answer = Answer { ledger, ..two.answer(nonce, None) };
    own.answer(two.id, answer.sign(&*two.who.key).unwrap()).await.unwrap();
    let rules: Vec<_> = operator.escalations().await.unwrap().items.into_iter().map(|one| one.rule).collect();
    assert_eq!(rules, ["LG-2", "LG-2"]);
    world.lawful().await;
}

/// A key that was stolen is replaced: what it signed counts as before.
#[tokio::test]
async fn hs_8_lg_2_what_a_replaced_key_of_the_ledger_signed_goes_before_the_founder_too() {
    let world = calling_world(&["127.0.0.0/8"]).await;
    let operator = world.client(&world.operator());
    let [stolen, stranger] = [(); 2].map(|()| SigningKey::generate().unwrap());
    let first = Jws::parse(&bytes_of(&world.path("keys.json"))).unwrap();
    let mut keys: KeysDocument = first.parse_unverified().unwrap();
    let mut beside = keys.online.iter().find(|named| named.purpose == Purpose::Ledger).unwrap().clone();
    beside.key = *stolen.public_key();
    let without = keys.online.clone();
    let with = without.iter().cloned().chain([beside]).collect();
    for (serial, online) in [(2, with), (3, without)] {
        (keys.serial, keys.online) = (serial, online);
        let document = Jws::sign_json(Typ::Keys, &keys, &world.founder).unwrap();
        let order = signed(&world, serial - 1, OrderAction::Keys { document, root: None });
        operator.order_submit(order).await.unwrap();
    }
    let one = Reached::new(&world).await;
    for (key, outcome) in [(&stranger, ChallengeOutcome::Confirmed), (&stolen, ChallengeOutcome::OtherLedger)]
    {
        one.saw(LedgerSeen { checkpoints: vec![other_log(2, key)], split_view: None });
        let view = operator.instance_challenge(one.id).await.unwrap();
        assert_eq!(view.outcome, outcome, "{view:?}");
    }
    assert_eq!(operator.escalations().await.unwrap().items[0].rule, "LG-2");
    world.lawful().await;
}

/// What is reported while the answer is on its way, or held back, breaks no chain.
#[tokio::test]
async fn hs_8_an_answer_that_reports_overtook_is_asked_for_again() {
    let world = World::start().await;
    let operator = world.client(&world.operator());
    let one = Reached::new(&world).await;
    let (id, own) = (one.id, world.client(&one.who));
    let document = |answer: Answer| answer.sign(&*one.who.key).unwrap();
    let first = one.statement(1, None);
    let second = one.statement(2, Some(&first));
    let third = one.statement(3, Some(&second));
    operator.instance_challenge(id).await.unwrap();
    let nonce = own.check_in(id).await.unwrap().challenge.unwrap();
    own.report(id, first.clone()).await.unwrap();
    own.report(id, second.clone()).await.unwrap();
    let standing = own.answer(id, document(one.answer(nonce.clone(), Some(first)))).await.unwrap();
    let again = standing.challenge.unwrap();
    assert_ne!(again, nonce);
    // On record when it was asked.
    own.report(id, third).await.unwrap();
    assert_eq!(own.answer(id, document(one.answer(again, Some(second)))).await.unwrap().challenge, None);
    assert!(operator.instance(id).await.unwrap().findings.is_empty());
    world.lawful().await;
}

/// At its endpoint, a broken chain is believed when it is shown twice.
#[tokio::test]
async fn hs_8_a_broken_chain_is_asked_for_twice() {
    let world = calling_world(&["127.0.0.0/8"]).await;
    let operator = world.client(&world.operator());
    let one = Reached::new(&world).await;
    let first = one.statement(1, None);
    world.client(&one.who).report(one.id, first.clone()).await.unwrap();
    let (id, key) = (one.id, Arc::clone(&one.who.key));
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    one.replies(move |Challenge { nonce }| {
        let mut asked = count.lock().unwrap();
        *asked += 1;
        let statement = (*asked > 1).then(|| first.clone());
        axum::Json(Answer { nonce, instance: id, at: now(), statement, ledger: None }.sign(&*key).unwrap())
            .into_response()
    });
    let view = operator.instance_challenge(one.id).await.unwrap();
    assert_eq!((view.outcome, *asked.lock().unwrap()), (ChallengeOutcome::Confirmed, 2), "{view:?}");
    world.lawful().await;
}

/// Instances that name the same address cannot make this plane flood it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hs_8_an_address_is_called_once_at_a_time() {
    let world = calling_world(&["127.0.0.0/8"]).await;
    let operator = world.client(&world.operator());
    let (one, other) = (Reached::new(&world).await, Reached::new(&world).await);
    let (called, came) = tokio::sync::oneshot::channel();
    let (go, goes) = std::sync::mpsc::channel::<()>();
    let (id, key) = (one.id, Arc::clone(&one.who.key));
    let (called, goes) = (Mutex::new(Some(called)), Mutex::new(goes));
    one.replies(move |Challenge { nonce }| {
        called.lock().unwrap().take().unwrap().send(()).unwrap();
        tokio::task::block_in_place(|| goes.lock().unwrap().recv().unwrap());
        axum::Json(
            Answer { nonce, instance: id, at: now(), statement: None, ledger: None }.sign(&*key).unwrap(),
        )
        .into_response()
    });
    other.replies(|_| panic!("it was called"));
    let first = tokio::spawn({
        let operator = world.client(&world.operator());
        async move { operator.instance_challenge(id).await }
    });
    came.await.unwrap();
    let view = operator.instance_challenge(other.id).await.unwrap();
    assert_eq!(view.outcome, ChallengeOutcome::Waiting);
    assert!(view.detail.clone().unwrap().contains("another challenge is on its way"), "{view:?}");
    go.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap().outcome, ChallengeOutcome::Confirmed);
}

/// Who names the endpoint is not told what this plane's network says of it.
#[tokio::test]
async fn hs_8_a_provider_learns_no_more_than_that_no_answer_came() {
    let world = calling_world(&["10.0.0.0/8"]).await;
    let (id, _) = world.instance_of("acme").await;
    let bob = world.client(&world.person("provider/acme/bob").0);
    let view = bob.instance_challenge(id).await.unwrap();
    assert_eq!(view.outcome, ChallengeOutcome::Waiting);
    assert!(view.detail.clone().unwrap().starts_with("no answer at its endpoint"), "{view:?}");
    let operator = world.client(&world.operator());
    let seen = operator.instance_challenge(id).await.unwrap().detail.unwrap();
    assert!(!seen.starts_with("no answer at its endpoint"), "{seen}");
}

#[tokio::test]
async fn hs_8_every_instance_has_its_turn() {
    let world = World::start_with(|_, settings| {
        settings.pace.sweep_every = Span::from_millis(50);
        settings.challenge.every = Span::from_millis(200);
    })
    .await;
    let (id, who) = world.active().await;
    let own = world.client(&who);
    let deadline = SystemSource.now() + Span::from_millis(20_000);
    while own.check_in(id).await.unwrap().challenge.is_none() {
        assert!(SystemSource.now() < deadline, "its turn never came");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    world.lawful().await;
}

#[tokio::test]
async fn hs_8_a_revoked_instance_is_asked_nothing() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let operator = world.client(&world.operator());
    let action = OrderAction::Revoke { instance: id, reason: "stolen".into() };
    operator.order_submit(signed(&world, 1, action)).await.unwrap();
    refused(operator.instance_challenge(id).await, 403, "instance-revoked");
    let raw = Raw::post(format!("/v1/instances/{id}/answer"), "{}");
    raw.send(&world, &who).await.refused(403, "instance-revoked");
}
