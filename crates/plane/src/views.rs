//! What people see: instances, rollouts, releases, escalations. Reads only.

use governance::rollout::PhaseCount;
use governance::{
    Action, Census, Constitution, Instance, InstanceId, Outcome, Rollout, RolloutStatus, State, Timestamp,
    Version, World,
};

use crate::ports::{InstanceFilter, PAGE_MAX, Store};
use crate::{Plane, PlaneError};

/// Findings as the owner reads them.
pub(crate) fn finding_views(instance: &Instance) -> Vec<wire::FindingView> {
    let view = |finding: &governance::Finding| wire::FindingView {
        code: finding.code.to_string(),
        rule: finding.code.rule().to_owned(),
        since: finding.since,
        cleared_by: finding.code.cleared_by().to_owned(),
    };
    instance.findings.iter().map(view).collect()
}

/// Deactivation notices as the owner reads them.
pub(crate) fn notice_views(instance: &Instance, law: &Constitution) -> Vec<wire::NoticeView> {
    let view = |notice: &governance::module::Notice| wire::NoticeView {
        domain: notice.domain.clone(),
        since: notice.since,
        until: notice.since + law.entitlement_deactivate_within,
    };
    instance.notices.iter().map(view).collect()
}

/// An instance as operators see it.
fn instance_view(
    instance: &Instance,
    law: &Constitution,
    heard: Option<Timestamp>,
    now: Timestamp,
) -> wire::InstanceView {
    let subject = instance.id.to_string();
    wire::InstanceView {
        id: instance.id,
        kind: instance.kind,
        tier: instance.subscription.tier,
        subscription: instance.subscription.status,
        subscription_since: instance.subscription.since,
        subscription_until: instance.subscription.until,
        provider: instance.provider.clone(),
        labels: instance.labels.clone(),
        state: instance.state,
        since: instance.since,
        platform: instance.running.platform,
        runtime: instance.running.runtime,
        endpoint: instance.endpoint.clone(),
        reported: instance.reported,
        heard,
        offer: instance.offer.map(|offer| wire::OfferView {
            release: offer.release,
            action: offer.action.to_string(),
            phase: offer.phase,
            deadline: offer.deadline,
        }),
        installing: instance.attempt.map(|attempt| attempt.release),
        domains: instance.activations.iter().map(|activation| activation.domain.clone()).collect(),
        notices: notice_views(instance, law),
        warnings: instance.warnings.clone(),
        overrides: instance
            .overrides
            .iter()
            .filter(|given| now <= given.until)
            .map(|given| wire::OverrideView { finding: given.code, until: given.until })
            .collect(),
        findings: finding_views(instance),
        escalations: escalation_views(&instance.escalations, &subject),
    }
}

fn escalation_views(escalations: &[governance::Escalation], subject: &str) -> Vec<wire::EscalationView> {
    let view = |escalation: &governance::Escalation| wire::EscalationView {
        rule: escalation.rule.clone(),
        subject: subject.to_owned(),
        since: escalation.since,
        facts: escalation.facts.clone(),
        acknowledged: escalation.acknowledged,
    };
    escalations.iter().map(view).collect()
}

/// What one instance adds to a rollout's counts.
#[derive(Default)]
struct Counts {
    offered: u64,
    installed: u64,
    failed: u64,
    rolled_back: u64,
}

impl Counts {
    fn add(&mut self, rollout: &Rollout, instance: &Instance) {
        let mine = || instance.attempts.iter().filter(|attempt| attempt.rollout == rollout.id);
        let updates = || mine().filter(|attempt| attempt.action == Action::Update);
        let failed = updates().filter(|attempt| attempt.outcome != Outcome::Succeeded).count() as u64;
        let directed =
            mine().any(|attempt| attempt.action == Action::Rollback && attempt.outcome == Outcome::Succeeded);
        self.offered += u64::from(instance.offered.contains(&rollout.id));
        self.installed += u64::from(updates().any(|attempt| attempt.outcome == Outcome::Succeeded));
        self.failed += failed;
        self.rolled_back +=
            u64::from(directed || updates().any(|attempt| attempt.outcome == Outcome::Failed));
    }
}

fn rollout_view(world: &World, rollout: &Rollout, census: &Census, counts: &Counts) -> wire::RolloutView {
    let phase_view = |open: &governance::rollout::OpenPhase| {
        let PhaseCount { cohort: added, finished, failed, .. } = census.phase(open.phase);
        wire::PhaseView {
            phase: open.phase,
            opened: open.opened,
            eligible: open.eligible,
            cohort: open.cohort,
            added,
            finished,
            failed,
        }
    };
    wire::RolloutView {
        id: rollout.id,
        release: rollout.release,
        class: rollout.class.to_string(),
        phase: rollout.shown().to_owned(),
        holding: match world.red_switch && rollout.is_open() {
            true => Some("the red switch".to_owned()),
            false => rollout.holding.clone(),
        },
        opened: rollout.opened,
        phases: rollout.phases.iter().map(phase_view).collect(),
        offered: counts.offered,
        installed: counts.installed,
        failed: counts.failed,
        rolled_back: counts.rolled_back,
    }
}

fn release_view(world: &World, version: Version) -> Option<wire::ReleaseView> {
    let published = world.releases.get(&version)?;
    Some(wire::ReleaseView {
        version,
        class: published.release.class.to_string(),
        at: published.at,
        withdrawn: published.withdrawn,
        package: published.release.package.clone(),
        phase: world.rollout_of(version).map(|rollout| rollout.shown().to_owned()),
        notes: published.release.notes.clone(),
    })
}

impl<S: Store> Plane<S> {
    /// One instance.
    ///
    /// # Errors
    /// When there is none with this id.
    pub async fn instance_view(&self, id: InstanceId) -> Result<wire::InstanceView, PlaneError> {
        let found = self.store.instance_load(id).await?;
        found
            .map(|(instance, _)| self.instance_as_seen(&instance))
            .ok_or_else(|| PlaneError::NotFound(format!("instance {id}")))
    }

    /// An instance as operators see it now.
    pub(crate) fn instance_as_seen(&self, instance: &Instance) -> wire::InstanceView {
        let heard = self.fleet.heard(instance.id);
        instance_view(instance, &self.seen().world.constitution, heard, self.now())
    }

    /// A page of instances, at most [`PAGE_MAX`].
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn instance_list(
        &self,
        filter: &InstanceFilter,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<wire::Page<wire::InstanceView>, PlaneError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let page = self.store.instance_page(filter, after, limit).await?;
        let next = page.last().filter(|_| page.len() == limit).map(|(instance, _)| instance.id.to_string());
        Ok(wire::Page {
            items: page.iter().map(|(instance, _)| self.instance_as_seen(instance)).collect(),
            next,
        })
    }

    /// One release.
    ///
    /// # Errors
    /// When there is none with this version.
    pub async fn release_view(&self, version: Version) -> Result<wire::ReleaseView, PlaneError> {
        release_view(&self.seen().world, version)
            .ok_or_else(|| PlaneError::NotFound(format!("release {version}")))
    }

    /// Every release, oldest first.
    #[must_use]
    pub fn release_list(&self) -> Vec<wire::ReleaseView> {
        let seen = self.seen();
        seen.world.releases.keys().filter_map(|version| release_view(&seen.world, *version)).collect()
    }

    /// The rollout of a release.
    ///
    /// # Errors
    /// When there is none.
    pub async fn rollout_view(&self, release: Version) -> Result<wire::RolloutView, PlaneError> {
        let seen = self.seen();
        let rollout = seen
            .world
            .rollout_of(release)
            .ok_or_else(|| PlaneError::NotFound(format!("rollout of {release}")))?;
        let (census, counts) = self.count(&seen.world, rollout).await?;
        Ok(rollout_view(&seen.world, rollout, &census, &counts))
    }

    /// Every rollout, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn rollout_list(&self) -> Result<Vec<wire::RolloutView>, PlaneError> {
        let seen = self.seen();
        let mut views = Vec::new();
        for rollout in &seen.world.rollouts {
            let (census, counts) = self.count(&seen.world, rollout).await?;
            views.push(rollout_view(&seen.world, rollout, &census, &counts));
        }
        Ok(views)
    }

    async fn count(&self, world: &World, rollout: &Rollout) -> Result<(Census, Counts), PlaneError> {
        let (mut census, mut counts, mut after) = (Census::default(), Counts::default(), None);
        loop {
            let page = self.store.instance_page(&InstanceFilter::default(), after, PAGE_MAX).await?;
            for (instance, _) in &page {
                census.add(rollout, world, instance);
                counts.add(rollout, instance);
                after = Some(instance.id);
            }
            if page.len() < PAGE_MAX {
                return Ok((census, counts));
            }
        }
    }

    /// What lies before the Founder, oldest first (FO-2).
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn escalation_list(&self) -> Result<Vec<wire::EscalationView>, PlaneError> {
        let mut all = Vec::new();
        all.extend(escalation_views(&self.seen().world.escalations, "federation"));
        for rollout in &self.seen().world.rollouts {
            let subject = format!("rollout of {}", rollout.release);
            all.extend(escalation_views(&rollout.escalations, &subject));
        }
        // Whom to look at the rows say, where they may and name them all.
        let known = self.fleet.may_answer(self.now()).then(|| self.fleet.escalated(PAGE_MAX)).flatten();
        if let Some((ids, _)) = known.filter(|(ids, _)| ids.len() < PAGE_MAX) {
            for (instance, _) in self.load_all(&ids).await? {
                all.extend(escalation_views(&instance.escalations, &instance.id.to_string()));
            }
        } else {
            self.escalations_of_all(&mut all).await?;
        }
        all.sort_by_key(|escalation| escalation.since);
        Ok(all)
    }

    /// Looks through everybody for what lies before the Founder.
    async fn escalations_of_all(&self, all: &mut Vec<wire::EscalationView>) -> Result<(), PlaneError> {
        let mut after = None;
        loop {
            let page = self.store.instance_page(&InstanceFilter::default(), after, PAGE_MAX).await?;
            for (instance, _) in &page {
                all.extend(escalation_views(&instance.escalations, &instance.id.to_string()));
                after = Some(instance.id);
            }
            if page.len() < PAGE_MAX {
                return Ok(());
            }
        }
    }

    /// The plane at a glance.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn overview(&self) -> Result<wire::Federation, PlaneError> {
        let seen = self.seen();
        let states: std::collections::BTreeMap<State, u64> = match self.fleet.states() {
            Some(states) => states,
            None => self.store.instance_count().await?.into_iter().collect(),
        };
        Ok(wire::Federation {
            trust_domain: self.federation.keys.trust_domain.to_string(),
            states,
            ledger: self.store.entry_count().await?,
            constitution: seen.constitution(),
            red_switch: seen.world.red_switch,
            expires: self.expiries()?,
        })
    }

    /// Whether any rollout can still move: the sweep comes more often then.
    #[must_use]
    pub fn is_rolling(&self) -> bool {
        self.seen()
            .world
            .rollouts
            .iter()
            .any(|rollout| matches!(rollout.status, RolloutStatus::Queued | RolloutStatus::Running))
    }
}
