//! The compliance challenge (HS-8): an instance is asked at its handshake endpoint, or in the answer to its next check-in.
//!
//! Never opens a connection itself: that is the port [`Challenger`]. What waits for an answer is kept in memory, so a
//! restart forgets it until the instance's next turn.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use governance::challenge::{Said, Shown, is_due, judge};
use governance::decide::{self, Command};
use governance::{Instance, InstanceId, Reason, Span, State, StatementHead, Timestamp, World};
use proof::challenge::{Answer, AnswerError, Nonce};
use proof::{Jws, PublicKey};
use wire::{ChallengeOutcome, ChallengeView};

use crate::decision::{By, Extra, Recorded};
use crate::instances::SignedCall;
use crate::news::{News, Why};
use crate::ports::{Challenger, Question, Store};
use crate::publication::Files;
use crate::{Plane, PlaneError, Rejection};

/// Challenges that wait for a check-in at most; further ones wait for the instance's next turn.
const WAITING_MAX: usize = 65_536;
/// For how long a challenge waits for a check-in.
const WAITING_FOR: Span = Span::hours(24);
/// Instances whose turn has come and that were not asked yet.
const QUEUE_MAX: usize = 4_096;
/// An answer that breaks the chain is asked for again before it is believed: a report may have overtaken it.
const ASKED_MAX: u32 = 2;
const OVERTAKEN: &str = "reports overtook its answer; it is asked again";

/// Whose turn it is, and what waits for an answer.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Up to when turns were dealt out.
    dealt: Option<Timestamp>,
    queue: VecDeque<InstanceId>,
    /// Whether a turn found no room in the queue since turns were last dealt out.
    passed_over: bool,
    waiting: HashMap<InstanceId, Waiting>,
}

#[derive(Clone, Debug)]
struct Waiting {
    nonce: Nonce,
    asked: Option<StatementHead>,
    until: Timestamp,
}

impl Challenges {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time whose turns are to be dealt out now. What went by before the start is let be.
    pub(crate) fn turns(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let mut inner = self.inner();
        inner.passed_over = false;
        (*inner.dealt.get_or_insert(now), now)
    }

    /// Notes that the turns up to then are dealt out: what broke off before is dealt out once more.
    pub(crate) fn dealt(&self, (_, to): (Timestamp, Timestamp)) {
        self.inner().dealt = Some(to);
    }

    /// Puts an instance in the queue if its turn lies in that time.
    pub(crate) fn deal(&self, id: InstanceId, state: State, every: Span, (from, to): (Timestamp, Timestamp)) {
        if state != State::Revoked && is_due(id, every, from, to) {
            let mut inner = self.inner();
            if inner.queue.len() < QUEUE_MAX {
                inner.queue.push_back(id);
            } else if !std::mem::replace(&mut inner.passed_over, true) {
                tracing::warn!(
                    "instances are challenged more slowly than their turns come: some are passed over"
                );
            }
        }
    }

    /// Lets a challenge ride in the answer to the next check-in; `false` when too many do already.
    fn wait(&self, id: InstanceId, waiting: Waiting, now: Timestamp) -> bool {
        let mut inner = self.inner();
        if inner.waiting.len() >= WAITING_MAX {
            inner.waiting.retain(|_, waiting| waiting.until >= now);
        }
        let room = inner.waiting.len() < WAITING_MAX;
        match inner.waiting.entry(id) {
            Entry::Occupied(mut earlier) => {
                earlier.insert(waiting);
                true
            }
            Entry::Vacant(place) if room => {
                place.insert(waiting);
                true
            }
            Entry::Vacant(_) => false,
        }
    }

    fn waiting(&self, id: InstanceId, now: Timestamp) -> Option<Waiting> {
        self.inner().waiting.get(&id).filter(|waiting| waiting.until >= now).cloned()
    }

    /// Forgets the challenge that was answered, unless another took its place.
    fn done(&self, id: InstanceId, nonce: &Nonce) {
        let mut inner = self.inner();
        if inner.waiting.get(&id).is_some_and(|waiting| waiting.nonce == *nonce) {
            inner.waiting.remove(&id);
        }
    }

    /// What the answer to a check-in carries.
    pub(crate) fn riding(&self, id: InstanceId, now: Timestamp) -> Option<Nonce> {
        self.waiting(id, now).map(|waiting| waiting.nonce)
    }

    /// Whether one does.
    pub(crate) fn rides(&self, id: InstanceId, now: Timestamp) -> bool {
        self.inner().waiting.get(&id).is_some_and(|waiting| now <= waiting.until)
    }
}

/// An answer whose signature and nonce were verified.
struct Heard {
    said: Option<Said>,
    /// Heads on record between question and answer, the first of them when it was asked.
    known: Vec<Option<StatementHead>>,
    shown: Shown,
    /// That it was shown another ledger than this one (LG-2), in words.
    other_ledger: Option<String>,
}

impl<S: Store> Plane<S> {
    /// An instance whose turn to be asked has come; each is given once.
    pub fn challenge_next(&self) -> Option<InstanceId> {
        self.challenges.inner().queue.pop_front()
    }

    /// Challenges an instance: at its endpoint where there is a way to call it, else with its next check-in.
    ///
    /// # Errors
    /// When there is no such instance, it is revoked, or the store does not answer.
    pub async fn challenge(
        &self,
        id: InstanceId,
        challenger: Option<&dyn Challenger>,
        files: &impl Files,
    ) -> Result<ChallengeView, PlaneError> {
        let why = match challenger {
            Some(challenger) => match self.ask(id, challenger, files).await? {
                Ok(view) => return Ok(view),
                Err(why) => why,
            },
            None => "this plane calls no endpoints (`challenge.outgoing`)".to_owned(),
        };
        let instance = self.asked(id).await?;
        let now = self.now();
        let waiting = Waiting { nonce: self.fresh_nonce(), asked: instance.head, until: now + WAITING_FOR };
        let (outcome, detail) = match self.challenges.wait(id, waiting, now) {
            true => {
                self.news.tell(id, News::urgent(Why::Challenge));
                (ChallengeOutcome::Waiting, why)
            }
            false => (ChallengeOutcome::Unanswered, format!("{why}; too many others wait for a check-in")),
        };
        Ok(ChallengeView { instance: id, outcome, at: now, sequence: None, detail: Some(detail) })
    }

    /// Asks at the endpoint; the inner error says why no answer counts.
    async fn ask(
        &self,
        id: InstanceId,
        challenger: &dyn Challenger,
        files: &impl Files,
    ) -> Result<Result<ChallengeView, String>, PlaneError> {
        for asked in 1..=ASKED_MAX {
            let before = self.asked(id).await?;
            let nonce = self.fresh_nonce();
            let keys = keys(&before);
            let Some(endpoint) = before.endpoint.clone() else {
                return Ok(Err("nobody disclosed where it can be asked".to_owned()));
            };
            let question = Question { instance: id, endpoint, keys: keys.clone(), nonce: nonce.clone() };
            let document = match challenger.ask(question).await {
                Ok(document) => document,
                Err(unanswered) => return Ok(Err(unanswered.0)),
            };
            let heard = match self.hear(&before, &document, (&nonce, before.head), files).await? {
                Ok(heard) => heard,
                Err(error) => return Ok(Err(error.to_string())),
            };
            if heard.shown == Shown::Overtaken
                || (asked < ASKED_MAX && matches!(heard.shown, Shown::Broken(_)))
            {
                continue;
            }
            let view = self.conclude(id, &By::Federation, &Extra::default(), heard).await;
            return broken_is_an_outcome(id, self.now(), view).map(Ok);
        }
        Ok(Err(OVERTAKEN.to_owned()))
    }

    /// An instance answers the challenge that rode in the answer to its check-in.
    ///
    /// # Errors
    /// When no challenge waits for it, the answer is not its own to that challenge, or shows a broken chain.
    pub async fn answer(
        &self,
        call: &SignedCall,
        document: &Jws,
        files: &impl Files,
    ) -> Result<(ChallengeView, wire::Standing), PlaneError> {
        let instance = self.asked(call.id).await?;
        let waiting = self.challenges.waiting(call.id, self.now()).ok_or_else(|| {
            let hint = "answer the challenge in the answer to the last check-in, once and within a day";
            Rejection::new(
                "challenge-unknown",
                "HS-8",
                "no challenge waits for an answer of this instance",
                hint,
            )
        })?;
        let heard = self.hear(&instance, document, (&waiting.nonce, waiting.asked), files).await?.map_err(
            |error| {
                let hint =
                    "sign nonce, instance, time and the last version statement with the instance's key";
                Rejection::new("challenge-unanswered", "HS-8", error.to_string(), hint)
            },
        )?;
        let overtaken = heard.shown == Shown::Overtaken;
        let view = self.conclude(call.id, &By::Federation, &call.extra(), heard).await;
        if matches!(view, Ok(_) | Err(PlaneError::Refused(_))) {
            self.challenges.done(call.id, &waiting.nonce);
        }
        let view = view?;
        let recorded = self.asked_recorded(call.id).await?;
        let instance = &recorded.instance;
        if overtaken {
            let again = Waiting { nonce: self.fresh_nonce(), asked: instance.head, ..waiting };
            self.challenges.wait(call.id, again, self.now());
        }
        Ok((view, self.standing(&recorded)?))
    }

    /// Verifies an answer and holds it against the record.
    async fn hear(
        &self,
        before: &Instance,
        document: &Jws,
        (nonce, asked): (&Nonce, Option<StatementHead>),
        files: &impl Files,
    ) -> Result<Result<Heard, AnswerError>, PlaneError> {
        let skew = self.constitution(|law| law.request_clock_skew);
        let keys = keys(before);
        let opened = Answer::open(document, (before.id, &keys), nonce, self.now(), skew);
        let answer = match opened {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        // Files that do not answer do not hinder the rest of the challenge.
        let other_ledger = match &answer.ledger {
            Some(seen) => self.other_ledger(files, seen).await.unwrap_or_else(|error| {
                tracing::error!(%error, instance = %before.id, "what it saw of the ledger was not looked at");
                None
            }),
            None => None,
        };
        let now = self.asked(before.id).await?;
        let known = vec![asked, before.head, now.head];
        let recorded: Vec<StatementHead> = known.iter().flatten().copied().collect();
        Ok(answer.said(&recorded, &keys).map(|said| {
            let shown = judge(&now, &known, said.as_ref());
            Heard { said, known, shown, other_ledger }
        }))
    }

    /// Decides on an answer: another ledger goes before the Founder (LG-2); a broken chain goes on record (CO-9), and is an
    /// error.
    async fn conclude(
        &self,
        id: InstanceId,
        by: &By,
        extra: &Extra,
        heard: Heard,
    ) -> Result<ChallengeView, PlaneError> {
        let Heard { said, known, shown, other_ledger } = heard;
        if let Some(facts) = &other_ledger {
            tracing::error!(instance = %id, facts, "an instance was shown another ledger");
            let command = Command::OtherLedger { facts: facts.clone() };
            let judge =
                |instance: &Instance, world: &World, now| decide::decide(instance, &command, world, now);
            self.decide_instance(id, &By::Federation, &Extra::default(), judge).await?;
        }
        let sequence = said.map(|said| said.head.sequence);
        let command = Command::Answered { known, said };
        let judge = |instance: &Instance, world: &World, now| decide::decide(instance, &command, world, now);
        self.decide_instance(id, by, extra, judge).await?;
        let (outcome, detail) = match (shown, other_ledger) {
            (Shown::Overtaken, _) => (ChallengeOutcome::Unanswered, Some(OVERTAKEN.to_owned())),
            (_, Some(facts)) => (ChallengeOutcome::OtherLedger, Some(facts)),
            (Shown::Ahead, None) => (ChallengeOutcome::Ahead, None),
            (Shown::Current | Shown::Broken(_), None) => (ChallengeOutcome::Confirmed, None),
        };
        Ok(ChallengeView { instance: id, outcome, at: self.now(), sequence, detail })
    }

    /// The instance, if it may be asked anything.
    async fn asked(&self, id: InstanceId) -> Result<Instance, PlaneError> {
        Ok(self.asked_recorded(id).await?.instance)
    }

    async fn asked_recorded(&self, id: InstanceId) -> Result<Recorded, PlaneError> {
        let found = self.store.instance_load(id).await?;
        let (instance, revision) = found.ok_or_else(|| PlaneError::NotFound(format!("instance {id}")))?;
        if instance.state == State::Revoked {
            return Err(PlaneError::Refused(Reason::InstanceRevoked { since: instance.since }.into()));
        }
        Ok(Recorded { instance, revision })
    }

    fn fresh_nonce(&self) -> Nonce {
        let [random, _] = crate::rollouts::split(&self.entropy.bytes());
        Nonce::from_random(random)
    }
}

/// The keys an instance may answer with: the one on record, and the one before while it renews (HS-2).
fn keys(instance: &Instance) -> Vec<PublicKey> {
    let keys = std::iter::once(instance.key).chain(instance.previous_key);
    keys.filter_map(|key| PublicKey::from_bytes(key.as_bytes()).ok()).collect()
}

/// Whoever asked wants to know of a broken chain, and is refused nothing.
fn broken_is_an_outcome(
    id: InstanceId,
    at: Timestamp,
    view: Result<ChallengeView, PlaneError>,
) -> Result<ChallengeView, PlaneError> {
    let Err(PlaneError::Refused(refusal)) = view else { return view };
    let broken = refusal.reasons.iter().find(|reason| matches!(reason, Reason::VersionChainBroken { .. }));
    match broken {
        Some(reason) => {
            let (outcome, detail) = (ChallengeOutcome::Broken, Some(reason.to_string()));
            Ok(ChallengeView { instance: id, outcome, at, sequence: None, detail })
        }
        None => Err(PlaneError::Refused(refusal)),
    }
}
