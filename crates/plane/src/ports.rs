//! What the plane needs of the world outside: a store, a clock, fresh randomness, a signer of decisions.
//!
//! Ports take values, not closures; adapters live elsewhere (`store`, `fedplane`).

use std::future::Future;
use std::pin::Pin;

use governance::{
    Digest, Endpoint, Instance, InstanceId, InstanceKey, Kind, Label, ProviderId, Span, State, Tier,
    Timestamp, Version, World,
};
use proof::challenge::Nonce as ChallengeNonce;
use proof::{Jws, PublicKey};
use serde::{Deserialize, Serialize};

/// Counts the writes of a row: a commit names the revision it was decided on.
pub type Revision = u64;

/// Rows that one page of a listing holds at most.
pub const PAGE_MAX: usize = 1_000;

/// Reads the time, and waits. The only place a clock is read.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
    /// Lets so much time go by.
    fn pause(&self, span: Span) -> Pausing<'_>;
}

/// Time going by.
pub type Pausing<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Gives randomness fit for secrets and ids.
pub trait Entropy: Send + Sync + 'static {
    /// Fresh random bytes.
    fn bytes(&self) -> [u8; 32];
}

/// Asks an instance at its handshake endpoint (HS-8): the one call that goes out (AU-3).
pub trait Challenger: Send + Sync + 'static {
    /// Puts the question and gives the answer as it came, unverified but for the certificate of whoever answered. Bounded in
    /// time and size; follows no redirect; calls no address that its settings do not allow.
    fn ask(&self, question: Question) -> Answering<'_>;
}

/// An answer on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Jws, Unanswered>> + Send + 'a>>;

/// What is asked, of whom, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who must answer.
    pub instance: InstanceId,
    /// Where it said that it can be reached (ID-2).
    pub endpoint: Endpoint,
    /// The keys that its certificate may be over.
    pub keys: Vec<PublicKey>,
    /// What it is to sign.
    pub nonce: ChallengeNonce,
}

/// Why no answer came, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

/// Asks witnesses to cosign checkpoints (LG-2).
pub trait Cosigner: Send + Sync + 'static {
    /// Sends a request to the witness at this address, and gives the answer as it came. Bounded in time and size; follows no
    /// redirect. Whoever answers need not be vouched for: what counts in an answer is signed.
    fn ask<'a>(&'a self, url: &'a str, request: String) -> Cosigning<'a>;
}

/// A witness's answer on its way.
pub type Cosigning<'a> = Pin<Box<dyn Future<Output = Result<WitnessAnswer, Unanswered>> + Send + 'a>>;

/// What a witness answered, unverified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessAnswer {
    /// The status of HTTP.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// An enrolment: the right to register one instance, once (HS-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// SHA-256 of the secret; the secret itself is never stored.
    pub digest: Digest,
    /// Kind of the instance to be.
    pub kind: Kind,
    /// Its tier.
    pub tier: Tier,
    /// Whose it is.
    pub provider: Option<ProviderId>,
    /// What operators call it by.
    pub labels: Vec<Label>,
    /// An instance that enrols afresh under its id, where it is one (HS-1).
    pub instance: Option<InstanceId>,
    /// Who asked for it, as `operator/admin`.
    #[serde(default)]
    pub asked: String,
    /// Who approved it, where it is for an instance that enrols afresh.
    #[serde(default)]
    pub approved: Option<String>,
    /// When the secret expires.
    pub expires: Timestamp,
    /// Who used it, and what was answered: the same key gets the same answer again.
    pub used: Option<EnrolmentUse>,
}

/// The use of an enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentUse {
    /// The instance it made.
    pub instance: InstanceId,
    /// The key it was used with.
    pub key: InstanceKey,
    /// The certificate chain answered, PEM.
    pub certificate: String,
    /// When it is to be renewed.
    pub renew_at: Timestamp,
}

/// What a commit does to an enrolment, in the same transaction.
#[derive(Clone, Debug)]
pub enum EnrolmentWrite {
    /// Makes it; a digest that exists already is a conflict.
    Create(Enrolment),
    /// Approves it; one that was approved or used, in the meantime too, is a conflict.
    Approve {
        /// Which.
        digest: Digest,
        /// Who does.
        by: String,
    },
    /// Uses it; one that was used, in the meantime too, is [`StoreError::EnrolmentUsed`].
    Use {
        /// Which.
        digest: Digest,
        /// By whom.
        used: EnrolmentUse,
    },
}

/// A nonce spent by the deciding transaction (HS-6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// The key id it was signed under.
    pub key: String,
    /// The nonce as sent.
    pub nonce: String,
    /// When it may be forgotten: no request that old is accepted any more.
    pub expires: Timestamp,
}

/// Everything one decision writes: all of it in one durable transaction, or none.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The instance after the decision, and the revision decided on; none: a new instance.
    pub instance: Option<(Box<Instance>, Option<Revision>)>,
    /// The world after the decision, where it changed.
    pub world: Option<Box<World>>,
    /// The world's revision decided on; another one by now is a conflict.
    pub world_revision: Revision,
    /// Ledger entries, encoded, in order. Their positions are given here and now, without gaps.
    pub entries: Vec<Vec<u8>>,
    /// Which of the entries are about the instance that the commit writes, by their index.
    pub about_instance: Vec<usize>,
    /// The nonce of the request that asked for it; one spent before is [`StoreError::NonceSpent`].
    pub nonce: Option<Nonce>,
    /// What it does to an enrolment.
    pub enrolment: Option<EnrolmentWrite>,
    /// Signed documents to keep: kind, name, bytes. The same kind and name are overwritten.
    pub documents: Vec<Document>,
    /// The lease under which it is done; one that was taken over by now is a conflict.
    pub fence: Option<Fence>,
}

/// A lease by its name, as it was when somebody held it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Which lease.
    pub lease: String,
    /// Its fence then.
    pub fence: u64,
}

/// Who does what only one server may do at a time. Nobody's clock is in it: a lease is over when its beat stood still for long
/// enough by the clock of whoever watches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is done under it.
    pub name: String,
    /// Which server holds it; empty: it was given back.
    pub holder: String,
    /// Rises with each new holder, so that what an earlier one still writes is refused.
    pub fence: u64,
    /// Rises each time that its holder shows that he lives.
    pub beat: u64,
}

/// The gate of the world, while it is closed: nothing is committed but by whoever closed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Which server closed it.
    pub holder: String,
    /// The world's revision since then.
    pub world_revision: Revision,
}

/// A signed document as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// `keys`, `constitution`, `order`, `release`, …
    pub kind: String,
    /// Its name among its kind: a serial or a version.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What a commit became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The instance's revision now; the one decided on where no instance was written.
    pub instance_revision: Revision,
    /// The world's revision now.
    pub world_revision: Revision,
    /// Ledger entries in all, now.
    pub ledger_size: u64,
}

/// Why the store did not do it. Nothing of a refused commit was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote first: load and decide again.
    #[error("the {0} was changed meanwhile")]
    Conflict(&'static str),
    /// HS-6.
    #[error("the nonce was used before")]
    NonceSpent,
    /// HS-1.
    #[error("the enrolment was used already")]
    EnrolmentUsed,
    /// The store cannot serve: disk full, file gone, corrupted.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
}

/// Which instances a listing shows; an absent field restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// In this state.
    pub state: Option<State>,
    /// Running this platform version.
    pub platform: Option<Version>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Of this tier.
    pub tier: Option<Tier>,
    /// Of this provider.
    pub provider: Option<ProviderId>,
    /// With a certificate that nobody may believe any more though its time is not over at this instant (LC-19).
    pub unbelieved: Option<Timestamp>,
}

/// The source of truth. One conformance suite holds every adapter to this text.
pub trait Store: Send + Sync + 'static {
    /// The world and its revision; the default world at revision 0 before anything was decided.
    fn world_load(&self) -> impl Future<Output = Result<(World, Revision), StoreError>> + Send;

    /// One instance and its revision.
    fn instance_load(
        &self,
        id: InstanceId,
    ) -> impl Future<Output = Result<Option<(Instance, Revision)>, StoreError>> + Send;

    /// Instances in the order of their ids, behind `after`, `limit` (at most [`PAGE_MAX`]) of them.
    fn instance_page(
        &self,
        filter: &InstanceFilter,
        after: Option<InstanceId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Instance, Revision)>, StoreError>> + Send;

    /// These instances, those that there are, in the order of their ids; at most [`PAGE_MAX`] of them.
    fn instance_load_all(
        &self,
        ids: &[InstanceId],
    ) -> impl Future<Output = Result<Vec<(Instance, Revision)>, StoreError>> + Send;

    /// Number of instances per state.
    fn instance_count(&self) -> impl Future<Output = Result<Vec<(State, u64)>, StoreError>> + Send;

    /// State, ledger entries, nonce and enrolment in one durable transaction, or none of them.
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<Committed, StoreError>> + Send;

    /// One enrolment by the digest of its secret.
    fn enrolment_load(
        &self,
        digest: Digest,
    ) -> impl Future<Output = Result<Option<Enrolment>, StoreError>> + Send;

    /// Enrolments of instances that exist already, not used and not expired at `now`, the next to expire first, `limit` (at
    /// most [`PAGE_MAX`]) of them.
    fn enrolment_waiting(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Enrolment>, StoreError>> + Send;

    /// A kept document.
    fn document_load(
        &self,
        kind: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Ledger entries from position `from` on, at most `limit` ([`PAGE_MAX`]) of them, without gaps.
    fn entry_page(
        &self,
        from: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, StoreError>> + Send;

    /// Ledger entries about an instance in their order, with their positions: `limit` (at most [`PAGE_MAX`]) of them, the
    /// first `skip` left out.
    fn decision_page(
        &self,
        instance: InstanceId,
        skip: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(u64, Vec<u8>)>, StoreError>> + Send;

    /// Which instance each of the ledger's entries from position `from` on is about, at most `limit` ([`PAGE_MAX`]) of them,
    /// without gaps: whoever reads on from where he stopped learns of every change.
    fn change_page(
        &self,
        from: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Option<InstanceId>>, StoreError>> + Send;

    /// What the store's own clock shows, where that is another than this machine's.
    fn clock_load(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Ledger entries in all.
    fn entry_count(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// When a server last noted that it lives, if one ever did (CO-7).
    fn pulse_load(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// Notes that a server lives.
    fn pulse_save(&self, now: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Notes when instances were last heard; an earlier instant never replaces a later one. At most [`PAGE_MAX`] of them.
    fn seen_save(
        &self,
        seen: &[(InstanceId, Timestamp)],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// When instances were last heard, in the order of their ids, behind `after`, `limit` (at most [`PAGE_MAX`]) of them.
    fn seen_page(
        &self,
        after: Option<InstanceId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(InstanceId, Timestamp)>, StoreError>> + Send;

    /// A lease, if anybody ever took it.
    fn lease_load(&self, name: &str) -> impl Future<Output = Result<Option<Lease>, StoreError>> + Send;

    /// Writes a lease where it still is as it was `before` (none: nobody ever took it); `false` where it is not.
    fn lease_save(
        &self,
        before: Option<&Lease>,
        lease: &Lease,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Closes the gate on the world of this revision, whoever closed it before; gives the revision that `holder` alone may commit
    /// on. Another revision by now, or a federation that was not founded yet, is a conflict.
    fn gate_close(
        &self,
        holder: &str,
        world_revision: Revision,
    ) -> impl Future<Output = Result<Revision, StoreError>> + Send;

    /// Opens the gate that was closed at this revision; gives the world's new one. A commit that writes the world opens it too.
    fn gate_open(
        &self,
        world_revision: Revision,
    ) -> impl Future<Output = Result<Revision, StoreError>> + Send;

    /// The gate, while it is closed.
    fn gate_load(&self) -> impl Future<Output = Result<Option<Gate>, StoreError>> + Send;

    /// Forgets the words that commits left in the outbox for whoever publishes the ledger, up to the entry at
    /// `position`; gives how many.
    fn outbox_forget(&self, position: u64) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Forgets nonces that expired before `now`.
    fn nonce_forget(&self, now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
