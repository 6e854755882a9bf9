//! Values to store: plain, distinct by number.

use governance::event::Registration;
use governance::{
    Committed, Digest, Instance, InstanceId, InstanceKey, Kind, LayerContent, ProviderId, Running, Salt,
    Tier, Timestamp, Version,
};
use plane::ports::{Commit, Enrolment, EnrolmentUse, Nonce, Revision};

/// The id with this number; ids order as their numbers do.
#[must_use]
pub fn instance_id(number: u64) -> InstanceId {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(number.to_be_bytes()).for_each(|(byte, digit)| *byte = digit);
    InstanceId::from_random(bytes)
}

/// The instance with this number, as registered.
///
/// # Panics
/// Never: its texts are well formed.
#[must_use]
pub fn instance(number: u64) -> Instance {
    let platform = Version::new(0, 1, 0);
    let layer = LayerContent {
        id: "CELL-HR-PAYROLL-v1.2.0".parse().unwrap(),
        digest: Digest::of(&number.to_be_bytes()),
    };
    let registration = Registration {
        enrolment: digest(number),
        kind: Kind::Dedicated,
        tier: Tier::Pro,
        provider: None::<ProviderId>,
        labels: Committed::new(Salt::from_random([1; 16]), vec!["blue".parse().unwrap()]),
        endpoint: Committed::new(
            Salt::from_random([2; 16]),
            "https://instance.example:8443/handshake".parse().unwrap(),
        ),
        key: InstanceKey::from_bytes(*digest(number).as_bytes()),
        running: Running { platform, runtime: platform, layers: vec![layer] },
        domains: vec!["HR".parse().unwrap()],
    };
    Instance::registered(instance_id(number), &registration, at(number))
}

/// The instant with this number, in milliseconds.
#[must_use]
pub fn at(number: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The digest of this number.
#[must_use]
pub fn digest(number: u64) -> Digest {
    Digest::of(&number.to_le_bytes())
}

/// The nonce with this number, expiring at its number.
#[must_use]
pub fn nonce(number: u64) -> Nonce {
    Nonce { key: "key".to_owned(), nonce: format!("nonce-{number}"), expires: at(number) }
}

/// The enrolment with this number, unused.
#[must_use]
pub fn enrolment(number: u64) -> Enrolment {
    Enrolment {
        digest: digest(number),
        kind: Kind::WhiteLabel,
        tier: Tier::Enterprise,
        provider: "acme".parse().ok(),
        labels: vec!["green".parse().unwrap()],
        instance: Some(instance_id(number)),
        asked: "operator/alice".to_owned(),
        approved: None,
        expires: at(number),
        used: None,
    }
}

/// The use of an enrolment by the instance with this number.
#[must_use]
pub fn enrolment_use(number: u64) -> EnrolmentUse {
    EnrolmentUse {
        instance: instance_id(number),
        key: InstanceKey::from_bytes(*digest(number).as_bytes()),
        certificate: format!("certificate {number}"),
        renew_at: Timestamp::from_millis(0),
    }
}

/// A commit of the instance alone, decided on this revision of it and on an empty world.
#[must_use]
pub fn writes(instance: Instance, decided_on: Option<Revision>) -> Commit {
    Commit { instance: Some((Box::new(instance), decided_on)), ..Commit::default() }
}
