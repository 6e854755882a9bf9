//! Calls that are being let in, their bodies still on their way. A body may be slow for as long as
//! `limits.body_within`: strangers, instances and people have places of their own, so that none waits for another.

use std::net::IpAddr;
use std::sync::Arc;

use listener::{Share, Shares};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::settings::Limits;
use crate::table::Role;

/// Of the strangers' places, one address holds one in so many at most.
const STRANGERS_EACH: usize = 4;
/// People have one place for so many of the instances'.
const PEOPLE_OF: usize = 8;

/// The places of all.
#[derive(Debug)]
pub(crate) struct Arrivals {
    strangers: Semaphore,
    strangers_each: Arc<Shares>,
    instances: Semaphore,
    people: Semaphore,
}

/// One place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    _permit: SemaphorePermit<'a>,
    _share: Option<Share>,
}

impl Arrivals {
    pub(crate) fn new(limits: &Limits) -> Self {
        let places = |count: usize| Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            strangers: places(limits.registrations),
            strangers_each: Shares::new(limits.registrations.div_ceil(STRANGERS_EACH)),
            instances: places(limits.requests),
            people: places(limits.requests.div_ceil(PEOPLE_OF)),
        }
    }

    /// A place for a call of this role; nothing when all of its kind are taken.
    pub(crate) fn take(&self, role: Role, address: IpAddr) -> Option<Arrival<'_>> {
        let (places, share) = match role {
            Role::Unregistered => (&self.strangers, Some(self.strangers_each.take(address)?)),
            Role::People(_) => (&self.people, None),
            Role::Instance | Role::InstanceRenewing | Role::InstanceRevokedToo | Role::InstanceOr(_) => {
                (&self.instances, None)
            }
        };
        Some(Arrival { _permit: places.try_acquire().ok()?, _share: share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hs_7_strangers_take_no_place_of_anybody_else() {
        let limits = Limits { requests: 16, registrations: 8, ..Limits::default() };
        let arrivals = Arrivals::new(&limits);
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let of_one: Vec<_> =
            std::iter::from_fn(|| arrivals.take(Role::Unregistered, address(1))).take(99).collect();
        assert_eq!(of_one.len(), 2, "one address");
        let of_all: Vec<_> = (2..99).filter_map(|n| arrivals.take(Role::Unregistered, address(n))).collect();
        assert_eq!(of_all.len(), 6, "all others");
        for (role, places) in [(Role::Instance, 16), (Role::InstanceRenewing, 0), (Role::People(&[]), 2)] {
            let taken: Vec<_> = std::iter::from_fn(|| arrivals.take(role, address(1))).take(99).collect();
            assert_eq!(taken.len(), places, "{role:?}");
            std::mem::forget(taken);
        }
        drop(of_one);
        assert!(arrivals.take(Role::Unregistered, address(1)).is_some());
    }
}
