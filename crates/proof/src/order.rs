//! The Founder's orders (FO-1): what the root threshold may command, each with a serial and an expiry.
//!
//! Never carries an order out: `governance` decides what follows from one.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use governance::decide::{Command, WorldCommand};
use governance::{Authority, ConstitutionDocument, FindingCode, InstanceId, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::jws::{Jws, JwsError, Typ};
use crate::key::KeySet;
use crate::tuf::{Document, Root, root_self_signed};

/// The longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

/// The longest TUF root that an order carries, in bytes: order and all, it must fit into one entry of the ledger.
pub const ROOT_BYTES_MAX: usize = 16 * 1024;

/// The payload of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Rises with every order; none is carried out twice.
    pub serial: u64,
    /// The last instant it may be handed in.
    pub expires: Timestamp,
    /// What it commands.
    #[serde(rename = "do")]
    pub action: OrderAction,
}

/// What an order commands (FO-1). JSON: `{"suspend": {…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum OrderAction {
    /// LC-16.
    Suspend {
        /// Whom.
        instance: InstanceId,
        /// Why.
        reason: String,
    },
    /// LC-10.
    Revoke {
        /// Whom.
        instance: InstanceId,
        /// Why.
        reason: String,
    },
    /// LC-17; of one the Founder suspended, lifts the hold.
    Restore {
        /// Whom.
        instance: InstanceId,
        /// Why.
        reason: String,
    },
    /// Silences one finding of one instance until a date (FO-3).
    Override {
        /// Whose.
        instance: InstanceId,
        /// Which.
        finding: FindingCode,
        /// Until when.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// A whole new constitution (FO-5).
    Amend {
        /// The new constitution, signed as one.
        constitution: Jws,
        /// The digest of the one it replaces.
        replaces: Digest,
        /// From when it is in force.
        effective: Timestamp,
    },
    /// A new keys document (AU-4).
    Keys {
        /// The document, signed as one.
        document: Jws,
        /// The TUF root that comes into force with it (RL-3), as it was signed; none: the last one stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        root: Option<SignedRoot>,
    },
    /// Lets a paused security release go on (RO-5).
    Resume {
        /// Which.
        release: Version,
        /// Why.
        reason: String,
    },
    /// Takes a release back (RO-5).
    Withdraw {
        /// Which.
        release: Version,
        /// Why.
        reason: String,
    },
    /// Lets a release remove a deprecated capability before its notice is over (RL-8).
    Remove {
        /// Which release may.
        release: Version,
        /// What it removes.
        capability: String,
        /// Why.
        reason: String,
    },
}

impl OrderAction {
    /// Its word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Suspend { .. } => "suspend",
            Self::Revoke { .. } => "revoke",
            Self::Restore { .. } => "restore",
            Self::Override { .. } => "override",
            Self::Amend { .. } => "amend",
            Self::Keys { .. } => "keys",
            Self::Resume { .. } => "resume",
            Self::Withdraw { .. } => "withdraw",
            Self::Remove { .. } => "remove",
        }
    }

    /// The instance it is about, if it is about one.
    #[must_use]
    pub const fn instance(&self) -> Option<InstanceId> {
        match self {
            Self::Suspend { instance, .. }
            | Self::Revoke { instance, .. }
            | Self::Restore { instance, .. }
            | Self::Override { instance, .. } => Some(*instance),
            _ => None,
        }
    }

    /// The release it is about, if it is about one.
    #[must_use]
    pub const fn release(&self) -> Option<Version> {
        match self {
            Self::Resume { release, .. } | Self::Withdraw { release, .. } | Self::Remove { release, .. } => {
                Some(*release)
            }
            _ => None,
        }
    }

    /// Why, where an order must say so.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Suspend { reason, .. }
            | Self::Revoke { reason, .. }
            | Self::Restore { reason, .. }
            | Self::Override { reason, .. }
            | Self::Resume { reason, .. }
            | Self::Withdraw { reason, .. }
            | Self::Remove { reason, .. } => Some(reason),
            Self::Amend { .. } | Self::Keys { .. } => None,
        }
    }
}

/// What an order asks of the law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Something about one instance.
    Instance(InstanceId, Command),
    /// Something about the federation as a whole.
    World(WorldCommand),
    /// That this keys document comes into force (AU-4), and this TUF root with it (RL-3).
    Keys(Box<Jws>, Option<SignedRoot>),
}

/// A TUF root inside an order: the bytes of `N.root.json`, as text in base64. It carries the signatures that clients ask
/// for: of the threshold before, and of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignedRoot {
    #[serde(with = "crate::encoding::standard")]
    bytes: Vec<u8>,
}

impl SignedRoot {
    /// These bytes, if they are a root signed by its own threshold.
    ///
    /// # Errors
    /// [`OrderError::Root`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, OrderError> {
        let root = Self { bytes };
        root.open().map(|_| root)
    }

    /// The bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The root, signed by its own threshold.
    ///
    /// # Errors
    /// [`OrderError::Root`].
    pub fn open(&self) -> Result<Root, OrderError> {
        let root = |error: &dyn core::fmt::Display| OrderError::Root(alloc::format!("{error}"));
        if self.bytes.len() > ROOT_BYTES_MAX {
            return Err(root(&alloc::format!("{} bytes, at most {ROOT_BYTES_MAX}", self.bytes.len())));
        }
        let document = Document::<Root>::parse(&self.bytes).map_err(|fault| root(&fault))?;
        root_self_signed(&document).map_err(|error| root(&error))?;
        Ok(document.signed)
    }
}

/// Why an order is not to be carried out (FO-1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Not signed by the root threshold, or no order.
    #[error("the order: {0}")]
    Document(#[from] JwsError),
    /// Too late.
    #[error("the order expired at {0}")]
    Expired(Timestamp),
    /// Already carried out, or overtaken by a later one.
    #[error("the order has serial {found}, and {last} has been carried out")]
    Replayed {
        /// Its serial.
        found: u64,
        /// The last one's.
        last: u64,
    },
    /// The constitution it carries is not the Founder's, or another than the order says.
    #[error("the constitution that the order carries: {0}")]
    Constitution(String),
    /// The TUF root it carries is none, or not signed by its own threshold.
    #[error("the TUF root that the order carries: {0}")]
    Root(String),
    /// An order says why, in at most [`REASON_BYTES_MAX`] bytes.
    #[error("the order gives no reason, or one longer than {REASON_BYTES_MAX} bytes")]
    Reason,
}

impl Order {
    /// Opens an order: signed by the Founder threshold, in time, later than the last one carried out (0 when none).
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn open(document: &Jws, founder: &KeySet, last: u64, now: Timestamp) -> Result<Self, OrderError> {
        let order: Self = document.open(Typ::Order, founder)?;
        order.check(last, now)?;
        Ok(order)
    }

    /// What it asks of the law; of an amendment, once its constitution is opened with the Founder's keys.
    ///
    /// # Errors
    /// [`OrderError::Constitution`].
    pub fn asks(&self, founder: &KeySet) -> Result<Asks, OrderError> {
        let by = Authority::Founder;
        Ok(match &self.action {
            OrderAction::Suspend { instance, .. } => Asks::Instance(*instance, Command::OrderSuspend),
            OrderAction::Revoke { instance, .. } => Asks::Instance(*instance, Command::OrderRevoke),
            OrderAction::Restore { instance, .. } => Asks::Instance(*instance, Command::OrderRestore),
            OrderAction::Override { instance, finding, until, .. } => {
                let command = Command::OrderOverride { finding: *finding, until: *until };
                Asks::Instance(*instance, command)
            }
            OrderAction::Resume { release, .. } => {
                Asks::World(WorldCommand::Resume { release: *release, by })
            }
            OrderAction::Withdraw { release, .. } => {
                Asks::World(WorldCommand::Withdraw { release: *release, by })
            }
            OrderAction::Remove { release, capability, .. } => {
                Asks::World(WorldCommand::AllowRemoval { release: *release, capability: capability.clone() })
            }
            OrderAction::Amend { constitution, replaces, effective } => {
                Asks::World(amends(constitution, *replaces, *effective, founder)?)
            }
            OrderAction::Keys { document, root } => Asks::Keys(Box::new(document.clone()), root.clone()),
        })
    }

    /// Whether an order may still be carried out.
    ///
    /// # Errors
    /// When it expired, is replayed, or gives no reason.
    pub fn check(&self, last: u64, now: Timestamp) -> Result<(), OrderError> {
        if now > self.expires {
            return Err(OrderError::Expired(self.expires));
        }
        if self.serial <= last {
            return Err(OrderError::Replayed { found: self.serial, last });
        }
        match self.action.reason() {
            Some(reason) if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX => {
                Err(OrderError::Reason)
            }
            _ => Ok(()),
        }
    }
}

/// The amendment that an order carries, if it is the one that the order says (FO-5).
fn amends(
    constitution: &Jws,
    replaces: Digest,
    effective: Timestamp,
    founder: &KeySet,
) -> Result<WorldCommand, OrderError> {
    let document: ConstitutionDocument = constitution
        .open(Typ::Constitution, founder)
        .map_err(|error| OrderError::Constitution(alloc::format!("{error}")))?;
    if document.previous != Some(replaces) || document.effective != effective {
        let why = "it replaces another one, or takes effect at another time, than the order says";
        return Err(OrderError::Constitution(String::from(why)));
    }
    Ok(WorldCommand::Amend { digest: constitution.digest(), document: Box::new(document) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{SeedKey, Sign as _};
    use alloc::string::ToString;

    fn order() -> Order {
        Order {
            serial: 3,
            expires: Timestamp::from_millis(100),
            action: OrderAction::Revoke {
                instance: InstanceId::from_random([1; 16]),
                reason: "stolen".to_string(),
            },
        }
    }

    #[test]
    fn fo_1_a_replayed_or_expired_order_is_refused() {
        let key = SeedKey::new([1; 32]);
        let founder = KeySet::single(*key.public_key());
        let jws = Jws::sign_json(Typ::Order, &order(), &key).unwrap();
        let open = |last, now| Order::open(&jws, &founder, last, Timestamp::from_millis(now));
        assert_eq!(open(2, 100), Ok(order()));
        assert_eq!(open(3, 100), Err(OrderError::Replayed { found: 3, last: 3 }));
        assert!(matches!(open(2, 101), Err(OrderError::Expired(_))));
        let stranger = KeySet::single(*SeedKey::new([2; 32]).public_key());
        assert!(matches!(Order::open(&jws, &stranger, 0, order().expires), Err(OrderError::Document(_))));
    }

    #[test]
    fn fo_1_orders_have_one_json_form() {
        let id = InstanceId::from_random([1; 16]);
        let order = |action: &str| {
            alloc::format!(r#"{{"serial":1,"expires":"2026-01-01T00:00:00.000Z","do":{action}}}"#)
        };
        for (action, good) in [
            (alloc::format!(r#"{{"suspend":{{"instance":"{id}","reason":"r"}}}}"#), true),
            (alloc::format!(r#"{{"restore":{{"instance":"{id}","reason":"r"}}}}"#), true),
            (
                alloc::format!(
                    r#"{{"override":{{"instance":"{id}","finding":"version-drift","until":"2026-01-01T00:00:00.000Z","reason":"r"}}}}"#
                ),
                true,
            ),
            (r#"{"withdraw":{"release":"0.1.1","reason":"r"}}"#.to_string(), true),
            (r#"{"resume":{"release":"0.1.1","reason":"r"}}"#.to_string(), true),
            (alloc::format!(r#"{{"suspend":{{"instance":"{id}","reason":"r","more":1}}}}"#), false),
            (alloc::format!(r#"{{"suspend":{{"instance":"{id}"}}}}"#), false),
            (alloc::format!(r#"{{"promote":{{"instance":"{id}"}}}}"#), false),
            (r#""revoke""#.to_string(), false),
        ] {
            assert_eq!(serde_json::from_str::<Order>(&order(&action)).is_ok(), good, "{action}");
        }
    }

    #[test]
    fn fo_1_an_order_says_why_and_carries_what_it_brings() {
        let silent = OrderAction::Withdraw { release: Version::new(0, 1, 1), reason: " ".to_string() };
        let silent = Order { action: silent, ..order() };
        assert_eq!(silent.check(0, order().expires), Err(OrderError::Reason));
        let constitution = Jws::sign(Typ::Constitution, b"x = 1".to_vec(), &SeedKey::new([1; 32])).unwrap();
        let amend = OrderAction::Amend {
            constitution,
            replaces: Digest::of(b""),
            effective: Timestamp::from_millis(0),
        };
        let amend = Order { action: amend, ..order() };
        let text = serde_json::to_string(&amend).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), amend);
    }
}
