//! What unit tests begin with: one instance, and hours counted from its joining.

use alloc::vec::Vec;

use crate::committed::{Committed, Salt};
use crate::event::Registration;
use crate::id::{Digest, InstanceId, InstanceKey};
use crate::instance::{Instance, Running};
use crate::lifecycle::State;
use crate::tier::{Kind, Tier};
use crate::time::{Span, Timestamp};
use crate::version::Version;

/// Fit for tests alone.
pub(crate) const SALT: Salt = Salt::from_random([0; 16]);

/// So many hours behind the instance's joining.
pub(crate) fn at(hours: i64) -> Timestamp {
    Timestamp::from_millis(0) + Span::hours(hours)
}

/// An active instance of the free tier on 0.1.0.
pub(crate) fn instance() -> Instance {
    let runs = Version::new(0, 1, 0);
    let registration = Registration {
        enrolment: Digest::of(b""),
        kind: Kind::SaasShared,
        tier: Tier::Free,
        provider: None,
        labels: Committed::new(SALT, Vec::new()),
        endpoint: Committed::new(SALT, "https://a.example".parse().unwrap()),
        key: InstanceKey::from_bytes([0; 32]),
        running: Running { platform: runs, runtime: runs, layers: Vec::new() },
        domains: Vec::new(),
    };
    let mut instance = Instance::registered(InstanceId::from_random([7; 16]), &registration, at(0));
    instance.state = State::Active;
    instance
}
