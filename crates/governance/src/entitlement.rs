//! What an instance is entitled to, as its tokens say it, and how a status list shows each of them (EN-4, EN-5, EN-6).
//!
//! Never signs a token: `plane` does, over what is decided here.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::event::InstanceEvent;
use crate::id::{Digest, DomainCode, InstanceId};
use crate::instance::Instance;
use crate::lifecycle::State;
use crate::module::unentitled;
use crate::refusal::{Reason, Refusal};
use crate::text::words;
use crate::tier::{SubscriptionStatus, Tier};
use crate::time::{Span, Timestamp};
use crate::version::Version;
use crate::world::World;

words! {
    /// What a status list says of a token (EN-6): 0, 1 and 2 of the Token Status List.
    pub enum TokenStatus ("token status") {
        /// It counts.
        Valid = "valid",
        /// It never counts again.
        Invalid = "invalid",
        /// It does not count while its instance is suspended, or its right is being taken back.
        Suspended = "suspended",
    }
}

/// The period of a subscription that names no end, so that an activation token has one (EN-5).
const OPEN_PERIOD: Span = Span::hours(30 * 24);

/// A token that was issued, the last one over its right. Its place in the instance's status list is its right's for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuedToken {
    /// Its place in the status list (EN-6).
    pub index: u32,
    /// The right to run this domain (EN-5); none: the entitlement (EN-4).
    pub domain: Option<DomainCode>,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// Digest of what it says.
    pub content: Digest,
}

impl IssuedToken {
    /// Half of its life: from then on a request gets a new one.
    #[must_use]
    pub fn aging_at(&self) -> Timestamp {
        self.issued + Span::from_millis(self.expires.since(self.issued).as_millis() / 2)
    }

    /// Its name: the digest of whose it is, its place and when it was issued.
    #[must_use]
    pub fn id(&self, audience: InstanceId) -> Digest {
        let (index, issued) = (self.index.to_be_bytes(), self.issued.as_millis().to_be_bytes());
        Digest::of_parts(&[b"fedplane-token-v1\n", audience.as_bytes(), &index, &issued])
    }
}

/// What an entitlement token says (EN-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// Whom it is for.
    pub audience: InstanceId,
    /// The tier.
    pub tier: Tier,
    /// Domains that the tier allows; none is without limit.
    pub domains_max: Option<u32>,
    /// Whether the tier allows custom domains.
    pub custom_domains: bool,
    /// The domains it may run.
    pub domains: Vec<DomainCode>,
    /// Where the subscription stands.
    pub subscription: SubscriptionStatus,
    /// When it is issued.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

impl Entitlement {
    /// Digest of what it says, times apart.
    #[must_use]
    pub fn content(&self) -> Digest {
        let Self { audience, tier, domains_max, custom_domains, domains, subscription, .. } = self;
        let mut text =
            alloc::format!("{audience}\n{tier}\n{domains_max:?}\n{custom_domains}\n{subscription}\n");
        domains.iter().for_each(|domain| text.extend([domain.as_str(), "\n"]));
        Digest::of(text.as_bytes())
    }
}

/// What an activation token says (EN-5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationRight {
    /// Whom it is for.
    pub audience: InstanceId,
    /// Which domain.
    pub domain: DomainCode,
    /// The module's version.
    pub version: Version,
    /// SHA-256 of its content, where the Organism has published one.
    pub digest: Option<Digest>,
    /// When it is issued.
    pub issued: Timestamp,
    /// When it ends: with the subscription's period.
    pub expires: Timestamp,
}

impl ActivationRight {
    /// Digest of what it says, times apart.
    #[must_use]
    pub fn content(&self) -> Digest {
        let Self { audience, domain, version, digest, .. } = self;
        let digest = digest.map_or_else(String::new, |digest| digest.to_string());
        Digest::of(alloc::format!("{audience}\n{domain}\n{version}\n{digest}\n").as_bytes())
    }
}

/// The entitlement of an instance now (EN-4). Of the suspended it is not renewed (LC-19).
///
/// # Errors
/// Where there is none to be had.
pub fn entitlement(instance: &Instance, world: &World, now: Timestamp) -> Result<Entitlement, Refusal> {
    match instance.state {
        State::Revoked => return Err(Reason::InstanceRevoked { since: instance.since }.into()),
        State::Suspended | State::Registered => {
            return Err(Reason::StateForbids { state: instance.state }.into());
        }
        _ => {}
    }
    let (law, tier) = (&world.constitution, instance.subscription.tier);
    let without = unentitled(instance, world);
    let granted = instance.activations.iter().map(|activation| &activation.domain);
    Ok(Entitlement {
        audience: instance.id,
        tier,
        domains_max: law.domains_max(tier),
        custom_domains: law.custom_domains(tier),
        domains: granted.filter(|domain| !without.contains(domain)).cloned().collect(),
        subscription: instance.subscription.status,
        issued: now,
        expires: now + law.entitlement_token_lifetime,
    })
}

/// The right to run a domain now, as its token says it (EN-5); none for the suspended, nor for what is to be switched off.
///
/// # Errors
/// Where there is no such right.
pub fn activation(
    instance: &Instance,
    domain: &DomainCode,
    world: &World,
    now: Timestamp,
) -> Result<ActivationRight, Refusal> {
    match instance.state {
        State::Revoked => return Err(Reason::InstanceRevoked { since: instance.since }.into()),
        State::Suspended => return Err(Reason::StateForbids { state: instance.state }.into()),
        _ => {}
    }
    let counts = activation_status(instance, domain) == TokenStatus::Valid;
    let module = world.catalogue.find(domain).filter(|_| counts);
    let module = module.ok_or_else(|| Reason::UnknownDomain { domain: domain.clone() })?;
    let soonest = now + world.constitution.entitlement_token_lifetime;
    let expires = match instance.subscription.until {
        Some(until) => until.max(soonest),
        None => now + OPEN_PERIOD,
    };
    Ok(ActivationRight {
        audience: instance.id,
        domain: domain.clone(),
        version: module.version,
        digest: module.digest,
        issued: now,
        expires,
    })
}

/// What goes on record when a token is asked for: nothing while the last one says the same and is young.
///
/// # Errors
/// Where there is no such right.
pub(crate) fn issue(
    instance: &Instance,
    domain: Option<&DomainCode>,
    world: &World,
    now: Timestamp,
) -> Result<Option<InstanceEvent>, Refusal> {
    let (expires, content) = match domain {
        None => entitlement(instance, world, now).map(|right| (right.expires, right.content()))?,
        Some(domain) => {
            activation(instance, domain, world, now).map(|right| (right.expires, right.content()))?
        }
    };
    let last = instance.token(domain);
    if last.is_some_and(|last| last.content == content && now < last.aging_at()) {
        return Ok(None);
    }
    let index = last.map_or(instance.tokens_made, |last| last.index);
    Ok(Some(InstanceEvent::TokenIssued { index, domain: domain.cloned(), expires, content }))
}

impl Instance {
    /// The last token over a right: that to a domain, or none for its entitlement.
    #[must_use]
    pub fn token(&self, domain: Option<&DomainCode>) -> Option<&IssuedToken> {
        self.tokens.iter().find(|token| token.domain.as_ref() == domain)
    }

    /// What its status list says, place by place (EN-6).
    pub fn statuses(&self) -> impl Iterator<Item = TokenStatus> {
        (0..self.tokens_made).map(|index| {
            let token = self.tokens.iter().find(|token| token.index == index);
            token.map_or(TokenStatus::Invalid, |token| match &token.domain {
                None => entitlement_status(self),
                Some(domain) => activation_status(self, domain),
            })
        })
    }
}

/// What the status list says of the instance's entitlement token (EN-6).
#[must_use]
pub const fn entitlement_status(instance: &Instance) -> TokenStatus {
    match instance.state {
        State::Revoked => TokenStatus::Invalid,
        State::Suspended => TokenStatus::Suspended,
        _ => TokenStatus::Valid,
    }
}

/// What the status list says of the activation token of a domain (EN-6): a right that is gone counts no more, one that is
/// being taken back not for now.
#[must_use]
pub fn activation_status(instance: &Instance, domain: &DomainCode) -> TokenStatus {
    let noticed = instance.notices.iter().any(|notice| notice.domain == *domain);
    match instance.state {
        _ if !instance.is_activated(domain) => TokenStatus::Invalid,
        State::Revoked => TokenStatus::Invalid,
        State::Suspended => TokenStatus::Suspended,
        _ if noticed => TokenStatus::Suspended,
        _ => TokenStatus::Valid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Command, decide};
    use crate::fixture::{at, instance};
    use crate::lifecycle::Cause;

    /// Decides, applies, and gives how many tokens were issued.
    fn ask(instance: &mut Instance, command: &Command, now: Timestamp) -> usize {
        let events = decide(instance, command, &World::default(), now).unwrap();
        events.iter().for_each(|event| instance.apply(event, now));
        events.iter().filter(|event| matches!(event, InstanceEvent::TokenIssued { .. })).count()
    }

    #[test]
    fn hs_4_a_token_is_new_when_it_says_something_else_or_half_its_life_is_over() {
        let mut instance = instance();
        let com = || Command::Activate { domain: "COM".parse().unwrap() };
        assert_eq!(ask(&mut instance, &Command::Entitle, at(0)), 1);
        let first = instance.token(None).cloned().unwrap();
        assert_eq!((first.index, first.aging_at(), first.expires), (0, at(12), at(24)));
        assert_eq!(ask(&mut instance, &Command::Entitle, at(12) - Span::from_millis(1)), 0);
        assert_eq!(ask(&mut instance, &Command::Entitle, at(12)), 1);
        assert_eq!(ask(&mut instance, &com(), at(13)), 1);
        assert_eq!(ask(&mut instance, &Command::Entitle, at(13)), 1, "it names the domain now");
        assert_eq!(instance.token(None).unwrap().index, 0, "in the same place");
        assert_ne!(instance.token(None).unwrap().id(instance.id), first.id(instance.id));
        // The activation token: half of the thirty days.
        assert_eq!(ask(&mut instance, &com(), at(13 + 15 * 24) - Span::from_millis(1)), 0);
        assert_eq!(ask(&mut instance, &com(), at(13 + 15 * 24)), 1);
        assert_eq!(instance.statuses().collect::<Vec<_>>(), [TokenStatus::Valid, TokenStatus::Valid]);
    }

    #[test]
    fn en_5_an_activation_token_ends_with_what_is_paid_for() {
        let until = |until: i64, now: i64| {
            let mut instance = instance();
            instance.subscription.until = Some(at(until));
            ask(&mut instance, &Command::Activate { domain: "COM".parse().unwrap() }, at(now));
            instance.tokens[0].expires
        };
        assert_eq!(until(1_000, 10), at(1_000));
        assert_eq!(until(5, 10), at(10 + 24), "the bill may be on its way");
    }

    #[test]
    fn en_6_what_was_invalid_never_counts_again() {
        let mut instance = instance();
        ask(&mut instance, &Command::Entitle, at(0));
        ask(&mut instance, &Command::Activate { domain: "COM".parse().unwrap() }, at(0));
        for (from, to, cause) in [
            (State::Active, State::Revoked, Cause::FounderRevoked),
            (State::Revoked, State::Suspended, Cause::FounderRestored),
            (State::Suspended, State::Active, Cause::OperatorReactivated),
        ] {
            instance.apply(&InstanceEvent::Moved { from, to, cause }, at(1));
            assert!(instance.statuses().all(|status| status == TokenStatus::Invalid), "{to}");
        }
        assert_eq!(ask(&mut instance, &Command::Entitle, at(2)), 1);
        let [invalid, valid] = [TokenStatus::Invalid, TokenStatus::Valid];
        assert_eq!(instance.statuses().collect::<Vec<_>>(), [invalid, invalid, valid]);
    }
}
