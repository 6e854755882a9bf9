//! Warnings: half-way through every window, and at its end (CO-12).
//!
//! Never opens or closes a window: it only reads where each stands.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::instance::{Countdown, Instance};
use crate::text::words;
use crate::tier::SubscriptionStatus;
use crate::time::{Span, Timestamp};
use crate::world::World;

words! {
    /// A window that can run out on an instance.
    pub enum Window ("window") {
        /// From the offer of a release to drift beyond its threshold (RL-2, CO-1).
        Update = "update",
        /// From a security release's notice to its deadline (CO-3).
        Security = "security",
        /// From that deadline to suspension (CO-3).
        SecuritySuspension = "security-suspension",
        /// From drift beyond its threshold to the drift freeze (CO-2).
        DriftFreeze = "drift-freeze",
        /// From the lapse of a subscription to suspension (CO-10).
        Subscription = "subscription",
        /// From a deactivation notice to the finding (CO-5).
        Deactivation = "deactivation",
        /// From a finding to suspension (CO-11).
        Finding = "finding",
    }
}

words! {
    /// How far a window has run when it is warned of.
    pub enum Point ("point") {
        /// Half-way.
        Half = "half",
        /// At its end.
        End = "end",
    }
}

/// A warning as given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// Of which window.
    pub window: Window,
    /// How far it had run.
    pub point: Point,
}

/// A window that is open, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Which.
    pub window: Window,
    /// How much of it has run.
    pub elapsed: Span,
    /// How long it is.
    pub length: Span,
}

impl Open {
    /// Windows are closed (§7): half-way and at the end it is still kept.
    fn point(&self) -> Option<Point> {
        if self.elapsed >= self.length {
            Some(Point::End)
        } else {
            (self.elapsed.times(2) >= self.length).then_some(Point::Half)
        }
    }

    /// How much of it is left; nothing once it is over.
    #[must_use]
    pub fn left(&self) -> Span {
        self.length - self.elapsed
    }
}

/// The windows that run, or stand still half-run, for the instance. Of several of a kind, the one that has run the furthest.
#[must_use]
pub fn open(instance: &Instance, world: &World, now: Timestamp) -> Vec<Open> {
    let law = &world.constitution;
    let mut windows = Vec::new();
    let mut add = |window, elapsed: Span, length| windows.push(Open { window, elapsed, length });
    let due = instance.due;
    if let Some(Countdown { clock, limit, window, grace, .. }) = due.and_then(|due| due.drift) {
        let shown = clock.millis(now);
        let elapsed = window.as_millis() - limit.as_millis() + shown;
        add(Window::Update, Span::from_millis(elapsed), window);
        if shown > limit.as_millis() {
            add(Window::DriftFreeze, Span::from_millis(shown) - limit, grace);
        }
    }
    if let Some(Countdown { clock, limit, window, grace, .. }) = due.and_then(|due| due.security) {
        let shown = clock.shows(now);
        add(Window::Security, shown, window);
        if shown > limit {
            add(Window::SecuritySuspension, shown - limit, grace);
        }
    }
    if instance.subscription.status == SubscriptionStatus::Lapsed {
        add(Window::Subscription, now.since(instance.subscription.since), law.subscription_lapse_grace);
    }
    if let Some(ran) = instance.notice_ran(now) {
        add(Window::Deactivation, ran, law.entitlement_deactivate_within);
    }
    let ages = instance.findings.iter().filter(|finding| !instance.is_silenced(finding.code, now));
    if let Some(age) = ages.map(|finding| instance.age(finding, now)).max() {
        add(Window::Finding, age, law.compliance_suspend_after);
    }
    windows
}

/// The warnings due now: each point of each open window once; of a window that is over already, the end alone.
#[must_use]
pub fn due(instance: &Instance, world: &World, now: Timestamp) -> Vec<Warning> {
    let given = |warning: &Warning| {
        instance.warnings.iter().any(|given| given.window == warning.window && given.point >= warning.point)
    };
    let open = open(instance, world, now).into_iter();
    let reached = open.filter_map(|open| open.point().map(|point| Warning { window: open.window, point }));
    reached.filter(|warning| !given(warning)).collect()
}
