//! The law's words as people read them: how good a state is, how long ago, and what an event says in a sentence.

use governance::{Event, InstanceEvent, RolloutStatus, Span, State, Timestamp, WorldEvent};

use crate::Tone;

/// How a state looks.
#[must_use]
pub const fn tone_of(state: State) -> Tone {
    match state {
        State::Active => Tone::Good,
        State::UpdatePending | State::UpgradeInProgress => Tone::Accent,
        State::Registered => Tone::Plain,
        State::OutOfCompliance => Tone::Warn,
        State::Suspended | State::Revoked => Tone::Bad,
    }
}

/// How a rollout looks.
#[must_use]
pub const fn tone_of_rollout(status: RolloutStatus, is_paused: bool) -> Tone {
    match status {
        _ if is_paused => Tone::Warn,
        RolloutStatus::Queued | RolloutStatus::Running => Tone::Accent,
        RolloutStatus::Done => Tone::Good,
        RolloutStatus::Halted => Tone::Bad,
        RolloutStatus::Aborted | RolloutStatus::Withdrawn | RolloutStatus::Superseded => Tone::Plain,
    }
}

/// A word of the law with spaces for its hyphens.
#[must_use]
pub fn spaced(word: &str) -> String {
    word.replace('-', " ")
}

/// A length of time in its two largest units, as people say it.
#[must_use]
pub fn length(span: Span) -> String {
    const UNITS: [(&str, i64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let seconds = span.as_millis() / 1_000;
    let Some(first) = UNITS.iter().position(|(_, unit)| seconds >= *unit) else {
        return "less than a second".to_owned();
    };
    let (mut left, mut said) = (seconds, Vec::new());
    for (name, unit) in UNITS.iter().skip(first).take(2) {
        if left / unit > 0 {
            said.push(format!("{} {name}", left / unit));
        }
        left %= unit;
    }
    said.join(" ")
}

/// How far an instant is from now.
#[must_use]
pub fn distance(at: Timestamp, now: Timestamp) -> String {
    if at.since(now).max(now.since(at)).as_millis() < 1_000 {
        return "just now".to_owned();
    }
    if at > now { format!("in {}", length(at.since(now))) } else { format!("{} ago", length(now.since(at))) }
}

/// An instant to the second, as `2026-11-26 23:05:18 UTC`.
#[must_use]
pub fn instant(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('T') {
        Some((day, time)) => format!("{day} {} UTC", time.split(['.', 'Z']).next().unwrap_or(time)),
        None => text,
    }
}

/// A sentence of the law's with its instants as people read them.
#[must_use]
pub fn readable(text: &str) -> String {
    const SHAPE: &str = "0000-00-00T00:00:00";
    let fits = |window: &str| {
        window.len() == SHAPE.len()
            && window.bytes().zip(SHAPE.bytes()).all(|(found, shape)| match shape {
                b'0' => found.is_ascii_digit(),
                other => found == other,
            })
    };
    let (mut said, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let window = rest.get(..SHAPE.len()).filter(|window| fits(window));
        let Some((day, time)) = window.and_then(|window| window.split_once('T')) else {
            said.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        };
        said.push_str(&format!("{day} {time} UTC"));
        rest = rest.get(SHAPE.len()..).unwrap_or_default();
        rest =
            rest.strip_prefix('.').map_or(rest, |part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
        rest = rest.strip_prefix('Z').unwrap_or(rest);
    }
    said
}

/// A number with thin gaps between thousands.
#[must_use]
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut said = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            said.push('\u{202f}');
        }
        said.push(digit);
    }
    said
}

/// A number and what is counted, in singular or plural.
#[must_use]
pub fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {one}s", number(count)) }
}

/// Of a whole, in per cent: never 0 or 100 where there is something, or something is missing.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    let rounded = part.saturating_mul(100).saturating_add(whole / 2).checked_div(whole);
    match rounded {
        None => "–".to_owned(),
        Some(0) if part > 0 => "<1 %".to_owned(),
        Some(100) if part < whole => ">99 %".to_owned(),
        Some(share) => format!("{share} %"),
    }
}

/// The rollout that an event is about, where it is about one.
#[must_use]
pub fn rollout_of(event: &Event) -> Option<governance::RolloutId> {
    use WorldEvent as E;
    let Event::World(event) = event else { return None };
    match event {
        E::RolloutOpened { rollout, .. }
        | E::PhaseOpened { rollout, .. }
        | E::RolloutHeld { rollout, .. }
        | E::PhaseApproved { rollout, .. }
        | E::RolloutDone { rollout }
        | E::RolloutHalted { rollout, .. }
        | E::RolloutPaused { rollout, .. }
        | E::RolloutResumed { rollout, .. }
        | E::RolloutAborted { rollout }
        | E::RolloutSuperseded { rollout, .. }
        | E::RolloutEscalationsResolved { rollout }
        | E::RolloutWithdrawn { rollout }
        | E::RolloutEscalated { rollout, .. }
        | E::RolloutEscalationAcknowledged { rollout, .. } => Some(*rollout),
        _ => None,
    }
}

/// The word of an event's kind, as `offer-ended`.
#[must_use]
pub fn kind_of(event: &Event) -> String {
    let value = serde_json::to_value(event).unwrap_or_default();
    find_type(&value).unwrap_or_else(|| "event".to_owned())
}

fn find_type(value: &serde_json::Value) -> Option<String> {
    let object = value.as_object()?;
    match object.get("type").and_then(serde_json::Value::as_str) {
        Some(word) => Some(word.to_owned()),
        None => object.values().find_map(find_type),
    }
}

/// What happened, in a sentence.
#[must_use]
pub fn sentence(event: &Event) -> String {
    match event {
        Event::Instance(_, event) => of_instance(event),
        Event::World(event) => of_world(event),
    }
}

fn of_instance(event: &InstanceEvent) -> String {
    use InstanceEvent as E;
    match event {
        E::Registered(_) => "got its identity".into(),
        E::HandshakeRenewed { .. } => "enrolled afresh under its id".into(),
        E::KeyRenewed { .. } => "renewed under another key".into(),
        E::Handshaken => "shook hands afresh".into(),
        E::CertificateIssued { not_after, .. } => {
            format!("certificate issued, until {}", instant(*not_after))
        }
        E::Reported { running, head, .. } => {
            format!(
                "reported statement {}: runs {} on runtime {}",
                head.sequence, running.platform, running.runtime
            )
        }
        E::Moved { from, to, cause } => {
            format!("{} → {}: {}", spaced(from.as_str()), spaced(to.as_str()), spaced(cause.as_str()))
        }
        E::Offered { release, action, phase, .. } => format!("{action} to {release} offered in {phase}"),
        E::OfferEnded { release, why } => format!("offer of {release} ended: {}", spaced(why.as_str())),
        E::ClocksTurned { drift, security, .. } => {
            let said = |on: bool| if on { "runs" } else { "stands still" };
            format!("the drift clock {}, the security clock {}", said(*drift), said(*security))
        }
        E::DueEnded { release, why } => format!("owes {release} no more: {}", spaced(why.as_str())),
        E::AttemptBegun { release, action, .. } => format!("began the {action} to {release}"),
        E::AttemptFinished { release, outcome, reason } => match reason {
            Some(reason) => format!("attempt at {release} {outcome}: {reason}"),
            None => format!("attempt at {release} {outcome}"),
        },
        E::RetryAsked { release } => format!("asked for another try of {release}"),
        E::RollbackAsked { to, from, .. } => format!("asked to go back from {from} to {to}"),
        E::FindingOpened { code } => format!("{} found", spaced(code.as_str())),
        E::FindingClosed { code } => format!("{} cleared", spaced(code.as_str())),
        E::OverrideSet { code, until } => {
            format!("the Founder silenced {} until {}", spaced(code.as_str()), instant(*until))
        }
        E::ModuleActivated { domain, version } => format!("domain {domain} activated in {version}"),
        E::ModuleDeactivated { domain } => format!("domain {domain} deactivated"),
        E::DeactivationNoticed { domain } => format!("told to switch off {domain}"),
        E::NoticeWithdrawn { domain } => format!("notice about {domain} withdrawn"),
        E::TokenIssued { domain, expires, .. } => match domain {
            Some(domain) => format!("token for {domain} issued, until {}", instant(*expires)),
            None => format!("entitlement token issued, until {}", instant(*expires)),
        },
        E::Warned { window, point } => {
            format!("warned: the {} window is at its {point}", spaced(window.as_str()))
        }
        E::SubscriptionChanged { tier, status, .. } => format!("subscription is {tier}, {status}"),
        E::KindChanged { kind } => format!("is {} from now on", spaced(kind.as_str())),
        E::HoldPlaced => "held by the Founder".into(),
        E::HoldLifted => "hold of the Founder lifted".into(),
        E::Escalated { rule, facts } => format!("put before the Founder by {rule}: {facts}"),
        E::EscalationAcknowledged { rule } => format!("{rule} is in hand"),
        E::EscalationsResolved => "what lay before the Founder is resolved".into(),
    }
}

fn of_world(event: &WorldEvent) -> String {
    use WorldEvent as E;
    match event {
        E::Founded { trust_domain } => format!("federation {trust_domain} founded"),
        E::KeysPublished { serial, .. } => format!("keys document {serial} came into force"),
        E::RootPublished { version, .. } => format!("TUF root {version} came into force"),
        E::ConstitutionRatified { .. } => "constitution ratified".into(),
        E::ConstitutionEffective { .. } => "the ratified constitution came into force".into(),
        E::FleetCounted { instances } => format!("fleet counted: {}", counted(*instances, "instance")),
        E::StandingOrderTaken { order, .. } => {
            format!("standing order {} took an instance", spaced(order.as_str()))
        }
        E::RemovalAllowed { release, capability } => format!("{release} may remove {capability} early"),
        E::CataloguePublished { .. } => "module catalogue published".into(),
        E::MatrixPublished { .. } => "runtime matrix published".into(),
        E::ReleasePublished { release, .. } => {
            format!("{} release {} published", release.class, release.version)
        }
        E::ReleaseWithdrawn { release } => format!("release {release} withdrawn"),
        E::OrderAccepted { serial, .. } => format!("order {serial} of the Founder accepted"),
        E::EnrolmentCreated { kind, tier, .. } => {
            format!("enrolment made for a {} instance of tier {tier}", spaced(kind.as_str()))
        }
        E::EnrolmentApproved { .. } => "enrolment approved by a second person".into(),
        E::PersonRevoked { person, .. } => format!("certificate of {person} taken back"),
        E::FreezeSet { from, until } => format!("freeze from {} until {}", instant(*from), instant(*until)),
        E::RedSwitchTurned { on, reason } => {
            let said = if *on {
                "red switch turned on: every offer stops"
            } else {
                "red switch turned off: offers go on"
            };
            match reason {
                Some(reason) => format!("{said}, “{reason}”"),
                None => said.into(),
            }
        }
        other => of_rollouts(other),
    }
}

fn of_rollouts(event: &WorldEvent) -> String {
    use WorldEvent as E;
    match event {
        E::FederationEscalated { rule, facts } | E::RolloutEscalated { rule, facts, .. } => {
            format!("put before the Founder by {rule}: {facts}")
        }
        E::OutageRecorded { from, until } => {
            format!("the plane was away for {}, until {}", length(until.since(*from)), instant(*until))
        }
        E::FederationEscalationAcknowledged { rule } | E::RolloutEscalationAcknowledged { rule, .. } => {
            format!("{rule} is in hand")
        }
        E::RolloutOpened { release, .. } => format!("rollout of {release} made"),
        E::PhaseOpened { phase, eligible, cohort, .. } => {
            format!("{phase} opened with {} of {} eligible", number(*cohort), number(*eligible))
        }
        E::RolloutHeld { why, .. } => format!("rollout holds for want of {why}"),
        E::PhaseApproved { phase, .. } => format!("{phase} approved"),
        E::RolloutDone { .. } => "rollout done".into(),
        E::RolloutHalted { phase, failed, finished, .. } => {
            format!("rollout halted in {phase}: {failed} of {finished} attempts failed")
        }
        E::RolloutPaused { cause, .. } => format!("rollout paused: {}", spaced(cause.as_str())),
        E::RolloutResumed { .. } => "rollout goes on".into(),
        E::RolloutAborted { .. } => "rollout aborted".into(),
        E::RolloutSuperseded { by, .. } => format!("rollout superseded by {by}"),
        E::RolloutEscalationsResolved { .. } => "what lay before the Founder is resolved".into(),
        E::RolloutWithdrawn { .. } => "rollout withdrawn".into(),
        // Those of the federation are worded above.
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_in_two_units() {
        for (millis, said) in [
            (0, "less than a second"),
            (999, "less than a second"),
            (1_000, "1 s"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h"),
            (93_600_000, "1 d 2 h"),
            (90_061_000, "1 d 1 h"),
        ] {
            assert_eq!(length(Span::from_millis(millis)), said);
        }
        let at = |millis| Timestamp::from_millis(millis);
        assert_eq!(distance(at(5_000), at(5_999)), "just now");
        assert_eq!(distance(at(5_000), at(1_000)), "in 4 s");
        assert_eq!(distance(at(1_000), at(61_000)), "1 min ago");
        assert_eq!(instant(at(0)), "1970-01-01 00:00:00 UTC");
    }

    #[test]
    fn instants_in_sentences_are_as_people_read_them() {
        let said = "due 2026-11-26T23:51:20.609Z, since 2026-11-26T23:51:08Z – ü 2026-1";
        assert_eq!(readable(said), "due 2026-11-26 23:51:20 UTC, since 2026-11-26 23:51:08 UTC – ü 2026-1");
    }

    #[test]
    fn numbers_and_shares_are_honest() {
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(number(999), "999");
        assert_eq!(counted(1, "instance"), "1 instance");
        assert_eq!(counted(0, "instance"), "0 instances");
        assert_eq!(percent(1, 1_000), "<1 %");
        assert_eq!(percent(999, 1_000), ">99 %");
        assert_eq!([percent(18, 19), percent(1, 19), percent(2, 2)], ["95 %", "5 %", "100 %"]);
        assert_eq!(percent(0, 0), "–");
    }
}
