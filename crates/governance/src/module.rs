//! Domains as modules of the Organism's catalogue: what may be activated where, and what is active without a right (§VII).
//!
//! Never binds or unbinds: an activation is a right that the Runtime makes use of (EN-2).

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{Digest, DomainCode, ProviderId};
use crate::instance::Instance;
use crate::lifecycle::State;
use crate::refusal::Reason;
use crate::time::Timestamp;
use crate::version::{Version, VersionRange};
use crate::world::World;

/// A module of the catalogue, or a provider's own (EN-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// The domain it is.
    pub code: DomainCode,
    /// Its version.
    #[serde(default = "first_version")]
    pub version: Version,
    /// SHA-256 of its content, where the Organism has published one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The platform version it needs.
    pub minimum: Version,
    /// Why it needs that.
    #[serde(default, skip_serializing_if = "alloc::string::String::is_empty")]
    pub why: alloc::string::String,
    /// The runtimes it runs on; absent: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<VersionRange>,
    /// The domains it needs active.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<DomainCode>,
    /// The one provider whose custom domain it is; absent: it is everyone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderId>,
}

fn first_version() -> Version {
    Version::new(0, 1, 0)
}

/// The Organism's module catalogue (RL-5, EN-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Its modules; the code of each is its own.
    pub modules: Vec<Module>,
}

/// Modules that one catalogue lists at most.
pub const MODULES_MAX: usize = 1_024;

/// The founding catalogue: code, and the platform version it needs.
const FOUNDING: [(&str, Version); 12] = {
    let (first, second) = (Version::new(0, 1, 0), Version::new(0, 2, 0));
    [
        ("COM", first),
        ("FIN", first),
        ("HLT", second),
        ("GOV", second),
        ("EDU", first),
        ("MED", first),
        ("ANA", first),
        ("SOC", first),
        ("LOG", first),
        ("TRN", first),
        ("IDA", first),
        ("ENT", first),
    ]
};

impl Default for Catalogue {
    /// The founding document's twelve domains.
    fn default() -> Self {
        let module = |(code, minimum): (&str, Version)| {
            let code = code.parse().ok()?;
            Some(Module {
                code,
                version: first_version(),
                digest: None,
                minimum,
                why: alloc::string::String::new(),
                runtime: None,
                depends: Vec::new(),
                provider: None,
            })
        };
        Self { modules: FOUNDING.into_iter().filter_map(module).collect() }
    }
}

impl Catalogue {
    /// The module with this code.
    #[must_use]
    pub fn find(&self, code: &DomainCode) -> Option<&Module> {
        self.modules.iter().find(|module| module.code == *code)
    }

    /// Whether every code is named once and every dependency is listed, without going round in a circle.
    ///
    /// # Errors
    /// The first code at fault, and why.
    pub fn check(&self) -> Result<(), (DomainCode, &'static str)> {
        if let Some(beyond) = self.modules.get(MODULES_MAX) {
            return Err((beyond.code.clone(), "it is one module too many for a catalogue"));
        }
        // Whoever is listed behind all it depends on is settled; a circle never is.
        let mut settled: Vec<&DomainCode> = Vec::new();
        for (index, module) in self.modules.iter().enumerate() {
            if self.modules.iter().take(index).any(|other| other.code == module.code) {
                return Err((module.code.clone(), "it is listed twice"));
            }
            if let Some(lacking) = module.depends.iter().find(|code| self.find(code).is_none()) {
                return Err((lacking.clone(), "a module depends on it, and it is not listed"));
            }
        }
        loop {
            let before = settled.len();
            for module in &self.modules {
                let ready = module.depends.iter().all(|code| settled.contains(&code));
                if ready && !settled.contains(&&module.code) {
                    settled.push(&module.code);
                }
            }
            if settled.len() == before {
                let unsettled = self.modules.iter().find(|module| !settled.contains(&&module.code));
                return unsettled.map_or(Ok(()), |module| Err((module.code.clone(), "it depends on itself")));
            }
        }
    }
}

/// The right to run a domain (EN-5): what an activation token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// Which domain.
    pub domain: DomainCode,
    /// Since when.
    pub since: Timestamp,
}

/// An active domain without a right to be: off within `entitlement.deactivate_within` (CO-5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Which domain.
    pub domain: DomainCode,
    /// Since when.
    pub since: Timestamp,
}

impl Instance {
    /// The active domains: those with a right in the order of activation, then whatever else it says runs.
    pub fn active_domains(&self) -> impl Iterator<Item = &DomainCode> {
        let granted = self.activations.iter().map(|activation| &activation.domain);
        granted.chain(self.domains.iter().filter(|domain| !self.is_activated(domain)))
    }

    /// Whether it has the right to run this domain.
    #[must_use]
    pub fn is_activated(&self, domain: &DomainCode) -> bool {
        self.activations.iter().any(|activation| activation.domain == *domain)
    }

    /// Whether it may run modules at all: not while it is suspended or locked out (LC-19).
    const fn is_served(&self) -> bool {
        !matches!(self.state, State::Suspended | State::Revoked)
    }
}

/// The active domains that have no right to be, the latest activated first (EN-3, CO-5, LC-19).
#[must_use]
pub fn unentitled(instance: &Instance, world: &World) -> Vec<DomainCode> {
    let limit = limit(instance, world);
    let mut within = 0;
    let mut found: Vec<DomainCode> = Vec::new();
    for domain in instance.active_domains() {
        if !instance.is_activated(domain) || !may_have(domain, instance, world) || within == limit {
            found.push(domain.clone());
        } else {
            within += 1;
        }
    }
    found.reverse();
    found
}

/// Whether every active domain has its right: the common case, which allocates nothing.
#[must_use]
pub fn is_entitled_throughout(instance: &Instance, world: &World) -> bool {
    let activations = instance.activations.iter().map(|activation| &activation.domain);
    instance.activations.len() <= limit(instance, world)
        && instance.domains.iter().all(|domain| instance.is_activated(domain))
        && activations.into_iter().all(|domain| may_have(domain, instance, world))
}

/// How many domains the instance may run now.
fn limit(instance: &Instance, world: &World) -> usize {
    match world.constitution.domains_max(instance.subscription.tier) {
        _ if !instance.is_served() => 0,
        Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        None => usize::MAX,
    }
}

/// Whether the catalogue has the domain, for this instance too.
fn may_have(domain: &DomainCode, instance: &Instance, world: &World) -> bool {
    let module = world.catalogue.find(domain);
    module.is_some_and(|module| module.provider.is_none() || check_owner(module, instance, world).is_ok())
}

/// A custom domain is one provider's, and of tiers that may have such (EN-1).
fn check_owner(module: &Module, instance: &Instance, world: &World) -> Result<(), Reason> {
    let Some(owner) = &module.provider else { return Ok(()) };
    if instance.provider.as_ref() != Some(owner) {
        return Err(Reason::UnknownDomain { domain: module.code.clone() });
    }
    let tier = instance.subscription.tier;
    if world.constitution.custom_domains(tier) {
        Ok(())
    } else {
        Err(Reason::CustomDomainNotAllowed { domain: module.code.clone(), tier })
    }
}

/// Whether the domain may be activated here and now (EN-2).
///
/// # Errors
/// Every rule that forbids it, in the order of the law.
pub fn check_activation(domain: &DomainCode, instance: &Instance, world: &World) -> Result<(), Vec<Reason>> {
    let mut reasons = Vec::new();
    let module = world.catalogue.find(domain);
    if let Some(limit) = world.constitution.domains_max(instance.subscription.tier)
        && instance.active_domains().count() >= usize::try_from(limit).unwrap_or(usize::MAX)
    {
        reasons.push(Reason::TierLimit { limit });
    }
    match module {
        None => {
            // Outside the catalogue it could only be a custom domain, and those go with the tier (EN-1).
            let tier = instance.subscription.tier;
            if !world.constitution.custom_domains(tier) {
                reasons.push(Reason::CustomDomainNotAllowed { domain: domain.clone(), tier });
            }
            reasons.push(Reason::UnknownDomain { domain: domain.clone() });
        }
        Some(module) => {
            reasons.extend(check_owner(module, instance, world).err());
            let running = &instance.running;
            if running.platform < module.minimum {
                let (needs, installed) = (module.minimum, running.platform);
                reasons.push(Reason::PlatformTooOld { domain: domain.clone(), needs, installed });
            }
            if let Some(range) = module.runtime.filter(|range| !range.contains(running.runtime)) {
                reasons.push(Reason::RuntimeIncompatible { runtime: running.runtime, range });
            }
            let lacking = module.depends.iter().filter(|needed| !instance.is_activated(needed));
            reasons.extend(
                lacking.map(|needed| Reason::DependencyMissing {
                    domain: domain.clone(),
                    needed: needed.clone(),
                }),
            );
        }
    }
    if !instance.subscription.is_valid() {
        reasons.push(Reason::SubscriptionNotActive);
    }
    if !matches!(instance.state, State::Active | State::UpdatePending | State::UpgradeInProgress) {
        reasons.push(Reason::StateForbids { state: instance.state });
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// Whether the domain may be switched off: not while another that needs it is active (EN-7).
///
/// # Errors
/// Every domain that needs it, or that it is not active.
pub fn check_deactivation(
    domain: &DomainCode,
    instance: &Instance,
    world: &World,
) -> Result<(), Vec<Reason>> {
    if !instance.active_domains().any(|active| active == domain) {
        return Err(alloc::vec![Reason::UnknownDomain { domain: domain.clone() }]);
    }
    let needs_it = |active: &&DomainCode| {
        let module = world.catalogue.find(active);
        module.is_some_and(|module| module.depends.contains(domain))
    };
    let reasons: Vec<Reason> = instance
        .active_domains()
        .filter(needs_it)
        .map(|active| Reason::DependencyMissing { domain: active.clone(), needed: domain.clone() })
        .collect();
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn en_1_a_catalogue_that_cannot_be_activated_is_refused() {
        assert_eq!(Catalogue::default().modules.len(), FOUNDING.len());
        assert_eq!(Catalogue::default().check(), Ok(()));
        let code = |text: &str| text.parse::<DomainCode>().unwrap();
        let with = |rows: &[(&str, &[&str])]| {
            let module = |(name, depends): &(&str, &[&str])| Module {
                depends: depends.iter().map(|depends| code(depends)).collect(),
                code: code(name),
                ..Catalogue::default().modules[0].clone()
            };
            Catalogue { modules: rows.iter().map(module).collect() }.check()
        };
        assert_eq!(with(&[("BB", &["AA"]), ("AA", &[])]), Ok(()));
        assert_eq!(with(&[("AA", &["BB"]), ("BB", &["AA"])]).unwrap_err().1, "it depends on itself");
        assert_eq!(with(&[("AA", &[]), ("AA", &[])]).unwrap_err().1, "it is listed twice");
        assert_eq!(
            with(&[("AA", &["CC"])]).unwrap_err(),
            (code("CC"), "a module depends on it, and it is not listed")
        );
    }
}
