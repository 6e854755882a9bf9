//! Standing orders: what the Federation revokes in the Founder's name, and the brake on it (LC-18, CO-2, CO-8, CO-14).
//!
//! Never revokes by itself: it says whether an order applies and whether the day has room for it; `reconcile` acts.

use serde::{Deserialize, Serialize};

use crate::constitution::StandingOrder;
use crate::finding::FindingCode;
use crate::instance::Instance;
use crate::lifecycle::{Cause, transition_by};
use crate::time::{Span, Timestamp};
use crate::world::World;

/// The day of CO-14.
const DAY: Span = Span::hours(24);
/// What was taken is counted by the minute, so that the record of a day stays small.
const MINUTE_MS: i64 = 60_000;

/// Instances that standing orders took within one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// Which minute: its last instant, so that nothing of a day is forgotten before its end.
    pub minute: Timestamp,
    /// How many.
    pub instances: u64,
}

/// What the brake of CO-14 counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Brake {
    /// Instances of the fleet that are not revoked, as last counted.
    pub fleet: u64,
    /// When they were counted.
    pub counted: Option<Timestamp>,
    /// What was taken within the last day.
    pub taken: alloc::vec::Vec<Taken>,
}

impl Brake {
    /// How many more may be taken now.
    #[must_use]
    pub fn room(&self, world: &World, now: Timestamp) -> u64 {
        let a_day = world.constitution.standing_orders_share.of_rounded_down(self.fleet).max(1);
        let taken = self.taken.iter().filter(|taken| now.since(taken.minute) <= DAY);
        a_day.saturating_sub(taken.map(|taken| taken.instances).sum())
    }

    pub(crate) fn take(&mut self, at: Timestamp) {
        let minutes = at.as_millis().saturating_add(MINUTE_MS - 1) / MINUTE_MS;
        let minute = Timestamp::from_millis(minutes * MINUTE_MS);
        self.taken.retain(|taken| at.since(taken.minute) <= DAY);
        match self.taken.last_mut().filter(|taken| taken.minute == minute) {
            Some(taken) => taken.instances += 1,
            None => self.taken.push(Taken { minute, instances: 1 }),
        }
    }
}

impl StandingOrder {
    /// The rule by which it applies.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::DriftFreeze => "CO-2",
            Self::UnauthorisedFork => "CO-8",
        }
    }

    /// The cause of the transition that it makes.
    #[must_use]
    pub const fn cause(self) -> Cause {
        match self {
            Self::DriftFreeze => Cause::DriftFrozen,
            Self::UnauthorisedFork => Cause::Forked,
        }
    }

    /// The order that makes a transition of this cause, if one does.
    #[must_use]
    pub fn of(cause: Cause) -> Option<Self> {
        Self::ALL.iter().copied().find(|order| order.cause() == cause)
    }

    /// Whether it applies to the instance now, room or not.
    #[must_use]
    pub fn applies(self, instance: &Instance, world: &World, now: Timestamp) -> bool {
        world.constitution.standing_orders.contains(&self) && self.holds(instance, now)
    }

    /// Whether it would apply, did it stand in the constitution.
    #[must_use]
    pub fn holds(self, instance: &Instance, now: Timestamp) -> bool {
        let finding = match self {
            Self::DriftFreeze => FindingCode::VersionDrift,
            Self::UnauthorisedFork => FindingCode::UnauthorisedFork,
        };
        let holds = match self {
            Self::DriftFreeze => {
                let drift = instance.due.and_then(|due| due.drift);
                drift.is_some_and(|drift| drift.is_grave(now)) && instance.finding(finding).is_some()
            }
            Self::UnauthorisedFork => instance.finding(finding).is_some(),
        };
        holds && !instance.is_silenced(finding, now) && transition_by(instance.state, self.cause()).is_some()
    }
}

/// The standing order that applies to the instance now, room or not.
#[must_use]
pub fn due(instance: &Instance, world: &World, now: Timestamp) -> Option<StandingOrder> {
    // A fork is the graver.
    let orders = [StandingOrder::UnauthorisedFork, StandingOrder::DriftFreeze];
    orders.into_iter().find(|order| order.applies(instance, world, now))
}

/// Whether an order applies to the instance and the day has no room for it (CO-14).
#[must_use]
pub fn is_braked(instance: &Instance, world: &World, now: Timestamp) -> bool {
    due(instance, world, now).is_some() && world.brake.room(world, now) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constitution::{Constitution, Share};

    #[test]
    fn co_14_a_day_has_room_for_one_percent_and_at_least_for_one() {
        let at = |minutes: i64| Timestamp::from_millis(minutes * MINUTE_MS);
        //           fleet   taken  room
        let check = |fleet: u64, taken: u64, room: u64| {
            let mut world = World::default();
            world.brake.fleet = fleet;
            (0..taken).for_each(|_| world.brake.take(at(10)));
            assert_eq!(world.brake.room(&world, at(10)), room, "{fleet} {taken}");
            // The window is closed: at exactly a day the place is still taken.
            assert_eq!(world.brake.room(&world, at(10 + 24 * 60)), room);
            let fresh = (fleet / 100).max(1);
            assert_eq!(world.brake.room(&world, at(11 + 24 * 60)), fresh);
        };
        check(0, 0, 1);
        check(0, 1, 0);
        check(199, 1, 0);
        check(200, 1, 1);
        check(1_000_000, 9_999, 1);
        check(1_000_000, 10_001, 0);
        let none = Share::from_millionths(0);
        let constitution = Constitution { standing_orders_share: none, ..Constitution::default() };
        let world = World { constitution, ..World::default() };
        assert_eq!(world.brake.room(&world, at(0)), 1);
    }

    #[test]
    fn co_14_a_day_is_never_shorter_than_a_day() {
        let taken = Timestamp::from_millis(10 * MINUTE_MS + 59_900);
        let mut world = World::default();
        world.brake.take(taken);
        let at = |millis: i64| taken + Span::from_millis(millis);
        assert_eq!(world.brake.room(&world, taken), 0);
        assert_eq!(world.brake.room(&world, at(DAY.as_millis() - 60_000)), 0);
        assert_eq!(world.brake.room(&world, at(DAY.as_millis())), 0);
        // Counted by the minute, it may be longer, by less than a minute.
        assert_eq!(world.brake.room(&world, at(DAY.as_millis() + 100)), 0);
        assert_eq!(world.brake.room(&world, at(DAY.as_millis() + 101)), 1);
    }
}
