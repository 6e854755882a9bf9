//! What time alone brings: the instant before which nothing is offered, and whether the offer comes at it.
//!
//! Never trusts its own sums: it asks `advance` and `reconcile` along the way.

use super::{Answer, Counts, Facts};
use crate::event::WorldEvent;
use crate::reconcile::reconcile;
use crate::release::Class;
use crate::rollout::advance;
use crate::time::{Span, Timestamp};
use crate::version::Version;

/// Instants looked at on the way; those of a longer way lie further apart.
const STEPS_MAX: i64 = 2_000;
const HOUR: Span = Span::hours(1);

impl Facts<'_> {
    /// The first instant at which no obstacle need hold any more; none while one does not pass with time.
    pub(super) fn earliest(&self, release: Version, answers: &[Answer]) -> Option<Timestamp> {
        let mut at = self.now;
        for answer in answers {
            at = at.max(answer.lifts?);
        }
        let class = self.world.rollout_of(release).map(|rollout| rollout.class);
        // A freeze that begins meanwhile holds it too (RO-6).
        Some(if class == Some(Class::Security) { at } else { self.thaws(at) })
    }

    /// Whether the release is offered at `at` and not before, while nothing but time changes: the instance, the rest of the
    /// fleet as it was counted, and the law as it is on record.
    pub(super) fn is_offered_at(&self, release: Version, at: Timestamp) -> bool {
        let (mut instance, mut world) = (self.instance.clone(), self.world.clone());
        let mut counts = self.counts.clone();
        let way = at.since(self.now);
        let step = HOUR.max(Span::from_millis(way.as_millis() / STEPS_MAX));
        let mut now = self.now;
        loop {
            for event in world.due(now) {
                world.apply(&event, now);
            }
            let moved = sweep(&mut world, &mut counts, now);
            for event in reconcile(&instance, &world, now) {
                instance.apply(&event, now);
            }
            let offered = instance.offer.is_some_and(|offer| offer.release == release);
            if offered || now >= at {
                return offered && now == at;
            }
            if moved {
                // The fleet does something about what the phase brings, and that is not time alone.
                return false;
            }
            let last = at - Span::from_millis(1);
            now = if now < last { (now + step).min(last) } else { at };
        }
    }
}

/// Advances every rollout that was counted; whether one moved, which makes its count useless.
fn sweep(world: &mut crate::world::World, counts: &mut Counts, now: Timestamp) -> bool {
    let mut moved = false;
    let ids: alloc::vec::Vec<_> = counts.keys().copied().collect();
    for id in ids {
        let Some((rollout, census)) = world.rollout(id).zip(counts.get(&id)) else { continue };
        let events = advance(rollout, census.clone(), world, now);
        for event in &events {
            world.apply(event, now);
        }
        if events.iter().any(|event| !matches!(event, WorldEvent::RolloutHeld { .. })) {
            counts.remove(&id);
            moved = true;
        }
    }
    moved
}
