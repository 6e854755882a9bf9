//! What is explained of a release that is not on offer, against what `reconcile` and `advance` do.

use governance::explain::{Counts, Standing, explain, explain_counted, obstacles};
use governance::reconcile::reconcile;
use governance::rollout::advance;
use governance::{Instance, Span, Timestamp, Version};

use super::timeline::Timeline;

/// What is explained of a settled fleet, against what `reconcile` and `advance` do (RO-7, RO-8).
impl Timeline {
    pub fn check_explained(&self) {
        let ids = self.world.rollouts.iter().map(|rollout| rollout.id);
        let counts: Counts = ids.map(|id| (id, self.census(id))).collect();
        for instance in &self.fleet {
            let whole = explain(instance, &self.world, self.now);
            assert_eq!((whole.offer, whole.state), (instance.offer, instance.state));
            for (index, release) in self.world.releases.keys().copied().enumerate() {
                let told = explain_counted(instance, &self.world, &counts, Some(release), self.now);
                let told = &told.releases[0];
                let expected = if instance.attempt.is_some_and(|attempt| attempt.release == release) {
                    Standing::Installing
                } else if instance.offer.is_some_and(|offer| offer.release == release) {
                    Standing::OnOffer
                } else if instance.running.platform == release {
                    Standing::Runs
                } else {
                    Standing::Blocked
                };
                assert_eq!(told.standing, expected, "{index} {told}");
                let found = obstacles(instance, &self.world, release, self.now);
                assert_eq!(found.is_empty(), expected != Standing::Blocked, "{told}\n{instance:?}");
                assert!(!told.answers.is_empty(), "{told}");
                for answer in &told.answers {
                    assert!(!answer.says.is_empty() && !answer.would_change.is_empty(), "{answer:?}");
                }
                if let Some(at) = told.earliest.filter(|_| told.by_time_alone) {
                    let before = at - Span::from_millis(1);
                    assert!(before < self.now || !self.is_offered(instance, release, before), "{told}");
                    assert!(self.is_offered(instance, release, at), "{told}");
                }
            }
        }
    }

    /// Whether a sweep at this instant offers it, with everything else as it is.
    fn is_offered(&self, instance: &Instance, release: Version, at: Timestamp) -> bool {
        let (mut world, mut instance) = (self.world.clone(), instance.clone());
        if let Some(rollout) = self.world.rollout_of(release) {
            for event in advance(rollout, self.census(rollout.id), &self.world, at) {
                world.apply(&event, at);
            }
        }
        for event in reconcile(&instance, &world, at) {
            instance.apply(&event, at);
        }
        instance.offer.is_some_and(|offer| offer.release == release)
    }
}
