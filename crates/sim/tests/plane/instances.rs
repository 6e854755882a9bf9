//! The instances of a run: honest ones, with real keys, that ask until they are answered, and hold each answer against the
//! record.

mod joining;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use governance::{
    Digest, DomainCode, Instance, InstanceId, InstanceKey, Span, State, StatementHead, Timestamp, Version,
};
use plane::PlaneError;
use plane::instances::SignedCall;
use plane::ports::Nonce;
use proof::directive::{Directive, Offer};
use proof::request::RequestHead;
use proof::statement::VersionStatement;
use proof::{Jws, Sign as _, SignedRequest, Typ};
use serde::Serialize;
use trust::SigningKey;
use wire::{
    CheckIn, CheckedIn, Mark, ModuleCall, Renew, Report, Retry, Rollback, Standing, UpgradeBegin,
    UpgradeFinish, UpgradeOutcome,
};

use crate::book::{Book, shows};
use crate::fate::Dice;
use crate::federation::{CEREMONY, key, layers};
use crate::net::{Again, Answering, code, gate, may_pass, named};
use crate::plan::Plan;
use crate::servers::{Servers, SimPlane};

/// Rounds without anything left to do, after which an instance has come to rest.
const IDLE_ROUNDS: u32 = 2;

/// An instance.
pub(crate) struct Device {
    number: u64,
    servers: Arc<Servers>,
    plan: Arc<Plan>,
    dice: Dice,
    key: SigningKey,
    keys_made: u64,
    id: Option<InstanceId>,
    not_after: Timestamp,
    /// How wrong its clock is.
    off: i64,
    sequence: u64,
    head: Option<Digest>,
    /// The statement that no answer came to yet.
    pending: Option<Jws>,
    running: Version,
    installing: Option<Version>,
    left: Option<Version>,
    domains: Vec<DomainCode>,
    offer: Option<Offer>,
    /// Of the last standing that it was told.
    mark: Option<Mark>,
    state: State,
}

type Asked<T> = Result<(T, usize), PlaneError>;

impl Device {
    pub(crate) fn new(seed: u64, number: u64, servers: &Arc<Servers>, plan: &Arc<Plan>) -> Self {
        Self {
            number,
            servers: Arc::clone(servers),
            plan: Arc::clone(plan),
            dice: Dice::new(seed ^ (number + 1) << 48),
            key: key(20, number * 1_000),
            keys_made: 0,
            id: None,
            not_after: Timestamp::from_millis(0),
            off: 0,
            sequence: 0,
            head: None,
            pending: None,
            running: Version::new(0, 1, 0),
            installing: None,
            left: None,
            domains: Vec::new(),
            offer: None,
            mark: None,
            state: State::Registered,
        }
    }

    fn book(&self) -> &Book {
        &self.servers.tables.book
    }

    fn now(&self) -> Timestamp {
        self.servers.fate.now()
    }

    /// Its whole life in the run; `rests` is set once nothing is left to do.
    pub(crate) async fn live(mut self, rests: Arc<AtomicBool>) {
        let bursts = self.plan.bursts.clone();
        let joins = usize::try_from(self.dice.below(bursts.len() as u64 / 2)).unwrap();
        for (number, burst) in bursts.into_iter().enumerate().skip(joins) {
            let late = self.dice.between(0, 150);
            self.servers.fate.sleep_until(burst + Span::from_millis(late)).await;
            match self.id {
                None => self.join().await,
                Some(_) => self.act(number).await,
            }
        }
        self.servers.fate.sleep_until(self.plan.calm).await;
        self.off = 0;
        if self.id.is_none() {
            self.join().await;
        }
        let mut idle = 0;
        while idle < IDLE_ROUNDS {
            idle = if self.finish().await { 0 } else { idle + 1 };
            let pause = self.dice.between(40 * 60_000, 60 * 60_000);
            self.servers.fate.sleep(pause).await;
        }
        rests.store(true, Ordering::Relaxed);
    }

    /// The server that it calls this time.
    fn server(&mut self) -> usize {
        usize::try_from(self.dice.below(self.servers.count() as u64)).unwrap()
    }

    async fn wait_again(&mut self, tries: u32) {
        let most = 2_000_i64 << tries.min(8);
        let pause = self.dice.between(200, most);
        self.servers.fate.sleep(pause).await;
    }

    /// Asks until an answer comes: each time signed afresh, at any server.
    async fn ask<T: Send + 'static>(
        &mut self,
        path: &str,
        body: &impl Serialize,
        run: impl Fn(Arc<SimPlane>, SignedCall) -> Answering<T> + Clone + Send + Sync + 'static,
    ) -> Asked<T> {
        let id = self.id.unwrap();
        let body = serde_json::to_vec(body).unwrap();
        let target = format!("/v1/instances/{id}/{path}");
        let mut tries = 0;
        loop {
            let off = if tries == 0 { self.off } else { 0 };
            let created = Timestamp::from_millis((self.now().as_millis() + off) / 1_000 * 1_000);
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&self.dice.roll().to_be_bytes());
            let head = RequestHead {
                method: "POST",
                authority: "sim.example:8443",
                path_and_query: &target,
                digest: Digest::of(b""),
                created,
                nonce,
            };
            let request = SignedRequest::sign(head, body.clone(), &self.key).unwrap();
            let call = SignedCall {
                id,
                key: *self.key.public_key(),
                request: Box::new(request),
                nonce: Nonce {
                    key: self.key.key_id().to_string(),
                    nonce: nonce.iter().map(|byte| format!("{byte:02x}")).collect(),
                    expires: created + CEREMONY.law.request_clock_skew.times(2),
                },
            };
            let (mark, server, not_after, run) =
                (self.book().mark(id), self.server(), self.not_after, run.clone());
            self.servers.fate.note(|| format!("instance {} asks server {server}: {path}", self.number));
            let again = match path {
                "check-in" => Again::No,
                "report" | "upgrade/finish" | "renew" => Again::OnceSpent(call.nonce.nonce.clone()),
                _ => Again::Freely,
            };
            let answer = self.servers.call(
                server,
                again,
                Arc::new(move |plane: Arc<SimPlane>| -> Answering<T> {
                    let (call, run) = (call.clone(), run.clone());
                    Box::pin(async move {
                        gate(&plane, &call, created, not_after).await?;
                        run(plane, call).await
                    })
                }),
            );
            match answer.await {
                Some(Ok(answer)) => return Ok((answer, mark)),
                Some(Err(error)) if !may_pass(&error) => {
                    self.refused(path, &error);
                    return Err(error);
                }
                Some(Err(_)) | None => {}
            }
            tries += 1;
            self.wait_again(tries).await;
        }
    }

    /// What an honest instance is never told.
    fn refused(&mut self, path: &str, error: &PlaneError) {
        let code = code(error);
        self.servers.fate.note(|| format!("instance {}: {path} is refused: {code}: {error}", self.number));
        if ["version-chain-broken", "instance-unknown", "statement-malformed", "csr-malformed"]
            .contains(&code.as_str())
        {
            self.servers.fate.breach(format!(
                "instance {} ({}) is honest, and its {path} is refused: {code}: {error}",
                self.number,
                named(self.id)
            ));
        }
        if code == "instance-revoked" {
            self.state = State::Revoked;
        }
    }

    /// Holds an answer against the record: it shows a row that was there, and in it what was asked for.
    fn learn(&mut self, what: &str, standing: &Standing, mark: usize, effect: impl Fn(&Instance) -> bool) {
        let directive: Directive = standing.directive.parse_unverified().unwrap();
        let id = self.id.unwrap();
        let shown = |row: &Instance| shows(standing, &directive, row);
        if !self.book().stood(id, mark, shown) {
            self.servers
                .fate
                .breach(format!("{what} of instance {} is answered with what is not on record", self.number));
        } else if !self.book().stood(id, mark, |row| shown(row) && effect(row)) {
            self.servers
                .fate
                .breach(format!("{what} of instance {} is answered, and not on record", self.number));
        }
        self.mark = Some(standing.mark);
        self.state = standing.state;
        self.offer = directive.offer;
    }

    async fn ready(&mut self) {
        let body = serde_json::json!({});
        let asked = self.ask("ready", &body, |plane, call| Box::pin(async move { plane.ready(&call).await }));
        if let Ok((standing, mark)) = asked.await {
            self.learn("ready", &standing, mark, |row| row.state != State::Registered);
        } else {
            // It was ready before, and the answer was lost.
            self.check_in().await;
        }
    }

    async fn check_in(&mut self) {
        let body = CheckIn { have: self.mark.filter(|_| self.dice.happens(8_000)) };
        let asked = self.ask("check-in", &body, move |plane, call| {
            Box::pin(async move { plane.check_in(call.id, body.have).await })
        });
        match asked.await {
            Ok((CheckedIn::Standing(standing), mark)) => self.learn("a check-in", &standing, mark, |_| true),
            Ok((CheckedIn::Unchanged { unchanged, .. }, _)) if body.have != Some(unchanged) => {
                self.servers
                    .fate
                    .breach(format!("instance {} is told of a mark that it did not name", self.number));
            }
            _ => {}
        }
    }

    /// The statement that is on its way, or the next one.
    fn statement(&mut self) -> Jws {
        if let Some(pending) = &self.pending {
            return pending.clone();
        }
        let statement = VersionStatement {
            instance: self.id.unwrap(),
            sequence: self.sequence + 1,
            previous: self.head,
            at: self.now(),
            platform: self.running,
            runtime: Version::new(0, 1, 0),
            layers: layers(),
            domains: self.domains.clone(),
        };
        let signed = Jws::sign_json(Typ::Statement, &statement, &self.key).unwrap();
        self.pending = Some(signed.clone());
        signed
    }

    fn stated(&mut self, what: &str, statement: &Jws, (standing, mark): (Standing, usize)) {
        let head = StatementHead { sequence: self.sequence + 1, digest: statement.digest() };
        self.learn(what, &standing, mark, |row| row.head == Some(head));
        (self.sequence, self.head, self.pending) = (head.sequence, Some(head.digest), None);
    }

    async fn report(&mut self) {
        let statement = self.statement();
        let body = Report { statement: statement.clone() };
        let said = statement.clone();
        let asked = self.ask("report", &body, move |plane, call| {
            let said = said.clone();
            Box::pin(async move { plane.report(&call, &said).await })
        });
        match asked.await {
            Ok(answer) => self.stated("a report", &statement, answer),
            Err(_) => self.unstated(&statement),
        }
    }

    /// A statement is refused, and may be on record all the same: an answer to it may have been lost before.
    fn unstated(&mut self, statement: &Jws) {
        let head = StatementHead { sequence: self.sequence + 1, digest: statement.digest() };
        if self.book().stood(self.id.unwrap(), 0, |row| row.head == Some(head)) {
            (self.sequence, self.head) = (head.sequence, Some(head.digest));
        }
        self.pending = None;
    }

    async fn begin(&mut self) {
        let Some(offer) = self.offer.clone() else { return };
        let release = offer.release;
        let body = UpgradeBegin { release, directive_serial: 1 };
        let asked = self.ask("upgrade/begin", &body, move |plane, call| {
            Box::pin(async move { plane.upgrade_begin(&call, release).await })
        });
        match asked.await {
            Ok((standing, mark)) => {
                self.learn("a begin", &standing, mark, |row| {
                    // Begun before, it may be found stalled when it is asked for again.
                    row.attempt.is_some_and(|attempt| attempt.release == release)
                        || row.attempts.iter().any(|attempt| attempt.release == release)
                });
                self.installing = Some(release);
            }
            Err(_) => self.offer = None,
        }
    }

    async fn end(&mut self, fails: bool) {
        let Some(release) = self.installing.take() else { return };
        if fails && self.pending.is_none() {
            let body = UpgradeFinish {
                release,
                outcome: UpgradeOutcome::Failed,
                reason: Some("not healthy".to_owned()),
                statement: None,
            };
            let said = body.clone();
            let asked = self.ask("upgrade/finish", &body, move |plane, call| {
                let said = said.clone();
                Box::pin(async move { plane.upgrade_finish(&call, &said).await })
            });
            if let Ok((standing, mark)) = asked.await {
                self.learn("a failure", &standing, mark, |row| row.attempt.is_none());
            }
            return;
        }
        // What is on its way first: the chain goes on from it.
        while self.pending.is_some() && self.state != State::Revoked {
            self.report().await;
        }
        (self.left, self.running) = (Some(self.running), release);
        let statement = self.statement();
        let body = UpgradeFinish {
            release,
            outcome: UpgradeOutcome::Succeeded,
            reason: None,
            statement: Some(statement.clone()),
        };
        let said = body.clone();
        let asked = self.ask("upgrade/finish", &body, move |plane, call| {
            let said = said.clone();
            Box::pin(async move { plane.upgrade_finish(&call, &said).await })
        });
        match asked.await {
            Ok(answer) => self.stated("a success", &statement, answer),
            Err(_) => self.unstated(&statement),
        }
    }

    async fn renew(&mut self) {
        if self.pending.is_some() {
            // Signed with the key that is about to go: it arrives first.
            return self.report().await;
        }
        let next = match self.dice.happens(5_000) {
            true => self.key.clone(),
            false => {
                self.keys_made += 1;
                key(20, self.number * 1_000 + self.keys_made)
            }
        };
        let public = InstanceKey::from_bytes(*next.public_key().as_bytes());
        let csr = trust::ca::make_csr(&next).unwrap();
        let body = Renew { csr, key: public, chain_head: self.head, pending: None };
        let said = body.clone();
        let asked = self.ask("renew", &body, move |plane, call| {
            let said = said.clone();
            Box::pin(async move { plane.renew(&call, &said).await })
        });
        if let Ok((renewed, mark)) = asked.await {
            if !self.book().stood(self.id.unwrap(), mark, |row| row.key == public) {
                self.servers
                    .fate
                    .breach(format!("a renewal of instance {} is answered, and not on record", self.number));
            }
            self.key = next;
            self.certified(renewed.renew_at);
        }
    }

    async fn token(&mut self, domain: Option<DomainCode>) {
        let (path, body) = match &domain {
            None => ("entitlement", serde_json::json!({})),
            Some(domain) => {
                ("modules/activate", serde_json::to_value(ModuleCall { domain: domain.clone() }).unwrap())
            }
        };
        let of = domain.clone();
        let asked = self.ask(path, &body, move |plane, call| {
            let of = of.clone();
            Box::pin(async move {
                match of {
                    None => plane.entitle(&call).await,
                    Some(domain) => plane.activate(&call, domain).await,
                }
            })
        });
        let Ok((token, mark)) = asked.await else { return };
        let of = domain.as_ref();
        let issued = |row: &Instance| row.token(of).is_some_and(|issued| issued.expires == token.expires);
        if !self.book().stood(self.id.unwrap(), mark, issued) {
            self.servers
                .fate
                .breach(format!("a token of instance {} is answered, and not on record", self.number));
        }
        if let Some(domain) = domain
            && !self.domains.contains(&domain)
        {
            self.domains.push(domain);
        }
    }

    async fn deactivate(&mut self) {
        let Some(domain) = self.domains.last().cloned() else { return };
        let (body, of) = (ModuleCall { domain: domain.clone() }, domain.clone());
        let asked = self.ask("modules/deactivate", &body, move |plane, call| {
            let of = of.clone();
            Box::pin(async move { plane.deactivate(&call, of).await })
        });
        if let Ok((standing, mark)) = asked.await {
            self.learn("a deactivation", &standing, mark, |row| !row.is_activated(&domain));
            self.domains.retain(|active| *active != domain);
        }
    }

    async fn wish(&mut self) {
        let back = self.dice.happens(5_000);
        let release = match self.left.filter(|_| back) {
            Some(left) => left,
            None => Version::new(0, 1, u32::try_from(self.dice.below(4)).unwrap()),
        };
        let asked = match back {
            true => {
                let body = Rollback { release };
                let ask = self.ask("rollback", &body, move |plane, call| {
                    Box::pin(async move { plane.roll_back(&call, release).await })
                });
                ask.await
            }
            false => {
                let body = Retry { release };
                let ask = self.ask("retry", &body, move |plane, call| {
                    Box::pin(async move { plane.retry(&call, release).await })
                });
                ask.await
            }
        };
        if let Ok((standing, mark)) = asked {
            self.learn("a wish", &standing, mark, |_| true);
        }
    }

    /// What it does at a burst.
    async fn act(&mut self, _burst: usize) {
        if self.state == State::Revoked {
            return self.check_in().await;
        }
        if let Some(secret) = self.servers.letter(self.id.unwrap()) {
            return self.enrol_afresh(&secret).await;
        }
        self.off = match self.dice.below(12) {
            0 => self.dice.between(-600_000, 600_000),
            1 | 2 => self.dice.between(-240_000, 240_000),
            _ => 0,
        };
        if self.installing.is_some() && self.dice.happens(7_000) {
            let fails = self.dice.happens(2_000);
            return self.end(fails).await;
        }
        match self.dice.below(16) {
            0 | 1 => self.check_in().await,
            2..5 => self.report().await,
            5..9 if self.offer.is_some() => self.begin().await,
            5 => self.check_in().await,
            6..10 => self.renew().await,
            10 | 11 => self.token(None).await,
            12 | 13 => {
                let domain = self.dice.pick(&["COM", "FIN", "EDU", "MED"]).parse().unwrap();
                self.token(Some(domain)).await;
            }
            14 => self.deactivate().await,
            _ => self.wish().await,
        }
    }

    /// Brings to an end what is left to do; `false`: nothing was.
    async fn finish(&mut self) -> bool {
        self.check_in().await;
        if self.state == State::Revoked {
            return false;
        }
        if self.now() + Span::hours(6) > self.not_after {
            self.renew().await;
        }
        if self.state == State::Registered {
            self.ready().await;
        }
        if self.offer.is_some() && self.installing.is_none() {
            self.begin().await;
        }
        let busy = self.pending.is_some() || self.installing.is_some();
        if self.installing.is_some() {
            self.end(false).await;
        } else {
            self.report().await;
        }
        busy || self.offer.is_some()
    }
}
