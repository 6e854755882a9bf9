//! What instances and operators ask about one instance (HS-1…HS-3, LC).

use governance::decide::{self, Command, Renewal, Statement};
use governance::{
    Action, Committed, Digest, DomainCode, Instance, InstanceId, InstanceKey, Person, Reason, Registration,
    Running, Salt, Span, StatementHead, Timestamp, Version, World,
};
use proof::directive::{Directive, Offer, OfferAction};
use proof::jws::Typ;
use proof::statement::VersionStatement;
use proof::{Jws, PublicKey, SignedRequest};
use trust::Validity;
use trust::ca::{Issued, read_csr};

use std::sync::atomic::Ordering;

use wire::{CheckedIn, Mark};

use crate::decision::{By, CONFLICTS_MAX, Extra, Recorded};
use crate::enrolments::{Found, found};
use crate::fleet::Known;
use crate::pace::Pace;
use crate::ports::{Enrolment, EnrolmentUse, EnrolmentWrite, Nonce, Revision, Store};
use crate::{Plane, PlaneError, Rejection};

/// How far back a new certificate counts, for clocks that are a little behind.
const CERTIFICATE_LEEWAY: Span = Span::from_millis(60_000);

/// Who an instance is, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its key.
    pub key: InstanceKey,
    /// The one it renewed away from, until it makes a statement under the new one (HS-2).
    pub previous_key: Option<InstanceKey>,
    /// Its state.
    pub state: governance::State,
    /// Since when.
    pub since: Timestamp,
}

/// A request of an instance whose signature was verified.
#[derive(Clone, Debug)]
pub struct SignedCall {
    /// Which instance.
    pub id: InstanceId,
    /// The key it signed with.
    pub key: PublicKey,
    /// What it signed.
    pub request: Box<SignedRequest>,
    /// The nonce it spends (HS-6).
    pub nonce: Nonce,
}

impl SignedCall {
    fn by(&self) -> By {
        By::Instance(self.request.clone())
    }
    pub(crate) fn extra(&self) -> Extra {
        // Spent per instance, not per key, as the verifier counts them: a new key does not make an old nonce new.
        Extra { nonce: Some(Nonce { key: self.id.to_string(), ..self.nonce.clone() }), ..Extra::default() }
    }
}

impl<S: Store> Plane<S> {
    /// Registers an instance, or lets it enrol afresh under its id: its enrolment is used, its certificate issued, in one commit (HS-1). The same key with the
    /// same secret gets the same answer again.
    ///
    /// # Errors
    /// When enrolment, key or metadata are not acceptable; nothing is used up then.
    pub async fn register(
        &self,
        peer: &PublicKey,
        request: &wire::Register,
    ) -> Result<wire::Registered, PlaneError> {
        let key = read_csr(&request.csr).map_err(|error| {
            Rejection::new(
                "csr-malformed",
                "HS-1",
                error.to_string(),
                "send a PKCS#10 request in PEM over an Ed25519 key",
            )
        })?;
        if key != *peer {
            return Err(Rejection::new(
                "key-mismatch",
                "HS-1",
                "the request is for another key than the certificate of the connection",
                "connect with a self-signed certificate over the key you want certified",
            )
            .into());
        }
        let digest = Digest::of(request.secret.as_bytes());
        let _gate = self.gate.read().await;
        for _ in 0..CONFLICTS_MAX {
            let (enrolment, known) = self.enrolment_load(digest).await?;
            self.heed(known.as_ref().and_then(|(instance, _)| instance.decided));
            // The instant is taken behind the record: nothing that stands there was decided later (LG-1).
            let (seen, now) = self.law_of_the_day().await?;
            let enrolment = match found(enrolment, now, &key)? {
                Found::Answered(used) => {
                    return Ok(self.registered(used));
                }
                Found::Open(enrolment) => enrolment,
            };
            if enrolment.instance.is_none() && enrolment.tier != request.metadata.tier {
                return Err(Rejection::new(
                    "tier-mismatch",
                    "ID-2",
                    format!(
                        "the enrolment is for tier {}, the metadata says {}",
                        enrolment.tier, request.metadata.tier
                    ),
                    "set the tier of the enrolment in the instance's configuration",
                )
                .into());
            }
            match self.registration_commit(&seen, (enrolment, known), request, &key, now).await {
                Ok(registered) => return Ok(registered),
                Err(crate::decision::SettleError::Again) => self.look_again().await?,
                Err(crate::decision::SettleError::Failed(PlaneError::Rejected(rejection)))
                    if rejection.code == "enrolment-used" => {}
                Err(crate::decision::SettleError::Failed(PlaneError::Refused(_)))
                    if !self.is_still(&seen).await? => {}
                Err(crate::decision::SettleError::Failed(error)) => return Err(error),
            }
        }
        Err(PlaneError::Unavailable("the federation is being changed by others all the time".to_owned()))
    }

    async fn registration_commit(
        &self,
        seen: &crate::Seen,
        (enrolment, known): (Box<Enrolment>, Option<(Instance, Revision)>),
        request: &wire::Register,
        key: &PublicKey,
        now: Timestamp,
    ) -> Result<wire::Registered, crate::decision::SettleError> {
        let [random, _] = crate::rollouts::split(&self.entropy.bytes());
        let [of_labels, of_endpoint] = crate::rollouts::split(&self.entropy.bytes()).map(Salt::from_random);
        let id = enrolment.instance.unwrap_or_else(|| InstanceId::from_random(random));
        let issued = self.certify(id, key, now, &seen.world)?;
        let certified = Command::Certify {
            key: instance_key(key),
            serial: issued.serial.clone(),
            not_after: issued.not_after,
        };
        let (instance, revision, mut events) = if enrolment.instance.is_some() {
            let (instance, revision) = known.ok_or_else(|| PlaneError::NotFound(format!("instance {id}")))?;
            let afresh = Command::Handshake {
                key: instance_key(key),
                enrolment: enrolment.digest,
                endpoint: Committed::new(of_endpoint, request.metadata.endpoint.clone()),
            };
            let events = decide::decide(&instance, &afresh, &seen.world, now).map_err(PlaneError::from)?;
            (instance, Some(revision), events)
        } else {
            let registration = registration(&enrolment, request, key, [of_labels, of_endpoint]);
            let events = decide::register(&registration, &seen.world).map_err(PlaneError::from)?;
            (Instance::registered(id, &registration, now), None, events)
        };
        let mut enrolled = instance.clone();
        events.iter().for_each(|event| enrolled.apply(event, now));
        events.extend(decide::decide(&enrolled, &certified, &seen.world, now).map_err(PlaneError::from)?);
        let used = EnrolmentUse {
            instance: id,
            key: instance_key(key),
            certificate: issued.to_pem(),
            renew_at: renew_at(now, &seen.world),
        };
        let extra = Extra {
            enrolment: Some(EnrolmentWrite::Use { digest: enrolment.digest, used: used.clone() }),
            ..Extra::default()
        };
        self.settle(seen, instance, revision, events, &By::Federation, &extra, now).await?;
        Ok(self.registered(used))
    }

    fn registered(&self, used: EnrolmentUse) -> wire::Registered {
        wire::Registered {
            instance: used.instance,
            certificate: used.certificate,
            bundle: self.federation.bundle.clone(),
            renew_at: used.renew_at,
            interval_ms: self.wait(used.instance),
            keys: self.keys().signed.clone(),
        }
    }

    fn certify(
        &self,
        id: InstanceId,
        key: &PublicKey,
        now: Timestamp,
        world: &World,
    ) -> Result<Issued, PlaneError> {
        let validity = Validity {
            not_before: now - CERTIFICATE_LEEWAY,
            not_after: now + world.constitution.identity_certificate_lifetime,
        };
        Ok(self.federation.instance_ca.issue_instance(id, key, validity)?)
    }

    /// Renews a certificate over the same key or a new one (HS-2). A restored instance shakes hands afresh by it
    /// (LC-17). The key before may repeat the renewal away from it.
    ///
    /// # Errors
    /// When the instance is revoked, the chain forked (CO-9), or the key is not the one in force.
    pub async fn renew(&self, call: &SignedCall, request: &wire::Renew) -> Result<wire::Renewed, PlaneError> {
        let key = read_csr(&request.csr).map_err(|error| {
            Rejection::new(
                "csr-malformed",
                "HS-2",
                error.to_string(),
                "send a PKCS#10 request in PEM over an Ed25519 key",
            )
        })?;
        if instance_key(&key) != request.key {
            return Err(Rejection::new(
                "key-mismatch",
                "HS-2",
                "the request is for another key than the one named beside it",
                "name the key of the PKCS#10 request, in hexadecimal",
            )
            .into());
        }
        let now = self.now();
        let issued = self.certify(call.id, &key, now, &self.seen().world)?;
        let command = Command::Renew(Renewal {
            by: instance_key(&call.key),
            key: request.key,
            head: request.chain_head,
            pending: request.pending,
            serial: issued.serial.clone(),
            not_after: issued.not_after,
        });
        let judge = |instance: &Instance, world: &World, now| decide::decide(instance, &command, world, now);
        self.decide_instance(call.id, &call.by(), &call.extra(), judge).await?;
        Ok(wire::Renewed { certificate: issued.to_pem(), renew_at: renew_at(now, &self.seen().world) })
    }

    /// Deployment complete (LC-1).
    ///
    /// # Errors
    /// When the law refuses.
    pub async fn ready(&self, call: &SignedCall) -> Result<wire::Standing, PlaneError> {
        self.call(call, Command::Ready).await
    }

    /// A version statement (HS-3).
    ///
    /// # Errors
    /// When it is not the instance's, breaks the chain (ID-4), or claims what was never offered.
    pub async fn report(&self, call: &SignedCall, statement: &Jws) -> Result<wire::Standing, PlaneError> {
        let statement = read_statement(call, statement)?;
        self.call(call, Command::Report(statement)).await
    }

    /// Nothing new to say. Writes only when something is due; where nothing is, and the instance knows where it stands
    /// (`have`), nothing is read either: the fleet's row answers.
    ///
    /// # Errors
    /// When the instance is revoked.
    pub async fn check_in(&self, id: InstanceId, have: Option<Mark>) -> Result<CheckedIn, PlaneError> {
        let nothing = |instance: &Instance, _: &World, _| {
            if instance.state == governance::State::Revoked {
                return Err(Reason::InstanceRevoked { since: instance.since }.into());
            }
            Ok(Vec::new())
        };
        if let Some((known, mark)) = self.quiet(id) {
            if known.state == governance::State::Revoked {
                let revoked = Reason::InstanceRevoked { since: known.since };
                return Err(PlaneError::Refused(revoked.into()));
            }
            if have == Some(mark) && !self.challenges.rides(id, self.now()) {
                return Ok(CheckedIn::Unchanged { unchanged: mark, interval_ms: self.wait(id) });
            }
        }
        let told = Extra { told: true, ..Extra::default() };
        let recorded = self.decide_instance(id, &By::Federation, &told, nothing).await?;
        Ok(CheckedIn::Standing(Box::new(self.standing(&recorded)?)))
    }

    /// What is known of an instance for which nothing is due, and the mark of where it stands.
    fn quiet(&self, id: InstanceId) -> Option<(Known, Mark)> {
        let (seen, now) = (self.world.load(), self.now());
        let known = self.fleet.hear(id, seen.epoch, now).filter(|_| self.fleet.may_answer(now))?;
        // A law whose date has come changes everything.
        seen.world.due(now).is_empty().then(|| (known, mark(known.revision, &seen)))
    }

    /// How long an instance is told to wait, in milliseconds.
    fn wait(&self, id: InstanceId) -> u64 {
        let pace = Pace {
            every: self.settings.check_in_every,
            per_second: self.settings.check_ins_per_second,
            instances: self.fleet.len(),
            busy_permille: self.busy_permille.load(Ordering::Relaxed),
        };
        interval_ms(pace.wait(id, self.now()))
    }

    /// Notes how much of what this server can do at once it does, in parts of a thousand: waits grow with it.
    pub fn busy(&self, permille: u32) {
        self.busy_permille.store(permille, Ordering::Relaxed);
    }

    /// Who an instance is and where it stands, for whoever authenticates its requests: as this server last saw it, which is
    /// at most a second behind what another decided. Of a key that this server does not know as the instance's the record is asked:
    /// it may have renewed it elsewhere just now.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn identity(&self, id: InstanceId, key: InstanceKey) -> Result<Option<Identity>, PlaneError> {
        let may_answer = self.fleet.may_answer(self.now());
        let is_known = |known: &Known| may_answer && known.key == key && !known.is_renewing;
        if let Some(known) = self.fleet.known(id).filter(is_known) {
            let Known { key, state, since, .. } = known;
            return Ok(Some(Identity { key, previous_key: None, state, since }));
        }
        let found = self.instance(id).await?;
        Ok(found.map(|Instance { key, previous_key, state, since, .. }| Identity {
            key,
            previous_key,
            state,
            since,
        }))
    }

    /// Forged or repeated requests of an instance, again and again: the matter goes before the Founder (CO-13). Of the
    /// revoked they are counted and no more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn bypass(&self, id: InstanceId, facts: String) -> Result<(), PlaneError> {
        let command = Command::Bypass { facts };
        let judge = |instance: &Instance, world: &World, now| match instance.state {
            governance::State::Revoked => Ok(Vec::new()),
            _ => decide::decide(instance, &command, world, now),
        };
        self.decide_instance(id, &By::Federation, &Extra::default(), judge).await.map(|_| ())
    }

    /// Deployment of an offered release started (LC-3).
    ///
    /// # Errors
    /// When it is not on offer or the state forbids it.
    pub async fn upgrade_begin(
        &self,
        call: &SignedCall,
        release: Version,
    ) -> Result<wire::Standing, PlaneError> {
        self.call(call, Command::BeginUpgrade { release }).await
    }

    /// The upgrade ended (LC-4, LC-5). Success is the version that the statement says runs, nothing else (RO-3).
    ///
    /// # Errors
    /// When no such upgrade is under way, or success comes without a statement that shows it.
    pub async fn upgrade_finish(
        &self,
        call: &SignedCall,
        request: &wire::UpgradeFinish,
    ) -> Result<wire::Standing, PlaneError> {
        match request.outcome {
            wire::UpgradeOutcome::Failed => {
                let reason = request.reason.as_ref().map(|reason| reason.chars().take(1_024).collect());
                self.call(call, Command::FailUpgrade { release: request.release, reason }).await
            }
            wire::UpgradeOutcome::Succeeded => {
                let missing = || {
                    let hint = "send the version statement that names the new version as the one running";
                    Rejection::new(
                        "statement-missing",
                        "RO-3",
                        "success is shown by a version statement",
                        hint,
                    )
                };
                let document = request.statement.as_ref().ok_or_else(missing)?;
                let statement = read_statement(call, document)?;
                if statement.running.platform != request.release {
                    return Err(Rejection::new(
                        "not-running",
                        "RO-3",
                        format!(
                            "the statement says {} runs, not {}",
                            statement.running.platform, request.release
                        ),
                        "report success once the new version runs",
                    )
                    .into());
                }
                self.call(call, Command::Report(statement)).await
            }
        }
    }

    /// The owner wants what failed to be tried again (RO-9).
    ///
    /// # Errors
    /// When it did not fail here.
    pub async fn retry(&self, call: &SignedCall, release: Version) -> Result<wire::Standing, PlaneError> {
        self.call(call, Command::Retry { release }).await
    }

    /// The owner wants to go back to what ran before (RL-2, RO-9). May be repeated.
    ///
    /// # Errors
    /// When it did not run before, its window is over, or a security release would be left.
    pub async fn roll_back(&self, call: &SignedCall, release: Version) -> Result<wire::Standing, PlaneError> {
        self.call(call, Command::RollBack { release }).await
    }

    async fn call(&self, call: &SignedCall, command: Command) -> Result<wire::Standing, PlaneError> {
        let recorded = self.called(call, command).await?;
        self.standing(&recorded)
    }

    /// What an instance asked for, decided: the instance as it stands then.
    pub(crate) async fn called(&self, call: &SignedCall, command: Command) -> Result<Recorded, PlaneError> {
        let judge = |instance: &Instance, world: &World, now| {
            if instance.key != instance_key(&call.key) {
                // It renewed its key since the request was let in: what the old key signed proves nothing any more.
                return Err(Reason::KeySuperseded.into());
            }
            decide::decide(instance, &command, world, now)
        };
        let recorded = self.decide_instance(call.id, &call.by(), &call.extra(), judge).await?;
        self.fleet.hear(call.id, 0, self.now());
        Ok(recorded)
    }

    /// A domain was switched off (EN-7). May be repeated while it is on record.
    ///
    /// # Errors
    /// When it is not active, or another that is needs it.
    pub async fn deactivate(
        &self,
        call: &SignedCall,
        domain: DomainCode,
    ) -> Result<wire::Standing, PlaneError> {
        self.call(call, Command::Deactivate { domain }).await
    }

    /// An operator asks something of an instance: suspend, reactivate, change its subscription.
    ///
    /// # Errors
    /// When the law refuses.
    pub async fn operate(
        &self,
        person: &Person,
        id: InstanceId,
        command: Command,
    ) -> Result<wire::InstanceView, PlaneError> {
        let by = By::Person(person.clone());
        let judge = |instance: &Instance, world: &World, now| decide::decide(instance, &command, world, now);
        let instance = self.decide_instance(id, &by, &Extra::default(), judge).await?;
        Ok(self.instance_as_seen(&instance))
    }

    /// The key an instance signs with, and its state, for whoever authenticates its requests.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn instance(&self, id: InstanceId) -> Result<Option<Instance>, PlaneError> {
        Ok(self.store.instance_load(id).await?.map(|(instance, _)| instance))
    }

    /// Where the instance stands and what is asked of it, signed (RL-3).
    pub(crate) fn standing(&self, recorded: &Recorded) -> Result<wire::Standing, PlaneError> {
        let (seen, instance) = (self.seen(), &recorded.instance);
        let at = self.now();
        let offered = instance.offer.map(|offer| {
            let Some(release) = seen.world.release(offer.release) else {
                let unknown = format!("release {} is on offer, and not known here yet", offer.release);
                return Err(PlaneError::Unavailable(unknown));
            };
            let action = match offer.action {
                Action::Rollback => OfferAction::Rollback,
                Action::Update if instance.state == governance::State::Suspended => OfferAction::Remediation,
                Action::Update => OfferAction::Update,
            };
            Ok(Offer {
                release: offer.release,
                action,
                rollout: Some(offer.rollout),
                phase: Some(offer.phase),
                package: release.package.clone(),
                deadline: offer.deadline,
            })
        });
        let offer = offered.transpose()?;
        let directive = Directive {
            instance: instance.id,
            serial: instance.serial,
            at,
            expires: at + self.settings.directive_lifetime,
            state: instance.state,
            offer,
        };
        let directive = Jws::sign_json(Typ::Directive, &directive, &self.federation.directives)?;
        Ok(wire::Standing {
            state: instance.state,
            since: instance.since,
            findings: crate::views::finding_views(instance),
            warnings: instance.warnings.clone(),
            notices: crate::views::notice_views(instance, &seen.world.constitution),
            handshake_required: instance.handshake_required,
            directive,
            challenge: self.challenges.riding(instance.id, at),
            mark: mark(recorded.revision, &seen),
            interval_ms: self.wait(instance.id),
        })
    }
}

fn registration(
    enrolment: &Enrolment,
    request: &wire::Register,
    key: &PublicKey,
    [of_labels, of_endpoint]: [Salt; 2],
) -> Registration {
    let metadata = &request.metadata;
    Registration {
        enrolment: enrolment.digest,
        kind: enrolment.kind,
        tier: enrolment.tier,
        provider: enrolment.provider.clone(),
        labels: Committed::new(of_labels, enrolment.labels.clone()),
        endpoint: Committed::new(of_endpoint, metadata.endpoint.clone()),
        key: instance_key(key),
        running: Running {
            platform: metadata.platform,
            runtime: metadata.runtime,
            layers: metadata.layers.clone(),
        },
        domains: metadata.domains.clone(),
    }
}

/// A version statement signed with the key that signed the request it came in (ID-4).
fn read_statement(call: &SignedCall, document: &Jws) -> Result<Statement, PlaneError> {
    let (statement, digest) = VersionStatement::open(document, call.id, &call.key).map_err(|error| {
        Rejection::new(
            "statement-malformed",
            "ID-4",
            error.to_string(),
            "sign a version statement with the instance's own key",
        )
    })?;
    Ok(Statement {
        head: StatementHead { sequence: statement.sequence, digest },
        previous: statement.previous,
        running: Running {
            platform: statement.platform,
            runtime: statement.runtime,
            layers: statement.layers,
        },
        domains: statement.domains,
    })
}

/// The key as it stands on record.
pub(crate) fn instance_key(key: &PublicKey) -> InstanceKey {
    InstanceKey::from_bytes(*key.as_bytes())
}

/// Half-life (HS-2).
fn renew_at(now: Timestamp, world: &World) -> Timestamp {
    now + Span::from_millis(world.constitution.identity_certificate_lifetime.as_millis() / 2)
}

/// The mark of where an instance stands: it rises with the record, and another law reads the same record otherwise.
fn mark(revision: Revision, seen: &crate::Seen) -> Mark {
    let law = seen.constitution();
    Mark::new(revision, law.as_ref().map(Digest::as_bytes))
}

fn interval_ms(span: Span) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
