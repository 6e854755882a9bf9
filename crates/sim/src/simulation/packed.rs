//! An instance's record in little space: what the fleet shares stands as a number, what follows from the seed not at all.
//!
//! Exact or not at all: a record that does not fit is kept whole, and `unpack` gives back what `pack` was given.

use governance::instance::{ATTEMPTS_MAX, Attempt, Due, Failure, FinishedAttempt, Paid};
use governance::warning::Warning;
use governance::{
    Action, Countdown, Finding, FindingCode, Instance, Kind, Offer, Outcome, Phase, Running, Span, State,
    Subscription, SubscriptionStatus, Tier, Timestamp, Version,
};

use super::book::{Book, Hour};
use super::desk::Changed;
use super::identity::{head_of, id_of, key_of};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PackedOffer {
    release: u8,
    rollout: u8,
    action: Action,
    phase: Phase,
    since: Hour,
    deadline: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PackedAttempt {
    release: u8,
    rollout: u8,
    from: u8,
    action: Action,
    phase: Phase,
    /// Of one under way, [`Outcome::Succeeded`] without meaning.
    outcome: Outcome,
    /// When it began, or of a finished one ended.
    at: Hour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PackedCountdown {
    of: u8,
    clock: governance::Clock,
    /// In hours, as the window.
    limit: Hour,
    window: Hour,
    grace: Hour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PackedDue {
    release: u8,
    rollout: u8,
    drift: Option<PackedCountdown>,
    security: Option<PackedCountdown>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PackedFailure {
    release: u8,
    retry: bool,
    times: u32,
    at: Hour,
}

/// The record of an instance, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    kind: Kind,
    tier: Tier,
    status: SubscriptionStatus,
    state: State,
    platform: u8,
    runtime: u8,
    forked: bool,
    enrolment: u8,
    held: bool,
    handshake_required: bool,
    subscribed: Hour,
    joined: Hour,
    since: Hour,
    reported: Hour,
    sequence: u32,
    serial: u32,
    offer: Option<PackedOffer>,
    attempt: Option<PackedAttempt>,
    due: Option<PackedDue>,
    paid: Option<(PackedDue, Hour)>,
    offered: Vec<u8>,
    attempts: Vec<PackedAttempt>,
    failures: Vec<PackedFailure>,
    findings: Vec<(FindingCode, Hour)>,
    violations: Vec<Hour>,
    warnings: Vec<Warning>,
}

/// What the law looks at of a record with nothing pending: no offer, nothing owed, nothing found, all paid for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain {
    pub(super) kind: Kind,
    pub(super) tier: Tier,
    pub(super) state: State,
    pub(super) platform: u8,
    pub(super) runtime: u8,
}

/// What a record belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) index: u32,
    pub(super) id: governance::InstanceId,
    /// Its so many-th enrolment.
    pub(super) enrolment: u8,
}

/// The version whose content lies in an instance's layers now, so that it need not be laid there again.
pub(super) type Laid = Option<(u8, bool)>;

fn hours(span: Span) -> Option<Hour> {
    let hour = Span::hours(1).as_millis();
    if span.as_millis() % hour == 0 { Hour::try_from(span.as_millis() / hour).ok() } else { None }
}

fn pack_countdown(countdown: Countdown, book: &Book) -> Option<PackedCountdown> {
    let Countdown { of, clock, limit, window, grace } = countdown;
    let of = book.number(of)?;
    Some(PackedCountdown { of, clock, limit: hours(limit)?, window: hours(window)?, grace: hours(grace)? })
}

fn unpack_countdown(packed: PackedCountdown, book: &Book) -> Countdown {
    let span = |hours: Hour| Span::hours(i64::from(hours));
    Countdown {
        of: book.version(packed.of),
        clock: packed.clock,
        limit: span(packed.limit),
        window: span(packed.window),
        grace: span(packed.grace),
    }
}

fn pack_due(due: Due, book: &Book) -> Option<PackedDue> {
    let Due { release, rollout, drift, security } = due;
    Some(PackedDue {
        release: book.number(release)?,
        rollout: book.rollout(rollout)?,
        drift: part(drift, |drift| pack_countdown(drift, book))?,
        security: part(security, |security| pack_countdown(security, book))?,
    })
}

fn unpack_due(due: PackedDue, book: &Book) -> Due {
    Due {
        release: book.version(due.release),
        rollout: book.rollout_id(due.rollout),
        drift: due.drift.map(|drift| unpack_countdown(drift, book)),
        security: due.security.map(|security| unpack_countdown(security, book)),
    }
}

fn pack_offer(offer: Offer, book: &Book) -> Option<PackedOffer> {
    let Offer { release, rollout, action, phase, since, deadline } = offer;
    let (release, rollout) = (book.number(release)?, book.rollout(rollout)?);
    Some(PackedOffer { release, rollout, action, phase, since: book.hour(since)?, deadline })
}

fn pack_attempt(attempt: Attempt, book: &Book) -> Option<PackedAttempt> {
    let Attempt { release, rollout, action, phase, from, begun } = attempt;
    Some(PackedAttempt {
        release: book.number(release)?,
        rollout: book.rollout(rollout)?,
        from: book.number(from)?,
        action,
        phase,
        outcome: Outcome::Succeeded,
        at: book.hour(begun)?,
    })
}

fn pack_finished(attempt: &FinishedAttempt, book: &Book) -> Option<PackedAttempt> {
    let FinishedAttempt { release, rollout, action, phase, from, finished, outcome } = *attempt;
    let packed = pack_attempt(Attempt { release, rollout, action, phase, from, begun: finished }, book)?;
    Some(PackedAttempt { outcome, ..packed })
}

fn unpack_attempt(packed: PackedAttempt, book: &Book) -> Attempt {
    let FinishedAttempt { release, rollout, action, phase, from, finished, .. } =
        unpack_finished(packed, book);
    Attempt { release, rollout, action, phase, from, begun: finished }
}

/// Its numbers were the book's when it was packed, and the book forgets none.
fn unpack_finished(packed: PackedAttempt, book: &Book) -> FinishedAttempt {
    FinishedAttempt {
        release: book.version(packed.release),
        rollout: book.rollout_id(packed.rollout),
        action: packed.action,
        phase: packed.phase,
        from: book.version(packed.from),
        finished: book.at(packed.at),
        outcome: packed.outcome,
    }
}

fn pack_failure(failure: &Failure, book: &Book) -> Option<PackedFailure> {
    let Failure { release, at, times, retry } = *failure;
    Some(PackedFailure { release: book.number(release)?, retry, times, at: book.hour(at)? })
}

fn unpack_failure(packed: &PackedFailure, book: &Book) -> Option<Failure> {
    let release = book.edition(packed.release)?.version;
    Some(Failure { release, at: book.at(packed.at), times: packed.times, retry: packed.retry })
}

/// An optional part: none packs to none; a part that does not fit makes the whole not fit.
fn part<T, P>(part: Option<T>, pack: impl Fn(T) -> Option<P>) -> Option<Option<P>> {
    match part {
        None => Some(None),
        Some(part) => pack(part).map(Some),
    }
}

/// Fills a list anew, in the space that it has; whether everything fits.
fn refill<T, P>(list: &mut Vec<P>, parts: &[T], pack: impl Fn(&T) -> Option<P>) -> bool {
    list.clear();
    list.extend(parts.iter().map_while(pack));
    list.len() == parts.len()
}

impl Packed {
    /// Packs a record into the space of the one before; `false`: it does not fit, and what was there is void. Of finished
    /// attempts only what changed is packed anew.
    pub(super) fn pack(&mut self, instance: &Instance, owner: Owner, book: &Book, changed: Changed) -> bool {
        let lists = refill(&mut self.offered, &instance.offered, |rollout| book.rollout(*rollout))
            && self.pack_attempts(&instance.attempts, book, changed)
            && refill(&mut self.failures, &instance.failures, |failure| pack_failure(failure, book))
            && refill(&mut self.findings, &instance.findings, |finding| {
                Some((finding.code, book.hour(finding.since)?))
            })
            && refill(&mut self.violations, &instance.violations, |opened| book.hour(*opened))
            && refill(&mut self.warnings, &instance.warnings, |warning| Some(*warning));
        lists && self.pack_rest(instance, owner, book).is_some()
    }

    fn pack_attempts(&mut self, attempts: &[FinishedAttempt], book: &Book, changed: Changed) -> bool {
        // Of a list that is full one makes room for the last.
        let grows = attempts.len() < ATTEMPTS_MAX && self.attempts.len() <= attempts.len();
        match changed {
            Changed::Everything => {
                refill(&mut self.attempts, attempts, |attempt| pack_finished(attempt, book))
            }
            Changed::Attempts if grows => {
                let fresh = attempts.iter().skip(self.attempts.len());
                self.attempts.extend(fresh.map_while(|attempt| pack_finished(attempt, book)));
                self.attempts.len() == attempts.len()
            }
            Changed::Attempts => self.pack_attempts(attempts, book, Changed::Everything),
            _ => true,
        }
    }

    /// Puts statements on record that say what the last one said; nothing where it is on record already.
    pub(super) const fn restate(&mut self, sequence: u32, hour: Hour) {
        if sequence > self.sequence {
            self.sequence = sequence;
            self.reported = hour;
        }
    }

    fn pack_rest(&mut self, instance: &Instance, owner: Owner, book: &Book) -> Option<()> {
        // Every field is named, so that none that the law gains is forgotten here.
        // The lists that `pack` has packed already are named here too.
        let Instance {
            id,
            kind,
            provider,
            labels,
            endpoint,
            subscription,
            joined,
            state,
            since,
            key,
            previous_key,
            running,
            domains,
            activations,
            notices,
            head,
            reported,
            offer,
            attempt,
            interrupted,
            due,
            paid,
            wish,
            left,
            offered: _,
            attempts: _,
            failures: _,
            findings: _,
            overrides,
            violations: _,
            warnings: _,
            escalations,
            held,
            handshake_required,
            unstated,
            certificates,
            superseded,
            tokens,
            tokens_made,
            freeze_told,
            serial,
            decided: _,
        } = instance;
        let usual = previous_key.is_none()
            && labels.is_empty()
            && domains.is_empty()
            && escalations.is_empty()
            && activations.is_empty()
            && notices.is_empty()
            && overrides.is_empty()
            && !unstated
            && certificates.is_empty()
            && superseded.is_empty()
            && tokens.is_empty()
            && *tokens_made == 0
            && subscription.until.is_none()
            && !freeze_told
            && wish.is_none()
            && interrupted.is_none()
            && left.is_none()
            && endpoint.as_ref() == book.endpoint.value()
            && provider.as_ref() == provider_of(book, owner.index)
            && *id == owner.id
            && *key == key_of(owner.id, owner.enrolment);
        let sequence = u32::try_from(head.map_or(0, |head| head.sequence)).ok()?;
        if !usual || *head != head_of(owner.id, owner.enrolment, sequence) {
            return None;
        }
        let platform = book.number(running.platform)?;
        let edition = book.edition(platform)?;
        let forked = running.layers != edition.content;
        if forked && running.layers != edition.forked {
            return None;
        }
        self.kind = *kind;
        self.tier = subscription.tier;
        self.status = subscription.status;
        self.subscribed = book.hour(subscription.since)?;
        self.joined = book.hour(*joined)?;
        self.state = *state;
        self.since = book.hour(*since)?;
        self.platform = platform;
        self.runtime = runtime_number(book, running)?;
        self.forked = forked;
        self.enrolment = owner.enrolment;
        self.sequence = sequence;
        self.reported = book.hour(*reported)?;
        self.held = *held;
        self.handshake_required = *handshake_required;
        self.serial = u32::try_from(*serial).ok()?;
        self.offer = part(*offer, |offer| pack_offer(offer, book))?;
        self.attempt = part(*attempt, |attempt| pack_attempt(attempt, book))?;
        self.due = part(*due, |due| pack_due(due, book))?;
        self.paid = part(*paid, |paid| Some((pack_due(paid.due, book)?, book.hour(paid.at)?)))?;
        Some(())
    }

    /// Its plain facts, if it has no others that matter while nothing can be due by time; `versions` by number.
    pub(super) fn plain(&self, versions: &[Version]) -> Option<Plain> {
        let Self { kind, tier, state, platform, runtime, .. } = *self;
        let runs = versions.get(usize::from(platform))?;
        // A failure stands in the way of its own release alone (RO-9).
        let is_past = |failure: &PackedFailure| {
            versions.get(usize::from(failure.release)).is_some_and(|release| release <= runs)
        };
        let is_plain = self.offer.is_none()
            && self.due.is_none()
            && self.attempt.is_none()
            && self.findings.is_empty()
            && self.status == SubscriptionStatus::Active
            && !(self.forked || self.held || self.handshake_required)
            && self.failures.iter().all(is_past);
        is_plain.then_some(Plain { kind, tier, state, platform, runtime })
    }

    /// Reads a little of every part, so that what lies far away in memory is on its way before it is needed; the sum says
    /// nothing.
    pub(super) fn touch(&self) -> u32 {
        let far = self.attempts.first().map_or(0, |attempt| attempt.at);
        let farther = self.attempts.last().map_or(0, |attempt| attempt.at);
        let lists = far ^ farther ^ self.offered.last().map_or(0, |rollout| u32::from(*rollout));
        let due = self.due.map_or(0, |due| due.release) ^ self.paid.map_or(0, |(due, _)| due.release);
        lists ^ u32::from(due) ^ self.sequence ^ self.subscribed ^ self.failures.len() as u32
    }

    /// Its finished attempts at a rollout's release.
    pub(super) fn attempts_of(&self, rollout: u8) -> impl Iterator<Item = (Action, Phase, Outcome)> {
        let attempts = self.attempts.iter().filter(move |attempt| attempt.rollout == rollout);
        attempts.map(|attempt| (attempt.action, attempt.phase, attempt.outcome))
    }

    /// Lays the record out in an instance that is there already; `laid` says what its layers hold.
    pub(super) fn unpack(&self, owner: Owner, book: &Book, into: &mut Instance, laid: &mut Laid) {
        self.unpack_without_attempts(owner, book, into, laid);
        into.attempts.extend(self.attempts.iter().map(|attempt| unpack_finished(*attempt, book)));
    }

    /// As [`Self::unpack`], but for the finished attempts.
    pub(super) fn unpack_without_attempts(
        &self,
        owner: Owner,
        book: &Book,
        into: &mut Instance,
        laid: &mut Laid,
    ) {
        let platform = book.edition(self.platform);
        if *laid != Some((self.platform, self.forked))
            && let Some(edition) = platform
        {
            let content = if self.forked { &edition.forked } else { &edition.content };
            into.running.layers.clone_from(content);
            *laid = Some((self.platform, self.forked));
        }
        if let (Some(edition), Some(runtime)) = (platform, book.edition(self.runtime)) {
            into.running.platform = edition.version;
            into.running.runtime = runtime.runtime;
        }
        into.id = owner.id;
        into.key = key_of(owner.id, self.enrolment);
        into.kind = self.kind;
        let provider = provider_of(book, owner.index);
        if into.provider.as_ref() != provider {
            into.provider = provider.cloned();
        }
        into.subscription = Subscription {
            tier: self.tier,
            status: self.status,
            since: book.at(self.subscribed),
            until: None,
        };
        into.joined = book.at(self.joined);
        into.state = self.state;
        into.since = book.at(self.since);
        into.head = head_of(owner.id, self.enrolment, self.sequence);
        into.reported = book.at(self.reported);
        into.held = self.held;
        into.handshake_required = self.handshake_required;
        into.serial = u64::from(self.serial);
        into.previous_key = None;
        into.unstated = false;
        into.certificates.clear();
        into.tokens.clear();
        into.tokens_made = 0;
        into.freeze_told = false;
        into.wish = None;
        into.interrupted = None;
        into.left = None;
        if into.endpoint.as_ref() != book.endpoint.value() {
            into.endpoint = book.endpoint.value().cloned();
        }
        into.labels.clear();
        into.domains.clear();
        into.activations.clear();
        into.notices.clear();
        into.overrides.clear();
        into.escalations.clear();
        self.unpack_parts(book, into);
    }

    fn unpack_parts(&self, book: &Book, into: &mut Instance) {
        // One clock decides: no instant needs to be remembered for another.
        into.decided = None;
        let rollout = |number: &u8| book.rollouts.get(usize::from(*number)).copied();
        into.offer = self.offer.and_then(|offer| {
            Some(Offer {
                release: book.edition(offer.release)?.version,
                rollout: rollout(&offer.rollout)?,
                action: offer.action,
                phase: offer.phase,
                since: book.at(offer.since),
                deadline: offer.deadline,
            })
        });
        into.attempt = self.attempt.map(|attempt| unpack_attempt(attempt, book));
        into.due = self.due.map(|due| unpack_due(due, book));
        into.paid = self.paid.map(|(due, at)| Paid { due: unpack_due(due, book), at: book.at(at) });
        into.offered.clear();
        into.offered.extend(self.offered.iter().filter_map(rollout));
        into.attempts.clear();
        into.failures.clear();
        into.failures.extend(self.failures.iter().filter_map(|failure| unpack_failure(failure, book)));
        into.findings.clear();
        let finding = |(code, since): &(FindingCode, Hour)| Finding { code: *code, since: book.at(*since) };
        into.findings.extend(self.findings.iter().map(finding));
        into.violations.clear();
        into.violations.extend(self.violations.iter().map(|opened| book.at(*opened)));
        into.warnings.clear();
        into.warnings.extend_from_slice(&self.warnings);
    }

    /// Space for a record, with nothing in it yet.
    pub(super) const fn space() -> Self {
        Self {
            kind: Kind::SaasShared,
            tier: Tier::Free,
            status: SubscriptionStatus::Active,
            state: State::Registered,
            platform: 0,
            runtime: 0,
            forked: false,
            enrolment: 0,
            held: false,
            handshake_required: false,
            subscribed: 0,
            joined: 0,
            since: 0,
            reported: 0,
            sequence: 0,
            serial: 0,
            offer: None,
            attempt: None,
            due: None,
            paid: None,
            offered: Vec::new(),
            attempts: Vec::new(),
            failures: Vec::new(),
            findings: Vec::new(),
            violations: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// A version whose line goes with this runtime, by number.
fn runtime_number(book: &Book, running: &Running) -> Option<u8> {
    let found = book.editions.iter().position(|edition| edition.runtime == running.runtime)?;
    u8::try_from(found).ok()
}

/// Whose instance it is.
pub(super) fn provider_of(book: &Book, index: u32) -> Option<&governance::ProviderId> {
    book.providers.get(usize::from(provider_number(book, index)))
}

/// Whose instance it is, by number.
pub(super) fn provider_number(book: &Book, index: u32) -> u8 {
    let providers = u32::try_from(book.providers.len()).unwrap_or(1).max(1);
    u8::try_from(index % providers).unwrap_or(u8::MAX)
}

/// An instance to lay records out in.
pub(super) fn table(book: &Book) -> Instance {
    let registration = governance::Registration {
        enrolment: governance::Digest::of(b"enrolment"),
        kind: Kind::SaasShared,
        tier: Tier::Free,
        provider: None,
        labels: book.labels.clone(),
        endpoint: book.endpoint.clone(),
        key: key_of(id_of(book.seed, 0), 0),
        running: Running {
            platform: governance::Version::new(0, 0, 0),
            runtime: governance::Version::new(0, 0, 0),
            layers: Vec::new(),
        },
        domains: Vec::new(),
    };
    Instance::registered(id_of(book.seed, 0), &registration, book.start)
}

#[cfg(test)]
mod tests {
    use super::super::START;
    use super::super::organism::Organism;
    use super::*;

    /// One attempt more, time after time, beyond the room that a record has: what is packed is what was given.
    #[test]
    fn attempts_that_are_packed_behind_the_others_come_back() {
        let mut book = Book::new(1, Timestamp::from_millis(START)).unwrap();
        let founding = Organism::new(1).founding(&governance::World::default());
        book.enter(&founding.release, founding.digest, 0);
        book.rollouts.push(governance::RolloutId::from_random([1; 16]));
        let owner = Owner { index: 0, id: id_of(book.seed, 0), enrolment: 0 };
        let mut instance = table(&book);
        let edition = book.edition(0).unwrap();
        instance.running =
            Running { platform: edition.version, runtime: edition.runtime, layers: edition.content.clone() };
        instance.provider = provider_of(&book, 0).cloned();
        let mut packed = Packed::space();
        assert!(packed.pack(&instance, owner, &book, Changed::Everything));
        for hour in 0..40 {
            instance.attempt = Some(Attempt {
                release: edition.version,
                rollout: book.rollout_id(0),
                action: Action::Update,
                phase: Phase::Ga,
                from: edition.version,
                begun: book.at(hour),
            });
            let (release, outcome) = (edition.version, Outcome::Succeeded);
            let finished = governance::InstanceEvent::AttemptFinished { release, outcome, reason: None };
            instance.apply(&finished, book.at(hour));
            assert!(packed.pack(&instance, owner, &book, Changed::Attempts));
            let (mut into, mut laid) = (table(&book), None);
            packed.unpack(owner, &book, &mut into, &mut laid);
            instance.decided = None;
            assert_eq!(into, instance, "hour {hour}");
        }
        assert_eq!(instance.attempts.len(), ATTEMPTS_MAX);
    }
}
