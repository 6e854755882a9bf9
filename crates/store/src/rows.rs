//! What is stored, as rows: the values of a commit written out, and what was read made a type again.
//!
//! Knows no database: every adapter on one binds and reads these.

use governance::{Instance, InstanceId, Timestamp, World};
use plane::ports::{Commit, Document, Enrolment, EnrolmentWrite, Fence, Nonce, Revision, StoreError};
use serde::de::DeserializeOwned;

use crate::limits;

/// The topic under which every commit with ledger entries leaves word in the outbox.
pub const OUTBOX_TOPIC: &str = "ledger";

/// Entries somebody has yet to hear of: `entries` of them from `position` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxItem {
    /// Ledger position of the first.
    pub position: u64,
    /// How many; all of one commit.
    pub entries: u64,
}

/// A commit with its values written out: whoever writes it does nothing but SQL.
pub(crate) struct Writing {
    pub(crate) instance: Option<InstanceRow>,
    pub(crate) world: Option<String>,
    pub(crate) world_revision: Revision,
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) about_instance: Vec<usize>,
    pub(crate) nonce: Option<Nonce>,
    pub(crate) enrolment: Option<EnrolmentRow>,
    pub(crate) documents: Vec<Document>,
    pub(crate) fence: Option<Fence>,
}

/// An instance as its row.
pub(crate) struct InstanceRow {
    pub(crate) instance_id: String,
    pub(crate) decided_on: Option<Revision>,
    pub(crate) state: &'static str,
    pub(crate) platform: String,
    pub(crate) kind: &'static str,
    pub(crate) tier: &'static str,
    pub(crate) provider: Option<String>,
    pub(crate) listed_until: Option<i64>,
    pub(crate) body: String,
}

/// What is written of an enrolment.
pub(crate) enum EnrolmentRow {
    Create { digest: String, expires: i64, body: String, used: Option<String>, instance_id: Option<String> },
    Approve { digest: String, by: String },
    Use { digest: String, used: String },
}

impl Writing {
    /// Writes the values out, on the caller's thread.
    pub(crate) fn new(commit: Commit) -> Result<Self, StoreError> {
        limits::check(&commit)?;
        let world = commit.world.as_deref().map(|world: &World| json(world)).transpose()?;
        let instance = match commit.instance {
            None => None,
            Some((instance, decided_on)) => Some(InstanceRow {
                instance_id: instance.id.to_string(),
                decided_on,
                state: instance.state.as_str(),
                platform: instance.running.platform.to_string(),
                kind: instance.kind.as_str(),
                tier: instance.subscription.tier.as_str(),
                provider: instance.provider.as_ref().map(ToString::to_string),
                listed_until: listed_until(&instance),
                body: json(&*instance)?,
            }),
        };
        let enrolment = match commit.enrolment {
            None => None,
            Some(EnrolmentWrite::Create(mut enrolment)) => {
                let used = enrolment.used.take().map(|used| json(&used)).transpose()?;
                Some(EnrolmentRow::Create {
                    digest: enrolment.digest.to_string(),
                    expires: enrolment.expires.as_millis(),
                    body: json(&enrolment)?,
                    used,
                    instance_id: enrolment.instance.map(|id| id.to_string()),
                })
            }
            Some(EnrolmentWrite::Approve { digest, by }) => {
                Some(EnrolmentRow::Approve { digest: digest.to_string(), by })
            }
            Some(EnrolmentWrite::Use { digest, used }) => {
                Some(EnrolmentRow::Use { digest: digest.to_string(), used: json(&used)? })
            }
        };
        Ok(Self {
            instance,
            world,
            world_revision: commit.world_revision,
            entries: commit.entries,
            about_instance: commit.about_instance,
            nonce: commit.nonce,
            enrolment,
            documents: commit.documents,
            fence: commit.fence,
        })
    }
}

/// Until when the revocation list names a certificate of the instance; none: it names none.
fn listed_until(instance: &Instance) -> Option<i64> {
    let unbelieved = instance.unbelieved(Timestamp::from_millis(0));
    unbelieved.map(|(certificate, _)| certificate.not_after.as_millis()).max()
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Unavailable(format!("cannot write JSON: {error}")))
}

/// A revision as the database counts; none for one it never gave.
pub(crate) fn signed(revision: Revision) -> Option<i64> {
    i64::try_from(revision).ok().filter(|revision| *revision < i64::MAX)
}

/// Body, use, approval.
pub(crate) type EnrolmentTexts = (String, Option<String>, Option<String>);

pub(crate) fn parse_enrolment((body, used, approved): EnrolmentTexts) -> Result<Enrolment, StoreError> {
    let enrolment: Enrolment = parse("enrolment", &body)?;
    let used = used.map(|used| parse("enrolment", &used)).transpose()?;
    Ok(Enrolment { used, approved, ..enrolment })
}

pub(crate) fn parse_id(id: &str) -> Result<InstanceId, StoreError> {
    id.parse().map_err(|error| damaged("id", &error))
}

pub(crate) fn parse_revised<T: DeserializeOwned>(
    (body, revision): (impl AsRef<str>, i64),
) -> Result<(T, Revision), StoreError> {
    Ok((parse("row", body.as_ref())?, revision.unsigned_abs()))
}

pub(crate) fn parse<T: DeserializeOwned>(what: &str, body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|error| damaged(what, &error))
}

pub(crate) fn damaged(what: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("a stored {what} cannot be read: {error}"))
}
