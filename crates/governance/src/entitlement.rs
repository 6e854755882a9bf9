//! What an instance is entitled to, as its tokens say it, and how a status list shows each of them (EN-4, EN-5, EN-6).
//!
//! Never signs a token: `trust` does, over what is decided here.

use alloc::vec::Vec;

use crate::id::{Digest, DomainCode, InstanceId};
use crate::instance::Instance;
use crate::lifecycle::State;
use crate::module::unentitled;
use crate::refusal::{Reason, Refusal};
use crate::text::words;
use crate::tier::{SubscriptionStatus, Tier};
use crate::time::Timestamp;
use crate::version::Version;
use crate::world::World;

words! {
    /// What a status list says of a token (EN-6): 0, 1 and 2 of the Token Status List.
    pub enum TokenStatus ("token status") {
        /// It counts.
        Valid = "valid",
        /// It never counts again.
        Invalid = "invalid",
        /// It does not count while its instance is suspended.
        Suspended = "suspended",
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

/// The right to run a domain, as its token says it (EN-5); none for the suspended, nor for what is to be switched off.
///
/// # Errors
/// Where there is no such right.
pub fn activation(
    instance: &Instance,
    domain: &DomainCode,
    world: &World,
) -> Result<ActivationRight, Refusal> {
    let counts = activation_status(instance, domain) == TokenStatus::Valid;
    let module = world.catalogue.find(domain).filter(|_| counts);
    let module = module.ok_or_else(|| Reason::UnknownDomain { domain: domain.clone() })?;
    let (audience, domain) = (instance.id, domain.clone());
    Ok(ActivationRight { audience, domain, version: module.version, digest: module.digest })
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

/// What the status list says of the activation token of a domain (EN-6): a right that is gone, or that is being taken
/// back, counts no more.
#[must_use]
pub fn activation_status(instance: &Instance, domain: &DomainCode) -> TokenStatus {
    let noticed = instance.notices.iter().any(|notice| notice.domain == *domain);
    match instance.state {
        _ if !instance.is_activated(domain) => TokenStatus::Invalid,
        State::Revoked => TokenStatus::Invalid,
        State::Suspended => TokenStatus::Suspended,
        _ if noticed => TokenStatus::Invalid,
        _ => TokenStatus::Valid,
    }
}
